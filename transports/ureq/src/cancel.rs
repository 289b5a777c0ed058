//! Calls that another thread may cancel.

use crate::socket::Socket;
use std::{
    cell::RefCell,
    net::{Shutdown, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};
use unifiedai_transport::{CancelHandle, Interrupt};

/// A call with a handle, and the socket that it uses at the moment.
pub(crate) struct Attempt {
    handle: CancelHandle,
    socket: Mutex<Weak<TcpStream>>,
}

thread_local! {
    /// The call that runs on this thread, if it has a handle.
    static CURRENT: RefCell<Option<Arc<Attempt>>> = const { RefCell::new(None) };
}

impl Attempt {
    /// The call of a request whose extensions hold a handle.
    pub(crate) fn of(request: &http::request::Parts) -> Option<Arc<Self>> {
        let handle = request.extensions.get::<CancelHandle>()?.clone();
        let attempt = Arc::new(Attempt {
            handle,
            socket: Mutex::default(),
        });
        let weak: Weak<dyn Interrupt> = Arc::<Attempt>::downgrade(&attempt);
        attempt.handle.interrupts(weak);
        Some(attempt)
    }

    /// Nothing panics while it is held.
    fn socket(&self) -> MutexGuard<'_, Weak<TcpStream>> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Interrupt for Attempt {
    fn interrupt(&self) {
        // Held meanwhile, so that the connection cannot come to another call.
        if let Some(socket) = self.socket().upgrade() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// True if a call has a handle that was cancelled.
pub(crate) fn is_cancelled(attempt: Option<&Arc<Attempt>>) -> bool {
    attempt.is_some_and(|attempt| attempt.handle.is_cancelled())
}

/// Runs a part of a call.
pub(crate) fn within<T>(attempt: Option<&Arc<Attempt>>, work: impl FnOnce() -> T) -> T {
    let Some(attempt) = attempt else {
        return work();
    };
    let set = |to| {
        CURRENT
            .try_with(|current| current.replace(to))
            .ok()
            .flatten()
    };
    let outer = set(Some(Arc::clone(attempt)));
    let done = work();
    drop(set(outer));
    done
}

/// Does something with the call that runs on this thread, if it has a handle. None has while a thread's own values are dropped.
fn with_current<T>(work: impl FnOnce(&Attempt) -> T) -> Option<T> {
    let current = CURRENT.try_with(|attempt| attempt.borrow().clone());
    current.ok().flatten().map(|attempt| work(&attempt))
}

/// True if the call that runs on this thread was cancelled; `None` if it cannot be.
pub(crate) fn current() -> Option<bool> {
    with_current(|attempt| attempt.handle.is_cancelled())
}

/// The call that runs on this thread uses this socket.
pub(crate) fn begin(socket: &Socket) {
    with_current(|attempt| {
        if let Some(tcp) = &socket.tcp {
            *attempt.socket() = Arc::downgrade(tcp);
            if attempt.handle.is_cancelled() {
                attempt.interrupt();
            }
        }
    });
}

/// The call that runs on this thread has no use for its socket any more.
pub(crate) fn end() {
    with_current(|attempt| *attempt.socket() = Weak::new());
}
