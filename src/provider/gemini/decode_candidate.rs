//! The candidates of an answer, as their parts come in.

use super::{
    BLOCK_PROVIDER,
    finish::{finish_reason, logprobs},
    partial_args::PartialCall,
    types::{
        Candidate, FunctionCall, GenerateContentResponse, Grounding, GroundingChunk, Part, is_true,
    },
};
use crate::{
    Error, Json,
    chat::{Citation, ProviderBlock, ProviderData, Warning},
    provider::{
        ResponseBuilder,
        kit::{
            json_object::JsonObject,
            lenient::{self, Raw},
            unknown_fields::{UnknownFieldWarnings, shown},
        },
    },
};

/// What is known of each candidate.
#[derive(Debug, Default)]
pub(super) struct Candidates(Vec<CandidateState>);

#[derive(Debug, Default)]
struct CandidateState {
    index: u32,
    /// The number of the next part.
    next: u32,
    /// The text or thought that the next piece may go on with.
    flow: Option<(TextKind, u32)>,
    /// The last part that has text.
    text: Option<u32>,
    calls: u32,
    partial: Option<PartialCall>,
    /// The last part is code that the provider runs: its result comes next, whatever finish reason stands beside.
    awaits_result: bool,
    /// A finish reason that came while a result was awaited.
    held: Option<String>,
    /// The finish reason that was handed out.
    reason: Option<String>,
    grounding: Option<Json>,
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

    /// Hands over what is known only once the answer is whole.
    pub(super) fn finish(self, out: &mut ResponseBuilder) -> Result<(), Error> {
        for mut progress in self.0 {
            progress.drop_partial(out)?;
            progress.cite(out)?;
            // A call can come behind the reason.
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
                // A part with a signature goes back by itself, and its signature behind it.
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
        out.provider_block(
            self.index,
            number,
            ProviderBlock::new(BLOCK_PROVIDER, block),
        )
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
            unknown.members("a piece of arguments", &arg.others, out);
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
            // Most models give none. It must differ from those of other turns, which the answer's own id does.
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

    /// Another call begins although the last one said that it would go on.
    fn follow_partial(&mut self, out: &mut ResponseBuilder) -> Result<(), Error> {
        let Some(partial) = &self.partial else {
            return Ok(());
        };
        let name = out.current_call(self.index, partial.part);
        let name = name.map_or("", |call| &call.name);
        out.warn(Warning::new(
            "call_not_completed",
            format!(
                "the call of `{}` in `candidates[{}]` was never completed; what came of its arguments counts as whole",
                shown(name),
                self.index
            ),
        ));
        self.end_partial(out)
    }

    /// The answer is over inside of a call, whose arguments are never known to be all.
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

    /// The sources that the provider looked up stand beside the text as a whole.
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

    fn take_number(&mut self) -> u32 {
        let number = self.next;
        self.next = self.next.saturating_add(1);
        number
    }
}

/// What goes back with a text or a call: its signature, members that are not known, and the call's id where the wire gave one.
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
