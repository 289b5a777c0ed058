//! Many calls, a few at a time.

mod blocking;
mod nonblocking;
mod state;

pub use blocking::Batch;
pub use nonblocking::{AsyncBatch, IterRequests};

use crate::{Error, ErrorKind, UnifiedChatResponse};
use std::time::Duration;

/// What came of one request: what the caller called it by, and its result.
pub type BatchResult<K> = (K, Result<UnifiedChatResponse, Error>);

/// How a batch runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchOptions {
    /// Calls at once; for a blocking batch, threads. Default 8.
    pub concurrency: usize,
    /// Whether results come in the order of the requests, not as they finish. Default no.
    pub ordered: bool,
    /// The longest pause for an allowance to fill up again. If the provider names a longer one, the calls go on, and
    /// fail with what it says. Default 60 s.
    pub max_pause: Duration,
}

impl Default for BatchOptions {
    fn default() -> Self {
        BatchOptions {
            concurrency: 8,
            ordered: false,
            max_pause: Duration::from_secs(60),
        }
    }
}

impl BatchOptions {
    /// This many calls at once.
    #[must_use]
    pub fn concurrency(mut self, calls: usize) -> Self {
        self.concurrency = calls;
        self
    }

    /// Results in the order of the requests. One that takes long holds back at most three times as many results as there
    /// are calls at once; then no further call is begun.
    #[must_use]
    pub fn ordered(mut self) -> Self {
        self.ordered = true;
        self
    }

    fn check(self) -> Result<Self, Error> {
        if self.concurrency == 0 {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                "a batch needs at least 1 call at once: with 0 nothing could ever run",
            ));
        }
        Ok(self)
    }
}
