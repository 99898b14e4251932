//! Loading a snapshot: its parts in order, each verified before it is shown.

use bytes::Bytes;

use crate::snapshot::SnapshotId;
use crate::wal::disk::Disk;
use crate::wal::snapshots::error::SnapshotError;
use crate::wal::snapshots::files::{Snapshots, read_exactly};
use crate::wal::snapshots::layout::{self, CHUNK_HEAD_BYTES, HEADER_BYTES, TRAILER_BYTES};
use crate::wal::snapshots::walk::{Step, Walk, Wrong};

/// How far a snapshot has been loaded.
#[derive(Clone, Debug)]
pub struct Parts {
    file: String,
    walk: Walk,
    is_at_end: bool,
}

impl Parts {
    /// The snapshot.
    #[must_use]
    pub fn id(&self) -> SnapshotId {
        self.walk.id()
    }

    fn damaged(&self) -> SnapshotError {
        SnapshotError::Damaged { file: self.file.clone(), offset: self.walk.offset() }
    }
}

impl<D: Disk> Snapshots<D> {
    /// Begins to load a snapshot.
    ///
    /// Errors: `Gone` if it is not there, `Damaged` if its header does not verify, `Disk`.
    pub fn open_parts(&mut self, id: SnapshotId) -> Result<Parts, SnapshotError> {
        self.check_is_there(id)?;
        let file = layout::file_name(id.last);
        let mut header = [0; HEADER_BYTES];
        read_exactly(&mut self.disk, &file, 0, &mut header)?;
        match Walk::begin(id, &header) {
            Ok(walk) => Ok(Parts { file, walk, is_at_end: false }),
            Err(Wrong) => Err(SnapshotError::Damaged { file, offset: 0 }),
        }
    }

    /// The next part, exactly as it was appended; `None` at the end, when the whole file has
    /// been verified. Until then the parts before are not yet known to be all of it.
    ///
    /// Errors: `Gone` if the snapshot was replaced meanwhile, `Damaged`, `Disk`. What was
    /// loaded so far must be dropped then, except that after `Disk` the same call may be
    /// repeated.
    pub fn next_part(&mut self, parts: &mut Parts) -> Result<Option<Bytes>, SnapshotError> {
        self.check_is_there(parts.id())?;
        if parts.is_at_end {
            return Ok(None);
        }
        match parts.walk.next_step() {
            Step::Chunk => self.next_chunk(parts).map(Some),
            Step::Trailer => {
                let mut trailer = [0; TRAILER_BYTES];
                let disk = &mut self.disk;
                read_exactly(disk, &parts.file, parts.walk.offset(), &mut trailer)?;
                parts.walk.check_trailer(&trailer).map_err(|Wrong| parts.damaged())?;
                parts.is_at_end = true;
                Ok(None)
            }
        }
    }

    fn next_chunk(&mut self, parts: &mut Parts) -> Result<Bytes, SnapshotError> {
        let offset = parts.walk.offset();
        let mut head = [0; CHUNK_HEAD_BYTES];
        read_exactly(&mut self.disk, &parts.file, offset, &mut head)?;
        let head = parts.walk.chunk_head(head).map_err(|Wrong| parts.damaged())?;
        let mut content = vec![0; head.length as usize];
        read_exactly(&mut self.disk, &parts.file, offset + CHUNK_HEAD_BYTES as u64, &mut content)?;
        let checksum = crc32c::crc32c_append(parts.walk.chunk_seed(head), &content);
        parts.walk.pass_chunk(head, checksum).map_err(|Wrong| parts.damaged())?;
        Ok(content.into())
    }
}
