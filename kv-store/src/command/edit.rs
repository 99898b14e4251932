//! What becomes of a part of a value, and of sets together.

use serde::{Deserialize, Serialize};

/// A change of a part of a value. The value may grow to
/// [`VALUE_BYTES_MAX_DEFAULT`](super::VALUE_BYTES_MAX_DEFAULT) bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Edit<'a> {
    /// Bytes are added at the end. Answered by [`Answer::Length`](super::Answer::Length).
    #[serde(rename = "a")]
    Append(#[serde(with = "serde_bytes", borrow)] &'a [u8]),
    /// Bytes are written from a place on, over those that are there and beyond; zero bytes come
    /// before it if there is less. Answered as `Append`.
    #[serde(rename = "o")]
    Overwrite {
        /// The place. Units: bytes.
        at: u64,
        /// What is written.
        #[serde(with = "serde_bytes", borrow)]
        bytes: &'a [u8],
    },
    /// A decimal number, such as `-1.5` or `3e2`, is added to the one that the value spells.
    /// The sum has at most 17 digits behind its point. Answered by
    /// [`Answer::Values`](super::Answer::Values) with the sum.
    #[serde(rename = "d")]
    AddDecimal(#[serde(with = "serde_bytes", borrow)] &'a [u8]),
}

/// How sets become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Combination {
    /// What is in all of them.
    #[serde(rename = "i")]
    Intersection,
    /// What is in any of them.
    #[serde(rename = "u")]
    Union,
    /// What is in the first and in no other.
    #[serde(rename = "d")]
    Difference,
}
