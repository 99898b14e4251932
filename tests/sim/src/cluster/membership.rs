//! Changes of the membership: nodes that are taken in, and that leave.

use raft_core::configuration::{Change, Configuration};
use raft_core::entry::EntryKind;
use raft_core::types::NodeId;

use super::{Cluster, node};

impl Cluster {
    /// Asks a node for a change of the membership; the answer is told under `label`.
    pub fn change(&mut self, id: NodeId, label: &str, change: &Change) {
        self.submit_entry((id, label), (EntryKind::Change, &change.encode()), None);
    }

    /// Starts a node that knows nobody and is to be taken in, or was, under this id.
    pub fn start_new(&mut self, id: NodeId) {
        self.add_empty(id);
    }

    /// Takes a new node in as a learner and waits until it has everything.
    ///
    /// Panics: if that does not come about, or if the node gets another id.
    pub fn take_in(&mut self, leader: u64, id: u64) {
        let add = Change { add: vec![format!("host {id}")], ..Change::default() };
        self.change(node(leader), "add", &add);
        self.settle();
        self.start_new(node(id));
        self.run(100);
        assert_eq!(self.last(id), self.last(leader), "n{id} has everything");
        assert!(self.status(node(id)).configuration.learners.contains(&node(id)));
    }

    /// What a node is told about the members when it is created: who is not a founder has to
    /// hear it from them.
    pub(super) fn founding_of(&self, id: NodeId) -> Configuration {
        if self.configuration.is_member(id) {
            self.configuration.clone()
        } else {
            Configuration::default()
        }
    }
}
