//! From the wire to the assembler.

use super::{
    WIRE,
    collect::Collected,
    failure,
    wire::{Answer, Block, BlockEvent, Citation, Metrics, ToolUse, Trace, Usage},
};
use crate::{
    Assembler, Error, ErrorKind, FinishReason, Head, Json, OpaqueBlock, ServerTiming, Warning,
    provider::{
        Decoder, Frame, FrameKind, Progress,
        lenient::{self, Raw},
    },
};
use bytes::Bytes;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// The one answer: Converse gives no more.
const CHOICE: u32 = 0;

/// What a content block can become, in order. A block has one of them, but servers are known to number two blocks alike,
/// and then neither may be lost.
#[derive(Clone, Copy, Debug)]
enum Slot {
    Reasoning,
    Text,
    Tool,
    Opaque,
}

const SLOTS: u32 = 4;

/// Reads one answer.
#[derive(Debug, Default)]
pub(super) struct ConverseDecoder {
    /// Blocks that are handed over when they are whole.
    collected: BTreeMap<u32, Collected>,
    /// Tool calls without a piece of input yet.
    without_input: BTreeSet<u32>,
    tools: BTreeSet<u32>,
    stopped: bool,
    has_metadata: bool,
    warned: bool,
}

impl ConverseDecoder {
    fn block_event(&mut self, name: &str, data: &str, out: &mut Assembler) -> Result<(), Error> {
        let mut scratch = String::new();
        let event: BlockEvent<'_> = lenient::parse(data, &mut scratch)?;
        let block = block_number(event.content_block_index.0.unwrap_or(0))?;
        match name {
            "contentBlockStart" => match &event.start.0 {
                Some(start) => self.start(block, start, out),
                None => Ok(()),
            },
            "contentBlockDelta" => match &event.delta.0 {
                Some(delta) => self.delta(block, delta, out),
                None => Ok(()),
            },
            _ => self.stop(block, out),
        }
    }

    /// Text and reasoning have no start; some servers send an empty one.
    fn start(&mut self, block: u32, start: &Block<'_>, out: &mut Assembler) -> Result<(), Error> {
        let collected = match start {
            Block {
                tool_use: lenient::Object(Some(tool)),
                ..
            } => {
                if !self.tools.insert(block) {
                    return Err(Error::new(
                        ErrorKind::Protocol,
                        format!("content block {block} begins a tool call twice"),
                    ));
                }
                if !tool.is_of_server() {
                    self.without_input.insert(block);
                    return out.tool_start(
                        CHOICE,
                        part(block, Slot::Tool),
                        tool.tool_use_id.as_deref().unwrap_or_default(),
                        tool.name.as_deref().unwrap_or_default(),
                    );
                }
                Collected::server_tool(tool)
            }
            Block { tool_result, .. } if tool_result.text().is_some() => {
                Collected::tool_result(*tool_result)
            }
            Block {
                image: lenient::Object(Some(image)),
                ..
            } => Collected::image(image),
            _ => return Ok(()),
        };
        out.retain(64)?;
        self.collected.entry(block).or_insert(collected);
        Ok(())
    }

    fn delta(&mut self, block: u32, delta: &Block<'_>, out: &mut Assembler) -> Result<(), Error> {
        if let Some(text) = delta.text.as_deref() {
            return out.text(CHOICE, part(block, Slot::Text), text);
        }
        if let Some(tool) = &delta.tool_use.0 {
            return self.tool_input(block, tool, out);
        }
        if let Some(reasoning) = &delta.reasoning_content.0 {
            let place = part(block, Slot::Reasoning);
            if let Some(text) = reasoning.text.as_deref() {
                out.reasoning(CHOICE, place, text)?;
            }
            if let Some(signature) = reasoning.signature.non_empty() {
                out.reasoning_signature(CHOICE, place, signature)?;
            }
            if let Some(redacted) = reasoning.redacted_content.non_empty() {
                out.retain(redacted.len())?;
                let open = self.collected.entry(block);
                if let Collected::Redacted(pieces) =
                    open.or_insert_with(|| Collected::Redacted(Vec::new()))
                {
                    pieces.push(redacted.to_owned());
                }
            }
            return Ok(());
        }
        if let Some(raw) = delta.citation.text().and(delta.citation.0) {
            return out.citation(CHOICE, part(block, Slot::Text), citation(Raw(Some(raw))));
        }
        self.collect(block, delta, out)
    }

    fn tool_input(
        &mut self,
        block: u32,
        tool: &ToolUse<'_>,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let input = input_text(tool.input)?;
        let Some(piece) = input.as_deref().filter(|piece| !piece.is_empty()) else {
            return Ok(());
        };
        if let Some(Collected::ServerTool { input, .. }) = self.collected.get_mut(&block) {
            out.retain(piece.len())?;
            input.push_str(piece);
            return Ok(());
        }
        self.tools.insert(block);
        self.without_input.remove(&block);
        out.tool_arguments(CHOICE, part(block, Slot::Tool), piece)
    }

    /// A piece of a block that is handed over when it is whole.
    fn collect(&mut self, block: u32, delta: &Block<'_>, out: &mut Assembler) -> Result<(), Error> {
        match self.collected.get_mut(&block) {
            Some(Collected::ToolResult { content, .. }) if delta.tool_result.text().is_some() => {
                let pieces: lenient::List<Raw<'_>> = delta.tool_result.read().unwrap_or_default();
                for piece in pieces.0.iter().filter_map(|piece| piece.0) {
                    out.retain(piece.get().len())?;
                    content.push(piece.to_owned());
                }
                Ok(())
            }
            Some(Collected::Image { bytes, .. }) => {
                let source = delta
                    .image
                    .0
                    .as_ref()
                    .and_then(|image| image.source.0.as_ref());
                if let Some(piece) = source.and_then(|source| source.bytes.non_empty()) {
                    out.retain(piece.len())?;
                    bytes.push(piece.to_owned());
                }
                Ok(())
            }
            _ => {
                if !std::mem::replace(&mut self.warned, true) {
                    out.warn(Warning::new(
                        "unknown_block",
                        format!(
                            "content block {block} is of a kind that is not known; it is left out"
                        ),
                    ));
                }
                Ok(())
            }
        }
    }

    fn stop(&mut self, block: u32, out: &mut Assembler) -> Result<(), Error> {
        // No argument is sent as no piece at all, or as an empty one; a whole answer has `{}` there.
        if self.without_input.remove(&block) {
            out.tool_arguments(CHOICE, part(block, Slot::Tool), "{}")?;
        }
        if let Some(collected) = self.collected.remove(&block) {
            opaque(block, collected.into_block()?, out)?;
        }
        for slot in [Slot::Reasoning, Slot::Text, Slot::Tool] {
            out.close(CHOICE, part(block, slot))?;
        }
        Ok(())
    }

    fn message_stop(&mut self, data: &str, out: &mut Assembler) -> Result<(), Error> {
        let open: BTreeSet<u32> = self
            .collected
            .keys()
            .chain(&self.without_input)
            .copied()
            .collect();
        for block in open {
            self.stop(block, out)?;
        }
        let mut scratch = String::new();
        let stop: Answer<'_> = lenient::parse(data, &mut scratch)?;
        self.stopped = true;
        end(&stop, out)
    }
}

impl Decoder for ConverseDecoder {
    fn frame(&mut self, frame: Frame<'_>, out: &mut Assembler) -> Result<Progress, Error> {
        if frame.kind == FrameKind::Exception || frame.name.ends_with("Exception") {
            return Err(failure::from_frame(frame));
        }
        match frame.name {
            "messageStart" => out.choice(CHOICE)?,
            "contentBlockStart" | "contentBlockDelta" | "contentBlockStop" => {
                self.block_event(frame.name, frame.data, out)?;
            }
            "messageStop" => self.message_stop(frame.data, out)?,
            "metadata" => {
                let mut scratch = String::new();
                beside(&lenient::parse(frame.data, &mut scratch)?, out)?;
                self.has_metadata = true;
            }
            // An event that is not known yet.
            _ => {}
        }
        // The usage comes after the reason for stopping; recordings by other hands have it before.
        Ok(match self.stopped && self.has_metadata {
            true => Progress::Done,
            false => Progress::More,
        })
    }

    fn whole(&mut self, body: &Bytes, out: &mut Assembler) -> Result<(), Error> {
        let mut scratch = String::new();
        let answer: Answer<'_> = lenient::parse_body(body, &mut scratch)?;
        let Some(message) = answer
            .output
            .0
            .as_ref()
            .and_then(|output| output.message.0.as_ref())
        else {
            return Err(no_answer(body));
        };
        out.choice(CHOICE)?;
        for (number, raw) in (0_u64..).zip(&message.content.0) {
            whole_block(block_number(number)?, *raw, out)?;
        }
        end(&answer, out)?;
        beside(&answer, out)?;
        out.end_marker();
        Ok(())
    }
}

/// A block of an answer that came whole.
fn whole_block(number: u32, raw: Raw<'_>, out: &mut Assembler) -> Result<(), Error> {
    let Some(json) = raw.0.filter(|_| raw.text().is_some()) else {
        return Ok(());
    };
    let block: Block<'_> = raw.read().unwrap_or_default();
    if let Some(text) = block.text.as_deref() {
        return out.text(CHOICE, part(number, Slot::Text), text);
    }
    if let Some(tool) = block
        .tool_use
        .0
        .as_ref()
        .filter(|tool| !tool.is_of_server())
    {
        let (id, name) = (tool.tool_use_id.as_deref(), tool.name.as_deref());
        let place = part(number, Slot::Tool);
        out.tool_start(
            CHOICE,
            place,
            id.unwrap_or_default(),
            name.unwrap_or_default(),
        )?;
        let input = input_text(tool.input)?;
        let input = input.as_deref().filter(|input| !input.is_empty());
        return out.tool_arguments(CHOICE, place, input.unwrap_or("{}"));
    }
    if let Some(thought) = block
        .reasoning_content
        .0
        .as_ref()
        .and_then(|reasoning| reasoning.reasoning_text.0.as_ref())
    {
        let place = part(number, Slot::Reasoning);
        out.reasoning(CHOICE, place, thought.text.as_deref().unwrap_or_default())?;
        return match thought.signature.non_empty() {
            Some(signature) => out.reasoning_signature(CHOICE, place, signature),
            None => Ok(()),
        };
    }
    if let Some(cited) = &block.citations_content.0 {
        let place = part(number, Slot::Text);
        for piece in cited.content.0.iter().filter_map(|piece| piece.0.as_ref()) {
            out.text(CHOICE, place, piece.text.as_deref().unwrap_or_default())?;
        }
        for raw in &cited.citations.0 {
            out.citation(CHOICE, place, citation(*raw))?;
        }
        return Ok(());
    }
    opaque(number, Json::from_raw(json), out)
}

/// Why the model stopped, and what it was asked to say beside.
fn end(answer: &Answer<'_>, out: &mut Assembler) -> Result<(), Error> {
    let native = answer.stop_reason.non_empty();
    out.finish(
        CHOICE,
        native.map(finish_reason),
        native.unwrap_or_default(),
    )?;
    extra(
        "additionalModelResponseFields",
        answer.additional_model_response_fields,
        out,
    )
}

fn finish_reason(native: &str) -> FinishReason {
    match native {
        "end_turn" | "stop_sequence" => FinishReason::Stop,
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "tool_use" => FinishReason::ToolCalls,
        "guardrail_intervened" | "content_filtered" => FinishReason::ContentFilter,
        other => FinishReason::Other(other.to_owned()),
    }
}

/// Counts, times and traces.
fn beside(answer: &Answer<'_>, out: &mut Assembler) -> Result<(), Error> {
    if let Some(usage) = usage(answer.usage) {
        out.usage(usage);
    }
    let metrics: Metrics = answer.metrics.read().unwrap_or_default();
    if let Some(latency) = metrics.latency_ms.0 {
        let server = ServerTiming {
            total: Some(Duration::from_millis(latency)),
            ..ServerTiming::default()
        };
        out.timing(server, answer.metrics.0.map(Json::from_raw));
    }
    let trace: Trace<'_> = answer.trace.read().unwrap_or_default();
    let router = trace.prompt_router.0.unwrap_or_default();
    let tier = answer.service_tier.0.as_ref();
    out.head(Head {
        model: router.invoked_model_id.to_string_or_empty(),
        service_tier: tier.and_then(|tier| tier.kind.non_empty().map(str::to_owned)),
        ..Head::default()
    });
    extra("trace", answer.trace, out)?;
    extra("performanceConfig", answer.performance_config, out)
}

/// `inputTokens` is what was read outside the cache; the parts that were read from it and written to it count apart.
fn usage(raw: Raw<'_>) -> Option<crate::Usage> {
    let wire: Usage = raw.read()?;
    let cached = wire
        .cache_read_input_tokens
        .0
        .or(wire.cache_read_input_token_count.0);
    let written = wire
        .cache_write_input_tokens
        .0
        .or(wire.cache_write_input_token_count.0);
    let prompt = wire.input_tokens.0.map(|tokens| {
        tokens
            .saturating_add(cached.unwrap_or(0))
            .saturating_add(written.unwrap_or(0))
    });
    Some(crate::Usage {
        prompt_tokens: prompt,
        completion_tokens: wire.output_tokens.0,
        total_tokens: wire.total_tokens.0,
        cached_tokens: cached,
        cache_write_tokens: written,
        raw: raw.0.map(Json::from_raw),
        ..crate::Usage::default()
    })
}

fn citation(raw: Raw<'_>) -> crate::Citation {
    let wire: Citation<'_> = raw.read().unwrap_or_default();
    let quoted: String = wire
        .source_content
        .0
        .iter()
        .filter_map(|piece| piece.0.as_ref()?.text.as_deref())
        .collect();
    let web = wire.location.0.and_then(|location| location.web.0);
    crate::Citation {
        url: web.and_then(|web| web.url.non_empty().map(str::to_owned)),
        title: wire.title.non_empty().map(str::to_owned),
        cited_text: Some(quoted).filter(|quoted| !quoted.is_empty()),
        raw: raw.0.map(Json::from_raw),
    }
}

/// The arguments' text: of a JSON value in a whole answer, in a string in a stream.
fn input_text<'a>(input: Raw<'a>) -> Result<Option<Cow<'a, str>>, Error> {
    let Some(text) = input.text() else {
        return Ok(None);
    };
    if !text.starts_with('"') {
        return Ok(Some(Cow::Borrowed(text)));
    }
    if let Ok(plain) = serde_json::from_str::<&'a str>(text) {
        return Ok(Some(Cow::Borrowed(plain)));
    }
    serde_json::from_str::<String>(text)
        .map(|text| Some(Cow::Owned(text)))
        .map_err(|e| {
            Error::new(
                ErrorKind::Protocol,
                format!("the input of a tool call cannot be read: {e}"),
            )
        })
}

fn opaque(block: u32, json: Json, out: &mut Assembler) -> Result<(), Error> {
    out.opaque(
        CHOICE,
        part(block, Slot::Opaque),
        OpaqueBlock::new(WIRE, json),
    )
}

fn extra(name: &str, raw: Raw<'_>, out: &mut Assembler) -> Result<(), Error> {
    match raw.0.filter(|_| raw.text().is_some()) {
        Some(value) => out.extra(name, Json::from_raw(value)),
        None => Ok(()),
    }
}

fn block_number(index: u64) -> Result<u32, Error> {
    u32::try_from(index)
        .ok()
        .filter(|block| *block < u32::MAX / SLOTS)
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Protocol,
                format!("a content block has the index {index}"),
            )
        })
}

fn part(block: u32, slot: Slot) -> u32 {
    block.saturating_mul(SLOTS).saturating_add(slot as u32)
}

/// An error with status 200, or something else altogether.
fn no_answer(body: &Bytes) -> Error {
    failure::from_answer(body).unwrap_or_else(|| {
        Error::new(
            ErrorKind::Protocol,
            "the answer has no `output`: this is no answer of Converse",
        )
    })
}
