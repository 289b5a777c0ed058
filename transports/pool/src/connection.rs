use crate::{Alarm, RequestBody, Stream, View, bell::Bell, io::Io, origin::Origin};
use bytes::Bytes;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
};
use unifiedai_transport::Time;

pub(crate) struct Connection<A> {
    pub(crate) origin: Arc<Origin>,
    pub(crate) wire: Wire,
    /// Kept from one request to the next: to set a timer costs more than to find it set.
    pub(crate) alarm: A,
}

pub(crate) enum Wire {
    /// Boxed, because it is handed on and on.
    Http1(Box<Http1>),
    /// Moves by itself, and is shared.
    #[cfg(feature = "http2")]
    Http2(hyper::client::conn::http2::SendRequest<RequestBody>),
}

/// Moves only while somebody polls it, and serves one request at a time.
pub(crate) struct Http1 {
    sender: SendRequest<RequestBody>,
    codec: Codec,
    view: Option<Weak<dyn View>>,
    heads: Heads,
    /// Whether there can have been an answer. Before something was read there was none.
    looked_for: bool,
    /// Whether no other request may follow: the peer may wait for a part of one that will never come, or was told to close.
    pub(crate) unfit: bool,
}

struct Codec {
    /// Gone once it has ended.
    driver: Option<Driver>,
    /// What another codec can go on with, of one that was given up.
    left: Option<Box<http1::Parts<Io>>>,
    /// Whether it had ended when an answer was looked for.
    ended: bool,
    bell: Bell,
}

/// How large a head can be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heads {
    Usual,
    Large,
}

type Driver = http1::Connection<Io, RequestBody>;
pub(crate) type Answer = hyper::Result<http::Response<Incoming>>;
pub(crate) type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;
pub(crate) type Opening = Pin<Box<dyn Future<Output = hyper::Result<Box<Http1>>> + Send>>;

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
                http1.send(request.map(RequestBody::new))
            }
            #[cfg(feature = "http2")]
            Wire::Http2(sender) => Box::pin(sender.send_request(request.map(RequestBody::new))),
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

    /// Ready once `at` has come, behind a poll of what is waited for.
    #[cfg_attr(
        not(feature = "http2"),
        expect(unused_variables, reason = "only HTTP/2 moves by itself")
    )]
    pub(crate) fn poll_alarm(&mut self, cx: &mut Context<'_>, at: Time) -> Poll<()> {
        match &self.wire {
            Wire::Http1(http1) => {
                let watch = &http1.codec.bell.watch;
                self.alarm.poll(&mut Context::from_waker(watch), at)
            }
            #[cfg(feature = "http2")]
            Wire::Http2(_) => self.alarm.poll(cx, at),
        }
    }

    /// Wakes nobody until it is used again.
    pub(crate) fn rest(&self) {
        match &self.wire {
            Wire::Http1(http1) => http1.codec.bell.unhang(),
            #[cfg(feature = "http2")]
            Wire::Http2(_) => {}
        }
    }

    pub(crate) fn host(&self) -> &str {
        &self.origin.target.host
    }

    /// Whom the halves of a request or an answer have to wake.
    #[cfg_attr(
        not(feature = "http2"),
        expect(unused_variables, reason = "only HTTP/2 moves by itself")
    )]
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

    /// The same after another look at the socket.
    pub(crate) fn is_idle(&mut self) -> bool {
        match &mut self.wire {
            Wire::Http1(http1) => http1.is_idle(),
            #[cfg(feature = "http2")]
            Wire::Http2(_) => false,
        }
    }
}

impl Http1 {
    pub(crate) async fn new(stream: Box<dyn Stream>) -> hyper::Result<Box<Self>> {
        let (bell, rope) = Bell::new();
        let view = stream.view();
        let mut http1 = Http1::over(Io::new(stream, rope), bell, Heads::Usual).await?;
        http1.view = view;
        Ok(http1)
    }

    async fn over(io: Io, bell: Bell, heads: Heads) -> hyper::Result<Box<Self>> {
        let mut builder = http1::Builder::new();
        match heads {
            Heads::Usual => builder.read_buf_exact_size(Some(READ_SIZE)),
            Heads::Large => builder.max_buf_size(HEAD_SIZE),
        };
        let (sender, driver) = builder.handshake(io).await?;
        Ok(Box::new(Http1 {
            sender,
            codec: Codec {
                driver: Some(driver),
                left: None,
                ended: false,
                bell,
            },
            view: None,
            heads,
            looked_for: false,
            unfit: false,
        }))
    }

    pub(crate) fn send(&mut self, request: http::Request<RequestBody>) -> Answering {
        self.looked_for = false;
        let answering = Box::pin(self.sender.send_request(request));
        self.codec.bell.tell_awaits(true);
        answering
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>, answering: &mut Answering) -> Poll<Answer> {
        let Codec {
            driver,
            left,
            ended,
            bell,
        } = &mut self.codec;
        let had_ended = *ended;
        *ended = match driver {
            // Leaves the socket open, so that another codec can go on with it.
            Some(driver) if !had_ended => bell
                .poll(cx, |cx| driver.poll_without_shutdown(cx))
                .is_ready(),
            _ => true,
        };
        self.looked_for |= *ended || bell.has_read();
        if !self.looked_for {
            return Poll::Pending;
        }
        let answer = answering.as_mut().poll(cx);
        if answer.is_ready() {
            bell.tell_awaits(false);
        } else if *ended {
            // tokio holds back what is there from a task that has done much at once, so that it is looked for once more. A request
            // that the codec has not taken is given up with it.
            if let Some(driver) = driver.take_if(|_| had_ended) {
                *left = Some(Box::new(driver.into_parts()));
            }
            cx.waker().wake_by_ref();
        }
        answer
    }

    fn larger(&mut self) -> Option<Opening> {
        if self.heads == Heads::Large {
            return None;
        }
        let parts = match self.codec.driver.take() {
            Some(driver) => driver.into_parts(),
            None => *self.codec.left.take()?,
        };
        // The timer may still hold the end of it.
        self.codec.bell.unhang();
        let unfit = self.codec.bell.write_waits();
        let view = self.view.take();
        let (bell, rope) = Bell::new();
        let io = parts.io.replaying(parts.read_buf, rope);
        Some(Box::pin(async move {
            let mut larger = Http1::over(io, bell, Heads::Large).await?;
            larger.unfit = unfit;
            larger.view = view;
            Ok(larger)
        }))
    }

    fn is_idle(&mut self) -> bool {
        if self.has_news() || !self.is_ready() {
            self.codec.drive(&mut Context::from_waker(Waker::noop()));
        }
        // tokio shows nothing of a socket to a task that has done much at once.
        self.is_ready() && self.codec.bell.is_quiet()
    }

    /// Whether the socket has told of something, or would.
    fn has_news(&self) -> bool {
        let bell = &self.codec.bell;
        let view = self.view.as_ref().and_then(Weak::upgrade);
        if view.is_some_and(|socket| socket.has_news()) {
            bell.look();
        }
        !bell.is_quiet()
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use hyper::rt::Write;
    use std::{
        io,
        pin::pin,
        sync::{
            Mutex,
            atomic::{AtomicBool, Ordering::Relaxed},
        },
    };

    /// A socket whose peer says nothing, and whose reactor sleeps until it is told to wake.
    #[derive(Default)]
    struct Socket {
        closed: AtomicBool,
        waker: Mutex<Option<Waker>>,
    }

    struct Silent {
        socket: Arc<Socket>,
        viewed: bool,
    }

    impl View for Socket {
        fn has_news(&self) -> bool {
            self.closed.load(Relaxed)
        }
    }

    impl Stream for Silent {
        fn poll_read(&mut self, cx: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            if self.socket.closed.load(Relaxed) {
                return Poll::Ready(Ok(0));
            }
            *self.socket.waker.lock().unwrap() = Some(cx.waker().clone());
            Poll::Pending
        }

        fn view(&self) -> Option<Weak<dyn View>> {
            self.viewed
                .then(|| Arc::<Socket>::downgrade(&self.socket) as _)
        }
    }

    impl Write for Silent {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn idle(viewed: bool) -> (Box<Http1>, Arc<Socket>) {
        let socket = Arc::<Socket>::default();
        let stream = Silent {
            socket: Arc::clone(&socket),
            viewed,
        };
        let opened = pin!(Http1::new(Box::new(stream)))
            .poll(&mut Context::from_waker(Waker::noop()))
            .map(Result::unwrap);
        let Poll::Ready(mut http1) = opened else {
            panic!("nothing has to be waited for")
        };
        assert!(http1.is_idle() && http1.is_idle());
        (http1, socket)
    }

    #[test]
    fn a_closed_connection_is_not_idle_once_the_reactor_has_told() {
        let (mut http1, socket) = idle(false);
        socket.closed.store(true, Relaxed);
        assert!(http1.is_idle(), "nobody knows yet");
        socket.waker.lock().unwrap().take().unwrap().wake();
        assert!(!http1.is_idle());
    }

    #[test]
    fn a_closed_connection_is_not_idle_where_it_can_be_seen_at_once() {
        let (mut http1, socket) = idle(true);
        socket.closed.store(true, Relaxed);
        assert!(!http1.is_idle());
    }
}
