//! From the wire to the assembler.

use super::{
    details::Details,
    failed::{error_in_place, failed_finish, is_failure, wrapped},
    logprobs::logprobs,
    profile::EndMarker,
    usage,
    wire::{Choice, Completion, Content, Function, Message, Part, ToolCall},
};
use crate::{
    Assembler, Citation, Error, ErrorKind, FinishReason, Head, OpaqueData, ServerTiming,
    ToolFragment, Warning,
    provider::{
        Decoder, Frame, FrameKind, Progress, failure,
        lenient::{self, List, Object, Raw, Text, object},
        template::Template,
    },
};
use bytes::Bytes;
use std::borrow::Cow;

/// Where the pieces of a message stand, on a wire that does not number them.
const REASONING: u32 = 0;
const TEXT: u32 = 1;
const REFUSAL: u32 = 2;
const FIRST_CALL: u32 = 3;
/// Opaque pieces that belong to the reasoning come last; their order among themselves is kept.
const DETAILS: u32 = 1 << 20;

/// Reads one answer.
#[derive(Debug)]
pub(super) struct ChatDecoder {
    provider: Cow<'static, str>,
    end_marker: EndMarker,
    /// Whether a stream without token counts lacks something.
    usage_wanted: bool,
    details: Details,
    /// Whether reasoning came under a name of its own, so that the details only repeat it.
    named_reasoning: bool,
    /// Whether this is a stream that still lacks its end marker.
    unmarked: bool,
    /// A chunk that held a piece of text and nothing else that was new, and where that piece belongs.
    template: Template,
    piece: Piece,
}

/// Where the only text of a chunk belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Piece {
    choice: u32,
    is_reasoning: bool,
}

impl ChatDecoder {
    pub(super) fn new(
        provider: Cow<'static, str>,
        end_marker: EndMarker,
        usage_wanted: bool,
    ) -> Self {
        ChatDecoder {
            provider,
            end_marker,
            usage_wanted,
            details: Details::default(),
            named_reasoning: false,
            unmarked: false,
            template: Template::default(),
            piece: Piece::default(),
        }
    }

    fn completion(
        &mut self,
        data: &str,
        streaming: bool,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let mut completion = Completion::default();
        let unread = lenient::fill(&mut completion, data)?;
        if let Some(error) = error_in_place(&completion, data) {
            return Err(error);
        }
        if streaming {
            self.learn(&completion, data, unread);
        }
        head(&completion, out);
        let choices = completion.choices.as_mut();
        if !streaming && choices.as_ref().is_none_or(|choices| choices.is_empty()) {
            return Err(Error::new(
                ErrorKind::Protocol,
                "the answer has no `choices`: this is no chat completion",
            ));
        }
        if let Some(choices) = choices {
            for (position, choice) in (0_u64..).zip(choices.iter_mut()) {
                let unnumbered = if streaming { 0 } else { position };
                let index = choice_index(choice.index.0.unwrap_or(unnumbered))?;
                self.choice(index, choice, streaming, out)?;
            }
        }
        metadata(&completion, out)
    }

    /// Remembers a chunk that is nothing but a piece of text.
    fn learn(&mut self, completion: &Completion<'_>, chunk: &str, unread: Option<&str>) {
        let Some((index, text, is_reasoning)) = only_text(completion) else {
            return;
        };
        if let Ok(choice) = choice_index(index) {
            self.template.learn(chunk, text, unread);
            self.piece = Piece {
                choice,
                is_reasoning,
            };
        }
    }

    fn repeated(&mut self, text: &str, out: &mut Assembler) -> Result<(), Error> {
        let Piece {
            choice,
            is_reasoning,
        } = self.piece;
        out.choice(choice)?;
        if is_reasoning {
            self.named_reasoning |= !text.is_empty();
            out.reasoning(choice, REASONING, text)
        } else {
            out.text(choice, TEXT, text)
        }
    }

    fn choice(
        &mut self,
        index: u32,
        choice: &mut Choice<'_>,
        streaming: bool,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        out.choice(index)?;
        if let Some(text) = choice.error.text() {
            return Err(wrapped(text));
        }
        // Perplexity sends both: the message so far and what is new.
        let (delta, message) = (&mut choice.delta.0, &mut choice.message.0);
        let (wanted, other) = if streaming {
            (delta, message)
        } else {
            (message, delta)
        };
        if let Some(message) = wanted.as_mut().or(other.as_mut()) {
            self.message(index, message, streaming, out)?;
        }
        if let Some(logprobs) = logprobs(choice) {
            out.logprobs(index, logprobs)?;
        }
        if let Some(reason) = choice.finish_reason.non_empty() {
            if is_failure(reason) {
                return Err(failed_finish(reason));
            }
            let native = choice.native_finish_reason.non_empty().unwrap_or(reason);
            out.finish(index, Some(finish_reason(reason)), native)?;
        }
        Ok(())
    }

    fn message(
        &mut self,
        choice: u32,
        message: &mut Message<'_>,
        streaming: bool,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        self.reasoning(choice, message, out)?;
        match std::mem::take(&mut message.content) {
            Content::Nothing => {}
            Content::Text(text) => out.text(choice, TEXT, text)?,
            Content::Parts(parts) => parts_of(choice, parts, out)?,
        }
        if let Some(refusal) = message.refusal.non_empty() {
            out.refusal(choice, REFUSAL, refusal)?;
        }
        let calls = &message.tool_calls.0;
        // Without an index the place in a list of several says which call is meant.
        let by_place = calls.len() > 1 && calls.iter().all(|call| call.index.0.is_none());
        for (position, call) in (0_u32..).zip(calls) {
            let index = call.index.0.or(by_place.then_some(position.into()));
            self.tool_call(choice, position, index, call, streaming, out)?;
        }
        if by_place && streaming {
            out.tool_calls_interleave(choice)?;
        }
        // The form before `tool_calls`. Snowflake fills it with empty texts.
        if let Some(function) = message
            .function_call
            .0
            .as_ref()
            .filter(|_| calls.is_empty())
        {
            let arguments = function.arguments.arguments()?;
            let name = function.name.as_deref();
            let fragment = ToolFragment::new(Some(0), None, name, Some(&arguments));
            out.tool_fragment(choice, fragment)?;
        }
        for annotation in &message.annotations.0 {
            if let Some(citation) = citation(*annotation) {
                out.citation(choice, TEXT, citation)?;
            }
        }
        if let Some(value) = message.extra_content.json() {
            self.details.add_extra_content(choice, value, out)?;
        }
        Ok(())
    }

    /// Servers that use both names repeat themselves; the details then repeat both.
    fn reasoning(
        &mut self,
        choice: u32,
        message: &mut Message<'_>,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let named = [&mut message.reasoning, &mut message.reasoning_content];
        let text = named.into_iter().find_map(Content::take_text);
        self.named_reasoning |= text.is_some();
        if let Some(text) = text {
            out.reasoning(choice, REASONING, text)?;
        }
        for detail in &message.reasoning_details.0 {
            let shown = self.details.add(choice, *detail, out)?;
            if let Some(text) = shown.filter(|_| !self.named_reasoning) {
                out.reasoning(choice, REASONING, text)?;
            }
        }
        Ok(())
    }

    fn tool_call(
        &mut self,
        choice: u32,
        position: u32,
        index: Option<u64>,
        call: &ToolCall<'_>,
        streaming: bool,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let empty = Function::default();
        let function = call.function.0.as_ref().unwrap_or(&empty);
        let arguments = function.arguments.arguments()?;
        let (id, name) = (call.id.as_deref(), function.name.as_deref());
        if streaming {
            let fragment = ToolFragment::new(index, id, name, Some(&arguments));
            out.tool_fragment(choice, fragment)?;
        } else {
            // In a whole answer every element is a call of its own, whatever its index and id say.
            let part = FIRST_CALL.saturating_add(position);
            out.tool_start(
                choice,
                part,
                id.unwrap_or_default(),
                name.unwrap_or_default(),
            )?;
            out.tool_arguments(choice, part, &arguments)?;
        }
        if let Some(data) = call.extra_content.json() {
            out.last_tool_data(choice, OpaqueData::new(&*self.provider, data))?;
        }
        Ok(())
    }
}

impl ChatDecoder {
    /// `[DONE]` came. Where a server never sends it, only a finish reason completes an answer; elsewhere some upstreams give
    /// none (F12).
    fn marked(&self, out: &mut Assembler) -> Result<Progress, Error> {
        if !out.has_finish() {
            if self.end_marker == EndMarker::Never {
                return Err(Error::new(
                    ErrorKind::Truncated,
                    "the stream ended with `[DONE]` but without a finish reason",
                ));
            }
            out.warn(Warning::new(
                "missing_finish_reason",
                "the stream ended with `[DONE]` but did not say why it stopped",
            ));
        }
        Ok(Progress::Done)
    }
}

impl Decoder for ChatDecoder {
    fn frame(&mut self, frame: Frame<'_>, out: &mut Assembler) -> Result<Progress, Error> {
        if lenient::is_done(frame.data) {
            self.unmarked = false;
            return self.marked(out);
        }
        if frame.data.trim_ascii().is_empty() {
            return Ok(Progress::Ping);
        }
        self.unmarked = true;
        if self.end_marker == EndMarker::Required {
            out.require_end_marker();
        }
        if frame.kind == FrameKind::Exception || frame.name == "error" {
            return Err(failure::from_event(frame.name, frame.data.as_bytes()));
        }
        if let Some(text) = self.template.text(frame.data) {
            self.repeated(text, out)?;
            return Ok(Progress::More);
        }
        self.completion(frame.data, true, out)?;
        Ok(Progress::More)
    }

    fn whole(&mut self, body: &Bytes, out: &mut Assembler) -> Result<(), Error> {
        let text = lenient::utf8(body)?;
        self.completion(text, false, out)?;
        out.end_marker();
        Ok(())
    }

    fn finish(&mut self, out: &mut Assembler) -> Result<(), Error> {
        if self.unmarked && self.end_marker == EndMarker::Always {
            out.warn(Warning::new(
                "missing_end",
                "the stream said why it stopped, but lacks the `[DONE]` that this provider sends",
            ));
        } else if self.unmarked && self.usage_wanted && out.usage_so_far().is_none() {
            out.warn(Warning::new(
                "missing_end",
                "the stream said why it stopped, but ended with neither `[DONE]` nor the usage that was asked for",
            ));
        }
        self.details.finish(&self.provider, DETAILS, out)
    }
}

/// The number of the choice, the text, and whether it is reasoning, of a chunk that says nothing else.
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
    let beside = [choice.logprobs, choice.reasoning_logprobs, choice.error];
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

fn head(completion: &Completion<'_>, out: &mut Assembler) {
    let tier = completion.service_tier.non_empty();
    let fingerprint = completion.system_fingerprint.non_empty();
    let known = (tier.is_none() || tier == out.service_tier())
        && (fingerprint.is_none() || out.system_fingerprint().is_some());
    if out.has_head() && known {
        return;
    }
    let owned = |text: &Text<'_>| text.non_empty().map(str::to_owned);
    out.head(Head {
        id: completion.id.to_string_or_empty(),
        model: completion.model.to_string_or_empty(),
        // Azure's first chunk has a zero for "not yet known".
        created: completion.created.0.filter(|created| *created > 0),
        system_fingerprint: owned(&completion.system_fingerprint),
        service_tier: owned(&completion.service_tier),
    });
}

fn metadata(completion: &Completion<'_>, out: &mut Assembler) -> Result<(), Error> {
    let groq = completion.x_groq.0.as_ref();
    let counted = usage::usage(&completion.usage);
    let counted = counted.or_else(|| usage::usage(&groq?.usage));
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

/// Mistral: text parts and thinking parts, whose content is again a list of text parts.
fn parts_of(choice: u32, parts: Vec<Part<'_>>, out: &mut Assembler) -> Result<(), Error> {
    for part in parts {
        let thoughts: List<Part<'_>> = part.thinking.read().unwrap_or_default();
        let plain: Text<'_> = part.thinking.read().unwrap_or_default();
        for thought in thoughts.0.into_iter().map(|part| part.text).chain([plain]) {
            out.reasoning(choice, REASONING, thought.0.unwrap_or_default())?;
        }
        out.text(choice, TEXT, part.text.0.unwrap_or_default())?;
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

fn citation(annotation: Raw<'_>) -> Option<Citation> {
    object! {
        struct Wire<'a> {
            url_citation: Object<UrlCitation<'a>>,
        }
    }
    object! {
        struct UrlCitation<'a> {
            url: Text<'a>,
            title: Text<'a>,
            content: Text<'a>,
        }
    }
    let wire: Wire<'_> = annotation.read()?;
    let url = wire.url_citation.0.unwrap_or_default();
    let owned = |text: &Text<'_>| text.non_empty().map(str::to_owned);
    Some(Citation {
        url: owned(&url.url),
        title: owned(&url.title),
        cited_text: owned(&url.content),
        raw: annotation.json(),
    })
}
