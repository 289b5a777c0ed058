//! Encodes the conversation as input items.

use crate::{
    ContentPart, Error, Json, Media, Message, Role, ToolCall, ToolResult,
    provider::kit::{
        json_object::JsonObject,
        request::{HistorySupport, UnsupportedParams, audio_format, to_data_url},
    },
};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use std::borrow::Cow;

/// An element of `input`.
pub(super) enum Item<'a> {
    Message(TextItem<'a>),
    /// A call, and its arguments as they are sent.
    Call(&'a ToolCall, Cow<'a, str>),
    Output {
        call_id: &'a str,
        parts: Vec<Part<'a>>,
    },
    /// An earlier item, unchanged.
    Raw(Cow<'a, Json>),
    /// An earlier item of the model's turn, unchanged.
    Own(Cow<'a, Json>),
    /// A reasoning item of the model, unchanged.
    Reasoning(&'a Json),
}

/// A message, and the fields by which the provider recognises it.
#[derive(Default)]
pub(super) struct TextItem<'a> {
    role: &'static str,
    mark: Option<MessageMeta>,
    parts: Vec<Part<'a>>,
}

/// See `MessageMeta` of the decoder.
#[derive(Deserialize)]
struct MessageMeta {
    r#type: String,
    id: Option<String>,
    phase: Option<String>,
    content: Option<serde::de::IgnoredAny>,
}

pub(super) enum Part<'a> {
    Input(&'a str),
    Output(&'a str),
    Refusal(&'a str),
    Image {
        url: String,
        detail: Option<&'a str>,
    },
    ImageFile {
        id: &'a str,
        detail: Option<&'a str>,
    },
    FileData {
        data: String,
        name: &'a str,
    },
    FileUrl(&'a str),
    FileId(&'a str),
    Audio {
        data: String,
        format: &'a str,
    },
}

/// Encodes a conversation.
///
/// `stores`: the server stores the responses of this conversation.
pub(super) fn items<'a>(
    messages: &'a [Message],
    provider: &str,
    stores: bool,
    omissions: &mut UnsupportedParams<'_>,
) -> Result<Vec<Item<'a>>, Error> {
    let mut items = Vec::with_capacity(messages.len());
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
        let mut open = Open {
            items: &mut items,
            message: TextItem {
                role: role(&message.role),
                ..TextItem::default()
            },
        };
        if message.role == Role::Assistant {
            assistant(message, provider, &mut open, omissions)?;
        } else {
            other(message, provider, &mut open, omissions)?;
        }
        open.close();
    }
    if !stores {
        items = without_bare_reasoning(items, provider, omissions)?;
    }
    Ok(without_reasoning_alone(items, provider, omissions))
}

/// A reasoning item without encrypted content is a reference to one that was not stored (404). The items after it in
/// its turn lose their ids, with which the server would require the reasoning.
fn without_bare_reasoning<'a>(
    items: Vec<Item<'a>>,
    provider: &str,
    omissions: &mut UnsupportedParams<'_>,
) -> Result<Vec<Item<'a>>, Error> {
    let (mut kept, mut is_behind) = (Vec::with_capacity(items.len()), false);
    for item in items {
        is_behind &= item.is_of_model();
        match item {
            Item::Reasoning(json) if !is_encrypted(json) => {
                omissions.warn(
                    "reasoning_left_out",
                    format!("reasoning without encrypted content was not sent to `{provider}`, which does not store it with `store(false)`; `include` can request `reasoning.encrypted_content`"),
                );
                is_behind = true;
            }
            item if is_behind => kept.push(item.without_id()?),
            item => kept.push(item),
        }
    }
    Ok(kept)
}

/// A reasoning item requires a following item of the model. A turn that a limit cut inside its reasoning is not sent.
fn without_reasoning_alone<'a>(
    items: Vec<Item<'a>>,
    provider: &str,
    omissions: &mut UnsupportedParams<'_>,
) -> Vec<Item<'a>> {
    let (mut kept, mut is_followed) = (Vec::with_capacity(items.len()), false);
    for item in items.into_iter().rev() {
        if matches!(item, Item::Reasoning(_)) && !is_followed {
            omissions.warn(
                "reasoning_left_out",
                format!(
                    "reasoning without a following item of the model was not sent to `{provider}`"
                ),
            );
            continue;
        }
        is_followed = item.is_of_model();
        kept.push(item);
    }
    kept.reverse();
    kept
}

/// Whether a reasoning item has the content with which it can be sent to a server that stores nothing.
pub(super) fn is_encrypted(reasoning: &Json) -> bool {
    #[derive(Deserialize)]
    struct Encrypted {
        encrypted_content: Option<String>,
    }
    let read: Result<Encrypted, _> = reasoning.decode();
    read.is_ok_and(|read| {
        read.encrypted_content
            .is_some_and(|content| !content.is_empty())
    })
}

impl Item<'_> {
    fn is_of_model(&self) -> bool {
        match self {
            Item::Message(message) => message.role == "assistant",
            Item::Call(..) | Item::Own(_) | Item::Reasoning(_) => true,
            Item::Output { .. } | Item::Raw(_) => false,
        }
    }

    /// Removes the id that the server would look up. Items of the server's own tools are identified only by it and
    /// keep it.
    fn without_id(mut self) -> Result<Self, Error> {
        match &mut self {
            Item::Message(message) => {
                if let Some(mark) = &mut message.mark {
                    mark.id = None;
                }
            }
            Item::Own(json) if kind(json).as_deref() == Some("function_call") => {
                if let Some(members) = JsonObject::read(json.as_str()) {
                    *json = Cow::Owned(members.without(&["id"]).to_json()?);
                }
            }
            _ => {}
        }
        Ok(self)
    }
}

/// The current message; an item that is not part of a message ends it.
struct Open<'a, 'i> {
    items: &'i mut Vec<Item<'a>>,
    message: TextItem<'a>,
}

impl<'a> Open<'a, '_> {
    fn close(&mut self) {
        let role = self.message.role;
        let message = std::mem::replace(
            &mut self.message,
            TextItem {
                role,
                ..TextItem::default()
            },
        );
        if !message.parts.is_empty() {
            self.items.push(Item::Message(message));
        }
    }

    fn push(&mut self, item: Item<'a>) {
        self.close();
        self.items.push(item);
    }
}

fn role(role: &Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::Developer => "developer",
        Role::Assistant => "assistant",
        Role::User | Role::Tool | Role::Other(_) => "user",
    }
}

/// Encodes a model turn: its items in their original order.
fn assistant<'a>(
    message: &'a Message,
    provider: &str,
    open: &mut Open<'a, '_>,
    omissions: &mut UnsupportedParams<'_>,
) -> Result<(), Error> {
    let has_own = has_reasoning(message, provider);
    for part in &message.content {
        match part {
            ContentPart::Text { text, .. } => open.message.parts.push(Part::Output(text)),
            ContentPart::Refusal { text } => open.message.parts.push(Part::Refusal(text)),
            ContentPart::ToolCall(call) => {
                let item = call_item(call, provider, omissions)?;
                open.push(item);
            }
            ContentPart::ProviderBlock(block) if block.provider == provider => {
                match mark(&block.block) {
                    Some(mark) => {
                        open.close();
                        open.message.mark = Some(mark);
                    }
                    None if kind(&block.block).as_deref() == Some("reasoning") => {
                        open.push(Item::Reasoning(&block.block));
                    }
                    None => open.push(Item::Own(Cow::Borrowed(&block.block))),
                }
            }
            ContentPart::ProviderBlock(_) => {}
            // The readable part of a reasoning item, which is sent back complete.
            ContentPart::Reasoning { .. } if has_own => {}
            ContentPart::Reasoning { .. } => omissions.warn(
                "reasoning_left_out",
                format!("reasoning of another provider was not sent to `{provider}`"),
            ),
            ContentPart::ToolResult(result) => {
                let output = output(result, provider, omissions)?;
                open.push(output);
            }
            other => {
                return Err(
                    omissions.cannot_send(&format!("{} in the model's own turn", what(other)))
                );
            }
        }
    }
    Ok(())
}

fn other<'a>(
    message: &'a Message,
    provider: &str,
    open: &mut Open<'a, '_>,
    omissions: &mut UnsupportedParams<'_>,
) -> Result<(), Error> {
    for part in &message.content {
        match part {
            ContentPart::ToolResult(result) => {
                let output = output(result, provider, omissions)?;
                open.push(output);
            }
            ContentPart::ProviderBlock(block) if block.provider == provider => {
                open.push(Item::Raw(Cow::Borrowed(&block.block)));
            }
            ContentPart::ProviderBlock(_) => {}
            part => match input(part) {
                Some(part) => open.message.parts.push(part),
                None => return Err(omissions.cannot_send(what(part))),
            },
        }
    }
    Ok(())
}

/// Whether a message has a reasoning item of this provider.
pub(super) fn has_reasoning(message: &Message, provider: &str) -> bool {
    message.content.iter().any(|part| match part {
        ContentPart::ProviderBlock(block) if block.provider == provider => {
            kind(&block.block).as_deref() == Some("reasoning")
        }
        _ => false,
    })
}

fn kind(item: &Json) -> Option<String> {
    #[derive(Deserialize)]
    struct Kind {
        r#type: String,
    }
    let kind: Kind = item.decode().ok()?;
    Some(kind.r#type)
}

fn mark(block: &Json) -> Option<MessageMeta> {
    let mark: MessageMeta = block.decode().ok()?;
    (mark.r#type == "message" && mark.content.is_none()).then_some(mark)
}

/// A call is sent back unchanged, unless the program changed it.
fn call_item<'a>(
    call: &'a ToolCall,
    provider: &str,
    omissions: &mut UnsupportedParams<'_>,
) -> Result<Item<'a>, Error> {
    #[derive(Deserialize)]
    struct ReceivedCall {
        call_id: String,
        name: String,
        arguments: String,
    }
    let came = call
        .provider_data
        .as_ref()
        .filter(|data| data.provider == provider);
    let same = |data: &&crate::chat::ProviderData| {
        data.data.decode::<ReceivedCall>().is_ok_and(|came| {
            came.call_id == call.id && came.name == call.name && came.arguments == call.arguments
        })
    };
    Ok(match came.filter(same) {
        Some(data) => Item::Own(Cow::Borrowed(&data.data)),
        None => Item::Call(call, omissions.arguments(call)?),
    })
}

fn output<'a>(
    result: &'a ToolResult,
    provider: &str,
    omissions: &UnsupportedParams<'_>,
) -> Result<Item<'a>, Error> {
    let mut parts = Vec::with_capacity(result.content.len());
    let is_foreign = |part: &&ContentPart| match part {
        ContentPart::ProviderBlock(block) => block.provider != provider,
        _ => false,
    };
    for part in result.content.iter().filter(|part| !is_foreign(part)) {
        match input(part) {
            Some(part) => parts.push(part),
            None => {
                return Err(omissions.cannot_send(&format!("{} in a tool result", what(part))));
            }
        }
    }
    Ok(Item::Output {
        call_id: &result.call_id,
        parts,
    })
}

fn input(part: &ContentPart) -> Option<Part<'_>> {
    Some(match part {
        ContentPart::Text { text, .. } => Part::Input(text),
        ContentPart::Image { media, detail } => {
            let detail = detail.as_ref().map(|detail| detail.as_str());
            match media {
                Media::Url { url, .. } => Part::Image {
                    url: url.clone(),
                    detail,
                },
                Media::Inline { mime_type, data } => Part::Image {
                    url: to_data_url(mime_type, data),
                    detail,
                },
                Media::File { id } => Part::ImageFile { id, detail },
            }
        }
        ContentPart::Document { media, name } => match media {
            Media::Url { url, .. } => Part::FileUrl(url),
            Media::Inline { mime_type, data } => Part::FileData {
                data: to_data_url(mime_type, data),
                name: name.as_deref().unwrap_or("document"),
            },
            Media::File { id } => Part::FileId(id),
        },
        ContentPart::Audio {
            media: Media::Inline { mime_type, data },
        } => Part::Audio {
            data: Media::base64(data),
            format: audio_format(mime_type),
        },
        _ => return None,
    })
}

fn what(part: &ContentPart) -> &'static str {
    match part {
        ContentPart::Image { .. } => "an image",
        ContentPart::Audio { .. } => "audio by its URL",
        ContentPart::Video { .. } => "video",
        ContentPart::Document { .. } => "a document",
        ContentPart::Reasoning { .. } => "reasoning",
        ContentPart::ToolCall(_) => "a tool call",
        _ => "this part",
    }
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = match self {
            Item::Raw(json) | Item::Own(json) => return json.serialize(serializer),
            Item::Reasoning(json) => return json.serialize(serializer),
            _ => serializer.serialize_map(None)?,
        };
        match self {
            Item::Message(message) => message.entries(&mut map)?,
            Item::Call(call, arguments) => {
                map.serialize_entry("type", "function_call")?;
                map.serialize_entry("call_id", &call.id)?;
                map.serialize_entry("name", &call.name)?;
                map.serialize_entry("arguments", arguments)?;
            }
            Item::Output { call_id, parts } => {
                map.serialize_entry("type", "function_call_output")?;
                map.serialize_entry("call_id", call_id)?;
                match parts.as_slice() {
                    [] => map.serialize_entry("output", "")?,
                    [Part::Input(text)] => map.serialize_entry("output", text)?,
                    parts => map.serialize_entry("output", parts)?,
                }
            }
            Item::Raw(_) | Item::Own(_) | Item::Reasoning(_) => {}
        }
        map.end()
    }
}

impl TextItem<'_> {
    fn entries<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        if let Some(mark) = &self.mark {
            map.serialize_entry("type", "message")?;
            if let Some(id) = &mark.id {
                map.serialize_entry("id", id)?;
                map.serialize_entry("status", "completed")?;
            }
            if let Some(phase) = &mark.phase {
                map.serialize_entry("phase", phase)?;
            }
        }
        map.serialize_entry("role", self.role)?;
        match self.parts.as_slice() {
            [Part::Input(text)] => map.serialize_entry("content", text),
            [Part::Output(text)] if self.mark.is_none() => map.serialize_entry("content", text),
            parts => map.serialize_entry("content", parts),
        }
    }
}

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct InputAudio<'a> {
            data: &'a str,
            format: &'a str,
        }
        let mut map = serializer.serialize_map(None)?;
        let kind = match self {
            Part::Input(_) => "input_text",
            Part::Output(_) => "output_text",
            Part::Refusal(_) => "refusal",
            Part::Image { .. } | Part::ImageFile { .. } => "input_image",
            Part::FileData { .. } | Part::FileUrl(_) | Part::FileId(_) => "input_file",
            Part::Audio { .. } => "input_audio",
        };
        map.serialize_entry("type", kind)?;
        match self {
            Part::Input(text) => map.serialize_entry("text", text)?,
            Part::Output(text) => {
                map.serialize_entry("text", text)?;
                map.serialize_entry("annotations", &[(); 0])?;
            }
            Part::Refusal(text) => map.serialize_entry("refusal", text)?,
            Part::Image { url, .. } => map.serialize_entry("image_url", url)?,
            Part::ImageFile { id, .. } | Part::FileId(id) => map.serialize_entry("file_id", id)?,
            Part::FileData { data, name } => {
                map.serialize_entry("filename", name)?;
                map.serialize_entry("file_data", data)?;
            }
            Part::FileUrl(url) => map.serialize_entry("file_url", url)?,
            Part::Audio { data, format } => {
                map.serialize_entry("input_audio", &InputAudio { data, format })?
            }
        }
        if let Part::Image {
            detail: Some(detail),
            ..
        }
        | Part::ImageFile {
            detail: Some(detail),
            ..
        } = self
        {
            map.serialize_entry("detail", detail)?;
        }
        map.end()
    }
}
