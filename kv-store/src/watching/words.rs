//! What clients want of watches, what watches are told, and how much there may be of it.

use std::fmt;

use bytes::Bytes;

/// Watches of one connection, at most; a further one is refused.
pub const WATCHES_PER_CONNECTION_MAX: usize = 131_072;

/// Watches of a node, at most; a further one is refused.
pub const WATCHES_MAX: usize = 1_000_000;

/// What the watches of a node are about takes so much at most; a further one is refused.
/// Units: bytes.
pub const INTERESTS_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Changes that are read at once, and the revision with which that is reached. Units: bytes.
pub const CHANGES_BYTES_MAX: usize = 256 * 1024;

/// Changes that are sent at once, unless one alone is longer. Units: bytes.
pub const PUSH_BYTES_MAX: usize = 1024 * 1024;

/// The longest single change. One that is longer, which no store within the default limits has,
/// ends the watch. Units: bytes.
pub const CHANGE_BYTES_MAX: usize = 4 * 1024 * 1024 - 1024;

/// Bytes that a connection may have unread for its watches to be sent more; a watch that would be
/// sent more then is ended. Units: bytes.
pub const BACKLOG_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What one revision may show to one watch; a watch that is to be shown more is ended. A
/// connection has never more than this and the backlog unread. Units: bytes.
pub const REVISION_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes that a connection may have unread for those of its watches that read the past to be
/// given more. Units: bytes.
pub const CATCH_UP_BYTES_MAX: usize = 512 * 1024;

/// Names a watch: whose it is, and which of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// The connection.
    pub connection: u64,
    /// The watch, as its client calls it.
    pub watch: u64,
}

/// What a client wants of its watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// A new watch.
    Watch {
        /// Its name.
        owner: Owner,
        /// The first revision that is to be shown; 0 is whatever comes next.
        start: u64,
        /// Whether an idle watch is to be told from time to time how far it is.
        marks: bool,
        /// What it is about, as a client sends it.
        interest: Bytes,
    },
    /// The end of a watch.
    Unwatch(Owner),
    /// How far a watch is, at least up to what the node has applied now.
    Mark(Owner),
    /// The end of a connection with all its watches.
    Leave {
        /// The connection.
        connection: u64,
    },
}

/// What is to be told to a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// To which.
    pub owner: Owner,
    /// What.
    pub word: Word,
}

/// How many watches there are, and how their readers fare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub watches: u64,
    /// Those of the past whose connections have enough to read for now.
    pub paused: u64,
    /// Connections that have left as much unread as keeps watches of the past waiting.
    pub slow_readers: u64,
    /// The most that a connection has left unread. Units: bytes.
    pub unread_bytes_max: u64,
}

/// A word to a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// It has begun: everything after this revision will be shown.
    Begun {
        /// The revision.
        revision: u64,
        /// The newest one that the node has applied.
        newest: u64,
    },
    /// These changes happened.
    Changed {
        /// A list of changes, as clients read it; shared by all who are shown the same.
        changes: Bytes,
        /// Whether further changes of the last revision follow with the next word.
        is_cut: bool,
    },
    /// Everything up to this revision has been shown.
    Mark {
        /// The revision.
        revision: u64,
    },
    /// It makes no sense, and is none.
    Malformed {
        /// Why.
        why: String,
    },
    /// There are too many already.
    Overloaded,
    /// It is over.
    Ended(End),
}

/// Why a watch is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its client said so, or speaks of one that is not there.
    Unwatched,
    /// What it is to show next was compacted.
    Compacted {
        /// The first revision that can still be shown.
        oldest: u64,
    },
    /// Its connection has left too much unread.
    Slow {
        /// Where to begin another watch.
        resume_at: u64,
    },
    /// A revision shows more to it than can be sent.
    TooLarge {
        /// Which.
        revision: u64,
    },
    /// The state of this node is being replaced.
    NotHere {
        /// Where to begin another watch, at another node.
        resume_at: u64,
    },
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unwatched => f.write_str("there is no such watch any more"),
            Self::Compacted { oldest } => {
                write!(f, "the revision has been compacted, the oldest one is {oldest}")
            }
            Self::Slow { resume_at } => write!(
                f,
                "the connection has more than {BACKLOG_BYTES_MAX} bytes unread, go on at revision \
                 {resume_at}"
            ),
            Self::TooLarge { revision } => write!(
                f,
                "revision {revision} shows more than {REVISION_BYTES_MAX} bytes, go on at the \
                 next one, or watch less"
            ),
            Self::NotHere { resume_at } => write!(
                f,
                "the state of this node is being replaced, go on at revision {resume_at} at \
                 another node"
            ),
        }
    }
}
