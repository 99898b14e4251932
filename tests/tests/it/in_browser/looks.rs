//! How the page looks: pictures of it, for people and for README, and what must hold of them.

use std::path::PathBuf;

use super::Stage;
use crate::harness::wait;

/// Set to a path, the picture of README is written there.
const README_PICTURE: &str = "KVORUM_DASHBOARD_PICTURE";

/// What README's picture may weigh. Units: bytes.
const PICTURE_LEN_MAX: u64 = 300_000;

/// Where pictures go that people are to look at.
fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("dashboard");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[tokio::test]
async fn the_page_fits_a_desk_and_a_phone_dark_and_light() {
    let _turn = wait::turn().await;
    let Some(stage) = Stage::open("pictures", "").await else { return };
    for number in 1..=6 {
        let key = format!("dir/key-{number}");
        stage.cluster.kvctl(&key.replace('/', "-"), &["put", &key, "value"]).await;
    }
    let browser = &stage.browser;
    for (width, height) in [(1280, 800), (390, 844)] {
        browser.resize(width, height).await;
        for scheme in ["light", "dark"] {
            browser.prefer(scheme).await;
            for tab in ["charts", "keys", "members", "lessons"] {
                browser.click(&format!("#tab-{tab}")).await;
                let wide = "document.scrollingElement.scrollWidth <= innerWidth";
                browser.until(&format!("{tab} within {width} pixels"), wide).await;
                let name = format!("{tab}-{width}x{height}-{scheme}.png");
                browser.picture(&folder().join(name)).await;
            }
        }
    }
    stage.end().await;
}

#[tokio::test]
async fn the_picture_of_readme_is_made_here() {
    let _turn = wait::turn().await;
    let query = "?lesson-pace=0.2";
    let Some(mut stage) = Stage::open("README's picture", query).await else { return };
    if stage.leads().await != "2" {
        stage.cluster.check("transfer 2", &["node 2 leads"]).await;
    }
    for city in ["Oslo", "Bergen", "Tromsø", "Bodø", "Molde"] {
        stage.cluster.check(&format!("SET city {city}"), &["OK"]).await;
    }
    let browser = &stage.browser;
    browser.click("#tab-lessons").await;
    browser.click("#lesson-partition").await;
    // Both sides of the cut have entries of different terms in one place now.
    let title = "document.querySelector('.step-title')?.textContent === 'The majority elects'";
    let seen = "document.querySelector('.step-wait').dataset.state === 'seen'";
    browser.until("a leader of the majority", &format!("{title} && {seen}")).await;
    let path =
        std::env::var_os(README_PICTURE).map_or_else(|| folder().join("readme.png"), PathBuf::from);
    browser.picture(&path).await;
    let length = std::fs::metadata(&path).unwrap().len();
    assert!(length < PICTURE_LEN_MAX, "{length} bytes");
    stage.browser.end().await;
}

/// The names of links whose marks cover words, a node or another mark.
const COVERED: &str = "
    const boxes = (selector) => [...document.querySelectorAll(selector)]
        .map((it) => [it, it.getBoundingClientRect()]).filter(([, box]) => box.width > 0);
    const meet = (one, other) => Math.min(one.right, other.right) > Math.max(one.left, other.left)
        && Math.min(one.bottom, other.bottom) > Math.max(one.top, other.top);
    const marks = boxes('.delay-mark, .cut-mark');
    const others = [...marks, ...boxes('.words text'), ...boxes('.node .body')];
    return [marks.length, marks.filter(([it, box]) => (
        others.some(([other, taken]) => other !== it && meet(box, taken))
    )).map(([it]) => it.closest('.link').dataset.link)]";

#[tokio::test]
async fn marks_of_links_cover_no_words() {
    let _turn = wait::turn().await;
    let Some(mut stage) = Stage::open("marks of links", "").await else { return };
    for id in [4, 5] {
        stage.cluster.check_words("add", &[&format!("node {id} added")]).await;
    }
    let pairs = (1..5).flat_map(|one| (one + 1..6).map(move |other| (one, other)));
    for (one, other) in pairs {
        stage.cluster.check_words(&format!("delay {one} {other} 20"), &["delayed"]).await;
    }
    wait::until("ten marks that cover nothing", async || {
        let seen = stage.browser.eval(COVERED).await;
        (seen == serde_json::json!([10, []])).then_some(())
    })
    .await;
    stage.end().await;
}

#[tokio::test]
async fn keys_do_what_the_page_says_they_do() {
    let _turn = wait::turn().await;
    let Some(stage) = Stage::open("keyboard", "").await else { return };
    let browser = &stage.browser;
    browser.press("?").await;
    browser.until("help", "document.querySelector('dialog.help')?.open").await;
    browser.press("\u{e00c}").await;
    browser.until("no help", "!document.querySelector('dialog')").await;
    for (key, tab) in [("k", "keys"), ("m", "members"), ("l", "lessons"), ("c", "charts")] {
        browser.press(key).await;
        browser.until(tab, &format!("document.body.dataset.tab === '{tab}'")).await;
    }
    // Also when a tab has the focus, because it was clicked.
    browser.click("#tab-members").await;
    browser.press("k").await;
    browser.until("keys", "document.body.dataset.tab === 'keys'").await;
    browser.press("/").await;
    browser.until("the prefix", "document.activeElement.id === 'key-prefix'").await;
    // What is typed there is typed, and does nothing else.
    browser.press("km").await;
    browser.until("two letters", "document.querySelector('#key-prefix').value === 'km'").await;
    browser.until("the same tab", "document.body.dataset.tab === 'keys'").await;
    stage.end().await;
}
