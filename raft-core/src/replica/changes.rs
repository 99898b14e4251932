//! What changed in the state machine, for those who watch it.

use bytes::{Bytes, BytesMut};

use crate::replica::replica::Replica;
use crate::replica::state_machine::{Forgotten, StateMachine};
use crate::teeth::is_removed;

/// Changes of some revisions in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// The revision to go on at: everything before it, from where was asked on, is here.
    pub next: u64,
    /// What changed, in the machine's own form.
    pub bytes: Bytes,
}

/// Why a node does not say what changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoChanges {
    /// What was asked for is not known any more.
    Forgotten(Forgotten),
    /// The state of this node differs from the majority's and waits to be replaced.
    Fenced,
}

impl<S: StateMachine> Replica<S> {
    /// What changed from a revision on: whole revisions, the oldest first, of which the last one
    /// may go beyond `bytes_max`.
    ///
    /// Errors: `NoChanges`; the caller should tell whoever watches.
    pub fn changes(&self, from: u64, bytes_max: usize) -> Result<Changes, NoChanges> {
        if self.fence.is_fenced() {
            return Err(NoChanges::Fenced);
        }
        let mut bytes = BytesMut::new();
        let next = match self.machine.changes(from, bytes_max, &mut bytes) {
            Err(Forgotten { oldest }) if is_removed("lost-changes-are-told") => {
                self.machine.changes(oldest, bytes_max, &mut bytes)
            }
            next => next,
        };
        let next = next.map_err(NoChanges::Forgotten)?;
        assert!(from <= next, "changes are read forwards");
        Ok(Changes { next, bytes: bytes.freeze() })
    }
}
