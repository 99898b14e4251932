//! A number that is added to, read, and forgotten.

use crate::linearizability::model::Model;

/// A number; one that does not exist is 0 when it is added to.
#[derive(Clone, Copy, Debug)]
pub struct Counter;

/// What can be asked of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterOperation {
    /// Adds to it. Answered by `Sum`.
    Add(i64),
    /// What it is. Answered by `Value`.
    Read,
    /// Forgets it. Answered by `Forgotten`.
    Delete,
}

/// What a counter answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterAnswer {
    /// It is this from now on.
    Sum(i64),
    /// It is this, or does not exist.
    Value(Option<i64>),
    /// Whether there was one.
    Forgotten(bool),
}

impl Model for Counter {
    type State = Option<i64>;
    type Operation = CounterOperation;
    type Answer = CounterAnswer;

    fn apply(
        state: &Option<i64>,
        operation: &CounterOperation,
        answer: Option<&CounterAnswer>,
    ) -> Option<Option<i64>> {
        let (after, expected) = match operation {
            CounterOperation::Add(by) => {
                let sum = state.unwrap_or(0).checked_add(*by)?;
                (Some(sum), CounterAnswer::Sum(sum))
            }
            CounterOperation::Read => (*state, CounterAnswer::Value(*state)),
            CounterOperation::Delete => (None, CounterAnswer::Forgotten(state.is_some())),
        };
        answer.is_none_or(|answer| *answer == expected).then_some(after)
    }

    fn is_read(operation: &CounterOperation, answer: &CounterAnswer) -> bool {
        *operation == CounterOperation::Read || *answer == CounterAnswer::Forgotten(false)
    }

    fn is_blind(operation: &CounterOperation) -> bool {
        *operation == CounterOperation::Delete
    }
}
