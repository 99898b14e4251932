//! What the nodes' pages are told of the cluster that the nodes do not know.

use raft_core::replica::StateMachine;
use raft_core::types::NodeId;

use super::LocalCluster;
use crate::dashboard::surroundings::{Lives, Neighbour, SpoiltLink, Surroundings};
use crate::node::Node;

impl<S: StateMachine + Send + Unpin + 'static> LocalCluster<S> {
    /// Tells every node how things are now.
    pub(super) fn tell_surroundings(&self) {
        let surroundings = self.surroundings();
        for node in self.places.keys().filter_map(|&id| self.living(id)) {
            node.surround(surroundings.clone());
        }
    }

    fn surroundings(&self) -> Surroundings {
        let doors = self.client_addresses();
        let neighbour = |(id, address): (&NodeId, &String)| {
            let living = self.living(*id);
            let lives = match living {
                Some(node) if node.is_paused() => Lives::Paused,
                Some(_) => Lives::Runs,
                None => Lives::Dead,
            };
            let door = doors.get(id).cloned();
            let ask = living.map(Node::values);
            (id.number(), Neighbour { address: address.clone(), door, lives, ask })
        };
        Surroundings {
            nodes: self.members.iter().map(neighbour).collect(),
            links: self.members.keys().flat_map(|&id| self.links_from(id)).collect(),
            scale_percent: self.time.scale.percent,
            is_frozen: self.time.is_frozen,
            lesson: self.lesson.shown().cloned(),
        }
    }

    /// What is wrong with the links that lead away from a node.
    fn links_from(&self, id: NodeId) -> Vec<SpoiltLink> {
        let mut links = SpoiltLink::of(id, &self.links.of(id));
        links.retain(|link| link.from == id.number());
        links
    }
}
