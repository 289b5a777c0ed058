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
    future::{Future, poll_fn},
    io, mem,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Poll, ready},
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
    timer: &mut R::Timer,
) -> Result<(Connection<R>, bool), TransportError> {
    let late = || connect_timeout(target);
    let gate = shared.pool.gate(target, runtime);
    let failures = gate.failures.load(Relaxed);
    let mut turn = None;
    if target.tls() && !gate.is_http1.load(Relaxed) {
        let waiting = pin!(Arc::clone(&gate.lock).lock_owned());
        turn = Some(timer.within(by, waiting).await.ok_or_else(late)?);
        if let Some(kept) = shared.pool.take(target, runtime) {
            return Ok((kept, true));
        }
        if gate.is_http1.load(Relaxed) || gate.failures.load(Relaxed) != failures {
            turn = None;
        }
    }
    if R::Timer::now() >= by {
        return Err(late());
    }
    let opening = Box::pin(open(shared, target, runtime, &mut turn));
    let opened = timer.within(by, opening).await;
    let connection = opened.unwrap_or_else(|| Err(late())).inspect_err(|_| {
        gate.failures.fetch_add(1, Relaxed);
    })?;
    gate.is_http1.store(connection.is_http1(), Relaxed);
    shared.pool.start_reaper(runtime);
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

/// TCP to the first of a host's addresses that answers.
async fn connect_tcp<R: Runtime>(
    peer: &Peer<'_>,
    options: &Options,
) -> Result<Stream, TransportError> {
    type Attempt<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;
    let mut addresses = interleaved(&resolve::<R>(peer, options).await?).into_iter();
    let mut attempts: Vec<Attempt<R::Tcp>> = Vec::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let mut timer = R::Timer::default();
    let mut next_at = Time::ZERO;
    let connecting = poll_fn(move |cx| {
        loop {
            let mut i = 0;
            while let Some(attempt) = attempts.get_mut(i) {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(tcp)) => return Poll::Ready(Ok(tcp)),
                    Poll::Ready(Err(error)) => {
                        failure = error;
                        drop(attempts.remove(i));
                        next_at = Time::ZERO;
                    }
                    Poll::Pending => i = i.saturating_add(1),
                }
            }
            if addresses.len() == 0 && attempts.is_empty() {
                return Poll::Ready(Err(mem::replace(&mut failure, io::ErrorKind::Other.into())));
            }
            if next_at > Time::ZERO {
                ready!(timer.poll(cx, next_at));
            }
            next_at = Time::MAX;
            if let Some(address) = addresses.next() {
                attempts.push(Box::pin(R::connect(address)));
                next_at = R::Timer::now().saturating_add(ATTEMPT_DELAY);
            }
        }
    });
    let connected = connecting.await.and_then(|tcp| {
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
