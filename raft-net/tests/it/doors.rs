//! New connections: clients, strangers, and those that say nothing.

use std::time::Duration;

use actix::prelude::*;
use bytes::BytesMut;
use raft_core::entry::ClientId;
use raft_net::client_protocol::{Hello, Op, Request};
use raft_net::frame::{CLIENT_FRAME_BYTES_MAX, Frames};
use raft_net::handshake::open_as_client;
use raft_net::listener::{UNDECIDED_DEADLINE, UNDECIDED_MAX};
use raft_net::preface::{Greeting, MAGIC};
use raft_net::sniff::Sniffed;
use raft_net::stream::{ByteStream, Transport};
use raft_net::switchboard::{Listen, Switchboard};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::probe::{Node, identity, soon};

async fn door() -> (Node, Transport) {
    let switchboard = Switchboard::default().start();
    let transport = Transport::Memory(switchboard.clone().recipient());
    let node = Node::start(identity(1, None), transport.clone(), None);
    let to = node.listener.clone().recipient();
    switchboard.send(Listen { address: "door".to_owned(), to }).await.unwrap();
    (node, transport)
}

async fn knock(transport: &Transport, says: &[u8]) -> Box<dyn ByteStream> {
    let mut stream = transport.connect("door").await.unwrap();
    stream.write_all(says).await.unwrap();
    stream
}

/// Everything that comes until the other end closes.
async fn answer(stream: &mut Box<dyn ByteStream>) -> Vec<u8> {
    let mut answer = Vec::new();
    soon("end", stream.read_to_end(&mut answer)).await.unwrap();
    answer
}

#[actix_rt::test]
async fn a_client_is_handed_over_with_what_it_has_said() {
    let (mut node, transport) = door().await;
    let mut stream = transport.connect("door").await.unwrap();
    let client = ClientId { issued_at: 4, random: 5 };
    let serve = async {
        let mut accepted = node.seen.client().await;
        assert_eq!((accepted.version, accepted.preface.cluster_id), (1, 77));
        let hello = Hello { version: 1, cluster_id: 77, node_id: 1, client, leader: None };
        let mut output = BytesMut::new();
        Greeting::Hello(hello).encode(&mut output);
        accepted.stream.write_all(&output).await.unwrap();
        accepted
    };
    let (opened, mut accepted) = tokio::join!(open_as_client(&mut stream, 77), serve);
    let (hello, read) = opened.unwrap();
    assert_eq!((hello.client, read.len()), (client, 0));

    let mut output = BytesMut::new();
    Request { id: 9, op: Op::Status }.encode(&mut output).unwrap();
    stream.write_all(&output).await.unwrap();
    let mut frames = Frames::new(CLIENT_FRAME_BYTES_MAX);
    let frame = loop {
        match frames.next(&mut accepted.read).unwrap() {
            Some(frame) => break frame,
            None => assert_ne!(accepted.stream.read_buf(&mut accepted.read).await.unwrap(), 0),
        }
    };
    assert_eq!(Request::decode(&frame).unwrap().id, 9);
}

#[actix_rt::test]
async fn other_protocols_are_handed_over_with_all_that_was_read() {
    let (mut node, transport) = door().await;
    let table: [(&[u8], Sniffed); 4] = [
        (b"PING\r\n", Sniffed::Resp),
        (b"*1\r\n$4\r\nPING\r\n", Sniffed::Resp),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", Sniffed::Http),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Sniffed::Http2),
    ];
    for (says, expected) in table {
        let mut stream = knock(&transport, says).await;
        let mut accepted = node.seen.door().await;
        assert_eq!((accepted.speaks, &accepted.read[..]), (expected, says));
        accepted.stream.write_all(b"heard").await.unwrap();
        drop(accepted);
        assert_eq!(answer(&mut stream).await, b"heard");
    }
}

#[actix_rt::test]
async fn what_nobody_speaks_is_closed() {
    let (mut node, transport) = door().await;
    for says in [&b"\x16\x03\x01\x02\x00"[..], b"\xde\xad\xbe\xef"] {
        assert!(answer(&mut knock(&transport, says).await).await.is_empty());
    }
    assert!(node.seen.try_next().is_none());
}

#[actix_rt::test]
async fn garbage_behind_the_magic_is_refused() {
    let (mut node, transport) = door().await;
    let text = [&MAGIC[..], b"\0\0\0\x06\xa5hello"].concat();
    let heard = answer(&mut knock(&transport, &text).await).await;
    let Ok(Greeting::Refused(refused)) = Greeting::decode(&heard[4..]) else { panic!("let in") };
    assert!(refused.text.contains("not the expected MessagePack"), "{}", refused.text);

    // Above 4 KiB nobody is listened to before the preface, so there is no answer either.
    let long = [&MAGIC[..], &4097_u32.to_be_bytes()].concat();
    assert!(answer(&mut knock(&transport, &long).await).await.is_empty());
    assert!(node.seen.try_next().is_none());
}

#[actix_rt::test]
async fn who_says_nothing_is_dropped_at_the_deadline() {
    let (_node, transport) = door().await;
    tokio::time::pause();
    for says in [&b""[..], b"\0kvo", b"\0kvorum\n\0\0", b"PIN"] {
        let (mut stream, before) = (knock(&transport, says).await, Instant::now());
        assert!(answer(&mut stream).await.is_empty());
        let waited = before.elapsed();
        let late = UNDECIDED_DEADLINE + Duration::from_millis(10);
        assert!((UNDECIDED_DEADLINE..late).contains(&waited), "after {waited:?}");
    }
}

#[actix_rt::test]
async fn the_oldest_undecided_connection_makes_way() {
    let (_node, transport) = door().await;
    tokio::time::pause();
    let before = Instant::now();
    let mut waiting = Vec::new();
    for _ in 0..=UNDECIDED_MAX {
        waiting.push(knock(&transport, b"").await);
    }
    assert!(answer(&mut waiting[0]).await.is_empty());
    assert!(before.elapsed() < Duration::from_secs(1), "it was not the deadline that ended it");
    assert!(answer(&mut waiting[1]).await.is_empty());
    assert!(UNDECIDED_DEADLINE <= before.elapsed(), "the second oldest may stay");
}

#[actix_rt::test]
async fn a_refusal_over_tcp_arrives_although_more_was_said() {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let _node = Node::start(identity(1, None), Transport::Tcp, Some(tcp));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&[&MAGIC[..], b"\0\0\0\x06\xa5hello"].concat()).await.unwrap();
    stream.write_all(&[b'x'; 100_000]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    soon("answer", stream.read_to_end(&mut answer)).await.unwrap();
    assert!(matches!(Greeting::decode(&answer[4..]), Ok(Greeting::Refused(_))));
}
