//! ETags are revisions, and what is asked for under a condition happens under it or not at all.

use serde_json::json;

use super::{JSON, delete, get, put};
use crate::harness::cluster::Cluster;
use crate::harness::http::{self, Reply};
use crate::harness::wait;

async fn put_if(cluster: &Cluster, condition: &str, value: &str) -> Reply {
    let body = json!({ "value": value }).to_string();
    http::ask(cluster.address(1), "PUT /kv/k", &[JSON, condition], body.as_bytes()).await
}

#[tokio::test]
async fn a_put_under_a_condition_happens_under_it_or_not_at_all() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let refused = put_if(&cluster, "If-Match: *", "0").await;
    assert_eq!((refused.status, refused.header("etag")), (412, None));
    assert_eq!(put_if(&cluster, "If-Match: \"0\"", "0").await.status, 412, "no key has revision 0");
    assert_eq!(put_if(&cluster, "If-None-Match: *", "1").await.status, 201);
    let refused = put_if(&cluster, "If-None-Match: *", "2").await;
    assert_eq!((refused.status, refused.header("etag")), (412, Some("\"2\"")));
    assert_eq!(refused.json()["mod_revision"], json!(2));
    let done = put_if(&cluster, "If-Match: \"2\"", "3").await;
    assert_eq!((done.status, done.header("etag")), (200, Some("\"3\"")));
    for condition in
        ["If-Match: \"2\"", "If-Match: W/\"3\"", "If-Match: \"x\"", "If-None-Match: \"3\""]
    {
        let refused = put_if(&cluster, condition, "no").await;
        assert_eq!(refused.status, 412, "{condition}");
        assert_eq!(refused.header("etag"), Some("\"3\""), "{condition}");
    }
    assert_eq!(put_if(&cluster, "If-Match: *", "4").await.status, 200);
    assert_eq!(put_if(&cluster, "If-None-Match: \"3\"", "5").await.status, 200);
    assert_eq!(put_if(&cluster, "If-Match: 5", "no").await.status, 400);
    assert_eq!(put_if(&cluster, "If-Match: \"5\", \"6\"", "no").await.status, 400);
    assert_eq!(get(&cluster, "/kv/k?raw").await.body, b"5");
    let remove = async |condition| {
        http::ask(cluster.address(1), "DELETE /kv/k", &[condition], b"").await.status
    };
    assert_eq!(remove("If-Match: \"3\"").await, 412);
    assert_eq!(remove("If-Match: \"5\"").await, 200);
    assert_eq!(remove("If-Match: \"5\"").await, 412);
}

#[tokio::test]
async fn a_key_that_is_known_already_is_not_sent_again() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    put(&cluster, "/kv/k", "v").await;
    let read =
        async |condition| http::ask(cluster.address(1), "GET /kv/k", &[condition], b"").await;
    let same = read("If-None-Match: \"2\"").await;
    assert_eq!((same.status, same.header("etag"), &same.body[..]), (304, Some("\"2\""), &b""[..]));
    assert_eq!(read("If-None-Match: W/\"2\"").await.status, 304);
    assert_eq!(read("If-None-Match: *").await.status, 304);
    assert_eq!(read("If-None-Match: \"1\"").await.status, 200);
    assert_eq!(read("If-Match: \"2\"").await.status, 200);
    assert_eq!(read("If-Match: \"1\"").await.status, 412);
}

#[tokio::test]
async fn a_request_that_is_named_is_executed_once() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(3).await;
    let client = cluster.kvctl(&["session", "open"]).await.stdout;
    let named = |serial: u64| format!("kvorum-request-id: {}:{serial}", client.trim());
    let body = json!({"value": "mine"}).to_string();
    let ask = async |node, request: &str, name: &str, body: &str| {
        http::ask(cluster.address(node), request, &[JSON, name], body.as_bytes()).await
    };
    let first = ask(1, "PUT /kv/k", &named(1), &body).await;
    assert_eq!(first.status, 201);
    put(&cluster, "/kv/k", "of somebody else").await;
    let again = ask(2, "PUT /kv/k", &named(1), &body).await;
    assert_eq!((again.status, again.text()), (201, first.text()), "the same answer");
    assert_eq!(again.header("etag"), first.header("etag"));
    assert_eq!(get(&cluster, "/kv/k?raw").await.body, b"of somebody else");
    let removed = ask(3, "DELETE /kv/k", &named(2), "").await;
    assert_eq!(removed.json()["count"], json!(1));
    put(&cluster, "/kv/k", "again").await;
    assert_eq!(ask(1, "DELETE /kv/k", &named(2), "").await.text(), removed.text());
    assert_eq!(get(&cluster, "/kv/k?raw").await.body, b"again");
    // A name stands for one request.
    let other = ask(1, "DELETE /kv/k", &named(1), "").await;
    assert_eq!(other.status, 409, "{}", other.text());
    assert_eq!(ask(1, "PUT /kv/k", "kvorum-request-id: 1", &body).await.status, 400);
    assert_eq!(delete(&cluster, "/kv/k").await.status, 200);
}
