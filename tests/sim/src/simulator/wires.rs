//! Messages between nodes, and the links that they travel on.

use raft_core::consensus::message::Envelope;
use raft_core::replica::event::Event;

use crate::simulator::network::{LinkId, Packet};
use crate::simulator::node::{id_of, place_of};
use crate::simulator::plan::Transport;
use crate::simulator::schedule::{LinkFact, What};
use crate::simulator::world::World;

/// How soon somebody tries to open a link again. Units: microseconds.
const CONNECT_AGAIN_US: (u64, u64) = (2_000, 150_000);

/// How long the news that a link has ended may take. Units: microseconds.
const LOST_NEWS_US: (u64, u64) = (0, 30_000);

impl World {
    /// A message leaves its node.
    pub(crate) fn send(&mut self, envelope: Envelope, is_bulk: bool) {
        self.counts.messages += 1;
        self.counts.messages_bulk += u64::from(is_bulk);
        let link = (place_of(envelope.from), place_of(envelope.to));
        let connection = self.network.link(link).connection;
        let packet = Packet { link, connection, is_bulk, envelope };
        match self.plan.transport {
            Transport::Ordered => self.send_in_order(packet),
            Transport::Datagram => self.send_datagram(packet),
        }
    }

    fn send_in_order(&mut self, packet: Packet) {
        if !self.network.link(packet.link).is_up {
            self.counts.messages_lost += 1;
        } else if self.network.is_blocked(packet.link) {
            self.network.link(packet.link).hold(packet);
        } else {
            let at = self.schedule.now() + self.latency();
            let at = self.network.link(packet.link).in_order(at, packet.is_bulk);
            self.schedule.at(at, What::Deliver(packet));
        }
    }

    fn send_datagram(&mut self, packet: Packet) {
        let loss = if self.is_healed() { 0 } else { self.plan.loss_per_mille };
        if self.network.is_blocked(packet.link) || self.dice.chance(loss) {
            self.counts.messages_lost += 1;
            return;
        }
        if !self.is_healed() && self.dice.chance(self.plan.twice_per_mille) {
            self.counts.messages_doubled += 1;
            let delay_us = self.latency() * 3;
            self.schedule.after(delay_us, What::Deliver(packet.clone()));
        }
        let delay_us = self.latency();
        self.schedule.after(delay_us, What::Deliver(packet));
    }

    fn latency(&mut self) -> u64 {
        let is_late = !self.is_healed() && self.dice.chance(self.plan.late_per_mille);
        self.counts.messages_late += u64::from(is_late);
        self.dice.between(if is_late { self.plan.late_us } else { self.plan.latency_us })
    }

    /// A message arrives, if its link still carries it and somebody is there.
    pub(crate) fn deliver(&mut self, packet: Packet) {
        let (now, node) = (self.schedule.now(), packet.link.1);
        let is_carried = match self.plan.transport {
            Transport::Ordered => self.network.link(packet.link).carries(packet.connection, now),
            Transport::Datagram => true,
        };
        if !is_carried || self.nodes[node].process.is_none() {
            self.counts.messages_lost += 1;
            return;
        }
        self.tell(node, Event::Received(vec![packet.envelope]));
    }

    /// Opens a link if both ends run and nothing lies between them.
    pub(crate) fn connect(&mut self, id: LinkId) {
        let now = self.schedule.now();
        if self.plan.transport == Transport::Datagram || self.network.link(id).is_up {
            return;
        }
        let (from, to) = id;
        let is_lonely = self.nodes[from].process.is_none() || self.nodes[to].process.is_none();
        if is_lonely || self.network.is_blocked(id) {
            let delay_us = self.dice.between(CONNECT_AGAIN_US);
            self.schedule.after(delay_us, What::Connect(id));
            return;
        }
        let at = now + self.latency();
        let connection = self.network.link(id).connect(at);
        let feature_level = self.nodes[from].feature_level();
        let fact = LinkFact::Connected { peer: id_of(from), connection, feature_level };
        let life = self.nodes[to].life;
        self.schedule.at(at, What::LinkFact { node: to, life, fact });
    }

    /// Breaks a link, if it stands; messages on it arrive for at most `rest_us` more.
    pub(crate) fn break_link(&mut self, id: LinkId, rest_us: u64) {
        let now = self.schedule.now();
        let link = self.network.link(id);
        if !link.is_up {
            return;
        }
        let connection = link.connection;
        link.cut(now + rest_us);
        self.counts.links_broken += 1;
        let (from, to) = id;
        let fact = LinkFact::Lost { peer: id_of(from), connection };
        let life = self.nodes[to].life;
        let delay_us = rest_us + self.dice.between(LOST_NEWS_US);
        self.schedule.after(delay_us, What::LinkFact { node: to, life, fact });
        let delay_us = self.dice.between(CONNECT_AGAIN_US);
        self.schedule.after(delay_us, What::Connect(id));
    }

    /// A process has ended, and with it all links to and from it.
    pub(crate) fn break_links_of(&mut self, node: usize) {
        for id in self.network.ids() {
            let (from, to) = id;
            let is_silent = from == node && self.dice.chance(300);
            if from == node && !is_silent {
                let rest_us = self.dice.between(self.plan.latency_us);
                self.break_link(id, rest_us);
            } else if to == node || is_silent {
                // Nobody is there to be told, or nobody tells: it just ends.
                let link = self.network.link(id);
                link.cut(0);
                let delay_us = self.dice.between(CONNECT_AGAIN_US);
                self.schedule.after(delay_us, What::Connect(id));
            }
        }
    }

    /// A node is told of a link.
    pub(crate) fn link_fact(&mut self, node: usize, life: u64, fact: LinkFact) {
        if self.nodes[node].life != life || self.nodes[node].process.is_none() {
            return;
        }
        let event = match fact {
            LinkFact::Connected { peer, connection, feature_level } => {
                Event::PeerConnected { peer, connection, feature_level }
            }
            LinkFact::Lost { peer, connection } => Event::PeerLost { peer, connection },
        };
        self.tell(node, event);
    }

    /// Ends a partition, or all of them.
    pub(crate) fn unblock(&mut self, partition: Option<u64>) {
        for packet in self.network.unblock(partition) {
            self.send_in_order(packet);
        }
    }
}
