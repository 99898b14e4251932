//! Who does not reach whom, and links that break.

use std::collections::BTreeSet;

use crate::simulator::network::LinkId;
use crate::simulator::node::id_of;
use crate::simulator::plan::Transport;
use crate::simulator::schedule::{LinkFact, What};
use crate::simulator::world::World;

impl World {
    /// Cuts some nodes off.
    pub(crate) fn cut(&mut self, is_both_ways: bool) {
        let side: BTreeSet<usize> = if self.dice.chance(400) {
            self.some_running().into_iter().collect()
        } else {
            (0..self.nodes.len()).filter(|_| self.dice.chance(400)).collect()
        };
        let delay_us = self.lasts_us();
        self.part(&side, is_both_ways, delay_us);
    }

    /// Cuts the leader off, with what clients go on asking of it; it may never come back.
    pub(crate) fn depose(&mut self) {
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

    /// Cuts some nodes off from the others.
    fn part(&mut self, side: &BTreeSet<usize>, is_both_ways: bool, delay_us: u64) {
        let is_cut = |&(from, to): &LinkId| {
            let leaves = side.contains(&from) && !side.contains(&to);
            let enters = !side.contains(&from) && side.contains(&to);
            leaves || (enters && is_both_ways)
        };
        let is_begun = self.block(is_cut, delay_us);
        self.counts.one_way_partitions += u64::from(is_begun && !is_both_ways);
    }

    /// Two halves that do not reach each other both reach the node between them.
    pub(crate) fn bridge(&mut self) {
        let Some(middle) = self.some_running() else { return };
        let side: Vec<bool> = (0..self.nodes.len()).map(|_| self.dice.chance(500)).collect();
        let delay_us = self.lasts_us();
        let is_cut =
            |&(from, to): &LinkId| from != middle && to != middle && side[from] != side[to];
        self.counts.bridges += u64::from(self.block(is_cut, delay_us));
    }

    /// Some pairs do not reach each other, or one of the two the other, whoever else they reach.
    pub(crate) fn cut_pairs(&mut self) {
        let per_mille = self.dice.pick(&[150, 300, 600]);
        let mut cut = BTreeSet::new();
        for (from, to) in self.network.ids().into_iter().filter(|(from, to)| from < to) {
            if self.dice.chance(per_mille) {
                let way = self.dice.below(4);
                cut.extend((way != 0).then_some((from, to)));
                cut.extend((way != 1).then_some((to, from)));
            }
        }
        let delay_us = self.lasts_us();
        self.counts.cut_pairs += u64::from(self.block(|id| cut.contains(id), delay_us));
    }

    /// Begins a partition, and returns whether there is anything to cut. Links may break at
    /// once, or stay open and be silent.
    fn block(&mut self, is_cut: impl Fn(&LinkId) -> bool, delay_us: u64) -> bool {
        let links: BTreeSet<LinkId> = self.network.ids().into_iter().filter(is_cut).collect();
        if links.is_empty() {
            return false;
        }
        self.counts.partitions += 1;
        self.say(|| format!("cut for {delay_us} us: {links:?}"));
        if self.dice.chance(400) {
            for &id in &links {
                let rest_us = self.dice.between(self.plan.latency_us);
                self.break_link(id, rest_us);
            }
        }
        let partition = self.network.block(links);
        self.schedule.after(delay_us, What::Unblock { partition });
        true
    }

    pub(crate) fn break_some_link(&mut self) {
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
        let feature_level = self.nodes[from].feature_level();
        let connected = LinkFact::Connected { peer, connection: new, feature_level };
        self.counts.links_broken += 1;
        self.schedule.after(lost_us, What::LinkFact { node: to, life, fact: lost });
        self.schedule.after(connected_us, What::LinkFact { node: to, life, fact: connected });
    }
}
