//! Changes on their way from the store to those who watch: written once, in the shape in which
//! clients read them.
//!
//! A record is a head of fixed length and the change as it travels (`command::Change`), in two
//! parts: everything up to what was before, and that.

use bytes::{BufMut as _, BytesMut};
use raft_core::replica::Forgotten;

use crate::command::interest::encode_part;
use crate::command::{KeyValue, Name, State};
use crate::events::Event;
use crate::store::Store;

/// Revision, place and length of the key, place and length of the item, length of either part.
const HEAD_BYTES: usize = 8 + 4 * 4 + 2 * 4;

/// MessagePack's head of an array of the five parts of a change.
const ARRAY_OF_FIVE: u8 = 0x95;

/// MessagePack's nil.
pub(super) const NIL: &[u8] = &[0xc0];

/// The item's place where there is none, and the mark of a removal in the length of a part.
const NONE: u32 = u32::MAX;
const REMOVAL: u32 = 1 << 31;

/// A change as its watchers find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'c> {
    pub(super) revision: u64,
    pub(super) key: &'c [u8],
    pub(super) item: Option<&'c [u8]>,
    pub(super) is_removal: bool,
    /// The change as it travels, up to what was before.
    pub(super) change: &'c [u8],
    /// What was before, or nil.
    pub(super) previous: &'c [u8],
}

impl Store {
    /// As `StateMachine::changes`.
    pub(crate) fn write_changes(
        &self,
        from: u64,
        bytes_max: usize,
        changes: &mut BytesMut,
    ) -> Result<u64, Forgotten> {
        let start = changes.len();
        let events = self.changes_since(from);
        let events = events.map_err(|lost| Forgotten { oldest: lost.oldest })?;
        let mut next = from;
        for event in events {
            if next <= event.revision {
                if bytes_max <= changes.len() - start {
                    return Ok(event.revision);
                }
                next = event.revision + 1;
            }
            write(&event, changes);
        }
        Ok(from.max(self.revision + 1))
    }
}

fn write(event: &Event<'_>, changes: &mut BytesMut) {
    let head = changes.len();
    changes.put_bytes(0, HEAD_BYTES);
    let begin = changes.len();
    changes.put_u8(ARRAY_OF_FIVE);
    encode_part(&event.revision, changes);
    encode_part(&Name(event.key), changes);
    let key_at = changes.len() - begin - event.key.len();
    encode_part(&event.item.map(Name), changes);
    let item_at = changes.len() - begin - event.item.map_or(0, <[u8]>::len);
    encode_part(&event.next.as_ref().map(state), changes);
    let split = changes.len();
    encode_part(&event.previous.as_ref().map(state), changes);
    let end = changes.len();
    let removal = if event.next.is_none() { REMOVAL } else { 0 };
    let (item_at, item_bytes) = match event.item {
        Some(item) => (short(item_at), short(item.len())),
        None => (NONE, 0),
    };
    let mut to = &mut changes[head..begin];
    to.put_u64_le(event.revision);
    for number in [
        short(key_at),
        short(event.key.len()),
        item_at,
        item_bytes,
        short(split - begin) | removal,
        short(end - split),
    ] {
        to.put_u32_le(number);
    }
}

fn state<'s>(kv: &KeyValue<'s>) -> State<'s> {
    let KeyValue { key: _, value, create_revision, mod_revision, version, attributes } = *kv;
    State { value, create_revision, mod_revision, version, attributes }
}

/// What was written, change by change.
///
/// Panics: if something else wrote it.
pub(super) fn read(mut bytes: &[u8]) -> impl Iterator<Item = Record<'_>> {
    std::iter::from_fn(move || {
        let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let revision = u64::from_le_bytes(*head.first_chunk().expect("a head begins so"));
        let number = |at: usize| {
            let at = 8 + 4 * at;
            let bytes = head[at..at + 4].try_into().expect("four bytes are four bytes");
            u32::from_le_bytes(bytes)
        };
        let part = number(4);
        let (change, rest) = rest.split_at(long(part & !REMOVAL));
        let (previous, rest) = rest.split_at(long(number(5)));
        bytes = rest;
        let item = (number(2) != NONE).then(|| slice(change, number(2), number(3)));
        let key = slice(change, number(0), number(1));
        let is_removal = part & REMOVAL != 0;
        Some(Record { revision, key, item, is_removal, change, previous })
    })
}

fn slice(bytes: &[u8], at: u32, length: u32) -> &[u8] {
    &bytes[long(at)..long(at) + long(length)]
}

/// Keys, values and what is written of them are far below 2 GiB: an entry is.
fn short(length: usize) -> u32 {
    u32::try_from(length).expect("an entry is short")
}

fn long(number: u32) -> usize {
    usize::try_from(number).expect("this program needs 32-bit addresses")
}
