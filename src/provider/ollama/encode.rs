//! Encodes a request's body.

use crate::{
    ChatRequest, ContentPart, Error, Json, JsonSchema, Media, Message, ReasoningEffort,
    ResponseFormat, Role, Tool, ToolCall, ToolChoice, ToolResult,
    chat::{Param, ParamVisitor, Warning},
    json::ObjectWriter,
    provider::kit::{
        hosted::{self, HostedWire},
        json_object::JsonObject,
        request::{FunctionTool, HistorySupport, UnsupportedParams, data_url},
    },
};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// The body and the warnings.
pub(super) fn body(
    provider: &str,
    request: &ChatRequest,
) -> Result<(Vec<u8>, Vec<Warning>), Error> {
    let mut fitted = hosted::fit(request, HostedWire::without_tools(provider))?;
    let mut omissions = UnsupportedParams::new(provider, request.drop_unsupported);
    omissions.add_warnings(std::mem::take(&mut fitted.warnings));
    let request = &*fitted.request;
    let mut encoder = Encoder {
        provider,
        request,
        omissions,
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
    /// The fields of `options`.
    options: Vec<(&'static str, Json)>,
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

    fn conversation(&mut self) -> Result<(), Error> {
        let request = self.request;
        self.member("model", &request.model)?;
        if !request.extra.iter().any(|(name, _)| name == "messages") {
            let messages = Messages::new(&request.messages, self.provider, &mut self.omissions)?;
            self.out.member("messages", &messages)?;
        }
        // The default would be true.
        self.member("stream", &request.stream)
    }

    /// The API has no `tool_choice`: `none` omits the tools, `auto` sends them, other choices are unsupported.
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
            self.omissions.refuse("the field `strict` in `tools`")?;
        }
        let tools: Vec<FunctionTool<'_>> =
            tools.into_iter().filter_map(FunctionTool::new).collect();
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

    /// Reasoning models accept yes or no, some of them also an effort.
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
            // The last line always has it; there is always one choice.
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

// Conversion of the conversation to the API's messages.

/// The messages, in order.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct Messages<'a>(Vec<EncodedMessage<'a>>);

#[derive(Default, Serialize)]
struct EncodedMessage<'a> {
    role: &'static str,
    content: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    thinking: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
    #[serde(flatten)]
    others: JsonObject,
}

struct Call<'a> {
    id: &'a str,
    name: &'a str,
    arguments: Json,
}

impl<'a> Messages<'a> {
    pub(super) fn new(
        messages: &'a [Message],
        provider: &str,
        omissions: &mut UnsupportedParams<'_>,
    ) -> Result<Self, Error> {
        let mut wire = Vec::with_capacity(messages.len());
        let mut names = BTreeMap::new();
        let takes = HistorySupport {
            block_providers: &[provider],
            signatures: false,
            errors: false,
        };
        omissions.history(messages, takes);
        for message in messages {
            if message.name.is_some() {
                omissions.refuse("the `name` of a message")?;
            }
            names.extend(
                message
                    .tool_calls()
                    .map(|call| (call.id.as_str(), call.name.as_str())),
            );
            add(message, provider, &names, omissions, &mut wire)?;
        }
        results_in_call_order(&mut wire);
        Ok(Messages(wire))
    }
}

/// The templates of many models ignore ids, so a result belongs to its call by position.
fn results_in_call_order(messages: &mut [EncodedMessage<'_>]) {
    let mut calls: Vec<&str> = Vec::new();
    for run in messages.chunk_by_mut(|before, after| before.role == after.role) {
        match run.last().map(|message| message.role) {
            Some("assistant") => {
                let called = run.iter().flat_map(|message| &message.tool_calls);
                calls = called.map(|call| call.id).collect();
            }
            Some("tool") => run.sort_by_key(|result| {
                let call = calls.iter().position(|id| result.tool_call_id == Some(id));
                call.unwrap_or(usize::MAX)
            }),
            _ => {}
        }
    }
}

/// Encodes a message as one or more: each tool result is a separate message.
fn add<'a>(
    message: &'a Message,
    provider: &str,
    names: &BTreeMap<&'a str, &'a str>,
    omissions: &mut UnsupportedParams<'_>,
    wire: &mut Vec<EncodedMessage<'a>>,
) -> Result<(), Error> {
    let mut own = EncodedMessage {
        role: role(&message.role),
        ..EncodedMessage::default()
    };
    for part in &message.content {
        match part {
            ContentPart::Text { text, .. } | ContentPart::Refusal { text } => {
                own.content.push_str(text)
            }
            ContentPart::Reasoning { text, .. } => own.thinking.push_str(text),
            ContentPart::Image { media, detail } => {
                if let Some(detail) = detail.as_ref().filter(|d| d.as_str() != "auto") {
                    omissions.refuse_value("detail", detail)?;
                }
                own.images.push(image(media, omissions)?);
            }
            ContentPart::ToolCall(call) => own.tool_calls.push(tool_call(call, omissions)?),
            ContentPart::ToolResult(result) => {
                wire.push(tool_result(result, provider, names, omissions)?);
            }
            // Content without a type is sent back as a field of the message.
            ContentPart::ProviderBlock(block) if block.provider == provider => {
                let members = JsonObject::read(block.block.as_str());
                for (name, value) in members.iter().flat_map(JsonObject::iter) {
                    own.others.set(name, value.clone());
                }
            }
            ContentPart::ProviderBlock(_) => {}
            other => return Err(omissions.cannot_send(what(other))),
        }
    }
    let empty = own.content.is_empty() && own.images.is_empty() && own.tool_calls.is_empty();
    if !empty || !own.thinking.is_empty() || !own.others.is_empty() {
        wire.push(own);
    }
    Ok(())
}

fn tool_call<'a>(
    call: &'a ToolCall,
    omissions: &mut UnsupportedParams<'_>,
) -> Result<Call<'a>, Error> {
    Ok(Call {
        id: &call.id,
        name: &call.name,
        arguments: Json::parse(omissions.arguments(call)?)?,
    })
}

fn tool_result<'a>(
    result: &'a ToolResult,
    provider: &str,
    names: &BTreeMap<&'a str, &'a str>,
    omissions: &UnsupportedParams<'_>,
) -> Result<EncodedMessage<'a>, Error> {
    let name = result
        .name
        .as_deref()
        .or_else(|| names.get(result.call_id.as_str()).copied());
    let mut message = EncodedMessage {
        role: "tool",
        tool_name: name,
        tool_call_id: Some(result.call_id.as_str()).filter(|id| !id.is_empty()),
        ..EncodedMessage::default()
    };
    for part in &result.content {
        match part {
            ContentPart::Text { text, .. } => message.content.push_str(text),
            ContentPart::Image { media, .. } => message.images.push(image(media, omissions)?),
            ContentPart::ProviderBlock(block) if block.provider != provider => {}
            other => return Err(omissions.cannot_send(what(other))),
        }
    }
    Ok(message)
}

/// In base64, without a MIME type.
fn image(media: &Media, omissions: &UnsupportedParams<'_>) -> Result<String, Error> {
    match media {
        Media::Inline { data, .. } => Ok(Media::base64(data)),
        Media::Url { url, .. } => match data_url(url) {
            Some((_, data)) => Ok(data.to_owned()),
            None => Err(omissions.cannot_send("an image by its URL")),
        },
        Media::File { .. } => Err(omissions.cannot_send("an uploaded image")),
    }
}

fn role(role: &Role) -> &'static str {
    match role {
        Role::System | Role::Developer => "system",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
        Role::User | Role::Other(_) => "user",
    }
}

fn what(part: &ContentPart) -> &'static str {
    match part {
        ContentPart::Audio { .. } => "audio",
        ContentPart::Video { .. } => "video",
        ContentPart::Document { .. } => "a document",
        _ => "this part of a message",
    }
}

impl Serialize for Call<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Function<'a> {
            name: &'a str,
            arguments: &'a Json,
        }
        #[derive(Serialize)]
        struct FunctionFields<'a> {
            id: &'a str,
            function: Function<'a>,
        }
        let function = Function {
            name: self.name,
            arguments: &self.arguments,
        };
        FunctionFields {
            id: self.id,
            function,
        }
        .serialize(serializer)
    }
}
