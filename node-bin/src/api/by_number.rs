//! What is found by a number that the node has given out itself.
//!
//! Each request and each answer looks up its connection. Nobody else chooses these numbers, so
//! none can be chosen to be slow, and a hash that withstands that is not needed.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Odd, so that different numbers have different hashes.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// A map whose keys the node counts upwards.
pub(super) type ByNumber<T> = HashMap<u64, T, BuildHasherDefault<NumberHasher>>;

/// Spreads numbers that follow each other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(FACTOR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_follow_each_other_are_found_and_lie_apart() {
        let mut known = ByNumber::default();
        let numbers = (0..20_000).chain((0..20_000).map(|number| number | 1 << 63));
        numbers.clone().for_each(|number| assert_eq!(known.insert(number, number), None));
        assert!(numbers.clone().all(|number| known[&number] == number));
        // The table looks at the highest seven bits before it looks at a key.
        let hashed = |number: u64| {
            let mut hasher = NumberHasher::default();
            hasher.write_u64(number);
            hasher.finish() >> 57
        };
        let mut tags = [0; 128];
        numbers.for_each(|number| tags[usize::try_from(hashed(number)).unwrap()] += 1);
        assert!(tags.iter().all(|&count| (200..450).contains(&count)), "{tags:?}");
    }
}
