//! What is not served, and what is said then.

use super::{BYTES, JSON, get, put};
use crate::harness::cluster::Cluster;
use crate::harness::http::{self, Reply};
use crate::harness::wait;

/// Every refusal is a line of JSON that says why.
fn check(reply: &Reply, status: u16, words: &str) {
    assert_eq!(reply.status, status, "{}", reply.text());
    let text = reply.text();
    assert!(text.ends_with('\n') && text.lines().count() == 1, "{text}");
    let document = reply.json();
    let why = document["error"].as_str().unwrap();
    assert!(why.contains(words), "{why:?} has no {words:?}");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_a_line() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let node = cluster.address(1);
    for (request, headers, body, status, words) in [
        ("GET /kv/", &[][..], "", 400, "empty"),
        ("PUT /kv/", &[JSON], "{\"value\":\"v\"}", 400, "empty"),
        ("DELETE /kv/?prefix", &[], "", 400, "at least one byte"),
        ("GET /kv", &[], "", 400, "/kv/KEY"),
        ("GET /kv/%zz", &[], "", 400, "hexadecimal"),
        ("GET /kv/k?prefx", &[], "", 400, "no parameter \"prefx\""),
        ("GET /kv/k?limit=x", &[], "", 400, "limit takes"),
        ("GET /kv/k?limit=0", &[], "", 400, "at least 1"),
        ("GET /kv/k?raw&prefix", &[], "", 400, "without prefix"),
        ("GET /kv/k?ttl=1s", &[], "", 400, "for PUT"),
        ("GET /kv/k?after=1", &[], "", 400, "for wait and watch"),
        ("GET /kv/k?wait&local", &[], "", 400, "without local"),
        ("GET /kv/k?wait&timeout=1h", &[], "", 400, "60000 ms at most"),
        ("GET /kv/k?watch&raw", &[], "", 400, "not for watch"),
        ("GET /kv/k?watch", &["Last-Event-ID: x"], "", 400, "last-event-id"),
        ("GET /kv/k?revision=99", &[], "", 400, "has not come yet"),
        ("HEAD /kv/k?wait", &[], "", 400, ""),
        ("PUT /kv/k?prefix", &[JSON], "{\"value\":\"v\"}", 400, "not for PUT"),
        ("PUT /kv/k?ttl=1&lease=1", &[JSON], "{\"value\":\"v\"}", 400, "one of them"),
        ("PUT /kv/k?ttl=10000000h", &[JSON], "{\"value\":\"v\"}", 400, "time to live"),
        ("PUT /kv/k", &[JSON], "{\"value\"", 400, "no JSON object"),
        ("PUT /kv/k", &[JSON], "[]", 400, "no JSON object"),
        ("PUT /kv/k", &[JSON], "{\"value\":1}", 400, "nothing else"),
        ("PUT /kv/k", &[JSON], "{\"value\":\"v\",\"ttl\":1}", 400, "nothing else"),
        ("PUT /kv/k", &[JSON], "{\"value_base64\":\"!\"}", 400, "Base64"),
        ("PUT /kv/k", &[], "v", 415, "Content-Type"),
        ("PUT /kv/k", &["Content-Type: text/plain"], "v", 415, "text/plain"),
        ("PUT /kv/k", &["Content-Type: application/x-www-form-urlencoded"], "v", 415, "form"),
        ("DELETE /kv/k", &[JSON], "{}", 400, "no body"),
        ("POST /kv/k", &[JSON], "{}", 405, "GET, HEAD, PUT, PATCH, DELETE"),
        ("OPTIONS /kv/k", &[], "", 405, "GET, HEAD, PUT, PATCH, DELETE"),
    ] {
        let reply = http::ask(node, request, headers, body.as_bytes()).await;
        if request.starts_with("HEAD") {
            assert_eq!(reply.status, status, "{request}");
            continue;
        }
        check(&reply, status, words);
        let allow = (status == 405).then_some("GET, HEAD, PUT, PATCH, DELETE");
        assert_eq!(reply.header("allow"), allow, "{request}");
    }
    assert_eq!(get(&cluster, "/kv/k").await.status, 404, "nothing was done");
}

#[tokio::test]
async fn what_is_too_long_is_refused() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let node = cluster.address(1);
    let value = vec![b'v'; 1_572_864];
    assert_eq!(http::ask(node, "PUT /kv/k", &[BYTES], &value).await.status, 201);
    assert_eq!(get(&cluster, "/kv/k?raw").await.body, value);
    let value = vec![b'v'; 1_572_865];
    check(&http::ask(node, "PUT /kv/k", &[BYTES], &value).await, 413, "limit of 1572864");
    // Refused by its length, before it is read.
    let length = "Content-Length: 99999999999";
    let reply = http::ask(node, "PUT /kv/k", &[BYTES, length], b"").await;
    check(&reply, 413, "longer than");
    // And by what comes, if no length is said.
    let part = format!("100000\r\n{}\r\n", "x".repeat(0x10_0000)).repeat(5);
    let reply = http::ask_in_chunks(node, "PUT /kv/k", &[BYTES], part.as_bytes()).await;
    check(&reply, 413, "longer than");
}

#[tokio::test]
async fn pages_of_others_are_kept_out() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start_with(1, &["--http-hosts", "Kv.Example,other"]).await;
    let node = cluster.address(1);
    put(&cluster, "/kv/k", "v").await;
    let body = b"{\"value\":\"theirs\"}";
    for (headers, status) in [
        (&["Origin: http://evil.example"][..], 403),
        (&["Origin: null"], 403),
        // The page's own name leads here all of a sudden.
        (&["Host: evil.example", "Origin: http://evil.example"], 421),
        (&["Host: evil.example"], 421),
        (&["Host: "], 421),
    ] {
        let headers = [headers, &[JSON]].concat();
        for request in ["PUT /kv/k", "GET /kv/k", "DELETE /kv/k"] {
            let body: &[u8] = if request.starts_with("PUT") { body } else { b"" };
            let reply = http::ask(node, request, &headers, body).await;
            check(&reply, status, "");
        }
    }
    assert_eq!(get(&cluster, "/kv/k?raw").await.body, b"v");
    let port = node.rsplit_once(':').unwrap().1;
    for host in ["localhost", "kv.example", &format!("KV.example:{port}"), "[::1]:1", "10.0.0.1"] {
        let (host, origin) = (format!("Host: {host}"), format!("Origin: http://{host}"));
        let reply = http::ask(node, "GET /kv/k", &[&host, &origin], b"").await;
        assert_eq!(reply.status, 200, "{host}");
    }
    // The gateway of etcd's door knows them too.
    let rebound = ["Host: evil.example", "Origin: http://evil.example"];
    let reply = http::ask(node, "POST /v3/kv/put", &rebound, b"{\"key\":\"aw==\"}").await;
    assert_eq!(reply.status, 403);
    let plain = ["Host: evil.example"];
    let reply = http::ask(node, "POST /v3/kv/range", &plain, b"{\"key\":\"aw==\"}").await;
    assert_eq!(reply.status, 200, "no browser");
}

#[tokio::test]
async fn without_a_majority_nobody_knows_or_nothing_is_done() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    put(&cluster, "/kv/k", "v").await;
    cluster.kill(2);
    cluster.kill(3);
    let node = cluster.address(1);
    wait::until("503", async || {
        let reply = http::ask(node, "PUT /kv/k", &[BYTES], b"x").await;
        match reply.status {
            // It was given to a leader that is gone, or that has lost the others.
            504 => {
                check(&reply, 504, "the write may or may not have taken effect");
                None
            }
            status => {
                assert_eq!(status, 503, "{}", reply.text());
                check(&reply, 503, "nothing was done");
                assert_eq!(reply.header("retry-after"), Some("1"));
                Some(())
            }
        }
    })
    .await;
}
