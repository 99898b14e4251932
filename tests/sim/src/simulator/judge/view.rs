//! What the judge knows of one node: the log in its memory, and what is on its disk.

use std::collections::{BTreeMap, BTreeSet};

use raft_core::consensus::Raft;
use raft_core::consensus::ready::{Persist, RoleName};
use raft_core::entry::Entries;
use raft_core::hard_state::{Configuration, HardState, Standing};
use raft_core::types::{EntryId, Index, NodeId, Term};

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
    /// What was accepted of one leader and replaced by a later one before it was ever written.
    overtaken: BTreeSet<EntryId>,
    /// What the log was doing when the process ended; it may or may not be done.
    under_way: Option<UnderWay>,
    /// The last entries of the snapshots that are durable.
    covered_by: Vec<EntryId>,
    /// The last entry of the newest snapshot that ever was durable, here or in a directory that
    /// is lost.
    ever_covered: Index,
    /// The same in directories that are lost alone.
    lost_covered: Index,
    pub(super) is_damaged: bool,
    /// The configuration in force when the node was last seen.
    pub(super) configuration: Option<Configuration>,
    /// How much of the common history this life of the node has executed.
    pub(super) executed_count: usize,
    /// The newest entry whose effects are in the node's state.
    pub(super) executed_index: Index,
    /// How far the node, while it leads, believes others to have its log on disk.
    matches: BTreeMap<NodeId, Index>,
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
        let (ever_covered, lost_covered) = (self.ever_covered, self.ever_covered);
        // Answers of the lost directory may still be on their way.
        let overtaken = std::mem::take(&mut self.overtaken);
        *self = Self { lost, overtaken, ever_covered, lost_covered, ..Self::default() };
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
        assert!(old.term <= new.term, "I8 the durable term goes back from {old:?} to {new:?}");
        let changes_vote = old.term == new.term && old.vote.is_some() && old.vote != new.vote;
        assert!(!changes_vote, "I11 the durable vote changes from {old:?} to {new:?}");
        assert!(old.commit_index <= new.commit_index, "I9 the durable commit index goes back");
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
        let expected = self.covered_through();
        let is_whole = self.is_damaged || expected <= covered;
        assert!(is_whole, "place {node} has lost the snapshot up to {expected}");
        self.covered_by = vec![covered];
        // The process may have ended before it could say that it has the snapshot.
        self.ever_covered = self.ever_covered.max(covered.index);
        let state = opened.recovered.hard_state;
        // A start that was cut short may have seen the damage and set it aside already.
        let counts = state.standing == Standing::Full;
        if self.is_damaged && (opened.recovered.damage.is_some() || !counts) {
            let knows_term = self.durable_state.term <= state.term;
            assert!(knows_term, "I8 rot makes place {node} forget its term");
            self.check_vote(node, &state);
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
        self.matches.clear();
        self.commit_index = state.commit_index;
        self.applied_index = Index::ZERO;
    }

    fn check_vote(&self, node: usize, found: &HardState) {
        let old = self.durable_state;
        if old.term == found.term && old.vote.is_some() {
            assert_eq!(old.vote, found.vote, "I11 place {node} forgets its vote");
        }
    }

    fn check_recovery(&self, node: usize, found: &[Mark], state: &HardState, logs: &Logs) {
        let old = self.durable_state;
        assert!(old.term <= state.term, "I8 place {node} forgets its term: {old:?}, {state:?}");
        self.check_vote(node, state);
        // What a snapshot that has rotted said of the commit index stands nowhere else.
        let knows_commit = self.is_damaged || old.commit_index <= state.commit_index;
        assert!(knows_commit, "I9 place {node} forgets what is committed");
        // A log that does not hold what the snapshot ends with was replaced by the snapshot.
        let is_found = |log: &[Mark]| {
            let covered = logs.prefix(self.covered_through());
            let holds = covered.last().is_none_or(|last| log.get(covered.len() - 1) == Some(last));
            found == if holds { log } else { &covered }
        };
        let mut is_known = is_found(&self.durable);
        let mut finished = self.durable.clone();
        let batches = match &self.under_way {
            Some(UnderWay::Persist(batches)) => batches.as_slice(),
            Some(UnderWay::Cut(_)) | None => &[],
        };
        for persist in batches {
            apply(&mut finished, persist, logs);
            is_known |= is_found(&finished);
            // The log was begun anew and the end came before its first batch.
            is_known |= persist.base.is_some_and(|base| is_found(&logs.prefix(base)));
        }
        assert!(is_known, "place {node} has neither its log nor its log with a batch");
    }

    /// A snapshot is durable.
    pub(super) fn covered(&mut self, last: EntryId) {
        self.covered_by.push(last);
        self.covered_by.sort_unstable();
        self.ever_covered = self.ever_covered.max(last.index);
    }

    /// A snapshot that was received cannot be read and is given up.
    pub(super) fn discarded(&mut self, last: EntryId) {
        self.covered_by.retain(|covered| *covered != last);
    }

    /// The last entry of the newest snapshot that is durable.
    fn covered_through(&self) -> EntryId {
        self.covered_by.last().copied().unwrap_or(EntryId::ZERO)
    }

    /// Whether a durable snapshot covers an entry that a leader believes to be here.
    fn covers(&self, index: Index) -> bool {
        index <= self.covered_through().index
    }

    /// Whether the node may tell the leader of a term that it has an entry on its disk.
    ///
    /// What a turn accepts of this leader and then of a later one replaces is in no batch; the
    /// answer leaves when the later leader's entry is durable. It is as if the first entry had
    /// been written and replaced: nobody can commit that one any more, for the voters of the
    /// later leader, which lacks it, were in its term before any of them could accept it.
    pub(super) fn may_accept(&mut self, id: EntryId, term: Term) -> bool {
        let reach = place(id.index.next()).min(self.durable.len());
        let newest = self.durable[..reach].last();
        let is_overtaken = newest.is_some_and(|mark| term < mark.term);
        if is_overtaken {
            self.overtaken.insert(id);
        }
        is_overtaken || self.ever.contains(&id) || self.covers(id.index)
    }

    /// Whether an entry was once here and may have been counted, though it is not here any more:
    /// rot has taken it, or it was in a directory that is lost.
    pub(super) fn was_robbed_of(&self, id: EntryId) -> bool {
        let had = self.ever.contains(&id) || id.index <= self.ever_covered;
        (self.is_damaged && had) || self.lost.contains(&id) || id.index <= self.lost_covered
    }

    /// The node has taken a turn: nothing goes back.
    pub(super) fn moved_on(&mut self, node: usize, raft: &Raft) {
        let log = raft.log();
        let (term, commit_index, applied_index) =
            (raft.term(), log.commit_index(), log.applied_index());
        assert!(self.term <= term, "I8 the term of place {node} goes back");
        assert!(self.commit_index <= commit_index, "I9 the commit index of place {node} goes back");
        assert!(self.applied_index <= applied_index, "I10 place {node} applies backwards");
        assert_eq!(self.memory.len() as u64, log.last().index.0, "batches hold the whole log");
        let covered = self.covered_through();
        assert!(log.base() <= covered, "I7 place {node} lets go of what no snapshot covers");
        if self.configuration.as_ref() != Some(raft.configuration()) {
            self.configuration = Some(raft.configuration().clone());
        }
        if let Some(snapshot) = raft.snapshot() {
            let last = snapshot.last.index;
            assert!(log.base().index <= last, "I7 place {node} has cut behind its snapshot");
            assert!(last <= applied_index, "I7 the snapshot of place {node} is not applied");
        }
        if self.term != term || raft.role_name() != RoleName::Leader {
            self.matches.clear();
        }
        self.term = term;
        self.is_leader = raft.role_name() == RoleName::Leader;
        self.commit_index = commit_index;
        self.applied_index = applied_index;
    }

    /// I12: a leader believes of a follower what is on its disk, and never less than before. What
    /// was never counted may be taken back, and is sent again.
    pub(super) fn matched(
        &mut self,
        follower: &Self,
        (peer, index, is_counted): (NodeId, Index, bool),
    ) {
        let kept = if is_counted { index } else { Index::ZERO };
        let before = self.matches.insert(peer, kept).unwrap_or_default();
        // A new directory begins anew.
        let is_same = follower.lost.is_empty();
        assert!(!is_same || before <= index, "I12 the match of n{peer} falls from {before}");
        let Some(mark) = self.at(index) else { return };
        let id = EntryId { term: mark.term, index };
        let was_durable = follower.ever.contains(&id) || follower.lost.contains(&id);
        let was_durable = was_durable || follower.overtaken.contains(&id);
        let is_durable = was_durable || index <= follower.ever_covered;
        assert!(is_durable, "I12 n{peer} is believed to have {id} on its disk");
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
