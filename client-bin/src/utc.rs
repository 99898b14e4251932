//! Times as dates, by the proleptic Gregorian calendar (Hinnant 2013, `civil_from_days` and
//! `days_from_civil`).

/// Days from the first of March of the year 0 to the first of January 1970.
const DAYS_BEFORE_1970: u64 = 719_468;

const DAYS_PER_ERA: u64 = 146_097;

/// A time since 1970 as `2025-12-31T23:59:59Z`. Units: milliseconds.
#[must_use]
pub fn date(unix_ms: u64) -> String {
    let (seconds, days) = (unix_ms / 1_000 % 86_400, unix_ms / 86_400_000 + DAYS_BEFORE_1970);
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The time that a date in this form names, or a number of seconds, in microseconds since 1970;
/// `None` if it is neither.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    if let Ok(seconds) = text.parse::<u64>() {
        return seconds.checked_mul(1_000_000);
    }
    let (day, time) = text.strip_suffix('Z')?.split_once('T')?;
    let numbers = |text: &str, mark| -> Option<[u64; 3]> {
        let parts: Vec<u64> = text.split(mark).map(|it| it.parse().ok()).collect::<Option<_>>()?;
        parts.try_into().ok()
    };
    let ([year, month, day], [hour, minute, second]) = (numbers(day, '-')?, numbers(time, ':')?);
    let is_date = (1970..10_000).contains(&year) && (1..13).contains(&month);
    if !is_date || !(1..32).contains(&day) || 23 < hour || 59 < minute || 59 < second {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let month_from_march = if 2 < month { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * DAYS_PER_ERA + day_of_era).checked_sub(DAYS_BEFORE_1970)?;
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    // A day that its month has not names another date.
    let unix_us = seconds * 1_000_000;
    (date(seconds * 1_000) == text).then_some(unix_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates_and_dates_are_times() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:34:56Z", 951_827_696),
            ("2025-12-31T23:59:59Z", 1_767_225_599),
        ] {
            assert_eq!(date(seconds * 1_000 + 789), text);
            assert_eq!(parse(text), Some(seconds * 1_000_000));
        }
        assert_eq!(parse("1767225599"), Some(1_767_225_599_000_000));
        for text in [
            "",
            "yesterday",
            "2025-02-30T00:00:00Z",
            "2025-12-31T24:00:00Z",
            "2025-12-31T23:59:59",
            "2025-12-31",
            "1969-12-31T00:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
