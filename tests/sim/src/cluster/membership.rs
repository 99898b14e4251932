//! Changes of the membership: nodes that are taken in, and that leave.

use raft_core::configuration::{Change, Configuration};
use raft_core::entry::EntryKind;
use raft_core::types::NodeId;

use super::Cluster;

impl Cluster {
    /// Asks a node for a change of the membership; the answer is told under `label`.
    pub fn change(&mut self, id: NodeId, label: &str, change: &Change) {
        self.submit_entry((id, label), (EntryKind::Change, &change.encode()), None);
    }

    /// Starts a node that knows nobody and is to be taken in, or was, under this id.
    pub fn start_new(&mut self, id: NodeId) {
        self.add_empty(id);
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
