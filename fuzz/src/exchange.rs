use super::{
    protocols::{CANARY, keyed},
    source::Source,
};
use bytes::Bytes;
use http::{Response, response};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use unifiedai::{
    CallOptions, ChatRequest,
    sans_io::{CallStart, Exchange, Input, Step},
    transport::{Phase, RequestDelivery, Time, TransportError, TransportErrorKind},
};

/// Two free retries, one new signature, and the first attempt.
const UNCOUNTED: u32 = 4;

/// A driver that does what the bytes say, valid or not: the call always ends once, and reveals no secret.
pub fn exchange(data: &[u8]) {
    let mut source = Source(data);
    let (letter, shape) = (source.byte(), source.byte());
    let request = ChatRequest::new("m").user("x").stream(shape & 1 == 1);
    let mut options = CallOptions::default();
    options.retry.max_retries = (shape >> 1 & 3).into();
    options.retry.retry_ambiguous = shape & 8 != 0;
    options.timeouts.total = (shape & 16 != 0).then(|| source.duration());
    options.sizes.event = 1 << 12;
    let most_sends = options.retry.max_retries + UNCOUNTED;
    let start = CallStart::new(Time::ZERO, SystemTime::UNIX_EPOCH, source.number());
    let Ok(mut exchange) =
        Exchange::new(keyed(letter), Arc::new(request), Arc::new(options), start)
    else {
        return;
    };
    let (mut now, mut sends, mut shown, mut left) = (Time::ZERO, 0, false, 4 * data.len() + 10_000);
    loop {
        left = left.checked_sub(1).expect("the call does not end");
        match exchange.poll(now) {
            Step::Send {
                deadlines: limits, ..
            } => {
                sends += 1;
                assert!(!shown, "tried again after something was shown");
                assert!(sends <= most_sends, "{sends} attempts");
                assert!(limits.total > now);
                now = now.saturating_add(source.duration());
                exchange.handle(answer(&mut source), now);
            }
            Step::Receive { deadline } => {
                assert!(deadline > now, "a deadline that has passed is no deadline");
                match source.byte() % 8 {
                    0 if deadline < Time::MAX => now = deadline,
                    0 | 1 => exchange.handle(Input::TransportError(failure(&mut source)), now),
                    2 => exchange.handle(Input::BodyEnd, now),
                    3 => exchange.handle(Input::Body(Bytes::from_static(CANARY.as_bytes())), now),
                    _ => exchange.handle(
                        Input::Body(Bytes::copy_from_slice(source.short_bytes())),
                        now,
                    ),
                }
                now = now.saturating_add(Duration::from_nanos(source.byte().into()));
            }
            Step::Sleep { until } => {
                assert!(until > now && !shown);
                now = if source.flag() {
                    until
                } else {
                    Time::from_nanos(now.as_nanos() + 1 + (until.as_nanos() - now.as_nanos()) / 2)
                };
            }
            Step::Event(_) => shown = true,
            Step::Done => break,
            step => unreachable!("a step of a later version: {step:?}"),
        }
        if source.is_spent() {
            exchange.handle(Input::TransportError(failure(&mut source)), now);
        } else if source.byte() == b'!' {
            exchange.handle(answer(&mut source), now);
        }
    }
    let ended = format!("{exchange:?}");
    assert!(
        !ended.contains(CANARY),
        "the key is in the exchange's Debug"
    );
    for input in [
        answer(&mut source),
        Input::TransportError(failure(&mut source)),
        Input::BodyEnd,
    ] {
        exchange.handle(input, now);
        assert!(matches!(exchange.poll(now), Step::Done));
    }
    assert_eq!(ended, format!("{exchange:?}"), "the end is not final");
    assert!(
        matches!(exchange.poll(Time::MAX), Step::Done),
        "something comes after the end"
    );
    if let Err(error) = exchange.into_result() {
        assert!(error.attempts().len() <= sends as usize);
        assert!(!error.message().contains(CANARY), "the key is in the error");
        assert!(
            !format!("{error:#?}{error}").contains(CANARY),
            "the key is in the error's Debug"
        );
    }
}

fn answer(source: &mut Source<'_>) -> Input {
    match source.byte() % 16 {
        0 => Input::TransportError(failure(source)),
        1 => Input::Body(Bytes::copy_from_slice(source.short_bytes())),
        2 => Input::BodyEnd,
        _ => Input::Headers(head(source)),
    }
}

fn head(source: &mut Source<'_>) -> response::Parts {
    let statuses = [
        200, 200, 200, 100, 204, 302, 400, 401, 403, 408, 429, 500, 503, 529,
    ];
    let types = [
        "application/json",
        "text/event-stream",
        "application/vnd.amazon.eventstream",
        "text/html",
        "",
    ];
    let mut response = Response::builder().status(source.choose(&statuses));
    response = response.header("content-type", source.choose(&types));
    if source.flag() {
        response = response.header("retry-after", source.byte().to_string());
        response = response.header("date", "Tue, 01 Jan 2030 00:00:00 GMT");
    }
    response
        .body(())
        .expect("these headers are valid")
        .into_parts()
        .0
}

fn failure(source: &mut Source<'_>) -> TransportError {
    use TransportErrorKind::{
        Connect, Dns, HeadersTooLarge, Other, Protocol, Request, Reset, Timeout, Tls, Truncated,
    };
    let kinds = [
        Dns,
        Connect,
        Tls,
        Timeout(Phase::Connect),
        Timeout(Phase::Headers),
        Timeout(Phase::Body),
        Reset,
        Truncated,
        Protocol,
        HeadersTooLarge,
        Request,
        Other,
    ];
    let delivery = source.choose(&[
        RequestDelivery::NotSent,
        RequestDelivery::MaybeProcessed,
        RequestDelivery::Answered,
    ]);
    TransportError::new(source.choose(&kinds), delivery, "as the bytes say")
}
