//! Cohere's API with fixtures of our own: requests, single-body responses and streams.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    reason = "a test that goes wrong is to stop"
)]

mod support;

use serde_json::{Value, json};
use std::sync::Arc;
use support::drive::{Answer, Arrival, Outcome, chat, options, run, start};
use unifiedai::{
    ChatRequest, ContentPart, ErrorKind, FinishReason, JsonSchema, Message, ReasoningEffort,
    ResponseFormat, Role, Tool, ToolCall, ToolChoice, ToolResult,
    provider::{Cohere, Provider},
    sans_io::Exchange,
};

fn cohere() -> Arc<dyn Provider> {
    Arc::new(Cohere::new("test-key").unwrap())
}

fn ask() -> ChatRequest {
    ChatRequest::new("command-a").user("hi")
}

/// A conversation whose last message is a tool call.
fn called() -> ChatRequest {
    let call = ContentPart::ToolCall(ToolCall::new("c1", "f", "{}"));
    ask().message(Message::new(Role::Assistant, vec![call]))
}

fn body(request: &ChatRequest) -> Value {
    let encoded = cohere().encode_chat(request).unwrap();
    serde_json::from_slice(encoded.request.body()).unwrap()
}

#[test]
fn every_feature_is_encoded_in_the_body() {
    let schema = JsonSchema::new("answer", &json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false})).unwrap();
    let tool = Tool::function("f", "does f", &json!({"type": "object"})).unwrap();
    let mut found = ToolResult::new("c1", "");
    found.content = vec![ContentPart::document("notes", "text/plain", "all of it")];
    let cases: Vec<(ChatRequest, &str, Value)> = vec![
        (
            ask(),
            "/messages",
            json!([{"role": "user", "content": "hi"}]),
        ),
        (ask(), "/stream", json!(false)),
        (ask().stream(true), "/stream", json!(true)),
        (ask().top_p(0.5), "/p", json!(0.5)),
        (ask().top_k(5), "/k", json!(5)),
        (ask().max_tokens(9), "/max_tokens", json!(9)),
        (ask().stop("x"), "/stop_sequences", json!(["x"])),
        (
            ask().reasoning_max_tokens(99),
            "/thinking",
            json!({"type": "enabled", "token_budget": 99}),
        ),
        (
            ask().reasoning_effort(ReasoningEffort::None),
            "/thinking",
            json!({"type": "disabled"}),
        ),
        (
            ask().response_format(ResponseFormat::JsonSchema(schema)),
            "/response_format",
            json!({"type": "json_object", "json_schema": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false}}),
        ),
        (
            ask().tool(tool.clone()),
            "/tools/0",
            json!({"type": "function", "function": {"name": "f", "description": "does f", "parameters": {"type": "object"}}}),
        ),
        (
            ask().tool(tool).tool_choice(ToolChoice::Required),
            "/tool_choice",
            json!("REQUIRED"),
        ),
        (
            called().tool_result(ToolResult::new("c1", "42")),
            "/messages/2",
            json!({"role": "tool", "content": "42", "tool_call_id": "c1"}),
        ),
        (
            called().tool_result(found),
            "/messages/2/content",
            json!([{"type": "document", "document": {"data": {"title": "notes", "text": "all of it"}}}]),
        ),
        (
            ask().user_parts(vec![
                ContentPart::text("look"),
                ContentPart::image("image/png", vec![1, 2, 3]),
                ContentPart::document("notes", "text/plain", "all of it"),
            ]),
            "/documents",
            json!([{"data": {"title": "notes", "text": "all of it"}}]),
        ),
    ];
    for (request, place, value) in cases {
        let body = body(&request);
        assert_eq!(body.pointer(place), Some(&value), "{place} of {body}");
    }
}

#[test]
fn unsupported_content_is_named() {
    let cases = [
        (ask().n(2), "`n`"),
        (ask().min_p(0.1), "`min_p`"),
        (
            ask().reasoning_effort(ReasoningEffort::High),
            "`reasoning_effort`",
        ),
        (
            ask().tool_choice(ToolChoice::Function("f".into())),
            "`tool_choice`",
        ),
        (ask().parallel_tool_calls(false), "`parallel_tool_calls`"),
    ];
    for (request, name) in cases {
        let error = cohere().encode_chat(&request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.message().contains(name), "{error}");
        let warnings = cohere()
            .encode_chat(&request.drop_unsupported())
            .unwrap()
            .warnings;
        assert!(warnings[0].message.contains(name), "{warnings:?}");
    }
}

const WHOLE: &str = r#"{"id":"c-1","finish_reason":"TOOL_CALL","message":{"role":"assistant","tool_plan":"I will ask.","content":[{"type":"thinking","thinking":"Hm."},{"type":"text","text":"Well"}],"tool_calls":[{"id":"f_1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}],"citations":[{"start":0,"end":4,"text":"Well","sources":[{"type":"document","id":"d1","document":{"title":"T"}}],"content_index":1}]},"usage":{"billed_units":{"input_tokens":1,"output_tokens":2},"tokens":{"input_tokens":7,"output_tokens":5,"reasoning_tokens":3},"cached_tokens":4}}"#;

fn stream(end: &str) -> String {
    [
        r#"{"type":"message-start","id":"c-1","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}}"#,
        r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"I will "}}}"#,
        r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"ask."}}}"#,
        r#"{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"thinking","thinking":""}}}}"#,
        r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"thinking":"Hm."}}}}"#,
        r#"{"type":"content-end","index":0}"#,
        r#"{"type":"content-start","index":1,"delta":{"message":{"content":{"type":"text","text":""}}}}"#,
        r#"{"type":"content-delta","index":1,"delta":{"message":{"content":{"text":"We"}}}}"#,
        r#"{"type":"content-delta","index":1,"delta":{"message":{"content":{"text":"ll"}}}}"#,
        r#"{"type":"brand-new","index":9}"#,
        r#"{"type":"content-end","index":1}"#,
        r#"{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"f_1","type":"function","function":{"name":"f","arguments":""}}}}}"#,
        r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"{\"a\""}}}}}"#,
        r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":":1}"}}}}}"#,
        r#"{"type":"tool-call-end","index":0}"#,
        r#"{"type":"citation-start","index":0,"delta":{"message":{"citations":{"start":0,"end":4,"text":"Well","sources":[{"type":"document","id":"d1","document":{"title":"T"}}],"content_index":1}}}}"#,
        r#"{"type":"citation-end","index":0}"#,
        end,
        "[DONE]",
    ]
    .iter()
    .filter(|data| !data.is_empty())
    .map(|data| format!("data: {data}\n\n"))
    .collect()
}

const END: &str = r#"{"type":"message-end","delta":{"finish_reason":"TOOL_CALL","usage":{"billed_units":{"input_tokens":1,"output_tokens":2},"tokens":{"input_tokens":7,"output_tokens":5,"reasoning_tokens":3},"cached_tokens":4}}}"#;

fn streamed(end: &str) -> Outcome {
    chat(
        &cohere(),
        &ask().stream(true),
        &Answer::sse(stream(end)),
        Arrival::Pieces(5),
    )
}

#[test]
fn stream_adds_up_to_the_full_response() {
    let whole = chat(&cohere(), &ask(), &Answer::json(WHOLE), Arrival::Whole)
        .result
        .unwrap();
    let stream = streamed(END).result.unwrap();
    assert_eq!(stream.choices, whole.choices);
    assert_eq!((&stream.usage, &*stream.id), (&whole.usage, "c-1"));
    let message = whole.message().unwrap();
    assert_eq!(
        (message.text(), message.reasoning()),
        ("Well".into(), "I will ask.Hm.".into())
    );
    assert_eq!(
        whole.choices[0].finish_reason,
        Some(FinishReason::ToolCalls)
    );
    assert_eq!(whole.model, "command-a");
    let usage = whole.usage.as_ref().unwrap();
    assert_eq!(
        (usage.prompt_tokens, usage.total_tokens),
        (Some(7), Some(12))
    );
    assert_eq!(
        (usage.cached_tokens, usage.reasoning_tokens),
        (Some(4), Some(3))
    );
    let ContentPart::Text { citations, .. } = &message.content[3] else {
        panic!("{message:?}");
    };
    assert_eq!(citations[0].title.as_deref(), Some("T"));
    assert_eq!(citations[0].cited_text.as_deref(), Some("Well"));
}

#[test]
fn response_is_replayed_unchanged() {
    let answer = chat(&cohere(), &ask(), &Answer::json(WHOLE), Arrival::Whole)
        .result
        .unwrap();
    let next = body(&ask().message(answer.message().unwrap().clone()));
    assert_eq!(
        next["messages"][1],
        json!({
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Well"}],
            "tool_plan": "I will ask.",
            "tool_calls": [{"id": "f_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]
        })
    );
}

#[test]
fn a_failure_shows_only_in_the_last_event() {
    let end = |reason: &str| {
        format!(
            r#"{{"type":"message-end","delta":{{"finish_reason":"{reason}","error":"it broke"}}}}"#
        )
    };
    for (reason, kind) in [
        ("ERROR", ErrorKind::InternalServer),
        ("TIMEOUT", ErrorKind::Timeout),
        ("ERROR_TOXIC", ErrorKind::ContentFiltered),
    ] {
        let error = streamed(&end(reason)).result.unwrap_err();
        assert_eq!((error.kind(), error.message()), (kind, "it broke"));
        assert_eq!((error.code(), error.status()), (Some(reason), Some(200)));
    }
    let error = streamed("").result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Truncated);
}

#[test]
fn the_list_of_models_is_read_page_by_page() {
    let page = r#"{"models":[{"name":"command-a","endpoints":["chat"],"context_length":256000.0}],"next_page_token":null}"#;
    let exchange = Exchange::list_models(cohere(), options(), start()).unwrap();
    let outcome = run(exchange, &Answer::json(page), Arrival::Whole);
    assert_eq!(
        outcome.request.uri(),
        "https://api.cohere.com/v1/models?page_size=1000"
    );
    let models = outcome.result.unwrap().answer;
    assert_eq!(
        (&*models[0].id, models[0].context_length),
        ("command-a", Some(256_000))
    );
    let next = cohere().encode_models(Some("a b")).unwrap();
    assert_eq!(next.uri().query(), Some("page_size=1000&page_token=a%20b"));
}
