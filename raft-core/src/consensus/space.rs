//! Full disks: nothing new is taken in while no majority has room to keep it. Reads, votes and
//! heartbeats go on, and what was taken in before waits.

use crate::consensus::follower::Follower;
use crate::consensus::leader::Leader;
use crate::consensus::message::Message;
use crate::consensus::quorum::reached_by_majority;
use crate::consensus::raft::{Raft, Role};
use crate::consensus::ready::Notice;
use crate::consensus::state::State;
use crate::teeth::is_removed;
use crate::types::NodeId;

impl Raft {
    /// Notes whether this node's disk has no room for its log.
    pub fn disk_is_full(&mut self, is_full: bool) {
        if self.state.disk_is_full == is_full {
            return;
        }
        self.state.disk_is_full = is_full;
        self.state.notices.push(Notice::DiskFull { is_full });
        match &mut self.role {
            Role::Follower(role) => role.tell_space(&mut self.state),
            Role::Leader(role) => role.tell_space(&mut self.state),
            Role::PreCandidate(_) | Role::Candidate(_) => {}
        }
    }

    /// Whether commands are refused because no majority could keep them.
    #[must_use]
    pub fn lacks_space(&self) -> bool {
        match &self.role {
            Role::Leader(role) => role.lacks_space(&self.state),
            Role::Follower(role) => role.leader_lacks_space,
            Role::PreCandidate(_) | Role::Candidate(_) => false,
        }
    }
}

impl Follower {
    /// Tells the leader whether there is room here.
    pub(super) fn tell_space(&self, state: &mut State) {
        if let Some(leader) = self.leader {
            let is_full = state.disk_is_full;
            state.send(leader, Message::Space { is_full });
        }
    }
}

impl Leader {
    /// Whether so many voters have no room that nothing could be committed.
    pub(super) fn lacks_space(&self, state: &State) -> bool {
        // Asked with every round of commands, and nearly always answered here.
        if !state.disk_is_full && self.progress.values().all(|progress| !progress.disk_is_full) {
            return false;
        }
        let own = state.id();
        !reached_by_majority(state.configuration(), |id| {
            if id == own {
                !state.disk_is_full
            } else {
                self.progress.get(&id).is_none_or(|progress| !progress.disk_is_full)
            }
        })
    }

    /// Notes whether a follower has room, and tells everybody if that decides. Whoever speaks of
    /// it may believe that commands are refused, so it is told if they are not.
    pub(super) fn on_space(&mut self, state: &mut State, from: NodeId, is_full: bool) {
        let progress = self.progress.get_mut(&from).expect("a member has progress (I12)");
        progress.disk_is_full = is_full;
        if self.lacks_space(state) != self.has_told_full {
            self.tell_space(state);
        } else if !self.has_told_full && !is_removed("space-is-told-again") {
            state.send(from, Message::Space { is_full: false });
        }
    }

    /// Tells the followers whether commands are taken.
    pub(super) fn tell_space(&mut self, state: &mut State) {
        let is_full = self.lacks_space(state);
        self.has_told_full = is_full;
        for peer in state.peers() {
            state.send(peer, Message::Space { is_full });
        }
    }
}
