//! Times as people write them.

use std::time::Duration;

/// The units of a time, and what each is in seconds.
const UNITS: [(&str, f64); 4] = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0)];

/// Reads a time: a decimal number of seconds, or of the unit behind it (`ms`, `s`, `m`, `h`).
/// `None` for anything else, and for what is negative or endless.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (_, seconds) = match unit {
        "" => ("", 1.0),
        unit => *UNITS.iter().find(|(name, _)| *name == unit)?,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

/// Writes a time in seconds, without zeros at its end.
pub(crate) fn spell(ms: u64) -> String {
    let (whole, rest) = (ms / 1_000, ms % 1_000);
    if rest == 0 {
        return whole.to_string();
    }
    format!("{whole}.{rest:03}").trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_what_the_unit_says() {
        for (text, ms) in [("1", 1_000), ("0.5", 500), ("1500ms", 1_500), ("2s", 2_000)] {
            assert_eq!(parse(text), Some(Duration::from_millis(ms)), "{text}");
        }
        assert_eq!(parse("1.5m"), Some(Duration::from_secs(90)));
        assert_eq!(parse("2h"), Some(Duration::from_secs(7_200)));
        for text in ["", "s", "-1", "1d", "1 s", "1sm", "nan", "inf", "1e400", "0x10"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!([0, 5, 1_000, 1_500, 61_020].map(spell), ["0", "0.005", "1", "1.5", "61.02"]);
    }
}
