//! A key with its versions, the newest in place and the older ones behind it.

use std::collections::VecDeque;

use super::heap::Heap;
use super::version::{Held, VersionRef};
use crate::key::Key;

/// Everything that is known of a key. It lies in one line of memory, with as much of its past as
/// most keys have: whoever looks at it waits for memory once.
///
/// Invariant: the revisions of the versions ascend, the newest one last.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(crate) struct Record {
    pub(crate) key: Key,
    pub(super) newest: Held,
    older: Older,
}

const _: () = assert!(size_of::<Option<Record>>() == 64);

/// The versions before the newest one, the oldest first.
#[derive(Clone, Debug)]
enum Older {
    Nothing,
    One(Held),
    /// Two at least.
    #[allow(clippy::box_collection, reason = "a record is one line of memory, and few have many")]
    Many(Box<VecDeque<Held>>),
}

impl Record {
    pub(super) fn new(key: Key, newest: Held) -> Self {
        Self { key, newest, older: Older::Nothing }
    }

    /// The version that was the newest one at `revision`, if there was any.
    pub(super) fn at(&self, revision: u64) -> Option<&Held> {
        if self.newest.mod_revision <= revision {
            return Some(&self.newest);
        }
        let is_there = |version: &Held| version.mod_revision <= revision;
        match &self.older {
            Older::Nothing => None,
            Older::One(version) => Some(version).filter(|version| is_there(version)),
            Older::Many(all) => all.get(all.partition_point(is_there).checked_sub(1)?),
        }
    }

    /// The version that was the newest one before all others that are known.
    pub(super) fn oldest(&self) -> Option<&Held> {
        match &self.older {
            Older::Nothing => None,
            Older::One(version) => Some(version),
            Older::Many(all) => all.front(),
        }
    }

    /// The versions from `revision` on, behind the one that was the newest one before.
    pub(super) fn since(&self, revision: u64) -> impl Iterator<Item = &Held> {
        let is_before = |version: &Held| version.mod_revision < revision;
        let one = match &self.older {
            Older::One(version) if !is_before(version) => Some(version),
            Older::Nothing | Older::One(_) | Older::Many(_) => None,
        };
        let many = match &self.older {
            Older::Many(all) => Some(all.range(all.partition_point(is_before)..)),
            Older::Nothing | Older::One(_) => None,
        };
        let newest = Some(&self.newest).filter(|version| !is_before(version));
        one.into_iter().chain(many.into_iter().flatten()).chain(newest)
    }

    /// How many versions there are from `revision` on.
    pub(super) fn count_since(&self, revision: u64) -> u64 {
        let is_before = |version: &Held| version.mod_revision < revision;
        let older = match &self.older {
            Older::Nothing => 0,
            Older::One(version) => usize::from(!is_before(version)),
            Older::Many(all) => all.len() - all.partition_point(is_before),
        };
        let newest = usize::from(!is_before(&self.newest));
        // What is in memory can be counted.
        u64::try_from(older + newest).unwrap_or(u64::MAX)
    }

    /// Takes the place of the newest version, which is kept behind it.
    pub(super) fn supersede(&mut self, version: Held) {
        assert!(self.newest.mod_revision < version.mod_revision, "revisions ascend");
        let newest = std::mem::replace(&mut self.newest, version);
        self.older = match std::mem::replace(&mut self.older, Older::Nothing) {
            Older::Nothing => Older::One(newest),
            Older::One(version) => Older::Many(Box::new([version, newest].into())),
            Older::Many(mut all) => {
                all.push_back(newest);
                Older::Many(all)
            }
        };
    }

    /// Takes the place of the newest version, of which nothing remains.
    pub(super) fn replace(&mut self, version: Held, heap: &mut Heap) {
        assert_eq!(self.newest.mod_revision, version.mod_revision, "it is the same revision");
        std::mem::replace(&mut self.newest, version).drop_from(heap);
    }

    /// Forgets the newest version, whose place the one before it takes again. Returns what that
    /// one costs; `None` if there is no other, and nothing has changed then.
    pub(super) fn take_back(&mut self, heap: &mut Heap) -> Option<u64> {
        let before = self.take_older(VecDeque::pop_back)?;
        std::mem::replace(&mut self.newest, before).drop_from(heap);
        Some(self.newest.cost_bytes())
    }

    /// Takes one of the older versions, of several that which `pop` does.
    fn take_older(&mut self, pop: impl Fn(&mut VecDeque<Held>) -> Option<Held>) -> Option<Held> {
        match std::mem::replace(&mut self.older, Older::Nothing) {
            Older::Nothing => None,
            Older::One(version) => Some(version),
            Older::Many(mut all) => {
                let taken = pop(&mut all);
                if all.len() == 1 {
                    self.older = all.pop_back().map_or(Older::Nothing, Older::One);
                    return taken;
                }
                if 2 * all.len() + 4 < all.capacity() {
                    all.shrink_to_fit();
                }
                self.older = Older::Many(all);
                taken
            }
        }
    }

    /// Adds a version behind all others. Returns whether it can stand there; if not, nothing has
    /// changed.
    pub(super) fn append(&mut self, heap: &mut Heap, version: VersionRef<'_>) -> bool {
        let ascends = self.newest.mod_revision < version.mod_revision;
        if ascends {
            self.supersede(Held::of(heap, version));
        }
        ascends
    }

    /// Forgets what is older than the version that was the newest one at `revision`, and that
    /// version too if the key did not exist then. Returns whether nothing of the key is left.
    pub(super) fn forget(&mut self, revision: u64, heap: &mut Heap) -> bool {
        while let Some(oldest) = self.oldest() {
            let is_hidden = self.second().mod_revision <= revision;
            if !is_hidden && (revision < oldest.mod_revision || !oldest.is_gone()) {
                break;
            }
            let Some(oldest) = self.take_older(VecDeque::pop_front) else { break };
            oldest.drop_from(heap);
        }
        let is_alone = matches!(self.older, Older::Nothing);
        is_alone && self.newest.is_gone() && self.newest.mod_revision <= revision
    }

    /// The version behind the oldest one, if there is an older one than the newest.
    fn second(&self) -> &Held {
        match &self.older {
            Older::Nothing | Older::One(_) => &self.newest,
            Older::Many(all) => all.get(1).unwrap_or(&self.newest),
        }
    }

    /// Moves what the heap keeps of it out of pages that are half empty.
    pub(super) fn tidy(&mut self, heap: &mut Heap) {
        self.newest.tidy(heap);
        match &mut self.older {
            Older::Nothing => {}
            Older::One(version) => version.tidy(heap),
            Older::Many(all) => all.iter_mut().for_each(|version| version.tidy(heap)),
        }
    }

    /// Gives back what the heap keeps of it.
    pub(super) fn drop_from(self, heap: &mut Heap) {
        let Self { newest, older, .. } = self;
        newest.drop_from(heap);
        match older {
            Older::Nothing => {}
            Older::One(version) => version.drop_from(heap),
            Older::Many(all) => all.into_iter().for_each(|version| version.drop_from(heap)),
        }
    }
}
