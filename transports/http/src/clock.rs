//! The clocks of transports that have no clock of their own.

use std::{
    sync::OnceLock,
    time::{Instant, SystemTime},
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

/// The monotonic clock of deadlines: the time since its first use in this process.
#[must_use]
pub fn now() -> Time {
    let origin = *ORIGIN.get_or_init(instant);
    Time::ZERO.saturating_add(instant().saturating_duration_since(origin))
}

/// The instant of a deadline; `None` if an `Instant` cannot represent it.
#[must_use]
pub fn instant_of(at: Time) -> Option<Instant> {
    if at == Time::MAX {
        return None;
    }
    let origin = *ORIGIN.get_or_init(instant);
    origin.checked_add(at.saturating_since(Time::ZERO))
}
