//! Checks that every recorded exchange must pass.

use super::{
    corpus::Recording,
    drive::{Answer, Arrival, Outcome, chat},
    reference_decoder::{self, Reading},
};
use std::sync::Arc;
use unifiedai::{ChatRequest, Error, ErrorKind, UnifiedChatResponse, provider::Provider};

/// The checks that ran on a recording.
#[derive(Debug, Default)]
pub struct Tally {
    pub whole: usize,
    pub streams: usize,
    pub errors: usize,
    pub splits: usize,
    pub cuts: usize,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.whole += other.whole;
        self.streams += other.streams;
        self.errors += other.errors;
        self.splits += other.splits;
        self.cuts += other.cuts;
    }
}

impl Recording {
    pub fn answer(&self) -> Answer {
        Answer {
            status: self.status,
            headers: self.headers.clone(),
            body: self.body.clone().into(),
        }
    }

    pub fn chat_request(&self) -> ChatRequest {
        let request = ChatRequest::new(self.model()).user("as recorded");
        request
            .n(self.n())
            .stream(self.streaming)
            .drop_unsupported()
    }

    pub fn reading(&self) -> Reading {
        let is_json = self.body.trim_ascii_start().starts_with(b"{");
        if is_json {
            reference_decoder::whole(&self.body)
        } else {
            reference_decoder::stream(&self.body)
        }
    }
}

/// Compares an OpenAI chat exchange with the independent decoder; see [`check_against`].
pub fn check(provider: &Arc<dyn Provider>, recording: &Recording) -> Result<Tally, String> {
    let request = recording.chat_request();
    check_against(provider, recording, &request, Calls::EndLast, |result| {
        let reading = recording.reading();
        match (result, &reading.error) {
            (Ok(response), None) => Ok(reference_decoder::differences(response, &reading)),
            (Err(error), Some(_)) if error.status() == Some(200) => Ok(Vec::new()),
            (result, error) => Err(format!("{result:?} where the body has {error:?}")),
        }
    })
}

/// When the tool calls of a stream are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// At the end of the stream: the API does not mark the end of each call.
    EndLast,
    /// One by one: the API marks the end of each call.
    EndEach,
}

/// Compares an exchange with an independent decoder: complete, in chunks, split and cut. `compare` returns the
/// differences for a response with status 200.
pub fn check_against(
    provider: &Arc<dyn Provider>,
    recording: &Recording,
    request: &ChatRequest,
    calls: Calls,
    compare: impl Fn(&Result<UnifiedChatResponse, Error>) -> Result<Vec<String>, String>,
) -> Result<Tally, String> {
    let answer = recording.answer();
    let run = |arrival| chat(provider, request, &answer, arrival);
    let mut tally = Tally::default();
    let full = run(Arrival::Whole);
    if recording.status >= 400 {
        let error = full.result.err().ok_or("an error came out as a success")?;
        tally.errors += 1;
        return check_error(recording, &error).map(|()| tally);
    }
    let found = compare(&full.result)?;
    if !found.is_empty() {
        return Err(found.join("; "));
    }
    tally.errors += usize::from(full.result.is_err());
    if recording.streaming {
        tally.streams += 1;
        check_chunking(recording, &full, &run, &mut tally)?;
        check_cuts(recording, &full, calls, &run, &mut tally)?;
    } else {
        tally.whole += 1;
        same(&full, &run(Arrival::Pieces(1)), "byte by byte")?;
        for at in places(&recording.body) {
            tally.cuts += 1;
            let cut = run(Arrival::Cut(at));
            if at < recording.body.trim_ascii_end().len() && cut.result.is_ok() {
                return Err(format!("cut after {at} bytes it is a success"));
            }
        }
    }
    Ok(tally)
}

pub fn check_error(recording: &Recording, error: &Error) -> Result<(), String> {
    if error.status() != Some(recording.status) {
        return Err(format!("the status became {:?}", error.status()));
    }
    if error.body() != recording.body {
        return Err("the body was not kept".into());
    }
    if recording.body.is_empty() {
        return Ok(());
    }
    let json: serde_json::Value = serde_json::from_slice(&recording.body).unwrap_or_default();
    let inner = [&json["error"], &json["message"], &json, &json[0]["error"]];
    let words = inner.iter().find_map(|value| {
        [&value["message"], &value["detail"], *value]
            .into_iter()
            .find_map(|text| text.as_str())
    });
    match words {
        Some(words) if !error.message().contains(words) => {
            Err(format!("{:?} does not say {words:?}", error.message()))
        }
        _ => Ok(()),
    }
}

fn check_chunking(
    recording: &Recording,
    full: &Outcome,
    run: &impl Fn(Arrival) -> Outcome,
    tally: &mut Tally,
) -> Result<(), String> {
    for size in [1, 3, 64, 1000] {
        same(
            full,
            &run(Arrival::Pieces(size)),
            &format!("in pieces of {size}"),
        )?;
        tally.splits += 1;
    }
    for at in places(&recording.body) {
        same(
            full,
            &run(Arrival::Split(at)),
            &format!("split after {at} bytes"),
        )?;
        tally.splits += 1;
    }
    Ok(())
}

fn check_cuts(
    recording: &Recording,
    full: &Outcome,
    calls: Calls,
    run: &impl Fn(Arrival) -> Outcome,
    tally: &mut Tally,
) -> Result<(), String> {
    for at in places(&recording.body) {
        tally.cuts += 1;
        let cut = run(Arrival::Cut(at));
        match (&cut.result, &full.result) {
            (Ok(part), Ok(all)) if part.choices == all.choices => {}
            (Ok(_), _) => return Err(format!("cut after {at} bytes it is a wrong success")),
            (Err(error), _) => {
                if !full.events.starts_with(&cut.events) {
                    return Err(format!("cut after {at} bytes its events are others"));
                }
                let expected = matches!(error.kind(), ErrorKind::Truncated);
                if !expected && full.result.is_ok() {
                    return Err(format!("cut after {at} bytes: {error}"));
                }
                let ended: Vec<_> = error
                    .partial()
                    .into_iter()
                    .flat_map(UnifiedChatResponse::tool_calls)
                    .collect();
                let Ok(all) = &full.result else {
                    continue;
                };
                if calls == Calls::EndLast && !ended.is_empty() {
                    return Err(format!("cut after {at} bytes a tool call is final"));
                }
                if !all.tool_calls().zip(&ended).all(|(a, b)| a == *b) {
                    return Err(format!("cut after {at} bytes a tool call is another"));
                }
            }
        }
    }
    Ok(())
}

/// With `UNIFIEDAI_CUTS=all` every position in a body; else those at its ends, around its line ends, and some
/// between.
pub fn places(body: &[u8]) -> Vec<usize> {
    let all = std::env::var_os("UNIFIEDAI_CUTS").is_some_and(|wanted| wanted == "all");
    let some = if body.len() < 4000 { 7 } else { 211 };
    let chosen = |at: &usize| {
        let around = &body[at.saturating_sub(1)..(at + 2).min(body.len())];
        let line_end = around.contains(&b'\n') && (body.len() < 20_000 || at % 5 == 0);
        all || *at < 40 || at + 200 > body.len() || at % some == 0 || line_end
    };
    (0..body.len()).filter(chosen).collect()
}

pub fn same(a: &Outcome, b: &Outcome, how: &str) -> Result<(), String> {
    if a.events != b.events {
        return Err(format!("{how} the events are others"));
    }
    match (&a.result, &b.result) {
        (Ok(a), Ok(b)) => {
            let (mut a, mut b) = (a.clone(), b.clone());
            a.metrics = b.metrics.clone();
            for response in [&mut a, &mut b] {
                response.metrics.attempts.clear();
            }
            if a != b {
                return Err(format!("{how} the response is another"));
            }
        }
        (Err(a), Err(b)) if a.kind() == b.kind() && a.message() == b.message() => {}
        (a, b) => return Err(format!("{how} {b:?} came instead of {a:?}")),
    }
    Ok(())
}
