//! What pages are told of a cluster of real processes.

use serde_json::{Value, json};

use super::stream::{Stream, node};
use crate::harness::cluster::Cluster;
use crate::harness::wait;

fn is_up(state: &Value, id: u64) -> bool {
    node(state, id)["state"] == "up" && node(state, id)["role"] != json!(null)
}

/// A node that follows.
fn follower(state: &Value) -> u64 {
    (1..=3).find(|&id| node(state, id)["role"] == "follower").unwrap()
}

#[tokio::test]
async fn every_node_is_seen_through_any_one_of_them() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    let all = |state: &Value| (1..=3).all(|id| is_up(state, id)) && state["leader"] != json!(null);
    let state = Stream::open(cluster.address(1)).await.state("of all nodes", all).await;
    let (one, leader) = (follower(&state), state["leader"].as_u64().unwrap());
    let mut page = Stream::open(cluster.address(one)).await;
    let hello = page.next_of("hello").await;
    assert_eq!((&hello["node"], &hello["version"]), (&json!(one), &json!("0.1.0")));
    let put = ["kvctl", "put", "k", "v"];
    assert_eq!(cluster.kvctl(&put[1..]).await.code, Some(0));
    let state = page
        .state("with the entry", |state| {
            (1..=3).all(|id| {
                let entries = node(state, id)["log"]["entries"].as_array();
                entries.is_some_and(|entries| entries.iter().any(|entry| entry[2] == "command"))
            })
        })
        .await;
    for id in 1..=3 {
        let it = node(&state, id);
        assert_eq!((&it["member"], &it["error"]), (&json!("voter"), &json!(null)), "{it}");
        assert_eq!(it["address"], json!(cluster.address(id)));
        assert_eq!(it["timer"].is_null(), id == leader, "{it}");
        assert!(it["values"]["raft/commit"].as_u64().is_some(), "{it}");
        assert_eq!(it["log"]["first"], it["log"]["entries"][0][0], "{it}");
    }
    assert_eq!((&state["scale"], &state["frozen"]), (&json!(1.0), &json!(false)));
    // A third node is lost: the page says so and goes on.
    let other = (1..=3).find(|id| ![one, leader].contains(id)).unwrap();
    cluster.kill(other);
    let state = page.state("of a loss", |state| node(state, other)["state"] == "silent").await;
    assert!(is_up(&state, one) && is_up(&state, leader), "{state}");
    assert_eq!(node(&state, other)["role"], json!(null));
    let health = state["health"].as_array().unwrap();
    assert!(health.iter().any(|it| it["node"] == other && it["ready"] == false), "{health:?}");
    cluster.revive(other);
    page.state("of all nodes again", all).await;
}

#[tokio::test]
async fn what_happens_is_told_as_events_and_as_lines() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let through = (1..=3).find(|id| *id != leader).unwrap();
    let mut page = Stream::open(cluster.address(through)).await;
    page.next_of("state").await;
    // What was before is told, too.
    let told = |events: &Value, name: &str| {
        events.as_array().unwrap().iter().any(|event| event["event"] == name)
    };
    wait::in_time("the first election", async {
        while !told(&page.next_of("events").await, "role") {}
    })
    .await;
    cluster.kill(leader);
    wait::in_time("a vote", async { while !told(&page.next_of("events").await, "vote_given") {} })
        .await;
    cluster.revive(leader);
    let lines = page.next_of("lines").await;
    assert!(lines[0]["line"].as_str().is_some() && lines[0]["n"].as_u64().is_some(), "{lines}");
}
