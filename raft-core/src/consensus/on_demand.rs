//! What a person may want of a node's role that no rule asks for now: for playgrounds, and for
//! tests of what others make of it. Elections stay elections, so nothing here can break a promise.

use crate::consensus::invariants;
use crate::consensus::raft::{Next, Raft, Role};
use crate::types::Time;

impl Raft {
    /// Stands for election in the next term, although its leader may be well: voters treat it as
    /// one that leadership is handed to. Returns whether it does; a leader does not, nor who may
    /// not campaign, nor who has promised to elect nobody yet.
    pub fn campaign(&mut self, now: Time) -> bool {
        let state = &self.state;
        let leads = matches!(self.role, Role::Leader(_));
        if leads || !state.counts_durably() || !state.may_campaign() || state.has_promised(now) {
            return false;
        }
        let reason = "somebody wants it to stand for election";
        self.enter(now, Next::Campaign { reason, because_of: None, transfer: true });
        invariants::check(self);
        true
    }

    /// Gives leadership up and names no successor; the others notice its silence. Returns whether
    /// it led.
    pub fn step_down(&mut self, now: Time) -> bool {
        if !matches!(self.role, Role::Leader(_)) {
            return false;
        }
        let (term, reason) = (self.term(), "somebody wants it to step down");
        self.enter(now, Next::Follow { term, leader: None, reason, because_of: None });
        invariants::check(self);
        true
    }
}
