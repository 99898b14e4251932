//! The snapshots in a directory: the newest two.

use bytes::Bytes;

use crate::snapshot::SnapshotId;
use crate::types::EntryId;
use crate::wal::disk::Disk;
use crate::wal::snapshots::build::Build;
use crate::wal::snapshots::error::SnapshotError;
use crate::wal::snapshots::layout::{
    self, FILE_BYTES_MIN, HEADER_BYTES, Header, INCOMING_FILE, NEW_FILE, TRAILER_BYTES, Trailer,
};
use crate::wal::snapshots::receive::Incoming;

/// How many files are kept. With the one before the newest, a transfer that has begun goes on
/// while a snapshot is built, and there is something to go back to if the newest is damaged.
const FILES_KEPT: usize = 2;

/// The snapshot files of one directory. Every call blocks until it is done.
#[derive(Debug)]
pub struct Snapshots<D> {
    pub(super) disk: D,
    /// Newest first.
    files: Vec<SnapshotId>,
    pub(super) build: Option<Build>,
    pub(super) incoming: Option<Incoming>,
}

/// What was found when a directory was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The newest snapshot that is there. Its content is verified when it is loaded.
    pub newest: Option<SnapshotId>,
    /// Files that were damaged, as [`SnapshotError::Damaged`]; they were set aside.
    pub damaged: Vec<SnapshotError>,
}

impl<D: Disk> Snapshots<D> {
    /// Opens the snapshots of a directory: what was not completed goes, what is damaged is
    /// renamed to `damaged-…`, and of the others the newest two stay.
    ///
    /// Errors: `Disk`; the same may be tried again. `Format` for a snapshot of another version
    /// of the program; nothing was changed.
    pub fn open(mut disk: D) -> Result<(Self, Found), SnapshotError> {
        let names = disk.list().map_err(SnapshotError::disk("list", "the directory"))?;
        let mut lasts: Vec<EntryId> = names.iter().filter_map(|n| layout::parse_name(n)).collect();
        lasts.sort_unstable_by(|a, b| b.cmp(a));
        let (mut files, mut found) = (Vec::new(), Found::default());
        for last in lasts {
            match inspect(&mut disk, last) {
                Ok(id) => files.push(id),
                Err(error @ SnapshotError::Damaged { .. }) => found.damaged.push(error),
                Err(error) => return Err(error),
            }
        }
        for name in names.iter().filter(|name| [NEW_FILE, INCOMING_FILE].contains(&name.as_str())) {
            disk.remove(name).map_err(SnapshotError::disk("remove", name))?;
        }
        for error in &found.damaged {
            if let SnapshotError::Damaged { file, .. } = error {
                set_aside(&mut disk, file)?;
            }
        }
        if let Some(newest) = files.first() {
            // The process may have ended between renaming and syncing the directory. Renaming
            // a file to its own name changes nothing and makes its name durable.
            let name = layout::file_name(newest.last);
            disk.rename(&name, &name).map_err(SnapshotError::disk("rename", &name))?;
        }
        for old in files.drain(FILES_KEPT.min(files.len())..) {
            let name = layout::file_name(old.last);
            disk.remove(&name).map_err(SnapshotError::disk("remove", &name))?;
        }
        found.newest = files.first().copied();
        Ok((Self { disk, files, build: None, incoming: None }, found))
    }

    /// The snapshots that are there, newest first.
    #[must_use]
    pub fn all(&self) -> &[SnapshotId] {
        &self.files
    }

    /// The newest snapshot.
    #[must_use]
    pub fn newest(&self) -> Option<SnapshotId> {
        self.files.first().copied()
    }

    /// Reads up to `bytes_max` bytes of a snapshot from `offset` on, to be sent; nothing at or
    /// behind its end. They are not verified: who receives them does.
    ///
    /// Errors: `Gone` if the snapshot is not there, `Damaged` if the file is too short, `Disk`.
    pub fn read(
        &mut self,
        id: SnapshotId,
        offset: u64,
        bytes_max: usize,
    ) -> Result<Bytes, SnapshotError> {
        self.check_is_there(id)?;
        let left = id.bytes.saturating_sub(offset);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes_max);
        let mut bytes = vec![0; length];
        read_exactly(&mut self.disk, &layout::file_name(id.last), offset, &mut bytes)?;
        Ok(bytes.into())
    }

    /// Renames a snapshot that turned out to be of no use to `damaged-…`, for people; nothing
    /// reads it again.
    ///
    /// Errors: `Gone` if it is not there, `Disk` if it could not be renamed; it is no longer
    /// used in any case.
    pub fn set_aside(&mut self, id: SnapshotId) -> Result<(), SnapshotError> {
        self.check_is_there(id)?;
        self.files.retain(|file| *file != id);
        set_aside(&mut self.disk, &layout::file_name(id.last))
    }

    /// The disk, when the snapshots are no longer used. What was not completed is lost.
    #[must_use]
    pub fn into_disk(self) -> D {
        self.disk
    }

    pub(super) fn check_is_there(&self, id: SnapshotId) -> Result<(), SnapshotError> {
        if self.files.contains(&id) { Ok(()) } else { Err(SnapshotError::Gone(id)) }
    }

    /// Takes in a file that has got its name, and removes what is too old now.
    pub(super) fn add(&mut self, id: SnapshotId) {
        // A file of the same name was replaced by the renaming.
        self.files.retain(|file| file.last != id.last);
        self.files.push(id);
        self.files.sort_unstable_by(|a, b| b.cmp(a));
        for old in self.files.drain(FILES_KEPT.min(self.files.len())..) {
            // What cannot be removed now goes when the directory is opened again.
            let _ = self.disk.remove(&layout::file_name(old.last));
        }
    }
}

/// Reads header and trailer of the file that is called after `last`.
fn inspect<D: Disk>(disk: &mut D, last: EntryId) -> Result<SnapshotId, SnapshotError> {
    let name = layout::file_name(last);
    let damaged = |offset| SnapshotError::Damaged { file: name.clone(), offset };
    let length = disk.len(&name).map_err(SnapshotError::disk("measure", &name))?;
    if length < FILE_BYTES_MIN {
        return Err(damaged(length));
    }
    let mut header = [0; HEADER_BYTES];
    read_exactly(disk, &name, 0, &mut header)?;
    match layout::decode_header(&header) {
        Some(Header::Covers(covered)) if covered == last => {}
        Some(Header::OtherFormat(found)) => {
            return Err(SnapshotError::Format { file: name, found });
        }
        Some(Header::Covers(_)) | None => return Err(damaged(0)),
    }
    let mut trailer = [0; TRAILER_BYTES];
    let offset = length - TRAILER_BYTES as u64;
    read_exactly(disk, &name, offset, &mut trailer)?;
    match Trailer::decode(&trailer) {
        Some(Trailer { bytes, checksum, .. }) if bytes == length => {
            Ok(SnapshotId { last, bytes, checksum })
        }
        Some(_) | None => Err(damaged(offset)),
    }
}

/// Fills `into` from `offset` on.
///
/// Errors: `Damaged` if the file ends before, `Disk`.
pub(super) fn read_exactly<D: Disk>(
    disk: &mut D,
    name: &str,
    offset: u64,
    into: &mut [u8],
) -> Result<(), SnapshotError> {
    let read = disk.read(name, offset, into).map_err(SnapshotError::disk("read", name))?;
    if read < into.len() {
        return Err(SnapshotError::Damaged { file: name.to_owned(), offset });
    }
    Ok(())
}

fn set_aside<D: Disk>(disk: &mut D, name: &str) -> Result<(), SnapshotError> {
    let renamed = disk.rename(name, &format!("damaged-{name}"));
    renamed.map_err(SnapshotError::disk("rename", name))
}
