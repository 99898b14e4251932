//! A node: six actors on two threads, and the handle by which a program embeds it.
//!
//! Each node has a runtime of its own, so that several can live in one process and one can end
//! without the others.

mod asking;
mod listening;
mod on_air;
mod playing;
mod wiring;

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use actix::Recipient;
use bytes::Bytes;
use raft_core::configuration::{ADDRESS_BYTES_MAX, Change, ChangeRefusal, Decision, VOTERS_MAX};
use raft_core::entry::{ClientId, FEATURE_LEVEL, FEATURE_LEVEL_MIN, SessionStamp};
use raft_core::replica::StateMachine;
use raft_core::replica::event::{SessionRefusal, Staleness, Status};
use raft_core::types::NodeId;
use raft_net::discovery::asking::Targets;
use raft_net::discovery::belonging::Elder;
use raft_net::discovery::socket::Airwave;
use raft_net::faults::{Faults, SetFaults};
use raft_net::handshake::ClusterSecret;
use raft_net::opens::{Door, Opens};
use raft_net::switchboard::{Dial, Listen};
use tokio::sync::mpsc as async_mpsc;

use self::asking::Asking;
pub(crate) use self::playing::Pause;
use self::playing::Standstill;
use crate::api::{AskValues, BodyChecks, Call, CallOutcome, Operation};
use crate::consensus::Urge;
use crate::console::ConsoleMessages;
use crate::dashboard::surroundings::Surround;
use crate::directory::{Data, new_incarnation};
use crate::disk::NodeDisk;
use crate::doors::resp::RespOptions;
use crate::error::{NodeEnd, StartError};
use crate::logging::LogControl;
use crate::pace::SetPace;
use crate::playground::Playground;
use crate::story::Story;

/// The default of `NodeOptions::election_timeout_ms`.
pub(crate) const ELECTION_TIMEOUT_MS: u64 = 250;
/// The default of `NodeOptions::heartbeat_interval_ms`.
pub(crate) const HEARTBEAT_INTERVAL_MS: u64 = 50;
/// The default of `NodeOptions::wal_segment_bytes`.
pub(crate) const WAL_SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// The default of `NodeOptions::snapshot_log_bytes`.
pub(crate) const SNAPSHOT_LOG_BYTES: u64 = 64 * 1024 * 1024;
/// The default of `NodeOptions::memory_max`.
pub(crate) const MEMORY_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// The least memory that can be asked for.
pub(crate) const MEMORY_MAX_MIN: u64 = 1024 * 1024;
/// The shortest segment that can be asked for.
pub(crate) const WAL_SEGMENT_BYTES_MIN: u64 = 64 * 1024;
/// The default of `NodeOptions::voter_gone_ms`.
pub(crate) const VOTER_GONE_MS: u64 = raft_core::consensus::config::VOTER_GONE_US / 1_000;
/// The default of `NodeOptions::voters_target`.
pub(crate) const VOTERS_TARGET: usize = 5;

/// How a node reaches others and is reached.
#[derive(Clone, Debug)]
pub enum Wires {
    /// TCP; addresses are `host:port`.
    Tcp,
    /// A switchboard in this process; addresses are names.
    Memory {
        /// Where to take calls.
        listen: Recipient<Listen>,
        /// Where to make them.
        dial: Recipient<Dial>,
    },
}

/// A place of its own for a door.
#[derive(Debug)]
pub struct DoorPort {
    /// The door.
    pub door: Door,
    /// Where to listen; port 0 takes a free one.
    pub listen: String,
    /// The socket for it, if the caller has bound it already.
    pub bound: Option<TcpListener>,
}

/// Where a node meets others that it was not told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meeting {
    /// In a multicast group.
    Group(Airwave),
    /// By asking who is there, and being asked.
    Ask(Targets),
}

/// What a node does beside the log to be found, and to find others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discoverable {
    /// Where it meets them.
    pub meeting: Meeting,
    /// Whether the node, when it is alone in a cluster without anything in it, ends with
    /// `NodeEnd::GaveWay` when it hears of one that it should join.
    pub may_give_way: bool,
}

/// What a node is told when it starts.
#[derive(Debug)]
pub struct NodeOptions {
    /// This node's id.
    pub node_id: NodeId,
    /// Where to listen; port 0 takes a free one.
    pub listen: String,
    /// The socket for it, if the caller has bound it already.
    pub bound: Option<TcpListener>,
    /// What is spoken there; all of it by default.
    pub opens: Opens,
    /// Further places to listen, for one door each.
    pub ports: Vec<DoorPort>,
    /// Where others reach this node; by default where it listens for peers.
    pub advertise: Option<String>,
    /// Every member's address, this node's included, the same on all nodes. Empty: as the
    /// directory has it, and a cluster of one if it is empty too.
    pub members: BTreeMap<NodeId, String>,
    /// Those of the members that do not vote, if the cluster exists already and this node
    /// joins it; what the log says later wins.
    pub learners: BTreeSet<NodeId>,
    /// Whether `members` replaces the addresses that the directory and the log have.
    pub renews_addresses: bool,
    /// The id of the cluster to found, if the directory is empty; by default it follows from
    /// the members.
    pub cluster_id: Option<u64>,
    /// Where to keep what must not be forgotten.
    pub data: Data,
    /// A follower that hears nothing waits at random in [t, 2t). Units: milliseconds.
    pub election_timeout_ms: u64,
    /// How often a leader says that it leads. Units: milliseconds.
    pub heartbeat_interval_ms: u64,
    /// Whether this node, when it leads, promotes learners that have caught up, and replaces
    /// voters that are gone.
    pub auto_promote: bool,
    /// How long it waits for a voter before that counts as gone; zero: for ever. Units:
    /// milliseconds.
    pub voter_gone_ms: u64,
    /// As many voters as such promotions lead to.
    pub voters_target: usize,
    /// Whether nodes promise their leader to elect nobody for an election timeout, so that it
    /// answers reads without asking. The same on all nodes; `docs/raft.md` says what the clocks
    /// must keep to.
    pub lease_reads: bool,
    /// The highest feature level that this node applies: lower than what this version knows, it
    /// holds the whole cluster there, so that the version before can still take its place.
    pub feature_level_max: u16,
    /// The length of a segment of the log. Units: bytes.
    pub wal_segment_bytes: u64,
    /// A snapshot is made when this much log, and as much as the last snapshot has, lies
    /// behind that one. Units: bytes.
    pub snapshot_log_bytes: u64,
    /// How much live data the state machine may hold, as it counts itself, before commands that
    /// add to it are refused with `NoSpace`; what makes room goes on. The same on all nodes: what
    /// the node that is asked is set to counts, and up to a sixteenth above that the leader.
    /// Units: bytes.
    pub memory_max: u64,
    /// What every node of the cluster knows and nobody else.
    pub cluster_secret: Option<ClusterSecret>,
    /// How the node is found beside the log; by default it is not, and when it is reached
    /// elsewhere somebody must have the cluster told. With it, it does that by itself.
    pub discoverable: Option<Discoverable>,
    /// TCP or memory.
    pub wires: Wires,
    /// What is wrong with the wires, if the node's owner may change that while it runs.
    pub faults: Option<Faults>,
    /// Who takes what clients want to see done to the node; nobody by default. A node by itself
    /// needs `faults` for it too.
    pub playground: Option<Playground>,
    /// How long waits are that no setting says. Units: hundredths of their length; more than 100
    /// is slow motion.
    pub time_scale_percent: u64,
    /// Whether every message between actors and nodes is shown on standard error; not by default.
    pub console_messages: Option<ConsoleMessages>,
    /// Who takes what happens on the node while it runs; nobody by default.
    pub story: Option<Story>,
    /// What is refused before it is replicated.
    pub checks: BodyChecks,
    /// Lets Redis clients in, if the state machine is the store that ships.
    pub resp: Option<RespOptions>,
    /// Names by which clients of HTTP may ask for keys, beside those in `listen` and `advertise`,
    /// `localhost`, and addresses. Any other name may be one that somebody lets point here to
    /// have a browser ask.
    pub http_hosts: Vec<String>,
    /// The log of the program, for those who watch it or change its level while the node runs.
    pub logs: Option<LogControl>,
    /// Whether the state machine is `kv_store::store::Store`, whose commands the doors for etcd's
    /// and HTTP's clients speak; without it their connections are turned away.
    pub store_doors: bool,
}

impl NodeOptions {
    /// The default settings of a node that keeps its data there.
    #[must_use]
    pub fn new(node_id: NodeId, listen: &str, data: Data) -> Self {
        Self {
            node_id,
            listen: listen.to_owned(),
            bound: None,
            opens: Opens::ALL,
            ports: Vec::new(),
            advertise: None,
            members: BTreeMap::new(),
            learners: BTreeSet::new(),
            renews_addresses: false,
            cluster_id: None,
            data,
            election_timeout_ms: ELECTION_TIMEOUT_MS,
            heartbeat_interval_ms: HEARTBEAT_INTERVAL_MS,
            auto_promote: true,
            voter_gone_ms: VOTER_GONE_MS,
            voters_target: VOTERS_TARGET,
            lease_reads: false,
            feature_level_max: FEATURE_LEVEL,
            wal_segment_bytes: WAL_SEGMENT_BYTES,
            snapshot_log_bytes: SNAPSHOT_LOG_BYTES,
            memory_max: MEMORY_MAX,
            cluster_secret: None,
            discoverable: None,
            wires: Wires::Tcp,
            faults: None,
            playground: None,
            console_messages: None,
            story: None,
            time_scale_percent: 100,
            checks: BodyChecks { command: |_| Ok(()), query: |_| Ok(()) },
            resp: None,
            http_hosts: Vec::new(),
            logs: None,
            store_doors: false,
        }
    }

    /// Whether the settings make sense together.
    ///
    /// Errors: `StartError::Setting` says which do not.
    pub fn check(&self) -> Result<(), StartError> {
        let (heartbeat, election) = (self.heartbeat_interval_ms, self.election_timeout_ms);
        let wrong = |text: String| Err(StartError::Setting(text));
        if heartbeat == 0 {
            return wrong("the heartbeat interval must be at least 1 ms".to_owned());
        }
        if election < heartbeat.saturating_mul(3) {
            return wrong(format!(
                "the election timeout ({election} ms) must be at least three heartbeat \
                 intervals ({heartbeat} ms each)"
            ));
        }
        if self.wal_segment_bytes < WAL_SEGMENT_BYTES_MIN {
            let bytes = self.wal_segment_bytes;
            return wrong(format!(
                "a log segment of {bytes} bytes is too short, it must have at least \
                 {WAL_SEGMENT_BYTES_MIN}"
            ));
        }
        if self.memory_max < MEMORY_MAX_MIN {
            let bytes = self.memory_max;
            return wrong(format!(
                "{bytes} bytes of memory are too few, there must be at least {MEMORY_MAX_MIN}"
            ));
        }
        if !(FEATURE_LEVEL_MIN..=FEATURE_LEVEL).contains(&self.feature_level_max) {
            let level = self.feature_level_max;
            return wrong(format!(
                "feature level {level} is not known, only {FEATURE_LEVEL_MIN} to {FEATURE_LEVEL} \
                 are"
            ));
        }
        if !(1..=VOTERS_MAX).contains(&self.voters_target) {
            let target = self.voters_target;
            return wrong(format!(
                "{target} voters cannot be aimed at, only 1 to {VOTERS_MAX} can"
            ));
        }
        if !self.members.is_empty() && !self.members.contains_key(&self.node_id) {
            let id = self.node_id;
            return wrong(format!("the list of peers does not name this node, {id}; add it"));
        }
        Ok(())
    }
}

/// What a node's owner, or a Fault, tells its thread.
#[derive(Debug)]
pub(crate) enum Control {
    /// Hand over, finish what is under way, sync, end.
    Stop,
    /// End at once, as if the process had been killed.
    Kill,
    /// There is another cluster that the node should join; ends as for `Stop`.
    GiveWay(Elder),
    /// Stand still for a while.
    Pause(Pause),
    /// An actor has panicked.
    Fault { actor: &'static str },
}

/// What a node says when it runs.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) address: String,
    pub(crate) ports: Vec<(Door, String)>,
    pub(crate) cluster_id: u64,
    pub(crate) members: BTreeMap<NodeId, String>,
    pub(crate) reaches: Reaches,
}

/// How whoever has a node reaches its actors.
#[derive(Debug)]
pub(crate) struct Reaches {
    pub(crate) calls: Recipient<Call>,
    pub(crate) urge: Recipient<Urge>,
    pub(crate) set_faults: Recipient<SetFaults>,
    pub(crate) set_pace: Recipient<SetPace>,
    pub(crate) values: Recipient<AskValues>,
    /// If the node has pages.
    pub(crate) surround: Option<Recipient<Surround>>,
}

/// What a node's thread leaves behind.
#[derive(Debug)]
pub(crate) struct Remains {
    pub(crate) end: NodeEnd,
    /// The disks, unless a Fault took one.
    pub(crate) disks: Option<Disks>,
}

/// The disks of a node that has ended.
#[derive(Debug)]
pub(crate) struct Disks {
    pub(crate) log: NodeDisk,
    pub(crate) snapshots: NodeDisk,
}

/// A running node.
///
/// Dropping it kills the node; `stop` ends it in good order.
#[derive(Debug)]
pub struct Node {
    started: Started,
    control: async_mpsc::UnboundedSender<Control>,
    thread: Option<JoinHandle<Remains>>,
    /// Dropped, it lets the node go on that stands still.
    standstill: Option<Standstill>,
}

/// Why a request of the embedding program got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Nothing was done, because no leader could be reached in time. The hint is the leader
    /// that this node knows of now.
    #[error("no leader was reached in time, nothing was done")]
    NotLeader {
        /// Who leads, as far as known.
        hint: Option<NodeId>,
    },
    /// Nothing was done: too much is in flight. Try again later.
    #[error("too much is in flight, nothing was done")]
    Overloaded,
    /// Nothing was done: the command is too long.
    #[error("the command is longer than an entry may be, nothing was done")]
    TooLarge,
    /// Nothing was done: this node's state differs from the majority's. Ask another node.
    #[error("this node's state differs from the majority's, nothing was done")]
    Fenced,
    /// Nothing was done: there is no room for it, on the disks of a majority or in memory. Try
    /// again when there is; what makes room is not refused for lack of memory.
    #[error("there is no room for it in memory or on the disks of a majority, nothing was done")]
    NoSpace,
    /// Nobody took over leadership in time; who leads stays as it is.
    #[error("nobody took over leadership in time, it stays as it is")]
    NotHandedOver,
    /// The cluster decided not to change the members; everything stays as it was.
    #[error("the members stay as they are: {0}")]
    ChangeRefused(ChangeRefusal),
    /// The session rules decided that the command is not to be executed.
    #[error("the session does not allow it: {0:?}")]
    Session(SessionRefusal),
    /// The command may or may not take effect. Only the same request id may be tried again.
    #[error("the outcome is unknown: the command may or may not take effect")]
    Unknown,
    /// The node has ended.
    #[error("the node has ended")]
    Ended,
}

impl Node {
    /// Starts a node with an empty state machine, and returns when it listens. Its log is
    /// replayed into the machine in the background.
    ///
    /// Errors: `StartError` says what is wrong, where, and what to do; nothing runs then.
    pub fn start<S>(options: NodeOptions, machine: S) -> Result<Self, StartError>
    where
        S: StateMachine + Send + Unpin + 'static,
    {
        options.check()?;
        let (control, orders) = async_mpsc::unbounded_channel();
        let (report, started) = mpsc::channel();
        let for_faults = control.clone();
        let thread = std::thread::Builder::new()
            .name(format!("node-{}", options.node_id))
            .spawn(move || wiring::run(options, machine, (for_faults, orders), &report))
            .map_err(StartError::Thread)?;
        let started = match started.recv() {
            Ok(Ok(started)) => started,
            Ok(Err(error)) => return Err(error),
            Err(mpsc::RecvError) => {
                return Err(StartError::Setting("the node ended while it started".to_owned()));
            }
        };
        Ok(Self { started, control, thread: Some(thread), standstill: None })
    }

    /// Where the node listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.started.address
    }

    /// Where the node listens for one door each.
    #[must_use]
    pub fn ports(&self) -> &[(Door, String)] {
        &self.started.ports
    }

    /// The id of the node's cluster.
    #[must_use]
    pub fn cluster_id(&self) -> u64 {
        self.started.cluster_id
    }

    /// Every member of the node's cluster, as its directory has it.
    #[must_use]
    pub fn members(&self) -> &BTreeMap<NodeId, String> {
        &self.started.members
    }

    /// Replicates a command and returns the state machine's answer, from whichever node.
    ///
    /// With a `request_id` the command takes effect once however often, and through whichever
    /// nodes, it is sent; without one, an `Unknown` outcome cannot be found out.
    ///
    /// Errors: `RequestError`; each says whether and how to try again.
    pub fn propose<C: Into<Bytes>>(
        &self,
        command: C,
        request_id: Option<SessionStamp>,
        timeout: Duration,
    ) -> impl Future<Output = Result<Bytes, RequestError>> + use<C> {
        let (asking, command) = (self.asking(), command.into());
        async move {
            let session = request_id.unwrap_or_default();
            if !raft_core::entry::Draft::fits(command.len()) {
                return Err(RequestError::TooLarge);
            }
            let outcome = asking.call(Operation::Write { command, session }, timeout).await?;
            asking.answer(outcome).await
        }
    }

    /// Hands out a client id, for the request ids of one client; its serials begin at 1.
    ///
    /// The cluster remembers a client for an hour after its last command, and an id for an hour
    /// after it was handed out.
    ///
    /// Errors: `Ended`.
    pub async fn new_client(&self) -> Result<ClientId, RequestError> {
        let issued_at = self.status().await?.log_time;
        Ok(ClientId { issued_at, random: new_incarnation().0 })
    }

    /// Answers a query from a state that has every command whose answer was given before.
    ///
    /// Errors: as `propose`; a query that fails did nothing.
    pub fn query<Q: Into<Bytes>>(
        &self,
        query: Q,
        timeout: Duration,
    ) -> impl Future<Output = Result<Bytes, RequestError>> + use<Q> {
        let (asking, query) = (self.asking(), query.into());
        async move {
            let outcome = asking.call(Operation::Read { query }, timeout).await?;
            asking.answer(outcome).await
        }
    }

    /// Answers a query from the state of this node, at once and however old that is, and says
    /// how old it may be.
    ///
    /// Errors: `Fenced`, `Overloaded`, `Ended`; a query that fails did nothing.
    pub async fn query_locally(
        &self,
        query: impl Into<Bytes>,
        timeout: Duration,
    ) -> Result<(Bytes, Staleness), RequestError> {
        let asking = self.asking();
        match asking.call(Operation::ReadLocally { query: query.into() }, timeout).await? {
            CallOutcome::AnsweredLocally(bytes, staleness) => Ok((bytes, staleness)),
            outcome => Err(asking.answer(outcome).await.err().unwrap_or(RequestError::Ended)),
        }
    }

    /// Waits until this node has applied every command whose answer was given before.
    ///
    /// Errors: as `query`.
    pub async fn read_barrier(&self, timeout: Duration) -> Result<(), RequestError> {
        self.query(Bytes::new(), timeout).await.map(drop)
    }

    /// Changes who is in the cluster, from whichever node, and returns the ids of those who
    /// were added, in the order of the change.
    ///
    /// With a `request_id` the change is made once, as a command with one.
    ///
    /// Errors: `ChangeRefused` says why it was decided against; otherwise as `propose`.
    pub fn change_members(
        &self,
        change: Change,
        request_id: Option<SessionStamp>,
        timeout: Duration,
    ) -> impl Future<Output = Result<Vec<NodeId>, RequestError>> + use<> {
        let asking = self.asking();
        async move {
            let mut addresses = change.add.iter().chain(change.readdress.values());
            if addresses.any(|address| ADDRESS_BYTES_MAX < address.len()) {
                return Err(RequestError::ChangeRefused(ChangeRefusal::BadAddress));
            }
            let session = request_id.unwrap_or_default();
            let outcome = asking.call(Operation::Change { change, session }, timeout).await?;
            match Decision::decode(&asking.answer(outcome).await?) {
                Some(Decision::Made { added, .. }) => Ok(added),
                Some(Decision::Refused(refusal)) => Err(RequestError::ChangeRefused(refusal)),
                // The request id stands for something else, and this is its answer.
                None => Err(RequestError::Session(SessionRefusal::AlreadyAcknowledged)),
            }
        }
    }

    /// Hands leadership over, from whichever node, to `to` or to the voter that has most, and
    /// returns when somebody else leads.
    ///
    /// Errors: `NotHandedOver` if nobody took over in time, or nobody is there who could;
    /// `Ended`.
    pub fn transfer(
        &self,
        to: Option<NodeId>,
        timeout: Duration,
    ) -> impl Future<Output = Result<(), RequestError>> + use<> {
        let asking = self.asking();
        async move {
            let outcome = asking.call(Operation::Transfer { to }, timeout).await?;
            asking.answer(outcome).await.map(drop)
        }
    }

    /// What the node says of itself.
    ///
    /// Errors: `Ended`.
    pub fn status(&self) -> impl Future<Output = Result<Status, RequestError>> + use<> {
        let asking = self.asking();
        async move { asking.status().await }
    }

    /// Whoever waits for an answer need not hold on to the node, which may be ended meanwhile.
    fn asking(&self) -> Asking {
        Asking(self.started.reaches.calls.clone())
    }

    /// Whether the node still runs; a Fault ends it.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Hands leadership over, finishes what is under way, syncs and ends. The port and the
    /// directory are free when it returns.
    pub fn stop(mut self) -> NodeEnd {
        self.end(Control::Stop).end
    }

    /// Ends at once, as if the process had been killed; returns a disk in memory, which can be
    /// started again.
    pub(crate) fn kill(mut self) -> Remains {
        self.end(Control::Kill)
    }

    /// Stops as `stop` does, and returns the disk.
    pub(crate) fn stop_for_disk(mut self) -> Remains {
        self.end(Control::Stop)
    }

    fn end(&mut self, how: Control) -> Remains {
        // A node that has ended by a Fault takes no orders; its thread says how it ended.
        let _ = self.control.send(how);
        self.standstill = None;
        let thread = self.thread.take().expect("a node is ended once");
        let fault = Remains { end: NodeEnd::Fault { actor: "node" }, disks: None };
        thread.join().unwrap_or(fault)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.end(Control::Kill);
        }
    }
}
