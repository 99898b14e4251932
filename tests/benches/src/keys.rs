//! The keys of a load: a fixed set of 16-byte keys, drawn at random.

/// A stream of numbers that is the same for the same seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts a stream.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let number = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    /// A number below `end`, which must not be 0. Slightly uneven, which no benchmark sees.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next_u64() % end
    }
}

/// The key of this number: 16 bytes, as `kvctl bench` makes them.
#[must_use]
pub fn key(number: u64) -> [u8; 16] {
    let mut key = *b"key0000000000000";
    let mut rest = number;
    for digit in key[3..].iter_mut().rev() {
        *digit += u8::try_from(rest % 10).expect("a digit is small");
        rest /= 10;
    }
    key
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_are_distinct_and_of_one_length() {
        let keys: BTreeSet<_> = (0..10_000).map(key).collect();
        assert_eq!(keys.len(), 10_000);
        assert_eq!(&key(9_074), b"key0000000009074");
    }
}
