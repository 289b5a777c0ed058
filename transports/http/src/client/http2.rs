//! An HTTP/2 connection, whose streams are shared by many calls.

use super::{
    BoxedBody, Io, Runtime, Shared,
    connection::{Answer, Connection},
    error::send_error,
};
use crate::target::Target;
use http::Request;
use hyper::{client::conn::http2, rt::Executor};
use hyper_util::rt::TokioIo;
use std::{
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};
use unifiedai_transport::{Time, TransportError};

const MAX_HEADER_BYTES: u32 = 64 * 1024;
/// The number of streams until the server's settings have come, which no server sets.
const UNKNOWN: usize = 0x7fff_fff1;

/// The right to open a connection, for which others wait.
pub(crate) type Turn = tokio::sync::OwnedMutexGuard<()>;

type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;
type Driver<R> = Pin<Box<http2::Connection<TokioIo<Box<dyn Io>>, BoxedBody, Spawn<R>>>>;

/// What the task, the pool and the streams of one connection share.
#[derive(Default)]
struct State {
    /// Gone once no new stream is to be opened. It is the only one: a request that hyper's queue takes at the moment when it ends comes
    /// back only when the last sender is dropped.
    sender: Mutex<Option<http2::SendRequest<BoxedBody>>>,
    /// How many streams the server allows at a time; 0 until its settings have come.
    max_streams: AtomicUsize,
    /// True once a request was handed to it.
    is_used: AtomicBool,
    /// It has ended by itself, not with its runtime.
    is_over: AtomicBool,
}

impl State {
    fn sender(&self) -> MutexGuard<'_, Option<http2::SendRequest<BoxedBody>>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No new stream is opened. Those that are open go on.
    fn retire(&self) {
        let sender = self.sender().take();
        // Not while it is locked: this wakes tasks.
        drop(sender);
    }

    fn is_closed(&self) -> bool {
        self.sender()
            .as_ref()
            .is_none_or(http2::SendRequest::is_closed)
    }
}

/// Opens a connection over a stream, shares it with the pool, and gives its first stream.
pub(crate) async fn http2<R: Runtime>(
    io: Box<dyn Io>,
    target: &Target,
    runtime: R::Id,
    shared: &Shared<R>,
    turn: &mut Option<Turn>,
) -> Result<Connection<R>, TransportError> {
    let spawn = Spawn::<R>(Arc::default(), PhantomData);
    let mut builder = http2::Builder::new(spawn.clone());
    builder
        .initial_max_send_streams(UNKNOWN)
        .timer(R::timer())
        .max_header_list_size(MAX_HEADER_BYTES)
        .keep_alive_interval(shared.options.http2_keep_alive)
        .keep_alive_while_idle(true);
    let opened = builder.handshake(TokioIo::new(io)).await;
    let (sender, driver) = opened.map_err(|error| send_error(&error, true, target))?;
    let state = Arc::new(State {
        sender: Mutex::new(Some(sender)),
        ..State::default()
    });
    let mut multiplexed = Multiplexed {
        state: Arc::clone(&state),
        open: Arc::default(),
        unused_since: None,
    };
    let stream = multiplexed.stream();
    shared.pool.share(target, runtime, multiplexed);
    // After that: once it has the server's settings, the next call looks for the connection in the pool.
    R::spawn(Task {
        state,
        driver: Some(Box::pin(driver)),
        io: spawn.take_first(),
        turn: turn.take(),
    });
    Ok(stream)
}

/// Lets the connection read and write.
struct Task<R: Runtime> {
    state: Arc<State>,
    /// Gone once the connection takes no more requests.
    driver: Option<Driver<R>>,
    io: Option<BoxFuture>,
    /// Gone once the server's settings have come: calls that wait to share the connection wait until it is known how many can.
    turn: Option<Turn>,
}

impl<R: Runtime> Future for Task<R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // The driver first: a request that it drops because the server closes the connection was not written.
        let driver = self.driver.as_mut();
        if driver.is_some_and(|driver| driver.as_mut().poll(cx).is_ready()) {
            self.state.is_over.store(true, Relaxed);
            self.state.retire();
            (self.driver, self.turn) = (None, None);
        }
        let io = self.io.as_mut();
        if io.is_some_and(|io| io.as_mut().poll(cx).is_ready()) {
            self.io = None;
        }
        let max = self.driver.as_ref().map(|d| d.current_max_send_streams());
        if let Some(max) = max.filter(|max| *max != UNKNOWN) {
            self.state.max_streams.store(max, Relaxed);
            self.turn = None;
        }
        match self.driver.is_none() && self.io.is_none() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl<R: Runtime> Drop for Task<R> {
    /// Also when the runtime ends.
    fn drop(&mut self) {
        self.state.retire();
    }
}

/// The pool's handle. Without it no new stream is opened.
pub(crate) struct Multiplexed {
    state: Arc<State>,
    /// One more than there are streams.
    open: Arc<()>,
    /// Since when the connection has been seen without a stream.
    unused_since: Option<Time>,
}

impl Multiplexed {
    /// A stream for a request.
    pub(crate) fn stream<R: Runtime>(&mut self) -> Connection<R> {
        self.unused_since = None;
        Connection::Http2(Stream {
            state: Arc::clone(&self.state),
            _open: Arc::clone(&self.open),
            is_first: true,
        })
    }

    fn streams(&self) -> usize {
        Arc::strong_count(&self.open).saturating_sub(1)
    }

    /// True if the server allows another stream. Asked under the pool's lock, so that no two callers take the last place.
    pub(crate) fn has_room(&self) -> bool {
        self.streams() < self.state.max_streams.load(Relaxed)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.is_closed()
    }

    /// Since when the connection has had no stream, as far as it was looked at.
    pub(crate) fn unused_since(&mut self, now: Time) -> Time {
        if self.streams() > 0 {
            return now;
        }
        *self.unused_since.get_or_insert(now)
    }
}

impl Drop for Multiplexed {
    fn drop(&mut self) {
        self.state.retire();
    }
}

/// One stream, opened or about to be.
pub(crate) struct Stream {
    state: Arc<State>,
    _open: Arc<()>,
    /// Its request is the first of the connection.
    pub(crate) is_first: bool,
}

impl Stream {
    /// Sends a request, or gives it back if the connection takes no more.
    #[expect(clippy::result_large_err, reason = "it is the request")]
    pub(crate) fn start(
        &mut self,
        request: Request<BoxedBody>,
    ) -> Result<impl Future<Output = Answer> + Send + use<>, Request<BoxedBody>> {
        self.is_first = !self.state.is_used.swap(true, Relaxed);
        match &mut *self.state.sender() {
            Some(sender) => Ok(sender.try_send_request(request)),
            None => Err(request),
        }
    }

    /// Keeps the connection from being used for other requests.
    pub(crate) fn retire(&self) {
        self.state.retire();
    }

    /// True if the connection has ended by itself, not with its runtime.
    pub(crate) fn is_over(&self) -> bool {
        self.state.is_over.load(Relaxed)
    }
}

/// Runs hyper's tasks but the first, which reads from and writes to the connection: that one is polled together with the driver, which
/// hands requests to it.
struct Spawn<R>(
    Arc<OnceLock<Mutex<Option<BoxFuture>>>>,
    PhantomData<fn() -> R>,
);

impl<R> Spawn<R> {
    fn take_first(&self) -> Option<BoxFuture> {
        let mut first = self.0.get()?.lock().unwrap_or_else(PoisonError::into_inner);
        first.take()
    }
}

impl<R> Clone for Spawn<R> {
    fn clone(&self) -> Self {
        Spawn(Arc::clone(&self.0), PhantomData)
    }
}

impl<R: Runtime, F: Future<Output = ()> + Send + 'static> Executor<F> for Spawn<R> {
    fn execute(&self, task: F) {
        if self.0.get().is_some() {
            return R::spawn(task);
        }
        self.0.get_or_init(|| Mutex::new(Some(Box::pin(task))));
    }
}
