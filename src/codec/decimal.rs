//! Decimal numbers of seconds, exact to the nanosecond.

use std::time::Duration;

/// Reads `12`, `0.000434`, `.5` or `8.4e-05` seconds; what is negative, too large or no number is nothing.
///
/// A fraction finer than a nanosecond is cut off.
pub(crate) fn seconds(text: &str) -> Option<Duration> {
    let bytes = text.as_bytes();
    let whole = digits(bytes);
    let (fraction, rest) = match whole.1 {
        [b'.', fraction @ ..] => digits(fraction),
        rest => (&[][..], rest),
    };
    match rest {
        [] if whole.0.is_empty() && fraction.is_empty() => None,
        [] => Some(Duration::new(number(whole.0)?, nanos(fraction))),
        [b'e' | b'E', ..] => Duration::try_from_secs_f64(text.parse().ok()?).ok(),
        _ => None,
    }
}

/// The digits at the beginning, and what follows them.
pub(crate) fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

/// What digits stand for, where that surely fits.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    // As many as always fit.
    if digits.len() > 19 {
        return None;
    }
    let add = |sum: u64, byte: &u8| sum.wrapping_mul(10).wrapping_add(u64::from(byte & 0xf));
    Some(digits.iter().fold(0, add))
}

fn nanos(fraction: &[u8]) -> u32 {
    let nine = fraction.get(..9).unwrap_or(fraction);
    let add = |sum: u32, byte: &u8| sum.wrapping_mul(10).wrapping_add(u32::from(byte & 0xf));
    let missing = 9_usize.saturating_sub(nine.len());
    let scale = [
        1,
        10,
        100,
        1_000,
        10_000,
        100_000,
        1_000_000,
        10_000_000,
        100_000_000,
        0,
    ];
    let scale = scale.get(missing).copied().unwrap_or(0);
    nine.iter().fold(0, add).wrapping_mul(scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_decimals_are_exact() {
        for (text, nanos) in [
            ("0", 0),
            ("1", 1_000_000_000),
            ("1.5", 1_500_000_000),
            (".5", 500_000_000),
            ("5.", 5_000_000_000),
            ("0.00043400000000000003", 434_000),
            ("0.0000000019", 1),
            ("57.481203079223633", 57_481_203_079),
            ("8.4203e-05", 84_203),
            ("1E2", 100_000_000_000),
        ] {
            let expected = Duration::from_nanos(nanos);
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn as_many_seconds_are_read_as_have_nineteen_digits() {
        let most = 9_999_999_999_999_999_999;
        assert_eq!(seconds(&most.to_string()), Some(Duration::from_secs(most)));
        assert_eq!(seconds(&format!("0{most}")), None);
    }

    #[test]
    fn what_is_no_number_of_seconds_is_nothing() {
        for text in [
            "",
            ".",
            "-1",
            "+1",
            "1.2.3",
            "1x",
            "x",
            "e",
            "1e",
            "inf",
            "NaN",
            "1e400",
            " 1",
            "-1e2",
            "99999999999999999999",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_floating_point(value in 0.0..1e9_f64) {
            let read = seconds(&format!("{value:.12}")).unwrap();
            prop_assert!((read.as_secs_f64() - value).abs() < 1e-6);
        }
    }
}
