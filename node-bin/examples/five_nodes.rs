//! One node becomes three, then five, each of which joins through a follower; a hundred writes
//! through a follower are read on every node, a delete is seen everywhere, and all of it is there
//! after a snapshot and a restart of everything.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use kv_store::store::Store;
use kvorum_client::{Client, KeyRange, KeyValue, Options};
use kvorum_node::{ClusterOptions, LocalCluster, NodeId, Status, Storage, Transport};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often is looked whether something has happened.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let folder = std::env::temp_dir().join(format!("kvorum-five-nodes-{}", std::process::id()));
    let outcome = tell(&folder).await;
    // What is left of it is in nobody's way.
    let _ = std::fs::remove_dir_all(&folder);
    outcome
}

async fn tell(folder: &Path) -> Outcome {
    let options = ClusterOptions {
        transport: Transport::Tcp { first_port: Some(0) },
        storage: Storage::Directory(folder.to_owned()),
        // So little log that this story is long enough for a snapshot.
        snapshot_log_bytes: 8 * 1024,
        ..ClusterOptions::in_memory(1)
    };
    let mut cluster = LocalCluster::start(options, Store::new)?;
    println!("node 1 is a cluster of its own");
    grow(&mut cluster, 3).await?;
    grow(&mut cluster, 5).await?;

    let follower = follower(&cluster).await?;
    let client = client(&cluster, follower).await?;
    for number in 0..100 {
        let (key, value) = (format!("key {number:02}"), format!("value {number}"));
        client.put(key.as_bytes(), value.as_bytes()).await?;
    }
    println!("a hundred writes through node {follower}, which follows");
    let written = check_equal_reads(&cluster, 100).await?;
    assert_eq!(written[42].value, "value 42", "keys come in order");

    let leader = await_leader(&cluster).await?;
    let through_leader = self::client(&cluster, leader).await?;
    let deleted = through_leader.delete(&[KeyRange::single(b"key 42")]).await?;
    assert_eq!(deleted.count, 1, "it was there");
    println!("key 42 is deleted through node {leader}, which leads");
    check_equal_reads(&cluster, 99).await?;

    await_on_every_node(&cluster, "a snapshot", |status| 0 < status.snapshot_index.0).await?;
    println!("every node has a snapshot");
    let ids: Vec<NodeId> = cluster.members().keys().copied().collect();
    for &id in &ids {
        cluster.stop_node(id)?;
    }
    assert_eq!(cluster.dead(), ids, "nobody runs");
    for &id in &ids {
        cluster.revive(id)?;
    }
    println!("all five have stopped and started again");
    check_equal_reads(&cluster, 99).await?;
    cluster.stop();
    Ok(())
}

/// Lets nodes join through a follower, if there is one, until so many vote.
async fn grow(cluster: &mut LocalCluster<Store>, nodes: usize) -> Outcome {
    while cluster.members().len() < nodes {
        let through = match cluster.members().len() {
            1 => await_leader(cluster).await?,
            _ => follower(cluster).await?,
        };
        let id = cluster.add(Some(through), PATIENCE).await?;
        println!("node {id} has joined through node {through}");
    }
    let vote = |status: &Status| status.configuration.voters.len() == nodes;
    await_on_every_node(cluster, "a vote for each", vote).await?;
    println!("all {nodes} nodes vote");
    Ok(())
}

async fn await_leader(cluster: &LocalCluster<Store>) -> Outcome<NodeId> {
    let search = async {
        loop {
            match cluster.leader().await {
                Some(leader) => return leader,
                None => tokio::time::sleep(LOOK_INTERVAL).await,
            }
        }
    };
    Ok(tokio::time::timeout(PATIENCE, search).await?)
}

async fn follower(cluster: &LocalCluster<Store>) -> Outcome<NodeId> {
    let leader = await_leader(cluster).await?;
    let mut others = cluster.members().keys().filter(|id| **id != leader);
    Ok(*others.next().ok_or("somebody follows")?)
}

async fn client(cluster: &LocalCluster<Store>, of: NodeId) -> Outcome<Client> {
    let endpoints = vec![cluster.client_addresses()[&of].clone()];
    Ok(Client::connect(endpoints, Options { timeout: PATIENCE }).await?)
}

/// Reads every key on every node, which must find the same, and so many.
async fn check_equal_reads(cluster: &LocalCluster<Store>, count: usize) -> Outcome<Vec<KeyValue>> {
    let mut first = None;
    for &id in cluster.members().keys() {
        let client = client(cluster, id).await?;
        let mut pages = client.range(KeyRange::prefix(b"key "));
        let page = pages.next().await?.ok_or("a range has a page")?;
        assert_eq!(page.kvs.len(), count, "node {id} has every key");
        let found = first.get_or_insert_with(|| page.kvs.clone());
        assert_eq!(*found, page.kvs, "node {id} reads what node 1 reads");
    }
    println!("every node reads the same {count} keys");
    Ok(first.ok_or("a cluster has nodes")?)
}

async fn await_on_every_node(
    cluster: &LocalCluster<Store>,
    what: &str,
    holds: impl Fn(&Status) -> bool,
) -> Outcome {
    let search = async {
        for (_, node) in cluster.running() {
            while !node.status().await.is_ok_and(|status| holds(&status)) {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        }
    };
    let found = tokio::time::timeout(PATIENCE, search).await;
    found.map_err(|_| format!("no node may be without {what} for so long"))?;
    Ok(())
}
