//! What clients asked and were told, and when.

use std::collections::BTreeMap;
use std::fmt;

use crate::linearizability::model::Model;

/// Everything that was asked, by key, in the order of calls.
pub struct History<K, M: Model> {
    parts: BTreeMap<K, Vec<Operation<M>>>,
}

/// An operation that some client has begun.
pub struct Operation<M: Model> {
    /// What was asked.
    pub asked: M::Operation,
    /// When it began. Units: any, of one clock for the whole history.
    pub called: u64,
    /// What became of it.
    pub outcome: Outcome<M::Answer>,
    /// Where the operation may stand in the order: lower numbers are tried first. A guess makes
    /// the search faster if it is right, and cannot make its result wrong. `None`: no guess.
    pub guess: Option<u64>,
}

/// What became of an operation.
#[derive(Clone, Debug)]
pub enum Outcome<A> {
    /// It ended with this answer.
    Answered {
        /// When. An operation that begins at this very moment is concurrent.
        returned: u64,
        /// What was said.
        answer: A,
    },
    /// Nobody knows: it may have taken effect, may do so at any time after its call, or never.
    Unknown,
}

impl<K, M: Model> Default for History<K, M> {
    fn default() -> Self {
        Self { parts: BTreeMap::new() }
    }
}

impl<K: Ord, M: Model> History<K, M> {
    /// Adds an operation on `key`.
    ///
    /// Panics: if it returned before it was called, or was called before one that was added
    /// earlier; both are mistakes of whoever keeps the history.
    pub fn add(&mut self, key: K, operation: Operation<M>) {
        if let Outcome::Answered { returned, .. } = operation.outcome {
            assert!(operation.called <= returned, "an operation returns after it was called");
        }
        let part = self.parts.entry(key).or_default();
        let newest = part.last().map_or(0, |operation| operation.called);
        assert!(newest <= operation.called, "operations are added in the order of their calls");
        part.push(operation);
    }

    /// How many operations there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.parts.values().map(Vec::len).sum()
    }

    /// The operations on each key.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&K, &[Operation<M>])> {
        self.parts.iter().map(|(key, operations)| (key, operations.as_slice()))
    }
}

impl<M: Model> Operation<M> {
    /// The answer, if it is known.
    pub(super) fn answer(&self) -> Option<&M::Answer> {
        match &self.outcome {
            Outcome::Answered { answer, .. } => Some(answer),
            Outcome::Unknown => None,
        }
    }
}

impl<M: Model> fmt::Display for Operation<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asked, called, outcome, .. } = self;
        write!(f, "{asked:?} called at {called}")?;
        match outcome {
            Outcome::Answered { returned, answer } => write!(f, ", {answer:?} at {returned}"),
            Outcome::Unknown => write!(f, ", of unknown outcome"),
        }
    }
}
