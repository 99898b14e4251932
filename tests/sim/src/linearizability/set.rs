//! A set of members, which exists as long as it has one.

use std::collections::BTreeSet;

use crate::linearizability::model::Model;

/// A set.
#[derive(Clone, Copy, Debug)]
pub struct Set;

/// The name of a member.
type Name = Vec<u8>;

/// What can be asked of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetOperation {
    /// Adds members. Answered by `Count` of those that are new.
    Add(Vec<Name>),
    /// Removes members. Answered by `Count` of those that were there.
    Remove(Vec<Name>),
    /// Removes all. Answered by `Emptied`.
    Delete,
    /// Which members there are. Answered by `Members`.
    Read,
    /// Whether there are these members. Answered by `Has`.
    Has(Vec<Name>),
    /// How many there are. Answered by `Count`.
    Length,
}

/// What a set answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetAnswer {
    /// So many members.
    Count(usize),
    /// These members.
    Members(BTreeSet<Name>),
    /// Each of them, or not.
    Has(Vec<bool>),
    /// Whether there was a member.
    Emptied(bool),
}

impl Model for Set {
    type State = BTreeSet<Name>;
    type Operation = SetOperation;
    type Answer = SetAnswer;

    fn apply(
        state: &BTreeSet<Name>,
        operation: &SetOperation,
        answer: Option<&SetAnswer>,
    ) -> Option<BTreeSet<Name>> {
        let mut after = state.clone();
        let expected = match operation {
            SetOperation::Add(names) => SetAnswer::Count(
                names.iter().map(|name| usize::from(after.insert(name.clone()))).sum(),
            ),
            SetOperation::Remove(names) => {
                SetAnswer::Count(names.iter().map(|name| usize::from(after.remove(name))).sum())
            }
            SetOperation::Delete => {
                after.clear();
                SetAnswer::Emptied(!state.is_empty())
            }
            SetOperation::Read => SetAnswer::Members(state.clone()),
            SetOperation::Has(names) => {
                SetAnswer::Has(names.iter().map(|name| state.contains(name)).collect())
            }
            SetOperation::Length => SetAnswer::Count(state.len()),
        };
        answer.is_none_or(|answer| *answer == expected).then_some(after)
    }

    fn is_read(operation: &SetOperation, answer: &SetAnswer) -> bool {
        match operation {
            SetOperation::Read | SetOperation::Has(_) | SetOperation::Length => true,
            SetOperation::Add(_) | SetOperation::Remove(_) => *answer == SetAnswer::Count(0),
            SetOperation::Delete => *answer == SetAnswer::Emptied(false),
        }
    }

    fn is_blind(operation: &SetOperation) -> bool {
        *operation == SetOperation::Delete
    }
}
