//! Compares every recorded exchange with Bedrock's Converse API with an independent decoder.
#![cfg(feature = "bedrock")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    reason = "a test that goes wrong is to stop"
)]

mod support;

use std::{collections::BTreeMap, sync::Arc};
use support::{
    bedrock_fixtures,
    corpus::{self, Recording},
    drive::{Answer, Arrival, Outcome, chat, options, run, start},
};
use unifiedai::{
    ChatRequest, Error, ErrorKind, FinishReason, StreamEvent, UnifiedChatResponse,
    provider::{Bedrock, Provider},
    sans_io::Exchange,
};

fn bedrock() -> Arc<dyn Provider> {
    let builder = Bedrock::builder()
        .region("us-east-1")
        .api_key("test-key")
        .unwrap();
    Arc::new(builder.build().unwrap())
}

#[derive(Debug, Default)]
struct Tally {
    whole: usize,
    streams: usize,
    errors: usize,
    splits: usize,
    cuts: usize,
    other_operations: usize,
}

#[test]
fn every_recorded_exchange_is_decoded_correctly() {
    let recordings = corpus::load("bedrock-converse", None);
    let (mut tally, mut wrong) = (Tally::default(), Vec::new());
    for recording in &recordings {
        if let Err(what) = check(recording, &mut tally) {
            wrong.push(format!("{}: {what}", recording.id));
        }
    }
    println!("{} exchanges: {tally:?}", recordings.len());
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(recordings.is_empty() || recordings.len() == 189);
}

fn check(recording: &Recording, tally: &mut Tally) -> Result<(), String> {
    if recording.operation == "count-tokens" && recording.status == 200 {
        tally.other_operations += 1;
        return Ok(());
    }
    let request = ChatRequest::new("m")
        .user("as recorded")
        .stream(recording.streaming);
    let answer = recording.answer();
    let ask = |arrival| chat(&bedrock(), &request, &answer, arrival);
    let full = ask(Arrival::Whole);
    if recording.status >= 400 {
        tally.errors += 1;
        return check_error(recording, &full.result.unwrap_err());
    }
    if !recording.streaming {
        tally.whole += 1;
        agree(&full.result, &bedrock_fixtures::whole(&recording.body))?;
        for at in 0..recording.body.trim_ascii_end().len() {
            tally.cuts += 1;
            match ask(Arrival::Cut(at)).result {
                Err(error) if error.kind() == ErrorKind::Truncated => {}
                other => return Err(format!("cut after {at} bytes it is {other:?}")),
            }
        }
        return same(&full, &ask(Arrival::Pieces(1)), "byte by byte");
    }
    tally.streams += 1;
    let stopped = match bedrock_fixtures::stream(&recording.body) {
        Some((reading, stopped)) => {
            agree(&full.result, &reading)?;
            fold(&full)?;
            Some(stopped)
        }
        None => {
            let error = full.result.as_ref().unwrap_err();
            let said = (error.kind(), error.status(), error.is_retryable());
            if said != (ErrorKind::BadRequest, Some(200), false) {
                return Err(format!("{error:?}"));
            }
            None
        }
    };
    check_arrivals(recording, &full, &ask, tally)?;
    check_cuts(recording, &full, stopped, &ask, tally)
}

fn agree(
    result: &Result<UnifiedChatResponse, Error>,
    reading: &bedrock_fixtures::Reading,
) -> Result<(), String> {
    let response = result.as_ref().map_err(ToString::to_string)?;
    let ours = bedrock_fixtures::read_back(response);
    if ours != *reading {
        return Err(format!("{ours:#?}\nis not\n{reading:#?}"));
    }
    let unified = response.choices[0].finish_reason.as_ref();
    let expected = reading.stop.as_deref().map(|stop| match stop {
        "end_turn" | "stop_sequence" => FinishReason::Stop,
        "tool_use" => FinishReason::ToolCalls,
        "max_tokens" => FinishReason::Length,
        "guardrail_intervened" => FinishReason::ContentFilter,
        other => panic!("not recorded before: {other}"),
    });
    if unified != expected.as_ref() {
        return Err(format!("it finished with {unified:?}"));
    }
    Ok(())
}

/// Folding the events gives the response.
fn fold(full: &Outcome) -> Result<(), String> {
    let mut folded = unifiedai::sans_io::Accumulator::new();
    full.events.iter().for_each(|event| folded.apply(event));
    let response = full.result.as_ref().unwrap();
    match folded.response().choices == response.choices {
        true => Ok(()),
        false => Err("the events add up to something else".into()),
    }
}

fn check_arrivals(
    recording: &Recording,
    full: &Outcome,
    ask: &impl Fn(Arrival) -> Outcome,
    tally: &mut Tally,
) -> Result<(), String> {
    let sizes = [1, 2, 3, 7, 64, 1000].map(Arrival::Pieces);
    let splits = places(&recording.body).into_iter().map(Arrival::Split);
    for arrival in sizes.into_iter().chain(splits) {
        same(full, &ask(arrival), &format!("{arrival:?}"))?;
        tally.splits += 1;
    }
    Ok(())
}

/// A cut stream succeeds only after `messageStop`, where only the usage may be missing.
fn check_cuts(
    recording: &Recording,
    full: &Outcome,
    stopped: Option<usize>,
    ask: &impl Fn(Arrival) -> Outcome,
    tally: &mut Tally,
) -> Result<(), String> {
    for at in places(&recording.body) {
        tally.cuts += 1;
        let cut = ask(Arrival::Cut(at));
        let complete = stopped.is_some_and(|stopped| at >= stopped);
        match (&cut.result, complete) {
            (Ok(part), true) => {
                if part.choices != full.result.as_ref().unwrap().choices {
                    return Err(format!("cut after {at} bytes it is another answer"));
                }
            }
            (Err(error), false) => {
                if error.kind() != ErrorKind::Truncated {
                    return Err(format!("cut after {at} bytes: {error}"));
                }
                if !full.events.starts_with(&cut.events) {
                    return Err(format!("cut after {at} bytes its events are others"));
                }
                let finished = |event: &StreamEvent| matches!(event, StreamEvent::Finish { .. });
                if cut.events.iter().any(finished) {
                    return Err(format!("cut after {at} bytes it finishes"));
                }
            }
            (Ok(_), false) => return Err(format!("cut after {at} bytes it is a wrong success")),
            (Err(error), true) => {
                return Err(format!("cut after {at} bytes, behind its end: {error}"));
            }
        }
    }
    Ok(())
}

/// Every position in a short stream, and in any stream with `UNIFIEDAI_CUTS=all`; else those around its frames and
/// some between.
fn places(body: &[u8]) -> Vec<usize> {
    #[expect(clippy::disallowed_methods, reason = "a setting of the tests alone")]
    let all = std::env::var_os("UNIFIEDAI_CUTS").is_some_and(|wanted| wanted == "all");
    let ends: Vec<usize> = bedrock_fixtures::frames(body)
        .iter()
        .map(|frame| frame.end)
        .collect();
    let is_near = |at: usize| {
        let next = ends.partition_point(|end| end + 2 < at);
        ends.get(next).is_some_and(|end| end.abs_diff(at) <= 2)
    };
    (0..body.len())
        .filter(|&at| all || body.len() < 8000 || at % 61 == 0 || is_near(at))
        .collect()
}

fn same(a: &Outcome, b: &Outcome, how: &str) -> Result<(), String> {
    if a.events != b.events {
        return Err(format!("{how}: the events are others"));
    }
    match (&a.result, &b.result) {
        (Ok(a), Ok(b)) if a.choices == b.choices && a.usage == b.usage => Ok(()),
        (Err(a), Err(b)) if a.kind() == b.kind() && a.message() == b.message() => Ok(()),
        (a, b) => Err(format!("{how}: {b:?} came instead of {a:?}")),
    }
}

fn check_error(recording: &Recording, error: &Error) -> Result<(), String> {
    let header = |name: &str| {
        let found = recording.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    };
    let code = header("x-amzn-errortype").map(|value| value.split(':').next().unwrap());
    let kind = match (code, recording.status) {
        (Some("ThrottlingException"), 429) => ErrorKind::RateLimit,
        (Some("InvalidSignatureException"), 403) => ErrorKind::Authentication,
        (Some("ResourceNotFoundException"), 404) => ErrorKind::NotFound,
        (Some("ValidationException") | None, 400) => ErrorKind::BadRequest,
        other => panic!("not recorded before: {other:?}"),
    };
    let json: serde_json::Value = serde_json::from_slice(&recording.body).unwrap();
    let expected = (
        kind,
        Some(recording.status),
        code,
        header("x-amzn-requestid"),
        json["message"].as_str().unwrap(),
        recording.body.as_slice(),
    );
    let found = (
        error.kind(),
        error.status(),
        error.code(),
        error.request_id(),
        error.message(),
        error.body(),
    );
    match found == expected {
        true => Ok(()),
        false => Err(format!("{found:?} is not {expected:?}")),
    }
}

#[test]
fn the_recorded_list_of_models_is_read() {
    let recordings = corpus::load("bedrock-control", None);
    for recording in &recordings {
        let exchange = Exchange::list_models(bedrock(), options(), start()).unwrap();
        let outcome = run(exchange, &recording.answer(), Arrival::Pieces(1000));
        assert_eq!(outcome.request.uri().to_string(), recording.url);
        let models = outcome.result.unwrap().answer;
        let json: serde_json::Value = serde_json::from_slice(&recording.body).unwrap();
        let expected: BTreeMap<&str, Option<&str>> = json["modelSummaries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| (m["modelId"].as_str().unwrap(), m["modelName"].as_str()))
            .collect();
        let found: BTreeMap<&str, Option<&str>> = models
            .iter()
            .map(|m| (m.id.as_str(), m.name.as_deref()))
            .collect();
        assert_eq!(found, expected);
        assert!(models.iter().all(|model| model.raw.is_some()));
        println!("{} models", models.len());
    }
}

#[test]
fn stream_in_a_single_body_is_decoded() {
    let body = br#"{"output":{"message":{"role":"assistant","content":[{"text":"hi"}]}},"stopReason":"end_turn"}"#;
    let request = ChatRequest::new("m").user("hi").stream(true);
    let outcome = chat(
        &bedrock(),
        &request,
        &Answer::json(&body[..]),
        Arrival::Whole,
    );
    assert_eq!(outcome.result.unwrap().text(), "hi");
}
