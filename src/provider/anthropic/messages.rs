//! Encodes the conversation as `system` and `messages`.

use super::{
    BLOCK_PROVIDER,
    encode::{Server, is_origin},
};
use crate::{
    ChatRequest, ContentPart, Error, Json, Media, Message, Role, ToolCall, ToolResult,
    provider::kit::{
        json_object::JsonObject,
        request::{
            HistorySupport, NO_OUTPUT, NO_TEXT, UnsupportedParams, data_url, is_blank, trim_end,
        },
    },
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::borrow::Cow;

/// The conversation in the API's format.
#[derive(Debug, Default)]
pub(super) struct Conversation<'a> {
    pub(super) system: Vec<Block<'a>>,
    pub(super) messages: Vec<Turn<'a>>,
}

#[derive(Debug, Serialize)]
pub(super) struct Turn<'a> {
    role: &'static str,
    #[serde(serialize_with = "serialize_content")]
    content: Vec<Block<'a>>,
}

const USER: &str = "user";
const ASSISTANT: &str = "assistant";

impl<'a> Conversation<'a> {
    pub(super) fn new(
        request: &'a ChatRequest,
        server: &Server,
        omissions: &mut UnsupportedParams<'_>,
    ) -> Result<Self, Error> {
        let mut conversation = Conversation::default();
        let takes = HistorySupport {
            block_providers: &[BLOCK_PROVIDER],
            signatures: true,
            errors: true,
        };
        omissions.history(&request.messages, takes);
        for message in &request.messages {
            conversation.add(message, server, omissions)?;
        }
        conversation.end_turns(omissions);
        Ok(conversation)
    }

    fn add(
        &mut self,
        message: &'a Message,
        server: &Server,
        omissions: &mut UnsupportedParams<'_>,
    ) -> Result<(), Error> {
        if message.name.is_some() {
            omissions.refuse("the `name` of a message")?;
        }
        let role = match message.role {
            Role::System | Role::Developer => {
                if !self.messages.is_empty() {
                    omissions.warn(
                        "system_moved",
                        "system messages in the middle of the conversation were moved to its beginning",
                    );
                }
                return blocks(&message.content, server, &mut self.system, omissions);
            }
            Role::Assistant => ASSISTANT,
            Role::User | Role::Tool | Role::Other(_) => USER,
        };
        let mut content = Vec::with_capacity(message.content.len());
        blocks(&message.content, server, &mut content, omissions)?;
        // A blank user message stays, to be filled if no other joins it: without it two assistant messages would be
        // joined.
        let stays = role == USER && message.content.iter().any(is_blank_text);
        if !content.is_empty() || stays {
            self.push(Turn { role, content });
        }
        Ok(())
    }

    /// The API would join messages of one role too; the results of one turn must be in one message.
    fn push(&mut self, mut turn: Turn<'a>) {
        match self.messages.last_mut() {
            Some(last) if last.role == turn.role => last.content.append(&mut turn.content),
            _ => self.messages.push(turn),
        }
    }

    /// Converts each turn to the form that the API requires.
    fn end_turns(&mut self, omissions: &mut UnsupportedParams<'_>) {
        for mut turn in std::mem::take(&mut self.messages) {
            if turn.role == ASSISTANT && drop_trailing_thinking(&mut turn.content) {
                omissions.warn(
                    "reasoning_left_out",
                    "reasoning without a following text or tool call was not sent, because the API refuses a turn that ends with reasoning",
                );
                if turn.content.is_empty() {
                    continue;
                }
            }
            self.push(turn);
        }
        for turn in &mut self.messages {
            // The API requires all results before other content of the user.
            turn.content
                .sort_by_key(|block| !matches!(block.content, BlockContent::ToolResult { .. }));
            if turn.content.is_empty() {
                turn.content.push(Block::text(NO_TEXT));
                omissions.warn(
                    "blank_text_filled",
                    format!("a user message without text was sent as `{NO_TEXT}`, because the API refuses blank messages"),
                );
            }
        }
        let last = self.messages.last_mut();
        let last = last.filter(|turn| turn.role == ASSISTANT);
        if let Some(BlockContent::Text { text, .. }) =
            last.and_then(|turn| Some(&mut turn.content.last_mut()?.content))
        {
            *text = trim_end(text);
        }
    }
}

/// Removes reasoning at the end of a turn, where the API refuses it. Returns whether there was any.
fn drop_trailing_thinking(content: &mut Vec<Block<'_>>) -> bool {
    let kept = content.iter().rposition(|block| !block.is_thinking());
    let kept = kept.map_or(0, |at| at.saturating_add(1));
    let found = kept < content.len();
    content.truncate(kept);
    found
}

fn is_blank_text(part: &ContentPart) -> bool {
    match part {
        ContentPart::Text { text, .. } | ContentPart::Refusal { text } => is_blank(text),
        _ => false,
    }
}

fn blocks<'a>(
    parts: &'a [ContentPart],
    server: &Server,
    blocks: &mut Vec<Block<'a>>,
    omissions: &mut UnsupportedParams<'_>,
) -> Result<(), Error> {
    let takes_unsigned = server.takes_unsigned(parts);
    for part in parts {
        if let ContentPart::ProviderBlock(block) = part {
            if block.provider != BLOCK_PROVIDER || is_origin(block) {
                continue;
            }
            // A block without a type adds fields to the block before it: a cache point.
            let members = JsonObject::read(block.block.as_str());
            if let Some(members) = members.filter(|members| members.get("type").is_none()) {
                if let Some(last) = blocks.last_mut() {
                    last.more = Some(members);
                }
                continue;
            }
        }
        if let Some(piece) = block_content(part, takes_unsigned, server, omissions)? {
            blocks.push(Block::new(piece));
        }
    }
    Ok(())
}

fn block_content<'a>(
    part: &'a ContentPart,
    takes_unsigned: bool,
    server: &Server,
    omissions: &mut UnsupportedParams<'_>,
) -> Result<Option<BlockContent<'a>>, Error> {
    Ok(Some(match part {
        // The API refuses blank texts.
        part if is_blank_text(part) => return Ok(None),
        ContentPart::Text { text, citations } => {
            let own = |raw: &&Json| {
                let kind = JsonObject::read(raw.as_str()).and_then(|raw| raw.get("type").cloned());
                kind.is_some_and(|kind| kind.as_str().ends_with("_location\""))
            };
            let raw = citations
                .iter()
                .filter_map(|citation| citation.raw.as_ref());
            let citations: Vec<&Json> = raw.filter(own).collect();
            BlockContent::Text { text, citations }
        }
        ContentPart::Refusal { text } => BlockContent::Text {
            text,
            citations: Vec::new(),
        },
        ContentPart::Image { media, detail } => {
            if let Some(detail) = detail.as_ref().filter(|detail| detail.as_str() != "auto") {
                omissions.refuse_value("detail", detail)?;
            }
            BlockContent::Media {
                kind: "image",
                source: source(media, omissions)?,
                title: None,
            }
        }
        ContentPart::Document { media, name } => BlockContent::Media {
            kind: "document",
            source: source(media, omissions)?,
            title: name.as_deref().filter(|name| !is_blank(name)),
        },
        ContentPart::Reasoning {
            text,
            signature: Some(signature),
        } => BlockContent::Thinking {
            text,
            signature: Some(signature),
        },
        ContentPart::Reasoning { text, .. } if takes_unsigned && !is_blank(text) => {
            BlockContent::Thinking {
                text,
                signature: None,
            }
        }
        ContentPart::Reasoning { .. } => {
            omissions.warn(
                "reasoning_left_out",
                "reasoning without a signature was not sent, because this server did not generate it, or signs its reasoning",
            );
            return Ok(None);
        }
        ContentPart::ToolCall(call) => tool_use(call, omissions)?,
        ContentPart::ToolResult(result) => tool_result(result, server, omissions)?,
        ContentPart::ProviderBlock(block) => BlockContent::Opaque(&block.block),
        // `kit::hosted` replaced them by their blocks.
        ContentPart::HostedToolCall(_)
        | ContentPart::HostedToolResult(_)
        | ContentPart::Compaction(_) => return Ok(None),
        ContentPart::Audio { .. } => return Err(omissions.cannot_send("audio")),
        ContentPart::Video { .. } => return Err(omissions.cannot_send("a video")),
    }))
}

fn source<'a>(media: &'a Media, omissions: &UnsupportedParams<'_>) -> Result<Source<'a>, Error> {
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

fn tool_use<'a>(
    call: &'a ToolCall,
    omissions: &mut UnsupportedParams<'_>,
) -> Result<BlockContent<'a>, Error> {
    let input = Json::parse(omissions.arguments(call)?)?;
    let own = call.provider_data.as_ref();
    let own = own.filter(|data| data.provider == BLOCK_PROVIDER);
    Ok(BlockContent::ToolUse {
        id: &call.id,
        name: &call.name,
        input,
        more: own.and_then(|data| JsonObject::read(data.data.as_str())),
    })
}

fn tool_result<'a>(
    result: &'a ToolResult,
    server: &Server,
    omissions: &mut UnsupportedParams<'_>,
) -> Result<BlockContent<'a>, Error> {
    let mut content = Vec::with_capacity(result.content.len());
    blocks(&result.content, server, &mut content, omissions)?;
    // The API refuses `is_error` without content.
    if content.is_empty() && result.is_error {
        content.push(Block::text(NO_OUTPUT));
    }
    Ok(BlockContent::ToolResult {
        id: &result.call_id,
        content,
        is_error: result.is_error,
    })
}

// Encoding of content blocks.

/// A content block and added fields, such as `cache_control`.
#[derive(Debug)]
pub(super) struct Block<'a> {
    pub(super) content: BlockContent<'a>,
    pub(super) more: Option<JsonObject>,
}

#[derive(Debug)]
pub(super) enum BlockContent<'a> {
    Text {
        text: &'a str,
        citations: Vec<&'a Json>,
    },
    /// An image or a document.
    Media {
        kind: &'static str,
        source: Source<'a>,
        title: Option<&'a str>,
    },
    Thinking {
        text: &'a str,
        /// None for a server without signatures.
        signature: Option<&'a str>,
    },
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: Json,
        more: Option<JsonObject>,
    },
    ToolResult {
        id: &'a str,
        content: Vec<Block<'a>>,
        is_error: bool,
    },
    Opaque(&'a Json),
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Source<'a> {
    Base64 {
        media_type: &'a str,
        data: Cow<'a, str>,
    },
    Text {
        media_type: &'static str,
        data: &'a str,
    },
    Url {
        url: &'a str,
    },
    File {
        file_id: &'a str,
    },
}

impl<'a> Block<'a> {
    pub(super) fn new(piece: BlockContent<'a>) -> Self {
        Block {
            content: piece,
            more: None,
        }
    }

    pub(super) fn text(text: &'a str) -> Self {
        let citations = Vec::new();
        Block::new(BlockContent::Text { text, citations })
    }

    /// Whether this is reasoning, visible or redacted.
    pub(super) fn is_thinking(&self) -> bool {
        match &self.content {
            BlockContent::Thinking { .. } => true,
            BlockContent::Opaque(raw) => {
                let kind = JsonObject::read(raw.as_str()).and_then(|raw| raw.get("type").cloned());
                kind.is_some_and(|kind| {
                    matches!(kind.as_str(), "\"thinking\"" | "\"redacted_thinking\"")
                })
            }
            _ => false,
        }
    }

    /// The text, if the block has nothing else.
    fn plain(&self) -> Option<&'a str> {
        match &self.content {
            BlockContent::Text { text, citations }
                if citations.is_empty() && self.more.is_none() =>
            {
                Some(text)
            }
            _ => None,
        }
    }
}

/// Writes a single text as a string, anything else as a list of blocks.
pub(super) fn serialize_content<S: Serializer>(
    content: &[Block<'_>],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match content {
        [block] => match block.plain() {
            Some(text) => serializer.serialize_str(text),
            None => content.serialize(serializer),
        },
        _ => content.serialize(serializer),
    }
}

/// Writes the content as the value of a field.
#[derive(Debug, Serialize)]
pub(super) struct Content<'b, 'a>(
    #[serde(serialize_with = "serialize_content")] pub(super) &'b [Block<'a>],
);

impl Serialize for Block<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let (BlockContent::Opaque(raw), None) = (&self.content, &self.more) {
            return raw.serialize(serializer);
        }
        let mut map = serializer.serialize_map(None)?;
        match &self.content {
            BlockContent::Text { text, citations } => {
                map.serialize_entry("type", "text")?;
                map.serialize_entry("text", text)?;
                if !citations.is_empty() {
                    map.serialize_entry("citations", citations)?;
                }
            }
            BlockContent::Media {
                kind,
                source,
                title,
            } => {
                map.serialize_entry("type", kind)?;
                map.serialize_entry("source", source)?;
                if let Some(title) = title {
                    map.serialize_entry("title", title)?;
                }
            }
            BlockContent::Thinking { text, signature } => {
                map.serialize_entry("type", "thinking")?;
                map.serialize_entry("thinking", text)?;
                if let Some(signature) = signature {
                    map.serialize_entry("signature", signature)?;
                }
            }
            BlockContent::ToolUse {
                id,
                name,
                input,
                more,
            } => {
                map.serialize_entry("type", "tool_use")?;
                map.serialize_entry("id", id)?;
                map.serialize_entry("name", name)?;
                map.serialize_entry("input", input)?;
                entries(&mut map, more.as_ref())?;
            }
            BlockContent::ToolResult {
                id,
                content,
                is_error,
            } => {
                map.serialize_entry("type", "tool_result")?;
                map.serialize_entry("tool_use_id", id)?;
                if !content.is_empty() {
                    map.serialize_entry("content", &Content(content))?;
                }
                if *is_error {
                    map.serialize_entry("is_error", &true)?;
                }
            }
            BlockContent::Opaque(raw) => {
                entries(&mut map, JsonObject::read(raw.as_str()).as_ref())?
            }
        }
        entries(&mut map, self.more.as_ref())?;
        map.end()
    }
}

fn entries<M: SerializeMap>(map: &mut M, members: Option<&JsonObject>) -> Result<(), M::Error> {
    for (name, value) in members.into_iter().flat_map(JsonObject::iter) {
        map.serialize_entry(name, value)?;
    }
    Ok(())
}
