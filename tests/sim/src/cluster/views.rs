//! What tests ask of a cluster and do to it most often, in one word each.

use raft_core::consensus::message::Envelope;
use raft_core::consensus::ready::RoleName;
use raft_core::types::{EntryId, NodeId};

use super::{Cluster, is_named, node};

impl Cluster {
    /// The role of a running node.
    #[must_use]
    pub fn role(&self, id: u64) -> RoleName {
        self.status(node(id)).role
    }

    /// The term of a running node.
    #[must_use]
    pub fn term(&self, id: u64) -> u64 {
        self.status(node(id)).term.0
    }

    /// The commit index of a running node.
    #[must_use]
    pub fn commit_index(&self, id: u64) -> u64 {
        self.status(node(id)).commit_index.0
    }

    /// The last entry of a running node, durable or not.
    #[must_use]
    pub fn last(&self, id: u64) -> EntryId {
        self.replica(node(id)).raft().log().last()
    }

    /// The value of a register on a running node.
    #[must_use]
    pub fn value(&self, id: u64, key: &str) -> Option<&str> {
        self.replica(node(id)).machine().get(key)
    }

    /// The running nodes that lead, in whatever term.
    #[must_use]
    pub fn leaders(&self) -> Vec<u64> {
        let leads = |&id: &NodeId| self.is_up(id) && self.status(id).role == RoleName::Leader;
        self.ids().into_iter().filter(leads).map(NodeId::number).collect()
    }

    /// In how many terms somebody has led so far.
    #[must_use]
    pub fn leaderships(&self) -> usize {
        self.checks.leaderships()
    }

    /// Whether something was told, since it was last taken, that contains all of these.
    #[must_use]
    pub fn was_told(&self, parts: &[&str]) -> bool {
        self.told.iter().any(|line| parts.iter().all(|part| line.contains(part)))
    }

    /// Delivers the messages of this name that are on their way now.
    pub fn deliver_named(&mut self, name: &str) {
        self.deliver(named(name));
    }

    /// Lets a node's election timer run out and every other node that runs tell it that it
    /// would vote for it: its `RequestVote`s are on their way afterwards.
    ///
    /// Panics: if that does not make a candidate of it.
    pub fn stand(&mut self, id: u64) {
        self.stand_together(&[id]);
    }

    /// As `stand`, for several nodes that become candidates of the same term.
    pub fn stand_together(&mut self, ids: &[u64]) {
        ids.iter().for_each(|&id| self.campaign(node(id)));
        self.deliver_named("PreVote");
        self.deliver_named("PreVoteResponse");
        for &id in ids {
            assert_eq!(self.role(id), RoleName::Candidate, "n{id} stands for election");
        }
    }

    /// Loses everything between two nodes from now on, both ways.
    pub fn part(&mut self, one: u64, other: u64) {
        self.cut(node(one), node(other));
        self.cut(node(other), node(one));
    }

    /// Loses everything between one node and all others from now on.
    pub fn isolate(&mut self, id: u64) {
        for other in self.ids().into_iter().filter(|&other| other != node(id)) {
            self.part(id, other.number());
        }
    }
}

/// Picks the messages of this kind, by the name that the paper gives it.
pub fn named(name: &str) -> impl Fn(&Envelope) -> bool {
    move |envelope| is_named(envelope, name)
}
