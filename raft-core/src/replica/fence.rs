//! Nodes compare their states: at every thousandth entry each tells the leader its hash, and
//! the leader tells all what a majority has. Whoever differs fences itself: it answers no
//! reads, leads nobody and gives nobody a snapshot, but votes and acknowledges, until its state
//! was replaced by a snapshot of somebody who agrees.

use std::collections::BTreeMap;

use crate::configuration::Configuration;
use crate::consensus::quorum::reached_by_majority;
use crate::types::{Index, NodeId};

/// How often states are compared. Units: entries.
pub const HASH_INTERVAL: u64 = 1_000;

/// How many comparisons may be under way; older ones are forgotten.
const CHECKPOINTS_MAX: usize = 64;

/// What became of a hash that somebody told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// Not enough voters have told theirs.
    Open,
    /// A majority has this hash.
    Agreed(u64),
    /// Every voter told its hash, and no majority agrees.
    Hopeless,
}

/// The hashes that are known, and whether this node's was wrong.
#[derive(Debug, Default)]
pub(crate) struct Fence {
    own: BTreeMap<Index, u64>,
    /// What nodes told this one while it led.
    told: BTreeMap<Index, BTreeMap<NodeId, u64>>,
    /// What majorities agree on, as far as this node has not come there.
    expected: BTreeMap<Index, u64>,
    is_fenced: bool,
}

impl Fence {
    /// Whether this node's state was found to differ.
    pub(crate) fn is_fenced(&self) -> bool {
        self.is_fenced
    }

    /// Notes this node's hash after the entry at `index`; returns whether it is wrong.
    pub(crate) fn note(&mut self, index: Index, hash: u64) -> bool {
        put(&mut self.own, index, hash);
        let expected = self.expected.remove(&index);
        self.compare(expected.is_some_and(|expected| expected != hash))
    }

    /// Notes, on the leader, what a member told.
    pub(crate) fn tell(
        &mut self,
        configuration: &Configuration,
        node: NodeId,
        (index, hash): (Index, u64),
    ) -> Comparison {
        let told = self.told.entry(index).or_default();
        told.insert(node, hash);
        // Whoever tells last may be the one that is wrong.
        let has_majority =
            |hash: &&u64| reached_by_majority(configuration, |id| told.get(&id) == Some(*hash));
        let all_told = configuration.all_voters().iter().all(|id| told.contains_key(id));
        let comparison = match (told.values().find(has_majority), all_told) {
            (Some(&agreed), _) => Comparison::Agreed(agreed),
            (None, true) => Comparison::Hopeless,
            (None, false) => Comparison::Open,
        };
        while CHECKPOINTS_MAX < self.told.len() {
            self.told.pop_first();
        }
        comparison
    }

    /// Notes what a majority has at `index`; returns whether this node's state is wrong.
    pub(crate) fn agreed(&mut self, index: Index, hash: u64) -> bool {
        let Some(own) = self.own.get(&index) else {
            put(&mut self.expected, index, hash);
            return false;
        };
        let differs = *own != hash;
        self.compare(differs)
    }

    fn compare(&mut self, differs: bool) -> bool {
        let is_news = differs && !self.is_fenced;
        self.is_fenced |= differs;
        is_news
    }

    /// Notes that the state was replaced by another one.
    pub(crate) fn replaced(&mut self) {
        self.own.clear();
        self.is_fenced = false;
    }
}

fn put(hashes: &mut BTreeMap<Index, u64>, index: Index, hash: u64) {
    hashes.insert(index, hash);
    while CHECKPOINTS_MAX < hashes.len() {
        hashes.pop_first();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> NodeId {
        NodeId::new(number).unwrap()
    }

    #[test]
    fn a_majority_decides_and_without_one_nobody_is_fenced() {
        let three = Configuration::of((1..=3).map(id));
        let at = Index(1_000);
        let mut fence = Fence::default();
        assert_eq!(fence.tell(&three, id(1), (at, 7)), Comparison::Open);
        assert_eq!(fence.tell(&three, id(2), (at, 8)), Comparison::Open);
        assert_eq!(fence.tell(&three, id(3), (at, 8)), Comparison::Agreed(8));
        let at = Index(1_500);
        for (node, hash) in [(1, 8), (2, 8)] {
            fence.tell(&three, id(node), (at, hash));
        }
        assert_eq!(fence.tell(&three, id(3), (at, 7)), Comparison::Agreed(8), "the last is wrong");
        let at = Index(2_000);
        for (node, hash) in [(1, 1), (2, 2)] {
            assert_eq!(fence.tell(&three, id(node), (at, hash)), Comparison::Open);
        }
        assert_eq!(fence.tell(&three, id(3), (at, 3)), Comparison::Hopeless);
        assert!(!fence.is_fenced());
    }

    #[test]
    fn who_differs_is_fenced_once_before_or_after_it_comes_there() {
        let mut early = Fence::default();
        assert!(!early.note(Index(1_000), 5));
        assert!(early.agreed(Index(1_000), 6) && !early.agreed(Index(1_000), 6));
        let mut late = Fence::default();
        assert!(!late.agreed(Index(1_000), 6));
        assert!(late.note(Index(1_000), 5) && late.is_fenced());
        late.replaced();
        assert!(!late.is_fenced() && !late.note(Index(1_000), 6));
    }
}
