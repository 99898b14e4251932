//! What a member of a cluster makes of the beacons that it hears.
//!
//! Peers of its own cluster are where their beacons say. A founder that is alone and holds
//! nothing of a client's gives way to another cluster: to any that cannot give way itself, and
//! else to the older one. The numbers of clusters that nodes found begin with the time, so both
//! ends agree on which is older. Clusters that cannot give way never merge; that is said.

use std::collections::BTreeMap;

use raft_core::configuration::MEMBERS_MAX;
use raft_core::types::{Incarnation, NodeId};

use super::beacon::{Beacon, Belongs, Says};
use super::complaints::Complaints;

/// How long a beacon of another cluster is a reason to give way. Units: milliseconds.
const FRESH_MS: u64 = 3_000;

/// A cluster that was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elder {
    /// The cluster.
    pub cluster_id: u64,
    /// A member of it.
    pub address: String,
}

/// What a beacon means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meaning {
    /// A peer is at this address.
    pub peer: Option<(NodeId, String)>,
    /// Somebody seeks, and should hear of this node soon.
    pub is_asked: bool,
    /// For the log of the program.
    pub warning: Option<String>,
}

/// A member of a cluster that listens.
#[derive(Clone, Debug)]
pub struct Belonging {
    sender: u64,
    address: String,
    own: Belongs,
    /// Whether it is known how the own cluster is: until then nothing is said.
    is_known: bool,
    elder: Option<(u64, Elder)>,
    /// Where each peer was heard last.
    peers: BTreeMap<(NodeId, Incarnation), String>,
    complaints: Complaints,
}

impl Belonging {
    /// A node that begins to listen. `sender` is what its own beacons carry, `address` where it
    /// is reached.
    #[must_use]
    pub fn new(sender: u64, address: String, own: Belongs) -> Self {
        let (peers, complaints) = (BTreeMap::new(), Complaints::default());
        Self { sender, address, own, is_known: false, elder: None, peers, complaints }
    }

    /// Its beacon, once it is known how its cluster is: two founders that took each other for
    /// one with data would both give way.
    #[must_use]
    pub fn beacon(&self) -> Option<Beacon> {
        let (sender, address) = (self.sender, self.address.clone());
        self.is_known.then_some(Beacon { sender, address, says: Says::Belongs(self.own) })
    }

    /// Is told how its cluster is.
    pub fn stands(&mut self, is_alone: bool, has_data: bool) {
        (self.own.is_alone, self.own.has_data) = (is_alone, has_data);
        self.is_known = true;
    }

    /// Hears a beacon.
    pub fn hear(&mut self, beacon: &Beacon, now_ms: u64) -> Meaning {
        if beacon.sender == self.sender {
            return Meaning::default();
        }
        match beacon.says {
            Says::Seeks(_) => Meaning { is_asked: true, ..Meaning::default() },
            Says::Belongs(other) if other.cluster_id == self.own.cluster_id => {
                self.hear_of_own(&beacon.address, &other, now_ms)
            }
            // What is to be said of it depends on how the own cluster is.
            Says::Belongs(_) if !self.is_known => Meaning::default(),
            Says::Belongs(other) => {
                if self.gives_way_to(&other) {
                    let (cluster_id, address) = (other.cluster_id, beacon.address.clone());
                    self.elder = Some((now_ms, Elder { cluster_id, address }));
                    return Meaning::default();
                }
                let warning = self.complain_of(&beacon.address, &other, now_ms);
                Meaning { warning, ..Meaning::default() }
            }
        }
    }

    fn hear_of_own(&mut self, address: &str, other: &Belongs, now_ms: u64) -> Meaning {
        let own = self.own;
        let Some((id, incarnation)) = other.node() else { return Meaning::default() };
        if other.node_id == own.node_id {
            let own_at = &self.address;
            let warning = self.complaints.about(&format!("rival {address}"), now_ms).then(|| {
                let what = if other.incarnation == own.incarnation {
                    "from a copy of this node's data directory; stop one of them, and have the \
                     one that is to stay another node join with an empty directory"
                } else {
                    "from another data directory; give each node its own id and directory"
                };
                format!("node {id} runs at {own_at} and at {address}, {what}")
            });
            return Meaning { warning, ..Meaning::default() };
        }
        // While its directory is made it has not begun to listen for peers.
        if other.incarnation == 0 {
            return Meaning::default();
        }
        if address == self.address {
            let warning = self.complaints.about(&format!("place {id}"), now_ms).then(|| {
                format!(
                    "node {id} says that it is at {address}, where this node, {}, is; give each \
                     its own --advertise",
                    own.node_id
                )
            });
            return Meaning { warning, ..Meaning::default() };
        }
        let is_full = self.peers.len() == MEMBERS_MAX;
        if is_full && !self.peers.keys().any(|(known, _)| *known == id) {
            return Meaning::default();
        }
        let is_news = self.peers.get(&(id, incarnation)).is_none_or(|known| known != address);
        if is_news {
            // A node has one directory: what an earlier one said is of no use.
            self.peers.retain(|(known, _), _| *known != id);
            self.peers.insert((id, incarnation), address.to_owned());
        }
        Meaning { peer: is_news.then(|| (id, address.to_owned())), ..Meaning::default() }
    }

    fn gives_way_to(&self, other: &Belongs) -> bool {
        let is_older = other.cluster_id < self.own.cluster_id;
        self.own.can_dissolve() && (!other.can_dissolve() || is_older)
    }

    fn complain_of(&mut self, address: &str, other: &Belongs, now_ms: u64) -> Option<String> {
        // It gives way by itself when it hears this one.
        if other.can_dissolve() {
            return None;
        }
        let (own, theirs) = (self.own.cluster_id, other.cluster_id);
        self.complaints.about(&format!("cluster {theirs:016x}"), now_ms).then(|| {
            format!(
                "another cluster, {theirs:016x} at {address}, is near; this one is {own:016x}, and \
                 they are never merged: to keep both, give each its own --multicast or \
                 --cluster-secret; to have one, empty the directories of the other's nodes and \
                 start them again"
            )
        })
    }

    /// The cluster that this node should join instead of its own, if there is one.
    #[must_use]
    pub fn elder(&self, now_ms: u64) -> Option<&Elder> {
        let (heard_ms, elder) = self.elder.as_ref()?;
        let is_fresh = now_ms.saturating_sub(*heard_ms) < FRESH_MS;
        (is_fresh && self.own.can_dissolve()).then_some(elder)
    }
}

#[cfg(test)]
mod tests {
    use super::super::beacon::{Rank, Seeks};
    use super::*;

    const OWN: Belongs =
        Belongs { cluster_id: 50, node_id: 1, incarnation: 11, is_alone: true, has_data: false };

    fn node(own: Belongs) -> Belonging {
        let mut node = Belonging::new(1, "a:1".to_owned(), own);
        assert_eq!(node.beacon(), None, "it does not know yet how its cluster is");
        node.stands(own.is_alone, own.has_data);
        node
    }

    fn said(address: &str, belongs: Belongs) -> Beacon {
        Beacon { sender: 2, address: address.to_owned(), says: Says::Belongs(belongs) }
    }

    #[test]
    fn of_two_founders_the_younger_gives_way_and_never_both() {
        let elder = |own: Belongs, other: Belongs| {
            let mut node = node(own);
            node.hear(&said("b:1", other), 0);
            node.elder(0).is_some()
        };
        let kinds = [(true, false), (true, true), (false, false), (false, true)];
        for (is_alone, has_data) in kinds {
            for (other_alone, other_data) in kinds {
                let one = Belongs { is_alone, has_data, ..OWN };
                let other = Belongs {
                    cluster_id: 40,
                    is_alone: other_alone,
                    has_data: other_data,
                    incarnation: 12,
                    ..OWN
                };
                let (one_goes, other_goes) = (elder(one, other), elder(other, one));
                assert!(!(one_goes && other_goes), "{one:?} {other:?}");
                assert_eq!(one_goes, one.can_dissolve());
                assert_eq!(other_goes, other.can_dissolve() && !one.can_dissolve());
            }
        }
    }

    #[test]
    fn what_was_heard_long_ago_and_what_came_in_since_keep_a_node_from_giving_way() {
        let mut node = node(OWN);
        node.hear(&said("b:1", Belongs { cluster_id: 40, ..OWN }), 0);
        assert!(node.elder(2_999).is_some() && node.elder(3_000).is_none());
        node.stands(true, true);
        assert_eq!(node.elder(0), None);
    }

    #[test]
    fn clusters_with_data_never_merge_and_say_so_rarely() {
        let other = Belongs { cluster_id: 40, has_data: true, ..OWN };
        let mut node = node(Belongs { has_data: true, ..OWN });
        let mut lines = 0;
        for now_ms in (0..=600_000).step_by(1_000) {
            if let Some(line) = node.hear(&said("b:1", other), now_ms).warning {
                assert!(line.contains("another cluster, 0000000000000028 at b:1"), "{line}");
                assert!(line.contains("--multicast") && !line.contains('\n'), "{line}");
                lines += 1;
            }
        }
        assert_eq!(lines, 2, "at once, and ten minutes later");
        assert_eq!(node.elder(600_000), None);
        let young = Belongs { cluster_id: 60, ..OWN };
        assert_eq!(node.hear(&said("b:1", young), 0), Meaning::default(), "that one gives way");
    }

    #[test]
    fn peers_are_told_where_they_are_when_that_is_news() {
        let peer = Belongs { node_id: 2, incarnation: 22, ..OWN };
        let mut node = node(OWN);
        let id = NodeId::new(2).unwrap();
        assert_eq!(node.hear(&said("b:1", peer), 0).peer, Some((id, "b:1".to_owned())));
        assert_eq!(node.hear(&said("b:1", peer), 1).peer, None);
        assert_eq!(node.hear(&said("b:2", peer), 2).peer, Some((id, "b:2".to_owned())));
        let unmade = Belongs { incarnation: 0, ..peer };
        assert_eq!(node.hear(&said("b:3", unmade), 3), Meaning::default());
    }

    #[test]
    fn two_nodes_with_one_id_or_one_address_are_said_in_a_line() {
        let mut node = node(OWN);
        let line = |meaning: Meaning| meaning.warning.unwrap();
        let copy = line(node.hear(&said("b:1", OWN), 0));
        assert!(copy.contains("node 1 runs at a:1 and at b:1, from a copy"), "{copy}");
        let rival = line(node.hear(&said("c:1", Belongs { incarnation: 99, ..OWN }), 0));
        assert!(rival.contains("from another data directory"), "{rival}");
        let placed = line(node.hear(&said("a:1", Belongs { node_id: 2, ..OWN }), 0));
        assert!(
            placed.contains("node 2 says that it is at a:1, where this node, 1, is"),
            "{placed}"
        );
    }

    #[test]
    fn seekers_are_answered_and_own_beacons_mean_nothing() {
        let mut node = node(OWN);
        let rank = Rank { since_ms: 1, chance: 1 };
        let says = Says::Seeks(Seeks { rank, expects: None, endorses: None });
        assert!(node.hear(&Beacon { sender: 3, address: "d:1".to_owned(), says }, 0).is_asked);
        let own = node.beacon().unwrap();
        assert_eq!(node.hear(&own, 0), Meaning::default());
    }
}
