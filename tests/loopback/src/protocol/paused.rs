//! Anthropic's turns that pause in their own tools: a prompt with `pause: N` is answered in N + 1 turns. Each turn but the last one ends
//! with a call of a tool of the provider, and the next one begins with its result.

use serde_json::{Value, json};

use super::{list, text_of};

/// The blocks of a message with their deltas, and whether the turn pauses.
pub(super) type Turn = (Vec<(Value, Vec<Value>)>, bool);

/// How many turns a prompt asks for, besides the last one.
fn wanted(prompt: &str) -> Option<usize> {
    let (_, rest) = prompt.split_once("pause: ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The blocks of the next turn with their deltas, and whether it pauses. `None` for a prompt without pauses; an error if the turns
/// so far were not sent back as they were.
pub(super) fn turn(prompt: &str, body: &Value) -> Option<Result<Turn, String>> {
    let wanted = wanted(prompt)?;
    let last = list(body, "messages").last()?;
    let own = match text_of(last, "role") {
        "assistant" => list(last, "content"),
        _ => &[],
    };
    let of = |kind: &str| {
        own.iter()
            .filter(|block| text_of(block, "type") == kind)
            .count()
    };
    let (calls, results) = (of("server_tool_use"), of("web_search_tool_result"));
    if (results + 1 != calls && calls > 0)
        || own
            .last()
            .is_some_and(|block| text_of(block, "type") != "server_tool_use")
        || calls > wanted
    {
        return Some(Err("messages: the paused turn was changed".to_owned()));
    }
    let mut blocks = Vec::new();
    if calls > 0 {
        let id = format!("srvtoolu_{}", calls - 1);
        let result = json!({"type": "web_search_tool_result", "tool_use_id": id, "content": []});
        blocks.push((result, Vec::new()));
    }
    let pauses = calls < wanted;
    let words = match pauses {
        true => format!("Part {calls}. "),
        false => "The end.".to_owned(),
    };
    let deltas = words
        .split_inclusive(' ')
        .map(|word| json!({"type": "text_delta", "text": word}));
    blocks.push((json!({"type": "text", "text": ""}), deltas.collect()));
    if pauses {
        let id = format!("srvtoolu_{calls}");
        let call = json!({"type": "server_tool_use", "id": id, "name": "web_search", "input": {}});
        let input = json!({"type": "input_json_delta", "partial_json": format!("{{\"query\":\"{calls}\"}}")});
        blocks.push((call, vec![input]));
    }
    Some(Ok((blocks, pauses)))
}
