//! The costs of the core, each next to a baseline: the least work that any implementation must do.
//!
//! ```text
//! cargo bench --all-features --bench core
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a program that measures"
)]

use bytes::Bytes;
use divan::{AllocProfiler, Bencher, black_box, counter::ItemsCount};
use serde::Serialize;
use std::{borrow::Cow, fmt::Write as _, sync::Arc, time::Duration};
use unifiedai::{
    CallOptions, ChatRequest, Message,
    codec::sse::SseDecoder,
    provider::{AwsCredentials, OpenAiChat, Provider, Signer},
    sans_io::{CallStart, Exchange, Input, Step},
    transport::Time,
};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

const EVENTS: usize = 500;
/// The size of one read from a socket.
const CHUNK: usize = 16 * 1024;

/// An event of about 250 bytes. If chunks differ, the fingerprint is different in each.
fn event(n: usize, differ: bool) -> String {
    let word = ["lorem", "quick", "brown", "stream"][n % 4];
    let mark = if differ { n } else { 0 };
    format!(
        "{{\"id\":\"chatcmpl-7b1dcdaf-a839-4220-ae78-9e6aa1b965f4\",\"choices\":[{{\"delta\":{{\"content\":\" {word}\"}},\
         \"index\":0}}],\"created\":1795385367,\"model\":\"a-model-of-some-size\",\"system_fingerprint\":\
         \"fp_{mark:022}\",\"object\":\"chat.completion.chunk\"}}"
    )
}

fn stream(events: usize, differ: bool) -> Bytes {
    let mut body = String::new();
    for n in 0..events {
        let _ = write!(body, "data: {}\n\n", event(n, differ));
    }
    let end = event(0, differ).replace("\"index\":0", "\"index\":0,\"finish_reason\":\"stop\"");
    let _ = write!(body, "data: {end}\n\ndata: [DONE]\n\n");
    body.into()
}

mod an_event {
    use super::*;

    /// The baseline: its JSON is skipped.
    #[divan::bench]
    fn floor_json_skipped(bencher: Bencher<'_, '_>) {
        let events: Vec<String> = (0..EVENTS).map(|n| event(n, false)).collect();
        bencher.counter(ItemsCount::new(EVENTS)).bench(|| {
            for event in &events {
                black_box(serde_json::from_str::<serde::de::IgnoredAny>(event)).unwrap();
            }
        });
    }

    /// The baseline for the reader: `serde_json` reads it into a structure with the members that the decoder uses.
    #[divan::bench]
    fn floor_json_read_by_serde(bencher: Bencher<'_, '_>) {
        let events: Vec<String> = (0..EVENTS).map(|n| event(n, true)).collect();
        bencher.counter(ItemsCount::new(EVENTS)).bench(|| {
            for event in &events {
                black_box(serde_json::from_str::<Chunk<'_>>(event)).unwrap();
            }
        });
    }

    #[derive(serde::Deserialize)]
    #[expect(dead_code, reason = "read, and not used")]
    struct Chunk<'a> {
        #[serde(borrow)]
        id: Option<Cow<'a, str>>,
        choices: Vec<Choice<'a>>,
        created: Option<u64>,
        #[serde(borrow)]
        model: Option<Cow<'a, str>>,
        #[serde(borrow)]
        system_fingerprint: Option<Cow<'a, str>>,
        #[serde(borrow)]
        usage: Option<&'a serde_json::value::RawValue>,
    }

    #[derive(serde::Deserialize)]
    #[expect(dead_code, reason = "read, and not used")]
    struct Choice<'a> {
        index: Option<u64>,
        #[serde(borrow)]
        delta: Delta<'a>,
        #[serde(borrow)]
        finish_reason: Option<Cow<'a, str>>,
    }

    #[derive(serde::Deserialize)]
    #[expect(dead_code, reason = "read, and not used")]
    struct Delta<'a> {
        #[serde(borrow)]
        content: Option<Cow<'a, str>>,
        #[serde(borrow)]
        reasoning: Option<Cow<'a, str>>,
        #[serde(borrow)]
        tool_calls: Option<&'a serde_json::value::RawValue>,
    }

    #[divan::bench]
    fn framed(bencher: Bencher<'_, '_>) {
        let body = stream(EVENTS, false);
        bencher.counter(ItemsCount::new(EVENTS)).bench(|| {
            let mut decoder = SseDecoder::new(1 << 20);
            for chunk in body.chunks(CHUNK) {
                let mut rest = chunk;
                while let Some(event) = decoder.next(&mut rest).unwrap() {
                    black_box(event.data);
                }
            }
        });
    }

    /// Framed, decoded, and emitted as `StreamEvent`s.
    #[divan::bench(args = [false, true])]
    fn decoded(bencher: Bencher<'_, '_>, chunks_differ: bool) {
        let chunks = cut(&stream(EVENTS, chunks_differ));
        bencher
            .counter(ItemsCount::new(EVENTS))
            .with_inputs(|| streaming(chunks.clone()))
            .bench_values(|(exchange, chunks)| drain(exchange, chunks));
    }
}

mod one_large_event {
    use super::*;

    /// The time per byte must not grow.
    #[divan::bench(args = [40_000, 400_000, 4_000_000])]
    fn decoded(bencher: Bencher<'_, '_>, bytes: usize) {
        let text = "x".repeat(bytes);
        let body = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
        let chunks = cut(&body.into());
        bencher
            .counter(divan::counter::BytesCount::new(bytes))
            .with_inputs(|| streaming(chunks.clone()))
            .bench_values(|(exchange, chunks)| drain(exchange, chunks));
    }
}

mod a_request_with_100_messages {
    use super::*;

    #[derive(Serialize)]
    struct Plain<'a> {
        model: &'a str,
        messages: Vec<PlainMessage<'a>>,
    }

    #[derive(Serialize)]
    struct PlainMessage<'a> {
        role: &'a str,
        content: &'a str,
    }

    fn text() -> String {
        "Some words that a user wrote, \"quoted\" and with a line break.\n".repeat(8)
    }

    /// The baseline: a structure with the same content, serialised by `serde_json`.
    #[divan::bench]
    fn floor_plain_structure(bencher: Bencher<'_, '_>) {
        let text = text();
        let messages = (0..100).map(|n| PlainMessage {
            role: if n % 2 == 0 { "user" } else { "assistant" },
            content: &text,
        });
        let plain = Plain {
            model: "m",
            messages: messages.collect(),
        };
        bencher.bench(|| serde_json::to_vec(black_box(&plain)).unwrap());
    }

    #[divan::bench]
    fn encoded(bencher: Bencher<'_, '_>) {
        let text = text();
        let provider = OpenAiChat::cerebras("key").unwrap();
        let mut request = ChatRequest::new("m");
        request.messages = (0..100)
            .map(|n| match n % 2 {
                0 => Message::user(&*text),
                _ => Message::assistant(&*text),
            })
            .collect();
        bencher.bench(|| provider.encode_chat(black_box(&request)).unwrap());
    }
}

/// The signature of a Bedrock request with a body of 2 KB.
#[divan::bench]
fn a_signature(bencher: Bencher<'_, '_>) {
    let credentials = AwsCredentials::new("AKID", "secret", None).unwrap();
    let signer = Signer::new(credentials, "us-east-1", "bedrock").unwrap();
    let url = "https://bedrock-runtime.us-east-1.amazonaws.com/model/m%3A0/converse";
    let wall = std::time::UNIX_EPOCH + Duration::from_secs(1_795_385_367);
    let body = Bytes::from("x".repeat(2048));
    bencher
        .with_inputs(|| http::Request::post(url).body(body.clone()).unwrap())
        .bench_values(|mut request| {
            signer.apply(&mut request, wall).unwrap();
            request
        });
}

fn cut(body: &Bytes) -> Vec<Bytes> {
    (0..body.len())
        .step_by(CHUNK)
        .map(|at| body.slice(at..body.len().min(at + CHUNK)))
        .collect()
}

/// An exchange whose request was sent and whose response begins.
fn streaming(chunks: Vec<Bytes>) -> (Exchange, Vec<Bytes>) {
    let provider: Arc<dyn Provider> = Arc::new(OpenAiChat::cerebras("key").unwrap());
    let request = ChatRequest::new("m")
        .message(Message::user("Hi"))
        .stream(true);
    let start = CallStart::new(Time::ZERO, std::time::UNIX_EPOCH, 1);
    let options = Arc::new(CallOptions::default());
    let mut exchange = Exchange::new(provider, Arc::new(request), options, start).unwrap();
    assert!(matches!(exchange.poll(Time::ZERO), Step::Send { .. }));
    let response = http::Response::builder().header("content-type", "text/event-stream");
    let (head, ()) = response.body(()).unwrap().into_parts();
    exchange.handle(Input::Headers(head), Time::ZERO);
    (exchange, chunks)
}

fn drain(mut exchange: Exchange, chunks: Vec<Bytes>) -> Exchange {
    for chunk in chunks {
        exchange.handle(Input::Body(chunk), Time::ZERO);
        while let Step::Event(event) = exchange.poll(Time::ZERO) {
            black_box(event);
        }
    }
    exchange
}
