use super::{Head, StreamEvent};
use crate::{Choice, ContentPart, Json, ServerTiming, UnifiedChatResponse, Usage};
use std::borrow::Cow;

/// Adds events up to a response. The library's own responses are made by it, so whoever folds the events of a stream
/// gets the same.
#[derive(Debug, Default)]
pub struct Accumulator {
    response: UnifiedChatResponse,
    /// Part numbers, parallel to each choice's content; kept sorted.
    parts: Vec<Vec<u32>>,
}

impl Accumulator {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What has come so far. A tool call is in it only once it has ended.
    #[must_use]
    pub fn response(&self) -> &UnifiedChatResponse {
        &self.response
    }

    /// For what is not an event: metadata and metrics.
    pub(crate) fn response_mut(&mut self) -> &mut UnifiedChatResponse {
        &mut self.response
    }

    /// The response.
    #[must_use]
    pub fn into_response(self) -> UnifiedChatResponse {
        self.response
    }

    /// Adds an event that nobody else wants: without copies of what is large.
    pub(crate) fn take(&mut self, event: StreamEvent) {
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
            StreamEvent::Opaque {
                choice,
                part,
                block,
            } => {
                self.part(choice, part, || ContentPart::Opaque(*block));
            }
            other => self.apply(&other),
        }
    }

    /// Who answers.
    pub(crate) fn start(&mut self, head: Head) {
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

    /// The tokens counted.
    pub(crate) fn usage(&mut self, usage: Usage) {
        self.response.usage = Some(usage);
    }

    /// What the server says of its own time.
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
            StreamEvent::Opaque {
                choice,
                part,
                block,
            } => {
                self.part(*choice, *part, || ContentPart::Opaque((**block).clone()));
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

    fn part(
        &mut self,
        choice: u32,
        number: u32,
        make: impl FnOnce() -> ContentPart,
    ) -> &mut ContentPart {
        let (choice, numbers) = self.choice(choice);
        let content = &mut choice.message.content;
        let at = match numbers.binary_search(&number) {
            Ok(at) => at,
            Err(at) => {
                insert(numbers, at, number);
                insert(content, at, make());
                at
            }
        };
        #[expect(
            clippy::indexing_slicing,
            reason = "numbers and content are parallel, and `at` was just found or made"
        )]
        &mut content[at]
    }

    fn choice(&mut self, index: u32) -> (&mut Choice, &mut Vec<u32>) {
        let choices = &mut self.response.choices;
        let at = match choices.binary_search_by_key(&index, |choice| choice.index) {
            Ok(at) => at,
            Err(at) => {
                let choice = Choice {
                    index,
                    ..Choice::default()
                };
                insert(choices, at, choice);
                insert(&mut self.parts, at, Vec::new());
                at
            }
        };
        #[expect(
            clippy::indexing_slicing,
            reason = "choices and parts are parallel, and `at` was just found or made"
        )]
        (&mut choices[at], &mut self.parts[at])
    }
}

/// Most answers are one choice with one part. A list that grows by itself begins with room for four.
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
