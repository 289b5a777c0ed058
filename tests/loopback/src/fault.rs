//! Faults on request: their names, and which one a call gets.
//!
//! The grammar, as a header `x-loopback-fault: SPEC`, a model `fault-SPEC`, or a model `NAME~SPEC`:
//!
//! ```text
//! SPEC  = CALL { "," CALL } [ "@" KEY ]     one CALL for each call with this SPEC in turn; the last one repeats
//! CALL  = FAULT { "+" FAULT }               all of them in the same call; "ok" is none
//! ```
//!
//! `@KEY` only makes the SPEC different, so that two tests on one server count separately.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The faults of one call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// Respond with this status and the API's error body.
    pub(crate) status: Option<u16>,
    /// Replace the body.
    pub(crate) body: Option<Body>,
    /// Added to the response headers; a header of the same name is replaced.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Stop after this many events.
    pub(crate) stop: Option<(usize, Stop)>,
    /// Stop inside the body after this many bytes, with broken framing.
    pub(crate) cut_at: Option<usize>,
    /// Stop inside the response headers.
    pub(crate) head: Option<Head>,
    /// How the end of the body is announced.
    pub(crate) framing: Option<Framing>,
    /// Wait before the headers.
    pub(crate) delay: Duration,
    /// Write the body in chunks of this size, at this interval.
    pub(crate) pieces: Option<(usize, Duration)>,
    /// Respond in HTTP/1.0.
    pub(crate) old: bool,
    /// A trailer after the last chunk.
    pub(crate) trailers: bool,
    /// Interim responses before the real one.
    pub(crate) interim: bool,
    /// An unrequested second response after the body.
    pub(crate) extra: bool,
    /// Announce keep-alive, then close.
    pub(crate) close_after: bool,
    /// Add the end marker of the API, or omit it where the API has one.
    pub(crate) done: Option<bool>,
    /// Reasoning is inside the content, in tags.
    pub(crate) think_tags: bool,
    /// CRLF line ends.
    pub(crate) crlf: bool,
    /// A byte order mark at the beginning.
    pub(crate) bom: bool,
    /// A comment before every event.
    pub(crate) comments: bool,
    /// Flip one bit of this event.
    pub(crate) corrupt_at: Option<usize>,
    /// The error code.
    pub(crate) code: Option<String>,
}

impl Faults {
    /// Whether the status says that the call was not processed.
    pub(crate) fn is_refused(&self) -> bool {
        self.status
            .is_some_and(|status| (400..500).contains(&status) && status != 408)
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Body {
    Html,
    Empty,
    Half,
    Garbage(usize),
    Error,
    EchoAuth,
    Overflow,
    LiteLlmOverflow,
    ErrorAsEvent,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stop {
    Clean,
    Reset,
    Stall,
    Pings,
    Error,
    EndlessLine,
    EndlessEvents,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Head {
    Stall,
    None,
    Half,
    Bad,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Framing {
    Close,
    TooLong,
    TooShort,
}

/// A parsed SPEC: the faults of successive calls.
#[derive(Clone, Debug)]
pub(crate) struct Spec(Vec<Faults>);

impl Spec {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.split('@').next().unwrap_or_default();
        let mut calls = Vec::new();
        for call in text.split(',') {
            let mut faults = Faults::default();
            let mut flaky = None;
            for name in call.split('+').map(str::trim) {
                match name
                    .strip_prefix("flaky-")
                    .and_then(|n| n.parse::<usize>().ok())
                {
                    Some(n) => flaky = Some(n.min(1000)),
                    None => faults
                        .add(name)
                        .ok_or_else(|| format!("unknown fault '{name}'"))?,
                }
            }
            match flaky {
                Some(n) => {
                    let failing = |nth| Faults {
                        status: Some(if nth % 2 == 0 { 503 } else { 429 }),
                        ..faults.clone()
                    };
                    calls.extend((0..n).map(failing));
                    calls.push(Faults::default());
                }
                None => calls.push(faults),
            }
        }
        Ok(Self(calls))
    }

    /// The faults of the `nth` call with this spec, counted from zero.
    fn nth(&self, nth: usize) -> Faults {
        self.0
            .get(nth)
            .or(self.0.last())
            .cloned()
            .unwrap_or_default()
    }
}

impl Faults {
    fn add(&mut self, name: &str) -> Option<()> {
        if let Some((name, value)) = name.split_once('=') {
            match name {
                "retry-after" => self.headers.push(("retry-after", value.to_owned())),
                "retry-after-ms" => self.headers.push(("retry-after-ms", value.to_owned())),
                "should-retry" => self.headers.push(("x-should-retry", value.to_owned())),
                "ctype" => self.headers.push(("content-type", value.to_owned())),
                "encoding" => self.headers.push(("content-encoding", value.to_owned())),
                "code" => self.code = Some(value.to_owned()),
                "delay" => self.delay = Duration::from_millis(value.parse().ok()?),
                _ => return None,
            }
            return Some(());
        }
        match name {
            "ok" => {}
            "context-overflow" => self.body = Some(Body::Overflow),
            "litellm-overflow" => {
                (self.status, self.body) = (Some(400), Some(Body::LiteLlmOverflow));
            }
            "error-as-event" => {
                (self.status, self.body) = (Some(500), Some(Body::ErrorAsEvent));
            }
            "html-502" => (self.status, self.body) = (Some(502), Some(Body::Html)),
            "html-200" => (self.status, self.body) = (Some(200), Some(Body::Html)),
            "half-json" => self.body = Some(Body::Half),
            "error-in-200" => self.body = Some(Body::Error),
            "echo-auth" => self.body = Some(Body::EchoAuth),
            "close-delimited" => self.framing = Some(Framing::Close),
            "http10" => (self.old, self.framing) = (true, Some(Framing::Close)),
            "trailers" => self.trailers = true,
            "both-lengths" => self.headers.push(("content-length", "1".to_owned())),
            "big-head" => self.headers.push(("x-filler", "a".repeat(200_000))),
            "wrong-length" => self.framing = Some(Framing::TooLong),
            "short-length" => self.framing = Some(Framing::TooShort),
            "extra-bytes" => self.extra = true,
            "close-after" => self.close_after = true,
            "1xx" => self.interim = true,
            "stall-head" => self.head = Some(Head::Stall),
            "no-head" => self.head = Some(Head::None),
            "half-head" => self.head = Some(Head::Half),
            "bad-head" => self.head = Some(Head::Bad),
            "ctype" => self.headers.push(("content-type", "text/plain".to_owned())),
            "done" => self.done = Some(true),
            "no-done" => self.done = Some(false),
            "hold-open-after-done" => {
                self.done = Some(true);
                self.stop = Some((usize::MAX, Stop::Stall));
            }
            "think-tags" => self.think_tags = true,
            "crlf" => self.crlf = true,
            "bom" => self.bom = true,
            "comments" => self.comments = true,
            "pings" => self.stop = Some((0, Stop::Pings)),
            "endless-line" => self.stop = Some((1, Stop::EndlessLine)),
            "endless-events" => self.stop = Some((1, Stop::EndlessEvents)),
            "drip" => self.pieces = Some((1, Duration::from_millis(1))),
            _ => self.add_numbered(name)?,
        }
        Some(())
    }

    fn add_numbered(&mut self, name: &str) -> Option<()> {
        let (name, number) = name.rsplit_once('-')?;
        if name == "garbage" {
            let kilo: usize = number.strip_suffix('k')?.parse().ok()?;
            self.body = Some(Body::Garbage(kilo.min(64_000) * 1000));
            return Some(());
        }
        let n: usize = number.parse().ok()?;
        let status = u16::try_from(n).ok().filter(|n| (200..=999).contains(n));
        match name {
            "status" => self.status = Some(status?),
            "empty" => (self.status, self.body) = (Some(status?), Some(Body::Empty)),
            "redirect" => {
                self.status = Some(status?);
                self.headers.push(("location", "/v1/elsewhere".to_owned()));
            }
            "cut-at" => self.cut_at = Some(n),
            "cut-clean-at" => self.stop = Some((n, Stop::Clean)),
            "reset-at" => self.stop = Some((n, Stop::Reset)),
            "stall-at" => self.stop = Some((n, Stop::Stall)),
            "corrupt-at" => self.corrupt_at = Some(n),
            "pings-at" => self.stop = Some((n, Stop::Pings)),
            "error-in-stream-at" => self.stop = Some((n, Stop::Error)),
            "drip" => self.pieces = Some((1, Duration::from_millis(n as u64))),
            "split-bytes" => self.pieces = Some((n.max(1), Duration::ZERO)),
            _ => return None,
        }
        Some(())
    }
}

/// Chooses the next fault: by name and count, or at random.
pub(crate) struct Chooser {
    turns: Mutex<HashMap<String, usize>>,
    random: Vec<Spec>,
    rate: f64,
    state: Mutex<u64>,
}

impl Chooser {
    pub(crate) fn new(rate: f64, seed: u64, set: &[String]) -> Result<Self, String> {
        let random = set
            .iter()
            .map(|spec| Spec::parse(spec))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            turns: Mutex::default(),
            random,
            rate,
            state: Mutex::new(seed),
        })
    }

    pub(crate) fn named(&self, text: &str) -> Result<Faults, String> {
        let spec = Spec::parse(text)?;
        if spec.0.len() == 1 {
            return Ok(spec.nth(0));
        }
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = turns.entry(text.to_owned()).or_default();
        let faults = spec.nth(*turn);
        *turn += 1;
        Ok(faults)
    }

    pub(crate) fn random(&self) -> Faults {
        if self.random.is_empty() || self.rate <= 0.0 {
            return Faults::default();
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let share = (split_mix(&mut state) >> 11) as f64 / (1u64 << 53) as f64;
        if share >= self.rate {
            return Faults::default();
        }
        let at = split_mix(&mut state) % self.random.len() as u64;
        self.random[at as usize].nth(0)
    }
}

/// The next number of a SplitMix64 sequence.
pub(crate) fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_used_in_order_and_its_last_fault_repeats() {
        let chooser = Chooser::new(0.0, 0, &[]).unwrap();
        let statuses: Vec<_> = (0..4)
            .map(|_| {
                chooser
                    .named("status-503,status-429+retry-after=2,ok")
                    .unwrap()
                    .status
            })
            .collect();
        assert_eq!(statuses, [Some(503), Some(429), None, None]);
    }

    #[test]
    fn flaky_counts_by_key() {
        let chooser = Chooser::new(0.0, 0, &[]).unwrap();
        for key in ["flaky-2", "flaky-2@other"] {
            let statuses: Vec<_> = (0..3).map(|_| chooser.named(key).unwrap().status).collect();
            assert_eq!(statuses, [Some(503), Some(429), None]);
        }
    }

    #[test]
    fn an_unknown_name_is_refused() {
        for spec in [
            "nonsense",
            "status-abc",
            "cut-at",
            "status-99",
            "",
            "retry=1",
        ] {
            assert!(Spec::parse(spec).is_err(), "{spec}");
        }
    }

    #[test]
    fn the_rate_is_kept_and_the_seed_repeats() {
        let set = ["status-500".to_owned(), "status-503".to_owned()];
        let draw = || {
            let chooser = Chooser::new(0.25, 7, &set).unwrap();
            (0..4000)
                .map(|_| chooser.random().status)
                .collect::<Vec<_>>()
        };
        let hits = draw().iter().flatten().count();
        assert!((900..1100).contains(&hits), "{hits}");
        assert_eq!(draw(), draw());
    }
}
