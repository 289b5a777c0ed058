//! Decimal numbers of seconds, exact to the nanosecond.

use std::time::Duration;

/// Reads `12`, `0.000434`, `.5` or `8.4e-05` seconds; what is negative, too large or no number is nothing.
///
/// A fraction finer than a nanosecond is cut off.
pub(crate) fn seconds(text: &str) -> Option<Duration> {
    let mut seconds = 0_u64;
    let mut nanos = 0_u32;
    // What the next digit of the fraction is worth, in nanoseconds; `None` before the point.
    let mut place = None;
    let mut digits = 0_usize;
    for byte in text.bytes() {
        match (byte, place) {
            (b'0'..=b'9', None) => {
                let digit = u64::from(byte & 0xf);
                seconds = seconds.checked_mul(10)?.checked_add(digit)?;
            }
            (b'0'..=b'9', Some(worth)) => {
                nanos = nanos.saturating_add(u32::from(byte & 0xf).saturating_mul(worth));
                place = Some(worth / 10);
            }
            (b'.', None) => {
                place = Some(100_000_000);
                continue;
            }
            (b'e' | b'E', _) => return Duration::try_from_secs_f64(text.parse().ok()?).ok(),
            _ => return None,
        }
        digits = digits.saturating_add(1);
    }
    (digits > 0).then(|| Duration::new(seconds, nanos))
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
