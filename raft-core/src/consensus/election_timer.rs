//! How long a node still waits before it stands for election, for those who watch.

use crate::consensus::raft::{Raft, Role};
use crate::types::Time;

/// The timer of an election, or of the campaign that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElectionTimer {
    /// How long until it runs out; zero if it has. Units: microseconds.
    pub left_us: u64,
    /// How long it was when it began. Units: microseconds.
    pub of_us: u64,
}

impl Raft {
    /// The election timer; `None` of a node that leads or cannot be elected, and so has none.
    #[must_use]
    pub fn election_timer(&self, now: Time) -> Option<ElectionTimer> {
        let deadline = match &self.role {
            Role::Follower(role) if self.state.is_electable() => role.election_deadline,
            Role::PreCandidate(campaign) | Role::Candidate(campaign) => campaign.deadline,
            Role::Follower(_) | Role::Leader(_) => return None,
        };
        let of_us = deadline.since(self.state.timer_began);
        Some(ElectionTimer { left_us: deadline.since(now), of_us })
    }
}
