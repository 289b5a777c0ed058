//! Every time limit by itself, in virtual time.
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
    CallOptions, Error, ErrorKind, RetryPolicy, Timeouts,
    error::TimeoutKind,
    sans_io::Input,
    transport::{Phase, RequestDelivery, Time, TransportError, TransportErrorKind},
};

fn timed(change: impl FnOnce(&mut Timeouts)) -> CallOptions {
    with(|options| {
        options.retry = RetryPolicy::none();
        change(&mut options.timeouts);
    })
}

fn assert_timeout(error: &Error, kind: TimeoutKind, limit: &str) {
    assert_eq!(
        (error.kind(), error.timeout()),
        (ErrorKind::Timeout, Some(kind))
    );
    let text = error.to_string();
    assert!(text.contains(&format!("within {limit}")), "{text}");
    assert!(text.contains(&format!("({kind} timeout)")), "{text}");
}

/// Checks that a limit expires at `limit` and not earlier.
fn passes_at(call: &mut Call, limit: Duration) {
    let deadline = call.deadline();
    assert_eq!(deadline.saturating_since(call.now), limit);
    let just_before = Time::from_nanos(deadline.as_nanos() - 1);
    assert_eq!(call.at(just_before).deadline(), deadline);
    call.at(deadline);
}

// F48
#[test]
fn the_first_byte_of_a_stream_has_its_own_limit() {
    let mut call = Call::stream(once());
    let (_, limits) = call.send();
    assert_eq!(limits.headers, Time::ZERO.saturating_add(seconds(120)));
    passes_at(&mut call, seconds(120));
    assert_timeout(&call.error(), TimeoutKind::FirstByte, "120s");
}

#[test]
fn single_body_has_a_longer_first_byte_timeout() {
    let mut call = Call::whole(once());
    call.send();
    passes_at(&mut call, seconds(600));
    assert_timeout(&call.error(), TimeoutKind::FirstByte, "600s");
}

// F100
#[test]
fn transport_receives_the_connect_deadline() {
    let mut call = Call::whole(once());
    let (_, limits) = call.send();
    assert_eq!(limits.connect, Time::ZERO.saturating_add(seconds(10)));
    call.after(seconds(10));
    call.failed(
        TransportErrorKind::Timeout(Phase::Connect),
        RequestDelivery::NotSent,
    );
    assert_timeout(&call.error(), TimeoutKind::Connect, "10s");
}

// F44
#[test]
fn silence_between_bytes_is_limited() {
    let mut call = Call::stream(once());
    call.send();
    call.head(200, &[SSE]).body(delta("x"));
    passes_at(&mut call, seconds(60));
    let error = call.error();
    assert_timeout(&error, TimeoutKind::Idle, "60s");
    assert_eq!(error.partial().unwrap().text(), "x");
}

// F36
#[test]
fn silence_after_the_headers_is_named() {
    let mut call = Call::stream(once());
    call.send();
    call.head(200, &[SSE]).after(seconds(60));
    let error = call.error();
    assert_timeout(&error, TimeoutKind::Idle, "60s");
    assert!(
        error
            .message()
            .starts_with("no body byte was received after the response headers"),
        "{error}"
    );
}

// F06, F44
#[test]
fn comments_and_pings_keep_no_stream_alive_for_ever() {
    for ping in [": ping\n\n", ":\n", "data:\n\n", "event: ping\n\n"] {
        let mut call = Call::stream(once());
        call.send();
        call.head(200, &[SSE]).body(delta("x"));
        for _ in 0..29 {
            call.after(seconds(10)).body(ping);
            call.deadline();
        }
        passes_at(&mut call, seconds(10));
        assert_timeout(&call.error(), TimeoutKind::Progress, "300s");
    }
}

// F45, F47
#[test]
fn a_stream_with_progress_may_last_for_hours() {
    let mut call = Call::stream(once());
    call.send();
    call.head(200, &[SSE]);
    for _ in 0..1000 {
        call.after(seconds(59)).body(delta("x"));
        call.deadline();
    }
    call.body(finish()).body(DONE);
    assert_eq!(call.result().unwrap().text().len(), 1000);
}

// F47: a byte per minute gives no event.
#[test]
fn a_drip_runs_into_the_progress_limit() {
    let mut call = Call::stream(once());
    call.send();
    call.head(200, &[SSE]);
    let bytes = delta("x").into_bytes();
    for byte in bytes.iter().take(5) {
        call.after(seconds(59)).body(char::from(*byte));
        call.deadline();
    }
    call.after(seconds(5));
    assert_timeout(&call.error(), TimeoutKind::Progress, "300s");
}

// F47
#[test]
fn single_body_has_a_progress_timeout() {
    let mut call = Call::whole(once());
    call.send();
    call.head(200, &[JSON]);
    for _ in 0..10 {
        call.after(seconds(59)).body("\n");
        call.deadline();
    }
    passes_at(&mut call, seconds(10));
    assert_timeout(&call.error(), TimeoutKind::Progress, "600s");
}

// F48
#[test]
fn the_first_token_has_its_own_limit() {
    let mut call = Call::stream(timed(|t| t.first_token = Some(seconds(5))));
    let (_, limits) = call.send();
    assert_eq!(limits.headers, Time::ZERO.saturating_add(seconds(5)));
    call.after(seconds(2)).head(200, &[SSE]).body(preamble());
    passes_at(&mut call, seconds(3));
    assert_timeout(&call.error(), TimeoutKind::FirstToken, "5s");
}

#[test]
fn the_first_token_limit_ends_with_the_first_token() {
    let mut call = Call::stream(timed(|t| t.first_token = Some(seconds(5))));
    call.send();
    call.head(200, &[SSE]).body(delta("x")).after(seconds(6));
    call.deadline();
    call.body(finish()).body(DONE);
    assert_eq!(call.result().unwrap().text(), "x");
}

// F45
#[test]
fn total_time_has_only_the_callers_limit() {
    assert_eq!(Timeouts::default().total, None);
    let mut call = Call::stream(timed(|t| t.total = Some(seconds(100))));
    let (_, limits) = call.send();
    assert_eq!(limits.total, Time::ZERO.saturating_add(seconds(100)));
    call.head(200, &[SSE]);
    for _ in 0..3 {
        call.after(seconds(30)).body(delta("x"));
        call.deadline();
    }
    passes_at(&mut call, seconds(10));
    assert_timeout(&call.error(), TimeoutKind::Total, "100s");
}

// F61
#[test]
fn no_attempt_starts_after_the_deadline() {
    let mut call = Call::whole(timed(|t| t.total = Some(seconds(5))));
    call.after(seconds(5));
    let error = call.error();
    assert_timeout(&error, TimeoutKind::Total, "5s");
    assert_eq!(error.attempts(), []);
}

// F61
#[test]
fn the_deadline_holds_over_all_attempts() {
    let mut call = Call::whole(with(|o| o.timeouts.total = Some(seconds(5))));
    call.send();
    call.after(seconds(4)).head(503, &[("retry-after", "1")]);
    call.end();
    let error = call.error();
    assert_eq!(error.kind(), ErrorKind::ServiceUnavailable);
    assert_eq!(error.attempts().len(), 1);
}

// F61, F70: the sleep took longer than planned.
#[test]
fn a_back_off_that_lasted_too_long_ends_the_call() {
    let mut call = Call::whole(with(|o| o.timeouts.total = Some(seconds(60))));
    call.answer(503, &[], "");
    call.sleep();
    call.at(Time::ZERO.saturating_add(seconds(61)));
    let error = call.error();
    assert_timeout(&error, TimeoutKind::Total, "60s");
    assert_eq!(error.attempts().len(), 1);
    assert_eq!(
        error.attempts()[0].error,
        Some(ErrorKind::ServiceUnavailable)
    );
}

// F70
#[test]
fn a_late_poll_names_the_limit_that_passed_first() {
    let mut call = Call::stream(timed(|t| t.total = Some(seconds(90))));
    call.send();
    call.head(200, &[SSE]).after(seconds(100_000));
    assert_timeout(&call.error(), TimeoutKind::Idle, "60s");
}

#[test]
fn bytes_after_an_unnoticed_timeout_still_count() {
    let mut call = Call::stream(once());
    call.send();
    call.head(200, &[SSE]).after(seconds(61)).body(delta("x"));
    call.deadline();
    call.body(finish()).body(DONE);
    assert_eq!(call.result().unwrap().text(), "x");
}

// F14
#[test]
fn the_end_marker_ends_the_call_though_the_connection_stays_open() {
    let mut call = Call::stream(once());
    call.send();
    call.head(200, &[SSE])
        .body(delta("x"))
        .body(finish())
        .body(DONE);
    assert!(call.is_done());
    assert_eq!(call.result().unwrap().warnings, []);
}

// F11, F14
#[test]
fn a_finished_stream_waits_a_little_for_its_usage() {
    let mut call = Call::stream(once());
    call.send();
    call.head(200, &[SSE]).body(delta("x")).body(finish());
    passes_at(&mut call, seconds(10));
    let response = call.result().unwrap();
    assert_eq!(response.text(), "x");
    assert_eq!(response.warnings[0].code, "missing_end");
}

#[test]
fn data_after_the_finish_does_not_extend_the_limit() {
    let mut call = Call::stream(once());
    call.send();
    call.head(200, &[SSE]).body(delta("x")).body(finish());
    for _ in 0..9 {
        call.after(seconds(1))
            .body("data: {\"choices\":[]}\n\n: x\n\n");
        call.deadline();
    }
    passes_at(&mut call, seconds(1));
    assert_eq!(call.result().unwrap().text(), "x");
}

#[test]
fn a_finished_stream_succeeds_even_after_the_total_timeout() {
    let mut call = Call::stream(timed(|t| t.total = Some(seconds(5))));
    call.send();
    call.head(200, &[SSE]).body(delta("x")).body(finish());
    passes_at(&mut call, seconds(5));
    assert_eq!(call.result().unwrap().text(), "x");
}

// F46: a transport reports a timeout of its own timer; the machine maps it to its own limit.
#[test]
fn a_timeout_of_the_transport_gets_the_right_name() {
    let early = Duration::from_millis(1);
    let cases = [
        (Phase::Headers, seconds(120), TimeoutKind::FirstByte),
        (Phase::Headers, seconds(120) - early, TimeoutKind::FirstByte),
        (Phase::Headers, seconds(50) - early, TimeoutKind::FirstByte),
        (Phase::Connect, seconds(10) - early, TimeoutKind::Connect),
    ];
    for (phase, after, kind) in cases {
        let mut call = Call::stream(once());
        call.send();
        call.after(after).failed(
            TransportErrorKind::Timeout(phase),
            RequestDelivery::MaybeProcessed,
        );
        assert_eq!(
            call.error().timeout(),
            Some(kind),
            "{phase:?} after {after:?}"
        );
    }
    let cases = [
        (seconds(5), Phase::Headers, TimeoutKind::Total),
        (seconds(5) - early, Phase::Headers, TimeoutKind::Total),
        (seconds(5) - early, Phase::Connect, TimeoutKind::Total),
        (seconds(2), Phase::Connect, TimeoutKind::Connect),
    ];
    for (after, phase, kind) in cases {
        let mut call = Call::stream(timed(|t| t.total = Some(seconds(5))));
        call.send();
        call.after(after).failed(
            TransportErrorKind::Timeout(phase),
            RequestDelivery::MaybeProcessed,
        );
        assert_eq!(
            call.error().timeout(),
            Some(kind),
            "{phase:?} after {after:?}"
        );
    }
}

#[test]
fn transport_body_timeout_is_classified_by_the_expired_limit() {
    for (total, kind) in [(None, TimeoutKind::Idle), (Some(30), TimeoutKind::Total)] {
        let mut call = Call::stream(timed(|t| t.total = total.map(seconds)));
        call.send();
        call.head(200, &[SSE]).after(seconds(total.unwrap_or(60)));
        call.failed(
            TransportErrorKind::Timeout(Phase::Body),
            RequestDelivery::Answered,
        );
        let error = call.error();
        assert_eq!(error.timeout(), Some(kind));
        assert!(error.transport().is_some());
    }
}

// F38
#[test]
fn an_error_status_counts_without_its_body() {
    let fail: [fn(&mut Call); 3] = [
        |call| {
            call.after(seconds(60));
        },
        |call| {
            call.failed(TransportErrorKind::Reset, RequestDelivery::Answered);
        },
        |call| {
            call.failed(TransportErrorKind::Truncated, RequestDelivery::Answered);
        },
    ];
    for fail in fail {
        let mut call = Call::stream(once());
        call.send();
        call.head(429, &[JSON, ("retry-after", "7")]);
        call.body(r#"{"message":"slow down"#);
        call.deadline();
        fail(&mut call);
        let error = call.error();
        assert_eq!(
            (error.kind(), error.status()),
            (ErrorKind::RateLimit, Some(429))
        );
        assert_eq!(error.retry_after(), Some(seconds(7)));
        assert_eq!(error.body(), br#"{"message":"slow down"#);
    }
}

#[test]
fn metrics_report_measured_values() {
    let mut call = Call::stream(options());
    call.after(seconds(1)).answer(503, &[], "");
    call.sleep();
    call.at(Time::ZERO.saturating_add(seconds(10))).send();
    call.after(seconds(1)).head(200, &[SSE]).body(preamble());
    call.after(seconds(1)).body(delta("x"));
    call.after(seconds(1)).body(finish()).body(DONE);
    let metrics = call.result().unwrap().metrics;
    assert_eq!(metrics.ttfb, Some(seconds(11)));
    assert_eq!(metrics.ttft, Some(seconds(12)));
    assert_eq!(metrics.duration, Some(seconds(13)));
    let brief: Vec<_> = metrics
        .attempts
        .iter()
        .map(|a| (a.started, a.duration, a.status, a.error))
        .collect();
    assert_eq!(
        brief,
        [
            (
                seconds(1),
                Duration::ZERO,
                Some(503),
                Some(ErrorKind::ServiceUnavailable)
            ),
            (seconds(10), seconds(3), Some(200), None),
        ]
    );
}

#[test]
fn metrics_of_failed_attempts_are_discarded() {
    let mut call = Call::stream(with(|o| o.retry.retry_ambiguous = true));
    call.send();
    call.head(200, &[SSE, ("x-request-id", "first")])
        .body(preamble());
    call.failed(TransportErrorKind::Reset, RequestDelivery::Answered);
    call.sleep();
    call.send();
    call.head(200, &[JSON]).body(WHOLE).end();
    let response = call.result().unwrap();
    assert_eq!(response.provider_metadata.request_id, None);
    assert!(response.metrics.ttft >= response.metrics.ttfb);
    assert_eq!(response.metrics.attempts.len(), 2);
}

#[test]
fn a_failure_keeps_the_transports_own_error() {
    let mut call = Call::whole(once());
    call.send();
    let failure = TransportError::new(
        TransportErrorKind::Dns,
        RequestDelivery::NotSent,
        "no such host",
    );
    call.handle(Input::TransportError(
        failure.with_source("the resolver's own words"),
    ));
    let error = call.error();
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert_eq!(error.transport().unwrap().kind(), TransportErrorKind::Dns);
    // The transport's text is part of the error's text, so the next source is its cause: no text occurs twice in the
    // chain.
    assert_eq!(error.message(), "no such host");
    let cause = std::error::Error::source(&error).unwrap();
    assert_eq!(cause.to_string(), "the resolver's own words");
}

#[test]
fn timeout_error_names_the_transport_phase() {
    let mut call = Call::whole(once());
    call.send();
    let text = "no connection to api.test:443 in time";
    let kind = TransportErrorKind::Timeout(Phase::Connect);
    call.handle(Input::TransportError(TransportError::new(
        kind,
        RequestDelivery::NotSent,
        text,
    )));
    let error = call.error();
    assert_eq!(error.timeout(), Some(TimeoutKind::Connect));
    assert_eq!(
        error.message().matches("api.test:443").count(),
        1,
        "{error}"
    );
}
