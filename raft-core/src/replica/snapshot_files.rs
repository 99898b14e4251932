//! Does with snapshot files what a replica orders; blocking, one order after the other.

use crate::replica::snapshots::{SnapshotFact, SnapshotOrder};
use crate::snapshot::SnapshotId;
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

impl<D: Disk> SnapshotFiles<D> {
    /// Executes orders on these files.
    #[must_use]
    pub fn new(files: Snapshots<D>) -> Self {
        Self { files, parts: None }
    }

    /// The disk, when no more orders will come.
    #[must_use]
    pub fn into_disk(self) -> D {
        self.files.into_disk()
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
                let data = self.files.read(id, offset, bytes_max).ok();
                let data = data.filter(|data| !data.is_empty());
                Some(SnapshotFact::Piece { id, offset, data })
            }
            SnapshotOrder::Receive { id, offset, data } => Some(self.receive(id, offset, &data)),
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

    fn receive(&mut self, id: SnapshotId, offset: u64, data: &[u8]) -> SnapshotFact {
        match self.files.receive(id, offset, data) {
            Ok(received) => SnapshotFact::Received {
                id,
                next_offset: received.next_offset,
                is_whole: received.is_complete,
            },
            // What was wrong is thrown away: from the beginning.
            Err(_) => SnapshotFact::Received { id, next_offset: 0, is_whole: false },
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

fn failed(error: &SnapshotError) -> SnapshotFact {
    SnapshotFact::Failed { why: error.to_string() }
}
