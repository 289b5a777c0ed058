//! Thousands of calls against providers that fail in every way, in a world with one clock and one seed.
//!
//! A world has concurrent calls that share limits, and a provider whose state changes: healthy, degraded, down, slow,
//! wrong headers. Time jumps. The invariants are checked at every step and at every end.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that goes wrong is to stop"
)]

mod manual_driver;

use bytes::Bytes;
use manual_driver::{DONE, JSON, SSE, WHOLE, delta, finish, head, named, preamble, request};
use std::{
    fmt::Write,
    sync::Arc,
    time::{Duration, SystemTime},
};
use unifiedai::{
    CallOptions, ErrorKind, StreamEvent,
    policy::{CircuitBreakerConfig, Fallback, FallbackTarget, ProviderLimits},
    sans_io::{CallStart, Exchange, Input, Step},
    transport::{RequestDelivery, Time, TransportError, TransportErrorKind},
};

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// The provider's inputs for a request, each after a delay.
type Script = std::collections::VecDeque<(Duration, Input)>;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Sound,
    BrownOut,
    Down,
    Dripping,
    Lying,
}

impl Mood {
    fn of(random: &mut Random) -> Mood {
        [
            Mood::Sound,
            Mood::BrownOut,
            Mood::Down,
            Mood::Dripping,
            Mood::Lying,
        ][random.below(5) as usize]
    }

    fn script(self, random: &mut Random, stream: bool) -> Script {
        match self {
            Mood::Sound => answer(stream, Duration::from_millis(random.below(500))),
            Mood::BrownOut if random.chance(50) => answer(stream, Duration::from_secs(1)),
            Mood::BrownOut | Mood::Down => failure(random, stream),
            Mood::Dripping => drip(random, stream),
            Mood::Lying => lies(random, stream),
        }
    }
}

fn body(text: impl Into<String>) -> Input {
    Input::Body(Bytes::from(text.into()))
}

fn answer(stream: bool, pace: Duration) -> Script {
    let parts: Vec<Input> = if stream {
        let head = Input::Headers(head(200, &[SSE]));
        let parts = [preamble(), delta("a"), delta("b"), finish(), DONE.into()];
        std::iter::once(head).chain(parts.map(body)).collect()
    } else {
        vec![Input::Headers(head(200, &[JSON])), body(WHOLE)]
    };
    let parts = parts.into_iter().chain([Input::BodyEnd]);
    parts.map(|input| (pace, input)).collect()
}

fn failure(random: &mut Random, stream: bool) -> Script {
    let soon = Duration::from_millis(random.below(2000));
    let broken =
        |kind, delivery| Input::TransportError(TransportError::new(kind, delivery, "broken"));
    let status = |status, headers: &[(&str, &str)]| {
        [
            (soon, Input::Headers(head(status, headers))),
            (soon, Input::BodyEnd),
        ]
        .into()
    };
    match random.below(9) {
        0 => [(
            soon,
            broken(TransportErrorKind::Connect, RequestDelivery::NotSent),
        )]
        .into(),
        1 => [(
            soon,
            broken(TransportErrorKind::Reset, RequestDelivery::NotSent),
        )]
        .into(),
        2 => [(
            soon,
            broken(TransportErrorKind::Reset, RequestDelivery::MaybeProcessed),
        )]
        .into(),
        3 => status(503, &[]),
        4 => status(429, &[("retry-after", "2")]),
        5 => status(500, &[("x-should-retry", "false")]),
        6 => Script::new(),
        7 => {
            let mut cut = answer(stream, soon);
            cut.truncate(random.below(cut.len() as u64) as usize);
            cut.push_back((
                soon,
                broken(TransportErrorKind::Truncated, RequestDelivery::Answered),
            ));
            if cut.len() == 1 {
                cut[0].1 = broken(TransportErrorKind::Reset, RequestDelivery::MaybeProcessed);
            }
            cut
        }
        _ => {
            let mut silent = answer(stream, soon);
            silent.truncate(1 + random.below(silent.len() as u64) as usize);
            silent
        }
    }
}

fn drip(random: &mut Random, stream: bool) -> Script {
    let pace = Duration::from_secs(random.below(80));
    let whole = answer(stream, pace);
    let mut bytes = Script::new();
    for (wait, input) in whole {
        match input {
            Input::Body(text) if random.chance(30) => {
                bytes.extend(
                    text.chunks(20)
                        .map(|piece| (wait, Input::Body(Bytes::copy_from_slice(piece)))),
                );
            }
            input => bytes.push_back((wait, input)),
        }
        if stream && !bytes.is_empty() {
            let pings = random.below(10);
            for _ in 0..pings {
                if matches!(bytes.back(), Some((_, Input::Body(text))) if text.ends_with(b"\n\n")) {
                    bytes.push_back((Duration::from_secs(20), body(": ping\n\n")));
                }
            }
        }
    }
    bytes
}

fn lies(random: &mut Random, stream: bool) -> Script {
    let headers = [
        (
            "retry-after",
            ["inf", "-1", "1e400", "86400", "NaN", "0"][random.below(6) as usize],
        ),
        ("x-ratelimit-remaining-requests", "0"),
        (
            "x-ratelimit-reset-requests",
            ["59s", "1e300", "20ms", "x"][random.below(4) as usize],
        ),
        ("content-length", "3"),
        if random.chance(50) { JSON } else { SSE },
    ];
    let status = [200, 200, 200, 429, 503][random.below(5) as usize];
    let mut script = answer(stream, Duration::from_millis(10));
    script[0].1 = Input::Headers(head(status, &headers));
    script
}

/// One call, and what the test records of it.
struct Caller {
    exchange: Exchange,
    began: Time,
    next: Time,
    script: Script,
    wakes: Option<Time>,
    text: String,
    attempts: u32,
    visible: bool,
    total: Option<Duration>,
    leaves_at: Option<Time>,
    replays: u32,
}

struct World {
    random: Random,
    now: Time,
    mood: Mood,
    mood_until: Time,
    guards: [Arc<ProviderLimits>; 2],
    trace: String,
    successes: u32,
    calls: u32,
    retries_paid: u32,
}

const MAX_RETRIES: u32 = 2;
const MAX_FREE_RETRIES: u32 = 2;

impl World {
    fn new(seed: u64) -> World {
        let guard = |seed: u64| {
            let mut guard = ProviderLimits::new();
            if seed & 1 == 1 {
                guard = guard.circuit_breaker(CircuitBreakerConfig::default());
            }
            if seed & 2 == 2 {
                guard = guard.requests_per_minute(120).honor_rate_limit_headers();
            }
            Arc::new(guard)
        };
        World {
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            now: Time::ZERO,
            mood: Mood::Sound,
            mood_until: Time::ZERO,
            guards: [guard(seed), guard(seed >> 2)],
            trace: String::new(),
            successes: 0,
            calls: 0,
            retries_paid: 0,
        }
    }

    fn caller(&mut self) -> Caller {
        let random = &mut self.random;
        let stream = random.chance(60);
        let mut options = CallOptions::default();
        options.retry.retry_ambiguous = random.chance(30);
        options.timeouts.total = random
            .chance(50)
            .then(|| Duration::from_secs(random.below(100)));
        options.timeouts.first_token = random.chance(20).then(|| Duration::from_secs(5));
        let total = options.timeouts.total;
        let start = CallStart::new(
            self.now,
            SystemTime::UNIX_EPOCH + manual_driver::WALL,
            random.next(),
        );
        let request = Arc::new(request(stream));
        let one = FallbackTarget::new(named("one"), "m1").limits(self.guards[0].clone());
        let mut fallback = Fallback::new(one);
        if random.chance(40) {
            fallback = fallback
                .then(FallbackTarget::new(named("two"), "m2").limits(self.guards[1].clone()));
        }
        let exchange =
            Exchange::with_fallback(fallback, request, Arc::new(options), start).unwrap();
        self.calls += 1;
        Caller {
            exchange,
            began: self.now,
            next: self.now,
            script: Script::new(),
            wakes: None,
            text: String::new(),
            attempts: 0,
            visible: false,
            total,
            leaves_at: random.chance(10).then(|| {
                self.now
                    .saturating_add(Duration::from_secs(random.below(30)))
            }),
            replays: 0,
        }
    }

    /// Lets one call act at `self.now`. Returns `false` once it has ended.
    fn act(&mut self, caller: &mut Caller) -> bool {
        if caller.leaves_at.is_some_and(|at| at <= self.now) {
            let _ = writeln!(self.trace, "{:?} leaves", self.now);
            return false;
        }
        if let Some((at, _)) = caller.script.front().map(|(wait, _)| (caller.next, wait)) {
            if at <= self.now {
                let (_, input) = caller.script.pop_front().unwrap();
                if let Input::TransportError(error) = &input {
                    caller.replays += u32::from(
                        error.delivery() == RequestDelivery::NotSent
                            && error.kind() == TransportErrorKind::Reset,
                    );
                }
                caller.exchange.handle(input, self.now);
                self.schedule(caller);
            }
        }
        loop {
            match caller.exchange.poll(self.now) {
                Step::Send {
                    request,
                    deadlines: limits,
                } => {
                    self.check_send(caller, limits.total);
                    let target = request.uri().host().unwrap().to_owned();
                    let _ = writeln!(self.trace, "{:?} send {target}", self.now);
                    let stream = request.headers()["accept"] == "text/event-stream";
                    caller.script = self.mood.script(&mut self.random, stream);
                    self.schedule(caller);
                }
                Step::Receive { deadline } => {
                    assert!(
                        deadline > self.now,
                        "a deadline that has passed was not noticed"
                    );
                    caller.wakes = Some(deadline);
                    return true;
                }
                Step::Sleep { until } => {
                    assert!(until > self.now, "sleeps into the past");
                    if let Some(total) = caller.total {
                        assert!(
                            until < caller.began.saturating_add(total),
                            "sleeps beyond the end"
                        );
                    }
                    assert!(
                        until.saturating_since(self.now) <= Duration::from_secs(80),
                        "sleeps for {:?}",
                        until.saturating_since(self.now)
                    );
                    caller.script.clear();
                    caller.wakes = Some(until);
                    return true;
                }
                Step::Event(event) => {
                    caller.visible |= event.is_visible();
                    if let StreamEvent::TextDelta { text, .. } = &event {
                        caller.text.push_str(text);
                    }
                }
                Step::Done => return false,
                step => panic!("{step:?}"),
            }
        }
    }

    fn schedule(&mut self, caller: &mut Caller) {
        if let Some((wait, _)) = caller.script.front() {
            caller.next = self.now.saturating_add(*wait);
        }
    }

    fn check_send(&mut self, caller: &mut Caller, limit: Time) {
        caller.attempts += 1;
        assert!(!caller.visible, "sent again after visible output");
        assert!(
            caller.attempts <= 1 + MAX_RETRIES + 2 * MAX_FREE_RETRIES + 1,
            "{} attempts",
            caller.attempts
        );
        if let Some(total) = caller.total {
            let end = caller.began.saturating_add(total);
            assert!(self.now < end, "an attempt began after the deadline");
            assert_eq!(limit, end);
        }
    }

    fn check_end(&mut self, caller: Caller) {
        let (text, visible) = (caller.text, caller.visible);
        let (attempts, replays) = (caller.attempts, caller.replays);
        match caller.exchange.into_result() {
            Ok(response) => {
                self.successes += 1;
                assert!(
                    ["ab", "hello"].contains(&&*response.text()),
                    "a wrong answer"
                );
                assert!(text.is_empty() || text == response.text());
                let log = &response.metrics.attempts;
                assert_eq!(log.len() as u32, attempts);
                assert!(log.last().unwrap().error.is_none());
                assert!(
                    log.iter()
                        .rev()
                        .skip(1)
                        .all(|attempt| attempt.error.is_some())
                );
                let _ = writeln!(self.trace, "{:?} ok after {attempts}", self.now);
            }
            Err(error) => {
                assert_ne!(error.kind(), ErrorKind::Misuse, "{error}");
                assert_eq!(error.attempts().len() as u32, attempts, "{error:?}");
                assert_eq!(visible, !text.is_empty());
                if let Some(partial) = error.partial() {
                    assert!("abhello".contains(&*partial.text()));
                }
                let _ = writeln!(self.trace, "{:?} {error} after {attempts}", self.now);
            }
        }
        let paid = attempts.saturating_sub(1 + replays);
        self.retries_paid += paid;
    }

    fn run(mut self) -> (String, u32, u32) {
        let mut callers: Vec<Caller> = Vec::new();
        let wanted = 1 + self.random.below(60) as u32;
        let burst = self.random.chance(50);
        while self.calls < wanted || !callers.is_empty() {
            if self.now >= self.mood_until {
                self.mood = Mood::of(&mut self.random);
                let lasts = Duration::from_secs(1 + self.random.below(120));
                self.mood_until = self.now.saturating_add(lasts);
                let _ = writeln!(self.trace, "{:?} {:?}", self.now, self.mood);
            }
            if self.calls < wanted && (burst || callers.is_empty() || self.random.chance(20)) {
                let caller = self.caller();
                callers.push(caller);
            }
            let mut going = Vec::new();
            for mut caller in callers {
                if self.act(&mut caller) {
                    going.push(caller);
                } else if caller.leaves_at.is_none_or(|at| at > self.now) {
                    self.check_end(caller);
                }
            }
            callers = going;
            self.check_guards(&callers);
            self.advance(&callers);
        }
        for guard in &self.guards {
            assert_eq!(guard.in_flight(), 0, "a permit was lost");
        }
        (self.trace, self.calls, self.successes)
    }

    fn check_guards(&self, callers: &[Caller]) {
        let in_flight: usize = self.guards.iter().map(|guard| guard.in_flight()).sum();
        assert!(in_flight <= callers.len(), "more permits than calls");
        assert!(self.guards.iter().all(|guard| guard.retry_budget() <= 100));
        // A retry costs at least five; a fallback costs nothing, and happens once a call.
        let burst = 2 * (100 / 5);
        assert!(self.retries_paid <= self.calls + self.successes / 5 + burst);
    }

    /// Advances to the next event, and sometimes far beyond it or back.
    fn advance(&mut self, callers: &[Caller]) {
        let next = callers.iter().flat_map(|caller| {
            let script = (!caller.script.is_empty()).then_some(caller.next);
            [caller.wakes, script, caller.leaves_at]
        });
        let next = next.flatten().filter(|at| *at > self.now).min();
        let step = self.now.saturating_add(Duration::from_millis(1));
        self.now = next.unwrap_or(step).max(step);
        if self.random.chance(1) {
            self.now = self
                .now
                .saturating_add(Duration::from_secs(self.random.below(4000)));
            let _ = writeln!(self.trace, "{:?} clock jump", self.now);
        }
    }
}

const WORLDS: u64 = 2000;

// F54, F55, F56, F61, F64, F70, F115: the invariants, in thousands of worlds.
#[test]
fn the_promises_hold_in_every_world() {
    let (mut calls, mut successes) = (0, 0);
    for seed in 0..WORLDS {
        let (_, some_calls, some_successes) = World::new(seed).run();
        calls += some_calls;
        successes += some_successes;
    }
    println!("{WORLDS} worlds, {calls} calls, {successes} of them answered");
    assert!(successes * 10 > calls * 3, "{successes} of {calls}");
    assert!(
        successes * 10 < calls * 9,
        "too easy: {successes} of {calls}"
    );
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..100 {
        let (one, ..) = World::new(seed).run();
        let (two, ..) = World::new(seed).run();
        assert_eq!(one, two, "seed {seed}");
    }
    assert_ne!(World::new(1).run().0, World::new(2).run().0);
}

// F56: all callers call while the provider is down.
#[test]
fn an_outage_is_not_made_worse() {
    let guard = Arc::new(ProviderLimits::new());
    let (mut attempts, mut now) = (0_u32, Time::ZERO);
    const CALLS: u32 = 1000;
    for seed in 0..u64::from(CALLS) {
        let start = CallStart::new(now, SystemTime::UNIX_EPOCH, seed);
        let exchange = Exchange::new(
            named("one"),
            Arc::new(request(false)),
            Arc::default(),
            start,
        );
        let mut exchange = exchange.unwrap().with_provider_limits(guard.clone());
        loop {
            match exchange.poll(now) {
                Step::Send { .. } => {
                    attempts += 1;
                    exchange.handle(Input::Headers(head(503, &[])), now);
                    exchange.handle(Input::BodyEnd, now);
                }
                Step::Sleep { until } => now = until,
                _ => break,
            }
        }
    }
    assert!(
        attempts <= CALLS + 10,
        "{attempts} attempts for {CALLS} calls"
    );
}
