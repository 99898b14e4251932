//! Are answers right by the revision that they name?
//!
//! Every answer of the store names a revision, so the order of all that was committed is known.
//! The commands are executed in that order by the naive model of kv-store's tests, which keeps
//! the whole state at every revision, and must give the answers that the store gave; a read must
//! show what was there at the revision that it names. So ranges, transactions and whatever else
//! can be asked have an oracle, whatever keys they are about.

#[path = "../../../kv-store/tests/it/model/mod.rs"]
#[allow(dead_code, reason = "the tests of kv-store ask for more of it")]
mod model;

use std::collections::BTreeSet;

use bytes::BytesMut;
use kv_store::command::{Answer, Command, KeyValue, No, Query, Selection};

use self::model::Model;

/// All that was committed so far, in order.
#[derive(Default)]
pub struct RevisionOrder {
    model: Model,
    compactions: BTreeSet<u64>,
}

/// What became of a key, or of a field or member of it, in a revision.
#[derive(Clone, Copy, Debug)]
pub struct Change<'o> {
    /// The key.
    pub key: &'o [u8],
    /// The field or member; `None` for the key itself.
    pub item: Option<&'o [u8]>,
    /// What was before, if there was anything.
    pub before: Option<KeyValue<'o>>,
    /// What is from then on, if it was not removed.
    pub after: Option<KeyValue<'o>>,
}

impl RevisionOrder {
    /// Executes the next command of the log, which bears this log time.
    ///
    /// Units: microseconds. Errors: what is wrong with the answer that the store gave.
    pub fn execute(&mut self, log_time: u64, command: &[u8], given: &[u8]) -> Result<(), String> {
        let command = Command::decode(command).map_err(|error| error.to_string())?;
        let expected = self.model.execute(log_time, &command);
        if let (Command::Compact { revision }, Ok(Answer::Done { .. })) =
            (&command, Answer::decode(&expected))
        {
            self.compactions.insert(*revision);
        }
        same(&command, &expected, given)
    }

    /// Looks at the answer to a query, which some node must have been able to give. Returns the
    /// revision that it names. What does not follow from revisions, such as how long a lease
    /// lasts, cannot be looked at.
    ///
    /// Errors: what is wrong with it.
    pub fn read(&mut self, query: &[u8], given: &[u8]) -> Result<u64, String> {
        let query = Query::decode(query).map_err(|error| error.to_string())?;
        let answer = Answer::decode(given).map_err(|error| error.to_string())?;
        let (revision, newest) = (revision_of(&answer), self.newest());
        if newest < revision {
            return Err(format!("nobody has reached revision {revision}, {newest} is the newest"));
        }
        let (asked, query) = at(query, revision)?;
        match answer {
            Answer::No { why: No::Compacted { oldest }, .. } => {
                let was = asked < oldest && asked != 0 && self.compactions.contains(&oldest);
                let wrong = || format!("{query:?} is not compacted up to {oldest}");
                return if was { Ok(revision) } else { Err(wrong()) };
            }
            Answer::No { why: No::Future { newest }, .. } => {
                let is = newest == revision && revision < asked;
                let wrong = || format!("{query:?} is not beyond {newest}");
                return if is { Ok(revision) } else { Err(wrong()) };
            }
            _ if revision < asked => return Err(format!("{query:?} is beyond {revision}")),
            _ => {}
        }
        // The node may have answered before what was asked for was compacted.
        let compacted = std::mem::take(&mut self.model.compacted);
        let expected = self.model.answer(&query, 0);
        self.model.compacted = compacted;
        let mut renamed = BytesMut::new();
        let expected = Answer::decode(&expected).map_err(|error| error.to_string())?;
        named(expected, revision).encode(&mut renamed);
        same(&query, &renamed, given).map(|()| revision)
    }

    /// The newest revision.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.model.revision()
    }

    /// Whether the past was cut off just here, so that what was before may not be known.
    #[must_use]
    pub fn was_compacted_at(&self, revision: u64) -> bool {
        self.compactions.contains(&revision)
    }

    /// What changed in the newest revision, in the order in which watches show it. It must not
    /// be compacted yet.
    pub fn newest_changes(&self) -> impl Iterator<Item = Change<'_>> {
        self.model.changes_since(self.newest()).map(|change| {
            let (key, item) = (&change.key[..], change.item.as_deref());
            let before = Model::shown(key, change.before.as_ref());
            let after = Model::shown(key, change.after.as_ref());
            Change { key, item, before, after }
        })
    }
}

impl std::fmt::Debug for RevisionOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "all up to revision {}", self.newest())
    }
}

fn same(asked: &impl std::fmt::Debug, expected: &[u8], given: &[u8]) -> Result<(), String> {
    if expected == given {
        return Ok(());
    }
    let [expected, given] = [expected, given].map(|bytes| format!("{:?}", Answer::decode(bytes)));
    Err(format!("{asked:?} is answered by {given}, and not by {expected}"))
}

/// The revision that a query is about, 0 for the newest one, and the query that asks the same of
/// a revision whatever has come since.
fn at(query: Query<'_>, newest: u64) -> Result<(u64, Query<'_>), String> {
    let from = |revision: u64| if revision == 0 { newest } else { revision };
    Ok(match query {
        Query::Range { range, limit } => {
            let selection = Selection { limit, revision: newest, ..Selection::of(range) };
            (0, Query::Select(selection))
        }
        Query::Select(selection) => {
            let revision = from(selection.revision);
            (selection.revision, Query::Select(Selection { revision, ..selection }))
        }
        Query::Fields { key, names, revision } => {
            (revision, Query::Fields { key, names, revision: from(revision) })
        }
        Query::Has { of, key, names, revision } => {
            (revision, Query::Has { of, key, names, revision: from(revision) })
        }
        Query::Items { of, key, from: first, limit, revision: at } => {
            (at, Query::Items { of, key, from: first, limit, revision: from(at) })
        }
        Query::Length { of, key, revision } => {
            (revision, Query::Length { of, key, revision: from(revision) })
        }
        Query::History { .. }
        | Query::Lease { .. }
        | Query::Leases { .. }
        | Query::Remaining { .. }
        | Query::Transaction(_)
        | Query::Keys { .. }
        | Query::AnyKey { .. }
        | Query::Sample { .. }
        | Query::Combined { .. }
        | Query::Auth { .. }
        | Query::Hashes { .. } => return Err(format!("{query:?} is not of a revision")),
    })
}

/// The revision of the store that an answer names.
#[must_use]
pub fn revision_of(answer: &Answer<'_>) -> u64 {
    match answer {
        Answer::Put { revision }
        | Answer::Deleted { revision, .. }
        | Answer::Range { revision, .. }
        | Answer::PutOver { revision, .. }
        | Answer::DeletedKeys { revision, .. }
        | Answer::Changed { revision, .. }
        | Answer::Number { revision, .. }
        | Answer::Values { revision, .. }
        | Answer::Has { revision, .. }
        | Answer::Items { revision, .. }
        | Answer::Length { revision, .. }
        | Answer::Granted { revision, .. }
        | Answer::Renewed { revision, .. }
        | Answer::Lease { revision, .. }
        | Answer::Leases { revision, .. }
        | Answer::Remaining { revision, .. }
        | Answer::Hashes { revision, .. }
        | Answer::AuthStatus { revision, .. }
        | Answer::Names { revision, .. }
        | Answer::Permissions { revision, .. }
        | Answer::Done { revision }
        | Answer::Undone { revision, .. }
        | Answer::No { revision, .. } => *revision,
        Answer::Transaction(transacted) => transacted.revision,
        // It was not executed, and is of no revision.
        Answer::Malformed { .. } => 0,
    }
}

/// The same answer to a query by a store that is at another revision.
fn named(answer: Answer<'_>, revision: u64) -> Answer<'_> {
    match answer {
        Answer::Range { kvs, more, count, .. } => Answer::Range { revision, kvs, more, count },
        Answer::Values { values, .. } => Answer::Values { revision, values },
        Answer::Has { has, .. } => Answer::Has { revision, has },
        Answer::Items { items, more, count, .. } => Answer::Items { revision, items, more, count },
        Answer::Length { count, .. } => Answer::Length { revision, count },
        Answer::No { why, .. } => Answer::No { revision, why },
        other => other,
    }
}
