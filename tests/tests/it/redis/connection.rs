//! What a connection says and asks of itself, in both versions of the protocol.

use super::Node;
use super::peer::Peer;
use crate::harness::wait;

#[tokio::test]
async fn hello_changes_the_version_and_reset_changes_it_back() {
    let _turn = wait::turn().await;
    let node = Node::start().await;
    let mut peer = Peer::connect(&node.address).await;
    peer.check("HSET h a 1", "1").await;
    peer.check("SADD s a", "1").await;
    peer.check("HGETALL h", "*[\"a\", \"1\"]").await;
    peer.check("HELLO 4", "-NOPROTO unsupported protocol version").await;
    peer.check("HELLO x", "-ERR Protocol version is not an integer or out of range").await;
    let hello = format!("{:?}", peer.ask("HELLO 3 SETNAME me").await);
    assert!(hello.starts_with("%[\"server\", \"redis\", \"version\","), "{hello}");
    assert!(hello.contains("\"proto\", 3"), "{hello}");
    peer.check("CLIENT GETNAME", "\"me\"").await;
    peer.check("HGETALL h", "%[\"a\", \"1\"]").await;
    peer.check("SMEMBERS s", "~[\"a\"]").await;
    peer.check("RESET", "+RESET").await;
    peer.check("CLIENT GETNAME", "nil").await;
    peer.check("SMEMBERS s", "*[\"a\"]").await;
    peer.check("CLIENT SETINFO lib-name x", "+OK").await;
    let info = format!("{:?}", peer.ask("INFO server").await);
    assert!(info.contains("redis_version:7.") && info.contains("kvorum_version:"), "{info}");
    peer.check("QUIT", "+OK").await;
    assert_eq!(peer.next().await, None);
}

/// Every key is shown once, whatever happens between two steps, and by whichever connection.
#[tokio::test]
async fn scans_go_on_where_they_stopped() {
    let _turn = wait::turn().await;
    let node = Node::start().await;
    let mut peer = Peer::connect(&node.address).await;
    for number in 0..50 {
        peer.check(&format!("SET key:{number:02} x"), "+OK").await;
        peer.check(&format!("HSET hash f{number:02} x"), "1").await;
    }
    let mut found = Vec::new();
    let (mut cursor, mut is_first) = ("0".to_owned(), true);
    loop {
        let reply = format!("{:?}", peer.ask(&format!("SCAN {cursor} MATCH key:* COUNT 7")).await);
        let (next, keys) = reply.trim_start_matches("*[\"").split_once("\", *[").unwrap();
        found.extend(keys.trim_end_matches("]]").split(", ").map(str::to_owned));
        cursor = next.to_owned();
        // Behind and before the cursor.
        peer.check("DEL key:00 key:01", if is_first { "2" } else { "0" }).await;
        is_first = false;
        peer = Peer::connect(&node.address).await;
        if cursor == "0" {
            break;
        }
    }
    found.retain(|key| !key.is_empty());
    let expected: Vec<String> = (0..50).map(|number| format!("\"key:{number:02}\"")).collect();
    assert_eq!(found, expected);
    let reply = format!("{:?}", peer.ask("HSCAN hash 0 COUNT 3").await);
    assert!(reply.ends_with("[\"f00\", \"x\", \"f01\", \"x\", \"f02\", \"x\"]]"), "{reply}");
    peer.check(
        "SCAN 12345",
        "-ERR invalid cursor: it was given long ago or by another node, begin again with 0",
    )
    .await;
    peer.check("SCAN 0 TYPE hash COUNT 100", "*[\"0\", *[\"hash\"]]").await;
}

#[tokio::test]
async fn what_is_drawn_is_there_and_what_ends_goes() {
    let _turn = wait::turn().await;
    let node = Node::start().await;
    let mut peer = Peer::connect(&node.address).await;
    peer.check("SSET s a b c", "3").await;
    peer.check("SHAS s a", "1").await;
    peer.check("SHAS s x", "0").await;
    peer.check("SDEL s x c", "1").await;
    let drawn = format!("{:?}", peer.ask("SRANDMEMBER s -20").await);
    assert_eq!(
        (drawn.matches("\"a\"").count() + drawn.matches("\"b\"").count(), drawn.contains('c')),
        (20, false)
    );
    let popped = format!("{:?}", peer.ask("SPOP s").await);
    let left = if popped == "\"a\"" { "b" } else { "a" };
    peer.check("SMEMBERS s", &format!("*[\"{left}\"]")).await;
    peer.check("RANDOMKEY", "\"s\"").await;
    peer.check("SET k v PX 30", "+OK").await;
    peer.check("GET k", "\"v\"").await;
    wait::until("the end of the key", async || {
        (format!("{:?}", peer.ask("GET k").await) == "nil").then_some(())
    })
    .await;
    peer.check("SET k v PXAT 1", "+OK").await;
    peer.check("EXISTS k", "0").await;
}

/// A time of the calendar becomes a length of time and one of the calendar again, each a moment
/// later than the other.
#[tokio::test]
async fn an_end_by_the_calendar_is_told_as_it_was_given() {
    let _turn = wait::turn().await;
    let node = Node::start().await;
    let mut peer = Peer::connect(&node.address).await;
    peer.check("SET k v", "+OK").await;
    peer.check("PEXPIREAT k 4000000000000", "1").await;
    peer.check("EXPIRETIME k", "4000000000").await;
    let told: i64 = format!("{:?}", peer.ask("PEXPIRETIME k").await).parse().unwrap();
    assert!((told - 4_000_000_000_000).abs() < 500, "{told}");
}
