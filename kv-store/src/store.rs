//! The store: commands to effects, queries to answers.
//!
//! Invariant: the revision rises by one with each command that changes a key, and every
//! change of that command bears it (etcd: revision).

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::BytesMut;
use raft_core::entry::EntryRef;
use raft_core::replica::state_machine::{Forgotten, LoadError, StateMachine};
use raft_core::types::Index;

use crate::auth::Auth;
use crate::command::{
    Answer, Command, DecodeError, Existing, KeyRange, No, PutOptions, Query, renewals,
};
use crate::events::{Event, Lost};
use crate::keyspace::{Keyspace, NEWEST, Tenure};
use crate::lasting::At;
use crate::leases::Leases;
use crate::page::{Page, key_value};
use crate::restoring::{Staging, Tables};
pub use crate::retention::History;
use crate::retention::Marks;
use crate::rolling_hash::RollingHash;
use crate::snapshot::{Loading, Reading, STAGED_NUMBER, Target};
use crate::trail::Trail;

/// The revision of a store to which nothing has happened, as etcd counts: the first change
/// makes revision 2.
pub const REVISION_EMPTY: u64 = 1;

/// Hidden changes that are forgotten for each change that is made, so that compaction keeps up
/// with a store that is never idle.
const FORGOTTEN_PER_CHANGE: usize = 2;

/// Hidden changes that are forgotten with a small command or in an idle turn, at most: a fraction
/// of a millisecond.
const FORGOTTEN_AT_ONCE_MAX: usize = 128;

/// Records that are gone through at once for memory that is kept and not used: a fraction of a
/// millisecond.
const TIDIED_AT_ONCE_MAX: usize = 256;

/// The same with a command, for each key that it changes.
const TIDIED_PER_CHANGE: usize = 4;

/// The part of what is freed at once in an idle turn that is freed with a command.
const FREED_PER_COMMAND_SHARE: usize = 64;

/// The key-value store.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) keyspace: Keyspace,
    pub(crate) leases: Leases,
    /// A snapshot that is being read shares it.
    pub(crate) auth: Arc<Auth>,
    pub(crate) revision: u64,
    /// What was before this revision cannot be read any more; 0 while all can be.
    pub(crate) compacted: u64,
    pub(crate) marks: Marks,
    /// Over every effect since the store was empty.
    pub(crate) hash: RollingHash,
    pub(crate) trail: Trail,
    history: History,
    pub(crate) reading: Option<Reading>,
    pub(crate) loading: Loading,
    /// A restore that is under way.
    pub(crate) staging: Option<Box<Staging>>,
    /// By which a snapshot finds the present keys and leases again when others took their place.
    pub(crate) tables_number: u64,
    pub(crate) newest_number: u64,
    /// What only the snapshot that is being read still shows.
    pub(crate) kept: Vec<Tables>,
    /// What nobody needs any more and is still to be freed.
    pub(crate) discarded: Vec<Tables>,
}

impl Store {
    /// A store without keys.
    #[must_use]
    pub fn new() -> Self {
        Self::with_hash_seed(0)
    }

    /// A store without keys whose tables are laid out by this seed. Nothing that the store
    /// does depends on it; a seed that clients cannot guess keeps them from choosing keys that
    /// are slow to find.
    #[must_use]
    pub fn with_hash_seed(hash_seed: u64) -> Self {
        Self {
            keyspace: Keyspace::new(hash_seed),
            leases: Leases::default(),
            auth: Arc::default(),
            revision: REVISION_EMPTY,
            compacted: 0,
            marks: Marks::default(),
            hash: RollingHash::default(),
            trail: Trail::default(),
            history: History::default(),
            reading: None,
            loading: Loading::default(),
            staging: None,
            tables_number: 0,
            newest_number: 0,
            kept: Vec::new(),
            discarded: Vec::new(),
        }
    }

    /// The same store that keeps so much history while its node leads.
    #[must_use]
    pub fn keeping(self, history: History) -> Self {
        Self { history, ..self }
    }

    /// What everything that exists takes in memory, about: keys with their newest values, items,
    /// leases, users and roles, and not history. While a backup is staged it counts in the place of
    /// keys and leases if it takes more, since it may take no more either. Counted by lengths and
    /// fixed shares, so that nodes with the same state say the same. Units: bytes.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        let present = self.keyspace.live_bytes() + self.leases.cost_bytes();
        let staged = self.staging.as_ref().map_or(0, |staging| staging.live_bytes());
        present.max(staged) + self.auth.cost_bytes()
    }

    /// The revision before which nothing can be read any more; 0 while everything can be.
    #[must_use]
    pub fn compacted_revision(&self) -> u64 {
        self.compacted
    }

    /// Everything that changed from `revision` on, in the order in which it changed first, a key
    /// before its items: what a watch shows that begins there.
    ///
    /// Errors: `Lost` if that was compacted; the caller should begin at the revision that it
    /// names.
    pub fn changes_since(&self, revision: u64) -> Result<impl Iterator<Item = Event<'_>>, Lost> {
        if revision < self.compacted {
            return Err(Lost { oldest: self.compacted });
        }
        let compacted = self.compacted;
        let changed = self.keyspace.changed_since(revision);
        Ok(changed.map(move |changed| Event::new(&changed, compacted)))
    }

    fn execute(&mut self, at: At, command: &Command<'_>, out: &mut BytesMut) {
        let before = self.revision;
        match command {
            Command::Compact { revision } => self.compact(at.index, *revision).encode(out),
            Command::Transaction { on_no, transaction } => {
                self.transact(at, *on_no, transaction, out);
            }
            Command::GrantLease { id, ttl_ms } => self.grant_lease(at, *id, *ttl_ms).encode(out),
            Command::RevokeLease { id } => self.revoke_lease(at, *id).encode(out),
            Command::RenewLeases { ids } => self.renew_leases(at, ids).encode(out),
            Command::RemoveEnded => self.remove_ended(at).encode(out),
            Command::Auth { change } => self.change_auth(at, change).encode(out),
            Command::Restore { step } => self.restore(at, step).encode(out),
            command => {
                if let Err(why) = self.change(at, command, out) {
                    Answer::No { revision: self.revision, why }.encode(out);
                }
            }
        }
        let changes = self.commit(at.index);
        self.trail.note(at.index, self.hash.value());
        if before < self.revision {
            self.marks.note(at.log_time, before);
        }
        // With a large command no more than it has changed, which takes about as long.
        let forgotten_max = changes.max(FORGOTTEN_AT_ONCE_MAX);
        self.forget_hidden(forgotten_max.min(FORGOTTEN_PER_CHANGE * changes));
        self.keyspace.tidy(TIDIED_PER_CHANGE * changes.min(TIDIED_AT_ONCE_MAX));
        self.free(FREED_PER_COMMAND_SHARE);
    }

    /// Changes keys, as part of the revision that comes into being, and answers.
    ///
    /// Errors: why it is not done; nothing has changed then, and nothing was answered.
    pub(crate) fn change(
        &mut self,
        at: At,
        command: &Command<'_>,
        out: &mut BytesMut,
    ) -> Result<(), No> {
        match command {
            Command::Put { key, value } => {
                self.keyspace.put(self.revision + 1, key, value, Tenure::default());
                Answer::Put { revision: self.revision + 1 }.encode(out);
            }
            Command::PutWith { key, value, options } => {
                self.put_with(at, (key, value), *options, out)?;
            }
            Command::Delete { ranges } => {
                let mut count = 0;
                self.remove(ranges, |_| count += 1);
                Answer::Deleted { count, revision: self.revision_so_far() }.encode(out);
            }
            Command::DeleteReturning { ranges } => self.delete_returning(ranges, out),
            Command::SetFields { key, fields } => {
                let count = self.set_fields(key, fields)?;
                Answer::Changed { count, revision: self.revision_so_far() }.encode(out);
            }
            Command::AddMembers { key, members } => {
                let count = self.add_members(key, members)?;
                Answer::Changed { count, revision: self.revision_so_far() }.encode(out);
            }
            Command::RemoveItems { of, key, names } => {
                let count = self.remove_items(*of, key, names)?;
                Answer::Changed { count, revision: self.revision_so_far() }.encode(out);
            }
            Command::Increment { key, field, by } => {
                let number = self.increment(key, field.map(|name| name.0), *by)?;
                Answer::Number { number, revision: self.revision_so_far() }.encode(out);
            }
            Command::Expire { key, field, ttl_ms } => {
                let count = self.expire(at, (key, field.map(|name| name.0)), *ttl_ms)?;
                Answer::Changed { count, revision: self.revision_so_far() }.encode(out);
            }
            Command::Edit { key, field, edit } => {
                self.edit(key, field.map(|name| name.0), edit, out)?;
            }
            Command::Rename { from, to } => {
                let count = self.rename(from, to);
                Answer::Changed { count, revision: self.revision_so_far() }.encode(out);
            }
            Command::Take { key, count } => self.take(at, key, *count, out)?,
            Command::StoreCombined { to, how, keys } => {
                let count = self.store_combined(to, *how, keys)?;
                Answer::Length { count, revision: self.revision_so_far() }.encode(out);
            }
            Command::Compact { .. }
            | Command::Transaction { .. }
            | Command::GrantLease { .. }
            | Command::RevokeLease { .. }
            | Command::RenewLeases { .. }
            | Command::RemoveEnded
            | Command::Auth { .. }
            | Command::Restore { .. } => return Err(No::NotInTransaction),
        }
        Ok(())
    }

    /// The revision of what can be read: inside a transaction that has changed something, the
    /// one that comes into being.
    pub(crate) fn revision_so_far(&self) -> u64 {
        self.revision.max(self.keyspace.newest_revision())
    }

    fn put_with(
        &mut self,
        at: At,
        (key, value): (&[u8], &[u8]),
        options: PutOptions,
        out: &mut BytesMut,
    ) -> Result<(), No> {
        let tenure = match options {
            PutOptions { keeps_end: true, .. } => self.keyspace.tenure(key),
            PutOptions { lease, ttl_ms, .. } => self.tenure(at.log_time, lease, ttl_ms)?,
        };
        let found = self.keyspace.get(key, NEWEST);
        if found.is_none() && options.existing != Existing::Any {
            return Err(No::KeyUnknown);
        }
        let previous = found
            .filter(|_| options.returns_previous)
            .map(|(mod_revision, content)| key_value(key, mod_revision, content));
        Answer::PutOver { revision: self.revision + 1, previous }.encode(out);
        match found.filter(|_| options.existing == Existing::KeepsValue) {
            Some((_, content)) => {
                let value = content.value.to_vec();
                self.keyspace.put(self.revision + 1, key, &value, tenure);
            }
            None => self.keyspace.put(self.revision + 1, key, value, tenure),
        }
        Ok(())
    }

    fn delete_returning(&mut self, ranges: &[KeyRange<'_>], out: &mut BytesMut) {
        // What an earlier operation of a transaction made can be seen only until it is removed.
        let (mut page, mut keys) = (Page::new(0), BTreeSet::new());
        for range in ranges {
            self.keyspace.visit(range, NEWEST, |key, mod_revision, content| {
                if keys.insert(key) {
                    page.offer(key_value(key, mod_revision, content));
                }
            });
        }
        let Page { kvs, more, .. } = page;
        let count = keys.len() as u64;
        let revision = if keys.is_empty() { self.revision_so_far() } else { self.revision + 1 };
        Answer::DeletedKeys { count, revision, kvs, more }.encode(out);
        self.remove(ranges, |_| {});
    }

    fn remove(&mut self, ranges: &[KeyRange<'_>], mut each: impl FnMut(&[u8])) {
        for range in ranges {
            self.keyspace.remove(self.revision + 1, range, &mut each);
        }
    }

    /// Ends a command: what it changed becomes the next revision, if it changed anything.
    /// Returns how many changes there were.
    fn commit(&mut self, index: Index) -> usize {
        let (revision, mut changes) = (self.revision + 1, 0);
        for changed in self.keyspace.changed_last(revision) {
            let (key, version) = (changed.key, changed.version.bytes());
            match (changed.item, changed.version.is_gone()) {
                (None, false) => self.hash.put(index, revision, key, version),
                (None, true) => self.hash.delete(index, revision, key),
                (Some(name), false) => self.hash.set_item((index, revision), (key, name), version),
                (Some(name), true) => self.hash.remove_item((index, revision), (key, name)),
            }
            self.revision = revision;
            changes += 1;
        }
        changes
    }

    fn compact(&mut self, index: Index, compacted: u64) -> Answer<'static> {
        let revision = self.revision;
        if compacted <= self.compacted {
            return Answer::No { revision, why: No::Compacted { oldest: self.compacted } };
        }
        if revision < compacted {
            return Answer::No { revision, why: No::Future { newest: revision } };
        }
        self.compacted = compacted;
        self.hash.compact(index, compacted);
        Answer::Done { revision }
    }

    /// Forgets a bounded part of what nobody can read.
    fn forget_hidden(&mut self, changes_max: usize) {
        self.keyspace.forget(self.forgettable(), changes_max);
    }

    /// What is hidden by this revision may be forgotten. What a snapshot is still to show stays.
    fn forgettable(&self) -> u64 {
        let pinned = self.reading.as_ref().map_or(self.compacted, Reading::compacted);
        self.compacted.min(pinned)
    }

    /// At which revision a leader should compact now, if at any.
    fn compaction_due(&self, log_time: u64) -> Option<u64> {
        let History { age_us, revisions, bytes_max } = self.history;
        let old = log_time.checked_sub(age_us).map_or(0, |time| self.marks.revision_at(time));
        let mut compacted = old.min(self.revision.saturating_sub(revisions));
        // Not with every revision, since each compaction is an entry of the log.
        if compacted < self.compacted + (revisions / 20).max(1) {
            compacted = 0;
        }
        if bytes_max < self.keyspace.history_bytes(self.compacted) {
            let within = self.keyspace.revision_within(bytes_max / 4 * 3);
            compacted = compacted.max(within.min(self.revision));
        }
        (self.compacted < compacted).then_some(compacted)
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl StateMachine for Store {
    fn apply(&mut self, command: EntryRef<'_>, answer: &mut BytesMut) {
        let index = command.id().index;
        // Entries that came in together share their seed.
        let seed = command.seed().wrapping_add(index.0);
        let at = At { index, log_time: command.log_time(), seed };
        match Command::decode(command.payload()) {
            // The words of a version that does not know the command.
            Ok(decoded) if command.feature_level() < decoded.feature_level() => {
                Answer::Malformed { why: DecodeError::Shape(String::new()).reason() }
                    .encode(answer);
            }
            Ok(decoded) => self.execute(at, &decoded, answer),
            Err(error) => Answer::Malformed { why: error.reason() }.encode(answer),
        }
    }

    fn foresee(&self, payloads: &[&[u8]]) {
        let keys = payloads.iter().filter_map(|payload| Command::first_key(payload));
        self.keyspace.fetch(keys, self.forgettable(), FORGOTTEN_PER_CHANGE * payloads.len());
    }

    fn query(&self, query: &[u8], log_time: u64, answer: &mut BytesMut) {
        match Query::decode(query) {
            Ok(Query::Transaction(asked)) => self.ask(log_time, &asked, answer),
            Ok(decoded) => self.answer(&decoded, log_time).encode(answer),
            Err(error) => Answer::Malformed { why: error.reason() }.encode(answer),
        }
    }

    fn joinable_parts(&self, command: &[u8]) -> u32 {
        renewals::leases_renewed(command)
    }

    fn join(&self, commands: &[&[u8]], joined: &mut BytesMut) {
        renewals::join(commands, joined);
    }

    fn split(&self, answer: &[u8], parts: Range<u32>, own: &mut BytesMut) {
        renewals::split(answer, parts, own);
    }

    fn revision(&self) -> u64 {
        self.revision
    }

    fn state_hash(&self) -> u64 {
        self.hash.value()
    }

    fn live_bytes(&self) -> u64 {
        self.live_bytes()
    }

    fn leases(&self) -> u64 {
        self.leases.count()
    }

    fn grows(&self, command: &[u8]) -> bool {
        Command::decode(command).is_ok_and(|command| command.grows())
    }

    fn due(&self, log_time: u64, command: &mut BytesMut) {
        if self.has_ended(log_time) {
            Command::RemoveEnded.encode(command);
        } else if let Some(revision) = self.compaction_due(log_time) {
            Command::Compact { revision }.encode(command);
        }
    }

    fn idle(&mut self) {
        self.forget_hidden(FORGOTTEN_AT_ONCE_MAX);
        self.keyspace.tidy(TIDIED_AT_ONCE_MAX);
        self.free(1);
    }

    fn changes(
        &self,
        from: u64,
        bytes_max: usize,
        changes: &mut BytesMut,
    ) -> Result<u64, Forgotten> {
        self.write_changes(from, bytes_max, changes)
    }

    fn pin(&mut self) {
        self.unpin();
        self.leases.pin();
        if let Some(staging) = &mut self.staging {
            staging.tables.leases.pin();
        }
        self.reading = Some(Reading::of(self));
    }

    fn read_pinned(&mut self, bytes_max: usize, part: &mut BytesMut) -> bool {
        let mut reading = self.reading.take().expect("the store is pinned before it is read");
        let end = part.len() + bytes_max;
        part.reserve(bytes_max);
        let mut more = reading.next_part(self.tables(reading.tables_number()), end, part);
        if let Some(number) = reading.staged_number().filter(|_| !more) {
            more = reading.next_staged(self.tables(number), end, part);
        }
        if !more {
            reading.end(part);
        }
        self.reading = Some(reading);
        more
    }

    fn unpin(&mut self) {
        self.reading = None;
        self.leases.unpin();
        if let Some(staging) = &mut self.staging {
            staging.tables.leases.unpin();
        }
        self.let_go();
    }

    fn empty(&self) -> Self {
        Self::with_hash_seed(self.keyspace.hash_seed()).keeping(self.history)
    }

    fn load(&mut self, part: &[u8]) -> Result<(), LoadError> {
        let (marks, leases) = (&mut self.marks, &mut self.leases);
        let auth = Arc::make_mut(&mut self.auth);
        let (keyspace, staging) = (&mut self.keyspace, &mut self.staging);
        let into = Target { keyspace, marks, leases, auth, staging };
        self.loading.load(part, into)
    }

    fn finish_load(&mut self) -> Result<(), LoadError> {
        let (totals, sequences) = std::mem::take(&mut self.loading).finish()?;
        if REVISION_EMPTY < self.revision {
            return Err(LoadError::because("the store that it was loaded into was not empty"));
        }
        self.keyspace.finish_load(totals.compacted, &sequences)?;
        if self.keyspace.leases().any(|lease| self.leases.get(lease).is_none()) {
            return Err(LoadError::because("a key has a lease that is not there"));
        }
        self.revision = totals.revision;
        self.compacted = totals.compacted;
        self.hash = RollingHash::resume(totals.hash);
        self.newest_number = STAGED_NUMBER;
        Ok(())
    }
}
