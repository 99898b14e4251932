//! New clusters: of a backup, and of what is left when a majority is lost.

use super::super::harness::client::Client;
use super::super::harness::cluster::Cluster;
use super::super::harness::ports;
use super::super::harness::process::{Ended, KVCTL, KVORUM, Process};
use super::super::harness::scratch::Scratch;
use super::super::harness::wait;

/// How far revisions go up.
const BILLION: u64 = 1_000_000_000;

async fn run(scratch: &Scratch, program: &str, words: &[&str]) -> Ended {
    let name = format!("run-{}", name_of(words));
    let mut process = Process::start(scratch, &name, program, words);
    process.end_input();
    process.end().await
}

/// A name of its own for the files of each run.
fn name_of(words: &[&str]) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static RUNS: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", words[0].trim_start_matches('-'), RUNS.fetch_add(1, Ordering::Relaxed))
}

fn said(ended: Ended) -> String {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.stdout
}

/// Starts a node as it was told to be started.
fn begin(scratch: &Scratch, name: &str, words: &[&str]) -> Process {
    Process::start(scratch, name, KVORUM, &[words, &["--wal-segment-bytes", "1048576"]].concat())
}

/// A restore that was made is not made again, nor one of a bad file.
async fn check_refusals(scratch: &Scratch, file: &str, words: &[&str]) {
    // Nothing is overwritten.
    let again = run(scratch, KVORUM, words).await;
    assert_eq!((again.code, again.stderr.lines().count()), (Some(1), 1), "{}", again.stderr);
    assert!(again.stderr.contains("new is not empty"), "{}", again.stderr);
    // A bad file makes nothing.
    let bad = scratch.join("bad");
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&bad, bytes).unwrap();
    let ended = run(scratch, KVORUM, &["restore", "bad", "--data-dir", "other"]).await;
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("bad is damaged at byte"), "{}", ended.stderr);
    assert!(!scratch.join("other").exists());
}

#[tokio::test]
async fn a_new_cluster_from_a_backup_has_all_of_it_and_is_joined_by_others() {
    let _turn = wait::turn().await;
    let old = Cluster::start(3).await;
    let client = old.client().await;
    client.put("city", "Rome").await;
    let revision = client.put("city", "Oslo").await;
    said(old.kvctl(&["hset", "h", "a:1"]).await);
    said(old.kvctl(&["lease", "grant", "3000", "7"]).await);
    said(old.kvctl(&["put", "leased", "v", "--lease", "7"]).await);
    let file = old.path("backup");
    let file = file.to_str().unwrap();
    said(old.kvctl(&["snapshot", "save", file]).await);

    let scratch = Scratch::new();
    let addresses = ports::addresses(3);
    let address = &*addresses[0];
    let words = ["restore", file, "--data-dir", "new", "--address", address];
    let text = said(run(&scratch, KVORUM, &words).await);
    assert!(
        text.contains("restored revision ") && text.contains("node 1 of the new cluster"),
        "{text}"
    );
    check_refusals(&scratch, file, &words).await;

    let mut first = begin(&scratch, "one", &["--data-dir", "new", "--listen", address]);
    first.lines(1).await;
    let client = Client::connect(&[address.to_owned()]).await;
    assert_eq!(client.get("city").await.as_deref(), Some("Oslo"));
    let next = client.put("city", "Bergen").await;
    assert!(revision + BILLION < next && next < revision + BILLION + 100, "{next}");
    let endpoints = ["--endpoints", address];
    let kvctl =
        async |words: &[&str]| said(run(&scratch, KVCTL, &[&endpoints, words].concat()).await);
    assert_eq!(kvctl(&["hgetall", "h"]).await, "a:1\n");
    assert_eq!(kvctl(&["lease", "revoke", "7"]).await, "1\n");
    let gone = run(
        &scratch,
        KVCTL,
        &[&endpoints[..], &["get", "city", "--rev", &revision.to_string()]].concat(),
    )
    .await;
    assert!(gone.stderr.contains("compacted"), "{}", gone.stderr);
    // It is a cluster as any other: it is joined, and starts again.
    let join = ["--join", address, "--listen"];
    let two =
        begin(&scratch, "two", &[&["--data-dir", "two"], &join[..], &[&*addresses[1]]].concat());
    let three = begin(
        &scratch,
        "three",
        &[&["--data-dir", "three"], &join[..], &[&*addresses[2]]].concat(),
    );
    wait::until("three voters", async || {
        let text = kvctl(&["member", "list"]).await;
        (text.matches("voter").count() == 3).then_some(())
    })
    .await;
    first.end_input();
    first.kill();
    let first = begin(&scratch, "one", &["--data-dir", "new"]);
    first.lines(2).await;
    let client = Client::connect(&addresses).await;
    assert_eq!(client.get("city").await.as_deref(), Some("Bergen"));
    client.put("more", "v").await;
    drop((first, two, three));
}

#[tokio::test]
async fn the_survivor_of_a_lost_majority_becomes_a_cluster_that_the_old_nodes_cannot_enter() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start_with(3, &["--snapshot-log-bytes", "100000"]).await;
    let client = cluster.client().await;
    for number in 0..400 {
        client.put(&format!("key {number}"), &"v".repeat(1_000)).await;
    }
    let survivor = cluster.leader().await;
    cluster.check_equal().await;
    let old_id = cluster.status(survivor).await.cluster_id;
    let folder = cluster.path(&format!("node-{survivor}"));
    let folder = folder.to_str().unwrap();
    let scratch = Scratch::new();
    // Not while a node uses it.
    let words = ["recover", "--data-dir", folder, "--yes"];
    let ended = run(&scratch, KVORUM, &words).await;
    assert_eq!((ended.code, ended.stderr.lines().count()), (Some(1), 1), "{}", ended.stderr);
    assert!(ended.stderr.contains("in use by process"), "{}", ended.stderr);

    let lost: Vec<u64> = cluster.ids().into_iter().filter(|id| *id != survivor).collect();
    for id in cluster.ids() {
        cluster.kill(id);
    }
    // Two of three have everything, and looking changes nothing.
    let before = cluster.files(survivor);
    let second = cluster.path(&format!("node-{}", lost[0]));
    let both = ["recover", "--data-dir", folder, "--data-dir", second.to_str().unwrap()];
    let text = said(run(&scratch, KVORUM, &both).await);
    assert!(text.contains("nothing that was acknowledged is missing"), "{text}");
    assert!(text.contains("nothing was changed"), "{text}");
    let text = said(run(&scratch, KVORUM, &words[..3]).await);
    assert!(text.contains("what was acknowledged last may be missing"), "{text}");
    assert_eq!(cluster.files(survivor).len(), before.len());
    let text = said(run(&scratch, KVORUM, &words).await);
    assert!(text.contains("made cluster"), "{text}");

    let address = cluster.address(survivor).to_owned();
    let node = begin(&scratch, "recovered", &["--data-dir", folder, "--listen", &address]);
    node.lines(1).await;
    let client = Client::connect(std::slice::from_ref(&address)).await;
    for number in [0, 1, 199, 398, 399] {
        let found = client.get(&format!("key {number}")).await;
        assert_eq!(found.as_deref(), Some(&*"v".repeat(1_000)));
    }
    assert!(BILLION < client.put("after", "v").await);
    let endpoints = ["--endpoints", &*address];
    let counted = ["get", "--prefix", "key ", "--count-only"];
    assert_eq!(said(run(&scratch, KVCTL, &[&endpoints[..], &counted].concat()).await), "400\n");
    // The old nodes are of another cluster, and are told so.
    cluster.revive(lost[0]);
    let refused = cluster.node(lost[0]).complains(&["cluster"]).await;
    assert!(refused.contains("belongs to cluster"), "{refused}");
    assert!(refused.contains(&format!("{old_id:016x}")), "{refused}");
    let status = said(run(&scratch, KVCTL, &[&endpoints[..], &["member", "list"]].concat()).await);
    assert_eq!(status.lines().count(), 1, "{status}");
    // What was there is kept.
    assert!(std::path::Path::new(&format!("{folder}.of-cluster-{old_id:016x}")).exists());
    drop(node);
}
