//! Commands of a connection take effect in their order, and named writes once.

use super::Node;
use super::peer::{Peer, Reply, encoded};
use crate::harness::cluster::Cluster;
use crate::harness::wait;

/// Reads and writes that are sent at once see each other as if each had been waited for.
#[tokio::test]
async fn a_pipeline_keeps_its_order() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(3).await;
    for id in cluster.ids() {
        let mut peer = Peer::connect(cluster.address(id)).await;
        peer.check("SET n 0", "+OK").await;
        peer.check("WAIT 2 0", "1").await;
        let rounds = 300;
        let mut bytes = Vec::new();
        for _ in 0..rounds {
            bytes.extend(encoded(&["GET", "n"]));
            bytes.extend(encoded(&["INCR", "n"]));
            bytes.extend(encoded(&["GET", "n"]));
            bytes.extend(encoded(&["PING"]));
        }
        peer.send(&bytes).await;
        for round in 0..rounds {
            for number in [round, round + 1] {
                let shown = Reply::Bytes(number.to_string().into_bytes());
                assert_eq!(peer.reply().await, shown, "round {round} on node {id}");
                if number == round {
                    assert_eq!(peer.reply().await, Reply::Number(round + 1));
                }
            }
            assert_eq!(peer.reply().await, Reply::Line("+PONG".to_owned()));
        }
    }
    cluster.check_equal().await;
}

/// Two connections that watch the same key: one of them is too late.
#[tokio::test]
async fn what_is_watched_must_not_change() {
    let _turn = wait::turn().await;
    let node = Node::start().await;
    let (mut one, mut other) =
        (Peer::connect(&node.address).await, Peer::connect(&node.address).await);
    // All at once: what EXEC compares is what WATCH has read.
    let all = ["SET k 1", "WATCH k", "MULTI", "INCR k", "EXEC"];
    let bytes: Vec<u8> =
        all.iter().flat_map(|it| encoded(&it.split(' ').collect::<Vec<_>>())).collect();
    one.send(&bytes).await;
    for expected in ["+OK", "+OK", "+OK", "+QUEUED", "*[2]"] {
        assert_eq!(format!("{:?}", one.reply().await), expected);
    }
    for words in ["WATCH k nothing", "MULTI"] {
        one.check(words, "+OK").await;
        other.check(words, "+OK").await;
    }
    one.check("SET nothing x", "+QUEUED").await;
    other.check("INCR k", "+QUEUED").await;
    one.check("EXEC", "*[+OK]").await;
    other.check("EXEC", "nil").await;
    one.check("GET k", "\"2\"").await;
}

/// A write that its client repeats under its name takes effect once, also through another node
/// and when the leader is gone.
#[tokio::test]
async fn a_named_write_takes_effect_once() {
    let _turn = wait::turn().await;
    let mut cluster = Cluster::start(3).await;
    let opened = cluster.kvctl(&["session", "open"]).await;
    let session = opened.stdout.trim().to_owned();
    let leader = cluster.leader().await;
    let mut peer = Peer::connect(cluster.address(leader)).await;
    for _ in 0..2 {
        peer.check(&format!("CLIENT REQUESTID {session}:1"), "+OK").await;
        peer.check("INCR n", "1").await;
    }
    // The name was for one command.
    peer.check("INCR n", "2").await;
    peer.check(&format!("CLIENT REQUESTID {session}:2"), "+OK").await;
    peer.check("MULTI", "+OK").await;
    peer.check("INCR n", "+QUEUED").await;
    peer.check("EXEC", "*[3]").await;
    cluster.kill(leader);
    let next = cluster.leader().await;
    let mut peer = Peer::connect(cluster.address(next)).await;
    peer.check(&format!("CLIENT REQUESTID {session}:1"), "+OK").await;
    peer.check("INCR n", "1").await;
    peer.check(&format!("CLIENT REQUESTID {session}:2"), "+OK").await;
    peer.check("MULTI", "+OK").await;
    peer.check("INCR n", "+QUEUED").await;
    peer.check("EXEC", "*[3]").await;
    peer.check(&format!("CLIENT REQUESTID {session}:1"), "+OK").await;
    let other = "-ERR the request id was used for a command of another kind";
    peer.check("HSET h a 1", other).await;
    peer.check("GET n", "\"3\"").await;
    peer.check(
        "CLIENT REQUESTID x",
        "-ERR a request id is CLIENT:SERIAL, with a client that \
        kvctl session open prints and serials from 1 on",
    )
    .await;
}
