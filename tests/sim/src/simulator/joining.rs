//! Machines that come later: their directories are empty, and they join as learners under the
//! ids that the cluster gives them (as `kvorum --join` does).

use std::collections::BTreeSet;

use raft_core::configuration::{Change, Configuration};
use raft_core::types::NodeId;

use crate::simulator::membership::Operator;
use crate::simulator::node::{Node, id_of, place_of};
use crate::simulator::plan::Transport;
use crate::simulator::schedule::What;
use crate::simulator::world::World;

/// So many machines may come later in one run.
pub(crate) const JOINERS_MAX: usize = 6;

/// How long the operator needs from the answer to the start of the new node, and between two
/// looks at who is in the cluster. Units: microseconds.
const JOIN_US: (u64, u64) = (1_000, 200_000);

impl Operator {
    /// A change that adds a machine or two, or says that a member is reached elsewhere.
    pub(super) fn dice_arrival(&mut self, current: &Configuration, machines: usize) -> Change {
        let mut change = Change::default();
        if self.dice.chance(300) {
            let members: Vec<NodeId> = current.members.keys().copied().collect();
            let moved = self.dice.pick(&members);
            change.readdress.insert(moved, format!("moved {}", self.dice.word()));
            return change;
        }
        let count = if self.dice.chance(300) { 2 } else { 1 };
        change.add = (0..count).map(|n| format!("machine {}", machines + n)).collect();
        change
    }
}

impl World {
    /// How many machines came, or were to come, after the founding.
    pub(crate) fn joiners_count(&self) -> usize {
        self.nodes.len() - self.plan.nodes
    }

    /// Puts up machines that a change is to add; which id each of them gets is decided later.
    pub(crate) fn put_up(&mut self, count: usize) {
        for _ in 0..count {
            let place = self.nodes.len();
            let mut machine = Node::new(place, &self.plan, &mut self.operator.dice);
            machine.is_lost = true;
            self.nodes.push(machine);
            self.judge.put_up();
            for other in 0..place {
                self.network.add((place, other));
                self.network.add((other, place));
            }
        }
    }

    /// A change that added nodes, removed some, or moved them was made: the operator does the
    /// part of it that is outside the cluster.
    pub(crate) fn follow_change(&mut self, change: &Change, added: &[NodeId]) {
        for &id in added {
            let delay_us = self.operator.dice.between(JOIN_US);
            self.schedule.after(delay_us, What::Join { node: place_of(id) });
        }
        let is_joiner = |id: &&NodeId| self.plan.nodes <= place_of(**id);
        self.counts.readdresses += change.readdress.len() as u64;
        self.counts.joiners_promoted += change.promote.iter().filter(is_joiner).count() as u64;
        self.counts.joiners_removed += change.remove.iter().filter(is_joiner).count() as u64;
    }

    /// A machine that was added starts for the first time, with what the members say of
    /// themselves. While no node that runs knows of it, the operator waits.
    pub(crate) fn join(&mut self, node: usize) {
        let id = id_of(node);
        let is_new = self.nodes[node].told.is_none();
        if self.is_healed() || !is_new {
            return;
        }
        let running = self.nodes.iter().filter_map(|node| node.process.as_ref());
        let mut known = running.map(|process| process.replica.raft().configuration());
        let Some(known) = known.find(|known| known.is_member(id)) else {
            let delay_us = self.operator.dice.between(JOIN_US);
            self.schedule.after(delay_us, What::Join { node });
            return;
        };
        let mut learners: BTreeSet<NodeId> = known.learners.clone();
        learners.insert(id);
        let told = Configuration::known(known.members.clone(), &learners);
        self.say(|| format!("n{id} joins"));
        self.counts.joins += 1;
        self.nodes[node].told = Some(told);
        // The operator installs what the others run.
        let newest = self.nodes.iter().map(Node::feature_level).max().expect("there are nodes");
        self.nodes[node].raise_feature_level(newest);
        self.nodes[node].is_lost = false;
        if self.plan.transport == Transport::Ordered {
            for other in (0..self.nodes.len()).filter(|&other| other != node) {
                self.schedule.after(0, What::Connect((node, other)));
                self.schedule.after(0, What::Connect((other, node)));
            }
        }
        self.restart(node);
    }

    /// The nodes that a client may have heard of: all that were ever started, and after the
    /// healing those that still belong to the cluster.
    pub(crate) fn known_to_clients(&self) -> Vec<usize> {
        let Some(healed) = &self.healed else {
            let has_started =
                |node: &usize| *node < self.plan.nodes || self.nodes[*node].told.is_some();
            return (0..self.nodes.len()).filter(has_started).collect();
        };
        let members = self.judge.newest_configuration();
        let belongs = |node: &usize| {
            let this = &self.nodes[*node];
            members.is_member(this.id) && !self.judge.is_foreign(this.id, this.incarnation)
        };
        let belonging: Vec<usize> = healed.core.iter().copied().filter(belongs).collect();
        if belonging.is_empty() { healed.core.clone() } else { belonging }
    }
}
