use super::{
    Accumulator, StreamEvent,
    open::{Finished, Flow, FlowKind, OpenCall, OpenChoice},
    place::{ObjectEnd, Place, place},
    think::Side,
    weight::weight,
};
use crate::{
    Citation, Error, ErrorKind, FinishReason, Json, Logprobs, OpaqueBlock, ServerTiming, ToolCall,
    UnifiedChatResponse, Usage, Warning, few::Few,
};
use bytes::Bytes;
use std::{borrow::Cow, collections::VecDeque};

/// Where a provider's decoder puts what it reads.
///
/// It brings the pieces into order: starts and ends, fragments of tool calls that belong together, one finish per
/// answer, limits on what is kept. Whole answers and streams go through it alike, which is why both give the same
/// response.
#[derive(Debug)]
pub struct Assembler {
    accumulator: Accumulator,
    /// Events for the application; `None` for an answer that comes whole.
    queue: Option<VecDeque<StreamEvent>>,
    choices: Few<OpenChoice>,
    extract_think: bool,
    /// Answers that were asked for; without an end marker all of them must finish.
    wanted_choices: u32,
    end_marker: bool,
    /// Whether only the end marker completes a stream.
    needs_end_marker: bool,
    visible: bool,
    retained: usize,
    /// What the queue holds beside pieces of the answer, in bytes.
    waiting: usize,
    limits: AssemblerLimits,
}

/// How much of an answer is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AssemblerLimits {
    /// Bytes of text, reasoning, arguments and opaque pieces together.
    pub retained_bytes: usize,
    /// Tool calls of one answer.
    pub tool_calls: usize,
    /// Answers.
    pub choices: usize,
}

impl Default for AssemblerLimits {
    /// 64 MiB, 256 tool calls, 128 answers.
    fn default() -> Self {
        AssemblerLimits {
            retained_bytes: 64 << 20,
            tool_calls: 256,
            choices: 128,
        }
    }
}

/// Who answers: the members of an answer that stand beside its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Head {
    /// The provider's id for the answer.
    pub id: String,
    /// The model that answers.
    pub model: String,
    /// When the answer was made, in seconds since 1970.
    pub created: Option<u64>,
    /// The provider's mark for the configuration that answers.
    pub system_fingerprint: Option<String>,
    /// The processing class.
    pub service_tier: Option<String>,
}

/// A piece of a tool call as OpenAI's wire and its many dialects send it; everything may be missing.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ToolFragment<'a> {
    /// The wire's number for the call.
    pub index: Option<u64>,
    /// The call's id; usually only in its first piece.
    pub id: Option<&'a str>,
    /// The function's name; usually only in its first piece.
    pub name: Option<&'a str>,
    /// More of the arguments' text.
    pub arguments: Option<&'a str>,
}

impl<'a> ToolFragment<'a> {
    /// A piece with these members; empty texts count as missing.
    #[must_use]
    pub fn new(
        index: Option<u64>,
        id: Option<&'a str>,
        name: Option<&'a str>,
        arguments: Option<&'a str>,
    ) -> Self {
        let some = |text: Option<&'a str>| text.filter(|text| !text.is_empty());
        ToolFragment {
            index,
            id: some(id),
            name: some(name),
            arguments: some(arguments),
        }
    }
}

/// Each kept piece counts at least this many bytes, so that a flood of empty pieces is bounded too (F16).
const PIECE_OVERHEAD: usize = 16;

/// Tool calls of wires without part numbers come after the reasoning (0), the text (1) and the refusal (2).
const FIRST_CALL_PART: u32 = 3;

impl Assembler {
    /// For an answer that comes whole (`streaming` false: no events are kept) or as a stream.
    #[must_use]
    pub fn new(streaming: bool, limits: AssemblerLimits) -> Self {
        Assembler {
            accumulator: Accumulator::new(),
            queue: streaming.then(VecDeque::new),
            choices: Few::default(),
            extract_think: false,
            wanted_choices: 1,
            end_marker: false,
            needs_end_marker: false,
            visible: false,
            retained: 0,
            waiting: 0,
            limits,
        }
    }

    pub(crate) fn extract_think(&mut self, on: bool) {
        self.extract_think = on;
    }

    pub(crate) fn wanted_choices(&mut self, n: u32) {
        self.wanted_choices = n;
    }

    /// Who answers. The first id, model and date that are not empty count.
    pub fn head(&mut self, head: Head) {
        let known = self.accumulator.response();
        let news = (known.id.is_empty() && !head.id.is_empty())
            || (known.model.is_empty() && !head.model.is_empty())
            || (known.created.is_none() && head.created.is_some())
            || (known.system_fingerprint.is_none() && head.system_fingerprint.is_some())
            || (head.service_tier.is_some() && known.service_tier != head.service_tier);
        if news {
            self.count(&[&head.id, &head.model]);
            self.count(&[
                head.system_fingerprint.as_deref().unwrap_or_default(),
                head.service_tier.as_deref().unwrap_or_default(),
            ]);
            match self.queue {
                Some(_) => self.emit(StreamEvent::Start(Box::new(head))),
                None => self.accumulator.start(head),
            }
        }
    }

    /// Whether the id, model and date are known, so that a decoder need not copy them again.
    #[must_use]
    pub fn has_head(&self) -> bool {
        let known = self.accumulator.response();
        !known.id.is_empty() && !known.model.is_empty() && known.created.is_some()
    }

    /// The processing class that is known so far.
    pub(crate) fn service_tier(&self) -> Option<&str> {
        self.accumulator.response().service_tier.as_deref()
    }

    /// An answer exists, though nothing of it is known yet.
    ///
    /// # Errors
    /// `too_large` if there are more answers than the limits allow.
    pub fn choice(&mut self, choice: u32) -> Result<(), Error> {
        self.open(choice).map(|_| ())
    }

    /// More text for a part.
    ///
    /// # Errors
    /// `too_large` if more is kept than the limits allow.
    pub fn text<'t>(
        &mut self,
        choice: u32,
        part: u32,
        text: impl Into<Cow<'t, str>>,
    ) -> Result<(), Error> {
        let text = text.into();
        if text.is_empty() {
            return Ok(());
        }
        if !self.extract_think {
            return self.flow(
                choice,
                Flow {
                    kind: FlowKind::Text,
                    part,
                },
                text,
            );
        }
        let open = self.open(choice)?;
        open.think_part = part;
        let mut pieces = Vec::new();
        open.think.push(&text, &mut |side, piece: &str| {
            pieces.push((side, piece.to_owned()));
        });
        self.split_text(choice, part, pieces)
    }

    /// More reasoning for a part.
    ///
    /// # Errors
    /// `too_large` if more is kept than the limits allow.
    pub fn reasoning<'t>(
        &mut self,
        choice: u32,
        part: u32,
        text: impl Into<Cow<'t, str>>,
    ) -> Result<(), Error> {
        let text = text.into();
        if text.is_empty() {
            return Ok(());
        }
        self.flow(
            choice,
            Flow {
                kind: FlowKind::Reasoning,
                part,
            },
            text,
        )
    }

    /// What the provider wants back with a reasoning part.
    ///
    /// # Errors
    /// `too_large` if more is kept than the limits allow.
    pub fn reasoning_signature(
        &mut self,
        choice: u32,
        part: u32,
        signature: &str,
    ) -> Result<(), Error> {
        self.retain(signature.len())?;
        self.enter(
            choice,
            Flow {
                kind: FlowKind::Reasoning,
                part,
            },
        )?;
        self.emit(StreamEvent::ReasoningSignature {
            choice,
            part,
            signature: signature.to_owned(),
        });
        Ok(())
    }

    /// More of a refusal.
    ///
    /// # Errors
    /// `too_large` if more is kept than the limits allow.
    pub fn refusal(&mut self, choice: u32, part: u32, text: &str) -> Result<(), Error> {
        if text.is_empty() {
            return Ok(());
        }
        self.retain(text.len())?;
        self.leave(choice)?;
        self.emit(StreamEvent::RefusalDelta {
            choice,
            part,
            text: text.to_owned(),
        });
        Ok(())
    }

    /// A piece of a tool call on a wire that numbers calls, if at all, by itself (F80).
    ///
    /// A new id that differs from the open call's begins another call, whatever the index says; without an index the
    /// piece belongs to the last call.
    ///
    /// # Errors
    /// `protocol` if a piece could belong to several calls or to none; `too_large` past the limits.
    pub fn tool_fragment(&mut self, choice: u32, fragment: ToolFragment<'_>) -> Result<(), Error> {
        self.leave(choice)?;
        let limit = self.limits.tool_calls;
        let open = self.open(choice)?;
        let at = match place(open, &fragment)? {
            Place::Nowhere => return Ok(()),
            Place::At(at) => {
                open.interleaved |= at.saturating_add(1) != open.calls.len();
                at
            }
            Place::New => {
                if open.calls.len() >= limit {
                    return Err(too_many("tool calls", limit));
                }
                let at = open.calls.len();
                let part = FIRST_CALL_PART.saturating_add(u32::try_from(at).unwrap_or(u32::MAX));
                open.calls.push(OpenCall {
                    part,
                    wire_index: fragment.index,
                    made_id: fragment.id.is_none(),
                    call: ToolCall::default(),
                    object: ObjectEnd::default(),
                    started: false,
                    closed: false,
                });
                at
            }
        };
        open.touched = at;
        self.extend_call(choice, at, fragment)
    }

    /// A tool call begins, on a wire that says so.
    ///
    /// # Errors
    /// `too_large` past the limits.
    pub fn tool_start(
        &mut self,
        choice: u32,
        part: u32,
        id: &str,
        name: &str,
    ) -> Result<(), Error> {
        self.leave(choice)?;
        let limit = self.limits.tool_calls;
        let open = self.open(choice)?;
        if open.calls.iter().any(|call| call.part == part) {
            return Ok(());
        }
        if open.calls.len() >= limit {
            return Err(too_many("tool calls", limit));
        }
        let at = open.calls.len();
        open.calls.push(OpenCall {
            part,
            wire_index: None,
            made_id: id.is_empty(),
            call: ToolCall::default(),
            object: ObjectEnd::default(),
            started: false,
            closed: false,
        });
        open.touched = at;
        self.extend_call(
            choice,
            at,
            ToolFragment::new(None, Some(id), Some(name), None),
        )
    }

    /// More arguments for the tool call of a part. One that was not started begins now (F89).
    ///
    /// # Errors
    /// `too_large` past the limits.
    pub fn tool_arguments(&mut self, choice: u32, part: u32, arguments: &str) -> Result<(), Error> {
        self.tool_start(choice, part, "", "")?;
        let calls = &self.open(choice)?.calls;
        match calls
            .iter()
            .position(|call| call.part == part && !call.closed)
        {
            Some(at) => self.extend_call(
                choice,
                at,
                ToolFragment::new(None, None, None, Some(arguments)),
            ),
            None => Ok(()),
        }
    }

    /// Several calls of an answer are under way at once: from now on a piece must say to which it belongs.
    pub(crate) fn tool_calls_interleave(&mut self, choice: u32) -> Result<(), Error> {
        self.open(choice)?.interleaved = true;
        Ok(())
    }

    /// What the provider wants back with the tool call of a part.
    ///
    /// # Errors
    /// `too_large` past the limits.
    pub fn tool_data(
        &mut self,
        choice: u32,
        part: u32,
        data: crate::OpaqueData,
    ) -> Result<(), Error> {
        self.retain(data.data.as_str().len())?;
        if let Some(call) = self
            .open(choice)?
            .calls
            .iter_mut()
            .find(|call| call.part == part)
        {
            call.call.provider_data = Some(data);
        }
        Ok(())
    }

    /// The same for the last call that [`tool_fragment`](Assembler::tool_fragment) touched or began.
    ///
    /// # Errors
    /// `too_large` past the limits.
    pub fn last_tool_data(&mut self, choice: u32, data: crate::OpaqueData) -> Result<(), Error> {
        let open = self.open(choice)?;
        match open.calls.get(open.touched).map(|call| call.part) {
            Some(part) => self.tool_data(choice, part, data),
            None => Ok(()),
        }
    }

    /// A part is complete. Unknown parts are ignored.
    ///
    /// # Errors
    /// `too_large` past the limits.
    pub fn close(&mut self, choice: u32, part: u32) -> Result<(), Error> {
        let open = self.open(choice)?;
        if open.flowing.is_some_and(|flow| flow.part == part) {
            return self.leave(choice);
        }
        match open.calls.iter().position(|call| call.part == part) {
            Some(at) => self.close_call(choice, at),
            None => Ok(()),
        }
    }

    /// A piece in the provider's own JSON.
    ///
    /// # Errors
    /// `too_large` past the limits.
    pub fn opaque(&mut self, choice: u32, part: u32, block: OpaqueBlock) -> Result<(), Error> {
        self.retain(block.block.as_str().len())?;
        self.leave(choice)?;
        self.emit(StreamEvent::Opaque {
            choice,
            part,
            block: Box::new(block),
        });
        Ok(())
    }

    /// A source for the text of a part.
    ///
    /// # Errors
    /// `too_large` past the limits.
    pub fn citation(&mut self, choice: u32, part: u32, citation: Citation) -> Result<(), Error> {
        self.retain(citation.raw.as_ref().map_or(64, |raw| raw.as_str().len()))?;
        self.open(choice)?;
        self.emit(StreamEvent::Citation {
            choice,
            part,
            citation: Box::new(citation),
        });
        Ok(())
    }

    /// Log probabilities.
    ///
    /// # Errors
    /// `too_large` past the limits.
    pub fn logprobs(&mut self, choice: u32, logprobs: Logprobs) -> Result<(), Error> {
        let tokens = [&logprobs.content, &logprobs.refusal, &logprobs.reasoning];
        if tokens.iter().all(|list| list.is_empty()) {
            return Ok(());
        }
        let alternatives = tokens.iter().flat_map(|list| list.iter()).map(|token| {
            let tops = token.top_logprobs.iter();
            tops.fold(token.token.len().saturating_add(64), |sum, top| {
                sum.saturating_add(top.token.len()).saturating_add(64)
            })
        });
        self.retain(alternatives.fold(0, usize::saturating_add))?;
        self.open(choice)?;
        self.emit(StreamEvent::Logprobs {
            choice,
            logprobs: Box::new(logprobs),
        });
        Ok(())
    }

    /// The tokens counted; replaces earlier counts.
    pub fn usage(&mut self, usage: Usage) {
        if self.accumulator.response().usage.as_ref() != Some(&usage) {
            match self.queue {
                Some(_) => self.emit(StreamEvent::Usage(Box::new(usage))),
                None => self.accumulator.usage(usage),
            }
        }
    }

    /// The tokens counted so far.
    #[must_use]
    pub fn usage_so_far(&self) -> Option<&Usage> {
        self.accumulator.response().usage.as_ref()
    }

    /// What the server says of its own time.
    pub fn timing(&mut self, server: ServerTiming, raw: Option<Json>) {
        match self.queue {
            Some(_) => self.emit(StreamEvent::Timing {
                server,
                raw: raw.map(Box::new),
            }),
            None => self.accumulator.timing(server, raw),
        }
    }

    /// A member of the answer that has no place in the response.
    ///
    /// # Errors
    /// `too_large` past the limits.
    pub fn extra(&mut self, name: &str, value: Json) -> Result<(), Error> {
        self.retain(value.as_str().len())?;
        self.emit(StreamEvent::Extra {
            name: name.into(),
            value: Box::new(value),
        });
        Ok(())
    }

    /// Why an answer stopped. The first reason counts (F79); it is handed out with [`settle`](Assembler::settle), because
    /// some servers send text after it.
    ///
    /// # Errors
    /// `too_large` past the limits.
    pub fn finish(
        &mut self,
        choice: u32,
        reason: Option<FinishReason>,
        native: &str,
    ) -> Result<(), Error> {
        self.retain(native.len())?;
        let open = self.open(choice)?;
        if open.finish.is_none() {
            open.finish = Some(Finished {
                reason,
                native: (!native.is_empty()).then(|| native.into()),
            });
        }
        Ok(())
    }

    /// A finish reason alone does not complete this stream: text or an error may follow it.
    pub(crate) fn require_end_marker(&mut self) {
        self.needs_end_marker = true;
    }

    /// The provider's own end marker came.
    pub fn end_marker(&mut self) {
        self.end_marker = true;
    }

    /// Something that the caller should know.
    pub fn warn(&mut self, warning: Warning) {
        self.count(&[&warning.message]);
        self.emit(StreamEvent::Warning(Box::new(warning)));
    }

    /// Whether a finish reason has come for any answer.
    pub(crate) fn has_finish(&self) -> bool {
        self.choices.iter().any(|choice| choice.finish.is_some())
    }

    /// The system fingerprint that is known so far.
    pub(crate) fn system_fingerprint(&self) -> Option<&str> {
        self.accumulator.response().system_fingerprint.as_deref()
    }

    /// Whether the provider has said that the answer is over: by its end marker, or by a finish reason for each answer
    /// that was asked for or has begun.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let finished = self
            .choices
            .iter()
            .filter(|choice| choice.finish.is_some())
            .count();
        (self.end_marker && !self.choices.is_empty())
            || (!self.needs_end_marker
                && finished > 0
                && finished == self.choices.len()
                && u32::try_from(finished).is_ok_and(|finished| finished >= self.wanted_choices))
    }

    /// Ends every part and finishes every answer. To be called once the answer is complete.
    ///
    /// # Errors
    /// `too_large` past the limits.
    pub fn settle(&mut self) -> Result<(), Error> {
        for at in 0..self.choices.len() {
            let Some(choice) = self.choices.get(at).map(|open| open.index) else {
                break;
            };
            if self.extract_think {
                let open = self.open(choice)?;
                let part = open.think_part;
                let mut splitter = std::mem::take(&mut open.think);
                let mut pieces = Vec::new();
                splitter.finish(&mut |side, piece: &str| pieces.push((side, piece.to_owned())));
                self.split_text(choice, part, pieces)?;
            }
            self.leave(choice)?;
            for call in 0..self.open(choice)?.calls.len() {
                self.close_call(choice, call)?;
            }
            let finished = self.open(choice)?.finish.take();
            let (reason, native) = match finished {
                Some(finished) => (finished.reason, finished.native),
                None => (None, None),
            };
            self.emit(StreamEvent::Finish {
                choice,
                reason,
                native,
            });
        }
        self.choices = Few::default();
        Ok(())
    }

    /// Whether all calls that are under way can be ended.
    pub(crate) fn check_calls(&self) -> Result<(), Error> {
        let mut calls = self.choices.iter().flat_map(|choice| &choice.calls);
        calls.try_for_each(check_name)
    }

    pub(crate) fn raw_frame(&mut self, frame: &[u8]) {
        self.emit(StreamEvent::Raw(Bytes::copy_from_slice(frame)));
    }

    /// Whether something that a user could see has come.
    pub(crate) fn is_visible(&self) -> bool {
        self.visible
    }

    pub(crate) fn next_event(&mut self) -> Option<StreamEvent> {
        let event = self.queue.as_mut()?.pop_front()?;
        self.waiting = self.waiting.saturating_sub(weight(&event));
        Some(event)
    }

    /// Before the first visible event nothing is handed out: counts, times and frames as they came could pile up (P4).
    pub(crate) fn check_waiting(&self) -> Result<(), Error> {
        if self.waiting > self.limits.retained_bytes {
            return Err(Error::new(
                ErrorKind::TooLarge,
                "the stream brings frame after frame and nothing in them",
            ));
        }
        Ok(())
    }

    pub(crate) fn response_mut(&mut self) -> &mut UnifiedChatResponse {
        self.accumulator.response_mut()
    }

    pub(crate) fn into_response(self: Box<Self>) -> UnifiedChatResponse {
        self.accumulator.into_response()
    }

    /// Whether nothing of the answer has come.
    pub(crate) fn is_empty(&self) -> bool {
        let response = self.accumulator.response();
        response.choices.is_empty() && response.id.is_empty()
    }

    fn split_text(
        &mut self,
        choice: u32,
        part: u32,
        pieces: Vec<(Side, String)>,
    ) -> Result<(), Error> {
        for (side, piece) in pieces {
            match side {
                Side::Text => self.flow(
                    choice,
                    Flow {
                        kind: FlowKind::Text,
                        part,
                    },
                    piece.into(),
                )?,
                Side::Reasoning => {
                    let flow = Flow {
                        kind: FlowKind::Reasoning,
                        part: part.saturating_sub(1),
                    };
                    self.flow(choice, flow, piece.into())?;
                }
            }
        }
        Ok(())
    }

    fn flow(&mut self, choice: u32, flow: Flow, text: Cow<'_, str>) -> Result<(), Error> {
        self.retain(text.len())?;
        self.enter(choice, flow)?;
        let (part, text) = (flow.part, text.into_owned());
        self.emit(match flow.kind {
            FlowKind::Text => StreamEvent::TextDelta { choice, part, text },
            FlowKind::Reasoning => StreamEvent::ReasoningDelta { choice, part, text },
        });
        Ok(())
    }

    fn enter(&mut self, choice: u32, flow: Flow) -> Result<(), Error> {
        let is_told = self.queue.is_some();
        let open = self.open(choice)?;
        if open.flowing == Some(flow) {
            return Ok(());
        }
        if !is_told {
            // The beginning and end of a text are nothing but events.
            open.flowing = Some(flow);
            return Ok(());
        }
        self.leave(choice)?;
        self.open(choice)?.flowing = Some(flow);
        let part = flow.part;
        self.emit(match flow.kind {
            FlowKind::Text => StreamEvent::TextStart { choice, part },
            FlowKind::Reasoning => StreamEvent::ReasoningStart { choice, part },
        });
        Ok(())
    }

    fn leave(&mut self, choice: u32) -> Result<(), Error> {
        if let Some(Flow { kind, part }) = self.open(choice)?.flowing.take() {
            self.emit(match kind {
                FlowKind::Text => StreamEvent::TextEnd { choice, part },
                FlowKind::Reasoning => StreamEvent::ReasoningEnd { choice, part },
            });
        }
        Ok(())
    }

    fn extend_call(
        &mut self,
        choice: u32,
        at: usize,
        fragment: ToolFragment<'_>,
    ) -> Result<(), Error> {
        let more = fragment.arguments.unwrap_or_default();
        let named = [fragment.id, fragment.name].into_iter().flatten();
        self.retain(named.fold(more.len(), |sum, text| sum.saturating_add(text.len())))?;
        let Some(open) = self.open(choice)?.calls.get_mut(at) else {
            return Ok(());
        };
        let part = open.part;
        if let Some(id) = fragment
            .id
            .filter(|_| open.made_id || open.call.id.is_empty())
        {
            open.call.id = id.to_owned();
            open.made_id = false;
        }
        if let Some(name) = fragment.name.filter(|_| open.call.name.is_empty()) {
            open.call.name = name.to_owned();
        }
        open.call.arguments.push_str(more);
        open.object.push(more);
        if open.started {
            if !more.is_empty() {
                let arguments = more.to_owned();
                self.emit(StreamEvent::ToolCallDelta {
                    choice,
                    part,
                    arguments,
                });
            }
        } else if !open.call.name.is_empty() {
            self.start_call(choice, at)?;
        }
        Ok(())
    }

    fn start_call(&mut self, choice: u32, at: usize) -> Result<(), Error> {
        let Some(open) = self.open(choice)?.calls.get_mut(at) else {
            return Ok(());
        };
        open.started = true;
        if open.call.id.is_empty() {
            open.call.id = format!("call_{choice}_{at}");
        }
        let (part, id, name) = (open.part, open.call.id.clone(), open.call.name.clone());
        let arguments = open.call.arguments.clone();
        self.emit(StreamEvent::ToolCallStart {
            choice,
            part,
            id,
            name,
        });
        if !arguments.is_empty() {
            self.emit(StreamEvent::ToolCallDelta {
                choice,
                part,
                arguments,
            });
        }
        Ok(())
    }

    fn close_call(&mut self, choice: u32, at: usize) -> Result<(), Error> {
        let Some(open) = self.open(choice)?.calls.get_mut(at) else {
            return Ok(());
        };
        if open.closed {
            return Ok(());
        }
        check_name(open)?;
        open.closed = true;
        let (part, call) = (open.part, Box::new(open.call.clone()));
        if !call.has_valid_arguments() {
            self.warn(Warning::new(
                "invalid_tool_arguments",
                format!(
                    "the arguments of tool call `{}` ({}) are not a JSON object",
                    call.id, call.name
                ),
            ));
        }
        self.emit(StreamEvent::ToolCallEnd { choice, part, call });
        Ok(())
    }

    fn open(&mut self, choice: u32) -> Result<&mut OpenChoice, Error> {
        let known = self.choices.iter().position(|open| open.index == choice);
        let at = match known {
            Some(at) => at,
            None => {
                if self.choices.len() >= self.limits.choices {
                    return Err(too_many("answers", self.limits.choices));
                }
                self.choices.push(OpenChoice {
                    index: choice,
                    ..OpenChoice::default()
                });
                self.choices.len().saturating_sub(1)
            }
        };
        #[expect(clippy::unwrap_used, reason = "`at` was just found or made")]
        Ok(self.choices.get_mut(at).unwrap())
    }

    /// Counts what is kept without a way to refuse it; [`check_retained`](Self::check_retained) does.
    fn count(&mut self, texts: &[&str]) {
        for text in texts {
            self.retained = self.retained.saturating_add(text.len());
        }
    }

    /// Counts what a decoder keeps back until it is whole; [`opaque`](Assembler::opaque) and its like count for themselves.
    pub(crate) fn retain(&mut self, bytes: usize) -> Result<(), Error> {
        self.retained = self
            .retained
            .saturating_add(bytes)
            .saturating_add(PIECE_OVERHEAD);
        self.check_retained()
    }

    /// Whether more is kept than the limits allow.
    pub(crate) fn check_retained(&self) -> Result<(), Error> {
        if self.retained > self.limits.retained_bytes {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "the answer is larger than the limit of {} bytes",
                    self.limits.retained_bytes
                ),
            ));
        }
        Ok(())
    }

    fn emit(&mut self, event: StreamEvent) {
        self.visible |= event.is_visible();
        match &mut self.queue {
            Some(queue) => {
                self.accumulator.apply(&event);
                self.waiting = self.waiting.saturating_add(weight(&event));
                queue.push_back(event);
            }
            None => self.accumulator.take(event),
        }
    }
}

fn check_name(call: &OpenCall) -> Result<(), Error> {
    if !call.call.name.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Protocol,
        "a tool call has no name: it cannot be told what is to be called",
    ))
}

fn too_many(what: &str, limit: usize) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        format!("the answer has more than {limit} {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OpaqueData;

    fn stream() -> Assembler {
        Assembler::new(true, AssemblerLimits::default())
    }

    fn limited(change: impl FnOnce(&mut AssemblerLimits)) -> Assembler {
        let mut limits = AssemblerLimits::default();
        change(&mut limits);
        Assembler::new(true, limits)
    }

    fn json(text: &str) -> Json {
        Json::parse(text).unwrap()
    }

    /// The events that wait, in a few words each.
    fn told(assembler: &mut Assembler) -> String {
        use StreamEvent as E;
        let mut all = Vec::new();
        while let Some(event) = assembler.next_event() {
            all.push(match event {
                E::Start(_) => "start".to_owned(),
                E::TextStart { part, .. } => format!("text {part}"),
                E::ReasoningStart { part, .. } => format!("reasoning {part}"),
                E::TextEnd { part, .. } | E::ReasoningEnd { part, .. } => format!("end {part}"),
                E::TextDelta { text, .. } | E::ReasoningDelta { text, .. } => format!("'{text}'"),
                E::RefusalDelta { text, .. } => format!("refusal '{text}'"),
                E::ReasoningSignature { signature, .. } => format!("signature {signature}"),
                E::ToolCallStart { part, id, name, .. } => format!("call {part} {id} {name}"),
                E::ToolCallDelta {
                    part, arguments, ..
                } => format!("{part} {arguments}"),
                E::ToolCallEnd { part, call, .. } => {
                    format!("called {part} {} {}", call.id, call.arguments)
                }
                E::Opaque { part, .. } => format!("opaque {part}"),
                E::Citation { part, .. } => format!("citation {part}"),
                E::Logprobs { .. } => "logprobs".to_owned(),
                E::Usage(_) => "usage".to_owned(),
                E::Timing { .. } => "timing".to_owned(),
                E::Extra { name, .. } => format!("extra {name}"),
                E::Finish { choice, native, .. } => {
                    format!("finish {choice} {}", native.unwrap_or_default())
                }
                E::Warning(warning) => format!("warning {}", warning.message),
                E::Raw(_) => "raw".to_owned(),
            });
        }
        all.join(", ")
    }

    fn fragment(
        assembler: &mut Assembler,
        index: Option<u64>,
        id: &str,
        name: &str,
        arguments: &str,
    ) -> Result<(), Error> {
        let fragment = ToolFragment::new(index, Some(id), Some(name), Some(arguments));
        assembler.tool_fragment(0, fragment)
    }

    fn is_too_large<T>(result: Result<T, Error>) -> bool {
        result.is_err_and(|error| error.kind() == ErrorKind::TooLarge)
    }

    #[test]
    fn a_head_is_told_as_often_as_it_says_something_new() {
        let mut stream = stream();
        let head =
            |id: &str, model: &str, created, fingerprint: Option<&str>, tier: Option<&str>| Head {
                id: id.to_owned(),
                model: model.to_owned(),
                created,
                system_fingerprint: fingerprint.map(str::to_owned),
                service_tier: tier.map(str::to_owned),
            };
        for (head, is_news) in [
            (head("", "", None, None, None), false),
            (head("id", "", None, None, None), true),
            (head("id", "", None, None, None), false),
            (head("other", "", None, None, None), false),
            (head("", "model", None, None, None), true),
            (head("", "other", None, None, None), false),
            (head("", "", Some(1), None, None), true),
            (head("", "", Some(2), None, None), false),
            (head("", "", None, Some("f"), None), true),
            (head("", "", None, Some("g"), None), false),
            (head("", "", None, None, Some("t")), true),
            (head("", "", None, None, Some("t")), false),
            (head("", "", None, None, Some("u")), true),
        ] {
            let wanted = if is_news { "start" } else { "" };
            stream.head(head.clone());
            assert_eq!(told(&mut stream), wanted, "{head:?}");
        }
        assert_eq!(stream.system_fingerprint(), Some("f"));
        assert_eq!(stream.service_tier(), Some("u"));
    }

    #[test]
    fn a_head_is_there_when_all_of_it_is() {
        for (id, model, created, whole) in [
            ("", "", Some(1), false),
            ("id", "", Some(1), false),
            ("", "model", Some(1), false),
            ("id", "model", None, false),
            ("id", "model", Some(1), true),
        ] {
            let mut stream = stream();
            let (id, model) = (id.to_owned(), model.to_owned());
            stream.head(Head {
                id,
                model,
                created,
                ..Head::default()
            });
            assert_eq!(stream.has_head(), whole);
        }
    }

    #[test]
    fn what_flows_is_started_before_its_first_piece_and_ended_before_another_begins() {
        let mut stream = stream();
        stream.text(0, 1, "a").unwrap();
        stream.text(0, 1, "").unwrap();
        stream.text(0, 1, "b").unwrap();
        stream.reasoning(0, 0, "").unwrap();
        stream.reasoning(0, 0, "r").unwrap();
        stream.reasoning_signature(0, 0, "s").unwrap();
        stream.refusal(0, 2, "").unwrap();
        assert_eq!(
            told(&mut stream),
            "text 1, 'a', 'b', end 1, reasoning 0, 'r', signature s"
        );
        stream.refusal(0, 2, "no").unwrap();
        stream.text(0, 1, "c").unwrap();
        stream.close(0, 7).unwrap();
        assert_eq!(told(&mut stream), "end 0, refusal 'no', text 1, 'c'");
        stream.close(0, 1).unwrap();
        assert_eq!(told(&mut stream), "end 1");
        stream
            .opaque(0, 3, OpaqueBlock::new("p", json("{}")))
            .unwrap();
        stream.settle().unwrap();
        assert_eq!(told(&mut stream), "opaque 3, finish 0 ");
    }

    #[test]
    fn thoughts_in_the_text_are_told_as_reasoning_before_it() {
        let mut stream = stream();
        stream.extract_think(true);
        stream.text(0, 1, "<think>t</think>a <").unwrap();
        assert_eq!(told(&mut stream), "reasoning 0, 't', end 0, text 1, 'a'");
        stream.settle().unwrap();
        assert_eq!(told(&mut stream), "' ', '<', end 1, finish 0 ");
    }

    #[test]
    fn a_call_waits_for_its_name_and_takes_a_late_id() {
        let mut stream = stream();
        fragment(&mut stream, Some(0), "x", "", "{").unwrap();
        assert_eq!(told(&mut stream), "");
        fragment(&mut stream, Some(0), "", "f", "}").unwrap();
        assert_eq!(told(&mut stream), "call 3 x f, 3 {}");
        fragment(&mut stream, Some(1), "", "g", "{").unwrap();
        fragment(&mut stream, Some(1), "y", "", "").unwrap();
        assert_eq!(told(&mut stream), "call 4 call_0_1 g, 4 {");
        fragment(&mut stream, Some(1), "", "", "}").unwrap();
        stream.settle().unwrap();
        assert_eq!(
            told(&mut stream),
            "4 }, called 3 x {}, called 4 y {}, finish 0 "
        );
    }

    #[test]
    fn a_call_without_a_name_is_an_error() {
        let mut stream = stream();
        stream.tool_arguments(0, 5, "{}").unwrap();
        assert_eq!(stream.settle().unwrap_err().kind(), ErrorKind::Protocol);
    }

    #[test]
    fn arguments_that_are_no_object_are_warned_of() {
        let mut stream = stream();
        fragment(&mut stream, None, "x", "f", "7").unwrap();
        stream.settle().unwrap();
        assert_eq!(
            told(&mut stream),
            "call 3 x f, 3 7, warning the arguments of tool call `x` (f) are not a JSON object, called 3 x 7, finish 0 "
        );
    }

    #[test]
    fn once_calls_came_in_turns_a_piece_must_say_to_which_it_belongs() {
        let two = |stream: &mut Assembler| {
            fragment(stream, Some(0), "x", "f", "{").unwrap();
            fragment(stream, Some(1), "y", "g", "{").unwrap();
            fragment(stream, Some(1), "", "", " ").unwrap();
        };
        let mut one_by_one = stream();
        two(&mut one_by_one);
        fragment(&mut one_by_one, None, "", "", "}").unwrap();
        let mut in_turns = stream();
        two(&mut in_turns);
        fragment(&mut in_turns, Some(0), "", "", "}").unwrap();
        fragment(&mut in_turns, Some(1), "", "", " ").unwrap();
        assert!(fragment(&mut in_turns, None, "", "", "}").is_err());
        let mut told_so = stream();
        two(&mut told_so);
        told_so.tool_calls_interleave(0).unwrap();
        assert!(fragment(&mut told_so, None, "", "", "}").is_err());
    }

    #[test]
    fn calls_of_a_wire_with_part_numbers_are_found_by_them() {
        let mut stream = stream();
        stream.tool_start(0, 5, "x", "f").unwrap();
        stream.tool_start(0, 6, "y", "g").unwrap();
        stream.tool_start(0, 5, "x", "f").unwrap();
        stream.tool_arguments(0, 5, "{").unwrap();
        stream.tool_arguments(0, 6, "{}").unwrap();
        stream.tool_arguments(0, 5, "}").unwrap();
        stream.close(0, 6).unwrap();
        stream.tool_arguments(0, 6, "late").unwrap();
        stream.close(0, 6).unwrap();
        assert_eq!(
            told(&mut stream),
            "call 5 x f, call 6 y g, 5 {, 6 {}, 5 }, called 6 y {}"
        );
    }

    #[test]
    fn a_text_ends_before_a_call_with_its_number_whether_or_not_it_is_told() {
        for streaming in [true, false] {
            let mut answer = Assembler::new(streaming, AssemblerLimits::default());
            answer.tool_start(0, 5, "x", "").unwrap();
            answer.text(0, 5, "a").unwrap();
            // The call cannot end yet, as it has no name.
            answer.close(0, 5).unwrap();
            assert_eq!(answer.close(0, 5).unwrap_err().kind(), ErrorKind::Protocol);
        }
    }

    #[test]
    fn what_the_provider_wants_back_stays_with_its_call() {
        let mut stream = stream();
        let data = |text: &str| OpaqueData::new("p", json(text));
        stream.last_tool_data(0, data("0")).unwrap();
        stream.tool_start(0, 5, "x", "f").unwrap();
        stream.tool_start(0, 6, "y", "g").unwrap();
        stream.tool_data(0, 5, data("1")).unwrap();
        stream.last_tool_data(0, data("2")).unwrap();
        stream.settle().unwrap();
        let response = Box::new(stream).into_response();
        let kept: Vec<_> = response
            .tool_calls()
            .map(|call| call.provider_data.clone())
            .collect();
        assert_eq!(kept, [Some(data("1")), Some(data("2"))]);
    }

    #[test]
    fn what_stands_beside_the_text_is_told_as_it_comes() {
        let mut stream = stream();
        let usage = Usage {
            prompt_tokens: Some(1),
            ..Usage::default()
        };
        stream.usage(usage.clone());
        stream.usage(usage.clone());
        assert_eq!(stream.usage_so_far(), Some(&usage));
        stream.usage(Usage::default());
        stream.timing(ServerTiming::default(), None);
        stream.extra("name", json("1")).unwrap();
        stream.warn(Warning::new("code", "words"));
        stream.raw_frame(b"frame");
        stream.citation(0, 1, Citation::default()).unwrap();
        stream.logprobs(0, Logprobs::default()).unwrap();
        let content = vec![crate::TokenLogprob::default()];
        stream
            .logprobs(
                0,
                Logprobs {
                    content,
                    ..Logprobs::default()
                },
            )
            .unwrap();
        assert_eq!(
            told(&mut stream),
            "usage, usage, timing, extra name, warning words, raw, citation 1, logprobs"
        );
    }

    // F79
    #[test]
    fn the_first_finish_reason_counts_and_is_told_last() {
        let mut stream = stream();
        assert!(!stream.has_finish());
        stream
            .finish(0, Some(FinishReason::Stop), "end_turn")
            .unwrap();
        assert!(stream.has_finish());
        stream.finish(0, Some(FinishReason::Length), "max").unwrap();
        stream.text(0, 1, "late").unwrap();
        stream.finish(1, None, "").unwrap();
        stream.settle().unwrap();
        assert_eq!(
            told(&mut stream),
            "text 1, 'late', end 1, finish 0 end_turn, finish 1 "
        );
        let [first, second] = &Box::new(stream).into_response().choices[..] else {
            panic!("two answers")
        };
        assert_eq!(first.finish_reason, Some(FinishReason::Stop));
        assert_eq!(second.native_finish_reason, None);
    }

    #[test]
    fn an_answer_is_complete_when_all_that_were_asked_for_have_finished() {
        for (wanted, begun, finished, complete) in [
            (1, 0, 0, false),
            (0, 0, 0, false),
            (1, 1, 0, false),
            (1, 1, 1, true),
            (2, 1, 1, false),
            (2, 2, 1, false),
            (1, 2, 1, false),
            (2, 2, 2, true),
            (1, 2, 2, true),
        ] {
            let mut stream = stream();
            stream.wanted_choices(wanted);
            (0..begun).for_each(|choice| stream.choice(choice).unwrap());
            (0..finished).for_each(|choice| stream.finish(choice, None, "").unwrap());
            assert_eq!(
                stream.is_complete(),
                complete,
                "{wanted} {begun} {finished}"
            );
        }
    }

    #[test]
    fn an_end_marker_completes_an_answer_that_has_begun() {
        let mut stream = stream();
        stream.end_marker();
        assert!(!stream.is_complete());
        stream.choice(0).unwrap();
        assert!(stream.is_complete());
    }

    #[test]
    fn a_finish_reason_is_not_enough_where_an_end_marker_must_come() {
        let mut stream = stream();
        stream.require_end_marker();
        stream.finish(0, None, "stop").unwrap();
        assert!(!stream.is_complete());
        stream.end_marker();
        assert!(stream.is_complete());
    }

    #[test]
    fn what_is_kept_is_counted_to_the_byte() {
        let hundred = || limited(|limits| limits.retained_bytes = 100);
        let mut stream = hundred();
        let eighty_four = "x".repeat(100 - PIECE_OVERHEAD);
        stream.text(0, 1, eighty_four.as_str()).unwrap();
        assert!(stream.check_retained().is_ok());
        assert!(is_too_large(stream.reasoning_signature(0, 0, "")));

        let mut heads = hundred();
        let id = "x".repeat(100);
        heads.head(Head {
            id,
            ..Head::default()
        });
        assert!(heads.check_retained().is_ok());
        heads.warn(Warning::new("code", "x"));
        assert!(is_too_large(heads.check_retained()));
    }

    #[test]
    fn so_many_answers_and_calls_are_taken_and_no_more() {
        let mut stream = limited(|limits| (limits.choices, limits.tool_calls) = (2, 2));
        stream.choice(7).unwrap();
        stream.choice(0).unwrap();
        assert!(is_too_large(stream.choice(1)));
        stream.choice(7).unwrap();
        fragment(&mut stream, Some(0), "x", "f", "{}").unwrap();
        stream.tool_start(0, 9, "y", "g").unwrap();
        assert!(is_too_large(stream.tool_start(0, 10, "z", "h")));
        assert!(is_too_large(fragment(&mut stream, Some(2), "z", "h", "{}")));
    }

    #[test]
    fn what_waits_is_bounded_until_it_is_handed_out() {
        let frame = weight(&StreamEvent::Raw(Bytes::from_static(b"frame")));
        let mut stream = limited(|limits| limits.retained_bytes = frame);
        stream.raw_frame(b"frame");
        assert!(stream.check_waiting().is_ok());
        stream.raw_frame(b"");
        assert!(is_too_large(stream.check_waiting()));
        assert!(stream.next_event().is_some());
        assert!(stream.check_waiting().is_ok());
    }

    #[test]
    fn a_stream_is_visible_from_its_first_piece_on() {
        let mut stream = stream();
        stream.usage(Usage::default());
        assert!(!stream.is_visible());
        stream.text(0, 1, "a").unwrap();
        stream.timing(ServerTiming::default(), None);
        assert!(stream.is_visible());
    }

    #[test]
    fn an_answer_that_comes_whole_is_kept_and_not_told() {
        let mut whole = Assembler::new(false, AssemblerLimits::default());
        assert!(whole.is_empty());
        whole.text(0, 1, "a").unwrap();
        assert!(!whole.is_empty());
        whole.response_mut().id.push_str("id");
        assert_eq!(whole.next_event(), None);
        let response = Box::new(whole).into_response();
        assert_eq!((response.id.as_str(), &*response.text()), ("id", "a"));
    }

    #[test]
    fn an_answer_of_a_head_alone_is_not_empty() {
        let mut whole = Assembler::new(false, AssemblerLimits::default());
        let id = "id".to_owned();
        whole.head(Head {
            id,
            ..Head::default()
        });
        assert!(!whole.is_empty());
    }
}
