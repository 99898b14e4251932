//! Segments: the files of the log, each with a header that says where it belongs.
//!
//! Layout of the header, little-endian; batches follow at the next multiple of 8 bytes:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | CRC32C of the rest of the header |
//! | 4 | 4 | `KVSG` |
//! | 8 | 4 | bytes of the header, this table and all voters |
//! | 12 | 1 | format version (1), of the header and of all batches in the segment |
//! | 13 | 3 | reserved (0) |
//! | 16 | 8 | segment number |
//! | 24 | 8 | incarnation of the data directory |
//! | 32 | 8 | bytes of the whole segment |
//! | 40 | 8 | number of the first batch in the segment |
//! | 48 | 8 | term of the last entry before the segment |
//! | 56 | 8 | index of the last entry before the segment |
//! | 64 | 32 | hard state |
//! | 96 | 4 | number of voters |
//! | 100 | 4 | reserved (0) |
//! | 104 | 8 each | voters, ascending |

use bytes::{Buf, BufMut};

use crate::hard_state::{Configuration, HardState};
use crate::types::{EntryId, Incarnation, Index, NodeId, Term};
use crate::wal::batch::aligned;
use crate::wal::hard_state_file::{get_hard_state, put_hard_state};

/// The longest header that is believed: more voters than any cluster has.
pub(super) const SEGMENT_HEADER_BYTES_MAX: usize = 64 * 1024;

const MAGIC: [u8; 4] = *b"KVSG";
const FORMAT: u8 = 1;
const FIXED_BYTES: usize = 104;
const PREFIX: &str = "wal-";

/// A segment as the log keeps it in mind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    /// From 1, without gaps.
    pub(super) number: u64,
    /// Bytes of the file as its header says; writes never go beyond.
    pub(super) length: u64,
    /// Where the next batch goes, or would have gone.
    pub(super) end: u64,
}

impl Segment {
    pub(super) fn name(&self) -> String {
        segment_name(self.number)
    }
}

/// The file of segment `number`.
pub(super) fn segment_name(number: u64) -> String {
    format!("{PREFIX}{number:016x}")
}

/// The number of the segment with this file name, if it is one.
pub(super) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    (segment_name(number) == name).then_some(number)
}

/// What every segment opens with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) number: u64,
    pub(super) incarnation: Incarnation,
    /// Bytes of the file, header included; files never change their length.
    pub(super) length: u64,
    /// All batches before this one are synced when the segment is begun.
    pub(super) first_batch: u64,
    /// The last entry of the log before this segment.
    pub(super) prev: EntryId,
    pub(super) hard_state: HardState,
    pub(super) configuration: Configuration,
}

/// Why bytes are not the header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    /// They do not match their checksum or make no sense.
    Damaged,
    /// They are the header of another version.
    Format(u8),
}

impl SegmentHeader {
    /// Where the first batch of a segment with this header stands.
    pub(super) fn end(&self) -> u64 {
        aligned((FIXED_BYTES + 8 * self.configuration.voters.len()) as u64)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let voters = &self.configuration.voters;
        let length = FIXED_BYTES + 8 * voters.len();
        assert!(length <= SEGMENT_HEADER_BYTES_MAX, "{} voters fit a header", voters.len());
        let mut bytes = Vec::with_capacity(length);
        bytes.put_u32_le(0);
        bytes.put_slice(&MAGIC);
        bytes.put_u32_le(u32::try_from(length).expect("a header is short"));
        bytes.put_u8(FORMAT);
        bytes.put_bytes(0, 3);
        bytes.put_u64_le(self.number);
        bytes.put_u64_le(self.incarnation.0);
        bytes.put_u64_le(self.length);
        bytes.put_u64_le(self.first_batch);
        bytes.put_u64_le(self.prev.term.0);
        bytes.put_u64_le(self.prev.index.0);
        put_hard_state(&mut bytes, &self.hard_state);
        bytes.put_u32_le(u32::try_from(voters.len()).expect("a header is short"));
        bytes.put_u32_le(0);
        for voter in voters {
            bytes.put_u64_le(voter.number());
        }
        assert!(bytes.len() == length, "the layout of the segment header holds");
        let crc = crc32c::crc32c(&bytes[4..]);
        bytes[..4].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header from the first bytes of a segment.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        if bytes.len() < FIXED_BYTES || bytes[4..8] != MAGIC {
            return Err(HeaderError::Damaged);
        }
        let header_bytes = (&bytes[8..12]).get_u32_le() as usize;
        if !(FIXED_BYTES..=bytes.len()).contains(&header_bytes) {
            return Err(HeaderError::Damaged);
        }
        let mut rest = &bytes[..header_bytes];
        if rest.get_u32_le() != crc32c::crc32c(&bytes[4..header_bytes]) {
            return Err(HeaderError::Damaged);
        }
        rest.advance(8);
        let format = rest.get_u8();
        if format != FORMAT {
            return Err(HeaderError::Format(format));
        }
        rest.advance(3);
        let (number, incarnation) = (rest.get_u64_le(), Incarnation(rest.get_u64_le()));
        let (length, first_batch) = (rest.get_u64_le(), rest.get_u64_le());
        let prev = EntryId { term: Term(rest.get_u64_le()), index: Index(rest.get_u64_le()) };
        let hard_state = get_hard_state(rest).ok_or(HeaderError::Damaged)?;
        rest = &bytes[96..header_bytes];
        let count = rest.get_u32_le() as usize;
        rest.advance(4);
        if rest.len() != 8 * count {
            return Err(HeaderError::Damaged);
        }
        let mut voters = Vec::new();
        while rest.has_remaining() {
            voters.push(NodeId::new(rest.get_u64_le()).ok_or(HeaderError::Damaged)?);
        }
        let configuration = Configuration::of(voters);
        Ok(Self { number, incarnation, length, first_batch, prev, hard_state, configuration })
    }
}
