use hyper::rt::{Read, ReadBuf, Write};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// TCP, or TLS over it.
pub trait Stream: Write + Send + Unpin {
    /// Reads what there is; nothing at the end.
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Lets the next read look at the socket itself, whatever is known of it. If there is nothing, nobody has to be woken.
    fn look(&mut self) {}
}

impl<T: Read + Write + Send + Unpin> Stream for T {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut into = ReadBuf::new(into);
        ready!(Read::poll_read(Pin::new(self), cx, into.unfilled()))?;
        Poll::Ready(Ok(into.filled().len()))
    }
}
