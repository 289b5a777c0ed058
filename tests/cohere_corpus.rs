//! Compares every recorded exchange with Cohere's API, version 2, with an independent decoder.

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
use std::collections::BTreeMap;
use support::{checks::Tally, corpus, corpus_checks::check_recording};
use unifiedai::{
    ChatRequest, ContentPart, Error, UnifiedChatResponse,
    transport::testing::provider_for_recording,
};

#[derive(Debug, Default, PartialEq)]
struct Reading {
    id: String,
    text: String,
    reasoning: String,
    /// Id, name and arguments.
    calls: Vec<(String, String, String)>,
    citations: Vec<Value>,
    plan: String,
    finish: String,
    native: String,
    /// Input, output, cached, reasoning.
    usage: [Option<u64>; 4],
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn whole(answer: &Value) -> Reading {
    let message = &answer["message"];
    let mut reading = Reading {
        id: text(&answer["id"]),
        plan: text(&message["tool_plan"]),
        ..Reading::default()
    };
    for content in message["content"].as_array().into_iter().flatten() {
        reading.text += &text(&content["text"]);
        reading.reasoning += &text(&content["thinking"]);
    }
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        let function = &call["function"];
        reading.calls.push((
            text(&call["id"]),
            text(&function["name"]),
            text(&function["arguments"]),
        ));
    }
    reading.citations = message["citations"].as_array().cloned().unwrap_or_default();
    reading.end(answer);
    reading
}

fn stream(body: &str) -> Reading {
    let mut reading = Reading::default();
    let mut calls: BTreeMap<u64, (String, String, String)> = BTreeMap::new();
    for line in body.lines().filter_map(|line| line.strip_prefix("data:")) {
        let Ok(event) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let (index, message) = (event["index"].as_u64(), &event["delta"]["message"]);
        match event["type"].as_str().unwrap() {
            "message-start" => reading.id = text(&event["id"]),
            "content-start" | "content-delta" => {
                reading.text += &text(&message["content"]["text"]);
                reading.reasoning += &text(&message["content"]["thinking"]);
            }
            "tool-plan-delta" => reading.plan += &text(&message["tool_plan"]),
            "tool-call-start" | "tool-call-delta" => {
                let call = calls.entry(index.unwrap()).or_default();
                call.0 += &text(&message["tool_calls"]["id"]);
                call.1 += &text(&message["tool_calls"]["function"]["name"]);
                call.2 += &text(&message["tool_calls"]["function"]["arguments"]);
            }
            "citation-start" => reading.citations.push(message["citations"].clone()),
            "message-end" => reading.end(&event["delta"]),
            _ => {}
        }
    }
    reading.calls = calls.into_values().collect();
    reading
}

impl Reading {
    fn end(&mut self, told: &Value) {
        self.native = text(&told["finish_reason"]);
        self.finish = match self.native.as_str() {
            "COMPLETE" | "STOP_SEQUENCE" => "stop",
            "MAX_TOKENS" => "length",
            "TOOL_CALL" => "tool_calls",
            other => other,
        }
        .to_owned();
        self.reasoning = self.plan.clone() + &self.reasoning;
        let (usage, tokens) = (&told["usage"], &told["usage"]["tokens"]);
        self.usage = [
            &tokens["input_tokens"],
            &tokens["output_tokens"],
            &usage["cached_tokens"],
            &tokens["reasoning_tokens"],
        ]
        .map(Value::as_u64);
    }
}

fn read_back(response: &UnifiedChatResponse) -> Reading {
    let choice = &response.choices[0];
    let usage = response.usage.clone().unwrap_or_default();
    let mut reading = Reading {
        id: response.id.clone(),
        text: choice.message.text().into_owned(),
        reasoning: choice.message.reasoning().into_owned(),
        finish: choice.finish_reason.as_ref().unwrap().to_string(),
        native: choice.native_finish_reason.clone().unwrap(),
        usage: [
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.cached_tokens,
            usage.reasoning_tokens,
        ],
        ..Reading::default()
    };
    for call in response.tool_calls() {
        reading
            .calls
            .push((call.id.clone(), call.name.clone(), call.arguments.clone()));
    }
    for part in &choice.message.content {
        match part {
            ContentPart::Text { citations, .. } => {
                let raw = citations
                    .iter()
                    .map(|citation| citation.raw.as_ref().unwrap().decode().unwrap());
                reading.citations.extend(raw);
            }
            ContentPart::ProviderBlock(block) => {
                reading.plan = text(&block.block.decode::<Value>().unwrap()["tool_plan"]);
            }
            _ => {}
        }
    }
    reading
}

#[test]
fn every_recorded_exchange_is_decoded_correctly() {
    let recordings = corpus::load("cohere-v2", None);
    let provider = provider_for_recording("cohere", "cohere-v2").unwrap();
    let (mut tally, mut wrong) = (Tally::default(), Vec::new());
    for recording in &recordings {
        let body = std::str::from_utf8(&recording.body).unwrap();
        let differences = |result: &Result<UnifiedChatResponse, Error>| {
            let expected = match recording.streaming {
                true => stream(body),
                false => whole(&serde_json::from_str(body).unwrap()),
            };
            match result {
                Ok(response) if read_back(response) == expected => vec![],
                Ok(response) => vec![format!("{:#?} is not {expected:#?}", read_back(response))],
                Err(error) => vec![error.to_string()],
            }
        };
        let request = ChatRequest::new(recording.model())
            .user("as recorded")
            .stream(recording.streaming);
        match check_recording(&provider, recording, &request, &differences) {
            Ok(more) => tally.add(more),
            Err(what) => wrong.push(format!("{}: {what}", recording.id)),
        }
    }
    println!("{} exchanges: {tally:?}", recordings.len());
    assert!(
        wrong.is_empty(),
        "{} wrong\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(recordings.is_empty() || recordings.len() == 33);
}
