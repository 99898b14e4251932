//! A state without a node: made of a snapshot and the log behind it while nothing runs, changed,
//! and written as a snapshot of another cluster.

use bytes::BytesMut;

use crate::configuration::Configuration;
use crate::consensus::binding;
use crate::entry::{EntryKind, EntryRef};
use crate::replica::replica::execute;
use crate::replica::session::Use;
use crate::replica::sessions::{Sessions, Verdict};
use crate::replica::snapshots::{Loaded, parts_of};
use crate::replica::state_machine::StateMachine;
use crate::snapshot::{SnapshotId, SnapshotState};
use crate::types::EntryId;
use crate::wal::disk::Disk;
use crate::wal::snapshots::{SnapshotError, Snapshots};

impl<S: StateMachine> Loaded<S> {
    /// The state before the first entry of a log.
    #[must_use]
    pub fn at_the_beginning(machine: S, founding: Configuration) -> Self {
        let state = SnapshotState { configuration: founding, ..SnapshotState::default() };
        Self { machine, sessions: Sessions::default(), state }
    }

    /// The state machine.
    #[must_use]
    pub fn machine(&self) -> &S {
        &self.machine
    }

    /// The state machine, to be changed.
    pub fn machine_mut(&mut self) -> &mut S {
        &mut self.machine
    }

    /// Does with the next entry of the log what a replica does that applies it; nobody is
    /// answered.
    pub fn replay(&mut self, entry: EntryRef<'_>) {
        self.state.log_time = self.state.log_time.max(entry.log_time());
        self.state.feature_level = self.state.feature_level.max(entry.feature_level());
        let index = entry.id().index;
        match entry.kind() {
            EntryKind::Noop | EntryKind::Change => {}
            EntryKind::Bind => {
                for (node, incarnation) in binding::decode(entry.payload()) {
                    self.state.bindings.entry(node).or_insert(incarnation);
                }
            }
            EntryKind::Configure => {
                if let Some(made) = Configuration::made_by(index, entry.payload()) {
                    (self.state.configuration, self.state.configured_at) = (made, index);
                }
                self.replay_command(entry);
            }
            EntryKind::Command => self.replay_command(entry),
        }
    }

    fn replay_command(&mut self, entry: EntryRef<'_>) {
        let (session, mut answer) = (entry.session(), BytesMut::new());
        if !session.is_session() {
            execute(&mut self.machine, entry, &mut answer);
            return;
        }
        let now = Use { index: entry.id().index, log_time: self.state.log_time };
        if self.sessions.admit(&session, now) == Verdict::Execute {
            execute(&mut self.machine, entry, &mut answer);
            self.sessions.store(&session, &answer);
        }
    }

    /// Writes the state as the snapshot that covers everything up to `last`.
    ///
    /// Errors: as [`Snapshots::begin`], `append` and `finish`; nothing was written then.
    pub fn write<D: Disk>(
        mut self,
        last: EntryId,
        files: &mut Snapshots<D>,
    ) -> Result<SnapshotId, SnapshotError> {
        files.begin(last)?;
        let Self { machine, sessions, state } = &mut self;
        for part in parts_of(state, sessions, machine) {
            files.append(&part)?;
        }
        files.finish()
    }
}
