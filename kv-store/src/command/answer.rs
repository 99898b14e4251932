//! What the store answers to commands and queries.

use bytes::BytesMut;
use serde::{Deserialize, Serialize};

use super::codec::{self, DecodeError};
use super::list::List;

/// The store's answer: decided, and the same on every node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer<'a> {
    /// The key is set.
    #[serde(rename = "p")]
    Put {
        /// The revision that the put made.
        revision: u64,
    },
    /// The keys that existed are gone.
    #[serde(rename = "d")]
    Deleted {
        /// How many keys there were to remove.
        count: u64,
        /// The revision that the removal made; the current one if there was nothing to remove.
        revision: u64,
    },
    /// Keys of a range.
    #[serde(rename = "r")]
    Range {
        /// The revision of the store that the answer shows.
        revision: u64,
        /// Keys in bytewise order.
        #[serde(borrow)]
        kvs: List<KeyValue<'a>>,
        /// Whether the range holds keys after the last one here;
        /// [`KeyRange::after`](super::KeyRange::after) asks for them.
        more: bool,
        /// How many keys the range holds, those left out here included.
        count: u64,
    },
    /// The command or query could not be read; nothing was done. Repeating it is of no use.
    #[serde(rename = "m")]
    Malformed {
        /// What is wrong with it, for people.
        #[serde(borrow)]
        why: &'a str,
    },
}

impl<'a> Answer<'a> {
    /// Appends the answer to `bytes`.
    pub fn encode(&self, bytes: &mut BytesMut) {
        codec::encode(self, bytes);
    }

    /// Reads an answer; keys and values stay where they are in `bytes`.
    ///
    /// Errors: `DecodeError` if `bytes` are not exactly one answer of this version; the caller
    /// should treat the outcome of its request as unknown.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        codec::decode(bytes)
    }
}

/// A key with its value and its place in history (etcd: `mvccpb.KeyValue`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyValue<'a> {
    /// The key.
    #[serde(with = "serde_bytes", borrow)]
    pub key: &'a [u8],
    /// Its value.
    #[serde(with = "serde_bytes", borrow)]
    pub value: &'a [u8],
    /// The revision at which the key came into being, after its last removal if there was one.
    pub create_revision: u64,
    /// The revision of the last change.
    pub mod_revision: u64,
    /// How many puts the key has seen since it came into being, from 1.
    pub version: u64,
}
