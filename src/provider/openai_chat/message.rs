//! Encodes messages as a server's profile allows.

use super::{
    ChatProfile, ForeignCalls, MediaPlacement, ReasoningReplay,
    encode::{Content, EncodedMessage},
    kept_fields,
};
use crate::{
    ChatRequest, ContentPart, Error, ErrorKind, Json, Media, Message, Role, ToolCall, ToolResult,
    chat::Param,
    json::ListWriter,
    provider::{
        gemini::Generation,
        kit::{
            json_object::JsonObject,
            request::{HistorySupport, UnsupportedParams, audio_format, to_data_url},
        },
    },
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The text of a tool message whose result is completely in the following user message.
const RESULT_FOLLOWS: &str = "The result is in the next message of the user.";

/// Encodes messages.
pub(super) struct Messages<'p, 'r, 'n> {
    profile: &'p ChatProfile,
    provider: &'p str,
    omissions: &'r mut UnsupportedParams<'n>,
    /// The field that a message with calls must have, and its value without reasoning.
    required: Option<(&'static str, &'static str)>,
    /// Whether the model accepts only a single text as content.
    text_only: bool,
    /// Whether calls of other models need a placeholder for a signature.
    signs_calls: bool,
}

/// The messages so far, and content that must follow the results of the last turn.
#[derive(Default)]
struct MessageList<'a> {
    messages: Vec<EncodedMessage<'a>>,
    moved: Vec<EncodedPart<'a>>,
}

impl<'p, 'r, 'n> Messages<'p, 'r, 'n> {
    pub(super) fn new(
        profile: &'p ChatProfile,
        provider: &'p str,
        request: &ChatRequest,
        omissions: &'r mut UnsupportedParams<'n>,
    ) -> Self {
        let required = match (profile.reasoning, profile.required_reasoning) {
            (ReasoningReplay::Field(name), Some(text)) if !thinking_is_off(profile, request) => {
                Some((name, text))
            }
            _ => None,
        };
        let mut text_only = profile.text_only.iter();
        let signs_calls = match profile.foreign_calls {
            ForeignCalls::Plain => false,
            ForeignCalls::SignedForGemini => Generation::of(&request.model) == Generation::Third,
        };
        Messages {
            signs_calls,
            profile,
            provider,
            omissions,
            required,
            text_only: text_only.any(|beginning| request.model.starts_with(beginning)),
        }
    }

    pub(super) fn all(
        mut self,
        request: &ChatRequest,
        list: &mut ListWriter<'_>,
    ) -> Result<(), Error> {
        let takes = HistorySupport {
            block_providers: &[self.provider],
            signatures: false,
            errors: false,
        };
        self.omissions.history(&request.messages, takes);
        let mut sent = MessageList {
            messages: Vec::with_capacity(request.messages.len()),
            moved: Vec::new(),
        };
        for message in &request.messages {
            self.message(message, &mut sent)?;
        }
        sent.append_relocated();
        let mut messages = sent.messages;
        if self.profile.alternating_roles {
            messages = self.alternate(messages);
        }
        for message in &messages {
            list.object(|object| message.write(object, self.text_only))?;
        }
        Ok(())
    }

    /// Encodes a message as one or more: each tool result is a separate message.
    fn message<'m>(
        &mut self,
        message: &'m Message,
        sent: &mut MessageList<'m>,
    ) -> Result<(), Error> {
        let mut own = EncodedMessage::new(self.role(&message.role));
        if let Some(name) = &message.name {
            if self.profile.message_name {
                own.name = Some(name);
            } else {
                self.omissions.refuse("the `name` of a message")?;
            }
        }
        for part in &message.content {
            match part {
                ContentPart::ToolResult(result) => {
                    let result = self.tool_result(result, &mut sent.moved)?;
                    sent.messages.push(result);
                }
                ContentPart::ToolCall(call) => {
                    let call = EncodedCall::new(call, self.provider, self.omissions)?;
                    own.tool_calls.push(call);
                }
                ContentPart::Refusal { text } if self.profile.message_refusal => {
                    own.refusal = Some(text);
                }
                ContentPart::Refusal { text } => {
                    own.content.push(EncodedPart::Text(text.into()));
                }
                ContentPart::Reasoning { text, .. } => self.reasoning(text, &mut own),
                ContentPart::ProviderBlock(block) if block.provider == self.provider => {
                    match kept_fields::dropped_field(&block.block) {
                        Some(name) => self.drop_part(&name),
                        None => own.provider_block(&block.block),
                    }
                }
                ContentPart::ProviderBlock(_) => {}
                part => own.content.push(self.part(part)?),
            }
        }
        if !own.details.is_empty() {
            own.reasoning = None;
        }
        let media = self.relocated_media(&mut own, "From the turn of the assistant:");
        if !own.is_empty() {
            if let Some((name, text)) = self.required.filter(|_| !own.tool_calls.is_empty()) {
                own.require_reasoning(name, text);
            }
            if self.signs_calls {
                EncodedCall::sign_first(&mut own.tool_calls);
            }
            if let Some(separator) = self.separator(own.role) {
                own.content.join_texts(separator);
            }
            sent.append_relocated();
            sent.messages.push(own);
        }
        sent.moved.extend(media);
        Ok(())
    }

    fn part<'m>(&self, part: &'m ContentPart) -> Result<EncodedPart<'m>, Error> {
        Ok(match EncodedPart::new(part, self.provider)? {
            EncodedPart::FileId(id) if self.profile.flat_file_ids => EncodedPart::FlatFileId(id),
            part => part,
        })
    }

    fn drop_part(&mut self, name: &str) {
        let provider = self.provider;
        self.omissions.warn(
            "opaque_left_out",
            format!("the field `{name}` of an earlier response was not sent back to `{provider}`"),
        );
    }

    fn role<'m>(&self, role: &'m Role) -> &'m str {
        match role {
            Role::Developer if !self.profile.developer_role => Role::System.as_str(),
            role => role.as_str(),
        }
    }

    /// The separator of texts that are joined.
    fn separator(&self, role: &str) -> Option<&'static str> {
        match role {
            "assistant" => Some(""),
            "tool" => Some("\n"),
            "system" | "developer" => Some("\n\n"),
            _ => self.text_only.then_some("\n\n"),
        }
    }

    fn reasoning<'m>(&self, text: &'m str, own: &mut EncodedMessage<'m>) {
        let name = match self.profile.reasoning {
            ReasoningReplay::Never => return,
            ReasoningReplay::Thinking => return own.content.push(EncodedPart::Thinking(text)),
            ReasoningReplay::Field(name) => name,
            ReasoningReplay::Details => "reasoning",
        };
        own.reasoning.get_or_insert((name, Vec::new())).1.push(text);
    }

    fn tool_result<'m>(
        &mut self,
        result: &'m ToolResult,
        moved: &mut Vec<EncodedPart<'m>>,
    ) -> Result<EncodedMessage<'m>, Error> {
        let mut message = EncodedMessage::new("tool");
        message.tool_call_id = Some(&result.call_id);
        message.name = result.name.as_deref().filter(|_| self.profile.message_name);
        let is_foreign = |part: &&ContentPart| match part {
            ContentPart::ProviderBlock(block) => block.provider != self.provider,
            _ => false,
        };
        for part in result.content.iter().filter(|part| !is_foreign(part)) {
            let part = self.part(part)?;
            message.content.push(part);
        }
        let label = format!("From the result of tool call `{}`:", result.call_id);
        let media = self.relocated_media(&mut message, &label);
        if !media.is_empty() && matches!(message.content, Content::None) {
            message
                .content
                .push(EncodedPart::Text(RESULT_FOLLOWS.into()));
        }
        moved.extend(media);
        if let Some(separator) = self.separator(message.role) {
            message.content.join_texts(separator);
        }
        Ok(message)
    }

    /// The content of a message that must move to a user message, after a text that names its origin.
    fn relocated_media<'m>(
        &mut self,
        message: &mut EncodedMessage<'m>,
        label: &str,
    ) -> Vec<EncodedPart<'m>> {
        let is_own = self.profile.media == MediaPlacement::AnyMessage || message.role == "user";
        let mut media = match is_own {
            true => Vec::new(),
            false => message.take_media(),
        };
        if !media.is_empty() {
            self.omissions.warn(
                "media_moved",
                format!(
                    "`{}` accepts media only in user messages: those of a message with the role `{}` were moved to a user message after it",
                    self.provider, message.role
                ),
            );
            media.insert(0, EncodedPart::Text(label.to_owned().into()));
        }
        media
    }

    /// Moves system messages to the beginning, and joins adjacent messages of the same role.
    fn alternate<'m>(&mut self, messages: Vec<EncodedMessage<'m>>) -> Vec<EncodedMessage<'m>> {
        let mut joined: Vec<EncodedMessage<'m>> = Vec::with_capacity(messages.len());
        let is_instruction = |message: &EncodedMessage<'_>| message.role == "system";
        let mut instructions = 0_usize;
        for message in messages {
            if is_instruction(&message) {
                if joined.len() > instructions {
                    self.omissions.warn(
                        "system_moved",
                        "system messages in the middle of the conversation were moved to its beginning",
                    );
                }
                joined.insert(instructions, message);
                instructions = instructions.saturating_add(1);
                continue;
            }
            let last = joined.last_mut();
            match last.filter(|last| last.role == message.role && message.role != "tool") {
                Some(last) => last.join(message),
                None => joined.push(message),
            }
        }
        joined
    }
}

impl MessageList<'_> {
    /// Tool results directly follow their calls; content that was moved out of them follows the last one.
    fn append_relocated(&mut self) {
        if self.moved.is_empty() {
            return;
        }
        let mut message = EncodedMessage::new("user");
        message.content = Content::Parts(std::mem::take(&mut self.moved));
        self.messages.push(message);
    }
}

/// Whether the request disables reasoning, by the parameter or by the server's own field.
fn thinking_is_off(profile: &ChatProfile, request: &ChatRequest) -> bool {
    let off = profile
        .renamed_values
        .iter()
        .find(|s| s.param == Param::DisableReasoning && s.value == "true");
    let is_said = |(name, value): &(String, Json)| {
        let own = off.filter(|off| off.name.split('.').next() == Some(name));
        own.is_some_and(|off| match off.name.split_once('.') {
            Some((_, inner)) => JsonObject::read(value.as_str())
                .and_then(|members| {
                    members
                        .get(inner)
                        .map(|value| value.as_str() == off.api_value)
                })
                .unwrap_or(false),
            None => value.as_str() == off.api_value,
        })
    };
    request.disable_reasoning == Some(true) || request.extra.iter().any(is_said)
}

// Encoding of message parts.

/// An element of `content`.
pub(super) enum EncodedPart<'a> {
    Text(Cow<'a, str>),
    ImageUrl(String, Option<&'a str>),
    Audio(String, &'a str),
    FileData(String, Option<&'a str>),
    FileId(&'a str),
    /// Mistral.
    FlatFileId(&'a str),
    /// Mistral.
    Thinking(&'a str),
    /// A part of an unknown type, unchanged.
    Raw(Json),
}

impl<'a> EncodedPart<'a> {
    /// Encodes a part that the API supports.
    pub(super) fn new(part: &'a ContentPart, provider: &str) -> Result<Self, Error> {
        let what = match part {
            ContentPart::Text { text, .. } => return Ok(EncodedPart::Text(text.into())),
            ContentPart::Image { media, detail } => {
                let detail = detail.as_ref().map(|detail| detail.as_str());
                return Ok(match media {
                    Media::Url { url, .. } => EncodedPart::ImageUrl(url.clone(), detail),
                    Media::Inline { mime_type, data } => {
                        EncodedPart::ImageUrl(to_data_url(mime_type, data), detail)
                    }
                    Media::File { id } => EncodedPart::FileId(id),
                });
            }
            ContentPart::Audio {
                media: Media::Inline { mime_type, data },
            } => {
                return Ok(EncodedPart::Audio(
                    Media::base64(data),
                    audio_format(mime_type),
                ));
            }
            ContentPart::Document { media, name } => match media {
                Media::Inline { mime_type, data } => {
                    let data = to_data_url(mime_type, data);
                    return Ok(EncodedPart::FileData(data, name.as_deref()));
                }
                Media::File { id } => return Ok(EncodedPart::FileId(id)),
                Media::Url { .. } => "a document by its URL",
            },
            ContentPart::Audio { .. } => "audio that is not inline",
            ContentPart::Video { .. } => "a video",
            _ => "this part of a message",
        };
        Err(Error::new(
            ErrorKind::InvalidRequest,
            format!("{what} cannot be sent to `{provider}`"),
        ))
    }
}

impl EncodedPart<'_> {
    /// Whether it is an image, audio or a document.
    pub(super) fn is_media(&self) -> bool {
        match self {
            EncodedPart::ImageUrl(..)
            | EncodedPart::Audio(..)
            | EncodedPart::FileData(..)
            | EncodedPart::FileId(_)
            | EncodedPart::FlatFileId(_) => true,
            EncodedPart::Text(_) | EncodedPart::Thinking(_) | EncodedPart::Raw(_) => false,
        }
    }
}

impl Serialize for EncodedPart<'_> {
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
        #[derive(Default, Serialize)]
        struct File<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            filename: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            file_data: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            file_id: Option<&'a str>,
        }
        if let EncodedPart::Raw(json) = self {
            return json.serialize(serializer);
        }
        let mut map = serializer.serialize_map(Some(2))?;
        match self {
            EncodedPart::Raw(_) => {}
            EncodedPart::Text(text) => {
                map.serialize_entry("type", "text")?;
                map.serialize_entry("text", text)?;
            }
            EncodedPart::ImageUrl(url, detail) => {
                map.serialize_entry("type", "image_url")?;
                let detail = *detail;
                map.serialize_entry("image_url", &ImageUrl { url, detail })?;
            }
            EncodedPart::Audio(data, format) => {
                map.serialize_entry("type", "input_audio")?;
                map.serialize_entry("input_audio", &InputAudio { data, format })?;
            }
            EncodedPart::FileData(data, filename) => {
                map.serialize_entry("type", "file")?;
                let file = File {
                    filename: *filename,
                    file_data: Some(data),
                    ..File::default()
                };
                map.serialize_entry("file", &file)?;
            }
            EncodedPart::FileId(id) => {
                map.serialize_entry("type", "file")?;
                let file = File {
                    file_id: Some(id),
                    ..File::default()
                };
                map.serialize_entry("file", &file)?;
            }
            EncodedPart::FlatFileId(id) => {
                map.serialize_entry("type", "file")?;
                map.serialize_entry("file_id", id)?;
            }
            EncodedPart::Thinking(text) => {
                map.serialize_entry("type", "thinking")?;
                map.serialize_entry("thinking", &[EncodedPart::Text((*text).into())])?;
            }
        }
        map.end()
    }
}

/// Gemini 3 accepts this placeholder for the signature of a call of another model.
const UNSIGNED_CALL_SIGNATURE: &str =
    r#"{"google":{"thought_signature":"skip_thought_signature_validator"}}"#;

/// An element of `tool_calls`.
pub(super) enum EncodedCall<'a> {
    Function {
        id: &'a str,
        name: &'a str,
        arguments: Cow<'a, str>,
        extra_content: Option<&'a RawValue>,
    },
    /// A call of another type, unchanged.
    Raw(Json),
}

impl<'a> EncodedCall<'a> {
    /// Encodes a call with the data that `provider` requires; another provider's data is dropped.
    pub(super) fn new(
        call: &'a ToolCall,
        provider: &str,
        omissions: &mut UnsupportedParams<'_>,
    ) -> Result<Self, Error> {
        let own = call
            .provider_data
            .as_ref()
            .filter(|own| own.provider == provider);
        Ok(EncodedCall::Function {
            id: &call.id,
            name: &call.name,
            arguments: omissions.arguments(call)?,
            extra_content: own.and_then(|own| serde_json::from_str(own.data.as_str()).ok()),
        })
    }
}

impl EncodedCall<'_> {
    /// Adds a placeholder signature to the first of a turn's calls, unless one of them has a signature.
    pub(super) fn sign_first(calls: &mut [Self]) {
        let is_unsigned = |call: &Self| match call {
            EncodedCall::Function { extra_content, .. } => extra_content.is_none(),
            EncodedCall::Raw(_) => true,
        };
        if !calls.iter().all(is_unsigned) {
            return;
        }
        let first = calls.iter_mut().find_map(|call| match call {
            EncodedCall::Function { extra_content, .. } => Some(extra_content),
            EncodedCall::Raw(_) => None,
        });
        if let Some(extra_content) = first {
            *extra_content = serde_json::from_str(UNSIGNED_CALL_SIGNATURE).ok();
        }
    }
}

impl Serialize for EncodedCall<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct FunctionFields<'a> {
            name: &'a str,
            arguments: &'a str,
        }
        let (id, function, extra_content) = match self {
            EncodedCall::Raw(json) => return json.serialize(serializer),
            EncodedCall::Function {
                id,
                name,
                arguments,
                extra_content,
            } => (id, FunctionFields { name, arguments }, extra_content),
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", id)?;
        map.serialize_entry("type", "function")?;
        map.serialize_entry("function", &function)?;
        if let Some(extra) = extra_content {
            map.serialize_entry("extra_content", extra)?;
        }
        map.end()
    }
}
