//! A cluster of real processes, told of each other by `--peers`.

use std::cell::Cell;

use raft_core::types::NodeId;
use raft_net::client_protocol::NodeStatus;

use super::client::{self, Client};
use super::ports;
use super::process::{Ended, KVCTL, KVORUM, Process};
use super::scratch::Scratch;
use super::wait;

/// The processes, by their node ids from 1.
#[derive(Debug)]
pub(crate) struct Cluster {
    scratch: Scratch,
    pub(crate) addresses: Vec<String>,
    nodes: Vec<Option<Process>>,
    /// More flags for every node.
    flags: Vec<String>,
    /// How many runs of `kvctl` there were, for the names of their files.
    runs: Cell<u64>,
}

impl Cluster {
    /// Starts the nodes and waits until one of them leads.
    pub(crate) async fn start(count: u16) -> Self {
        Self::start_with(count, &[]).await
    }

    /// The same, with more flags for every node.
    pub(crate) async fn start_with(count: u16, flags: &[&str]) -> Self {
        let flags = flags.iter().map(ToString::to_string).collect();
        let addresses = ports::addresses(count);
        let nodes = addresses.iter().map(|_| None).collect();
        let (scratch, runs) = (Scratch::new(), Cell::new(0));
        let mut cluster = Self { scratch, addresses, nodes, flags, runs };
        for id in cluster.ids() {
            cluster.revive(id);
        }
        cluster.leader().await;
        cluster
    }

    /// Every node, dead or alive.
    pub(crate) fn ids(&self) -> Vec<u64> {
        (1..).take(self.nodes.len()).collect()
    }

    /// The nodes that run.
    pub(crate) fn alive(&self) -> Vec<u64> {
        self.ids().into_iter().filter(|&id| self.nodes[place(id)].is_some()).collect()
    }

    /// The nodes' addresses, as `--peers` wants them.
    pub(crate) fn peers(&self) -> String {
        let pairs =
            (1..).zip(&self.addresses).map(|(id, address): (u64, _)| format!("{id}={address}"));
        pairs.collect::<Vec<_>>().join(",")
    }

    /// What nodes are started with from now on, beside what says who they are.
    pub(crate) fn set_flags(&mut self, flags: &[&str]) {
        self.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    }

    /// Starts a dead node on its folder.
    pub(crate) fn revive(&mut self, id: u64) {
        self.revive_with(id, &self.peers());
    }

    /// The same, with another list of peers.
    pub(crate) fn revive_with(&mut self, id: u64, peers: &str) {
        let number = id.to_string();
        self.begin(id, &["--node-id", &number, "--peers", peers]);
    }

    /// Starts a dead node on its folder, and tells it nothing else.
    pub(crate) fn revive_alone(&mut self, id: u64) {
        self.begin(id, &[]);
    }

    /// Starts a node that is to join through the nodes that run, and waits until it does; ids
    /// are handed out one after the other.
    pub(crate) async fn join(&mut self) -> u64 {
        let doors: Vec<&str> = self.alive().iter().map(|&id| self.address(id)).collect();
        let doors = doors.join(",");
        self.addresses.extend(ports::addresses(1));
        self.nodes.push(None);
        let id = u64::try_from(self.nodes.len()).unwrap();
        self.begin(id, &["--join", &doors]);
        let said = self.node(id).lines(1).await;
        assert!(said[0].contains(&format!("node {id} of cluster")), "{said:?}");
        id
    }

    /// Gives a dead node another address, which is returned.
    pub(crate) fn move_to_another_port(&mut self, id: u64) -> String {
        let address = ports::addresses(1).remove(0);
        self.addresses[place(id)].clone_from(&address);
        address
    }

    /// The same below another program, which runs it in its place.
    pub(crate) fn revive_below(&mut self, id: u64, words: &[&str]) {
        let arguments = self.arguments(id, &[]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let below = [&words[1..], &[KVORUM], &arguments].concat();
        self.put(id, Process::start(&self.scratch, &format!("node-{id}"), words[0], &below));
    }

    fn begin(&mut self, id: u64, flags: &[&str]) {
        let arguments = self.arguments(id, flags);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.put(id, Process::start(&self.scratch, &format!("node-{id}"), KVORUM, &arguments));
    }

    fn arguments(&self, id: u64, flags: &[&str]) -> Vec<String> {
        let name = format!("node-{id}");
        let own = ["--listen", self.address(id), "--data-dir", &name];
        // Nodes start sooner if they do not fill 64 MiB first.
        let mut arguments = [&own[..], &["--wal-segment-bytes", "1048576"], flags].concat();
        arguments.extend(self.flags.iter().map(String::as_str));
        arguments.into_iter().map(str::to_owned).collect()
    }

    fn put(&mut self, id: u64, process: Process) {
        let before = self.nodes[place(id)].replace(process);
        assert!(before.is_none(), "node {id} is alive");
    }

    /// A path in the folder of the test.
    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.scratch.join(name)
    }

    /// The files in a node's folder.
    pub(crate) fn files(&self, id: u64) -> Vec<String> {
        let names = std::fs::read_dir(self.scratch.join(format!("node-{id}"))).unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// A file in a node's folder.
    pub(crate) fn file(&self, id: u64, name: &str) -> std::path::PathBuf {
        self.scratch.join(format!("node-{id}/{name}"))
    }

    /// Ends a node as `kill -9` does.
    pub(crate) fn kill(&mut self, id: u64) {
        self.take(id).kill();
    }

    /// A node's process, out of this cluster's hands.
    pub(crate) fn take(&mut self, id: u64) -> Process {
        self.nodes[place(id)].take().unwrap_or_else(|| panic!("node {id} is dead"))
    }

    /// The process of a node that runs.
    pub(crate) fn node(&self, id: u64) -> &Process {
        self.nodes[place(id)].as_ref().unwrap_or_else(|| panic!("node {id} is dead"))
    }

    /// Where a node listens.
    pub(crate) fn address(&self, id: u64) -> &str {
        &self.addresses[place(id)]
    }

    /// What `kvorum log dump` says of a node's folder, whether the node runs or not.
    pub(crate) async fn dump(&self, id: u64) -> Ended {
        let folder = format!("node-{id}");
        let arguments = ["log", "dump", &folder, "--write-out", "json"];
        Process::start(&self.scratch, &format!("dump-{id}"), KVORUM, &arguments).end().await
    }

    /// Starts `kvctl` on the nodes that run.
    pub(crate) fn begin_kvctl(&self, words: &[&str]) -> Process {
        let endpoints: Vec<&str> = self.alive().iter().map(|&id| self.address(id)).collect();
        self.begin_kvctl_at(&endpoints.join(","), words)
    }

    /// Starts `kvctl` on these nodes.
    pub(crate) fn begin_kvctl_at(&self, endpoints: &str, words: &[&str]) -> Process {
        self.runs.set(self.runs.get() + 1);
        let name = format!("kvctl-{}", self.runs.get());
        let arguments = [&["--endpoints", endpoints], words].concat();
        let mut process = Process::start(&self.scratch, &name, KVCTL, &arguments);
        process.end_input();
        process
    }

    /// Runs `kvctl` on the nodes that run.
    pub(crate) async fn kvctl(&self, words: &[&str]) -> Ended {
        self.begin_kvctl(words).end().await
    }

    /// A client of all nodes.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.addresses).await
    }

    /// A client of one node, once that answers.
    pub(crate) async fn client_of(&self, id: u64) -> Client {
        self.status(id).await;
        Client::connect(&[self.address(id).to_owned()]).await
    }

    /// What a node says of itself, once it answers.
    pub(crate) async fn status(&self, id: u64) -> NodeStatus {
        let what = format!("status of node {id}");
        wait::until(&what, async || client::status(self.address(id)).await).await
    }

    /// The node that says it leads and that a majority follows.
    pub(crate) async fn leader(&self) -> u64 {
        wait::until("leader", async || {
            let mut said = Vec::new();
            for id in self.alive() {
                said.extend(client::status(self.address(id)).await);
            }
            let newest = said.iter().max_by_key(|status| status.term)?;
            let leader = newest.leader_id?;
            let follow = |status: &&NodeStatus| {
                status.term == newest.term && status.leader_id == Some(leader)
            };
            let is_sure = said.iter().any(|it| it.node_id == leader && it.role == "leader");
            let quorum = self.nodes.len() / 2 + 1;
            (is_sure && quorum <= said.iter().filter(follow).count()).then_some(leader)
        })
        .await
    }

    /// A node that runs and does not lead.
    pub(crate) async fn follower(&self) -> u64 {
        let leader = self.leader().await;
        self.alive().into_iter().find(|&id| id != leader).expect("a cluster has followers")
    }

    /// Waits until all nodes that run have applied the same, and checks that it is the same.
    pub(crate) async fn check_equal(&self) {
        let hashes = wait::until("common applied index", async || {
            let mut said = Vec::new();
            for id in self.alive() {
                said.push(client::status(self.address(id)).await?);
            }
            let first = said[0].applied_index;
            let is_common = said.iter().all(|status| status.applied_index == first);
            is_common.then(|| said.into_iter().map(|status| status.state_hash).collect::<Vec<_>>())
        })
        .await;
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "states differ: {hashes:x?}");
    }
}

fn place(id: u64) -> usize {
    let id = NodeId::new(id).expect("node ids begin at 1");
    usize::try_from(id.number() - 1).unwrap()
}
