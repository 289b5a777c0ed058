//! A conversation that begins with one API and continues with another: each pair of them.

use super::{encode, wires};
use serde_json::{Value, json};
use unifiedai::{
    ChatRequest, ContentPart, Json, Message, Role, Tool, ToolCall, ToolResult, chat::ProviderData,
};

/// A conversation as the API `model_family` left it: instructions, an image, reasoning and a call with their
/// signatures, a failed result, and a response.
fn begun_with(model_family: &str) -> ChatRequest {
    let own = |value: Value| Json::new(&value).unwrap();
    let mut call = ToolCall::new("call_1", "weather", r#"{"city":"Bern"}"#);
    call.provider_data = Some(ProviderData::new(
        model_family,
        own(json!({"thoughtSignature": "data-of-call"})),
    ));
    let thought = ContentPart::Reasoning {
        text: "I should look it up.".into(),
        signature: (["anthropic", "bedrock"].contains(&model_family))
            .then(|| "signature-of-thought".into()),
    };
    let turn = Message::new(
        Role::Assistant,
        vec![
            thought,
            ContentPart::provider_block(model_family, own(block_of(model_family))),
            "Let me see.".into(),
            ContentPart::ToolCall(call),
        ],
    );
    let mut result = ToolResult::new("call_1", "the station is down");
    result.is_error = true;
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    ChatRequest::new("some-model")
        .system("Be brief.")
        .user_parts(vec![
            "Where was this taken?".into(),
            ContentPart::image("image/png", vec![1, 2, 3]),
        ])
        .message(turn)
        .tool_result(result)
        .assistant("I cannot say.")
        .user("Then guess.")
        .tool(Tool::function("weather", "Tells the weather.", &schema).unwrap())
}

/// A block that the API itself accepts.
fn block_of(model_family: &str) -> Value {
    match model_family {
        "anthropic" => json!({"type": "redacted_thinking", "data": "opaque-of-maker"}),
        "gemini" => json!({"thoughtSignature": "opaque-of-maker"}),
        "gemini-interactions" => json!({"type": "thought", "signature": "opaque-of-maker"}),
        "openai-responses" => {
            json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "opaque-of-maker"})
        }
        "bedrock" => json!({"reasoningContent": {"redactedContent": "opaque-of-maker"}}),
        "cohere" => json!({"tool_plan": "opaque-of-maker"}),
        _ => json!({"type": "reasoning.encrypted", "data": "opaque-of-maker"}),
    }
}

#[test]
fn foreign_parts_are_dropped_with_warnings() {
    let wires = wires();
    for from in &wires {
        for to in wires.iter().filter(|to| to.name() != from.name()) {
            let pair = format!("{} to {}", from.name(), to.name());
            let request = begun_with(from.name());
            let (body, warnings) =
                encode(&**to, &request).unwrap_or_else(|error| panic!("{pair}: {error}"));
            let text = body.to_string();
            for said in [
                "Be brief.",
                "Where was this taken?",
                "AQID",
                "Let me see.",
                "weather",
                "Bern",
                "the station is down",
                "I cannot say.",
                "Then guess.",
            ] {
                assert!(text.contains(said), "{pair}: no `{said}` in {text}");
            }
            for foreign in [
                "opaque-of-maker",
                "data-of-call",
                "thoughtSignature\":\"data",
            ] {
                assert!(!text.contains(foreign), "{pair}: `{foreign}` in {text}");
            }
            let told = |code: &str| {
                warnings
                    .iter()
                    .filter(|warning| warning.code == code)
                    .count()
            };
            assert_eq!(told("opaque_left_out"), 2, "{pair}: {warnings:?}");
            for warning in warnings
                .iter()
                .filter(|warning| warning.code == "opaque_left_out")
            {
                assert!(
                    warning.message.contains(&format!("`{}`", from.name())),
                    "{pair}: {warning:?}"
                );
            }
            let signed = ["anthropic", "bedrock"];
            let keeps = signed.contains(&to.name());
            let was_signed = signed.contains(&from.name());
            assert_eq!(
                text.contains("signature-of-thought"),
                keeps && was_signed,
                "{pair}: {text}"
            );
            assert_eq!(
                told("signature_left_out") == 1,
                was_signed && !keeps,
                "{pair}: {warnings:?}"
            );
            let marks =
                ["anthropic", "gemini", "gemini-interactions", "bedrock"].contains(&to.name());
            assert_eq!(
                told("tool_error_unmarked") == 0,
                marks,
                "{pair}: {warnings:?}"
            );
        }
    }
}

#[test]
fn own_parts_are_replayed() {
    for wire in wires()
        .iter()
        .filter(|wire| !["cerebras", "ollama"].contains(&wire.name()))
    {
        let (body, warnings) = encode(&**wire, &begun_with(wire.name())).unwrap();
        assert!(
            body.to_string().contains("opaque-of-maker"),
            "{}: {body}",
            wire.name()
        );
        assert!(
            warnings
                .iter()
                .all(|warning| warning.code != "opaque_left_out"),
            "{}: {warnings:?}",
            wire.name()
        );
    }
}
