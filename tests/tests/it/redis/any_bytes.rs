//! Whatever bytes go in come out.

use super::Node;
use super::peer::{Peer, Reply, encoded};
use crate::harness::wait;

/// Every byte, what means something in addresses and in this protocol, and nothing at all.
fn samples() -> Vec<Vec<u8>> {
    let all: Vec<u8> = (0..=255).collect();
    let texts = ["", "/ ? # % :", "a/b?c#d%20:e", "\r\n", "+OK\r\n$5\r\n", "*", "\u{fc}", "\0"];
    let mut samples: Vec<_> = texts.map(|text| text.as_bytes().to_vec()).into();
    samples.extend([all, vec![0xff; 3], b"%00".to_vec()]);
    samples
}

async fn say(peer: &mut Peer, words: &[&[u8]]) -> Reply {
    peer.send(&encoded(words)).await;
    peer.reply().await
}

/// The elements of an aggregate.
fn parts(reply: Reply) -> Vec<Reply> {
    let Reply::Many(_, parts) = reply else { panic!("{reply:?} has no parts") };
    parts
}

#[tokio::test]
async fn ref_s32_any_bytes_round_trip_through_the_redis_door() {
    let _turn = wait::turn().await;
    let node = Node::start().await;
    for protocol in ["HELLO 2", "HELLO 3"] {
        let mut peer = Peer::connect(&node.address).await;
        peer.ask(protocol).await;
        for sample in samples() {
            peer.check("FLUSHALL", "+OK").await;
            let bytes = Reply::Bytes(sample.clone());
            let value = &sample[..];
            // A key must not be empty; everything else may.
            let key = if value.is_empty() { &b"k"[..] } else { value };
            assert_eq!(say(&mut peer, &[b"SET", key, value]).await, Reply::Line("+OK".to_owned()));
            assert_eq!(say(&mut peer, &[b"GET", key]).await, bytes);
            assert_eq!(parts(say(&mut peer, &[b"MGET", key]).await), std::slice::from_ref(&bytes));
            assert_eq!(say(&mut peer, &[b"ECHO", value]).await, bytes);
            let keys = [Reply::Bytes(key.to_vec())];
            assert_eq!(parts(say(&mut peer, &[b"KEYS", b"*"]).await), keys);
            let scanned = parts(say(&mut peer, &[b"SCAN", b"0"]).await);
            assert_eq!(parts(scanned[1].clone()), keys);
            say(&mut peer, &[b"RENAME", key, b"other"]).await;
            say(&mut peer, &[b"RENAME", b"other", key]).await;
            assert_eq!(say(&mut peer, &[b"GETDEL", key]).await, bytes);
            assert_eq!(say(&mut peer, &[b"HSET", key, value, value]).await, Reply::Number(1));
            assert_eq!(say(&mut peer, &[b"HGET", key, value]).await, bytes);
            let pair = [bytes.clone(), bytes.clone()];
            assert_eq!(parts(say(&mut peer, &[b"HGETALL", key]).await), pair);
            assert_eq!(say(&mut peer, &[b"DEL", key]).await, Reply::Number(1));
            assert_eq!(say(&mut peer, &[b"SADD", key, value]).await, Reply::Number(1));
            assert_eq!(
                parts(say(&mut peer, &[b"SMEMBERS", key]).await),
                std::slice::from_ref(&bytes)
            );
            let mut subscriber = Peer::connect(&node.address).await;
            subscriber.ask(protocol).await;
            say(&mut subscriber, &[b"SUBSCRIBE", value]).await;
            assert_eq!(say(&mut peer, &[b"PUBLISH", value, value]).await, Reply::Number(1));
            assert_eq!(parts(subscriber.reply().await)[1..], pair);
        }
    }
}
