//! The saved state of a run, from which another process can continue it.

use crate::provider_batch::{BatchState, ResultSource};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The state of a [`BatchRun`](super::BatchRun), to save and later pass to [`BatchRun::resume`](super::BatchRun::resume). It
/// contains no prompts, no responses and no key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunState {
    pub(super) run_id: String,
    pub(super) provider: String,
    /// The number of lines read from the input.
    pub(super) lines: u64,
    pub(super) is_input_over: bool,
    pub(super) is_cancelled: bool,
    pub(super) parts: Vec<Part>,
}

impl RunState {
    /// The id of the run.
    #[must_use]
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// The name of the run's provider.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// The provider's ids of the created batches, as far as they are known.
    pub fn batches(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| part.batch.as_deref())
    }
}

/// The lines of one batch, and its progress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    /// Its first line.
    pub(super) first: u64,
    /// The line after its last.
    pub(super) end: u64,
    /// Ranges of lines that were skipped or refused, and are not in the batch.
    pub(super) holes: Vec<(u64, u64)>,
    /// Whether no further lines are added to it.
    pub(super) is_closed: bool,
    pub(super) model: String,
    pub(super) step: PartStep,
    /// The uploaded file with its requests.
    pub(super) file: Option<String>,
    pub(super) batch: Option<String>,
    /// Whether the batch was found in a list by size and time alone. Only its results show whether it is the right one.
    pub(super) is_guess: bool,
    /// Batches from the list whose results belong to another run or program.
    pub(super) rejected: Vec<String>,
    /// When the batch's creation was first sent, in seconds since 1970.
    pub(super) since: u64,
    pub(super) expires_at: Option<u64>,
    pub(super) last_state: BatchState,
    pub(super) message: Option<String>,
    pub(super) results: Vec<ResultSource>,
    pub(super) is_cancel_sent: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PartStep {
    /// The lines are gathered or the file is uploaded. No batch is created yet.
    #[default]
    Prepared,
    /// The batch is about to be created, or was created and the response was lost.
    Submitting,
    /// The batch was created, and its requests are still to be added.
    Adding,
    /// The batch was created and has its requests.
    Submitted,
    /// The batch ended, and its results are to be read.
    Ended,
    /// All lines have their outcomes.
    Fetched,
}

impl Part {
    /// The number of its requests.
    pub(super) fn count(&self) -> u64 {
        let holes = self.holes.iter().map(|(from, to)| to.saturating_sub(*from));
        let all = self.end.saturating_sub(self.first);
        all.saturating_sub(holes.fold(0, u64::saturating_add))
    }

    pub(super) fn has(&self, line: u64) -> bool {
        (self.first..self.end).contains(&line)
            && !self
                .holes
                .iter()
                .any(|(from, to)| (*from..*to).contains(&line))
    }

    /// Its lines, in order.
    pub(super) fn lines(&self) -> impl Iterator<Item = u64> + '_ {
        (self.first..self.end).filter(|line| self.has(*line))
    }

    pub(super) fn add_hole(&mut self, line: u64) {
        let next = line.saturating_add(1);
        match self.holes.last_mut() {
            Some((_, to)) if *to == line => *to = next,
            _ => self.holes.push((line, next)),
        }
    }

    /// Whether the provider still needs its requests.
    pub(super) fn lacks_requests(&self) -> bool {
        matches!(
            self.step,
            PartStep::Prepared | PartStep::Submitting | PartStep::Adding
        )
    }

    /// Whether more than `patience` has passed since its batch expired. A batch without an expiry is taken to have 48 hours.
    pub(super) fn is_overdue(&self, now: u64, patience: Duration) -> bool {
        let usual = self.since.saturating_add(48 * 3600);
        let end = self.expires_at.unwrap_or(usual);
        end.saturating_add(patience.as_secs()) < now
    }

    pub(super) fn is_open(&self) -> bool {
        self.step != PartStep::Fetched
    }
}
