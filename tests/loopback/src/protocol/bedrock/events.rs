//! The response as stream events.

use serde_json::{Value, json};

use super::frame::event;
use super::message::{signature, stop_reason, tool_use_id, usage};
use crate::fault::split_mix;
use crate::protocol::EventsMut;
use crate::response::ModelResponse;

pub(super) fn events(answer: &ModelResponse, model: &str, latency: usize) -> EventsMut {
    const PADDING: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut events = EventsMut::default();
    let mut seed = 0;
    let mut push = |name: &str, mut payload: Value| {
        payload["p"] = PADDING[..(split_mix(&mut seed) % 62) as usize + 1].into();
        events.push(&event(name, &payload));
    };
    push("messageStart", json!({"role": "assistant"}));
    let mut index = 0;
    if !answer.reasoning.is_empty() {
        for text in &answer.reasoning {
            push(
                "contentBlockDelta",
                json!({"contentBlockIndex": index, "delta": {"reasoningContent": {"text": text}}}),
            );
        }
        let signed = json!({"contentBlockIndex": index, "delta": {"reasoningContent": {"signature": signature(answer)}}});
        push("contentBlockDelta", signed);
        push("contentBlockStop", json!({"contentBlockIndex": index}));
        index += 1;
    }
    if !answer.content.is_empty() {
        for text in &answer.content {
            push(
                "contentBlockDelta",
                json!({"contentBlockIndex": index, "delta": {"text": text}}),
            );
        }
        push("contentBlockStop", json!({"contentBlockIndex": index}));
        index += 1;
    }
    for call in &answer.calls {
        let start = json!({"toolUse": {"toolUseId": tool_use_id(&call.id), "name": call.name}});
        push(
            "contentBlockStart",
            json!({"contentBlockIndex": index, "start": start}),
        );
        // Some models send a call complete, others begin with an empty delta.
        let whole = call.arguments.concat();
        let pieces = if model.contains("nova") {
            vec![whole.as_str()]
        } else {
            call.arguments.iter().map(String::as_str).collect()
        };
        let pieces = if model.contains("nova") {
            pieces
        } else {
            [&[""], &pieces[..]].concat()
        };
        for piece in pieces {
            push(
                "contentBlockDelta",
                json!({"contentBlockIndex": index, "delta": {"toolUse": {"input": piece}}}),
            );
        }
        push("contentBlockStop", json!({"contentBlockIndex": index}));
        index += 1;
    }
    push(
        "messageStop",
        json!({"stopReason": stop_reason(answer.finish)}),
    );
    push(
        "metadata",
        json!({"usage": usage(answer), "metrics": {"latencyMs": latency}}),
    );
    events
}
