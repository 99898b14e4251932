//! Decimal numbers, exactly: every node adds the same.

use std::fmt;

/// Digits behind the point, as many as Redis shows. What is spelled with more is rounded, a half
/// away from zero.
const PLACES: i32 = 17;

/// One, in units of the last place.
const ONE: i128 = 10_i128.pow(PLACES.unsigned_abs());

/// Exponents beyond this are no numbers that anybody adds to.
const EXPONENT_MAX: i32 = 400;

/// A number with 17 digits behind its point and about 21 before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal(i128);

impl Decimal {
    /// Nothing.
    pub(crate) const ZERO: Self = Self(0);

    /// The number that bytes spell: digits, at most one point among them, a sign before and an
    /// exponent behind them if need be.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (digits, exponent) = match text.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        if EXPONENT_MAX < exponent.abs() {
            return None;
        }
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let mut all = whole.bytes().chain(part.bytes());
        if whole.len() + part.len() == 0 || !all.all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // How many places the point must move to the right until units of the last place are
        // whole numbers.
        let point = i32::try_from(whole.len()).ok()? + exponent + PLACES;
        let (mut units, mut place) = (0_i128, 0);
        for digit in whole.bytes().chain(part.bytes()).map(|byte| i128::from(byte - b'0')) {
            if place < point {
                units = units.checked_mul(10)?.checked_add(digit)?;
            } else if place == point && 5 <= digit {
                units += 1;
            }
            place += 1;
        }
        while place < point && units != 0 {
            units = units.checked_mul(10)?;
            place += 1;
        }
        Some(Self(if is_negative { -units } else { units }))
    }

    /// The sum, unless it is too large.
    pub(crate) fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = self.0.unsigned_abs();
        let (whole, part) = (units / ONE.unsigned_abs(), units % ONE.unsigned_abs());
        let sign = if self.0 < 0 { "-" } else { "" };
        let part = format!("{part:017}");
        match part.trim_end_matches('0') {
            "" => write!(f, "{sign}{whole}"),
            part => write!(f, "{sign}{whole}.{part}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_written_and_others_are_not() {
        let table = [
            ("0", "0"),
            ("-0.0", "0"),
            ("3.0e3", "3000"),
            ("+10.50", "10.5"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1e-17", "0.00000000000000001"),
            ("5e-18", "0.00000000000000001"),
            ("4e-18", "0"),
            ("1E20", "100000000000000000000"),
            ("0e400", "0"),
        ];
        for (text, expected) in table {
            let number = Decimal::parse(text.as_bytes()).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(number.to_string(), expected, "{text}");
        }
        for text in ["", "-", ".", "e1", "1e", "1x", " 1", "1 ", "inf", "nan", "1e401", "1e30"] {
            assert_eq!(Decimal::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn sums_are_exact() {
        let sum = |one: &str, other: &str| {
            let [one, other] = [one, other].map(|text| Decimal::parse(text.as_bytes()).unwrap());
            one.plus(other).map(|sum| sum.to_string())
        };
        assert_eq!(sum("0.1", "0.2").as_deref(), Some("0.3"));
        assert_eq!(sum("10.5", "-10.6").as_deref(), Some("-0.1"));
        assert_eq!(sum("1e21", "1e21"), None);
    }
}
