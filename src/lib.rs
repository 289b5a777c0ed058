//! A client for LLM chat providers whose core does no I/O.
//!
//! A [`ChatRequest`] goes in; [`StreamEvent`]s, a [`UnifiedChatResponse`] or a mapped [`Error`] come out, the same for every
//! provider. In between stands a state machine, [`Exchange`], that turns the request into HTTP and the bytes that come
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
//! use unifiedai::{CallOptions, ChatRequest, Exchange, Input, CallStart, Step, Time, provider::OpenAiChat};
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
//! | [`Step`] | do | then [`handle`](Exchange::handle) |
//! |---|---|---|
//! | [`Send`](Step::Send) | drop any response that is open; send the request within its limits | [`Input::Headers`] when the status and headers are there, [`Input::TransportError`] if not |
//! | [`Receive`](Step::Receive) | read the body on, until the deadline at the latest | [`Input::Body`], [`Input::BodyEnd`] where HTTP says that it ends, [`Input::TransportError`]; nothing if the deadline passed |
//! | [`Sleep`](Step::Sleep) | drop any response; wait until then | nothing |
//! | [`Event`](Step::Event) | hand it to the application | nothing |
//! | [`Done`](Step::Done) | drop any response; call [`into_result`](Exchange::into_result) | nothing |
//!
//! and [`poll`](Exchange::poll) again. A driver that does not wait for the head in `Send` may poll on: it is told to `Receive`, and
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
//! | state | [`poll`](Exchange::poll) returns |
//! |---|---|
//! | `Ready` | `Sleep` before the time of the attempt and while a permit is awaited, else `Send` |
//! | `AwaitHead` | `Receive` |
//! | `ResponseBody` | `Event` for each event, `Receive` when there is none |
//! | `Done` | `Event` for each event that is left, then `Done` |
//!
//! A failure leads to another attempt if the [retry policy](RetryPolicy) or a [fallback](Fallback) allows it and, on a stream, no
//! visible event was decoded. Each attempt starts from nothing: events of an attempt are held back until the first visible one.
//!
//! # Guarantees
//! What the machine guarantees: nothing from the network makes it panic; an answer that was cut is an error, never a
//! short answer; the way in which bytes are cut into chunks changes nothing; memory is bounded by
//! [`CallOptions::sizes`]; after something visible was handed out a failure is final.
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
mod chat;
mod client;
pub mod codec;
mod embed;
mod error;
mod event;
mod exchange;
mod json;
mod policy;
pub mod provider;
pub mod schema;
mod small_vec;
mod string_enum;
pub mod transport;

#[cfg(feature = "bedrock")]
pub use auth::sigv4::{AwsCredentialSource, AwsCredentials, Signer};
pub use auth::{Auth, Credential, Secret};
pub use chat::{
    Attempt, CallMetrics, ChatRequest, Choice, Citation, ContentPart, FinishReason, ImageDetail,
    JsonSchema, Logprobs, Media, Message, Param, ProviderBlock, ProviderData, ProviderMetadata,
    RateLimit, RawBody, RawHeaders, ReasoningEffort, ReasoningFormat, ResponseFormat, Role,
    ServerTiming, ServiceTier, TokenLogprob, Tool, ToolCall, ToolChoice, ToolResult, TopLogprob,
    UnifiedChatResponse, Usage, Verbosity, Warning,
};
pub use client::{
    AsyncBatch, AsyncClient, AsyncUnifiedAI, Batch, BatchOptions, BatchResult, CallEvent, CallInfo,
    CallObservation, CallSummary, Client, Comparison, ComparisonEntry, ComparisonMetric, Health,
    HealthStatus, IterRequests, Observer, ProviderHealth, ProviderRegistry, UnifiedAI,
    compat::{self, AsyncCerebras, Cerebras},
};
pub use embed::{EmbedEncoding, EmbedRequest, EmbedResponse, EmbeddingInputType};
pub use error::{Error, ErrorBody, ErrorKind, TimeoutKind};
pub use event::{
    Accumulator, ResponseBuilder, ResponseLimits, ResponseStart, StreamEvent, ToolFragment,
};
pub use exchange::{
    CallStart, Chat, CheckProvider, Embed, Exchange, Input, ListModels, Operation, RetrieveModel,
    Step,
};
pub use json::Json;
pub use policy::{
    CallOptions, CircuitBreakerConfig, Fallback, FallbackTarget, ProviderLimits, RetryPolicy,
    SizeLimits, Timeouts, parse_duration, retry_after,
};
pub use provider::{
    BaseUrl, DecodedEmbeddings, EncodedEmbedRequest, EncodedRequest, Framing, Model, ModelPage,
    Provider,
};
pub use unifiedai_transport::{
    AsyncResponseBody, AsyncTransport, AttemptDeadlines, BoxedAsyncTransport, BoxedTransport,
    CancelHandle, Phase, RequestDelivery, ResponseBody, Time, Transport, TransportError,
    TransportErrorKind,
};

#[cfg(feature = "metrics")]
pub use client::MetricsObserver;
#[cfg(feature = "tracing")]
pub use client::TracingObserver;
#[cfg(feature = "bedrock")]
pub use client::compat::{AsyncBedrockRuntime, BedrockRuntime};

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
