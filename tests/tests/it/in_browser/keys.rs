//! Keys on the page while others write them too.

use serde_json::json;

use super::Stage;
use crate::harness::{http, wait};

/// More keys than a list has at first, and than it has after it was made longer once.
const KEYS: usize = 110;

/// Lists the keys with this prefix and opens the first of them, which is `key`.
async fn open(stage: &Stage, key: &str) {
    let browser = &stage.browser;
    browser.write("#key-prefix", key).await;
    let first = format!("document.querySelector('.key-row .key-name')?.textContent === '{key}'");
    browser.until(key, &first).await;
    browser.click(".key-row").await;
}

/// Sends JSON to a key at the page's own node, and returns what the key holds then.
async fn send(stage: &Stage, request: &str, body: &serde_json::Value) -> serde_json::Value {
    let headers = ["Content-Type: application/json"];
    let reply = http::ask(&stage.host(), request, &headers, body.to_string().as_bytes()).await;
    assert!((200..300).contains(&reply.status), "{request}: {}", reply.text());
    let (_, path) = request.split_once(' ').unwrap();
    read(stage, path).await
}

async fn read(stage: &Stage, path: &str) -> serde_json::Value {
    http::ask(&stage.host(), &format!("GET {path}"), &[], b"").await.json()
}

/// Waits until a key holds this text.
async fn holds(stage: &Stage, path: &str, text: &str) {
    wait::until(&format!("{text:?} in {path}"), async || {
        (read(stage, path).await["value"] == text).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_others_write_while_somebody_types_is_not_overwritten_unasked() {
    let _turn = wait::turn().await;
    let Some(stage) = Stage::open("a key of two writers", "").await else { return };
    let browser = &stage.browser;
    send(&stage, "PUT /kv/city", &json!({"value": "Oslo\r\nBergen"})).await;
    browser.click("#tab-keys").await;
    open(&stage, "city").await;
    let shown = "document.querySelector('#key-value')?.value";
    browser.until("the value", &format!("{shown} === 'Oslo\\nBergen'")).await;

    browser.write("#key-value", "mine\nown").await;
    send(&stage, "PUT /kv/city", &json!({"value": "theirs\r\n"})).await;
    let conflict = "!(document.querySelector('.conflict')?.hidden ?? true)";
    browser.until("word of the others", conflict).await;
    browser.until("what was typed", &format!("{shown} === 'mine\\nown'")).await;
    browser.check_clean(&stage.host()).await;
    browser.click("#key-save").await;
    browser.until("a refusal", "document.body.textContent.includes('does not hold')").await;
    holds(&stage, "/kv/city", "theirs\r\n").await;
    browser.click("#key-overwrite").await;
    holds(&stage, "/kv/city", "mine\r\nown").await;
    browser.until("no conflict", &format!("!({conflict})")).await;

    browser.write("#key-value", "again").await;
    send(&stage, "PUT /kv/city", &json!({"value": "theirs again"})).await;
    browser.until("word of the others", conflict).await;
    browser.click("#key-take-theirs").await;
    browser.until("theirs", &format!("{shown} === 'theirs again'")).await;
    // The browser itself notes that an answer was a refusal, so its console is not empty.
    stage.browser.end().await;
}

#[tokio::test]
async fn a_field_keeps_its_lines_and_other_fields_may_change_meanwhile() {
    let _turn = wait::turn().await;
    let Some(stage) = Stage::open("a hash of two writers", "").await else { return };
    let browser = &stage.browser;
    let fields = json!({"set": {"lines": "x\ny", "other": "1"}});
    send(&stage, "PATCH /kv/hash", &fields).await;
    browser.click("#tab-keys").await;
    open(&stage, "hash").await;
    let value =
        |field: &str| format!("document.querySelector('[aria-label=\"Value of {field}\"]')?.value");
    browser.until("both lines", &format!("{} === 'x\\ny'", value("lines"))).await;
    browser.write("[aria-label='Value of other']", "mine").await;
    let said = send(&stage, "PATCH /kv/hash", &json!({"set": {"lines": "x\ny\nz"}})).await;
    assert_eq!(said["fields"]["lines"], "x\ny\nz");
    browser.until("the change", &format!("{} === 'x\\ny\\nz'", value("lines"))).await;
    browser.press("\u{e007}").await;
    wait::until("the field", async || {
        let fields = read(&stage, "/kv/hash").await["fields"].take();
        (fields == json!({"lines": "x\ny\nz", "other": "mine"})).then_some(())
    })
    .await;
    stage.browser.end().await;
}

#[tokio::test]
async fn a_list_that_was_made_longer_stays_long_and_dots_are_keys() {
    let _turn = wait::turn().await;
    let Some(stage) = Stage::open("a long list", "").await else { return };
    let browser = &stage.browser;
    for number in 0..KEYS {
        send(&stage, &format!("PUT /kv/many-{number:03}"), &json!({"value": "v"})).await;
    }
    send(&stage, "PUT /kv/..hidden", &json!({"value": "v"})).await;
    browser.click("#tab-keys").await;
    let rows = "document.querySelectorAll('.key-row').length";
    browser.until("a list", &format!("{rows} === 50")).await;
    browser.click("#key-more").await;
    browser.until("a longer list", &format!("{rows} === 100")).await;
    // The list follows the store, and is as long as before then.
    send(&stage, "PUT /kv/many-000", &json!({"value": "w"})).await;
    let first = "document.querySelector('[data-key=many-000] small')?.textContent";
    browser.until("the new version", &format!("{first} === 'v2'")).await;
    browser.until("the long list", &format!("{rows} === 100")).await;
    browser.click("#key-more").await;
    browser.until("the whole list", &format!("{rows} > {KEYS}")).await;

    browser.write("#key-prefix", "..").await;
    let names = "[...document.querySelectorAll('.key-name')].map((it) => it.textContent).join()";
    browser.until("the key with dots", &format!("{names} === '..hidden'")).await;
    stage.end().await;
}
