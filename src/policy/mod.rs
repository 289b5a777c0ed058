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
pub use breaker::BreakerRules;
pub(crate) use fallback::LeftTarget;
pub use fallback::{Fallback, Target};
pub use guard::Guard;
pub(crate) use guard::Report;
pub(crate) use limiter::{Limiter, LimiterPermit};
pub use limits::{SizeLimits, Timeouts};
pub(crate) use pause::Pause;
pub use retry::Retry;
pub(crate) use retry_after::LONGEST;
pub use retry_after::{parse_duration, retry_after};
pub(crate) use rng::Rng;

/// The rules of one call.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct CallOptions {
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// When to try again.
    pub retry: Retry,
    /// How much to accept.
    pub sizes: SizeLimits,
    /// Whether to keep the answer's headers, in [`ProviderMetadata`](crate::ProviderMetadata). Default no.
    pub keep_headers: bool,
}
