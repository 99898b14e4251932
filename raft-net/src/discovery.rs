//! Discovery: finds the nodes of the cluster, by a list, by beacons, and by questions.
//!
//! Commands: `Stand` (the node), `Stop`.  Facts taken: `BeaconsArrived` (its own tasks, Web).
//! Facts given: `PeersFound` (to Network).
//! What is decided is decided by [`seeking`], before there is a node, and by [`belonging`].
//! Limits: one beacon in `BELONG_INTERVAL`, and one in `ANSWER_PAUSE_MS` for those who seek.
//! `docs/discovery.md` has the rules, and why they give one cluster.

mod answering;
pub mod asking;
pub mod beacon;
pub mod belonging;
mod complaints;
pub mod dns;
pub mod search;
pub mod seeking;
pub mod socket;
pub mod voice;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use actix::prelude::*;
use raft_core::types::NodeId;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::warn;

use self::asking::Targets;
use self::beacon::{Beacon, BeaconCodec, BeaconError};
use self::belonging::{Belonging, Elder};
use self::complaints::Complaints;
use self::socket::{BeaconSocket, Listening};
use crate::task::{Stop, Task};

/// How often a member of a cluster says where it is.
pub const BELONG_INTERVAL: Duration = Duration::from_secs(1);

/// How long a member that asks does so at every `BELONG_INTERVAL`, so that whoever starts with it
/// hears of it, and the pause after that. Units: milliseconds.
const ASK_OFTEN_MS: u64 = 60_000;
const ASK_PAUSE_MS: u64 = 10_000;

/// Whoever seeks is answered no more often than this. Units: milliseconds.
const ANSWER_PAUSE_MS: u64 = 200;

/// Says which nodes there are and where.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct PeersFound {
    /// Nodes with their addresses, as the transport understands them.
    pub peers: BTreeMap<NodeId, String>,
}

/// Tells how the node's cluster is, and asks whether the node should give it up.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Stand {
    /// Whether the node is the only member.
    pub is_alone: bool,
    /// Whether there may be anything of a client's.
    pub has_data: bool,
    /// Takes the cluster to join instead, if there is one.
    pub reply: oneshot::Sender<Option<Elder>>,
}

/// Reports the beacons of one read of the socket, of one round of questions, or in a question.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct BeaconsArrived(pub Vec<(Result<Beacon, BeaconError>, SocketAddr)>);

/// The actor.
#[derive(Debug)]
pub struct Discovery {
    listed: BTreeMap<NodeId, String>,
    found: Recipient<PeersFound>,
    air: Option<Air>,
}

/// How a node hears others.
#[derive(Debug)]
pub enum Way {
    /// By beacons in a group, which it also sends.
    Group(BeaconSocket),
    /// By asking; whoever asks it is answered by its door for HTTP.
    Ask(Targets),
}

/// What a node needs to be heard.
#[derive(Debug)]
struct Air {
    way: Way,
    codec: BeaconCodec,
    belonging: Belonging,
    since: Instant,
    spoke_ms: Option<u64>,
    complaints: Complaints,
    reader: Option<Task>,
    arrived: Option<Recipient<BeaconsArrived>>,
}

impl Discovery {
    /// Will report the nodes of this list.
    #[must_use]
    pub fn of_list(listed: BTreeMap<NodeId, String>, found: Recipient<PeersFound>) -> Self {
        Self { listed, found, air: None }
    }

    /// The same, and hears beacons.
    #[must_use]
    pub fn on_air(mut self, way: Way, codec: BeaconCodec, belonging: Belonging) -> Self {
        let (since, complaints) = (Instant::now(), Complaints::default());
        self.air = Some(Air {
            way,
            codec,
            belonging,
            since,
            spoke_ms: None,
            complaints,
            reader: None,
            arrived: None,
        });
        self
    }
}

impl Actor for Discovery {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.found.do_send(PeersFound { peers: self.listed.clone() });
        let Some(air) = &mut self.air else { return };
        air.listen(ctx.address().recipient());
        air.speak();
        ctx.run_interval(BELONG_INTERVAL, |discovery, _| {
            if let Some(air) = &mut discovery.air {
                air.speak();
            }
        });
    }
}

impl Air {
    fn listen(&mut self, arrived: Recipient<BeaconsArrived>) {
        self.arrived = Some(arrived.clone());
        // Whoever asks does so when it knows what to say.
        let Way::Group(socket) = &self.way else { return };
        match socket.listen() {
            Ok(listening) => {
                let reader = listen_on(listening, self.codec.clone(), arrived);
                self.reader = Some(Task::spawn(reader));
            }
            Err(error) => warn!("cannot hear beacons: {error}; going on without"),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn speak(&mut self) {
        let Some(beacon) = self.belonging.beacon() else { return };
        let now_ms = self.now_ms();
        let beacon = self.codec.encode(&beacon);
        match &self.way {
            Way::Group(socket) => {
                self.spoke_ms = Some(now_ms);
                let sent = socket.send(&beacon);
                if let Err(error) = sent
                    && self.complaints.about("send", now_ms)
                {
                    warn!("cannot send beacons: {error}; going on without");
                }
            }
            Way::Ask(targets) => {
                let pause_ms = if now_ms < ASK_OFTEN_MS { 0 } else { ASK_PAUSE_MS };
                let is_due = |spoke_ms: u64| pause_ms <= now_ms.saturating_sub(spoke_ms);
                let is_free = self.reader.as_ref().is_none_or(Task::is_finished);
                if is_free && self.spoke_ms.is_none_or(is_due) {
                    self.spoke_ms = Some(now_ms);
                    let arrived = self.arrived.clone().expect("set when the actor started");
                    let ask = ask(targets.clone(), beacon, self.codec.clone(), arrived);
                    self.reader = Some(Task::spawn(ask));
                }
            }
        }
    }

    /// Returns the peers that are elsewhere than they were.
    fn hear(&mut self, arrived: BeaconsArrived) -> BTreeMap<NodeId, String> {
        let (mut peers, now_ms) = (BTreeMap::new(), self.now_ms());
        let mut is_asked = false;
        for (beacon, from) in arrived.0 {
            let meaning = match &beacon {
                Ok(beacon) => self.belonging.hear(beacon, now_ms),
                Err(error) => {
                    search::complain(&mut self.complaints, error, from, now_ms);
                    continue;
                }
            };
            peers.extend(meaning.peer);
            is_asked |= meaning.is_asked;
            if let Some(warning) = meaning.warning {
                warn!("{warning}");
            }
        }
        let has_paused = |spoke_ms: u64| ANSWER_PAUSE_MS <= now_ms.saturating_sub(spoke_ms);
        let is_group = matches!(self.way, Way::Group(_));
        if is_asked && is_group && self.spoke_ms.is_none_or(has_paused) {
            self.speak();
        }
        peers
    }
}

async fn listen_on(listening: Listening, codec: BeaconCodec, to: Recipient<BeaconsArrived>) {
    loop {
        match BeaconSocket::receive(&listening).await {
            Ok(datagrams) => {
                let read = datagrams.into_iter().map(|(bytes, from)| (codec.decode(&bytes), from));
                to.do_send(BeaconsArrived(read.collect()));
            }
            Err(error) => {
                warn!("cannot hear beacons any more: {error}; going on without");
                return;
            }
        }
    }
}

/// Asks once, and says who asks. A name that is not found now may be found later.
async fn ask(targets: Targets, own: Vec<u8>, codec: BeaconCodec, to: Recipient<BeaconsArrived>) {
    if let Ok(addresses) = targets.addresses().await {
        let told = asking::ask_all(addresses, Some(own)).await;
        let read = told.into_iter().map(|told| (codec.decode(&told.datagram.0), told.datagram.1));
        to.do_send(BeaconsArrived(read.collect()));
    }
}

impl Handler<BeaconsArrived> for Discovery {
    type Result = ();

    fn handle(&mut self, fact: BeaconsArrived, _: &mut Self::Context) {
        let Some(air) = &mut self.air else { return };
        let peers = air.hear(fact);
        if !peers.is_empty() {
            self.found.do_send(PeersFound { peers });
        }
    }
}

impl Handler<Stand> for Discovery {
    type Result = ();

    fn handle(&mut self, command: Stand, _: &mut Self::Context) {
        let Stand { is_alone, has_data, reply } = command;
        let elder = self.air.as_mut().and_then(|air| {
            air.belonging.stands(is_alone, has_data);
            if air.spoke_ms.is_none() {
                air.speak();
            }
            air.belonging.elder(air.now_ms()).cloned()
        });
        // Who asked may have ended meanwhile.
        let _ = reply.send(elder);
    }
}

impl Handler<Stop> for Discovery {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
