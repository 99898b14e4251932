//! Calls of connections that have many of them under way: one message for what one turn of a
//! connection asks, and one to it for what one turn of this actor answers.

use actix::{Context, Handler, Message};
use bytes::Bytes;
use raft_core::entry::SessionStamp;
use raft_core::replica::event::{Outcome, Ticket};
use raft_core::types::Term;
use tokio::sync::mpsc;

use super::by_number::ByNumber;
use super::{Api, timeout_us};

/// Marks the numbers of these connections, so that one look tells whose an answer is.
const MARK: u64 = 1 << 62;

/// What a connection asks for in one turn.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct CallBatch {
    pub(crate) caller: Caller,
    /// Takes the answers; comes with the first calls of a connection.
    pub(crate) answers: Option<mpsc::UnboundedSender<AnswerBatch>>,
    /// Encoded commands and queries, behind each other.
    pub(crate) bodies: Bytes,
    pub(crate) calls: Vec<BatchedCall>,
    /// How long each may wait. Units: milliseconds.
    pub(crate) timeout_ms: u64,
}

/// Says that nobody waits for answers to this connection any more.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct CallerEnded(pub(crate) Caller);

/// A connection that calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller(u64);

impl Caller {
    /// The connection of a number that no other has.
    pub(crate) fn numbered(number: u64) -> Self {
        Self(number | MARK)
    }
}

/// One of the calls of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchedCall {
    /// What the connection calls it; two that are under way have different numbers.
    pub(crate) number: u64,
    pub(crate) what: Asked,
    /// Where its body ends.
    pub(crate) end: usize,
}

/// What a body is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked {
    /// A command, and which write of which client it is.
    Write(SessionStamp),
    /// A query (linearizable).
    Read,
    /// A query of the state of this node, however old.
    ReadLocally,
}

/// What was answered to a connection in one turn.
#[derive(Debug)]
pub(crate) struct AnswerBatch {
    /// What the ranges of the outcomes are of.
    pub(crate) bytes: Bytes,
    pub(crate) outcomes: Vec<(u64, Outcome)>,
    /// The node's term, as far as answers have shown it.
    pub(crate) term: Term,
}

/// The connections that have called.
#[derive(Debug, Default)]
pub(super) struct Callers {
    open: ByNumber<Answering>,
    /// Those with fresh answers, each once.
    touched: Vec<u64>,
}

#[derive(Debug)]
struct Answering {
    answers: mpsc::UnboundedSender<AnswerBatch>,
    /// Of the present turn.
    outcomes: Vec<(u64, Outcome)>,
}

/// Whether a connection is one of these.
pub(super) fn is_caller(connection: u64) -> bool {
    connection & MARK != 0
}

impl Callers {
    /// Notes an outcome, which is told at the end of the turn. Outcomes for nobody are dropped.
    pub(super) fn note(&mut self, ticket: Ticket, outcome: Outcome) {
        let Some(caller) = self.open.get_mut(&ticket.connection) else { return };
        if caller.outcomes.is_empty() {
            self.touched.push(ticket.connection);
        }
        caller.outcomes.push((ticket.request, outcome));
    }

    /// Tells what was noted.
    pub(super) fn tell(&mut self, bytes: &Bytes, term: Term) {
        for connection in self.touched.drain(..) {
            let Some(caller) = self.open.get_mut(&connection) else { continue };
            let outcomes = std::mem::take(&mut caller.outcomes);
            // One that is gone says so by itself.
            let _ = caller.answers.send(AnswerBatch { bytes: bytes.clone(), outcomes, term });
        }
    }
}

impl Handler<CallBatch> for Api {
    type Result = ();

    fn handle(&mut self, batch: CallBatch, context: &mut Context<Self>) {
        let CallBatch { caller: Caller(connection), answers, bodies, calls, timeout_ms } = batch;
        if let Some(answers) = answers {
            let caller = Answering { answers, outcomes: Vec::new() };
            self.callers.open.insert(connection, caller);
        }
        let (timeout_us, mut begin) = (timeout_us(timeout_ms), 0);
        for BatchedCall { number, what, end } in calls {
            let body = &bodies[begin..end];
            let ticket = Ticket { connection, request: number };
            match what {
                Asked::Write(session) => self.round.write(ticket, &session, timeout_us, body),
                Asked::Read => self.round.read(ticket, timeout_us, body),
                Asked::ReadLocally => self.round.read_locally(ticket, body),
            }
            begin = end;
        }
        self.plan_flush(context);
    }
}

impl Handler<CallerEnded> for Api {
    type Result = ();

    fn handle(&mut self, CallerEnded(Caller(connection)): CallerEnded, _: &mut Context<Self>) {
        self.callers.open.remove(&connection);
    }
}
