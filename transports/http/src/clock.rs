//! The clocks of transports that have no clock of their own.

use std::{
    sync::OnceLock,
    time::{Duration, Instant, SystemTime},
};
use unifiedai_transport::Time;

static ORIGIN: OnceLock<Instant> = OnceLock::new();

/// The operating system's monotonic clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the transport hands the core its time"
)]
#[must_use]
pub fn instant() -> Instant {
    Instant::now()
}

/// The wall clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the transport hands the core its time"
)]
#[must_use]
pub fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// The monotonic clock of deadlines.
#[must_use]
pub fn now() -> Time {
    time_of(instant())
}

/// An instant as deadlines count time.
#[must_use]
pub fn time_of(instant: Instant) -> Time {
    Time::ZERO.saturating_add(instant.saturating_duration_since(origin()))
}

/// The instant of a deadline; `None` if an `Instant` cannot represent it.
#[must_use]
pub fn instant_of(at: Time) -> Option<Instant> {
    if at == Time::MAX {
        return None;
    }
    origin().checked_add(at.saturating_since(Time::ZERO))
}

/// An hour before its first use in this process, so that no runtime with a paused clock is before it.
fn origin() -> Instant {
    *ORIGIN.get_or_init(|| {
        let now = instant();
        now.checked_sub(Duration::from_secs(3600)).unwrap_or(now)
    })
}
