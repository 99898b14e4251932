//! Every invariant that one node can check of itself, numbered, after each input.
//!
//! Cross-node ones (C1 one leader per term, C2 log matching, C3 leader completeness, C4 equal
//! states, C5 durability, C6 linearizability, C7 progress) are checked by the simulator.

use crate::consensus::quorum::VoteResult;
use crate::consensus::raft::{Raft, Role};

/// Checks that:
///
/// * I1 applied ≤ commit ≤ last, and durable ≤ last;
/// * I2 the log ends where its newest term says (contiguity is asserted on append);
/// * I3 the last entry's term is not above the current term;
/// * I4 the term never falls (asserted where it is written);
/// * I5 a vote is given once per term (asserted where it is written);
/// * I6 a leader voted for itself, has an entry of its own term and progress for every peer;
/// * I7 match < next ≤ last + 1 for every follower;
/// * I8 only a node that counts campaigns or leads, and it has voted for itself;
/// * I9, I10 what promises durability is held back while something is being written;
/// * I11 a leader's commit index never lies beyond what it could have counted.
///
/// Panics: if one of them is broken, which is a Fault.
pub(crate) fn check(raft: &Raft) {
    let state = raft.state();
    let log = &state.log;
    let last = log.last();
    assert!(log.applied_index() <= log.commit_index(), "I1 applied ≤ commit");
    assert!(log.commit_index() <= last.index, "I1 commit ≤ last");
    assert!(log.durable_index() <= last.index, "I1 durable ≤ last");
    assert_eq!(log.term_at(last.index), Some(last.term), "I2 the log ends in its last term");
    assert!(last.term <= state.term(), "I3 the last entry's term {last} ≤ {:?}", state.term());
    assert!(
        !state.persistence.is_idle() || state.persistence.held_count() == 0,
        "I10 nothing is held back for a disk that has nothing to do"
    );
    match raft.role() {
        Role::Follower(role) => {
            assert!(role.leader != Some(state.id()), "a follower does not follow itself");
        }
        Role::PreCandidate(campaign) => {
            assert!(state.counts(), "I8 only a node that counts campaigns");
            assert!(campaign.counts_own(state.id()), "I8 it would vote for itself");
        }
        Role::Candidate(campaign) => {
            assert!(state.counts(), "I8 only a node that counts campaigns");
            assert_eq!(state.vote(), Some(state.id()), "I8 it voted for itself");
            assert_ne!(campaign.result(state), VoteResult::Won, "I8 a winner leads");
        }
        Role::Leader(role) => {
            assert!(state.counts(), "I8 only a node that counts leads");
            assert_eq!(state.vote(), Some(state.id()), "I6 a leader voted for itself");
            assert_eq!(last.term, state.term(), "I6 a leader has an entry of its own term");
            assert!(role.first_index() <= last.index, "I6 its first entry is in the log");
            assert_eq!(role.progress().len(), state.peers().len(), "I6 progress for every peer");
            for (peer, progress) in role.progress() {
                assert!(
                    progress.match_index() < progress.next_index(),
                    "I7 match < next for {peer:?}"
                );
                assert!(progress.next_index() <= last.index.next(), "I7 next ≤ last + 1");
                assert!(progress.counted_index <= progress.match_index(), "I11 counted ≤ match");
            }
        }
    }
}
