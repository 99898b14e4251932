//! Receiving a snapshot in pieces, each verified as it comes.

use crate::snapshot::SnapshotId;
use crate::wal::disk::Disk;
use crate::wal::snapshots::error::SnapshotError;
use crate::wal::snapshots::files::Snapshots;
use crate::wal::snapshots::growing::Growing;
use crate::wal::snapshots::layout::{
    self, CHUNK_HEAD_BYTES, ChunkHead, HEADER_BYTES, INCOMING_FILE, TRAILER_BYTES,
};
use crate::wal::snapshots::walk::{Step, Walk, Wrong};

/// How much of a snapshot is not synced while it is received, by a node that has little else to
/// do. Units: bytes.
const UNSYNCED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How far a snapshot has been received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The offset of the piece that is wanted next. Units: bytes.
    pub next_offset: u64,
    /// Whether the snapshot is there, whole, verified and durable.
    pub is_complete: bool,
}

/// A snapshot that is being received.
#[derive(Debug)]
pub(super) struct Incoming {
    file: Growing,
    verifier: Verifier,
}

impl<D: Disk> Snapshots<D> {
    /// Takes in a piece of a snapshot that stands at `offset` in its file.
    ///
    /// A piece at another offset than the wanted one changes nothing, and the answer says
    /// which is wanted; an empty piece asks for that alone. The first piece of another
    /// snapshot begins that one anew, in place of the one that was being received. With the
    /// last piece the snapshot is made durable, which takes a sync; of the others the newest
    /// stays.
    ///
    /// Errors: `TooLong` if the piece goes beyond the snapshot's end; nothing was changed.
    /// `NotNewer` if there is one that covers more, `Damaged` if the piece does not verify,
    /// `Disk`; what was received of the snapshot is thrown away, and offset 0 is wanted again.
    pub fn receive(
        &mut self,
        id: SnapshotId,
        offset: u64,
        piece: &[u8],
    ) -> Result<Received, SnapshotError> {
        if self.check_is_there(id).is_ok() {
            return Ok(Received { next_offset: id.bytes, is_complete: true });
        }
        if let Some(newest) = self.newest().filter(|newest| id.last < newest.last) {
            self.throw_away_incoming(id);
            return Err(SnapshotError::NotNewer { newest });
        }
        let end = offset.saturating_add(piece.len() as u64);
        if id.bytes < end {
            return Err(SnapshotError::TooLong { bytes: end, bytes_max: id.bytes });
        }
        let incoming = self.incoming.as_ref().filter(|incoming| incoming.verifier.id == id);
        let next_offset = incoming.map_or(0, |incoming| incoming.verifier.taken_bytes);
        if offset != next_offset || piece.is_empty() {
            return Ok(Received { next_offset, is_complete: false });
        }
        if offset == 0 {
            self.begin_incoming(id)?;
        }
        let mut incoming = self.incoming.take().expect("a piece at an offset above 0 goes on");
        match incoming.take_in(&mut self.disk, piece) {
            Ok(received) => {
                if received.is_complete {
                    self.add(id);
                } else {
                    self.incoming = Some(incoming);
                }
                Ok(received)
            }
            Err(error) => {
                incoming.file.throw_away(&mut self.disk);
                Err(error)
            }
        }
    }

    fn throw_away_incoming(&mut self, id: SnapshotId) {
        if let Some(incoming) = self.incoming.take_if(|incoming| incoming.verifier.id == id) {
            incoming.file.throw_away(&mut self.disk);
        }
    }

    fn begin_incoming(&mut self, id: SnapshotId) -> Result<(), SnapshotError> {
        if let Some(other) = self.incoming.take() {
            other.file.throw_away(&mut self.disk);
        }
        let file = Growing::create(&mut self.disk, INCOMING_FILE, UNSYNCED_BYTES_MAX)?;
        self.incoming = Some(Incoming { file, verifier: Verifier::new(id) });
        Ok(())
    }
}

impl Incoming {
    fn take_in<D: Disk>(&mut self, disk: &mut D, piece: &[u8]) -> Result<Received, SnapshotError> {
        let damaged = |offset| SnapshotError::Damaged { file: INCOMING_FILE.to_owned(), offset };
        self.verifier.take_in(piece).map_err(damaged)?;
        self.file.append(disk, piece)?;
        let Verifier { id, taken_bytes, .. } = self.verifier;
        let is_complete = taken_bytes == id.bytes;
        if is_complete {
            // An id may also say that the file ends before a trailer can.
            if !matches!(self.verifier.expected, Expected::Nothing) {
                return Err(damaged(taken_bytes));
            }
            self.file.complete(disk, &layout::file_name(id.last))?;
        }
        Ok(Received { next_offset: taken_bytes, is_complete })
    }
}

/// Verifies a file whose bytes come one after the other, however they are cut.
#[derive(Debug)]
struct Verifier {
    id: SnapshotId,
    taken_bytes: u64,
    expected: Expected,
    /// The beginning of a header, a chunk's head or a trailer that is cut.
    cut: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Expected {
    Header,
    ChunkHead(Walk),
    Content { walk: Walk, head: ChunkHead, left: u32, checksum: u32 },
    Trailer(Walk),
    Nothing,
}

impl Verifier {
    fn new(id: SnapshotId) -> Self {
        Self { id, taken_bytes: 0, expected: Expected::Header, cut: Vec::new() }
    }

    /// Errors: where the part starts that does not verify.
    fn take_in(&mut self, mut piece: &[u8]) -> Result<(), u64> {
        while !piece.is_empty() {
            let start = match &self.expected {
                Expected::Header => 0,
                Expected::ChunkHead(walk)
                | Expected::Content { walk, .. }
                | Expected::Trailer(walk) => walk.offset(),
                Expected::Nothing => self.taken_bytes,
            };
            let before = piece.len();
            let advanced = self.advance(&mut piece);
            self.taken_bytes += (before - piece.len()) as u64;
            advanced.map_err(|Wrong| start)?;
        }
        Ok(())
    }

    /// Takes what goes into the expected part from the beginning of `piece`.
    fn advance(&mut self, piece: &mut &[u8]) -> Result<(), Wrong> {
        self.expected = match self.expected {
            Expected::Header => {
                let Some(header) = self.gather::<HEADER_BYTES>(piece) else { return Ok(()) };
                Expected::behind(Walk::begin(self.id, &header)?)
            }
            Expected::ChunkHead(walk) => {
                let Some(head) = self.gather::<CHUNK_HEAD_BYTES>(piece) else { return Ok(()) };
                let head = walk.chunk_head(head)?;
                Expected::Content { walk, head, left: head.length, checksum: walk.chunk_seed(head) }
            }
            Expected::Content { mut walk, head, left, checksum } => {
                let taken = left.min(u32::try_from(piece.len()).unwrap_or(u32::MAX));
                let (content, rest) = piece.split_at(taken as usize);
                *piece = rest;
                let (left, checksum) = (left - taken, crc32c::crc32c_append(checksum, content));
                if 0 < left {
                    Expected::Content { walk, head, left, checksum }
                } else {
                    walk.pass_chunk(head, checksum)?;
                    Expected::behind(walk)
                }
            }
            Expected::Trailer(walk) => {
                let Some(trailer) = self.gather::<TRAILER_BYTES>(piece) else { return Ok(()) };
                walk.check_trailer(&trailer)?;
                Expected::Nothing
            }
            Expected::Nothing => return Err(Wrong),
        };
        Ok(())
    }

    /// The next `N` bytes, once they are all there.
    fn gather<const N: usize>(&mut self, piece: &mut &[u8]) -> Option<[u8; N]> {
        let (taken, rest) = piece.split_at(piece.len().min(N - self.cut.len()));
        self.cut.extend_from_slice(taken);
        *piece = rest;
        let whole = self.cut.as_slice().try_into().ok()?;
        self.cut.clear();
        Some(whole)
    }
}

impl Expected {
    fn behind(walk: Walk) -> Self {
        match walk.next_step() {
            Step::Chunk => Self::ChunkHead(walk),
            Step::Trailer => Self::Trailer(walk),
        }
    }
}
