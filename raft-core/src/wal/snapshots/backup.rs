//! A backup: a snapshot with a head that says whose it is, so that it stands for itself anywhere.
//!
//! | offset | bytes | head |
//! |---|---|---|
//! | 0 | 4 | CRC of bytes 4..72 |
//! | 4 | 4 | `KVBK` |
//! | 8 | 1 | format version (1) |
//! | 9 | 7 | reserved (0) |
//! | 16 | 8 | cluster id |
//! | 24 | 8 | id of the node that made it |
//! | 32 | 8 | wall time when it was made, microseconds since 1970 |
//! | 40 | 16 | term and index of the last entry that the snapshot covers |
//! | 56 | 8 | bytes of the snapshot's file |
//! | 64 | 4 | the checksum of its trailer |
//! | 68 | 4 | reserved (0) |
//!
//! The snapshot's file follows, to its last byte.

use bytes::{Buf, BufMut, Bytes};

use crate::snapshot::SnapshotId;
use crate::types::{EntryId, Index, Term};
use crate::wal::snapshots::layout::{
    self, CHUNK_HEAD_BYTES, FILE_BYTES_MIN, HEADER_BYTES, Header, TRAILER_BYTES, Trailer,
};
use crate::wal::snapshots::walk::{Step, Walk, Wrong};

/// The length of the head. Units: bytes.
pub const BACKUP_HEAD_BYTES: usize = 72;

const MAGIC: [u8; 4] = *b"KVBK";
const FORMAT: u8 = 1;

/// Whose a backup is, and of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupHead {
    /// The cluster.
    pub cluster_id: u64,
    /// The node that made it.
    pub node_id: u64,
    /// When, by the clock of whoever wrote the file. Units: microseconds since 1970.
    pub wall_time_us: u64,
    /// The snapshot that follows.
    pub snapshot: SnapshotId,
}

/// What stands at the beginning of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// A backup.
    Backup(BackupHead),
    /// A backup of another version of the program, which has this layout.
    OtherFormat(u8),
    /// The file of a snapshot, as a node has it, or as etcd's clients save it.
    Snapshot,
}

impl BackupHead {
    /// The head as it stands in the file.
    #[must_use]
    pub fn encode(&self) -> [u8; BACKUP_HEAD_BYTES] {
        let mut bytes = [0; BACKUP_HEAD_BYTES];
        let mut rest = &mut bytes[4..];
        rest.put_slice(&MAGIC);
        rest.put_u8(FORMAT);
        rest.put_bytes(0, 7);
        rest.put_u64_le(self.cluster_id);
        rest.put_u64_le(self.node_id);
        rest.put_u64_le(self.wall_time_us);
        rest.put_u64_le(self.snapshot.last.term.0);
        rest.put_u64_le(self.snapshot.last.index.0);
        rest.put_u64_le(self.snapshot.bytes);
        rest.put_u32_le(self.snapshot.checksum);
        layout::seal(&mut bytes);
        bytes
    }

    /// The length of the whole file. Units: bytes.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        BACKUP_HEAD_BYTES as u64 + self.snapshot.bytes
    }
}

impl Beginning {
    /// Reads the beginning of a file; `None` if it is none that we write.
    #[must_use]
    pub fn decode(bytes: &[u8; BACKUP_HEAD_BYTES]) -> Option<Self> {
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk().expect("a head is longer");
        if layout::decode_header(header).is_some() {
            return Some(Self::Snapshot);
        }
        let mut rest = layout::verified(bytes, MAGIC)?;
        let format = rest.get_u8();
        if format != FORMAT {
            return Some(Self::OtherFormat(format));
        }
        rest.advance(7);
        let (cluster_id, node_id) = (rest.get_u64_le(), rest.get_u64_le());
        let wall_time_us = rest.get_u64_le();
        let term = Term(rest.get_u64_le());
        let last = EntryId { term, index: Index(rest.get_u64_le()) };
        let (bytes, checksum) = (rest.get_u64_le(), rest.get_u32_le());
        let snapshot = SnapshotId { last, bytes, checksum };
        Some(Self::Backup(BackupHead { cluster_id, node_id, wall_time_us, snapshot }))
    }
}

/// What a file that ends in a trailer, and is so long, is called; `None` if header and trailer
/// do not verify or do not go with each other.
#[must_use]
pub fn name_of(header: &[u8], trailer: &[u8], file_bytes: u64) -> Option<SnapshotId> {
    let Some(Header::Covers(last)) = layout::decode_header(header.first_chunk()?) else {
        return None;
    };
    let Trailer { bytes, checksum, .. } = Trailer::decode(trailer.first_chunk()?)?;
    (bytes == file_bytes).then_some(SnapshotId { last, bytes, checksum })
}

/// How long header and trailer of a snapshot's file are. Units: bytes.
pub const SNAPSHOT_ENDS_BYTES: (usize, usize) = (HEADER_BYTES, TRAILER_BYTES);

/// Why a part of a snapshot could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamError<E> {
    /// It could not be read.
    Read(E),
    /// What stands there is not what was written.
    Damaged {
        /// Where the part starts that does not verify, from the beginning of the snapshot. Units:
        /// bytes.
        offset: u64,
    },
}

/// The parts of a snapshot whose bytes come in order from anywhere, each verified before it is
/// shown.
#[derive(Debug)]
pub struct PartStream<R> {
    read: R,
    walk: Option<Walk>,
    id: SnapshotId,
    is_at_end: bool,
}

impl<R, E> PartStream<R>
where
    R: FnMut(&mut [u8]) -> Result<(), E>,
{
    /// Reads this snapshot by `read`, which fills what it is given with the next bytes of the
    /// file, or says why it cannot.
    pub fn new(id: SnapshotId, read: R) -> Self {
        Self { read, walk: None, id, is_at_end: false }
    }

    /// The next part; `None` at the end, when the whole file has been verified. Until then the
    /// parts before are not yet known to be all of it.
    ///
    /// Errors: `StreamError`; the stream is of no use then.
    pub fn next_part(&mut self) -> Result<Option<Bytes>, StreamError<E>> {
        if self.is_at_end {
            return Ok(None);
        }
        if self.id.bytes < FILE_BYTES_MIN {
            return Err(StreamError::Damaged { offset: 0 });
        }
        let mut walk = match self.walk {
            Some(walk) => walk,
            None => {
                let header = self.take::<HEADER_BYTES>()?;
                let walk = Walk::begin(self.id, &header);
                walk.map_err(|Wrong| StreamError::Damaged { offset: 0 })?
            }
        };
        let offset = walk.offset();
        let damaged = |Wrong| StreamError::Damaged { offset };
        if walk.next_step() == Step::Trailer {
            let trailer = self.take::<TRAILER_BYTES>()?;
            walk.check_trailer(&trailer).map_err(damaged)?;
            self.is_at_end = true;
            return Ok(None);
        }
        let head = self.take::<CHUNK_HEAD_BYTES>()?;
        let head = walk.chunk_head(head).map_err(damaged)?;
        let mut content = vec![0; head.length as usize];
        (self.read)(&mut content).map_err(StreamError::Read)?;
        let checksum = crc32c::crc32c_append(walk.chunk_seed(head), &content);
        walk.pass_chunk(head, checksum).map_err(damaged)?;
        self.walk = Some(walk);
        Ok(Some(content.into()))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], StreamError<E>> {
        let mut bytes = [0; N];
        (self.read)(&mut bytes).map_err(StreamError::Read)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::memory_disk::MemoryDisk;
    use crate::wal::snapshots::Snapshots;

    fn file() -> (SnapshotId, Vec<u8>) {
        let (mut snapshots, _) = Snapshots::open(MemoryDisk::default()).unwrap();
        snapshots.begin(EntryId { term: Term(3), index: Index(77) }).unwrap();
        for part in [&b"one"[..], b"another part", &[7; 300]] {
            snapshots.append(part).unwrap();
        }
        let id = snapshots.finish().unwrap();
        (id, snapshots.read(id, 0, usize::MAX).unwrap().to_vec())
    }

    fn parts(id: SnapshotId, file: &[u8]) -> Result<Vec<Bytes>, StreamError<()>> {
        let mut rest = file;
        let mut stream = PartStream::new(id, |into: &mut [u8]| {
            let (taken, left) = rest.split_at_checked(into.len()).ok_or(())?;
            into.copy_from_slice(taken);
            rest = left;
            Ok(())
        });
        let mut parts = Vec::new();
        while let Some(part) = stream.next_part()? {
            parts.push(part);
        }
        Ok(parts)
    }

    #[test]
    fn parts_come_as_they_were_appended_and_no_byte_may_be_another() {
        let (id, file) = file();
        assert_eq!(parts(id, &file).unwrap().concat().len(), 315);
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 4;
            parts(id, &changed).expect_err("a byte is another one");
            parts(id, &file[..at]).expect_err("the file is cut short");
        }
        let (header, trailer) = (&file[..HEADER_BYTES], &file[file.len() - TRAILER_BYTES..]);
        assert_eq!(name_of(header, trailer, file.len() as u64), Some(id));
        assert_eq!(name_of(header, trailer, file.len() as u64 + 1), None);
        assert_eq!(name_of(trailer, header, file.len() as u64), None);
    }

    #[test]
    fn a_head_reads_back_and_no_byte_of_it_may_be_another() {
        let (snapshot, file) = file();
        let head = BackupHead { cluster_id: 5, node_id: 2, wall_time_us: 99, snapshot };
        let bytes = head.encode();
        assert_eq!(Beginning::decode(&bytes), Some(Beginning::Backup(head)));
        for at in 0..bytes.len() {
            let mut changed = bytes;
            changed[at] ^= 1;
            assert_eq!(Beginning::decode(&changed), None, "byte {at}");
        }
        let bare = file.first_chunk().unwrap();
        assert_eq!(Beginning::decode(bare), Some(Beginning::Snapshot));
        let mut newer = bytes;
        newer[8] = 2;
        layout::seal(&mut newer);
        assert_eq!(Beginning::decode(&newer), Some(Beginning::OtherFormat(2)));
    }
}
