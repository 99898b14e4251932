//! Changes of the membership: what may be asked for, and what becomes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::BufMut;

use super::codec::{self, take_u8, take_u64};
use super::{ADDRESS_BYTES_MAX, Configuration, MEMBERS_MAX};
use crate::teeth::is_removed;
use crate::types::NodeId;

/// What somebody wants changed, all of it at once.
///
/// A change of at most one voter is made in one step, any other one through a joint
/// configuration (Ongaro 2014 §4.1, §4.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Addresses of nodes to be taken in as learners, each under a new id.
    pub add: Vec<String>,
    /// Learners that are to vote, also those that are kept.
    pub promote: BTreeSet<NodeId>,
    /// Voters that are to be learners, until they are promoted by such a change again.
    pub demote: BTreeSet<NodeId>,
    /// Members that are to leave for ever.
    pub remove: BTreeSet<NodeId>,
    /// Members that are reached elsewhere from now on.
    pub readdress: BTreeMap<NodeId, String>,
}

/// Why a change is not made. An answer: the leader decided it in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeRefusal {
    /// The request makes no sense to this version.
    Malformed,
    /// Another change is under way; try again when it is done.
    InProgress,
    /// No such member.
    NotAMember(NodeId),
    /// Only a learner can be promoted.
    NotALearner(NodeId),
    /// Only a voter can be demoted.
    NotAVoter(NodeId),
    /// The node is named in two ways that exclude each other.
    Contradictory(NodeId),
    /// The learner has not shown that it holds nearly everything; try again later.
    NotCaughtUp(NodeId),
    /// Nobody would be left to vote.
    NoVoterLeft,
    /// More voters than the settings allow.
    TooManyVoters,
    /// More members than `MEMBERS_MAX`.
    TooManyMembers,
    /// An address that is empty or longer than `ADDRESS_BYTES_MAX`.
    BadAddress,
    /// Another member has the address.
    AddressTaken(NodeId),
    /// The voters that are there now would be no majority afterwards.
    QuorumUnreachable,
}

/// What the leader decided about a change; the payload of a `Configure` entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The configuration from this entry on.
    Made {
        /// The ids of those who were added, in the order of the request.
        added: Vec<NodeId>,
        /// Who is in the cluster from now on.
        configuration: Configuration,
    },
    /// Everything stays as it was.
    Refused(ChangeRefusal),
}

impl Change {
    /// The payload of a `Change` entry on its way to the leader.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        codec::encode_change(self)
    }

    /// The change in a payload, or `None` if there is none.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        codec::decode_change(payload)
    }

    /// Every member that the change names.
    fn named(&self) -> impl Iterator<Item = NodeId> {
        let sets = [&self.promote, &self.demote, &self.remove];
        sets.into_iter().flatten().copied().chain(self.readdress.keys().copied())
    }
}

impl Configuration {
    /// The configuration that a change leads to, and the ids of those who are added. `joins`
    /// says whether a member has not been heard of yet, so that asking for it to be added once
    /// more means the same one; `voters_max` is how many may vote, at most `VOTERS_MAX`.
    ///
    /// Errors: `ChangeRefusal`; what depends on more than the configuration is checked by the
    /// leader.
    pub fn changed(
        &self,
        change: &Change,
        voters_max: usize,
        joins: impl Fn(NodeId) -> bool,
    ) -> Result<(Self, Vec<NodeId>), ChangeRefusal> {
        if self.is_joint() {
            return Err(ChangeRefusal::InProgress);
        }
        self.check_named(change)?;
        let mut next = self.clone();
        for id in &change.promote {
            next.learners.remove(id);
            next.kept.remove(id);
            next.voters.insert(*id);
        }
        for id in &change.demote {
            next.voters.remove(id);
            next.learners.insert(*id);
            if !is_removed("the-demoted-stay-learners") {
                next.kept.insert(*id);
            }
        }
        for id in &change.remove {
            next.voters.remove(id);
            next.learners.remove(id);
            next.kept.remove(id);
            next.members.remove(id);
        }
        for (&id, address) in &change.readdress {
            next.place(id, address)?;
        }
        let mut added = Vec::new();
        for address in &change.add {
            added.push(next.place_new(address, &joins)?);
        }
        if next.voters.is_empty() {
            return Err(ChangeRefusal::NoVoterLeft);
        }
        if self.voters.len().max(voters_max) < next.voters.len() {
            return Err(ChangeRefusal::TooManyVoters);
        }
        if 1 < self.voters.symmetric_difference(&next.voters).count() {
            next.outgoing.clone_from(&self.voters);
            // Whoever leaves is still needed for majorities of the old half.
            for id in &self.voters {
                next.members.entry(*id).or_insert_with(|| self.members[id].clone());
            }
        }
        if MEMBERS_MAX < next.members.len() {
            return Err(ChangeRefusal::TooManyMembers);
        }
        Ok((next, added))
    }

    fn check_named(&self, change: &Change) -> Result<(), ChangeRefusal> {
        if let Some(id) = change.named().find(|id| !self.is_member(*id)) {
            return Err(ChangeRefusal::NotAMember(id));
        }
        if let Some(id) = change.promote.iter().find(|id| !self.learners.contains(id)) {
            return Err(ChangeRefusal::NotALearner(*id));
        }
        if let Some(id) = change.demote.iter().find(|id| !self.voters.contains(id)) {
            return Err(ChangeRefusal::NotAVoter(*id));
        }
        let moved = change.promote.iter().chain(&change.demote).chain(change.readdress.keys());
        match moved.into_iter().find(|id| change.remove.contains(id)) {
            Some(id) => Err(ChangeRefusal::Contradictory(*id)),
            None => Ok(()),
        }
    }

    /// Puts a new learner at an address; one that is there and has never been heard of is the
    /// one that is meant.
    fn place_new(
        &mut self,
        address: &str,
        joins: impl Fn(NodeId) -> bool,
    ) -> Result<NodeId, ChangeRefusal> {
        let waiting = self.members.iter().find(|(id, at)| *at == address && joins(**id));
        if let Some((&id, _)) = waiting {
            return Ok(id);
        }
        let id = NodeId::new(self.next_id).expect("ids are counted from 1");
        self.place(id, address)?;
        self.learners.insert(id);
        self.next_id += 1;
        Ok(id)
    }

    fn place(&mut self, id: NodeId, address: &str) -> Result<(), ChangeRefusal> {
        if address.is_empty() || ADDRESS_BYTES_MAX < address.len() {
            return Err(ChangeRefusal::BadAddress);
        }
        let mut others = self.members.iter().filter(|(other, _)| **other != id);
        if let Some((&other, _)) = others.find(|(_, at)| *at == address) {
            return Err(ChangeRefusal::AddressTaken(other));
        }
        self.members.insert(id, address.to_owned());
        Ok(())
    }
}

impl Decision {
    /// The payload of a `Configure` entry: 0, the number of ids (2 bytes) and the added ids (8
    /// bytes each), then the configuration; or the code of a refusal and the node it is about
    /// (8 bytes, 0 for none).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Self::Made { added, configuration } => {
                bytes.put_u8(0);
                bytes.put_u16_le(u16::try_from(added.len()).expect("below MEMBERS_MAX"));
                added.iter().for_each(|id| bytes.put_u64_le(id.number()));
                bytes.extend_from_slice(&configuration.encode());
            }
            Self::Refused(refusal) => {
                let (code, about) = refusal.code();
                bytes.put_u8(code);
                bytes.put_u64_le(about.map_or(0, NodeId::number));
            }
        }
        bytes
    }

    /// The decision in a payload, or `None` if there is none.
    #[must_use]
    pub fn decode(mut payload: &[u8]) -> Option<Self> {
        match take_u8(&mut payload)? {
            0 => {
                let (count, mut rest) = payload.split_first_chunk::<2>()?;
                let mut added = Vec::new();
                for _ in 0..u16::from_le_bytes(*count) {
                    added.push(NodeId::new(take_u64(&mut rest)?)?);
                }
                let configuration = Configuration::decode(rest)?;
                Some(Self::Made { added, configuration })
            }
            code => {
                let about = NodeId::new(take_u64(&mut payload)?);
                ChangeRefusal::from_code(code, about).map(Self::Refused)
            }
        }
    }
}

impl ChangeRefusal {
    /// The number by which it travels, never used for anything else, and the node it is about.
    #[must_use]
    pub const fn code(self) -> (u8, Option<NodeId>) {
        match self {
            Self::Malformed => (1, None),
            Self::InProgress => (2, None),
            Self::NotAMember(id) => (3, Some(id)),
            Self::NotALearner(id) => (4, Some(id)),
            Self::NotAVoter(id) => (5, Some(id)),
            Self::Contradictory(id) => (6, Some(id)),
            Self::NotCaughtUp(id) => (7, Some(id)),
            Self::NoVoterLeft => (8, None),
            Self::TooManyVoters => (9, None),
            Self::TooManyMembers => (10, None),
            Self::BadAddress => (11, None),
            Self::AddressTaken(id) => (12, Some(id)),
            Self::QuorumUnreachable => (13, None),
        }
    }

    /// The refusal with this number; `None` if only a later version knows it.
    #[must_use]
    pub const fn from_code(code: u8, about: Option<NodeId>) -> Option<Self> {
        Some(match (code, about) {
            (1, _) => Self::Malformed,
            (2, _) => Self::InProgress,
            (3, Some(id)) => Self::NotAMember(id),
            (4, Some(id)) => Self::NotALearner(id),
            (5, Some(id)) => Self::NotAVoter(id),
            (6, Some(id)) => Self::Contradictory(id),
            (7, Some(id)) => Self::NotCaughtUp(id),
            (8, _) => Self::NoVoterLeft,
            (9, _) => Self::TooManyVoters,
            (10, _) => Self::TooManyMembers,
            (11, _) => Self::BadAddress,
            (12, Some(id)) => Self::AddressTaken(id),
            (13, _) => Self::QuorumUnreachable,
            _ => return None,
        })
    }
}

impl fmt::Display for ChangeRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the change is malformed"),
            Self::InProgress => {
                f.write_str("another change of the members is under way; try again when it is done")
            }
            Self::NotAMember(id) => write!(f, "node {id} is not a member"),
            Self::NotALearner(id) => write!(f, "node {id} is not a learner"),
            Self::NotAVoter(id) => write!(f, "node {id} is not a voter"),
            Self::Contradictory(id) => write!(f, "node {id} is to be removed and changed at once"),
            Self::NotCaughtUp(id) => {
                write!(f, "node {id} has not caught up with the log; try again later")
            }
            Self::NoVoterLeft => f.write_str("nobody would be left to vote"),
            Self::TooManyVoters => f.write_str("there would be more voters than the limit allows"),
            Self::TooManyMembers => write!(f, "a cluster has at most {MEMBERS_MAX} members"),
            Self::BadAddress => {
                write!(f, "an address has between 1 and {ADDRESS_BYTES_MAX} bytes")
            }
            Self::AddressTaken(id) => write!(f, "node {id} has that address"),
            Self::QuorumUnreachable => f.write_str(
                "the voters that can be reached now would be no majority afterwards, and the \
                 cluster would stand still",
            ),
        }
    }
}
