//! A key with its versions, the newest in place and the older ones in a queue.

use std::collections::VecDeque;

use super::version::Version;
use crate::key::Key;

/// Everything that is known of a key.
///
/// Invariant: the revisions of the versions ascend, the newest one last.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) key: Key,
    pub(crate) newest: Version,
    older: VecDeque<Version>,
}

impl Record {
    pub(crate) fn new(key: Key, newest: Version) -> Self {
        Self { key, newest, older: VecDeque::new() }
    }

    /// The version that was the newest one at `revision`, if there was any.
    pub(crate) fn at(&self, revision: u64) -> Option<&Version> {
        if self.newest.mod_revision <= revision {
            return Some(&self.newest);
        }
        let count = self.older.partition_point(|version| version.mod_revision <= revision);
        self.older.get(count.checked_sub(1)?)
    }

    /// The versions before the newest one, the oldest first.
    pub(crate) fn older(&self) -> &VecDeque<Version> {
        &self.older
    }

    /// The versions from `revision` on, behind the one that was the newest one before.
    pub(crate) fn since(&self, revision: u64) -> impl Iterator<Item = &Version> {
        let count = self.older.partition_point(|version| version.mod_revision < revision);
        let newest = Some(&self.newest).filter(|version| revision <= version.mod_revision);
        self.older.range(count..).chain(newest)
    }

    /// How many versions there are from `revision` on.
    pub(crate) fn count_since(&self, revision: u64) -> u64 {
        let older = self.older.partition_point(|version| version.mod_revision < revision);
        let newest = usize::from(revision <= self.newest.mod_revision);
        // What is in memory can be counted.
        u64::try_from(self.older.len() - older + newest).unwrap_or(u64::MAX)
    }

    /// Takes the place of the newest version, which is kept behind it.
    pub(crate) fn supersede(&mut self, version: Version) {
        assert!(self.newest.mod_revision < version.mod_revision, "revisions ascend");
        if self.older.len() == self.older.capacity() {
            // Most keys have few versions, and room for four would be waste.
            self.older.reserve_exact(self.older.len().max(1));
        }
        self.older.push_back(std::mem::replace(&mut self.newest, version));
    }

    /// Takes the place of the newest version, of which nothing remains.
    pub(crate) fn replace(&mut self, version: Version) {
        assert_eq!(self.newest.mod_revision, version.mod_revision, "it is the same revision");
        self.newest = version;
    }

    /// Forgets the newest version, whose place the one before it takes again. Returns what that
    /// one costs; `None` if there is no other, and nothing has changed then.
    pub(crate) fn take_back(&mut self) -> Option<u64> {
        self.newest = self.older.pop_back()?;
        Some(self.newest.cost_bytes())
    }

    /// Adds a version behind all others. Returns whether it can stand there.
    pub(crate) fn append(&mut self, version: Version) -> bool {
        let ascends = self.newest.mod_revision < version.mod_revision;
        if ascends {
            self.supersede(version);
        }
        ascends
    }

    /// Forgets what is older than the version that was the newest one at `revision`, and that
    /// version too if the key did not exist then. Returns whether nothing of the key is left.
    pub(crate) fn forget(&mut self, revision: u64) -> bool {
        while let Some(oldest) = self.older.front() {
            let next = self.older.get(1).unwrap_or(&self.newest);
            let is_hidden = next.mod_revision <= revision;
            if !is_hidden && (revision < oldest.mod_revision || !oldest.is_gone()) {
                break;
            }
            self.older.pop_front();
        }
        if self.older.is_empty() {
            self.older = VecDeque::new();
        } else if 2 * self.older.len() + 4 < self.older.capacity() {
            self.older.shrink_to_fit();
        }
        self.older.is_empty() && self.newest.is_gone() && self.newest.mod_revision <= revision
    }
}
