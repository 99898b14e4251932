//! A store that takes as much memory as it may, on real nodes.

use crate::harness::cluster::Cluster;
use crate::harness::wait;

/// The least that a node can be told, in bytes.
const MEMORY_MAX: &str = "1048576";

/// A value of 64 KiB; sixteen of them are too many.
fn large() -> String {
    "v".repeat(65_536)
}

/// Whether each node says in its status that it is full, as `kvctl` shows it to programs.
async fn full(cluster: &Cluster) -> Vec<bool> {
    let document = cluster.kvctl(&["status", "-w", "json"]).await.stdout;
    let nodes: Vec<&str> = document.split("\"live_bytes\":").skip(1).collect();
    let is_full = |node: &&str| {
        let (live_bytes, rest) = node.split_once(',').expect("a number of bytes");
        let live_bytes: u64 = live_bytes.parse().expect("a number of bytes");
        let is_full = 1_048_576 <= live_bytes;
        let told = format!("\"memory_max\":{MEMORY_MAX},\"full\":{is_full},");
        assert!(rest.starts_with(&told), "{node}");
        is_full
    };
    nodes.iter().map(is_full).collect()
}

/// At the leader and through followers the same: what would add to the store is refused when it is
/// full, reads and what makes room go on, and then there is room again for everybody.
#[tokio::test]
async fn a_full_store_takes_nothing_more_until_something_goes() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start_with(3, &["--memory-max", MEMORY_MAX]).await;
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    let at = |id: u64| cluster.address(id).to_owned();
    let value = large();
    // A refusal is tried again until the time is over; what is taken may need as long as it does.
    let put = async |id: u64, key: &str, value: &str, timeout: &str| {
        cluster.begin_kvctl_at(&at(id), &["--timeout", timeout, "put", key, value]).end().await
    };
    assert_eq!(full(&cluster).await, [false; 3]);
    let mut count = 0;
    while !full(&cluster).await.contains(&true) {
        let ended = put(follower, &format!("key{count}"), &value, "20").await;
        assert_eq!(ended.code, Some(0), "put {count}: {}", ended.stderr);
        count += 1;
        assert!(count <= 16, "sixteen values of 64 KiB are more than 1 MiB");
    }
    assert_eq!(count, 16, "fifteen of them are not");
    wait::until("everybody is full", async || (full(&cluster).await == [true; 3]).then_some(()))
        .await;
    for id in [leader, follower] {
        let ended = put(id, "one-more", "1", "2").await;
        assert_eq!(ended.code, Some(3), "at node {id}: {}", ended.stderr);
        assert!(ended.stderr.contains("all the memory it may"), "{}", ended.stderr);
        for words in [
            &["--timeout", "1", "lease", "grant", "10s"][..],
            &["--timeout", "1", "txn", "then", "put", "one-more", "1"],
            &["--timeout", "1", "hset", "hash", "field:1"],
        ] {
            let ended = cluster.begin_kvctl_at(&at(id), words).end().await;
            assert_eq!(ended.code, Some(3), "{words:?} at node {id}: {}", ended.stderr);
        }
        let ended = cluster.begin_kvctl_at(&at(id), &["get", "key0"]).end().await;
        assert_eq!((ended.code, ended.stdout.trim_end()), (Some(0), value.as_str()));
    }
    let text = cluster.kvctl(&["status"]).await.stdout;
    assert_eq!(text.matches("full: ").count(), 3, "{text}");
    let ended = cluster.begin_kvctl_at(&at(follower), &["del", "key0"]).end().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "1\n"));
    wait::until("room everywhere", async || (full(&cluster).await == [false; 3]).then_some(()))
        .await;
    for (id, key) in [(follower, "again"), (leader, "and-again")] {
        let ended = put(id, key, "1", "20").await;
        assert_eq!(ended.code, Some(0), "at node {id}: {}", ended.stderr);
    }
    cluster.check_equal().await;
}
