//! A file that is written from its beginning to its end and counts only when it is whole.

use crate::wal::disk::Disk;
use crate::wal::snapshots::error::SnapshotError;

/// A file under its temporary name.
#[derive(Debug)]
pub(super) struct Growing {
    name: &'static str,
    unsynced_bytes: usize,
    unsynced_bytes_max: usize,
}

impl Growing {
    /// Begins a file; one of that name is replaced. Whenever `unsynced_bytes_max` were written
    /// they are synced, so that a snapshot never leaves so much to be written out at once that a
    /// sync of the log waits for it.
    pub(super) fn create<D: Disk>(
        disk: &mut D,
        name: &'static str,
        unsynced_bytes_max: usize,
    ) -> Result<Self, SnapshotError> {
        disk.create(name, 0).map_err(SnapshotError::disk("create", name))?;
        Ok(Self { name, unsynced_bytes: 0, unsynced_bytes_max })
    }

    /// Adds bytes at the end.
    ///
    /// Errors: `Disk`; the file must be thrown away, most of all after a failed sync, which
    /// cannot be repeated.
    pub(super) fn append<D: Disk>(
        &mut self,
        disk: &mut D,
        bytes: &[u8],
    ) -> Result<(), SnapshotError> {
        disk.append(self.name, bytes).map_err(SnapshotError::disk("write", self.name))?;
        self.unsynced_bytes += bytes.len();
        if self.unsynced_bytes_max <= self.unsynced_bytes {
            self.sync(disk)?;
        }
        Ok(())
    }

    /// Makes the file durable and gives it its name.
    ///
    /// Errors: as [`Self::append`].
    pub(super) fn complete<D: Disk>(
        &mut self,
        disk: &mut D,
        name: &str,
    ) -> Result<(), SnapshotError> {
        self.sync(disk)?;
        disk.rename(self.name, name).map_err(SnapshotError::disk("rename", self.name))
    }

    fn sync<D: Disk>(&mut self, disk: &mut D) -> Result<(), SnapshotError> {
        self.unsynced_bytes = 0;
        disk.sync(self.name).map_err(SnapshotError::disk("sync", self.name))
    }

    /// Removes the file. If that fails the next opening does it; nobody reads it until then.
    pub(super) fn throw_away<D: Disk>(self, disk: &mut D) {
        let _ = disk.remove(self.name);
    }
}
