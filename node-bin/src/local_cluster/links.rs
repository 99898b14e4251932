//! Which links of a cluster are spoilt, and what each node is to know of that: pure data.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use raft_core::types::NodeId;
use raft_net::faults::Faults;

/// In which directions of a link something is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the first node to the second and back.
    Both,
    /// From the first node to the second.
    Forth,
}

/// The links that are not as they should be, each direction by itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    spoilt: BTreeMap<(NodeId, NodeId), Link>,
}

/// One direction of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Link {
    is_cut: bool,
    delay_ms: u64,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { is_cut: true, .. } => f.write_str("cut"),
            Self { delay_ms, .. } => write!(f, "delayed by {delay_ms} ms"),
        }
    }
}

impl Links {
    /// Cuts a link; returns whether it was whole in one of these directions.
    pub(super) fn cut(&mut self, from: NodeId, to: NodeId, way: Way) -> bool {
        self.change((from, to), way, |link| link.is_cut = true)
    }

    /// Makes everything on a link come so much later, or at once again.
    pub(super) fn delay(&mut self, (from, to): (NodeId, NodeId), way: Way, delay_ms: u64) {
        self.change((from, to), way, |link| link.delay_ms = delay_ms);
    }

    /// Mends a link in both directions; returns whether something was wrong with it.
    pub(super) fn heal(&mut self, one: NodeId, other: NodeId) -> bool {
        self.change((one, other), Way::Both, |link| *link = Link::default())
    }

    /// Mends everything; returns whether something was wrong.
    pub(super) fn heal_all(&mut self) -> bool {
        !std::mem::take(&mut self.spoilt).is_empty()
    }

    /// What has been done to links since they were as in `before`: to which direction, in a word,
    /// and how late things come there. Units: milliseconds.
    pub(super) fn since(&self, before: &Self) -> Vec<((NodeId, NodeId), &'static str, u64)> {
        let known: BTreeSet<_> = before.spoilt.keys().chain(self.spoilt.keys()).copied().collect();
        let change = |direction: (NodeId, NodeId)| {
            let link = |links: &Self| links.spoilt.get(&direction).copied().unwrap_or_default();
            let (was, is) = (link(before), link(self));
            let word = match is {
                _ if was == is => return None,
                Link { is_cut: true, .. } => "cut",
                Link { is_cut: false, delay_ms: 0 } => "healed",
                Link { is_cut: false, .. } => "delayed",
            };
            Some((direction, word, is.delay_ms))
        };
        known.into_iter().filter_map(change).collect()
    }

    /// Forgets a node that is gone for ever.
    pub(super) fn forget(&mut self, id: NodeId) {
        self.spoilt.retain(|(from, to), _| *from != id && *to != id);
    }

    fn change(
        &mut self,
        (from, to): (NodeId, NodeId),
        way: Way,
        mut change: impl FnMut(&mut Link),
    ) -> bool {
        let mut has_changed = false;
        let back = (way == Way::Both).then_some((to, from));
        for direction in [(from, to)].into_iter().chain(back) {
            let before = self.spoilt.get(&direction).copied().unwrap_or_default();
            let mut after = before;
            change(&mut after);
            has_changed |= before != after;
            if after == Link::default() {
                self.spoilt.remove(&direction);
            } else {
                self.spoilt.insert(direction, after);
            }
        }
        has_changed
    }

    /// What a node is to know.
    pub(super) fn of(&self, id: NodeId) -> Faults {
        let mut faults = Faults::default();
        for (&(from, to), link) in &self.spoilt {
            if from == id && link.is_cut {
                faults.cut_to.insert(to);
            }
            if to == id && link.is_cut {
                faults.cut_from.insert(from);
            }
            if from == id && 0 < link.delay_ms {
                faults.delay_to_ms.insert(to, link.delay_ms);
            }
        }
        faults
    }

    /// A line for each link that is spoilt, or for each direction if they differ.
    pub(super) fn described(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for ((from, to), link) in &self.spoilt {
            match self.spoilt.get(&(*to, *from)) {
                Some(back) if back == link && to < from => {}
                Some(back) if back == link => lines.push(format!("link {from} - {to} {link}")),
                Some(_) | None => lines.push(format!("link {from} > {to} {link}")),
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: u64) -> NodeId {
        NodeId::new(id).unwrap()
    }

    #[test]
    fn each_end_of_a_link_knows_what_is_wrong_with_it() {
        let mut links = Links::default();
        assert!(links.cut(id(1), id(2), Way::Both));
        assert!(!links.cut(id(2), id(1), Way::Forth), "it is cut already");
        assert!(links.cut(id(3), id(1), Way::Forth));
        links.delay((id(2), id(3)), Way::Both, 40);
        links.delay((id(1), id(3)), Way::Forth, 7);
        let one = links.of(id(1));
        assert_eq!((one.cut_to, one.cut_from), ([id(2)].into(), [id(2), id(3)].into()));
        assert_eq!(one.delay_to_ms, [(id(3), 7)].into());
        let three = links.of(id(3));
        assert_eq!((three.cut_to, three.cut_from), ([id(1)].into(), [].into()));
        assert_eq!(three.delay_to_ms, [(id(2), 40)].into());
        let lines = [
            "link 1 - 2 cut",
            "link 1 > 3 delayed by 7 ms",
            "link 2 - 3 delayed by 40 ms",
            "link 3 > 1 cut",
        ];
        assert_eq!(links.described(), lines);
    }

    #[test]
    fn what_is_mended_is_forgotten() {
        let mut links = Links::default();
        assert!(!links.heal(id(1), id(2)) && !links.heal_all());
        links.cut(id(1), id(2), Way::Forth);
        links.delay((id(1), id(3)), Way::Both, 5);
        links.delay((id(1), id(3)), Way::Both, 0);
        assert_eq!(links.described(), ["link 1 > 2 cut"]);
        assert!(links.heal(id(2), id(1)), "either end may be named first");
        links.cut(id(1), id(3), Way::Both);
        links.forget(id(3));
        assert!(links.described().is_empty());
        links.cut(id(1), id(2), Way::Both);
        assert!(links.heal_all());
        assert_eq!(links.of(id(1)), Faults::default());
    }
}
