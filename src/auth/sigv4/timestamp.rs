//! The time of a signature.

use crate::{Error, ErrorKind};
use std::time::{SystemTime, UNIX_EPOCH};

/// A time as `20250102T030405Z`.
pub(super) struct Timestamp {
    pub(super) text: String,
}

impl Timestamp {
    pub(super) fn new(wall: SystemTime) -> Result<Self, Error> {
        let unsigned = || {
            Error::new(
                ErrorKind::InvalidRequest,
                "the clock's year cannot be used in a signature: it must be between 1970 and 9999",
            )
        };
        let seconds = wall
            .duration_since(UNIX_EPOCH)
            .map_err(|_| unsigned())?
            .as_secs();
        let (year, month, day) = civil(seconds / 86_400).ok_or_else(unsigned)?;
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        let text = format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z");
        Ok(Timestamp { text })
    }

    pub(super) fn day(&self) -> &str {
        self.text.get(..8).unwrap_or_default()
    }
}

/// The year, month and day that is this many days after 1970-01-01; `None` after 9999.
fn civil(days: u64) -> Option<(u64, u64, u64)> {
    let mut rest = days;
    for year in 1970..10_000 {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let (february, length) = if leap { (29, 366) } else { (28, 365) };
        if let Some(later) = u64::checked_sub(rest, length) {
            rest = later;
            continue;
        }
        let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        for (month, length) in (1..).zip(months) {
            match u64::checked_sub(rest, length) {
                Some(later) => rest = later,
                None => return Some((year, month, rest.saturating_add(1))),
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::sigv4::testing::{EXAMPLE_SECONDS, at};
    use std::time::Duration;

    #[test]
    fn dates() {
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (68_169_599, "19720228T235959Z"),
            (68_169_600, "19720229T000000Z"),
            (951_782_400, "20000229T000000Z"),
            (EXAMPLE_SECONDS, "20150830T123600Z"),
            (1_735_787_045, "20250102T030405Z"),
            (4_107_542_399, "21000228T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
            (253_402_300_799, "99991231T235959Z"),
        ] {
            assert_eq!(Timestamp::new(at(seconds)).unwrap().text, text);
        }
        for wall in [
            UNIX_EPOCH - Duration::from_nanos(1),
            at(253_402_300_800),
            at(i64::MAX as u64),
        ] {
            assert_eq!(
                Timestamp::new(wall)
                    .map(|time| time.text)
                    .unwrap_err()
                    .kind(),
                ErrorKind::InvalidRequest
            );
        }
        let mut last = String::new();
        for day in 0..100_000 {
            let text = Timestamp::new(at(day * 86_400)).unwrap().text;
            assert!(last < text, "{last} {text}");
            last = text;
        }
    }
}
