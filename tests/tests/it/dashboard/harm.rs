//! What pages of other origins, and others who mean harm, are told.

use serde_json::json;

use super::stream::Stream;
use super::{JSON, play};
use crate::harness::cluster::Cluster;
use crate::harness::{http, wait};

#[tokio::test]
async fn nobody_plays_with_a_node_that_was_not_started_for_it() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    for action in ["kill", "clear-store", "freeze", "no-such-thing"] {
        let reply = play(cluster.address(1), json!({ "action": action, "node": 1 })).await;
        assert_eq!(reply.status, 404, "{action}: {}", reply.text());
    }
    let looked = http::ask(cluster.address(1), "GET /ui/play", &[], b"").await;
    assert_eq!(looked.status, 404, "{}", looked.text());
    for site in ["cross-site", "same-site"] {
        let site = format!("Sec-Fetch-Site: {site}");
        let reply = http::ask(cluster.address(1), "GET /ui/live", &[&site], b"").await;
        assert_eq!(reply.status, 403, "{site}: {}", reply.text());
    }
    let hello = Stream::open(cluster.address(1)).await.next_of("hello").await;
    assert_eq!(hello["playground"], json!(null));
}

#[tokio::test]
async fn an_order_needs_the_token_of_the_node_and_comes_from_its_own_page() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start_with(1, &["--playground"]).await;
    let node = cluster.address(1);
    let hello = Stream::open(node).await.next_of("hello").await;
    assert_eq!(hello["playground"], json!("node"));
    let token = format!("x-kvorum-token: {}", hello["token"].as_str().unwrap());
    let long = format!("{{\"action\":\"{}\"}}", "x".repeat(5_000));
    let heal = "{\"action\":\"heal\"}";
    for (headers, body, status) in [
        (&[JSON][..], heal, 403),
        (&[JSON, "x-kvorum-token: "], heal, 403),
        (&[JSON, "x-kvorum-token: 00000000000000000000000000000000"], heal, 403),
        (&[JSON, &token[..token.len() - 1]], heal, 403),
        (&[JSON, &token, "Origin: http://evil.example"], heal, 403),
        (&[JSON, &token, "Origin: null"], heal, 403),
        (&[JSON, &token, "Host: evil.example"], heal, 421),
        (&["Content-Type: text/plain", &token], heal, 415),
        (&[&token], heal, 415),
        (&[JSON, &token], "", 400),
        (&[JSON, &token], "{\"action\":", 400),
        (&[JSON, &token], "[]", 400),
        (&[JSON, &token], "{\"action\":\"heal\",\"more\":1}", 400),
        (&[JSON, &token], "{\"action\":\"frob\"}", 400),
        (&[JSON, &token], "{\"action\":\"time-scale\",\"scale\":-1}", 400),
        (&[JSON, &token], "{\"action\":\"time-scale\",\"scale\":1e300}", 400),
        (&[JSON, &token], &long, 413),
        (&[JSON, &token], heal, 409),
    ] {
        let reply = http::ask(node, "POST /ui/play", headers, body.as_bytes()).await;
        assert_eq!(reply.status, status, "{headers:?} {body}: {}", reply.text());
        assert_eq!(reply.text().lines().count(), 1, "{}", reply.text());
    }
    let reply = http::ask(node, "GET /ui/play", &[&token], b"").await;
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
    // What concerns others is not for a node by itself.
    for order in [json!({ "action": "kill", "node": 2 }), json!({ "action": "freeze" })] {
        assert_eq!(play(node, order).await.status, 409);
    }
}

#[tokio::test]
async fn pages_of_other_origins_and_other_names_see_nothing() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    for path in ["/", "/ui/live", "/ui/main.js"] {
        for (header, status) in [
            ("Origin: http://evil.example", 403),
            ("Origin: null", 403),
            ("Host: evil.example", 421),
            ("Host: evil.example:80", 421),
        ] {
            let request = format!("GET {path}");
            let reply = http::ask(cluster.address(1), &request, &[header], b"").await;
            assert_eq!(reply.status, status, "{path} {header}: {}", reply.text());
            assert!(!reply.text().contains("token"), "{path} {header}");
        }
    }
}

#[tokio::test]
async fn only_so_many_pages_are_open_and_one_that_is_closed_leaves_room() {
    const PAGES_MAX: usize = 64;
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let node = cluster.address(1);
    let mut pages = Vec::new();
    for _ in 0..PAGES_MAX {
        let mut page = Stream::open(node).await;
        page.next_of("hello").await;
        pages.push(page);
    }
    let reply = http::ask(node, "GET /ui/live", &[], b"").await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("5")));
    assert!(reply.json()["error"].as_str().unwrap().contains("too many pages"));
    drop(pages.pop());
    wait::until("room for a page", async || {
        let mut asked = http::begin(node, "GET /ui/live", &[]).await;
        let mut first = [0; 12];
        tokio::io::AsyncReadExt::read_exact(&mut asked, &mut first).await.unwrap();
        (&first == b"HTTP/1.1 200").then_some(())
    })
    .await;
    // The others go on, and so do those who ask for keys.
    pages[0].next_of("state").await;
    let put = http::ask(node, "PUT /kv/k", &[JSON], b"{\"value\":\"v\"}").await;
    assert_eq!(put.status, 201);
}
