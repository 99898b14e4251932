//! Which keys of a range are asked for, at which revision, in which order and how much of them.

use serde::{Deserialize, Serialize};

use super::KeyRange;

/// A question for keys (etcd: `RangeRequest`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection<'a> {
    /// The keys in question.
    #[serde(borrow)]
    pub range: KeyRange<'a>,
    /// The store at this revision; 0 is the newest one.
    pub revision: u64,
    /// How many keys at most; 0 asks for as many as an answer may hold.
    pub limit: u64,
    /// In which order; the limit counts from its beginning.
    pub order: Order,
    /// Which keys of the range are shown.
    pub filter: Filter,
    /// What is shown of each.
    pub show: Show,
}

impl<'a> Selection<'a> {
    /// Everything that the newest revision holds of a range, in the order of the keys.
    #[must_use]
    pub const fn of(range: KeyRange<'a>) -> Self {
        let order = Order { by: OrderBy::Key, direction: Direction::Ascending };
        Self { range, revision: 0, limit: 0, order, filter: Filter::ALL, show: Show::Pairs }
    }
}

/// The order of an answer. What is equal in it is in the ascending order of the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// What is compared.
    pub by: OrderBy,
    /// Which end comes first.
    pub direction: Direction,
}

/// What an order compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderBy {
    /// The bytes of the key.
    #[serde(rename = "k")]
    Key,
    /// How many puts the key has seen.
    #[serde(rename = "n")]
    Version,
    /// When the key came into being.
    #[serde(rename = "c")]
    CreateRevision,
    /// When the key was changed last.
    #[serde(rename = "m")]
    ModRevision,
    /// The bytes of the value.
    #[serde(rename = "v")]
    Value,
}

/// Which end of an order comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// The least first.
    #[serde(rename = "a")]
    Ascending,
    /// The greatest first.
    #[serde(rename = "d")]
    Descending,
}

/// Between which revisions a key must lie. Both ends are included; 0 sets no end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Changed last at this revision or later.
    pub mod_revision_min: u64,
    /// Changed last at this revision or earlier.
    pub mod_revision_max: u64,
    /// Made at this revision or later.
    pub create_revision_min: u64,
    /// Made at this revision or earlier.
    pub create_revision_max: u64,
}

impl Filter {
    /// Lets every key through.
    pub const ALL: Self = Self {
        mod_revision_min: 0,
        mod_revision_max: 0,
        create_revision_min: 0,
        create_revision_max: 0,
    };

    /// Whether a key with these revisions is shown.
    #[must_use]
    pub const fn lets_through(&self, mod_revision: u64, create_revision: u64) -> bool {
        self.mod_revision_min <= mod_revision
            && (self.mod_revision_max == 0 || mod_revision <= self.mod_revision_max)
            && self.create_revision_min <= create_revision
            && (self.create_revision_max == 0 || create_revision <= self.create_revision_max)
    }
}

/// How much of each key is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Show {
    /// Keys with their values.
    #[serde(rename = "p")]
    Pairs,
    /// Keys with empty values.
    #[serde(rename = "k")]
    Keys,
    /// Only how many keys the range holds.
    #[serde(rename = "c")]
    Count,
}
