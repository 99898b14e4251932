//! A snapshot of the store as bytes: a begin, every key in order, an end.
//!
//! Layout, little-endian; `docs/snapshot.md` has the tables:
//! - begin: kind (1), version (1), revision, hash, count of keys.
//! - key: kind (2), length of key, length of value, revisions, version, key, value.
//! - end: kind (3), revision, hash, count of keys, as in the begin.
//!
//! The end repeats the begin, so that a part of another snapshot is noticed.

use bytes::{Buf as _, BufMut as _, BytesMut};
use raft_core::replica::LoadError;

use crate::command::KeyValue;

const BEGIN: u8 = 1;
const KEY: u8 = 2;
const END: u8 = 3;

const FORMAT: u8 = 1;

const KEY_HEAD_BYTES: usize = 1 + 2 * 4 + 3 * 8;
const TOTALS_BYTES: usize = 3 * 8;

/// What is said of the whole store, at both ends of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) revision: u64,
    pub(crate) hash: u64,
    pub(crate) key_count: u64,
}

/// One record of a snapshot.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Record<'p> {
    Begin(Totals),
    Key(KeyValue<'p>),
    End(Totals),
}

/// Appends a begin.
pub(crate) fn put_begin(part: &mut BytesMut, totals: &Totals) {
    part.put_u8(BEGIN);
    part.put_u8(FORMAT);
    put_totals(part, totals);
}

/// Appends an end.
pub(crate) fn put_end(part: &mut BytesMut, totals: &Totals) {
    part.put_u8(END);
    put_totals(part, totals);
}

fn put_totals(part: &mut BytesMut, totals: &Totals) {
    part.put_u64_le(totals.revision);
    part.put_u64_le(totals.hash);
    part.put_u64_le(totals.key_count);
}

/// Appends a key.
pub(crate) fn put_key(part: &mut BytesMut, kv: &KeyValue<'_>) {
    let length = |bytes: &[u8]| {
        u32::try_from(bytes.len()).expect("keys and values are shorter than an entry")
    };
    // One copy of a head of fixed length costs less than six small ones.
    let mut head = [0; KEY_HEAD_BYTES];
    let mut rest = &mut head[..];
    rest.put_u8(KEY);
    rest.put_u32_le(length(kv.key));
    rest.put_u32_le(length(kv.value));
    rest.put_u64_le(kv.create_revision);
    rest.put_u64_le(kv.mod_revision);
    rest.put_u64_le(kv.version);
    part.extend_from_slice(&head);
    part.extend_from_slice(kv.key);
    part.extend_from_slice(kv.value);
}

/// Takes the next record from the beginning of `part`; `None` if nothing is left.
///
/// Errors: `LoadError` for bytes that are no record.
pub(crate) fn next_record<'p>(part: &mut &'p [u8]) -> Result<Option<Record<'p>>, LoadError> {
    let Some(&kind) = part.first() else { return Ok(None) };
    part.advance(1);
    let record = match kind {
        BEGIN => {
            let format = *take(part, 1)?.first().expect("one byte was taken");
            if format != FORMAT {
                return Err(LoadError::because(format!("its format {format} is not known here")));
            }
            Record::Begin(take_totals(part)?)
        }
        KEY => Record::Key(take_key(part)?),
        END => Record::End(take_totals(part)?),
        other => return Err(LoadError::because(format!("no record has the kind {other}"))),
    };
    Ok(Some(record))
}

fn take_totals(part: &mut &[u8]) -> Result<Totals, LoadError> {
    let mut bytes = take(part, TOTALS_BYTES)?;
    let revision = bytes.get_u64_le();
    let hash = bytes.get_u64_le();
    Ok(Totals { revision, hash, key_count: bytes.get_u64_le() })
}

fn take_key<'p>(part: &mut &'p [u8]) -> Result<KeyValue<'p>, LoadError> {
    let mut head = take(part, KEY_HEAD_BYTES - 1)?;
    let (key_bytes, value_bytes) = (head.get_u32_le(), head.get_u32_le());
    let create_revision = head.get_u64_le();
    let mod_revision = head.get_u64_le();
    let version = head.get_u64_le();
    let key = take(part, key_bytes as usize)?;
    let value = take(part, value_bytes as usize)?;
    Ok(KeyValue { key, value, create_revision, mod_revision, version })
}

fn take<'p>(part: &mut &'p [u8], bytes: usize) -> Result<&'p [u8], LoadError> {
    let taken = part.split_off(..bytes);
    taken.ok_or_else(|| LoadError::because("a record is cut short"))
}

/// How far a snapshot has been loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Loading {
    /// Nothing was loaded.
    #[default]
    Nothing,
    /// The begin has come, and `keys_left` are still to come.
    Keys { totals: Totals, keys_left: u64 },
    /// The end has come.
    Complete(Totals),
}

impl Loading {
    /// Notes the next record, which must be one that can stand here.
    pub(crate) fn advance(&mut self, record: &Record<'_>) -> Result<(), LoadError> {
        *self = match (*self, record) {
            (Self::Nothing, Record::Begin(totals)) => {
                Self::Keys { totals: *totals, keys_left: totals.key_count }
            }
            (Self::Keys { keys_left: 0, .. }, Record::Key(_)) => {
                return Err(LoadError::because("it has more keys than it says"));
            }
            (Self::Keys { totals, keys_left }, Record::Key(kv)) => {
                check_key(kv, &totals)?;
                Self::Keys { totals, keys_left: keys_left - 1 }
            }
            (Self::Keys { totals, keys_left: 0 }, Record::End(end)) if totals == *end => {
                Self::Complete(totals)
            }
            (Self::Keys { .. }, Record::End(_)) => {
                return Err(LoadError::because("its end does not go with its begin"));
            }
            (Self::Nothing, _) => {
                return Err(LoadError::because("it does not start with its begin"));
            }
            (Self::Keys { .. }, Record::Begin(_)) => {
                return Err(LoadError::because("it begins twice"));
            }
            (Self::Complete(_), _) => {
                return Err(LoadError::because("something follows its end"));
            }
        };
        Ok(())
    }
}

fn check_key(kv: &KeyValue<'_>, totals: &Totals) -> Result<(), LoadError> {
    let is_possible = kv.create_revision <= kv.mod_revision
        && kv.mod_revision <= totals.revision
        && 0 < kv.version;
    if is_possible { Ok(()) } else { Err(LoadError::because("a key has impossible revisions")) }
}
