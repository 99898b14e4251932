//! What goes wrong with disks while their machines run.

use crate::simulator::disk::{Crash, Operation};
use crate::simulator::rot::Lost;
use crate::simulator::schedule::What;
use crate::simulator::world::World;

/// For how much there is room on a disk that is said to be full. Units: bytes.
const ROOM_BYTES: [u64; 3] = [0, 5_000, 40_000];

/// How many reads in a row give back a wrong bit.
const FLIPS: [u64; 3] = [1, 1, 5];

impl World {
    /// Bytes of a disk rot. A node finds it when it starts again, at once or later, or when it
    /// reads them.
    pub(crate) fn damage(&mut self) {
        let Some(node) = self.some_running() else { return };
        // A second place that rots could be the one that proves the first.
        if !self.can_spare(node) || !self.judge.is_healthy(node) {
            return;
        }
        // So could a copy of a promise that is lost, until a start makes it again: marks that
        // prove what was synced stand there too.
        if self.nodes[node].lacks_a_copy {
            return;
        }
        let is_live = self.dice.chance(400);
        let process = self.nodes[node].process.as_mut().expect("it runs");
        if !is_live {
            process.jobs.clear();
        }
        if process.mark().is_err() {
            return;
        }
        if !is_live {
            self.crash(node, Crash::Process);
        }
        let disks = &self.nodes[node].disks;
        let what = match self.dice.below(100) {
            0..15 => disks.log.rot_both_copies(&mut self.dice),
            15..50 => disks.snapshots.rot_snapshot(&mut self.dice),
            _ => None,
        };
        let what = what.unwrap_or_else(|| disks.log.rot(&mut self.dice));
        self.judge.damaged(node);
        self.counts.damages += 1;
        self.counts.damages_live += u64::from(is_live);
        self.say(|| format!("n{} finds later that these rotted: {what}", node + 1));
    }

    /// What a disk said to have synced turns out to be lost, or to be somewhere else.
    pub(crate) fn lose_write(&mut self) {
        let Some(node) = self.some_running() else { return };
        if !self.can_spare(node) || !self.judge.is_healthy(node) {
            return;
        }
        if self.dice.chance(250) && self.lose_promise(node) {
            return;
        }
        let is_log = self.dice.chance(700);
        let lost = match self.dice.below(10) {
            0..5 => Lost::Entirely,
            5..8 => Lost::InTheFile,
            _ if is_log => Lost::OverTheSlots,
            _ => Lost::InTheFile,
        };
        let disks = &self.nodes[node].disks;
        let disk = if is_log { &disks.log } else { &disks.snapshots };
        let Some(what) = disk.lose_write(lost, &mut self.dice) else {
            self.lose_promise(node);
            return;
        };
        self.judge.damaged(node);
        self.counts.writes_lost += u64::from(lost == Lost::Entirely);
        self.counts.writes_misdirected += u64::from(lost != Lost::Entirely);
        self.say(|| format!("n{} finds later that a write is lost: {what}", node + 1));
    }

    /// The same for one of the two copies of a promise; returns whether there was one. Nothing is
    /// forgotten because of it, so the judge excuses nothing.
    fn lose_promise(&mut self, node: usize) -> bool {
        let lost = if self.dice.chance(500) { Lost::Entirely } else { Lost::InTheFile };
        let disk = &self.nodes[node].disks.log;
        let Some(what) = disk.lose_promise(lost, &mut self.dice) else { return false };
        self.nodes[node].lacks_a_copy = true;
        self.counts.promises_lost += 1;
        self.say(|| format!("n{} has one copy of a promise less: {what}", node + 1));
        true
    }

    /// The next reads of a disk give back wrong bits.
    pub(crate) fn flip_reads(&mut self) {
        let Some(node) = self.some_running() else { return };
        let (reads, is_log) = (self.dice.pick(&FLIPS), self.dice.chance(500));
        let disks = &self.nodes[node].disks;
        let disk = if is_log { &disks.log } else { &disks.snapshots };
        disk.flip(reads, &mut self.dice);
        self.counts.disks_harmed += 1;
        self.say(|| format!("n{} reads wrong bits {reads} times, log: {is_log}", node + 1));
    }

    /// A disk answers with errors, once or for a while.
    pub(crate) fn break_disk(&mut self) {
        let node = self.dice.place(self.nodes.len());
        let what = self.dice.pick(&[Operation::Read, Operation::Write, Operation::Sync]);
        let times = self.dice.pick(&[1, 1, 2, u64::MAX]);
        let is_log = self.dice.chance(600);
        let disks = &self.nodes[node].disks;
        let disk = if is_log { &disks.log } else { &disks.snapshots };
        disk.fail(what, times, &mut self.dice);
        self.counts.disks_harmed += 1;
        let delay_us = self.lasts_us();
        self.say(|| format!("the disk of n{} fails to {what:?}, log: {is_log}", node + 1));
        self.schedule.after(delay_us, What::DiskWorks { node });
    }

    /// Other programs fill the disks of one node, of most, or of all.
    pub(crate) fn fill_disks(&mut self) {
        let per_mille = self.dice.pick(&[0, 0, 600, 1000]);
        let one = self.dice.place(self.nodes.len());
        let delay_us = self.lasts_us();
        for node in 0..self.nodes.len() {
            if node != one && !self.dice.chance(per_mille) {
                continue;
            }
            let room_bytes = self.dice.pick(&ROOM_BYTES);
            self.counts.disks_harmed += 1;
            self.nodes[node].disks.log.fill(room_bytes);
            self.nodes[node].disks.snapshots.fill(room_bytes);
            self.say(|| format!("n{} has room for {room_bytes} bytes", node + 1));
            let delay_us = delay_us + self.dice.below(100_000);
            self.schedule.after(delay_us, What::DiskWorks { node });
        }
    }

    pub(crate) fn slow_disk(&mut self) {
        let node = self.dice.place(self.nodes.len());
        self.nodes[node].is_disk_slow = true;
        self.counts.slow_disks += 1;
        let delay_us = self.lasts_us();
        self.say(|| format!("the disk of n{} is slow for {delay_us} us", node + 1));
        self.schedule.after(delay_us, What::DiskRecovers { node });
    }
}
