//! The second phase (L1): faults end, and within a bound everything must be well.
//!
//! First they end for a random quorum only; the other nodes are dead or cut off. The quorum must
//! serve a write and a read and reach equal states. Then they end for the others too, or never,
//! and everybody must be answered.

use std::collections::{BTreeMap, BTreeSet};

use raft_core::consensus::ready::RoleName;
use raft_core::hard_state::Standing;
use raft_core::types::Index;

use crate::simulator::disk::Crash;
use crate::simulator::evidence::EVENTS_MIN;
use crate::simulator::network::LinkId;
use crate::simulator::schedule::What;
use crate::simulator::world::{Healed, JUDGE_INTERVAL_US, Stage, World};

/// Operations that each client begins when all else is done, so that the cluster shows that it
/// still takes them.
const LAST_WISHES: u64 = 3;

/// How long a replica waits after a snapshot could not be written, and a bit. Units:
/// microseconds.
const AFTER_FAILURE_US: u64 = 11_000_000;

/// Within how many election timeouts a quorum must be well.
const QUORUM_TIMEOUTS: u64 = 20;

/// How soon nodes that were down run, and links open. Units: microseconds.
const START_US: u64 = 50_000;

/// How much longer the faults go on when too little has happened. Units: microseconds.
const MORE_FAULTS_US: u64 = 500_000;

impl World {
    /// Ends all faults, if the run has had enough of them.
    pub(crate) fn maybe_heal(&mut self) {
        if self.counts.events < EVENTS_MIN {
            self.schedule.after(MORE_FAULTS_US, What::Heal);
            return;
        }
        self.heal();
    }

    /// Ends all faults for a quorum, if there is one whose word counts, and else for everybody.
    fn heal(&mut self) {
        let quorum = self.choose_quorum();
        let stage = if quorum.is_some() { Stage::Quorum } else { Stage::Rest };
        let core = quorum.unwrap_or_else(|| self.startable());
        let (now, plan) = (self.schedule.now(), &self.plan);
        let patience_us = match stage {
            Stage::Quorum => {
                let timeout_us = plan.limits.election_timeout_us;
                let added_us = self.backlog_us() + self.after_failure_us();
                QUORUM_TIMEOUTS * timeout_us + added_us + self.transfer_us(&core)
            }
            Stage::Rest | Stage::Closing | Stage::Over => self.rest_patience_us(),
        };
        let deadline = now + patience_us;
        self.healed = Some(Healed {
            at: now,
            stage,
            core: core.clone(),
            deadline,
            served_at: None,
            quorum_us: None,
        });
        self.say(|| format!("faults end; the core is {core:?}"));
        self.unblock(None);
        self.leave_out(&core);
        self.make_well(&core);
        for client in &mut self.clients.all {
            client.is_closing = true;
        }
        self.schedule.after(JUDGE_INTERVAL_US, What::Judge);
    }

    /// How long recovery may take; a snapshot that could not be written is tried again late.
    fn rest_patience_us(&self) -> u64 {
        self.plan.recovery_us() + self.backlog_us() + self.after_failure_us()
    }

    /// Whoever could not write a snapshot tries again after a fixed time, and a follower may wait
    /// for that very snapshot.
    fn after_failure_us(&self) -> u64 {
        if 0 < self.counts.snapshots_failed { AFTER_FAILURE_US } else { 0 }
    }

    /// Nodes outside the core are dead or cut off.
    fn leave_out(&mut self, core: &[usize]) {
        let mut cut_off = BTreeSet::new();
        for node in (0..self.nodes.len()).filter(|node| !core.contains(node)) {
            if self.nodes[node].process.is_some() && self.dice.chance(500) {
                cut_off.insert(node);
            } else if self.nodes[node].process.is_some() {
                self.crash(node, Crash::Clean);
            }
        }
        self.say(|| format!("cut off are {cut_off:?}"));
        let leads_out = |(from, to): &LinkId| cut_off.contains(from) != cut_off.contains(to);
        let links = self.network.ids().into_iter().filter(leads_out).collect();
        self.network.block(links);
    }

    /// Nodes run, their disks are fast, and the links between them open.
    fn make_well(&mut self, core: &[usize]) {
        for &node in core {
            self.nodes[node].is_disk_slow = false;
            self.nodes[node].disks.recover();
            if self.nodes[node].is_paused {
                self.resume(node);
            }
            let delay_us = self.dice.below(START_US);
            self.schedule.after(delay_us, What::Restart { node });
        }
        for id in self.network.ids() {
            self.schedule.after(START_US, What::Connect(id));
        }
    }

    /// The quorum has shown that it is one: faults end for the others too, or never.
    fn go_on(&mut self) {
        let healed = self.healed.clone().expect("the faults have ended");
        let quorum_us = self.schedule.now() - healed.at;
        self.counts.quorums += 1;
        self.say(|| format!("the quorum is well after {quorum_us} us"));
        let core = if self.plan.heals_majority_only { healed.core } else { self.startable() };
        self.heal_rest(core, Some(quorum_us));
    }

    fn heal_rest(&mut self, core: Vec<usize>, quorum_us: Option<u64>) {
        self.say(|| format!("faults end for {core:?}"));
        if core.len() == self.startable().len() {
            self.unblock(None);
        }
        self.make_well(&core);
        let (stage, at) = (Stage::Rest, self.schedule.now());
        let deadline = at + self.rest_patience_us();
        self.healed = Some(Healed { at, stage, core, deadline, served_at: None, quorum_us });
    }

    /// How long a leader may need for what is in its log and not committed, if a round trip
    /// carries no more than one entry.
    fn backlog_us(&self) -> u64 {
        let lasts = self.nodes.iter().filter_map(|node| node.process.as_ref());
        let lasts = lasts.map(|process| process.replica.raft().log().last().index.0);
        let backlog = lasts.max().unwrap_or(0).saturating_sub(self.judge.committed_count() as u64);
        backlog * (3 * self.plan.latency_us.1 + 1_000)
    }

    /// How long the snapshot takes that somebody of the core may need, if a round trip carries
    /// one piece of it.
    fn transfer_us(&self, core: &[usize]) -> u64 {
        let replica = |&node: &usize| Some(&self.nodes[node].process.as_ref()?.replica);
        let logs = core.iter().map(|node| Some(replica(node)?.raft().log()));
        let last = logs.map(|log| log.map_or(Index::ZERO, |log| log.last().index)).min();
        let senders = core.iter().filter_map(replica).map(|replica| replica.raft());
        let senders = senders.filter(|raft| last < Some(raft.log().base().index));
        let bytes = senders.filter_map(|raft| raft.snapshot()).map(|id| id.bytes).max();
        let pieces = bytes.unwrap_or(0) / self.plan.limits.snapshot_piece_bytes as u64;
        pieces * (3 * self.plan.latency_us.1 + 1_000)
    }

    fn startable(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|&node| !self.nodes[node].is_lost).collect()
    }

    /// Some nodes that are a majority by every configuration that is or may come into force, and
    /// whose word counts; `None` if there are none such, as before a cluster is founded.
    fn choose_quorum(&mut self) -> Option<Vec<usize>> {
        let mut chosen: Vec<usize> =
            (0..self.nodes.len()).filter(|&node| self.judge.is_healthy(node)).collect();
        if self.judge.committed_count() == 0 || !self.are_all_carried(|at| chosen.contains(&at)) {
            return None;
        }
        let mut candidates = chosen.clone();
        while !candidates.is_empty() && self.dice.chance(850) {
            let spared = candidates.swap_remove(self.dice.place(candidates.len()));
            if self.are_all_carried(|at| at != spared && chosen.contains(&at)) {
                chosen.retain(|&node| node != spared);
            }
        }
        Some(chosen)
    }

    /// Looks whether all is well, and what is to be seen next.
    pub(crate) fn look(&mut self) {
        let healed = self.healed.clone().expect("the faults have ended");
        if healed.stage == Stage::Quorum {
            self.probe();
            self.note_service();
        }
        let healed = self.healed.clone().unwrap_or(healed);
        match (self.complaint(&healed), healed.stage) {
            (None, Stage::Quorum) => self.go_on(),
            (None, Stage::Rest) => {
                for client in 0..self.plan.clients.clients {
                    self.clients.all[client].last_wishes = LAST_WISHES;
                    self.schedule.after(0, What::ClientStep { client });
                }
                self.healed = Some(Healed { stage: Stage::Closing, ..healed });
            }
            (None, Stage::Closing | Stage::Over) => {
                self.check_contents(&healed.core);
                self.healed = Some(Healed { stage: Stage::Over, ..healed });
                return;
            }
            (Some(complaint), stage) => {
                let (waited_us, now) = (self.schedule.now() - healed.at, self.schedule.now());
                let is_in_time = now < healed.deadline;
                if !is_in_time && stage == Stage::Quorum && self.is_stalemate(&healed.core) {
                    // It was none, whatever its directories say.
                    self.heal_rest(self.startable(), None);
                } else if !is_in_time && self.is_stalemate(&healed.core) {
                    self.say(|| format!("nobody can be elected: {complaint}"));
                    self.healed = Some(Healed { stage: Stage::Over, ..healed });
                    return;
                } else {
                    assert!(is_in_time, "L1 {stage:?} after {waited_us} us {complaint}");
                }
            }
        }
        self.schedule.after(JUDGE_INTERVAL_US, What::Judge);
    }

    /// The simulator itself asks the quorum for a write, and then for a read. Its patience is one
    /// election timeout.
    fn probe(&mut self) {
        let prober = self.prober();
        if self.clients.all[prober].id.is_none() {
            let core = &self.healed.as_ref().expect("the faults have ended").core;
            // One that is left behind hands out ids that are old already.
            let log_time =
                |at: usize| Some(self.nodes[at].process.as_ref()?.replica.raft().log_time());
            let timed = core.iter().filter_map(|&at| Some((log_time(at)?, at)));
            let newest = timed.max_by_key(|(time, at)| (*time, std::cmp::Reverse(*at)));
            let process = newest.and_then(|(_, node)| self.nodes[node].process.as_mut());
            self.clients.all[prober].id = process.map(|process| process.replica.new_client());
        }
        let client = &self.clients.all[prober];
        if client.id.is_none() || 0 < client.in_flight || client.last_wishes == 0 {
            return;
        }
        let is_read = client.last_wishes == 1;
        let floor = self.judge.history.floor();
        let operation = self.clients.begin_probe(prober, is_read, floor);
        self.clients.all[prober].last_wishes -= 1;
        self.counts.operations += 1;
        self.attempt(operation);
    }

    /// The client behind all others, which is the simulator itself.
    pub(crate) fn prober(&self) -> usize {
        self.plan.clients.clients
    }

    /// What is not well, if anything.
    fn complaint(&self, healed: &Healed) -> Option<String> {
        let (core, mut leader_last) = (&healed.core, None);
        for &node in core.iter().filter(|&&node| !self.nodes[node].is_lost) {
            let Some(process) = &self.nodes[node].process else {
                return Some(format!("n{} is down", node + 1));
            };
            let status = process.replica.status();
            // Who was elected to lose its vote does not stay.
            if status.role == RoleName::Leader && status.configuration.is_voter(status.node) {
                leader_last = Some(status.last_index);
            }
        }
        let Some(last) = leader_last else {
            return Some(format!("nobody leads: {}", self.statuses(core)));
        };
        if healed.stage == Stage::Quorum {
            return self
                .is_divided(healed)
                .then(|| format!("it is divided: {}", self.statuses(core)));
        }
        if !self.clients.are_content() {
            return Some(format!("clients wait for answers: {}", self.statuses(core)));
        }
        if core.iter().any(|&node| !self.is_well(node, last)) {
            return Some(format!("a node is behind: {}", self.statuses(core)));
        }
        self.watch_complaint()
    }

    /// Notes how far the core was when it had answered the probe.
    fn note_service(&mut self) {
        let prober = &self.clients.all[self.prober()];
        let has_served = prober.in_flight == 0 && prober.last_wishes == 0;
        let Some(healed) = self.healed.as_ref().filter(|it| has_served && it.served_at.is_none())
        else {
            return;
        };
        let served_at = self.states_of(&healed.core).into_keys().max();
        if let Some(healed) = &mut self.healed {
            healed.served_at = served_at;
        }
    }

    /// What members among these nodes hold, by how much they have applied.
    fn states_of(&self, core: &[usize]) -> BTreeMap<Index, BTreeSet<u64>> {
        let members = core
            .iter()
            .filter(|&&node| self.judge.newest_configuration().is_member(self.nodes[node].id));
        let mut states = BTreeMap::<Index, BTreeSet<u64>>::new();
        for process in members.filter_map(|&node| self.nodes[node].process.as_ref()) {
            let status = process.replica.status();
            states.entry(status.applied_index).or_default().insert(status.state_hash);
        }
        states
    }

    /// Whether the probe has no answer yet, or members among the core are behind that answer, or
    /// equally far and in different states. Clients go on meanwhile, so that nobody is at the
    /// end of the log for long.
    fn is_divided(&self, healed: &Healed) -> bool {
        let states = self.states_of(&healed.core);
        let least = states.keys().next().copied();
        let is_there = healed.served_at.is_some_and(|served_at| least >= Some(served_at));
        !is_there || states.values().any(|hashes| 1 < hashes.len())
    }

    /// Whether a node has everything, counts, and owes no answer. Of a node with another
    /// directory than the one that the cluster knows nothing is expected.
    fn is_well(&self, node: usize, last: Index) -> bool {
        let this = &self.nodes[node];
        let Some(process) = &this.process else { return this.is_lost };
        let raft = process.replica.raft();
        let is_stranger = self.judge.is_foreign(this.id, this.incarnation)
            || !self.judge.newest_configuration().is_member(this.id);
        let has_all = raft.log().applied_index() == last
            && raft.log().last().index == last
            && raft.log().durable_index() == last;
        let counts = raft.hard_state().standing == Standing::Full;
        is_stranger || (has_all && counts && process.unanswered.is_empty())
    }

    fn statuses(&self, core: &[usize]) -> String {
        let describe = |&node: &usize| {
            let process = self.nodes[node].process.as_ref()?;
            let standing = process.replica.raft().hard_state().standing;
            let unanswered = process.unanswered.len();
            let status = process.replica.status();
            Some(format!("{status:?} {standing:?}, {unanswered} requests unanswered"))
        };
        core.iter().filter_map(describe).collect::<Vec<_>>().join("\n  ")
    }

    /// At the end every store holds exactly what one holds that never fails.
    fn check_contents(&self, core: &[usize]) {
        let everything = kv_store::command::KeyRange::prefix(b"");
        let expected = self.judge.executions.everything();
        let mut query = bytes::BytesMut::new();
        kv_store::command::Query::Range { range: everything, limit: 0 }.encode(&mut query);
        for &node in core {
            let this = &self.nodes[node];
            let is_member = self.judge.newest_configuration().is_member(this.id);
            if this.is_lost || !is_member || self.judge.is_foreign(this.id, this.incarnation) {
                continue;
            }
            let replica = &this.process.as_ref().expect("it was seen running").replica;
            let mut found = bytes::BytesMut::new();
            raft_core::replica::StateMachine::query(replica.machine(), &query, 0, &mut found);
            assert_eq!(found, expected, "n{} holds what a store holds that never fails", this.id);
        }
    }
}
