//! In which order the changes of a revision were made, as snapshots tell it.
//!
//! The order of the keys, each before its items, goes without saying. Of a revision that was
//! made in another one a snapshot has the ranks: for each change, in the order in which they
//! were made, its place in the order of the keys.

use super::Keyspace;
use super::changes::{Change, Place};

/// Changes that are looked at for one part of a snapshot, about: a fraction of a millisecond.
pub(crate) const LOOKED_AT_MAX: usize = 8_192;

/// The ranks of the changes of a revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sequence {
    pub(crate) revision: u64,
    pub(crate) ranks: Vec<u32>,
}

/// What a walk over the revisions came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Walked {
    /// To a revision with a sequence of its own.
    To(Sequence),
    /// Up to before this revision, and that is enough at once.
    Before(u64),
    /// To the end.
    End,
}

impl Keyspace {
    /// Looks for the next revision of some that was made in another order than that of the keys.
    /// One revision is looked at in one step, however many changes it has. `looked_at` grows by
    /// the changes that were, and it is enough at `LOOKED_AT_MAX`.
    pub(crate) fn next_sequence(&self, from: u64, to: u64, looked_at: &mut usize) -> Walked {
        let mut changes = self.changes.since(from).take_while(|it| it.revision <= to).peekable();
        let mut places: Vec<Place> = Vec::new();
        while let Some(Change { revision, place }) = changes.next() {
            if LOOKED_AT_MAX <= *looked_at {
                return Walked::Before(revision);
            }
            places.clear();
            places.push(place);
            while let Some(change) = changes.next_if(|change| change.revision == revision) {
                places.push(change.place);
            }
            *looked_at += places.len();
            if 1 < places.len() && !places.is_sorted_by_key(|&place| self.subject(place)) {
                return Walked::To(Sequence { revision, ranks: self.ranks(&places) });
            }
        }
        Walked::End
    }

    fn ranks(&self, places: &[Place]) -> Vec<u32> {
        let count = u32::try_from(places.len()).expect("a table has fewer records");
        let mut made: Vec<u32> = (0..count).collect();
        made.sort_unstable_by_key(|&at| self.subject(places[at as usize]));
        let mut ranks = vec![0; places.len()];
        for (rank, at) in (0..).zip(made) {
            ranks[at as usize] = rank;
        }
        ranks
    }
}

/// Puts what was loaded in the order of the keys, revision by revision, into the order in which
/// it was made. The sequences ascend by their revisions. Returns whether they go with it.
pub(super) fn arrange<T: Copy>(loaded: &mut [(u64, T)], sequences: &[Sequence]) -> bool {
    let mut rest = sequences.iter().peekable();
    for same in loaded.chunk_by_mut(|one, other| one.0 == other.0) {
        let Some(Sequence { ranks, .. }) = rest.next_if(|next| next.revision == same[0].0) else {
            continue;
        };
        let sorted = same.to_vec();
        let mut is_missing = vec![true; sorted.len()];
        if ranks.len() != sorted.len() {
            return false;
        }
        for (to, &rank) in same.iter_mut().zip(ranks) {
            let rank = rank as usize;
            let Some(is_missing) = is_missing.get_mut(rank).filter(|it| **it) else { return false };
            (*is_missing, *to) = (false, sorted[rank]);
        }
    }
    rest.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_that_are_no_order_are_refused() {
        let loaded = [(2, 'a'), (3, 'b'), (3, 'c'), (3, 'd'), (5, 'e'), (5, 'f')];
        let arranged = |sequences: &[(u64, &[u32])]| {
            let sequence =
                |&(revision, ranks): &(u64, &[u32])| Sequence { revision, ranks: ranks.to_vec() };
            let sequences: Vec<Sequence> = sequences.iter().map(sequence).collect();
            let mut changes = loaded;
            arrange(&mut changes, &sequences)
                .then(|| changes.iter().map(|change| change.1).collect::<String>())
        };
        assert_eq!(arranged(&[]).as_deref(), Some("abcdef"));
        assert_eq!(arranged(&[(3, &[2, 0, 1])]).as_deref(), Some("adbcef"));
        assert_eq!(arranged(&[(3, &[1, 0, 2]), (5, &[1, 0])]).as_deref(), Some("acbdfe"));
        for wrong in [
            &[(3, &[0, 1][..])][..],
            &[(3, &[0, 1, 2, 3])],
            &[(3, &[0, 1, 1])],
            &[(3, &[0, 1, 3])],
            &[(4, &[0])],
            &[(5, &[1, 0]), (3, &[1, 0, 2])],
            &[(5, &[1, 0]), (5, &[1, 0])],
        ] {
            assert_eq!(arranged(wrong), None, "{wrong:?}");
        }
    }
}
