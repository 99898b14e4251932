//! Numbers in commands, as strictly as Redis reads them.

use super::plan::Refused;

pub(super) const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";

/// A whole number in the one form that it is written in.
pub(super) fn integer(text: &[u8]) -> Result<i64, Refused> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
    let is_plain = |text: &[u8]| matches!(text, b"0" | [b'-', b'1'..=b'9', ..] | [b'1'..=b'9', ..]);
    number.filter(|_| is_plain(text)).ok_or(NOT_AN_INTEGER.into())
}

/// Whether text spells a decimal number. The store reads it exactly; here only its form counts.
pub(super) fn check_decimal(text: &[u8]) -> Result<(), Refused> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    number
        .filter(|number| number.is_finite())
        .map(|_| ())
        .ok_or("ERR value is not a valid float".into())
}

/// A moment or a length of time in a command, in milliseconds from now; none or less is the
/// past.
///
/// Errors: as Redis, which names the command.
pub(super) fn ttl_ms(
    (text, unit_ms): (&[u8], i64),
    is_moment: bool,
    (now_ms, command): (u64, &str),
) -> Result<i64, Refused> {
    let invalid = || Refused::from(format!("ERR invalid expire time in '{command}' command"));
    let number = integer(text)?.checked_mul(unit_ms).ok_or_else(invalid)?;
    let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
    if is_moment {
        return Ok(number.saturating_sub(now_ms));
    }
    number.checked_add(now_ms).ok_or_else(invalid)?;
    Ok(number)
}
