//! Orders that wait for the cluster, and those that do not wait for them.

use serde_json::json;

use super::stream::{Stream, node};
use super::{JSON, played};
use crate::harness::http;
use crate::harness::typist::Typist;
use crate::harness::wait;

#[tokio::test]
async fn what_mends_is_done_beside_an_order_that_waits() {
    let _turn = wait::turn().await;
    let it = Typist::start("memory");
    it.process.complains(&["dashboard at"]).await;
    let (one, door) = (it.door(1), it.door(1));
    let mut page = Stream::open(&one).await;
    let token = format!("x-kvorum-token: {}", page.token().await);
    for id in [2, 3] {
        played(&one, json!({"action": "kill", "node": id})).await;
    }
    page.state("without a leader", |state| state["leader"].is_null()).await;
    // Nobody leads, and nobody can: this waits until somebody does.
    let waits = tokio::spawn(async move {
        let order = b"{\"action\":\"step-down\",\"node\":0}";
        http::ask(&door, "POST /ui/play", &[JSON, &token], order).await
    });
    // It is there before what comes next by the same way, or that comes first; both are well.
    tokio::task::yield_now().await;
    let cut = played(&one, json!({"action": "cut", "node": 2, "other": 3})).await;
    assert_eq!(cut, "link 2 - 3 cut");
    assert_eq!(played(&one, json!({"action": "heal"})).await, "every link healed");
    let revived = played(&one, json!({"action": "revive"})).await;
    assert_eq!(revived, "nodes 2, 3 revived");
    let told = wait::in_time("an answer", waits).await.unwrap();
    assert_eq!(told.status, 200, "{}", told.text());
    assert!(told.text().contains("stepped down"), "{}", told.text());
    let is_up = |state: &serde_json::Value| (2..=3).all(|id| node(state, id)["state"] == "up");
    page.state("of all", is_up).await;
}

#[tokio::test]
async fn what_mends_is_done_while_a_line_that_was_typed_waits() {
    let _turn = wait::turn().await;
    let mut it = Typist::start("memory");
    it.check("SET k 1", &["OK"]).await;
    for id in [2, 3] {
        it.check(&format!("kill {id}"), &[&format!("node {id} killed")]).await;
    }
    it.process.type_in("SET k 2\n");
    assert_eq!(played(&it.door(1), json!({"action": "revive"})).await, "nodes 2, 3 revived");
    assert_eq!(it.next(1).await, ["OK"]);
    it.process.type_in("step-down\n");
    it.next(1).await;
}

#[tokio::test]
async fn a_step_ends_when_somebody_lets_time_go_on() {
    let _turn = wait::turn().await;
    let mut it = Typist::start("memory");
    it.check("freeze", &["time stands still"]).await;
    let address = it.door(1);
    it.process.type_in("step 59000\n");
    let mut page = Stream::open(&address).await;
    page.state("of a step", |state| state["frozen"] == json!(false)).await;
    assert_eq!(played(&address, json!({"action": "thaw"})).await, "time goes on");
    let said = it.next(1).await.remove(0);
    assert!(said.ends_with("ms have passed; time goes on") && !said.starts_with("59000"), "{said}");
}
