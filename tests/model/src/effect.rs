//! What comes of a step of one node, remembered: a node in a known state that does a known thing
//! does again what it did, which is what digests say. Most steps of a check are repetitions.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use raft_core::consensus::message::{Envelope, Message};
use raft_core::hard_state::HardState;

use crate::history::Fact;
use crate::node::{Node, Output};

/// A message on its way.
#[derive(Clone)]
pub(crate) struct Flight {
    pub(crate) digest: u64,
    pub(crate) envelope: Envelope,
}

impl PartialEq for Flight {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Flight {}

/// Something that a node does.
#[derive(Clone)]
pub(crate) enum Deed {
    Take(Arc<Flight>),
    Persist,
    TimeOut,
    Doubt,
    SendHeartbeats,
    CheckQuorum,
    Propose(u8),
    Ask(usize),
    LookAtMembers,
    Restart,
}

/// What came of it.
pub(crate) struct Effect {
    pub(crate) node: Arc<Node>,
    pub(crate) flights: Vec<Arc<Flight>>,
    pub(crate) facts: Vec<Fact>,
    /// Whether something is being written now and nothing was before.
    pub(crate) begins_to_write: bool,
}

thread_local! {
    /// By the digests of the node and of what it does.
    static KNOWN: RefCell<HashMap<(u64, u64), Arc<Effect>>> = RefCell::new(HashMap::new());
}

/// What comes of it when a node does something; if `is_slow`, what it has to write stays on its
/// way to the disk.
pub(crate) fn of(node: &Arc<Node>, deed: &Deed, is_slow: bool) -> Arc<Effect> {
    let key = (node.digest, digest_of(deed, is_slow));
    if let Some(known) = KNOWN.with_borrow(|known| known.get(&key).cloned()) {
        if cfg!(debug_assertions) {
            check_repetition(node, deed, is_slow, &known);
        }
        return known;
    }
    let effect = panic::catch_unwind(AssertUnwindSafe(|| observed(node, deed, is_slow)));
    let effect = Arc::new(effect.unwrap_or_else(|reason| {
        let text = reason.downcast_ref::<String>().cloned();
        let text = text.or_else(|| reason.downcast_ref::<&str>().map(ToString::to_string));
        let facts = vec![Fact::Panics(text.unwrap_or_default())];
        Effect { facts, ..Effect::none(node) }
    }));
    KNOWN.with_borrow_mut(|known| known.insert(key, effect.clone()));
    effect
}

/// Does again what is known and compares: that this is equal for every node of equal digest is
/// what the whole check rests on.
fn check_repetition(node: &Arc<Node>, deed: &Deed, is_slow: bool, known: &Effect) {
    if known.facts.iter().any(|fact| matches!(fact, Fact::Panics(_))) {
        return;
    }
    let again = observed(node, deed, is_slow);
    let sent = |effect: &Effect| effect.flights.iter().map(|it| it.digest).collect::<Vec<_>>();
    assert_eq!(again.node.digest, known.node.digest, "equal states lead to equal states");
    let decide = (again.node.can_decide(), known.node.can_decide());
    assert_eq!(decide.0, decide.1, "nodes in equal states know equally much about the members");
    assert_eq!(sent(&again), sent(known), "nodes in equal states say the same");
    assert_eq!(again.facts, known.facts, "nodes in equal states do the same");
    assert_eq!(again.begins_to_write, known.begins_to_write, "and write the same");
}

fn digest_of(deed: &Deed, is_slow: bool) -> u64 {
    let mut hasher = DefaultHasher::new();
    let (which, what) = match deed {
        Deed::Take(flight) => (0, flight.digest),
        Deed::Persist => (1, 0),
        Deed::TimeOut => (2, 0),
        Deed::Doubt => (3, 0),
        Deed::SendHeartbeats => (4, 0),
        Deed::CheckQuorum => (5, 0),
        Deed::Propose(proposal) => (6, u64::from(*proposal)),
        Deed::Restart => (7, 0),
        Deed::Ask(change) => (8, *change as u64),
        Deed::LookAtMembers => (9, 0),
    };
    (which, what, is_slow).hash(&mut hasher);
    hasher.finish()
}

fn observed(before: &Arc<Node>, deed: &Deed, is_slow: bool) -> Effect {
    let mut effect = Effect::none(before);
    let mut node = (**before).clone();
    let output = match deed {
        Deed::Take(flight) => node.take(flight.envelope.clone()),
        Deed::Persist => node.persist(),
        Deed::TimeOut => node.time_out(),
        Deed::Doubt => node.doubt(),
        Deed::SendHeartbeats => node.send_heartbeats(),
        Deed::CheckQuorum => node.check_quorum(),
        Deed::Propose(proposal) => node.propose(*proposal),
        Deed::Ask(change) => node.ask(*change),
        Deed::LookAtMembers => node.look_at_members(),
        Deed::Restart => {
            let (restarted, output) = node.restart();
            node = restarted;
            output
        }
    };
    effect.takes(&node, output);
    effect.begins_to_write = !before.is_writing() && node.is_writing();
    if effect.begins_to_write && !is_slow {
        while node.is_writing() {
            let output = node.persist();
            effect.takes(&node, output);
        }
    }
    let was_elected = node.leads() && !(before.leads() && before.term() == node.term());
    if was_elected && !node.may_lead() {
        effect.facts.push(Fact::LeadsWithoutVote(node.term(), node.id()));
    }
    effect.node = Arc::new(node);
    effect
}

impl Effect {
    fn none(node: &Arc<Node>) -> Self {
        let (flights, facts) = (Vec::new(), Vec::new());
        Self { node: node.clone(), flights, facts, begins_to_write: false }
    }

    fn takes(&mut self, node: &Node, output: Output) {
        let id = node.id();
        if let Some(HardState { term, vote: Some(candidate), .. }) = output.hard_state {
            self.facts.push(Fact::Voted(term, id, candidate));
        }
        if node.leads() {
            self.facts.push(Fact::Leads(node.term(), id));
        }
        self.facts.push(node.commits());
        let applied = (output.applied_before..).zip(output.applied);
        self.facts.extend(applied.map(|(place, content)| Fact::Applies(place, content)));
        self.facts.extend(output.removed.map(Fact::Truncates));
        for envelope in output.envelopes {
            if matches!(envelope.message, Message::AskEmpty) {
                // All that can come of it is that a removed node keeps quiet.
                continue;
            }
            if matches!(envelope.message, Message::RequestVoteResponse { granted: true }) {
                self.facts.push(Fact::VoteLeaves(envelope.term, id, envelope.to));
            }
            let digest = envelope.digest();
            self.flights.push(Arc::new(Flight { digest, envelope }));
        }
    }
}

impl Flight {
    /// Whether it means nothing to a node, whatever happens: an answer of a term that the node
    /// has durably left, or to a question about one.
    pub(crate) fn is_void_for(&self, receiver: &Node) -> bool {
        let term = receiver.durable_term();
        match &self.envelope.message {
            Message::RequestVoteResponse { .. }
            | Message::AppendEntriesResponse { .. }
            | Message::HeartbeatResponse { .. } => self.envelope.term < term,
            Message::PreVoteResponse { next_term, .. } => {
                *next_term <= term && self.envelope.term <= term
            }
            Message::PreVote { .. }
            | Message::RequestVote { .. }
            | Message::AppendEntries { .. }
            | Message::Heartbeat { .. }
            | Message::ReadIndex { .. }
            | Message::ReadIndexResponse { .. }
            | Message::TimeoutNow
            | Message::Transfer { .. }
            | Message::InstallSnapshot { .. }
            | Message::InstallSnapshotResponse { .. }
            | Message::NotAMember
            | Message::Space { .. }
            | Message::StateHash { .. }
            | Message::AgreedHash { .. }
            | Message::RequestSnapshot { .. }
            | Message::AskEmpty
            | Message::AnswerEmpty { .. }
            | Message::AskPromise { .. }
            | Message::Promise { .. }
            | Message::Forward { .. } => false,
        }
    }
}
