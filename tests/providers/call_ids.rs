//! Tool-call ids in the form that each server requires, whatever provider generated them.

use super::encode;
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc};
use unifiedai::{
    ChatRequest, ContentPart, ErrorKind, Message, Role, Tool, ToolCall, ToolResult,
    provider::{
        Anthropic, Bedrock, Gemini, GeminiInteractions, IdFormat, OpenAiChat, OpenAiResponses,
        Provider,
        openai_chat::{self, profiles},
        openai_responses,
    },
};

/// Each API with a required form of ids and ids in its body, and the form.
fn servers() -> Vec<(Arc<dyn Provider>, [&'static str; 2], IdFormat)> {
    let chat = |profile: openai_chat::ChatProfile, form| {
        let provider = OpenAiChat::builder()
            .profile(profile)
            .base_url("http://127.0.0.1:9/v1")
            .build()
            .unwrap();
        (
            Arc::new(provider) as Arc<dyn Provider>,
            ["id", "tool_call_id"],
            form,
        )
    };
    let responses = |profile: openai_responses::ResponsesProfile, form| {
        let provider = OpenAiResponses::builder()
            .profile(profile)
            .base_url("http://127.0.0.1:9/v1")
            .build()
            .unwrap();
        (
            Arc::new(provider) as Arc<dyn Provider>,
            ["call_id", "call_id"],
            form,
        )
    };
    let anthropic = IdFormat::new(1, usize::MAX).only("_-");
    vec![
        chat(profiles::MISTRAL, IdFormat::new(9, 9).only("")),
        chat(profiles::OPENAI, IdFormat::new(1, 64)),
        chat(profiles::AZURE, IdFormat::new(1, 40)),
        chat(profiles::AZURE_V1, IdFormat::new(1, 40)),
        chat(profiles::ANTHROPIC, anthropic),
        responses(
            openai_responses::ResponsesProfile::OPENAI,
            IdFormat::new(1, 64),
        ),
        responses(
            openai_responses::ResponsesProfile::AZURE,
            IdFormat::new(1, 40),
        ),
        (
            Arc::new(Anthropic::new("k").unwrap()),
            ["id", "tool_use_id"],
            anthropic,
        ),
        (
            Arc::new(
                Bedrock::builder()
                    .region("us-east-1")
                    .api_key("k")
                    .unwrap()
                    .build()
                    .unwrap(),
            ),
            ["toolUseId", "toolUseId"],
            IdFormat::new(1, 64).only("_.:-"),
        ),
    ]
}

fn conversation(turns: &[Vec<String>]) -> ChatRequest {
    let tool = Tool::function("f", "does f", &json!({"type": "object"})).unwrap();
    let mut request = ChatRequest::new("m").user("hi").tool(tool);
    for ids in turns {
        let call = |id: &String| ContentPart::ToolCall(ToolCall::new(id, "f", "{}"));
        let result = |id: &String| ContentPart::ToolResult(ToolResult::new(id, "r"));
        request = request
            .message(Message::new(
                Role::Assistant,
                ids.iter().map(call).collect(),
            ))
            .message(Message::new(Role::Tool, ids.iter().map(result).collect()));
    }
    request.user("go on")
}

/// The texts of fields with these names, in order.
fn texts(value: &Value, name: &str, found: &mut Vec<String>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| texts(value, name, found)),
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::String(text) if key == name => found.push(text.clone()),
                    value => texts(value, name, found),
                }
            }
        }
        _ => {}
    }
}

/// The ids of the calls and of the results in a request.
fn sent(provider: &dyn Provider, names: [&str; 2], request: &ChatRequest) -> [Vec<String>; 2] {
    let (body, _) = encode(provider, request).unwrap();
    let [mut calls, mut results] = [Vec::new(), Vec::new()];
    texts(&body, names[0], &mut calls);
    texts(&body, names[1], &mut results);
    if names[0] == names[1] {
        // The calls of a turn, then its results.
        let pairs: Vec<String> = std::mem::take(&mut calls);
        results.clear();
        let mut rest = pairs.as_slice();
        for message in &request.messages {
            for part in &message.content {
                let target = match part {
                    ContentPart::ToolCall(_) => &mut calls,
                    ContentPart::ToolResult(_) => &mut results,
                    _ => continue,
                };
                let (first, others) = rest.split_first().unwrap();
                target.push(first.clone());
                rest = others;
            }
        }
    }
    [calls, results]
}

#[test]
fn foreign_ids_are_converted_to_each_form_and_stay_unique() {
    let long = "functions.get_weather:".repeat(6);
    let turns: Vec<Vec<String>> = [
        vec!["toolu_01AbCdEfGhIjKlMnOp", "toolu_01AbCdEfGhIjKlMnOq"],
        vec!["call|fc_1", "call fc_1", "call_fc_1"],
        vec!["a.b", "a:b", "a/b", "ä", ""],
        vec!["abcDEF123", "abcDEF124"],
    ]
    .into_iter()
    .map(|ids| ids.into_iter().map(str::to_owned).collect())
    .chain([vec![format!("{long}0"), format!("{long}1")]])
    .collect();
    let ids: Vec<&String> = turns.iter().flatten().collect();
    for (provider, names, form) in servers() {
        let [calls, results] = sent(&*provider, names, &conversation(&turns));
        let name = provider.name();
        assert_eq!(calls, results, "{name}");
        assert_eq!(calls.len(), ids.len(), "{name}");
        assert_eq!(
            calls.iter().collect::<BTreeSet<_>>().len(),
            ids.len(),
            "{name}"
        );
        for (sent, id) in calls.iter().zip(&ids) {
            assert!(form.fits(sent), "{name}: {sent}");
            assert_eq!(sent == *id, form.fits(id), "{name}: {id} became {sent}");
        }
    }
}

#[test]
fn one_id_in_two_turns_becomes_two_ids() {
    let turns = [vec!["abcDEF123".to_owned()], vec!["abcDEF123".to_owned()]];
    for (provider, names, form) in servers() {
        let [calls, results] = sent(&*provider, names, &conversation(&turns));
        let name = provider.name();
        assert_eq!(calls[0], "abcDEF123", "{name}");
        assert_ne!(calls[1], calls[0], "{name}");
        assert!(form.fits(&calls[1]), "{name}");
        assert_eq!(calls, results, "{name}");
    }
}

#[test]
fn tool_result_without_call_is_refused_by_every_provider() {
    let request = ChatRequest::new("m")
        .user("hi")
        .tool_result(ToolResult::new("c1", "42"));
    for provider in super::wires() {
        let error = provider.encode_chat(&request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        let message = error.message();
        assert!(message.contains("`messages[1].content[0]`"), "{message}");
    }
    // Allowed if the server has the earlier turns.
    let provider = &super::wires()[4];
    let continued = request.extra("previous_response_id", "resp_1").unwrap();
    assert!(provider.encode_chat(&continued).is_ok());
    let request = ChatRequest::new("m").tool_result(ToolResult::new("c1", "42"));
    let continued = request.extra("previous_interaction_id", "v1_1").unwrap();
    let interactions = GeminiInteractions::new("k").unwrap();
    assert!(interactions.encode_chat(&continued).is_ok());
}

#[test]
fn two_results_of_one_call_are_refused_by_every_provider() {
    let call = ContentPart::ToolCall(ToolCall::new("abcDEF123", "f", "{}"));
    let tool = Tool::function("f", "does f", &json!({"type": "object"})).unwrap();
    let request = ChatRequest::new("m")
        .user("hi")
        .tool(tool)
        .message(Message::new(Role::Assistant, vec![call]))
        .tool_result(ToolResult::new("abcDEF123", "42"));
    for provider in super::wires() {
        assert!(
            provider.encode_chat(&request).is_ok(),
            "{}",
            provider.name()
        );
    }
    let request = request.tool_result(ToolResult::new("abcDEF123", "43"));
    for provider in super::wires() {
        let error = provider.encode_chat(&request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        let message = error.message();
        assert!(message.contains("`messages[3].content[0]`"), "{message}");
    }
}

/// Sources: reports of 400s of each server in the list.
#[test]
fn a_call_without_a_result_is_refused_where_the_server_refuses_it() {
    let tool = Tool::function("f", "does f", &json!({"type": "object"})).unwrap();
    let calls = ["abcDEF123", "abcDEF124"]
        .map(|id| ContentPart::ToolCall(ToolCall::new(id, "f", "{}")))
        .to_vec();
    let interrupted = ChatRequest::new("m")
        .user("hi")
        .tool(tool)
        .message(Message::new(Role::Assistant, calls))
        .tool_result(ToolResult::new("abcDEF123", "42"))
        .user("never mind");
    let key = "k";
    let chat = |profile: openai_chat::ChatProfile| -> Arc<dyn Provider> {
        Arc::new(
            OpenAiChat::builder()
                .profile(profile)
                .base_url("https://x.test/v1")
                .build()
                .unwrap(),
        )
    };
    let mut servers: Vec<Arc<dyn Provider>> = [
        profiles::OPENAI,
        profiles::AZURE_V1,
        profiles::MISTRAL,
        profiles::DEEPSEEK,
        profiles::ALIBABA,
        profiles::GEMINI,
    ]
    .map(chat)
    .to_vec();
    servers.push(Arc::new(OpenAiResponses::new(key).unwrap()));
    servers.push(Arc::new(Anthropic::new(key).unwrap()));
    servers.push(Arc::new(Gemini::new(key).unwrap()));
    servers.push(Arc::new(GeminiInteractions::new(key).unwrap()));
    servers.push(Arc::new(
        Gemini::builder()
            .vertex("p", "global")
            .unwrap()
            .base_url("https://x.test")
            .build()
            .unwrap(),
    ));
    for provider in servers {
        let name = provider.name();
        let Err(error) = provider.encode_chat(&interrupted) else {
            panic!("{name}");
        };
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        let message = error.message();
        assert!(
            message.contains("`messages[1].content[1]`"),
            "{name}: {message}"
        );
        assert!(message.contains("add a `ToolResult`"), "{name}: {message}");
    }
    // A proxy, and a server that accepts them, get the conversation unchanged.
    for profile in [
        profiles::LITELLM,
        profiles::ZAI,
        profiles::LLAMA_CPP,
        profiles::OPENROUTER,
    ] {
        assert!(chat(profile).encode_chat(&interrupted).is_ok());
    }
}

#[test]
fn invalid_arguments_are_never_sent_unchanged() {
    let broken = "{\"city\": \"Os";
    let tool = Tool::function("f", "does f", &json!({"type": "object"})).unwrap();
    let call = ContentPart::ToolCall(ToolCall::new("abcDEF123", "f", broken));
    let request = ChatRequest::new("m")
        .user("hi")
        .tool(tool)
        .message(Message::new(Role::Assistant, vec![call]))
        .tool_result(ToolResult::new("abcDEF123", "no JSON"));
    for provider in super::wires() {
        match encode(&*provider, &request) {
            Ok((body, warnings)) => {
                let codes: Vec<&str> = warnings.iter().map(|warning| warning.code).collect();
                assert_eq!(codes, ["invalid_tool_arguments"], "{}", provider.name());
                let sent = body.to_string();
                assert!(sent.to_lowercase().contains("invalid_json"), "{sent}");
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidRequest),
        }
    }
}
