//! What the events of a stream say, read without the library's own accumulator.

use std::collections::BTreeMap;
use unifiedai::{StreamEvent, ToolCall, UnifiedChatResponse, chat::Choice};

/// What the events of the first choice add up to. Parts are in the order of their numbers.
#[derive(Default)]
struct EventContent {
    text: BTreeMap<u32, String>,
    reasoning: BTreeMap<u32, String>,
    refusal: BTreeMap<u32, String>,
    calls: BTreeMap<u32, ToolCall>,
}

/// The members in which the events say something else than the response.
pub fn differences(events: &[StreamEvent], response: &UnifiedChatResponse) -> Vec<String> {
    let empty = Choice::default();
    let first = response.choices.first().unwrap_or(&empty);
    let mut told = EventContent::default();
    for event in events {
        told.read(event, first.index);
    }
    let message = &first.message;
    let join = |parts: BTreeMap<u32, String>| parts.into_values().collect::<String>();
    let texts = [
        ("text", join(told.text), message.text()),
        ("reasoning", join(told.reasoning), message.reasoning()),
        ("refusal", join(told.refusal), message.refusal()),
    ];
    let mut differences: Vec<String> = texts
        .into_iter()
        .filter(|(_, events, whole)| *events != **whole)
        .map(|(name, events, whole)| {
            format!("`{name}` of the events is {events:?}, of the response {whole:?}")
        })
        .collect();
    let calls = |calls: Vec<&ToolCall>| -> Vec<_> {
        let parts = calls.into_iter();
        parts
            .map(|call| (call.id.clone(), call.name.clone(), call.arguments.clone()))
            .collect()
    };
    let events = calls(told.calls.values().collect());
    let whole = calls(message.tool_calls().collect());
    if events != whole {
        differences.push(format!(
            "`tool_calls` of the events are {events:?}, of the response {whole:?}"
        ));
    }
    differences
}

impl EventContent {
    fn read(&mut self, event: &StreamEvent, wanted: u32) {
        let (parts, choice, part, more) = match event {
            StreamEvent::TextDelta { choice, part, text } => (&mut self.text, choice, part, text),
            StreamEvent::ReasoningDelta { choice, part, text } => {
                (&mut self.reasoning, choice, part, text)
            }
            StreamEvent::RefusalDelta { choice, part, text } => {
                (&mut self.refusal, choice, part, text)
            }
            StreamEvent::ToolCallEnd { choice, part, call } => {
                if *choice == wanted {
                    self.calls.insert(*part, (**call).clone());
                }
                return;
            }
            _ => return,
        };
        if *choice == wanted {
            parts.entry(*part).or_default().push_str(more);
        }
    }
}
