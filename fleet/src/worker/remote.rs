//! A chunk as one batch of the provider: `BatchRun` of the library decides, the chunk keeps its state.

use super::{
    Shared,
    load::LoadedItem,
    run_context::{Contexts, RunContext},
    until_reachable,
};
use crate::{
    FleetError,
    store::{AttemptRecord, Chunk, Store, WorkerId},
};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};
use tokio::time::Instant;
use unifiedai::{
    ChatRequest,
    provider_batch::{BatchCall, BatchRun, ItemOutcome, RunOptions, RunState, RunStep},
};

pub(super) struct Job {
    pub(super) store: Arc<dyn Store>,
    pub(super) shared: Arc<Shared>,
    pub(super) worker: WorkerId,
    pub(super) context: Arc<RunContext>,
    pub(super) chunk: Chunk,
    pub(super) items: Vec<LoadedItem>,
    pub(super) lease: Duration,
}

/// How the work on a provider batch ended.
pub(super) enum RemoteEnd {
    /// Each item has its outcome.
    Done,
    /// The chunk is to be given back with its state.
    GivenBack,
}

/// Outcomes that are stored at once.
const ROWS: usize = 200;

/// How often a waiting batch looks whether the worker leaves or the run was cancelled.
const LOOK: Duration = Duration::from_secs(2);

impl Job {
    pub(super) async fn run(self) -> Result<RemoteEnd, FleetError> {
        let mut rows = Rows::default();
        let mut requests: HashMap<i64, Arc<ChatRequest>> = HashMap::new();
        for loaded in &self.items {
            match &loaded.request {
                Ok(request) => {
                    requests.insert(loaded.item.seq, Arc::new(request.clone()));
                }
                Err(what) => {
                    let error = unifiedai::Error::new(unifiedai::ErrorKind::InvalidRequest, what);
                    rows.push(self.failed(loaded.item.seq, &error));
                }
            }
        }
        self.flush(&mut rows, true).await?;
        let mut run = self.open()?;
        let mut saved = Instant::now();
        let mut looked = Instant::now();
        loop {
            match run.poll(SystemTime::now()) {
                RunStep::Line(line) => {
                    let seq = self.seq(line);
                    match requests.get(&seq) {
                        _ if seq > self.chunk.last => run.end_of_input(),
                        Some(request) => run.push(request),
                        None => run.skip_line(),
                    }
                }
                RunStep::Save => {
                    // Outcomes are stored before the state says that they were read.
                    self.flush(&mut rows, true).await?;
                    let state = serde_json::to_string(run.state())
                        .map_err(|e| FleetError::Database(format!("the state of a batch: {e}")))?;
                    let save = || self.store.save_remote(self.worker, &self.chunk, &state);
                    if !until_reachable(save).await? {
                        return Err(FleetError::LeaseLost);
                    }
                    saved = Instant::now();
                    run.saved();
                }
                RunStep::Call(call) => {
                    let creates = matches!(call, BatchCall::Create(_));
                    // After a long pause another worker may own the chunk, and may have looked for this batch already.
                    if creates && saved.elapsed() > self.lease / 2 {
                        return Ok(RemoteEnd::GivenBack);
                    }
                    let answer = self
                        .context
                        .client
                        .batch_call(None, call, |item| run.on_item(item))
                        .await;
                    run.on_answer(answer, SystemTime::now())?;
                }
                RunStep::Outcome(line, outcome) => {
                    rows.push(self.outcome(self.seq(line), outcome));
                    self.flush(&mut rows, false).await?;
                }
                RunStep::Wait(until) => {
                    self.flush(&mut rows, true).await?;
                    if self.shared.leaving.load(Ordering::Relaxed) {
                        return Ok(RemoteEnd::GivenBack);
                    }
                    if self.shared.id() != self.worker {
                        return Err(FleetError::LeaseLost);
                    }
                    if looked.elapsed() >= LOOK {
                        looked = Instant::now();
                        let row = until_reachable(|| self.store.run_by_id(self.chunk.run)).await?;
                        if Contexts::is_cancelled(row.state) {
                            run.cancel();
                            continue;
                        }
                    }
                    let left = until.duration_since(SystemTime::now()).unwrap_or_default();
                    tokio::time::sleep(
                        left.clamp(Duration::from_millis(50), Duration::from_secs(1)),
                    )
                    .await;
                }
                RunStep::Done => break,
                other => {
                    return Err(FleetError::Refused(format!(
                        "the library is newer than this program: {other:?}"
                    )));
                }
            }
        }
        self.flush(&mut rows, true).await?;
        Ok(RemoteEnd::Done)
    }

    fn open(&self) -> Result<BatchRun, FleetError> {
        let options = RunOptions::default();
        let provider = self.context.provider.clone();
        match &self.chunk.remote {
            Some(state) => {
                let state: RunState = serde_json::from_str(state).map_err(|e| {
                    FleetError::Database(format!(
                        "the state of the batch of chunk {} cannot be read: {e}",
                        self.chunk.no
                    ))
                })?;
                Ok(BatchRun::resume(provider, state, options)?)
            }
            None => {
                // Unique in the account: also another database has a run 1 with a chunk 1.
                let since = SystemTime::now()
                    .duration_since(SystemTime::UNIX_EPOCH)
                    .unwrap_or_default();
                let id = format!(
                    "f{}c{}t{:x}",
                    self.chunk.run,
                    self.chunk.no.unsigned_abs(),
                    since.as_millis()
                );
                let id = id.get(..id.len().min(24)).unwrap_or(&id);
                Ok(BatchRun::new(provider, id, options)?)
            }
        }
    }

    fn seq(&self, line: u64) -> i64 {
        self.chunk
            .first
            .saturating_add(i64::try_from(line).unwrap_or(i64::MAX))
    }

    async fn flush(&self, rows: &mut Rows, all: bool) -> Result<(), FleetError> {
        while rows.0.len() >= ROWS || (all && !rows.0.is_empty()) {
            let some: Vec<AttemptRecord> = rows.0.drain(..rows.0.len().min(ROWS)).collect();
            until_reachable(|| self.store.put(&some)).await?;
            for row in &some {
                let counter = if row.kind == "ok" {
                    &self.shared.ok
                } else {
                    &self.shared.failed
                };
                counter.fetch_add(1, Ordering::Relaxed);
                metrics::counter!("fleet_outcomes_total", "kind" => row.kind.clone()).increment(1);
            }
        }
        Ok(())
    }

    fn outcome(&self, seq: i64, outcome: ItemOutcome) -> AttemptRecord {
        let tokens = |count: Option<u64>| count.and_then(|count| i64::try_from(count).ok());
        let without = |kind: &str| AttemptRecord {
            kind: kind.into(),
            ..self.record(seq)
        };
        match outcome {
            ItemOutcome::Succeeded(response) => {
                let usage = response.usage.as_ref();
                AttemptRecord {
                    status: Some(200),
                    body: serde_json::to_string(&*response).ok(),
                    input_tokens: tokens(usage.and_then(|usage| usage.prompt_tokens)),
                    output_tokens: tokens(usage.and_then(|usage| usage.completion_tokens)),
                    ..without("ok")
                }
            }
            ItemOutcome::Failed(error) => self.failed(seq, &error),
            ItemOutcome::Expired => without("expired"),
            ItemOutcome::Cancelled => without("cancelled"),
            _ => without("lost"),
        }
    }

    fn failed(&self, seq: i64, error: &unifiedai::Error) -> AttemptRecord {
        AttemptRecord {
            kind: error.kind().as_str().into(),
            status: error.status().map(i32::from),
            body: serde_json::to_string(error).ok(),
            ..self.record(seq)
        }
    }

    fn record(&self, seq: i64) -> AttemptRecord {
        AttemptRecord {
            worker: self.worker,
            run: self.chunk.run,
            seq,
            is_outcome: true,
            ..AttemptRecord::default()
        }
    }
}

#[derive(Default)]
struct Rows(VecDeque<AttemptRecord>);

impl Rows {
    fn push(&mut self, row: AttemptRecord) {
        self.0.push_back(row);
    }
}
