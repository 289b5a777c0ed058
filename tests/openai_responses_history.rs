//! Which parts of an earlier response are sent back to the Responses API, and which it would refuse.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    reason = "a test that goes wrong is to stop"
)]

use serde_json::{Value, json};
use unifiedai::{
    ChatRequest, ContentPart, Json, Message, ReasoningEffort, Role, ToolCall, ToolResult,
    chat::{ProviderBlock, ProviderData},
    provider::{OpenAiResponses, Provider},
};

const NAME: &str = "openai-responses";

fn encoded(request: &ChatRequest) -> (Value, Vec<&'static str>) {
    let provider = OpenAiResponses::new("test-key").unwrap();
    let encoded = provider.encode_chat(request).unwrap();
    let codes = encoded
        .warnings
        .iter()
        .map(|warning| warning.code)
        .collect();
    (
        serde_json::from_slice(encoded.request.body()).unwrap(),
        codes,
    )
}

fn opaque(item: Value) -> ContentPart {
    ContentPart::ProviderBlock(ProviderBlock::new(NAME, Json::new(&item).unwrap()))
}

fn reasoning(encrypted: Option<&str>) -> ContentPart {
    opaque(
        json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": encrypted}),
    )
}

fn mark() -> ContentPart {
    opaque(json!({"type": "message", "id": "msg_1", "phase": "final_answer"}))
}

/// A call of this provider with its original item.
fn call() -> ContentPart {
    let mut call = ToolCall::new("call_1", "f", "{}");
    let item = json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}", "status": "completed"});
    call.provider_data = Some(ProviderData::new(NAME, Json::new(&item).unwrap()));
    ContentPart::ToolCall(call)
}

fn turn(parts: Vec<ContentPart>) -> Message {
    Message::new(Role::Assistant, parts)
}

/// The types and roles of the input items.
fn kinds(body: &Value) -> Vec<&str> {
    let items = body["input"].as_array().unwrap().iter();
    items
        .map(|item| {
            item["type"]
                .as_str()
                .filter(|kind| *kind != "message")
                .or(item["role"].as_str())
                .unwrap()
        })
        .collect()
}

#[test]
fn unstored_reasoning_is_sent_back_only_encrypted() {
    let ask = || ChatRequest::new("gpt-5").user("hi");
    let after = |request: ChatRequest, encrypted| {
        request
            .message(turn(vec![
                reasoning(encrypted),
                mark(),
                ContentPart::text("so"),
                call(),
            ]))
            .tool_result(ToolResult::new("call_1", "4"))
    };
    // Stored: everything is sent back unchanged.
    let (body, codes) = encoded(&after(ask(), None));
    assert_eq!(
        kinds(&body),
        [
            "user",
            "reasoning",
            "assistant",
            "function_call",
            "function_call_output"
        ]
    );
    assert_eq!(
        (&body["input"][2]["id"], &body["input"][3]["id"]),
        (&json!("msg_1"), &json!("fc_1"))
    );
    assert!(
        codes.is_empty() && body.get("include").is_none(),
        "{codes:?} {body}"
    );
    for stateless in [ask().store(false), ask().extra("store", &false).unwrap()] {
        for encrypted in [None, Some("")] {
            let (body, codes) = encoded(&after(stateless.clone(), encrypted));
            assert_eq!(
                kinds(&body),
                ["user", "assistant", "function_call", "function_call_output"]
            );
            let (message, call) = (&body["input"][1], &body["input"][2]);
            assert_eq!((message.get("id"), call.get("id")), (None, None));
            assert_eq!(
                (&message["phase"], &call["call_id"]),
                (&json!("final_answer"), &json!("call_1"))
            );
            assert_eq!(codes, ["reasoning_left_out"]);
        }
        let (body, codes) = encoded(&after(stateless, Some("gAA==")));
        assert_eq!(kinds(&body)[1], "reasoning");
        assert_eq!(body["input"][1]["encrypted_content"], "gAA==");
        assert_eq!((&body["input"][2]["id"], codes.len()), (&json!("msg_1"), 0));
        assert_eq!(body["include"], json!(["reasoning.encrypted_content"]));
    }
}

#[test]
fn encrypted_reasoning_is_requested_for_reasoning_models_without_store() {
    let ask = || ChatRequest::new("gpt-5").user("hi").store(false);
    let encrypted = json!(["reasoning.encrypted_content"]);
    for (request, include) in [
        (ask(), Value::Null),
        (
            ask().reasoning_effort(ReasoningEffort::Low),
            encrypted.clone(),
        ),
        (ask().reasoning_effort(ReasoningEffort::None), Value::Null),
        (
            ask().extra("reasoning", &json!({"effort": "low"})).unwrap(),
            encrypted,
        ),
        (
            ask().reasoning_effort(ReasoningEffort::Low).logprobs(true),
            json!([
                "message.output_text.logprobs",
                "reasoning.encrypted_content"
            ]),
        ),
        (
            ask()
                .reasoning_effort(ReasoningEffort::Low)
                .extra("include", &json!([]))
                .unwrap(),
            json!([]),
        ),
        (
            ask().store(true).reasoning_effort(ReasoningEffort::Low),
            Value::Null,
        ),
    ] {
        assert_eq!(encoded(&request).0["include"], include);
    }
}

#[test]
fn reasoning_is_replayed_only_with_its_following_item() {
    let user = || Message::user("Shorter.");
    for (turns, expected, warnings) in [
        (
            vec![turn(vec![reasoning(Some("x"))]), user()],
            &["user", "user"][..],
            1,
        ),
        (
            vec![
                turn(vec![reasoning(Some("x")), reasoning(Some("y"))]),
                user(),
            ],
            &["user", "user"],
            2,
        ),
        (vec![turn(vec![reasoning(Some("x"))])], &["user"], 1),
        (
            vec![
                turn(vec![ContentPart::text("a"), reasoning(Some("x"))]),
                user(),
            ],
            &["user", "assistant", "user"],
            1,
        ),
        // The following text is a separate message.
        (
            vec![
                turn(vec![reasoning(Some("x"))]),
                turn(vec![ContentPart::text("a")]),
                user(),
            ],
            &["user", "reasoning", "assistant", "user"],
            0,
        ),
        (
            vec![
                turn(vec![reasoning(Some("x")), reasoning(Some("y")), call()]),
                Message::new(
                    Role::Tool,
                    vec![ContentPart::ToolResult(ToolResult::new("call_1", "4"))],
                ),
            ],
            &[
                "user",
                "reasoning",
                "reasoning",
                "function_call",
                "function_call_output",
            ],
            0,
        ),
        // Several turns later.
        (
            vec![
                turn(vec![reasoning(Some("x"))]),
                user(),
                turn(vec![reasoning(Some("y")), ContentPart::text("a")]),
                user(),
            ],
            &["user", "user", "reasoning", "assistant", "user"],
            1,
        ),
    ] {
        let request = ChatRequest::new("gpt-5").user("hi").messages(turns);
        let (body, codes) = encoded(&request);
        assert_eq!(kinds(&body), expected);
        assert_eq!(codes, vec!["reasoning_left_out"; warnings]);
    }
}
