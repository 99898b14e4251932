//! A line of words, with quotes as redis-cli and telnet users type them.

use std::ops::Range;

/// A quote is not closed, or something stands right behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unbalanced;

/// Splits a line at its blanks, and undoes quotes and escapes in place: what a word stands for
/// is never longer than the word. Appends where the words lie then.
pub(super) fn split(line: &mut [u8], words: &mut Vec<Range<usize>>) -> Result<(), Unbalanced> {
    let (mut at, mut to) = (0, 0);
    loop {
        while line.get(at).is_some_and(|&byte| is_blank(byte)) {
            at += 1;
        }
        if at == line.len() {
            return Ok(());
        }
        // Words are moved to the front only, so what is unread stays as it is.
        to = to.min(at);
        let start = to;
        while let Some(&byte) = line.get(at) {
            if is_blank(byte) {
                break;
            }
            at += 1;
            if byte == b'"' || byte == b'\'' {
                at = quoted(line, (at, &mut to), byte)?;
                break;
            }
            line[to] = byte;
            to += 1;
        }
        words.push(start..to);
    }
}

fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0 || byte == 0x0b
}

/// Undoes what stands between quotes, from behind the first one on; returns where the line goes
/// on, which must be at a blank.
fn quoted(
    line: &mut [u8],
    (mut at, to): (usize, &mut usize),
    quote: u8,
) -> Result<usize, Unbalanced> {
    loop {
        let &byte = line.get(at).ok_or(Unbalanced)?;
        at += 1;
        let meant = if byte == quote {
            let is_end = line.get(at).is_none_or(|&next| is_blank(next));
            return if is_end { Ok(at) } else { Err(Unbalanced) };
        } else if byte == b'\\' && quote == b'"' {
            let &escaped = line.get(at).ok_or(Unbalanced)?;
            at += 1;
            match (escaped, line.get(at), line.get(at + 1)) {
                (b'x', Some(&high), Some(&low))
                    if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
                {
                    at += 2;
                    digit(high) << 4 | digit(low)
                }
                (b'n', ..) => b'\n',
                (b'r', ..) => b'\r',
                (b't', ..) => b'\t',
                (b'b', ..) => 0x08,
                (b'a', ..) => 0x07,
                (other, ..) => other,
            }
        } else if byte == b'\\' && line.get(at) == Some(&b'\'') {
            at += 1;
            b'\''
        } else {
            byte
        };
        line[*to] = meant;
        *to += 1;
    }
}

fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => byte - b'A' + 10,
    }
}
