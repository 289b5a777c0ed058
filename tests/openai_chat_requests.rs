//! Requests for every server with a profile.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that goes wrong is to stop"
)]

mod support;

use serde_json::{Value, json};
use std::sync::Arc;
use support::drive::{self, Answer, Arrival};
use unifiedai::{
    ChatRequest, ContentPart, ErrorKind, Json, Message, ReasoningEffort, ResponseFormat, Role,
    Tool, ToolCall, ToolChoice, ToolResult,
    chat::{Param, ReasoningFormat, ServiceTier, Verbosity},
    provider::{
        AuthStyle, OpenAiChat, Provider, ProviderBuilder,
        openai_chat::{ChatProfile, ForeignCalls, ReasoningReplay, StreamUsage, profiles},
    },
};

fn server(profile: ChatProfile) -> OpenAiChat {
    let builder = OpenAiChat::builder()
        .profile(profile)
        .base_url("https://api.example.com/v1");
    builder.api_key("key").unwrap().build().unwrap()
}

fn body(profile: ChatProfile, request: &ChatRequest) -> Value {
    let encoded = server(profile).encode_chat(request).unwrap();
    serde_json::from_slice(encoded.request.body()).unwrap()
}

fn hi() -> ChatRequest {
    ChatRequest::new("m").user("hi")
}

/// Every parameter, alone in a request.
fn each_param() -> Vec<(Param, ChatRequest)> {
    let tool = Tool::function("f", "d", &json!({"type": "object"})).unwrap();
    let schema = unifiedai::JsonSchema::new("s", &json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false})).unwrap();
    let named = |requests: Vec<ChatRequest>| {
        requests
            .into_iter()
            .map(|request| (request.params()[0], request))
            .collect()
    };
    named(vec![
        hi().max_tokens(7),
        hi().min_tokens(-1),
        hi().temperature(0.25),
        hi().top_p(0.5),
        hi().top_k(4),
        hi().min_p(0.125),
        hi().frequency_penalty(-0.5),
        hi().presence_penalty(0.5),
        hi().repetition_penalty(1.5),
        hi().logit_bias([("50256".to_owned(), -100.0)].into()),
        hi().logprobs(true),
        hi().top_logprobs(2),
        hi().n(2),
        hi().seed(42),
        hi().parallel_tool_calls(false),
        hi().reasoning_effort(ReasoningEffort::Low),
        hi().reasoning_format(ReasoningFormat::Hidden),
        hi().reasoning_max_tokens(99),
        hi().disable_reasoning(true),
        hi().clear_reasoning(true),
        hi().verbosity(Verbosity::Low),
        hi().prompt_cache_key("k"),
        hi().service_tier(ServiceTier::Flex),
        hi().model_parameters(Json::parse("{\"a\":1}").unwrap()),
        hi().user_id("u"),
        hi().metadata([("a".to_owned(), "b".to_owned())].into()),
        hi().store(true),
        hi().stream(true).include_usage(true),
        hi().tool(tool),
        hi().tool_choice(ToolChoice::Required),
        hi().stop("END"),
        hi().response_format(ResponseFormat::JsonObject),
        hi().response_format(ResponseFormat::JsonSchema(schema)),
        hi().prediction("same"),
    ])
}

fn at<'a>(body: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(body, |value, name| &value[name])
}

#[test]
fn every_profile_sends_supported_params_and_refuses_others_by_name() {
    for profile in profiles::ALL {
        for (param, request) in each_param() {
            let encoded = server(*profile).encode_chat(&request);
            let what = format!("{} {}", profile.name, param.name());
            let lenient = server(*profile)
                .encode_chat(&request.clone().drop_unsupported())
                .unwrap();
            match encoded {
                Ok(encoded) => {
                    assert!(profile.supports(param), "{what}");
                    assert!(lenient.warnings.is_empty(), "{what}");
                    let sent: Value = serde_json::from_slice(encoded.request.body()).unwrap();
                    let spelled = profile.renamed_values.iter().find(|s| s.param == param);
                    let name = spelled.map_or(profile.api_name(param), |s| s.name);
                    let usage = param == Param::IncludeUsage;
                    if usage && profile.stream_usage == StreamUsage::Always {
                        assert!(sent["stream_options"].is_null(), "{what}");
                    } else {
                        let name = if usage {
                            "stream_options.include_usage"
                        } else {
                            name
                        };
                        assert!(!at(&sent, name).is_null(), "{what}: {sent}");
                    }
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{what}");
                    assert!(error.message().contains(param.name()), "{what}: {error}");
                    assert!(error.message().contains(profile.name), "{what}: {error}");
                    assert_eq!(lenient.warnings.len(), 1, "{what}");
                    assert!(lenient.warnings[0].message.contains(param.name()), "{what}");
                    let sent: Value = serde_json::from_slice(lenient.request.body()).unwrap();
                    let members = sent.as_object().unwrap().keys();
                    let plain = ["messages", "model", "stream", "stream_options"];
                    assert!(
                        members
                            .into_iter()
                            .all(|name| plain.contains(&name.as_str())),
                        "{what}"
                    );
                }
            }
        }
    }
}

#[test]
fn every_profile_can_be_found_and_reached() {
    let mut names: Vec<&str> = profiles::ALL.iter().map(|profile| profile.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), profiles::ALL.len());
    for profile in profiles::ALL {
        assert_eq!(
            profiles::by_name(&profile.name.to_uppercase())
                .unwrap()
                .name,
            profile.name
        );
        let builder = || OpenAiChat::builder().profile(*profile);
        let open: Vec<&str> = profile
            .base_url
            .split('{')
            .skip(1)
            .map(|rest| rest.split('}').next().unwrap())
            .collect();
        let fill = |builder: ProviderBuilder<OpenAiChat>, value: &str| {
            open.iter()
                .fold(builder, |builder, name| builder.url_param(*name, value))
        };
        if !open.is_empty() {
            let error = builder().api_key("key").unwrap().build().unwrap_err();
            assert!(error.message().contains(open[0]), "{error}");
            for evil in [
                "a/b",
                "evil.example/",
                "..",
                "x@y",
                "",
                "a b",
                "x?y",
                "x#y",
                "é",
            ] {
                let error = fill(builder(), evil).api_key("key").unwrap().build();
                assert!(error.is_err(), "{} {evil}", profile.name);
            }
        }
        if !profile.key_optional {
            let error = fill(builder(), "x").build().unwrap_err();
            assert!(error.message().contains(profile.key_env), "{error}");
        }
        let server = fill(builder(), "x-1.y")
            .api_key("key")
            .unwrap()
            .build()
            .unwrap();
        let encoded = server.encode_chat(&hi()).unwrap();
        let filled = open.iter().fold(profile.base_url.to_owned(), |url, name| {
            url.replace(&format!("{{{name}}}"), "x-1.y")
        });
        let uri = encoded.request.uri().to_string();
        assert!(
            uri.starts_with(&format!("{filled}/chat/completions")),
            "{uri}"
        );
        assert_eq!(uri.contains('?'), !profile.query.is_empty(), "{uri}");
        let wanted = match profile.auth {
            AuthStyle::Header(name) => (name.to_owned(), "key"),
            _ => ("authorization".to_owned(), "Bearer key"),
        };
        let outcome = drive::chat(
            &(Arc::new(server) as Arc<dyn Provider>),
            &hi(),
            &Answer::new(500, "text/plain", ""),
            Arrival::Whole,
        );
        assert_eq!(
            outcome.request.headers()[wanted.0.as_str()],
            wanted.1,
            "{}",
            profile.name
        );
    }
}

#[test]
fn server_quirks_are_encoded() {
    let cerebras = body(
        profiles::CEREBRAS,
        &hi().max_tokens(7).min_tokens(2).user_id("u"),
    );
    assert_eq!(
        cerebras,
        json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_completion_tokens": 7, "min_completion_tokens": 2, "user": "u"})
    );
    let mistral = body(
        profiles::MISTRAL,
        &hi().seed(1).tool_choice(ToolChoice::Required).stream(true),
    );
    assert_eq!(
        (&mistral["random_seed"], &mistral["tool_choice"]),
        (&json!(1), &json!("any"))
    );
    assert!(mistral["stream_options"].is_null());
    let router = hi()
        .reasoning_effort(ReasoningEffort::High)
        .reasoning_max_tokens(5)
        .reasoning_format(ReasoningFormat::Hidden);
    assert_eq!(
        body(profiles::OPENROUTER, &router)["reasoning"],
        json!({"effort": "high", "exclude": true, "max_tokens": 5})
    );
    let overridden = router
        .extra("reasoning", &json!({"enabled": true}))
        .unwrap();
    assert_eq!(
        body(profiles::OPENROUTER, &overridden)["reasoning"],
        json!({"enabled": true})
    );
    assert_eq!(
        body(
            profiles::ZAI,
            &hi().disable_reasoning(true).clear_reasoning(false)
        )["thinking"],
        json!({"type": "disabled", "clear_thinking": false})
    );
    assert_eq!(
        body(profiles::ALIBABA, &hi().disable_reasoning(true))["enable_thinking"],
        json!(false)
    );
    assert_eq!(
        body(profiles::VLLM, &hi().disable_reasoning(false))["chat_template_kwargs"],
        json!({"enable_thinking": true})
    );
    assert_eq!(
        body(profiles::LLAMA_CPP, &hi().repetition_penalty(1.1))["repeat_penalty"],
        json!(1.1)
    );
    assert_eq!(
        body(profiles::TOGETHER, &hi().logprobs(true))["logprobs"],
        json!(1)
    );
    let format = server(profiles::OPENROUTER)
        .encode_chat(&hi().reasoning_format(ReasoningFormat::Raw))
        .unwrap_err();
    assert!(
        format.message().contains("\"raw\"") && format.message().contains("reasoning_format"),
        "{format}"
    );
    let azure = OpenAiChat::azure("res", "gpt-4o", "key").unwrap();
    let request = azure.encode_chat(&hi()).unwrap().request;
    assert_eq!(
        request.uri(),
        "https://res.openai.azure.com/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
    );
    let newer = OpenAiChat::builder()
        .profile(profiles::AZURE)
        .url_param("resource", "r")
        .url_param("deployment", "d")
        .query("api-version", "2025-01-01-preview");
    let request = newer
        .api_key("key")
        .unwrap()
        .build()
        .unwrap()
        .encode_chat(&hi())
        .unwrap()
        .request;
    assert_eq!(
        request.uri().query(),
        Some("api-version=2025-01-01-preview")
    );
    let member = server(profiles::CEREBRAS)
        .encode_chat(&hi().extra("reasoning_content", &1).unwrap())
        .unwrap_err();
    assert!(member.message().contains("`reasoning_content`"), "{member}");
}

#[test]
fn full_messages_are_encoded_for_the_server() {
    let parts = vec![
        ContentPart::text("look"),
        ContentPart::image_url("https://x/cat.png"),
        ContentPart::image("image/png", &b"png"[..]),
        ContentPart::audio("audio/mpeg", &b"mp3"[..]),
        ContentPart::document("a.pdf", "application/pdf", &b"pdf"[..]),
    ];
    let mut named = Message::user("hi");
    named.name = Some("anna".into());
    let request = ChatRequest::new("m")
        .message(Message::new(Role::Developer, vec!["be brief".into()]))
        .user_parts(parts)
        .message(named.clone())
        .message(Message::new(
            Role::Assistant,
            vec![ContentPart::ToolCall(ToolCall::new("c", "f", ""))],
        ))
        .tool_result(ToolResult::new("c", "42"))
        .message(Message::new(
            Role::Assistant,
            vec![ContentPart::Refusal { text: "no".into() }],
        ));
    let sent = body(profiles::OPENAI, &request);
    assert_eq!(
        sent["messages"],
        json!([
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "https://x/cat.png"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}},
                {"type": "input_audio", "input_audio": {"data": "bXAz", "format": "mp3"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,cGRm"}},
            ]},
            {"role": "user", "content": "hi", "name": "anna"},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "content": "42", "tool_call_id": "c"},
            {"role": "assistant", "content": null, "refusal": "no"},
        ])
    );
    let custom = body(ChatProfile::BASE, &request);
    assert_eq!(custom["messages"][0]["role"], "system");
    assert_eq!(
        custom["messages"][5],
        json!({"role": "assistant", "content": "no"})
    );
    let groq = server(profiles::GROQ)
        .encode_chat(&ChatRequest::new("m").message(named))
        .unwrap_err();
    assert!(groq.message().contains("`name`"), "{groq}");
    let video = ContentPart::Video {
        media: unifiedai::Media::inline("video/mp4", &b"x"[..]),
    };
    let error = server(profiles::OPENAI)
        .encode_chat(&ChatRequest::new("m").user_parts(vec![video]))
        .unwrap_err();
    assert!(error.message().contains("video"), "{error}");
}

/// A response message, sent back.
fn sent_back(profile: ChatProfile, message: &Value) -> Value {
    let answer = json!({"id": "c", "model": "m", "created": 1, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]});
    let provider: Arc<dyn Provider> = Arc::new(server(profile));
    let outcome = drive::chat(
        &provider,
        &hi(),
        &Answer::json(answer.to_string()),
        Arrival::Whole,
    );
    let response = outcome.result.unwrap();
    let message = response.message().unwrap();
    let results = message.content.iter().filter_map(|part| match part {
        ContentPart::ToolCall(call) => Some(ToolResult::new(&*call.id, "done")),
        _ => None,
    });
    let again = results
        .fold(hi().message(message.clone()), ChatRequest::tool_result)
        .user("go on");
    let sent = String::from_utf8(
        provider
            .encode_chat(&again)
            .unwrap()
            .request
            .body()
            .to_vec(),
    )
    .unwrap();
    serde_json::from_str::<Value>(&sent).unwrap()["messages"][1].clone()
}

#[test]
fn a_received_message_is_sent_back_unchanged() {
    // An id that Mistral accepts too.
    let calls = json!([{"id": "abcDEF123", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}}]);
    let plain = json!({"role": "assistant", "content": "so"});
    let called = json!({"role": "assistant", "content": null, "tool_calls": calls});
    for profile in profiles::ALL {
        assert_eq!(sent_back(*profile, &plain), plain, "{}", profile.name);
        let mut wanted = called.clone();
        if let (Some(text), ReasoningReplay::Field(field)) =
            (profile.required_reasoning, profile.reasoning)
        {
            wanted[field] = json!(text);
        }
        // The model's name is not that of an older Gemini.
        if profile.foreign_calls == ForeignCalls::SignedForGemini {
            wanted["tool_calls"][0]["extra_content"] =
                json!({"google": {"thought_signature": "skip_thought_signature_validator"}});
        }
        if profile.text_only.contains(&"") {
            wanted["content"] = json!("");
        }
        assert_eq!(sent_back(*profile, &called), wanted, "{}", profile.name);
        let thought = |name: &str| json!({"role": "assistant", "content": "so", name: "hm"});
        for name in ["reasoning", "reasoning_content"] {
            let sent = sent_back(*profile, &thought(name));
            let wanted = match profile.reasoning {
                ReasoningReplay::Field(field) => thought(field),
                ReasoningReplay::Details => thought("reasoning"),
                ReasoningReplay::Thinking => {
                    json!({"role": "assistant", "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "so"}]})
                }
                _ => plain.clone(),
            };
            assert_eq!(sent, wanted, "{} {name}", profile.name);
        }
    }
    let thinking = json!({"role": "assistant", "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "so"}]});
    assert_eq!(sent_back(profiles::MISTRAL, &thinking), thinking);
    let details = json!({"role": "assistant", "content": "so", "reasoning_details": [
        {"type": "reasoning.text", "text": "hm", "signature": "s==", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "b3BhcXVl", "id": "r1", "format": null, "index": 1},
    ]});
    assert_eq!(sent_back(profiles::OPENROUTER, &details), details);
    let signed = json!({"role": "assistant", "content": null, "extra_content": {"google": {"thought_signature": "bTE="}}, "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": {"google": {"thought_signature": "c2ln"}}},
    ]});
    assert_eq!(sent_back(profiles::GEMINI, &signed), signed);
}

#[test]
fn provider_blocks_are_sent_unchanged_and_only_to_their_provider() {
    let detail =
        r#"{"type":"reasoning.encrypted", "z":1.0,"a":18446744073709551617,"data":"x\u0041"}"#;
    let answer = format!(
        r#"{{"id":"c","model":"m","choices":[{{"message":{{"content":"so","reasoning_details":[{detail}]}},"finish_reason":"stop"}}]}}"#
    );
    let provider: Arc<dyn Provider> = Arc::new(server(profiles::OPENROUTER));
    let response = drive::chat(&provider, &hi(), &Answer::json(answer), Arrival::Whole)
        .result
        .unwrap();
    let again = hi().message(response.message().unwrap().clone());
    let sent = provider.encode_chat(&again).unwrap();
    let text = String::from_utf8(sent.request.body().to_vec()).unwrap();
    assert!(text.contains(detail), "{text}");
    assert!(sent.warnings.is_empty());
    let other = server(profiles::GROQ).encode_chat(&again).unwrap();
    assert_eq!(other.warnings[0].code, "opaque_left_out");
    assert!(
        !String::from_utf8(other.request.body().to_vec())
            .unwrap()
            .contains("encrypted")
    );
}

#[test]
fn the_same_request_gives_the_same_bytes() {
    let request = hi()
        .logit_bias([("2".to_owned(), 1.0), ("1".to_owned(), 2.0)].into())
        .seed(1)
        .stop("a")
        .stop("b");
    let bytes = || {
        server(profiles::OPENAI)
            .encode_chat(&request)
            .unwrap()
            .request
            .into_body()
    };
    assert_eq!(bytes(), bytes());
    let text = String::from_utf8(bytes().to_vec()).unwrap();
    assert!(text.contains(r#""logit_bias":{"1":2.0,"2":1.0}"#), "{text}");
}

#[test]
fn raw_frames_are_emitted_on_request_in_order() {
    let body = "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let provider: Arc<dyn Provider> = Arc::new(server(ChatProfile::BASE));
    let raw = |request: ChatRequest| {
        let outcome = drive::chat(&provider, &request, &Answer::sse(body), Arrival::Pieces(3));
        let raw = outcome.events.into_iter().filter_map(|event| match event {
            unifiedai::StreamEvent::Raw(frame) => Some(frame),
            _ => None,
        });
        raw.collect::<Vec<_>>()
    };
    assert!(raw(hi().stream(true)).is_empty());
    let frames = raw(hi().stream(true).include_raw_frames());
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[1], "[DONE]");
}

/// A context overflow that only a fixed sentence reports, and streams without their end marker.
#[test]
fn profiles_know_sentences_and_end_markers() {
    for profile in profiles::ALL {
        let provider: Arc<dyn Provider> = Arc::new(server(*profile));
        for sentence in profile.context_overflow {
            let body = json!({"error": {"message": format!("{sentence} 8192 tokens."), "type": "invalid_request_error"}});
            let answer = Answer::new(400, "application/json", body.to_string());
            let error = drive::chat(&provider, &hi(), &answer, Arrival::Whole)
                .result
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ContextOverflow, "{}", profile.name);
        }
        use unifiedai::provider::openai_chat::EndMarker;
        let optional = matches!(profile.end_marker, EndMarker::Never | EndMarker::Sometimes);
        for (usage, wanted) in [(true, true), (false, true), (false, false)] {
            let counts = if usage {
                ",\"usage\":{\"total_tokens\":2}"
            } else {
                ""
            };
            let unmarked = format!(
                "data: {{\"id\":\"c\",\"model\":\"m\",\"created\":1,\"choices\":[{{\"delta\":{{\"content\":\"a\"}},\
                 \"finish_reason\":\"stop\"}}]{counts}}}\n\n"
            );
            let mut request = hi().stream(true).drop_unsupported();
            if !wanted {
                request = request.include_usage(false);
            }
            let answer = Answer::sse(unmarked);
            let result = drive::chat(&provider, &request, &answer, Arrival::Whole).result;
            match result {
                Err(error) if profile.end_marker == EndMarker::Required => {
                    assert_eq!(error.kind(), ErrorKind::Truncated);
                }
                Ok(response) => {
                    let warned = response.warnings.iter().any(|w| w.code == "missing_end");
                    let complete = optional && (usage || !wanted);
                    assert_eq!(warned, !complete, "{} {usage} {wanted}", profile.name);
                }
                result => panic!("{}: {result:?}", profile.name),
            }
        }
    }
}

#[test]
fn a_custom_server_refuses_what_it_may_lack_and_names_the_way_to_send_it() {
    let url = "https://models.example.com/v1";
    let custom = OpenAiChat::custom(url).build().unwrap();
    let request = hi().seed(7);
    let error = custom.encode_chat(&request).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    for part in [
        "`openai-compatible` does not support the parameter `seed`; remove it",
        "`drop_unsupported()`; if the server supports it",
        "`OpenAiChat::builder().profile(profiles::VLLM).base_url(url)`",
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let named = OpenAiChat::builder().profile(profiles::VLLM).base_url(url);
    let encoded = named.build().unwrap().encode_chat(&request).unwrap();
    let body: Value = serde_json::from_slice(encoded.request.body()).unwrap();
    assert_eq!(body["seed"], 7);
    assert!(encoded.request.uri().to_string().starts_with(url));

    // A profile of a known server knows what the server has.
    let known = server(profiles::PERPLEXITY).encode_chat(&request);
    assert!(known.is_err_and(|error| !error.to_string().contains("profile(")));
}
