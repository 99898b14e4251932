//! How far one node has come, none of which ever goes back.

use raft_core::replica::Replica;
use raft_core::types::Index;

use crate::machine::Registers;

/// What is known of one life of a node.
#[derive(Debug, Default)]
pub(crate) struct Course {
    commit_index: Index,
    applied_index: Index,
    executed_index: Index,
    is_fenced: bool,
}

impl Course {
    /// A life begins on a disk that knows so much to be committed.
    pub(crate) fn begin(commit_index: Index) -> Self {
        Self { commit_index, ..Self::default() }
    }

    /// The node has done something.
    ///
    /// Panics: if its commit index (I9), its applied index (I10) or what it executes (I18) goes
    /// back. Only a state that was found to be wrong is made anew from an earlier one.
    pub(crate) fn moved_on(&mut self, replica: &Replica<Registers>) {
        let status = replica.status();
        let (id, before) = (status.node, &*self);
        let (committed, applied) = (status.commit_index, status.applied_index);
        assert!(before.commit_index <= committed, "I9 the commit index of n{id} goes back");
        let is_right = !before.is_fenced;
        assert!(before.applied_index <= applied || !is_right, "I10 n{id} applies backwards");
        let mut last = if is_right { before.executed_index } else { Index::ZERO };
        for index in replica.machine().take_executed() {
            assert!(last < index, "I18 n{id} executes entry {index} behind entry {last}");
            last = index;
        }
        *self = Self {
            commit_index: committed,
            applied_index: applied,
            executed_index: last,
            is_fenced: status.is_fenced,
        };
    }
}
