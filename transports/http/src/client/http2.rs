//! An HTTP/2 connection, whose streams are shared by many calls.

use super::{
    Io, Runtime, Timer, Watch,
    connection::{Connection, Protocol},
    send::{RequestBody, send_error},
    spawn::Spawn,
    target::Target,
};
use crate::Options;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http2},
};
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};
use unifiedai_transport::{Time, TransportError};

const MAX_HEAD: u32 = 64 * 1024;
/// The number of streams until the server's settings have come, which no server sets.
const UNKNOWN: usize = 0x7fff_fff1;

/// The right to open a connection, for which others wait.
pub(crate) type Turn = tokio::sync::OwnedMutexGuard<()>;

type Driver<R> = Pin<Box<http2::Connection<Box<dyn Io>, RequestBody, Spawn<R>>>>;

/// What the streams of one connection share.
struct Shared<R: Runtime> {
    target: Target,
    runtime: R::Id,
    watch: Arc<Watch>,
    /// Gone once no new stream is to be opened. It is the only one: a request that hyper's queue takes at the moment when it ends comes
    /// back only when the last sender is dropped.
    sender: Mutex<Option<http2::SendRequest<RequestBody>>>,
    /// Polled by a task of the runtime. Gone once the connection takes no more requests.
    driver: Mutex<Option<Driver<R>>>,
    streams: AtomicUsize,
    /// How many requests were handed to it.
    requests: AtomicUsize,
    /// When the last stream ended, in nanoseconds.
    since: AtomicU64,
    /// Gone once the server's settings have come.
    turn: Mutex<Option<Turn>>,
    is_settled: AtomicBool,
    /// It has ended by itself, not with its runtime.
    is_over: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<R: Runtime> Shared<R> {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let polled = lock(&self.driver).as_mut().map(|d| d.as_mut().poll(cx));
        if matches!(polled, Some(Poll::Ready(_))) {
            self.is_over.store(true, Relaxed);
            self.end();
        }
        polled.map_or(Poll::Ready(()), |polled| polled.map(drop))
    }

    /// No new stream is opened. Those that are open go on.
    fn retire(&self) {
        let sender = lock(&self.sender).take();
        let turn = lock(&self.turn).take();
        // Not while they are locked: this wakes tasks.
        drop((sender, turn));
    }

    fn end(&self) {
        self.retire();
        let driver = lock(&self.driver).take();
        drop(driver);
    }

    fn is_closed(&self) -> bool {
        let sender = lock(&self.sender);
        sender.as_ref().is_none_or(http2::SendRequest::is_closed)
    }

    /// Lets other calls share the connection as soon as the server's settings have come.
    fn settle(&self) {
        if !self.is_settled.load(Relaxed) && self.max_streams() > 0 {
            self.is_settled.store(true, Relaxed);
        }
        if self.is_settled.load(Relaxed) || self.is_closed() {
            let turn = lock(&self.turn).take();
            drop(turn);
        }
    }

    /// How many streams the server allows at a time, once it is known.
    fn max_streams(&self) -> usize {
        let driver = lock(&self.driver);
        let max = driver.as_ref().map(|d| d.current_max_send_streams());
        max.filter(|max| *max != UNKNOWN).unwrap_or(0)
    }
}

/// The pool's handle. Without it no new stream is opened.
pub(crate) struct Multiplexed<R: Runtime>(Arc<Shared<R>>);

impl<R: Runtime> Multiplexed<R> {
    /// Opens the connection over a stream.
    pub(crate) async fn open(
        io: Box<dyn Io>,
        watch: Arc<Watch>,
        target: &Target,
        runtime: R::Id,
        options: &Options,
    ) -> Result<Self, TransportError> {
        let spawn = Spawn::<R>::default();
        let mut builder = http2::Builder::new(spawn.clone());
        builder
            .initial_max_send_streams(UNKNOWN)
            .timer(R::http2_timer())
            .max_header_list_size(MAX_HEAD)
            .keep_alive_interval(options.http2_keep_alive)
            .keep_alive_while_idle(true);
        let (sender, driver) = builder
            .handshake(io)
            .await
            .map_err(|error| send_error(&error, true, target))?;
        let shared = Arc::new(Shared {
            target: target.clone(),
            runtime,
            watch,
            sender: Mutex::new(Some(sender)),
            driver: Mutex::new(Some(Box::pin(driver))),
            streams: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            since: AtomicU64::new(0),
            turn: Mutex::default(),
            is_settled: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        });
        let guard = EndOnDrop(Arc::clone(&shared));
        let mut io = spawn.take_first();
        R::spawn(async move {
            poll_fn(|cx| {
                // In this order: a request that the driver drops because the server closes the connection was not written.
                let driven = guard.0.poll(cx);
                if io
                    .as_mut()
                    .is_some_and(|io| io.as_mut().poll(cx).is_ready())
                {
                    io = None;
                }
                if !guard.0.is_settled.load(Relaxed) {
                    guard.0.settle();
                }
                if io.is_some() { Poll::Pending } else { driven }
            })
            .await;
        });
        Ok(Multiplexed(shared))
    }

    /// A stream for a request.
    pub(crate) fn stream(&self) -> Connection<R> {
        self.0.streams.fetch_add(1, Relaxed);
        Connection {
            target: self.0.target.clone(),
            runtime: self.0.runtime,
            protocol: Protocol::Http2(Stream {
                shared: Arc::clone(&self.0),
                is_first: true,
            }),
            watch: Arc::clone(&self.0.watch),
            proxied: None,
            is_ambiguous: false,
            since: Time::ZERO,
        }
    }

    /// True if the server allows another stream. Asked under the pool's lock, so that no two callers take the last place.
    pub(crate) fn has_room(&self) -> bool {
        self.0.streams.load(Relaxed) < self.0.max_streams()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Lets the calls that wait to share the connection wait until it is known how many can.
    pub(crate) fn keep_turn(&self, turn: Turn) {
        *lock(&self.0.turn) = Some(turn);
        self.0.settle();
    }

    /// Since when the connection has had no stream, or `None` while it has one.
    pub(crate) fn unused_since(&self) -> Option<Time> {
        let unused = self.0.streams.load(Relaxed) == 0;
        unused.then(|| Time::from_nanos(self.0.since.load(Relaxed)))
    }
}

impl<R: Runtime> Drop for Multiplexed<R> {
    fn drop(&mut self) {
        self.0.retire();
    }
}

/// One stream, opened or about to be.
pub(crate) struct Stream<R: Runtime> {
    shared: Arc<Shared<R>>,
    /// Its request is the first of the connection.
    pub(crate) is_first: bool,
}

type Answer = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>;

impl<R: Runtime> Stream<R> {
    /// Sends a request, or gives it back if the connection takes no more.
    #[expect(clippy::result_large_err, reason = "it is the request")]
    pub(crate) fn start(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<impl Future<Output = Answer> + Send + use<R>, Request<RequestBody>> {
        let mut sender = lock(&self.shared.sender);
        self.is_first = self.shared.requests.fetch_add(1, Relaxed) == 0;
        match &mut *sender {
            Some(sender) => Ok(sender.try_send_request(request)),
            None => Err(request),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    pub(crate) fn retire(&self) {
        self.shared.retire();
    }

    /// True if the connection has ended by itself, not with its runtime.
    pub(crate) fn is_over(&self) -> bool {
        self.shared.is_over.load(Relaxed)
    }
}

impl<R: Runtime> Drop for Stream<R> {
    fn drop(&mut self) {
        self.shared.since.store(R::Timer::now().as_nanos(), Relaxed);
        self.shared.streams.fetch_sub(1, Relaxed);
    }
}

/// A task that is dropped with its runtime ends the connection, too.
struct EndOnDrop<R: Runtime>(Arc<Shared<R>>);

impl<R: Runtime> Drop for EndOnDrop<R> {
    fn drop(&mut self) {
        self.0.end();
    }
}
