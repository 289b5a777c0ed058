//! The calls of a run: the next call, and the effect of its result.

use super::{
    super::{
        BatchAnswer, BatchCall, BatchInput, ItemOutcome, NewBatch, NewFile, ProviderBatch,
        was_not_processed,
    },
    BatchRun, Purpose, search,
    state::PartStep,
};
use crate::{Error, ErrorKind, provider::Submission};
use std::time::{Duration, SystemTime};

impl BatchRun {
    /// The next call for a part, if one is due.
    pub(super) fn next_call(&mut self, index: usize) -> Option<BatchCall> {
        let (part, live) = (self.state.parts.get(index)?, self.live.get(index)?);
        if live.due > self.now || !part.is_open() {
            return None;
        }
        let is_unsent = match part.step {
            PartStep::Prepared => true,
            PartStep::Submitting | PartStep::Adding => !live.is_ambiguous,
            _ => false,
        };
        if self.state.is_cancelled && is_unsent {
            self.end_lines(index, |_| ItemOutcome::Cancelled);
            return None;
        }
        let (purpose, call) = match part.step {
            PartStep::Prepared => self.prepared(index)?,
            PartStep::Submitting if live.is_ambiguous => {
                let (tag, page) = (self.tag(index), live.search.page.clone());
                let call = BatchCall::Find { tag, page };
                (Purpose::Search(index), call)
            }
            PartStep::Submitting => (Purpose::Create(index), self.create(index)?),
            PartStep::Adding if live.is_ambiguous => (
                Purpose::Ask(index),
                BatchCall::Retrieve(part.batch.clone()?),
            ),
            PartStep::Adding => {
                let id = part.batch.clone()?;
                let requests = BatchInput::Lines(self.take_lines(index)?);
                (Purpose::Add(index), BatchCall::Add { id, requests })
            }
            PartStep::Submitted => {
                let id = part.batch.clone()?;
                if self.state.is_cancelled && !part.is_cancel_sent {
                    (Purpose::Cancel(index), BatchCall::Cancel(id))
                } else {
                    (Purpose::Ask(index), BatchCall::Retrieve(id))
                }
            }
            PartStep::Ended => match part.results.get(live.source) {
                Some(source) => (Purpose::Fetch(index), BatchCall::Results(source.clone())),
                None => {
                    self.finish_part(index);
                    return None;
                }
            },
            PartStep::Fetched => return None,
        };
        self.waiting = Some(purpose);
        Some(call)
    }

    /// Uploads a part's file, or records that its batch is about to be created.
    pub(super) fn prepared(&mut self, index: usize) -> Option<(Purpose, BatchCall)> {
        let part = self.part(index)?;
        let (count, has_file) = (part.count(), part.file.is_some());
        let is_gathered = self
            .gathered
            .as_ref()
            .is_some_and(|gathered| gathered.part == index);
        if !has_file && !is_gathered {
            return None;
        }
        if count < self.limits.min_requests {
            self.gathered = None;
            let least = self.limits.min_requests;
            let name = self.provider.name().to_owned();
            self.end_lines(index, |_| {
                ItemOutcome::Failed(Error::new(
                    ErrorKind::InvalidRequest,
                    format!("`{name}` requires at least {least} requests in a batch, and this one has {count}: use live calls"),
                ))
            });
            return None;
        }
        if self.limits.submission == Submission::File && !has_file {
            let name = [&self.tag(index), ".jsonl"].concat();
            let content = self.take_file(index)?;
            let file = NewFile::new(name, "application/jsonl", content).purpose(BATCH_PURPOSE);
            return Some((Purpose::Upload(index), BatchCall::UploadFile(file)));
        }
        let now = self.now;
        let part = self.part_mut(index)?;
        part.step = PartStep::Submitting;
        part.since = now;
        self.must_save = true;
        None
    }

    pub(super) fn create(&mut self, index: usize) -> Option<BatchCall> {
        let part = self.part(index)?;
        let (model, tag) = (part.model.clone(), self.tag(index));
        let input = match (self.limits.submission, part.file.clone()) {
            (_, Some(file)) => BatchInput::File(file),
            (Submission::Added, None) => BatchInput::Later,
            _ => BatchInput::Lines(self.take_lines(index)?),
        };
        Some(BatchCall::Create(NewBatch::new(input, model, tag)))
    }

    /// The name of a part's batch.
    pub(super) fn tag(&self, index: usize) -> String {
        format!("{}-{index}", self.state.run_id)
    }

    /// Takes the result of the last call.
    ///
    /// # Errors
    /// An error that waiting does not resolve, such as a wrong key. The run stays valid: poll again once the cause is removed.
    pub fn on_answer(
        &mut self,
        answer: Result<BatchAnswer, Error>,
        wall: SystemTime,
    ) -> Result<(), Error> {
        let since = wall.duration_since(SystemTime::UNIX_EPOCH);
        self.now = self.now.max(since.map_or(0, |since| since.as_secs()));
        let Some(purpose) = self.waiting.take() else {
            return Err(Error::new(
                ErrorKind::Misuse,
                "`on_answer` was called without a call in progress: call it once after each `RunStep::Call`",
            ));
        };
        match answer {
            Ok(answer) => {
                self.on_success(purpose, answer);
                Ok(())
            }
            Err(error) => self.on_failure(purpose, error),
        }
    }

    pub(super) fn on_success(&mut self, purpose: Purpose, answer: BatchAnswer) {
        let index = purpose.part();
        if let Some(live) = self.live.get_mut(index) {
            live.failures = 0;
        }
        match (purpose, answer) {
            (Purpose::Upload(_), BatchAnswer::File(file)) => {
                if let Some(part) = self.part_mut(index) {
                    part.file = Some(file.id);
                }
                self.must_save = true;
            }
            (Purpose::Create(_), BatchAnswer::Batch(batch)) => self.on_batch(index, *batch, false),
            // A batch may have been created, but its id is unknown.
            (Purpose::Create(_), _) => {
                self.wait_for(index, back_off(1));
                self.mark_ambiguous(index);
            }
            (Purpose::Search(_), BatchAnswer::Batches(batches, next)) => {
                self.on_list(index, batches, next);
            }
            (Purpose::Add(_), _) => self.on_added(index),
            (Purpose::Ask(_), BatchAnswer::Batch(batch)) => self.on_description(index, *batch),
            (Purpose::Cancel(_), _) => {
                if let Some(part) = self.part_mut(index) {
                    part.is_cancel_sent = true;
                }
                self.must_save = true;
            }
            (Purpose::Fetch(_), _) => self.on_source_read(index),
            _ => self.wait_for(index, self.pace(None)),
        }
    }

    /// The batch of a part was created, or found in the provider's list.
    pub(super) fn on_batch(&mut self, index: usize, batch: ProviderBatch, is_guess: bool) {
        let is_added = self.limits.submission == Submission::Added;
        let is_adopted = self.live.get(index).is_some_and(|live| live.is_ambiguous);
        if let Some(live) = self.live.get_mut(index) {
            // A batch from the list may have its requests already.
            live.is_ambiguous = is_added && is_adopted;
            live.searches = 0;
            live.search = search::Search::default();
        }
        let wait = self.pace(batch.poll_after);
        if let Some(part) = self.part_mut(index) {
            part.batch = Some(batch.id);
            part.is_guess = is_guess;
            part.expires_at = batch.expires_at;
            part.step = match is_added {
                true => PartStep::Adding,
                false => PartStep::Submitted,
            };
        }
        self.must_save = true;
        if !is_added {
            self.wait_for(index, wait);
        }
    }

    pub(super) fn on_added(&mut self, index: usize) {
        if let Some(part) = self.part_mut(index) {
            part.step = PartStep::Submitted;
        }
        if let Some(live) = self.live.get_mut(index) {
            live.is_ambiguous = false;
        }
        self.must_save = true;
        self.wait_for(index, self.pace(None));
    }

    pub(super) fn on_description(&mut self, index: usize, batch: ProviderBatch) {
        let wait = self.pace(batch.poll_after);
        let counts = batch.counts.unwrap_or_default();
        let Some(part) = self.state.parts.get_mut(index) else {
            return;
        };
        if part.step == PartStep::Adding {
            // Only this run adds to the batch, in one call. If the batch has any request, the provider received that call.
            if counts.total.is_some_and(|total| total > 0) {
                return self.on_added(index);
            }
            // The count may be out of date. Only after two counts without a request are the requests sent again.
            if let Some(live) = self.live.get_mut(index) {
                live.searches = live.searches.saturating_add(1);
                live.is_ambiguous = live.searches < 2;
            }
            return self.wait_for(index, Duration::from_secs(5));
        }
        let ended = [
            counts.succeeded,
            counts.failed,
            counts.expired,
            counts.cancelled,
        ];
        if let Some(live) = self.live.get_mut(index) {
            live.ended = ended.into_iter().flatten().fold(0, u64::saturating_add);
        }
        part.expires_at = batch.expires_at.or(part.expires_at);
        part.last_state = batch.state;
        part.message = batch.message;
        if batch.state.is_final() || part.is_overdue(self.now, self.options.patience) {
            part.results = batch.results;
            part.step = PartStep::Ended;
            self.must_save = true;
            return;
        }
        self.wait_for(index, wait);
    }

    pub(super) fn on_failure(&mut self, purpose: Purpose, error: Error) -> Result<(), Error> {
        let index = purpose.part();
        let failures = self.live.get_mut(index).map_or(0, |live| {
            live.failures = live.failures.saturating_add(1);
            live.failures
        });
        let wait = error.retry_after().unwrap_or_else(|| back_off(failures));
        self.wait_for(index, wait);
        let is_definite = is_refused(&error);
        // Before an error is returned: the caller may poll again after it.
        if matches!(purpose, Purpose::Create(_) | Purpose::Add(_)) && !is_definite {
            self.mark_ambiguous(index);
        }
        let is_lasting = matches!(
            error.kind(),
            ErrorKind::Authentication
                | ErrorKind::PermissionDenied
                | ErrorKind::QuotaExceeded
                | ErrorKind::Cancelled
                | ErrorKind::Misuse
        );
        if is_lasting {
            return Err(error);
        }
        match purpose {
            // The lines are requested again.
            Purpose::Upload(_) | Purpose::Create(_) | Purpose::Add(_) if is_definite => {
                let may_pass = error.is_retryable() && failures < 100;
                // The provider may know a file only some seconds after its upload.
                let is_early = matches!(purpose, Purpose::Create(_))
                    && self.part(index).is_some_and(|part| part.file.is_some())
                    && failures <= 3;
                if !may_pass && !is_early {
                    self.refuse_part(index, &error);
                }
            }
            Purpose::Create(_) | Purpose::Add(_) => {}
            // The provider cannot cancel the batch, or it is over. It is polled until it ends.
            Purpose::Cancel(_) if is_definite && !is_too_early(&error) => {
                if let Some(part) = self.part_mut(index) {
                    part.is_cancel_sent = true;
                }
                self.must_save = true;
            }
            Purpose::Ask(_) | Purpose::Fetch(_)
                if error.kind() == ErrorKind::NotFound && failures > 20 =>
            {
                self.give_up(index);
            }
            // One failed call does not end a run. The batch's expiry limits the attempts.
            _ => {
                let is_overdue = self.part(index).is_some_and(|part| {
                    part.batch.is_some() && part.is_overdue(self.now, self.options.patience)
                });
                if is_overdue {
                    self.give_up(index);
                }
                if let Some(live) = self.live.get_mut(index) {
                    live.search = search::Search::default();
                }
            }
        }
        Ok(())
    }

    /// The provider may have processed the call that creates the batch or adds its requests. The call is repeated only after
    /// the provider's list, or the batch's description, shows that it was not processed.
    pub(super) fn mark_ambiguous(&mut self, index: usize) {
        if let Some(live) = self.live.get_mut(index) {
            live.is_ambiguous = true;
            live.searches = 0;
        }
    }

    /// The batch of a part no longer exists, or is overdue. Its lines without a result are lost.
    pub(super) fn give_up(&mut self, index: usize) {
        if let Some(part) = self.part_mut(index) {
            part.results.clear();
            part.step = PartStep::Ended;
        }
        self.must_save = true;
    }

    /// The provider refused the batch. Each of its lines fails with this error.
    pub(super) fn refuse_part(&mut self, index: usize, error: &Error) {
        let (kind, message, status) = (error.kind(), error.message().to_owned(), error.status());
        let name = self.provider.name().to_owned();
        self.end_lines(index, |_| {
            let mut error = Error::new(kind, message.clone()).with_provider(&name);
            if let Some(status) = status {
                error = error.with_status(status);
            }
            ItemOutcome::Failed(error)
        });
    }
}

/// The purpose of a file of requests. Profiles replace it where a provider has another value.
const BATCH_PURPOSE: &str = "batch";

/// Whether the provider certainly did not process a call. Includes errors from before the call was sent.
fn is_refused(error: &Error) -> bool {
    let local = error.status().is_none() && error.transport().is_none();
    was_not_processed(error)
        || (local
            && matches!(
                error.kind(),
                ErrorKind::InvalidRequest | ErrorKind::RateLimit | ErrorKind::CircuitOpen
            ))
}

/// Whether a refused call may succeed later, because only the rate of calls was too high.
fn is_too_early(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::RateLimit | ErrorKind::Overloaded | ErrorKind::CircuitOpen
    )
}

/// The wait after this many consecutive failures.
pub(super) fn back_off(failures: u32) -> Duration {
    let seconds = 1_u64.checked_shl(failures.min(6)).unwrap_or(64);
    Duration::from_secs(seconds.min(60))
}
