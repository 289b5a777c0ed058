//! Connections that wait for their next request.

use super::{
    Runtime, Timer,
    connection::{Connection, Http1},
    http2::Multiplexed,
};
use crate::{Options, target::Target};
use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize},
    },
    time::Duration,
};
use unifiedai_transport::Time;

pub(crate) struct Pool<R: Runtime> {
    inner: Mutex<Inner<R>>,
    max_idle: usize,
    idle_http1: Duration,
    idle_http2: Duration,
    /// How often the connections that wait are looked at.
    interval: Duration,
}

struct Inner<R: Runtime> {
    /// Few, so that a list is faster than a map.
    hosts: Vec<Host<R>>,
    /// The runtimes that have a [`reap`] task.
    reaped: Vec<R::Id>,
}

/// The connections of one runtime to one place.
struct Host<R: Runtime> {
    target: Target,
    runtime: R::Id,
    /// With the time of the last use; the one that was used last is the last.
    http1: Vec<(Http1<R>, Time)>,
    http2: Vec<Multiplexed>,
    gate: Arc<Gate>,
}

/// Lets one call at a time open a connection to a host that may speak HTTP/2, while the others wait to share it.
#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) lock: Arc<tokio::sync::Mutex<()>>,
    /// The host speaks HTTP/1.1: there is nothing to wait for.
    pub(crate) is_http1: AtomicBool,
    /// Connections that could not be opened: a call that waited for one opens one of its own.
    pub(crate) failures: AtomicUsize,
}

impl<R: Runtime> Pool<R> {
    pub(crate) fn new(options: &Options) -> Self {
        let idle_http1 = options.idle_timeout.unwrap_or(Duration::from_secs(14));
        let quarter = idle_http1.checked_div(4).unwrap_or_default();
        let (min, max) = (Duration::from_millis(10), Duration::from_millis(500));
        Pool {
            inner: Mutex::new(Inner {
                hosts: Vec::new(),
                reaped: Vec::new(),
            }),
            max_idle: options.max_idle_connections,
            idle_http1,
            idle_http2: options.idle_timeout.unwrap_or(Duration::from_secs(90)),
            interval: quarter.clamp(min, max),
        }
    }

    /// The connection of this runtime that was used last and can be used now.
    pub(crate) fn take(&self, target: &Target, runtime: R::Id) -> Option<Connection<R>> {
        loop {
            let mut inner = self.lock();
            let host = inner.host(target, runtime);
            host.http2.retain(|connection| !connection.is_closed());
            if let Some(shared) = host.http2.iter_mut().rfind(|c| c.has_room()) {
                return Some(shared.stream());
            }
            let (mut connection, since) = host.http1.pop()?;
            drop(inner);
            let age = Timer::<R>::now().saturating_since(since);
            if age < self.idle_http1 && connection.is_usable() {
                return Some(Connection::Http1(connection));
            }
        }
    }

    /// How connections to a host are opened.
    pub(crate) fn gate(&self, target: &Target, runtime: R::Id) -> Arc<Gate> {
        let mut inner = self.lock();
        Arc::clone(&inner.host(target, runtime).gate)
    }

    /// Lets other calls share a new connection.
    pub(crate) fn share(&self, target: &Target, runtime: R::Id, new: Multiplexed) {
        self.lock().host(target, runtime).http2.push(new);
    }

    /// Keeps an HTTP/1.1 connection until it is asked for or has waited for too long.
    pub(crate) fn park(self: &Arc<Self>, target: &Target, connection: Http1<R>) {
        if connection.is_closed() || !connection.is_reusable() || self.max_idle == 0 {
            return;
        }
        let since = Timer::<R>::now();
        self.start_reaper(connection.runtime);
        let mut inner = self.lock();
        // Outside its runtime, or once that has ended, there may be no task that would close it in time.
        if !inner.reaped.contains(&connection.runtime) {
            return;
        }
        let host = inner.host(target, connection.runtime);
        if host.http1.len() >= self.max_idle {
            drop(host.http1.remove(0));
        }
        host.http1.push((connection, since));
    }

    /// Sees to it that connections of this runtime are closed in time and hosts without one are forgotten, if the caller is in it.
    pub(crate) fn start_reaper(self: &Arc<Self>, runtime: R::Id) {
        let mut inner = self.lock();
        if !inner.reaped.contains(&runtime) && R::id() == Some(runtime) {
            inner.reaped.push(runtime);
            // A runtime that ends drops the task at once.
            drop(inner);
            let guard = PurgeOnDrop(Arc::downgrade(self), runtime);
            R::spawn(reap(guard, self.interval));
        }
    }

    /// Closes connections that the server has closed or that have waited too long. False if the runtime has no other.
    fn close_expired(&self, runtime: R::Id) -> bool {
        let now = Timer::<R>::now();
        let mut inner = self.lock();
        for host in inner.hosts.iter_mut().filter(|h| h.runtime == runtime) {
            host.http1.retain_mut(|(connection, since)| {
                connection.release();
                let age = now.saturating_since(*since);
                !connection.is_closed() && age < self.idle_http1
            });
            host.http2.retain_mut(|connection| {
                let age = now.saturating_since(connection.unused_since(now));
                !connection.is_closed() && age < self.idle_http2
            });
        }
        inner.hosts.retain(|host| {
            let is_used = !host.http1.is_empty() || !host.http2.is_empty();
            host.runtime != runtime || is_used || Arc::strong_count(&host.gate) > 1
        });
        let is_needed = inner.hosts.iter().any(|host| host.runtime == runtime);
        inner.reaped.retain(|id| *id != runtime || is_needed);
        is_needed
    }

    /// Nothing panics while it is held.
    fn lock(&self) -> MutexGuard<'_, Inner<R>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Runtime> Inner<R> {
    /// The one of this runtime and target, with no connection if it is new.
    fn host(&mut self, target: &Target, runtime: R::Id) -> &mut Host<R> {
        let is_it = |host: &Host<R>| host.runtime == runtime && host.target == *target;
        let found = self.hosts.iter().position(is_it);
        let at = found.unwrap_or(self.hosts.len());
        if found.is_none() {
            self.hosts.push(Host {
                target: target.clone(),
                runtime,
                http1: Vec::new(),
                http2: Vec::new(),
                gate: Arc::default(),
            });
        }
        #[expect(clippy::indexing_slicing, reason = "found or just added")]
        &mut self.hosts[at]
    }
}

/// Looks at the connections of a runtime that wait, again and again while there are any.
async fn reap<R: Runtime>(mut guard: PurgeOnDrop<R>, interval: Duration) {
    let mut timer = Timer::<R>::new();
    loop {
        let next = Timer::<R>::now().saturating_add(interval);
        poll_fn(|cx| timer.poll(cx, next)).await;
        if !guard
            .0
            .upgrade()
            .is_some_and(|pool| pool.close_expired(guard.1))
        {
            guard.0 = Weak::new();
            return;
        }
    }
}

/// A task is dropped with its runtime, whose connections are of no use from then on.
struct PurgeOnDrop<R: Runtime>(Weak<Pool<R>>, R::Id);

impl<R: Runtime> Drop for PurgeOnDrop<R> {
    fn drop(&mut self) {
        if let Some(pool) = self.0.upgrade() {
            let mut inner = pool.lock();
            inner.hosts.retain(|host| host.runtime != self.1);
            inner.reaped.retain(|runtime| *runtime != self.1);
        }
    }
}

#[cfg(test)]
mod tests;
