//! A request on its way, until the head of its response has come.

use super::{
    Body, Runtime, Shared, Timer,
    connect::connect,
    connection::{Connection, Protocol, drive},
    target::Target,
    timeout::head_timeout,
};
use crate::error::{check_length, find, unsendable};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    client::conn::TrySendError,
};
use std::{
    convert::Infallible,
    error::Error as StdError,
    fmt,
    future::{Future as _, poll_fn},
    mem,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
};
use unifiedai_transport::{
    Delivery::{MaybeProcessed, NotSent},
    FailureKind::{HeadTooLarge, Protocol as NotHttp, Reset, Tls},
    Limits, Time, TransportError,
};

pub(crate) async fn send<R: Runtime>(
    shared: Arc<Shared<R>>,
    mut request: Request<Bytes>,
    limits: Limits,
) -> Result<Response<Body<R>>, TransportError> {
    let target = Target::of(request.uri())?;
    let runtime = R::id().ok_or_else(|| unsendable(R::NO_RUNTIME))?;
    check_length(&request)?;
    state_empty_body(&mut request);
    let head_by = limits.head.min(limits.total);
    let connect_by = limits.connect.min(head_by);
    let mut timer = R::Timer::default();
    let uri = mem::take(request.uri_mut());
    let mut request = request.map(RequestBody::new);
    loop {
        let kept = shared.pool.take(&target, runtime);
        let (mut connection, reused) = match kept {
            Some(connection) => (connection, true),
            // Boxed: it is large, and most requests do without it.
            None => Box::pin(connect(&shared, &target, runtime, connect_by, &mut timer)).await?,
        };
        address(&mut request, &uri, &connection)?;
        connection.watch.written.store(false, Relaxed);
        let copy = match &connection.protocol {
            Protocol::Http2(..) => Some(request.clone()),
            Protocol::Http1(..) => None,
        };
        match exchange(&mut connection, request, head_by, &mut timer).await {
            Some(Ok(response)) => {
                refuse_proxys_own(&response, &connection)?;
                return Ok(Body::of(response, connection, timer, shared));
            }
            Some(Err(Unanswered { error, unsent })) => {
                let error = error.as_ref();
                let is_unwritten = unsent.is_some() || connection.is_unwritten(error);
                let resent = is_unwritten || error.is_some_and(is_above_last);
                match unsent.or(copy.filter(|_| resent)) {
                    Some(unsent) if reused || !connection.is_first() => request = unsent,
                    _ => return Err(failed(error, is_unwritten, &target)),
                }
            }
            None => {
                // The next call should not wait on it in vain.
                connection.retire();
                return Err(head_timeout(connection.is_unwritten(None), &target));
            }
        }
        connection.retire();
    }
}

/// There is no response.
struct Unanswered {
    /// `None` if the connection took no more requests.
    error: Option<hyper::Error>,
    /// The request, if nothing of it was written.
    unsent: Option<Request<RequestBody>>,
}

impl From<TrySendError<Request<RequestBody>>> for Unanswered {
    fn from(mut failure: TrySendError<Request<RequestBody>>) -> Self {
        let unsent = failure.take_message();
        let error = Some(failure.into_error());
        Unanswered { error, unsent }
    }
}

fn failed(error: Option<&hyper::Error>, unsent: bool, target: &Target) -> TransportError {
    let Some(error) = error else {
        let message = format!("{target}: the connection ended before the request");
        return TransportError::new(Reset, NotSent, message);
    };
    send_error(error, unsent, target)
}

/// The response's head, or `None` once `by` has come.
async fn exchange<R: Runtime>(
    connection: &mut Connection<R>,
    request: Request<RequestBody>,
    by: Time,
    timer: &mut R::Timer,
) -> Option<Result<Response<Incoming>, Unanswered>> {
    let sent = match &mut connection.protocol {
        Protocol::Http1(sender, driver) => {
            let mut sending = pin!(sender.try_send_request(request));
            let driven = poll_fn(|cx| {
                drive(driver, cx);
                sending.as_mut().poll(cx)
            });
            timer.within(by, driven).await
        }
        Protocol::Http2(stream) => match stream.start(request) {
            Ok(sending) => timer.within(by, pin!(sending)).await,
            Err(request) => {
                let unsent = Some(request);
                return Some(Err(Unanswered {
                    error: None,
                    unsent,
                }));
            }
        },
    };
    Some(sent?.map_err(Unanswered::from))
}

/// Gives the request the form that the connection's peer expects.
fn address<R: Runtime>(
    request: &mut Request<RequestBody>,
    uri: &Uri,
    connection: &Connection<R>,
) -> Result<(), TransportError> {
    if let Protocol::Http2(..) = connection.protocol {
        *request.uri_mut() = uri.clone();
        request.headers_mut().remove(header::HOST);
        return Ok(());
    }
    if !request.headers().contains_key(header::HOST) {
        let host = connection.target.host_header()?;
        request.headers_mut().insert(header::HOST, host);
    }
    let path = uri.path_and_query().cloned();
    *request.uri_mut() = match &connection.proxied {
        Some(_) => connection.target.absolute(path)?,
        None => path.map_or_else(Uri::default, Uri::from),
    };
    let authorization = connection
        .proxied
        .as_ref()
        .and_then(|proxy| proxy.authorization());
    if let Some(authorization) = authorization {
        let headers = request.headers_mut();
        headers.insert(header::PROXY_AUTHORIZATION, authorization);
    }
    Ok(())
}

/// Only a proxy answers with status 407.
fn refuse_proxys_own<R: Runtime>(
    response: &Response<Incoming>,
    connection: &Connection<R>,
) -> Result<(), TransportError> {
    match &connection.proxied {
        Some(proxy) if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            Err(proxy.wants_credentials(&connection.target.to_string()))
        }
        _ => Ok(()),
    }
}

/// hyper leaves it out, and some servers then ask for it.
fn state_empty_body(request: &mut Request<Bytes>) {
    let expects_body = matches!(request.method().as_str(), "POST" | "PUT" | "PATCH");
    if expects_body && request.body().is_empty() {
        let none = HeaderValue::from_static("0");
        request.headers_mut().insert(header::CONTENT_LENGTH, none);
    }
}

/// The request or the head of its response did not come through. `unsent` if nothing of it was written.
pub(crate) fn send_error(
    error: &hyper::Error,
    unsent: bool,
    place: impl fmt::Display,
) -> TransportError {
    let delivery = if unsent || is_refused(error) {
        NotSent
    } else {
        MaybeProcessed
    };
    let (kind, what) = if error.is_parse_too_large() {
        (HeadTooLarge, "the head of its response is too large")
    } else if error.is_parse() {
        (NotHttp, "its response is not HTTP")
    } else if find::<rustls::Error>(error).is_some() {
        (Tls, "TLS failed")
    } else {
        (Reset, "the connection broke before its response")
    };
    let message = format!("{place}: {what}: {}", cause(error));
    TransportError::new(kind, delivery, message)
}

/// True if an HTTP/2 server has not looked at the request: on a stream that it refused or that is above its last.
fn is_refused(error: &hyper::Error) -> bool {
    let refused =
        |error: &h2::Error| error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    is_above_last(error) || find(error).is_some_and(refused)
}

/// True if an HTTP/2 server closes the connection and has not looked at the request.
fn is_above_last(error: &hyper::Error) -> bool {
    find::<h2::Error>(error).is_some_and(|error| {
        error.is_remote() && error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR)
    })
}

/// The last text of a chain of errors.
pub(crate) fn cause(error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// A request's body, all of which is there. It is small, because hyper keeps room for 32 requests for each connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestBody(Option<Box<Bytes>>);

impl RequestBody {
    pub(crate) fn new(bytes: Bytes) -> Self {
        RequestBody((!bytes.is_empty()).then(|| Box::new(bytes)))
    }
}

impl hyper::body::Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(*bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let size = self.0.as_ref().map_or(0, |bytes| bytes.len());
        SizeHint::with_exact(u64::try_from(size).unwrap_or(u64::MAX))
    }
}
