//! What can be done on the page: keys, and everything that breaks and mends a cluster.

use super::{Stage, state_of};
use crate::harness::wait;

#[tokio::test]
async fn what_is_written_on_the_page_is_in_the_cluster_and_back() {
    let _turn = wait::turn().await;
    let Some(stage) = Stage::open("keys on the page", "").await else { return };
    let browser = &stage.browser;
    browser.click("#tab-keys").await;
    browser.click("#key-new").await;
    browser.write("#new-key", "city").await;
    browser.write("#new-value", "Oslo").await;
    browser.click("#new-save").await;
    let shown = "document.querySelector('#key-value')?.value";
    browser.until("the new key", &format!("{shown} === 'Oslo'")).await;
    let read = stage.cluster.kvctl_at("get", &[2], &["get", "city"]).await;
    assert!(read.stdout.contains("Oslo"), "{read:?}");

    // What others write is seen without asking, with its past.
    stage.cluster.kvctl("put", &["put", "city", "Bergen"]).await;
    browser.until("the change", &format!("{shown} === 'Bergen'")).await;
    let versions = "[...document.querySelectorAll('.versions span')].map((it) => it.textContent)";
    browser.until("both versions", &format!("{versions}.join() === 'Bergen,Oslo'")).await;
    browser.write("#key-value", "Tromsø").await;
    browser.click("#key-save").await;
    browser.until("three versions", &format!("{versions}.length === 3")).await;
    let read = stage.cluster.kvctl_at("again", &[3], &["get", "city"]).await;
    assert!(read.stdout.contains("Tromsø"), "{read:?}");

    browser.click("#key-new").await;
    browser.write("#new-key", "user").await;
    browser.click("#new-kind option[value=hash]").await;
    browser.write(".key-form [aria-label=Field]", "name").await;
    browser.write("#new-value", "Ada").await;
    browser.click("#new-save").await;
    browser.write(".key-editor [aria-label='New field']", "born").await;
    browser.write(".key-editor [aria-label='New value']", "1815").await;
    browser.click(".key-editor form button").await;
    browser.until("two fields", "document.querySelectorAll('.items.hash li').length === 2").await;
    let read = stage.cluster.kvctl_at("hash", &[2], &["hget", "user", "born"]).await;
    assert!(read.stdout.contains("1815"), "{read:?}");

    browser.click("#play-clear").await;
    browser.click("#confirm").await;
    browser.until("an empty list", "!document.querySelector('.key-row')").await;
    let read = stage.cluster.kvctl_at("gone", &[1], &["get", "user"]).await;
    assert!(!read.stdout.contains("1815"), "{read:?}");
    stage.end().await;
}

#[tokio::test]
async fn a_leader_that_is_killed_on_the_page_is_replaced_and_comes_back() {
    let _turn = wait::turn().await;
    let Some(mut stage) = Stage::open("a killed leader", "").await else { return };
    // The page is that of node 1, which is to live.
    if stage.leads().await != "2" {
        stage.cluster.check("transfer 2", &["node 2 leads"]).await;
    }
    stage.is_led_by("2").await;
    let browser = &stage.browser;
    browser.click("#play-kill-leader").await;
    browser.until("a dead node", &format!("{} === 'dead'", state_of("2"))).await;
    let next = stage.leads().await;
    assert_ne!(next, "2");
    browser.click("#play-revive").await;
    browser.until("a living node", &format!("{} === 'up'", state_of("2"))).await;

    // The same by the menu of a node, and by keys.
    browser.press("3").await;
    browser.until("a menu", "document.querySelector('.menu h3')?.textContent === 'Node 3'").await;
    browser.click("#node-pause").await;
    browser.until("a paused node", &format!("{} === 'paused'", state_of("3"))).await;
    browser.press("3").await;
    browser.click("#node-resume").await;
    browser.until("a node that goes on", &format!("{} === 'up'", state_of("3"))).await;
    stage.end().await;
}

#[tokio::test]
async fn links_are_cut_and_healed_and_time_stands_still() {
    let _turn = wait::turn().await;
    let Some(mut stage) = Stage::open("links on the page", "").await else { return };
    let browser = &stage.browser;
    let link = "document.querySelector('[data-link=\"1-2\"]')";
    browser.click("[data-link=\"1-2\"] .touch").await;
    browser.click("#link-cut").await;
    browser.until("a link that is cut", &format!("{link}.dataset.cut === 'true'")).await;
    let status = stage.cluster.answered("status", 4).await;
    assert_eq!(status[3], "link 1 - 2 cut");
    browser.click("[data-link=\"1-2\"] .touch").await;
    browser.click("#link-heal").await;
    browser.until("a whole link", &format!("!{link}.dataset.cut")).await;

    browser.press("f").await;
    let summary = "document.querySelector('#summary').textContent";
    browser.until("frozen time", &format!("{summary}.includes('time stands still')")).await;
    browser.click("#play-step").await;
    browser.press("f").await;
    browser.until("running time", &format!("!{summary}.includes('time stands still')")).await;
    stage.cluster.check("GET greeting", &["hello"]).await;
    stage.end().await;
}

#[tokio::test]
async fn a_page_whose_node_is_lost_says_so_and_leads_to_the_others() {
    let _turn = wait::turn().await;
    let Some(mut stage) = Stage::open("a lost node", "").await else { return };
    stage.cluster.check("kill 1", &["node 1 killed"]).await;
    let browser = &stage.browser;
    browser.until("a page that is lost", "!document.querySelector('#lost').hidden").await;
    let told = browser.text("#lost").await;
    assert!(told.contains("Node 1, which serves this page, does not answer"), "{told}");
    stage.cluster.check_words("revive 1", &["node 1 revived"]).await;
    browser.until("a page that is live", "document.querySelector('#lost').hidden").await;

    stage.cluster.check("kill 1", &["node 1 killed"]).await;
    browser.click("#lost a[href*=':']").await;
    let here = "document.querySelector('#connection')?.textContent";
    browser.until("the page of another node", &format!("{here} === 'live · node 2'")).await;
    browser.until("the dead one on it", &format!("{} === 'dead'", state_of("1"))).await;
    stage.browser.end().await;
}

#[tokio::test]
async fn a_page_that_nobody_sees_holds_no_stream_and_comes_back() {
    let _turn = wait::turn().await;
    let Some(stage) = Stage::open("a page that is not seen", "").await else { return };
    let browser = &stage.browser;
    let hide = |is_hidden: bool| {
        format!(
            "const is = {{ configurable: true, value: {is_hidden} }};
            Object.defineProperty(document, 'hidden', is);
            document.dispatchEvent(new Event('visibilitychange'));"
        )
    };
    let connection = "document.body.dataset.connection";
    stage.cluster.kvctl("asleep", &["put", "asleep", "no"]).await;
    browser.eval(&hide(true)).await;
    browser.until("a page without a stream", &format!("{connection} === 'loading'")).await;
    browser.eval(&hide(false)).await;
    browser.until("a live page", &format!("{connection} === 'live'")).await;
    // What is told again of the past does not stand twice.
    stage.cluster.kvctl("awake", &["put", "awake", "yes"]).await;
    let rows = "[...document.querySelectorAll('#journal li:not([data-kind=message])')]
        .map((it) => it.textContent)";
    browser.until("news", &format!("{rows}.some((row) => row.includes('committed'))")).await;
    browser.until("all of it once", &format!("new Set({rows}).size === {rows}.length")).await;
    stage.end().await;
}

#[tokio::test]
async fn what_the_page_cannot_undo_is_asked_about() {
    let _turn = wait::turn().await;
    let Some(stage) = Stage::open("questions", "").await else { return };
    let browser = &stage.browser;
    browser.press("f").await;
    let summary = "document.querySelector('#summary').textContent";
    browser.until("frozen time", &format!("{summary}.includes('time stands still')")).await;
    browser.press("3").await;
    browser.until("a menu", "document.querySelector('#node-kill')").await;
    browser.until("nothing that needs time", "!document.querySelector('#node-remove')").await;
    browser.until("no new node", "document.querySelector('#play-add').disabled").await;
    browser.press("\u{e00c}").await;
    browser.press("f").await;
    browser.until("running time", &format!("!{summary}.includes('time stands still')")).await;
    browser.press("3").await;
    browser.click("#node-remove").await;
    browser.until("a question", "document.querySelector('dialog #confirm')").await;
    browser.until("all nodes", "document.querySelectorAll('.node').length === 3").await;
    browser.click("#confirm").await;
    browser.until("two nodes", "document.querySelectorAll('.node').length === 2").await;
    stage.end().await;
}
