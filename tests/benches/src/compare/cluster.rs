//! A few processes of one system: started, asked who leads, taken apart.

use std::ffi::OsString;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde::Serialize;

use super::process::{Process, Program};
use crate::clock;
use crate::error::BenchError;
use crate::etcd::EtcdClient;
use crate::native::NativeClient;
use crate::probe::Protocol;

/// How many nodes a cluster has.
pub const NODES: usize = 3;

/// How long a cluster may take until it has a leader on which all nodes agree, and a node that
/// was away until it has caught up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long a node may take to say what it is doing.
const STATUS_TIMEOUT: Duration = Duration::from_secs(1);

/// How often nodes are asked.
const STATUS_INTERVAL: Duration = Duration::from_millis(50);

/// Where ports are looked for: below those that the system hands out by itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum System {
    /// The echo without a store.
    Floor,
    /// The other one.
    Etcd,
    /// Ours.
    Kvorum,
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `kvorum`.
    pub kvorum: PathBuf,
    /// `kvctl`.
    pub kvctl: PathBuf,
    /// `etcd`; nothing if it is not there, and then only Kvorum is measured.
    pub etcd: Option<PathBuf>,
    /// `etcd-load`.
    pub etcd_load: PathBuf,
    /// `floor`.
    pub floor: PathBuf,
}

/// What a node says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeView {
    /// Its id.
    pub id: u64,
    /// Who leads, as far as it knows.
    pub leader: Option<u64>,
    /// Its term.
    pub term: u64,
    /// The last entry that it knows to be committed.
    pub committed: u64,
    /// The last entry that it has applied.
    pub applied: u64,
    /// The last entry that its newest snapshot covers, zero without one.
    pub snapshot: u64,
}

/// How the nodes of Kvorum are started, where it is not the usual way.
#[derive(Clone, Debug)]
pub struct Launch {
    /// How many there are.
    pub nodes: usize,
    /// Flags besides those that every node needs.
    pub flags: Vec<String>,
    /// A program with its arguments that runs the node in its place.
    pub under: Vec<OsString>,
}

impl Default for Launch {
    fn default() -> Self {
        Self { nodes: NODES, flags: Vec::new(), under: Vec::new() }
    }
}

impl Launch {
    fn command(&self, program: &Path, mut arguments: Vec<OsString>) -> (PathBuf, Vec<OsString>) {
        let Some((under, given)) = self.under.split_first() else {
            return (program.to_owned(), arguments);
        };
        let mut all = given.to_vec();
        all.push(program.into());
        all.append(&mut arguments);
        (under.into(), all)
    }
}

/// Processes that are a cluster.
#[derive(Debug)]
pub struct Cluster {
    system: System,
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    program: Program,
    /// Where clients reach it.
    address: String,
    data: PathBuf,
    process: Option<Process>,
}

impl Cluster {
    /// Starts three nodes with their data under `folder`, which may hold that of an earlier
    /// cluster of this system.
    ///
    /// Errors: if a program is missing, or there are no free ports.
    pub fn start(system: System, programs: &Programs, folder: &Path) -> Result<Self, BenchError> {
        Self::launch(system, programs, folder, &Launch::default())
    }

    /// As [`Self::start`], in another way, which only Kvorum knows.
    ///
    /// Errors: as there.
    pub fn launch(
        system: System,
        programs: &Programs,
        folder: &Path,
        launch: &Launch,
    ) -> Result<Self, BenchError> {
        std::fs::create_dir_all(folder)
            .map_err(BenchError::io(format!("folder {}", folder.display())))?;
        let addresses: Vec<String> =
            free_ports(2 * launch.nodes)?.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let (clients, peers) = addresses.split_at(launch.nodes);
        let mut nodes = Vec::new();
        for number in 1..=launch.nodes {
            let data = folder.join(format!("n{number}"));
            let (path, arguments) = match system {
                System::Floor => (programs.floor.clone(), floor_arguments(number, clients, &data)),
                System::Kvorum => {
                    let mut arguments = kvorum_arguments(number, clients, &data);
                    arguments.extend(launch.flags.iter().map(OsString::from));
                    launch.command(&programs.kvorum, arguments)
                }
                System::Etcd => (
                    programs.etcd.clone().expect("etcd is only started where it is"),
                    etcd_arguments(number, clients, peers, &data),
                ),
            };
            let name = format!("node {number} of {system:?}").to_lowercase();
            let log = folder.join(format!("n{number}.log"));
            let program = Program { name, path, arguments, log };
            let process = Some(program.start()?);
            nodes.push(Node { program, address: clients[number - 1].clone(), data, process });
        }
        Ok(Self { system, nodes })
    }

    /// Where clients reach the nodes.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.address.clone()).collect()
    }

    /// Where clients reach one node.
    #[must_use]
    pub fn address(&self, place: usize) -> &str {
        &self.nodes[place].address
    }

    /// The processes that run.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.nodes.iter().filter_map(|node| node.process.as_ref()).map(Process::pid).collect()
    }

    /// Which protocol its probe speaks.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match self.system {
            System::Etcd => Protocol::Etcd,
            System::Kvorum | System::Floor => Protocol::Native,
        }
    }

    /// Waits until all nodes agree on a leader; returns its place and its view.
    ///
    /// Errors: if they do not in time, or a process ended.
    pub async fn leader(&mut self) -> Result<(usize, NodeView), BenchError> {
        let give_up = clock::now() + PATIENCE;
        while clock::now() < give_up {
            self.check()?;
            if let Some(found) = self.agreed_leader().await {
                return Ok(found);
            }
            tokio::time::sleep(STATUS_INTERVAL).await;
        }
        let what = format!("agreement of {:?} on a leader", self.system).to_lowercase();
        Err(BenchError::Deadline { what, waited: PATIENCE })
    }

    /// Waits until the node has applied everything that is committed now.
    ///
    /// Errors: if it does not in time, or a process ended.
    pub async fn caught_up(&mut self, place: usize) -> Result<(), BenchError> {
        let (_, leader) = self.leader().await?;
        let has_all = |view: &NodeView| leader.committed <= view.applied;
        self.until(place, STATUS_INTERVAL, has_all).await.map(drop)
    }

    /// Sends a node a signal.
    ///
    /// Errors: if it does not run.
    pub fn signal(&self, place: usize, signal: Signal) -> Result<(), BenchError> {
        let process = self.nodes[place].process.as_ref();
        process.expect("only running nodes are sent signals").signal(signal)
    }

    /// Where a node keeps its data.
    #[must_use]
    pub fn data(&self, place: usize) -> &Path {
        &self.nodes[place].data
    }

    /// Kills a node and waits until it is gone; it can be started again.
    ///
    /// Errors: in the words of the system.
    pub async fn kill(&mut self, place: usize) -> Result<(), BenchError> {
        match self.nodes[place].process.take() {
            Some(process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// Replaces a flag's value from the next start of the nodes on.
    ///
    /// Panics: if the nodes were started without the flag.
    pub fn change_flag(&mut self, flag: &str, value: &str) {
        for node in &mut self.nodes {
            let arguments = &mut node.program.arguments;
            let place = arguments.iter().position(|given| given == flag);
            arguments[place.expect("the flag was given") + 1] = value.into();
        }
    }

    /// Waits until a node says something of itself that `is_good`.
    ///
    /// Errors: if it does not in time, or a process ended.
    pub async fn until(
        &mut self,
        place: usize,
        interval: Duration,
        is_good: impl Fn(&NodeView) -> bool,
    ) -> Result<NodeView, BenchError> {
        let give_up = clock::now() + PATIENCE;
        while clock::now() < give_up {
            self.check()?;
            if let Some(view) = self.view(place).await.filter(&is_good) {
                return Ok(view);
            }
            tokio::time::sleep(interval).await;
        }
        let what = format!("what was waited for on {}", self.nodes[place].program.name);
        Err(BenchError::Deadline { what, waited: PATIENCE })
    }

    /// Waits until a node that was killed is gone, and starts it again on its data.
    ///
    /// Errors: if that cannot be done.
    pub async fn restart(&mut self, place: usize) -> Result<(), BenchError> {
        let node = &mut self.nodes[place];
        if let Some(process) = node.process.take() {
            process.kill().await?;
        }
        node.process = Some(node.program.start()?);
        Ok(())
    }

    /// Ends all nodes and waits until they are gone.
    ///
    /// Errors: if a node ended by itself before.
    pub async fn end(mut self) -> Result<(), BenchError> {
        self.check()?;
        for node in &mut self.nodes {
            let Some(process) = node.process.take() else { continue };
            match self.system {
                System::Floor => process.kill().await?,
                System::Etcd | System::Kvorum => process.end().await?,
            }
        }
        Ok(())
    }

    /// Whether all processes run.
    ///
    /// Errors: `BenchError::Ended` if one does not.
    pub fn check(&mut self) -> Result<(), BenchError> {
        self.nodes.iter_mut().filter_map(|node| node.process.as_mut()).try_for_each(Process::check)
    }

    async fn agreed_leader(&self) -> Option<(usize, NodeView)> {
        if self.system == System::Floor {
            let view = NodeView { id: 1, leader: Some(1), ..NodeView::default() };
            return Some((0, view));
        }
        let mut views = Vec::new();
        for (place, _) in self.nodes.iter().enumerate().filter(|(_, node)| node.process.is_some()) {
            views.push((place, self.view(place).await?));
        }
        let (_, first) = views.first()?;
        let leader = first.leader?;
        let agree = |view: &NodeView| view.leader == Some(leader) && view.term == first.term;
        let found = views.iter().find(|(_, view)| view.id == leader)?;
        views.iter().all(|(_, view)| agree(view)).then_some(*found)
    }

    async fn view(&self, place: usize) -> Option<NodeView> {
        let address = &self.nodes[place].address;
        let view = async {
            match self.system {
                System::Floor => None,
                System::Etcd => etcd_view(address).await,
                System::Kvorum => kvorum_view(address).await,
            }
        };
        tokio::time::timeout(STATUS_TIMEOUT, view).await.ok().flatten()
    }
}

async fn etcd_view(address: &str) -> Option<NodeView> {
    let status = EtcdClient::new(address).ok()?.status().await.ok()?;
    let header = status.header.unwrap_or_default();
    Some(NodeView {
        id: header.member_id,
        leader: Some(status.leader).filter(|leader| *leader != 0),
        term: header.raft_term,
        committed: status.raft_index,
        applied: status.raft_applied_index,
        snapshot: 0,
    })
}

async fn kvorum_view(address: &str) -> Option<NodeView> {
    let status = NativeClient::connect(address).await.ok()?.status().await.ok()?;
    Some(NodeView {
        id: status.node_id,
        leader: status.leader_id,
        term: status.term,
        committed: status.commit_index,
        applied: status.applied_index,
        snapshot: status.snapshot_index,
    })
}

fn floor_arguments(number: usize, addresses: &[String], data: &Path) -> Vec<OsString> {
    let mut arguments = words(&format!("node --id {number} --nodes {} --dir", addresses.join(",")));
    arguments.push(data.into());
    arguments
}

fn kvorum_arguments(number: usize, addresses: &[String], data: &Path) -> Vec<OsString> {
    let address = &addresses[number - 1];
    let peers: Vec<String> =
        (1..).zip(addresses).map(|(id, address)| format!("{id}={address}")).collect();
    let peers = peers.join(",");
    let mut arguments =
        words(&format!("--node-id {number} --listen {address} --peers {peers} --data-dir"));
    arguments.push(data.into());
    arguments
}

fn etcd_arguments(
    number: usize,
    clients: &[String],
    peers: &[String],
    data: &Path,
) -> Vec<OsString> {
    let (client, peer) = (&clients[number - 1], &peers[number - 1]);
    let cluster: Vec<String> =
        (1..).zip(peers).map(|(id, peer)| format!("n{id}=http://{peer}")).collect();
    let cluster = cluster.join(",");
    let mut arguments = words(&format!(
        "--name n{number} --listen-client-urls http://{client} \
         --advertise-client-urls http://{client} --listen-peer-urls http://{peer} \
         --initial-advertise-peer-urls http://{peer} --initial-cluster {cluster} --data-dir"
    ));
    arguments.push(data.into());
    arguments
}

fn words(text: &str) -> Vec<OsString> {
    text.split(' ').map(OsString::from).collect()
}

/// Ports on which nobody listens just now.
pub(super) fn free_ports(count: usize) -> Result<Vec<u16>, BenchError> {
    Ok(held_ports(count)?.iter().map(|(port, _)| *port).collect())
}

/// The same, held so that nobody else finds them.
fn held_ports(count: usize) -> Result<Vec<(u16, TcpListener)>, BenchError> {
    // Each process begins elsewhere, so that two runs at once seldom meet.
    let offset = u16::try_from(std::process::id() % u32::try_from(PORTS.len()).unwrap_or(1));
    let first = PORTS.start + offset.unwrap_or(0);
    let held: Vec<(u16, TcpListener)> = (first..PORTS.end)
        .chain(PORTS.start..first)
        .filter_map(|port| TcpListener::bind(("127.0.0.1", port)).ok().map(|held| (port, held)))
        .take(count)
        .collect();
    if held.len() < count {
        let text = format!("fewer than {count} ports of {PORTS:?} are free");
        return Err(BenchError::Setting(text));
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_somebody_listens_on_are_not_found() {
        let held = held_ports(6).unwrap();
        let others = held_ports(6).unwrap();
        let ports: std::collections::BTreeSet<u16> =
            held.iter().chain(&others).map(|(port, _)| *port).collect();
        assert_eq!(ports.len(), 12);
        assert!(ports.iter().all(|port| PORTS.contains(port)));
    }

    #[test]
    fn nodes_are_told_of_each_other() {
        let addresses = ["a:1".to_owned(), "b:2".to_owned(), "c:3".to_owned()];
        let peers = ["a:4".to_owned(), "b:5".to_owned(), "c:6".to_owned()];
        let joined = |arguments: Vec<OsString>| arguments.join(" ".as_ref()).into_string().unwrap();
        assert_eq!(
            joined(kvorum_arguments(2, &addresses, Path::new("/d"))),
            "--node-id 2 --listen b:2 --peers 1=a:1,2=b:2,3=c:3 --data-dir /d"
        );
        let etcd = joined(etcd_arguments(3, &addresses, &peers, Path::new("/d")));
        assert!(etcd.starts_with("--name n3 --listen-client-urls http://c:3 "), "{etcd}");
        let end = "--initial-cluster n1=http://a:4,n2=http://b:5,n3=http://c:6 --data-dir /d";
        assert!(etcd.ends_with(end), "{etcd}");
    }
}
