//! A store that is fed as a replica feeds it, and a source of repeatable numbers.

use bytes::BytesMut;
use kv_store::command::{Answer, Command, KeyRange, Query};
use kv_store::store::Store;
use raft_core::entry::{Draft, EntryKind, FEATURE_LEVEL, SessionStamp, Stamp};
use raft_core::replica::state_machine::StateMachine;
use raft_core::types::{Index, Term};

/// A store with the log that leads to it.
#[derive(Clone, Default)]
pub(crate) struct Node {
    pub(crate) store: Store,
    last_index: Index,
    /// The log time of the next entry. Units: microseconds.
    pub(crate) log_time: u64,
}

impl Node {
    /// A node at the same place of the log with another store.
    pub(crate) fn with_store(&self, store: Store) -> Self {
        Self { store, last_index: self.last_index, log_time: self.log_time }
    }

    /// Applies a payload as the next entry and returns the answer's bytes.
    pub(crate) fn apply_bytes(&mut self, payload: &[u8]) -> BytesMut {
        self.apply_under(FEATURE_LEVEL, payload)
    }

    /// The same, in an entry of this feature level.
    pub(crate) fn apply_under(&mut self, feature_level: u16, payload: &[u8]) -> BytesMut {
        self.last_index = self.last_index.next();
        let mut draft = Draft::default();
        draft.push(EntryKind::Command, &SessionStamp::default(), payload);
        let entries = draft.stamp(&Stamp {
            term: Term(1),
            first: self.last_index,
            log_time: self.log_time,
            feature_level,
            wall_time: 0,
            seed: 0,
        });
        let mut answer = BytesMut::new();
        entries.iter().for_each(|entry| self.store.apply(entry, &mut answer));
        answer
    }

    /// Applies a command as the next entry.
    pub(crate) fn apply(&mut self, command: &Command<'_>) -> BytesMut {
        let mut payload = BytesMut::new();
        command.encode(&mut payload);
        self.apply_bytes(&payload)
    }

    /// Sets a key, and returns the revision of the answer.
    pub(crate) fn put(&mut self, key: &[u8], value: &[u8]) -> u64 {
        let answer = self.apply(&Command::Put { key, value });
        match Answer::decode(&answer).expect("the store writes answers") {
            Answer::Put { revision } => revision,
            other => panic!("a put is not answered by {other:?}"),
        }
    }

    /// Removes ranges, and returns count and revision of the answer.
    pub(crate) fn delete(&mut self, ranges: &[KeyRange<'_>]) -> (u64, u64) {
        let answer = self.apply(&Command::Delete { ranges: ranges.iter().copied().collect() });
        match Answer::decode(&answer).expect("the store writes answers") {
            Answer::Deleted { count, revision } => (count, revision),
            other => panic!("a delete is not answered by {other:?}"),
        }
    }

    /// The command that the store asks for now, if there is one; it is applied.
    pub(crate) fn apply_due(&mut self) -> Option<BytesMut> {
        let mut payload = BytesMut::new();
        self.store.due(self.log_time, &mut payload);
        (!payload.is_empty()).then(|| self.apply_bytes(&payload))
    }

    /// Asks and returns the answer's bytes.
    pub(crate) fn ask(&self, query: &Query<'_>) -> BytesMut {
        let (mut body, mut answer) = (BytesMut::new(), BytesMut::new());
        query.encode(&mut body);
        self.store.query(&body, self.log_time, &mut answer);
        answer
    }

    /// Asks for a range and returns the answer's bytes.
    pub(crate) fn range(&self, range: KeyRange<'_>, limit: u64) -> BytesMut {
        self.ask(&Query::Range { range, limit })
    }

    /// The keys of a range, with `more` and `count` of the answer.
    pub(crate) fn keys(&self, range: KeyRange<'_>, limit: u64) -> (Vec<Vec<u8>>, bool, u64) {
        match Answer::decode(&self.range(range, limit)).expect("the store writes answers") {
            Answer::Range { kvs, more, count, .. } => {
                (kvs.iter().map(|kv| kv.key.to_vec()).collect(), more, count)
            }
            other => panic!("a range is not answered by {other:?}"),
        }
    }
}

/// Numbers that look random and are the same in every run (Steele 2014, SplitMix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    /// The next number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((word ^ (word >> 31)) % bound as u64).expect("below a usize")
    }

    /// One of a small set of keys in which prefixes, zero bytes, 0xff bytes and both short and
    /// long keys meet.
    pub(crate) fn key(&mut self) -> Vec<u8> {
        let stem: &[u8] = match self.below(4) {
            0 => b"a-stem-of-twenty-bytes",
            _ => b"",
        };
        let mut key = stem.to_vec();
        for _ in 0..=self.below(3) {
            key.push([0x00, b'a', b'b', 0xff][self.below(4)]);
        }
        key
    }

    /// Up to 40 bytes.
    pub(crate) fn value(&mut self) -> Vec<u8> {
        let length = self.below(41);
        (0..length).map(|_| u8::try_from(self.below(256)).expect("below 256")).collect()
    }
}
