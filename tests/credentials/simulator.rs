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
    number: usize,
    exchange: Exchange,
    /// When the machine is to be polled again, and what arrives then.
    due: Time,
    input: Option<Input>,
    is_fetching: bool,
    /// The number of the token of its last request, and the status that the provider will send.
    token: usize,
    status: u16,
    is_renewed: bool,
}

/// Begin, lifetime, and time of arrival of a token.
type Issued = (Time, Duration, Time);

/// The rule by which a source may be asked, kept apart from the code that is tested.
#[derive(Default)]
struct Rule {
    /// The call that fetches, its number of requests, and the end of its last one.
    flight: Option<(usize, usize, Time)>,
    /// The token that is in use, and its number.
    held: Option<(Issued, usize)>,
    /// The time of the last failure, and the pause that it causes.
    failed: Option<(Time, Duration)>,
}

impl Rule {
    /// A request to the source, by this call.
    fn asked(&mut self, call: usize, now: Time) {
        if let Some((flying, requests, ended)) = &mut self.flight {
            assert_eq!(*flying, call, "two calls fetch at the same time");
            *requests += 1;
            assert!(*requests <= 3, "a fourth request of one fetch");
            assert!(now.saturating_since(*ended) >= MILLIS(100), "no pause");
            return;
        }
        self.flight = Some((call, 1, now));
        let since_failure = self
            .failed
            .map(|(at, pause)| (now.saturating_since(at), pause));
        if let Some((age, pause)) = since_failure {
            assert!(age >= pause, "asked {age:?} after a failure");
        }
        let Some(((begin, lifetime, arrived), _)) = self.held else {
            return;
        };
        let end = begin.saturating_add(lifetime);
        let left = end.saturating_since(arrived);
        let before_end = end.saturating_since(now);
        let ahead = (left / 4).min(Duration::from_secs(330));
        assert!(before_end <= ahead, "renewed {before_end:?} before its end");
        let must = (left / 10).min(Duration::from_secs(30));
        if let (true, Some((age, _))) = (before_end > must, since_failure) {
            assert!(age >= Duration::from_secs(10), "again after {age:?}");
        }
    }

    fn failed(&mut self, now: Time, pause: Duration) {
        (self.flight, self.failed) = (None, Some((now, pause)));
    }

    fn issued(&mut self, token: Issued, number: usize) {
        (self.flight, self.failed) = (None, None);
        self.held = Some((token, number));
    }

    fn dropped(&mut self, call: usize) {
        if self.flight.is_some_and(|(flying, ..)| flying == call) {
            self.flight = None;
        }
    }

    /// The provider refused this token. Returns whether the call gets another one.
    fn refused(&mut self, number: usize, now: Time) -> bool {
        match self.held {
            Some(((_, _, arrived), held)) if held == number => {
                let is_old = now.saturating_since(arrived) >= Duration::from_secs(60);
                if is_old {
                    (self.held, self.failed) = (None, None);
                }
                is_old
            }
            _ => true,
        }
    }
}

#[derive(Default)]
struct World {
    /// One for each request to the source, also if the answer is a failure.
    tokens: Vec<Issued>,
    rule: Rule,
    requests: usize,
    issued: usize,
    sent: usize,
    renewed: usize,
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
    let (mut now, mut number) = (Time::ZERO, 0);
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
                number += 1;
                Running {
                    number,
                    exchange: exchange.unwrap(),
                    due: begin,
                    input: None,
                    is_fetching: false,
                    token: 0,
                    status: 0,
                    is_renewed: false,
                }
            })
            .collect();
        while let Some(next) = (0..calls.len()).min_by_key(|at| calls[*at].due) {
            now = now.max(calls[next].due);
            if random.below(200) == 0 {
                // Dropped, wherever it is.
                world.rule.dropped(calls.swap_remove(next).number);
                continue;
            }
            if step(&mut calls[next], now, &mut random, &mut world) {
                calls.swap_remove(next);
            }
        }
        now = now.saturating_add(MILLIS(random.below(2_400_000)));
    }
    println!(
        "{} calls sent, {} failed, {} requests to the source, {} tokens, {} renewed after a refusal",
        world.sent, world.failed, world.requests, world.issued, world.renewed
    );
    assert!(world.sent > 50_000);
    assert!(world.failed > 100);
    assert!(world.renewed > 100);
    assert!(world.issued > 1000);
    assert!(world.requests > world.issued);
}

/// Whether the call is over.
fn step(call: &mut Running, now: Time, random: &mut Random, world: &mut World) -> bool {
    if let Some(input) = call.input.take() {
        let is_failure = matches!(input, Input::TransportError(_));
        call.exchange.handle(input, now);
        if is_failure && call.is_fetching {
            failed(world, now, Duration::from_secs(1));
        }
    }
    loop {
        match call.exchange.poll(now) {
            Step::Send { request, .. } => {
                call.is_fetching = request.uri().host() == Some("auth.test");
                if call.is_fetching {
                    world.requests += 1;
                    world.rule.asked(call.number, now);
                } else {
                    call.token = check(&request, now, world);
                }
                call.due = now.saturating_add(MILLIS(20 + random.below(300)));
                call.status = match random.below(12) {
                    0 => 0,
                    1 if call.is_fetching => 503,
                    2 if call.is_fetching => 403,
                    3 if !call.is_fetching => 401,
                    _ => 200,
                };
                call.input = Some(match call.status {
                    0 => Input::TransportError(TransportError::new(
                        TransportErrorKind::Reset,
                        RequestDelivery::MaybeProcessed,
                        "broken",
                    )),
                    status => Input::Headers(head(status, &[JSON])),
                });
                if call.is_fetching {
                    // From the request, whenever the answer arrives.
                    let lifetime = Duration::from_secs(20 + random.below(7200));
                    world.tokens.push((now, lifetime, call.due));
                }
                return false;
            }
            Step::Receive { .. } => {
                let body = match call.is_fetching {
                    true => answer(call.status, now, world),
                    false => WHOLE.to_owned(),
                };
                if !call.is_fetching && call.status == 401 && !call.is_renewed {
                    call.is_renewed = world.rule.refused(call.token, now);
                    world.renewed += usize::from(call.is_renewed);
                }
                call.exchange.handle(Input::Body(body.into()), now);
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

/// The body of the source's answer.
fn answer(status: u16, now: Time, world: &mut World) -> String {
    let number = world.tokens.len() - 1;
    match status {
        200 => {
            world.issued += 1;
            world.rule.issued(world.tokens[number], number);
        }
        403 => world.rule.failed(now, Duration::from_secs(5)),
        _ => failed(world, now, Duration::from_secs(1)),
    }
    let (_, lifetime, _) = world.tokens[number];
    format!("t{number} {}", lifetime.as_secs())
}

/// A request to the source failed in a way that is worth another try; after the third the fetch has failed.
fn failed(world: &mut World, now: Time, pause: Duration) {
    match &mut world.rule.flight {
        Some((_, requests, ended)) if *requests < 3 => *ended = now,
        _ => world.rule.failed(now, pause),
    }
}

/// The number of the token with which a call goes out.
fn check<B>(request: &http::Request<B>, now: Time, world: &mut World) -> usize {
    let bearer = request.headers()["authorization"].to_str().unwrap();
    let number: usize = bearer.strip_prefix("Bearer t").unwrap().parse().unwrap();
    let (begin, lifetime, _) = world.tokens[number];
    let age = now.saturating_since(begin);
    assert!(
        age < lifetime,
        "token {number} is {age:?} old and lives {lifetime:?}"
    );
    world.sent += 1;
    number
}
