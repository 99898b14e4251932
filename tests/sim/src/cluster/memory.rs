//! Memory of single nodes.

use raft_core::types::NodeId;

use super::Cluster;

impl Cluster {
    /// Lets a node that runs take no commands that add to its registers, while these have so many
    /// bytes.
    pub fn limit_memory(&mut self, id: NodeId, live_bytes_max: u64) {
        let member = self.members.get_mut(&id).expect("a member");
        let limited = member.replica.take().map(|it| it.with_live_bytes_max(live_bytes_max));
        member.replica = limited;
    }
}
