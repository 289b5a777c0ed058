//! Encodes the conversation as `system_instruction` and the steps of `input`.

use super::BLOCK_PROVIDER;
use crate::{
    ChatRequest, ContentPart, Error, Json, Media, Message, Role, ToolCall, ToolResult,
    chat::ImageDetail,
    provider::kit::{
        json_object::JsonObject,
        request::{HistorySupport, UnsupportedParams, data_url},
    },
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::borrow::Cow;

/// The conversation in the API's format.
#[derive(Default)]
pub(super) struct Conversation<'a> {
    pub(super) system: Vec<Cow<'a, str>>,
    pub(super) steps: Vec<EncodedStep<'a>>,
}

/// An element of `input`.
pub(super) enum EncodedStep<'a> {
    /// `user_input` or `model_output`.
    Message {
        r#type: &'static str,
        content: Vec<Content<'a>>,
    },
    Call {
        call: &'a ToolCall,
        arguments: Json,
        /// Fields that were received with the call.
        others: JsonObject,
    },
    Result {
        result: &'a ToolResult,
        content: Vec<Content<'a>>,
    },
    /// A step of an earlier response, unchanged.
    Own(&'a Json),
}

/// An element of a step's content.
pub(super) enum Content<'a> {
    Text(&'a str),
    Media {
        r#type: &'static str,
        source: Source<'a>,
        mime_type: Option<&'a str>,
        resolution: Option<&'a str>,
    },
}

pub(super) enum Source<'a> {
    Data(Cow<'a, str>),
    Uri(Cow<'a, str>),
}

/// Encodes the messages of a request.
pub(super) fn conversation<'a>(
    request: &'a ChatRequest,
    base_url: &str,
    omissions: &mut UnsupportedParams<'_>,
) -> Result<Conversation<'a>, Error> {
    let takes = HistorySupport {
        block_providers: &[BLOCK_PROVIDER],
        signatures: false,
        errors: true,
    };
    omissions.history(&request.messages, takes);
    let mut encoder = Encoder {
        conversation: Conversation::default(),
        media: Vec::new(),
        base_url,
        omissions,
    };
    for message in &request.messages {
        encoder.message(message)?;
    }
    encoder.place_media();
    Ok(encoder.conversation)
}

/// The text of a result whose only content are media that follow it.
const MEDIA_FOLLOWS: &str = "(the content follows the results)";

struct Encoder<'e, 'o, 'a> {
    conversation: Conversation<'a>,
    /// Media of results that a result cannot have. They follow the results of their turn.
    media: Vec<Content<'a>>,
    base_url: &'e str,
    omissions: &'e mut UnsupportedParams<'o>,
}

impl<'a> Encoder<'_, '_, 'a> {
    fn message(&mut self, message: &'a Message) -> Result<(), Error> {
        if message.name.is_some() {
            self.omissions.refuse("the `name` of a message")?;
        }
        let r#type = match message.role {
            Role::System | Role::Developer => return self.system(message),
            Role::Assistant => "model_output",
            Role::User | Role::Tool | Role::Other(_) => "user_input",
        };
        let has_own = message.content.iter().any(is_own_thought);
        let mut content = Vec::with_capacity(message.content.len());
        for part in &message.content {
            let step = match part {
                ContentPart::ProviderBlock(block) if block.provider == BLOCK_PROVIDER => {
                    EncodedStep::Own(&block.block)
                }
                ContentPart::ProviderBlock(_) => continue,
                ContentPart::ToolCall(call) => self.call(call)?,
                ContentPart::ToolResult(result) => self.result(result)?,
                // The readable part of a `thought` step, which is sent back complete.
                ContentPart::Reasoning { .. } if has_own => continue,
                ContentPart::Reasoning { .. } => {
                    self.omissions.warn(
                        "reasoning_left_out",
                        "reasoning of another provider was not sent, because the API accepts only signed reasoning",
                    );
                    continue;
                }
                ContentPart::Text { text, .. } | ContentPart::Refusal { text }
                    if text.is_empty() =>
                {
                    continue;
                }
                part => {
                    content.push(self.content(part)?);
                    continue;
                }
            };
            self.close(r#type, &mut content);
            self.push(step);
        }
        self.close(r#type, &mut content);
        Ok(())
    }

    /// Writes the content before another step, or at the end of a message.
    fn close(&mut self, r#type: &'static str, content: &mut Vec<Content<'a>>) {
        if !content.is_empty() {
            let content = std::mem::take(content);
            self.push(EncodedStep::Message { r#type, content });
        }
    }

    fn push(&mut self, step: EncodedStep<'a>) {
        if !matches!(step, EncodedStep::Result { .. }) {
            self.place_media();
        }
        self.conversation.steps.push(step);
    }

    fn place_media(&mut self) {
        if !self.media.is_empty() {
            let step = EncodedStep::Message {
                r#type: "user_input",
                content: std::mem::take(&mut self.media),
            };
            self.conversation.steps.push(step);
        }
    }

    fn system(&mut self, message: &'a Message) -> Result<(), Error> {
        if !self.conversation.steps.is_empty() {
            self.omissions.warn(
                "system_moved",
                "system messages in the middle of the conversation were moved to its beginning",
            );
        }
        for part in &message.content {
            match part {
                ContentPart::Text { text, .. } if text.is_empty() => {}
                ContentPart::Text { text, .. } => {
                    self.conversation.system.push(Cow::Borrowed(text));
                }
                ContentPart::ProviderBlock(block) if block.provider != BLOCK_PROVIDER => {}
                _ => {
                    return Err(self
                        .omissions
                        .cannot_send("a part of a system message that is not text"));
                }
            }
        }
        Ok(())
    }

    fn call(&mut self, call: &'a ToolCall) -> Result<EncodedStep<'a>, Error> {
        let arguments = Json::parse(self.omissions.arguments(call)?)?;
        let own = call.provider_data.as_ref();
        let own = own.filter(|data| data.provider == BLOCK_PROVIDER);
        let others = own.and_then(|data| JsonObject::read(data.data.as_str()));
        Ok(EncodedStep::Call {
            call,
            arguments,
            others: others.unwrap_or_default(),
        })
    }

    fn result(&mut self, result: &'a ToolResult) -> Result<EncodedStep<'a>, Error> {
        let mut content = Vec::with_capacity(result.content.len());
        let mut has_media = false;
        for part in &result.content {
            match part {
                ContentPart::ProviderBlock(block) if block.provider != BLOCK_PROVIDER => {}
                ContentPart::Text { .. } | ContentPart::Image { .. } => {
                    content.push(self.content(part)?);
                }
                ContentPart::Audio { .. }
                | ContentPart::Video { .. }
                | ContentPart::Document { .. } => {
                    let media = self.content(part)?;
                    self.media.push(media);
                    has_media = true;
                }
                _ => return Err(self.omissions.cannot_send("this part of a tool result")),
            }
        }
        if has_media && content.is_empty() {
            content.push(Content::Text(MEDIA_FOLLOWS));
        }
        Ok(EncodedStep::Result { result, content })
    }

    fn content(&mut self, part: &'a ContentPart) -> Result<Content<'a>, Error> {
        let (r#type, media, detail) = match part {
            ContentPart::Text { text, .. } | ContentPart::Refusal { text } => {
                return Ok(Content::Text(text));
            }
            ContentPart::Image { media, detail } => ("image", media, detail.as_ref()),
            ContentPart::Audio { media } => ("audio", media, None),
            ContentPart::Video { media } => ("video", media, None),
            ContentPart::Document { media, name } => {
                if name.is_some() {
                    self.omissions.warn(
                        "document_name_left_out",
                        "the name of a document was not sent, because the API has no field for it",
                    );
                }
                ("document", media, None)
            }
            _ => return Err(self.omissions.cannot_send("this part")),
        };
        let resolution = detail.filter(|detail| **detail != ImageDetail::Auto);
        let (source, mime_type) = self.source(media);
        Ok(Content::Media {
            r#type,
            source,
            mime_type,
            resolution: resolution.map(ImageDetail::as_str),
        })
    }

    fn source(&self, media: &'a Media) -> (Source<'a>, Option<&'a str>) {
        match media {
            Media::Inline { mime_type, data } => {
                (Source::Data(Media::base64(data).into()), Some(mime_type))
            }
            Media::Url { url, mime_type } => match data_url(url) {
                Some((mime_type, data)) => (Source::Data(data.into()), Some(mime_type)),
                None => (Source::Uri(url.into()), mime_type.as_deref()),
            },
            Media::File { id } => {
                let uri = match id.strip_prefix("files/") {
                    Some(_) => Cow::Owned([self.base_url, "/", id].concat()),
                    None => Cow::Borrowed(id.as_str()),
                };
                (Source::Uri(uri), None)
            }
        }
    }
}

/// Whether a part is a `thought` step of this API.
fn is_own_thought(part: &ContentPart) -> bool {
    match part {
        ContentPart::ProviderBlock(block) if block.provider == BLOCK_PROVIDER => {
            let step = JsonObject::read(block.block.as_str()).unwrap_or_default();
            step.get("type")
                .is_some_and(|kind| kind.as_str() == "\"thought\"")
        }
        _ => false,
    }
}

impl Serialize for EncodedStep<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let EncodedStep::Own(json) = self {
            return json.serialize(serializer);
        }
        let mut map = serializer.serialize_map(None)?;
        match self {
            EncodedStep::Own(_) => {}
            EncodedStep::Message { r#type, content } => {
                map.serialize_entry("type", r#type)?;
                map.serialize_entry("content", content)?;
            }
            EncodedStep::Call {
                call,
                arguments,
                others,
            } => {
                map.serialize_entry("type", "function_call")?;
                map.serialize_entry("id", &call.id)?;
                map.serialize_entry("name", &call.name)?;
                map.serialize_entry("arguments", arguments)?;
                for (name, value) in others.iter() {
                    map.serialize_entry(name, value)?;
                }
            }
            EncodedStep::Result { result, content } => {
                map.serialize_entry("type", "function_result")?;
                map.serialize_entry("call_id", &result.call_id)?;
                if let Some(name) = &result.name {
                    map.serialize_entry("name", name)?;
                }
                match content.as_slice() {
                    [] => map.serialize_entry("result", "")?,
                    [Content::Text(text)] => map.serialize_entry("result", text)?,
                    content => map.serialize_entry("result", content)?,
                }
                if result.is_error {
                    map.serialize_entry("is_error", &true)?;
                }
            }
        }
        map.end()
    }
}

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Content::Text(text) => {
                map.serialize_entry("type", "text")?;
                map.serialize_entry("text", text)?;
            }
            Content::Media {
                r#type,
                source,
                mime_type,
                resolution,
            } => {
                map.serialize_entry("type", r#type)?;
                match source {
                    Source::Data(data) => map.serialize_entry("data", data)?,
                    Source::Uri(uri) => map.serialize_entry("uri", uri)?,
                }
                if let Some(mime_type) = mime_type {
                    map.serialize_entry("mime_type", mime_type)?;
                }
                if let Some(resolution) = resolution {
                    map.serialize_entry("resolution", resolution)?;
                }
            }
        }
        map.end()
    }
}
