use futures_io::{AsyncRead, AsyncWrite};
use hyper::rt::{Read, ReadBufCursor, Write};
use std::{
    cell::Cell,
    io,
    pin::Pin,
    task::{Context, Poll},
};

/// A stream as hyper wants it.
pub(crate) struct Io<S>(pub(crate) S);

thread_local! {
    /// Where a thread's streams read to before hyper gets the bytes. They read into initialised memory
    /// alone, which hyper's cursor does not give without `unsafe`. A thread that ends may drop it before its streams.
    static LANDING: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

const LANDING_SIZE: usize = 8 * 1024;

impl<S: AsyncRead + Unpin> Read for Io<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut landing = LANDING.try_with(Cell::take).unwrap_or_default();
        landing.resize(LANDING_SIZE, 0);
        let room = into.remaining().min(LANDING_SIZE);
        let free = landing.get_mut(..room).unwrap_or_default();
        let read = Pin::new(&mut self.0).poll_read(cx, free);
        if let Poll::Ready(Ok(size)) = read {
            into.put_slice(landing.get(..size).unwrap_or_default());
        }
        let _ = LANDING.try_with(|spare| spare.set(landing));
        read.map_ok(|_| ())
    }
}

impl<S: AsyncWrite + Unpin> Write for Io<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}
