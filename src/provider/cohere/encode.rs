//! From a request to the body.

use super::message::{self, Conversation};
use crate::{
    ChatRequest, Error, JsonSchema, ReasoningEffort, ResponseFormat, Tool, ToolChoice,
    chat::{Param, ParamVisitor, Warning},
    json::ObjectWriter,
    provider::kit::request::{FunctionTool, UnsupportedParams},
};
use serde::{Serialize, Serializer, ser::SerializeMap};

/// The body, and what was dropped from it.
pub(super) fn body(
    provider: &str,
    request: &ChatRequest,
) -> Result<(Vec<u8>, Vec<Warning>), Error> {
    let mut encoder = Encoder {
        provider,
        request,
        omissions: UnsupportedParams::new(provider, request.drop_unsupported),
        out: ObjectWriter::with_capacity(1024),
    };
    encoder.conversation()?;
    encoder.tools()?;
    encoder.options()?;
    request.for_each_scalar(&mut encoder)?;
    for (name, value) in &request.extra {
        encoder.out.member(name, value)?;
    }
    Ok((encoder.out.finish(), encoder.omissions.into_warnings()))
}

struct Encoder<'a> {
    provider: &'a str,
    request: &'a ChatRequest,
    omissions: UnsupportedParams<'a>,
    out: ObjectWriter,
}

impl Encoder<'_> {
    /// A member, unless `extra` has one of its name.
    fn member<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Error> {
        if self.request.extra.iter().any(|(other, _)| other == name) {
            return Ok(());
        }
        self.out.member(name, value)
    }

    fn refuse(&mut self, param: Param) -> Result<(), Error> {
        self.omissions
            .refuse(&format!("the parameter `{}`", param.name()))
    }

    fn conversation(&mut self) -> Result<(), Error> {
        let request = self.request;
        self.member("model", &request.model)?;
        if !request.extra.iter().any(|(name, _)| name == "messages") {
            let Conversation {
                messages,
                documents,
            } = message::conversation(&request.messages, self.provider, &mut self.omissions)?;
            self.out.member("messages", &messages)?;
            if !documents.is_empty() {
                self.member("documents", &documents)?;
            }
        }
        self.member("stream", &request.stream)
    }

    fn tools(&mut self) -> Result<(), Error> {
        let request = self.request;
        let tools = self.omissions.tools(&request.tools, &[self.provider])?;
        let tools: Vec<FunctionTool<'_>> = tools.into_iter().map(FunctionTool::new).collect();
        if !tools.is_empty() {
            self.member("tools", &tools)?;
        }
        // One word for all tools of a request.
        let strict = |tool: &Tool| {
            matches!(
                tool,
                Tool::Function {
                    strict: Some(true),
                    ..
                }
            )
        };
        if request.tools.iter().any(strict) {
            self.member("strict_tools", &true)?;
        }
        match request.needed_tool_choice() {
            None | Some(ToolChoice::Auto) => Ok(()),
            Some(ToolChoice::None) => self.member("tool_choice", "NONE"),
            Some(ToolChoice::Required) => self.member("tool_choice", "REQUIRED"),
            Some(ToolChoice::Function(_)) => self.refuse(Param::ToolChoice),
        }
    }

    fn options(&mut self) -> Result<(), Error> {
        let request = self.request;
        if let Some(format) = &request.response_format {
            self.member("response_format", &Format(format))?;
        }
        if !request.stop.is_empty() {
            self.member("stop_sequences", &request.stop)?;
        }
        if request.prediction.is_some() {
            self.refuse(Param::Prediction)?;
        }
        let off = request.disable_reasoning == Some(true)
            || request.reasoning_effort == Some(ReasoningEffort::None);
        if off {
            let thinking = Thinking {
                r#type: "disabled",
                token_budget: None,
            };
            return self.member("thinking", &thinking);
        }
        match request.reasoning_max_tokens {
            Some(most) => {
                let thinking = Thinking {
                    r#type: "enabled",
                    token_budget: Some(most),
                };
                self.member("thinking", &thinking)
            }
            None => Ok(()),
        }
    }
}

impl ParamVisitor for Encoder<'_> {
    fn param<T: Serialize>(&mut self, param: Param, value: &T) -> Result<(), Error> {
        let name = match param {
            Param::TopP => "p",
            Param::TopK => "k",
            Param::MaxTokens
            | Param::Temperature
            | Param::Seed
            | Param::FrequencyPenalty
            | Param::PresencePenalty
            | Param::Logprobs => param.name(),
            // Written as `thinking`; the usage always comes, and there is always one answer.
            Param::ReasoningMaxTokens | Param::DisableReasoning => return Ok(()),
            Param::IncludeUsage if self.request.include_usage == Some(true) => return Ok(()),
            Param::ReasoningEffort
                if self.request.reasoning_effort == Some(ReasoningEffort::None) =>
            {
                return Ok(());
            }
            Param::N if self.request.n == Some(1) => return Ok(()),
            other => return self.refuse(other),
        };
        self.member(name, value)
    }
}

#[derive(Serialize)]
struct Thinking {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_budget: Option<u64>,
}

struct Format<'a>(&'a ResponseFormat);

impl Serialize for Format<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.0 {
            ResponseFormat::Text => map.serialize_entry("type", "text")?,
            ResponseFormat::JsonObject => map.serialize_entry("type", "json_object")?,
            ResponseFormat::JsonSchema(JsonSchema { schema, .. }) => {
                map.serialize_entry("type", "json_object")?;
                map.serialize_entry("json_schema", schema)?;
            }
        }
        map.end()
    }
}
