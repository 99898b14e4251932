//! Who is in the cluster: nodes that join and leave, changes that are asked for, leadership that
//! is to go to a certain node.

use std::collections::BTreeSet;

use raft_core::configuration::{Change, Configuration, Decision};
use raft_core::consensus::message::Envelope;
use raft_core::entry::EntryKind;
use raft_core::replica::event::Event;
use raft_core::types::NodeId;

use super::{Cluster, node};

/// So long that the patience of a hand-over itself ends first. Units: microseconds.
const TRANSFER_TIMEOUT_US: u64 = 60_000_000;

impl Cluster {
    /// Asks a node for a change of the membership; what is decided is told under `label`, in
    /// words.
    pub fn change(&mut self, id: NodeId, label: &str, change: &Change) {
        self.change_as(id, label, change, None);
    }

    /// As `change`, under a session if `client` is given.
    pub fn change_as(
        &mut self,
        id: NodeId,
        label: &str,
        change: &Change,
        client: Option<(u64, u64)>,
    ) {
        self.submit_entry((id, label), (EntryKind::Change, &change.encode()), client);
    }

    /// Starts a node that knows nobody and is to be taken in, or was, under this id.
    pub fn start_new(&mut self, id: NodeId) {
        self.add_empty(id);
    }

    /// Takes a new node in as a learner and waits until it has everything.
    ///
    /// Panics: if that does not come about, or if the node gets another id.
    pub fn take_in(&mut self, leader: u64, id: u64) {
        let add = Change { add: vec![format!("host {id}")], ..Change::default() };
        self.change(node(leader), "add", &add);
        self.settle();
        self.start_new(node(id));
        self.run(100);
        assert_eq!(self.last(id), self.last(leader), "n{id} has everything");
        assert!(self.status(node(id)).configuration.learners.contains(&node(id)));
    }

    /// Starts a node with an empty directory, which `asked` has told who the members are. It
    /// takes part once it is added under this id.
    ///
    /// Panics: if there is a node of this id, or `asked` does not run.
    pub fn join(&mut self, id: NodeId, asked: NodeId) {
        assert!(!self.members.contains_key(&id), "{id:?} is there");
        let configuration = self.replica(asked).raft().configuration().clone();
        self.told_members.insert(id, configuration);
        self.add_empty(id);
    }

    /// What a node is told about the members when it is created: who is not a founder, and has
    /// not asked anybody, has to hear it from them.
    pub(super) fn founding_of(&self, id: NodeId) -> Configuration {
        if let Some(told) = self.told_members.get(&id) {
            told.clone()
        } else if self.configuration.is_member(id) {
            self.configuration.clone()
        } else {
            Configuration::default()
        }
    }

    /// Has `leader` add nodes, and starts them; afterwards they hold what it holds, and count.
    ///
    /// Panics: if the nodes do not follow on the last id, or do not become learners.
    pub fn grow(&mut self, leader: NodeId, ids: &[u64]) {
        for &id in ids {
            let label = format!("n{id} joins");
            let change = Change { add: vec![format!("a{id}")], ..Change::default() };
            self.change(leader, &label, &change);
            self.settle();
            self.join(node(id), leader);
            self.run(40);
            let configuration = self.replica(leader).raft().configuration();
            assert!(configuration.learners.contains(&node(id)), "{:?}", self.answer(&label));
        }
    }

    /// As `led_by`, with nodes behind the voters that are learners.
    #[must_use]
    pub fn with_learners(voters: u64, leader: NodeId, learners: &[u64]) -> Self {
        let mut cluster = Self::led_by(voters, leader);
        cluster.grow(leader, learners);
        cluster.told.clear();
        cluster
    }

    /// Asks a node for a change in the words of `change_of`, which are its label too.
    ///
    /// Panics: if the words make no sense.
    pub fn ask(&mut self, id: u64, words: &str) {
        let parts: Vec<&str> = words.split(' ').collect();
        let change = change_of(&parts).unwrap_or_else(|why| panic!("{why}"));
        self.change(node(id), words, &change);
    }

    /// Delivers what these nodes send to each other until nothing of it is on its way; all
    /// other messages wait.
    pub fn settle_among(&mut self, ids: &[u64]) {
        let is_among = |envelope: &Envelope| {
            ids.contains(&envelope.from.number()) && ids.contains(&envelope.to.number())
        };
        while self.bag.iter().any(is_among) {
            self.deliver(is_among);
        }
    }

    /// Asks a node that `to` may lead, or whoever has most; told under `label` when it does.
    pub fn transfer(&mut self, id: NodeId, label: &str, to: Option<NodeId>) {
        let ticket = self.ticket(label);
        self.handle(id, Event::Transfer { ticket, to, timeout_us: TRANSFER_TIMEOUT_US });
    }

    /// The members as a running node has them in its log, in words.
    #[must_use]
    pub fn members_at(&self, id: u64) -> String {
        in_words(self.replica(node(id)).raft().configuration())
    }
}

/// A change in words: `add=ADDRESS,..`, `promote=4,5`, `demote=2`, `remove=1,3`,
/// `readdress=2@ADDRESS`, in any order.
///
/// Errors: names the word that makes no sense.
pub fn change_of(words: &[&str]) -> Result<Change, String> {
    let mut change = Change::default();
    for word in words {
        let wrong = || format!("{word:?} is no part of a change");
        let (what, list) = word.split_once('=').ok_or_else(wrong)?;
        let id = |name: &str| name.parse().ok().and_then(NodeId::new).ok_or_else(wrong);
        for name in list.split(',') {
            match what {
                "add" => change.add.push(name.to_owned()),
                "promote" => drop(change.promote.insert(id(name)?)),
                "demote" => drop(change.demote.insert(id(name)?)),
                "remove" => drop(change.remove.insert(id(name)?)),
                "readdress" => {
                    let (name, address) = name.split_once('@').ok_or_else(wrong)?;
                    change.readdress.insert(id(name)?, address.to_owned());
                }
                _ => return Err(wrong()),
            }
        }
    }
    Ok(change)
}

/// The members in a few words.
#[must_use]
pub fn in_words(configuration: &Configuration) -> String {
    let list = |ids: &BTreeSet<NodeId>| {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        ids.join(",")
    };
    let mut words = format!("voters={}", list(&configuration.voters));
    if configuration.is_joint() {
        words += &format!(" outgoing={}", list(&configuration.outgoing));
    }
    if !configuration.learners.is_empty() {
        words += &format!(" learners={}", list(&configuration.learners));
    }
    words
}

/// What was decided about a change, in words.
pub(super) fn decided(answer: &[u8]) -> String {
    match Decision::decode(answer) {
        Some(Decision::Made { added, configuration }) if added.is_empty() => {
            in_words(&configuration)
        }
        Some(Decision::Made { added, configuration }) => {
            let added: Vec<String> = added.iter().map(ToString::to_string).collect();
            format!("{} added={}", in_words(&configuration), added.join(","))
        }
        Some(Decision::Refused(refusal)) => format!("no: {refusal}"),
        None => "an answer that makes no sense".to_owned(),
    }
}
