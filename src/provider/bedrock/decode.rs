//! Decodes responses into the response builder.

use super::{
    decode_fields::{
        CHOICE, block_number, citation, complete_block, emit_metadata, end, missing_response,
        provider_block, unified, usage,
    },
    errors,
    types::{Block, BlockEvent, ConverseBody, Image, ToolResultStart, ToolUse},
};
use crate::{
    Error, ErrorKind, Json,
    chat::Warning,
    provider::{
        ChatDecoder, Frame, FrameKind, FrameOutcome, ResponseBuilder,
        kit::{
            lenient::{self, Raw},
            unknown_fields::UnknownFieldWarnings,
        },
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Decodes one response.
#[derive(Debug, Default)]
pub(super) struct ConverseDecoder {
    /// Blocks that are buffered until they are complete.
    collected: BTreeMap<u32, BlockBuffer>,
    /// Tool calls without input so far.
    without_input: BTreeSet<u32>,
    tools: BTreeSet<u32>,
    /// Whether there is a tool call for the caller.
    has_calls: bool,
    stopped: bool,
    /// The stop reason in the service's word.
    reason: Option<String>,
    has_metadata: bool,
    unknown: UnknownFieldWarnings,
}

impl ConverseDecoder {
    fn block_event(
        &mut self,
        name: &str,
        data: &str,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let event: BlockEvent<'_> = lenient::parse(data)?;
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

    /// Text and reasoning have no start event; some servers send an empty one.
    fn start(
        &mut self,
        block: u32,
        start: &Block<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        self.unknown
            .members("the start of a content block", &start.others, out);
        if let Some(tool) = &start.tool_use.0 {
            self.unknown.members("a tool use", &tool.others, out);
        }
        let collected = match start {
            Block {
                tool_use: lenient::Object(Some(tool)),
                ..
            } => {
                if !self.tools.insert(block) {
                    return Err(Error::new(
                        ErrorKind::Protocol,
                        format!("content block {block} starts a tool call twice"),
                    ));
                }
                if !tool.is_of_server() {
                    self.without_input.insert(block);
                    self.has_calls = true;
                    return out.tool_start(
                        CHOICE,
                        block,
                        tool.tool_use_id.as_deref().unwrap_or_default(),
                        tool.name.as_deref().unwrap_or_default(),
                    );
                }
                BlockBuffer::server_tool(tool)
            }
            Block { tool_result, .. } if tool_result.text().is_some() => {
                BlockBuffer::tool_result(*tool_result)
            }
            Block {
                image: lenient::Object(Some(image)),
                ..
            } => BlockBuffer::image(image),
            _ => return Ok(()),
        };
        out.charge(64)?;
        self.collected.entry(block).or_insert(collected);
        Ok(())
    }

    fn delta(
        &mut self,
        block: u32,
        delta: &Block<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        if let Some(text) = delta.text.as_deref() {
            return out.text(CHOICE, block, text);
        }
        if let Some(tool) = &delta.tool_use.0 {
            return self.tool_input(block, tool, out);
        }
        if let Some(reasoning) = &delta.reasoning_content.0 {
            if let Some(text) = reasoning.text.as_deref() {
                out.reasoning(CHOICE, block, text)?;
            }
            if let Some(signature) = reasoning.signature.non_empty() {
                out.reasoning_signature(CHOICE, block, signature)?;
            }
            self.unknown.members("reasoning", &reasoning.others, out);
            if let Some(redacted) = reasoning.redacted_content.non_empty() {
                out.charge(redacted.len().saturating_add(size_of::<String>()))?;
                let open = self.collected.entry(block);
                if let BlockBuffer::Redacted(pieces) =
                    open.or_insert_with(|| BlockBuffer::Redacted(Vec::new()))
                {
                    pieces.push(redacted.to_owned());
                }
            }
            return Ok(());
        }
        if delta.citation.text().is_some() {
            return out.citation(CHOICE, block, citation(delta.citation));
        }
        self.collect(block, delta, out)
    }

    fn tool_input(
        &mut self,
        block: u32,
        tool: &ToolUse<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let input = tool.input.arguments()?;
        let piece = &*input;
        if piece.is_empty() {
            return Ok(());
        }
        if let Some(BlockBuffer::ServerTool { input, .. }) = self.collected.get_mut(&block) {
            out.charge(piece.len())?;
            input.push_str(piece);
            return Ok(());
        }
        self.tools.insert(block);
        self.has_calls = true;
        self.without_input.remove(&block);
        out.tool_arguments(CHOICE, block, piece)
    }

    /// Adds a delta to a block that is buffered until it is complete.
    fn collect(
        &mut self,
        block: u32,
        delta: &Block<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        match self.collected.get_mut(&block) {
            Some(BlockBuffer::ToolResult { content, .. }) if delta.tool_result.text().is_some() => {
                let pieces: lenient::List<Raw<'_>> = delta.tool_result.parse()?;
                for piece in pieces.0.into_iter().filter_map(Raw::json) {
                    out.charge(piece.as_str().len().saturating_add(size_of::<Json>()))?;
                    content.push(piece);
                }
                Ok(())
            }
            Some(BlockBuffer::Image { bytes, .. }) => {
                let source = delta
                    .image
                    .0
                    .as_ref()
                    .and_then(|image| image.source.0.as_ref());
                if let Some(piece) = source.and_then(|source| source.bytes.non_empty()) {
                    out.charge(piece.len())?;
                    bytes.push(piece.to_owned());
                }
                Ok(())
            }
            _ => {
                let names = delta.others.iter().map(|(name, _)| name);
                self.unknown.block(block, names, out);
                Ok(())
            }
        }
    }

    fn stop(&mut self, block: u32, out: &mut ResponseBuilder) -> Result<(), Error> {
        // A call without arguments has no input delta or an empty one; a single-body response has `{}`.
        if self.without_input.remove(&block) {
            out.tool_arguments(CHOICE, block, "{}")?;
        }
        if let Some(collected) = self.collected.remove(&block) {
            provider_block(block, collected.into_block()?, out)?;
        }
        out.close_all(CHOICE, block)
    }

    /// The message ended, complete or cut. Text and reasoning without their end are complete; a call is complete if
    /// its input is; the received part of service-side blocks is kept.
    fn end_open_blocks(&mut self, out: &mut ResponseBuilder) -> Result<(), Error> {
        let is_cut = self
            .reason
            .as_deref()
            .is_some_and(|reason| unified(reason, self.has_calls).is_cut());
        for block in std::mem::take(&mut self.tools) {
            let place = format!("output.message.content[{block}]");
            out.end_open_call(CHOICE, block, is_cut, &place)?;
        }
        for (block, collected) in std::mem::take(&mut self.collected) {
            if matches!(collected, BlockBuffer::Redacted(_)) {
                provider_block(block, collected.into_block()?, out)?;
                continue;
            }
            let message = format!(
                "`output.message.content[{block}]` was never completed; {}",
                match collected.is_announced() {
                    true => "it was dropped",
                    false => "its received part is kept",
                }
            );
            self.unknown.warn("item_not_completed", message, out);
            if !collected.is_announced() {
                provider_block(block, collected.into_block()?, out)?;
            }
        }
        Ok(())
    }

    fn message_stop(&mut self, data: &str, out: &mut ResponseBuilder) -> Result<(), Error> {
        let stop: ConverseBody<'_> = lenient::parse(data)?;
        self.stopped = true;
        self.reason = stop.stop_reason.non_empty().map(str::to_owned);
        if let Some(usage) = usage(stop.usage) {
            out.usage(usage);
        }
        self.unknown.extras("", &stop.others, out)?;
        end(&stop, self.has_calls, out)
    }
}

impl ChatDecoder for ConverseDecoder {
    fn decode_frame(
        &mut self,
        frame: Frame<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<FrameOutcome, Error> {
        if frame.kind == FrameKind::Exception || frame.name.ends_with("Exception") {
            return Err(errors::from_frame(frame));
        }
        match frame.name {
            "messageStart" => out.choice(CHOICE)?,
            "contentBlockStart" | "contentBlockDelta" | "contentBlockStop" => {
                self.block_event(frame.name, frame.data, out)?;
            }
            "messageStop" => self.message_stop(frame.data, out)?,
            "metadata" => {
                let metadata: ConverseBody<'_> = lenient::parse(frame.data)?;
                emit_metadata(&metadata, out)?;
                self.unknown.extras("", &metadata.others, out)?;
                self.has_metadata = true;
            }
            other => self.unknown.event(other, out),
        }
        // The usage follows the stop reason; some third-party recordings have it before.
        Ok(match self.stopped && self.has_metadata {
            true => FrameOutcome::Complete,
            false => FrameOutcome::Continue,
        })
    }

    fn decode_body(&mut self, body: &Bytes, out: &mut ResponseBuilder) -> Result<(), Error> {
        let answer: ConverseBody<'_> = lenient::parse_body(body)?;
        let Some(message) = answer
            .output
            .0
            .as_ref()
            .and_then(|output| output.message.0.as_ref())
        else {
            return Err(missing_response(body));
        };
        out.choice(CHOICE)?;
        for (number, raw) in (0_u64..).zip(&message.content.0) {
            let number = block_number(number)?;
            self.has_calls |= complete_block(number, *raw, &mut self.unknown, out)?;
        }
        self.unknown.members("the message", &message.others, out);
        if let Some(output) = &answer.output.0 {
            self.unknown.extras("output.", &output.others, out)?;
        }
        self.unknown.extras("", &answer.others, out)?;
        end(&answer, self.has_calls, out)?;
        emit_metadata(&answer, out)?;
        out.end_marker();
        Ok(())
    }

    fn finish(&mut self, out: &mut ResponseBuilder) -> Result<(), Error> {
        self.end_open_blocks(out)?;
        // A call can follow the stop reason.
        if let Some(reason) = &self.reason {
            out.finish(CHOICE, Some(unified(reason, self.has_calls)), reason)?;
        }
        if self.stopped && !self.has_metadata {
            out.warn_once(Warning::new(
                "missing_end",
                "the stream sent a stop reason, but ended without `metadata`, which has the usage",
            ));
        }
        Ok(())
    }
}

// Blocks that are sent back to Bedrock unchanged. A stream sends them as deltas, which are assembled here.

/// An open block of a stream.
#[derive(Debug)]
pub(super) enum BlockBuffer {
    /// A call that the service runs.
    ServerTool {
        id: String,
        name: String,
        kind: String,
        input: String,
    },
    /// The result of such a call.
    ToolResult {
        id: String,
        status: Option<String>,
        kind: Option<String>,
        content: Vec<Json>,
    },
    /// Redacted reasoning.
    Redacted(Vec<String>),
    /// An image that the model generated.
    Image { format: String, bytes: Vec<String> },
}

impl BlockBuffer {
    pub(super) fn server_tool(start: &ToolUse<'_>) -> Self {
        BlockBuffer::ServerTool {
            id: start.tool_use_id.to_string_or_empty(),
            name: start.name.to_string_or_empty(),
            kind: start.kind.to_string_or_empty(),
            input: String::new(),
        }
    }

    pub(super) fn tool_result(start: Raw<'_>) -> Self {
        let start: ToolResultStart<'_> = start.read().unwrap_or_default();
        BlockBuffer::ToolResult {
            id: start.tool_use_id.to_string_or_empty(),
            status: start.status.non_empty().map(str::to_owned),
            kind: start.kind.non_empty().map(str::to_owned),
            content: Vec::new(),
        }
    }

    pub(super) fn image(start: &Image<'_>) -> Self {
        BlockBuffer::Image {
            format: start.format.to_string_or_empty(),
            bytes: Vec::new(),
        }
    }

    /// Whether only the start of the block was received, or only a part of a call's input.
    pub(super) fn is_announced(&self) -> bool {
        match self {
            BlockBuffer::ServerTool { input, .. } => Json::parse(input.trim()).is_err(),
            BlockBuffer::ToolResult { content, .. } => content.is_empty(),
            BlockBuffer::Image { bytes, .. } => bytes.is_empty(),
            BlockBuffer::Redacted(_) => false,
        }
    }

    /// The block in the format of a single-body response.
    pub(super) fn into_block(self) -> Result<Json, Error> {
        match self {
            BlockBuffer::ServerTool {
                id,
                name,
                kind,
                input,
            } => {
                let input = match input.trim() {
                    "" => "{}",
                    text => text,
                };
                // Input that is not JSON is kept as a string, so that the service's block stays visible.
                let input = Json::parse(input).or_else(|_| Json::new(input))?;
                Json::new(&BufferedBlock::ToolUse {
                    tool_use_id: &id,
                    name: &name,
                    input,
                    kind: &kind,
                })
            }
            BlockBuffer::ToolResult {
                id,
                status,
                kind,
                content,
            } => Json::new(&BufferedBlock::ToolResult {
                tool_use_id: &id,
                content: &content,
                status: status.as_deref(),
                kind: kind.as_deref(),
            }),
            BlockBuffer::Redacted(pieces) => Json::new(&BufferedBlock::ReasoningContent {
                redacted_content: join_base64(pieces),
            }),
            BlockBuffer::Image { format, bytes } => Json::new(&BufferedBlock::Image {
                format: &format,
                source: Source {
                    bytes: join_base64(bytes),
                },
            }),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
enum BufferedBlock<'a> {
    ToolUse {
        tool_use_id: &'a str,
        name: &'a str,
        input: Json,
        #[serde(rename = "type")]
        kind: &'a str,
    },
    ToolResult {
        tool_use_id: &'a str,
        content: &'a [Json],
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<&'a str>,
        #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
        kind: Option<&'a str>,
    },
    ReasoningContent {
        redacted_content: String,
    },
    Image {
        format: &'a str,
        source: Source,
    },
}

#[derive(Serialize)]
struct Source {
    bytes: String,
}

/// A single text stays unchanged; several are each complete base64, which cannot be concatenated.
fn join_base64(mut pieces: Vec<String>) -> String {
    if pieces.len() == 1 {
        return pieces.pop().unwrap_or_default();
    }
    let decoded: Result<Vec<_>, _> = pieces.iter().map(|piece| STANDARD.decode(piece)).collect();
    match decoded {
        Ok(bytes) => STANDARD.encode(bytes.concat()),
        Err(_) => pieces.concat(),
    }
}

#[cfg(test)]
mod streamed_blocks_tests {
    use super::*;

    #[test]
    fn base64_deltas_are_joined_by_their_bytes() {
        let join = |pieces: &[&str]| join_base64(pieces.iter().map(|&p| p.to_owned()).collect());
        assert_eq!(join(&["YQ=="]), "YQ==");
        assert_eq!(join(&["YQ==", "Yg=="]), "YWI=");
        assert_eq!(join(&["not base64", "YQ=="]), "not base64YQ==");
        assert_eq!(join(&[]), "");
    }

    #[test]
    fn input_that_is_not_json_is_kept_as_text() {
        let tool = |input: &str| BlockBuffer::ServerTool {
            id: "1".into(),
            name: "n".into(),
            kind: "server_tool_use".into(),
            input: input.into(),
        };
        for (input, expected) in [
            ("", "{}"),
            (r#"{"a":1.0}"#, r#"{"a":1.0}"#),
            ("{", r#""{""#),
        ] {
            let block = tool(input).into_block().unwrap();
            let expected = format!(
                r#"{{"toolUse":{{"toolUseId":"1","name":"n","input":{expected},"type":"server_tool_use"}}}}"#
            );
            assert_eq!(block.as_str(), expected);
        }
    }
}
