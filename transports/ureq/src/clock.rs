use std::{
    mem,
    sync::OnceLock,
    time::{Duration, Instant, SystemTime},
};
use unifiedai_transport::Time;
use ureq::{
    Timeout,
    unversioned::transport::{NextTimeout, time::Duration as Wait},
};

static ORIGIN: OnceLock<Instant> = OnceLock::new();

pub(crate) fn now() -> Time {
    let now = instant();
    let origin = *ORIGIN.get_or_init(|| now);
    Time::ZERO.saturating_add(now.saturating_duration_since(origin))
}

/// The time left until `at`, or `None` if there is no limit.
pub(crate) fn left(at: Time) -> Option<Duration> {
    (at != Time::MAX).then(|| at.saturating_since(now()))
}

/// How long a socket is waited for. When time is up, `overtime` gives a millisecond, once.
pub(crate) fn timeout(at: Time, reason: Timeout, overtime: &mut bool) -> NextTimeout {
    let after = match left(at) {
        Some(Duration::ZERO) if mem::take(overtime) => Wait::from_millis(1),
        Some(left) => Wait::Exact(round_up(left)),
        None => Wait::NotHappening,
    };
    NextTimeout {
        after,
        reason,
        ..NextTimeout::default()
    }
}

/// To whole milliseconds: a socket's timeout is no finer, and the same one as before needs no system call.
fn round_up(left: Duration) -> Duration {
    let nanos = left.subsec_nanos() % 1_000_000;
    let missing = if nanos == 0 {
        0
    } else {
        1_000_000_u32.saturating_sub(nanos)
    };
    left.saturating_add(Duration::from_nanos(missing.into()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "sleeping is the transport's part"
)]
pub(crate) fn sleep_until(at: Time) {
    std::thread::sleep(left(at).unwrap_or(Duration::MAX));
}

#[expect(
    clippy::disallowed_methods,
    reason = "the transport hands the core its time"
)]
fn instant() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the transport hands the core its time"
)]
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_whole_milliseconds() {
        let micros = Duration::from_micros;
        assert_eq!(round_up(micros(1)), micros(1000));
        assert_eq!(round_up(micros(1500)), micros(2000));
        assert_eq!(round_up(micros(2000)), micros(2000));
        assert_eq!(round_up(Duration::MAX), Duration::MAX);
    }

    #[test]
    fn overtime_is_given_once() {
        let mut overtime = true;
        let mut after = || timeout(Time::ZERO, Timeout::RecvBody, &mut overtime).after;
        assert_eq!(after(), Wait::from_millis(1));
        assert_eq!(after(), Wait::from_millis(0));
    }
}
