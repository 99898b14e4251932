//! What goes into one answer: as much from the beginning as the limits let it.

use crate::command::{
    ANSWER_BYTES_MAX, ANSWER_KEYS_MAX, Attributes, Item, KEY_VALUE_OVERHEAD_BYTES, KeyValue, List,
};
use crate::keyspace::Content;

/// Pairs of one answer. Some of what is offered may have no room.
pub(crate) struct Page<'s> {
    pub(crate) kvs: List<KeyValue<'s>>,
    /// Whether something that was offered is not there.
    pub(crate) more: bool,
    keys_left: usize,
    bytes_left: usize,
}

/// How many elements an answer may hold; 0 is as many as any answer.
fn within(limit: u64) -> usize {
    match limit {
        0 => ANSWER_KEYS_MAX,
        limit => usize::try_from(limit).map_or(ANSWER_KEYS_MAX, |l| l.min(ANSWER_KEYS_MAX)),
    }
}

/// Says of one item after the other whether it still has room in an answer.
pub(crate) fn room_for_items(limit: u64) -> impl FnMut(&Item<'_>) -> bool {
    let (mut items_left, mut bytes_left) = (within(limit), ANSWER_BYTES_MAX);
    move |item| {
        let bytes = item.name.len() + item.value.len() + KEY_VALUE_OVERHEAD_BYTES;
        if items_left == 0 || bytes_left < bytes {
            return false;
        }
        items_left -= 1;
        bytes_left -= bytes;
        true
    }
}

impl<'s> Page<'s> {
    /// A page of at most so many pairs; 0 is as many as an answer may hold.
    pub(crate) fn new(limit: u64) -> Self {
        let keys_left = within(limit);
        Self { kvs: List::new(), more: false, keys_left, bytes_left: ANSWER_BYTES_MAX }
    }

    /// Adds a pair if there is room, and if there was for all before it: an answer has no gaps.
    pub(crate) fn offer(&mut self, kv: KeyValue<'s>) {
        let bytes = kv.key.len() + kv.value.len() + KEY_VALUE_OVERHEAD_BYTES;
        if self.more || self.keys_left == 0 || self.bytes_left < bytes {
            self.more = true;
            return;
        }
        self.keys_left -= 1;
        self.bytes_left -= bytes;
        self.kvs.push(kv);
    }
}

/// A version of a key as answers show it.
pub(crate) fn key_value<'s>(
    key: &'s [u8],
    mod_revision: u64,
    content: Content<'s>,
) -> KeyValue<'s> {
    let Content { create_revision, version, kind, value, items: _, tenure } = content;
    let attributes = Attributes { kind, lease: tenure.lease };
    KeyValue { key, value, create_revision, mod_revision, version, attributes }
}
