//! What the store answers to commands and queries.

use std::fmt;

use bytes::BytesMut;
use serde::{Deserialize, Serialize};

use super::auth::Permission;
use super::codec::{self, DecodeError};
use super::collection::{Attributes, Item, Kind, Name};
use super::list::List;
use super::plain;
use super::transaction::Transacted;

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
    /// The key is set.
    #[serde(rename = "P")]
    PutOver {
        /// The revision that the put made.
        revision: u64,
        /// What the key was before, if that was asked for and it existed.
        #[serde(borrow)]
        previous: Option<KeyValue<'a>>,
    },
    /// The keys that existed are gone.
    #[serde(rename = "D")]
    DeletedKeys {
        /// How many keys there were to remove.
        count: u64,
        /// As in `Deleted`.
        revision: u64,
        /// What they were, range by range.
        #[serde(borrow)]
        kvs: List<KeyValue<'a>>,
        /// Whether there were more of them than an answer can hold.
        more: bool,
    },
    /// Fields or members are set, added or removed.
    #[serde(rename = "c")]
    Changed {
        /// How many of them are new, or were there to remove.
        count: u64,
        /// The revision that the change made; the current one if nothing changed.
        revision: u64,
    },
    /// A number was added to.
    #[serde(rename = "i")]
    Number {
        /// The sum.
        number: i64,
        /// The revision that the change made.
        revision: u64,
    },
    /// The values of fields.
    #[serde(rename = "g")]
    Values {
        /// The revision of the store.
        revision: u64,
        /// One for each name that was asked for; `None` where there is no such field.
        #[serde(borrow)]
        values: List<Option<Name<'a>>>,
    },
    /// Whether fields or members exist.
    #[serde(rename = "e")]
    Has {
        /// The revision of the store.
        revision: u64,
        /// One for each name that was asked for.
        has: List<bool>,
    },
    /// Fields or members.
    #[serde(rename = "I")]
    Items {
        /// The revision of the store.
        revision: u64,
        /// In the order of their names.
        #[serde(borrow)]
        items: List<Item<'a>>,
        /// Whether there are further ones; they come after the last name with a zero byte
        /// appended.
        more: bool,
        /// How many there are in all.
        count: u64,
    },
    /// How many fields or members there are.
    #[serde(rename = "l")]
    Length {
        /// The revision of the store.
        revision: u64,
        /// How many; 0 if the key does not exist.
        count: u64,
    },
    /// A lease is granted.
    #[serde(rename = "G")]
    Granted {
        /// The revision of the store.
        revision: u64,
        /// Its id.
        id: u64,
        /// How long it lasts without a renewal. Units: milliseconds.
        ttl_ms: u64,
    },
    /// Leases are renewed, as far as they exist.
    #[serde(rename = "K")]
    Renewed {
        /// The revision of the store.
        revision: u64,
        /// For each that was asked for how long it lasts from now on; 0 if there is no such
        /// lease. Units: milliseconds.
        ttls_ms: List<u64>,
    },
    /// A lease.
    #[serde(rename = "L")]
    Lease {
        /// The revision of the store.
        revision: u64,
        /// How long it was granted for. Units: milliseconds.
        ttl_ms: u64,
        /// How long it lasts yet; 0 if it has ended and is about to go. Units: milliseconds.
        remaining_ms: u64,
        /// The keys that go with it.
        #[serde(borrow)]
        keys: List<Name<'a>>,
        /// Whether there are further ones; they come after the last one with a zero byte
        /// appended.
        more: bool,
    },
    /// Leases.
    #[serde(rename = "a")]
    Leases {
        /// The revision of the store.
        revision: u64,
        /// Their ids, in order.
        ids: List<u64>,
        /// Whether there are further ones.
        more: bool,
    },
    /// How long a key or a field stays yet.
    #[serde(rename = "T")]
    Remaining {
        /// The revision of the store.
        revision: u64,
        /// Whether it exists.
        exists: bool,
        /// How long it stays, its lease counted as well; `None` is for ever. Units:
        /// milliseconds.
        remaining_ms: Option<u64>,
    },
    /// Hashes of one node.
    #[serde(rename = "v")]
    Hashes {
        /// The revision of the store.
        revision: u64,
        /// The newest hash.
        newest: u64,
        /// The index of each command and the hash after it, ascending.
        hashes: List<(u64, u64)>,
    },
    /// How often users and roles changed.
    #[serde(rename = "A")]
    AuthStatus {
        /// The revision of the store.
        revision: u64,
        /// 1 before the first change, and one more with each.
        auth_revision: u64,
    },
    /// The names of users or roles.
    #[serde(rename = "N")]
    Names {
        /// The revision of the store.
        revision: u64,
        /// In order; each is text.
        #[serde(borrow)]
        names: List<Name<'a>>,
    },
    /// What a role may do.
    #[serde(rename = "M")]
    Permissions {
        /// The revision of the store.
        revision: u64,
        /// In the order of their keys.
        #[serde(borrow)]
        permissions: List<Permission<'a>>,
    },
    /// What was asked for is done.
    #[serde(rename = "k")]
    Done {
        /// The revision of the store.
        revision: u64,
    },
    /// A transaction, or one nested in it, was carried out.
    #[serde(rename = "t")]
    Transaction(#[serde(borrow)] Box<Transacted<'a>>),
    /// A transaction was not carried out, because of one of its operations; nothing has changed.
    #[serde(rename = "u")]
    Undone {
        /// The revision of the store.
        revision: u64,
        /// Where the operation stands in the branch that was taken, counted from 0; of a nested
        /// one where each transaction around it stands first. Nothing if there is no room for
        /// the answer to the transaction as such.
        path: List<u64>,
        /// Why it cannot be carried out.
        why: No,
    },
    /// It was decided not to do what was asked for; nothing has changed.
    #[serde(rename = "n")]
    No {
        /// The revision of the store.
        revision: u64,
        /// Why.
        why: No,
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
        match self {
            Self::Put { revision } => plain::encode_put_answer(*revision, bytes),
            other if plain::encode_pairs(other, bytes) => {}
            other => codec::encode(other, bytes),
        }
    }

    /// Reads an answer; keys and values stay where they are in `bytes`.
    ///
    /// Errors: `DecodeError` if `bytes` are not exactly one answer of this version; the caller
    /// should treat the outcome of its request as unknown.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        match plain::put_answer(bytes) {
            Some(revision) => Ok(Self::Put { revision }),
            None => codec::decode(bytes),
        }
    }
}

/// Why the store decided against a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum No {
    /// The revision was compacted.
    #[serde(rename = "c")]
    Compacted {
        /// The oldest revision that can be read.
        oldest: u64,
    },
    /// The revision has not come yet.
    #[serde(rename = "f")]
    Future {
        /// The newest revision.
        newest: u64,
    },
    /// The key is not what the request is for.
    #[serde(rename = "w")]
    WrongType {
        /// What it is.
        found: Kind,
    },
    /// The value does not spell a number of 64 bits in decimal.
    #[serde(rename = "a")]
    NotANumber,
    /// The sum is no number of 64 bits.
    #[serde(rename = "v")]
    Overflow,
    /// The answer would be longer than an answer may be; ask for less at once.
    #[serde(rename = "l")]
    TooLong {
        /// How long it may be. Units: bytes.
        limit: u64,
    },
    /// The value would be longer than an edit may make it.
    #[serde(rename = "b")]
    ValueTooLong {
        /// How long it may be. Units: bytes.
        limit: u64,
    },
    /// There is no such lease; it may have ended.
    #[serde(rename = "u")]
    LeaseUnknown {
        /// The lease.
        id: u64,
    },
    /// The id is that of another lease.
    #[serde(rename = "x")]
    LeaseExists {
        /// The lease.
        id: u64,
    },
    /// The command cannot be part of a transaction; send it by itself.
    #[serde(rename = "t")]
    NotInTransaction,
    /// There is no such key, and the put asked for one.
    #[serde(rename = "k")]
    KeyUnknown,
    /// There is a user of this name already.
    #[serde(rename = "U")]
    UserExists,
    /// There is no such user.
    #[serde(rename = "s")]
    UserUnknown,
    /// There is a role of this name already.
    #[serde(rename = "O")]
    RoleExists,
    /// There is no such role.
    #[serde(rename = "o")]
    RoleUnknown,
    /// The user has not got the role.
    #[serde(rename = "g")]
    RoleNotGranted,
    /// The role has not got the permission.
    #[serde(rename = "p")]
    PermissionNotGranted,
    /// Users and roles would take more than they may; remove some.
    #[serde(rename = "F")]
    AuthFull {
        /// How much they may take. Units: bytes.
        limit: u64,
    },
    /// No restore of this id is under way: another one took its place, or it was given up.
    #[serde(rename = "r")]
    RestoreUnknown {
        /// The restore.
        id: u64,
    },
    /// Another piece of the restore comes next.
    #[serde(rename = "P")]
    PieceExpected {
        /// Which one.
        number: u64,
    },
}

impl fmt::Display for No {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compacted { oldest } => {
                write!(f, "the revision has been compacted, the oldest one is {oldest}")
            }
            Self::Future { newest } => {
                write!(f, "the revision has not come yet, the newest one is {newest}")
            }
            Self::WrongType { found } => write!(f, "wrong type: the key is a {found}"),
            Self::NotANumber => f.write_str("the value is not a decimal number of 64 bits"),
            Self::Overflow => f.write_str("the sum is beyond the numbers of 64 bits"),
            Self::LeaseUnknown { id } => write!(f, "there is no lease {id}, it may have ended"),
            Self::LeaseExists { id } => write!(f, "there is a lease {id} already"),
            Self::TooLong { limit } => {
                write!(f, "the answer would be above the limit of {limit} bytes, ask for less")
            }
            Self::ValueTooLong { limit } => {
                write!(f, "the value would be above the limit of {limit} bytes")
            }
            Self::NotInTransaction => f.write_str("the command cannot be part of a transaction"),
            Self::KeyUnknown => f.write_str("there is no such key"),
            Self::UserExists => f.write_str("there is a user of this name already"),
            Self::UserUnknown => f.write_str("there is no such user"),
            Self::RoleExists => f.write_str("there is a role of this name already"),
            Self::RoleUnknown => f.write_str("there is no such role"),
            Self::RoleNotGranted => f.write_str("the user has not got the role"),
            Self::PermissionNotGranted => f.write_str("the role has not got the permission"),
            Self::AuthFull { limit } => {
                write!(f, "users and roles would be above the limit of {limit} bytes")
            }
            Self::RestoreUnknown { id } => write!(
                f,
                "restore {id:016x} is not under way: another one took its place, or nothing was \
                 heard of it for too long"
            ),
            Self::PieceExpected { number } => {
                write!(f, "piece {number} of the restore comes next")
            }
        }
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
    /// What else is to be said of the key; left out if there is nothing.
    #[serde(default, skip_serializing_if = "Attributes::are_plain")]
    pub attributes: Attributes,
}
