//! Segments: the files of the log, each with a header that says where it belongs.
//!
//! Layout of the header, little-endian; batches follow at the next multiple of 8 bytes:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | CRC32C of the rest of the header |
//! | 4 | 4 | `KVSG` |
//! | 8 | 4 | bytes of the header, this table and the configuration |
//! | 12 | 1 | format version (2) |
//! | 13 | 1 | 1 if the log begins anew here and nothing before it counts, else 0 |
//! | 14 | 2 | reserved (0) |
//! | 16 | 8 | segment number |
//! | 24 | 8 | incarnation of the data directory |
//! | 32 | 8 | bytes of the whole segment |
//! | 40 | 8 | number of the first batch in the segment |
//! | 48 | 8 | term of the last entry before the segment |
//! | 56 | 8 | index of the last entry before the segment |
//! | 64 | 32 | hard state |
//! | 96 | 4 | bytes of the configuration |
//! | 100 | 4 | reserved (0) |
//! | 104 | … | configuration, in a form that the log does not know |

use bytes::{Buf, BufMut};

use crate::entry::{INDEX_MAX, TERM_MAX};
use crate::hard_state::HardState;
use crate::types::{EntryId, Incarnation, Index, Term};
use crate::wal::batch::aligned;
use crate::wal::hard_state_file::{get_hard_state, put_hard_state};

/// The longest configuration that a segment opens with; a longer one panics. Units: bytes.
pub const CONFIGURATION_BYTES_MAX: usize = 32 * 1024;

/// The longest header.
pub(super) const SEGMENT_HEADER_BYTES_MAX: usize = FIXED_BYTES + CONFIGURATION_BYTES_MAX;

const MAGIC: [u8; 4] = *b"KVSG";
const FORMAT: u8 = 2;
const FIXED_BYTES: usize = 104;
const PREFIX: &str = "wal-";

/// A segment as the log keeps it in mind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    /// Rising by one.
    pub(super) number: u64,
    /// Bytes of the file as its header says; writes never go beyond.
    pub(super) length: u64,
    /// Where the next batch goes, or would have gone.
    pub(super) end: u64,
    /// The index of the last entry of the log when the segment was begun.
    pub(super) prev: Index,
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
    /// Whether the log begins anew behind `prev`, and what stands in older segments does not
    /// count any more.
    pub(super) begins_log: bool,
    pub(super) hard_state: HardState,
    /// Opaque: who the members are, as the user of the log writes it.
    pub(super) configuration: Vec<u8>,
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
        aligned((FIXED_BYTES + self.configuration.len()) as u64)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let configuration = &self.configuration;
        let length = FIXED_BYTES + configuration.len();
        assert!(length <= SEGMENT_HEADER_BYTES_MAX, "a header of {length} bytes is within limits");
        let mut bytes = Vec::with_capacity(length);
        bytes.put_u32_le(0);
        bytes.put_slice(&MAGIC);
        bytes.put_u32_le(u32::try_from(length).expect("a header is short"));
        bytes.put_u8(FORMAT);
        bytes.put_u8(u8::from(self.begins_log));
        bytes.put_u16_le(0);
        bytes.put_u64_le(self.number);
        bytes.put_u64_le(self.incarnation.0);
        bytes.put_u64_le(self.length);
        bytes.put_u64_le(self.first_batch);
        bytes.put_u64_le(self.prev.term.0);
        bytes.put_u64_le(self.prev.index.0);
        put_hard_state(&mut bytes, &self.hard_state);
        bytes.put_u32_le(u32::try_from(configuration.len()).expect("a header is short"));
        bytes.put_u32_le(0);
        bytes.put_slice(configuration);
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
        let begins_log = rest.get_u8() != 0;
        rest.advance(2);
        let (number, incarnation) = (rest.get_u64_le(), Incarnation(rest.get_u64_le()));
        let (length, first_batch) = (rest.get_u64_le(), rest.get_u64_le());
        let prev = EntryId { term: Term(rest.get_u64_le()), index: Index(rest.get_u64_le()) };
        let hard_state = get_hard_state(rest).ok_or(HeaderError::Damaged)?;
        rest = &bytes[96..header_bytes];
        let configuration_bytes = rest.get_u32_le() as usize;
        rest.advance(4);
        let is_believed = first_batch != 0 && prev.index <= INDEX_MAX && prev.term <= TERM_MAX;
        if rest.len() != configuration_bytes || !is_believed {
            return Err(HeaderError::Damaged);
        }
        Ok(Self {
            number,
            incarnation,
            length,
            first_batch,
            prev,
            begins_log,
            hard_state,
            configuration: rest.to_vec(),
        })
    }
}
