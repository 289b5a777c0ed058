//! Decodes responses into the response builder.

use super::{
    EndMarker, hosted,
    kept_fields::{Details, KeptFields},
    read_message::MessageForm,
    types::{self, Choice, Completion, Counts, SeparateReasoning, is_blank, logprobs},
};
use crate::{
    Error, ErrorKind, FinishReason, Usage,
    chat::{ResponseStart, ServerTiming, Warning},
    error::ErrorBody,
    event::MESSAGE_KEY,
    json::plain,
    provider::{
        ChatDecoder, Frame, FrameKind, FrameOutcome, ResponseBuilder,
        kit::{
            errors,
            lenient::{self, Object, Text, UnknownFields, WithRawText},
            unknown_fields::UnknownFieldWarnings,
        },
    },
    small_vec::SmallVec1,
};
use bytes::Bytes;
use std::borrow::Cow;

/// The first keys of provider blocks, which are last in the message: reasoning details, and unknown fields.
const DETAILS: u32 = 1 << 20;
const KEPT_FIELDS: u32 = 1 << 24;
const HOSTED_SEARCH: u32 = 1 << 25;

/// Decodes one response.
#[derive(Debug)]
pub(super) struct OpenAiChatDecoder {
    pub(super) provider: Cow<'static, str>,
    end_marker: EndMarker,
    /// Whether a stream without token counts is incomplete.
    expects_usage: bool,
    /// Whether one choice was requested, so that choices without an index are one choice.
    expects_one_choice: bool,
    /// Whether the server counts reasoning outside the completion.
    reasoning_apart: bool,
    pub(super) details: Details,
    pub(super) kept: KeptFields,
    pub(super) unknown: UnknownFieldWarnings,
    /// Choices with deltas.
    pub(super) with_deltas: SmallVec1<u32>,
    /// Whether reasoning had a field of its own, so that the details only repeat it.
    pub(super) named_reasoning: bool,
    /// Whether this is a stream without its end marker so far.
    lacks_end_marker: bool,
    /// A chunk with a text delta and no other new content, and the position of the delta.
    template: ChunkTemplate,
    delta: ChunkDelta,
}

/// The position of a chunk's only text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ChunkDelta {
    choice: u32,
    is_reasoning: bool,
}

impl OpenAiChatDecoder {
    pub(super) fn new(
        provider: Cow<'static, str>,
        end_marker: EndMarker,
        expects_usage: bool,
        expects_one_choice: bool,
        reasoning_apart: bool,
    ) -> Self {
        OpenAiChatDecoder {
            provider,
            end_marker,
            expects_usage,
            expects_one_choice,
            reasoning_apart,
            details: Details::default(),
            kept: KeptFields::default(),
            unknown: UnknownFieldWarnings::default(),
            with_deltas: SmallVec1::default(),
            named_reasoning: false,
            lacks_end_marker: false,
            template: ChunkTemplate::default(),
            delta: ChunkDelta::default(),
        }
    }

    fn completion(
        &mut self,
        data: &str,
        streaming: bool,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let mut completion = Completion::default();
        let unread = lenient::fill(&mut completion, data)?;
        if let Some(error) = embedded_error(&completion, data) {
            return Err(error);
        }
        if streaming {
            self.learn(&completion, data, unread);
        }
        emit_start(&completion, out);
        self.extras("", &completion.others, out)?;
        if let Some(groq) = &completion.x_groq.0 {
            self.extras("x_groq.", &groq.others, out)?;
        }
        let choices = completion.choices.as_mut();
        if !streaming && choices.as_ref().is_none_or(|choices| choices.is_empty()) {
            return Err(Error::new(
                ErrorKind::Protocol,
                "the response is not a chat completion: it has no `choices`",
            ));
        }
        if let Some(choices) = choices {
            for (position, choice) in (0_u64..).zip(choices.iter_mut()) {
                let unnumbered = if self.expects_one_choice { 0 } else { position };
                let index = choice_index(choice.index.0.unwrap_or(unnumbered))?;
                self.choice(index, choice, streaming, out)?;
            }
        }
        let reasoning = match self.named_reasoning || self.details.has_text() {
            _ if self.reasoning_apart => SeparateReasoning::Always,
            true => SeparateReasoning::IfUncounted,
            false => SeparateReasoning::IfCounted,
        };
        let counted = counts(&completion, reasoning);
        metadata(&completion, counted, out)
    }

    /// Unknown fields with content.
    fn extras(
        &mut self,
        prefix: &str,
        others: &UnknownFields<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        for (name, raw) in others.iter() {
            if !raw.text().is_none_or(is_blank) {
                self.unknown.extra(prefix, name, raw, out)?;
            }
        }
        Ok(())
    }

    /// Learns a chunk that is only a text delta.
    fn learn(&mut self, completion: &Completion<'_>, chunk: &str, unread: Option<&str>) {
        let Some((index, text, is_reasoning)) = only_text(completion) else {
            return;
        };
        if let Ok(choice) = choice_index(index) {
            self.template.learn(chunk, text, unread);
            self.delta = ChunkDelta {
                choice,
                is_reasoning,
            };
        }
    }

    fn match_repeated(&mut self, text: &str, out: &mut ResponseBuilder) -> Result<(), Error> {
        let ChunkDelta {
            choice,
            is_reasoning,
        } = self.delta;
        out.choice(choice)?;
        if is_reasoning {
            self.named_reasoning |= !text.is_empty();
            out.reasoning(choice, MESSAGE_KEY, text)
        } else {
            out.text(choice, MESSAGE_KEY, text)
        }
    }

    fn choice(
        &mut self,
        index: u32,
        choice: &mut Choice<'_>,
        streaming: bool,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        out.choice(index)?;
        if let Some(text) = choice.error.text() {
            return Err(errors::from_value(text));
        }
        match index {
            0 => self.extras("", &choice.others, out)?,
            n => self.extras(&format!("choices[{n}]."), &choice.others, out)?,
        }
        // OpenRouter sends a number where other servers send lists of tokens.
        let is_odd = |text: &str| !text.starts_with('{');
        if let Some(odd) = choice.logprobs.json().filter(|json| is_odd(json.as_str())) {
            match index {
                0 => out.extra("logprobs", odd)?,
                n => out.extra(&format!("choices[{n}].logprobs"), odd)?,
            }
        }
        let (delta, message) = (&mut choice.delta.0, &mut choice.message.0);
        if !streaming {
            if let Some(message) = message.as_mut().or(delta.as_mut()) {
                self.message(index, message, MessageForm::Complete, out)?;
            }
        } else {
            // Perplexity sends both: the message so far and the delta.
            if let Some(delta) = delta.as_mut() {
                if !self.has_deltas(index) {
                    self.with_deltas.push(index);
                }
                self.message(index, delta, MessageForm::Delta, out)?;
            }
            if let Some(message) = message.as_mut() {
                self.message(index, message, MessageForm::Cumulative, out)?;
            }
        }
        if let Some(mut logprobs) = logprobs(choice) {
            if streaming && choice.message.0.is_some() {
                out.drop_known_logprobs(index, &mut logprobs);
            }
            out.logprobs(index, logprobs)?;
        }
        let reason = choice.finish_reason.non_empty();
        if let Some(reason) = reason.filter(|reason| !is_blank_reason(reason)) {
            if is_failure(reason) {
                return Err(failed_finish(reason));
            }
            let native = choice.native_finish_reason.non_empty().unwrap_or(reason);
            out.finish(index, Some(finish_reason(reason)), native)?;
        }
        Ok(())
    }
}

/// The value that KoboldCpp and similar servers send instead of null.
fn is_blank_reason(reason: &str) -> bool {
    reason.eq_ignore_ascii_case("null") || reason.eq_ignore_ascii_case("none")
}

impl OpenAiChatDecoder {
    /// `[DONE]` was received. For a server that never sends it, only a finish reason completes a response; of other
    /// servers some upstreams send none.
    fn marked(&self, out: &mut ResponseBuilder) -> Result<FrameOutcome, Error> {
        if !out.has_finish() {
            if self.end_marker == EndMarker::Never {
                return Err(Error::new(
                    ErrorKind::Truncated,
                    "the stream ended with `[DONE]` but without a finish reason",
                ));
            }
            out.warn(Warning::new(
                "missing_finish_reason",
                "the stream ended with `[DONE]` but without a finish reason",
            ));
        }
        Ok(FrameOutcome::Complete)
    }
}

impl ChatDecoder for OpenAiChatDecoder {
    fn decode_frame(
        &mut self,
        frame: Frame<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<FrameOutcome, Error> {
        if lenient::is_done(frame.data) {
            self.lacks_end_marker = false;
            return self.marked(out);
        }
        if frame.data.trim_ascii().is_empty() {
            return Ok(FrameOutcome::KeepAlive);
        }
        self.lacks_end_marker = true;
        if self.end_marker == EndMarker::Required {
            out.require_end_marker();
        }
        if frame.kind == FrameKind::Exception || frame.name == "error" {
            return Err(errors::from_event(frame.name, frame.data.as_bytes()));
        }
        if let Some(text) = self.template.match_text(frame.data) {
            self.match_repeated(text, out)?;
            return Ok(FrameOutcome::Continue);
        }
        self.completion(frame.data, true, out)?;
        Ok(FrameOutcome::Continue)
    }

    fn decode_body(&mut self, body: &Bytes, out: &mut ResponseBuilder) -> Result<(), Error> {
        let text = lenient::utf8(body)?;
        self.completion(text, false, out)?;
        out.end_marker();
        Ok(())
    }

    fn finish(&mut self, out: &mut ResponseBuilder) -> Result<(), Error> {
        if self.lacks_end_marker && self.end_marker == EndMarker::Always {
            out.warn_once(Warning::new(
                "missing_end",
                "the stream sent a finish reason, but not the `[DONE]` of this provider",
            ));
        } else if self.lacks_end_marker && self.expects_usage && out.current_usage().is_none() {
            out.warn_once(Warning::new(
                "missing_end",
                "the stream sent a finish reason, but neither `[DONE]` nor the requested usage",
            ));
        }
        self.details.finish(&self.provider, DETAILS, out)?;
        self.kept.finish(&self.provider, KEPT_FIELDS, out)?;
        hosted::searched(HOSTED_SEARCH, out)
    }
}

/// The index of the choice, the text, and whether it is reasoning, of a chunk without other content.
fn only_text<'c>(completion: &'c Completion<'_>) -> Option<(u64, &'c str, bool)> {
    let beside = [
        completion.usage.raw,
        completion.time_info.raw,
        completion.timings.raw,
        completion.citations,
        completion.search_results,
        completion.prompt_filter_results,
    ];
    if beside.iter().any(|raw| raw.text().is_some()) || completion.x_groq.0.is_some() {
        return None;
    }
    let choice = completion.choices.as_ref()?.only()?;
    let beside = [
        choice.usage,
        choice.logprobs,
        choice.reasoning_logprobs,
        choice.error,
    ];
    if beside.iter().any(|raw| raw.text().is_some())
        || choice.finish_reason.non_empty().is_some()
        || choice.message.0.is_some()
    {
        return None;
    }
    let (text, is_reasoning) = choice.delta.0.as_ref()?.only_text()?;
    Some((choice.index.0.unwrap_or(0), text, is_reasoning))
}

fn choice_index(index: u64) -> Result<u32, Error> {
    u32::try_from(index).map_err(|_| {
        let what = format!("a choice has the index {index}");
        Error::new(ErrorKind::Protocol, what)
    })
}

fn emit_start(completion: &Completion<'_>, out: &mut ResponseBuilder) {
    let tier = completion.service_tier.non_empty();
    let fingerprint = completion.system_fingerprint.non_empty();
    let known = (tier.is_none() || tier == out.service_tier())
        && (fingerprint.is_none() || out.system_fingerprint().is_some());
    if out.has_response_start() && known {
        return;
    }
    let owned = |text: &Text<'_>| text.non_empty().map(str::to_owned);
    out.response_start(ResponseStart {
        id: completion.id.to_string_or_empty(),
        model: completion.model.to_string_or_empty(),
        // Azure's first chunk has zero for an unknown time.
        created: completion.created.0.filter(|created| *created > 0),
        system_fingerprint: owned(&completion.system_fingerprint),
        service_tier: owned(&completion.service_tier),
    });
}

/// The usage outside the choices (Groq: in a separate object), else that in the last choice that has one.
fn counts(
    completion: &Completion<'_>,
    reasoning: SeparateReasoning,
) -> Option<(Usage, ServerTiming)> {
    let of = |spelled: &WithRawText<'_, Counts>| {
        Some(types::usage(
            spelled.value.0.as_ref()?,
            spelled.raw,
            reasoning,
        ))
    };
    let groq = completion.x_groq.0.as_ref();
    let beside = of(&completion.usage).or_else(|| of(&groq?.usage));
    beside.or_else(|| {
        let choices = completion.choices.iter().flat_map(SmallVec1::iter);
        let counted = choices.filter_map(|choice| {
            let counts: Object<Counts> = choice.usage.read()?;
            Some((counts.0?, choice.usage))
        });
        let (counts, raw) = counted.last()?;
        Some(types::usage(&counts, raw, reasoning))
    })
}

fn metadata(
    completion: &Completion<'_>,
    counted: Option<(Usage, ServerTiming)>,
    out: &mut ResponseBuilder,
) -> Result<(), Error> {
    if let Some((usage, timing)) = counted {
        out.usage(usage);
        if timing != ServerTiming::default() {
            out.timing(timing, None);
        }
    }
    if let Some(info) = &completion.time_info.value.0 {
        out.timing(info.timing(), completion.time_info.raw.json());
    } else if let Some(timings) = &completion.timings.value.0 {
        out.timing(timings.timing(), completion.timings.raw.json());
    }
    for (name, raw) in [
        ("citations", completion.citations),
        ("search_results", completion.search_results),
        ("prompt_filter_results", completion.prompt_filter_results),
    ] {
        if let Some(value) = raw.json() {
            out.extra(name, value)?;
        }
    }
    Ok(())
}

fn finish_reason(reason: &str) -> FinishReason {
    match reason {
        "stop" | "eos" | "end_turn" | "stop_sequence" => FinishReason::Stop,
        "length" | "max_tokens" | "model_length" => FinishReason::Length,
        "tool_calls" | "function_call" | "tool_use" => FinishReason::ToolCalls,
        "content_filter" | "sensitive" | "content_filtered" => FinishReason::ContentFilter,
        other => FinishReason::Other(other.to_owned()),
    }
}

// Errors with status 200.

/// An error instead of a response, as a body or in a stream.
pub(super) fn embedded_error(completion: &Completion<'_>, data: &str) -> Option<Error> {
    if completion.error.text().is_some() {
        return Some(errors::from_event("", data.as_bytes()));
    }
    let groq = completion.x_groq.0.as_ref();
    if let Some(text) = groq.and_then(|groq| groq.error.text()) {
        return Some(errors::from_value(text));
    }
    let flat = completion.choices.is_none()
        && completion.id.0.is_none()
        && completion.usage.raw.text().is_none()
        && completion.prompt_filter_results.text().is_none();
    if completion.object.as_deref() == Some("error") || flat {
        ErrorBody::parse(data.as_bytes())?;
        return Some(errors::from_event("", data.as_bytes()));
    }
    None
}

/// Whether a finish reason means that the provider failed.
pub(super) fn is_failure(reason: &str) -> bool {
    matches!(
        reason,
        "error" | "network_error" | "insufficient_system_resource"
    )
}

/// The error of such a finish reason.
pub(super) fn failed_finish(reason: &str) -> Error {
    let kind = match reason {
        "insufficient_system_resource" => ErrorKind::Overloaded,
        _ => ErrorKind::InternalServer,
    };
    Error::new(
        kind,
        format!("the provider ended the response with `{reason}`"),
    )
    .with_code(reason)
}

// Chunks of a stream that differ only in their text.

/// The bytes around the text of a chunk. Most servers repeat them in each chunk, so that only the first one must be
/// parsed.
///
/// One more string after the text may differ, in an ignored field: OpenAI fills `obfuscation` with random letters, so
/// that the size of a chunk does not reveal the size of its text.
#[derive(Debug, Default)]
pub(crate) struct ChunkTemplate {
    /// Up to the text's opening quotation mark; empty before a chunk was learned.
    prefix: String,
    /// From the text's closing quotation mark to the opening one of the ignored string, or to the end.
    infix: String,
    /// From the ignored string's closing quotation mark on; empty without such a string.
    suffix: String,
}

/// Longer chunks are not cached.
const MAX_TEMPLATE_BYTES: usize = 4096;

impl ChunkTemplate {
    /// Learns `chunk`, a JSON value. `text` is a slice of it: a complete string without escapes. So is `unread`, the
    /// string of an ignored field; before the text it counts as fixed.
    pub(crate) fn learn(&mut self, chunk: &str, text: &str, unread: Option<&str>) {
        for part in [&mut self.prefix, &mut self.infix, &mut self.suffix] {
            part.clear();
        }
        if chunk.len().saturating_sub(text.len()) > MAX_TEMPLATE_BYTES {
            return;
        }
        let Some((before, behind)) = around(chunk, text) else {
            return;
        };
        let unread = unread.filter(|unread| plain(unread.as_bytes()) == unread.len());
        let split = unread.and_then(|unread| around(behind, unread));
        let (between, after) = split.unwrap_or((behind, ""));
        self.prefix.push_str(before);
        self.infix.push_str(between);
        self.suffix.push_str(after);
    }

    /// The text of a chunk that otherwise equals the learned one.
    ///
    /// The bytes before the text end with the beginning of a string. The text contains nothing that would end the
    /// string, so the bytes after it have the same meaning as before. The same applies to the ignored string.
    pub(crate) fn match_text<'c>(&self, chunk: &'c str) -> Option<&'c str> {
        if self.prefix.is_empty() {
            return None;
        }
        let rest = chunk.strip_prefix(&*self.prefix)?;
        let (text, rest) = rest.split_at_checked(plain(rest.as_bytes()))?;
        let rest = rest.strip_prefix(&*self.infix)?;
        let rest = match &*self.suffix {
            "" => rest,
            after => rest.get(plain(rest.as_bytes())..)?.strip_prefix(after)?,
        };
        rest.is_empty().then_some(text)
    }
}

/// The parts of `chunk` before and after `text`, if `text` is a slice of it that fills a string.
fn around<'c>(chunk: &'c str, text: &str) -> Option<(&'c str, &'c str)> {
    let start = text.as_ptr().addr().checked_sub(chunk.as_ptr().addr())?;
    let (before, rest) = chunk.split_at_checked(start)?;
    let (found, after) = rest.split_at_checked(text.len())?;
    (found == text && before.ends_with('"') && after.starts_with('"')).then_some((before, after))
}

#[cfg(test)]
mod chunk_template_tests {
    use super::*;

    const CHUNK: &str = r#"{"id":"a","delta":{"content":"one"},"n":1}"#;

    fn learned() -> ChunkTemplate {
        let mut template = ChunkTemplate::default();
        let at = CHUNK.find("one").unwrap();
        template.learn(CHUNK, &CHUNK[at..at + 3], None);
        template
    }

    #[test]
    fn a_chunk_that_differs_only_in_its_text_is_recognised() {
        for text in ["", "two", "drei Wörter hier", "}],{:"] {
            let chunk = CHUNK.replace("one", text);
            assert_eq!(learned().match_text(&chunk), Some(text));
        }
    }

    #[test]
    fn any_other_chunk_is_not_recognised() {
        for chunk in [
            "",
            r#"{"id":"b","delta":{"content":"one"},"n":1}"#,
            r#"{"id":"a","delta":{"content":"one"},"n":2}"#,
            r#"{"id":"a","delta":{"content":"o\ne"},"n":1}"#,
            r#"{"id":"a","delta":{"content":"one","content":"two"},"n":1}"#,
            "{\"id\":\"a\",\"delta\":{\"content\":\"o\ne\"},\"n\":1}",
            r#"{"id":"a","delta":{"content":"},"n":1}"#,
        ] {
            assert_eq!(learned().match_text(chunk), None, "{chunk}");
        }
        assert_eq!(ChunkTemplate::default().match_text(CHUNK), None);
    }

    #[test]
    fn only_a_slice_that_fills_a_string_is_learned() {
        let elsewhere = "one".to_owned();
        let at = CHUNK.find("ne").unwrap();
        for text in [&*elsewhere, &CHUNK[at..at + 2], &CHUNK[at..at + 1]] {
            let mut template = learned();
            template.learn(CHUNK, text, None);
            assert_eq!(template.match_text(CHUNK), None, "{text}");
        }
    }
    #[test]
    fn one_ignored_string_may_differ_too() {
        let chunk = |text: &str, pad: &str| {
            format!(r#"{{"id":"a","delta":{{"content":"{text}"}},"n":1,"pad":"{pad}","m":2}}"#)
        };
        let first = chunk("one", "xyz");
        let slice = |part: &str| {
            first
                .find(part)
                .map(|at| &first[at..at + part.len()])
                .unwrap()
        };
        let mut template = ChunkTemplate::default();
        template.learn(&first, slice("one"), Some(slice("xyz")));
        for (text, pad) in [
            ("two", "x"),
            ("", ""),
            ("more words", "longer than before"),
            ("x\"", ""),
        ] {
            let known = (!text.contains('"')).then_some(text);
            assert_eq!(template.match_text(&chunk(text, pad)), known);
        }
        for other in [
            chunk("two", "a\\n"),
            chunk("two", "\",\"m\":3,\"o\":\""),
            chunk("two", "").replace("\"m\":2", "\"m\":3"),
            chunk("two", "") + " ",
        ] {
            assert_eq!(template.match_text(&other), None, "{other}");
        }
        // Before the text it counts as fixed.
        template.learn(&first, slice("one"), Some(slice("a")));
        assert_eq!(template.match_text(&first), Some("one"));
        assert_eq!(template.match_text(&first.replace("\"a\"", "\"b\"")), None);
    }
}
