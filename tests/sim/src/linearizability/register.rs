//! A register that can be read, written, compared and set, and deleted.

use std::fmt::Debug;
use std::hash::Hash;
use std::marker::PhantomData;

use crate::linearizability::model::Model;

/// A register that is empty or holds a value.
#[derive(Clone, Copy, Debug)]
pub struct Register<V>(PhantomData<V>);

/// What can be asked of a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterOperation<V> {
    /// What it holds. Answered by `Value`.
    Read,
    /// Sets it. Answered by `Done`.
    Write(V),
    /// Sets it to `new` if it holds `old`, where `None` is the empty register. Answered by
    /// `Changed`.
    CompareAndSet {
        /// What it must hold.
        old: Option<V>,
        /// What it is to hold then.
        new: V,
    },
    /// Empties it. Answered by `Changed`, or by `Done` where nobody is told what was there.
    Delete,
}

/// What a register answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterAnswer<V> {
    /// It held this, or nothing.
    Value(Option<V>),
    /// It was done.
    Done,
    /// Whether the register was changed: the comparison held, or there was something to delete.
    Changed(bool),
}

impl<V: Clone + Eq + Hash + Debug> Model for Register<V> {
    type State = Option<V>;
    type Operation = RegisterOperation<V>;
    type Answer = RegisterAnswer<V>;

    fn apply(
        state: &Option<V>,
        operation: &RegisterOperation<V>,
        answer: Option<&RegisterAnswer<V>>,
    ) -> Option<Option<V>> {
        use RegisterAnswer as Answer;
        let (after, changed) = match operation {
            RegisterOperation::Read => {
                let fits = match answer {
                    None => true,
                    Some(Answer::Value(value)) => value == state,
                    Some(Answer::Done | Answer::Changed(_)) => false,
                };
                return fits.then(|| state.clone());
            }
            RegisterOperation::Write(value) => (Some(value.clone()), None),
            RegisterOperation::CompareAndSet { old, new } if old == state => {
                (Some(new.clone()), Some(true))
            }
            RegisterOperation::CompareAndSet { .. } => (state.clone(), Some(false)),
            RegisterOperation::Delete => (None, Some(state.is_some())),
        };
        let fits = match (answer, operation) {
            (None, _) => true,
            (Some(Answer::Value(_)), _) => false,
            (Some(Answer::Done), RegisterOperation::CompareAndSet { .. }) => false,
            (Some(Answer::Done), _) => true,
            (Some(Answer::Changed(said)), _) => changed == Some(*said),
        };
        fits.then_some(after)
    }

    fn is_read(operation: &RegisterOperation<V>, answer: &RegisterAnswer<V>) -> bool {
        *operation == RegisterOperation::Read || *answer == RegisterAnswer::Changed(false)
    }

    fn is_blind(operation: &RegisterOperation<V>) -> bool {
        matches!(operation, RegisterOperation::Write(_) | RegisterOperation::Delete)
    }
}
