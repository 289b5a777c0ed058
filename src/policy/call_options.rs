//! The options of one call.

use super::{ResumePolicy, SizeLimits};
use crate::{
    RetryPolicy, Timeouts,
    cost::{Labels, PriceSource, Prices},
};
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
    /// How a call goes on with a response that is not complete.
    pub resume: ResumePolicy,
    /// Size limits.
    pub sizes: SizeLimits,
    /// Whether to keep the response's headers, in [`ProviderMetadata`](crate::chat::ProviderMetadata). Default no.
    pub keep_headers: bool,
    /// What tokens cost. Default: unknown.
    pub prices: Option<Prices>,
    /// The call's labels, for [`Ledger`](crate::cost::Ledger) and other observers. They are not sent.
    pub labels: Labels,
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

    /// Sets how a call goes on with a response that is not complete.
    #[must_use]
    pub fn resume(mut self, resume: ResumePolicy) -> Self {
        self.resume = resume;
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

    /// Sets what tokens cost, so that each [`Attempt`](crate::chat::Attempt) has its price.
    #[must_use]
    pub fn prices(self, source: impl PriceSource + 'static) -> Self {
        self.shared_prices(Prices::new(source))
    }

    /// Sets what tokens cost, by a source that is shared.
    #[must_use]
    pub fn shared_prices(mut self, prices: Prices) -> Self {
        self.prices = Some(prices);
        self
    }

    /// Adds a label, such as the customer for whom the call is made. It is not sent; a
    /// [`Ledger`](crate::cost::Ledger) can add up by it.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name, value);
        self
    }
}
