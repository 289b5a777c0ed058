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
    pin::Pin,
    task::Context,
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

type Answer = Pin<Box<dyn Future<Output = hyper::Result<http::Response<Incoming>>> + Send>>;
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

    /// Sends a request. hyper has it once this returns; the future brings the answer.
    pub(crate) fn send(
        &mut self,
        mut request: http::Request<Bytes>,
    ) -> impl Future<Output = hyper::Result<http::Response<Incoming>>> + Send + Unpin {
        target::state_empty_body(&mut request);
        let (mut answer, mut driver): (Answer, _) = match self {
            Connection::Http1 { sender, driver } => {
                target::name_host(&mut request);
                let answer = sender.send_request(request.map(Full::new));
                (Box::pin(answer), Some(driver))
            }
            #[cfg(feature = "http2")]
            Connection::Http2(sender) => {
                let answer = sender.send_request(request.map(Full::new));
                (Box::pin(answer), None)
            }
        };
        poll_fn(move |cx| {
            if let Some(driver) = &mut driver {
                drive(driver, cx);
            }
            answer.as_mut().poll(cx)
        })
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
