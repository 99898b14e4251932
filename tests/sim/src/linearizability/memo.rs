//! What the search has looked at already.

use std::collections::HashMap;
use std::hash::Hash;

use crate::linearizability::timeline::Ranks;

/// Operations of unknown outcome that have taken effect, by their number among those.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Used(Vec<u64>);

impl Used {
    pub(super) fn contains(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    pub(super) fn with(&self, number: usize) -> Self {
        let mut words = self.0.clone();
        words.resize(words.len().max(number / 64 + 1), 0);
        words[number / 64] |= 1 << (number % 64);
        Self(words)
    }

    pub(super) fn is_part_of(&self, other: &Self) -> bool {
        let others = other.0.iter().chain(std::iter::repeat(&0));
        self.0.iter().zip(others).all(|(word, other)| word & !other == 0)
    }
}

/// Sets of answered operations with the state that they left and the unknown operations that
/// it took. Nobody goes through the table, so its order does not matter.
#[derive(Debug)]
pub(super) struct Memo<S> {
    seen: HashMap<(Ranks, S), Vec<Used>>,
}

impl<S: Eq + Hash> Memo<S> {
    pub(super) fn new() -> Self {
        Self { seen: HashMap::new() }
    }

    /// Notes something, and returns whether it has to be looked at: not if somebody was there
    /// with the same unknown operations or with a part of them.
    pub(super) fn is_new(&mut self, linearized: Ranks, state: S, used: &Used) -> bool {
        let known = self.seen.entry((linearized, state)).or_default();
        if known.iter().any(|known| known.is_part_of(used)) {
            return false;
        }
        known.retain(|known| !used.is_part_of(known));
        known.push(used.clone());
        true
    }
}
