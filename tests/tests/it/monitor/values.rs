//! `kvctl mon`.

use serde_json::{Value, json};

use crate::harness::process::Ended;
use crate::harness::wait;
use crate::monitor::linked;

fn said(ended: &Ended) -> &str {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout.trim_end()
}

fn json_of(ended: &Ended) -> Value {
    serde_json::from_str(said(ended)).unwrap()
}

#[tokio::test]
async fn any_node_tells_the_values_of_any_node() {
    let _turn = wait::turn().await;
    let cluster = linked(3).await;
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    // Every member has to know who leads.
    for id in cluster.ids() {
        wait::until("known leader", async || cluster.status(id).await.leader_id).await;
    }
    let listed = cluster.kvctl(&["mon", "get", "/"]).await;
    for id in cluster.ids() {
        let line = format!("/node/{id} = {}", cluster.address(id));
        assert!(said(&listed).contains(&line), "{listed:?}");
    }
    let through = cluster.address(follower).to_owned();
    let ask = async |words: &[&str]| cluster.begin_kvctl_at(&through, words).end().await;
    for id in cluster.ids() {
        let role = if id == leader { "leader" } else { "follower" };
        let found = ask(&["mon", "get", &format!("/node/{id}/raft/role")]).await;
        assert_eq!(said(&found), role, "node {id} through {follower}");
    }
    let leaders = json_of(&ask(&["-w", "json", "mon", "get", "/cluster/raft/leader"]).await);
    assert_eq!(leaders, json!({ "1": leader, "2": leader, "3": leader }));

    cluster.client().await.put("key", "value").await;
    let all = json_of(&ask(&["-w", "json", "mon", "get", &format!("/node/{leader}")]).await);
    for path in [
        "raft/term",
        "raft/commit",
        "raft/applied",
        "raft/last",
        "store/revision",
        "cpu/used_ms",
        "memory/resident_bytes",
        "disk/free_bytes",
        "disk/sync/count",
        "disk/sync/p99_us",
        "clock/wall_us",
        "requests/write_time/count",
        "watches/count",
        "clients/native",
    ] {
        assert!(all[path].is_u64(), "{path} of {all}");
    }
    assert_ne!(all["disk/sync/p50_us"], json!(0), "a put was synced");
    // A leader says how far the others are, and nobody else does.
    for id in cluster.ids().into_iter().filter(|id| *id != leader) {
        let path = format!("/node/{leader}/raft/peers/{id}");
        wait::until("a follower that has everything", async || {
            let words = ["-w", "json", "mon", "get", &format!("/node/{leader}")];
            let values = json_of(&ask(&words).await);
            let of = |name: &str| values[format!("raft/peers/{id}/{name}")].clone();
            let is_even = of("match") == values["raft/last"] && of("state") == json!("replicate");
            (is_even && of("rtt_us").is_u64() && of("linked") == json!(true)).then_some(())
        })
        .await;
        assert!(said(&ask(&["mon", "get", &path]).await).contains("/silent_ms = "));
    }
    let nothing = ask(&["mon", "get", &format!("/node/{follower}/raft/peers")]).await;
    assert_eq!(nothing.code, Some(1), "{nothing:?}");
    assert_eq!(all["address"], json!(cluster.address(leader)));
    assert_eq!(all["version"], json!(env!("CARGO_PKG_VERSION")));
    assert!(all["load"].as_str().unwrap().parse::<f64>().is_ok());
}

#[tokio::test]
async fn what_is_not_there_is_said_in_one_line() {
    let _turn = wait::turn().await;
    let cluster = linked(3).await;
    for (words, expected) in [
        (&["mon", "get", "/node/1/raft/nothing"][..], "there is no raft/nothing"),
        (&["mon", "get", "/node/9/raft"][..], "there is no node 9; the members are 1, 2, 3"),
        (&["mon", "get", "/raft"][..], "a path begins with /node/<id> or /cluster"),
        (&["mon", "set", "/node/2/raft/term", "9"][..], "raft/term can be read and not set"),
        (&["mon", "set", "/node/2/log/level", "loud"][..], "error, warn, info, debug or trace"),
        (&["mon", "get", "/node/1/log"][..], "kvctl mon watch shows it"),
        (&["mon", "set", "/node/1/raft/heartbeat_interval_ms", "x"][..], "milliseconds"),
    ] {
        let ended = cluster.kvctl(words).await;
        assert_eq!(ended.code, Some(1), "{words:?}: {ended:?}");
        assert!(ended.stderr.contains(expected), "{words:?}: {ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{words:?}: {ended:?}");
    }
}

#[tokio::test]
async fn a_dead_member_is_an_error_in_its_place() {
    let _turn = wait::turn().await;
    let mut cluster = linked(3).await;
    let dead = cluster.follower().await;
    cluster.kill(dead);
    let terms = cluster.kvctl(&["-w", "json", "mon", "get", "/cluster/raft/term"]).await;
    let terms = json_of(&terms);
    assert_eq!(terms.as_object().unwrap().len(), 3);
    for id in cluster.ids() {
        let term = &terms[id.to_string()];
        assert_eq!(term.is_u64(), id != dead, "{terms}");
    }
    assert!(terms[dead.to_string()]["error"].as_str().unwrap().contains("no answer"), "{terms}");
    let alone = cluster.kvctl(&["mon", "get", &format!("/node/{dead}/raft/term")]).await;
    assert_eq!(alone.code, Some(3), "{alone:?}");
}

#[tokio::test]
async fn what_can_be_set_takes_effect() {
    let _turn = wait::turn().await;
    let cluster = linked(3).await;
    let listed = cluster.kvctl(&["mon", "get", "/node/1"]).await;
    for path in ["log/level", "raft/election_timeout_ms", "raft/heartbeat_interval_ms"] {
        let is_marked = |line: &str| {
            line.starts_with(&format!("/node/1/{path} = ")) && line.ends_with(" (can be set)")
        };
        assert!(said(&listed).lines().any(is_marked), "{path}: {listed:?}");
    }
    let set = cluster.kvctl(&["mon", "set", "/cluster/log/level", "debug"]).await;
    assert_eq!(said(&set), "1 debug\n2 debug\n3 debug");
    let level = cluster.kvctl(&["mon", "get", "/node/3/log/level"]).await;
    assert_eq!(said(&level), "debug");

    let path = "/cluster/raft/election_timeout_ms";
    let short = cluster.kvctl(&["mon", "set", path, "100"]).await;
    assert_eq!(short.code, Some(1), "{short:?}");
    assert!(short.stderr.contains("three heartbeat intervals"), "{short:?}");
    let long = cluster.kvctl(&["mon", "set", path, "5000"]).await;
    assert_eq!(said(&long), "1 5000\n2 5000\n3 5000");
    let applied = cluster.kvctl(&["mon", "get", path]).await;
    assert_eq!(said(&applied), "1 5000\n2 5000\n3 5000");
}

#[tokio::test]
async fn a_watch_looks_as_often_as_it_is_told() {
    let _turn = wait::turn().await;
    let cluster = linked(3).await;
    let words = ["mon", "watch", "/cluster/raft/role", "--interval", "0.05", "--count", "3"];
    let watched = cluster.kvctl(&words).await;
    let lines: Vec<&str> = said(&watched).lines().collect();
    assert_eq!(lines.len(), 9, "{watched:?}");
    for node in 1..=3 {
        assert_eq!(lines.iter().filter(|line| line.starts_with(&format!("{node} "))).count(), 3);
    }
}

/// The node that is asked dies, and the watch goes on through another one.
#[tokio::test]
async fn a_watch_survives_the_node_that_it_asks() {
    let _turn = wait::turn().await;
    let mut cluster = linked(3).await;
    let words = ["mon", "watch", "/node/3/raft/term", "--interval", "0.05", "--count", "60"];
    let watch = cluster.begin_kvctl(&words);
    watch.lines(3).await;
    cluster.kill(1);
    let seen = watch.stdout().lines().count();
    watch.lines(seen + 3).await;
    let ended = watch.end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}
