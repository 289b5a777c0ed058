//! Our clocks, and how far the wall clock is from that of a server.

use super::{Exchange, Operation, State, errors::is_signed};
use crate::{Error, ErrorKind, credentials::Moment};
use http::HeaderMap;
use std::time::{Duration, SystemTime};

impl<O: Operation> Exchange<O> {
    /// Both clocks as the transport has them, without what was learned of a server's.
    pub(super) fn moment(&self) -> Moment {
        let wall = self.start.wall_clock;
        let elapsed = self.now.saturating_since(self.start.now);
        Moment {
            now: self.now,
            wall: wall.checked_add(elapsed).unwrap_or(wall),
        }
    }

    /// The time to sign with: the server's, as far as it is known.
    pub(super) fn wall_clock_now(&self) -> SystemTime {
        shifted(self.moment().wall, self.skew)
    }

    /// A refused signature may be due to a wrong clock: takes the time of day from the response's `date`.
    /// Returns whether to sign and send again.
    pub(super) fn learn_clock_skew(&mut self, error: &Error) -> bool {
        let refused = matches!(
            error.kind(),
            ErrorKind::Authentication | ErrorKind::PermissionDenied
        );
        if self.clock_skew_retried
            || !refused
            || !is_signed(self.target.provider.auth())
            || self.is_over_time()
        {
            return false;
        }
        let State::Body {
            error_headers: Some(head),
            ..
        } = &self.state
        else {
            return false;
        };
        let Some(skew) = clock_skew(&head.headers, self.wall_clock_now()) else {
            return false;
        };
        self.clock_skew_retried = true;
        self.skew = self.skew.saturating_add(skew);
        true
    }
}

/// `wall` by a clock that is so many seconds ahead of ours.
pub(crate) fn shifted(wall: SystemTime, skew: i64) -> SystemTime {
    let shift = Duration::from_secs(skew.unsigned_abs());
    let shifted = match skew < 0 {
        true => wall.checked_sub(shift),
        false => wall.checked_add(shift),
    };
    shifted.unwrap_or(wall)
}

/// A clock difference below this does not invalidate a signature (AWS allows five minutes).
const TOLERATED_SKEW_SECONDS: i64 = 240;

/// The largest correction of the signing time. Without a limit, a server could obtain signatures for any future date.
/// A clock that runs on local time instead of UTC is off by at most 14 hours (UTC+14:00, the largest offset in IANA's
/// time zone database), plus an hour of daylight saving time. A clock that is further off must be corrected by its
/// user.
const MAX_SKEW_SECONDS: i64 = 15 * 60 * 60;

/// Server time minus ours in seconds, by the response's `date`; `None` if it does not explain a failed signature, or
/// exceeds the limit.
pub(crate) fn clock_skew(headers: &HeaderMap, wall: SystemTime) -> Option<i64> {
    let date = headers.get(http::header::DATE)?.to_str().ok()?;
    let server = httpdate::parse_http_date(date).ok()?;
    let skew = seconds_between(wall, server);
    (TOLERATED_SKEW_SECONDS..=MAX_SKEW_SECONDS)
        .contains(&skew.abs())
        .then_some(skew)
}

fn seconds_between(ours: SystemTime, theirs: SystemTime) -> i64 {
    let seconds = |d: Duration| i64::try_from(d.as_secs()).unwrap_or(i64::MAX);
    match theirs.duration_since(ours) {
        Ok(ahead) => seconds(ahead),
        Err(behind) => seconds(behind.duration()).saturating_neg(),
    }
}
