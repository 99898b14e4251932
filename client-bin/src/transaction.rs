//! Transactions: one thing or another, all of it at once and exactly once.
//!
//! ```no_run
//! # async fn example(client: kvorum_client::Client) -> Result<(), kvorum_client::ClientError> {
//! use kvorum_client::transaction::{Relation, Reply, Transaction, get, key, put};
//!
//! let transaction = Transaction::new()
//!     .when(key(b"leader").version(Relation::Equal, 0))
//!     .then(put(b"leader", b"me"))
//!     .otherwise(get(b"leader"));
//! let outcome = client.transact(&transaction).await?;
//! if !outcome.succeeded
//!     && let [Reply::Page(page)] = &outcome.answers[..]
//! {
//!     println!("{:?} was first", page.kvs[0].value);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Operations are carried out one after the other, and each sees what those before it have
//! changed; all changes are of one revision. `client-bin/examples/transfer.rs` runs.

use std::time::Duration;

use bytes::Bytes;
use kv_store::command::{
    self, Answer, Command, Existing, Item, KeyRange, Limits, List, Name, PutOptions, Query,
    Selection,
};
pub use kv_store::command::{Collection, Compare, OnNo, Operation, Relation, Target};

use crate::No;
use crate::client::{Client, Deleted, KeyValue, Page, decode, encode_command};
use crate::error::ClientError;
use crate::leases::{Lease, milliseconds};
use crate::requests::Work;

/// A transaction that is being written: what must hold, and what is done then or otherwise.
///
/// Limits: 10,000 operations and as many compares, nested ones counted, 16 transactions in each
/// other, 2 MiB in all, and 4 MiB of answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction<'a> {
    on_no: OnNo,
    parts: command::Transaction<'a>,
}

impl<'a> Transaction<'a> {
    /// A transaction that does nothing, whatever holds.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what must hold too for `then`; see [`key`] and [`keys`].
    #[must_use]
    pub fn when(mut self, compare: Compare<'a>) -> Self {
        self.parts.when.push(compare);
        self
    }

    /// Adds what is done if everything holds.
    #[must_use]
    pub fn then(mut self, operation: Operation<'a>) -> Self {
        self.parts.then.push(operation);
        self
    }

    /// Adds what is done if something does not hold.
    #[must_use]
    pub fn otherwise(mut self, operation: Operation<'a>) -> Self {
        self.parts.otherwise.push(operation);
        self
    }

    /// Lets each operation stand alone: one that is answered with no, as for a wrong type, leaves
    /// the others as they are ([`Reply::No`]). Without this nothing is done then.
    #[must_use]
    pub fn each_alone(self) -> Self {
        Self { on_no: OnNo::GoOn, ..self }
    }

    /// The transaction as the store takes it.
    #[must_use]
    pub fn command(&self) -> Command<'a> {
        Command::Transaction { on_no: self.on_no, transaction: Box::new(self.parts.clone()) }
    }
}

/// What is compared: a key, or every key of a range. A range without keys is compared as a key
/// that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject<'a>(KeyRange<'a>);

/// A key, to be compared.
#[must_use]
pub const fn key(key: &[u8]) -> Subject<'_> {
    Subject(KeyRange::single(key))
}

/// Every key of a range, to be compared.
#[must_use]
pub const fn keys(range: KeyRange<'_>) -> Subject<'_> {
    Subject(range)
}

impl<'a> Subject<'a> {
    /// How the value must stand to this one; never holds of a key that does not exist.
    #[must_use]
    pub const fn value(self, relation: Relation, value: &'a [u8]) -> Compare<'a> {
        self.is(relation, Target::Value(value))
    }

    /// How the version must stand to this one; that of a key that does not exist is 0.
    #[must_use]
    pub const fn version(self, relation: Relation, version: u64) -> Compare<'a> {
        self.is(relation, Target::Version(version))
    }

    /// How the revision that made the key must stand to this one; 0 if it does not exist.
    #[must_use]
    pub const fn create_revision(self, relation: Relation, revision: u64) -> Compare<'a> {
        self.is(relation, Target::CreateRevision(revision))
    }

    /// How the revision that changed the key last must stand to this one; 0 if it does not exist.
    #[must_use]
    pub const fn mod_revision(self, relation: Relation, revision: u64) -> Compare<'a> {
        self.is(relation, Target::ModRevision(revision))
    }

    /// How the lease of the key must stand to this one; 0 is none.
    #[must_use]
    pub const fn lease(self, relation: Relation, lease: u64) -> Compare<'a> {
        self.is(relation, Target::Lease(lease))
    }

    /// Whether the key must exist; of a range, whether it must have keys.
    #[must_use]
    pub const fn exists(self, exists: bool) -> Compare<'a> {
        self.is(Relation::Equal, Target::Exists(exists))
    }

    /// How the value of a field must stand to this one; never holds if there is no such field.
    #[must_use]
    pub const fn field(self, name: &'a [u8], relation: Relation, value: &'a [u8]) -> Compare<'a> {
        self.is(relation, Target::Field { name, value })
    }

    /// Whether the key must be a hash that has this field.
    #[must_use]
    pub const fn has_field(self, name: &'a [u8], has: bool) -> Compare<'a> {
        self.is(Relation::Equal, Target::Has { of: Collection::Hash, name, has })
    }

    /// Whether the key must be a set that has this member.
    #[must_use]
    pub const fn has_member(self, name: &'a [u8], has: bool) -> Compare<'a> {
        self.is(Relation::Equal, Target::Has { of: Collection::Set, name, has })
    }

    const fn is(self, relation: Relation, target: Target<'a>) -> Compare<'a> {
        Compare { range: self.0, relation, target }
    }
}

/// Sets a key; answered by [`Reply::Put`].
#[must_use]
pub const fn put<'a>(key: &'a [u8], value: &'a [u8]) -> Operation<'a> {
    Operation::Write(Command::Put { key, value })
}

/// As [`put`], and shows what the key was before.
#[must_use]
pub const fn replace<'a>(key: &'a [u8], value: &'a [u8]) -> Operation<'a> {
    let options = PutOptions {
        returns_previous: true,
        lease: 0,
        ttl_ms: 0,
        keeps_end: false,
        existing: Existing::Any,
    };
    put_with(key, value, options)
}

/// As [`put`], with a lease or a time to live.
#[must_use]
pub const fn put_with<'a>(key: &'a [u8], value: &'a [u8], options: PutOptions) -> Operation<'a> {
    Operation::Write(Command::PutWith { key, value, options })
}

/// Lets a key, or a field of a hash, go after a time, or stay for ever; answered by
/// [`Reply::Changed`] with how many there are.
#[must_use]
pub fn expire<'a>(key: &'a [u8], field: Option<&'a [u8]>, ttl: Option<Duration>) -> Operation<'a> {
    let ttl_ms = ttl.map_or(0, |ttl| milliseconds(ttl).max(1));
    Operation::Write(Command::Expire { key, field: field.map(Name), ttl_ms })
}

/// Asks how long a key, or a field of a hash, stays yet; answered by [`Reply::Remaining`].
#[must_use]
pub fn remaining<'a>(key: &'a [u8], field: Option<&'a [u8]>) -> Operation<'a> {
    Operation::Read(Query::Remaining { key, field: field.map(Name) })
}

/// Asks for a key; answered by [`Reply::Page`].
#[must_use]
pub const fn get(key: &[u8]) -> Operation<'_> {
    range(KeyRange::single(key))
}

/// Asks for the keys of a range; answered by [`Reply::Page`].
#[must_use]
pub const fn range(range: KeyRange<'_>) -> Operation<'_> {
    Operation::Read(Query::Range { range, limit: 0 })
}

/// Asks for keys in more detail; answered by [`Reply::Page`].
#[must_use]
pub const fn select(selection: Selection<'_>) -> Operation<'_> {
    Operation::Read(Query::Select(selection))
}

/// Removes the keys of ranges; answered by [`Reply::Deleted`].
#[must_use]
pub fn delete<'a>(ranges: &[KeyRange<'a>]) -> Operation<'a> {
    Operation::Write(Command::Delete { ranges: ranges.iter().copied().collect() })
}

/// As [`delete`], and shows what was removed.
#[must_use]
pub fn take<'a>(ranges: &[KeyRange<'a>]) -> Operation<'a> {
    Operation::Write(Command::DeleteReturning { ranges: ranges.iter().copied().collect() })
}

/// Sets fields of a hash; answered by [`Reply::Changed`].
#[must_use]
pub fn set_fields<'a>(key: &'a [u8], fields: &[(&'a [u8], &'a [u8])]) -> Operation<'a> {
    let fields = fields.iter().map(|&(name, value)| Item { name, value }).collect();
    Operation::Write(Command::SetFields { key, fields })
}

/// Adds members to a set; answered by [`Reply::Changed`].
#[must_use]
pub fn add_members<'a>(key: &'a [u8], members: &[&'a [u8]]) -> Operation<'a> {
    Operation::Write(Command::AddMembers { key, members: names(members) })
}

/// Removes fields of a hash; answered by [`Reply::Changed`].
#[must_use]
pub fn remove_fields<'a>(key: &'a [u8], fields: &[&'a [u8]]) -> Operation<'a> {
    let of = Collection::Hash;
    Operation::Write(Command::RemoveItems { of, key, names: names(fields) })
}

/// Removes members of a set; answered by [`Reply::Changed`].
#[must_use]
pub fn remove_members<'a>(key: &'a [u8], members: &[&'a [u8]]) -> Operation<'a> {
    let of = Collection::Set;
    Operation::Write(Command::RemoveItems { of, key, names: names(members) })
}

/// Adds to the number in a string, or in a field of a hash; answered by [`Reply::Number`].
#[must_use]
pub fn increment<'a>(key: &'a [u8], field: Option<&'a [u8]>, by: i64) -> Operation<'a> {
    Operation::Write(Command::Increment { key, field: field.map(Name), by })
}

/// Asks for the values of fields; answered by [`Reply::Values`].
#[must_use]
pub fn fields<'a>(key: &'a [u8], fields: &[&'a [u8]]) -> Operation<'a> {
    Operation::Read(Query::Fields { key, names: names(fields), revision: 0 })
}

/// Asks whether a set has members; answered by [`Reply::Has`].
#[must_use]
pub fn members<'a>(key: &'a [u8], members: &[&'a [u8]]) -> Operation<'a> {
    let of = Collection::Set;
    Operation::Read(Query::Has { of, key, names: names(members), revision: 0 })
}

/// Asks for all fields of a hash, or all members of a set; answered by [`Reply::Items`].
#[must_use]
pub const fn items(of: Collection, key: &[u8]) -> Operation<'_> {
    Operation::Read(Query::Items { of, key, from: b"", limit: 0, revision: 0 })
}

/// Chooses within the transaction, by what it has changed so far; answered by [`Reply::Nested`].
/// What a no means is said by the outermost transaction.
#[must_use]
pub fn nested(transaction: Transaction<'_>) -> Operation<'_> {
    Operation::Nested(Box::new(transaction.parts))
}

fn names<'a>(names: &[&'a [u8]]) -> List<Name<'a>> {
    names.iter().map(|name| Name(name)).collect()
}

/// What a transaction came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether everything held, so that `then` was carried out.
    pub succeeded: bool,
    /// The revision that the transaction made; the current one if it changed nothing.
    pub revision: u64,
    /// The answers to the operations that were carried out, in their order.
    pub answers: Vec<Reply>,
}

/// The answer to an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A key is set.
    Put {
        /// The revision that the transaction makes.
        revision: u64,
        /// What the key was before, if that was asked for and it existed.
        previous: Option<KeyValue>,
    },
    /// Keys are gone.
    Deleted {
        /// How many, and in which revision.
        deleted: Deleted,
        /// What they were, if that was asked for.
        kvs: Vec<KeyValue>,
        /// Whether there were more of them than an answer can hold.
        more: bool,
    },
    /// Keys of a range.
    Page(Page),
    /// Fields or members are set, added or removed.
    Changed {
        /// How many are new, or were there to remove.
        count: u64,
        /// The revision that the transaction makes; the current one if nothing has changed yet.
        revision: u64,
    },
    /// The sum.
    Number(i64),
    /// The value of each field, if it exists.
    Values(Vec<Option<Bytes>>),
    /// Whether each field or member exists.
    Has(Vec<bool>),
    /// Fields with their values, or members with empty ones.
    Items {
        /// In the order of their names.
        items: Vec<(Bytes, Bytes)>,
        /// Whether there are further ones.
        more: bool,
        /// How many there are in all.
        count: u64,
    },
    /// How many fields or members there are.
    Length(u64),
    /// How long a key or field stays yet.
    Remaining {
        /// Whether it exists.
        exists: bool,
        /// How long it stays; `None` is for ever.
        remaining: Option<Duration>,
    },
    /// What a lease is.
    Lease(Lease),
    /// The ids of leases.
    Leases(Vec<u64>),
    /// The operation was not carried out, and stands alone ([`Transaction::each_alone`]).
    No(No),
    /// The outcome of a nested transaction.
    Nested(Outcome),
}

impl Reply {
    /// The answer, without copying what it holds; `None` if no operation has such a one.
    pub(crate) fn owned(bytes: &Bytes, answer: &Answer<'_>) -> Option<Self> {
        let owned = |kvs: &[command::KeyValue<'_>]| {
            kvs.iter().map(|kv| KeyValue::owned(bytes, kv)).collect()
        };
        Some(match answer {
            Answer::Put { revision } => Self::Put { revision: *revision, previous: None },
            Answer::PutOver { revision, previous } => {
                let previous = previous.map(|kv| KeyValue::owned(bytes, &kv));
                Self::Put { revision: *revision, previous }
            }
            &Answer::Deleted { count, revision } => {
                let deleted = Deleted { count, revision };
                Self::Deleted { deleted, kvs: Vec::new(), more: false }
            }
            Answer::DeletedKeys { count, revision, kvs, more } => {
                let deleted = Deleted { count: *count, revision: *revision };
                Self::Deleted { deleted, kvs: owned(kvs), more: *more }
            }
            Answer::Range { revision, kvs, more, count } => Self::Page(Page {
                revision: *revision,
                kvs: owned(kvs),
                more: *more,
                count: *count,
            }),
            &Answer::Changed { count, revision } => Self::Changed { count, revision },
            Answer::Number { number, .. } => Self::Number(*number),
            Answer::Values { values, .. } => {
                let value = |value: &Option<Name<'_>>| value.map(|name| bytes.slice_ref(name.0));
                Self::Values(values.iter().map(value).collect())
            }
            Answer::Has { has, .. } => Self::Has(has.to_vec()),
            Answer::Items { items, more, count, .. } => {
                let item =
                    |item: &Item<'_>| (bytes.slice_ref(item.name), bytes.slice_ref(item.value));
                let items = items.iter().map(item).collect();
                Self::Items { items, more: *more, count: *count }
            }
            Answer::Length { count, .. } => Self::Length(*count),
            &Answer::Remaining { exists, remaining_ms, .. } => {
                Self::Remaining { exists, remaining: remaining_ms.map(Duration::from_millis) }
            }
            Answer::Lease { .. } => Self::Lease(Lease::owned(bytes, answer)?),
            Answer::Leases { ids, .. } => Self::Leases(ids.to_vec()),
            Answer::No { why, .. } => Self::No(*why),
            Answer::Transaction(transacted) => Self::Nested(Outcome::owned(bytes, transacted)?),
            Answer::Done { .. }
            | Answer::Undone { .. }
            | Answer::Malformed { .. }
            | Answer::Granted { .. }
            | Answer::Hashes { .. }
            | Answer::Renewed { .. }
            | Answer::AuthStatus { .. }
            | Answer::Names { .. }
            | Answer::Permissions { .. } => return None,
        })
    }
}

impl Outcome {
    fn owned(bytes: &Bytes, transacted: &command::Transacted<'_>) -> Option<Self> {
        let answers = transacted.answers.iter().map(|answer| Reply::owned(bytes, answer));
        Some(Self {
            succeeded: transacted.succeeded,
            revision: transacted.revision,
            answers: answers.collect::<Option<_>>()?,
        })
    }
}

impl Client {
    /// Carries out a transaction: all of it in one revision, exactly once.
    ///
    /// Errors: `Undone` if one of its operations cannot be carried out, after which nothing has
    /// changed; `Rejected` if it is beyond a limit; otherwise as [`Client::put`].
    pub async fn transact(&self, transaction: &Transaction<'_>) -> Result<Outcome, ClientError> {
        let command = transaction.command();
        let refused = |error: command::LimitError| ClientError::rejected(&error.to_string());
        command.check(&Limits::default()).map_err(refused)?;
        self.transact_encoded(encode_command(&command)).await.map(|(outcome, _)| outcome)
    }

    /// As [`Client::transact`], with the bytes of the answer too.
    pub(crate) async fn transact_encoded(
        &self,
        body: Bytes,
    ) -> Result<(Outcome, Bytes), ClientError> {
        let answer = self.ask(Work::Write(body)).await?;
        let outcome = match decode(&answer)? {
            Answer::Transaction(transacted) => {
                Outcome::owned(&answer, &transacted).ok_or_else(|| self.answer_of_another_kind())?
            }
            other => return Err(self.no_answer_to_a_write(&other)),
        };
        Ok((outcome, answer))
    }
}
