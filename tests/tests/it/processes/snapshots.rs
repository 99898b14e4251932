//! Snapshots of real processes: the log stays short, and whoever is far behind gets one.

use std::fs;

use super::super::harness::client::Client;
use super::super::harness::cluster::Cluster;
use super::super::harness::wait;

/// Snapshots after every 128 KiB of log.
const FLAGS: [&str; 2] = ["--snapshot-log-bytes", "131072"];

/// What is kept for those who are a little behind, and how long a segment of the log is then.
const KEPT_BYTES: u64 = 16 << 20;
const SEGMENT_BYTES: u64 = 1 << 20;

/// A value, so that a few hundred of them are many snapshots.
fn value(number: u64) -> String {
    format!("{number}-{}", "x".repeat(8 * 1024))
}

/// Puts values under `keys` keys in turn, from several tasks.
async fn write(cluster: &Cluster, numbers: std::ops::Range<u64>, keys: u64) {
    let mut tasks = Vec::new();
    for lane in 0..8 {
        let client = Client::connect(&cluster.addresses).await;
        let numbers: Vec<u64> =
            numbers.clone().filter(|number| number % keys % 8 == lane).collect();
        tasks.push(tokio::spawn(async move {
            for number in numbers {
                client.put(&format!("key {}", number % keys), &value(number)).await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

async fn snapshot_index(cluster: &Cluster, id: u64) -> u64 {
    cluster.status(id).await.snapshot_index
}

/// Whether no more of the log is there than is kept for those who are a little behind, and what
/// may come before the next snapshot: as much as the last one has. It is of history too, so each
/// is about twice as long as the one before.
fn is_log_short(cluster: &Cluster, id: u64) -> bool {
    let snapshot = lengths(cluster, id, "snapshot-0").into_iter().max().unwrap_or(0);
    let log: u64 = lengths(cluster, id, "wal-0").iter().sum();
    let is_cut = !cluster.files(id).iter().any(|name| name == "wal-0000000000000001");
    is_cut && log <= snapshot + KEPT_BYTES + 3 * SEGMENT_BYTES
}

/// How long the files of a node are whose names begin so; zero for those that are gone by now.
fn lengths(cluster: &Cluster, id: u64, kind: &str) -> Vec<u64> {
    let files = cluster.files(id).into_iter().filter(|name| name.starts_with(kind));
    files.map(|name| fs::metadata(cluster.file(id, &name)).map_or(0, |file| file.len())).collect()
}

#[tokio::test]
async fn a_follower_that_was_away_for_long_is_given_a_snapshot_and_everybody_restarts() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start_with(3, &FLAGS).await;
    write(&cluster, 0..40, 40).await;
    let away = cluster.follower().await;
    cluster.kill(away);
    // 50 MB of log, of which 16 MiB are kept for those who are a little behind.
    write(&cluster, 40..6_040, 40).await;
    let leader = cluster.leader().await;
    wait::until("a snapshot", async || (0 < snapshot_index(&cluster, leader).await).then_some(()))
        .await;
    wait::until("a short log", async || is_log_short(&cluster, leader).then_some(())).await;

    cluster.revive(away);
    cluster.check_equal().await;
    assert!(0 < snapshot_index(&cluster, away).await, "it has a snapshot too");

    for id in cluster.ids() {
        cluster.kill(id);
    }
    for id in cluster.ids() {
        cluster.revive(id);
    }
    cluster.leader().await;
    write(&cluster, 6_040..6_080, 40).await;
    cluster.check_equal().await;
    let client = cluster.client().await;
    for key in 0..40 {
        let found = client.get(&format!("key {key}")).await;
        assert_eq!(found, Some(value(6_040 + key)));
    }
}

#[tokio::test]
async fn a_damaged_snapshot_is_set_aside_and_fetched_again() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start_with(3, &FLAGS).await;
    write(&cluster, 0..400, 10).await;
    let victim = cluster.follower().await;
    wait::until("a snapshot", async || (0 < snapshot_index(&cluster, victim).await).then_some(()))
        .await;
    cluster.kill(victim);
    let snapshots: Vec<String> =
        cluster.files(victim).into_iter().filter(|name| name.starts_with("snapshot-0")).collect();
    assert!(!snapshots.is_empty());
    for name in &snapshots {
        let path = cluster.file(victim, name);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        fs::write(&path, bytes).unwrap();
    }

    cluster.revive(victim);
    write(&cluster, 400..420, 10).await;
    cluster.check_equal().await;
    assert!(cluster.files(victim).iter().any(|name| name.starts_with("damaged-snapshot-")));
    // It counts again: with it and without another one there is a majority.
    let other = cluster.ids().into_iter().find(|id| *id != victim).unwrap();
    cluster.kill(other);
    write(&cluster, 420..430, 10).await;
}
