//! The names and the bytes of a snapshot file: a header, chunks, a trailer.
//!
//! Little-endian, checksums are CRC32C:
//!
//! | offset | bytes | header |
//! |---|---|---|
//! | 0 | 4 | CRC of bytes 4..32 |
//! | 4 | 4 | `KVSN` |
//! | 8 | 1 | format version (1) |
//! | 9 | 7 | reserved (0) |
//! | 16 | 16 | term and index of the last entry that the snapshot covers |
//!
//! | offset | bytes | chunk |
//! |---|---|---|
//! | 0 | 4 | CRC of the chunk's number (8 bytes, from 0), its length (4 bytes) and its content |
//! | 4 | 4 | length of the content, from 1 |
//! | 8 | … | content |
//!
//! | offset | bytes | trailer |
//! |---|---|---|
//! | 0 | 4 | CRC of bytes 4..32 |
//! | 4 | 4 | `KVSE` |
//! | 8 | 8 | number of chunks |
//! | 16 | 8 | bytes of the whole file |
//! | 24 | 4 | CRC of the CRC of the header and those of all chunks |
//! | 28 | 4 | reserved (0) |

use bytes::{Buf, BufMut};

use crate::types::{EntryId, Index, Term};

/// The longest chunk, and so the longest part. Units: bytes.
pub const CHUNK_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a snapshot is called while it is built.
pub(super) const NEW_FILE: &str = "snapshot-new";

/// What a snapshot is called while it is received.
pub(super) const INCOMING_FILE: &str = "snapshot-incoming";

pub(super) const HEADER_BYTES: usize = 32;
pub(super) const CHUNK_HEAD_BYTES: usize = 8;
pub(super) const TRAILER_BYTES: usize = 32;

/// The length of the shortest file, which has no chunk.
pub(super) const FILE_BYTES_MIN: u64 = (HEADER_BYTES + TRAILER_BYTES) as u64;

const HEADER_MAGIC: [u8; 4] = *b"KVSN";
const TRAILER_MAGIC: [u8; 4] = *b"KVSE";
const FORMAT: u8 = 1;

/// The name of the file of a snapshot.
pub(super) fn file_name(last: EntryId) -> String {
    format!("snapshot-{:016x}-{:x}", last.index.0, last.term.0)
}

/// What a snapshot covers, by the name of its file; `None` if no snapshot is called so.
pub(super) fn parse_name(name: &str) -> Option<EntryId> {
    let (index, term) = name.strip_prefix("snapshot-")?.split_once('-')?;
    let number = |digits| u64::from_str_radix(digits, 16).ok();
    let last = EntryId { term: Term(number(term)?), index: Index(number(index)?) };
    Some(last).filter(|last| file_name(*last) == name)
}

/// The checksum that stands at the beginning of a header, a chunk or a trailer.
pub(super) fn checksum_of(bytes: &[u8]) -> u32 {
    (&bytes[..4]).get_u32_le()
}

/// A header.
pub(super) fn encode_header(last: EntryId) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    let mut rest = &mut bytes[4..];
    rest.put_slice(&HEADER_MAGIC);
    rest.put_u8(FORMAT);
    rest.put_bytes(0, 7);
    rest.put_u64_le(last.term.0);
    rest.put_u64_le(last.index.0);
    seal(&mut bytes);
    bytes
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// The snapshot covers this entry and all before.
    Covers(EntryId),
    /// It is whole, but of a version that is not known here.
    OtherFormat(u8),
}

/// Reads a header; `None` if it does not verify.
pub(super) fn decode_header(bytes: &[u8; HEADER_BYTES]) -> Option<Header> {
    let mut rest = verified(bytes, HEADER_MAGIC)?;
    let format = rest.get_u8();
    if format != FORMAT {
        return Some(Header::OtherFormat(format));
    }
    rest.advance(7);
    let term = Term(rest.get_u64_le());
    Some(Header::Covers(EntryId { term, index: Index(rest.get_u64_le()) }))
}

/// What stands before the content of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkHead {
    pub(super) checksum: u32,
    pub(super) length: u32,
}

impl ChunkHead {
    /// The head of chunk `number`.
    pub(super) fn of(number: u64, content: &[u8]) -> Self {
        let length = u32::try_from(content.len()).expect("a chunk has an upper limit");
        let checksum = crc32c::crc32c_append(Self::seed(number, length), content);
        Self { checksum, length }
    }

    /// The checksum of a chunk before its content is added.
    pub(super) fn seed(number: u64, length: u32) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&number.to_le_bytes()), &length.to_le_bytes())
    }

    pub(super) fn encode(self) -> [u8; CHUNK_HEAD_BYTES] {
        let mut bytes = [0; CHUNK_HEAD_BYTES];
        bytes[..4].copy_from_slice(&self.checksum.to_le_bytes());
        bytes[4..].copy_from_slice(&self.length.to_le_bytes());
        bytes
    }

    /// The head that stands there, which is not verified; `None` for an impossible length.
    pub(super) fn decode(bytes: [u8; CHUNK_HEAD_BYTES]) -> Option<Self> {
        let mut rest = &bytes[..];
        let (checksum, length) = (rest.get_u32_le(), rest.get_u32_le());
        let is_possible = 0 < length && length as usize <= CHUNK_BYTES_MAX;
        is_possible.then_some(Self { checksum, length })
    }
}

/// What stands at the end of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trailer {
    pub(super) chunk_count: u64,
    /// Of the whole file. Units: bytes.
    pub(super) bytes: u64,
    /// Over the checksums of header and chunks.
    pub(super) checksum: u32,
}

impl Trailer {
    pub(super) fn encode(self) -> [u8; TRAILER_BYTES] {
        let mut bytes = [0; TRAILER_BYTES];
        let mut rest = &mut bytes[4..];
        rest.put_slice(&TRAILER_MAGIC);
        rest.put_u64_le(self.chunk_count);
        rest.put_u64_le(self.bytes);
        rest.put_u32_le(self.checksum);
        seal(&mut bytes);
        bytes
    }

    /// Reads a trailer; `None` if it does not verify.
    pub(super) fn decode(bytes: &[u8; TRAILER_BYTES]) -> Option<Self> {
        let mut rest = verified(bytes, TRAILER_MAGIC)?;
        let (chunk_count, bytes) = (rest.get_u64_le(), rest.get_u64_le());
        Some(Self { chunk_count, bytes, checksum: rest.get_u32_le() })
    }
}

pub(super) fn seal(bytes: &mut [u8]) {
    let checksum = crc32c::crc32c(&bytes[4..]);
    bytes[..4].copy_from_slice(&checksum.to_le_bytes());
}

/// What follows checksum and magic, if both are right.
pub(super) fn verified(bytes: &[u8], magic: [u8; 4]) -> Option<&[u8]> {
    let is_good = checksum_of(bytes) == crc32c::crc32c(&bytes[4..]) && bytes[4..8] == magic;
    is_good.then_some(&bytes[8..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_names_are_snapshots() {
        let last = EntryId { term: Term(0x1f), index: Index(0xabc) };
        assert_eq!(file_name(last), "snapshot-0000000000000abc-1f");
        assert_eq!(parse_name(&file_name(last)), Some(last));
        for name in [
            NEW_FILE,
            INCOMING_FILE,
            "snapshot-0000000000000abc-01f",
            "snapshot-0000000000000ABC-1f",
            "snapshot-abc-1f",
            "snapshot-0000000000000abc-",
            "snapshot-0000000000000abc",
            "damaged-snapshot-0000000000000abc-1f",
        ] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }
}
