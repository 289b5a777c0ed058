//! Storing what calls brought, in the order in which it came, many rows at a time.

use super::{Shared, dispatch::Event, until_reachable};
use crate::{
    FleetError,
    store::{AttemptRecord, Chunk, Store},
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

/// What is to be stored.
pub(super) enum Answer {
    /// An outcome or a failed attempt.
    Row(Box<AttemptRecord>),
    /// The outcome of a call, which counts as in progress until it is stored.
    Outcome(Box<AttemptRecord>),
    Finish(Chunk, i64),
    GiveBack(Chunk, i64),
}

/// At most this many rows are stored at once, and none waits longer than this.
const MAX_ROWS: usize = 50;
const MAX_WAIT: Duration = Duration::from_millis(100);

/// Stores answers until the channel is closed and empty. An unreachable database is waited for; the channel is bounded, so calls wait too.
pub(super) async fn store_answers(
    store: Arc<dyn Store>,
    shared: Arc<Shared>,
    events: mpsc::UnboundedSender<Event>,
    mut answers: mpsc::Receiver<Answer>,
) -> Result<(), FleetError> {
    let mut rows: Vec<AttemptRecord> = Vec::new();
    while let Some(first) = answers.recv().await {
        let deadline = Instant::now() + MAX_WAIT;
        let mut next = Some(first);
        let (mut then, mut calls) = (None, 0);
        while let Some(answer) = next.take() {
            match answer {
                Answer::Row(row) => rows.push(*row),
                Answer::Outcome(row) => {
                    rows.push(*row);
                    calls += 1;
                }
                other => {
                    then = Some(other);
                    break;
                }
            }
            if rows.len() >= MAX_ROWS {
                break;
            }
            // At the deadline what is there is stored.
            next = timeout_at(deadline, answers.recv()).await.ok().flatten();
        }
        if !rows.is_empty() {
            let late = until_reachable(|| store.put(&rows)).await?;
            count(&shared, &rows, late);
            let _ = events.send(Event::Stored(calls));
            rows.clear();
        }
        let (chunk, worker, is_finished) = match then {
            Some(Answer::Finish(chunk, worker)) => {
                let finished = until_reachable(|| store.finish(worker, &chunk)).await?;
                (chunk, worker, finished)
            }
            Some(Answer::GiveBack(chunk, worker)) => (chunk, worker, false),
            _ => continue,
        };
        if !is_finished {
            until_reachable(|| store.give_back(worker, &chunk)).await?;
        }
    }
    Ok(())
}

fn count(shared: &Shared, rows: &[AttemptRecord], late: u64) {
    for row in rows {
        let counter = match (row.is_outcome, row.kind.as_str()) {
            (true, "ok") => &shared.ok,
            (true, _) => &shared.failed,
            (false, _) => &shared.retried,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let name = if row.is_outcome {
            "fleet_outcomes_total"
        } else {
            "fleet_failed_attempts_total"
        };
        metrics::counter!(name, "kind" => row.kind.clone()).increment(1);
    }
    shared.late.fetch_add(late, Ordering::Relaxed);
    metrics::counter!("fleet_late_outcomes_total").increment(late);
}
