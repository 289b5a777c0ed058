//! Opens connections: name lookup, TCP, a proxy if there is one, TLS.

use crate::{
    connection::Connection,
    idle::Idle,
    proxy, race,
    socket::{Socket, Stream},
    timeout::{self, Stage},
};
use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};
use std::{
    fmt,
    io::{self, ErrorKind},
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
};
use unifiedai_http::{
    Options, error,
    proxy::{Proxy, Scheme},
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

/// What is connected to, and what errors call it.
pub(crate) struct TargetAddress<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) name: String,
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
        let (tls, host, port) = target(uri)?;
        let name = error::address_text(host, port);
        let place = TargetAddress { host, port, name };
        let (mut stream, absolute) = match self.options.proxies.route(tls, host, port)? {
            Some(proxy) => self.reach_by(proxy, tls, &place)?,
            None => (self.tcp(&place)?, None),
        };
        if tls {
            stream = self.handshake(stream, &place)?;
        }
        Ok((stream, absolute))
    }

    fn reach_by(
        &self,
        proxy: &Arc<Proxy>,
        tls: bool,
        target: &TargetAddress,
    ) -> Result<Opened, TransportError> {
        let name = format!("the proxy {proxy}");
        let (host, port) = (proxy.host(), proxy.port());
        let place = TargetAddress { host, port, name };
        let mut stream = self.tcp(&place)?;
        if proxy.scheme() == Scheme::Https {
            stream = self.handshake(stream, &place)?;
        }
        if proxy.scheme().is_http() && !tls {
            let place = if target.port == 80 {
                target.host
            } else {
                &*target.name
            };
            return Ok((stream, Some(format!("http://{place}").into())));
        }
        let address = match proxy.scheme() {
            Scheme::Socks5 => self
                .lookup(target)?
                .first()
                .map(|first| first.ip().to_string()),
            _ => None,
        };
        let host = address.as_deref().unwrap_or(target.host);
        proxy::tunnel(&mut *stream, proxy, host, target.port, &place)?;
        Ok((stream, None))
    }

    fn tcp(&self, place: &TargetAddress) -> Result<Box<dyn Stream>, TransportError> {
        let addresses = self.lookup(place)?;
        let tcp = race::connect(&addresses).and_then(|tcp| {
            tcp.set_nodelay(true)?;
            if let Some(after) = self.options.tcp_keep_alive {
                let keep_alive = socket2::TcpKeepalive::new().with_time(after);
                socket2::SockRef::from(&tcp).set_tcp_keepalive(&keep_alive)?;
            }
            Ok(tcp)
        });
        let mut socket = Socket::default();
        socket.begin(tcp.map_err(|cause| failed(place, &cause, error::connect))?);
        Ok(Box::new(socket))
    }

    fn handshake(
        &self,
        mut stream: Box<dyn Stream>,
        place: &TargetAddress,
    ) -> Result<Box<dyn Stream>, TransportError> {
        let name = ServerName::try_from(place.host.trim_matches(['[', ']']).to_owned())
            .map_err(|_| error::invalid_request("the host is not a valid server name"))?;
        let session = ClientConnection::new(Arc::clone(&self.tls), name).map_err(io::Error::other);
        let session = session.and_then(|mut session| {
            while session.is_handshaking() {
                session.complete_io(&mut stream)?;
            }
            Ok(session)
        });
        let session = session.map_err(|cause| failed(place, &cause, error::handshake))?;
        Ok(Box::new(StreamOwned::new(session, stream)))
    }

    /// All addresses of a host.
    fn lookup(&self, place: &TargetAddress) -> Result<Vec<SocketAddr>, TransportError> {
        if let Some(known) = self.options.known_addresses(place.host, place.port) {
            return Ok(known);
        }
        let name = (place.host.to_owned(), place.port);
        let found = race::in_time(move || match name.to_socket_addrs()?.collect::<Vec<_>>() {
            none if none.is_empty() => Err(io::Error::other("it has no address")),
            addresses => Ok(addresses),
        });
        found.map_err(|cause| failed(place, &cause, error::dns))
    }
}

/// Why there is no connection: the limit for connecting has passed, or `error` says it.
pub(crate) fn failed(
    place: &TargetAddress,
    cause: &io::Error,
    error: fn(&str, &io::Error) -> TransportError,
) -> TransportError {
    match cause.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => error::connect_timeout(&place.name),
        _ => error(&place.name, cause),
    }
}

/// Whether TLS is asked for, host, port.
pub(crate) fn target(uri: &Uri) -> Result<(bool, &str, u16), TransportError> {
    let usual = match uri.scheme_str() {
        Some("http") => Some((false, 80)),
        Some("https") => Some((true, 443)),
        _ => None,
    };
    let host = uri.host().filter(|host| !host.is_empty());
    let (Some((tls, port)), Some(host)) = (usual, host) else {
        let why = "the URL has no host, or a scheme other than `http` and `https`";
        return Err(error::invalid_request(why));
    };
    Ok((tls, host, uri.port_u16().unwrap_or(port)))
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
