//! From the wire to the assembler.

use super::{
    details::Details,
    failed::{error_in_place, failed_finish, is_failure, wrapped},
    kept::Kept,
    logprobs::logprobs,
    profile::EndMarker,
    usage::{self, Apart, Counts},
    wire::{Choice, Completion, Content, Message, Part, ToolCall, has_others, is_blank},
};
use crate::{
    Assembler, Citation, Error, ErrorKind, FinishReason, Head, OpaqueData, ProviderMetadata,
    ServerTiming, ToolFragment, Usage, Warning,
    few::Few,
    provider::{
        Decoder, Frame, FrameKind, Progress, failure,
        lenient::{self, List, Object, Others, Raw, Spelled, Text, object},
        template::Template,
    },
};
use bytes::Bytes;
use std::borrow::Cow;

/// Where the pieces of a message stand, on a wire that does not number them.
const REASONING: u32 = 0;
const TEXT: u32 = 1;
const REFUSAL: u32 = 2;
/// Opaque pieces come last: those that belong to the reasoning, and what has no other place. Their order among themselves is
/// kept.
const DETAILS: u32 = 1 << 20;
const KEPT: u32 = 1 << 24;

/// Reads one answer.
#[derive(Debug)]
pub(super) struct ChatDecoder {
    provider: Cow<'static, str>,
    end_marker: EndMarker,
    /// Whether a stream without token counts lacks something.
    usage_wanted: bool,
    /// Whether one answer was asked for, so that choices without a number are pieces of it.
    one_wanted: bool,
    /// Whether the server counts reasoning beside the completion.
    reasoning_apart: bool,
    details: Details,
    kept: Kept,
    /// Choices of which a stream brought deltas.
    with_deltas: Few<u32>,
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
        one_wanted: bool,
        reasoning_apart: bool,
    ) -> Self {
        ChatDecoder {
            provider,
            end_marker,
            usage_wanted,
            one_wanted,
            reasoning_apart,
            details: Details::default(),
            kept: Kept::default(),
            with_deltas: Few::default(),
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
        extras(0, &completion.others, out)?;
        let choices = completion.choices.as_mut();
        if !streaming && choices.as_ref().is_none_or(|choices| choices.is_empty()) {
            return Err(Error::new(
                ErrorKind::Protocol,
                "the answer has no `choices`: this is no chat completion",
            ));
        }
        if let Some(choices) = choices {
            for (position, choice) in (0_u64..).zip(choices.iter_mut()) {
                let unnumbered = if self.one_wanted { 0 } else { position };
                let index = choice_index(choice.index.0.unwrap_or(unnumbered))?;
                self.choice(index, choice, streaming, out)?;
            }
        }
        let reasoning = match self.named_reasoning || self.details.has_text() {
            _ if self.reasoning_apart => Apart::Always,
            true => Apart::IfUncounted,
            false => Apart::IfCounted,
        };
        let counted = counts(&completion, reasoning);
        metadata(&completion, counted, out)
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
        extras(index, &choice.others, out)?;
        let (delta, message) = (&mut choice.delta.0, &mut choice.message.0);
        if !streaming {
            if let Some(message) = message.as_mut().or(delta.as_mut()) {
                self.message(index, message, Form::Answer, out)?;
            }
        } else {
            // Perplexity sends both: the message so far and what is new.
            if let Some(delta) = delta.as_mut() {
                if !self.has_deltas(index) {
                    self.with_deltas.push(index);
                }
                self.message(index, delta, Form::Delta, out)?;
            }
            if let Some(message) = message.as_mut() {
                self.message(index, message, Form::SoFar, out)?;
            }
        }
        if let Some(mut logprobs) = logprobs(choice) {
            if streaming && choice.message.0.is_some() {
                out.drop_known_logprobs(index, &mut logprobs);
            }
            out.logprobs(index, logprobs)?;
        }
        let reason = choice.finish_reason.non_empty();
        if let Some(reason) = reason.filter(|reason| !is_no_word(reason)) {
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
        form: Form,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        self.reasoning(choice, message, form, out)?;
        match std::mem::take(&mut message.content) {
            Content::Nothing => {}
            Content::Text(text) => self.text(choice, text, form, out)?,
            Content::Parts(parts) => self.parts(choice, &parts, form, out)?,
            // Cloudflare's JSON mode gives an object where others have its text.
            Content::Value(raw) => match raw.text() {
                Some(text) if text.starts_with('{') => {
                    self.text(choice, text.into(), form, out)?;
                }
                _ => {
                    let is_whole = form == Form::SoFar;
                    self.kept.member(choice, "content", raw, is_whole, out)?;
                }
            },
        }
        if let Some(refusal) = message.refusal.non_empty() {
            self.refusal(choice, refusal, form, out)?;
        }
        self.tool_calls(choice, message, form, out)?;
        self.annotations(choice, &message.annotations, form, out)?;
        if let Some(value) = message.extra_content.json() {
            self.details.add_extra_content(choice, value, out)?;
        }
        for (name, raw) in message.others.iter() {
            if !raw.text().is_none_or(is_blank) {
                let is_whole = form == Form::SoFar;
                self.kept.member(choice, name, raw, is_whole, out)?;
            }
        }
        Ok(())
    }

    fn has_deltas(&self, choice: u32) -> bool {
        self.with_deltas.iter().any(|known| *known == choice)
    }

    fn text(
        &mut self,
        choice: u32,
        text: Cow<'_, str>,
        form: Form,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        if form == Form::SoFar && !text.is_empty() {
            if out.whole_text(choice, TEXT, &text)? {
                return Ok(());
            }
            if self.has_deltas(choice) {
                out.warn_of_difference("the text");
                return Ok(());
            }
        }
        out.text(choice, TEXT, text)
    }

    fn refusal(
        &mut self,
        choice: u32,
        text: &str,
        form: Form,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        if form == Form::SoFar && !text.is_empty() {
            if out.whole_refusal(choice, REFUSAL, text)? {
                return Ok(());
            }
            if self.has_deltas(choice) {
                out.warn_of_difference("the refusal");
                return Ok(());
            }
        }
        out.refusal(choice, REFUSAL, text)
    }

    fn thought(
        &mut self,
        choice: u32,
        text: Cow<'_, str>,
        form: Form,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        if form == Form::SoFar && !text.is_empty() {
            if out.whole_reasoning(choice, REASONING, &text)? {
                return Ok(());
            }
            if self.has_deltas(choice) {
                out.warn_of_difference("the reasoning");
                return Ok(());
            }
        }
        out.reasoning(choice, REASONING, text)
    }

    /// The parts of a content: texts, thoughts, and what has no place.
    fn parts(
        &mut self,
        choice: u32,
        parts: &[Spelled<'_, Part<'_>>],
        form: Form,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let mut all = Texts::default();
        for part in parts {
            self.part(choice, part, false, form, &mut all, out)?;
        }
        self.thought(choice, all.thoughts.into(), form, out)?;
        if let Some(signature) = all.signature.filter(|_| form != Form::SoFar) {
            out.reasoning_signature(choice, REASONING, &signature)?;
        }
        self.text(choice, all.text.into(), form, out)?;
        self.refusal(choice, &all.refusal, form, out)
    }

    fn part(
        &mut self,
        choice: u32,
        spelled: &Spelled<'_, Part<'_>>,
        is_thought: bool,
        form: Form,
        all: &mut Texts,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let Some(part) = &spelled.value.0 else {
            match text_of(spelled.raw).as_deref() {
                Some(text) if is_thought => all.thoughts.push_str(text),
                Some(text) => all.text.push_str(text),
                None => self.keep_part(choice, spelled.raw, false, form, out)?,
            }
            return Ok(());
        };
        let kind = part.r#type.as_deref().unwrap_or_default();
        let is_thought = is_thought || matches!(kind, "reasoning" | "thinking" | "reasoning_text");
        let mut is_known = matches!(kind, "" | "text" | "output_text") || is_thought;
        if let Some(text) = part.text.non_empty() {
            is_known = true;
            match is_thought {
                true => all.thoughts.push_str(text),
                false => all.text.push_str(text),
            }
        }
        // Mistral and Databricks: thoughts are again a list of parts.
        for raw in [part.thinking, part.summary, part.reasoning] {
            let inner = thoughts(raw);
            is_known |= !inner.is_empty();
            for part in inner {
                self.inner_thought(choice, &part, form, all, out)?;
            }
        }
        if let Some(refusal) = part.refusal.non_empty() {
            is_known = true;
            all.refusal.push_str(refusal);
        }
        if let Some(signature) = part.signature.non_empty() {
            if is_thought {
                all.signature.get_or_insert_default().push_str(signature);
            } else {
                is_known = false;
            }
        }
        if is_known && !has_others(&part.others) {
            return Ok(());
        }
        self.keep_part(choice, spelled.raw, is_known, form, out)
    }

    /// A thought within a part. It has no further ones in it.
    fn inner_thought(
        &mut self,
        choice: u32,
        spelled: &Spelled<'_, Part<'_>>,
        form: Form,
        all: &mut Texts,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let plain: Text<'_> = match &spelled.value.0 {
            None => text_of(spelled.raw),
            Some(part) if !has_others(&part.others) && part.thinking.text().is_none() => {
                if let Some(signature) = part.signature.non_empty() {
                    all.signature.get_or_insert_default().push_str(signature);
                }
                Text(part.text.0.clone())
            }
            Some(part) => {
                all.thoughts
                    .push_str(part.text.as_deref().unwrap_or_default());
                Text(None)
            }
        };
        match plain.as_deref() {
            Some(text) => all.thoughts.push_str(text),
            None => self.keep_part(choice, spelled.raw, true, form, out)?,
        }
        Ok(())
    }

    fn keep_part(
        &mut self,
        choice: u32,
        raw: Raw<'_>,
        is_rest: bool,
        form: Form,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        if raw.text().is_none_or(is_blank) {
            return Ok(());
        }
        let is_whole = form == Form::SoFar;
        self.kept.part(choice, raw, is_rest, is_whole, out)
    }

    /// Servers that use several names repeat themselves; the details then repeat all.
    fn reasoning(
        &mut self,
        choice: u32,
        message: &mut Message<'_>,
        form: Form,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let named = [
            &mut message.reasoning,
            &mut message.reasoning_content,
            &mut message.reasoning_text,
        ];
        let found = named
            .into_iter()
            .map(std::mem::take)
            .find(|content| !content.is_empty());
        self.named_reasoning |= found.is_some();
        match found {
            None | Some(Content::Nothing) => {}
            Some(Content::Text(text)) => self.thought(choice, text, form, out)?,
            Some(Content::Parts(parts)) => {
                let mut all = Texts::default();
                for part in &parts {
                    self.part(choice, part, true, form, &mut all, out)?;
                }
                self.thought(choice, all.thoughts.into(), form, out)?;
            }
            Some(Content::Value(raw)) => {
                let mut all = Texts::default();
                let part: Spelled<'_, Part<'_>> = raw.read().unwrap_or_default();
                self.part(choice, &part, true, form, &mut all, out)?;
                self.thought(choice, all.thoughts.into(), form, out)?;
            }
        }
        if form == Form::SoFar && !message.reasoning_details.0.is_empty() {
            self.details.forget(choice);
        }
        let mut all_shown = String::new();
        for detail in &message.reasoning_details.0 {
            let shown = self.details.add(choice, *detail, out)?;
            if let Some(text) = shown.filter(|_| !self.named_reasoning) {
                all_shown.push_str(&text);
            }
        }
        self.thought(choice, all_shown.into(), form, out)
    }

    fn tool_calls(
        &mut self,
        choice: u32,
        message: &Message<'_>,
        form: Form,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        let calls = &message.tool_calls.0;
        // Without an index the place in a list of several says which call is meant.
        let unnumbered = |call: &Spelled<'_, ToolCall<'_>>| {
            call.value
                .0
                .as_ref()
                .is_none_or(|call| call.index.0.is_none())
        };
        let by_place = calls.len() > 1 && calls.iter().all(unnumbered);
        let mut fragments = Vec::new();
        for (position, spelled) in (0_u64..).zip(calls) {
            let Some(call) = &spelled.value.0 else {
                self.keep_call(choice, None, None, spelled.raw, form, out)?;
                continue;
            };
            let index = call.index.0.or(by_place.then_some(position));
            let id = call.id.non_empty();
            let goes_on = || call.function.0.is_none() && has_others(&call.others);
            let is_kept =
                call.is_of_other_type() || (goes_on() && self.kept.has_call(choice, index, id));
            if is_kept {
                self.keep_call(choice, index, id, spelled.raw, form, out)?;
                continue;
            }
            for (name, _) in call.others.iter() {
                out.warn_new(Warning::new(
                    "unknown_member",
                    format!("the member `{name}` of a tool call is not known; it is left out"),
                ));
            }
            let function = call.function.0.as_ref();
            let arguments =
                function.map_or(Ok(Cow::Borrowed("")), |own| own.arguments.arguments())?;
            let name = function.and_then(|function| function.name.as_deref());
            let call = Call {
                index,
                id,
                name,
                arguments,
                extra_content: call.extra_content,
            };
            match form {
                Form::SoFar => fragments.push(call),
                Form::Delta => {
                    out.tool_fragment(choice, call.fragment())?;
                    self.tool_data(choice, &call, out)?;
                }
                // In a whole answer every element is a call of its own, whatever its index and id say.
                Form::Answer => {
                    out.add_call(choice, call.fragment())?;
                    self.tool_data(choice, &call, out)?;
                }
            }
        }
        if form == Form::SoFar && !fragments.is_empty() {
            let list: Vec<_> = fragments.iter().map(Call::fragment).collect();
            let at = out.whole_calls(choice, &list)?;
            for (call, at) in fragments.iter().zip(at) {
                if let Some(data) = call.extra_content.json() {
                    out.tool_data_at(choice, at, OpaqueData::new(&*self.provider, data))?;
                }
            }
        }
        if by_place && form == Form::Delta {
            out.tool_calls_interleave(choice)?;
        }
        // The form before `tool_calls`. Snowflake fills it with empty texts.
        let old = message.function_call.0.as_ref();
        if let Some(function) = old.filter(|_| calls.is_empty()) {
            let arguments = function.arguments.arguments()?;
            let name = function.name.as_deref();
            let fragment = ToolFragment::new(Some(0), None, name, Some(&arguments));
            match form {
                Form::SoFar => drop(out.whole_calls(choice, &[fragment])?),
                _ => out.tool_fragment(choice, fragment)?,
            }
        }
        Ok(())
    }

    fn tool_data(&self, choice: u32, call: &Call<'_>, out: &mut Assembler) -> Result<(), Error> {
        match call.extra_content.json() {
            Some(data) => out.last_tool_data(choice, OpaqueData::new(&*self.provider, data)),
            None => Ok(()),
        }
    }

    fn keep_call(
        &mut self,
        choice: u32,
        index: Option<u64>,
        id: Option<&str>,
        raw: Raw<'_>,
        form: Form,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        if raw.text().is_none_or(is_blank) {
            return Ok(());
        }
        self.kept
            .call(choice, index, id, raw, form == Form::SoFar, out)
    }

    fn annotations(
        &mut self,
        choice: u32,
        annotations: &List<Raw<'_>>,
        form: Form,
        out: &mut Assembler,
    ) -> Result<(), Error> {
        for annotation in &annotations.0 {
            let Some(citation) = citation(*annotation) else {
                continue;
            };
            if form != Form::SoFar || !out.has_citation(choice, TEXT, &citation)? {
                out.citation(choice, TEXT, citation)?;
            }
        }
        Ok(())
    }
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Of an answer that comes whole.
    Answer,
    /// What is new, in a stream.
    Delta,
    /// All so far, in a stream: it may have come before.
    SoFar,
}

/// The texts of a list of parts.
#[derive(Default)]
struct Texts {
    thoughts: String,
    signature: Option<String>,
    text: String,
    refusal: String,
}

/// A piece of a call of a function.
struct Call<'a> {
    index: Option<u64>,
    id: Option<&'a str>,
    name: Option<&'a str>,
    arguments: Cow<'a, str>,
    extra_content: Raw<'a>,
}

impl Call<'_> {
    fn fragment(&self) -> ToolFragment<'_> {
        ToolFragment::new(self.index, self.id, self.name, Some(&self.arguments))
    }
}

/// The thoughts in a member of a part: a text, a part, or a list of parts.
fn thoughts(raw: Raw<'_>) -> Vec<Spelled<'_, Part<'_>>> {
    match raw.text().and_then(|text| text.bytes().next()) {
        None => Vec::new(),
        Some(b'[') => {
            raw.read::<List<Spelled<'_, Part<'_>>>>()
                .unwrap_or_default()
                .0
        }
        Some(_) => vec![raw.read().unwrap_or_default()],
    }
}

/// A value that is a text.
fn text_of(raw: Raw<'_>) -> Text<'_> {
    match raw.text() {
        Some(text) if text.starts_with('"') => raw.read().unwrap_or_default(),
        _ => Text::default(),
    }
}

/// What KoboldCpp and its like write where others write null.
fn is_no_word(reason: &str) -> bool {
    reason.eq_ignore_ascii_case("null") || reason.eq_ignore_ascii_case("none")
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
            out.warn_once(Warning::new(
                "missing_end",
                "the stream said why it stopped, but lacks the `[DONE]` that this provider sends",
            ));
        } else if self.unmarked && self.usage_wanted && out.usage_so_far().is_none() {
            out.warn_once(Warning::new(
                "missing_end",
                "the stream said why it stopped, but ended with neither `[DONE]` nor the usage that was asked for",
            ));
        }
        self.details.finish(&self.provider, DETAILS, out)?;
        self.kept.finish(&self.provider, KEPT, out)
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

/// More unknown members than this are not kept.
const MOST_EXTRAS: usize = 64;

/// Members of the answer, or of one of its choices, that are not known.
fn extras(choice: u32, others: &Others<'_>, out: &mut Assembler) -> Result<(), Error> {
    for (name, raw) in others.iter() {
        let Some(value) = raw.json().filter(|value| !is_blank(value.as_str())) else {
            continue;
        };
        // In the JSON form of the metadata they stand beside the library's own.
        let is_taken = ProviderMetadata::MEMBERS.contains(&name);
        let name = match choice {
            0 if is_taken => ["answer.", name].concat(),
            0 => name.to_owned(),
            n => format!("choices[{n}].{name}"),
        };
        let known = out.extras();
        // Many servers repeat them in each chunk.
        if known
            .iter()
            .any(|(other, old)| *other == name && *old == value)
        {
            continue;
        }
        if known.len() < MOST_EXTRAS {
            out.extra(&name, value)?;
        } else {
            out.warn_once(Warning::new(
                "unknown_member",
                format!("the answer has more than {MOST_EXTRAS} unknown members; `{name}` and those after it are left out"),
            ));
        }
    }
    Ok(())
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

/// The counts: beside the choices (Groq: in an object of its own), or else in the last choice that has some.
fn counts(completion: &Completion<'_>, reasoning: Apart) -> Option<(Usage, ServerTiming)> {
    let of = |spelled: &Spelled<'_, Counts>| {
        Some(usage::usage(
            spelled.value.0.as_ref()?,
            spelled.raw,
            reasoning,
        ))
    };
    let groq = completion.x_groq.0.as_ref();
    let beside = of(&completion.usage).or_else(|| of(&groq?.usage));
    beside.or_else(|| {
        let choices = completion.choices.iter().flat_map(Few::iter);
        let counted = choices.filter_map(|choice| {
            let counts: Object<Counts> = choice.usage.read()?;
            Some((counts.0?, choice.usage))
        });
        let (counts, raw) = counted.last()?;
        Some(usage::usage(&counts, raw, reasoning))
    })
}

fn metadata(
    completion: &Completion<'_>,
    counted: Option<(Usage, ServerTiming)>,
    out: &mut Assembler,
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
