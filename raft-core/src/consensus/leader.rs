//! A leader: takes commands, replicates them, commits by counting, confirms reads, and steps
//! down when it cannot reach a majority (Raft §5.3, §5.4.2; Ongaro 2014 §6.2, §6.4).

use std::collections::BTreeMap;

use crate::consensus::binding;
use crate::consensus::config::RaftConfig;
use crate::consensus::hand_over::HandOver;
use crate::consensus::lease::Lease;
use crate::consensus::message::{AppendResult, Message};
use crate::consensus::progress::Progress;
use crate::consensus::quorum::reached_by_majority;
use crate::consensus::raft::Next;
use crate::consensus::reads::Reads;
use crate::consensus::ready::{Notice, ReadState};
use crate::consensus::state::State;
use crate::entry::{Draft, Entries, EntryKind, SessionStamp, Stamp};
use crate::teeth::is_removed;
use crate::types::{Incarnation, Index, NodeId, Time};

/// When the leader's own disk needs longer than this for a batch, it gives leadership away.
/// Units: microseconds.
const SLOW_SYNC_US: u64 = 1_000_000;

/// The state of a leader.
#[derive(Clone, Debug)]
pub(crate) struct Leader {
    pub(super) progress: BTreeMap<NodeId, Progress>,
    pub(super) reads: Reads,
    /// The first entry of this leadership: once it is committed, so is everything before it.
    pub(super) first_index: Index,
    /// The newest decision of this leadership on a change of the membership, made or refused.
    pub(super) decided_index: Index,
    /// Bindings that are in the log but not committed.
    pub(super) binding: BTreeMap<NodeId, Incarnation>,
    pub(super) elected_at: Time,
    /// Elapsed leader time at `counted_at`. Units: microseconds.
    pub(super) log_time: u64,
    /// When log time was last counted.
    pub(super) counted_at: Time,
    pub(super) heartbeat_at: Time,
    pub(super) check_quorum_at: Time,
    pub(super) hand_over: Option<HandOver>,
    pub(super) lease: Lease,
    /// Whether followers were last told that commands are refused for lack of space.
    pub(super) has_told_full: bool,
    /// Who is to be told that it was removed, once the entry that says so is committed.
    pub(super) leaving: Vec<(Index, NodeId)>,
}

impl Leader {
    /// Starts a leadership: nothing is known of the followers, and an entry of the own term
    /// goes into the log so that older ones can be committed (Raft §8, §5.4.2).
    pub(crate) fn new(
        state: &mut State,
        now: Time,
        granted_by: &BTreeMap<NodeId, Incarnation>,
    ) -> Self {
        let last_index = state.log.last().index;
        let own = state.id();
        let mut founding = BTreeMap::new();
        if last_index == Index::ZERO {
            founding.clone_from(granted_by);
            founding.insert(own, state.config.incarnation);
        }
        let peers = state.peers();
        let mut leader = Self {
            progress: peers.into_iter().map(|peer| (peer, Progress::new(last_index))).collect(),
            reads: Reads::default(),
            first_index: last_index.next(),
            decided_index: Index::ZERO,
            binding: founding,
            elected_at: now,
            log_time: state.log.log_time(),
            counted_at: now,
            heartbeat_at: now,
            check_quorum_at: now.after(state.config.election_timeout_us),
            hand_over: None,
            lease: Lease::default(),
            has_told_full: false,
            leaving: Vec::new(),
        };
        let mut draft = Draft::default();
        if leader.binding.is_empty() {
            draft.push(EntryKind::Noop, &SessionStamp::default(), b"");
        } else {
            let payload = binding::encode(&leader.binding);
            draft.push(EntryKind::Bind, &SessionStamp::default(), &payload);
        }
        if !is_removed("leaders-begin-with-an-entry") {
            leader.append(state, now, draft, 0);
        }
        leader
    }

    /// The followers' progress.
    pub(crate) fn progress(&self) -> &BTreeMap<NodeId, Progress> {
        &self.progress
    }

    /// The first entry of this leadership.
    pub(crate) fn first_index(&self) -> Index {
        self.first_index
    }

    /// Elapsed leader time: what the log said at the election, and this process's monotonic
    /// clock since, but for times in which the process did not run (design: log time).
    pub(crate) fn log_time(&self, config: &RaftConfig, now: Time) -> u64 {
        // A leader that runs is ticked far more often.
        let counted_us = now.since(self.counted_at).min(config.election_timeout_us);
        self.log_time.saturating_add(counted_us)
    }

    fn count_log_time(&mut self, config: &RaftConfig, now: Time) {
        self.log_time = self.log_time(config, now);
        self.counted_at = now;
    }

    /// Takes a round of commands into the log and returns them as they stand there.
    pub(crate) fn append(
        &mut self,
        state: &mut State,
        now: Time,
        draft: Draft,
        wall_time: u64,
    ) -> Entries {
        let first = state.log.last().index.next();
        self.count_log_time(&state.config, now);
        let log_time = self.log_time;
        let seed = state.rng.next_u64();
        let term = state.term();
        let configures = draft.concerns_members();
        let feature_level = state.agreed_level();
        let stamp = Stamp { term, first, log_time, wall_time, feature_level, seed };
        let entries = draft.stamp(&stamp);
        state.log.append(entries.clone());
        if configures {
            self.decided_index = state.log.last().index;
            self.follow_configuration(state);
        }
        entries
    }

    /// Registers a read, unless leadership is being handed over: the next leader may commit
    /// before this one hears of it.
    pub(crate) fn read_index(
        &mut self,
        state: &mut State,
        now: Time,
        context: u64,
        from: Option<NodeId>,
    ) {
        if self.is_handing_over() && !is_removed("reads-wait-for-a-hand-over") {
            return;
        }
        let commit_index = state.log.commit_index();
        let knows = self.first_index <= commit_index || is_removed("new-leaders-wait-for-a-commit");
        if knows && self.has_lease(state, now) {
            Self::confirm_by_lease(state, context, from);
        } else {
            self.reads.register(context, from, knows.then_some(commit_index));
        }
        if let Some(progress) = from.and_then(|from| self.progress.get_mut(&from)) {
            progress.commit_wanted = commit_index;
        }
    }

    pub(crate) fn tick(&mut self, state: &mut State, now: Time) -> Next {
        self.count_log_time(&state.config, now);
        self.tend_hand_over(state, now);
        if SLOW_SYNC_US < state.persistence.age_us(now)
            && self.hand_over.is_none()
            && self.hand_over(state, now, None)
        {
            state.notices.push(Notice::SlowDisk);
        }
        self.continue_hand_over(state);
        self.tell_removed(state);
        self.tend_members(state, now);
        if self.check_quorum_at <= now {
            self.check_quorum_at = now.after(state.config.election_timeout_us);
            if !self.has_active_quorum(state) && !is_removed("leaders-need-a-quorum") {
                return Next::Follow {
                    term: state.term(),
                    leader: None,
                    reason: "no majority answered for an election timeout",
                    because_of: None,
                };
            }
            for progress in self.progress.values_mut() {
                progress.active = false;
                progress.is_there = false;
            }
        }
        if self.heartbeat_at <= now {
            self.heartbeat_at = now.after(state.config.heartbeat_interval_us);
            self.send_heartbeats(state, now);
            self.ask_promises(state, now);
        } else {
            self.tell_commit(state, true);
        }
        Next::Stay
    }

    /// Gives a quorum that was silent only because this process was not running more time.
    pub(crate) fn forgive(&mut self, until: Time) {
        self.check_quorum_at = self.check_quorum_at.max(until);
    }

    fn has_active_quorum(&self, state: &State) -> bool {
        let own = state.id();
        reached_by_majority(state.configuration(), |id| {
            id == own || self.progress.get(&id).is_some_and(|progress| progress.active)
        })
    }

    pub(super) fn send_heartbeats(&mut self, state: &mut State, now: Time) {
        let commit_index = state.log.commit_index();
        let (round, log_time) = (self.reads.round(), self.log_time);
        for (&peer, progress) in &mut self.progress {
            progress.commit_sent = progress.match_index().min(commit_index);
            progress.round_trip.sent(Some(now));
            let commit_index = progress.commit_sent;
            state.send(peer, Message::Heartbeat { commit_index, round, log_time });
        }
        if self.has_told_full || self.lacks_space(state) {
            self.tell_space(state);
        }
    }

    /// Tells followers that have nothing else to receive what has been committed: all of
    /// them at a tick, and at once those that wait for it.
    fn tell_commit(&mut self, state: &mut State, at_tick: bool) {
        let commit_index = state.log.commit_index();
        let (round, log_time) = (self.reads.round(), self.log_time);
        for (&peer, progress) in &mut self.progress {
            let usable = progress.match_index().min(commit_index);
            let is_wanted = progress.commit_sent < progress.commit_wanted;
            if progress.commit_sent < usable && (at_tick || is_wanted) {
                progress.commit_sent = usable;
                progress.round_trip.sent(None);
                let message = Message::Heartbeat { commit_index: usable, round, log_time };
                state.send(peer, message);
            }
        }
    }

    /// The entries of a follower's client are in the log up to `index`: tell that follower
    /// when they are committed without waiting for the next occasion.
    pub(crate) fn want_commit(&mut self, peer: NodeId, index: Index) {
        if let Some(progress) = self.progress.get_mut(&peer) {
            progress.commit_wanted = progress.commit_wanted.max(index);
        }
    }

    pub(crate) fn step(
        &mut self,
        state: &mut State,
        now: Time,
        (from, incarnation): (NodeId, Incarnation),
        message: Message,
    ) {
        if !self.progress.contains_key(&from) {
            // Not a member, or not any more.
            return;
        }
        match message {
            Message::AppendEntriesResponse { round, counts, result } => {
                self.notice_directory(state, from, incarnation);
                self.on_heard(state, now, (from, counts), round);
                self.on_append_result(state, now, (from, counts), result);
                self.maybe_bind(state, now, from, incarnation);
            }
            Message::HeartbeatResponse { round, counts } => {
                self.notice_directory(state, from, incarnation);
                self.on_heard(state, now, (from, counts), round);
                self.note_answer(now, from);
                if counts {
                    self.count(state, from);
                }
                self.retry_if_stalled(state, now, from);
                self.maybe_bind(state, now, from, incarnation);
            }
            Message::InstallSnapshotResponse { id, next_offset, installed, counts } => {
                self.notice_directory(state, from, incarnation);
                self.on_heard(state, now, (from, counts), 0);
                self.on_snapshot_answer(state, now, (from, counts), (id, next_offset, installed));
                self.maybe_bind(state, now, from, incarnation);
            }
            Message::Space { is_full } => self.on_space(state, from, is_full),
            Message::Transfer { to } => {
                self.hand_over(state, now, to);
            }
            Message::ReadIndex { context } => self.read_index(state, now, context, Some(from)),
            Message::Promise { round, promise_us } => {
                self.on_promise(state, now, (from, incarnation), (round, promise_us));
            }
            Message::RequestVote { .. } => {
                // Of this very term: the candidate has lost, and the next heartbeat says so.
                state.send_after_sync(from, Message::RequestVoteResponse { granted: false });
            }
            // Late answers to the election, and words of a role that this node has left.
            Message::RequestVoteResponse { .. }
            | Message::PreVoteResponse { .. }
            | Message::ReadIndexResponse { .. }
            | Message::TimeoutNow => {}
            Message::AppendEntries { .. }
            | Message::Heartbeat { .. }
            | Message::AskPromise { .. }
            | Message::InstallSnapshot { .. } => {
                unreachable!("a second leader in one term: {from:?} in {:?}", state.term())
            }
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

    /// What a follower held in another directory says nothing about this one.
    fn notice_directory(&mut self, state: &State, from: NodeId, incarnation: Incarnation) {
        let progress = self.progress.get_mut(&from).expect("a member has progress (I12)");
        let is_new = progress.incarnation.is_some_and(|known| known != incarnation);
        if is_new && !is_removed("directories-are-told-apart") {
            *progress = Progress::new(state.log.last().index);
        }
        progress.incarnation = Some(incarnation);
    }

    fn on_heard(
        &mut self,
        state: &mut State,
        now: Time,
        (from, counted): (NodeId, bool),
        round: u64,
    ) {
        let progress = self.progress.get_mut(&from).expect("a member has progress (I12)");
        progress.is_there = true;
        if counted {
            progress.heard_at = Some(now);
            progress.is_cut = false;
            progress.active = true;
            progress.acked_round = progress.acked_round.max(round);
            self.confirm_reads(state);
        }
    }

    fn note_answer(&mut self, now: Time, from: NodeId) {
        let progress = self.progress.get_mut(&from).expect("a member has progress (I12)");
        progress.round_trip.answered(now);
    }

    pub(super) fn confirm_reads(&mut self, state: &mut State) {
        let own = state.id();
        let newest = self.reads.round();
        let confirmed = reached_by_majority(state.configuration(), |id| {
            if id == own { newest } else { self.progress.get(&id).map_or(0, |p| p.acked_round) }
        });
        for read in self.reads.confirm(confirmed) {
            match read.requester {
                None => state.reads.push(ReadState { context: read.context, index: read.index }),
                Some(peer) => {
                    let (context, index) = (read.context, read.index);
                    state.send(peer, Message::ReadIndexResponse { context, index });
                }
            }
        }
    }

    fn on_append_result(
        &mut self,
        state: &mut State,
        now: Time,
        (from, counted): (NodeId, bool),
        result: AppendResult,
    ) {
        let progress = self.progress.get_mut(&from).expect("a member has progress (I12)");
        match result {
            AppendResult::Accepted { match_index } => {
                if state.log.last().index < match_index {
                    // Not an answer to anything this leader sent; a peer may say anything.
                    return;
                }
                progress.accepted(now, match_index);
                if counted {
                    self.count(state, from);
                }
            }
            AppendResult::Rejected { prev_index, hint } => {
                let candidate = state.log.last_possible_match(hint);
                if !counted {
                    progress.doubt(prev_index);
                }
                progress.rejected(prev_index, candidate.index);
            }
        }
    }

    /// Counts what a follower holds; also what it had before its word began to count.
    pub(super) fn count(&mut self, state: &mut State, from: NodeId) {
        let progress = self.progress.get_mut(&from).expect("a member has progress (I12)");
        if progress.counted_index < progress.match_index() {
            progress.counted_index = progress.match_index();
            self.maybe_commit(state);
            self.continue_hand_over(state);
        }
    }

    /// Commits what a majority holds durably, if it is of the own term (Raft §5.4.2).
    pub(crate) fn maybe_commit(&mut self, state: &mut State) {
        let own = state.id();
        let last = state.log.last().index;
        let durable = if is_removed("leaders-sync-too") { last } else { state.log.durable_index() };
        let index = reached_by_majority(state.configuration(), |id| {
            if id == own {
                durable
            } else {
                self.progress.get(&id).map_or(Index::ZERO, |p| p.counted_index)
            }
        });
        let is_own = state.log.term_at(index) == Some(state.term());
        if !(is_own || is_removed("only-own-terms-commit")) || !state.log.commit_to(index) {
            return;
        }
        self.reads.committed_in_term(index);
        self.tell_commit(state, false);
    }

    /// Binds a voter that no entry has bound yet: it came late to the founding.
    fn maybe_bind(&mut self, state: &mut State, now: Time, node: NodeId, found: Incarnation) {
        let is_known = state.bindings.contains_key(&node) || self.binding.contains_key(&node);
        if is_known || state.log.commit_index() < self.first_index {
            return;
        }
        self.binding.insert(node, found);
        let mut draft = Draft::default();
        let payload = binding::encode(&BTreeMap::from([(node, found)]));
        draft.push(EntryKind::Bind, &SessionStamp::default(), &payload);
        self.append(state, now, draft, 0);
    }

    /// An append or its answer was lost on a link that is otherwise alive: ask once more where
    /// the logs agree.
    fn retry_if_stalled(&mut self, state: &State, now: Time, from: NodeId) {
        let patience_us = 2 * state.config.heartbeat_interval_us;
        let progress = self.progress.get_mut(&from).expect("a member has progress (I12)");
        progress.retry_rebuild(now, patience_us);
        if progress.is_stalled(now, patience_us) && !is_removed("lost-appends-are-repeated") {
            let was_probing = progress.is_probing();
            progress.retry(now);
            if !was_probing {
                progress.reprobe = true;
            }
        }
    }
}
