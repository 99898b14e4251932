//! How much slower time passes for a cluster that is played with than it does outside.

use std::fmt;
use std::str::FromStr;

/// A time scale: 2 is half as fast, 0.5 twice as fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeScale {
    /// Units: hundredths.
    pub percent: u64,
}

impl TimeScale {
    /// The least and the most. Units: hundredths.
    const PERCENT_MIN: u64 = 10;
    const PERCENT_MAX: u64 = 10_000;

    /// Time as it passes outside.
    pub const NONE: Self = Self { percent: 100 };

    /// The scale of so many hundredths.
    ///
    /// Errors: one line that says what can be had.
    pub fn of_percent(percent: u64) -> Result<Self, String> {
        if (Self::PERCENT_MIN..=Self::PERCENT_MAX).contains(&percent) {
            return Ok(Self { percent });
        }
        Err("give a number from 0.1 to 100, such as 10 or 0.5".to_owned())
    }

    /// A time as long as it is to be, at least a millisecond.
    #[must_use]
    pub fn of_ms(self, ms: u64) -> u64 {
        (ms.saturating_mul(self.percent) / 100).max(1)
    }
}

impl FromStr for TimeScale {
    type Err = String;

    /// Reads a number of times with at most two digits behind the point.
    fn from_str(text: &str) -> Result<Self, String> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        let hundredths = match part.len() {
            0..=2 if is_number(whole) && is_number(part) => {
                format!("{whole}{part:0<2}").parse().ok()
            }
            _ => None,
        };
        Self::of_percent(hundredths.unwrap_or(0))
    }
}

impl fmt::Display for TimeScale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.percent / 100, self.percent % 100);
        match part {
            0 => write!(f, "{whole}"),
            _ if part.is_multiple_of(10) => write!(f, "{whole}.{}", part / 10),
            _ => write!(f, "{whole}.{part:02}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_stretched_by_a_number_with_two_digits_behind_the_point() {
        for (text, ms) in [("1", 250), ("10", 2_500), ("0.5", 125), ("1.25", 312), ("0.1", 25)] {
            let scale: TimeScale = text.parse().unwrap();
            assert_eq!((scale.of_ms(250), scale.to_string().as_str()), (ms, text));
        }
        for text in ["", "0", "0.05", "101", "-1", "1.001", "x", "1e1", "."] {
            let error = text.parse::<TimeScale>().unwrap_err();
            assert!(error.contains("from 0.1 to 100"), "{text}: {error}");
        }
    }
}
