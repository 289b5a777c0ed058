//! Calls that another thread may cancel.

use std::{
    net::{Shutdown, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};
use unifiedai_transport::{CancelHandle, Interrupt};

/// A call with a handle, and the socket that it uses at the moment.
pub(crate) struct Attempt {
    handle: CancelHandle,
    socket: Mutex<Weak<TcpStream>>,
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

    /// The call uses this socket from now on, or none.
    pub(crate) fn uses(&self, socket: Option<&Arc<TcpStream>>) {
        *self.socket() = socket.map(Arc::downgrade).unwrap_or_default();
        if self.handle.is_cancelled() {
            self.interrupt();
        }
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
pub(crate) fn is_cancelled(attempt: Option<&Attempt>) -> bool {
    attempt.is_some_and(|attempt| attempt.handle.is_cancelled())
}
