//! A state of the whole cluster, and how it becomes another one.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use raft_core::types::NodeId;

use crate::bounds::Bounds;
use crate::effect::{self, Deed, Effect, Flight};
use crate::history::{Content, History};
use crate::node::Node;

/// How often what has happened that is bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Spent {
    pub(crate) proposals: u8,
    /// Which changes were asked for, one bit each.
    pub(crate) changes: u8,
    pub(crate) looks: u8,
    pub(crate) crashes: u8,
    pub(crate) slow_writes: u8,
    pub(crate) timeouts: u8,
    pub(crate) doubts: u8,
    pub(crate) heartbeats: u8,
    pub(crate) quorum_checks: u8,
    pub(crate) duplicates: u8,
    /// Whether anything has happened to a node but the first.
    pub(crate) is_told_apart: bool,
}

/// Something that can happen.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Deliver(Arc<Flight>),
    DeliverAndKeep(Arc<Flight>),
    Lose(Arc<Flight>),
    Persist(NodeId),
    TimeOut(NodeId),
    Doubt(NodeId),
    SendHeartbeats(NodeId),
    CheckQuorum(NodeId),
    Propose(NodeId),
    /// A change is asked for: of whom, and which.
    Ask(NodeId, usize),
    LookAtMembers(NodeId),
    Restart(NodeId),
}

/// An action, and whether what it makes the node write is not on disk at once.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) action: Action,
    pub(crate) is_slow: bool,
}

/// What has happened, with its hash.
pub(crate) struct Past {
    digest: u64,
    pub(crate) history: History,
}

/// The cluster. Two of them are equal if nobody could tell them apart from now on.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Arc<Node>>,
    /// All different, in the order of their digests.
    pub(crate) flights: Vec<Arc<Flight>>,
    pub(crate) past: Arc<Past>,
    pub(crate) spent: Spent,
}

impl Cluster {
    /// A cluster that was founded and in which nobody leads.
    pub(crate) fn founded(bounds: &Bounds) -> Self {
        let nodes = (1..=bounds.nodes).map(|number| Node::founded(number, bounds));
        let (nodes, outputs): (Vec<_>, Vec<_>) = nodes.unzip();
        let nodes: Vec<Arc<Node>> = nodes.into_iter().map(Arc::new).collect();
        let mut history = History::default();
        history.note(&nodes[0].commits());
        assert!(outputs.iter().all(|output| output.envelopes.is_empty()), "nobody speaks first");
        let (flights, past) = (Vec::new(), Arc::new(Past::of(history)));
        let are_alike = bounds.learners == 0 && !bounds.change_members();
        let spent = Spent { is_told_apart: !are_alike, ..Spent::default() };
        Self { nodes, flights, past, spent }
    }

    /// What the cluster becomes, or `None` if that lies outside the bounds.
    pub(crate) fn after(&self, step: &Step, bounds: &Bounds) -> Option<Self> {
        let mut next = self.clone();
        let is_possible = next.happen(step);
        let last_term = 1 + bounds.terms;
        let is_within = next.flights.len() <= bounds.in_flight
            && next.nodes.iter().all(|node| node.term().0 <= last_term);
        (is_possible && is_within).then_some(next)
    }

    /// Returns whether it can happen: whether something is written if it should be written
    /// slowly, and whether a change that is asked for is not refused.
    pub(crate) fn happen(&mut self, step: &Step) -> bool {
        let spent = &mut self.spent;
        spent.is_told_apart |= step.action.concerns().number() != 1;
        spent.slow_writes += u8::from(step.is_slow);
        let (node, deed) = match &step.action {
            Action::Deliver(flight) => {
                self.flights.retain(|other| other != flight);
                (flight.envelope.to, Deed::Take(flight.clone()))
            }
            Action::DeliverAndKeep(flight) => {
                spent.duplicates += 1;
                (flight.envelope.to, Deed::Take(flight.clone()))
            }
            Action::Lose(flight) => {
                self.flights.retain(|other| other != flight);
                return true;
            }
            Action::Persist(node) => (*node, Deed::Persist),
            Action::TimeOut(node) => {
                spent.timeouts += 1;
                (*node, Deed::TimeOut)
            }
            Action::Doubt(node) => {
                spent.doubts += 1;
                (*node, Deed::Doubt)
            }
            Action::SendHeartbeats(node) => {
                spent.heartbeats += 1;
                (*node, Deed::SendHeartbeats)
            }
            Action::CheckQuorum(node) => {
                spent.quorum_checks += 1;
                (*node, Deed::CheckQuorum)
            }
            Action::Propose(node) => {
                spent.proposals += 1;
                (*node, Deed::Propose(spent.proposals))
            }
            Action::Ask(node, change) => (*node, Deed::Ask(*change)),
            Action::LookAtMembers(node) => {
                spent.looks += 1;
                (*node, Deed::LookAtMembers)
            }
            Action::Restart(node) => {
                spent.crashes += 1;
                (*node, Deed::Restart)
            }
        };
        let place = self.nodes.iter().position(|it| it.id() == node).expect("it is a member");
        let effect = effect::of(&self.nodes[place], &deed, step.is_slow);
        let before = std::mem::replace(&mut self.nodes[place], effect.node.clone());
        if let Action::Ask(_, change) = &step.action
            && before.log.len() < effect.node.log.len()
        {
            self.spent.changes |= 1 << change;
            if !effect.node.log.iter().skip(before.log.len()).any(Content::is_change) {
                return false;
            }
        }
        self.note(&effect);
        let is_void = |flight: &Arc<Flight>| flight.is_void_for(&effect.node);
        self.flights.retain(|flight| flight.envelope.to != node || !is_void(flight));
        !step.is_slow || effect.begins_to_write
    }

    fn note(&mut self, effect: &Effect) {
        if !effect.facts.iter().all(|fact| self.past.history.knows(fact)) {
            let mut history = self.past.history.clone();
            effect.facts.iter().for_each(|fact| history.note(fact));
            self.past = Arc::new(Past::of(history));
        }
        effect.flights.iter().for_each(|flight| self.send(flight));
    }

    /// Puts a message on its way. An equal one that is on its way already stands for both.
    fn send(&mut self, flight: &Arc<Flight>) {
        let receiver = self.nodes.iter().find(|node| node.id() == flight.envelope.to);
        if flight.is_void_for(receiver.expect("a message is for a member")) {
            return;
        }
        let place = self.flights.binary_search_by_key(&flight.digest, |flight| flight.digest);
        if let Err(place) = place {
            self.flights.insert(place, flight.clone());
        }
    }
}

impl Past {
    fn of(history: History) -> Self {
        let mut hasher = DefaultHasher::new();
        history.hash(&mut hasher);
        Self { digest: hasher.finish(), history }
    }
}

impl Action {
    /// To which node it happens.
    pub(crate) fn concerns(&self) -> NodeId {
        match self {
            Self::Deliver(flight) | Self::DeliverAndKeep(flight) | Self::Lose(flight) => {
                flight.envelope.to
            }
            Self::Persist(node)
            | Self::TimeOut(node)
            | Self::Doubt(node)
            | Self::SendHeartbeats(node)
            | Self::CheckQuorum(node)
            | Self::Propose(node)
            | Self::Ask(node, _)
            | Self::LookAtMembers(node)
            | Self::Restart(node) => *node,
        }
    }
}

impl Hash for Cluster {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.nodes.iter().for_each(|node| node.digest.hash(hasher));
        self.flights.iter().for_each(|flight| flight.digest.hash(hasher));
        self.past.digest.hash(hasher);
        self.spent.hash(hasher);
    }
}

impl PartialEq for Cluster {
    fn eq(&self, other: &Self) -> bool {
        let digests = |it: &Self| it.nodes.iter().map(|node| node.digest).collect::<Vec<_>>();
        digests(self) == digests(other)
            && self.flights == other.flights
            && self.past.digest == other.past.digest
            && self.spent == other.spent
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.nodes.iter().try_for_each(|node| writeln!(f, "{node:?}"))?;
        self.flights.iter().try_for_each(|flight| writeln!(f, "  {}", flight.envelope))?;
        write!(f, "{:?}", self.past.history)
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.is_slow { ", on a slow disk" } else { "" };
        write!(f, "{:?}{end}", self.action)
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deliver(flight) => write!(f, "deliver {}", flight.envelope),
            Self::DeliverAndKeep(flight) => write!(f, "deliver once {}", flight.envelope),
            Self::Lose(flight) => write!(f, "lose {}", flight.envelope),
            Self::Persist(node) => write!(f, "n{node} persists"),
            Self::TimeOut(node) => write!(f, "n{node} times out"),
            Self::Doubt(node) => write!(f, "n{node} has not heard of its leader"),
            Self::SendHeartbeats(node) => write!(f, "n{node} sends heartbeats"),
            Self::CheckQuorum(node) => write!(f, "n{node} checks for a quorum"),
            Self::Propose(node) => write!(f, "n{node} is given a command"),
            Self::Ask(node, change) => write!(f, "n{node} is asked for change {}", change + 1),
            Self::LookAtMembers(node) => write!(f, "n{node} looks at its members"),
            Self::Restart(node) => write!(f, "n{node} crashes and starts again"),
        }
    }
}
