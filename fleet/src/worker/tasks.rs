//! Items as a worker holds them, until their calls start.

use super::{chunks::LeaseKey, run_context::RunContext};
use crate::store::{AttemptRecord, Wanted, WorkerId};
use std::{collections::VecDeque, sync::Arc};
use tokio::time::Instant;
use unifiedai::ChatRequest;

/// An item without an outcome.
pub(super) struct Task {
    pub(super) context: Arc<RunContext>,
    pub(super) lease: LeaseKey,
    pub(super) seq: i64,
    pub(super) request: Arc<ChatRequest>,
    pub(super) body_bytes: usize,
    /// Attempts that were begun.
    pub(super) tries: i32,
    /// Those of them that do not count.
    pub(super) throttled: i32,
    /// Whether it is a suspect that runs alone.
    pub(super) is_single: bool,
    /// When it may be tried again.
    pub(super) due: Instant,
    /// The estimate of the attempt in progress.
    pub(super) estimate: i32,
    /// The worker that began the attempt in progress.
    pub(super) worker: WorkerId,
}

impl Task {
    pub(super) fn limiter(&self) -> i32 {
        self.context.limiter.id
    }

    /// Begins an attempt.
    pub(super) fn begin(&mut self, worker: WorkerId) -> Wanted {
        self.tries += 1;
        self.worker = worker;
        self.estimate = self
            .context
            .estimate(self.body_bytes, self.request.max_tokens);
        Wanted {
            run: self.context.row.id,
            seq: self.seq,
            attempt: self.tries,
            tokens: self.estimate,
        }
    }

    /// Takes the begun attempt back: it got no slot.
    pub(super) fn undo_begin(&mut self) {
        self.tries -= 1;
    }

    pub(super) fn record(&self) -> AttemptRecord {
        AttemptRecord {
            worker: self.worker,
            run: self.context.row.id,
            seq: self.seq,
            attempt: self.tries,
            ..AttemptRecord::default()
        }
    }
}

/// The tasks that wait.
#[derive(Default)]
pub(super) struct Tasks {
    ready: VecDeque<Task>,
    later: Vec<Task>,
}

impl Tasks {
    pub(super) fn len(&self) -> usize {
        self.ready.len() + self.later.len()
    }

    pub(super) fn push(&mut self, task: Task) {
        if task.due > Instant::now() {
            self.later.push(task);
        } else {
            self.ready.push_back(task);
        }
    }

    pub(super) fn push_front(&mut self, task: Task) {
        self.ready.push_front(task);
    }

    /// Moves tasks whose time has come to the others. Returns when the next one comes.
    pub(super) fn wake(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let (due, later) = self.later.drain(..).partition(|task| task.due <= now);
        self.later = later;
        self.ready.extend::<Vec<Task>>(due);
        self.later.iter().map(|task| task.due).min()
    }

    pub(super) fn has_single(&self) -> bool {
        self.ready.iter().any(|task| task.is_single)
    }

    /// The limiters of the tasks that are ready, the one of the first task first.
    pub(super) fn limiters(&self) -> Vec<i32> {
        let mut limiters = Vec::new();
        for task in &self.ready {
            if !limiters.contains(&task.limiter()) {
                limiters.push(task.limiter());
            }
        }
        limiters
    }

    /// Takes at most `most` ready tasks of a limiter. A single is taken alone.
    pub(super) fn take(&mut self, limiter: i32, most: usize) -> Vec<Task> {
        if let Some(place) = self.ready.iter().position(|task| task.is_single) {
            return self.ready.remove(place).into_iter().collect();
        }
        let mut taken = Vec::new();
        let mut kept = VecDeque::new();
        while let Some(task) = self.ready.pop_front() {
            if taken.len() < most && task.limiter() == limiter {
                taken.push(task);
                if taken.len() == most {
                    break;
                }
            } else {
                kept.push_back(task);
            }
        }
        kept.append(&mut self.ready);
        self.ready = kept;
        taken
    }

    /// Removes the tasks of leases for which `gone` holds; returns the leases of the removed ones.
    pub(super) fn remove(&mut self, gone: impl Fn(&Task) -> bool) -> Vec<LeaseKey> {
        let mut removed = Vec::new();
        self.ready.retain(|task| keep(task, &gone, &mut removed));
        self.later.retain(|task| keep(task, &gone, &mut removed));
        removed
    }
}

fn keep(task: &Task, gone: &impl Fn(&Task) -> bool, removed: &mut Vec<LeaseKey>) -> bool {
    let is_gone = gone(task);
    if is_gone {
        removed.push(task.lease);
    }
    !is_gone
}
