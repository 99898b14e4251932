//! Why nothing was done to a node or a link.

use raft_core::types::NodeId;
use raft_net::faults::DELAY_MS_MAX;

use super::NODES_MAX;
use crate::error::StartError;
use crate::node::RequestError;

/// Why nothing was done to a node of a cluster, or to a link between two; each says what would
/// make sense instead.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The cluster has no such node.
    #[error("there is no node {id}, only {known}")]
    NoSuchNode {
        /// Which was asked for.
        id: u64,
        /// Which there are.
        known: String,
    },
    /// The node runs already.
    #[error("node {0} is alive")]
    Alive(NodeId),
    /// The node does not run.
    #[error("node {0} is dead")]
    Dead(NodeId),
    /// The node does not start again.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The node stands still.
    #[error("node {0} is paused; resume it first")]
    Paused(NodeId),
    /// The node does not stand still.
    #[error("node {0} is not paused; status shows who is")]
    NotPaused(NodeId),
    /// Nobody is dead.
    #[error("every node is alive")]
    NobodyDead,
    /// Nobody stands still.
    #[error("no node is paused")]
    NobodyPaused,
    /// A link has two ends.
    #[error("a node has no link to itself; name two different nodes, not {0} twice")]
    Itself(NodeId),
    /// The link is cut.
    #[error("the link from node {0} to node {1} is cut already; heal {0} {1} mends it")]
    Cut(NodeId, NodeId),
    /// There is nothing to mend on this link.
    #[error("nothing is wrong between nodes {0} and {1}; status shows what is")]
    Whole(NodeId, NodeId),
    /// There is nothing to mend at all.
    #[error("no link is cut or delayed")]
    AllWhole,
    /// A delay that nobody would wait for.
    #[error("a delay has at most {DELAY_MS_MAX} ms, not {0}")]
    TooLong(u64),
    /// The node leads.
    #[error("node {0} leads already; step-down {0} ends that")]
    Leads(NodeId),
    /// The node does not lead.
    #[error("node {0} does not lead, so it cannot step down; status shows who does")]
    DoesNotLead(NodeId),
    /// The node may not be elected.
    #[error("node {0} has no vote, so it cannot stand for election; status shows who has one")]
    NoVote(NodeId),
    /// No node is there that could be asked.
    #[error("no node runs that could be asked; revive or resume one")]
    Nobody,
    /// No leader is there whom the cluster could follow, or none in time.
    #[error("nobody leads yet; status shows who does when it has settled")]
    NoLeader,
    /// There are as many nodes as may be.
    #[error("a cluster here has at most {NODES_MAX} nodes; remove one first")]
    Full,
    /// Time stands still.
    #[error("time stands still; thaw lets it go on, step MS for a while")]
    Frozen,
    /// Time does not stand still.
    #[error("time passes; freeze makes it stand still")]
    NotFrozen,
    /// The nodes trust their clocks, which must all go as fast.
    #[error("with lease reads nobody may play with time: promises hold by the nodes' clocks")]
    LeaseReads,
    /// A step that nobody would wait for.
    #[error("a step of that length takes more than a minute in this slow motion; make it shorter")]
    StepTooLong,
    /// The cluster's answer to a request.
    #[error(transparent)]
    Request(#[from] RequestError),
}
