//! `kvorum dev` and its pages: what is done to nodes is seen, also through those that are left.

use serde_json::{Value, json};

use super::stream::{Stream, node};
use super::{JSON, play, played};
use crate::harness::http;
use crate::harness::typist::Typist;
use crate::harness::wait;

fn all_up(state: &Value) -> bool {
    let nodes = state["nodes"].as_array().unwrap();
    state["leader"] != json!(null) && nodes.iter().all(|node| node["state"] == "up")
}

fn at(it: &Typist, id: u16) -> String {
    it.door(id)
}

#[tokio::test]
async fn dead_and_paused_nodes_and_spoilt_links_are_shown_as_such() {
    let _turn = wait::turn().await;
    let it = Typist::start("memory");
    it.process.complains(&["dashboard at http://127.0.0.1:"]).await;
    let mut page = Stream::open(&at(&it, 1)).await;
    let hello = page.next_of("hello").await;
    assert_eq!(hello["playground"], json!("cluster"));
    assert_eq!(hello["doors"], json!({ "1": at(&it, 1), "2": at(&it, 2), "3": at(&it, 3) }));
    page.state("of all", all_up).await;
    // One order goes through each node, about another.
    assert_eq!(played(&at(&it, 2), json!({"action":"kill","node":3})).await, "node 3 killed");
    page.state("with a dead node", |state| node(state, 3)["state"] == "dead").await;
    played(&at(&it, 1), json!({"action":"revive","node":3})).await;
    page.state("of all again", all_up).await;
    played(&at(&it, 1), json!({"action":"pause","node":2})).await;
    page.state("with a paused node", |state| node(state, 2)["state"] == "paused").await;
    played(&at(&it, 3), json!({"action":"resume"})).await;
    page.state("of all again", all_up).await;
    // Whoever is cut off is still seen.
    played(&at(&it, 1), json!({"action":"cut","node":1,"other":3})).await;
    played(&at(&it, 1), json!({"action":"delay","node":2,"other":1,"ms":7,"one_way":true})).await;
    let cut = |from: u64, to: u64| json!({"from": from, "to": to, "cut": true, "delay_ms": 0});
    let late = json!({"from": 2, "to": 1, "cut": false, "delay_ms": 7});
    let spoilt = json!([cut(1, 3), late, cut(3, 1)]);
    let state = page.state("with spoilt links", |state| state["links"] == spoilt).await;
    assert_eq!(node(&state, 3)["state"], "up");
    played(&at(&it, 1), json!({"action":"heal"})).await;
    page.state("of whole links", |state| state["links"] == json!([]) && all_up(state)).await;
    let again = play(&at(&it, 1), json!({"action":"heal"})).await;
    assert_eq!((again.status, &again.json()["done"]), (409, &json!(false)));
}

#[tokio::test]
async fn a_node_that_kills_itself_answers_before_and_its_page_goes_on_elsewhere() {
    let _turn = wait::turn().await;
    let it = Typist::start("memory");
    it.process.complains(&["dashboard at"]).await;
    Stream::open(&at(&it, 1)).await.state("of all", all_up).await;
    for id in [1, 2] {
        let killed = played(&at(&it, id), json!({"action":"kill","node":id})).await;
        assert_eq!(killed, format!("node {id} killed"));
    }
    let mut page = Stream::open(&at(&it, 3)).await;
    // If it led, it does not for long without a majority.
    let is_alone = |state: &Value| {
        [1, 2].iter().all(|&id| node(state, id)["state"] == "dead")
            && state["leader"] == json!(null)
    };
    page.state("of one node", is_alone).await;
    played(&at(&it, 3), json!({"action":"revive"})).await;
    page.state("of all", all_up).await;
}

#[tokio::test]
async fn time_stands_still_and_goes_on_by_steps() {
    let _turn = wait::turn().await;
    let mut it = Typist::start("memory");
    it.process.complains(&["dashboard at"]).await;
    let mut page = Stream::open(&at(&it, 1)).await;
    let before = page.state("of all", all_up).await;
    played(&at(&it, 1), json!({"action":"freeze"})).await;
    page.state("frozen", |state| state["frozen"] == json!(true)).await;
    // A dead leader is not missed while no time passes.
    let leader = before["leader"].as_u64().unwrap();
    played(&at(&it, 1), json!({"action":"cut","node":leader,"other":leader % 3 + 1})).await;
    played(&at(&it, 1), json!({"action":"cut","node":leader,"other":(leader + 1) % 3 + 1})).await;
    let left = |state: &Value| {
        let timers = (1..=3).map(|id| node(state, id)["timer"]["left_ms"].clone());
        timers.collect::<Vec<_>>()
    };
    let still = page.next_of("state").await;
    let later = page.next_of("state").await;
    assert_eq!(left(&still), left(&later), "no timer runs");
    assert_eq!(later["term"], before["term"]);
    // Nobody waits for what cannot happen, whoever asks for it.
    for order in [json!({"action":"remove","node":1}), json!({"action":"add"})] {
        let reply = play(&at(&it, 1), order).await;
        assert_eq!(reply.status, 409, "{}", reply.text());
        assert!(reply.text().contains("time stands still"), "{}", reply.text());
    }
    it.check("step 2000", &["2000 ms have passed; time stands still"]).await;
    let is_after = |state: &Value| state["term"] != before["term"] && state["frozen"] == true;
    page.state("after a step", is_after).await;
    for (line, said) in [
        ("thaw", "time goes on"),
        ("thaw", "error: time passes; freeze makes it stand still"),
        ("time-scale 2.5", "time passes 2.5 times as slow"),
        ("step 5", "error: time passes; freeze makes it stand still"),
        ("heal", "every link healed"),
    ] {
        it.check(line, &[said]).await;
    }
    page.state("in slow motion", |state| state["scale"] == json!(2.5) && all_up(state)).await;
}

#[tokio::test]
async fn the_store_is_cleared_in_steps() {
    const KEYS: usize = 1_200;
    let _turn = wait::turn().await;
    let mut it = Typist::start("memory");
    it.check("SET other 1", &["OK"]).await;
    let lines: String = (1..KEYS).map(|key| format!("SET k{key} v\n")).collect();
    it.process.type_in(&lines);
    it.next(KEYS - 1).await;
    let said = played(&at(&it, 2), json!({"action":"clear-store"})).await;
    assert_eq!(said, format!("{KEYS} keys deleted"));
    let keys = http::ask(&at(&it, 1), "GET /kv/?prefix&keys", &[JSON], b"").await;
    assert_eq!(keys.json()["count"], json!(0));
}
