//! Where a fleet keeps its runs: the operations, and their two implementations.

mod postgres;
mod sqlite;
mod types;

pub use postgres::PostgresStore;
pub use sqlite::SqliteStore;
pub use types::{
    AttemptRecord, Chunk, Grant, Item, LineInput, OpenedRun, OutcomeRow, RunConfig, RunRow,
    RunState, UnknownPolicy, Wanted, WorkerState,
};

use crate::{FleetError, status::Status};
use async_trait::async_trait;

/// Identifies one start of a worker.
pub type WorkerId = i64;

/// The operations on a fleet's data. Each one is a transaction: it takes place or it does not.
///
/// An operation that fails with [`FleetError::Unavailable`] may have taken place. Repeating it is safe; a repeated
/// [`grant`](Store::grant) or [`claim`](Store::claim) leaves slots unused and leases until their worker is gone.
#[async_trait]
pub trait Store: Send + Sync {
    /// Opens the run of this name. A new run gets this configuration.
    ///
    /// # Errors
    /// `Refused` if the run exists with another configuration.
    async fn open_run(&self, config: &RunConfig) -> Result<OpenedRun, FleetError>;

    /// Adds items with ids that the run does not have, leased later in chunks of `chunk` items. Returns the number of added items.
    /// `source` is the file or URL of lines without a body.
    ///
    /// # Errors
    /// `Refused` if the run was cancelled.
    async fn add_inputs(
        &self,
        run: i32,
        lines: &[LineInput],
        source: Option<&str>,
        chunk: i32,
    ) -> Result<u64, FleetError>;

    /// Records that the input was read to its end: the run is done when its items are.
    async fn complete_input(&self, run: i32) -> Result<(), FleetError>;

    /// Registers a worker whose leases end `lease_seconds` after its last sign of life.
    async fn register(
        &self,
        host: &str,
        lease_seconds: f64,
        concurrency: usize,
    ) -> Result<WorkerId, FleetError>;

    /// Gives the worker's sign of life, and recovers the chunks of workers without one. `false` after the worker's own lease ended.
    async fn beat(&self, worker: WorkerId, state: WorkerState) -> Result<bool, FleetError>;

    /// Gives back all chunks of a worker, which is over with it.
    async fn leave(&self, worker: WorkerId) -> Result<(), FleetError>;

    /// Leases a chunk of an open run, or of this run. Runs get claims in proportion to their weights. Without `single` no chunk of one
    /// suspected item is leased.
    ///
    /// # Errors
    /// `LeaseLost` if the worker's lease ended.
    async fn claim(
        &self,
        worker: WorkerId,
        run: Option<i32>,
        single: bool,
    ) -> Result<Option<Chunk>, FleetError>;

    /// The items of a chunk that have no outcome.
    async fn load(&self, chunk: &Chunk) -> Result<Vec<Item>, FleetError>;

    /// Takes slots at the limiter for the first of these items, and records their intents. `settle` is the number of estimated tokens of
    /// earlier calls that were not used.
    ///
    /// # Errors
    /// `LeaseLost` if the worker's lease ended.
    async fn grant(
        &self,
        worker: WorkerId,
        limiter: i32,
        wanted: &[Wanted],
        settle: i64,
    ) -> Result<Grant, FleetError>;

    /// Holds all workers of a limiter back for `retry_after_us` microseconds. A `factor` below 1 also lowers the rate, once for each
    /// epoch of the grants; without a time the wait then doubles from 1 s to 60 s. Returns whether the rate was lowered.
    async fn penalise(
        &self,
        limiter: i32,
        epoch: i32,
        retry_after_us: Option<i64>,
        factor: f64,
    ) -> Result<bool, FleetError>;

    /// Stores outcomes and failed attempts. Returns how many outcomes lost to an earlier one.
    async fn put(&self, rows: &[AttemptRecord]) -> Result<u64, FleetError>;

    /// Ends the lease of a chunk whose items all have outcomes. `false` if the lease is no longer this worker's or items are left.
    async fn finish(&self, worker: WorkerId, chunk: &Chunk) -> Result<bool, FleetError>;

    /// Gives a chunk back before its end.
    async fn give_back(&self, worker: WorkerId, chunk: &Chunk) -> Result<(), FleetError>;

    /// Saves the state of a chunk that is a provider's batch. `false` if the lease is no longer this worker's.
    async fn save_remote(
        &self,
        worker: WorkerId,
        chunk: &Chunk,
        state: &str,
    ) -> Result<bool, FleetError>;

    /// Changes the state of a run. Returns the state that it has then.
    ///
    /// # Errors
    /// `Refused` if there is no such run.
    async fn set_state(
        &self,
        run: &str,
        state: RunState,
        reason: Option<&str>,
    ) -> Result<RunState, FleetError>;

    /// Marks finished runs as done. Returns the number of runs, or whether this one, still have something left.
    async fn close_runs(&self, run: Option<i32>) -> Result<u64, FleetError>;

    /// The run of this name.
    ///
    /// # Errors
    /// `Refused` if there is no such run.
    async fn run(&self, name: &str) -> Result<RunRow, FleetError>;

    /// The run of this number.
    async fn run_by_id(&self, id: i32) -> Result<RunRow, FleetError>;

    /// The next items of a run behind `after`, with their outcomes, at most `limit`.
    async fn outcomes(
        &self,
        run: i32,
        after: i64,
        limit: i64,
    ) -> Result<Vec<OutcomeRow>, FleetError>;

    /// The state of all runs or of one, of their limiters, and of the workers.
    async fn status(&self, run: Option<&str>) -> Result<Status, FleetError>;
}
