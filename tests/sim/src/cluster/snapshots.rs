//! Snapshot files of the nodes that are moved by hand: real files on a disk in memory, whose
//! orders are executed at once.

use raft_core::configuration::Configuration;
use raft_core::consensus::RaftConfig;
use raft_core::replica::Replica;
use raft_core::replica::event::Event;
use raft_core::replica::snapshot_files::SnapshotFiles;
use raft_core::replica::snapshots::{Loaded, Loader, SnapshotOrder};
use raft_core::snapshot::SnapshotId;
use raft_core::types::{NodeId, Time};
use raft_core::wal::memory_disk::MemoryDisk;
use raft_core::wal::snapshots::Snapshots;

use super::Cluster;
use super::disk::Disk;
use crate::machine::Registers;

/// The snapshot files of one node.
#[derive(Debug)]
pub(super) struct Files(Option<SnapshotFiles<MemoryDisk>>);

impl Default for Files {
    fn default() -> Self {
        Self::open(MemoryDisk::default())
    }
}

impl Files {
    fn open(disk: MemoryDisk) -> Self {
        let (files, _) = Snapshots::open(disk).expect("the disk works");
        Self(Some(SnapshotFiles::new(files)))
    }

    fn files(&mut self) -> &mut SnapshotFiles<MemoryDisk> {
        self.0.as_mut().expect("the files are there between calls")
    }

    /// The power goes, and comes back: what was not synced is gone.
    pub(super) fn lose_power(&mut self) {
        let mut disk = self.0.take().expect("the files are there between calls").into_disk();
        disk.crash(|_, _| false);
        *self = Self::open(disk);
    }

    /// The newest snapshot that can be loaded.
    fn load(&mut self) -> Option<(SnapshotId, Loaded<Registers>)> {
        let disk = self.0.take().expect("the files are there between calls").into_disk();
        let (mut files, found) = Snapshots::open(disk).expect("the disk works");
        let loaded = found.newest.map(|id| {
            let mut loader = Loader::new(Registers::default());
            let mut parts = files.open_parts(id).expect("a snapshot that was found is there");
            while let Some(part) = files.next_part(&mut parts).expect("nothing rots here") {
                loader.load(&part).expect("it was written by a replica");
            }
            (id, loader.finish().expect("it is whole"))
        });
        self.0 = Some(SnapshotFiles::new(files));
        loaded
    }
}

/// A replica as a start finds it on its disks.
pub(super) fn recover(
    config: RaftConfig,
    founding: &Configuration,
    (disk, files): (&Disk, &mut Files),
    now: Time,
) -> Replica<Registers> {
    let loaded = files.load();
    let (hard_state, log) = disk.restore(founding, loaded.as_ref().map(|(id, l)| (*id, &l.state)));
    match loaded {
        Some(loaded) => Replica::resume(config, hard_state, log, loaded, now),
        None => Replica::new(config, hard_state, log, Registers::default(), now),
    }
}

impl Cluster {
    /// Makes a node take a snapshot of what it has applied.
    ///
    /// Panics: if it does not run.
    pub fn snapshot(&mut self, id: NodeId) {
        let member = self.members.get_mut(&id).expect("a member");
        member.replica.as_mut().expect("it runs").begin_snapshot();
        self.turn(id);
    }

    /// Executes what a node orders about its snapshot files; returns whether it has to hear
    /// of anything.
    pub(super) fn execute_snapshot_orders(
        &mut self,
        id: NodeId,
        orders: Vec<SnapshotOrder>,
    ) -> bool {
        let now = self.time_of(id);
        let member = self.members.get_mut(&id).expect("a member");
        let mut has_news = false;
        for order in orders {
            let Some(fact) = member.files.files().execute(order) else { continue };
            member.replica.as_mut().expect("it runs").handle(now, Event::Snapshot(fact));
            has_news = true;
        }
        has_news
    }
}
