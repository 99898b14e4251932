//! Listener: finds out what a new connection speaks and hands it to whom it concerns.
//!
//! Commands: `Stop`.  Facts taken: `Incoming` (accept loop, Switchboard).
//! Facts given: `PeerAccepted` (to Network), `ClientAccepted` (to Api), `DoorAccepted` (to the
//! door that the connection knocks at).
//! Limits: `UNDECIDED_MAX` connections that have not said yet who they are; beyond it the
//! oldest is closed. Each has `UNDECIDED_DEADLINE` to say it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::BytesMut;
use raft_core::entry::FEATURE_LEVEL_MIN;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use crate::frame::{self, FrameError};
use crate::handshake::{self, HandshakeError, Identity};
use crate::opens::{Door, Opens};
use crate::peer_codec::Ends;
use crate::preface::{Greeting, LinkClass, MAGIC, Preface, Refused, Role, Why};
use crate::sniff::{Sniffed, sniff};
use crate::stream::{self, ByteStream, end_gently};
use crate::task::{Stop, Task};

/// How many connections may be undecided at a time; the oldest makes way.
pub const UNDECIDED_MAX: usize = 256;

/// How long a connection may take to say who it is and, if a peer, to prove it.
pub const UNDECIDED_DEADLINE: Duration = Duration::from_secs(5);

/// How long the accept loop rests when the system has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Brings a connection that somebody opened to this node.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Incoming {
    /// The connection.
    pub stream: Box<dyn ByteStream>,
    /// Where it comes from, for the log.
    pub from: String,
    /// What the port speaks at which it came in.
    pub opens: Opens,
}

/// Says that a peer has opened a link to this node and passed the handshake.
#[derive(Message)]
#[rtype(result = "()")]
pub struct PeerAccepted {
    /// Whose envelopes may come.
    pub ends: Ends,
    /// Which of the peer's links it is.
    pub link: LinkClass,
    /// Where the peer says that it is reached; empty if it did not say.
    pub address: String,
    /// The highest feature level that the peer applies.
    pub feature_level: u16,
    /// The connection.
    pub stream: Box<dyn ByteStream>,
    /// What has been read behind the handshake.
    pub read: BytesMut,
    /// Where it comes from, for the log.
    pub from: String,
}

/// Says that a client has sent a preface that can be served; it waits for its hello.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ClientAccepted {
    /// The version for the hello.
    pub version: u16,
    /// What the client said.
    pub preface: Preface,
    /// The connection.
    pub stream: Box<dyn ByteStream>,
    /// What has been read behind the preface: requests may be among it.
    pub read: BytesMut,
    /// Where it comes from, for the log.
    pub from: String,
}

/// Says that a connection speaks another protocol than the native one.
#[derive(Message)]
#[rtype(result = "()")]
pub struct DoorAccepted {
    /// Which one: `Resp`, `Http` or `Http2`.
    pub speaks: Sniffed,
    /// The connection.
    pub stream: Box<dyn ByteStream>,
    /// All that has been read, from its first byte.
    pub read: BytesMut,
    /// Where it comes from, for the log.
    pub from: String,
    /// What the port speaks at which it came in: at least one of the doors that speak so, unless
    /// it is to be turned away.
    pub opens: Opens,
}

/// Who takes connections when it is known what they speak.
#[derive(Clone, Debug)]
pub struct Doors {
    /// Links of peers.
    pub peers: Recipient<PeerAccepted>,
    /// Clients of the native protocol.
    pub clients: Recipient<ClientAccepted>,
    /// Redis clients.
    pub resp: Recipient<DoorAccepted>,
    /// Clients of HTTP/1 and HTTP/2.
    pub http: Recipient<DoorAccepted>,
    /// Those who came to a port that does not speak their protocol.
    pub strangers: Recipient<DoorAccepted>,
}

/// A port to accept connections at.
#[derive(Debug)]
pub struct Port {
    /// The socket.
    pub tcp: TcpListener,
    /// What is spoken there.
    pub opens: Opens,
}

/// The actor.
#[derive(Debug)]
pub struct Listener {
    ports: Vec<Port>,
    accept_loops: Vec<Task>,
    undecided: VecDeque<Task>,
    desk: Desk,
}

impl Listener {
    /// Will sort what comes. It accepts at `ports`; without any, `Incoming` comes from elsewhere.
    #[must_use]
    pub fn new(identity: Arc<Identity>, ports: Vec<Port>, doors: Doors) -> Self {
        let desk = Desk { identity, doors };
        Self { ports, accept_loops: Vec::new(), undecided: VecDeque::new(), desk }
    }

    fn make_room(&mut self) {
        if self.undecided.len() < UNDECIDED_MAX {
            return;
        }
        self.undecided.retain(|task| !task.is_finished());
        if self.undecided.len() == UNDECIDED_MAX {
            self.undecided.pop_front();
            debug!(
                "closed the oldest of {UNDECIDED_MAX} connections that did not say who they are"
            );
        }
    }
}

impl Actor for Listener {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let to: Recipient<Incoming> = ctx.address().recipient();
        let ports = self.ports.drain(..);
        self.accept_loops = ports.map(|port| Task::spawn(accept(port, to.clone()))).collect();
    }
}

impl Handler<Incoming> for Listener {
    type Result = ();

    fn handle(&mut self, fact: Incoming, _: &mut Self::Context) {
        self.make_room();
        self.undecided.push_back(Task::spawn(self.desk.clone().sort(fact)));
    }
}

impl Handler<Stop> for Listener {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

async fn accept(Port { tcp, opens }: Port, to: Recipient<Incoming>) {
    let mut is_failing = false;
    loop {
        match tcp.accept().await {
            Ok((stream, from)) => {
                is_failing = false;
                // A connection that ended before it was looked at concerns nobody.
                if stream::prepare(&stream).is_ok() {
                    let from = from.to_string();
                    to.do_send(Incoming { stream: Box::new(stream), from, opens });
                }
            }
            Err(error) => {
                if !is_failing {
                    warn!("cannot accept connections: {error}; raise the limit of open files");
                }
                is_failing = true;
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What a task needs to sort one connection.
#[derive(Clone, Debug)]
struct Desk {
    identity: Arc<Identity>,
    doors: Doors,
}

impl Desk {
    async fn sort(self, incoming: Incoming) {
        let Incoming { mut stream, from, opens } = incoming;
        let mut read = BytesMut::with_capacity(1024);
        let decided = self.decide(&mut stream, &mut read, (&from, opens));
        match timeout(UNDECIDED_DEADLINE, decided).await {
            Ok(Some(Decided::Peer { ends, link, preface })) => {
                let Preface { address, feature_level, .. } = preface;
                let feature_level = feature_level.max(FEATURE_LEVEL_MIN);
                let peer = PeerAccepted { ends, link, address, feature_level, stream, read, from };
                self.doors.peers.do_send(peer);
            }
            Ok(Some(Decided::Client { version, preface })) => {
                let accepted = ClientAccepted { version, preface, stream, read, from };
                self.doors.clients.do_send(accepted);
            }
            Ok(Some(Decided::Other(speaks))) => {
                let doors = &self.doors;
                let door = match speaks {
                    Sniffed::Resp if opens.has(Door::Resp) => &doors.resp,
                    Sniffed::Resp => &doors.strangers,
                    _ if opens.has(Door::Etcd) || opens.has(Door::Http) => &doors.http,
                    _ => &doors.strangers,
                };
                door.do_send(DoorAccepted { speaks, stream, read, from, opens });
            }
            Ok(None) => (),
            Err(_) => {
                let seconds = UNDECIDED_DEADLINE.as_secs();
                debug!("closed a connection from {from}: it did not say who it is in {seconds} s");
            }
        }
    }

    async fn decide(
        &self,
        stream: &mut Box<dyn ByteStream>,
        read: &mut BytesMut,
        (from, opens): (&str, Opens),
    ) -> Option<Decided> {
        let sniffed = loop {
            match sniff(read) {
                Sniffed::MoreNeeded => (),
                sniffed => break sniffed,
            }
            if !matches!(stream.read_buf(read).await, Ok(1..)) {
                debug!("a connection from {from} ended before it said who it is");
                return None;
            }
        };
        match sniffed {
            Sniffed::Native => (),
            Sniffed::Resp | Sniffed::Http | Sniffed::Http2 => {
                return Some(Decided::Other(sniffed));
            }
            Sniffed::Tls | Sniffed::Unknown | Sniffed::MoreNeeded => {
                let is_tls = sniffed == Sniffed::Tls;
                let name = if is_tls { "TLS" } else { "an unknown protocol" };
                debug!("closed a connection from {from}: it speaks {name}");
                end_gently(stream).await;
                return None;
            }
        }
        let _magic = read.split_to(MAGIC.len());
        match self.shake_hands(stream, read, opens).await {
            Ok(decided) => Some(decided),
            Err(HandshakeError::Refuses(refused)) => {
                warn!("refused a connection from {from}: {refused}");
                None
            }
            Err(error) => {
                info!("dropped a connection from {from}: {error}");
                None
            }
        }
    }

    async fn shake_hands(
        &self,
        stream: &mut Box<dyn ByteStream>,
        read: &mut BytesMut,
        opens: Opens,
    ) -> Result<Decided, HandshakeError> {
        let content = handshake::read_frame(stream, read).await?;
        let judged = frame::read(&content)
            .map_err(|error: FrameError| Refused { why: Why::Malformed, text: error.to_string() })
            .and_then(|preface: Preface| {
                check_role(preface.role, opens)?;
                Ok((handshake::judge(&self.identity, &preface)?, preface))
            });
        let (version, preface): (u16, Preface) = match judged {
            Ok(judged) => judged,
            Err(refused) => {
                handshake::send(stream, &Greeting::Refused(refused.clone())).await?;
                end_gently(stream).await;
                return Err(HandshakeError::Refuses(refused));
            }
        };
        match preface.role {
            Role::Client => Ok(Decided::Client { version, preface }),
            Role::Peer { link } => {
                handshake::welcome(stream, read, &self.identity, &preface, version).await?;
                let ends = handshake::ends(&self.identity, &preface);
                Ok(Decided::Peer { ends, link, preface })
            }
        }
    }
}

/// Whether a port takes who comes.
fn check_role(role: Role, opens: Opens) -> Result<(), Refused> {
    let (door, who) = match role {
        Role::Client => (Door::Native, "clients of the native protocol"),
        Role::Peer { .. } => (Door::Peers, "other nodes"),
    };
    if opens.has(door) {
        return Ok(());
    }
    let text = format!("this port does not take {who}; another one of the node does");
    Err(Refused { why: Why::NotAccepting, text })
}

enum Decided {
    Peer { ends: Ends, link: LinkClass, preface: Preface },
    Client { version: u16, preface: Preface },
    Other(Sniffed),
}
