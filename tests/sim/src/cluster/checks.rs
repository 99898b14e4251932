//! What must hold between nodes after every step, whatever a test does to them.

use std::collections::{BTreeMap, BTreeSet};

use raft_core::configuration::Configuration;
use raft_core::consensus::Raft;
use raft_core::consensus::message::{Envelope, Message};
use raft_core::consensus::ready::Persist;
use raft_core::entry::Entries;
use raft_core::types::{EntryId, Incarnation, Index, NodeId, Term};

/// Remembers what was ever decided and by whom.
#[derive(Debug, Default)]
pub(super) struct Checks {
    leaders: BTreeMap<Term, NodeId>,
    votes: BTreeMap<(NodeId, Incarnation, Term), NodeId>,
    committed: BTreeMap<Index, Term>,
    states: BTreeMap<Index, (u64, u64)>,
    /// What each node ever had on its disk; it may have been counted before it was lost.
    on_disk: BTreeMap<NodeId, OnDisk>,
}

/// What was ever synced on one node.
#[derive(Debug, Default)]
struct OnDisk {
    entries: BTreeSet<EntryId>,
    /// What a snapshot in the place of entries covers.
    covered: Index,
}

impl Checks {
    /// Notes a leader.
    ///
    /// Panics: if its term has another leader, or if it lacks a committed entry.
    pub(super) fn leads(&mut self, raft: &Raft) {
        let (id, term) = (raft.config().id, raft.term());
        let first = *self.leaders.entry(term).or_insert(id);
        assert_eq!(first, id, "one leader per term: {term:?} has two");
        // A leader that was deposed without knowing it need not have what came later.
        let base = raft.log().base().index;
        let behind_base = self.committed.range(base..);
        for (&index, &term) in behind_base.filter(|&(_, &of)| of <= term) {
            let found = raft.log().term_at(index);
            assert_eq!(found, Some(term), "{id:?} leads without the committed {term}/{index}");
        }
    }

    /// In how many terms somebody has led.
    pub(super) fn leaderships(&self) -> usize {
        self.leaders.len()
    }

    /// Notes what leaves a node.
    ///
    /// Panics: if it is a second vote of one term.
    pub(super) fn leaves(&mut self, envelope: &Envelope) {
        if let Message::RequestVoteResponse { granted: true } = envelope.message {
            let voter = (envelope.from, envelope.incarnation, envelope.term);
            let first = *self.votes.entry(voter).or_insert(envelope.to);
            assert_eq!(first, envelope.to, "one vote per term: {voter:?} gave two");
        }
    }

    /// Notes what a node believes to be committed, from `from` on.
    ///
    /// Panics: if another node, or an earlier life of this one, committed something else.
    pub(super) fn commits(&mut self, raft: &Raft, from: Index) {
        // What a snapshot covers was noted when it was made.
        let first = from.max(raft.log().base().index);
        for index in (first.0..=raft.log().commit_index().0).map(Index).filter(|i| i.0 != 0) {
            let term = raft.log().term_at(index).expect("what is committed is in the log");
            let first = *self.committed.entry(index).or_insert(term);
            assert_eq!(first, term, "{:?} committed another entry {index}", raft.config().id);
        }
    }

    /// Notes that a node's log begins behind a snapshot.
    pub(super) fn covers(&mut self, id: NodeId, base: Index) {
        let disk = self.on_disk.entry(id).or_default();
        disk.covered = disk.covered.max(base);
    }

    /// Notes what a node has synced.
    pub(super) fn synced(&mut self, id: NodeId, batch: &Persist) {
        self.covers(id, batch.base.map_or(Index::ZERO, |base| base.index));
        let entries = batch.entries.iter().flat_map(Entries::iter).map(|entry| entry.id());
        self.on_disk.entry(id).or_default().entries.extend(entries);
    }

    /// Notes that a node shows its state in an answer to a read.
    ///
    /// Panics: if what made that state is not on a majority of disks (I17), of each half of one
    /// of the configurations in force.
    pub(super) fn shows<'c>(
        &self,
        raft: &Raft,
        mut in_force: impl Iterator<Item = &'c Configuration>,
    ) {
        let index = raft.log().applied_index();
        let Some(term) = raft.log().term_at(index).filter(|_| Index::ZERO < index) else { return };
        // A disk that has had this entry has had those before it.
        let shown = EntryId { term, index };
        let has = |disk: &OnDisk| disk.entries.contains(&shown) || index <= disk.covered;
        let holds = |node: &&NodeId| self.on_disk.get(node).is_some_and(has);
        let carries = |half: &BTreeSet<NodeId>| half.len() / 2 < half.iter().filter(holds).count();
        let is_durable = in_force.any(|configuration| configuration.halves().all(carries));
        let id = raft.config().id;
        assert!(is_durable, "I17 n{id} shows {shown}, which is not durable on a majority");
    }

    /// Notes the state of a node that has applied everything up to `index`.
    ///
    /// Panics: if another node had another state there.
    pub(super) fn has_state(&mut self, id: NodeId, index: Index, state: (u64, u64)) {
        let first = *self.states.entry(index).or_insert(state);
        assert_eq!(first, state, "{id:?} has another state at {index:?} (revision, hash)");
    }
}
