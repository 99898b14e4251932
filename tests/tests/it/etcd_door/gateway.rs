//! The JSON gateway and the plain pages, as `curl` sees them.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::cluster::Cluster;
use crate::harness::{http, wait};

/// Asks; returns the status and the body.
async fn ask(address: &str, request: &str, headers: &[&str], body: &str) -> (u16, String) {
    let reply = http::ask(address, request, headers, body.as_bytes()).await;
    (reply.status, reply.text())
}

async fn post(cluster: &Cluster, path: &str, body: Value) -> (u16, Value) {
    let request = format!("POST /v3{path}");
    let (status, said) = ask(cluster.address(1), &request, &[], &body.to_string()).await;
    (status, serde_json::from_str(&said).unwrap_or_else(|error| panic!("{said}: {error}")))
}

#[tokio::test]
async fn the_gateway_says_in_json_what_grpc_says() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let (status, said) = post(&cluster, "/kv/put", json!({"key": "Zm9v", "value": "YmFy"})).await;
    assert_eq!((status, &said["header"]["revision"]), (200, &json!("2")));
    let (_, said) = post(&cluster, "/kv/range", json!({"key": "Zm9v"})).await;
    let kv = json!({
        "key": "Zm9v", "create_revision": "2", "mod_revision": "2", "version": "1", "value": "YmFy",
    });
    assert_eq!((&said["kvs"], &said["count"]), (&json!([kv]), &json!("1")));
    let transaction = json!({
        "compare": [{"key": "Zm9v", "target": "CREATE", "createRevision": "2"}],
        "success": [{"requestPut": {"key": "Zm9v", "value": "cXV4"}}],
    });
    let (_, said) = post(&cluster, "/kv/txn", transaction).await;
    assert_eq!(said["succeeded"], json!(true));
    assert_eq!(said["responses"], json!([{"response_put": {"header": {"revision": "3"}}}]));
    let (status, said) = post(&cluster, "/kv/range", json!({})).await;
    let refused = json!({"code": 3, "message": "etcdserver: key is not provided", "details": []});
    assert_eq!((status, said), (400, refused));
    let (status, _) = post(&cluster, "/kv/lease/timetolive", json!({"ID": "5"})).await;
    assert_eq!(status, 200);
    let (status, said) = post(&cluster, "/lease/revoke", json!({"ID": "5"})).await;
    assert_eq!((status, &said["message"]), (404, &json!("etcdserver: requested lease not found")));
    let (status, _) = post(&cluster, "/nothing", json!({})).await;
    assert_eq!(status, 404);
    let (status, _) = ask(cluster.address(1), "POST /v3/kv/put", &[], "{not json").await;
    assert_eq!(status, 400);
    let foreign = &["Origin: http://elsewhere.example"];
    let body = json!({"key": "Zm9v"}).to_string();
    let (status, _) = ask(cluster.address(1), "POST /v3/kv/put", foreign, &body).await;
    assert_eq!(status, 403, "a page of another origin changes nothing");
}

/// A page of another origin can make a browser ask by HTTP/1 as if it were of this one, once its
/// name has become the node's address; gRPC is HTTP/2, which no browser speaks without TLS.
#[tokio::test]
async fn grpc_is_not_for_browsers() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let headers = ["Host: evil.example", "Content-Type: application/grpc"];
    let request = "POST /etcdserverpb.KV/Range";
    let body = "\0\0\0\0\u{3}\n\u{1}k";
    let (status, said) = ask(cluster.address(1), request, &headers, body).await;
    assert_eq!((status, &said[..]), (505, "gRPC needs HTTP/2\n"));
}

#[tokio::test]
async fn a_watch_by_the_gateway_is_a_line_for_each_response() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let mut stream = TcpStream::connect(cluster.address(1)).await.unwrap();
    let body = json!({"create_request": {"key": "Zm9v"}}).to_string();
    let head = format!(
        "POST /v3/watch HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut said = String::new();
    let mut read_until = async |what: &str| {
        while !said.contains(what) {
            let mut part = vec![0; 1024];
            let length = wait::in_time(what, stream.read(&mut part)).await.unwrap();
            assert_ne!(length, 0, "{said}");
            said += &String::from_utf8_lossy(&part[..length]);
        }
    };
    read_until("\"created\":true").await;
    cluster.client().await.put("foo", "bar").await;
    read_until("\"value\":\"YmFy\"").await;
}

#[tokio::test]
async fn plain_pages_tell_how_the_node_is() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let get = async |path: &str| ask(cluster.address(1), &format!("GET {path}"), &[], "").await;
    let (status, version) = get("/version").await;
    let version: Value = serde_json::from_str(&version).unwrap();
    assert_eq!((status, &version["etcdserver"]), (200, &json!("3.6.0")));
    let (status, health) = get("/health").await;
    let health: Value = serde_json::from_str(&health).unwrap();
    assert_eq!((status, health), (200, json!({"health": "true", "reason": ""})));
    assert_eq!(get("/readyz").await, (200, "ok\n".to_owned()));
    assert!(get("/livez?verbose").await.1.contains("[+]serializable_read ok"));
    assert!(get("/readyz/linearizable_read").await.1.contains("ok"));
    let (_, metrics) = get("/metrics").await;
    assert!(metrics.contains("\netcd_server_has_leader 1\n"), "{metrics}");
    assert!(metrics.contains("\nkvorum_log_sync_duration_seconds{quantile=\"0.99\"} 0."));
    assert!(!metrics.contains("\nkvorum_log_sync_duration_seconds_count 0\n"), "{metrics}");
    assert_eq!(get("/nothing").await.0, 404);
}

#[tokio::test]
async fn a_node_without_a_majority_says_that_it_is_not_well() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    cluster.kill(2);
    cluster.kill(3);
    wait::until("bad health", async || {
        let (status, said) = ask(cluster.address(1), "GET /health", &[], "").await;
        let health: Value = serde_json::from_str(&said).unwrap();
        (status == 503 && health["health"] == json!("false")).then_some(())
    })
    .await;
    let (status, _) = ask(cluster.address(1), "GET /livez", &[], "").await;
    assert_eq!(status, 200, "it lives, and answers what it has");
}
