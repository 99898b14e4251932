//! What must hold after every event, whatever goes wrong.
//!
//! The judge sees everything that no node can see: all memories, all disks, all answers. It
//! panics at the first thing that must not be.

mod answers;
mod collections;
mod executions;
mod logs;
mod mirror;
mod past;
mod promises;
mod registers;
#[cfg(test)]
mod tests;
mod view;
mod watched;

use kv_store::command::Answer;
use raft_core::consensus::ready::{Notice, Persist, RoleName};
use raft_core::hard_state::{Configuration, Standing};
use raft_core::replica::Replica;
use raft_core::replica::event::Effects;
use raft_core::replica::session_limits::SessionLimits;
use raft_core::snapshot::SnapshotId;
use raft_core::types::{Incarnation, Index, NodeId};

use crate::revision_order::revision_of;
use crate::simulator::node::{id_of, place_of};
use crate::simulator::report::Counts;
use crate::simulator::storage::{Opened, UnderWay};
use crate::simulator::witness::Witness;

pub(crate) use answers::{Asked, History};
use executions::Executions;
use logs::Logs;
use promises::Promises;
use registers::Registers;
use view::View;
pub(crate) use watched::{About, AboutItems, Heard, Watched};

/// Everything that is known about a run.
#[derive(Debug)]
pub(crate) struct Judge {
    views: Vec<View>,
    logs: Logs,
    promises: Promises,
    pub(crate) executions: Executions,
    pub(crate) history: History,
    pub(crate) registers: Registers,
}

impl Judge {
    /// A judge of a cluster of these nodes, in which sessions have these limits.
    pub(crate) fn new(ids: impl Iterator<Item = NodeId>, sessions: SessionLimits) -> Self {
        let founding = Configuration::of(ids);
        let nodes = founding.members.len();
        Self {
            views: (0..nodes).map(|_| View::default()).collect(),
            logs: Logs::begin(founding),
            promises: Promises::default(),
            executions: Executions::default(),
            history: History::new(sessions),
            registers: Registers::default(),
        }
    }

    /// There is one machine more.
    pub(crate) fn put_up(&mut self) {
        self.views.push(View::default());
    }

    /// How many entries are committed.
    pub(crate) fn committed_count(&self) -> usize {
        self.logs.committed_count()
    }

    /// Every configuration that is in force on some node, running or not, and the committed one.
    pub(crate) fn configurations(&self) -> impl Iterator<Item = &Configuration> {
        let views = self.views.iter().filter_map(|view| view.configuration.as_ref());
        views.chain([&self.logs.newest_configuration])
    }

    /// The newest configuration that is committed.
    pub(crate) fn newest_configuration(&self) -> &Configuration {
        &self.logs.newest_configuration
    }

    /// Adds what is known at the end of a run.
    ///
    /// Panics: if what clients saw cannot be explained.
    pub(crate) fn conclude(&self, counts: &mut Counts) {
        counts.committed = self.logs.committed_count() as u64;
        counts.executed = self.executions.count() as u64;
        counts.repeats = self.logs.commands_count - counts.executed;
        self.registers.check(&self.executions, counts);
    }

    /// Whether the disk of a node says that its word counts, and nothing has rotted there.
    pub(crate) fn is_healthy(&self, node: usize) -> bool {
        let view = &self.views[node];
        view.durable_state.standing == Standing::Full && !view.is_damaged
    }

    /// Whether the cluster knows the node's id under another directory.
    pub(crate) fn is_foreign(&self, id: NodeId, incarnation: Incarnation) -> bool {
        self.logs.bound(id).is_some_and(|bound| bound != incarnation)
    }

    /// A node's word counts from now on.
    pub(crate) fn admitted(&mut self, node: usize) {
        self.views[node].is_damaged = false;
    }

    /// A node has lost its directory; what it had does not count any more.
    pub(crate) fn wiped(&mut self, node: usize) {
        self.views[node].wiped();
    }

    /// The log of a node has rotted; it may have lost anything.
    pub(crate) fn damaged(&mut self, node: usize) {
        self.views[node].is_damaged = true;
    }

    /// A process has ended while its log was at work on this.
    pub(crate) fn crashed(&mut self, node: usize, under_way: Option<UnderWay>) {
        self.views[node].crashed(under_way);
    }

    /// A node has started on what it found.
    pub(crate) fn started(&mut self, node: usize, opened: &Opened) {
        self.views[node].restart(node, opened, &self.logs);
        let covered = opened.snapshot_id().map_or(Index::ZERO, |id| id.last.index);
        self.views[node].executed_count = self.executions.count_through(covered);
        self.views[node].executed_index = covered;
    }

    /// A node that has just started is about to work: the state that it loaded is the one that
    /// others have there.
    pub(crate) fn resumed(&self, replica: &Replica<Witness>) {
        let status = replica.status();
        self.logs.check_loaded(status.applied_index, (status.state_hash, status.revision));
    }

    /// A snapshot is durable on a node.
    pub(crate) fn covered(&mut self, node: usize, id: SnapshotId) {
        self.logs.check_covered(id.last);
        self.views[node].covered(id.last);
    }

    /// A node gives up a snapshot that it cannot read.
    pub(crate) fn discarded(&mut self, node: usize, id: SnapshotId) {
        self.views[node].discarded(id.last);
    }

    /// I17: what a read of a node shows is durable on a majority.
    pub(crate) fn shown(&self, answer: &[u8]) {
        let answer = Answer::decode(answer).expect("stores write answers");
        let revision = revision_of(&answer);
        let Some(index) = self.executions.index_of(revision) else { return };
        self.logs.check_shown(&self.views, index);
    }

    /// A batch has reached a node's disk.
    pub(crate) fn persisted(&mut self, node: usize, persist: &Persist) {
        self.views[node].persisted(persist, &self.logs);
    }

    /// A node has taken a turn.
    pub(crate) fn turned(
        &mut self,
        node: usize,
        replica: &Replica<Witness>,
        effects: &Effects,
        counts: &mut Counts,
    ) {
        let (id, raft) = (id_of(node), replica.raft());
        if let Some(persist) = &effects.persist {
            self.logs.appended(&self.views[node], persist);
            counts.truncations += u64::from(self.views[node].written(persist, &self.logs));
        }
        for notice in &effects.notices {
            if let Notice::Installed { last } = notice {
                let before = self.views[node].executed_index;
                let goes_on = before <= last.index;
                assert!(goes_on, "I18 n{id} puts a snapshot up to {last} over entry {before}");
                self.views[node].executed_count = self.executions.count_through(last.index);
                self.views[node].executed_index = last.index;
            }
        }
        let before = self.views[node].configuration.clone();
        self.views[node].moved_on(node, raft);
        if raft.role_name() == RoleName::Leader && self.logs.leads(node, raft.term()) {
            counts.leaders += 1;
            self.logs.check_vote(&self.views[node], raft);
            counts.leader_changes += u64::from(self.logs.takes_over(node, raft.term()));
            let is_rival = self.views.iter().any(|view| view.leads_before(raft.term()));
            counts.rivals += u64::from(is_rival);
            self.logs.check_completeness(&self.views[node], raft.term());
        }
        self.logs.commit(&self.views, node, raft, before.as_ref());
        if raft.role_name() == RoleName::Leader {
            self.logs.check_changes(&self.views[node]);
            let mut view = std::mem::take(&mut self.views[node]);
            for (peer, index, is_counted) in raft.match_indexes() {
                view.matched(&self.views[place_of(peer)], (peer, index, is_counted));
            }
            self.views[node] = view;
        }
        for envelope in effects.envelopes.iter().chain(&effects.bulk) {
            self.promises.sent(&mut self.views, node, envelope);
        }
        for execution in replica.machine().take_seen() {
            let (index, before) = (execution.index, self.views[node].executed_index);
            assert!(before < index, "I18 n{id} executes entry {index} behind entry {before}");
            self.views[node].executed_index = index;
            let committed = self.logs.committed(execution.index);
            assert_eq!(committed, Some(execution.crc), "I7 n{id} applies what is not committed");
            self.executions.executed(id, &mut self.views[node].executed_count, execution);
        }
        if let Some(applied) = effects.applied {
            self.logs.applied(applied.index, replica.status().state_hash, applied.revision);
        }
    }
}
