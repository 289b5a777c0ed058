//! Timeouts, size limits, retries and rate limits: pure rules; the caller supplies times and random numbers.

mod call_permits;
mod circuit_breaker;
mod concurrency_limit;
mod cooldown;
mod fallback;
mod provider_limits;
mod rate_limiter;
pub(crate) mod retry;
mod retry_after;
mod retry_budget;
mod rng;
pub(crate) mod timeouts_and_sizes;
mod wait_queue;

pub(crate) use call_permits::{AcquireOutcome, CallPermits};
pub use circuit_breaker::CircuitBreakerConfig;
pub(crate) use concurrency_limit::{ConcurrencyLimit, ConcurrencyPermit};
pub(crate) use cooldown::Cooldown;
pub(crate) use fallback::AbandonedTarget;
pub use fallback::{Fallback, FallbackTarget};
pub(crate) use provider_limits::AttemptReport;
pub use provider_limits::ProviderLimits;
pub(crate) use retry_after::MAX_WAIT;
pub use retry_after::{parse_duration, retry_after};
pub(crate) use rng::Rng;
pub use timeouts_and_sizes::SizeLimits;

use crate::{RetryPolicy, Timeouts};
use std::time::Duration;

/// Options of one call.
///
/// ```
/// use std::time::Duration;
/// use unifiedai::{CallOptions, Timeouts};
///
/// let options = CallOptions::default()
///     .timeouts(Timeouts::default().first_token(Duration::from_secs(5)))
///     .timeout(Duration::from_secs(30)) // all attempts together
///     .max_retries(1);
/// assert_eq!(options.timeouts.total, Some(Duration::from_secs(30)));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct CallOptions {
    /// Time limits.
    pub timeouts: Timeouts,
    /// Which failures are retried, and when.
    pub retry: RetryPolicy,
    /// Size limits.
    pub sizes: SizeLimits,
    /// Whether to keep the response's headers, in [`ProviderMetadata`](crate::chat::ProviderMetadata). Default no.
    pub keep_headers: bool,
}

impl CallOptions {
    /// Sets all time limits.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Limits the complete call, with all its attempts and waits: [`Timeouts::total`].
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeouts.total = Some(limit);
        self
    }

    /// Sets the retry policy.
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

    /// Sets the size limits.
    #[must_use]
    pub fn sizes(mut self, sizes: SizeLimits) -> Self {
        self.sizes = sizes;
        self
    }

    /// Keeps the response's headers.
    #[must_use]
    pub fn keep_headers(mut self) -> Self {
        self.keep_headers = true;
        self
    }
}
