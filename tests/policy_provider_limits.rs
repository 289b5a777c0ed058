//! Limits that calls share: retry budget, rate limiter, circuit breaker; and the release of their permits.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that goes wrong is to stop"
)]

mod manual_driver;

use manual_driver::*;
use std::sync::Arc;
use unifiedai::{
    CallOptions, ErrorKind,
    policy::{CircuitBreakerConfig, ProviderLimits},
    sans_io::Step,
    transport::{RequestDelivery, Time, TransportErrorKind},
};

fn guarded(guard: &Arc<ProviderLimits>, options: CallOptions) -> Call {
    let mut call = Call::whole(options);
    call.exchange = call.exchange.with_provider_limits(guard.clone());
    call
}

fn at(seconds: u64) -> Time {
    Time::from_nanos(seconds * 1_000_000_000)
}

// F56
#[test]
fn an_exhausted_budget_fails_calls_immediately() {
    let guard = Arc::new(ProviderLimits::new());
    let mut attempts = 0;
    for _ in 0..100 {
        let mut call = guarded(&guard, options());
        loop {
            match call.step() {
                Step::Send { .. } => {
                    attempts += 1;
                    call.head(503, &[]).end();
                }
                Step::Sleep { until } => call.now = until,
                _ => break,
            }
        }
        assert_eq!(call.error().kind(), ErrorKind::ServiceUnavailable);
    }
    assert_eq!(attempts, 100 + 10);
    assert_eq!(guard.retry_budget(), 0);

    for _ in 0..30 {
        let mut call = guarded(&guard, options());
        call.answer(200, &[JSON], WHOLE);
        assert!(call.is_done());
    }
    assert_eq!(guard.retry_budget(), 30);
    let mut call = guarded(&guard, options());
    call.answer(429, &[], "");
    call.sleep();
    assert_eq!(guard.retry_budget(), 25);
}

// F59
#[test]
fn unsent_requests_cost_no_retry_budget() {
    let guard = Arc::new(ProviderLimits::new());
    for kind in [TransportErrorKind::Reset, TransportErrorKind::Connect] {
        let mut call = guarded(&guard, options());
        call.send();
        call.failed(kind, RequestDelivery::NotSent);
        assert!(!call.is_done());
    }
    assert_eq!(guard.retry_budget(), 100);
}

// F59, F63: servers close idle connections.
#[test]
fn stale_connections_are_not_provider_failures() {
    let guard = Arc::new(
        ProviderLimits::new()
            .requests_per_minute(5)
            .circuit_breaker(CircuitBreakerConfig::default()),
    );
    let mut calls: Vec<Call> = (0..5).map(|_| guarded(&guard, once())).collect();
    for replay in 0..2 {
        for call in &mut calls {
            call.send();
            assert_eq!(guard.retry_budget(), 100, "replay {replay}");
            call.failed(TransportErrorKind::Reset, RequestDelivery::NotSent);
        }
    }
    for mut call in calls {
        call.answer(200, &[JSON], WHOLE);
        let attempts = call.result().unwrap().metrics.attempts;
        let replayed: Vec<bool> = attempts.iter().map(|attempt| attempt.replayed).collect();
        assert_eq!(replayed, [true, true, false]);
    }
    assert_eq!((guard.in_flight(), guard.retry_budget()), (0, 100));
    // One token of the rate limiter each, and the circuit is closed.
    let mut next = guarded(&guard, once());
    assert!(next.sleep() <= seconds(13));
    next.send();
}

#[test]
fn closed_connections_do_not_open_the_circuit_even_without_free_retries() {
    let guard = Arc::new(ProviderLimits::new().circuit_breaker(CircuitBreakerConfig::default()));
    for _ in 0..5 {
        let mut call = guarded(&guard, once());
        for _ in 0..3 {
            call.send();
            call.failed(TransportErrorKind::Reset, RequestDelivery::NotSent);
        }
        assert!(call.is_done());
    }
    guarded(&guard, once()).send();
}

#[test]
fn calls_wait_for_the_rate_limiter() {
    let guard = Arc::new(ProviderLimits::new().requests_per_minute(60));
    for _ in 0..60 {
        guarded(&guard, once()).send();
    }
    let mut call = guarded(&guard, once());
    let waited = call.sleep();
    assert!((1000..=1100).contains(&waited.as_millis()), "{waited:?}");
    call.send();
}

// F61
#[test]
fn a_turn_after_the_deadline_is_refused_immediately() {
    let guard = Arc::new(ProviderLimits::new().requests_per_minute(1));
    guarded(&guard, once()).send();
    let call = guarded(&guard, with(|o| o.timeouts.total = Some(seconds(10))));
    let error = call.error();
    assert_eq!(error.kind(), ErrorKind::RateLimit);
    assert_eq!(error.code(), Some("local_rate_limit"));
    assert_eq!(error.retry_after(), Some(seconds(60)));
    assert_eq!(error.attempts(), []);
}

// F69
#[test]
fn tokens_are_reserved_and_then_corrected() {
    let guard = Arc::new(ProviderLimits::new().tokens_per_minute(1000));
    let ask = |max_tokens| {
        let mut wanted = request(false);
        wanted.max_tokens = Some(max_tokens);
        let mut call = Call::new(cerebras(), wanted, once());
        call.exchange = call.exchange.with_provider_limits(guard.clone());
        call
    };
    let mut first = ask(900);
    first.send();
    assert!(matches!(ask(500).step(), Step::Sleep { .. }));
    first.head(200, &[JSON]).body(WHOLE).end();
    ask(900).send();
    assert!(matches!(ask(500).step(), Step::Sleep { .. }));
}

// F68
#[test]
fn the_providers_headers_slow_calls_down_where_they_are_believed() {
    let limits = [
        JSON,
        ("x-ratelimit-remaining-requests-minute", "0"),
        ("x-ratelimit-reset-requests-minute", "7"),
    ];
    for (guard, waits) in [
        (ProviderLimits::new().honor_rate_limit_headers(), true),
        (ProviderLimits::new(), false),
    ] {
        let guard = Arc::new(guard);
        let mut call = guarded(&guard, once());
        call.answer(200, &limits, WHOLE);
        assert!(call.is_done());
        match guarded(&guard, once()).step() {
            Step::Sleep { until } => assert!(waits && until >= at(7) && until <= at(8)),
            step => assert!(!waits && matches!(step, Step::Send { .. })),
        }
    }
}

fn broken() -> Arc<ProviderLimits> {
    let guard = Arc::new(ProviderLimits::new().circuit_breaker(CircuitBreakerConfig::default()));
    for _ in 0..5 {
        guarded(&guard, once()).answer(503, &[], "");
    }
    guard
}

// F67
#[test]
fn circuit_open_error_gives_the_reason() {
    let mut call = guarded(&broken(), options());
    assert!(call.is_done());
    let error = call.error();
    assert_eq!(error.kind(), ErrorKind::CircuitOpen);
    assert!(
        error.message().contains("service_unavailable (HTTP 503)"),
        "{error}"
    );
    let wait = error.retry_after().unwrap();
    assert!((5000..=5500).contains(&wait.as_millis()), "{wait:?}");
    assert_eq!(error.attempts(), []);
}

// F67
#[test]
fn provider_limits_have_no_circuit_breaker_by_default() {
    let guard = Arc::new(ProviderLimits::new());
    for _ in 0..50 {
        guarded(&guard, once()).answer(503, &[], "");
    }
    guarded(&guard, once()).send();
}

// F63
#[test]
fn the_callers_mistakes_do_not_open_the_circuit() {
    let guard = Arc::new(ProviderLimits::new().circuit_breaker(CircuitBreakerConfig::default()));
    for status in [400, 401, 403, 404, 413, 422, 429].repeat(5) {
        guarded(&guard, once()).answer(status, &[], "");
    }
    guarded(&guard, once()).send();
}

// F64, F115
#[test]
fn dropped_probe_admits_the_next() {
    let parts: [fn(&mut Call); 4] = [
        |call| {
            call.send();
        },
        |call| {
            call.head(200, &[SSE]);
        },
        |call| {
            call.body(delta("x"));
        },
        |call| {
            call.deadline();
        },
    ];
    for stop in 1..=parts.len() {
        let guard = broken();
        let mut probe = Call::stream(once());
        probe.exchange = probe.exchange.with_provider_limits(guard.clone());
        probe.at(at(6));
        for part in parts.iter().take(stop) {
            part(&mut probe);
        }
        assert!(guarded(&guard, once()).at(at(6)).is_done(), "two probes");
        assert_eq!(guard.in_flight(), 1);
        drop(probe);
        assert_eq!(guard.in_flight(), 0);
        guarded(&guard, once()).at(at(6)).send();
    }
}

// F64
#[test]
fn a_probe_that_hangs_does_not_keep_the_circuit_open() {
    let guard = broken();
    let mut hanging = guarded(&guard, once());
    hanging.at(at(6)).send();
    assert!(guarded(&guard, once()).at(at(65)).is_done());
    guarded(&guard, once()).at(at(66)).send();
}

#[test]
fn a_successful_probe_closes_the_circuit() {
    let guard = broken();
    guarded(&guard, once())
        .at(at(6))
        .answer(200, &[JSON], WHOLE);
    let calls: Vec<Call> = (0..3)
        .map(|_| {
            let mut call = guarded(&guard, once());
            call.at(at(6)).send();
            call
        })
        .collect();
    assert_eq!(guard.in_flight(), calls.len());
}

// F115, F116
#[test]
fn permits_are_released_however_an_attempt_ends() {
    let guard = Arc::new(ProviderLimits::new());
    let ends: [fn(&mut Call); 6] = [
        |_| {},
        |call| {
            call.send();
        },
        |call| {
            call.answer(200, &[JSON], WHOLE);
        },
        |call| {
            call.answer(503, &[], "");
        },
        |call| {
            call.send();
            call.failed(TransportErrorKind::Reset, RequestDelivery::MaybeProcessed);
        },
        |call| {
            call.send();
            call.body("misuse");
        },
    ];
    for end in ends {
        let mut call = guarded(&guard, options());
        end(&mut call);
        drop(call);
        assert_eq!(guard.in_flight(), 0);
    }
}

// F118
#[test]
fn threads_share_provider_limits_without_losing_count() {
    let guard = Arc::new(ProviderLimits::new().circuit_breaker(CircuitBreakerConfig::default()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..500 {
                    let mut call = guarded(&guard, once());
                    call.send();
                    if n % 3 == 0 {
                        call.head(200, &[JSON]).body(WHOLE).end();
                    }
                }
            });
        }
    });
    assert_eq!(guard.in_flight(), 0);
    assert_eq!(guard.retry_budget(), 100);
}

// F70
#[test]
fn a_jump_of_the_clock_fills_up_to_the_limit_and_no_further() {
    let guard = Arc::new(ProviderLimits::new().requests_per_minute(3));
    for now in [Time::ZERO, Time::from_nanos(u64::MAX - 1)] {
        for _ in 0..3 {
            guarded(&guard, once()).at(now).send();
        }
        assert!(!matches!(
            guarded(&guard, once()).at(now).step(),
            Step::Send { .. }
        ));
    }
    let earlier = guarded(&guard, once()).at(at(5)).step();
    assert!(matches!(earlier, Step::Sleep { .. }));
}

// F66
#[test]
fn concurrent_threads_send_one_probe() {
    for _ in 0..50 {
        let guard = broken();
        let together = std::sync::Barrier::new(4);
        let ask = || {
            let mut call = guarded(&guard, once());
            call.at(at(6));
            together.wait();
            let sent = matches!(call.step(), Step::Send { .. });
            // Released when all have asked.
            together.wait();
            usize::from(sent)
        };
        let probes: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(probes, 1);
    }
}

/// All interleavings of the steps of three calls; each call's own steps stay in order.
fn orders(left: [usize; 3], so_far: &mut Vec<usize>, all: &mut Vec<Vec<usize>>) {
    if left == [0; 3] {
        return all.push(so_far.clone());
    }
    for call in 0..3 {
        if left[call] > 0 {
            let mut left = left;
            left[call] -= 1;
            so_far.push(call);
            orders(left, so_far, all);
            so_far.pop();
        }
    }
}

// F118
#[test]
fn shared_limits_are_restored_for_any_call_order() {
    let mut all = Vec::new();
    orders([3; 3], &mut Vec::new(), &mut all);
    assert_eq!(all.len(), 1680);
    for order in all {
        let rules = CircuitBreakerConfig::default();
        let guard = Arc::new(
            ProviderLimits::new()
                .requests_per_minute(4)
                .circuit_breaker(rules),
        );
        let mut calls: Vec<Option<Call>> =
            (0..3).map(|_| Some(guarded(&guard, options()))).collect();
        let (mut done, mut under_way) = ([0; 3], 0);
        for number in order {
            match (done[number], calls[number].as_mut()) {
                (0, Some(call)) => {
                    call.send();
                    under_way += 1;
                }
                (1, Some(call)) if number == 2 => {
                    call.head(503, &[]).end();
                    under_way -= 1;
                }
                (1, Some(call)) => {
                    call.head(200, &[JSON]).body(WHOLE).end();
                    under_way -= 1;
                }
                _ => calls[number] = None,
            }
            done[number] += 1;
            assert_eq!(guard.in_flight(), under_way);
        }
        // The retry that was paid for did not take place.
        assert_eq!(guard.retry_budget(), 100);
        guarded(&guard, once()).send();
        assert!(matches!(guarded(&guard, once()).step(), Step::Sleep { .. }));
    }
}
