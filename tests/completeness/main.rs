//! Nothing that a provider sends is lost: each field of each recorded response is changed, one at a time. The change
//! must be visible in the response, in its events or in a warning, unless the field is listed in `ignored.rs`.
//!
//! A field is tested at its first position in a response, and in a few responses of different providers.
#![cfg(feature = "testing")]
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "a test that goes wrong is to stop"
)]

mod documents;
mod hosted;
mod ignored;
#[path = "../support/mod.rs"]
mod support;

use documents::Body;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use support::{
    corpus::{self, Recording},
    drive::{Answer, Arrival, Outcome, chat},
};
use unifiedai::{provider::Provider, transport::testing::provider_for_recording};

/// The number of responses in which each field is tested.
const ANSWERS: usize = 3;

const WIRES: &[(&str, &[&str])] = &[
    ("openai-chat", &["chat"]),
    ("openai-responses", &["responses"]),
    ("anthropic-messages", &["messages"]),
    ("anthropic-vertex", &["messages"]),
    ("gemini", &["generate", "generate-stream"]),
    ("gemini-interactions", &["interactions"]),
    ("cohere-v2", &["chat"]),
    ("ollama", &["chat"]),
    #[cfg(feature = "bedrock")]
    ("bedrock-converse", &["converse", "converse-stream"]),
];

#[test]
fn every_member_of_every_recorded_response_is_accounted_for() {
    let mut vanished = Vec::new();
    let mut used = BTreeSet::new();
    let (mut members, mut answers) = (0, 0);
    for (wire, operations) in WIRES {
        let recordings = corpus::load(wire, None);
        let mut tried: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for recording in &recordings {
            let is_chat = operations.contains(&recording.operation.as_str());
            if !is_chat || recording.status >= 300 {
                continue;
            }
            let Some(body) = Body::read(wire, recording) else {
                continue;
            };
            answers += 1;
            let provider = provider_for_recording(&recording.provider, wire).unwrap();
            let seen = |body: &Body| said(&provider, recording, body);
            let before = seen(&body);
            for place in body.places() {
                let name = format!("{wire} {}", place.name);
                let places = tried.entry(name.clone()).or_default();
                if places.len() >= ANSWERS || !places.insert(recording.provider.clone()) {
                    continue;
                }
                members += 1;
                if seen(&body.changed(&place)) != before {
                    continue;
                }
                match ignored::reason(wire, &place.name) {
                    Some(entry) => {
                        used.insert(entry);
                    }
                    None => vanished.push(format!("{name}: {} ({})", place.value, recording.id)),
                }
            }
        }
    }
    println!("{members} members of {answers} answers");
    assert!(
        vanished.is_empty(),
        "{} vanish:\n{}",
        vanished.len(),
        vanished.join("\n")
    );
    if answers > 0 {
        let idle: Vec<_> = ignored::all()
            .filter(|entry| !used.contains(entry))
            .collect();
        println!("entries of the list that nothing needs: {idle:?}");
    }
}

/// Everything in a response that a caller can see, except the raw body.
fn said(provider: &Arc<dyn Provider>, recording: &Recording, body: &Body) -> String {
    let answer = Answer {
        status: recording.status,
        headers: recording.headers.clone(),
        body: body.bytes().into(),
    };
    let request = recording.chat_request();
    let Outcome {
        events, mut result, ..
    } = chat(provider, &request, &answer, Arrival::Whole);
    if let Ok(response) = &mut result {
        response.provider_metadata.raw = None;
        response.metrics.duration = None;
    }
    let error = result.as_ref().err();
    let error = error.map(|error| error.body().escape_ascii().to_string());
    format!("{events:?}{result:#?}{error:?}")
}

/// A value of the same type that no response has.
fn other(value: &Value) -> Value {
    match value {
        Value::Bool(value) => (!value).into(),
        Value::Number(number) => match number.as_u64() {
            Some(number) => (number + 7_919).into(),
            None => (number.as_f64().unwrap() + 79.19).into(),
        },
        _ => "canary-79190".into(),
    }
}
