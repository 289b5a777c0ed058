use super::{BatchOptions, BatchResult};
use crate::{Error, UnifiedChatResponse, policy::Pause};
use std::collections::BTreeMap;
use unifiedai_transport::Time;

/// What runs, what is done, and what may begin: the part of a batch that blocking and async code share.
#[derive(Debug)]
pub(super) struct Ledger<K> {
    options: BatchOptions,
    pause: Pause,
    begun: u64,
    running: usize,
    /// Results that were not taken yet, by the number under which they come out.
    done: BTreeMap<u64, BatchResult<K>>,
    finished: u64,
    taken: u64,
    /// Whether there are no more requests.
    dry: bool,
}

/// Whether a further call may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Now,
    /// The provider asks for a pause.
    At(Time),
    /// Results must be taken, or running calls end, first.
    Later,
    /// There are no more requests.
    Never,
}

/// The calls of a batch go out one after another anyway.
const NO_JITTER: f64 = 0.0;

impl<K> Ledger<K> {
    pub(super) fn new(options: BatchOptions) -> Self {
        Ledger {
            pause: Pause::new(options.max_pause),
            options,
            begun: 0,
            running: 0,
            done: BTreeMap::new(),
            finished: 0,
            taken: 0,
            dry: false,
        }
    }

    pub(super) fn next(&self, now: Time) -> Next {
        let room = match self.options.ordered {
            true => self.options.concurrency.saturating_mul(3),
            false => self.options.concurrency,
        };
        if self.dry {
            Next::Never
        } else if self.running >= self.options.concurrency || self.done.len() >= room {
            Next::Later
        } else if now < self.pause.not_before() {
            Next::At(self.pause.not_before())
        } else {
            Next::Now
        }
    }

    /// A call begins; the number is for [`finish`](Self::finish).
    pub(super) fn begin(&mut self) -> u64 {
        let number = self.begun;
        self.begun = self.begun.saturating_add(1);
        self.running = self.running.saturating_add(1);
        number
    }

    pub(super) fn finish(
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
                self.pause.learn(now, limits, self.running, NO_JITTER);
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

    /// There are no more requests.
    pub(super) fn dry(&mut self) {
        self.dry = true;
    }

    pub(super) fn take(&mut self) -> Option<BatchResult<K>> {
        let result = self.done.remove(&self.taken)?;
        self.taken = self.taken.saturating_add(1);
        Some(result)
    }

    /// Whether every result was taken.
    pub(super) fn is_over(&self) -> bool {
        self.dry && self.running == 0 && self.done.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn ledger(options: BatchOptions) -> Ledger<u64> {
        Ledger::new(options)
    }

    fn finish(ledger: &mut Ledger<u64>, number: u64) {
        let result = Err(Error::new(ErrorKind::BadRequest, "x"));
        ledger.finish(number, number, result, Time::ZERO);
    }

    fn taken(ledger: &mut Ledger<u64>) -> Vec<u64> {
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
            let numbers: Vec<u64> = (0..3).map(|_| ledger.begin()).collect();
            finish(&mut ledger, numbers[2]);
            assert_eq!(ledger.done.len(), 1);
            finish(&mut ledger, numbers[0]);
            finish(&mut ledger, numbers[1]);
            assert_eq!(taken(&mut ledger), out);
            ledger.dry();
            assert!(ledger.is_over());
        }
    }

    #[test]
    fn results_that_nobody_takes_hold_the_batch_up() {
        for ordered in [false, true] {
            let mut ledger = ledger(BatchOptions {
                ordered,
                concurrency: 2,
                ..BatchOptions::default()
            });
            let mut begun = 0;
            while ledger.next(Time::ZERO) == Next::Now {
                let number = ledger.begin();
                finish(&mut ledger, number);
                begun += 1;
                assert!(begun <= 6);
            }
            assert_eq!(ledger.next(Time::ZERO), Next::Later);
            let _ = ledger.take().unwrap();
            assert_eq!(ledger.next(Time::ZERO), Next::Now);
        }
    }
}
