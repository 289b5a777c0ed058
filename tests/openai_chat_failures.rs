//! Faults of real servers with this API, by the numbers of the failure catalogue (F), and the expected results.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that goes wrong is to stop"
)]

mod support;

use std::sync::Arc;
use support::drive::{self, Answer, Arrival, Outcome};
use unifiedai::{
    ChatRequest, ErrorKind, FinishReason, StreamEvent, UnifiedChatResponse,
    provider::{OpenAiChat, Provider},
};

const HEAD: &str = r#""id":"c1","model":"m","created":1"#;

fn ask(request: &ChatRequest, answer: &Answer) -> Outcome {
    let provider = OpenAiChat::custom("https://api.example.com/v1");
    let provider: Arc<dyn Provider> = Arc::new(provider.build().unwrap());
    let whole = drive::chat(&provider, request, answer, Arrival::Whole);
    let bytes = drive::chat(&provider, request, answer, Arrival::Pieces(1));
    assert_eq!(whole.events, bytes.events, "chunking is invisible");
    assert_eq!(whole.result.is_ok(), bytes.result.is_ok());
    whole
}

fn streamed(body: impl Into<bytes::Bytes>) -> Outcome {
    let request = ChatRequest::new("m").user("hi").stream(true);
    ask(&request, &Answer::sse(body))
}

fn whole(body: impl Into<bytes::Bytes>) -> Outcome {
    ask(&ChatRequest::new("m").user("hi"), &Answer::json(body))
}

/// A stream of chunks with these choices, without an end marker.
fn chunks(choices: &[&str]) -> String {
    let chunk = |choice: &&str| format!("data: {{{HEAD},\"choices\":[{choice}]}}\n\n");
    choices.iter().map(chunk).collect()
}

fn text(text: &str) -> String {
    format!(r#"{{"index":0,"delta":{{"content":"{text}"}}}}"#)
}

const STOP: &str = r#"{"index":0,"delta":{},"finish_reason":"stop"}"#;
const DONE: &str = "data: [DONE]\n\n";

fn kind(outcome: &Outcome) -> ErrorKind {
    outcome.result.as_ref().unwrap_err().kind()
}

fn ok(outcome: Outcome) -> UnifiedChatResponse {
    outcome.result.unwrap()
}

// F10, F11, F12, F13, F19
#[test]
fn stream_is_complete_only_at_the_servers_signal() {
    let hi = chunks(&[&text("hi")]);
    let finished = chunks(&[&text("hi"), STOP]);
    let stop = Some(FinishReason::Stop);
    let right = [
        (finished.clone(), stop.clone(), "finish, no marker"),
        (format!("{finished}{DONE}"), stop.clone(), "both"),
        (format!("{hi}{DONE}"), None, "marker, no finish"),
        (
            format!("{finished}data: DONE\n\n"),
            stop.clone(),
            "without brackets",
        ),
        (
            format!("{finished}data: [DONE]"),
            stop.clone(),
            "no blank line",
        ),
        (
            finished.trim_end().to_owned(),
            stop.clone(),
            "no blank line after the finish",
        ),
        (
            format!("{finished}{DONE}data: garbage\n\n"),
            stop.clone(),
            "data after the end",
        ),
        (
            format!(": ping\n\n{finished}: ping\n\n{DONE}"),
            stop,
            "comments",
        ),
    ];
    for (body, finish, what) in right {
        let response = ok(streamed(body));
        assert_eq!(response.text(), "hi", "{what}");
        assert_eq!(response.choices[0].finish_reason, finish, "{what}");
    }
    for body in [
        hi.clone(),
        String::from(": ping\n\n"),
        format!("{hi}data: {{\"id\":"),
    ] {
        let outcome = streamed(body.clone());
        assert_eq!(kind(&outcome), ErrorKind::Truncated, "{body}");
    }
    let error = streamed(hi).result.unwrap_err();
    assert_eq!(error.partial().unwrap().text(), "hi");
    assert_eq!(error.status(), Some(200));
}

// F22
#[test]
fn a_tool_call_of_a_cut_stream_is_never_final() {
    let body = chunks(&[
        r#"{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"rm","arguments":"{\"path\":\"/"}}]}}"#,
        r#"{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"tmp/x\"}"}}]}}"#,
    ]);
    let outcome = streamed(body);
    assert_eq!(kind(&outcome), ErrorKind::Truncated);
    let is_end = |event: &StreamEvent| matches!(event, StreamEvent::ToolCallEnd { .. });
    assert!(!outcome.events.iter().any(is_end));
    let error = outcome.result.unwrap_err();
    assert_eq!(error.partial().unwrap().tool_calls().count(), 0);
}

// F23
#[test]
fn empty_response_is_accepted() {
    let response = ok(streamed(format!("{}{DONE}", chunks(&[STOP]))));
    assert!(response.is_empty());
    assert_eq!(response.choices[0].finish_reason, Some(FinishReason::Stop));
}

// F24, F77
#[test]
fn finish_reasons_keep_their_meaning() {
    let reasons = [
        ("stop", FinishReason::Stop),
        ("eos", FinishReason::Stop),
        ("length", FinishReason::Length),
        ("model_length", FinishReason::Length),
        ("tool_calls", FinishReason::ToolCalls),
        ("function_call", FinishReason::ToolCalls),
        ("content_filter", FinishReason::ContentFilter),
        ("sensitive", FinishReason::ContentFilter),
        ("abort", FinishReason::Other("abort".into())),
    ];
    for (native, reason) in reasons {
        let finish = format!(r#"{{"index":0,"delta":{{}},"finish_reason":"{native}"}}"#);
        let choice = ok(streamed(chunks(&[&text("a"), &finish])))
            .choices
            .remove(0);
        assert_eq!(choice.finish_reason, Some(reason), "{native}");
        assert_eq!(choice.native_finish_reason.as_deref(), Some(native));
    }
    let failed = [
        ("error", ErrorKind::InternalServer),
        ("network_error", ErrorKind::InternalServer),
        ("insufficient_system_resource", ErrorKind::Overloaded),
    ];
    for (native, wanted) in failed {
        let finish = format!(r#"{{"index":0,"delta":{{}},"finish_reason":"{native}"}}"#);
        let outcome = streamed(chunks(&[&text("a"), &finish]));
        assert_eq!(kind(&outcome), wanted, "{native}");
        assert_eq!(outcome.result.unwrap_err().code(), Some(native));
    }
}

const WHOLE: &str = r#"{"id":"c1","model":"m","created":1,"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}"#;

// F26, F27
#[test]
fn received_body_decides_the_format() {
    let finished = chunks(&[&text("hi"), STOP]);
    for content_type in [
        "application/json; charset=utf-8",
        "text/event-stream",
        "text/plain",
        "application/x-ndjson",
    ] {
        for stream in [true, false] {
            for body in [WHOLE, finished.as_str()] {
                let request = ChatRequest::new("m").user("hi").stream(stream);
                let answer = Answer::new(200, content_type, body.to_owned());
                let outcome = ask(&request, &answer);
                assert_eq!(
                    outcome.events.is_empty(),
                    !stream,
                    "{content_type} {stream}"
                );
                let response = ok(outcome);
                assert_eq!(response.text(), "hi", "{content_type} {stream}");
            }
        }
    }
    let mut bare = Answer::json(WHOLE);
    bare.headers.clear();
    assert_eq!(
        ok(ask(&ChatRequest::new("m").user("hi"), &bare)).text(),
        "hi"
    );
    let lines = format!("{WHOLE}\n{WHOLE}\n");
    assert_eq!(kind(&whole(lines)), ErrorKind::Protocol);
}

// F28, F29, F30, F31
#[test]
fn an_error_with_status_200_is_an_error() {
    let shapes = [
        (
            r#"{"error":{"message":"slow down","type":"rate_limit_error","code":"rate_limit_exceeded","param":"p"}}"#,
            ErrorKind::RateLimit,
        ),
        (
            r#"{"error":{"message":"slow down","code":"overloaded_error"},"status_code":529}"#,
            ErrorKind::Overloaded,
        ),
        (r#"{"error":"slow down"}"#, ErrorKind::InternalServer),
        (
            r#"{"error":{"message":"slow down","code":429}}"#,
            ErrorKind::RateLimit,
        ),
        (
            r#"{"error":{"message":"slow down","code":502,"metadata":{"raw":"x"}},"id":"c1","choices":[]}"#,
            ErrorKind::InternalServer,
        ),
        (
            r#"{"object":"error","message":"slow down","type":"BadRequestError","code":400}"#,
            ErrorKind::BadRequest,
        ),
        (
            r#"{"message":"slow down","type":"too_many_requests_error","param":"quota","code":"request_quota_exceeded"}"#,
            ErrorKind::RateLimit,
        ),
        (
            r#"{"id":"c1","choices":[{"index":0,"error":{"message":"slow down","code":503}}]}"#,
            ErrorKind::ServiceUnavailable,
        ),
        (
            r#"{"id":"c1","choices":[],"x_groq":{"id":"r","error":{"message":"slow down","code":503}}}"#,
            ErrorKind::ServiceUnavailable,
        ),
        (
            r#"{"error":{"message":"slow down","code":"insufficient_quota"}}"#,
            ErrorKind::QuotaExceeded,
        ),
        (
            r#"{"error":{"message":"slow down","code":"context_length_exceeded"}}"#,
            ErrorKind::ContextOverflow,
        ),
    ];
    for (shape, wanted) in shapes {
        let start = chunks(&[&text("begun")]);
        let mut bodies = vec![
            format!("data: {shape}\n\n"),
            format!("{start}data: {shape}\n\n{DONE}"),
        ];
        if !shape.contains("choices") {
            bodies.push(format!("event: error\ndata: {shape}\n\n"));
        }
        for body in bodies {
            let outcome = streamed(body);
            assert_eq!(kind(&outcome), wanted, "in a stream: {shape}");
            let error = outcome.result.unwrap_err();
            assert_eq!(error.message(), "slow down", "{shape}");
            assert_eq!(error.status(), Some(200), "{shape}");
            assert!(!error.body().is_empty());
        }
        assert_eq!(kind(&whole(shape)), wanted, "whole: {shape}");
    }
    let error = whole(shapes[0].0).result.unwrap_err();
    assert_eq!(error.code(), Some("rate_limit_exceeded"));
    assert_eq!(error.error_type(), Some("rate_limit_error"));
    assert_eq!(error.param(), Some("p"));
    let zeroed = r#"{"id":"","object":"","created":0,"model":"","choices":null,"usage":{"prompt_tokens":0}}"#;
    for body in [
        zeroed,
        r#"{"id":"c1","choices":[]}"#,
        "{}",
        "[]",
        "null",
        "3",
    ] {
        assert_eq!(kind(&whole(body)), ErrorKind::Protocol, "{body}");
    }
}

// F32, F33, F37, F38, F39, F41, F42
#[test]
fn odd_responses_keep_their_status() {
    let page = "<html><body><h1>502 Bad Gateway</h1></body></html>";
    let xml = "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code></Error></ErrorResponse>";
    let image =
        r#"{"error":{"code":500,"message":"image input is not supported","type":"server_error"}}"#;
    let cases = [
        (502, "text/html", page, ErrorKind::InternalServer),
        (200, "text/html", page, ErrorKind::Protocol),
        (403, "text/xml", xml, ErrorKind::PermissionDenied),
        (500, "application/json", image, ErrorKind::InternalServer),
        (200, "application/json", "", ErrorKind::Truncated),
        (204, "application/json", "", ErrorKind::Truncated),
        (200, "application/json", " \n ", ErrorKind::Truncated),
        (400, "application/json", "", ErrorKind::BadRequest),
        (503, "text/event-stream", "", ErrorKind::ServiceUnavailable),
        (429, "text/plain", "slow down", ErrorKind::RateLimit),
        (302, "text/html", "", ErrorKind::Redirect),
        (307, "text/html", "", ErrorKind::Redirect),
    ];
    for (status, content_type, body, wanted) in cases {
        for stream in [true, false] {
            let request = ChatRequest::new("m").user("hi").stream(stream);
            let answer = Answer::new(status, content_type, body)
                .header("location", "https://evil.example/?key=canary")
                .header("x-request-id", "r1");
            let error = ask(&request, &answer).result.unwrap_err();
            assert_eq!(error.kind(), wanted, "{status} {body}");
            assert_eq!(error.status(), Some(status), "{status} {body}");
            assert_eq!(error.request_id(), Some("r1"));
            assert!(!error.to_string().contains("canary"));
            assert!(!error.to_string().contains('\n'));
        }
    }
}

// F34, F35
#[test]
fn compressed_response_is_refused_not_parsed() {
    let answer = Answer::sse(&b"\x1f\x8b\x08\x00"[..]).header("content-encoding", "gzip");
    let outcome = ask(&ChatRequest::new("m").user("hi").stream(true), &answer);
    assert_eq!(outcome.request.headers()["accept-encoding"], "identity");
    let error = outcome.result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.message().contains("compressed"), "{error}");
}

// F36
#[test]
fn a_stream_in_one_chunk_gives_the_same_response() {
    let body = format!("{}{DONE}", chunks(&[&text("a"), &text("b"), STOP]));
    let outcome = streamed(body);
    let deltas = outcome.events.iter().filter_map(StreamEvent::text);
    assert_eq!(deltas.collect::<Vec<_>>(), ["a", "b"]);
}

// F40
#[test]
fn a_long_error_page_is_cut_between_characters() {
    for length in 2030..2060 {
        let body = "漢".repeat(length / 3) + &"é".repeat(600);
        let error = ask(
            &ChatRequest::new("m").user("hi"),
            &Answer::new(500, "text/html", body.clone()),
        );
        let error = error.result.unwrap_err();
        assert!(error.message().len() < 2300);
        assert_eq!(error.body(), body.as_bytes());
    }
}

// F43
#[test]
fn every_shape_of_an_error_body_is_read() {
    let shapes = [
        (
            400,
            r#"{"error":{"message":"m","code":400}}"#,
            ErrorKind::BadRequest,
        ),
        (400, r#"{"error":"m"}"#, ErrorKind::BadRequest),
        (
            400,
            r#"[{"error":{"message":"m","code":400,"status":"INVALID_ARGUMENT"}}]"#,
            ErrorKind::BadRequest,
        ),
        (
            400,
            r#"{"code":"Client specified an invalid argument","error":"m"}"#,
            ErrorKind::BadRequest,
        ),
        (
            422,
            r#"{"detail":[{"type":"missing","loc":["body","x"],"msg":"m"}]}"#,
            ErrorKind::UnprocessableEntity,
        ),
        (401, r#"{"detail":"m"}"#, ErrorKind::Authentication),
        (
            429,
            r#"{"message":"m","type":"too_many_requests_error","param":"quota","code":"token_quota_exceeded"}"#,
            ErrorKind::RateLimit,
        ),
        (
            429,
            r#"{"error":{"message":"m","type":"insufficient_quota","code":"insufficient_quota"}}"#,
            ErrorKind::QuotaExceeded,
        ),
        (
            400,
            r#"{"error":{"code":400,"message":"m","type":"exceed_context_size_error","n_ctx":512}}"#,
            ErrorKind::ContextOverflow,
        ),
        (
            400,
            r#"{"error":{"message":"m","code":"content_filter","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
            ErrorKind::ContentFiltered,
        ),
    ];
    for (status, body, wanted) in shapes {
        let answer = Answer::new(status, "application/json", body);
        let error = ask(&ChatRequest::new("m").user("hi"), &answer)
            .result
            .unwrap_err();
        assert_eq!(error.kind(), wanted, "{body}");
        assert!(error.message().contains('m'), "{body}");
        assert_eq!(error.status(), Some(status));
    }
}

// F73
#[test]
fn deep_nesting_neither_overflows_nor_fails_the_response() {
    for depth in [127, 128, 1_000_000] {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let body = WHOLE.replacen('{', &format!("{{\"x\":{deep},"), 1);
        assert_eq!(ok(whole(body)).text(), "hi", "{depth}");
        let call = format!(
            r#"{{"id":"c","model":"m","choices":[{{"message":{{"tool_calls":[{{"id":"a","function":{{"name":"f","arguments":{deep}}}}}]}},"finish_reason":"tool_calls"}}]}}"#
        );
        let response = ok(whole(call));
        assert_eq!(response.tool_calls().next().unwrap().arguments, deep);
    }
}

// F74
#[test]
fn a_member_given_twice_does_not_cost_the_stream() {
    let twice = r#"{"index":0,"delta":{"content":"a","content":"b"},"index":0}"#;
    assert_eq!(ok(streamed(chunks(&[twice, STOP]))).text(), "b");
    let call = r#"{"index":0,"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":{"big":18446744073709551617,"x":1.0}}}]}}"#;
    let response = ok(streamed(chunks(&[call, STOP])));
    let arguments = &response.tool_calls().next().unwrap().arguments;
    assert_eq!(arguments, r#"{"big":18446744073709551617,"x":1.0}"#);
}

// F75
#[test]
fn invalid_json_is_an_error_with_an_excerpt() {
    for number in ["NaN", "Infinity", "-Infinity", "1e999"] {
        let frame = format!(
            r#"{{"index":0,"delta":{{"content":"a"}},"logprobs":{{"content":[{{"token":"a","logprob":{number}}}]}}}}"#
        );
        let outcome = streamed(chunks(&[&frame, STOP]));
        match number {
            // A number that no float can represent: only this probability is unknown.
            "1e999" => assert_eq!(ok(outcome).text(), "a"),
            _ => {
                let error = outcome.result.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Protocol, "{number}");
                assert!(error.message().contains(number), "{error}");
            }
        }
    }
}

// F76, F87
#[test]
fn invalid_counts_are_ignored_without_failing_the_response() {
    let usages = [
        (
            r#"{"prompt_tokens":-35,"completion_tokens":1.0,"total_tokens":"7"}"#,
            [None, Some(1), Some(7)],
        ),
        (
            r#"{"prompt_tokens":null,"completion_tokens":18446744073709551616,"total_tokens":4294967296}"#,
            [None, None, Some(4_294_967_296)],
        ),
        (
            r#"{"prompt_tokens":{},"completion_tokens":[1],"total_tokens":true}"#,
            [None, None, None],
        ),
        (
            r#"{"prompt_tokens":1e999,"completion_tokens":-1e999,"total_tokens":2}"#,
            [None, None, Some(2)],
        ),
        (
            r#"{"prompt_tokens":3,"prompt_tokens_details":null,"completion_tokens_details":[]}"#,
            [Some(3), None, None],
        ),
    ];
    for (usage, wanted) in usages {
        let body = WHOLE.replacen('{', &format!("{{\"usage\":{usage},"), 1);
        let read = ok(whole(body)).usage.unwrap();
        assert_eq!(
            [
                read.prompt_tokens,
                read.completion_tokens,
                read.total_tokens
            ],
            wanted
        );
        assert_eq!(read.raw.unwrap().as_str(), usage);
    }
    for usage in ["7", "[]", "\"many\""] {
        let body = WHOLE.replacen('{', &format!("{{\"usage\":{usage},"), 1);
        assert_eq!(ok(whole(body)).usage, None, "{usage}");
    }
}

// F78, F79
#[test]
fn chunks_without_choices_and_after_the_finish_are_fine() {
    let azure = r#"data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0}]}"#;
    let after = r#"{"index":0,"delta":{},"finish_reason":null}"#;
    let again = r#"{"index":0,"delta":{},"finish_reason":"length"}"#;
    let usage = format!("data: {{{HEAD},\"choices\":[],\"usage\":{{\"prompt_tokens\":3}}}}\n\n");
    let body = chunks(&[&text("hi"), STOP, after, again]);
    let response = ok(streamed(format!("{azure}\n\n{body}{usage}{DONE}")));
    assert_eq!((response.id.as_str(), response.model.as_str()), ("c1", "m"));
    assert_eq!(response.choices[0].finish_reason, Some(FinishReason::Stop));
    assert_eq!(response.usage.unwrap().prompt_tokens, Some(3));
    let extra = &response.provider_metadata.extra;
    assert_eq!(extra[0].0, "prompt_filter_results");
}

// F83
#[test]
fn half_a_character_is_replaced_in_text_and_refused_in_arguments() {
    let half = r#"{"index":0,"delta":{"content":"a\ud83d"}}"#;
    assert_eq!(ok(streamed(chunks(&[half, STOP]))).text(), "a\u{fffd}");
    for content in ["x", r"\ud83d"] {
        let call = format!(
            r#"{{"index":0,"delta":{{"content":"{content}","tool_calls":[{{"index":0,"id":"a","function":{{"name":"f","arguments":"{{\"x\":\"\ud83d\"}}"}}}}]}}}}"#
        );
        assert_eq!(kind(&streamed(chunks(&[&call, STOP]))), ErrorKind::Protocol);
    }
}

// F84, F85
#[test]
fn members_of_another_type_are_ignored() {
    let messages = [
        (r#"{"role":"assistant","content":null}"#, ""),
        (r#"{"content":"a","surprise":{"x":[1]}}"#, "a"),
        (
            r#"{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"},7]}"#,
            "ab",
        ),
        (r#"{"content":7,"tool_calls":"none","reasoning":false}"#, ""),
        (
            r#"{"role":9,"content":"a","refusal":{},"annotations":7,"function_call":"x"}"#,
            "a",
        ),
        // Cloudflare's JSON mode sends an object as text.
        (r#"{"content":{"text":"a"}}"#, r#"{"text":"a"}"#),
        ("null", ""),
        ("[]", ""),
    ];
    for (message, wanted) in messages {
        let body =
            format!(r#"{{{HEAD},"choices":[{{"message":{message},"finish_reason":"stop"}}]}}"#);
        assert_eq!(ok(whole(body)).text(), wanted, "{message}");
        let delta = format!(r#"{{"index":0,"delta":{message}}}"#);
        assert_eq!(
            ok(streamed(chunks(&[&delta, STOP]))).text(),
            wanted,
            "{message}"
        );
    }
    for choices in ["\"x\"", "7", "{}"] {
        let body = format!(r#"{{{HEAD},"choices":{choices}}}"#);
        assert_eq!(kind(&whole(body)), ErrorKind::Protocol, "{choices}");
    }
}

// F86
#[test]
fn one_byte_order_mark_is_dropped_and_glued_values_are_refused() {
    assert_eq!(ok(whole(format!("\u{feff}{WHOLE}"))).text(), "hi");
    assert_eq!(ok(whole(format!("{WHOLE}\n\n"))).text(), "hi");
    assert_eq!(kind(&whole(format!("{WHOLE}{WHOLE}"))), ErrorKind::Protocol);
    assert_eq!(kind(&whole(format!("{WHOLE} x"))), ErrorKind::Protocol);
    let glued = format!("data: {{{HEAD},\"choices\":[{STOP}]}}{{}}\n\n");
    assert_eq!(kind(&streamed(glued)), ErrorKind::Protocol);
}

// F88
#[test]
fn several_choices_may_interleave_and_all_must_finish() {
    let delta =
        |index: u32, text: &str| format!(r#"{{"index":{index},"delta":{{"content":"{text}"}}}}"#);
    let finish = |index: u32| format!(r#"{{"index":{index},"delta":{{}},"finish_reason":"stop"}}"#);
    let parts = [
        delta(1, "b"),
        delta(0, "a"),
        delta(1, "B"),
        delta(0, "A"),
        finish(1),
        finish(0),
    ];
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let request = ChatRequest::new("m")
        .user("hi")
        .n(2)
        .stream(true)
        .drop_unsupported();
    let response = ok(ask(&request, &Answer::sse(chunks(&parts))));
    let texts: Vec<String> = response
        .choices
        .iter()
        .map(|c| c.message.text().into_owned())
        .collect();
    assert_eq!(texts, ["aA", "bB"]);
    let cut = ask(&request, &Answer::sse(chunks(&parts[..5])));
    assert_eq!(kind(&cut), ErrorKind::Truncated);
    let flood: Vec<String> = (0..1000).map(|index| delta(index, "x")).collect();
    let flood: Vec<&str> = flood.iter().map(String::as_str).collect();
    assert_eq!(kind(&streamed(chunks(&flood))), ErrorKind::TooLarge);
}

// F90
#[test]
fn body_limits_count_received_bytes() {
    let long = "x".repeat(70 << 10);
    let answer = Answer::new(500, "text/plain", long);
    let error = ask(&ChatRequest::new("m").user("hi"), &answer)
        .result
        .unwrap_err();
    assert_eq!(error.body().len(), 64 << 10);
    let flood: String = (0..300)
        .map(|n| format!(r#"data: {{"choices":[{{"delta":{{"tool_calls":[{{"id":"{n}","function":{{"name":"f"}}}}]}}}}]}}{}"#, "\n\n"))
        .collect();
    assert_eq!(kind(&streamed(flood)), ErrorKind::TooLarge);
}
