//! Connections that wait for their next request.

use crate::{Target, connection::Connection};
use std::{
    collections::HashMap,
    fmt,
    future::poll_fn,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};
use unifiedai_transport::Time;

/// Below the 15 s after which common servers close an idle connection.
const IDLE_AGE: Duration = Duration::from_secs(14);
const IDLE_PER_TARGET: usize = 64;

#[derive(Default)]
pub(crate) struct Pool(Mutex<HashMap<Target, Vec<Idle>>>);

struct Idle {
    connection: Connection,
    since: Time,
}

impl Pool {
    /// The connection that was used last and is still open.
    pub(crate) async fn take(&self, target: &Target, now: Time) -> Option<Connection> {
        while let Some(mut idle) = self.pop(target, now) {
            if !idle.is_fresh(now) {
                continue;
            }
            let usable = match &idle.connection {
                #[cfg(feature = "http2")]
                Connection::Http2(sender) => !sender.is_closed(),
                Connection::Http1 { .. } => {
                    poll_fn(|cx| Poll::Ready(idle.connection.is_idle(cx))).await
                }
            };
            if usable {
                return Some(idle.connection);
            }
        }
        None
    }

    /// Takes a connection out; of one that is shared, leaves another handle.
    fn pop(&self, target: &Target, now: Time) -> Option<Idle> {
        let mut all = self.lock();
        let same = all.get_mut(target)?;
        #[cfg(feature = "http2")]
        if let Some(shared) = same.last_mut() {
            if let Connection::Http2(sender) = &shared.connection {
                if shared.is_fresh(now) && !sender.is_closed() {
                    let connection = Connection::Http2(sender.clone());
                    shared.since = now;
                    return Some(Idle {
                        connection,
                        since: now,
                    });
                }
            }
        }
        #[cfg(not(feature = "http2"))]
        let _ = now;
        same.pop()
    }

    /// Keeps a connection that is idle, and forgets those that have been so for too long.
    pub(crate) fn put(&self, target: &Target, connection: Connection, since: Time) {
        let mut idle = self.lock();
        idle.retain(|_, idle| {
            idle.retain(|idle| idle.is_fresh(since));
            !idle.is_empty()
        });
        let idle_here = Idle { connection, since };
        match idle.get_mut(target) {
            Some(same) if same.len() >= IDLE_PER_TARGET => {}
            Some(same) => same.push(idle_here),
            None => {
                idle.insert(target.clone(), vec![idle_here]);
            }
        }
    }

    /// Lets others use a connection that serves many requests at once.
    #[cfg(feature = "http2")]
    pub(crate) fn share(
        &self,
        target: &Target,
        sender: hyper::client::conn::http2::SendRequest<http_body_util::Full<bytes::Bytes>>,
        now: Time,
    ) {
        self.lock().remove(target);
        self.put(target, Connection::Http2(sender), now);
    }

    /// Nothing panics while it is held, and a list of connections has no state in between.
    fn lock(&self) -> MutexGuard<'_, HashMap<Target, Vec<Idle>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl Idle {
    fn is_fresh(&self, now: Time) -> bool {
        now.saturating_since(self.since) < IDLE_AGE
    }
}
