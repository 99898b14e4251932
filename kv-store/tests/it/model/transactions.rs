//! Transactions of the model.

use std::cmp::Ordering;
use std::collections::VecDeque;

use bytes::BytesMut;
use kv_store::command::{
    Answer, Collection, Compare, Kind, No, OnNo, Operation, Query, Relation, Target, Transacted,
    Transaction,
};

use super::{Model, Row, encoded, rows_in};

/// The answers to operations, in the bytes that they had when they were made.
enum Told {
    Alone(BytesMut),
    Transacted { succeeded: bool, revision: u64, answers: Vec<Told> },
}

impl Told {
    fn answer(&self) -> Answer<'_> {
        match self {
            Self::Alone(bytes) => Answer::decode(bytes).expect("an answer"),
            Self::Transacted { succeeded, revision, answers } => {
                Answer::Transaction(Box::new(Transacted {
                    succeeded: *succeeded,
                    revision: *revision,
                    answers: answers.iter().map(Self::answer).collect(),
                }))
            }
        }
    }
}

impl Model {
    pub(super) fn transact(&mut self, on_no: OnNo, transaction: &Transaction<'_>) -> BytesMut {
        let mut decided = VecDeque::new();
        if on_no == OnNo::UndoDecidedFirst {
            self.decide(transaction, &mut decided);
        }
        match self.choose((on_no, &mut decided), transaction) {
            Ok(told) => encoded(&told.answer()),
            Err((path, why)) => {
                self.undo();
                let (revision, path) = (self.revision(), path.into_iter().collect());
                encoded(&Answer::Undone { revision, path, why })
            }
        }
    }

    fn decide(&self, transaction: &Transaction<'_>, decided: &mut VecDeque<bool>) {
        let succeeded = transaction.when.iter().all(|compare| self.holds(self.log_time, compare));
        decided.push_back(succeeded);
        let branch = if succeeded { &transaction.then } else { &transaction.otherwise };
        for operation in branch.iter() {
            if let Operation::Nested(nested) = operation {
                self.decide(nested, decided);
            }
        }
    }

    fn choose(
        &mut self,
        (on_no, decided): (OnNo, &mut VecDeque<bool>),
        transaction: &Transaction<'_>,
    ) -> Result<Told, (Vec<u64>, No)> {
        let succeeded = decided.pop_front().unwrap_or_else(|| {
            transaction.when.iter().all(|compare| self.holds(self.log_time, compare))
        });
        let branch = if succeeded { &transaction.then } else { &transaction.otherwise };
        let mut answers = Vec::new();
        for (place, operation) in (0..).zip(branch.iter()) {
            let done = match operation {
                Operation::Nested(nested) => {
                    let told = self.choose((on_no, &mut *decided), nested);
                    answers.push(told.map_err(|(path, why)| ([vec![place], path].concat(), why))?);
                    continue;
                }
                Operation::Write(command) => self.change(command),
                Operation::Read(Query::Transaction(_)) => Err(No::NotInTransaction),
                Operation::Read(query) => {
                    let bytes = self.answer(query, self.log_time);
                    match Answer::decode(&bytes).expect("an answer") {
                        Answer::No { why, .. } => Err(why),
                        _ => Ok(bytes),
                    }
                }
            };
            answers.push(Told::Alone(match (done, on_no) {
                (Ok(bytes), _) => bytes,
                (Err(why), OnNo::Undo | OnNo::UndoDecidedFirst) => {
                    return Err((vec![place], why));
                }
                (Err(why), OnNo::GoOn) => self.no(why),
            }));
        }
        Ok(Told::Transacted { succeeded, revision: self.so_far(), answers })
    }

    /// Answers a transaction that only asks.
    pub(super) fn ask(&self, log_time: u64, transaction: &Transaction<'_>) -> BytesMut {
        encoded(&self.asked(log_time, transaction).answer())
    }

    fn asked(&self, log_time: u64, transaction: &Transaction<'_>) -> Told {
        let succeeded = transaction.when.iter().all(|compare| self.holds(log_time, compare));
        let branch = if succeeded { &transaction.then } else { &transaction.otherwise };
        let answer = |operation: &Operation<'_>| match operation {
            Operation::Nested(nested) => self.asked(log_time, nested),
            Operation::Write(_) | Operation::Read(Query::Transaction(_)) => {
                Told::Alone(self.no(No::NotInTransaction))
            }
            Operation::Read(query) => Told::Alone(self.answer(query, log_time)),
        };
        let answers = branch.iter().map(answer).collect();
        Told::Transacted { succeeded, revision: self.so_far(), answers }
    }

    fn holds(&self, log_time: u64, Compare { range, relation, target }: &Compare<'_>) -> bool {
        let rows: Vec<Option<&Row>> =
            rows_in(&self.next, range).map(|(_, row)| Some(&**row)).collect();
        let rows = if rows.is_empty() { vec![None] } else { rows };
        rows.into_iter().all(|row| {
            compared(log_time, row, target).is_some_and(|ordering| match relation {
                Relation::Equal => ordering == Ordering::Equal,
                Relation::NotEqual => ordering != Ordering::Equal,
                Relation::Less => ordering == Ordering::Less,
                Relation::Greater => ordering == Ordering::Greater,
            })
        })
    }
}

/// How a row stands to a target; `None` if there is nothing to compare.
fn compared(log_time: u64, row: Option<&Row>, target: &Target<'_>) -> Option<Ordering> {
    let number = |of: fn(&Row) -> u64, other: &u64| Some(row.map_or(0, of).cmp(other));
    let item = |of: Collection, name: &[u8]| {
        row.filter(|row| row.kind == of.kind()).and_then(|row| row.items.get(name))
    };
    match target {
        Target::Value(value) => row.map(|row| row.value.as_slice().cmp(value)),
        Target::Version(version) => number(|row| row.version, version),
        Target::CreateRevision(revision) => number(|row| row.create_revision, revision),
        Target::ModRevision(revision) => number(|row| row.mod_revision, revision),
        Target::Lease(lease) => number(|row| row.ends.0, lease),
        Target::Exists(exists) => Some(row.is_some().cmp(exists)),
        Target::Field { name, value } => {
            item(Collection::Hash, name).map(|item| item.value.as_slice().cmp(value))
        }
        Target::Kind(kind) => {
            let rank = |kind: Kind| match kind {
                Kind::String => 0,
                Kind::Hash => 1,
                Kind::Set => 2,
            };
            row.map(|row| rank(row.kind).cmp(&rank(*kind)))
        }
        Target::Stays(ttl_ms) => row.map(|row| {
            let end = super::end_of(log_time, *ttl_ms);
            if row.ends.1 == 0 { Ordering::Greater } else { row.ends.1.cmp(&end) }
        }),
        Target::Has { of, name, has } => Some(item(*of, name).is_some().cmp(has)),
    }
}
