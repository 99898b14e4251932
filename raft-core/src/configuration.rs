//! Who is in the cluster, and how that may change (Ongaro 2014 §4.1, §4.2.1, §4.3).
//!
//! A configuration is in force on a node from the moment it stands in that node's log. Every
//! entry that changes it carries the whole new one, so that nothing has to be added up.

mod change;
mod codec;

use std::collections::{BTreeMap, BTreeSet};

use crate::types::{Index, NodeId};

pub use change::{Change, ChangeRefusal, Decision};

/// The most nodes that can vote, whatever the settings say.
pub const VOTERS_MAX: usize = 50;

/// The most members, learners included, and those who leave until a joint configuration is left;
/// when full, nobody can be added.
pub const MEMBERS_MAX: usize = 100;

/// The longest address of a member; a longer one is refused. Units: bytes.
pub const ADDRESS_BYTES_MAX: usize = 255;

/// The members of the cluster and what each of them is.
///
/// Invariant: `voters` is not empty once the cluster is known; voters, outgoing voters and
/// learners are members; nobody is a voter and a learner; who is kept is a learner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Configuration {
    /// Every member and where it is reached; the text means something to the network only.
    pub members: BTreeMap<NodeId, String>,
    /// The nodes that vote. In a joint configuration: the new half.
    pub voters: BTreeSet<NodeId>,
    /// The old half of a joint configuration; empty otherwise.
    pub outgoing: BTreeSet<NodeId>,
    /// The members that receive everything and decide nothing.
    pub learners: BTreeSet<NodeId>,
    /// The learners that stay learners until they are asked to be promoted: voters once, which
    /// somebody demoted.
    pub kept: BTreeSet<NodeId>,
    /// The number of the next member: ids are never reused.
    pub next_id: u64,
}

impl Configuration {
    /// A configuration of these voters, whose addresses nobody needs.
    #[must_use]
    pub fn of(voters: impl IntoIterator<Item = NodeId>) -> Self {
        Self::founding(voters.into_iter().map(|id| (id, String::new())).collect())
    }

    /// The configuration that a cluster begins with: everybody votes.
    #[must_use]
    pub fn founding(members: BTreeMap<NodeId, String>) -> Self {
        let voters: BTreeSet<NodeId> = members.keys().copied().collect();
        let next_id = voters.last().map_or(1, |last| last.number() + 1);
        Self { members, voters, next_id, ..Self::default() }
    }

    /// The configuration that a node knows before its log has told it one: those named in
    /// `learners` do not vote, and every other member does.
    #[must_use]
    pub fn known(members: BTreeMap<NodeId, String>, learners: &BTreeSet<NodeId>) -> Self {
        let mut known = Self::founding(members);
        known.learners = known.voters.intersection(learners).copied().collect();
        known.voters.retain(|id| !learners.contains(id));
        known
    }

    /// How many voters make a majority of the new half: ⌊n/2⌋ + 1, dead or alive.
    #[must_use]
    pub fn quorum(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    /// Whether decisions need a majority of the old voters and one of the new ones.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Each set of voters of which a majority is needed.
    pub fn halves(&self) -> impl Iterator<Item = &BTreeSet<NodeId>> {
        [&self.voters, &self.outgoing].into_iter().filter(|half| !half.is_empty())
    }

    /// Whether the node votes in either half.
    #[must_use]
    pub fn is_voter(&self, id: NodeId) -> bool {
        self.voters.contains(&id) || self.outgoing.contains(&id)
    }

    /// Whether the node takes part at all.
    #[must_use]
    pub fn is_member(&self, id: NodeId) -> bool {
        self.members.contains_key(&id)
    }

    /// Whether the id was handed out and taken back: it is never a member again.
    #[must_use]
    pub fn was_removed(&self, id: NodeId) -> bool {
        id.number() < self.next_id && !self.is_member(id)
    }

    /// Everybody who votes in either half.
    #[must_use]
    pub fn all_voters(&self) -> BTreeSet<NodeId> {
        self.voters.union(&self.outgoing).copied().collect()
    }

    /// The configuration that a joint one leads to (Ongaro 2014 §4.3).
    #[must_use]
    pub fn left_joint(&self) -> Self {
        let mut left = self.clone();
        left.outgoing.clear();
        left.members.retain(|id, _| left.voters.contains(id) || left.learners.contains(id));
        left
    }

    /// The bytes by which logs, snapshots and segments carry a configuration.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// The configuration in `bytes`, or `None` if they are none.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        codec::decode(bytes)
    }

    /// The configuration that the `Configure` entry at `index` of a log puts in force; `None` if
    /// that only says why nothing was changed.
    ///
    /// Panics: if its payload is none, which is a Fault. Its checksum is right, so a version wrote
    /// it that this one cannot follow: whoever went on would count other voters than the others.
    #[must_use]
    pub fn made_by(index: Index, payload: &[u8]) -> Option<Self> {
        match Decision::decode(payload) {
            Some(Decision::Made { configuration, .. }) => Some(configuration),
            Some(Decision::Refused(_)) => None,
            None => panic!(
                "entry {index} of the log changes the members in a way that this version does not \
                 know; start the version that wrote it, or a later one"
            ),
        }
    }

    fn is_sound(&self) -> bool {
        let are_members = |ids: &BTreeSet<NodeId>| ids.iter().all(|id| self.is_member(*id));
        are_members(&self.voters)
            && are_members(&self.outgoing)
            && are_members(&self.learners)
            && self.voters.is_disjoint(&self.learners)
            && self.kept.is_subset(&self.learners)
            && (!self.voters.is_empty() || self.members.is_empty())
            && self.members.keys().all(|id| id.number() < self.next_id)
    }
}

#[cfg(test)]
mod tests;
