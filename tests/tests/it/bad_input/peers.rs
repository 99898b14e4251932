//! Nodes that do not belong together, and programs that are no nodes at all.

use bytes::BytesMut;
use raft_net::preface::{Greeting, LinkClass, Preface, Role, Why};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::client::{self, Client};
use crate::harness::cluster::Cluster;
use crate::harness::ports;
use crate::harness::process::{KVORUM, Process};
use crate::harness::scratch::Scratch;
use crate::harness::wait;

/// Starts a node with these flags as well, on a folder of that name.
fn start(scratch: &Scratch, folder: &str, flags: &[&str]) -> Process {
    let own = ["--data-dir", folder, "--wal-segment-bytes", "1048576"];
    Process::start(scratch, folder, KVORUM, &[&own[..], flags].concat())
}

/// A node on another folder with the id of one that runs: it is told so, and cuts off nobody.
#[tokio::test]
async fn two_nodes_with_one_id() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(3).await;
    let client = cluster.client().await;
    client.put("before", "1").await;
    let leader = cluster.leader().await;
    let term = cluster.status(leader).await.term;

    let scratch = Scratch::new();
    let (address, peers) = (ports::addresses(1).remove(0), cluster.peers());
    let id = leader.to_string();
    let flags = ["--node-id", &id, "--listen", &address, "--peers", &peers];
    let rival = start(&scratch, "rival", &flags);
    let taken = format!("n{id} is connected to");
    rival.complains(&["cannot join", &taken, "give each node its own id"]).await;
    let follower = cluster.follower().await;
    cluster.node(follower).complains(&["closed a link from", &taken]).await;

    client.put("after", "2").await;
    assert_eq!(cluster.leader().await, leader, "the node that was there first leads on");
    assert_eq!(cluster.status(leader).await.term, term);
    cluster.check_equal().await;
}

/// What a folder has recorded wins over `--peers`, and one line says so.
#[tokio::test]
async fn peers_that_differ_from_the_recorded_members() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    cluster.client().await.put("k", "v").await;
    let changed = cluster.follower().await;
    cluster.kill(changed);
    let recorded = cluster.peers();
    let own = format!("{changed}={}", cluster.address(changed));
    cluster.revive_with(changed, &own);
    let words = ["--peers differs from the recorded members, which win", &recorded];
    cluster.node(changed).complains(&words).await;
    let found = cluster.client_of(changed).await.get("k").await;
    assert_eq!(found.as_deref(), Some("v"), "it is a member as before");
}

#[tokio::test]
async fn a_node_of_another_cluster() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(3).await;
    let scratch = Scratch::new();
    let address = ports::addresses(1).remove(0);
    let peers = format!("1={},9={address}", cluster.address(1));
    let flags = ["--node-id", "9", "--listen", &address, "--peers", &peers];
    let stranger = start(&scratch, "stranger", &flags);
    let words = ["cannot join n1", cluster.address(1), "belongs to cluster", "check the address"];
    stranger.complains(&words).await;
    cluster.node(1).complains(&["refused a connection", "belongs to cluster"]).await;
    cluster.client().await.put("k", "v").await;
}

/// A wrong secret and a missing one; with the right one the same folder is let in.
#[tokio::test]
async fn secrets_that_do_not_match() {
    let _turn = wait::turn().await;
    let scratch = Scratch::new();
    let addresses = ports::addresses(2);
    let peers = format!("1={},2={}", addresses[0], addresses[1]);
    let node = |id: &'static str, folder: &str, secret: &[&str]| {
        let listen = &addresses[id.parse::<usize>().unwrap() - 1];
        let flags = ["--node-id", id, "--listen", listen, "--peers", &peers];
        start(&scratch, folder, &[&flags[..], secret].concat())
    };
    let right = node("1", "right", &["--cluster-secret", "a long secret"]);
    let wrong = node("2", "other", &["--cluster-secret", "another secret"]);
    wrong.complains(&["cannot join n1", &addresses[0], "secret", "differ"]).await;
    right.complains(&["n2", "secret", "differ"]).await;
    assert!(!wrong.stderr().contains("another secret"), "a secret is never shown");
    wrong.kill();
    let missing = node("2", "none", &[]);
    missing.complains(&["cannot join n1", &addresses[0], "secret", "start"]).await;
    missing.kill();
    let _second = node("2", "other", &["--cluster-secret", "a long secret"]);
    wait::until("leader", async || client::status(&addresses[0]).await?.leader_id).await;
    Client::connect(&addresses).await.put("k", "v").await;
}

/// A node of a later release that has no version in common.
#[tokio::test]
async fn a_version_that_is_not_spoken() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(3).await;
    for role in [Role::Client, Role::Peer { link: LinkClass::Control }] {
        let preface = Preface { version_min: 7, version_max: 9, role, ..Preface::client(0) };
        let refused = greeting(cluster.address(1), &preface).await;
        let Greeting::Refused(refused) = refused else { panic!("{refused:?}") };
        assert_eq!(refused.why, Why::NoCommonVersion);
        for words in ["n1 speaks versions 1 to 1", "7 to 9", "upgrade"] {
            assert!(refused.text.contains(words), "no {words:?} in {refused}");
        }
    }
    cluster.client().await.put("k", "v").await;
}

/// Opens a connection with this preface and reads what comes back.
async fn greeting(address: &str, preface: &Preface) -> Greeting {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut output = BytesMut::new();
    preface.open(&mut output);
    stream.write_all(&output).await.unwrap();
    let read = async {
        let length = stream.read_u32().await.unwrap();
        let mut content = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut content).await.unwrap();
        Greeting::decode(&content).unwrap()
    };
    wait::in_time("answer to a preface", read).await
}

/// Addresses at which other programs listen: the node says at which, and goes on trying.
#[tokio::test]
async fn programs_that_are_no_nodes() {
    let _turn = wait::turn().await;
    let scratch = Scratch::new();
    let own = ports::addresses(1).remove(0);
    let (http, http_at) = listen().await;
    let (redis, redis_at) = listen().await;
    let (etcd, etcd_at) = listen().await;
    let (mute, mute_at) = listen().await;
    tokio::spawn(answer(http, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"));
    tokio::spawn(answer(redis, b"-ERR unknown command\r\n"));
    // The settings frame with which an HTTP/2 server begins.
    tokio::spawn(answer(etcd, b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\x04\0\0\xff\xff\0"));
    tokio::spawn(answer(mute, b""));
    let peers = format!("1={own},2={http_at},3={redis_at},4={etcd_at},5={mute_at}");
    let node = start(&scratch, "node", &["--listen", &own, "--peers", &peers]);
    for (id, address) in [(2, &http_at), (3, &redis_at), (4, &etcd_at)] {
        let target = format!("cannot join n{id} at {address}");
        node.complains(&[&target, "does not speak this protocol", "check the address"]).await;
    }
    let target = format!("cannot reach n5 at {mute_at}");
    node.complains(&[&target, "no answer to the handshake within two seconds"]).await;
    let status = client::status(&own).await.expect("the node serves");
    assert_eq!(status.waiting_for, [2, 3, 4, 5], "it waits for nodes to be there");
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// Answers whatever comes with the same bytes and holds the connection open.
async fn answer(listener: TcpListener, bytes: &'static [u8]) {
    let mut open = Vec::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        // Whoever closes first has seen enough.
        let _ = stream.write_all(bytes).await;
        open.push(stream);
    }
}
