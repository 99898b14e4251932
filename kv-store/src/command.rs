//! What clients say to the store and what it answers.
//!
//! The bytes that a client sends are the payload of the log entry and what `apply` decodes:
//! a command is encoded once in its life. Layout: `docs/commands.md`. Fields are only ever
//! appended, variants only ever added.

mod answer;
mod auth;
mod codec;
mod collection;
mod edit;
mod feature;
mod growth;
pub(crate) mod interest;
pub(crate) mod key_range;
mod limits;
mod list;
mod plain;
pub(crate) mod renewals;
mod restore;
mod selection;
mod transaction;

use bytes::BytesMut;
use serde::{Deserialize, Serialize};

pub use self::answer::{Answer, KeyValue, No};
pub use self::auth::{
    AUTH_BYTES_MAX, AUTH_NAME_BYTES_MAX, Access, AuthChange, AuthQuery, Permission, ROOT_ROLE,
};
pub use self::codec::DecodeError;
pub use self::collection::{Attributes, Collection, Item, Kind, Name};
pub use self::edit::{Combination, Edit};
pub use self::interest::{Change, Interest, Items, State};
pub use self::key_range::{KeyRange, RangeEnd};
pub(crate) use self::limits::KEY_VALUE_OVERHEAD_BYTES;
pub use self::limits::{
    ANSWER_BYTES_MAX, ANSWER_KEYS_MAX, COMMAND_BYTES_MAX, Excess, ITEMS_PER_REQUEST_MAX,
    KEY_BYTES_MAX, LEASES_PER_REQUEST_MAX, LimitError, Limits, RANGES_PER_DELETE_MAX, TTL_MS_MAX,
    VALUE_BYTES_MAX_DEFAULT,
};
pub use self::list::List;
pub use self::restore::{RESTORE_PIECE_BYTES_MAX, RESTORE_REVISION_MAX, RestorePlan, RestoreStep};
pub use self::selection::{Direction, Filter, Order, OrderBy, Selection, Show};
pub use self::transaction::{
    Compare, OPERATIONS_PER_TRANSACTION_MAX, OnNo, Operation, Relation, TRANSACTION_NESTING_MAX,
    Target, Transacted, Transaction,
};

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
    /// As `Put`, in more detail. Answered by [`Answer::PutOver`].
    #[serde(rename = "P")]
    PutWith {
        /// The key.
        #[serde(with = "serde_bytes", borrow)]
        key: &'a [u8],
        /// Its new value.
        #[serde(with = "serde_bytes", borrow)]
        value: &'a [u8],
        /// The details.
        options: PutOptions,
    },
    /// As `Delete`, and shows what it removed. Answered by [`Answer::DeletedKeys`].
    #[serde(rename = "D")]
    DeleteReturning {
        /// As for `Delete`.
        #[serde(borrow)]
        ranges: List<KeyRange<'a>>,
    },
    /// Makes everything before a revision unreadable, for ever. Answered by [`Answer::Done`],
    /// or by [`No::Compacted`] if that is so already, or by [`No::Future`].
    #[serde(rename = "c")]
    Compact {
        /// The first revision that can still be read.
        revision: u64,
    },
    /// Sets fields of a hash, which comes into being if need be. Answered by
    /// [`Answer::Changed`] with how many are new, or by [`No::WrongType`].
    #[serde(rename = "h")]
    SetFields {
        /// The key.
        #[serde(with = "serde_bytes", borrow)]
        key: &'a [u8],
        /// The fields; of two with one name the later one counts.
        #[serde(borrow)]
        fields: List<Item<'a>>,
    },
    /// Adds members to a set, which comes into being if need be. Answered as `SetFields`.
    #[serde(rename = "m")]
    AddMembers {
        /// The key.
        #[serde(with = "serde_bytes", borrow)]
        key: &'a [u8],
        /// The members; one that is there already stays.
        #[serde(borrow)]
        members: List<Name<'a>>,
    },
    /// Removes fields or members, and with the last one the key. Answered by
    /// [`Answer::Changed`] with how many there were, or by [`No::WrongType`].
    #[serde(rename = "r")]
    RemoveItems {
        /// What the key should be.
        of: Collection,
        /// The key.
        #[serde(with = "serde_bytes", borrow)]
        key: &'a [u8],
        /// The fields or members.
        #[serde(borrow)]
        names: List<Name<'a>>,
    },
    /// Adds to a number in a string or in a field; what does not exist is 0. Answered by
    /// [`Answer::Number`], or by [`No::WrongType`], [`No::NotANumber`] or [`No::Overflow`].
    #[serde(rename = "i")]
    Increment {
        /// The key.
        #[serde(with = "serde_bytes", borrow)]
        key: &'a [u8],
        /// The field, if the key is a hash.
        #[serde(borrow)]
        field: Option<Name<'a>>,
        /// What is added.
        by: i64,
    },
    /// Grants a lease. Answered by [`Answer::Granted`], or by [`No::LeaseExists`].
    #[serde(rename = "G")]
    GrantLease {
        /// Its id; 0 asks for one that is free.
        id: u64,
        /// How long it lasts without a renewal, from 1. Units: milliseconds of log time.
        ttl_ms: u64,
    },
    /// Ends a lease and removes its keys, in one revision. Answered by [`Answer::Deleted`] with
    /// how many keys there were, or by [`No::LeaseUnknown`].
    #[serde(rename = "R")]
    RevokeLease {
        /// The lease.
        id: u64,
    },
    /// Makes leases last as long again as they were granted for. Answered by
    /// [`Answer::Renewed`].
    #[serde(rename = "K")]
    RenewLeases {
        /// The leases.
        ids: List<u64>,
    },
    /// Gives a key, or a field of a hash, an end. Answered by [`Answer::Changed`] with how many
    /// there were to give it to, or by [`No::WrongType`].
    #[serde(rename = "x")]
    Expire {
        /// The key.
        #[serde(with = "serde_bytes", borrow)]
        key: &'a [u8],
        /// The field, if it is for one.
        #[serde(borrow)]
        field: Option<Name<'a>>,
        /// How long it stays; 0 is for ever. Units: milliseconds of log time.
        ttl_ms: u64,
    },
    /// Removes what has ended by the time that the entry bears: leases with their keys, keys
    /// and fields. Leaders propose it; from anybody else it does the same. Answered by
    /// [`Answer::Done`].
    #[serde(rename = "X")]
    RemoveEnded,
    /// Changes a part of a string or of a field, which stays as long as before; what does not
    /// exist is empty, or 0. Answered as the edit says, or by [`No::WrongType`],
    /// [`No::NotANumber`], [`No::Overflow`] or [`No::ValueTooLong`].
    #[serde(rename = "e")]
    Edit {
        /// The key.
        #[serde(with = "serde_bytes", borrow)]
        key: &'a [u8],
        /// The field, if the key is a hash.
        #[serde(borrow)]
        field: Option<Name<'a>>,
        /// What becomes of it.
        #[serde(borrow)]
        edit: Edit<'a>,
    },
    /// Gives what a key is, with its items and its end, another key, in place of whatever that
    /// was. Answered by [`Answer::Changed`] with 1, or with 0 if there is no such key.
    #[serde(rename = "n")]
    Rename {
        /// The key that is.
        #[serde(with = "serde_bytes", borrow)]
        from: &'a [u8],
        /// The key that is to be.
        #[serde(with = "serde_bytes", borrow)]
        to: &'a [u8],
    },
    /// Removes members that are drawn by lot, by the seed of the entry. Answered by
    /// [`Answer::Items`] with the members and how many are left, or by [`No::WrongType`].
    #[serde(rename = "T")]
    Take {
        /// The key of the set.
        #[serde(with = "serde_bytes", borrow)]
        key: &'a [u8],
        /// How many at most.
        count: u64,
    },
    /// Makes a key the set that sets combine to, in place of whatever it was; nothing if that
    /// has no members. Answered by [`Answer::Length`], or by [`No::WrongType`].
    #[serde(rename = "s")]
    StoreCombined {
        /// The key.
        #[serde(with = "serde_bytes", borrow)]
        to: &'a [u8],
        /// How.
        how: Combination,
        /// The keys of the sets.
        #[serde(borrow)]
        keys: List<Name<'a>>,
    },
    /// Does one thing or another, all of it in one revision. Answered by
    /// [`Answer::Transaction`], or by [`Answer::Undone`].
    #[serde(rename = "t")]
    Transaction {
        /// What the no of an operation means for the others.
        on_no: OnNo,
        /// What is done.
        #[serde(borrow)]
        transaction: Box<Transaction<'a>>,
    },
    /// Changes users and roles, which no revision is about. Answered as the change says.
    #[serde(rename = "A")]
    Auth {
        /// The change.
        #[serde(borrow)]
        change: AuthChange<'a>,
    },
    /// A step of putting a backup in the place of all keys and leases. Answered as the step says.
    #[serde(rename = "B")]
    Restore {
        /// The step.
        #[serde(borrow)]
        step: RestoreStep<'a>,
    },
}

/// The details of a put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutOptions {
    /// Whether the answer shows what the key was before.
    pub returns_previous: bool,
    /// The lease that the key goes with; 0 is none. A put with one that is unknown changes
    /// nothing and is answered by [`No::LeaseUnknown`].
    pub lease: u64,
    /// How long the key stays; 0 is for ever. Units: milliseconds of log time.
    pub ttl_ms: u64,
    /// Whether a key that exists keeps its lease and its end; it is given neither then.
    pub keeps_end: bool,
    /// Whether the key must exist; left out if it need not.
    #[serde(default, skip_serializing_if = "Existing::is_any")]
    pub existing: Existing,
}

/// What a put asks of the key before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Existing {
    /// Nothing.
    #[default]
    #[serde(rename = "a")]
    Any,
    /// That it exists; otherwise nothing changes and the answer is [`No::KeyUnknown`].
    #[serde(rename = "r")]
    Required,
    /// As `Required`; and it keeps its value, whatever the put says (etcd: `ignore_value`).
    #[serde(rename = "v")]
    KeepsValue,
}

impl Existing {
    fn is_any(&self) -> bool {
        *self == Self::Any
    }
}

impl<'a> Command<'a> {
    /// Appends the command to `bytes`.
    pub fn encode(&self, bytes: &mut BytesMut) {
        match self {
            Self::Put { key, value } => plain::encode_put(key, value, bytes),
            other => codec::encode(other, bytes),
        }
    }

    /// Reads a command; keys and values stay where they are in `bytes`.
    ///
    /// Errors: `DecodeError` if `bytes` are not exactly one command of this version; the
    /// caller should refuse the request as malformed.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        match plain::put(bytes) {
            Some((key, value)) => Ok(Self::Put { key, value }),
            None => codec::decode(bytes),
        }
    }

    /// The first key that a command is about, if it can be seen at a glance.
    pub(crate) fn first_key(bytes: &'a [u8]) -> Option<&'a [u8]> {
        plain::first_key(bytes)
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
    /// The keys of a range as the selection says. Answered by [`Answer::Range`], or by
    /// [`No::Compacted`] or [`No::Future`].
    #[serde(rename = "s")]
    Select(#[serde(borrow)] Selection<'a>),
    /// The versions of a key, the oldest one first. Answered by [`Answer::Range`], in which a
    /// removal is a pair of version 0, or as `Select`.
    #[serde(rename = "h")]
    History {
        /// The key.
        #[serde(with = "serde_bytes", borrow)]
        key: &'a [u8],
        /// The first revision that is of interest; 0 is the oldest one that can be read, with
        /// the version that it shows.
        since: u64,
        /// How many versions at most; 0 asks for as many as an answer may hold.
        limit: u64,
    },
    /// The values of fields. Answered by [`Answer::Values`], or by [`No::WrongType`],
    /// [`No::TooLong`], or as `Select`.
    #[serde(rename = "g")]
    Fields {
        /// The key.
        #[serde(with = "serde_bytes", borrow)]
        key: &'a [u8],
        /// The fields.
        #[serde(borrow)]
        names: List<Name<'a>>,
        /// The store at this revision; 0 is the newest one.
        revision: u64,
    },
    /// Whether fields or members exist. Answered by [`Answer::Has`], or as `Fields`.
    #[serde(rename = "e")]
    Has {
        /// What the key should be.
        of: Collection,
        /// The key.
        #[serde(with = "serde_bytes", borrow)]
        key: &'a [u8],
        /// The fields or members.
        #[serde(borrow)]
        names: List<Name<'a>>,
        /// As in `Fields`.
        revision: u64,
    },
    /// Fields with their values, or members, in the order of their names, and how many there
    /// are. Answered by [`Answer::Items`], or as `Fields`.
    #[serde(rename = "i")]
    Items {
        /// What the key should be.
        of: Collection,
        /// The key.
        #[serde(with = "serde_bytes", borrow)]
        key: &'a [u8],
        /// The first name that is wanted; the empty one is before all others.
        #[serde(with = "serde_bytes", borrow)]
        from: &'a [u8],
        /// How many at most; 0 asks for as many as an answer may hold.
        limit: u64,
        /// As in `Fields`.
        revision: u64,
    },
    /// How many fields or members there are. Answered by [`Answer::Length`], or as `Fields`.
    #[serde(rename = "l")]
    Length {
        /// What the key should be.
        of: Collection,
        /// The key.
        #[serde(with = "serde_bytes", borrow)]
        key: &'a [u8],
        /// As in `Fields`.
        revision: u64,
    },
    /// What a lease is, and its keys in order. Answered by [`Answer::Lease`], or by
    /// [`No::LeaseUnknown`].
    #[serde(rename = "L")]
    Lease {
        /// The lease.
        id: u64,
        /// The first key that is wanted; the empty one is before all others.
        #[serde(with = "serde_bytes", borrow)]
        from: &'a [u8],
    },
    /// The leases in the order of their ids. Answered by [`Answer::Leases`].
    #[serde(rename = "a")]
    Leases {
        /// The first id that is wanted.
        from: u64,
    },
    /// How long a key, or a field of a hash, stays yet. Answered by [`Answer::Remaining`], or by
    /// [`No::WrongType`].
    #[serde(rename = "T")]
    Remaining {
        /// The key.
        #[serde(with = "serde_bytes", borrow)]
        key: &'a [u8],
        /// The field, if it is about one.
        #[serde(borrow)]
        field: Option<Name<'a>>,
    },
    /// Several questions about one state, and which of them. Answered as a transaction in which
    /// each no stands alone; it may not write.
    #[serde(rename = "t")]
    Transaction(#[serde(borrow)] Box<Transaction<'a>>),
    /// The keys of a range in order, without their values and not counted beyond the limit.
    /// Answered by [`Answer::Range`], in which `count` is that of the pairs.
    #[serde(rename = "k")]
    Keys {
        /// Which keys.
        #[serde(borrow)]
        range: KeyRange<'a>,
        /// As for `Range`.
        limit: u64,
    },
    /// A key that is drawn by lot. Answered by [`Answer::Range`] with it, or without any key if
    /// there is none.
    #[serde(rename = "y")]
    AnyKey {
        /// What the lot depends on.
        seed: u64,
    },
    /// Fields or members that are drawn by lot. Answered by [`Answer::Items`] with them, and how
    /// many there are in all, or by [`No::WrongType`].
    #[serde(rename = "S")]
    Sample {
        /// What the key should be.
        of: Collection,
        /// The key.
        #[serde(with = "serde_bytes", borrow)]
        key: &'a [u8],
        /// How many; all of them if there are no more, unless they may come again.
        count: u64,
        /// Whether one may be drawn more than once.
        repeats: bool,
        /// What the lot depends on.
        seed: u64,
    },
    /// The members of the set that sets combine to. Answered by [`Answer::Items`], or by
    /// [`No::WrongType`].
    #[serde(rename = "c")]
    Combined {
        /// How.
        how: Combination,
        /// The keys of the sets.
        #[serde(borrow)]
        keys: List<Name<'a>>,
    },
    /// The rolling hash after each of the newest commands that this node has executed. It is of
    /// one node, so it is no part of a transaction and is asked of each node for itself, as a
    /// local read. Answered by [`Answer::Hashes`].
    #[serde(rename = "v")]
    Hashes {
        /// The first index that is wanted.
        from: u64,
    },
    /// Something about users and roles. Answered as the question says.
    #[serde(rename = "A")]
    Auth {
        /// The question.
        #[serde(borrow)]
        query: AuthQuery<'a>,
    },
}

impl<'a> Query<'a> {
    /// Appends the query to `bytes`.
    pub fn encode(&self, bytes: &mut BytesMut) {
        if !plain::encode_single(self, bytes) {
            codec::encode(self, bytes);
        }
    }

    /// Reads a query; keys stay where they are in `bytes`.
    ///
    /// Errors: as [`Command::decode`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        plain::single(bytes).map_or_else(|| codec::decode(bytes), Ok)
    }
}
