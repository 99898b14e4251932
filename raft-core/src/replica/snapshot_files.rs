//! Does with snapshot files what a replica orders; blocking, one order after the other.

use bytes::Bytes;

use crate::replica::snapshots::{Loaded, Loader, SnapshotFact, SnapshotOrder};
use crate::replica::state_machine::StateMachine;
use crate::snapshot::SnapshotId;
use crate::teeth::is_removed;
use crate::types::EntryId;
use crate::wal::disk::Disk;
use crate::wal::snapshots::{Parts, SnapshotError, Snapshots};

/// The snapshot files of a replica.
#[derive(Debug)]
pub struct SnapshotFiles<D> {
    files: Snapshots<D>,
    /// The snapshot that is being loaded.
    parts: Option<Parts>,
}

/// What a start finds in snapshot files.
#[derive(Debug)]
pub struct Found<S> {
    /// The newest snapshot that is whole, in a state machine.
    pub newest: Option<(SnapshotId, Loaded<S>)>,
    /// What is wrong with newer ones, which were set aside; for the log of the program.
    pub set_aside: Vec<String>,
}

impl<D: Disk> SnapshotFiles<D> {
    /// Executes orders on these files.
    #[must_use]
    pub fn new(files: Snapshots<D>) -> Self {
        Self { files, parts: None }
    }

    /// Opens the snapshots of a directory and loads the newest one that is whole; `machine` is
    /// an empty state machine. What turns out to be damaged on the way is set aside.
    ///
    /// Errors: `Disk`, which says nothing about any snapshot, so that none was set aside for it;
    /// the same may be tried again. `Format`, as `Snapshots::open`.
    pub fn open<S: StateMachine>(disk: D, machine: &S) -> Result<(Self, Found<S>), SnapshotError> {
        let (mut files, opened) = Snapshots::open(disk)?;
        let mut set_aside: Vec<String> = opened.damaged.iter().map(ToString::to_string).collect();
        let mut newest = None;
        while let Some(id) = files.newest().filter(|_| newest.is_none()) {
            match load(&mut files, id, machine)? {
                Ok(loaded) => newest = Some((id, loaded)),
                Err(why) => {
                    set_aside.push(format!("snapshot {id} cannot be loaded: {why}"));
                    files.set_aside(id)?;
                }
            }
        }
        Ok((Self::new(files), Found { newest, set_aside }))
    }

    /// The disk, when no more orders will come.
    #[must_use]
    pub fn into_disk(self) -> D {
        self.files.into_disk()
    }

    /// The newest snapshot that is there.
    #[must_use]
    pub fn newest(&self) -> Option<SnapshotId> {
        self.files.newest()
    }

    /// Reads a piece of a snapshot's file; `None` if it is gone, cannot be read or ends before.
    pub fn read(&mut self, id: SnapshotId, offset: u64, bytes_max: usize) -> Option<Bytes> {
        self.files.read(id, offset, bytes_max).ok().filter(|data| !data.is_empty())
    }

    /// Executes an order and returns what the replica is to be told of it.
    pub fn execute(&mut self, order: SnapshotOrder) -> Option<SnapshotFact> {
        match order {
            SnapshotOrder::Begin { last } => self.begin(last),
            SnapshotOrder::Append { part } => self.append(&part),
            SnapshotOrder::Finish => self.finish(),
            SnapshotOrder::Abandon => {
                self.files.abandon();
                None
            }
            SnapshotOrder::Read { id, offset, bytes_max } => {
                let data = self.read(id, offset, bytes_max);
                Some(SnapshotFact::Piece { id, offset, data })
            }
            SnapshotOrder::Receive { id, offset, data } => self.receive(id, offset, &data),
            SnapshotOrder::Load { id } => match self.files.open_parts(id) {
                Ok(parts) => {
                    self.parts = Some(parts);
                    self.next_part()
                }
                Err(error) => Some(SnapshotFact::Unreadable { why: error.to_string() }),
            },
            SnapshotOrder::LoadNext => self.next_part(),
            SnapshotOrder::DiscardAll => {
                while let Some(id) = self.files.newest() {
                    // It is used by nobody any more, also if its name stays.
                    let _ = self.files.set_aside(id);
                }
                None
            }
            SnapshotOrder::Discard { id } => {
                // It is used by nobody any more, also if its name stays.
                let _ = self.files.set_aside(id);
                None
            }
        }
    }

    fn begin(&mut self, last: EntryId) -> Option<SnapshotFact> {
        self.files.begin(last).err().map(|error| failed(&error))
    }

    fn append(&mut self, part: &[u8]) -> Option<SnapshotFact> {
        // The beginning has failed, and that was told.
        if !self.files.is_building() {
            return None;
        }
        Some(match self.files.append(part) {
            Ok(()) => SnapshotFact::Written,
            Err(error) => failed(&error),
        })
    }

    fn finish(&mut self) -> Option<SnapshotFact> {
        if !self.files.is_building() {
            return None;
        }
        Some(match self.files.finish() {
            Ok(id) => SnapshotFact::Finished { id },
            Err(error) => failed(&error),
        })
    }

    fn receive(&mut self, id: SnapshotId, offset: u64, data: &[u8]) -> Option<SnapshotFact> {
        match self.files.receive(id, offset, data) {
            Ok(received) => Some(SnapshotFact::Received {
                id,
                next_offset: received.next_offset,
                is_whole: received.is_complete,
            }),
            // Nothing is wrong with the piece. The leader asks again after a while.
            Err(SnapshotError::Disk { .. }) => None,
            // What was wrong is thrown away: from the beginning.
            Err(_) => Some(SnapshotFact::Received { id, next_offset: 0, is_whole: false }),
        }
    }

    fn next_part(&mut self) -> Option<SnapshotFact> {
        let parts = self.parts.as_mut()?;
        Some(match self.files.next_part(parts) {
            Ok(part) => {
                if part.is_none() {
                    self.parts = None;
                }
                SnapshotFact::Part { part }
            }
            Err(error) => {
                self.parts = None;
                SnapshotFact::Unreadable { why: error.to_string() }
            }
        })
    }
}

/// Loads a snapshot. Errors inside: what is wrong with the file or with what it holds.
fn load<D: Disk, S: StateMachine>(
    files: &mut Snapshots<D>,
    id: SnapshotId,
    machine: &S,
) -> Result<Result<Loaded<S>, String>, SnapshotError> {
    let mut loader = Loader::new(machine.empty());
    let mut parts = match files.open_parts(id) {
        Ok(parts) => parts,
        Err(error) => return damaged(error).map(Err),
    };
    loop {
        match files.next_part(&mut parts) {
            Ok(Some(part)) => {
                if let Err(error) = loader.load(&part) {
                    return Ok(Err(error.to_string()));
                }
            }
            Ok(None) => return Ok(loader.finish().map_err(|error| error.to_string())),
            Err(error) => return damaged(error).map(Err),
        }
    }
}

/// What an error says about a file, if it says anything.
fn damaged(error: SnapshotError) -> Result<String, SnapshotError> {
    match error {
        SnapshotError::Disk { .. } if !is_removed("errors-are-no-damage") => Err(error),
        _ => Ok(error.to_string()),
    }
}

fn failed(error: &SnapshotError) -> SnapshotFact {
    SnapshotFact::Failed { why: error.to_string() }
}
