//! Which records changed in which revision, in the order of the revisions.
//!
//! It leads watches from a revision to what happened there, and compaction to what can be
//! forgotten.

use std::collections::VecDeque;

/// Changes in one block, at most.
const BLOCK_CHANGES_MAX: usize = 1024;

/// Every change since the compaction revision, that one included, and those before it that
/// are still to be forgotten.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    blocks: VecDeque<Block>,
    /// Changes of the first block that were taken.
    taken: usize,
}

#[derive(Clone, Debug)]
struct Block {
    first_revision: u64,
    /// By how much the revision is above the first one, and the place of the record; the
    /// highest bit is set if it is an item's.
    changes: Vec<(u32, u32)>,
    /// What the versions cost that these changes left behind. Units: bytes.
    cost_bytes: u64,
}

/// A record changed in `revision`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) place: Place,
}

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// Among the keys.
    Key(u32),
    /// Among the items of hashes and sets.
    Item(u32),
}

const ITEM: u32 = 1 << 31;

impl Place {
    fn code(self) -> u32 {
        match self {
            Self::Key(place) => place,
            Self::Item(place) => place | ITEM,
        }
    }

    fn of(code: u32) -> Self {
        if code & ITEM == 0 { Self::Key(code) } else { Self::Item(code & !ITEM) }
    }
}

impl Block {
    fn change(&self, at: usize) -> Option<Change> {
        let &(distance, place) = self.changes.get(at)?;
        let revision = self.first_revision + u64::from(distance);
        Some(Change { revision, place: Place::of(place) })
    }

    /// Where the changes from a revision on begin.
    fn position(&self, revision: u64) -> usize {
        let distance = revision.saturating_sub(self.first_revision);
        self.changes.partition_point(|&(other, _)| u64::from(other) < distance)
    }
}

impl Changes {
    /// Adds a change, which left a version behind that costs so much.
    ///
    /// Panics: if a later revision is there already.
    pub(crate) fn push(&mut self, Change { revision, place }: Change, cost_bytes: u64) {
        let last = self.last().map_or(0, |change| change.revision);
        assert!(last <= revision, "revisions come in order");
        let distance = |block: &Block| u32::try_from(revision - block.first_revision).ok();
        let fits = |block: &&mut Block| block.changes.len() < BLOCK_CHANGES_MAX;
        if let Some(block) = self.blocks.back_mut().filter(fits)
            && let Some(distance) = distance(block)
        {
            block.changes.push((distance, place.code()));
            block.cost_bytes += cost_bytes;
            return;
        }
        let changes = vec![(0, place.code())];
        self.blocks.push_back(Block { first_revision: revision, changes, cost_bytes });
    }

    /// The last change.
    pub(crate) fn last(&self) -> Option<Change> {
        let block = self.blocks.back()?;
        block.change(block.changes.len() - 1)
    }

    /// Takes the last change back, which left a version behind that cost so much. Everything is
    /// as it was before its `push` then.
    pub(crate) fn pop(&mut self, cost_bytes: u64) {
        let Some(block) = self.blocks.back_mut() else { return };
        block.changes.pop();
        block.cost_bytes -= cost_bytes;
        if block.changes.is_empty() {
            self.blocks.pop_back();
        }
    }

    /// Takes the first change away if it is of a revision below this one.
    pub(crate) fn take_first(&mut self, below: u64) -> Option<Change> {
        let block = self.blocks.front_mut()?;
        let change = block.change(self.taken).filter(|change| change.revision < below)?;
        self.taken += 1;
        if self.taken == block.changes.len() {
            self.blocks.pop_front();
            self.taken = 0;
        }
        Some(change)
    }

    /// The changes that are taken next, if they are of revisions below this one.
    pub(crate) fn first(&self, below: u64) -> impl Iterator<Item = Change> {
        let block = self.blocks.front();
        let at = self.taken..block.map_or(0, |block| block.changes.len());
        let changes = at.filter_map(move |at| block.and_then(|block| block.change(at)));
        changes.take_while(move |change| change.revision < below)
    }

    /// The changes from a revision on.
    pub(crate) fn since(&self, revision: u64) -> impl Iterator<Item = Change> {
        // A block may begin with further changes of the revision that the one before ends with.
        let begun = match self.blocks.back() {
            // Most who ask want the newest revision of all.
            Some(newest) if newest.first_revision < revision => self.blocks.len(),
            Some(_) | None => self.blocks.partition_point(|block| block.first_revision < revision),
        };
        let first = begun.saturating_sub(1);
        let blocks = self.blocks.range(first..).enumerate();
        blocks.flat_map(move |(number, block)| {
            let taken = if first + number == 0 { self.taken } else { 0 };
            let from = if number == 0 { block.position(revision).max(taken) } else { taken };
            (from..block.changes.len()).filter_map(|at| block.change(at))
        })
    }

    /// Frees up to so many blocks of changes that nobody needs any more; returns how many.
    pub(super) fn free(&mut self, count: usize) -> usize {
        (0..count).map_while(|_| self.blocks.pop_front()).count()
    }

    /// What the versions cost that were left behind above a revision, by whole blocks.
    pub(crate) fn cost_bytes_above(&self, revision: u64) -> u64 {
        let blocks = self.blocks.iter().rev();
        blocks.take_while(|block| revision < block.first_revision).map(|b| b.cost_bytes).sum()
    }

    /// The first revision above which the versions left behind cost no more than this, by whole
    /// blocks.
    pub(crate) fn revision_within(&self, cost_bytes_max: u64) -> u64 {
        let mut sum = 0;
        let fits = |block: &&Block| {
            sum += block.cost_bytes;
            sum <= cost_bytes_max
        };
        let oldest = self.blocks.iter().rev().take_while(fits).last();
        oldest.map_or_else(
            || self.last().map_or(0, |change| change.revision),
            |block| block.first_revision - 1,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_out_as_they_went_in() {
        let mut changes = Changes::default();
        let place = |n: u32| if n.is_multiple_of(2) { Place::Key(n) } else { Place::Item(n) };
        // Three changes in each revision, so that revisions lie across blocks.
        let all: Vec<Change> = (0..9_000u32)
            .map(|n| Change { revision: 2 + u64::from(n / 3), place: place(n) })
            .collect();
        all.iter().for_each(|&change| changes.push(change, 10));
        assert_eq!(changes.since(0).collect::<Vec<_>>(), all);
        for revision in [1, 2, 3, 342, 343, 344, 1_000, 3_001, 3_002] {
            let expected: Vec<Change> =
                all.iter().copied().filter(|change| revision <= change.revision).collect();
            assert_eq!(changes.since(revision).collect::<Vec<_>>(), expected, "{revision}");
        }
        for (count, below) in [(0, 2), (3, 3), (1_500, 503), (0, 503), (3_000, 1_503)] {
            let taken = std::iter::from_fn(|| changes.take_first(below)).count();
            assert_eq!(taken, count, "below {below}");
            let rest: Vec<Change> = changes.since(0).collect();
            assert!(rest.iter().all(|change| below <= change.revision));
        }
        assert_eq!(changes.last(), Some(all[8_999]));
        assert_eq!(changes.since(0).count(), 9_000 - 4_503);
        let late = Change { revision: 1 << 40, place: Place::Key(1) };
        changes.push(late, 0);
        assert_eq!(changes.last(), Some(late));
    }

    #[test]
    fn what_is_taken_back_was_never_there() {
        let push = |changes: &mut Changes, revision, n: u64| {
            let place = Place::Key(u32::try_from(n).expect("a small number"));
            changes.push(Change { revision, place }, n);
        };
        for (before, forgotten) in [(0, 0), (1, 0), (1_023, 0), (1_024, 0), (2_500, 1_500)] {
            let mut changes = Changes::default();
            (0..before).for_each(|n| push(&mut changes, 2 + n, n));
            while changes.take_first(2 + forgotten).is_some() {}
            let known = format!("{changes:?}");
            for (count, revision) in [(1, 1 + before), (3_000, 3 + before), (5, 1 << 40)] {
                (0..count).for_each(|n| push(&mut changes, revision, n));
                (0..count).rev().for_each(|n| changes.pop(n));
                assert_eq!(format!("{changes:?}"), known, "{before} and {count}");
            }
        }
    }

    #[test]
    fn costs_are_counted_by_blocks() {
        let mut changes = Changes::default();
        assert_eq!((changes.cost_bytes_above(0), changes.revision_within(5)), (0, 0));
        (0..10_240).for_each(|n| changes.push(Change { revision: 2 + n, place: Place::Key(0) }, 1));
        assert_eq!(changes.cost_bytes_above(1), 10_240);
        assert_eq!(changes.cost_bytes_above(2), 9_216);
        assert_eq!(changes.revision_within(20_000), 1);
        let revision = changes.revision_within(5_000);
        assert_eq!(changes.cost_bytes_above(revision), 4_096);
        assert_eq!(changes.revision_within(10), 10_241);
    }
}
