//! The body of Converse requests, and requests that are refused before they are sent.
#![cfg(feature = "bedrock")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that goes wrong is to stop"
)]

use serde_json::{Value, json};
use unifiedai::{
    ChatRequest, ContentPart, Error, ErrorKind, Json, JsonSchema, Media, Message, ReasoningEffort,
    ResponseFormat, Role, Tool, ToolCall, ToolChoice, ToolResult,
    chat::{ServiceTier, Warning},
    provider::{
        AwsCredentials, Provider,
        bedrock::{
            Bedrock, CacheTtl, ConverseOptions, Guardrail, cache_point, cited_document,
            json_result, system_tool, tool_cache_point,
        },
    },
};

fn bedrock() -> Bedrock {
    let builder = Bedrock::builder()
        .region("us-east-1")
        .api_key("key")
        .unwrap();
    builder.build().unwrap()
}

fn encode(request: &ChatRequest) -> Result<(Value, Vec<Warning>), Error> {
    let encoded = bedrock().encode_chat(request)?;
    let body = serde_json::from_slice(encoded.request.body()).unwrap();
    Ok((body, encoded.warnings))
}

fn body(request: &ChatRequest) -> Value {
    let (body, warnings) = encode(request).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    body
}

fn refused(request: &ChatRequest) -> String {
    let error = encode(request).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    error.message().to_owned()
}

fn ask() -> ChatRequest {
    ChatRequest::new("acme.model-v1:0").user("Hello")
}

fn add() -> Tool {
    Tool::function("add", "Adds", &json!({"type": "object"})).unwrap()
}

fn call(id: &str, arguments: &str) -> ContentPart {
    ContentPart::ToolCall(ToolCall::new(id, "add", arguments))
}

fn assistant(parts: Vec<ContentPart>) -> Message {
    Message::new(Role::Assistant, parts)
}

#[test]
fn the_model_is_one_segment_of_the_path() {
    let path = |model: &str, stream| {
        let request = ChatRequest::new(model).user("x").stream(stream);
        let encoded = bedrock().encode_chat(&request)?;
        Ok::<_, Error>(encoded.request.uri().to_string())
    };
    assert_eq!(
        path("acme.model-v1:0", false).unwrap(),
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/acme.model-v1%3A0/converse"
    );
    assert_eq!(
        path("arn:aws:bedrock:us-east-1:1:inference-profile/us.x:0", true).unwrap(),
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.x%3A0/converse-stream"
    );
    for model in [".", "..", &"x".repeat(2049)] {
        let error = path(model, false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(
            error.message().contains("is not the id of a model"),
            "{error}"
        );
    }
}

#[test]
fn parameters_are_encoded_at_their_paths() {
    let request = ask()
        .system("Be brief.")
        .max_tokens(10)
        .temperature(0.5)
        .top_p(0.9)
        .stop("END")
        .service_tier(ServiceTier::Flex)
        .reasoning_effort(ReasoningEffort::Low)
        .metadata([("team".to_owned(), "a b".to_owned())].into())
        .n(1)
        .include_usage(true)
        .response_format(ResponseFormat::JsonSchema(
            JsonSchema::new(
                "city",
                &json!({"type": "object", "properties": {}, "additionalProperties": false}),
            )
            .unwrap(),
        ));
    let expected = json!({
        "messages": [{"role": "user", "content": [{"text": "Hello"}]}],
        "system": [{"text": "Be brief."}],
        "inferenceConfig": {"maxTokens": 10, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"]},
        "outputConfig": {
            "effort": "low",
            "textFormat": {"type": "json_schema", "structure": {"jsonSchema": {
                "schema": "{\"additionalProperties\":false,\"properties\":{},\"type\":\"object\"}", "name": "city"
            }}}
        },
        "serviceTier": {"type": "flex"},
        "requestMetadata": {"team": "a b"},
    });
    assert_eq!(body(&request), expected);
    assert_eq!(body(&ask().service_tier(ServiceTier::Auto)), body(&ask()));
    assert_eq!(
        body(&ask().response_format(ResponseFormat::Text)),
        body(&ask())
    );
}

#[test]
fn params_missing_in_converse_are_errors_or_warnings() {
    let cases = [
        (
            ask().top_k(5),
            "`top_k` (models with this parameter accept it in `additionalModelRequestFields`)",
        ),
        (ask().reasoning_max_tokens(5), "`reasoning_max_tokens`"),
        (
            ask().reasoning_effort(ReasoningEffort::None),
            "`reasoning_effort`",
        ),
        (ask().seed(1), "`seed`"),
        (ask().n(2), "`n`"),
        (ask().user_id("u"), "`user_id`"),
        (ask().parallel_tool_calls(true), "`parallel_tool_calls`"),
        (ask().include_usage(false), "`include_usage`"),
        (ask().prediction("x"), "`prediction`"),
        (
            ask().response_format(ResponseFormat::JsonObject),
            "`json_object`",
        ),
        (ask().extra("top_k", &5).unwrap(), "field `top_k`"),
        (ask().extra("modelId", "x").unwrap(), "field `modelId`"),
    ];
    for (request, what) in cases {
        let message = refused(&request);
        assert!(message.contains(what), "{message}");
        let (body, warnings) = encode(&request.drop_unsupported()).unwrap();
        assert_eq!(body, self::body(&ask()));
        assert_eq!(warnings.len(), 1);
        assert_eq!(warnings[0].code, "unsupported_parameter");
        assert!(warnings[0].message.contains(what), "{warnings:?}");
    }
    let labels = |n: usize, value: &str| {
        let labels = (0..n).map(|n| (n.to_string(), value.to_owned())).collect();
        ask().metadata(labels)
    };
    assert!(refused(&labels(17, "x")).contains("16 labels"));
    assert!(refused(&labels(1, "\u{e9}")).contains("`metadata` has"));
    assert!(refused(&labels(1, &"x".repeat(257))).contains("`metadata` has"));
}

#[test]
fn options_become_fields_and_extra_fields_have_precedence() {
    let options = ConverseOptions::new()
        .guardrail(
            Guardrail::new("g1", "DRAFT")
                .trace("enabled_full")
                .stream_processing_mode("async"),
        )
        .model_field("top_k", &5)
        .unwrap()
        .response_path("/stop_sequence")
        .latency("optimized")
        .prompt_variable("name", "Ann");
    let streamed = body(&options.apply(ask().stream(true)).unwrap());
    let mut guardrail = json!({"guardrailIdentifier": "g1", "guardrailVersion": "DRAFT", "trace": "enabled_full",
        "streamProcessingMode": "async"});
    assert_eq!(streamed["guardrailConfig"], guardrail);
    assert_eq!(
        streamed["additionalModelRequestFields"],
        json!({"top_k": 5})
    );
    assert_eq!(
        streamed["additionalModelResponseFieldPaths"],
        json!(["/stop_sequence"])
    );
    assert_eq!(
        streamed["performanceConfig"],
        json!({"latency": "optimized"})
    );
    assert_eq!(
        streamed["promptVariables"],
        json!({"name": {"text": "Ann"}})
    );
    // A single-body response has no stream processing mode.
    guardrail
        .as_object_mut()
        .unwrap()
        .remove("streamProcessingMode");
    let whole = body(&options.apply(ask()).unwrap());
    assert_eq!(whole["guardrailConfig"], guardrail);

    let merged = ask()
        .max_tokens(5)
        .temperature(1.0)
        .extra("inferenceConfig", &json!({"maxTokens": 7, "new": 1}))
        .unwrap();
    assert_eq!(
        body(&merged)["inferenceConfig"],
        json!({"maxTokens": 7, "temperature": 1.0, "new": 1})
    );
    let replaced = ask().extra("messages", &json!([])).unwrap();
    assert_eq!(body(&replaced), json!({"messages": []}));
}

#[test]
fn the_same_request_gives_the_same_bytes() {
    let request = ask()
        .tool(add())
        .metadata((0..16).map(|n| (n.to_string(), n.to_string())).collect())
        .extra("inferenceConfig", &json!({"b": 1, "a": 2}))
        .unwrap()
        .max_tokens(1);
    let bytes = || bedrock().encode_chat(&request).unwrap().request.into_body();
    assert_eq!(bytes(), bytes());
}

#[test]
fn turns_are_merged_with_results_first() {
    let point = || cache_point(CacheTtl::default()).unwrap();
    let request = ChatRequest::new("m")
        .system("a")
        .user("1")
        .user("2")
        .message(Message::new(Role::Developer, vec!["b".into(), point()]))
        .message(assistant(vec![
            "thinking".into(),
            call("x", "{\"a\": 1.0}"),
        ]))
        .message(assistant(vec![call("y", "")]))
        .user("hurry")
        .message(Message::new(
            Role::Tool,
            vec![ContentPart::ToolResult(ToolResult::new("x", "3")), point()],
        ))
        .tool_result({
            let mut failed = ToolResult::new("y", " ");
            failed.is_error = true;
            failed
        })
        .tool(add());
    let body = body(&request);
    assert_eq!(
        body["system"],
        json!([{"text": "a"}, {"text": "b"}, {"cachePoint": {"type": "default"}}])
    );
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": [{"text": "1"}, {"text": "2"}]},
            {"role": "assistant", "content": [
                {"text": "thinking"},
                {"toolUse": {"toolUseId": "x", "name": "add", "input": {"a": 1.0}}},
                {"toolUse": {"toolUseId": "y", "name": "add", "input": {}}},
            ]},
            {"role": "user", "content": [
                {"toolResult": {"toolUseId": "x", "content": [{"text": "3"}]}},
                {"cachePoint": {"type": "default"}},
                {"toolResult": {"toolUseId": "y", "content": [{"text": "(no output)"}], "status": "error"}},
                {"text": "hurry"},
            ]},
        ])
    );
}

#[test]
fn blank_texts_are_dropped() {
    let request = ChatRequest::new("m")
        .system("  ")
        .user_parts(vec!["".into(), "Hi".into(), "\n".into()])
        .assistant("")
        .user("there")
        .assistant("I think \n");
    assert_eq!(
        body(&request),
        json!({"messages": [
            {"role": "user", "content": [{"text": "Hi"}, {"text": "there"}]},
            {"role": "assistant", "content": [{"text": "I think"}]},
        ]})
    );
    assert!(refused(&ask().user(" ")).contains("`messages[1]` has no text"));
}

#[test]
fn reasoning_is_sent_back_with_its_signature_or_redacted_block() {
    let thought = |signature: Option<&str>| ContentPart::Reasoning {
        text: "hm \u{1F980}".into(),
        signature: signature.map(str::to_owned),
    };
    let redacted = Json::parse(r#"{"reasoningContent": {"redactedContent":"YWJj"}}"#).unwrap();
    let request = ask()
        .message(assistant(vec![
            thought(Some("sig+/==")),
            thought(None),
            ContentPart::provider_block("bedrock", redacted.clone()),
            ContentPart::Refusal { text: "No.".into() },
        ]))
        .user("Why?");
    let encoded = bedrock().encode_chat(&request).unwrap();
    let text = std::str::from_utf8(encoded.request.body()).unwrap();
    assert!(text.contains(redacted.as_str()), "{text}");
    assert_eq!(
        body(&request)["messages"][1]["content"],
        json!([
            {"reasoningContent": {"reasoningText": {"text": "hm \u{1F980}", "signature": "sig+/=="}}},
            {"reasoningContent": {"redactedContent": "YWJj"}},
            {"text": "No."},
        ])
    );
}

#[test]
fn foreign_blocks_are_dropped_with_a_warning_and_names_refused() {
    let mut message = Message::new(
        Role::User,
        vec![
            "Hi".into(),
            ContentPart::provider_block("other", Json::new(&1).unwrap()),
        ],
    );
    message.name = Some("Ann".into());
    let request = ChatRequest::new("m").message(message);
    assert!(refused(&request).contains("the `name` of a message"));
    let (body, warnings) = encode(&request.drop_unsupported()).unwrap();
    assert_eq!(body["messages"][0]["content"], json!([{"text": "Hi"}]));
    let codes: Vec<_> = warnings.iter().map(|warning| warning.code).collect();
    assert_eq!(codes, ["opaque_left_out", "unsupported_parameter"]);
}

#[test]
fn media_are_blocks_of_their_own() {
    let pdf = Media::inline("application/pdf", &b"a"[..]);
    let request = ChatRequest::new("m").user_parts(vec![
        "See".into(),
        ContentPart::image("image/png", &b"a"[..]),
        ContentPart::document("report", "application/pdf", &b"a"[..]),
        ContentPart::Video {
            media: Media::Url {
                url: "s3://bucket/film.mp4".into(),
                mime_type: None,
            },
        },
        ContentPart::audio("audio/wav", &b"a"[..]),
        cited_document("facts", &pdf, None).unwrap(),
    ]);
    assert_eq!(
        body(&request)["messages"][0]["content"],
        json!([
            {"text": "See"},
            {"image": {"format": "png", "source": {"bytes": "YQ=="}}},
            {"document": {"format": "pdf", "name": "report", "source": {"bytes": "YQ=="}}},
            {"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://bucket/film.mp4"}}}},
            {"audio": {"format": "wav", "source": {"bytes": "YQ=="}}},
            {"document": {"format": "pdf", "name": "facts", "source": {"bytes": "YQ=="}, "citations": {"enabled": true}}},
        ])
    );
    let document = || ContentPart::document("a.pdf", "application/pdf", &b"a"[..]);
    let (body, warnings) = encode(&ask().user_parts(vec![document()])).unwrap();
    let sent = &body["messages"][0]["content"][1]["document"]["name"];
    assert_eq!(
        (sent, warnings[0].code),
        (&json!("a-pdf"), "document_renamed")
    );
    let alone = ChatRequest::new("m").user_parts(vec![document()]);
    assert!(refused(&alone).contains("requires a text next to a document"));
}

#[test]
fn tools_have_a_schema_and_the_choice_is_a_union() {
    let bare = Tool::Function {
        name: "now".into(),
        description: Some(" ".into()),
        parameters: None,
        strict: Some(true),
    };
    let request = ask()
        .tool(bare)
        .tool(add())
        .tool(system_tool("nova_grounding").unwrap())
        .tool(tool_cache_point(CacheTtl::OneHour).unwrap());
    assert_eq!(
        body(&request)["toolConfig"],
        json!({"tools": [
            {"toolSpec": {"name": "now", "inputSchema": {"json": {"type": "object", "properties": {}, "additionalProperties": false}}, "strict": true}},
            {"toolSpec": {"name": "add", "description": "Adds", "inputSchema": {"json": {"type": "object"}}}},
            {"systemTool": {"name": "nova_grounding"}},
            {"cachePoint": {"type": "default", "ttl": "1h"}},
        ]})
    );
    for (choice, expected) in [
        (ToolChoice::Auto, json!({"auto": {}})),
        (ToolChoice::Required, json!({"any": {}})),
        (
            ToolChoice::Function("add".into()),
            json!({"tool": {"name": "add"}}),
        ),
    ] {
        let request = ask().tool(add()).tool_choice(choice.clone());
        assert_eq!(body(&request)["toolConfig"]["toolChoice"], expected);
        let without = ask().tool_choice(choice);
        if without.tool_choice == Some(ToolChoice::Auto) {
            assert_eq!(body(&without), body(&ask()));
        } else {
            assert!(refused(&without).contains("`tools` is empty"));
        }
    }
    let named = |name: &str| ask().tool(Tool::function(name, "", &json!({})).unwrap());
    for name in ["", "a.b", "a b", &"x".repeat(65)] {
        assert!(
            refused(&named(name)).contains("is not a valid tool name"),
            "{name}"
        );
    }
    let others = Tool::Provider {
        provider: "other".into(),
        definition: Json::new(&1).unwrap(),
    };
    assert!(refused(&ask().tool(others)).contains("a provider tool of `other`"));
}

#[test]
fn tools_are_omitted_only_if_the_conversation_has_no_calls() {
    let fresh = ask().tool(add()).tool_choice(ToolChoice::None);
    assert_eq!(body(&fresh), body(&ask()));
    let with_calls = |request: ChatRequest| {
        request
            .message(assistant(vec![call("x", "{}")]))
            .tool_result(ToolResult::new("x", "1"))
    };
    let none = with_calls(ask().tool(add())).tool_choice(ToolChoice::None);
    assert!(refused(&none).contains("`tool_choice` `none`"));
    let (sent, warnings) = encode(&none.drop_unsupported()).unwrap();
    assert_eq!(sent["toolConfig"]["tools"].as_array().unwrap().len(), 1);
    assert_eq!(warnings.len(), 1);
    let message = refused(&with_calls(ask()));
    assert!(message.contains("requires `tools`"), "{message}");
    let own = with_calls(ask())
        .extra(
            "toolConfig",
            &json!({"tools": [{"systemTool": {"name": "x"}}]}),
        )
        .unwrap();
    assert!(body(&own)["toolConfig"].is_object());
}

#[test]
fn conversations_invalid_for_converse_are_refused_with_a_reason() {
    let results = |ids: &[&str]| {
        let results = ids
            .iter()
            .map(|id| ContentPart::ToolResult(ToolResult::new(*id, "r")));
        Message::new(Role::Tool, results.collect())
    };
    let asked = |parts| ask().tool(add()).message(assistant(parts));
    let cases = [
        (ChatRequest::new("m").system("x"), "requires a user message"),
        (
            ChatRequest::new("m").assistant("x").user("y"),
            "begin with a user message",
        ),
        (asked(vec![call("x", "{}")]), "ends with tool call `x`"),
        (
            asked(vec![call("x", "{}")]).user("never mind"),
            "tool call `x` has no result",
        ),
        (
            asked(vec![call("x", "{}"), call("y", "{}")]).message(results(&["x"])),
            "tool call `y` has no result",
        ),
        (
            asked(vec![call("x", "{}")]).message(results(&["x", "z"])),
            "a tool result for `z`, but the messages before it contain no such call",
        ),
        (
            asked(vec![call("x", "[1]")]).message(results(&["x"])),
            "not a JSON object",
        ),
        (
            asked(vec![call("x", "{\"a\":")]).message(results(&["x"])),
            "`messages[1]` has arguments",
        ),
        (
            asked(vec![ContentPart::image("image/png", &b"a"[..])]),
            "content other than text and tool calls",
        ),
        (
            ask().message(Message::new(
                Role::System,
                vec![ContentPart::image("image/png", &b"a"[..])],
            )),
            "a system message that is not text",
        ),
        (
            ask().message(Message::new(Role::User, vec![call("x", "{}")])),
            "is not an assistant message",
        ),
        (
            ask().message(assistant(vec![
                call("x", "{}"),
                results(&["x"]).content.remove(0),
            ])),
            "has a tool result",
        ),
        (
            ask().user_parts(vec![ContentPart::image_url("https://x/y.png")]),
            "does not fetch web URLs",
        ),
    ];
    for (request, what) in cases {
        let message = refused(&request);
        assert!(message.contains(what), "{message} does not contain {what}");
    }
}

#[test]
fn results_can_be_json_and_bedrock_blocks() {
    let mut result = ToolResult::new("x", "");
    result.content = vec![json_result(&json!({"a": 1})).unwrap()];
    let request = ask()
        .tool(add())
        .message(assistant(vec![call("x", "{}"), call("y", "{}")]))
        .tool_result(result)
        .user_parts(vec![ContentPart::provider_block(
            "bedrock",
            Json::new(&json!({"toolResult": {"toolUseId": "y", "content": []}})).unwrap(),
        )]);
    assert_eq!(
        body(&request)["messages"][2]["content"],
        json!([
            {"toolResult": {"toolUseId": "x", "content": [{"json": {"a": 1}}]}},
            {"toolResult": {"toolUseId": "y", "content": []}},
        ])
    );
}

#[test]
fn an_invalid_provider_configuration_is_refused_when_built() {
    let keys = || AwsCredentials::new("AKID", "canary", None).unwrap();
    let cases = [
        (Bedrock::builder().region("us-east-1"), "needs credentials"),
        (
            Bedrock::builder().region("us/east").credentials(keys()),
            "is not an AWS region",
        ),
        (
            Bedrock::builder()
                .region("us-east-1")
                .credentials(keys())
                .base_url("http://proxy.example"),
            "unencrypted",
        ),
        (
            Bedrock::builder()
                .region("us-east-1")
                .credentials(keys())
                .control_plane_endpoint_url("http://proxy.example"),
            "unencrypted",
        ),
        (
            Bedrock::builder().region("us-east-1").base_url("nowhere"),
            "no scheme",
        ),
    ];
    for (builder, what) in cases {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.message().contains(what), "{error}");
        assert!(!format!("{error:#?}").contains("canary"));
    }
    for (key, secret) in [("AK\nID", "s"), ("AKID", "canary\n"), ("", "s")] {
        let error = AwsCredentials::new(key, secret, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(!format!("{error:#?}").contains("canary"));
    }
    assert!(
        Bedrock::builder()
            .region("us-east-1")
            .api_key("canary\r")
            .is_err()
    );
    assert!(
        Bedrock::builder()
            .region("us-east-1")
            .base_url("http://127.0.0.1:1")
            .build()
            .is_ok()
    );
    let named = Bedrock::builder()
        .region("us-east-1")
        .credentials(keys())
        .name("eu")
        .build()
        .unwrap();
    assert_eq!(named.name(), "eu");
    assert!(!format!("{named:?}").contains("canary"));
}

// reasoning-only-turns
#[test]
fn reasoning_only_turn_is_dropped() {
    let thought = || ContentPart::Reasoning {
        text: "Hm.".into(),
        signature: Some("s".into()),
    };
    let hidden = ContentPart::provider_block(
        "bedrock",
        Json::parse(r#"{"reasoningContent":{"redactedContent":"eA=="}}"#).unwrap(),
    );
    for parts in [
        vec![thought()],
        vec![thought(), hidden],
        vec![thought(), " ".into()],
    ] {
        let request = ChatRequest::new("m")
            .user("one")
            .message(Message::new(Role::Assistant, parts))
            .user("two")
            .message(Message::new(Role::Assistant, vec![thought(), "2".into()]))
            .user("three");
        let (body, warnings) = encode(&request).unwrap();
        assert_eq!(
            body["messages"],
            json!([
                {"role": "user", "content": [{"text": "one"}, {"text": "two"}]},
                {"role": "assistant", "content": [
                    {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "s"}}},
                    {"text": "2"},
                ]},
                {"role": "user", "content": [{"text": "three"}]},
            ])
        );
        assert_eq!(warnings[0].code, "reasoning_left_out");
    }
}
