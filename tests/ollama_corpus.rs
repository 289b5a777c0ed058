//! Compares every recorded exchange with Ollama's own API with an independent decoder.

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
    ChatRequest, Error, UnifiedChatResponse, sans_io::Exchange,
    transport::testing::provider_for_recording,
};

#[derive(Debug, Default, PartialEq)]
struct Reading {
    model: String,
    text: String,
    reasoning: String,
    /// Name and arguments.
    calls: Vec<(String, Value)>,
    finish: String,
    native: Option<String>,
    prompt: Option<u64>,
    completion: Option<u64>,
    /// Nanoseconds: prompt, completion, total.
    times: [Option<u64>; 3],
}

fn read(body: &[u8]) -> Reading {
    let mut reading = Reading::default();
    for line in std::str::from_utf8(body)
        .unwrap()
        .lines()
        .filter(|line| !line.is_empty())
    {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        reading.model = text(&line["model"]);
        reading.text += &(text(&line["message"]["content"]) + &text(&line["response"]));
        reading.reasoning += &text(&line["message"]["thinking"]);
        for call in line["message"]["tool_calls"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let function = &call["function"];
            reading
                .calls
                .push((text(&function["name"]), function["arguments"].clone()));
        }
        if line["done"] == true {
            reading.native = line["done_reason"].as_str().map(str::to_owned);
            reading.finish = match reading.native.as_deref() {
                Some("stop") if !reading.calls.is_empty() => "tool_calls".into(),
                reason => reason.unwrap_or_default().to_owned(),
            };
            reading.prompt = line["prompt_eval_count"].as_u64();
            reading.completion = line["eval_count"].as_u64();
            reading.times = ["prompt_eval_duration", "eval_duration", "total_duration"]
                .map(|name| line[name].as_u64());
        }
    }
    reading
}

fn read_back(response: &UnifiedChatResponse) -> Reading {
    let choice = &response.choices[0];
    let server = response.metrics.server;
    let ns = |time: Option<std::time::Duration>| {
        time.map(|time| u64::try_from(time.as_nanos()).unwrap())
    };
    Reading {
        model: response.model.clone(),
        text: choice.message.text().into_owned(),
        reasoning: choice.message.reasoning().into_owned(),
        calls: response
            .tool_calls()
            .map(|call| {
                (
                    call.name.clone(),
                    serde_json::from_str(&call.arguments).unwrap(),
                )
            })
            .collect(),
        finish: choice
            .finish_reason
            .as_ref()
            .map_or(String::new(), ToString::to_string),
        native: choice.native_finish_reason.clone(),
        prompt: response
            .usage
            .as_ref()
            .and_then(|usage| usage.prompt_tokens),
        completion: response
            .usage
            .as_ref()
            .and_then(|usage| usage.completion_tokens),
        times: [ns(server.prompt), ns(server.completion), ns(server.total)],
    }
}

#[test]
fn every_recorded_exchange_is_decoded_correctly() {
    let recordings = corpus::load("ollama", None);
    let provider = provider_for_recording("ollama", "ollama").unwrap();
    let (mut tally, mut wrong, mut lists) = (Tally::default(), Vec::new(), 0);
    for recording in &recordings {
        if recording.operation == "tags" {
            lists += 1;
            let exchange =
                Exchange::list_models(provider.clone(), drive::options(), drive::start()).unwrap();
            let models = drive::run(exchange, &recording.answer(), Arrival::Pieces(7))
                .result
                .unwrap()
                .answer;
            let told: Value = serde_json::from_slice(&recording.body).unwrap();
            assert_eq!(models.len(), told["models"].as_array().unwrap().len());
            assert_eq!(models[0].id, told["models"][0]["model"].as_str().unwrap());
            continue;
        }
        let expected = read(&recording.body);
        let differences = |result: &Result<UnifiedChatResponse, Error>| match result {
            Ok(response) if read_back(response) == expected => vec![],
            Ok(response) => vec![format!("{:#?} is not {expected:#?}", read_back(response))],
            Err(error) => vec![error.to_string()],
        };
        let request = ChatRequest::new(recording.model())
            .user("as recorded")
            .stream(recording.streaming);
        match check_recording(&provider, recording, &request, &differences) {
            Ok(more) => tally.add(more),
            Err(what) => wrong.push(format!("{}: {what}", recording.id)),
        }
    }
    println!(
        "{} exchanges, {lists} of them models: {tally:?}",
        recordings.len()
    );
    assert!(
        wrong.is_empty(),
        "{} wrong\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(recordings.is_empty() || recordings.len() == 34);
}
