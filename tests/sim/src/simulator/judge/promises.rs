//! Nothing that promises durability leaves a node before it is durable, and no promise is
//! given twice.

use std::collections::BTreeMap;

use raft_core::consensus::message::{AppendResult, Envelope, Message};
use raft_core::types::{EntryId, Incarnation, NodeId, Term};

use super::view::View;
use crate::simulator::node::place_of;

/// The votes of a run.
#[derive(Debug, Default)]
pub(super) struct Promises {
    /// Whom each directory voted for in each term.
    votes: BTreeMap<(NodeId, Incarnation, Term), NodeId>,
}

impl Promises {
    /// A message leaves a node.
    pub(super) fn sent(&mut self, views: &mut [View], node: usize, envelope: &Envelope) {
        let Envelope { from, incarnation, to, term, message } = envelope;
        let durable = views[node].durable_state;
        match message {
            Message::RequestVoteResponse { granted: true } => {
                let vote = *self.votes.entry((*from, *incarnation, *term)).or_insert(*to);
                assert_eq!(vote, *to, "I11 n{from} votes twice in term {term}");
                let is_durable =
                    *term < durable.term || (*term == durable.term && durable.vote == Some(*to));
                assert!(is_durable, "I13 n{from} sends a vote before it is durable: {durable:?}");
            }
            Message::AppendEntriesResponse { result, .. } => {
                assert!(*term <= durable.term, "I13 n{from} answers in a term that is not durable");
                let AppendResult::Accepted { match_index } = result else { return };
                let leader = &views[place_of(*to)];
                let expected = leader.at(*match_index).filter(|_| leader.is_leader_of(*term));
                if let Some(mark) = expected {
                    let id = EntryId { term: mark.term, index: *match_index };
                    let may_accept = views[node].may_accept(id, *term);
                    assert!(may_accept, "I13 n{from} accepts {id} before it is durable");
                }
            }
            _ => {}
        }
    }
}
