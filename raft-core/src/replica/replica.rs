//! `Replica`: Raft, a state machine and everybody who waits for an answer, as a function from
//! events to effects. The actors around it, and the simulator, only carry things.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::consensus::message::{Envelope, Message};
use crate::consensus::ready::{ReadState, SnapshotPiece, SnapshotRead};
use crate::consensus::timeouts::TimeoutsRefused;
use crate::consensus::{ProposeError, Raft, RaftConfig, binding};
use crate::consensus::{log::RaftLog, rng::Rng};
use crate::entry::{ClientId, Draft, Entries, EntryKind, EntryRef, FEATURE_LEVEL_MIN};
use crate::hard_state::HardState;
use crate::replica::due::Due;
use crate::replica::early_rounds::EarlyRounds;
use crate::replica::event::{
    Answer, Answers, Applied, Effects, Event, LocalQuery, Outcome, Query, Refusal, Staleness,
    Submission, Ticket,
};
use crate::replica::fence::Fence;
use crate::replica::foresight::foresee;
use crate::replica::joining::Shares;
use crate::replica::node_session::NodeSessions;
use crate::replica::reads::QueuedReads;
use crate::replica::room::Room;
use crate::replica::session::Use;
use crate::replica::session_limits::SessionLimits;
use crate::replica::sessions::{Sessions, Verdict};
use crate::replica::snapshots::{Builder, Loaded, Loader, SnapshotFact, SnapshotOrder};
use crate::replica::state_machine::StateMachine;
use crate::replica::transfers::{self, Transfers};
use crate::replica::writes::Writes;
use crate::snapshot::SnapshotId;
use crate::teeth::is_removed;
use crate::types::{EntryId, Index, NodeId, Term, Time};

/// How often deadlines are looked at. Units: microseconds.
const EXPIRY_INTERVAL_US: u64 = 50_000;

/// After how many election timeouts without an answer a command is sent again.
const SEND_AGAIN_PATIENCE: u64 = 8;

/// One node's replica of a state machine.
#[derive(Debug)]
pub struct Replica<S> {
    pub(super) raft: Raft,
    pub(super) machine: S,
    pub(super) sessions: Sessions,
    pub(super) node_sessions: NodeSessions,
    pub(super) due: Option<Due>,
    pub(super) writes: Writes,
    early_rounds: EarlyRounds,
    reads: QueuedReads,
    local_reads: Vec<LocalQuery>,
    transfers: Transfers,
    pub(super) builder: Builder,
    /// The snapshot that is to take this state's place.
    pub(super) loading: Option<(SnapshotId, Loader<S>)>,
    pub(super) orders: Vec<SnapshotOrder>,
    /// The log time of the last entry that was applied. Units: microseconds.
    pub(super) applied_log_time: u64,
    pub(super) applied_level: u16,
    /// Whether a command was applied since this replica was made.
    pub(super) has_commands: bool,
    pub(super) fence: Fence,
    pub(super) room: Room,
    /// How far the state was last said to be.
    reported_index: Index,
    /// Makes contexts and client ids that no earlier life of this node has used.
    pub(super) rng: Rng,
    /// The term and leader that the waiting commands were last sent under; no leader while it
    /// is handing over.
    led_by: (Term, Option<NodeId>),
    expired_at: Time,
    wall_time: u64,
    pub(super) answers: AnswerBuffer,
}

/// Answers of this turn, their bytes in one buffer.
#[derive(Debug, Default)]
pub(super) struct AnswerBuffer {
    bytes: BytesMut,
    list: Vec<Answer>,
}

impl AnswerBuffer {
    pub(super) fn refuse(&mut self, ticket: Ticket, refusal: Refusal) {
        self.list.push(Answer { ticket, outcome: Outcome::Refused(refusal) });
    }

    /// Adds parts of a joint answer as an answer of their own; returns where it lies.
    fn split(
        &mut self,
        machine: &impl StateMachine,
        all: &Range<usize>,
        parts: Range<u32>,
    ) -> Range<usize> {
        let mut own = BytesMut::new();
        machine.split(&self.bytes[all.clone()], parts, &mut own);
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(&own);
        begin..self.bytes.len()
    }

    fn take(&mut self, term: Term) -> Answers {
        let bytes = self.bytes.split().freeze();
        Answers { bytes, list: std::mem::take(&mut self.list), term }
    }
}

impl<S: StateMachine> Replica<S> {
    /// A replica as recovery found it: `machine` is empty, and the log is replayed into it
    /// as far as it is known to be committed.
    ///
    /// Panics: if the settings or the log contradict themselves.
    #[must_use]
    pub fn new(
        config: RaftConfig,
        hard_state: HardState,
        log: RaftLog,
        machine: S,
        now: Time,
    ) -> Self {
        let rng = Rng::new(config.seed ^ 0x5eed_5eed_5eed_5eed);
        Self {
            raft: Raft::new(config, hard_state, log, now),
            machine,
            sessions: Sessions::default(),
            node_sessions: NodeSessions::default(),
            due: None,
            writes: Writes::default(),
            early_rounds: EarlyRounds::default(),
            reads: QueuedReads::default(),
            local_reads: Vec::new(),
            transfers: Transfers::default(),
            builder: Builder::default(),
            loading: None,
            orders: Vec::new(),
            applied_log_time: 0,
            applied_level: FEATURE_LEVEL_MIN,
            has_commands: false,
            fence: Fence::default(),
            room: Room::default(),
            reported_index: Index::ZERO,
            rng,
            led_by: (Term::ZERO, None),
            expired_at: now,
            wall_time: 0,
            answers: AnswerBuffer::default(),
        }
    }

    /// A replica whose state was loaded from snapshot `id`, which the log goes on behind.
    ///
    /// Panics: as `new`, and if the log does not begin there.
    #[must_use]
    pub fn resume(
        config: RaftConfig,
        hard_state: HardState,
        log: RaftLog,
        (id, loaded): (SnapshotId, Loaded<S>),
        now: Time,
    ) -> Self {
        assert_eq!(log.applied_index(), id.last.index, "the log goes on where the snapshot ends");
        let Loaded { machine, sessions, state } = loaded;
        let mut replica = Self::new(config, hard_state, log, machine, now);
        replica.raft.resume(id, &state);
        replica.sessions = sessions;
        replica.applied_log_time = state.log_time;
        replica.applied_level = state.feature_level;
        replica
    }

    /// The same replica with other limits on sessions than the default. All nodes of a cluster
    /// must have the same, from the first entry on.
    #[must_use]
    pub fn with_session_limits(mut self, limits: SessionLimits) -> Self {
        self.sessions = self.sessions.with_limits(limits);
        self
    }

    /// The same replica that takes no commands that add to the machine's live bytes, while there
    /// are as many as this.
    #[must_use]
    pub fn with_live_bytes_max(self, live_bytes_max: u64) -> Self {
        Self { room: Room::within(live_bytes_max), ..self }
    }

    /// Takes an event. What follows from it comes out of the next `turn`.
    pub fn handle(&mut self, now: Time, event: Event) {
        match event {
            Event::Tick => {
                self.raft.tick(now);
                self.expire(now);
                self.note_log_time(now);
                self.propose_due(now);
            }
            Event::Received(envelopes) => {
                for envelope in envelopes {
                    self.on_received(now, envelope);
                }
            }
            Event::Submit(submission) => self.on_submit(now, submission),
            Event::Read(queries) => {
                let queries = self.refuse_if_fenced(queries);
                queries.into_iter().for_each(|query| self.reads.add(now, query));
            }
            Event::ReadLocally(queries) => self.local_reads.extend(queries),
            Event::Persisted { number } => self.raft.persisted(now, number),
            Event::Fetched { entries } => self.raft.fetched(now, entries),
            Event::PeerConnected { peer, connection, feature_level } => {
                self.raft.peer_connected(now, peer, connection, feature_level);
            }
            Event::PeerLost { peer, connection } => self.raft.peer_lost(now, peer, connection),
            // A follower that stops asks nobody to give up anything.
            Event::HandOver if self.raft.leader() == Some(self.raft.config().id) => {
                self.raft.hand_over(now, None);
            }
            Event::HandOver => {}
            Event::Campaign => {
                self.raft.campaign(now);
            }
            Event::StepDown => {
                self.raft.step_down(now);
            }
            Event::Transfer { ticket, to, timeout_us } => {
                self.on_transfer(now, ticket, (to, timeout_us));
            }
            Event::DiskFull { is_full } => self.raft.disk_is_full(is_full),
            Event::Snapshot(fact) => self.on_snapshot_fact(now, fact),
            Event::SnapshotWanted { covers } => {
                self.builder.want(covers.min(self.raft.log().applied_index()));
            }
        }
    }

    /// What is to be done after the events so far. Call it when nothing more is waiting, and
    /// once more, soon, whenever `Effects::more` is set.
    pub fn turn(&mut self, now: Time) -> Effects {
        self.follow_leader(now);
        self.propose_early(now);
        self.ask_reads(now);
        let ready = self.raft.ready(now);
        for entries in &ready.committed {
            self.apply(entries);
        }
        let log = self.raft.log();
        if ready.committed.is_empty() && log.applied_index() == log.last().index {
            // While entries are under way, whoever waits for them would wait for this, too.
            self.machine.idle();
        }
        self.order_snapshots(now, ready.snapshot_reads, ready.snapshot_pieces);
        for ReadState { context, index } in ready.reads {
            self.reads.confirm(context, index);
        }
        self.answer_reads(now);
        self.answer_local_reads(now);
        self.end_transfers(now);
        let mut notices = ready.notices;
        notices.extend(self.note_room());
        // Whoever stopped leading by what was just applied or released is noticed next turn.
        let applied_index = self.raft.log().applied_index();
        // A state that was rebuilt goes back, which nobody outside needs to know.
        let has_moved = self.reported_index < applied_index;
        self.reported_index = self.reported_index.max(applied_index);
        let applied =
            has_moved.then(|| Applied { index: applied_index, revision: self.machine.revision() });
        Effects {
            envelopes: ready.messages,
            bulk: ready.bulk,
            persist: ready.persist,
            fetch: ready.fetch,
            answers: self.answers.take(self.raft.term()),
            applied,
            snapshots: std::mem::take(&mut self.orders),
            cut_before: ready.cut_before,
            configuration: ready.configuration,
            notices,
            more: self.raft.has_more(),
        }
    }

    /// Commands and queries wait for whoever leads: when that changes, they go there.
    fn follow_leader(&mut self, now: Time) {
        let is_handing_over = self.raft.is_handing_over();
        let led_by = (self.raft.term(), self.raft.leader().filter(|_| !is_handing_over));
        if led_by == self.led_by {
            return;
        }
        self.led_by = led_by;
        if is_handing_over {
            // They go to the next leader, or into the log here if there is none.
            return;
        }
        self.reads.leader_changed();
        if !is_removed("commands-follow-the-leader") {
            self.send_again(now, now);
        }
    }

    /// Sends every command that somebody waits for and that left before `before`, or never,
    /// to whoever leads now; sessions make it harmless that a log may have it already.
    fn send_again(&mut self, now: Time, before: Time) {
        let Some(leader) = self.raft.leader() else { return };
        for draft in self.writes.due(now, before) {
            if leader == self.raft.config().id {
                // Refused while leadership is given away or too much is in flight; then it is
                // due once more after a while.
                let _ = self.propose(now, None, draft);
            } else {
                let (commands, _) = draft.into_commands();
                self.raft.send(leader, Message::Forward { commands });
            }
        }
    }

    /// Proposes a round. A change of the membership that was decided before, or that the session
    /// rules will refuse, is not decided: leaders decide when they take it in, before the
    /// session rules see it.
    ///
    /// Errors: as `Raft::propose`; a round that comes too early waits here as well.
    pub(super) fn propose(
        &mut self,
        now: Time,
        from: Option<NodeId>,
        draft: Draft,
    ) -> Result<Entries, (ProposeError, Draft)> {
        let draft = if draft.concerns_members() { self.without_void(now, draft) } else { draft };
        let proposed = self.raft.propose(now, self.wall_time, draft);
        match (&proposed, from) {
            (Err((ProposeError::TooEarly, draft)), _) => self.early_rounds.add(from, draft.clone()),
            (Ok(entries), Some(from)) => self.raft.want_commit(from, entries.last_index()),
            (Ok(_) | Err(_), _) => {}
        }
        proposed
    }

    /// Proposes what came before this leader could decide on it. What another node leads now is
    /// dropped: whoever waits for it sends it there.
    fn propose_early(&mut self, now: Time) {
        let leads = self.raft.leader() == Some(self.raft.config().id);
        if self.early_rounds.is_empty() || (leads && !self.raft.can_decide(now)) {
            return;
        }
        for (from, draft) in self.early_rounds.take() {
            let _ = self.propose(now, from, draft);
        }
    }

    /// The round with changes that will not be executed replaced by ones that change nothing;
    /// their sessions have the answer.
    fn without_void(&self, now: Time, draft: Draft) -> Draft {
        let log_time = self.raft.leader_log_time(now).unwrap_or(0).max(self.applied_log_time);
        let mut rest = Draft::default();
        for entry in draft.iter() {
            let session = entry.session();
            let is_change = entry.kind() == EntryKind::Change && session.is_session();
            if is_change && !self.sessions.lets_through(&session, log_time) {
                rest.push(EntryKind::Change, &session, b"");
            } else {
                rest.push(entry.kind(), &session, entry.payload());
            }
        }
        rest
    }

    fn ask_reads(&mut self, now: Time) {
        let patience_us = self.raft.config().election_timeout_us;
        let before = Time(now.0.saturating_sub(patience_us));
        let (raft, rng) = (&mut self.raft, &mut self.rng);
        self.reads.ask(now, before, || {
            let context = rng.next_u64();
            raft.read_index(now, context).then_some(context)
        });
    }

    fn on_received(&mut self, now: Time, envelope: Envelope) {
        if self.on_comparison(&envelope) {
            return;
        }
        let Message::Forward { commands } = &envelope.message else {
            self.raft.step(now, envelope);
            return;
        };
        // A node that does not lead drops it: one hop is enough, and the sender will learn
        // who leads and send it there.
        if !self.raft.is_acceptable(&envelope) || self.raft.leader() != Some(envelope.to) {
            return;
        }
        let Ok(draft) = Draft::decode(commands) else { return };
        let draft = self.without_growth(draft);
        if !draft.is_empty() {
            // Who forwarded it sends it again if it was not taken.
            let _ = self.propose(now, Some(envelope.from), draft);
        }
    }

    fn on_transfer(&mut self, now: Time, ticket: Ticket, (to, timeout_us): (Option<NodeId>, u64)) {
        let leader = self.raft.leader();
        let is_votable = to.is_none_or(|to| self.raft.configuration().voters.contains(&to));
        let leads_already = to.is_some() && to == leader;
        if leads_already || (is_votable && self.raft.hand_over(now, to)) {
            let election_timeout_us = self.raft.config().election_timeout_us;
            let deadline = transfers::deadline(now, timeout_us, election_timeout_us);
            self.transfers.add(deadline, ticket, (to, leader));
        } else {
            self.answers.refuse(ticket, Refusal::NotHandedOver);
        }
    }

    fn end_transfers(&mut self, now: Time) {
        let (leader, answers) = (self.raft.leader(), &mut self.answers);
        self.transfers.end(now, leader, |ticket, outcome| {
            let end = answers.bytes.len();
            let outcome = match outcome {
                Ok(()) => Outcome::Answered(end..end),
                Err(refusal) => Outcome::Refused(refusal),
            };
            answers.list.push(Answer { ticket, outcome });
        });
    }

    fn on_submit(&mut self, now: Time, submission: Submission) {
        let Submission { draft, tickets, timeout_us, wall_time } = submission;
        assert_eq!(draft.len(), tickets.len(), "somebody waits for each command");
        self.wall_time = wall_time;
        let deadline = now.after(timeout_us);
        let (mut draft, shares) = self.join(draft, tickets);
        draft.assign_sessions(|| self.node_stamp());
        if self.raft.lacks_space() {
            self.refuse_all(&draft, shares, Refusal::NoSpace);
            return;
        }
        let (draft, shares) = self.refuse_growth(draft, shares);
        if draft.is_empty() {
            return;
        }
        // The log has the decision on a change; whoever has to ask again asks the question.
        let asked = draft.concerns_members().then(|| draft.clone().into_commands().1);
        match (self.propose(now, None, draft), asked) {
            (Ok(_) | Err((ProposeError::TooEarly, _)), Some(asked)) => {
                self.wait_for(asked, shares, deadline, Some(now));
            }
            (Ok(entries), None) => self.wait_for(entries.commands(), shares, deadline, Some(now)),
            (Err((error, draft)), _)
                if error == ProposeError::TooMuchInFlight || self.writes.is_full() =>
            {
                self.refuse_all(&draft, shares, Refusal::Overloaded);
            }
            (Err((_, draft)), asked) => {
                let commands = asked.unwrap_or_else(|| draft.into_commands().1);
                self.wait_for(commands, shares, deadline, None);
                self.send_again(now, Time(0));
            }
        }
    }

    fn wait_for(
        &mut self,
        commands: impl IntoIterator<Item = Bytes>,
        shares: Vec<Shares>,
        deadline: Time,
        sent_at: Option<Time>,
    ) {
        for (command, shares) in commands.into_iter().zip(shares) {
            self.writes.add(command, shares, deadline, sent_at);
        }
    }

    fn refuse_all(&mut self, draft: &Draft, shares: Vec<Shares>, refusal: Refusal) {
        for (command, shares) in draft.iter().zip(shares) {
            self.node_sessions.close(&command.session());
            shares.each(|ticket, _| self.answers.refuse(ticket, refusal));
        }
    }

    fn apply(&mut self, entries: &Entries) {
        self.builder.applied(entries.bytes().len());
        let mut foreseen = 0;
        for (number, entry) in entries.iter().enumerate() {
            if number == foreseen {
                foreseen += foresee(&self.machine, entries, number);
            }
            let index = entry.id().index;
            self.applied_log_time = self.applied_log_time.max(entry.log_time());
            self.applied_level = self.applied_level.max(entry.feature_level());
            match entry.kind() {
                EntryKind::Noop => {}
                EntryKind::Bind => self.raft.bind(&binding::decode(entry.payload())),
                EntryKind::Command => {
                    self.has_commands = true;
                    self.apply_command(entry);
                }
                EntryKind::Configure => self.apply_command(entry),
                EntryKind::Change => unreachable!("a change is decided before it is in a log"),
            }
            self.compare_at(index);
        }
    }

    /// Executes a command unless its session says that it was executed before, and answers
    /// whoever waits for it here.
    fn apply_command(&mut self, entry: EntryRef<'_>) {
        let session = entry.session();
        let answers = &mut self.answers;
        let start = answers.bytes.len();
        let mut refusal = None;
        if session.is_session() {
            let now = Use { index: entry.id().index, log_time: self.applied_log_time };
            match self.sessions.admit(&session, now) {
                Verdict::Execute => {
                    execute(&mut self.machine, entry, &mut answers.bytes);
                    self.sessions.store(&session, &answers.bytes[start..]);
                }
                Verdict::Repeat(answer) => answers.bytes.extend_from_slice(answer),
                Verdict::Refuse(reason) => refusal = Some(reason),
            }
        } else {
            execute(&mut self.machine, entry, &mut answers.bytes);
        }
        let range = start..answers.bytes.len();
        let outcome = refusal.map_or(Outcome::Answered(range), Outcome::Session);
        let mut is_awaited = false;
        if self.fence.is_fenced() {
            // Whoever waits is answered when a right state has come here once more.
            answers.bytes.truncate(start);
            return;
        }
        if let Some(refusal) = refusal.filter(|_| self.node_sessions.has(session.client)) {
            self.node_session_refused(&session, refusal);
            return;
        }
        let machine = &self.machine;
        self.writes.take(&session, |shares| {
            is_awaited = true;
            shares.each(|ticket, parts| {
                let outcome = match (parts, &outcome) {
                    (Some(parts), Outcome::Answered(all)) => {
                        Outcome::Answered(answers.split(machine, all, parts))
                    }
                    (Some(_) | None, outcome) => outcome.clone(),
                };
                answers.list.push(Answer { ticket, outcome });
            });
        });
        if is_awaited {
            self.node_sessions.close(&session);
        } else {
            answers.bytes.truncate(start);
        }
    }

    /// Begins a snapshot when one is due, goes on with the one that is being built, and hands
    /// on what consensus wants of snapshot files.
    fn order_snapshots(&mut self, now: Time, reads: Vec<SnapshotRead>, pieces: Vec<SnapshotPiece>) {
        for SnapshotRead { id, offset, bytes_max } in reads {
            self.orders.push(SnapshotOrder::Read { id, offset, bytes_max });
        }
        for SnapshotPiece { id, offset, data } in pieces {
            self.orders.push(SnapshotOrder::Receive { id, offset, data });
        }
        let least_bytes = self.raft.config().snapshot_log_bytes;
        let is_due = self.builder.is_due(now, least_bytes, self.raft.snapshot())
            || (self.raft.lacks_snapshot() && self.builder.may_begin(now))
            || (self.builder.is_wanted(now, self.raft.snapshot())
                && !self.raft.sends_older_snapshot());
        if self.loading.is_none() && is_due && !self.fence.is_fenced() {
            self.begin_snapshot();
        }
        let pace = (now, self.raft.config().snapshot_part_interval_us);
        let next = self.builder.next_order(pace, &mut self.sessions, &mut self.machine);
        self.orders.extend(next);
    }

    /// Begins a snapshot of the present state, unless one is being built or nothing is new.
    pub fn begin_snapshot(&mut self) {
        if self.fence.is_fenced() {
            return;
        }
        let log = self.raft.log();
        let index = log.applied_index();
        let newest = self.raft.snapshot().map_or(Index::ZERO, |id| id.last.index);
        if self.builder.building.is_some() || self.loading.is_some() || index <= newest {
            return;
        }
        let term = log.term_at(index).expect("what is applied is in the log");
        self.sessions.pin();
        self.machine.pin();
        let state = self.raft.snapshot_state(self.applied_log_time, self.applied_level);
        self.orders.push(self.builder.begin(EntryId { term, index }, &state));
    }

    fn on_snapshot_fact(&mut self, now: Time, fact: SnapshotFact) {
        match fact {
            SnapshotFact::Written => self.builder.written(),
            SnapshotFact::Finished { id } => {
                let is_current = self.builder.building.as_ref().is_some_and(|b| b.last == id.last);
                if is_current {
                    self.builder.end(&mut self.sessions, &mut self.machine);
                }
                if id.last.index <= self.raft.log().applied_index() {
                    self.raft.snapshot_made(id);
                }
            }
            SnapshotFact::Failed { .. } => {
                self.builder.end(&mut self.sessions, &mut self.machine);
                self.builder.failed(now);
            }
            SnapshotFact::Piece { id, offset, data } => {
                self.raft.snapshot_read(now, (id, offset), data.as_ref());
            }
            SnapshotFact::Received { id, next_offset, is_whole } => {
                self.raft.snapshot_received(id, next_offset, is_whole);
                if is_whole {
                    self.begin_loading(id);
                }
            }
            SnapshotFact::Part { part: Some(part) } => self.load_part(&part),
            SnapshotFact::Part { part: None } => self.finish_loading(now),
            SnapshotFact::Unreadable { .. } => self.fail_loading(),
        }
    }

    fn begin_loading(&mut self, id: SnapshotId) {
        if self.loading.is_some() {
            // A piece came twice. The parts on their way belong to what is being loaded.
            return;
        }
        if !self.raft.takes(id.last) {
            self.raft.install_failed();
            return;
        }
        // What is being built would be older than what comes.
        if self.builder.building.is_some() {
            self.builder.end(&mut self.sessions, &mut self.machine);
            self.orders.push(SnapshotOrder::Abandon);
        }
        self.loading = Some((id, Loader::new(self.machine.empty())));
        self.orders.push(SnapshotOrder::Load { id });
    }

    fn load_part(&mut self, part: &[u8]) {
        let Some((id, loader)) = &mut self.loading else { return };
        if loader.load(part).is_ok() {
            self.raft.check_snapshot_level(*id, loader.feature_level());
            self.orders.push(SnapshotOrder::LoadNext);
        } else {
            self.fail_loading();
        }
    }

    fn finish_loading(&mut self, now: Time) {
        let Some((id, loader)) = self.loading.take() else { return };
        let is_needed = self.raft.takes(id.last) || is_removed("overtaken-snapshots-are-dropped");
        match loader.finish() {
            Ok(loaded) if is_needed => {
                let Loaded { machine, sessions, state } = loaded;
                self.machine = machine;
                self.sessions = sessions.with_limits(*self.sessions.limits());
                self.applied_log_time = state.log_time;
                self.applied_level = state.feature_level;
                if self.raft.lacks(id.last) {
                    self.raft.install(now, id, state);
                } else {
                    self.raft.reinstall(id);
                }
                self.fence.replaced();
                self.raft.fence(false);
                self.builder.installed();
                // Whoever waits for a command that the snapshot covers has its answer there.
                self.send_again(now, now);
            }
            Ok(_) => self.raft.install_failed(),
            Err(_) => {
                self.orders.push(SnapshotOrder::Discard { id });
                self.raft.install_failed();
            }
        }
    }

    fn fail_loading(&mut self) {
        if let Some((id, _)) = self.loading.take() {
            self.orders.push(SnapshotOrder::Discard { id });
        }
        self.raft.install_failed();
    }

    fn answer_reads(&mut self, now: Time) {
        if self.fence.is_fenced() {
            return;
        }
        let log_time = self.raft.known_log_time(now);
        let applied_index = self.raft.log().applied_index();
        let (machine, answers) = (&self.machine, &mut self.answers);
        self.reads.answer(applied_index, |query: &Query| {
            let start = answers.bytes.len();
            machine.query(&query.body, log_time, &mut answers.bytes);
            let outcome = Outcome::Answered(start..answers.bytes.len());
            answers.list.push(Answer { ticket: query.ticket, outcome });
        });
    }

    /// Answers from the state as it is; one that is known to be wrong answers nothing.
    fn answer_local_reads(&mut self, now: Time) {
        let staleness = Staleness {
            applied_index: self.raft.log().applied_index(),
            contact_age_us: self.raft.contact_age_us(now),
        };
        let log_time = self.raft.known_log_time(now);
        let answers = &mut self.answers;
        for LocalQuery { ticket, body } in self.local_reads.drain(..) {
            if self.fence.is_fenced() {
                answers.refuse(ticket, Refusal::Fenced);
                continue;
            }
            let start = answers.bytes.len();
            self.machine.query(&body, log_time, &mut answers.bytes);
            let range = start..answers.bytes.len();
            let outcome = Outcome::AnsweredLocally(range, Box::new(staleness));
            answers.list.push(Answer { ticket, outcome });
        }
    }

    fn expire(&mut self, now: Time) {
        if now.since(self.expired_at) < EXPIRY_INTERVAL_US {
            return;
        }
        self.expired_at = now;
        let (sessions, answers) = (&mut self.node_sessions, &mut self.answers);
        self.writes.expire(now, |session, ticket, refusal| {
            sessions.close(session);
            answers.refuse(ticket, refusal);
        });
        self.reads.expire(now, |ticket, refusal| answers.refuse(ticket, refusal));
        self.tend_fence(now);
        let patience_us = SEND_AGAIN_PATIENCE * self.raft.config().election_timeout_us;
        self.send_again(now, Time(now.0.saturating_sub(patience_us)));
    }

    /// A client id that nobody has had before.
    pub fn new_client(&mut self) -> ClientId {
        ClientId { issued_at: self.raft.log_time(), random: self.rng.next_u64() }
    }

    /// The state machine.
    #[must_use]
    pub fn machine(&self) -> &S {
        &self.machine
    }

    /// As `Raft::set_timeouts`.
    ///
    /// Errors: as that.
    pub fn set_timeouts(
        &mut self,
        election_timeout_us: u64,
        heartbeat_interval_us: u64,
    ) -> Result<(), TimeoutsRefused> {
        self.raft.set_timeouts(election_timeout_us, heartbeat_interval_us)
    }

    /// The consensus inside, to be looked at.
    #[must_use]
    pub fn raft(&self) -> &Raft {
        &self.raft
    }
}

/// What an entry does to the state machine, and what is answered. A decision on a change of
/// the membership has taken effect when it was appended, and is its own answer.
pub(super) fn execute<S: StateMachine>(
    machine: &mut S,
    entry: EntryRef<'_>,
    answer: &mut BytesMut,
) {
    if entry.kind() == EntryKind::Configure {
        answer.extend_from_slice(entry.payload());
    } else {
        machine.apply(entry, answer);
    }
}
