use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The beginning of a day, from `2026-11-30` or from the date of a longer time.
pub(crate) fn midnight(text: &str) -> Option<SystemTime> {
    let date = text.get(..10)?;
    let mut parts = date.split('-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let is_valid = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in_month(year, month)?).contains(&day)
        && parts.next().is_none();
    if !is_valid {
        return None;
    }
    let days_before: u64 = (1970..year)
        .map(|year| if is_leap(year) { 366 } else { 365 })
        .chain((1..month).filter_map(|month| days_in_month(year, month)))
        .sum();
    let days = days_before.checked_add(day)?.checked_sub(1)?;
    UNIX_EPOCH.checked_add(Duration::from_secs(days.checked_mul(86_400)?))
}

fn days_in_month(year: u64, month: u64) -> Option<u64> {
    const DAYS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    if month == 2 && is_leap(year) {
        return Some(29);
    }
    let index = usize::try_from(month.checked_sub(1)?).ok()?;
    DAYS.get(index).copied()
}

fn is_leap(year: u64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_since_1970() {
        let days = |text| {
            let since = midnight(text)?.duration_since(UNIX_EPOCH).ok()?;
            Some(since.as_secs() / 86_400)
        };
        assert_eq!(days("1970-01-01"), Some(0));
        assert_eq!(days("2000-03-01"), Some(11_017));
        assert_eq!(days("2024-02-29T12:00:00Z"), Some(19_782));
        assert_eq!(days("2026-11-30"), Some(20_787));
        for wrong in [
            "2023-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-1-1",
            "1969-12-31",
            "",
            "2026-11-31",
        ] {
            assert_eq!(days(wrong), None, "{wrong}");
        }
    }
}
