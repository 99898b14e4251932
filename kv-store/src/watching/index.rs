//! Who wants to know of a key: the watches by what they are about.
//!
//! Watches that show the same in the same way are one group, for which a change is written once.
//! The groups of a key are found in a map, those of ranges in a tree, so that the cost of a
//! change does not grow with the watches that do not want it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ranges::{Ranges, Span};
use super::stream::Record;
use crate::command::key_range::push_prefix_end;
use crate::command::{Interest, Items, RangeEnd};

/// Stands for no group.
const NONE: u32 = u32::MAX;

/// What a watch is about, as the index keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    target: Target,
    pub(super) shape: Shape,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    /// One key, or one item of it; see `single`.
    Single(Arc<[u8]>),
    Range(Arc<Span>),
}

/// In which way a watch shows what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    has_keys: bool,
    has_items: bool,
    puts: bool,
    deletes: bool,
    pub(super) previous: bool,
}

impl Spec {
    pub(super) fn of(interest: &Interest<'_>) -> Self {
        let Interest { range, items, puts, deletes, previous } = *interest;
        let item = match items {
            Items::Keys | Items::All => None,
            Items::Named(name) => Some(name.0),
        };
        let shape = Shape {
            has_keys: item.is_none(),
            has_items: items != Items::Keys,
            puts,
            deletes,
            previous,
        };
        let to = match range.end {
            RangeEnd::Single => {
                let mut bytes = Vec::new();
                single(range.from, item, &mut bytes);
                return Self { target: Target::Single(bytes.into()), shape };
            }
            RangeEnd::HalfOpen(to) => Some(to.into()),
            RangeEnd::From => None,
            RangeEnd::Prefix => {
                let mut end = Vec::new();
                push_prefix_end(range.from, &mut end);
                Some(end).filter(|end| !end.is_empty()).map(Vec::into_boxed_slice)
            }
        };
        let span = Span { from: range.from.into(), to, item: item.map(Box::from) };
        Self { target: Target::Range(Arc::new(span)), shape }
    }
}

/// A key, or an item of one, as the map of single ones has it.
fn single(key: &[u8], item: Option<&[u8]>, bytes: &mut Vec<u8>) {
    bytes.clear();
    bytes.extend_from_slice(key);
    if let Some(item) = item {
        bytes.extend_from_slice(item);
    }
    // At the end, so that the map compares what differs first.
    let key_bytes = item.map_or(u32::MAX, |_| u32::try_from(key.len()).unwrap_or(u32::MAX - 1));
    bytes.extend_from_slice(&key_bytes.to_be_bytes());
}

/// Watches that show the same.
#[derive(Debug)]
struct Group {
    spec: Spec,
    /// The numbers of the watches.
    members: Vec<u32>,
    /// The next group of the same target in another shape.
    next: u32,
    /// Where the owner of the index collects for the group; it is its own business.
    collects: u32,
}

/// Where a watch is in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) group: u32,
    pub(super) place: u32,
}

/// The groups.
#[derive(Debug, Default)]
pub(super) struct Index {
    singles: BTreeMap<Arc<[u8]>, u32>,
    ranges: Ranges,
    groups: Vec<Option<Group>>,
    free: Vec<u32>,
    watches: usize,
    scratch: Vec<u8>,
}

impl Index {
    pub(super) fn is_empty(&self) -> bool {
        self.watches == 0
    }

    /// Adds a watch and says where it is.
    pub(super) fn insert(&mut self, spec: &Spec, watch: u32) -> Seat {
        self.watches += 1;
        let mut at = self.first(&spec.target);
        while at != NONE && self.group(at).spec.shape != spec.shape {
            at = self.group(at).next;
        }
        if at == NONE {
            at = self.add_group(spec);
        }
        let members = &mut self.group_mut(at).members;
        if members.capacity() == 0 {
            // Most groups have one.
            members.reserve_exact(1);
        }
        members.push(watch);
        Seat { group: at, place: short(members.len() - 1) }
    }

    /// Takes the watch in this seat away. Another one may sit there now, which is returned.
    pub(super) fn remove(&mut self, Seat { group, place }: Seat) -> Option<u32> {
        self.watches -= 1;
        let members = &mut self.group_mut(group).members;
        members.swap_remove(long(place));
        let moved = members.get(long(place)).copied();
        if members.is_empty() {
            self.remove_group(group);
        }
        moved
    }

    /// What the watches of a group are about.
    pub(super) fn spec(&self, group: u32) -> &Spec {
        &self.group(group).spec
    }

    /// The watches of a group.
    pub(super) fn members(&self, group: u32) -> &[u32] {
        &self.group(group).members
    }

    /// Shows the groups that want a change, with the number that `collects` had for each and may
    /// have from now on.
    pub(super) fn visit(
        &mut self,
        record: &Record<'_>,
        mut visit: impl FnMut(u32, &mut u32, bool),
    ) {
        let Self { singles, ranges, groups, scratch, .. } = self;
        let mut show = |first: u32| {
            let mut at = first;
            while at != NONE {
                let group = groups[long(at)].as_mut().expect("a group that is found is there");
                if group.spec.shape.shows(record) {
                    visit(at, &mut group.collects, group.spec.shape.previous);
                }
                at = group.next;
            }
        };
        if !singles.is_empty() {
            single(record.key, None, scratch);
            singles.get(scratch.as_slice()).copied().into_iter().for_each(&mut show);
            if let Some(item) = record.item {
                single(record.key, Some(item), scratch);
                singles.get(scratch.as_slice()).copied().into_iter().for_each(&mut show);
            }
        }
        ranges.visit(record.key, |span, first| {
            if span.item.as_deref().is_none_or(|item| record.item == Some(item)) {
                show(first);
            }
        });
    }

    /// Forgets what `collects` was set to.
    pub(super) fn collected(&mut self, group: u32) {
        self.group_mut(group).collects = NONE;
    }

    fn first(&mut self, target: &Target) -> u32 {
        match target {
            Target::Single(single) => self.singles.get(single).copied().unwrap_or(NONE),
            Target::Range(span) => self.ranges.get_mut(span).copied().unwrap_or(NONE),
        }
    }

    fn set_first(&mut self, target: &Target, group: u32) {
        match target {
            Target::Single(single) if group == NONE => {
                self.singles.remove(single);
            }
            Target::Single(single) => {
                self.singles.insert(single.clone(), group);
            }
            Target::Range(span) if group == NONE => self.ranges.remove(span),
            Target::Range(span) => match self.ranges.get_mut(span) {
                Some(first) => *first = group,
                None => self.ranges.insert(span.clone(), group),
            },
        }
    }

    fn add_group(&mut self, spec: &Spec) -> u32 {
        let next = self.first(&spec.target);
        // Groups of one target share what names it.
        let target = if next == NONE { &spec.target } else { &self.group(next).spec.target };
        let spec = Spec { target: target.clone(), shape: spec.shape };
        let group = Group { spec: spec.clone(), members: Vec::new(), next, collects: NONE };
        let at = if let Some(at) = self.free.pop() {
            self.groups[long(at)] = Some(group);
            at
        } else {
            self.groups.push(Some(group));
            short(self.groups.len() - 1)
        };
        self.set_first(&spec.target, at);
        at
    }

    fn remove_group(&mut self, at: u32) {
        let group = self.groups[long(at)].take().expect("a group that is removed is there");
        self.free.push(at);
        let first = self.first(&group.spec.target);
        if first == at {
            self.set_first(&group.spec.target, group.next);
            return;
        }
        let mut before = first;
        while self.group(before).next != at {
            before = self.group(before).next;
        }
        self.group_mut(before).next = group.next;
    }

    fn group(&self, at: u32) -> &Group {
        self.groups[long(at)].as_ref().expect("a group that is named is there")
    }

    fn group_mut(&mut self, at: u32) -> &mut Group {
        self.groups[long(at)].as_mut().expect("a group that is named is there")
    }
}

impl Shape {
    fn shows(self, record: &Record<'_>) -> bool {
        let has_part = if record.item.is_some() { self.has_items } else { self.has_keys };
        has_part && if record.is_removal { self.deletes } else { self.puts }
    }
}

fn short(number: usize) -> u32 {
    u32::try_from(number).expect("watches are counted in 32 bits")
}

fn long(number: u32) -> usize {
    usize::try_from(number).expect("this program needs 32-bit addresses")
}
