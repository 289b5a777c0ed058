//! Decimal numbers of seconds, exact to the nanosecond.

use std::time::Duration;

/// Parses `12`, `0.000434`, `.5` or `8.4e-05` seconds. `None` for negative, too large or invalid numbers.
///
/// A fraction below a nanosecond is truncated.
pub(crate) fn seconds(text: impl AsRef<[u8]>) -> Option<Duration> {
    only_seconds(text.as_ref())
}

fn only_seconds(text: &[u8]) -> Option<Duration> {
    let (seconds, behind) = leading_seconds(text)?;
    behind.is_empty().then_some(seconds)
}

/// [`seconds`] at the beginning of `text`, and the rest.
#[inline(always)]
pub(crate) fn leading_seconds(text: &[u8]) -> Option<(Duration, &[u8])> {
    let (whole, behind) = leading_digits(text);
    let digits = length_before(behind, text);
    if digits > MAX_DIGITS {
        return None;
    }
    let (mut nanos, mut end) = (0, behind);
    if let [b'.', fraction @ ..] = behind {
        (nanos, end) = leading_fraction(fraction);
        if end.len() == fraction.len() {
            let plain = digits > 0 && !matches!(end, [b'e' | b'E', ..]);
            return plain.then_some((Duration::from_secs(whole), end));
        }
    } else if digits == 0 {
        return None;
    }
    if let [b'e' | b'E', exponent @ ..] = end {
        return with_exponent(text, exponent, whole, nanos);
    }
    #[expect(clippy::cast_possible_truncation, reason = "nine digits")]
    Some((Duration::new(whole, nanos as u32), end))
}

/// An unsigned integer without point or exponent at the beginning of `text`, if it certainly fits, and the rest.
#[inline(always)]
pub(crate) fn count_before(text: &[u8]) -> Option<(u64, &[u8])> {
    let (count, behind) = leading_digits(text);
    if let [b'.' | b'e' | b'E', ..] = behind {
        return None;
    }
    let digits = length_before(behind, text);
    (1..=MAX_DIGITS)
        .contains(&digits)
        .then_some((count, behind))
}

/// The number of digits at the beginning.
#[inline(never)]
pub(crate) fn digits(text: &[u8]) -> usize {
    let mut rest = text;
    while let Some((eight, more)) = rest.split_first_chunk::<8>() {
        let others = others(from_digits(*eight));
        if others != 0 {
            return length_before(rest, text).wrapping_add(digits_before(others));
        }
        rest = more;
    }
    let end = rest.iter().position(|byte| !byte.is_ascii_digit());
    length_before(rest, text).wrapping_add(end.unwrap_or(rest.len()))
}

/// The number of digits that always fit 64 bits.
const MAX_DIGITS: usize = 19;

/// The length of `text` without its suffix `behind`.
fn length_before(behind: &[u8], text: &[u8]) -> usize {
    text.len().wrapping_sub(behind.len())
}

/// The value of the digits at the beginning, unless there are more than [`MAX_DIGITS`], and the rest.
#[inline(always)]
fn leading_digits(text: &[u8]) -> (u64, &[u8]) {
    let (mut value, mut rest) = (0_u64, text);
    while let [digit @ b'0'..=b'9', behind @ ..] = rest {
        let digit = digit.wrapping_sub(b'0');
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        rest = behind;
    }
    (value, rest)
}

/// The digits at the beginning as billionths, truncated, and the rest.
#[inline(always)]
fn leading_fraction(text: &[u8]) -> (u64, &[u8]) {
    if let Some((eight, finer)) = text.split_first_chunk::<8>() {
        let eight = from_digits(*eight);
        let others = others(eight);
        let below = others & others.wrapping_neg();
        // Bytes after the fraction count as zeros.
        let nanos = number(eight & (below >> 7).wrapping_sub(1)).wrapping_mul(10);
        if others != 0 {
            let behind = text.get(digits_before(others)..).unwrap_or_default();
            return (nanos, behind);
        }
        let [ninth @ b'0'..=b'9', ..] = finer else {
            return (nanos, finer);
        };
        let behind = finer.get(digits(finer)..).unwrap_or_default();
        let ninth = ninth.wrapping_sub(b'0').into();
        return (nanos.wrapping_add(ninth), behind);
    }
    let (value, behind) = leading_digits(text);
    let digits = length_before(behind, text);
    let nanos = value.wrapping_mul(power_of_ten(9_usize.wrapping_sub(digits)));
    (nanos, behind)
}

const ONES: u64 = u64::MAX / 255;

/// Eight bytes, the first one lowest; digits are converted to their values.
fn from_digits(eight: [u8; 8]) -> u64 {
    u64::from_le_bytes(eight) ^ ONES.wrapping_mul(b'0' as u64)
}

/// The top bit of each byte that is not a digit. Above the lowest match it may be set wrongly.
fn others(eight: u64) -> u64 {
    (eight.wrapping_add(ONES.wrapping_mul(0x76)) | eight) & ONES.wrapping_mul(0x80)
}

fn digits_before(others: u64) -> usize {
    (others.trailing_zeros() / 8) as usize
}

/// The value of eight digits: neighbours are combined to pairs, pairs to fours, and those to the number.
fn number(ones: u64) -> u64 {
    let pairs = ones.wrapping_mul(10).wrapping_add(ones >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    let number = fours.wrapping_mul(10_000).wrapping_add(fours >> 32);
    number & 0xffff_ffff
}

/// `text` began with `whole` seconds and `nanos`; an exponent follows.
#[inline(never)]
fn with_exponent<'a>(
    text: &'a [u8],
    exponent: &'a [u8],
    whole: u64,
    nanos: u64,
) -> Option<(Duration, &'a [u8])> {
    let (is_negative, start) = match exponent {
        [b'-', start @ ..] => (true, start),
        [b'+', start @ ..] => (false, start),
        _ => (false, exponent),
    };
    let (exponent, behind) = leading_digits(start);
    if !(1..=MAX_DIGITS).contains(&length_before(behind, start)) {
        return None;
    }
    let all_nanos = whole
        .checked_mul(1_000_000_000)
        .and_then(|all| all.checked_add(nanos));
    let seconds = match all_nanos {
        Some(all) if is_negative => {
            let exponent = usize::try_from(exponent).unwrap_or(usize::MAX);
            // For larger powers less than a nanosecond remains.
            let nanos = all.checked_div(power_of_ten(exponent)).unwrap_or(0);
            Duration::from_nanos(nanos)
        }
        _ => {
            let number = text.get(..length_before(behind, text))?;
            let number = std::str::from_utf8(number).ok()?;
            Duration::try_from_secs_f64(number.parse().ok()?).ok()?
        }
    };
    Some((seconds, behind))
}

/// 0 if it does not fit.
fn power_of_ten(exponent: usize) -> u64 {
    #[expect(clippy::indexing_slicing, reason = "checked at compile time")]
    const POWERS: [u64; MAX_DIGITS + 1] = {
        let (mut powers, mut at) = ([1; MAX_DIGITS + 1], 1);
        while at <= MAX_DIGITS {
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
    fn bytes_outside_ascii_are_not_digits() {
        for byte in 0x80..=0xff {
            for before in ["0.1234567", "1", "0.", "0.123456781234567"] {
                assert_eq!(seconds([before.as_bytes(), &[byte]].concat()), None);
            }
        }
    }

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
    fn seconds_with_nineteen_digits_are_read() {
        let most = 9_999_999_999_999_999_999;
        assert_eq!(seconds(most.to_string()), Some(Duration::from_secs(most)));
        assert_eq!(seconds(format!("0{most}")), None);
    }

    #[test]
    fn invalid_seconds_are_none() {
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
            "5.e1",
            "5.e-1",
            " 1",
            "-1e2",
            "99999999999999999999",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_fraction_ends_at_any_position(fraction in "[0-9]{0,24}", behind in "[e/:x\u{7f}]?.{0,9}") {
            let text = format!("7.{fraction}{behind}");
            let mut nanos = format!("{fraction:0<9}");
            nanos.truncate(9);
            let read = fraction.len() + behind.bytes().take_while(u8::is_ascii_digit).count();
            prop_assume!(read == fraction.len() && !behind.starts_with(['e', 'E']));
            let expected = Duration::new(7, nanos.parse().unwrap());
            let behind = behind.as_bytes();
            prop_assert_eq!(leading_seconds(text.as_bytes()), Some((expected, behind)));
        }

        #[test]
        fn digits_end_at_any_position(text in prop_oneof!["[0-9]{0,30}", "[0-9]{0,20}[ -~]?.{0,9}", ".{0,9}"]) {
            let expected = text.bytes().take_while(u8::is_ascii_digit).count();
            prop_assert_eq!(digits(text.as_bytes()), expected);
        }

        #[test]
        fn agrees_with_floating_point(value in 0.0..1e9_f64) {
            let read = seconds(format!("{value:.12}")).unwrap();
            prop_assert!((read.as_secs_f64() - value).abs() < 1e-6);
        }
    }
}
