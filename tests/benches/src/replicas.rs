//! Three replicas of the store in one thread, fed by clients and with nobody between them: what
//! the pure parts cost for one operation, whatever else the machine does.
//!
//! Requests, answers and messages between nodes are encoded and decoded as on sockets, and what is
//! to be written counts as written at once. Every time that a node does something is shown to a
//! [`Probe`], with the role that the node has.

use bytes::BytesMut;
use kv_store::command::{KeyRange, Query as Asked};
use kv_store::store::Store;
use raft_core::configuration::Configuration;
use raft_core::consensus::RaftConfig;
use raft_core::consensus::log::RaftLog;
use raft_core::entry::{ClientId, Draft, EntryKind, SessionStamp};
use raft_core::hard_state::HardState;
use raft_core::replica::Replica;
use raft_core::replica::event::{Answer, Effects, Event, Outcome, Query, Submission, Ticket};
use raft_core::types::{EntryId, Incarnation, Index, NodeId, Time};
use raft_net::client_protocol::{Op, Reply, Request, Response};
use raft_net::frame::{Batch, CLIENT_FRAME_BYTES_MAX, FrameError, PEER_FRAME_BYTES_MAX};
use raft_net::peer_codec::{self, Ends};

use crate::keys::{Random, key};
use crate::loaded_store::{asked, put_of};

/// Members of the cluster.
const NODES: u64 = 3;

/// Those who do not lead.
pub const FOLLOWERS: u64 = NODES - 1;

/// Clients, each with a session and with so many requests under way.
const CLIENTS: u64 = 100;
const IN_FLIGHT: u64 = 10;

/// Requests that come in together.
pub const REQUESTS: u64 = CLIENTS * IN_FLIGHT;

/// So few keys that the store is as large from the beginning as at the end.
const KEYS: u64 = 1_000;

/// How long a client waits. Units: milliseconds.
const TIMEOUT_MS: u64 = 5_000;

/// How much time passes between two rounds. Units: microseconds.
const ROUND_US: u64 = 5_000;

/// In which role a node did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Takes requests, replicates and answers them.
    Leader,
    /// Takes entries in.
    Follower,
}

/// Is shown whatever nodes do, and runs it.
pub trait Probe {
    /// Runs what a node does as one of these.
    fn run(&mut self, side: Side, work: &mut dyn FnMut());
}

/// Runs everything and looks at nothing.
#[derive(Clone, Copy, Debug)]
pub struct Unwatched;

impl Probe for Unwatched {
    fn run(&mut self, _: Side, work: &mut dyn FnMut()) {
        work();
    }
}

struct Node {
    id: NodeId,
    replica: Replica<Store>,
    /// What has come from other nodes.
    arrived: Vec<(NodeId, BytesMut)>,
    /// The newest batch that is on disk, until that is reported.
    persisted: Option<u64>,
    /// What is on its way to each node.
    outputs: Vec<BytesMut>,
    /// What clients are answered.
    replies: BytesMut,
}

/// The cluster, with its clients at the leader.
pub struct Replicas {
    nodes: Vec<Node>,
    leader: usize,
    now: Time,
    rounds: u64,
    random: Random,
}

impl Replicas {
    /// A cluster that has a leader, and no keys yet.
    ///
    /// Panics: if it does not come about, which is a mistake here.
    #[must_use]
    pub fn founded() -> Self {
        let nodes = (1..=NODES).map(Node::new).collect();
        let random = Random::new(1);
        let mut all = Self { nodes, leader: 0, now: Time(1_000_000), rounds: 0, random };
        for _ in 0..1_000 {
            all.tick(&mut Unwatched);
            if let Some(leader) = all.nodes.iter().position(Node::leads) {
                all.leader = leader;
                // Until everybody knows it.
                (0..100).for_each(|_| all.tick(&mut Unwatched));
                return all;
            }
        }
        panic!("nobody was elected");
    }

    /// A round of puts, each by a session of its client, until everybody is answered and every
    /// node has applied them.
    ///
    /// Panics: if somebody is not answered, which is a mistake here.
    pub fn put(&mut self, probe: &mut impl Probe) {
        self.round(probe, |random, client, serial, requests| {
            let client = ClientId { issued_at: 1, random: client };
            let session = SessionStamp { client, serial, acknowledged: serial - IN_FLIGHT };
            let body = put_of(&key(random.below(KEYS)));
            let op = Op::Write { session, timeout_ms: TIMEOUT_MS, body: &body };
            Request { id: serial, op }.encode(requests)
        });
    }

    /// A round of linearizable reads of single keys.
    ///
    /// Panics: as `put`.
    pub fn get(&mut self, probe: &mut impl Probe) {
        self.round(probe, |random, _, id, requests| {
            let name = key(random.below(KEYS));
            let body = asked(&Asked::Range { range: KeyRange::single(&name), limit: 1 });
            Request { id, op: Op::Read { timeout_ms: TIMEOUT_MS, body: &body } }.encode(requests)
        });
    }

    fn round(
        &mut self,
        probe: &mut impl Probe,
        encode: impl Fn(&mut Random, u64, u64, &mut BytesMut) -> Result<(), FrameError>,
    ) {
        let mut arrived = Vec::new();
        for client in 1..=CLIENTS {
            let mut requests = BytesMut::new();
            for number in 1..=IN_FLIGHT {
                let id = (self.rounds + 1) * IN_FLIGHT + number;
                encode(&mut self.random, client, id, &mut requests).expect("it is short");
            }
            arrived.push((client, requests));
        }
        self.rounds += 1;
        let now = self.now;
        let node = &mut self.nodes[self.leader];
        probe.run(Side::Leader, &mut || node.take_requests(now, std::mem::take(&mut arrived)));
        self.settle(probe);
        let mut replies = std::mem::take(&mut self.nodes[self.leader].replies);
        let replies = Batch::cut(&mut replies, CLIENT_FRAME_BYTES_MAX).expect("they are frames");
        let replies = replies.expect("everybody is answered");
        let is_answer = |reply: &[u8]| {
            let reply = Response::decode(reply).map(|response| response.reply);
            matches!(reply, Ok(Reply::Answer(_)))
        };
        assert_eq!(replies.contents().filter(|reply| is_answer(reply)).count() as u64, REQUESTS);
        // Followers learn what is committed with what the leader says next.
        self.tick(probe);
    }

    /// Lets time pass, and everything happen that follows.
    fn tick(&mut self, probe: &mut impl Probe) {
        self.now = self.now.after(ROUND_US);
        for node in &mut self.nodes {
            node.replica.handle(self.now, Event::Tick);
            node.turn(self.now);
        }
        self.settle(probe);
    }

    /// Carries messages, and what is on disk, until nothing is under way.
    fn settle(&mut self, probe: &mut impl Probe) {
        let now = self.now;
        loop {
            self.carry();
            let mut is_over = true;
            for (at, node) in self.nodes.iter_mut().enumerate() {
                if node.arrived.is_empty() && node.persisted.is_none() {
                    continue;
                }
                let side = if at == self.leader { Side::Leader } else { Side::Follower };
                probe.run(side, &mut || node.take_messages(now));
                is_over = false;
            }
            if is_over {
                return;
            }
        }
    }

    /// Hands the output of each node to those whom it is for.
    fn carry(&mut self) {
        for from in 0..self.nodes.len() {
            for to in 0..self.nodes.len() {
                let output = &mut self.nodes[from].outputs[to];
                if !output.is_empty() {
                    let (bytes, from) = (output.split(), self.nodes[from].id);
                    self.nodes[to].arrived.push((from, bytes));
                }
            }
        }
    }
}

impl Node {
    fn new(number: u64) -> Self {
        let ids: Vec<NodeId> = (1..=NODES).filter_map(NodeId::new).collect();
        let id = NodeId::new(number).expect("from 1");
        let config = RaftConfig {
            seed: number,
            // Built elsewhere; what it costs beside puts is another figure.
            snapshot_log_bytes: u64::MAX,
            ..RaftConfig::new(id, Incarnation(number), Configuration::of(ids))
        };
        let log = RaftLog::restore(EntryId::ZERO, vec![], vec![], Index::ZERO);
        let state = HardState::default();
        let replica = Replica::new(config, state, log, Store::new(), Time(0));
        let outputs = (0..NODES).map(|_| BytesMut::new()).collect();
        Self {
            id,
            replica,
            arrived: Vec::new(),
            persisted: None,
            outputs,
            replies: BytesMut::new(),
        }
    }

    fn leads(&self) -> bool {
        self.replica.raft().leader() == Some(self.id)
    }

    /// As Api makes a round of what connections brought.
    fn take_requests(&mut self, now: Time, arrived: Vec<(u64, BytesMut)>) {
        let (mut draft, mut tickets) = (Draft::default(), Vec::new());
        let (mut bodies, mut asked) = (BytesMut::new(), Vec::new());
        for (connection, mut input) in arrived {
            let batch = Batch::cut(&mut input, CLIENT_FRAME_BYTES_MAX).expect("they are frames");
            for content in batch.iter().flat_map(Batch::contents) {
                let request = Request::decode(content).expect("it was encoded above");
                let ticket = Ticket { connection, request: request.id };
                match request.op {
                    Op::Write { session, body, .. } => {
                        draft.push(EntryKind::Command, &session, body);
                        tickets.push(ticket);
                    }
                    Op::Read { timeout_ms, body } => {
                        bodies.extend_from_slice(body);
                        asked.push((ticket, timeout_ms * 1_000, body.len()));
                    }
                    op => panic!("{op:?} is not asked here"),
                }
            }
        }
        if !draft.is_empty() {
            let submission =
                Submission { draft, tickets, timeout_us: TIMEOUT_MS * 1_000, wall_time: 0 };
            self.replica.handle(now, Event::Submit(submission));
        }
        if !asked.is_empty() {
            let mut bodies = bodies.freeze();
            let query = |(ticket, timeout_us, length)| Query {
                ticket,
                body: bodies.split_to(length),
                timeout_us,
            };
            self.replica.handle(now, Event::Read(asked.into_iter().map(query).collect()));
        }
        self.turn(now);
    }

    /// As Network and LogStore report what has come and what is on disk.
    fn take_messages(&mut self, now: Time) {
        for (from, mut input) in self.arrived.drain(..) {
            let incarnation = Incarnation(from.number());
            let ends = Ends { from, incarnation, to: self.id };
            let batch = Batch::cut(&mut input, PEER_FRAME_BYTES_MAX).expect("they are frames");
            let read = |content| peer_codec::read(content, &ends).expect("it was encoded above");
            let envelopes = batch.iter().flat_map(Batch::contents).map(read).collect();
            self.replica.handle(now, Event::Received(envelopes));
        }
        if let Some(number) = self.persisted.take() {
            self.replica.handle(now, Event::Persisted { number });
        }
        self.turn(now);
    }

    fn turn(&mut self, now: Time) {
        loop {
            let effects = self.replica.turn(now);
            let more = effects.more;
            self.hand_on(effects);
            if !more {
                return;
            }
        }
    }

    fn hand_on(&mut self, effects: Effects) {
        let Effects { envelopes, bulk, persist, answers, .. } = effects;
        for envelope in envelopes.iter().chain(&bulk) {
            let place = usize::try_from(envelope.to.number() - 1).expect("there are few nodes");
            peer_codec::put(&mut self.outputs[place], envelope).expect("it fits a frame");
        }
        if let Some(persist) = persist {
            self.persisted = Some(persist.number);
        }
        for Answer { ticket, outcome } in &answers.list {
            let Outcome::Answered(range) = outcome else { panic!("{outcome:?} to {ticket:?}") };
            let reply = Reply::Answer(&answers.bytes[range.clone()]);
            let response = Response { id: ticket.request, reply };
            response.encode(&mut self.replies).expect("it fits a frame");
        }
    }
}
