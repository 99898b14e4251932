//! The small words of Raft: who, when, where in the log.
//!
//! Newtypes, so that a term is never compared with an index and a node is never mistaken
//! for either. All of them are ordered, copied freely and printed without decoration.

use std::fmt;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

/// The id of a node, unique for the life of a cluster and never reused.
///
/// Zero is not an id: "no node" is `Option::None`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(NonZeroU64);

impl NodeId {
    /// The id with this number, or `None` for zero.
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number that users see.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0.get()
    }
}

/// Which data directory a node runs on: drawn at random when the directory is made.
///
/// A node that comes back under its id with another incarnation has lost its disk, and with
/// it every promise it had made (design: identity).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation(pub u64);

/// A term: the logical clock of elections (Raft §5.1).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Term(pub u64);

impl Term {
    /// The term before the first election.
    pub const ZERO: Self = Self(0);

    /// The following term.
    ///
    /// Panics: at `u64::MAX`, which no cluster reaches by counting elections; a message that
    /// claims such a term is refused where it is decoded.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("a term fits in 64 bits"))
    }
}

/// A position in the log; the first entry has index 1 and 0 is "before the log".
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Index(pub u64);

impl Index {
    /// The position before the first entry.
    pub const ZERO: Self = Self(0);

    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Self {
        self.plus(1)
    }

    /// The position before this one.
    ///
    /// Panics: at zero, before which there is nothing.
    #[must_use]
    pub fn prev(self) -> Self {
        Self(self.0.checked_sub(1).expect("an index above zero has a predecessor"))
    }

    /// The position `count` further on.
    #[must_use]
    pub fn plus(self, count: u64) -> Self {
        Self(self.0.checked_add(count).expect("an index fits in 64 bits"))
    }

    /// How many entries lie after `earlier`, up to and with this one; zero if none.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// What identifies an entry: no two different entries share both (Raft §5.3, log matching).
///
/// Ordered as logs are compared in an election: term first, then index (Raft §5.4.1).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryId {
    /// The term of the leader that made the entry.
    pub term: Term,
    /// Where it stands in the log.
    pub index: Index,
}

impl EntryId {
    /// The id "before the first entry", which every log contains.
    pub const ZERO: Self = Self { term: Term::ZERO, index: Index::ZERO };
}

/// A point on this process's monotonic clock.
///
/// Units: microseconds since an arbitrary start; never compared between nodes.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// The point `micros` microseconds later.
    #[must_use]
    pub fn after(self, micros: u64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Microseconds from `earlier` to here; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

macro_rules! prints_as_number {
    ($($name:ident => $prefix:literal),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    )*};
}

prints_as_number!(NodeId => "n", Term => "t", Index => "i", Time => "@");

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.term, self.index)
    }
}

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
