//! Transactions: compares, then the operations of one branch, all in one revision.
//!
//! Operations change the keyspace one after the other, so that later ones see earlier ones, and
//! all of their changes bear the revision that comes into being. Nothing outside the keyspace
//! moves before [`Store::commit`], which every command ends with: neither the store's revision,
//! nor its hash, nor what a watch or a snapshot is shown. So a transaction is undone by taking
//! the keyspace's changes of that one revision back ([`Keyspace::unwind`]), after which `commit`
//! finds nothing, exactly as after a command that changed nothing.
//!
//! [`Keyspace::unwind`]: crate::keyspace::Keyspace::unwind

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::ops::Range;

use bytes::BytesMut;

use crate::command::{
    ANSWER_BYTES_MAX, Answer, Collection, Compare, List, No, OnNo, Operation, Query, Relation,
    Target, Transacted, Transaction,
};
use crate::keyspace::{Content, NEWEST};
use crate::lasting::At;
use crate::leases::end_of;
use crate::store::Store;

/// The longest answer to a transaction: as that of any command, less what a frame has around it.
/// A transaction with more to say is undone and answered with [`No::TooLong`]. Units: bytes.
const TRANSACTION_ANSWER_BYTES_MAX: usize = ANSWER_BYTES_MAX - 1024;

/// What the answer to a transaction has around those to its operations, at most. Units: bytes.
const TRANSACTED_OVERHEAD_BYTES: usize = 1 + 2 + 1 + 1 + 9 + 5;

/// What was answered so far, while the store goes on changing.
enum Told {
    /// An encoded answer: where it lies.
    Alone(Range<usize>),
    /// The answers to a transaction's operations.
    Transacted { succeeded: bool, revision: u64, answers: Vec<Told> },
}

/// Why a transaction is undone.
struct Undo {
    /// Where the operation stands that is to blame, the innermost place first.
    path: Vec<u64>,
    why: No,
}

/// A transaction that is carried out.
struct Run<'s> {
    store: &'s mut Store,
    at: At,
    on_no: OnNo,
    /// Encoded answers, one behind the other.
    said: BytesMut,
    /// What stands around them. Units: bytes.
    overhead_bytes: usize,
    /// What was decided before anything changed, in the order in which it is asked for.
    decided: VecDeque<bool>,
}

impl Store {
    /// Carries a transaction out, as part of the revision that comes into being, and answers.
    pub(crate) fn transact(
        &mut self,
        at: At,
        on_no: OnNo,
        transaction: &Transaction<'_>,
        out: &mut BytesMut,
    ) {
        let mut decided = VecDeque::new();
        if on_no == OnNo::UndoDecidedFirst {
            self.decide(at.log_time, transaction, &mut decided);
        }
        let said = BytesMut::new();
        let mut run = Run { store: self, at, on_no, said, overhead_bytes: 0, decided };
        match run.choose(transaction) {
            Ok(told) => told.answer(&run.said).encode(out),
            Err(Undo { path, why }) => {
                self.keyspace.unwind(self.revision + 1);
                let path = path.into_iter().rev().collect();
                Answer::Undone { revision: self.revision, path, why }.encode(out);
            }
        }
    }

    /// Answers a query, or says why not.
    fn read(&self, query: &Query<'_>, log_time: u64, said: &mut BytesMut) -> Result<(), No> {
        match self.answer(query, log_time) {
            Answer::No { why, .. } => Err(why),
            answer => {
                answer.encode(said);
                Ok(())
            }
        }
    }

    /// Answers a transaction that only asks.
    pub(crate) fn ask(&self, log_time: u64, transaction: &Transaction<'_>, out: &mut BytesMut) {
        let mut asking = Asking { store: self, log_time, said: BytesMut::new(), overhead_bytes: 0 };
        match asking.choose(transaction) {
            Ok(told) => told.answer(&asking.said).encode(out),
            Err(why) => {
                let (revision, path) = (self.revision, List::new());
                Answer::Undone { revision, path, why }.encode(out);
            }
        }
    }

    /// Whether the compares of a transaction hold, and of those nested in the branches that are
    /// taken, as everything is now. Nesting is as deep as a message can be.
    fn decide(&self, log_time: u64, transaction: &Transaction<'_>, decided: &mut VecDeque<bool>) {
        let Transaction { when, then, otherwise } = transaction;
        let succeeded = when.iter().all(|compare| self.holds(log_time, compare));
        decided.push_back(succeeded);
        for operation in if succeeded { then } else { otherwise }.iter() {
            if let Operation::Nested(nested) = operation {
                self.decide(log_time, nested, decided);
            }
        }
    }

    /// Whether what must be true of a key, or of every key of a range, is.
    fn holds(&self, log_time: u64, Compare { range, relation, target }: &Compare<'_>) -> bool {
        let (mut has_keys, mut holds) = (false, true);
        self.keyspace.visit(range, NEWEST, |key, mod_revision, content| {
            has_keys = true;
            let found = Some((mod_revision, content));
            let ordering = self.compare(log_time, (key, found), target);
            holds &= ordering.is_some_and(|ordering| relation_holds(*relation, ordering));
        });
        if has_keys {
            return holds;
        }
        let ordering = self.compare(log_time, (range.from, None), target);
        ordering.is_some_and(|ordering| relation_holds(*relation, ordering))
    }

    /// How what is there stands to what is given; `None` if there is nothing to compare.
    fn compare(
        &self,
        log_time: u64,
        (key, found): (&[u8], Option<(u64, Content<'_>)>),
        target: &Target<'_>,
    ) -> Option<Ordering> {
        let content = found.map(|(_, content)| content);
        let item = |of: Collection, name: &[u8]| {
            content.filter(|content| content.kind == of.kind())?;
            self.keyspace.item(key, name, NEWEST).map(|(_, item)| item)
        };
        match target {
            Target::Value(value) => content.map(|content| content.value.cmp(value)),
            Target::Version(version) => Some(content.map_or(0, |c| c.version).cmp(version)),
            Target::CreateRevision(revision) => {
                Some(content.map_or(0, |content| content.create_revision).cmp(revision))
            }
            Target::ModRevision(revision) => {
                Some(found.map_or(0, |(mod_revision, _)| mod_revision).cmp(revision))
            }
            Target::Lease(lease) => Some(content.map_or(0, |c| c.tenure.lease).cmp(lease)),
            Target::Exists(exists) => Some(content.is_some().cmp(exists)),
            Target::Field { name, value } => {
                item(Collection::Hash, name).map(|item| item.value.cmp(value))
            }
            Target::Kind(kind) => content.map(|c| (c.kind as u8).cmp(&(*kind as u8))),
            Target::Stays(ttl_ms) => content.map(|content| {
                let ends_at = content.tenure.ends_at;
                let ends_at = if ends_at == 0 { u64::MAX } else { ends_at };
                ends_at.cmp(&end_of(log_time, *ttl_ms))
            }),
            Target::Has { of, name, has } => Some(item(*of, name).is_some().cmp(has)),
        }
    }
}

fn relation_holds(relation: Relation, ordering: Ordering) -> bool {
    match relation {
        Relation::Equal => ordering.is_eq(),
        Relation::NotEqual => ordering.is_ne(),
        Relation::Less => ordering.is_lt(),
        Relation::Greater => ordering.is_gt(),
    }
}

impl Run<'_> {
    /// Carries out the branch that the compares choose. Nesting is as deep as a message can be.
    fn choose(&mut self, transaction: &Transaction<'_>) -> Result<Told, Undo> {
        let Transaction { when, then, otherwise } = transaction;
        self.overhead_bytes += TRANSACTED_OVERHEAD_BYTES;
        self.check_room()?;
        let succeeded = match self.decided.pop_front() {
            Some(decided) => decided,
            None => when.iter().all(|compare| self.store.holds(self.at.log_time, compare)),
        };
        let mut answers = Vec::new();
        for (place, operation) in (0..).zip(if succeeded { then } else { otherwise }.iter()) {
            let told = self.carry_out(operation).map_err(|mut undo| {
                undo.path.push(place);
                undo
            })?;
            answers.push(told);
        }
        Ok(Told::Transacted { succeeded, revision: self.store.revision_so_far(), answers })
    }

    fn carry_out(&mut self, operation: &Operation<'_>) -> Result<Told, Undo> {
        let begin = self.said.len();
        let done = match operation {
            Operation::Nested(nested) => return self.choose(nested),
            Operation::Write(command) => self.store.change(self.at, command, &mut self.said),
            // Of hashes nodes would answer differently, and of users no revision is.
            Operation::Read(Query::Hashes { .. } | Query::Auth { .. }) => Err(No::NotInTransaction),
            Operation::Read(query) => self.store.read(query, self.at.log_time, &mut self.said),
        };
        match (done, self.on_no) {
            (Ok(()), _) => {}
            (Err(why), OnNo::Undo | OnNo::UndoDecidedFirst) => {
                return Err(Undo { path: Vec::new(), why });
            }
            (Err(why), OnNo::GoOn) => {
                Answer::No { revision: self.store.revision_so_far(), why }.encode(&mut self.said);
            }
        }
        self.check_room()?;
        Ok(Told::Alone(begin..self.said.len()))
    }

    /// The answer is one, so that what does not fit it concerns all of the transaction, whatever
    /// is to become of the others when an operation is answered with no.
    fn check_room(&self) -> Result<(), Undo> {
        if TRANSACTION_ANSWER_BYTES_MAX < self.said.len() + self.overhead_bytes {
            let why = No::TooLong { limit: TRANSACTION_ANSWER_BYTES_MAX as u64 };
            return Err(Undo { path: Vec::new(), why });
        }
        Ok(())
    }
}

/// A transaction that only asks.
struct Asking<'s> {
    store: &'s Store,
    log_time: u64,
    said: BytesMut,
    overhead_bytes: usize,
}

impl Asking<'_> {
    /// Answers the branch that the compares choose, in which each no stands alone.
    ///
    /// Errors: `TooLong`.
    fn choose(&mut self, transaction: &Transaction<'_>) -> Result<Told, No> {
        let Transaction { when, then, otherwise } = transaction;
        let (log_time, revision) = (self.log_time, self.store.revision);
        self.overhead_bytes += TRANSACTED_OVERHEAD_BYTES;
        let succeeded = when.iter().all(|compare| self.store.holds(log_time, compare));
        let mut answers = Vec::new();
        for operation in if succeeded { then } else { otherwise }.iter() {
            let begin = self.said.len();
            let done = match operation {
                Operation::Nested(nested) => {
                    answers.push(self.choose(nested)?);
                    continue;
                }
                Operation::Write(_) | Operation::Read(Query::Auth { .. }) => {
                    Err(No::NotInTransaction)
                }
                Operation::Read(query) => self.store.read(query, log_time, &mut self.said),
            };
            if let Err(why) = done {
                Answer::No { revision, why }.encode(&mut self.said);
            }
            if TRANSACTION_ANSWER_BYTES_MAX < self.said.len() + self.overhead_bytes {
                return Err(No::TooLong { limit: TRANSACTION_ANSWER_BYTES_MAX as u64 });
            }
            answers.push(Told::Alone(begin..self.said.len()));
        }
        Ok(Told::Transacted { succeeded, revision, answers })
    }
}

impl Told {
    fn answer<'b>(&self, said: &'b [u8]) -> Answer<'b> {
        match self {
            Self::Alone(place) => {
                Answer::decode(&said[place.clone()]).expect("the store reads what it has written")
            }
            Self::Transacted { succeeded, revision, answers } => {
                let answers = answers.iter().map(|told| told.answer(said)).collect();
                let (succeeded, revision) = (*succeeded, *revision);
                Answer::Transaction(Box::new(Transacted { succeeded, revision, answers }))
            }
        }
    }
}
