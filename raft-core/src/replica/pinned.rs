//! A table that is read as it was at one moment, in slices, while it goes on changing.
//!
//! The table itself stays an ordinary map. Beside it stand the before-images: of each key that
//! changed after the moment, and that the reader has not passed yet, what it was at the moment.
//! Reading walks over both in the order of the keys, and the before-image counts.

use std::collections::BTreeMap;
use std::ops::Bound;

/// The before-images of a `BTreeMap<K, V>` that its owner keeps beside it.
///
/// The owner calls [`Self::will_change`] before every change of the map; nobody else knows.
#[derive(Clone, Debug)]
pub struct BeforeImages<K, V> {
    pin: Option<Pin<K, V>>,
}

#[derive(Clone, Debug)]
struct Pin<K, V> {
    passed: Passed<K>,
    /// What keys behind `passed` were at the pin; `None` if they did not exist.
    saved: BTreeMap<K, Option<V>>,
}

/// How far the reader has come.
#[derive(Clone, Debug)]
enum Passed<K> {
    Nothing,
    UpTo(K),
    Everything,
}

impl<K, V> Default for BeforeImages<K, V> {
    fn default() -> Self {
        Self { pin: None }
    }
}

impl<K: Ord + Clone, V: Clone> BeforeImages<K, V> {
    /// Makes the present content of the table the one that is read. An earlier pin is dropped.
    pub fn pin(&mut self) {
        self.pin = Some(Pin { passed: Passed::Nothing, saved: BTreeMap::new() });
    }

    /// Whether the content of some moment is being kept, so that changes must be told.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.pin.is_some()
    }

    /// Notes that `key`, which is `current` now (`None` if it does not exist), is about to be
    /// inserted, modified or removed.
    pub fn will_change(&mut self, key: &K, current: Option<&V>) {
        let Some(pin) = &mut self.pin else { return };
        let is_passed = match &pin.passed {
            Passed::Nothing => false,
            Passed::UpTo(last) => key <= last,
            Passed::Everything => true,
        };
        if !is_passed && !pin.saved.contains_key(key) {
            pin.saved.insert(key.clone(), current.cloned());
        }
    }

    /// Shows the next keys of the pinned content of `table` to `visit`, in order, until it
    /// answers that it wants no more for now; at least one if there is one.
    ///
    /// Returns whether `visit` ended it: false means that the content was shown to its end.
    ///
    /// Panics: if nothing is pinned.
    pub fn next_slice(
        &mut self,
        table: &BTreeMap<K, V>,
        mut visit: impl FnMut(&K, &V) -> Slice,
    ) -> bool {
        let pin = self.pin.as_mut().expect("a table is pinned before it is read");
        let mut live = match &pin.passed {
            Passed::Nothing => table.range::<K, _>(..),
            Passed::UpTo(last) => table.range((Bound::Excluded(last), Bound::Unbounded)),
            Passed::Everything => return false,
        };
        let mut next_live = live.next();
        loop {
            let next_saved = pin.saved.first_key_value().map(|(key, _)| key);
            let is_saved = match (next_live, next_saved) {
                (None, None) => break,
                (Some(_), None) => false,
                (None, Some(_)) => true,
                (Some((key, _)), Some(saved)) => saved <= key,
            };
            if !is_saved && let Some((key, value)) = next_live {
                if visit(key, value) == Slice::Ends {
                    pin.passed = Passed::UpTo(key.clone());
                    return true;
                }
                next_live = live.next();
                continue;
            }
            let (key, image) = pin.saved.pop_first().expect("the next key has a before-image");
            if next_live.is_some_and(|(live_key, _)| *live_key == key) {
                next_live = live.next();
            }
            if image.is_some_and(|value| visit(&key, &value) == Slice::Ends) {
                pin.passed = Passed::UpTo(key);
                return true;
            }
        }
        pin.passed = Passed::Everything;
        false
    }

    /// Ends reading, at its end or before, and forgets all before-images.
    pub fn unpin(&mut self) {
        self.pin = None;
    }
}

/// What a visitor says about the slice after each key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slice {
    /// There is room for another key.
    GoesOn,
    /// This key was the last one of the slice.
    Ends,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::rng::Rng;

    #[derive(Default)]
    struct Table {
        map: BTreeMap<u64, u64>,
        before: BeforeImages<u64, u64>,
    }

    impl Table {
        fn change(&mut self, rng: &mut Rng) {
            let key = rng.next_u64() % 40;
            self.before.will_change(&key, self.map.get(&key));
            match rng.next_u64() % 3 {
                0 => drop(self.map.remove(&key)),
                _ => drop(self.map.insert(key, rng.next_u64())),
            }
        }

        fn slice(&mut self, keys_max: usize, seen: &mut Vec<(u64, u64)>) -> bool {
            let end = seen.len() + keys_max;
            self.before.next_slice(&self.map, |key, value| {
                seen.push((*key, *value));
                if seen.len() < end { Slice::GoesOn } else { Slice::Ends }
            })
        }
    }

    #[test]
    fn slices_show_the_table_as_it_was_whatever_changes_meanwhile() {
        for seed in 0..2000 {
            let mut rng = Rng::new(seed);
            let mut table = Table::default();
            let below = |rng: &mut Rng, end: u64| usize::try_from(rng.next_u64() % end).unwrap();
            for _ in 0..below(&mut rng, 60) {
                table.change(&mut rng);
            }
            for round in 0..3 {
                let at_pin: Vec<(u64, u64)> = table.map.clone().into_iter().collect();
                table.before.pin();
                let mut seen = Vec::new();
                loop {
                    for _ in 0..below(&mut rng, 20) {
                        table.change(&mut rng);
                    }
                    let keys_max = 1 + below(&mut rng, 7);
                    let before = seen.len();
                    if !table.slice(keys_max, &mut seen) {
                        break;
                    }
                    assert_eq!(seen.len() - before, keys_max, "seed {seed}");
                    if round == 1 && rng.next_u64().is_multiple_of(8) {
                        break;
                    }
                }
                if round == 1 {
                    assert!(at_pin.starts_with(&seen), "seed {seed}");
                } else {
                    assert_eq!(seen, at_pin, "seed {seed}");
                    table.change(&mut rng);
                    assert!(!table.slice(1, &mut seen), "nothing comes after the end");
                }
                table.before.unpin();
            }
        }
    }

    #[test]
    fn only_keys_ahead_of_the_reader_are_saved_and_only_once() {
        let mut table = Table { map: (0..10).map(|n| (n, n)).collect(), ..Table::default() };
        table.before.will_change(&1, Some(&1));
        assert!(!table.before.is_pinned());
        table.before.pin();
        table.slice(5, &mut Vec::new());
        for key in [0, 4, 5, 5, 20] {
            table.before.will_change(&key, table.map.get(&key));
        }
        table.before.will_change(&5, None);
        let saved = table.before.pin.as_ref().unwrap().saved.clone();
        assert_eq!(saved, [(5, Some(5)), (20, None)].into());
    }
}
