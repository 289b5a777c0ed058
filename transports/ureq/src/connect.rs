//! Opens connections: name lookup, TCP, a proxy if there is one, TLS.

use crate::{
    cancel,
    connection::Connection,
    deadline,
    idle::Idle,
    race,
    socket::{Socket, Stream},
};
use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};
use std::{
    fmt,
    io::{self, Read, Write},
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
};
use unifiedai_http::{
    Options, error,
    proxy::{Proxy, Scheme},
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

pub(crate) struct Connector {
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) options: Options,
    pub(crate) idle: Arc<Idle>,
}

/// Host and port, and what errors call them.
struct Place<'a> {
    host: &'a str,
    port: u16,
    name: String,
}

impl<'a> Place<'a> {
    fn of(host: &'a str, port: u16) -> Self {
        let name = error::place(host, port);
        Place { host, port, name }
    }

    fn proxy(proxy: &'a Proxy) -> Self {
        let name = format!("the proxy {proxy}");
        let (host, port) = (proxy.host(), proxy.port());
        Place { host, port, name }
    }
}

impl Connect for Connector {
    type Out = Connection;

    fn connect(
        &self,
        details: &ConnectionDetails,
        _: Option<()>,
    ) -> Result<Option<Connection>, Error> {
        let (tls, host, port) = target(details.uri).ok_or_else(|| Error::BadUri(String::new()))?;
        let opened = deadline::connecting(|| self.open(tls, host, port));
        let (stream, absolute) = opened.map_err(|failure| Error::Other(Box::new(failure)))?;
        let connection = Connection::new(stream, details.config, &self.idle, absolute);
        Ok(Some(connection))
    }
}

impl Connector {
    fn open(
        &self,
        tls: bool,
        host: &str,
        port: u16,
    ) -> Result<(Stream, Option<Box<str>>), TransportError> {
        let target = Place::of(host, port);
        let mut absolute = None;
        let stream = match self.options.proxies.route(tls, host, port)? {
            None => self.tcp(&target)?,
            Some(proxy) => {
                let place = Place::proxy(proxy);
                let mut stream = self.tcp(&place)?;
                if proxy.scheme() == Scheme::Https {
                    stream = self.handshake(stream, &place)?;
                }
                if proxy.scheme().is_http() && !tls {
                    let place = if port == 80 { host } else { &*target.name };
                    absolute = Some(format!("http://{place}").into());
                } else {
                    self.tunnel(&mut stream, proxy, &target, &place)?;
                }
                stream
            }
        };
        let stream = if tls {
            self.handshake(stream, &target)?
        } else {
            stream
        };
        Ok((stream, absolute))
    }

    fn tcp(&self, place: &Place) -> Result<Stream, TransportError> {
        let addresses = lookup(place, &self.options)?;
        let tcp = race::connect(&addresses).map_err(|cause| match cause.kind() {
            io::ErrorKind::TimedOut => error::connect_timeout(&place.name),
            _ => error::connecting(&place.name, &cause),
        })?;
        let set = tcp
            .set_nodelay(true)
            .and_then(|()| match self.options.tcp_keep_alive {
                Some(after) => {
                    let keep_alive = socket2::TcpKeepalive::new().with_time(after);
                    socket2::SockRef::from(&tcp).set_tcp_keepalive(&keep_alive)
                }
                None => Ok(()),
            });
        set.map_err(|cause| error::connecting(&place.name, &cause))?;
        let socket = Socket::new(Arc::new(tcp));
        cancel::begin(&socket);
        Ok(Stream::Plain(socket))
    }

    fn handshake(&self, mut stream: Stream, place: &Place) -> Result<Stream, TransportError> {
        let name = ServerName::try_from(place.host.trim_matches(['[', ']']).to_owned())
            .map_err(|_| error::unsendable("the host is not a valid server name"))?;
        let failed = |cause: io::Error| match cause.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                error::connect_timeout(&place.name)
            }
            _ => error::handshake(&place.name, &cause),
        };
        let session = ClientConnection::new(Arc::clone(&self.tls), name);
        let mut session = session.map_err(|error| failed(io::Error::other(error)))?;
        while session.is_handshaking() {
            session.complete_io(&mut stream).map_err(failed)?;
        }
        Ok(Stream::Tls(Box::new(StreamOwned::new(session, stream))))
    }

    /// Asks a proxy for a connection to the target.
    fn tunnel(
        &self,
        stream: &mut Stream,
        proxy: &Arc<Proxy>,
        target: &Place,
        place: &Place,
    ) -> Result<(), TransportError> {
        let failed = |cause: io::Error| match cause.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                error::connect_timeout(&place.name)
            }
            _ => error::connecting(&place.name, &cause),
        };
        let resolved = match proxy.scheme() {
            Scheme::Socks5 => lookup(target, &self.options)?
                .first()
                .map(|first| first.ip().to_string()),
            _ => None,
        };
        let host = resolved.as_deref().unwrap_or(target.host);
        let mut handshake = Handshake::new(Arc::clone(proxy), host, target.port);
        let mut buffer = [0; 1024];
        loop {
            stream.write_all(&handshake.output()).map_err(failed)?;
            let read = stream.read(&mut buffer).map_err(failed)?;
            if handshake.input(buffer.get(..read).unwrap_or_default())? {
                return Ok(());
            }
        }
    }
}

/// All addresses of a host.
fn lookup(place: &Place, options: &Options) -> Result<Vec<SocketAddr>, TransportError> {
    if let Some(known) = options.known_addresses(place.host, place.port) {
        return Ok(known);
    }
    let name = (place.host.to_owned(), place.port);
    let found = race::in_time(move || Ok(name.to_socket_addrs()?.collect::<Vec<_>>()));
    match found {
        Ok(addresses) if addresses.is_empty() => {
            let none = io::Error::other("it has no address");
            Err(error::unresolved(&place.name, &none))
        }
        Err(cause) if cause.kind() == io::ErrorKind::TimedOut => {
            Err(error::connect_timeout(&place.name))
        }
        found => found.map_err(|cause| error::unresolved(&place.name, &cause)),
    }
}

/// Whether TLS is asked for, host, port.
pub(crate) fn target(uri: &Uri) -> Option<(bool, &str, u16)> {
    let (tls, usual) = match uri.scheme_str() {
        Some("http") => (false, 80),
        Some("https") => (true, 443),
        _ => return None,
    };
    let host = uri.host().filter(|host| !host.is_empty())?;
    Some((tls, host, uri.port_u16().unwrap_or(usual)))
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

/// Names are looked up when a connection is opened, by [`Connector`]: not for a kept one, and not for one behind a proxy.
#[derive(Debug)]
pub(crate) struct NoLookup;

impl Resolver for NoLookup {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(self.empty())
    }
}
