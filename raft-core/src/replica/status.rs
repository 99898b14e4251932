//! What a replica shows of itself.

use crate::replica::Replica;
use crate::replica::event::Status;
use crate::replica::state_machine::StateMachine;
use crate::types::Index;

impl<S: StateMachine> Replica<S> {
    /// What `status` shows.
    #[must_use]
    pub fn status(&self) -> Status {
        let log = self.raft.log();
        Status {
            node: self.raft.config().id,
            role: self.raft.role_name(),
            term: self.raft.term(),
            leader: self.raft.leader(),
            commit_index: log.commit_index(),
            applied_index: log.applied_index(),
            last_index: log.last().index,
            revision: self.machine.revision(),
            log_time: self.raft.log_time(),
            state_hash: self.machine.state_hash(),
            live_bytes: self.machine.live_bytes(),
            leases: self.machine.leases(),
            live_bytes_max: self.room.live_bytes_max(),
            waiting_for: self.raft.waiting_for(),
            is_fenced: self.fence.is_fenced(),
            snapshot_index: self.raft.snapshot().map_or(Index::ZERO, |id| id.last.index),
            configuration: self.raft.configuration().clone(),
            is_removed: self.raft.is_removed(),
            feature_level: self.applied_level,
            feature_level_max: self.raft.config().feature_level_max,
            bindings: self.raft.bindings().clone(),
            has_commands: self.has_commands || self.raft.snapshot().is_some(),
            peers: self.raft.peers(),
        }
    }
}
