//! 10,000 hours with one source, whose tokens live for random times and which often fails.

use super::{fake::credentials, manual_driver::*};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use unifiedai::{
    provider::{Auth, OpenAiChat, Provider},
    sans_io::{CallStart, Exchange, Input, Step},
    transport::{RequestDelivery, Time, TransportError, TransportErrorKind},
};

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

const MILLIS: fn(u64) -> Duration = Duration::from_millis;

struct Running {
    exchange: Exchange,
    /// When the machine is to be polled again, and what arrives then.
    due: Time,
    input: Option<Input>,
    is_fetching: bool,
}

#[derive(Default)]
struct World {
    /// Begin and lifetime of each token.
    tokens: Vec<(Time, Duration)>,
    fetches: Vec<Time>,
    sent: usize,
    failed: usize,
}

#[test]
fn in_10_000_hours_no_call_goes_out_with_an_expired_token_and_the_source_is_asked_by_its_rule() {
    let mut random = Random(42);
    let source = credentials("https://auth.test");
    let auth = Auth::Bearer(source.into());
    let provider = OpenAiChat::custom("https://llm.test/v1").auth(auth);
    let provider: Arc<dyn Provider> = Arc::new(provider.build().unwrap());
    let wall = SystemTime::UNIX_EPOCH + WALL;
    let mut world = World::default();
    let mut now = Time::ZERO;
    let end = Time::ZERO.saturating_add(Duration::from_secs(10_000 * 3600));
    while now < end {
        // Some calls at about the same time, then a pause.
        let mut calls: Vec<Running> = (0..=random.below(6))
            .map(|_| {
                let begin = now.saturating_add(MILLIS(random.below(200)));
                let wall = wall + begin.saturating_since(Time::ZERO);
                let start = CallStart::new(begin, wall, random.below(u64::MAX));
                let exchange = Exchange::new(
                    provider.clone(),
                    Arc::new(request(false)),
                    Arc::new(once()),
                    start,
                );
                Running {
                    exchange: exchange.unwrap(),
                    due: begin,
                    input: None,
                    is_fetching: false,
                }
            })
            .collect();
        while let Some(next) = (0..calls.len()).min_by_key(|at| calls[*at].due) {
            now = now.max(calls[next].due);
            if random.below(200) == 0 {
                // Dropped, wherever it is.
                calls.swap_remove(next);
                continue;
            }
            if step(&mut calls[next], now, &mut random, &mut world) {
                calls.swap_remove(next);
            }
        }
        now = now.saturating_add(MILLIS(random.below(2_400_000)));
    }
    assert!(world.sent > 50_000, "{} calls", world.sent);
    assert!(world.failed > 100, "{} failures", world.failed);
    assert!(world.tokens.len() > 1000);
    // Each fetch that was not an answer to a failure or to a dropped call follows a token that was due.
    assert!(world.fetches.len() < world.tokens.len() * 2);
}

/// Whether the call is over.
fn step(call: &mut Running, now: Time, random: &mut Random, world: &mut World) -> bool {
    if let Some(input) = call.input.take() {
        call.exchange.handle(input, now);
    }
    loop {
        match call.exchange.poll(now) {
            Step::Send { request, .. } => {
                call.is_fetching = request.uri().host() == Some("auth.test");
                if !call.is_fetching {
                    check(&request, now, world);
                } else {
                    world.fetches.push(now);
                    at_most_one_flight(world, now);
                }
                call.due = now.saturating_add(MILLIS(20 + random.below(300)));
                call.input = Some(match random.below(12) {
                    0 => Input::TransportError(TransportError::new(
                        TransportErrorKind::Reset,
                        RequestDelivery::MaybeProcessed,
                        "broken",
                    )),
                    1 if call.is_fetching => Input::Headers(head(503, &[])),
                    2 if call.is_fetching => Input::Headers(head(403, &[])),
                    _ => Input::Headers(head(200, &[JSON])),
                });
                return false;
            }
            Step::Receive { .. } => {
                if call.is_fetching {
                    let lifetime = Duration::from_secs(20 + random.below(7200));
                    // The lifetime counts from the request, which was sent at least 20 ms ago.
                    let begin = *world.fetches.last().unwrap();
                    world.tokens.push((begin, lifetime));
                    let text = format!("t{} {}", world.tokens.len() - 1, lifetime.as_secs());
                    call.exchange.handle(Input::Body(text.into()), now);
                } else {
                    call.exchange.handle(Input::Body(WHOLE.into()), now);
                }
                call.exchange.handle(Input::BodyEnd, now);
            }
            Step::Sleep { until } => {
                assert!(until > now);
                call.due = until;
                return false;
            }
            Step::Event(_) => {}
            Step::Done => {
                let exchange = std::mem::replace(
                    &mut call.exchange,
                    Exchange::new(
                        cerebras(),
                        Arc::new(request(false)),
                        Arc::new(once()),
                        start(1),
                    )
                    .unwrap(),
                );
                world.failed += usize::from(exchange.into_result().is_err());
                return true;
            }
            step => panic!("{step:?}"),
        }
    }
}

fn check(request: &http::Request<bytes::Bytes>, now: Time, world: &mut World) {
    let bearer = request.headers()["authorization"].to_str().unwrap();
    let number: usize = bearer.strip_prefix("Bearer t").unwrap().parse().unwrap();
    let (begin, lifetime) = world.tokens[number];
    let age = now.saturating_since(begin);
    assert!(
        age < lifetime,
        "token {number} is {age:?} old and lives {lifetime:?}"
    );
    world.sent += 1;
}

/// At most three tries of one fetch, some seconds apart from the next fetch that failed before; never a burst.
fn at_most_one_flight(world: &World, now: Time) {
    let recent = world.fetches.iter().rev().take(64);
    let recent = recent.filter(|at| now.saturating_since(**at) < Duration::from_secs(1));
    assert!(recent.count() <= 12, "a burst of fetches at {now:?}");
}
