//! What a node must not forget, and who is in the cluster.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::types::{Index, NodeId, Term};

/// How much a node's word counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Votes, campaigns and counts.
    Full,
    /// Started on an empty directory and not yet admitted: it follows, but neither votes nor
    /// campaigns, and no leader counts it.
    #[default]
    Unbound,
    /// Its log was damaged, so it may have forgotten what it had promised: as `Unbound`, until
    /// it holds everything that a leader elected and confirmed without it has committed.
    Quarantined,
}

/// What must be on disk before anyone may rely on it (Raft Figure 2, persistent state).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// The latest term this node has seen.
    pub term: Term,
    /// Whom this node voted for in `term`.
    pub vote: Option<NodeId>,
    /// A lower bound of what is committed; never beyond the log that is written with it.
    pub commit_index: Index,
    /// How much this node's word counts.
    pub standing: Standing,
}

impl HardState {
    /// Whether `self` makes a promise that `older` does not, so that it must be synced before
    /// any message that depends on it. The commit index is no promise.
    #[must_use]
    pub fn promises_more_than(&self, older: &Self) -> bool {
        (self.term, self.vote, self.standing) != (older.term, older.vote, older.standing)
    }
}

/// Which nodes are members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// The nodes that vote, at least one.
    pub voters: BTreeSet<NodeId>,
}

impl Configuration {
    /// A configuration of these voters.
    #[must_use]
    pub fn of(voters: impl IntoIterator<Item = NodeId>) -> Self {
        Self { voters: voters.into_iter().collect() }
    }

    /// How many voters make a majority: ⌊n/2⌋ + 1 of all configured ones, dead or alive.
    #[must_use]
    pub fn quorum(&self) -> usize {
        self.voters.len() / 2 + 1
    }
}
