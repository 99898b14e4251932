//! What a watch is about, and what it shows.

use bytes::BytesMut;
use serde::{Deserialize, Serialize};

use super::codec::{self, DecodeError};
use super::collection::{Attributes, Name};
use super::key_range::KeyRange;
use super::limits::{LimitError, Limits};

/// Which changes a watch shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interest<'a> {
    /// Of which keys.
    #[serde(borrow)]
    pub range: KeyRange<'a>,
    /// Of the keys themselves, or of their fields and members.
    #[serde(borrow)]
    pub items: Items<'a>,
    /// Whether what is set or added is shown.
    pub puts: bool,
    /// Whether what is removed is shown.
    pub deletes: bool,
    /// Whether each change comes with what was there before it.
    pub previous: bool,
}

/// What a watch shows of hashes and sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Items<'a> {
    /// The keys alone; a hash or a set changes when any of its items does (as in etcd, which
    /// knows no items).
    #[serde(rename = "k")]
    Keys,
    /// The keys, and each followed by those of its items that changed.
    #[serde(rename = "a")]
    All,
    /// The field or member of this name alone.
    #[serde(rename = "n")]
    Named(#[serde(borrow)] Name<'a>),
}

impl<'a> Interest<'a> {
    /// Every change of the keys of a range and of their items, without what was before.
    #[must_use]
    pub const fn of(range: KeyRange<'a>) -> Self {
        Self { range, items: Items::All, puts: true, deletes: true, previous: false }
    }

    /// Appends the interest to `bytes`.
    pub fn encode(&self, bytes: &mut BytesMut) {
        codec::encode(self, bytes);
    }

    /// Reads an interest; keys stay where they are in `bytes`.
    ///
    /// Errors: `DecodeError` if `bytes` are not exactly one interest of this version; the caller
    /// should refuse the watch as malformed.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        codec::decode(bytes)
    }

    /// Checks the interest against the limits of a node.
    ///
    /// Errors: as [`Command::check`](super::Command::check).
    pub fn check(&self, limits: &Limits) -> Result<(), LimitError> {
        limits.check_interest(&self.range, self.items)
    }
}

/// One change of one key, field or member, as a watch shows it (etcd: `mvccpb.Event`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change<'a> {
    /// The revision that made the change.
    pub revision: u64,
    /// The key.
    #[serde(with = "serde_bytes", borrow)]
    pub key: &'a [u8],
    /// The field or member that changed; `None` for the key itself.
    #[serde(borrow)]
    pub item: Option<Name<'a>>,
    /// What it is since then; `None` if it was removed.
    #[serde(borrow)]
    pub next: Option<State<'a>>,
    /// What it was before, if the watch asks for that and it existed. At the compaction revision
    /// itself nothing before it is known.
    #[serde(borrow)]
    pub previous: Option<State<'a>>,
}

/// What a key, a field or a member is at a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State<'a> {
    /// Its value; empty for a hash, a set or a member.
    #[serde(with = "serde_bytes", borrow)]
    pub value: &'a [u8],
    /// The revision at which it came into being.
    pub create_revision: u64,
    /// The revision of its last change.
    pub mod_revision: u64,
    /// How many changes it has seen since it came into being, from 1.
    pub version: u64,
    /// What else is to be said of a key; left out if there is nothing.
    #[serde(default, skip_serializing_if = "Attributes::are_plain")]
    pub attributes: Attributes,
}

impl<'a> Change<'a> {
    /// Reads the changes that a watch was sent at once; keys and values stay where they are.
    ///
    /// Errors: `DecodeError` if `bytes` are not exactly a list of changes; the caller should
    /// close the connection.
    pub fn decode_all(bytes: &'a [u8]) -> Result<Vec<Self>, DecodeError> {
        codec::decode(bytes)
    }
}

/// Appends one part of a [`Change`]; its parts in their order behind the head of their array are
/// the change.
pub(crate) fn encode_part<T: Serialize>(part: &T, bytes: &mut BytesMut) {
    codec::encode(part, bytes);
}
