//! From a request to the body.

use super::message::Messages;
use crate::{
    ChatRequest, Error, Json, JsonSchema, ReasoningEffort, ResponseFormat, Tool, ToolChoice,
    chat::{Param, ParamVisitor, Warning},
    json::ObjectWriter,
    provider::kit::request::{FunctionTool, UnsupportedParams},
};
use serde::{Serialize, Serializer};

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
        options: Vec::new(),
    };
    encoder.conversation()?;
    encoder.tools()?;
    encoder.format()?;
    request.for_each_scalar(&mut encoder)?;
    encoder.options()?;
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
    /// What goes into `options`.
    options: Vec<(&'static str, Json)>,
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
            let messages = Messages::new(&request.messages, self.provider, &mut self.omissions)?;
            self.out.member("messages", &messages)?;
        }
        // Left out it would be true.
        self.member("stream", &request.stream)
    }

    /// There is no `tool_choice`: no tool is chosen by offering none, any by offering them, none other can be said.
    fn tools(&mut self) -> Result<(), Error> {
        let request = self.request;
        match &request.tool_choice {
            None | Some(ToolChoice::Auto) => {}
            Some(ToolChoice::None) => return Ok(()),
            Some(_) => self.refuse(Param::ToolChoice)?,
        }
        let tools = self.omissions.tools(&request.tools, &[self.provider])?;
        let is_strict = |tool: &&Tool| {
            matches!(
                tool,
                Tool::Function {
                    strict: Some(true),
                    ..
                }
            )
        };
        if tools.iter().any(is_strict) {
            self.omissions.refuse("in `tools` the member `strict`")?;
        }
        let tools: Vec<FunctionTool<'_>> = tools.into_iter().map(FunctionTool::new).collect();
        if tools.is_empty() {
            return Ok(());
        }
        self.member("tools", &tools)
    }

    fn format(&mut self) -> Result<(), Error> {
        match &self.request.response_format {
            None | Some(ResponseFormat::Text) => Ok(()),
            Some(ResponseFormat::JsonObject) => self.member("format", "json"),
            Some(ResponseFormat::JsonSchema(JsonSchema { schema, .. })) => {
                self.member("format", schema)
            }
        }?;
        match &self.request.prediction {
            Some(_) => self.refuse(Param::Prediction),
            None => Ok(()),
        }
    }

    fn options(&mut self) -> Result<(), Error> {
        if !self.request.stop.is_empty() {
            self.options.push(("stop", Json::new(&self.request.stop)?));
        }
        let options = std::mem::take(&mut self.options);
        if options.is_empty() {
            return Ok(());
        }
        self.member("options", &Options(&options))
    }

    /// Models that think take yes or no, some of them also how much.
    fn think(&mut self) -> Result<(), Error> {
        let request = self.request;
        match &request.reasoning_effort {
            None if request.disable_reasoning == Some(true) => self.member("think", &false),
            None => Ok(()),
            Some(ReasoningEffort::None) => self.member("think", &false),
            Some(
                effort @ (ReasoningEffort::Low | ReasoningEffort::Medium | ReasoningEffort::High),
            ) => self.member("think", effort),
            Some(other) => self.omissions.refuse_value("reasoning_effort", other),
        }
    }
}

impl ParamVisitor for Encoder<'_> {
    fn param<T: Serialize>(&mut self, param: Param, value: &T) -> Result<(), Error> {
        let option = match param {
            Param::MaxTokens => "num_predict",
            Param::RepetitionPenalty => "repeat_penalty",
            Param::Temperature
            | Param::TopP
            | Param::TopK
            | Param::MinP
            | Param::Seed
            | Param::FrequencyPenalty
            | Param::PresencePenalty => param.name(),
            Param::Logprobs | Param::TopLogprobs => return self.member(param.name(), value),
            Param::ReasoningEffort => return self.think(),
            Param::DisableReasoning if self.request.reasoning_effort.is_none() => {
                return self.think();
            }
            // The last line always has it; there is always one answer.
            Param::IncludeUsage if self.request.include_usage == Some(true) => return Ok(()),
            Param::N if self.request.n == Some(1) => return Ok(()),
            other => return self.refuse(other),
        };
        self.options.push((option, Json::new(value)?));
        Ok(())
    }
}

struct Options<'a>(&'a [(&'static str, Json)]);

impl Serialize for Options<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}
