//! The keys and values of a load, the same for every protocol.

/// Sixteen bytes: `key` and thirteen digits.
pub(super) fn key(number: u64) -> [u8; 16] {
    let mut key = *b"key0000000000000";
    let mut rest = number;
    for byte in key[3..].iter_mut().rev() {
        *byte = b'0' + u8::try_from(rest % 10).expect("a digit is small");
        rest /= 10;
    }
    key
}

/// So many letters and digits.
pub(super) fn value(bytes: usize, chance: &mut fastrand::Rng) -> Vec<u8> {
    std::iter::repeat_with(|| chance.alphanumeric())
        .map(|letter| u8::try_from(letter).expect("letters and digits are ASCII"))
        .take(bytes)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sixteen_bytes() {
        assert_eq!(&key(0), b"key0000000000000");
        assert_eq!(&key(99_999), b"key0000000099999");
    }

    #[test]
    fn values_have_the_length_that_was_asked_for() {
        let mut chance = fastrand::Rng::with_seed(1);
        assert_eq!(value(0, &mut chance), b"");
        assert_eq!(value(300, &mut chance).len(), 300);
    }
}
