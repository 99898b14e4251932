//! A store in one process that is fed as a replica feeds it: for what a single operation costs.

use bytes::BytesMut;
use kv_store::command::{Command, Query};
use kv_store::store::Store;
use raft_core::entry::{Draft, Entries, EntryKind, SessionStamp, Stamp};
use raft_core::replica::state_machine::StateMachine;
use raft_core::types::{Index, Term};

use crate::keys::{Random, key};

/// Commands of one round, as a busy leader makes them.
pub const ROUND: u64 = 1_000;

/// Prime, so that it visits every key once if their number is not a multiple of it.
pub(crate) const STEP: u64 = 611_953;

/// How much log time lies between two rounds. Units: microseconds.
const ROUND_US: u64 = 5_000;

/// The value of every key.
pub const VALUE: [u8; 256] = [b'v'; 256];

/// A store and the log that leads to it.
#[derive(Debug, Default)]
pub struct LoadedStore {
    /// The store itself.
    pub store: Store,
    last: Index,
    log_time: u64,
    answers: BytesMut,
}

impl LoadedStore {
    /// A store of so many keys that were made in no order and of which every second one, about,
    /// was then set again: neighbours lie anywhere in memory, as they do after a while.
    #[must_use]
    pub fn new(keys: u64) -> Self {
        let mut loaded = Self::default();
        loaded.put_all((0..keys).map(|number| number * STEP % keys));
        let mut random = Random::new(1);
        loaded.put_all((0..keys / 2).map(|_| random.below(keys)));
        loaded
    }

    fn put_all(&mut self, mut numbers: impl Iterator<Item = u64>) {
        loop {
            let commands = numbers.by_ref().take(usize::try_from(ROUND).expect("it is small"));
            let entries = self.round(commands.map(|number| put_of(&key(number))));
            let Some(entries) = entries else { return };
            self.apply(&entries);
        }
    }

    /// Encodes commands as the next entries of the log; `None` if there are none.
    pub fn round(&mut self, commands: impl Iterator<Item = BytesMut>) -> Option<Entries> {
        let mut draft = Draft::default();
        for command in commands {
            draft.push(EntryKind::Command, &SessionStamp::default(), &command);
        }
        if draft.is_empty() {
            return None;
        }
        let first = self.last.next();
        self.log_time += ROUND_US;
        let log_time = self.log_time;
        Some(draft.stamp(&Stamp {
            term: Term(1),
            first,
            log_time,
            feature_level: raft_core::entry::FEATURE_LEVEL,
            wall_time: 0,
            seed: 0,
        }))
    }

    /// Applies entries, and then what the store asks for, as its leader would propose it.
    pub fn apply(&mut self, entries: &Entries) {
        self.answers.clear();
        for entry in entries.iter() {
            self.store.apply(entry, &mut self.answers);
        }
        std::hint::black_box(&self.answers);
        self.last = entries.last_index();
        let mut command = BytesMut::new();
        self.store.due(self.log_time, &mut command);
        if !command.is_empty()
            && let Some(entries) = self.round([command].into_iter())
        {
            self.apply(&entries);
        }
    }

    /// Makes everything before the newest revision unreadable.
    pub fn compact(&mut self) {
        let mut command = BytesMut::new();
        Command::Compact { revision: self.store.revision() }.encode(&mut command);
        let entries = self.round([command].into_iter()).expect("there is a command");
        self.apply(&entries);
    }
}

/// The bytes of a put.
#[must_use]
pub fn put_of(key: &[u8]) -> BytesMut {
    encoded(&Command::Put { key, value: &VALUE })
}

/// The bytes of a command.
#[must_use]
pub fn encoded(command: &Command<'_>) -> BytesMut {
    let mut bytes = BytesMut::new();
    command.encode(&mut bytes);
    bytes
}

/// The bytes of a query.
#[must_use]
pub fn asked(query: &Query<'_>) -> BytesMut {
    let mut bytes = BytesMut::new();
    query.encode(&mut bytes);
    bytes
}
