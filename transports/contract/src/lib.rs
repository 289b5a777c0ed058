//! The traits between `unifiedai` and HTTP: what a transport must provide.
//!
//! A transport sends one `http::Request<RequestBody>`, returns the response's headers, reads its body chunk by chunk,
//! sleeps, and has clocks. It knows HTTP and nothing about chats: it does not retry, follow redirects or decode
//! bodies. There are two traits, [`Transport`] and [`AsyncTransport`], which differ only in blocking.
//!
//! Rules for every implementation:
//! - A status of 400 or above is a response, not an error. Its body is read like any other.
//! - Redirects are not followed and requests are not repeated.
//! - A streamed request body ([`RequestBody`]) is read piece by piece, as fast as the connection takes it. If it fails, or the
//!   call is dropped, the connection is closed (or the stream reset), so that the server never takes a part for the whole. A
//!   response that arrives before the body is sent is returned, and the rest of the body is not sent once the response was read.
//! - The transport changes no header except `host`, `content-length` and connection management. (The core sends
//!   `accept-encoding: identity`.)
//! - A connection is reused only after its body was read to the end that its framing announced.
//! - An error says whether the request may have reached the server ([`RequestDelivery`]).
#![cfg_attr(docsrs, feature(doc_cfg))]

mod boxed;
mod cancel;
mod error;
mod limits;
mod link_local;
mod loopback;
mod request_body;
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
pub use limits::{AttemptDeadlines, UploadProgress};
pub use link_local::is_link_local_service;
pub use loopback::is_loopback;
pub use request_body::{BodyError, BodyPieces, BodySource, PollPieces, RequestBody};
pub use time::Time;

/// Sends requests with blocking calls.
pub trait Transport {
    /// A response body that is read chunk by chunk.
    type Body: ResponseBody;

    /// The monotonic clock of all deadlines.
    fn now(&self) -> Time;

    /// The wall clock, for signatures and HTTP dates.
    fn wall_clock(&self) -> SystemTime;

    /// Sends a request and waits for the response headers.
    fn send(
        &self,
        request: http::Request<RequestBody>,
        limits: AttemptDeadlines,
    ) -> Result<http::Response<Self::Body>, TransportError>;

    /// Blocks the thread until `at`.
    fn sleep_until(&self, at: Time);
}

/// A response body read with blocking calls. Dropping it before its end closes the connection.
pub trait ResponseBody {
    /// The next bytes, or `None` at the end of the body according to its HTTP framing. The end of the connection is the
    /// end of the body only if the response has neither a length nor chunks.
    fn chunk(&mut self, deadline: Time) -> Result<Option<Bytes>, TransportError>;
}

/// Sends requests with async calls.
pub trait AsyncTransport: Send + Sync {
    /// A response body that is polled chunk by chunk.
    type Body: AsyncResponseBody;

    /// The monotonic clock of all deadlines.
    fn now(&self) -> Time;

    /// The wall clock, for signatures and HTTP dates.
    fn wall_clock(&self) -> SystemTime;

    /// Sends a request and waits for the response headers. Dropping the future cancels the request.
    fn send(
        &self,
        request: http::Request<RequestBody>,
        limits: AttemptDeadlines,
    ) -> impl Future<Output = Result<http::Response<Self::Body>, TransportError>> + Send + 'static;

    /// Waits until `at`.
    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send + 'static;
}

/// A response body that is polled. Dropping it before its end closes the connection (or resets the stream).
pub trait AsyncResponseBody: Send + Unpin + 'static {
    /// The next bytes, or `None` at the end of the body according to its HTTP framing. The end of the connection is the
    /// end of the body only if the response has neither a length nor chunks. Starts a timer only if it must wait.
    fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Time,
    ) -> Poll<Result<Option<Bytes>, TransportError>>;
}
