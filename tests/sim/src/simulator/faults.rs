//! What goes wrong.

use raft_core::consensus::ready::RoleName;
use raft_core::replica::event::Event;

use crate::simulator::disk::Crash;
use crate::simulator::plan::{FAULTS, Fault};
use crate::simulator::schedule::What;
use crate::simulator::world::World;

/// How long pauses, partitions and slow disks last. Units: microseconds.
const LAST_US: [(u64, u64); 3] = [(20_000, 100_000), (100_000, 600_000), (500_000, 2_500_000)];

/// How far a clock jumps. Units: microseconds.
const JUMPS_US: [(u64, u64); 3] =
    [(1_000, 200_000), (100_000, 5_000_000), (60_000_000, 40_000_000_000)];

/// How far a calendar is off at most. Units: microseconds.
const CALENDAR_US: u64 = 100_000_000;

/// How long a rough start is rough. Units: microseconds.
const ROUGH_START_US: u64 = 700_000;

/// How soon the next process ends while a start is rough. Units: microseconds.
const ROUGH_STRIKE_US: (u64, u64) = (5_000, 120_000);

impl World {
    /// Something goes wrong.
    pub(crate) fn strike(&mut self) {
        if self.is_healed() {
            return;
        }
        let is_rough = self.plan.starts_roughly && self.schedule.now() < ROUGH_START_US;
        let range = if is_rough { ROUGH_STRIKE_US } else { self.plan.strike_us };
        let delay_us = self.dice.between(range);
        self.schedule.after(delay_us, What::Strike);
        if is_rough {
            self.counts.rough_strikes += u64::from(!self.running().is_empty());
            self.crash_one(&[Crash::Process, Crash::Torn, Crash::Clean]);
            return;
        }
        let total: u64 = self.plan.weights.iter().sum();
        if total == 0 {
            return;
        }
        let mut throw = self.dice.below(total);
        for (place, weight) in self.plan.weights.into_iter().enumerate() {
            if throw < weight {
                let before = self.counts.clone();
                self.go_wrong(FAULTS[place]);
                // What changes no count has not happened.
                self.strikes[place] += u64::from(self.counts != before);
                return;
            }
            throw -= weight;
        }
    }

    fn go_wrong(&mut self, fault: Fault) {
        match fault {
            Fault::Kill => self.crash_one(&[Crash::Process]),
            Fault::PowerLoss if self.dice.chance(500) => {
                if let Some(node) = self.some_running() {
                    self.counts.doomed += 1;
                    self.nodes[node].is_doomed = true;
                }
            }
            Fault::PowerLoss => self.crash_one(&[Crash::Torn, Crash::Clean]),
            Fault::PowerLossOfAll => {
                for node in self.running() {
                    let crash = self.dice.pick(&[Crash::Torn, Crash::Torn, Crash::Clean]);
                    self.crash(node, crash);
                }
            }
            Fault::Pause => self.pause(),
            Fault::Cut => self.cut(true),
            Fault::CutOneWay => self.cut(false),
            Fault::Depose => self.depose(),
            Fault::BreakLink => self.break_some_link(),
            Fault::Wipe => self.wipe(),
            Fault::Damage => self.damage(),
            Fault::SlowDisk => self.slow_disk(),
            Fault::DiskError => self.break_disk(),
            Fault::FullDisk => self.fill_disks(),
            Fault::LoseWrite => self.lose_write(),
            Fault::FlipRead => self.flip_reads(),
            Fault::ClockJump => self.jump_clock(),
            Fault::Bridge => self.bridge(),
            Fault::CutPairs => self.cut_pairs(),
            Fault::HandOver => {
                if let Some(node) = self.some_running() {
                    self.counts.hand_overs += 1;
                    self.say(|| format!("n{} is to hand over", node + 1));
                    self.tell(node, Event::HandOver);
                }
            }
        }
    }

    pub(crate) fn running(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|&node| self.nodes[node].process.is_some()).collect()
    }

    pub(crate) fn leads(&self, node: usize) -> bool {
        let process = self.nodes[node].process.as_ref();
        process.is_some_and(|process| process.replica.raft().role_name() == RoleName::Leader)
    }

    /// A node that runs; often the leader, for there it hurts most.
    pub(crate) fn some_running(&mut self) -> Option<usize> {
        let running = self.running();
        let leader = running.iter().copied().find(|&node| self.leads(node));
        if let Some(leader) = leader.filter(|_| self.dice.chance(400)) {
            return Some(leader);
        }
        (!running.is_empty()).then(|| self.dice.pick(&running))
    }

    pub(crate) fn lasts_us(&mut self) -> u64 {
        let range = self.dice.pick(&LAST_US);
        self.dice.between(range)
    }

    fn crash_one(&mut self, kinds: &[Crash]) {
        if let Some(node) = self.some_running() {
            let crash = self.dice.pick(kinds);
            self.crash(node, crash);
        }
    }

    fn pause(&mut self) {
        let Some(node) = self.some_running() else { return };
        if self.nodes[node].is_paused {
            return;
        }
        self.nodes[node].is_paused = true;
        self.counts.pauses += 1;
        let delay_us = self.lasts_us();
        self.say(|| format!("n{} is paused for {delay_us} us", node + 1));
        self.schedule.after(delay_us, What::Resume { node });
    }

    /// The power fails at a node, if it still is the same process.
    pub(crate) fn power_fails(&mut self, node: usize, life: u64) {
        let is_same = self.nodes[node].in_life(life).is_some();
        if is_same && !self.is_healed() {
            let crash = self.dice.pick(&[Crash::Torn, Crash::Torn, Crash::Clean]);
            self.crash(node, crash);
        }
    }

    /// The clock of a node jumps ahead, or somebody sets its calendar.
    fn jump_clock(&mut self) {
        let node = self.dice.place(self.nodes.len());
        if self.dice.chance(500) {
            let range = self.dice.pick(&JUMPS_US);
            let ahead_us = self.dice.between(range);
            self.nodes[node].jump(ahead_us);
            self.counts.clock_jumps += 1;
            self.say(|| format!("the clock of n{} jumps by {ahead_us} us", node + 1));
        } else {
            let off_us = self.dice.below(2 * CALENDAR_US).cast_signed() - CALENDAR_US.cast_signed();
            self.nodes[node].set_calendar(off_us);
            self.counts.calendar_jumps += 1;
            self.say(|| format!("the calendar of n{} is off by {off_us} us", node + 1));
        }
    }

    /// Whether a majority is left whose word counts if this node's does not.
    pub(crate) fn can_spare(&self, node: usize) -> bool {
        let is_left = |other| other != node && self.judge.is_healthy(other);
        0 < self.judge.committed_count() && self.are_all_carried(is_left)
    }

    /// Whether another node has lost its directory and was not taken in again. That so many
    /// others are empty proves something only while no more than one of them was not so before.
    fn is_one_wiped_beside(&self, node: usize) -> bool {
        let mut others = (0..self.nodes.len()).filter(|&other| other != node);
        others.any(|other| self.nodes[other].was_wiped && !self.judge.is_healthy(other))
    }

    /// A machine comes back with an empty directory.
    fn wipe(&mut self) {
        let node = self.dice.place(self.nodes.len());
        if !self.can_spare(node) || self.nodes[node].is_lost || self.is_one_wiped_beside(node) {
            return;
        }
        if self.nodes[node].process.is_some() {
            self.crash(node, Crash::Process);
        }
        self.nodes[node].wipe(&mut self.dice);
        self.judge.wiped(node);
        self.counts.wipes += 1;
        self.say(|| format!("n{} loses its directory", node + 1));
    }
}
