//! What clients saw of each key, judged without a look at any node or at the revisions that
//! nodes claim: is there one order that explains it?
//!
//! Revisions only say where the search begins: a change comes at twice its revision, and what
//! changes nothing right after it. An operation begins when the first request of it
//! reaches a node and ends with the first answer that a node gives, whether or not the client
//! hears it, so the history is stricter than what clients could say.
//!
//! Keys of one kind are judged here: registers that are put, removed and read, and the hashes,
//! sets and counters of `collections`. What meets on other keys has the order of revisions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use bytes::Bytes;
use kv_store::command::{Answer, Command, Query, RangeEnd};
use raft_core::entry::{ClientId, SessionStamp};

use super::collections::{self, Family};
use super::executions::Executions;
use crate::linearizability::{
    History, Model, Operation, Outcome, Register, RegisterAnswer, RegisterOperation, Verdict, check,
};
use crate::revision_order::revision_of;
use crate::simulator::report::Counts;

/// A hundred times what honest runs need.
const STEPS_MAX: u64 = 20_000_000;

/// No two puts have the same value, so the number at its beginning stands for it.
type Value = u64;

/// Operations of one model with their keys.
pub(super) type Seen<M> = Vec<(Vec<u8>, Operation<M>)>;

/// The operations of all clients. Times are numbers of events.
#[derive(Debug, Default)]
pub(crate) struct Registers {
    writes: BTreeMap<u64, Write>,
    /// Answered commands on other keys.
    others: BTreeSet<u64>,
    reads: BTreeMap<u64, u64>,
    shown: Vec<Shown>,
}

/// A command on a key of one kind.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) called: u64,
    pub(super) payload: Bytes,
    /// Client and serial, if it is of a session.
    pub(super) session: Option<(ClientId, u64)>,
    /// When the first answer was given, and what it said.
    pub(super) answer: Option<(u64, Bytes)>,
}

/// What a read showed.
#[derive(Debug)]
pub(super) struct Shown {
    called: u64,
    returned: u64,
    pub(super) query: Bytes,
    pub(super) answer: Bytes,
}

impl Registers {
    /// A request of a write reaches a node.
    pub(crate) fn write_called(
        &mut self,
        operation: u64,
        (payload, session): (&Bytes, Option<&SessionStamp>),
        now: u64,
    ) {
        if Family::of_command(payload).is_none() {
            return;
        }
        let session = session.map(|stamp| (stamp.client, stamp.serial));
        let write = || Write { called: now, payload: payload.clone(), session, answer: None };
        self.writes.entry(operation).or_insert_with(write);
    }

    /// A node answers a write.
    pub(crate) fn write_answered(&mut self, operation: u64, answer: &[u8], now: u64) {
        let Some(write) = self.writes.get_mut(&operation) else {
            self.others.insert(operation);
            return;
        };
        write.answer.get_or_insert_with(|| (now, Bytes::copy_from_slice(answer)));
    }

    /// A request of a read reaches a node. Each of its attempts is a read for itself.
    pub(crate) fn read_called(&mut self, attempt: u64, now: u64) {
        self.reads.insert(attempt, now);
    }

    /// A node answers a read.
    pub(crate) fn read_answered(&mut self, attempt: u64, query: &Bytes, answer: &[u8], now: u64) {
        let called = self.reads.remove(&attempt).expect("an attempt is answered once");
        let (query, answer) = (query.clone(), Bytes::copy_from_slice(answer));
        self.shown.push(Shown { called, returned: now, query, answer });
    }

    /// Judges the whole history (I16).
    ///
    /// Panics: if no order explains it, or if none was found within the budget.
    pub(super) fn check(&self, executions: &Executions, counts: &mut Counts) {
        let answered = self.writes.values().filter(|write| write.answer.is_some());
        counts.acknowledged = (answered.clone().count() + self.others.len()) as u64;
        let typed = answered.filter(|write| write.family() != Some(Family::Register));
        counts.typed = (typed.count() + self.others.len()) as u64;
        explain(self.registers(executions), counts);
        explain(collections::hashes(self, executions), counts);
        explain(collections::sets(self, executions), counts);
        explain(collections::counters(self, executions), counts);
    }

    /// The commands on keys of a kind.
    pub(super) fn writes(&self, family: Family) -> impl Iterator<Item = &Write> {
        self.writes.values().filter(move |write| write.family() == Some(family))
    }

    /// All that was read.
    pub(super) fn shown(&self) -> impl Iterator<Item = &Shown> {
        self.shown.iter()
    }

    fn registers(&self, executions: &Executions) -> Seen<Register<Value>> {
        let writes = self.writes(Family::Register);
        let mut seen: Seen<_> = writes.map(|write| write.of_register(executions)).collect();
        let keys: BTreeSet<Vec<u8>> = seen.iter().map(|(key, _)| key.clone()).collect();
        seen.extend(self.shown.iter().flat_map(|shown| shown.of_registers(&keys)));
        seen
    }
}

/// Looks for an order of each key.
fn explain<M: Model>(mut seen: Seen<M>, counts: &mut Counts)
where
    M::Answer: Debug,
{
    seen.sort_by_key(|(_, operation)| operation.called);
    let mut history = History::default();
    for (key, operation) in seen {
        let is_known = matches!(operation.outcome, Outcome::Answered { .. });
        *(if is_known { &mut counts.explained } else { &mut counts.unresolved }) += 1;
        history.add(String::from_utf8_lossy(&key).into_owned(), operation);
    }
    match check(&history, STEPS_MAX) {
        Verdict::Linearizable => {}
        Verdict::Illegal(violation) => panic!("I16 {violation}"),
        Verdict::Unknown { key } => panic!("I16 {STEPS_MAX} steps do not explain {key}"),
    }
}

impl Write {
    fn family(&self) -> Option<Family> {
        Family::of_command(&self.payload)
    }

    fn of_register(&self, executions: &Executions) -> (Vec<u8>, Operation<Register<Value>>) {
        let (key, asked) = match Command::decode(&self.payload).expect("clients write commands") {
            Command::Put { key, value } => (key, RegisterOperation::Write(number_of(value))),
            Command::Delete { ranges } => (ranges[0].from, RegisterOperation::Delete),
            other => panic!("no client here asks for {other:?}"),
        };
        let executed = executions.answer_to(&self.payload);
        let said = self.answer.as_ref().map(|(_, answer)| answer).or(executed);
        let said = said.map(|answer| Answer::decode(answer).expect("stores write answers"));
        let (answer, guess) = match said {
            None => (RegisterAnswer::Done, None),
            Some(Answer::Put { revision }) => (RegisterAnswer::Done, Some(2 * revision)),
            Some(Answer::Deleted { count, revision }) => {
                let (changes, is_late) = (0 < count, u64::from(count == 0));
                (RegisterAnswer::Changed(changes), Some(2 * revision + is_late))
            }
            Some(other) => panic!("a command is answered by {other:?}"),
        };
        let outcome = match &self.answer {
            Some((returned, _)) => Outcome::Answered { returned: *returned, answer },
            None => Outcome::Unknown,
        };
        (key.to_vec(), Operation { asked, called: self.called, outcome, guess })
    }
}

impl Shown {
    /// A read that was asked and answered so.
    pub(super) fn operation<M: Model>(
        &self,
        asked: M::Operation,
        answer: M::Answer,
    ) -> Operation<M> {
        let revision = revision_of(&Answer::decode(&self.answer).expect("stores write answers"));
        let outcome = Outcome::Answered { returned: self.returned, answer };
        Operation { asked, called: self.called, outcome, guess: Some(2 * revision + 1) }
    }

    /// What the read showed of each register, of which `keys` are those that were written.
    fn of_registers(&self, keys: &BTreeSet<Vec<u8>>) -> Seen<Register<Value>> {
        let query = Query::decode(&self.query).expect("clients write queries");
        let Query::Range { range, limit: 0 } = query else { return Vec::new() };
        let keys: Vec<&[u8]> = match range.end {
            RangeEnd::Single if Family::of_key(range.from) == Some(Family::Register) => {
                vec![range.from]
            }
            RangeEnd::Prefix => {
                keys.iter().map(Vec::as_slice).filter(|key| range.contains(key)).collect()
            }
            RangeEnd::Single | RangeEnd::HalfOpen(_) | RangeEnd::From => return Vec::new(),
        };
        let Ok(Answer::Range { kvs, .. }) = Answer::decode(&self.answer) else {
            panic!("a range is answered by a range")
        };
        let found: BTreeMap<&[u8], Value> =
            kvs.iter().map(|kv| (kv.key, number_of(kv.value))).collect();
        let read = |key: &[u8]| {
            let answer = RegisterAnswer::Value(found.get(key).copied());
            (key.to_vec(), self.operation(RegisterOperation::Read, answer))
        };
        keys.into_iter()
            .chain(found.keys().copied())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(read)
            .collect()
    }
}

fn number_of(value: &[u8]) -> Value {
    let bytes = value.first_chunk().expect("a value begins with a number of eight bytes");
    u64::from_le_bytes(*bytes)
}
