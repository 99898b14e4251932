//! What a change of the members would lead to, by what the nodes say now and without asking
//! for anything.

use std::collections::BTreeSet;
use std::fmt;

use raft_core::configuration::{ChangeRefusal, Configuration, VOTERS_MAX};
use raft_core::types::NodeId;
use raft_net::client_protocol::{KEPT_LEARNER, LEARNER, OUTGOING};
use raft_net::member_change::MemberChange;
use serde::Serialize;

use crate::status::ClusterStatus;

/// Who votes, and how many of them are needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Voting {
    /// The ids of the voters.
    pub voters: Vec<u64>,
    /// How many of them make decisions.
    pub quorum: usize,
    /// How many of them answered just now.
    pub answering: usize,
}

/// What a change would lead to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberPlan {
    /// As it is.
    pub now: Voting,
    /// As it would be.
    pub afterwards: Voting,
    /// The ids of the learners as they would be, without those that are to be added.
    pub learners: Vec<u64>,
    /// The addresses that would be added.
    pub added: Vec<String>,
    /// Whether majorities of both the old and the new voters decide for a moment.
    pub is_joint: bool,
}

/// Why a change would not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The change makes no sense, whoever the members are.
    #[error("{0}")]
    Senseless(String),
    /// The leader would refuse it.
    #[error("{0}")]
    Refused(ChangeRefusal),
    /// No node that answers knows who the members are.
    #[error("no node says who the members are; see: kvctl status")]
    NobodyKnows,
}

impl MemberPlan {
    /// What `change` would lead to if it were asked for now. How far learners are behind is not
    /// known here, and the leader may still refuse to promote one.
    ///
    /// Errors: `PlanError` in one line.
    pub fn of(cluster: &ClusterStatus, change: &MemberChange) -> Result<Self, PlanError> {
        let change = change.to_change().map_err(PlanError::Senseless)?;
        let current = configuration(cluster).ok_or(PlanError::NobodyKnows)?;
        let (next, _) =
            current.changed(&change, VOTERS_MAX, |_| false).map_err(PlanError::Refused)?;
        let voting = |voters: &BTreeSet<NodeId>| Voting {
            voters: numbers(voters),
            quorum: voters.len() / 2 + 1,
            answering: voters.iter().filter(|id| answers(cluster, **id)).count(),
        };
        let (now, afterwards) = (voting(&current.voters), voting(&next.voters));
        let is_dead = |voting: &Voting| voting.answering < voting.quorum;
        if is_dead(&afterwards) || (next.is_joint() && is_dead(&now)) {
            return Err(PlanError::Refused(ChangeRefusal::QuorumUnreachable));
        }
        let known = next.learners.iter().copied().filter(|id| current.is_member(*id));
        let learners = numbers(&known.collect());
        Ok(Self { now, afterwards, learners, added: change.add, is_joint: next.is_joint() })
    }
}

/// Whether a node answered, and takes part.
fn answers(cluster: &ClusterStatus, id: NodeId) -> bool {
    cluster.nodes.get(&id.number()).is_some_and(|node| node.waiting_for.is_empty())
}

fn numbers(ids: &BTreeSet<NodeId>) -> Vec<u64> {
    ids.iter().map(|id| id.number()).collect()
}

/// The configuration by the word of the node that knows best.
fn configuration(cluster: &ClusterStatus) -> Option<Configuration> {
    let newest = cluster.newest()?;
    let id = |number: &u64| NodeId::new(*number);
    let members = newest.members.iter().filter_map(|(number, at)| Some((id(number)?, at.clone())));
    let mut known = Configuration::founding(members.collect());
    for (number, role) in &newest.member_roles {
        let id = id(number)?;
        match role.as_str() {
            OUTGOING => drop(known.outgoing.insert(id)),
            LEARNER => drop(known.learners.insert(id)),
            KEPT_LEARNER => {
                known.learners.insert(id);
                known.kept.insert(id);
            }
            _ => continue,
        }
        known.voters.remove(&id);
    }
    (!known.voters.is_empty()).then_some(known)
}

impl fmt::Display for Voting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { voters, quorum, answering } = self;
        let names: Vec<String> = voters.iter().map(u64::to_string).collect();
        let spare = answering.saturating_sub(*quorum);
        let (many, noun) = (voters.len(), if voters.len() == 1 { "voter" } else { "voters" });
        let names = names.join(" ");
        write!(f, "{many} {noun} ({names}), {quorum} needed, {answering} answer, ")?;
        match spare {
            0 => f.write_str("none may fail"),
            spare => write!(f, "{spare} more may fail"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use raft_net::client_protocol::{NodeStatus, VOTER};

    use super::*;

    /// A cluster of members with their roles, of whom those answer.
    fn cluster(roles: &[(u64, &str)], answering: &[u64]) -> ClusterStatus {
        let members = roles.iter().map(|(id, _)| (*id, format!("host{id}:2379"))).collect();
        let status = NodeStatus {
            members,
            member_roles: roles.iter().map(|(id, role)| (*id, (*role).to_owned())).collect(),
            ..NodeStatus::default()
        };
        let node = |id: &u64| (*id, NodeStatus { node_id: *id, ..status.clone() });
        let nodes: BTreeMap<u64, NodeStatus> = answering.iter().map(node).collect();
        ClusterStatus { nodes, reached: BTreeMap::new(), silent: Vec::new() }
    }

    const THREE: &[(u64, &str)] = &[(1, VOTER), (2, VOTER), (3, VOTER), (4, LEARNER)];

    #[test]
    fn a_plan_says_who_votes_before_and_after() {
        let change = MemberChange { promote: vec![4], remove: vec![3], ..MemberChange::default() };
        let plan = MemberPlan::of(&cluster(THREE, &[1, 2, 4]), &change).unwrap();
        let now = Voting { voters: vec![1, 2, 3], quorum: 2, answering: 2 };
        assert_eq!(plan.now, now);
        let afterwards = Voting { voters: vec![1, 2, 4], quorum: 2, answering: 3 };
        assert_eq!(plan.afterwards, afterwards);
        assert!(plan.is_joint);
        assert_eq!(now.to_string(), "3 voters (1 2 3), 2 needed, 2 answer, none may fail");
        let text = afterwards.to_string();
        assert_eq!(text, "3 voters (1 2 4), 2 needed, 3 answer, 1 more may fail");
    }

    #[test]
    fn who_is_added_decides_nothing_yet() {
        let change = MemberChange { add: vec!["new:1".to_owned()], ..MemberChange::default() };
        let plan = MemberPlan::of(&cluster(THREE, &[1, 2, 3, 4]), &change).unwrap();
        assert_eq!(plan.now, plan.afterwards);
        assert_eq!((plan.learners, plan.added), (vec![4], vec!["new:1".to_owned()]));
    }

    #[test]
    fn what_a_leader_would_refuse_is_refused() {
        let refusal = |answering: &[u64], change: MemberChange| {
            MemberPlan::of(&cluster(THREE, answering), &change).unwrap_err().to_string()
        };
        let remove = |id| MemberChange { remove: vec![id], ..MemberChange::default() };
        let gone = refusal(&[1, 3], remove(1));
        assert!(gone.contains("the cluster would stand still"), "{gone}");
        assert!(MemberPlan::of(&cluster(THREE, &[1, 3]), &remove(2)).is_ok());
        assert!(refusal(&[1, 2, 3], remove(9)).contains("node 9 is not a member"));
        assert!(refusal(&[1], MemberChange::default()).contains("names no node"));
        let joint = &[(1, VOTER), (2, VOTER), (3, OUTGOING)];
        let busy = MemberPlan::of(&cluster(joint, &[1, 2, 3]), &remove(2)).unwrap_err();
        assert_eq!(busy, PlanError::Refused(ChangeRefusal::InProgress));
        let nobody = MemberPlan::of(&cluster(THREE, &[]), &remove(2)).unwrap_err();
        assert_eq!(nobody, PlanError::NobodyKnows);
    }
}
