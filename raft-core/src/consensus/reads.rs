//! Linearizable reads without the log (Ongaro 2014 §6.4; etcd: ReadIndex).
//!
//! A read may be answered at the commit index of the moment it was registered, once a quorum
//! has answered something that was sent after that moment: no newer leader can have committed
//! anything before. Each message carries a round, which rises when a read is registered, and
//! each answer echoes it.

use std::collections::VecDeque;

use crate::teeth::is_removed;
use crate::types::{Index, NodeId};

/// Reads that wait for a quorum at most; when full, the oldest is forgotten and its owner
/// asks again.
pub(crate) const READS_WAITING_MAX: usize = 1024;

/// One registered read, of this node or of a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PendingRead {
    /// Chosen by whoever asked.
    pub context: u64,
    /// The follower that asked, or `None` for this node.
    pub requester: Option<NodeId>,
    /// Apply up to here before answering.
    pub index: Index,
    /// A quorum must answer something of this round or a later one.
    pub round: u64,
}

/// The reads of one leader.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reads {
    /// The round that messages sent now carry.
    pub(super) round: u64,
    /// Whether a read was registered in this turn, so that its round is still to be sent.
    pub(super) is_open: bool,
    /// Asked before the leader had committed in its term; they have no index yet.
    pub(super) early: VecDeque<(u64, Option<NodeId>)>,
    pub(super) waiting: VecDeque<PendingRead>,
}

impl Reads {
    /// The round that messages sent now carry.
    pub(crate) fn round(&self) -> u64 {
        self.round
    }

    /// Registers a read at `commit_index`; `None` if the leader has not yet committed an
    /// entry of its own term, so that it does not know what is committed (Raft §8).
    pub(crate) fn register(
        &mut self,
        context: u64,
        from: Option<NodeId>,
        commit_index: Option<Index>,
    ) {
        let Some(index) = commit_index else {
            if READS_WAITING_MAX <= self.early.len() {
                self.early.pop_front();
            }
            self.early.push_back((context, from));
            return;
        };
        if !self.is_open {
            self.is_open = true;
            self.round += u64::from(self.round == 0 || !is_removed("reads-open-a-round"));
        }
        if READS_WAITING_MAX <= self.waiting.len() && !is_removed("reads-do-not-pile-up") {
            self.waiting.pop_front();
        }
        let round = self.round;
        self.waiting.push_back(PendingRead { context, requester: from, index, round });
    }

    /// Gives the reads that came too early their index.
    pub(crate) fn committed_in_term(&mut self, commit_index: Index) {
        for (context, from) in std::mem::take(&mut self.early) {
            self.register(context, from, Some(commit_index));
        }
    }

    /// Whether a round was opened in this turn; it is closed now and must be sent to all.
    pub(crate) fn take_open(&mut self) -> bool {
        std::mem::take(&mut self.is_open)
    }

    /// The reads that a quorum's answers to `confirmed_round` release, in order.
    pub(crate) fn confirm(&mut self, confirmed_round: u64) -> Vec<PendingRead> {
        let count = self.waiting.partition_point(|read| {
            read.round <= confirmed_round || is_removed("reads-need-a-majority")
        });
        self.waiting.drain(..count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_sent_after_the_read_release_it() {
        let mut reads = Reads::default();
        reads.register(7, None, Some(Index(3)));
        assert!(reads.take_open());
        reads.register(8, NodeId::new(2), Some(Index(4)));
        assert!(reads.take_open() && !reads.take_open());
        let released = reads.confirm(1);
        assert_eq!(
            released.iter().map(|r| (r.context, r.index)).collect::<Vec<_>>(),
            [(7, Index(3))]
        );
        assert_eq!(reads.confirm(1), []);
        assert_eq!(reads.confirm(2)[0].requester, NodeId::new(2));
    }

    #[test]
    fn a_read_before_the_first_commit_of_the_term_gets_its_index_then() {
        let mut reads = Reads::default();
        reads.register(1, None, None);
        assert!(!reads.take_open() && reads.confirm(u64::MAX).is_empty());
        reads.committed_in_term(Index(9));
        assert!(reads.take_open());
        assert_eq!(reads.confirm(1)[0].index, Index(9));
    }
}
