//! Connections that wait for their next request.

use super::{
    Runtime, Timer,
    connection::{Connection, Protocol, drive},
    http2::Multiplexed,
    target::Target,
};
use crate::Options;
use std::{
    future::poll_fn,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};
use unifiedai_transport::Time;

pub(crate) struct Pool<R: Runtime> {
    inner: Mutex<Inner<R>>,
    max_idle: usize,
    idle_http1: Duration,
    idle_http2: Duration,
}

struct Inner<R: Runtime> {
    /// Few, so that a list is faster than a map.
    hosts: Vec<Host<R>>,
    reapers: Vec<Reaper<R>>,
}

/// The connections of one runtime to one place.
struct Host<R: Runtime> {
    target: Target,
    runtime: R::Id,
    /// The one that was used last is the last.
    http1: Vec<Connection<R>>,
    http2: Vec<Multiplexed<R>>,
    gate: Arc<Gate>,
}

/// Lets one call at a time open a connection to a host that may speak HTTP/2, while the others wait to share it.
#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) lock: Arc<tokio::sync::Mutex<()>>,
    /// The host speaks HTTP/1.1: there is nothing to wait for.
    pub(crate) is_http1: AtomicBool,
    /// Connections that could not be opened: whoever waited for one opens one of its own.
    pub(crate) failures: AtomicUsize,
}

/// The task that closes a runtime's connections when the server has closed them or they have waited too long.
struct Reaper<R: Runtime> {
    runtime: R::Id,
    waker: Waker,
    /// It waits for a connection to be put back.
    parked: bool,
}

/// How soon a connection that waits is looked at for the first time. Calls that follow each other faster do not wake the task. On smol's
/// reactor this is also when it forgets the waker of a call's timer.
const FIRST_LOOK: Duration = Duration::from_millis(20);

impl<R: Runtime> Pool<R> {
    pub(crate) fn new(options: &Options) -> Self {
        Pool {
            inner: Mutex::new(Inner {
                hosts: Vec::new(),
                reapers: Vec::new(),
            }),
            max_idle: options.max_idle_connections,
            idle_http1: options.idle_timeout.unwrap_or(Duration::from_secs(14)),
            idle_http2: options.idle_timeout.unwrap_or(Duration::from_secs(90)),
        }
    }

    /// The connection of this runtime that was used last and can be used now.
    pub(crate) fn take(&self, target: &Target, runtime: R::Id) -> Option<Connection<R>> {
        loop {
            let mut inner = self.lock();
            let host = inner.find(target, runtime)?;
            host.http2.retain(|connection| !connection.is_closed());
            if let Some(shared) = host.http2.iter().rfind(|c| c.has_room()) {
                return Some(shared.stream());
            }
            let mut connection = host.http1.pop()?;
            drop(inner);
            let age = R::Timer::now().saturating_since(connection.since);
            if age < self.idle_http1 && connection.is_usable() {
                return Some(connection);
            }
        }
    }

    /// How connections to a host are opened.
    pub(crate) fn gate(&self, target: &Target, runtime: R::Id) -> Arc<Gate> {
        let mut inner = self.lock();
        Arc::clone(&inner.host(target, runtime).gate)
    }

    /// Lets other calls share a new connection.
    pub(crate) fn share(&self, target: &Target, runtime: R::Id, connection: Multiplexed<R>) {
        let mut inner = self.lock();
        inner.host(target, runtime).http2.push(connection);
        inner.wake_reaper(runtime);
    }

    /// Keeps an HTTP/1.1 connection until it is asked for or has waited for too long.
    pub(crate) fn put(&self, mut connection: Connection<R>) {
        if connection.is_closed() || self.max_idle == 0 {
            return;
        }
        connection.since = R::Timer::now();
        let runtime = connection.runtime;
        let mut inner = self.lock();
        let host = inner.host(&connection.target, runtime);
        if host.http1.len() >= self.max_idle {
            drop(host.http1.remove(0));
        }
        host.http1.push(connection);
        inner.wake_reaper(runtime);
    }

    /// Sees to it that connections of this runtime are closed in time. Has to be called in the runtime.
    pub(crate) fn start_reaper(self: &Arc<Self>, runtime: R::Id) {
        let mut inner = self.lock();
        if inner.reapers.iter().all(|r| r.runtime != runtime) {
            inner.reapers.push(Reaper {
                runtime,
                waker: Waker::noop().clone(),
                parked: false,
            });
            // A runtime that ends drops the task at once.
            drop(inner);
            R::spawn(reap(PurgeOnDrop(Arc::downgrade(self), runtime)));
        }
    }

    /// Closes what is to be closed. Gives when there may be more.
    fn tend(&self, runtime: R::Id, cx: &mut Context<'_>) -> Time {
        let now = R::Timer::now();
        let mut next = Time::MAX;
        let mut is_busy = false;
        let mut inner = self.lock();
        for host in inner.hosts.iter_mut().filter(|h| h.runtime == runtime) {
            host.http1.retain_mut(|connection| {
                let due = connection.since.saturating_add(self.idle_http1);
                let first_look = connection.since.saturating_add(FIRST_LOOK);
                if now < first_look {
                    // It is probably taken again before.
                    is_busy = true;
                    next = next.min(first_look).min(due);
                    return now < due;
                }
                // Wakes this task when the server closes it.
                if let Protocol::Http1(_, driver) = &mut connection.protocol {
                    drive(driver, cx);
                }
                next = next.min(due);
                !connection.is_closed() && now < due
            });
            host.http2.retain(|connection| {
                let since = connection.unused_since().unwrap_or(now);
                let due = since.saturating_add(self.idle_http2);
                next = next.min(due);
                !connection.is_closed() && now < due
            });
        }
        let is_used = |host: &Host<R>| {
            !host.http1.is_empty() || !host.http2.is_empty() || Arc::strong_count(&host.gate) > 1
        };
        inner.hosts.retain(|h| h.runtime != runtime || is_used(h));
        if let Some(reaper) = inner.reapers.iter_mut().find(|r| r.runtime == runtime) {
            reaper.waker.clone_from(cx.waker());
            reaper.parked = !is_busy;
        }
        next
    }

    /// Nothing panics while it is held.
    fn lock(&self) -> MutexGuard<'_, Inner<R>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Runtime> Inner<R> {
    /// There is a connection that it does not know.
    fn wake_reaper(&mut self, runtime: R::Id) {
        if let Some(reaper) = self.reapers.iter_mut().find(|r| r.runtime == runtime) {
            if mem::take(&mut reaper.parked) {
                reaper.waker.wake_by_ref();
            }
        }
    }

    fn find(&mut self, target: &Target, runtime: R::Id) -> Option<&mut Host<R>> {
        let mut hosts = self.hosts.iter_mut();
        hosts.find(|host| host.runtime == runtime && host.target == *target)
    }

    fn host(&mut self, target: &Target, runtime: R::Id) -> &mut Host<R> {
        let is_it = |host: &Host<R>| host.runtime == runtime && host.target == *target;
        let at = self
            .hosts
            .iter()
            .position(is_it)
            .unwrap_or(self.hosts.len());
        if at == self.hosts.len() {
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

impl<R: Runtime> Drop for Pool<R> {
    /// The reapers see that it is gone.
    fn drop(&mut self) {
        let inner = self.inner.get_mut().unwrap_or_else(PoisonError::into_inner);
        for reaper in inner.reapers.drain(..) {
            reaper.waker.wake();
        }
    }
}

async fn reap<R: Runtime>(guard: PurgeOnDrop<R>) {
    let mut timer = R::Timer::default();
    poll_fn(|cx| {
        loop {
            let Some(pool) = guard.0.upgrade() else {
                return Poll::Ready(());
            };
            let next = pool.tend(guard.1, cx);
            drop(pool);
            if timer.poll(cx, next).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await;
}

/// A task is dropped with its runtime, whose connections are of no use from then on.
struct PurgeOnDrop<R: Runtime>(Weak<Pool<R>>, R::Id);

impl<R: Runtime> Drop for PurgeOnDrop<R> {
    fn drop(&mut self) {
        if let Some(pool) = self.0.upgrade() {
            let mut inner = pool.lock();
            inner.hosts.retain(|host| host.runtime != self.1);
            inner.reapers.retain(|reaper| reaper.runtime != self.1);
        }
    }
}
