//! A leader: takes commands, replicates them, commits by counting, confirms reads, and steps
//! down when it cannot reach a majority (Raft §5.3, §5.4.2; Ongaro 2014 §6.2, §6.4).

use std::collections::BTreeMap;

use crate::consensus::binding;
use crate::consensus::log::Slice;
use crate::consensus::message::{AppendResult, Message};
use crate::consensus::progress::Progress;
use crate::consensus::quorum::reached_by_majority;
use crate::consensus::raft::Next;
use crate::consensus::reads::Reads;
use crate::consensus::ready::ReadState;
use crate::consensus::state::State;
use crate::entry::{Draft, Entries, EntryKind, SessionStamp, Stamp};
use crate::types::{EntryId, Incarnation, Index, NodeId, Time};

/// Appends above this many bytes go over the bulk link, with everything behind them until the
/// follower has answered, so that they never delay a heartbeat.
const CONTROL_APPEND_BYTES_MAX: usize = 256 * 1024;

/// The state of a leader.
#[derive(Clone, Debug)]
pub(crate) struct Leader {
    progress: BTreeMap<NodeId, Progress>,
    reads: Reads,
    /// The first entry of this leadership: once it is committed, so is everything before it.
    first_index: Index,
    /// Bindings that are in the log but not committed.
    binding: BTreeMap<NodeId, Incarnation>,
    elected_at: Time,
    /// The highest log time when this node was elected. Units: microseconds.
    log_time_base: u64,
    heartbeat_at: Time,
    check_quorum_at: Time,
    hand_over: Option<HandOver>,
}

#[derive(Clone, Debug)]
struct HandOver {
    /// Whom `TimeoutNow` was sent to.
    asked: Option<NodeId>,
    /// When to give up and lead on.
    deadline: Time,
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
            binding: founding,
            elected_at: now,
            log_time_base: state.log.log_time(),
            heartbeat_at: now,
            check_quorum_at: now.after(state.config.election_timeout_us),
            hand_over: None,
        };
        let mut draft = Draft::default();
        if leader.binding.is_empty() {
            draft.push(EntryKind::Noop, &SessionStamp::default(), b"");
        } else {
            let payload = binding::encode(&leader.binding);
            draft.push(EntryKind::Bind, &SessionStamp::default(), &payload);
        }
        leader.append(state, now, draft, 0);
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

    /// Whether proposals must wait because leadership is being handed over.
    pub(crate) fn is_handing_over(&self) -> bool {
        self.hand_over.is_some()
    }

    /// Elapsed leader time: what the log said at the election, and this process's monotonic
    /// clock since (design: log time).
    pub(crate) fn log_time(&self, now: Time) -> u64 {
        self.log_time_base + now.since(self.elected_at)
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
        let log_time = self.log_time(now);
        let seed = state.rng.next_u64();
        let term = state.term();
        let entries = draft.stamp(&Stamp { term, first, log_time, wall_time, seed });
        state.log.append(entries.clone());
        entries
    }

    pub(crate) fn read_index(&mut self, state: &State, context: u64, from: Option<NodeId>) {
        let commit_index = state.log.commit_index();
        let known = (self.first_index <= commit_index).then_some(commit_index);
        self.reads.register(context, from, known);
        if let Some(progress) = from.and_then(|from| self.progress.get_mut(&from)) {
            progress.commit_wanted = commit_index;
        }
    }

    pub(crate) fn tick(&mut self, state: &mut State, now: Time) -> Next {
        if self.hand_over.as_ref().is_some_and(|hand_over| hand_over.deadline <= now) {
            self.hand_over = None;
        }
        self.continue_hand_over(state);
        if self.check_quorum_at <= now {
            self.check_quorum_at = now.after(state.config.election_timeout_us);
            if !self.has_active_quorum(state) {
                return Next::Follow {
                    term: state.term(),
                    leader: None,
                    reason: "no majority answered for an election timeout",
                    because_of: None,
                };
            }
            self.progress.values_mut().for_each(|progress| progress.active = false);
        }
        if self.heartbeat_at <= now {
            self.heartbeat_at = now.after(state.config.heartbeat_interval_us);
            self.send_heartbeats(state);
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
        reached_by_majority(&state.config.configuration, |id| {
            id == own || self.progress.get(&id).is_some_and(|progress| progress.active)
        })
    }

    fn send_heartbeats(&mut self, state: &mut State) {
        let commit_index = state.log.commit_index();
        let round = self.reads.round();
        for (&peer, progress) in &mut self.progress {
            progress.commit_sent = progress.match_index().min(commit_index);
            let commit_index = progress.commit_sent;
            state.send(peer, Message::Heartbeat { commit_index, round });
        }
    }

    /// Tells followers that have nothing else to receive what has been committed: all of
    /// them at a tick, and at once those that wait for it.
    fn tell_commit(&mut self, state: &mut State, at_tick: bool) {
        let commit_index = state.log.commit_index();
        let round = self.reads.round();
        for (&peer, progress) in &mut self.progress {
            let usable = progress.match_index().min(commit_index);
            let is_wanted = progress.commit_sent < progress.commit_wanted;
            if progress.commit_sent < usable && (at_tick || is_wanted) {
                progress.commit_sent = usable;
                state.send(peer, Message::Heartbeat { commit_index: usable, round });
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
    ) -> Next {
        match message {
            Message::AppendEntriesResponse { round, counts, result } => {
                self.notice_directory(state, from, incarnation);
                self.on_heard(state, now, (from, counts), round);
                self.on_append_result(state, now, (from, counts), result);
                self.maybe_bind(state, now, from, incarnation);
                Next::Stay
            }
            Message::HeartbeatResponse { round, counts } => {
                self.notice_directory(state, from, incarnation);
                self.on_heard(state, now, (from, counts), round);
                if counts {
                    self.count(state, from);
                }
                self.retry_if_stalled(state, now, from);
                self.maybe_bind(state, now, from, incarnation);
                Next::Stay
            }
            Message::ReadIndex { context } => {
                self.read_index(state, context, Some(from));
                Next::Stay
            }
            Message::RequestVote { .. } => {
                // Of this very term: the candidate has lost, and the next heartbeat says so.
                state.send_after_sync(from, Message::RequestVoteResponse { granted: false });
                Next::Stay
            }
            // Late answers to the election, and words of a role that this node has left.
            Message::RequestVoteResponse { .. }
            | Message::PreVoteResponse { .. }
            | Message::ReadIndexResponse { .. }
            | Message::TimeoutNow => Next::Stay,
            Message::AppendEntries { .. } | Message::Heartbeat { .. } => {
                unreachable!("a second leader in one term: {from:?} in {:?}", state.term())
            }
            Message::PreVote { .. }
            | Message::AskEmpty
            | Message::AnswerEmpty { .. }
            | Message::Forward { .. } => {
                unreachable!("these are answered before any role sees them")
            }
        }
    }

    /// What a follower held in another directory says nothing about this one.
    fn notice_directory(&mut self, state: &State, from: NodeId, incarnation: Incarnation) {
        let progress = self.progress.get_mut(&from).expect("voter has progress (I6)");
        if progress.incarnation.is_some_and(|known| known != incarnation) {
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
        let progress = self.progress.get_mut(&from).expect("voter has progress (I6)");
        progress.heard_at = Some(now);
        if counted {
            progress.active = true;
            progress.acked_round = progress.acked_round.max(round);
            self.confirm_reads(state);
        }
    }

    fn confirm_reads(&mut self, state: &mut State) {
        let own = state.id();
        let newest = self.reads.round();
        let confirmed = reached_by_majority(&state.config.configuration, |id| {
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
        let progress = self.progress.get_mut(&from).expect("voter has progress (I6)");
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
                progress.rejected(prev_index, candidate.index);
            }
        }
    }

    /// Counts what a follower holds; also what it had before its word began to count.
    fn count(&mut self, state: &mut State, from: NodeId) {
        let progress = self.progress.get_mut(&from).expect("voter has progress (I6)");
        if progress.counted_index < progress.match_index() {
            progress.counted_index = progress.match_index();
            self.maybe_commit(state);
            self.continue_hand_over(state);
        }
    }

    /// Commits what a majority holds durably, if it is of the own term (Raft §5.4.2).
    pub(crate) fn maybe_commit(&mut self, state: &mut State) {
        let own = state.id();
        let durable = state.log.durable_index();
        let index = reached_by_majority(&state.config.configuration, |id| {
            if id == own {
                durable
            } else {
                self.progress.get(&id).map_or(Index::ZERO, |p| p.counted_index)
            }
        });
        if state.log.term_at(index) != Some(state.term()) || !state.log.commit_to(index) {
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
        let progress = self.progress.get_mut(&from).expect("voter has progress (I6)");
        if progress.is_stalled(now, patience_us) {
            let was_probing = progress.is_probing();
            progress.retry(now);
            if !was_probing {
                progress.reprobe = true;
            }
        }
    }

    /// Sends whatever the followers can take; called once at the end of a turn, so that the
    /// commands of a turn travel together.
    pub(crate) fn replicate(&mut self, state: &mut State, now: Time) {
        if self.reads.take_open() {
            self.send_heartbeats(state);
            // A cluster of one is its own majority.
            self.confirm_reads(state);
        }
        let peers: Vec<NodeId> = self.progress.keys().copied().collect();
        for peer in peers {
            while self.send_append(state, now, peer) {}
        }
    }

    /// Sends one append if there is something to say and room to say it.
    fn send_append(&mut self, state: &mut State, now: Time, peer: NodeId) -> bool {
        let config = &state.config;
        let progress = self.progress.get_mut(&peer).expect("voter has progress (I6)");
        let next = progress.next_index();
        let end = state.log.last().index.next();
        let is_question = std::mem::take(&mut progress.reprobe);
        let has_news = next < end || progress.is_probing();
        let may_send = progress.has_room(config.window_appends_max, config.window_bytes_max);
        if !is_question && (!has_news || !may_send) {
            return false;
        }
        let entries = if next == end || is_question {
            Vec::new()
        } else {
            match state.log.slice(&(next..end), config.append_bytes_max) {
                Slice::InMemory(entries) => entries,
                Slice::OnDisk => {
                    progress.awaits_disk = true;
                    return false;
                }
            }
        };
        self.send_entries(state, now, peer, entries);
        !is_question
    }

    fn send_entries(&mut self, state: &mut State, now: Time, peer: NodeId, entries: Vec<Entries>) {
        let round = self.reads.round();
        let progress = self.progress.get_mut(&peer).expect("voter has progress (I6)");
        let prev_index = progress.next_index().prev();
        let term = state.log.term_at(prev_index).expect("what was sent before is in the log");
        let prev = EntryId { term, index: prev_index };
        let commit_index = state.log.commit_index();
        let bytes = entries.iter().map(|run| run.bytes().len()).sum();
        let last = entries.last().map_or(prev_index, Entries::last_index);
        if CONTROL_APPEND_BYTES_MAX < bytes || progress.awaits_disk {
            progress.bulk = true;
        }
        progress.awaits_disk = false;
        if progress.is_probing() || prev_index < last {
            progress.sent(now, last, bytes);
        }
        progress.commit_sent = progress.commit_sent.max(commit_index.min(last));
        let is_bulk = progress.bulk;
        let message = Message::AppendEntries { prev, commit_index, round, entries };
        if is_bulk { state.send_bulk(peer, message) } else { state.send(peer, message) }
    }

    /// The first entry on disk that some follower waits for.
    pub(crate) fn wanted_from_disk(&self) -> Option<Index> {
        let waiting = self.progress.values().filter(|progress| progress.awaits_disk);
        waiting.map(Progress::next_index).min()
    }

    /// Sends entries that were read from disk to the followers that waited for them.
    pub(crate) fn send_fetched(&mut self, state: &mut State, now: Time, fetched: &[Entries]) {
        let Some(last) = fetched.last().map(Entries::last_index) else { return };
        let config = &state.config;
        let (appends_max, bytes_max) = (config.window_appends_max, config.window_bytes_max);
        let waiting: Vec<NodeId> = self
            .progress
            .iter()
            .filter(|(_, p)| p.awaits_disk && p.has_room(appends_max, bytes_max))
            .map(|(&peer, _)| peer)
            .collect();
        for peer in waiting {
            let range = self.progress[&peer].next_index()..last.next();
            let covers = fetched.first().is_some_and(|run| run.first_index() <= range.start);
            let entries: Vec<Entries> =
                fetched.iter().filter_map(|run| run.slice(range.clone(), usize::MAX)).collect();
            if covers && !entries.is_empty() {
                self.send_entries(state, now, peer, entries);
            }
        }
    }

    /// A new connection stands: what went over the old one may be lost.
    pub(crate) fn reset_progress(&mut self, peer: NodeId) {
        if let Some(progress) = self.progress.get_mut(&peer) {
            progress.reset();
        }
    }

    /// Begins to hand leadership to the follower that has most (Ongaro 2014 §3.10).
    pub(crate) fn hand_over(&mut self, state: &mut State, now: Time) {
        if self.hand_over.is_none() && !self.progress.is_empty() {
            let deadline = now.after(state.config.election_timeout_us);
            self.hand_over = Some(HandOver { asked: None, deadline });
            self.continue_hand_over(state);
        }
    }

    /// Tells a follower that has the whole log to campaign, once there is one.
    fn continue_hand_over(&mut self, state: &mut State) {
        let Some(hand_over) = self.hand_over.as_mut().filter(|h| h.asked.is_none()) else {
            return;
        };
        let last = state.log.last().index;
        let ready = self.progress.iter().find(|(_, p)| p.active && p.match_index() == last);
        if let Some((&target, _)) = ready {
            hand_over.asked = Some(target);
            state.send(target, Message::TimeoutNow);
        }
    }
}
