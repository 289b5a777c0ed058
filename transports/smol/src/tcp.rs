//! A TCP stream of smol's, as the client needs it.

use crate::stream::read_into;
use async_io::Async;
use futures_io::{AsyncRead as _, AsyncWrite as _};
use hyper::rt::{Read, ReadBufCursor, Write};
use std::{
    io::{self, IoSlice},
    net::TcpStream,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
};
use unifiedai_http::Watch;

/// A stream whose reads always ask the socket.
///
/// A write that fails is remembered until everything was read: a server that answers early and closes has sent its response by then.
pub(crate) struct Tcp {
    tcp: Async<TcpStream>,
    watch: Arc<Watch>,
    failed: Option<io::Error>,
}

impl Tcp {
    pub(crate) fn new(tcp: Async<TcpStream>) -> (Tcp, Arc<Watch>) {
        let watch = Arc::<Watch>::default();
        let stream = Tcp {
            tcp,
            watch: Arc::clone(&watch),
            failed: None,
        };
        (stream, watch)
    }

    fn written(
        &mut self,
        written: Poll<io::Result<usize>>,
        size: usize,
    ) -> Poll<io::Result<usize>> {
        self.watch.stuck.store(written.is_pending(), Relaxed);
        match ready!(written) {
            Ok(count) => {
                self.watch.written.store(true, Relaxed);
                Poll::Ready(Ok(count))
            }
            Err(error) => {
                self.failed = Some(error);
                Poll::Ready(Ok(size))
            }
        }
    }
}

impl Read for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let tcp = Pin::new(&mut self.tcp);
        let read = ready!(read_into(&mut into, |buffer| tcp.poll_read(cx, buffer)));
        match (read, self.failed.take()) {
            (Ok(count), failed) if count > 0 => {
                self.failed = failed;
                Poll::Ready(Ok(()))
            }
            (_, Some(failed)) => Poll::Ready(Err(failed)),
            (read, None) => Poll::Ready(read.map(drop)),
        }
    }
}

impl Write for Tcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.failed.is_some() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.written(written, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let size = slices.iter().map(|slice| slice.len()).sum();
        if self.failed.is_some() {
            return Poll::Ready(Ok(size));
        }
        let written = Pin::new(&mut self.tcp).poll_write_vectored(cx, slices);
        self.written(written, size)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_close(cx)
    }
}
