//! MULTI and what follows it, and WATCH before it.

use bytes::Bytes;
use kv_store::command::{
    Answer, COMMAND_BYTES_MAX, Command, Compare, List, OPERATIONS_PER_TRANSACTION_MAX, OnNo,
    Operation, Query, Relation, Target, Transaction,
};

use super::plan::{Making, Plan, Refused, compare, look};
use super::shape::Shape;
use super::table::{self, Task};

/// Keys that a connection watches, at most; WATCH is refused beyond.
const WATCHED_MAX: usize = 1_024;

/// A command that waits for EXEC: its words.
type Queued = Vec<Bytes>;

/// What a connection has said about a transaction.
#[derive(Debug, Default)]
pub(super) struct Multi {
    /// Commands behind MULTI; nothing outside of a transaction.
    queue: Option<Vec<Queued>>,
    queued_bytes: usize,
    /// Whether a command was refused, so that EXEC will be.
    is_spoilt: bool,
    /// Whether a command about channels is among them.
    speaks: bool,
    /// Keys that are watched, with what they were.
    watched: Vec<(Bytes, u64)>,
}

impl Multi {
    /// Whether commands are queued.
    pub(super) fn is_open(&self) -> bool {
        self.queue.is_some()
    }

    /// Begins to queue.
    pub(super) fn open(&mut self) {
        self.queue = Some(Vec::new());
    }

    /// Forgets everything, what is watched included.
    pub(super) fn close(&mut self) {
        *self = Self::default();
    }

    /// Forgets what is watched.
    pub(super) fn unwatch(&mut self) {
        self.watched.clear();
    }

    /// Notes that a command was refused.
    pub(super) fn spoil(&mut self) {
        self.is_spoilt |= self.is_open();
    }

    /// Whether a command was refused.
    pub(super) fn is_spoilt(&self) -> bool {
        self.is_spoilt
    }

    /// Whether a command about channels is queued.
    pub(super) fn speaks(&self) -> bool {
        self.speaks
    }

    /// Queues a command, which may be about channels.
    pub(super) fn queue(&mut self, words: &[&[u8]], speaks: bool) -> Result<(), Refused> {
        let Some(queue) = &mut self.queue else { return Ok(()) };
        self.queued_bytes +=
            words.iter().map(|word| word.len() + size_of::<Bytes>()).sum::<usize>();
        let is_full = queue.len() == OPERATIONS_PER_TRANSACTION_MAX;
        if is_full || 2 * COMMAND_BYTES_MAX < self.queued_bytes {
            self.is_spoilt = true;
            return Err("ERR the transaction is longer than a transaction may be".into());
        }
        queue.push(words.iter().map(|word| Bytes::copy_from_slice(word)).collect());
        self.speaks |= speaks;
        Ok(())
    }

    /// Checks that so many keys more may be watched.
    pub(super) fn check_watch(&self, count: usize) -> Result<(), Refused> {
        if WATCHED_MAX < self.watched.len() + count {
            return Err(format!("ERR more than {WATCHED_MAX} watched keys").into());
        }
        Ok(())
    }

    /// Takes in what watched keys are, as the store has answered.
    pub(super) fn watch(&mut self, keys: Vec<Bytes>, answer: &Answer<'_>) -> bool {
        let Answer::Transaction(told) = answer else { return false };
        for (key, answer) in keys.into_iter().zip(told.answers.iter()) {
            let Answer::Range { kvs, .. } = answer else { return false };
            let revision = kvs.first().map_or(0, |kv| kv.mod_revision);
            // What was watched first is what must not have changed since.
            if self.watched.iter().all(|(watched, _)| *watched != key) {
                self.watched.push((key, revision));
            }
        }
        true
    }

    /// What is queued and watched, all at once; the transaction is over for the connection.
    pub(super) fn take(&mut self) -> Taken {
        let Self { queue, watched, .. } = std::mem::take(self);
        Taken { queue: queue.unwrap_or_default(), watched }
    }
}

/// A transaction that is to be carried out.
#[derive(Debug)]
pub(super) struct Taken {
    queue: Vec<Queued>,
    watched: Vec<(Bytes, u64)>,
}

impl Taken {
    /// The words of the commands.
    pub(super) fn words(&self) -> Vec<Vec<&[u8]>> {
        self.queue.iter().map(|words| words.iter().map(|word| &word[..]).collect()).collect()
    }

    /// What all of it comes to.
    pub(super) fn plan<'w>(
        &'w self,
        making: &mut Making<'_, 'w>,
        commands: &[Vec<&'w [u8]>],
    ) -> Plan<'w> {
        let (mut then, mut shapes, mut is_write) = (List::new(), Vec::new(), false);
        for words in commands {
            let plan = match table::find(words[0]).map(|entry| entry.task) {
                Some(Task::Plan(plan)) => plan(making, words).unwrap_or_else(|refused| {
                    Plan::said(making.client.protocol, |out| out.error(&refused))
                }),
                Some(Task::Speak) => {
                    let words = words.iter().map(|word| Bytes::copy_from_slice(word)).collect();
                    let shape = Shape::Speak(words);
                    Plan { operation: None, is_write: false, shape }
                }
                // UNWATCH, which EXEC does anyway; nothing else of them is queued.
                Some(Task::Control(_)) | None => {
                    Plan::said(making.client.protocol, |out| out.status("OK"))
                }
            };
            // Each draws its own lots.
            making.seed = making.seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            is_write |= plan.is_write;
            plan.operation.into_iter().for_each(|operation| then.push(operation));
            shapes.push(plan.shape);
        }
        let unchanged = |(key, revision): &'w (Bytes, u64)| -> Compare<'w> {
            compare(key, Relation::Equal, Target::ModRevision(*revision))
        };
        let when = self.watched.iter().map(unchanged).collect();
        let otherwise = List::new();
        let shape = Shape::Exec(shapes.into());
        if self.watched.is_empty() && then.is_empty() {
            return Plan { operation: None, is_write: false, shape };
        }
        let operation = Operation::Nested(Box::new(Transaction { when, then, otherwise }));
        Plan { operation: Some(operation), is_write, shape }
    }
}

/// The question of what keys are, to watch them.
pub(super) fn watching<'w>(keys: &[&'w [u8]]) -> Operation<'w> {
    let then = keys.iter().map(|key| Operation::Read(look(key))).collect();
    let (when, otherwise) = (List::new(), List::new());
    Operation::Nested(Box::new(Transaction { when, then, otherwise }))
}

/// The body that is asked for an operation, and whether its answer lies in that of a
/// transaction.
pub(super) enum Body<'w> {
    Command(Command<'w>),
    Query(Query<'w>),
}

/// What to send for an operation. Whatever must go behind writes of the same connection goes
/// through the log with them.
pub(super) fn body(operation: Operation<'_>, through_log: bool) -> (Body<'_>, bool) {
    match (operation, through_log) {
        (Operation::Write(command), _) => (Body::Command(command), false),
        (Operation::Read(query), false) => (Body::Query(query), false),
        (Operation::Nested(nested), false) => (Body::Query(Query::Transaction(nested)), false),
        (Operation::Nested(transaction), true) => {
            (Body::Command(Command::Transaction { on_no: OnNo::GoOn, transaction }), false)
        }
        (read @ Operation::Read(_), true) => {
            let (when, otherwise) = (List::new(), List::new());
            let then = std::iter::once(read).collect();
            let transaction = Box::new(Transaction { when, then, otherwise });
            (Body::Command(Command::Transaction { on_no: OnNo::GoOn, transaction }), true)
        }
    }
}
