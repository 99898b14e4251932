//! Patterns as Redis has them, of keys and of channels: `*`, `?`, `[a-c]`, `[^a]` and `\` before
//! a byte.

/// Whether a pattern matches all of a text. In time that grows with both, however many stars.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut place) = (0, 0);
    // Behind the last star, and how much of the text it has swallowed.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            star = Some((at, place));
            continue;
        }
        match (text.get(place), at < pattern.len()) {
            (None, has_more) => return !has_more,
            (Some(&byte), true) => {
                let (is_match, next) = one(pattern, at, byte);
                if is_match {
                    (at, place) = (next, place + 1);
                    continue;
                }
            }
            (Some(_), false) => {}
        }
        let Some((behind, swallowed)) = star else { return false };
        star = Some((behind, swallowed + 1));
        (at, place) = (behind, swallowed + 1);
    }
}

/// Whether one element of the pattern matches a byte, and where the next one begins.
fn one(pattern: &[u8], at: usize, byte: u8) -> (bool, usize) {
    match pattern[at] {
        b'?' => (true, at + 1),
        b'[' => class(pattern, at + 1, byte),
        b'\\' if at + 1 < pattern.len() => (pattern[at + 1] == byte, at + 2),
        other => (other == byte, at + 1),
    }
}

fn class(pattern: &[u8], mut at: usize, byte: u8) -> (bool, usize) {
    let is_negated = pattern.get(at) == Some(&b'^');
    at += usize::from(is_negated);
    let mut is_in = false;
    loop {
        match pattern[at.min(pattern.len())..] {
            [] => break,
            [b']', ..] => {
                at += 1;
                break;
            }
            [b'\\', escaped, ..] => {
                is_in |= escaped == byte;
                at += 2;
            }
            [first, b'-', last, ..] => {
                is_in |= (first.min(last)..=first.max(last)).contains(&byte);
                at += 3;
            }
            [other, ..] => {
                is_in |= other == byte;
                at += 1;
            }
        }
    }
    (is_in != is_negated, at)
}

/// The bytes with which everything begins that the pattern matches.
pub(crate) fn prefix(pattern: &[u8]) -> &[u8] {
    let end = pattern.iter().position(|byte| b"*?[\\".contains(byte));
    &pattern[..end.unwrap_or(pattern.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_redis() {
        let table: [(&[u8], &[u8], bool); 22] = [
            (b"", b"", true),
            (b"*", b"", true),
            (b"*", b"abc", true),
            (b"a*c", b"abbc", true),
            (b"a*c", b"abbd", false),
            (b"a?c", b"abc", true),
            (b"a?c", b"ac", false),
            (b"h[ae]llo", b"hello", true),
            (b"h[ae]llo", b"hillo", false),
            (b"h[^e]llo", b"hallo", true),
            (b"h[^e]llo", b"hello", false),
            (b"h[a-b]llo", b"hbllo", true),
            (b"h[b-a]llo", b"hallo", true),
            (b"h\\*llo", b"h*llo", true),
            (b"h\\*llo", b"hello", false),
            (b"[\\]]", b"]", true),
            (b"[abc", b"c", true),
            (b"abc", b"abcd", false),
            (b"abc*", b"ab", false),
            (b"*a*b*", b"xxaxxbxx", true),
            (b"**", b"x", true),
            (b"a\\", b"a\\", true),
        ];
        for (pattern, text, expected) in table {
            let (p, t) = (pattern.escape_ascii(), text.escape_ascii());
            assert_eq!(matches(pattern, text), expected, "{p} and {t}");
        }
    }

    #[test]
    fn many_stars_take_no_more_time() {
        let (pattern, text) = (b"*a".repeat(1_000), b"b".repeat(20_000));
        assert!(!matches(&pattern, &text));
        assert_eq!(prefix(b"user:*:name"), b"user:");
        assert_eq!(prefix(b"plain"), b"plain");
    }
}
