use hyper::rt::{Read, ReadBuf, Write};
use std::{
    io,
    pin::Pin,
    sync::Weak,
    task::{Context, Poll, ready},
};

/// TCP, or TLS over it.
pub trait Stream: Write + Send + Unpin {
    /// Reads what there is; nothing at the end. Where there is nothing yet, it is not called again before it has woken `cx`.
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>>;

    /// A view of the socket, if its reactor may not have told yet how it is.
    fn view(&self) -> Option<Weak<dyn View>> {
        None
    }
}

/// A socket, looked at from beside its stream.
pub trait View: Send + Sync {
    /// Whether the socket itself has something to tell. Then the next read gets it, whatever the reactor knows.
    fn has_news(&self) -> bool;
}

impl<T: Read + Write + Send + Unpin> Stream for T {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut into = ReadBuf::new(into);
        ready!(Read::poll_read(Pin::new(self), cx, into.unfilled()))?;
        Poll::Ready(Ok(into.filled().len()))
    }
}
