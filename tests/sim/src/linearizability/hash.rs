//! A hash of fields with values, which exists as long as it has one.

use std::collections::BTreeMap;

use crate::linearizability::model::Model;

/// A hash.
#[derive(Clone, Copy, Debug)]
pub struct Hash;

/// The name of a field, and what it holds.
type Name = Vec<u8>;
type Value = Vec<u8>;

/// What can be asked of a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashOperation {
    /// Sets fields, one after another. Answered by `Count` of those that are new.
    Set(Vec<(Name, Value)>),
    /// Removes fields. Answered by `Count` of those that were there.
    Remove(Vec<Name>),
    /// Adds to the number in a field, which is 0 if there is none. Answered by `Sum`, or by
    /// `NotANumber`.
    Add(Name, i64),
    /// Removes all. Answered by `Emptied`.
    Delete,
    /// What is in it. Answered by `Fields`.
    Read,
    /// What is in these fields. Answered by `Values`.
    Get(Vec<Name>),
    /// Whether there are these fields. Answered by `Has`.
    Has(Vec<Name>),
    /// How many there are. Answered by `Count`.
    Length,
}

/// What a hash answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashAnswer {
    /// So many fields.
    Count(usize),
    /// The field holds this from now on.
    Sum(i64),
    /// The field holds something else, and goes on to do so.
    NotANumber,
    /// All fields.
    Fields(BTreeMap<Name, Value>),
    /// What is in each, or nothing.
    Values(Vec<Option<Value>>),
    /// Each of them, or not.
    Has(Vec<bool>),
    /// Whether there was a field.
    Emptied(bool),
}

impl Model for Hash {
    type State = BTreeMap<Name, Value>;
    type Operation = HashOperation;
    type Answer = HashAnswer;

    fn apply(
        state: &BTreeMap<Name, Value>,
        operation: &HashOperation,
        answer: Option<&HashAnswer>,
    ) -> Option<BTreeMap<Name, Value>> {
        let mut after = state.clone();
        let expected = match operation {
            HashOperation::Set(fields) => {
                let mut set = |(name, value): &(Name, Value)| {
                    usize::from(after.insert(name.clone(), value.clone()).is_none())
                };
                HashAnswer::Count(fields.iter().map(&mut set).sum())
            }
            HashOperation::Remove(names) => {
                let mut remove = |name: &Name| usize::from(after.remove(name).is_some());
                HashAnswer::Count(names.iter().map(&mut remove).sum())
            }
            HashOperation::Add(name, by) => match sum(state.get(name), *by) {
                Some(sum) => {
                    after.insert(name.clone(), sum.to_string().into_bytes());
                    HashAnswer::Sum(sum)
                }
                None => HashAnswer::NotANumber,
            },
            HashOperation::Delete => {
                after.clear();
                HashAnswer::Emptied(!state.is_empty())
            }
            HashOperation::Read => HashAnswer::Fields(state.clone()),
            HashOperation::Get(names) => {
                HashAnswer::Values(names.iter().map(|name| state.get(name).cloned()).collect())
            }
            HashOperation::Has(names) => {
                HashAnswer::Has(names.iter().map(|name| state.contains_key(name)).collect())
            }
            HashOperation::Length => HashAnswer::Count(state.len()),
        };
        answer.is_none_or(|answer| *answer == expected).then_some(after)
    }

    fn is_read(operation: &HashOperation, answer: &HashAnswer) -> bool {
        match operation {
            HashOperation::Read
            | HashOperation::Get(_)
            | HashOperation::Has(_)
            | HashOperation::Length => true,
            HashOperation::Set(fields) => fields.is_empty(),
            HashOperation::Remove(_) => *answer == HashAnswer::Count(0),
            HashOperation::Add(..) => *answer == HashAnswer::NotANumber,
            HashOperation::Delete => *answer == HashAnswer::Emptied(false),
        }
    }

    fn is_blind(operation: &HashOperation) -> bool {
        *operation == HashOperation::Delete
    }
}

/// What a field holds when something was added to it; `None` if it holds no number.
fn sum(value: Option<&Value>, by: i64) -> Option<i64> {
    let number = match value {
        Some(value) => std::str::from_utf8(value).ok()?.parse::<i64>().ok()?,
        None => 0,
    };
    number.checked_add(by)
}
