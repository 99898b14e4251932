//! Which keys and items go by themselves: at a time, or with a lease.

use std::collections::BTreeSet;

use super::changes::Place;
use super::version::Tenure;

/// Everybody whose newest version does not stay for ever.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ends {
    by_time: BTreeSet<(u64, Place)>,
    by_lease: BTreeSet<(u64, Place)>,
}

/// The places before and behind all others.
const FIRST: Place = Place::Key(0);
const LAST: Place = Place::Item(u32::MAX);

impl Ends {
    /// Takes in how long who lies here stays.
    pub(crate) fn add(&mut self, place: Place, Tenure { lease, ends_at }: Tenure) {
        if lease != 0 {
            self.by_lease.insert((lease, place));
        }
        if ends_at != 0 {
            self.by_time.insert((ends_at, place));
        }
    }

    /// Forgets what `add` took in.
    pub(crate) fn remove(&mut self, place: Place, Tenure { lease, ends_at }: Tenure) {
        if lease != 0 {
            self.by_lease.remove(&(lease, place));
        }
        if ends_at != 0 {
            self.by_time.remove(&(ends_at, place));
        }
    }

    /// The earliest end.
    pub(crate) fn first(&self) -> Option<u64> {
        self.by_time.first().map(|(time, _)| *time)
    }

    /// Who ends up to a time, the earliest first: so many, and everybody else who ends when the
    /// last of them does. Places are no order that two nodes share, times are.
    pub(crate) fn until(&self, time: u64, count: usize) -> Vec<Place> {
        let mut places = Vec::new();
        let mut last = 0;
        for &(ends_at, place) in self.by_time.range(..=(time, LAST)) {
            if count <= places.len() && last < ends_at {
                break;
            }
            last = ends_at;
            places.push(place);
        }
        places
    }

    /// Who goes with a lease, in an order of this node's own.
    pub(crate) fn of_lease(&self, lease: u64) -> impl Iterator<Item = Place> {
        self.by_lease.range((lease, FIRST)..=(lease, LAST)).map(|(_, place)| *place)
    }

    /// Frees up to so many entries of a list that nobody needs any more; returns how many.
    pub(super) fn free(&mut self, count: usize) -> usize {
        let freed = (0..count).map_while(|_| self.by_time.pop_first()).count();
        (0..count).map_while(|_| self.by_lease.pop_first()).count().max(freed)
    }

    /// Every lease that somebody goes with, again for each of them.
    pub(crate) fn leases(&self) -> impl Iterator<Item = u64> {
        self.by_lease.iter().map(|(lease, _)| *lease)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ends_together_is_never_parted() {
        let mut ends = Ends::default();
        assert_eq!((ends.first(), ends.until(u64::MAX, 5)), (None, vec![]));
        for (number, ends_at) in [(1, 10), (2, 10), (3, 10), (4, 20), (5, 30)] {
            let place = if number == 2 { Place::Item(2) } else { Place::Key(number) };
            ends.add(place, Tenure { lease: 0, ends_at });
        }
        let first = [Place::Key(1), Place::Key(3), Place::Item(2)];
        assert_eq!(ends.first(), Some(10));
        assert_eq!(ends.until(9, 5), []);
        assert_eq!(ends.until(10, 5), first);
        assert_eq!(ends.until(30, 1), first);
        assert_eq!(ends.until(30, 3), first);
        assert_eq!(ends.until(20, 4).len(), 4);
        assert_eq!(ends.until(u64::MAX, 5).len(), 5);
        ends.remove(Place::Item(2), Tenure { lease: 0, ends_at: 10 });
        assert_eq!(ends.until(30, 1), [Place::Key(1), Place::Key(3)]);
    }

    #[test]
    fn a_lease_has_its_own_and_no_others() {
        let mut ends = Ends::default();
        for (number, lease) in [(1, 7), (2, 8), (3, 7), (4, u64::MAX)] {
            ends.add(Place::Key(number), Tenure { lease, ends_at: 5 });
        }
        let of = |ends: &Ends, lease| ends.of_lease(lease).collect::<Vec<_>>();
        assert_eq!(of(&ends, 7), [Place::Key(1), Place::Key(3)]);
        assert_eq!(of(&ends, u64::MAX), [Place::Key(4)]);
        assert_eq!(ends.leases().collect::<Vec<_>>(), [7, 7, 8, u64::MAX]);
        ends.remove(Place::Key(3), Tenure { lease: 7, ends_at: 5 });
        assert_eq!(of(&ends, 7), [Place::Key(1)]);
    }
}
