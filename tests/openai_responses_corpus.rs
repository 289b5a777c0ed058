//! Compares every recorded exchange with the Responses API with an independent decoder.

#![cfg(feature = "testing")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    reason = "a test that goes wrong is to stop"
)]

mod support;

use serde_json::Value;
use support::{checks::Tally, corpus, corpus_checks::check_recording, drive, drive::Arrival};
use unifiedai::{
    ChatRequest, ContentPart, Error, ErrorKind, UnifiedChatResponse,
    transport::testing::provider_for_recording,
};

/// Exchanges that are errors, and why.
const NO_ANSWER: &[(&str, ErrorKind, &str)] = &[
    (
        "openai/pydantic-ai__test_openai_responses_test_background_mode_with_tool_vcr",
        ErrorKind::Truncated,
        "it only says that the response is queued",
    ),
    (
        "openai/vercel-ai__openai-shell-container.1",
        ErrorKind::Protocol,
        "its author cut text out of the deltas, which no longer add up to the completed text",
    ),
];

/// The content of a response, decoded in the simplest way.
#[derive(Debug, Default, PartialEq)]
struct Reading {
    id: String,
    model: String,
    text: String,
    reasoning: String,
    refusal: String,
    /// Id, name, arguments.
    calls: Vec<(String, String, String)>,
    /// Items that are neither messages nor calls, unchanged.
    others: Vec<Value>,
    finish: String,
    native: String,
    /// Input, output, total, cached, reasoning.
    usage: Option<[Option<u64>; 5]>,
    citations: usize,
    logprobs: usize,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The last response object of a stream; `Err` is the reported failure.
fn final_response(body: &str) -> Result<Value, Value> {
    let mut items: Vec<(u64, Value)> = Vec::new();
    for line in body.lines().filter_map(|line| line.strip_prefix("data:")) {
        let Ok(event) = serde_json::from_str::<Value>(line) else {
            assert_eq!(line.trim(), "[DONE]");
            continue;
        };
        let index = event["output_index"].as_u64();
        match event["type"].as_str().unwrap() {
            "response.output_item.added" => items.push((index.unwrap(), Value::Null)),
            "response.output_item.done" => {
                let item = items
                    .iter_mut()
                    .rfind(|(known, _)| Some(*known) == index)
                    .unwrap();
                item.1 = event["item"].clone();
            }
            "error" => return Err(event),
            "response.failed" => return Err(event),
            "response.completed" | "response.incomplete" => {
                let mut response = event["response"].clone();
                let told: Vec<Value> = response["output"].as_array().unwrap().clone();
                for (at, item) in items
                    .iter_mut()
                    .enumerate()
                    .filter(|(_, (_, item))| item.is_null())
                {
                    item.1 = told[at].clone();
                }
                response["output"] = items.into_iter().map(|(_, item)| item).collect();
                return Ok(response);
            }
            _ => {}
        }
    }
    panic!("the stream has no end");
}

/// All deltas of a kind, in their order.
fn deltas(body: &str, kinds: &[&str]) -> String {
    body.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data:")?).ok())
        .take_while(|event| event["type"] != "response.completed")
        .filter(|event| kinds.iter().any(|kind| event["type"] == *kind))
        .map(|event| text(&event["delta"]))
        .collect()
}

fn read(response: &Value) -> Reading {
    let mut reading = Reading {
        id: text(&response["id"]),
        model: text(&response["model"]),
        ..Reading::default()
    };
    for item in response["output"].as_array().unwrap() {
        let parts = item["content"].as_array().cloned().unwrap_or_default();
        match item["type"].as_str().unwrap() {
            "message" if item["role"] == "assistant" => {
                for part in &parts {
                    reading.text += part["text"].as_str().unwrap_or_default();
                    reading.refusal += part["refusal"].as_str().unwrap_or_default();
                    reading.citations += part["annotations"].as_array().map_or(0, Vec::len);
                    reading.logprobs += part["logprobs"].as_array().map_or(0, Vec::len);
                }
            }
            "function_call" => reading.calls.push((
                text(&item["call_id"]),
                text(&item["name"]),
                text(&item["arguments"]),
            )),
            kind => {
                if kind == "reasoning" {
                    let summary = item["summary"].as_array().cloned().unwrap_or_default();
                    for part in summary.iter().chain(&parts) {
                        reading.reasoning += part["text"].as_str().unwrap_or_default();
                    }
                }
                reading.others.push(item.clone());
            }
        }
    }
    reading.native = match response["incomplete_details"]["reason"].as_str() {
        Some(reason) => reason.to_owned(),
        None => response["status"]
            .as_str()
            .unwrap_or("completed")
            .to_owned(),
    };
    let runs = |item: &Value| match item["type"].as_str() {
        Some("custom_tool_call" | "computer_call" | "local_shell_call" | "apply_patch_call") => {
            true
        }
        Some("shell_call") => !reading.others.iter().any(|other| {
            other["type"] == "shell_call_output" && other["call_id"] == item["call_id"]
        }),
        _ => false,
    };
    reading.finish = match reading.native.as_str() {
        "max_output_tokens" => "length".into(),
        "content_filter" => "content_filter".into(),
        _ if !reading.calls.is_empty() || reading.others.iter().any(runs) => "tool_calls".into(),
        _ => "stop".into(),
    };
    let usage = &response["usage"];
    reading.usage = usage.is_object().then(|| {
        [
            &usage["input_tokens"],
            &usage["output_tokens"],
            &usage["total_tokens"],
            &usage["input_tokens_details"]["cached_tokens"],
            &usage["output_tokens_details"]["reasoning_tokens"],
        ]
        .map(Value::as_u64)
    });
    reading
}

/// The library's response in the same form.
fn read_back(response: &UnifiedChatResponse) -> Reading {
    let choice = &response.choices[0];
    let mut reading = Reading {
        id: response.id.clone(),
        model: response.model.clone(),
        text: choice.message.text().into_owned(),
        reasoning: choice.message.reasoning().into_owned(),
        refusal: choice.message.refusal().into_owned(),
        finish: choice.finish_reason.as_ref().unwrap().as_str().to_owned(),
        native: choice.native_finish_reason.clone().unwrap(),
        logprobs: choice
            .logprobs
            .as_ref()
            .map_or(0, |logprobs| logprobs.content.len()),
        ..Reading::default()
    };
    for call in choice.message.tool_calls() {
        reading
            .calls
            .push((call.id.clone(), call.name.clone(), call.arguments.clone()));
        let item: Value = call.provider_data.as_ref().unwrap().data.decode().unwrap();
        assert_eq!(item["call_id"], call.id);
    }
    for part in &choice.message.content {
        match part {
            ContentPart::Text { citations, .. } => reading.citations += citations.len(),
            ContentPart::ProviderBlock(_)
            | ContentPart::HostedToolCall(_)
            | ContentPart::HostedToolResult(_)
            | ContentPart::Compaction(_) => {
                let Some(block) = part.raw() else {
                    continue;
                };
                let item: Value = block.block.decode().unwrap();
                if item["type"] != "message" || item.get("content").is_some() {
                    reading.others.push(item);
                }
            }
            _ => {}
        }
    }
    reading.usage = response.usage.as_ref().map(|usage| {
        [
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.total_tokens,
            usage.cached_tokens,
            usage.reasoning_tokens,
        ]
    });
    reading
}

fn differences(
    recording: &corpus::Recording,
    result: &Result<UnifiedChatResponse, Error>,
) -> Vec<String> {
    let body = std::str::from_utf8(&recording.body)
        .unwrap()
        .replace("\r\n", "\n");
    if let Some((_, kind, _)) = NO_ANSWER.iter().find(|(id, ..)| *id == recording.id) {
        let right = result.as_ref().is_err_and(|error| error.kind() == *kind);
        return if right {
            vec![]
        } else {
            vec![format!("{result:#?}")]
        };
    }
    let expected = if recording.streaming {
        final_response(&body)
    } else {
        let response: Value = serde_json::from_str(&body).unwrap();
        if response["status"] == "failed" {
            Err(response)
        } else {
            Ok(response)
        }
    };
    match (expected, result) {
        (Ok(expected), Ok(response)) => {
            let (mut theirs, ours) = (read(&expected), read_back(response));
            if theirs.model.is_empty() {
                theirs.model = recording.model().to_owned();
            }
            if recording.streaming {
                // Some servers change the id between events: the first one counts.
                theirs.id = ours.id.clone();
                let told = deltas(&body, &["response.output_text.delta"]);
                if told != ours.text {
                    return vec![format!("the deltas say {told:?}, not {:?}", ours.text)];
                }
            }
            if theirs == ours {
                vec![]
            } else {
                vec![format!("{ours:#?} is not {theirs:#?}")]
            }
        }
        (Err(told), Err(error)) => {
            let inner = [&told["error"], &told["response"]["error"], &told];
            let inner = inner
                .into_iter()
                .find(|value| value["message"].is_string())
                .unwrap();
            let same = error.message() == text(&inner["message"])
                && error.code() == inner["code"].as_str()
                && error.status() == Some(200);
            if same {
                vec![]
            } else {
                vec![format!("{error:?} is not {inner}")]
            }
        }
        (expected, result) => vec![format!("{result:?} where the body has {expected:?}")],
    }
}

#[test]
fn every_recorded_exchange_is_decoded_correctly() {
    let recordings = corpus::load("openai-responses", None);
    let (mut tally, mut wrong) = (Tally::default(), Vec::new());
    for recording in &recordings {
        let provider = provider_for_recording(&recording.provider, "openai-responses").unwrap();
        let request = ChatRequest::new(recording.model()).user("as recorded");
        let request = request.stream(recording.streaming);
        match check_recording(&provider, recording, &request, &|result| {
            differences(recording, result)
        }) {
            Ok(more) => tally.add(more),
            Err(what) => wrong.push(format!("{}: {what}", recording.id)),
        }
    }
    println!("{} exchanges: {tally:?}", recordings.len());
    for (id, _, why) in NO_ANSWER {
        println!("no answer: {id}: {why}");
    }
    assert!(
        wrong.is_empty(),
        "{} wrong\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(recordings.is_empty() || recordings.len() == 245);
}

/// A stream gives the same as its final response object, decoded as a single body.
#[test]
fn every_stream_equals_its_final_response() {
    let (mut compared, mut others) = (0, 0);
    for recording in corpus::load("openai-responses", None)
        .iter()
        .filter(|r| r.streaming)
    {
        if NO_ANSWER.iter().any(|(id, ..)| *id == recording.id) {
            continue;
        }
        let provider = provider_for_recording(&recording.provider, "openai-responses").unwrap();
        let request = ChatRequest::new(recording.model()).user("as recorded");
        let body = std::str::from_utf8(&recording.body).unwrap();
        #[derive(serde::Deserialize)]
        struct Last {
            r#type: String,
            response: Option<Box<serde_json::value::RawValue>>,
        }
        let last = body
            .lines()
            .filter_map(|line| serde_json::from_str::<Last>(line.strip_prefix("data:")?).ok())
            .find(|event| {
                matches!(
                    event.r#type.as_str(),
                    "response.completed" | "response.incomplete"
                )
            });
        let Some(whole) = last.and_then(|last| last.response) else {
            continue;
        };
        let told: Value = serde_json::from_str(whole.get()).unwrap();
        if final_response(body).unwrap()["output"] != told["output"] {
            others += 1;
            continue;
        }
        let stream = drive::chat(
            &provider,
            &request.clone().stream(true),
            &recording.answer(),
            Arrival::Whole,
        );
        let answer = drive::Answer::json(whole.get().to_owned());
        let whole = drive::chat(&provider, &request, &answer, Arrival::Whole)
            .result
            .unwrap();
        let stream = stream.result.unwrap();
        let parts = |response: &UnifiedChatResponse| {
            let choice = response.choices[0].clone();
            (
                choice.message,
                choice.finish_reason,
                choice.native_finish_reason,
            )
        };
        assert_eq!(parts(&stream), parts(&whole), "{}", recording.id);
        assert_eq!(stream.usage, whole.usage, "{}", recording.id);
        compared += 1;
    }
    println!(
        "{compared} streams compared; {others} have a final response that says something else"
    );
}
