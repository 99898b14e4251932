//! Leadership transfer (Ongaro 2014 §3.10): proposals and reads pause, the target gets what it
//! lacks, and is then told to campaign at once. Given up after an election timeout.
//!
//! With lease reads nobody may be elected before the promises of voters are over. Until then
//! the leader asks for no more of them, and leads on as ever.

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
    /// When to give up and lead on; not known while promises are waited for.
    pub(super) deadline: Option<Time>,
}

impl Leader {
    /// Whether proposals and reads must wait because leadership is being handed over.
    pub(crate) fn is_handing_over(&self) -> bool {
        self.hand_over.as_ref().is_some_and(|hand_over| hand_over.deadline.is_some())
    }

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
            self.hand_over = Some(HandOver { target, asked: None, deadline: None });
            self.tend_hand_over(state, now);
            self.continue_hand_over(state);
        }
        true
    }

    /// Begins what has waited for promises, and leads on if nobody took over in time.
    pub(crate) fn tend_hand_over(&mut self, state: &State, now: Time) {
        let is_free = self.promises_are_over(state, now);
        let Some(hand_over) = &mut self.hand_over else { return };
        let is_late = hand_over.deadline.is_some_and(|deadline| deadline <= now);
        if hand_over.deadline.is_none() && is_free {
            hand_over.deadline = Some(now.after(state.config.election_timeout_us));
        } else if is_late && !is_removed("hand-overs-end") {
            self.hand_over = None;
        }
    }

    /// Tells a voter that has the whole log to campaign, once there is one.
    pub(crate) fn continue_hand_over(&mut self, state: &mut State) {
        let is_due = |h: &&mut HandOver| h.deadline.is_some() && h.asked.is_none();
        let Some(hand_over) = self.hand_over.as_mut().filter(is_due) else { return };
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
