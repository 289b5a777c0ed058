//! Compares every recorded exchange with Anthropic's Messages API with an independent decoder.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a test that goes wrong is to stop"
)]

mod support;

use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};
use support::{
    checks::{Calls, Tally, check_against},
    corpus::{self, Recording},
    drive::{Arrival, chat, options, run, start},
};
use unifiedai::{
    ChatRequest, ContentPart, Error, ErrorKind, Message, UnifiedChatResponse,
    provider::{Anthropic, Provider},
    sans_io::Exchange,
};

/// Streams that are errors although each of their events is valid.
const REFUSED: &[(&str, &str)] = &[(
    "anthropic/vercel-ai__spliced-message-start",
    "a second message begins inside of the first, whose text was already handed out",
)];

fn provider() -> Arc<dyn Provider> {
    Arc::new(Anthropic::new("test-key").unwrap())
}

fn recordings() -> Vec<Recording> {
    let mut all = corpus::load("anthropic-messages", None);
    all.extend(corpus::load("anthropic-vertex", None));
    all
}

fn request(recording: &Recording) -> ChatRequest {
    ChatRequest::new("recorded-model")
        .user("as recorded")
        .stream(recording.streaming)
}

#[test]
fn every_recorded_exchange_is_decoded_correctly() {
    let recordings = recordings();
    let (mut tally, mut wrong, mut ran) = (Tally::default(), Vec::new(), BTreeMap::new());
    for recording in &recordings {
        *ran.entry((recording.provider.as_str(), recording.operation.as_str()))
            .or_insert(0) += 1;
        let outcome = match recording.operation.as_str() {
            "models" => check_models(recording).map(|()| Tally::default()),
            "count-tokens" => continue,
            _ => check_against(
                &provider(),
                recording,
                &request(recording),
                Calls::EndEach,
                |result| compare(recording, result),
            ),
        };
        match outcome {
            Ok(more) => tally.add(more),
            Err(what) => wrong.push(format!("{}: {what}", recording.id)),
        }
    }
    println!(
        "{} exchanges: {tally:?}; {ran:?}; {} refused",
        recordings.len(),
        REFUSED.len()
    );
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(recordings.is_empty() || recordings.len() == 185);
}

fn compare(
    recording: &Recording,
    result: &Result<UnifiedChatResponse, Error>,
) -> Result<Vec<String>, String> {
    let is_refused = REFUSED.iter().any(|(id, _)| *id == recording.id);
    match result {
        Ok(_) if is_refused => Err("is right after all".into()),
        Err(error) if is_refused && error.kind() == ErrorKind::Protocol => Ok(Vec::new()),
        Err(error) => Err(format!("{error}")),
        Ok(response) => Ok(differences(response, &message(recording))),
    }
}

/// The message of a response; a stream's events are joined in the simplest way.
fn message(recording: &Recording) -> Value {
    let text = std::str::from_utf8(&recording.body).unwrap();
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).unwrap();
    }
    let mut message = Value::Null;
    for line in text.lines().filter_map(|line| line.strip_prefix("data:")) {
        let event: Value = serde_json::from_str(line).unwrap();
        let at = event["index"].as_u64().unwrap_or(0) as usize;
        match event["type"].as_str().unwrap() {
            "message_start" => message = event["message"].clone(),
            "content_block_start" => {
                let content = message["content"].as_array_mut().unwrap();
                assert_eq!(content.len(), at, "blocks come in order");
                content.push(event["content_block"].clone());
            }
            "content_block_delta" => grow(&mut message["content"][at], &event["delta"]),
            "message_delta" => {
                for name in ["stop_reason", "stop_sequence", "stop_details", "container"] {
                    if !event["delta"][name].is_null() {
                        message[name] = event["delta"][name].clone();
                    }
                }
                for (name, value) in event["usage"].as_object().unwrap() {
                    if !value.is_null() {
                        message["usage"][name] = value.clone();
                    }
                }
            }
            "message_stop" => break,
            _ => {}
        }
    }
    for block in message["content"].as_array_mut().unwrap() {
        if let Some(json) = block.as_object_mut().unwrap().remove("partial") {
            let json = json.as_str().unwrap();
            block["input"] = if json.is_empty() {
                Value::Object(Default::default())
            } else {
                serde_json::from_str(json).unwrap()
            };
        }
    }
    message
}

fn grow(block: &mut Value, delta: &Value) {
    let mut join = |name: &str, more: &Value| {
        let old = block[name].as_str().unwrap_or_default();
        block[name] = format!("{old}{}", more.as_str().unwrap()).into();
    };
    match delta["type"].as_str().unwrap() {
        "text_delta" => join("text", &delta["text"]),
        "thinking_delta" => join("thinking", &delta["thinking"]),
        "signature_delta" => join("signature", &delta["signature"]),
        "input_json_delta" => join("partial", &delta["partial_json"]),
        "compaction_delta" => join("content", &delta["content"]),
        "citations_delta" => match block["citations"].as_array_mut() {
            Some(citations) => citations.push(delta["citation"].clone()),
            None => block["citations"] = vec![delta["citation"].clone()].into(),
        },
        other => panic!("an unknown delta: {other}"),
    }
}

fn differences(response: &UnifiedChatResponse, message: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut differ = |what: &str, ours: Value, theirs: &Value| {
        if ours != *theirs {
            found.push(format!("{what}: {ours} is not {theirs}"));
        }
    };
    differ("id", response.id.clone().into(), &message["id"]);
    differ("model", response.model.clone().into(), &message["model"]);
    let native = response.choices[0].native_finish_reason.clone();
    differ("stop_reason", native.into(), &message["stop_reason"]);
    let usage = response.usage.as_ref().unwrap();
    let count = |name: &str| message["usage"][name].as_u64();
    let cached = count("cache_read_input_tokens");
    let written = count("cache_creation_input_tokens");
    let prompt = count("input_tokens").unwrap() + cached.unwrap_or(0) + written.unwrap_or(0);
    let completion = count("output_tokens").unwrap();
    let thinking = &message["usage"]["output_tokens_details"]["thinking_tokens"];
    for (what, ours, theirs) in [
        ("prompt", usage.prompt_tokens, Some(prompt)),
        ("completion", usage.completion_tokens, Some(completion)),
        ("total", usage.total_tokens, Some(prompt + completion)),
        ("cached", usage.cached_tokens, cached),
        ("written", usage.cache_write_tokens, written),
        ("thinking", usage.reasoning_tokens, thinking.as_u64()),
    ] {
        differ(what, ours.into(), &theirs.into());
    }
    let raw: Value = serde_json::from_str(usage.raw.as_ref().unwrap().as_str()).unwrap();
    differ("raw usage", raw, &message["usage"]);
    for name in ["stop_sequence", "stop_details", "container"] {
        let extra = &response.provider_metadata.extra;
        let ours = extra.iter().find(|(other, _)| other == name);
        let ours = ours.map_or(Value::Null, |(_, json)| json.decode().unwrap());
        differ(name, ours, &message[name]);
    }
    // Blank texts are not allowed in a message; the API refuses a history with them.
    let is_empty = |block: &&Value| {
        let text = block["text"].as_str().unwrap_or("x");
        block["type"] == "text" && text.trim().is_empty()
    };
    let theirs = message["content"].as_array().unwrap().iter();
    let theirs: Value = theirs
        .filter(|block| !is_empty(block))
        .map(without_empty)
        .collect();
    differ("content", sent_back(&response.choices[0].message), &theirs);
    found
}

/// An empty list, such as no citations, counts as a missing one.
fn without_empty(block: &Value) -> Value {
    let mut block = block.clone();
    if block["citations"]
        .as_array()
        .is_none_or(|list| list.is_empty())
    {
        block.as_object_mut().unwrap().remove("citations");
    }
    block
}

/// The message as the next request sends it back.
fn sent_back(message: &Message) -> Value {
    let request = ChatRequest::new("m").user("q").message(message.clone());
    let results = message.content.iter().filter_map(|part| match part {
        unifiedai::ContentPart::ToolCall(call) => {
            Some(unifiedai::ToolResult::new(&*call.id, "done"))
        }
        _ => None,
    });
    let request = results.fold(request, ChatRequest::tool_result).user("and?");
    let encoded = provider().encode_chat(&request).unwrap();
    assert!(encoded.warnings.is_empty(), "{:?}", encoded.warnings);
    let body: Value = serde_json::from_slice(encoded.request.body()).unwrap();
    match &body["messages"][1] {
        turn if turn["role"] != "assistant" => Value::Array(Vec::new()),
        turn => match &turn["content"] {
            Value::String(text) => serde_json::json!([{"type": "text", "text": text}]),
            blocks => blocks.clone(),
        },
    }
}

#[test]
fn recorded_responses_are_replayed_unchanged() {
    let mut kinds = BTreeMap::new();
    for recording in recordings()
        .iter()
        .filter(|r| r.status == 200 && r.operation == "messages")
    {
        if REFUSED.iter().any(|(id, _)| *id == recording.id) {
            continue;
        }
        let answer = chat(
            &provider(),
            &request(recording),
            &recording.answer(),
            Arrival::Whole,
        );
        let response = answer.result.unwrap();
        for part in &response.choices[0].message.content {
            let kind = match part {
                ContentPart::Text { citations, .. } if !citations.is_empty() => "cited text",
                ContentPart::Text { .. } => "text",
                ContentPart::Reasoning { .. } => "thinking",
                ContentPart::ToolCall(_) => "tool call",
                ContentPart::HostedToolCall(_) => "hosted call",
                ContentPart::HostedToolResult(_) => "hosted result",
                ContentPart::Compaction(_) => "compaction",
                ContentPart::ProviderBlock(_) => "opaque",
                _ => "other",
            };
            *kinds.entry(kind).or_insert(0) += 1;
        }
    }
    println!("{kinds:?}");
    assert!(!kinds.contains_key("other"));
}

fn check_models(recording: &Recording) -> Result<(), String> {
    let exchange = Exchange::list_models(provider(), options(), start()).unwrap();
    let outcome = run(exchange, &recording.answer(), Arrival::Pieces(7));
    let json: Value = serde_json::from_slice(&recording.body).unwrap();
    let models = outcome.result.map_err(|error| error.to_string())?.answer;
    let ids: Value = models.iter().map(|model| model.id.as_str()).collect();
    let theirs: Value = json["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["id"].clone())
        .collect();
    let dated = models
        .iter()
        .all(|model| model.created.is_some() && model.context_length.is_some());
    if ids == theirs && dated {
        Ok(())
    } else {
        Err(format!("{ids} is not {theirs}"))
    }
}

#[test]
fn every_recorded_error_has_its_kind() {
    let mut kinds = BTreeMap::new();
    for recording in recordings()
        .iter()
        .filter(|r| r.status >= 400 && r.operation == "messages")
    {
        let answer = chat(
            &provider(),
            &request(recording),
            &recording.answer(),
            Arrival::Whole,
        );
        let error = answer.result.unwrap_err();
        let json: Value = serde_json::from_slice(&recording.body).unwrap();
        let wanted = match (recording.status, json["error"]["message"].as_str().unwrap()) {
            (400, text) if text.starts_with("prompt is too long") => ErrorKind::ContextOverflow,
            (400, _) => ErrorKind::BadRequest,
            (401, _) => ErrorKind::Authentication,
            (404, _) => ErrorKind::NotFound,
            (529, _) => ErrorKind::Overloaded,
            other => panic!("{other:?}"),
        };
        assert_eq!(error.kind(), wanted, "{}", recording.id);
        let header = recording
            .headers
            .iter()
            .find(|(name, _)| name == "request-id");
        // The body's id has precedence: headers of recordings may be masked.
        let id = json["request_id"]
            .as_str()
            .or(header.map(|(_, id)| id.as_str()));
        assert_eq!(error.request_id(), id, "{}", recording.id);
        let told = recording
            .headers
            .iter()
            .find(|(name, _)| name == "x-should-retry");
        if let Some((_, told)) = told {
            assert_eq!(error.is_retryable().to_string(), *told, "{}", recording.id);
        }
        *kinds.entry(wanted.as_str()).or_insert(0) += 1;
    }
    println!("{kinds:?}");
}
