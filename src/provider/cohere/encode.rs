//! Encodes a request's body.

use crate::{
    ChatRequest, ContentPart, Error, JsonSchema, Media, Message, ReasoningEffort, ResponseFormat,
    Role, Tool, ToolCall, ToolChoice, ToolResult,
    chat::{Param, ParamVisitor, Warning},
    json::ObjectWriter,
    provider::kit::{
        hosted::{self, HostedWire},
        request::{FunctionTool, HistorySupport, UnsupportedParams, to_data_url},
    },
};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use std::borrow::Cow;

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
            let Conversation {
                messages,
                documents,
            } = conversation(&request.messages, self.provider, &mut self.omissions)?;
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
        let tools: Vec<FunctionTool<'_>> =
            tools.into_iter().filter_map(FunctionTool::new).collect();
        if !tools.is_empty() {
            self.member("tools", &tools)?;
        }
        // One flag for all tools of a request.
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
            // Written as `thinking`; the usage is always sent, and there is always one choice.
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

// Conversion of the conversation to the API's messages and documents.

/// The messages and the documents.
pub(super) struct Conversation<'a> {
    pub(super) messages: Vec<EncodedMessage<'a>>,
    pub(super) documents: Vec<Document<'a>>,
}

#[derive(Default, Serialize)]
pub(super) struct EncodedMessage<'a> {
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_plan: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(&'a str),
    Parts(Vec<Part<'a>>),
}

enum Part<'a> {
    Text(&'a str),
    Thinking(&'a str),
    Image {
        url: String,
        detail: Option<&'a str>,
    },
    /// Only in a tool result.
    Document(Document<'a>),
}

struct Call<'a> {
    call: &'a ToolCall,
    arguments: Cow<'a, str>,
}

#[derive(Serialize)]
pub(super) struct Document<'a> {
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    text: &'a str,
}

/// Encodes a conversation.
pub(super) fn conversation<'a>(
    messages: &'a [Message],
    provider: &str,
    omissions: &mut UnsupportedParams<'_>,
) -> Result<Conversation<'a>, Error> {
    let mut all = Conversation {
        messages: Vec::with_capacity(messages.len()),
        documents: Vec::new(),
    };
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
        add(message, provider, omissions, &mut all)?;
    }
    Ok(all)
}

/// Encodes a message as one or more: each tool result is a separate message.
fn add<'a>(
    message: &'a Message,
    provider: &str,
    omissions: &mut UnsupportedParams<'_>,
    all: &mut Conversation<'a>,
) -> Result<(), Error> {
    let mut own = EncodedMessage {
        role: role(&message.role),
        ..EncodedMessage::default()
    };
    own.tool_plan = message.content.iter().find_map(|part| plan(part, provider));
    let mut parts = Vec::new();
    for part in &message.content {
        match part {
            ContentPart::Text { text, .. } | ContentPart::Refusal { text } => {
                parts.push(Part::Text(text))
            }
            // The plan as reasoning equals the plan that is sent back.
            ContentPart::Reasoning { text, .. } if own.tool_plan.as_ref() == Some(text) => {}
            ContentPart::Reasoning { text, .. } => parts.push(Part::Thinking(text)),
            ContentPart::Image { media, detail } => parts.push(Part::Image {
                url: image(media, omissions)?,
                detail: detail.as_ref().map(|detail| detail.as_str()),
            }),
            ContentPart::Document { media, name } => {
                all.documents
                    .push(document(media, name.as_deref(), omissions)?);
            }
            ContentPart::ToolCall(call) => own.tool_calls.push(Call {
                call,
                arguments: omissions.arguments(call)?,
            }),
            ContentPart::ToolResult(result) => {
                all.messages.push(tool_result(result, provider, omissions)?);
            }
            part if plan(part, provider).is_some() => {}
            ContentPart::ProviderBlock(block) if block.provider != provider => {}
            other => return Err(omissions.cannot_send(what(other))),
        }
    }
    let is_reasoning = |part: &Part<'_>| matches!(part, Part::Thinking(_));
    let has_reasoning = !parts.is_empty() || own.tool_plan.is_some();
    if has_reasoning && own.tool_calls.is_empty() && parts.iter().all(is_reasoning) {
        omissions.warn(
            "reasoning_left_out",
            "a message with only reasoning was not sent",
        );
        return Ok(());
    }
    own.content = content(parts);
    if own.content.is_some() || own.tool_plan.is_some() || !own.tool_calls.is_empty() {
        all.messages.push(own);
    }
    Ok(())
}

fn content(parts: Vec<Part<'_>>) -> Option<Content<'_>> {
    match parts.as_slice() {
        [] => None,
        [Part::Text(text)] => Some(Content::Text(text)),
        _ => Some(Content::Parts(parts)),
    }
}

/// The plan of a message, as the decoder stores it.
fn plan(part: &ContentPart, provider: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct ToolPlan {
        tool_plan: String,
    }
    match part {
        ContentPart::ProviderBlock(block) if block.provider == provider => block
            .block
            .decode::<ToolPlan>()
            .ok()
            .map(|plan| plan.tool_plan),
        _ => None,
    }
}

fn tool_result<'a>(
    result: &'a ToolResult,
    provider: &str,
    omissions: &UnsupportedParams<'_>,
) -> Result<EncodedMessage<'a>, Error> {
    let mut parts = Vec::with_capacity(result.content.len());
    for part in &result.content {
        match part {
            ContentPart::Text { text, .. } => parts.push(Part::Text(text)),
            ContentPart::Document { media, name } => {
                parts.push(Part::Document(document(media, name.as_deref(), omissions)?));
            }
            ContentPart::ProviderBlock(block) if block.provider != provider => {}
            other => {
                return Err(omissions.cannot_send(&format!("{} in a tool result", what(other))));
            }
        }
    }
    Ok(EncodedMessage {
        role: "tool",
        content: Some(content(parts).unwrap_or(Content::Text(""))),
        tool_call_id: Some(&result.call_id),
        ..EncodedMessage::default()
    })
}

fn document<'a>(
    media: &'a Media,
    name: Option<&'a str>,
    omissions: &UnsupportedParams<'_>,
) -> Result<Document<'a>, Error> {
    let text = match media {
        Media::Inline { mime_type, data } if mime_type.starts_with("text/") => {
            std::str::from_utf8(data).ok()
        }
        _ => None,
    };
    match text {
        Some(text) => Ok(Document {
            data: Data { title: name, text },
        }),
        None => Err(omissions.cannot_send("a document that is not text")),
    }
}

fn image(media: &Media, omissions: &UnsupportedParams<'_>) -> Result<String, Error> {
    match media {
        Media::Url { url, .. } => Ok(url.clone()),
        Media::Inline { mime_type, data } => Ok(to_data_url(mime_type, data)),
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
        ContentPart::Image { .. } => "an image",
        ContentPart::Audio { .. } => "audio",
        ContentPart::Video { .. } => "video",
        _ => "this part",
    }
}

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct ImageUrl<'a> {
            url: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            detail: Option<&'a str>,
        }
        let mut map = serializer.serialize_map(Some(2))?;
        match self {
            Part::Text(text) => {
                map.serialize_entry("type", "text")?;
                map.serialize_entry("text", text)?;
            }
            Part::Thinking(text) => {
                map.serialize_entry("type", "thinking")?;
                map.serialize_entry("thinking", text)?;
            }
            Part::Image { url, detail } => {
                map.serialize_entry("type", "image_url")?;
                map.serialize_entry(
                    "image_url",
                    &ImageUrl {
                        url,
                        detail: *detail,
                    },
                )?;
            }
            Part::Document(document) => {
                map.serialize_entry("type", "document")?;
                map.serialize_entry("document", document)?;
            }
        }
        map.end()
    }
}

impl Serialize for Call<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Function<'a> {
            name: &'a str,
            arguments: &'a str,
        }
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("id", &self.call.id)?;
        map.serialize_entry("type", "function")?;
        let function = Function {
            name: &self.call.name,
            arguments: &self.arguments,
        };
        map.serialize_entry("function", &function)?;
        map.end()
    }
}
