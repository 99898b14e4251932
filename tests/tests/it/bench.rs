//! `kvctl bench` by every protocol, against a node and against what is none.

use serde_json::Value;
use tokio::net::TcpListener;

use crate::harness::cluster::Cluster;
use crate::harness::wait;

const SHORT: [&str; 7] = ["--seconds", "0.3", "--connections", "2", "--in-flight", "3", "--keys"];

#[tokio::test]
async fn a_node_is_measured_by_every_protocol() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    for protocol in ["native", "etcd", "resp"] {
        for op in ["put", "get"] {
            let words = ["-w", "json", "bench", "--protocol", protocol, "--op", op];
            let ended = cluster.kvctl(&[&words[..], &SHORT[..], &["10"]].concat()).await;
            assert_eq!(ended.code, Some(0), "{protocol} {op}: {}", ended.stderr);
            let report: Value = serde_json::from_str(&ended.stdout).unwrap();
            assert_eq!((&report["protocol"], &report["op"]), (&protocol.into(), &op.into()));
            let counted = ["operations", "errors", "unknown"].map(|name| report[name].as_u64());
            assert!(0 < counted[0].unwrap(), "{report}");
            assert_eq!(counted[1..], [Some(0), Some(0)], "{report}");
        }
        let keys = cluster.kvctl(&["get", "--prefix", "key", "--count-only"]).await;
        assert_ne!(keys.stdout.trim(), "0", "{protocol} wrote nothing");
        assert_eq!(cluster.kvctl(&["del", "--prefix", "key"]).await.code, Some(0));
    }
}

/// What was under way when a node was killed is told as unknown, and the load goes on at the
/// next one.
#[tokio::test]
async fn a_load_goes_on_at_the_next_node() {
    let _turn = wait::turn().await;
    for protocol in ["etcd", "resp"] {
        let mut cluster = Cluster::start(3).await;
        cluster.leader().await;
        let endpoints = format!("{},{}", cluster.address(1), cluster.address(2));
        let words = ["-w", "json", "bench", "--protocol", protocol, "--seconds", "4", "--keys"];
        let bench = cluster.begin_kvctl_at(&endpoints, &[&words[..], &["10"]].concat());
        bench.complains(&["1 s", "operations"]).await;
        cluster.kill(1);
        let ended = bench.end().await;
        assert_eq!(ended.code, Some(0), "{protocol}: {}", ended.stderr);
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        let told: Vec<u64> = ended
            .stderr
            .lines()
            .filter_map(|line| line.split_whitespace().nth(2)?.parse().ok())
            .collect();
        assert!(told[0] < report["operations"].as_u64().unwrap(), "{protocol}: {told:?}");
        assert!(report["unknown"].as_u64().unwrap() <= 1, "{report}");
    }
}

#[tokio::test]
async fn what_is_no_such_server_is_named() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap().to_string();
    drop(closed);
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = mute.local_addr().unwrap().to_string();
    for (protocol, server) in [("etcd", "an etcd server"), ("resp", "a Redis server")] {
        for address in [&address, &silent] {
            let words = ["--timeout", "1", "bench", "--protocol", protocol];
            let ended = cluster.begin_kvctl_at(address, &words).end().await;
            assert_eq!(ended.code, Some(3), "{protocol}: {}", ended.stderr);
            let expected = format!("{address} does not answer as {server} does: ");
            assert!(ended.stderr.contains(&expected), "{}", ended.stderr);
            assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        }
    }
}
