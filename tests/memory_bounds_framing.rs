//! The memory of framing is bounded too: event lines, headers of AWS frames, headers and trailers of HTTP/1.1.
//!
//! A limit of 1 MiB is always tested, one of 64 MiB with `UNIFIEDAI_BOMBS` set, as in `tests/memory_bounds.rs`.

#![cfg(all(feature = "bedrock", feature = "http1-codec"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a test that goes wrong is to stop"
)]

use allocation_counter::measure;
use bytes::Bytes;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use unifiedai::{
    CallOptions, ChatRequest, ErrorKind, RetryPolicy,
    codec::{
        event_stream::{HeaderValue, encode_message},
        http1::{Http1Error, ResponseDecoder},
    },
    provider::{Bedrock, Ollama, OpenAiChat, Provider},
    sans_io::{CallStart, Exchange, Input, Step},
    transport::Time,
};

/// Promised by `docs/testing.md`.
const FACTOR: u64 = 8;
const BESIDE: u64 = 1 << 20;
/// How many headers of three bytes fit into the 128 KiB that a frame has for them.
const MOST_HEADERS: usize = 43_600;
/// How many times the limit is sent: a line of six bytes adds one byte to an event.
const SENT: usize = 7;
/// The bytes of one read.
const READ: usize = 16 << 10;

/// An endless body: its beginning, and the part that is repeated.
struct Endless {
    name: &'static str,
    wire: &'static str,
    first: Vec<u8>,
    again: Vec<u8>,
    /// The expected error after `SENT` times the limit.
    end: ErrorKind,
}

fn text(
    wire: &'static str,
    name: &'static str,
    first: &str,
    again: &str,
    end: ErrorKind,
) -> Endless {
    Endless {
        name,
        wire,
        first: first.as_bytes().to_vec(),
        again: again.as_bytes().to_vec(),
        end,
    }
}

/// An AWS frame with this many headers of three bytes in addition to the required ones.
fn frame(event: &str, headers_beside: usize, payload: &str) -> Vec<u8> {
    let mut headers = vec![
        (":message-type", HeaderValue::String("event")),
        (":event-type", HeaderValue::String(event)),
    ];
    headers.extend((0..headers_beside).map(|_| ("x", HeaderValue::Bool(true))));
    encode_message(&headers, payload.as_bytes()).unwrap()
}

fn endless() -> Vec<Endless> {
    use ErrorKind::{TooLarge, Truncated};
    // Nothing is stored of an event without data, or of white space.
    let start = "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[]}\n\n";
    vec![
        text(
            "sse",
            "empty data lines in an event",
            start,
            "data:\n",
            TooLarge,
        ),
        text(
            "sse",
            "data lines of a letter in an event",
            start,
            "data:x\r\n",
            TooLarge,
        ),
        text("sse", "lines of comment", start, ": x\n", Truncated),
        text("sse", "empty lines of comment", start, ":\r", Truncated),
        text("sse", "a line of comment", ":", "x", Truncated),
        text("sse", "a name of an event", "event: ", "x", TooLarge),
        text(
            "sse",
            "lines of names in an event",
            start,
            "event: x\n",
            Truncated,
        ),
        text(
            "sse",
            "names of an event beside data",
            "data: {}\n",
            "event: x\n",
            Truncated,
        ),
        text(
            "sse",
            "events of a name alone",
            start,
            "event: x\n\n",
            Truncated,
        ),
        text(
            "sse",
            "ids and times of retry",
            start,
            "id: 1\nretry: 1\n",
            Truncated,
        ),
        text("sse", "an unknown field", "x", "x", Truncated),
        text("sse", "blank lines", start, "\n", Truncated),
        text("sse", "white space before the stream", " ", "\n", Truncated),
        text("ndjson", "blank lines", "", "\r\n", Truncated),
        text("ndjson", "a line", "{\"a\":\"", "x", TooLarge),
        text("ndjson", "white space in a line", "{", " ", TooLarge),
        Endless {
            name: "frames of many headers",
            wire: "bedrock",
            first: frame("messageStart", MOST_HEADERS, r#"{"role":"assistant"}"#),
            again: frame("x", MOST_HEADERS, "{}"),
            end: Truncated,
        },
        Endless {
            name: "small frames of an event that is not known",
            wire: "bedrock",
            first: frame("messageStart", 0, r#"{"role":"assistant"}"#),
            again: frame("x", 0, "{}"),
            end: Truncated,
        },
    ]
}

fn provider(wire: &str) -> Arc<dyn Provider> {
    match wire {
        "bedrock" => {
            let builder = Bedrock::builder().region("us-east-1").api_key("k").unwrap();
            Arc::new(builder.build().unwrap())
        }
        "ndjson" => Arc::new(Ollama::builder().build().unwrap()),
        _ => Arc::new(OpenAiChat::cerebras("k").unwrap()),
    }
}

fn run(mut exchange: Exchange, wire: &str, reads: &[Bytes]) -> ErrorKind {
    let mut reads = reads.iter();
    let mut now = Time::ZERO;
    loop {
        now = now.saturating_add(Duration::from_nanos(1));
        match exchange.poll(now) {
            Step::Send { .. } => {
                let media_type = match wire {
                    "bedrock" => "application/vnd.amazon.eventstream",
                    "ndjson" => "application/x-ndjson",
                    _ => "text/event-stream",
                };
                let head = http::Response::builder().header("content-type", media_type);
                let head = head.body(()).unwrap().into_parts().0;
                exchange.handle(Input::Headers(head), now);
            }
            Step::Receive { .. } => {
                let input = reads.next().cloned().map_or(Input::BodyEnd, Input::Body);
                exchange.handle(input, now);
            }
            Step::Event(_) => {}
            Step::Done => break,
            step => panic!("not expected: {step:?}"),
        }
    }
    exchange.into_result().unwrap_err().kind()
}

/// Chunks of `SENT` times `limit` in total; all but the first and the last share their memory.
fn reads(endless: &Endless, limit: usize) -> Vec<Bytes> {
    let times = READ.div_ceil(endless.again.len());
    let repeated = Bytes::from(endless.again.repeat(times));
    let mut reads = vec![Bytes::from(endless.first.clone())];
    reads.extend((0..(SENT * limit).div_ceil(repeated.len())).map(|_| repeated.clone()));
    reads
}

fn try_all(limit: usize) {
    let mut wrong = Vec::new();
    for endless in endless() {
        let mut options = CallOptions::default();
        options.retry = RetryPolicy::none();
        options.sizes.event = limit;
        options.sizes.body = limit;
        let request = ChatRequest::new("m").user("x").stream(true);
        let reads = reads(&endless, limit);
        let mut end = None;
        let used = measure(|| {
            let start = CallStart::new(Time::ZERO, SystemTime::UNIX_EPOCH, 0);
            let provider = provider(endless.wire);
            let exchange =
                Exchange::new(provider, Arc::new(request), Arc::new(options), start).unwrap();
            end = Some(run(exchange, endless.wire, &reads));
        });
        let most = used.bytes_max;
        let row = format!(
            "{:5.2} times {:2} MiB, {:?}: {}, {}",
            most as f64 / limit as f64,
            limit >> 20,
            end.unwrap(),
            endless.wire,
            endless.name,
        );
        println!("{row}");
        if most > FACTOR * limit as u64 + BESIDE || end != Some(endless.end) {
            wrong.push(row);
        }
    }
    for (name, first, again) in [
        ("lines", "HTTP/1.1 200 OK\r\n", "a:\r\n"),
        ("a line", "HTTP/1.1 200 OK\r\na: ", "x"),
        ("a name", "HTTP/1.1 200 OK\r\n", "x"),
        ("a reason", "HTTP/1.1 200 ", "x"),
        (
            "interim responses",
            "HTTP/1.1 100 C\r\n\r\n",
            "HTTP/1.1 100 C\r\n\r\n",
        ),
        (
            "trailers",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
            "a:\r\n",
        ),
    ] {
        let mut end = None;
        let used = measure(|| {
            let mut decoder = ResponseDecoder::new(&http::Method::POST).with_max_header_size(limit);
            let again = again.repeat(READ.div_ceil(again.len()));
            let times = (SENT * limit).div_ceil(again.len());
            for read in std::iter::once(first).chain(std::iter::repeat_n(&*again, times)) {
                let mut rest = read.as_bytes();
                while end.is_none() && !rest.is_empty() {
                    match decoder.next(&mut rest) {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(error) => end = Some(error),
                    }
                }
            }
        });
        let row = format!(
            "{:5.2} times {:2} MiB, {end:?}: HTTP/1.1, {name}",
            used.bytes_max as f64 / limit as f64,
            limit >> 20,
        );
        println!("{row}");
        let is_right = matches!(end, Some(Http1Error::HeadersTooLarge { .. }));
        if !is_right || used.bytes_max > FACTOR * limit as u64 + BESIDE {
            wrong.push(row);
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn a_limit_of_1_mib_holds() {
    try_all(1 << 20);
}

#[test]
fn a_limit_of_64_mib_holds() {
    match std::env::var("UNIFIEDAI_BOMBS") {
        Ok(_) => try_all(64 << 20),
        Err(_) => println!("skipped: set UNIFIEDAI_BOMBS=all"),
    }
}
