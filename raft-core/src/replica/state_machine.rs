//! What a user of the library brings: a deterministic state machine.

use bytes::BytesMut;

use crate::entry::EntryRef;

/// A state machine whose commands are replicated (Raft §2).
///
/// Every node applies the same commands in the same order, so an implementation must be a
/// function of what it is given: no clock, randomness, hash order, locale or configuration.
/// Time and a seed for anything random are in the entry.
pub trait StateMachine {
    /// Applies one committed command and appends its answer to `answer`.
    ///
    /// Total: a command that makes no sense is answered with a message that says so, and
    /// changes nothing. Each command arrives once, also if its client had to repeat it.
    fn apply(&mut self, command: EntryRef<'_>, answer: &mut BytesMut);

    /// Answers a query from the current state; appends the answer to `answer`.
    fn query(&self, query: &[u8], answer: &mut BytesMut);

    /// The number by which users see that the state has moved on, never falling.
    fn revision(&self) -> u64;

    /// A hash of the state: equal on two nodes that have applied the same commands.
    fn state_hash(&self) -> u64;
}
