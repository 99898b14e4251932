//! Who votes, small enough to be part of every state, and what an operator wants changed.

use std::collections::BTreeSet;
use std::fmt;

use raft_core::configuration::{Change, Configuration};
use raft_core::types::NodeId;

use crate::node::id_of;

/// A change that somebody asks a leader for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ask {
    /// Learners that are to vote, by number.
    pub promote: &'static [u64],
    /// Voters that are to be learners.
    pub demote: &'static [u64],
    /// Members that are to leave.
    pub remove: &'static [u64],
}

/// A configuration as sets of nodes; the bit of node 1 is the lowest.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Members {
    all: u8,
    voters: u8,
    outgoing: u8,
}

impl Ask {
    /// A request that names nobody.
    pub const NOTHING: Self = Self { promote: &[], demote: &[], remove: &[] };

    /// Whether it names so many that they are changed through a joint configuration, if all of
    /// them begin or cease to vote.
    pub(crate) fn names_several(&self) -> bool {
        1 < self.promote.len() + self.demote.len() + self.remove.len()
    }

    pub(crate) fn to_change(self) -> Change {
        let ids = |numbers: &[u64]| numbers.iter().copied().map(id_of).collect::<BTreeSet<_>>();
        let (promote, demote, remove) = (ids(self.promote), ids(self.demote), ids(self.remove));
        Change { promote, demote, remove, ..Change::default() }
    }
}

impl Members {
    pub(crate) fn of(configuration: &Configuration) -> Self {
        let Configuration { members, voters, outgoing, learners: _, kept: _, next_id: _ } =
            configuration;
        let all = members.keys().copied().map(bit).sum();
        let sum = |ids: &BTreeSet<NodeId>| ids.iter().copied().map(bit).sum();
        Self { all, voters: sum(voters), outgoing: sum(outgoing) }
    }

    pub(crate) fn is_joint(self) -> bool {
        self.outgoing != 0
    }

    pub(crate) fn is_voter(self, node: NodeId) -> bool {
        (self.voters | self.outgoing) & bit(node) != 0
    }

    /// Whether those of whom this is true are a majority of the voters, of both halves.
    pub(crate) fn is_majority(self, nodes: impl Iterator<Item = NodeId>) -> bool {
        let those: u8 = nodes.map(bit).sum();
        let is_majority = |half: u8| half.count_ones() < 2 * (half & those).count_ones();
        is_majority(self.voters) && (self.outgoing == 0 || is_majority(self.outgoing))
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers =
            |set: u8| (1..=8_u64).filter(|n| set & (1 << (n - 1)) != 0).collect::<Vec<_>>();
        write!(f, "{:?}", numbers(self.voters))?;
        if self.is_joint() {
            write!(f, " and {:?}", numbers(self.outgoing))?;
        }
        write!(f, " of {:?}", numbers(self.all))
    }
}

/// Panics: above node 8, for there are no such worlds.
fn bit(node: NodeId) -> u8 {
    assert!(node.number() <= 8, "a world has few nodes");
    1 << (node.number() - 1)
}
