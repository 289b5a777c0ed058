//! Histories that servers of the OpenAI chat API refuse, and what is sent instead.

use serde_json::{Value, json};
use unifiedai::{
    ChatRequest, ContentPart, Json, Message, Role, ToolCall, ToolResult,
    chat::{ProviderData, Warning},
    provider::{
        OpenAiChat, Provider,
        openai_chat::{ChatProfile, profiles},
    },
};

fn encode(profile: ChatProfile, request: &ChatRequest) -> (Value, Vec<Warning>) {
    let provider = OpenAiChat::builder()
        .profile(profile)
        .base_url("http://127.0.0.1:9/v1")
        .build()
        .unwrap();
    super::encode(&provider as &dyn Provider, request).unwrap()
}

fn messages(profile: ChatProfile, request: &ChatRequest) -> Value {
    encode(profile, request).0["messages"].take()
}

fn call(id: &str) -> ContentPart {
    ContentPart::ToolCall(ToolCall::new(id, "f", r#"{"a": 1}"#))
}

fn thought(text: &str) -> ContentPart {
    ContentPart::Reasoning {
        text: text.into(),
        signature: None,
    }
}

fn model(parts: Vec<ContentPart>) -> Message {
    Message::new(Role::Assistant, parts)
}

fn ask() -> ChatRequest {
    ChatRequest::new("m").user("hi")
}

fn picture() -> ContentPart {
    ContentPart::image("image/png", vec![1, 2, 3])
}

/// Two turns with calls without reasoning, one of them with a text, and one turn with its own reasoning.
fn foreign_calls() -> ChatRequest {
    ask()
        .message(model(vec![call("a")]))
        .tool_result(ToolResult::new("a", "1"))
        .message(model(vec!["so".into(), call("b"), call("c")]))
        .tool_result(ToolResult::new("b", "2"))
        .tool_result(ToolResult::new("c", "3"))
        .message(model(vec![thought("hm"), call("d")]))
        .tool_result(ToolResult::new("d", "4"))
        .assistant("plain")
        .user("go on")
}

#[test]
fn turns_with_calls_have_the_reasoning_that_the_server_requires() {
    for (profile, empty) in [(profiles::DEEPSEEK, ""), (profiles::MOONSHOT, " ")] {
        for request in [foreign_calls(), foreign_calls().disable_reasoning(false)] {
            let sent = messages(profile, &request);
            assert_eq!(sent[1]["reasoning_content"], json!(empty));
            assert_eq!(sent[3]["reasoning_content"], json!(empty));
            assert_eq!(sent[3]["content"], json!("so"));
            assert_eq!(sent[6]["reasoning_content"], json!("hm"));
            assert_eq!(sent[8].get("reasoning_content"), None);
        }
        let off = json!({"type": "disabled"});
        for request in [
            foreign_calls().disable_reasoning(true),
            foreign_calls().extra("thinking", &off).unwrap(),
        ] {
            let sent = messages(profile, &request);
            assert_eq!(sent[1].get("reasoning_content"), None);
        }
    }
    let sent = messages(profiles::VLLM, &foreign_calls());
    assert_eq!(sent[1].get("reasoning"), None);
}

#[test]
fn reasoning_only_turn_gets_placeholder_text() {
    let request = ask().message(model(vec![thought("hm")])).user("go on");
    for profile in profiles::ALL {
        let sent = messages(*profile, &request);
        for message in sent.as_array().unwrap() {
            assert!(!message["content"].is_null(), "{}: {sent}", profile.name);
        }
        let has_turn = sent[1]["role"] == "assistant";
        if profiles::DEEPSEEK.name == profile.name {
            assert!(has_turn);
            assert_eq!(sent[1]["reasoning_content"], json!("hm"));
        }
    }
}

#[test]
fn several_texts_are_joined_except_in_user_messages() {
    let mut result = ToolResult::new("a", "4 C");
    result.content.push("rain".into());
    let two = || vec!["one".into(), "two".into()];
    let request = ask()
        .message(Message::new(Role::System, two()))
        .user_parts(two())
        .message(model(vec!["one".into(), call("a"), " two".into()]))
        .tool_result(result)
        .user_parts(vec!["one".into(), "two".into(), picture()]);
    for profile in profiles::ALL {
        let sent = messages(*profile, &request);
        let sent = sent.as_array().unwrap();
        let of = |role: &str| -> Vec<&Value> {
            let own = sent.iter().filter(|message| message["role"] == role);
            own.map(|message| &message["content"]).collect()
        };
        let name = profile.name;
        assert_eq!(of("system"), [&json!("one\n\ntwo")], "{name}");
        assert_eq!(of("assistant"), [&json!("one two")], "{name}");
        assert_eq!(of("tool"), [&json!("4 C\nrain")], "{name}");
        let last = *of("user").last().unwrap();
        assert_eq!(last.as_array().map(Vec::len), Some(3), "{name}");
    }
}

#[test]
fn workers_ai_gets_text_only_through_each_endpoint() {
    let mut empty = ToolResult::new("a", "");
    empty.content.clear();
    let request = |model: &str| {
        let mut request = ask()
            .user_parts(vec!["one".into(), "two".into()])
            .message(Message::new(Role::Assistant, vec![call("a")]))
            .tool_result(empty.clone());
        request.model = model.into();
        request
    };
    let rows = [
        (profiles::CLOUDFLARE_WORKERS, "@cf/meta/llama", true),
        (profiles::CLOUDFLARE_WORKERS, "@hf/x", true),
        (profiles::CLOUDFLARE, "workers-ai/@cf/meta/llama", true),
        (profiles::CLOUDFLARE, "openai/gpt-5", false),
    ];
    for (profile, model, is_text) in rows {
        let sent = messages(profile, &request(model));
        let contents: Vec<&Value> = sent
            .as_array()
            .unwrap()
            .iter()
            .map(|message| &message["content"])
            .collect();
        assert_eq!(contents.iter().all(|c| c.is_string()), is_text, "{model}");
        if is_text {
            assert_eq!(
                contents,
                [&json!("hi"), &json!("one\n\ntwo"), &json!(""), &json!("")]
            );
        }
    }
}

#[test]
fn roles_alternate_where_the_server_requires_it() {
    let request = ChatRequest::new("sonar")
        .system("brief")
        .system("metric")
        .user("a")
        .user("b")
        .user_parts(vec!["c".into(), picture()])
        .assistant("d")
        .message(model(vec![thought("hm")]))
        .assistant("e")
        .system("late")
        .user_parts(vec![picture()])
        .user("f");
    let (body, warnings) = encode(profiles::PERPLEXITY, &request);
    let sent = &body["messages"];
    let roles: Vec<&str> = sent
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["role"].as_str().unwrap())
        .collect();
    assert_eq!(
        roles,
        ["system", "system", "system", "user", "assistant", "user"]
    );
    assert_eq!(sent[3]["content"][0]["text"], json!("a\n\nb"));
    assert_eq!(sent[3]["content"][1]["text"], json!("c"));
    assert_eq!(sent[3]["content"][2]["type"], json!("image_url"));
    assert_eq!(sent[4]["content"], json!("d\n\ne"));
    assert_eq!(sent[5]["content"][0]["type"], json!("image_url"));
    assert_eq!(sent[5]["content"][1]["text"], json!("f"));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    // For other servers adjacent messages stay separate.
    let others = messages(profiles::OPENAI, &request);
    assert_eq!(others.as_array().map(Vec::len), Some(10));
}

#[test]
fn arguments_that_are_not_an_object_are_wrapped() {
    let call = |arguments: &str| ContentPart::ToolCall(ToolCall::new("a", "f", arguments));
    for profile in profiles::ALL
        .iter()
        .filter(|profile| profile.supports(unifiedai::chat::Param::Tools))
    {
        let request = |arguments: &str| {
            ask()
                .message(model(vec![call(arguments)]))
                .tool_result(ToolResult::new("a", "1"))
        };
        for broken in ["{\"city\": \"Os", "[1]", "{\"a\":1}{", "<x>"] {
            let (body, warnings) = encode(*profile, &request(broken));
            let sent = body["messages"][1]["tool_calls"][0]["function"]["arguments"].as_str();
            let sent: Value = serde_json::from_str(sent.unwrap()).unwrap();
            assert_eq!(sent, json!({"INVALID_JSON": broken}), "{}", profile.name);
            assert_eq!(warnings.len(), 1);
            assert_eq!(warnings[0].code, "invalid_tool_arguments");
        }
        let (body, warnings) = encode(*profile, &request("{ \"a\" : 1.0 }"));
        let sent = &body["messages"][1]["tool_calls"][0]["function"]["arguments"];
        assert_eq!(sent, "{ \"a\" : 1.0 }");
        assert!(warnings.is_empty());
    }
}

#[test]
fn stream_usage_is_requested_where_all_models_support_it() {
    let options =
        |profile, request: ChatRequest| encode(profile, &request).0["stream_options"].take();
    let asked = json!({"include_usage": true});
    assert!(options(profiles::AZURE_FOUNDRY, ask().stream(true)).is_null());
    assert!(
        options(
            profiles::AZURE_FOUNDRY,
            ask().stream(true).include_usage(false)
        )
        .is_null()
    );
    assert_eq!(
        options(
            profiles::AZURE_FOUNDRY,
            ask().stream(true).include_usage(true)
        ),
        asked
    );
    assert_eq!(options(profiles::AZURE, ask().stream(true)), asked);
    assert!(options(profiles::AZURE, ask()).is_null());
}

#[test]
fn media_of_tools_and_of_the_model_move_into_a_user_message() {
    let mut seen = ToolResult::new("a", "seen");
    seen.content.push(picture());
    let mut only = ToolResult::new("b", "");
    only.content = vec![
        picture(),
        ContentPart::document("d", "application/pdf", vec![4]),
    ];
    let request = ask()
        .message(model(vec![
            "drawn".into(),
            picture(),
            call("a"),
            call("b"),
            call("c"),
        ]))
        .tool_result(seen)
        .tool_result(only)
        .tool_result(ToolResult::new("c", "3"))
        .user("go on");
    for profile in [profiles::OPENAI, profiles::AZURE, profiles::AZURE_V1] {
        let (body, warnings) = encode(profile, &request);
        let sent = body["messages"].as_array().unwrap();
        let roles: Vec<&Value> = sent.iter().map(|message| &message["role"]).collect();
        assert_eq!(
            roles,
            ["user", "assistant", "tool", "tool", "tool", "user", "user"]
        );
        for message in &sent[1..5] {
            assert!(message["content"].is_string(), "{message}");
        }
        let kinds: Vec<&Value> = sent[5]["content"]
            .as_array()
            .unwrap()
            .iter()
            .map(|part| &part["type"])
            .collect();
        let wanted = [
            "text",
            "image_url",
            "text",
            "image_url",
            "text",
            "image_url",
            "file",
        ];
        assert_eq!(kinds, wanted);
        let labels = sent[5].to_string();
        assert!(labels.contains("`a`") && labels.contains("`b`"), "{labels}");
        assert_eq!(warnings.len(), 3, "{warnings:?}");
    }
    for profile in [
        profiles::OPENROUTER,
        profiles::LITELLM,
        profiles::AZURE_FOUNDRY,
    ] {
        let sent = messages(profile, &request);
        assert_eq!(sent.as_array().map(Vec::len), Some(6), "{}", profile.name);
        assert_eq!(sent[2]["content"][1]["type"], "image_url");
    }
}

#[test]
fn untyped_members_are_replayed_to_their_server() {
    let block = |value: Value| ContentPart::provider_block("openai", Json::new(&value).unwrap());
    let custom = json!({"id": "call_9", "type": "custom", "custom": {"name": "f", "input": "x"}});
    let request = ask()
        .message(model(vec![
            block(json!({"message": {"tool_calls": [custom]}})),
            block(json!({"message": {"content": [{"type": "new"}]}})),
            block(json!({"message": {"audio": {"id": "audio_1", "data": "UklG"}}})),
            block(json!({"message": {"images": [1]}})),
        ]))
        .tool_result(ToolResult::new("call_9", "1"))
        .user("go on");
    let sent = messages(profiles::OPENAI, &request);
    assert_eq!(
        sent[1],
        json!({
            "role": "assistant",
            "content": [{"type": "new"}],
            "tool_calls": [custom],
            "audio": {"id": "audio_1"},
            "images": [1],
        })
    );
    assert_eq!(sent[2]["tool_call_id"], "call_9");
    // Only to that server.
    let others = messages(profiles::GROQ, &request);
    assert!(!others.to_string().contains("audio_1"), "{others}");
}

#[test]
fn provider_data_of_a_call_is_sent_back_unchanged() {
    let mut own = ToolCall::new("a", "f", "{}");
    let data = json!({"google": {"thought_signature": "own"}});
    own.provider_data = Some(ProviderData::new(
        "gemini-openai",
        Json::new(&data).unwrap(),
    ));
    let request = ask()
        .message(model(vec![ContentPart::ToolCall(own), call("b")]))
        .tool_result(ToolResult::new("a", "1"))
        .tool_result(ToolResult::new("b", "2"));
    let sent = messages(profiles::GEMINI, &request);
    let calls = &sent[1]["tool_calls"];
    assert_eq!(calls[0]["extra_content"], data);
    assert_eq!(calls[1].get("extra_content"), None);
}

#[test]
fn gemini_3_gets_a_placeholder_signature_for_the_first_foreign_call() {
    let word = json!({"google": {"thought_signature": "skip_thought_signature_validator"}});
    let request = |model: &str| {
        let mut request = foreign_calls();
        request.model = model.into();
        request
    };
    for model in [
        "gemini-3-flash-preview",
        "gemini-flash-latest",
        "models/gemini-pro-latest",
        "google/gemini-3.1-pro",
        "gemini-4-pro",
    ] {
        let sent = messages(profiles::GEMINI, &request(model));
        for turn in [1, 3, 6] {
            let calls = sent[turn]["tool_calls"].as_array().unwrap();
            assert_eq!(calls[0]["extra_content"], word, "{model}");
            assert!(
                calls[1..]
                    .iter()
                    .all(|call| call.get("extra_content").is_none())
            );
        }
    }
    for (profile, model) in [
        (profiles::GEMINI, "gemini-2.5-flash"),
        (profiles::GEMINI, "gemini-1.5-pro-002"),
        (profiles::OPENROUTER, "google/gemini-3-pro"),
    ] {
        let sent = messages(profile, &request(model));
        assert!(!sent.to_string().contains("thought_signature"), "{model}");
    }
}
