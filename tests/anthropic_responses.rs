//! Responses of Anthropic's Messages API: streams and single bodies give the same; invalid responses are errors.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that goes wrong is to stop"
)]

mod support;

use std::sync::Arc;
use support::drive::{Answer, Arrival, Outcome, chat};
use unifiedai::{
    ChatRequest, ContentPart, ErrorKind, FinishReason, StreamEvent,
    provider::{Anthropic, Provider},
    sans_io::Accumulator,
};

const WHOLE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[{"type":"thinking","thinking":"Hm.","signature":"sig"},{"type":"redacted_thinking","data":"abc"},{"type":"text","text":"It is ","citations":[{"type":"char_location","cited_text":"c","document_title":"d"}]},{"type":"server_tool_use","id":"srv_1","name":"web_search","input":{"query":"q"}},{"type":"tool_use","id":"toolu_1","name":"f","input":{"a":1},"caller":{"type":"direct"}},{"type":"tool_use","id":"toolu_2","name":"g","input":{}}],"stop_reason":"tool_use","stop_sequence":null,"container":{"id":"c_1"},"usage":{"input_tokens":5,"cache_read_input_tokens":10,"output_tokens":7}}"#;

const EVENTS: [&str; 25] = [
    r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":5,"cache_read_input_tokens":10,"output_tokens":1}}}"#,
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
    r#"{"type": "ping"}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm."}   }"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"sig"}}"#,
    r#"{"type":"content_block_stop","index":0}"#,
    r#"{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"abc"}}"#,
    r#"{"type":"content_block_stop","index":1}"#,
    r#"{"type":"content_block_start","index":2,"content_block":{"type":"text","text":"","citations":[]}}"#,
    r#"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"It"}}"#,
    r#"{"type":"content_block_delta","index":2,"delta":{"type":"citations_delta","citation":{"type":"char_location","cited_text":"c","document_title":"d"}}}"#,
    r#"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":" is "}      }"#,
    r#"{"type":"content_block_stop","index":2}"#,
    r#"{"type":"content_block_start","index":3,"content_block":{"type":"server_tool_use","id":"srv_1","name":"web_search","input":{}}}"#,
    r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{\"query\":\"q\"}"}}"#,
    r#"{"type":"content_block_stop","index":3}"#,
    r#"{"type":"content_block_start","index":4,"content_block":{"type":"tool_use","id":"toolu_1","name":"f","input":{},"caller":{"type":"direct"}}}"#,
    r#"{"type":"content_block_delta","index":4,"delta":{"type":"input_json_delta","partial_json":""}}"#,
    r#"{"type":"content_block_delta","index":4,"delta":{"type":"input_json_delta","partial_json":"{\"a\":1}"}}"#,
    r#"{"type":"content_block_stop","index":4}"#,
    r#"{"type":"content_block_start","index":5,"content_block":{"type":"tool_use","id":"toolu_2","name":"g","input":{}}}"#,
    r#"{"type":"content_block_stop","index":5}"#,
    r#"{"type":"a_later_invention","index":5}"#,
    r#"{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null,"container":{"id":"c_1"}},"usage":{"output_tokens":7}}"#,
    r#"{"type":"message_stop"}"#,
];

fn stream(events: &[&str]) -> String {
    let name = |data: &str| {
        let json: serde_json::Value = serde_json::from_str(data).unwrap();
        json["type"].as_str().unwrap().to_owned()
    };
    events
        .iter()
        .map(|data| format!("event: {}\ndata: {data}\n\n", name(data)))
        .collect()
}

fn run(stream: bool, answer: &Answer, arrival: Arrival) -> Outcome {
    let provider: Arc<dyn Provider> = Arc::new(Anthropic::new("test-key").unwrap());
    let request = ChatRequest::new("m").user("q").stream(stream);
    chat(&provider, &request, answer, arrival)
}

fn streamed(body: impl Into<String>) -> Outcome {
    run(true, &Answer::sse(body.into()), Arrival::Whole)
}

#[test]
fn stream_and_single_body_give_the_same_response() {
    let whole = run(false, &Answer::json(WHOLE), Arrival::Whole)
        .result
        .unwrap();
    let outcome = streamed(stream(&EVENTS));
    let mut folded = Accumulator::new();
    outcome.events.iter().for_each(|event| folded.apply(event));
    let folded = folded.into_response();
    let response = outcome.result.unwrap();
    for other in [&response, &folded] {
        assert_eq!(other.choices, whole.choices);
        assert_eq!(other.usage, whole.usage);
        assert_eq!((&other.id, &other.model), (&whole.id, &whole.model));
        assert_eq!(other.provider_metadata.extra, whole.provider_metadata.extra);
        // The stream contains an unknown event.
        let [warning] = other.warnings.as_slice() else {
            panic!("{:?}", other.warnings)
        };
        assert_eq!(warning.code, "unknown_event");
        assert!(warning.message.contains("`a_later_invention`"));
    }
    assert!(whole.warnings.is_empty());
    let choice = &whole.choices[0];
    assert_eq!(choice.finish_reason, Some(FinishReason::ToolCalls));
    assert_eq!(choice.native_finish_reason.as_deref(), Some("tool_use"));
    assert_eq!(choice.message.content.len(), 6);
    let usage = whole.usage.unwrap();
    assert_eq!(
        (usage.prompt_tokens, usage.cached_tokens, usage.total_tokens),
        (Some(15), Some(10), Some(22))
    );
    let calls: Vec<_> = choice
        .message
        .tool_calls()
        .map(|call| call.arguments.as_str())
        .collect();
    assert_eq!(calls, [r#"{"a":1}"#, "{}"]);
    let ContentPart::Text { citations, .. } = &choice.message.content[2] else {
        panic!("no text")
    };
    assert_eq!(citations[0].title.as_deref(), Some("d"));
}

#[test]
fn a_stream_cut_anywhere_is_never_a_wrong_success() {
    let body = stream(&EVENTS);
    let full = streamed(body.clone());
    let all = full.result.unwrap();
    for at in 0..body.len() {
        let cut = run(true, &Answer::sse(body.clone()), Arrival::Cut(at));
        match cut.result {
            Ok(response) => assert_eq!(response.choices, all.choices, "cut after {at} bytes"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Truncated, "cut after {at} bytes");
                assert!(full.events.starts_with(&cut.events), "cut after {at} bytes");
            }
        }
        let split = run(true, &Answer::sse(body.clone()), Arrival::Split(at));
        assert_eq!(split.events, full.events, "split after {at} bytes");
    }
    for at in 0..WHOLE.len() {
        let cut = run(false, &Answer::json(WHOLE), Arrival::Cut(at));
        assert!(cut.result.is_err(), "cut after {at} bytes");
    }
}

#[test]
fn a_stop_reason_before_the_end_completes_with_a_warning() {
    let outcome = streamed(stream(&EVENTS[..24]));
    let warnings = outcome.result.unwrap().warnings;
    let codes: Vec<_> = warnings.iter().map(|warning| warning.code).collect();
    assert_eq!(codes, ["unknown_event", "missing_end"]);
    assert_eq!(
        streamed(stream(&EVENTS[..23])).result.unwrap_err().kind(),
        ErrorKind::Truncated
    );
}

#[test]
fn stream_errors_keep_the_partial_response() {
    for (error, kind) in [
        ("overloaded_error", ErrorKind::Overloaded),
        ("rate_limit_error", ErrorKind::RateLimit),
        ("api_error", ErrorKind::InternalServer),
        ("invalid_request_error", ErrorKind::BadRequest),
    ] {
        let event = format!(
            r#"{{"type":"error","error":{{"type":"{error}","message":"sorry"}},"request_id":"req_1"}}"#
        );
        let mut events = EVENTS[..12].to_vec();
        events.push(&event);
        let error = streamed(stream(&events)).result.unwrap_err();
        assert_eq!(
            (error.kind(), error.status(), error.message()),
            (kind, Some(200), "sorry")
        );
        assert_eq!(error.request_id(), Some("req_1"));
        assert_eq!(error.partial().unwrap().text(), "It is ");
    }
}

#[test]
fn protocol_violations_are_errors() {
    let start = |id: &str| EVENTS[0].replace("msg_1", id);
    let (first, second) = (start("msg_1"), start("msg_2"));
    let text = EVENTS[9];
    let far = text.replace("\"index\":2", "\"index\":4000000000");
    let rows: [(Vec<&str>, ErrorKind); 5] = [
        (vec![EVENTS[24]], ErrorKind::Protocol),
        (vec![&first, text, &second], ErrorKind::Protocol),
        (vec![&first, text, &first], ErrorKind::Protocol),
        (vec![&first, &far], ErrorKind::TooLarge),
        (
            vec![
                &first,
                r#"{"type":"content_block_delta","index":-1,"delta":7}"#,
            ],
            ErrorKind::Truncated,
        ),
    ];
    for (events, kind) in rows {
        assert_eq!(
            streamed(stream(&events)).result.unwrap_err().kind(),
            kind,
            "{events:?}"
        );
    }
    // A proxy may repeat the first event or append OpenAI's end marker.
    let repeated = [&[EVENTS[0]], &EVENTS[..]].concat();
    let body = stream(&repeated) + "data: [DONE]\n\n";
    let warnings = streamed(body).result.unwrap().warnings;
    assert!(
        warnings
            .iter()
            .all(|warning| warning.code == "unknown_event")
    );
    let alone = stream(&EVENTS[..23]) + "data: [DONE]\n\n";
    assert_eq!(
        streamed(alone).result.unwrap_err().kind(),
        ErrorKind::Truncated
    );
    for (body, kind) in [
        (
            r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#,
            ErrorKind::Overloaded,
        ),
        (r#"{"id":"msg_1","type":"message"}"#, ErrorKind::Protocol),
        ("{}", ErrorKind::Protocol),
    ] {
        let error = run(false, &Answer::json(body), Arrival::Whole)
            .result
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{body}");
    }
}

#[test]
fn stop_reasons_map_to_openai_and_keep_the_native_value() {
    for (native, reason) in [
        ("end_turn", FinishReason::Stop),
        ("stop_sequence", FinishReason::Stop),
        ("max_tokens", FinishReason::Length),
        ("model_context_window_exceeded", FinishReason::Length),
        ("tool_use", FinishReason::ToolCalls),
        ("refusal", FinishReason::ContentFilter),
        ("pause_turn", FinishReason::Other("pause_turn".into())),
    ] {
        // A message with tool calls and `end_turn` is reported as `tool_calls`.
        let body = format!(
            r#"{{"id":"1","model":"claude","content":[{{"type":"text","text":"a"}}],"stop_reason":"{native}"}}"#
        );
        let response = run(false, &Answer::json(body), Arrival::Whole)
            .result
            .unwrap();
        assert_eq!(response.choices[0].finish_reason, Some(reason));
        assert_eq!(
            response.choices[0].native_finish_reason.as_deref(),
            Some(native)
        );
        let told = response
            .warnings
            .iter()
            .any(|warning| warning.code == "default_max_tokens");
        assert_eq!(told, native == "max_tokens", "the limit was the library's");
    }
}

#[test]
fn tool_calls_end_one_by_one_and_unclosed_blocks_are_kept() {
    let outcome = streamed(stream(&EVENTS));
    let ends: Vec<_> = outcome
        .events
        .iter()
        .filter_map(|event| match event {
            StreamEvent::ToolCallEnd { part, call, .. } => Some((*part, call.id.as_str())),
            _ => None,
        })
        .collect();
    let [(first, "toolu_1"), (second, "toolu_2")] = ends[..] else {
        panic!("{ends:?}")
    };
    assert!(first < second, "parts with lower numbers come first");
    // A call without arguments is complete only at its end: see `tests/unclosed_calls.rs`.
    let without_stops: Vec<&str> = EVENTS
        .into_iter()
        .filter(|event| !event.contains("content_block_stop") || event.contains("\"index\":5"))
        .collect();
    let (full, open) = (
        outcome.result.unwrap(),
        streamed(stream(&without_stops)).result.unwrap(),
    );
    assert_eq!(open.choices, full.choices);
}

#[test]
fn rate_limits_ids_and_retry_hints_come_from_the_headers() {
    let answer = Answer::new(
        429,
        "application/json",
        r#"{"type":"error","error":{"type":"rate_limit_error","message":"m"}}"#,
    )
    .header("request-id", "req_1")
    .header("retry-after", "7")
    .header("x-should-retry", "false");
    let error = run(false, &answer, Arrival::Whole).result.unwrap_err();
    assert_eq!(
        (error.kind(), error.request_id()),
        (ErrorKind::RateLimit, Some("req_1"))
    );
    assert_eq!(error.retry_after().map(|wait| wait.as_secs()), Some(7));
    assert!(!error.is_retryable());
    let answer = Answer::json(WHOLE)
        .header("request-id", "req_2")
        .header("date", "Sun, 22 Nov 2026 18:00:00 GMT")
        .header("anthropic-ratelimit-input-tokens-remaining", "9")
        .header(
            "anthropic-ratelimit-input-tokens-reset",
            "2026-11-22T18:00:30Z",
        );
    let outcome = run(false, &answer, Arrival::Whole);
    assert_eq!(outcome.request.headers()["x-api-key"], "test-key");
    assert_eq!(outcome.request.uri().query(), None);
    let metadata = outcome.result.unwrap().provider_metadata;
    assert_eq!(metadata.request_id.as_deref(), Some("req_2"));
    assert_eq!(metadata.rate_limits[0].remaining, Some(9));
    assert_eq!(
        metadata.rate_limits[0].reset.map(|wait| wait.as_secs()),
        Some(30)
    );
}

// F89
#[test]
fn missing_doubled_or_unknown_starts_and_stops_are_tolerated() {
    let stop_of_nothing = r#"{"type":"content_block_stop","index":9}"#;
    let text_without_its_start = &EVENTS[9..13];
    let odd = [
        &EVENTS[..1],
        &[stop_of_nothing],
        &EVENTS[1..8],
        text_without_its_start,
        &[EVENTS[12], EVENTS[16]],
        &EVENTS[13..],
    ]
    .concat();
    let full = streamed(stream(&EVENTS)).result.unwrap();
    let response = streamed(stream(&odd)).result.unwrap();
    assert_eq!(response.text(), full.text());
    let calls = |response: &unifiedai::UnifiedChatResponse| {
        response.tool_calls().cloned().collect::<Vec<_>>()
    };
    assert_eq!(calls(&response), calls(&full));
}
