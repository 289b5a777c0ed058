//! The content blocks of a stream that are under way and must be kept until they are whole.

use super::{BLOCK_PROVIDER, signing::Server};
use crate::{
    Error, Json,
    chat::{ProviderBlock, Warning},
    provider::{
        ResponseBuilder,
        kit::{json_object::JsonObject, unknown_fields::shown},
    },
};

/// Blocks that have begun and not ended, in the order in which they began.
#[derive(Debug)]
pub(super) struct OpenBlocks {
    open: Vec<(u32, Open)>,
    server: Server,
    /// Whether there was thinking without a signature.
    has_unsigned: bool,
}

#[derive(Debug)]
enum Open {
    /// A tool call; the input that stood in its beginning counts if no pieces follow.
    Tool { input: String, has_pieces: bool },
    /// Thinking, of which must be known at its end whether it was signed.
    Thinking { has_text: bool, is_signed: bool },
    /// A block that is handed on as it is.
    Opaque {
        raw: Json,
        input: String,
        content: String,
    },
}

impl OpenBlocks {
    pub(super) fn new(server: Server) -> Self {
        let open = Vec::new();
        OpenBlocks {
            open,
            server,
            has_unsigned: false,
        }
    }

    pub(super) fn thinking(&mut self, part: u32) {
        let open = Open::Thinking {
            has_text: false,
            is_signed: false,
        };
        self.begin(part, open);
    }

    /// More of a thought.
    pub(super) fn thought(
        &mut self,
        part: u32,
        more: &str,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        if let Some(Open::Thinking { has_text, .. }) = self.find(part) {
            *has_text |= !more.is_empty();
        }
        out.reasoning(0, part, more)
    }

    /// The signature of a thought.
    pub(super) fn signature(
        &mut self,
        part: u32,
        signature: &str,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        if let Some(Open::Thinking { is_signed, .. }) = self.find(part) {
            *is_signed = true;
        }
        out.reasoning_signature(0, part, signature)
    }

    pub(super) fn tool(&mut self, part: u32, input: &str) {
        let input = if input.is_empty() { "{}" } else { input };
        let input = input.to_owned();
        let has_pieces = false;
        self.begin(part, Open::Tool { input, has_pieces });
    }

    pub(super) fn provider_block(&mut self, part: u32, raw: Json) {
        let open = Open::Opaque {
            raw,
            input: String::new(),
            content: String::new(),
        };
        self.begin(part, open);
    }

    fn begin(&mut self, part: u32, open: Open) {
        self.open.retain(|(other, _)| *other != part);
        self.open.push((part, open));
    }

    /// More of a tool's input.
    pub(super) fn input(
        &mut self,
        part: u32,
        more: &str,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        match self.find(part) {
            Some(Open::Opaque { input, .. }) => {
                out.charge(more.len())?;
                input.push_str(more);
                Ok(())
            }
            Some(Open::Tool { has_pieces, .. }) => {
                *has_pieces |= !more.is_empty();
                out.tool_arguments(0, part, more)
            }
            _ => out.tool_arguments(0, part, more),
        }
    }

    /// More of a compaction's summary.
    pub(super) fn content(
        &mut self,
        part: u32,
        more: &str,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        if let Some(Open::Opaque { content, .. }) = self.find(part) {
            out.charge(more.len())?;
            content.push_str(more);
        }
        Ok(())
    }

    /// A block is whole.
    pub(super) fn end(&mut self, part: u32, out: &mut ResponseBuilder) -> Result<(), Error> {
        if let Some(at) = self.open.iter().position(|(other, _)| *other == part) {
            let (part, open) = self.open.remove(at);
            self.has_unsigned |= open.is_unsigned();
            open.end(part, out)?;
        }
        out.end_part(0, part)
    }

    /// The message is over, whole or cut. Of the blocks whose end did not come, text and thinking are whole; a call is if its
    /// input is. `last` is a part behind those of all blocks.
    pub(super) fn end_all(
        &mut self,
        last: u32,
        is_cut: bool,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        for (part, open) in std::mem::take(&mut self.open) {
            self.has_unsigned |= open.is_unsigned();
            match open {
                Open::Thinking { .. } => out.end_part(0, part)?,
                Open::Tool { input, has_pieces } => {
                    // An empty one is what every call begins with.
                    if !has_pieces && input != "{}" {
                        out.tool_arguments(0, part, &input)?;
                    }
                    out.end_open_call(0, part, is_cut, &format!("content[{part}]"))?;
                }
                Open::Opaque {
                    ref raw, ref input, ..
                } if lacks_input(raw, input) => {
                    out.warn(not_completed(part, raw, "it was left out"));
                }
                Open::Opaque { ref raw, .. } => {
                    out.warn(not_completed(part, raw, "what came of it is kept"));
                    open.end(part, out)?;
                }
            }
        }
        match self.server.origin_block()? {
            Some(origin) if std::mem::take(&mut self.has_unsigned) => {
                out.provider_block(0, last, origin)
            }
            _ => Ok(()),
        }
    }

    /// Whether a block has begun whose end has not come.
    pub(super) fn has_unfinished(&self) -> bool {
        !self.open.is_empty()
    }

    fn find(&mut self, part: u32) -> Option<&mut Open> {
        self.open
            .iter_mut()
            .find_map(|(other, open)| (*other == part).then_some(open))
    }
}

impl Open {
    fn is_unsigned(&self) -> bool {
        matches!(
            self,
            Open::Thinking {
                has_text: true,
                is_signed: false
            }
        )
    }

    fn end(self, part: u32, out: &mut ResponseBuilder) -> Result<(), Error> {
        match self {
            Open::Thinking { .. } => Ok(()),
            Open::Tool {
                has_pieces: true, ..
            } => Ok(()),
            Open::Tool { input, .. } => out.tool_arguments(0, part, &input),
            Open::Opaque {
                raw,
                input,
                content,
            } => {
                let block = if input.is_empty() && content.is_empty() {
                    raw
                } else {
                    completed(&raw, &input, &content)?
                };
                out.provider_block(0, part, ProviderBlock::new(BLOCK_PROVIDER, block))
            }
        }
    }
}

/// Whether a call that the server runs has only been announced: its input is empty, or in pieces that are no JSON.
fn lacks_input(raw: &Json, pieces: &str) -> bool {
    let block = JsonObject::read(raw.as_str()).unwrap_or_default();
    let announced = block.get("input").map(Json::as_str);
    match pieces {
        "" => matches!(announced.map(str::trim), Some("{}" | "null" | "\"\"")),
        pieces => Json::parse(pieces).is_err(),
    }
}

fn not_completed(part: u32, raw: &Json, what: &str) -> Warning {
    let block = JsonObject::read(raw.as_str()).unwrap_or_default();
    let kind = block.get("type").map_or("", Json::as_str);
    Warning::new(
        "item_not_completed",
        format!(
            "the block {} in `content[{part}]` was announced and never completed; {what}",
            shown(kind)
        ),
    )
}

/// A block with what came after its beginning.
fn completed(raw: &Json, input: &str, content: &str) -> Result<Json, Error> {
    let mut block = JsonObject::read(raw.as_str()).unwrap_or_default();
    if !input.is_empty() {
        // Input that is no JSON is kept as a string: it must not break the block.
        let input = Json::parse(input).or_else(|_| Json::new(input))?;
        block.set("input", input);
    }
    if !content.is_empty() {
        block.set("content", Json::new(content)?);
    }
    block.to_json()
}
