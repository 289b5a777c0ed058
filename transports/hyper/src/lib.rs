//! Carries `unifiedai`'s HTTP on tokio, over [hyper](https://docs.rs/hyper). HTTP/1.1 and HTTP/2 (by ALPN),
//! pooled, rustls.
//!
//! Has to be used inside a tokio runtime with I/O and time enabled: connections are driven by tasks on it. A task
//! ends with its connection; dropping a response's body closes the connection (HTTP/1.1) or resets the stream.
//!
//! Proxies come from the environment (`HTTPS_PROXY`, `NO_PROXY`, ...) and are asked for a tunnel; only `http://`
//! proxies are supported, and loopback is never proxied.

mod body;
mod clock;
mod connect;
mod error;
mod tls;

pub use body::Body;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body as _;
use hyper_util::{
    client::legacy::{
        self, ResponseFuture,
        connect::{Connect, capture_connection},
    },
    rt::{TokioExecutor, TokioTimer},
};
use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::{Poll, ready},
    time::{Duration, SystemTime},
};
use unifiedai_transport::{AsyncTransport, Limits, Time, TransportError};

/// A pool of connections. Clones share it.
#[derive(Clone)]
pub struct Client(Arc<dyn Fn(http::Request<Full<Bytes>>) -> ResponseFuture + Send + Sync>);

impl Client {
    /// TLS by rustls and ring, trusting Mozilla's roots.
    #[must_use]
    pub fn new() -> Self {
        Client::with_tls(tls::default_config())
    }

    /// TLS as configured by the caller, except for ALPN, which is set here.
    #[must_use]
    pub fn with_tls(tls: impl Into<Arc<rustls::ClientConfig>>) -> Self {
        let tls = Arc::unwrap_or_clone(tls.into());
        Client::with_client(builder().build(connect::connector(tls)))
    }

    /// The caller's own client. It keeps the contract's rules only if it is built with
    /// `retry_canceled_requests(false)`, as [`builder`] does.
    #[must_use]
    pub fn with_client<C>(client: legacy::Client<C, Full<Bytes>>) -> Self
    where
        C: Connect + Clone + Send + Sync + 'static,
    {
        Client(Arc::new(move |request| client.request(request)))
    }
}

/// hyper-util's builder with the settings of [`Client::new`], for [`Client::with_client`].
#[must_use]
pub fn builder() -> legacy::Builder {
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_AGE)
        .retry_canceled_requests(false)
        .http1_max_buf_size(HEAD_SIZE)
        .http2_max_header_list_size(64 * 1024);
    builder
}

/// Below the 15 s after which common servers close an idle connection.
const IDLE_AGE: Duration = Duration::from_secs(14);
/// The largest head that is accepted. hyper's buffer begins with 8 KiB and grows to this only where it is needed.
const HEAD_SIZE: usize = 72 * 1024;

impl Default for Client {
    fn default() -> Self {
        Client::new()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl AsyncTransport for Client {
    type Body = Body;

    fn now(&self) -> Time {
        clock::now()
    }

    fn wall_clock(&self) -> SystemTime {
        clock::wall_clock()
    }

    fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> impl Future<Output = Result<http::Response<Body>, TransportError>> + Send + 'static {
        let host: Box<str> = request.uri().host().unwrap_or("(no host)").into();
        let sendable = matches!(request.uri().scheme_str(), Some("http" | "https"));
        let mut request = request.map(Full::new);
        state_empty_body(&mut request);
        let connection = capture_connection(&mut request);
        let answer = sendable.then(|| (self.0)(request));
        async move {
            let Some(answer) = answer else {
                return Err(error::unsendable(&host));
            };
            let mut answer = pin!(answer);
            let mut alarm = clock::Alarm::default();
            let head_by = limits.head.min(limits.total);
            let response = poll_fn(|cx| {
                if let Poll::Ready(result) = answer.as_mut().poll(cx) {
                    return Poll::Ready(result.map_err(|error| error::sending(error, &host)));
                }
                let connected = connection.connection_metadata().is_some();
                let by = if connected {
                    head_by
                } else {
                    limits.connect.min(head_by)
                };
                ready!(alarm.poll(cx, by));
                Poll::Ready(Err(error::late(connected, &host)))
            })
            .await?;
            let (head, body) = response.into_parts();
            let body = Body::new(body, alarm, host);
            Ok(http::Response::from_parts(head, body))
        }
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send + 'static {
        let mut alarm = clock::Alarm::default();
        poll_fn(move |cx| alarm.poll(cx, at))
    }
}

/// hyper leaves it out, and some servers then ask for it.
fn state_empty_body(request: &mut http::Request<Full<Bytes>>) {
    let expects_body = matches!(request.method().as_str(), "POST" | "PUT" | "PATCH");
    if expects_body && request.body().is_end_stream() {
        let length = http::HeaderValue::from_static("0");
        request
            .headers_mut()
            .insert(http::header::CONTENT_LENGTH, length);
    }
}
