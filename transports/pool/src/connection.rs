use crate::{Alarm, Stream, bell::Bell, io::Io, origin::Origin};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

pub(crate) struct Connection<A> {
    pub(crate) origin: Arc<Origin>,
    pub(crate) wire: Wire,
    /// Kept from one request to the next: to set a timer costs more than to find it set.
    pub(crate) alarm: A,
}

pub(crate) enum Wire {
    Http1(Http1),
    /// Moves by itself, and is shared.
    #[cfg(feature = "http2")]
    Http2(hyper::client::conn::http2::SendRequest<Full<Bytes>>),
}

/// Moves only while somebody polls it, and serves one request at a time.
pub(crate) struct Http1 {
    sender: SendRequest<Full<Bytes>>,
    codec: Codec,
    heads: Heads,
    /// Whether no other request may follow: the peer may wait for a part of one that will never come, or was told to close.
    pub(crate) unfit: bool,
}

struct Codec {
    /// Gone once it has ended.
    driver: Option<Box<Driver>>,
    /// Whether it had ended when an answer was looked for in vain.
    ended: bool,
    bell: Bell,
}

/// How large a head can be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heads {
    Usual,
    Large,
}

type Driver = http1::Connection<Io, Full<Bytes>>;
pub(crate) type Answer = hyper::Result<http::Response<Incoming>>;
pub(crate) type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;
pub(crate) type Opening = Pin<Box<dyn Future<Output = hyper::Result<Http1>> + Send>>;

/// What hyper reads at once. It keeps a buffer of this size for each connection, and most of them wait most of the time.
const READ_SIZE: usize = 2 * 1024;
/// The largest head that is accepted. A head that does not fit the usual buffer is read by a codec of its own.
const HEAD_SIZE: usize = 72 * 1024;

impl<A: Alarm> Connection<A> {
    /// Sends a request. It goes out when the answer is looked for.
    pub(crate) fn send(&mut self, mut request: http::Request<Bytes>) -> Answering {
        match &mut self.wire {
            Wire::Http1(http1) => {
                self.origin.name_itself(&mut request);
                http1.send(request.map(Full::new))
            }
            #[cfg(feature = "http2")]
            Wire::Http2(sender) => Box::pin(sender.send_request(request.map(Full::new))),
        }
    }

    pub(crate) fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        answering: &mut Answering,
    ) -> Poll<Answer> {
        match &mut self.wire {
            Wire::Http1(http1) => http1.poll_answer(cx, answering),
            #[cfg(feature = "http2")]
            Wire::Http2(_) => answering.as_mut().poll(cx),
        }
    }

    /// A codec that can go on where this connection's met a head that is too large for it.
    pub(crate) fn larger(&mut self) -> Option<Opening> {
        match &mut self.wire {
            Wire::Http1(http1) => http1.larger(),
            #[cfg(feature = "http2")]
            Wire::Http2(_) => None,
        }
    }

    pub(crate) fn host(&self) -> &str {
        &self.origin.target.host
    }

    /// Whom the halves of a request or an answer have to wake.
    pub(crate) fn waker<'a>(&self, cx: &Context<'a>) -> &'a Waker {
        match &self.wire {
            // They move only when the connection is driven, and are looked at whenever it was.
            Wire::Http1(_) => Waker::noop(),
            #[cfg(feature = "http2")]
            Wire::Http2(_) => cx.waker(),
        }
    }

    /// Moves what moves only while it is polled.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        match &mut self.wire {
            Wire::Http1(http1) => http1.codec.drive(cx),
            #[cfg(feature = "http2")]
            Wire::Http2(_) => {}
        }
    }

    /// Whether it can take another request and belongs to nobody, by what has been read of it.
    pub(crate) fn is_done(&self) -> bool {
        match &self.wire {
            Wire::Http1(http1) => http1.is_ready(),
            #[cfg(feature = "http2")]
            Wire::Http2(_) => false,
        }
    }

    /// The same after another look at the socket. Nobody is woken by what comes later.
    pub(crate) fn is_idle(&mut self) -> bool {
        match &self.wire {
            Wire::Http1(http1) => http1.codec.bell.look(),
            #[cfg(feature = "http2")]
            Wire::Http2(_) => {}
        }
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.is_done()
    }
}

impl Http1 {
    pub(crate) async fn new(stream: Box<dyn Stream>) -> hyper::Result<Self> {
        let (bell, rope) = Bell::new();
        Http1::over(Io::new(stream, rope), bell, Heads::Usual).await
    }

    async fn over(io: Io, bell: Bell, heads: Heads) -> hyper::Result<Self> {
        let mut builder = http1::Builder::new();
        match heads {
            Heads::Usual => builder.read_buf_exact_size(Some(READ_SIZE)),
            Heads::Large => builder.max_buf_size(HEAD_SIZE),
        };
        let (sender, driver) = builder.handshake(io).await?;
        let driver = Some(Box::new(driver));
        Ok(Http1 {
            sender,
            codec: Codec {
                driver,
                ended: false,
                bell,
            },
            heads,
            unfit: false,
        })
    }

    pub(crate) fn send(&mut self, request: http::Request<Full<Bytes>>) -> Answering {
        Box::pin(self.sender.send_request(request))
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>, answering: &mut Answering) -> Poll<Answer> {
        // Leaves the socket open, so that another codec can go on with it.
        let ended = match &mut self.codec.driver {
            Some(driver) if !self.codec.ended => {
                let bell = &self.codec.bell;
                bell.poll(cx, |cx| driver.poll_without_shutdown(cx))
                    .is_ready()
            }
            _ => true,
        };
        let mut unwoken = Context::from_waker(Waker::noop());
        let answer = answering.as_mut().poll(&mut unwoken);
        if ended && answer.is_pending() {
            // tokio holds back what is there from a task that has done much at once, so that it is looked for once more. A request
            // that the codec has not taken is given up with it.
            if std::mem::replace(&mut self.codec.ended, true) {
                self.codec.driver = None;
            }
            cx.waker().wake_by_ref();
        }
        answer
    }

    fn larger(&mut self) -> Option<Opening> {
        if self.heads == Heads::Large {
            return None;
        }
        let parts = self.codec.driver.take()?.into_parts();
        let unfit = self.codec.bell.write_waits();
        let (bell, rope) = Bell::new();
        let io = parts.io.replaying(parts.read_buf, rope);
        Some(Box::pin(async move {
            let larger = Http1::over(io, bell, Heads::Large).await?;
            Ok(Http1 { unfit, ..larger })
        }))
    }

    fn is_ready(&self) -> bool {
        !self.unfit
            && !self.codec.bell.write_waits()
            && self.codec.driver.is_some()
            && self.sender.is_ready()
    }
}

impl Codec {
    fn drive(&mut self, cx: &mut Context<'_>) {
        let Some(driver) = &mut self.driver else {
            return;
        };
        if self
            .bell
            .poll(cx, |cx| Pin::new(driver).poll(cx))
            .is_ready()
        {
            // Its error, if any, also comes out at the request or at the body.
            self.driver = None;
        }
    }
}
