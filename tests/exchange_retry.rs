//! Which calls are retried, and what their errors contain.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that goes wrong is to stop"
)]

mod manual_driver;

use manual_driver::*;
use std::time::Duration;
use unifiedai::{
    CallOptions, ErrorKind, RetryPolicy,
    transport::{Phase, RequestDelivery, TransportErrorKind},
};

fn replaying() -> CallOptions {
    with(|options| options.retry.retry_ambiguous = true)
}

/// Whether the call makes another attempt.
fn tries_again(call: &mut Call) -> bool {
    !call.is_done()
}

// F55, F62
#[test]
fn two_retries_and_no_more() {
    let mut call = Call::whole(options());
    for _ in 0..2 {
        call.answer(503, &[], "");
        call.sleep();
    }
    call.answer(503, &[], "");
    let error = call.error();
    assert_eq!(error.attempts().len(), 3);
    assert!(
        error
            .attempts()
            .iter()
            .all(|a| a.status == Some(503) && a.error == Some(ErrorKind::ServiceUnavailable))
    );
}

// F62
#[test]
fn only_statuses_that_can_pass_are_tried_again() {
    for status in 300..=599_u16 {
        let mut call = Call::whole(options());
        call.answer(status, &[], "");
        let wanted = matches!(status, 408 | 409 | 429 | 500..=599);
        assert_eq!(tries_again(&mut call), wanted, "{status}");
    }
}

// F41, F53
#[test]
fn the_code_decides_before_the_status() {
    let cases = [
        (429, "insufficient_quota", false),
        (429, "rate_limit_exceeded", true),
        (400, "context_length_exceeded", false),
        (500, "invalid_api_key", false),
        (400, "overloaded_error", true),
    ];
    for (status, code, wanted) in cases {
        let mut call = Call::whole(options());
        let body = format!(r#"{{"error":{{"message":"m","code":"{code}"}}}}"#);
        call.answer(status, &[JSON], &body);
        assert_eq!(tries_again(&mut call), wanted, "{status} {code}");
    }
}

// F53: in a stream as with a status.
#[test]
fn a_used_up_quota_does_not_pass_inside_a_stream_either() {
    for (code, kind, wanted) in [
        ("insufficient_quota", ErrorKind::QuotaExceeded, false),
        ("rate_limit_exceeded", ErrorKind::RateLimit, true),
    ] {
        let event = format!("data: {{\"error\":{{\"message\":\"m\",\"code\":\"{code}\"}}}}\n\n");
        let mut call = Call::stream(options());
        call.send();
        call.head(200, &[SSE]).body(event.as_str());
        assert_eq!(tries_again(&mut call), wanted, "{code}");
        let mut call = Call::stream(once());
        call.send();
        call.head(200, &[SSE]).body(event);
        assert_eq!(call.error().kind(), kind, "{code}");
    }
}

// F62
#[test]
fn server_decides_on_retrying() {
    for (status, word, wanted) in [
        (503, "false", false),
        (429, "false", false),
        (400, "true", true),
        (400, "maybe", false),
    ] {
        let mut call = Call::whole(options());
        call.answer(status, &[("x-should-retry", word)], "");
        assert_eq!(tries_again(&mut call), wanted, "{status} {word}");
    }
}

// F49, F57
#[test]
fn retry_delay_is_honored_in_every_format() {
    let date = ("date", "Tue, 14 Nov 2023 22:13:20 GMT");
    let forms: [(&[(&str, &str)], u64); 6] = [
        (&[("retry-after", "3")], 3000),
        (&[("retry-after", "1.5")], 1500),
        (&[("retry-after-ms", "250"), ("retry-after", "9")], 250),
        (&[("x-amz-retry-after", "700")], 700),
        (
            &[("retry-after", "Tue, 14 Nov 2023 22:13:25 GMT"), date],
            5000,
        ),
        (&[("retry-after", "Tue, 14 Nov 2023 22:13:25 GMT")], 5000),
    ];
    for (headers, millis) in forms {
        let mut call = Call::whole(options());
        call.answer(429, headers, "");
        let asked = Duration::from_millis(millis);
        let waited = call.sleep();
        assert!(
            waited >= asked && waited <= asked + asked / 10,
            "{headers:?}: {waited:?}"
        );
    }
}

// F49: in the body, as Gemini does.
#[test]
fn retry_delay_in_the_body_is_honored() {
    let body = r#"{"error":{"code":429,"message":"m","details":[{"retryDelay":"4s"}]}}"#;
    let mut call = Call::whole(options());
    call.answer(429, &[JSON], body);
    let waited = call.sleep();
    assert!((4000..=4400).contains(&waited.as_millis()), "{waited:?}");
}

// F49: a date counts from the clock of the server that sent it.
#[test]
fn a_wrong_clock_of_ours_does_not_spoil_a_date() {
    let headers = [
        ("retry-after", "Sun, 06 Nov 1994 08:49:39 GMT"),
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ];
    let mut call = Call::whole(options());
    call.answer(503, &headers, "");
    assert!((2000..=2200).contains(&call.sleep().as_millis()));
}

// F50
#[test]
fn junk_in_the_wait_is_no_wait_and_the_past_is_none() {
    for (value, max) in [
        ("soon", 500),
        ("NaN", 500),
        ("inf", 500),
        ("-5", 0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
    ] {
        let mut call = Call::whole(options());
        call.answer(503, &[("retry-after", value)], "");
        if max == 0 {
            call.send();
        } else {
            assert!(call.sleep() <= Duration::from_millis(max), "{value}");
        }
    }
}

// F51
#[test]
fn a_wait_above_the_cap_ends_the_call_with_the_value() {
    for value in ["61", "3600", "1e400"] {
        let mut call = Call::whole(options());
        call.answer(429, &[("retry-after", value)], "");
        let error = call.error();
        assert_eq!(error.kind(), ErrorKind::RateLimit);
        assert!(error.retry_after().unwrap() >= seconds(61));
        assert!(error.is_retryable());
        assert_eq!(error.attempts().len(), 1);
    }
}

// F52
#[test]
fn exhausted_rate_limits_give_the_wait() {
    let limits = |remaining| {
        [
            ("x-ratelimit-remaining-tokens-minute", remaining),
            ("x-ratelimit-reset-tokens-minute", "12.5"),
            ("x-ratelimit-remaining-requests-day", "100"),
            ("x-ratelimit-reset-requests-day", "50000"),
        ]
    };
    let mut call = Call::whole(options());
    call.answer(429, &limits("0"), "");
    let waited = call.sleep();
    assert!(
        (12_500..=13_750).contains(&waited.as_millis()),
        "{waited:?}"
    );

    let mut call = Call::whole(options());
    call.answer(429, &limits("7"), "");
    assert!(call.sleep() <= seconds(1));
}

// F57
#[test]
fn back_off_doubles_and_varies_with_the_seed() {
    let waits = |seed| {
        let mut call = Call::whole(with(|o| o.retry = RetryPolicy::default().max_retries(6)));
        call.exchange = unifiedai::sans_io::Exchange::new(
            cerebras(),
            request(false).into(),
            with(|o| o.retry = RetryPolicy::default().max_retries(6)).into(),
            start(seed),
        )
        .unwrap();
        let wait = |_| {
            call.answer(503, &[], "");
            call.sleep()
        };
        (0..6).map(wait).collect::<Vec<_>>()
    };
    let some: Vec<Vec<Duration>> = (0..50).map(waits).collect();
    for waits in &some {
        for (nth, wait) in waits.iter().enumerate() {
            let step = Duration::from_millis(500 << nth).min(seconds(8));
            assert!(
                *wait <= step && *wait >= step / 10,
                "wait {nth} was {wait:?}"
            );
        }
    }
    let firsts: std::collections::BTreeSet<_> = some.iter().map(|waits| waits[0]).collect();
    assert!(firsts.len() > 45);
    assert_eq!(waits(7), some[7]);
}

// F59, F62
#[test]
fn ambiguous_delivery_is_retried_only_with_retry_ambiguous() {
    let failures = [
        (TransportErrorKind::Reset, RequestDelivery::MaybeProcessed),
        (
            TransportErrorKind::Timeout(Phase::Headers),
            RequestDelivery::MaybeProcessed,
        ),
        (TransportErrorKind::Other, RequestDelivery::MaybeProcessed),
    ];
    for (kind, delivery) in failures {
        let mut call = Call::whole(options());
        call.send();
        call.failed(kind, delivery);
        assert!(!tries_again(&mut call), "{kind:?}");
        let mut call = Call::whole(replaying());
        call.send();
        call.failed(kind, delivery);
        assert!(tries_again(&mut call), "{kind:?}");
    }
}

// F20, F59
#[test]
fn broken_response_is_retried_only_with_retry_ambiguous() {
    for (options, wanted) in [(options(), false), (replaying(), true)] {
        let mut call = Call::stream(options);
        call.send();
        call.head(200, &[SSE]).body(preamble());
        call.failed(TransportErrorKind::Truncated, RequestDelivery::Answered);
        assert_eq!(tries_again(&mut call), wanted);
    }
}

// F100
#[test]
fn unsent_requests_are_retried() {
    for kind in [
        TransportErrorKind::Dns,
        TransportErrorKind::Connect,
        TransportErrorKind::Timeout(Phase::Connect),
    ] {
        let mut call = Call::whole(options());
        for _ in 0..2 {
            call.send();
            call.failed(kind, RequestDelivery::NotSent);
            assert!(call.sleep() > Duration::ZERO, "{kind:?}");
        }
        call.send();
        call.failed(kind, RequestDelivery::NotSent);
        assert_eq!(call.error().attempts().len(), 3);
    }
}

// F59, F60, F101
#[test]
fn a_dead_connection_is_replaced_at_once_and_twice_at_most() {
    let mut call = Call::whole(once());
    for _ in 0..3 {
        call.send();
        call.failed(TransportErrorKind::Reset, RequestDelivery::NotSent);
    }
    let error = call.error();
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert_eq!(error.attempts().len(), 3);
    assert!(error.attempts().iter().all(|a| a.started.is_zero()));
}

#[test]
fn replays_do_not_count_as_retries() {
    let mut call = Call::whole(options());
    for _ in 0..2 {
        call.send();
        call.failed(TransportErrorKind::Reset, RequestDelivery::NotSent);
    }
    for _ in 0..2 {
        call.answer(503, &[], "");
        call.sleep();
    }
    call.answer(200, &[JSON], WHOLE);
    let response = call.result().unwrap();
    assert_eq!(response.metrics.attempts.len(), 5);
}

// F99
#[test]
fn an_untrusted_certificate_is_final() {
    let mut call = Call::whole(replaying());
    call.send();
    call.failed(TransportErrorKind::Tls, RequestDelivery::NotSent);
    let error = call.error();
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert!(!error.is_retryable());
    assert_eq!(error.attempts().len(), 1);
}

// F54
#[test]
fn no_retry_after_visible_output() {
    let failures: [fn(&mut Call); 4] = [
        |call| {
            call.failed(TransportErrorKind::Reset, RequestDelivery::Answered);
        },
        |call| {
            call.end();
        },
        |call| {
            call.body("data: {\"error\":{\"message\":\"m\",\"type\":\"overloaded_error\"}}\n\n");
        },
        |call| {
            call.after(seconds(60));
        },
    ];
    for fail in failures {
        let mut call = Call::stream(replaying());
        call.send();
        call.head(200, &[SSE]).body(delta("x"));
        call.deadline();
        fail(&mut call);
        let error = call.error();
        assert!(error.is_retryable(), "{error}");
        assert_eq!(error.attempts().len(), 1);
        assert_eq!(error.partial().unwrap().text(), "x");
    }
}

// F29, F54: an error inside a stream before anything visible.
#[test]
fn an_overload_inside_a_stream_is_tried_again_before_visible_output() {
    let mut call = Call::stream(options());
    call.send();
    call.head(200, &[SSE]).body(preamble());
    call.body("data: {\"error\":{\"message\":\"m\",\"type\":\"overloaded_error\"}}\n\n");
    call.sleep();
    call.send();
    call.head(200, &[SSE]).body(delta("x")).body(finish());
    call.body(DONE);
    assert!(call.is_done());
    assert_eq!(call.text(), "x");
    let attempts = call.result().unwrap().metrics.attempts;
    assert_eq!(attempts[0].error, Some(ErrorKind::Overloaded));
    assert_eq!(attempts[0].status, Some(200));
    assert_eq!(attempts[1].error, None);
}

// F54
#[test]
fn failed_attempt_does_not_leak_into_the_partial_response() {
    let mut call = Call::stream(with(|o| {
        o.retry = RetryPolicy::default().max_retries(1);
        o.retry.retry_ambiguous = true;
    }));
    call.send();
    call.head(200, &[SSE]).body(preamble());
    call.failed(TransportErrorKind::Reset, RequestDelivery::Answered);
    call.sleep();
    call.send();
    call.failed(TransportErrorKind::Reset, RequestDelivery::MaybeProcessed);
    let error = call.error();
    assert!(error.partial().is_none());
}

#[test]
fn model_list_is_always_retryable() {
    let mut exchange =
        unifiedai::sans_io::Exchange::list_models(cerebras(), options().into(), start(1)).unwrap();
    let now = unifiedai::transport::Time::ZERO;
    assert!(matches!(
        exchange.poll(now),
        unifiedai::sans_io::Step::Send { .. }
    ));
    let failure = unifiedai::transport::TransportError::new(
        TransportErrorKind::Reset,
        RequestDelivery::MaybeProcessed,
        "the connection broke",
    );
    exchange.handle(unifiedai::sans_io::Input::TransportError(failure), now);
    assert!(matches!(
        exchange.poll(now),
        unifiedai::sans_io::Step::Sleep { .. }
    ));
}

/// A small JSON call by POST: is it sent again after an ambiguous failure?
fn repeats_ambiguous(repeatable: bool) -> bool {
    use unifiedai::{provider::ApiRequest, sans_io, transport};
    let request = http::Request::post("https://api.cerebras.ai/v1/count");
    let mut api = ApiRequest::new(request.body(bytes::Bytes::new()).unwrap(), |_, _| Ok(()));
    if repeatable {
        api = api.repeatable();
    }
    let mut exchange = sans_io::Exchange::api_call(cerebras(), api, options().into(), start(1));
    let now = transport::Time::ZERO;
    assert!(matches!(exchange.poll(now), sans_io::Step::Send { .. }));
    let (kind, delivery) = (TransportErrorKind::Reset, RequestDelivery::MaybeProcessed);
    let failure = transport::TransportError::new(kind, delivery, "the connection broke");
    exchange.handle(sans_io::Input::TransportError(failure), now);
    matches!(exchange.poll(now), sans_io::Step::Sleep { .. })
}

#[test]
fn small_call_is_repeated_only_if_its_description_allows_it() {
    assert!(repeats_ambiguous(true));
    assert!(!repeats_ambiguous(false));
}

// F95: a request that is made anew each time carries a key that may have changed.
#[test]
fn each_attempt_calls_the_key_callback() {
    use std::sync::atomic::{AtomicU32, Ordering};
    use unifiedai::{
        Secret,
        provider::{Auth, Credential, OpenAiChat},
    };
    let asked = std::sync::Arc::new(AtomicU32::new(0));
    let counter = asked.clone();
    let credential = Credential::Callback(std::sync::Arc::new(move || {
        Secret::new(format!("key-{}", counter.fetch_add(1, Ordering::SeqCst)))
    }));
    let provider = OpenAiChat::builder()
        .profile(unifiedai::provider::openai_chat::CEREBRAS)
        .auth(Auth::Bearer(credential))
        .build()
        .unwrap();
    let mut call = Call::new(std::sync::Arc::new(provider), request(false), options());
    let (first, _) = call.send();
    call.head(503, &[]).end();
    call.sleep();
    let (second, _) = call.send();
    assert_eq!(first.headers()["authorization"], "Bearer key-0");
    assert_eq!(second.headers()["authorization"], "Bearer key-1");
    assert_eq!(first.body(), second.body());
}
