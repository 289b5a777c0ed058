use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
};

/// Lets a codec wake its task for the sake of the socket alone.
///
/// The parts of a codec wake each other: a piece of a body that was taken wakes who may send the next. Here one task polls all of
/// them in one go, so that it would only be polled for nothing. What counts is the socket, and a codec that calls while it is
/// polled, because it has more to do and gives way to others. Before the answer there is nothing that the parts could call for,
/// but tokio's call for a request that it held back from a task that had done much at once.
pub(crate) struct Bell {
    ringer: Arc<Ringer>,
    waker: Waker,
    /// Wakes the task that polled last.
    pub(crate) watch: Waker,
}

/// The socket's end of a bell: whom it wakes, and where it tells what hyper does not.
pub(crate) struct Rope {
    ringer: Arc<Ringer>,
    waker: Waker,
}

/// What both ends share, and the waker that a codec's parts get.
#[derive(Default)]
struct Ringer {
    rung: AtomicBool,
    /// Whether there is a request without an answer.
    awaits: AtomicBool,
    /// How often the codec has read something since it was polled, the end or an error included.
    reads: AtomicU32,
    /// Whether the socket had nothing left, and has not told of more since.
    drained: AtomicBool,
    write_waits: AtomicBool,
    task: Mutex<Option<Waker>>,
}

/// The waker that the socket and the timer get, the same for all tasks and for none.
struct Watch(Arc<Ringer>);

/// A codec that goes on reading, as hyper does as long as heads with status 1xx come, gives way after so many reads: its task has
/// limits to look at. More than any answer needs to make progress.
const MOST_READS: u32 = 64;

impl Bell {
    pub(crate) fn new() -> (Bell, Rope) {
        let ringer = Arc::new(Ringer::default());
        let watch = Waker::from(Arc::new(Watch(Arc::clone(&ringer))));
        let rope = Rope {
            ringer: Arc::clone(&ringer),
            waker: watch.clone(),
        };
        let bell = Bell {
            waker: Waker::from(Arc::clone(&ringer)),
            ringer,
            watch,
        };
        (bell, rope)
    }

    /// Polls a codec whose socket has the rope.
    pub(crate) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        codec: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.ringer.hang(cx.waker());
        let polled = codec(&mut Context::from_waker(&self.waker));
        if self.ringer.rung.load(Relaxed) {
            cx.waker().wake_by_ref();
        }
        polled
    }

    /// Whether a call from outside of a poll counts, too.
    pub(crate) fn tell_awaits(&self, awaits: bool) {
        self.ringer.awaits.store(awaits, Relaxed);
    }

    /// Forgets the task. The socket's next call is still noted.
    pub(crate) fn unhang(&self) {
        drop(self.ringer.task().take());
    }

    /// Whether the socket had nothing left, and has not told of more since.
    pub(crate) fn is_quiet(&self) -> bool {
        self.ringer.drained.load(Relaxed)
    }

    /// Whether the codec has read something since it was polled.
    pub(crate) fn has_read(&self) -> bool {
        self.ringer.reads.load(Relaxed) > 0
    }

    /// Lets the codec see how the socket is now when it is polled next.
    pub(crate) fn look(&self) {
        self.ringer.drained.store(false, Relaxed);
    }

    /// Whether bytes wait until the peer takes them.
    pub(crate) fn write_waits(&self) -> bool {
        self.ringer.write_waits.load(Relaxed)
    }
}

impl Rope {
    pub(crate) fn tell_write_waits(&self, waits: bool) {
        self.ringer.write_waits.store(waits, Relaxed);
    }

    /// Whether the codec may read once more before it gives way.
    pub(crate) fn may_read(&self) -> bool {
        self.ringer.reads.load(Relaxed) < MOST_READS
    }

    pub(crate) fn tell_read(&self) {
        let reads = self.ringer.reads.load(Relaxed);
        self.ringer.reads.store(reads.saturating_add(1), Relaxed);
    }

    /// Whether there is no use in reading again before the socket tells of more.
    pub(crate) fn is_drained(&self) -> bool {
        self.ringer.drained.load(Relaxed)
    }

    /// Polls a socket for what it has.
    pub(crate) fn pull_read<T>(&self, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        // Beforehand, because another thread may tell of more at once.
        self.ringer.drained.store(true, Relaxed);
        let read = self.pull(poll);
        if read.is_ready() {
            self.ringer.drained.store(false, Relaxed);
        }
        read
    }

    /// Polls a socket that wakes the task.
    pub(crate) fn pull<T>(&self, poll: impl FnOnce(&mut Context<'_>) -> T) -> T {
        poll(&mut Context::from_waker(&self.waker))
    }
}

impl Ringer {
    fn hang(&self, waker: &Waker) {
        self.rung.store(false, Relaxed);
        self.reads.store(0, Relaxed);
        match &mut *self.task() {
            Some(task) => task.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    fn call(&self) {
        // What a waker does is its own affair, and not done under the lock.
        let task = self.task().take();
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Who panics while it is held leaves a waker that is as good as before.
    fn task(&self) -> MutexGuard<'_, Option<Waker>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Ringer {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Relaxed);
        if self.awaits.load(Relaxed) {
            self.call();
        }
    }
}

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.drained.store(false, Relaxed);
        self.0.call();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[derive(Default)]
    pub(crate) struct Woken(pub(crate) AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Relaxed);
        }
    }

    #[test]
    fn a_codec_that_gives_way_is_polled_again_and_its_parts_wake_nobody() {
        let woken = Arc::new(Woken::default());
        let task = Waker::from(Arc::clone(&woken));
        let (bell, rope) = Bell::new();
        let mut kept = None;
        let polled = bell.poll(&mut Context::from_waker(&task), |cx| {
            kept = Some(cx.waker().clone());
            Poll::<()>::Pending
        });
        assert!(polled.is_pending());
        kept.inspect(Waker::wake_by_ref);
        assert!(!woken.0.load(Relaxed), "a part");
        rope.pull(|cx| cx.waker().wake_by_ref());
        assert!(woken.0.swap(false, Relaxed), "the socket");
        let _ = bell.poll(&mut Context::from_waker(&task), |cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert!(woken.0.load(Relaxed), "the codec itself");
    }

    #[test]
    fn the_socket_wakes_who_polled_last_and_nobody_at_rest() {
        let (bell, rope) = Bell::new();
        let [first, last] = [(); 2].map(|()| Arc::new(Woken::default()));
        let poll = |woken: &Arc<Woken>, read: bool| {
            let task = Waker::from(Arc::clone(woken));
            let _ = bell.poll(&mut Context::from_waker(&task), |_| {
                if read {
                    rope.pull_read(pending)
                } else {
                    Poll::Pending
                }
            });
        };
        let mut socket = None;
        let _ = rope.pull_read(|cx| {
            socket = Some(cx.waker().clone());
            pending(cx)
        });
        let wake = || socket.as_ref().map(Waker::wake_by_ref);
        poll(&first, true);
        poll(&last, false);
        wake();
        assert!(!first.0.load(Relaxed) && last.0.swap(false, Relaxed));
        poll(&last, true);
        bell.unhang();
        assert!(bell.is_quiet());
        wake();
        assert!(!last.0.load(Relaxed) && !bell.is_quiet());
    }

    #[test]
    fn a_socket_is_drained_until_it_tells_of_more() {
        let (_, rope) = Bell::new();
        assert!(!rope.is_drained(), "not asked yet");
        let _ = rope.pull_read(pending);
        assert!(rope.is_drained());
        let _ = rope.pull_read(|cx| {
            cx.waker().wake_by_ref();
            pending(cx)
        });
        assert!(!rope.is_drained(), "it told before the read was over");
        let _ = rope.pull_read(|_| Poll::Ready(()));
        assert!(!rope.is_drained(), "there may be more");
    }

    fn pending(_: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}
