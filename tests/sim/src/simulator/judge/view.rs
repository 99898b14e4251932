//! What the judge knows of one node: the log in its memory, and what is on its disk.

use std::collections::BTreeSet;

use raft_core::consensus::Raft;
use raft_core::consensus::ready::{Persist, RoleName};
use raft_core::entry::Entries;
use raft_core::hard_state::{Configuration, HardState, Standing};
use raft_core::types::{EntryId, Index, Term};

use super::logs::Logs;
use crate::simulator::storage::{Opened, UnderWay};
use crate::simulator::witness::crc_of;

/// An entry by its term and its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) term: Term,
    pub(super) crc: u32,
}

/// One node.
#[derive(Debug, Default)]
pub(super) struct View {
    /// The log in memory; the first entry stands at place 0.
    pub(super) memory: Vec<Mark>,
    /// The log on disk, synced.
    pub(super) durable: Vec<Mark>,
    pub(super) durable_state: HardState,
    /// Every entry that was ever durable in this directory.
    pub(super) ever: BTreeSet<EntryId>,
    /// Every entry that was durable in a directory that is lost. It may have been counted
    /// before, but the node never counts again under its new directory.
    pub(super) lost: BTreeSet<EntryId>,
    /// What the log was doing when the process ended; it may or may not be done.
    under_way: Option<UnderWay>,
    /// The last entry of the newest snapshot that is durable.
    covered: EntryId,
    pub(super) is_damaged: bool,
    /// The configuration in force when the node was last seen.
    pub(super) configuration: Option<Configuration>,
    /// How much of the common history this life of the node has executed.
    pub(super) executed_count: usize,
    term: Term,
    is_leader: bool,
    commit_index: Index,
    applied_index: Index,
}

/// The log after `entries`, and whether that removes something.
fn merge(log: &mut Vec<Mark>, entries: &[Entries]) -> bool {
    let Some(first) = entries.first().map(|run| place(run.first_index())) else { return false };
    let truncates = first < log.len();
    log.truncate(first);
    for entry in entries.iter().flat_map(Entries::iter) {
        assert_eq!(place(entry.id().index), log.len(), "a batch leaves no gap");
        log.push(Mark { term: entry.id().term, crc: crc_of(entry) });
    }
    truncates
}

/// The log after a batch, and whether that removes something.
fn apply(log: &mut Vec<Mark>, persist: &Persist, logs: &Logs) -> bool {
    if let Some(base) = persist.base {
        *log = logs.prefix(base);
    }
    merge(log, &persist.entries)
}

pub(super) fn place(index: Index) -> usize {
    usize::try_from(index.0 - 1).expect("logs are short")
}

impl View {
    /// The entry at `index` in memory.
    pub(super) fn at(&self, index: Index) -> Option<Mark> {
        (Index::ZERO < index).then(|| self.memory.get(place(index)).copied()).flatten()
    }

    /// The node has handed out a batch. Returns whether it removes entries.
    pub(super) fn written(&mut self, persist: &Persist, logs: &Logs) -> bool {
        apply(&mut self.memory, persist, logs)
    }

    /// The directory is gone.
    pub(super) fn wiped(&mut self) {
        let mut lost = std::mem::take(&mut self.lost);
        lost.append(&mut self.ever);
        *self = Self { lost, ..Self::default() };
    }

    /// The process has ended while its log was at work on this.
    pub(super) fn crashed(&mut self, under_way: Option<UnderWay>) {
        self.under_way = under_way;
        self.is_leader = false;
    }

    /// A batch is synced.
    pub(super) fn persisted(&mut self, persist: &Persist, logs: &Logs) {
        let old = self.durable_state;
        let new = persist.hard_state;
        assert!(old.term <= new.term, "the durable term goes back from {old:?} to {new:?}");
        let changes_vote = old.term == new.term && old.vote.is_some() && old.vote != new.vote;
        assert!(!changes_vote, "the durable vote changes from {old:?} to {new:?}");
        assert!(old.commit_index <= new.commit_index, "the durable commit index goes back");
        self.durable_state = new;
        apply(&mut self.durable, persist, logs);
        assert!(place(new.commit_index.next()) <= self.durable.len(), "commit is in the log");
        self.remember(persist.entries.iter());
    }

    fn remember<'e>(&mut self, entries: impl Iterator<Item = &'e Entries>) {
        self.ever.extend(entries.flat_map(Entries::iter).map(|entry| entry.id()));
    }

    /// The node found this on its disk. It must be what was durable, or that and the batch
    /// that was under way; only rot may take more.
    pub(super) fn restart(&mut self, node: usize, opened: &Opened, logs: &Logs) {
        let mut found = logs.prefix(opened.recovered.base);
        merge(&mut found, &opened.entries);
        let covered = opened.snapshot_id().map_or(EntryId::ZERO, |id| id.last);
        let is_whole = self.is_damaged || self.covered <= covered;
        assert!(is_whole, "place {node} has lost the snapshot up to {}", self.covered);
        self.covered = covered;
        let state = opened.recovered.hard_state;
        // A start that was cut short may have seen the damage and set it aside already.
        let counts = state.standing == Standing::Full;
        if self.is_damaged && (opened.recovered.damage.is_some() || !counts) {
            let knows_term = self.durable_state.term <= state.term;
            assert!(knows_term, "rot makes place {node} forget its term");
        } else {
            assert_eq!(opened.recovered.damage, None, "no byte of place {node} has rotted");
            self.check_recovery(node, &found, &state, logs);
            self.is_damaged = false;
        }
        self.remember(opened.entries.iter());
        self.durable.clone_from(&found);
        self.memory = found;
        self.durable_state = state;
        self.under_way = None;
        self.executed_count = 0;
        self.term = state.term;
        self.is_leader = false;
        self.commit_index = state.commit_index;
        self.applied_index = Index::ZERO;
    }

    fn check_recovery(&self, node: usize, found: &[Mark], state: &HardState, logs: &Logs) {
        let old = self.durable_state;
        assert!(old.term <= state.term, "place {node} forgets its term: {old:?}, {state:?}");
        if old.term == state.term && old.vote.is_some() {
            assert_eq!(old.vote, state.vote, "place {node} forgets its vote");
        }
        // What a snapshot that has rotted said of the commit index stands nowhere else.
        let knows_commit = self.is_damaged || old.commit_index <= state.commit_index;
        assert!(knows_commit, "place {node} forgets what is committed");
        // A log that does not hold what the snapshot ends with was replaced by the snapshot.
        let is_found = |log: &[Mark]| {
            let covered = logs.prefix(self.covered);
            let holds = covered.last().is_none_or(|last| log.get(covered.len() - 1) == Some(last));
            found == if holds { log } else { &covered }
        };
        let mut is_known = is_found(&self.durable);
        if let Some(UnderWay::Persist(persist)) = &self.under_way {
            let mut finished = self.durable.clone();
            apply(&mut finished, persist, logs);
            is_known |= is_found(&finished);
            // The log was begun anew and the end came before its first batch.
            is_known |= persist.base.is_some_and(|base| is_found(&logs.prefix(base)));
        }
        assert!(is_known, "place {node} has neither its log nor its log with a batch");
    }

    /// A snapshot is durable.
    pub(super) fn covered(&mut self, last: EntryId) {
        self.covered = self.covered.max(last);
    }

    /// Whether a durable snapshot covers an entry that a leader believes to be here.
    pub(super) fn covers(&self, index: Index) -> bool {
        index <= self.covered.index
    }

    /// The node has taken a turn: nothing goes back.
    pub(super) fn moved_on(&mut self, node: usize, raft: &Raft) {
        let log = raft.log();
        let (term, commit_index, applied_index) =
            (raft.term(), log.commit_index(), log.applied_index());
        assert!(self.term <= term, "the term of place {node} goes back");
        assert!(self.commit_index <= commit_index, "the commit index of place {node} goes back");
        assert!(self.applied_index <= applied_index, "place {node} applies backwards");
        assert_eq!(self.memory.len() as u64, log.last().index.0, "batches hold the whole log");
        assert!(log.base() <= self.covered, "place {node} lets go of what no snapshot covers");
        if self.configuration.as_ref() != Some(raft.configuration()) {
            self.configuration = Some(raft.configuration().clone());
        }
        self.term = term;
        self.is_leader = raft.role_name() == RoleName::Leader;
        self.commit_index = commit_index;
        self.applied_index = applied_index;
    }

    /// Whether the node believes that it leads an earlier term.
    pub(super) fn leads_before(&self, term: Term) -> bool {
        self.is_leader && self.term < term
    }

    /// Whether the node led this term when it was last seen.
    pub(super) fn is_leader_of(&self, term: Term) -> bool {
        self.is_leader && self.term == term
    }
}
