//! Encodes a request's body.

use super::{ResponsesProfile, encode_items};
use crate::{
    ChatRequest, Error, Json, JsonSchema, Message, ReasoningEffort, ResponseFormat, Role, Tool,
    ToolChoice,
    chat::{CompactionSettings, Param, ParamVisitor, ReasoningFormat, Verbosity, Warning},
    json::ObjectWriter,
    provider::kit::{
        hosted::{self, FittedRequest, HostedWire},
        request::UnsupportedParams,
    },
};
use serde::{Serialize, Serializer, ser::SerializeMap};

/// The body and the warnings.
pub(super) fn body(
    profile: &ResponsesProfile,
    provider: &str,
    request: &ChatRequest,
) -> Result<(Vec<u8>, Vec<Warning>), Error> {
    let mut fitted = hosted::fit(
        request,
        HostedWire {
            provider,
            names: &[provider],
            block_provider: provider,
            mappings: profile.hosted_tools,
            hint: "",
        },
    )?;
    let mut omissions = UnsupportedParams::new(provider, request.drop_unsupported);
    omissions.add_warnings(std::mem::take(&mut fitted.warnings));
    let mut encoder = Encoder {
        profile,
        request: &fitted.request,
        fitted: &fitted,
        provider,
        omissions,
        out: ObjectWriter::with_capacity(1024),
    };
    let request = encoder.request;
    encoder.conversation()?;
    encoder.options()?;
    encoder.tools()?;
    request.for_each_scalar(&mut encoder)?;
    for (name, value) in &request.extra {
        encoder.out.member(name, value)?;
    }
    Ok((encoder.out.finish(), encoder.omissions.into_warnings()))
}

struct Encoder<'a> {
    profile: &'a ResponsesProfile,
    request: &'a ChatRequest,
    fitted: &'a FittedRequest<'a>,
    provider: &'a str,
    omissions: UnsupportedParams<'a>,
    out: ObjectWriter,
}

impl Encoder<'_> {
    /// Writes a field, unless `extra` has one with its name.
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

    /// System messages at the beginning are the instructions, unless `extra` has some.
    fn conversation(&mut self) -> Result<(), Error> {
        let request = self.request;
        self.member("model", &request.model)?;
        let own = |name: &str| request.extra.iter().any(|(other, _)| other == name);
        let leading = request
            .messages
            .iter()
            .take_while(|message| is_instruction(message))
            .count();
        let all = leading == request.messages.len();
        let split = if all || own("instructions") {
            0
        } else {
            leading
        };
        let (instructions, rest) = request.messages.split_at(split);
        if !instructions.is_empty() {
            let texts: Vec<_> = instructions.iter().map(Message::text).collect();
            self.out.member("instructions", &texts.join("\n\n"))?;
        }
        if !own("input") {
            let items =
                encode_items::items(rest, self.provider, self.stores(), &mut self.omissions)?;
            self.out.member("input", &items)?;
        }
        if request.stream {
            self.member("stream", &true)?;
        }
        Ok(())
    }

    /// Parameters that chat completions have as top-level fields.
    fn options(&mut self) -> Result<(), Error> {
        let request = self.request;
        let reasoning = Reasoning {
            effort: match &request.reasoning_effort {
                _ if request.disable_reasoning == Some(true) => Some(&ReasoningEffort::None),
                effort => effort.as_ref(),
            },
            summary: self.summary()?,
        };
        if reasoning.effort.is_some() || reasoning.summary.is_some() {
            self.member("reasoning", &reasoning)?;
        }
        if request.response_format.is_some() || request.verbosity.is_some() {
            let text = Text {
                format: request.response_format.as_ref().map(Format),
                verbosity: request.verbosity.as_ref(),
            };
            self.member("text", &text)?;
        }
        let mut include = Vec::new();
        if request.logprobs == Some(true) {
            include.push("message.output_text.logprobs");
        }
        if self.profile.encrypts_reasoning && !self.stores() && self.reasons() {
            include.push("reasoning.encrypted_content");
        }
        include.extend_from_slice(&self.fitted.includes);
        if !include.is_empty() {
            self.member("include", &include)?;
        }
        if let Some(settings) = &request.compaction {
            self.compaction(settings)?;
        }
        if !request.stop.is_empty() {
            self.refuse(Param::Stop)?;
        }
        if request.prediction.is_some() {
            self.refuse(Param::Prediction)?;
        }
        Ok(())
    }

    fn compaction(&mut self, settings: &CompactionSettings) -> Result<(), Error> {
        if !self.profile.compacts {
            return self.refuse(Param::Compaction);
        }
        if settings.instructions.is_some() {
            self.omissions
                .refuse("the `instructions` of the parameter `compaction`")?;
        }
        if settings.pause {
            self.omissions
                .refuse("`pause` of the parameter `compaction`")?;
        }
        let compact = ContextManagement {
            r#type: "compaction",
            compact_threshold: settings.trigger_tokens,
        };
        self.member("context_management", &[compact])
    }

    /// Whether the server stores the response, so that item ids stay valid.
    fn stores(&self) -> bool {
        let extra = self.request.extra.iter().find(|(name, _)| name == "store");
        match extra {
            Some((_, value)) => value.as_str() != "false",
            None => self.request.store != Some(false),
        }
    }

    /// Whether the request shows that the model reasons: other models refuse a request for encrypted reasoning.
    fn reasons(&self) -> bool {
        let request = self.request;
        let effort = request.reasoning_effort.as_ref();
        effort.is_some_and(|effort| *effort != ReasoningEffort::None)
            && request.disable_reasoning != Some(true)
            || request.extra.iter().any(|(name, _)| name == "reasoning")
            || request
                .messages
                .iter()
                .any(|message| encode_items::has_reasoning(message, self.provider))
    }

    /// Reasoning is hidden unless a summary is requested.
    fn summary(&mut self) -> Result<Option<&'static str>, Error> {
        match &self.request.reasoning_format {
            Some(ReasoningFormat::Parsed) => Ok(Some("auto")),
            Some(ReasoningFormat::Hidden | ReasoningFormat::None) | None => Ok(None),
            Some(other) => {
                self.omissions.refuse_value("reasoning_format", other)?;
                Ok(None)
            }
        }
    }

    fn tools(&mut self) -> Result<(), Error> {
        let request = self.request;
        let tools = self.omissions.tools(&request.tools, &[self.provider])?;
        let fitted = self.fitted;
        let encoded = |tool| EncodedTool(tool, fitted);
        let tools: Vec<EncodedTool<'_>> = tools.into_iter().map(encoded).collect();
        if !tools.is_empty() {
            self.member("tools", &tools)?;
        }
        match request.needed_tool_choice() {
            Some(choice) => {
                let choice = Choice(choice, self.fitted);
                self.member("tool_choice", &choice)
            }
            None => Ok(()),
        }
    }
}

impl ParamVisitor for Encoder<'_> {
    fn param<T: Serialize>(&mut self, param: Param, value: &T) -> Result<(), Error> {
        let name = match param {
            Param::MaxTokens => "max_output_tokens",
            Param::UserId => self.profile.user_id_name,
            Param::Temperature
            | Param::TopP
            | Param::TopLogprobs
            | Param::ParallelToolCalls
            | Param::ServiceTier
            | Param::PromptCacheKey => param.name(),
            Param::Store | Param::Metadata if self.profile.stores => param.name(),
            Param::Background if self.profile.background => param.name(),
            // Written elsewhere; a response always has its usage, and one choice.
            Param::ReasoningEffort
            | Param::ReasoningFormat
            | Param::DisableReasoning
            | Param::Verbosity
            | Param::Compaction
            | Param::Logprobs => return Ok(()),
            Param::IncludeUsage if self.request.include_usage == Some(true) => return Ok(()),
            Param::N if self.request.n == Some(1) => return Ok(()),
            other => return self.refuse(other),
        };
        self.member(name, value)
    }
}

fn is_instruction(message: &Message) -> bool {
    let is_text = |part: &crate::ContentPart| matches!(part, crate::ContentPart::Text { .. });
    message.role == Role::System && message.name.is_none() && message.content.iter().all(is_text)
}

#[derive(Serialize)]
struct Reasoning<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'a ReasoningEffort>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'static str>,
}

#[derive(Serialize)]
struct Text<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verbosity: Option<&'a Verbosity>,
}

struct Format<'a>(&'a ResponseFormat);

impl Serialize for Format<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.0 {
            ResponseFormat::Text => map.serialize_entry("type", "text")?,
            ResponseFormat::JsonObject => map.serialize_entry("type", "json_object")?,
            ResponseFormat::JsonSchema(JsonSchema {
                name,
                description,
                schema,
                strict,
            }) => {
                map.serialize_entry("type", "json_schema")?;
                map.serialize_entry("name", name)?;
                if let Some(description) = description {
                    map.serialize_entry("description", description)?;
                }
                map.serialize_entry("schema", schema)?;
                if let Some(strict) = strict {
                    map.serialize_entry("strict", strict)?;
                }
            }
        }
        map.end()
    }
}

#[derive(Serialize)]
struct ContextManagement {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    compact_threshold: Option<u64>,
}

struct EncodedTool<'a>(&'a Tool, &'a FittedRequest<'a>);

impl Serialize for EncodedTool<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct NoParameters {
            r#type: &'static str,
            properties: std::collections::BTreeMap<String, Json>,
        }
        let (name, description, parameters, strict) = match self.0 {
            Tool::Provider { definition, .. } => return definition.serialize(serializer),
            // `UnsupportedParams::tools` returns none.
            Tool::Hosted(_) => return serializer.serialize_unit(),
            Tool::Function {
                name,
                description,
                parameters,
                strict,
            } => (name, description, parameters, strict),
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "function")?;
        map.serialize_entry("name", name)?;
        if let Some(description) = description {
            map.serialize_entry("description", description)?;
        }
        match parameters {
            Some(parameters) => map.serialize_entry("parameters", parameters)?,
            None => map.serialize_entry(
                "parameters",
                &NoParameters {
                    r#type: "object",
                    properties: std::collections::BTreeMap::new(),
                },
            )?,
        }
        // The default would be true here, and false in every other API.
        map.serialize_entry("strict", &strict.unwrap_or(false))?;
        if self.1.is_deferred(name) {
            map.serialize_entry("defer_loading", &true)?;
        }
        map.end()
    }
}

struct Choice<'a>(&'a ToolChoice, &'a FittedRequest<'a>);

impl Serialize for Choice<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            ToolChoice::Auto => serializer.serialize_str("auto"),
            ToolChoice::None => serializer.serialize_str("none"),
            ToolChoice::Required => serializer.serialize_str("required"),
            ToolChoice::Function(name) => {
                let mut map = serializer.serialize_map(None)?;
                if let Some(tool) = self.1.chosen(name) {
                    for member in ["type", "server_label"] {
                        if let Some(value) = tool.get(member) {
                            map.serialize_entry(member, value)?;
                        }
                    }
                    return map.end();
                }
                map.serialize_entry("type", "function")?;
                map.serialize_entry("name", name)?;
                map.end()
            }
        }
    }
}
