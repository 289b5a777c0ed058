//! One connection to a server, over HTTP/1.1 or HTTP/2.

use super::{
    Io, Runtime, Watch,
    http2::Stream,
    send::{RequestBody, send_error},
    target::Target,
};
use crate::proxy::Proxy;
use hyper::client::conn::http1;
use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Waker},
};
use unifiedai_transport::{Time, TransportError};

/// The largest head of a response over HTTP/1.1, and the largest trailers.
const MAX_HEAD: usize = 72 * 1024;

pub(crate) struct Connection<R: Runtime> {
    pub(crate) target: Target,
    /// It belongs to this runtime: another one can neither read from its socket nor be woken by it.
    pub(crate) runtime: R::Id,
    pub(crate) protocol: Protocol<R>,
    pub(crate) watch: Arc<Watch>,
    /// It leads to an HTTP proxy, which is asked for absolute URIs.
    pub(crate) proxied: Option<Arc<Proxy>>,
    /// The response has both `content-length` and `transfer-encoding`, so that its end is disputable (RFC 9112, 6.3).
    pub(crate) is_ambiguous: bool,
    /// Since when it waits for its next request.
    pub(crate) since: Time,
}

pub(crate) enum Protocol<R: Runtime> {
    /// The connection moves while its request or its response is polled. It is gone once it has ended.
    Http1(http1::SendRequest<RequestBody>, Option<Driver>),
    /// The connection is a task of the runtime, and this is one of its streams.
    Http2(Stream<R>),
}

pub(crate) type Driver = Pin<Box<http1::Connection<Box<dyn Io>, RequestBody>>>;

/// Lets an HTTP/1.1 connection read and write.
pub(crate) fn drive(driver: &mut Option<Driver>, cx: &mut Context<'_>) {
    if driver
        .as_mut()
        .is_some_and(|driver| driver.as_mut().poll(cx).is_ready())
    {
        *driver = None;
    }
}

pub(crate) async fn http1<R: Runtime>(
    io: Box<dyn Io>,
    place: &Target,
) -> Result<Protocol<R>, TransportError> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD).max_header_size(MAX_HEAD);
    let (sender, driver) = builder
        .handshake(io)
        .await
        .map_err(|error| send_error(&error, true, place))?;
    Ok(Protocol::Http1(sender, Some(Box::pin(driver))))
}

impl<R: Runtime> Connection<R> {
    pub(crate) fn is_closed(&self) -> bool {
        match &self.protocol {
            Protocol::Http1(sender, driver) => driver.is_none() || sender.is_closed(),
            Protocol::Http2(stream) => stream.is_closed(),
        }
    }

    /// True if the next request can go out on it, as far as its socket has been read. hyper reads the rest before it takes the request.
    pub(crate) fn is_usable(&mut self) -> bool {
        let Protocol::Http1(sender, driver) = &mut self.protocol else {
            return !self.is_closed();
        };
        if !sender.is_ready() {
            drive(driver, &mut Context::from_waker(Waker::noop()));
        }
        self.watch.look.store(true, Relaxed);
        driver.is_some() && sender.is_ready() && !self.is_stuck()
    }

    /// True if a part of the last request waits to be written, which the server may never read.
    pub(crate) fn is_stuck(&self) -> bool {
        self.watch.stuck.load(Relaxed)
    }

    /// Keeps it from being used for other requests.
    pub(crate) fn retire(&self) {
        if let Protocol::Http2(stream) = &self.protocol {
            stream.retire();
        }
    }

    /// True unless other requests were handed to the connection before this one, over HTTP/2.
    pub(crate) fn is_first(&self) -> bool {
        !matches!(&self.protocol, Protocol::Http2(stream) if !stream.is_first)
    }

    /// True if nothing of the request was written. Over HTTP/2, whose streams share what is written, this is known only if hyper
    /// dropped the request because the connection had ended.
    pub(crate) fn is_unwritten(&self, error: Option<&hyper::Error>) -> bool {
        match &self.protocol {
            Protocol::Http1(..) => !self.watch.written.load(Relaxed),
            Protocol::Http2(stream) => error.is_some_and(hyper::Error::is_user) && stream.is_over(),
        }
    }
}
