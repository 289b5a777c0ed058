//! One connection to a server, over HTTP/1.1 or HTTP/2.

use super::{
    Io, Runtime, Timer, Watch,
    send::{RequestBody, send_error},
    target::Target,
};
use crate::{Options, proxy::Proxy};
use hyper::{
    client::conn::{http1, http2},
    rt::Executor,
};
use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
};
use unifiedai_transport::{Time, TransportError};

/// The largest head of a response over HTTP/1.1, and the largest trailers.
const MAX_HEAD: usize = 72 * 1024;
const MAX_HTTP2_HEAD: u32 = 64 * 1024;
/// The number of streams until the server's settings have come, which no server sets.
const UNKNOWN: usize = 0x7fff_fff1;

pub(crate) struct Connection<R: Runtime> {
    pub(crate) target: Target,
    /// It belongs to this runtime: another one can neither read from its socket nor be woken by it.
    pub(crate) runtime: R::Id,
    pub(crate) protocol: Protocol<R>,
    pub(crate) watch: Arc<Watch>,
    /// It leads to an HTTP proxy, which is asked for absolute URIs.
    pub(crate) proxied: Option<Arc<Proxy>>,
    /// The response has both `content-length` and `transfer-encoding`, so that its end is disputable (RFC 9112, 6.3).
    pub(crate) is_ambiguous: bool,
    /// Since when it waits for its next request.
    pub(crate) since: Time,
}

pub(crate) enum Protocol<R: Runtime> {
    /// The connection moves while its request or its response is polled. It is gone once it has ended.
    Http1(http1::SendRequest<RequestBody>, Option<Driver>),
    /// The connection is a task of the runtime, and this is one of its streams.
    Http2(http2::SendRequest<RequestBody>, Stream<R>),
}

pub(crate) type Driver = Pin<Box<http1::Connection<Box<dyn Io>, RequestBody>>>;

/// Lets an HTTP/1.1 connection read and write.
pub(crate) fn drive(driver: &mut Option<Driver>, cx: &mut Context<'_>) {
    if driver
        .as_mut()
        .is_some_and(|driver| driver.as_mut().poll(cx).is_ready())
    {
        *driver = None;
    }
}

pub(crate) async fn http1<R: Runtime>(
    io: Box<dyn Io>,
    place: &Target,
) -> Result<Protocol<R>, TransportError> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD).max_header_size(MAX_HEAD);
    let (sender, driver) = builder
        .handshake(io)
        .await
        .map_err(|error| send_error(&error, true, place))?;
    Ok(Protocol::Http1(sender, Some(Box::pin(driver))))
}

pub(crate) async fn http2<R: Runtime>(
    io: Box<dyn Io>,
    options: &Options,
    place: &Target,
) -> Result<Protocol<R>, TransportError> {
    let shared = Arc::new(Http2::<R>::default());
    let mut builder = http2::Builder::new(Spawn(Arc::downgrade(&shared)));
    builder
        .initial_max_send_streams(UNKNOWN)
        .timer(R::http2_timer())
        .max_header_list_size(MAX_HTTP2_HEAD)
        .keep_alive_interval(options.http2_keep_alive)
        .keep_alive_while_idle(true);
    let (sender, driver) = builder
        .handshake(io)
        .await
        .map_err(|error| send_error(&error, true, place))?;
    *shared.driver() = Some(Box::pin(driver));
    let task = Arc::clone(&shared);
    R::spawn(async move {
        // A task that is dropped with its runtime ends the connection, too.
        let guard = EndOnDrop(task);
        poll_fn(|cx| guard.0.poll(cx)).await;
    });
    Ok(Protocol::Http2(sender, Stream::new(shared)))
}

impl<R: Runtime> Connection<R> {
    pub(crate) fn is_closed(&self) -> bool {
        match &self.protocol {
            Protocol::Http1(sender, driver) => driver.is_none() || sender.is_closed(),
            Protocol::Http2(sender, stream) => sender.is_closed() || stream.0.is_unusable(),
        }
    }

    /// True if the next request can go out on it, as far as its socket has been read. hyper reads the rest before it takes the request.
    pub(crate) fn is_usable(&mut self) -> bool {
        let Protocol::Http1(sender, driver) = &mut self.protocol else {
            return !self.is_closed();
        };
        if !sender.is_ready() {
            drive(driver, &mut Context::from_waker(Waker::noop()));
        }
        self.watch.look.store(true, Relaxed);
        driver.is_some() && sender.is_ready() && !self.is_stuck()
    }

    /// True if a part of the last request waits to be written, which the server may never read.
    pub(crate) fn is_stuck(&self) -> bool {
        self.watch.stuck.load(Relaxed)
    }

    /// Keeps it from being used for other requests.
    pub(crate) fn retire(&self) {
        if let Protocol::Http2(_, stream) = &self.protocol {
            stream.0.retired.store(true, Relaxed);
            stream.0.end_turn();
        }
    }

    /// Lets the calls that wait to share the connection wait until it is known how many can.
    pub(crate) fn keep_turn(&self, turn: Turn) {
        if let Protocol::Http2(_, stream) = &self.protocol {
            *stream.0.turn() = Some(turn);
            stream.0.settle();
        }
    }

    /// True if nothing of the request was written. Unknown over HTTP/2, whose streams share what is written.
    pub(crate) fn is_unwritten(&self) -> bool {
        matches!(self.protocol, Protocol::Http1(..)) && !self.watch.written.load(Relaxed)
    }

    /// True if the server allows another stream.
    pub(crate) fn has_room(&self) -> bool {
        matches!(&self.protocol, Protocol::Http2(_, stream) if stream.has_room())
    }

    /// A stream of the same connection, if it speaks HTTP/2.
    pub(crate) fn stream(&self) -> Option<Self> {
        let Protocol::Http2(sender, stream) = &self.protocol else {
            return None;
        };
        Some(Connection {
            target: self.target.clone(),
            runtime: self.runtime,
            protocol: Protocol::Http2(sender.clone(), Stream::new(Arc::clone(&stream.0))),
            watch: Arc::clone(&self.watch),
            proxied: None,
            is_ambiguous: false,
            since: self.since,
        })
    }
}

/// The right to open a connection, for which others wait.
pub(crate) type Turn = tokio::sync::OwnedMutexGuard<()>;

type Http2Driver<R> = Pin<Box<http2::Connection<Box<dyn Io>, RequestBody, Spawn<R>>>>;

/// What the streams of one connection share.
pub(crate) struct Http2<R: Runtime> {
    /// Polled by a task of the runtime. Gone once the connection has ended.
    driver: Mutex<Option<Http2Driver<R>>>,
    streams: AtomicUsize,
    /// Nanoseconds, at which the last stream ended.
    since: AtomicU64,
    /// Gone once the server's settings have come.
    turn: Mutex<Option<Turn>>,
    is_settled: AtomicBool,
    /// No new stream is to be opened: a request on it timed out, or the server is about to close it.
    retired: AtomicBool,
}

impl<R: Runtime> Default for Http2<R> {
    fn default() -> Self {
        Http2 {
            driver: Mutex::default(),
            turn: Mutex::default(),
            is_settled: AtomicBool::new(false),
            streams: AtomicUsize::new(0),
            since: AtomicU64::new(0),
            retired: AtomicBool::new(false),
        }
    }
}

impl<R: Runtime> Http2<R> {
    fn driver(&self) -> MutexGuard<'_, Option<Http2Driver<R>>> {
        self.driver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut *self.driver() {
            Some(driver) => driver.as_mut().poll(cx).map(drop),
            None => Poll::Ready(()),
        }
    }

    fn turn(&self) -> MutexGuard<'_, Option<Turn>> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end_turn(&self) {
        let turn = self.turn().take();
        drop(turn);
    }

    /// Lets other calls share the connection as soon as the server's settings have come.
    fn settle(&self) {
        if !self.is_settled.load(Relaxed) && self.max_streams() > 0 {
            self.is_settled.store(true, Relaxed);
        }
        if self.is_settled.load(Relaxed) {
            self.end_turn();
        }
    }

    fn is_unusable(&self) -> bool {
        self.retired.load(Relaxed)
    }

    /// How many streams the server allows at a time, once it is known.
    fn max_streams(&self) -> usize {
        let driver = self.driver();
        let max = driver.as_ref().map(|d| d.current_max_send_streams());
        max.filter(|max| *max != UNKNOWN).unwrap_or(0)
    }
}

/// One stream, opened or about to be.
pub(crate) struct Stream<R: Runtime>(Arc<Http2<R>>);

impl<R: Runtime> Stream<R> {
    fn new(shared: Arc<Http2<R>>) -> Self {
        shared.streams.fetch_add(1, Relaxed);
        Stream(shared)
    }

    /// For the handle that waits in the pool and is no stream. Asked under the pool's lock, so that no two callers take the last place.
    fn has_room(&self) -> bool {
        self.0.streams.load(Relaxed) <= self.0.max_streams()
    }

    /// Since when the connection has had no stream, or `None` while it has one.
    pub(crate) fn unused_since(&self) -> Option<Time> {
        let unused = self.0.streams.load(Relaxed) <= 1;
        unused.then(|| Time::from_nanos(self.0.since.load(Relaxed)))
    }
}

impl<R: Runtime> Drop for Stream<R> {
    fn drop(&mut self) {
        self.0.since.store(R::Timer::now().as_nanos(), Relaxed);
        self.0.streams.fetch_sub(1, Relaxed);
    }
}

struct EndOnDrop<R: Runtime>(Arc<Http2<R>>);

impl<R: Runtime> Drop for EndOnDrop<R> {
    fn drop(&mut self) {
        self.0.retired.store(true, Relaxed);
        self.0.end_turn();
        let driver = self.0.driver().take();
        // Not while it is locked: this wakes those who wait for a response.
        drop(driver);
    }
}

/// hyper's executor. One of its tasks reads the server's settings.
struct Spawn<R: Runtime>(Weak<Http2<R>>);

impl<R: Runtime> Clone for Spawn<R> {
    fn clone(&self) -> Self {
        Spawn(Weak::clone(&self.0))
    }
}

impl<R: Runtime, F: Future<Output = ()> + Send + 'static> Executor<F> for Spawn<R> {
    fn execute(&self, task: F) {
        let shared = self
            .0
            .upgrade()
            .filter(|shared| !shared.is_settled.load(Relaxed));
        let Some(shared) = shared else {
            return R::spawn(task);
        };
        let mut shared = Some(Arc::downgrade(&shared));
        R::spawn(async move {
            let mut task = pin!(task);
            poll_fn(|cx| {
                let polled = task.as_mut().poll(cx);
                if let Some(connection) = shared.as_ref().and_then(Weak::upgrade) {
                    connection.settle();
                    if connection.is_settled.load(Relaxed) {
                        shared = None;
                    }
                }
                polled
            })
            .await;
        });
    }
}
