//! The keys with their current values, in order.

use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::ops::Bound;

use raft_core::replica::LoadError;
use raft_core::replica::pinned::{BeforeImages, Slice};

use crate::command::{KeyRange, KeyValue, RangeEnd};
use crate::key::Key;

/// Every key that exists.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keyspace {
    records: BTreeMap<Key, Record>,
    before: BeforeImages<Key, Record>,
}

/// The current generation of a key: from the put that made it to the next delete.
#[derive(Clone, Debug)]
struct Record {
    value: Box<[u8]>,
    create_revision: u64,
    mod_revision: u64,
    version: u64,
}

impl Keyspace {
    /// Sets a key.
    pub(crate) fn put(&mut self, key: &[u8], value: &[u8], revision: u64) {
        let existing = match Key::inline(key) {
            Some(key) => self.records.get_mut(&key),
            None => self.records.get_mut(key),
        };
        if self.before.is_pinned() {
            self.before.will_change(&Key::new(key), existing.as_deref());
        }
        if let Some(record) = existing {
            record.overwrite(value, revision);
            return;
        }
        self.records.insert(Key::new(key), Record::new(value, revision));
    }

    /// Removes the first key of a range and returns it; `None` if the range holds no key.
    pub(crate) fn remove_first(&mut self, range: &KeyRange<'_>) -> Option<Key> {
        let first = match range.end {
            RangeEnd::Single => Key::new(range.from),
            RangeEnd::Prefix | RangeEnd::HalfOpen(_) | RangeEnd::From => {
                let (key, _) = self.all_from(range.from).next()?;
                if !range.contains(key.as_bytes()) {
                    return None;
                }
                key.clone()
            }
        };
        if self.before.is_pinned() {
            self.before.will_change(&first, self.records.get(&first));
        }
        self.records.remove(&first).map(|_| first)
    }

    /// Shows every key of a range to `visit`, in order.
    pub(crate) fn visit<'s>(&'s self, range: &KeyRange<'_>, mut visit: impl FnMut(KeyValue<'s>)) {
        match range.end {
            RangeEnd::Single => {
                let found = match Key::inline(range.from) {
                    Some(key) => self.records.get_key_value(&key),
                    None => self.records.get_key_value(range.from),
                };
                if let Some((key, record)) = found {
                    visit(record.key_value(key));
                }
            }
            RangeEnd::Prefix | RangeEnd::HalfOpen(_) | RangeEnd::From => self
                .all_from(range.from)
                .take_while(|(key, _)| range.contains(key.as_bytes()))
                .for_each(|(key, record)| visit(record.key_value(key))),
        }
    }

    /// How many keys exist.
    pub(crate) fn len(&self) -> u64 {
        self.records.len() as u64
    }

    /// Keeps the present keys for `next_slice`.
    pub(crate) fn pin(&mut self) {
        self.before.pin();
    }

    /// Shows the next pinned keys, in order, as [`BeforeImages::next_slice`].
    pub(crate) fn next_slice(&mut self, mut visit: impl FnMut(KeyValue<'_>) -> Slice) -> bool {
        self.before.next_slice(&self.records, |key, record| visit(record.key_value(key)))
    }

    /// Ends what `pin` began.
    pub(crate) fn unpin(&mut self) {
        self.before.unpin();
    }

    /// Adds a key of a snapshot, which must come after all others.
    ///
    /// Errors: `LoadError` if it does not.
    pub(crate) fn load(&mut self, kv: &KeyValue<'_>) -> Result<(), LoadError> {
        if self.records.last_key_value().is_some_and(|(last, _)| kv.key <= last.as_bytes()) {
            return Err(LoadError::because("its keys are not in order"));
        }
        let record = Record {
            value: kv.value.into(),
            create_revision: kv.create_revision,
            mod_revision: kv.mod_revision,
            version: kv.version,
        };
        self.records.insert(Key::new(kv.key), record);
        Ok(())
    }

    /// Everything from `first` on: ranges are contiguous, so that all kinds of them are the
    /// beginning of this.
    fn all_from(&self, first: &[u8]) -> Range<'_, Key, Record> {
        match Key::inline(first) {
            Some(key) => self.records.range(key..),
            None => self.records.range::<[u8], _>((Bound::Included(first), Bound::Unbounded)),
        }
    }
}

impl Record {
    fn new(value: &[u8], revision: u64) -> Self {
        Self { value: value.into(), create_revision: revision, mod_revision: revision, version: 1 }
    }

    fn overwrite(&mut self, value: &[u8], revision: u64) {
        // Values of one key tend to have one length, and then need no new memory.
        if self.value.len() == value.len() {
            self.value.copy_from_slice(value);
        } else {
            self.value = value.into();
        }
        self.mod_revision = revision;
        self.version += 1;
    }

    fn key_value<'s>(&'s self, key: &'s Key) -> KeyValue<'s> {
        KeyValue {
            key: key.as_bytes(),
            value: &self.value,
            create_revision: self.create_revision,
            mod_revision: self.mod_revision,
            version: self.version,
        }
    }
}
