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
        let read;
        (nanos, read) = leading_fraction(fraction);
        digits = digits.wrapping_add(read);
        length = length.wrapping_add(1).wrapping_add(read);
    }
    if digits == 0 {
        return None;
    }
    if let Some(b'e' | b'E') = text.get(length) {
        if length.checked_sub(1).and_then(|last| text.get(last)) == Some(&b'.') {
            return None;
        }
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

/// The digits at the beginning as billionths, what is finer cut off, and how many they are.
fn leading_fraction(text: &[u8]) -> (u64, usize) {
    if let Some((eight, finer)) = text.split_first_chunk::<8>() {
        if let Some(value) = eight_digits(*eight) {
            let digits = digits(finer);
            let ninth = finer.first().filter(|_| digits > 0);
            let ninth = ninth.map_or(0, |byte| u64::from(byte.wrapping_sub(b'0')));
            let nanos = value.wrapping_mul(10).wrapping_add(ninth);
            return (nanos, digits.wrapping_add(8));
        }
    }
    let (value, digits) = leading_digits(text.get(..8).unwrap_or(text));
    let nanos = value.wrapping_mul(power_of_ten(9_usize.wrapping_sub(digits)));
    (nanos, digits)
}

/// How many digits there are at the beginning.
fn digits(text: &[u8]) -> usize {
    let mut rest = text;
    while let Some((eight, more)) = rest.split_first_chunk::<8>() {
        if !are_digits(u64::from_le_bytes(*eight)) {
            break;
        }
        rest = more;
    }
    let end = rest.iter().position(|byte| !byte.is_ascii_digit());
    let rest = rest.len().wrapping_sub(end.unwrap_or(rest.len()));
    text.len().wrapping_sub(rest)
}

const ONES: u64 = u64::MAX / 255;

fn are_digits(eight: u64) -> bool {
    // What is below 0 borrows and what is above 9 carries into its top bit.
    let below = eight.wrapping_sub(ONES.wrapping_mul(0x30));
    let above = eight.wrapping_add(ONES.wrapping_mul(0x46));
    (eight | below | above) & ONES.wrapping_mul(0x80) == 0
}

/// What eight digits stand for: neighbours are added up to pairs, pairs to fours, and those to the number.
fn eight_digits(eight: [u8; 8]) -> Option<u64> {
    let eight = u64::from_le_bytes(eight);
    if !are_digits(eight) {
        return None;
    }
    let ones = eight & ONES.wrapping_mul(0xf);
    let pairs = ones.wrapping_mul(10).wrapping_add(ones >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    let number = fours.wrapping_mul(10_000).wrapping_add(fours >> 32);
    Some(number & 0xffff_ffff)
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
    #[expect(
        clippy::indexing_slicing,
        reason = "the compiler would say if it were out of bounds"
    )]
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
        assert_eq!(seconds(most.to_string()), Some(Duration::from_secs(most)));
        assert_eq!(seconds(format!("0{most}")), None);
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
        fn a_fraction_is_cut_wherever_it_ends(fraction in "[0-9]{0,24}", behind in "[e/:x\u{7f}]?.{0,9}") {
            let text = format!("7.{fraction}{behind}");
            let mut nanos = format!("{fraction:0<9}");
            nanos.truncate(9);
            let read = fraction.len() + behind.bytes().take_while(u8::is_ascii_digit).count();
            prop_assume!(read == fraction.len() && !behind.starts_with(['e', 'E']));
            let expected = Duration::new(7, nanos.parse().unwrap());
            prop_assert_eq!(leading_seconds(text.as_bytes()), Some((expected, read + 2)));
        }

        #[test]
        fn eight_bytes_are_a_number_if_all_are_digits(eight in prop_oneof!["[0-9]{8}", "[0-9]{3}.[0-9]{4}", "[ -~]{8}"]) {
            let Ok(bytes) = <[u8; 8]>::try_from(eight.as_bytes()) else {
                return Ok(());
            };
            let digits = eight.bytes().all(|byte| byte.is_ascii_digit());
            prop_assert_eq!(eight_digits(bytes), eight.parse().ok().filter(|_| digits));
        }

        #[test]
        fn agrees_with_floating_point(value in 0.0..1e9_f64) {
            let read = seconds(format!("{value:.12}")).unwrap();
            prop_assert!((read.as_secs_f64() - value).abs() < 1e-6);
        }
    }
}
