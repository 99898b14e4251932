//! The only place that sees two actor types at once: makes the six and connects them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, Context, Recipient};
use actix_rt::{Arbiter, System};
use bytes::{Bytes, BytesMut};
use kv_store::command::{KeyRange, Query, Selection, Show};
use raft_core::configuration::Configuration;
use raft_core::consensus::RaftConfig;
use raft_core::replica::snapshot_files::SnapshotFiles;
use raft_core::replica::{Replica, StateMachine};
use raft_core::types::{Incarnation, NodeId};
use raft_core::wal::Wal;
use raft_net::Stop;
use raft_net::discovery::Discovery;
use raft_net::discovery::belonging::Elder;
use raft_net::faults::Faults;
use raft_net::handshake::Identity;
use raft_net::listener::{self, Listener};
use raft_net::network::{Facts, Network};
use raft_net::stream::Transport;
use raft_net::switchboard::Listen;
use tokio::sync::{mpsc as async_mpsc, oneshot};

use super::listening::Listening;
use super::on_air;
use super::{Control, Discoverable, Disks, NodeOptions, Reaches, Remains, Started, Wires};
use crate::api::{self, Api, BodyChecks, CallOutcome, Drain, MonitorOptions, NodeInfo, Operation};
use crate::clock::Clock;
use crate::consensus::{self, Consensus, HandOver, Tick, Urge};
use crate::console::{ConsoleMessages, LogFacts, SnapshotFacts, Taps, WatchWords};
use crate::dashboard::surroundings::{SpoiltLinks, Surround};
use crate::dashboard::{self, Dashboard, Introduced, PlaysWith};
use crate::directory::{self, Claim, Opened};
use crate::disk::{FileDisk, NodeDisk};
use crate::doors::resp::RespOptions;
use crate::doors::{Backstage, Behind, Doors, Hashing, Hosts, Introduction, SnapshotSource, Web};
use crate::error::{NodeEnd, StartError};
use crate::fault::FaultGuard;
use crate::log_store::{Close, LogStore};
use crate::monitor::events::Happened;
use crate::pace::SetPace;
use crate::playground::{self, AskedToPlay, Player, Playground};
use crate::snapshot_store::{CloseSnapshots, SnapshotStore};
use crate::story::{Story, Teller};
use crate::ticker;
use crate::watch::{self, Watch, WatchTick};

/// How often time passes for Consensus: fine enough for the waits of a fast fail-over.
const TICK: Duration = Duration::from_millis(5);

/// How often a watch that wants to be told how far it is, and is idle, is told.
const WATCH_TICK: Duration = Duration::from_secs(5);

/// The most voters that may be asked for, unless the settings aim at more.
const VOTERS_MAX: usize = 9;

/// How long a stopping node waits for answers that are under way.
const DRAIN: Duration = Duration::from_secs(2);

type Orders = (async_mpsc::UnboundedSender<Control>, async_mpsc::UnboundedReceiver<Control>);

/// Runs a node on this thread until it ends.
pub(super) fn run<S>(
    options: NodeOptions,
    machine: S,
    (faults, mut orders): Orders,
    report: &mpsc::Sender<Result<Started, StartError>>,
) -> Remains
where
    S: StateMachine + Unpin + 'static,
{
    let system = System::new();
    let (story, node_id) = (options.story.clone(), options.node_id);
    let tell = |event: &str| {
        if let Some(story) = &story {
            story.tell(node_id, event, &[]);
        }
    };
    let stopped = Remains { end: NodeEnd::Stopped, disks: None };
    let remains = system.block_on(async {
        let running = match start(options, machine, &faults).await {
            Ok((running, started)) => {
                // Whoever started the node waits for this.
                if report.send(Ok(started)).is_err() {
                    orders.close();
                }
                running
            }
            Err(error) => {
                let _ = report.send(Err(error));
                return stopped;
            }
        };
        loop {
            match orders.recv().await {
                // The whole thread stands still, and with it whatever the node does but its disk.
                Some(Control::Pause(pause)) => {
                    tell("paused");
                    pause.wait();
                    tell("resumed");
                }
                Some(Control::Stop) => {
                    let remains = running.stop().await;
                    tell("stopped");
                    return remains;
                }
                Some(Control::GiveWay(Elder { cluster_id, address })) => {
                    let end = NodeEnd::GaveWay { cluster_id, address };
                    return Remains { end, ..running.stop().await };
                }
                Some(Control::Kill) | None => {
                    tell("killed");
                    return running.close(false).await;
                }
                Some(Control::Fault { actor }) => {
                    tracing::error!(actor, "this node has ended: an invariant does not hold");
                    tell("failed");
                    let remains = running.close(false).await;
                    return Remains { end: NodeEnd::Fault { actor }, ..remains };
                }
            }
        }
    });
    drop(system);
    remains
}

/// The parts of a node that its end needs.
struct Running {
    actors: Actors,
    lock: Option<std::fs::File>,
    /// How long handing over may take.
    patience: Duration,
}

/// The actors that somebody must stop or ask, and what makes them run.
struct Actors {
    api: Addr<Api>,
    listener: Addr<Listener>,
    network: Addr<Network>,
    hand_over: Recipient<HandOver>,
    discovery: Addr<Discovery>,
    urge: Recipient<Urge>,
    set_pace: Recipient<SetPace>,
    surround: Option<Recipient<Surround>>,
    log_store: Addr<LogStore>,
    log_thread: Arbiter,
    snapshot_store: Addr<SnapshotStore>,
    snapshot_thread: Arbiter,
    /// What acts by itself, now and then.
    tasks: Vec<actix_rt::task::JoinHandle<()>>,
}

impl Actors {
    /// How whoever has the node reaches it.
    fn reaches(&self) -> Reaches {
        Reaches {
            calls: self.api.clone().recipient(),
            values: self.api.clone().recipient(),
            urge: self.urge.clone(),
            set_faults: self.network.clone().recipient(),
            set_pace: self.set_pace.clone(),
            surround: self.surround.clone(),
        }
    }
}

/// What the actors of the wire are made of.
struct Wire {
    identity: Arc<Identity>,
    ports: Vec<listener::Port>,
    wires: Wires,
    listens_at: String,
    members: BTreeMap<NodeId, String>,
    resp: Option<RespOptions>,
    hosts: Hosts,
    discoverable: Option<Discoverable>,
    faults: Option<Faults>,
    playground: Option<Playground>,
    console: Option<ConsoleMessages>,
    story: Option<Story>,
    /// Where peers are reached whatever the log says.
    places: BTreeMap<NodeId, String>,
    /// What its beacons carry.
    sender: u64,
}

type StorageParts = (Wal<NodeDisk>, Option<FileDisk>, SnapshotFiles<NodeDisk>);

async fn start<S: StateMachine + Unpin + 'static>(
    mut options: NodeOptions,
    machine: S,
    faults: &async_mpsc::UnboundedSender<Control>,
) -> Result<(Running, Started), StartError> {
    let listening = Listening::begin(&mut options).await?;
    let address = listening.told(options.advertise.take());
    let hosts = listening.hosts(&address, &options.http_hosts);
    let page = options.store_doors.then(|| listening.page(options.opens, &address)).flatten();
    let settings = raft_settings(&options);
    let Listening { ports, at: listens_at, doors_at } = listening;
    let NodeOptions { members, cluster_id, node_id, data, wires, checks, store_doors, .. } =
        options;
    let claim = Claim {
        node_id,
        members,
        learners: options.learners,
        address: address.clone(),
        cluster_id,
        renews_addresses: options.renews_addresses,
        promise_us: if options.lease_reads { options.election_timeout_ms * 1_000 } else { 0 },
        segment_bytes: options.wal_segment_bytes,
    };
    let directory = data.directory().map(Path::to_owned);
    let opened = directory::open(data, &claim, &machine)?;
    check_level(&opened, settings.feature_level_max)?;
    let Opened { identity, wal, hard_state, log, snapshot, snapshot_files, .. } = opened;
    let (spare_disk, lock) = (opened.spare_disk, opened.lock);
    let configuration = identity.configuration();
    let (cluster_id, members) = (identity.cluster_id, identity.members);
    let clock = Clock::start();
    let (incarnation, promised_us) = (identity.incarnation, opened.promised_us);
    let config = RaftConfig { incarnation, configuration, promised_us, ..settings };
    let replica = match snapshot {
        Some(loaded) => Replica::resume(config, hard_state, log, loaded, clock.now()),
        None => Replica::new(config, hard_state, log, machine, clock.now()),
    };
    let replica = replica.with_live_bytes_max(options.memory_max);
    let (secret, feature_level) = (options.cluster_secret, options.feature_level_max);
    let told = told_address(&address);
    let identity =
        Identity { cluster_id, node_id, incarnation, secret, address: told, feature_level };
    let wire = Wire {
        identity: Arc::new(identity),
        ports,
        wires,
        listens_at: listens_at.clone(),
        members: members.clone(),
        resp: options.resp,
        hosts,
        discoverable: options.discoverable,
        faults: options.faults,
        playground: options.playground,
        console: options.console_messages,
        story: options.story,
        places: if claim.renews_addresses { claim.members } else { BTreeMap::new() },
        sender: directory::new_incarnation().0,
    };
    let info = NodeInfo { cluster_id, node_id: node_id.number(), address, page };
    let storage = (wal, spare_disk, snapshot_files);
    let (logs, probe) = (options.logs, store_doors.then(probe));
    let api = (info, checks, store_doors, MonitorOptions { clock, directory, logs, probe });
    let actors = connect((replica, clock), storage, wire, api, faults);
    let reaches = actors.reaches();
    let patience = hand_over_patience(options.lease_reads, options.election_timeout_ms);
    let running = Running { actors, lock, patience };
    let (address, ports) = (listens_at, doors_at);
    Ok((running, Started { address, ports, cluster_id, members, reaches }))
}

/// How long a hand-over may take until it is given up; with lease reads it begins when promises
/// are over.
fn hand_over_patience(lease_reads: bool, election_timeout_ms: u64) -> Duration {
    let timeouts = if lease_reads { 4 } else { 2 };
    Duration::from_millis(timeouts * election_timeout_ms)
}

/// Whether all that is in the directory can be applied here; a Fault would come too late to be
/// understood.
fn check_level<S>(opened: &Opened<S>, known: u16) -> Result<(), StartError> {
    let of_snapshot = opened.snapshot.as_ref().map_or(0, |(_, loaded)| loaded.state.feature_level);
    let written = opened.log.feature_level().max(of_snapshot);
    if written <= known { Ok(()) } else { Err(StartError::LaterVersion { written, known }) }
}

/// What an operator decides about Raft; the rest is the directory's.
fn raft_settings(options: &NodeOptions) -> RaftConfig {
    RaftConfig {
        election_timeout_us: options.election_timeout_ms * 1_000,
        heartbeat_interval_us: options.heartbeat_interval_ms * 1_000,
        snapshot_log_bytes: options.snapshot_log_bytes,
        seed: directory::new_incarnation().0,
        auto_promote: options.auto_promote,
        voter_gone_us: options.voter_gone_ms.saturating_mul(1_000),
        voters_target: options.voters_target,
        voters_max: VOTERS_MAX.max(options.voters_target),
        lease_reads: options.lease_reads,
        feature_level_max: options.feature_level_max,
        time_scale_percent: options.time_scale_percent,
        ..RaftConfig::new(options.node_id, Incarnation(0), Configuration::default())
    }
}

/// A query that asks nothing of the store.
fn probe() -> Bytes {
    let nothing = Selection::of(KeyRange::single(b"\0"));
    let nothing = Query::Select(Selection { show: Show::Count, ..nothing });
    let mut encoded = BytesMut::new();
    nothing.encode(&mut encoded);
    encoded.freeze()
}

/// The address that peers are told: one that is good for listening only says nothing to them.
fn told_address(address: &str) -> String {
    let is_anywhere = address.parse().is_ok_and(|at: SocketAddr| at.ip().is_unspecified());
    if is_anywhere { String::new() } else { address.to_owned() }
}

/// Makes every actor with the addresses of those that it speaks to.
fn connect<S: StateMachine + Unpin + 'static>(
    (replica, clock): (Replica<S>, Clock),
    (wal, spare_disk, snapshot_files): StorageParts,
    wire: Wire,
    (info, checks, store_doors, monitor): (NodeInfo, BodyChecks, bool, MonitorOptions),
    faults: &async_mpsc::UnboundedSender<Control>,
) -> Actors {
    // Every address exists before any actor runs, so that each is made with all it needs.
    let consensus: Context<Consensus<S>> = Context::new();
    let to_consensus = consensus.address();
    let api: Context<Api> = Context::new();
    let to_api = api.address();
    let log_thread = Arbiter::new();
    let taps = Taps::open(info.node_id, wire.console, faults);
    let aside = (&to_consensus, &taps, faults);
    let log_store = start_log_store((wal, spare_disk), &log_thread, aside);
    let snapshot_thread = Arbiter::new();
    let snapshot_store = start_snapshot_store(snapshot_files, &snapshot_thread, &to_api, aside);
    let network = start_network(&wire, (&to_consensus, &to_api), &taps);
    let watch = start_watch((&to_consensus, &to_api), &taps, faults);
    let mut effects = effects((&log_store, &snapshot_store), (&network, &watch, &to_api));
    effects.story = start_teller(&wire, faults);
    let guard = FaultGuard::new("Consensus", faults);
    consensus.run(Consensus::new(replica, clock, taps.on(effects), guard));
    let page = store_doors.then(|| start_dashboard(&wire, (&info, clock), &to_api, faults));
    let spoilt = page.as_ref().map(|(dashboard, _)| dashboard.clone().recipient());
    let play = start_player(&wire, (&to_consensus, &network, &to_api), spoilt, faults);
    let outlets = api_outlets(&to_consensus, &snapshot_store, &watch, &network);
    let requests = api::Outlets { play, ..outlets };
    let surround = page.as_ref().map(|(dashboard, _)| dashboard.clone().recipient());
    let door_info = page.map(|(dashboard, introduced)| DoorInfo {
        info: info.clone(),
        snapshots: snapshot_source(&to_consensus, &snapshot_store),
        backstage: backstage(&dashboard, introduced, requests.play.clone()),
    });
    let told = (wire.resp.unwrap_or_default(), monitor);
    let guard = FaultGuard::new("Api", faults);
    api.run(Api::new(info, checks, taps.on(requests), told, guard));
    let discovery = start_discovery(&wire, &network);
    let mut tasks = Vec::from(start_tickers(&to_consensus, watch));
    tasks.extend(start_caretaker(&wire, (&to_api, &discovery), faults));
    let listener = start_listener(wire, (&to_api, door_info), (&network, &discovery), faults);
    let (hand_over, urge) = (to_consensus.clone().recipient(), to_consensus.clone().recipient());
    let set_pace = to_consensus.recipient();
    Actors {
        api: to_api,
        listener,
        network,
        hand_over,
        discovery,
        urge,
        set_pace,
        surround,
        log_store,
        log_thread,
        snapshot_store,
        snapshot_thread,
        tasks,
    }
}

/// Where Api's requests go.
fn api_outlets<S: StateMachine + Unpin + 'static>(
    consensus: &Addr<Consensus<S>>,
    snapshot_store: &Addr<SnapshotStore>,
    watch: &Addr<Watch>,
    network: &Addr<Network>,
) -> api::Outlets {
    api::Outlets {
        submit: consensus.clone().recipient(),
        read: consensus.clone().recipient(),
        read_locally: consensus.clone().recipient(),
        greet: consensus.clone().recipient(),
        describe: consensus.clone().recipient(),
        transfer: consensus.clone().recipient(),
        want_snapshot: consensus.clone().recipient(),
        snapshots: snapshot_store.clone().recipient(),
        watch: watch.clone().recipient(),
        monitor_orders: watch.clone().recipient(),
        count_watches: watch.clone().recipient(),
        tune: consensus.clone().recipient(),
        trace: consensus.clone().recipient(),
        spread: network.clone().recipient(),
        inquire: network.clone().recipient(),
        play: None,
    }
}

/// Where what Consensus decides goes.
fn effects(
    (log_store, snapshot_store): (&Addr<LogStore>, &Addr<SnapshotStore>),
    (network, watch, api): (&Addr<Network>, &Addr<Watch>, &Addr<Api>),
) -> consensus::Outlets {
    consensus::Outlets {
        persist: log_store.clone().recipient(),
        fetch: log_store.clone().recipient(),
        cut_before: log_store.clone().recipient(),
        configure: log_store.clone().recipient(),
        snapshots: snapshot_store.clone().recipient(),
        transmit: network.clone().recipient(),
        set_peers: network.clone().recipient(),
        applied: watch.clone().recipient(),
        changes_read: watch.clone().recipient(),
        answered: api.clone().recipient(),
        greeted: api.clone().recipient(),
        described: api.clone().recipient(),
        tuned: api.clone().recipient(),
        traced: api.clone().recipient(),
        happened: api.clone().recipient(),
        story: None,
        role: None,
    }
}

fn start_watch<S: StateMachine + Unpin + 'static>(
    (consensus, api): (&Addr<Consensus<S>>, &Addr<Api>),
    taps: &Taps,
    faults: &async_mpsc::UnboundedSender<Control>,
) -> Addr<Watch> {
    let (read_changes, pushed) = (consensus.clone().recipient(), api.clone().recipient());
    let WatchWords { read_changes, pushed } = taps.on(WatchWords { read_changes, pushed });
    let told = watch::Outlets {
        read_changes,
        pushed,
        due: api.clone().recipient(),
        counted: api.clone().recipient(),
    };
    Watch::new(told, FaultGuard::new("Watch", faults)).start()
}

/// Tells whoever writes it down what happens on the node.
fn start_teller(
    wire: &Wire,
    faults: &async_mpsc::UnboundedSender<Control>,
) -> Option<Recipient<Happened>> {
    let guard = FaultGuard::new("Teller", faults);
    let teller = Teller::new(wire.story.clone()?, wire.identity.node_id.number(), guard);
    Some(teller.start().recipient())
}

/// Makes time pass.
fn start_tickers<S: StateMachine + Unpin + 'static>(
    consensus: &Addr<Consensus<S>>,
    watch: Addr<Watch>,
) -> [actix_rt::task::JoinHandle<()>; 2] {
    let tick = ticker::start(TICK, Tick, consensus.clone().recipient());
    [tick, ticker::start(WATCH_TICK, WatchTick, watch.recipient())]
}

/// To whom the actors with a thread of their own report, and how.
type Aside<'a, S> = (&'a Addr<Consensus<S>>, &'a Taps, &'a async_mpsc::UnboundedSender<Control>);

fn start_log_store<S: StateMachine + Unpin + 'static>(
    log: (Wal<NodeDisk>, Option<FileDisk>),
    log_thread: &Arbiter,
    (consensus, taps, faults): Aside<'_, S>,
) -> Addr<LogStore> {
    let (persisted, fetched) = (consensus.clone().recipient(), consensus.clone().recipient());
    let full = consensus.clone().recipient();
    let LogFacts { persisted, fetched, full } = taps.on(LogFacts { persisted, fetched, full });
    let facts = (persisted, fetched);
    let guard = FaultGuard::new("LogStore", faults);
    LogStore::start_in_arbiter(&log_thread.handle(), move |_| {
        LogStore::new(log, facts, full, guard)
    })
}

fn start_snapshot_store<S: StateMachine + Unpin + 'static>(
    files: SnapshotFiles<NodeDisk>,
    snapshot_thread: &Arbiter,
    api: &Addr<Api>,
    (consensus, taps, faults): Aside<'_, S>,
) -> Addr<SnapshotStore> {
    let (moved, told) = (consensus.clone().recipient(), api.clone().recipient());
    let SnapshotFacts { moved, told } = taps.on(SnapshotFacts { moved, told });
    let guard = FaultGuard::new("SnapshotStore", faults);
    SnapshotStore::start_in_arbiter(&snapshot_thread.handle(), move |_| {
        SnapshotStore::new(files, moved, told, guard)
    })
}

fn start_network<S: StateMachine + Unpin + 'static>(
    wire: &Wire,
    (consensus, api): (&Addr<Consensus<S>>, &Addr<Api>),
    taps: &Taps,
) -> Addr<Network> {
    let transport = match &wire.wires {
        Wires::Tcp => Transport::Tcp,
        Wires::Memory { dial, .. } => Transport::Memory(dial.clone()),
    };
    let facts = Facts {
        received: consensus.clone().recipient(),
        connected: consensus.clone().recipient(),
        lost: consensus.clone().recipient(),
        heard: api.clone().recipient(),
        inquired: api.clone().recipient(),
    };
    let network = Network::new(wire.identity.clone(), transport, taps.on(facts));
    let network = network.with_places(wire.places.clone());
    match &wire.faults {
        Some(faults) => network.with_faults(faults.clone()).start(),
        None => network.start(),
    }
}

/// Takes what clients want to see done to the node, if anybody may play with it.
fn start_player<S: StateMachine + Unpin + 'static>(
    wire: &Wire,
    (consensus, network, api): (&Addr<Consensus<S>>, &Addr<Network>, &Addr<Api>),
    spoilt: Option<Recipient<SpoiltLinks>>,
    faults: &async_mpsc::UnboundedSender<Control>,
) -> Option<Recipient<AskedToPlay>> {
    let playground = wire.playground.clone()?;
    let outlets = playground::Outlets {
        ended: api.clone().recipient(),
        urge: consensus.clone().recipient(),
        set_faults: network.clone().recipient(),
        spoilt,
        control: faults.clone(),
    };
    let guard = FaultGuard::new("Playground", faults);
    let player = Player::new(wire.identity.node_id, playground, outlets, guard);
    Some(player.start().recipient())
}

fn start_discovery(wire: &Wire, network: &Addr<Network>) -> Addr<Discovery> {
    let discovery = Discovery::of_list(wire.members.clone(), network.clone().recipient());
    let identity = (&*wire.identity, wire.sender);
    on_air::put(discovery, identity, wire.discoverable.as_ref()).start()
}

fn start_caretaker(
    wire: &Wire,
    to: (&Addr<Api>, &Addr<Discovery>),
    faults: &async_mpsc::UnboundedSender<Control>,
) -> Option<actix_rt::task::JoinHandle<()>> {
    let caretaker = on_air::caretaker(wire.discoverable.as_ref(), &wire.identity, to, faults);
    caretaker.map(|caretaker| actix_rt::spawn(caretaker.run()))
}

/// Where doors get snapshots from.
fn snapshot_source<S: StateMachine + Unpin + 'static>(
    consensus: &Addr<Consensus<S>>,
    store: &Addr<SnapshotStore>,
) -> SnapshotSource {
    let (find, read) = (store.clone().recipient(), store.clone().recipient());
    SnapshotSource::new(consensus.clone().recipient(), find, read)
}

/// What the doors for clients of the store need beside Api.
struct DoorInfo {
    info: NodeInfo,
    snapshots: SnapshotSource,
    backstage: Backstage,
}

/// Makes whoever looks at the cluster for the pages of this node.
fn start_dashboard(
    wire: &Wire,
    (info, clock): (&NodeInfo, Clock),
    api: &Addr<Api>,
    faults: &async_mpsc::UnboundedSender<Control>,
) -> (Addr<Dashboard>, Introduced) {
    let introduced = Introduced {
        node_id: info.node_id,
        cluster_id: info.cluster_id,
        token: dashboard::new_token(),
        playground: wire.playground.as_ref().map(|playground| match playground {
            Playground::Owner(_) => PlaysWith::Cluster,
            Playground::Alone { .. } => PlaysWith::Node,
        }),
    };
    let guard = FaultGuard::new("Dashboard", faults);
    let ask = api.clone().recipient();
    (Dashboard::new(introduced.clone(), clock, ask, guard).start(), introduced)
}

/// What the routes of the page reach.
fn backstage(
    dashboard: &Addr<Dashboard>,
    introduced: Introduced,
    play: Option<Recipient<AskedToPlay>>,
) -> Backstage {
    let Introduced { token, playground, .. } = introduced;
    Backstage { open: dashboard.clone().recipient(), token, play: playground.zip(play) }
}

/// Opens the door for peers, clients and strangers.
fn start_listener(
    wire: Wire,
    (api, door_info): (&Addr<Api>, Option<DoorInfo>),
    (network, discovery): (&Addr<Network>, &Addr<Discovery>),
    faults: &async_mpsc::UnboundedSender<Control>,
) -> Addr<Listener> {
    let may_give_way = wire.discoverable.is_some_and(|it| it.may_give_way);
    let Wire { identity, ports, wires, listens_at, resp, hosts, sender, .. } = wire;
    let introduction = Introduction {
        identity: identity.clone(),
        sender,
        may_give_way,
        arrived: discovery.clone().recipient(),
    };
    let doors = Doors::new(FaultGuard::new("Doors", faults)).start();
    let web = door_info.map(|DoorInfo { info, snapshots, backstage }| {
        let behind = Behind {
            info,
            calls: api.clone().recipient(),
            batches: api.clone().recipient(),
            ended: api.clone().recipient(),
            values: api.clone().recipient(),
            open: api.clone().recipient(),
            orders: api.clone().recipient(),
            close: api.clone().recipient(),
            hashing: Hashing::default(),
            snapshots,
        };
        let around = (hosts, introduction, backstage);
        Web::new(behind, around, FaultGuard::new("Web", faults)).start()
    });
    let doors = listener::Doors {
        peers: network.clone().recipient(),
        clients: api.clone().recipient(),
        resp: resp.map_or_else(|| doors.clone().recipient(), |_| api.clone().recipient()),
        http: web.map_or_else(|| doors.clone().recipient(), Addr::recipient),
        strangers: doors.recipient(),
    };
    let listener = Listener::new(identity, ports, doors).start();
    if let Wires::Memory { listen, .. } = wires {
        listen.do_send(Listen { address: listens_at, to: listener.clone().recipient() });
    }
    listener
}

impl Running {
    async fn stop(self) -> Remains {
        if self.could_hand_over().await {
            self.actors.hand_over.do_send(HandOver);
            // If nobody takes over in time, the others find out by the closed links.
            let _ = tokio::time::timeout(self.patience, self.until_another_leads()).await;
        }
        self.actors.listener.do_send(Stop);
        let (reply, drained) = oneshot::channel();
        self.actors.api.do_send(Drain { reply });
        // What is not answered by then is unknown to whoever asked, and they know it.
        let _ = tokio::time::timeout(DRAIN, drained).await;
        self.close(true).await
    }

    async fn until_another_leads(&self) {
        while self.could_hand_over().await {
            tokio::time::sleep(TICK).await;
        }
    }

    /// Whether this node leads and is not the only one that can.
    async fn could_hand_over(&self) -> bool {
        let (reply, outcome) = oneshot::channel();
        self.actors.api.do_send(api::Call {
            operation: Operation::Describe,
            timeout_ms: 1_000,
            reply,
        });
        match outcome.await.map(|called| called.outcome) {
            Ok(CallOutcome::Described(status)) => {
                let is_alone = status.configuration.all_voters().iter().eq([&status.node]);
                status.leader == Some(status.node) && !is_alone
            }
            Ok(_) | Err(_) => false,
        }
    }

    /// Ends every actor and gives the disk back.
    async fn close(self, is_orderly: bool) -> Remains {
        self.actors.tasks.iter().for_each(actix_rt::task::JoinHandle::abort);
        self.actors.listener.do_send(Stop);
        self.actors.network.do_send(Stop);
        self.actors.discovery.do_send(Stop);
        self.actors.api.do_send(Stop);
        let (reply, disk) = oneshot::channel();
        self.actors.log_store.do_send(Close { is_orderly, reply });
        let (reply, snapshot_disk) = oneshot::channel();
        self.actors.snapshot_store.do_send(CloseSnapshots { reply });
        // Nothing comes back from an actor that is dead.
        let disks = match (disk.await, snapshot_disk.await) {
            (Ok(log), Ok(snapshots)) => Some(Disks { log, snapshots }),
            (_, Err(_)) | (Err(_), _) => None,
        };
        for thread in [self.actors.log_thread, self.actors.snapshot_thread] {
            thread.stop();
            // It has nothing left to do; if it panicked, that was reported.
            let _ = thread.join();
        }
        drop(self.lock);
        Remains { end: NodeEnd::Stopped, disks }
    }
}
