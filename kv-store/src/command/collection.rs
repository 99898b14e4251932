//! Hashes and sets in commands, queries and answers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a key is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A value.
    #[default]
    #[serde(rename = "s")]
    String,
    /// Fields with a value each.
    #[serde(rename = "h")]
    Hash,
    /// Members.
    #[serde(rename = "m")]
    Set,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::String => "STRING",
            Self::Hash => "HASH",
            Self::Set => "SET",
        })
    }
}

/// A kind of key that has items: fields or members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Collection {
    /// Its items are fields.
    #[serde(rename = "h")]
    Hash,
    /// Its items are members.
    #[serde(rename = "m")]
    Set,
}

impl Collection {
    /// The kind of the key.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Hash => Kind::Hash,
            Self::Set => Kind::Set,
        }
    }
}

/// What is said of a key in an answer beside its value. Fields are only ever appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// What the key is. The value of a hash or a set is empty.
    pub kind: Kind,
    /// The lease that it goes with; 0 is none.
    pub lease: u64,
}

impl Attributes {
    /// Whether there is nothing to say: a string like any other.
    #[must_use]
    pub fn are_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// A name, as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Name<'a>(#[serde(with = "serde_bytes", borrow)] pub &'a [u8]);

/// A field of a hash with its value, or a member of a set with an empty one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item<'a> {
    /// The field or member.
    #[serde(with = "serde_bytes", borrow)]
    pub name: &'a [u8],
    /// The value of a field.
    #[serde(with = "serde_bytes", borrow)]
    pub value: &'a [u8],
}
