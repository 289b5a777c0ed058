//! A client for LLM chat providers whose core does no I/O.
//!
//! The input is a [`ChatRequest`]. The output is [`StreamEvent`]s, a [`UnifiedChatResponse`] or an [`Error`], in the same
//! form for every provider. Between them is a state machine, [`Exchange`](crate::sans_io::Exchange). It turns the request
//! into HTTP requests, and response bytes into events. It opens no socket, reads no clock, starts no thread and draws no
//! random number: the caller supplies all four. Three small transports do that; a program can also do it itself.
//!
//! ```
//! use unifiedai::{ChatRequest, Client, provider::OpenAiChat};
//! # #[cfg(feature = "ureq")]
//! # fn example() -> Result<(), unifiedai::Error> {
//! use unifiedai::transport::UreqTransport;
//!
//! let client = Client::new(UreqTransport::new(), OpenAiChat::cerebras("my-key")?);
//! let response = client.chat(ChatRequest::new("gpt-oss-120b").user("Say hello."))?;
//! println!("{}", response.text());
//! # Ok(())
//! # }
//! ```
//!
//! # In scope
//! Requests and responses of chat providers, their streams, errors, limits and quirks; retries and deadlines; signing.
//!
//! # Out of scope
//! HTTP itself (each transport uses an HTTP client library), prompt templates, agents, tokenisers, running models.
//!
//! # The loop
//! With a transport's feature enabled, [`Client`] and [`AsyncClient`] run this loop. Without one, a program writes it:
//!
//! ```
//! use std::{sync::Arc, time::SystemTime};
//! use unifiedai::{sans_io::{Exchange, Input, CallStart, Step}, transport::Time, provider::OpenAiChat, CallOptions, ChatRequest};
//!
//! # fn send(_: http::Request<unifiedai::transport::RequestBody>) -> http::response::Parts { http::Response::new(()).into_parts().0 }
//! # let mut chunks = [r#"{"choices":[{"message":{"content":"Hello."},"finish_reason":"stop"}]}"#].into_iter();
//! # let mut receive = || chunks.next().map(bytes::Bytes::from);
//! let provider = Arc::new(OpenAiChat::cerebras("my-key")?);
//! let request = Arc::new(ChatRequest::new("gpt-oss-120b").user("Say hello."));
//! let mut now = Time::ZERO; // nanoseconds on your monotonic clock
//! let start = CallStart::new(now, SystemTime::UNIX_EPOCH, 42); // wall clock and random seed
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
//! What the driver does for each step, and which input it passes to the machine afterwards:
//!
//! | [`Step`](crate::sans_io::Step) | do | then [`handle`](crate::sans_io::Exchange::handle) |
//! |---|---|---|
//! | [`Send`](crate::sans_io::Step::Send) | drop any open response; send the request within its deadlines | [`Input::Headers`](crate::sans_io::Input::Headers) once status and headers are received, else [`Input::TransportError`](crate::sans_io::Input::TransportError) |
//! | [`Receive`](crate::sans_io::Step::Receive) | read more of the body, no longer than the deadline | [`Input::Body`](crate::sans_io::Input::Body), [`Input::BodyEnd`](crate::sans_io::Input::BodyEnd) at the end of the HTTP body, [`Input::TransportError`](crate::sans_io::Input::TransportError); nothing if the deadline passed |
//! | [`Supply`](crate::sans_io::Step::Supply) | read or write a file, or run a process, for a source of [`credentials`]; a driver without this polls again | [`Input::Supplied`](crate::sans_io::Input::Supplied) |
//! | [`Sleep`](crate::sans_io::Step::Sleep) | drop any response; wait until the given time | nothing |
//! | [`Event`](crate::sans_io::Step::Event) | pass the event to the application | nothing |
//! | [`Done`](crate::sans_io::Step::Done) | drop any response; call [`into_result`](crate::sans_io::Exchange::into_result) | nothing |
//!
//! Then it calls [`poll`](crate::sans_io::Exchange::poll) again. A driver that does not wait for the headers in `Send` may
//! poll immediately: the machine returns `Receive`, and the driver handles the headers when they arrive. An input at the
//! wrong time ends the call with an error of kind [`Misuse`](ErrorKind::Misuse). Dropping the machine cancels the call.
//!
//! # The states
//! ```text
//!             Exchange::new
//!                  |
//!                  v
//!    +---------> Ready ----------- no permit in time, invalid request ------+
//!    |           |    ^                                                     |
//!    |           |    | a token is there                                    |
//!    |           |    Fetching ---- the credential source failed -----------+
//!    |           |                                                          |
//!    |           | Step::Send                                               |
//!    |             v                                                        |
//!    |        AwaitHeaders ------- Input::TransportError, deadline passed --+
//!    |             |                                                        |
//!    |             | Input::Headers                                         |
//!    |             v                                                        |
//!    |            Body ----------- Input::TransportError, deadline passed,  |
//!    |             |               error status, decoding error ------------+
//!    |             |                                                        |
//!    |             | Input::Body, Input::BodyEnd: the response is complete  v
//!    |             v                                                      failed
//!    |          complete                                                  |    |
//!    |          |      |        retry, fallback target, signed again       |    |
//!    +----------+------|--------------------------------------------------+    |
//!  next page, resume   |                                                       |
//!                      v                                                       v
//!                  Done(Ok)                                                Done(Err)
//! ```
//!
//! | state | [`poll`](crate::sans_io::Exchange::poll) returns |
//! |---|---|
//! | `Ready` | `Sleep` until the attempt may start (back-off, rate limit), then `Send` |
//! | `Fetching` | `Send`, `Receive`, `Sleep` and `Supply` for a token; it follows `Ready` and leads back to it |
//! | `AwaitHeaders` | `Receive` |
//! | `Body` | `Event` for each queued event, else `Receive` |
//! | `Done` | `Event` for each remaining event, then `Done` |
//!
//! A failure leads to another attempt if the [retry policy](RetryPolicy) or a [fallback](crate::policy::Fallback) allows
//! it and, on a stream, if no visible event was emitted (a fallback can allow a restart). The events of an attempt are queued until its first visible one, so
//! that an attempt that fails before it leaves no trace in the output.
//!
//! # Guarantees
//! - Nothing that a server sends makes the machine panic.
//! - A response that was cut off is an error, never a shorter response.
//! - The way in which the body is cut into chunks changes nothing.
//! - Memory is bounded by [`CallOptions::sizes`].
//! - After the first visible event a failure is final, unless the provider keeps the response, so that the call can
//!   [read the rest](crate::policy::ResumePolicy), or a fallback
//!   [allows a restart](crate::policy::Fallback::allow_restart_mid_stream).
//!
//! The repository's page `docs/failures.md` lists the known failures of providers and networks by number (`F12`), and how
//! each is handled.
//!
//! # Modules
//! The crate root has the names that most programs use. The other names are in modules by purpose:
//!
//! | module | contents |
//! |---|---|
//! | [`chat`], [`embed`], [`error`] | further types of requests, responses and errors |
//! | [`provider`] | the providers, and the traits and helpers to write another one |
//! | [`tokens`], [`cache`] | token counts before a request is sent; prompt caches |
//! | [`credentials`] | credentials that expire: sources, and your own closures |
//! | [`transport`] | the transports, the traits to write another one, drivers, test transports |
//! | [`policy`] | rate limits, circuit breakers, fallback |
//! | [`observe`] | observers for logs, traces and metrics |
//! | [`batch`], [`compare`], [`health`] | many calls at a time, one request to several models, provider health checks |
//! | [`provider_batch`] | the providers' own batches at about half the price, and stored files |
//! | [`schema`] | JSON schemas in each server's dialect |
//! | [`sans_io`] | the state machine, for programs that do their own I/O |
//! | [`codec`] | decoders of server-sent events and other framings |
//! | [`compat`] | clients in the shapes of the vendors' SDKs |
//!
//! # Features
//! No feature is on by default. A feature adds types and options; `gzip` also lets the transports decode
//! compressed bodies, which are an error without it.
//!
//! | feature | adds |
//! |---|---|
//! | `ureq` | [`transport::UreqTransport`](https://docs.rs/unifiedai-ureq), for [`Client`]: blocking |
//! | `hyper` | [`transport::HyperTransport`](https://docs.rs/unifiedai-hyper), for [`AsyncClient`] on tokio; HTTP/1.1 and HTTP/2 |
//! | `smol` | [`transport::SmolTransport`](https://docs.rs/unifiedai-smol), for [`AsyncClient`] on smol, without tokio's reactor |
//! | `gzip` | decoding of bodies that a proxy compressed, in the transports |
//! | `platform-verifier` | the option to verify servers by the operating system's rules and roots |
//! | `bedrock` | Amazon Bedrock: Converse, ConverseStream, SigV4 |
//! | `rs256` | Google credentials from the key of a service account, which signs with RSA (`ring`) |
//! | `schemars` | tool schemas and response schemas from Rust types |
//! | `tracing` | `TracingObserver`: spans with OpenTelemetry's attributes for generative AI |
//! | `metrics` | `MetricsObserver`: OpenTelemetry's histograms, through the `metrics` crate |
//! | `testing` | `transport::testing`: a mock transport, a recorder and cassettes |
//! | `http1-codec` | [`codec::http1`](codec): raw HTTP/1.1, for programs with only a socket |
#![cfg_attr(docsrs, feature(doc_cfg))]
// In tests a panic is a failed test, so slicing and arithmetic may panic.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::string_slice))]

mod auth;
pub mod cache;
pub mod chat;
mod client;
pub mod codec;
pub mod cost;
pub mod credentials;
pub mod embed;
pub mod error;
mod event;
mod json;
pub mod policy;
pub mod provider;
pub mod provider_batch;
pub mod sans_io;
pub mod schema;
mod small_vec;
mod string_enum;
pub mod tokens;
pub mod transport;

pub use auth::Secret;
pub use chat::{
    message::{Message, Role},
    params::{JsonSchema, ReasoningEffort, ResponseFormat},
    part::{ContentPart, Media},
    request::ChatRequest,
    response::{FinishReason, UnifiedChatResponse},
    tool::{Tool, ToolCall, ToolChoice, ToolResult},
    usage::Usage,
};
pub use client::{AsyncClient, Client, batch, compare, compat, health, observe};
pub use embed::request::{EmbedRequest, EmbedResponse};
pub use error::{call_error::Error, kind::ErrorKind};
pub use event::StreamEvent;
pub use json::Json;
pub use policy::{call_options::CallOptions, retry::RetryPolicy, timeouts_and_sizes::Timeouts};
pub use provider::kit::model::Model;
pub use transport::{blocking::ChatStream, nonblocking::AsyncChatStream};

/// The README's programs, compiled and run as tests.
#[cfg(all(
    doctest,
    feature = "ureq",
    feature = "hyper",
    feature = "smol",
    feature = "schemars",
    feature = "testing"
))]
#[doc = include_str!("../README.md")]
struct Readme;

/// The programs in the page for users of Python, compiled.
#[cfg(doctest)]
#[doc = include_str!("../docs/from-python.md")]
struct FromPython;

/// The programs of the page on hosted tools, compiled.
#[cfg(all(doctest, feature = "ureq"))]
#[doc = include_str!("../docs/hosted-tools.md")]
struct HostedToolsPage;

/// The program of the page on schemas, compiled.
#[cfg(doctest)]
#[doc = include_str!("../docs/schemas.md")]
struct SchemasPage;

/// The program of the page on Anthropic, compiled.
#[cfg(all(doctest, feature = "ureq"))]
#[doc = include_str!("../docs/providers/anthropic.md")]
struct AnthropicPage;

/// The program of the page on Interactions, compiled.
#[cfg(all(doctest, feature = "ureq"))]
#[doc = include_str!("../docs/providers/gemini-interactions.md")]
struct InteractionsPage;

/// The snippets of the page on credentials, compiled.
#[cfg(all(doctest, feature = "ureq", feature = "bedrock"))]
#[doc = include_str!("../docs/credentials.md")]
struct CredentialsPage;

/// The snippets of the page on background responses, compiled.
#[cfg(all(doctest, feature = "ureq"))]
#[doc = include_str!("../docs/resume.md")]
struct ResumePage;

/// The snippets of the page on networks, compiled.
#[cfg(all(doctest, feature = "ureq", feature = "hyper", feature = "smol"))]
#[doc = include_str!("../docs/network.md")]
struct Networks;

/// The snippet on cancelling of the page for authors of transports, compiled.
#[cfg(doctest)]
#[doc = include_str!("../docs/write-a-transport.md")]
struct WriteATransport;

/// The snippets of the page on token counts and prompt caches, compiled.
#[cfg(doctest)]
#[doc = include_str!("../docs/caching.md")]
struct Caching;

/// The snippet of the page about provider batches, compiled.
#[cfg(all(doctest, feature = "ureq"))]
#[doc = include_str!("../docs/provider-batches.md")]
struct ProviderBatches;
