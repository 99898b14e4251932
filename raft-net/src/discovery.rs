//! Discovery: finds the nodes of the cluster, by a list and by beacons.
//!
//! Commands: `Stand` (the node), `Stop`.  Facts taken: of its own task `BeaconsArrived`.
//! Facts given: `PeersFound` (to Network).
//! What is decided is decided by [`seeking`], before there is a node, and by [`belonging`].
//! Limits: one beacon in `BELONG_INTERVAL`, and one in `ANSWER_PAUSE_MS` for those who seek.
//! `docs/discovery.md` has the rules, and why they give one cluster.

pub mod beacon;
pub mod belonging;
mod complaints;
pub mod search;
pub mod seeking;
pub mod socket;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use actix::prelude::*;
use raft_core::types::NodeId;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::warn;

use self::beacon::{Beacon, BeaconCodec, BeaconError};
use self::belonging::{Belonging, Elder};
use self::complaints::Complaints;
use self::socket::BeaconSocket;
use crate::task::{Stop, Task};

/// How often a member of a cluster says where it is.
pub const BELONG_INTERVAL: Duration = Duration::from_secs(1);

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

/// Reports what one read of the socket brought.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct BeaconsArrived(Vec<(Result<Beacon, BeaconError>, SocketAddr)>);

/// The actor.
#[derive(Debug)]
pub struct Discovery {
    listed: BTreeMap<NodeId, String>,
    found: Recipient<PeersFound>,
    air: Option<Air>,
}

/// What a node needs to be heard.
#[derive(Debug)]
struct Air {
    socket: BeaconSocket,
    codec: BeaconCodec,
    belonging: Belonging,
    since: Instant,
    spoke_ms: Option<u64>,
    complaints: Complaints,
    reader: Option<Task>,
}

impl Discovery {
    /// Will report the nodes of this list.
    #[must_use]
    pub fn of_list(listed: BTreeMap<NodeId, String>, found: Recipient<PeersFound>) -> Self {
        Self { listed, found, air: None }
    }

    /// The same, and hears and sends beacons.
    #[must_use]
    pub fn on_air(
        mut self,
        socket: BeaconSocket,
        codec: BeaconCodec,
        belonging: Belonging,
    ) -> Self {
        let (since, complaints) = (Instant::now(), Complaints::default());
        let (spoke_ms, reader) = (None, None);
        self.air = Some(Air { socket, codec, belonging, since, spoke_ms, complaints, reader });
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
        let listening = match self.socket.listen() {
            Ok(listening) => listening,
            Err(error) => {
                warn!("cannot hear beacons: {error}; going on without");
                return;
            }
        };
        let codec = self.codec.clone();
        self.reader = Some(Task::spawn(async move {
            loop {
                match BeaconSocket::receive(&listening).await {
                    Ok(datagrams) => {
                        let read = datagrams.into_iter();
                        let read = read.map(|(bytes, from)| (codec.decode(&bytes), from));
                        arrived.do_send(BeaconsArrived(read.collect()));
                    }
                    Err(error) => {
                        warn!("cannot hear beacons any more: {error}; going on without");
                        return;
                    }
                }
            }
        }));
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn speak(&mut self) {
        let Some(beacon) = self.belonging.beacon() else { return };
        let now_ms = self.now_ms();
        self.spoke_ms = Some(now_ms);
        let sent = self.socket.send(&self.codec.encode(&beacon));
        if let Err(error) = sent
            && self.complaints.about("send", now_ms)
        {
            warn!("cannot send beacons: {error}; going on without");
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
        if is_asked && self.spoke_ms.is_none_or(has_paused) {
            self.speak();
        }
        peers
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
