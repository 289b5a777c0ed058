use super::{BatchOptions, BatchResult};
use crate::{Error, UnifiedChatResponse, policy::Cooldown};
use std::collections::BTreeMap;
use unifiedai_transport::Time;

/// Running calls, finished results, and whether a further call may start: shared by the blocking and the async batch.
#[derive(Debug)]
pub(super) struct BatchState<K> {
    options: BatchOptions,
    pause: Cooldown,
    started: u64,
    running: usize,
    /// Results that were not read yet, by the number that orders them.
    done: BTreeMap<u64, BatchResult<K>>,
    finished: u64,
    yielded: u64,
    /// Whether the requests are exhausted.
    exhausted: bool,
}

/// Whether a further call may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextCall {
    Now,
    /// The rate limit is exhausted until this time.
    NotBefore(Time),
    /// No: results must be read, or running calls end, first.
    Later,
    /// No: the requests are exhausted.
    Exhausted,
}

/// The calls of a batch start one after another, so jitter is not needed.
const NO_JITTER: f64 = 0.0;

impl<K> BatchState<K> {
    pub(super) fn new(options: BatchOptions) -> Self {
        BatchState {
            pause: Cooldown::new(options.max_pause),
            options,
            started: 0,
            running: 0,
            done: BTreeMap::new(),
            finished: 0,
            yielded: 0,
            exhausted: false,
        }
    }

    pub(super) fn next(&self, now: Time) -> NextCall {
        let room = match self.options.ordered {
            true => self.options.concurrency.saturating_mul(3),
            false => self.options.concurrency,
        };
        if self.exhausted {
            NextCall::Exhausted
        } else if self.running >= self.options.concurrency || self.done.len() >= room {
            NextCall::Later
        } else if now < self.pause.not_before() {
            NextCall::NotBefore(self.pause.not_before())
        } else {
            NextCall::Now
        }
    }

    /// Registers a call; the returned number is for [`finish_call`](Self::finish_call).
    pub(super) fn start_call(&mut self) -> u64 {
        let number = self.started;
        self.started = self.started.saturating_add(1);
        self.running = self.running.saturating_add(1);
        number
    }

    pub(super) fn finish_call(
        &mut self,
        number: u64,
        key: K,
        result: Result<UnifiedChatResponse, Error>,
        now: Time,
    ) {
        self.running = self.running.saturating_sub(1);
        match &result {
            Ok(response) => {
                let limits = &response.provider_metadata.rate_limits;
                self.pause
                    .apply_headers(now, limits, self.running, NO_JITTER);
            }
            Err(error) => {
                if let Some(wait) = error.retry_after() {
                    self.pause.wait(now, wait, NO_JITTER);
                }
            }
        }
        let number = if self.options.ordered {
            number
        } else {
            self.finished
        };
        self.finished = self.finished.saturating_add(1);
        self.done.insert(number, (key, result));
    }

    /// Registers that the requests are exhausted.
    pub(super) fn set_exhausted(&mut self) {
        self.exhausted = true;
    }

    pub(super) fn take(&mut self) -> Option<BatchResult<K>> {
        let result = self.done.remove(&self.yielded)?;
        self.yielded = self.yielded.saturating_add(1);
        Some(result)
    }

    /// Whether every result was read.
    pub(super) fn is_finished(&self) -> bool {
        self.exhausted && self.running == 0 && self.done.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn ledger(options: BatchOptions) -> BatchState<u64> {
        BatchState::new(options)
    }

    fn finish(ledger: &mut BatchState<u64>, number: u64) {
        let result = Err(Error::new(ErrorKind::BadRequest, "x"));
        ledger.finish_call(number, number, result, Time::ZERO);
    }

    fn taken(ledger: &mut BatchState<u64>) -> Vec<u64> {
        std::iter::from_fn(|| ledger.take())
            .map(|(key, _)| key)
            .collect()
    }

    #[test]
    fn results_come_as_they_finish_or_in_order() {
        for (ordered, out) in [(false, [2, 0, 1]), (true, [0, 1, 2])] {
            let mut ledger = ledger(BatchOptions {
                ordered,
                ..BatchOptions::default()
            });
            let numbers: Vec<u64> = (0..3).map(|_| ledger.start_call()).collect();
            finish(&mut ledger, numbers[2]);
            assert_eq!(ledger.done.len(), 1);
            finish(&mut ledger, numbers[0]);
            finish(&mut ledger, numbers[1]);
            assert_eq!(taken(&mut ledger), out);
            ledger.set_exhausted();
            assert!(ledger.is_finished());
        }
    }

    #[test]
    fn unread_results_stop_further_calls() {
        for ordered in [false, true] {
            let mut ledger = ledger(BatchOptions {
                ordered,
                concurrency: 2,
                ..BatchOptions::default()
            });
            let mut begun = 0;
            while ledger.next(Time::ZERO) == NextCall::Now {
                let number = ledger.start_call();
                finish(&mut ledger, number);
                begun += 1;
                assert!(begun <= 6);
            }
            assert_eq!(ledger.next(Time::ZERO), NextCall::Later);
            let _ = ledger.take().unwrap();
            assert_eq!(ledger.next(Time::ZERO), NextCall::Now);
        }
    }
}
