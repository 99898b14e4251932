//! What clients saw of each key, judged without a look at any node or at the revisions that
//! nodes claim: is there one order that explains it?
//!
//! Revisions only say where the search begins: a change comes at twice its revision, and what
//! changes nothing right after it. An operation begins when the first request of it
//! reaches a node and ends with the first answer that a node gives, whether or not the client
//! hears it, so the history is stricter than what clients could say.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kv_store::command::{Answer, Command};

use super::executions::Executions;
use super::model::is_followed;
use crate::linearizability::{
    History, Operation, Outcome, Register, RegisterAnswer, RegisterOperation, Verdict, check,
};
use crate::simulator::report::Counts;

/// A hundred times what honest runs need.
const STEPS_MAX: u64 = 20_000_000;

/// No two puts have the same value, so the number at its beginning stands for it.
type Value = u64;

type Seen = Operation<Register<Value>>;

/// The operations of all clients. Times are numbers of events.
#[derive(Debug, Default)]
pub(crate) struct Registers {
    writes: BTreeMap<u64, Write>,
    /// Answered commands of other kinds.
    others: BTreeSet<u64>,
    reads: BTreeMap<u64, u64>,
    shown: Vec<Shown>,
}

#[derive(Debug)]
struct Write {
    called: u64,
    payload: Bytes,
    /// When the first answer was given, and what it said.
    answer: Option<(u64, Bytes)>,
}

/// What a read showed.
#[derive(Debug)]
struct Shown {
    called: u64,
    returned: u64,
    /// `None` for all keys.
    key: Option<Vec<u8>>,
    answer: Bytes,
}

impl Registers {
    /// A request of a write reaches a node.
    pub(crate) fn write_called(&mut self, operation: u64, payload: &Bytes, now: u64) {
        if !is_of_register(payload) {
            return;
        }
        let write = || Write { called: now, payload: payload.clone(), answer: None };
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

    /// A node answers a read of one key, or of all if none is given.
    pub(crate) fn read_answered(
        &mut self,
        attempt: u64,
        key: Option<&[u8]>,
        answer: &[u8],
        now: u64,
    ) {
        let called = self.reads.remove(&attempt).expect("an attempt is answered once");
        let (key, answer) = (key.map(<[u8]>::to_vec), Bytes::copy_from_slice(answer));
        self.shown.push(Shown { called, returned: now, key, answer });
    }

    /// Judges the whole history (I16).
    ///
    /// Panics: if no order explains it, or if none was found within the budget.
    pub(super) fn check(&self, executions: &Executions, counts: &mut Counts) {
        let answered = self.writes.values().filter(|write| write.answer.is_some());
        counts.acknowledged = (answered.count() + self.others.len()) as u64;
        counts.typed = self.others.len() as u64;
        let writes = self.writes.values();
        let mut seen: Vec<(Vec<u8>, Seen)> = writes.map(|write| write.seen(executions)).collect();
        let keys: BTreeSet<Vec<u8>> = seen.iter().map(|(key, _)| key.clone()).collect();
        seen.extend(self.shown.iter().flat_map(|shown| shown.seen(&keys)));
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
}

impl Write {
    fn seen(&self, executions: &Executions) -> (Vec<u8>, Seen) {
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
    /// What the read showed of each of its keys, of which `keys` are those that were written.
    fn seen(&self, keys: &BTreeSet<Vec<u8>>) -> Vec<(Vec<u8>, Seen)> {
        let Ok(Answer::Range { revision, kvs, .. }) = Answer::decode(&self.answer) else {
            panic!("a query is answered by a range")
        };
        let mut values: BTreeMap<Vec<u8>, Option<Value>> = match &self.key {
            Some(key) => BTreeMap::from([(key.clone(), None)]),
            None => keys.iter().map(|key| (key.clone(), None)).collect(),
        };
        values.extend(kvs.iter().map(|kv| (kv.key.to_vec(), Some(number_of(kv.value)))));
        let (called, returned) = (self.called, self.returned);
        let read = |(key, value)| {
            let outcome = Outcome::Answered { returned, answer: RegisterAnswer::Value(value) };
            let (asked, guess) = (RegisterOperation::Read, Some(2 * revision + 1));
            (key, Operation { asked, called, outcome, guess })
        };
        values.into_iter().map(read).collect()
    }
}

/// Whether a command puts or removes a key that is read.
fn is_of_register(payload: &[u8]) -> bool {
    match Command::decode(payload).expect("clients write commands") {
        Command::Put { .. } => true,
        Command::Delete { ranges } => is_followed(ranges[0].from),
        _ => false,
    }
}

fn number_of(value: &[u8]) -> Value {
    let bytes = value.first_chunk().expect("a value begins with a number of eight bytes");
    u64::from_le_bytes(*bytes)
}
