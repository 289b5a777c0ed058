//! The turns of a chat that the provider paused: their parts, events and usage become those of one response.

use crate::{
    Json, StreamEvent, UnifiedChatResponse, Usage,
    provider::{ResponseBuilder, ResponseLimits},
};
use std::collections::VecDeque;

/// The turns of a call before the current one. Their parts and events come first.
#[derive(Default)]
pub(super) struct EarlierTurns {
    /// The parts of all of them, with the finish reason of the last one.
    pub(super) response: UnifiedChatResponse,
    /// Their events that were not returned yet.
    pub(super) queue: VecDeque<StreamEvent>,
    pub(super) count: u32,
    /// The number of the current turn's first part.
    parts: u32,
    /// The usage that each of them reported, as sent.
    raw_usages: Vec<Json>,
    /// The ids of the turns after the first.
    later_ids: Vec<String>,
    is_visible: bool,
    /// What they count against the limits of a response.
    retained: usize,
    tool_calls: usize,
}

impl EarlierTurns {
    pub(super) fn is_visible(&self) -> bool {
        self.is_visible
    }

    pub(super) fn has_events(&self) -> bool {
        !self.queue.is_empty()
    }

    /// What is left of the limits.
    pub(super) fn rest(&self, mut limits: ResponseLimits) -> ResponseLimits {
        limits.retained_bytes = limits.retained_bytes.saturating_sub(self.retained);
        limits.tool_calls = limits.tool_calls.saturating_sub(self.tool_calls);
        limits
    }

    /// Ends the current turn.
    pub(super) fn add(&mut self, builder: &mut Box<ResponseBuilder>) {
        while let Some(mut event) = builder.next_event() {
            if !matches!(event, StreamEvent::Finish { .. }) {
                self.adapt(&mut event);
                self.queue.push_back(event);
            }
        }
        self.is_visible |= builder.is_visible();
        self.retained = self.retained.saturating_add(builder.retained_bytes());
        self.parts = self.parts.saturating_add(builder.parts_end());
        let turn = std::mem::take(builder.response_mut());
        self.tool_calls = self.tool_calls.saturating_add(turn.tool_calls().count());
        let usage = turn.usage.as_ref().and_then(|usage| usage.raw.clone());
        self.response = self.joined(turn);
        self.raw_usages.extend(usage);
        self.count = self.count.saturating_add(1);
    }

    /// The response of these turns and the current one.
    pub(super) fn joined(&mut self, turn: UnifiedChatResponse) -> UnifiedChatResponse {
        let mut all = std::mem::take(&mut self.response);
        if self.count == 0 {
            return turn;
        }
        if let Some(name) = self.later_id(&turn.id) {
            set_extra(&mut all, LATER_TURN_IDS, name);
        }
        if all.model.is_empty() {
            all.model = turn.model;
        }
        all.usage = match turn.usage {
            Some(usage) => Some(self.total(all.usage.as_ref(), usage)),
            None => all.usage,
        };
        all.system_fingerprint = all.system_fingerprint.or(turn.system_fingerprint);
        all.service_tier = turn.service_tier.or(all.service_tier);
        all.warnings.extend(turn.warnings);
        for (name, value) in turn.provider_metadata.extra {
            set_extra(&mut all, &name, value);
        }
        all.metrics = turn.metrics;
        for choice in turn.choices {
            match all.choices.iter_mut().find(|own| own.index == choice.index) {
                Some(own) => {
                    own.message.content.extend(choice.message.content);
                    own.finish_reason = choice.finish_reason;
                    own.native_finish_reason = choice.native_finish_reason;
                    if let Some(more) = choice.logprobs {
                        let own = own.logprobs.get_or_insert_default();
                        own.content.extend(more.content);
                        own.refusal.extend(more.refusal);
                        own.reasoning.extend(more.reasoning);
                    }
                }
                None => all.choices.push(choice),
            }
        }
        all
    }

    pub(super) fn adapt(&mut self, event: &mut StreamEvent) {
        if self.count == 0 {
            return;
        }
        event.shift_part(self.parts);
        match event {
            StreamEvent::Usage(usage) => {
                let own = std::mem::take(&mut **usage);
                **usage = self.total(self.response.usage.as_ref(), own);
            }
            StreamEvent::Start(head) => {
                if let Some(ids) = self.later_id(&head.id) {
                    self.queue.push_back(StreamEvent::Extra {
                        name: LATER_TURN_IDS.into(),
                        value: Box::new(ids),
                    });
                }
            }
            _ => {}
        }
    }

    /// Records the id of a turn after the first; returns all of them if it is new.
    fn later_id(&mut self, id: &str) -> Option<Json> {
        if id.is_empty() {
            return None;
        }
        if self.later_ids.last().is_none_or(|last| last != id) {
            self.later_ids.push(id.to_owned());
        }
        Json::new(&self.later_ids).ok()
    }

    /// The usage of the earlier turns and the current one. `raw` is the list of what the provider sent.
    fn total(&self, earlier: Option<&Usage>, current: Usage) -> Usage {
        let none = Usage::default();
        let mut total = earlier.unwrap_or(&none).sum(&current);
        let raw: Vec<&Json> = self.raw_usages.iter().chain(&current.raw).collect();
        total.raw = Json::new(&raw).ok().filter(|_| !raw.is_empty());
        total
    }
}

/// The name of the extra field with the ids of the turns after the first.
const LATER_TURN_IDS: &str = "later_turn_ids";

fn set_extra(response: &mut UnifiedChatResponse, name: &str, value: Json) {
    let extra = &mut response.provider_metadata.extra;
    match extra.iter_mut().find(|(other, _)| other == name) {
        Some((_, old)) => *old = value,
        None => extra.push((name.to_owned(), value)),
    }
}
