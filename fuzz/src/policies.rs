use super::source::Source;
use bytes::Bytes;
use http::Response;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use unifiedai::{
    CallOptions, ChatRequest, ErrorKind,
    policy::{CircuitBreakerConfig, ProviderLimits},
    provider::OpenAiChat,
    sans_io::{CallStart, Exchange, Input, Step},
    transport::{RequestDelivery, Time, TransportError, TransportErrorKind},
};

const MINUTE: u128 = 60_000_000_000;
const OK: &[u8] =
    br#"{"choices":[{"message":{"content":"Hi."},"finish_reason":"stop"}],"usage":{"total_tokens":7}}"#;

/// A simple count of calls that share limits.
#[derive(Default)]
struct Model {
    /// Requests that were sent, without those that certainly did not arrive.
    sent: u128,
    successes: u32,
    failures: u32,
    /// Retries that the budget had to pay for.
    paid: u32,
}

struct Call {
    exchange: Exchange,
    waiting: bool,
    /// Whether an earlier attempt counted as processed.
    again: bool,
}

/// Up to four calls with shared limits, driven by the bytes: rate limiter, budget and permits must match a simple
/// count.
pub fn policies(data: &[u8]) {
    let mut source = Source(data);
    let (pace, shape) = (u32::from(source.byte() % 60) + 1, source.byte());
    let mut guard = ProviderLimits::new().requests_per_minute(pace);
    if shape & 1 == 1 {
        guard = guard.circuit_breaker(CircuitBreakerConfig::default());
    }
    if shape & 2 == 2 {
        guard = guard.honor_rate_limit_headers().tokens_per_minute(10_000);
    }
    let guard = Arc::new(guard);
    let (mut calls, mut model, mut now) = (Vec::<Call>::new(), Model::default(), Time::ZERO);
    while !source.is_spent() {
        let at = usize::from(source.byte());
        match source.byte() % 4 {
            0 => now = now.saturating_add(source.duration().min(Duration::from_secs(120))),
            1 if calls.len() < 4 => calls.push(call(&guard, now, shape)),
            _ if calls.is_empty() => {}
            2 => {
                let at = at % calls.len();
                let call = &mut calls[at];
                if call.waiting {
                    answer(&mut source, call, &mut model, now);
                } else if poll(call, &mut model, now) {
                    over(calls.remove(at), &model);
                }
            }
            _ => drop(calls.remove(at % calls.len())),
        }
        let waiting = calls.iter().filter(|call| call.waiting).count();
        assert_eq!(guard.in_flight(), waiting, "attempts that are under way");
        let most = u128::from(pace) * (MINUTE + u128::from(now.as_nanos())) / MINUTE + 1;
        assert!(
            model.sent <= most,
            "{} requests by {now:?} at {pace} a minute",
            model.sent
        );
        assert!(
            5 * model.paid <= 100 + model.successes,
            "{} retries",
            model.paid
        );
    }
    calls.clear();
    assert_eq!(guard.in_flight(), 0, "a dropped call kept its permit");
}

fn call(guard: &Arc<ProviderLimits>, now: Time, shape: u8) -> Call {
    let mut options = CallOptions::default();
    options.retry.max_retries = 3;
    options.retry.retry_ambiguous = shape & 4 == 4;
    options.timeouts.first_byte = None;
    let provider = Arc::new(OpenAiChat::cerebras("key").unwrap());
    let request = Arc::new(ChatRequest::new("m").user("x"));
    let start = CallStart::new(now, SystemTime::UNIX_EPOCH, shape.into());
    let exchange = Exchange::new(provider, request, Arc::new(options), start).unwrap();
    Call {
        exchange: exchange.with_provider_limits(guard.clone()),
        waiting: false,
        again: false,
    }
}

fn over(call: Call, model: &Model) {
    let rules = CircuitBreakerConfig::default();
    let least = rules.min_requests * rules.failure_threshold_percent / 100;
    match call.exchange.into_result() {
        Err(error) if error.kind() == ErrorKind::CircuitOpen => {
            assert!(model.failures > least, "opened by nothing");
        }
        _ => {}
    }
}

/// Whether the call has ended.
fn poll(call: &mut Call, model: &mut Model, now: Time) -> bool {
    loop {
        match call.exchange.poll(now) {
            Step::Send { .. } => {
                call.waiting = true;
                model.sent += 1;
                model.paid += u32::from(std::mem::take(&mut call.again));
                return false;
            }
            Step::Sleep { until } => {
                assert!(until > now, "a wait that is over");
                return false;
            }
            Step::Event(_) => {}
            Step::Done => return true,
            step => panic!("nothing was sent: {step:?}"),
        }
    }
}

fn answer(source: &mut Source<'_>, call: &mut Call, model: &mut Model, now: Time) {
    call.waiting = false;
    let status = source.choose(&[200, 200, 429, 500, 503, 400, 0]);
    if status == 0 {
        let delivery = source.choose(&[RequestDelivery::NotSent, RequestDelivery::MaybeProcessed]);
        model.sent -= u128::from(delivery == RequestDelivery::NotSent);
        model.failures += 1;
        call.again = delivery != RequestDelivery::NotSent;
        let failure =
            TransportError::new(TransportErrorKind::Connect, delivery, "as the bytes say");
        return call.exchange.handle(Input::TransportError(failure), now);
    }
    let left = source.byte().to_string();
    let head = Response::builder()
        .status(status)
        .header("x-ratelimit-remaining-requests", left);
    let body = if status == 200 { OK } else { b"{}" };
    model.successes += u32::from(status == 200);
    model.failures += u32::from(status != 200);
    call.again = status != 200;
    call.exchange
        .handle(Input::Headers(head.body(()).unwrap().into_parts().0), now);
    call.exchange
        .handle(Input::Body(Bytes::from_static(body)), now);
    call.exchange.handle(Input::BodyEnd, now);
}
