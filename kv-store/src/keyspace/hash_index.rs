//! From a key to the place of its record, by a hash.
//!
//! Small open tables side by side, each of which grows by itself: no growth takes longer than
//! one of them. An entry is a part of the hash and a place, so that growing reads no record.
//! Nothing is ever read out in the order of the tables.

use std::fmt;

/// How many tables there are; the highest bits of a hash choose one.
const TABLES: usize = 256;

/// Entries of a table at least, if it has any.
const ENTRIES_MIN: usize = 8;

/// A slot without an entry; no record has this place.
const EMPTY: u64 = u64::MAX;

/// A set of places, found by the hashes of their keys.
#[derive(Clone)]
pub(crate) struct HashIndex {
    tables: Vec<Table>,
    seed: u64,
}

/// Where entries of a key are looked for first.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Home {
    table: usize,
    tag: u64,
}

#[derive(Clone, Default)]
struct Table {
    /// Each a part of the hash (32 bits) and a place (32 bits); a power of two of them.
    slots: Vec<u64>,
    count: usize,
}

impl HashIndex {
    /// An index without entries. The seed decides where entries lie, and nothing else.
    pub(crate) fn new(seed: u64) -> Self {
        Self { tables: vec![Table::default(); TABLES], seed }
    }

    /// The seed that the index was made with.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// The place of the entry with this key, which `is_it` knows.
    pub(crate) fn find(&self, key: &[u8], is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let (table, tag) = split(self.hash(key));
        let table = &self.tables[table];
        table.probe(tag).map(|slot| table.slots[slot]).find_map(|entry| {
            let place = place_of(entry);
            (entry >> 32 == tag && is_it(place)).then_some(place)
        })
    }

    /// Where entries of a key are looked for first.
    pub(crate) fn home(&self, key: &[u8]) -> Home {
        let (table, tag) = split(self.hash(key));
        Home { table, tag }
    }

    /// Fetches what is there from memory.
    pub(crate) fn glance(&self, Home { table, tag }: Home) -> u64 {
        let table = &self.tables[table];
        if table.slots.is_empty() { EMPTY } else { table.slots[table.home(tag)] }
    }

    /// The place of the first entry that is likely to be the one with this key.
    pub(crate) fn guess(&self, Home { table, tag }: Home) -> Option<u32> {
        let table = &self.tables[table];
        let entries = table.probe(tag).map(|slot| table.slots[slot]);
        entries.filter(|entry| entry >> 32 == tag).map(place_of).next()
    }

    /// Adds an entry, of which there must be none with this key.
    pub(crate) fn insert(&mut self, key: &[u8], place: u32) {
        let (table, tag) = split(self.hash(key));
        self.tables[table].insert(tag << 32 | u64::from(place));
    }

    /// Removes the entry of this key at this place, which must be there.
    pub(crate) fn remove(&mut self, key: &[u8], place: u32) {
        let (table, tag) = split(self.hash(key));
        self.tables[table].remove(tag << 32 | u64::from(place));
    }

    /// Multiplies and folds, word by word (as wyhash does).
    fn hash(&self, key: &[u8]) -> u64 {
        let mut state = fold(self.seed ^ 0x9e37_79b9_7f4a_7c15, key.len() as u64 ^ FACTOR);
        let (words, tail) = key.as_chunks::<8>();
        for word in words {
            state = fold(state ^ u64::from_le_bytes(*word), FACTOR);
        }
        let mut last = [0; 8];
        last[..tail.len()].copy_from_slice(tail);
        fold(state ^ u64::from_le_bytes(last), FACTOR ^ self.seed)
    }
}

const FACTOR: u64 = 0xd6e8_feb8_6659_fd93;

fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    let low = u64::try_from(product & u128::from(u64::MAX)).expect("the low half");
    let high = u64::try_from(product >> 64).expect("the high half");
    low ^ high
}

/// Which table a hash belongs to, and the part of it that an entry holds.
fn split(hash: u64) -> (usize, u64) {
    let table = usize::try_from(hash >> 56).expect("eight bits");
    (table, hash & u64::from(u32::MAX))
}

fn place_of(entry: u64) -> u32 {
    u32::try_from(entry & u64::from(u32::MAX)).expect("the low half")
}

impl Table {
    fn home(&self, tag: u64) -> usize {
        usize::try_from(tag).expect("32 bits") & (self.slots.len() - 1)
    }

    /// The slots that an entry with this tag may lie in.
    fn probe(&self, tag: u64) -> impl Iterator<Item = usize> {
        let mask = self.slots.len().wrapping_sub(1);
        let home = if self.slots.is_empty() { 0 } else { self.home(tag) };
        let all = (0..self.slots.len()).map(move |step| (home + step) & mask);
        all.take_while(|&slot| self.slots[slot] != EMPTY)
    }

    fn insert(&mut self, entry: u64) {
        // Three quarters full at most, so that runs of slots stay short.
        if 3 * self.slots.len() <= 4 * self.count {
            let slots = (2 * self.slots.len()).max(ENTRIES_MIN);
            let entries = std::mem::replace(&mut self.slots, vec![EMPTY; slots]);
            entries.into_iter().filter(|&entry| entry != EMPTY).for_each(|entry| self.put(entry));
        }
        self.put(entry);
        self.count += 1;
    }

    fn put(&mut self, entry: u64) {
        let mask = self.slots.len() - 1;
        let mut slot = self.home(entry >> 32);
        while self.slots[slot] != EMPTY {
            slot = (slot + 1) & mask;
        }
        self.slots[slot] = entry;
    }

    fn remove(&mut self, entry: u64) {
        let mask = self.slots.len() - 1;
        let mut hole =
            self.probe(entry >> 32).find(|&slot| self.slots[slot] == entry).expect("it is there");
        self.count -= 1;
        // Whoever stands behind the hole and could stand in it moves up.
        let mut slot = hole;
        loop {
            self.slots[hole] = EMPTY;
            loop {
                slot = (slot + 1) & mask;
                if self.slots[slot] == EMPTY {
                    return;
                }
                let home = self.home(self.slots[slot] >> 32);
                if (hole.wrapping_sub(home) & mask) < (slot.wrapping_sub(home) & mask) {
                    break;
                }
            }
            self.slots[hole] = self.slots[slot];
            hole = slot;
        }
    }
}

impl fmt::Debug for HashIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count: usize = self.tables.iter().map(|table| table.count).sum();
        write!(f, "HashIndex({count} entries)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn entries_are_found_until_they_are_removed() {
        for seed in 0..20 {
            let mut index = HashIndex::new(seed);
            let mut known: BTreeMap<u32, u32> = BTreeMap::new();
            let mut random = seed;
            for step in 0..20_000u32 {
                random = fold(random ^ 0x5555, FACTOR ^ u64::from(step));
                // Few keys per table, so that runs and holes meet.
                let number = u32::try_from(random % 3_000).unwrap();
                let key = number.to_be_bytes();
                let is_it = |place: u32| known.get(&number) == Some(&place);
                assert_eq!(index.find(&key, is_it), known.get(&number).copied());
                match known.remove(&number) {
                    Some(place) => index.remove(&key, place),
                    None => {
                        index.insert(&key, step);
                        known.insert(number, step);
                    }
                }
            }
            let count: usize = index.tables.iter().map(|table| table.count).sum();
            assert_eq!(count, known.len());
        }
    }

    #[test]
    fn hashes_spread_whatever_the_seed() {
        for seed in [0, 1, u64::MAX] {
            let mut index = HashIndex::new(seed);
            (0..100_000u32).for_each(|number| index.insert(&number.to_be_bytes(), number));
            let fullest = index.tables.iter().map(|table| table.count).max().unwrap();
            assert!(fullest < 600, "{fullest} of 100,000 entries in one of 256 tables");
            for number in 0..1_000u32 {
                let key = number.to_be_bytes();
                assert_eq!(index.find(&key, |place| place == number), Some(number));
            }
        }
    }
}
