//! How a connection is opened: name lookup, TCP, a proxy, TLS.

use super::{
    Io, Runtime, Shared, Timer, Watch,
    connection::{Connection, http1},
    http2::Multiplexed,
    target::Target,
};
use crate::{
    Options,
    addresses::{ATTEMPT_DELAY, interleaved},
    error::{self, connect_timeout},
    proxy::{Proxy, Scheme},
    tunnel::Handshake,
};
use hyper::rt::ReadBuf;
use std::{
    future::{Future, poll_fn},
    io,
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Poll, ready},
};
use unifiedai_transport::{Time, TransportError};

type Stream = (Box<dyn Io>, Arc<Watch>);

/// A connection, and whether others have used it.
pub(crate) async fn connect<R: Runtime>(
    shared: &Shared<R>,
    target: &Target,
    runtime: R::Id,
    by: Time,
    timer: &mut R::Timer,
) -> Result<(Connection<R>, bool), TransportError> {
    let late = || connect_timeout(&target.to_string());
    let gate = shared.pool.gate(target, runtime);
    let failures = gate.failures.load(Relaxed);
    let mut turn = None;
    if target.tls && !gate.is_http1.load(Relaxed) {
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
    let opening = Box::pin(open(shared, target, runtime));
    let opened = timer.within(by, opening).await;
    let connection = opened.unwrap_or_else(|| Err(late())).inspect_err(|_| {
        gate.failures.fetch_add(1, Relaxed);
    })?;
    gate.is_http1
        .store(matches!(connection, Opened::Http1(_)), Relaxed);
    let connection = match connection {
        Opened::Http1(connection) => connection,
        Opened::Http2(shareable) => {
            let stream = shareable.stream();
            if let Some(turn) = turn {
                shareable.keep_turn(turn);
            }
            shared.pool.share(target, runtime, shareable);
            stream
        }
    };
    shared.pool.start_reaper(runtime);
    Ok((connection, false))
}

enum Opened<R: Runtime> {
    Http1(Connection<R>),
    Http2(Multiplexed<R>),
}

async fn open<R: Runtime>(
    shared: &Shared<R>,
    target: &Target,
    runtime: R::Id,
) -> Result<Opened<R>, TransportError> {
    let options = &shared.options;
    let (host, port) = (target.host(), target.port());
    let route = options.proxies.route(target.tls, host, port)?.cloned();
    let (mut io, watch) = match &route {
        Some(proxy) => through::<R>(proxy, target, shared).await?,
        None => dial::<R>(host, port, &target.to_string(), options).await?,
    };
    let mut is_http2 = false;
    if target.tls {
        let tls = R::tls(io, Arc::clone(&shared.tls), target.server_name()?).await;
        (io, is_http2) = tls.map_err(|e| error::handshake(&target.to_string(), &e))?;
    }
    if is_http2 {
        let opened = Multiplexed::open(io, watch, target, runtime, options).await?;
        return Ok(Opened::Http2(opened));
    }
    Ok(Opened::Http1(Connection {
        target: target.clone(),
        runtime,
        protocol: http1(io, target).await?,
        watch,
        proxied: route.filter(|proxy| asks_for_uris(proxy, target)),
        is_ambiguous: false,
        since: R::Timer::now(),
    }))
}

/// HTTP proxies are asked for absolute URIs if the target is `http://`; some refuse tunnels to port 80.
fn asks_for_uris(proxy: &Proxy, target: &Target) -> bool {
    proxy.scheme().is_http() && !target.tls
}

async fn through<R: Runtime>(
    proxy: &Arc<Proxy>,
    target: &Target,
    shared: &Shared<R>,
) -> Result<Stream, TransportError> {
    let name = format!("the proxy {proxy}");
    let (mut io, watch) = dial::<R>(proxy.host(), proxy.port(), &name, &shared.options).await?;
    if proxy.scheme() == Scheme::Https {
        let host = Target::name(proxy.host())?;
        let tls = R::tls(io, Arc::clone(&shared.proxy_tls), host).await;
        io = tls.map_err(|e| error::handshake(&name, &e))?.0;
    }
    if asks_for_uris(proxy, target) {
        return Ok((io, watch));
    }
    let (mut host, port) = (target.host().to_owned(), target.port());
    if proxy.scheme() == Scheme::Socks5 && host.parse::<IpAddr>().is_err() {
        let found = resolve::<R>(&host, port, &target.to_string(), &shared.options).await?;
        host = found
            .first()
            .map_or(host, |address| address.ip().to_string());
    }
    let mut handshake = Handshake::new(Arc::clone(proxy), &host, port);
    let failed = |e: io::Error| error::connecting(&name, &e);
    loop {
        write_all(&mut *io, &handshake.output())
            .await
            .map_err(failed)?;
        let mut buffer = [0; 512];
        let read = read(&mut *io, &mut buffer).await.map_err(failed)?;
        if handshake.input(read)? {
            return Ok((io, watch));
        }
    }
}

async fn write_all(io: &mut dyn Io, mut bytes: &[u8]) -> io::Result<()> {
    poll_fn(|cx| {
        while !bytes.is_empty() {
            let written = ready!(Pin::new(&mut *io).poll_write(cx, bytes))?;
            bytes = bytes.get(written.max(1)..).unwrap_or_default();
        }
        Pin::new(&mut *io).poll_flush(cx)
    })
    .await
}

async fn read<'a>(io: &mut dyn Io, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let mut read = ReadBuf::new(buffer);
    poll_fn(|cx| Pin::new(&mut *io).poll_read(cx, read.unfilled())).await?;
    let count = read.filled().len();
    Ok(buffer.get(..count).unwrap_or_default())
}

async fn resolve<R: Runtime>(
    host: &str,
    port: u16,
    name: &str,
    options: &Options,
) -> Result<Vec<SocketAddr>, TransportError> {
    if let Some(known) = options.known_addresses(host, port) {
        return Ok(known);
    }
    let found = R::resolve(host.to_owned(), port).await;
    let found = found.and_then(|found| match found.is_empty() {
        true => Err(io::Error::other("it has no address")),
        false => Ok(found),
    });
    found.map_err(|e| error::unresolved(name, &e))
}

/// TCP to the first of a host's addresses that answers.
async fn dial<R: Runtime>(
    host: &str,
    port: u16,
    name: &str,
    options: &Options,
) -> Result<Stream, TransportError> {
    type Attempt<'a> = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send + 'a>>;
    let mut addresses = interleaved(&resolve::<R>(host, port, name, options).await?).into_iter();
    let mut attempts: Vec<Attempt<'_>> = Vec::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let mut timer = R::Timer::default();
    let mut next_at = Time::ZERO;
    let connected = poll_fn(move |cx| {
        loop {
            let mut i = 0;
            while let Some(attempt) = attempts.get_mut(i) {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready(Err(error)) => {
                        failure = error;
                        drop(attempts.remove(i));
                        next_at = Time::ZERO;
                    }
                    Poll::Pending => i = i.saturating_add(1),
                }
            }
            if addresses.len() == 0 {
                return match attempts.is_empty() {
                    true => Poll::Ready(Err(std::mem::replace(
                        &mut failure,
                        io::ErrorKind::Other.into(),
                    ))),
                    false => Poll::Pending,
                };
            }
            if next_at > Time::ZERO {
                ready!(timer.poll(cx, next_at));
            }
            if let Some(address) = addresses.next() {
                attempts.push(Box::pin(R::connect(address, options)));
                next_at = R::Timer::now().saturating_add(ATTEMPT_DELAY);
            }
        }
    });
    connected.await.map_err(|e| error::connecting(name, &e))
}
