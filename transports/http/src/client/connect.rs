//! How a connection is opened: name lookup, TCP, a proxy, TLS.

use super::{
    Io, Runtime, Shared, Timer,
    connection::{Connection, http1},
    http2::{Turn, http2},
    tcp::{SocketState, Tcp},
};
use crate::{
    Options,
    error::{self, connect_timeout},
    proxy::{Proxy, Scheme},
    target::{ATTEMPT_DELAY, Peer, Target, interleaved},
    tunnel::Handshake,
};
use rustls::ClientConfig;
use socket2::TcpKeepalive;
use std::{
    future::{Future as _, poll_fn},
    io,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::Poll,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;
use unifiedai_transport::{Time, TransportError};

type Stream = (Box<dyn Io>, Arc<SocketState>);

/// A connection, and whether others have used it.
pub(crate) async fn connect<R: Runtime>(
    shared: &Shared<R>,
    target: &Target,
    runtime: R::Id,
    by: Time,
    timer: &mut Timer<R>,
) -> Result<(Connection<R>, bool), TransportError> {
    let late = || connect_timeout(target);
    let gate = shared.pool.gate(target, runtime);
    // Also for a host to which no connection is opened: the pool remembers it until then.
    shared.pool.start_reaper(runtime);
    let failures = gate.failures.load(Relaxed);
    let mut turn = None;
    if target.tls() && !gate.is_http1.load(Relaxed) {
        let waiting = pin!(Arc::clone(&gate.lock).lock_owned());
        turn = Some(timer.within(|| by, waiting).await.ok_or_else(late)?);
        if let Some(kept) = shared.pool.take(target, runtime) {
            return Ok((kept, true));
        }
        if gate.is_http1.load(Relaxed) || gate.failures.load(Relaxed) != failures {
            turn = None;
        }
    }
    if Timer::<R>::now() >= by {
        return Err(late());
    }
    let opening = Box::pin(open(shared, target, runtime, &mut turn));
    let opened = timer.within(|| by, opening).await;
    let connection = opened.unwrap_or_else(|| Err(late())).inspect_err(|_| {
        gate.failures.fetch_add(1, Relaxed);
    })?;
    gate.is_http1.store(connection.is_http1(), Relaxed);
    Ok((connection, false))
}

/// `turn` is taken if it is an HTTP/2 connection, until other calls can share it.
async fn open<R: Runtime>(
    shared: &Shared<R>,
    target: &Target,
    runtime: R::Id,
    turn: &mut Option<Turn>,
) -> Result<Connection<R>, TransportError> {
    let (options, peer) = (&shared.options, target.peer());
    let route = options.proxies.route(target)?;
    let (mut io, watch) = match route {
        Some(proxy) => connect_through_proxy(proxy, target, shared).await?,
        None => connect_tcp::<R>(&peer, options).await?,
    };
    if target.tls() {
        let is_http2;
        (io, is_http2) = tls(io, &shared.tls, &peer).await?;
        if is_http2 {
            return http2(io, target, runtime, shared, turn).await;
        }
    }
    let proxy = route.filter(|proxy| proxy.takes_absolute_uris(target));
    http1(io, watch, target, runtime, proxy.cloned()).await
}

async fn connect_through_proxy<R: Runtime>(
    proxy: &Arc<Proxy>,
    target: &Target,
    shared: &Shared<R>,
) -> Result<Stream, TransportError> {
    let (peer, behind) = (proxy.peer(), target.peer());
    let (mut io, watch) = connect_tcp::<R>(&peer, &shared.options).await?;
    if proxy.scheme() == Scheme::Https {
        io = tls(io, &shared.proxy_tls, &peer).await?.0;
    }
    if proxy.takes_absolute_uris(target) {
        return Ok((io, watch));
    }
    let mut address = None;
    if proxy.scheme() == Scheme::Socks5 {
        address = resolve::<R>(&behind, &shared.options)
            .await?
            .into_iter()
            .next();
    }
    let mut handshake = Handshake::new(Arc::clone(proxy), &behind, address)?;
    let failed = |e: io::Error| error::connect(&peer, &e);
    let mut buffer = [0; 512];
    loop {
        io.write_all(&handshake.output()).await.map_err(failed)?;
        io.flush().await.map_err(failed)?;
        let count = io.read(&mut buffer).await.map_err(failed)?;
        if handshake.input(buffer.get(..count).unwrap_or_default())? {
            return Ok((io, watch));
        }
    }
}

/// TLS over a stream, and whether HTTP/2 was negotiated.
async fn tls(
    io: Box<dyn Io>,
    config: &Arc<ClientConfig>,
    peer: &Peer<'_>,
) -> Result<(Box<dyn Io>, bool), TransportError> {
    let connector = TlsConnector::from(Arc::clone(config));
    let connecting = connector.connect(peer.server_name()?, io).await;
    let tls = connecting.map_err(|e| error::handshake(peer, &e))?;
    let is_http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok((Box::new(tls), is_http2))
}

async fn resolve<R: Runtime>(
    peer: &Peer<'_>,
    options: &Options,
) -> Result<Vec<SocketAddr>, TransportError> {
    if let Some(known) = options.known_addresses(peer) {
        return Ok(known);
    }
    match R::resolve(peer.host.to_owned(), peer.port).await {
        Ok(found) if found.is_empty() => Err(error::no_address(peer)),
        found => found.map_err(|e| error::dns(peer, &e)),
    }
}

async fn connect_tcp<R: Runtime>(
    peer: &Peer<'_>,
    options: &Options,
) -> Result<Stream, TransportError> {
    let addresses = interleaved(&resolve::<R>(peer, options).await?);
    let connected = race::<R>(addresses).await.and_then(|tcp| {
        let socket = R::socket(&tcp);
        socket.set_tcp_nodelay(true)?;
        if let Some(after) = options.tcp_keep_alive {
            socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(after))?;
        }
        Ok(tcp)
    });
    let (tcp, watch) = Tcp::<R>::new(connected.map_err(|e| error::connect(peer, &e))?);
    Ok((Box::new(tcp), watch))
}

/// TCP to the first of these addresses that answers ("happy eyeballs", RFC 8305). An attempt begins when another one has failed, or the
/// last one has taken a quarter of a second.
async fn race<R: Runtime>(addresses: Vec<SocketAddr>) -> io::Result<R::Tcp> {
    let mut addresses = addresses.into_iter();
    let mut attempts = Vec::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let mut timer = Timer::<R>::new();
    loop {
        let mut next_at = Time::MAX;
        if let Some(address) = addresses.next() {
            attempts.push(Box::pin(R::connect(address)));
            next_at = Timer::<R>::now().saturating_add(ATTEMPT_DELAY);
        } else if attempts.is_empty() {
            return Err(failure);
        }
        let first_result = poll_fn(|cx| {
            let polls = attempts.iter_mut().map(|attempt| attempt.as_mut().poll(cx));
            let ready = polls.enumerate().find(|(_, poll)| poll.is_ready());
            let Some((at, poll)) = ready else {
                return Poll::Pending;
            };
            drop(attempts.swap_remove(at));
            poll
        });
        match timer.within(|| next_at, first_result).await {
            Some(Ok(tcp)) => return Ok(tcp),
            Some(Err(error)) => failure = error,
            None => {}
        }
    }
}
