//! Nothing that a server sends is lost: it is typed, kept as received, or named in a warning.

#![cfg(all(feature = "bedrock", feature = "testing"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that goes wrong is to stop"
)]

mod support;

use serde_json::{Value, json};
use std::sync::Arc;
use support::drive::{Answer, Arrival, chat};
use unifiedai::{
    ChatRequest, FinishReason, UnifiedChatResponse,
    codec::event_stream::{HeaderValue, encode_message},
    provider::{Anthropic, Bedrock, Cohere, Gemini, GeminiInteractions, Ollama, Provider},
    transport::testing::provider_for_recording,
};

fn provider(wire: &str) -> Arc<dyn Provider> {
    match wire {
        "anthropic" => Arc::new(Anthropic::new("k").unwrap()),
        "gemini" => Arc::new(Gemini::new("k").unwrap()),
        "gemini-interactions" => Arc::new(GeminiInteractions::new("k").unwrap()),
        "bedrock" => {
            let builder = Bedrock::builder().region("us-east-1").api_key("k").unwrap();
            Arc::new(builder.build().unwrap())
        }
        "cohere" => Arc::new(Cohere::new("k").unwrap()),
        "groq" => provider_for_recording("groq", "openai-chat").unwrap(),
        "openai-responses" => provider_for_recording("openai", "openai-responses").unwrap(),
        _ => Arc::new(Ollama::builder().build().unwrap()),
    }
}

fn whole(wire: &str, body: &Value) -> UnifiedChatResponse {
    let request = ChatRequest::new("m").user("q");
    let answer = Answer::json(body.to_string());
    chat(&provider(wire), &request, &answer, Arrival::Whole)
        .result
        .unwrap()
}

/// The response to a stream in chunks of seven bytes. Bedrock's events are prefixed with their names.
fn streamed(wire: &str, events: &[&str]) -> UnifiedChatResponse {
    let request = ChatRequest::new("m").user("q").stream(true);
    let answer = match wire {
        "bedrock" => {
            let frame = |event: &&str| {
                let (name, data) = event.split_once(' ').unwrap();
                let headers = [
                    (":message-type", HeaderValue::String("event")),
                    (":event-type", HeaderValue::String(name)),
                ];
                encode_message(&headers, data.as_bytes()).unwrap()
            };
            let body: Vec<u8> = events.iter().flat_map(frame).collect();
            Answer::new(200, "application/vnd.amazon.eventstream", body)
        }
        "ollama" => Answer::new(200, "application/x-ndjson", events.join("\n") + "\n"),
        _ => Answer::sse(
            events
                .iter()
                .map(|event| format!("data: {event}\n\n"))
                .collect::<String>(),
        ),
    };
    chat(&provider(wire), &request, &answer, Arrival::Pieces(7))
        .result
        .unwrap()
}

/// Everything in a response that a caller can see.
fn seen(response: &UnifiedChatResponse) -> String {
    let extra = &response.provider_metadata.extra;
    format!("{:?} {:?} {extra:?}", response.choices, response.warnings)
}

/// The names of untyped fields are somewhere in the response.
#[test]
fn untyped_members_are_kept_or_named() {
    let rows: [(&str, Value, &[&str]); 13] = [
        (
            "anthropic",
            json!({"id": "1", "content": [{"type": "text", "text": "a", "glow": 1}], "stop_reason": "end_turn", "mood": {"a": 1}}),
            &["glow", "mood"],
        ),
        (
            "anthropic",
            json!({"id": "1", "content": [{"type": "hologram", "x": 1}, 7], "stop_reason": "end_turn"}),
            &["hologram", "7"],
        ),
        (
            "anthropic",
            json!({"id": "1", "content": [{"type": "thinking", "thinking": "h", "signature": "s", "weight": 2}, {"type": "tool_use", "id": "t", "name": "f", "input": {}, "caller": "c"}], "stop_reason": "tool_use"}),
            &["weight", "caller"],
        ),
        (
            "anthropic",
            json!({"id": "1", "content": "plain words", "stop_reason": "end_turn"}),
            &["plain words"],
        ),
        (
            "gemini",
            json!({"candidates": [{"content": {"parts": [{"text": "a", "glow": 1}], "tone": "b"}, "finishReason": "STOP", "mood": 3}], "era": "now"}),
            &["glow", "tone", "mood", "era"],
        ),
        (
            "gemini-interactions",
            json!({"status": "completed", "era": "now", "steps": ["bare", {"type": "hologram", "x": 1}, {"type": "model_output", "tone": "b", "content": ["said", {"type": "text", "text": "a", "glow": 1}, {"type": "scent", "notes": 2}]}, {"type": "function_call", "id": "c", "name": "f", "arguments": {}, "haste": 3}, {"type": "thought", "weight": 4}]}),
            &[
                "era", "bare", "hologram", "tone", "said", "glow", "notes", "haste", "weight",
            ],
        ),
        (
            "gemini",
            json!({"candidates": [{"content": {"parts": {"text": "alone"}}, "finishReason": "STOP"}]}),
            &["alone"],
        ),
        (
            "gemini",
            json!({"candidates": [{"content": {"parts": ["bare", {"text": "said", "functionCall": {"name": "f", "args": {}, "haste": 1}, "glow": 2}]}, "finishReason": "STOP"}]}),
            &["bare", "said", "haste", "glow"],
        ),
        (
            "gemini",
            json!({"candidates": [{"content": {"parts": [{"functionCall": {"args": {"lost": 1}}}]}, "finishReason": "STOP"}]}),
            &["lost"],
        ),
        (
            "bedrock",
            json!({"output": {"message": {"role": "assistant", "content": [{"text": "a", "glow": 1}, {"hologram": {"x": 1}}, {"toolUse": {"toolUseId": "t", "name": "f", "input": {}, "haste": 1}}], "tone": 1}, "era": 2}, "stopReason": "tool_use", "mood": 3, "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}}),
            &["glow", "hologram", "haste", "tone", "output.era", "mood"],
        ),
        (
            "cohere",
            json!({"id": "1", "message": {"role": "assistant", "content": [{"type": "hologram", "x": 1}, {"type": "text", "text": "a", "glow": 1}], "tone": 2, "tool_calls": [{"id": "t", "type": "custom", "custom": {"name": "n"}}]}, "finish_reason": "COMPLETE", "mood": 3}),
            &["hologram", "glow", "tone", "custom", "mood"],
        ),
        (
            "cohere",
            json!({"id": "1", "message": {"role": "assistant", "content": "plain words"}, "finish_reason": "COMPLETE"}),
            &["plain words"],
        ),
        (
            "ollama",
            json!({"model": "m", "message": {"role": "assistant", "content": "a", "images": ["cGl4"], "tool_calls": [{"id": "t", "custom": {"name": "n"}}]}, "done": true, "mood": 3}),
            &["images", "cGl4", "custom", "mood"],
        ),
    ];
    for (wire, body, names) in rows {
        let seen = seen(&whole(wire, &body));
        for name in names {
            assert!(
                seen.contains(name),
                "{wire}: `{name}` of {body} is not in {seen}"
            );
        }
    }
}

#[test]
fn untyped_stream_members_are_kept_or_named() {
    let rows: [(&str, &[&str], &[&str]); 5] = [
        (
            "anthropic",
            &[
                r#"{"type":"message_start","message":{"id":"1","content":[],"era":1}}"#,
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"","glow":1}}"#,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a","shade":1}}"#,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"hologram_delta","x":1}}"#,
                r#"{"type":"later","x":1}"#,
                r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","tone":1},"mood":2}"#,
                r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":3}}"#,
            ],
            &[
                "era",
                "glow",
                "shade",
                "hologram_delta",
                "later",
                "tone",
                "mood",
                "inputTokenCount",
            ],
        ),
        (
            "gemini",
            &[
                r#"{"candidates":[{"content":{"parts":[{"text":"a"},{"text":"b","glow":1}]}}],"era":1}"#,
                r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","willContinue":true}}]}}]}"#,
                r#"{"candidates":[{"content":{"parts":[{"functionCall":{"partialArgs":[{"jsonPath":"$.a","listValue":[1]}]}}]},"finishReason":"STOP","mood":1}]}"#,
            ],
            &["glow", "era", "listValue", "mood"],
        ),
        (
            "bedrock",
            &[
                r#"messageStart {"role":"assistant"}"#,
                r#"contentBlockStart {"contentBlockIndex":0,"start":{"hologram":{"x":1}}}"#,
                r#"contentBlockDelta {"contentBlockIndex":0,"delta":{"lens":{"x":1}}}"#,
                r#"contentBlockDelta {"contentBlockIndex":1,"delta":{"text":"a"}}"#,
                r#"later {"x":1}"#,
                r#"messageStop {"stopReason":"end_turn","mood":1}"#,
                r#"metadata {"usage":{"inputTokens":1},"era":2}"#,
            ],
            &["hologram", "lens", "later", "mood", "era"],
        ),
        (
            "cohere",
            &[
                r#"{"type":"message-start","id":"1"}"#,
                r#"{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"hologram","x":1}}}}"#,
                r#"{"type":"content-delta","index":1,"delta":{"message":{"content":{"text":"a","glow":1},"tone":1}}}"#,
                r#"{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"t","custom":{}}}}}"#,
                r#"{"type":"later","x":1}"#,
                r#"{"type":"debug","prompt":"<BOS>"}"#,
                r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE","mood":1}}"#,
                "[DONE]",
            ],
            &[
                "hologram", "glow", "tone", "custom", "later", "<BOS>", "mood",
            ],
        ),
        (
            "ollama",
            &[
                r#"{"model":"m","message":{"role":"assistant","content":"a"},"done":false}"#,
                r#"{"model":"m","message":{"role":"assistant","content":"","images":["cGl4"]},"done":false,"era":1}"#,
                r#"{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","context":[1,2]}"#,
            ],
            &["cGl4", "era", "[1,2]"],
        ),
    ];
    for (wire, events, names) in rows {
        let seen = seen(&streamed(wire, events));
        for name in names {
            assert!(seen.contains(name), "{wire}: `{name}` is not in {seen}");
        }
    }
}

#[test]
fn empty_values_become_none() {
    for (wire, body) in [
        (
            "anthropic",
            json!({"id": "1", "content": [{"type": "text", "text": "a", "x": null, "y": [], "z": {}}], "stop_reason": "end_turn", "x": "", "y": null}),
        ),
        (
            "gemini",
            json!({"candidates": [{"content": {"parts": [{"text": "a", "x": null}, {}], "y": []}, "finishReason": "STOP", "x": {}}], "z": null}),
        ),
        (
            "bedrock",
            json!({"output": {"message": {"content": [{"text": "a", "x": null}], "y": []}}, "stopReason": "end_turn", "z": {}, "usage": {"inputTokens": 1}}),
        ),
        (
            "cohere",
            json!({"id": "1", "message": {"content": [{"type": "text", "text": "a", "x": []}], "y": ""}, "finish_reason": "COMPLETE", "z": null}),
        ),
        (
            "ollama",
            json!({"message": {"content": "a", "images": [], "x": null}, "done": true, "done_reason": "stop", "y": []}),
        ),
    ] {
        let response = whole(wire, &body);
        assert_eq!(response.choices[0].message.content.len(), 1, "{wire}");
        assert!(
            response.warnings.is_empty(),
            "{wire}: {:?}",
            response.warnings
        );
        assert!(response.provider_metadata.extra.is_empty(), "{wire}");
    }
}

#[test]
fn response_with_tool_calls_finishes_with_tool_calls() {
    for (wire, body) in [
        (
            "anthropic",
            json!({"id": "1", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}], "stop_reason": "end_turn"}),
        ),
        (
            "gemini",
            json!({"candidates": [{"content": {"parts": [{"functionCall": {"name": "f"}}]}, "finishReason": "STOP"}]}),
        ),
        (
            "bedrock",
            json!({"output": {"message": {"content": [{"toolUse": {"toolUseId": "t", "name": "f", "input": {}}}]}}, "stopReason": "end_turn"}),
        ),
        (
            "cohere",
            json!({"id": "1", "message": {"tool_calls": [{"id": "t", "function": {"name": "f", "arguments": "{}"}}]}, "finish_reason": "COMPLETE"}),
        ),
        (
            "ollama",
            json!({"message": {"tool_calls": [{"function": {"name": "f", "arguments": {}}}]}, "done": true, "done_reason": "stop"}),
        ),
    ] {
        let choice = &whole(wire, &body).choices[0];
        assert_eq!(
            choice.finish_reason,
            Some(FinishReason::ToolCalls),
            "{wire}"
        );
    }
    // A cut response keeps its reason.
    let body = json!({"id": "1", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}], "stop_reason": "max_tokens"});
    assert_eq!(
        whole("anthropic", &body).choices[0].finish_reason,
        Some(FinishReason::Length)
    );
}

/// The warnings of one response are bounded.
#[test]
fn names_without_end_are_bounded() {
    let mut members = serde_json::Map::new();
    for number in 0..2000 {
        members.insert(format!("m{number}"), json!(1));
    }
    members.insert("message".into(), json!({"content": "a"}));
    members.insert("done".into(), json!(true));
    let response = whole("ollama", &Value::Object(members));
    assert!(response.provider_metadata.extra.len() <= 64);
    assert!(!response.warnings.is_empty() && response.warnings.len() <= 64);
}

/// An untyped field is named by its path. Fields of the response and of its first choice have no prefix.
#[test]
fn extras_are_named_by_their_path() {
    for (wire, body, names) in [
        (
            "groq",
            json!({"id": "1", "provider": "p", "executed": 1, "x_groq": {"id": "r", "seed": 7}, "choices": [
                {"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop", "safety": 2, "logprobs": 3},
                {"index": 1, "message": {"content": "Ho"}, "finish_reason": "stop", "safety": 4, "logprobs": 5},
            ]}),
            &[
                "answer.provider",
                "executed",
                "x_groq.id",
                "x_groq.seed",
                "safety",
                "logprobs",
                "choices[1].safety",
                "choices[1].logprobs",
            ][..],
        ),
        (
            "gemini",
            json!({"responseId": "1", "raw": 1, "candidates": [
                {"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP", "safety": 2},
                {"index": 1, "content": {"parts": [{"text": "Ho"}]}, "finishReason": "STOP", "safety": 3},
            ]}),
            &["safety", "candidates[1].safety", "answer.raw"],
        ),
        (
            "anthropic",
            json!({"id": "1", "type": "message", "status": "s", "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn"}),
            &["answer.status"],
        ),
        (
            "bedrock",
            json!({"output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}, "safety": 1}, "stopReason": "end_turn", "status": 2}),
            &["output.safety", "answer.status"],
        ),
        (
            "cohere",
            json!({"id": "1", "provider": 1, "message": {"content": [{"type": "text", "text": "Hi"}]}, "finish_reason": "COMPLETE"}),
            &["answer.provider"],
        ),
        (
            "ollama",
            json!({"model": "m", "message": {"content": "Hi"}, "done": true, "done_reason": "stop", "provider": 1}),
            &["answer.provider"],
        ),
        (
            "openai-responses",
            json!({"id": "1", "status": "completed", "provider": 1, "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}]}),
            &["answer.provider"],
        ),
    ] {
        let response = whole(wire, &body);
        let extra = response.provider_metadata.extra.iter();
        let mut found: Vec<&str> = extra.map(|(name, _)| &**name).collect();
        let mut names = names.to_vec();
        found.sort_unstable();
        names.sort_unstable();
        assert_eq!(found, names, "{wire}");
    }
}
