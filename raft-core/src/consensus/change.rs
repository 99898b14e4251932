//! A leader changes the membership: one change at a time, in force from the moment it is
//! appended, and only after the leader has committed an entry of its own term (Ongaro 2014
//! §4.1 to §4.3; Ongaro, raft-dev 2015-07-10).

use crate::configuration::{Change, ChangeRefusal, Configuration, Decision};
use crate::consensus::leader::Leader;
use crate::consensus::message::Message;
use crate::consensus::progress::Progress;
use crate::consensus::quorum::reached_by_majority;
use crate::consensus::state::State;
use crate::entry::{Draft, EntryKind};
use crate::teeth::is_removed;
use crate::types::{Index, NodeId, Time};

/// How far a learner may be behind and still be promoted. Units: entries.
const PROMOTION_LAG: u64 = 1_024;

/// What becomes of a round that asks for changes of the membership.
pub(crate) enum Ruling {
    /// The round with every change replaced by the decision on it.
    Decided(Draft),
    /// Leadership has to be handed over first: whoever leads next decides.
    AfterHandOver(Draft),
}

impl Leader {
    /// Decides on the changes in a round; the decisions go into the log in their places.
    pub(crate) fn rule(&mut self, state: &mut State, now: Time, draft: Draft) -> Ruling {
        let mut decided = Draft::default();
        let (mut has_changed, mut leaves) = (false, None);
        for entry in draft.iter() {
            assert_ne!(entry.kind(), EntryKind::Configure, "what was decided is never proposed");
            if entry.kind() != EntryKind::Change {
                decided.push(entry.kind(), &entry.session(), entry.payload());
                continue;
            }
            let decision = match Change::decode(entry.payload()) {
                None => Decision::Refused(ChangeRefusal::Malformed),
                Some(_) if has_changed => Decision::Refused(ChangeRefusal::InProgress),
                Some(change) => self.decide(state, now, &change),
            };
            if let Decision::Made { configuration, .. } = &decision {
                has_changed = true;
                if !configuration.voters.contains(&state.id()) {
                    leaves = self.heir(state, now, configuration);
                }
            }
            decided.push(EntryKind::Configure, &entry.session(), &decision.encode());
        }
        if leaves.is_some() && self.hand_over(state, now, leaves) {
            return Ruling::AfterHandOver(draft);
        }
        Ruling::Decided(decided)
    }

    /// Whether this leader knows enough to decide on changes: what earlier leaders left is
    /// applied, and every voter was heard of or has been waited for. Before that it could only
    /// refuse what is possible. Who leads without a vote leaves the decision to its successor.
    pub(crate) fn can_decide(&self, state: &State, now: Time) -> bool {
        let own = state.id();
        let is_heard_of = |id: NodeId| {
            id == own || self.progress.get(&id).is_some_and(|progress| progress.heard_at.is_some())
        };
        let has_waited = state.config.election_timeout_us <= now.since(self.elected_at);
        let knows_voters = state.configuration().all_voters().into_iter().all(is_heard_of);
        let is_ready =
            self.first_index <= state.log.applied_index() && (knows_voters || has_waited);
        let is_voter = state.configuration().is_voter(own);
        is_voter && (is_ready || is_removed("changes-follow-an-own-entry"))
    }

    fn decide(&self, state: &State, now: Time, change: &Change) -> Decision {
        match self.allowed(state, now, change) {
            Ok((configuration, added)) => Decision::Made { added, configuration },
            Err(refusal) => Decision::Refused(refusal),
        }
    }

    pub(super) fn allowed(
        &self,
        state: &State,
        now: Time,
        change: &Change,
    ) -> Result<(Configuration, Vec<NodeId>), ChangeRefusal> {
        if !self.may_change(state) {
            return Err(ChangeRefusal::InProgress);
        }
        let joins = |id| !state.bindings.contains_key(&id);
        let current = state.configuration();
        let changed = current.changed(change, state.config.voters_max, joins)?;
        let lags = |id: &&NodeId| !self.has_caught_up(state, now, **id);
        let is_guarded = !is_removed("voters-have-caught-up");
        if let Some(id) = change.promote.iter().find(lags).filter(|_| is_guarded) {
            return Err(ChangeRefusal::NotCaughtUp(*id));
        }
        let own = state.id();
        let is_reachable =
            reached_by_majority(&changed.0, |id| id == own || self.is_heard_of(state, now, id));
        let is_safe = is_reachable || is_removed("changes-leave-a-majority");
        if is_safe { Ok(changed) } else { Err(ChangeRefusal::QuorumUnreachable) }
    }

    /// Whether everything that concerns the membership is committed and applied here, so that
    /// no change can be built on one that may still go away, or be made twice. Refusals count
    /// too: who is refused and asks again gets that answer again, and so nothing may be made.
    pub(super) fn may_change(&self, state: &State) -> bool {
        let settled = state.log.applied_index();
        (self.first_index <= settled || is_removed("changes-follow-an-own-entry"))
            && (self.decided_index <= settled || is_removed("changes-come-one-by-one"))
    }

    /// Whether a member is bound, is heard of, and lacks little.
    pub(super) fn has_caught_up(&self, state: &State, now: Time, id: NodeId) -> bool {
        let last = state.log.last().index;
        let counted_index = self.progress.get(&id).map_or(Index::ZERO, |p| p.counted_index);
        self.is_heard_of(state, now, id)
            && counted_index != Index::ZERO
            && last.since(counted_index) <= PROMOTION_LAG
    }

    /// Notes that the control link from a member ended: it was heard of for the last time, until
    /// it is heard of again.
    pub(crate) fn note_cut(&mut self, peer: NodeId) {
        if let Some(progress) = self.progress.get_mut(&peer) {
            progress.is_cut = true;
        }
    }

    /// Whether a member spoke to this leader within an election timeout, its word counted, and
    /// its link has not ended since.
    fn is_heard_of(&self, state: &State, now: Time, id: NodeId) -> bool {
        let linked = self.progress.get(&id).filter(|progress| !progress.is_cut);
        let heard_at = linked.and_then(|progress| progress.heard_at);
        heard_at.is_some_and(|at| now.since(at) <= state.config.election_timeout_us)
    }

    /// Who is best prepared to lead in `configuration` instead of this node.
    pub(super) fn heir(
        &self,
        state: &State,
        now: Time,
        configuration: &Configuration,
    ) -> Option<NodeId> {
        let current = &state.configuration().voters;
        let stays = |id: &NodeId| configuration.voters.contains(id) && current.contains(id);
        let others = self.progress.iter();
        let others = others.filter(|(id, _)| stays(id) && self.is_heard_of(state, now, **id));
        others.max_by_key(|(_, progress)| progress.counted_index).map(|(&id, _)| id)
    }

    /// Tells those who were removed, once: nobody sends them the entry that says so, and who
    /// listens only never asks.
    pub(crate) fn tell_removed(&mut self, state: &mut State) {
        let commit_index = state.log.commit_index();
        let leaving = std::mem::take(&mut self.leaving);
        for (made_by, peer) in leaving {
            if commit_index < made_by {
                self.leaving.push((made_by, peer));
            } else if state.log.membership().at(commit_index).1.was_removed(peer) {
                state.send(peer, Message::NotAMember);
            }
        }
    }

    /// Follows the configuration in force: whoever is new is probed at once, and whoever left
    /// is forgotten.
    pub(crate) fn follow_configuration(&mut self, state: &State) {
        let last = state.log.last().index;
        let peers = state.peers();
        let left = self.progress.keys().filter(|peer| !peers.contains(peer));
        self.leaving.extend(left.map(|&peer| (last, peer)));
        self.progress.retain(|peer, _| peers.contains(peer));
        for peer in peers {
            self.progress.entry(peer).or_insert_with(|| Progress::new(last));
        }
    }
}
