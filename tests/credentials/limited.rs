//! A transport that sends a limited number of requests at the same time.

use bytes::Bytes;
use http::{Request, Response};
use smol::lock::{Semaphore, SemaphoreGuardArc};
use std::{
    sync::Arc,
    task::{Context, Poll},
    time::SystemTime,
};
use unifiedai::transport::{
    AsyncResponseBody, AsyncTransport, AttemptDeadlines, RequestBody, ResponseBody, Time,
    Transport, TransportError,
};

pub(crate) struct Limited<T>(Arc<T>, Arc<Semaphore>);

impl<T> Limited<T> {
    pub(crate) fn new(transport: T, requests: usize) -> Self {
        Limited(Arc::new(transport), Arc::new(Semaphore::new(requests)))
    }
}

/// A body, and the permit of its request until the end of the body.
pub(crate) struct LimitedBody<B>(B, Option<SemaphoreGuardArc>);

fn with_permit<B>(response: Response<B>, permit: SemaphoreGuardArc) -> Response<LimitedBody<B>> {
    response.map(|body| LimitedBody(body, Some(permit)))
}

impl<T: Transport> Transport for Limited<T> {
    type Body = LimitedBody<T::Body>;

    fn now(&self) -> Time {
        self.0.now()
    }

    fn wall_clock(&self) -> SystemTime {
        self.0.wall_clock()
    }

    fn send(
        &self,
        request: Request<RequestBody>,
        limits: AttemptDeadlines,
    ) -> Result<Response<Self::Body>, TransportError> {
        let permit = smol::block_on(self.1.acquire_arc());
        Ok(with_permit(self.0.send(request, limits)?, permit))
    }

    fn sleep_until(&self, at: Time) {
        self.0.sleep_until(at);
    }
}

impl<B: ResponseBody> ResponseBody for LimitedBody<B> {
    fn chunk(&mut self, deadline: Time) -> Result<Option<Bytes>, TransportError> {
        let chunk = self.0.chunk(deadline);
        if !matches!(chunk, Ok(Some(_))) {
            self.1 = None;
        }
        chunk
    }
}

impl<T: AsyncTransport + 'static> AsyncTransport for Limited<T> {
    type Body = LimitedBody<T::Body>;

    fn now(&self) -> Time {
        self.0.now()
    }

    fn wall_clock(&self) -> SystemTime {
        self.0.wall_clock()
    }

    fn send(
        &self,
        request: Request<RequestBody>,
        limits: AttemptDeadlines,
    ) -> impl Future<Output = Result<Response<Self::Body>, TransportError>> + Send + 'static {
        let (transport, permits) = (self.0.clone(), self.1.clone());
        async move {
            let permit = permits.acquire_arc().await;
            Ok(with_permit(transport.send(request, limits).await?, permit))
        }
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send + 'static {
        self.0.sleep_until(at)
    }
}

impl<B: AsyncResponseBody> AsyncResponseBody for LimitedBody<B> {
    fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Time,
    ) -> Poll<Result<Option<Bytes>, TransportError>> {
        let chunk = self.0.poll_chunk(cx, deadline);
        if chunk.is_ready() && !matches!(chunk, Poll::Ready(Ok(Some(_)))) {
            self.1 = None;
        }
        chunk
    }
}
