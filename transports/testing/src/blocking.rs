use bytes::Bytes;
use std::{
    future::{Future, poll_fn},
    time::SystemTime,
};
use unifiedai_transport::{
    AsyncResponseBody, AsyncTransport, AttemptDeadlines, RequestBody, ResponseBody, Time,
    Transport, TransportError,
};

/// An executor.
pub trait BlockOn: Clone {
    /// Runs a future to its end.
    fn block_on<F: Future>(&self, future: F) -> F::Output;
}

/// An async transport made blocking, so that the same cases test both kinds.
#[derive(Clone)]
pub struct Blocking<T, E>(pub T, pub E);

impl<T: AsyncTransport, E: BlockOn> Transport for Blocking<T, E> {
    type Body = Blocking<T::Body, E>;

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
    ) -> Result<http::Response<Self::Body>, TransportError> {
        // The future is made where it runs: some clients ask for their runtime already then.
        let response = self
            .1
            .block_on(async { self.0.send(request, limits).await })?;
        Ok(response.map(|body| Blocking(body, self.1.clone())))
    }

    fn sleep_until(&self, at: Time) {
        self.1.block_on(async { self.0.sleep_until(at).await });
    }
}

impl<B: AsyncResponseBody, E: BlockOn> ResponseBody for Blocking<B, E> {
    fn chunk(&mut self, deadline: Time) -> Result<Option<Bytes>, TransportError> {
        let Blocking(body, executor) = self;
        executor.block_on(poll_fn(|cx| body.poll_chunk(cx, deadline)))
    }
}
