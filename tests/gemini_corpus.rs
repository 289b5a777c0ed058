//! Compares every recorded exchange with Gemini's `generateContent` and with its Interactions API with an independent
//! decoder.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a test that goes wrong is to stop"
)]

#[path = "gemini_interactions/corpus.rs"]
mod interactions;
mod support;

use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};
use support::{
    checks::{Calls, Tally, check_against},
    corpus::{self, Recording},
    drive::{Arrival, chat, options, run, start},
};
use unifiedai::{
    ChatRequest, Error, ErrorKind, Message, UnifiedChatResponse,
    provider::{Gemini, Provider},
    sans_io::Exchange,
};

fn provider() -> Arc<dyn Provider> {
    Arc::new(Gemini::new("test-key").unwrap())
}

fn recordings() -> Vec<Recording> {
    corpus::load("gemini", None)
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
    println!("{} exchanges: {tally:?}; {ran:?}", recordings.len());
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(recordings.is_empty() || recordings.len() == 158);
}

/// The responses in a body, in all three framings.
fn answers(recording: &Recording) -> Vec<Value> {
    let text = std::str::from_utf8(&recording.body).unwrap();
    match text.trim_start().chars().next() {
        Some('{') => vec![serde_json::from_str(text).unwrap()],
        Some('[') => serde_json::from_str(text).unwrap(),
        _ => {
            let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
            data.map(|data| serde_json::from_str(data).unwrap())
                .collect()
        }
    }
}

fn compare(
    recording: &Recording,
    result: &Result<UnifiedChatResponse, Error>,
) -> Result<Vec<String>, String> {
    let response = result.as_ref().map_err(|error| error.to_string())?;
    let answers = answers(recording);
    let mut found = Vec::new();
    let mut differ = |what: &str, ours: Value, theirs: Value| {
        if ours != theirs {
            found.push(format!("{what}: {ours} is not {theirs}"));
        }
    };
    let last = |name: &str| {
        let all = answers.iter().rev().map(|answer| answer[name].clone());
        all.into_iter()
            .find(|value| !value.is_null())
            .unwrap_or_default()
    };
    differ(
        "id",
        response.id.clone().into(),
        json!(last("responseId").as_str().unwrap_or_default()),
    );
    if let Some(model) = last("modelVersion").as_str() {
        differ("model", response.model.clone().into(), model.into());
    }
    let metadata = last("usageMetadata");
    let count = |name: &str| metadata[name].as_u64();
    let sum = |a: &str, b: &str| match (count(a), count(b)) {
        (None, None) => None,
        (a, b) => Some(a.unwrap_or(0) + b.unwrap_or(0)),
    };
    let usage = response.usage.clone().unwrap_or_default();
    for (what, ours, theirs) in [
        (
            "prompt",
            usage.prompt_tokens,
            sum("promptTokenCount", "toolUsePromptTokenCount"),
        ),
        (
            "completion",
            usage.completion_tokens,
            sum("candidatesTokenCount", "thoughtsTokenCount"),
        ),
        ("total", usage.total_tokens, count("totalTokenCount")),
        (
            "cached",
            usage.cached_tokens,
            count("cachedContentTokenCount"),
        ),
        (
            "thoughts",
            usage.reasoning_tokens,
            count("thoughtsTokenCount"),
        ),
    ] {
        differ(what, ours.into(), theirs.into());
    }
    let candidates = answers
        .iter()
        .flat_map(|answer| answer["candidates"].as_array());
    let candidates: Vec<&Value> = candidates.flatten().collect();
    assert!(
        candidates
            .iter()
            .all(|c| c["index"].as_u64().unwrap_or(0) == 0)
    );
    let reasons = candidates
        .iter()
        .rev()
        .map(|candidate| &candidate["finishReason"]);
    let reason = reasons.into_iter().find(|reason| !reason.is_null());
    let reason = reason.map(|reason| reason.as_str().map_or(reason.to_string(), str::to_owned));
    differ(
        "finish",
        response.choices[0].native_finish_reason.clone().into(),
        reason.into(),
    );
    let parts = candidates
        .iter()
        .flat_map(|candidate| candidate["content"]["parts"].as_array());
    let parts: Vec<&Value> = parts.flatten().collect();
    let text = |thought: bool| -> String {
        let kind = parts
            .iter()
            .filter(|part| (part["thought"] == true) == thought);
        kind.filter_map(|part| part["text"].as_str()).collect()
    };
    differ("text", response.text().into(), text(false).into());
    differ("thoughts", response.reasoning().into(), text(true).into());
    let calls: Value = response
        .tool_calls()
        .map(|call| json!([call.name, call.parse::<Value>().unwrap()]))
        .collect();
    differ("calls", calls, reference_calls(&parts));
    let is_unified = response.choices[0]
        .finish_reason
        .as_ref()
        .map(|reason| reason.as_str());
    if response.tool_calls().next().is_some() {
        differ("finish of calls", is_unified.into(), "tool_calls".into());
    }
    let tokens = candidates
        .iter()
        .flat_map(|c| c["logprobsResult"]["chosenCandidates"].as_array());
    let logprobs = response.choices[0].logprobs.as_ref();
    differ(
        "logprobs",
        logprobs.map_or(0, |logprobs| logprobs.content.len()).into(),
        tokens.flatten().count().into(),
    );
    differ(
        "parts",
        sent_back(&response.choices[0].message),
        to_send(&parts),
    );
    Ok(found)
}

/// Name and arguments of each call; argument deltas are joined by their paths, of which recordings have three forms.
fn reference_calls(parts: &[&Value]) -> Value {
    let mut calls: Vec<Value> = Vec::new();
    for call in parts
        .iter()
        .map(|part| &part["functionCall"])
        .filter(|call| !call.is_null())
    {
        if let Some(name) = call["name"].as_str() {
            let arguments = if call["args"].is_null() {
                json!({})
            } else {
                call["args"].clone()
            };
            calls.push(json!([name, arguments]));
        }
        for piece in call["partialArgs"].as_array().into_iter().flatten() {
            let path = piece["jsonPath"]
                .as_str()
                .unwrap()
                .strip_prefix("$.")
                .unwrap();
            let mut place = &mut calls.last_mut().unwrap()[1];
            for step in path.split(['.', '[', ']']).filter(|step| !step.is_empty()) {
                place = match step.parse::<usize>() {
                    Ok(at) => {
                        if place.is_null() {
                            *place = json!([]);
                        }
                        let list = place.as_array_mut().unwrap();
                        list.resize(list.len().max(at + 1), Value::Null);
                        &mut list[at]
                    }
                    Err(_) => &mut place[step],
                };
            }
            *place = match piece["stringValue"].as_str() {
                Some(more) => format!("{}{more}", place.as_str().unwrap_or_default()).into(),
                None => piece["numberValue"].clone(),
            };
        }
    }
    calls.into()
}

/// The parts that are sent back: all except reasoning without a signature, with adjacent texts joined.
fn to_send(parts: &[&Value]) -> Value {
    let mut sent: Vec<Value> = Vec::new();
    let mut may_join = false;
    for part in parts {
        let is_signed = !part["thoughtSignature"].is_null();
        match part["text"].as_str() {
            Some("") if !is_signed => continue,
            Some(_) if part["thought"] == true && !is_signed => may_join = false,
            Some(text) if may_join && !is_signed => {
                let last = sent.last_mut().unwrap();
                last["text"] = format!("{}{text}", last["text"].as_str().unwrap()).into();
            }
            _ => {
                may_join = part["text"].is_string() && !is_signed;
                let pieces = &part["functionCall"];
                let is_continued = !pieces.is_null() && pieces["name"].is_null();
                if !is_continued {
                    sent.push((*part).clone());
                }
            }
        }
    }
    let calls = reference_calls(parts);
    let mut calls = calls.as_array().unwrap().iter();
    for part in sent
        .iter_mut()
        .filter(|part| !part["functionCall"].is_null())
    {
        part["functionCall"]["args"] = calls.next().unwrap()[1].clone();
        part["functionCall"]
            .as_object_mut()
            .unwrap()
            .remove("willContinue");
    }
    sent.into()
}

/// The message as the next request sends it back.
fn sent_back(message: &Message) -> Value {
    // Newer models get a placeholder for a missing signature.
    let request = ChatRequest::new("gemini-2.5-flash")
        .user("q")
        .message(message.clone());
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
    match &body["contents"][1] {
        turn if turn["role"] != "model" => json!([]),
        turn => turn["parts"].clone(),
    }
}

fn check_models(recording: &Recording) -> Result<(), String> {
    let exchange = Exchange::list_models(provider(), options(), start()).unwrap();
    let json: Value = serde_json::from_slice(&recording.body).unwrap();
    let is_paged = json["nextPageToken"].is_string();
    if is_paged {
        let page = provider()
            .decode_models(&recording.body.clone().into())
            .unwrap();
        let token = page.next_page.unwrap();
        let next = provider().encode_models(Some(&token)).unwrap();
        assert!(next.uri().query().unwrap().contains("pageToken="));
        return same_models(&page.models, &json);
    }
    match run(exchange, &recording.answer(), Arrival::Pieces(7)).result {
        Ok(models) => same_models(&models.answer, &json),
        Err(error) if error.kind() == ErrorKind::Authentication => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn same_models(models: &[unifiedai::Model], json: &Value) -> Result<(), String> {
    let ids: Value = models
        .iter()
        .map(|model| format!("models/{}", model.id))
        .collect();
    let theirs: Value = json["models"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["name"].clone())
        .collect();
    if ids == theirs {
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
        .filter(|r| r.status >= 400 && r.operation == "generate")
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
            (400, text) if text.starts_with("API key not valid") => ErrorKind::Authentication,
            (400, text) if text.starts_with("The input token count") => ErrorKind::ContextOverflow,
            (400, _) => ErrorKind::BadRequest,
            (404, _) => ErrorKind::NotFound,
            (429, _) => ErrorKind::RateLimit,
            other => panic!("{other:?}"),
        };
        assert_eq!(error.kind(), wanted, "{}", recording.id);
        let details = json["error"]["details"].as_array().into_iter().flatten();
        let delay = details
            .filter_map(|detail| detail["retryDelay"].as_str())
            .next();
        let ours = error
            .retry_after()
            .map(|wait| format!("{}s", wait.as_secs_f64()));
        assert_eq!(ours.as_deref(), delay, "{}", recording.id);
        *kinds.entry(wanted.as_str()).or_insert(0) += 1;
    }
    println!("{kinds:?}");
}
