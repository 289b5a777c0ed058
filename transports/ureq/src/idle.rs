//! The sockets of connections that wait for their next request, so that they are closed in time.
//!
//! ureq's pool looks at them when the next request comes. Until then a thread does, while there are any.

use std::{
    io,
    net::TcpStream,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread,
    time::Duration,
};
use unifiedai_http::clock;
use unifiedai_transport::Time;

/// How often the sockets are looked at, to see whether the server has closed them.
const LOOK: Duration = Duration::from_secs(1);

pub(crate) struct Idle {
    sockets: Mutex<Sockets>,
    timeout: Duration,
}

#[derive(Default)]
struct Sockets {
    waiting: Vec<Waiting>,
    next: u64,
    is_watched: bool,
}

struct Waiting {
    number: u64,
    socket: Arc<TcpStream>,
    until: Time,
    /// Unread bytes may be TLS's own.
    tls: bool,
}

impl Idle {
    pub(crate) fn new(timeout: Duration) -> Arc<Self> {
        Arc::new(Idle {
            sockets: Mutex::default(),
            timeout,
        })
    }

    /// Keeps a socket until it is taken or its time is over.
    pub(crate) fn put(self: &Arc<Self>, socket: Arc<TcpStream>, tls: bool) -> Parked {
        let mut sockets = self.lock();
        let number = sockets.next;
        sockets.next = number.wrapping_add(1);
        let until = clock::now().saturating_add(self.timeout);
        sockets.waiting.push(Waiting {
            number,
            socket,
            until,
            tls,
        });
        if !sockets.is_watched {
            let idle = Arc::downgrade(self);
            let watch = thread::Builder::new().name("unifiedai-ureq-idle".into());
            // Without a thread, ureq's pool still closes them at the next request.
            sockets.is_watched = watch.spawn(move || watch_sockets(&idle)).is_ok();
        }
        Parked {
            idle: Arc::clone(self),
            number,
        }
    }

    /// Closes those whose time is over, or that the server has closed. Gives when to come again, if any are left.
    fn close_old(&self) -> Option<Duration> {
        let mut sockets = self.lock();
        let now = clock::now();
        sockets
            .waiting
            .retain(|waiting| now < waiting.until && waiting.is_quiet());
        let left = |waiting: &Waiting| waiting.until.saturating_since(now);
        let next = sockets.waiting.iter().map(left).min();
        sockets.is_watched = next.is_some();
        next.map(|next| next.clamp(Duration::from_millis(1), LOOK))
    }

    /// Nothing panics while it is held.
    fn lock(&self) -> MutexGuard<'_, Sockets> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_quiet(&self) -> bool {
        match peek(&self.socket) {
            Peek::Nothing => true,
            Peek::Bytes => self.tls,
            Peek::Closed => false,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "waiting is the transport's part")]
fn watch_sockets(idle: &Weak<Idle>) {
    while let Some(next) = idle.upgrade().and_then(|idle| idle.close_old()) {
        thread::sleep(next);
    }
}

/// A socket's entry in the list, and its end.
pub(crate) struct Parked {
    idle: Arc<Idle>,
    number: u64,
}

impl Parked {
    /// The socket, unless it was closed meanwhile.
    pub(crate) fn take(&self) -> Option<Arc<TcpStream>> {
        let mut sockets = self.idle.lock();
        let same = |waiting: &Waiting| waiting.number == self.number;
        let at = sockets.waiting.iter().rposition(same)?;
        Some(sockets.waiting.swap_remove(at).socket)
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// What a socket holds, without waiting for it and without taking it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peek {
    Nothing,
    Bytes,
    /// The server has closed or reset the connection.
    Closed,
}

pub(crate) fn peek(socket: &TcpStream) -> Peek {
    if socket.set_nonblocking(true).is_err() {
        return Peek::Closed;
    }
    let peeked = match socket.peek(&mut [0]) {
        Ok(0) => Peek::Closed,
        Ok(_) => Peek::Bytes,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Peek::Nothing,
        Err(_) => Peek::Closed,
    };
    match socket.set_nonblocking(false) {
        Ok(()) => peeked,
        Err(_) => Peek::Closed,
    }
}
