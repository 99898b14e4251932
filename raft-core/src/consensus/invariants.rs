//! Every invariant that one node can check of itself, numbered, after each input.
//!
//! The numbers are those of the list in `docs/simulator.md`; what needs a look at several nodes
//! is checked by the simulator.

use crate::consensus::leader::Leader;
use crate::consensus::progress::Flow;
use crate::consensus::quorum::VoteResult;
use crate::consensus::raft::{Raft, Role};
use crate::consensus::reads::READS_WAITING_MAX;
use crate::consensus::state::State;
use crate::types::{Index, NodeId};

/// Checks that:
///
/// * I2 the log ends where its newest term says (contiguity is asserted on append);
/// * I3 a leader has an entry of its own term;
/// * I7 applied ≤ commit ≤ last, and durable ≤ last;
/// * I8 the last entry's term is not above the current term, which never falls (asserted where
///   it is written);
/// * I11 a vote is given once per term (asserted where it is written), and who campaigns or
///   leads has voted for itself;
/// * I12 a leader has progress for every peer, counted ≤ match < next ≤ last + 1;
/// * I13 what promises durability is held back while something is being written;
/// * I14 a leader has at most one change of the members that is not committed;
/// * I15 only a node that counts campaigns or leads; who is elected votes by its newest
///   configuration, or by the one at its commit index or any since (asserted where roles are
///   replaced), and a leader takes no vote away from itself;
/// * I21 a leader has no more appends under way to a follower than its window allows, and no more
///   reads wait for a majority than [`READS_WAITING_MAX`].
///
/// Panics: if one of them is broken, which is a Fault.
pub(crate) fn check(raft: &Raft) {
    let state = raft.state();
    let log = &state.log;
    let last = log.last();
    assert!(log.applied_index() <= log.commit_index(), "I7 applied ≤ commit");
    assert!(log.commit_index() <= last.index, "I7 commit ≤ last");
    assert!(log.durable_index() <= last.index, "I7 durable ≤ last");
    assert_eq!(log.term_at(last.index), Some(last.term), "I2 the log ends in its last term");
    assert!(last.term <= state.term(), "I8 the last entry's term {last} ≤ {:?}", state.term());
    assert!(
        !state.persistence.is_idle() || state.persistence.held_count() == 0,
        "I13 nothing is held back for a disk that has nothing to do"
    );
    match raft.role() {
        Role::Follower(role) => {
            assert!(role.leader != Some(state.id()), "a follower does not follow itself");
        }
        Role::PreCandidate(campaign) => {
            assert!(state.counts(), "I15 only a node that counts campaigns");
            assert!(campaign.counts_own(state.id()), "I11 it would vote for itself");
        }
        Role::Candidate(campaign) => {
            assert!(state.counts(), "I15 only a node that counts campaigns");
            assert_eq!(state.vote(), Some(state.id()), "I11 it voted for itself");
            assert_ne!(campaign.result(state), VoteResult::Won, "I15 a winner leads");
        }
        Role::Leader(role) => {
            assert!(state.counts(), "I15 only a node that counts leads");
            assert_eq!(state.vote(), Some(state.id()), "I11 a leader voted for itself");
            assert_eq!(last.term, state.term(), "I3 a leader has an entry of its own term");
            assert!(role.first_index() <= last.index, "I3 its first entry is in the log");
            assert_eq!(role.progress().len(), state.peers().len(), "I12 progress for every peer");
            let is_voter = state.configuration().is_voter(state.id());
            let found_it = log.membership().made_at() < role.first_index();
            assert!(is_voter || found_it, "I15 a leader takes no vote away from itself");
            for (peer, progress) in role.progress() {
                assert!(
                    progress.match_index() < progress.next_index(),
                    "I12 match < next for {peer:?}"
                );
                assert!(progress.next_index() <= last.index.next(), "I12 next ≤ last + 1");
                assert!(progress.counted_index <= progress.match_index(), "I12 counted ≤ match");
            }
            let commit_index = log.commit_index();
            let open = log.membership().since(commit_index).count() - 1;
            assert!(open <= 1, "I14 {open} changes of the members are not committed");
            check_limits(state, role);
        }
    }
}

fn check_limits(state: &State, role: &Leader) {
    let waiting = role.reads.waiting.len().max(role.reads.early.len());
    assert!(waiting <= READS_WAITING_MAX, "I21 {waiting} reads wait for a majority");
    for (peer, progress) in role.progress() {
        if let Flow::Replicate { in_flight, .. } = &progress.flow {
            let appends = in_flight.len();
            let is_within = appends <= state.config.window_appends_max;
            assert!(is_within, "I21 {appends} appends are under way to {peer:?}");
        }
    }
}

impl Raft {
    /// How far a leader believes each follower to have its log on disk, and whether that was ever
    /// counted, for who can look at that disk; nothing if this node does not lead.
    pub fn match_indexes(&self) -> impl Iterator<Item = (NodeId, Index, bool)> {
        let leader = match self.role() {
            Role::Leader(leader) => Some(leader),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => None,
        };
        let all = leader.into_iter().flat_map(|leader| leader.progress());
        all.map(|(&peer, progress)| {
            (peer, progress.match_index(), progress.counted_index != Index::ZERO)
        })
    }
}
