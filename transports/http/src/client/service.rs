//! A client of the caller's own: any service that turns a request into a response.

use super::{Runtime, Timer, error::send_error, read::ResponseBody, timeout::header_timeout};
use crate::{
    clock,
    error::invalid_request,
    headers::check_length,
    target::Target,
    upload::{Upload, UploadReader},
};
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
use unifiedai_transport::{AsyncTransport, AttemptDeadlines, RequestBody, Time, TransportError};

type BoxError = Box<dyn Error + Send + Sync>;

const NO_STREAMED_BODIES: &str =
    "its body is streamed, and this client takes only bodies in memory: use `with_streamed_bodies`";

/// Sends requests through the caller's own service: hyper-util's client, reqwest's, a client with layers of tower, a
/// mock.
///
/// `B` is the type of the request body. The service is responsible for connections, proxies and TLS. The connect
/// deadline does not apply, because a service does not report when it has connected. The service must not retry or
/// follow redirects.
pub struct ServiceClient<S, B, R> {
    service: S,
    /// Makes the service's body from a streamed one.
    streamed: Option<fn(UploadReader) -> B>,
    types: PhantomData<fn() -> (B, R)>,
}

impl<S, B, R> ServiceClient<S, B, R> {
    /// Creates a client that sends each request through a clone of this service.
    #[must_use]
    pub fn new(service: S) -> Self {
        ServiceClient {
            service,
            streamed: None,
            types: PhantomData,
        }
    }

    /// Sends streamed request bodies too: this function makes the service's type of body from one, which is an
    /// `http_body::Body` of `Bytes`. Without it such requests are refused before they are sent.
    #[must_use]
    pub fn with_streamed_bodies(mut self, make: fn(UploadReader) -> B) -> Self {
        self.streamed = Some(make);
        self
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
        request: Request<RequestBody>,
        limits: AttemptDeadlines,
    ) -> impl Future<Output = Result<Response<Self::Body>, TransportError>> + Send + 'static {
        let mut service = self.service.clone();
        let streamed = self.streamed;
        async move {
            let target = Target::of(request.uri())?;
            check_length(&request)?;
            let mut timer = Timer::<R>::new();
            let upload = Upload::of(request.body(), limits, Timer::<R>::now);
            let (head, body) = request.into_parts();
            let body = match (&upload, streamed) {
                (None, _) => B::from(body.as_bytes().cloned().unwrap_or_default()),
                (Some(upload), Some(make)) => make(upload.reader(body)),
                (Some(_), None) => return Err(invalid_request(NO_STREAMED_BODIES)),
            };
            let answering = Box::pin(async {
                poll_fn(|cx| service.poll_ready(cx)).await?;
                service.call(Request::from_parts(head, body)).await
            });
            let by = limits.headers.min(limits.total);
            let by = || upload.as_ref().map_or(by, Upload::deadline);
            let answer = timer.within(by, answering).await;
            let late = || upload.as_ref().and_then(|upload| upload.timeout(&target));
            let answer =
                answer.ok_or_else(|| late().unwrap_or_else(|| header_timeout(false, &target)))?;
            let failed = |e: S::Error| {
                let failure = upload.as_ref().and_then(|upload| upload.failure(false));
                failure.unwrap_or_else(|| send_error(&*e.into(), false, &target))
            };
            let response = answer.map_err(failed)?;
            Ok(ResponseBody::of(
                response.map(Box::pin),
                None,
                (timer, upload),
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
        ServiceClient {
            service: self.service.clone(),
            streamed: self.streamed,
            types: PhantomData,
        }
    }
}

impl<S, B, R> fmt::Debug for ServiceClient<S, B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceClient").finish_non_exhaustive()
    }
}
