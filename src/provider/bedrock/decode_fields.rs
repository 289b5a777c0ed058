//! Decodes what bodies and streams share: complete blocks, and the response's other fields.

use super::{
    errors, hosted,
    types::{Block, Citation, ConverseBody, Metrics, Trace, Usage},
};
use crate::{
    Error, ErrorKind, FinishReason, Json,
    chat::{ResponseStart, ServerTiming},
    provider::{
        ResponseBuilder,
        kit::{lenient::Raw, unknown_fields::UnknownFieldWarnings},
    },
};
use bytes::Bytes;
use std::time::Duration;

/// The only choice: Converse has no more.
pub(super) const CHOICE: u32 = 0;

/// A higher index is invalid.
const MAX_BLOCK: u32 = u32::MAX / 32;

/// Decodes a complete block. Returns whether it is a tool call for the caller.
pub(super) fn complete_block(
    number: u32,
    raw: Raw<'_>,
    unknown: &mut UnknownFieldWarnings,
    out: &mut ResponseBuilder,
) -> Result<bool, Error> {
    let Some(json) = raw.json() else {
        return Ok(false);
    };
    let block: Block<'_> = match json.as_str().starts_with('{') {
        true => raw.parse()?,
        false => Block::default(),
    };
    let is_call = block
        .tool_use
        .0
        .as_ref()
        .is_some_and(|tool| !tool.is_of_server());
    if known_block(number, &block, unknown, out)? {
        unknown.members("a content block", &block.others, out);
    } else {
        provider_block(number, json, out)?;
    }
    Ok(is_call)
}

/// Decodes a block of a known type. Returns whether it was one.
fn known_block(
    number: u32,
    block: &Block<'_>,
    unknown: &mut UnknownFieldWarnings,
    out: &mut ResponseBuilder,
) -> Result<bool, Error> {
    if let Some(text) = block.text.as_deref() {
        return out.text(CHOICE, number, text).map(|()| true);
    }
    if let Some(tool) = block
        .tool_use
        .0
        .as_ref()
        .filter(|tool| !tool.is_of_server())
    {
        let (id, name) = (tool.tool_use_id.as_deref(), tool.name.as_deref());
        out.tool_start(
            CHOICE,
            number,
            id.unwrap_or_default(),
            name.unwrap_or_default(),
        )?;
        let input = tool.input.arguments()?;
        let input = if input.is_empty() { "{}" } else { &*input };
        unknown.members("a tool use", &tool.others, out);
        return out.tool_arguments(CHOICE, number, input).map(|()| true);
    }
    if let Some(thought) = block
        .reasoning_content
        .0
        .as_ref()
        .and_then(|reasoning| reasoning.reasoning_text.0.as_ref())
    {
        out.reasoning(CHOICE, number, thought.text.as_deref().unwrap_or_default())?;
        if let Some(signature) = thought.signature.non_empty() {
            out.reasoning_signature(CHOICE, number, signature)?;
        }
        return Ok(true);
    }
    if let Some(cited) = &block.citations_content.0 {
        for piece in cited.content.0.iter().filter_map(|piece| piece.0.as_ref()) {
            out.text(CHOICE, number, piece.text.as_deref().unwrap_or_default())?;
        }
        for raw in &cited.citations.0 {
            out.citation(CHOICE, number, citation(*raw))?;
        }
        return Ok(true);
    }
    Ok(false)
}

/// The stop reason, and requested response fields.
pub(super) fn end(
    answer: &ConverseBody<'_>,
    has_calls: bool,
    out: &mut ResponseBuilder,
) -> Result<(), Error> {
    let native = answer.stop_reason.non_empty();
    let reason = native.map(|native| unified(native, has_calls));
    out.finish(CHOICE, reason, native.unwrap_or_default())?;
    extra(
        "additionalModelResponseFields",
        answer.additional_model_response_fields,
        out,
    )
}

/// Converts a stop reason, with or without tool calls for the caller.
pub(super) fn unified(native: &str, has_calls: bool) -> FinishReason {
    match finish_reason(native) {
        FinishReason::Stop if has_calls => FinishReason::ToolCalls,
        reason => reason,
    }
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

/// Decodes usage, latency and traces.
pub(super) fn emit_metadata(
    answer: &ConverseBody<'_>,
    out: &mut ResponseBuilder,
) -> Result<(), Error> {
    if let Some(usage) = usage(answer.usage) {
        out.usage(usage);
    }
    let metrics: Metrics = answer.metrics.read().unwrap_or_default();
    if let Some(latency) = metrics.latency_ms.0 {
        let server = ServerTiming {
            total: Some(Duration::from_millis(latency)),
            ..ServerTiming::default()
        };
        out.timing(server, answer.metrics.json());
    }
    let trace: Trace<'_> = answer.trace.read().unwrap_or_default();
    let router = trace.prompt_router.0.unwrap_or_default();
    let tier = answer.service_tier.0.as_ref();
    out.response_start(ResponseStart {
        model: router.invoked_model_id.to_string_or_empty(),
        service_tier: tier.and_then(|tier| tier.kind.non_empty().map(str::to_owned)),
        ..ResponseStart::default()
    });
    extra("trace", answer.trace, out)?;
    extra("performanceConfig", answer.performance_config, out)
}

/// `inputTokens` excludes tokens read from and written to the cache, which are counted separately.
pub(super) fn usage(raw: Raw<'_>) -> Option<crate::Usage> {
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
        raw: raw.json(),
        ..crate::Usage::default()
    })
}

pub(super) fn citation(raw: Raw<'_>) -> crate::chat::Citation {
    let wire: Citation<'_> = raw.read().unwrap_or_default();
    let quoted: String = wire
        .source_content
        .0
        .iter()
        .filter_map(|piece| piece.0.as_ref()?.text.as_deref())
        .collect();
    let web = wire.location.0.and_then(|location| location.web.0);
    crate::chat::Citation {
        url: web.and_then(|web| web.url.non_empty().map(str::to_owned)),
        title: wire.title.non_empty().map(str::to_owned),
        cited_text: Some(quoted).filter(|quoted| !quoted.is_empty()),
        raw: raw.json(),
    }
}

pub(super) fn provider_block(
    block: u32,
    json: Json,
    out: &mut ResponseBuilder,
) -> Result<(), Error> {
    hosted::emit(CHOICE, block, json, out)
}

fn extra(name: &str, raw: Raw<'_>, out: &mut ResponseBuilder) -> Result<(), Error> {
    match raw.json() {
        Some(value) => out.extra(name, value),
        None => Ok(()),
    }
}

pub(super) fn block_number(index: u64) -> Result<u32, Error> {
    u32::try_from(index)
        .ok()
        .filter(|block| *block < MAX_BLOCK)
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Protocol,
                format!("a content block has the index {index}"),
            )
        })
}

/// An error with status 200, or an unexpected body.
pub(super) fn missing_response(body: &Bytes) -> Error {
    errors::from_response(body).unwrap_or_else(|| {
        Error::new(
            ErrorKind::Protocol,
            "the body is not a Converse response: it has no `output`",
        )
    })
}
