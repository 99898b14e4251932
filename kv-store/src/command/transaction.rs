//! Transactions: what must hold, and what is done then or otherwise.

use serde::{Deserialize, Serialize};

use super::limits::{Excess, LimitError, Limits};
use super::{Collection, Command, KeyRange, Kind, List, Query};

/// The most operations of a transaction, in both branches and in those that are nested; as many
/// compares are allowed. A transaction of more is refused. (etcd: 128 by default, settable.)
pub const OPERATIONS_PER_TRANSACTION_MAX: usize = 10_000;

/// How deep transactions may be nested, the outermost one included. One that is nested deeper is
/// refused.
pub const TRANSACTION_NESTING_MAX: usize = 16;

/// Compares, and what is done if all of them hold or otherwise (etcd: `TxnRequest`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction<'a> {
    /// What must hold; nothing at all always holds.
    #[serde(borrow)]
    pub when: List<Compare<'a>>,
    /// What is done, in order, if all of it holds.
    #[serde(borrow)]
    pub then: List<Operation<'a>>,
    /// What is done, in order, if something does not hold.
    #[serde(borrow)]
    pub otherwise: List<Operation<'a>>,
}

/// A part of a transaction. It sees what the parts before it have changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation<'a> {
    /// A change of keys; answered as by itself. A transaction or a compaction cannot stand here.
    #[serde(rename = "w")]
    Write(#[serde(borrow)] Command<'a>),
    /// A question; answered as by itself.
    #[serde(rename = "r")]
    Read(#[serde(borrow)] Query<'a>),
    /// A choice within the transaction, whose compares see what was changed before it, unless
    /// all are decided first ([`OnNo::UndoDecidedFirst`]). Answered by
    /// [`Answer::Transaction`](super::Answer::Transaction).
    #[serde(rename = "t")]
    Nested(#[serde(borrow)] Box<Transaction<'a>>),
}

/// What an operation's no means for the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnNo {
    /// Nothing of the transaction is done.
    #[default]
    #[serde(rename = "u")]
    Undo,
    /// It stands alone, and the others are carried out (Redis: `EXEC`).
    #[serde(rename = "g")]
    GoOn,
    /// As `Undo`; and all compares, those of nested transactions too, are decided before
    /// anything is changed (etcd).
    #[serde(rename = "e")]
    UndoDecidedFirst,
}

/// What must be true of a key, or of every key of a range (etcd: `Compare`).
///
/// A range without keys is compared as a key that does not exist, which has version, revisions
/// and lease 0, and no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compare<'a> {
    /// The keys.
    #[serde(borrow)]
    pub range: KeyRange<'a>,
    /// How what is there must stand to what is given.
    pub relation: Relation,
    /// What is compared, and with what.
    #[serde(borrow)]
    pub target: Target<'a>,
}

/// How what is there stands to what is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Relation {
    /// It is the same.
    #[serde(rename = "=")]
    Equal,
    /// It is another.
    #[serde(rename = "!")]
    NotEqual,
    /// It is below. Bytes are ordered bytewise, and false is below true.
    #[serde(rename = "<")]
    Less,
    /// It is above.
    #[serde(rename = ">")]
    Greater,
}

/// What is compared, with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target<'a> {
    /// The value; that of a hash or a set is empty. False of a key that does not exist.
    #[serde(rename = "v")]
    Value(#[serde(with = "serde_bytes", borrow)] &'a [u8]),
    /// How many versions the key has had since it came into being.
    #[serde(rename = "n")]
    Version(u64),
    /// The revision at which it came into being.
    #[serde(rename = "c")]
    CreateRevision(u64),
    /// The revision of its last change.
    #[serde(rename = "m")]
    ModRevision(u64),
    /// The lease that it hangs on; 0 is none.
    #[serde(rename = "l")]
    Lease(u64),
    /// Whether it exists.
    #[serde(rename = "x")]
    Exists(bool),
    /// The value of a field. False if there is no such field, or no hash.
    #[serde(rename = "f")]
    Field {
        /// The field.
        #[serde(with = "serde_bytes", borrow)]
        name: &'a [u8],
        /// The value.
        #[serde(with = "serde_bytes", borrow)]
        value: &'a [u8],
    },
    /// What the key is; a string is below a hash, and that below a set. False of a key that
    /// does not exist.
    #[serde(rename = "k")]
    Kind(Kind),
    /// The key's own end, with one that is so long from now; no end is above all. False of a key
    /// that does not exist. Units: milliseconds.
    #[serde(rename = "t")]
    Stays(u64),
    /// Whether a field or member exists. A key of another type has none.
    #[serde(rename = "e")]
    Has {
        /// What the key should be.
        of: Collection,
        /// The field or member.
        #[serde(with = "serde_bytes", borrow)]
        name: &'a [u8],
        /// Whether it exists.
        has: bool,
    },
}

/// What a transaction, or a nested one, was answered (etcd: `TxnResponse`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transacted<'a> {
    /// Whether the compares held.
    pub succeeded: bool,
    /// The revision that the transaction made; the current one if nothing changed.
    pub revision: u64,
    /// One for each operation of the branch that was taken.
    #[serde(borrow)]
    pub answers: List<super::Answer<'a>>,
}

impl Transaction<'_> {
    /// Checks size, nesting and every part of the transaction.
    ///
    /// Walks without recursion: who builds a transaction may nest it as deep as memory allows.
    pub(super) fn check(&self, limits: &Limits) -> Result<(), LimitError> {
        let (mut operations, mut compares, mut nesting) = (0, 0, 0);
        let (mut rest, mut parts) = (vec![(self, 1)], Vec::new());
        while let Some((transaction, depth)) = rest.pop() {
            nesting = nesting.max(depth);
            compares += transaction.when.len();
            for operation in transaction.then.iter().chain(transaction.otherwise.iter()) {
                operations += 1;
                if let Operation::Nested(nested) = operation {
                    rest.push((nested, depth + 1));
                }
            }
            parts.push(transaction);
        }
        let within = |found, limit| {
            if limit < found { Err(Excess { found, limit }) } else { Ok(()) }
        };
        let operations_max = limits.operations_per_transaction_max;
        within(nesting, TRANSACTION_NESTING_MAX).map_err(LimitError::NestedTooDeep)?;
        within(operations, operations_max).map_err(LimitError::TooManyOperations)?;
        within(compares, operations_max).map_err(LimitError::TooManyCompares)?;
        parts.into_iter().try_for_each(|part| part.check_parts(limits))
    }

    /// Whether nothing in it writes.
    pub(super) fn only_reads(&self) -> bool {
        let mut rest = vec![self];
        while let Some(transaction) = rest.pop() {
            for operation in transaction.then.iter().chain(transaction.otherwise.iter()) {
                match operation {
                    Operation::Write(_) => return false,
                    Operation::Read(_) => {}
                    Operation::Nested(nested) => rest.push(nested),
                }
            }
        }
        true
    }

    /// Checks the compares and operations without those that are nested.
    fn check_parts(&self, limits: &Limits) -> Result<(), LimitError> {
        for Compare { range, relation: _, target } in self.when.iter() {
            limits.check_range(range)?;
            match target {
                Target::Value(value) => limits.check_value(value)?,
                Target::Field { name, value } => {
                    limits.check_name(name)?;
                    limits.check_value(value)?;
                }
                Target::Has { of: _, name, has: _ } => limits.check_name(name)?,
                Target::Version(_)
                | Target::CreateRevision(_)
                | Target::ModRevision(_)
                | Target::Lease(_)
                | Target::Kind(_)
                | Target::Stays(_)
                | Target::Exists(_) => {}
            }
        }
        self.then.iter().chain(self.otherwise.iter()).try_for_each(|operation| match operation {
            Operation::Write(command) if !command.is_operation() => {
                Err(LimitError::NotInTransaction)
            }
            Operation::Write(command) => command.check(limits),
            Operation::Read(Query::Hashes { .. } | Query::Transaction(_) | Query::Auth { .. }) => {
                Err(LimitError::NotInTransaction)
            }
            Operation::Read(query) => query.check(limits),
            Operation::Nested(_) => Ok(()),
        })
    }
}

impl Command<'_> {
    /// Whether the command can be part of a transaction: it changes keys, and nothing else.
    #[must_use]
    pub const fn is_operation(&self) -> bool {
        match self {
            Self::Put { .. }
            | Self::PutWith { .. }
            | Self::Delete { .. }
            | Self::DeleteReturning { .. }
            | Self::SetFields { .. }
            | Self::AddMembers { .. }
            | Self::RemoveItems { .. }
            | Self::Increment { .. }
            | Self::Edit { .. }
            | Self::Rename { .. }
            | Self::Take { .. }
            | Self::StoreCombined { .. }
            | Self::Expire { .. } => true,
            Self::Compact { .. }
            | Self::Transaction { .. }
            | Self::GrantLease { .. }
            | Self::RevokeLease { .. }
            | Self::RenewLeases { .. }
            | Self::Auth { .. }
            | Self::Restore { .. }
            | Self::RemoveEnded => false,
        }
    }
}
