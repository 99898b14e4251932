//! What a node must not forget.

use serde::{Deserialize, Serialize};

use crate::teeth::is_removed;
use crate::types::{Index, NodeId, Term};

pub use crate::configuration::Configuration;

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
        !is_removed("votes-are-written")
            && (self.term, self.vote, self.standing) != (older.term, older.vote, older.standing)
    }
}
