//! Records by key and in order: a row of records, an index and an order over them.

use super::hash_index::HashIndex;
use super::order::{Keys, Order};
use super::record::Record;
use super::version::Held;
use crate::command::{KeyRange, RangeEnd};
use crate::key::Key;

/// Records of a table, at most.
const PLACES_MAX: u32 = 1 << 31;

/// Records that lie in one block.
const BLOCK_RECORDS: usize = 1_024;

/// The records of all keys. Where one lies depends on what was removed before, so that places
/// stay inside.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    records: Records,
    free: Vec<u32>,
    index: HashIndex,
    order: Order,
}

/// Blocks of records, all but the last one full: however many records there are, one more never
/// moves the others.
#[derive(Clone, Debug, Default)]
struct Records(Vec<Vec<Option<Record>>>);

impl Records {
    fn len(&self) -> usize {
        let full = self.0.len().saturating_sub(1);
        full * BLOCK_RECORDS + self.0.last().map_or(0, Vec::len)
    }

    fn get(&self, place: u32) -> &Record {
        let place = place as usize;
        let record = &self.0[place / BLOCK_RECORDS][place % BLOCK_RECORDS];
        record.as_ref().expect("the place is taken")
    }

    /// The record at a place that may be free.
    fn at(&mut self, place: u32) -> &mut Option<Record> {
        let place = place as usize;
        &mut self.0[place / BLOCK_RECORDS][place % BLOCK_RECORDS]
    }

    fn push(&mut self, record: Option<Record>) {
        match self.0.last_mut().filter(|block| block.len() < BLOCK_RECORDS) {
            Some(block) => block.push(record),
            None => {
                let mut block = Vec::with_capacity(BLOCK_RECORDS);
                block.push(record);
                self.0.push(block);
            }
        }
    }

    /// Drops up to so many records at the end; returns how many.
    fn free(&mut self, count: usize) -> usize {
        let mut freed = 0;
        while freed < count
            && let Some(block) = self.0.last_mut()
        {
            let left = block.len().saturating_sub(count - freed);
            freed += block.drain(left..).count();
            if block.is_empty() {
                self.0.pop();
            }
        }
        freed
    }
}

impl Keys for Records {
    fn key(&self, place: u32) -> &Key {
        &self.get(place).key
    }
}

impl Table {
    /// A table without records; the seed is that of its hashes.
    pub(crate) fn new(hash_seed: u64) -> Self {
        Self {
            records: Records::default(),
            free: Vec::new(),
            index: HashIndex::new(hash_seed),
            order: Order::default(),
        }
    }

    /// The seed of the hashes.
    pub(crate) fn hash_seed(&self) -> u64 {
        self.index.seed()
    }

    /// Whether there is no record.
    pub(crate) fn is_empty(&self) -> bool {
        self.records.len() == self.free.len()
    }

    /// Where the record of a key lies.
    pub(crate) fn find(&self, key: &[u8]) -> Option<u32> {
        self.index.find(key, |place| self.records.get(place).key.as_bytes() == key)
    }

    /// The index by which records are found.
    pub(crate) fn index(&self) -> &HashIndex {
        &self.index
    }

    /// The record at a place, which must be taken.
    pub(crate) fn get(&self, place: u32) -> &Record {
        self.records.get(place)
    }

    /// As `get`, to be changed.
    pub(crate) fn get_mut(&mut self, place: u32) -> &mut Record {
        self.records.at(place).as_mut().expect("the place is taken")
    }

    /// The record behind a place, if one lies there, and the place behind that; places begin anew
    /// behind the last one.
    pub(super) fn walk(&mut self, place: u32) -> (Option<&mut Record>, u32) {
        let is_inside = (place as usize) < self.records.len();
        if is_inside { (self.records.at(place).as_mut(), place + 1) } else { (None, 0) }
    }

    /// Adds a key that has no record, and returns where it lies.
    pub(super) fn insert(&mut self, key: &[u8], version: Held) -> u32 {
        let record = Some(Record::new(Key::new(key), version));
        let place = match self.free.pop() {
            Some(place) => {
                *self.records.at(place) = record;
                place
            }
            None => {
                let place = u32::try_from(self.records.len()).expect("memory ends before");
                assert!(place < PLACES_MAX, "memory ends before");
                self.records.push(record);
                place
            }
        };
        self.index.insert(key, place);
        self.order.insert(&self.records, place);
        place
    }

    /// Removes a record, and returns it.
    pub(super) fn remove(&mut self, place: u32) -> Record {
        self.order.remove(&self.records, place);
        let record = self.records.at(place).take().expect("the place is taken");
        self.index.remove(record.key.as_bytes(), place);
        self.free.push(place);
        record
    }

    /// Frees up to so many records of a table that nobody needs any more, and that finds nothing
    /// from then on; returns how many.
    pub(super) fn free(&mut self, count: usize) -> usize {
        self.records.free(count)
    }

    /// Where the records lie from a key on, in the order of their keys, row by row.
    pub(crate) fn rows_from(&self, from: &[u8]) -> impl Iterator<Item = &[u32]> + use<'_> {
        self.order.rows_from(&self.records, from)
    }

    /// Where the records lie from a key on, in the order of their keys.
    pub(crate) fn places_from(&self, from: &[u8]) -> impl Iterator<Item = u32> + use<'_> {
        self.rows_from(from).flatten().copied()
    }

    /// Where the records of a range lie, in the order of their keys.
    pub(crate) fn places<'t>(&'t self, range: KeyRange<'t>) -> impl Iterator<Item = u32> + 't {
        let (single, from) = match range.end {
            RangeEnd::Single => (self.find(range.from), None),
            RangeEnd::Prefix | RangeEnd::HalfOpen(_) | RangeEnd::From => (None, Some(range.from)),
        };
        let ordered = from.into_iter().flat_map(|from| self.places_from(from));
        let inside = move |place: &u32| range.contains(self.get(*place).key.as_bytes());
        single.into_iter().chain(ordered.take_while(inside))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn records_are_found_and_ordered_while_they_come_and_go() {
        let (mut table, mut known, mut random) = (Table::new(3), BTreeMap::new(), 1u64);
        for step in 1..40_000u64 {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(step);
            let key = ((random >> 33) % 1_500).to_string().into_bytes();
            assert_eq!(table.find(&key), known.get(&key).copied());
            if let Some(place) = known.remove(&key) {
                table.remove(place);
            } else {
                let place = table.insert(&key, Held::gone(step));
                known.insert(key.clone(), place);
            }
            if step % 97 == 0 {
                let from = KeyRange { from: &key, end: RangeEnd::From };
                let expected: Vec<u32> = known.range(key.clone()..).map(|(_, &at)| at).collect();
                assert_eq!(table.places(from).collect::<Vec<_>>(), expected);
                let prefix = KeyRange::prefix(&key[..1]);
                let expected: Vec<u32> = known
                    .iter()
                    .filter_map(|(other, &at)| other.starts_with(&key[..1]).then_some(at))
                    .collect();
                assert_eq!(table.places(prefix).collect::<Vec<_>>(), expected);
            }
        }
    }
}
