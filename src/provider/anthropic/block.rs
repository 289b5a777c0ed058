//! Content blocks as they are written.

use crate::{Json, provider::kit::json_object::JsonObject};
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::borrow::Cow;

/// A content block and what is added to it, such as `cache_control`.
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
    /// A picture or a document.
    Media {
        kind: &'static str,
        source: Source<'a>,
        title: Option<&'a str>,
    },
    Thinking {
        text: &'a str,
        /// None of a server that signs nothing.
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

    /// Whether this is thinking, shown or not.
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

    /// The text, if the block is nothing else.
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

/// A single text as a string, anything else as a list of blocks.
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

/// The same, for a member of its own.
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
