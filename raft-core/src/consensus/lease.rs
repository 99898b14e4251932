//! Lease reads (Ongaro 2014 §6.4.1), off unless the settings want them.
//!
//! With its heartbeats a leader asks the voters for promises: for so long, by your own clock,
//! elect nobody. While promises of a majority last, nobody else can have been elected, so what
//! this leader has committed is all there is, and a read needs no round of questions. A promise
//! binds whoever gave it in every role and through restarts, whoever asks for a vote, and
//! nothing shortens it. `docs/raft.md` has the argument and the bound on clocks.

use std::collections::VecDeque;

use crate::consensus::leader::Leader;
use crate::consensus::message::Message;
use crate::consensus::quorum::reached_by_majority;
use crate::consensus::ready::ReadState;
use crate::consensus::state::State;
use crate::teeth::is_removed;
use crate::types::{Incarnation, NodeId, Time};

/// The part of a promise that a leader does not count: the clock of a voter may be faster than
/// the leader's by up to a ninth, so that nine tenths of a promise by the leader's clock are
/// over before the promise is. Counted the other way round, as long as the clock of a voter is
/// not slower than nine tenths of the leader's, ten ninths of a promise are enough to wait for
/// its end.
const DRIFT_PART: u64 = 10;

/// What a leader knows of the promises that it asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lease {
    /// The newest question.
    pub(super) round: u64,
    /// When the questions were sent whose answers would still be worth something, by round.
    pub(super) asked: VecDeque<(u64, Time)>,
    /// When the newest question was sent.
    pub(super) asked_at: Option<Time>,
}

/// How long a leader counts a promise, from when it asked. Units: microseconds.
fn counted_us(promise_us: u64) -> u64 {
    if is_removed("leases-allow-for-drift") {
        return promise_us;
    }
    promise_us - promise_us.div_ceil(DRIFT_PART)
}

/// After how long, by the leader's clock, a promise is over for whoever gave it. Units:
/// microseconds.
fn over_after_us(promise_us: u64) -> u64 {
    promise_us + promise_us.div_ceil(DRIFT_PART - 1)
}

impl State {
    /// Whether this node has promised to elect nobody now.
    pub(crate) fn has_promised(&self, now: Time) -> bool {
        now < self.free_at(now)
    }

    /// From when on this node may vote, pre-vote and campaign; now, if nothing keeps it.
    pub(crate) fn free_at(&self, now: Time) -> Time {
        if is_removed("promises-block-votes") { now } else { now.max(self.promised_until) }
    }

    /// Promises its leader to elect nobody for a while: not longer than the leader wants, and
    /// not longer than the data directory notes for the time after a restart.
    pub(crate) fn promise(&mut self, now: Time, leader: NodeId, (round, at_most_us): (u64, u64)) {
        if !self.config.lease_reads || !self.counts_durably() {
            return;
        }
        let promise_us = at_most_us.min(self.config.election_timeout_us);
        self.promised_until = self.promised_until.max(now.after(promise_us));
        self.send(leader, Message::Promise { round, promise_us });
    }
}

impl Leader {
    /// Asks every other voter for a promise, unless leadership is to be handed over: that has
    /// to wait until no promise is left.
    pub(crate) fn ask_promises(&mut self, state: &mut State, now: Time) {
        let is_leaving = self.hand_over.is_some() && !is_removed("promises-end-for-a-hand-over");
        if !state.config.lease_reads || is_leaving {
            return;
        }
        let at_most_us = state.config.election_timeout_us;
        let lease = &mut self.lease;
        lease.asked.retain(|(_, sent_at)| now.since(*sent_at) < at_most_us);
        lease.round += 1;
        lease.asked.push_back((lease.round, now));
        lease.asked_at = Some(now);
        state.broadcast(&Message::AskPromise { round: lease.round, at_most_us });
    }

    /// Counts a promise from the moment in which it was asked for, which is before it was given.
    /// That of a node whose directory no entry has bound is worth nothing: the cluster could
    /// take in another directory under that id, which has promised nothing.
    pub(crate) fn on_promise(
        &mut self,
        state: &State,
        now: Time,
        (from, incarnation): (NodeId, Incarnation),
        (round, promise_us): (u64, u64),
    ) {
        let asked = self.lease.asked.iter().find(|(asked, _)| *asked == round);
        let Some(&(_, sent_at)) = asked.filter(|_| state.bindings.get(&from) == Some(&incarnation))
        else {
            return;
        };
        let counted_from = if is_removed("leases-begin-when-asked") { now } else { sent_at };
        let promise_us = promise_us.min(state.config.election_timeout_us);
        let progress = self.progress.get_mut(&from).expect("a member has progress (I12)");
        let until = counted_from.after(counted_us(promise_us));
        progress.promised_until = progress.promised_until.max(until);
    }

    /// Whether nobody else can lead now: a majority of the voters, in each half of a joint
    /// configuration, has promised to elect nobody. A leader keeps itself.
    pub(crate) fn has_lease(&self, state: &State, now: Time) -> bool {
        let own = state.id();
        let until = reached_by_majority(state.configuration(), |id| {
            if id == own {
                return Time(u64::MAX);
            }
            self.progress.get(&id).map_or(Time::default(), |progress| progress.promised_until)
        });
        state.config.lease_reads && now < until
    }

    /// Answers a read at the commit index, which this leader knows to be the newest.
    pub(crate) fn confirm_by_lease(state: &mut State, context: u64, from: Option<NodeId>) {
        let index = state.log.commit_index();
        match from {
            None => state.reads.push(ReadState { context, index }),
            Some(peer) => state.send(peer, Message::ReadIndexResponse { context, index }),
        }
    }

    /// Whether every promise that this leader asked for is over, and was under way for no
    /// longer than a heartbeat interval.
    pub(crate) fn promises_are_over(&self, state: &State, now: Time) -> bool {
        let config = &state.config;
        let wait_us = over_after_us(config.election_timeout_us) + config.heartbeat_interval_us;
        self.lease.asked_at.is_none_or(|asked_at| asked_at.after(wait_us) <= now)
    }
}
