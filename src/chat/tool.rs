use crate::{ContentPart, Error, ErrorKind, Json};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A function that the model may ask to be called, or a tool of the provider's own.
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
        /// Whether the provider must make the arguments follow the schema exactly.
        strict: Option<bool>,
    },
    /// A tool that the provider runs, in the provider's own JSON (web search, code execution, cache points).
    Provider {
        /// The provider it is meant for; any other refuses it.
        provider: String,
        /// The element of the provider's `tools` array.
        definition: Json,
    },
}

impl Tool {
    /// A function with the JSON Schema of its arguments.
    ///
    /// # Errors
    /// `invalid_request` if `parameters` cannot be written as JSON.
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

/// Whether and which tool the model must call.
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

/// A call that the model asks for.
///
/// The arguments are the text that the model wrote. It is never repaired: [`ToolCall::parse`] says whether it is JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolCall {
    /// What the tool's result must refer to. Made from the position if the provider gave none.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// The arguments as the model wrote them; empty means no arguments.
    pub arguments: String,
    /// What the provider wants back with this call, as it came (signatures, block types).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_data: Option<ProviderData>,
}

/// Data of one provider that must go back to it unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProviderData {
    /// The provider that it came from.
    pub provider: String,
    /// The data.
    pub data: Json,
}

impl ProviderData {
    /// `data` of `provider`.
    #[must_use]
    pub fn new(provider: impl Into<String>, data: Json) -> Self {
        ProviderData {
            provider: provider.into(),
            data,
        }
    }
}

impl ToolCall {
    /// A call, as an assistant message that is written by hand needs it.
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

    /// The result of the function, in text, for the model to read.
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

    /// The result of the function as JSON text.
    ///
    /// # Errors
    /// `invalid_request` if `value` cannot be written as JSON.
    pub fn answer_json<T: Serialize + ?Sized>(&self, value: &T) -> Result<ToolResult, Error> {
        Ok(self.answer(Json::new(value)?.as_str()))
    }

    /// The result of a function that failed. The model reads `reason` and can try something else.
    #[must_use]
    pub fn failed(&self, reason: impl Into<String>) -> ToolResult {
        self.answer(reason).is_error(true)
    }

    /// The arguments as a Rust type. Empty arguments are `{}`.
    ///
    /// # Errors
    /// `protocol` if the model wrote something that is not JSON, or JSON of another shape.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(self.arguments_json()).map_err(|e| {
            Error::new(
                ErrorKind::Protocol,
                format!(
                    "the arguments of tool call `{}` ({}) cannot be used: {e}",
                    self.id, self.name
                ),
            )
        })
    }

    /// Whether the arguments are one JSON object (or empty, which stands for `{}`).
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

/// What a tool gave, for the model to read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolResult {
    /// The [`ToolCall::id`] that this answers.
    pub call_id: String,
    /// The function's name, which some providers ask for (Gemini, Ollama).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Text, images or documents.
    pub content: Vec<ContentPart>,
    /// Whether the tool failed; the content then says how.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_error: bool,
}

impl ToolResult {
    /// A result in text.
    #[must_use]
    pub fn new(call_id: impl Into<String>, text: impl Into<String>) -> Self {
        ToolResult {
            call_id: call_id.into(),
            content: vec![ContentPart::text(text)],
            ..Self::default()
        }
    }

    /// Sets the function's name. [`ToolCall::answer`] does it.
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

    /// Says whether the function failed.
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
