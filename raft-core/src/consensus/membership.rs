//! The configurations in the log: which one is in force, and which was before.
//!
//! A node uses the newest configuration in its log, committed or not, from the moment it is
//! appended; if the entry is truncated, the one before is in force again (Ongaro 2014 §4.1).

use std::sync::Arc;

use crate::configuration::Configuration;
use crate::entry::Entries;
use crate::teeth::is_removed;
use crate::types::Index;

/// The configurations of one log, from the one it begins with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Membership {
    /// What the log begins with, and from which entry each later one is in force; ascending.
    pub(super) made: Vec<(Index, Arc<Configuration>)>,
    /// Counts what was in force, so that others notice a change.
    pub(super) version: u64,
}

impl Membership {
    /// Whether nobody has said yet what the log begins with.
    pub(crate) fn is_unknown(&self) -> bool {
        self.made.is_empty()
    }

    /// Begins with a configuration that was made at `index`, or before the log at zero.
    pub(crate) fn begin(&mut self, index: Index, configuration: Configuration) {
        self.begin_at(index, index, configuration);
    }

    /// Begins at `base` with a configuration that was made at `made_at`; what was made behind
    /// `base` stays.
    pub(crate) fn begin_at(&mut self, base: Index, made_at: Index, configuration: Configuration) {
        self.made.retain(|(made, _)| base < *made);
        self.made.insert(0, (made_at, Arc::new(configuration)));
        self.version += 1;
    }

    /// Takes in a configuration that recovery found in the log.
    pub(crate) fn found(&mut self, index: Index, configuration: Configuration) {
        if self.made.last().is_none_or(|(made, _)| *made < index) {
            self.made.push((index, Arc::new(configuration)));
            self.version += 1;
        }
    }

    /// The configuration in force.
    pub(crate) fn current(&self) -> &Arc<Configuration> {
        &self.made.last().expect("a log begins with a configuration").1
    }

    /// Rises whenever another configuration comes into force.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The configuration that was in force at `index`, and the entry that made it.
    pub(crate) fn at(&self, index: Index) -> (Index, &Arc<Configuration>) {
        let after = self.made.partition_point(|(made, _)| *made <= index);
        let (made, configuration) = &self.made[after.saturating_sub(1)];
        (*made, configuration)
    }

    /// The configuration that was in force at `index`, and those that were made behind it.
    pub(crate) fn since(&self, index: Index) -> impl Iterator<Item = &Configuration> {
        let after = self.made.partition_point(|(made, _)| *made <= index);
        let made = self.made.iter().skip(after.saturating_sub(1));
        made.map(|(_, configuration)| &**configuration)
    }

    /// The entry that made the configuration in force.
    pub(crate) fn made_at(&self) -> Index {
        self.made.last().expect("a log begins with a configuration").0
    }

    /// Takes in what was appended.
    pub(crate) fn appended(&mut self, entries: &Entries) {
        for entry in entries.configure_entries() {
            let index = entry.id().index;
            if let Some(configuration) = Configuration::made_by(index, entry.payload()) {
                self.made.push((index, Arc::new(configuration)));
                self.version += 1;
            }
        }
    }

    /// Forgets what stood in the entry at `first` and behind it.
    pub(crate) fn truncated_from(&mut self, first: Index) {
        let kept = self.made.partition_point(|(made, _)| *made < first).max(1);
        if kept < self.made.len() && !is_removed("configurations-roll-back") {
            self.made.truncate(kept);
            self.version += 1;
        }
    }

    /// Forgets what is not in force any more at `index` and later.
    pub(crate) fn compacted_to(&mut self, index: Index) {
        let first = self.made.partition_point(|(made, _)| *made <= index).saturating_sub(1);
        self.made.drain(..first);
    }
}
