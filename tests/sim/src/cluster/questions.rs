//! What tests ask a cluster about a node, by its number.

use raft_core::consensus::RaftConfig;
use raft_core::consensus::message::{AppendResult, Envelope, Message};
use raft_core::entry::Entries;
use raft_core::hard_state::HardState;
use raft_core::types::{EntryId, Index, NodeId, Term};

use crate::cluster::{Cluster, node};

impl Cluster {
    /// As [`Self::led_by`], with settings of which `settings` changes some.
    ///
    /// Panics: if the founding does not come about.
    #[must_use]
    pub fn led_by_with(count: u64, leader: NodeId, settings: fn(&mut RaftConfig)) -> Self {
        let mut cluster = Self::with_settings(count, settings);
        cluster.found(leader);
        cluster
    }

    /// The hard state that a restart of the node would find.
    #[must_use]
    pub fn hard_state_on_disk(&self, id: u64) -> HardState {
        self.members[&node(id)].disk.hard_state()
    }

    /// The appends that are on their way to a node, as prev and the last index in them.
    #[must_use]
    pub fn appends_to(&self, id: u64) -> Vec<(EntryId, u64)> {
        let appends = self.bag().filter(|envelope| envelope.to == node(id));
        let shown = appends.filter_map(|envelope| match &envelope.message {
            Message::AppendEntries { prev, entries, .. } => {
                let last = entries.last().map_or(prev.index, Entries::last_index);
                Some((*prev, last.0))
            }
            _ => None,
        });
        shown.collect()
    }

    /// The commit indexes in the heartbeats that are on their way to a node.
    #[must_use]
    pub fn heartbeats_to(&self, id: u64) -> Vec<u64> {
        let heartbeats = self.bag().filter(|envelope| envelope.to == node(id));
        let shown = heartbeats.filter_map(|envelope| match &envelope.message {
            Message::Heartbeat { commit_index, .. } => Some(commit_index.0),
            _ => None,
        });
        shown.collect()
    }

    /// How many answers the request of this label has had.
    #[must_use]
    pub fn answers_to(&self, label: &str) -> usize {
        self.answers.iter().filter(|(name, _)| name == label).count()
    }

    /// How far the answers that are on their way from a node say that it agrees durably.
    #[must_use]
    pub fn acks_from(&self, id: u64) -> Vec<u64> {
        let answers = self.bag().filter(|envelope| envelope.from == node(id));
        answers.filter_map(acknowledged).collect()
    }
}

/// How far an answer says that its sender agrees durably, if it says so.
#[must_use]
pub fn acknowledged(envelope: &Envelope) -> Option<u64> {
    match envelope.message {
        Message::AppendEntriesResponse {
            result: AppendResult::Accepted { match_index }, ..
        } => Some(match_index.0),
        _ => None,
    }
}

/// The entry of this term at this index.
#[must_use]
pub fn id(term: u64, index: u64) -> EntryId {
    EntryId { term: Term(term), index: Index(index) }
}
