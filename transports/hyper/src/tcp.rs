//! A TCP stream of tokio's, as the client needs it.

use socket2::SockRef;
use std::{
    io::{self, ErrorKind, IoSlice, Read},
    mem::MaybeUninit,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use unifiedai_http::Watch;

/// A stream that asks its socket when it is told to, whatever the reactor knows of it.
///
/// A write that fails is remembered until everything was read: a server that answers early and closes has sent its response by then.
pub(crate) struct Tcp {
    tcp: TcpStream,
    watch: Arc<Watch>,
    failed: Option<io::Error>,
}

impl Tcp {
    pub(crate) fn new(tcp: TcpStream) -> (Tcp, Arc<Watch>) {
        let watch = Arc::<Watch>::default();
        let stream = Tcp {
            tcp,
            watch: Arc::clone(&watch),
            failed: None,
        };
        (stream, watch)
    }

    /// Past the reactor.
    fn read_now(&self, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let socket = SockRef::from(&self.tcp);
        let peeked = socket.peek(&mut [MaybeUninit::uninit()]);
        if peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            return Poll::Pending;
        }
        let count = (&*socket).read(into.initialize_unfilled())?;
        into.advance(count);
        Poll::Ready(Ok(()))
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

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let mut read = Pin::new(&mut self.tcp).poll_read(cx, into);
        if read.is_pending() && self.watch.look.swap(false, Relaxed) {
            read = self.read_now(into);
        }
        match (&read, self.failed.take()) {
            (Poll::Ready(Ok(())), failed) if into.filled().len() > before => self.failed = failed,
            (Poll::Ready(_), Some(failed)) => return Poll::Ready(Err(failed)),
            (_, failed) => self.failed = failed,
        }
        read
    }
}

impl AsyncWrite for Tcp {
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
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
