//! Leases: who said that it still lives, and until when that counts (etcd: lease).
//!
//! Their time is log time, so that an outage takes nothing from anybody, and a clock neither.

use std::collections::{BTreeMap, BTreeSet};

use raft_core::replica::pinned::{BeforeImages, Slice};

/// A lease that was granted and has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    /// How long it lasts from a renewal on. Units: milliseconds.
    pub(crate) ttl_ms: u64,
    /// When it ends. Units: microseconds of log time.
    pub(crate) ends_at: u64,
}

impl Lease {
    /// How long it lasts yet. Units: milliseconds.
    pub(crate) fn remaining_ms(&self, log_time: u64) -> u64 {
        self.ends_at.saturating_sub(log_time).div_ceil(1_000)
    }
}

/// All leases.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leases {
    by_id: BTreeMap<u64, Lease>,
    by_end: BTreeSet<(u64, u64)>,
    /// What leases were that have changed since a snapshot was begun.
    before: BeforeImages<u64, Lease>,
}

/// What a lease takes in memory, about. Units: bytes.
pub(crate) const LEASE_COST_BYTES: u64 = 96;

/// When something ends that begins to last so long now, which is never 0.
pub(crate) fn end_of(log_time: u64, ttl_ms: u64) -> u64 {
    log_time.saturating_add(ttl_ms.saturating_mul(1_000)).max(1)
}

impl Leases {
    pub(crate) fn get(&self, id: u64) -> Option<&Lease> {
        self.by_id.get(&id)
    }

    /// Adds a lease, or puts another in its place.
    pub(crate) fn set(&mut self, id: u64, lease: Lease) {
        self.will_change(id);
        if let Some(before) = self.by_id.insert(id, lease) {
            self.by_end.remove(&(before.ends_at, id));
        }
        self.by_end.insert((lease.ends_at, id));
    }

    /// Forgets a lease; returns whether there was one.
    pub(crate) fn remove(&mut self, id: u64) -> bool {
        self.will_change(id);
        let removed = self.by_id.remove(&id);
        removed.is_some_and(|lease| self.by_end.remove(&(lease.ends_at, id)))
    }

    fn will_change(&mut self, id: u64) {
        if self.before.is_pinned() {
            self.before.will_change(&id, self.by_id.get(&id));
        }
    }

    /// Makes the present leases those that `next_slice` shows, whatever becomes of them.
    pub(crate) fn pin(&mut self) {
        self.before.pin();
    }

    /// Shows the next of the pinned leases, in the order of their ids, until it is enough; returns
    /// whether there may be more.
    ///
    /// Panics: if nothing is pinned.
    pub(crate) fn next_slice(&mut self, mut visit: impl FnMut(u64, Lease) -> Slice) -> bool {
        self.before.next_slice(&self.by_id, |id, lease| visit(*id, *lease))
    }

    /// Ends showing, and forgets what was.
    pub(crate) fn unpin(&mut self) {
        self.before.unpin();
    }

    /// The highest id.
    pub(crate) fn last_id(&self) -> Option<u64> {
        self.by_id.last_key_value().map(|(id, _)| *id)
    }

    /// Frees up to so many leases of a list that nobody needs any more; returns how many.
    pub(crate) fn free(&mut self, count: usize) -> usize {
        let freed = (0..count).map_while(|_| self.by_id.pop_first()).count();
        (0..count).map_while(|_| self.by_end.pop_first()).count().max(freed)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.by_id.len() as u64
    }

    /// What all of them take in memory, about. Units: bytes.
    pub(crate) fn cost_bytes(&self) -> u64 {
        self.by_id.len() as u64 * LEASE_COST_BYTES
    }

    /// The earliest end of all. Units: microseconds of log time.
    pub(crate) fn first_end(&self) -> Option<u64> {
        self.by_end.first().map(|(ends_at, _)| *ends_at)
    }

    /// The lease that ends first, if it does so up to this time.
    pub(crate) fn first_until(&self, time: u64) -> Option<u64> {
        self.by_end.first().filter(|(ends_at, _)| *ends_at <= time).map(|(_, id)| *id)
    }

    /// The leases from an id on, in the order of their ids.
    pub(crate) fn from(&self, id: u64) -> impl Iterator<Item = (u64, Lease)> {
        self.by_id.range(id..).map(|(id, lease)| (*id, *lease))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_end_is_known_while_leases_are_renewed_and_go() {
        let mut leases = Leases::default();
        let lease = |ends_at| Lease { ttl_ms: 1, ends_at };
        assert_eq!((leases.first_end(), leases.first_until(u64::MAX)), (None, None));
        leases.set(7, lease(100));
        leases.set(3, lease(200));
        leases.set(7, lease(300));
        assert_eq!((leases.first_end(), leases.first_until(199)), (Some(200), None));
        assert_eq!(leases.first_until(200), Some(3));
        assert!(leases.remove(3) && !leases.remove(3));
        assert_eq!(leases.first_until(300), Some(7));
        leases.set(8, lease(300));
        assert_eq!(leases.from(8).collect::<Vec<_>>(), [(8, lease(300))]);
        assert_eq!(leases.from(0).count(), 2);
    }

    #[test]
    fn a_pinned_list_is_shown_as_it_was_and_costs_nothing_to_pin() {
        let mut leases = Leases::default();
        let lease = |ends_at| Lease { ttl_ms: 1, ends_at };
        (1..=6).for_each(|id| leases.set(id, lease(10 * id)));
        leases.pin();
        assert!(leases.before.is_pinned());
        let mut shown = Vec::new();
        let mut slice = |leases: &mut Leases, count: usize| {
            let end = shown.len() + count;
            let more = leases.next_slice(|id, lease| {
                shown.push((id, lease.ends_at));
                if shown.len() < end { Slice::GoesOn } else { Slice::Ends }
            });
            (more, shown.clone())
        };
        assert!(slice(&mut leases, 2).0);
        leases.set(1, lease(99));
        leases.set(3, lease(99));
        leases.remove(4);
        leases.set(7, lease(99));
        let (more, all) = slice(&mut leases, 9);
        assert!(!more);
        assert_eq!(all, (1..=6).map(|id| (id, 10 * id)).collect::<Vec<_>>());
        leases.unpin();
        assert_eq!(leases.from(3).next(), Some((3, lease(99))));
    }

    #[test]
    fn what_is_left_is_rounded_up_to_whole_milliseconds() {
        let lease = Lease { ttl_ms: 5, ends_at: 5_000 };
        assert_eq!(
            [0, 1, 4_000, 4_001, 4_999, 5_000, 9_000].map(|now| lease.remaining_ms(now)),
            [5, 5, 1, 1, 1, 0, 0]
        );
        assert_eq!((end_of(0, 0), end_of(7, 2), end_of(u64::MAX, 2)), (1, 2_007, u64::MAX));
    }
}
