//! Checks that an exchange must pass with any API: any chunking, and any cut.

use super::{
    checks::{Tally, check_error, places, same},
    corpus::Recording,
    drive::{Arrival, Outcome, chat},
};
use std::sync::Arc;
use unifiedai::{
    ChatRequest, Error, ErrorKind, UnifiedChatResponse, provider::Provider, sans_io::Accumulator,
};

/// Compares a response with an independent decoder and returns the differences.
pub type Differences<'a> = &'a dyn Fn(&Result<UnifiedChatResponse, Error>) -> Vec<String>;

/// Compares an exchange with an independent decoder: complete, in chunks, split and cut.
pub fn check_recording(
    provider: &Arc<dyn Provider>,
    recording: &Recording,
    request: &ChatRequest,
    differences: Differences<'_>,
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
    let found = differences(&full.result);
    if !found.is_empty() {
        return Err(found.join("; "));
    }
    if full.result.is_err() {
        tally.errors += 1;
    }
    if recording.streaming {
        tally.streams += 1;
        folded(&full)?;
        for size in [1, 2, 3, 7, 64, 1000] {
            same(
                &full,
                &run(Arrival::Pieces(size)),
                &format!("in pieces of {size}"),
            )?;
            tally.splits += 1;
        }
    } else {
        tally.whole += 1;
        same(&full, &run(Arrival::Pieces(1)), "byte by byte")?;
    }
    let length = recording.body.trim_ascii_end().len();
    for at in places(&recording.body) {
        if recording.streaming {
            tally.splits += 1;
            same(
                &full,
                &run(Arrival::Split(at)),
                &format!("split after {at} bytes"),
            )?;
        }
        tally.cuts += 1;
        cut(
            &full,
            &run(Arrival::Cut(at)),
            recording.streaming,
            at < length,
        )
        .map_err(|what| format!("cut after {at} bytes {what}"))?;
    }
    Ok(tally)
}

/// Folding the events of a stream gives the response.
fn folded(full: &Outcome) -> Result<(), String> {
    let Ok(response) = &full.result else {
        return Ok(());
    };
    let mut accumulator = Accumulator::new();
    for event in &full.events {
        accumulator.apply(event);
    }
    let folded = accumulator.into_response();
    let equal = (&folded.id, &folded.choices, &folded.usage)
        == (&response.id, &response.choices, &response.usage);
    equal
        .then_some(())
        .ok_or_else(|| "its events add up to another response".to_owned())
}

fn cut(full: &Outcome, part: &Outcome, streaming: bool, shorter: bool) -> Result<(), String> {
    match (&part.result, &full.result) {
        (Ok(part), Ok(all)) if streaming && part.choices == all.choices => Ok(()),
        (Ok(_), Ok(_)) if !streaming && !shorter => Ok(()),
        (Ok(_), _) => Err("it is a wrong success".into()),
        (Err(_), _) if !full.events.starts_with(&part.events) => {
            Err("its events are others".into())
        }
        (Err(error), Ok(_)) if error.kind() != ErrorKind::Truncated => {
            Err(format!("it is {error}"))
        }
        (Err(error), Ok(all)) => {
            // A call that was complete stays complete.
            let calls: Vec<_> = all.tool_calls().collect();
            let partial = error
                .partial()
                .into_iter()
                .flat_map(UnifiedChatResponse::tool_calls);
            let known = partial.into_iter().all(|call| calls.contains(&call));
            known
                .then_some(())
                .ok_or_else(|| "it has a tool call that is not final".to_owned())
        }
        (Err(_), Err(_)) => Ok(()),
    }
}
