//! Timeouts, size limits, retries and rate limits: pure rules; the caller supplies times and random numbers.

mod budget;
pub(crate) mod call_options;
mod call_permits;
mod circuit_breaker;
mod concurrency_limit;
mod fallback;
mod provider_limits;
mod rate_limiter;
mod resume;
pub(crate) mod retry;
mod retry_after;
mod retry_budget;
mod rng;
pub(crate) mod timeouts_and_sizes;
mod wait_queue;

pub use budget::Budget;
pub(crate) use budget::{AttemptEstimate, AttemptSpend};
pub(crate) use call_permits::{AcquireOutcome, CallPermits};
pub use circuit_breaker::CircuitBreakerConfig;
pub(crate) use concurrency_limit::{ConcurrencyLimit, ConcurrencyPermit};
pub(crate) use fallback::AbandonedTarget;
pub use fallback::{Fallback, FallbackTarget};
pub(crate) use provider_limits::AttemptReport;
pub use provider_limits::ProviderLimits;
pub(crate) use rate_limiter::Cooldown;
pub use resume::ResumePolicy;
pub(crate) use retry_after::MAX_WAIT;
pub use retry_after::{parse_duration, retry_after};
pub(crate) use rng::Rng;
pub use timeouts_and_sizes::SizeLimits;
