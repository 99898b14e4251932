//! Reads by lease, and reads of one node's own state.

use rustix::process::Signal;

use crate::harness::cluster::Cluster;
use crate::harness::wait;

/// With lease reads each read sees every write that was answered before, on whichever node;
/// after the death of a leader too, and after a hand-over, which waits for promises.
#[tokio::test]
async fn reads_by_lease_see_every_write_before_them() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start_with(3, &["--lease-reads"]).await;
    for id in cluster.ids() {
        let identity = std::fs::read_to_string(cluster.file(id, "identity")).unwrap();
        assert!(identity.contains("\npromise_us = 250000\n"), "{identity}");
    }
    let mut written = 0;
    write_and_read(&cluster, &mut written).await;
    let victim = cluster.leader().await;
    cluster.kill(victim);
    write_and_read(&cluster, &mut written).await;
    cluster.revive(victim);
    let leader = cluster.leader().await;
    let term = cluster.status(leader).await.term;
    let process = cluster.take(leader);
    process.signal(Signal::TERM);
    let ended = process.end().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let next = cluster.leader().await;
    assert_eq!(cluster.status(next).await.term, term + 1, "it was handed over");
    write_and_read(&cluster, &mut written).await;
}

/// Writes through one node after the other, and reads each value through every node.
async fn write_and_read(cluster: &Cluster, written: &mut u64) {
    let mut clients = Vec::new();
    for id in cluster.alive() {
        clients.push(cluster.client_of(id).await);
    }
    for number in 0..30 {
        *written += 1;
        let value = written.to_string();
        clients[number % clients.len()].put("key", &value).await;
        for client in &clients {
            assert_eq!(client.get("key").await.as_ref(), Some(&value));
        }
    }
}

/// A node that is alone answers no get, and a local one at once, which says how old it may be.
#[tokio::test]
async fn a_node_without_a_majority_answers_local_reads() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    cluster.client().await.put("colour", "green").await;
    cluster.check_equal().await;
    let applied_index = cluster.status(1).await.applied_index;
    for id in [2, 3] {
        cluster.kill(id);
    }
    let ended = cluster.kvctl(&["--timeout", "0.5", "get", "colour"]).await;
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    let ended = cluster.kvctl(&["get", "--local", "colour"]).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "green\n"), "{}", ended.stderr);
    let words = format!("local read: applied up to index {applied_index}, in touch with");
    assert!(ended.stderr.contains(&words), "{}", ended.stderr);
    let ended = cluster.kvctl(&["get", "--local", "--prefix", "", "-w", "json"]).await;
    assert!(ended.stdout.contains("\"value\":\"green\""), "{}", ended.stdout);
    let (_, end) = ended.stdout.split_once(&format!("\"applied_index\":{applied_index},")).unwrap();
    let age_ms = end.strip_prefix("\"contact_age_ms\":").and_then(|end| end.strip_suffix("}\n"));
    let age_ms: u64 = age_ms.unwrap().parse().unwrap();
    assert!(500 <= age_ms, "the get that failed took as long, but: {age_ms}");
}

/// `kvctl verify` finds that nodes which have executed the same are equal, up to the last index,
/// and says whom it could not ask.
#[tokio::test]
async fn nodes_that_have_executed_the_same_are_found_equal() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    let client = cluster.client().await;
    for number in 0..50 {
        client.put(&format!("key{number}"), "value").await;
    }
    cluster.check_equal().await;
    let ended = cluster.kvctl(&["verify"]).await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    let applied_index = cluster.status(1).await.applied_index;
    let words = format!("to {applied_index}, hash");
    assert!(ended.stdout.starts_with("nodes 1, 2, 3 are equal, index "), "{}", ended.stdout);
    assert!(ended.stdout.contains(&words), "{}", ended.stdout);
    let address = cluster.address(3).to_owned();
    cluster.kill(3);
    let ended = cluster.kvctl(&["verify", "-w", "json"]).await;
    assert_eq!(ended.code, Some(3), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("\"equal\":true,\"compared\":[1,2]"), "{}", ended.stdout);
    assert!(ended.stderr.contains(&format!("{address} was not compared")), "{}", ended.stderr);
}
