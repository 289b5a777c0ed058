//! A transport of one's own: `AsyncTransport` over [reqwest](https://docs.rs/reqwest). The page `docs/write-a-transport.md`
//! explains it.
#![allow(
    clippy::disallowed_methods,
    reason = "a transport is where time comes from"
)]

mod upload;

use bytes::Bytes;
use futures_core::Stream;
use std::{
    error::Error,
    future::Future,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::{Duration, Instant, SystemTime},
};
use tokio::time::Sleep;
use unifiedai::transport::{
    AsyncResponseBody, AsyncTransport, AttemptDeadlines, Phase, RequestBody, RequestDelivery, Time,
    TransportError, TransportErrorKind, UploadProgress,
};
use upload::Upload;

/// Sends requests with reqwest, on tokio.
#[derive(Clone, Debug)]
pub struct ReqwestTransport {
    client: reqwest::Client,
    start: Instant,
}

/// The body of a response.
pub struct ReqwestBody {
    /// `None` after the end: a read after it returns the end again.
    chunks: Option<Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>>,
    peer: Peer,
    start: Instant,
    /// Armed only while a read waits.
    timer: Option<(Time, Pin<Box<Sleep>>)>,
}

/// Host and port of the server, for messages. Never the URL: it may contain a password, and its query a key.
#[derive(Clone)]
struct Peer(String);

impl ReqwestTransport {
    /// A transport over a client of the given settings, such as proxies and certificates.
    ///
    /// # Errors
    /// What reqwest says if the settings cannot be used.
    pub fn new(builder: reqwest::ClientBuilder) -> reqwest::Result<Self> {
        let client = builder
            // A transport follows no redirect and repeats no request: the machine decides about both.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .build()?;
        Ok(ReqwestTransport {
            client,
            start: Instant::now(),
        })
    }
}

/// How often the progress of a streamed request body is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl AsyncTransport for ReqwestTransport {
    type Body = ReqwestBody;

    fn now(&self) -> Time {
        Time::ZERO.saturating_add(self.start.elapsed())
    }

    fn wall_clock(&self) -> SystemTime {
        SystemTime::now()
    }

    fn send(
        &self,
        mut request: http::Request<RequestBody>,
        deadlines: AttemptDeadlines,
    ) -> impl Future<Output = Result<http::Response<ReqwestBody>, TransportError>> + Send + 'static
    {
        let (client, start) = (self.client.clone(), self.start);
        async move {
            let peer = Peer::of(request.uri())?;
            // reqwest sends no length for an empty body, which some servers refuse with status 411.
            if request.method() == http::Method::POST && request.body().is_empty() {
                let length = http::HeaderValue::from_static("0");
                let headers = request.headers_mut();
                headers.insert(http::header::CONTENT_LENGTH, length);
            }
            let upload = Upload::new(start);
            if request.body().is_streamed() {
                let length = http::HeaderValue::from(request.body().len());
                let headers = request.headers_mut();
                headers.insert(http::header::CONTENT_LENGTH, length);
            }
            let request = request.map(|body| upload.body(body));
            let request = reqwest::Request::try_from(request).map_err(|e| {
                let (kind, delivery) = (TransportErrorKind::Request, RequestDelivery::NotSent);
                let message = format!("reqwest does not accept the request to {}", peer.0);
                TransportError::new(kind, delivery, message).with_source(e.without_url())
            })?;
            // reqwest takes a limit for connecting only for the whole client, so that both parts share one deadline here.
            // A streamed body moves it.
            let mut sending = pin!(client.execute(request));
            let response = loop {
                // Progress can make the deadline earlier too, so that it is looked at again before.
                let by = deadlines.headers_by(upload.progress());
                let limit = by.saturating_since(upload.now()).min(LOOK_AGAIN);
                match tokio::time::timeout(limit, &mut sending).await {
                    Ok(Ok(response)) => break response,
                    Ok(Err(error)) => {
                        return Err(upload.failure().unwrap_or_else(|| peer.send_error(error)));
                    }
                    Err(_) if deadlines.headers_by(upload.progress()) > upload.now() => {}
                    Err(_) => {
                        let phase = match upload.progress() {
                            UploadProgress::Sending(_) => Phase::RequestBody,
                            _ => Phase::Headers,
                        };
                        return Err(peer.timeout(phase, RequestDelivery::MaybeProcessed));
                    }
                }
            };
            let (parts, body) = http::Response::from(response).into_parts();
            let body = reqwest::Response::from(http::Response::new(body)).bytes_stream();
            let body = ReqwestBody {
                chunks: Some(Box::pin(body)),
                peer,
                start,
                timer: None,
            };
            Ok(http::Response::from_parts(parts, body))
        }
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send + 'static {
        tokio::time::sleep(at.saturating_since(self.now()))
    }
}

impl AsyncResponseBody for ReqwestBody {
    fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Time,
    ) -> Poll<Result<Option<Bytes>, TransportError>> {
        let Some(chunks) = &mut self.chunks else {
            return Poll::Ready(Ok(None));
        };
        if let Poll::Ready(chunk) = chunks.as_mut().poll_next(cx) {
            self.timer = None;
            if chunk.is_none() {
                self.chunks = None;
            }
            return Poll::Ready(chunk.transpose().map_err(|e| self.peer.read_error(e)));
        }
        if deadline == Time::MAX {
            return Poll::Pending;
        }
        if self.timer.as_ref().is_none_or(|(at, _)| *at != deadline) {
            let now = Time::ZERO.saturating_add(self.start.elapsed());
            let sleep = tokio::time::sleep(deadline.saturating_since(now));
            self.timer = Some((deadline, Box::pin(sleep)));
        }
        if let Some((_, timer)) = &mut self.timer {
            ready!(timer.as_mut().poll(cx));
        }
        Poll::Ready(Err(self
            .peer
            .timeout(Phase::Body, RequestDelivery::Answered)))
    }
}

impl Peer {
    fn of(uri: &http::Uri) -> Result<Peer, TransportError> {
        let implied = match uri.scheme_str() {
            Some("http") => Some(80),
            Some("https") => Some(443),
            _ => None,
        };
        match (implied, uri.host()) {
            (Some(implied), Some(host)) => {
                let port = uri.port_u16().unwrap_or(implied);
                Ok(Peer(format!("{host}:{port}")))
            }
            _ => {
                let (kind, delivery) = (TransportErrorKind::Request, RequestDelivery::NotSent);
                let message = "the URL of a request must be http:// or https:// with a host";
                Err(TransportError::new(kind, delivery, message))
            }
        }
    }

    fn timeout(&self, phase: Phase, delivery: RequestDelivery) -> TransportError {
        let kind = TransportErrorKind::Timeout(phase);
        TransportError::new(kind, delivery, format!("{}: {kind}", self.0))
    }

    /// Without a connection the server cannot have seen the request; after that it may have processed it.
    fn send_error(&self, error: reqwest::Error) -> TransportError {
        let (kind, delivery) = if let Some(kind) = connect_kind(&error) {
            (kind, RequestDelivery::NotSent)
        } else if error.is_builder() {
            (TransportErrorKind::Request, RequestDelivery::NotSent)
        } else {
            (response_kind(&error), RequestDelivery::MaybeProcessed)
        };
        self.error(kind, delivery, error)
    }

    fn read_error(&self, error: reqwest::Error) -> TransportError {
        let kind = match response_kind(&error) {
            // The connection ended inside the body.
            TransportErrorKind::Reset => TransportErrorKind::Truncated,
            kind => kind,
        };
        self.error(kind, RequestDelivery::Answered, error)
    }

    /// The message is what users see, so it has the server and the innermost cause; the causes between are reqwest's
    /// and hyper's, and stay in `source`.
    fn error(
        &self,
        kind: TransportErrorKind,
        delivery: RequestDelivery,
        error: reqwest::Error,
    ) -> TransportError {
        let error = error.without_url();
        let cause = causes(&error).last().map(ToString::to_string);
        let message = format!("{}: {kind}: {}", self.0, cause.unwrap_or_default());
        TransportError::new(kind, delivery, message).with_source(error)
    }
}

/// Why there was no connection, or `None` if there was one.
fn connect_kind(error: &reqwest::Error) -> Option<TransportErrorKind> {
    if !error.is_connect() {
        return None;
    }
    // hyper-util has no public type for this.
    let is_dns = causes(error).any(|cause| cause.to_string() == "dns error");
    // So tokio-rustls reports a certificate that is not trusted, and bytes that are not TLS.
    let is_tls = causes(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|io| io.kind() == io::ErrorKind::InvalidData);
    Some(if is_dns {
        TransportErrorKind::Dns
    } else if is_tls {
        TransportErrorKind::Tls
    } else {
        TransportErrorKind::Connect
    })
}

fn response_kind(error: &reqwest::Error) -> TransportErrorKind {
    let io = find::<io::Error>(error).map(io::Error::kind);
    match find::<hyper::Error>(error) {
        Some(error) if error.is_parse_too_large() => TransportErrorKind::HeadersTooLarge,
        Some(error) if error.is_parse() => TransportErrorKind::Protocol,
        _ => match io {
            Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
                TransportErrorKind::Protocol
            }
            _ => TransportErrorKind::Reset,
        },
    }
}

fn find<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// The error and its causes, the outermost first.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'e (dyn Error + 'static)| {
        let error: &'e (dyn Error + 'static) = *error;
        // `source` of an I/O error leaves out the error that it contains.
        match error.downcast_ref::<io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}
