//! What has happened, as far as a property is about it and no node has to remember it.

use std::collections::BTreeMap;

use raft_core::types::{EntryId, NodeId, Term};

use crate::members::Members;

/// An entry as far as two of them can differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Content {
    pub(crate) id: EntryId,
    pub(crate) what: What,
}

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum What {
    /// Something that leaders write for themselves.
    Own,
    Command(u8),
    /// Who is in the cluster from here on.
    Members(Members),
    /// A change was refused.
    Refusal,
}

/// Which entries were removed from a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Removed {
    Entries,
    /// One that changed the members among them.
    Change,
}

impl Content {
    pub(crate) fn is_command(&self) -> bool {
        matches!(self.what, What::Command(_))
    }

    pub(crate) fn is_change(&self) -> bool {
        self.members().is_some()
    }

    pub(crate) fn members(&self) -> Option<Members> {
        match self.what {
            What::Members(members) => Some(members),
            What::Own | What::Command(_) | What::Refusal => None,
        }
    }
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Breach {
    /// A node noticed that something cannot be.
    Panic(String),
    TwoLeaders(Term),
    TwoVotes(Term, NodeId),
    /// A vote left its node before it was on disk.
    VoteNotDurable(Term, NodeId),
    /// Two nodes think that different entries are committed.
    CommittedTwice(EntryId),
    /// A node was elected that had no vote.
    LeaderWithoutVote(Term, NodeId),
    /// What was applied was not committed, or out of order.
    AppliedWrongly(EntryId),
}

/// A committed entry, and who committed it first: in which term, and by a majority of whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Committed {
    pub(crate) content: Content,
    pub(crate) in_term: Term,
    pub(crate) by: Members,
}

/// Something that a node did and that cannot be undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    Leads(Term, NodeId),
    /// A vote is on disk: of whom, for whom.
    Voted(Term, NodeId, NodeId),
    /// A vote is sent: by whom, to whom.
    VoteLeaves(Term, NodeId, NodeId),
    LeadsWithoutVote(Term, NodeId),
    /// A node of this term, whose log says that these are the members, knows that these
    /// entries, from the first one on, are committed.
    Commits(Vec<Content>, Term, Members),
    /// An entry is applied, the first one in place 0.
    Applies(usize, Content),
    Truncates(Removed),
    Panics(String),
}

/// The history of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct History {
    /// Who was elected in each term.
    pub(crate) leaders: BTreeMap<Term, NodeId>,
    /// Whom each node has durably voted for.
    pub(crate) votes: BTreeMap<(Term, NodeId), NodeId>,
    /// By index, from 1.
    pub(crate) committed: Vec<Committed>,
    /// The most that was ever removed from a log.
    pub(crate) removed: Option<Removed>,
    pub(crate) breach: Option<Breach>,
}

impl History {
    /// Whether nothing changes when this is noted.
    pub(crate) fn knows(&self, fact: &Fact) -> bool {
        match fact {
            Fact::Leads(term, node) => self.leaders.get(term) == Some(node),
            Fact::Voted(term, node, candidate) | Fact::VoteLeaves(term, node, candidate) => {
                self.votes.get(&(*term, *node)) == Some(candidate)
            }
            Fact::Commits(known, ..) => {
                known.len() <= self.committed.len()
                    && known.iter().zip(&self.committed).all(|(a, b)| *a == b.content)
            }
            Fact::Applies(place, content) => {
                self.committed.get(*place).is_some_and(|committed| committed.content == *content)
            }
            Fact::Truncates(removed) => Some(*removed) <= self.removed,
            Fact::LeadsWithoutVote(..) | Fact::Panics(_) => false,
        }
    }

    /// Notes what a node did, or that it must not have.
    pub(crate) fn note(&mut self, fact: &Fact) {
        if self.knows(fact) {
            return;
        }
        let breach = match fact {
            Fact::Leads(term, node) => {
                let earlier = self.leaders.insert(*term, *node);
                earlier.map(|_| Breach::TwoLeaders(*term))
            }
            Fact::Voted(term, node, candidate) => {
                let earlier = self.votes.insert((*term, *node), *candidate);
                earlier.map(|_| Breach::TwoVotes(*term, *node))
            }
            Fact::VoteLeaves(term, node, _) => Some(Breach::VoteNotDurable(*term, *node)),
            Fact::LeadsWithoutVote(term, node) => Some(Breach::LeaderWithoutVote(*term, *node)),
            Fact::Commits(known, in_term, by) => {
                let differs = |(a, b): (&Content, &Committed)| (*a != b.content).then_some(a.id);
                let wrong = known.iter().zip(&self.committed).find_map(differs);
                let news = known.iter().skip(self.committed.len());
                let (in_term, by) = (*in_term, *by);
                let committed = |&content: &Content| Committed { content, in_term, by };
                self.committed.extend(news.map(committed));
                wrong.map(Breach::CommittedTwice)
            }
            Fact::Applies(_, content) => Some(Breach::AppliedWrongly(content.id)),
            Fact::Truncates(removed) => {
                self.removed = self.removed.max(Some(*removed));
                None
            }
            Fact::Panics(said) => Some(Breach::Panic(said.clone())),
        };
        self.breach = breach.or_else(|| self.breach.take());
    }
}
