//! Dates of RFC 3339.
//!
//! The crate `time` parses them too. It brings five crates, with which the tree of the core would have more than the 25 that CI
//! allows. `httpdate`, which is in the tree, parses HTTP dates only.

use std::time::{Duration, SystemTime};

/// `2026-11-22T18:00:00Z`, with or without fractions, or with a UTC offset (`-07:00`) from a local Ollama.
pub(crate) fn rfc3339(text: &str) -> Option<SystemTime> {
    let (date, time) = text.trim_ascii().split_once('T')?;
    if let Some(time) = time.strip_suffix('Z') {
        return utc(date, time);
    }
    let at = time.rfind(['+', '-'])?;
    let (time, zone) = time.split_at_checked(at)?;
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes): (u64, u64) = (hours.parse().ok()?, minutes.parse().ok()?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let minutes = hours.checked_mul(60)?.checked_add(minutes)?;
    let offset = Duration::from_secs(minutes.checked_mul(60)?);
    let clock = utc(date, time)?;
    match zone.starts_with('-') {
        true => clock.checked_add(offset),
        false => clock.checked_sub(offset),
    }
}

/// A time from 1970 on as `2026-11-22T18:00:00Z`, without its fraction of a second.
#[cfg(feature = "bedrock")]
pub(crate) fn rfc3339_text(moment: SystemTime) -> String {
    let seconds = moment
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    // Counted in eras of 400 years that begin on the first of March, so that a leap day is the last day of a year.
    let days = (seconds / 86_400).saturating_add(719_468);
    let (era, day) = (days / 146_097, days % 146_097);
    let leaps = (day / 1460)
        .saturating_sub(day / 36_524)
        .saturating_add(day / 146_096);
    let year = day.saturating_sub(leaps) / 365;
    let before_year = year
        .saturating_mul(365)
        .saturating_add(year / 4)
        .saturating_sub(year / 100);
    let day = day.saturating_sub(before_year);
    let month = day.saturating_mul(5).saturating_add(2) / 153;
    let before_month = month.saturating_mul(153).saturating_add(2) / 5;
    let day = day.saturating_sub(before_month).saturating_add(1);
    let (month, next_year) = match month {
        0..10 => (month.saturating_add(3), 0),
        _ => (month.saturating_sub(9), 1),
    };
    let year = era
        .saturating_mul(400)
        .saturating_add(year)
        .saturating_add(next_year);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// A time in UTC.
fn utc(date: &str, time: &str) -> Option<SystemTime> {
    let numbers = |text: &str, separator: char| -> Option<[u64; 3]> {
        let mut parts = text.split(separator).map(|part| part.parse::<u64>().ok());
        let found = [parts.next()??, parts.next()??, parts.next()??];
        parts.next().is_none().then_some(found)
    };
    let [year, month, day] = numbers(date, '-')?;
    let (clock, _fraction) = time.split_once('.').unwrap_or((time, ""));
    let [hour, minute, second] = numbers(clock, ':')?;
    if !(1970..=9999).contains(&year) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_since_1970(year, month)?.checked_add(day.checked_sub(1)?)?;
    let (next_year, next_month) = match month {
        12 => (year.checked_add(1)?, 1),
        _ => (year, month.checked_add(1)?),
    };
    if days >= days_since_1970(next_year, next_month)? {
        return None;
    }
    let seconds = [(days, 86_400), (hour, 3600), (minute, 60), (second, 1)]
        .into_iter()
        .try_fold(0_u64, |sum, (count, size)| {
            sum.checked_add(count.checked_mul(size)?)
        })?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Days from 1970 to the first day of a month, for years from 1970 on.
fn days_since_1970(year: u64, month: u64) -> Option<u64> {
    const BEFORE_MONTH: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let past = year.checked_sub(1)?;
    let leap_days = |year: u64| {
        year.checked_div(4)?
            .checked_sub(year.checked_div(100)?)?
            .checked_add(year.checked_div(400)?)
    };
    let is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let before_month = BEFORE_MONTH.get(usize::try_from(month.checked_sub(1)?).ok()?)?;
    year.checked_sub(1970)?
        .checked_mul(365)?
        .checked_add(leap_days(past)?.checked_sub(leap_days(1969)?)?)?
        .checked_add(*before_month)?
        .checked_add(u64::from(is_leap && month > 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "bedrock")]
    #[test]
    fn a_moment_is_written_as_it_is_read() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2024-02-29T12:34:56Z",
            "9999-12-31T23:59:59Z",
        ] {
            assert_eq!(rfc3339_text(rfc3339(text).unwrap()), text);
        }
        for day in (0..60_000).step_by(7) {
            let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(day * 86_400 + day);
            assert_eq!(rfc3339(&rfc3339_text(moment)), Some(moment));
        }
    }

    #[test]
    fn an_rfc_3339_date_equals_the_http_date() {
        for (rfc, http) in [
            ("1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ("2000-02-29T23:59:59Z", "Tue, 29 Feb 2000 23:59:59 GMT"),
            ("2026-11-22T18:00:30.123Z", "Sun, 22 Nov 2026 18:00:30 GMT"),
            ("2100-03-01T00:00:00Z", "Mon, 01 Mar 2100 00:00:00 GMT"),
            (
                "2026-11-22T17:15:40.188-07:00",
                "Mon, 23 Nov 2026 00:15:40 GMT",
            ),
            ("2026-11-22T01:00:00+05:30", "Sat, 21 Nov 2026 19:30:00 GMT"),
            ("2000-03-01T00:00:00Z", "Wed, 01 Mar 2000 00:00:00 GMT"),
            ("2026-01-01T23:59:00+23:59", "Thu, 01 Jan 2026 00:00:00 GMT"),
            ("2016-12-31T23:59:60Z", "Sun, 01 Jan 2017 00:00:00 GMT"),
            ("2023-03-01T00:00:00Z", "Wed, 01 Mar 2023 00:00:00 GMT"),
            ("2024-02-29T12:34:56Z", "Thu, 29 Feb 2024 12:34:56 GMT"),
            ("2024-03-01T00:00:00Z", "Fri, 01 Mar 2024 00:00:00 GMT"),
            ("9999-12-31T23:59:59Z", "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(rfc3339(rfc), httpdate::parse_http_date(http).ok(), "{rfc}");
        }
        for junk in [
            "",
            "2026",
            "2026-11-22",
            "2026-11-22T18:00:00",
            "2026-11-22T18:00:00+1",
            "2026-11-22T18:00:00-99:00",
            "2026-11-22T18:00:00+é1:00",
            "2026-00-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-32T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2024-02-30T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-12-32T00:00:00Z",
            "1969-12-31T00:00:00Z",
            "10000-01-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:61Z",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00+00:60",
            "2026-01-01-01T00:00:00Z",
            "x-y-zTa:b:cZ",
        ] {
            assert_eq!(rfc3339(junk), None, "{junk}");
        }
    }
}
