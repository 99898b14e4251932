//! What clients say to the store and what it answers.
//!
//! The bytes that a client sends are the payload of the log entry and what `apply` decodes:
//! a command is encoded once in its life. Layout: `docs/commands.md`. Fields are only ever
//! appended, variants only ever added.

mod answer;
mod codec;
mod key_range;
mod limits;
mod list;

use bytes::BytesMut;
use serde::{Deserialize, Serialize};

pub use self::answer::{Answer, KeyValue};
pub use self::codec::DecodeError;
pub use self::key_range::{KeyRange, RangeEnd};
pub(crate) use self::limits::KEY_VALUE_OVERHEAD_BYTES;
pub use self::limits::{
    ANSWER_BYTES_MAX, ANSWER_KEYS_MAX, Excess, KEY_BYTES_MAX, LimitError, Limits,
    RANGES_PER_DELETE_MAX, VALUE_BYTES_MAX_DEFAULT,
};
pub use self::list::List;

/// A change of the store, replicated before it is applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command<'a> {
    /// Sets a key to a value, whatever was there. Answered by [`Answer::Put`].
    #[serde(rename = "p")]
    Put {
        /// The key.
        #[serde(with = "serde_bytes", borrow)]
        key: &'a [u8],
        /// Its new value.
        #[serde(with = "serde_bytes", borrow)]
        value: &'a [u8],
    },
    /// Removes every key in any of the ranges, in one revision. Answered by
    /// [`Answer::Deleted`].
    #[serde(rename = "d")]
    Delete {
        /// The ranges, which may overlap: a key is removed, and counted, once.
        #[serde(borrow)]
        ranges: List<KeyRange<'a>>,
    },
}

impl<'a> Command<'a> {
    /// Appends the command to `bytes`.
    pub fn encode(&self, bytes: &mut BytesMut) {
        codec::encode(self, bytes);
    }

    /// Reads a command; keys and values stay where they are in `bytes`.
    ///
    /// Errors: `DecodeError` if `bytes` are not exactly one command of this version; the
    /// caller should refuse the request as malformed.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        codec::decode(bytes)
    }
}

/// A question about the store, which is not replicated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query<'a> {
    /// The keys of a range in order, with their values. Answered by [`Answer::Range`].
    #[serde(rename = "r")]
    Range {
        /// Which keys; a single one for a plain get.
        #[serde(borrow)]
        range: KeyRange<'a>,
        /// How many keys at most; 0 asks for as many as an answer may hold
        /// ([`ANSWER_KEYS_MAX`], [`ANSWER_BYTES_MAX`]).
        limit: u64,
    },
}

impl<'a> Query<'a> {
    /// Appends the query to `bytes`.
    pub fn encode(&self, bytes: &mut BytesMut) {
        codec::encode(self, bytes);
    }

    /// Reads a query; keys stay where they are in `bytes`.
    ///
    /// Errors: as [`Command::decode`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        codec::decode(bytes)
    }
}
