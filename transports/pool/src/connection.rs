use crate::target;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    rt::{Read, Write},
};
use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
};

/// TCP, or TLS over it.
pub trait Stream: Read + Write + Send + Unpin {}
impl<T: Read + Write + Send + Unpin> Stream for T {}

pub(crate) enum Connection {
    /// Moves only while somebody polls it, and serves one request at a time.
    Http1 {
        sender: SendRequest<Full<Bytes>>,
        /// Gone once it has ended.
        driver: Option<Box<Driver>>,
    },
    /// Moves by itself, and is shared.
    #[cfg(feature = "http2")]
    Http2(hyper::client::conn::http2::SendRequest<Full<Bytes>>),
}

type Driver = http1::Connection<Box<dyn Stream>, Full<Bytes>>;

/// The largest head that is accepted. hyper's buffer begins with 8 KiB and grows to this only where it is needed.
const HEAD_SIZE: usize = 72 * 1024;

impl Connection {
    pub(crate) async fn http1(stream: Box<dyn Stream>) -> hyper::Result<Self> {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_SIZE);
        let (sender, driver) = builder.handshake(stream).await?;
        let driver = Some(Box::new(driver));
        Ok(Connection::Http1 { sender, driver })
    }

    pub(crate) async fn send(
        &mut self,
        mut request: http::Request<Bytes>,
    ) -> hyper::Result<http::Response<Incoming>> {
        target::state_empty_body(&mut request);
        match self {
            Connection::Http1 { sender, driver } => {
                target::name_host(&mut request);
                let mut answer = pin!(sender.send_request(request.map(Full::new)));
                poll_fn(|cx| {
                    // hyper takes the request in the first round and hands back the answer in the last.
                    if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                        return Poll::Ready(answer);
                    }
                    drive(driver, cx);
                    answer.as_mut().poll(cx)
                })
                .await
            }
            #[cfg(feature = "http2")]
            Connection::Http2(sender) => sender.send_request(request.map(Full::new)).await,
        }
    }

    /// Moves what moves only while it is polled.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        match self {
            Connection::Http1 { driver, .. } => drive(driver, cx),
            #[cfg(feature = "http2")]
            Connection::Http2(_) => {}
        }
    }

    /// Whether, after another look at the socket, it can take another request and belongs to nobody.
    pub(crate) fn is_idle(&mut self, cx: &mut Context<'_>) -> bool {
        self.drive(cx);
        match self {
            Connection::Http1 { sender, driver } => driver.is_some() && sender.is_ready(),
            #[cfg(feature = "http2")]
            Connection::Http2(_) => false,
        }
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
