//! A client of the caller's own: any service that turns a request into a response.

use super::{Runtime, Timer, error::send_error, read::ResponseBody, timeout::header_timeout};
use crate::{clock, headers::check_length, target::Target};
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Body;
use std::{
    error::Error,
    fmt,
    future::{Future, poll_fn},
    marker::PhantomData,
    pin::Pin,
    time::SystemTime,
};
use tower_service::Service;
use unifiedai_transport::{AsyncTransport, AttemptDeadlines, Time, TransportError};

type BoxError = Box<dyn Error + Send + Sync>;

/// Sends requests through the caller's own service: hyper-util's client, reqwest's, a client with layers of tower, a
/// mock.
///
/// `B` is the type of the request body. The service is responsible for connections, proxies and TLS. The connect
/// deadline does not apply, because a service does not report when it has connected. The service must not retry or
/// follow redirects.
pub struct ServiceClient<S, B, R> {
    service: S,
    types: PhantomData<fn() -> (B, R)>,
}

impl<S, B, R> ServiceClient<S, B, R> {
    /// Creates a client that sends each request through a clone of this service.
    #[must_use]
    pub fn new(service: S) -> Self {
        ServiceClient {
            service,
            types: PhantomData,
        }
    }
}

impl<S, B, D, R> AsyncTransport for ServiceClient<S, B, R>
where
    S: Service<Request<B>, Response = Response<D>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: From<Bytes> + Send + 'static,
    D: Body<Error: Into<BoxError>> + Send + 'static,
    R: Runtime,
{
    type Body = ResponseBody<Pin<Box<D>>, R>;

    fn now(&self) -> Time {
        Timer::<R>::now()
    }

    fn wall_clock(&self) -> SystemTime {
        clock::wall_clock()
    }

    fn send(
        &self,
        request: Request<Bytes>,
        limits: AttemptDeadlines,
    ) -> impl Future<Output = Result<Response<Self::Body>, TransportError>> + Send + 'static {
        let mut service = self.service.clone();
        async move {
            let target = Target::of(request.uri())?;
            check_length(&request)?;
            let mut timer = Timer::<R>::new();
            let answering = Box::pin(async {
                poll_fn(|cx| service.poll_ready(cx)).await?;
                service.call(request.map(B::from)).await
            });
            let by = limits.headers.min(limits.total);
            let answer = timer.within(by, answering).await;
            let answer = answer.ok_or_else(|| header_timeout(false, &target))?;
            let response = answer.map_err(|e| send_error(&*e.into(), false, &target))?;
            Ok(ResponseBody::of(
                response.map(Box::pin),
                None,
                timer,
                target,
            ))
        }
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send + 'static {
        let mut timer = Timer::<R>::new();
        poll_fn(move |cx| timer.poll(cx, at))
    }
}

impl<S: Clone, B, R> Clone for ServiceClient<S, B, R> {
    fn clone(&self) -> Self {
        ServiceClient::new(self.service.clone())
    }
}

impl<S, B, R> fmt::Debug for ServiceClient<S, B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceClient").finish_non_exhaustive()
    }
}
