//! How patient, how large, how often: pure rules, with the time and the random numbers handed in.

mod access;
mod breaker;
mod budget;
mod fallback;
mod guard;
mod limiter;
mod limits;
mod pace;
mod pause;
mod queue;
mod retry;
mod retry_after;
mod rng;

pub(crate) use access::{Access, Entry};
pub use breaker::CircuitBreakerConfig;
pub(crate) use fallback::LeftTarget;
pub use fallback::{Fallback, FallbackTarget};
pub use guard::ProviderLimits;
pub(crate) use guard::Report;
pub(crate) use limiter::{Limiter, LimiterPermit};
pub use limits::{SizeLimits, Timeouts};
pub(crate) use pause::Pause;
pub use retry::RetryPolicy;
pub(crate) use retry_after::LONGEST;
pub use retry_after::{parse_duration, retry_after};
pub(crate) use rng::Rng;

use std::time::Duration;

/// The rules of one call.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct CallOptions {
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// When to try again.
    pub retry: RetryPolicy,
    /// How much to accept.
    pub sizes: SizeLimits,
    /// Whether to keep the answer's headers, in [`ProviderMetadata`](crate::ProviderMetadata). Default no.
    pub keep_headers: bool,
}

impl CallOptions {
    /// Sets all time limits.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Limits the whole call, with all its attempts and waits: [`Timeouts::total`].
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeouts.total = Some(limit);
        self
    }

    /// Sets when a failed call is tried again.
    #[must_use]
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Sets how many attempts may follow the first: [`RetryPolicy::max_retries`].
    #[must_use]
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.retry.max_retries = retries;
        self
    }

    /// Sets how many bytes to accept.
    #[must_use]
    pub fn sizes(mut self, sizes: SizeLimits) -> Self {
        self.sizes = sizes;
        self
    }

    /// Keeps the headers of the response.
    #[must_use]
    pub fn keep_headers(mut self) -> Self {
        self.keep_headers = true;
        self
    }
}
