//! Elections: who asks, who grants, who wins (Raft §5.2, §5.4.1; Ongaro 2014 §9.6).

use std::collections::BTreeMap;

use crate::consensus::detail::{Ballot, Detail};
use crate::consensus::message::Message;
use crate::consensus::quorum::{VoteResult, vote_result};
use crate::consensus::raft::Next;
use crate::consensus::state::State;
use crate::teeth::is_removed;
use crate::types::{EntryId, Incarnation, NodeId, Term, Time};

/// A round of questions: pre-votes or votes.
#[derive(Clone, Debug)]
pub(crate) struct Campaign {
    /// What each voter said, this node included once its own vote is durable.
    pub(super) answers: BTreeMap<NodeId, bool>,
    /// Under which incarnation each voter granted.
    pub(super) granted_by: BTreeMap<NodeId, Incarnation>,
    /// When to give up and ask anew.
    pub(super) deadline: Time,
}

impl Campaign {
    /// Asks every voter whether it would vote for this node; changes nothing yet.
    pub(crate) fn pre_vote(state: &mut State, now: Time) -> Self {
        let mut campaign = Self::new(state.campaign_deadline(now, true));
        campaign.answers.insert(state.id(), true);
        let question = Message::PreVote { next_term: state.term().next(), last: state.log.last() };
        state.broadcast(&question);
        campaign
    }

    /// Stands for election in the next term.
    pub(crate) fn vote(state: &mut State, now: Time, transfer: bool) -> Self {
        let mut campaign = Self::new(state.campaign_deadline(now, false));
        let own = state.id();
        if is_removed("own-vote-is-synced") {
            campaign.answers.insert(own, true);
        }
        state.enter_term(state.term().next());
        state.vote_for(own);
        state.broadcast(&Message::RequestVote { last: state.log.last(), transfer });
        // The own vote counts like any other: only once it is on disk.
        state.send_after_sync(own, Message::RequestVoteResponse { granted: true });
        campaign
    }

    fn new(deadline: Time) -> Self {
        Self { answers: BTreeMap::new(), granted_by: BTreeMap::new(), deadline }
    }

    /// The incarnations of the voters that granted.
    pub(crate) fn granted_by(&self) -> &BTreeMap<NodeId, Incarnation> {
        &self.granted_by
    }

    /// Whether this node's own vote, or pre-vote, is counted.
    pub(crate) fn counts_own(&self, own: NodeId) -> bool {
        self.answers.get(&own) == Some(&true)
    }

    pub(crate) fn forgive(&mut self, until: Time) {
        self.deadline = self.deadline.max(until);
    }

    pub(crate) fn tick(&self, state: &State, now: Time) -> Next {
        // The only voter waits for nothing but its own disk, to which asking anew would only
        // give more to do.
        let is_alone = state.voting_peers().is_empty();
        if (is_alone && !is_removed("the-only-voter-waits")) || now < self.deadline {
            return Next::Stay;
        }
        if !state.may_campaign() {
            let (term, reason) = (state.term(), "it may not stand for election any more");
            return Next::Follow { term, leader: None, reason, because_of: None };
        }
        Next::PreCampaign { reason: "the election timer ran out: nobody won" }
    }

    pub(crate) fn on_pre_vote_response(
        &mut self,
        state: &mut State,
        from: NodeId,
        (next_term, granted): (Term, bool),
    ) -> Next {
        // An answer to an earlier question says nothing about this one.
        if next_term != state.term().next() && !is_removed("pre-votes-name-their-term") {
            return Next::Stay;
        }
        self.answers.insert(from, granted);
        self.detail_count(state, Ballot::PreVote, (from, granted));
        match self.result(state) {
            VoteResult::Won => Next::Campaign {
                reason: "a majority would vote for it",
                because_of: None,
                transfer: false,
            },
            VoteResult::Lost | VoteResult::Pending => Next::Stay,
        }
    }

    pub(crate) fn on_request_vote_response(
        &mut self,
        state: &mut State,
        (from, incarnation): (NodeId, Incarnation),
        granted: bool,
    ) -> Next {
        // A voter that repeats itself counts once, and one that granted cannot take it back.
        self.answers.entry(from).or_insert(granted || is_removed("refusals-are-no-votes"));
        if granted {
            self.granted_by.insert(from, incarnation);
        }
        self.detail_count(state, Ballot::Vote, (from, granted));
        match self.result(state) {
            VoteResult::Won => Next::Lead,
            VoteResult::Lost => Next::Follow {
                term: state.term(),
                leader: None,
                reason: "a majority voted against it",
                because_of: Some(from),
            },
            VoteResult::Pending => Next::Stay,
        }
    }

    pub(crate) fn result(&self, state: &State) -> VoteResult {
        vote_result(state.configuration(), |id| self.answers.get(&id).copied())
    }
}

/// Decides on a `RequestVote` of the current term, answers it, and returns whether it was
/// granted (Raft §5.2, §5.4.1). The vote leaves only when it is on disk.
pub(crate) fn on_request_vote(
    state: &mut State,
    now: Time,
    (candidate, last): (NodeId, EntryId),
    leader: Option<NodeId>,
) -> bool {
    if !state.counts() {
        return false;
    }
    let is_free = match state.vote() {
        Some(given) if given == candidate => !is_removed("votes-are-repeated"),
        Some(_) => is_removed("one-vote-per-term"),
        None => leader.is_none(),
    };
    let granted = is_free && is_complete(state, last) && !state.has_promised(now);
    if granted {
        state.vote_for(candidate);
    }
    let why_not = match state.vote() {
        Some(given) if given != candidate => "it has voted for another node in this term",
        _ if leader.is_some() => "it has a leader in this term",
        _ if !is_complete(state, last) => "its own log has more",
        _ => "it has promised to elect nobody yet",
    };
    let (ballot, term) = (Ballot::Vote, state.term());
    let why_not = (!granted).then_some(why_not);
    state.detail(Detail::VoteDecided { ballot, term, candidate, why_not });
    state.send_after_sync(candidate, Message::RequestVoteResponse { granted });
    granted
}

/// Answers a `PreVote`: would this node vote for the sender in `next_term`? Nothing changes
/// here, whatever the answer.
pub(crate) fn on_pre_vote(
    state: &mut State,
    now: Time,
    from: NodeId,
    (next_term, last): (Term, EntryId),
    is_content: bool,
) {
    if !state.counts_durably() {
        return;
    }
    let is_content = is_content && !is_removed("content-voters-refuse");
    let refuses = is_content || state.has_promised(now);
    let granted = state.term() < next_term && is_complete(state, last) && !refuses;
    let why_not = match () {
        () if is_content => "it hears from its leader",
        () if next_term <= state.term() => "it is in a later term",
        () if !is_complete(state, last) => "its own log has more",
        () => "it has promised to elect nobody yet",
    };
    let (ballot, why_not) = (Ballot::PreVote, (!granted).then_some(why_not));
    state.detail(Detail::VoteDecided { ballot, term: next_term, candidate: from, why_not });
    state.send(from, Message::PreVoteResponse { next_term, granted });
}

/// Whether a log that ends in `last` has everything that may be committed (Raft §5.4.1).
fn is_complete(state: &State, last: EntryId) -> bool {
    let own = state.log.last();
    if is_removed("terms-weigh-more-than-lengths") {
        return own.index <= last.index;
    }
    own <= last || is_removed("candidates-are-complete")
}
