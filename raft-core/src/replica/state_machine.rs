//! What a user of the library brings: a deterministic state machine.

use std::fmt;
use std::ops::Range;

use bytes::BytesMut;

use crate::entry::EntryRef;

/// A state machine whose commands are replicated (Raft §2).
///
/// Every node applies the same commands in the same order, so an implementation must be a
/// function of what it is given: no clock, randomness, hash order, locale or configuration.
/// Time and a seed for anything random are in the entry.
///
/// A snapshot is the whole state as a sequence of parts, so that the log behind it can go
/// (Raft §7). It is made in slices between commands: `pin`, then `read_pinned` until it says
/// that it is done, then `unpin`. It becomes a state again on a machine that `empty` made:
/// `load` with the same parts in the same order, then `finish_load`. A small machine may copy
/// itself in `pin`; a large one keeps before-images (`replica::pinned`).
pub trait StateMachine {
    /// Applies one committed command and appends its answer to `answer`.
    ///
    /// Total: a command that makes no sense is answered with a message that says so, and
    /// changes nothing. Each command arrives once, also if its client had to repeat it.
    fn apply(&mut self, command: EntryRef<'_>, answer: &mut BytesMut);

    /// Is shown the payloads of some of the commands that are applied next, in this order, so
    /// that it can fetch from memory at once what they would otherwise wait for one after the
    /// other. Nothing that can be seen of the machine may depend on it.
    fn foresee(&self, _payloads: &[&[u8]]) {}

    /// Answers a query from the current state; appends the answer to `answer`. `log_time` (in
    /// microseconds) is what the node knows of it, for those who ask how long something lasts
    /// yet; a node that does not lead may know it a heartbeat late.
    fn query(&self, query: &[u8], log_time: u64, answer: &mut BytesMut);

    /// The number by which users see that the state has moved on, never falling.
    fn revision(&self) -> u64;

    /// A hash of the state: equal on two nodes that have applied the same commands.
    fn state_hash(&self) -> u64;

    /// What the machine's present state takes in memory, about, as a function of that state alone.
    /// A leader compares it with what may be taken. A machine that does not say is never too large.
    /// Units: bytes.
    fn live_bytes(&self) -> u64 {
        0
    }

    /// How many leases the machine has, for operators. A machine without leases does not say.
    fn leases(&self) -> u64 {
        0
    }

    /// Whether a command may add to `live_bytes`, so that a leader refuses it while these are too
    /// many. Judged by the command alone; `apply` does whatever stands in the log.
    fn grows(&self, _command: &[u8]) -> bool {
        false
    }

    /// In how many parts of an answer a command shows that can be joined with others of its kind;
    /// 0 if it cannot. Asked of commands of clients without a session.
    fn joinable_parts(&self, _command: &[u8]) -> u32 {
        0
    }

    /// Appends one command that does what all of these do, each of which can be joined. The parts
    /// of its answer are theirs, in this order.
    ///
    /// Panics: may panic if one of them cannot be joined.
    fn join(&self, _commands: &[&[u8]], _joined: &mut BytesMut) {
        unreachable!("commands are joined only by machines that say that they can be");
    }

    /// Appends what a client is answered whose command has these parts of the answer to a joined
    /// one.
    fn split(&self, _answer: &[u8], _parts: Range<u32>, _own: &mut BytesMut) {
        unreachable!("answers are split only by machines that join commands");
    }

    /// Appends a command that the machine asks for at `log_time` (in microseconds), if there is
    /// one. The leader proposes it for itself; nothing is asked again before it was applied.
    /// It is applied like any other command, perhaps after others that make it void.
    fn due(&self, _log_time: u64, _command: &mut BytesMut) {}

    /// Does a little of what can wait, such as freeing memory, in no more than a fraction of a
    /// millisecond. Called when there is nothing else to do; nothing that can be seen of the
    /// machine may depend on how often that was.
    fn idle(&mut self) {}

    /// Appends what changed from revision `from` on to `changes`, in a form that the machine's
    /// watchers read: whole revisions, the oldest first, and no further one once there are
    /// `bytes_max` bytes. Returns the revision to go on at, which is above `from` unless there
    /// is nothing from it on. A machine that shows no changes has none.
    ///
    /// Errors: `Forgotten` if the changes from there on are no longer all known; the caller
    /// should tell whoever wanted them, and begin at the revision that it names.
    fn changes(
        &self,
        from: u64,
        _bytes_max: usize,
        _changes: &mut BytesMut,
    ) -> Result<u64, Forgotten> {
        Ok(from.max(self.revision() + 1))
    }

    /// Makes the present state the one that `read_pinned` shows, from its beginning, whatever
    /// is applied meanwhile. An earlier pin is dropped. It should take no time that grows with
    /// the state.
    fn pin(&mut self);

    /// Appends the next part of the pinned state to `part`: at least one record and then about
    /// `bytes_max` bytes, the last record included that goes beyond. A part is never empty and
    /// never splits a record. A part is stored whole, so a record should be no longer than an
    /// entry: beyond 4 MiB a part is refused, and no snapshot is made.
    ///
    /// Returns whether more parts follow; with false this was the last one, and the call is
    /// not made again under this pin. The parts are a function of the pinned state and
    /// `bytes_max` alone, so that nodes with the same state write the same bytes.
    ///
    /// Panics: may panic if nothing is pinned.
    fn read_pinned(&mut self, bytes_max: usize, part: &mut BytesMut) -> bool;

    /// Ends reading, at its end or before. Without a pin it does nothing.
    fn unpin(&mut self);

    /// A machine of the same settings without any state, to load a snapshot into. It takes
    /// the place of this one when it is complete, so that loading replaces the state entirely
    /// and a failure changes nothing.
    #[must_use]
    fn empty(&self) -> Self
    where
        Self: Sized;

    /// Takes in the next part, exactly as one `read_pinned` made it. Only for a machine that
    /// `empty` made and that has applied nothing.
    ///
    /// Errors: `LoadError` for anything that `read_pinned` cannot have made, which is never a
    /// panic; the machine is of no use then and must be dropped.
    fn load(&mut self, part: &[u8]) -> Result<(), LoadError>;

    /// Checks that every part has arrived. From here on the machine equals the pinned one in
    /// every respect: hash, revision, answers, and what later commands do to it.
    ///
    /// Errors: as `load`, and if parts are missing.
    fn finish_load(&mut self) -> Result<(), LoadError>;
}

/// The changes that were asked for are not known any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// The first revision from which on they are.
    pub oldest: u64,
}

/// What was loaded is not a snapshot of this state machine. The caller must drop the machine
/// that it was loaded into, and get the snapshot from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    why: String,
}

impl LoadError {
    /// The error for this reason: a clause in lower case, on one line, without a full stop.
    #[must_use]
    pub fn because(why: impl Into<String>) -> Self {
        Self { why: why.into() }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this is not a snapshot of this state machine: {}", self.why)
    }
}

impl std::error::Error for LoadError {}
