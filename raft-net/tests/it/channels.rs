//! Messages on channels over links: in order, to whoever takes them, never at another's cost.

use std::time::Duration;

use actix::Actor;
use bytes::Bytes;
use raft_core::consensus::message::Envelope;
use raft_net::inquiry::{Inquire, Inquiry};
use raft_net::network::Transmit;
use raft_net::peer_codec::{self, Ends};
use raft_net::preface::{Greeting, LinkClass, Nonce, Preface, Welcome};
use raft_net::publication::{Publication, Spread};
use raft_net::stream::Transport;
use raft_net::switchboard::{Listen, Switchboard};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::probe::{Fact, Node, content, heartbeat, identity, node, soon};

fn said(number: usize, bytes: usize) -> Publication {
    let mut message = format!("{number:08}").into_bytes();
    message.resize(bytes, b' ');
    Publication { channel: Bytes::from_static(b"news"), message: message.into() }
}

#[actix_rt::test]
async fn what_is_said_on_channels_arrives_in_its_order() {
    let switchboard = Switchboard::default().start();
    let mut nodes = Vec::new();
    for (number, address) in [(1, "one"), (2, "two")] {
        let transport = Transport::Memory(switchboard.clone().recipient());
        let node = Node::start(identity(number, None), transport, None);
        let to = node.listener.clone().recipient();
        switchboard.send(Listen { address: address.to_owned(), to }).await.unwrap();
        node.set_peers(&[(1, "one"), (2, "two")]);
        nodes.push(node);
    }
    let [one, two] = &mut nodes[..] else { unreachable!() };
    let mut numbers: Vec<usize> = Vec::new();
    let mut next = 0;
    // What is said before the link stands is lost, and from then on nothing.
    while numbers.len() < 3_000 {
        let publications = (next..next + 100).map(|number| said(number, 300)).collect();
        next += 100;
        one.network.do_send(Spread { publications });
        tokio::time::sleep(Duration::from_millis(1)).await;
        while let Some(fact) = two.seen.try_next() {
            let Fact::Heard(publications) = fact else { continue };
            let number = |it: &Publication| {
                str::from_utf8(&it.message[..8]).unwrap().parse::<usize>().unwrap()
            };
            numbers.extend(publications.iter().map(number));
        }
    }
    let first = numbers[0];
    assert_eq!(numbers, (first..first + numbers.len()).collect::<Vec<_>>());
}

#[actix_rt::test]
async fn a_question_to_a_peer_is_heard_and_answered() {
    let switchboard = Switchboard::default().start();
    let mut nodes = Vec::new();
    for (number, address) in [(1, "one"), (2, "two")] {
        let transport = Transport::Memory(switchboard.clone().recipient());
        let node = Node::start(identity(number, None), transport, None);
        let to = node.listener.clone().recipient();
        switchboard.send(Listen { address: address.to_owned(), to }).await.unwrap();
        node.set_peers(&[(1, "one"), (2, "two")]);
        nodes.push(node);
    }
    let question = Inquiry::Question(7, Box::default());
    let answer = Inquiry::Answer(7, Box::default());
    for (asking, asked, inquiry) in [(0, 1, question), (1, 0, answer)] {
        let to = if asked == 0 { node(1) } else { node(2) };
        // What is said before the link stands is lost.
        let heard = loop {
            nodes[asking].network.do_send(Inquire { to, inquiry: inquiry.clone() });
            tokio::time::sleep(Duration::from_millis(1)).await;
            let seen = &mut nodes[asked].seen;
            let heard = std::iter::from_fn(|| seen.try_next()).find_map(|fact| match fact {
                // Not the word that a question of its own could not be sent.
                Fact::Inquired(heard) if heard.inquiry == inquiry => Some(heard),
                _ => None,
            });
            if let Some(heard) = heard {
                break heard;
            }
        };
        assert_eq!(heard.inquiry, inquiry);
        assert_ne!(heard.from, to);
    }
}

/// The bulk link of a peer that is played by hand, with n1 at its other end.
async fn bulk_link(listener: &TcpListener, channels: bool) -> (TcpStream, TcpStream) {
    let (mut bulk, mut control) = (None, None);
    while bulk.is_none() || control.is_none() {
        let (mut stream, _) = soon("link", listener.accept()).await.unwrap();
        let mut magic = [0; 8];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut magic).await.unwrap();
        let preface: Preface = raft_net::frame::read(&content(&mut stream).await).unwrap();
        let mut output = bytes::BytesMut::new();
        Greeting::Welcome(Welcome {
            version: 1,
            cluster_id: 77,
            node_id: 2,
            incarnation: 1,
            nonce: Nonce::random(),
            proof: Vec::new(),
            channels,
            monitor: false,
        })
        .encode(&mut output);
        stream.write_all(&output).await.unwrap();
        let is_bulk =
            matches!(preface.role, raft_net::preface::Role::Peer { link: LinkClass::Bulk });
        *if is_bulk { &mut bulk } else { &mut control } = Some(stream);
    }
    (bulk.unwrap(), control.unwrap())
}

/// Says things to n2 until something of it arrives.
async fn until_heard(one: &Node, stream: &TcpStream, say: impl AsyncFn(&Node)) {
    while soon("something", async {
        say(one).await;
        tokio::time::timeout(Duration::from_millis(5), stream.peek(&mut [0])).await.is_err()
    })
    .await
    {}
}

#[actix_rt::test]
async fn a_program_that_does_not_know_channels_is_told_nothing_of_them() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let one = Node::start(identity(1, None), Transport::Tcp, None);
    one.set_peers(&[(2, &address)]);
    let (mut stream, _control) = bulk_link(&listener, false).await;
    let ends = Ends { from: node(1), incarnation: one.identity.incarnation, to: node(2) };
    let envelope = heartbeat(&one.identity, node(2), 9);
    until_heard(&one, &stream, async |one| {
        one.network.do_send(Spread { publications: vec![said(1, 10)] });
        let bulk: Vec<Envelope> = vec![envelope.clone()];
        one.network.send(Transmit { envelopes: Vec::new(), bulk }).await.unwrap();
    })
    .await;
    let first = content(&mut stream).await;
    assert_eq!(peer_codec::read(&first, &ends).unwrap(), envelope);
}

#[actix_rt::test]
async fn a_peer_that_reads_no_channels_costs_no_more_than_a_part_of_its_outbox() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let one = Node::start(identity(1, None), Transport::Tcp, None);
    one.set_peers(&[(2, &address)]);
    let (mut stream, _control) = bulk_link(&listener, true).await;
    until_heard(&one, &stream, async |one| {
        one.network.send(Spread { publications: vec![said(0, 10)] }).await.unwrap();
    })
    .await;
    for number in 1..=64 {
        let publications = vec![said(number, 1 << 20)];
        one.network.send(Spread { publications }).await.unwrap();
    }
    // What Raft says still fits behind it.
    let envelope = heartbeat(&one.identity, node(2), 9);
    let bulk = vec![envelope];
    one.network.send(Transmit { envelopes: Vec::new(), bulk }).await.unwrap();
    let mut arrived = 0;
    loop {
        let content = content(&mut stream).await;
        match content[0] {
            0x81 => arrived += usize::from(1 << 20 < content.len()),
            _ => break,
        }
    }
    assert!((8..40).contains(&arrived), "{arrived} of 64 arrived");
}
