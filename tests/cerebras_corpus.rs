//! Compares every recorded exchange with Cerebras with an independent decoder.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that goes wrong is to stop"
)]

mod support;

use std::sync::Arc;
use support::{
    checks::{Tally, check},
    corpus,
    drive::{Arrival, options, run, start},
};
use unifiedai::{
    ErrorKind,
    provider::{OpenAiChat, Provider},
    sans_io::Exchange,
};

fn cerebras() -> Arc<dyn Provider> {
    Arc::new(OpenAiChat::cerebras("test-key").unwrap())
}

#[test]
fn every_recorded_exchange_is_decoded_correctly() {
    let recordings = corpus::load("openai-chat", Some("cerebras"));
    let (mut tally, mut wrong, mut models) = (Tally::default(), Vec::new(), 0);
    for recording in &recordings {
        if recording.operation == "models" {
            models += 1;
            check_models(recording);
            continue;
        }
        match check(&cerebras(), recording) {
            Ok(more) => tally.add(more),
            Err(what) => wrong.push(format!("{}: {what}", recording.id)),
        }
    }
    println!(
        "{} exchanges, {models} of them models: {tally:?}",
        recordings.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(recordings.is_empty() || recordings.len() == 59);
}

fn check_models(recording: &corpus::Recording) {
    let exchange = Exchange::list_models(cerebras(), options(), start()).unwrap();
    let outcome = run(exchange, &recording.answer(), Arrival::Pieces(7));
    assert_eq!(outcome.request.uri(), "https://api.cerebras.ai/v1/models");
    let models = outcome.result.unwrap().answer;
    let json: serde_json::Value = serde_json::from_slice(&recording.body).unwrap();
    let ids: Vec<_> = json["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["id"].as_str().unwrap())
        .collect();
    assert_eq!(
        models.iter().map(|m| m.id.as_str()).collect::<Vec<_>>(),
        ids
    );
    assert_eq!(models[0].created, json["data"][0]["created"].as_u64());
}

#[test]
fn every_recorded_error_has_its_kind_and_code() {
    let wanted = [
        ("reported__400_empty_body", ErrorKind::BadRequest, None),
        (
            "reported__400_unsupported_property",
            ErrorKind::BadRequest,
            Some("wrong_api_format"),
        ),
        (
            "reported__400_unsupported_property_multi",
            ErrorKind::BadRequest,
            Some("wrong_api_format"),
        ),
        (
            "reported__404_model_not_found",
            ErrorKind::NotFound,
            Some("model_not_found"),
        ),
        (
            "reported__429_request_quota_minute",
            ErrorKind::RateLimit,
            Some("request_quota_exceeded"),
        ),
    ];
    let recordings = corpus::load("openai-chat", Some("cerebras"));
    let failed: Vec<_> = recordings.iter().filter(|r| r.status >= 400).collect();
    for recording in &failed {
        let name = recording.id.trim_start_matches("cerebras/");
        let (_, kind, code) = wanted
            .iter()
            .find(|(known, ..)| *known == name)
            .expect(name);
        let outcome = support::drive::chat(
            &cerebras(),
            &recording.chat_request(),
            &recording.answer(),
            Arrival::Whole,
        );
        let error = outcome.result.unwrap_err();
        assert_eq!((error.kind(), error.code()), (*kind, *code), "{name}");
        assert_eq!(error.status(), Some(recording.status), "{name}");
    }
    assert!(recordings.is_empty() || failed.len() == wanted.len());
}

#[test]
fn rate_limits_and_ids_of_recorded_responses_are_read() {
    let recordings = corpus::load("openai-chat", Some("cerebras"));
    let mut with_limits = 0;
    for recording in recordings
        .iter()
        .filter(|r| r.status == 200 && r.operation == "chat")
    {
        let header = |name: &str| {
            let found = recording.headers.iter().find(|(other, _)| other == name);
            found.map(|(_, value)| value.as_str())
        };
        let outcome = support::drive::chat(
            &cerebras(),
            &recording.chat_request(),
            &recording.answer(),
            Arrival::Whole,
        );
        let metadata = outcome.result.unwrap().provider_metadata;
        assert_eq!(
            metadata.request_id.as_deref(),
            header("x-request-id"),
            "{}",
            recording.id
        );
        for what in ["requests-day", "tokens-minute"] {
            let Some(left) = header(&format!("x-ratelimit-remaining-{what}")) else {
                continue;
            };
            with_limits += 1;
            let limit = metadata
                .rate_limits
                .iter()
                .find(|l| l.name == what)
                .unwrap();
            assert_eq!(limit.remaining, left.parse().ok());
            let reset: f64 = header(&format!("x-ratelimit-reset-{what}"))
                .unwrap()
                .parse()
                .unwrap();
            assert!((limit.reset.unwrap().as_secs_f64() - reset).abs() < 1e-6);
        }
    }
    println!("{with_limits} allowances");
}
