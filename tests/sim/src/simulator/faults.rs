//! What goes wrong.

use std::collections::BTreeSet;

use raft_core::consensus::ready::RoleName;
use raft_core::replica::event::Event;

use crate::simulator::disk::Crash;
use crate::simulator::network::LinkId;
use crate::simulator::node::id_of;
use crate::simulator::plan::{FAULTS, Fault, Transport};
use crate::simulator::schedule::{LinkFact, What};
use crate::simulator::world::World;

/// How long pauses, partitions and slow disks last. Units: microseconds.
const LAST_US: [(u64, u64); 3] = [(20_000, 100_000), (100_000, 600_000), (500_000, 2_500_000)];

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
            self.crash_one(&[Crash::Process, Crash::Torn, Crash::Clean]);
            return;
        }
        let total: u64 = self.plan.weights.iter().sum();
        if total == 0 {
            return;
        }
        let mut throw = self.dice.below(total);
        for (fault, weight) in FAULTS.into_iter().zip(self.plan.weights) {
            if throw < weight {
                self.go_wrong(fault);
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
            Fault::HandOver => {
                if let Some(node) = self.some_running() {
                    self.counts.hand_overs += 1;
                    self.say(|| format!("n{} is to hand over", node + 1));
                    self.tell(node, Event::HandOver);
                }
            }
        }
    }

    fn running(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|&node| self.nodes[node].process.is_some()).collect()
    }

    fn leads(&self, node: usize) -> bool {
        let process = self.nodes[node].process.as_ref();
        process.is_some_and(|process| process.replica.raft().role_name() == RoleName::Leader)
    }

    /// A node that runs; often the leader, for there it hurts most.
    fn some_running(&mut self) -> Option<usize> {
        let running = self.running();
        let leader = running.iter().copied().find(|&node| self.leads(node));
        if let Some(leader) = leader.filter(|_| self.dice.chance(400)) {
            return Some(leader);
        }
        (!running.is_empty()).then(|| self.dice.pick(&running))
    }

    fn lasts_us(&mut self) -> u64 {
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

    /// Cuts some nodes off.
    fn cut(&mut self, is_both_ways: bool) {
        let side: BTreeSet<usize> = if self.dice.chance(400) {
            self.some_running().into_iter().collect()
        } else {
            (0..self.nodes.len()).filter(|_| self.dice.chance(400)).collect()
        };
        let delay_us = self.lasts_us();
        self.part(&side, is_both_ways, delay_us);
    }

    /// Cuts the leader off, with what clients go on asking of it; it may never come back.
    fn depose(&mut self) {
        let Some(leader) = self.running().into_iter().find(|&node| self.leads(node)) else {
            return;
        };
        let timeout_us = self.plan.limits.election_timeout_us;
        let delay_us = self.dice.between((timeout_us, 8 * timeout_us));
        self.part(&BTreeSet::from([leader]), true, delay_us);
        if self.dice.chance(300) {
            self.nodes[leader].is_doomed = true;
        }
    }

    /// Begins a partition. Links may break at once, or stay open and be silent.
    fn part(&mut self, side: &BTreeSet<usize>, is_both_ways: bool, delay_us: u64) {
        let is_cut = |&(from, to): &LinkId| {
            let leaves = side.contains(&from) && !side.contains(&to);
            let enters = !side.contains(&from) && side.contains(&to);
            leaves || (enters && is_both_ways)
        };
        let links: BTreeSet<LinkId> = self.network.ids().into_iter().filter(is_cut).collect();
        if links.is_empty() {
            return;
        }
        self.counts.partitions += 1;
        self.counts.one_way_partitions += u64::from(!is_both_ways);
        self.say(|| format!("cut for {delay_us} us: {links:?}"));
        if self.dice.chance(400) {
            for &id in &links {
                let rest_us = self.dice.between(self.plan.latency_us);
                self.break_link(id, rest_us);
            }
        }
        let partition = self.network.block(links);
        self.schedule.after(delay_us, What::Unblock { partition });
    }

    fn break_some_link(&mut self) {
        let ids = self.network.ids();
        if ids.is_empty() {
            return;
        }
        let id = self.dice.pick(&ids);
        if self.plan.transport == Transport::Ordered {
            let rest_us = self.dice.between(self.plan.latency_us);
            self.say(|| format!("the link {id:?} breaks"));
            self.break_link(id, rest_us);
            return;
        }
        // There is no link, but somebody believes so.
        let (from, to) = id;
        let link = self.network.link(id);
        let old = link.connection;
        let new = link.connect(0);
        let (peer, life) = (id_of(from), self.nodes[to].life);
        let (lost_us, connected_us) = (self.dice.below(20_000), self.dice.below(80_000));
        let lost = LinkFact::Lost { peer, connection: old };
        let connected = LinkFact::Connected { peer, connection: new };
        self.counts.links_broken += 1;
        self.schedule.after(lost_us, What::LinkFact { node: to, life, fact: lost });
        self.schedule.after(connected_us, What::LinkFact { node: to, life, fact: connected });
    }

    /// Whether a majority is left whose word counts if this node's does not.
    fn can_spare(&self, node: usize) -> bool {
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

    /// A machine comes back with a log that has rotted.
    fn damage(&mut self) {
        let Some(node) = self.some_running() else { return };
        if !self.can_spare(node) {
            return;
        }
        let process = self.nodes[node].process.as_mut().expect("it runs");
        process.jobs.clear();
        process.mark();
        self.crash(node, Crash::Process);
        let disks = self.nodes[node].disks.as_mut().expect("it is down");
        let what = match self.dice.below(100) {
            0..15 => disks.log.rot_both_copies(&mut self.dice),
            15..50 => disks.snapshots.rot_snapshot(&mut self.dice),
            _ => None,
        };
        let what = what.unwrap_or_else(|| disks.log.rot(&mut self.dice));
        self.judge.damaged(node);
        self.counts.damages += 1;
        self.say(|| format!("n{} finds later that these rotted: {what}", node + 1));
    }

    fn slow_disk(&mut self) {
        let node = self.dice.place(self.nodes.len());
        self.nodes[node].is_disk_slow = true;
        self.counts.slow_disks += 1;
        let delay_us = self.lasts_us();
        self.say(|| format!("the disk of n{} is slow for {delay_us} us", node + 1));
        self.schedule.after(delay_us, What::DiskRecovers { node });
    }
}
