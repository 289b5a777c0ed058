use crate::tcp::Tcp;
use futures_io::{AsyncRead, AsyncWrite};
use futures_rustls::client::TlsStream;
use hyper::rt::Write;
use std::{
    io,
    pin::Pin,
    sync::Weak,
    task::{Context, Poll},
};
use unifiedai_pool::{Stream, View};

/// A stream as the pool wants it.
pub(crate) struct Io<S>(pub(crate) S);

/// Where a stream ends.
pub(crate) trait OverTcp: AsyncRead + AsyncWrite + Send + Unpin {
    fn tcp(&self) -> &Tcp;
}

impl OverTcp for Tcp {
    fn tcp(&self) -> &Tcp {
        self
    }
}

impl OverTcp for TlsStream<Tcp> {
    fn tcp(&self) -> &Tcp {
        self.get_ref().0
    }
}

impl<S: OverTcp> Stream for Io<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }

    fn view(&self) -> Option<Weak<dyn View>> {
        Some(self.0.tcp().view())
    }
}

impl<S: OverTcp> Write for Io<S> {
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
