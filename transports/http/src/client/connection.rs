//! One connection to a server, over HTTP/1.1 or HTTP/2.

use super::{BoxedBody, Io, Runtime, error::send_error, http2::Stream, tcp::SocketState};
use crate::{proxy::Proxy, target::Target};
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
};
use hyper_util::rt::TokioIo;
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Waker},
};
use unifiedai_transport::TransportError;

/// The largest head of a response over HTTP/1.1, and the largest trailers.
const MAX_HEADER_BYTES: usize = 72 * 1024;

pub(crate) enum Connection<R: Runtime> {
    Http1(Http1<R>),
    /// The connection is a task of the runtime, and this is one of its streams.
    Http2(Stream),
}

/// It moves while its request or its response is polled.
pub(crate) struct Http1<R: Runtime> {
    /// It belongs to this runtime: another one can neither read from its socket nor be woken by it.
    pub(crate) runtime: R::Id,
    sender: http1::SendRequest<BoxedBody>,
    /// Gone once it has ended.
    driver: Option<Driver>,
    watch: Arc<SocketState>,
    /// It leads to an HTTP proxy, which is asked for absolute URIs.
    pub(crate) proxy: Option<Arc<Proxy>>,
    /// The last response allows another request.
    pub(crate) keeps: bool,
}

/// The response's head, or an error with the request if it was not taken.
pub(crate) type Answer = Result<Response<Incoming>, TrySendError<Request<BoxedBody>>>;

type Driver = Pin<Box<http1::Connection<TokioIo<Box<dyn Io>>, BoxedBody>>>;

pub(crate) async fn http1<R: Runtime>(
    io: Box<dyn Io>,
    watch: Arc<SocketState>,
    target: &Target,
    runtime: R::Id,
    proxy: Option<Arc<Proxy>>,
) -> Result<Connection<R>, TransportError> {
    let mut builder = http1::Builder::new();
    builder
        .max_buf_size(MAX_HEADER_BYTES)
        .max_header_size(MAX_HEADER_BYTES);
    let opened = builder.handshake(TokioIo::new(io)).await;
    let (sender, driver) = opened.map_err(|error| send_error(&error, true, target))?;
    Ok(Connection::Http1(Http1 {
        runtime,
        sender,
        driver: Some(Box::pin(driver)),
        watch,
        proxy,
        keeps: true,
    }))
}

impl<R: Runtime> Http1<R> {
    /// Lets it read and write.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        let driver = self.driver.as_mut();
        if driver.is_some_and(|driver| driver.as_mut().poll(cx).is_ready()) {
            self.driver = None;
        }
    }

    /// Hands a request to it.
    pub(crate) fn start(
        &mut self,
        mut request: Request<BoxedBody>,
    ) -> impl Future<Output = Answer> + Send + use<R> {
        request.body_mut().goes_over(&self.watch);
        self.watch.written.store(false, Relaxed);
        self.sender.try_send_request(request)
    }

    /// The task that drove it is not woken for it any more.
    pub(crate) fn release(&mut self) {
        self.drive(&mut Context::from_waker(Waker::noop()));
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.driver.is_none() || self.sender.is_closed()
    }

    /// True if the next request can go out on it, as far as its socket has been read. hyper reads the rest before it takes the request.
    pub(crate) fn is_usable(&mut self) -> bool {
        if !self.sender.is_ready() {
            self.release();
        }
        self.watch.force_read.store(true, Relaxed);
        self.watch.look_again.store(true, Relaxed);
        self.driver.is_some() && self.sender.is_ready() && self.is_reusable()
    }

    /// False if a part of the last request waits to be written, which the server may never read, or its response allows no other one.
    pub(crate) fn is_reusable(&self) -> bool {
        !self.watch.write_blocked.load(Relaxed) && self.keeps
    }
}

impl<R: Runtime> Connection<R> {
    /// Keeps it from being used for other requests.
    pub(crate) fn retire(&self) {
        if let Connection::Http2(stream) = self {
            stream.retire();
        }
    }

    /// True unless other requests were handed to the connection before this one, over HTTP/2.
    pub(crate) fn is_first(&self) -> bool {
        !matches!(self, Connection::Http2(stream) if !stream.is_first)
    }

    pub(crate) fn is_http1(&self) -> bool {
        matches!(self, Connection::Http1(_))
    }

    /// The HTTP proxy that it leads to and that is asked for absolute URIs.
    pub(crate) fn proxy(&self) -> Option<&Arc<Proxy>> {
        match self {
            Connection::Http1(http1) => http1.proxy.as_ref(),
            Connection::Http2(_) => None,
        }
    }

    /// True if nothing of the request was written. Over HTTP/2, whose streams share what is written, this is known only if hyper
    /// dropped the request because the connection had ended.
    pub(crate) fn is_unwritten(&self, error: Option<&hyper::Error>) -> bool {
        match self {
            Connection::Http1(http1) => !http1.watch.written.load(Relaxed),
            Connection::Http2(stream) => {
                error.is_some_and(hyper::Error::is_user) && stream.is_over()
            }
        }
    }
}
