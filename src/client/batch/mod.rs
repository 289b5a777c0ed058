//! Many calls, a limited number at a time.

mod blocking;
mod nonblocking;
mod state;

pub use blocking::Batch;
pub use nonblocking::{AsyncBatch, IterRequests};

use crate::{Error, ErrorKind, UnifiedChatResponse};
use std::time::Duration;

/// The caller's key of a request, and the request's result.
pub type BatchResult<K> = (K, Result<UnifiedChatResponse, Error>);

/// How a batch runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchOptions {
    /// Concurrent calls; in a blocking batch, threads. Default 8.
    pub concurrency: usize,
    /// Whether results are returned in the order of the requests instead of as they finish. Default no.
    pub ordered: bool,
    /// The longest pause for an exhausted rate limit. If the provider names a longer one, calls continue, and fail
    /// with the provider's error. Default 60 s.
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
    /// Sets the number of concurrent calls.
    #[must_use]
    pub fn concurrency(mut self, calls: usize) -> Self {
        self.concurrency = calls;
        self
    }

    /// Returns results in the order of the requests. A slow call holds back at most three times as many results as
    /// there are concurrent calls; then no further call starts.
    #[must_use]
    pub fn ordered(mut self) -> Self {
        self.ordered = true;
        self
    }

    fn check(self) -> Result<Self, Error> {
        if self.concurrency == 0 {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                "the concurrency of a batch must be at least 1, but is 0",
            ));
        }
        Ok(self)
    }
}
