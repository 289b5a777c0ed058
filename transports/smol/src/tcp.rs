//! A TCP stream of smol's with the traits of tokio's, which TLS and the client go by.

use async_io::Async;
use futures_io::{AsyncRead as _, AsyncWrite as _};
use std::{
    cell::RefCell,
    io::{self, IoSlice},
    net::TcpStream,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const MAX_READ: usize = 4 * 1024;

thread_local! {
    /// Where this thread reads to. To clear the caller's buffer for each read takes longer than most reads.
    static BUFFER: RefCell<[u8; MAX_READ]> = const { RefCell::new([0; MAX_READ]) };
}

/// A TCP stream. Its reads always ask the socket.
#[derive(Debug)]
pub struct Tcp(pub(crate) Async<TcpStream>);

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut tcp = Pin::new(&mut self.0);
        let mut read = |buffer: &mut [u8]| {
            let size = buffer.len().min(into.remaining());
            let buffer = buffer.get_mut(..size).unwrap_or_default();
            let count = ready!(tcp.as_mut().poll_read(cx, buffer))?;
            into.put_slice(buffer.get(..count).unwrap_or_default());
            Poll::Ready(Ok(()))
        };
        // There is none once the thread is about to end.
        let kept = BUFFER.try_with(|buffer| Some(read(&mut *buffer.try_borrow_mut().ok()?)));
        match kept {
            Ok(Some(polled)) => polled,
            _ => read(&mut [0; MAX_READ]),
        }
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}
