//! Requests to Gemini's `generateContent` and to its Interactions API: one row per feature.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that goes wrong is to stop"
)]

#[path = "gemini_interactions/requests.rs"]
mod interactions;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use unifiedai::{
    ChatRequest, ContentPart, ErrorKind, Json, JsonSchema, Media, Message, ReasoningEffort,
    ResponseFormat, Role, Secret, Tool, ToolCall, ToolChoice, ToolResult,
    chat::{ImageDetail, ProviderData, ReasoningFormat, ServiceTier},
    provider::{Auth, Credential, Gemini, Provider},
};

fn ask() -> ChatRequest {
    ChatRequest::new("gemini-2.5-flash").user("hi")
}

fn provider() -> Gemini {
    Gemini::new("k").unwrap()
}

fn body(request: &ChatRequest) -> Value {
    let encoded = provider().encode_chat(request).unwrap();
    serde_json::from_slice(encoded.request.body()).unwrap()
}

fn json(value: &Value) -> Json {
    Json::new(value).unwrap()
}

fn failed(id: &str, text: &str) -> ToolResult {
    let mut result = ToolResult::new(id, text);
    result.is_error = true;
    result
}

fn with_picture(text: &str) -> ToolResult {
    let mut result = ToolResult::new("1", text);
    result.name = Some("f".into());
    result.content.push(ContentPart::image("image/png", "x"));
    result
}

fn function(strict: Option<bool>) -> Tool {
    Tool::Function {
        name: "f".into(),
        description: Some("does".into()),
        parameters: Some(json(&json!({"type": "object"}))),
        strict,
    }
}

/// The fields of a request in addition to its contents.
#[test]
fn parameters() {
    let schema = json!({"type": "object"});
    let format = ResponseFormat::JsonSchema(JsonSchema::new("s", &schema).unwrap());
    let declared = json!({"functionDeclarations": [{"name": "f", "description": "does", "parametersJsonSchema": schema}]});
    let search = json!({"googleSearch": {}});
    let own = Tool::Provider {
        provider: "gemini".into(),
        definition: json(&search),
    };
    let choice = |choice| ask().tool(function(None)).tool_choice(choice);
    let mode = |mode: &str| json!({"tools": [declared], "toolConfig": {"functionCallingConfig": {"mode": mode}}});
    let config = |config: Value| json!({"generationConfig": config});
    let thinking = |thinking: Value| config(json!({"thinkingConfig": thinking}));
    let on_three = || ChatRequest::new("gemini-3-pro-preview").user("hi");
    let rows = [
        (ask(), json!({})),
        (
            ask()
                .stream(true)
                .include_usage(true)
                .parallel_tool_calls(true),
            json!({}),
        ),
        (
            ask()
                .max_tokens(7)
                .temperature(0.5)
                .top_p(0.9)
                .top_k(3)
                .n(2)
                .seed(4)
                .stop("x"),
            config(
                json!({"maxOutputTokens": 7, "temperature": 0.5, "topP": 0.9, "topK": 3, "candidateCount": 2, "seed": 4, "stopSequences": ["x"]}),
            ),
        ),
        (
            ask()
                .frequency_penalty(0.1)
                .presence_penalty(0.2)
                .logprobs(true)
                .top_logprobs(2),
            config(
                json!({"frequencyPenalty": 0.1, "presencePenalty": 0.2, "responseLogprobs": true, "logprobs": 2}),
            ),
        ),
        (
            ask().response_format(ResponseFormat::JsonObject),
            config(json!({"responseMimeType": "application/json"})),
        ),
        (
            ask().response_format(format),
            config(json!({"responseMimeType": "application/json", "responseJsonSchema": schema})),
        ),
        (
            ask().reasoning_max_tokens(100),
            thinking(json!({"includeThoughts": true, "thinkingBudget": 100})),
        ),
        (
            ask().reasoning_effort(ReasoningEffort::Medium),
            thinking(json!({"includeThoughts": true, "thinkingBudget": 8192})),
        ),
        (
            ask().reasoning_effort(ReasoningEffort::None),
            thinking(json!({"thinkingBudget": 0})),
        ),
        (
            ask().disable_reasoning(true),
            thinking(json!({"thinkingBudget": 0})),
        ),
        (
            ask().reasoning_format(ReasoningFormat::Parsed),
            thinking(json!({"includeThoughts": true})),
        ),
        (
            on_three()
                .reasoning_effort(ReasoningEffort::Low)
                .reasoning_format(ReasoningFormat::Hidden),
            thinking(json!({"includeThoughts": false, "thinkingLevel": "low"})),
        ),
        (ask().tool(function(None)), json!({"tools": [declared]})),
        (
            ask().tool(own).tool(function(None)),
            json!({"tools": [declared, search]}),
        ),
        (ask().tool(function(Some(true))), mode("VALIDATED")),
        (choice(ToolChoice::Auto), mode("AUTO")),
        (choice(ToolChoice::None), mode("NONE")),
        (choice(ToolChoice::Required), mode("ANY")),
        (
            choice(ToolChoice::Function("f".into())),
            json!({"tools": [declared], "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}}}),
        ),
        (
            ask().service_tier(ServiceTier::Flex),
            json!({"serviceTier": "flex"}),
        ),
        (
            ask().system("be brief"),
            json!({"systemInstruction": {"parts": [{"text": "be brief"}]}}),
        ),
        // `extra` has precedence over the typed parameters, inside `generationConfig` too.
        (
            ask()
                .temperature(0.5)
                .max_tokens(1)
                .extra(
                    "generationConfig",
                    &json!({"temperature": 2, "responseModalities": ["IMAGE"]}),
                )
                .unwrap()
                .extra("cachedContent", "c")
                .unwrap(),
            json!({"cachedContent": "c", "generationConfig": {"maxOutputTokens": 1, "temperature": 2, "responseModalities": ["IMAGE"]}}),
        ),
    ];
    for (request, members) in rows {
        let mut wanted = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
        for (name, value) in members.as_object().unwrap() {
            wanted[name] = value.clone();
        }
        assert_eq!(body(&request), wanted);
    }
}

#[test]
fn unsupported_params_are_named_errors_or_warnings() {
    let image = ContentPart::Image {
        media: Media::inline("image/png", "x"),
        detail: Some(ImageDetail::Low),
    };
    let rows = [
        (ask().parallel_tool_calls(false), "`parallel_tool_calls`"),
        (ask().min_p(0.1), "`min_p`"),
        (ask().user_id("u"), "`user_id`"),
        (ask().metadata(BTreeMap::new()), "`metadata`"),
        (ask().prediction("x"), "`prediction`"),
        (ask().include_usage(false), "`include_usage`"),
        (ask().reasoning_effort(ReasoningEffort::XHigh), "`xhigh`"),
        (ask().reasoning_format(ReasoningFormat::Raw), "`raw`"),
        (
            ask()
                .reasoning_effort(ReasoningEffort::Low)
                .reasoning_max_tokens(9),
            "`reasoning_effort`",
        ),
        (ask().user_parts(vec![image]), "`low`"),
    ];
    for (request, named) in rows {
        let error = provider().encode_chat(&request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.message().contains(named), "{error}");
        let encoded = provider().encode_chat(&request.drop_unsupported()).unwrap();
        assert!(
            encoded.warnings[0].message.contains(named),
            "{:?}",
            encoded.warnings
        );
    }
    let nameless = ask()
        .tool_result(ToolResult::new("1", "x"))
        .drop_unsupported();
    assert!(
        provider().encode_chat(&nameless).is_err(),
        "the call of the result is unknown"
    );
}

#[test]
fn contents() {
    let call = |id: &str, data: Option<Value>| {
        let mut call = ToolCall::new(id, "f", "{\"a\": 1}");
        call.provider_data = data.map(|data| ProviderData::new("gemini", json(&data)));
        ContentPart::ToolCall(call)
    };
    let model = |parts| Message::new(Role::Assistant, parts);
    let part = |value: Value| ContentPart::provider_block("gemini", json(&value));
    let rows = [
        // Results are grouped and named after the call; they have an id if the call has one.
        (
            ask()
                .message(model(vec![
                    call("x", Some(json!({"id": "x", "thoughtSignature": "s"}))),
                    call("call_r_1", None),
                ]))
                .tool_result(ToolResult::new("x", "one"))
                .tool_result(failed("call_r_1", "bad"))
                .user("go on"),
            json!([
                {"role": "user", "parts": [{"text": "hi"}]},
                {"role": "model", "parts": [
                    {"functionCall": {"id": "x", "name": "f", "args": {"a": 1}}, "thoughtSignature": "s"},
                    {"functionCall": {"name": "f", "args": {"a": 1}}},
                ]},
                {"role": "user", "parts": [
                    {"functionResponse": {"id": "x", "name": "f", "response": {"output": "one"}}},
                    {"functionResponse": {"name": "f", "response": {"error": "bad"}}},
                ]},
                {"role": "user", "parts": [{"text": "go on"}]},
            ]),
        ),
        (
            ChatRequest::new("m")
                .message(model(vec![call("1", None)]))
                .tool_result(with_picture("{\"a\": [1]}")),
            // A model name that is not known to be older counts as Gemini 3.
            json!([
                {"role": "model", "parts": [{
                    "functionCall": {"name": "f", "args": {"a": 1}},
                    "thoughtSignature": "skip_thought_signature_validator",
                }]},
                {"role": "user", "parts": [{"functionResponse": {
                    "name": "f",
                    "response": {"a": [1]},
                    "parts": [{"inlineData": {"mimeType": "image/png", "data": "eA=="}}],
                }}]},
            ]),
        ),
        // Signatures are sent back on their parts; reasoning only if it was signed.
        (
            ask().message(model(vec![
                ContentPart::Reasoning {
                    text: "hm".into(),
                    signature: None,
                },
                ContentPart::text("yes"),
                part(json!({"thoughtSignature": "s"})),
                ContentPart::Reasoning {
                    text: "so".into(),
                    signature: None,
                },
                part(json!({"thoughtSignature": "t"})),
                part(json!({"executableCode": {"code": "1"}, "thoughtSignature": "u"})),
                part(json!({"text": "", "thoughtSignature": "v"})),
            ])),
            json!([
                {"role": "user", "parts": [{"text": "hi"}]},
                {"role": "model", "parts": [
                    {"text": "yes", "thoughtSignature": "s"},
                    {"text": "so", "thought": true, "thoughtSignature": "t"},
                    {"executableCode": {"code": "1"}, "thoughtSignature": "u"},
                    {"text": "", "thoughtSignature": "v"},
                ]},
            ]),
        ),
        // Media.
        (
            ChatRequest::new("m").user_parts(vec![
                ContentPart::image("image/png", "x"),
                ContentPart::audio("audio/wav", "x"),
                ContentPart::image_url("data:image/gif;base64,AAAA"),
                ContentPart::Video {
                    media: Media::Url {
                        url: "gs://b/v".into(),
                        mime_type: Some("video/mp4".into()),
                    },
                },
                ContentPart::Document {
                    media: Media::File {
                        id: "files/1".into(),
                    },
                    name: None,
                },
                part(json!({"videoMetadata": {"fps": 1}})),
            ]),
            json!([{"role": "user", "parts": [
                {"inlineData": {"mimeType": "image/png", "data": "eA=="}},
                {"inlineData": {"mimeType": "audio/wav", "data": "eA=="}},
                {"inlineData": {"mimeType": "image/gif", "data": "AAAA"}},
                {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://b/v"}},
                {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/1"}, "videoMetadata": {"fps": 1}},
            ]}]),
        ),
    ];
    for (request, wanted) in rows {
        assert_eq!(body(&request)["contents"], wanted);
    }
}

#[test]
fn a_conversation_from_another_provider_continues() {
    let foreign = |id: &str, arguments: &str| {
        let mut call = ToolCall::new(id, "f", arguments);
        call.provider_data = Some(ProviderData::new("anthropic", json(&json!({"caller": {}}))));
        ContentPart::ToolCall(call)
    };
    let history = |model: &str| {
        ChatRequest::new(model)
            .user("hi")
            .message(Message::new(
                Role::Assistant,
                vec![
                    ContentPart::Reasoning {
                        text: "hm".into(),
                        signature: Some("s".into()),
                    },
                    ContentPart::provider_block(
                        "anthropic",
                        json(&json!({"type": "redacted_thinking"})),
                    ),
                    ContentPart::Refusal { text: "no".into() },
                    foreign("1", "{}"),
                    foreign("2", "{broken"),
                ],
            ))
            .tool_result(ToolResult::new("1", "done"))
            .tool_result(ToolResult::new("2", "done"))
    };
    let encoded = provider()
        .encode_chat(&history("gemini-3-pro-preview"))
        .unwrap();
    let codes: Vec<&str> = encoded
        .warnings
        .iter()
        .map(|warning| warning.code)
        .collect();
    assert_eq!(
        codes,
        [
            "signature_left_out",
            "opaque_left_out",
            "opaque_left_out",
            "opaque_left_out",
            "invalid_tool_arguments"
        ]
    );
    let parts = |model: &str| body(&history(model))["contents"][1]["parts"].clone();
    let call = |args: Value| json!({"functionCall": {"name": "f", "args": args}});
    let mut first = call(json!({}));
    let second = call(json!({"invalid_json": "{broken"}));
    assert_eq!(
        parts("gemini-2.5-flash"),
        json!([{"text": "no"}, first, second])
    );
    // Gemini 3 requires a signature on the first call of a turn, and accepts this placeholder.
    first["thoughtSignature"] = "skip_thought_signature_validator".into();
    assert_eq!(
        parts("gemini-3-pro-preview"),
        json!([{"text": "no"}, first, second])
    );
}

#[test]
fn hosting_decides_the_url_without_the_key() {
    let uri = |provider: &Gemini, request: &ChatRequest| {
        provider
            .encode_chat(request)
            .unwrap()
            .request
            .uri()
            .to_string()
    };
    let own = "https://generativelanguage.googleapis.com/v1beta";
    for (model, stream, path) in [
        (
            "gemini-2.5-flash",
            false,
            "/models/gemini-2.5-flash:generateContent",
        ),
        ("models/x", false, "/models/x:generateContent"),
        (
            "tunedModels/x",
            true,
            "/tunedModels/x:streamGenerateContent?alt=sse",
        ),
        ("a?key=b", false, "/models/a%3Fkey%3Db:generateContent"),
    ] {
        let request = ChatRequest::new(model).user("hi").stream(stream);
        assert_eq!(uri(&provider(), &request), [own, path].concat());
    }
    assert!(
        provider()
            .encode_chat(&ChatRequest::new("../x").user("hi"))
            .is_err()
    );
    let token = Credential::Callback(std::sync::Arc::new(|| Secret::new("fresh")));
    let vertex = Gemini::builder()
        .vertex("p", "global")
        .unwrap()
        .auth(Auth::Bearer(token));
    let vertex = vertex.build().unwrap();
    assert_eq!(
        uri(&vertex, &ask()),
        "https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/google/models/gemini-2.5-flash:generateContent"
    );
    let labelled = ask().metadata(BTreeMap::from([("team".into(), "a".into())]));
    let encoded = vertex.encode_chat(&labelled).unwrap();
    let body: Value = serde_json::from_slice(encoded.request.body()).unwrap();
    assert_eq!(body["labels"], json!({"team": "a"}));
    assert!(vertex.encode_models(None).is_err());
    assert!(Gemini::builder().vertex("p", "evil.example/").is_err());
    assert!(Gemini::builder().build().is_err(), "no key");
    assert!(
        Gemini::builder()
            .vertex("p", "global")
            .unwrap()
            .build()
            .is_err(),
        "no token"
    );
}

#[test]
fn models_are_listed_page_by_page() {
    let page = provider().encode_models(None).unwrap();
    assert_eq!(page.uri().query(), Some("pageSize=1000"));
    let body = r#"{"models":[{"name":"models/g-1","displayName":"G 1","inputTokenLimit":9}],"nextPageToken":"a/b"}"#;
    let list = provider().decode_models(&body.into()).unwrap();
    let model = &list.models[0];
    assert_eq!(
        (
            model.id.as_str(),
            model.name.as_deref(),
            model.context_length
        ),
        ("g-1", Some("G 1"), Some(9))
    );
    let next = provider().encode_models(list.next_page.as_deref()).unwrap();
    assert_eq!(next.uri().query(), Some("pageSize=1000&pageToken=a%2Fb"));
    let one = provider().encode_model("g-1").unwrap();
    assert_eq!(one.uri().path(), "/v1beta/models/g-1");
}
