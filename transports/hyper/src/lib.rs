//! Carries `unifiedai`'s HTTP on tokio, over [hyper](https://docs.rs/hyper). HTTP/1.1 and HTTP/2 (by ALPN),
//! pooled, rustls.
//!
//! Has to be used inside a tokio runtime with I/O and time enabled, and with one only: a connection's socket and timer stay with
//! the runtime that opened it. Over HTTP/1.1 nothing is spawned: a connection is driven by
//! the future or the body that uses it, and dropping that closes it. A connection that speaks HTTP/2 is driven by a task of its
//! own; dropping a body resets its stream.
//!
//! Proxies come from the environment (`HTTPS_PROXY`, `NO_PROXY`, ...) and are asked for a tunnel; only `http://`
//! proxies are supported, and loopback is never proxied.

mod clock;
mod connect;
mod stream;

use bytes::Bytes;
pub use clock::Timer;
use connect::Connector;
use std::{
    fmt,
    future::{Future, poll_fn},
    sync::Arc,
    time::SystemTime,
};
use unifiedai_pool::Alarm as _;
use unifiedai_transport::{AsyncTransport, Limits, Time, TransportError};

/// A response's body, read as it comes.
pub type Body = unifiedai_pool::Body<Timer>;

/// A pool of connections. Clones share it.
#[derive(Clone)]
pub struct Client(unifiedai_pool::Client<Connector>);

impl Client {
    /// TLS by rustls and ring, trusting Mozilla's roots.
    #[must_use]
    pub fn new() -> Self {
        Client::with_tls(unifiedai_pool::default_config())
    }

    /// TLS as configured by the caller, except for ALPN, which is set here.
    #[must_use]
    pub fn with_tls(tls: impl Into<Arc<rustls::ClientConfig>>) -> Self {
        let tls = Arc::unwrap_or_clone(tls.into());
        Client(unifiedai_pool::Client::new(Connector::new(tls)))
    }
}

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
        Timer::now()
    }

    fn wall_clock(&self) -> SystemTime {
        clock::wall_clock()
    }

    fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> impl Future<Output = Result<http::Response<Body>, TransportError>> + Send + 'static {
        self.0.send(request, limits)
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send + 'static {
        let mut alarm = Timer::default();
        poll_fn(move |cx| alarm.poll(cx, at))
    }
}
