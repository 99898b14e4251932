//! A backup takes the place of the keys and leases: staged piece by piece, swapped in one entry.
//!
//! What is staged is a keyspace of its own that grows with each piece, so that the swap moves two
//! tables and nothing else. The old ones are freed a little at a time. Users and roles, like
//! members and sessions, belong to the cluster and stay.

use bytes::{Buf as _, BufMut as _, BytesMut};
use raft_core::replica::LoadError;
use raft_core::types::Index;

use crate::command::{Answer, No, RESTORE_REVISION_MAX, RestorePlan, RestoreStep};
use crate::keyspace::{Content, Keyspace, Tenure, Version, VersionRef};
use crate::lasting::At;
use crate::leases::{Lease, Leases, end_of};
use crate::snapshot::{ITEM, KEY, LEASE, LEASE_BYTES, take, take_head};
use crate::store::Store;

/// A restore of which nothing was heard for so long is given up. Units: microseconds of log time.
const RESTORE_IDLE_US: u64 = 600_000_000;

/// How far apart revisions are kept of two histories of which one may go on meanwhile.
const FOREIGN_DISTANCE: u64 = 1_000_000_000;

/// What a staged state says of itself in a snapshot. Units: bytes.
pub(crate) const STAGED_HEAD_BYTES: usize = 7 * 8;

/// Records of tables that nobody needs any more, freed at once: a fraction of a millisecond.
const FREED_AT_ONCE_MAX: usize = 512;

/// Keys and leases, as one thing that is staged, swapped and put aside.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    /// Tells them from others that this node has or had; another node has other numbers.
    pub(crate) number: u64,
    pub(crate) keyspace: Keyspace,
    pub(crate) leases: Leases,
}

/// What is known of a restore beside what it has staged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StagedHead {
    id: u64,
    /// The revision of the backup.
    revision: u64,
    /// The mod revision of every key; 0 if each keeps its own.
    mod_revision: u64,
    /// When the time that was left goes on, and from which time of the backup on. Units:
    /// microseconds of log time.
    goes_on_at: u64,
    backup_log_time: u64,
    /// When something was heard of it last. Units: microseconds of log time.
    touched_at: u64,
    pieces: u64,
}

/// A restore that is under way.
#[derive(Clone, Debug)]
pub(crate) struct Staging {
    pub(crate) head: StagedHead,
    pub(crate) tables: Tables,
    /// Where the last key lies, and the last of its items.
    last: Option<u32>,
    last_item: Option<u32>,
    /// Items that the last key has and that have not come.
    items_left: u64,
}

/// Whether records are as a backup has them, or as they were staged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Backup,
    Snapshot,
}

impl StagedHead {
    pub(crate) fn encode(&self, bytes: &mut BytesMut) {
        let Self { id, revision, mod_revision, .. } = *self;
        for number in [
            id,
            revision,
            mod_revision,
            self.goes_on_at,
            self.backup_log_time,
            self.touched_at,
            self.pieces,
        ] {
            bytes.put_u64_le(number);
        }
    }

    /// Reads what `encode` wrote, which must be all there.
    pub(crate) fn decode(mut bytes: &[u8]) -> Self {
        Self {
            id: bytes.get_u64_le(),
            revision: bytes.get_u64_le(),
            mod_revision: bytes.get_u64_le(),
            goes_on_at: bytes.get_u64_le(),
            backup_log_time: bytes.get_u64_le(),
            touched_at: bytes.get_u64_le(),
            pieces: bytes.get_u64_le(),
        }
    }

    /// The highest revision of what is staged.
    pub(crate) fn newest_revision(&self) -> u64 {
        if self.mod_revision == 0 { self.revision } else { self.mod_revision }
    }

    /// When something ends here that ended there at a time, which is not 0.
    fn moved(&self, ends_at: u64) -> u64 {
        self.goes_on_at.saturating_add(ends_at.saturating_sub(self.backup_log_time)).max(1)
    }

    /// A version as it is when it is staged; it must exist.
    fn rewritten(&self, version: VersionRef<'_>) -> Option<Version> {
        let content = version.content()?;
        let ends_at = match content.tenure.ends_at {
            0 if self.mod_revision == 0 => return Some(version.to_owned()),
            0 => 0,
            ends_at => self.moved(ends_at),
        };
        let tenure = Tenure { ends_at, ..content.tenure };
        if self.mod_revision == 0 {
            return Some(Version::new(version.mod_revision, &Content { tenure, ..content }));
        }
        let content = Content { create_revision: self.mod_revision, version: 1, tenure, ..content };
        Some(Version::new(self.mod_revision, &content))
    }
}

impl Staging {
    /// Nothing staged yet.
    pub(crate) fn new(head: StagedHead, (number, hash_seed): (u64, u64)) -> Self {
        let tables =
            Tables { number, keyspace: Keyspace::new(hash_seed), leases: Leases::default() };
        Self { head, tables, last: None, last_item: None, items_left: 0 }
    }

    /// Takes in one record.
    ///
    /// Errors: `LoadError` for what is none, or is out of place.
    pub(crate) fn take_record(
        &mut self,
        kind: u8,
        rest: &mut &[u8],
        origin: Origin,
    ) -> Result<(), LoadError> {
        match kind {
            LEASE => self.take_lease(rest, origin),
            KEY => {
                let (key, version) = self.take_first(rest, origin)?;
                let content = version.read().content().expect("what is staged exists");
                let (items, lease) = (content.items, content.tenure.lease);
                if self.items_left != 0 {
                    return Err(LoadError::because("a key has not as many items as it says"));
                }
                if lease != 0 && self.tables.leases.get(lease).is_none() {
                    return Err(LoadError::because("a key has a lease that is not there"));
                }
                self.last = Some(self.tables.keyspace.stage_key(self.last, key, version.read())?);
                (self.last_item, self.items_left) = (None, items);
                Ok(())
            }
            ITEM => {
                let (name, version) = self.take_first(rest, origin)?;
                let owner = self.last.filter(|_| 0 < self.items_left);
                let owner = owner.ok_or_else(|| LoadError::because("an item has no key"))?;
                let place = (owner, self.last_item);
                self.last_item =
                    Some(self.tables.keyspace.stage_item(place, name, version.read())?);
                self.items_left -= 1;
                Ok(())
            }
            other => Err(LoadError::because(format!("no record has the kind {other} here"))),
        }
    }

    fn take_lease(&mut self, rest: &mut &[u8], origin: Origin) -> Result<(), LoadError> {
        let mut bytes = take(rest, LEASE_BYTES - 1)?;
        let (id, ttl_ms, ends_at) = (bytes.get_u64_le(), bytes.get_u64_le(), bytes.get_u64_le());
        let is_next = id != 0 && self.tables.leases.last_id().is_none_or(|last| last < id);
        if !is_next || self.last.is_some() {
            return Err(LoadError::because("its leases are not in order"));
        }
        let ends_at = match origin {
            Origin::Backup => self.head.moved(ends_at),
            Origin::Snapshot => ends_at,
        };
        self.tables.leases.set(id, Lease { ttl_ms, ends_at });
        Ok(())
    }

    fn take_first<'r>(
        &self,
        rest: &mut &'r [u8],
        origin: Origin,
    ) -> Result<(&'r [u8], Version), LoadError> {
        let name_bytes = take(rest, 4)?.get_u32_le() as usize;
        let (version_bytes, mod_revision) = take_head(rest)?;
        let name = take(rest, name_bytes)?;
        let version = VersionRef::from_bytes(mod_revision, take(rest, version_bytes)?);
        let newest = match origin {
            Origin::Backup => self.head.revision,
            Origin::Snapshot => self.head.newest_revision(),
        };
        let known = version.filter(|version| {
            let is_known = 0 < mod_revision && mod_revision <= newest;
            is_known
                && version.content().is_some_and(|content| {
                    let Content { create_revision, version, .. } = content;
                    is_possible(mod_revision, create_revision, version)
                })
        });
        let staged = match origin {
            Origin::Backup => known.and_then(|version| self.head.rewritten(version)),
            Origin::Snapshot => known.map(VersionRef::to_owned),
        };
        let version = staged.ok_or_else(|| LoadError::because("a key has impossible revisions"))?;
        Ok((name, version))
    }

    /// The key and the item that were staged last.
    pub(crate) fn last_subject(&self) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
        self.last.map(|key| self.tables.keyspace.names(key, self.last_item))
    }

    /// What the staged keys and leases take in memory, about. Units: bytes.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.tables.keyspace.live_bytes() + self.tables.leases.cost_bytes()
    }

    fn is_idle(&self, log_time: u64) -> bool {
        self.head.touched_at.saturating_add(RESTORE_IDLE_US) <= log_time
    }
}

/// Whether a key can have come to this: each version of it took a revision of its own.
fn is_possible(mod_revision: u64, create_revision: u64, version: u64) -> bool {
    let changes = mod_revision.checked_sub(create_revision);
    create_revision != 0 && version != 0 && changes.is_some_and(|changes| version - 1 <= changes)
}

impl Store {
    /// Carries a step of a restore out.
    pub(crate) fn restore(&mut self, at: At, step: &RestoreStep<'_>) -> Answer<'static> {
        match step {
            RestoreStep::Begin(plan) => self.begin_restore(at, *plan),
            RestoreStep::Piece { id, number, records } => {
                if let Err(no) = self.check_restore(*id, *number) {
                    return no;
                }
                self.stage(at, *number, records)
            }
            RestoreStep::Finish { id, pieces } => {
                if let Err(no) = self.check_restore(*id, *pieces) {
                    return no;
                }
                self.finish_restore(at)
            }
            RestoreStep::Abandon { id } => match &self.staging {
                Some(staging) if staging.head.id == *id => {
                    self.drop_staging(at);
                    Answer::Done { revision: self.revision }
                }
                Some(_) | None => self.no_restore(*id),
            },
        }
    }

    /// Drops what was staged by a restore of which nothing is heard any more.
    pub(crate) fn remove_idle_restore(&mut self, at: At) {
        if self.has_idle_restore(at.log_time) {
            self.drop_staging(at);
        }
    }

    /// Whether a restore is to be given up.
    pub(crate) fn has_idle_restore(&self, log_time: u64) -> bool {
        self.staging.as_ref().is_some_and(|staging| staging.is_idle(log_time))
    }

    fn begin_restore(&mut self, at: At, plan: RestorePlan) -> Answer<'static> {
        if RESTORE_REVISION_MAX < plan.revision || RESTORE_REVISION_MAX < self.revision {
            return Answer::Malformed { why: "the revision of the backup is too high" };
        }
        self.drop_staging(at);
        let above_both = self.revision.max(plan.revision) + 1;
        let head = StagedHead {
            id: plan.id,
            revision: plan.revision,
            mod_revision: if plan.is_foreign { above_both + FOREIGN_DISTANCE } else { 0 },
            goes_on_at: end_of(at.log_time, plan.grace_ms),
            backup_log_time: plan.log_time,
            touched_at: at.log_time,
            pieces: 0,
        };
        self.hash.begin_restore(at.index, plan.id, head.mod_revision);
        let numbers = (self.new_number(), self.keyspace.hash_seed());
        self.staging = Some(Box::new(Staging::new(head, numbers)));
        Answer::Done { revision: self.revision }
    }

    fn no_restore(&self, id: u64) -> Answer<'static> {
        Answer::No { revision: self.revision, why: No::RestoreUnknown { id } }
    }

    /// Whether the restore is under way and has so many pieces.
    ///
    /// Errors: the answer.
    fn check_restore(&self, id: u64, number: u64) -> Result<(), Answer<'static>> {
        let Some(staging) = self.staging.as_ref().filter(|staging| staging.head.id == id) else {
            return Err(self.no_restore(id));
        };
        let pieces = staging.head.pieces;
        if pieces != number {
            let why = No::PieceExpected { number: pieces };
            return Err(Answer::No { revision: self.revision, why });
        }
        Ok(())
    }

    fn stage(&mut self, at: At, number: u64, mut records: &[u8]) -> Answer<'static> {
        let staging = self.staging.as_mut().expect("the restore was found");
        self.hash.stage(at.index, number, records);
        staging.head.touched_at = at.log_time;
        staging.head.pieces += 1;
        while let Some((&kind, rest)) = records.split_first() {
            records = rest;
            if staging.take_record(kind, &mut records, Origin::Backup).is_err() {
                self.drop_staging(at);
                return Answer::Malformed { why: "the piece is none of a backup" };
            }
        }
        Answer::Done { revision: self.revision }
    }

    fn finish_restore(&mut self, at: At) -> Answer<'static> {
        let staging = self.staging.take().expect("the restore was found");
        let StagedHead { revision, mod_revision, .. } = staging.head;
        let is_whole = staging.items_left == 0;
        if !is_whole || (mod_revision != 0 && mod_revision <= self.revision) {
            self.put_aside(staging.tables);
            self.hash.drop_restore(at.index);
            let why =
                if is_whole { "too much was written meanwhile" } else { "an item is missing" };
            return Answer::Malformed { why };
        }
        let Tables { number, keyspace, leases } = staging.tables;
        let old = Tables {
            number: std::mem::replace(&mut self.tables_number, number),
            keyspace: std::mem::replace(&mut self.keyspace, keyspace),
            leases: std::mem::replace(&mut self.leases, leases),
        };
        self.put_aside(old);
        // Every watch wants a revision below the one after the next, unless it waits for a future
        // that is still to come, and is told that there is nothing left to show.
        let restored =
            if mod_revision == 0 { self.revision.max(revision) + 1 } else { mod_revision };
        self.raise_revision(at, restored + 1);
        Answer::Done { revision: self.revision }
    }

    /// Goes to a revision that the history that the store comes from will not have reached by now,
    /// so that no revision means two things to whoever has seen both. Nothing before it can be
    /// read from then on, and a restore that was under way is dropped. For a store that becomes
    /// that of another cluster, while nothing else is applied.
    ///
    /// Returns the revision.
    pub fn leave_history(&mut self) -> u64 {
        let at = At { index: Index::ZERO, log_time: 0, seed: 0 };
        self.drop_staging(at);
        self.raise_revision(at, self.revision.saturating_add(FOREIGN_DISTANCE));
        self.revision
    }

    /// Goes to a revision at which the present keys are all that can be read.
    fn raise_revision(&mut self, at: At, revision: u64) {
        self.revision = revision;
        self.compacted = revision;
        self.hash.restore(at.index, revision);
    }

    fn drop_staging(&mut self, at: At) {
        if let Some(staging) = self.staging.take() {
            self.put_aside(staging.tables);
            self.hash.drop_restore(at.index);
        }
    }

    /// A number for tables that are new here.
    pub(crate) fn new_number(&mut self) -> u64 {
        self.newest_number += 1;
        self.newest_number
    }

    /// Keeps tables as long as a snapshot shows them, and frees them then.
    fn put_aside(&mut self, tables: Tables) {
        let is_shown = self.reading.as_ref().is_some_and(|it| it.shows(tables.number));
        if is_shown {
            self.kept.push(tables);
        } else {
            self.discarded.push(tables);
        }
    }

    /// Ends what `put_aside` keeps.
    pub(crate) fn let_go(&mut self) {
        self.discarded.append(&mut self.kept);
    }

    /// Frees a bounded part of what nobody needs any more.
    pub(crate) fn free(&mut self, share: usize) {
        let mut left = FREED_AT_ONCE_MAX / share.max(1);
        while let Some(tables) = self.discarded.last_mut()
            && 0 < left
        {
            let freed = tables.keyspace.free(left) + tables.leases.free(left);
            if freed == 0 {
                self.discarded.pop();
            }
            left = left.saturating_sub(freed.max(1));
        }
    }

    /// The keys and leases of this number.
    pub(crate) fn tables(&mut self, number: u64) -> (&Keyspace, &mut Leases) {
        if number == self.tables_number {
            return (&self.keyspace, &mut self.leases);
        }
        let staged = self.staging.as_mut().map(|staging| &mut staging.tables);
        let mut all = staged.into_iter().chain(&mut self.kept);
        let found = all.find(|tables| tables.number == number);
        let tables = found.expect("tables that a snapshot shows are kept");
        (&tables.keyspace, &mut tables.leases)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of clients may say anything, and whatever is staged is written on from.
    #[test]
    fn a_key_has_no_more_versions_than_revisions_since_it_came_into_being() {
        let at = is_possible;
        assert!(at(5, 5, 1) && at(5, 2, 4) && at(5, 2, 1));
        assert!(!at(5, 2, 5) && !at(5, 5, 2) && !at(u64::MAX, 1, 0));
        assert!(!at(5, 0, 1) && !at(5, 6, 1) && !at(5, 2, u64::MAX));
    }
}
