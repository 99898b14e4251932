//! The feature level: what every member of the cluster can apply.
//!
//! Each entry carries the level under which its leader wrote it, and commands of a later one
//! have no effect in it, so versions that know different commands never differ in what they
//! make of the same log. A leader raises the level when it is connected to every member, learners
//! included, and each of them knows the next one; nobody lowers it.

use crate::consensus::raft::Raft;
use crate::consensus::state::State;
use crate::entry::Entries;
use crate::snapshot::SnapshotId;
use crate::types::NodeId;

impl State {
    /// Notes what a peer says that it can apply.
    pub(crate) fn note_level(&mut self, peer: NodeId, feature_level: u16) {
        self.levels.insert(peer, feature_level);
    }

    /// Forgets the link of a peer with what was said over it: another version may be started
    /// there.
    pub(crate) fn unlink(&mut self, peer: NodeId) {
        self.links.remove(&peer);
        self.levels.remove(&peer);
    }

    /// The level of what this node, as the leader, writes.
    pub(crate) fn agreed_level(&self) -> u16 {
        let peers = self.peers();
        let known = peers.into_iter().map(|peer| self.levels.get(&peer).copied().unwrap_or(0));
        let common = known.fold(self.config.feature_level_max, u16::min);
        self.log.feature_level().max(common)
    }

    /// Panics: if one of the entries, which are committed, was written under a level that this
    /// version does not know. That is a Fault: what this version would make of it is not what
    /// the others do.
    pub(crate) fn check_levels(&self, committed: &[Entries]) {
        let known = self.config.feature_level_max;
        if self.log.feature_level() <= known {
            return;
        }
        let later = committed.iter().flat_map(Entries::iter).find(|e| known < e.feature_level());
        if let Some(entry) = later {
            panic!(
                "entry {} was written under feature level {}, and this version knows up to \
                 {known}; start the version that the other nodes run",
                entry.id(),
                entry.feature_level()
            );
        }
    }
}

impl Raft {
    /// Panics: if a snapshot from the leader, which covers entries of this level, has what this
    /// version does not know; a Fault as of such an entry, before anything of it is in use.
    pub(crate) fn check_snapshot_level(&self, id: SnapshotId, feature_level: u16) {
        let known = self.config().feature_level_max;
        assert!(
            feature_level <= known,
            "the snapshot up to entry {} was written under feature level {feature_level}, and \
             this version knows up to {known}; start the version that the other nodes run",
            id.last
        );
    }
}
