//! Connections that wait for their next request.

use crate::{
    Alarm,
    connection::{Connection, Wire},
    origin::Origin,
};
use http::Uri;
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use unifiedai_transport::{Time, TransportError};

/// Below the 15 s after which common servers close an idle connection.
const IDLE_AGE: Duration = Duration::from_secs(14);
const IDLE_PER_ORIGIN: usize = 64;

pub(crate) struct Pool<A>(Mutex<Vec<Place<A>>>);

/// What there is for one origin, as long as there are connections to it.
struct Place<A> {
    origin: Arc<Origin>,
    /// The one that was used last is the last.
    idle: Vec<Idle<A>>,
}

struct Idle<A> {
    connection: Connection<A>,
    since: Time,
}

impl<A: Alarm> Pool<A> {
    /// The connection that was used last and is still open.
    pub(crate) fn take(&self, uri: &Uri, now: Time) -> Option<Connection<A>> {
        while let Some(mut idle) = self.pop(uri, now) {
            if !idle.is_fresh(now) {
                continue;
            }
            let usable = match &idle.connection.wire {
                #[cfg(feature = "http2")]
                Wire::Http2(sender) => !sender.is_closed(),
                Wire::Http1(_) => idle.connection.is_idle(),
            };
            if usable {
                return Some(idle.connection);
            }
        }
        None
    }

    /// Takes a connection out; of one that is shared, leaves another handle.
    fn pop(&self, uri: &Uri, now: Time) -> Option<Idle<A>> {
        let mut places = self.lock();
        let place = places.iter_mut().find(|place| place.origin.begins(uri))?;
        #[cfg(feature = "http2")]
        if let Some(shared) = place.idle.last_mut() {
            if let Wire::Http2(sender) = &shared.connection.wire {
                if shared.is_fresh(now) && !sender.is_closed() {
                    shared.since = now;
                    let connection = Connection {
                        origin: Arc::clone(&place.origin),
                        wire: Wire::Http2(sender.clone()),
                        alarm: A::default(),
                    };
                    return Some(Idle {
                        connection,
                        since: now,
                    });
                }
            }
        }
        #[cfg(not(feature = "http2"))]
        let _ = now;
        place.idle.pop()
    }

    /// The origin of an address, the same for all connections to it.
    ///
    /// # Errors
    /// If nothing can be sent there.
    pub(crate) fn origin(&self, uri: &Uri) -> Result<Arc<Origin>, TransportError> {
        let mut places = self.lock();
        if let Some(place) = places.iter().find(|place| place.origin.begins(uri)) {
            return Ok(Arc::clone(&place.origin));
        }
        let origin = Arc::new(Origin::of(uri)?);
        places.push(Place {
            origin: Arc::clone(&origin),
            idle: Vec::new(),
        });
        Ok(origin)
    }

    /// Keeps a connection that is idle, and forgets those that have been so for too long.
    pub(crate) fn put(&self, connection: Connection<A>, since: Time) {
        let mut places = self.lock();
        let here = |place: &&mut Place<A>| Arc::ptr_eq(&place.origin, &connection.origin);
        if let Some(place) = places.iter_mut().find(here) {
            if place.idle.len() < IDLE_PER_ORIGIN {
                place.idle.push(Idle { connection, since });
            }
        }
        places.retain_mut(|place| {
            if place.idle.first().is_some_and(|idle| idle.is_fresh(since)) {
                return true;
            }
            place.idle.retain(|idle| idle.is_fresh(since));
            !place.idle.is_empty() || Arc::strong_count(&place.origin) > 1
        });
    }

    /// Lets others use a connection that serves many requests at once.
    #[cfg(feature = "http2")]
    pub(crate) fn share(&self, connection: Connection<A>, now: Time) {
        let mut places = self.lock();
        let here = |place: &&mut Place<A>| Arc::ptr_eq(&place.origin, &connection.origin);
        if let Some(place) = places.iter_mut().find(here) {
            place.idle.clear();
        }
        drop(places);
        self.put(connection, now);
    }

    /// Nothing panics while it is held, and a list of connections has no state in between.
    fn lock(&self) -> MutexGuard<'_, Vec<Place<A>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A> Default for Pool<A> {
    fn default() -> Self {
        Pool(Mutex::default())
    }
}

impl<A> fmt::Debug for Pool<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl<A> Idle<A> {
    fn is_fresh(&self, now: Time) -> bool {
        now.saturating_since(self.since) < IDLE_AGE
    }
}
