//! Entries of the log, many at a time.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{EntryError, EntryKind, EntryRef, KIND, ranges, split_first, u32_of};
use crate::types::{EntryId, Index, Term};

/// One or more entries of one term at consecutive indexes, encoded back to back.
///
/// Cloning shares the bytes. Invariant: never empty; entry `first + i` ends at `ends[i]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Entries {
    term: Term,
    first: Index,
    bytes: Bytes,
    ends: Vec<u32>,
    /// Whether a `Configure` entry is among them, so that nobody has to search every run.
    configures: bool,
}

impl Entries {
    /// The entries of a stamped round.
    pub(super) fn of_round(
        (term, first): (Term, Index),
        bytes: Bytes,
        ends: Vec<u32>,
        configures: bool,
    ) -> Self {
        Self { term, first, bytes, ends, configures }
    }

    /// Reads entries from a socket or a disk, verifying every checksum, and splits them where
    /// the term changes. The result shares `bytes`.
    ///
    /// Errors: `EntryError` if any entry is malformed, or if indexes are not consecutive or
    /// terms fall; nothing of the input should be used then.
    pub fn decode(bytes: &Bytes) -> Result<Vec<Self>, EntryError> {
        let mut runs: Vec<Self> = Vec::new();
        let (mut at, mut run_start) = (0, 0);
        let mut prev: Option<EntryId> = None;
        while at < bytes.len() {
            let entry = split_first(&bytes[at..])?;
            entry.check_crc()?;
            entry.check_fields()?;
            let id = entry.id();
            if prev.is_some_and(|prev| prev.index.next() != id.index || id.term < prev.term) {
                return Err(EntryError::Order { at: id });
            }
            let end = at + entry.bytes.len();
            if entry.kind() == EntryKind::Change {
                return Err(EntryError::Kind(entry.bytes[KIND]));
            }
            let configures = entry.kind() == EntryKind::Configure;
            match runs.last_mut() {
                Some(run) if run.term == id.term => {
                    run.configures |= configures;
                    run.ends.push(u32_of(end - run_start));
                }
                last => {
                    last.into_iter().for_each(|run| run.bytes = bytes.slice(run_start..at));
                    run_start = at;
                    runs.push(Self {
                        term: id.term,
                        first: id.index,
                        // Known at the end of the run.
                        bytes: Bytes::new(),
                        ends: vec![u32_of(end - at)],
                        configures,
                    });
                }
            }
            prev = Some(id);
            at = end;
        }
        runs.last_mut().into_iter().for_each(|run| run.bytes = bytes.slice(run_start..at));
        Ok(runs)
    }

    /// The term of every entry here.
    #[must_use]
    pub fn term(&self) -> Term {
        self.term
    }

    /// The index of the first entry.
    #[must_use]
    pub fn first_index(&self) -> Index {
        self.first
    }

    /// The index of the last entry.
    #[must_use]
    pub fn last_index(&self) -> Index {
        self.first.plus(self.ends.len() as u64 - 1)
    }

    /// The id of the last entry.
    #[must_use]
    pub fn last_id(&self) -> EntryId {
        EntryId { term: self.term, index: self.last_index() }
    }

    /// How many entries there are, at least one.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "entries are never empty")]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The encoded entries, back to back.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The entries in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = EntryRef<'_>> {
        ranges(&self.ends, 0).map(|range| EntryRef { bytes: &self.bytes[range] })
    }

    /// Each entry's bytes, sharing the allocation.
    pub fn commands(&self) -> impl ExactSizeIterator<Item = Bytes> + '_ {
        ranges(&self.ends, 0).map(|range| self.bytes.slice(range))
    }

    /// The entry at `index`, if it is among these.
    #[must_use]
    pub fn get(&self, index: Index) -> Option<EntryRef<'_>> {
        if index < self.first || self.last_index() < index {
            return None;
        }
        let place = self.place(index);
        Some(EntryRef { bytes: &self.bytes[self.start_of(place)..self.ends[place] as usize] })
    }

    /// The part of these entries with indexes in `range` and at most `bytes_max` bytes, but at
    /// least one entry; `None` if no index is in the range. Shares the bytes.
    #[must_use]
    pub fn slice(&self, range: Range<Index>, bytes_max: usize) -> Option<Self> {
        let first = range.start.max(self.first);
        let end = range.end.min(self.last_index().next());
        if end <= first {
            return None;
        }
        let (from, to) = (self.place(first), self.place(end.prev()) + 1);
        let start = self.start_of(from);
        let fitting = self.ends[from..to].partition_point(|&e| e as usize - start <= bytes_max);
        let to = from + fitting.max(1);
        if from == 0 && to == self.ends.len() {
            return Some(self.clone());
        }
        let mut part = Self {
            term: self.term,
            first,
            bytes: self.bytes.slice(start..self.ends[to - 1] as usize),
            ends: self.ends[from..to].iter().map(|&e| e - u32_of(start)).collect(),
            configures: self.configures,
        };
        part.configures = self.configures && part.configure_entries().next().is_some();
        Some(part)
    }

    /// The entries that change the membership, or say why it was not changed.
    pub fn configure_entries(&self) -> impl Iterator<Item = EntryRef<'_>> {
        let searched = if self.configures { self.ends.len() } else { 0 };
        self.iter().take(searched).filter(|entry| entry.kind() == EntryKind::Configure)
    }

    fn place(&self, index: Index) -> usize {
        usize::try_from(index.0 - self.first.0).expect("entries in memory fit its address space")
    }

    fn start_of(&self, place: usize) -> usize {
        if place == 0 { 0 } else { self.ends[place - 1] as usize }
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}/{}..={}]", self.term, self.first, self.last_index())
    }
}

/// As one `bin`, so that no format walks over the entries byte by byte.
impl Serialize for Entries {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.bytes)
    }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut runs = Self::decode(&deserializer.deserialize_byte_buf(RawBytes)?)
            .map_err(D::Error::custom)?;
        match (runs.pop(), runs.is_empty()) {
            (Some(run), true) => Ok(run),
            _ => Err(D::Error::custom("entries of exactly one term are expected here")),
        }
    }
}

struct RawBytes;

impl<'de> Visitor<'de> for RawBytes {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("encoded entries as binary")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
        Ok(Bytes::copy_from_slice(bytes))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
        Ok(Bytes::from(bytes))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Bytes, A::Error> {
        Err(A::Error::custom("entries must be binary, not an array of numbers"))
    }
}
