//! What `unifiedai`'s async transports have in common: connections over [hyper](https://docs.rs/hyper)'s codecs, pooled, that
//! move only while somebody polls.
//!
//! Nothing is spawned for HTTP/1.1: a connection is driven by the future or the body that uses it, and dropping that closes it.
//! Idle connections wait in the pool and are looked at before they are used again. A transport brings its runtime's sockets
//! ([`Connect`]) and timers ([`Alarm`]).

mod ahead;
mod bell;
mod body;
mod connection;
pub mod error;
mod io;
mod origin;
mod pool;
mod request_body;
mod sent;
mod stream;
mod target;
mod tls;

pub use body::Body;
pub use request_body::RequestBody;
pub use stream::{Stream, View};
pub use target::Target;
pub use tls::default_config;

use bytes::Bytes;
use connection::{Connection, Http1, Wire};
use pool::Pool;
use sent::Sent;
use std::{
    fmt,
    future::{Future, poll_fn},
    mem,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
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
    Http2(hyper::client::conn::http2::SendRequest<RequestBody>),
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
pub struct Client<C: Connect> {
    pool: Arc<Pool<C::Alarm>>,
    connector: Arc<C>,
}

impl<C: Connect> Clone for Client<C> {
    fn clone(&self) -> Self {
        Client {
            pool: Arc::clone(&self.pool),
            connector: Arc::clone(&self.connector),
        }
    }
}

impl<C: Connect> fmt::Debug for Client<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
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

    /// Sends a request and waits for the answer's head, by the rules of the contract. A connection is taken at once, and used when
    /// the future is polled.
    ///
    /// # Errors
    /// As the contract says: what failed, and whether the request can have reached the server.
    pub fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> impl Future<Output = Result<http::Response<Body<C::Alarm>>, TransportError>> + Send + 'static
    {
        let head_by = limits.head.min(limits.total);
        let stage = match self.pool.take(request.uri(), C::Alarm::now()) {
            Some(connection) => Stage::Sent(Sent::new(connection, request)),
            // Boxed: it is large, and most requests do without it.
            None => Stage::Connecting(Box::pin({
                let (client, connect_by) = (self.clone(), limits.connect.min(head_by));
                async move {
                    let connection = connect(&client, request.uri(), connect_by).await?;
                    Ok(Sent::new(connection, request))
                }
            })),
        };
        Sending {
            stage,
            pool: Arc::clone(&self.pool),
            head_by,
        }
    }
}

/// A request on its way, until the head of its answer has come.
struct Sending<A: Alarm> {
    stage: Stage<A>,
    pool: Arc<Pool<A>>,
    head_by: Time,
}

enum Stage<A> {
    Connecting(Pin<Box<dyn Future<Output = Result<Sent<A>, TransportError>> + Send>>),
    Sent(Sent<A>),
    Over,
}

impl<A: Alarm> Future for Sending<A> {
    type Output = Result<http::Response<Body<A>>, TransportError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let head_by = self.head_by;
        if let Stage::Connecting(connecting) = &mut self.stage {
            let connected = ready!(connecting.as_mut().poll(cx));
            self.stage = Stage::Over;
            self.stage = Stage::Sent(connected?);
        }
        let Stage::Sent(sent) = &mut self.stage else {
            return Poll::Pending;
        };
        let answer = ready!(sent.poll(cx, head_by));
        let Stage::Sent(Sent { connection, .. }) = mem::replace(&mut self.stage, Stage::Over)
        else {
            return Poll::Pending;
        };
        let pool = Arc::clone(&self.pool);
        let answer = answer?.map(|incoming| Body::new(incoming, connection, pool));
        Poll::Ready(Ok(answer))
    }
}

async fn connect<C: Connect>(
    client: &Client<C>,
    uri: &http::Uri,
    by: Time,
) -> Result<Connection<C::Alarm>, TransportError> {
    let origin = client.pool.origin(uri)?;
    let opened = {
        let opening = pin!(open(client, &origin.target, by));
        C::Alarm::default().within(by, opening).await
    };
    let wire = opened.unwrap_or_else(|| Err(error::unconnected(&origin.target.host)))?;
    #[cfg(feature = "http2")]
    if let Wire::Http2(sender) = &wire {
        let shared = Connection {
            origin: Arc::clone(&origin),
            wire: Wire::Http2(sender.clone()),
            alarm: C::Alarm::default(),
        };
        client.pool.share(shared, C::Alarm::now());
    }
    Ok(Connection {
        origin,
        wire,
        // Another one, because that one knows the task.
        alarm: C::Alarm::default(),
    })
}

async fn open<C: Connect>(
    client: &Client<C>,
    target: &Target,
    by: Time,
) -> Result<Wire, TransportError> {
    match client.connector.connect(target, by).await? {
        Connected::Http1(stream) => {
            let codec = Http1::new(stream).await;
            let codec = codec.map_err(|error| error::sending(error, &target.host))?;
            Ok(Wire::Http1(codec))
        }
        #[cfg(feature = "http2")]
        Connected::Http2(sender) => Ok(Wire::Http2(sender)),
    }
}
