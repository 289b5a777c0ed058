use super::wait_queue::Cost;
use crate::chat::RateLimit;
use std::time::Duration;
use unifiedai_transport::Time;

/// Limits requests per minute and tokens per minute, and waits as long as the provider says.
#[derive(Debug, Default)]
pub(super) struct RateLimiter {
    pub(super) requests: Option<TokenBucket>,
    pub(super) tokens: Option<TokenBucket>,
    /// Whether the provider's rate-limit headers apply.
    pub(super) honors_headers: bool,
    cooldown: Cooldown,
}

/// A bucket that refills at a constant rate. It counts in units of 1/(60·10⁹), so that it gains a whole number of
/// them per nanosecond.
#[derive(Debug)]
pub(super) struct TokenBucket {
    per_minute: u64,
    level: u128,
    /// The time of the level.
    at: Time,
}

const MINUTE: u128 = 60_000_000_000;

impl RateLimiter {
    /// The cost of a request with this many tokens. A request larger than the bucket waits for a full one, not for
    /// ever.
    pub(super) fn cost(&self, tokens: u64) -> Cost {
        let most = self.tokens.as_ref().map_or(0, |bucket| bucket.per_minute);
        Cost {
            requests: 1,
            tokens: tokens.min(most).into(),
        }
    }

    /// When requests with this total cost may be sent.
    pub(super) fn ready_at(&mut self, now: Time, cost: Cost) -> Time {
        let requests = self.requests.as_mut();
        let requests = requests.map(|bucket| bucket.ready_at(now, cost.requests.into()));
        let tokens = self
            .tokens
            .as_mut()
            .map(|bucket| bucket.ready_at(now, cost.tokens));
        [requests, tokens, Some(self.cooldown.not_before())]
            .into_iter()
            .flatten()
            .fold(now, Time::max)
    }

    pub(super) fn take(&mut self, tokens: u64) {
        if let Some(requests) = &mut self.requests {
            requests.take(1);
        }
        if let Some(bucket) = &mut self.tokens {
            bucket.take(tokens);
        }
    }

    /// Refunds a request that was not sent.
    pub(super) fn refund(&mut self, tokens: u64) {
        if let Some(requests) = &mut self.requests {
            requests.give(1);
        }
        if let Some(bucket) = &mut self.tokens {
            bucket.give(tokens);
        }
    }

    /// Replaces the reserved tokens by those used.
    pub(super) fn correct(&mut self, reserved: u64, used: u64) {
        if let Some(bucket) = &mut self.tokens {
            bucket.give(reserved.saturating_sub(used));
            bucket.take(used.saturating_sub(reserved));
        }
    }

    /// Headers can lower the level, never raise it. Missing headers change nothing. `running` requests and
    /// `jitter` are as in [`Cooldown::apply_headers`].
    pub(super) fn apply_headers(
        &mut self,
        now: Time,
        limits: &[RateLimit],
        running: usize,
        jitter: f64,
    ) {
        if !self.honors_headers {
            return;
        }
        self.cooldown.apply_headers(now, limits, running, jitter);
        for limit in limits {
            let bucket = match &*limit.name {
                "requests" | "requests-minute" => &mut self.requests,
                "tokens" | "tokens-minute" => &mut self.tokens,
                _ => continue,
            };
            if let (Some(bucket), Some(remaining)) = (bucket, limit.remaining) {
                bucket.lower_to(remaining);
            }
        }
    }
}

impl TokenBucket {
    pub(super) fn new(per_minute: u64) -> Self {
        let per_minute = per_minute.max(1);
        TokenBucket {
            per_minute,
            level: full(per_minute),
            at: Time::ZERO,
        }
    }

    fn ready_at(&mut self, now: Time, cost: u128) -> Time {
        self.refill(now);
        let missing = cost.saturating_mul(MINUTE).saturating_sub(self.level);
        let nanos = missing.div_ceil(u128::from(self.per_minute));
        now.saturating_add(Duration::from_nanos(
            u64::try_from(nanos).unwrap_or(u64::MAX),
        ))
    }

    fn refill(&mut self, now: Time) {
        // A time before the last one counts as the last one; a jump fills the bucket at most.
        let elapsed = now.saturating_since(self.at).as_nanos();
        self.at = self.at.max(now);
        let gained = elapsed.saturating_mul(self.per_minute.into());
        self.level = self.level.saturating_add(gained).min(full(self.per_minute));
    }

    fn take(&mut self, amount: u64) {
        self.level = self.level.saturating_sub(self.scaled(amount));
    }

    fn give(&mut self, amount: u64) {
        let level = self.level.saturating_add(self.scaled(amount));
        self.level = level.min(full(self.per_minute));
    }

    fn lower_to(&mut self, amount: u64) {
        self.level = self.level.min(self.scaled(amount));
    }

    fn scaled(&self, amount: u64) -> u128 {
        full(amount.min(self.per_minute))
    }
}

fn full(amount: u64) -> u128 {
    u128::from(amount).saturating_mul(MINUTE)
}

/// No requests until a time that the provider named.
#[derive(Debug)]
pub(crate) struct Cooldown {
    not_before: Time,
    /// Longer waits are ignored: the provider then gets the request, and reports the problem itself.
    max: Duration,
}

impl Default for Cooldown {
    fn default() -> Self {
        Cooldown::new(Duration::from_secs(60))
    }
}

impl Cooldown {
    pub(crate) fn new(max: Duration) -> Self {
        Cooldown {
            not_before: Time::ZERO,
            max,
        }
    }

    pub(crate) fn not_before(&self) -> Time {
        self.not_before
    }

    /// Waits until every exhausted rate limit is reset. `running` requests have not reported their use yet. `jitter`
    /// from 0 to 1 makes the wait up to a tenth longer, which spreads the requests of many clients with the same wait.
    pub(crate) fn apply_headers(
        &mut self,
        now: Time,
        limits: &[RateLimit],
        running: usize,
        jitter: f64,
    ) {
        let used_up = limits.iter().filter(|limit| is_used_up(limit, running));
        for wait in used_up.filter_map(|limit| limit.reset) {
            self.wait(now, wait, jitter);
        }
    }

    pub(crate) fn wait(&mut self, now: Time, wait: Duration, jitter: f64) {
        if wait <= self.max {
            let longer = wait.mul_f64(0.1 * jitter.clamp(0.0, 1.0));
            let until = now.saturating_add(wait).saturating_add(longer);
            self.not_before = self.not_before.max(until);
        }
    }
}

/// Running requests may use one request each. How many tokens they use is unknown.
fn is_used_up(limit: &RateLimit, running: usize) -> bool {
    let running = u64::try_from(running).unwrap_or(u64::MAX);
    match limit.remaining {
        Some(left) if limit.name.starts_with("requests") => left <= running,
        Some(left) => left == 0,
        None => false,
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    const SECOND: u64 = 1_000_000_000;

    fn limit(name: &'static str, remaining: u64, reset: u64) -> RateLimit {
        RateLimit {
            name: name.into(),
            limit: None,
            remaining: Some(remaining),
            reset: Some(Duration::from_secs(reset)),
        }
    }

    /// When a request with this many tokens may be sent.
    fn ready(rate_limiter: &mut RateLimiter, now: Time, tokens: u64) -> Time {
        let cost = rate_limiter.cost(tokens);
        rate_limiter.ready_at(now, cost)
    }

    fn at(seconds: u64) -> Time {
        Time::from_nanos(seconds * SECOND)
    }

    #[test]
    fn sixty_per_minute_admits_a_burst_and_then_one_per_second() {
        let mut bucket = TokenBucket::new(60);
        for _ in 0..60 {
            assert_eq!(bucket.ready_at(at(0), 1), at(0));
            bucket.take(1);
        }
        assert_eq!(bucket.ready_at(at(0), 1), at(1));
        assert_eq!(bucket.ready_at(at(1), 1), at(1));
    }

    // F69
    #[test]
    fn a_request_larger_than_the_bucket_waits_for_a_full_one() {
        let mut rate_limiter = RateLimiter {
            tokens: Some(TokenBucket::new(60)),
            ..RateLimiter::default()
        };
        rate_limiter.take(30);
        assert_eq!(ready(&mut rate_limiter, at(0), u64::MAX), at(30));
    }

    #[test]
    fn earlier_requests_go_first_even_if_their_total_exceeds_the_bucket() {
        let mut bucket = TokenBucket::new(60);
        assert_eq!(bucket.ready_at(at(0), 60), at(0));
        assert_eq!(bucket.ready_at(at(0), 150), at(90));
        assert_eq!(bucket.ready_at(at(90), 150), at(180));
    }

    // F68
    #[test]
    fn headers_lower_and_never_raise() {
        let mut rate_limiter = RateLimiter {
            requests: Some(TokenBucket::new(60)),
            honors_headers: true,
            ..RateLimiter::default()
        };
        rate_limiter.apply_headers(at(0), &[limit("requests-minute", 1, 0)], 0, 0.0);
        assert_eq!(ready(&mut rate_limiter, at(0), 0), at(0));
        rate_limiter.take(0);
        assert_eq!(ready(&mut rate_limiter, at(0), 0), at(1));
        rate_limiter.apply_headers(at(0), &[limit("requests-minute", 1_000_000, 0)], 0, 0.0);
        assert_eq!(ready(&mut rate_limiter, at(0), 0), at(1));
        rate_limiter.apply_headers(at(0), &[], 0, 0.0);
        assert_eq!(ready(&mut rate_limiter, at(0), 0), at(1));
    }

    // F69
    #[test]
    fn tokens_that_were_reserved_are_corrected_by_those_used() {
        let mut rate_limiter = RateLimiter {
            requests: Some(TokenBucket::new(60)),
            tokens: Some(TokenBucket::new(60)),
            honors_headers: true,
            ..RateLimiter::default()
        };
        let ready = |rate_limiter: &mut RateLimiter| ready(rate_limiter, at(0), 60);
        rate_limiter.take(40);
        assert_eq!(ready(&mut rate_limiter), at(40));
        rate_limiter.correct(40, 30);
        assert_eq!(ready(&mut rate_limiter), at(30));
        rate_limiter.correct(30, 50);
        assert_eq!(ready(&mut rate_limiter), at(50));
        rate_limiter.apply_headers(at(0), &[limit("tokens-minute", 5, 0)], 0, 0.0);
        assert_eq!(ready(&mut rate_limiter), at(55));
    }

    #[test]
    fn an_unsent_request_is_refunded() {
        let mut rate_limiter = RateLimiter {
            requests: Some(TokenBucket::new(1)),
            tokens: Some(TokenBucket::new(60)),
            ..RateLimiter::default()
        };
        rate_limiter.take(40);
        assert_eq!(ready(&mut rate_limiter, at(0), 60), at(60));
        rate_limiter.refund(40);
        assert_eq!(ready(&mut rate_limiter, at(0), 60), at(0));
    }

    // F52, F68
    #[test]
    fn a_used_up_allowance_is_waited_for_but_not_for_hours() {
        let mut rate_limiter = RateLimiter {
            honors_headers: true,
            ..RateLimiter::default()
        };
        rate_limiter.apply_headers(at(0), &[limit("tokens-minute", 0, 7)], 0, 0.0);
        assert_eq!(ready(&mut rate_limiter, at(0), 0), at(7));
        rate_limiter.apply_headers(at(0), &[limit("requests-day", 0, 50_000)], 0, 0.0);
        assert_eq!(ready(&mut rate_limiter, at(0), 0), at(7));
        assert_eq!(ready(&mut rate_limiter, at(8), 0), at(8));
    }

    // F72
    #[test]
    fn equal_cooldowns_are_jittered() {
        for (jitter, seconds) in [(0.0, 20), (0.5, 21), (1.0, 22), (7.0, 22)] {
            let mut rate_limiter = RateLimiter {
                honors_headers: true,
                ..RateLimiter::default()
            };
            rate_limiter.apply_headers(at(0), &[limit("tokens-minute", 0, 20)], 0, jitter);
            assert_eq!(ready(&mut rate_limiter, at(0), 0), at(seconds));
        }
    }

    proptest! {
        // F69, F70
        #[test]
        fn a_level_stays_between_empty_and_full_whatever_the_clock_does(
            per_minute: u64, steps in vec((any::<u64>(), any::<u64>(), 0..4_u8), 0..200)
        ) {
            let mut bucket = TokenBucket::new(per_minute);
            for (time, amount, what) in steps {
                let now = Time::from_nanos(time);
                let ready = bucket.ready_at(now, amount.into());
                prop_assert!(ready >= now);
                match what {
                    0 => bucket.take(amount),
                    1 => bucket.give(amount),
                    2 => bucket.lower_to(amount),
                    _ => {}
                }
                prop_assert!(bucket.level <= full(bucket.per_minute));
            }
        }

        #[test]
        fn ready_time_is_exact(per_minute in 1..u64::MAX, spent: u64, cost: u64) {
            let mut bucket = TokenBucket::new(per_minute);
            bucket.take(spent);
            let ready = bucket.ready_at(Time::ZERO, cost.min(per_minute).into());
            prop_assert_eq!(bucket.ready_at(ready, cost.min(per_minute).into()), ready);
        }
    }
}

#[cfg(test)]
mod cooldown_tests {
    use super::*;

    #[test]
    fn pauses_for_rate_limits_that_reset_soon() {
        for (name, remaining, reset, running, seconds) in [
            ("tokens-minute", Some(0), 20, 0, 20),
            ("tokens-minute", Some(1), 20, 9, 0),
            ("requests-minute", Some(3), 20, 3, 20),
            ("requests-minute", Some(4), 20, 3, 0),
            ("requests-day", Some(0), 10_804, 0, 0),
            ("requests-day", None, 20, 9, 0),
        ] {
            let limit = RateLimit {
                name: name.into(),
                limit: None,
                remaining,
                reset: Some(Duration::from_secs(reset)),
            };
            let mut pause = Cooldown::default();
            pause.apply_headers(Time::ZERO, &[limit], running, 0.0);
            let expected = Time::ZERO.saturating_add(Duration::from_secs(seconds));
            assert_eq!(pause.not_before(), expected, "{name} {remaining:?}");
        }
    }

    #[test]
    fn later_header_never_shortens_the_cooldown() {
        let mut pause = Cooldown::new(Duration::from_secs(10));
        for (wait, until) in [(7, 7), (3, 7), (11, 7), (10, 10)] {
            pause.wait(Time::ZERO, Duration::from_secs(wait), 0.0);
            let until = Time::ZERO.saturating_add(Duration::from_secs(until));
            assert_eq!(pause.not_before(), until);
        }
    }
}
