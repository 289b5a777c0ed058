//! One HTTP/1.1 connection that moves only while somebody polls it.

use bytes::Bytes;
use futures_io::{AsyncRead, AsyncWrite};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    rt::{Read, ReadBufCursor, Write},
};
use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

/// TCP, or TLS over it.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

type Driver = http1::Connection<Io, Full<Bytes>>;

pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Gone once it has ended.
    driver: Option<Box<Driver>>,
}

/// The largest head that is accepted. hyper's buffer begins with 8 KiB and grows to this only where it is needed.
const HEAD_SIZE: usize = 72 * 1024;

impl Connection {
    pub(crate) async fn new(stream: Box<dyn Stream>) -> hyper::Result<Self> {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_SIZE);
        let (sender, driver) = builder.handshake(Io(stream)).await?;
        let driver = Some(Box::new(driver));
        Ok(Connection { sender, driver })
    }

    pub(crate) async fn send(
        &mut self,
        request: http::Request<Bytes>,
    ) -> hyper::Result<http::Response<Incoming>> {
        let mut answer = pin!(self.sender.send_request(request.map(Full::new)));
        poll_fn(|cx| {
            // hyper takes the request in the first round and hands back the answer in the last.
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            drive(&mut self.driver, cx);
            answer.as_mut().poll(cx)
        })
        .await
    }

    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        drive(&mut self.driver, cx);
    }

    /// Whether, after another look at the socket, it can take another request.
    pub(crate) fn is_idle(&mut self, cx: &mut Context<'_>) -> bool {
        self.drive(cx);
        self.driver.is_some() && self.sender.is_ready()
    }
}

fn drive(driver: &mut Option<Box<Driver>>, cx: &mut Context<'_>) {
    let ended = driver
        .as_mut()
        .is_some_and(|driver| Pin::new(driver).poll(cx).is_ready());
    // Its error, if any, also comes out at the request or at the body.
    if ended {
        *driver = None;
    }
}

/// A stream as hyper wants it. It reads by way of the stack, because only initialised memory can be read into, and to
/// initialise all of hyper's 8 KiB would make the whole of it resident for every stream that waits.
struct Io(Box<dyn Stream>);

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut buffer = [0; 8 * 1024];
        let size = into.remaining().min(buffer.len());
        let buffer = buffer.get_mut(..size).unwrap_or_default();
        let read = ready!(Pin::new(&mut self.0).poll_read(cx, buffer))?;
        into.put_slice(buffer.get(..read).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl Write for Io {
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
