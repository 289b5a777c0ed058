use std::{
    sync::OnceLock,
    time::{Duration, Instant, SystemTime},
};
use unifiedai_transport::Time;

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
