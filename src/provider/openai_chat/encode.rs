//! From a request to the body that a server's profile allows.

use super::profile::{Profile, ReasoningReplay};
use crate::{
    ChatRequest, ContentPart, Error, ErrorKind, Json, JsonSchema, Media, Message, Param,
    ResponseFormat, Role, Tool, ToolCall, ToolChoice, ToolResult, Warning, chat::ParamVisitor,
    json_writer::ObjectWriter,
};
use serde::{Serialize, Serializer, ser::SerializeMap, ser::SerializeSeq};

/// The body, and what was dropped from it.
pub(super) fn body(
    profile: &Profile,
    name: &str,
    request: &ChatRequest,
) -> Result<(Vec<u8>, Vec<Warning>), Error> {
    let mut encoder = Encoder {
        profile,
        provider: name,
        request,
        out: ObjectWriter::with_capacity(estimate(request)),
        warnings: Vec::new(),
    };
    encoder.fixed()?;
    request.visit_scalars(&mut encoder)?;
    encoder.structured()?;
    encoder.extra()?;
    Ok((encoder.out.finish(), encoder.warnings))
}

struct Encoder<'a> {
    profile: &'a Profile,
    provider: &'a str,
    request: &'a ChatRequest,
    out: ObjectWriter,
    warnings: Vec<Warning>,
}

impl<'a> Encoder<'a> {
    fn fixed(&mut self) -> Result<(), Error> {
        let request = self.request;
        if !self.overridden("model") {
            self.out.member("model", &request.model)?;
        }
        if !self.overridden("messages") {
            let (messages, mut left_out) = self.messages()?;
            self.warnings.append(&mut left_out);
            self.out.member("messages", &messages)?;
        }
        if request.stream && !self.overridden("stream") {
            self.out.member("stream", &true)?;
        }
        let wanted = request.include_usage.unwrap_or(self.profile.stream_usage);
        if request.stream
            && wanted
            && self.profile.stream_usage
            && !self.overridden("stream_options")
        {
            self.out.member(
                "stream_options",
                &StreamOptions {
                    include_usage: true,
                },
            )?;
        }
        Ok(())
    }

    fn structured(&mut self) -> Result<(), Error> {
        let request = self.request;
        if !request.stop.is_empty() && self.allowed(Param::Stop)? {
            self.out.member("stop", &request.stop)?;
        }
        if !request.tools.is_empty() && self.allowed(Param::Tools)? {
            let tools = self.tools()?;
            self.out.member("tools", &tools)?;
        }
        if let Some(choice) = &request.tool_choice {
            if self.allowed(Param::ToolChoice)? {
                self.out
                    .member("tool_choice", &WireToolChoice(choice, self.profile))?;
            }
        }
        if let Some(format) = &request.response_format {
            if self.allowed(Param::ResponseFormat)? {
                self.out.member("response_format", &WireFormat(format))?;
            }
        }
        if let Some(text) = &request.prediction {
            if self.allowed(Param::Prediction)? {
                self.out.member(
                    "prediction",
                    &Prediction {
                        r#type: "content",
                        content: text,
                    },
                )?;
            }
        }
        Ok(())
    }

    fn extra(&mut self) -> Result<(), Error> {
        for (name, value) in &self.request.extra {
            let known = self
                .profile
                .extra
                .is_none_or(|allowed| allowed.contains(&name.as_str()));
            if known {
                self.out.member(name, value)?;
            } else {
                self.refuse(&format!("member `{name}`"))?;
            }
        }
        Ok(())
    }

    /// Whether a parameter that is set may be sent. If not, that is an error, or with `lenient` a warning.
    fn allowed(&mut self, param: Param) -> Result<bool, Error> {
        if !self.profile.takes(param) {
            self.refuse(&format!("parameter `{}`", param.name()))?;
            return Ok(false);
        }
        Ok(!self.overridden(self.profile.wire_name(param)))
    }

    fn refuse(&mut self, what: &str) -> Result<(), Error> {
        let message = format!("`{}` does not support the {what}", self.provider);
        if self.request.lenient {
            self.warnings.push(Warning::new(
                "unsupported_parameter",
                format!("{message}; it was not sent"),
            ));
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidRequest,
            format!("{message}; leave it out, or ask with `lenient()` to have it dropped"),
        ))
    }

    /// Whether `extra` has a member of this name, which counts before the typed one.
    fn overridden(&self, name: &str) -> bool {
        self.request.extra.iter().any(|(other, _)| other == name)
    }

    fn tools(&self) -> Result<Vec<WireTool<'a>>, Error> {
        let request: &'a ChatRequest = self.request;
        let mut wire = Vec::with_capacity(request.tools.len());
        for tool in &request.tools {
            match tool {
                Tool::Function {
                    name,
                    description,
                    parameters,
                    strict,
                } => {
                    wire.push(WireTool::Function {
                        function: FunctionSpec {
                            name,
                            description: description.as_deref(),
                            parameters: parameters.as_ref(),
                            strict: *strict,
                        },
                    });
                }
                Tool::Provider {
                    provider,
                    definition,
                } if provider == self.provider => {
                    wire.push(WireTool::Raw(definition));
                }
                Tool::Provider { provider, .. } => {
                    return Err(Error::new(
                        ErrorKind::InvalidRequest,
                        format!(
                            "a tool of `{provider}` cannot be sent to `{}`",
                            self.provider
                        ),
                    ));
                }
            }
        }
        Ok(wire)
    }

    fn messages(&self) -> Result<(Vec<WireMessage<'a>>, Vec<Warning>), Error> {
        let request: &'a ChatRequest = self.request;
        let mut wire = Vec::with_capacity(request.messages.len());
        let mut left_out = Vec::new();
        for message in &request.messages {
            self.message(message, &mut wire, &mut left_out)?;
        }
        Ok((wire, left_out))
    }

    /// A message as one or more messages of the wire: each tool result is one of its own.
    fn message<'m>(
        &self,
        message: &'m Message,
        wire: &mut Vec<WireMessage<'m>>,
        left_out: &mut Vec<Warning>,
    ) -> Result<(), Error> {
        let mut own = WireMessage::new(self.role(&message.role));
        own.name = message
            .name
            .as_deref()
            .filter(|_| self.profile.message_name);
        if own.name.is_none() && message.name.is_some() {
            left_out.push(Warning::new(
                "unsupported_parameter",
                format!(
                    "`{}` takes no `name` in messages; it was not sent",
                    self.provider
                ),
            ));
        }
        for part in &message.content {
            match part {
                ContentPart::ToolResult(result) => wire.push(self.tool_result(result)?),
                ContentPart::ToolCall(call) => own.tool_calls.push(call),
                ContentPart::Refusal { text } => own.refusal = Some(text),
                ContentPart::Reasoning { text, .. } => match self.profile.reasoning {
                    ReasoningReplay::Field(name) => {
                        own.reasoning.get_or_insert((name, Vec::new())).1.push(text)
                    }
                    ReasoningReplay::Never | ReasoningReplay::Details => {}
                },
                ContentPart::Opaque(block) if block.provider == self.provider => {
                    own.opaque.push(&block.block)
                }
                ContentPart::Opaque(block) => left_out.push(Warning::new(
                    "opaque_left_out",
                    format!(
                        "a block of `{}` was not sent to `{}`",
                        block.provider, self.provider
                    ),
                )),
                part => own.parts.push(self.part(part)?),
            }
        }
        if !own.is_empty() {
            wire.push(own);
        }
        Ok(())
    }

    fn role(&self, role: &Role) -> &'static str {
        match role {
            Role::System => "system",
            Role::Developer if self.profile.developer_role => "developer",
            Role::Developer => "system",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
            Role::User | Role::Other(_) => "user",
        }
    }

    fn tool_result<'m>(&self, result: &'m ToolResult) -> Result<WireMessage<'m>, Error> {
        let mut message = WireMessage::new("tool");
        message.tool_call_id = Some(&result.call_id);
        message.name = result.name.as_deref().filter(|_| self.profile.message_name);
        for part in &result.content {
            message.parts.push(self.part(part)?);
        }
        Ok(message)
    }

    fn part<'m>(&self, part: &'m ContentPart) -> Result<WirePart<'m>, Error> {
        Ok(match part {
            ContentPart::Text { text, .. } => WirePart::Text(text),
            ContentPart::Image {
                media: Media::Url { url, .. },
                detail,
            } => WirePart::ImageUrl(url.clone(), detail.as_ref().map(|detail| detail.as_str())),
            ContentPart::Image {
                media: Media::Inline { mime_type, data },
                detail,
            } => WirePart::ImageUrl(
                data_url(mime_type, data),
                detail.as_ref().map(|detail| detail.as_str()),
            ),
            ContentPart::Audio {
                media: Media::Inline { mime_type, data },
            } => {
                let format = match mime_type.as_str() {
                    "audio/mpeg" | "audio/mp3" => "mp3",
                    "audio/wav" | "audio/x-wav" | "audio/wave" => "wav",
                    other => other.strip_prefix("audio/").unwrap_or(other),
                };
                WirePart::Audio(Media::base64(data), format)
            }
            ContentPart::Document {
                media: Media::Inline { mime_type, data },
                name,
            } => WirePart::FileData(data_url(mime_type, data), name.as_deref()),
            ContentPart::Document {
                media: Media::File { id },
                ..
            }
            | ContentPart::Image {
                media: Media::File { id },
                ..
            } => WirePart::FileId(id),
            other => {
                let what = match other {
                    ContentPart::Audio { .. } => "sound by its address",
                    ContentPart::Video { .. } => "a video",
                    ContentPart::Document { .. } => "a document by its address",
                    _ => "this part of a message",
                };
                return Err(Error::new(
                    ErrorKind::InvalidRequest,
                    format!("{what} cannot be sent to `{}`", self.provider),
                ));
            }
        })
    }
}

impl ParamVisitor for Encoder<'_> {
    fn param<T: Serialize>(&mut self, param: Param, value: &T) -> Result<(), Error> {
        // Part of `stream_options`, written with the fixed members.
        if param == Param::IncludeUsage {
            return if self.profile.stream_usage {
                Ok(())
            } else {
                self.refuse("parameter `include_usage`")
            };
        }
        if self.allowed(param)? {
            self.out.member(self.profile.wire_name(param), value)?;
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct Prediction<'a> {
    r#type: &'static str,
    content: &'a str,
}

#[derive(Default)]
struct WireMessage<'a> {
    role: &'static str,
    name: Option<&'a str>,
    parts: Vec<WirePart<'a>>,
    refusal: Option<&'a str>,
    reasoning: Option<(&'static str, Vec<&'a String>)>,
    tool_calls: Vec<&'a ToolCall>,
    tool_call_id: Option<&'a str>,
    opaque: Vec<&'a Json>,
}

impl<'a> WireMessage<'a> {
    fn new(role: &'static str) -> Self {
        WireMessage {
            role,
            ..WireMessage::default()
        }
    }

    fn is_empty(&self) -> bool {
        self.parts.is_empty()
            && self.refusal.is_none()
            && self.reasoning.is_none()
            && self.tool_calls.is_empty()
            && self.opaque.is_empty()
    }
}

impl Serialize for WireMessage<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("role", self.role)?;
        match self.parts.as_slice() {
            [] if self.role == "assistant" => map.serialize_entry("content", &None::<&str>)?,
            [] => map.serialize_entry("content", "")?,
            [WirePart::Text(text)] => map.serialize_entry("content", text)?,
            parts => map.serialize_entry("content", parts)?,
        }
        if let Some(name) = self.name {
            map.serialize_entry("name", name)?;
        }
        if let Some(refusal) = self.refusal {
            map.serialize_entry("refusal", refusal)?;
        }
        if let Some((name, texts)) = &self.reasoning {
            match texts.as_slice() {
                [text] => map.serialize_entry(name, text)?,
                texts => map.serialize_entry(
                    name,
                    &texts.iter().map(|text| text.as_str()).collect::<String>(),
                )?,
            }
        }
        if !self.tool_calls.is_empty() {
            map.serialize_entry("tool_calls", &WireCalls(&self.tool_calls))?;
        }
        if let Some(id) = self.tool_call_id {
            map.serialize_entry("tool_call_id", id)?;
        }
        if !self.opaque.is_empty() {
            map.serialize_entry("reasoning_details", &self.opaque)?;
        }
        map.end()
    }
}

enum WirePart<'a> {
    Text(&'a str),
    ImageUrl(String, Option<&'a str>),
    Audio(String, &'a str),
    FileData(String, Option<&'a str>),
    FileId(&'a str),
}

impl Serialize for WirePart<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct ImageUrl<'a> {
            url: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            detail: Option<&'a str>,
        }
        #[derive(Serialize)]
        struct InputAudio<'a> {
            data: &'a str,
            format: &'a str,
        }
        #[derive(Serialize)]
        struct File<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            filename: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            file_data: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            file_id: Option<&'a str>,
        }
        let mut map = serializer.serialize_map(Some(2))?;
        match self {
            WirePart::Text(text) => {
                map.serialize_entry("type", "text")?;
                map.serialize_entry("text", text)?;
            }
            WirePart::ImageUrl(url, detail) => {
                map.serialize_entry("type", "image_url")?;
                map.serialize_entry(
                    "image_url",
                    &ImageUrl {
                        url,
                        detail: *detail,
                    },
                )?;
            }
            WirePart::Audio(data, format) => {
                map.serialize_entry("type", "input_audio")?;
                map.serialize_entry("input_audio", &InputAudio { data, format })?;
            }
            WirePart::FileData(data, name) => {
                map.serialize_entry("type", "file")?;
                let file = File {
                    filename: *name,
                    file_data: Some(data),
                    file_id: None,
                };
                map.serialize_entry("file", &file)?;
            }
            WirePart::FileId(id) => {
                map.serialize_entry("type", "file")?;
                map.serialize_entry(
                    "file",
                    &File {
                        filename: None,
                        file_data: None,
                        file_id: Some(id),
                    },
                )?;
            }
        }
        map.end()
    }
}

struct WireCalls<'a>(&'a [&'a ToolCall]);

impl Serialize for WireCalls<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Function<'a> {
            name: &'a str,
            arguments: &'a str,
        }
        #[derive(Serialize)]
        struct Call<'a> {
            id: &'a str,
            r#type: &'static str,
            function: Function<'a>,
            #[serde(skip_serializing_if = "Option::is_none")]
            extra_content: Option<&'a Json>,
        }
        let mut calls = serializer.serialize_seq(Some(self.0.len()))?;
        for call in self.0 {
            calls.serialize_element(&Call {
                id: &call.id,
                r#type: "function",
                function: Function {
                    name: &call.name,
                    arguments: call.arguments_json(),
                },
                extra_content: call.provider_data.as_ref().map(|data| &data.data),
            })?;
        }
        calls.end()
    }
}

#[derive(Serialize)]
struct FunctionSpec<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

enum WireTool<'a> {
    Function { function: FunctionSpec<'a> },
    Raw(&'a Json),
}

impl Serialize for WireTool<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            WireTool::Raw(raw) => raw.serialize(serializer),
            WireTool::Function { function } => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("type", "function")?;
                map.serialize_entry("function", function)?;
                map.end()
            }
        }
    }
}

struct WireToolChoice<'a>(&'a ToolChoice, &'a Profile);

impl Serialize for WireToolChoice<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Named<'a> {
            name: &'a str,
        }
        match self.0 {
            ToolChoice::Auto => serializer.serialize_str("auto"),
            ToolChoice::None => serializer.serialize_str("none"),
            ToolChoice::Required => serializer.serialize_str(self.1.tool_choice_required),
            ToolChoice::Function(name) => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("type", "function")?;
                map.serialize_entry("function", &Named { name })?;
                map.end()
            }
        }
    }
}

struct WireFormat<'a>(&'a ResponseFormat);

impl Serialize for WireFormat<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Schema<'a> {
            name: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            description: Option<&'a str>,
            schema: &'a Json,
            #[serde(skip_serializing_if = "Option::is_none")]
            strict: Option<bool>,
        }
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
                let schema = Schema {
                    name,
                    description: description.as_deref(),
                    schema,
                    strict: *strict,
                };
                map.serialize_entry("json_schema", &schema)?;
            }
        }
        map.end()
    }
}

fn data_url(mime_type: &str, data: &bytes::Bytes) -> String {
    ["data:", mime_type, ";base64,", &Media::base64(data)].concat()
}

/// Enough for most requests, so that the body is not moved while it grows.
fn estimate(request: &ChatRequest) -> usize {
    let text = |message: &Message| {
        message
            .content
            .iter()
            .fold(64_usize, |sum, part| match part {
                ContentPart::Text { text, .. } => sum.saturating_add(text.len()),
                _ => sum.saturating_add(128),
            })
    };
    request
        .messages
        .iter()
        .fold(512, |sum, message| sum.saturating_add(text(message)))
}
