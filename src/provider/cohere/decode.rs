//! Decodes responses: single bodies, and the events of a stream.

use super::types::{self, ChatResponse, Content, Delta, Event, Logprob, Message, ToolCall};
use crate::{
    Error, ErrorKind, FinishReason, Json, Usage,
    chat::{
        Citation, Logprobs, ProviderBlock, ProviderMetadata, RateLimit, ResponseStart, TokenLogprob,
    },
    error::ErrorBody,
    provider::{
        ChatDecoder, Frame, FrameKind, FrameOutcome, ResponseBuilder,
        kit::{
            errors, headers,
            lenient::{self, Raw, RawElements, Text},
            unknown_fields::UnknownFieldWarnings,
        },
    },
};
use bytes::Bytes;
use http::HeaderMap;
use std::collections::BTreeSet;

/// The keys of a message's parts: the plan as it is sent back, the plan as reasoning, the content, the calls.
const PLAN_BLOCK: u32 = 0;
const PLAN: u32 = 1;
const FIRST_CONTENT: u32 = 2;
const FIRST_CALL: u32 = 1 << 16;
/// More parts than this are refused.
const MAX_CONTENT_PARTS: u64 = 1 << 12;

/// Decodes one response.
#[derive(Debug)]
pub(super) struct CohereDecoder {
    provider: String,
    plan: String,
    /// The first text, to which citations without an index belong.
    text: Option<u32>,
    /// Whether there is a tool call for the caller.
    has_calls: bool,
    /// The calls that have started but not ended.
    open_calls: BTreeSet<u64>,
    /// The message's end was received; later events are ignored.
    over: bool,
    unknown: UnknownFieldWarnings,
}

impl CohereDecoder {
    pub(super) fn new(provider: &str) -> Self {
        CohereDecoder {
            provider: provider.to_owned(),
            plan: String::new(),
            text: None,
            has_calls: false,
            open_calls: BTreeSet::new(),
            over: false,
            unknown: UnknownFieldWarnings::default(),
        }
    }

    fn event(&mut self, name: &str, data: &str, out: &mut ResponseBuilder) -> Result<(), Error> {
        let event: Event<'_> = lenient::parse(data)?;
        let kind = event.r#type.non_empty().unwrap_or(name);
        if kind.is_empty() && ErrorBody::parse(data.as_bytes()).is_some() {
            return Err(errors::from_event("", data.as_bytes()));
        }
        let index = event.index.0.unwrap_or(0);
        let none = Delta::default();
        let delta = event.delta.0.as_ref().unwrap_or(&none);
        let empty = Message::default();
        let message = delta.message.0.as_ref().unwrap_or(&empty);
        self.unknown.members("a delta", &message.others, out);
        self.unknown.extras("", &delta.others, out)?;
        if kind != "citation-end" {
            self.unknown.extras("", &event.others, out)?;
        }
        match kind {
            "message-start" => emit_start(event.id.to_string_or_empty(), out)?,
            "content-start" | "content-delta" => {
                self.content(index, message.content, out)?;
                logprobs(event.logprobs.0.as_slice(), out)?;
            }
            "content-end" => out.end_part(0, content_part(index)?)?,
            "tool-plan-delta" => self.plan(message, out)?,
            "tool-call-start" | "tool-call-delta" => {
                self.tool_call(index, message.tool_calls, out)?;
            }
            "tool-call-end" => {
                self.open_calls.remove(&index);
                out.end_part(0, call_part(index)?)?;
            }
            "citation-start" => self.citation(message.citations, out)?,
            "message-end" => {
                self.end(
                    delta.finish_reason.non_empty(),
                    delta.usage,
                    delta.error,
                    out,
                )?;
            }
            // The fields of a debugging event are kept as extras.
            "citation-end" | "debug" => {}
            other => self.unknown.event(other, out),
        }
        Ok(())
    }

    fn content(
        &mut self,
        index: u64,
        raw: Raw<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let part = content_part(index)?;
        let content: Content<'_> = match raw.text() {
            Some(text) if text.starts_with('{') => raw.parse()?,
            Some(text) if text.starts_with('"') => Content {
                text: raw.parse()?,
                ..Content::default()
            },
            Some(text) => {
                self.unknown.value("content", text, out);
                return Ok(());
            }
            None => return Ok(()),
        };
        match content.r#type.as_deref() {
            None | Some("" | "text" | "thinking") => {
                self.unknown
                    .members("a content block", &content.others, out);
            }
            Some(other) => self.unknown.delta(other, out),
        }
        if let Some(thought) = content.thinking.non_empty() {
            out.reasoning(0, part, thought)?;
        }
        if content.r#type.as_deref() == Some("text") || content.text.non_empty().is_some() {
            self.text.get_or_insert(part);
        }
        out.text(0, part, content.text.as_deref().unwrap_or_default())
    }

    /// In a single-body response `arguments` is complete, in a stream a fragment.
    fn tool_call(
        &mut self,
        index: u64,
        raw: Raw<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let call: ToolCall<'_> = raw.read().unwrap_or_default();
        let Some(function) = &call.function.0 else {
            if let Some(text) = raw.text() {
                self.unknown.value("tool_calls", text, out);
            }
            return Ok(());
        };
        self.unknown.members("a tool call", &call.others, out);
        self.has_calls = true;
        let part = call_part(index)?;
        self.open_calls.insert(index);
        if let Some(name) = function.name.non_empty() {
            out.tool_start(0, part, call.id.as_deref().unwrap_or_default(), name)?;
        }
        out.tool_arguments(0, part, &function.arguments.arguments()?)
    }

    /// The model's plan for its tools.
    fn plan(&mut self, message: &Message<'_>, out: &mut ResponseBuilder) -> Result<(), Error> {
        let more = message.tool_plan.as_deref().unwrap_or_default();
        out.reasoning(0, PLAN, more)?;
        self.plan.push_str(more);
        Ok(())
    }

    fn citation(&self, raw: Raw<'_>, out: &mut ResponseBuilder) -> Result<(), Error> {
        let citation: types::Citation<'_> = raw.read().unwrap_or_default();
        let part = match citation.content_index.0 {
            Some(index) => content_part(index)?,
            None => self.text.unwrap_or(FIRST_CONTENT),
        };
        let source = citation
            .sources
            .0
            .iter()
            .find_map(|source| source.0.as_ref());
        let document = source.and_then(|source| source.document.0.as_ref());
        let title = document.and_then(|document| document.title.non_empty());
        let title = title.or_else(|| source.and_then(|source| source.id.non_empty()));
        let url = document.and_then(|document| document.url.non_empty());
        let citation = Citation {
            url: url.map(str::to_owned),
            title: title.map(str::to_owned),
            cited_text: citation.text.non_empty().map(str::to_owned),
            raw: raw.json(),
        };
        out.citation(0, part, citation)
    }

    /// The message's end: usage and finish reason. A failure is reported only here.
    fn end(
        &mut self,
        reason: Option<&str>,
        usage: Raw<'_>,
        error: Raw<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        self.over = true;
        if !self.plan.is_empty() {
            let plan = serde_json::json!({ "tool_plan": std::mem::take(&mut self.plan) });
            out.provider_block(
                0,
                PLAN_BLOCK,
                ProviderBlock::new(&self.provider, Json::new(&plan)?),
            )?;
        }
        if let Some(usage) = read_usage(usage) {
            out.usage(usage);
        }
        let native = reason.unwrap_or_default();
        if native.starts_with("ERROR") || native == "TIMEOUT" {
            return Err(failed(native, error));
        }
        let reason = match native {
            "" => None,
            "COMPLETE" | "STOP_SEQUENCE" if self.has_calls => Some(FinishReason::ToolCalls),
            "COMPLETE" | "STOP_SEQUENCE" => Some(FinishReason::Stop),
            "MAX_TOKENS" => Some(FinishReason::Length),
            "TOOL_CALL" => Some(FinishReason::ToolCalls),
            other => Some(FinishReason::Other(other.to_owned())),
        };
        let is_cut = reason.as_ref().is_some_and(FinishReason::is_cut);
        for index in std::mem::take(&mut self.open_calls) {
            let place = format!("message.tool_calls[{index}]");
            out.end_open_call(0, call_part(index)?, is_cut, &place)?;
        }
        out.finish(0, reason, native)?;
        out.end_marker();
        Ok(())
    }
}

impl ChatDecoder for CohereDecoder {
    fn decode_frame(
        &mut self,
        frame: Frame<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<FrameOutcome, Error> {
        if frame.kind == FrameKind::Exception || frame.name == "error" {
            return Err(errors::from_event(frame.name, frame.data.as_bytes()));
        }
        if lenient::is_done(frame.data) {
            if self.over {
                return Ok(FrameOutcome::Complete);
            }
            return Err(Error::new(
                ErrorKind::Truncated,
                "the stream ended with `[DONE]`, but without `message-end`",
            ));
        }
        if self.over {
            self.unknown.behind_end(frame.name, out);
        } else {
            self.event(frame.name, frame.data, out)?;
        }
        Ok(FrameOutcome::Continue)
    }

    fn decode_body(&mut self, body: &Bytes, out: &mut ResponseBuilder) -> Result<(), Error> {
        let answer: ChatResponse<'_> = lenient::parse(lenient::utf8(body)?)?;
        let Some(message) = &answer.message.0 else {
            return Err(match ErrorBody::parse(body) {
                Some(_) => errors::from_event("", body),
                None => Error::new(ErrorKind::Protocol, "the response has no `message`"),
            });
        };
        emit_start(answer.id.to_string_or_empty(), out)?;
        self.plan(message, out)?;
        self.unknown.members("the message", &message.others, out);
        self.unknown.extras("", &answer.others, out)?;
        for (index, content) in (0_u64..).zip(list(message.content)?) {
            self.content(index, content, out)?;
            out.end_part(0, content_part(index)?)?;
        }
        for (index, call) in (0_u64..).zip(list(message.tool_calls)?) {
            self.tool_call(index, call, out)?;
            self.open_calls.remove(&index);
            out.end_part(0, call_part(index)?)?;
        }
        for citation in list(message.citations)? {
            self.citation(citation, out)?;
        }
        for piece in &answer.logprobs.0 {
            logprobs(piece.0.as_slice(), out)?;
        }
        self.end(
            answer.finish_reason.non_empty(),
            answer.usage,
            Raw::default(),
            out,
        )
    }
}

fn emit_start(id: String, out: &mut ResponseBuilder) -> Result<(), Error> {
    out.response_start(ResponseStart {
        id,
        ..ResponseStart::default()
    });
    out.choice(0)
}

/// The elements of a list; of any other value the value itself.
fn list(raw: Raw<'_>) -> Result<Vec<Raw<'_>>, Error> {
    Ok(raw.parse::<RawElements<'_>>()?.0)
}

fn content_part(index: u64) -> Result<u32, Error> {
    part(FIRST_CONTENT, index)
}

fn call_part(index: u64) -> Result<u32, Error> {
    part(FIRST_CALL, index)
}

fn part(first: u32, index: u64) -> Result<u32, Error> {
    match u32::try_from(index) {
        Ok(small) if index < MAX_CONTENT_PARTS => Ok(first.saturating_add(small)),
        _ => Err(Error::new(
            ErrorKind::TooLarge,
            format!("the response has more than {MAX_CONTENT_PARTS} parts"),
        )),
    }
}

/// Only lists for one token: those for several do not assign probabilities to single tokens.
fn logprobs(pieces: &[Logprob<'_>], out: &mut ResponseBuilder) -> Result<(), Error> {
    let content = pieces
        .iter()
        .filter_map(|piece| match piece.logprobs.0.as_slice() {
            [number] => Some(TokenLogprob {
                token: piece.text.to_string_or_empty(),
                logprob: number.0?,
                ..TokenLogprob::default()
            }),
            _ => None,
        })
        .collect();
    out.logprobs(
        0,
        Logprobs {
            content,
            ..Logprobs::default()
        },
    )
}

/// Token counts; billed units only if there are no others.
fn read_usage(raw: Raw<'_>) -> Option<Usage> {
    let wire: types::Usage = raw.read()?;
    let counted = wire.tokens.0.or(wire.billed_units.0).unwrap_or_default();
    let (prompt, completion) = (counted.input_tokens.0, counted.output_tokens.0);
    Some(Usage {
        prompt_tokens: prompt,
        completion_tokens: completion,
        total_tokens: prompt.zip(completion).map(|(a, b)| a.saturating_add(b)),
        cached_tokens: wire.cached_tokens.0,
        reasoning_tokens: counted.reasoning_tokens.0,
        image_tokens: counted.image_tokens.0,
        raw: raw.json(),
        ..Usage::default()
    })
}

fn failed(reason: &str, error: Raw<'_>) -> Error {
    let told = error
        .text()
        .and_then(|text| match error.read::<Text<'_>>()?.0 {
            Some(message) => Some(message.into_owned()),
            None => ErrorBody::parse(text.as_bytes())?.message,
        });
    let kind = match reason {
        "TIMEOUT" => ErrorKind::Timeout,
        "ERROR_TOXIC" => ErrorKind::ContentFiltered,
        "ERROR_LIMIT" => ErrorKind::ContextOverflow,
        _ => ErrorKind::InternalServer,
    };
    let message =
        told.unwrap_or_else(|| format!("the provider ended the response with `{reason}`"));
    Error::new(kind, message).with_code(reason)
}

// Cohere's own headers.

/// Rate limits of trial keys: `x-{what}-call-{limit,remaining}`. Source: recorded responses, as for the request id.
const ALLOWANCES: [&str; 2] = ["endpoint-monthly", "trial-endpoint"];

pub(super) fn read_headers(headers: &HeaderMap, metadata: &mut ProviderMetadata) {
    headers::read_metadata(headers, metadata);
    if metadata.request_id.is_none() {
        metadata.request_id = text(headers, "x-debug-trace-id")
            .filter(|id| !id.is_empty() && id.len() <= 256)
            .map(str::to_owned);
    }
    for what in ALLOWANCES {
        let count = |field| {
            let name = ["x-", what, "-call-", field].concat();
            text(headers, &name)?.trim().parse().ok()
        };
        let allowance = RateLimit {
            name: what.into(),
            limit: count("limit"),
            remaining: count("remaining"),
            ..RateLimit::default()
        };
        if allowance.limit.or(allowance.remaining).is_some() {
            metadata.rate_limits.push(allowance);
        }
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod headers_tests {
    use super::*;

    #[test]
    fn trial_key_rate_limits_are_read() {
        let told = [
            ("x-debug-trace-id", "6ce2557b"),
            ("x-endpoint-monthly-call-limit", "1000"),
            ("x-trial-endpoint-call-limit", "20"),
            ("x-trial-endpoint-call-remaining", "19"),
        ];
        let headers: HeaderMap = told
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        let mut metadata = ProviderMetadata::default();
        read_headers(&headers, &mut metadata);
        assert_eq!(metadata.request_id.as_deref(), Some("6ce2557b"));
        let brief: Vec<_> = metadata
            .rate_limits
            .iter()
            .map(|limit| (&*limit.name, limit.limit, limit.remaining))
            .collect();
        assert_eq!(
            brief,
            [
                ("endpoint-monthly", Some(1000), None),
                ("trial-endpoint", Some(20), Some(19))
            ]
        );
    }
}
