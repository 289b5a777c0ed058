//! The protocols of Anthropic, Gemini, OpenAI Responses and OpenAI chat.
#![expect(clippy::disallowed_methods, reason = "a test with real sockets")]

mod client;
#[path = "protocols/interactions.rs"]
mod interactions;

use client::{Client, End, Response};
use serde_json::{Value, json};
use unifiedai_loopback::{Config, Loopback};

fn server() -> Loopback {
    Loopback::start(Config::fast()).unwrap()
}

fn anthropic(server: &Loopback, body: &Value) -> Response {
    let headers = "x-api-key: k\r\nanthropic-version: 2023-06-01\r\n";
    Client::new(server).request("POST", "/v1/messages", headers, &body.to_string())
}

fn post(server: &Loopback, path: &str, body: &Value) -> Response {
    Client::new(server).request("POST", path, "", &body.to_string())
}

fn kinds(response: &Response) -> Vec<String> {
    let mut kinds: Vec<_> = response
        .events()
        .iter()
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect();
    kinds.dedup();
    kinds
}

fn with(mut body: Value, more: Value) -> Value {
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    body
}

#[test]
fn anthropic_stream_equals_single_body() {
    let server = server();
    let request = json!({"model": "claude-think", "max_tokens": 500, "messages": [{"role": "user", "content": [{"type": "text", "text": "echo: hi there"}]}]});
    let body = anthropic(&server, &request).json();
    assert_eq!(
        (&body["type"], &body["stop_reason"]),
        (&json!("message"), &json!("end_turn"))
    );
    let streamed = anthropic(&server, &with(request, json!({"stream": true})));
    let block = [
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
    ];
    let first = [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_stop",
    ];
    assert_eq!(
        kinds(&streamed),
        [&first[..], &block, &["message_delta", "message_stop"]].concat()
    );
    assert_eq!(
        streamed.joined("/delta/text"),
        body["content"][1]["text"].as_str().unwrap()
    );
    assert_eq!(
        streamed.joined("/delta/thinking"),
        body["content"][0]["thinking"].as_str().unwrap()
    );
    assert_eq!(
        streamed.joined("/delta/signature"),
        body["content"][0]["signature"].as_str().unwrap()
    );
    assert_eq!(streamed.joined("/delta/stop_reason"), "end_turn");
    assert!(streamed.text().starts_with("event: message_start\ndata: {"));
    assert!(!streamed.text().contains("[DONE]"));
    assert!(
        streamed.header("request-id").is_some()
            && streamed
                .header("anthropic-ratelimit-tokens-reset")
                .unwrap()
                .ends_with('Z')
    );
}

#[test]
fn anthropic_calls_tools() {
    let server = server();
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let request = json!({"model": "claude", "max_tokens": 500, "messages": [{"role": "user", "content": "use the tool with 7"}],
        "tools": [{"name": "f", "input_schema": schema}]});
    let body = anthropic(&server, &request).json();
    let call = &body["content"][0];
    assert_eq!(
        (&body["stop_reason"], &call["input"]),
        (&json!("tool_use"), &json!({"a": 7}))
    );
    assert!(call["id"].as_str().unwrap().starts_with("toolu_01"));
    let streamed = anthropic(&server, &with(request.clone(), json!({"stream": true})));
    assert_eq!(
        serde_json::from_str::<Value>(&streamed.joined("/delta/partial_json")).unwrap(),
        json!({"a": 7})
    );
    let result = json!({"type": "tool_result", "tool_use_id": call["id"], "content": "49"});
    let mut request = request;
    let turns = [
        json!({"role": "assistant", "content": body["content"]}),
        json!({"role": "user", "content": [result]}),
    ];
    request["messages"].as_array_mut().unwrap().extend(turns);
    assert_eq!(
        anthropic(&server, &request).json()["content"][0]["text"],
        "The tool answered: 49"
    );
}

#[test]
fn anthropic_errors_have_its_own_format() {
    let server = server();
    let right =
        json!({"model": "claude", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]});
    for (change, status, kind) in [
        (json!({"max_tokens": 0}), 400, "invalid_request_error"),
        (json!({"n": 2}), 400, "invalid_request_error"),
        (json!({"model": "missing"}), 404, "not_found_error"),
        (
            json!({"model": "fault-status-529"}),
            529,
            "overloaded_error",
        ),
        (
            json!({"model": "fault-status-400+code=billing_error"}),
            400,
            "billing_error",
        ),
        (
            json!({"model": "fault-context-overflow"}),
            400,
            "invalid_request_error",
        ),
    ] {
        let response = anthropic(&server, &with(right.clone(), change));
        assert_eq!(
            (response.status, response.json()["error"]["type"].as_str()),
            (status, Some(kind))
        );
        assert_eq!(response.json()["type"], "error");
        assert_eq!(
            response.header("x-should-retry"),
            Some(if status == 529 { "true" } else { "false" })
        );
    }
    let models =
        Client::new(&server).request("GET", "/v1/models", "anthropic-version: 2023-06-01\r\n", "");
    assert_eq!(models.json()["has_more"], false);
    let no_version = post(&server, "/v1/messages", &right);
    assert_eq!(no_version.status, 400);
    let failing = with(
        right,
        json!({"model": "fault-error-in-stream-at-3", "stream": true}),
    );
    let failing = anthropic(&server, &failing);
    assert_eq!(
        (kinds(&failing).last().unwrap().as_str(), failing.end),
        ("error", End::Framed)
    );
}

#[test]
fn gemini_framings_give_the_same_response() {
    let server = server();
    let path = "/v1beta/models/gemini-think:";
    let request = json!({"contents": [{"role": "user", "parts": [{"text": "echo: hi there"}]}],
        "generationConfig": {"thinkingConfig": {"includeThoughts": true}}});
    let body = post(&server, &format!("{path}generateContent"), &request).json();
    let parts = &body["candidates"][0]["content"]["parts"];
    assert_eq!(
        (&parts[0]["thought"], &parts[1]["text"]),
        (&json!(true), &json!("hi there"))
    );
    let usage = &body["usageMetadata"];
    let sum: u64 = [
        "promptTokenCount",
        "candidatesTokenCount",
        "thoughtsTokenCount",
    ]
    .iter()
    .map(|name| usage[*name].as_u64().unwrap())
    .sum();
    assert_eq!(usage["totalTokenCount"], sum);
    let events = post(
        &server,
        &format!("{path}streamGenerateContent?alt=sse"),
        &request,
    );
    assert!(events.text().starts_with("data: {") && events.text().ends_with("\r\n\r\n"));
    let array = post(&server, &format!("{path}streamGenerateContent"), &request);
    let array = array.json();
    for responses in [&events.events(), array.as_array().unwrap()] {
        let texts = |thought: bool| -> String {
            let parts = responses
                .iter()
                .map(|response| &response["candidates"][0]["content"]["parts"][0]);
            parts
                .filter(|part| part.get("thought").is_some() == thought)
                .map(|part| part["text"].as_str().unwrap())
                .collect()
        };
        assert_eq!(
            (texts(false).as_str(), texts(true)),
            ("hi there", parts[0]["text"].as_str().unwrap().to_owned())
        );
        assert_eq!(
            responses.last().unwrap()["candidates"][0]["finishReason"],
            "STOP"
        );
        assert_eq!(&responses.last().unwrap()["usageMetadata"], usage);
    }
}

#[test]
fn gemini_calls_functions_and_cuts() {
    let server = server();
    let path = "/v1beta/models/gemini-2:generateContent";
    let declaration = json!({"name": "f", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "INTEGER"}}}});
    let request = json!({"contents": [{"role": "user", "parts": [{"text": "use the tool with 7"}]}], "tools": [{"functionDeclarations": [declaration]}]});
    let body = post(&server, path, &request).json();
    assert_eq!(
        body["candidates"][0]["content"]["parts"][0]["functionCall"],
        json!({"name": "f", "args": {"a": 7}})
    );
    assert_eq!(body["candidates"][0]["finishReason"], "STOP");
    let mut answered = request;
    let response = json!({"functionResponse": {"name": "f", "response": {"value": 49}}});
    let turns = [
        body["candidates"][0]["content"].clone(),
        json!({"role": "user", "parts": [response]}),
    ];
    answered["contents"].as_array_mut().unwrap().extend(turns);
    let body = post(&server, path, &answered).json();
    assert!(
        body["candidates"][0]["content"]["parts"][0]["text"]
            .as_str()
            .unwrap()
            .contains("49")
    );
    let cut = json!({"contents": [{"parts": [{"text": "x"}]}], "generationConfig": {"maxOutputTokens": 2}});
    for operation in ["generateContent", "streamGenerateContent?alt=sse"] {
        let response = post(
            &server,
            &format!("/v1beta/models/gemini-think:{operation}"),
            &cut,
        );
        let body = if operation.ends_with("sse") {
            response.events()[0].clone()
        } else {
            response.json()
        };
        assert_eq!(body["candidates"][0]["finishReason"], "MAX_TOKENS");
        assert!(body["candidates"][0]["content"].get("parts").is_none());
    }
}

#[test]
fn gemini_errors_have_its_own_format() {
    let server = server();
    let right = json!({"contents": [{"parts": [{"text": "x"}]}]});
    let generate = |model: &str| {
        post(
            &server,
            &format!("/v1beta/models/{model}:generateContent"),
            &right,
        )
    };
    let throttled = generate("fault-status-429").json();
    assert_eq!(
        (&throttled["error"]["code"], &throttled["error"]["status"]),
        (&json!(429), &json!("RESOURCE_EXHAUSTED"))
    );
    assert_eq!(throttled["error"]["details"][0]["retryDelay"], "2s");
    assert_eq!(generate("missing").json()["error"]["status"], "NOT_FOUND");
    let wrong = Client::new(&server).request(
        "POST",
        "/v1beta/models/m:generateContent",
        "x-goog-api-key: wrong\r\n",
        &right.to_string(),
    );
    assert_eq!(
        (
            wrong.status,
            wrong.json()["error"]["details"][0]["reason"].as_str()
        ),
        (400, Some("API_KEY_INVALID"))
    );
    for (operation, at) in [
        ("streamGenerateContent?alt=sse", 1),
        ("streamGenerateContent", 0),
        ("streamGenerateContent", 2),
    ] {
        let response = post(
            &server,
            &format!("/v1beta/models/fault-error-in-stream-at-{at}:{operation}"),
            &right,
        );
        let events = if operation.ends_with("sse") {
            response.events()
        } else {
            response.json().as_array().unwrap().clone()
        };
        assert_eq!(
            (events.len(), &events[at]["error"]["code"]),
            (at + 1, &json!(503))
        );
    }
    assert_eq!(
        Client::new(&server).get("/v1beta/models?pageSize=5").json()["models"][0]["name"],
        "models/gemini-loopback"
    );
}

#[test]
fn responses_stream_equals_single_body() {
    let server = server();
    let request = json!({"model": "gpt-think", "input": "echo: hi there"});
    let body = post(&server, "/v1/responses", &request).json();
    assert_eq!(
        (&body["status"], &body["output"][1]["content"][0]["text"]),
        (&json!("completed"), &json!("hi there"))
    );
    let streamed = post(
        &server,
        "/v1/responses",
        &with(request, json!({"stream": true})),
    );
    let events = streamed.events();
    assert_eq!(
        kinds(&streamed)[..3],
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added"
        ]
    );
    assert!(
        events
            .iter()
            .enumerate()
            .all(|(at, event)| event["sequence_number"] == at)
    );
    let text: String = events
        .iter()
        .filter(|event| event["type"] == "response.output_text.delta")
        .map(|event| event["delta"].as_str().unwrap())
        .collect();
    assert_eq!(text, "hi there");
    let last = events.last().unwrap();
    assert_eq!(
        (&last["type"], &last["response"]["usage"]),
        (&json!("response.completed"), &body["usage"])
    );
    assert_eq!(
        last["response"]["output"][0]["summary"],
        body["output"][0]["summary"]
    );
    assert!(!streamed.text().contains("[DONE]"));
    let cut = post(
        &server,
        "/v1/responses",
        &json!({"model": "m", "input": "x", "max_output_tokens": 2, "stream": true}),
    );
    assert_eq!(
        cut.events().last().unwrap()["response"]["incomplete_details"]["reason"],
        "max_output_tokens"
    );
}

#[test]
fn responses_call_functions_and_fail() {
    let server = server();
    let tools = json!([{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}]);
    let mut request = json!({"model": "m", "input": [{"role": "user", "content": "use the tool with 7"}], "tools": tools});
    let body = post(&server, "/v1/responses", &request).json();
    let call = body["output"][0].clone();
    assert_eq!(
        serde_json::from_str::<Value>(call["arguments"].as_str().unwrap()).unwrap(),
        json!({"a": 7})
    );
    let streamed = post(
        &server,
        "/v1/responses",
        &with(request.clone(), json!({"stream": true})),
    );
    assert!(
        streamed
            .events()
            .iter()
            .any(|event| event["type"] == "response.function_call_arguments.done")
    );
    let output =
        json!({"type": "function_call_output", "call_id": call["call_id"], "output": "49"});
    request["input"]
        .as_array_mut()
        .unwrap()
        .extend([call, output]);
    let body = post(&server, "/v1/responses", &request).json();
    assert_eq!(
        body["output"][0]["content"][0]["text"],
        "The tool answered: 49"
    );

    assert_eq!(
        post(
            &server,
            "/v1/responses",
            &json!({"model": "missing", "input": "x"})
        )
        .json()["error"]["code"],
        "model_not_found"
    );
    let failed = post(
        &server,
        "/v1/responses",
        &json!({"model": "fault-error-in-stream-at-2+code=server_error", "input": "x", "stream": true}),
    );
    let last = failed.events().pop().unwrap();
    assert_eq!(
        (&last["type"], &last["response"]["error"]["code"]),
        (&json!("response.failed"), &json!("server_error"))
    );
    let failed = post(
        &server,
        "/v1/responses",
        &json!({"model": "fault-error-in-200", "input": "x"}),
    );
    assert_eq!(
        (failed.status, &failed.json()["status"]),
        (200, &json!("failed"))
    );
}

#[test]
fn openai_chat_has_nulls_a_usage_chunk_and_an_end() {
    let server = server();
    let path = "/openai/v1/chat/completions";
    let mut request = json!({"model": "gpt-oss", "messages": [{"role": "user", "content": "echo: hi there"}], "anything": 1});
    let body = post(&server, path, &request).json();
    let message = &body["choices"][0]["message"];
    assert_eq!(
        (
            &message["content"],
            message["reasoning_content"].is_string()
        ),
        (&json!("hi there"), true)
    );
    request = with(
        request,
        json!({"stream": true, "stream_options": {"include_usage": true}}),
    );
    let streamed = post(&server, path, &request);
    assert!(streamed.text().ends_with("data: [DONE]\n\n"));
    assert_eq!(streamed.added(0, "content"), "hi there");
    let events = streamed.events();
    assert_eq!(
        (
            &events[events.len() - 1]["choices"],
            &events[events.len() - 1]["usage"]
        ),
        (&json!([]), &body["usage"])
    );
    assert_eq!(events[0]["choices"][0]["finish_reason"], Value::Null);
    request["model"] = "fault-no-done".into();
    assert!(!post(&server, path, &request).text().contains("[DONE]"));
    request["model"] = "fault-hold-open-after-done".into();
    let mut client = Client::new(&server).patience(std::time::Duration::from_millis(500));
    let held = client.request("POST", path, "", &request.to_string());
    assert_eq!(
        (held.end, held.text().matches("[DONE]").count()),
        (End::Silence, 1)
    );
    request["model"] = "fault-status-429".into();
    let throttled = post(&server, path, &request);
    assert_eq!(throttled.json()["error"]["code"], "rate_limit_exceeded");
    assert_eq!(throttled.header("x-ratelimit-reset-tokens"), Some("6m0s"));
}

#[test]
fn load_responses_have_exactly_their_tokens() {
    let server = server();
    for _ in 0..2 {
        let chat = json!({"model": "load-50", "stream": true, "max_tokens": 500, "messages": [{"role": "user", "content": "x"}]});
        let deltas = |response: Response, pointer: &str| {
            response
                .events()
                .iter()
                .filter(|event| event.pointer(pointer).is_some_and(|text| text != ""))
                .count()
        };
        assert_eq!(deltas(anthropic(&server, &chat), "/delta/text"), 50);
        assert_eq!(
            deltas(
                post(&server, "/openai/v1/chat/completions", &chat),
                "/choices/0/delta/content"
            ),
            50
        );
        let gemini = json!({"contents": [{"parts": [{"text": "x"}]}]});
        let path = "/v1beta/models/load-50:streamGenerateContent?alt=sse";
        assert_eq!(
            deltas(
                post(&server, path, &gemini),
                "/candidates/0/content/parts/0/text"
            ),
            50
        );
        let responses = json!({"model": "load-50", "input": "x", "stream": true});
        assert_eq!(
            deltas(post(&server, "/v1/responses", &responses), "/delta"),
            50
        );
    }
}

#[test]
fn every_protocol_survives_every_stream_fault() {
    let server = server();
    for spec in [
        "cut-at-100",
        "cut-clean-at-1",
        "reset-at-1",
        "half-json",
        "corrupt-at-1",
        "comments+crlf",
        "bom",
        "split-bytes-3",
        "done",
    ] {
        let header = format!("x-loopback-fault: {spec}\r\nanthropic-version: 2023-06-01\r\n");
        let chat = json!({"model": "m", "stream": true, "max_tokens": 50, "messages": [{"role": "user", "content": "x"}]});
        let gemini = json!({"contents": [{"parts": [{"text": "x"}]}]});
        let bedrock = json!({"messages": [{"role": "user", "content": [{"text": "x"}]}]});
        for (path, body) in [
            ("/v1/messages", &chat),
            ("/openai/v1/chat/completions", &chat),
            ("/v1beta/models/m:streamGenerateContent", &gemini),
            ("/v1beta/models/m:streamGenerateContent?alt=sse", &gemini),
            ("/model/m/converse-stream", &bedrock),
            (
                "/v1/responses",
                &json!({"model": "m", "stream": true, "input": "x"}),
            ),
            (
                "/v1beta/interactions",
                &json!({"model": "m", "stream": true, "input": "x"}),
            ),
        ] {
            let response = Client::new(&server).request("POST", path, &header, &body.to_string());
            let end = match spec {
                "cut-at-100" => End::Cut,
                "reset-at-1" => End::Reset,
                _ => End::Framed,
            };
            assert_eq!((response.status, response.end), (200, end), "{spec} {path}");
        }
    }
}

#[test]
fn anthropic_writes_a_marked_beginning_once_and_reads_it_afterwards() {
    let server = server();
    let request = |question: &str, mark: bool| {
        let mut book = json!({"type": "text", "text": "word ".repeat(400)});
        if mark {
            book["cache_control"] = json!({"type": "ephemeral"});
        }
        let content = json!([book, {"type": "text", "text": question}]);
        json!({"model": "claude", "max_tokens": 50, "messages": [{"role": "user", "content": content}]})
    };
    let counts = |usage: &Value| {
        let names = [
            "input_tokens",
            "cache_creation_input_tokens",
            "cache_read_input_tokens",
        ];
        names.map(|name| usage[name].as_u64().unwrap())
    };
    let ask = |request: &Value| counts(&anthropic(&server, request).json()["usage"]);
    // 2,000 bytes of text and the message are 504 tokens, the question is 2, the prompt 2 more.
    assert_eq!(ask(&request("question", false)), [508, 0, 0]);
    let failed = with(
        request("question", true),
        json!({"model": "claude~status-529"}),
    );
    assert_eq!(anthropic(&server, &failed).status, 529);
    assert_eq!(ask(&request("question", true)), [4, 504, 0]);
    assert_eq!(ask(&request("question", true)), [4, 0, 504]);
    assert_eq!(ask(&request("question", false)), [508, 0, 0]);
    let streamed = with(
        request("something else", true),
        json!({"stream": true, "cache_control": {"type": "ephemeral", "ttl": "1h"}}),
    );
    let events = anthropic(&server, &streamed).events();
    assert_eq!(counts(&events[0]["message"]["usage"]), [2, 4, 504]);
    assert_eq!(
        events[0]["message"]["usage"]["cache_creation"],
        json!({"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 4})
    );
    assert_eq!(counts(&events[events.len() - 2]["usage"]), [2, 4, 504]);
    let other_model = with(request("question", true), json!({"model": "claude-2"}));
    assert_eq!(ask(&other_model), [4, 504, 0]);
}

#[test]
fn responses_in_the_background_are_kept() {
    let server = server();
    let request =
        json!({"model": "m", "input": "echo: one two", "background": true, "stream": true});
    let stream = post(&server, "/v1/responses", &request);
    let events = stream.events();
    let numbers: Vec<_> = events
        .iter()
        .map(|event| event["sequence_number"].clone())
        .collect();
    assert_eq!(json!(numbers), json!((0..events.len()).collect::<Vec<_>>()));
    assert_eq!(events[1]["type"], "response.queued");
    let id = events[0]["response"]["id"].as_str().unwrap();
    let path = format!("/v1/responses/{id}");
    let get = |query: &str| Client::new(&server).get(&[&path, query].concat());
    assert_eq!(get("?stream=true").events(), events);
    assert_eq!(get("?stream=true&starting_after=4").events(), events[5..]);
    assert_eq!(get("").json()["status"], "in_progress");
    let complete = get("").json();
    assert_eq!(
        complete["output"],
        events.last().unwrap()["response"]["output"]
    );
    let removed = Client::new(&server).request("DELETE", &path, "", "");
    assert_eq!(removed.json()["deleted"], true);
    assert_eq!(get("").status, 404);

    let later = with(request, json!({"stream": false, "model": "stale"}));
    let queued = post(&server, "/v1/responses", &later).json();
    assert_eq!(
        (&queued["status"], &queued["output"]),
        (&json!("queued"), &json!([]))
    );
    let path = format!("/v1/responses/{}", queued["id"].as_str().unwrap());
    let get = |query: &str| Client::new(&server).get(&[&path, query].concat());
    assert_eq!(get("?stream=true").status, 400);
    let cancelled = post(&server, &[&path, "/cancel"].concat(), &json!({})).json();
    assert_eq!(
        (&cancelled["status"], &cancelled["usage"]),
        (&json!("cancelled"), &Value::Null)
    );
    assert!(get("").json()["usage"]["total_tokens"].as_u64().unwrap() > 0);
}

#[test]
fn anthropic_pauses_a_turn_and_refuses_a_changed_one() {
    let server = server();
    let user = json!({"role": "user", "content": "pause: 1"});
    let body = |messages: Value| json!({"model": "m", "max_tokens": 50, "messages": messages});
    let first = anthropic(&server, &body(json!([user]))).json();
    assert_eq!(first["stop_reason"], "pause_turn");
    let so_far = json!({"role": "assistant", "content": first["content"]});
    let second = anthropic(&server, &body(json!([user, so_far]))).json();
    assert_eq!(second["stop_reason"], "end_turn");
    assert_eq!(second["content"][0]["tool_use_id"], "srvtoolu_0");
    let mut changed = so_far.clone();
    changed["content"].as_array_mut().unwrap().pop();
    assert_eq!(
        anthropic(&server, &body(json!([user, changed]))).status,
        400
    );
}
