//! Moves tool results directly after the turn of their calls.
//!
//! OpenAI, Gemini and others refuse a conversation with other messages between a call and its result, such as a
//! question that the user asked while the tool was running. Source: OpenAI's error (`must be followed by tool
//! messages responding to each 'tool_call_id'`) and Google's (`function response turn comes immediately after a
//! function call turn`).

use crate::{ContentPart, Message, Role};

/// For each result the index of the message that it must follow; `None` if it is in the right place. `None` if all
/// are.
///
/// `calls` has for each result, in order, the index of the message with its call.
pub(in crate::provider) fn targets(
    messages: &[Message],
    calls: impl IntoIterator<Item = Option<usize>>,
) -> Option<Vec<Option<usize>>> {
    let ends = ends_of_turns(messages);
    let mut calls = calls.into_iter();
    let mut targets = Vec::new();
    for (number, message) in messages.iter().enumerate() {
        for _ in message.content.iter().filter(|part| is_result(part)) {
            let call = calls.next().flatten();
            let end = call.and_then(|call| ends.get(call).copied());
            // Every API has the results of a message before its other content.
            targets.push(end.filter(|end| end.saturating_add(1) < number));
        }
    }
    targets.iter().any(Option::is_some).then_some(targets)
}

/// The messages with each result after its target message.
pub(in crate::provider) fn placed(
    messages: &[Message],
    targets: Vec<Option<usize>>,
) -> Vec<Message> {
    let mut targets = targets.into_iter();
    let mut moved: Vec<Vec<ContentPart>> = vec![Vec::new(); messages.len()];
    let mut stay = Vec::with_capacity(messages.len());
    for message in messages {
        let mut content = Vec::with_capacity(message.content.len());
        for part in &message.content {
            let target = is_result(part).then(|| targets.next().flatten()).flatten();
            match target.and_then(|target| moved.get_mut(target)) {
                Some(moved) => moved.push(part.clone()),
                None => content.push(part.clone()),
            }
        }
        let is_emptied = content.is_empty() && !message.content.is_empty();
        stay.push((!is_emptied).then(|| Message {
            role: message.role.clone(),
            content,
            name: message.name.clone(),
        }));
    }
    let mut placed = Vec::with_capacity(messages.len());
    for (message, results) in stay.into_iter().zip(moved) {
        placed.extend(message);
        if !results.is_empty() {
            placed.push(Message::new(Role::Tool, results));
        }
    }
    placed
}

/// For each message the index of the last message of its turn: the assistant messages that follow it, and the results
/// after them.
fn ends_of_turns(messages: &[Message]) -> Vec<usize> {
    let mut ends = Vec::with_capacity(messages.len());
    // The end of the turn that begins after the message, and of the results that do.
    let (mut turn, mut results) = (None, None);
    for (number, message) in messages.iter().enumerate().rev() {
        let of_results = results.unwrap_or(number);
        let end = turn.unwrap_or(of_results);
        ends.push(end);
        turn = (message.role == Role::Assistant).then_some(end);
        results = has_only_results(message).then_some(of_results);
    }
    ends.reverse();
    ends
}

fn has_only_results(message: &Message) -> bool {
    !message.content.is_empty() && message.content.iter().all(is_result)
}

fn is_result(part: &ContentPart) -> bool {
    matches!(part, ContentPart::ToolResult(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ToolCall, ToolResult};

    /// `u` is a user message, `a` a text, `c` a call, `r` the result of the call with the following index, `+` joins
    /// parts into a message.
    fn conversation(words: &[&str]) -> (Vec<Message>, Vec<Option<usize>>) {
        let mut calls = Vec::new();
        let messages = words.iter().map(|word| {
            let parts = word.split('+').map(|part| match part.split_at(1) {
                ("c", id) => ContentPart::ToolCall(ToolCall::new(id, "f", "{}")),
                ("r", id) => {
                    let call = ["c", id].concat();
                    calls.push(
                        words
                            .iter()
                            .position(|word| word.split('+').any(|p| p == call)),
                    );
                    ContentPart::ToolResult(ToolResult::new(id, "r"))
                }
                (text, _) => ContentPart::text(text),
            });
            let parts: Vec<ContentPart> = parts.collect();
            let role = match word.as_bytes() {
                [b'u', ..] => Role::User,
                [b'r', ..] => Role::Tool,
                _ => Role::Assistant,
            };
            Message::new(role, parts)
        });
        let messages = messages.collect();
        (messages, calls)
    }

    fn words(messages: &[Message]) -> Vec<String> {
        let word = |part: &ContentPart| match part {
            ContentPart::ToolCall(call) => format!("c{}", call.id),
            ContentPart::ToolResult(result) => format!("r{}", result.call_id),
            ContentPart::Text { text, .. } => text.clone(),
            part => panic!("{part:?}"),
        };
        let message = |m: &Message| m.content.iter().map(word).collect::<Vec<_>>().join("+");
        messages.iter().map(message).collect()
    }

    #[test]
    fn a_result_moves_directly_after_the_turn_of_its_call() {
        for (sent, placed) in [
            (&["u", "c1", "u", "r1"][..], &["u", "c1", "r1", "u"][..]),
            (
                &["u", "c1+c2", "r2", "u", "r1", "a"],
                &["u", "c1+c2", "r2", "r1", "u", "a"],
            ),
            (&["c1", "a", "u", "u+r1"], &["c1", "a", "r1", "u", "u"]),
            (&["c1", "u", "c2", "r1+r2"], &["c1", "r1", "u", "c2", "r2"]),
            (
                &["c1", "r1", "a", "c2", "u", "u", "r2"],
                &["c1", "r1", "a", "c2", "r2", "u", "u"],
            ),
        ] {
            let (messages, calls) = conversation(sent);
            let found = super::placed(&messages, targets(&messages, calls).unwrap());
            assert_eq!(words(&found), placed, "{sent:?}");
            assert!(targets(&found, conversation(placed).1).is_none());
        }
        for fits in [
            &["u", "c1", "r1", "u"][..],
            &["c1+c2", "r2", "r1", "a"],
            &["c1", "a", "r1"],
            &["c1", "r1+u"],
            &["c1", "u+r1"],
            &["u"],
        ] {
            let (messages, calls) = conversation(fits);
            assert!(targets(&messages, calls).is_none(), "{fits:?}");
        }
    }
}
