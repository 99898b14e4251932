//! What is stored is text, however much it looks like a page.

use serde_json::json;

use super::Stage;
use crate::harness::{http, wait};

const SCRIPT: &str = "<script>alert(1)</script>";
const PICTURE: &str = "<img src=x onerror=\"document.title='run'\">";

#[tokio::test]
async fn what_is_stored_never_runs() {
    let _turn = wait::turn().await;
    let Some(stage) = Stage::open("hostile values", "").await else { return };
    stage.cluster.kvctl("put", &["put", SCRIPT, PICTURE]).await;
    stage.cluster.kvctl("again", &["put", SCRIPT, SCRIPT]).await;
    stage.cluster.kvctl("hash", &["hset", "hash", &format!("{PICTURE}:{SCRIPT}")]).await;
    let members = json!({"add": [SCRIPT, PICTURE]}).to_string();
    let headers = ["Content-Type: application/json"];
    let reply = http::ask(&stage.host(), "PATCH /kv/set", &headers, members.as_bytes()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let browser = &stage.browser;
    browser.click("#tab-keys").await;
    browser.until("four keys", "document.querySelectorAll('.key-row').length === 4").await;
    let opened = [
        (SCRIPT, "document.querySelector('#key-value')?.value", SCRIPT),
        ("hash", "document.querySelector('.items.hash span')?.textContent", PICTURE),
        ("set", "document.querySelectorAll('.items.set span')[1]?.textContent", SCRIPT),
    ];
    for (key, shown, expected) in opened {
        let choose = format!(
            "[...document.querySelectorAll('.key-row')].find((row) =>
                row.firstElementChild.textContent === {key:?}).click()"
        );
        browser.eval(&choose).await;
        browser.until(&format!("{key} as it is"), &format!("{shown} === {expected:?}")).await;
    }
    let made = "document.querySelectorAll('main img, main script, main [onerror]').length";
    assert_eq!(browser.eval(&format!("return {made}")).await, 0);
    assert_eq!(browser.eval("return document.title").await, "Kvorum");
    stage.end().await;
}

/// What would make a page of text, or ask another host.
const FORBIDDEN: [&str; 10] = [
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "document.write",
    "eval(",
    "new Function",
    " style=\"",
    " onclick=\"",
    "https://",
    "javascript:",
];

#[test]
fn no_file_of_the_page_makes_html_of_data_or_names_another_host() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../node-bin/src/dashboard/page");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        // What SVG is called, and where the other nodes of the cluster have this page.
        let own = text.replace("http://www.w3.org/2000/svg", "").replace("http://${door}/", "");
        for word in FORBIDDEN.into_iter().chain(["http://"]) {
            assert!(!own.contains(word), "{word} in {}", path.display());
        }
        files += 1;
    }
    assert!(20 < files, "{files} files are looked at");
}
