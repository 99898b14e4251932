//! Which keys are meant: one, those between two, those with a prefix, those from one on.

use serde::{Deserialize, Serialize};

/// A contiguous range of keys in bytewise order.
///
/// Any bytes make a range; one that ends before it begins holds nothing, and the empty prefix
/// and the range from the empty key hold every key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRange<'a> {
    /// The first key that can be in the range, or the prefix.
    #[serde(with = "serde_bytes", borrow)]
    pub from: &'a [u8],
    /// How far the range goes.
    #[serde(borrow)]
    pub end: RangeEnd<'a>,
}

/// How far a range goes. etcd says the same with `range_end`, given in brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RangeEnd<'a> {
    /// The key `from` alone (no `range_end`).
    #[serde(rename = "s")]
    Single,
    /// Every key that begins with `from` (`range_end` is the prefix plus one).
    #[serde(rename = "p")]
    Prefix,
    /// From `from` up to this key, which is not included (`range_end` is this key).
    #[serde(rename = "h")]
    HalfOpen(#[serde(with = "serde_bytes", borrow)] &'a [u8]),
    /// From `from` to the last key (`range_end` is one zero byte).
    #[serde(rename = "f")]
    From,
}

impl<'a> KeyRange<'a> {
    /// The key alone.
    #[must_use]
    pub const fn single(key: &'a [u8]) -> Self {
        Self { from: key, end: RangeEnd::Single }
    }

    /// Every key that begins with `prefix`.
    #[must_use]
    pub const fn prefix(prefix: &'a [u8]) -> Self {
        Self { from: prefix, end: RangeEnd::Prefix }
    }

    /// Whether the range holds `key`.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        match self.end {
            RangeEnd::Single => key == self.from,
            RangeEnd::Prefix => key.starts_with(self.from),
            RangeEnd::HalfOpen(to) => self.from <= key && key < to,
            RangeEnd::From => self.from <= key,
        }
    }

    /// The part of the range after the key `last`, which lies in it: what to ask for when an
    /// answer says that there is more. `buffer` is overwritten with the bytes of the result.
    #[must_use]
    pub fn after<'b>(&self, last: &[u8], buffer: &'b mut Vec<u8>) -> KeyRange<'b> {
        buffer.clear();
        buffer.extend_from_slice(last);
        // No key lies between a key and the same key with a zero byte at its end.
        buffer.push(0);
        let from_bytes = buffer.len();
        match self.end {
            RangeEnd::Single => {}
            RangeEnd::HalfOpen(to) => buffer.extend_from_slice(to),
            RangeEnd::Prefix => push_prefix_end(self.from, buffer),
            RangeEnd::From => {}
        }
        let (from, to) = buffer.split_at(from_bytes);
        let endless = match self.end {
            RangeEnd::Single | RangeEnd::HalfOpen(_) => false,
            // Nothing is above the keys that begin with 0xff bytes alone.
            RangeEnd::Prefix => to.is_empty(),
            RangeEnd::From => true,
        };
        KeyRange { from, end: if endless { RangeEnd::From } else { RangeEnd::HalfOpen(to) } }
    }
}

/// Appends the first key after every key with this prefix, or nothing if there is none.
pub(crate) fn push_prefix_end(prefix: &[u8], bytes: &mut Vec<u8>) {
    if let Some(place) = prefix.iter().rposition(|&byte| byte != u8::MAX) {
        bytes.extend_from_slice(&prefix[..place]);
        bytes.push(prefix[place] + 1);
    }
}
