//! A client for LLM chat providers whose core does no I/O.
//!
//! A [`ChatRequest`] goes in; [`StreamEvent`]s, a [`UnifiedChatResponse`] or a mapped [`Error`] come out, the same for every
//! provider. In between stands a state machine, [`Exchange`](crate::sans_io::Exchange), that turns the request into HTTP and the bytes that come
//! back into events. It opens no socket, reads no clock, starts no thread and draws no random number: all four are handed
//! in. Three thin transports do that for you, or you do it yourself.
//!
//! # In scope
//! Requests and responses of chat providers, their streams, errors, limits and quirks; retries and deadlines; signing.
//!
//! # Out of scope
//! HTTP itself (the transports bring a client each), prompts, agents, tokenisers, running models.
//!
//! # The loop
//! With a feature on, [`Client`] and [`AsyncClient`] run it. Without one, this is all there is to write:
//!
//! ```
//! use std::{sync::Arc, time::SystemTime};
//! use unifiedai::{sans_io::{Exchange, Input, CallStart, Step}, transport::Time, provider::OpenAiChat, CallOptions, ChatRequest};
//!
//! # fn send(_: http::Request<bytes::Bytes>) -> http::response::Parts { http::Response::new(()).into_parts().0 }
//! # let mut chunks = [r#"{"choices":[{"message":{"content":"Hello."},"finish_reason":"stop"}]}"#].into_iter();
//! # let mut receive = || chunks.next().map(bytes::Bytes::from);
//! let provider = Arc::new(OpenAiChat::cerebras("my-key")?);
//! let request = Arc::new(ChatRequest::new("gpt-oss-120b").user("Say hello."));
//! let mut now = Time::ZERO; // nanoseconds on a clock of yours
//! let start = CallStart::new(now, SystemTime::UNIX_EPOCH, 42); // and the wall clock, and a seed
//! let mut exchange = Exchange::new(provider, request, Arc::new(CallOptions::default()), start)?;
//!
//! let response = loop {
//!     match exchange.poll(now) {
//!         Step::Send { request, .. } => exchange.handle(Input::Headers(send(request)), now),
//!         Step::Receive { .. } => match receive() {
//!             Some(chunk) => exchange.handle(Input::Body(chunk), now),
//!             None => exchange.handle(Input::BodyEnd, now),
//!         },
//!         Step::Sleep { until } => now = until, // wait as your runtime does
//!         Step::Event(event) => print!("{}", event.text().unwrap_or_default()),
//!         Step::Done => break exchange.into_result()?,
//!         _ => unreachable!("a step of a later version"),
//!     }
//! };
//! assert_eq!(response.text(), "Hello.");
//! # Ok::<(), unifiedai::Error>(())
//! ```
//!
//! What to do for each step, and what to tell the machine after it:
//!
//! | [`Step`](crate::sans_io::Step) | do | then [`handle`](crate::sans_io::Exchange::handle) |
//! |---|---|---|
//! | [`Send`](crate::sans_io::Step::Send) | drop any response that is open; send the request within its limits | [`Input::Headers`](crate::sans_io::Input::Headers) when the status and headers are there, [`Input::TransportError`](crate::sans_io::Input::TransportError) if not |
//! | [`Receive`](crate::sans_io::Step::Receive) | read the body on, until the deadline at the latest | [`Input::Body`](crate::sans_io::Input::Body), [`Input::BodyEnd`](crate::sans_io::Input::BodyEnd) where HTTP says that it ends, [`Input::TransportError`](crate::sans_io::Input::TransportError); nothing if the deadline passed |
//! | [`Sleep`](crate::sans_io::Step::Sleep) | drop any response; wait until then | nothing |
//! | [`Event`](crate::sans_io::Step::Event) | hand it to the application | nothing |
//! | [`Done`](crate::sans_io::Step::Done) | drop any response; call [`into_result`](crate::sans_io::Exchange::into_result) | nothing |
//!
//! and [`poll`](crate::sans_io::Exchange::poll) again. A driver that does not wait for the head in `Send` may poll on: it is told to `Receive`, and
//! handles the head when it comes. What is handled at a wrong time ends the call with an error of kind
//! [`Misuse`](ErrorKind::Misuse). Dropping the machine cancels the call.
//!
//! # The states
//! ```text
//!             Exchange::new
//!                  |
//!                  v
//!    +---------> Ready ------ no permit in time, no valid request ----------+
//!    |             |                                                        |
//!    |             | Step::Send                                             |
//!    |             v                                                        |
//!    |         AwaitHead ---- Input::TransportError, a deadline passed -------------+
//!    |             |                                                        |
//!    |             | Input::Headers                                            |
//!    |             v                                                        |
//!    |           ResponseBody ------- Input::TransportError, a deadline passed,             |
//!    |             |          an error status, an error while decoding -----+
//!    |             |                                                        |
//!    |             | Input::Body, Input::BodyEnd: the answer is complete        v
//!    |             v                                                      failed
//!    |          complete                                                  |    |
//!    |          |      |        retry, fallback target, signed again       |    |
//!    +----------+------|--------------------------------------------------+    |
//!      next page       |                                                       |
//!                      v                                                       v
//!                  Done(Ok)                                                Done(Err)
//! ```
//!
//! | state | [`poll`](crate::sans_io::Exchange::poll) returns |
//! |---|---|
//! | `Ready` | `Sleep` before the time of the attempt and while a permit is awaited, else `Send` |
//! | `AwaitHead` | `Receive` |
//! | `ResponseBody` | `Event` for each event, `Receive` when there is none |
//! | `Done` | `Event` for each event that is left, then `Done` |
//!
//! A failure leads to another attempt if the [retry policy](RetryPolicy) or a [fallback](crate::policy::Fallback) allows it and, on a stream, no
//! visible event was decoded. Each attempt starts from nothing: events of an attempt are held back until the first visible one.
//!
//! # Guarantees
//! What the machine guarantees: nothing from the network makes it panic; an answer that was cut is an error, never a
//! short answer; the way in which bytes are cut into chunks changes nothing; memory is bounded by
//! [`CallOptions::sizes`]; after something visible was handed out a failure is final.
//!
//! # Modules
//! The names at the root are what most programs write. The rest is in modules by purpose:
//!
//! | module | has |
//! |---|---|
//! | [`chat`], [`embed`], [`error`] | the rest of the vocabulary of requests, responses and errors |
//! | [`provider`] | the providers, and what a provider of your own needs |
//! | [`transport`] | the transports, the traits for your own, drivers, transports for tests |
//! | [`policy`] | limits of a provider, circuit breakers, fallback |
//! | [`observe`] | observers for logs, traces and metrics |
//! | [`batch`], [`compare`], [`health`] | many calls, one question to several models, whether providers respond |
//! | [`schema`] | JSON schemas in each server's dialect |
//! | [`sans_io`] | the machine, for a runtime of your own |
//! | [`codec`] | decoders of server-sent events and other framings |
//! | [`compat`] | clients in the shapes of the vendors' SDKs |
//!
//! # Features
//! None is on by default, and none changes what another does.
//!
//! | feature | gives |
//! |---|---|
//! | `ureq` | [`transport::UreqTransport`](https://docs.rs/unifiedai-ureq), for [`Client`]: blocking |
//! | `hyper` | [`transport::HyperTransport`](https://docs.rs/unifiedai-hyper), for [`AsyncClient`] on tokio; HTTP/1.1 and HTTP/2 |
//! | `smol` | [`transport::SmolTransport`](https://docs.rs/unifiedai-smol), for [`AsyncClient`] on smol, without tokio's reactor |
//! | `bedrock` | Amazon Bedrock: Converse, ConverseStream, SigV4 |
//! | `schemars` | tools and answer schemas from Rust types |
//! | `tracing` | `TracingObserver`: spans with OpenTelemetry's attributes for generative AI |
//! | `metrics` | `MetricsObserver`: its histograms, through the `metrics` crate |
//! | `testing` | `transport::testing`: a scripted transport, a recorder and a player |
//! | `http1-codec` | [`codec::http1`](codec): raw HTTP/1.1, for programs that have only a socket |

// A test that slices or adds wrongly fails, as it should.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::string_slice))]

mod auth;
pub mod chat;
mod client;
pub mod codec;
pub mod embed;
pub mod error;
mod event;
mod json;
pub mod policy;
pub mod provider;
pub mod sans_io;
pub mod schema;
mod small_vec;
mod string_enum;
pub mod transport;

pub use auth::Secret;
pub use chat::{
    finish::FinishReason,
    message::{Message, Role},
    params::{JsonSchema, ReasoningEffort, ResponseFormat},
    part::{ContentPart, Media},
    request::ChatRequest,
    response::UnifiedChatResponse,
    tool::{Tool, ToolCall, ToolChoice, ToolResult},
    usage::Usage,
};
pub use client::{AsyncClient, Client, batch, compare, compat, health, observe};
pub use embed::{request::EmbedRequest, response::EmbedResponse};
pub use error::{Error, kind::ErrorKind};
pub use event::StreamEvent;
pub use json::Json;
pub use policy::{CallOptions, retry::RetryPolicy, timeouts_and_sizes::Timeouts};
pub use provider::model::Model;
pub use transport::{blocking::ChatStream, nonblocking::AsyncChatStream};

/// The README's snippets, compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The programs in the page for users of Python, compiled.
#[cfg(doctest)]
#[doc = include_str!("../docs/from-python.md")]
struct FromPython;

/// The snippets of the page on networks, compiled.
#[cfg(all(doctest, feature = "ureq", feature = "hyper", feature = "smol"))]
#[doc = include_str!("../docs/network.md")]
struct Networks;
