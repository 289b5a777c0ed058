//! The client, and what it needs of a runtime.

mod connect;
mod connection;
mod error;
mod http2;
mod pool;
mod read;
mod send;
mod send_body;
mod service;
mod tcp;
mod timeout;

pub use read::ResponseBody;
pub use service::ServiceClient;
use timeout::Timer;

use crate::{ConfigError, Options, clock, tls};
use hyper::body::Incoming;
use pool::Pool;
use rustls::ClientConfig;
use send::send;
use send_body::SendBody;
use socket2::SockRef;
use std::{
    fmt,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    sync::Arc,
    time::SystemTime,
};
use tokio::io::{AsyncRead, AsyncWrite};
use unifiedai_transport::{AsyncTransport, AttemptDeadlines, RequestBody, Time, TransportError};

/// Bytes to and from a peer.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Boxed, because hyper keeps room for 32 requests for each connection.
type BoxedBody = Box<SendBody>;

/// The body of a response.
pub type Body<R> = ResponseBody<Incoming, R>;

/// Sockets, tasks and timers of an async runtime.
pub trait Runtime: Send + Sync + 'static {
    /// Distinguishes instances of the runtime.
    type Id: Copy + Eq + Send + Sync + Unpin + 'static;
    /// A TCP stream.
    type Tcp: AsyncRead + AsyncWrite + Send + Unpin + 'static;
    /// The advice if [`id`](Self::id) returns `None`.
    const NO_RUNTIME: &'static str;
    /// True if a read of [`Tcp`](Self::Tcp) always reads from the socket. False if it may use the runtime's last
    /// readiness notification.
    const READS_ASK_SOCKET: bool;

    /// The current instance of the runtime, if there is one.
    fn id() -> Option<Self::Id>;

    /// Spawns a task.
    fn spawn(task: impl Future<Output = ()> + Send + 'static);

    /// The runtime's clock and timers.
    fn timer() -> impl hyper::rt::Timer + Send + Sync + 'static;

    /// Resolves a host name.
    fn resolve(host: String, port: u16)
    -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// Opens a TCP connection to an address.
    fn connect(address: SocketAddr)
    -> impl Future<Output = io::Result<Self::Tcp>> + Send + 'static;

    /// The socket of a stream.
    fn socket(tcp: &Self::Tcp) -> SockRef<'_>;
}

/// Sends requests over a connection pool. Clones share it.
pub struct Client<R: Runtime>(Arc<Shared<R>>);

pub(crate) struct Shared<R: Runtime> {
    pub(crate) pool: Arc<Pool<R>>,
    pub(crate) options: Options,
    pub(crate) tls: Arc<ClientConfig>,
    /// Without HTTP/2.
    pub(crate) proxy_tls: Arc<ClientConfig>,
}

impl<R: Runtime> Client<R> {
    /// Creates a client with default options: rustls with ring and Mozilla's roots; proxies from the environment.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the defaults are usable")]
    pub fn new() -> Self {
        Client::with_options(Options::new()).expect("usable options")
    }

    /// Creates a client with the caller's own TLS configuration, except for ALPN, which is set here.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a configuration has been made already")]
    pub fn with_tls(config: impl Into<Arc<ClientConfig>>) -> Self {
        Client::with_options(Options::new().tls(config)).expect("usable options")
    }

    /// Creates a client with options.
    ///
    /// # Errors
    /// If the TLS options contradict each other, or a certificate or a key is invalid.
    pub fn with_options(options: Options) -> Result<Self, ConfigError> {
        let mut config = Arc::unwrap_or_clone(tls::config(&options)?);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let proxy_tls = Arc::new(config.clone());
        if options.http2 {
            config.alpn_protocols.insert(0, b"h2".to_vec());
        }
        Ok(Client(Arc::new(Shared {
            pool: Arc::new(Pool::new(&options)),
            options,
            tls: Arc::new(config),
            proxy_tls,
        })))
    }
}

impl<R: Runtime> AsyncTransport for Client<R> {
    type Body = Body<R>;

    fn now(&self) -> Time {
        Timer::<R>::now()
    }

    fn wall_clock(&self) -> SystemTime {
        clock::wall_clock()
    }

    fn send(
        &self,
        request: http::Request<RequestBody>,
        limits: AttemptDeadlines,
    ) -> impl Future<Output = Result<http::Response<Body<R>>, TransportError>> + Send + 'static
    {
        send(Arc::clone(&self.0), request, limits)
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send + 'static {
        let mut timer = Timer::<R>::new();
        poll_fn(move |cx| timer.poll(cx, at))
    }
}

impl<R: Runtime> Default for Client<R> {
    fn default() -> Self {
        Client::new()
    }
}

impl<R: Runtime> Clone for Client<R> {
    fn clone(&self) -> Self {
        Client(Arc::clone(&self.0))
    }
}

impl<R: Runtime> fmt::Debug for Client<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}
