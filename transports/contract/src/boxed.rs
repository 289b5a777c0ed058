//! Transports with an erased type, so that a client's type does not name its transport.

use crate::{
    AsyncResponseBody, AsyncTransport, AttemptDeadlines, RequestBody, ResponseBody, Time,
    Transport, TransportError,
};
use bytes::Bytes;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::SystemTime,
};

/// Any blocking [`Transport`]. Clones share it.
///
/// The cost is one allocation per response and one virtual call per chunk.
#[derive(Clone)]
pub struct BoxedTransport(Arc<dyn ErasedTransport>);

/// Any [`AsyncTransport`]. Clones share it.
///
/// The cost is two allocations per response and one virtual call per chunk.
#[derive(Clone)]
pub struct BoxedAsyncTransport(Arc<dyn ErasedAsyncTransport>);

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The result of sending a request, with the body's type erased.
type SendResult<B> = Result<http::Response<Box<B>>, TransportError>;

/// [`Transport`] with the type of its body erased.
trait ErasedTransport: Send + Sync {
    fn now(&self) -> Time;
    fn wall_clock(&self) -> SystemTime;
    fn send(
        &self,
        request: http::Request<RequestBody>,
        limits: AttemptDeadlines,
    ) -> SendResult<dyn ResponseBody + Send>;
    fn sleep_until(&self, at: Time);
}

/// [`AsyncTransport`] with the types of its body and its futures erased.
trait ErasedAsyncTransport: Send + Sync {
    fn now(&self) -> Time;
    fn wall_clock(&self) -> SystemTime;
    fn send(
        &self,
        request: http::Request<RequestBody>,
        limits: AttemptDeadlines,
    ) -> BoxFuture<SendResult<dyn AsyncResponseBody>>;
    fn sleep_until(&self, at: Time) -> BoxFuture<()>;
}

impl BoxedTransport {
    /// Erases the type of a transport.
    pub fn new<T>(transport: T) -> Self
    where
        T: Transport + Send + Sync + 'static,
        T::Body: Send + 'static,
    {
        BoxedTransport(Arc::new(transport))
    }
}

impl BoxedAsyncTransport {
    /// Erases the type of a transport.
    pub fn new(transport: impl AsyncTransport + 'static) -> Self {
        BoxedAsyncTransport(Arc::new(transport))
    }
}

impl<T> ErasedTransport for T
where
    T: Transport + Send + Sync,
    T::Body: Send + 'static,
{
    fn now(&self) -> Time {
        Transport::now(self)
    }

    fn wall_clock(&self) -> SystemTime {
        Transport::wall_clock(self)
    }

    fn send(
        &self,
        request: http::Request<RequestBody>,
        limits: AttemptDeadlines,
    ) -> SendResult<dyn ResponseBody + Send> {
        let response = Transport::send(self, request, limits)?;
        Ok(response.map(|body| Box::new(body) as _))
    }

    fn sleep_until(&self, at: Time) {
        Transport::sleep_until(self, at);
    }
}

impl<T: AsyncTransport> ErasedAsyncTransport for T {
    fn now(&self) -> Time {
        AsyncTransport::now(self)
    }

    fn wall_clock(&self) -> SystemTime {
        AsyncTransport::wall_clock(self)
    }

    fn send(
        &self,
        request: http::Request<RequestBody>,
        limits: AttemptDeadlines,
    ) -> BoxFuture<SendResult<dyn AsyncResponseBody>> {
        let sending = AsyncTransport::send(self, request, limits);
        Box::pin(async move { Ok(sending.await?.map(|body| Box::new(body) as _)) })
    }

    fn sleep_until(&self, at: Time) -> BoxFuture<()> {
        Box::pin(AsyncTransport::sleep_until(self, at))
    }
}

impl Transport for BoxedTransport {
    type Body = Box<dyn ResponseBody + Send>;

    fn now(&self) -> Time {
        self.0.now()
    }

    fn wall_clock(&self) -> SystemTime {
        self.0.wall_clock()
    }

    fn send(
        &self,
        request: http::Request<RequestBody>,
        limits: AttemptDeadlines,
    ) -> SendResult<dyn ResponseBody + Send> {
        self.0.send(request, limits)
    }

    fn sleep_until(&self, at: Time) {
        self.0.sleep_until(at);
    }
}

impl AsyncTransport for BoxedAsyncTransport {
    type Body = Box<dyn AsyncResponseBody>;

    fn now(&self) -> Time {
        self.0.now()
    }

    fn wall_clock(&self) -> SystemTime {
        self.0.wall_clock()
    }

    fn send(
        &self,
        request: http::Request<RequestBody>,
        limits: AttemptDeadlines,
    ) -> impl Future<Output = SendResult<dyn AsyncResponseBody>> + Send + 'static {
        self.0.send(request, limits)
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send + 'static {
        self.0.sleep_until(at)
    }
}

impl<B: ResponseBody + ?Sized> ResponseBody for Box<B> {
    fn chunk(&mut self, deadline: Time) -> Result<Option<Bytes>, TransportError> {
        (**self).chunk(deadline)
    }
}

impl<B: AsyncResponseBody + ?Sized> AsyncResponseBody for Box<B> {
    fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Time,
    ) -> Poll<Result<Option<Bytes>, TransportError>> {
        (**self).poll_chunk(cx, deadline)
    }
}

impl fmt::Debug for BoxedTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxedTransport").finish_non_exhaustive()
    }
}

impl fmt::Debug for BoxedAsyncTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxedAsyncTransport")
            .finish_non_exhaustive()
    }
}
