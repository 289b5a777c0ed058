//! The time of day, as far as a server tells it better than the clock at hand.

use super::{
    Exchange, Operation, State,
    explain::{is_signed, seconds_between},
};
use crate::{Error, ErrorKind};
use std::time::{Duration, SystemTime};

/// Clocks that differ by less than this are no reason for a failed signature (AWS allows five minutes).
const TOLERATED_SKEW_SECONDS: i64 = 240;

/// A server moves the date of a signature by no more than this: otherwise it could have requests signed for any day to come. A
/// clock that shows local time where UTC is meant is off by at most 14 hours (UTC+14:00, the largest offset in the time zone
/// database of IANA), with an hour for a change of daylight saving time that it missed. A clock that is further off has to be
/// set.
const MOST_SKEW_SECONDS: i64 = 15 * 60 * 60;

impl<O: Operation> Exchange<O> {
    /// A signature that was refused although the key is known may be wrong by our clock: the answer's date tells (F95b).
    pub(super) fn learn_skew(&mut self, error: &Error) -> bool {
        let refused = matches!(
            error.kind(),
            ErrorKind::Authentication | ErrorKind::PermissionDenied
        );
        if self.resigned || !refused || !is_signed(self.provider.auth()) || self.is_over_time() {
            return false;
        }
        let State::Body {
            refusal: Some(head),
            ..
        } = &self.state
        else {
            return false;
        };
        let date = head
            .headers
            .get(http::header::DATE)
            .and_then(|date| date.to_str().ok());
        let Some(server) = date.and_then(|date| httpdate::parse_http_date(date).ok()) else {
            return false;
        };
        let skew = seconds_between(self.wall(), server);
        if !(TOLERATED_SKEW_SECONDS..=MOST_SKEW_SECONDS).contains(&skew.abs()) {
            return false;
        }
        self.resigned = true;
        self.skew = self.skew.saturating_add(skew);
        true
    }

    pub(super) fn wall(&self) -> SystemTime {
        let wall = self
            .start
            .wall
            .checked_add(self.now.saturating_since(self.start.now));
        let wall = wall.unwrap_or(self.start.wall);
        let shift = Duration::from_secs(self.skew.unsigned_abs());
        let shifted = if self.skew < 0 {
            wall.checked_sub(shift)
        } else {
            wall.checked_add(shift)
        };
        shifted.unwrap_or(wall)
    }
}
