//! Decodes responses into the response builder. A stream's frames are complete responses that each add parts.

use super::{
    BLOCK_PROVIDER, hosted,
    partial_args::PartialCall,
    types::{
        self, Candidate, FunctionCall, GenerateContentResponse, Grounding, GroundingChunk,
        LogprobsResult, Part, PromptFeedback, Token, TopCandidates, is_true,
    },
};
use crate::{
    Error, ErrorKind, FinishReason, Json,
    chat::{Citation, Logprobs, ProviderData, ResponseStart, TokenLogprob, TopLogprob, Warning},
    codec::rfc3339::rfc3339,
    provider::{
        ChatDecoder, Frame, FrameKind, FrameOutcome, ResponseBuilder,
        kit::{
            errors,
            json_object::JsonObject,
            lenient::{self, List, Raw},
            unknown_fields::{UnknownFieldWarnings, shown},
        },
    },
};
use bytes::Bytes;
use http::response;
use std::time::UNIX_EPOCH;

/// Decodes one response.
#[derive(Debug, Default)]
pub(super) struct ContentDecoder {
    candidates: Candidates,
    has_start: bool,
    service_tier: Option<String>,
    unknown: UnknownFieldWarnings,
}

impl ContentDecoder {
    /// Decodes one response, or the list of responses that a stream without `alt=sse` is. An error in a stream can be
    /// in a list too. Returns whether there was a candidate.
    fn decode_all(&mut self, data: &str, out: &mut ResponseBuilder) -> Result<bool, Error> {
        if !is_list(data) {
            return self.decode_response(data, out);
        }
        let mut has_candidates = false;
        for answer in lenient::parse::<List<Raw<'_>>>(data)?.0 {
            has_candidates |= self.decode_response(answer.text().unwrap_or("null"), out)?;
        }
        Ok(has_candidates)
    }

    fn decode_response(&mut self, data: &str, out: &mut ResponseBuilder) -> Result<bool, Error> {
        let answer: GenerateContentResponse<'_> = lenient::parse(data)?;
        if answer.error.text().is_some() {
            return Err(error_from_event("", data));
        }
        self.emit_start(&answer, out);
        self.usage(answer.usage_metadata, out);
        if let Some(whole) = answer.prompt_feedback.json() {
            let feedback: PromptFeedback<'_> = answer.prompt_feedback.read().unwrap_or_default();
            if let Some(reason) = feedback.block_reason.non_empty() {
                if answer.candidates.0.is_empty() {
                    let words = feedback.block_reason_message.non_empty();
                    return Err(blocked(reason, words, data));
                }
            }
            out.extra("promptFeedback", whole)?;
        }
        for (position, candidate) in answer.candidates.0.iter().enumerate() {
            let index = match candidate.index.0 {
                Some(index) => u32::try_from(index).ok(),
                None => u32::try_from(position).ok(),
            };
            let index = index.ok_or_else(|| protocol("a candidate's index is too large"))?;
            self.candidates
                .add(index, candidate, &answer, &mut self.unknown, out)?;
        }
        self.unknown.extras("", &answer.others, out)?;
        Ok(!answer.candidates.0.is_empty())
    }

    fn emit_start(&mut self, answer: &GenerateContentResponse<'_>, out: &mut ResponseBuilder) {
        if self.has_start {
            return;
        }
        self.has_start =
            answer.response_id.non_empty().is_some() && answer.model_version.non_empty().is_some();
        let created = answer.create_time.as_deref().and_then(rfc3339);
        out.response_start(ResponseStart {
            id: answer.response_id.to_string_or_empty(),
            model: answer.model_version.to_string_or_empty(),
            created: created.and_then(|at| Some(at.duration_since(UNIX_EPOCH).ok()?.as_secs())),
            ..ResponseStart::default()
        });
    }

    fn usage(&mut self, raw: Raw<'_>, out: &mut ResponseBuilder) {
        let Some((usage, tier)) = types::usage(raw) else {
            return;
        };
        out.usage(usage);
        if tier.is_some() && tier != self.service_tier {
            self.service_tier.clone_from(&tier);
            out.response_start(ResponseStart {
                service_tier: tier,
                ..ResponseStart::default()
            });
        }
    }
}

impl ChatDecoder for ContentDecoder {
    fn decode_frame(
        &mut self,
        frame: Frame<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<FrameOutcome, Error> {
        if frame.kind == FrameKind::Exception || frame.name == "error" {
            return Err(error_from_event(frame.name, frame.data));
        }
        // The API has no end marker; a proxy may add OpenAI's, which ends nothing here.
        if !lenient::is_done(frame.data) {
            self.decode_all(frame.data, out)?;
        }
        Ok(FrameOutcome::Continue)
    }

    fn decode_body(&mut self, body: &Bytes, out: &mut ResponseBuilder) -> Result<(), Error> {
        let text = lenient::utf8(body)?;
        let has_candidates = self.decode_all(text, out)?;
        if is_list(text) && !out.is_complete() {
            return Err(Error::new(
                ErrorKind::Truncated,
                "the list of responses ends without a finish reason",
            ));
        }
        if !has_candidates {
            return Err(protocol(
                "the response has neither candidates nor a block reason",
            ));
        }
        out.end_marker();
        Ok(())
    }

    fn finish(&mut self, out: &mut ResponseBuilder) -> Result<(), Error> {
        std::mem::take(&mut self.candidates).finish(out)
    }
}

fn is_list(data: &str) -> bool {
    data.trim_start().starts_with('[')
}

/// The prompt was blocked: the response has status 200 and no candidates.
fn blocked(reason: &str, words: Option<&str>, data: &str) -> Error {
    let message = match words {
        Some(words) => format!("the prompt was blocked ({reason}): {words}"),
        None => format!("the prompt was blocked ({reason})"),
    };
    Error::new(ErrorKind::ContentFiltered, message)
        .with_code(reason)
        .with_status(200)
        .with_body(errors::beginning(data.as_bytes()))
}

fn protocol(what: &str) -> Error {
    Error::new(ErrorKind::Protocol, what)
}

// The candidates of a response, while their parts arrive.

/// The state of each candidate.
#[derive(Debug, Default)]
pub(super) struct Candidates(Vec<CandidateState>);

#[derive(Debug, Default)]
struct CandidateState {
    index: u32,
    /// The number of the next part.
    next: u32,
    /// The text or reasoning that the next delta may continue.
    flow: Option<(TextKind, u32)>,
    /// The last part with text.
    text: Option<u32>,
    calls: u32,
    partial: Option<PartialCall>,
    /// The last part is code that the provider executes: its result follows, whatever finish reason is sent with it.
    awaits_result: bool,
    /// A finish reason that was received before such a result.
    held: Option<String>,
    /// The finish reason that was set.
    reason: Option<String>,
    grounding: Option<Json>,
    url_context: Option<Json>,
    /// Whether a hosted tool has a part of its own, so that the metadata shows no other call.
    has_hosted_part: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TextKind {
    Text,
    Thought,
}

impl Candidates {
    pub(super) fn add(
        &mut self,
        index: u32,
        candidate: &Candidate<'_>,
        answer: &GenerateContentResponse<'_>,
        unknown: &mut UnknownFieldWarnings,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        out.choice(index)?;
        let at = match self.0.iter().position(|known| known.index == index) {
            Some(at) => at,
            None => {
                self.0.push(CandidateState {
                    index,
                    ..CandidateState::default()
                });
                self.0.len().saturating_sub(1)
            }
        };
        match self.0.get_mut(at) {
            Some(progress) => progress.add(candidate, answer, unknown, out),
            None => Ok(()),
        }
    }

    /// Adds content that is known only at the end of the response.
    pub(super) fn finish(self, out: &mut ResponseBuilder) -> Result<(), Error> {
        for mut progress in self.0 {
            progress.drop_partial(out)?;
            progress.cite(out)?;
            progress.add_hosted_calls(out)?;
            // A call can follow the finish reason.
            if let Some(reason) = progress.held.take().or(progress.reason.take()) {
                let unified = finish_reason(&reason, progress.calls);
                out.finish(progress.index, Some(unified), &reason)?;
            }
        }
        Ok(())
    }
}

impl CandidateState {
    fn add(
        &mut self,
        candidate: &Candidate<'_>,
        answer: &GenerateContentResponse<'_>,
        unknown: &mut UnknownFieldWarnings,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        if let Some(content) = &candidate.content.0 {
            unknown.members("the content", &content.others, out);
            for raw in content.parts.0.iter().copied() {
                match raw.text() {
                    Some(text) if text.starts_with('{') => {
                        self.part(raw, &raw.parse()?, answer, unknown, out)?;
                    }
                    Some(text) => unknown.value("parts", text, out),
                    None => {}
                }
            }
        }
        if let Some(logprobs) = logprobs(candidate.logprobs_result) {
            out.logprobs(self.index, logprobs)?;
        }
        for (name, raw) in [
            ("finishMessage", candidate.finish_message),
            ("safetyRatings", candidate.safety_ratings),
            ("citationMetadata", candidate.citation_metadata),
            ("groundingMetadata", candidate.grounding_metadata),
            ("urlContextMetadata", candidate.url_context_metadata),
            ("avgLogprobs", candidate.avg_logprobs),
        ] {
            let Some(value) = raw.json() else {
                continue;
            };
            match self.index {
                0 => out.extra(name, value)?,
                n => out.extra(&format!("candidates[{n}].{name}"), value)?,
            }
        }
        match self.index {
            0 => unknown.extras("", &candidate.others, out)?,
            n => unknown.extras(&format!("candidates[{n}]."), &candidate.others, out)?,
        }
        if let Some(grounding) = candidate.grounding_metadata.json() {
            self.grounding = Some(grounding);
        }
        if let Some(context) = candidate.url_context_metadata.json() {
            self.url_context = Some(context);
        }
        if let Some(reason) = candidate.finish_reason.non_empty() {
            if self.awaits_result && reason == "STOP" {
                self.held = Some(reason.to_owned());
            } else {
                out.finish(self.index, Some(finish_reason(reason, self.calls)), reason)?;
                self.reason = Some(reason.to_owned());
            }
        }
        Ok(())
    }

    fn part(
        &mut self,
        raw: Raw<'_>,
        part: &Part<'_>,
        answer: &GenerateContentResponse<'_>,
        unknown: &mut UnknownFieldWarnings,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        if let Some(call) = &part.function_call.0 {
            if let Some(text) = part.text.non_empty() {
                self.flow(is_true(part.thought), text, out)?;
            }
            return self.call(call, part, answer, unknown, out);
        }
        if part.text.as_deref() != Some("") {
            let awaited = [part.executable_code, part.tool_call];
            self.awaits_result = awaited.iter().any(|raw| raw.text().is_some());
        }
        let is_own = part.executable_code.text().is_some() || part.tool_call.text().is_some();
        let has_more = part.thought_signature.non_empty().is_some() || !part.others.is_empty();
        let is_thought = is_true(part.thought);
        match part.text.as_deref().filter(|_| !is_own) {
            Some("") if !has_more => Ok(()),
            Some(text) if !has_more => self.flow(is_thought, text, out),
            Some(text) if !text.is_empty() => {
                // A part with a signature is sent back separately, followed by its signature.
                self.flow = None;
                self.flow(is_thought, text, out)?;
                self.flow = None;
                self.provider_block(added(None, part)?.to_json()?, out)
            }
            _ => match raw.json().filter(|json| json.as_str() != "{}") {
                Some(json) => self.provider_block(json, out),
                None => Ok(()),
            },
        }
    }

    fn flow(
        &mut self,
        is_thought: bool,
        text: &str,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        let kind = if is_thought {
            TextKind::Thought
        } else {
            TextKind::Text
        };
        let number = match self.flow {
            Some((open, number)) if open == kind => number,
            _ => self.take_number(),
        };
        self.flow = Some((kind, number));
        match kind {
            TextKind::Text => {
                self.text = Some(number);
                out.text(self.index, number, text)
            }
            TextKind::Thought => out.reasoning(self.index, number, text),
        }
    }

    fn provider_block(&mut self, block: Json, out: &mut ResponseBuilder) -> Result<(), Error> {
        self.flow = None;
        let number = self.take_number();
        self.has_hosted_part |= hosted::emit(self.index, number, block, out)?;
        Ok(())
    }

    fn call(
        &mut self,
        call: &FunctionCall<'_>,
        part: &Part<'_>,
        answer: &GenerateContentResponse<'_>,
        unknown: &mut UnknownFieldWarnings,
        out: &mut ResponseBuilder,
    ) -> Result<(), Error> {
        unknown.members("a function call", &call.others, out);
        self.flow = None;
        self.awaits_result = false;
        if call.name.non_empty().is_some() {
            self.follow_partial(out)?;
            let number = self.begin_call(call, part, answer, out)?;
            let goes_on = is_true(call.will_continue);
            if !goes_on && call.partial_args.0.is_empty() {
                let arguments = call.args.text().unwrap_or("{}");
                out.tool_arguments(self.index, number, arguments)?;
                return out.end_part(self.index, number);
            }
            self.partial = Some(PartialCall::new(number));
        }
        let Some(partial) = &mut self.partial else {
            let args = call.args.text().unwrap_or("{}");
            if args != "{}" || !call.partial_args.0.is_empty() {
                unknown.value("functionCall", args, out);
            }
            return Ok(());
        };
        for arg in &call.partial_args.0 {
            unknown.members("a delta of arguments", &arg.others, out);
            out.charge(partial.add(arg)?)?;
        }
        if is_true(call.will_continue) {
            return Ok(());
        }
        self.end_partial(out)
    }

    fn begin_call(
        &mut self,
        call: &FunctionCall<'_>,
        part: &Part<'_>,
        answer: &GenerateContentResponse<'_>,
        out: &mut ResponseBuilder,
    ) -> Result<u32, Error> {
        let number = self.take_number();
        let made = match (call.id.non_empty(), answer.response_id.non_empty()) {
            (Some(id), _) => id.to_owned(),
            // Most models send none. A generated id must differ from those of other turns, which the response's own
            // id ensures.
            (None, Some(answer)) => match self.index {
                0 => format!("call_{answer}_{}", self.calls),
                n => format!("call_{answer}_{n}_{}", self.calls),
            },
            (None, None) => String::new(),
        };
        self.calls = self.calls.saturating_add(1);
        let name = call.name.as_deref().unwrap_or_default();
        out.tool_start(self.index, number, &made, name)?;
        let data = added(call.id.non_empty(), part)?;
        if !data.is_empty() {
            out.tool_call_provider_data(
                self.index,
                number,
                ProviderData::new(BLOCK_PROVIDER, data.to_json()?),
            )?;
        }
        Ok(number)
    }

    /// Another call starts although the last one announced more arguments.
    fn follow_partial(&mut self, out: &mut ResponseBuilder) -> Result<(), Error> {
        let Some(partial) = &self.partial else {
            return Ok(());
        };
        let name = out.current_call(self.index, partial.part);
        let name = name.map_or("", |call| &call.name);
        out.warn(Warning::new(
            "call_not_completed",
            format!(
                "the call of `{}` in `candidates[{}]` was never completed; its received arguments are used as complete",
                shown(name),
                self.index
            ),
        ));
        self.end_partial(out)
    }

    /// The response ended inside a call, whose arguments are never certain to be complete.
    fn drop_partial(&mut self, out: &mut ResponseBuilder) -> Result<(), Error> {
        let Some(partial) = self.partial.take() else {
            return Ok(());
        };
        let reason = self.reason.as_deref();
        let is_cut = reason.is_some_and(|reason| finish_reason(reason, self.calls).is_cut());
        let place = format!("candidates[{}]", self.index);
        out.end_open_call(self.index, partial.part, is_cut, &place)?;
        self.calls = self.calls.saturating_sub(1);
        Ok(())
    }

    fn end_partial(&mut self, out: &mut ResponseBuilder) -> Result<(), Error> {
        let Some(partial) = self.partial.take() else {
            return Ok(());
        };
        let number = partial.part;
        out.tool_arguments(self.index, number, &partial.finish())?;
        out.end_part(self.index, number)
    }

    /// The sources apply to the complete text.
    fn cite(&mut self, out: &mut ResponseBuilder) -> Result<(), Error> {
        let (Some(grounding), Some(text)) = (&self.grounding, self.text) else {
            return Ok(());
        };
        let grounding = lenient::parse::<Grounding<'_>>(grounding.as_str());
        for raw in grounding.unwrap_or_default().grounding_chunks.0 {
            let chunk: GroundingChunk<'_> = raw.read().unwrap_or_default();
            let source = chunk.web.0.or(chunk.retrieved_context.0).or(chunk.maps.0);
            let source = source.unwrap_or_default();
            let citation = Citation {
                url: source.uri.non_empty().map(str::to_owned),
                title: source.title.non_empty().map(str::to_owned),
                cited_text: source.text.non_empty().map(str::to_owned),
                raw: raw.json(),
            };
            out.citation(self.index, text, citation)?;
        }
        Ok(())
    }

    /// The calls that the API shows only in metadata follow the content.
    fn add_hosted_calls(&mut self, out: &mut ResponseBuilder) -> Result<(), Error> {
        let calls = hosted::of_metadata(self.grounding.as_ref(), self.url_context.as_ref());
        if let (Some(queries), Some(usage)) = (hosted::web_queries(&calls), out.current_usage()) {
            let mut usage = usage.clone();
            let counts = usage.hosted_tools.get_or_insert_default();
            counts.web_searches = Some(counts.web_searches.unwrap_or(0).saturating_add(queries));
            out.usage(usage);
        }
        if self.has_hosted_part {
            return Ok(());
        }
        for (call, result) in calls {
            let number = self.take_number();
            out.hosted_tool_call(self.index, number, call)?;
            out.hosted_tool_result(self.index, number, result)?;
        }
        Ok(())
    }

    fn take_number(&mut self) -> u32 {
        let number = self.next;
        self.next = self.next.saturating_add(1);
        number
    }
}

/// Data that is sent back with a text or a call: its signature, unknown fields, and the call's id if the server sent
/// one.
fn added(id: Option<&str>, part: &Part<'_>) -> Result<JsonObject, Error> {
    let mut members = JsonObject::default();
    if let Some(id) = id {
        members.set("id", Json::new(id)?);
    }
    if let Some(signature) = part.thought_signature.non_empty() {
        members.set("thoughtSignature", Json::new(signature)?);
    }
    for (name, raw) in part.others.iter() {
        if let Some(value) = raw.json() {
            members.set(name, value);
        }
    }
    Ok(members)
}

// Finish reasons and log probabilities.

/// Function calls end with `STOP`; the parts reveal them. Vertex sends some reasons as numbers.
pub(super) fn finish_reason(reason: &str, calls: u32) -> FinishReason {
    match reason {
        "STOP" | "1" if calls > 0 => FinishReason::ToolCalls,
        "STOP" | "1" => FinishReason::Stop,
        "MAX_TOKENS" | "2" => FinishReason::Length,
        "SAFETY"
        | "3"
        | "RECITATION"
        | "4"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => FinishReason::ContentFilter,
        other => FinishReason::Other(other.to_owned()),
    }
}

pub(super) fn logprobs(raw: Raw<'_>) -> Option<Logprobs> {
    let result: LogprobsResult<'_> = raw.read()?;
    let List(tops) = result.top_candidates;
    let mut tops = tops.into_iter();
    // They are decoded one by one: all of them together would take several times their text.
    let tokens = result.chosen_candidates.0.iter().filter_map(|chosen| {
        let tops = tops.next().and_then(Raw::read::<TopCandidates<'_>>);
        let tops = tops.unwrap_or_default().candidates.0;
        let chosen: Token<'_> = chosen.read()?;
        Some(TokenLogprob {
            token: chosen.token.to_string_or_empty(),
            logprob: chosen.log_probability.0?,
            bytes: None,
            top_logprobs: tops
                .iter()
                .filter_map(|top| {
                    Some(TopLogprob {
                        token: top.token.to_string_or_empty(),
                        logprob: top.log_probability.0?,
                        bytes: None,
                    })
                })
                .collect(),
        })
    });
    let mut content = Vec::with_capacity(result.chosen_candidates.0.len());
    content.extend(tokens);
    Some(Logprobs {
        content,
        ..Logprobs::default()
    })
}

// Errors that this API distinguishes only by their message.

/// Beginnings of messages for a context overflow, whose status is `INVALID_ARGUMENT` like any other. Source: recorded
/// errors.
const OVERFLOW: [(&str, ErrorKind); 1] = [("The input token count", ErrorKind::ContextOverflow)];

pub(in crate::provider) fn error_from_http(head: &response::Parts, body: &Bytes) -> Error {
    errors::by_sentence(errors::from_http(head, body), body, &OVERFLOW)
}

pub(in crate::provider) fn error_from_event(name: &str, data: &str) -> Error {
    let error = errors::from_event(name, data.as_bytes());
    errors::by_sentence(error, data.as_bytes(), &OVERFLOW)
}

#[cfg(test)]
mod errors_tests {
    use super::*;

    #[test]
    fn errors_have_their_kinds_in_both_formats() {
        let cases = [
            (
                400,
                r#"{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}"#,
                ErrorKind::Authentication,
                None,
            ),
            (
                400,
                r#"{"error":{"code":400,"message":"The input token count (9) exceeds the maximum number of tokens allowed (8).","status":"INVALID_ARGUMENT"}}"#,
                ErrorKind::ContextOverflow,
                None,
            ),
            (
                400,
                r#"[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]"#,
                ErrorKind::BadRequest,
                None,
            ),
            (
                403,
                r#"{"error":{"code":403,"message":"m","status":"PERMISSION_DENIED"}}"#,
                ErrorKind::PermissionDenied,
                None,
            ),
            (
                429,
                r#"[{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[{"retryDelay":"37s"}]}}]"#,
                ErrorKind::RateLimit,
                Some(37),
            ),
            (
                503,
                r#"{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}"#,
                ErrorKind::ServiceUnavailable,
                None,
            ),
        ];
        for (status, body, kind, wait) in cases {
            let head = http::Response::builder()
                .status(status)
                .body(())
                .unwrap()
                .into_parts()
                .0;
            let error = error_from_http(&head, &Bytes::from_static(body.as_bytes()));
            assert_eq!(error.kind(), kind, "{body}");
            assert_eq!(
                error.retry_after().map(|wait| wait.as_secs()),
                wait,
                "{body}"
            );
        }
    }
}
