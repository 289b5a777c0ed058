//! Responses of the Interactions API: single bodies and streams give the same; invalid responses are errors.

use super::support::drive::{Answer, Arrival, Outcome, chat};
use serde_json::{Value, json};
use std::sync::Arc;
use unifiedai::{
    ChatRequest, ContentPart, ErrorKind, FinishReason, UnifiedChatResponse,
    provider::{GeminiInteractions, Provider},
    sans_io::Accumulator,
};

fn provider() -> Arc<dyn Provider> {
    Arc::new(GeminiInteractions::new("k").unwrap())
}

fn ask(stream: bool) -> ChatRequest {
    ChatRequest::new("gemini-3-flash").user("hi").stream(stream)
}

fn whole(body: &Value) -> Outcome {
    let answer = Answer::json(body.to_string());
    chat(&provider(), &ask(false), &answer, Arrival::Whole)
}

fn event(payload: &Value) -> String {
    let name = payload["event_type"].as_str().unwrap();
    format!("event: {name}\ndata: {payload}\n\n")
}

fn stream(events: &[Value]) -> String {
    events.iter().map(event).collect::<String>() + "event: done\ndata: [DONE]\n\n"
}

fn run(body: &str, arrival: Arrival) -> Outcome {
    chat(
        &provider(),
        &ask(true),
        &Answer::sse(body.to_owned()),
        arrival,
    )
}

fn usage() -> Value {
    json!({"total_tokens": 20, "total_input_tokens": 4, "total_output_tokens": 7, "total_thought_tokens": 5,
        "total_tool_use_tokens": 4, "total_cached_tokens": 1})
}

/// Each step as it starts, its deltas, and the complete step.
fn steps() -> Vec<(Value, Vec<Value>, Value)> {
    let text = |text: &str| json!({"type": "text", "text": text});
    let source = |url: &str| json!({"type": "url_citation", "url": url, "title": "t", "start_index": 0, "end_index": 2});
    let image = json!({"type": "image", "mime_type": "image/png", "data": "AQID"});
    vec![
        (
            json!({"type": "thought"}),
            vec![
                json!({"type": "thought_summary", "content": text("Hm. ")}),
                json!({"type": "thought_signature", "signature": ""}),
                // Some pages of the reference have neither type.
                json!({"content": {"text": "So."}}),
                json!({"type": "thought_signature", "signature": "c2ln"}),
                json!({"type": "thought_signature", "signature": ""}),
            ],
            json!({"type": "thought", "summary": [text("Hm. "), {"text": "So."}], "signature": "c2ln"}),
        ),
        (
            json!({"type": "google_search_call", "id": "s1", "signature": ""}),
            vec![
                json!({"type": "google_search_call", "arguments": {"queries": ["q"]}, "signature": "eA=="}),
            ],
            json!({"type": "google_search_call", "id": "s1", "signature": "eA==", "arguments": {"queries": ["q"]}}),
        ),
        (
            json!({"type": "google_search_result", "call_id": "s1"}),
            vec![
                json!({"type": "google_search_result", "result": [{"search_suggestions": "<b>"}], "is_error": false}),
            ],
            json!({"type": "google_search_result", "call_id": "s1", "result": [{"search_suggestions": "<b>"}], "is_error": false}),
        ),
        (
            json!({"type": "mcp_server_tool_call", "id": "m1", "name": "n", "server_name": "s", "arguments": {}}),
            vec![
                json!({"type": "arguments_delta", "arguments": "{\"a\""}),
                json!({"type": "arguments_delta", "arguments": ":1}"}),
            ],
            json!({"type": "mcp_server_tool_call", "id": "m1", "name": "n", "server_name": "s", "arguments": {"a": 1}}),
        ),
        (
            json!({"type": "a_step_of_next_year", "what": [1]}),
            vec![],
            json!({"type": "a_step_of_next_year", "what": [1]}),
        ),
        (
            // It has its first content already.
            json!({"type": "model_output", "content": [text("Gr\u{fc}")]}),
            vec![
                text("\u{df}e."),
                json!({"type": "text_annotation_delta", "annotations": [source("https://a"), source("https://a"), source("https://b")]}),
                image.clone(),
                text(" Look."),
            ],
            json!({"type": "model_output", "content": [
                {"type": "text", "text": "Gr\u{fc}\u{df}e.", "annotations": [source("https://a"), source("https://a"), source("https://b")]},
                image,
                text(" Look."),
            ]}),
        ),
        (
            json!({"type": "function_call", "id": "c1", "name": "f", "arguments": {}, "signature": ""}),
            vec![
                json!({"type": "arguments_delta", "arguments": "{\"city\":"}),
                json!({"type": "arguments_delta", "arguments": "\"Ulm\"}", "signature": "Zg=="}),
            ],
            json!({"type": "function_call", "id": "c1", "name": "f", "arguments": {"city": "Ulm"}, "signature": "Zg=="}),
        ),
        (
            json!({"type": "function_call", "id": "c2", "name": "g", "arguments": {}}),
            vec![],
            json!({"type": "function_call", "id": "c2", "name": "g", "arguments": {}}),
        ),
    ]
}

fn head() -> Value {
    json!({"id": "v1_1", "object": "interaction", "model": "gemini-3-flash", "status": "in_progress"})
}

fn last(status: &str) -> Value {
    let mut last = head();
    last["status"] = status.into();
    last["created"] = "2026-06-05T17:35:35Z".into();
    last["updated"] = "2026-06-05T17:35:35Z".into();
    last["service_tier"] = "standard".into();
    last["usage"] = usage();
    last
}

fn opening() -> Vec<Value> {
    vec![
        json!({"event_type": "interaction.created", "interaction": head(), "event_id": "e1"}),
        json!({"event_type": "interaction.status_update", "interaction_id": "v1_1", "status": "in_progress"}),
    ]
}

fn completed(status: &str) -> Value {
    json!({"event_type": "interaction.completed", "interaction": last(status), "event_id": "e9"})
}

fn events() -> Vec<Value> {
    let mut events = opening();
    for (index, (start, deltas, _)) in steps().into_iter().enumerate() {
        events.push(json!({"event_type": "step.start", "index": index, "step": start}));
        for delta in deltas {
            events.push(json!({"event_type": "step.delta", "index": index, "delta": delta}));
        }
        events.push(json!({"event_type": "step.stop", "index": index}));
    }
    events.push(completed("requires_action"));
    events
}

fn body() -> Value {
    let mut body = last("requires_action");
    body["steps"] = steps().into_iter().map(|(_, _, step)| step).collect();
    body
}

/// What a program sees, with blocks as values.
fn seen(response: &UnifiedChatResponse) -> Vec<Value> {
    let content = &response.choices[0].message.content;
    content
        .iter()
        .map(|part| match part {
            part if part.raw().is_some() => part.raw().unwrap().block.decode().unwrap(),
            ContentPart::ToolCall(call) => {
                let data = call.provider_data.as_ref();
                json!([
                    call.id,
                    call.name,
                    call.parse::<Value>().unwrap(),
                    data.map(|data| data.data.decode::<Value>().unwrap())
                ])
            }
            ContentPart::Text { text, citations } => {
                let urls = citations.iter().map(|citation| citation.url.clone());
                json!([text, urls.collect::<Vec<_>>()])
            }
            part => serde_json::to_value(part).unwrap(),
        })
        .collect()
}

#[test]
fn every_step_is_typed_or_kept_and_a_stream_gives_the_same_as_a_body() {
    let streamed = run(&stream(&events()), Arrival::Whole);
    let response = streamed.result.unwrap();
    let all = steps();
    let block = |index: usize| all[index].2.clone();
    let image = json!({"type": "model_output", "content": [{"type": "image", "mime_type": "image/png", "data": "AQID"}]});
    let expected = vec![
        json!({"type": "reasoning", "text": "Hm. So."}),
        block(0),
        block(1),
        block(2),
        block(3),
        block(4),
        json!(["Gr\u{fc}\u{df}e.", ["https://a", "https://b"]]),
        image,
        json!([" Look.", []]),
        json!(["c1", "f", {"city": "Ulm"}, {"signature": "Zg=="}]),
        json!(["c2", "g", {}, null]),
    ];
    assert_eq!(seen(&response), expected);
    assert_eq!(seen(&whole(&body()).result.unwrap()), expected);
    let choice = &response.choices[0];
    assert_eq!(choice.finish_reason, Some(FinishReason::ToolCalls));
    assert_eq!(
        choice.native_finish_reason.as_deref(),
        Some("requires_action")
    );
    assert_eq!(
        (
            &*response.id,
            &*response.model,
            response.created,
            response.service_tier.as_deref()
        ),
        (
            "v1_1",
            "gemini-3-flash",
            Some(1_780_680_935),
            Some("standard")
        )
    );
    let usage = response.usage.as_ref().unwrap();
    assert_eq!(
        (
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.total_tokens
        ),
        (Some(8), Some(12), Some(20))
    );
    assert!(response.warnings.is_empty(), "{:?}", response.warnings);
    let mut folded = Accumulator::new();
    streamed.events.iter().for_each(|event| folded.apply(event));
    assert_eq!(folded.into_response().choices, response.choices);
}

#[test]
fn chunks_change_nothing_and_every_cut_is_truncated() {
    let body = stream(&events());
    let full = run(&body, Arrival::Whole);
    let all = full.result.unwrap();
    for size in [1, 2, 7, 64] {
        let again = run(&body, Arrival::Pieces(size));
        assert_eq!(again.events, full.events, "{size}");
    }
    let end = body.find("event: done").unwrap();
    for at in 0..body.len() {
        let cut = run(&body, Arrival::Cut(at));
        match cut.result {
            Ok(response) => {
                // Without the empty line after the last event.
                assert!(at >= end - 2, "{at}");
                assert_eq!(response.choices, all.choices, "{at}");
            }
            Err(error) => {
                assert!(at < end, "{at} of {}: {error}", body.len());
                assert_eq!(error.kind(), ErrorKind::Truncated, "{at}: {error}");
                assert!(full.events.starts_with(&cut.events), "{at}");
                for call in error
                    .partial()
                    .into_iter()
                    .flat_map(UnifiedChatResponse::tool_calls)
                {
                    assert!(
                        all.tool_calls().any(|known| known == call),
                        "{at}: {call:?}"
                    );
                }
            }
        }
    }
    let text = self::body().to_string();
    for at in 0..text.len() {
        let answer = Answer::json(text.clone());
        let cut = chat(&provider(), &ask(false), &answer, Arrival::Cut(at));
        assert!(cut.result.is_err(), "{at}");
    }
}

#[test]
fn the_status_is_the_finish_reason_or_an_error() {
    let text = json!({"type": "model_output", "content": [{"type": "text", "text": "Hi"}]});
    let call = json!({"type": "function_call", "id": "c", "name": "f", "arguments": {}});
    let rows = [
        ("completed", &text, Ok("stop")),
        ("completed", &call, Ok("tool_calls")),
        ("requires_action", &call, Ok("tool_calls")),
        ("incomplete", &text, Ok("length")),
        ("budget_exceeded", &text, Ok("length")),
        ("paused", &text, Ok("paused")),
        ("cancelled", &text, Err(ErrorKind::Cancelled)),
        ("failed", &text, Err(ErrorKind::InternalServer)),
        ("in_progress", &text, Err(ErrorKind::Truncated)),
        ("queued", &text, Err(ErrorKind::Truncated)),
    ];
    for (status, step, expected) in rows {
        let mut body = last(status);
        body["steps"] = json!([step]);
        let events = [
            opening(),
            vec![
                json!({"event_type": "step.start", "index": 0, "step": step}),
                json!({"event_type": "step.stop", "index": 0}),
                completed(status),
            ],
        ]
        .concat();
        for outcome in [whole(&body), run(&stream(&events), Arrival::Whole)] {
            let result = outcome.result.map(|response| {
                let choice = response.choices[0].clone();
                assert_eq!(choice.native_finish_reason.as_deref(), Some(status));
                assert!(response.usage.is_some());
                choice.finish_reason.unwrap().as_str().to_owned()
            });
            match (result, expected) {
                (Ok(reason), Ok(expected)) => assert_eq!(reason, expected, "{status}"),
                (Err(error), Err(expected)) => assert_eq!(error.kind(), expected, "{status}"),
                (result, _) => panic!("{status}: {result:?}"),
            }
        }
    }
}

#[test]
fn a_background_interaction_is_a_response_while_it_runs() {
    let request = ask(false).extra("background", &true).unwrap();
    for status in ["in_progress", "queued"] {
        let mut body = head();
        body["status"] = status.into();
        body["model"] = Value::Null;
        body["agent"] = "deep-research".into();
        let answer = Answer::json(body.to_string());
        let response = chat(&provider(), &request, &answer, Arrival::Whole)
            .result
            .unwrap();
        let choice = &response.choices[0];
        assert_eq!(choice.native_finish_reason.as_deref(), Some(status));
        assert_eq!((&*response.id, &*response.model), ("v1_1", "deep-research"));
        assert!(choice.message.content.is_empty());
    }
}

/// A stored interaction has the conversation before the answer.
#[test]
fn a_fetched_interaction_has_only_the_steps_after_the_last_input() {
    let mut body = last("completed");
    let text =
        |kind: &str, text: &str| json!({"type": kind, "content": [{"type": "text", "text": text}]});
    body["steps"] = json!([
        text("user_input", "first"),
        text("model_output", "second"),
        {"type": "function_result", "call_id": "c", "result": "third"},
        text("model_output", "fourth"),
    ]);
    body["previous_interaction_id"] = "v1_0".into();
    body["input"] = "first".into();
    let response = whole(&body).result.unwrap();
    assert_eq!(response.text(), "fourth");
    assert!(response.provider_metadata.extra.is_empty());
    // A replay of its events begins with the input too.
    let events = [
        opening(),
        vec![
            json!({"event_type": "step.start", "index": 0, "step": {"type": "user_input"}}),
            json!({"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "first"}}),
            json!({"event_type": "step.stop", "index": 0}),
            json!({"event_type": "step.start", "index": 1, "step": {"type": "model_output"}}),
            json!({"event_type": "step.delta", "index": 1, "delta": {"type": "text", "text": "fourth"}}),
            json!({"event_type": "step.stop", "index": 1}),
            completed("completed"),
        ],
    ]
    .concat();
    let response = run(&stream(&events), Arrival::Whole).result.unwrap();
    assert_eq!(response.text(), "fourth");
}

#[test]
fn errors_inside_an_interaction_are_errors_unless_it_has_content() {
    let text = json!({"type": "model_output", "content": [{"type": "text", "text": "Hi"}]});
    let blocked =
        json!({"type": "model_output", "error": {"code": "safety", "message": "Blocked."}});
    let cut = json!({"type": "model_output", "content": [{"type": "text", "text": "Hi"}], "error": {"code": "prohibited_content", "message": "Blocked."}});
    let failure = |change: &dyn Fn(&mut Value)| {
        let mut body = last("failed");
        body["steps"] = json!([text]);
        change(&mut body);
        whole(&body).result.unwrap_err()
    };
    let error = failure(&|body| {
        body["errors"] = json!([{"code": "deadline_exceeded", "message": "Too slow."}]);
    });
    assert_eq!(
        (error.kind(), error.code(), error.message(), error.status()),
        (
            ErrorKind::Timeout,
            Some("deadline_exceeded"),
            "Too slow.",
            Some(200)
        )
    );
    assert_eq!(error.partial().unwrap().text(), "Hi");
    let error = failure(&|body| body["steps"] = json!([blocked]));
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::ContentFiltered, "Blocked.")
    );
    // The numbers of gRPC are no HTTP statuses.
    let error = failure(&|body| {
        body["steps"] =
            json!([{"type": "model_output", "error": {"code": 13, "message": "Broken."}}]);
    });
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::InternalServer, "Broken.")
    );
    let mut body = last("completed");
    body["errors"] = json!([{"code": "content_blocked", "message": "Blocked."}]);
    let error = whole(&body).result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContentFiltered);
    body["steps"] = json!([cut]);
    body["status"] = "incomplete".into();
    let response = whole(&body).result.unwrap();
    assert_eq!(
        response.choices[0].finish_reason,
        Some(FinishReason::ContentFilter)
    );
    let names: Vec<&str> = response
        .provider_metadata
        .extra
        .iter()
        .map(|(name, _)| &**name)
        .collect();
    assert_eq!(names, ["errors", "steps[0].error"]);
}

#[test]
fn error_events_end_a_stream_unless_they_are_empty() {
    let text = |text: &str| json!({"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": text}});
    let start = json!({"event_type": "step.start", "index": 0, "step": {"type": "model_output"}});
    let with = |error: Value| {
        [
            opening(),
            vec![
                start.clone(),
                text("Hi"),
                error,
                text(" you"),
                completed("completed"),
            ],
        ]
        .concat()
    };
    for empty in [json!({}), json!({"code": "", "message": ""}), Value::Null] {
        let events = with(json!({"event_type": "error", "error": empty}));
        let response = run(&stream(&events), Arrival::Whole).result.unwrap();
        assert_eq!(response.text(), "Hi you");
        let codes: Vec<&str> = response
            .warnings
            .iter()
            .map(|warning| warning.code)
            .collect();
        assert_eq!(codes, ["empty_error"]);
    }
    let error = json!({"code": "gateway_timeout", "message": "Deadline expired before operation could complete."});
    let events = with(json!({"event_type": "error", "error": error, "event_id": "e3"}));
    let error = run(&stream(&events), Arrival::Whole).result.unwrap_err();
    assert_eq!(
        (error.kind(), error.code(), error.status()),
        (ErrorKind::Timeout, Some("gateway_timeout"), Some(200))
    );
    assert_eq!(error.partial().unwrap().text(), "Hi");
}

#[test]
fn only_the_last_event_completes_a_stream() {
    let mut events = events();
    events.pop();
    let error = run(&stream(&events), Arrival::Whole).result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Truncated);
    assert!(error.message().contains("[DONE]"), "{error}");
    // Recordings without the end marker exist.
    let body = stream(&self::events()).replace("event: done\ndata: [DONE]\n\n", "");
    assert!(run(&body, Arrival::Whole).result.is_ok());
    let late =
        json!({"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "late"}});
    let response = run(&(body.clone() + &event(&late)), Arrival::Whole)
        .result
        .unwrap();
    assert!(
        response
            .warnings
            .iter()
            .any(|warning| warning.code == "behind_end")
    );
    // A cut of the server after ten minutes is a list of errors instead of events.
    let cut = event(&opening()[0]) + "[{\"error\": {\"code\": 504, \"message\": \"m\"}}]";
    let error = run(&cut, Arrival::Whole).result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Truncated);
}

#[test]
fn counts_so_far_are_kept_when_the_stream_is_cut() {
    for name in ["usage", "total_usage"] {
        let delta = json!({"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "Hi"}, "metadata": {name: usage()}});
        let body: String = opening().iter().chain([&delta]).map(event).collect();
        let error = run(&body, Arrival::Whole).result.unwrap_err();
        let usage = error.partial().unwrap().usage.clone().unwrap();
        assert_eq!(usage.total_tokens, Some(20), "{name}");
    }
}

/// Without its own end a call counts if its arguments are complete.
#[test]
fn an_open_call_counts_only_with_complete_arguments() {
    let start = json!({"event_type": "step.start", "index": 0, "step": {"type": "function_call", "id": "c", "name": "f", "arguments": {}}});
    let delta = |text: &str| json!({"event_type": "step.delta", "index": 0, "delta": {"type": "arguments_delta", "arguments": text}});
    let calls = |deltas: Vec<Value>, status: &str| {
        let events = [
            opening(),
            vec![start.clone()],
            deltas,
            vec![completed(status)],
        ]
        .concat();
        let result = run(&stream(&events), Arrival::Whole).result;
        result.map(|response| response.tool_calls().count())
    };
    assert_eq!(
        calls(vec![delta("{\"a\":1}")], "requires_action").unwrap(),
        1
    );
    assert_eq!(calls(vec![delta("{\"a\":")], "incomplete").unwrap(), 0);
    assert_eq!(calls(vec![], "incomplete").unwrap(), 0);
    let error = calls(vec![delta("{\"a\":")], "requires_action").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Truncated);
}

#[test]
fn unknown_content_is_named() {
    let unknown = [
        json!({"event_type": "step.delta", "index": 0, "delta": {"type": "scent", "notes": 1}}),
        json!({"event_type": "interaction.paused", "reason": "r"}),
        json!({"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "Hi", "tone": "warm"}}),
        json!({"event_type": "interaction.status_update", "interaction_id": "v1_1", "status": "in_progress", "queue": 3}),
    ];
    let start = json!({"event_type": "step.start", "index": 0, "step": {"type": "model_output", "voice": "v"}});
    let mut end = completed("completed");
    end["interaction"]["environment_id"] = "env".into();
    let events = [opening(), vec![start], unknown.to_vec(), vec![end]].concat();
    let response = run(&stream(&events), Arrival::Whole).result.unwrap();
    let mut codes: Vec<&str> = response
        .warnings
        .iter()
        .map(|warning| warning.code)
        .collect();
    codes.sort_unstable();
    assert_eq!(
        codes,
        [
            "unknown_delta",
            "unknown_event",
            "unknown_member",
            "unknown_member"
        ]
    );
    let extra: Vec<String> = response
        .provider_metadata
        .extra
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(extra, ["reason=\"r\"", "queue=3", "environment_id=\"env\""]);
}

#[test]
fn both_forms_of_an_http_error_have_their_kinds() {
    let own = |code: &str, message: &str| json!({"error": {"message": message, "code": code}});
    let rows = [
        (400, own("invalid_request", "m"), ErrorKind::BadRequest),
        (
            400,
            own(
                "invalid_request",
                "The input token count (9) exceeds the maximum number of tokens allowed (8).",
            ),
            ErrorKind::ContextOverflow,
        ),
        (400, own("safety", "m"), ErrorKind::ContentFiltered),
        (401, own("authentication", "m"), ErrorKind::Authentication),
        (
            403,
            own("permission_denied", "m"),
            ErrorKind::PermissionDenied,
        ),
        (404, own("model_not_found", "m"), ErrorKind::NotFound),
        (429, own("rate_limit_exceeded", "m"), ErrorKind::RateLimit),
        (429, own("quota_exceeded", "m"), ErrorKind::QuotaExceeded),
        (
            503,
            own("service_unavailable", "m"),
            ErrorKind::ServiceUnavailable,
        ),
        (504, own("gateway_timeout", "m"), ErrorKind::Timeout),
        (
            400,
            json!({"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}}),
            ErrorKind::Authentication,
        ),
        (
            429,
            json!([{"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED"}}]),
            ErrorKind::RateLimit,
        ),
    ];
    for (status, body, kind) in rows {
        let answer = Answer::new(status, "application/json; charset=UTF-8", body.to_string());
        let error = chat(&provider(), &ask(false), &answer, Arrival::Whole)
            .result
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.status()),
            (kind, Some(status)),
            "{body}"
        );
    }
}

#[test]
fn bodies_of_another_shape_are_errors() {
    for (body, kind) in [
        ("{}", ErrorKind::Protocol),
        ("[]", ErrorKind::Protocol),
        (
            r#"{"error":{"code":"api_error","message":"m"}}"#,
            ErrorKind::InternalServer,
        ),
        (r#"{"status":"comp"#, ErrorKind::Truncated),
    ] {
        let answer = Answer::json(body);
        let error = chat(&provider(), &ask(false), &answer, Arrival::Whole)
            .result
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{body}: {error}");
    }
    let huge = json!({"event_type": "step.start", "index": 4096, "step": {"type": "thought"}});
    let error = run(&event(&huge), Arrival::Whole).result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}
