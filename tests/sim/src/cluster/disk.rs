//! The disk of one node, as far as a log needs it: what was synced, and what was not yet.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use raft_core::configuration::Configuration;
use raft_core::consensus::log::RaftLog;
use raft_core::consensus::ready::{Fetch, Persist};
use raft_core::entry::{Entries, EntryRef};
use raft_core::hard_state::{HardState, Standing};
use raft_core::snapshot::{SnapshotId, SnapshotState};
use raft_core::types::{EntryId, Index};

/// A disk that keeps what was synced and, until then, may lose what was written.
#[derive(Debug, Default)]
pub(super) struct Disk {
    hard_state: HardState,
    entries: BTreeMap<Index, Bytes>,
    unsynced: VecDeque<Persist>,
    /// The last entry before the log.
    base: EntryId,
}

impl Disk {
    /// Writes a batch behind every earlier one; only `sync` makes it last.
    pub(super) fn write(&mut self, batch: Persist) {
        self.unsynced.push_back(batch);
    }

    /// Syncs the oldest `count` batches and returns them.
    pub(super) fn sync(&mut self, count: usize) -> Vec<Persist> {
        let batches: Vec<Persist> = self.unsynced.drain(..count.min(self.unsynced.len())).collect();
        for batch in &batches {
            if let Some(base) = batch.base {
                self.entries.clear();
                self.base = base;
            }
            self.keep(batch.hard_state, &batch.entries);
        }
        batches
    }

    fn keep(&mut self, hard_state: HardState, entries: &[Entries]) {
        self.hard_state = hard_state;
        if let Some(first) = entries.first().map(Entries::first_index) {
            self.entries.split_off(&first);
        }
        for run in entries {
            let ids = run.iter().map(|entry| entry.id().index);
            self.entries.extend(ids.zip(run.commands()));
        }
    }

    /// Lets go of everything before `first` that is synced.
    pub(super) fn cut_before(&mut self, first: Index) {
        let behind = self.entries.split_off(&first);
        if let Some(last) = self.entries.values().next_back() {
            self.base = EntryRef::of(last).id();
        }
        self.entries = behind;
    }

    /// The ids of the entries that a restart would find.
    #[must_use]
    pub(super) fn ids(&self) -> Vec<EntryId> {
        let runs = self.runs(Index(1), usize::MAX);
        runs.iter().flat_map(|run| run.iter().map(|entry| entry.id())).collect()
    }

    /// The hard state that a restart would find.
    #[must_use]
    pub(super) fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// The power goes: what was not synced is gone.
    pub(super) fn lose_power(&mut self) {
        self.unsynced.clear();
    }

    /// Everything behind `last` turns out to be unreadable; recovery says so.
    pub(super) fn damage(&mut self, last: Index) {
        self.entries.split_off(&last.next());
        self.hard_state.commit_index = self.hard_state.commit_index.min(last);
        self.hard_state.standing = Standing::Quarantined;
    }

    /// What recovery hands to Raft: of the entries only the last one is in memory.
    #[must_use]
    pub(super) fn restore(
        &self,
        founding: &Configuration,
        snapshot: Option<(SnapshotId, &SnapshotState)>,
    ) -> (HardState, RaftLog) {
        let replaced = snapshot.filter(|(id, _)| !self.holds(id.last));
        if let Some((id, state)) = replaced {
            // The end came between the snapshot and the log.
            let log = RaftLog::restore(id.last, Vec::new(), Vec::new(), id.last.index);
            let made = (state.configured_at, state.configuration.clone());
            return (self.hard_state, log.with_configurations(made, Vec::new()));
        }
        let runs = self.runs(Index(1), usize::MAX);
        let terms =
            runs.iter().map(|run| EntryId { term: run.term(), index: run.first_index() }).collect();
        let last = runs.last().map(Entries::last_index);
        let tail = last.map_or_else(Vec::new, |last| self.runs(last, usize::MAX));
        let made = runs.iter().flat_map(|run| run.configure_entries().filter_map(configuration));
        let log = RaftLog::restore(self.base, terms, tail, self.hard_state.commit_index);
        let Some((id, state)) = snapshot else {
            let founding = (Index::ZERO, founding.clone());
            return (self.hard_state, log.with_configurations(founding, made.collect()));
        };
        let base = (state.configured_at, state.configuration.clone());
        let log = log.continue_from(id.last).with_configurations(base, made.collect());
        (self.hard_state, log)
    }

    fn holds(&self, id: EntryId) -> bool {
        let entry = self.entries.get(&id.index);
        id == self.base || entry.is_some_and(|entry| EntryRef::of(entry).id() == id)
    }

    /// What a read of older entries finds.
    #[must_use]
    pub(super) fn read(&self, fetch: &Fetch) -> Vec<Entries> {
        let runs = self.runs(fetch.first, fetch.bytes_max);
        runs.iter().filter_map(|run| run.slice(fetch.first..fetch.end, usize::MAX)).collect()
    }

    fn runs(&self, first: Index, bytes_max: usize) -> Vec<Entries> {
        let mut bytes = BytesMut::new();
        for entry in self.entries.range(first..).map(|(_, entry)| entry) {
            if !bytes.is_empty() && bytes_max < bytes.len() + entry.len() {
                break;
            }
            bytes.extend_from_slice(entry);
        }
        Entries::decode(&bytes.freeze()).expect("the disk holds what was written")
    }
}

/// What an entry makes of the membership.
fn configuration(entry: EntryRef<'_>) -> Option<(Index, Configuration)> {
    let index = entry.id().index;
    Configuration::made_by(index, entry.payload()).map(|configuration| (index, configuration))
}
