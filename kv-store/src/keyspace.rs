//! The keys with their history, and the items of hashes and sets with theirs.
//!
//! Every change leaves the version before it behind, so that the past can be read until it is
//! compacted. What compaction hides is taken away later, a little at a time; whether that has
//! happened yet can be seen nowhere.

mod changes;
mod ends;
mod foresight;
mod hash_index;
mod heap;
mod live;
mod order;
mod record;
mod sequence;
mod stored;
mod table;
#[cfg(test)]
mod tests;
mod unwinding;
mod version;
mod walk;

use self::changes::{Change, Changes, Place};
use self::ends::Ends;
use self::foresight::{touch_records, touch_values};
use self::heap::Heap;
use self::live::live_bytes;
pub(crate) use self::live::live_bytes_of;
use self::record::Record;
pub(crate) use self::sequence::{Sequence, Walked};
pub(crate) use self::stored::{Passed, Standing, Subject};
use self::table::Table;
use self::version::Held;
pub(crate) use self::version::{Content, Tenure, Version, VersionRef};
use crate::command::{KeyRange, Kind, RangeEnd};

/// A page of versions takes as long to free as so many records.
const PAGE_WEIGHT: usize = 16;

/// Stands for the newest revision, also while it comes into being.
pub(crate) const NEWEST: u64 = u64::MAX;

/// How many records of a range are fetched from memory at once: few at first, since most ranges
/// are short, and twice as many each time.
const AHEAD_MIN: usize = 8;
const AHEAD_MAX: usize = 64;

/// Every key that exists or that history speaks of.
#[derive(Clone, Debug)]
pub(crate) struct Keyspace {
    keys: Table,
    /// Fields and members. The key of a record is the place of the hash or set and the name;
    /// an item that exists is one of a key that exists.
    items: Table,
    /// What the versions of both hold.
    heap: Heap,
    /// How far keys and items were gone through for what lies in pages that are half empty.
    tidied: [u32; 2],
    changes: Changes,
    /// Who does not stay for ever.
    ends: Ends,
    /// What everything that exists takes, about. Units: bytes.
    live_bytes: u64,
}

/// What became of a key, or of an item of one, in a revision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Changed<'k> {
    pub(crate) key: &'k [u8],
    /// The field or member, if it is one.
    pub(crate) item: Option<&'k [u8]>,
    /// The version that the revision made.
    pub(crate) version: VersionRef<'k>,
    /// The version before it, if it is known.
    pub(crate) previous: Option<VersionRef<'k>>,
}

/// What a key or an item is set to.
#[derive(Clone, Copy)]
struct Setting<'v> {
    kind: Kind,
    value: &'v [u8],
    items: u64,
    tenure: Tenure,
}

impl Keyspace {
    /// A keyspace without keys; the seed is that of its hashes.
    pub(crate) fn new(hash_seed: u64) -> Self {
        let (keys, items) = (Table::new(hash_seed), Table::new(hash_seed));
        Self {
            keys,
            items,
            heap: Heap::default(),
            tidied: [0; 2],
            changes: Changes::default(),
            ends: Ends::default(),
            live_bytes: 0,
        }
    }

    /// The seed of the hashes.
    pub(crate) fn hash_seed(&self) -> u64 {
        self.keys.hash_seed()
    }

    /// What a key holds at a revision.
    pub(crate) fn get(&self, key: &[u8], revision: u64) -> Option<(u64, Content<'_>)> {
        self.content_at(self.record(key)?, revision)
    }

    fn record(&self, key: &[u8]) -> Option<&Record> {
        self.keys.find(key).map(|place| self.keys.get(place))
    }

    /// The version of a key that was the newest one at a revision, if it is known.
    pub(crate) fn version_at(&self, key: &[u8], revision: u64) -> Option<VersionRef<'_>> {
        self.record(key)?.at(revision).map(|version| version.read(&self.heap))
    }

    /// How many versions a key has from a revision on.
    pub(crate) fn count_since(&self, key: &[u8], revision: u64) -> u64 {
        self.record(key).map_or(0, |record| record.count_since(revision))
    }

    /// The versions of a key from a revision on, the oldest first, each with the key.
    pub(crate) fn versions_since(
        &self,
        key: &[u8],
        revision: u64,
    ) -> impl Iterator<Item = (&[u8], VersionRef<'_>)> + use<'_> {
        let record = self.record(key).into_iter();
        record.flat_map(move |record| {
            let key = record.key.as_bytes();
            record.since(revision).map(move |version| (key, version.read(&self.heap)))
        })
    }

    /// The newest version of a record.
    fn newest(&self, record: &Record) -> VersionRef<'_> {
        record.newest.read(&self.heap)
    }

    fn content_at(&self, record: &Record, revision: u64) -> Option<(u64, Content<'_>)> {
        let version = record.at(revision)?.read(&self.heap);
        version.content().map(|content| (version.mod_revision, content))
    }

    /// What a field or member holds at a revision.
    pub(crate) fn item(
        &self,
        key: &[u8],
        name: &[u8],
        revision: u64,
    ) -> Option<(u64, Content<'_>)> {
        let owner = self.keys.find(key)?;
        let place = self.items.find(&item_key(owner, name))?;
        self.content_at(self.items.get(place), revision)
    }

    /// How long a key stays that is there now; for ever if it is not.
    pub(crate) fn tenure(&self, key: &[u8]) -> Tenure {
        self.record(key).map_or(Tenure::default(), |record| self.newest(record).tenure())
    }

    /// How long an item stays that is there now; for ever if it is not.
    pub(crate) fn item_tenure(&self, key: &[u8], name: &[u8]) -> Tenure {
        let place = self.keys.find(key).and_then(|owner| self.items.find(&item_key(owner, name)));
        place.map_or(Tenure::default(), |place| self.newest(self.items.get(place)).tenure())
    }

    /// Sets a key to a string in `revision`, the newest one or the one that comes into being.
    pub(crate) fn put(&mut self, revision: u64, key: &[u8], value: &[u8], tenure: Tenure) {
        let setting = Setting { kind: Kind::String, value, items: 0, tenure };
        let Some(place) = self.keys.find(key) else {
            self.insert_key(revision, key, setting);
            return;
        };
        let had_items = self.newest(self.keys.get(place)).is_collection();
        self.set(Place::Key(place), revision, setting);
        if had_items {
            self.clear(revision, place);
        }
    }

    /// Makes a key that exists stay as long as this.
    pub(crate) fn set_tenure(&mut self, revision: u64, key: &[u8], tenure: Tenure) {
        let place = self.keys.find(key).expect("the key exists");
        let content = self.newest(self.keys.get(place)).content().expect("the key exists");
        let (kind, value, items) = (content.kind, content.value.to_vec(), content.items);
        self.set(Place::Key(place), revision, Setting { kind, value: &value, items, tenure });
    }

    /// Sets a field or member of a key, which is of this kind or does not exist. Returns
    /// whether it is new.
    pub(crate) fn put_item(
        &mut self,
        revision: u64,
        (key, kind): (&[u8], Kind),
        (name, value): (&[u8], &[u8]),
        tenure: Tenure,
    ) -> bool {
        // The key changes before its item, as watches show it, whether or not something is left of
        // an earlier key: what has been forgotten must not show in the order of changes.
        let found = self.keys.find(key);
        let exists = |place: &u32| !self.items.get(*place).newest.is_gone();
        let place = found.and_then(|owner| self.items.find(&item_key(owner, name)));
        let is_new = place.filter(exists).is_none();
        let items = found.map_or(0, |owner| self.item_count(owner)) + u64::from(is_new);
        // The key stays as long as it was to stay before.
        let tenure_of = |owner| self.newest(self.keys.get(owner)).tenure();
        let kept = found.map_or(Tenure::default(), tenure_of);
        let setting = Setting { kind, value: b"", items, tenure: kept };
        let owner = match found {
            Some(owner) => {
                self.set(Place::Key(owner), revision, setting);
                owner
            }
            None => self.insert_key(revision, key, setting),
        };
        let setting = Setting { kind: Kind::String, value, items: 0, tenure };
        // Also a new key may find an item: one that is gone, and not forgotten, of the key that
        // lay here before.
        if let Some(place) = self.items.find(&item_key(owner, name)) {
            self.set(Place::Item(place), revision, setting);
        } else {
            let version = first_version(&mut self.heap, revision, setting);
            let place = self.items.insert(&item_key(owner, name), version);
            self.note_first(revision, Place::Item(place), tenure);
        }
        is_new
    }

    fn insert_key(&mut self, revision: u64, key: &[u8], setting: Setting<'_>) -> u32 {
        let version = first_version(&mut self.heap, revision, setting);
        let place = self.keys.insert(key, version);
        self.note_first(revision, Place::Key(place), setting.tenure);
        place
    }

    fn note_first(&mut self, revision: u64, place: Place, tenure: Tenure) {
        self.changes.push(Change { revision, place }, 0);
        self.ends.add(place, tenure);
        self.live_bytes += live_bytes(self.get_record(place));
    }

    /// Removes a field or member, and with the last one the key. Returns whether there was one.
    pub(crate) fn remove_item(&mut self, revision: u64, key: &[u8], name: &[u8]) -> bool {
        let Some(owner) = self.keys.find(key) else { return false };
        let place = self.items.find(&item_key(owner, name));
        let exists = |place: &u32| !self.items.get(*place).newest.is_gone();
        let Some(place) = place.filter(exists) else { return false };
        let newest = self.newest(self.keys.get(owner));
        let content = newest.content().expect("who has an item exists");
        let Content { kind, items, tenure, .. } = content;
        if items == 1 {
            self.write(Place::Key(owner), Held::gone(revision));
        } else {
            let setting = Setting { kind, value: b"", items: items - 1, tenure };
            self.set(Place::Key(owner), revision, setting);
        }
        self.write(Place::Item(place), Held::gone(revision));
        true
    }

    /// The earliest end of a key or an item. Units: microseconds of log time.
    pub(crate) fn first_end(&self) -> Option<u64> {
        self.ends.first()
    }

    /// Removes keys and items that end up to a time, the earliest first: so many, and everybody
    /// else who ends when the last of them does. Returns how many they were.
    pub(crate) fn remove_ended(&mut self, revision: u64, time: u64, count: usize) -> usize {
        let mut subjects: Vec<(Vec<u8>, Option<Vec<u8>>)> = self
            .ends
            .until(time, count)
            .into_iter()
            .map(|place| self.subject(place))
            .map(|(key, item)| (key.to_vec(), item.map(<[u8]>::to_vec)))
            .collect();
        subjects.sort_unstable();
        for (key, item) in &subjects {
            match item {
                Some(name) => {
                    // It went with its key, if that ended as well.
                    self.remove_item(revision, key, name);
                }
                None => self.remove(revision, &KeyRange::single(key), |_| ()),
            }
        }
        subjects.len()
    }

    /// The keys that go with a lease, in order.
    pub(crate) fn keys_of_lease(&self, lease: u64) -> Vec<&[u8]> {
        let mut keys: Vec<&[u8]> =
            self.ends.of_lease(lease).map(|place| self.subject(place).0).collect();
        keys.sort_unstable();
        keys
    }

    /// Every lease that a key goes with.
    pub(crate) fn leases(&self) -> impl Iterator<Item = u64> {
        self.ends.leases()
    }

    fn item_count(&self, owner: u32) -> u64 {
        self.newest(self.keys.get(owner)).content().map_or(0, |content| content.items)
    }

    /// Removes the keys of a range in `revision`. Shows each of them to `visit` before.
    pub(crate) fn remove(
        &mut self,
        revision: u64,
        range: &KeyRange<'_>,
        mut visit: impl FnMut(&[u8]),
    ) {
        let exists = |place: &u32| !self.keys.get(*place).newest.is_gone();
        let places: Vec<u32> = self.keys.places(*range).filter(exists).collect();
        for place in places {
            visit(self.keys.get(place).key.as_bytes());
            let had_items = 0 < self.item_count(place);
            self.write(Place::Key(place), Held::gone(revision));
            if had_items {
                self.clear(revision, place);
            }
        }
    }

    /// Removes every item of a hash or set, which is about to be something else.
    fn clear(&mut self, revision: u64, owner: u32) {
        let exists = |place: &u32| !self.items.get(*place).newest.is_gone();
        let places: Vec<u32> = self.item_places(owner, b"").filter(exists).collect();
        for place in places {
            self.write(Place::Item(place), Held::gone(revision));
        }
    }

    /// Where the items of a key lie from a name on, in the order of their names.
    fn item_places(&self, owner: u32, from: &[u8]) -> impl Iterator<Item = u32> + use<'_> {
        let owner_bytes = owner.to_be_bytes();
        let from = item_key(owner, from);
        let is_of_owner =
            move |place: &u32| self.items.get(*place).key.as_bytes().starts_with(&owner_bytes);
        self.items.places_from(&from).take_while(is_of_owner)
    }

    /// Makes the next version of a record that exists or existed.
    fn set(&mut self, place: Place, revision: u64, setting: Setting<'_>) {
        let newest = self.newest(self.get_record(place));
        let (create_revision, version) = match newest.content() {
            // Several changes in one revision are one version.
            Some(content) if newest.mod_revision == revision => {
                (content.create_revision, content.version)
            }
            Some(content) => (content.create_revision, content.version + 1),
            None => (revision, 1),
        };
        let Setting { kind, value, items, tenure } = setting;
        let content = Content { create_revision, version, kind, value, items, tenure };
        let version = Held::new(&mut self.heap, revision, &content);
        self.write(place, version);
    }

    fn write(&mut self, place: Place, version: Held) {
        let revision = version.mod_revision;
        let before = self.newest(self.get_record(place)).tenure();
        let after = version.read(&self.heap).tenure();
        if before != after {
            self.ends.remove(place, before);
            self.ends.add(place, after);
        }
        let (record, heap) = self.get_record_mut(place);
        let (live_before, cost_bytes) = (live_bytes(record), record.newest.cost_bytes());
        let is_first = record.newest.mod_revision < revision;
        if is_first {
            record.supersede(version);
        } else {
            record.replace(version, heap);
        }
        let live_after = live_bytes(record);
        self.live_bytes = self.live_bytes - live_before + live_after;
        if is_first {
            self.changes.push(Change { revision, place }, cost_bytes);
        }
    }

    fn get_record(&self, place: Place) -> &Record {
        match place {
            Place::Key(place) => self.keys.get(place),
            Place::Item(place) => self.items.get(place),
        }
    }

    fn get_record_mut(&mut self, place: Place) -> (&mut Record, &mut Heap) {
        let record = match place {
            Place::Key(place) => self.keys.get_mut(place),
            Place::Item(place) => self.items.get_mut(place),
        };
        (record, &mut self.heap)
    }

    fn remove_record(&mut self, place: Place) {
        let record = match place {
            Place::Key(place) => self.keys.remove(place),
            Place::Item(place) => self.items.remove(place),
        };
        record.drop_from(&mut self.heap);
    }

    /// Shows every key of a range at a revision to `visit`, in order.
    pub(crate) fn visit<'s>(
        &'s self,
        range: &KeyRange<'s>,
        revision: u64,
        mut visit: impl FnMut(&'s [u8], u64, Content<'s>),
    ) {
        if range.end == RangeEnd::Single {
            let Some(record) = self.record(range.from) else { return };
            touch_values(&self.heap, &[record]);
            if let Some((mod_revision, content)) = self.content_at(record, revision) {
                visit(record.key.as_bytes(), mod_revision, content);
            }
            return;
        }
        let (mut ahead, mut ahead_max) = (Vec::with_capacity(AHEAD_MAX), AHEAD_MIN);
        for mut row in self.keys.rows_from(range.from) {
            while !row.is_empty() {
                let (places, rest) = row.split_at(ahead_max.min(row.len()));
                ahead.clear();
                ahead.extend(places.iter().map(|&place| self.keys.get(place)));
                touch_records(&ahead);
                let inside = ahead.partition_point(|record| range.contains(record.key.as_bytes()));
                touch_values(&self.heap, &ahead[..inside]);
                for record in &ahead[..inside] {
                    if let Some((mod_revision, content)) = self.content_at(record, revision) {
                        visit(record.key.as_bytes(), mod_revision, content);
                    }
                }
                if inside < places.len() {
                    return;
                }
                (row, ahead_max) = (rest, AHEAD_MAX.min(2 * ahead_max));
            }
        }
    }

    /// Shows the items of a key at a revision, from a name on and in the order of their names,
    /// until `visit` answers that it wants no more.
    pub(crate) fn visit_items<'s>(
        &'s self,
        key: &[u8],
        from: &[u8],
        revision: u64,
        mut visit: impl FnMut(&'s [u8], Content<'s>) -> bool,
    ) {
        let Some(owner) = self.keys.find(key) else { return };
        for place in self.item_places(owner, from) {
            let record = self.items.get(place);
            let Some((_, content)) = self.content_at(record, revision) else { continue };
            if !visit(name_of(record), content) {
                return;
            }
        }
    }

    /// The revision of the last change that is known; 0 if there is none.
    pub(crate) fn newest_revision(&self) -> u64 {
        self.changes.last().map_or(0, |change| change.revision)
    }

    /// What changed in the last revision of all, if it is this one, in the order in which it
    /// changed first; without what was there before.
    pub(crate) fn changed_last(&self, revision: u64) -> impl Iterator<Item = Changed<'_>> {
        self.changes.since(revision).map(|Change { revision, place }| {
            let version = self.newest(self.get_record(place));
            assert_eq!(version.mod_revision, revision, "nothing is newer than the last revision");
            let (key, item) = self.subject(place);
            Changed { key, item, version, previous: None }
        })
    }

    /// What changed from a revision on, in the order in which it changed first: a key before its
    /// items. Nothing before the compaction revision is known.
    pub(crate) fn changed_since(&self, revision: u64) -> impl Iterator<Item = Changed<'_>> {
        self.changes.since(revision).map(|change| self.changed(change))
    }

    fn changed(&self, Change { revision, place }: Change) -> Changed<'_> {
        let record = self.get_record(place);
        let version = record.at(revision).expect("a change made a version").read(&self.heap);
        let previous = record.at(revision - 1).map(|version| version.read(&self.heap));
        let (key, item) = self.subject(place);
        Changed { key, item, version, previous }
    }

    /// Whose record lies here: the key, and the item if it is one's.
    fn subject(&self, place: Place) -> (&[u8], Option<&[u8]>) {
        let record = self.get_record(place);
        match place {
            Place::Key(_) => (record.key.as_bytes(), None),
            Place::Item(_) => {
                let owner = self.keys.get(owner_of(record));
                (owner.key.as_bytes(), Some(name_of(record)))
            }
        }
    }

    /// Takes away what compaction at `compacted` has hidden, as far as so many changes made it.
    pub(crate) fn forget(&mut self, compacted: u64, changes_max: usize) {
        for _ in 0..changes_max {
            let Some(change) = self.changes.take_first(compacted) else { return };
            // Nothing is left of a record only at the last of its changes, so that no later one
            // finds another key in its place.
            let (record, heap) = self.get_record_mut(change.place);
            if record.forget(change.revision, heap) {
                self.remove_record(change.place);
            }
        }
    }

    /// Goes through some more keys and items, if the memory that is kept for their versions is far
    /// more than they take, and moves together what lies alone.
    pub(crate) fn tidy(&mut self, records_max: usize) {
        if !self.heap.is_wasteful() {
            return;
        }
        for (table, next) in [&mut self.keys, &mut self.items].into_iter().zip(&mut self.tidied) {
            for _ in 0..records_max {
                let (record, behind) = table.walk(*next);
                *next = behind;
                if let Some(record) = record {
                    record.tidy(&mut self.heap);
                }
            }
        }
    }

    /// Frees up to about so many records of a keyspace that nobody needs any more, and that must
    /// not be asked for anything from then on; returns how many.
    pub(crate) fn free(&mut self, count: usize) -> usize {
        let freed = [
            self.keys.free(count),
            self.items.free(count),
            PAGE_WEIGHT * self.heap.free(count.div_ceil(PAGE_WEIGHT)),
            self.ends.free(count),
            self.changes.free(count),
        ];
        freed.into_iter().sum()
    }

    /// What everything that exists takes, about. Units: bytes.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// What the versions cost that can be read above a revision only, about. Units: bytes.
    pub(crate) fn history_bytes(&self, compacted: u64) -> u64 {
        self.changes.cost_bytes_above(compacted)
    }

    /// At which revision to compact so that history costs no more than this.
    pub(crate) fn revision_within(&self, history_bytes_max: u64) -> u64 {
        self.changes.revision_within(history_bytes_max)
    }
}

/// The key of an item's record.
fn item_key(owner: u32, name: &[u8]) -> Vec<u8> {
    [&owner.to_be_bytes(), name].concat()
}

/// Where the key of an item lies.
fn owner_of(item: &Record) -> u32 {
    let &owner = item.key.as_bytes().first_chunk().expect("the key of an item begins with it");
    u32::from_be_bytes(owner)
}

/// The name of an item.
fn name_of(item: &Record) -> &[u8] {
    &item.key.as_bytes()[size_of::<u32>()..]
}

/// The first version of a record.
fn first_version(heap: &mut Heap, revision: u64, setting: Setting<'_>) -> Held {
    let Setting { kind, value, items, tenure } = setting;
    let content = Content { create_revision: revision, version: 1, kind, value, items, tenure };
    Held::new(heap, revision, &content)
}
