//! The snapshot files of a node, on a disk of their own.

use raft_core::replica::snapshot_files::SnapshotFiles;
use raft_core::replica::snapshots::{Loaded, Loader, SnapshotFact, SnapshotOrder};
use raft_core::snapshot::SnapshotId;
use raft_core::wal::snapshots::Snapshots;

use crate::simulator::dice::Dice;
use crate::simulator::disk::{Crash, Plug, SimDisk};
use crate::simulator::witness::Witness;

/// A snapshot with what was loaded from it.
pub(crate) type LoadedSnapshot = (SnapshotId, Loaded<Witness>);

/// The snapshot files of a running node.
#[derive(Debug)]
pub(crate) struct Files {
    files: SnapshotFiles<SimDisk>,
    plug: Plug,
}

impl Files {
    /// Opens the files on `disk`, perhaps only at the second attempt because the power fails in
    /// the first. Returns the newest snapshot that can be loaded, and how many could not.
    pub(crate) fn open(mut disk: SimDisk, dice: &mut Dice) -> (Self, Option<LoadedSnapshot>, u64) {
        if dice.chance(100) {
            disk.plug().pull_after(dice.below(6));
            // Whatever it answers, this attempt ends with the power.
            drop(Snapshots::open(&mut disk));
            let crash = dice.pick(&[Crash::Torn, Crash::Clean]);
            disk.crash(dice, crash);
        }
        let plug = disk.plug();
        let (mut files, found) = Snapshots::open(disk).expect("the disk works");
        let mut damaged = found.damaged.len() as u64;
        let mut newest = None;
        while let Some(id) = files.newest() {
            newest = load(&mut files, id).map(|loaded| (id, loaded));
            if newest.is_some() {
                break;
            }
            damaged += 1;
            files.set_aside(id).expect("the disk works");
        }
        (Self { files: SnapshotFiles::new(files), plug }, newest, damaged)
    }

    /// Does what the replica orders.
    pub(crate) fn execute(&mut self, order: SnapshotOrder) -> Option<SnapshotFact> {
        self.files.execute(order)
    }

    /// Ends the process, perhaps in the middle of an order.
    pub(crate) fn crash(
        mut self,
        under_way: Option<SnapshotOrder>,
        crash: Crash,
        dice: &mut Dice,
    ) -> SimDisk {
        if let Some(order) = under_way.filter(|_| dice.chance(800)) {
            let bound = dice.pick(&[3, 8]);
            self.plug.pull_after(dice.below(bound));
            // Whether it came to an end is what the next start will find out.
            let _ = self.files.execute(order);
        }
        let mut disk = self.files.into_disk();
        disk.crash(dice, crash);
        disk
    }
}

fn load(files: &mut Snapshots<SimDisk>, id: SnapshotId) -> Option<Loaded<Witness>> {
    let mut loader = Loader::new(Witness::default());
    let mut parts = files.open_parts(id).ok()?;
    while let Some(part) = files.next_part(&mut parts).ok()? {
        loader.load(&part).ok()?;
    }
    loader.finish().ok()
}
