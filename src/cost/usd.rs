use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{
    fmt,
    iter::Sum,
    ops::{Add, AddAssign, Sub, SubAssign},
    str::FromStr,
};

/// An exact amount of US dollars, with up to 18 decimal places.
///
/// Prices per token are small decimals, which binary fractions cannot represent; sums of this type have no rounding
/// error. Arithmetic stops at the largest amount, about 1.7 × 10²⁰ dollars.
///
/// ```
/// use unifiedai::cost::Usd;
/// let per_token: Usd = "0.00000015".parse()?;
/// assert_eq!((per_token * 3_000).to_string(), "0.00045");
/// # Ok::<(), unifiedai::cost::InvalidUsd>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(i128);

/// 10⁻¹⁸ dollars, the unit in which amounts are counted.
const UNITS: i128 = 1_000_000_000_000_000_000;
const SIZE_OF_ONE: u128 = UNITS.unsigned_abs();
const PLACES: usize = 18;

impl Usd {
    /// Nothing.
    pub const ZERO: Usd = Usd(0);

    /// Creates an amount from whole cents.
    #[must_use]
    pub fn from_cents(cents: i64) -> Self {
        Usd(i128::from(cents).saturating_mul(UNITS / 100))
    }

    /// The part of this amount for one of `count`: the price of one token from the price of a million. `None` if the
    /// result has more than 18 decimal places, or if `count` is zero.
    #[must_use]
    pub fn checked_div_exact(self, count: u64) -> Option<Self> {
        let count = i128::from(count);
        let is_exact = self.0.checked_rem(count)? == 0;
        is_exact.then(|| self.0.checked_div(count).map(Usd))?
    }

    /// The amount in units of 10⁻¹⁸ dollars.
    pub(crate) fn units(self) -> i128 {
        self.0
    }

    pub(crate) fn from_units(units: i128) -> Self {
        Usd(units)
    }

    /// This amount as a binary fraction, for charts and metrics. The result can be inexact.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "the documentation says that the result can be inexact"
    )]
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / UNITS as f64
    }
}

impl Add for Usd {
    type Output = Usd;

    fn add(self, other: Usd) -> Usd {
        Usd(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Usd {
    fn add_assign(&mut self, other: Usd) {
        *self = Add::add(*self, other);
    }
}

impl Sub for Usd {
    type Output = Usd;

    fn sub(self, other: Usd) -> Usd {
        Usd(self.0.saturating_sub(other.0))
    }
}

impl SubAssign for Usd {
    fn sub_assign(&mut self, other: Usd) {
        *self = Sub::sub(*self, other);
    }
}

impl std::ops::Mul<u64> for Usd {
    type Output = Usd;

    fn mul(self, count: u64) -> Usd {
        Usd(self.0.saturating_mul(count.into()))
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Usd>>(amounts: I) -> Usd {
        amounts.fold(Usd::ZERO, Add::add)
    }
}

impl fmt::Display for Usd {
    /// Writes a plain decimal number without a currency sign: `0.00045`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.unsigned_abs();
        let (whole, rest) = (size / SIZE_OF_ONE, size % SIZE_OF_ONE);
        let mut text = whole.to_string();
        if rest > 0 {
            let places = format!("{rest:0PLACES$}");
            text.push('.');
            text.push_str(places.trim_end_matches('0'));
        }
        f.pad_integral(self.0 >= 0, "", &text)
    }
}

impl fmt::Debug for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Usd({self})")
    }
}

/// A text that is no amount of dollars.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an amount of dollars: expected a decimal number with up to 18 places, such as 0.15 or 1.5e-7"
)]
pub struct InvalidUsd(String);

impl FromStr for Usd {
    type Err = InvalidUsd;

    /// Reads a decimal number, also one with an exponent. A number that would have to be rounded is an error.
    fn from_str(text: &str) -> Result<Self, InvalidUsd> {
        parse(text).ok_or_else(|| InvalidUsd(text.chars().take(64).collect()))
    }
}

fn parse(text: &str) -> Option<Usd> {
    let (is_negative, number) = match text.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, text),
    };
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (number, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() || (mantissa.contains('.') && fraction.is_empty()) {
        return None;
    }
    // Zeros at the end need no decimal places.
    let fraction = fraction.trim_end_matches('0');
    let mut units: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        let digit = i128::from(digit.is_ascii_digit().then_some(digit)?.checked_sub(b'0')?);
        // Counted below zero, where there is one amount more.
        units = units.checked_mul(10)?.checked_sub(digit)?;
    }
    let places = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    let shift = i32::try_from(PLACES).ok()?.checked_sub(places)?;
    let scale = 10_i128.checked_pow(shift.unsigned_abs());
    let units = match (units, shift >= 0) {
        (0, _) => 0,
        (_, true) => units.checked_mul(scale?)?,
        (_, false) => {
            let scale = scale?;
            (units.checked_rem(scale)? == 0).then(|| units.checked_div(scale))??
        }
    };
    match is_negative {
        true => Some(Usd(units)),
        false => units.checked_neg().map(Usd),
    }
}

impl Serialize for Usd {
    /// Writes a string, because JSON numbers are read as binary fractions by many programs.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn usd(text: &str) -> Usd {
        text.parse().unwrap()
    }

    #[test]
    fn decimals_are_exact() {
        for (text, shown) in [
            ("0", "0"),
            ("1", "1"),
            ("0.15", "0.15"),
            ("1.50", "1.5"),
            ("1.5e-7", "0.00000015"),
            ("1.5E-07", "0.00000015"),
            ("2e1", "20"),
            ("-0.25", "-0.25"),
            ("0.000000000000000001", "0.000000000000000001"),
            ("10e-19", "0.000000000000000001"),
            ("0e-99", "0"),
            (
                "170141183460469231731.687303715884105727",
                "170141183460469231731.687303715884105727",
            ),
        ] {
            assert_eq!(usd(text).to_string(), shown, "{text}");
        }
        let tenth: Usd = std::iter::repeat_n(usd("0.1"), 10).sum();
        assert_eq!(tenth, usd("1"));
        assert_eq!(
            usd("2.50").checked_div_exact(1_000_000),
            Some(usd("0.0000025"))
        );
        assert_eq!(usd("1").checked_div_exact(3), None);
        assert_eq!(usd("1").checked_div_exact(0), None);
        assert_eq!(Usd::from_cents(-125), usd("-1.25"));
        assert_eq!(format!("{:>6}", usd("0.5")), "   0.5");
    }

    #[test]
    fn a_number_that_would_be_rounded_is_refused() {
        for text in [
            "",
            "-",
            ".5",
            "5.",
            "1,5",
            "1e",
            "1e99",
            "0x1",
            "+1",
            "1 ",
            "1e-19",
            "0.0000000000000000001",
            "1e21",
            "NaN",
            "1.5e-7.5",
        ] {
            let error = text.parse::<Usd>().unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(units: i128) {
            let amount = Usd(units);
            prop_assert_eq!(amount.to_string().parse(), Ok(amount));
            let json = serde_json::to_string(&amount).unwrap();
            prop_assert_eq!(serde_json::from_str::<Usd>(&json).unwrap(), amount);
        }

        #[test]
        fn sums_do_not_depend_on_their_order(a in -1_000_000_i64..1_000_000, b in -1_000_000_i64..1_000_000, count in 0_u64..1000) {
            let (a, b) = (Usd::from_cents(a), Usd::from_cents(b));
            prop_assert_eq!(a + b - b, a);
            prop_assert_eq!((a + b) * count, b * count + a * count);
        }
    }
}
