//! The memory of parsed JSON is bounded by the limit on its text, for each API and each operation.
//!
//! A bomb is a text of many small elements, each of which needs more memory than its text. Limits of 1 and 4 MiB are
//! always tested. A limit of 64 MiB is tested with `UNIFIEDAI_BOMBS=all`, or with the name of an API, and takes
//! minutes without optimisation.

#![cfg(feature = "bedrock")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a test that goes wrong is to stop"
)]

#[path = "gemini_interactions/bombs.rs"]
mod interactions;

use allocation_counter::measure;
use bytes::Bytes;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use unifiedai::{
    CallOptions, ChatRequest, EmbedRequest, RetryPolicy,
    codec::event_stream::{HeaderValue, encode_message},
    provider::{
        Anthropic, Bedrock, Cohere, Gemini, GeminiInteractions, Ollama, OpenAiChat,
        OpenAiResponses, Provider,
    },
    sans_io::{CallStart, Exchange, Input, Operation, Step},
    transport::Time,
};

/// Promised by `docs/testing.md`: a call takes at most this many times its limit, plus a constant.
const FACTOR: u64 = 8;
const BESIDE: u64 = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// A single JSON body.
    Whole,
    /// A stream of one event.
    Event,
    /// A stream of many events with one repetition each.
    Events,
    /// An error body, which has its own limit.
    Failure,
    Models,
    Embed,
}

struct Bomb {
    wire: &'static str,
    kind: Kind,
    first: &'static str,
    again: &'static str,
    last: &'static str,
}

const fn bomb(
    wire: &'static str,
    kind: Kind,
    first: &'static str,
    again: &'static str,
    last: &'static str,
) -> Bomb {
    Bomb {
        wire,
        kind,
        first,
        again,
        last,
    }
}

use Kind::{Embed, Event, Events, Failure, Models, Whole};

const BOMBS: &[Bomb] = &[
    bomb("anthropic", Whole, r#"{"content":["#, "{},", "{}]}"),
    bomb("anthropic", Whole, r#"{"content":["#, "[],", "[]]}"),
    bomb(
        "anthropic",
        Whole,
        r#"{"content":["#,
        r#"{"type":"x"},"#,
        "{}]}",
    ),
    bomb(
        "anthropic",
        Whole,
        r#"{"content":[{"type":"text","text":"a","citations":["#,
        "{},",
        "{}]}]}",
    ),
    bomb(
        "anthropic",
        Whole,
        r#"{"content":[{"type":"tool_use","name":"f","#,
        r#""a":1,"#,
        r#""b":1}]}"#,
    ),
    bomb(
        "anthropic",
        Whole,
        r#"{"content":[{"type":"text","#,
        r#""a":1,"#,
        r#""b":1}]}"#,
    ),
    bomb(
        "anthropic",
        Whole,
        r#"{"content":[],"usage":{"#,
        r#""a":1,"#,
        r#""b":1}}"#,
    ),
    bomb(
        "anthropic",
        Whole,
        r#"{"content":[{"type":"tool_use","name":"f","input":{"#,
        r#""":0,"#,
        r#""":0}}]}"#,
    ),
    bomb(
        "anthropic",
        Event,
        r#"{"type":"message_start","message":{"id":"1","content":["#,
        "{},",
        "{}]}}",
    ),
    bomb(
        "anthropic",
        Event,
        r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"x","#,
        r#""a":1,"#,
        r#""b":1}}"#,
    ),
    bomb(
        "anthropic",
        Events,
        r#"{"type":"message_start","message":{"id":"1"}}"#,
        r#"{"type":"content_block_delta","delta":{"type":"citations_delta","citation":{}}}"#,
        "",
    ),
    bomb(
        "anthropic",
        Events,
        r#"{"type":"message_start","message":{"id":"1"}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":""},"usage":{"a":1}}"#,
        "",
    ),
    bomb(
        "anthropic",
        Events,
        r#"{"type":"message_start","message":{"id":"1"}}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"x"}}"#,
        "",
    ),
    bomb(
        "anthropic",
        Models,
        r#"{"data":["#,
        r#"{"id":"a"},"#,
        "{}]}",
    ),
    bomb(
        "anthropic",
        Failure,
        r#"{"error":{"message":"m","details":["#,
        "1,",
        "1]}}",
    ),
    bomb("gemini", Whole, r#"{"candidates":["#, "{},", "{}]}"),
    bomb("gemini", Whole, "[", "{},", "{}]"),
    bomb(
        "gemini",
        Whole,
        r#"{"candidates":[{"content":{"parts":["#,
        "{},",
        "{}]}}]}",
    ),
    bomb(
        "gemini",
        Whole,
        r#"{"candidates":[{"content":{"parts":["#,
        r#"{"a":1},"#,
        "{}]}}]}",
    ),
    bomb(
        "gemini",
        Whole,
        r#"{"candidates":[{"content":{"parts":["#,
        r#"{"text":"a"},{"text":"b","thought":true},"#,
        "{}]}}]}",
    ),
    bomb(
        "gemini",
        Whole,
        r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"groundingMetadata":{"groundingChunks":["#,
        "{},",
        "{}]}}]}",
    ),
    bomb(
        "gemini",
        Whole,
        r#"{"candidates":[{"logprobsResult":{"chosenCandidates":["#,
        r#"{"token":"","logProbability":0},"#,
        "{}]}}]}",
    ),
    bomb(
        "gemini",
        Whole,
        r#"{"candidates":[{"logprobsResult":{"topCandidates":["#,
        "{},",
        "{}]}}]}",
    ),
    bomb(
        "gemini",
        Whole,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","partialArgs":["#,
        "{},",
        "{}]}}]}}]}",
    ),
    bomb(
        "gemini",
        Whole,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","partialArgs":["#,
        "{\"jsonPath\":\"$.NUMBER.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a\"},",
        "{}]}}]}}]}",
    ),
    bomb(
        "gemini",
        Event,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","partialArgs":["#,
        r#"{"jsonPath":"$.l[NUMBER]"},"#,
        "{}]}}]}}]}",
    ),
    bomb(
        "gemini",
        Events,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","willContinue":true}}]}}]}"#,
        "{\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"partialArgs\":[{\"jsonPath\":\"$.NUMBER.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a\"}],\"willContinue\":true}}]}}]}",
        "",
    ),
    bomb(
        "gemini",
        Events,
        r#"{"candidates":[]}"#,
        r#"{"candidates":[{"groundingMetadata":{"groundingChunks":[{}]}}]}"#,
        "",
    ),
    bomb(
        "gemini",
        Models,
        r#"{"models":["#,
        r#"{"name":"a"},"#,
        "{}]}",
    ),
    bomb(
        "gemini",
        Embed,
        r#"{"embeddings":["#,
        r#"{"values":[1]},"#,
        r#"{"values":[1]}]}"#,
    ),
    bomb(
        "gemini",
        Embed,
        r#"{"embeddings":[{"values":["#,
        "1,",
        "1]}]}",
    ),
    bomb(
        "gemini",
        Failure,
        r#"[{"error":{"details":["#,
        "{},",
        "{}]}}]",
    ),
    bomb(
        "bedrock",
        Whole,
        r#"{"output":{"message":{"content":["#,
        "{},",
        "{}]}}}",
    ),
    bomb(
        "bedrock",
        Whole,
        r#"{"output":{"message":{"content":["#,
        r#"{"text":"a"},"#,
        "{}]}}}",
    ),
    bomb(
        "bedrock",
        Whole,
        r#"{"output":{"message":{"content":[{"citationsContent":{"content":["#,
        "{},",
        "{}]}}]}}}",
    ),
    bomb(
        "bedrock",
        Whole,
        r#"{"output":{"message":{"content":[{"citationsContent":{"citations":["#,
        "{},",
        "{}]}}]}}}",
    ),
    bomb(
        "bedrock",
        Whole,
        r#"{"output":{"message":{"content":[{"citationsContent":{"citations":[{"sourceContent":["#,
        "{},",
        "{}]}]}}]}}}",
    ),
    bomb(
        "bedrock",
        Event,
        r#"contentBlockDelta {"delta":{"toolResult":["#,
        "1,",
        "1]}}",
    ),
    bomb(
        "bedrock",
        Events,
        r#"contentBlockStart {"contentBlockIndex":1,"start":{"toolResult":{"toolUseId":"1"}}}"#,
        r#"contentBlockDelta {"contentBlockIndex":1,"delta":{"toolResult":[1,1,1,1,1,1,1,1]}}"#,
        "",
    ),
    bomb(
        "bedrock",
        Events,
        r#"messageStart {"role":"assistant"}"#,
        r#"contentBlockDelta {"contentBlockIndex":1,"delta":{"reasoningContent":{"redactedContent":"YQ=="}}}"#,
        "",
    ),
    bomb(
        "bedrock",
        Events,
        r#"messageStart {"role":"assistant"}"#,
        r#"contentBlockStart {"contentBlockIndex":NUMBER,"start":{"image":{}}}"#,
        "",
    ),
    bomb(
        "bedrock",
        Events,
        r#"messageStart {"role":"assistant"}"#,
        r#"contentBlockDelta {"contentBlockIndex":1,"delta":{"citation":{}}}"#,
        "",
    ),
    bomb(
        "bedrock",
        Models,
        r#"{"modelSummaries":["#,
        r#"{"modelId":"a"},"#,
        "{}]}",
    ),
    bomb("bedrock", Failure, r#"{"message":"m","x":["#, "[1],", "1]}"),
    bomb(
        "cohere",
        Whole,
        r#"{"message":{"content":["#,
        "{},",
        "{}]}}",
    ),
    bomb(
        "cohere",
        Whole,
        r#"{"message":{"tool_calls":["#,
        "{},",
        "{}]}}",
    ),
    bomb(
        "cohere",
        Whole,
        r#"{"message":{"citations":["#,
        "{},",
        "{}]}}",
    ),
    bomb(
        "cohere",
        Whole,
        r#"{"message":{"citations":[{"sources":["#,
        "{},",
        "{}]}]}}",
    ),
    bomb(
        "cohere",
        Whole,
        r#"{"message":{},"logprobs":["#,
        r#"{"logprobs":[1]},"#,
        "{}]}",
    ),
    bomb(
        "cohere",
        Whole,
        r#"{"message":{},"logprobs":[{"logprobs":["#,
        "1,",
        "1]}]}",
    ),
    bomb(
        "cohere",
        Events,
        r#"{"type":"message-start"}"#,
        r#"{"type":"citation-start","delta":{"message":{"citations":{}}}}"#,
        "",
    ),
    bomb(
        "cohere",
        Models,
        r#"{"models":["#,
        r#"{"name":"a"},"#,
        "{}]}",
    ),
    bomb("cohere", Embed, r#"{"embeddings":["#, "[1],", "[1]]}"),
    bomb(
        "ollama",
        Whole,
        r#"{"message":{"tool_calls":["#,
        "{},",
        "{}]}}",
    ),
    bomb(
        "ollama",
        Whole,
        r#"{"logprobs":["#,
        r#"{"token":"","logprob":1},"#,
        "{}]}",
    ),
    bomb(
        "ollama",
        Whole,
        r#"{"logprobs":[{"token":"","logprob":1,"top_logprobs":["#,
        r#"{"logprob":1},"#,
        "{}]}]}",
    ),
    bomb(
        "ollama",
        Whole,
        r#"{"logprobs":[{"token":"","logprob":1,"bytes":["#,
        "1,",
        "1]}]}",
    ),
    bomb(
        "ollama",
        Models,
        r#"{"models":["#,
        r#"{"name":"a"},"#,
        "{}]}",
    ),
    bomb("openai-chat", Whole, r#"{"choices":["#, "{},", "{}]}"),
    bomb(
        "openai-chat",
        Whole,
        r#"{"choices":[{"message":{"content":["#,
        "{},",
        "{}]}}]}",
    ),
    bomb(
        "openai-chat",
        Whole,
        r#"{"choices":[{"message":{"tool_calls":["#,
        "{},",
        "{}]}}]}",
    ),
    bomb(
        "openai-chat",
        Whole,
        r#"{"choices":[{"message":{"annotations":["#,
        "{},",
        "{}]}}]}",
    ),
    bomb(
        "openai-chat",
        Whole,
        r#"{"choices":[{"message":{"reasoning_details":["#,
        "{},",
        "{}]}}]}",
    ),
    bomb(
        "openai-chat",
        Whole,
        r#"{"choices":[{"message":{"reasoning_details":[{"#,
        r#""a":1,"#,
        r#""b":1}]}}]}"#,
    ),
    bomb(
        "openai-chat",
        Whole,
        r#"{"choices":[{"message":{},"logprobs":{"content":["#,
        r#"{"token":"","logprob":1},"#,
        "{}]}}]}",
    ),
    bomb(
        "openai-chat",
        Whole,
        r#"{"citations":["#,
        r#""","#,
        r#"""],"choices":[]}"#,
    ),
    bomb(
        "openai-chat",
        Event,
        r#"{"choices":[{"delta":{"tool_calls":["#,
        "{},",
        "{}]}}]}",
    ),
    bomb(
        "openai-chat",
        Models,
        r#"{"data":["#,
        r#"{"id":"a"},"#,
        "{}]}",
    ),
    bomb("openai-chat", Models, "[", r#"{"id":"a"},"#, "{}]"),
    bomb(
        "openai-chat",
        Embed,
        r#"{"data":["#,
        r#"{"embedding":[1]},"#,
        r#"{"embedding":[1]}]}"#,
    ),
    bomb(
        "openai-chat",
        Failure,
        r#"{"error":{"#,
        r#""NUMBER":1,"#,
        r#""b":1}}"#,
    ),
    bomb("openai-responses", Whole, r#"{"output":["#, "{},", "{}]}"),
    bomb(
        "openai-responses",
        Whole,
        r#"{"output":[{"type":"message","content":["#,
        "{},",
        "{}]}]}",
    ),
    bomb(
        "openai-responses",
        Whole,
        r#"{"output":[{"type":"message","content":[{"type":"output_text","text":"a","annotations":["#,
        "{},",
        "{}]}]}]}",
    ),
    bomb(
        "openai-responses",
        Whole,
        r#"{"output":[{"type":"reasoning","summary":["#,
        "{},",
        "{}]}]}",
    ),
    bomb(
        "openai-responses",
        Event,
        r#"{"type":"response.completed","response":{"output":["#,
        "{},",
        "{}]}}",
    ),
];

fn provider(wire: &str) -> Arc<dyn Provider> {
    match wire {
        "anthropic" => Arc::new(Anthropic::new("k").unwrap()),
        "gemini" => Arc::new(Gemini::new("k").unwrap()),
        "gemini-interactions" => Arc::new(GeminiInteractions::new("k").unwrap()),
        "bedrock" => {
            let builder = Bedrock::builder().region("us-east-1").api_key("k").unwrap();
            Arc::new(builder.build().unwrap())
        }
        "cohere" => Arc::new(Cohere::new("k").unwrap()),
        "ollama" => Arc::new(Ollama::builder().build().unwrap()),
        "openai-chat" => Arc::new(OpenAiChat::cerebras("k").unwrap()),
        _ => Arc::new(OpenAiResponses::new("k").unwrap()),
    }
}

/// The body of a bomb that just fits `limit` bytes; four times as much for many events.
fn body(bomb: &Bomb, limit: usize) -> Bytes {
    let mut body = Vec::with_capacity(4 * limit + 4096);
    let event = |body: &mut Vec<u8>, event: &str| match bomb.wire {
        "bedrock" => {
            let (name, data) = event.split_once(' ').unwrap();
            let headers = [
                (":message-type", HeaderValue::String("event")),
                (":event-type", HeaderValue::String(name)),
            ];
            body.extend(encode_message(&headers, data.as_bytes()).unwrap());
        }
        _ => body.extend(format!("data: {event}\n\n").bytes()),
    };
    let numbered = |number: usize| bomb.again.replace("NUMBER", &number.to_string());
    if bomb.kind == Events {
        event(&mut body, bomb.first);
        let mut number = 0;
        while body.len() < 4 * limit {
            event(&mut body, &numbered(number));
            number += 1;
        }
        return body.into();
    }
    let mut text = String::with_capacity(limit);
    text.push_str(bomb.first);
    let room = limit - bomb.last.len() - 256;
    let mut number = 0;
    while text.len() + bomb.again.len() + 16 < room {
        match bomb.again.contains("NUMBER") {
            true => text.push_str(&numbered(number)),
            false => text.push_str(bomb.again),
        }
        number += 1;
    }
    text.push_str(bomb.last);
    match bomb.kind {
        Event => event(&mut body, &text),
        _ => body = text.into_bytes(),
    }
    body.into()
}

fn run<O: Operation>(mut exchange: Exchange<O>, bomb: &Bomb, body: &Bytes) {
    let mut at = 0;
    let mut now = Time::ZERO;
    loop {
        now = now.saturating_add(Duration::from_nanos(1));
        match exchange.poll(now) {
            Step::Send { .. } => {
                let media_type = match (bomb.kind, bomb.wire) {
                    (Event | Events, "bedrock") => "application/vnd.amazon.eventstream",
                    (Event | Events, _) => "text/event-stream",
                    _ => "application/json",
                };
                let status = if bomb.kind == Failure { 400 } else { 200 };
                let head = http::Response::builder().status(status);
                let head = head.header("content-type", media_type).body(()).unwrap();
                exchange.handle(Input::Headers(head.into_parts().0), now);
            }
            Step::Receive { .. } => {
                let end = (at + (16 << 10)).min(body.len());
                let input = match at < end {
                    true => Input::Body(body.slice(at..end)),
                    false => Input::BodyEnd,
                };
                at = end;
                exchange.handle(input, now);
            }
            Step::Event(_) => {}
            Step::Done => break,
            step => panic!("not expected: {step:?}"),
        }
    }
    let _ = exchange.into_result();
}

fn explode(bomb: &Bomb, limit: usize) -> u64 {
    let provider = provider(bomb.wire);
    let body = body(bomb, limit);
    let mut options = CallOptions::default();
    options.retry = RetryPolicy::none();
    options.sizes.event = limit;
    options.sizes.body = limit;
    options.sizes.error_body = limit;
    let options = Arc::new(options);
    let start = || CallStart::new(Time::ZERO, SystemTime::UNIX_EPOCH, 0);
    let used = measure(|| match bomb.kind {
        Models => run(
            Exchange::list_models(provider, options, start()).unwrap(),
            bomb,
            &body,
        ),
        Embed => {
            let request = Arc::new(EmbedRequest::new("m").text("x"));
            run(
                Exchange::embed(provider, request, options, start()).unwrap(),
                bomb,
                &body,
            );
        }
        kind => {
            let stream = matches!(kind, Event | Events);
            let request = Arc::new(ChatRequest::new("m").user("x").stream(stream));
            run(
                Exchange::new(provider, request, options, start()).unwrap(),
                bomb,
                &body,
            );
        }
    });
    used.bytes_max
}

fn try_all(limit: usize, wire: &str) {
    let mut wrong = Vec::new();
    for bomb in BOMBS.iter().chain(interactions::BOMBS) {
        if wire != "all" && wire != bomb.wire {
            continue;
        }
        let limit = match bomb.kind {
            // No more of an error body is read.
            Failure => limit.min(4 << 20),
            _ => limit,
        };
        let most = explode(bomb, limit);
        let row = format!(
            "{:5.2} times {:2} MiB: {} {:?} {}{}",
            most as f64 / limit as f64,
            limit >> 20,
            bomb.wire,
            bomb.kind,
            bomb.first,
            bomb.again,
        );
        println!("{row}");
        if most > FACTOR * limit as u64 + BESIDE {
            wrong.push(row);
        }
    }
    assert!(
        wrong.is_empty(),
        "{} too large:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn a_limit_of_1_mib_holds() {
    try_all(1 << 20, "all");
}

#[test]
fn a_limit_of_4_mib_holds() {
    try_all(4 << 20, "all");
}

#[test]
fn a_limit_of_64_mib_holds() {
    match std::env::var("UNIFIEDAI_BOMBS") {
        Ok(wire) => try_all(64 << 20, &wire),
        Err(_) => println!("skipped: set UNIFIEDAI_BOMBS=all"),
    }
}
