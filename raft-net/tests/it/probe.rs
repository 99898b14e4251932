//! What the tests of the actors share: a node of the wire, and a probe that collects facts.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::BytesMut;
use raft_core::consensus::message::{Envelope, Message};
use raft_core::entry::FEATURE_LEVEL;
use raft_core::types::{Incarnation, Index, NodeId, Term};
use raft_net::Stop;
use raft_net::frame;
use raft_net::handshake::{ClusterSecret, Identity};
use raft_net::inquiry::Inquired;
use raft_net::listener::{ClientAccepted, DoorAccepted, Doors, Incoming, Listener, Port};
use raft_net::network::{Facts, Network, PeerConnected, PeerLost, Received, SetPeers, Transmit};
use raft_net::opens::Opens;
use raft_net::outbox::Writable;
use raft_net::preface::{Greeting, LinkClass, Nonce, Preface, Role, Welcome};
use raft_net::publication::{Heard, Publication};
use raft_net::stream::Transport;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

/// How long a test waits for what must happen.
const DEADLINE: Duration = Duration::from_secs(20);

/// Something that an actor reported.
pub(crate) enum Fact {
    Received(Vec<Envelope>),
    Connected(PeerConnected),
    Lost(PeerLost),
    Client(ClientAccepted),
    Door(DoorAccepted),
    Writable(Writable),
    Incoming(Incoming),
    Heard(Vec<Publication>),
    Inquired(Inquired),
}

/// Passes every fact on to a test.
pub(crate) struct Probe(UnboundedSender<Fact>);

impl Actor for Probe {
    type Context = Context<Self>;
}

macro_rules! passes_on {
    ($($message:ident: $fact:expr),*) => {$(
        impl Handler<$message> for Probe {
            type Result = ();

            fn handle(&mut self, message: $message, _: &mut Self::Context) {
                // A test that has seen enough is gone.
                let _ = self.0.send($fact(message));
            }
        }
    )*};
}

passes_on!(
    Received: |it: Received| Fact::Received(it.envelopes),
    PeerConnected: Fact::Connected,
    PeerLost: Fact::Lost,
    ClientAccepted: Fact::Client,
    DoorAccepted: Fact::Door,
    Writable: Fact::Writable,
    Incoming: Fact::Incoming,
    Heard: |it: Heard| Fact::Heard(it.publications),
    Inquired: Fact::Inquired
);

/// The test's end of a probe.
pub(crate) struct Seen(UnboundedReceiver<Fact>);

impl Seen {
    /// A probe and what it sees.
    pub(crate) fn new() -> (Addr<Probe>, Self) {
        let (to, seen) = unbounded_channel();
        (Probe(to).start(), Self(seen))
    }

    /// Waits for the first fact that `pick` wants; others are forgotten.
    pub(crate) async fn find<T>(&mut self, what: &str, pick: impl Fn(Fact) -> Option<T>) -> T {
        let search = async {
            loop {
                let fact = self.0.recv().await.expect("the probe lives");
                if let Some(found) = pick(fact) {
                    return found;
                }
            }
        };
        timeout(DEADLINE, search).await.unwrap_or_else(|_| panic!("no {what} in {DEADLINE:?}"))
    }

    pub(crate) async fn connected(&mut self) -> PeerConnected {
        let pick = |fact| if let Fact::Connected(it) = fact { Some(it) } else { None };
        self.find("PeerConnected", pick).await
    }

    pub(crate) async fn lost(&mut self) -> PeerLost {
        let pick = |fact| if let Fact::Lost(it) = fact { Some(it) } else { None };
        self.find("PeerLost", pick).await
    }

    pub(crate) async fn client(&mut self) -> ClientAccepted {
        let pick = |fact| if let Fact::Client(it) = fact { Some(it) } else { None };
        self.find("ClientAccepted", pick).await
    }

    pub(crate) async fn door(&mut self) -> DoorAccepted {
        let pick = |fact| if let Fact::Door(it) = fact { Some(it) } else { None };
        self.find("DoorAccepted", pick).await
    }

    pub(crate) async fn writable(&mut self) -> Writable {
        let pick = |fact| if let Fact::Writable(it) = fact { Some(it) } else { None };
        self.find("Writable", pick).await
    }

    pub(crate) async fn received(&mut self) -> Vec<Envelope> {
        let pick = |fact| if let Fact::Received(it) = fact { Some(it) } else { None };
        self.find("Received", pick).await
    }

    /// What is there already.
    pub(crate) fn try_next(&mut self) -> Option<Fact> {
        self.0.try_recv().ok()
    }
}

/// The actors of a node that have to do with the wire.
pub(crate) struct Node {
    pub(crate) identity: Arc<Identity>,
    pub(crate) network: Addr<Network>,
    pub(crate) listener: Addr<Listener>,
    pub(crate) seen: Seen,
}

impl Node {
    pub(crate) fn start(
        identity: Identity,
        transport: Transport,
        tcp: Option<TcpListener>,
    ) -> Self {
        let (identity, (probe, seen)) = (Arc::new(identity), Seen::new());
        let facts = Facts {
            received: probe.clone().recipient(),
            connected: probe.clone().recipient(),
            lost: probe.clone().recipient(),
            heard: probe.clone().recipient(),
            inquired: probe.clone().recipient(),
        };
        let network = Network::new(identity.clone(), transport, facts).start();
        let doors = Doors {
            peers: network.clone().recipient(),
            clients: probe.clone().recipient(),
            resp: probe.clone().recipient(),
            http: probe.clone().recipient(),
            strangers: probe.recipient(),
        };
        let ports = tcp.map(|tcp| Port { tcp, opens: Opens::ALL }).into_iter().collect();
        let listener = Listener::new(identity.clone(), ports, doors).start();
        Self { identity, network, listener, seen }
    }

    pub(crate) fn set_peers(&self, peers: &[(u64, &str)]) {
        let peers: BTreeMap<_, _> =
            peers.iter().map(|(number, address)| (node(*number), (*address).to_owned())).collect();
        self.network.do_send(SetPeers { peers });
    }

    pub(crate) fn stop(&self) {
        self.network.do_send(Stop);
        self.listener.do_send(Stop);
    }

    /// Sends heartbeats with this round until one arrives: links drop what comes too early.
    pub(crate) async fn say(&self, to: &mut Self, round: u64) {
        let envelope = heartbeat(&self.identity, to.identity.node_id, round);
        for _ in 0..2000 {
            let envelopes = vec![envelope.clone()];
            self.network.do_send(Transmit { envelopes, bulk: Vec::new() });
            tokio::time::sleep(Duration::from_millis(5)).await;
            while let Some(fact) = to.seen.try_next() {
                if matches!(&fact, Fact::Received(all) if all.contains(&envelope)) {
                    return;
                }
            }
        }
        panic!("n{} does not hear n{}", to.identity.node_id, self.identity.node_id);
    }
}

pub(crate) fn heartbeat(from: &Identity, to: NodeId, round: u64) -> Envelope {
    Envelope {
        from: from.node_id,
        incarnation: from.incarnation,
        to,
        term: Term(1),
        message: Message::Heartbeat { commit_index: Index(1), round, log_time: 0 },
    }
}

pub(crate) fn identity(number: u64, secret: Option<&str>) -> Identity {
    Identity {
        cluster_id: 77,
        node_id: node(number),
        incarnation: Incarnation(1000 + number),
        secret: secret.map(ClusterSecret::new),
        address: String::new(),
        feature_level: FEATURE_LEVEL,
    }
}

pub(crate) fn node(number: u64) -> NodeId {
    NodeId::new(number).unwrap()
}

/// Fails the test instead of letting it hang.
pub(crate) async fn soon<T: Debug>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("no {what} in {DEADLINE:?}"))
}

/// What the other end says first.
pub(crate) async fn greeting<S: AsyncRead + Unpin>(stream: &mut S) -> Greeting {
    Greeting::decode(&content(stream).await).unwrap()
}

/// The content of the next frame.
pub(crate) async fn content<S: AsyncRead + Unpin>(stream: &mut S) -> Vec<u8> {
    let length = soon("frame", stream.read_u32()).await.unwrap();
    let mut content = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut content).await.unwrap();
    content
}

/// Accepts a link as n2 would, with whatever proof, and says which one it is.
pub(crate) async fn accept_by_hand(listener: &TcpListener, proof: &[u8]) -> (LinkClass, TcpStream) {
    let (mut stream, _) = soon("link", listener.accept()).await.unwrap();
    let link = welcome_by_hand(&mut stream, proof).await;
    (link, stream)
}

/// Answers a preface as n2 would.
pub(crate) async fn welcome_by_hand<S>(stream: &mut S, proof: &[u8]) -> LinkClass
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let _magic = stream.read_u64().await.unwrap();
    let preface: Preface = frame::read(&content(stream).await).unwrap();
    let Role::Peer { link } = preface.role else { panic!("a client?") };
    let mut output = BytesMut::new();
    let welcome = Welcome {
        version: 1,
        cluster_id: 77,
        node_id: 2,
        incarnation: 1,
        nonce: Nonce::random(),
        proof: proof.to_vec(),
        channels: false,
        monitor: false,
    };
    Greeting::Welcome(welcome).encode(&mut output);
    stream.write_all(&output).await.unwrap();
    link
}
