//! A whole cluster in one process, whose nodes can be killed and revived; what else can be done to
//! them and to the links between them stands in `playground.rs`.

mod doors;
mod error;
mod folders;
mod lesson;
mod links;
mod orders;
mod play;
mod playground;
mod serving;
mod surroundings;
mod time;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;

use actix::{Actor, Recipient};
use actix_rt::System;
use raft_core::replica::StateMachine;
use raft_core::types::{NodeId, Term};
use raft_net::stream;
use raft_net::switchboard::{Dial, Listen, Switchboard};
use tokio::sync::mpsc as mpsc_async;

use self::doors::Doors;
pub use self::error::PlaceError;
use self::folders::{Known, known_cluster, node_directory};
use self::lesson::Lesson;
use self::links::Links;
pub use self::links::Way;
pub use self::orders::Order;
use self::orders::Orders;
pub(crate) use self::play::PATIENCE;
pub(crate) use self::playground::in_time;
use self::time::TimePassing;
use crate::api::BodyChecks;
use crate::console::ConsoleMessages;
use crate::directory::{Data, MemoryData, new_incarnation};
use crate::disk::NodeDisk;
use crate::doors::resp::RespOptions;
use crate::error::{NodeEnd, StartError};
use crate::logging::LogControl;
use crate::node::{
    Disks, ELECTION_TIMEOUT_MS, HEARTBEAT_INTERVAL_MS, MEMORY_MAX, Node, NodeOptions,
    SNAPSHOT_LOG_BYTES, VOTERS_TARGET, Wires,
};
use crate::playground::{Asked, ORDERS_MAX, Playground};
use crate::story::Story;

/// Nodes in one process at most.
pub(crate) const NODES_MAX: u64 = 50;

/// The default length of a segment of the log here. Units: bytes.
const WAL_SEGMENT_BYTES: u64 = 4 * 1024 * 1024;

/// The port that is tried first.
pub const FIRST_PORT: u16 = 2379;

/// How many ports are tried.
const PORTS_TRIED: u16 = 1_000;

/// How the nodes reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Through memory.
    Memory,
    /// Through TCP on loopback.
    Tcp {
        /// The port of the first node, with the others on the next ones; by default the next
        /// free ports from 2379 on. 0 takes any free ports.
        first_port: Option<u16>,
    },
}

/// Where the nodes keep their data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In memory, as long as the cluster lives.
    Memory,
    /// In a folder for each node below this one.
    Directory(PathBuf),
}

/// What a cluster is told when it starts.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// How many nodes, numbered from 1.
    pub nodes: u64,
    /// How they reach each other.
    pub transport: Transport,
    /// Where they keep their data.
    pub storage: Storage,
    /// As `NodeOptions::election_timeout_ms`.
    pub election_timeout_ms: u64,
    /// As `NodeOptions::heartbeat_interval_ms`.
    pub heartbeat_interval_ms: u64,
    /// As `NodeOptions::snapshot_log_bytes`.
    pub snapshot_log_bytes: u64,
    /// As `NodeOptions::memory_max`.
    pub memory_max: u64,
    /// As `NodeOptions::lease_reads`.
    pub lease_reads: bool,
    /// As `NodeOptions::time_scale_percent`; the times above are not changed by it.
    pub time_scale_percent: u64,
    /// Whether clients may play with the nodes; not by default. Whoever owns the cluster then
    /// has done what they want to see, by `next_order` and `serve`.
    pub is_playground: bool,
    /// As `NodeOptions::console_messages`.
    pub console_messages: Option<ConsoleMessages>,
    /// As `NodeOptions::story`.
    pub story: Option<Story>,
    /// As `NodeOptions::checks`.
    pub checks: BodyChecks,
    /// As `NodeOptions::resp`.
    pub resp: Option<RespOptions>,
    /// As `NodeOptions::logs`.
    pub logs: Option<LogControl>,
    /// As `NodeOptions::store_doors`.
    pub store_doors: bool,
}

impl ClusterOptions {
    /// The default settings of a cluster of this many nodes, in memory altogether.
    #[must_use]
    pub fn in_memory(nodes: u64) -> Self {
        Self {
            nodes,
            transport: Transport::Memory,
            storage: Storage::Memory,
            election_timeout_ms: ELECTION_TIMEOUT_MS,
            heartbeat_interval_ms: HEARTBEAT_INTERVAL_MS,
            snapshot_log_bytes: SNAPSHOT_LOG_BYTES,
            memory_max: MEMORY_MAX,
            lease_reads: false,
            time_scale_percent: 100,
            is_playground: false,
            console_messages: None,
            story: None,
            checks: BodyChecks { command: |_| Ok(()), query: |_| Ok(()) },
            resp: None,
            logs: None,
            store_doors: false,
        }
    }
}

#[derive(Debug)]
enum Place {
    Running(Node),
    /// The disk of a node in memory; a directory needs no keeping.
    Dead(Option<MemoryData>),
}

/// A cluster of nodes, each with a state machine of its own.
pub struct LocalCluster<S> {
    options: ClusterOptions,
    machine: Box<dyn Fn() -> S + Send>,
    members: BTreeMap<NodeId, String>,
    cluster_id: u64,
    places: BTreeMap<NodeId, Place>,
    wires: Wires,
    links: Links,
    time: TimePassing,
    /// To whom the nodes hand what clients want to see done.
    players: Option<mpsc_async::Sender<Asked>>,
    orders: Orders,
    lesson: Lesson,
    /// As the story of the cluster knows them.
    links_told: Links,
    /// Ways in for clients, if somebody wanted them.
    doors: Option<Doors>,
    /// Kept until the nodes are gone.
    _exchange: Option<Exchange>,
}

impl<S> fmt::Debug for LocalCluster<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalCluster({:?})", self.members)
    }
}

impl<S: StateMachine + Send + Unpin + 'static> LocalCluster<S> {
    /// Starts the nodes; `machine` makes an empty state machine for each.
    ///
    /// Errors: `StartError` of the first node that does not start; no node runs then.
    pub fn start(
        options: ClusterOptions,
        machine: impl Fn() -> S + Send + 'static,
    ) -> Result<Self, StartError> {
        if !(1..=NODES_MAX).contains(&options.nodes) {
            let nodes = options.nodes;
            let text = format!("a cluster here has 1 to {NODES_MAX} nodes, not {nodes}");
            return Err(StartError::Setting(text));
        }
        let founders = || Known {
            cluster_id: new_incarnation().0,
            ids: (1..=options.nodes).filter_map(NodeId::new).collect(),
        };
        let Known { cluster_id, ids } = known_cluster(&options)?.unwrap_or_else(founders);
        let mut bound = BTreeMap::new();
        let (wires, exchange) = match options.transport {
            Transport::Memory => {
                let exchange = Exchange::open()?;
                (exchange.wires.clone(), Some(exchange))
            }
            Transport::Tcp { first_port } => {
                bound = bind(&ids, Ports::from(first_port))?;
                (Wires::Tcp, None)
            }
        };
        let address = |id: &NodeId| -> Result<String, StartError> {
            match bound.get(id) {
                Some(tcp) => {
                    let at = tcp.local_addr().map_err(|source| listen_error("loopback", source))?;
                    Ok(at.to_string())
                }
                None => Ok(format!("node-{id}")),
            }
        };
        let members: BTreeMap<NodeId, String> =
            ids.iter().map(|id| Ok((*id, address(id)?))).collect::<Result<_, StartError>>()?;
        let machine = Box::new(machine);
        let places = BTreeMap::new();
        let (doors, links) = (None, Links::default());
        let time = TimePassing::of_percent(options.time_scale_percent);
        let asked = options.is_playground.then(|| mpsc_async::channel(ORDERS_MAX));
        let (players, asked) = asked.unzip();
        let mut cluster = Self {
            options,
            machine,
            members,
            cluster_id,
            places,
            wires,
            links,
            time,
            players,
            orders: Orders::of(asked),
            lesson: Lesson::default(),
            links_told: Links::default(),
            doors,
            _exchange: exchange,
        };
        for id in ids {
            let data = match &cluster.options.storage {
                Storage::Memory => Data::Memory(MemoryData::default()),
                Storage::Directory(root) => Data::Directory(node_directory(root, id)),
            };
            let node = cluster.start_node(id, data, (bound.remove(&id), BTreeSet::new()))?;
            cluster.places.insert(id, Place::Running(node));
        }
        cluster.tell_surroundings();
        Ok(cluster)
    }

    fn start_node(
        &self,
        id: NodeId,
        data: Data,
        (bound, learners): (Option<TcpListener>, BTreeSet<NodeId>),
    ) -> Result<Node, StartError> {
        let options = NodeOptions {
            members: self.members.clone(),
            learners,
            renews_addresses: true,
            cluster_id: Some(self.cluster_id),
            election_timeout_ms: self.options.election_timeout_ms,
            heartbeat_interval_ms: self.options.heartbeat_interval_ms,
            wal_segment_bytes: WAL_SEGMENT_BYTES,
            snapshot_log_bytes: self.options.snapshot_log_bytes,
            memory_max: self.options.memory_max,
            lease_reads: self.options.lease_reads,
            time_scale_percent: self.options.time_scale_percent,
            // Everybody who founds it votes.
            voters_target: VOTERS_TARGET.max(self.members.len()),
            faults: Some(self.faults_of(id)),
            playground: self.players.clone().map(Playground::Owner),
            console_messages: self.options.console_messages,
            story: self.options.story.clone(),
            wires: self.wires.clone(),
            checks: self.options.checks,
            resp: self.options.resp,
            logs: self.options.logs.clone(),
            store_doors: self.options.store_doors,
            bound,
            ..NodeOptions::new(id, &self.members[&id], data)
        };
        let node = Node::start(options, (self.machine)())?;
        self.tell_time_to(&node);
        Ok(node)
    }

    /// Every node's id and address.
    #[must_use]
    pub fn members(&self) -> &BTreeMap<NodeId, String> {
        &self.members
    }

    /// Lets clients of the native protocol in: over TCP they are let in anyway, and of a cluster in
    /// memory each node gets a port on loopback, which it keeps. `first_port` is as in
    /// `Transport::Tcp`.
    ///
    /// Errors: `StartError` if there are no such ports.
    pub fn open_doors(&mut self, first_port: Option<u16>) -> Result<(), StartError> {
        let Wires::Memory { dial, .. } = &self.wires else { return Ok(()) };
        let ids = self.members.keys().copied().collect();
        let transport = stream::Transport::Memory(dial.clone());
        let bound = bind(&ids, Ports::from(first_port))?;
        self.doors = Some(Doors::open(bound, &self.members, &transport)?);
        self.tell_surroundings();
        Ok(())
    }

    /// Where clients reach each node, as `host:port`; in memory without doors, nowhere.
    #[must_use]
    pub fn client_addresses(&self) -> BTreeMap<NodeId, String> {
        match (&self.doors, &self.wires) {
            (Some(doors), _) => doors.addresses().clone(),
            (None, Wires::Tcp) => self.members.clone(),
            (None, Wires::Memory { .. }) => BTreeMap::new(),
        }
    }

    /// The node of this id, if it runs and does not stand still.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.living(id).filter(|node| !node.is_paused())
    }

    /// The node of this id, if it runs or stands still.
    fn living(&self, id: NodeId) -> Option<&Node> {
        match self.places.get(&id)? {
            Place::Running(node) if node.is_running() => Some(node),
            // The second has ended by a Fault of its own.
            Place::Dead(_) | Place::Running(_) => None,
        }
    }

    /// The nodes that run and do not stand still.
    pub fn running(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.places.keys().filter_map(|&id| Some((id, self.node(id)?)))
    }

    /// The nodes that do not run.
    #[must_use]
    pub fn dead(&self) -> Vec<NodeId> {
        self.places.keys().copied().filter(|&id| self.living(id).is_none()).collect()
    }

    /// The node that leads, by the word of a majority's newest term; `None` if none does now.
    pub async fn leader(&self) -> Option<NodeId> {
        self.newest_leader().await.map(|(_, leader)| leader)
    }

    /// The same with its term.
    async fn newest_leader(&self) -> Option<(Term, NodeId)> {
        let mut newest = None;
        for (_, node) in self.running() {
            if let Ok(status) = node.status().await {
                let leads = status.leader == Some(status.node);
                newest = newest.max(leads.then_some((status.term, status.node)));
            }
        }
        newest
    }

    /// Ends a node as if its process had been killed; its disk stays.
    ///
    /// Errors: `PlaceError`; nothing was changed then.
    pub fn kill(&mut self, id: NodeId) -> Result<(), PlaceError> {
        self.end(id, Node::kill)
    }

    /// Ends a node in good order; its disk stays.
    ///
    /// Errors: `PlaceError`; nothing was changed then.
    pub fn stop_node(&mut self, id: NodeId) -> Result<(), PlaceError> {
        self.end(id, Node::stop_for_disk)
    }

    fn end(
        &mut self,
        id: NodeId,
        how: impl FnOnce(Node) -> crate::node::Remains,
    ) -> Result<(), PlaceError> {
        let place = self.place(id)?;
        let ended = match std::mem::replace(place, Place::Dead(None)) {
            Place::Running(node) => {
                let was_running = node.is_running();
                let disks = how(node).disks;
                *place = Place::Dead(disks.and_then(in_memory));
                if was_running { Ok(()) } else { Err(PlaceError::Dead(id)) }
            }
            dead @ Place::Dead(_) => {
                *place = dead;
                Err(PlaceError::Dead(id))
            }
        };
        self.tell_surroundings();
        ended
    }

    /// Starts a dead node again on its disk, at its address.
    ///
    /// Errors: `PlaceError`; nothing was changed then.
    pub fn revive(&mut self, id: NodeId) -> Result<(), PlaceError> {
        if self.living(id).is_none() && matches!(self.place(id)?, Place::Running(_)) {
            // It has ended by a Fault: what is left of it is cleared away first.
            let _ = self.end(id, Node::kill);
        }
        let data = match self.place(id)? {
            Place::Running(_) => return Err(PlaceError::Alive(id)),
            // The disk stays in its place until a node runs on it: it may not start.
            Place::Dead(disk) => disk.clone(),
        };
        let data = match (&self.options.storage, data) {
            (Storage::Directory(root), _) => Data::Directory(node_directory(root, id)),
            (Storage::Memory, disk) => Data::Memory(disk.unwrap_or_default()),
        };
        let node = self.start_node(id, data, (None, BTreeSet::new()))?;
        self.places.insert(id, Place::Running(node));
        self.tell_surroundings();
        Ok(())
    }

    fn place(&mut self, id: NodeId) -> Result<&mut Place, PlaceError> {
        let known = self.named();
        self.places.get_mut(&id).ok_or(PlaceError::NoSuchNode { id: id.number(), known })
    }

    /// Every node's number, in words.
    #[must_use]
    pub fn named(&self) -> String {
        let numbers: Vec<u64> = self.members.keys().map(|id| id.number()).collect();
        match numbers.as_slice() {
            [.., last] if (1..=*last).eq(numbers.iter().copied()) => format!("1 to {last}"),
            _ => numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        }
    }

    /// Stops every node that runs, in good order.
    pub fn stop(&mut self) -> Vec<(NodeId, NodeEnd)> {
        let places = std::mem::take(&mut self.places);
        let ends = places.into_iter().filter_map(|(id, place)| match place {
            Place::Running(node) => Some((id, node.stop())),
            Place::Dead(_) => None,
        });
        ends.collect()
    }
}

fn in_memory(disks: Disks) -> Option<MemoryData> {
    match (disks.log, disks.snapshots) {
        (NodeDisk::Memory(log), NodeDisk::Memory(snapshots)) => Some(MemoryData { log, snapshots }),
        (_, NodeDisk::File(_)) | (NodeDisk::File(_), _) => None,
    }
}

fn listen_error(address: &str, source: io::Error) -> StartError {
    StartError::listen("--port", address, source)
}

/// Which ports are taken.
#[derive(Clone, Copy, Debug)]
struct Ports {
    first: u16,
    /// Whether one that is in use is passed over.
    may_try: bool,
}

impl Ports {
    /// As `Transport::Tcp` has them.
    fn from(first_port: Option<u16>) -> Self {
        Self { first: first_port.unwrap_or(FIRST_PORT), may_try: first_port.is_none() }
    }
}

/// Binds a port for each node before any of them starts, since each is told all of them.
fn bind(ids: &BTreeSet<NodeId>, ports: Ports) -> Result<BTreeMap<NodeId, TcpListener>, StartError> {
    let mut bound = BTreeMap::new();
    let Ports { first, may_try } = ports;
    let mut port = first;
    for &id in ids {
        loop {
            let address = format!("127.0.0.1:{port}");
            match TcpListener::bind(&address) {
                Ok(tcp) => {
                    bound.insert(id, tcp);
                    break;
                }
                Err(error) => {
                    let may_try = may_try && port - first < PORTS_TRIED && port < u16::MAX;
                    if error.kind() != io::ErrorKind::AddrInUse || !may_try {
                        return Err(listen_error(&address, error));
                    }
                    port += 1;
                }
            }
        }
        port = if port == 0 { 0 } else { port.saturating_add(1) };
    }
    Ok(bound)
}

/// The switchboard on a thread of its own, which ends when this is dropped.
#[derive(Debug)]
struct Exchange {
    wires: Wires,
    system: System,
    thread: Option<JoinHandle<()>>,
}

impl Exchange {
    fn open() -> Result<Self, StartError> {
        let (report, opened) = mpsc::channel::<(Recipient<Listen>, Recipient<Dial>, System)>();
        let thread = std::thread::Builder::new()
            .name("switchboard".into())
            .spawn(move || {
                let runner = System::new();
                let switchboard = runner.block_on(async { Switchboard::default().start() });
                let (listen, dial) = (switchboard.clone().recipient(), switchboard.recipient());
                let system = runner.block_on(async { System::current() });
                if report.send((listen, dial, system)).is_ok() {
                    // Ends when the cluster stops the system; it has no other result.
                    let _ = runner.run();
                }
            })
            .map_err(StartError::Thread)?;
        let (listen, dial, system) = opened
            .recv()
            .map_err(|_| StartError::Setting("the switchboard did not start".to_owned()))?;
        Ok(Self { wires: Wires::Memory { listen, dial }, system, thread: Some(thread) })
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.system.stop();
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}
