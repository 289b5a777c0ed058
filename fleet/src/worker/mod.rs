//! A worker: leases chunks, takes slots, calls the provider, stores outcomes.

mod answers;
mod call;
mod call_end;
mod chunks;
mod dispatch;
mod heartbeat;
mod load;
mod remote;
mod run_context;
mod tasks;

use crate::{
    FleetError,
    store::{Store, WorkerId},
};
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// How a worker works.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkOptions {
    /// Work on this run alone.
    pub run: Option<String>,
    /// Concurrent calls. Default 32.
    pub concurrency: usize,
    /// Return when no run, or this run, has anything left. Otherwise the worker waits for further runs.
    pub until_done: bool,
    /// A worker without a sign of life for this long loses its chunks to others. Default 60 s.
    pub lease: Duration,
    /// The worker's name in the status. Default: the host's name and the process.
    pub name: String,
    /// Attempts that count, for one item. Attempts without a connection and those that a rate limit refused do not count. Default 5.
    pub max_attempts: i32,
    /// The longest duration of a call. Default 10 minutes.
    pub call_timeout: Duration,
}

impl Default for WorkOptions {
    fn default() -> Self {
        WorkOptions {
            run: None,
            concurrency: 32,
            until_done: false,
            lease: Duration::from_secs(60),
            name: format!("{}:{}", host_name(), std::process::id()),
            max_attempts: 5,
            call_timeout: Duration::from_secs(600),
        }
    }
}

/// What a worker did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkReport {
    /// Outcomes with a response.
    pub ok: u64,
    /// Outcomes without one.
    pub failed: u64,
    /// Attempts that were tried again.
    pub retried: u64,
    /// Outcomes that another worker had stored before.
    pub late: u64,
}

/// A worker on a store.
pub struct Worker {
    store: Arc<dyn Store>,
    options: WorkOptions,
}

impl Worker {
    /// A worker that works on this store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, options: WorkOptions) -> Self {
        Worker { store, options }
    }

    /// Works until nothing is left (with [`WorkOptions::until_done`]), or until `shutdown` completes: then it starts no further call,
    /// finishes those in progress, stores their outcomes and gives its chunks back.
    ///
    /// # Errors
    /// `Refused` if there is no run of the name, or for a concurrency of zero; `Provider` if a run's provider cannot be set up, such as
    /// for a missing key; `Database`. An unreachable database is waited for.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<WorkReport, FleetError> {
        if self.options.concurrency == 0 {
            return Err(FleetError::Refused(
                "the concurrency must be at least 1".into(),
            ));
        }
        let run = match &self.options.run {
            Some(name) => Some(until_reachable(|| self.store.run(name)).await?.id),
            None => None,
        };
        let options = &self.options;
        let id = until_reachable(|| {
            self.store.register(
                &options.name,
                options.lease.as_secs_f64(),
                options.concurrency,
            )
        })
        .await?;
        let shared = Arc::new(Shared {
            id: AtomicI64::new(id),
            leaving: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            ok: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            late: AtomicU64::new(0),
        });
        tracing::info!(worker = id, name = options.name, "the worker is registered");
        dispatch::Dispatcher::new(self.store, self.options, shared.clone(), run)
            .run(shutdown)
            .await?;
        Ok(shared.report())
    }
}

/// What the parts of a worker share.
struct Shared {
    id: AtomicI64,
    leaving: AtomicBool,
    in_flight: AtomicUsize,
    ok: AtomicU64,
    failed: AtomicU64,
    retried: AtomicU64,
    late: AtomicU64,
}

impl Shared {
    fn id(&self) -> WorkerId {
        self.id.load(Ordering::Relaxed)
    }

    fn done(&self) -> u64 {
        self.ok.load(Ordering::Relaxed) + self.failed.load(Ordering::Relaxed)
    }

    fn report(&self) -> WorkReport {
        WorkReport {
            ok: self.ok.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            retried: self.retried.load(Ordering::Relaxed),
            late: self.late.load(Ordering::Relaxed),
        }
    }
}

/// Repeats an operation while the database cannot be reached, each time after a longer wait of at most 5 s.
async fn until_reachable<T, F>(mut operation: impl FnMut() -> F) -> Result<T, FleetError>
where
    F: Future<Output = Result<T, FleetError>>,
{
    let mut wait = Duration::from_millis(100);
    loop {
        match operation().await {
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, "waiting for the database");
                metrics::counter!("fleet_database_unavailable_total").increment(1);
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(5));
            }
            result => return result,
        }
    }
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok());
    name.map_or("host".into(), |name| name.trim().to_owned())
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
