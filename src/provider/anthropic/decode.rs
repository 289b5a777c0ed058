//! Decodes responses into the response builder.

use super::{
    BLOCK_PROVIDER,
    encode::Server,
    errors, hosted,
    types::{Block, CitationFields, Counts, Delta, Event, Message},
};
use crate::{
    Error, ErrorKind, FinishReason, Json,
    chat::{Citation, ProviderData, ResponseStart, Warning},
    provider::{
        ChatDecoder, Frame, FrameKind, FrameOutcome, ResponseBuilder,
        kit::{
            json_object::JsonObject,
            lenient::{self, List, Raw},
            unknown_fields::{UnknownFieldWarnings, shown},
        },
    },
};
use bytes::Bytes;

/// More blocks than this are refused; recorded messages have fewer than a hundred.
const MAX_BLOCKS: u32 = 4096;

/// Decodes one response.
#[derive(Debug)]
pub(super) struct MessageDecoder {
    /// The token limit, if the library set it.
    chosen_limit: Option<u64>,
    /// The message's id, once it has started.
    id: Option<String>,
    /// Whether the message has a block.
    has_content: bool,
    /// Whether the message has a tool call for the caller.
    has_calls: bool,
    /// The stop reason in the server's word.
    reason: Option<String>,
    has_end: bool,
    counts: Counts,
    open: OpenBlocks,
    unknown: UnknownFieldWarnings,
}

impl MessageDecoder {
    pub(super) fn new(chosen_limit: Option<u64>, server: &Server) -> Self {
        MessageDecoder {
            chosen_limit,
            id: None,
            has_content: false,
            has_calls: false,
            reason: None,
            has_end: false,
            counts: Counts::default(),
            open: OpenBlocks::new(server.clone()),
            unknown: UnknownFieldWarnings::default(),
        }
    }

    fn event(
        &mut self,
        frame: Frame<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<FrameOutcome, Error> {
        let event: Event<'_> = lenient::parse(frame.data)?;
        let part = |count: lenient::Count| part(count.0.unwrap_or(0));
        let delta = event.delta.0.as_ref();
        match event.r#type.non_empty().unwrap_or(frame.name) {
            "content_block_delta" => {
                if let Some(delta) = delta {
                    self.delta(part(event.index)?, delta, out)?;
                }
            }
            "content_block_start" => self.block(part(event.index)?, event.content_block, out)?,
            "content_block_stop" => self.open.end(part(event.index)?, out)?,
            "message_start" => self.begin(event.message.0.unwrap_or_default(), out)?,
            "message_delta" => {
                self.usage(event.usage, out)?;
                let empty = Delta::default();
                let delta = delta.unwrap_or(&empty);
                self.unknown.extras("", &delta.others, out)?;
                let extras = [
                    ("stop_sequence", delta.stop_sequence),
                    ("stop_details", delta.stop_details),
                    ("container", delta.container),
                    ("context_management", event.context_management),
                ];
                self.stop(delta.stop_reason.non_empty(), &extras, out)?;
            }
            "message_stop" => {
                if self.id.is_none() {
                    return Err(protocol("the stream ended a message without starting it"));
                }
                // Some servers send usage and timing only here.
                self.usage(event.usage, out)?;
                self.unknown.extras("", &event.others, out)?;
                self.has_end = true;
                return Ok(FrameOutcome::Complete);
            }
            "ping" => return Ok(FrameOutcome::KeepAlive),
            "error" => return Err(errors::from_event("", frame.data)),
            other => self.unknown.event(other, out),
        }
        self.unknown.extras("", &event.others, out)?;
        Ok(FrameOutcome::Continue)
    }

    /// A message starts. Some proxies repeat the event. If another message starts, the first one is lost, and its
    /// emitted content cannot be withdrawn.
    fn begin(&mut self, message: Message<'_>, out: &mut ResponseBuilder) -> Result<(), Error> {
        let id = message.id.as_deref().unwrap_or_default();
        match &self.id {
            Some(known) if known == id && !self.has_content => return Ok(()),
            Some(_) => return Err(protocol("a second message started inside the first one")),
            None => self.id = Some(id.to_owned()),
        }
        self.message(message, out)
    }

    /// A message, complete or as far as it is known.
    fn message(&mut self, message: Message<'_>, out: &mut ResponseBuilder) -> Result<(), Error> {
        out.choice(0)?;
        let usage = self.counts.add(message.usage)?;
        out.response_start(ResponseStart {
            id: message.id.to_string_or_empty(),
            model: message.model.to_string_or_empty(),
            service_tier: self.counts.service_tier().map(str::to_owned),
            ..ResponseStart::default()
        });
        if let Some(usage) = usage {
            out.usage(usage);
        }
        let content = message.content.unwrap_or_default();
        match content.text().map(|text| (text.as_bytes().first(), text)) {
            Some((Some(b'['), _)) => {
                let blocks: List<Raw<'_>> = content.parse()?;
                for (position, block) in (0_u64..).zip(blocks.0) {
                    let part = part(position)?;
                    self.block(part, block, out)?;
                    self.open.end(part, out)?;
                }
            }
            Some(_) => {
                self.block(0, content, out)?;
                self.open.end(0, out)?;
            }
            None => {}
        }
        self.unknown.extras("", &message.others, out)?;
        let extras = [
            ("stop_sequence", message.stop_sequence),
            ("stop_details", message.stop_details),
            ("container", message.container),
            ("context_management", message.context_management),
        ];
        self.stop(message.stop_reason.non_empty(), &extras, out)
    }

    /// A block, complete or at its start.
    fn block(&mut self, part: u32, raw: Raw<'_>, out: &mut ResponseBuilder) -> Result<(), Error> {
        self.has_content = true;
        if raw.text().is_some_and(|text| text.starts_with('"')) {
            let text: lenient::Text<'_> = raw.parse()?;
            return out.text(0, part, text.as_deref().unwrap_or_default());
        }
        if !raw.text().is_some_and(|text| text.starts_with('{')) {
            if let Some(text) = raw.text() {
                self.unknown.value("content", text, out);
            }
            return Ok(());
        }
        let block: Block<'_> = raw.parse()?;
        match block.r#type.as_deref().unwrap_or_default() {
            "text" => {
                out.text(0, part, block.text.as_deref().unwrap_or_default())?;
                for citation in &block.citations.0 {
                    cite(part, *citation, out)?;
                }
                self.unknown.members("a text block", &block.others, out);
            }
            "thinking" => {
                self.open.thinking(part);
                let thinking = block.thinking.as_deref().unwrap_or_default();
                self.open.thought(part, thinking, out)?;
                if let Some(signature) = block.signature.non_empty() {
                    self.open.signature(part, signature, out)?;
                }
                self.unknown.members("a thinking block", &block.others, out);
            }
            "tool_use" => {
                let text = |text: &lenient::Text<'_>| text.to_string_or_empty();
                out.tool_start(0, part, &text(&block.id), &text(&block.name))?;
                self.has_calls = true;
                let mut others = JsonObject::default();
                for (name, value) in block.others.iter() {
                    if let Some(value) = value.json() {
                        others.set(name, value);
                    }
                }
                if !others.is_empty() {
                    out.tool_call_provider_data(
                        0,
                        part,
                        ProviderData::new(BLOCK_PROVIDER, others.to_json()?),
                    )?;
                }
                let input = block.input.text().unwrap_or_default();
                out.charge(input.len())?;
                self.open.tool(part, input);
            }
            _ => {
                let json = raw.json();
                if let Some(json) = json {
                    out.charge(json.as_str().len())?;
                    self.open.provider_block(part, json);
                }
            }
        }
        Ok(())
    }

    fn delta(
        &mut self,
        part: u32,
        delta: &Delta<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        self.has_content = true;
        match delta.r#type.as_deref().unwrap_or_default() {
            "text_delta" => out.text(0, part, delta.text.as_deref().unwrap_or_default()),
            "thinking_delta" => {
                let more = delta.thinking.as_deref().unwrap_or_default();
                self.open.thought(part, more, out)
            }
            "signature_delta" => match delta.signature.non_empty() {
                Some(signature) => self.open.signature(part, signature, out),
                None => Ok(()),
            },
            "input_json_delta" => {
                let more = delta.partial_json.as_deref().unwrap_or_default();
                self.open.input(part, more, out)
            }
            "citations_delta" => cite(part, delta.citation, out),
            "compaction_delta" => {
                let more = delta.content.as_deref().unwrap_or_default();
                self.open.content(part, more, out)
            }
            other => {
                self.unknown.delta(other, out);
                Ok(())
            }
        }?;
        self.unknown.members("a delta", &delta.others, out);
        Ok(())
    }

    fn usage(&mut self, raw: Raw<'_>, out: &mut ResponseBuilder) -> Result<(), Error> {
        if let Some(usage) = self.counts.add(raw)? {
            out.usage(usage);
            if let Some(tier) = self.counts.service_tier() {
                out.response_start(ResponseStart {
                    service_tier: Some(tier.to_owned()),
                    ..ResponseStart::default()
                });
            }
        }
        Ok(())
    }

    fn stop(
        &mut self,
        reason: Option<&str>,
        extras: &[(&str, Raw<'_>)],
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        for (name, raw) in extras {
            if let Some(value) = raw.json() {
                out.extra(name, value)?;
            }
        }
        let Some(reason) = reason else {
            return Ok(());
        };
        out.finish(0, Some(self.unified(reason)), reason)?;
        self.reason = Some(reason.to_owned());
        Ok(())
    }

    fn unified(&self, reason: &str) -> FinishReason {
        match finish_reason(reason) {
            FinishReason::Stop if self.has_calls => FinishReason::ToolCalls,
            unified => unified,
        }
    }

    /// Whether a limit or a filter ended the message.
    fn is_cut(&self) -> bool {
        self.reason
            .as_deref()
            .is_some_and(|reason| finish_reason(reason).is_cut())
    }
}

impl ChatDecoder for MessageDecoder {
    fn decode_frame(
        &mut self,
        frame: Frame<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<FrameOutcome, Error> {
        // OpenRouter sends OpenAI's end marker after `message_stop`; alone it ends nothing.
        if lenient::is_done(frame.data) {
            return Ok(FrameOutcome::Continue);
        }
        if frame.kind == FrameKind::Exception || frame.name == "error" {
            return Err(errors::from_event(frame.name, frame.data));
        }
        self.event(frame, out)
    }

    fn decode_body(&mut self, body: &Bytes, out: &mut ResponseBuilder) -> Result<(), Error> {
        let text = lenient::utf8(body)?;
        let message: Message<'_> = lenient::parse(text)?;
        if message.r#type.as_deref() == Some("error") {
            return Err(errors::from_event("", text));
        }
        if message.content.is_none() {
            return Err(protocol(
                "the response is not a message: it has no `content`",
            ));
        }
        self.message(message, out)?;
        self.open.end_all(MAX_BLOCKS, self.is_cut(), out)?;
        self.has_end = true;
        out.end_marker();
        Ok(())
    }

    fn check_end(&self) -> Result<(), Error> {
        if !self.has_end && self.open.has_unfinished() {
            return Err(Error::new(
                ErrorKind::Truncated,
                "the stream sent a stop reason, but ended inside a content block",
            ));
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut ResponseBuilder) -> Result<(), Error> {
        self.open.end_all(MAX_BLOCKS, self.is_cut(), out)?;
        // A call can follow the stop reason.
        if let Some(reason) = &self.reason {
            out.finish(0, Some(self.unified(reason)), reason)?;
        }
        if !self.has_end {
            out.warn_once(Warning::new(
                "missing_end",
                "the stream sent a stop reason, but ended without `message_stop`",
            ));
        }
        let is_cut = self.reason.as_deref() == Some("max_tokens");
        if let (true, Some(limit)) = (is_cut, self.chosen_limit) {
            out.warn(Warning::new(
                "default_max_tokens",
                format!(
                    "the response was cut off after {limit} tokens, the default limit because the request set no `max_tokens`"
                ),
            ));
        }
        Ok(())
    }
}

fn cite(part: u32, raw: Raw<'_>, out: &mut ResponseBuilder) -> Result<(), Error> {
    let Some(wire) = raw.read::<CitationFields<'_>>() else {
        return Ok(());
    };
    let first = |texts: [&lenient::Text<'_>; 2]| {
        let found = texts.into_iter().find_map(|text| text.non_empty());
        found.map(str::to_owned)
    };
    let citation = Citation {
        url: first([&wire.url, &wire.source]),
        title: first([&wire.title, &wire.document_title]),
        cited_text: wire.cited_text.non_empty().map(str::to_owned),
        raw: raw.json(),
    };
    out.citation(0, part, citation)
}

fn finish_reason(reason: &str) -> FinishReason {
    match reason {
        "end_turn" | "stop_sequence" => FinishReason::Stop,
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "tool_use" => FinishReason::ToolCalls,
        "refusal" => FinishReason::ContentFilter,
        other => FinishReason::Other(other.to_owned()),
    }
}

fn part(index: u64) -> Result<u32, Error> {
    u32::try_from(index)
        .ok()
        .filter(|block| *block < MAX_BLOCKS)
        .ok_or_else(|| {
            Error::new(
                ErrorKind::TooLarge,
                format!("a content block has the index {index}, above the limit of {MAX_BLOCKS}"),
            )
        })
}

fn protocol(what: &str) -> Error {
    Error::new(ErrorKind::Protocol, what)
}

// Content blocks of a stream that are buffered until they are complete.

/// Blocks that have started but not ended, in the order of their start.
#[derive(Debug)]
pub(super) struct OpenBlocks {
    open: Vec<(u32, Open)>,
    server: Server,
    /// Whether there was reasoning without a signature.
    has_unsigned: bool,
}

#[derive(Debug)]
enum Open {
    /// A tool call; the input at its start counts if no deltas follow.
    Tool { input: String, has_pieces: bool },
    /// Reasoning; at its end it must be known whether it was signed.
    Thinking { has_text: bool, is_signed: bool },
    /// A block that is passed on unchanged.
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

    /// More reasoning.
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

    /// The signature of reasoning.
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

    /// A block is complete.
    pub(super) fn end(&mut self, part: u32, out: &mut ResponseBuilder) -> Result<(), Error> {
        if let Some(at) = self.open.iter().position(|(other, _)| *other == part) {
            let (part, open) = self.open.remove(at);
            self.has_unsigned |= open.is_unsigned();
            open.end(part, out)?;
        }
        out.end_part(0, part)
    }

    /// The message ended, complete or cut. Text and reasoning without their end are complete; a call is complete if
    /// its input is. `last` is a part after those of all blocks.
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
                    // Every call starts with an empty one.
                    if !has_pieces && input != "{}" {
                        out.tool_arguments(0, part, &input)?;
                    }
                    out.end_open_call(0, part, is_cut, &format!("content[{part}]"))?;
                }
                Open::Opaque {
                    ref raw, ref input, ..
                } if lacks_input(raw, input) => {
                    out.warn(not_completed(part, raw, "it was dropped"));
                }
                Open::Opaque { ref raw, .. } => {
                    out.warn(not_completed(part, raw, "its received part is kept"));
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

    /// Whether a block has started but not ended.
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
                hosted::emit(part, block, out)
            }
        }
    }
}

/// Whether a server-side call was only announced: its input is empty, or its deltas are not JSON.
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
            "the block {} in `content[{part}]` was never completed; {what}",
            shown(kind)
        ),
    )
}

/// A block with the deltas after its start.
fn completed(raw: &Json, input: &str, content: &str) -> Result<Json, Error> {
    let mut block = JsonObject::read(raw.as_str()).unwrap_or_default();
    if !input.is_empty() {
        // Input that is not JSON is kept as a string, so that the block stays valid.
        let input = Json::parse(input).or_else(|_| Json::new(input))?;
        block.set("input", input);
    }
    if !content.is_empty() {
        block.set("content", Json::new(content)?);
    }
    block.to_json()
}
