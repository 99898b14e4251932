//! The snapshot files of a node, on a disk of their own.

use raft_core::replica::snapshot_files::{Found, SnapshotFiles};
use raft_core::replica::snapshots::{Loaded, SnapshotFact, SnapshotOrder};
use raft_core::snapshot::SnapshotId;
use raft_core::wal::snapshots::{SnapshotError, Snapshots};

use crate::simulator::dice::Dice;
use crate::simulator::disk::{Crash, SimDisk};
use crate::simulator::witness::Witness;

/// A snapshot with what was loaded from it.
pub(crate) type LoadedSnapshot = (SnapshotId, Loaded<Witness>);

/// The snapshot files of a running node.
#[derive(Debug)]
pub(crate) struct Files {
    files: SnapshotFiles<SimDisk>,
    disk: SimDisk,
}

impl Files {
    /// Opens the files on `disk`, perhaps only at the second attempt because the power fails in
    /// the first. Returns the newest snapshot that can be loaded, and how many could not.
    ///
    /// Errors: as `SnapshotFiles::open`.
    pub(crate) fn open(
        disk: &SimDisk,
        dice: &mut Dice,
    ) -> Result<(Self, Option<LoadedSnapshot>, u64), SnapshotError> {
        if dice.chance(100) {
            disk.pull_plug_after(dice.below(6));
            // Whatever it answers, this attempt ends with the power.
            drop(Snapshots::open(disk.clone()));
            let crash = dice.pick(&[Crash::Torn, Crash::Clean]);
            disk.crash(dice, crash);
        }
        let opened = SnapshotFiles::open(disk.clone(), &Witness::default())?;
        let (files, Found { newest, set_aside }) = opened;
        Ok((Self { files, disk: disk.clone() }, newest, set_aside.len() as u64))
    }

    /// Does what the replica orders.
    pub(crate) fn execute(&mut self, order: SnapshotOrder) -> Option<SnapshotFact> {
        self.files.execute(order)
    }

    /// Ends the process, perhaps in the middle of an order.
    pub(crate) fn crash(mut self, under_way: Option<SnapshotOrder>, crash: Crash, dice: &mut Dice) {
        if let Some(order) = under_way.filter(|_| dice.chance(800)) {
            let bound = dice.pick(&[3, 8]);
            self.disk.pull_plug_after(dice.below(bound));
            // Whether it came to an end is what the next start will find out.
            let _ = self.files.execute(order);
        }
        self.disk.crash(dice, crash);
    }
}
