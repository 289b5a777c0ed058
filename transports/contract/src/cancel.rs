use std::{
    fmt,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Cancels blocking calls from another thread. Clones are the same handle.
///
/// A call belongs to a handle if the extensions of its [`http::Request`] contain a clone of it. Cancelling ends all
/// calls of the handle, running and later ones, with
/// [`TransportErrorKind::Cancelled`](crate::TransportErrorKind::Cancelled). A call that waits for the server ends
/// immediately: the transport shuts its socket down.
///
/// A transport that cannot interrupt a call may ignore the handle; the call then ends when the transport returns.
#[derive(Clone, Default)]
pub struct CancelHandle(Arc<Shared>);

#[derive(Default)]
struct Shared {
    is_cancelled: AtomicBool,
    running: Mutex<Vec<Weak<dyn Interrupt>>>,
    cancelled: Condvar,
}

/// Interrupts a running call of a transport.
pub trait Interrupt: Send + Sync {
    /// Wakes the thread that waits in the call. Called from another thread, at most once.
    fn interrupt(&self);
}

impl CancelHandle {
    /// Creates a handle.
    #[must_use]
    pub fn new() -> Self {
        CancelHandle::default()
    }

    /// Cancels the handle's calls. This cannot be undone.
    pub fn cancel(&self) {
        let running = {
            let mut running = self.running();
            self.0.is_cancelled.store(true, Ordering::SeqCst);
            std::mem::take(&mut *running)
        };
        self.0.cancelled.notify_all();
        for call in running.iter().filter_map(Weak::upgrade) {
            call.interrupt();
        }
    }

    /// True after [`cancel`](Self::cancel) was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::SeqCst)
    }

    /// For transports: registers a call to be interrupted when the handle is cancelled; immediately if it is
    /// cancelled already. The registration ends when the transport drops the call.
    pub fn interrupts(&self, call: Weak<dyn Interrupt>) {
        let mut running = self.running();
        if self.is_cancelled() {
            drop(running);
            if let Some(call) = call.upgrade() {
                call.interrupt();
            }
            return;
        }
        running.retain(|call| call.strong_count() > 0);
        running.push(call);
    }

    /// Waits for this duration, or until the handle is cancelled.
    pub fn wait(&self, time: Duration) {
        let running = self.running();
        let waits = |_: &mut Vec<Weak<dyn Interrupt>>| !self.is_cancelled();
        drop(self.0.cancelled.wait_timeout_while(running, time, waits));
    }

    /// No code panics while holding this lock.
    fn running(&self) -> MutexGuard<'_, Vec<Weak<dyn Interrupt>>> {
        self.0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CancelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelHandle")
            .field("is_cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Call(AtomicUsize);

    impl Interrupt for Call {
        fn interrupt(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn calls_before_and_after_are_interrupted_once() {
        let handle = CancelHandle::new();
        let (early, late, dropped) = (
            Arc::new(Call::default()),
            Arc::new(Call::default()),
            Arc::new(Call::default()),
        );
        let weak = |call: &Arc<Call>| -> Weak<dyn Interrupt> { Arc::<Call>::downgrade(call) };
        handle.interrupts(weak(&early));
        handle.interrupts(weak(&dropped));
        drop(dropped);
        assert!(!handle.is_cancelled());
        handle.clone().cancel();
        handle.cancel();
        handle.interrupts(weak(&late));
        assert!(handle.is_cancelled());
        assert_eq!(early.0.load(Ordering::SeqCst), 1);
        assert_eq!(late.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_wait_ends_with_the_handle() {
        let handle = CancelHandle::new();
        handle.wait(Duration::from_millis(1));
        assert!(!handle.is_cancelled());
        handle.cancel();
        handle.wait(Duration::MAX);
    }
}
