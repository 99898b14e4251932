//! The store: commands to effects, queries to answers.
//!
//! Invariant: the revision rises by one with each command that changes something, and every
//! change of that command bears it (etcd: revision).

use bytes::BytesMut;
use raft_core::entry::EntryRef;
use raft_core::replica::pinned::Slice;
use raft_core::replica::state_machine::{LoadError, StateMachine};
use raft_core::types::Index;

use crate::command::{
    ANSWER_BYTES_MAX, ANSWER_KEYS_MAX, Answer, Command, KEY_VALUE_OVERHEAD_BYTES, KeyRange,
    KeyValue, List, Query,
};
use crate::keyspace::Keyspace;
use crate::rolling_hash::RollingHash;
use crate::snapshot::{self, Loading, Record, Totals};

/// The revision of a store to which nothing has happened, as etcd counts: the first change
/// makes revision 2.
pub const REVISION_EMPTY: u64 = 1;

/// The key-value store.
#[derive(Clone, Debug)]
pub struct Store {
    keyspace: Keyspace,
    revision: u64,
    /// Over every effect since the store was empty.
    hash: RollingHash,
    reading: Option<Reading>,
    loading: Loading,
}

/// A pinned state of which a part may have been read.
#[derive(Clone, Copy, Debug)]
struct Reading {
    totals: Totals,
    has_begun: bool,
}

impl Store {
    /// A store without keys.
    #[must_use]
    pub fn new() -> Self {
        Self {
            keyspace: Keyspace::default(),
            revision: REVISION_EMPTY,
            hash: RollingHash::default(),
            reading: None,
            loading: Loading::default(),
        }
    }

    fn execute(&mut self, index: Index, command: &Command<'_>) -> Answer<'static> {
        match command {
            Command::Put { key, value } => self.put(index, key, value),
            Command::Delete { ranges } => self.delete(index, ranges),
        }
    }

    fn put(&mut self, index: Index, key: &[u8], value: &[u8]) -> Answer<'static> {
        self.revision += 1;
        self.keyspace.put(key, value, self.revision);
        self.hash.put(index, self.revision, key, value);
        Answer::Put { revision: self.revision }
    }

    fn delete(&mut self, index: Index, ranges: &[KeyRange<'_>]) -> Answer<'static> {
        let revision = self.revision + 1;
        let mut count = 0;
        for range in ranges {
            while let Some(key) = self.keyspace.remove_first(range) {
                self.hash.delete(index, revision, key.as_bytes());
                count += 1;
            }
        }
        if 0 < count {
            self.revision = revision;
        }
        Answer::Deleted { count, revision: self.revision }
    }

    fn answer(&self, query: &Query<'_>) -> Answer<'_> {
        match query {
            Query::Range { range, limit } => {
                let mut page = Page::new(*limit);
                self.keyspace.visit(range, |kv| page.offer(kv));
                page.into_answer(self.revision)
            }
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl StateMachine for Store {
    fn apply(&mut self, command: EntryRef<'_>, answer: &mut BytesMut) {
        match Command::decode(command.payload()) {
            Ok(decoded) => self.execute(command.id().index, &decoded).encode(answer),
            Err(error) => Answer::Malformed { why: error.reason() }.encode(answer),
        }
    }

    fn query(&self, query: &[u8], answer: &mut BytesMut) {
        match Query::decode(query) {
            Ok(decoded) => self.answer(&decoded).encode(answer),
            Err(error) => Answer::Malformed { why: error.reason() }.encode(answer),
        }
    }

    fn revision(&self) -> u64 {
        self.revision
    }

    fn state_hash(&self) -> u64 {
        self.hash.value()
    }

    fn pin(&mut self) {
        let totals = Totals {
            revision: self.revision,
            hash: self.hash.value(),
            key_count: self.keyspace.len(),
        };
        self.keyspace.pin();
        self.reading = Some(Reading { totals, has_begun: false });
    }

    fn read_pinned(&mut self, bytes_max: usize, part: &mut BytesMut) -> bool {
        let reading = self.reading.as_mut().expect("the store is pinned before it is read");
        part.reserve(bytes_max);
        let end = part.len() + bytes_max;
        if !reading.has_begun {
            reading.has_begun = true;
            snapshot::put_begin(part, &reading.totals);
        }
        let more = self.keyspace.next_slice(|kv| {
            snapshot::put_key(part, &kv);
            if part.len() < end { Slice::GoesOn } else { Slice::Ends }
        });
        if !more {
            snapshot::put_end(part, &reading.totals);
        }
        more
    }

    fn unpin(&mut self) {
        self.keyspace.unpin();
        self.reading = None;
    }

    fn empty(&self) -> Self {
        Self::new()
    }

    fn load(&mut self, mut part: &[u8]) -> Result<(), LoadError> {
        while let Some(record) = snapshot::next_record(&mut part)? {
            self.loading.advance(&record)?;
            if let Record::Key(kv) = record {
                self.keyspace.load(&kv)?;
            }
        }
        Ok(())
    }

    fn finish_load(&mut self) -> Result<(), LoadError> {
        let Loading::Complete(totals) = self.loading else {
            return Err(LoadError::because("its end is missing"));
        };
        if self.keyspace.len() != totals.key_count {
            return Err(LoadError::because("the store that it was loaded into had keys"));
        }
        self.loading = Loading::Nothing;
        self.revision = totals.revision;
        self.hash = RollingHash::resume(totals.hash);
        Ok(())
    }
}

/// The keys of a range that go into one answer: its beginning, as far as the limits let it.
struct Page<'s> {
    kvs: List<KeyValue<'s>>,
    keys_left: usize,
    bytes_left: usize,
    count: u64,
}

impl<'s> Page<'s> {
    fn new(limit: u64) -> Self {
        let limit = match limit {
            0 => ANSWER_KEYS_MAX,
            limit => usize::try_from(limit).map_or(ANSWER_KEYS_MAX, |l| l.min(ANSWER_KEYS_MAX)),
        };
        Self { kvs: List::new(), keys_left: limit, bytes_left: ANSWER_BYTES_MAX, count: 0 }
    }

    fn offer(&mut self, kv: KeyValue<'s>) {
        self.count += 1;
        let bytes = kv.key.len() + kv.value.len() + KEY_VALUE_OVERHEAD_BYTES;
        if self.keys_left == 0 || self.bytes_left < bytes {
            // A later key may be shorter, but an answer has no gaps.
            self.keys_left = 0;
            return;
        }
        self.keys_left -= 1;
        self.bytes_left -= bytes;
        self.kvs.push(kv);
    }

    fn into_answer(self, revision: u64) -> Answer<'s> {
        let more = (self.kvs.len() as u64) < self.count;
        Answer::Range { revision, kvs: self.kvs, more, count: self.count }
    }
}
