use crate::chat::RateLimit;
use std::time::Duration;
use unifiedai_transport::Time;

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
mod tests {
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
