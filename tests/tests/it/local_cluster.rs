//! Nodes in this process, with a state machine of our own: what an embedding program sees.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, BytesMut};
use kvorum_node::{
    Change, ChangeRefusal, ClientId, ClusterOptions, Data, EntryRef, LoadError, LocalCluster, Node,
    NodeEnd, NodeId, NodeOptions, PlaceError, RequestError, SessionStamp, StartError, StateMachine,
    Storage, Transport,
};

use crate::harness::ports;
use crate::harness::scratch::Scratch;
use crate::harness::wait;

/// Adds up what it is told, and fails if it is told to and cursed.
#[derive(Debug)]
pub(crate) struct Counter {
    sum: u64,
    applied: u64,
    is_cursed: bool,
    /// Adds one more than it is told, once.
    is_wrong: bool,
    /// Sum and count as they were when a snapshot was begun.
    pinned: Option<(u64, u64)>,
    is_loaded: bool,
}

/// The command at which a cursed counter fails; it adds as much to the others.
const POISON: u8 = 100;

impl Counter {
    pub(crate) fn new() -> Self {
        Self {
            sum: 0,
            applied: 0,
            is_cursed: false,
            is_wrong: false,
            pinned: None,
            is_loaded: false,
        }
    }
}

impl StateMachine for Counter {
    fn apply(&mut self, command: EntryRef<'_>, answer: &mut BytesMut) {
        let amount = command.payload().first().copied().unwrap_or(0);
        assert!(!(self.is_cursed && amount == POISON), "this copy fails, as the test wants");
        self.sum += u64::from(amount) + u64::from(std::mem::take(&mut self.is_wrong));
        self.applied += 1;
        answer.put_u64(self.sum);
    }

    fn query(&self, _: &[u8], _: u64, answer: &mut BytesMut) {
        answer.put_u64(self.sum);
    }

    fn revision(&self) -> u64 {
        self.applied
    }

    fn state_hash(&self) -> u64 {
        self.sum
    }

    fn pin(&mut self) {
        self.pinned = Some((self.sum, self.applied));
    }

    /// A state of two numbers is one part.
    fn read_pinned(&mut self, _: usize, part: &mut BytesMut) -> bool {
        let (sum, applied) = self.pinned.expect("a counter is pinned before it is read");
        part.put_u64(sum);
        part.put_u64(applied);
        false
    }

    fn unpin(&mut self) {
        self.pinned = None;
    }

    fn empty(&self) -> Self {
        Self { is_cursed: self.is_cursed, ..Self::new() }
    }

    fn load(&mut self, mut part: &[u8]) -> Result<(), LoadError> {
        if self.is_loaded || part.len() != 16 {
            return Err(LoadError::because("a counter is one part of 16 bytes"));
        }
        (self.sum, self.applied, self.is_loaded) = (part.get_u64(), part.get_u64(), true);
        Ok(())
    }

    fn finish_load(&mut self) -> Result<(), LoadError> {
        if self.is_loaded { Ok(()) } else { Err(LoadError::because("it has no part")) }
    }
}

pub(crate) type Cluster = LocalCluster<Counter>;

/// A client of the cluster, whose additions happen once.
pub(crate) struct Adder {
    client: ClientId,
    serial: u64,
}

impl Adder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let random = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { client: ClientId { issued_at: 0, random }, serial: 0 }
    }

    /// Adds through whichever node answers; returns the sum.
    pub(crate) async fn add(&mut self, cluster: &Cluster, amount: u8) -> u64 {
        self.serial += 1;
        let (client, serial) = (self.client, self.serial);
        let request_id = SessionStamp { client, serial, acknowledged: serial - 1 };
        wait::until("answer to an addition", async || {
            for (_, node) in cluster.running() {
                let wait = Duration::from_secs(1);
                if let Ok(answer) = node.propose(vec![amount], Some(request_id), wait).await {
                    return Some(number(&answer));
                }
            }
            None
        })
        .await
    }
}

fn number(answer: &[u8]) -> u64 {
    u64::from_be_bytes(answer.try_into().unwrap())
}

pub(crate) fn id(id: u64) -> NodeId {
    NodeId::new(id).unwrap()
}

pub(crate) async fn check_sum_everywhere(cluster: &Cluster, sum: u64) {
    for (id, node) in cluster.running() {
        let answer = node.query(vec![], wait::DEADLINE).await;
        let answer = answer.unwrap_or_else(|error| panic!("node {id}: {error}"));
        assert_eq!(number(&answer), sum, "node {id}");
    }
}

pub(crate) async fn leader(cluster: &Cluster) -> NodeId {
    wait::until("leader", async || cluster.leader().await).await
}

fn over_tcp(storage: Storage) -> ClusterOptions {
    let first_port = Some(ports::adjacent(3)[0]);
    ClusterOptions {
        snapshot_log_bytes: 64 * 1024 * 1024,
        transport: Transport::Tcp { first_port },
        storage,
        ..ClusterOptions::in_memory(3)
    }
}

/// Sums survive each node's death in turn, and the leader's among them.
async fn check_life_of(options: ClusterOptions) {
    let mut cluster = Cluster::start(options, Counter::new).unwrap();
    let mut adder = Adder::new();
    let mut sum = 0;
    for victim in [leader(&cluster).await, id(1), id(2), id(3)] {
        sum += 1;
        assert_eq!(adder.add(&cluster, 1).await, sum);
        cluster.kill(victim).unwrap();
        assert_eq!(cluster.dead(), [victim]);
        sum += 2;
        assert_eq!(adder.add(&cluster, 2).await, sum);
        cluster.revive(victim).unwrap();
        assert_eq!(cluster.dead(), []);
    }
    check_sum_everywhere(&cluster, sum).await;
    let ends = cluster.stop();
    assert_eq!(ends, [1, 2, 3].map(|number| (id(number), NodeEnd::Stopped)));
}

#[tokio::test]
async fn a_cluster_in_memory_bears_the_loss_of_each_node() {
    check_life_of(ClusterOptions::in_memory(3)).await;
}

#[tokio::test]
async fn a_cluster_over_tcp_and_in_folders_bears_the_loss_of_each_node() {
    let scratch = Scratch::new();
    check_life_of(over_tcp(Storage::Directory(scratch.join("data")))).await;
}

/// S-34: killing a dead node or reviving a live one is an error that changes nothing.
#[tokio::test]
async fn ref_s34_kill_and_revive_say_no_and_change_nothing() {
    let mut cluster = Cluster::start(ClusterOptions::in_memory(3), Counter::new).unwrap();
    let mut adder = Adder::new();
    assert_eq!(adder.add(&cluster, 5).await, 5);
    let said = |result: Result<(), PlaceError>| result.unwrap_err().to_string();
    assert_eq!(said(cluster.revive(id(2))), "node 2 is alive");
    cluster.kill(id(2)).unwrap();
    assert_eq!(said(cluster.kill(id(2))), "node 2 is dead");
    assert_eq!(said(cluster.stop_node(id(2))), "node 2 is dead");
    assert_eq!(said(cluster.kill(id(4))), "there is no node 4, only 1 to 3");
    assert_eq!(said(cluster.revive(id(4))), "there is no node 4, only 1 to 3");
    assert_eq!(cluster.dead(), [id(2)]);
    assert_eq!(adder.add(&cluster, 1).await, 6);
    cluster.revive(id(2)).unwrap();
    assert_eq!(said(cluster.revive(id(2))), "node 2 is alive");
    assert_eq!(adder.add(&cluster, 1).await, 7);
    check_sum_everywhere(&cluster, 7).await;
}

/// S-34: a node that cannot be revived now has lost nothing, its disk in memory included.
#[tokio::test]
async fn ref_s34_a_revival_that_fails_can_be_repeated() {
    let mut cluster = Cluster::start(over_tcp(Storage::Memory), Counter::new).unwrap();
    let mut adder = Adder::new();
    assert_eq!(adder.add(&cluster, 5).await, 5);
    // Everybody has everything before the node that is to keep it ends.
    check_sum_everywhere(&cluster, 5).await;
    cluster.kill(id(2)).unwrap();
    let address = cluster.members()[&id(2)].clone();
    let occupied = TcpListener::bind(&address).unwrap();
    let error = cluster.revive(id(2)).unwrap_err();
    assert!(matches!(error, PlaceError::Start(StartError::Listen { .. })), "{error}");
    assert!(error.to_string().contains(&address), "{error}");
    assert_eq!(cluster.dead(), [id(2)]);
    drop(occupied);
    cluster.revive(id(2)).unwrap();
    // With node 2 as it was there is a majority without node 3; an empty node 2 would not count.
    cluster.kill(id(3)).unwrap();
    assert_eq!(adder.add(&cluster, 1).await, 6);
    check_sum_everywhere(&cluster, 6).await;
}

/// S-35: the end of one node frees its port and its folder, with all of its data on disk, and
/// touches neither the other node of the process nor the process.
#[tokio::test]
async fn ref_s35_closing_a_node_closes_only_that_node() {
    let scratch = Scratch::new();
    let start = |name: &str, listen: &str| {
        let data = Data::Directory(scratch.join(name));
        let options =
            NodeOptions { wal_segment_bytes: 1 << 20, ..NodeOptions::new(id(1), listen, data) };
        Node::start(options, Counter::new())
    };
    let first = start("first", "127.0.0.1:0").unwrap();
    let second = start("second", "127.0.0.1:0").unwrap();
    for node in [&first, &second] {
        node.propose(vec![3], None, wait::DEADLINE).await.unwrap();
    }
    let address = first.address().to_owned();
    let taken = start("third", &address).unwrap_err();
    assert!(matches!(taken, StartError::Listen { .. }), "{taken}");
    let locked = start("first", "127.0.0.1:0").unwrap_err().to_string();
    assert!(locked.contains(&std::process::id().to_string()), "{locked}");

    assert_eq!(first.stop(), NodeEnd::Stopped);
    assert!(second.is_running());
    let answer = second.propose(vec![1], None, wait::DEADLINE).await.unwrap();
    assert_eq!(number(&answer), 4, "the other node goes on");
    drop(TcpListener::bind(&address).expect("the port is free when `stop` returns"));

    let again = start("first", &address).unwrap();
    assert_eq!(number(&again.query(vec![], wait::DEADLINE).await.unwrap()), 3);
    // Dropped instead of stopped: the port and the folder are free all the same.
    drop(again);
    let again = start("first", &address).unwrap();
    assert_eq!(number(&again.query(vec![], wait::DEADLINE).await.unwrap()), 3);
}

/// A Fault ends the node on which it happens, its owner is told, and the others go on. The node
/// can be revived, and what it had is there.
#[tokio::test]
async fn a_fault_ends_one_node_and_is_reported() {
    let made = Arc::new(AtomicU64::new(0));
    let is_cursed = Arc::new(AtomicU64::new(2));
    let machine = {
        let is_cursed = is_cursed.clone();
        move || {
            let number = made.fetch_add(1, Ordering::Relaxed) + 1;
            Counter { is_cursed: number == is_cursed.load(Ordering::Relaxed), ..Counter::new() }
        }
    };
    let mut cluster = LocalCluster::start(ClusterOptions::in_memory(3), machine).unwrap();
    let mut adder = Adder::new();
    assert_eq!(adder.add(&cluster, 1).await, 1);
    assert_eq!(adder.add(&cluster, POISON).await, 101);
    wait::until("end of node 2", async || (cluster.dead() == [id(2)]).then_some(())).await;
    assert_eq!(adder.add(&cluster, 1).await, 102, "the other two are a majority");
    check_sum_everywhere(&cluster, 102).await;
    let killed = cluster.kill(id(2)).unwrap_err();
    assert!(matches!(killed, PlaceError::Dead(node) if node == id(2)), "{killed}");

    // The fourth machine is not cursed: it takes the same command again.
    cluster.revive(id(2)).unwrap();
    check_sum_everywhere(&cluster, 102).await;
    assert_eq!(cluster.running().count(), 3);
    cluster.stop();

    let options = NodeOptions::new(id(1), "127.0.0.1:0", Data::Memory(Default::default()));
    let alone = Node::start(options, Counter { is_cursed: true, ..Counter::new() }).unwrap();
    alone.propose(vec![1], None, wait::DEADLINE).await.unwrap();
    let outcome = alone.propose(vec![POISON], None, wait::DEADLINE).await;
    assert!(outcome.is_err(), "{outcome:?}");
    wait::until("end of the node", async || (!alone.is_running()).then_some(())).await;
    assert_eq!(alone.stop(), NodeEnd::Fault { actor: "Consensus" });
}

/// A node whose state went wrong is found out when states are compared, serves nobody, and is
/// given the right state.
#[tokio::test]
async fn a_node_with_a_wrong_state_is_fenced_and_rebuilt() {
    let started = Arc::new(AtomicU64::new(0));
    let options = ClusterOptions::in_memory(3);
    let cluster = Cluster::start(options, move || {
        let number = started.fetch_add(1, Ordering::Relaxed);
        Counter { is_wrong: number == 1, ..Counter::new() }
    })
    .unwrap();
    let leader = leader(&cluster).await;
    let node = cluster.node(leader).unwrap();
    for _ in 0..1_100 {
        node.propose(vec![1], None, wait::DEADLINE).await.unwrap();
    }
    // Nobody would have had to make a snapshot of so little.
    let rebuilt = wait::until("rebuilt node", async || {
        for (id, node) in cluster.running() {
            let status = node.status().await.unwrap();
            if 0 < status.snapshot_index.0
                && !status.is_fenced
                && Some(id) != cluster.leader().await
            {
                return Some(id);
            }
        }
        None
    })
    .await;
    assert_eq!(rebuilt, id(2));
    check_sum_everywhere(&cluster, 1_100).await;
}

/// An embedding program takes in a node that is still to come, once, and says who leads.
#[tokio::test]
async fn members_and_the_leader_are_changed_from_the_program() {
    let cluster = LocalCluster::start(ClusterOptions::in_memory(3), Counter::new).unwrap();
    Adder::new().add(&cluster, 1).await;
    let node = cluster.node(id(2)).unwrap();
    let client = ClientId { issued_at: 0, random: 77 };
    let stamp = |serial| Some(SessionStamp { client, serial, acknowledged: serial - 1 });
    let add = Change { add: vec!["node-4".to_owned()], ..Change::default() };
    for through in [node, cluster.node(id(1)).unwrap()] {
        let added = through.change_members(add.clone(), stamp(1), wait::DEADLINE).await;
        assert_eq!(added, Ok(vec![id(4)]));
    }
    let absent = Change { remove: [id(9)].into(), ..Change::default() };
    let mut serial = 1;
    let refusal = wait::until("refusal that is not for now", async || {
        serial += 1;
        match node.change_members(absent.clone(), stamp(serial), wait::DEADLINE).await {
            Err(RequestError::ChangeRefused(ChangeRefusal::InProgress)) => None,
            outcome => Some(outcome),
        }
    });
    let refused = Err(RequestError::ChangeRefused(ChangeRefusal::NotAMember(id(9))));
    assert_eq!(refusal.await, refused);
    let long = Change { add: vec!["h".repeat(256)], ..Change::default() };
    let refused = node.change_members(long, None, wait::DEADLINE).await;
    assert_eq!(refused, Err(RequestError::ChangeRefused(ChangeRefusal::BadAddress)));
    assert_eq!(node.status().await.unwrap().configuration.learners, [id(4)].into());

    for to in [3, 1] {
        assert_eq!(node.transfer(Some(id(to)), wait::DEADLINE).await, Ok(()));
        assert_eq!(cluster.leader().await, Some(id(to)));
    }
    let refused = node.transfer(Some(id(4)), wait::DEADLINE).await;
    assert_eq!(refused, Err(RequestError::NotHandedOver), "a learner cannot lead");
}
