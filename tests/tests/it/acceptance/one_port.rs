//! Everybody comes to one port.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::cluster::Cluster;
use crate::harness::etcd::Etcd;
use crate::harness::{http, wait};

/// the port by which nodes reach each other serves clients of every protocol too; ports
/// side by side are tested by `doors.rs`.
#[tokio::test]
async fn acc_a14_one_port_serves_peers_and_every_kind_of_client() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(3).await;
    let follower = cluster.follower().await;
    wait::until("known leader", async || cluster.status(follower).await.leader_id).await;
    let port = cluster.address(follower);
    assert!(cluster.peers().contains(port), "peers come here");
    let put = cluster.begin_kvctl_at(port, &["put", "k", "v"]).end().await;
    assert_eq!((put.code, put.stdout.as_str()), (Some(0), "OK\n"), "{}", put.stderr);
    let mut redis = TcpStream::connect(port).await.unwrap();
    redis.write_all(b"GET k\r\n").await.unwrap();
    redis.shutdown().await.unwrap();
    let mut said = String::new();
    wait::in_time("answer", redis.read_to_string(&mut said)).await.unwrap();
    assert_eq!(said, "$1\r\nv\r\n");
    let found = http::ask(port, "GET /kv/k?raw", &[], b"").await;
    assert_eq!((found.status, &found.body[..]), (200, &b"v"[..]));
    let range = http::ask(port, "POST /v3/kv/range", &[], b"{\"key\":\"aw==\"}").await;
    assert_eq!(range.json()["kvs"][0]["value"], serde_json::json!("dg=="));
    drop(Etcd::connect(port).await);
}
