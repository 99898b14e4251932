//! Doors with addresses of their own.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::client::Client;
use crate::harness::etcd::Etcd;
use crate::harness::process::{Ended, KVCTL, KVORUM, Process};
use crate::harness::scratch::Scratch;
use crate::harness::{client, http, ports, wait};

/// The address in a line such as `resp alone at 127.0.0.1:6379`.
fn address<'l>(lines: &'l [String], door: &str) -> &'l str {
    let begins = format!("{door} alone at ");
    let line = lines.iter().find_map(|line| line.strip_prefix(&begins));
    line.unwrap_or_else(|| panic!("no {door} in {lines:?}"))
}

/// What is said to a line.
async fn say(address: &str, line: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(line.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut said = String::new();
    wait::in_time("answer", stream.read_to_string(&mut said)).await.unwrap();
    said
}

async fn kvctl(scratch: &Scratch, endpoint: &str, words: &[&str]) -> Ended {
    let arguments = [&["--endpoints", endpoint, "--timeout", "5s"], words].concat();
    Process::start(scratch, "kvctl", KVCTL, &arguments).end().await
}

#[tokio::test]
async fn each_door_has_an_address_of_its_own() {
    let _turn = wait::turn().await;
    let scratch = Scratch::new();
    let flags = [
        "--listen=127.0.0.1:0",
        "--doors=native,peers",
        "--listen-etcd=127.0.0.1:0",
        "--listen-resp=127.0.0.1:0",
        "--listen-http=127.0.0.1:0",
        "--data-dir=data",
    ];
    let node = Process::start(&scratch, "node", KVORUM, &flags);
    let lines = node.lines(4).await;
    let shared = lines[0].split_once("listens on ").unwrap().1.split_once(',').unwrap().0;
    let [etcd, resp, http] = ["etcd", "resp", "http"].map(|door| address(&lines, door));
    // Each serves its own.
    let put = kvctl(&scratch, shared, &["put", "k", "v"]).await;
    assert_eq!(put.code, Some(0), "{}", put.stderr);
    assert_eq!(say(resp, "GET k\r\n").await, "$1\r\nv\r\n");
    let found = http::ask(http, "GET /kv/k?raw", &[], b"").await;
    assert_eq!((found.status, &found.body[..]), (200, &b"v"[..]));
    let range = http::ask(etcd, "POST /v3/kv/range", &[], b"{\"key\":\"aw==\"}").await;
    assert_eq!(range.json()["kvs"][0]["value"], serde_json::json!("dg=="));
    drop(Etcd::connect(etcd).await);
    for port in [etcd, http] {
        assert_eq!(http::ask(port, "GET /health", &[], b"").await.status, 200, "{port}");
    }
    // And says so to others, in their own form.
    for port in [shared, etcd, http] {
        let said = say(port, "PING\r\n").await;
        assert_eq!(said, "-ERR this port does not take clients of Redis\r\n", "{port}");
    }
    for port in [shared, resp] {
        assert_eq!(http::ask(port, "GET /kv/k", &[], b"").await.status, 400, "{port}");
    }
    let other = http::ask(etcd, "GET /kv/k", &[], b"").await;
    assert!(other.status == 404 && other.text().contains("does not show keys"), "{other:?}");
    let other = http::ask(http, "POST /v3/kv/range", &[], b"{}").await;
    assert!(other.status == 404 && other.text().contains("clients of etcd"), "{other:?}");
    for port in [etcd, resp, http] {
        let other = kvctl(&scratch, port, &["get", "k"]).await;
        assert_ne!(other.code, Some(0), "{port}");
        assert!(other.stderr.contains("this port does not take clients"), "{}", other.stderr);
    }
}

/// Nodes are told where to find each other, and clients come elsewhere.
#[tokio::test]
async fn peers_have_an_address_of_their_own() {
    let _turn = wait::turn().await;
    let scratch = Scratch::new();
    let addresses = ports::addresses(4);
    let (for_peers, for_clients) = addresses.split_at(2);
    let peers = format!("1={},2={}", for_peers[0], for_peers[1]);
    let mut nodes = Vec::new();
    for place in 0..2 {
        let (id, folder) = ((place + 1).to_string(), format!("data-{place}"));
        let flags = [
            "--node-id",
            &id,
            "--peers",
            &peers,
            "--doors",
            "native",
            "--data-dir",
            &folder,
            "--listen",
            &for_clients[place],
            "--listen-peers",
            &for_peers[place],
        ];
        nodes.push(Process::start(&scratch, &folder, KVORUM, &flags));
    }
    wait::until("leader", async || client::status(&for_clients[0]).await?.leader_id).await;
    Client::connect(for_clients).await.put("k", "v").await;
    assert_eq!(Client::connect(&for_clients[1..]).await.get("k").await.as_deref(), Some("v"));
    let refused = kvctl(&scratch, &for_peers[0], &["get", "k"]).await;
    assert!(refused.stderr.contains("does not take clients"), "{}", refused.stderr);
    // Who joins is known by the address that it has for peers.
    let flags = [
        "--join",
        &for_clients[0],
        "--doors",
        "native",
        "--data-dir",
        "data-2",
        "--listen",
        "127.0.0.1:0",
        "--listen-peers",
        "127.0.0.1:0",
    ];
    let third = Process::start(&scratch, "data-2", KVORUM, &flags);
    let lines = third.lines(2).await;
    let third_at = address(&lines, "peers").to_owned();
    let shared = lines[0].split_once("listens on ").unwrap().1.split_once(',').unwrap().0;
    wait::until("the joiner's copy", async || {
        let status = client::status(shared).await?;
        let is_known = status.members.contains(&(3, third_at.clone()));
        (is_known && 0 < status.revision).then_some(())
    })
    .await;
    assert_eq!(Client::connect(&[shared.to_owned()]).await.get("k").await.as_deref(), Some("v"));
}

#[tokio::test]
async fn an_address_in_use_or_a_door_that_is_none_ends_the_start_in_a_line() {
    let _turn = wait::turn().await;
    let scratch = Scratch::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (flags, code, words) in [
        (["--listen-resp", &taken], 1, "choose another --listen-resp"),
        (["--listen-http", "nowhere"], 2, "--listen-http: \"nowhere\" is not an address"),
        (["--doors", "native,redis"], 2, "\"redis\" is no door"),
    ] {
        let flags = [&["--listen", "127.0.0.1:0", "--data-dir", "none"], &flags[..]].concat();
        let ended = Process::start(&scratch, "node", KVORUM, &flags).end().await;
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        let last = ended.stderr.lines().last().unwrap();
        assert!(last.starts_with("error: ") && last.contains(words), "{}", ended.stderr);
    }
    assert!(!scratch.join("none").exists(), "nothing is left behind");
}
