//! The sockets of connections that wait for their next request, so that they are closed in time.
//!
//! ureq's pool looks at them when the next request comes. Until then a thread does, while there are connections.

use crate::socket::peek;
use std::{
    net::TcpStream,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread,
    time::Duration,
};
use unifiedai_http::clock;
use unifiedai_transport::Time;

/// The longest and the shortest time between two looks at the sockets.
const SELDOM: Duration = Duration::from_secs(1);
const OFTEN: Duration = Duration::from_millis(100);

pub(crate) struct Idle {
    timeout: Duration,
    connections: Mutex<Vec<Weak<Resting>>>,
}

/// The socket of a connection while it waits, and until when it may.
#[derive(Default)]
pub(crate) struct Resting(Mutex<Option<(TcpStream, Time)>>);

impl Idle {
    pub(crate) fn new(timeout: Duration) -> Arc<Self> {
        Arc::new(Idle {
            timeout,
            connections: Mutex::default(),
        })
    }

    /// For a new connection.
    #[expect(
        clippy::disallowed_methods,
        reason = "one thread closes idle connections"
    )]
    pub(crate) fn place(self: &Arc<Self>) -> Arc<Resting> {
        let place = Arc::new(Resting::default());
        let mut connections = lock(&self.connections);
        let idle = Arc::downgrade(self);
        let watch = || thread::Builder::new().spawn(move || watch_sockets(&idle));
        // Without a thread, ureq's pool still closes them at the next request.
        if !connections.is_empty() || watch().is_ok() {
            connections.push(Arc::downgrade(&place));
        }
        place
    }

    pub(crate) fn put(&self, place: &Resting, socket: TcpStream) {
        let until = clock::now().saturating_add(self.timeout);
        *lock(&place.0) = Some((socket, until));
    }

    /// Closes those whose time is over, or that the server has closed. False if there is no connection any more.
    fn close_old(&self) -> bool {
        let now = clock::now();
        let mut connections = lock(&self.connections);
        connections.retain(|place| {
            let place = place.upgrade();
            if let Some(place) = &place {
                // What came unasked is the server's last word, or TLS's.
                lock(&place.0)
                    .take_if(|(socket, until)| now >= *until || !matches!(peek(socket), Ok(false)));
            }
            place.is_some()
        });
        !connections.is_empty()
    }
}

impl Resting {
    /// The socket, unless it was closed meanwhile.
    pub(crate) fn take(&self) -> Option<TcpStream> {
        lock(&self.0).take().map(|(socket, _)| socket)
    }
}

#[expect(clippy::disallowed_methods, reason = "waiting is the transport's part")]
fn watch_sockets(idle: &Weak<Idle>) {
    while let Some(idle) = idle.upgrade().filter(|idle| idle.close_old()) {
        let wait = idle.timeout.clamp(OFTEN, SELDOM);
        drop(idle);
        thread::sleep(wait);
    }
}

/// Nothing panics while it is held.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
