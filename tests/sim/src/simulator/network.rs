//! Links between nodes, each of which carries messages one way.
//!
//! Over ordered links nothing overtakes anything, but a link can break: a random rest of what
//! is on it is lost, and the receiver is told sooner or later. Datagrams are on their own.

use std::collections::{BTreeMap, BTreeSet};

use raft_core::consensus::message::Envelope;

/// A link: from whom, to whom.
pub(crate) type LinkId = (usize, usize);

/// A message on its way.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) link: LinkId,
    pub(crate) connection: u64,
    pub(crate) is_bulk: bool,
    pub(crate) envelope: Envelope,
}

/// One direction between two nodes.
#[derive(Debug, Default)]
pub(crate) struct Link {
    /// The number of the newest connection.
    pub(crate) connection: u64,
    pub(crate) is_up: bool,
    /// Until when messages of the connection that broke last still arrive.
    broken: (u64, u64),
    /// When the newest message arrives, on the control and on the bulk stream.
    newest_us: [u64; 2],
    /// Messages that wait for the end of a partition.
    held: Vec<Packet>,
}

/// All links.
#[derive(Debug)]
pub(crate) struct Network {
    links: BTreeMap<LinkId, Link>,
    partitions: BTreeMap<u64, BTreeSet<LinkId>>,
    next_partition: u64,
}

impl Network {
    /// Links between all of `nodes` nodes, none of them open.
    pub(crate) fn new(nodes: usize) -> Self {
        let pairs = (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to)));
        let links = pairs.filter(|(from, to)| from != to).map(|id| (id, Link::default()));
        Self { links: links.collect(), partitions: BTreeMap::new(), next_partition: 0 }
    }

    /// A link that was not there.
    pub(crate) fn add(&mut self, id: LinkId) {
        self.links.insert(id, Link::default());
    }

    /// All links, in a fixed order.
    pub(crate) fn ids(&self) -> Vec<LinkId> {
        self.links.keys().copied().collect()
    }

    /// One link.
    pub(crate) fn link(&mut self, id: LinkId) -> &mut Link {
        self.links.get_mut(&id).expect("two different nodes have a link")
    }

    /// Whether a partition lies in the way.
    pub(crate) fn is_blocked(&self, id: LinkId) -> bool {
        self.partitions.values().any(|links| links.contains(&id))
    }

    /// Begins a partition and names it.
    pub(crate) fn block(&mut self, links: BTreeSet<LinkId>) -> u64 {
        self.next_partition += 1;
        self.partitions.insert(self.next_partition, links);
        self.next_partition
    }

    /// Ends a partition, or all; returns what had waited for that on links that are free now.
    pub(crate) fn unblock(&mut self, partition: Option<u64>) -> Vec<Packet> {
        match partition {
            Some(partition) => drop(self.partitions.remove(&partition)),
            None => self.partitions.clear(),
        }
        let free: Vec<LinkId> = self.ids().into_iter().filter(|&id| !self.is_blocked(id)).collect();
        free.into_iter().flat_map(|id| std::mem::take(&mut self.link(id).held)).collect()
    }
}

impl Link {
    /// Opens the link at `at`; nothing sent over it arrives before.
    pub(crate) fn connect(&mut self, at: u64) -> u64 {
        self.connection += 1;
        self.is_up = true;
        self.newest_us = [at; 2];
        self.connection
    }

    /// Breaks the link: what arrives after `until` is lost.
    pub(crate) fn cut(&mut self, until: u64) {
        self.is_up = false;
        self.broken = (self.connection, until);
        self.held.clear();
    }

    /// Keeps a message until the partition ends.
    pub(crate) fn hold(&mut self, packet: Packet) {
        self.held.push(packet);
    }

    /// When a message that would arrive at `at` by itself does so behind those before it.
    pub(crate) fn in_order(&mut self, at: u64, is_bulk: bool) -> u64 {
        let newest = &mut self.newest_us[usize::from(is_bulk)];
        *newest = at.max(*newest);
        *newest
    }

    /// Whether a message of this connection still arrives now.
    pub(crate) fn carries(&self, connection: u64, now: u64) -> bool {
        let is_current = self.is_up && connection == self.connection;
        is_current || (self.broken.0 == connection && now <= self.broken.1)
    }
}
