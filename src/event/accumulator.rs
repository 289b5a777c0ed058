use super::ResponseStart;
use crate::StreamEvent;
use crate::{
    ContentPart, Json, UnifiedChatResponse, Usage,
    chat::{Choice, Citation, ServerTiming},
    small_vec::SmallVec1,
};
use std::borrow::Cow;

/// Folds events into a response. The library builds its own responses with it, so folding the events of a stream
/// gives the same response.
#[derive(Debug, Default)]
pub struct Accumulator {
    response: UnifiedChatResponse,
    /// Part numbers, parallel to each choice's content; kept sorted.
    parts: SmallVec1<SmallVec1<u32>>,
}

impl Accumulator {
    /// Creates an empty response.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The response so far. It contains a tool call only once the call has ended.
    #[must_use]
    pub fn response(&self) -> &UnifiedChatResponse {
        &self.response
    }

    /// Access for metadata and metrics, which are not events.
    pub(crate) fn response_mut(&mut self) -> &mut UnifiedChatResponse {
        &mut self.response
    }

    /// The text, reasoning or refusal of a part so far.
    pub(super) fn text(&self, choice: u32, part: u32) -> Option<&str> {
        match self.find(choice, part)? {
            ContentPart::Text { text, .. }
            | ContentPart::Reasoning { text, .. }
            | ContentPart::Refusal { text } => Some(text),
            _ => None,
        }
    }

    /// The citations of a part so far.
    pub(super) fn citations_of(&self, choice: u32, part: u32) -> &[Citation] {
        match self.find(choice, part) {
            Some(ContentPart::Text { citations, .. }) => citations,
            _ => &[],
        }
    }

    /// The number after the highest part number; 0 without parts.
    pub(super) fn parts_end(&self) -> u32 {
        let last = |numbers: &SmallVec1<u32>| numbers.iter().last().copied();
        let highest = self.parts.iter().filter_map(last).max();
        highest.map_or(0, |highest| highest.saturating_add(1))
    }

    fn find(&self, choice: u32, number: u32) -> Option<&ContentPart> {
        let choices = &self.response.choices;
        let at = choices
            .binary_search_by_key(&choice, |choice| choice.index)
            .ok()?;
        let numbers = self.parts.get(at)?;
        let place = numbers.partition_point(|other| *other < number);
        numbers.get(place).filter(|found| **found == number)?;
        choices.get(at)?.message.content.get(place)
    }

    /// The response.
    #[must_use]
    pub fn into_response(self) -> UnifiedChatResponse {
        self.response
    }

    /// Adds an event and consumes it, without copies of large values.
    pub(crate) fn apply_owned(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::TextDelta { choice, part, text } => {
                self.append(choice, part, text.into(), Kind::Text);
            }
            StreamEvent::ReasoningDelta { choice, part, text } => {
                self.append(choice, part, text.into(), Kind::Reasoning);
            }
            StreamEvent::ToolCallEnd { choice, part, call } => {
                self.part(choice, part, || ContentPart::ToolCall(*call));
            }
            StreamEvent::ProviderBlock {
                choice,
                part,
                block,
            } => {
                self.add_complete(choice, part, ContentPart::ProviderBlock(*block));
            }
            StreamEvent::HostedToolCall { choice, part, call } => {
                self.add_complete(choice, part, ContentPart::HostedToolCall(call));
            }
            StreamEvent::HostedToolResult {
                choice,
                part,
                result,
            } => {
                self.add_complete(choice, part, ContentPart::HostedToolResult(result));
            }
            StreamEvent::Compaction {
                choice,
                part,
                compaction,
            } => {
                self.add_complete(choice, part, ContentPart::Compaction(compaction));
            }
            StreamEvent::Finish {
                choice,
                reason,
                native,
            } => {
                let (choice, _) = self.choice(choice);
                choice.finish_reason = reason;
                choice.native_finish_reason = native.map(String::from);
            }
            other => self.apply(&other),
        }
    }

    /// Adds the response's id, model and date.
    pub(crate) fn start(&mut self, head: ResponseStart) {
        let response = &mut self.response;
        if response.id.is_empty() {
            response.id = head.id;
        }
        if response.model.is_empty() {
            response.model = head.model;
        }
        response.created = response.created.or(head.created);
        response.system_fingerprint = response
            .system_fingerprint
            .take()
            .or(head.system_fingerprint);
        response.service_tier = head.service_tier.or(response.service_tier.take());
    }

    /// Sets the token counts.
    pub(crate) fn usage(&mut self, usage: Usage) {
        self.response.usage = Some(usage);
    }

    /// Sets the server's timing.
    pub(crate) fn timing(&mut self, server: ServerTiming, raw: Option<Json>) {
        self.response.metrics.server = server;
        self.response.metrics.provider_time_info = raw;
    }

    /// Adds one event.
    pub fn apply(&mut self, event: &StreamEvent) {
        match event {
            StreamEvent::TextDelta { choice, part, text } => {
                self.append(*choice, *part, text.into(), Kind::Text);
            }
            StreamEvent::ReasoningDelta { choice, part, text } => {
                self.append(*choice, *part, text.into(), Kind::Reasoning);
            }
            StreamEvent::RefusalDelta { choice, part, text } => {
                self.append(*choice, *part, text.into(), Kind::Refusal);
            }
            StreamEvent::ReasoningSignature {
                choice,
                part,
                signature: more,
            } => {
                if let ContentPart::Reasoning { signature, .. } =
                    self.part(*choice, *part, || Kind::Reasoning.empty())
                {
                    signature.get_or_insert_default().push_str(more);
                }
            }
            StreamEvent::ToolCallEnd { choice, part, call } => {
                self.part(*choice, *part, || ContentPart::ToolCall((**call).clone()));
            }
            StreamEvent::ProviderBlock {
                choice,
                part,
                block,
            } => {
                self.add_complete(
                    *choice,
                    *part,
                    ContentPart::ProviderBlock((**block).clone()),
                );
            }
            StreamEvent::HostedToolCall { choice, part, call } => {
                self.add_complete(*choice, *part, ContentPart::HostedToolCall(call.clone()));
            }
            StreamEvent::HostedToolResult {
                choice,
                part,
                result,
            } => {
                self.add_complete(
                    *choice,
                    *part,
                    ContentPart::HostedToolResult(result.clone()),
                );
            }
            StreamEvent::Compaction {
                choice,
                part,
                compaction,
            } => {
                self.add_complete(*choice, *part, ContentPart::Compaction(compaction.clone()));
            }
            StreamEvent::Citation {
                choice,
                part,
                citation,
            } => {
                if let ContentPart::Text { citations, .. } =
                    self.part(*choice, *part, || Kind::Text.empty())
                {
                    citations.push((**citation).clone());
                }
            }
            StreamEvent::Logprobs { choice, logprobs } => {
                let (choice, _) = self.choice(*choice);
                let all = choice.logprobs.get_or_insert_default();
                all.content.extend_from_slice(&logprobs.content);
                all.refusal.extend_from_slice(&logprobs.refusal);
                all.reasoning.extend_from_slice(&logprobs.reasoning);
            }
            StreamEvent::Start(head) => self.start((**head).clone()),
            StreamEvent::Usage(usage) => self.usage((**usage).clone()),
            StreamEvent::Timing { server, raw } => self.timing(*server, raw.as_deref().cloned()),
            StreamEvent::Extra { name, value } => {
                let extra = &mut self.response.provider_metadata.extra;
                match extra.iter_mut().find(|(other, _)| **other == **name) {
                    Some((_, old)) => *old = (**value).clone(),
                    None => extra.push((name.to_string(), (**value).clone())),
                }
            }
            StreamEvent::Finish {
                choice,
                reason,
                native,
            } => {
                let (choice, _) = self.choice(*choice);
                choice.finish_reason.clone_from(reason);
                choice.native_finish_reason = native.as_deref().map(str::to_owned);
            }
            StreamEvent::Warning(warning) => self.response.warnings.push((**warning).clone()),
            StreamEvent::TextStart { choice, .. }
            | StreamEvent::ReasoningStart { choice, .. }
            | StreamEvent::ToolCallStart { choice, .. } => {
                self.choice(*choice);
            }
            StreamEvent::TextEnd { .. }
            | StreamEvent::ReasoningEnd { .. }
            | StreamEvent::ToolCallDelta { .. }
            | StreamEvent::Raw(_) => {}
        }
    }

    fn append(&mut self, choice: u32, part: u32, more: Cow<'_, str>, kind: Kind) {
        let part = self.part(choice, part, || kind.empty());
        match part {
            ContentPart::Text { text, .. }
            | ContentPart::Reasoning { text, .. }
            | ContentPart::Refusal { text }
                if text.is_empty() =>
            {
                *text = more.into_owned()
            }
            ContentPart::Text { text, .. }
            | ContentPart::Reasoning { text, .. }
            | ContentPart::Refusal { text } => text.push_str(&more),
            _ => {}
        }
    }

    /// Adds a part that arrives complete. Each is a part of its own, even where two have the same number.
    fn add_complete(&mut self, choice: u32, number: u32, part: ContentPart) {
        let (choice, numbers) = self.choice(choice);
        let at = numbers.partition_point(|other| *other <= number);
        numbers.insert(at, number);
        insert(&mut choice.message.content, at, part);
    }

    fn part(
        &mut self,
        choice: u32,
        number: u32,
        make: impl FnOnce() -> ContentPart,
    ) -> &mut ContentPart {
        let (choice, numbers) = self.choice(choice);
        let content = &mut choice.message.content;
        let at = numbers.partition_point(|other| *other < number);
        if numbers.get_mut(at).is_none_or(|found| *found != number) {
            numbers.insert(at, number);
            insert(content, at, make());
        }
        #[expect(
            clippy::indexing_slicing,
            reason = "numbers and content are parallel, and `at` is a valid index of both"
        )]
        &mut content[at]
    }

    fn choice(&mut self, index: u32) -> (&mut Choice, &mut SmallVec1<u32>) {
        let choices = &mut self.response.choices;
        let at = match choices.binary_search_by_key(&index, |choice| choice.index) {
            Ok(at) => at,
            Err(at) => {
                let choice = Choice {
                    index,
                    ..Choice::default()
                };
                insert(choices, at, choice);
                self.parts.insert(at, SmallVec1::default());
                at
            }
        };
        #[expect(
            clippy::indexing_slicing,
            clippy::unwrap_used,
            reason = "choices and parts are parallel, and `at` is a valid index of both"
        )]
        (&mut choices[at], self.parts.get_mut(at).unwrap())
    }
}

/// Most responses have one choice with one part, but a `Vec` that grows by itself starts with a capacity of four.
fn insert<T>(list: &mut Vec<T>, at: usize, element: T) {
    if list.is_empty() {
        list.reserve_exact(1);
    }
    list.insert(at, element);
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Reasoning,
    Refusal,
}

impl Kind {
    fn empty(self) -> ContentPart {
        match self {
            Kind::Text => ContentPart::text(""),
            Kind::Reasoning => ContentPart::Reasoning {
                text: String::new(),
                signature: None,
            },
            Kind::Refusal => ContentPart::Refusal {
                text: String::new(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        FinishReason, Json, ToolCall, Usage,
        chat::{
            Compaction, HostedToolCall, HostedToolInput, HostedToolOutput, HostedToolResult,
            ProviderBlock, ServerTiming,
        },
    };

    fn text(choice: u32, part: u32, text: &str) -> StreamEvent {
        let text = text.to_owned();
        StreamEvent::TextDelta { choice, part, text }
    }

    fn extra(name: &str, value: &str) -> StreamEvent {
        StreamEvent::Extra {
            name: name.into(),
            value: Box::new(Json::parse(value).unwrap()),
        }
    }

    fn start(id: &str, model: &str, created: Option<u64>) -> StreamEvent {
        StreamEvent::Start(Box::new(ResponseStart {
            id: id.to_owned(),
            model: model.to_owned(),
            created,
            ..ResponseStart::default()
        }))
    }

    /// One event of each kind that changes the response.
    fn events() -> Vec<StreamEvent> {
        let (choice, part) = (1, 0);
        let word = || "word".to_owned();
        let call = Box::new(ToolCall::new("x", "f", "{}"));
        vec![
            start("", "model", None),
            start("id", "other", Some(7)),
            start("late", "", Some(8)),
            text(1, 2, "two "),
            StreamEvent::ReasoningDelta {
                choice,
                part,
                text: word(),
            },
            StreamEvent::ReasoningSignature {
                choice,
                part,
                signature: word(),
            },
            text(0, 1, "another"),
            text(1, 2, "words"),
            StreamEvent::RefusalDelta {
                choice,
                part: 3,
                text: word(),
            },
            StreamEvent::ToolCallEnd {
                choice,
                part: 1,
                call,
            },
            StreamEvent::HostedToolCall {
                choice: 2,
                part,
                call: Box::new(HostedToolCall::new(
                    "h",
                    "web_search",
                    HostedToolInput::WebSearch {
                        queries: vec![word()],
                    },
                )),
            },
            StreamEvent::HostedToolResult {
                choice: 2,
                part,
                result: Box::new(HostedToolResult::new(
                    "h",
                    HostedToolOutput::Text { text: word() },
                )),
            },
            StreamEvent::Compaction {
                choice: 2,
                part: 1,
                compaction: Box::new(Compaction::new(
                    Some(word()),
                    ProviderBlock::new("p", Json::parse("{}").unwrap()),
                )),
            },
            extra("a", "1"),
            extra("b", "2"),
            extra("a", "3"),
            StreamEvent::Usage(Box::default()),
            StreamEvent::Timing {
                server: ServerTiming::default(),
                raw: Json::parse("{}").ok().map(Box::new),
            },
            StreamEvent::Finish {
                choice,
                reason: Some(FinishReason::Stop),
                native: None,
            },
        ]
    }

    #[test]
    fn parts_are_ordered_by_number() {
        let mut sum = Accumulator::new();
        events().iter().for_each(|event| sum.apply(event));
        let response = sum.response();
        let indices: Vec<_> = response.choices.iter().map(|choice| choice.index).collect();
        assert_eq!(indices, [0, 1, 2]);
        let [another, words, hosted] = &response.choices[..] else {
            panic!("three answers")
        };
        assert!(
            matches!(
                hosted.message.content[..],
                [
                    ContentPart::HostedToolCall(_),
                    ContentPart::HostedToolResult(_),
                    ContentPart::Compaction(_)
                ]
            ),
            "{hosted:?}"
        );
        assert_eq!(another.message.content, [ContentPart::text("another")]);
        assert_eq!(
            words.message.content,
            [
                ContentPart::Reasoning {
                    text: "word".into(),
                    signature: Some("word".into())
                },
                ContentPart::ToolCall(ToolCall::new("x", "f", "{}")),
                ContentPart::text("two words"),
                ContentPart::Refusal {
                    text: "word".into()
                },
            ]
        );
        assert_eq!(words.finish_reason, Some(FinishReason::Stop));
    }

    #[test]
    fn first_response_metadata_wins_last_extra_wins() {
        let mut sum = Accumulator::new();
        events()
            .into_iter()
            .for_each(|event| sum.apply_owned(event));
        let response = sum.into_response();
        assert_eq!(response.id, "id");
        assert_eq!(response.model, "model");
        assert_eq!(response.created, Some(7));
        let extra = response.provider_metadata.extra.iter();
        let extra: Vec<_> = extra
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(extra, [("a", "3"), ("b", "2")]);
        assert_eq!(response.usage, Some(Usage::default()));
    }

    #[test]
    fn owned_events_fold_like_borrowed_ones() {
        let (mut taken, mut lent) = (Accumulator::new(), Accumulator::new());
        events().iter().for_each(|event| lent.apply(event));
        events()
            .into_iter()
            .for_each(|event| taken.apply_owned(event));
        assert_eq!(taken.into_response(), lent.into_response());
    }

    #[test]
    fn fields_without_an_event_join_the_same_response() {
        let mut sum = Accumulator::new();
        sum.response_mut().id.push_str("id");
        assert_eq!(sum.response().id, "id");
    }
}
