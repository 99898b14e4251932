//! What makes no sense, and clients that do not behave.

use tokio::io::AsyncReadExt as _;

use super::Node;
use super::peer::{Peer, encoded};
use crate::harness::wait;

/// What the process holds in memory. Units: bytes.
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn what_cannot_be_understood_is_told_and_closed() {
    let _turn = wait::turn().await;
    let node = Node::start().await;
    let mut other = Peer::connect(&node.address).await;
    other.check("SET k v", "+OK").await;
    let deep = b"*1\r\n".repeat(1_000_000);
    let long = [&b"GET "[..], &[b'x'; 70_000]].concat();
    let table: [(&[u8], &str); 6] = [
        (b"*2\r\n$-3\r\n", "-ERR Protocol error: invalid bulk length"),
        (b"*9223372036854775808\r\n", "-ERR Protocol error: invalid multibulk length"),
        (b"*1\r\n$9223372036854775808\r\n", "-ERR Protocol error: invalid bulk length"),
        (&deep, "-ERR Protocol error: expected '$', got '*'"),
        (&long, "-ERR Protocol error: too big inline request"),
        (b"GET \"x\r\n", "-ERR Protocol error: unbalanced quotes in request"),
    ];
    for (bytes, expected) in table {
        let mut peer = Peer::connect(&node.address).await;
        peer.check("PING", "+PONG").await;
        // It may be closed before all of it is sent.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut peer.stream, bytes).await;
        assert_eq!(format!("{:?}", peer.reply().await), expected);
        assert_eq!(wait::in_time("end", peer.next()).await, None, "{expected}");
        other.check("GET k", "\"v\"").await;
    }
}

#[tokio::test]
async fn what_is_too_long_is_refused_and_nothing_else() {
    let _turn = wait::turn().await;
    let node = Node::start().await;
    let mut peer = Peer::connect(&node.address).await;
    let long = vec![b'x'; 1_572_865];
    peer.send(&encoded(&[&b"SET"[..], b"k", &long])).await;
    let reply = format!("{:?}", peer.reply().await);
    assert_eq!(reply, "-ERR value of 1572865 bytes is above the limit of 1572864 bytes");
    peer.send(&encoded(&[&b"SET"[..], b"k", &long[1..]])).await;
    assert_eq!(format!("{:?}", peer.reply().await), "+OK");
    let reply = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    peer.check("APPEND k x", reply).await;
    peer.check("SETRANGE n 1572864 x", reply).await;
    peer.check("SETRANGE n 9223372036854775807 x", reply).await;
    peer.send(&encoded(&["SET", "", "x"])).await;
    assert_eq!(format!("{:?}", peer.reply().await), "-ERR key is not provided");
    peer.check("STRLEN k", "1572864").await;
}

/// A thousand connections that say nothing more keep nobody out.
#[tokio::test]
async fn idle_connections_cost_little() {
    let _turn = wait::turn().await;
    let node = Node::start().await;
    let before = memory(node.process.pid());
    let mut idle = Vec::new();
    for _ in 0..1_000 {
        let mut peer = Peer::connect(&node.address).await;
        peer.check("PING", "+PONG").await;
        idle.push(peer);
    }
    let mut peer = Peer::connect(&node.address).await;
    peer.check("SET k v", "+OK").await;
    let each = memory(node.process.pid()).saturating_sub(before) / 1_000;
    assert!(each < 100_000, "{each} bytes for each idle connection");
    for peer in &mut idle {
        peer.check("GET k", "\"v\"").await;
    }
}

/// A client that asks for much and reads nothing: memory stays bounded, others are served.
#[tokio::test]
async fn a_client_that_never_reads() {
    let _turn = wait::turn().await;
    let node = Node::start().await;
    let mut other = Peer::connect(&node.address).await;
    other.send(&encoded(&[&b"SET"[..], b"k", &vec![b'x'; 100_000]])).await;
    assert_eq!(format!("{:?}", other.reply().await), "+OK");
    let before = memory(node.process.pid());
    let mut deaf = Peer::connect(&node.address).await;
    let many = encoded(&["GET", "k"]).repeat(10_000);
    let sent = async {
        // A gigabyte of replies. The socket is full long before, or it is closed.
        for _ in 0..100 {
            if tokio::io::AsyncWriteExt::write_all(&mut deaf.stream, &many).await.is_err() {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(std::time::Duration::from_secs(3), sent).await;
    other.check("STRLEN k", "100000").await;
    let grown = memory(node.process.pid()).saturating_sub(before);
    assert!(grown < 200 * 1024 * 1024, "{grown} bytes for a client that reads nothing");
    // Either it is gone, or what it gets is what it asked for.
    let mut start = [0; 9];
    if wait::in_time("reply", deaf.stream.read_exact(&mut start)).await.is_ok() {
        assert_eq!(&start, b"$100000\r\n");
    }
}
