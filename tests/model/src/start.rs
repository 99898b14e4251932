//! Where a world begins: with a cluster that was just founded, or behind a few steps of one.
//!
//! Every step is one that the model itself may take, so these beginnings are states that a
//! cluster comes into. A world that begins so says nothing about the ways that lead elsewhere.

use raft_core::types::NodeId;

use crate::bounds::Bounds;
use crate::cluster::{Action, Cluster, Spent, Step};
use crate::node::id_of;

/// So many timers run out at most until somebody is elected who has to learn of a term first.
const ATTEMPTS_MAX: usize = 3;

/// How a world begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Start {
    /// Nobody leads.
    Founded,
    /// The first node leads term 2, and its first entry is committed and on every disk.
    Led,
    /// Raft Figure 8 before (c), with three nodes: the first has led term 2 and the third term
    /// 3, nobody else has the first entry of either, and both have started again since.
    TwoLeadersFell,
}

impl Start {
    pub(crate) fn cluster(self, bounds: &Bounds) -> Cluster {
        let mut cluster = Cluster::founded(bounds);
        match self {
            Self::Founded => return cluster,
            Self::Led => {
                cluster.elect(1, &[1, 2, 3]);
                cluster.deliver_all();
            }
            Self::TwoLeadersFell => {
                cluster.elect(1, &[1, 2]);
                cluster.lose_all();
                cluster.take(Action::Restart(id_of(1)));
                cluster.elect(3, &[1, 2, 3]);
                cluster.lose_all();
                cluster.take(Action::Restart(id_of(3)));
            }
        }
        cluster.spent = Spent { is_told_apart: true, ..Spent::default() };
        cluster
    }
}

impl Cluster {
    fn take(&mut self, action: Action) {
        let is_possible = self.happen(&Step { action, is_slow: false });
        assert!(is_possible, "only what can happen leads to a beginning");
    }

    /// Lets a node time out, and those named hear each other, until it leads.
    fn elect(&mut self, number: u64, among: &[u64]) {
        let candidate = id_of(number);
        let leads = |it: &Self| it.nodes.iter().any(|node| node.id() == candidate && node.leads());
        let takes_part = |node: NodeId| among.contains(&node.number());
        for _ in 0..ATTEMPTS_MAX {
            self.take(Action::TimeOut(candidate));
            while !leads(self) {
                let mut flights = self.flights.iter();
                let next =
                    flights.find(|it| takes_part(it.envelope.from) && takes_part(it.envelope.to));
                let Some(next) = next.cloned() else { break };
                self.take(Action::Deliver(next));
            }
            if leads(self) {
                return;
            }
        }
        unreachable!("nothing stands in the way of this election");
    }

    fn deliver_all(&mut self) {
        while let Some(flight) = self.flights.first().cloned() {
            self.take(Action::Deliver(flight));
        }
    }

    fn lose_all(&mut self) {
        self.flights.clear();
    }
}
