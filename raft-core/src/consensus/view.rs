//! What can be seen of a `Raft` from outside, without changing it.

use std::collections::BTreeMap;

use crate::configuration::Configuration;
use crate::consensus::config::RaftConfig;
use crate::consensus::log::RaftLog;
use crate::consensus::raft::{Raft, Role};
use crate::consensus::ready::RoleName;
use crate::consensus::state::State;
use crate::hard_state::HardState;
use crate::snapshot::SnapshotId;
use crate::types::{NodeId, Term};

impl Raft {
    /// The current term.
    #[must_use]
    pub fn term(&self) -> Term {
        self.state.term()
    }

    /// The role.
    #[must_use]
    pub fn role_name(&self) -> RoleName {
        match &self.role {
            Role::Follower(_) => RoleName::Follower,
            Role::PreCandidate(_) => RoleName::PreCandidate,
            Role::Candidate(_) => RoleName::Candidate,
            Role::Leader(_) => RoleName::Leader,
        }
    }

    /// Who leads this term, as far as this node knows.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        match &self.role {
            Role::Follower(role) => role.leader,
            Role::PreCandidate(_) | Role::Candidate(_) => None,
            Role::Leader(_) => Some(self.state.id()),
        }
    }

    /// The configuration in force.
    #[must_use]
    pub fn configuration(&self) -> &Configuration {
        self.state.configuration()
    }

    /// Whether this node was removed for ever: a member said so, or its own log does.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        let log = &self.state.log;
        let (_, committed) = log.membership().at(log.commit_index());
        self.state.is_removed || committed.was_removed(self.state.id())
    }

    /// Where to reach whom. A log that is being caught up with may be in a time before this node
    /// joined; then those who were there when it did are to be reached.
    #[must_use]
    pub fn peers_to_reach(&self) -> BTreeMap<NodeId, String> {
        let State { config, .. } = &self.state;
        let in_force = self.state.configuration();
        let is_behind = in_force.next_id <= config.id.number();
        let known = if is_behind { &config.configuration } else { in_force };
        let mut peers = known.members.clone();
        peers.retain(|id, address| *id != config.id && !address.is_empty());
        peers
    }

    /// The newest snapshot of this node.
    #[must_use]
    pub fn snapshot(&self) -> Option<SnapshotId> {
        self.state.snapshot
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &RaftLog {
        &self.state.log
    }

    /// What must be on disk.
    #[must_use]
    pub fn hard_state(&self) -> HardState {
        self.state.hard_state()
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &RaftConfig {
        &self.state.config
    }

    /// The highest log time that this node knows of. Units: microseconds.
    #[must_use]
    pub fn log_time(&self) -> u64 {
        self.state.log.log_time()
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn role(&self) -> &Role {
        &self.role
    }
}
