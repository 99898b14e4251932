//! The second phase: all faults end, and within a bound everything must be well (C7).

use raft_core::consensus::ready::RoleName;
use raft_core::hard_state::Standing;
use raft_core::types::Index;

use crate::simulator::schedule::What;
use crate::simulator::world::{Healed, JUDGE_INTERVAL_US, World};

/// Operations that each client begins when all else is done, so that the cluster shows that it
/// still takes them.
const LAST_WISHES: u64 = 3;

impl World {
    /// Ends all faults. Nodes outside the core stay dead from now on.
    pub(crate) fn heal(&mut self) {
        let core = self.choose_core();
        self.say(|| format!("all faults end; the core is {core:?}"));
        for node in (0..self.nodes.len()).filter(|node| !core.contains(node)) {
            if self.nodes[node].process.is_some() {
                self.crash(node, crate::simulator::disk::Crash::Clean);
            }
        }
        self.healed = Some(Healed {
            at: self.schedule.now(),
            core: core.clone(),
            deadline: self.schedule.now() + self.plan.recovery_us() + self.backlog_us(),
            is_closing: false,
            is_over: false,
        });
        self.unblock(None);
        for node in core {
            self.nodes[node].is_disk_slow = false;
            if self.nodes[node].is_paused {
                self.resume(node);
            }
            let delay_us = self.dice.below(50_000);
            self.schedule.after(delay_us, What::Restart { node });
        }
        for client in &mut self.clients.all {
            client.is_closing = true;
        }
        self.schedule.after(JUDGE_INTERVAL_US, What::Judge);
    }

    /// How long a leader may need for what is in its log and not committed, if a round trip
    /// carries no more than one entry.
    fn backlog_us(&self) -> u64 {
        let lasts = self.nodes.iter().filter_map(|node| node.process.as_ref());
        let lasts = lasts.map(|process| process.replica.raft().log().last().index.0);
        let backlog = lasts.max().unwrap_or(0).saturating_sub(self.judge.committed_count() as u64);
        backlog * (3 * self.plan.latency_us.1 + 1_000)
    }

    /// All nodes that can start, or only some majority whose word counts.
    fn choose_core(&mut self) -> Vec<usize> {
        let mut healthy: Vec<usize> =
            (0..self.nodes.len()).filter(|&node| self.judge.is_healthy(node)).collect();
        if !self.plan.heals_majority_only || !self.are_all_carried(|at| healthy.contains(&at)) {
            return (0..self.nodes.len()).filter(|&node| !self.nodes[node].is_lost).collect();
        }
        let quorum = self.configuration.quorum();
        while quorum < healthy.len() && self.dice.chance(700) {
            let place = self.dice.place(healthy.len());
            let spared = healthy[place];
            if self.are_all_carried(|at| at != spared && healthy.contains(&at)) {
                healthy.remove(place);
            }
        }
        healthy
    }

    /// Looks whether all is well, and lets the clients say their last.
    pub(crate) fn look(&mut self) {
        let healed = self.healed.clone().expect("the faults have ended");
        match self.complaint(&healed.core) {
            None if healed.is_closing => {
                self.check_contents(&healed.core);
                self.healed = Some(Healed { is_over: true, ..healed });
                return;
            }
            None => {
                for client in 0..self.clients.all.len() {
                    self.clients.all[client].last_wishes = LAST_WISHES;
                    self.schedule.after(0, What::ClientStep { client });
                }
                self.healed = Some(Healed { is_closing: true, ..healed });
            }
            Some(complaint) => {
                let waited_us = self.schedule.now() - healed.at;
                let is_in_time = self.schedule.now() < healed.deadline;
                assert!(is_in_time, "C7 {waited_us} us after all faults ended {complaint}");
            }
        }
        self.schedule.after(JUDGE_INTERVAL_US, What::Judge);
    }

    /// What is not well, if anything.
    fn complaint(&self, core: &[usize]) -> Option<String> {
        let mut leader_last = None;
        for &node in core.iter().filter(|&&node| !self.nodes[node].is_lost) {
            let Some(process) = &self.nodes[node].process else {
                return Some(format!("n{} is down", node + 1));
            };
            let status = process.replica.status();
            if status.role == RoleName::Leader {
                leader_last = Some(status.last_index);
            }
        }
        let Some(last) = leader_last else {
            return Some(format!("nobody leads: {}", self.statuses(core)));
        };
        if !self.clients.are_content() {
            return Some(format!("clients wait for answers: {}", self.statuses(core)));
        }
        let is_behind = core.iter().any(|&node| !self.is_well(node, last));
        is_behind.then(|| format!("a node is behind: {}", self.statuses(core)))
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

    /// At the end every store holds exactly what the model holds.
    fn check_contents(&self, core: &[usize]) {
        let everything = kv_store::command::KeyRange::prefix(b"");
        let revision = self.judge.executions.revision();
        let expected = self.judge.executions.range(&everything, revision);
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
            raft_core::replica::StateMachine::query(replica.machine(), &query, &mut found);
            assert_eq!(found, expected, "n{} holds what the model holds", this.id);
        }
    }
}
