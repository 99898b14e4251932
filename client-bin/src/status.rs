//! What the nodes of a cluster say of themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use raft_net::client_protocol::{Op, Reply};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::client::first_link;
use crate::dial::{Endpoints, check_address};
use crate::error::ClientError;
use crate::exchange::exchange;

pub use raft_net::client_protocol::NodeStatus;

/// How long one node may take. Shorter than a command, so that a dead node does not hide the
/// others.
const NODE_TIMEOUT: Duration = Duration::from_secs(2);

/// A cluster as its nodes describe it.
#[derive(Clone, Debug)]
pub struct ClusterStatus {
    /// The nodes that answered, by id.
    pub nodes: BTreeMap<u64, NodeStatus>,
    /// Where each of them was reached, which need not be the address that it has for other nodes.
    pub reached: BTreeMap<u64, String>,
    /// The nodes and endpoints that did not, in the order of their addresses.
    pub silent: Vec<SilentNode>,
}

/// A node, or an endpoint, that gave no answer.
#[derive(Clone, Debug)]
pub struct SilentNode {
    /// Where.
    pub address: String,
    /// Its id, if another node names one with this address.
    pub node_id: Option<u64>,
    /// Why.
    pub error: ClientError,
}

impl SilentNode {
    /// Why, in a few words beside its address.
    #[must_use]
    pub fn reason(&self) -> String {
        match &self.error {
            ClientError::Unreachable { .. } | ClientError::NoQuorum { .. } => "no answer".into(),
            error => error.to_string(),
        }
    }
}

impl ClusterStatus {
    /// The node of the highest term, which knows best; a leader before others of its term.
    #[must_use]
    pub fn newest(&self) -> Option<&NodeStatus> {
        self.nodes.values().max_by_key(|node| {
            let leads = node.leader_id == Some(node.node_id);
            (node.term, leads, node.leader_id.is_some())
        })
    }
}

/// Asks one node.
///
/// Errors: `ClientError`, except `Unknown`; `Unreachable` and `NoQuorum` if no answer came
/// within `within`.
pub async fn status(endpoint: &str, within: Duration) -> Result<NodeStatus, ClientError> {
    let deadline = Instant::now() + within;
    let mut endpoints = Endpoints::new(vec![endpoint.to_owned()])?;
    let link = first_link(&mut endpoints, deadline).await?;
    let left = deadline.saturating_duration_since(Instant::now());
    let said = |reply: &Reply<'_>| match reply {
        Reply::Status(status) => Some((**status).clone()),
        _ => None,
    };
    timeout(left, exchange(link, Op::Status, said))
        .await
        .ok()
        .flatten()
        .ok_or_else(|| ClientError::NoQuorum { endpoint: endpoint.to_owned(), last: None })
}

/// Asks the given endpoints and every member that they name, all at the same time.
///
/// Errors: `Rejected` if an endpoint is no address; that of the first endpoint if nobody
/// answers.
pub async fn cluster_status(
    endpoints: &[String],
    within: Duration,
) -> Result<ClusterStatus, ClientError> {
    endpoints.iter().try_for_each(|address| check_address(address))?;
    let mut asked: BTreeSet<String> = endpoints.iter().cloned().collect();
    let mut tasks = JoinSet::new();
    let begin = |tasks: &mut JoinSet<_>, address: String| {
        tasks.spawn(async move {
            let result = status(&address, within.min(NODE_TIMEOUT)).await;
            (address, result)
        });
    };
    asked.iter().for_each(|address| begin(&mut tasks, address.clone()));
    let (mut nodes, mut errors) = (BTreeMap::<u64, NodeStatus>::new(), BTreeMap::new());
    let mut reached = BTreeMap::new();
    while let Some(ended) = tasks.join_next().await {
        let (address, result) = ended.expect("asking a node does not panic");
        match result {
            Err(error) => {
                errors.insert(address, error);
            }
            Ok(node) => {
                for (_, member) in &node.members {
                    if check_address(member).is_ok() && asked.insert(member.clone()) {
                        begin(&mut tasks, member.clone());
                    }
                }
                reached.insert(node.node_id, address);
                nodes.insert(node.node_id, node);
            }
        }
    }
    if nodes.is_empty() {
        return Err(nobody(endpoints, errors));
    }
    Ok(ClusterStatus { silent: silent_nodes(&nodes, errors), nodes, reached })
}

fn nobody(endpoints: &[String], errors: BTreeMap<String, ClientError>) -> ClientError {
    let is_absent = |error: &ClientError| matches!(error, ClientError::Unreachable { .. });
    let all = || ClientError::Unreachable { endpoints: endpoints.join(", ") };
    errors.into_values().find(|error| !is_absent(error)).unwrap_or_else(all)
}

/// What is known of those that did not answer. An endpoint may be another name of a node that
/// answered under its own address, so only members with an unanswered id get one.
fn silent_nodes(
    nodes: &BTreeMap<u64, NodeStatus>,
    errors: BTreeMap<String, ClientError>,
) -> Vec<SilentNode> {
    let members = || nodes.values().flat_map(|node| &node.members);
    let id_of = |address: &str| {
        let member = members().find(|(id, member)| member == address && !nodes.contains_key(id));
        member.map(|(id, _)| *id)
    };
    let silent = |(address, error): (String, ClientError)| SilentNode {
        node_id: id_of(&address),
        address,
        error,
    };
    errors.into_iter().map(silent).collect()
}
