//! Properties of every response in every API: chunk boundaries change nothing, and a cut response is never a success.
//! If only data after the response is missing, a warning says so.
//!
//! The inputs are the fuzz seeds and, where available, all recorded exchanges. Each pass over a body splits every
//! line (or binary frame) at one position, so that a few dozen linear passes split each line at dozens of positions.
//! With `UNIFIEDAI_CUTS=all` every position is tested.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    unreachable_pub,
    reason = "a test that goes wrong is to stop"
)]

#[path = "../fuzz/src/frames.rs"]
mod frames;
#[path = "../fuzz/src/grammar.rs"]
mod grammar;
#[allow(dead_code, reason = "the fuzz targets use the rest")]
#[path = "../fuzz/src/protocols.rs"]
mod protocols;
mod support;

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};
use support::{
    corpus,
    drive::{Answer, Arrival, Outcome, options, run, run_at, start},
};
use unifiedai::{
    ChatRequest, ErrorKind,
    chat::Warning,
    provider::{Framing, Provider},
    sans_io::{Accumulator, Exchange},
    transport::testing::provider_for_recording,
};

struct Case {
    id: String,
    provider: Arc<dyn Provider>,
    request: Arc<ChatRequest>,
    answer: Answer,
}

/// The names of chat operations in the recordings.
const DIALECTS: &[(&str, &[&str])] = &[
    ("openai-chat", &["chat"]),
    ("anthropic-messages", &["messages"]),
    ("anthropic-vertex", &["messages"]),
    ("bedrock-converse", &["converse", "converse-stream"]),
    ("bedrock-invoke", &["invoke", "invoke-stream"]),
    ("cohere-v2", &["chat"]),
    ("gemini", &["generate", "generate-stream"]),
    ("gemini-interactions", &["interactions"]),
    ("ollama", &["chat"]),
    ("openai-responses", &["responses"]),
];

#[test]
fn chunking_changes_nothing_and_a_cut_response_is_an_error() {
    let (mut wrong, mut ran, mut passes) = (Vec::new(), BTreeMap::<&str, usize>::new(), 0);
    for (dialect, case) in seeds().into_iter().chain(recordings()) {
        *ran.entry(dialect).or_default() += 1;
        match check(&case) {
            Ok(more) => passes += more,
            Err(what) => wrong.push(format!("{}: {what}", case.id)),
        }
    }
    println!(
        "{} exchanges in {passes} passes: {ran:?}",
        ran.values().sum::<usize>()
    );
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn seeds() -> Vec<(&'static str, Case)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let mut cases = Vec::new();
    for kind in ["stream", "json_body", "error_body"] {
        for file in fs::read_dir(folder.join(kind)).unwrap() {
            let path = file.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            let Some(provider) = protocols::wire(bytes[0]) else {
                continue;
            };
            let request = ChatRequest::new("m")
                .user("x")
                .drop_unsupported()
                .stream(kind == "stream");
            let framing = provider.encode_chat(&request).unwrap().framing;
            let answer = match (kind, framing) {
                ("error_body", _) => {
                    let status = std::str::from_utf8(&bytes[2..5]).unwrap().parse().unwrap();
                    Answer::new(status, "application/json", bytes[5..].to_vec())
                }
                ("stream", Framing::AwsEventStream) => Answer::new(
                    200,
                    "application/vnd.amazon.eventstream",
                    frames::from_lines(&bytes[2..]),
                ),
                ("stream", Framing::Ndjson) => {
                    Answer::new(200, "application/x-ndjson", bytes[2..].to_vec())
                }
                ("stream", _) => Answer::sse(bytes[2..].to_vec()),
                _ => Answer::json(bytes[2..].to_vec()),
            };
            let id = path.display().to_string();
            cases.push((
                "seeds",
                Case {
                    id,
                    provider,
                    request: Arc::new(request),
                    answer,
                },
            ));
        }
    }
    assert!(cases.len() > 20, "{} seeds", cases.len());
    cases
}

fn recordings() -> Vec<(&'static str, Case)> {
    let mut cases = Vec::new();
    for (dialect, chats) in DIALECTS {
        if provider_for_recording("any", dialect).is_err() {
            println!("skipped: {dialect} is not read by this version");
            continue;
        }
        for recording in corpus::load(dialect, None) {
            if chats.contains(&recording.operation.as_str()) {
                let provider = provider_for_recording(&recording.provider, dialect).unwrap();
                let request = Arc::new(recording.chat_request());
                let answer = recording.answer();
                cases.push((
                    *dialect,
                    Case {
                        id: recording.id,
                        provider,
                        request,
                        answer,
                    },
                ));
            }
        }
    }
    cases
}

fn check(case: &Case) -> Result<usize, String> {
    let exchange = || {
        let (provider, request) = (case.provider.clone(), case.request.clone());
        Exchange::new(provider, request, options(), start()).expect("a plain question can be asked")
    };
    let full = run(exchange(), &case.answer, Arrival::Whole);
    if let Ok(response) = &full.result {
        grammar::check(&full.events, case.request.stream)?;
        let mut sum = Accumulator::new();
        full.events.iter().for_each(|event| sum.apply(event));
        if case.request.stream && sum.response().choices != response.choices {
            return Err("the events do not add up to the response".into());
        }
    } else {
        grammar::check(&full.events, false)?;
    }
    let body = &case.answer.body;
    let units = units(body);
    let mut passes = 1;
    for size in [1, 3, 1024] {
        passes += 1;
        same(
            &full,
            &run(exchange(), &case.answer, Arrival::Pieces(size)),
            &format!("in pieces of {size}"),
        )?;
    }
    for (what, ends) in splits(&units) {
        passes += 1;
        same(
            &full,
            &run_at(exchange(), &case.answer, &ends),
            &format!("every line split {what}"),
        )?;
    }
    if case.answer.status < 300 {
        for at in cuts(&units, body) {
            passes += 1;
            cut(&full, &run(exchange(), &case.answer, Arrival::Cut(at)), at)?;
        }
    }
    Ok(passes)
}

/// The ends of the lines or binary frames.
fn units(body: &[u8]) -> Vec<usize> {
    let (mut ends, mut at) = (Vec::new(), 0);
    while at < body.len() {
        let rest = &body[at..];
        let binary = rest.len() >= 12 && crc32fast::hash(&rest[..8]).to_be_bytes() == rest[8..12];
        let length = if binary {
            u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize
        } else {
            rest.iter()
                .position(|byte| *byte == b'\n')
                .map_or(rest.len(), |end| end + 1)
        };
        at = (at + length).min(body.len());
        ends.push(at);
    }
    ends
}

fn thorough() -> bool {
    std::env::var_os("UNIFIEDAI_CUTS").is_some_and(|wanted| wanted == "all")
}

/// Passes over a body, each with its chunk ends: every unit is split at one position.
fn splits(units: &[usize]) -> Vec<(String, Vec<usize>)> {
    let starts = || std::iter::once(0).chain(units.iter().copied());
    let max = starts()
        .zip(units)
        .map(|(start, end)| end - start)
        .max()
        .unwrap_or(0);
    let stride = if thorough() {
        1
    } else {
        max.div_ceil(12).max(1)
    };
    let mut passes = Vec::new();
    for place in (1..max).filter(|place| *place < 16 || place % stride == 0) {
        let places = starts().zip(units).filter_map(|(start, end)| {
            let split = start + place;
            (split < *end).then_some(split)
        });
        passes.push((format!("after {place} bytes"), places.collect::<Vec<_>>()));
    }
    for before in 1..=4 {
        let places = starts().zip(units).filter_map(|(start, end)| {
            let split = end.checked_sub(before)?;
            (split > start).then_some(split)
        });
        passes.push((format!("{before} bytes before its end"), places.collect()));
    }
    let all = units.last().copied().unwrap_or(0);
    for (_, ends) in &mut passes {
        ends.push(all);
    }
    passes
}

/// Where to cut: at, in and around the ends of two dozen units, spread over the body.
fn cuts(units: &[usize], body: &[u8]) -> Vec<usize> {
    if thorough() {
        return (0..body.len()).collect();
    }
    let stride = units.len().div_ceil(24).max(1);
    let near_end = units.len().saturating_sub(6);
    let chosen = units
        .iter()
        .enumerate()
        .filter(|(at, _)| at % stride == 0 || *at >= near_end);
    let mut cuts: Vec<usize> = chosen
        .flat_map(|(at, end)| {
            let start = at.checked_sub(1).map_or(0, |before| units[before]);
            [start + 1, (start + end) / 2, end - 1, *end]
        })
        .filter(|cut| *cut < body.len())
        .collect();
    cuts.dedup();
    cuts
}

fn cut(full: &Outcome, cut: &Outcome, at: usize) -> Result<(), String> {
    match (&full.result, &cut.result) {
        (Ok(full), Ok(cut)) if full.choices == cut.choices => {
            let ends = ["cut_event", "missing_end"];
            let says_so = |warning: &Warning| ends.contains(&warning.code);
            let lost = full.usage.is_some() && cut.usage.is_none();
            let is_short = lost && !cut.warnings.iter().any(says_so);
            match is_short {
                true => Err(format!(
                    "cut after {at} bytes it lacks usage without a word"
                )),
                false => Ok(()),
            }
        }
        (_, Ok(_)) => Err(format!("cut after {at} bytes it is a wrong success")),
        (_, Err(_)) if grammar::differs(&full.events, &cut.events).is_some() => {
            let other = grammar::differs(&full.events, &cut.events);
            Err(format!(
                "cut after {at} bytes its events are others: {other:?}"
            ))
        }
        (Ok(_), Err(error)) if error.kind() != ErrorKind::Truncated => {
            Err(format!("cut after {at} bytes: {error}"))
        }
        _ => Ok(()),
    }
}

fn same(a: &Outcome, b: &Outcome, how: &str) -> Result<(), String> {
    if a.events != b.events {
        return Err(format!("{how} the events are others"));
    }
    match (&a.result, &b.result) {
        (Ok(a), Ok(b)) => {
            let said = (&a.choices, &a.usage, &a.warnings) == (&b.choices, &b.usage, &b.warnings);
            let same = said
                && (&a.id, &a.model, &a.provider_metadata)
                    == (&b.id, &b.model, &b.provider_metadata);
            same.then_some(())
                .ok_or(format!("{how} the response is another"))
        }
        (Err(a), Err(b))
            if (a.kind(), a.message(), a.body()) == (b.kind(), b.message(), b.body()) =>
        {
            Ok(())
        }
        (a, b) => Err(format!("{how} {b:?} came instead of {a:?}")),
    }
}
