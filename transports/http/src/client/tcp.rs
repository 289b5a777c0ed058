//! A TCP stream as the client needs it, whatever the runtime.

use super::Runtime;
use std::{
    io::{self, ErrorKind, IoSlice, Read},
    mem::MaybeUninit,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a TCP stream and its connection share.
#[derive(Debug, Default)]
pub(crate) struct SocketState {
    /// The next read has to ask the socket itself, whatever the runtime knows of it.
    pub(crate) force_read: AtomicBool,
    /// The next write is refused if there is something to read by then: the process may have been stopped since the look.
    pub(crate) look_again: AtomicBool,
    /// The last write waits for the peer to read.
    pub(crate) write_blocked: AtomicBool,
    /// A write failed: nothing more is written.
    pub(crate) write_failed: AtomicBool,
    /// Something was written since this was last cleared.
    pub(crate) written: AtomicBool,
}

/// A write that fails is remembered until everything was read: a server that answers early and closes has sent its response by then.
pub(crate) struct Tcp<R: Runtime> {
    tcp: R::Tcp,
    watch: Arc<SocketState>,
    failed: Option<io::Error>,
}

impl<R: Runtime> Tcp<R> {
    pub(crate) fn new(tcp: R::Tcp) -> (Self, Arc<SocketState>) {
        let watch = Arc::<SocketState>::default();
        let stream = Tcp {
            tcp,
            watch: Arc::clone(&watch),
            failed: None,
        };
        (stream, watch)
    }

    /// True if a read would give something: bytes, the end or an error.
    fn has_unread(&self) -> bool {
        let peeked = R::socket(&self.tcp).peek(&mut [MaybeUninit::uninit()]);
        !peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// Past the runtime. The peek comes first because most looks find nothing, and to clear the buffer takes longer.
    fn read_now(&self, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.has_unread() {
            return Poll::Pending;
        }
        let count = (&*R::socket(&self.tcp)).read(into.initialize_unfilled())?;
        into.advance(count);
        Poll::Ready(Ok(()))
    }

    fn write(
        &mut self,
        size: usize,
        write: impl FnOnce(Pin<&mut R::Tcp>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if self.failed.is_some() {
            return Poll::Ready(Ok(size));
        }
        if self.watch.look_again.swap(false, Relaxed) && self.has_unread() {
            return Poll::Ready(Err(ErrorKind::ConnectionAborted.into()));
        }
        let written = write(Pin::new(&mut self.tcp));
        self.watch
            .write_blocked
            .store(written.is_pending(), Relaxed);
        match ready!(written) {
            Ok(count) => {
                self.watch.written.store(true, Relaxed);
                Poll::Ready(Ok(count))
            }
            Err(error) => {
                self.failed = Some(error);
                self.watch.write_failed.store(true, Relaxed);
                Poll::Ready(Ok(size))
            }
        }
    }
}

impl<R: Runtime> Unpin for Tcp<R> {}

impl<R: Runtime> AsyncRead for Tcp<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let mut read = Pin::new(&mut self.tcp).poll_read(cx, into);
        if !R::READS_ASK_SOCKET && read.is_pending() && self.watch.force_read.swap(false, Relaxed) {
            read = self.read_now(into);
        }
        let is_more = matches!(read, Poll::Ready(Ok(()))) && into.filled().len() > before;
        match self.failed.take() {
            Some(failed) if read.is_ready() && !is_more => Poll::Ready(Err(failed)),
            failed => {
                self.failed = failed;
                read
            }
        }
    }
}

impl<R: Runtime> AsyncWrite for Tcp<R> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(bytes.len(), |tcp| tcp.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let size = slices.iter().map(|slice| slice.len()).sum();
        self.write(size, |tcp| tcp.poll_write_vectored(cx, slices))
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

#[cfg(test)]
mod tests;
