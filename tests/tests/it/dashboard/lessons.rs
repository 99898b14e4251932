//! A lesson is something that the cluster knows: who plays it, and what it broke.

use serde_json::{Value, json};

use super::stream::{Stream, node};
use super::{play, played};
use crate::harness::typist::Typist;
use crate::harness::wait;

fn is_whole(state: &Value) -> bool {
    let nodes = state["nodes"].as_array().unwrap();
    state["leader"] != json!(null)
        && state["lesson"] == json!(null)
        && state["links"] == json!([])
        && state["scale"] == json!(1.0)
        && nodes.len() == 3
        && nodes.iter().all(|node| node["state"] == "up")
}

/// An order of the lesson of page `a`.
fn order(mut order: Value) -> Value {
    order["lesson"] = json!("a");
    order
}

/// Breaks something of each kind, as a lesson does.
async fn break_much(address: &str) {
    for breaks in [
        json!({"action": "time-scale", "scale": 2}),
        json!({"action": "cut", "node": 1, "other": 2}),
        json!({"action": "delay", "node": 2, "other": 3, "ms": 1, "one_way": true}),
        json!({"action": "pause", "node": 2}),
        json!({"action": "kill", "node": 3}),
    ] {
        played(address, order(breaks)).await;
    }
}

#[tokio::test]
async fn one_page_plays_and_what_it_broke_is_put_right_in_one_order() {
    let _turn = wait::turn().await;
    let it = Typist::start("memory");
    let (one, two) = (it.door(1), it.door(2));
    it.process.complains(&["dashboard at"]).await;
    let mut page = Stream::open(&two).await;
    page.state("of all", is_whole).await;
    let begin = json!({"action": "lesson-begin", "name": "heartbeats"});
    played(&one, order(begin.clone())).await;
    let mut other = begin;
    other["lesson"] = json!("b");
    let refused = play(&two, other.clone()).await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    let why = refused.json()["text"].to_string();
    assert!(why.contains("heartbeats, through node 1"), "{why}");
    // The other page is shown what it could watch.
    let shows = json!({"action": "lesson-shows", "title": "A title", "text": "A <text>"});
    played(&one, order(shows)).await;
    let lesson = json!({"page": "a", "name": "heartbeats", "node": 1, "title": "A title",
        "text": "A <text>"});
    page.state("with the lesson", |state| state["lesson"] == lesson).await;
    // An added node goes with the lesson, and what others broke stays.
    played(&one, json!({"action": "delay", "node": 1, "other": 3, "ms": 1})).await;
    let added = played(&one, order(json!({"action": "add"}))).await;
    assert_eq!(added, "node 4 added");
    break_much(&one).await;
    let is_broken =
        |state: &Value| node(state, 2)["state"] == "paused" && node(state, 3)["state"] == "dead";
    Stream::open(&one).await.state("of what is broken", is_broken).await;
    let said = played(&one, order(json!({"action": "lesson-end"}))).await;
    for words in ["link 1 - 2 healed", "link 2 - 3 healed", "node 2 resumed", "node 3 revived"] {
        assert!(said.contains(words), "{said}");
    }
    let mut page = Stream::open(&two).await;
    let is_left = |state: &Value| {
        let links = state["links"].as_array().unwrap();
        links.len() == 2 && links.iter().all(|link| link["delay_ms"] == 1)
    };
    page.state("with the links of others", is_left).await;
    // What comes late breaks nothing any more.
    let late = play(&one, order(json!({"action": "cut", "node": 1, "other": 2}))).await;
    assert!(late.status == 409 && late.text().contains("over"), "{}", late.text());
    played(&two, json!({"action": "heal"})).await;
    page.state("of a whole cluster", is_whole).await;
    played(&two, other).await;
}

#[tokio::test]
async fn what_a_page_broke_that_says_nothing_any_more_is_put_right() {
    let _turn = wait::turn().await;
    let it = Typist::start("memory");
    it.process.complains(&["dashboard at"]).await;
    let address = it.door(1);
    let mut page = Stream::open(&address).await;
    page.state("of all", is_whole).await;
    played(&address, order(json!({"action": "lesson-begin", "name": "heartbeats"}))).await;
    break_much(&address).await;
    page.state("with a dead node", |state| node(state, 3)["state"] == "dead").await;
    page.state("of a whole cluster", is_whole).await;
}
