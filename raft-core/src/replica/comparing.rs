//! A replica compares its state with the others', and has it replaced if it differs.

use crate::consensus::message::{Envelope, Message};
use crate::consensus::ready::Notice;
use crate::replica::event::{Query, Refusal};
use crate::replica::fence::{Comparison, HASH_INTERVAL};
use crate::replica::replica::Replica;
use crate::replica::snapshots::SnapshotOrder;
use crate::replica::state_machine::StateMachine;
use crate::types::{Index, Time};

impl<S: StateMachine> Replica<S> {
    /// Notes the state's hash if the entry at `index`, which was just applied, is one at which
    /// states are compared.
    pub(super) fn compare_at(&mut self, index: Index) {
        if !index.0.is_multiple_of(HASH_INTERVAL) {
            return;
        }
        let hash = self.machine.state_hash();
        if self.fence.note(index, hash) {
            self.begin_fence(index);
        }
        let own = self.raft.config().id;
        match self.raft.leader() {
            Some(leader) if leader != own => {
                self.raft.send(leader, Message::StateHash { index, hash });
            }
            Some(_) => self.on_hash(own, (index, hash)),
            None => {}
        }
    }

    /// Takes what others say about states; returns whether that is what the message was.
    pub(super) fn on_comparison(&mut self, envelope: &Envelope) -> bool {
        let (message, from) = (&envelope.message, envelope.from);
        let is_about_states = matches!(
            message,
            Message::StateHash { .. }
                | Message::AgreedHash { .. }
                | Message::RequestSnapshot { .. }
        );
        if !is_about_states || !self.raft.is_acceptable(envelope) {
            return is_about_states;
        }
        let leads = self.raft.leader() == Some(self.raft.config().id);
        match *message {
            Message::StateHash { index, hash } if leads => self.on_hash(from, (index, hash)),
            Message::AgreedHash { index, hash } if self.raft.leader() == Some(from) => {
                self.on_agreed(index, hash);
            }
            Message::RequestSnapshot { least } if leads => self.raft.rebuild_peer(from, least),
            _ => {}
        }
        true
    }

    fn on_hash(&mut self, from: crate::types::NodeId, (index, hash): (Index, u64)) {
        let comparison = self.fence.tell(self.raft.configuration(), from, (index, hash));
        match comparison {
            Comparison::Open => {}
            Comparison::Agreed(hash) => {
                self.raft.send_to_members(&Message::AgreedHash { index, hash });
                self.on_agreed(index, hash);
            }
            Comparison::Hopeless => self.raft.notice(Notice::NoMajorityOfStates { index }),
        }
    }

    fn on_agreed(&mut self, index: Index, hash: u64) {
        if self.fence.agreed(index, hash) {
            self.begin_fence(index);
        }
    }

    /// This node's state is wrong: nobody may see it, and its snapshots are worth nothing.
    fn begin_fence(&mut self, index: Index) {
        self.raft.fence(true);
        self.raft.notice(Notice::Fenced { index });
        if self.builder.building.is_some() {
            self.builder.end(&mut self.sessions, &mut self.machine);
            self.orders.push(SnapshotOrder::Abandon);
        }
        // The file of what is being loaded goes with all others, so it must not cut the log.
        if self.loading.take().is_some() {
            self.raft.install_failed();
        }
        self.orders.push(SnapshotOrder::DiscardAll);
    }

    /// Gives leadership away and asks for another state, from time to time.
    pub(super) fn tend_fence(&mut self, now: Time) {
        if !self.fence.is_fenced() || self.loading.is_some() {
            return;
        }
        let own = self.raft.config().id;
        match self.raft.leader() {
            Some(leader) if leader == own => {
                self.raft.hand_over(now, None);
            }
            Some(leader) => {
                let least = self.raft.log().base().index;
                self.raft.send(leader, Message::RequestSnapshot { least });
            }
            None => {}
        }
    }

    /// Refuses queries while the state is wrong; returns the others.
    pub(super) fn refuse_if_fenced(&mut self, queries: Vec<Query>) -> Vec<Query> {
        if !self.fence.is_fenced() {
            return queries;
        }
        for query in queries {
            self.answers.refuse(query.ticket, Refusal::Fenced);
        }
        Vec::new()
    }
}
