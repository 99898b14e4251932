//! What a leader does for the membership without being asked: it completes joint
//! configurations, promotes learners, and puts them in the place of voters that are gone.
//!
//! Each step is a change as an operator could ask for, under the same conditions: one at a
//! time, and only if the voters that are heard of now are a majority afterwards.

use std::collections::BTreeSet;

use crate::configuration::{Change, Configuration, Decision};
use crate::consensus::leader::Leader;
use crate::consensus::state::State;
use crate::entry::{Draft, EntryKind, SessionStamp};
use crate::teeth::is_removed;
use crate::types::{NodeId, Time};

/// Leaders leave so many voters at least, however many others are gone.
const VOTERS_KEPT: usize = 3;

impl Leader {
    /// Makes the change that is due, if there is one.
    pub(crate) fn tend_members(&mut self, state: &mut State, now: Time) {
        if self.hand_over.is_some() || !self.may_change(state) {
            return;
        }
        let configuration = state.configuration();
        let left = configuration.left_joint();
        let is_joint = configuration.is_joint();
        let leaves = !left.voters.contains(&state.id());
        if leaves && (is_joint || !is_removed("leaders-without-a-vote-leave")) {
            // It leads by the old half alone, and somebody who stays completes the change; or
            // it led only to commit the change that took its vote away.
            let heir = self.heir(state, now, &left);
            if heir.is_some() {
                self.hand_over(state, now, heir);
            }
            return;
        }
        let next = if is_joint { Some(left) } else { self.improvement(state, now) };
        if let Some(configuration) = next {
            let decision = Decision::Made { added: Vec::new(), configuration };
            let mut draft = Draft::default();
            draft.push(EntryKind::Configure, &SessionStamp::default(), &decision.encode());
            self.append(state, now, draft, 0);
        }
    }

    fn improvement(&self, state: &State, now: Time) -> Option<Configuration> {
        if !state.config.auto_promote {
            return None;
        }
        let ready = self.ready_learners(state, now);
        self.replacement(state, now, &ready).or_else(|| self.promotion(state, now, &ready))
    }

    /// The learners that could vote: those that were demoted are promoted again by whoever
    /// demoted them.
    fn ready_learners(&self, state: &State, now: Time) -> Vec<NodeId> {
        let configuration = state.configuration();
        let learners = configuration.learners.difference(&configuration.kept).copied();
        learners.filter(|id| self.has_caught_up(state, now, *id)).collect()
    }

    /// The promotion that is due: one learner beside an even number of voters, two beside an
    /// odd one, up to `voters_target`.
    fn promotion(&self, state: &State, now: Time, ready: &[NodeId]) -> Option<Configuration> {
        let voters = state.configuration().voters.len();
        let wanted = if voters.is_multiple_of(2) { 1 } else { 2 };
        if ready.len() < wanted || state.config.voters_target < voters + wanted {
            return None;
        }
        let promote = ready.iter().copied().take(wanted).collect();
        let change = Change { promote, ..Change::default() };
        self.allowed(state, now, &change).ok().map(|(configuration, _)| configuration)
    }

    /// What is done about voters that are gone: learners that have caught up vote in their
    /// place, all in one change; where there are none, as many voters of those that are gone
    /// lose their vote as leaves an odd number, so that the next loss is survived too. Who
    /// comes back is a learner like any other.
    fn replacement(&self, state: &State, now: Time, ready: &[NodeId]) -> Option<Configuration> {
        let voters = &state.configuration().voters;
        let gone: Vec<NodeId> =
            voters.iter().copied().filter(|id| self.is_gone(state, now, *id)).collect();
        let replaced = gone.len().min(ready.len());
        let surplus = if voters.len().is_multiple_of(2) { 1 } else { 2 };
        let demoted = match replaced {
            0 if surplus <= gone.len() && VOTERS_KEPT + surplus <= voters.len() => surplus,
            0 => return None,
            replaced => replaced,
        };
        let demote: BTreeSet<NodeId> = gone.into_iter().take(demoted).collect();
        let promote = ready.iter().copied().take(replaced).collect();
        let change = Change { promote, demote: demote.clone(), ..Change::default() };
        let (mut configuration, _) = self.allowed(state, now, &change).ok()?;
        configuration.kept.retain(|id| !demote.contains(id));
        Some(configuration)
    }

    /// Whether this leader has not heard of a member for so long that it counts as gone.
    pub(super) fn is_gone(&self, state: &State, now: Time, id: NodeId) -> bool {
        let patience_us = state.config.voter_gone_us;
        let heard_at = self.progress.get(&id).map(|progress| progress.heard_at);
        let Some(heard_at) = heard_at.filter(|_| patience_us != 0) else { return false };
        patience_us < now.since(heard_at.unwrap_or(self.elected_at))
    }
}
