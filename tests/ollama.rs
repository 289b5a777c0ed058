//! Ollama's own API with fixtures of our own: requests, single-body responses and streams.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    reason = "a test that goes wrong is to stop"
)]

mod support;

use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use support::drive::{Answer, Arrival, Outcome, chat};
use unifiedai::{
    ChatRequest, ContentPart, ErrorKind, FinishReason, JsonSchema, Message, ReasoningEffort,
    ResponseFormat, Role, Tool, ToolCall, ToolChoice, ToolResult,
    provider::{Ollama, Provider},
};

fn ollama() -> Arc<dyn Provider> {
    Arc::new(Ollama::local().unwrap())
}

fn ask() -> ChatRequest {
    ChatRequest::new("qwen3").user("hi")
}

fn body(request: &ChatRequest) -> Value {
    let encoded = ollama().encode_chat(request).unwrap();
    assert_eq!(encoded.request.uri(), "http://localhost:11434/api/chat");
    serde_json::from_slice(encoded.request.body()).unwrap()
}

#[test]
fn every_feature_is_encoded_in_the_body() {
    let schema = JsonSchema::new("answer", &json!({"type": "object"})).unwrap();
    let call = ToolCall::new("c1", "f", "{\"a\":1}");
    let cases: Vec<(ChatRequest, &str, Value)> = vec![
        (
            ask(),
            "/messages",
            json!([{"role": "user", "content": "hi"}]),
        ),
        (ask(), "/stream", json!(false)),
        (ask().stream(true), "/stream", json!(true)),
        (
            ask()
                .max_tokens(9)
                .temperature(0.5)
                .repetition_penalty(1.1)
                .stop("x"),
            "/options",
            json!({"num_predict": 9, "temperature": 0.5, "repeat_penalty": 1.1, "stop": ["x"]}),
        ),
        (
            ask().reasoning_effort(ReasoningEffort::None),
            "/think",
            json!(false),
        ),
        (
            ask().reasoning_effort(ReasoningEffort::High),
            "/think",
            json!("high"),
        ),
        (ask().disable_reasoning(true), "/think", json!(false)),
        (
            ask().response_format(ResponseFormat::JsonObject),
            "/format",
            json!("json"),
        ),
        (
            ask().response_format(ResponseFormat::JsonSchema(schema)),
            "/format",
            json!({"type": "object"}),
        ),
        (
            ask().user_parts(vec![
                ContentPart::text("look"),
                ContentPart::image("image/png", vec![1, 2, 3]),
            ]),
            "/messages/1",
            json!({"role": "user", "content": "look", "images": ["AQID"]}),
        ),
        (
            ask()
                .message(Message::new(
                    Role::Assistant,
                    vec![ContentPart::ToolCall(call)],
                ))
                .tool_result(ToolResult::new("c1", "42")),
            "/messages",
            json!([
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": {"a": 1}}}]},
                {"role": "tool", "content": "42", "tool_name": "f", "tool_call_id": "c1"}
            ]),
        ),
    ];
    for (request, place, value) in cases {
        let body = body(&request);
        assert_eq!(body.pointer(place), Some(&value), "{place} of {body}");
    }
    let tool = Tool::function("f", "does f", &json!({"type": "object"})).unwrap();
    let none = body(&ask().tool(tool.clone()).tool_choice(ToolChoice::None));
    assert_eq!(none.get("tools"), None);
    assert_eq!(body(&ask().tool(tool))["tools"][0]["function"]["name"], "f");
}

#[test]
fn unsupported_content_is_named() {
    let cases = [
        (ask().n(2), "`n`"),
        (ask().tool_choice(ToolChoice::Required), "`tool_choice`"),
        (ask().reasoning_effort(ReasoningEffort::XHigh), "`xhigh`"),
        (ask().prompt_cache_key("k"), "`prompt_cache_key`"),
    ];
    for (request, name) in cases {
        let error = ollama().encode_chat(&request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.message().contains(name), "{error}");
        let warnings = ollama()
            .encode_chat(&request.drop_unsupported())
            .unwrap()
            .warnings;
        assert!(warnings[0].message.contains(name), "{warnings:?}");
    }
    let picture = ask().user_parts(vec![ContentPart::image_url("https://x/y.png")]);
    let error = ollama().encode_chat(&picture).unwrap_err();
    assert!(error.message().contains("by its URL"), "{error}");
}

const DONE: &str = r#""done":true,"done_reason":"stop","total_duration":5000000,"load_duration":1000000,"prompt_eval_duration":2000000,"eval_count":7,"eval_duration":3000000}"#;

fn lines() -> String {
    [
        r#"{"model":"qwen3","created_at":"2026-01-02T03:04:05.678Z","message":{"role":"assistant","content":"","thinking":"H"},"done":false}"#,
        r#"{"model":"qwen3","created_at":"2026-01-02T03:04:06.678Z","message":{"role":"assistant","content":"","thinking":"m."},"done":false}"#,
        r#"{"model":"qwen3","message":{"role":"assistant","content":"Wel"},"done":false}"#,
        r#"{"model":"qwen3","message":{"role":"assistant","content":"l"},"done":false}"#,
        r#"{"model":"qwen3","message":{"role":"assistant","content":"","tool_calls":[{"function":{"index":0,"name":"f","arguments":{"a":1}}}]},"done":false}"#,
        r#"{"model":"qwen3","message":{"role":"assistant","content":"","tool_calls":[{"function":{"index":0,"name":"f","arguments":{"a":2}}}]},"done":false}"#,
    ]
    .join("\n")
        + "\n{\"model\":\"qwen3\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},"
        + DONE
        + "\n"
}

fn streamed(body: String, arrival: Arrival) -> Outcome {
    let answer = Answer::new(200, "application/x-ndjson", body);
    chat(&ollama(), &ask().stream(true), &answer, arrival)
}

#[test]
fn stream_adds_up_to_the_full_response() {
    let whole = [
        r#"{"model":"qwen3","created_at":"2026-01-02T03:04:05.678Z","message":{"role":"assistant","content":"Well","thinking":"Hm.","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}},{"function":{"name":"f","arguments":{"a":2}}}]},"#,
        DONE,
    ]
    .concat();
    let whole = chat(&ollama(), &ask(), &Answer::json(whole), Arrival::Whole)
        .result
        .unwrap();
    let stream = streamed(lines(), Arrival::Pieces(1)).result.unwrap();
    assert_eq!(stream.choices, whole.choices);
    assert_eq!(
        (&stream.usage, stream.created),
        (&whole.usage, whole.created)
    );
    assert_eq!(whole.created, Some(1_767_323_045));
    assert_eq!(
        whole.choices[0].finish_reason,
        Some(FinishReason::ToolCalls)
    );
    assert_eq!(
        whole.choices[0].native_finish_reason.as_deref(),
        Some("stop")
    );
    let arguments: Vec<_> = whole.tool_calls().map(|call| &*call.arguments).collect();
    assert_eq!(arguments, ["{\"a\":1}", "{\"a\":2}"]);
    let ids: Vec<_> = whole.tool_calls().map(|call| &*call.id).collect();
    assert!(
        ids.iter()
            .all(|id| id.len() == 21 && id.starts_with("call_"))
    );
    assert_ne!(ids[0], ids[1]);
    // The prompt was cached: its count is missing, not zero.
    let usage = whole.usage.unwrap();
    assert_eq!(
        (
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.total_tokens
        ),
        (None, Some(7), None)
    );
    let server = stream.metrics.server;
    assert_eq!(server.prompt, Some(Duration::from_millis(2)));
    assert_eq!(server.completion, Some(Duration::from_millis(3)));
    assert_eq!(server.total, Some(Duration::from_millis(5)));
    let raw: Value = stream.metrics.provider_time_info.unwrap().decode().unwrap();
    assert_eq!(raw["load_duration"], 1_000_000);
}

#[test]
fn stream_without_its_last_line_is_an_error() {
    let lines = lines();
    for at in 0..lines.len() - 2 {
        let error = streamed(lines.clone(), Arrival::Cut(at))
            .result
            .unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::Truncated,
            "after {at} bytes: {error}"
        );
    }
    // All except the line end: the JSON is complete.
    assert!(
        streamed(lines.clone(), Arrival::Cut(lines.len() - 1))
            .result
            .is_ok()
    );
}

#[test]
fn an_error_inside_a_stream_ends_it() {
    let mut body: String = lines().split_inclusive('\n').take(3).collect();
    body += "{\"error\":\"an error was encountered while running the model\"}\n";
    let error = streamed(body, Arrival::Pieces(4)).result.unwrap_err();
    assert_eq!(
        (error.kind(), error.status()),
        (ErrorKind::InternalServer, Some(200))
    );
    assert!(error.message().contains("while running the model"));
    assert_eq!(error.partial().unwrap().text(), "Wel");
}

#[test]
fn a_missing_model_is_not_found() {
    let answer = Answer::new(
        404,
        "application/json",
        r#"{"error":"model 'x' not found"}"#,
    );
    let error = chat(&ollama(), &ask(), &answer, Arrival::Whole)
        .result
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::NotFound, "model 'x' not found")
    );
}
