//! From the conversation to `system` and `messages`.

use super::{
    WIRE,
    block::{Block, Piece, Source},
};
use crate::{
    ChatRequest, ContentPart, Error, Json, Media, Message, Role, ToolCall, ToolResult,
    provider::{data_url::data_url, history::Takes, members::Members, omissions::Omissions},
};
use serde::Serialize;

/// The conversation as it is on the wire.
#[derive(Debug, Default)]
pub(super) struct Conversation<'a> {
    pub(super) system: Vec<Block<'a>>,
    pub(super) messages: Vec<Turn<'a>>,
}

#[derive(Debug, Serialize)]
pub(super) struct Turn<'a> {
    role: &'static str,
    #[serde(serialize_with = "super::block::serialize_content")]
    content: Vec<Block<'a>>,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(
        request: &'a ChatRequest,
        omissions: &mut Omissions<'_>,
    ) -> Result<Self, Error> {
        let mut conversation = Conversation::default();
        let takes = Takes {
            own: &[WIRE],
            signatures: true,
            errors: true,
        };
        omissions.history(&request.messages, takes);
        for message in &request.messages {
            conversation.add(message, omissions)?;
        }
        for turn in &mut conversation.messages {
            // The wire wants all results before anything else that the user says.
            turn.content
                .sort_by_key(|block| !matches!(block.piece, Piece::ToolResult { .. }));
        }
        Ok(conversation)
    }

    fn add(&mut self, message: &'a Message, omissions: &mut Omissions<'_>) -> Result<(), Error> {
        if message.name.is_some() {
            omissions.refuse("the `name` of a message")?;
        }
        let role = match message.role {
            Role::System | Role::Developer => {
                if !self.messages.is_empty() {
                    omissions.warn(
                        "system_moved",
                        "instructions in the middle of the conversation were sent with those at its beginning",
                    );
                }
                return blocks(&message.content, &mut self.system, omissions);
            }
            Role::Assistant => "assistant",
            Role::User | Role::Tool | Role::Other(_) => "user",
        };
        let mut content = Vec::with_capacity(message.content.len());
        blocks(&message.content, &mut content, omissions)?;
        match self.messages.last_mut() {
            // The wire would join them too; the results of one turn must stand in one message.
            Some(last) if last.role == role => last.content.append(&mut content),
            _ if content.is_empty() => {}
            _ => self.messages.push(Turn { role, content }),
        }
        Ok(())
    }
}

fn blocks<'a>(
    parts: &'a [ContentPart],
    blocks: &mut Vec<Block<'a>>,
    omissions: &mut Omissions<'_>,
) -> Result<(), Error> {
    for part in parts {
        if let ContentPart::Opaque(block) = part {
            if block.provider != WIRE {
                continue;
            }
            // A block without a type is no block but more members for the one before it: a cache point.
            let members = Members::read(block.block.as_str());
            if let Some(members) = members.filter(|members| members.get("type").is_none()) {
                if let Some(last) = blocks.last_mut() {
                    last.more = Some(members);
                }
                continue;
            }
        }
        if let Some(piece) = piece(part, omissions)? {
            blocks.push(Block::new(piece));
        }
    }
    Ok(())
}

fn piece<'a>(
    part: &'a ContentPart,
    omissions: &mut Omissions<'_>,
) -> Result<Option<Piece<'a>>, Error> {
    Ok(Some(match part {
        // The wire refuses empty texts.
        ContentPart::Text { text, .. } | ContentPart::Refusal { text } if text.is_empty() => {
            return Ok(None);
        }
        ContentPart::Text { text, citations } => {
            let own = |raw: &&Json| {
                let kind = Members::read(raw.as_str()).and_then(|raw| raw.get("type").cloned());
                kind.is_some_and(|kind| kind.as_str().ends_with("_location\""))
            };
            let raw = citations
                .iter()
                .filter_map(|citation| citation.raw.as_ref());
            let citations: Vec<&Json> = raw.filter(own).collect();
            Piece::Text { text, citations }
        }
        ContentPart::Refusal { text } => Piece::Text {
            text,
            citations: Vec::new(),
        },
        ContentPart::Image { media, detail } => {
            if let Some(detail) = detail.as_ref().filter(|detail| detail.as_str() != "auto") {
                omissions.refuse_value("detail", detail)?;
            }
            Piece::Media {
                kind: "image",
                source: source(media, omissions)?,
                title: None,
            }
        }
        ContentPart::Document { media, name } => Piece::Media {
            kind: "document",
            source: source(media, omissions)?,
            title: name.as_deref(),
        },
        ContentPart::Reasoning {
            text,
            signature: Some(signature),
        } => Piece::Thinking { text, signature },
        ContentPart::Reasoning { .. } => {
            omissions.warn(
                "reasoning_left_out",
                "reasoning without a signature was not sent: this wire takes back only its own",
            );
            return Ok(None);
        }
        ContentPart::ToolCall(call) => tool_use(call, omissions)?,
        ContentPart::ToolResult(result) => tool_result(result, omissions)?,
        ContentPart::Opaque(block) => Piece::Opaque(&block.block),
        ContentPart::Audio { .. } => return Err(omissions.cannot_send("sound")),
        ContentPart::Video { .. } => return Err(omissions.cannot_send("a video")),
    }))
}

fn source<'a>(media: &'a Media, omissions: &Omissions<'_>) -> Result<Source<'a>, Error> {
    Ok(match media {
        Media::Inline { mime_type, data } if mime_type.starts_with("text/") => {
            let text = std::str::from_utf8(data)
                .map_err(|_| omissions.cannot_send("a text document that is not UTF-8"))?;
            Source::Text {
                media_type: "text/plain",
                data: text,
            }
        }
        Media::Inline { mime_type, data } => Source::Base64 {
            media_type: mime_type,
            data: Media::base64(data).into(),
        },
        Media::Url { url, .. } => match data_url(url) {
            Some((media_type, data)) => Source::Base64 {
                media_type,
                data: data.into(),
            },
            None => Source::Url { url },
        },
        Media::File { id } => Source::File { file_id: id },
    })
}

fn tool_use<'a>(call: &'a ToolCall, omissions: &mut Omissions<'_>) -> Result<Piece<'a>, Error> {
    let input = if call.has_valid_arguments() {
        Json::parse(call.arguments_json())?
    } else {
        omissions.warn(
            "invalid_tool_arguments",
            format!(
                "the arguments of tool call `{}` are no JSON object; they were sent as text in one",
                call.id
            ),
        );
        #[derive(Serialize)]
        struct Invalid<'a> {
            #[serde(rename = "INVALID_JSON")]
            text: &'a str,
        }
        Json::new(&Invalid {
            text: &call.arguments,
        })?
    };
    let own = call.provider_data.as_ref();
    let own = own.filter(|data| data.provider == WIRE);
    Ok(Piece::ToolUse {
        id: &call.id,
        name: &call.name,
        input,
        more: own.and_then(|data| Members::read(data.data.as_str())),
    })
}

fn tool_result<'a>(
    result: &'a ToolResult,
    omissions: &mut Omissions<'_>,
) -> Result<Piece<'a>, Error> {
    let mut content = Vec::with_capacity(result.content.len());
    blocks(&result.content, &mut content, omissions)?;
    Ok(Piece::ToolResult {
        id: &result.call_id,
        content,
        is_error: result.is_error,
    })
}
