//! One HTTP/1.1 connection that moves only while somebody polls it.

use bytes::Bytes;
use futures_io::{AsyncRead, AsyncWrite};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use smol_hyper::rt::FuturesIo;
use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
};

/// TCP, or TLS over it.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

type Driver = http1::Connection<FuturesIo<Box<dyn Stream>>, Full<Bytes>>;

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
        let (sender, driver) = builder.handshake(FuturesIo::new(stream)).await?;
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
