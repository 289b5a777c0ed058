//! Responses without faults.
#![expect(clippy::disallowed_methods, reason = "a test with real sockets")]

mod client;

use client::{Client, End};
use serde_json::{Value, json};
use unifiedai_loopback::{Config, Loopback};

fn server() -> Loopback {
    Loopback::start(Config::fast()).unwrap()
}

fn user(text: &str) -> Value {
    json!([{"role": "user", "content": text}])
}

fn adder() -> Value {
    json!([{"type": "function", "function": {"name": "add", "parameters": {
        "type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}}}])
}

#[test]
fn single_body_response_has_the_recorded_members() {
    let server = server();
    let response =
        Client::new(&server).chat(&json!({"model": "gpt-oss-120b", "messages": user("Hello")}));
    assert_eq!(
        (response.status, response.header("content-type")),
        (200, Some("application/json"))
    );
    let body = response.json();
    let mut members: Vec<_> = body
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    members.sort_unstable();
    assert_eq!(
        members,
        [
            "choices",
            "created",
            "id",
            "model",
            "object",
            "system_fingerprint",
            "time_info",
            "usage"
        ]
    );
    assert_eq!(response.header("inference-id"), body["id"].as_str());
    let message = &body["choices"][0]["message"];
    assert!(message["content"].as_str().unwrap().contains("Hello"));
    assert!(message["reasoning"].as_str().unwrap().contains("Hello"));
    assert!(message.get("tool_calls").is_none());
    let usage = &body["usage"];
    assert_eq!(
        usage["total_tokens"].as_u64(),
        Some(
            usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap()
        )
    );
    assert!(
        usage["completion_tokens_details"]["reasoning_tokens"]
            .as_u64()
            .unwrap()
            > 0
    );
    assert!(body["time_info"]["queue_time"].is_f64());
    for name in [
        "limit-requests-day",
        "limit-tokens-minute",
        "remaining-requests-day",
        "remaining-tokens-minute",
    ] {
        response
            .header(&format!("x-ratelimit-{name}"))
            .unwrap()
            .parse::<u64>()
            .unwrap();
    }
    assert!(
        response
            .header("x-ratelimit-reset-tokens-minute")
            .unwrap()
            .contains('.')
    );
    assert!(response.header("x-request-id").is_some());
}

#[test]
fn stream_without_end_marker_gives_the_same_response() {
    let server = server();
    let mut client = Client::new(&server);
    let mut request = json!({"model": "gpt-oss-120b", "messages": user("naïve 日本語 prompt")});
    let whole = client.chat(&request).json();
    request["stream"] = true.into();
    let response = client.chat(&request);
    assert_eq!(
        response.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    assert_eq!(response.end, End::Framed);
    let events = response.events();
    assert_eq!(
        events[0]["choices"][0]["delta"],
        json!({"role": "assistant"})
    );
    assert!(events[0]["choices"][0].get("finish_reason").is_none());
    assert!(events[1]["choices"][0]["delta"].get("reasoning").is_some());
    let last = events.last().unwrap();
    assert_eq!(
        (
            &last["choices"][0]["delta"],
            &last["choices"][0]["finish_reason"]
        ),
        (&json!({}), &json!("stop"))
    );
    assert!(last["usage"].is_object() && last["time_info"].is_object());
    assert!(
        events
            .iter()
            .rev()
            .skip(1)
            .all(|event| event.get("usage").is_none())
    );
    assert_eq!(
        response.added(0, "content"),
        whole["choices"][0]["message"]["content"].as_str().unwrap()
    );
    assert_eq!(
        response.added(0, "reasoning"),
        whole["choices"][0]["message"]["reasoning"]
            .as_str()
            .unwrap()
    );
    assert_eq!(response.chunks.len(), events.len());
}

#[test]
fn tools_are_called_and_their_results_continue_the_chat() {
    let server = server();
    let mut client = Client::new(&server);
    let mut request = json!({"model": "gpt-oss-120b", "messages": user("Use the tool to add 2 and 3."), "tools": adder()});
    let body = client.chat(&request).json();
    let choice = &body["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert!(choice["message"].get("content").is_none());
    let call = &choice["message"]["tool_calls"][0];
    let id = call["id"].as_str().unwrap();
    assert!(id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let arguments: Value =
        serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments, json!({"a": 2, "b": 3}));

    let answer = choice["message"].clone();
    request["messages"].as_array_mut().unwrap().extend([
        answer,
        json!({"role": "tool", "tool_call_id": id, "content": "5"}),
    ]);
    let body = client.chat(&request).json();
    assert_eq!(
        body["choices"][0]["message"]["content"],
        "The tool answered: 5"
    );
}

#[test]
fn tool_arguments_are_sent_in_fragments_or_complete() {
    let server = server();
    let mut client = Client::new(&server);
    for (model, fragments) in [("gpt-oss-120b", true), ("llama-3.3-70b", false)] {
        let request = json!({"model": model, "stream": true, "messages": user("go"), "tools": adder(), "tool_choice": "required"});
        let events = client.chat(&request).events();
        let calls: Vec<_> = events
            .iter()
            .filter_map(|event| event.pointer("/choices/0/delta/tool_calls/0"))
            .collect();
        assert_eq!(calls.len() > 3, fragments, "{model}");
        assert!(calls[0]["id"].is_string() && calls[0]["function"]["name"] == "add");
        assert!(calls.iter().skip(1).all(|call| call.get("id").is_none()
            && call["index"] == 0
            && call["type"] == "function"));
        let arguments: String = calls
            .iter()
            .map(|call| call["function"]["arguments"].as_str().unwrap())
            .collect();
        assert!(
            serde_json::from_str::<Value>(&arguments)
                .unwrap()
                .is_object()
        );
    }
}

#[test]
fn several_tools_and_a_named_one() {
    let server = server();
    let mut client = Client::new(&server);
    let tool = |name| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}});
    let mut request = json!({"model": "m", "messages": user("use all tools"), "tools": [tool("one"), tool("two")]});
    let names = |body: Value| -> Vec<String> {
        let calls = body["choices"][0]["message"]["tool_calls"]
            .as_array()
            .unwrap();
        calls
            .iter()
            .map(|call| call["function"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(client.chat(&request).json()), ["one", "two"]);
    request["parallel_tool_calls"] = false.into();
    assert_eq!(names(client.chat(&request).json()), ["one"]);
    request["tool_choice"] = json!({"type": "function", "function": {"name": "two"}});
    assert_eq!(names(client.chat(&request).json()), ["two"]);
    request["tool_choice"] = "none".into();
    assert!(client.chat(&request).json()["choices"][0]["message"]["content"].is_string());
}

#[test]
fn the_response_matches_a_schema() {
    let server = server();
    let schema = json!({"type": "object", "properties": {
        "name": {"type": "string"}, "age": {"type": "integer"}, "ok": {"type": "boolean"},
        "kind": {"enum": ["x", "y"]}, "list": {"type": "array", "items": {"type": "number"}}},
        "required": ["name", "age", "ok", "kind", "list"], "additionalProperties": false});
    let request = json!({"model": "m", "messages": user("go"),
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": true}}});
    let body = Client::new(&server).chat(&request).json();
    let object: Value =
        serde_json::from_str(body["choices"][0]["message"]["content"].as_str().unwrap()).unwrap();
    assert!(object["name"].is_string() && object["age"].is_i64() && object["ok"].is_boolean());
    assert!(object["kind"] == "x" && object["list"][0].is_number());
}

#[test]
fn limits_and_stop_sequences_are_applied() {
    let server = server();
    let mut client = Client::new(&server);
    for name in ["max_tokens", "max_completion_tokens"] {
        let body = client
            .chat(&json!({"model": "m", "messages": user("go"), name: 4}))
            .json();
        assert_eq!(
            (
                &body["choices"][0]["finish_reason"],
                &body["usage"]["completion_tokens"]
            ),
            (&json!("length"), &json!(4))
        );
    }
    let body = client
        .chat(&json!({"model": "oss", "messages": user("go"), "max_tokens": 2}))
        .json();
    assert!(body["choices"][0]["message"].get("content").is_none());
    let body = client
        .chat(&json!({"model": "m", "messages": user("echo: one two three"), "stop": [" three"]}))
        .json();
    assert_eq!(body["choices"][0]["message"]["content"], "one two");
}

#[test]
fn reasoning_has_the_requested_format() {
    let server = server();
    let mut client = Client::new(&server);
    let mut message = |more: Value| {
        let mut request = json!({"model": "qwen-thinking", "messages": user("echo: hi")});
        request
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        client.chat(&request).json()["choices"][0]["message"].clone()
    };
    assert!(message(json!({}))["reasoning"].is_string());
    let raw = message(json!({"reasoning_format": "raw"}));
    assert!(
        raw["content"].as_str().unwrap().starts_with("<think>")
            && raw["content"].as_str().unwrap().ends_with("</think>hi")
    );
    for off in [
        json!({"reasoning_format": "hidden"}),
        json!({"reasoning_effort": "none"}),
        json!({"disable_reasoning": true}),
    ] {
        assert_eq!(message(off), json!({"role": "assistant", "content": "hi"}));
    }
}

#[test]
fn logprobs_and_several_choices() {
    let server = server();
    let mut client = Client::new(&server);
    let mut request = json!({"model": "m", "messages": user("echo: a b"), "n": 2, "logprobs": true, "top_logprobs": 2});
    let body = client.chat(&request).json();
    assert_eq!(body["choices"].as_array().unwrap().len(), 2);
    assert_eq!(
        body["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    request["stream"] = true.into();
    let response = client.chat(&request);
    let events = response.events();
    let turns: Vec<_> = events
        .iter()
        .take(4)
        .map(|event| event["choices"][0]["index"].as_u64().unwrap())
        .collect();
    assert_eq!(turns, [0, 1, 0, 1]);
    assert!(events[2]["choices"][0]["logprobs"]["content"][0]["bytes"].is_array());
    assert_eq!(
        (response.added(0, "content"), response.added(1, "content")),
        ("a b".into(), "a b (answer 2)".into())
    );
}

#[test]
fn invalid_input_is_refused() {
    let server = server();
    let mut client = Client::new(&server);
    for (request, status, code, part) in [
        (
            json!({"model": "m", "messages": user("x"), "top_k": 3}),
            400,
            "wrong_api_format",
            "'top_k' is unsupported",
        ),
        (json!({"model": "m"}), 400, "wrong_api_format", "messages"),
        (
            json!({"model": "m", "messages": []}),
            400,
            "wrong_api_format",
            "messages",
        ),
        (
            json!({"messages": user("x")}),
            400,
            "wrong_api_format",
            "model",
        ),
        (
            json!({"model": "m", "messages": user("x"), "temperature": 3}),
            400,
            "wrong_api_format",
            "temperature",
        ),
        (
            json!({"model": "m", "messages": [{"role": "assistant", "reasoning_content": "x"}]}),
            400,
            "wrong_api_format",
            "messages.0.assistant.reasoning_content",
        ),
        (
            json!({"model": "m", "messages": user("x"), "top_logprobs": 3}),
            400,
            "wrong_api_format",
            "logprobs",
        ),
        (
            json!({"model": "missing-1", "messages": user("x")}),
            404,
            "model_not_found",
            "missing-1",
        ),
        (
            json!({"model": "fault-nonsense", "messages": user("x")}),
            400,
            "wrong_api_format",
            "nonsense",
        ),
    ] {
        let response = client.chat(&request);
        assert_eq!(response.status, status, "{request}");
        let body = response.json();
        assert_eq!(body["code"], code, "{request}");
        assert!(body["message"].as_str().unwrap().contains(part), "{body}");
        assert!(body.get("error").is_none());
    }
}

#[test]
fn keys_are_checked() {
    let server = server();
    let mut client = Client::new(&server);
    assert_eq!(
        client
            .request("GET", "/v1/models", "authorization: Bearer wrong\r\n", "")
            .status,
        401
    );
    assert_eq!(
        client
            .request("GET", "/v1/models", "authorization: Bearer other\r\n", "")
            .status,
        200
    );
    let server = Loopback::start(Config {
        api_key: Some("right".into()),
        ..Config::fast()
    })
    .unwrap();
    let mut client = Client::new(&server);
    assert_eq!(client.get("/v1/models").status, 401);
    assert_eq!(
        client
            .request("GET", "/v1/models", "authorization: Bearer right\r\n", "")
            .status,
        200
    );
}

#[test]
fn models_are_listed() {
    let server = server();
    let mut client = Client::new(&server);
    let body = client.get("/v1/models?format=default").json();
    assert_eq!(body["object"], "list");
    let id = body["data"][0]["id"].as_str().unwrap();
    assert_eq!(client.get(&format!("/v1/models/{id}")).json()["id"], id);
    assert_eq!(
        client.get("/v1/models/none").json()["code"],
        "model_not_found"
    );
    assert_eq!(client.get("/v1/tcp_warming").status, 200);
}

#[test]
fn load_response_has_exactly_its_tokens() {
    let server = server();
    let mut client = Client::new(&server);
    for _ in 0..2 {
        let response =
            client.chat(&json!({"model": "load-500", "stream": true, "messages": user("x")}));
        let events = response.events();
        assert_eq!(events.len(), 502);
        assert_eq!(
            events
                .iter()
                .filter(|event| event["choices"][0]["delta"].get("content").is_some())
                .count(),
            500
        );
        assert!((230..270).contains(&(response.body.len() / events.len())));
        let body = client
            .chat(&json!({"model": "load-16", "messages": user("x")}))
            .json();
        assert_eq!(body["usage"]["completion_tokens"], 16);
    }
}

#[test]
fn the_default_prompt_gets_a_paragraph() {
    let server = server();
    let body = Client::new(&server)
        .chat(&json!({"model": "m", "messages": user("Why is fast inference important?")}))
        .json();
    assert!(
        body["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
            .len()
            > 300
    );
}
