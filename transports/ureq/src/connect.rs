//! How a connection is opened: name lookup, TCP, a proxy, TLS.

use crate::{
    connection::Connection,
    idle::Idle,
    race,
    socket::{Socket, Stream},
    timeout::{self, Stage},
};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use socket2::{SockRef, TcpKeepalive};
use std::{
    fmt,
    io::{self, ErrorKind},
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
};
use unifiedai_http::{
    Options, error,
    proxy::{Proxy, Scheme},
    target::{Peer, Target},
    tunnel::Handshake,
};
use unifiedai_transport::TransportError;
use ureq::{
    Error,
    config::Config,
    http::Uri,
    unversioned::{
        resolver::{ResolvedSocketAddrs, Resolver},
        transport::{ConnectionDetails, Connector as Connect, NextTimeout},
    },
};

#[derive(Clone)]
pub(crate) struct Connector {
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) options: Arc<Options>,
    pub(crate) idle: Arc<Idle>,
}

/// An open connection, and what a request on it has before its path.
type Opened = (Box<dyn Stream>, Option<Box<str>>);

impl Connect for Connector {
    type Out = Connection;

    fn connect(
        &self,
        details: &ConnectionDetails,
        _: Option<()>,
    ) -> Result<Option<Connection>, Error> {
        Connection::open(self, details.uri, details.config).map(Some)
    }
}

impl Connector {
    pub(crate) fn open(&self, uri: &Uri) -> Result<Opened, Error> {
        timeout::advance(Stage::Unsent, Stage::Connecting);
        let opened = self.reach(uri);
        timeout::advance(Stage::Connecting, Stage::Unsent);
        opened.map_err(|failure| Error::Other(failure.into()))
    }

    fn reach(&self, uri: &Uri) -> Result<Opened, TransportError> {
        let target = Target::of(uri)?;
        let peer = target.peer();
        let proxy = self.options.proxies.route(&target)?;
        let mut stream = match proxy {
            Some(proxy) => self.reach_through(proxy, &target)?,
            None => self.tcp(&peer)?,
        };
        if target.tls() {
            stream = self.handshake(stream, &peer)?;
        }
        let absolute = proxy.filter(|proxy| proxy.takes_absolute_uris(&target));
        let absolute = absolute.map(|_| format!("http://{}", target.without_user()).into());
        Ok((stream, absolute))
    }

    fn reach_through(
        &self,
        proxy: &Arc<Proxy>,
        target: &Target,
    ) -> Result<Box<dyn Stream>, TransportError> {
        let (peer, behind) = (proxy.peer(), target.peer());
        let mut stream = self.tcp(&peer)?;
        if proxy.scheme() == Scheme::Https {
            stream = self.handshake(stream, &peer)?;
        }
        if proxy.takes_absolute_uris(target) {
            return Ok(stream);
        }
        let address = match proxy.scheme() {
            Scheme::Socks5 => self.lookup(&behind)?.first().copied(),
            _ => None,
        };
        let mut handshake = Handshake::new(Arc::clone(proxy), &behind, address)?;
        let failed = |cause| failed(&peer, &cause, error::connect);
        let mut buffer = [0; 512];
        loop {
            stream.write_all(&handshake.output()).map_err(failed)?;
            let read = stream.read(&mut buffer).map_err(failed)?;
            if handshake.input(buffer.get(..read).unwrap_or_default())? {
                return Ok(stream);
            }
        }
    }

    fn tcp(&self, peer: &Peer<'_>) -> Result<Box<dyn Stream>, TransportError> {
        let tcp = race::connect(&self.lookup(peer)?).and_then(|tcp| {
            tcp.set_nodelay(true)?;
            if let Some(after) = self.options.tcp_keep_alive {
                let keep_alive = TcpKeepalive::new().with_time(after);
                SockRef::from(&tcp).set_tcp_keepalive(&keep_alive)?;
            }
            Ok(tcp)
        });
        let mut socket = Socket::default();
        socket.begin(tcp.map_err(|cause| failed(peer, &cause, error::connect))?);
        Ok(Box::new(socket))
    }

    fn handshake(
        &self,
        mut stream: Box<dyn Stream>,
        peer: &Peer<'_>,
    ) -> Result<Box<dyn Stream>, TransportError> {
        let session = ClientConnection::new(Arc::clone(&self.tls), peer.server_name()?);
        let session = session.map_err(io::Error::other).and_then(|mut session| {
            while session.is_handshaking() {
                session.complete_io(&mut stream)?;
            }
            Ok(session)
        });
        let session = session.map_err(|cause| failed(peer, &cause, error::handshake))?;
        Ok(Box::new(StreamOwned::new(session, stream)))
    }

    /// All addresses of a host.
    fn lookup(&self, peer: &Peer<'_>) -> Result<Vec<SocketAddr>, TransportError> {
        if let Some(known) = self.options.known_addresses(peer) {
            return Ok(known);
        }
        let name = (peer.host.to_owned(), peer.port);
        match race::in_time(move || Ok(name.to_socket_addrs()?.collect::<Vec<_>>())) {
            Ok(none) if none.is_empty() => Err(error::no_address(peer)),
            found => found.map_err(|cause| failed(peer, &cause, error::dns)),
        }
    }
}

/// Why there is no connection: the limit for connecting has passed, or `error` says it.
fn failed<'p>(
    peer: &Peer<'p>,
    cause: &io::Error,
    error: fn(&Peer<'p>, &io::Error) -> TransportError,
) -> TransportError {
    match cause.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => error::connect_timeout(peer),
        _ => error(peer, cause),
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

/// Names are looked up when a connection is opened: not for a kept one, and not for one behind a proxy.
impl Resolver for Connector {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(self.empty())
    }
}
