//! What operators look at and turn while a cluster runs.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tokio::time::Instant;

use crate::harness::cluster::Cluster;
use crate::harness::process::{Ended, Process};
use crate::harness::{http, wait};

/// How long nobody stands for election once this is set. Units: milliseconds.
const PATIENCE_MS: u64 = 2_500;

/// A cluster in which every node knows who leads and reaches every other one.
async fn settled() -> (Cluster, u64, u64) {
    let cluster = Cluster::start(3).await;
    for id in cluster.ids() {
        wait::until("a ready node", async || {
            let reply = http::ask(cluster.address(id), "GET /readyz", &[], b"").await;
            (reply.status == 200).then_some(())
        })
        .await;
    }
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    (cluster, leader, follower)
}

fn said(ended: &Ended) -> &str {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout.trim_end()
}

/// a node is not ready before its peers are connected, and is then.
#[tokio::test]
async fn acc_a05_a_node_is_ready_only_when_its_peers_are_connected() {
    let _turn = wait::turn().await;
    let (mut cluster, _, _) = settled().await;
    for id in cluster.ids() {
        cluster.kill(id);
    }
    let ready = async |cluster: &Cluster, id| {
        http::ask(cluster.address(id), "GET /readyz", &[], b"").await.status
    };
    cluster.revive(1);
    cluster.status(1).await;
    assert_eq!(ready(&cluster, 1).await, 503, "nobody else is there");
    cluster.revive(2);
    for id in [1, 2] {
        cluster.status(id).await;
        let what = format!("readiness of node {id}");
        wait::until(&what, async || (ready(&cluster, id).await == 200).then_some(())).await;
    }
}

/// values of a named node and of all, through a node that is neither; a watch with an end;
/// what is not there and what cannot be set; an election timeout that is set is kept to.
#[tokio::test]
async fn acc_a07_values_are_read_followed_and_set_while_the_cluster_runs() {
    let _turn = wait::turn().await;
    let (cluster, leader, follower) = settled().await;
    let through = cluster.address(follower).to_owned();
    let ask = async |words: &[&str]| {
        cluster.begin_kvctl_at(&through, &[&["mon"], words].concat()).end().await
    };
    let of_leader = |path: &str| format!("/node/{leader}/{path}");
    assert_eq!(said(&ask(&["get", &of_leader("raft/role")]).await), "leader");
    let term = cluster.status(leader).await.term.to_string();
    assert_eq!(said(&ask(&["get", &of_leader("raft/term")]).await), term);
    let all = ask(&["-w", "json", "get", "/cluster/raft/leader"]).await;
    let all: Value = serde_json::from_str(said(&all)).unwrap();
    assert_eq!(all, serde_json::json!({ "1": leader, "2": leader, "3": leader }));
    let path = of_leader("raft/last");
    let watched = ask(&["watch", &path, "--interval", "0.02", "--count", "4"]).await;
    assert_eq!(said(&watched).lines().count(), 4, "{watched:?}");
    for (words, expected) in [
        (&["get", "/node/1/raft/nothing"][..], "there is no raft/nothing"),
        (&["get", "/node/9/raft/term"], "there is no node 9; the members are 1, 2, 3"),
        (&["set", &of_leader("raft/role"), "follower"], "raft/role can be read and not set"),
    ] {
        let no = ask(words).await;
        assert!(no.code == Some(1) && no.stderr.contains(expected), "{words:?}: {no:?}");
        assert_eq!(no.stderr.lines().count(), 1, "{no:?}");
    }

    let path = "/cluster/raft/election_timeout_ms";
    let set = ask(&["set", path, &PATIENCE_MS.to_string()]).await;
    assert_eq!(said(&set).lines().count(), 3, "{set:?}");
    let client = cluster.client().await;
    client.put("key", "value").await;
    // By then every timer was set anew.
    cluster.check_equal().await;
    // A leader that stands still says nothing, and its connections stay open.
    let (stopped, since): (&Process, _) = (cluster.node(leader), Instant::now());
    stopped.signal(Signal::STOP);
    let next = wait::until("next leader", async || {
        let now = cluster.status(follower).await.leader_id?;
        (now != leader).then_some(now)
    });
    let next = next.await;
    let waited = since.elapsed();
    stopped.signal(Signal::CONT);
    assert_ne!(next, leader);
    assert!(
        Duration::from_millis(PATIENCE_MS) <= waited,
        "another one was elected after {waited:?}"
    );
}

/// the log of a node as it is written, the way of one request through the nodes, and a load
/// of which every request is answered.
#[tokio::test]
async fn acc_a08_the_log_the_way_of_a_request_and_a_load() {
    let _turn = wait::turn().await;
    let (cluster, leader, follower) = settled().await;
    let through = cluster.address(follower).to_owned();
    let path = format!("/node/{leader}/log");
    let log = cluster.begin_kvctl_at(&through, &["mon", "watch", &path]);
    let level = format!("/node/{leader}/log/level");
    // The watch may begin only now, so there is something to see until it has.
    for word in ["debug", "info"].into_iter().cycle() {
        if log.stdout().contains("the log is written at level ") {
            break;
        }
        assert_eq!(cluster.kvctl(&["mon", "set", &level, word]).await.code, Some(0));
    }
    log.kill();

    let put = cluster.begin_kvctl_at(&through, &["--trace", "put", "key", "value"]).end().await;
    assert_eq!(said(&put), "OK");
    let at = |words: &str| {
        let found = put.stderr.lines().position(|line| line.contains(words));
        found.unwrap_or_else(|| panic!("no {words:?} in {}", put.stderr))
    };
    let taken = at(&format!("node {follower}  Api takes the request"));
    assert!(taken < at(&format!("node {follower}  Api replies")), "{}", put.stderr);
    at(&format!("node {leader}  "));

    let words = ["-w", "json", "bench", "--seconds", "1", "--connections", "4", "--keys", "100"];
    let bench = cluster.kvctl(&words).await;
    let report: Value = serde_json::from_str(said(&bench)).unwrap();
    let count = |name: &str| report[name].as_u64().unwrap();
    assert_eq!((count("errors"), count("unknown")), (0, 0), "all that was sent was answered");
    assert!(0 < count("operations"), "{report}");
    // Nothing was written that was not answered: each put made a revision.
    let written = cluster.kvctl(&["-w", "json", "get", "--prefix", "key0", "--keys-only"]).await;
    let page: Value = serde_json::from_str(said(&written)).unwrap();
    let versions = page["kvs"].as_array().unwrap().iter().map(|kv| kv["version"].as_u64().unwrap());
    assert!(versions.sum::<u64>() >= count("operations"), "{report}");
}
