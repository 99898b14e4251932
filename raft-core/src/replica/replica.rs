//! `Replica`: Raft, a state machine and everybody who waits for an answer, as a function from
//! events to effects. The actors around it, and the simulator, only carry things.

use bytes::BytesMut;

use crate::consensus::message::{Envelope, Message};
use crate::consensus::ready::ReadState;
use crate::consensus::{ProposeError, Raft, RaftConfig, binding};
use crate::consensus::{log::RaftLog, rng::Rng};
use crate::entry::{ClientId, Draft, Entries, EntryKind, EntryRef, SessionStamp};
use crate::hard_state::HardState;
use crate::replica::event::{
    Answer, Answers, Applied, Effects, Event, Outcome, Query, Refusal, Status, Submission, Ticket,
};
use crate::replica::node_session::NodeSessions;
use crate::replica::reads::QueuedReads;
use crate::replica::sessions::{Sessions, Verdict};
use crate::replica::state_machine::StateMachine;
use crate::replica::transfers::Transfers;
use crate::replica::writes::Writes;
use crate::types::{NodeId, Term, Time};

/// How often deadlines are looked at. Units: microseconds.
const EXPIRY_INTERVAL_US: u64 = 50_000;

/// After how many election timeouts without an answer a command is sent again.
const SEND_AGAIN_PATIENCE: u64 = 8;

/// One node's replica of a state machine.
#[derive(Debug)]
pub struct Replica<S> {
    raft: Raft,
    machine: S,
    sessions: Sessions,
    node_sessions: NodeSessions,
    writes: Writes,
    reads: QueuedReads,
    transfers: Transfers,
    /// Makes contexts and client ids that no earlier life of this node has used.
    rng: Rng,
    /// The term and leader that the waiting commands were last sent under.
    led_by: (Term, Option<NodeId>),
    expired_at: Time,
    wall_time: u64,
    answers: AnswerBuffer,
}

/// Answers of this turn, their bytes in one buffer.
#[derive(Debug, Default)]
struct AnswerBuffer {
    bytes: BytesMut,
    list: Vec<Answer>,
}

impl AnswerBuffer {
    fn refuse(&mut self, ticket: Ticket, refusal: Refusal) {
        self.list.push(Answer { ticket, outcome: Outcome::Refused(refusal) });
    }

    fn take(&mut self) -> Answers {
        let bytes = self.bytes.split().freeze();
        Answers { bytes, list: std::mem::take(&mut self.list) }
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
            writes: Writes::default(),
            reads: QueuedReads::default(),
            transfers: Transfers::default(),
            rng,
            led_by: (Term::ZERO, None),
            expired_at: now,
            wall_time: 0,
            answers: AnswerBuffer::default(),
        }
    }

    /// Takes an event. What follows from it comes out of the next `turn`.
    pub fn handle(&mut self, now: Time, event: Event) {
        match event {
            Event::Tick => {
                self.raft.tick(now);
                self.expire(now);
            }
            Event::Received(envelopes) => {
                for envelope in envelopes {
                    self.on_received(now, envelope);
                }
            }
            Event::Submit(submission) => self.on_submit(now, submission),
            Event::Read(queries) => {
                queries.into_iter().for_each(|query| self.reads.add(now, query));
            }
            Event::Persisted { number } => self.raft.persisted(now, number),
            Event::Fetched { entries } => self.raft.fetched(now, entries),
            Event::PeerConnected { peer, connection } => {
                self.raft.peer_connected(now, peer, connection);
            }
            Event::PeerLost { peer, connection } => self.raft.peer_lost(now, peer, connection),
            Event::HandOver => {
                self.raft.hand_over(now, None);
            }
            Event::Transfer { ticket, to } => self.on_transfer(now, ticket, to),
        }
    }

    /// What is to be done after the events so far. Call it when nothing more is waiting, and
    /// once more, soon, whenever `Effects::more` is set.
    pub fn turn(&mut self, now: Time) -> Effects {
        self.follow_leader(now);
        self.ask_reads(now);
        let ready = self.raft.ready(now);
        let has_applied = !ready.committed.is_empty();
        for entries in &ready.committed {
            self.apply(entries);
        }
        for ReadState { context, index } in ready.reads {
            self.reads.confirm(context, index);
        }
        self.answer_reads();
        self.end_transfers(now);
        // Whoever stopped leading by what was just applied or released is noticed next turn.
        let applied = has_applied.then(|| Applied {
            index: self.raft.log().applied_index(),
            revision: self.machine.revision(),
        });
        Effects {
            envelopes: ready.messages,
            bulk: ready.bulk,
            persist: ready.persist,
            fetch: ready.fetch,
            answers: self.answers.take(),
            applied,
            configuration: ready.configuration,
            notices: ready.notices,
            more: self.raft.has_more(),
        }
    }

    /// Commands and queries wait for whoever leads: when that changes, they go there.
    fn follow_leader(&mut self, now: Time) {
        let led_by = (self.raft.term(), self.raft.leader());
        if led_by == self.led_by {
            return;
        }
        self.led_by = led_by;
        self.reads.leader_changed();
        self.send_again(now, now);
    }

    /// Sends every command that somebody waits for and that left before `before`, or never,
    /// to whoever leads now; sessions make it harmless that a log may have it already.
    fn send_again(&mut self, now: Time, before: Time) {
        let Some(leader) = self.raft.leader() else { return };
        for draft in self.writes.due(now, before) {
            if leader == self.raft.config().id {
                // Refused while leadership is given away or too much is in flight; then it is
                // due once more after a while.
                let _ = self.propose(now, draft);
            } else {
                let (commands, _) = draft.into_commands();
                self.raft.send(leader, Message::Forward { commands });
            }
        }
    }

    /// Proposes a round. A change of the membership that was decided before is not decided
    /// again: leaders decide when they take it in, before the session rules see it.
    fn propose(&mut self, now: Time, draft: Draft) -> Result<Entries, (ProposeError, Draft)> {
        let draft = if draft.concerns_members() { self.without_repeats(draft) } else { draft };
        self.raft.propose(now, self.wall_time, draft)
    }

    /// The round with repeated changes replaced by ones that change nothing; their sessions
    /// have the answer.
    fn without_repeats(&self, draft: Draft) -> Draft {
        let mut rest = Draft::default();
        for entry in draft.iter() {
            let session = entry.session();
            if entry.kind() == EntryKind::Change && self.sessions.has_executed(&session) {
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
            raft.read_index(context).then_some(context)
        });
    }

    fn on_received(&mut self, now: Time, envelope: Envelope) {
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
        if let Ok(entries) = self.propose(now, draft) {
            self.raft.want_commit(envelope.from, entries.last_index());
        }
    }

    fn on_transfer(&mut self, now: Time, ticket: Ticket, to: Option<NodeId>) {
        let leader = self.raft.leader();
        let is_votable = to.is_none_or(|to| self.raft.configuration().voters.contains(&to));
        let leads_already = to.is_some() && to == leader;
        if leads_already || (is_votable && self.raft.hand_over(now, to)) {
            let patience = (now, self.raft.config().election_timeout_us);
            self.transfers.add(patience, ticket, (to, leader));
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
        let Submission { mut draft, tickets, timeout_us, wall_time } = submission;
        assert_eq!(draft.len(), tickets.len(), "somebody waits for each command");
        self.wall_time = wall_time;
        let deadline = now.after(timeout_us);
        let issued_at = self.raft.log_time();
        let (sessions, rng) = (&mut self.node_sessions, &mut self.rng);
        draft.assign_sessions(|| sessions.next(|| ClientId { issued_at, random: rng.next_u64() }));
        match self.propose(now, draft) {
            Ok(entries) => {
                for (command, ticket) in entries.commands().zip(tickets) {
                    self.writes.add(command, ticket, deadline, Some(now));
                }
            }
            Err((error, draft))
                if error == ProposeError::TooMuchInFlight || self.writes.is_full() =>
            {
                for (command, ticket) in draft.iter().zip(tickets) {
                    self.node_sessions.close(&command.session());
                    self.answers.refuse(ticket, Refusal::Overloaded);
                }
            }
            Err((_, draft)) => {
                let (_, commands) = draft.into_commands();
                for (command, ticket) in commands.into_iter().zip(tickets) {
                    self.writes.add(command, ticket, deadline, None);
                }
                self.send_again(now, Time(0));
            }
        }
    }

    fn apply(&mut self, entries: &Entries) {
        for entry in entries.iter() {
            match entry.kind() {
                EntryKind::Noop => {}
                EntryKind::Bind => self.raft.bind(&binding::decode(entry.payload())),
                EntryKind::Command | EntryKind::Configure => self.apply_command(entry),
                EntryKind::Change => unreachable!("a change is decided before it is in a log"),
            }
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
            match self.sessions.admit(&session, entry.id().index) {
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
        self.writes.take(&session, |ticket| {
            is_awaited = true;
            answers.list.push(Answer { ticket, outcome: outcome.clone() });
        });
        if is_awaited {
            self.close_session(&session, &outcome);
        } else {
            answers.bytes.truncate(start);
        }
    }

    fn close_session(&mut self, session: &SessionStamp, outcome: &Outcome) {
        self.node_sessions.close(session);
        if matches!(outcome, Outcome::Session(_)) {
            self.node_sessions.abandon(session.client);
        }
    }

    fn answer_reads(&mut self) {
        let applied_index = self.raft.log().applied_index();
        let (machine, answers) = (&self.machine, &mut self.answers);
        self.reads.answer(applied_index, |query: &Query| {
            let start = answers.bytes.len();
            machine.query(&query.body, &mut answers.bytes);
            let outcome = Outcome::Answered(start..answers.bytes.len());
            answers.list.push(Answer { ticket: query.ticket, outcome });
        });
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
        let patience_us = SEND_AGAIN_PATIENCE * self.raft.config().election_timeout_us;
        self.send_again(now, Time(now.0.saturating_sub(patience_us)));
    }

    /// What `status` shows.
    #[must_use]
    pub fn status(&self) -> Status {
        let log = self.raft.log();
        Status {
            node: self.raft.config().id,
            role: self.raft.role_name(),
            term: self.raft.term(),
            leader: self.raft.leader(),
            commit_index: log.commit_index(),
            applied_index: log.applied_index(),
            last_index: log.last().index,
            revision: self.machine.revision(),
            log_time: self.raft.log_time(),
            state_hash: self.machine.state_hash(),
            waiting_for: self.raft.waiting_for(),
            configuration: self.raft.configuration().clone(),
        }
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

    /// The consensus inside, to be looked at.
    #[must_use]
    pub fn raft(&self) -> &Raft {
        &self.raft
    }
}

/// What an entry does to the state machine, and what is answered. A decision on a change of
/// the membership has taken effect when it was appended, and is its own answer.
fn execute<S: StateMachine>(machine: &mut S, entry: EntryRef<'_>, answer: &mut BytesMut) {
    if entry.kind() == EntryKind::Configure {
        answer.extend_from_slice(entry.payload());
    } else {
        machine.apply(entry, answer);
    }
}
