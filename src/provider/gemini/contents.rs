//! From the conversation to `systemInstruction` and `contents`.

use super::{
    WIRE,
    part::{Blob, FileData, FunctionCall, FunctionResponse, Piece, WirePart},
};
use crate::{
    ChatRequest, ContentPart, Error, Json, Media, Message, OpaqueBlock, Role, ToolCall, ToolResult,
    provider::{data_url::data_url, history::Takes, members::Members, omissions::Omissions},
};
use serde::Serialize;
use std::collections::BTreeMap;

/// What Gemini 3 takes in the place of the signature of a call that it did not make itself; without one it refuses the
/// turn. Source: Google's guide to thought signatures.
const FOREIGN_CALL: &str = r#"{"thoughtSignature":"skip_thought_signature_validator"}"#;

/// The members that make a part one of its own; an opaque block without any of them adds to the part before it.
const DATA: [&str; 9] = [
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
];

/// The conversation as it is on the wire.
#[derive(Debug, Default)]
pub(super) struct Conversation<'a> {
    pub(super) system: Vec<WirePart<'a>>,
    pub(super) contents: Vec<Content<'a>>,
}

#[derive(Debug, Serialize)]
pub(super) struct Content<'a> {
    role: &'static str,
    parts: Vec<WirePart<'a>>,
    /// Whether it holds nothing but results of tools.
    #[serde(skip)]
    is_results: bool,
}

/// Turns the parts of messages into parts of the wire.
pub(super) struct Translator<'t, 'a> {
    pub(super) omissions: &'t mut Omissions<'a>,
    pub(super) base_url: &'a str,
    /// Whether calls of other models need a signature in their place.
    pub(super) signs_calls: bool,
}

/// Name and wire id of the calls so far, by the library's id.
type Calls<'a> = BTreeMap<&'a str, (&'a str, Option<Json>)>;

impl<'a> Conversation<'a> {
    pub(super) fn new(
        request: &'a ChatRequest,
        translator: &mut Translator<'_, 'a>,
    ) -> Result<Self, Error> {
        let mut conversation = Conversation::default();
        let mut calls = Calls::new();
        let takes = Takes {
            own: &[WIRE],
            signatures: false,
            errors: true,
        };
        translator.omissions.history(&request.messages, takes);
        for message in &request.messages {
            conversation.add(message, &mut calls, translator)?;
        }
        Ok(conversation)
    }

    fn add(
        &mut self,
        message: &'a Message,
        calls: &mut Calls<'a>,
        translator: &mut Translator<'_, 'a>,
    ) -> Result<(), Error> {
        if message.name.is_some() {
            translator.omissions.refuse("the `name` of a message")?;
        }
        let role = match message.role {
            Role::System | Role::Developer => {
                if !self.contents.is_empty() {
                    translator.omissions.warn(
                        "system_moved",
                        "instructions in the middle of the conversation were sent with those at its beginning",
                    );
                }
                return translator.parts(&message.content, calls, &mut self.system);
            }
            Role::Assistant => "model",
            Role::User | Role::Tool | Role::Other(_) => "user",
        };
        let mut parts = Vec::with_capacity(message.content.len());
        translator.parts(&message.content, calls, &mut parts)?;
        if role == "model" && translator.signs_calls {
            sign_foreign(&mut parts);
        }
        let is_result = |part: &WirePart<'_>| matches!(part.piece, Piece::FunctionResponse(_));
        let is_results = !parts.is_empty() && parts.iter().all(is_result);
        match self.contents.last_mut() {
            _ if parts.is_empty() => {}
            // The answers to the calls of one turn must stand in one content.
            Some(last) if last.is_results && is_results => last.parts.append(&mut parts),
            _ => self.contents.push(Content {
                role,
                parts,
                is_results,
            }),
        }
        Ok(())
    }
}

impl<'a> Translator<'_, 'a> {
    fn parts(
        &mut self,
        content: &'a [ContentPart],
        calls: &mut Calls<'a>,
        parts: &mut Vec<WirePart<'a>>,
    ) -> Result<(), Error> {
        // Whether the part before was written, so that what is added to it finds it.
        let mut is_written = false;
        let mut next = content.iter().skip(1);
        for part in content {
            let follower = next.next();
            let piece = match part {
                ContentPart::Text { text, .. } | ContentPart::Refusal { text } => {
                    (!text.is_empty()).then_some(Piece::Text(text))
                }
                // Thoughts are for people to read, but one that was signed goes back.
                ContentPart::Reasoning { text, .. } => {
                    let is_signed = follower.is_some_and(|next| added(next).is_some());
                    is_signed.then_some(Piece::Thought(text))
                }
                ContentPart::Opaque(block) if block.provider != WIRE => None,
                ContentPart::Opaque(block) => match added(part) {
                    Some(more) => {
                        if let Some(last) = parts.last_mut().filter(|_| is_written) {
                            last.more = Some(more);
                        }
                        None
                    }
                    None => Some(Piece::Opaque(&block.block)),
                },
                ContentPart::ToolCall(call) => Some(self.call(call, calls)?),
                ContentPart::ToolResult(result) => Some(self.result(result, calls)?),
                ContentPart::Image { media, detail } => {
                    if let Some(detail) = detail.as_ref().filter(|d| d.as_str() != "auto") {
                        self.omissions.refuse_value("detail", detail)?;
                    }
                    Some(self.media(media))
                }
                ContentPart::Audio { media } | ContentPart::Video { media } => {
                    Some(self.media(media))
                }
                ContentPart::Document { media, name } => {
                    if name.is_some() {
                        self.omissions.warn(
                            "document_name_left_out",
                            "a document's name has no place on this wire; it was not sent",
                        );
                    }
                    Some(self.media(media))
                }
            };
            is_written = piece.is_some();
            if let Some(piece) = piece {
                let more = match part {
                    ContentPart::ToolCall(call) => signature(call),
                    _ => None,
                };
                parts.push(WirePart { piece, more });
            }
        }
        Ok(())
    }

    fn media(&self, media: &'a Media) -> Piece<'a> {
        match media {
            Media::Inline { mime_type, data } => Piece::InlineData(Blob {
                mime_type,
                data: Media::base64(data).into(),
            }),
            Media::Url { url, mime_type } => match data_url(url) {
                Some((mime_type, data)) => Piece::InlineData(Blob {
                    mime_type,
                    data: data.into(),
                }),
                None => Piece::FileData(FileData {
                    mime_type: mime_type.as_deref(),
                    file_uri: url.into(),
                }),
            },
            Media::File { id } => Piece::FileData(FileData {
                mime_type: None,
                file_uri: match id.strip_prefix("files/") {
                    Some(_) => [self.base_url, "/", id].concat().into(),
                    None => id.into(),
                },
            }),
        }
    }

    fn call(&mut self, call: &'a ToolCall, calls: &mut Calls<'a>) -> Result<Piece<'a>, Error> {
        let id = own_data(call).and_then(|data| data.get("id").cloned());
        calls.insert(&call.id, (&call.name, id.clone()));
        let args = if call.has_valid_arguments() {
            Json::parse(call.arguments_json())?
        } else {
            self.omissions.warn(
                "invalid_tool_arguments",
                format!(
                    "the arguments of tool call `{}` are no JSON object; they were sent as text in one",
                    call.id
                ),
            );
            Json::new(&BTreeMap::from([("invalid_json", &call.arguments)]))?
        };
        let name = &call.name;
        Ok(Piece::FunctionCall(FunctionCall { id, name, args }))
    }

    fn result(&mut self, result: &'a ToolResult, calls: &Calls<'a>) -> Result<Piece<'a>, Error> {
        let known = calls.get(result.call_id.as_str());
        let name = result.name.as_deref().or(known.map(|(name, _)| *name));
        let Some(name) = name else {
            return Err(self.omissions.cannot_send(&format!(
                "a tool result for `{}` without a name, and without the call that it answers,",
                result.call_id
            )));
        };
        let mut texts = String::new();
        let mut parts = Vec::new();
        for part in &result.content {
            match part {
                ContentPart::Text { text, .. } => texts.push_str(text),
                ContentPart::Image { media, .. }
                | ContentPart::Audio { media }
                | ContentPart::Video { media }
                | ContentPart::Document { media, .. } => {
                    parts.push(WirePart::new(self.media(media)));
                }
                ContentPart::Opaque(block) if block.provider != WIRE => {}
                _ => {
                    return Err(self.omissions.cannot_send("this part of a tool's result"));
                }
            }
        }
        Ok(Piece::FunctionResponse(FunctionResponse {
            id: known.and_then(|(_, id)| id.clone()),
            name,
            response: response(&texts, result.is_error)?,
            parts,
        }))
    }
}

/// The wire wants an object: the result itself if it is one, else under the names that Google gives.
fn response(text: &str, is_error: bool) -> Result<Json, Error> {
    if !is_error && Members::read(text).is_some() {
        return Json::parse(text);
    }
    let name = if is_error { "error" } else { "output" };
    Json::new(&BTreeMap::from([(name, text)]))
}

/// What an opaque block adds to the part before it, if it is not a part of its own.
fn added(part: &ContentPart) -> Option<Members> {
    let ContentPart::Opaque(OpaqueBlock { provider, block }) = part else {
        return None;
    };
    let members = Members::read(block.as_str()).filter(|_| provider == WIRE)?;
    let is_part = DATA.iter().any(|name| members.get(name).is_some());
    (!is_part).then_some(members)
}

fn own_data(call: &ToolCall) -> Option<Members> {
    let data = call.provider_data.as_ref()?;
    Members::read(data.data.as_str()).filter(|_| data.provider == WIRE)
}

/// What stands beside a call in its part.
fn signature(call: &ToolCall) -> Option<Members> {
    let members = own_data(call)?.without(&["id"]);
    (!members.is_empty()).then_some(members)
}

fn sign_foreign(parts: &mut [WirePart<'_>]) {
    let mut calls = parts
        .iter_mut()
        .filter(|part| matches!(part.piece, Piece::FunctionCall(_)));
    if let Some(first) = calls.next().filter(|first| first.more.is_none()) {
        if calls.all(|call| call.more.is_none()) {
            first.more = Members::read(FOREIGN_CALL);
        }
    }
}
