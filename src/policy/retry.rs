use super::{Rng, retry_after::MAX_WAIT};
use crate::{Error, ErrorKind};
use std::time::Duration;

/// Which failed calls are retried, and after what time.
///
/// Only transient errors are retried, never after visible output, and never past the call's total timeout. A wait
/// that the provider asks for (`retry-after`) has precedence over the back-off.
///
/// ```
/// use std::time::Duration;
/// use unifiedai::{CallOptions, RetryPolicy};
///
/// let policy = RetryPolicy::default()
///     .max_retries(4)
///     .max_backoff(Duration::from_secs(20));
/// let options = CallOptions::default().retry(policy);
/// # assert_eq!(options.retry.max_retries, 4);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Attempts after the first. Default 2.
    pub max_retries: u32,
    /// The first back-off step; each further step is twice as long. Default 0.5 s.
    pub initial_backoff: Duration,
    /// The first back-off step after a rate limit or overload. Default 1 s.
    pub throttled_initial_backoff: Duration,
    /// The longest back-off step. Default 8 s.
    pub max_backoff: Duration,
    /// If the provider asks for a longer wait, the call ends immediately; the error has the wait. Default 60 s.
    pub max_retry_after: Duration,
    /// Whether to repeat a request that the provider may have processed: after a broken connection, a cut response, a
    /// timeout. It may cost tokens twice. Default no.
    pub retry_ambiguous: bool,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            max_retries: 2,
            initial_backoff: Duration::from_millis(500),
            throttled_initial_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(8),
            max_retry_after: Duration::from_secs(60),
            retry_ambiguous: false,
        }
    }
}

impl RetryPolicy {
    /// No retries. (A request that was certainly not sent, because its connection was closed, is still repeated.)
    #[must_use]
    pub fn none() -> Self {
        RetryPolicy {
            max_retries: 0,
            ..RetryPolicy::default()
        }
    }

    /// Sets [`max_retries`](Self::max_retries), the attempts after the first.
    #[must_use]
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = retries;
        self
    }

    /// Sets [`initial_backoff`](Self::initial_backoff), the first back-off step.
    #[must_use]
    pub fn initial_backoff(mut self, step: Duration) -> Self {
        self.initial_backoff = step;
        self
    }

    /// Sets [`throttled_initial_backoff`](Self::throttled_initial_backoff), the first back-off step after a rate
    /// limit or overload.
    #[must_use]
    pub fn throttled_initial_backoff(mut self, step: Duration) -> Self {
        self.throttled_initial_backoff = step;
        self
    }

    /// Sets [`max_backoff`](Self::max_backoff), the longest back-off step.
    #[must_use]
    pub fn max_backoff(mut self, step: Duration) -> Self {
        self.max_backoff = step;
        self
    }

    /// Sets [`max_retry_after`](Self::max_retry_after), the longest wait that a provider may ask for.
    #[must_use]
    pub fn max_retry_after(mut self, wait: Duration) -> Self {
        self.max_retry_after = wait;
        self
    }

    /// Sets [`retry_ambiguous`](Self::retry_ambiguous).
    #[must_use]
    pub fn retry_ambiguous(mut self, replay: bool) -> Self {
        self.retry_ambiguous = replay;
        self
    }

    /// The wait before the next attempt, or `None` to give up. `retries` attempts followed the first so far.
    pub(crate) fn delay(&self, retries: u32, error: &Error, rng: &mut Rng) -> Option<Duration> {
        if retries >= self.max_retries || !error.is_retryable() {
            return None;
        }
        self.wait(retries, error, rng)
    }

    /// The wait before a request that follows `failures` failed ones; `None` if the provider asks for too long a wait.
    pub(crate) fn wait(&self, failures: u32, error: &Error, rng: &mut Rng) -> Option<Duration> {
        match error.retry_after() {
            Some(wait) if wait > self.max_retry_after => None,
            // Slightly later than asked, so that clients with the same wait do not return together.
            Some(wait) => {
                let wait = wait.min(MAX_WAIT);
                Some(wait.saturating_add(wait.mul_f64(0.1 * rng.unit())))
            }
            None => Some(self.back_off(failures, error.kind(), rng)),
        }
    }

    /// Full jitter over a doubling step, with a minimum of a tenth of it.
    fn back_off(&self, retries: u32, kind: ErrorKind, rng: &mut Rng) -> Duration {
        let base = match kind {
            ErrorKind::RateLimit | ErrorKind::Overloaded => self.throttled_initial_backoff,
            _ => self.initial_backoff,
        };
        let factor = 1_u32.checked_shl(retries).unwrap_or(u32::MAX);
        let step = base
            .saturating_mul(factor)
            .min(self.max_backoff)
            .min(MAX_WAIT);
        step.mul_f64(0.1 + 0.9 * rng.unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prop_assert, proptest};

    fn error() -> Error {
        Error::new(ErrorKind::ServiceUnavailable, "x")
    }

    // F51
    #[test]
    fn a_wait_beyond_the_cap_ends_the_call() {
        let retry = RetryPolicy::default();
        let rng = &mut Rng::new(1);
        let wait = |seconds| error().with_retry_after(Duration::from_secs(seconds));
        assert_eq!(retry.delay(0, &wait(61), rng), None);
        let delay = retry.delay(0, &wait(60), rng).unwrap();
        assert!((60..=66).contains(&delay.as_secs()), "{delay:?}");
    }

    // F62
    #[test]
    fn provider_retry_advice_overrides_the_error_kind() {
        let rng = &mut Rng::new(1);
        assert_eq!(
            RetryPolicy::default().delay(0, &error().with_retryable(false), rng),
            None
        );
        let bad = Error::new(ErrorKind::BadRequest, "x");
        assert_eq!(RetryPolicy::default().delay(0, &bad, rng), None);
        assert!(
            RetryPolicy::default()
                .delay(0, &bad.with_retryable(true), rng)
                .is_some()
        );
    }

    #[test]
    fn at_most_max_retries_attempts_follow_the_first() {
        let rng = &mut Rng::new(1);
        for (retry, allowed) in [
            (RetryPolicy::none(), 0),
            (RetryPolicy::default(), 2),
            (RetryPolicy::default().max_retries(7), 7),
        ] {
            let delays = (0..10).map_while(|retries| retry.delay(retries, &error(), rng));
            assert_eq!(delays.count(), allowed);
        }
    }

    // F57, F58
    #[test]
    fn backoff_doubles_up_to_the_maximum_with_jitter() {
        let retry = RetryPolicy::default().max_retries(9);
        for (kind, steps) in [
            (
                ErrorKind::ServiceUnavailable,
                [500, 1000, 2000, 4000, 8000, 8000],
            ),
            (ErrorKind::RateLimit, [1000, 2000, 4000, 8000, 8000, 8000]),
            (ErrorKind::Overloaded, [1000, 2000, 4000, 8000, 8000, 8000]),
        ] {
            for (retries, step) in (0..).zip(steps) {
                let rng = &mut Rng::new(1);
                let delay = |_| retry.delay(retries, &Error::new(kind, "x"), rng);
                let delays: Vec<_> = (0..200).filter_map(delay).collect();
                let [shortest, max] = [delays.iter().min(), delays.iter().max()];
                let thousandths =
                    |delay: Option<&Duration>| delay.unwrap().as_millis() * 1000 / step;
                assert!(
                    (100..150).contains(&thousandths(shortest)),
                    "{kind} {retries}"
                );
                assert!((950..=1000).contains(&thousandths(max)), "{kind} {retries}");
            }
        }
    }

    proptest! {
        // F57, F58
        #[test]
        fn the_back_off_is_bounded_for_any_number_of_retries(retries: u32, seed: u64) {
            let retry = RetryPolicy { max_retries: u32::MAX, ..RetryPolicy::default() };
            if let Some(delay) = retry.delay(retries, &error(), &mut Rng::new(seed)) {
                prop_assert!(delay <= retry.max_backoff);
                prop_assert!(delay >= Duration::from_millis(50));
            }
        }
    }
}
