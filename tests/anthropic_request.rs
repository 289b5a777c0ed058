//! Requests to Anthropic's Messages API: one row per feature.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that goes wrong is to stop"
)]

use serde_json::{Value, json};
use std::collections::BTreeMap;
use unifiedai::{
    ChatRequest, ContentPart, ErrorKind, Json, JsonSchema, Media, Message, ReasoningEffort,
    ResponseFormat, Role, Secret, Tool, ToolCall, ToolChoice, ToolResult,
    chat::{Citation, ImageDetail, ProviderData, ReasoningFormat, ServiceTier},
    provider::{Anthropic, Auth, Credential, Provider, anthropic::cache_point},
};

fn ask() -> ChatRequest {
    ChatRequest::new("m").user("hi")
}

fn provider() -> Anthropic {
    Anthropic::new("k").unwrap()
}

fn body(request: &ChatRequest) -> Value {
    let encoded = provider().encode_chat(request).unwrap();
    serde_json::from_slice(encoded.request.body()).unwrap()
}

fn tool() -> Tool {
    Tool::function("f", "does", &json!({"type": "object"})).unwrap()
}

fn failed(id: &str, text: &str) -> ToolResult {
    let mut result = ToolResult::new(id, text);
    result.is_error = true;
    result
}

fn part(json: Value) -> ContentPart {
    ContentPart::provider_block("anthropic", Json::new(&json).unwrap())
}

/// The fields of a request in addition to those of every request.
#[test]
fn parameters() {
    let schema = JsonSchema::new("s", &json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false})).unwrap();
    let wire_tool =
        json!([{"name": "f", "description": "does", "input_schema": {"type": "object"}}]);
    let bare = Tool::Function {
        name: "g".into(),
        description: None,
        parameters: None,
        strict: Some(true),
    };
    let search = json!({"type": "web_search_20250305", "name": "web_search"});
    let own = Tool::Provider {
        provider: "anthropic".into(),
        definition: Json::new(&search).unwrap(),
    };
    let effort = |effort| ask().reasoning_effort(effort);
    let rows = [
        (ask(), json!({})),
        (ask().max_tokens(7), json!({"max_tokens": 7})),
        (ask().stream(true), json!({"stream": true})),
        (
            ask().temperature(0.5).top_p(0.9).top_k(3).stop("x"),
            json!({"temperature": 0.5, "top_p": 0.9, "top_k": 3, "stop_sequences": ["x"]}),
        ),
        (ask().user_id("u"), json!({"metadata": {"user_id": "u"}})),
        (
            ask().service_tier(ServiceTier::Default),
            json!({"service_tier": "standard_only"}),
        ),
        (ask().n(1).logprobs(false).include_usage(true), json!({})),
        (ask().tool(tool()), json!({"tools": wire_tool})),
        (
            ask().tool(bare).tool(own),
            json!({"tools": [{"name": "g", "input_schema": {"type": "object", "properties": {}, "additionalProperties": false}, "strict": true}, search]}),
        ),
        (
            ask().tool(tool()).tool_choice(ToolChoice::Required),
            json!({"tools": wire_tool, "tool_choice": {"type": "any"}}),
        ),
        (
            ask()
                .tool(tool())
                .tool_choice(ToolChoice::Function("f".into()))
                .parallel_tool_calls(false),
            json!({"tools": wire_tool, "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": true}}),
        ),
        (
            ask().tool(tool()).parallel_tool_calls(false),
            json!({"tools": wire_tool, "tool_choice": {"type": "auto", "disable_parallel_tool_use": true}}),
        ),
        (
            ask()
                .tool(tool())
                .tool_choice(ToolChoice::None)
                .parallel_tool_calls(false),
            json!({"tools": wire_tool, "tool_choice": {"type": "none"}}),
        ),
        // The server refuses a tool choice without tools.
        (ask().tool_choice(ToolChoice::None), json!({})),
        (ask().tool_choice(ToolChoice::Auto), json!({})),
        (
            ask().reasoning_max_tokens(2000),
            json!({"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 6096}),
        ),
        (
            effort(ReasoningEffort::High).reasoning_format(ReasoningFormat::Parsed),
            json!({"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "high"}}),
        ),
        (
            effort(ReasoningEffort::None),
            json!({"thinking": {"type": "disabled"}}),
        ),
        (
            ask().disable_reasoning(true),
            json!({"thinking": {"type": "disabled"}}),
        ),
        (
            effort(ReasoningEffort::Low).response_format(ResponseFormat::JsonSchema(schema)),
            json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false}}}}),
        ),
        (
            ask()
                .max_tokens(1)
                .extra("max_tokens", &9)
                .unwrap()
                .extra("container", "c")
                .unwrap(),
            json!({"max_tokens": 9, "container": "c"}),
        ),
        (
            ask()
                .extra("cache_control", &json!({"type": "ephemeral"}))
                .unwrap(),
            json!({"cache_control": {"type": "ephemeral"}}),
        ),
    ];
    for (request, members) in rows {
        let mut wanted = json!({
            "model": "m",
            "max_tokens": 4096,
            "messages": [{"role": "user", "content": "hi"}],
        });
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
        detail: Some(ImageDetail::High),
    };
    let rows = [
        (ask().seed(7), "`seed`"),
        (ask().n(2), "`n`"),
        (ask().logprobs(true), "`logprobs`"),
        (ask().include_usage(false), "`include_usage`"),
        (ask().frequency_penalty(1.0), "`frequency_penalty`"),
        (ask().logit_bias(BTreeMap::new()), "`logit_bias`"),
        (ask().metadata(BTreeMap::new()), "`metadata`"),
        (ask().prediction("x"), "`prediction`"),
        (
            ask().response_format(ResponseFormat::JsonObject),
            "`json_object`",
        ),
        (
            ask().reasoning_effort(ReasoningEffort::Minimal),
            "`minimal`",
        ),
        (ask().reasoning_format(ReasoningFormat::Raw), "`raw`"),
        (ask().service_tier(ServiceTier::Flex), "`flex`"),
        (ask().user_parts(vec![image]), "`high`"),
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
    for part in [
        ContentPart::audio("audio/wav", "x"),
        ContentPart::Video {
            media: Media::inline("video/mp4", "x"),
        },
    ] {
        let request = ask().user_parts(vec![part]).drop_unsupported();
        assert!(
            provider().encode_chat(&request).is_err(),
            "a question without its parts is another one"
        );
    }
}

#[test]
fn messages() {
    let call = |id: &str, arguments: &str| ContentPart::ToolCall(ToolCall::new(id, "f", arguments));
    let assistant = |parts| Message::new(Role::Assistant, parts);
    let user = |content: Value| json!({"role": "user", "content": content});
    let rows = [
        // Adjacent messages of one role are merged, with results first.
        (
            ask()
                .message(assistant(vec![call("1", "{\"a\": 1}"), call("2", "")]))
                .user("go on")
                .tool_result(ToolResult::new("1", "one"))
                .tool_result(failed("2", "two")),
            json!([
                user("hi".into()),
                {"role": "assistant", "content": [
                    {"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}},
                    {"type": "tool_use", "id": "2", "name": "f", "input": {}},
                ]},
                user(json!([
                    {"type": "tool_result", "tool_use_id": "1", "content": "one"},
                    {"type": "tool_result", "tool_use_id": "2", "content": "two", "is_error": true},
                    {"type": "text", "text": "go on"},
                ])),
            ]),
        ),
        (
            ask().assistant("").user("again"),
            json!([user(
                json!([{"type": "text", "text": "hi"}, {"type": "text", "text": "again"}])
            )]),
        ),
        // Reasoning and provider blocks are sent back unchanged, in their order.
        (
            ask().message(assistant(vec![
                ContentPart::Reasoning {
                    text: "hm".into(),
                    signature: Some("s".into()),
                },
                part(json!({"type": "redacted_thinking", "data": "d"})),
                ContentPart::text("yes"),
            ])),
            json!([user("hi".into()), {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"},
                {"type": "text", "text": "yes"},
            ]}]),
        ),
        // Media.
        (
            ChatRequest::new("m").user_parts(vec![
                ContentPart::image("image/png", "x"),
                ContentPart::image_url("https://x/a.png"),
                ContentPart::image_url("data:image/gif;base64,AAAA"),
                ContentPart::document("a", "application/pdf", "x"),
                ContentPart::document("b", "text/csv", "1,2"),
                ContentPart::Document {
                    media: Media::File {
                        id: "file_1".into(),
                    },
                    name: None,
                },
            ]),
            json!([user(json!([
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "eA=="}},
                {"type": "image", "source": {"type": "url", "url": "https://x/a.png"}},
                {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "AAAA"}},
                {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "eA=="}, "title": "a"},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "1,2"}, "title": "b"},
                {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
            ]))]),
        ),
        // A cache point belongs to the part before it, whatever its type.
        (
            ChatRequest::new("m").user_parts(vec![
                ContentPart::text("long"),
                cache_point(Some("1h")).unwrap(),
                part(json!({"type": "search_result", "title": "t"})),
                cache_point(None).unwrap(),
            ]),
            json!([user(json!([
                {"type": "text", "text": "long", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
                {"type": "search_result", "title": "t", "cache_control": {"type": "ephemeral"}},
            ]))]),
        ),
    ];
    for (request, wanted) in rows {
        assert_eq!(body(&request)["messages"], wanted);
    }
}

#[test]
fn instructions_are_separate() {
    let plain = ask().system("be brief");
    assert_eq!(body(&plain)["system"], "be brief");
    let mut parts = vec![ContentPart::text("be brief"), cache_point(None).unwrap()];
    let cached = ask().message(Message::new(Role::System, std::mem::take(&mut parts)));
    assert_eq!(
        body(&cached)["system"],
        json!([{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}])
    );
    let late = ask().message(Message::new(Role::Developer, vec!["now in French".into()]));
    let warnings = provider().encode_chat(&late).unwrap().warnings;
    assert_eq!(warnings[0].code, "system_moved");
}

#[test]
fn a_conversation_from_another_provider_continues() {
    let cited = ContentPart::Text {
        text: "as they say".into(),
        citations: ["web_search_result_location", "url_citation"]
            .map(|kind| {
                let mut citation = Citation::default();
                citation.raw = Some(Json::new(&json!({"type": kind})).unwrap());
                citation
            })
            .into(),
    };
    let mut call = ToolCall::new("functions.f:0", "f", "{broken");
    call.provider_data = Some(ProviderData::new(
        "gemini",
        Json::new(&json!({"id": "x"})).unwrap(),
    ));
    let request = ask()
        .message(Message::new(
            Role::Assistant,
            vec![
                ContentPart::Reasoning {
                    text: "hm".into(),
                    signature: None,
                },
                ContentPart::provider_block(
                    "bedrock",
                    Json::new(&json!({"cachePoint": {}})).unwrap(),
                ),
                ContentPart::Refusal { text: "no".into() },
                cited,
                ContentPart::ToolCall(call),
            ],
        ))
        .tool_result(ToolResult::new("functions.f:0", "done"));
    let encoded = provider().encode_chat(&request).unwrap();
    let codes: Vec<&str> = encoded
        .warnings
        .iter()
        .map(|warning| warning.code)
        .collect();
    assert_eq!(
        codes,
        [
            "opaque_left_out",
            "opaque_left_out",
            "reasoning_left_out",
            "invalid_tool_arguments"
        ]
    );
    assert!(encoded.warnings[0].message.contains("`bedrock`"));
    assert!(encoded.warnings[1].message.contains("`gemini`"));
    assert_eq!(
        body(&request)["messages"],
        json!([
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [
                {"type": "text", "text": "no"},
                {"type": "text", "text": "as they say", "citations": [{"type": "web_search_result_location"}]},
                {"type": "tool_use", "id": "functions_f_0_Wm4eKIA7p50tIMOJ", "name": "f", "input": {"INVALID_JSON": "{broken"}},
            ]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "functions_f_0_Wm4eKIA7p50tIMOJ", "content": "done"}]},
        ])
    );
}

#[test]
fn hosting_decides_url_headers_and_version() {
    let header = |encoded: &unifiedai::provider::EncodedRequest, name: &str| {
        let value = encoded.request.headers().get(name);
        value.map(|value| value.to_str().unwrap().to_owned())
    };
    let own = Anthropic::builder()
        .api_key("k")
        .unwrap()
        .beta("a")
        .beta("b")
        .build()
        .unwrap();
    let encoded = own.encode_chat(&ask().stream(true)).unwrap();
    assert_eq!(
        encoded.request.uri(),
        "https://api.anthropic.com/v1/messages"
    );
    assert_eq!(header(&encoded, "anthropic-version").unwrap(), "2023-06-01");
    assert_eq!(header(&encoded, "anthropic-beta").unwrap(), "a,b");
    assert_eq!(header(&encoded, "accept").unwrap(), "text/event-stream");
    assert_eq!(
        header(&encoded, "x-api-key"),
        None,
        "the machine adds it at send time"
    );

    let azure = Anthropic::builder()
        .azure("res")
        .unwrap()
        .api_key("k")
        .unwrap()
        .build()
        .unwrap();
    let encoded = azure.encode_chat(&ask()).unwrap();
    assert_eq!(
        encoded.request.uri(),
        "https://res.services.ai.azure.com/anthropic/v1/messages"
    );

    let token = Credential::Callback(std::sync::Arc::new(|| Secret::new("fresh")));
    let vertex = Anthropic::builder()
        .vertex("p", "us-east5")
        .unwrap()
        .auth(Auth::Bearer(token));
    let vertex = vertex.build().unwrap();
    for (stream, method) in [(false, "rawPredict"), (true, "streamRawPredict")] {
        let encoded = vertex.encode_chat(&ask().stream(stream)).unwrap();
        assert_eq!(
            encoded.request.uri().to_string(),
            format!(
                "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5/publishers/anthropic/models/m:{method}"
            )
        );
        assert_eq!(header(&encoded, "anthropic-version"), None);
        let body: Value = serde_json::from_slice(encoded.request.body()).unwrap();
        assert_eq!(
            (&body["anthropic_version"], &body["model"]),
            (&json!("vertex-2023-10-16"), &Value::Null)
        );
    }
    assert!(vertex.encode_models(None).is_err());
    assert!(
        Anthropic::builder().vertex("p", "x.evil/").is_err()
            && Anthropic::builder().azure("a.b").is_err()
    );
    assert!(Anthropic::builder().build().is_err(), "no key");
    assert!(
        Anthropic::builder()
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
    assert_eq!(page.uri(), "https://api.anthropic.com/v1/models?limit=1000");
    let body = r#"{"data":[{"type":"model","id":"m-1","display_name":"M 1","created_at":"2025-02-19T00:00:00Z","max_input_tokens":200000}],"has_more":true,"last_id":"m-1"}"#;
    let list = provider().decode_models(&body.into()).unwrap();
    let model = &list.models[0];
    assert_eq!(
        (model.id.as_str(), model.created, model.context_length),
        ("m-1", Some(1_739_923_200), Some(200_000))
    );
    let next = provider().encode_models(list.next_page.as_deref()).unwrap();
    assert_eq!(next.uri().query(), Some("limit=1000&after_id=m-1"));
    let one = provider().encode_model("a/b").unwrap();
    assert_eq!(one.uri().path(), "/v1/models/a%2Fb");
}
