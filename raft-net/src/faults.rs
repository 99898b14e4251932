//! What is wrong with the wires of a node, as somebody who plays with a cluster wants it: pure
//! data, which Network asks about whatever it sends and hears. A node that nobody may play with
//! has none of it.

mod held;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use actix::prelude::*;
use raft_core::types::NodeId;

pub(crate) use self::held::{Held, Packet};

/// The longest delay of a link. Units: milliseconds.
pub const DELAY_MS_MAX: u64 = 60_000;

/// What is wrong with the wires of a node. Connections stay open, as they do when a network loses
/// or delays what it should carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The peers that nothing reaches from here.
    pub cut_to: BTreeSet<NodeId>,
    /// The peers of whom nothing arrives here.
    pub cut_from: BTreeSet<NodeId>,
    /// How much later what goes to a peer leaves, at most [`DELAY_MS_MAX`]. Units: milliseconds.
    pub delay_to_ms: BTreeMap<NodeId, u64>,
    /// Whether nothing leaves until somebody says otherwise; what is to leave waits.
    pub is_frozen: bool,
}

/// Replaces what is wrong with the wires, if somebody may play with the node.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct SetFaults(pub Faults);

/// What becomes of something that is to go to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It leaves.
    Leaves,
    /// It leaves so much later.
    Waits(Duration),
    /// Nobody ever sees it.
    IsLost,
}

impl Faults {
    /// What becomes of something that is to go to this peer now.
    pub(crate) fn fate(&self, to: NodeId) -> Fate {
        if self.cut_to.contains(&to) {
            return Fate::IsLost;
        }
        match self.delay_to_ms.get(&to) {
            Some(&delay_ms) if 0 < delay_ms => {
                Fate::Waits(Duration::from_millis(delay_ms.min(DELAY_MS_MAX)))
            }
            Some(_) | None => Fate::Leaves,
        }
    }

    /// Whether anything that this peer sends arrives.
    pub(crate) fn hears(&self, from: NodeId) -> bool {
        !self.cut_from.contains(&from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: u64) -> NodeId {
        NodeId::new(id).unwrap()
    }

    #[test]
    fn a_cut_says_more_than_a_delay_and_each_direction_is_its_own() {
        let faults = Faults {
            cut_to: [id(2)].into(),
            cut_from: [id(3)].into(),
            delay_to_ms: [(id(2), 5), (id(3), 7), (id(4), 0), (id(5), u64::MAX)].into(),
            is_frozen: false,
        };
        let fates = [2, 3, 4, 5, 6].map(|peer| faults.fate(id(peer)));
        let (later, longest) = (Duration::from_millis(7), Duration::from_millis(DELAY_MS_MAX));
        let expected =
            [Fate::IsLost, Fate::Waits(later), Fate::Leaves, Fate::Waits(longest), Fate::Leaves];
        assert_eq!(fates, expected);
        assert_eq!([2, 3, 4].map(|peer| faults.hears(id(peer))), [true, false, true]);
    }
}
