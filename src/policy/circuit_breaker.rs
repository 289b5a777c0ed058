use std::time::Duration;
use unifiedai_transport::Time;

/// When to stop sending requests to a provider that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CircuitBreakerConfig {
    /// The circuit opens only with at least this many outcomes within the last minute. Default 5.
    pub min_requests: u32,
    /// This percentage of failures opens the circuit. Default 50.
    pub failure_threshold_percent: u32,
    /// The duration of the first open period. It doubles with each failed probe. Default 5 s.
    pub open_duration: Duration,
    /// The longest open period. Default 60 s.
    pub max_open_duration: Duration,
    /// After this time the next probe is admitted, even if the last one has not ended. Default 60 s.
    pub half_open_timeout: Duration,
}

impl Default for CircuitBreakerConfig {
    fn default() -> Self {
        CircuitBreakerConfig {
            min_requests: 5,
            failure_threshold_percent: 50,
            open_duration: Duration::from_secs(5),
            max_open_duration: Duration::from_secs(60),
            half_open_timeout: Duration::from_secs(60),
        }
    }
}

/// What the end of an attempt says about the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    Failure,
    /// Nothing: the error is the caller's, or the call was dropped.
    Neutral,
}

/// Admission by the breaker. Outcomes are ignored if the breaker's state changed in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BreakerToken(u64);

#[derive(Debug)]
pub(super) struct CircuitBreaker {
    config: CircuitBreakerConfig,
    state: State,
    generation: u64,
    window: Window,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed,
    Open { until: Time, pause: Duration },
    HalfOpen { until: Time, pause: Duration },
}

impl CircuitBreaker {
    pub(super) fn new(rules: CircuitBreakerConfig) -> Self {
        CircuitBreaker {
            config: rules,
            state: State::Closed,
            generation: 0,
            window: Window::default(),
        }
    }

    /// Admits a request, or returns when to retry.
    pub(super) fn admit(&mut self, now: Time) -> Result<BreakerToken, Time> {
        match self.state {
            State::Closed => {}
            State::Open { until, .. } | State::HalfOpen { until, .. } if now < until => {
                return Err(until);
            }
            // One probe at a time, and no endless wait for its outcome.
            State::Open { pause, .. } | State::HalfOpen { pause, .. } => {
                self.enter(State::HalfOpen {
                    until: now.saturating_add(self.config.half_open_timeout),
                    pause,
                });
            }
        }
        Ok(BreakerToken(self.generation))
    }

    /// `jitter` from 0 to 1 spreads the retries of many clients.
    pub(super) fn report(
        &mut self,
        ticket: BreakerToken,
        outcome: Outcome,
        now: Time,
        jitter: f64,
    ) {
        if ticket.0 != self.generation {
            return;
        }
        match (self.state, outcome) {
            (State::Closed, Outcome::Neutral) | (State::Open { .. }, _) => {}
            (State::Closed, outcome) => {
                self.window.count(now, outcome == Outcome::Failure);
                let (all, failed) = self.window.sums(now);
                let share = u64::from(failed).saturating_mul(100);
                let limit =
                    u64::from(all).saturating_mul(self.config.failure_threshold_percent.into());
                if all >= self.config.min_requests.max(1) && failed > 0 && share >= limit {
                    self.open(now, self.config.open_duration, jitter);
                }
            }
            (State::HalfOpen { .. }, Outcome::Success) => {
                self.window = Window::default();
                self.enter(State::Closed);
            }
            (State::HalfOpen { pause, .. }, Outcome::Failure) => {
                self.open(now, pause.saturating_mul(2), jitter);
            }
            // A probe without an outcome lets the next one in.
            (State::HalfOpen { pause, .. }, Outcome::Neutral) => {
                self.enter(State::Open { until: now, pause });
            }
        }
    }

    fn open(&mut self, now: Time, pause: Duration, jitter: f64) {
        let pause = pause
            .min(self.config.max_open_duration)
            .min(MAX_OPEN_DURATION);
        let longer = pause.mul_f64(0.1 * jitter.clamp(0.0, 1.0));
        self.enter(State::Open {
            until: now.saturating_add(pause.saturating_add(longer)),
            pause,
        });
    }

    fn enter(&mut self, state: State) {
        self.generation = self.generation.wrapping_add(1);
        self.state = state;
    }
}

const MAX_OPEN_DURATION: Duration = Duration::from_secs(24 * 3600);

const BUCKETS: usize = 6;
const BUCKET_NANOS: u64 = 10_000_000_000;

/// The outcomes of the last minute, in buckets of ten seconds.
#[derive(Debug, Default)]
struct Window([Counts; BUCKETS]);

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    period: u64,
    all: u32,
    failed: u32,
}

impl Window {
    fn count(&mut self, now: Time, failed: bool) {
        let period = period(now);
        let place = usize::try_from(period.checked_rem(BUCKETS as u64).unwrap_or_default());
        let place = place.unwrap_or_default();
        let Some(counts) = self.0.get_mut(place) else {
            return;
        };
        if counts.period != period {
            *counts = Counts {
                period,
                ..Counts::default()
            };
        }
        counts.all = counts.all.saturating_add(1);
        counts.failed = counts.failed.saturating_add(failed.into());
    }

    fn sums(&self, now: Time) -> (u32, u32) {
        let now = period(now);
        let recent = |counts: &&Counts| {
            counts.period <= now && now.saturating_sub(counts.period) < BUCKETS as u64
        };
        self.0
            .iter()
            .filter(recent)
            .fold((0, 0), |(all, failed): (u32, u32), counts| {
                (
                    all.saturating_add(counts.all),
                    failed.saturating_add(counts.failed),
                )
            })
    }
}

fn period(now: Time) -> u64 {
    now.as_nanos() / BUCKET_NANOS
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    use super::*;
    use Outcome::*;
    use proptest::{collection::vec, prelude::*};

    fn at(seconds: u64) -> Time {
        Time::from_nanos(seconds * 1_000_000_000)
    }

    fn breaker() -> CircuitBreaker {
        CircuitBreaker::new(CircuitBreakerConfig::default())
    }

    fn report(breaker: &mut CircuitBreaker, outcomes: &[Outcome], now: Time) {
        for outcome in outcomes {
            if let Ok(ticket) = breaker.admit(now) {
                breaker.report(ticket, *outcome, now, 0.0);
            }
        }
    }

    fn opened() -> CircuitBreaker {
        let mut breaker = breaker();
        report(&mut breaker, &[Failure; 5], at(0));
        breaker
    }

    #[test]
    fn half_of_five_outcomes_open_the_circuit_and_fewer_do_not() {
        let mut few = breaker();
        report(&mut few, &[Failure; 4], at(0));
        assert!(few.admit(at(0)).is_ok());

        let mut mixed = breaker();
        report(
            &mut mixed,
            &[Success, Success, Success, Failure, Failure],
            at(0),
        );
        assert!(mixed.admit(at(0)).is_ok());
        report(&mut mixed, &[Failure], at(0));
        assert_eq!(mixed.admit(at(0)), Err(at(5)));
    }

    // F63
    #[test]
    fn neutral_outcomes_are_not_counted() {
        let mut breaker = breaker();
        report(&mut breaker, &[Neutral; 100], at(0));
        report(&mut breaker, &[Failure; 4], at(0));
        assert!(breaker.admit(at(0)).is_ok());
    }

    #[test]
    fn outcomes_are_forgotten_after_a_minute() {
        let mut breaker = breaker();
        report(&mut breaker, &[Failure; 4], at(0));
        report(&mut breaker, &[Failure; 4], at(61));
        assert!(breaker.admit(at(61)).is_ok());
        report(&mut breaker, &[Failure], at(61));
        assert!(breaker.admit(at(61)).is_err());
    }

    // F70: at any position of the old counts in the ring.
    #[test]
    fn old_outcomes_do_not_return_later() {
        for later in [75, 130, 605] {
            let mut breaker = breaker();
            report(&mut breaker, &[Failure; 4], at(0));
            report(&mut breaker, &[Failure], at(later));
            assert!(breaker.admit(at(later)).is_ok(), "{later}");
        }
    }

    #[test]
    fn extreme_settings_are_clamped() {
        let days = Duration::from_secs(30 * 24 * 3600);
        let mut eager = CircuitBreaker::new(CircuitBreakerConfig {
            failure_threshold_percent: 0,
            open_duration: days,
            max_open_duration: days,
            ..CircuitBreakerConfig::default()
        });
        report(&mut eager, &[Success; 9], at(0));
        assert!(eager.admit(at(0)).is_ok(), "nothing has failed");
        report(&mut eager, &[Failure], at(0));
        assert_eq!(eager.admit(at(0)), Err(at(24 * 3600)), "a day at most");
    }

    // F66
    #[test]
    fn one_probe_at_a_time() {
        let mut breaker = opened();
        assert_eq!(breaker.admit(at(4)), Err(at(5)));
        let probe = breaker.admit(at(5)).unwrap();
        assert_eq!(breaker.admit(at(5)), Err(at(65)));
        breaker.report(probe, Success, at(6), 0.0);
        assert!(breaker.admit(at(6)).is_ok() && breaker.admit(at(6)).is_ok());
    }

    #[test]
    fn open_durations_double_up_to_a_minute() {
        let mut breaker = opened();
        let mut now = at(5);
        for pause in [10, 20, 40, 60, 60] {
            let probe = breaker.admit(now).unwrap();
            breaker.report(probe, Failure, now, 0.0);
            let until = now.saturating_add(Duration::from_secs(pause));
            assert_eq!(breaker.admit(now), Err(until));
            now = until;
        }
    }

    // F64
    #[test]
    fn a_probe_that_never_settles_does_not_wedge_it() {
        let mut breaker = opened();
        let lost = breaker.admit(at(5)).unwrap();
        let second = breaker.admit(at(65)).unwrap();
        breaker.report(lost, Failure, at(66), 0.0);
        breaker.report(second, Neutral, at(67), 0.0);
        let third = breaker.admit(at(67)).unwrap();
        breaker.report(third, Success, at(68), 0.0);
        assert!(breaker.admit(at(68)).is_ok());
    }

    // F65
    #[test]
    fn late_outcomes_of_an_earlier_period_are_ignored() {
        let mut breaker = breaker();
        let late = breaker.admit(at(0)).unwrap();
        report(&mut breaker, &[Failure; 5], at(0));
        breaker.report(late, Success, at(1), 0.0);
        assert_eq!(breaker.admit(at(1)), Err(at(5)));
        let probe = breaker.admit(at(5)).unwrap();
        breaker.report(late, Failure, at(5), 0.0);
        breaker.report(probe, Success, at(6), 0.0);
        breaker.report(late, Failure, at(7), 0.0);
        assert!(breaker.admit(at(7)).is_ok());
    }

    // F72
    #[test]
    fn the_end_of_the_open_period_is_jittered() {
        let mut breaker = breaker();
        for _ in 0..5 {
            let ticket = breaker.admit(at(0)).unwrap();
            breaker.report(ticket, Failure, at(0), 0.5);
        }
        let until = Time::ZERO.saturating_add(Duration::from_millis(5250));
        assert_eq!(breaker.admit(at(0)), Err(until));
    }

    proptest! {
        // F64, F70
        #[test]
        fn circuit_never_stays_open_longer_than_open_duration_and_probe(
            steps in vec((any::<u64>(), 0..4_u8), 0..200)
        ) {
            let mut breaker = breaker();
            let mut tickets = Vec::new();
            for (time, what) in steps {
                let now = Time::from_nanos(time);
                match breaker.admit(now) {
                    Ok(ticket) => tickets.push(ticket),
                    Err(until) => {
                        prop_assert!(until > now);
                        prop_assert!(breaker.admit(until).is_ok());
                        breaker.enter(State::Closed);
                    }
                }
                let outcome = [Success, Failure, Neutral].get(usize::from(what)).copied();
                if let (Some(outcome), Some(ticket)) = (outcome, tickets.pop()) {
                    breaker.report(ticket, outcome, now, 1.0);
                }
            }
        }
    }
}
