//! What a thing should do when operations come one after another.

use std::fmt::Debug;
use std::hash::Hash;

/// The specification of one thing with operations: what each does to its state, and which
/// answers it may give.
pub trait Model {
    /// Everything that later answers depend on; cheap to copy and to compare.
    type State: Clone + Eq + Hash + Default;
    /// What clients ask.
    type Operation: Debug + PartialEq;
    /// What they are told.
    type Answer: Debug;

    /// The state after the operation, or `None` if it cannot give this answer in this state.
    ///
    /// An `answer` of `None` is one that nobody knows, and fits always.
    fn apply(
        state: &Self::State,
        operation: &Self::Operation,
        answer: Option<&Self::Answer>,
    ) -> Option<Self::State>;

    /// Whether the operation, if it gives this answer, leaves every state as it is. The search
    /// is right as long as this is not said of one that changes something.
    fn is_read(operation: &Self::Operation, answer: &Self::Answer) -> bool;

    /// Whether the operation leaves the same state whatever was there before. The search is
    /// right without knowing, and faster if it does.
    fn is_blind(operation: &Self::Operation) -> bool;
}
