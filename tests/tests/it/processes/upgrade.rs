//! One version takes the place of another, node by node, while clients write.

use rustix::process::Signal;

use super::crashes::{Writers, check_written};
use super::members::until_caught_up;
use crate::harness::cluster::Cluster;
use crate::harness::process::{KVORUM, Process};
use crate::harness::scratch::Scratch;
use crate::harness::wait;

/// As a version would start that knows one feature level less.
const OLDER: [&str; 2] = ["--feature-level-max", "1"];

/// Waits until a node has applied an entry of this feature level.
async fn until_level(cluster: &Cluster, id: u64, level: u16) {
    wait::until(&format!("feature level {level} on node {id}"), async || {
        (cluster.status(id).await.feature_level == level).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_rolling_upgrade_loses_no_request_and_raises_the_level_at_its_end() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start_with(3, &OLDER).await;
    let mut writers = Writers::start(&cluster).await;
    writers.go_on(20).await;
    for id in [1, 2, 3] {
        until_level(&cluster, id, 1).await;
    }
    let backup = cluster.file(1, "before.kvb").display().to_string();
    let saved = cluster.kvctl(&["snapshot", "save", &backup]).await;
    assert_eq!(saved.code, Some(0), "{saved:?}");
    let refused = cluster.kvctl(&["snapshot", "restore", &backup]).await;
    assert!(refused.code == Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("needs feature level 2, and the cluster has agreed on 1"),
        "{refused:?}"
    );
    cluster.set_flags(&[]);
    for id in [1, 2, 3] {
        let older = cluster.take(id);
        older.signal(Signal::TERM);
        let ended = older.end().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let others = cluster.alive();
        let before = cluster.status(others[0]).await;
        assert_eq!(before.feature_level, 1, "there is a node yet that knows no more");
        cluster.revive_alone(id);
        let leader = cluster.leader().await;
        until_caught_up(&cluster, id, leader).await;
        writers.go_on(20).await;
    }
    for id in [1, 2, 3] {
        until_level(&cluster, id, 2).await;
    }
    let written = writers.end().await;
    check_written(&cluster, &[1, 2, 3], &written).await;
    cluster.check_equal().await;
    let restored = cluster.kvctl(&["snapshot", "restore", &backup]).await;
    assert_eq!(restored.code, Some(0), "{restored:?}");

    // The way back is closed, and that is said before anything is touched.
    let older = cluster.take(2);
    older.signal(Signal::TERM);
    assert_eq!(older.end().await.code, Some(0));
    cluster.set_flags(&OLDER);
    cluster.revive_alone(2);
    let refused = cluster.take(2).end().await;
    let line = "written under feature level 2, and this version knows up to 1; start the version";
    assert!(refused.code == Some(1) && refused.stderr.contains(line), "{refused:?}");
    cluster.set_flags(&[]);
    cluster.revive_alone(2);
    let leader = cluster.leader().await;
    until_caught_up(&cluster, 2, leader).await;

    // Nor does an older version join.
    let scratch = Scratch::new();
    let door = cluster.address(1);
    let words = [&["--listen", "127.0.0.1:0", "--data-dir", "new", "--join", door][..], &OLDER];
    let refused = Process::start(&scratch, "new", KVORUM, &words.concat()).end().await;
    let line = "cannot join the cluster: the cluster has agreed on feature level 2";
    assert!(refused.code == Some(1) && refused.stderr.contains(line), "{refused:?}");
}
