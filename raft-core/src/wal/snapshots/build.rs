//! Building a snapshot: a header, a chunk for each part, a trailer.

use crate::snapshot::SnapshotId;
use crate::teeth::is_removed;
use crate::types::EntryId;
use crate::wal::disk::Disk;
use crate::wal::snapshots::error::SnapshotError;
use crate::wal::snapshots::files::Snapshots;
use crate::wal::snapshots::growing::Growing;
use crate::wal::snapshots::layout::{self, CHUNK_BYTES_MAX, ChunkHead, NEW_FILE};
use crate::wal::snapshots::walk::Tally;

/// How much of a snapshot is not synced while it is built, beside commands whose entries are.
/// Units: bytes.
const UNSYNCED_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A snapshot that is being built.
#[derive(Debug)]
pub(super) struct Build {
    last: EntryId,
    file: Growing,
    tally: Tally,
}

impl<D: Disk> Snapshots<D> {
    /// Begins a snapshot of everything up to `last`. One that was being built is abandoned, and
    /// one that ends there too will be replaced: it may be of no use.
    ///
    /// Errors: `NotNewer` if there is one that covers more, `Disk`; nothing was begun then.
    pub fn begin(&mut self, last: EntryId) -> Result<(), SnapshotError> {
        self.abandon();
        self.check_is_not_older(last)?;
        let mut file = Growing::create(&mut self.disk, NEW_FILE, UNSYNCED_BYTES_MAX)?;
        let header = layout::encode_header(last);
        if let Err(error) = file.append(&mut self.disk, &header) {
            file.throw_away(&mut self.disk);
            return Err(error);
        }
        self.build = Some(Build { last, file, tally: Tally::after(&header) });
        Ok(())
    }

    /// Whether a snapshot is being built.
    #[must_use]
    pub fn is_building(&self) -> bool {
        self.build.is_some()
    }

    /// Adds a part: what `Snapshots::next_part` will return as one, up to
    /// [`CHUNK_BYTES_MAX`]. An empty one adds nothing.
    ///
    /// Errors: `TooLong`, `Disk`; the snapshot was abandoned then.
    ///
    /// Panics: if none is being built.
    pub fn append(&mut self, part: &[u8]) -> Result<(), SnapshotError> {
        let mut build = self.build.take().expect("a part belongs to a snapshot that was begun");
        match build.append(&mut self.disk, part) {
            Ok(()) => {
                self.build = Some(build);
                Ok(())
            }
            Err(error) => {
                build.file.throw_away(&mut self.disk);
                Err(error)
            }
        }
    }

    /// Completes the snapshot, which is durable and the newest one when this returns; of the
    /// others the newest stays.
    ///
    /// Errors: `NotNewer` if one that covers more was received meanwhile, `Disk`; the
    /// snapshot was abandoned then.
    ///
    /// Panics: if none is being built.
    pub fn finish(&mut self) -> Result<SnapshotId, SnapshotError> {
        let mut build = self.build.take().expect("a snapshot is begun before it is finished");
        let superseded = self.check_is_not_older(build.last);
        let finished = superseded.and_then(|()| build.finish(&mut self.disk));
        match finished {
            Ok(id) => {
                self.add(id);
                Ok(id)
            }
            Err(error) => {
                build.file.throw_away(&mut self.disk);
                Err(error)
            }
        }
    }

    /// Throws away the snapshot that is being built, if there is one.
    pub fn abandon(&mut self) {
        if let Some(build) = self.build.take() {
            build.file.throw_away(&mut self.disk);
        }
    }

    fn check_is_not_older(&self, last: EntryId) -> Result<(), SnapshotError> {
        let strict = is_removed("given-up-snapshots-are-replaced");
        match self.newest() {
            Some(newest) if last < newest.last || (strict && last == newest.last) => {
                Err(SnapshotError::NotNewer { newest })
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Build {
    fn append<D: Disk>(&mut self, disk: &mut D, part: &[u8]) -> Result<(), SnapshotError> {
        if CHUNK_BYTES_MAX < part.len() {
            let (bytes, bytes_max) = (part.len() as u64, CHUNK_BYTES_MAX as u64);
            return Err(SnapshotError::TooLong { bytes, bytes_max });
        }
        if part.is_empty() {
            return Ok(());
        }
        let head = ChunkHead::of(self.tally.next_number(), part);
        self.file.append(disk, &head.encode())?;
        self.file.append(disk, part)?;
        self.tally.add(head);
        Ok(())
    }

    fn finish<D: Disk>(&mut self, disk: &mut D) -> Result<SnapshotId, SnapshotError> {
        self.file.append(disk, &self.tally.trailer().encode())?;
        self.file.complete(disk, &layout::file_name(self.last))?;
        Ok(self.tally.id(self.last))
    }
}
