//! Batches: what one append writes, header and entries.
//!
//! Layout, little-endian; a batch starts at a multiple of 8 bytes. The place is incarnation,
//! segment and offset, 8 bytes each:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | CRC32C of the place, bytes 4..80 and each entry's checksum |
//! | 4 | 4 | `KVBT` |
//! | 8 | 1 | format version (1) |
//! | 9 | 3 | reserved (0) |
//! | 12 | 4 | number of entries |
//! | 16 | 4 | bytes of all entries |
//! | 20 | 4 | reserved (0) |
//! | 24 | 8 | segment number |
//! | 32 | 8 | offset of this batch in the segment |
//! | 40 | 8 | batch number |
//! | 48 | 32 | hard state |
//! | 80 | … | entries, then zeros up to a multiple of 8 |

use bytes::{Buf, BufMut, Bytes};

use crate::entry::{Entries, EntryRef};
use crate::hard_state::HardState;
use crate::teeth::is_removed;
use crate::types::Incarnation;
use crate::wal::hard_state_file::{get_hard_state, put_hard_state};

/// Bytes before the entries of every batch; a batch without entries has no more than these.
pub(super) const BATCH_HEADER_BYTES: usize = 80;

/// Every batch starts at a multiple of this.
pub(super) const ALIGNMENT: usize = 8;

/// The second half of the first eight bytes of every batch.
pub(super) const BATCH_MAGIC: [u8; 4] = *b"KVBT";

const FORMAT: u8 = 1;

const _: () = assert!(BATCH_HEADER_BYTES.is_multiple_of(ALIGNMENT));

/// Where a batch stands; the same bytes at any other place do not verify.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) incarnation: Incarnation,
    pub(super) segment: u64,
    pub(super) offset: u64,
}

impl Place {
    fn seed(&self) -> u32 {
        let mut crc = crc32c::crc32c(&self.incarnation.0.to_le_bytes());
        crc = crc32c::crc32c_append(crc, &self.segment.to_le_bytes());
        crc32c::crc32c_append(crc, &self.offset.to_le_bytes())
    }
}

/// What a batch says besides its entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchHeader {
    /// From 1, rising by one: when a batch is written, all those before it are synced.
    pub(super) number: u64,
    pub(super) hard_state: HardState,
}

/// The first multiple of [`ALIGNMENT`] that is not below `offset`.
pub(super) const fn aligned(offset: u64) -> u64 {
    offset.next_multiple_of(ALIGNMENT as u64)
}

/// How much room a batch with this many bytes of entries takes.
pub(super) const fn batch_bytes(entries_bytes: u64) -> u64 {
    aligned(BATCH_HEADER_BYTES as u64 + entries_bytes)
}

/// Writes a batch into `into`, replacing what is there; the entries' bytes are copied once.
pub(super) fn encode(into: &mut Vec<u8>, place: Place, header: &BatchHeader, entries: &[Entries]) {
    let count: usize = entries.iter().map(Entries::len).sum();
    let entries_bytes: usize = entries.iter().map(|run| run.bytes().len()).sum();
    into.clear();
    into.reserve(BATCH_HEADER_BYTES + entries_bytes + ALIGNMENT);
    into.put_u32_le(0);
    into.put_slice(&BATCH_MAGIC);
    into.put_u8(FORMAT);
    into.put_bytes(0, 3);
    into.put_u32_le(u32::try_from(count).expect("a batch is within BATCH_BYTES_MAX"));
    into.put_u32_le(u32::try_from(entries_bytes).expect("a batch is within BATCH_BYTES_MAX"));
    into.put_u32_le(0);
    into.put_u64_le(place.segment);
    into.put_u64_le(place.offset);
    into.put_u64_le(header.number);
    put_hard_state(into, &header.hard_state);
    assert!(into.len() == BATCH_HEADER_BYTES, "the layout of the batch header holds");
    for run in entries {
        into.put_slice(run.bytes());
    }
    into.resize(into.len().next_multiple_of(ALIGNMENT), 0);
    let crc = checksum(place, &into[..BATCH_HEADER_BYTES], entries);
    into[..4].copy_from_slice(&crc.to_le_bytes());
}

/// A header that may be one: right words at the right place, checksum not yet verified.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    place: Place,
    header: BatchHeader,
    crc: u32,
    count: u32,
    entries_bytes: u32,
}

impl Claim {
    /// Reads the header of a batch at `place`, if these bytes look like one.
    pub(super) fn decode(place: Place, mut bytes: &[u8]) -> Option<Self> {
        if bytes.len() < BATCH_HEADER_BYTES || bytes[4..8] != BATCH_MAGIC || bytes[8] != FORMAT {
            return None;
        }
        let crc = bytes.get_u32_le();
        bytes.advance(8);
        let (count, entries_bytes) = (bytes.get_u32_le(), bytes.get_u32_le());
        bytes.advance(4);
        if bytes.get_u64_le() != place.segment || bytes.get_u64_le() != place.offset {
            return None;
        }
        let header = BatchHeader { number: bytes.get_u64_le(), hard_state: get_hard_state(bytes)? };
        Some(Self { place, header, crc, count, entries_bytes })
    }

    /// Bytes of header and entries together.
    pub(super) fn bytes(&self) -> usize {
        BATCH_HEADER_BYTES + self.entries_bytes as usize
    }

    /// The batch, if every checksum of header and entries holds. `bytes` start at the header
    /// and are [`Self::bytes`] long.
    pub(super) fn verify(&self, bytes: Bytes) -> Option<Batch> {
        let runs = Entries::decode(&bytes.slice(BATCH_HEADER_BYTES..)).ok()?;
        let count: usize = runs.iter().map(Entries::len).sum();
        let crc = checksum(self.place, &bytes[..BATCH_HEADER_BYTES], &runs);
        let is_whole = crc == self.crc || is_removed("batches-are-verified");
        if count != self.count as usize || !is_whole {
            return None;
        }
        let end = self.place.offset + batch_bytes(u64::from(self.entries_bytes));
        Some(Batch { header: self.header, runs, bytes, end })
    }
}

/// A batch as it was read back, every checksum verified.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) header: BatchHeader,
    /// The entries; empty for a change of the hard state alone.
    pub(super) runs: Vec<Entries>,
    /// Header and entries as they stand on disk, without padding.
    pub(super) bytes: Bytes,
    /// Where the next batch starts.
    pub(super) end: u64,
}

/// Covers the entries through their own checksums, so that their bytes are not summed twice.
fn checksum(place: Place, header: &[u8], entries: &[Entries]) -> u32 {
    let header = crc32c::crc32c_append(place.seed(), &header[4..]);
    entries
        .iter()
        .flat_map(Entries::iter)
        .fold(header, |crc, entry| crc32c::crc32c_append(crc, &stored_checksum(&entry)))
}

/// The first field of every entry (`crate::entry`).
fn stored_checksum(entry: &EntryRef<'_>) -> [u8; 4] {
    let bytes = entry.bytes();
    [bytes[0], bytes[1], bytes[2], bytes[3]]
}
