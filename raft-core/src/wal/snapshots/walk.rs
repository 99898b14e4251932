//! A file from its beginning to its end: what may come next, and whether it fits.
//!
//! Whoever writes, receives or loads a snapshot goes through the same steps; this is the place
//! where they are counted and compared.

use crate::snapshot::SnapshotId;
use crate::teeth::is_removed;
use crate::types::EntryId;
use crate::wal::snapshots::layout::{
    self, CHUNK_HEAD_BYTES, ChunkHead, HEADER_BYTES, Header, TRAILER_BYTES, Trailer,
};

/// Header and chunks so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tally {
    /// Units: bytes.
    pub(super) bytes: u64,
    chunk_count: u64,
    checksum: u32,
}

impl Tally {
    /// After this header.
    pub(super) fn after(header: &[u8; HEADER_BYTES]) -> Self {
        let checksum = crc32c::crc32c(&layout::checksum_of(header).to_le_bytes());
        Self { bytes: HEADER_BYTES as u64, chunk_count: 0, checksum }
    }

    /// The number of the next chunk.
    pub(super) fn next_number(&self) -> u64 {
        self.chunk_count
    }

    /// Counts a chunk.
    pub(super) fn add(&mut self, head: ChunkHead) {
        self.bytes += CHUNK_HEAD_BYTES as u64 + u64::from(head.length);
        self.chunk_count += 1;
        self.checksum = crc32c::crc32c_append(self.checksum, &head.checksum.to_le_bytes());
    }

    /// The trailer that goes here.
    pub(super) fn trailer(&self) -> Trailer {
        let Self { bytes, chunk_count, checksum } = *self;
        Trailer { chunk_count, bytes: bytes + TRAILER_BYTES as u64, checksum }
    }

    /// The name of the snapshot that ends here.
    pub(super) fn id(&self, last: EntryId) -> SnapshotId {
        let Trailer { bytes, checksum, .. } = self.trailer();
        SnapshotId { last, bytes, checksum }
    }
}

/// What comes next in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Chunk,
    Trailer,
}

/// A walk through a file that ought to be a given snapshot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    id: SnapshotId,
    tally: Tally,
}

/// Something stands there that does not belong to the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wrong;

impl Walk {
    /// Begins behind the header.
    pub(super) fn begin(id: SnapshotId, header: &[u8; HEADER_BYTES]) -> Result<Self, Wrong> {
        if layout::decode_header(header) != Some(Header::Covers(id.last)) {
            return Err(Wrong);
        }
        Ok(Self { id, tally: Tally::after(header) })
    }

    pub(super) fn id(&self) -> SnapshotId {
        self.id
    }

    /// Where the next step starts. Units: bytes.
    pub(super) fn offset(&self) -> u64 {
        self.tally.bytes
    }

    /// What the length of the file says that comes next.
    pub(super) fn next_step(&self) -> Step {
        let has_chunk = self.tally.bytes + (TRAILER_BYTES as u64) < self.id.bytes;
        if has_chunk { Step::Chunk } else { Step::Trailer }
    }

    /// Reads the head of the next chunk, which must leave room for the trailer.
    pub(super) fn chunk_head(&self, head: [u8; CHUNK_HEAD_BYTES]) -> Result<ChunkHead, Wrong> {
        let head = ChunkHead::decode(head).ok_or(Wrong)?;
        let around = (CHUNK_HEAD_BYTES + TRAILER_BYTES) as u64;
        let fits = self.tally.bytes + around + u64::from(head.length) <= self.id.bytes;
        if fits { Ok(head) } else { Err(Wrong) }
    }

    /// The checksum of the next chunk before its content is added.
    pub(super) fn chunk_seed(&self, head: ChunkHead) -> u32 {
        ChunkHead::seed(self.tally.next_number(), head.length)
    }

    /// Goes behind a chunk with this checksum.
    pub(super) fn pass_chunk(&mut self, head: ChunkHead, checksum: u32) -> Result<(), Wrong> {
        if checksum != head.checksum && !is_removed("snapshots-are-verified") {
            return Err(Wrong);
        }
        self.tally.add(head);
        Ok(())
    }

    /// Compares the trailer with everything that came before and with the name.
    pub(super) fn check_trailer(&self, trailer: &[u8; TRAILER_BYTES]) -> Result<(), Wrong> {
        let is_named = self.tally.id(self.id.last) == self.id;
        let is_right = self.tally.trailer().encode() == *trailer;
        if is_named && is_right { Ok(()) } else { Err(Wrong) }
    }
}
