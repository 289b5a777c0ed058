//! The response builder: turns what a decoder reads into events and a response.

mod complete_tool_calls;
mod finish_and_limits;
mod hosted;
mod resume;
#[cfg(test)]
mod test_util;
mod text;
mod think;
mod tool_call_match;
mod tool_calls;

use super::{Accumulator, StreamEvent};
use crate::{
    ChatRequest, ContentPart, Error, ErrorKind, FinishReason, Json, UnifiedChatResponse, Usage,
    chat::{Citation, Logprobs, ProviderBlock, ServerTiming, Warning},
    cost::BilledTokens,
    small_vec::SmallVec1,
};
use bytes::Bytes;
use finish_and_limits::{ChoiceFinish, queued_bytes, too_many};
use resume::ResumeState;
use std::{collections::VecDeque, sync::Arc};
use think::ThinkTagParser;
use tool_call_match::{CallIdGenerator, ToolCallState};

pub use finish_and_limits::ResponseLimits;
pub use tool_call_match::ToolFragment;
pub(crate) use tool_calls::ToolCallProgress;

/// The output of a provider's chat decoder.
///
/// It orders the content: it emits start and end events, joins the fragments of tool calls, emits one finish per
/// choice, and limits what is kept. Single-body responses and streams use the same methods, so both give the same
/// response.
///
/// # Keys and parts
/// The `key` of its methods is the decoder's own: the content block's index in the API, or one key for the message
/// where the API has no index. It tells which deltas belong together, and it orders the message: lower keys come
/// first.
///
/// The response builder assigns the part numbers of the events. Each pair of key and kind is a part, so a decoder
/// uses one key for everything under one index. The parts of one key have this order: reasoning, reasoning in
/// `<think>` tags, text, refusal, tool call, provider block. The order of arrival makes no difference: a server that
/// sends its second block first means the same message.
#[derive(Debug)]
pub struct ResponseBuilder {
    accumulator: Accumulator,
    /// Events for the application; `None` for a single-body response.
    queue: Option<VecDeque<StreamEvent>>,
    choices: SmallVec1<ChoiceState>,
    parse_think_tags: bool,
    /// Requested choices; without an end marker all of them must finish.
    expected_choices: u32,
    end_marker: bool,
    /// Whether only the end marker completes the stream.
    needs_end_marker: bool,
    has_warned_about_end: bool,
    visible: bool,
    retained: usize,
    /// Bytes in the queue that are not content of the response.
    queued_bytes: usize,
    limits: ResponseLimits,
    call_ids: CallIdGenerator,
    /// Whether everything was received. Content that the decoder still adds is then no sign that the response
    /// continues.
    is_logically_complete: bool,
    /// Of a response that the provider keeps; boxed, because most responses have none.
    resume: Option<Box<ResumeState>>,
    /// The status of a response that is not complete.
    in_progress: Option<Box<str>>,
}

/// The id, model and date of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseStart {
    /// The provider's id of the response.
    pub id: String,
    /// The model that generated the response.
    pub model: String,
    /// Creation time, in seconds since 1970.
    pub created: Option<u64>,
    /// The provider's identifier of its configuration.
    pub system_fingerprint: Option<String>,
    /// The processing class.
    pub service_tier: Option<String>,
}

/// The state of one choice.
#[derive(Debug, Default)]
struct ChoiceState {
    index: u32,
    /// The text or reasoning part of the last delta.
    current_run: Option<TextRun>,
    /// How often a text or reasoning part was started or resumed.
    runs_started: u32,
    calls: Vec<ToolCallState>,
    /// The call of the last fragment.
    last_call: usize,
    /// Whether fragments of several calls were interleaved, so that one without a key could belong to any of them.
    interleaved: bool,
    /// One parser for each text that is searched for `<think>` tags, with its key.
    think: Vec<(u32, ThinkTagParser)>,
    finish: Option<ChoiceFinish>,
    /// An unknown finish reason after which the response continued; it is ignored.
    rejected_finish: Option<Box<str>>,
}

impl ChoiceState {
    /// Content after a finish reason. Some servers send it. An unknown reason is then discarded.
    #[cold]
    fn on_content_after_finish(&mut self) {
        let is_unknown =
            |finish: &ChoiceFinish| matches!(finish.reason, Some(FinishReason::Other(_)));
        if self.finish.as_ref().is_some_and(is_unknown) {
            self.rejected_finish = self.finish.take().and_then(|finish| finish.native);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TextRun {
    kind: TextKind,
    part: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TextKind {
    Text,
    Reasoning,
}

impl ResponseBuilder {
    /// Creates a builder for a stream, or for a single body (`streaming` false: no events are queued).
    #[must_use]
    pub fn new(streaming: bool, limits: ResponseLimits) -> Self {
        ResponseBuilder {
            accumulator: Accumulator::new(),
            queue: streaming.then(VecDeque::new),
            choices: SmallVec1::default(),
            parse_think_tags: false,
            expected_choices: 1,
            end_marker: false,
            needs_end_marker: false,
            has_warned_about_end: false,
            visible: false,
            retained: 0,
            queued_bytes: 0,
            limits,
            call_ids: CallIdGenerator::default(),
            is_logically_complete: false,
            resume: None,
            in_progress: None,
        }
    }

    pub(crate) fn parse_think_tags(&mut self, on: bool) {
        self.parse_think_tags = on;
    }

    pub(crate) fn expected_choices(&mut self, n: u32) {
        self.expected_choices = n;
    }

    /// Gives calls without an id one that depends only on `seed` and that no call in the history of `request` has.
    pub(crate) fn generate_call_ids(&mut self, seed: u64, request: Arc<ChatRequest>) {
        self.call_ids = CallIdGenerator {
            seed,
            request: Some(request),
        };
    }

    /// Everything was received; what the decoder still holds back follows.
    pub(crate) fn set_logically_complete(&mut self) {
        self.is_logically_complete = true;
    }

    /// Creates a choice without content.
    ///
    /// # Errors
    /// `too_large` if there are more choices than the limits allow.
    pub fn choice(&mut self, choice: u32) -> Result<(), Error> {
        self.open(choice).map(|_| ())
    }

    /// Adds a warning.
    pub fn warn(&mut self, warning: Warning) {
        // The body and the decoder can both notice the missing end.
        if warning.code == "missing_end" && std::mem::replace(&mut self.has_warned_about_end, true)
        {
            return;
        }
        self.count(&[&warning.message]);
        self.emit(StreamEvent::Warning(Box::new(warning)));
    }

    /// Adds a warning, unless there is one with the same code.
    pub(crate) fn warn_once(&mut self, warning: Warning) {
        let warnings = &self.accumulator.response().warnings;
        if warnings.iter().all(|other| other.code != warning.code) {
            self.warn(warning);
        }
    }

    pub(crate) fn raw_frame(&mut self, frame: &[u8]) {
        self.emit(StreamEvent::Raw(Bytes::copy_from_slice(frame)));
    }

    /// Whether visible content was received.
    pub(crate) fn is_visible(&self) -> bool {
        self.visible
    }

    pub(crate) fn next_event(&mut self) -> Option<StreamEvent> {
        let event = self.queue.as_mut()?.pop_front()?;
        self.queued_bytes = self.queued_bytes.saturating_sub(queued_bytes(&event));
        self.count_returned();
        Some(event)
    }

    pub(crate) fn response(&self) -> &UnifiedChatResponse {
        self.accumulator.response()
    }

    pub(crate) fn response_mut(&mut self) -> &mut UnifiedChatResponse {
        self.accumulator.response_mut()
    }

    pub(crate) fn into_response(self: Box<Self>) -> UnifiedChatResponse {
        self.accumulator.into_response()
    }

    /// Whether no content was received.
    pub(crate) fn is_empty(&self) -> bool {
        let response = self.accumulator.response();
        response.choices.is_empty() && response.id.is_empty()
    }

    fn open(&mut self, choice: u32) -> Result<&mut ChoiceState, Error> {
        let known = self.choices.iter().position(|open| open.index == choice);
        let at = match known {
            Some(at) => at,
            None => {
                if self.choices.len() >= self.limits.choices {
                    return Err(too_many("choices", self.limits.choices));
                }
                self.choices.push(ChoiceState {
                    index: choice,
                    ..ChoiceState::default()
                });
                self.choices.len().saturating_sub(1)
            }
        };
        #[expect(clippy::unwrap_used, reason = "`at` was just found or made")]
        Ok(self.choices.get_mut(at).unwrap())
    }

    fn emit(&mut self, event: StreamEvent) {
        self.visible |= event.is_visible();
        match &mut self.queue {
            Some(queue) => {
                self.accumulator.apply(&event);
                self.queued_bytes = self.queued_bytes.saturating_add(queued_bytes(&event));
                queue.push_back(event);
                self.count_emitted();
            }
            None => self.accumulator.apply_owned(event),
        }
    }
}

/// # Metadata
impl ResponseBuilder {
    /// Adds a block in the provider's own JSON.
    ///
    /// # Errors
    /// `too_large` if a limit is exceeded.
    pub fn provider_block(
        &mut self,
        choice: u32,
        key: u32,
        block: ProviderBlock,
    ) -> Result<(), Error> {
        let own = size_of::<ContentPart>().saturating_add(block.provider.len());
        self.charge(own.saturating_add(block.block.as_str().len()))?;
        self.end_run(choice)?;
        let part = part_number(key, PartKind::Opaque)?;
        self.emit(StreamEvent::ProviderBlock {
            choice,
            part,
            block: Box::new(block),
        });
        Ok(())
    }

    /// Adds a citation to the text of a part.
    ///
    /// # Errors
    /// `too_large` if a limit is exceeded.
    pub fn citation(&mut self, choice: u32, key: u32, citation: Citation) -> Result<(), Error> {
        let texts = [&citation.url, &citation.title, &citation.cited_text];
        let texts = texts.into_iter().flatten().map(String::len);
        let raw = citation.raw.as_ref().map_or(0, |raw| raw.as_str().len());
        // It is kept in the response and in an event.
        let own = size_of::<Citation>().saturating_mul(2);
        self.charge(texts.fold(own.saturating_add(raw), usize::saturating_add))?;
        self.open(choice)?;
        let part = part_number(key, PartKind::Text)?;
        self.emit(StreamEvent::Citation {
            choice,
            part,
            citation: Box::new(citation),
        });
        Ok(())
    }

    /// Whether the text of a part has this citation already.
    ///
    /// # Errors
    /// `too_large` if a limit is exceeded.
    pub(crate) fn has_citation(
        &self,
        choice: u32,
        key: u32,
        citation: &Citation,
    ) -> Result<bool, Error> {
        let part = part_number(key, PartKind::Text)?;
        let known = self.accumulator.citations_of(choice, part);
        Ok(known.contains(citation))
    }

    /// Adds log probabilities.
    ///
    /// # Errors
    /// `too_large` if a limit is exceeded.
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
        self.charge(alternatives.fold(0, usize::saturating_add))?;
        self.open(choice)?;
        self.emit(StreamEvent::Logprobs {
            choice,
            logprobs: Box::new(logprobs),
        });
        Ok(())
    }

    /// Removes the log probabilities of tokens that were received already: a complete message repeats them.
    pub(crate) fn drop_known_logprobs(&self, choice: u32, logprobs: &mut Logprobs) {
        let choices = &self.accumulator.response().choices;
        let own = choices.iter().find(|own| own.index == choice);
        let Some(known) = own.and_then(|own| own.logprobs.as_ref()) else {
            return;
        };
        for (list, known) in [
            (&mut logprobs.content, known.content.len()),
            (&mut logprobs.refusal, known.refusal.len()),
            (&mut logprobs.reasoning, known.reasoning.len()),
        ] {
            list.drain(..known.min(list.len()));
        }
    }

    /// Sets the token counts, which replace earlier ones.
    pub fn usage(&mut self, usage: Usage) {
        if self.accumulator.response().usage.as_ref() != Some(&usage) {
            match self.queue {
                Some(_) => self.emit(StreamEvent::Usage(Box::new(usage))),
                None => self.accumulator.usage(usage),
            }
        }
    }

    /// The token counts so far.
    #[must_use]
    pub fn current_usage(&self) -> Option<&Usage> {
        self.accumulator.response().usage.as_ref()
    }

    /// The token counts so far, with what determines their price.
    pub(crate) fn billed(&self) -> Option<BilledTokens<'_>> {
        let response = self.accumulator.response();
        Some(BilledTokens {
            usage: response.usage.as_ref()?,
            model: &response.model,
            service_tier: response.service_tier.as_deref().unwrap_or_default(),
        })
    }

    /// Sets the times that the server reports.
    pub fn timing(&mut self, server: ServerTiming, raw: Option<Json>) {
        match self.queue {
            Some(_) => self.emit(StreamEvent::Timing {
                server,
                raw: raw.map(Box::new),
            }),
            None => self.accumulator.timing(server, raw),
        }
    }

    /// The extra fields so far.
    pub(crate) fn extras(&self) -> &[(String, Json)] {
        &self.accumulator.response().provider_metadata.extra
    }

    /// Adds a field of the response that this library has no field for.
    ///
    /// # Errors
    /// `too_large` if a limit is exceeded.
    pub fn extra(&mut self, name: &str, value: Json) -> Result<(), Error> {
        let own = size_of::<(String, Json)>().saturating_add(name.len());
        self.charge(own.saturating_add(value.as_str().len()))?;
        self.emit(StreamEvent::Extra {
            name: name.into(),
            value: Box::new(value),
        });
        Ok(())
    }
}

/// # The response's id, model and date
impl ResponseBuilder {
    /// Sets the response's metadata. The first id, model and date that are not empty count.
    pub fn response_start(&mut self, head: ResponseStart) {
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
    pub fn has_response_start(&self) -> bool {
        let known = self.accumulator.response();
        !known.id.is_empty() && !known.model.is_empty() && known.created.is_some()
    }

    /// The processing class so far.
    pub(crate) fn service_tier(&self) -> Option<&str> {
        self.accumulator.response().service_tier.as_deref()
    }

    /// The system fingerprint so far.
    pub(crate) fn system_fingerprint(&self) -> Option<&str> {
        self.accumulator.response().system_fingerprint.as_deref()
    }
}

/// The key of text, reasoning and refusal on APIs whose message has one of each and no indexes.
pub(crate) const MESSAGE_KEY: u32 = 0;

/// The kind of a part. The parts of one key come in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PartKind {
    Reasoning,
    /// Reasoning in `<think>` tags of a text.
    Thought,
    Text,
    Refusal,
    Call,
    Opaque,
}

/// Part numbers per key: a power of two, not less than the number of kinds.
const PARTS_PER_KEY: u32 = 8;

/// The number of the part with this key and kind.
#[inline(always)]
fn part_number(key: u32, kind: PartKind) -> Result<u32, Error> {
    match key.checked_mul(PARTS_PER_KEY) {
        Some(first) => Ok(first | kind as u32),
        None => Err(key_too_large(key)),
    }
}

/// The key of a part.
fn key_of(part: u32) -> u32 {
    part / PARTS_PER_KEY
}

#[cold]
fn key_too_large(key: u32) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        format!(
            "a part of the message has the index {key}; the highest is {}",
            u32::MAX / PARTS_PER_KEY
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::{test_util::*, *};

    #[test]
    fn stream_is_visible_from_the_first_delta() {
        let mut stream = stream();
        stream.usage(Usage::default());
        assert!(!stream.is_visible());
        stream.text(0, 1, "a").unwrap();
        stream.timing(ServerTiming::default(), None);
        assert!(stream.is_visible());
    }

    #[test]
    fn single_body_response_emits_no_events() {
        let mut whole = ResponseBuilder::new(false, ResponseLimits::default());
        assert!(whole.is_empty());
        whole.text(0, 1, "a").unwrap();
        assert!(!whole.is_empty());
        whole.response_start(ResponseStart {
            id: "id".to_owned(),
            ..ResponseStart::default()
        });
        whole.usage(Usage::default());
        let server = ServerTiming {
            total: Some(std::time::Duration::from_secs(1)),
            ..ServerTiming::default()
        };
        whole.timing(server, Some(json("{}")));
        assert_eq!(whole.next_event(), None);
        let response = Box::new(whole).into_response();
        assert_eq!((response.id.as_str(), &*response.text()), ("id", "a"));
        assert_eq!(response.usage, Some(Usage::default()));
        assert_eq!(response.metrics.server, server);
        assert_eq!(response.metrics.provider_time_info, Some(json("{}")));
    }

    #[test]
    fn response_with_metadata_only_is_not_empty() {
        let mut whole = ResponseBuilder::new(false, ResponseLimits::default());
        let id = "id".to_owned();
        whole.response_start(ResponseStart {
            id,
            ..ResponseStart::default()
        });
        assert!(!whole.is_empty());
    }

    #[test]
    fn response_start_repeats_only_with_new_metadata() {
        let mut stream = stream();
        let head =
            |id: &str, model: &str, created, fingerprint: Option<&str>, tier: Option<&str>| {
                ResponseStart {
                    id: id.to_owned(),
                    model: model.to_owned(),
                    created,
                    system_fingerprint: fingerprint.map(str::to_owned),
                    service_tier: tier.map(str::to_owned),
                }
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
            stream.response_start(head.clone());
            assert_eq!(event_log(&mut stream), wanted, "{head:?}");
        }
        assert_eq!(stream.system_fingerprint(), Some("f"));
        assert_eq!(stream.service_tier(), Some("u"));
    }

    #[test]
    fn headers_are_complete_only_at_the_blank_line() {
        for (id, model, created, whole) in [
            ("", "", Some(1), false),
            ("id", "", Some(1), false),
            ("", "model", Some(1), false),
            ("id", "model", None, false),
            ("id", "model", Some(1), true),
        ] {
            let mut stream = stream();
            let (id, model) = (id.to_owned(), model.to_owned());
            stream.response_start(ResponseStart {
                id,
                model,
                created,
                ..ResponseStart::default()
            });
            assert_eq!(stream.has_response_start(), whole);
        }
    }

    #[test]
    fn metadata_events_are_emitted_in_order() {
        let mut stream = stream();
        let usage = Usage {
            prompt_tokens: Some(1),
            ..Usage::default()
        };
        stream.usage(usage.clone());
        stream.usage(usage.clone());
        assert_eq!(stream.current_usage(), Some(&usage));
        stream.usage(Usage::default());
        stream.timing(ServerTiming::default(), None);
        stream.extra("name", json("1")).unwrap();
        stream.warn(Warning::new("code", "words"));
        stream.raw_frame(b"frame");
        stream.citation(0, 1, Citation::default()).unwrap();
        stream.logprobs(0, Logprobs::default()).unwrap();
        let content = vec![crate::chat::TokenLogprob::default()];
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
            event_log(&mut stream),
            "usage, usage, timing, extra name, warning words, raw, citation 1, logprobs"
        );
    }

    #[test]
    fn one_key_holds_a_part_of_each_kind_and_arrival_order_makes_no_difference() {
        let block = || ProviderBlock::new("p", json("{}"));
        let mut stream = stream();
        stream.parse_think_tags(true);
        stream.text(0, 1, "later").unwrap();
        stream.provider_block(0, 0, block()).unwrap();
        stream.tool_start(0, 0, "x", "f").unwrap();
        stream.refusal(0, 0, "no").unwrap();
        stream.text(0, 0, "<think>t</think>a").unwrap();
        stream.reasoning(0, 0, "r").unwrap();
        stream.close_all(0, 0).unwrap();
        stream.finish_response().unwrap();
        let mut folded = Accumulator::new();
        while let Some(event) = stream.next_event() {
            folded.apply(&event);
        }
        let response = Box::new(stream).into_response();
        assert_eq!(folded.into_response().choices, response.choices);
        let kinds = response.choices[0].message.content.iter();
        let kinds: Vec<&str> = kinds
            .map(|part| match part {
                ContentPart::Reasoning { text, .. }
                | ContentPart::Text { text, .. }
                | ContentPart::Refusal { text } => text,
                ContentPart::ToolCall(call) => &*call.name,
                ContentPart::ProviderBlock(_) => "opaque",
                _ => "other",
            })
            .collect();
        assert_eq!(kinds, ["r", "t", "a", "no", "f", "opaque", "later"]);
    }

    #[test]
    fn part_numbers_are_unique_and_ordered_by_key_then_kind() {
        use PartKind::{Call, Opaque, Reasoning, Refusal, Text, Thought};
        let kinds = [Reasoning, Thought, Text, Refusal, Call, Opaque];
        let numbers: Vec<u32> = [0, 1, 7, u32::MAX / PARTS_PER_KEY]
            .into_iter()
            .flat_map(|key| kinds.map(|kind| part_number(key, kind).unwrap()))
            .collect();
        assert!(
            numbers.windows(2).all(|pair| pair[0] < pair[1]),
            "{numbers:?}"
        );
        assert_eq!(key_of(part_number(7, Opaque).unwrap()), 7);
        let error = part_number(u32::MAX / PARTS_PER_KEY + 1, Text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
    }
}
