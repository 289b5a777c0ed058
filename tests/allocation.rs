//! Memory is bounded by configuration, whatever the peer sends, and a text delta costs one allocation.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a test that goes wrong is to stop"
)]

use allocation_counter::{AllocationInfo, measure};
use bytes::Bytes;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use unifiedai::{
    CallOptions, ChatRequest, ErrorKind, RetryPolicy,
    provider::{OpenAiChat, Provider},
    sans_io::{CallStart, Exchange, Input, Step},
    transport::Time,
};

const EVENT: usize = 256 << 10;
const BODY: usize = 1 << 20;
const ERROR_BODY: usize = 64 << 10;
/// The memory of a call with almost nothing to keep.
const BASE: usize = 32 << 10;

/// A malicious response and the memory that it may take.
struct Bomb {
    name: &'static str,
    status: u16,
    stream: bool,
    first: &'static str,
    again: &'static str,
    times: usize,
    /// Repetitions of `again` in one chunk.
    grouped: usize,
    /// Buffers double when they grow; a queued event of one letter takes several times its charged bytes.
    most: usize,
    /// The expected error; `None` for a success.
    end: Option<ErrorKind>,
}

const STREAM: Bomb = Bomb {
    name: "",
    status: 200,
    stream: true,
    first: "data: {\"id\":\"c\",\"model\":\"m\",\"created\":1,\"choices\":[]}\n\n",
    again: "",
    times: 1,
    grouped: 1,
    most: BASE,
    end: Some(ErrorKind::Truncated),
};

const KILO: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
const TEXT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n";
const FINISH: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

fn bombs() -> Vec<Bomb> {
    let too_large = Some(ErrorKind::TooLarge);
    vec![
        Bomb {
            name: "a comment of 10 MB",
            first: ":",
            again: KILO,
            times: 100_000,
            ..STREAM
        },
        Bomb {
            name: "an unknown field of 10 MB",
            first: "x-y",
            again: KILO,
            times: 100_000,
            ..STREAM
        },
        Bomb {
            name: "100,000 comments",
            again: ": ping\n\n",
            times: 100_000,
            ..STREAM
        },
        Bomb {
            name: "an endless data line",
            first: "data: ",
            again: KILO,
            times: 100_000,
            most: 2 * EVENT,
            end: too_large,
            ..STREAM
        },
        Bomb {
            name: "an endless event name",
            first: "event: ",
            again: KILO,
            times: 100_000,
            most: 2 * EVENT,
            end: too_large,
            ..STREAM
        },
        Bomb {
            name: "100,000 empty data lines",
            again: "data:\n",
            times: 100_000,
            most: 2 * EVENT,
            ..STREAM
        },
        Bomb {
            name: "a million empty data lines",
            again: "data:\n",
            times: 1_000_000,
            grouped: 100,
            most: 2 * EVENT,
            end: too_large,
            ..STREAM
        },
        Bomb {
            name: "100,000 events without content",
            again: "data: {\"choices\":[]}\n\n",
            times: 100_000,
            ..STREAM
        },
        Bomb {
            name: "a million events of one letter",
            again: TEXT,
            times: 1_000_000,
            grouped: 10,
            most: BODY,
            end: too_large,
            ..STREAM
        },
        Bomb {
            name: "the same, 100,000 in one chunk",
            again: TEXT,
            times: 100_000,
            grouped: 100_000,
            most: 8 * BODY,
            end: too_large,
            ..STREAM
        },
        Bomb {
            name: "a huge tool index",
            again: "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":4294967295,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}]}\n\n",
            times: 1,
            ..STREAM
        },
        Bomb {
            name: "a huge answer index",
            again: "data: {\"choices\":[{\"index\":4294967295,\"delta\":{\"content\":\"x\"}}]}\n\n",
            ..STREAM
        },
        Bomb {
            name: "100,000 warnings and usages",
            again: "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":2}}\n\n",
            times: 100_000,
            most: 3 * BODY,
            end: too_large,
            ..STREAM
        },
        Bomb {
            name: "100,000 members of one name",
            again: "data: {\"choices\":[],\"citations\":[\"https://example.com/xxxxxxxxxxxx\"]}\n\n",
            times: 100_000,
            most: 5 * BODY,
            end: too_large,
            ..STREAM
        },
        Bomb {
            name: "100,000 pieces of a hidden thought",
            again: "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_details\":[{\"index\":0,\"data\":\"xxxxxxxxxxxxxxxx\"}]}}]}\n\n",
            times: 100_000,
            most: BODY,
            end: too_large,
            ..STREAM
        },
        Bomb {
            name: "100,000 hidden thoughts",
            again: "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_details\":[{\"data\":\"x\"}]}}]}\n\n",
            times: 100_000,
            most: 3 * BODY,
            end: too_large,
            ..STREAM
        },
        Bomb {
            name: "100,000 pieces of a member without a place",
            again: "data: {\"choices\":[{\"index\":0,\"delta\":{\"audio\":{\"data\":\"xxxxxxxxxxxxxxxx\"}}}]}\n\n",
            times: 100_000,
            most: 2 * BODY,
            end: too_large,
            ..STREAM
        },
        Bomb {
            name: "100,000 elements of such a member",
            again: "data: {\"choices\":[{\"index\":0,\"delta\":{\"images\":[1,2,3,4,5,6,7,8,9]}}]}\n\n",
            times: 100_000,
            most: 3 * BODY,
            end: too_large,
            ..STREAM
        },
        Bomb {
            name: "100,000 parts without a place",
            again: "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":[{\"type\":\"x\"}]}}]}\n\n",
            times: 100_000,
            most: 3 * BODY,
            end: too_large,
            ..STREAM
        },
        Bomb {
            name: "100,000 calls of another type",
            again: "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":1,\"type\":\"x\",\"x\":{\"y\":\"z\"}}]}}]}\n\n",
            times: 100_000,
            most: 3 * BODY,
            end: too_large,
            ..STREAM
        },
        Bomb {
            name: "the message so far, 100,000 times",
            again: "data: {\"choices\":[{\"index\":0,\"message\":{\"content\":\"xxxxxxxxxxxxxxxx\",\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}]}\n\n",
            times: 100_000,
            most: 3 * BODY,
            end: too_large,
            ..STREAM
        },
        Bomb {
            name: "a text after its finish",
            first: FINISH,
            again: TEXT,
            times: 100_000,
            end: None,
            ..STREAM
        },
        Bomb {
            name: "white space for an answer",
            first: " ",
            again: "\n\n\n\n\n\n\n\n\n\n",
            times: 100_000,
            ..STREAM
        },
        Bomb {
            name: "a JSON body of 10 MB",
            stream: false,
            first: "{\"x\":\"",
            again: KILO,
            times: 100_000,
            most: 3 * BODY,
            end: too_large,
            ..STREAM
        },
        Bomb {
            name: "half a million brackets",
            stream: false,
            first: "{\"usage\":",
            again: "[",
            times: 500_000,
            grouped: 1000,
            most: 3 * BODY,
            ..STREAM
        },
        Bomb {
            name: "an event of deep brackets",
            first: "data: {\"usage\":",
            again: "[",
            times: 200_000,
            grouped: 1000,
            most: 3 * EVENT,
            ..STREAM
        },
        Bomb {
            name: "an error body of 10 MB",
            status: 500,
            first: "{\"error\":{\"message\":\"",
            again: KILO,
            times: 100_000,
            most: 6 * ERROR_BODY,
            end: Some(ErrorKind::InternalServer),
            ..STREAM
        },
        Bomb {
            name: "a gateway's page of 10 MB",
            status: 502,
            first: "<html>",
            again: KILO,
            times: 100_000,
            most: 6 * ERROR_BODY,
            end: Some(ErrorKind::InternalServer),
            ..STREAM
        },
    ]
}

#[test]
fn no_response_exceeds_the_memory_limit() {
    let mut wrong = Vec::new();
    for bomb in bombs() {
        let provider: Arc<dyn Provider> = Arc::new(OpenAiChat::cerebras("key").unwrap());
        let chunk = Bytes::from(bomb.again.repeat(bomb.grouped));
        let first = Bytes::from_static(bomb.first.as_bytes());
        let chunks = bomb.times / bomb.grouped;
        let mut end = None;
        let used = measure(|| {
            let pieces = std::iter::once(&first).chain(std::iter::repeat_n(&chunk, chunks));
            end = run(&provider, bomb.stream, bomb.status, pieces).err();
        });
        let most = used.bytes_max;
        println!(
            "{:7} KiB at most, of {:6} allowed: {}",
            most >> 10,
            bomb.most >> 10,
            bomb.name
        );
        if most > bomb.most as u64 {
            wrong.push(format!("{}: {most} bytes", bomb.name));
        }
        if end != bomb.end {
            wrong.push(format!("{}: it ended with {end:?}", bomb.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

// The event's own text. The accumulated response grows by doubling.
#[test]
fn text_delta_costs_one_allocation() {
    let provider: Arc<dyn Provider> = Arc::new(OpenAiChat::cerebras("key").unwrap());
    let count = |deltas: usize| -> AllocationInfo {
        let delta = Bytes::from_static(TEXT.as_bytes());
        let finish = Bytes::from_static(FINISH.as_bytes());
        measure(|| {
            let pieces = std::iter::repeat_n(&delta, deltas).chain([&finish]);
            assert!(run(&provider, true, 200, pieces).is_ok());
        })
    };
    count(10);
    let (few, many) = (count(1000).count_total, count(2000).count_total);
    let each = (many - few) as f64 / 1000.0;
    println!("{each} allocations for each piece of text, {few} for 1000 of them");
    assert!(each <= 1.05, "{each} allocations for each piece of text");
}

#[test]
fn dropped_call_leaves_no_state() {
    let provider: Arc<dyn Provider> = Arc::new(OpenAiChat::cerebras("key").unwrap());
    let delta = Bytes::from_static(TEXT.as_bytes());
    let left = |chunks: usize| {
        measure(|| {
            let _ = run(&provider, true, 200, std::iter::repeat_n(&delta, chunks));
        })
        .bytes_current
    };
    left(1);
    assert_eq!((left(10), left(1000)), (0, 0));
}

fn run<'a>(
    provider: &Arc<dyn Provider>,
    stream: bool,
    status: u16,
    mut pieces: impl Iterator<Item = &'a Bytes>,
) -> Result<(), ErrorKind> {
    let mut options = CallOptions::default();
    options.retry = RetryPolicy::none();
    options.sizes.event = EVENT;
    options.sizes.body = BODY;
    options.sizes.error_body = ERROR_BODY;
    let request = ChatRequest::new("m").user("x").stream(stream);
    let start = CallStart::new(Time::ZERO, SystemTime::UNIX_EPOCH, 0);
    let mut exchange = Exchange::new(
        provider.clone(),
        Arc::new(request),
        Arc::new(options),
        start,
    )
    .unwrap();
    let mut now = Time::ZERO;
    loop {
        now = now.saturating_add(Duration::from_nanos(1));
        match exchange.poll(now) {
            Step::Send { .. } => {
                let kind = if stream {
                    "text/event-stream"
                } else {
                    "application/json"
                };
                let head = http::Response::builder()
                    .status(status)
                    .header("content-type", kind);
                let head = head.body(()).unwrap();
                exchange.handle(Input::Headers(head.into_parts().0), now);
            }
            Step::Receive { .. } => {
                exchange.handle(
                    pieces
                        .next()
                        .map_or(Input::BodyEnd, |piece| Input::Body(piece.clone())),
                    now,
                );
            }
            Step::Event(_) => {}
            Step::Done => break,
            step => panic!("not expected: {step:?}"),
        }
    }
    exchange
        .into_result()
        .map(drop)
        .map_err(|error| error.kind())
}
