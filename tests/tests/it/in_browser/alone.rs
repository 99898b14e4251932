//! The page of a node that may be played with alone: it offers what its own node can do.

use serde_json::json;

use super::{Browser, state_of};
use crate::harness::cluster::Cluster;
use crate::harness::wait;

/// The ids of what the open menu offers.
const OFFERED: &str =
    "return [...document.querySelectorAll('.menu-actions button')].map((it) => it.id).sort()";

/// Waits until so many nodes are shown, all of them well.
async fn shows(browser: &Browser, count: usize) {
    let nodes = "document.querySelectorAll('.node[data-state=up]')";
    browser.until(&format!("{count} nodes"), &format!("{nodes}.length === {count}")).await;
    browser.until("a leader", "document.querySelector('.node[data-role=leader]')").await;
}

/// What the menu of a node offers.
async fn offered(browser: &Browser, id: &str) -> serde_json::Value {
    browser.press(id).await;
    let title = "document.querySelector('.menu h3')?.textContent";
    browser.until("a menu", &format!("{title} === 'Node {id}'")).await;
    browser.eval(OFFERED).await
}

/// Opens the menu of a link. A level line has no height for a pointer of the driver to hit.
async fn opens_link(browser: &Browser, link: &str) {
    browser.eval(&format!("document.querySelector('[data-link=\"{link}\"]').focus()")).await;
    browser.press("\u{e007}").await;
}

/// What nobody may do here is not there.
async fn offers_no_cluster(browser: &Browser) {
    for id in ["play-freeze", "play-step", "play-speed", "play-kill-leader", "play-add"] {
        let hidden = format!("document.querySelector('#{id}').hidden");
        browser.until(&format!("no {id}"), &hidden).await;
    }
    browser.click("#tab-lessons").await;
    browser.until("no lesson", "document.querySelector('.lesson-play').disabled").await;
}

#[tokio::test]
async fn a_node_by_itself_is_played_with() {
    let _turn = wait::turn().await;
    let Some(browser) = Browser::start("a node alone").await else { return };
    let cluster = Cluster::start_with(1, &["--playground"]).await;
    let host = cluster.address(1).to_owned();
    browser.open(&format!("http://{host}/")).await;
    shows(&browser, 1).await;
    offers_no_cluster(&browser).await;
    assert_eq!(offered(&browser, "1").await, json!(["node-kill", "node-pause", "node-step-down"]));
    browser.click("#node-step-down").await;
    let said = "document.querySelector('#toasts')?.textContent ?? ''";
    browser.until("a word", &format!("{said}.includes('node 1 leads no more')")).await;
    shows(&browser, 1).await;
    cluster.kvctl(&["put", "k", "v"]).await;
    browser.click("#play-clear").await;
    browser.click("#confirm").await;
    browser.until("a clear store", &format!("{said}.includes('1 keys deleted')")).await;
    browser.check_clean(&host).await;
    offered(&browser, "1").await;
    browser.click("#node-pause").await;
    browser.until("a page that is lost", "!document.querySelector('#lost').hidden").await;
    browser.until("a page that is back", "document.querySelector('#lost').hidden").await;
    shows(&browser, 1).await;
    browser.end().await;
}

#[tokio::test]
async fn of_three_processes_the_page_plays_with_its_own() {
    let _turn = wait::turn().await;
    let Some(browser) = Browser::start("three nodes alone").await else { return };
    let cluster = Cluster::start_with(3, &["--playground"]).await;
    let host = cluster.address(1).to_owned();
    browser.open(&format!("http://{host}/")).await;
    shows(&browser, 3).await;
    offers_no_cluster(&browser).await;
    browser.click("#tab-members").await;
    let rows = "document.querySelector('#members').textContent";
    for id in 1..=3 {
        let there = format!("{rows}.includes('{}')", cluster.address(id));
        browser.until(&format!("node {id} among the members"), &there).await;
    }
    // Leadership is the only thing that others are offered.
    let leads = cluster.leader().await;
    let other = if leads == 2 { "3" } else { "2" };
    assert_eq!(offered(&browser, other).await, json!(["node-transfer"]));
    browser.click("#node-transfer").await;
    let role = format!("document.querySelector('.node[data-node=\"{other}\"]').dataset.role");
    browser.until("another leader", &format!("{role} === 'leader'")).await;
    assert_eq!(
        offered(&browser, "1").await,
        json!(["node-campaign", "node-cut-off", "node-kill", "node-pause", "node-transfer"])
    );
    browser.click("#node-campaign").await;
    let role = "document.querySelector('.node[data-node=\"1\"]').dataset.role";
    browser.until("this one as the leader", &format!("{role} === 'leader'")).await;

    // Links of others are for others.
    opens_link(&browser, "2-3").await;
    browser.until("a menu", "document.querySelector('.menu h3')").await;
    assert_eq!(browser.eval(OFFERED).await, json!([]));
    browser.press("\u{e00c}").await;
    let link = "document.querySelector('[data-link=\"1-2\"]')";
    opens_link(&browser, "1-2").await;
    browser.click("#link-delay-100").await;
    let delayed = format!("{link}.querySelector('.delay-text')?.textContent.includes('100')");
    browser.until("a link that is late", &delayed).await;
    opens_link(&browser, "1-2").await;
    browser.click("#link-cut").await;
    browser.until("a link that is cut", &format!("{link}.dataset.cut === 'true'")).await;
    browser.click("#play-heal").await;
    browser.until("a whole link", &format!("!{link}.dataset.cut")).await;
    shows(&browser, 3).await;
    browser.check_clean(&host).await;

    // The others live when it is killed, and the page leads to theirs.
    offered(&browser, "1").await;
    browser.click("#node-kill").await;
    browser.click("#confirm").await;
    browser.until("a page that is lost", "!document.querySelector('#lost').hidden").await;
    browser.click("#lost a[href*=':']").await;
    let here = "document.querySelector('#connection')?.textContent";
    browser.until("the page of another node", &format!("{here} === 'live · node 2'")).await;
    browser.until("its nodes", "document.querySelectorAll('.node').length === 3").await;
    browser.until("the dead one on it", &format!("{} === 'silent'", state_of("1"))).await;
    browser.end().await;
}
