//! Rounds with changes of the membership that reach a leader before it can decide on them. They
//! wait with it: whoever is asked to remove the leader hands over, and the request reaches the
//! next one in its first moments.

use crate::entry::Draft;
use crate::types::NodeId;

/// Rounds that wait at most; when full, another one is dropped, and whoever gave it sends it
/// again after a while.
const ROUNDS_MAX: usize = 64;

/// The rounds, each with the node that forwarded it.
#[derive(Debug, Default)]
pub(crate) struct EarlyRounds {
    rounds: Vec<(Option<NodeId>, Draft)>,
}

impl EarlyRounds {
    /// Adds a round of a client of this node, or of another node.
    pub(crate) fn add(&mut self, from: Option<NodeId>, round: Draft) {
        if self.rounds.len() < ROUNDS_MAX {
            self.rounds.push((from, round));
        }
    }

    /// Whether none waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.rounds.is_empty()
    }

    /// All rounds, in the order in which they came.
    pub(crate) fn take(&mut self) -> Vec<(Option<NodeId>, Draft)> {
        std::mem::take(&mut self.rounds)
    }
}
