use crate::{Alarm, Stream, bell::Bell, error::is_too_large, io::Io, origin::Origin, target};
use bytes::Bytes;
use http::header::CONNECTION;
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Waker},
};
use unifiedai_transport::Time;

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
    unfit: bool,
}

struct Codec {
    /// Gone once it has ended.
    driver: Option<Box<Driver>>,
    bell: Bell,
}

/// How large a head can be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heads {
    Usual,
    Large,
}

type Driver = http1::Connection<Io, Full<Bytes>>;
type Answer = hyper::Result<http::Response<Incoming>>;
type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// What hyper reads at once. It keeps a buffer of this size for each connection, and most of them wait most of the time.
const READ_SIZE: usize = 2 * 1024;
/// The largest head that is accepted. A head that does not fit the usual buffer is read by a codec of its own.
const HEAD_SIZE: usize = 72 * 1024;

impl<A: Alarm> Connection<A> {
    /// Sends a request and waits for the head of its answer; `None` once `by` has come. hyper has the request once this returns.
    pub(crate) fn send(
        &mut self,
        request: http::Request<Bytes>,
        by: Time,
    ) -> impl Future<Output = Option<Answer>> + Send {
        let method = request.method().clone();
        let last = request.headers().contains_key(CONNECTION);
        let answering = self.begin(request);
        let Connection { wire, alarm, .. } = self;
        async move {
            match wire {
                Wire::Http1(http1) => {
                    let answer = http1.codec.answer(answering, alarm, by).await;
                    match answer {
                        Some(Err(error)) if http1.heads == Heads::Usual && is_too_large(&error) => {
                            // Boxed: it is large, and few answers need it.
                            Box::pin(http1.read_large_head(method, last, error, alarm, by)).await
                        }
                        answer => answer,
                    }
                }
                #[cfg(feature = "http2")]
                Wire::Http2(_) => alarm.within(by, answering).await,
            }
        }
    }

    fn begin(&mut self, mut request: http::Request<Bytes>) -> Answering {
        target::state_empty_body(&mut request);
        match &mut self.wire {
            Wire::Http1(http1) => {
                self.origin.name_itself(&mut request);
                Box::pin(http1.sender.send_request(request.map(Full::new)))
            }
            #[cfg(feature = "http2")]
            Wire::Http2(sender) => Box::pin(sender.send_request(request.map(Full::new))),
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
        if let Wire::Http1(http1) = &mut self.wire {
            http1.codec.bell.look();
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
            codec: Codec { driver, bell },
            heads,
            unfit: false,
        })
    }

    /// Lets a codec with a larger buffer begin where this one gave up. What it needs to know of the request is its method, and
    /// whether it may be the `last` one here because it said something of the connection.
    async fn read_large_head<A: Alarm>(
        &mut self,
        method: http::Method,
        last: bool,
        error: hyper::Error,
        alarm: &mut A,
        by: Time,
    ) -> Option<Answer> {
        let Some(driver) = self.codec.driver.take() else {
            return Some(Err(error));
        };
        let parts = driver.into_parts();
        let unfit = last || self.codec.bell.write_waits();
        let (bell, rope) = Bell::new();
        let io = parts.io.replaying(parts.read_buf, rope);
        *self = match Http1::over(io, bell, Heads::Large).await {
            Ok(larger) => Http1 { unfit, ..larger },
            Err(error) => return Some(Err(error)),
        };
        let mut request = http::Request::new(Full::default());
        *request.method_mut() = method;
        let answering = Box::pin(self.sender.send_request(request));
        self.codec.answer(answering, alarm, by).await
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

    async fn answer<A: Alarm>(
        &mut self,
        mut answering: Answering,
        alarm: &mut A,
        by: Time,
    ) -> Option<Answer> {
        let mut ended = false;
        let work = poll_fn(|cx| {
            if let Some(driver) = self.driver.as_mut().filter(|_| !ended) {
                // Leaves the socket open, so that another codec can go on with it.
                let polled = self.bell.poll(cx, |cx| driver.poll_without_shutdown(cx));
                ended = polled.is_ready();
            }
            let mut unwoken = Context::from_waker(Waker::noop());
            let answer = answering.as_mut().poll(&mut unwoken);
            if ended && answer.is_pending() {
                // A request that it has not taken is given up with it.
                self.driver = None;
                return answering.as_mut().poll(&mut unwoken);
            }
            answer
        });
        alarm.within(by, work).await
    }
}
