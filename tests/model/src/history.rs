//! What has happened, as far as a property is about it and no node has to remember it.

use std::collections::BTreeMap;

use raft_core::types::{EntryId, NodeId, Term};

/// An entry as far as two of them can differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Content {
    pub(crate) id: EntryId,
    /// Which proposal it is; 0 for the cluster's own entries.
    pub(crate) proposal: u8,
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
    /// What was applied was not committed, or out of order.
    AppliedWrongly(EntryId),
}

/// A committed entry, and the highest term of any node when it first was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Committed {
    pub(crate) content: Content,
    pub(crate) in_term: Term,
}

/// Something that a node did and that cannot be undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    Leads(Term, NodeId),
    /// A vote is on disk: of whom, for whom.
    Voted(Term, NodeId, NodeId),
    /// A vote is sent: by whom, to whom.
    VoteLeaves(Term, NodeId, NodeId),
    /// A node of this term knows that these entries, from the first one on, are committed.
    Commits(Vec<Content>, Term),
    /// An entry is applied, the first one in place 0.
    Applies(usize, Content),
    /// An entry was removed from a log.
    Truncates,
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
    /// Whether an entry was removed from a log.
    pub(crate) has_truncated: bool,
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
            Fact::Commits(known, _) => {
                known.len() <= self.committed.len()
                    && known.iter().zip(&self.committed).all(|(a, b)| *a == b.content)
            }
            Fact::Applies(place, content) => {
                self.committed.get(*place).is_some_and(|committed| committed.content == *content)
            }
            Fact::Truncates => self.has_truncated,
            Fact::Panics(_) => false,
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
            Fact::Commits(known, in_term) => {
                let differs = |(a, b): (&Content, &Committed)| (*a != b.content).then_some(a.id);
                let wrong = known.iter().zip(&self.committed).find_map(differs);
                let news = known.iter().skip(self.committed.len());
                let in_term = *in_term;
                self.committed.extend(news.map(|content| Committed { content: *content, in_term }));
                wrong.map(Breach::CommittedTwice)
            }
            Fact::Applies(_, content) => Some(Breach::AppliedWrongly(content.id)),
            Fact::Truncates => {
                self.has_truncated = true;
                None
            }
            Fact::Panics(said) => Some(Breach::Panic(said.clone())),
        };
        self.breach = breach.or_else(|| self.breach.take());
    }
}
