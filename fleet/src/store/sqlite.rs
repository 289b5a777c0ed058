//! The store on one machine: a SQLite file. The same operations as on PostgreSQL, one at a time.

mod chunks;
mod limits;
mod runs;
mod status;

use super::{
    AttemptRecord, Chunk, Grant, Item, LineInput, OpenedRun, OutcomeRow, RunConfig, RunRow,
    RunState, Store, Wanted, WorkerId, WorkerState,
};
use crate::{FleetError, pace::Micros, status::Status};
use async_trait::async_trait;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

/// A fleet in a SQLite file, for several processes of one machine.
pub struct SqliteStore(Arc<Mutex<Connection>>);

const SCHEMA: &str = include_str!("../../sql/local.sql");

/// The version of `sql/local.sql`.
const VERSION: i32 = 1;

impl SqliteStore {
    /// Opens the file, or creates it.
    ///
    /// # Errors
    /// `File` if it cannot be opened or is not a fleet's, or is one of a later version.
    pub fn open(path: &Path) -> Result<Self, FleetError> {
        let failed = |e: rusqlite::Error| FleetError::file(path, e);
        let db = Connection::open(path).map_err(failed)?;
        db.busy_timeout(Duration::from_secs(30)).map_err(failed)?;
        db.pragma_update(None, "journal_mode", "WAL")
            .map_err(failed)?;
        // An answer that was acknowledged survives a power cut.
        db.pragma_update(None, "synchronous", "FULL")
            .map_err(failed)?;
        let store = SqliteStore(Arc::new(Mutex::new(db)));
        store
            .with(|db| {
                let version: i32 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
                if version > VERSION {
                    return Err(FleetError::File(format!(
                        "the file has version {version}, and this program needs {VERSION}: use a later program"
                    )));
                }
                if version == 0 {
                    db.execute_batch(SCHEMA)?;
                    db.pragma_update(None, "user_version", VERSION)?;
                }
                Ok(())
            })
            .map_err(|e| FleetError::file(path, e))?;
        Ok(store)
    }

    /// Runs an operation as one transaction.
    fn with<T>(
        &self,
        operation: impl FnOnce(&Transaction<'_>) -> Result<T, FleetError>,
    ) -> Result<T, FleetError> {
        let mut db = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = operation(&transaction)?;
        transaction.commit()?;
        Ok(result)
    }

    /// The same on a thread that may block.
    async fn run_blocking<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Transaction<'_>) -> Result<T, FleetError> + Send + 'static,
    ) -> Result<T, FleetError> {
        let store = SqliteStore(self.0.clone());
        let task = tokio::task::spawn_blocking(move || store.with(operation));
        task.await
            .map_err(|e| FleetError::Database(format!("an operation ended early: {e}")))?
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn open_run(&self, config: &RunConfig) -> Result<OpenedRun, FleetError> {
        config.check()?;
        let config = config.clone();
        self.run_blocking(move |db| runs::open(db, &config)).await
    }

    async fn add_inputs(
        &self,
        run: i32,
        lines: &[LineInput],
        source: Option<&str>,
        chunk: i32,
    ) -> Result<u64, FleetError> {
        let (lines, source) = (lines.to_vec(), source.map(str::to_owned));
        self.run_blocking(move |db| runs::add_inputs(db, run, &lines, source.as_deref(), chunk))
            .await
    }

    async fn complete_input(&self, run: i32) -> Result<(), FleetError> {
        self.run_blocking(move |db| {
            db.execute("update run set complete = 1 where id = ?1", [run])?;
            Ok(())
        })
        .await
    }

    async fn register(
        &self,
        host: &str,
        lease_seconds: f64,
        concurrency: usize,
    ) -> Result<WorkerId, FleetError> {
        let host = host.to_owned();
        self.run_blocking(move |db| chunks::register(db, &host, lease_seconds, concurrency))
            .await
    }

    async fn beat(&self, worker: WorkerId, state: WorkerState) -> Result<bool, FleetError> {
        self.run_blocking(move |db| chunks::beat(db, worker, state))
            .await
    }

    async fn leave(&self, worker: WorkerId) -> Result<(), FleetError> {
        self.run_blocking(move |db| chunks::leave(db, worker)).await
    }

    async fn claim(
        &self,
        worker: WorkerId,
        run: Option<i32>,
        single: bool,
    ) -> Result<Option<Chunk>, FleetError> {
        self.run_blocking(move |db| chunks::claim(db, worker, run, single))
            .await
    }

    async fn load(&self, chunk: &Chunk) -> Result<Vec<Item>, FleetError> {
        let chunk = chunk.clone();
        self.run_blocking(move |db| chunks::load(db, &chunk)).await
    }

    async fn grant(
        &self,
        worker: WorkerId,
        limiter: i32,
        wanted: &[Wanted],
        settle: i64,
    ) -> Result<Grant, FleetError> {
        let wanted = wanted.to_vec();
        self.run_blocking(move |db| limits::grant(db, worker, limiter, &wanted, settle))
            .await
    }

    async fn penalise(
        &self,
        limiter: i32,
        epoch: i32,
        retry_after_us: Option<i64>,
        factor: f64,
    ) -> Result<bool, FleetError> {
        self.run_blocking(move |db| limits::penalise(db, limiter, epoch, retry_after_us, factor))
            .await
    }

    async fn put(&self, rows: &[AttemptRecord]) -> Result<u64, FleetError> {
        let rows = rows.to_vec();
        self.run_blocking(move |db| chunks::put(db, &rows)).await
    }

    async fn finish(&self, worker: WorkerId, chunk: &Chunk) -> Result<bool, FleetError> {
        let chunk = chunk.clone();
        self.run_blocking(move |db| chunks::finish(db, worker, &chunk))
            .await
    }

    async fn give_back(&self, worker: WorkerId, chunk: &Chunk) -> Result<(), FleetError> {
        let chunk = chunk.clone();
        self.run_blocking(move |db| {
            db.execute(
                "update chunk set state = 'r', returned = 1, owner = null \
                 where run = ?1 and no = ?2 and owner = ?3 and epoch = ?4 and state = 'l'",
                (chunk.run, chunk.no, worker, chunk.epoch),
            )?;
            Ok(())
        })
        .await
    }

    async fn save_remote(
        &self,
        worker: WorkerId,
        chunk: &Chunk,
        state: &str,
    ) -> Result<bool, FleetError> {
        let (chunk, state) = (chunk.clone(), state.to_owned());
        self.run_blocking(move |db| {
            let changed = db.execute(
                "update chunk set remote = ?5 where run = ?1 and no = ?2 and owner = ?3 and epoch = ?4 and state = 'l'",
                (chunk.run, chunk.no, worker, chunk.epoch, state),
            )?;
            Ok(changed == 1)
        })
        .await
    }

    async fn set_state(
        &self,
        run: &str,
        state: RunState,
        reason: Option<&str>,
    ) -> Result<RunState, FleetError> {
        let (run, reason) = (run.to_owned(), reason.map(str::to_owned));
        self.run_blocking(move |db| runs::set_state(db, &run, state, reason.as_deref()))
            .await
    }

    async fn close_runs(&self, run: Option<i32>) -> Result<u64, FleetError> {
        self.run_blocking(move |db| runs::close(db, run)).await
    }

    async fn run(&self, name: &str) -> Result<RunRow, FleetError> {
        let name = name.to_owned();
        self.run_blocking(move |db| runs::by_name(db, &name)).await
    }

    async fn run_by_id(&self, id: i32) -> Result<RunRow, FleetError> {
        self.run_blocking(move |db| runs::by_id(db, id)).await
    }

    async fn outcomes(
        &self,
        run: i32,
        after: i64,
        limit: i64,
    ) -> Result<Vec<OutcomeRow>, FleetError> {
        self.run_blocking(move |db| runs::outcomes(db, run, after, limit))
            .await
    }

    async fn status(&self, run: Option<&str>) -> Result<Status, FleetError> {
        let run = run.map(str::to_owned);
        self.run_blocking(move |db| status::read(db, run.as_deref()))
            .await
    }
}

/// Microseconds since 1970 on this machine's clock.
fn now() -> Micros {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        Micros::try_from(since.as_micros()).unwrap_or(Micros::MAX)
    })
}

impl From<rusqlite::Error> for FleetError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                FleetError::Unavailable(error.to_string())
            }
            _ => FleetError::Database(error.to_string()),
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}
