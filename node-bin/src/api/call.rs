//! Requests of the program that embeds the node: no socket, the same way.

use actix::Message;
use bytes::Bytes;
use raft_core::configuration::Change;
use raft_core::entry::SessionStamp;
use raft_core::replica::event::{Refusal, SessionRefusal, Staleness, Status};
use raft_core::types::{NodeId, Term};
use tokio::sync::oneshot;

use super::by_number::ByNumber;

/// Carries out an operation for the embedding program.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Call {
    /// What to do.
    pub operation: Operation,
    /// How long the caller waits. Units: milliseconds.
    pub timeout_ms: u64,
    /// Takes the outcome.
    pub reply: oneshot::Sender<Called>,
}

/// The outcome of a call, and when it was told.
#[derive(Clone, Debug)]
pub struct Called {
    /// The outcome.
    pub outcome: CallOutcome,
    /// The node's term then, as far as answers have shown it.
    pub term: Term,
}

/// What the embedding program may ask for.
#[derive(Debug)]
pub enum Operation {
    /// Replicate a command.
    Write {
        /// The command.
        command: Bytes,
        /// Which write of which client it is; the default is the node's own session.
        session: SessionStamp,
    },
    /// Answer a query (linearizable).
    Read {
        /// The query.
        query: Bytes,
    },
    /// Answer a query from the state of this node, however old.
    ReadLocally {
        /// The query.
        query: Bytes,
    },
    /// Describe the node.
    Describe,
    /// Change who is in the cluster; answered with a decision's bytes.
    Change {
        /// What is to be different.
        change: Change,
        /// Which write of which client it is, as for a command.
        session: SessionStamp,
    },
    /// Hand leadership over; answered with nothing.
    Transfer {
        /// To whom; to whoever has most if it is not said.
        to: Option<NodeId>,
    },
}

/// How an operation ended.
#[derive(Clone, Debug)]
pub enum CallOutcome {
    /// The state machine's answer.
    Answered(Bytes),
    /// The same from the state of this node, and how old that may be.
    AnsweredLocally(Bytes, Staleness),
    /// The session rules decided.
    Session(SessionRefusal),
    /// Nothing was decided.
    Refused(Refusal),
    /// What the node says of itself.
    Described(Box<Status>),
}

/// The calls that are not answered yet.
#[derive(Debug, Default)]
pub(super) struct Calls {
    newest: u64,
    waiting: ByNumber<oneshot::Sender<Called>>,
}

impl Calls {
    pub(super) fn begin(&mut self, reply: oneshot::Sender<Called>) -> u64 {
        self.newest += 1;
        self.waiting.insert(self.newest, reply);
        self.newest
    }

    pub(super) fn end(&mut self, number: u64, outcome: CallOutcome, term: Term) {
        if let Some(reply) = self.waiting.remove(&number) {
            // The caller may have stopped waiting; then nobody misses the outcome.
            let _ = reply.send(Called { outcome, term });
        }
    }
}
