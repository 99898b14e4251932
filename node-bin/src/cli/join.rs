//! `--join`: a node with an empty directory asks a cluster to take it in.
//!
//! What it is told, it starts with: the cluster's id, its own, and who the members are. It
//! counts for nothing until the cluster's log says otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kvorum_client::status::{NodeStatus, status};
use kvorum_client::{Client, ClientError, MemberChange, Options};
use raft_core::configuration::ChangeRefusal;
use raft_core::types::{Incarnation, NodeId};
use raft_net::client_protocol::{ChangeRefused, KEPT_LEARNER, LEARNER};
use raft_net::handshake::{HandshakeError, Identity, try_as_peer};
use raft_net::opens::Door;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::error::StartError;
use crate::node::NodeOptions;

/// How long the cluster may take to answer and to take the node in.
const PATIENCE: Duration = Duration::from_secs(15);

/// The pause before a change is asked for again that was refused because of another one.
const PAUSE: Duration = Duration::from_millis(100);

/// How long one node may take to say what it knows.
const DOOR_PATIENCE: Duration = Duration::from_secs(2);

/// How long the cluster's secret may take to be tried.
const TRIAL: Duration = Duration::from_secs(2);

/// Has the node taken in by the cluster that one of `doors` belongs to, and writes into
/// `options` what it is to start with. `given_id` is the id that an operator has had handed out
/// for it.
///
/// Errors: `StartError::Join` or `Setting` in one line; the node must not start.
pub(super) fn prepare(
    doors: &[String],
    given_id: Option<NodeId>,
    options: &mut NodeOptions,
) -> Result<(), StartError> {
    let address = own_address(options)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Thread)?;
    // The same list may be given to every node; this one cannot let itself in.
    let doors: Vec<String> = doors.iter().filter(|door| **door != address).cloned().collect();
    if doors.is_empty() {
        let text = format!("--join names only this node itself, {address}; name others");
        return Err(StartError::Setting(text));
    }
    let joining = Joining { doors, deadline: Instant::now() + PATIENCE, address };
    let place = runtime.block_on(joining.find_place(given_id, options));
    // A name that is still being resolved must not hold up the start.
    runtime.shutdown_timeout(Duration::ZERO);
    let Place { cluster_id, node_id, members, learners } = place.map_err(StartError::Join)?;
    options.advertise = Some(joining.address);
    (options.cluster_id, options.node_id) = (Some(cluster_id), node_id);
    (options.members, options.learners) = (members, learners);
    Ok(())
}

/// Where others reach this node.
pub(super) fn own_address(options: &NodeOptions) -> Result<String, StartError> {
    if let Some(advertised) = &options.advertise {
        return Ok(advertised.clone());
    }
    let for_peers = options.ports.iter().find(|port| port.door == Door::Peers);
    let (flag, listen, bound) = match for_peers {
        Some(port) => ("--listen-peers", &port.listen, &port.bound),
        None => ("--listen", &options.listen, &options.bound),
    };
    let (host, given) = listen.rsplit_once(':').unwrap_or((listen, ""));
    let port = bound.as_ref().and_then(|bound| bound.local_addr().ok());
    let port = port.map_or_else(|| given.to_owned(), |at| at.port().to_string());
    if ["0.0.0.0", "[::]"].contains(&host) {
        return Err(StartError::Setting(format!(
            "{flag} {listen} does not tell the cluster where this node is; give --advertise"
        )));
    }
    Ok(format!("{host}:{port}"))
}

/// Whether the node can apply what the cluster writes.
fn check_level(node: &NodeStatus, known: u16) -> Result<(), String> {
    let agreed = node.feature_level;
    if agreed <= known {
        return Ok(());
    }
    Err(format!(
        "the cluster has agreed on feature level {agreed}, and this node knows up to {known}; \
         start the version that the others run"
    ))
}

/// What the cluster has told.
struct Place {
    cluster_id: u64,
    node_id: NodeId,
    members: BTreeMap<NodeId, String>,
    learners: BTreeSet<NodeId>,
}

struct Joining {
    doors: Vec<String>,
    deadline: Instant,
    /// Where this node will be reached.
    address: String,
}

impl Joining {
    /// Errors: one line that says why there is no place.
    async fn find_place(
        &self,
        given_id: Option<NodeId>,
        options: &NodeOptions,
    ) -> Result<Place, String> {
        let before = self.ask().await?;
        check_level(&before, options.feature_level_max)?;
        self.try_secret(&before, options).await?;
        if let Some(id) = given_id {
            self.check_given(id, &before)?;
        }
        let node_id = self.be_added(given_id).await?;
        loop {
            let cluster = self.ask().await?;
            match read_place(&cluster, node_id) {
                Some(place) => return Ok(place),
                None if self.deadline <= Instant::now() => {
                    return Err(format!("no node says what node {node_id} is to know; try again"));
                }
                None => sleep(PAUSE).await,
            }
        }
    }

    /// What the door says of itself that knows the latest term.
    async fn ask(&self) -> Result<NodeStatus, String> {
        let (mut newest, mut errors) = (None::<NodeStatus>, Vec::new());
        for door in &self.doors {
            match status(door, DOOR_PATIENCE).await {
                Ok(said) if newest.as_ref().is_none_or(|known| known.term < said.term) => {
                    newest = Some(said);
                }
                Ok(_) => {}
                Err(error) => errors.push(error),
            }
        }
        // What needs a person comes first.
        let is_absent = |error: &ClientError| {
            matches!(error, ClientError::Unreachable { .. } | ClientError::NoQuorum { .. })
        };
        let told = errors.iter().find(|error| !is_absent(error)).map(ToString::to_string);
        newest.ok_or_else(|| {
            told.unwrap_or_else(|| {
                let doors = self.doors.join(", ");
                format!("no node answers at {doors}; give --join the address of one that runs")
            })
        })
    }

    /// Whether a node of the cluster would talk to this one. Clients need no secret, so that it
    /// could be a member without ever being let in.
    async fn try_secret(&self, node: &NodeStatus, options: &NodeOptions) -> Result<(), String> {
        let Some(to) = NodeId::new(node.node_id) else { return Ok(()) };
        let newest = node.members.iter().map(|(id, _)| *id).max().unwrap_or(node.node_id);
        let identity = Identity {
            cluster_id: node.cluster_id,
            node_id: NodeId::new(newest + 1).expect("above another id"),
            incarnation: Incarnation(0),
            secret: options.cluster_secret.clone(),
            address: String::new(),
            feature_level: options.feature_level_max,
        };
        let attempt = async {
            let mut stream = TcpStream::connect(&node.address).await?;
            try_as_peer(&mut stream, &identity, to).await
        };
        match timeout(TRIAL, attempt).await {
            // Whoever does not answer now may do so later, and says then what is wrong.
            Ok(Ok(()) | Err(HandshakeError::Lost(_))) | Err(_) => Ok(()),
            Ok(Err(error)) => Err(format!("{} at {}", error, node.address)),
        }
    }

    /// Whether the id was handed out for a node at this address.
    fn check_given(&self, id: NodeId, cluster: &NodeStatus) -> Result<(), String> {
        let address = &self.address;
        match cluster.members.iter().find(|(member, _)| *member == id.number()) {
            None => Err(format!(
                "node {id} is not a member of the cluster; have it added first: kvctl member add \
                 {address}, or leave --node-id out"
            )),
            Some((_, recorded)) if recorded != address => Err(format!(
                "node {id} is to be at {recorded}, and this one is at {address}; change \
                 --advertise, or the cluster: kvctl member update {id} {address}"
            )),
            Some(_) => Ok(()),
        }
    }

    /// Asks for a place at this node's address until another change is done; asking again for
    /// one that nobody has taken yet gives the same.
    async fn be_added(&self, given_id: Option<NodeId>) -> Result<NodeId, String> {
        let text = |error: ClientError| error.to_string();
        let left = self.deadline.saturating_duration_since(Instant::now());
        let client = Client::connect(self.doors.clone(), Options { timeout: left }).await;
        let client = client.map_err(text)?.until(self.deadline);
        let change = MemberChange { add: vec![self.address.clone()], ..MemberChange::default() };
        loop {
            let refused = match client.change_members(&change).await {
                Ok(added) => match added.first().copied().and_then(NodeId::new) {
                    Some(id) => return Ok(id),
                    None => return Err("the cluster added nobody; upgrade it first".to_owned()),
                },
                Err(ClientError::ChangeRefused(refused)) => refused,
                Err(error) => return Err(text(error)),
            };
            if !is_for_now(&refused) || self.deadline <= Instant::now() {
                return Err(self.turned_down(&refused, given_id));
            }
            sleep(PAUSE).await;
        }
    }

    fn turned_down(&self, refused: &ChangeRefused, given_id: Option<NodeId>) -> String {
        let address = &self.address;
        match (reason(refused), given_id) {
            (Some(ChangeRefusal::AddressTaken(id)), Some(given)) if id == given => format!(
                "node {id} has run before, on another data directory; start it on that one, or \
                 replace it: kvctl member remove {id}, then start without --node-id"
            ),
            (Some(ChangeRefusal::AddressTaken(id)), _) => format!(
                "{address} is the address of node {id}, which has run on another data directory; \
                 start on that one, or remove it first: kvctl member remove {id}"
            ),
            _ => refused.text.clone(),
        }
    }
}

fn reason(refused: &ChangeRefused) -> Option<ChangeRefusal> {
    ChangeRefusal::from_code(refused.code, refused.about.and_then(NodeId::new))
}

/// Whether the same change may be made a little later.
fn is_for_now(refused: &ChangeRefused) -> bool {
    matches!(reason(refused), Some(ChangeRefusal::InProgress | ChangeRefusal::QuorumUnreachable))
}

/// What a node's status says to the new one, if it knows of it.
fn read_place(status: &NodeStatus, node_id: NodeId) -> Option<Place> {
    let pairs = status.members.iter();
    let members: BTreeMap<NodeId, String> =
        pairs.filter_map(|(id, address)| Some((NodeId::new(*id)?, address.clone()))).collect();
    let listens = |role: &str| role == LEARNER || role == KEPT_LEARNER;
    let listens = status.member_roles.iter().filter(|(_, role)| listens(role));
    let mut learners: BTreeSet<NodeId> = listens.filter_map(|(id, _)| NodeId::new(*id)).collect();
    // Whatever it is by now: it does not vote before its own log says so.
    learners.insert(node_id);
    members.contains_key(&node_id).then_some(Place {
        cluster_id: status.cluster_id,
        node_id,
        members,
        learners,
    })
}
