//! Decimal numbers of seconds, exact to the nanosecond.

use std::time::Duration;

/// Reads `12`, `0.000434`, `.5` or `8.4e-05` seconds; what is negative, too large or no number is nothing.
///
/// A fraction finer than a nanosecond is cut off.
pub(crate) fn seconds(text: impl AsRef<[u8]>) -> Option<Duration> {
    let text = text.as_ref();
    let (seconds, length) = leading_seconds(text)?;
    (length == text.len()).then_some(seconds)
}

/// The same at the beginning of `text`, and how many bytes of it they take.
pub(crate) fn leading_seconds(text: &[u8]) -> Option<(Duration, usize)> {
    let (whole, mut length) = leading_digits(text);
    let (mut nanos, mut digits) = (0, length);
    if digits > MOST_DIGITS {
        return None;
    }
    if text.get(length) == Some(&b'.') {
        let fraction = text.get(length.wrapping_add(1)..).unwrap_or_default();
        let (nine, finer) = fraction.split_at(fraction.len().min(9));
        let (value, read) = leading_digits(nine);
        nanos = value.wrapping_mul(power_of_ten(9_usize.wrapping_sub(read)));
        digits = digits.wrapping_add(read);
        length = length.wrapping_add(1).wrapping_add(read);
        if read == 9 {
            let end = finer.iter().position(|byte| !byte.is_ascii_digit());
            length = length.wrapping_add(end.unwrap_or(finer.len()));
        }
    }
    if digits == 0 {
        return None;
    }
    if let Some(b'e' | b'E') = text.get(length) {
        return with_exponent(text, length, whole, nanos);
    }
    #[expect(clippy::cast_possible_truncation, reason = "nine digits")]
    Some((Duration::new(whole, nanos as u32), length))
}

/// A count without sign, point or exponent at the beginning of `text`, as far as it surely fits, and how many bytes it takes.
pub(crate) fn leading_count(text: &[u8]) -> Option<(u64, usize)> {
    let (count, length) = leading_digits(text);
    let plain = !matches!(text.get(length), Some(b'.' | b'e' | b'E'));
    (plain && (1..=MOST_DIGITS).contains(&length)).then_some((count, length))
}

/// As many digits as always fit 64 bits.
const MOST_DIGITS: usize = 19;

/// What the digits at the beginning stand for, unless they are more than [`MOST_DIGITS`], and how many they are.
fn leading_digits(text: &[u8]) -> (u64, usize) {
    let (mut value, mut length) = (0_u64, 0_usize);
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        length = length.wrapping_add(1);
    }
    (value, length)
}

/// `text` has an exponent at `mark`; what stands before it is `whole` seconds and `nanos`.
fn with_exponent(text: &[u8], mark: usize, whole: u64, nanos: u64) -> Option<(Duration, usize)> {
    let start = mark.wrapping_add(1);
    let sign = text.get(start).copied();
    let start = match sign {
        Some(b'-' | b'+') => start.wrapping_add(1),
        _ => start,
    };
    let (exponent, digits) = leading_digits(text.get(start..)?);
    if !(1..=MOST_DIGITS).contains(&digits) {
        return None;
    }
    let length = start.wrapping_add(digits);
    let all_nanos = whole
        .checked_mul(1_000_000_000)
        .and_then(|all| all.checked_add(nanos));
    let seconds = match (sign, all_nanos) {
        (Some(b'-'), Some(all)) => {
            let exponent = usize::try_from(exponent).unwrap_or(usize::MAX);
            // Beyond the powers that there are not a nanosecond is left.
            let nanos = all.checked_div(power_of_ten(exponent)).unwrap_or(0);
            Duration::from_nanos(nanos)
        }
        _ => {
            let number = std::str::from_utf8(text.get(..length)?).ok()?;
            Duration::try_from_secs_f64(number.parse().ok()?).ok()?
        }
    };
    Some((seconds, length))
}

/// 0 where it does not fit.
fn power_of_ten(exponent: usize) -> u64 {
    const POWERS: [u64; MOST_DIGITS + 1] = {
        let (mut powers, mut at) = ([1; MOST_DIGITS + 1], 1);
        while at <= MOST_DIGITS {
            powers[at] = 10 * powers[at - 1];
            at += 1;
        }
        powers
    };
    POWERS.get(exponent).copied().unwrap_or(0)
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
            ("8.42039999999999999999e-05", 84_203),
            ("123456789.123456789e-9", 123_456_789),
            ("1e-9", 1),
            ("9e-10", 0),
            ("9e-99999", 0),
            ("1e+2", 100_000_000_000),
            ("1E2", 100_000_000_000),
            ("1.25e1", 12_500_000_000),
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
