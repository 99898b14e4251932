//! `Raft`: one node's consensus as a function of (state, now, input) to `Ready`.
//!
//! Terms are compared in one place (`term_gate`), roles are replaced in one place (`enter`),
//! and every input ends in a check of the invariants.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::configuration::Configuration;
use crate::consensus::admission::{self, Admission};
use crate::consensus::candidate::{Campaign, on_pre_vote, on_request_vote};
use crate::consensus::change::Ruling;
use crate::consensus::config::RaftConfig;
use crate::consensus::detail::Detail;
use crate::consensus::error::ProposeError;
use crate::consensus::follower::Follower;
use crate::consensus::invariants;
use crate::consensus::leader::Leader;
use crate::consensus::log::{RaftLog, Slice};
use crate::consensus::message::{AppendResult, Envelope, Message};
use crate::consensus::quorum::VoteResult;
use crate::consensus::ready::{Fetch, Notice, Persist, Ready, RoleName};
use crate::consensus::state::State;
use crate::entry::{Draft, Entries};
use crate::hard_state::{HardState, Standing};
use crate::teeth::is_removed;
use crate::types::{EntryId, Incarnation, Index, NodeId, Term, Time};

/// Bytes of committed entries handed out in one turn, at least one entry: a long replay is
/// done in slices, and heartbeats go on between them.
const APPLY_BYTES_MAX: usize = 512 * 1024;

/// Bytes read from disk at once.
const FETCH_BYTES_MAX: usize = 512 * 1024;

/// One node's consensus.
#[derive(Clone, Debug)]
pub struct Raft {
    pub(super) state: State,
    pub(super) role: Role,
    /// When `tick` last ran.
    pub(super) ticked_at: Time,
    pub(super) admission: Admission,
    /// Entries from disk that are to be applied.
    pub(super) fetched: Option<Vec<Entries>>,
    /// The epoch of the log when entries were asked from disk, while they are awaited.
    pub(super) fetching: Option<u64>,
    /// The log was replaced by a snapshot that ends here, and the disk does not know it yet.
    pub(super) replaced_at: Option<EntryId>,
    /// The log was cut up to here, and the disk does not know it yet.
    pub(super) cut_before: Option<Index>,
    /// Which configuration was last reported.
    pub(super) reported_version: u64,
}

/// The roles (Raft §5.1).
#[derive(Clone, Debug)]
pub(crate) enum Role {
    Follower(Follower),
    PreCandidate(Campaign),
    Candidate(Campaign),
    Leader(Box<Leader>),
}

/// What a role wants to become.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Stay,
    Follow { term: Term, leader: Option<NodeId>, reason: &'static str, because_of: Option<NodeId> },
    PreCampaign { reason: &'static str },
    Campaign { reason: &'static str, because_of: Option<NodeId>, transfer: bool },
    Lead,
}

impl Raft {
    /// A node as recovery found it, a follower that knows no leader. A cluster of one counts
    /// at once; any other node with an empty directory has to be admitted first.
    ///
    /// Panics: if the settings or the log contradict themselves.
    #[must_use]
    pub fn new(config: RaftConfig, hard_state: HardState, log: RaftLog, now: Time) -> Self {
        config.check();
        let id = config.id;
        let mut state = State::new(config, hard_state, log, now);
        let is_alone = state.configuration().voters.iter().eq([&id]);
        if is_alone && state.is_empty() {
            state.admit("it is the only member");
        }
        if state.term() < state.log.last().term {
            // A snapshot of a later leader was durable before its term was. Nothing was promised
            // in that term, for a promise waits for its term.
            state.enter_term(state.log.last().term);
        }
        // Whoever joins has never acknowledged anything that counts.
        let joins = state.standing() == Standing::Unbound && !state.configuration().is_voter(id);
        if !state.counts() && !state.is_empty() && !joins {
            // This node may have lost entries that it had acknowledged, and the leader of the
            // term may still count on them. In the next term every leader starts from nothing.
            state.enter_term(state.term().next());
        }
        let role = Role::Follower(Follower::new(&mut state, now, None));
        let raft = Self {
            state,
            role,
            ticked_at: now,
            admission: Admission::default(),
            fetched: None,
            fetching: None,
            replaced_at: None,
            cut_before: None,
            reported_version: 0,
        };
        invariants::check(&raft);
        raft
    }

    /// Lets time pass. Idempotent for the same `now`; call it every few milliseconds.
    pub fn tick(&mut self, now: Time) {
        let stalled = 2 * self.state.config.heartbeat_interval_us < now.since(self.ticked_at);
        self.ticked_at = now;
        if stalled && !is_removed("stalls-are-forgiven") {
            // This process did not run. What others said meanwhile waits in its queues and is
            // to be heard before anybody is doubted.
            let until = now.after(self.state.config.heartbeat_interval_us);
            match &mut self.role {
                Role::Follower(role) => role.forgive(until),
                Role::PreCandidate(role) | Role::Candidate(role) => role.forgive(until),
                Role::Leader(role) => role.forgive(until),
            }
        }
        let forsaken = |role: &Follower| role.is_forsaken(&self.state, now);
        let is_forsaken = matches!(&self.role, Role::Follower(role) if forsaken(role));
        self.admission.tick(&mut self.state, now, is_forsaken);
        let next = match &mut self.role {
            Role::Follower(role) => role.tick(&self.state, now),
            Role::PreCandidate(role) | Role::Candidate(role) => role.tick(&self.state, now),
            Role::Leader(role) => role.tick(&mut self.state, now),
        };
        self.enter(now, next);
        invariants::check(self);
    }

    /// Takes a message. One that is not for this node, that its sender has no right to, or from
    /// a life of the sender that the cluster does not know any more, changes nothing.
    pub fn step(&mut self, now: Time, envelope: Envelope) {
        if !self.is_acceptable(&envelope) {
            return;
        }
        self.step_accepted(now, envelope);
        invariants::check(self);
    }

    fn step_accepted(&mut self, now: Time, envelope: Envelope) {
        let Some(envelope) = self.answer_without_role(now, envelope) else { return };
        let Some(envelope) = self.term_gate(now, envelope) else { return };
        self.leader_gate(now, &envelope);
        let (from, incarnation) = (envelope.from, envelope.incarnation);
        let state = &mut self.state;
        let next = match &mut self.role {
            Role::Follower(role) => {
                let next = role.step(state, now, from, envelope.message);
                role.maybe_end_quarantine(state);
                next
            }
            Role::PreCandidate(role) => match envelope.message {
                Message::PreVoteResponse { next_term, granted } => {
                    role.on_pre_vote_response(state, from, (next_term, granted))
                }
                Message::RequestVote { last, .. } => {
                    on_request_vote(state, now, (from, last), None);
                    Next::Stay
                }
                other => ignore(&other),
            },
            Role::Candidate(role) => match envelope.message {
                Message::RequestVoteResponse { granted } => {
                    role.on_request_vote_response(state, (from, incarnation), granted)
                }
                Message::RequestVote { last, .. } => {
                    on_request_vote(state, now, (from, last), None);
                    Next::Stay
                }
                other => ignore(&other),
            },
            Role::Leader(role) => {
                role.step(state, now, (from, incarnation), envelope.message);
                Next::Stay
            }
        };
        self.enter(now, next);
    }

    /// Messages that mean the same to every role.
    fn answer_without_role(&mut self, now: Time, envelope: Envelope) -> Option<Envelope> {
        let from = envelope.from;
        match envelope.message {
            Message::PreVote { next_term, last } => {
                let is_content = self.is_content(now, from);
                on_pre_vote(&mut self.state, now, from, (next_term, last), is_content);
                None
            }
            Message::AskEmpty => {
                let (asked_by, empty) = (envelope.incarnation, self.state.is_empty());
                self.state.send(from, Message::AnswerEmpty { asked_by, empty });
                None
            }
            Message::AnswerEmpty { asked_by, empty } => {
                if asked_by == self.state.config.incarnation {
                    self.admission.on_answer(&mut self.state, from, empty);
                }
                None
            }
            Message::NotAMember => {
                if !self.state.is_removed {
                    self.state.is_removed = true;
                    self.state.notices.push(Notice::Removed);
                }
                None
            }
            Message::Forward { .. }
            | Message::StateHash { .. }
            | Message::AgreedHash { .. }
            | Message::RequestSnapshot { .. } => None,
            message => Some(Envelope { message, ..envelope }),
        }
    }

    /// Raft §5.1, the only place that compares terms: a later term is entered, an earlier one
    /// is answered with ours if that helps its sender, and only what is of this very term
    /// reaches a role.
    fn term_gate(&mut self, now: Time, envelope: Envelope) -> Option<Envelope> {
        let (term, from) = (self.state.term(), envelope.from);
        if envelope.term == term || is_removed("terms-are-compared") {
            return Some(envelope);
        }
        if term < envelope.term {
            if let Message::RequestVote { transfer, .. } = envelope.message
                && (self.state.has_promised(now)
                    || (!transfer || is_removed("hand-over-is-no-disturbance"))
                        && self.is_content(now, from))
            {
                return None;
            }
            if let Message::PreVoteResponse { granted, .. } = envelope.message
                && (granted || is_removed("refused-pre-votes-teach-the-term"))
            {
                return Some(envelope);
            }
            let leader = envelope.message.is_from_leader().then_some(from);
            let (reason, because_of) = (later_term_reason(&envelope.message), Some(from));
            let term = envelope.term;
            self.enter(now, Next::Follow { term, leader, reason, because_of });
            return Some(envelope);
        }
        match envelope.message {
            // Granted by a node that has not seen our term, or refused in an earlier one: the
            // role looks at the term that was asked about.
            Message::PreVoteResponse { .. } if !is_removed("late-pre-votes-count") => {
                return Some(envelope);
            }
            Message::AppendEntries { prev, round, .. } => {
                let hint = self.state.log.last_possible_match(prev);
                let result = AppendResult::Rejected { prev_index: prev.index, hint };
                let answer = Message::AppendEntriesResponse { round, counts: false, result };
                self.state.send_after_sync(from, answer);
            }
            Message::Heartbeat { .. } | Message::InstallSnapshot { .. } => {
                let answer = Message::HeartbeatResponse { round: 0, counts: false };
                self.state.send_after_sync(from, answer);
            }
            Message::RequestVote { .. } => {
                let answer = Message::RequestVoteResponse { granted: false };
                self.state.send_after_sync(from, answer);
            }
            // Old answers, and what means the same in every term and was taken before.
            Message::PreVote { .. }
            | Message::PreVoteResponse { .. }
            | Message::RequestVoteResponse { .. }
            | Message::AppendEntriesResponse { .. }
            | Message::HeartbeatResponse { .. }
            | Message::ReadIndex { .. }
            | Message::ReadIndexResponse { .. }
            | Message::TimeoutNow
            | Message::AskEmpty
            | Message::AnswerEmpty { .. }
            | Message::InstallSnapshotResponse { .. }
            | Message::Transfer { .. }
            | Message::Space { .. }
            | Message::NotAMember
            | Message::StateHash { .. }
            | Message::AgreedHash { .. }
            | Message::RequestSnapshot { .. }
            | Message::AskPromise { .. }
            | Message::Promise { .. }
            | Message::Forward { .. } => {}
        }
        None
    }

    /// Raft §5.2: whoever sends entries or heartbeats in our term leads it.
    fn leader_gate(&mut self, now: Time, envelope: &Envelope) {
        if !envelope.message.is_from_leader() {
            return;
        }
        let is_known = match &self.role {
            Role::Follower(role) => role.leader == Some(envelope.from),
            Role::PreCandidate(_) | Role::Candidate(_) => false,
            Role::Leader(_) => true,
        };
        if !is_known {
            let (term, leader) = (self.state.term(), Some(envelope.from));
            let reason = "it heard from the leader of its term";
            self.enter(now, Next::Follow { term, leader, reason, because_of: leader });
        }
        if let Role::Follower(role) = &mut self.role {
            role.hear(&mut self.state, now, envelope.from);
        }
    }

    /// Whether this node has reason to keep its leader although `candidate` asks for votes
    /// (stickiness; a leader keeps itself). A leader that asks does not lead any more.
    fn is_content(&self, now: Time, candidate: NodeId) -> bool {
        match &self.role {
            Role::Follower(role) => {
                (role.leader != Some(candidate) || is_removed("own-leader-may-ask"))
                    && role.is_content(&self.state, now)
            }
            Role::PreCandidate(_) | Role::Candidate(_) => false,
            Role::Leader(_) => !is_removed("leaders-are-content"),
        }
    }

    /// The only writer of `role`: checks the predecessor and sets every deadline anew.
    pub(super) fn enter(&mut self, now: Time, next: Next) {
        let (role, reason, because_of) = match next {
            Next::Stay => return,
            Next::Follow { term, leader, reason, because_of } => {
                if self.state.term() < term || is_removed("votes-last-a-term") {
                    self.state.enter_term(term);
                }
                assert_eq!(self.state.term(), term, "nobody follows in an earlier term (I8)");
                let follower = Follower::new(&mut self.state, now, leader);
                (Role::Follower(follower), reason, because_of)
            }
            Next::PreCampaign { reason } => {
                assert!(self.state.counts(), "only a node that counts campaigns (I15)");
                assert!(!matches!(self.role, Role::Leader(_)), "a leader does not campaign");
                assert!(!self.state.has_promised(now), "nobody asks against its promise");
                self.state.detail(Detail::TimerRanOut);
                (Role::PreCandidate(Campaign::pre_vote(&mut self.state, now)), reason, None)
            }
            Next::Campaign { reason, because_of, transfer } => {
                assert!(self.state.counts(), "only a node that counts campaigns (I15)");
                assert!(!matches!(self.role, Role::Leader(_)), "a leader does not campaign");
                assert!(!self.state.has_promised(now), "nobody stands against its promise");
                let campaign = Campaign::vote(&mut self.state, now, transfer);
                (Role::Candidate(campaign), reason, because_of)
            }
            Next::Lead => {
                let Role::Candidate(campaign) = &self.role else {
                    unreachable!("only a candidate becomes leader")
                };
                assert!(self.state.is_electable(), "only who votes, or did, leads (I15)");
                let granted_by = campaign.granted_by().clone();
                self.state.lost_leader = None;
                let leader = Leader::new(&mut self.state, now, &granted_by);
                (Role::Leader(Box::new(leader)), "a majority voted for it", None)
            }
        };
        self.keep_contact(now);
        self.role = role;
        let (role, term, leader) = (self.role_name(), self.term(), self.leader());
        self.state.notices.push(Notice::Role { role, term, leader, reason, because_of });
        self.detail_entry(now);
        // A cluster of one has its majority as soon as it asks.
        if let Role::PreCandidate(campaign) = &self.role
            && campaign.result(&self.state) == VoteResult::Won
        {
            let reason = "it is the only voter";
            self.enter(now, Next::Campaign { reason, because_of: None, transfer: false });
        }
    }

    /// For whom a node with an empty directory waits.
    #[must_use]
    pub fn waiting_for(&self) -> Vec<NodeId> {
        self.admission.waiting_for(&self.state)
    }

    /// Takes a round of commands into the log and returns them as they stand there.
    ///
    /// Errors: gives the round back, with the reason, if this node does not lead or has too
    /// much in flight.
    pub fn propose(
        &mut self,
        now: Time,
        wall_time: u64,
        draft: Draft,
    ) -> Result<Entries, (ProposeError, Draft)> {
        let config = &self.state.config;
        let tail_max = config.tail_bytes_max + config.pending_bytes_max;
        let Role::Leader(role) = &mut self.role else {
            return Err((ProposeError::NotLeader { hint: self.leader() }, draft));
        };
        let is_handing_over = role.is_handing_over() && !is_removed("writes-wait-for-a-hand-over");
        if is_handing_over || self.state.is_fenced {
            return Err((ProposeError::HandingOver, draft));
        }
        if role.lacks_space(&self.state) {
            return Err((ProposeError::NoSpace, draft));
        }
        if tail_max <= self.state.log.tail_bytes() {
            return Err((ProposeError::TooMuchInFlight, draft));
        }
        let mut draft = draft;
        if draft.concerns_members() {
            if !role.can_decide(&self.state, now) {
                return Err((ProposeError::TooEarly, draft));
            }
            draft = match role.rule(&mut self.state, now, draft) {
                Ruling::Decided(decided) => decided,
                Ruling::AfterHandOver(draft) => return Err((ProposeError::HandingOver, draft)),
            };
        }
        let entries = role.append(&mut self.state, now, draft, wall_time);
        invariants::check(self);
        Ok(entries)
    }

    /// Whether this node leads and takes no proposals because it gives that away.
    #[must_use]
    pub fn is_handing_over(&self) -> bool {
        matches!(&self.role, Role::Leader(role) if role.is_handing_over())
    }

    /// Whether this node leads, and knows enough to decide on changes of the membership.
    #[must_use]
    pub fn can_decide(&self, now: Time) -> bool {
        matches!(&self.role, Role::Leader(role) if role.can_decide(&self.state, now))
    }

    /// Registers a read under `context`, which must never be used twice; its index comes in
    /// `Ready::reads`. Returns whether there is a leader to ask; if it is another node, the
    /// question or its answer may be lost, and the caller asks again under another context.
    pub fn read_index(&mut self, now: Time, context: u64) -> bool {
        match &mut self.role {
            Role::Leader(role)
                if role.is_handing_over() && !is_removed("reads-wait-for-a-hand-over") =>
            {
                return false;
            }
            Role::Leader(role) => role.read_index(&mut self.state, now, context, None),
            Role::Follower(Follower { leader: Some(leader), .. }) => {
                let leader = *leader;
                self.state.send(leader, Message::ReadIndex { context });
            }
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => return false,
        }
        true
    }

    /// Sends a message that says nothing about consensus to every other member.
    pub(crate) fn send_to_members(&mut self, message: &Message) {
        for peer in self.state.peers() {
            self.state.send(peer, message.clone());
        }
    }

    /// Tells the operator something.
    pub(crate) fn notice(&mut self, notice: Notice) {
        self.state.notices.push(notice);
    }

    /// Sends a message that says nothing about consensus.
    pub(crate) fn send(&mut self, to: NodeId, message: Message) {
        self.state.send(to, message);
    }

    /// Tells `peer`, at once, when the entry at `index` is committed.
    pub fn want_commit(&mut self, peer: NodeId, index: Index) {
        if let Role::Leader(role) = &mut self.role {
            role.want_commit(peer, index);
        }
    }

    /// Notes that every batch up to `number` is on disk.
    ///
    /// Panics: if such a batch was never handed out.
    pub fn persisted(&mut self, now: Time, number: u64) {
        let released = self.state.persistence.complete(number, &mut self.state.log);
        self.state.log.trim(self.state.config.tail_bytes_max);
        self.release(now, released);
        match &mut self.role {
            Role::Leader(role) => role.maybe_commit(&mut self.state),
            Role::Follower(role) => role.maybe_end_quarantine(&mut self.state),
            Role::PreCandidate(_) | Role::Candidate(_) => {}
        }
        invariants::check(self);
    }

    /// Sends what was held back; what this node says to itself is taken at once.
    fn release(&mut self, now: Time, released: Vec<Envelope>) {
        for envelope in released {
            if envelope.to == self.state.id() {
                self.step_accepted(now, envelope);
            } else {
                self.state.messages.push(envelope);
            }
        }
    }

    /// Takes the entries that `Ready::fetch` asked for.
    pub fn fetched(&mut self, now: Time, entries: Vec<Entries>) {
        let Some(epoch) = self.fetching.take() else { return };
        if epoch != self.state.log.epoch() {
            // They may have been replaced since they were asked for; the next turn asks again.
            return;
        }
        let first = entries.first().map(Entries::first_index);
        let log = &self.state.log;
        if first == Some(log.applied_index().next()) && log.applied_index() < log.commit_index() {
            let range = log.applied_index().next()..log.commit_index().next();
            let committed: Vec<Entries> =
                entries.iter().filter_map(|run| run.slice(range.clone(), usize::MAX)).collect();
            self.fetched = Some(committed);
        }
        if let Role::Leader(role) = &mut self.role {
            role.send_fetched(&mut self.state, now, &entries);
        }
        invariants::check(self);
    }

    /// Notes that an applied entry bound these nodes to these incarnations.
    pub fn bind(&mut self, bindings: &BTreeMap<NodeId, Incarnation>) {
        admission::bind(&mut self.state, bindings);
    }

    /// Notes that the control link from `peer` stands, as connection number `connection`, and
    /// which feature level the version there applies at most.
    pub fn peer_connected(&mut self, now: Time, peer: NodeId, connection: u64, level: u16) {
        self.state.note_level(peer, level);
        self.state.links.insert(peer, connection);
        if self.state.lost_leader == Some(peer) {
            self.state.lost_leader = None;
        }
        if let Role::Leader(role) = &mut self.role {
            role.reset_progress(now, peer);
        }
    }

    /// Notes that the control link from `peer` ended. A voter whose leader's link ended forgets
    /// that it has just heard of it, and asks for an election soon (design: fast fail-over); a
    /// leader builds no change on whoever's link ended.
    pub fn peer_lost(&mut self, now: Time, peer: NodeId, connection: u64) {
        if self.state.links.get(&peer) != Some(&connection) {
            return;
        }
        self.state.unlink(peer);
        if let Role::Leader(role) = &mut self.role {
            role.note_cut(peer);
        }
        if let Role::Follower(role) = &mut self.role
            && role.leader == Some(peer)
        {
            role.forget_leader(&mut self.state, now);
            let (role, term) = (RoleName::Follower, self.term());
            let reason = "the link to the leader ended";
            let because_of = Some(peer);
            self.state.notices.push(Notice::Role { role, term, leader: None, reason, because_of });
            self.detail_timer(now);
        }
    }

    /// Hands leadership, if this node has it, to `to` or to the voter that has most; another
    /// node asks the leader to. Returns whether there was anybody to ask; whether it worked is
    /// seen by who leads next (etcd: `MoveLeader`).
    pub fn hand_over(&mut self, now: Time, to: Option<NodeId>) -> bool {
        match &mut self.role {
            Role::Leader(role) => role.hand_over(&mut self.state, now, to),
            Role::Follower(Follower { leader: Some(leader), .. }) => {
                let leader = *leader;
                self.state.send(leader, Message::Transfer { to });
                true
            }
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => false,
        }
    }

    /// What is to be done now. Call it after every turn and do all of it.
    pub fn ready(&mut self, now: Time) -> Ready {
        if let Role::Leader(role) = &mut self.role {
            role.replicate(&mut self.state, now);
        }
        let persist = self.next_batch(now);
        let after_sync = std::mem::take(&mut self.state.after_sync);
        let released = self.state.persistence.hold(after_sync);
        self.release(now, released);
        let committed = self.next_committed();
        let ready = Ready {
            messages: std::mem::take(&mut self.state.messages),
            bulk: std::mem::take(&mut self.state.bulk),
            persist,
            fetch: self.next_fetch(),
            committed,
            reads: std::mem::take(&mut self.state.reads),
            snapshot_reads: std::mem::take(&mut self.state.snapshot_reads),
            snapshot_pieces: std::mem::take(&mut self.state.snapshot_pieces),
            cut_before: self.cut_before.take(),
            configuration: self.next_configuration(),
            notices: std::mem::take(&mut self.state.notices),
        };
        invariants::check(self);
        ready
    }

    /// Whether another turn would have something to do although nothing new has happened.
    #[must_use]
    pub fn has_more(&self) -> bool {
        let log = &self.state.log;
        self.fetched.is_some()
            || (log.applied_index() < log.commit_index()
                && log.tail_first() <= log.applied_index().next())
    }

    fn next_batch(&mut self, now: Time) -> Option<Persist> {
        let entries = self.state.log.take_unwritten();
        let hard_state = self.state.hard_state();
        let base = self.replaced_at.take();
        if entries.is_empty() && base.is_none() && !self.state.persistence.is_due(&hard_state) {
            return None;
        }
        let State { persistence, log, .. } = &mut self.state;
        Some(persistence.batch(now, (hard_state, base), entries, log))
    }

    fn next_configuration(&mut self) -> Option<Arc<Configuration>> {
        let membership = self.state.log.membership();
        if membership.version() == self.reported_version {
            return None;
        }
        let is_first = self.reported_version == 0;
        self.reported_version = membership.version();
        let configuration = membership.current().clone();
        if !is_first {
            let notice = Notice::Members { configuration: configuration.clone() };
            self.state.notices.push(notice);
        }
        Some(configuration)
    }

    fn next_committed(&mut self) -> Vec<Entries> {
        let committed = match self.fetched.take() {
            Some(fetched) => fetched,
            None => match self.state.log.next_to_apply(APPLY_BYTES_MAX) {
                Some(Slice::InMemory(entries)) => entries,
                Some(Slice::OnDisk) | None => Vec::new(),
            },
        };
        self.state.check_levels(&committed);
        if let Some(last) = committed.last().map(Entries::last_index) {
            let tail_bytes_max = self.state.config.tail_bytes_max;
            let commit_index = self.state.log.commit_index();
            let last = if is_removed("pages-leave-no-gap") { commit_index } else { last };
            self.state.log.applied_to(last, tail_bytes_max);
        }
        committed
    }

    fn next_fetch(&mut self) -> Option<Fetch> {
        if self.fetching.is_some() {
            return None;
        }
        let log = &self.state.log;
        let to_apply = match log.next_to_apply(1) {
            Some(Slice::OnDisk) => Some(log.applied_index().next()),
            Some(Slice::InMemory(_)) | None => None,
        };
        let to_send = match &self.role {
            Role::Leader(role) => role.wanted_from_disk(log.base().index),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => None,
        };
        let first = to_apply.or(to_send)?;
        let end = log.tail_first();
        if end <= first {
            return None;
        }
        self.fetching = Some(log.epoch());
        Some(Fetch { first, end, bytes_max: FETCH_BYTES_MAX })
    }
}

/// A message that does not concern the role: a late answer, or a question to a leader.
fn ignore(message: &Message) -> Next {
    debug_assert!(
        !matches!(message, Message::AppendEntries { .. } | Message::Heartbeat { .. }),
        "the leader gate has made a follower of whoever hears a leader"
    );
    Next::Stay
}

fn later_term_reason(message: &Message) -> &'static str {
    if message.is_from_leader() {
        return "it heard from the leader of a later term";
    }
    if matches!(message, Message::RequestVote { .. }) {
        return "a candidate of a later term asked for its vote";
    }
    "an answer came from a later term"
}
