//! A client of the caller's own: any service that turns a request into a response.

use super::{
    Timer,
    send::{cause, send_error},
    target::Target,
    timeout::{body_timeout, head_timeout},
};
use crate::{
    clock,
    error::{check_length, find, tls_text},
};
use bytes::{Buf, Bytes};
use http::{Request, Response};
use std::{
    error::Error as StdError,
    fmt,
    future::{Future, poll_fn},
    io,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
    time::SystemTime,
};
use tower_service::Service;
use unifiedai_transport::{
    AsyncBody, AsyncTransport,
    Delivery::{Answered, MaybeProcessed, NotSent},
    FailureKind::{Connect, Other, Reset, Tls, Truncated},
    Limits, Time, TransportError,
};

type BoxError = Box<dyn StdError + Send + Sync>;

/// Sends requests by a service of the caller's own: hyper-util's client, reqwest's, one with layers of tower, a mock.
///
/// `B` is the type of the request's body. Connections, proxies and TLS are the service's. Of the limits, that for connecting does not
/// hold, since a service does not show when it has connected. The service must not retry, follow redirects or decode bodies.
pub struct ServiceClient<S, B, T> {
    service: S,
    types: PhantomData<fn() -> (B, T)>,
}

impl<S, B, T> ServiceClient<S, B, T> {
    /// Sends requests by clones of this service.
    #[must_use]
    pub fn new(service: S) -> Self {
        ServiceClient {
            service,
            types: PhantomData,
        }
    }
}

impl<S, B, D, T> AsyncTransport for ServiceClient<S, B, T>
where
    S: Service<Request<B>, Response = Response<D>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: From<Bytes> + Send + 'static,
    D: hyper::body::Body + Send + 'static,
    D::Error: Into<BoxError>,
    T: Timer,
{
    type Body = ServiceBody<D, T>;

    fn now(&self) -> Time {
        T::now()
    }

    fn wall_clock(&self) -> SystemTime {
        clock::wall_clock()
    }

    fn send(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> impl Future<Output = Result<Response<Self::Body>, TransportError>> + Send + 'static {
        let mut service = self.service.clone();
        async move {
            let target = Target::of(request.uri())?;
            check_length(&request)?;
            let mut timer = T::default();
            let answering = Box::pin(async {
                poll_fn(|cx| service.poll_ready(cx)).await?;
                service.call(request.map(B::from)).await
            });
            let by = limits.head.min(limits.total);
            match timer.within(by, answering).await {
                None => Err(head_timeout(false, &target)),
                Some(Err(error)) => Err(failed(error.into(), &target)),
                Some(Ok(response)) => Ok(response.map(|body| ServiceBody {
                    body: Some(Box::pin(body)),
                    timer,
                    target,
                })),
            }
        }
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send + 'static {
        let mut timer = T::default();
        poll_fn(move |cx| timer.poll(cx, at))
    }
}

/// What a service's error says of the request, as far as its causes are known.
fn failed(error: BoxError, target: &Target) -> TransportError {
    use io::ErrorKind::{AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable};
    if let Some(error) = find::<hyper::Error>(&*error) {
        return send_error(error, false, target);
    }
    if let Some(error) = find::<rustls::Error>(&*error) {
        let message = format!("TLS with {target} failed: {}", tls_text(error));
        return TransportError::new(Tls, NotSent, message);
    }
    let (kind, delivery) = match find::<io::Error>(&*error).map(io::Error::kind) {
        Some(ConnectionRefused | HostUnreachable | NetworkUnreachable | AddrNotAvailable) => {
            (Connect, NotSent)
        }
        Some(_) => (Reset, MaybeProcessed),
        None => (Other, MaybeProcessed),
    };
    let message = format!("{target}: the service gave no response{}", reason(error));
    TransportError::new(kind, delivery, message)
}

/// The last cause, unless it has a URI in it, which may hold a secret.
fn reason(error: BoxError) -> String {
    let cause = cause(&*error);
    match cause.contains("://") {
        true => String::new(),
        false => format!(": {cause}"),
    }
}

/// The body of a service's response, read as it comes.
pub struct ServiceBody<D, T> {
    /// Gone once it has ended.
    body: Option<Pin<Box<D>>>,
    timer: T,
    target: Target,
}

impl<D, T> AsyncBody for ServiceBody<D, T>
where
    D: hyper::body::Body + Send + 'static,
    D::Error: Into<BoxError>,
    T: Timer,
{
    fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Time,
    ) -> Poll<Result<Option<Bytes>, TransportError>> {
        while let Some(body) = &mut self.body {
            let Poll::Ready(frame) = body.as_mut().poll_frame(cx) else {
                ready!(self.timer.poll(cx, deadline));
                return Poll::Ready(Err(body_timeout(&self.target)));
            };
            match frame {
                // Trailers are no data.
                Some(Ok(frame)) => {
                    if let Ok(mut data) = frame.into_data() {
                        let chunk = data.copy_to_bytes(data.remaining());
                        return Poll::Ready(Ok(Some(chunk)));
                    }
                }
                Some(Err(error)) => {
                    self.body = None;
                    let why = reason(error.into());
                    let message = format!("{}: the response broke off{why}", self.target);
                    return Poll::Ready(Err(TransportError::new(Truncated, Answered, message)));
                }
                None => self.body = None,
            }
        }
        Poll::Ready(Ok(None))
    }
}

impl<S: Clone, B, T> Clone for ServiceClient<S, B, T> {
    fn clone(&self) -> Self {
        ServiceClient::new(self.service.clone())
    }
}

impl<S, B, T> fmt::Debug for ServiceClient<S, B, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceClient").finish_non_exhaustive()
    }
}

impl<D, T> fmt::Debug for ServiceBody<D, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceBody").finish_non_exhaustive()
    }
}
