//! The keyspace as snapshots show it: version by version, out and in.

use std::collections::BTreeMap;

use raft_core::replica::LoadError;

use super::changes::{Change, Place};
use super::foresight::{touch_records, touch_values};
use super::live::live_bytes;
use super::record::Record;
use super::sequence::{Sequence, arrange};
use super::version::{Held, VersionRef};
use super::{AHEAD_MAX, Keyspace, item_key, name_of, owner_of};
use crate::command::{KeyRange, Kind};

/// Whose version it is: a key's, or that of an item of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subject<'s> {
    pub(crate) key: &'s [u8],
    pub(crate) item: Option<&'s [u8]>,
}

/// Whether a version is the first one of its subject in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    First,
    Further,
}

/// The last version that was shown.
#[derive(Clone, Debug)]
pub(crate) struct Passed {
    pub(crate) key: Vec<u8>,
    pub(crate) item: Option<Vec<u8>>,
    pub(crate) mod_revision: u64,
}

impl Keyspace {
    /// Shows the versions of a state to `visit`, those of a key before those of its items, from
    /// behind `passed` on, until it answers that it wants no more. Shows only what can be read
    /// from `compacted` up to `revision`.
    ///
    /// Returns whether `visit` ended it.
    pub(crate) fn versions(
        &self,
        between: (u64, u64),
        passed: Option<&Passed>,
        mut visit: impl FnMut(Subject<'_>, Standing, VersionRef<'_>) -> bool,
    ) -> bool {
        let from = passed.map_or(&b""[..], |passed| &passed.key);
        let mut ahead = Vec::with_capacity(AHEAD_MAX);
        for row in self.keys.rows_from(from) {
            for places in row.chunks(AHEAD_MAX) {
                ahead.clear();
                ahead.extend(places.iter().map(|&place| self.keys.get(place)));
                touch_records(&ahead);
                touch_values(&self.heap, &ahead);
                for (&place, record) in places.iter().zip(&ahead) {
                    if self.show_key((place, record), between, passed, &mut visit) {
                        return true;
                    }
                }
            }
        }
        false
    }

    /// Shows the versions of a key and those of its items; returns whether `visit` ended it.
    fn show_key(
        &self,
        (place, record): (u32, &Record),
        between: (u64, u64),
        passed: Option<&Passed>,
        visit: &mut impl FnMut(Subject<'_>, Standing, VersionRef<'_>) -> bool,
    ) -> bool {
        let key = record.key.as_bytes();
        let here = passed.filter(|passed| passed.key == key);
        let begun = here.and_then(|passed| passed.item.as_deref());
        let behind = here.map_or(0, |passed| passed.mod_revision);
        let mut visit_key = |standing, version: VersionRef<'_>| {
            visit(Subject { key, item: None }, standing, version)
        };
        if begun.is_none() && self.show(record, between, behind, &mut visit_key) {
            return true;
        }
        if self.items.is_empty() {
            return false;
        }
        for place in self.item_places(place, begun.unwrap_or_default()) {
            let record = self.items.get(place);
            let item = Some(name_of(record));
            let behind = if item == begun { behind } else { 0 };
            let mut visit_item =
                |standing, version: VersionRef<'_>| visit(Subject { key, item }, standing, version);
            if self.show(record, between, behind, &mut visit_item) {
                return true;
            }
        }
        false
    }

    /// Shows the versions of a record between two revisions that are behind another one.
    fn show(
        &self,
        record: &Record,
        (compacted, revision): (u64, u64),
        behind: u64,
        visit: &mut impl FnMut(Standing, VersionRef<'_>) -> bool,
    ) -> bool {
        let mut standing = Standing::First;
        let is_kept = |base: &&Held| !base.is_gone() || base.mod_revision == compacted;
        let base = record.at(compacted).filter(is_kept);
        let later = record.since(compacted + 1);
        let known = later.take_while(|version| version.mod_revision <= revision);
        for version in base.into_iter().chain(known) {
            if behind < version.mod_revision && visit(standing, version.read(&self.heap)) {
                return true;
            }
            standing = Standing::Further;
        }
        false
    }

    /// Adds a key with its first version, behind all others; returns where it lies.
    ///
    /// Errors: `LoadError` if it does not come after `last`.
    pub(crate) fn load_key(
        &mut self,
        last: Option<u32>,
        key: &[u8],
        version: VersionRef<'_>,
    ) -> Result<u32, LoadError> {
        if last.is_some_and(|last| key <= self.keys.get(last).key.as_bytes()) {
            return Err(LoadError::because("its keys are not in order"));
        }
        if last.is_none() && !self.keys.is_empty() {
            return Err(LoadError::because("the store that it was loaded into had keys"));
        }
        let version = Held::of(&mut self.heap, version);
        Ok(self.keys.insert(key, version))
    }

    /// Adds an item of a key with its first version, behind its others; returns where it lies.
    ///
    /// Errors: `LoadError` if it does not come after `last`.
    pub(crate) fn load_item(
        &mut self,
        (owner, last): (u32, Option<u32>),
        name: &[u8],
        version: VersionRef<'_>,
    ) -> Result<u32, LoadError> {
        check_item(version)?;
        if last.is_some_and(|last| name <= name_of(self.items.get(last))) {
            return Err(LoadError::because("the items of a key are not in order"));
        }
        let version = Held::of(&mut self.heap, version);
        Ok(self.items.insert(&item_key(owner, name), version))
    }

    /// Adds a further version of a key, or of an item of it if there is one.
    ///
    /// Errors: `LoadError` if it does not come after the others.
    pub(crate) fn load_version(
        &mut self,
        (key, item): (u32, Option<u32>),
        version: VersionRef<'_>,
    ) -> Result<(), LoadError> {
        let place = match item {
            Some(item) => {
                check_item(version)?;
                Place::Item(item)
            }
            None => Place::Key(key),
        };
        let (record, heap) = self.get_record_mut(place);
        let is_next = record.append(heap, version);
        is_next.then_some(()).ok_or_else(|| LoadError::because("versions are not in order"))
    }

    /// As `load_key`, for a keyspace that has no history and needs no `finish_load`.
    ///
    /// Errors: as `load_key`.
    pub(crate) fn stage_key(
        &mut self,
        last: Option<u32>,
        key: &[u8],
        version: VersionRef<'_>,
    ) -> Result<u32, LoadError> {
        let place = self.load_key(last, key, version)?;
        self.note_staged(Place::Key(place));
        Ok(place)
    }

    /// As `load_item`, for a keyspace that has no history and needs no `finish_load`.
    ///
    /// Errors: as `load_item`.
    pub(crate) fn stage_item(
        &mut self,
        (owner, last): (u32, Option<u32>),
        name: &[u8],
        version: VersionRef<'_>,
    ) -> Result<u32, LoadError> {
        let place = self.load_item((owner, last), name, version)?;
        self.note_staged(Place::Item(place));
        Ok(place)
    }

    /// The name of a key, and of one of its items.
    pub(crate) fn names(&self, key: u32, item: Option<u32>) -> (Vec<u8>, Option<Vec<u8>>) {
        let item = item.map(|item| name_of(self.items.get(item)).to_vec());
        (self.keys.get(key).key.as_bytes().to_vec(), item)
    }

    fn note_staged(&mut self, place: Place) {
        let record = self.get_record(place);
        let (tenure, bytes) = (self.newest(record).tenure(), live_bytes(record));
        self.ends.add(place, tenure);
        self.live_bytes += bytes;
    }

    /// Notes the changes of everything that was loaded, those of some revisions in sequences of
    /// their own.
    ///
    /// Errors: `LoadError` if a key has another number of items than it says, or a sequence is
    /// none of its revision's changes.
    pub(crate) fn finish_load(
        &mut self,
        compacted: u64,
        sequences: &[Sequence],
    ) -> Result<(), LoadError> {
        let (mut changes, mut counts) = (Vec::new(), BTreeMap::new());
        for place in self.items.places(KeyRange::prefix(b"")) {
            let record = self.items.get(place);
            note_changes(record, Place::Item(place), compacted, &mut changes);
            self.ends.add(Place::Item(place), record.newest.read(&self.heap).tenure());
            self.live_bytes += live_bytes(record);
            if !record.newest.is_gone() {
                *counts.entry(owner_of(record)).or_insert(0) += 1;
            }
        }
        for place in self.keys.places(KeyRange::prefix(b"")) {
            let record = self.keys.get(place);
            note_changes(record, Place::Key(place), compacted, &mut changes);
            self.ends.add(Place::Key(place), record.newest.read(&self.heap).tenure());
            self.live_bytes += live_bytes(record);
            if counts.remove(&place).unwrap_or(0) != self.item_count(place) {
                return Err(LoadError::because("a key has not as many items as it says"));
            }
        }
        // Whoever was loaded lies in the order of the keys, and items in that of their names.
        changes.sort_unstable_by_key(|&(revision, (place, _))| match place {
            Place::Key(key) => (revision, key, None),
            Place::Item(item) => (revision, owner_of(self.items.get(item)), Some(item)),
        });
        if !arrange(&mut changes, sequences) {
            return Err(LoadError::because("the order of a revision is none of its changes"));
        }
        for (revision, (place, cost_bytes)) in changes {
            self.changes.push(Change { revision, place }, cost_bytes);
        }
        Ok(())
    }
}

fn check_item(version: VersionRef<'_>) -> Result<(), LoadError> {
    let is_plain = version
        .content()
        .is_none_or(|content| content.kind == Kind::String && content.tenure.lease == 0);
    is_plain.then_some(()).ok_or_else(|| LoadError::because("an item has items or a lease"))
}

/// Adds every change of a record from the compaction revision on, with what it left behind.
fn note_changes(
    record: &Record,
    place: Place,
    compacted: u64,
    changes: &mut Vec<(u64, (Place, u64))>,
) {
    let before = record.at(compacted.saturating_sub(1));
    let mut cost_bytes = before.map_or(0, Held::cost_bytes);
    for version in record.since(compacted) {
        changes.push((version.mod_revision, (place, cost_bytes)));
        cost_bytes = version.cost_bytes();
    }
}
