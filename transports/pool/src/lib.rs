//! What `unifiedai`'s async transports have in common: connections over [hyper](https://docs.rs/hyper)'s codecs, pooled, that
//! move only while somebody polls.
//!
//! Nothing is spawned for HTTP/1.1: a connection is driven by the future or the body that uses it, and dropping that closes it.
//! Idle connections wait in the pool and are looked at before they are used again. A transport brings its runtime's sockets
//! ([`Connect`]) and timers ([`Alarm`]).

mod body;
mod connection;
pub mod error;
mod pool;
mod target;
mod tls;

pub use body::Body;
pub use connection::Stream;
pub use target::Target;
pub use tls::default_config;

use bytes::Bytes;
use connection::Connection;
use pool::Pool;
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use unifiedai_transport::{Limits, Time, TransportError};

/// Opens connections.
pub trait Connect: Send + Sync + 'static {
    /// What fires when a limit passes.
    type Alarm: Alarm;

    /// Connects to a target. By `by` it is given up.
    fn connect(
        &self,
        target: &Target,
        by: Time,
    ) -> impl Future<Output = Result<Connected, TransportError>> + Send;
}

/// A new connection.
#[non_exhaustive]
pub enum Connected {
    /// Bytes to and from a server that speaks HTTP/1.1.
    Http1(Box<dyn Stream>),
    /// HTTP/2, driven by a task of the transport's runtime.
    #[cfg(feature = "http2")]
    Http2(hyper::client::conn::http2::SendRequest<http_body_util::Full<Bytes>>),
}

/// Fires at a point in time that may move.
pub trait Alarm: Default + Send + Unpin + 'static {
    /// The clock that it goes by.
    fn now() -> Time;

    /// Ready once `at` has come. Moving it later should cost nothing until the old point has come.
    fn poll(&mut self, cx: &mut Context<'_>, at: Time) -> Poll<()>;

    /// What `work` gives, or `None` once `at` has come.
    fn within<T>(
        &mut self,
        at: Time,
        mut work: impl Future<Output = T> + Send + Unpin,
    ) -> impl Future<Output = Option<T>> + Send {
        poll_fn(move |cx| match Pin::new(&mut work).poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => self.poll(cx, at).map(|()| None),
        })
    }
}

/// Sends requests over pooled connections. Clones share the pool.
#[derive(Debug)]
pub struct Client<C> {
    pool: Arc<Pool>,
    connector: Arc<C>,
}

impl<C> Clone for Client<C> {
    fn clone(&self) -> Self {
        Client {
            pool: Arc::clone(&self.pool),
            connector: Arc::clone(&self.connector),
        }
    }
}

impl<C: Connect> Client<C> {
    /// An empty pool that is filled by `connector`.
    #[must_use]
    pub fn new(connector: C) -> Self {
        Client {
            pool: Arc::default(),
            connector: Arc::new(connector),
        }
    }

    /// Sends a request and waits for the answer's head, by the rules of the contract.
    ///
    /// # Errors
    /// As the contract says: what failed, and whether the request can have reached the server.
    pub fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> impl Future<Output = Result<http::Response<Body<C::Alarm>>, TransportError>> + Send + 'static
    {
        exchange(self.clone(), request, limits)
    }
}

async fn exchange<C: Connect>(
    client: Client<C>,
    request: http::Request<Bytes>,
    limits: Limits,
) -> Result<http::Response<Body<C::Alarm>>, TransportError> {
    let target = Target::of(request.uri())?;
    let head_by = limits.head.min(limits.total);
    let mut alarm = C::Alarm::default();
    let mut connection = match client.pool.take(&target, C::Alarm::now()).await {
        Some(connection) => connection,
        None => {
            let connect_by = limits.connect.min(head_by);
            // Boxed: it is large, and most requests do without it.
            let opening = Box::pin(open(&client, &target, connect_by));
            match alarm.within(connect_by, opening).await {
                Some(connection) => connection?,
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

async fn open<C: Connect>(
    client: &Client<C>,
    target: &Target,
    by: Time,
) -> Result<Connection, TransportError> {
    match client.connector.connect(target, by).await? {
        Connected::Http1(stream) => {
            let connection = Connection::http1(stream).await;
            connection.map_err(|error| error::sending(error, &target.host))
        }
        #[cfg(feature = "http2")]
        Connected::Http2(sender) => {
            client.pool.share(target, sender.clone(), C::Alarm::now());
            Ok(Connection::Http2(sender))
        }
    }
}
