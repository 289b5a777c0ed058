//! Results that arrive line by line, over connections that break.

use crate::support::like_openai;
use http::{Response, StatusCode};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use unifiedai::{
    CallOptions, Error, ErrorKind, RetryPolicy,
    provider::Provider,
    provider_batch::{BatchAnswer, BatchCall, ResultSource},
    sans_io::{CallStart, Exchange, Input, Step},
    transport::{RequestDelivery, Time, TransportError, TransportErrorKind},
};

fn line(number: usize) -> String {
    format!(
        "{{\"custom_id\":\"r-{number}\",\"response\":{{\"status_code\":200,\"body\":{{}}}},\"error\":null}}\n"
    )
}

fn lines(range: std::ops::Range<usize>) -> String {
    range.map(line).collect()
}

/// One answer: status, body, and whether its connection breaks after it.
type Answer = (u16, String, bool);

/// The ids that came, how many requests it took, and the result.
fn download(
    provider: Arc<dyn Provider>,
    answers: &[Answer],
    piece: usize,
) -> (Vec<String>, usize, Result<BatchAnswer, Error>) {
    let options = CallOptions::default().retry(RetryPolicy::default());
    let start = CallStart::new(Time::ZERO, SystemTime::UNIX_EPOCH, 0);
    let source = ResultSource::File("file-1".into());
    let call = BatchCall::Results(source);
    let mut exchange = Exchange::batch_call(provider, call, Arc::new(options), start).unwrap();
    let (mut now, mut sent, mut ids) = (Time::ZERO, 0, Vec::new());
    let mut body: &[u8] = &[];
    let mut breaks = false;
    loop {
        match exchange.poll(now) {
            Step::Send { .. } => {
                let (status, text, ends_early) = &answers[sent.min(answers.len() - 1)];
                (body, breaks) = (text.as_bytes(), *ends_early);
                sent += 1;
                let mut response = Response::new(());
                *response.status_mut() = StatusCode::from_u16(*status).unwrap();
                exchange.handle(Input::Headers(response.into_parts().0), now);
            }
            Step::Receive { .. } if body.is_empty() && breaks => {
                let delivery = RequestDelivery::Answered;
                let failure = TransportError::new(TransportErrorKind::Truncated, delivery, "cut");
                exchange.handle(Input::TransportError(failure), now);
            }
            Step::Receive { .. } if body.is_empty() => exchange.handle(Input::BodyEnd, now),
            Step::Receive { .. } => {
                let (now_read, rest) = body.split_at(piece.min(body.len()));
                body = rest;
                exchange.handle(Input::Body(now_read.to_vec().into()), now);
            }
            Step::Event(item) => ids.push(item.id),
            Step::Sleep { until } => now = until.max(now.saturating_add(Duration::from_millis(1))),
            Step::Done => return (ids, sent, exchange.into_result()),
            step => panic!("{step:?}"),
        }
    }
}

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("r-{number}")).collect()
}

#[test]
fn a_download_that_breaks_goes_on_after_the_last_line_wherever_it_is_cut() {
    let whole = lines(0..4);
    for cut in 0..whole.len() {
        let broken = (200, whole.get(..cut).unwrap().to_owned(), true);
        let answers = [broken, (200, whole.clone(), false)];
        for piece in [1, 50, 10_000] {
            let (got, sent, result) = download(like_openai("openai"), &answers, piece);
            assert_eq!(
                (got, sent),
                (ids(4), 2),
                "cut at {cut} in pieces of {piece}"
            );
            assert_eq!(result.unwrap(), BatchAnswer::Done);
        }
    }
}

/// Each attempt gets further, so that the limit of retries, which is two, does not end it.
#[test]
fn a_download_may_break_more_often_than_the_limit_as_long_as_it_gets_further() {
    let whole = lines(0..12);
    let broken = (1..12).map(|count| (200, lines(0..count), true));
    let answers: Vec<Answer> = broken.chain([(200, whole, false)]).collect();
    let (got, sent, result) = download(like_openai("openai"), &answers, 64);
    assert_eq!((got, sent), (ids(12), 12));
    assert!(result.is_ok());
    let stuck = [(200, lines(0..3), true)];
    let (got, sent, result) = download(like_openai("openai"), &stuck, 64);
    assert_eq!((got, sent), (ids(3), 3));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Truncated);
}

#[test]
fn a_refusal_between_two_attempts_is_retried_and_changes_nothing() {
    let answers = [
        (200, lines(0..2), true),
        (503, "{}".to_owned(), false),
        (200, lines(0..3), false),
    ];
    let (got, sent, result) = download(like_openai("groq"), &answers, 7);
    assert_eq!((got, sent), (ids(3), 3));
    assert!(result.is_ok());
}

/// No line is returned twice and none is passed over, if the second download is another one.
#[test]
fn a_download_that_has_changed_is_an_error() {
    for second in [lines(1..4), lines(0..1) + &line(7) + &line(2), lines(0..1)] {
        let answers = [(200, lines(0..2), true), (200, second, false)];
        let (got, sent, result) = download(like_openai("openai"), &answers, 10_000);
        assert_eq!((got, sent), (ids(2), 2));
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        assert!(error.message().contains("of the first download"), "{error}");
    }
}
