//! What other systems show off, told as one story each.

mod one_port;
mod operators;
mod request_ids;
mod shell;
mod watches;

use std::time::Duration;

use rustix::process::Signal;

use crate::harness::cluster::Cluster;
use crate::harness::ports;
use crate::harness::process::{KVCTL, KVORUM, Process};
use crate::harness::scratch::Scratch;
use crate::harness::wait;

/// How long a cluster is left in peace: four times the longest election timeout.
const QUIET: Duration = Duration::from_secs(2);

/// the five classic events: a first election, heartbeats that keep the peace, replication,
/// a lost follower that catches up, a lost leader and a new election.
#[tokio::test]
async fn acc_a01_five_classic_events() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    let client = cluster.client().await;

    let leader = cluster.leader().await;
    let term = cluster.status(leader).await.term;
    assert!(1 <= term, "an election makes a term");

    // Nothing happens for a while, and that is the event: nobody stands for election.
    tokio::time::sleep(QUIET).await;
    assert_eq!(cluster.leader().await, leader, "heartbeats keep the leader");
    assert_eq!(cluster.status(leader).await.term, term, "heartbeats keep the term");

    client.put("x", "1").await;
    cluster.check_equal().await;
    for id in cluster.ids() {
        assert_eq!(cluster.status(id).await.revision, 2, "node {id} has the write");
    }

    let follower = cluster.follower().await;
    cluster.kill(follower);
    for number in 0..20 {
        client.put("x", &number.to_string()).await;
    }
    cluster.revive(follower);
    // Without another write: what it missed comes by itself.
    let what = format!("revision 22 on node {follower}");
    wait::until(&what, async || (cluster.status(follower).await.revision == 22).then_some(()))
        .await;
    assert_eq!(
        cluster.status(follower).await.term,
        term,
        "a follower that returns disturbs nobody"
    );
    cluster.check_equal().await;

    cluster.kill(leader);
    client.put("y", "2").await;
    let new = cluster.leader().await;
    assert_ne!(new, leader);
    assert!(term < cluster.status(new).await.term, "a new leader has a new term");
    cluster.revive(leader);
    cluster.check_equal().await;
    assert_eq!(client.get("x").await.as_deref(), Some("19"));
    assert_eq!(client.get("y").await.as_deref(), Some("2"));
}

/// a hundred writes through a follower, equal reads on all nodes, a delete that all see,
/// and all of it again after a restart of everything.
#[tokio::test]
async fn acc_a04_writes_through_a_follower_are_read_everywhere() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(5).await;
    let follower = cluster.follower().await;
    let client = cluster.client_of(follower).await;
    for number in 0..100 {
        client.put(&format!("key {number:02}"), &format!("value {number}")).await;
    }
    let (revision, written) = client.prefix("key ").await;
    assert_eq!((revision, written.len()), (101, 100));
    for (number, found) in written.iter().enumerate() {
        assert_eq!(found.key, format!("key {number:02}"));
        assert_eq!(found.value, format!("value {number}"));
    }
    for id in cluster.ids() {
        let read = cluster.client_of(id).await.prefix("key ").await;
        assert_eq!(read, (revision, written.clone()), "node {id} reads the same");
    }

    let other = cluster.leader().await;
    assert_eq!(cluster.client_of(other).await.delete("key 42").await, 1);
    for id in cluster.ids() {
        assert_eq!(
            cluster.client_of(id).await.get("key 42").await,
            None,
            "node {id} sees the delete"
        );
    }
    assert_eq!(client.delete("key 42").await, 0, "it is gone already");

    for id in cluster.ids() {
        let process = cluster.take(id);
        process.signal(Signal::TERM);
        let ended = process.end().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
    for id in cluster.ids() {
        cluster.revive(id);
    }
    for id in cluster.ids() {
        let (revision, read) = cluster.client_of(id).await.prefix("key ").await;
        assert_eq!((revision, read.len()), (102, 99), "node {id} after the restart");
    }
    cluster.check_equal().await;
}

/// the folders of a cluster in one process are those of nodes with a process each, and the
/// other way round, without another setting.
#[tokio::test]
async fn acc_a13_one_process_or_one_for_each_node() {
    let _turn = wait::turn().await;
    let (scratch, ports) = (Scratch::new(), ports::adjacent(3));
    let first = ports[0].to_string();
    let dev = ["dev", "--port", &first, "--data-dir", "data"];
    let mut together = Process::start(&scratch, "together", KVORUM, &dev);
    together.type_in("SET a 1\nexit\n");
    assert_eq!(together.end().await.code, Some(0));

    let addresses: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let nodes: Vec<Process> = (1..)
        .zip(&addresses)
        .map(|(id, address)| {
            let folder = format!("data/node-{id}");
            let arguments = ["--listen", address, "--data-dir", &folder];
            Process::start(&scratch, &format!("node-{id}"), KVORUM, &arguments)
        })
        .collect();
    let endpoints = addresses.join(",");
    for (name, words, said) in
        [("get", ["get", "a"].as_slice(), "1\n"), ("put", &["put", "b", "2"], "OK\n")]
    {
        let arguments = [&["--endpoints", &endpoints, "--timeout", "20"], words].concat();
        let ended = Process::start(&scratch, name, KVCTL, &arguments).end().await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), said), "{}", ended.stderr);
    }
    for node in nodes {
        node.signal(Signal::TERM);
        let ended = node.end().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }

    let mut again = Process::start(&scratch, "again", KVORUM, &dev);
    again.type_in("GET a\nGET b\nexit\n");
    let ended = again.end().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "1\n2\n"), "{}", ended.stderr);
}
