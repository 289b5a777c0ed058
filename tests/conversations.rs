//! Conversations that began at another provider, or whose responses were cut, as each API accepts them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that goes wrong is to stop"
)]

mod support;

use serde_json::{Value, json};
use std::sync::Arc;
use support::drive::{Answer, Arrival, chat};
use unifiedai::{
    ChatRequest, Message,
    provider::{Anthropic, Cohere, Gemini, Ollama, Provider},
};

fn anthropic(url: &str) -> Anthropic {
    Anthropic::builder().base_url(url).build().unwrap()
}

fn claude() -> Anthropic {
    anthropic("https://api.anthropic.com/v1")
}

fn gemini() -> Gemini {
    Gemini::new("k").unwrap()
}

fn request(model: &str, messages: &Value) -> ChatRequest {
    let mut request = ChatRequest::new(model);
    request.messages = serde_json::from_value::<Vec<Message>>(messages.clone()).unwrap();
    request
}

fn encode(provider: &dyn Provider, model: &str, messages: &Value) -> (Value, Vec<&'static str>) {
    let encoded = provider.encode_chat(&request(model, messages)).unwrap();
    let codes = encoded.warnings.iter().map(|warning| warning.code);
    let body = serde_json::from_slice(encoded.request.body()).unwrap();
    (body, codes.collect())
}

fn text(role: &str, text: &str) -> Value {
    json!({"role": role, "content": [{"type": "text", "text": text}]})
}

fn turn(role: &str, parts: Value) -> Value {
    json!({"role": role, "content": parts})
}

fn call(id: &str, name: &str) -> Value {
    json!({"type": "tool_call", "id": id, "name": name, "arguments": "{}"})
}

fn result(id: &str, text: &str) -> Value {
    json!({"type": "tool_result", "call_id": id, "content": [{"type": "text", "text": text}]})
}

fn thought(text: &str, signature: Option<&str>) -> Value {
    match signature {
        Some(signature) => json!({"type": "reasoning", "text": text, "signature": signature}),
        None => json!({"type": "reasoning", "text": text}),
    }
}

/// The message of a response: a single body or, with `stream`, events.
fn answer(provider: impl Provider + 'static, stream: bool, body: &str) -> Value {
    let provider: Arc<dyn Provider> = Arc::new(provider);
    let answer = match stream {
        true => Answer::sse(body.to_owned()),
        false => Answer::json(body.to_owned()),
    };
    let request = ChatRequest::new("m").user("q").stream(stream);
    let outcome = chat(&provider, &request, &answer, Arrival::Whole);
    let response = outcome.result.unwrap();
    serde_json::to_value(&response.choices[0].message).unwrap()
}

/// No text in a body may be blank.
fn check_texts(body: &Value) {
    match body {
        Value::Object(members) => members.iter().for_each(|(name, value)| match value {
            Value::String(text) if matches!(name.as_str(), "text" | "content") => {
                assert!(!text.trim().is_empty(), "{body}");
            }
            value => check_texts(value),
        }),
        Value::Array(list) => list.iter().for_each(check_texts),
        _ => {}
    }
}

// blank-text
#[test]
fn blank_texts_are_left_out_or_filled() {
    let vertex = Anthropic::builder()
        .vertex("p", "global")
        .unwrap()
        .base_url("http://127.0.0.1:9/v1")
        .build();
    let azure = Anthropic::builder()
        .azure("r")
        .unwrap()
        .api_key("k")
        .unwrap()
        .build();
    for provider in [claude(), azure.unwrap(), vertex.unwrap()] {
        let messages = json!([
            turn(
                "system",
                json!([{"type": "text", "text": " \n"}, {"type": "text", "text": "Be brief."}])
            ),
            text("user", "\t"),
            text("assistant", "One."),
            text("user", "\u{a0}\u{2003}"),
            text("assistant", "\n\n"),
            text("user", "Two?"),
            turn(
                "assistant",
                json!([{"type": "text", "text": ""}, {"type": "text", "text": " "}, call("a", "f"), call("b", "f"), call("c", "f")])
            ),
            turn(
                "tool",
                json!([result("a", ""), result("b", " "),
                {"type": "tool_result", "call_id": "c", "is_error": true, "content": [{"type": "text", "text": "\u{1f}"}, {"type": "text", "text": "no"}]}])
            ),
            turn(
                "user",
                json!([{"type": "refusal", "text": " "}, {"type": "text", "text": "Well?"}])
            ),
            text("assistant", "It is \u{a0}\n"),
        ]);
        let (body, warnings) = encode(&provider, "claude-x", &messages);
        check_texts(&body["messages"]);
        assert_eq!(body["system"], "Be brief.");
        let sent = &body["messages"];
        let roles: Vec<_> = sent
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["role"].as_str().unwrap())
            .collect();
        assert_eq!(
            roles,
            [
                "user",
                "assistant",
                "user",
                "assistant",
                "user",
                "assistant"
            ]
        );
        assert_eq!(sent[0]["content"], "(no text)");
        assert_eq!(sent[2]["content"], "Two?");
        assert_eq!(sent[3]["content"].as_array().unwrap().len(), 3);
        assert_eq!(sent[4]["content"][2]["content"], "no");
        assert_eq!(sent[5]["content"], "It is");
        assert_eq!(warnings, ["blank_text_filled"]);
    }
}

// blank-text
#[test]
fn tool_error_has_text() {
    for content in [
        json!([]),
        json!([{"type": "text", "text": ""}]),
        json!([{"type": "text", "text": " \n"}]),
    ] {
        let failed =
            json!({"type": "tool_result", "call_id": "a", "is_error": true, "content": content});
        let messages = json!([
            text("user", "q"),
            turn("assistant", json!([call("a", "f"), call("b", "f")])),
            turn("tool", json!([failed])),
            turn("tool", json!([result("b", "4 C")])),
        ]);
        let (body, _) = encode(&claude(), "claude-x", &messages);
        let results = &body["messages"][2]["content"];
        assert_eq!(
            results[0],
            json!({"type": "tool_result", "tool_use_id": "a", "content": "(no output)", "is_error": true})
        );
        assert_eq!(results[1]["content"], "4 C");
    }
}

const THOUGHT_AND_CALL: &str = r#"{"id":"m1","type":"message","role":"assistant","model":"k","content":[{"type":"thinking","thinking":"Ask."},{"type":"tool_use","id":"t1","name":"f","input":{}}],"stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":2}}"#;

const THOUGHT_AND_CALL_EVENTS: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"m1","type":"message","role":"assistant","model":"k","content":[],"usage":{"input_tokens":1}}}

data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"As"}}

data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"k."}}

data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t1","name":"f","input":{}}}

data: {"type":"content_block_stop","index":1}

data: {"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":2}}

data: {"type":"message_stop"}

"#;

// unsigned-thinking
#[test]
fn unsigned_reasoning_is_sent_back_only_to_its_server() {
    let urls = [
        "https://api.kimi.com/coding/v1",
        "https://api.deepseek.com/anthropic/v1",
        "http://127.0.0.1:9/v1",
    ];
    for url in urls {
        for (stream, wire) in [(false, THOUGHT_AND_CALL), (true, THOUGHT_AND_CALL_EVENTS)] {
            let message = answer(anthropic(url), stream, wire);
            let messages = json!([
                text("user", "q"),
                message,
                turn("tool", json!([result("t1", "4")])),
                text("assistant", "Four."),
                text("user", "And?"),
            ]);
            let (body, warnings) = encode(&anthropic(url), "k", &messages);
            let sent = &body["messages"][1]["content"];
            assert_eq!(
                sent[0],
                json!({"type": "thinking", "thinking": "Ask."}),
                "{url} {stream}"
            );
            assert_eq!(sent[1]["type"], "tool_use");
            assert!(warnings.is_empty(), "{warnings:?}");
            for other in ["https://api.anthropic.com/v1", "http://127.0.0.1:10/v1"] {
                let (body, warnings) = encode(&anthropic(other), "k", &messages);
                assert_eq!(
                    body["messages"][1]["content"].as_array().unwrap().len(),
                    1,
                    "{body}"
                );
                assert_eq!(warnings, ["reasoning_left_out"]);
            }
        }
    }
}

// unsigned-thinking
#[test]
fn signed_reasoning_is_sent_back_to_any_url() {
    let messages = json!([
        text("user", "q"),
        turn(
            "assistant",
            json!([thought("Hm.", Some("s")), thought("So.", None), {"type": "text", "text": "a"}])
        ),
        text("user", "r")
    ]);
    let sent = |url| {
        let (body, _) = encode(&anthropic(url), "k", &messages);
        let kinds = body["messages"][1]["content"].as_array().unwrap().clone();
        kinds
            .iter()
            .filter(|block| block["type"] == "thinking")
            .count()
    };
    assert_eq!(sent("https://api.anthropic.com/v1"), 1);
    assert_eq!(sent("http://127.0.0.1:9/v1"), 1);
    assert_eq!(sent("https://api.moonshot.ai/anthropic/v1"), 2);
}

// reasoning-only-turns
#[test]
fn reasoning_only_turn_is_dropped() {
    let hidden = json!({"type": "opaque", "provider": "anthropic", "block": {"type": "redacted_thinking", "data": "x"}});
    for parts in [
        json!([thought("Hm.", Some("s"))]),
        json!([thought("Hm.", None)]),
        json!([thought("Hm.", Some("s")), hidden]),
        json!([thought("Hm.", Some("s")), {"type": "text", "text": " "}]),
    ] {
        let messages = json!([
            text("user", "one"),
            turn("assistant", parts),
            text("user", "two"),
            turn(
                "assistant",
                json!([thought("So.", Some("t")), {"type": "text", "text": "2"}])
            ),
            text("user", "three"),
        ]);
        let (body, warnings) = encode(&claude(), "claude-x", &messages);
        assert_eq!(
            body["messages"],
            json!([
                {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
                {"role": "assistant", "content": [{"type": "thinking", "thinking": "So.", "signature": "t"}, {"type": "text", "text": "2"}]},
                {"role": "user", "content": "three"},
            ])
        );
        assert_eq!(warnings, ["reasoning_left_out"]);
    }
    // Text in the next message of the same turn follows it.
    let messages = json!([
        text("user", "one"),
        turn("assistant", json!([thought("Hm.", Some("s"))])),
        text("assistant", "1"),
        text("user", "two")
    ]);
    let (body, warnings) = encode(&claude(), "claude-x", &messages);
    assert_eq!(body["messages"][1]["content"].as_array().unwrap().len(), 2);
    assert!(warnings.is_empty());
}

// reasoning-only-turns
#[test]
fn other_protocols_behave_the_same() {
    let messages = json!([
        text("user", "one"),
        turn("assistant", json!([thought("Hm.", None)])),
        text("user", "two")
    ]);
    let (body, _) = encode(&Cohere::new("k").unwrap(), "command", &messages);
    assert_eq!(
        body["messages"],
        json!([{"role": "user", "content": "one"}, {"role": "user", "content": "two"}])
    );
    let plan = json!({"type": "opaque", "provider": "cohere", "block": {"tool_plan": "Hm."}});
    let messages = json!([
        text("user", "one"),
        turn("assistant", json!([plan, thought("Hm.", None)])),
        text("user", "two")
    ]);
    let (body, _) = encode(&Cohere::new("k").unwrap(), "command", &messages);
    assert_eq!(body["messages"].as_array().unwrap().len(), 2);
    let signed =
        json!({"type": "opaque", "provider": "gemini", "block": {"thoughtSignature": "s"}});
    for parts in [
        json!([thought("Hm.", None)]),
        json!([thought("Hm.", None), signed]),
        json!([thought("Hm.", None), signed, {"type": "opaque", "provider": "gemini", "block": {"text": "", "thoughtSignature": "t"}}]),
    ] {
        let messages = json!([
            text("user", "one"),
            turn("assistant", parts),
            text("user", "two")
        ]);
        let (body, _) = encode(&gemini(), "gemini-3-pro", &messages);
        let roles: Vec<_> = body["contents"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| &c["role"])
            .collect();
        assert_eq!(roles, ["user"]);
        assert_eq!(
            body["contents"][0]["parts"],
            json!([{"text": "one"}, {"text": "two"}])
        );
    }
}

/// The text of each result, in the order in which they are sent.
fn results(body: &Value) -> Vec<String> {
    let contents = body["contents"].as_array().unwrap().iter();
    let parts = contents.flat_map(|content| content["parts"].as_array().unwrap().clone());
    let output = |part: Value| {
        Some(
            part["functionResponse"]["response"]["output"]
                .as_str()?
                .to_owned(),
        )
    };
    parts.filter_map(output).collect()
}

// results-in-call-order
#[test]
fn results_are_in_the_order_of_their_calls() {
    let three =
        json!([call("a", "f"), {"type": "text", "text": "and"}, call("b", "f"), call("c", "g")]);
    let vertex = Gemini::builder()
        .vertex("p", "global")
        .unwrap()
        .base_url("http://127.0.0.1:9/v1")
        .build()
        .unwrap();
    for provider in [gemini(), vertex] {
        for answers in [
            json!([turn(
                "tool",
                json!([result("c", "3"), result("a", "1"), result("b", "2")])
            )]),
            json!([
                turn("tool", json!([result("b", "2")])),
                turn("tool", json!([result("c", "3"), result("a", "1")]))
            ]),
            json!([
                turn(
                    "user",
                    json!([result("c", "3"), {"type": "text", "text": "x"}, result("b", "2")])
                ),
                turn("user", json!([result("a", "1")]))
            ]),
        ] {
            let mut messages = vec![text("user", "q"), turn("assistant", three.clone())];
            messages.extend(answers.as_array().unwrap().clone());
            // Another turn reuses the ids.
            messages.push(turn("assistant", json!([call("c", "f"), call("a", "f")])));
            messages.push(turn("tool", json!([result("a", "5")])));
            messages.push(turn("tool", json!([result("c", "4")])));
            messages.push(text("user", "And?"));
            let (body, _) = encode(&provider, "gemini-2.5-flash", &json!(messages));
            assert_eq!(results(&body), ["1", "2", "3", "4", "5"], "{body}");
            let first = &body["contents"][2]["parts"];
            assert!(
                first
                    .as_array()
                    .unwrap()
                    .iter()
                    .take(3)
                    .all(|part| part["functionResponse"].is_object()),
                "{first}"
            );
            assert_eq!(first[2]["functionResponse"]["name"], "g");
        }
    }
}

// results-in-call-order: results with one id belong to its calls in order.
#[test]
fn results_of_one_id_belong_to_its_calls_one_by_one() {
    let messages = json!([
        text("user", "q"),
        turn("assistant", json!([call("x", "f"), call("x", "g")])),
        turn("tool", json!([result("x", "1"), result("x", "2")]))
    ]);
    let (body, _) = encode(&gemini(), "gemini-2.5-flash", &messages);
    let parts = &body["contents"][2]["parts"];
    let names = [
        &parts[0]["functionResponse"]["name"],
        &parts[1]["functionResponse"]["name"],
    ];
    assert_eq!(names, ["f", "g"]);
    assert_eq!(results(&body), ["1", "2"]);
}

#[test]
fn ollama_has_results_in_the_order_of_their_calls() {
    let ollama = Ollama::builder().build().unwrap();
    let messages = json!([
        text("user", "q"),
        turn("assistant", json!([call("a", "f"), call("b", "f")])),
        turn("tool", json!([result("b", "2")])),
        turn("tool", json!([result("a", "1")])),
        text("user", "And?")
    ]);
    let (body, _) = encode(&ollama, "qwen3", &messages);
    let contents: Vec<_> = body["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["content"].as_str().unwrap())
        .collect();
    assert_eq!(contents, ["q", "", "1", "2", "And?"]);
}

const SKIP: &str = "skip_thought_signature_validator";

// foreign-signatures
#[test]
fn first_foreign_call_of_each_step_gets_a_placeholder_signature() {
    let steps = json!([
        text("user", "q"),
        turn(
            "assistant",
            json!([{"type": "text", "text": "t"}, call("a", "f"), call("b", "f")])
        ),
        turn("tool", json!([result("a", "1"), result("b", "2")])),
        turn("assistant", json!([call("c", "f")])),
        turn("tool", json!([result("c", "3")])),
    ]);
    let signatures = |model: &str| {
        let (body, _) = encode(&gemini(), model, &steps);
        let signature = |content: usize, part: usize| {
            body["contents"][content]["parts"][part]["thoughtSignature"].clone()
        };
        [signature(1, 1), signature(1, 2), signature(3, 0)]
    };
    for model in [
        "gemini-flash-latest",
        "gemini-pro-latest",
        "models/gemini-flash-lite-latest",
        "gemini-3-flash-preview",
        "gemini-3.1-pro",
        "gemini-4",
        "tunedModels/mine",
        "gemini-flash-001",
    ] {
        assert_eq!(
            signatures(model),
            [json!(SKIP), Value::Null, json!(SKIP)],
            "{model}"
        );
    }
    for model in [
        "gemini-2.5-flash",
        "models/gemini-2.0-flash-001",
        "gemini-1.5-pro-002",
        "gemini-live-2.5-flash",
        "gemini-pro",
        "gemini-robotics-er-1.5-preview",
    ] {
        assert_eq!(
            signatures(model),
            [Value::Null, Value::Null, Value::Null],
            "{model}"
        );
    }
}

// foreign-signatures
#[test]
fn own_signatures_are_sent_back_and_none_is_added() {
    let own = |data: Value| json!({"type": "tool_call", "id": "a", "name": "f", "arguments": "{}", "provider_data": {"provider": "gemini", "data": data}});
    for (first, second, expected) in [
        (
            json!({"thoughtSignature": "s"}),
            json!({"id": "y"}),
            [json!("s"), Value::Null],
        ),
        (
            json!({"id": "x"}),
            json!({"thoughtSignature": "s"}),
            [Value::Null, json!("s")],
        ),
        (
            json!({"id": "x"}),
            json!({"id": "y"}),
            [json!(SKIP), Value::Null],
        ),
    ] {
        let messages = json!([
            text("user", "q"),
            turn("assistant", json!([own(first), own(second)])),
            turn("tool", json!([result("a", "1"), result("a", "2")]))
        ]);
        let (body, _) = encode(&gemini(), "gemini-3-pro", &messages);
        let parts = &body["contents"][1]["parts"];
        assert_eq!(
            [
                parts[0]["thoughtSignature"].clone(),
                parts[1]["thoughtSignature"].clone()
            ],
            expected
        );
    }
}

// media-out-of-place
#[test]
fn models_before_3_have_media_of_results_behind_them() {
    let picture = json!({"type": "image", "media": {"source": "inline", "data": "cGl4", "mime_type": "image/png"}});
    let document = json!({"type": "document", "media": {"source": "inline", "data": "cGRm", "mime_type": "application/pdf"}});
    let with =
        |id: &str, parts: Value| json!({"type": "tool_result", "call_id": id, "content": parts});
    let messages = json!([
        text("user", "q"),
        turn("assistant", json!([call("a", "f"), call("b", "f")])),
        turn("tool", json!([with("b", json!([document]))])),
        turn(
            "tool",
            json!([with(
                "a",
                json!([{"type": "text", "text": "seen"}, picture])
            )])
        ),
        text("user", "And?"),
    ]);
    let (body, _) = encode(&gemini(), "gemini-2.5-flash", &messages);
    assert_eq!(
        body["contents"][2]["parts"],
        json!([
            {"functionResponse": {"name": "f", "response": {"output": "seen"}}},
            {"functionResponse": {"name": "f", "response": {"output": "(the content follows the results)"}}},
            {"inlineData": {"mimeType": "image/png", "data": "cGl4"}},
            {"inlineData": {"mimeType": "application/pdf", "data": "cGRm"}},
        ])
    );
    let (body, _) = encode(&gemini(), "gemini-3-flash", &messages);
    assert_eq!(
        body["contents"][2]["parts"][0]["functionResponse"]["parts"][0]["inlineData"]["data"],
        "cGl4"
    );
}

// broken-arguments
#[test]
fn arguments_that_are_no_object_are_wrapped() {
    for arguments in ["{\"a\":", "[1]", "7", "\"x\"", "{} {}"] {
        let broken = json!({"type": "tool_call", "id": "a", "name": "f", "arguments": arguments});
        let messages = json!([
            text("user", "q"),
            turn("assistant", json!([broken])),
            turn("tool", json!([result("a", "1")]))
        ]);
        let (body, warnings) = encode(&Cohere::new("k").unwrap(), "command", &messages);
        let sent = body["messages"][1]["tool_calls"][0]["function"]["arguments"]
            .as_str()
            .unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(sent).unwrap(),
            json!({"INVALID_JSON": arguments})
        );
        assert_eq!(warnings, ["invalid_tool_arguments"]);
        let (body, warnings) = encode(&Ollama::builder().build().unwrap(), "m", &messages);
        assert_eq!(
            body["messages"][1]["tool_calls"][0]["function"]["arguments"],
            json!({"INVALID_JSON": arguments})
        );
        assert_eq!(warnings, ["invalid_tool_arguments"]);
    }
}
