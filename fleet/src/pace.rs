//! The rule by which calls get their times: the same as `fleet.grant_slots` and `fleet.penalise`, for the store without PostgreSQL.
//!
//! A slot is a time. Slots are as far apart as the rate says, and start at most a second ahead. A slot that is not used is lost; nothing is
//! saved up, so no burst follows a pause.

/// Times are microseconds on the store's clock.
pub type Micros = i64;

/// How far ahead of now slots are handed out.
pub const AHEAD: Micros = 1_000_000;

/// How long before the next free slot a worker that got none asks again.
const ASK_AGAIN: Micros = 300_000;

/// The state of a limiter.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Pace {
    /// Requests a minute.
    pub rpm: Option<f64>,
    /// Tokens a minute.
    pub tpm: Option<f64>,
    /// The share of the rates in use at `factor_at`. It recovers by 0.02 each 10 s.
    pub factor: f64,
    /// When the share was set.
    pub factor_at: Micros,
    /// No slot is before this.
    pub not_before: Micros,
    /// Counts reductions of the rate.
    pub epoch: i32,
    /// Consecutive reductions, each within two minutes of the one before.
    pub strikes: i32,
    /// The next free slot by requests.
    pub next_request: Micros,
    /// The next free slot by tokens.
    pub next_token: Micros,
}

impl Pace {
    /// A limiter with these rates a minute.
    #[must_use]
    pub fn new(rpm: Option<f64>, tpm: Option<f64>) -> Self {
        Pace {
            rpm,
            tpm,
            factor: 1.0,
            factor_at: 0,
            not_before: 0,
            epoch: 0,
            strikes: 0,
            next_request: 0,
            next_token: 0,
        }
    }

    /// The share of the rates in use now.
    #[must_use]
    pub fn current_factor(&self, now: Micros) -> f64 {
        let steps = ((now - self.factor_at) / 10_000_000).max(0) as f64;
        (self.factor + 0.02 * steps).min(1.0)
    }

    /// Hands out slots to calls with these estimates of tokens, in order, each as a delay from `now`. If there are fewer than calls, the
    /// second value is the time to wait before asking again. `settle` estimated tokens of earlier calls were not used. A worker gets at most
    /// 1.5 times its share of a second's slots among `workers`.
    pub fn grant(
        &mut self,
        now: Micros,
        tokens: &[i32],
        settle: i64,
        workers: usize,
    ) -> (Vec<Micros>, Micros) {
        let factor = self.current_factor(now);
        let request_gap = self
            .rpm
            .map_or(0, |rpm| (60e6 / (rpm * factor)).ceil() as Micros);
        let token_gap = |tokens: f64| {
            self.tpm
                .map_or(0, |tpm| (tokens * 60e6 / (tpm * factor)).ceil() as Micros)
        };
        if settle != 0 && self.tpm.is_some() {
            self.next_token = self.next_token.max(now - AHEAD) - token_gap(settle as f64);
        }
        let a_second = self.rpm.map_or(1e6, |rpm| rpm * factor / 60.0);
        let cap = (1.5 * a_second / workers.max(1) as f64).ceil().max(1.0) as usize;
        let mut slots = Vec::new();
        for &tokens in tokens {
            let slot = now
                .max(self.next_request)
                .max(self.next_token)
                .max(self.not_before);
            if slot > now + AHEAD || slots.len() >= cap {
                let wait = (slot - now - ASK_AGAIN).clamp(20_000, 5_000_000);
                return (slots, wait);
            }
            if self.rpm.is_some() {
                self.next_request = slot + request_gap;
            }
            self.next_token = slot + token_gap(tokens.into());
            slots.push(slot - now);
        }
        (slots, 0)
    }

    /// Holds calls back. A `factor` below 1 also lowers the rate if `epoch` is the current one; without `retry_after` the wait then doubles
    /// from 1 s to 60 s. `jitter` is a random number from 0 to 1. Returns whether the rate was lowered.
    pub fn penalise(
        &mut self,
        now: Micros,
        epoch: i32,
        retry_after: Option<Micros>,
        factor: f64,
        jitter: f64,
    ) -> bool {
        if factor >= 1.0 || epoch != self.epoch {
            if let Some(wait) = retry_after {
                self.not_before = self.not_before.max(now + wait);
            }
            return false;
        }
        let is_recent = self.epoch > 0 && now - self.factor_at < 120_000_000;
        self.strikes = if is_recent { self.strikes + 1 } else { 1 };
        let doubled = f64::from(1 << (self.strikes.clamp(1, 7) - 1)).min(60.0);
        let wait = retry_after.unwrap_or((doubled * (0.75 + jitter / 2.0) * 1e6) as Micros);
        self.not_before = self.not_before.max(now + wait);
        self.factor = (self.current_factor(now) * factor).max(0.02);
        self.factor_at = now;
        self.epoch += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_as_far_apart_as_the_rate_and_at_most_a_second_ahead() {
        let mut pace = Pace::new(Some(600.0), None);
        let (slots, wait) = pace.grant(0, &[1; 20], 0, 1);
        assert_eq!(slots, (0..=10).map(|n| n * 100_000).collect::<Vec<_>>());
        assert!(wait > 0);
        assert!(pace.grant(0, &[1], 0, 1).0.is_empty());
        assert_eq!(pace.grant(100_000, &[1], 0, 1).0, [1_000_000]);
        // What is not used is not saved up.
        assert_eq!(pace.grant(60_000_000, &[1; 2], 0, 1).0, [0, 100_000]);
    }

    #[test]
    fn tokens_limit_too_and_what_was_not_used_comes_back() {
        let mut pace = Pace::new(None, Some(60_000.0)); // 1,000 a second
        assert_eq!(pace.grant(0, &[500; 4], 0, 1).0, [0, 500_000, 1_000_000]);
        assert!(pace.grant(0, &[500], 0, 1).0.is_empty());
        // Each of the three took 100 and not 500.
        assert_eq!(pace.grant(0, &[500], 1200, 1).0, [300_000]);
        // More than estimated delays.
        let mut pace = Pace::new(None, Some(60_000.0));
        pace.grant(0, &[100], 0, 1);
        assert_eq!(pace.grant(0, &[100], -600, 1).0, [700_000]);
    }

    #[test]
    fn a_worker_gets_no_more_than_its_share_and_a_half() {
        let mut pace = Pace::new(Some(6000.0), None);
        assert_eq!(pace.grant(0, &[1; 90], 0, 10).0.len(), 15);
        assert_eq!(pace.grant(0, &[1; 90], 0, 1000).0.len(), 1);
    }

    #[test]
    fn many_refusals_of_one_moment_count_once_and_the_rate_recovers() {
        let mut pace = Pace::new(Some(600.0), None);
        assert!(pace.penalise(0, 0, Some(20_000_000), 0.7, 0.5));
        for _ in 0..200 {
            assert!(!pace.penalise(1000, 0, Some(20_000_000), 0.7, 0.5));
        }
        assert_eq!((pace.epoch, pace.factor), (1, 0.7));
        assert!(pace.grant(10_000_000, &[1], 0, 1).0.is_empty());
        assert_eq!(pace.grant(19_500_000, &[1], 0, 1).0, [501_000]);
        assert!((pace.current_factor(50_000_000) - 0.8).abs() < 1e-9);
        assert_eq!(pace.current_factor(1_000_000_000), 1.0);
    }

    #[test]
    fn waits_without_a_named_time_double_to_a_minute() {
        let mut pace = Pace::new(Some(600.0), None);
        let mut waits = Vec::new();
        for epoch in 0..8 {
            let now = pace.not_before;
            pace.penalise(now, epoch, None, 0.7, 0.5);
            waits.push((pace.not_before - now) / 1_000_000);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(pace.factor > 0.01);
    }

    #[test]
    fn over_any_minute_a_fleet_stays_at_the_limit_and_uses_it() {
        // 50 workers ask about every 300 ms for 8 slots; sends are up to 30 ms late.
        let (rpm, workers) = (3000.0, 50);
        let mut pace = Pace::new(Some(rpm), None);
        let mut asks: Vec<Micros> = (0..workers).map(|n| n * 6_000).collect();
        let (mut sends, mut random) = (Vec::new(), 1_u64);
        for _ in 0..40_000 {
            let worker = (0..asks.len()).min_by_key(|n| asks[*n]).unwrap();
            let now = asks[worker];
            let (slots, wait) = pace.grant(now, &[1; 8], 0, asks.len());
            for slot in &slots {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                sends.push(now + slot + (random >> 40) as Micros % 30_000);
            }
            asks[worker] = now + wait.max(300_000);
        }
        sends.sort_unstable();
        let most = |window: Micros| {
            let mut first = 0;
            let mut most = 0;
            for last in 0..sends.len() {
                while sends[last] - sends[first] >= window {
                    first += 1;
                }
                most = most.max(last - first + 1);
            }
            most as f64
        };
        assert!(most(60_000_000) <= rpm * 1.03, "{}", most(60_000_000));
        assert!(most(10_000_000) <= rpm / 6.0 * 1.10, "{}", most(10_000_000));
        let minutes = (sends[sends.len() - 1] - sends[0]) as f64 / 60e6;
        assert!(
            sends.len() as f64 >= 0.95 * rpm * minutes,
            "{} in {minutes} min",
            sends.len()
        );
    }
}
