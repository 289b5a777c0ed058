use http::Request;
use std::time::Duration;
use unifiedai::{
    StreamEvent,
    transport::{RequestBody, Time},
};
use wasm_bindgen::prelude::wasm_bindgen;

/// What to do next, as JavaScript reads it.
#[derive(Default)]
#[wasm_bindgen(getter_with_clone)]
pub struct Step {
    /// `send`, `receive`, `sleep`, `text`, `reasoning` or `done`.
    pub kind: String,
    /// `receive`: how long at most. `sleep`: how long.
    pub until: f64,
    /// `text`, `reasoning`: the next piece.
    pub text: String,
    /// `send`: where to.
    pub url: String,
    /// `send`: a name, a value, a name, a value.
    pub headers: Vec<String>,
    /// `send`: what.
    pub body: Vec<u8>,
}

impl Step {
    fn of(kind: &str) -> Self {
        Step {
            kind: kind.to_owned(),
            ..Step::default()
        }
    }

    /// `None` for events that are not shown.
    pub(crate) fn from_core(step: unifiedai::sans_io::Step) -> Option<Self> {
        Some(match step {
            unifiedai::sans_io::Step::Send { request, .. } => Step::send(&request)?,
            unifiedai::sans_io::Step::Receive { deadline } => Step {
                until: milliseconds(deadline),
                ..Step::of("receive")
            },
            unifiedai::sans_io::Step::Sleep { until } => Step {
                until: milliseconds(until),
                ..Step::of("sleep")
            },
            unifiedai::sans_io::Step::Event(StreamEvent::TextDelta { text, .. }) => Step {
                text,
                ..Step::of("text")
            },
            unifiedai::sans_io::Step::Event(StreamEvent::ReasoningDelta { text, .. }) => Step {
                text,
                ..Step::of("reasoning")
            },
            unifiedai::sans_io::Step::Done => Step::of("done"),
            _ => return None,
        })
    }

    /// `None` for a streamed body: a chat has none, and `fetch` sends bytes.
    fn send(request: &Request<RequestBody>) -> Option<Self> {
        // All that the core makes are text: a key of other bytes was refused.
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            let value = value.to_str().unwrap_or_default();
            [name.to_string(), value.to_owned()]
        };
        let body = request.body().as_bytes()?;
        Some(Step {
            url: request.uri().to_string(),
            headers: request.headers().iter().flat_map(header).collect(),
            body: body.to_vec(),
            ..Step::of("send")
        })
    }
}

/// A moment of `performance.now()`.
pub(crate) fn time(milliseconds: f64) -> Time {
    let seconds = Duration::try_from_secs_f64(milliseconds.max(0.0) / 1e3);
    Time::ZERO.saturating_add(seconds.unwrap_or(Duration::MAX))
}

fn milliseconds(time: Time) -> f64 {
    Duration::from_nanos(time.as_nanos()).as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_the_border() {
        for nanos in [0, 1_000, 1_234_567_000, 86_400_000_000_000] {
            let there = milliseconds(Time::from_nanos(nanos));
            let back = time(there).as_nanos();
            assert!(back.abs_diff(nanos) <= 1, "{nanos} came back as {back}");
        }
        assert_eq!(time(milliseconds(Time::MAX)), Time::MAX);
        assert_eq!(time(f64::NAN), Time::ZERO);
    }
}
