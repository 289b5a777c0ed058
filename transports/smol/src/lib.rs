//! Carries `unifiedai`'s HTTP on smol's reactor ([async-io](https://docs.rs/async-io)), with
//! [hyper](https://docs.rs/hyper)'s HTTP/1.1, pooled, rustls. No tokio.
//!
//! It works on any executor, because it spawns nothing: a connection is driven by the future or the body that uses
//! it, and dropping that closes it. Idle connections wait in the pool and are looked at before they are used again.
//!
//! Proxies come from the environment (`HTTPS_PROXY`, `NO_PROXY`, ...) and are asked for a tunnel; only `http://`
//! proxies are supported, and loopback is never proxied.

mod body;
mod clock;
mod connect;
mod connection;
mod error;
mod pool;
mod proxy;
mod tls;

pub use body::Body;

use bytes::Bytes;
use clock::Alarm;
use connect::Connector;
use pool::{Pool, Target};
use std::{fmt, future::Future, sync::Arc, time::SystemTime};
use unifiedai_transport::{AsyncTransport, Limits, Time, TransportError};

/// A pool of connections. Clones share it.
#[derive(Clone)]
pub struct Client {
    pool: Arc<Pool>,
    connector: Arc<Connector>,
}

impl Client {
    /// TLS by rustls and ring, trusting Mozilla's roots.
    #[must_use]
    pub fn new() -> Self {
        Client::with_tls(tls::default_config())
    }

    /// TLS as configured by the caller.
    #[must_use]
    pub fn with_tls(tls: impl Into<Arc<rustls::ClientConfig>>) -> Self {
        Client {
            pool: Arc::default(),
            connector: Arc::new(Connector::new(tls.into())),
        }
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
        exchange(self.clone(), request, limits)
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send + 'static {
        let mut alarm = Alarm::default();
        std::future::poll_fn(move |cx| alarm.poll(cx, at))
    }
}

async fn exchange(
    client: Client,
    mut request: http::Request<Bytes>,
    limits: Limits,
) -> Result<http::Response<Body>, TransportError> {
    let target = Target::take_from(&mut request)?;
    let head_by = limits.head.min(limits.total);
    let mut alarm = Alarm::default();
    let mut connection = match client.pool.take(&target).await {
        Some(connection) => connection,
        None => {
            let connect_by = limits.connect.min(head_by);
            let connecting = client.connector.connect(&target, connect_by);
            match alarm.within(connect_by, connecting).await {
                Some(connected) => connected?,
                None => return Err(error::unconnected(&target.host)),
            }
        }
    };
    match alarm.within(head_by, connection.send(request)).await {
        Some(Ok(response)) => {
            let (head, body) = response.into_parts();
            let body = Body::new(body, connection, client.pool, target, alarm);
            Ok(http::Response::from_parts(head, body))
        }
        Some(Err(error)) => Err(error::sending(error, &target.host)),
        None => Err(error::unanswered(&target.host)),
    }
}
