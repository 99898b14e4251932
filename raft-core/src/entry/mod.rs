//! Entries: the commands of the log, encoded once.
//!
//! A leader writes a round of commands into one [`Draft`]; stamping it gives [`Entries`], whose
//! bytes go unchanged to the leader's log, to both peers and into their logs. Nothing here
//! knows where on disk an entry stands: its checksum covers the entry alone.
//!
//! Layout of one entry, little-endian (`docs/wal.md` has the same table):
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | CRC32C of everything after this field |
//! | 4 | 4 | length of the whole entry in bytes |
//! | 8 | 8 | term |
//! | 16 | 8 | index |
//! | 24 | 1 | format version (1) |
//! | 25 | 1 | kind (0 no-op, 1 command, 2 bind, 3 change, 4 configure) |
//! | 26 | 2 | feature level |
//! | 28 | 4 | group (0) |
//! | 32 | 8 | log time, microseconds |
//! | 40 | 8 | wall time, microseconds since 1970 |
//! | 48 | 8 | random seed |
//! | 56 | 16 | client id (issued at, random) |
//! | 72 | 8 | serial |
//! | 80 | 8 | acknowledged up to |
//! | 88 | 4 | principal (0 anonymous) |
//! | 92 | 4 | reserved (0) |
//! | 96 | … | payload |

mod draft;
mod entries;

use std::fmt;
use std::ops::Range;

use bytes::Buf;
use serde::{Deserialize, Serialize};

use crate::types::{EntryId, Index, Term};

pub use draft::Draft;
pub use entries::Entries;

/// Bytes before the payload of every entry.
pub const ENTRY_HEADER_BYTES: usize = 96;

/// The longest entry, header included. A longer one is refused where it is proposed, and a
/// length above it on a socket or a disk is damage.
pub const ENTRY_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The version of the layout above that this code writes.
pub const ENTRY_FORMAT: u8 = 1;

/// The highest feature level that this code applies. A command that earlier versions do not know
/// belongs to a level of its own, and is executed only in entries of that level or a higher one.
pub const FEATURE_LEVEL: u16 = 2;

/// The level of a cluster that has agreed on none.
pub const FEATURE_LEVEL_MIN: u16 = 1;

/// The highest term that is believed when it arrives from outside: no cluster counts that far,
/// so a term above it is damage or malice, and `Term::next` cannot overflow below it.
pub const TERM_MAX: Term = Term(1 << 62);

/// The highest index that is believed when it arrives from outside, as [`TERM_MAX`].
pub const INDEX_MAX: Index = Index(1 << 62);

const CRC: Range<usize> = 0..4;
const LENGTH: Range<usize> = 4..8;
const TERM: usize = 8;
const INDEX: usize = 16;
const FORMAT: usize = 24;
const KIND: usize = 25;
const FEATURE: usize = 26;
const LOG_TIME: usize = 32;
const WALL_TIME: usize = 40;
const SEED: usize = 48;
const CLIENT_ISSUED: usize = 56;
const CLIENT_RANDOM: usize = 64;
const SERIAL: usize = 72;
const ACKNOWLEDGED: usize = 80;
const PRINCIPAL: usize = 88;
/// What an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// The first entry of a term, with no effect of its own (Raft §8).
    Noop,
    /// A command for the state machine.
    Command,
    /// Binds node ids to the incarnations that may answer for them.
    Bind,
    /// Asks the leader for a change of the membership; it never stands in a log.
    Change,
    /// What the leader decided about a change: the configuration from here on, or a refusal.
    Configure,
}

impl EntryKind {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Noop => 0,
            Self::Command => 1,
            Self::Bind => 2,
            Self::Change => 3,
            Self::Configure => 4,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Noop),
            1 => Some(Self::Command),
            2 => Some(Self::Bind),
            3 => Some(Self::Change),
            4 => Some(Self::Configure),
            _ => None,
        }
    }
}

/// Names a client for the exactly-once rule (Ongaro 2014 §6.3).
///
/// Handed out by a node at the hello; the first half is the log time at that moment, so that
/// the cluster can tell an expired client from a new one without remembering either.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct ClientId {
    /// Log time when the id was handed out. Units: microseconds.
    pub issued_at: u64,
    /// Drawn at random by the node that handed it out.
    pub random: u64,
}

/// Which write of which client an entry is.
///
/// The all-zero stamp means "no session": the entry is applied each time it appears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStamp {
    /// The client.
    pub client: ClientId,
    /// The number of the write, from 1.
    pub serial: u64,
    /// Every write up to this serial has been answered and will not be asked for again.
    pub acknowledged: u64,
}

impl SessionStamp {
    /// Whether the entry belongs to a session at all.
    #[must_use]
    pub fn is_session(&self) -> bool {
        self.serial != 0
    }
}

/// What the leader adds to a round of commands when it takes them into its log.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// The leader's term.
    pub term: Term,
    /// Where the first command of the round goes.
    pub first: Index,
    /// Elapsed leader time. Units: microseconds.
    pub log_time: u64,
    /// The leader's calendar clock. Units: microseconds since 1970.
    pub wall_time: u64,
    /// What every member of the cluster can apply.
    pub feature_level: u16,
    /// The seed of the first entry; each following entry gets the next number.
    pub seed: u64,
}
/// One encoded entry, borrowed from the round that it came with.
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    bytes: &'a [u8],
}

impl<'a> EntryRef<'a> {
    /// The entry that `bytes` are, which were drafted or decoded before.
    ///
    /// Panics: if they are not exactly one entry.
    #[must_use]
    pub fn of(bytes: &'a [u8]) -> Self {
        let entry = split_first(bytes).expect("the bytes were an entry before");
        assert_eq!(entry.bytes.len(), bytes.len(), "the bytes are exactly one entry");
        entry
    }

    /// Term and index.
    #[must_use]
    pub fn id(&self) -> EntryId {
        let header = self.header();
        EntryId { term: Term(u64_at(header, TERM)), index: Index(u64_at(header, INDEX)) }
    }

    /// What the entry is for.
    ///
    /// Panics: never on an entry that was decoded or drafted here; both check the code.
    #[must_use]
    pub fn kind(&self) -> EntryKind {
        EntryKind::from_code(self.header()[KIND]).expect("the kind was checked when decoded")
    }

    /// The feature level that the leader wrote it under.
    #[must_use]
    pub fn feature_level(&self) -> u16 {
        (&self.bytes[FEATURE..]).get_u16_le()
    }

    /// Elapsed leader time at the proposal. Units: microseconds.
    #[must_use]
    pub fn log_time(&self) -> u64 {
        u64_at(self.header(), LOG_TIME)
    }

    /// The leader's calendar clock at the proposal. Units: microseconds since 1970.
    #[must_use]
    pub fn wall_time(&self) -> u64 {
        u64_at(self.header(), WALL_TIME)
    }

    /// The seed from which anything random about the entry is derived.
    #[must_use]
    pub fn seed(&self) -> u64 {
        u64_at(self.header(), SEED)
    }

    /// Which write of which client this is.
    #[must_use]
    pub fn session(&self) -> SessionStamp {
        let header = self.header();
        SessionStamp {
            client: ClientId {
                issued_at: u64_at(header, CLIENT_ISSUED),
                random: u64_at(header, CLIENT_RANDOM),
            },
            serial: u64_at(header, SERIAL),
            acknowledged: u64_at(header, ACKNOWLEDGED),
        }
    }

    /// On whose behalf the command runs; 0 is the anonymous principal.
    #[must_use]
    pub fn principal(&self) -> u32 {
        (&self.bytes[PRINCIPAL..]).get_u32_le()
    }

    /// The command itself.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[ENTRY_HEADER_BYTES..]
    }

    /// The whole entry, header included.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// One look at the length for all fields, of which a busy node reads millions.
    fn header(&self) -> &'a [u8; ENTRY_HEADER_BYTES] {
        self.bytes.first_chunk().expect("an entry begins with a header")
    }

    fn check_crc(&self) -> Result<(), EntryError> {
        let stored = (&self.bytes[CRC]).get_u32_le();
        if stored == crc32c::crc32c(&self.bytes[CRC.end..]) {
            return Ok(());
        }
        Err(EntryError::Checksum { at: self.id() })
    }

    fn check_fields(&self) -> Result<(), EntryError> {
        if self.bytes[FORMAT] != ENTRY_FORMAT {
            return Err(EntryError::Format(self.bytes[FORMAT]));
        }
        if EntryKind::from_code(self.bytes[KIND]).is_none() {
            return Err(EntryError::Kind(self.bytes[KIND]));
        }
        let id = self.id();
        if TERM_MAX < id.term || INDEX_MAX < id.index {
            return Err(EntryError::Order { at: id });
        }
        Ok(())
    }
}

impl fmt::Debug for EntryRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {} bytes", self.id(), self.kind(), self.bytes.len())
    }
}

/// Why bytes are not entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryError {
    /// The bytes end inside an entry, or a length is out of range.
    Length,
    /// The bytes of the entry that claims to be `at` do not match their checksum.
    Checksum {
        /// The id in the entry's header, which may be damaged too.
        at: EntryId,
    },
    /// A layout of another version.
    Format(u8),
    /// A kind that this code does not know, or that may not stand here.
    Kind(u8),
    /// The entry `at` does not follow the one before it, or is out of range.
    Order {
        /// The id of the entry that is out of order.
        at: EntryId,
    },
}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => f.write_str("an entry is cut short or its length is out of range"),
            Self::Checksum { at } => write!(f, "entry {at} does not match its checksum"),
            Self::Format(found) => {
                write!(f, "entry format {found} is unknown, this program knows {ENTRY_FORMAT}")
            }
            Self::Kind(found) => write!(f, "entry kind {found} is unknown or not allowed here"),
            Self::Order { at } => write!(f, "entry {at} does not follow the one before it"),
        }
    }
}

impl std::error::Error for EntryError {}

/// The first entry of `bytes`, by its length field alone.
fn split_first(bytes: &[u8]) -> Result<EntryRef<'_>, EntryError> {
    if bytes.len() < ENTRY_HEADER_BYTES {
        return Err(EntryError::Length);
    }
    let length = (&bytes[LENGTH]).get_u32_le() as usize;
    if !(ENTRY_HEADER_BYTES..=ENTRY_BYTES_MAX).contains(&length) || bytes.len() < length {
        return Err(EntryError::Length);
    }
    Ok(EntryRef { bytes: &bytes[..length] })
}

fn ranges(ends: &[u32], start: usize) -> impl ExactSizeIterator<Item = Range<usize>> + '_ {
    let mut start = start;
    ends.iter().map(move |&end| {
        let range = start..end as usize;
        start = end as usize;
        range
    })
}

fn u64_at(header: &[u8; ENTRY_HEADER_BYTES], at: usize) -> u64 {
    u64::from_le_bytes(*header[at..].first_chunk().expect("the field is in the header"))
}

fn put_u64(entry: &mut [u8], at: usize, value: u64) {
    entry[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

fn u32_of(length: usize) -> u32 {
    u32::try_from(length).expect("a round of entries is far below 4 GiB")
}
#[cfg(test)]
mod tests {
    use bytes::{BufMut, Bytes, BytesMut};
    use serde::Deserialize as _;

    use super::*;

    fn round(first: u64, term: u64, payloads: &[&[u8]]) -> Entries {
        let mut draft = Draft::default();
        for payload in payloads {
            draft.push(EntryKind::Command, &SessionStamp::default(), payload);
        }
        draft.stamp(&Stamp {
            term: Term(term),
            first: Index(first),
            log_time: 11,
            feature_level: FEATURE_LEVEL_MIN,
            wall_time: 22,
            seed: 33,
        })
    }

    #[test]
    fn a_stamped_round_reads_back_with_every_field() {
        let session = SessionStamp {
            client: ClientId { issued_at: 5, random: 6 },
            serial: 7,
            acknowledged: 4,
        };
        let mut draft = Draft::default();
        draft.push(EntryKind::Command, &session, b"first");
        draft.push(EntryKind::Noop, &SessionStamp::default(), b"");
        let entries = draft.stamp(&Stamp {
            term: Term(3),
            first: Index(9),
            log_time: 1,
            wall_time: 2,
            feature_level: 7,
            seed: u64::MAX,
        });

        let decoded = Entries::decode(entries.bytes()).unwrap();
        assert_eq!(decoded, vec![entries]);
        let all: Vec<_> = decoded[0].iter().collect();
        assert_eq!(all[0].id(), EntryId { term: Term(3), index: Index(9) });
        assert_eq!(all[0].session(), session);
        assert_eq!((all[0].log_time(), all[0].wall_time()), (1, 2));
        assert_eq!((all[0].seed(), all[1].seed()), (u64::MAX, 0));
        assert_eq!(all[0].payload(), b"first");
        assert_eq!(all[1].kind(), EntryKind::Noop);
        assert_eq!(all[1].id().index, Index(10));
        assert_eq!((all[0].feature_level(), all[0].principal()), (7, 0));
    }

    /// Entry bytes with one field changed and a checksum that fits.
    fn with_field(at: usize, value: u8) -> Bytes {
        let mut bytes = round(1, 1, &[b"some"]).bytes().to_vec();
        bytes[at] = value;
        let crc = crc32c::crc32c(&bytes[CRC.end..]);
        bytes[CRC].copy_from_slice(&crc.to_le_bytes());
        Bytes::from(bytes)
    }

    #[test]
    fn what_a_later_version_writes_is_refused_in_words() {
        let change = EntryKind::Change.code();
        let high = INDEX + 7;
        for (bytes, error, words) in [
            (with_field(FORMAT, 9), EntryError::Format(9), "entry format 9 is unknown"),
            (with_field(KIND, 200), EntryError::Kind(200), "entry kind 200 is unknown"),
            (with_field(KIND, change), EntryError::Kind(change), "or not allowed here"),
            (with_field(FORMAT, 9).slice(..40), EntryError::Length, "an entry is cut short"),
        ] {
            let found = Entries::decode(&bytes).unwrap_err();
            assert_eq!(found, error);
            assert!(found.to_string().contains(words), "{found}");
        }
        let found = Entries::decode(&with_field(high, 0xff)).unwrap_err();
        assert!(found.to_string().contains("does not follow the one before it"), "{found}");
        let mut flipped = with_field(KIND, change).to_vec();
        flipped[ENTRY_HEADER_BYTES] ^= 1;
        let found = Entries::decode(&Bytes::from(flipped)).unwrap_err();
        assert_eq!(found.to_string(), "entry 1/1 does not match its checksum");
    }

    #[test]
    fn entries_travel_as_bytes_of_one_term() {
        use serde::de::value::{BytesDeserializer, Error, SeqDeserializer, StrDeserializer};

        let read = |bytes: &[u8]| Entries::deserialize(BytesDeserializer::<Error>::new(bytes));
        let entries = round(1, 1, &[b"a", b"b"]);
        assert_eq!(read(entries.bytes()).unwrap(), entries);
        let two_terms = [&entries.bytes()[..], round(3, 2, &[b"c"]).bytes()].concat();
        for bytes in [&two_terms[..], &[]] {
            let error = read(bytes).unwrap_err().to_string();
            assert_eq!(error, "entries of exactly one term are expected here");
        }
        read(&entries.bytes()[1..]).unwrap_err();
        let numbers = SeqDeserializer::<_, Error>::new([1_u8, 2].into_iter());
        let error = Entries::deserialize(numbers).unwrap_err().to_string();
        assert_eq!(error, "entries must be binary, not an array of numbers");
        let text = StrDeserializer::<Error>::new("text");
        let error = Entries::deserialize(text).unwrap_err().to_string();
        assert!(error.contains("expected encoded entries as binary"), "{error}");
    }

    #[test]
    fn rounds_of_several_terms_split_where_the_term_changes() {
        let mut bytes = BytesMut::new();
        bytes.put_slice(round(1, 1, &[b"a", b"b"]).bytes());
        bytes.put_slice(round(3, 4, &[b"c"]).bytes());
        let runs = Entries::decode(&bytes.freeze()).unwrap();
        assert_eq!(runs, vec![round(1, 1, &[b"a", b"b"]), round(3, 4, &[b"c"])]);
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_an_error() {
        let bytes = round(1, 1, &[b"some", b"words"]).bytes().to_vec();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x40;
            assert!(Entries::decode(&Bytes::from(flipped)).is_err(), "byte {at} was flipped");
        }
        let first_end = ENTRY_HEADER_BYTES + 4;
        for end in (1..bytes.len()).filter(|&end| end != first_end) {
            let cut = Bytes::copy_from_slice(&bytes[..end]);
            assert!(Entries::decode(&cut).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn gaps_and_falling_terms_are_refused() {
        for (first, second) in [((1, 1), (3, 1)), ((1, 2), (2, 1))] {
            let mut bytes = BytesMut::new();
            bytes.put_slice(round(first.0, first.1, &[b"a"]).bytes());
            bytes.put_slice(round(second.0, second.1, &[b"b"]).bytes());
            let error = Entries::decode(&bytes.freeze()).unwrap_err();
            assert!(matches!(error, EntryError::Order { .. }), "{error}");
        }
    }

    #[test]
    fn slices_keep_their_bytes_and_respect_limits() {
        let entries = round(5, 1, &[b"a", b"bb", b"ccc"]);
        let tail = entries.slice(Index(6)..Index(100), usize::MAX).unwrap();
        assert_eq!((tail.first_index(), tail.last_index()), (Index(6), Index(7)));
        assert_eq!(
            tail.iter().map(|e| e.payload().to_vec()).collect::<Vec<_>>(),
            [b"bb".to_vec(), b"ccc".to_vec()]
        );
        assert_eq!(entries.slice(Index(5)..Index(8), 1).unwrap().len(), 1);
        assert_eq!(entries.slice(Index(1)..Index(5), 1), None);
        assert_eq!(entries.get(Index(6)).unwrap().payload(), b"bb");
        assert!(entries.get(Index(8)).is_none());
    }

    #[test]
    fn a_forwarded_draft_reads_back_and_holds_commands_only() {
        let mut draft = Draft::default();
        draft.push(EntryKind::Command, &SessionStamp::default(), b"x");
        let (bytes, commands) = draft.into_commands();
        assert_eq!(commands, std::slice::from_ref(&bytes));
        assert_eq!(Draft::decode(&bytes).unwrap().iter().next().unwrap().payload(), b"x");
        let mut draft = Draft::default();
        draft.push(EntryKind::Noop, &SessionStamp::default(), b"");
        assert_eq!(Draft::decode(&draft.into_commands().0).unwrap_err(), EntryError::Kind(0));
        assert_eq!(Draft::decode(&bytes[..40]).unwrap_err(), EntryError::Length);
    }
}
