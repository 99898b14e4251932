//! Processes end and start again.

use raft_core::hard_state::Standing;
use raft_core::replica::event::Event;
use raft_core::wal::OpenError;

use crate::simulator::disk::{Crash, Troubles};
use crate::simulator::node::id_of;
use crate::simulator::plan::Transport;
use crate::simulator::schedule::{LinkFact, What};
use crate::simulator::storage::{StartError, Storage};
use crate::simulator::world::World;

/// How long a node stays down. Units: microseconds.
const DOWN_US: [(u64, u64); 3] = [(500, 5_000), (10_000, 200_000), (200_000, 1_500_000)];

impl World {
    /// Ends a process; it starts again after a while.
    pub(crate) fn crash(&mut self, node: usize, crash: Crash) {
        let under_way = self.nodes[node].crash(crash, &mut self.dice);
        let id = node + 1;
        let in_write = if under_way.is_some() { " in the middle of a write" } else { "" };
        self.say(|| format!("n{id} crashes{in_write}: {crash:?}"));
        self.counts.crashes_in_write += u64::from(under_way.is_some());
        let joins = self.nodes[node].told.is_some() && !self.judge.is_healthy(node);
        self.counts.joins_cut_short += u64::from(joins);
        match crash {
            Crash::Process => self.counts.kills += 1,
            Crash::Torn | Crash::Clean => self.counts.power_losses += 1,
        }
        self.judge.crashed(node, under_way);
        if crash != Crash::Process && self.plan.jumps() {
            self.nodes[node].restart_clock(self.dice.below(1 << 40));
        }
        self.break_links_of(node);
        self.lose_watches_of(node);
        let range = self.dice.pick(&DOWN_US);
        let delay_us = self.dice.between(range);
        self.schedule.after(delay_us, What::Restart { node });
    }

    /// Starts a node that is down.
    pub(crate) fn restart(&mut self, node: usize) {
        let this = &mut self.nodes[node];
        let is_dead = self.healed.as_ref().is_some_and(|healed| !healed.core.contains(&node));
        if this.process.is_some() || this.is_lost || is_dead {
            return;
        }
        let known = this.told.clone().unwrap_or_else(|| self.configuration.clone());
        let directory = (this.incarnation, &known);
        let segment_bytes = self.plan.limits.segment_bytes;
        let troubles = this.disks.troubles();
        let opened = match Storage::open(&this.disks, directory, segment_bytes, &mut self.dice) {
            Ok(opened) => opened,
            Err(StartError::Disk(why)) => {
                self.check_excuse(node, troubles, &why);
                self.say(|| format!("n{} cannot start: {why}", node + 1));
                self.counts.failed_starts += 1;
                let range = self.dice.pick(&DOWN_US);
                let delay_us = self.dice.between(range);
                self.schedule.after(delay_us, What::Restart { node });
                return;
            }
            Err(StartError::Log(OpenError::BothCopiesLost(damage))) => {
                assert!(!self.judge.is_healthy(node), "n{} had no damage: {damage}", node + 1);
                this.is_lost = true;
                self.counts.lost_nodes += 1;
                self.say(|| format!("n{} never starts again: {damage}", node + 1));
                return;
            }
            Err(StartError::Log(error)) => panic!("n{} cannot open its log: {error}", node + 1),
        };
        let (found, snapshot) = (opened.recovered.clone(), opened.snapshot_id());
        self.say(|| format!("n{} starts with {snapshot:?} {found:?}", node + 1));
        self.judge.started(node, &opened);
        let standing = opened.recovered.hard_state.standing;
        self.counts.starts += 1;
        self.counts.snapshots_loaded += u64::from(snapshot.is_some());
        self.counts.snapshots_damaged += opened.snapshots_damaged;
        self.counts.torn += u64::from(0 < opened.recovered.torn_bytes);
        self.counts.quarantines += u64::from(standing == Standing::Quarantined);
        let this = &mut self.nodes[node];
        this.life += 1;
        let life = this.life;
        let care = (self.operator.auto_promote, self.operator.voter_gone_us);
        let settings = (&self.plan.limits, known, care);
        this.start(self.schedule.now(), opened, settings, &mut self.dice);
        let replica = &this.process.as_ref().expect("it has just started").replica;
        self.judge.resumed(replica);
        let delay_us = self.dice.below(self.plan.tick_us);
        self.schedule.after(delay_us, What::Tick { node, life });
        if 0 < self.plan.clients.watchers {
            self.watch_tick(node, life);
        }
        if self.plan.transport == Transport::Datagram {
            self.spread_news_of(node);
        }
    }

    /// A start fails only because of errors of the disks; it needs room only if there is damage,
    /// or if the log goes on in another segment.
    fn check_excuse(&self, node: usize, before: [Troubles; 2], why: &str) {
        let healthy = self.judge.is_healthy(node);
        let after = self.nodes[node].disks.troubles();
        let is_excused = before.iter().zip(&after).any(|(before, after)| {
            let refused = Troubles { refusals: after.refusals, ..*before };
            let needs_segment = why.contains("a segment of the log");
            *after != *before && (!healthy || *after != refused || needs_segment)
        });
        assert!(is_excused, "n{} does not start, although its disks work: {why}", node + 1);
    }

    /// Without links there are still facts about them, late and in any order.
    fn spread_news_of(&mut self, node: usize) {
        for other in (0..self.nodes.len()).filter(|&other| other != node) {
            for (from, to) in [(other, node), (node, other)] {
                let connection = self.network.link((from, to)).connect(0);
                let (peer, life) = (id_of(from), self.nodes[to].life);
                let feature_level = self.nodes[from].feature_level();
                let connected = LinkFact::Connected { peer, connection, feature_level };
                let lost = LinkFact::Lost { peer, connection: connection - 1 };
                for fact in [lost, connected] {
                    let delay_us = self.dice.below(40_000);
                    self.schedule.after(delay_us, What::LinkFact { node: to, life, fact });
                }
            }
        }
    }

    /// A paused process goes on: it finds a full inbox, and that time has passed.
    pub(crate) fn resume(&mut self, node: usize) {
        let is_tick_first = self.dice.chance(500);
        let this = &mut self.nodes[node];
        this.is_paused = false;
        if let Some(process) = &mut this.process {
            let place = if is_tick_first { 0 } else { process.inbox.len() };
            process.inbox.insert(place, Event::Tick);
            process.is_woken = true;
            let life = this.life;
            self.schedule.after(0, What::Wake { node, life });
        }
    }
}
