//! What clients saw of hashes, sets and counters, each on keys of its own.

use kv_store::command::{Answer, Command, Item, KeyRange, KeyValue, Name, No, Query, RangeEnd};

use super::executions::Executions;
use super::registers::{Registers, Seen, Shown, Write};
use crate::linearizability::{
    Counter, CounterAnswer, CounterOperation, Hash, HashAnswer, HashOperation, Model, Operation,
    Outcome, Set, SetAnswer, SetOperation,
};
use crate::revision_order::revision_of;

/// What keys are that are of one kind for ever, as their names say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Register,
    Hash,
    Set,
    Counter,
}

impl Family {
    /// The kind of a key; `None` for one that may be anything.
    pub(super) fn of_key(key: &[u8]) -> Option<Self> {
        let begins: [(&[u8], Self); 4] = [
            (b"key-", Self::Register),
            (b"hash-", Self::Hash),
            (b"set-", Self::Set),
            (b"count-", Self::Counter),
        ];
        begins.into_iter().find(|(begin, _)| key.starts_with(begin)).map(|(_, family)| family)
    }

    /// The kind of the key that a command is about.
    pub(super) fn of_command(payload: &[u8]) -> Option<Self> {
        match Command::decode(payload).expect("clients write commands") {
            Command::Put { key, .. }
            | Command::SetFields { key, .. }
            | Command::AddMembers { key, .. }
            | Command::RemoveItems { key, .. }
            | Command::Increment { key, .. } => Self::of_key(key),
            Command::Delete { ranges } => Self::of_key(ranges[0].from),
            _ => None,
        }
    }
}

/// What was done to hashes, and what was seen of them.
pub(super) fn hashes(all: &Registers, executions: &Executions) -> Seen<Hash> {
    let writes =
        all.writes(Family::Hash).map(|write| write.told(executions, (hash_asked, hash_said)));
    let told = |shown: &Shown| shown.told(Family::Hash, hash_question, hash_said);
    writes.chain(all.shown().filter_map(told)).collect()
}

/// The same of sets.
pub(super) fn sets(all: &Registers, executions: &Executions) -> Seen<Set> {
    let writes = all.writes(Family::Set).map(|write| write.told(executions, (set_asked, set_said)));
    let told = |shown: &Shown| shown.told(Family::Set, set_question, set_said);
    writes.chain(all.shown().filter_map(told)).collect()
}

/// The same of counters.
pub(super) fn counters(all: &Registers, executions: &Executions) -> Seen<Counter> {
    let writes = all
        .writes(Family::Counter)
        .map(|write| write.told(executions, (counter_asked, counter_said)));
    let told = |shown: &Shown| shown.told(Family::Counter, counter_question, counter_said);
    writes.chain(all.shown().filter_map(told)).collect()
}

/// What a command asks of a thing, and what an answer says of it.
type Asks<M> = fn(&Command<'_>) -> <M as Model>::Operation;
type Says<M> = fn(&Answer<'_>) -> <M as Model>::Answer;

impl Write {
    fn told<M: Model>(
        &self,
        executions: &Executions,
        (asks, says): (Asks<M>, Says<M>),
    ) -> (Vec<u8>, Operation<M>) {
        let command = Command::decode(&self.payload).expect("clients write commands");
        let key = match &command {
            Command::SetFields { key, .. }
            | Command::AddMembers { key, .. }
            | Command::RemoveItems { key, .. }
            | Command::Increment { key, .. } => key.to_vec(),
            Command::Delete { ranges } => ranges[0].from.to_vec(),
            other => panic!("no client here asks for {other:?}"),
        };
        let asked = asks(&command);
        // Where the store has executed it the search begins, whether anybody heard of it or not.
        let heard = self.answer.as_ref().map(|(_, answer)| answer);
        let executed = heard.or_else(|| executions.answer_of(self.session?.0, self.session?.1));
        let said = executed.map(|answer| Answer::decode(answer).expect("stores write answers"));
        let guess = said.as_ref().map(|said| {
            let is_late = M::is_read(&asked, &says(said));
            2 * revision_of(said) + u64::from(is_late)
        });
        let outcome = match (&self.answer, &said) {
            (Some((returned, _)), Some(said)) => {
                Outcome::Answered { returned: *returned, answer: says(said) }
            }
            _ => Outcome::Unknown,
        };
        (key, Operation { asked, called: self.called, outcome, guess })
    }
}

/// What a query asks of a thing that it names, if it is about all of what is there now.
type Questions<M> = for<'q> fn(&Query<'q>) -> Option<(&'q [u8], <M as Model>::Operation)>;

impl Shown {
    fn told<M: Model>(
        &self,
        family: Family,
        asks: Questions<M>,
        says: Says<M>,
    ) -> Option<(Vec<u8>, Operation<M>)> {
        let query = Query::decode(&self.query).expect("clients write queries");
        let (key, asked) = asks(&query)?;
        if Family::of_key(key) != Some(family) {
            return None;
        }
        let answer = Answer::decode(&self.answer).expect("stores write answers");
        Some((key.to_vec(), self.operation(asked, says(&answer))))
    }
}

fn names(names: &[Name<'_>]) -> Vec<Vec<u8>> {
    names.iter().map(|name| name.0.to_vec()).collect()
}

fn count(number: u64) -> usize {
    usize::try_from(number).expect("there are few")
}

fn hash_asked(command: &Command<'_>) -> HashOperation {
    match command {
        Command::SetFields { fields, .. } => {
            let pair = |item: &Item<'_>| (item.name.to_vec(), item.value.to_vec());
            HashOperation::Set(fields.iter().map(pair).collect())
        }
        Command::RemoveItems { names: gone, .. } => HashOperation::Remove(names(gone)),
        Command::Increment { field: Some(field), by, .. } => {
            HashOperation::Add(field.0.to_vec(), *by)
        }
        Command::Delete { .. } => HashOperation::Delete,
        other => panic!("no client here asks a hash for {other:?}"),
    }
}

fn hash_said(answer: &Answer<'_>) -> HashAnswer {
    match answer {
        Answer::Changed { count: number, .. } | Answer::Length { count: number, .. } => {
            HashAnswer::Count(count(*number))
        }
        Answer::Number { number, .. } => HashAnswer::Sum(*number),
        Answer::No { why: No::NotANumber, .. } => HashAnswer::NotANumber,
        Answer::Deleted { count, .. } => HashAnswer::Emptied(0 < *count),
        Answer::Items { items, more: false, .. } => {
            let pair = |item: &Item<'_>| (item.name.to_vec(), item.value.to_vec());
            HashAnswer::Fields(items.iter().map(pair).collect())
        }
        Answer::Values { values, .. } => {
            let value = |value: &Option<Name<'_>>| value.map(|value| value.0.to_vec());
            HashAnswer::Values(values.iter().map(value).collect())
        }
        Answer::Has { has, .. } => HashAnswer::Has(has.to_vec()),
        other => panic!("a hash answers {other:?}"),
    }
}

fn hash_question<'q>(query: &Query<'q>) -> Option<(&'q [u8], HashOperation)> {
    match query {
        Query::Items { key, from: b"", limit: 0, revision: 0, .. } => {
            Some((key, HashOperation::Read))
        }
        Query::Fields { key, names: of, revision: 0 } => Some((key, HashOperation::Get(names(of)))),
        Query::Has { key, names: of, revision: 0, .. } => {
            Some((key, HashOperation::Has(names(of))))
        }
        Query::Length { key, revision: 0, .. } => Some((key, HashOperation::Length)),
        _ => None,
    }
}

fn set_asked(command: &Command<'_>) -> SetOperation {
    match command {
        Command::AddMembers { members, .. } => SetOperation::Add(names(members)),
        Command::RemoveItems { names: gone, .. } => SetOperation::Remove(names(gone)),
        Command::Delete { .. } => SetOperation::Delete,
        other => panic!("no client here asks a set for {other:?}"),
    }
}

fn set_said(answer: &Answer<'_>) -> SetAnswer {
    match answer {
        Answer::Changed { count: number, .. } | Answer::Length { count: number, .. } => {
            SetAnswer::Count(count(*number))
        }
        Answer::Deleted { count, .. } => SetAnswer::Emptied(0 < *count),
        Answer::Items { items, more: false, .. } => {
            SetAnswer::Members(items.iter().map(|item| item.name.to_vec()).collect())
        }
        Answer::Has { has, .. } => SetAnswer::Has(has.to_vec()),
        other => panic!("a set answers {other:?}"),
    }
}

fn set_question<'q>(query: &Query<'q>) -> Option<(&'q [u8], SetOperation)> {
    match query {
        Query::Items { key, from: b"", limit: 0, revision: 0, .. } => {
            Some((key, SetOperation::Read))
        }
        Query::Has { key, names: of, revision: 0, .. } => Some((key, SetOperation::Has(names(of)))),
        Query::Length { key, revision: 0, .. } => Some((key, SetOperation::Length)),
        _ => None,
    }
}

fn counter_asked(command: &Command<'_>) -> CounterOperation {
    match command {
        Command::Increment { field: None, by, .. } => CounterOperation::Add(*by),
        Command::Delete { .. } => CounterOperation::Delete,
        other => panic!("no client here asks a counter for {other:?}"),
    }
}

fn counter_said(answer: &Answer<'_>) -> CounterAnswer {
    match answer {
        Answer::Number { number, .. } => CounterAnswer::Sum(*number),
        Answer::Deleted { count, .. } => CounterAnswer::Forgotten(0 < *count),
        Answer::Range { kvs, .. } => {
            let number = |kv: &KeyValue<'_>| {
                let text = std::str::from_utf8(kv.value).expect("a number is text");
                text.parse().expect("a counter holds a number")
            };
            CounterAnswer::Value(kvs.first().map(number))
        }
        other => panic!("a counter answers {other:?}"),
    }
}

fn counter_question<'q>(query: &Query<'q>) -> Option<(&'q [u8], CounterOperation)> {
    match query {
        Query::Range { range: KeyRange { from, end: RangeEnd::Single }, .. } => {
            Some((from, CounterOperation::Read))
        }
        _ => None,
    }
}
