//! What operators do not choose: clocks, addresses that are taken, nodes that do not come, and
//! folders without room. A line each, and nothing is lost.

use std::process::Command;

use crate::bad_input::{NOT_STARTED, check_refused, run};
use crate::harness::cluster::Cluster;
use crate::harness::process::{KVCTL, KVORUM, Process};
use crate::harness::scratch::Scratch;
use crate::harness::{tools, wait};

/// How far ahead a clock is, about three years. Units: seconds.
const AHEAD_SECONDS: &str = "100000000";

/// Whether this program can be told to lie to another; if not, `test` is told so.
fn is_permitted(test: &str, words: &[&str]) -> bool {
    if tools::find(test, "unshare").is_none() {
        return false;
    }
    let tried = Command::new("unshare").args(words).arg("true").output();
    let is_permitted = tried.is_ok_and(|tried| tried.status.success());
    if !is_permitted {
        println!("skipped: {test}: unshare {words:?} is not permitted");
    }
    is_permitted
}

/// A node whose clock is years ahead of the others' leads, and ends no lease for it.
#[tokio::test]
async fn a_clock_that_is_far_ahead() {
    let _turn = wait::turn().await;
    let ahead = ["--time", "--monotonic", AHEAD_SECONDS, "--boottime", AHEAD_SECONDS];
    if !is_permitted("a_clock_that_is_far_ahead", &ahead) {
        return;
    }
    let mut cluster = Cluster::start(3).await;
    let said = async |cluster: &Cluster, words: &[&str]| {
        let ended = cluster.kvctl(words).await;
        assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.stderr);
        ended.stdout.trim_end().to_owned()
    };
    let lease = said(&cluster, &["lease", "grant", "600"]).await;
    said(&cluster, &["put", "--lease", &lease, "leased", "1"]).await;
    cluster.kill(3);
    cluster.revive_below(3, &[&["unshare"], &ahead[..]].concat());
    wait::until("a leader with a clock far ahead", async || {
        cluster.kvctl(&["--timeout", "2", "member", "transfer", "3"]).await;
        (cluster.leader().await == 3).then_some(())
    })
    .await;
    let client = cluster.client().await;
    client.put("by", "the one ahead").await;
    assert_eq!(said(&cluster, &["get", "leased"]).await, "1");
    // And back: time goes on where it was, for those with other clocks too.
    cluster.kill(3);
    client.put("by", "another").await;
    assert_eq!(said(&cluster, &["get", "leased"]).await, "1");
    let left: f64 = said(&cluster, &["ttl", "leased"]).await.parse().unwrap();
    assert!((500.0..=600.0).contains(&left), "{left} seconds are left of 600");
    cluster.revive_below(3, &[&["unshare"], &ahead[..]].concat());
    cluster.check_equal().await;
}

#[tokio::test]
async fn an_address_that_another_member_has() {
    let _turn = wait::turn().await;
    let scratch = Scratch::new();
    let twice = ["--node-id", "1", "--peers", "1=127.0.0.1:9,2=127.0.0.1:9"];
    check_refused(&scratch, (KVORUM, &twice), 2, &["nodes 1 and 2", "127.0.0.1:9"]).await;

    let mut cluster = Cluster::start(1).await;
    cluster.client().await.put("k", "v").await;
    assert_eq!(cluster.join().await, 2);
    let [first, second] = [1, 2].map(|id| cluster.address(id).to_owned());
    // An address that nobody was heard of at may be added again, and is the same member.
    wait::until("word of node 2", async || {
        let status = cluster.status(1).await;
        status.incarnations.iter().any(|(id, _)| *id == 2).then_some(())
    })
    .await;
    let at = ["--endpoints", &first, "member", "add", &second];
    check_refused(&scratch, (KVCTL, &at), 1, &["node 2 has that address"]).await;
    let joins = [
        &["--listen", "127.0.0.1:0", "--data-dir", "third", "--log-level", "error"][..],
        &["--join", &first, "--advertise", &second],
    ]
    .concat();
    let words = [&second, "node 2", "another data directory", "kvctl member remove 2"];
    check_refused(&scratch, (KVORUM, &joins), NOT_STARTED, &words).await;
    assert_eq!(cluster.client().await.get("k").await.as_deref(), Some("v"));
}

/// A member that was added and does not come counts nowhere, is named, and can be taken out.
#[tokio::test]
async fn a_joiner_that_never_catches_up() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(3).await;
    let client = cluster.client().await;
    let nobody = crate::harness::ports::addresses(1).remove(0);
    let added = cluster.kvctl(&["member", "add", &nobody]).await;
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    client.put("k", "v").await;
    let promoted = cluster.kvctl(&["--timeout", "1", "member", "promote", "4", "--wait"]).await;
    assert_eq!((promoted.code, promoted.stderr.lines().count()), (Some(1), 1), "{promoted:?}");
    assert!(promoted.stderr.contains("node 4 has not caught up"), "{promoted:?}");
    let doctor = cluster.kvctl(&["doctor"]).await;
    let line = doctor.stdout.lines().find(|line| line.contains(&nobody));
    let line = line.unwrap_or_else(|| panic!("{doctor:?}"));
    assert!(line.starts_with("node 4: ") && line.contains("cannot be reached"), "{line}");
    let status = cluster.status(cluster.leader().await).await;
    assert!(status.member_roles.contains(&(4, "learner".to_owned())), "{status:?}");
    let removed = cluster.kvctl(&["member", "remove", "4"]).await;
    assert_eq!(removed.code, Some(0), "{}", removed.stderr);
    client.put("k", "w").await;
}

/// Scheduled backups on a file system that is full: the node says so once, and serves on.
#[tokio::test]
async fn a_backup_folder_without_room() {
    let _turn = wait::turn().await;
    if !is_permitted("a_backup_folder_without_room", &["--mount"]) {
        return;
    }
    let scratch = Scratch::new();
    let node = "mkdir small && mount -t tmpfs -o size=128k none small && exec \"$0\" \
                --listen 127.0.0.1:0 --data-dir data --wal-segment-bytes 1048576 \
                --backup-dir small --backup-interval 1";
    let words = ["--mount", "sh", "-c", node, KVORUM];
    let node = Process::start(&scratch, "node", "unshare", &words);
    let said = node.lines(1).await;
    let address = said[0].split_once("listens on ").unwrap().1.split_once(',').unwrap().0;
    let client = crate::harness::client::Client::connect(&[address.to_owned()]).await;
    let mebibyte = "v".repeat(1 << 20);
    client.put("long", &mebibyte).await;
    node.complains(&["backup", "No space left on device"]).await;
    client.put("k", "v").await;
    let at = ["--endpoints", address, "snapshot", "save", "elsewhere.kvb"];
    let saved = run(&scratch, KVCTL, &at).await;
    assert_eq!(saved.code, Some(0), "where there is room there is a backup: {saved:?}");
    // What there is of it beside the folder that is full, through the node's own eyes.
    let folder = format!("/proc/{}/root{}", node.pid(), scratch.join("small").display());
    let names = std::fs::read_dir(&folder).unwrap().map(|it| it.unwrap().file_name());
    let names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    let is_whole = |name: &String| name.ends_with(".kvb");
    for name in names.iter().filter(|name| is_whole(name)) {
        let path = format!("{folder}/{name}");
        let inspected = run(&scratch, KVCTL, &["snapshot", "inspect", &path]).await;
        assert_eq!(inspected.code, Some(0), "{name} is not whole: {}", inspected.stderr);
    }
    assert_eq!(client.get("long").await.map(|it| it.len()), Some(mebibyte.len()));
}
