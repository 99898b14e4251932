//! Leadership transfer (Ongaro 2014 §3.10): proposals and reads pause, the target gets what it
//! lacks, and is then told to campaign at once. Given up after an election timeout.

use crate::consensus::leader::Leader;
use crate::consensus::message::Message;
use crate::consensus::state::State;
use crate::teeth::is_removed;
use crate::types::{NodeId, Time};

/// A hand-over that has begun.
#[derive(Clone, Debug)]
pub(crate) struct HandOver {
    /// To whom, if that was said; otherwise to the first voter that has everything.
    pub(super) target: Option<NodeId>,
    /// Whom `TimeoutNow` was sent to.
    pub(super) asked: Option<NodeId>,
    /// When to give up and lead on.
    pub(super) deadline: Time,
}

impl Leader {
    /// Begins to hand leadership over, to `target` or to the voter that has most. One that is
    /// under way goes on, unless it was to go to somebody else. Returns whether there is
    /// anybody to hand it to.
    pub(crate) fn hand_over(
        &mut self,
        state: &mut State,
        now: Time,
        target: Option<NodeId>,
    ) -> bool {
        let voters = &state.configuration().voters;
        let own = state.id();
        let is_possible = match target {
            Some(target) => target != own && voters.contains(&target),
            None => voters.iter().any(|voter| *voter != own),
        };
        if !is_possible {
            return false;
        }
        let is_under_way = self.hand_over.as_ref().is_some_and(|h| h.target == target);
        if !is_under_way {
            let deadline = now.after(state.config.election_timeout_us);
            self.hand_over = Some(HandOver { target, asked: None, deadline });
            self.continue_hand_over(state);
        }
        true
    }

    /// Leads on if nobody took over in time.
    pub(crate) fn end_late_hand_over(&mut self, now: Time) {
        let is_late = self.hand_over.as_ref().is_some_and(|hand_over| hand_over.deadline <= now);
        if is_late && !is_removed("hand-overs-end") {
            self.hand_over = None;
        }
    }

    /// Tells a voter that has the whole log to campaign, once there is one.
    pub(crate) fn continue_hand_over(&mut self, state: &mut State) {
        let Some(hand_over) = self.hand_over.as_mut().filter(|h| h.asked.is_none()) else {
            return;
        };
        let last = state.log.last().index;
        let voters = &state.configuration().voters;
        let is_allowed =
            |id: NodeId| voters.contains(&id) && hand_over.target.is_none_or(|target| target == id);
        let has_all = |index| index == last || is_removed("successors-have-everything");
        let ready = self
            .progress
            .iter()
            .find(|(id, p)| is_allowed(**id) && p.active && has_all(p.counted_index));
        if let Some((&target, _)) = ready {
            hand_over.asked = Some(target);
            state.send(target, Message::TimeoutNow);
        }
    }
}
