//! Percent-encoding of any bytes.

use std::fmt::{self, Write as _};

/// What a plus sign stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plus {
    /// In a path.
    IsItself,
    /// In a query, where forms and `URLSearchParams` write it so.
    IsBlank,
}

/// Whether a slash is written as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slash {
    /// In a path.
    IsItself,
    /// In a query.
    IsEncoded,
}

/// The bytes that `text` stands for, which are never more; `None` if a percent sign has not two
/// digits behind it.
pub(super) fn decode(text: &[u8], plus: Plus) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        bytes.push(match first {
            b'%' => {
                let (digits, behind) = rest.split_first_chunk::<2>()?;
                rest = behind;
                digit(digits[0])? << 4 | digit(digits[1])?
            }
            b'+' if plus == Plus::IsBlank => b' ',
            other => other,
        });
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    let value = char::from(byte).to_digit(16)?;
    u8::try_from(value).ok()
}

/// Writes the bytes with nothing in them that means something in an address.
pub(super) fn encode(bytes: &[u8], slash: Slash, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for &byte in bytes {
        let is_plain = byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        if is_plain || byte == b'/' && slash == Slash::IsItself {
            f.write_char(char::from(byte))?;
        } else {
            write!(f, "%{byte:02X}")?;
        }
    }
    Ok(())
}
