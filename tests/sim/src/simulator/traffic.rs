//! Requests and answers between clients and nodes.

use raft_core::entry::{Draft, EntryKind, SessionStamp};
use raft_core::replica::event::{
    Answers, Event, Outcome, Query, SessionRefusal, Submission, Ticket,
};

use crate::simulator::client::Operation;
use crate::simulator::judge::Asked;
use crate::simulator::membership::OPERATOR;
use crate::simulator::plan::PATIENCE_US_MAX;
use crate::simulator::schedule::What;
use crate::simulator::world::World;

/// The way between a client and a node. Units: microseconds.
const CLIENT_LATENCY_US: (u64, u64) = (50, 800);

/// How soon a client that was refused tries again. Units: microseconds.
const REFUSED_AGAIN_US: (u64, u64) = (1_000, 60_000);

/// How soon a client asks again whose session has no room once the faults have ended: each time
/// is an entry in the log, and nodes that are to become equal need a pause. Units: microseconds.
const FULL_AGAIN_US: (u64, u64) = (50_000, 200_000);

/// How many requests have a copy that takes a long way, and how long. Units: microseconds.
const DAWDLE_PER_MILLE: u64 = 20;
const DAWDLE_US: (u64, u64) = (1_000, 900_000);

impl World {
    /// A client may begin something.
    pub(crate) fn client_step(&mut self, client: usize) {
        let is_closing = self.clients.all[client].is_closing;
        if self.clients.all[client].id.is_none() {
            self.hello(client);
        }
        let Self { clients, plan, judge, dice, .. } = self;
        let this = &mut clients.all[client];
        let may_begin = this.id.is_some() && this.in_flight < plan.clients.in_flight_max;
        if may_begin && (!is_closing || 0 < this.last_wishes) {
            this.last_wishes = this.last_wishes.saturating_sub(1);
            let operation = clients.begin(client, &plan.clients, judge.history.floor(), dice);
            self.counts.operations += 1;
            self.attempt(operation);
        }
        let may_go_on = !is_closing || 0 < self.clients.all[client].last_wishes;
        if may_go_on || self.clients.all[client].id.is_none() {
            let delay_us = self.dice.between(self.plan.clients.think_us);
            self.schedule.after(delay_us, What::ClientStep { client });
        }
    }

    /// Asks some node for an id.
    fn hello(&mut self, client: usize) {
        let node = self.dice.place(self.nodes.len());
        if let Some(process) = &mut self.nodes[node].process {
            self.clients.all[client].id = Some(process.replica.new_client());
        }
    }

    /// Sends an operation to some node.
    pub(crate) fn attempt(&mut self, operation: u64) {
        self.clients.acknowledge_anew(operation);
        // Who asks a dead node learns it at once and asks another.
        let known = self.known_to_clients();
        let node = self.dice.pick(&known);
        let attempt = self.clients.attempt(operation);
        let patience_us = self.patience_us(operation);
        self.schedule.after(patience_us, What::ClientTimeout { attempt });
        self.maybe_dawdle(operation, node);
        if self.is_lost_on_the_way() {
            return;
        }
        let delay_us = self.dice.between(CLIENT_LATENCY_US);
        self.schedule.after(delay_us, What::Request { node, attempt });
    }

    /// How long a client waits for an answer: longer each time, or those who ask again would be
    /// more than a cluster can serve.
    fn patience_us(&mut self, operation: u64) -> u64 {
        let prober = self.prober();
        let operation = self.clients.operations.get_mut(&operation).expect("it was begun");
        if operation.client == prober {
            return self.plan.limits.election_timeout_us;
        }
        let first_us = self.dice.between(self.plan.clients.patience_us);
        let patience_us = (first_us << operation.attempts.min(8)).min(PATIENCE_US_MAX);
        operation.attempts += 1;
        patience_us
    }

    /// Now and then a copy of a request arrives long after the client has its answer.
    fn maybe_dawdle(&mut self, operation: u64, node: usize) {
        let is_once = matches!(self.clients.operations[&operation].asked, Asked::Once { .. });
        if is_once || self.is_healed() || !self.dice.chance(DAWDLE_PER_MILLE) {
            return;
        }
        let attempt = self.clients.attempt(operation);
        let delay_us = self.dice.between(DAWDLE_US);
        self.schedule.after(delay_us, What::Request { node, attempt });
    }

    fn is_lost_on_the_way(&mut self) -> bool {
        let is_lost = !self.is_healed() && self.dice.chance(self.plan.clients.loss_per_mille);
        self.counts.client_losses += u64::from(is_lost);
        is_lost
    }

    /// A client has waited long enough for an attempt, or was refused: it asks again.
    pub(crate) fn client_timeout(&mut self, attempt: u64) {
        let made = self.clients.attempts.get_mut(&attempt).expect("it was made");
        let operation = made.operation;
        let Operation { is_over, asked, .. } = &self.clients.operations[&operation];
        if *is_over || std::mem::replace(&mut made.is_spent, true) {
            return;
        }
        if matches!(asked, Asked::Once { .. }) {
            // Without a session nothing may be repeated.
            self.clients.end(operation);
            return;
        }
        self.counts.retries += 1;
        self.attempt(operation);
    }

    /// How long a node tries on behalf of who asks.
    fn timeout_us(&mut self, attempt: u64) -> u64 {
        let made = &self.clients.attempts[&attempt];
        if self.clients.operations[&made.operation].client == self.prober() {
            return self.plan.limits.election_timeout_us;
        }
        self.dice.between(self.plan.clients.timeout_us)
    }

    /// A request arrives at a node.
    pub(crate) fn request(&mut self, node: usize, attempt: u64) {
        let floor = self.judge.history.floor();
        let wall_time = self.nodes[node].wall_time(self.schedule.now());
        let timeout_us = self.timeout_us(attempt);
        let Some(process) = &mut self.nodes[node].process else { return };
        let made = self.clients.attempts.get_mut(&attempt).expect("it was made");
        let operation = &self.clients.operations[&made.operation];
        let ticket = Ticket { connection: operation.client as u64, request: attempt };
        made.floor = operation.floor;
        let body = operation.body.clone();
        let submit = |session: &SessionStamp| {
            let mut draft = Draft::default();
            draft.push(EntryKind::Command, session, &body);
            Event::Submit(Submission { draft, tickets: vec![ticket], timeout_us, wall_time })
        };
        let (registers, event_number) = (&mut self.judge.registers, self.counts.events);
        match &operation.asked {
            Asked::Write { session, .. } => {
                let write = (&body, Some(session));
                registers.write_called(made.operation, write, event_number);
            }
            Asked::Once { .. } => {
                registers.write_called(made.operation, (&body, None), event_number);
            }
            Asked::Read { .. } => registers.read_called(attempt, event_number),
        }
        let event = match &operation.asked {
            Asked::Write { session, .. } => submit(session),
            Asked::Once { .. } => submit(&SessionStamp::default()),
            Asked::Read { .. } => {
                // Whatever was answered before a read arrives is seen by it.
                made.floor = floor;
                Event::Read(vec![Query { ticket, body, timeout_us }])
            }
        };
        assert!(process.unanswered.insert(ticket), "an attempt is made once");
        self.tell(node, event);
    }

    /// A node gives answers.
    pub(crate) fn hand_out(&mut self, node: usize, answers: &Answers) {
        for answer in &answers.list {
            let process = self.nodes[node].process.as_mut().expect("it has just taken a turn");
            assert!(process.unanswered.remove(&answer.ticket), "I21 one answer each: {answer:?}");
            if answer.ticket.connection == OPERATOR {
                let bytes = match &answer.outcome {
                    Outcome::Answered(range) => &answers.bytes[range.clone()],
                    Outcome::AnsweredLocally(..) | Outcome::Session(_) | Outcome::Refused(_) => &[],
                };
                self.operator_answered(answer.ticket.request, &answer.outcome, bytes);
                continue;
            }
            let attempt = answer.ticket.request;
            let made = &self.clients.attempts[&attempt];
            let asked = &self.clients.operations[&made.operation].asked;
            let bytes = match &answer.outcome {
                Outcome::Answered(range) => &answers.bytes[range.clone()],
                Outcome::AnsweredLocally(..) | Outcome::Session(_) | Outcome::Refused(_) => &[],
            };
            let is_over = self.judge.history.answered(
                &mut self.judge.executions,
                (asked, made.floor),
                (&answer.outcome, bytes),
                &mut self.counts,
            );
            if is_over && matches!(answer.outcome, Outcome::Session(_)) {
                self.forget_session(attempt);
                continue;
            }
            if is_over {
                if matches!(asked, Asked::Read { .. }) {
                    self.judge.shown(bytes);
                }
                self.note_answer(attempt, bytes);
            }
            if self.is_lost_on_the_way() {
                continue;
            }
            if is_over {
                let delay_us = self.dice.between(CLIENT_LATENCY_US);
                self.schedule.after(delay_us, What::Answer { attempt });
            } else {
                let is_full = answer.outcome == Outcome::Session(SessionRefusal::WindowExceeded);
                let is_quiet = is_full && self.healed.is_some();
                let again_us = if is_quiet { FULL_AGAIN_US } else { REFUSED_AGAIN_US };
                let delay_us = self.dice.between(again_us);
                self.schedule.after(delay_us, What::ClientTimeout { attempt });
            }
        }
    }

    /// A client hears that its session is forgotten. The simulator itself asks once more, in
    /// another one.
    fn forget_session(&mut self, attempt: u64) {
        let operation = self.clients.attempts[&attempt].operation;
        self.clients.forget(operation);
        let prober = self.prober();
        if self.clients.operations[&operation].client == prober {
            self.clients.all[prober].last_wishes += 1;
        }
    }

    fn note_answer(&mut self, attempt: u64, answer: &[u8]) {
        let (registers, now) = (&mut self.judge.registers, self.counts.events);
        let number = self.clients.attempts[&attempt].operation;
        match &self.clients.operations[&number].asked {
            Asked::Write { .. } | Asked::Once { .. } => {
                registers.write_answered(number, answer, now);
            }
            Asked::Read { query } => registers.read_answered(attempt, query, answer, now),
        }
    }

    /// An answer arrives at its client.
    pub(crate) fn answer(&mut self, attempt: u64) {
        let operation = self.clients.attempts[&attempt].operation;
        self.clients.end(operation);
    }
}
