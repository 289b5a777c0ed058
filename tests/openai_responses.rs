//! The Responses API with fixtures of our own: requests, single-body responses and streams.

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
use support::drive::{Answer, Arrival, Outcome, chat};
use unifiedai::{
    ChatRequest, ContentPart, ErrorKind, FinishReason, Json, JsonSchema, Message, ReasoningEffort,
    ResponseFormat, Role, Tool, ToolCall, ToolChoice, ToolResult,
    chat::Verbosity,
    provider::{OpenAiResponses, Provider, openai_responses::ResponsesProfile},
};

fn openai() -> Arc<dyn Provider> {
    Arc::new(OpenAiResponses::new("test-key").unwrap())
}

fn body(request: &ChatRequest) -> Value {
    let encoded = openai().encode_chat(request).unwrap();
    serde_json::from_slice(encoded.request.body()).unwrap()
}

fn ask() -> ChatRequest {
    ChatRequest::new("gpt-5").user("hi")
}

#[test]
fn every_feature_is_encoded_in_the_body() {
    let schema = JsonSchema::new("answer", &json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false})).unwrap();
    let tool = Tool::function("f", "does f", &json!({"type": "object"})).unwrap();
    let cases: Vec<(ChatRequest, &str, Value)> = vec![
        (ask(), "/input", json!([{"role": "user", "content": "hi"}])),
        (ask().max_tokens(9), "/max_output_tokens", json!(9)),
        (ask().temperature(0.5), "/temperature", json!(0.5)),
        (ask().user_id("u"), "/safety_identifier", json!("u")),
        (ask().store(false), "/store", json!(false)),
        (ask().stream(true), "/stream", json!(true)),
        (
            ask().reasoning_effort(ReasoningEffort::Low),
            "/reasoning",
            json!({"effort": "low"}),
        ),
        (
            ask().verbosity(Verbosity::Low),
            "/text",
            json!({"verbosity": "low"}),
        ),
        (
            ask().logprobs(true),
            "/include",
            json!(["message.output_text.logprobs"]),
        ),
        (
            ask().response_format(ResponseFormat::JsonSchema(schema)),
            "/text/format",
            json!({"type": "json_schema", "name": "answer", "schema": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false}, "strict": true}),
        ),
        (
            ask().tool(tool),
            "/tools",
            json!([{"type": "function", "name": "f", "description": "does f", "parameters": {"type": "object", "properties": {}}, "strict": false}]),
        ),
        (
            ask().tool_choice(ToolChoice::Function("f".into())),
            "/tool_choice",
            json!({"type": "function", "name": "f"}),
        ),
        (
            ask().extra("previous_response_id", "resp_1").unwrap(),
            "/previous_response_id",
            json!("resp_1"),
        ),
        (
            ask().max_tokens(9).extra("max_output_tokens", &8).unwrap(),
            "/max_output_tokens",
            json!(8),
        ),
        (
            ChatRequest::new("m").system("a").system("b").user("hi"),
            "/instructions",
            json!("a\n\nb"),
        ),
        (
            ChatRequest::new("m").system("a"),
            "/input",
            json!([{"role": "system", "content": "a"}]),
        ),
        (
            ask().user_parts(vec![
                ContentPart::text("look"),
                ContentPart::image("image/png", vec![1, 2, 3]),
                ContentPart::document("a.pdf", "application/pdf", vec![4]),
            ]),
            "/input/1/content",
            json!([
                {"type": "input_text", "text": "look"},
                {"type": "input_image", "image_url": "data:image/png;base64,AQID"},
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,BA=="}
            ]),
        ),
        (
            ask()
                .message(Message::new(
                    Role::Assistant,
                    vec![ContentPart::ToolCall(ToolCall::new("c1", "f", ""))],
                ))
                .tool_result(ToolResult::new("c1", "42")),
            "/input/2",
            json!({"type": "function_call_output", "call_id": "c1", "output": "42"}),
        ),
        (
            ask()
                .message(Message::new(
                    Role::Assistant,
                    vec![
                        ContentPart::text("so"),
                        ContentPart::ToolCall(ToolCall::new("c1", "f", "")),
                    ],
                ))
                .tool_result(ToolResult::new("c1", "42")),
            "/input",
            json!([
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": "so"},
                {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": "42"}
            ]),
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
        (ask().stop("x"), "`stop`"),
        (ask().seed(1), "`seed`"),
        (ask().n(2), "`n`"),
        (ask().top_k(3), "`top_k`"),
        (ask().prediction("x"), "`prediction`"),
        (ask().frequency_penalty(0.1), "`frequency_penalty`"),
    ];
    for (request, name) in cases {
        let error = openai().encode_chat(&request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.message().contains(name), "{error}");
        let warnings = openai()
            .encode_chat(&request.drop_unsupported())
            .unwrap()
            .warnings;
        assert!(warnings[0].message.contains(name), "{warnings:?}");
    }
    let video = ContentPart::Video {
        media: unifiedai::Media::inline("video/mp4", vec![1]),
    };
    let error = openai()
        .encode_chat(&ask().user_parts(vec![video]).drop_unsupported())
        .unwrap_err();
    assert!(error.message().contains("video"), "{error}");
}

const REASONING: &str = r#"{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"I think."}],"encrypted_content":"gAA=="}"#;
const CALL: &str = r#"{"type":"function_call","id":"fc_1","status":"completed","call_id":"call_1","name":"f","arguments":"{\"a\": 1}"}"#;
const SEARCH: &str = r#"{"type":"web_search_call", "id":"ws_1","status":"completed","action":{"type":"search","query":"q"}}"#;
const TEXT: &str = r#"{"type":"message","id":"msg_1","status":"completed","role":"assistant","phase":"final_answer","content":[{"type":"output_text","text":"Hello","annotations":[{"type":"url_citation","url":"https://x","title":"X","start_index":0,"end_index":5}],"logprobs":[]},{"type":"refusal","refusal":"No."}]}"#;
const USAGE: &str = r#"{"input_tokens":7,"input_tokens_details":{"cached_tokens":2},"output_tokens":5,"output_tokens_details":{"reasoning_tokens":3},"total_tokens":12}"#;

fn response(status: &str, output: &[&str], more: &str) -> String {
    format!(
        r#"{{"id":"resp_1","object":"response","created_at":7,"status":"{status}","model":"gpt-5-x","service_tier":"default","output":[{}],"usage":{USAGE}{more}}}"#,
        output.join(",")
    )
}

/// A stream of these events; the event name is the type.
fn stream(events: &[String]) -> String {
    let frame = |data: &String| {
        let kind: Value = serde_json::from_str(data).unwrap();
        format!(
            "event: {}\ndata: {data}\n\n",
            kind["type"].as_str().unwrap()
        )
    };
    events.iter().map(frame).collect()
}

fn whole_answer(body: impl Into<String>) -> Outcome {
    chat(
        &openai(),
        &ask(),
        &Answer::json(body.into()),
        Arrival::Whole,
    )
}

fn stream_answer(body: impl Into<String>, arrival: Arrival) -> Outcome {
    chat(
        &openai(),
        &ask().stream(true),
        &Answer::sse(body.into()),
        arrival,
    )
}

fn everything() -> Vec<String> {
    let e = |text: &str| text.to_owned();
    let done = |index: u8, item: &str| {
        format!(r#"{{"type":"response.output_item.done","output_index":{index},"item":{item}}}"#)
    };
    vec![
        e(
            r#"{"type":"response.created","response":{"id":"resp_1","model":"gpt-5-x","created_at":7,"service_tier":"auto","status":"in_progress"}}"#,
        ),
        e(
            r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"reasoning","id":"rs_1","summary":[]}}"#,
        ),
        e(
            r#"{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":0,"delta":"I "}"#,
        ),
        e(r#"{"type":"keepalive"}"#),
        e(
            r#"{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":0,"delta":"think."}"#,
        ),
        done(0, REASONING),
        e(r#"{"type":"response.web_search_call.searching","output_index":1}"#),
        done(1, SEARCH),
        e(
            r#"{"type":"response.output_item.added","output_index":2,"item":{"type":"function_call","call_id":"call_1","name":"f","arguments":""}}"#,
        ),
        e(
            r#"{"type":"response.function_call_arguments.delta","output_index":2,"delta":"{\"a\":"}"#,
        ),
        e(r#"{"type":"response.function_call_arguments.delta","output_index":2,"delta":" 1}"}"#),
        done(2, CALL),
        e(
            r#"{"type":"response.output_item.added","output_index":3,"item":{"type":"message","role":"assistant","content":[]}}"#,
        ),
        e(
            r#"{"type":"response.output_text.delta","output_index":3,"content_index":0,"delta":"Hel","logprobs":[]}"#,
        ),
        e(r#"{"type":"response.brand_new","output_index":3,"delta":"?"}"#),
        e(r#"{"type":"response.refusal.delta","output_index":3,"content_index":1,"delta":"No"}"#),
        done(3, TEXT),
        format!(
            r#"{{"type":"response.completed","response":{}}}"#,
            response("completed", &[REASONING, SEARCH, CALL, TEXT], "")
        ),
    ]
}

#[test]
fn stream_adds_up_to_the_full_response() {
    let whole = whole_answer(response("completed", &[REASONING, SEARCH, CALL, TEXT], ""))
        .result
        .unwrap();
    let streamed = stream_answer(stream(&everything()), Arrival::Pieces(3))
        .result
        .unwrap();
    assert_eq!(streamed.choices, whole.choices);
    assert_eq!(streamed.usage, whole.usage);
    assert_eq!((&*streamed.id, streamed.created), ("resp_1", Some(7)));
    assert_eq!(streamed.service_tier.as_deref(), Some("default"));
    let message = whole.message().unwrap();
    assert_eq!(message.text(), "Hello");
    assert_eq!(message.reasoning(), "I think.");
    assert_eq!(message.refusal(), "No.");
    let call = message.tool_calls().next().unwrap();
    assert_eq!(
        (&*call.id, &*call.name, &*call.arguments),
        ("call_1", "f", "{\"a\": 1}")
    );
    assert_eq!(
        whole.choices[0].finish_reason,
        Some(FinishReason::ToolCalls)
    );
    let usage = whole.usage.unwrap();
    assert_eq!(
        (usage.prompt_tokens, usage.cached_tokens),
        (Some(7), Some(2))
    );
    assert_eq!(
        (usage.completion_tokens, usage.reasoning_tokens),
        (Some(5), Some(3))
    );
    assert_eq!(usage.raw.unwrap().as_str(), USAGE);
}

#[test]
fn streams_without_event_lines_types_or_item_ends_are_decoded() {
    let whole = whole_answer(response("completed", &[REASONING, SEARCH, CALL, TEXT], ""))
        .result
        .unwrap();
    let bare: String = everything()
        .iter()
        .map(|data| format!(": x\n\ndata: {data}\n\n"))
        .collect();
    let routed = stream_answer(bare + "data: [DONE]\n\n", Arrival::Whole)
        .result
        .unwrap();
    assert_eq!(routed.choices, whole.choices);
    let endless: Vec<String> = everything()
        .into_iter()
        .filter(|data| !data.contains("output_item.done"))
        .collect();
    let told_at_the_end = stream_answer(stream(&endless), Arrival::Whole)
        .result
        .unwrap();
    assert_eq!(told_at_the_end.choices, whole.choices);
}

#[test]
fn response_is_replayed_unchanged_in_order() {
    let answer = whole_answer(response("completed", &[REASONING, SEARCH, CALL, TEXT], ""))
        .result
        .unwrap();
    let next = ask()
        .message(answer.message().unwrap().clone())
        .tool_result(ToolResult::new("call_1", "2"));
    let encoded = openai().encode_chat(&next).unwrap();
    assert!(encoded.warnings.is_empty(), "{:?}", encoded.warnings);
    let text = std::str::from_utf8(encoded.request.body()).unwrap();
    let places: Vec<usize> = [
        REASONING,
        SEARCH,
        CALL,
        "\"id\":\"msg_1\"",
        "function_call_output",
    ]
    .iter()
    .map(|piece| {
        text.find(piece)
            .unwrap_or_else(|| panic!("{piece} is not in {text}"))
    })
    .collect();
    assert!(places.is_sorted());
    let message = &body(&next)["input"][4];
    assert_eq!(message["phase"], "final_answer");
    assert_eq!(message["content"][0]["text"], "Hello");
    assert_eq!(text.matches("I think.").count(), 1);
}

#[test]
fn foreign_history_is_translated_with_warnings_for_dropped_parts() {
    let history = Message::new(
        Role::Assistant,
        vec![
            ContentPart::Reasoning {
                text: "hm".into(),
                signature: Some("s".into()),
            },
            ContentPart::provider_block(
                "anthropic",
                Json::new(&json!({"type": "redacted_thinking"})).unwrap(),
            ),
            ContentPart::text("so"),
        ],
    );
    let encoded = openai().encode_chat(&ask().message(history)).unwrap();
    let codes: Vec<_> = encoded
        .warnings
        .iter()
        .map(|warning| warning.code)
        .collect();
    assert_eq!(
        codes,
        [
            "signature_left_out",
            "opaque_left_out",
            "reasoning_left_out"
        ]
    );
    assert!(encoded.warnings[1].message.contains("anthropic"));
    let text = std::str::from_utf8(encoded.request.body()).unwrap();
    assert!(
        text.contains("so") && !text.contains("redacted") && !text.contains("hm"),
        "{text}"
    );
}

#[test]
fn early_end_gives_its_reason() {
    let more = |reason: &str| format!(r#","incomplete_details":{{"reason":"{reason}"}}"#);
    for (reason, finish) in [
        ("max_output_tokens", FinishReason::Length),
        ("content_filter", FinishReason::ContentFilter),
        ("weather", FinishReason::Other("weather".into())),
    ] {
        let response = response("incomplete", &[TEXT], &more(reason));
        let streamed =
            format!("data: {{\"type\":\"response.incomplete\",\"response\":{response}}}\n\n");
        for outcome in [
            whole_answer(response),
            stream_answer(streamed, Arrival::Whole),
        ] {
            let choice = outcome.result.unwrap().choices.remove(0);
            assert_eq!(choice.finish_reason, Some(finish.clone()));
            assert_eq!(choice.native_finish_reason.as_deref(), Some(reason));
        }
    }
}

// F28, F31
#[test]
fn a_failure_with_status_200_is_a_failure() {
    let error = |code: &str| format!(r#","error":{{"code":"{code}","message":"m"}}"#);
    for (code, kind) in [
        ("rate_limit_exceeded", ErrorKind::RateLimit),
        ("insufficient_quota", ErrorKind::QuotaExceeded),
        ("server_error", ErrorKind::InternalServer),
        ("invalid_prompt", ErrorKind::ContentFiltered),
        ("something_new", ErrorKind::InternalServer),
    ] {
        let response = response("failed", &[], &error(code));
        let bodies = [
            format!(r#"{{"type":"response.failed","response":{response}}}"#),
            format!(
                r#"{{"type":"error","code":"{code}","message":"m","param":null,"sequence_number":2}}"#
            ),
            format!(r#"{{"type":"error","error":{{"type":"x","code":"{code}","message":"m"}}}}"#),
        ];
        let mut outcomes = vec![whole_answer(response)];
        outcomes.extend(
            bodies.map(|data| stream_answer(format!("data: {data}\n\n"), Arrival::Pieces(1))),
        );
        for outcome in outcomes {
            let error = outcome.result.unwrap_err();
            assert_eq!((error.kind(), error.code()), (kind, Some(code)), "{error}");
            assert_eq!((error.message(), error.status()), ("m", Some(200)));
        }
    }
}

#[test]
fn last_event_gives_the_end_reason_if_the_response_does_not() {
    for (name, ended) in [
        ("completed", Ok(FinishReason::Stop)),
        ("incomplete", Ok(FinishReason::Other("incomplete".into()))),
        ("failed", Err(ErrorKind::InternalServer)),
    ] {
        let event = format!(r#"{{"type":"response.{name}","response":{{"id":"resp_1"}}}}"#);
        let outcome = stream_answer(stream(&[event]), Arrival::Pieces(1)).result;
        let found = match outcome {
            Ok(mut response) => Ok(response.choices.remove(0).finish_reason.unwrap()),
            Err(error) => Err(error.kind()),
        };
        assert_eq!(found, ended, "{name}");
    }
}

#[test]
fn a_client_side_tool_finishes_with_tool_calls() {
    let item = |kind: &str| format!(r#"{{"type":"{kind}","id":"i_1","call_id":"call_1"}}"#);
    for (kinds, finish) in [
        (&["custom_tool_call"][..], FinishReason::ToolCalls),
        (&["computer_call"], FinishReason::ToolCalls),
        (&["local_shell_call"], FinishReason::ToolCalls),
        (&["apply_patch_call"], FinishReason::ToolCalls),
        (&["shell_call"], FinishReason::ToolCalls),
        // The provider ran the tool.
        (&["shell_call", "shell_call_output"], FinishReason::Stop),
        (&["web_search_call"], FinishReason::Stop),
    ] {
        let items: Vec<String> = kinds.iter().map(|kind| item(kind)).collect();
        let items: Vec<&str> = items.iter().map(String::as_str).collect();
        let answer = whole_answer(response("completed", &items, "")).result;
        let reason = answer.unwrap().choices.remove(0).finish_reason;
        assert_eq!(reason, Some(finish), "{kinds:?}");
    }
}

#[test]
fn incomplete_response_is_an_error() {
    for status in ["queued", "in_progress"] {
        let error = whole_answer(response(status, &[], "")).result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Truncated);
        assert_eq!(error.partial().unwrap().id, "resp_1");
    }
    let error = whole_answer(response("cancelled", &[], ""))
        .result
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    let all = everything();
    for end in ["", "data: [DONE]\n\n"] {
        let cut = stream(&all[..all.len() - 1]) + end;
        let error = stream_answer(cut, Arrival::Whole).result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Truncated);
        assert_eq!(error.partial().unwrap().tool_calls().count(), 1);
    }
}

#[test]
fn inconsistent_deltas_are_an_error() {
    let events = [
        r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"message","role":"assistant","content":[]}}"#.to_owned(),
        r#"{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"Goodbye"}"#.to_owned(),
        format!(r#"{{"type":"response.output_item.done","output_index":0,"item":{}}}"#, TEXT.replace("Hello", "Hello, you")),
    ];
    let error = stream_answer(stream(&events), Arrival::Whole)
        .result
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
}

#[test]
fn every_profile_calls_its_own_server() {
    for profile in ResponsesProfile::ALL {
        let mut builder = OpenAiResponses::builder()
            .profile(*profile)
            .api_key("k")
            .unwrap();
        if profile.base_url.contains('{') {
            builder = builder.url_param("resource", "r");
        }
        let provider: Arc<dyn Provider> = match builder.build() {
            Ok(provider) => Arc::new(provider),
            // Servers on this machine accept keys over plain HTTP, others do not.
            Err(error) => panic!("{}: {error}", profile.name),
        };
        let answer = Answer::json(response("completed", &[TEXT], ""));
        let outcome = chat(&provider, &ask(), &answer, Arrival::Whole);
        assert!(
            outcome.request.uri().path().ends_with("/responses"),
            "{}",
            outcome.request.uri()
        );
        let key = ["authorization", "api-key"]
            .iter()
            .find_map(|name| outcome.request.headers().get(*name));
        assert!(key.is_some_and(|key| key.is_sensitive()));
        assert_eq!(
            outcome.result.unwrap().provider_metadata.provider,
            profile.name
        );
    }
}
