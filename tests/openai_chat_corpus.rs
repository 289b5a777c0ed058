//! Compares every recorded exchange with OpenAI-compatible chat APIs, of every server, with an independent decoder.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that goes wrong is to stop"
)]

mod support;

use std::{collections::BTreeMap, sync::Arc};
use support::{
    checks::{Tally, check},
    corpus::{self, Recording},
    drive::{Arrival, options, run, start},
};
use unifiedai::{
    chat::Param,
    provider::{
        OpenAiChat, Provider,
        openai_chat::{ChatProfile, profiles},
    },
    sans_io::Exchange,
};

/// Recordings whose result differs from the independent decoder's, and why.
const EXCEPTIONS: &[(&str, &str)] = &[];

const ALL_PARAMS: &[Param] = &[
    Param::MaxTokens,
    Param::Temperature,
    Param::TopP,
    Param::Stop,
    Param::Tools,
    Param::ToolChoice,
    Param::FrequencyPenalty,
    Param::PresencePenalty,
    Param::N,
    Param::Seed,
    Param::Logprobs,
    Param::TopLogprobs,
    Param::ParallelToolCalls,
    Param::PromptCacheKey,
    Param::ServiceTier,
    Param::ReasoningEffort,
    Param::ReasoningFormat,
    Param::ClearReasoning,
    Param::ResponseFormat,
];

fn provider(recording: &Recording) -> Arc<dyn Provider> {
    let profile = recorded_profile(&recording.provider);
    let provider = OpenAiChat::builder()
        .profile(profile.unwrap_or(ChatProfile::BASE))
        .base_url("https://recorded.example/v1")
        .name(&recording.provider);
    Arc::new(provider.build().unwrap())
}

/// The profile for a folder of recordings.
fn recorded_profile(folder: &str) -> Option<ChatProfile> {
    profiles::by_name(match folder {
        "gemini" => "gemini-openai",
        "ollama" => "ollama-openai",
        "anthropic" => "anthropic-openai",
        "cloudflare" => "cloudflare-workers",
        name => name,
    })
}

#[test]
fn every_recorded_exchange_is_decoded_correctly() {
    let recordings = corpus::load("openai-chat", None);
    let (mut tally, mut wrong, mut ran) = (Tally::default(), Vec::new(), BTreeMap::new());
    for recording in &recordings {
        let outcome = match recording.operation.as_str() {
            "models" => check_models(recording).map(|()| Tally::default()),
            _ => check(&provider(recording), recording),
        };
        *ran.entry(recording.provider.as_str()).or_insert(0) += 1;
        let exception = EXCEPTIONS.iter().find(|(id, _)| *id == recording.id);
        match (outcome, exception) {
            (Ok(more), None) => tally.add(more),
            (Err(_), Some(_)) => {}
            (Ok(_), Some(_)) => wrong.push(format!("{}: is right after all", recording.id)),
            (Err(what), None) => wrong.push(format!("{}: {what}", recording.id)),
        }
    }
    println!(
        "{} exchanges, {} exceptions: {tally:?}; {ran:?}",
        recordings.len(),
        EXCEPTIONS.len()
    );
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(recordings.is_empty() || recordings.len() >= 702);
}

fn check_models(recording: &Recording) -> Result<(), String> {
    let answer = recording.answer();
    if recording.url.contains("/models/") {
        let exchange =
            Exchange::retrieve_model(provider(recording), "m", options(), start()).unwrap();
        let model = run(exchange, &answer, Arrival::Whole)
            .result
            .map_err(|e| e.to_string())?;
        let json: serde_json::Value = serde_json::from_slice(&recording.body).unwrap();
        return if json["id"] == model.answer.id.as_str() {
            Ok(())
        } else {
            Err("another id".into())
        };
    }
    let exchange = Exchange::list_models(provider(recording), options(), start()).unwrap();
    let result = run(exchange, &answer, Arrival::Pieces(1000))
        .result
        .map(|response| response.answer);
    if recording.status >= 400 {
        let status = result.err().and_then(|error| error.status());
        return if status == Some(recording.status) {
            Ok(())
        } else {
            Err("no error".into())
        };
    }
    let json: serde_json::Value = serde_json::from_slice(&recording.body).unwrap();
    let listed = json["data"].as_array().or(json.as_array()).unwrap();
    let ids: Vec<_> = listed.iter().map(|m| m["id"].as_str().unwrap()).collect();
    let models = result.map_err(|error| error.to_string())?;
    let ours: Vec<_> = models.iter().map(|m| m.id.as_str()).collect();
    if ours == ids {
        Ok(())
    } else {
        Err(format!("{ours:?} is not {ids:?}"))
    }
}

/// The profile of a server supports every parameter that the server accepted in a recording, typed or as an extra
/// field.
#[test]
fn profiles_support_recorded_parameters() {
    let mut asked = 0;
    for recording in corpus::load("openai-chat", None) {
        let Some(profile) = recorded_profile(&recording.provider) else {
            continue;
        };
        let members = recording.request.as_object().into_iter().flatten();
        for (name, _) in members.filter(|_| recording.status == 200) {
            let fixed = ["messages", "model", "stream", "stream_options"].contains(&name.as_str());
            let typed = ALL_PARAMS.iter().any(|param| {
                let wire = profile.api_name(*param);
                profile.supports(*param) && wire.split('.').next() == Some(name.as_str())
            });
            let extra = profile
                .extra
                .is_none_or(|known| known.contains(&name.as_str()));
            assert!(fixed || typed || extra, "{}: `{name}`", recording.id);
            asked += 1;
        }
    }
    println!("{asked} members of recorded requests");
}
