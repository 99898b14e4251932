//! Writes go on while the leader is killed again and again, and none is lost or done twice.

use std::collections::BTreeMap;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::harness::client::Client;
use crate::harness::cluster::Cluster;
use crate::harness::wait;

const WRITERS: usize = 4;
const KILLS: usize = 10;

/// How many writes are acknowledged between two killings, at least.
const WRITES_BETWEEN: u64 = 20;

/// S-17: what was acknowledged is there after the loss of the leader and of all nodes at once.
/// S-18: terms only grow, also over restarts.
/// S-26: a write that had to be sent again happened once.
#[tokio::test]
async fn acknowledged_writes_survive_ten_killed_leaders_and_one_killed_cluster() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    let mut writers = Writers::start(&cluster).await;
    let mut terms = Terms::default();
    for _ in 0..KILLS {
        writers.go_on(WRITES_BETWEEN).await;
        let leader = cluster.leader().await;
        terms.look_at(&cluster).await;
        cluster.kill(leader);
        writers.go_on(WRITES_BETWEEN).await;
        cluster.revive(leader);
        terms.look_at(&cluster).await;
    }
    for id in cluster.ids() {
        cluster.kill(id);
    }
    for id in cluster.ids() {
        cluster.revive(id);
    }
    writers.go_on(WRITES_BETWEEN).await;
    terms.look_at(&cluster).await;
    let written = writers.end().await;

    check_written(&cluster, &cluster.ids(), &written).await;
    cluster.check_equal().await;
}

/// Every one of these nodes has what was acknowledged, each write once, and nothing else.
pub(super) async fn check_written(cluster: &Cluster, ids: &[u64], written: &BTreeMap<String, u64>) {
    for &id in ids {
        let (revision, found) = cluster.client_of(id).await.prefix("").await;
        let mut expected = 1;
        for (key, count) in written {
            let kv = found.iter().find(|kv| kv.key == *key).expect(key);
            assert_eq!(kv.value, count.to_string(), "the last acknowledged value of {key}");
            assert_eq!(kv.version, *count, "each put of {key} happened once");
            expected += count;
        }
        assert_eq!(revision, expected, "no write happened that nobody made");
    }
}

/// Clients that count, each under a key of its own: 1, 2, 3, ...
pub(super) struct Writers {
    tasks: Vec<JoinHandle<(String, u64)>>,
    progress: Vec<watch::Receiver<u64>>,
    stop: watch::Sender<bool>,
}

impl Writers {
    pub(super) async fn start(cluster: &Cluster) -> Self {
        let stop = watch::Sender::new(false);
        let (mut tasks, mut progress) = (Vec::new(), Vec::new());
        for number in 0..WRITERS {
            let (count, counted) = watch::channel(0);
            let mut endpoints = cluster.addresses.clone();
            // Not all through the same node.
            endpoints.rotate_left(number % 3);
            let (client, stop) = (Client::connect(&endpoints).await, stop.subscribe());
            tasks.push(tokio::spawn(write(client, format!("writer {number}"), count, stop)));
            progress.push(counted);
        }
        Self { tasks, progress, stop }
    }

    /// Waits until all together have this many more acknowledged writes.
    pub(super) async fn go_on(&self, writes: u64) {
        let sum = || self.progress.iter().map(|count| *count.borrow()).sum::<u64>();
        let goal = sum() + writes;
        wait::until("acknowledged writes", async || (goal <= sum()).then_some(())).await;
    }

    /// Lets everybody finish; returns each key with its number of acknowledged writes.
    pub(super) async fn end(&mut self) -> BTreeMap<String, u64> {
        self.stop.send_replace(true);
        let mut written = BTreeMap::new();
        for task in self.tasks.drain(..) {
            written.extend([task.await.unwrap()]);
        }
        written
    }
}

async fn write(
    client: Client,
    key: String,
    count: watch::Sender<u64>,
    stop: watch::Receiver<bool>,
) -> (String, u64) {
    let mut newest = 0;
    while !*stop.borrow() {
        newest += 1;
        client.put(&key, &newest.to_string()).await;
        count.send_replace(newest);
    }
    (key, newest)
}

/// The highest term that each node has named.
#[derive(Default)]
struct Terms(BTreeMap<u64, u64>);

impl Terms {
    async fn look_at(&mut self, cluster: &Cluster) {
        for id in cluster.alive() {
            let term = cluster.status(id).await.term;
            let before = self.0.insert(id, term).unwrap_or(0);
            assert!(before <= term, "node {id} went from term {before} back to {term}");
        }
    }
}
