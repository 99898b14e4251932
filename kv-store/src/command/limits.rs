//! How much a command may ask for, and what is said to one that asks for more.
//!
//! The limits are checked where a command comes in, before it is proposed. `apply` knows none
//! of them: nodes may be set differently, and a command in the log is applied by all.

use std::fmt;

use raft_core::entry::{Draft, ENTRY_BYTES_MAX, ENTRY_HEADER_BYTES};

use super::{
    Command, Edit, Items, KeyRange, Name, OPERATIONS_PER_TRANSACTION_MAX, Query, RangeEnd,
};

/// The longest key. A longer one is refused. Units: bytes.
pub const KEY_BYTES_MAX: usize = 64 * 1024;

/// The longest value, unless the node is set otherwise. A longer one is refused. Units: bytes.
pub const VALUE_BYTES_MAX_DEFAULT: usize = 1_572_864;

/// The most ranges in one delete. A delete of more is refused; it can be sent in parts.
pub const RANGES_PER_DELETE_MAX: usize = 1_024;

/// The most fields or members in one request. A request for more is refused; it can be sent in
/// parts.
pub const ITEMS_PER_REQUEST_MAX: usize = 10_000;

/// The most leases in one renewal. A renewal of more is refused; it can be sent in parts.
pub const LEASES_PER_REQUEST_MAX: usize = 10_000;

/// The longest time for which a lease can be granted, or a key or field can stay, if not for
/// ever: about 285 years, as in etcd. A longer one is refused. Units: milliseconds.
pub const TTL_MS_MAX: u64 = 9_000_000_000_000;

/// The most keys in one answer. Where it stops, the answer says that there is more.
pub const ANSWER_KEYS_MAX: usize = 10_000;

/// The most bytes of keys and values in one answer, 50 bytes for each key
/// included. Where it stops, the answer says that there is more.
pub const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a key-value pair costs in an answer beside its key and value, at most. Units: bytes.
pub(crate) const KEY_VALUE_OVERHEAD_BYTES: usize = 1 + 5 + 5 + 3 * 9 + 3 + 9;

/// What a put costs in a log entry beside its key and value, at most. Units: bytes.
const PUT_OVERHEAD_BYTES: usize = 1 + 2 + 1 + 5 + 5;

/// The longest command, encoded: what fits a log entry. A longer one is refused. Units: bytes.
pub const COMMAND_BYTES_MAX: usize = ENTRY_BYTES_MAX - ENTRY_HEADER_BYTES;

const _: () = {
    // A put within the default limits fits an entry, and any key-value pair that was ever put
    // fits an answer: a caller that asks for more always comes further.
    assert!(Draft::fits(KEY_BYTES_MAX + VALUE_BYTES_MAX_DEFAULT + PUT_OVERHEAD_BYTES));
    assert!(!Draft::fits(ANSWER_BYTES_MAX - KEY_VALUE_OVERHEAD_BYTES));
};

/// The limits of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest key. Units: bytes.
    pub key_bytes_max: usize,
    /// The longest value. A value that does not fit a log entry is refused there, whatever is
    /// set here. Units: bytes.
    pub value_bytes_max: usize,
    /// The most ranges in one delete.
    pub ranges_per_delete_max: usize,
    /// The most operations in one transaction, and the most compares.
    pub operations_per_transaction_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            key_bytes_max: KEY_BYTES_MAX,
            value_bytes_max: VALUE_BYTES_MAX_DEFAULT,
            ranges_per_delete_max: RANGES_PER_DELETE_MAX,
            operations_per_transaction_max: OPERATIONS_PER_TRANSACTION_MAX,
        }
    }
}

impl Limits {
    fn check_key(&self, key: &[u8]) -> Result<(), LimitError> {
        if key.is_empty() {
            return Err(LimitError::KeyEmpty);
        }
        check_length(key, self.key_bytes_max).map_err(LimitError::KeyTooLong)
    }

    pub(super) fn check_value(&self, value: &[u8]) -> Result<(), LimitError> {
        check_length(value, self.value_bytes_max).map_err(LimitError::ValueTooLong)
    }

    fn check_ttl(ttl_ms: u64) -> Result<(), LimitError> {
        if TTL_MS_MAX < ttl_ms {
            return Err(LimitError::TtlTooLong { found_ms: ttl_ms, limit_ms: TTL_MS_MAX });
        }
        Ok(())
    }

    fn check_names<'n>(
        &self,
        key: &[u8],
        names: impl ExactSizeIterator<Item = &'n [u8]>,
    ) -> Result<(), LimitError> {
        self.check_key(key)?;
        let found = names.len();
        if ITEMS_PER_REQUEST_MAX < found {
            let limit = ITEMS_PER_REQUEST_MAX;
            return Err(LimitError::TooManyItems(Excess { found, limit }));
        }
        for name in names {
            self.check_name(name)?;
        }
        Ok(())
    }

    pub(super) fn check_name(&self, name: &[u8]) -> Result<(), LimitError> {
        check_length(name, self.key_bytes_max).map_err(LimitError::NameTooLong)
    }

    fn check_keys(&self, keys: &[Name<'_>]) -> Result<(), LimitError> {
        check_count(keys.len() as u64)?;
        keys.iter().try_for_each(|key| self.check_key(key.0))
    }

    pub(super) fn check_range(&self, range: &KeyRange<'_>) -> Result<(), LimitError> {
        let to = match range.end {
            RangeEnd::Single => return self.check_key(range.from),
            RangeEnd::HalfOpen(to) => to,
            RangeEnd::Prefix | RangeEnd::From => &[],
        };
        self.check_bound(range.from).and(self.check_bound(to))
    }

    /// Checks where a range begins or ends.
    pub(super) fn check_bound(&self, bound: &[u8]) -> Result<(), LimitError> {
        // One byte above the longest key, because the range after a key begins at the key with
        // a zero byte at its end.
        check_length(bound, self.key_bytes_max.saturating_add(1)).map_err(LimitError::KeyTooLong)
    }
}

impl Limits {
    /// Checks what a watch is about.
    pub(super) fn check_interest(
        &self,
        range: &KeyRange<'_>,
        items: Items<'_>,
    ) -> Result<(), LimitError> {
        self.check_range(range)?;
        match items {
            Items::Keys | Items::All => Ok(()),
            Items::Named(name) => {
                check_length(name.0, self.key_bytes_max).map_err(LimitError::NameTooLong)
            }
        }
    }
}

impl Command<'_> {
    /// Checks how long the command is, encoded.
    ///
    /// Errors: `LimitError` if it fits no log entry; the caller should refuse it with the
    /// error's text.
    pub fn check_encoded(body: &[u8]) -> Result<(), LimitError> {
        check_length(body, COMMAND_BYTES_MAX).map_err(LimitError::CommandTooLong)
    }

    /// Checks the command against the limits of the node that is about to propose it.
    ///
    /// Errors: `LimitError` if it asks for too much; the caller should refuse it with the
    /// error's text and not propose it.
    pub fn check(&self, limits: &Limits) -> Result<(), LimitError> {
        match self {
            Self::Compact { revision: _ } => Ok(()),
            Self::SetFields { key, fields } => {
                limits.check_names(key, fields.iter().map(|field| field.name))?;
                fields.iter().try_for_each(|field| limits.check_value(field.value))
            }
            Self::AddMembers { key, members: names } | Self::RemoveItems { of: _, key, names } => {
                limits.check_names(key, names.iter().map(|name| name.0))
            }
            Self::Increment { key, field, by: _ } => {
                limits.check_names(key, field.as_slice().iter().map(|name| name.0))
            }
            Self::Edit { key, field, edit } => {
                limits.check_names(key, field.as_slice().iter().map(|name| name.0))?;
                match edit {
                    Edit::Append(bytes)
                    | Edit::Overwrite { at: _, bytes }
                    | Edit::AddDecimal(bytes) => limits.check_value(bytes),
                }
            }
            Self::Rename { from, to } => {
                limits.check_key(from)?;
                limits.check_key(to)
            }
            Self::Take { key, count } => {
                limits.check_key(key)?;
                check_count(*count)
            }
            Self::StoreCombined { to, how: _, keys } => {
                limits.check_key(to)?;
                limits.check_keys(keys)
            }
            Self::Put { key, value } => {
                limits.check_key(key)?;
                limits.check_value(value)
            }
            Self::PutWith { key, value, options } => {
                Limits::check_ttl(options.ttl_ms)?;
                limits.check_key(key)?;
                limits.check_value(value)
            }
            Self::GrantLease { id: _, ttl_ms: 0 } => Err(LimitError::TtlZero),
            Self::GrantLease { id: _, ttl_ms } => Limits::check_ttl(*ttl_ms),
            Self::RenewLeases { ids } if LEASES_PER_REQUEST_MAX < ids.len() => {
                let (found, limit) = (ids.len(), LEASES_PER_REQUEST_MAX);
                Err(LimitError::TooManyLeases(Excess { found, limit }))
            }
            Self::Expire { key, field, ttl_ms } => {
                Limits::check_ttl(*ttl_ms)?;
                limits.check_names(key, field.as_slice().iter().map(|name| name.0))
            }
            Self::RenewLeases { .. } | Self::RevokeLease { .. } | Self::RemoveEnded => Ok(()),
            Self::Delete { ranges } | Self::DeleteReturning { ranges } => {
                if limits.ranges_per_delete_max < ranges.len() {
                    return Err(LimitError::TooManyRanges(Excess {
                        found: ranges.len(),
                        limit: limits.ranges_per_delete_max,
                    }));
                }
                ranges.iter().try_for_each(|range| limits.check_range(range))
            }
            Self::Transaction { on_no: _, transaction } => transaction.check(limits),
            Self::Auth { change } => change.check(limits),
            Self::Restore { step } => step.check(),
        }
    }
}

impl Query<'_> {
    /// Checks the query against the limits of the node that is about to answer it.
    ///
    /// Errors: as [`Command::check`].
    pub fn check(&self, limits: &Limits) -> Result<(), LimitError> {
        match self {
            Self::Range { range, limit: _ } => limits.check_range(range),
            Self::Select(selection) => limits.check_range(&selection.range),
            Self::History { key, since: _, limit: _ } => limits.check_key(key),
            Self::Fields { key, names, revision: _ }
            | Self::Has { of: _, key, names, revision: _ } => {
                limits.check_names(key, names.iter().map(|name| name.0))
            }
            Self::Items { of: _, key, from, limit: _, revision: _ } => {
                // One byte above the longest name, to go on behind it.
                limits.check_key(key)?;
                check_length(from, limits.key_bytes_max.saturating_add(1))
                    .map_err(LimitError::NameTooLong)
            }
            Self::Length { of: _, key, revision: _ } => limits.check_key(key),
            Self::Lease { id: _, from } => {
                // One byte above the longest key, to go on behind it.
                check_length(from, limits.key_bytes_max.saturating_add(1))
                    .map_err(LimitError::KeyTooLong)
            }
            Self::Leases { from: _ } | Self::Hashes { from: _ } | Self::AnyKey { seed: _ } => {
                Ok(())
            }
            Self::Transaction(transaction) if !transaction.only_reads() => {
                Err(LimitError::WritesInQuery)
            }
            Self::Transaction(transaction) => transaction.check(limits),
            Self::Auth { query } => query.check(),
            Self::Keys { range, limit: _ } => limits.check_range(range),
            Self::Sample { of: _, key, count, repeats: _, seed: _ } => {
                limits.check_key(key)?;
                check_count(*count)
            }
            Self::Combined { how: _, keys } => limits.check_keys(keys),
            Self::Remaining { key, field } => {
                limits.check_names(key, field.as_slice().iter().map(|name| name.0))
            }
        }
    }
}

/// How far something is above its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess {
    /// How much was asked for.
    pub found: usize,
    /// How much is allowed.
    pub limit: usize,
}

/// Which limit a command exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitError {
    /// The key has no bytes.
    KeyEmpty,
    /// A key, or the begin or end of a range, is too long.
    KeyTooLong(Excess),
    /// The value is too long.
    ValueTooLong(Excess),
    /// A delete names too many ranges.
    TooManyRanges(Excess),
    /// A field or member is too long.
    NameTooLong(Excess),
    /// A request names too many fields or members.
    TooManyItems(Excess),
    /// A renewal names too many leases.
    TooManyLeases(Excess),
    /// A lease is to last for no time at all.
    TtlZero,
    /// Something is to last for too long.
    TtlTooLong {
        /// How long. Units: milliseconds.
        found_ms: u64,
        /// How long is allowed. Units: milliseconds.
        limit_ms: u64,
    },
    /// A command is too long, encoded.
    CommandTooLong(Excess),
    /// A transaction has too many operations.
    TooManyOperations(Excess),
    /// A transaction has too many compares.
    TooManyCompares(Excess),
    /// Transactions are nested too deep.
    NestedTooDeep(Excess),
    /// A command that cannot be part of a transaction is.
    NotInTransaction,
    /// A transaction that is a query writes.
    WritesInQuery,
    /// A user or a role has no name.
    AuthNameEmpty,
    /// The name of a user or a role, or the hash of a password, is too long.
    AuthNameTooLong(Excess),
    /// A backup has a revision that no store reaches.
    RevisionTooHigh,
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyEmpty => f.write_str("key is not provided"),
            Self::TtlZero => f.write_str("a lease needs a time to live of at least 1 ms"),
            Self::TtlTooLong { found_ms, limit_ms } => {
                write!(f, "time to live of {found_ms} ms is above the limit of {limit_ms} ms")
            }
            Self::TooManyLeases(Excess { found, limit }) => {
                write!(f, "renewal of {found} leases is above the limit of {limit}")
            }
            Self::KeyTooLong(Excess { found, limit }) => {
                write!(f, "key of {found} bytes is above the limit of {limit} bytes")
            }
            Self::ValueTooLong(Excess { found, limit }) => {
                write!(f, "value of {found} bytes is above the limit of {limit} bytes")
            }
            Self::NameTooLong(Excess { found, limit }) => {
                write!(f, "field or member of {found} bytes is above the limit of {limit} bytes")
            }
            Self::TooManyItems(Excess { found, limit }) => write!(
                f,
                "{found} fields or members are above the limit of {limit}, send them in parts"
            ),
            Self::CommandTooLong(Excess { found, limit }) => {
                write!(f, "command of {found} bytes is above the limit of {limit} bytes")
            }
            Self::TooManyOperations(Excess { found, limit }) => {
                write!(f, "transaction of {found} operations is above the limit of {limit}")
            }
            Self::TooManyCompares(Excess { found, limit }) => {
                write!(f, "transaction of {found} compares is above the limit of {limit}")
            }
            Self::NestedTooDeep(Excess { found, limit }) => {
                write!(f, "transaction nested {found} deep is above the limit of {limit}")
            }
            Self::NotInTransaction => f.write_str("the command cannot be part of a transaction"),
            Self::WritesInQuery => f.write_str("a transaction that writes is no query"),
            Self::AuthNameEmpty => f.write_str("a user or a role needs a name"),
            Self::AuthNameTooLong(Excess { found, limit }) => {
                write!(f, "name or hash of {found} bytes is above the limit of {limit} bytes")
            }
            Self::RevisionTooHigh => f.write_str("the revision of the backup is too high"),
            Self::TooManyRanges(Excess { found, limit }) => {
                write!(
                    f,
                    "delete of {found} ranges is above the limit of {limit}, send it in parts"
                )
            }
        }
    }
}

impl std::error::Error for LimitError {}

fn check_count(count: u64) -> Result<(), LimitError> {
    let found = usize::try_from(count).unwrap_or(usize::MAX);
    if ITEMS_PER_REQUEST_MAX < found {
        return Err(LimitError::TooManyItems(Excess { found, limit: ITEMS_PER_REQUEST_MAX }));
    }
    Ok(())
}

fn check_length(bytes: &[u8], bytes_max: usize) -> Result<(), Excess> {
    if bytes_max < bytes.len() {
        return Err(Excess { found: bytes.len(), limit: bytes_max });
    }
    Ok(())
}
