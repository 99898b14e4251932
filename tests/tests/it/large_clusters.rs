//! Clusters of many nodes, all of which vote.

use std::time::Duration;

use kvorum_node::{ClusterOptions, LocalCluster};
use tokio::time::Instant;

use crate::harness::wait;
use crate::local_cluster::{Adder, Counter, leader};

/// How long nobody may lose leadership under load, unless `KVORUM_STABLE_SECONDS` says otherwise.
const STABLE: Duration = Duration::from_secs(2);

fn stable() -> Duration {
    let seconds = std::env::var("KVORUM_STABLE_SECONDS").ok();
    seconds.map_or(STABLE, |text| Duration::from_secs(text.parse().unwrap()))
}

/// One leader, which stays while commands come through every node.
async fn check_stability(nodes: u64) {
    let _turn = wait::turn().await;
    let options = ClusterOptions::in_memory(nodes);
    let cluster = LocalCluster::start(options, Counter::new).unwrap();
    let mut adder = Adder::new();
    assert_eq!(adder.add(&cluster, 1).await, 1);
    let first = leader(&cluster).await;
    let before = cluster.node(first).unwrap().status().await.unwrap();
    let count = usize::try_from(nodes).unwrap();
    assert_eq!(before.configuration.voters.len(), count, "everybody votes");
    let (begun, mut sum) = (Instant::now(), 1);
    while begun.elapsed() < stable() {
        sum += 1;
        assert_eq!(adder.add(&cluster, 1).await, sum);
    }
    for (id, node) in cluster.running() {
        let status = node.status().await.unwrap();
        assert_eq!((status.term, status.leader), (before.term, Some(first)), "node {id}");
    }
    assert_eq!(cluster.running().count(), count);
    println!("{nodes} nodes: {sum} commands in {:?}", begun.elapsed());
}

/// dozens of nodes converge to one leader and stay stable.
#[tokio::test]
async fn acc_a10_twenty_four_nodes_keep_their_leader_under_load() {
    check_stability(24).await;
}

/// the same with as many as there may be.
#[tokio::test]
async fn acc_a10_fifty_nodes_keep_their_leader_under_load() {
    check_stability(50).await;
}
