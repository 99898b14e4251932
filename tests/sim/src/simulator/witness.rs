//! The store with somebody who watches it.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};
use kv_store::store::{History, Store};
use raft_core::entry::{EntryRef, SessionStamp};
use raft_core::replica::{Forgotten, LoadError, StateMachine};
use raft_core::types::Index;

/// A command that a store has executed, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Execution {
    pub(crate) index: Index,
    /// The entry's log time. Units: microseconds.
    pub(crate) log_time: u64,
    /// The entry's checksum.
    pub(crate) crc: u32,
    pub(crate) session: SessionStamp,
    pub(crate) payload: Bytes,
    pub(crate) answer: Bytes,
    pub(crate) revision: u64,
    pub(crate) state_hash: u64,
}

/// How much history stays: so little that compactions happen in every run.
const HISTORY: History = History { age_us: 2_000_000, revisions: 20, bytes_max: u64::MAX };

/// The real store; notes everything that it executes.
#[derive(Debug)]
pub(crate) struct Witness {
    pub(crate) store: Store,
    seen: RefCell<Vec<Execution>>,
}

impl Default for Witness {
    fn default() -> Self {
        Self { store: Store::new().keeping(HISTORY), seen: RefCell::default() }
    }
}

impl Witness {
    /// What was executed since the last call.
    pub(crate) fn take_seen(&self) -> Vec<Execution> {
        self.seen.take()
    }
}

impl StateMachine for Witness {
    fn apply(&mut self, command: EntryRef<'_>, answer: &mut BytesMut) {
        let start = answer.len();
        self.store.apply(command, answer);
        self.seen.get_mut().push(Execution {
            index: command.id().index,
            log_time: command.log_time(),
            crc: crc_of(command),
            session: command.session(),
            payload: Bytes::copy_from_slice(command.payload()),
            answer: Bytes::copy_from_slice(&answer[start..]),
            revision: self.store.revision(),
            state_hash: self.store.state_hash(),
        });
    }

    fn query(&self, query: &[u8], log_time: u64, answer: &mut BytesMut) {
        self.store.query(query, log_time, answer);
    }

    fn revision(&self) -> u64 {
        self.store.revision()
    }

    fn changes(
        &self,
        from: u64,
        bytes_max: usize,
        changes: &mut BytesMut,
    ) -> Result<u64, Forgotten> {
        self.store.changes(from, bytes_max, changes)
    }

    fn state_hash(&self) -> u64 {
        self.store.state_hash()
    }

    fn due(&self, log_time: u64, command: &mut BytesMut) {
        self.store.due(log_time, command);
    }

    fn idle(&mut self) {
        self.store.idle();
    }

    fn pin(&mut self) {
        self.store.pin();
    }

    fn read_pinned(&mut self, bytes_max: usize, part: &mut BytesMut) -> bool {
        self.store.read_pinned(bytes_max, part)
    }

    fn unpin(&mut self) {
        self.store.unpin();
    }

    fn empty(&self) -> Self {
        Self { store: self.store.empty(), seen: RefCell::default() }
    }

    fn load(&mut self, part: &[u8]) -> Result<(), LoadError> {
        self.store.load(part)
    }

    fn finish_load(&mut self) -> Result<(), LoadError> {
        self.store.finish_load()
    }
}

/// The checksum in an entry's header, by which contents are compared.
pub(crate) fn crc_of(entry: EntryRef<'_>) -> u32 {
    let bytes = entry.bytes();
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
