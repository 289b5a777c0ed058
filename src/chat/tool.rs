use crate::{ContentPart, Error, ErrorKind, Json, chat::HostedTool};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A function that the model may call, or a tool that the provider runs.
///
/// ```
/// use serde_json::json;
/// use unifiedai::{ChatRequest, Error, Tool};
///
/// let weather = Tool::function("weather", "Current weather of a city", &json!({
///     "type": "object",
///     "properties": {"city": {"type": "string"}},
///     "required": ["city"],
/// }))?;
/// let request = ChatRequest::new("gpt-oss-120b").user("How warm is it in Lisbon?").tool(weather);
/// assert_eq!(request.tools.len(), 1);
/// # Ok::<(), Error>(())
/// ```
///
/// The response then has [`tool_calls`](crate::UnifiedChatResponse::tool_calls). The next request repeats the
/// response's message, followed by a [`ToolResult`] for each call.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Tool {
    /// A function of the program.
    Function {
        /// Letters, digits, `_` and `-`, at most 64.
        name: String,
        /// What it does and when to use it; the model reads this.
        description: Option<String>,
        /// JSON Schema of its arguments.
        parameters: Option<Json>,
        /// Whether the provider must enforce the schema of the arguments.
        strict: Option<bool>,
    },
    /// A tool that the provider runs, such as [`Tool::web_search`].
    Hosted(Box<HostedTool>),
    /// An element of the provider's `tools` in its own JSON (tools without a type here, cache points).
    Provider {
        /// The provider of the tool; any other provider refuses it.
        provider: String,
        /// The element of the provider's `tools` array.
        definition: Json,
    },
}

impl Tool {
    /// Creates a function with the JSON Schema of its arguments.
    ///
    /// # Errors
    /// `invalid_request` if `parameters` cannot be serialised as JSON.
    pub fn function<T: Serialize + ?Sized>(
        name: impl Into<String>,
        description: impl Into<String>,
        parameters: &T,
    ) -> Result<Tool, Error> {
        Ok(Tool::Function {
            name: name.into(),
            description: Some(description.into()),
            parameters: Some(Json::new(parameters)?),
            strict: None,
        })
    }
}

/// Whether the model must call a tool, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ToolChoice {
    /// The model decides.
    Auto,
    /// No tool.
    None,
    /// At least one tool.
    Required,
    /// This function.
    Function(String),
}

/// A tool call by the model.
///
/// The arguments are the text that the model generated. They are never repaired; [`ToolCall::parse`] checks them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolCall {
    /// The id that the tool's result must repeat. It is generated if the provider sent none.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// The arguments as the model generated them; empty means no arguments.
    pub arguments: String,
    /// Data of the provider that later requests must send back with this call (signatures, block types).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_data: Option<ProviderData>,
}

/// Data of one provider that is sent back to it unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProviderData {
    /// The provider from which the data came.
    pub provider: String,
    /// The data.
    pub data: Json,
}

impl ProviderData {
    /// Creates data of `provider`.
    #[must_use]
    pub fn new(provider: impl Into<String>, data: Json) -> Self {
        ProviderData {
            provider: provider.into(),
            data,
        }
    }
}

impl ToolCall {
    /// Creates a tool call, for an assistant message that the program writes itself.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        name: impl Into<String>,
        arguments: impl Into<String>,
    ) -> Self {
        ToolCall {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
            provider_data: None,
        }
    }

    /// Creates the result of this call as text for the model.
    ///
    /// ```
    /// use unifiedai::ToolCall;
    /// let call = ToolCall::new("call_1", "weather", r#"{"city": "Lisbon"}"#);
    /// let result = call.answer("24 degrees");
    /// assert_eq!(result.call_id, "call_1");
    /// assert!(call.failed("no such city").is_error);
    /// ```
    #[must_use]
    pub fn answer(&self, text: impl Into<String>) -> ToolResult {
        ToolResult::new(&self.id, text).name(&self.name)
    }

    /// Creates the result of this call as JSON text.
    ///
    /// # Errors
    /// `invalid_request` if `value` cannot be serialised as JSON.
    pub fn answer_json<T: Serialize + ?Sized>(&self, value: &T) -> Result<ToolResult, Error> {
        Ok(self.answer(Json::new(value)?.as_str()))
    }

    /// Creates the result of a call that failed. The model reads `reason` and can try something else.
    #[must_use]
    pub fn failed(&self, reason: impl Into<String>) -> ToolResult {
        self.answer(reason).is_error(true)
    }

    /// Parses the arguments as a Rust type. Empty arguments are `{}`.
    ///
    /// # Errors
    /// `protocol` if the arguments are not JSON of this shape.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(self.arguments_json()).map_err(|e| {
            Error::new(
                ErrorKind::Protocol,
                format!(
                    "the arguments of tool call `{}` ({}) do not parse as the requested type: {e}",
                    self.id, self.name
                ),
            )
        })
    }

    /// Whether the arguments are one JSON object, or empty.
    #[must_use]
    pub fn has_valid_arguments(&self) -> bool {
        serde_json::from_str::<&serde_json::value::RawValue>(self.arguments_json())
            .is_ok_and(|raw| raw.get().starts_with('{'))
    }

    pub(crate) fn arguments_json(&self) -> &str {
        match self.arguments.trim() {
            "" | "null" => "{}",
            _ => &self.arguments,
        }
    }
}

/// The result of a tool call, for the model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolResult {
    /// The [`ToolCall::id`] of the call.
    pub call_id: String,
    /// The function's name, which some providers require (Gemini, Ollama).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Text, images or documents.
    pub content: Vec<ContentPart>,
    /// Whether the tool failed; the content then describes the failure.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_error: bool,
}

impl ToolResult {
    /// Creates a text result.
    #[must_use]
    pub fn new(call_id: impl Into<String>, text: impl Into<String>) -> Self {
        ToolResult {
            call_id: call_id.into(),
            content: vec![ContentPart::text(text)],
            ..Self::default()
        }
    }

    /// Sets the function's name. [`ToolCall::answer`] does this.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Adds a part, such as an image.
    #[must_use]
    pub fn part(mut self, part: impl Into<ContentPart>) -> Self {
        self.content.push(part.into());
        self
    }

    /// Sets whether the function failed.
    #[must_use]
    pub fn is_error(mut self, failed: bool) -> Self {
        self.is_error = failed;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_names_its_call() {
        let call = ToolCall::new("1", "f", "{}");
        let done = call.answer("24");
        assert_eq!(done, ToolResult::new("1", "24").name("f"));
        assert_eq!(
            call.failed("no such city"),
            ToolResult::new("1", "no such city")
                .name("f")
                .is_error(true)
        );
        let json = call.answer_json(&[1, 2]).unwrap();
        assert_eq!(json.content, [ContentPart::text("[1,2]")]);
    }

    // F82
    #[test]
    fn arguments_are_parsed_but_never_repaired() {
        let cases = [
            ("", true),
            ("null", true),
            ("{}", true),
            (" {\"a\": 1}\n", true),
            ("[1]", false),
            ("{\"a\": ", false),
            ("3", false),
            ("{} {}", false),
        ];
        for (arguments, valid) in cases {
            let call = ToolCall::new("1", "f", arguments);
            assert_eq!(call.has_valid_arguments(), valid, "{arguments}");
            assert_eq!(call.arguments, arguments);
        }
        let parsed: std::collections::BTreeMap<String, u32> =
            ToolCall::new("1", "f", "{\"a\":1}").parse().unwrap();
        assert_eq!(parsed["a"], 1);
    }
}
