//! Networks that find, lose and find each other.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix::{Actor, Addr};
use bytes::BytesMut;
use raft_core::consensus::message::{Envelope, Message};
use raft_core::types::Incarnation;
use raft_net::discovery::Discovery;
use raft_net::frame;
use raft_net::handshake::Identity;
use raft_net::listener::PeerAccepted;
use raft_net::network::{Network, Transmit};
use raft_net::peer_codec::{self, Ends};
use raft_net::preface::{Greeting, LinkClass, Nonce, Preface, Role, Why};
use raft_net::stream::{self, ByteStream, ReadHalf, Transport, WriteHalf};
use raft_net::switchboard::{Listen, Switchboard};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::probe::{
    Fact, Node, Seen, accept_by_hand, content, greeting, heartbeat, identity, node, soon,
    welcome_by_hand,
};

async fn tcp_node(number: u64, address: &str) -> (Node, String) {
    let listener = loop {
        // A listener that has just been stopped may hold its port for another turn.
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    let address = listener.local_addr().unwrap().to_string();
    (Node::start(identity(number, None), Transport::Tcp, Some(listener)), address)
}

async fn memory_node(switchboard: &Addr<Switchboard>, number: u64, address: &str) -> Node {
    let transport = Transport::Memory(switchboard.clone().recipient());
    let node = Node::start(identity(number, None), transport, None);
    let to = node.listener.clone().recipient();
    switchboard.send(Listen { address: address.to_owned(), to }).await.unwrap();
    node
}

/// What both transports must do: exchange, lose, find again.
async fn exchange_lose_and_find<R>(mut one: Node, mut two: Node, restart: R)
where
    R: AsyncFnOnce() -> Node,
{
    let first = one.seen.connected().await;
    assert_eq!(first.peer, node(2));
    assert_eq!(two.seen.connected().await.peer, node(1));
    one.say(&mut two, 10).await;
    two.say(&mut one, 20).await;

    two.stop();
    let lost = one.seen.lost().await;
    assert_eq!((lost.peer, lost.connection), (node(2), first.connection));

    let mut two = restart().await;
    let second = one.seen.connected().await;
    assert!(first.connection < second.connection, "numbers rise");
    one.say(&mut two, 30).await;
    two.say(&mut one, 40).await;
    one.stop();
    two.stop();
}

#[actix_rt::test]
async fn nodes_over_tcp_exchange_lose_and_find_each_other() {
    let (one, address_1) = tcp_node(1, "127.0.0.1:0").await;
    let (two, address_2) = tcp_node(2, "127.0.0.1:0").await;
    let (to_1, to_2) = ([(1, &*address_1)], [(1, &*address_1), (2, &*address_2)]);
    one.set_peers(&to_2);
    two.set_peers(&to_1);
    let restart = async || {
        let (two, _) = tcp_node(2, &address_2).await;
        two.set_peers(&to_1);
        two
    };
    exchange_lose_and_find(one, two, restart).await;
}

#[actix_rt::test]
async fn nodes_in_memory_exchange_lose_and_find_each_other() {
    let switchboard = Switchboard::default().start();
    let one = memory_node(&switchboard, 1, "one").await;
    let two = memory_node(&switchboard, 2, "two").await;
    one.set_peers(&[(2, "two")]);
    two.set_peers(&[(1, "one")]);
    let restart = async || {
        let two = memory_node(&switchboard, 2, "two").await;
        two.set_peers(&[(1, "one")]);
        two
    };
    exchange_lose_and_find(one, two, restart).await;
}

#[actix_rt::test]
async fn a_node_that_is_dialled_dials_back_at_once() {
    let switchboard = Switchboard::default().start();
    let mut one = memory_node(&switchboard, 1, "one").await;
    one.set_peers(&[(2, "two")]);
    // Nobody is at "two" for long: the pauses of n1 have grown to their longest.
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(60)).await;

    let mut two = memory_node(&switchboard, 2, "two").await;
    let before = tokio::time::Instant::now();
    two.set_peers(&[(1, "one")]);
    one.seen.connected().await;
    two.seen.connected().await;
    assert!(before.elapsed() < Duration::from_millis(50), "took {:?}", before.elapsed());
}

#[actix_rt::test]
async fn discovery_tells_the_network_whom_it_was_told() {
    let switchboard = Switchboard::default().start();
    let one = memory_node(&switchboard, 1, "one").await;
    let mut two = memory_node(&switchboard, 2, "two").await;
    let listed = [(node(1), "one".to_owned()), (node(2), "two".to_owned())].into();
    Discovery::of_list(listed, one.network.clone().recipient()).start();
    assert_eq!(two.seen.connected().await.peer, node(1));

    // A node that is left out of the list is let go, and its links end.
    one.set_peers(&[(1, "one")]);
    assert_eq!(two.seen.lost().await.peer, node(1));
}

/// How many attempts n1 makes in a simulated minute at an address where whoever answers
/// `welcomes` it or not, and then hangs up.
async fn attempts_in_a_minute(welcomes: bool) -> usize {
    let switchboard = Switchboard::default().start();
    let (probe, mut seen) = Seen::new();
    let (address, to) = ("two".to_owned(), probe.recipient());
    switchboard.send(Listen { address, to }).await.unwrap();
    let one = memory_node(&switchboard, 1, "one").await;
    one.set_peers(&[(2, "two")]);
    let mut attempts = 0;
    let count = async {
        loop {
            let pick = |fact| if let Fact::Incoming(it) = fact { Some(it) } else { None };
            let mut incoming = seen.find("Incoming", pick).await;
            attempts += 1;
            if welcomes {
                welcome_by_hand(&mut incoming.stream, b"").await;
            }
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(60), count).await.is_err());
    one.stop();
    attempts
}

#[actix_rt::test]
async fn a_link_that_cannot_stand_is_not_tried_in_a_spin() {
    tokio::time::pause();
    // Two links, each with a pause of at most a second and rarely less than half of one.
    for welcomes in [false, true] {
        let attempts = attempts_in_a_minute(welcomes).await;
        assert!((120..260).contains(&attempts), "{attempts} attempts, welcome: {welcomes}");
    }
}

#[actix_rt::test]
async fn control_and_bulk_arrive_in_order() {
    let switchboard = Switchboard::default().start();
    let one = memory_node(&switchboard, 1, "one").await;
    let mut two = memory_node(&switchboard, 2, "two").await;
    one.set_peers(&[(2, "two")]);
    one.say(&mut two, 1).await;
    // The control link stands; the bulk link is as old, but answers on its own.
    let batch = |from: u64| {
        (from..from + 5000).map(|round| heartbeat(&one.identity, node(2), round)).collect()
    };
    let mut bulk: Vec<u64> = Vec::new();
    while bulk.is_empty() {
        one.network.do_send(Transmit { envelopes: Vec::new(), bulk: batch(100_000) });
        tokio::time::sleep(Duration::from_millis(5)).await;
        while let Some(fact) = two.seen.try_next() {
            bulk.extend(rounds(fact).into_iter().filter(|round| 100_000 <= *round));
        }
    }
    one.network.do_send(Transmit { envelopes: batch(200_000), bulk: Vec::new() });
    let mut control: Vec<u64> = Vec::new();
    while control.len() < 5000 {
        let rounds = two.seen.received().await;
        let fact = Fact::Received(rounds);
        control.extend(self::rounds(fact).into_iter().filter(|round| 200_000 <= *round));
    }
    assert_eq!(control, (200_000..205_000).collect::<Vec<_>>());
    assert_eq!(bulk[0], 100_000);
}

fn rounds(fact: Fact) -> Vec<u64> {
    let Fact::Received(envelopes) = fact else { return Vec::new() };
    let round = |message: &Message| {
        if let Message::Heartbeat { round, .. } = message { *round } else { 0 }
    };
    envelopes.iter().map(|envelope| round(&envelope.message)).collect()
}

/// Opens a control link by hand, as `identity` to n1.
async fn open_by_hand(address: &str, identity: &Identity) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let preface = Preface {
        role: Role::Peer { link: LinkClass::Control },
        node_id: identity.node_id.number(),
        to: 1,
        incarnation: identity.incarnation.0,
        nonce: Nonce([1; 16]),
        ..Preface::client(identity.cluster_id)
    };
    let mut output = BytesMut::new();
    preface.open(&mut output);
    stream.write_all(&output).await.unwrap();
    assert!(matches!(greeting(&mut stream).await, Greeting::Welcome(_)));
    stream
}

/// Two nodes with one id: the one that is connected stays so, the other one is told why not.
#[actix_rt::test]
async fn a_second_node_with_a_peers_id_does_not_take_its_place() {
    let (mut one, address) = tcp_node(1, "127.0.0.1:0").await;
    let mut real = open_by_hand(&address, &identity(2, None)).await;
    let first = one.seen.connected().await;

    let rival = Identity { incarnation: Incarnation(5), ..identity(2, None) };
    let mut sent_away = open_by_hand(&address, &rival).await;
    let Greeting::Refused(refused) = greeting(&mut sent_away).await else { panic!("let in") };
    assert_eq!(refused.why, Why::TwoNodesWithOneId);
    assert!(refused.text.contains("n2 is connected to n1 already"), "{refused}");
    assert_eq!(sent_away.read(&mut [0]).await.unwrap(), 0, "and the link is closed");

    let mut output = BytesMut::new();
    let envelope = heartbeat(&identity(2, None), node(1), 7);
    peer_codec::put(&mut output, &envelope).unwrap();
    real.write_all(&output).await.unwrap();
    assert_eq!(one.seen.received().await, [envelope]);

    // A newer link from the same directory takes the place of the older one.
    let _newer = open_by_hand(&address, &identity(2, None)).await;
    assert!(first.connection < one.seen.connected().await.connection);
    one.stop();
}

/// A node that was away does not know who has joined meanwhile, and is to answer all the same.
#[actix_rt::test]
async fn a_stranger_who_calls_is_called_back_until_it_is_gone() {
    let (mut one, at_one) = tcp_node(1, "127.0.0.1:0").await;
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap().to_string();
    let stranger = Identity { address, ..identity(2, None) };
    let mut two = Node::start(stranger, Transport::Tcp, Some(tcp));
    two.set_peers(&[(1, &at_one)]);
    assert_eq!(one.seen.connected().await.peer, node(2));
    assert_eq!(two.seen.connected().await.peer, node(1), "n1 has called back");
    one.say(&mut two, 10).await;
    // A list without it does not end the link, as long as it calls.
    one.set_peers(&[]);
    one.say(&mut two, 20).await;
    two.set_peers(&[]);
    assert_eq!(one.seen.lost().await.peer, node(2));
    assert_eq!(two.seen.lost().await.peer, node(1), "and n1 has hung up too");
    one.stop();
    two.stop();
}

#[actix_rt::test]
async fn a_prepared_stream_does_not_wait_for_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    stream::prepare(&stream).unwrap();
    assert!(stream.nodelay().unwrap());
}

#[actix_rt::test]
async fn a_newer_link_supersedes_an_older_one_without_a_loss() {
    let (mut one, address) = tcp_node(1, "127.0.0.1:0").await;
    let peer = identity(2, None);
    let mut older = open_by_hand(&address, &peer).await;
    let first = one.seen.connected().await;
    let newer = open_by_hand(&address, &peer).await;
    let second = one.seen.connected().await;
    assert!(first.connection < second.connection);

    // The older one is closed by the node; its end is no loss of the newer one.
    assert!(matches!(soon("end", older.read(&mut [0])).await, Ok(0) | Err(_)));
    drop(older);
    drop(newer);
    let lost = one.seen.lost().await;
    assert_eq!(lost.connection, second.connection);
    assert!(one.seen.try_next().is_none(), "one loss only");
}

/// A stream that ends, and before it says so a newer link of the same peer is accepted.
struct EndsLate {
    network: Addr<Network>,
    newer: Option<PeerAccepted>,
}

impl AsyncRead for EndsLate {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(newer) = self.newer.take() {
            self.network.do_send(newer);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for EndsLate {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        unreachable!("nothing is written to a link that a peer opened")
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl ByteStream for EndsLate {
    fn split(self: Box<Self>) -> (ReadHalf, WriteHalf) {
        unreachable!("nothing is written to a link that a peer opened")
    }
}

/// The end of the older link is reported behind the newer one: it must change nothing.
#[actix_rt::test]
async fn a_late_end_of_an_older_link_is_no_loss_of_the_newer() {
    let (mut one, _) = tcp_node(1, "127.0.0.1:0").await;
    let peer = identity(2, None);
    let ends = Ends { from: node(2), incarnation: peer.incarnation, to: node(1) };
    let accepted = |stream: Box<dyn ByteStream>| PeerAccepted {
        address: String::new(),
        feature_level: 1,
        ends,
        link: LinkClass::Control,
        stream,
        read: BytesMut::new(),
        from: "here".to_owned(),
    };
    let (ours, theirs) = tokio::io::duplex(1000);
    let newer = Some(accepted(Box::new(theirs)));
    let older = EndsLate { network: one.network.clone(), newer };
    one.network.do_send(accepted(Box::new(older)));
    one.seen.connected().await;
    let newer = one.seen.connected().await;
    // Long after the older one's end, the newer one still works and ends under its own number.
    drop(ours);
    let lost = one.seen.lost().await;
    assert_eq!(lost.connection, newer.connection);
}

#[actix_rt::test]
async fn split_frames_are_joined_and_bad_ones_end_the_link() {
    let (mut one, address) = tcp_node(1, "127.0.0.1:0").await;
    let peer = identity(2, None);
    let mut good = BytesMut::new();
    let envelope = heartbeat(&peer, node(1), 5);
    peer_codec::put(&mut good, &envelope).unwrap();

    let mut misaddressed = BytesMut::new();
    let stranger = heartbeat(&identity(3, None), node(1), 5);
    peer_codec::put(&mut misaddressed, &stranger).unwrap();
    let mut text = BytesMut::new();
    frame::put(&mut text, 100, &"hello").unwrap();
    let oversized = u32::MAX.to_be_bytes();

    for bad in [&misaddressed[..], &text[..], &oversized[..], b"\0\0\0\x05\xc1\xc1\xc1\xc1\xc1"] {
        let mut stream = open_by_hand(&address, &peer).await;
        let connection = one.seen.connected().await.connection;
        for byte in &good {
            stream.write_all(&[*byte]).await.unwrap();
        }
        assert_eq!(one.seen.received().await, std::slice::from_ref(&envelope));
        // What stands before a bad frame still counts.
        stream.write_all(&[&good, bad].concat()).await.unwrap();
        assert_eq!(one.seen.received().await, std::slice::from_ref(&envelope));
        assert_eq!(one.seen.lost().await.connection, connection);
    }
}

#[actix_rt::test]
async fn a_peer_that_reads_nothing_costs_no_more_than_its_outbox() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (one, _) = tcp_node(1, "127.0.0.1:0").await;
    one.set_peers(&[(2, &address)]);
    let mut held = [accept_by_hand(&listener, b"").await, accept_by_hand(&listener, b"").await];
    held.sort_by_key(|(link, _)| *link);
    let (LinkClass::Control, stream) = &mut held[0] else { panic!("no control link") };

    // What the kernel and the outbox hold arrives; the rest was dropped, in whole frames.
    let ends = Ends { from: node(1), incarnation: one.identity.incarnation, to: node(2) };
    let heartbeat = heartbeat(&one.identity, node(2), 1);
    let commands = vec![7; 1 << 20].into();
    let megabyte = Envelope { message: Message::Forward { commands }, ..heartbeat.clone() };
    let send = async |envelope: &Envelope| {
        let transmit = Transmit { envelopes: vec![envelope.clone()], bulk: Vec::new() };
        one.network.send(transmit).await.unwrap();
    };
    // The link stands from the first heartbeat that arrives.
    while soon("heartbeat", async {
        send(&heartbeat).await;
        tokio::time::timeout(Duration::from_millis(5), stream.readable()).await.is_err()
    })
    .await
    {}
    for _ in 0..64 {
        send(&megabyte).await;
    }
    let mut arrived = 0;
    loop {
        let envelope = peer_codec::read(&content(stream).await, &ends).unwrap();
        match envelope.message {
            Message::Forward { .. } => arrived += 1,
            _ if arrived == 0 => continue,
            _ => break,
        }
        send(&heartbeat).await;
    }
    assert!((8..40).contains(&arrived), "{arrived} of 64 arrived");
}
