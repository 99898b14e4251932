//! Why a round of commands was not taken.

use crate::types::NodeId;

/// Why a proposal was refused; nothing has happened to the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProposeError {
    /// This node does not lead; try the hint, or wait for a leader if there is none.
    NotLeader {
        /// The current leader, as far as known.
        hint: Option<NodeId>,
    },
    /// This node is giving leadership away; try again when the next leader is known.
    HandingOver,
    /// The round changes the membership, and this node has led for so short a time that it
    /// cannot decide on that; try again when `Raft::can_decide` says so.
    TooEarly,
    /// More entries are waiting for disks and followers than memory is set aside for; try
    /// again when some were committed.
    TooMuchInFlight,
    /// No majority has room to keep it; try again when there is space.
    NoSpace,
}
