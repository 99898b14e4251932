//! What Raft tells those who watch it closely: timers and votes, each with its reason.
//!
//! Nothing here is on the way of a command; what moves with every turn is seen from outside by
//! `chronicle`.

use crate::consensus::candidate::Campaign;
use crate::consensus::raft::{Raft, Role};
use crate::consensus::ready::Notice;
use crate::consensus::state::State;
use crate::types::{Index, NodeId, Term, Time};

/// What is voted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ballot {
    /// Whether an election would be worth while (Ongaro 2014 §9.6).
    PreVote,
    /// Who leads a term (Raft §5.2).
    Vote,
}

/// Something small that happened inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The election timer begins.
    TimerBegan {
        /// When it runs out unless a leader is heard of. Units: microseconds from now on.
        wait_us: u64,
    },
    /// The election timer ran out.
    TimerRanOut,
    /// This node asks for votes.
    VotesAsked {
        /// For what.
        ballot: Ballot,
        /// The term that it would lead.
        term: Term,
        /// Whom it asks.
        voters: Vec<NodeId>,
    },
    /// This node was asked for its vote.
    VoteDecided {
        /// For what.
        ballot: Ballot,
        /// The term that the candidate would lead.
        term: Term,
        /// Who asked.
        candidate: NodeId,
        /// Why not; `None` if the vote is given.
        why_not: Option<&'static str>,
    },
    /// An answer came to this node's question for votes.
    VoteCounted {
        /// For what.
        ballot: Ballot,
        /// Whose answer; this node's own vote is counted when it is on disk.
        voter: NodeId,
        /// What it says.
        granted: bool,
        /// As many are for this node by now.
        votes: usize,
    },
}

impl State {
    /// Notes something for those who watch closely.
    pub(super) fn detail(&mut self, detail: Detail) {
        self.notices.push(Notice::Detail(detail));
    }
}

impl Campaign {
    pub(super) fn detail_count(
        &self,
        state: &mut State,
        ballot: Ballot,
        (voter, granted): (NodeId, bool),
    ) {
        let votes = self.answers.values().filter(|granted| **granted).count();
        state.detail(Detail::VoteCounted { ballot, voter, granted, votes });
    }
}

impl Raft {
    /// Notes what a role that was just entered begins with.
    pub(super) fn detail_entry(&mut self, now: Time) {
        let (ballot, term) = match &self.role {
            Role::PreCandidate(_) => (Ballot::PreVote, self.term().next()),
            Role::Candidate(_) => (Ballot::Vote, self.term()),
            Role::Follower(_) | Role::Leader(_) => return self.detail_timer(now),
        };
        let voters = self.state.voting_peers();
        self.state.detail(Detail::VotesAsked { ballot, term, voters });
        self.detail_timer(now);
    }

    /// Notes that the election timer begins anew, of those who have one.
    pub(super) fn detail_timer(&mut self, now: Time) {
        let deadline = match &self.role {
            Role::Follower(role) if self.state.is_electable() => role.election_deadline,
            Role::PreCandidate(campaign) | Role::Candidate(campaign) => campaign.deadline,
            Role::Follower(_) | Role::Leader(_) => return,
        };
        self.state.detail(Detail::TimerBegan { wait_us: deadline.since(now) });
    }

    /// Who holds the log up to this entry, as far as this node knows as a leader; nobody if it
    /// does not lead.
    #[must_use]
    pub fn holders(&self, index: Index) -> Vec<NodeId> {
        let Role::Leader(role) = &self.role else { return Vec::new() };
        let own = (index <= self.log().durable_index()).then(|| self.config().id);
        let holds = role.progress().iter().filter(|(_, progress)| index <= progress.match_index());
        let mut holders: Vec<NodeId> = own.into_iter().chain(holds.map(|(&id, _)| id)).collect();
        holders.sort_unstable();
        holders
    }
}
