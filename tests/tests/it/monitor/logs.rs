//! The log of a node: watched, changed in level, as JSON, in a file that is put aside.

use serde_json::Value;

use crate::harness::cluster::Cluster;
use crate::harness::wait;
use crate::monitor::linked;

#[tokio::test]
async fn the_log_of_a_node_is_watched_through_another_one() {
    let _turn = wait::turn().await;
    let cluster = linked(3).await;
    let watch = cluster
        .begin_kvctl_at(cluster.address(1), &["mon", "watch", "/node/2/log", "--count", "3"]);
    for level in ["debug", "info"].into_iter().cycle() {
        if 3 <= watch.stdout().lines().count() {
            break;
        }
        let set = cluster.kvctl(&["mon", "set", "/node/2/log/level", level]).await;
        assert_eq!(set.code, Some(0), "{set:?}");
    }
    let ended = watch.end().await;
    assert_eq!((ended.code, ended.stdout.lines().count()), (Some(0), 3), "{ended:?}");
    assert!(ended.stdout.contains("the log is written at level "), "{ended:?}");
}

#[tokio::test]
async fn lines_are_json_and_stand_in_a_file_too() {
    let _turn = wait::turn().await;
    let flags = [
        "--log-format",
        "json",
        "--log-file",
        "kvorum.log",
        "--log-file-bytes",
        "600",
        "--log-files-kept",
        "2",
    ];
    let cluster = Cluster::start_with(1, &flags).await;
    for level in ["debug", "info", "debug", "info"] {
        cluster.kvctl(&["mon", "set", "/node/1/log/level", level]).await;
    }
    let errors = cluster.node(1).stderr();
    let lines: Vec<Value> =
        errors.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line["level"].is_string()), "{errors}");
    let file = |name: &str| cluster.file(1, &format!("../{name}"));
    wait::until("rotated files", async || {
        std::fs::exists(file("kvorum.log.2")).unwrap().then_some(())
    })
    .await;
    assert!(!std::fs::exists(file("kvorum.log.3")).unwrap());
    for name in ["kvorum.log.1", "kvorum.log.2"] {
        let text = std::fs::read_to_string(file(name)).unwrap();
        assert!(text.len() <= 600, "{text}");
        for line in text.lines() {
            let _: Value = serde_json::from_str(line).unwrap();
        }
    }
}

/// A disk that takes no more of the log does not stop the node.
#[tokio::test]
async fn a_log_that_cannot_be_written_stops_nothing() {
    let _turn = wait::turn().await;
    let flags = ["--log-file", "/dev/full", "--log-level", "debug"];
    let cluster = Cluster::start_with(1, &flags).await;
    let client = cluster.client().await;
    client.put("key", "value").await;
    cluster.kvctl(&["mon", "set", "/node/1/log/level", "info"]).await;
    client.put("key", "again").await;
}
