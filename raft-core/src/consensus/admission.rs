//! How a node with an empty directory comes to count (design: identity).
//!
//! It may have been part of the cluster and forgotten it, so its word is worth nothing until
//! either enough others say that they have never taken part in anything, or a committed entry
//! binds its id to this very directory.

use std::collections::BTreeMap;

use crate::consensus::message::Message;
use crate::consensus::ready::Notice;
use crate::consensus::state::State;
use crate::hard_state::Standing;
use crate::teeth::is_removed;
use crate::types::{Incarnation, NodeId, Time};

/// What an unbound node remembers of its asking.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admission {
    pub(super) asked_at: Option<Time>,
}

impl Admission {
    /// Asks every voter now and then whether it is empty too. A node that `is_forsaken` asks
    /// too, because it is told then if it was removed.
    pub(crate) fn tick(&mut self, state: &mut State, now: Time, is_forsaken: bool) {
        let is_unbound = state.standing() == Standing::Unbound;
        let interval = match (is_unbound, is_forsaken && !is_removed("the-forsaken-ask")) {
            (true, _) => state.config.heartbeat_interval_us,
            (false, true) => state.config.election_timeout_us,
            (false, false) => return,
        };
        if self.asked_at.is_some_and(|at| now.since(at) < interval) {
            return;
        }
        if self.asked_at.is_none() && is_unbound {
            state.notices.push(Notice::WaitingFor(self.waiting_for(state)));
        }
        self.asked_at = Some(now);
        state.broadcast(&Message::AskEmpty);
    }

    /// Counts the nodes that have never taken part in anything. So many must say so that the
    /// rest, with this node, cannot have been a majority that committed something which this
    /// node has forgotten: N − quorum + 1.
    pub(crate) fn on_answer(&self, state: &mut State, from: NodeId, empty: bool) {
        if !empty || state.standing() != Standing::Unbound || !state.is_empty() {
            return;
        }
        let configuration = &state.config.configuration;
        // Only who is listed from the beginning has a part in a first start.
        if !configuration.voters.contains(&state.id()) || !configuration.voters.contains(&from) {
            return;
        }
        let is_news = state.said_empty.insert(from);
        let configuration = &state.config.configuration;
        let needed = configuration.voters.len() - configuration.quorum() + 1;
        if needed <= state.said_empty.len() {
            state.admit("enough members have empty directories too: a first start");
        } else if is_news {
            state.notices.push(Notice::WaitingFor(self.waiting_for(state)));
        }
    }

    /// For whom a node with an empty directory waits.
    pub(crate) fn waiting_for(&self, state: &State) -> Vec<NodeId> {
        if state.standing() != Standing::Unbound {
            return Vec::new();
        }
        let mut peers = state.voting_peers();
        peers.retain(|peer| !state.said_empty.contains(peer));
        peers
    }
}

/// Notes that an applied entry bound these nodes to these incarnations; the first binding of
/// an id is the one that counts.
pub(crate) fn bind(state: &mut State, bindings: &BTreeMap<NodeId, Incarnation>) {
    for (&node, &incarnation) in bindings {
        let bound = *state.bindings.entry(node).or_insert(incarnation);
        let is_own = node == state.id() && bound == state.config.incarnation;
        if is_own && state.standing() == Standing::Unbound {
            state.admit("the cluster has taken it in");
        }
    }
}
