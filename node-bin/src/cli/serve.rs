//! `kvorum`: one node, until a signal ends it.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use raft_core::types::NodeId;
use raft_net::faults::Faults;
use raft_net::opens::{Door, Opens};

use super::backups::Backups;
use super::discovery::Method;
use super::settings::{FIRST_ID, ServeArguments, Switch};
use super::stop_signal::StopSignal;
use super::{find, join, new_store, store_checks};
use crate::directory::{self, Data, MemoryData, dissolving};
use crate::doors::resp::RespOptions;
use crate::error::{NodeEnd, StartError};
use crate::local_cluster::FIRST_PORT;
use crate::logging::LogControl;
use crate::node::{Discoverable, DoorPort, Node, NodeOptions};
use crate::playground::Playground;

/// How many ports are tried from the first one on when none was asked for.
const PORTS_TRIED: u16 = 100;

/// How the door for clients of the native protocol is called.
const NATIVE: &str = "native";

/// How often it is checked that the node has not ended by itself.
const WATCH_INTERVAL: Duration = Duration::from_millis(200);

/// Runs a node, and the next one if it gives its cluster up for another.
pub(super) fn run(arguments: &ServeArguments, logs: &LogControl) -> Result<ExitCode, StartError> {
    let mut given = Given::check(arguments, logs)?;
    abort_on_panic();
    let mut stop = StopSignal::watch().map_err(StartError::Thread)?;
    loop {
        let ended = given.run_once(&mut stop)?;
        if stop.has_come() {
            return Ok(ExitCode::SUCCESS);
        }
        let NodeEnd::GaveWay { cluster_id, address } = &ended else {
            return Ok(match ended {
                NodeEnd::Stopped | NodeEnd::GaveWay { .. } => ExitCode::SUCCESS,
                NodeEnd::Fault { .. } => ExitCode::FAILURE,
            });
        };
        match dissolving::dissolve(&given.directory)? {
            None => tracing::info!(
                "gave up a cluster in which nothing was written for cluster {cluster_id:016x} at \
                 {address}, which is older or in use"
            ),
            Some(held) => {
                given.may_give_way = false;
                tracing::warn!(
                    "kept the cluster of this node, because its directory holds {held}, beside \
                     cluster {cluster_id:016x} at {address}"
                );
            }
        }
        given.bind_again()?;
    }
}

/// How the node finds its cluster, if the settings make sense together.
fn check_words(arguments: &ServeArguments) -> Result<Method, StartError> {
    let (members, doors) = (arguments.members()?, arguments.doors()?);
    let method = arguments.method()?;
    arguments.id()?;
    arguments.secret()?;
    if let Some(advertise) = &arguments.advertise {
        super::settings::check_address("--advertise", advertise)?;
    }
    let is_cluster = 1 < members.len() || !doors.is_empty() || method != Method::None;
    arguments.check_peers(is_cluster)?;
    Ok(method)
}

/// The settings in the form in which a node takes them; nothing is opened.
fn settings(
    arguments: &ServeArguments,
    node_id: NodeId,
    listen: &str,
    data: Data,
) -> Result<NodeOptions, StartError> {
    Ok(NodeOptions {
        opens: arguments.ports.opens()?,
        advertise: arguments.advertise.clone(),
        members: arguments.members()?,
        auto_promote: arguments.auto_promote == Switch::On,
        voters_target: arguments.voters_target,
        voter_gone_ms: arguments.voter_gone_after.saturating_mul(1_000),
        lease_reads: arguments.lease_reads,
        feature_level_max: arguments.feature_level_max,
        election_timeout_ms: arguments.election_timeout_ms,
        heartbeat_interval_ms: arguments.heartbeat_interval_ms,
        wal_segment_bytes: arguments.wal_segment_bytes,
        snapshot_log_bytes: arguments.snapshot_log_bytes,
        memory_max: arguments.memory_max,
        cluster_secret: arguments.secret()?,
        checks: store_checks(),
        console_messages: arguments.console_messages.map(Into::into),
        faults: arguments.playground.then(Faults::default),
        playground: arguments.playground.then_some(Playground::Alone { die: std::process::abort }),
        resp: Some(RespOptions { allows_flush: arguments.resp_flush }),
        http_hosts: arguments.http_hosts.clone(),
        store_doors: true,
        ..NodeOptions::new(node_id, listen, data)
    })
}

/// Whether a node could be started with these settings.
///
/// Errors: what is wrong with them, in one line.
pub(super) fn check(arguments: &ServeArguments) -> Result<(), StartError> {
    check_words(arguments)?;
    if let Some(listen) = &arguments.listen {
        arguments.check_exposure("--listen", listen)?;
    }
    let listen = arguments.listen.as_deref().unwrap_or("127.0.0.1:0");
    let id = arguments.id()?.unwrap_or(FIRST_ID);
    settings(arguments, id, listen, Data::Memory(MemoryData::default()))?.check()
}

/// What was given, checked, and the sockets that no node has taken yet.
struct Given<'a> {
    arguments: &'a ServeArguments,
    method: Method,
    members: BTreeMap<NodeId, String>,
    listen: String,
    advertise: Option<String>,
    directory: PathBuf,
    sockets: Option<(TcpListener, Vec<DoorPort>)>,
    may_give_way: bool,
    logs: &'a LogControl,
}

impl<'a> Given<'a> {
    fn check(arguments: &'a ServeArguments, logs: &'a LogControl) -> Result<Self, StartError> {
        let method = check_words(arguments)?;
        arguments.backups.check()?;
        let members = arguments.members()?;
        let (bound, listen) = bind(arguments)?;
        let ports = arguments.bind_doors()?;
        let port = bound.local_addr().map_err(|source| listen_error(&listen, source))?.port();
        let advertise = arguments.advertised(method, &listen, port)?;
        let by_port = || Path::new("kvorum-data").join(port.to_string());
        let directory = arguments.data_dir.clone().unwrap_or_else(by_port);
        // From now on this port is meant, also if any was asked for.
        let host = listen.rsplit_once(':').map_or(listen.as_str(), |(host, _)| host);
        let listen = format!("{host}:{port}");
        let sockets = Some((bound, ports));
        let may_give_way = true;
        Ok(Self {
            arguments,
            method,
            members,
            listen,
            advertise,
            directory,
            sockets,
            may_give_way,
            logs,
        })
    }

    fn bind_again(&mut self) -> Result<(), StartError> {
        let failed = |source| listen_error(&self.listen, source);
        let bound = TcpListener::bind(&self.listen).map_err(failed)?;
        self.sockets = Some((bound, self.arguments.bind_doors()?));
        Ok(())
    }

    /// Finds the node its cluster, and runs it until it ends.
    fn run_once(&mut self, stop: &mut StopSignal) -> Result<NodeEnd, StartError> {
        let arguments = self.arguments;
        dissolving::complete(&self.directory)?;
        let owner = directory::owner(&self.directory)?;
        let recorded_id = owner.as_ref().map(|owner| owner.node_id);
        let given_id = arguments.id()?;
        let mut options = self.options(given_id.or(recorded_id).unwrap_or(FIRST_ID))?;
        options.check()?;
        let doors = arguments.doors()?;
        let mut announcement = None;
        match (&owner, options.discoverable.clone()) {
            (None, _) if !doors.is_empty() => join::prepare(doors, given_id, &mut options)?,
            (None, Some(found)) if self.members.is_empty() => {
                let place = (self.directory.as_path(), given_id);
                let meeting = (&found.meeting, arguments.expects());
                announcement = find::enter(place, meeting, &mut options)?;
            }
            (Some(_), _) if !doors.is_empty() => {
                tracing::info!("the data directory has a cluster already: no --join");
            }
            (None | Some(_), _) => {}
        }
        let node_id = options.node_id.number();
        stop.waits_for_a_node(true);
        let node = Node::start(options, new_store(arguments.memory_max))?;
        announce(&node, arguments.ports.opens()?, (node_id, &self.directory));
        drop(announcement);
        let _until_it_ends = arguments.backups.start(Backups {
            endpoint: native_address(&node),
            cluster_id: node.cluster_id(),
            node_id,
            data: self.directory.clone(),
        })?;
        while node.is_running() && !stop.comes_within(WATCH_INTERVAL) {}
        let ended = node.stop();
        stop.waits_for_a_node(false);
        Ok(ended)
    }

    fn options(&mut self, node_id: NodeId) -> Result<NodeOptions, StartError> {
        let arguments = self.arguments;
        let (bound, ports) = self.sockets.take().expect("bound for each node");
        let data = Data::Directory(self.directory.clone());
        let mut options = NodeOptions {
            bound: Some(bound),
            ports,
            advertise: self.advertise.clone(),
            logs: Some(self.logs.clone()),
            ..settings(arguments, node_id, &self.listen, data)?
        };
        if self.method != Method::None {
            let address = join::own_address(&options)?;
            let port = bound_port(&options)?;
            let discoverable = arguments.discoverable(self.method, (&address, port))?;
            let may_give_way = self.may_give_way;
            options.discoverable = discoverable.map(|it| Discoverable { may_give_way, ..it });
        }
        Ok(options)
    }
}

fn announce(node: &Node, opens: Opens, (node_id, directory): (u64, &Path)) {
    let (address, cluster) = (node.address(), node.cluster_id());
    println!(
        "kvorum {}: node {node_id} of cluster {cluster:016x} listens on {address}, data in {}",
        env!("CARGO_PKG_VERSION"),
        directory.display()
    );
    for (door, address) in node.ports() {
        println!("{door} alone at {address}");
    }
    if let Some(at) = page_address(node, opens) {
        println!("dashboard at http://{at}/");
    }
    let members: Vec<String> =
        node.members().iter().map(|(id, address)| format!("{id}={address}")).collect();
    tracing::info!(node = node_id, "members: {}", members.join(","));
}

/// Where the page of the node is, if one of its ports shows it.
fn page_address(node: &Node, opens: Opens) -> Option<String> {
    let alone = node.ports().iter().find(|(door, _)| *door == Door::Http);
    let address = match alone {
        Some((_, address)) => address.as_str(),
        None if opens.has(Door::Http) => node.address(),
        None => return None,
    };
    // A node that listens everywhere is reached here, too.
    let everywhere = ["0.0.0.0:", "[::]:"].iter().find_map(|any| address.strip_prefix(any));
    Some(everywhere.map_or_else(|| address.to_owned(), |port| format!("localhost:{port}")))
}

/// Where clients of the native protocol reach the node.
fn native_address(node: &Node) -> String {
    let alone = node.ports().iter().find(|(door, _)| door.to_string() == NATIVE);
    alone.map_or_else(|| node.address().to_owned(), |(_, address)| address.clone())
}

fn listen_error(address: &str, source: io::Error) -> StartError {
    StartError::listen("--listen", address, source)
}

fn bound_port(options: &NodeOptions) -> Result<u16, StartError> {
    let bound = options.bound.as_ref().expect("bound for each node");
    bound.local_addr().map(|at| at.port()).map_err(|source| listen_error(&options.listen, source))
}

/// The socket that was asked for, or the first free one.
fn bind(arguments: &ServeArguments) -> Result<(TcpListener, String), StartError> {
    if let Some(listen) = &arguments.listen {
        arguments.check_exposure("--listen", listen)?;
        let bound = TcpListener::bind(listen).map_err(|error| listen_error(listen, error))?;
        return Ok((bound, listen.clone()));
    }
    for port in FIRST_PORT..FIRST_PORT + PORTS_TRIED {
        let listen = format!("127.0.0.1:{port}");
        match TcpListener::bind(&listen) {
            Ok(bound) => return Ok((bound, listen)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(listen_error(&listen, error)),
        }
    }
    let last = FIRST_PORT + PORTS_TRIED - 1;
    Err(StartError::Setting(format!("no port from {FIRST_PORT} to {last} is free; give --listen")))
}

/// A Fault of any actor ends the process at once: it is started again and recovery decides.
fn abort_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        std::process::abort();
    }));
}
