//! A follower: obeys the leader of its term, votes, and doubts a leader that is silent.

use crate::consensus::candidate::on_request_vote;
use crate::consensus::message::{AppendResult, Message};
use crate::consensus::raft::Next;
use crate::consensus::ready::SnapshotPiece;
use crate::consensus::state::State;
use crate::entry::Entries;
use crate::hard_state::Standing;
use crate::teeth::is_removed;
use crate::types::{EntryId, Index, NodeId, Time};

/// The state of a follower.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    /// The leader of this term, if it was heard of and its link has not ended since.
    pub leader: Option<NodeId>,
    /// When the leader was last heard of.
    pub(super) heard_at: Option<Time>,
    /// When to doubt the leader.
    pub(super) election_deadline: Time,
    /// Whether the leader refuses commands because no majority has room for them.
    pub leader_lacks_space: bool,
}

impl Follower {
    pub(crate) fn new(state: &mut State, now: Time, leader: Option<NodeId>) -> Self {
        if leader.is_some() {
            state.lost_leader = None;
        }
        Self {
            leader,
            heard_at: leader.map(|_| now),
            election_deadline: state.election_deadline(now),
            leader_lacks_space: false,
        }
    }

    /// Whether a leader was heard of so recently that nobody should be elected (stickiness,
    /// Ongaro 2014 §4.2.3 and §9.6).
    pub(crate) fn is_content(&self, state: &State, now: Time) -> bool {
        self.leader.is_some()
            && self.heard_at.is_some_and(|at| now.since(at) < state.config.election_timeout_us)
    }

    pub(crate) fn tick(&self, state: &State, now: Time) -> Next {
        // What follows is a question to others, which may make them leave their first term; if
        // a crash made an empty node of this one, nobody would ever admit it.
        let is_ready = state.counts_durably() || is_removed("strangers-do-not-campaign");
        let may_campaign = state.may_campaign() || is_removed("learners-do-not-campaign");
        if !is_ready || now < self.election_deadline || !may_campaign || state.has_promised(now) {
            return Next::Stay;
        }
        let reason = match (state.lost_leader, self.leader) {
            (Some(_), _) => "the link to the leader ended",
            (None, Some(_)) => "the election timer ran out: the leader is silent",
            (None, None) => "the election timer ran out: no leader",
        };
        Next::PreCampaign { reason }
    }

    /// Whether this node listens only and has heard no leader for so long that a voter would ask
    /// for an election: it may have been removed while it was away.
    pub(crate) fn is_forsaken(&self, state: &State, now: Time) -> bool {
        self.election_deadline <= now && !state.is_electable() && !state.is_removed
    }

    /// Waits a little longer: this process itself was not running, and what the leader said
    /// meanwhile is still in the queue.
    pub(crate) fn forgive(&mut self, until: Time) {
        self.election_deadline = self.election_deadline.max(until);
    }

    /// The link to the leader ended: its word of a moment ago is no reason to wait any more.
    pub(crate) fn forget_leader(&mut self, state: &mut State, now: Time) {
        state.lost_leader = self.leader.take();
        self.heard_at = None;
        self.election_deadline = state.election_deadline(now);
    }

    pub(crate) fn step(
        &mut self,
        state: &mut State,
        now: Time,
        from: NodeId,
        message: Message,
    ) -> Next {
        match message {
            Message::AppendEntries { prev, commit_index, round, entries } => {
                self.on_append_entries(state, from, (prev, entries), (commit_index, round));
                Next::Stay
            }
            Message::Heartbeat { commit_index, round, log_time } => {
                state.log.raise_log_time(log_time);
                self.on_heartbeat(state, from, commit_index, round);
                Next::Stay
            }
            Message::RequestVote { last, .. } => {
                if on_request_vote(state, now, (from, last), self.leader) {
                    self.election_deadline = state.election_deadline(now);
                }
                Next::Stay
            }
            Message::TimeoutNow => self.on_timeout_now(state, now, from),
            Message::ReadIndexResponse { context, index } => {
                let read = crate::consensus::ready::ReadState { context, index };
                state.reads.push(read);
                Next::Stay
            }
            Message::Space { is_full } => {
                self.leader_lacks_space = is_full && self.leader == Some(from);
                Next::Stay
            }
            Message::InstallSnapshot { id, offset, data } => {
                on_install_snapshot(state, from, SnapshotPiece { id, offset, data });
                Next::Stay
            }
            Message::AskPromise { round, at_most_us } => {
                state.promise(now, from, (round, at_most_us));
                Next::Stay
            }
            // Answers to questions of an earlier role, and questions to a leader that this node is
            // not.
            Message::Promise { .. }
            | Message::Transfer { .. }
            | Message::InstallSnapshotResponse { .. }
            | Message::ReadIndex { .. }
            | Message::PreVoteResponse { .. }
            | Message::RequestVoteResponse { .. }
            | Message::AppendEntriesResponse { .. }
            | Message::HeartbeatResponse { .. } => Next::Stay,
            Message::PreVote { .. }
            | Message::AskEmpty
            | Message::AnswerEmpty { .. }
            | Message::NotAMember
            | Message::StateHash { .. }
            | Message::AgreedHash { .. }
            | Message::RequestSnapshot { .. }
            | Message::Forward { .. } => {
                unreachable!("these are answered before any role sees them")
            }
        }
    }

    /// Notes that the leader of this term spoke. Every message of it counts, also one that
    /// the log does not agree with, so that catching up never looks like silence.
    pub(crate) fn hear(&mut self, state: &mut State, now: Time, leader: NodeId) {
        assert!(
            self.leader.is_none_or(|known| known == leader),
            "one leader per term: {leader:?} and {:?} in {:?}",
            self.leader,
            state.term()
        );
        state.lost_leader = None;
        state.contact_at = Some(now);
        state.is_removed = false;
        self.leader = Some(leader);
        self.heard_at = Some(now);
        self.election_deadline = state.election_deadline(now);
        if !state.counts() && state.vote().is_none() {
            // This node may have forgotten a vote it gave in this term. To vote for the
            // leader, which is elected already, makes it unable to help anybody else.
            state.vote_for(leader);
        }
    }

    /// Campaigns at the leader's request, if this node may.
    fn on_timeout_now(&self, state: &State, now: Time, from: NodeId) -> Next {
        let may = state.counts_durably() && state.may_campaign() && !state.has_promised(now);
        if !may || self.leader != Some(from) {
            return Next::Stay;
        }
        let reason = "the leader handed over";
        Next::Campaign { reason, because_of: Some(from), transfer: true }
    }

    fn on_append_entries(
        &mut self,
        state: &mut State,
        leader: NodeId,
        (prev, entries): (EntryId, Vec<Entries>),
        (leader_commit, round): (Index, u64),
    ) {
        let result = if state.log.continues(prev) {
            let match_index = state.log.merge(prev, entries);
            // Only what this append has verified: an own stale tail behind it may be longer
            // (Raft Figure 2, AppendEntries rule 5).
            let last = state.log.last().index;
            let verified = if is_removed("only-verified-commits") { last } else { match_index };
            state.log.commit_to(leader_commit.min(verified));
            AppendResult::Accepted { match_index }
        } else {
            let at = EntryId { term: prev.term, index: prev.index };
            let hint = state.log.last_possible_match(at);
            AppendResult::Rejected { prev_index: prev.index, hint }
        };
        let counts = state.counts();
        state.send_after_sync(leader, Message::AppendEntriesResponse { round, counts, result });
    }

    fn on_heartbeat(&self, state: &mut State, leader: NodeId, commit_index: Index, round: u64) {
        // The leader names no more than it knows this log to hold, so the entry is there.
        if commit_index <= state.log.last().index {
            state.log.commit_to(commit_index);
        }
        // This answer does not wait for the disk, so it says only what the disk says too.
        let counts = state.counts_durably();
        state.send(leader, Message::HeartbeatResponse { round, counts });
        // Said again until both believe the same: any of these messages may be lost.
        if state.disk_is_full || self.leader_lacks_space {
            self.tell_space(state);
        }
    }

    /// Ends the quarantine of a node that lost part of its log, once it holds durably an entry
    /// that a leader committed in its own term, and so everything that was ever committed
    /// before. It did so without counting this node, which entered a new term when it started.
    pub(crate) fn maybe_end_quarantine(&self, state: &mut State) {
        let commit_index = state.log.commit_index();
        let is_durable = commit_index <= state.log.durable_index();
        let is_confirmed = state.log.term_at(commit_index) == Some(state.term());
        if state.standing() == Standing::Quarantined && is_durable && is_confirmed {
            state.admit("it holds everything that the leader has committed again");
        }
    }
}

/// Takes a piece of a snapshot, unless this log has what the snapshot covers (Raft Figure 13).
/// One that contradicts what is committed is neither taken nor said to be in place.
fn on_install_snapshot(state: &mut State, leader: NodeId, piece: SnapshotPiece) {
    let SnapshotPiece { id, .. } = piece;
    if contradicts_committed(state, id.last) {
        return;
    }
    let may_rebuild = state.is_fenced && state.log.base().index <= id.last.index;
    if id.last.index <= state.log.commit_index() && !may_rebuild {
        // What is committed here is what the leader has, and is on disk when this leaves.
        let (next_offset, counts) = (id.bytes, state.counts());
        let answer = Message::InstallSnapshotResponse { id, next_offset, installed: true, counts };
        state.send_after_sync(leader, answer);
    } else if !state.is_installing {
        state.snapshot_pieces.push(piece);
    }
}

/// Whether no log that holds everything committed here can have `last` in it.
fn contradicts_committed(state: &State, last: EntryId) -> bool {
    let commit_index = state.log.commit_index();
    if commit_index < last.index {
        return state.log.term_at(commit_index).is_some_and(|term| last.term < term);
    }
    state.log.term_at(last.index).is_some_and(|term| last.term != term)
}
