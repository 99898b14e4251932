//! What is put comes back: bytes, pages, types, the past, and what ends.

use kvorum_client::document::to_base64;
use kvorum_client::{Client, Options};
use serde_json::json;

use super::{BYTES, JSON, delete, escaped, get, put};
use crate::harness::cluster::Cluster;
use crate::harness::{http, wait};

#[tokio::test]
async fn a_key_is_put_shown_and_removed() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    assert_eq!(put(&cluster, "/kv/city", "Oslo").await, (201, json!({"revision": 2})));
    assert_eq!(put(&cluster, "/kv/city", "Bergen").await, (200, json!({"revision": 3})));
    let reply = get(&cluster, "/kv/city").await;
    let expected = json!({
        "key": "city", "value": "Bergen", "create_revision": 2, "mod_revision": 3, "version": 2,
    });
    assert_eq!((reply.status, reply.json()), (200, expected));
    assert_eq!(reply.header("etag"), Some("\"3\""));
    assert_eq!(reply.header("kvorum-revision"), Some("3"));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let raw = get(&cluster, "/kv/city?raw").await;
    assert_eq!((raw.status, &raw.body[..]), (200, &b"Bergen"[..]));
    assert_eq!(raw.header("content-type"), Some("application/octet-stream"));
    assert_eq!(raw.header("x-content-type-options"), Some("nosniff"));
    let head = http::ask(cluster.address(1), "HEAD /kv/city", &[], b"").await;
    assert_eq!((head.status, head.header("etag"), &head.body[..]), (200, Some("\"3\""), &b""[..]));
    // It is the same key to everybody else.
    assert_eq!(cluster.kvctl(&["get", "city"]).await.stdout, "Bergen\n");
    let kvctl = cluster.kvctl(&["get", "city", "-w", "json"]).await.stdout;
    let kvctl: serde_json::Value = serde_json::from_str(&kvctl).unwrap();
    assert_eq!(kvctl["kvs"][0], reply.json(), "in the same words");
    let gone = delete(&cluster, "/kv/city").await;
    assert_eq!((gone.status, gone.json()), (200, json!({"count": 1, "revision": 4})));
    assert_eq!(delete(&cluster, "/kv/city").await.status, 404);
    let missing = get(&cluster, "/kv/city").await;
    assert_eq!((missing.status, missing.header("kvorum-revision")), (404, Some("4")));
    let past = get(&cluster, "/kv/city?revision=2").await;
    assert_eq!((past.status, &past.json()["value"]), (200, &json!("Oslo")));
}

/// S-32 for this door: keys and values of any bytes, those that mean something in an address and
/// empty values come back as they were put, as JSON and bare.
#[tokio::test]
async fn ref_s32_any_bytes_come_back_by_http() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let names: [&[u8]; 12] = [
        b"/",
        b"?",
        b"#",
        b"%",
        b":",
        b"a/b?c#d%e:f&g=h+i j",
        b" ",
        b"..",
        b"\0",
        b"\xff\xfe",
        "\u{e9}\"\\\r\n".as_bytes(),
        &all,
    ];
    let values: [&[u8]; 5] = [b"", b"\0", &all, b"text", "\u{1f980} \"\\ \r\n".as_bytes()];
    let node = cluster.address(1);
    let client = Client::connect(vec![node.to_owned()], Options::default()).await.unwrap();
    for (place, name) in names.into_iter().enumerate() {
        let value = values[place % values.len()];
        let path = format!("/kv/{}", escaped(name));
        let reply = http::ask(node, &format!("PUT {path}"), &[BYTES], value).await;
        assert_eq!(reply.status, 201, "{path}: {}", reply.text());
        let raw = get(&cluster, &format!("{path}?raw")).await;
        assert_eq!((raw.status, &raw.body[..]), (200, value), "{path}");
        let shown = get(&cluster, &path).await.json();
        let document = |name: &str, bytes: &[u8]| match std::str::from_utf8(bytes) {
            Ok(text) => (name.to_owned(), json!(text)),
            Err(_) => (format!("{name}_base64"), json!(to_base64(bytes))),
        };
        for (word, expected) in [document("key", name), document("value", value)] {
            assert_eq!(shown[&word], expected, "{path}");
        }
        // And in JSON the other way.
        let (word, content) = document("value", value);
        let body = json!({ word: content }).to_string();
        let again = http::ask(node, &format!("PUT {path}"), &[JSON], body.as_bytes()).await;
        assert_eq!(again.status, 200, "{path}: {}", again.text());
        let raw = get(&cluster, &format!("{path}?raw")).await;
        assert_eq!(raw.body, value, "{path}");
        // Other doors have the same.
        let found = client.get(name).await.unwrap().unwrap().value;
        assert_eq!(found, value, "{path}");
        assert_eq!(delete(&cluster, &path).await.status, 200, "{path}");
    }
    // As long as the address of a key may be, and longer.
    let long = "k".repeat(60_000);
    assert_eq!(put(&cluster, &format!("/kv/{long}"), "v").await.0, 201);
    assert_eq!(get(&cluster, &format!("/kv/{long}?raw")).await.body, b"v");
    let longer = get(&cluster, &format!("/kv/{}", "k".repeat(66_000))).await;
    assert_eq!(longer.status, 414);
}

#[tokio::test]
async fn keys_with_a_prefix_come_in_pages_of_one_revision() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    for name in ["p/a", "p/b", "p/c%ff", "p/d", "q"] {
        assert_eq!(put(&cluster, &format!("/kv/{name}"), name).await.0, 201);
    }
    let (mut path, mut names, mut pages) = ("/kv/p/?prefix&limit=2".to_owned(), vec![], 0);
    loop {
        let reply = get(&cluster, &path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        let page = reply.json();
        let kvs = page["kvs"].as_array().unwrap().clone();
        names.extend(kvs.into_iter().map(|kv| kv["value"].as_str().unwrap().to_owned()));
        pages += 1;
        // What comes into being in between belongs to another revision.
        assert_eq!(put(&cluster, &format!("/kv/p/z{pages}"), "late").await.0, 201);
        let Some(next) = page["next"].as_str() else {
            assert_eq!(page["more"], json!(false));
            break;
        };
        path = next.to_owned();
    }
    assert_eq!((names, pages), (["p/a", "p/b", "p/c%ff", "p/d"].map(str::to_owned).to_vec(), 2));
    let keys = get(&cluster, "/kv/?prefix&keys&limit=1").await.json();
    assert_eq!((&keys["kvs"][0]["key"], &keys["kvs"][0]["value"]), (&json!("p/a"), &json!("")));
    let none = get(&cluster, "/kv/x?prefix").await;
    let expected = json!({"kvs": [], "count": 0, "more": false, "revision": 8});
    assert_eq!((none.status, none.json()), (200, expected));
    let gone = delete(&cluster, "/kv/p/?prefix").await;
    assert_eq!((gone.status, &gone.json()["count"]), (200, &json!(6)));
    assert_eq!(delete(&cluster, "/kv/p/?prefix").await.json()["count"], json!(0));
}

#[tokio::test]
async fn hashes_and_sets_are_shown_with_their_items() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    cluster.kvctl(&["hset", "user", "name:Ada", "born:1815", "x:y"]).await;
    cluster.kvctl(&["sset", "fruits", "apple", "pear"]).await;
    let user = get(&cluster, "/kv/user").await;
    let shown = user.json();
    assert_eq!(shown["kind"], json!("HASH"));
    assert_eq!(shown["fields"], json!({"born": "1815", "name": "Ada", "x": "y"}));
    assert_eq!((&shown["count"], &shown["more"]), (&json!(3), &json!(false)));
    let fruits = get(&cluster, "/kv/fruits?limit=1").await.json();
    assert_eq!((&fruits["kind"], &fruits["members"]), (&json!("SET"), &json!(["apple"])));
    let rest = get(&cluster, fruits["next"].as_str().unwrap()).await.json();
    assert_eq!((&rest["members"], &rest["more"]), (&json!(["pear"]), &json!(false)));
    assert_eq!(get(&cluster, "/kv/user?raw").await.status, 409);
    // The revision moves with any item, and a put replaces all of them.
    let before = user.header("etag").unwrap().to_owned();
    cluster.kvctl(&["hset", "user", "name:Grace"]).await;
    let changed = get(&cluster, "/kv/user").await;
    assert_ne!(changed.header("etag"), Some(&*before));
    assert_eq!(put(&cluster, "/kv/user", "a text").await.0, 200);
    assert_eq!(get(&cluster, "/kv/user?raw").await.body, b"a text");
}

#[tokio::test]
async fn what_is_put_for_a_time_or_with_a_lease_ends() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    assert_eq!(put(&cluster, "/kv/short?ttl=300ms", "v").await.0, 201);
    wait::until("end of the key", async || {
        (get(&cluster, "/kv/short").await.status == 404).then_some(())
    })
    .await;
    let lease = cluster.kvctl(&["lease", "grant", "60s"]).await.stdout;
    let lease = lease.split_whitespace().find(|word| word.parse::<u64>().is_ok()).unwrap();
    assert_eq!(put(&cluster, &format!("/kv/k?lease={lease}"), "v").await.0, 201);
    assert_eq!(get(&cluster, "/kv/k").await.json()["lease"].to_string(), lease);
    cluster.kvctl(&["lease", "revoke", lease]).await;
    assert_eq!(get(&cluster, "/kv/k").await.status, 404);
    let (status, said) = put(&cluster, "/kv/k?lease=99", "v").await;
    assert_eq!(status, 409);
    assert!(said["error"].as_str().unwrap().contains("no lease 99"), "{said}");
}

#[tokio::test]
async fn a_local_read_says_how_old_it_may_be() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    put(&cluster, "/kv/k", "v").await;
    cluster.check_equal().await;
    cluster.kill(2);
    cluster.kill(3);
    wait::until("refused read", async || {
        let reply = get(&cluster, "/kv/k").await;
        (reply.status == 503 || reply.status == 504).then_some(())
    })
    .await;
    let local = get(&cluster, "/kv/k?local").await;
    assert_eq!((local.status, &local.json()["value"]), (200, &json!("v")));
    let number = |name: &str| local.header(name).unwrap().parse::<u64>().unwrap();
    assert!(0 < number("kvorum-applied-index"));
    assert!(0 < number("kvorum-contact-age-ms"));
    let list = get(&cluster, "/kv/?prefix&local").await.json();
    assert!(list["applied_index"].is_u64() && list["contact_age_ms"].is_u64(), "{list}");
}
