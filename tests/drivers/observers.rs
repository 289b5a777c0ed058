//! Observations name the target of the call.

use crate::world::{Blocking, Reply, World, once, provider, question};
use std::sync::{Arc, Mutex};
use unifiedai::{
    Client,
    observe::{CallEvent, CallObservation},
    policy::{CircuitBreakerConfig, Fallback, FallbackTarget, ProviderLimits},
    transport::{RequestDelivery, TransportErrorKind},
};

/// One line per observation, with the target that it names.
fn observed(plan: crate::world::Plan, fallback: Fallback) -> Vec<String> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = lines.clone();
    let client = Client::new(Blocking(World::new(plan)), provider("one"))
        .with_options(once())
        .with_observer(move |seen: &CallObservation<'_>| {
            let what = match &seen.event {
                CallEvent::Started => "started".to_owned(),
                CallEvent::Attempt { number, host, .. } => format!("attempt {number} at {host}"),
                CallEvent::AttemptFinished {
                    number,
                    status,
                    error,
                    ..
                } => {
                    format!("attempt {number} {status:?} {error:?}")
                }
                CallEvent::Fallback { status, error, .. } => format!("left {status:?} {error}"),
                CallEvent::Finished(summary) => {
                    format!("finished {:?} after {}", summary.error, summary.attempts)
                }
                _ => return,
            };
            let (provider, model) = (&seen.call.provider, &seen.call.model);
            log.lock()
                .unwrap()
                .push(format!("{provider}.{model} {what}"));
        });
    let _ = client.chat_with_fallback(question("m"), fallback);
    let lines = lines.lock().unwrap();
    lines.clone()
}

fn target(name: &str, model: &str) -> FallbackTarget {
    FallbackTarget::new(Arc::new(provider(name)), model)
}

#[test]
fn each_observation_names_its_target() {
    let plan = |host: &str, _| Reply::status(if host == "one.test" { 404 } else { 200 });
    let lines = observed(
        plan,
        Fallback::new(target("one", "a")).then(target("two", "b")),
    );
    assert_eq!(
        lines,
        [
            "one.a started",
            "one.a attempt 1 at one.test",
            "one.a attempt 1 Some(404) Some(NotFound)",
            "one.a left Some(404) not_found",
            "two.b attempt 2 at two.test",
            "two.b attempt 2 Some(200) None",
            "two.b finished None after 2",
        ]
    );
}

#[test]
fn skipped_target_is_named_with_the_reason() {
    let guard = Arc::new(ProviderLimits::new().circuit_breaker(CircuitBreakerConfig::default()));
    let open = || Fallback::new(target("one", "a").limits(guard.clone()));
    for _ in 0..5 {
        observed(|_, _| Reply::status(503), open());
    }
    let lines = observed(|_, _| Reply::status(200), open().then(target("two", "b")));
    assert_eq!(
        lines,
        [
            "one.a started",
            "one.a left None circuit_open",
            "two.b attempt 1 at two.test",
            "two.b attempt 1 Some(200) None",
            "two.b finished None after 1",
        ]
    );
}

#[test]
fn summary_describes_the_last_target() {
    let seen = Arc::new(Mutex::new(None));
    let log = seen.clone();
    let plan = |host: &str, _| match host {
        "one.test" => Reply::status(404),
        _ => Reply::broken(TransportErrorKind::Connect, RequestDelivery::NotSent),
    };
    let client = Client::new(Blocking(World::new(plan)), provider("one"))
        .with_options(once())
        .with_observer(move |seen: &CallObservation<'_>| {
            if let CallEvent::Finished(summary) = &seen.event {
                *log.lock().unwrap() = Some((*summary).clone());
            }
        });
    let fallback = Fallback::new(target("one", "a")).then(target("two", "b"));
    client
        .chat_with_fallback(question("m"), fallback)
        .unwrap_err();
    let summary = seen.lock().unwrap().take().unwrap();
    assert_eq!((summary.status, summary.ttfb), (None, None));
    assert_eq!(summary.attempts, 2);
}

#[test]
fn a_closed_connection_is_not_a_failed_attempt() {
    let plan = |_: &str, nth| match nth {
        0 => Reply::broken(TransportErrorKind::Reset, RequestDelivery::NotSent),
        _ => Reply::status(200),
    };
    let lines = observed(plan, Fallback::new(target("one", "a")));
    assert_eq!(
        lines,
        [
            "one.a started",
            "one.a attempt 1 at one.test",
            "one.a attempt 1 Some(200) None",
            "one.a finished None after 1",
        ]
    );
}
