//! When a node last had word of a leader, for those who read from its state without asking, and
//! what the time is by the leader's count.

use crate::consensus::leader::Leader;
use crate::consensus::quorum::reached_by_majority;
use crate::consensus::raft::{Raft, Role};
use crate::consensus::state::State;
use crate::types::Time;

impl Leader {
    /// When it was last known that this node leads: the newest moment since which a majority,
    /// of each half of a joint configuration, was heard of; `None` if none was yet.
    fn contact_at(&self, state: &State, now: Time) -> Option<Time> {
        let own = state.id();
        reached_by_majority(state.configuration(), |id| {
            if id == own { Some(now) } else { self.progress.get(&id).and_then(|p| p.heard_at) }
        })
    }
}

impl Raft {
    /// How long ago this node last had contact with a leader: heard of one, or, while it leads
    /// itself, of a majority. `None` if it never did in this life. Units: microseconds.
    #[must_use]
    pub fn contact_age_us(&self, now: Time) -> Option<u64> {
        self.contact_at(now).map(|at| now.since(at))
    }

    /// The log time that a round would be stamped with now; `None` unless this node leads.
    /// Units: microseconds.
    #[must_use]
    pub fn leader_log_time(&self, now: Time) -> Option<u64> {
        match &self.role {
            Role::Leader(role) => Some(role.log_time(&self.state.config, now)),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => None,
        }
    }

    /// Log time as this node knows it: a leader exactly, anybody else as it was at the last
    /// entry or heartbeat. Units: microseconds.
    #[must_use]
    pub fn known_log_time(&self, now: Time) -> u64 {
        self.leader_log_time(now).unwrap_or_else(|| self.log_time())
    }

    /// Notes the contact of a leader that is about to lead no more.
    pub(crate) fn keep_contact(&mut self, now: Time) {
        self.state.contact_at = self.contact_at(now);
    }

    fn contact_at(&self, now: Time) -> Option<Time> {
        let as_leader = match &self.role {
            Role::Leader(role) => role.contact_at(&self.state, now),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => None,
        };
        self.state.contact_at.max(as_leader)
    }
}
