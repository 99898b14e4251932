//! `kvorum`: one node, until a signal ends it.

use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::backups::Backups;
use super::settings::{FIRST_ID, ServeArguments, Switch};
use super::{join, new_store, store_checks};
use crate::directory::{self, Data};
use crate::doors::resp::RespOptions;
use crate::error::{NodeEnd, StartError};
use crate::local_cluster::FIRST_PORT;
use crate::node::{Node, NodeOptions};

/// How many ports are tried from the first one on when none was asked for.
const PORTS_TRIED: u16 = 100;

/// How the door for clients of the native protocol is called.
const NATIVE: &str = "native";

/// How often it is checked that the node has not ended by itself.
const WATCH_INTERVAL: Duration = Duration::from_millis(200);

/// Runs a node.
pub(super) fn run(arguments: &ServeArguments) -> Result<ExitCode, StartError> {
    let (given_id, members, doors) = (arguments.id()?, arguments.members()?, arguments.doors()?);
    let cluster_secret = arguments.secret()?;
    if let Some(advertise) = &arguments.advertise {
        super::settings::check_address("--advertise", advertise)?;
    }
    let opens = arguments.ports.opens()?;
    arguments.check_peers(1 < members.len() || !doors.is_empty())?;
    let (bound, listen) = bind(arguments)?;
    let ports = arguments.bind_doors()?;
    let port = bound.local_addr().map_err(|source| listen_error(&listen, source))?.port();
    let directory = arguments
        .data_dir
        .clone()
        .unwrap_or_else(|| Path::new("kvorum-data").join(port.to_string()));
    let owner = directory::owner(&directory)?;
    let recorded_id = owner.as_ref().map(|owner| owner.node_id);
    let mut options = NodeOptions {
        bound: Some(bound),
        opens,
        ports,
        advertise: arguments.advertise.clone(),
        members,
        auto_promote: arguments.auto_promote == Switch::On,
        voters_target: arguments.voters_target,
        lease_reads: arguments.lease_reads,
        election_timeout_ms: arguments.election_timeout_ms,
        heartbeat_interval_ms: arguments.heartbeat_interval_ms,
        wal_segment_bytes: arguments.wal_segment_bytes,
        snapshot_log_bytes: arguments.snapshot_log_bytes,
        memory_max: arguments.memory_max,
        cluster_secret,
        checks: store_checks(),
        resp: Some(RespOptions { allows_flush: arguments.resp_flush }),
        http_hosts: arguments.http_hosts.clone(),
        store_doors: true,
        ..NodeOptions::new(
            given_id.or(recorded_id).unwrap_or(FIRST_ID),
            &listen,
            Data::Directory(directory.clone()),
        )
    };
    options.check()?;
    arguments.backups.check()?;
    if !doors.is_empty() {
        match &owner {
            None => join::prepare(doors, given_id, &mut options)?,
            Some(_) => tracing::info!("the data directory has a cluster already: no --join"),
        }
    }
    let node_id = options.node_id.number();
    abort_on_panic();
    let node = Node::start(options, new_store(arguments.memory_max))?;
    announce(&node, node_id, &directory);
    arguments.backups.start(Backups {
        endpoint: native_address(&node),
        cluster_id: node.cluster_id(),
        node_id,
        data: directory,
    })?;
    wait_for_signal(&node).map_err(StartError::Thread)?;
    Ok(match node.stop() {
        NodeEnd::Stopped => ExitCode::SUCCESS,
        NodeEnd::Fault { .. } => ExitCode::FAILURE,
    })
}

fn announce(node: &Node, node_id: u64, directory: &Path) {
    let (address, cluster) = (node.address(), node.cluster_id());
    println!(
        "kvorum {}: node {node_id} of cluster {cluster:016x} listens on {address}, data in {}",
        env!("CARGO_PKG_VERSION"),
        directory.display()
    );
    for (door, address) in node.ports() {
        println!("{door} alone at {address}");
    }
    let members: Vec<String> =
        node.members().iter().map(|(id, address)| format!("{id}={address}")).collect();
    tracing::info!(node = node_id, "members: {}", members.join(","));
}

/// Where clients of the native protocol reach the node.
fn native_address(node: &Node) -> String {
    let alone = node.ports().iter().find(|(door, _)| door.to_string() == NATIVE);
    alone.map_or_else(|| node.address().to_owned(), |(_, address)| address.clone())
}

fn listen_error(address: &str, source: io::Error) -> StartError {
    StartError::listen("--listen", address, source)
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

fn wait_for_signal(node: &Node) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut watch = tokio::time::interval(WATCH_INTERVAL);
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                _ = watch.tick() => if !node.is_running() { return Ok(()) },
            }
        }
    })
}
