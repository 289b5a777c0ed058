//! AWS event streams, with a manual driver.
#![cfg(feature = "bedrock")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that goes wrong is to stop"
)]

mod manual_driver;

use bytes::Bytes;
use manual_driver::*;
use std::sync::Arc;
use unifiedai::{
    ErrorKind,
    codec::event_stream::{HeaderValue, encode_message},
    provider::{AwsCredentials, Bedrock},
    sans_io::Input,
};

const AWS: (&str, &str) = ("content-type", "application/vnd.amazon.eventstream");

fn frame(kind: &str, name: &str, payload: &str) -> Vec<u8> {
    let headers = [
        (":message-type", HeaderValue::String(kind)),
        (
            if kind == "exception" {
                ":exception-type"
            } else {
                ":event-type"
            },
            HeaderValue::String(name),
        ),
        (":content-type", HeaderValue::String("application/json")),
    ];
    encode_message(&headers, payload.as_bytes()).unwrap()
}

fn event(name: &str, payload: &str) -> Vec<u8> {
    frame("event", name, payload)
}

fn text(block: u32, text: &str) -> Vec<u8> {
    event(
        "contentBlockDelta",
        &format!(r#"{{"contentBlockIndex":{block},"delta":{{"text":"{text}"}}}}"#),
    )
}

fn stop() -> Vec<u8> {
    event("messageStop", r#"{"stopReason":"end_turn"}"#)
}

fn call() -> Call {
    let credentials = AwsCredentials::new("AKIDEXAMPLE", "secret", None).unwrap();
    let provider = Bedrock::builder()
        .region("us-east-1")
        .credentials(credentials);
    let mut call = Call::new(Arc::new(provider.build().unwrap()), request(true), once());
    call.send();
    call.head(200, &[AWS]);
    call
}

fn feed(call: &mut Call, frames: &[Vec<u8>]) {
    for piece in frames.concat().chunks(7) {
        call.handle(Input::Body(Bytes::copy_from_slice(piece)));
    }
}

#[test]
fn stream_is_complete_after_its_stop_event() {
    let mut call = call();
    feed(&mut call, &[text(0, "x"), stop()]);
    call.end();
    assert_eq!(call.result().unwrap().text(), "x");
}

// F19, F93
#[test]
fn a_stream_that_ends_before_is_truncated() {
    let mut cut = call();
    feed(&mut cut, &[text(0, "x")]);
    cut.end();
    assert_eq!(cut.error().kind(), ErrorKind::Truncated);

    let mut within = call();
    let mut half = stop();
    half.truncate(20);
    feed(&mut within, &[text(0, "x"), half]);
    within.end();
    assert_eq!(within.error().kind(), ErrorKind::Truncated);
}

// F94
#[test]
fn an_exception_inside_a_stream_ends_it_with_its_kind() {
    for (name, kind) in [
        ("throttlingException", ErrorKind::RateLimit),
        ("serviceUnavailableException", ErrorKind::ServiceUnavailable),
        ("internalServerException", ErrorKind::InternalServer),
        ("modelStreamErrorException", ErrorKind::InternalServer),
        ("validationException", ErrorKind::BadRequest),
    ] {
        for before in [vec![], text(0, "x")] {
            let mut call = call();
            feed(
                &mut call,
                &[before, frame("exception", name, r#"{"message":"no more"}"#)],
            );
            let error = call.error();
            assert_eq!(error.kind(), kind, "{name}: {error}");
            assert_eq!(error.message(), "no more");
            assert_eq!(error.status(), Some(200));
        }
    }
    let mut unknown = call();
    feed(&mut unknown, &[frame("exception", "newException", "{}")]);
    assert!(!unknown.error().is_retryable());
}

// F93
#[test]
fn a_bit_that_flipped_is_the_peers_fault() {
    let mut call = call();
    let mut flipped = text(0, "x");
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    feed(&mut call, &[flipped, stop()]);
    assert_eq!(call.error().kind(), ErrorKind::Protocol);
}

// F89
#[test]
fn out_of_order_blocks_are_accepted() {
    let mut call = call();
    let close = |block| {
        event(
            "contentBlockStop",
            &format!(r#"{{"contentBlockIndex":{block}}}"#),
        )
    };
    feed(
        &mut call,
        &[
            close(7),
            text(1, "b"),
            text(0, "a"),
            close(1),
            close(1),
            event("somethingNew", r#"{"x":1}"#),
            stop(),
        ],
    );
    call.end();
    assert_eq!(call.result().unwrap().text(), "ab");
}
