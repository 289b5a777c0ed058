//! Calls that wait for a rate limiter are sent in FIFO order.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that goes wrong is to stop"
)]

mod manual_driver;

use manual_driver::*;
use std::{sync::Arc, time::Duration};
use unifiedai::{
    ErrorKind,
    policy::ProviderLimits,
    sans_io::Step,
    transport::{RequestDelivery, Time, TransportErrorKind},
};

const SECOND: Duration = Duration::from_secs(1);

/// Limits that admit one request per second from now on.
fn spent() -> Arc<ProviderLimits> {
    let guard = Arc::new(ProviderLimits::new().requests_per_minute(60));
    for _ in 0..60 {
        call(&guard).send();
    }
    guard
}

fn call(guard: &Arc<ProviderLimits>) -> Call {
    let mut call = Call::whole(once());
    call.exchange = call.exchange.with_provider_limits(guard.clone());
    call
}

fn at(millis: u64) -> Time {
    Time::from_nanos(millis * 1_000_000)
}

/// Polls at this time. Returns whether the request was sent; if not, the call waits.
fn sends(call: &mut Call, now: Time) -> bool {
    match call.at(now).step() {
        Step::Send { .. } => true,
        Step::Sleep { until } => {
            assert!(
                until > now && until <= now.saturating_add(SECOND),
                "{until:?}"
            );
            false
        }
        step => panic!("{step:?}"),
    }
}

fn queue(guard: &Arc<ProviderLimits>, length: usize) -> Vec<Call> {
    let mut calls: Vec<Call> = (0..length).map(|_| call(guard)).collect();
    for call in &mut calls {
        assert!(!sends(call, at(0)));
    }
    calls
}

#[test]
fn permits_are_granted_in_fifo_order() {
    let guard = spent();
    let mut calls = queue(&guard, 5);
    let mut order = Vec::new();
    for now in (0..=5_000).step_by(100) {
        assert!(
            !sends(&mut call(&guard), at(now)),
            "somebody jumped the queue"
        );
        // The last call always polls first.
        for (number, call) in calls.iter_mut().enumerate().rev() {
            if !order.contains(&number) && sends(call, at(now)) {
                order.push(number);
                assert_eq!(now, 1_000 * order.len() as u64);
            }
        }
    }
    assert_eq!(order, [0, 1, 2, 3, 4]);
}

// F115
#[test]
fn leaving_the_queue_frees_a_position() {
    let guard = spent();
    let mut calls = queue(&guard, 4);
    calls.drain(..2);
    assert!(!sends(&mut calls[0], at(900)));
    assert!(!sends(&mut calls[1], at(1_000)));
    assert!(sends(&mut calls[0], at(1_000)));
    assert!(sends(&mut calls[1], at(2_000)));
    assert!(sends(&mut call(&guard), at(3_000)));
}

#[test]
fn undriven_call_does_not_block_others() {
    let guard = Arc::new(ProviderLimits::new().requests_per_minute(1));
    call(&guard).send();
    let mut parked = call(&guard);
    assert_eq!(parked.sleep(), seconds(60));
    let mut second = call(&guard);
    for now in 0..=61 {
        assert!(
            !sends(&mut second, at(1_000 * now)),
            "the first may only be late"
        );
    }
    assert!(sends(&mut second, at(62_000)), "it does not come");
    assert_eq!(parked.at(at(63_000)).sleep(), seconds(59), "but may");
    parked.send();
}

#[test]
fn tokens_of_earlier_calls_count() {
    let guard = Arc::new(ProviderLimits::new().tokens_per_minute(60_000));
    let ask = |max_tokens| {
        let mut wanted = request(false);
        wanted.max_tokens = Some(max_tokens);
        let mut call = Call::new(cerebras(), wanted, once());
        call.exchange = call.exchange.with_provider_limits(guard.clone());
        call
    };
    ask(60_000).send();
    let mut large = ask(30_000);
    assert!(matches!(large.step(), Step::Sleep { .. }));
    let mut small = ask(10);
    // The tokens would suffice for the small request alone.
    small.at(at(5_000));
    large.at(at(5_000));
    assert!(matches!(large.step(), Step::Sleep { .. }));
    assert!(matches!(small.step(), Step::Sleep { .. }));
    drop(large);
    assert!(matches!(small.at(at(6_000)).step(), Step::Send { .. }));
}

// F61
#[test]
fn a_queued_turn_after_the_deadline_is_refused_immediately() {
    let guard = spent();
    let _waiting = queue(&guard, 9);
    for (seconds_left, refused) in [(10, true), (11, false)] {
        let mut call = Call::whole(with(|o| o.timeouts.total = Some(seconds(seconds_left))));
        call.exchange = call.exchange.with_provider_limits(guard.clone());
        assert_eq!(call.is_done(), refused);
        if refused {
            let error = call.error();
            assert_eq!(error.kind(), ErrorKind::RateLimit);
            assert_eq!(error.retry_after(), Some(seconds(10)));
        }
    }
    assert!(!sends(&mut call(&guard), at(0)));
}

// F69: the provider may have counted a sent request, but not an unsent one.
#[test]
fn only_unsent_requests_return_their_tokens() {
    type End = fn(&mut Call);
    let ends: [(End, bool); 4] = [
        (|_| {}, false),
        (
            |call| {
                call.failed(TransportErrorKind::Reset, RequestDelivery::MaybeProcessed);
            },
            false,
        ),
        (
            |call| {
                call.head(500, &[]).end();
            },
            false,
        ),
        (
            |call| {
                call.failed(TransportErrorKind::Connect, RequestDelivery::NotSent);
            },
            true,
        ),
    ];
    for (end, back) in ends {
        let guard = Arc::new(
            ProviderLimits::new()
                .requests_per_minute(1)
                .tokens_per_minute(1000),
        );
        let mut first = call(&guard);
        first.send();
        end(&mut first);
        drop(first);
        let next = call(&guard).step();
        assert_eq!(matches!(next, Step::Send { .. }), back, "{next:?}");
    }
}
