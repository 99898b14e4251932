//! Network: the only owner of this node's links to its peers.
//!
//! Commands: `Transmit`, `Spread`, `Inquire`, `SetPeers`, `SetFaults`, `Stop`.  Facts taken:
//! `PeersFound`
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
//! A peer that is not reached where the list has it is tried in turns there, where it calls from,
//! and where it was found; a link that stands is left alone.
//! A node that somebody may play with has `Faults`, which decide what leaves, when, and what is
//! heard (`network/faulty.rs`); its readers report to Network instead of to whom it concerns.

mod faulty;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use raft_core::configuration::{ADDRESS_BYTES_MAX, MEMBERS_MAX};
use raft_core::consensus::message::Envelope;
use raft_core::types::{Incarnation, NodeId};
use tokio::time::timeout;
use tracing::{info, warn};

use self::faulty::Faulty;
use crate::discovery::PeersFound;
use crate::faults::{Faults, Packet};
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

/// How many found nodes are remembered, as many as a cluster has members.
const FOUND_MAX: usize = MEMBERS_MAX;

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
    /// The highest feature level that the peer applies.
    pub feature_level: u16,
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
    /// Where nodes were found by Discovery.
    found: BTreeMap<NodeId, String>,
    /// The last number given to a link or a connection.
    number: u64,
    /// Whether `SetPeers` has said who the peers are, which is worth more than what was found.
    is_told: bool,
    /// Where peers are reached whatever `SetPeers` says.
    places: BTreeMap<NodeId, String>,
    /// `None` unless somebody may play with the node.
    faulty: Option<Faulty>,
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
            found: BTreeMap::new(),
            number: 0,
            is_told: false,
            places: BTreeMap::new(),
            faulty: None,
        }
    }

    /// The same with peers that are reached where their owner says, whatever a log that is older
    /// than that says.
    #[must_use]
    pub fn with_places(self, places: BTreeMap<NodeId, String>) -> Self {
        Self { places, ..self }
    }

    /// The same with wires that `SetFaults` can spoil, and that begin like this.
    #[must_use]
    pub fn with_faults(self, faults: Faults) -> Self {
        Self { faulty: Some(Faulty::new(faults)), ..self }
    }

    fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    fn set_peers(&mut self, mut peers: BTreeMap<NodeId, String>, ctx: &Context<Self>) {
        peers.remove(&self.identity.node_id);
        for (peer, address) in &mut peers {
            if let Some(place) = self.places.get(peer) {
                address.clone_from(place);
            }
        }
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
        let mut links = std::mem::take(&mut self.links);
        links.retain(|(peer, _), link| self.places(*peer).contains(&link.target().address));
        self.links = links;
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

    /// Where a peer may be: as listed, where it calls from, where it was found. Nowhere, if it
    /// is neither listed nor calls.
    fn places(&self, peer: NodeId) -> Vec<String> {
        let inbound = self.inbound.range((peer, LinkClass::Control)..=(peer, LinkClass::Bulk));
        let said = inbound.map(|(_, inbound)| &inbound.address).filter(|at| is_dialable(at));
        let mut places: Vec<String> = Vec::new();
        for place in self.peers.get(&peer).into_iter().chain(said) {
            if !places.contains(place) {
                places.push(place.clone());
            }
        }
        let found = self.found.get(&peer).filter(|found| !places.contains(found)).cloned();
        if !places.is_empty() {
            places.extend(found);
        }
        places
    }

    /// Has a link that could not be made try the next place where its peer may be.
    fn try_elsewhere(&mut self, id: u64) {
        let Some(link) = self.links.values().find(|link| link.id() == id) else { return };
        if !link.is_waiting() {
            return;
        }
        let (peer, address) = (link.target().peer, link.target().address.clone());
        let places = self.places(peer);
        let after = places.iter().position(|place| *place == address).map_or(0, |at| at + 1);
        if let Some(next) = places.get(after).or(places.first()).filter(|next| **next != address)
            && let Some(link) = self.link(id)
        {
            link.turn_to(next.clone());
        }
    }

    /// Whether a link to this peer stands only because it has called.
    fn is_stranger(&self, peer: NodeId) -> bool {
        !self.peers.contains_key(&peer)
    }

    fn push(&mut self, class: LinkClass, envelopes: &[Envelope]) {
        for envelope in envelopes {
            if let Some(faulty) = &mut self.faulty
                && !faulty.lets_go((envelope.to, class), || Packet::Envelope(envelope.clone()))
            {
                continue;
            }
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

    fn handle(&mut self, command: Transmit, ctx: &mut Self::Context) {
        self.push(LinkClass::Control, &command.envelopes);
        self.push(LinkClass::Bulk, &command.bulk);
        self.links.values_mut().for_each(Link::flush);
        self.plan_release(ctx);
    }
}

impl Handler<Spread> for Network {
    type Result = ();

    fn handle(&mut self, command: Spread, ctx: &mut Self::Context) {
        let frames = publication::frames(&command.publications);
        for (&(to, class), link) in &mut self.links {
            // A flood of them delays no heartbeat.
            if class == LinkClass::Bulk {
                for frame in &frames {
                    let packet = || Packet::Publications(frame.clone());
                    let faulty = self.faulty.as_mut();
                    if faulty.is_none_or(|faulty| faulty.lets_go((to, class), packet)) {
                        link.spread(frame);
                    }
                }
                link.flush();
            }
        }
        self.plan_release(ctx);
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
        if self.is_told {
            // The list is the log's; this is where else a peer may be.
            self.found.extend(fact.peers.into_iter().filter(|(_, at)| is_dialable(at)));
            while FOUND_MAX < self.found.len() {
                self.found.pop_last();
            }
            return;
        }
        self.set_peers(fact.peers, ctx);
    }
}

impl Handler<PeerAccepted> for Network {
    type Result = ();

    fn handle(&mut self, fact: PeerAccepted, ctx: &mut Self::Context) {
        let PeerAccepted { ends, link: class, address, feature_level, stream, read, from } = fact;
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
            let fact = PeerConnected { peer, connection, feature_level };
            self.facts.connected.do_send(fact);
        }
        let facts = match &self.faulty {
            None => self.facts.clone(),
            Some(_) => Facts {
                received: ctx.address().recipient(),
                heard: ctx.address().recipient(),
                inquired: ctx.address().recipient(),
                ..self.facts.clone()
            },
        };
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
        self.try_elsewhere(fact.link);
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
