//! What the owner of a cluster in one process knows of it and its nodes do not.

use std::collections::BTreeMap;

use actix::{Message, Recipient};
use raft_core::types::NodeId;
use raft_net::faults::Faults;
use serde::Serialize;

use crate::api::AskValues;

/// What is around a node; nothing of this is known to one that lives in a process of its own.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// Every node of the cluster, this one included.
    pub(crate) nodes: BTreeMap<u64, Neighbour>,
    /// The links that are cut or delayed.
    pub(crate) links: Vec<SpoiltLink>,
    /// How much slower time passes than it does outside. Units: hundredths.
    pub(crate) scale_percent: u64,
    /// Whether time stands still.
    pub(crate) is_frozen: bool,
    /// The lesson that a page plays.
    pub(crate) lesson: Option<PlayedLesson>,
}

/// A lesson as the pages that do not play it are told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct PlayedLesson {
    /// The page that plays it, by a word that it has drawn.
    pub(crate) page: String,
    /// Which lesson.
    pub(crate) name: String,
    /// The node whose page it is.
    pub(crate) node: u64,
    /// What the page shows of its present step.
    pub(crate) title: String,
    /// The same in full.
    pub(crate) text: String,
}

/// A node of the same process.
#[derive(Clone, Debug)]
pub(crate) struct Neighbour {
    pub(crate) address: String,
    /// Where its page is.
    pub(crate) door: Option<String>,
    pub(crate) lives: Lives,
    /// Answers for it, also where no link leads to it.
    pub(crate) ask: Option<Recipient<AskValues>>,
}

/// Whether a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lives {
    Runs,
    Paused,
    Dead,
}

/// One direction of a link that is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SpoiltLink {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) cut: bool,
    pub(crate) delay_ms: u64,
}

/// Replaces what a node knows of its surroundings.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub(crate) struct Surround(pub(crate) Surroundings);

/// The same of the links of a node by itself.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub(crate) struct SpoiltLinks(pub(crate) Vec<SpoiltLink>);

impl SpoiltLink {
    /// The links of a node, as its own wires have them.
    pub(crate) fn of(own: NodeId, faults: &Faults) -> Vec<Self> {
        let own = own.number();
        let mut links: BTreeMap<(u64, u64), Self> = BTreeMap::new();
        let mut link = |from: u64, to: u64, change: &dyn Fn(&mut Self)| {
            let whole = Self { from, to, cut: false, delay_ms: 0 };
            change(links.entry((from, to)).or_insert(whole));
        };
        faults.cut_to.iter().for_each(|to| link(own, to.number(), &|it| it.cut = true));
        faults.cut_from.iter().for_each(|from| link(from.number(), own, &|it| it.cut = true));
        for (to, delay_ms) in &faults.delay_to_ms {
            link(own, to.number(), &|it| it.delay_ms = *delay_ms);
        }
        links.into_values().collect()
    }
}

impl Default for Surroundings {
    fn default() -> Self {
        let (nodes, links) = (BTreeMap::new(), Vec::new());
        Self { nodes, links, scale_percent: 100, is_frozen: false, lesson: None }
    }
}

impl Surroundings {
    /// Where the pages are, by node.
    pub(super) fn doors(&self) -> BTreeMap<u64, String> {
        let door = |(id, node): (&u64, &Neighbour)| Some((*id, node.door.clone()?));
        self.nodes.iter().filter_map(door).collect()
    }

    /// Whether a node can be asked: one that is dead cannot, and one whose process is gone.
    pub(super) fn can_ask(&self, node: u64) -> bool {
        self.lives(node) != Some(Lives::Dead)
    }

    /// Whether a node runs, if that is known here.
    pub(super) fn lives(&self, node: u64) -> Option<Lives> {
        let neighbour = self.nodes.get(&node)?;
        match &neighbour.ask {
            Some(ask) if !ask.connected() => Some(Lives::Dead),
            Some(_) | None => Some(neighbour.lives),
        }
    }
}
