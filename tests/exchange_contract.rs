//! The machine's guarantees to its driver, whatever the driver does.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that goes wrong is to stop"
)]

mod manual_driver;

use manual_driver::*;
use unifiedai::{
    ErrorKind, StreamEvent,
    error::TimeoutKind,
    sans_io::{Input, Step},
    transport::{RequestDelivery, Time, TransportErrorKind},
};

#[test]
fn call_runs_from_request_to_response() {
    let mut call = Call::stream(options());
    let (request, _) = call.send();
    assert_eq!(request.uri(), "https://api.cerebras.ai/v1/chat/completions");
    assert_eq!(request.headers()["authorization"], "Bearer sk-test");
    call.head(200, &[SSE]).body(delta("hel")).body(delta("lo"));
    call.body(finish()).body(DONE);
    assert!(call.is_done());
    assert_eq!(call.text(), "hello");
    assert_eq!(call.result().unwrap().text(), "hello");
}

#[test]
fn unexpected_inputs_are_misuse() {
    type Wrong = fn(&mut Call);
    let cases: [(&str, Wrong); 7] = [
        ("Headers", |call| {
            call.head(200, &[]);
        }),
        ("Body", |call| {
            call.body("x");
        }),
        ("TransportError", |call| {
            call.failed(TransportErrorKind::Reset, RequestDelivery::NotSent);
        }),
        ("Body", |call| {
            call.send();
            call.body("x");
        }),
        ("BodyEnd", |call| {
            call.send();
            call.end();
        }),
        ("Headers", |call| {
            call.send();
            call.head(200, &[JSON]).head(200, &[JSON]);
        }),
        ("Headers", |call| {
            call.answer(503, &[], "");
            call.sleep();
            call.head(200, &[JSON]);
        }),
    ];
    for (input, wrong) in cases {
        let mut call = Call::whole(options());
        wrong(&mut call);
        let error = call.error();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(error.message().contains(input), "{error}");
    }
}

#[test]
fn the_result_before_the_end_is_misuse() {
    let mut call = Call::whole(options());
    call.send();
    let error = call.exchange.into_result().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
}

#[test]
fn the_first_error_is_final() {
    let mut call = Call::whole(options());
    call.answer(401, &[JSON], r#"{"message":"no","code":"wrong_api_key"}"#);
    assert!(call.is_done());
    call.head(200, &[JSON]).body(WHOLE).end();
    call.failed(TransportErrorKind::Dns, RequestDelivery::NotSent);
    call.after(seconds(10_000));
    let error = call.error();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert_eq!(error.attempts().len(), 1);
}

#[test]
fn finished_response_is_final_too() {
    let mut call = Call::whole(options());
    call.answer(200, &[JSON], WHOLE);
    call.failed(TransportErrorKind::Reset, RequestDelivery::Answered);
    call.after(seconds(10_000));
    assert_eq!(call.result().unwrap().text(), "hello");
}

#[test]
fn repeated_acquire_is_idempotent() {
    let mut call = Call::stream(options());
    call.send();
    let deadline = call.deadline();
    assert_eq!(call.deadline(), deadline);
    call.head(200, &[SSE]);
    let deadline = call.deadline();
    assert_eq!(call.deadline(), deadline);
    call.body(delta("x")).body(finish()).body(DONE);
    assert!(call.is_done() && call.is_done());
}

// F105
#[test]
fn interim_responses_are_skipped() {
    let mut call = Call::whole(options());
    call.send();
    call.head(103, &[("link", "</x>")]).head(100, &[]);
    call.head(200, &[JSON]).body(WHOLE).end();
    let response = call.result().unwrap();
    assert_eq!(response.provider_metadata.status, Some(200));
}

// F70
#[test]
fn time_that_runs_backwards_counts_as_standing_still() {
    let mut call = Call::stream(once());
    call.at(Time::from_nanos(1 << 40)).send();
    call.at(Time::ZERO).head(200, &[SSE]).body(delta("x"));
    assert!(call.deadline() > Time::from_nanos(1 << 40));
    call.at(Time::from_nanos(5)).body(finish()).body(DONE);
    let metrics = call.result().unwrap().metrics;
    assert_eq!(metrics.duration, metrics.ttfb);
    assert_eq!(metrics.attempts[0].duration.as_nanos(), 0);
}

// F70
#[test]
fn a_jump_to_the_end_of_time_ends_a_limited_call_and_no_other() {
    let mut call = Call::stream(once());
    call.send();
    call.head(200, &[SSE]).at(Time::MAX);
    assert_eq!(call.error().timeout(), Some(TimeoutKind::Idle));

    let unlimited = with(|options| {
        let timeouts = &mut options.timeouts;
        (timeouts.connect, timeouts.first_byte_stream) = (None, None);
        (timeouts.idle, timeouts.progress) = (None, None);
    });
    let mut call = Call::stream(unlimited);
    call.send();
    call.head(200, &[SSE]).at(Time::MAX);
    assert_eq!(call.deadline(), Time::MAX);
    call.body(delta("x")).body(finish()).body(DONE);
    assert_eq!(call.result().unwrap().text(), "x");
}

// F54: events are not emitted while a later attempt could discard them.
#[test]
fn events_are_held_back_until_one_is_visible() {
    let mut call = Call::stream(options());
    call.send();
    call.head(200, &[SSE]).body(preamble());
    call.deadline();
    assert_eq!(call.events, []);
    call.body(delta("x"));
    call.deadline();
    assert!(matches!(call.events[0], StreamEvent::Start(_)));
    assert_eq!(call.text(), "x");
}

// F54: chunk boundaries must not decide whether a call is retried.
#[test]
fn events_that_were_not_fetched_before_a_failure_still_come_out() {
    let mut call = Call::stream(with(|options| options.retry.retry_ambiguous = true));
    call.send();
    call.head(200, &[SSE]).body(delta("x"));
    call.failed(TransportErrorKind::Reset, RequestDelivery::Answered);
    assert!(call.is_done());
    assert_eq!(call.text(), "x");
    let error = call.error();
    assert_eq!(error.kind(), ErrorKind::Truncated);
    assert_eq!(error.partial().unwrap().text(), "x");
}

// F115, F117: dropping cancels a call at any point and leaves no state.
#[test]
fn dropping_is_safe_at_every_step() {
    let parts: [fn(&mut Call); 7] = [
        |call| {
            call.answer(503, &[], "");
        },
        |call| {
            call.sleep();
        },
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
        |call| {
            call.body(finish()).body(DONE);
        },
    ];
    for stop in 0..=parts.len() {
        let provider = cerebras();
        let mut call = Call::new(provider.clone(), request(true), options());
        for part in parts.iter().take(stop) {
            part(&mut call);
        }
        drop(call);
        assert_eq!(std::sync::Arc::strong_count(&provider), 1);
    }
}

#[test]
fn empty_chunk_is_ignored() {
    let mut call = Call::whole(options());
    call.send();
    call.head(200, &[JSON]).body("").body(WHOLE).body("").end();
    assert_eq!(call.result().unwrap().text(), "hello");
}

#[test]
fn debug_of_a_step_hides_the_key() {
    let mut call = Call::whole(options());
    let step: Step = call.step();
    assert!(matches!(step, Step::Send { .. }));
    assert!(!format!("{step:?}{:?}", call.exchange).contains("sk-test"));
    call.handle(Input::BodyEnd);
}
