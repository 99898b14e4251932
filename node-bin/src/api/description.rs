//! What a node says of itself, in the words of the client protocol.

use raft_core::configuration::Configuration;
use raft_core::consensus::ready::RoleName;
use raft_core::replica::event::Status;
use raft_core::types::NodeId;
use raft_net::client_protocol::{KEPT_LEARNER, LEARNER, NodeStatus, OUTGOING, VOTER};

use super::NodeInfo;

/// The role of a node that the cluster has taken out for ever.
const REMOVED: &str = "removed";

pub(super) fn of(info: &NodeInfo, status: &Status) -> NodeStatus {
    let configuration = &status.configuration;
    let members = configuration.members.iter();
    NodeStatus {
        node_id: status.node.number(),
        cluster_id: info.cluster_id,
        role: role(status).to_owned(),
        term: status.term.0,
        leader_id: status.leader.map(|id| id.number()),
        commit_index: status.commit_index.0,
        applied_index: status.applied_index.0,
        last_index: status.last_index.0,
        revision: status.revision,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        address: info.address.clone(),
        waiting_for: status.waiting_for.iter().map(|id| id.number()).collect(),
        state_hash: status.state_hash,
        members: members.clone().map(|(id, at)| (id.number(), at.clone())).collect(),
        member_roles: members
            .map(|(id, _)| (id.number(), part(configuration, *id).to_owned()))
            .collect(),
        snapshot_index: status.snapshot_index.0,
        fenced: status.is_fenced,
        live_bytes: status.live_bytes,
        live_bytes_max: status.live_bytes_max,
        feature_level: status.feature_level,
        feature_level_max: status.feature_level_max,
        incarnations: status.bindings.iter().map(|(id, it)| (id.number(), it.0)).collect(),
    }
}

/// A node that only listens says so, and not that it follows.
pub(super) fn role(status: &Status) -> &'static str {
    let (configuration, node) = (&status.configuration, status.node);
    if status.role == RoleName::Leader {
        status.role.as_str()
    } else if status.is_removed {
        REMOVED
    } else if configuration.is_member(node) && !configuration.is_voter(node) {
        LEARNER
    } else {
        status.role.as_str()
    }
}

pub(super) fn part(configuration: &Configuration, id: NodeId) -> &'static str {
    if configuration.voters.contains(&id) {
        VOTER
    } else if configuration.kept.contains(&id) {
        KEPT_LEARNER
    } else if configuration.learners.contains(&id) {
        LEARNER
    } else {
        OUTGOING
    }
}
