//! Network: the only owner of this node's links to its peers.
//!
//! Commands: `Transmit`, `Spread`, `Inquire`, `SetPeers`, `Stop`.  Facts taken: `PeersFound`
//! (Discovery), `PeerAccepted` (Listener), and of its own tasks `LinkMoved`, `InboundEnded`,
//! `Writable`.
//! Facts given: `Received`, `Heard`, `Inquired`, `PeerConnected`, `PeerLost`.
//! Limits: per link `CONTROL_OUTBOX_BYTES_MAX` or `BULK_OUTBOX_BYTES_MAX`, beyond which
//! messages are dropped, and `CHANNELS_OUTBOX_BYTES_MAX` for what was said on channels;
//! `INBOUND_LINKS_MAX` links of peers, beyond which new ones are closed.
//! A newer link of a peer takes the place of the older one, unless it comes from another data
//! directory.
//! A peer that is not on the list and calls is called back where it says that it is reached: a
//! node that was away cannot know who has joined and leads meanwhile, and whoever was removed
//! is to be told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use raft_core::configuration::ADDRESS_BYTES_MAX;
use raft_core::consensus::message::Envelope;
use raft_core::types::{Incarnation, NodeId};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::discovery::PeersFound;
use crate::handshake::{self, Identity};
use crate::inquiry::{self, Inquire, Inquired, Inquiry};
use crate::link::{Link, LinkMoved, Surroundings, Target};
use crate::listener::PeerAccepted;
use crate::outbox::Writable;
use crate::preface::{Greeting, LinkClass, Refused, Why};
use crate::publication::{self, Heard, Spread};
use crate::reader::{End, read_envelopes};
use crate::stream::{ByteStream, Transport};
use crate::task::{Stop, Task};

/// How many links other nodes may hold to this one.
pub const INBOUND_LINKS_MAX: usize = 256;

/// How long saying why a link is closed may take.
const FAREWELL_DEADLINE: Duration = Duration::from_secs(1);

/// Sends messages to their receivers, as far as they can be reached now.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Transmit {
    /// What must not wait, in this order per receiver.
    pub envelopes: Vec<Envelope>,
    /// What may take long, in this order per receiver.
    pub bulk: Vec<Envelope>,
}

/// Replaces the list of nodes to be connected to. Links that stay the same stay up.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct SetPeers {
    /// Every node with its address; this node itself may be among them and is left out.
    pub peers: BTreeMap<NodeId, String>,
}

/// Reports what one read of one connection brought.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Received {
    /// At least one, in the order in which their sender wrote them.
    pub envelopes: Vec<Envelope>,
}

/// Reports that the control link from this peer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct PeerConnected {
    /// The peer.
    pub peer: NodeId,
    /// The number of the connection, above every earlier one of this node.
    pub connection: u64,
}

/// Reports that the control link from this peer has ended and no newer one stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct PeerLost {
    /// The peer.
    pub peer: NodeId,
    /// The number that `PeerConnected` gave.
    pub connection: u64,
}

/// Where the facts go.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Takes what peers say.
    pub received: Recipient<Received>,
    /// Takes the news that a peer is there.
    pub connected: Recipient<PeerConnected>,
    /// Takes the news that a peer is gone.
    pub lost: Recipient<PeerLost>,
    /// Takes what was said on channels elsewhere.
    pub heard: Recipient<Heard>,
    /// Takes what peers ask about this node, and answer about themselves.
    pub inquired: Recipient<Inquired>,
}

/// The actor.
pub struct Network {
    identity: Arc<Identity>,
    transport: Transport,
    facts: Facts,
    links: BTreeMap<(NodeId, LinkClass), Link>,
    inbound: BTreeMap<(NodeId, LinkClass), Inbound>,
    /// The nodes to be connected to, this one left out.
    peers: BTreeMap<NodeId, String>,
    /// The last number given to a link or a connection.
    number: u64,
    /// Whether `SetPeers` has said who the peers are, which is worth more than what was found.
    is_told: bool,
}

/// A link that a peer opened.
struct Inbound {
    connection: u64,
    incarnation: Incarnation,
    from: String,
    /// Where the peer says that it is reached.
    address: String,
    _reader: Task,
}

/// Reports that a connection which a peer opened has ended.
#[derive(Message)]
#[rtype(result = "()")]
struct InboundEnded {
    peer: NodeId,
    class: LinkClass,
    connection: u64,
    end: End,
}

impl Network {
    /// A node without peers; `SetPeers` names them.
    #[must_use]
    pub fn new(identity: Arc<Identity>, transport: Transport, facts: Facts) -> Self {
        Self {
            identity,
            transport,
            facts,
            links: BTreeMap::new(),
            inbound: BTreeMap::new(),
            peers: BTreeMap::new(),
            number: 0,
            is_told: false,
        }
    }

    fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    fn set_peers(&mut self, mut peers: BTreeMap<NodeId, String>, ctx: &Context<Self>) {
        peers.remove(&self.identity.node_id);
        self.peers = peers;
        self.connect(ctx);
    }

    /// Opens the links that should stand and are not there, and ends those that should not.
    fn connect(&mut self, ctx: &Context<Self>) {
        let mut peers = self.peers.clone();
        for ((peer, _), inbound) in &self.inbound {
            if is_dialable(&inbound.address) {
                peers.entry(*peer).or_insert_with(|| inbound.address.clone());
            }
        }
        self.links.retain(|(peer, _), link| peers.get(peer) == Some(&link.target().address));
        let around = Surroundings {
            identity: self.identity.clone(),
            transport: self.transport.clone(),
            moved: ctx.address().recipient(),
            writable: ctx.address().recipient(),
        };
        for (peer, address) in peers {
            for class in [LinkClass::Control, LinkClass::Bulk] {
                let target = Target { peer, class, address: address.clone() };
                let id = self.next_number();
                let around = &around;
                self.links
                    .entry((peer, class))
                    .or_insert_with(|| Link::start(id, target, around.clone()));
            }
        }
    }

    /// Whether a link to this peer stands only because it has called.
    fn is_stranger(&self, peer: NodeId) -> bool {
        !self.peers.contains_key(&peer)
    }

    fn push(&mut self, class: LinkClass, envelopes: &[Envelope]) {
        for envelope in envelopes {
            if let Some(link) = self.links.get_mut(&(envelope.to, class)) {
                link.push(envelope);
            }
        }
    }

    /// A second node with a peer's id must not take the place of the one that is connected:
    /// which of them the cluster knows is not known here, and it cannot be both.
    fn turn_away_rival(&self, peer: NodeId, mut stream: Box<dyn ByteStream>, from: &str) {
        let own = self.identity.node_id;
        let text = format!(
            "n{peer} is connected to n{own} already, from another data directory; give each \
             node its own id and directory"
        );
        warn!("closed a link from {from}: {text}");
        let refused = Greeting::Refused(Refused { why: Why::TwoNodesWithOneId, text });
        actix_rt::spawn(async move {
            // If it is gone already, nobody reads the answer.
            let _ = timeout(FAREWELL_DEADLINE, handshake::send(&mut stream, &refused)).await;
        });
    }

    fn link(&mut self, id: u64) -> Option<&mut Link> {
        self.links.values_mut().find(|link| link.id() == id)
    }
}

impl Actor for Network {
    type Context = Context<Self>;
}

impl Handler<Transmit> for Network {
    type Result = ();

    fn handle(&mut self, command: Transmit, _: &mut Self::Context) {
        self.push(LinkClass::Control, &command.envelopes);
        self.push(LinkClass::Bulk, &command.bulk);
        self.links.values_mut().for_each(Link::flush);
    }
}

impl Handler<Spread> for Network {
    type Result = ();

    fn handle(&mut self, command: Spread, _: &mut Self::Context) {
        let frames = publication::frames(&command.publications);
        for ((_, class), link) in &mut self.links {
            // A flood of them delays no heartbeat.
            if *class == LinkClass::Bulk {
                frames.iter().for_each(|frame| link.spread(frame));
                link.flush();
            }
        }
    }
}

impl Handler<Inquire> for Network {
    type Result = ();

    fn handle(&mut self, command: Inquire, _: &mut Self::Context) {
        let Inquire { to, inquiry } = command;
        let why = match self.links.get_mut(&(to, LinkClass::Bulk)) {
            Some(link) => {
                let why = link.inquire(&inquiry);
                link.flush();
                why
            }
            None => Some("there is no way to it"),
        };
        // Whoever asked need not wait for what does not come.
        if let (Some(why), Inquiry::Question(number, _)) = (why, inquiry) {
            let inquiry = Inquiry::Answer(number, Box::new(inquiry::silence(to, why)));
            self.facts.inquired.do_send(Inquired { from: to, inquiry });
        }
    }
}

impl Handler<SetPeers> for Network {
    type Result = ();

    fn handle(&mut self, command: SetPeers, ctx: &mut Self::Context) {
        self.is_told = true;
        self.set_peers(command.peers, ctx);
    }
}

impl Handler<Stop> for Network {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

impl Handler<PeersFound> for Network {
    type Result = ();

    fn handle(&mut self, fact: PeersFound, ctx: &mut Self::Context) {
        if !self.is_told {
            self.set_peers(fact.peers, ctx);
        }
    }
}

impl Handler<PeerAccepted> for Network {
    type Result = ();

    fn handle(&mut self, fact: PeerAccepted, ctx: &mut Self::Context) {
        let PeerAccepted { ends, link: class, address, stream, read, from } = fact;
        let (peer, incarnation) = (ends.from, ends.incarnation);
        let same_id = self.inbound.range((peer, LinkClass::Control)..=(peer, LinkClass::Bulk));
        if same_id.into_iter().any(|(_, inbound)| inbound.incarnation != incarnation) {
            self.turn_away_rival(peer, stream, &from);
            return;
        }
        let is_newcomer = !self.inbound.contains_key(&(peer, class));
        if is_newcomer && self.inbound.len() == INBOUND_LINKS_MAX {
            warn!("closed a link of n{peer} from {from}: {INBOUND_LINKS_MAX} links are enough");
            return;
        }
        let connection = self.next_number();
        if class == LinkClass::Control {
            info!("n{peer} has connected from {from}");
            self.facts.connected.do_send(PeerConnected { peer, connection });
        }
        let facts = self.facts.clone();
        let ended = ctx.address().recipient();
        let reader = Task::spawn(async move {
            let end = read_envelopes(stream, read, ends, &facts).await;
            ended.do_send(InboundEnded { peer, class, connection, end });
        });
        // A link that stood before is superseded: its task ends here, without a fact.
        let inbound = Inbound { connection, incarnation, from, address, _reader: reader };
        self.inbound.insert((peer, class), inbound);
        if self.is_stranger(peer) {
            self.connect(ctx);
        }
        for class in [LinkClass::Control, LinkClass::Bulk] {
            if let Some(link) = self.links.get_mut(&(peer, class)) {
                link.peer_is_there();
            }
        }
    }
}

impl Handler<LinkMoved> for Network {
    type Result = ();

    fn handle(&mut self, fact: LinkMoved, _: &mut Self::Context) {
        if let Some(link) = self.link(fact.link) {
            link.moved(fact.step, fact.what);
        }
    }
}

impl Handler<InboundEnded> for Network {
    type Result = ();

    fn handle(&mut self, fact: InboundEnded, ctx: &mut Self::Context) {
        let InboundEnded { peer, class, connection, end } = fact;
        let current = self.inbound.get(&(peer, class)).map(|inbound| inbound.connection);
        if current != Some(connection) {
            return;
        }
        let from = self.inbound.remove(&(peer, class)).map(|inbound| inbound.from);
        let from = from.unwrap_or_default();
        match end {
            End::Frame(_) => warn!("ended a link of n{peer} from {from}: {end}"),
            End::Lost(_) | End::Closed => info!("a link of n{peer} from {from} ended: {end}"),
        }
        if class == LinkClass::Control {
            self.facts.lost.do_send(PeerLost { peer, connection });
        }
        if self.is_stranger(peer) {
            self.connect(ctx);
        }
    }
}

/// Whether what a peer said of itself can be an address.
fn is_dialable(address: &str) -> bool {
    (1..=ADDRESS_BYTES_MAX).contains(&address.len()) && !address.contains(char::is_control)
}

impl Handler<Writable> for Network {
    type Result = ();

    fn handle(&mut self, fact: Writable, _: &mut Self::Context) {
        if let Some(link) = self.link(fact.connection) {
            link.flush();
        }
    }
}
