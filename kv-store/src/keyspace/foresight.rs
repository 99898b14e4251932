//! What commands and ranges are going to read, fetched from memory before they do.
//!
//! A command follows one reference after the other: from the index to the record, from there to
//! the newest version and to the older ones, and the same for what it forgets. Each step waits
//! for memory. Here many commands take each step together, and wait about as long as one.

use std::hint::black_box;

use super::hash_index::Home;
use super::record::Record;
use super::version::Held;
use super::{Heap, Keyspace};

/// Records that are fetched together, at most.
const TOGETHER_MAX: usize = 64;

/// Bytes that come from memory together.
const CACHE_LINE_BYTES: usize = 64;

/// Records of one step, filled from the front.
type Row<'k> = ([Option<&'k Record>; TOGETHER_MAX], usize);

impl Keyspace {
    /// Fetches what changes of these keys read, and what it takes to forget so many changes
    /// below a revision.
    pub(crate) fn fetch<'k>(
        &self,
        keys: impl Iterator<Item = &'k [u8]>,
        forgettable: u64,
        forgotten_max: usize,
    ) {
        let (mut homes, mut count) = ([Home::default(); TOGETHER_MAX], 0);
        for (home, key) in homes.iter_mut().zip(keys) {
            *home = self.keys.index().home(key);
            count += 1;
        }
        let homes = &homes[..count];
        black_box(homes.iter().fold(0, |sum, &home| sum ^ self.keys.index().glance(home)));
        let changed = homes.iter().filter_map(|&home| self.keys.index().guess(home));
        let changed = row(changed.map(|place| self.keys.get(place)));
        let forgotten = self.changes.first(forgettable).take(forgotten_max);
        let forgotten = row(forgotten.map(|change| self.get_record(change.place)));
        touch(&changed, |record| u64::from(record.key.is_inline()) ^ record.newest.mod_revision);
        touch(&forgotten, |record| record.newest.mod_revision);
        touch(&changed, |record| first_byte(&self.heap, &record.newest));
        // What was there is forgotten without a look at it.
        touch(&forgotten, |record| record.oldest().map_or(0, |oldest| oldest.mod_revision));
    }
}

/// Reads a little of each record of a range: neighbours lie anywhere in memory.
pub(super) fn touch_records(records: &[&Record]) {
    black_box(records.iter().fold(0, |sum, record| sum ^ record.newest.mod_revision));
}

/// Reads a little of each value, for the same reason.
pub(super) fn touch_values(heap: &Heap, records: &[&Record]) {
    let touched = records.iter().fold(0, |sum, record| {
        let bytes = record.newest.read(heap).bytes();
        let line = |number| bytes.get(number * CACHE_LINE_BYTES).copied().unwrap_or(0);
        sum ^ line(0) ^ line(1) ^ line(2) ^ line(3) ^ line(4)
    });
    black_box(touched);
}

fn row<'k>(records: impl Iterator<Item = &'k Record>) -> Row<'k> {
    let (mut row, mut count) = ([None; TOGETHER_MAX], 0);
    for (place, record) in row.iter_mut().zip(records) {
        *place = Some(record);
        count += 1;
    }
    (row, count)
}

/// Reads of each record what is said, none of which waits for another.
fn touch((records, count): &Row<'_>, read: impl Fn(&Record) -> u64) {
    let records = records[..*count].iter().flatten();
    black_box(records.fold(0, |sum, record| sum ^ read(record)));
}

fn first_byte(heap: &Heap, version: &Held) -> u64 {
    version.read(heap).bytes().first().copied().map_or(0, u64::from)
}
