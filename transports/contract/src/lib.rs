//! What a program must provide to carry `unifiedai`'s HTTP, and nothing more.
//!
//! A transport sends one `http::Request<Bytes>`, hands over the response's head, reads its body chunk by
//! chunk, sleeps, and tells the time. It knows HTTP and no chat: no retry, no redirect, no decoding of bodies.
//! There are two traits because blocking and async code differ in nothing else: [`Transport`] and
//! [`AsyncTransport`].
//!
//! Rules that every implementation keeps:
//! - a status of 400 or above is an answer, not an error; its body is read like any other;
//! - redirects are never followed, requests never repeated;
//! - `accept-encoding: identity` is what the core asks for, and the transport changes no header but `host`,
//!   `content-length` and connection management;
//! - a connection is reused only after its body was read to the end that its framing gives;
//! - of a failure it says whether the request can have reached the server ([`RequestDelivery`]).

mod boxed;
mod cancel;
mod error;
mod limits;
mod loopback;
mod time;

use bytes::Bytes;
use std::{
    future::Future,
    task::{Context, Poll},
    time::SystemTime,
};

pub use boxed::{BoxedAsyncTransport, BoxedTransport};
pub use cancel::{CancelHandle, Interrupt};
pub use error::{Phase, RequestDelivery, TransportError, TransportErrorKind};
pub use limits::AttemptDeadlines;
pub use loopback::is_loopback;
pub use time::Time;

/// Carries requests with blocking calls.
pub trait Transport {
    /// A response body that is read chunk by chunk.
    type Body: ResponseBody;

    /// The monotonic clock that all deadlines refer to.
    fn now(&self) -> Time;

    /// The wall clock, for signatures and HTTP dates.
    fn wall_clock(&self) -> SystemTime;

    /// Sends a request and waits for the response's head.
    fn send(
        &self,
        request: http::Request<Bytes>,
        limits: AttemptDeadlines,
    ) -> Result<http::Response<Self::Body>, TransportError>;

    /// Blocks until `at`.
    fn sleep_until(&self, at: Time);
}

/// A response body read with blocking calls. Dropping it before its end closes the connection.
pub trait ResponseBody {
    /// The next bytes, or `None` at the end that the HTTP framing gives.
    fn chunk(&mut self, deadline: Time) -> Result<Option<Bytes>, TransportError>;
}

/// Carries requests without blocking.
pub trait AsyncTransport: Send + Sync {
    /// A response body that is polled chunk by chunk.
    type Body: AsyncResponseBody;

    /// The monotonic clock that all deadlines refer to.
    fn now(&self) -> Time;

    /// The wall clock, for signatures and HTTP dates.
    fn wall_clock(&self) -> SystemTime;

    /// Sends a request and waits for the response's head. Dropping the future cancels the request.
    fn send(
        &self,
        request: http::Request<Bytes>,
        limits: AttemptDeadlines,
    ) -> impl Future<Output = Result<http::Response<Self::Body>, TransportError>> + Send + 'static;

    /// Waits until `at`.
    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send + 'static;
}

/// A response body that is polled. Dropping it before its end closes the connection (or resets the stream).
pub trait AsyncResponseBody: Send + Unpin + 'static {
    /// The next bytes, or `None` at the end that the HTTP framing gives. Arms a timer only if it has to wait.
    fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Time,
    ) -> Poll<Result<Option<Bytes>, TransportError>>;
}
