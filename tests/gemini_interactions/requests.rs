//! Requests to the Interactions API: one row per feature.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use unifiedai::{
    ChatRequest, ContentPart, ErrorKind, Json, JsonSchema, Media, Message, ReasoningEffort,
    ResponseFormat, Role, Tool, ToolCall, ToolChoice, ToolResult,
    chat::{ImageDetail, ProviderData, ReasoningFormat, ServiceTier},
    provider::{GeminiInteractions, Provider},
};

fn ask() -> ChatRequest {
    ChatRequest::new("gemini-3-flash").user("hi")
}

fn provider() -> GeminiInteractions {
    GeminiInteractions::new("k").unwrap()
}

fn encode(request: &ChatRequest) -> (Value, Vec<&'static str>) {
    let encoded = provider().encode_chat(request).unwrap();
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

fn function(strict: Option<bool>) -> Tool {
    Tool::Function {
        name: "f".into(),
        description: Some("does".into()),
        parameters: Some(Json::new(&json!({"type": "object"})).unwrap()),
        strict,
    }
}

/// The fields of a request in addition to its model and input.
#[test]
fn parameters() {
    let schema = json!({"type": "object"});
    let format = ResponseFormat::JsonSchema(JsonSchema::new("s", &schema).unwrap());
    let declared =
        json!({"type": "function", "name": "f", "description": "does", "parameters": schema});
    let search = json!({"type": "google_search"});
    let own = || Tool::Provider {
        provider: "gemini-interactions".into(),
        definition: Json::new(&search).unwrap(),
    };
    let config = |config: Value| json!({"generation_config": config});
    let choice = |choice| ask().tool(function(None)).tool_choice(choice);
    let chosen =
        |choice: Value| json!({"tools": [declared], "generation_config": {"tool_choice": choice}});
    let labels = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    let rows = [
        (ask(), json!({})),
        (
            ask()
                .stream(true)
                .include_usage(true)
                .parallel_tool_calls(true)
                .n(1_u32),
            json!({"stream": true}),
        ),
        (
            ChatRequest::new("gemini-3-flash")
                .system("a")
                .system("b")
                .user("hi"),
            json!({"system_instruction": "a\n\nb"}),
        ),
        (
            ask()
                .max_tokens(9_u64)
                .temperature(0.5)
                .top_p(0.25)
                .top_k(3_u64)
                .seed(7_i64),
            config(
                json!({"max_output_tokens": 9, "temperature": 0.5, "top_p": 0.25, "top_k": 3, "seed": 7}),
            ),
        ),
        (ask().stop("x"), config(json!({"stop_sequences": ["x"]}))),
        (
            ask()
                .reasoning_effort(ReasoningEffort::High)
                .reasoning_format(ReasoningFormat::Parsed),
            config(json!({"thinking_level": "high", "thinking_summaries": "auto"})),
        ),
        (
            ask().reasoning_format(ReasoningFormat::Hidden),
            config(json!({"thinking_summaries": "none"})),
        ),
        (ask().response_format(ResponseFormat::Text), json!({})),
        (
            ask().response_format(ResponseFormat::JsonObject),
            json!({"response_format": {"type": "text", "mime_type": "application/json"}}),
        ),
        (
            ask().response_format(format),
            json!({"response_format": {"type": "text", "mime_type": "application/json", "schema": schema}}),
        ),
        (
            ask().store(false).metadata(labels),
            json!({"store": false, "labels": {"k": "v"}}),
        ),
        (ask().service_tier(ServiceTier::Auto), json!({})),
        (
            ask().service_tier(ServiceTier::Default),
            json!({"service_tier": "standard"}),
        ),
        (
            ask().service_tier(ServiceTier::Other("deferred".into())),
            json!({"service_tier": "deferred"}),
        ),
        (ask().tool(function(None)), json!({"tools": [declared]})),
        (
            ask().tool(function(None)).tool(own()),
            json!({"tools": [declared, search]}),
        ),
        (
            ask().tool(own()).tool_choice(ToolChoice::Auto),
            json!({"tools": [search]}),
        ),
        (ask().tool(function(Some(true))), chosen(json!("validated"))),
        (choice(ToolChoice::Auto), chosen(json!("auto"))),
        (choice(ToolChoice::None), chosen(json!("none"))),
        (choice(ToolChoice::Required), chosen(json!("any"))),
        (
            choice(ToolChoice::Function("f".into())),
            chosen(json!({"allowed_tools": {"mode": "any", "tools": ["f"]}})),
        ),
        (
            ask()
                .temperature(0.5)
                .seed(1_i64)
                .extra(
                    "generation_config",
                    &json!({"seed": 2, "speech_config": {}}),
                )
                .unwrap(),
            config(json!({"temperature": 0.5, "seed": 2, "speech_config": {}})),
        ),
        (
            ask()
                .extra("safety_settings", &json!([1]))
                .unwrap()
                .extra("background", &true)
                .unwrap(),
            json!({"safety_settings": [1], "background": true}),
        ),
    ];
    for (request, expected) in rows {
        let (mut body, warnings) = encode(&request);
        let body = body.as_object_mut().unwrap();
        assert_eq!(body.remove("model"), Some(json!("gemini-3-flash")));
        assert_eq!(
            body.remove("input"),
            Some(json!([{"type": "user_input", "content": [{"type": "text", "text": "hi"}]}]))
        );
        assert_eq!(json!(body), expected);
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}

#[test]
fn an_agent_replaces_the_model_and_takes_no_generation_config() {
    let agent = ask().extra("agent", &"deep-research").unwrap();
    let agent = agent.extra("background", &true).unwrap();
    let (body, _) = encode(&agent);
    assert_eq!(
        (&body["agent"], &body["model"]),
        (&json!("deep-research"), &Value::Null)
    );
    let error = provider()
        .encode_chat(&agent.clone().temperature(0.5))
        .unwrap_err();
    assert!(error.message().contains("`generation_config`"), "{error}");
    let (body, warnings) = encode(&agent.temperature(0.5).drop_unsupported());
    assert_eq!(body["generation_config"], Value::Null);
    assert_eq!(warnings, ["unsupported_parameter"]);
}

#[test]
fn what_the_api_lacks_is_refused() {
    let search = Tool::Provider {
        provider: "gemini-interactions".into(),
        definition: Json::new(&json!({"type": "google_search"})).unwrap(),
    };
    for (request, name) in [
        (
            ask().tool(search).tool_choice(ToolChoice::Required),
            "tool_choice",
        ),
        (
            ask().reasoning_effort(ReasoningEffort::None),
            "reasoning_effort",
        ),
        (
            ask().reasoning_effort(ReasoningEffort::XHigh),
            "reasoning_effort",
        ),
        (ask().reasoning_max_tokens(9_u64), "reasoning_max_tokens"),
        (ask().presence_penalty(0.5), "presence_penalty"),
        (ask().n(2_u32), "`n`"),
    ] {
        let error = provider().encode_chat(&request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.message().contains(name), "{error}");
    }
}

/// The steps of a conversation that the server does not store.
#[test]
fn conversations_become_steps() {
    let mut own = ToolCall::new("c1", "f", r#"{"a":1}"#);
    let data = Json::new(&json!({"signature": "Zg=="})).unwrap();
    own.provider_data = Some(ProviderData::new("gemini-interactions", data));
    let thought = json!({"type": "thought", "summary": [{"type": "text", "text": "Hm."}], "signature": "c2ln"});
    let search = json!({"type": "google_search_call", "id": "s", "arguments": {"queries": ["q"]}});
    let block = |value: &Value| {
        ContentPart::provider_block("gemini-interactions", Json::new(value).unwrap())
    };
    let turn = Message::new(
        Role::Assistant,
        vec![
            ContentPart::Reasoning {
                text: "Hm.".into(),
                signature: None,
            },
            block(&thought),
            block(&search),
            "Let me".into(),
            ContentPart::text(""),
            " see.".into(),
            ContentPart::ToolCall(own),
            ContentPart::ToolCall(ToolCall::new("c2", "g", "")),
        ],
    );
    let mut failed = ToolResult::new("c1", "down");
    failed.is_error = true;
    failed.name = Some("f".into());
    let mut picture = ToolResult::new("c2", "see");
    picture
        .content
        .push(ContentPart::image("image/png", vec![1, 2, 3]));
    let request = ask()
        .store(false)
        .message(turn)
        .tool_result(failed)
        .tool_result(picture)
        .user("and?");
    let (body, warnings) = encode(&request);
    assert_eq!(
        body["input"],
        json!([
            {"type": "user_input", "content": [{"type": "text", "text": "hi"}]},
            thought,
            search,
            {"type": "model_output", "content": [{"type": "text", "text": "Let me"}, {"type": "text", "text": " see."}]},
            {"type": "function_call", "id": "c1", "name": "f", "arguments": {"a": 1}, "signature": "Zg=="},
            {"type": "function_call", "id": "c2", "name": "g", "arguments": {}},
            {"type": "function_result", "call_id": "c1", "name": "f", "result": "down", "is_error": true},
            {"type": "function_result", "call_id": "c2", "result": [{"type": "text", "text": "see"}, {"type": "image", "data": "AQID", "mime_type": "image/png"}]},
            {"type": "user_input", "content": [{"type": "text", "text": "and?"}]},
        ])
    );
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn media_have_their_type_and_place() {
    let inline = |mime_type: &str| Media::inline(mime_type, vec![1, 2, 3]);
    let url = |url: &str, mime_type: Option<&str>| Media::Url {
        url: url.into(),
        mime_type: mime_type.map(str::to_owned),
    };
    let image = |media, detail| ContentPart::Image { media, detail };
    let rows = [
        (
            image(inline("image/png"), Some(ImageDetail::High)),
            json!({"type": "image", "data": "AQID", "mime_type": "image/png", "resolution": "high"}),
        ),
        (
            image(
                url("data:image/png;base64,AQID", None),
                Some(ImageDetail::Auto),
            ),
            json!({"type": "image", "data": "AQID", "mime_type": "image/png"}),
        ),
        (
            image(url("https://x/a.png", None), None),
            json!({"type": "image", "uri": "https://x/a.png"}),
        ),
        (
            ContentPart::Audio {
                media: inline("audio/wav"),
            },
            json!({"type": "audio", "data": "AQID", "mime_type": "audio/wav"}),
        ),
        (
            ContentPart::Video {
                media: url("https://youtu.be/x", Some("video/mp4")),
            },
            json!({"type": "video", "uri": "https://youtu.be/x", "mime_type": "video/mp4"}),
        ),
        (
            ContentPart::Document {
                media: Media::File {
                    id: "files/abc".into(),
                },
                name: None,
            },
            json!({"type": "document", "uri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}),
        ),
    ];
    for (part, expected) in rows {
        let (body, warnings) = encode(&ChatRequest::new("m").user_parts(vec!["see".into(), part]));
        assert_eq!(body["input"][0]["content"][1], expected);
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}

/// A result has texts and images; other media follow all results of the turn.
#[test]
fn other_media_follow_the_results() {
    let calls = ["c1", "c2"].map(|id| ContentPart::ToolCall(ToolCall::new(id, "f", "{}")));
    let mut first = ToolResult::new("c1", "");
    first.content = vec![ContentPart::document("a", "application/pdf", vec![1, 2, 3])];
    let request = ask()
        .message(Message::new(Role::Assistant, calls.to_vec()))
        .tool_result(first)
        .tool_result(ToolResult::new("c2", "done"));
    let (body, warnings) = encode(&request);
    assert_eq!(
        body["input"].as_array().unwrap()[3..],
        [
            json!({"type": "function_result", "call_id": "c1", "result": "(the content follows the results)"}),
            json!({"type": "function_result", "call_id": "c2", "result": "done"}),
            json!({"type": "user_input", "content": [{"type": "document", "data": "AQID", "mime_type": "application/pdf"}]}),
        ]
    );
    assert_eq!(warnings, ["document_name_left_out"]);
}

#[test]
fn a_stored_conversation_continues_with_new_steps_only() {
    let request = ChatRequest::new("m").tool_result(ToolResult::new("c1", "42"));
    let request = request.extra("previous_interaction_id", "v1_1").unwrap();
    let (body, _) = encode(&request);
    assert_eq!(body["previous_interaction_id"], "v1_1");
    assert_eq!(
        body["input"],
        json!([{"type": "function_result", "call_id": "c1", "result": "42"}])
    );
}

#[test]
fn foreign_parts_are_left_out_with_warnings() {
    let foreign = Json::new(&json!({"x": 1})).unwrap();
    let turn = Message::new(
        Role::Assistant,
        vec![
            ContentPart::Reasoning {
                text: "Hm.".into(),
                signature: Some("s".into()),
            },
            ContentPart::provider_block("anthropic", foreign),
            "Yes.".into(),
        ],
    );
    let (body, mut warnings) = encode(&ask().message(turn).system("late").user("and?"));
    assert_eq!(
        body["input"][1],
        json!({"type": "model_output", "content": [{"type": "text", "text": "Yes."}]})
    );
    assert_eq!(body["system_instruction"], "late");
    warnings.sort_unstable();
    assert_eq!(
        warnings,
        [
            "opaque_left_out",
            "reasoning_left_out",
            "signature_left_out",
            "system_moved"
        ]
    );
}
