//! A node in this process that does what a script says: it loses answers, refuses, is silent,
//! or speaks another protocol.
//!
//! All fakes of one `World` are one cluster: they share a store and the sessions.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use kv_store::command::{Answer, Command, KeyRange, Limits, Query};
use kv_store::store::{REVISION_EMPTY, Store};
use raft_core::entry::{ClientId, Draft, EntryKind, SessionStamp, Stamp};
use raft_core::replica::event::{Refusal, SessionRefusal};
use raft_core::replica::state_machine::StateMachine as _;
use raft_core::types::{Index, Term};
use raft_net::client_protocol::{Hello, LocalAnswer, NodeStatus, Op, Reply, Request, Response};
use raft_net::frame::{CLIENT_FRAME_BYTES_MAX, Frames};
use raft_net::preface::{Greeting, MAGIC};

pub(crate) const CLUSTER: u64 = 0xc1;

/// What a fake does with a request for a key; afterwards it answers.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Answer,
    /// Carries it out and closes the connection instead of answering.
    LoseAnswer,
    /// Closes the connection and carries nothing out.
    HangUp,
    Refuse(Refusal),
    Session(SessionRefusal),
    /// Says nothing, for ever.
    Ignore,
    /// Lets somebody else put this key just before each write, and answers.
    AfterAnother(&'static str),
}

/// How a fake meets a connection.
#[derive(Clone, Debug)]
pub(crate) enum Door {
    Kvorum,
    /// Says this, whatever it hears.
    Says(&'static [u8]),
    Closes,
    Mute,
}

/// A write as a fake has seen it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) node_id: u64,
    pub(crate) session: SessionStamp,
}

/// The state that all fakes of a cluster share.
#[derive(Clone, Default)]
pub(crate) struct World(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    store: Store,
    last_index: Index,
    answers: BTreeMap<(u64, u64), Vec<u8>>,
    writes: Vec<Seen>,
    clients: u64,
    addresses: BTreeMap<u64, String>,
    connections: u64,
}

impl World {
    /// Starts a fake that acts through `acts` and then answers.
    pub(crate) fn node(&self, node_id: u64, acts: &[Act]) -> String {
        self.start(node_id, Door::Kvorum, acts, false)
    }

    /// Starts a fake that does the same for ever.
    pub(crate) fn stubborn(&self, node_id: u64, act: Act) -> String {
        self.start(node_id, Door::Kvorum, &[act], true)
    }

    pub(crate) fn door(&self, door: Door) -> String {
        self.start(99, door, &[], false)
    }

    fn start(&self, node_id: u64, door: Door, acts: &[Act], repeats: bool) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        if matches!(door, Door::Kvorum) {
            self.0.lock().unwrap().addresses.insert(node_id, address.clone());
        }
        let acts = Arc::new(Mutex::new(acts.iter().cloned().collect::<VecDeque<Act>>()));
        let world = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (world, door, acts) = (world.clone(), door.clone(), acts.clone());
                world.0.lock().unwrap().connections += 1;
                let node = Node { world, node_id, acts, repeats };
                std::thread::spawn(move || node.meet(stream.unwrap(), door));
            }
        });
        address
    }

    /// Every attempt at a write, in the order of arrival.
    pub(crate) fn writes(&self) -> Vec<Seen> {
        self.0.lock().unwrap().writes.clone()
    }

    pub(crate) fn value(&self, key: &str) -> Option<Vec<u8>> {
        let query = Query::Range { range: KeyRange::single(key.as_bytes()), limit: 0 };
        let answer = self.0.lock().unwrap().read(&query);
        match Answer::decode(&answer) {
            Ok(Answer::Range { kvs, .. }) => kvs.first().map(|kv| kv.value.to_vec()),
            other => panic!("a range is not answered by {other:?}"),
        }
    }

    /// How many changes there were.
    pub(crate) fn revision(&self) -> u64 {
        self.0.lock().unwrap().store.revision() - REVISION_EMPTY
    }

    pub(crate) fn connections(&self) -> u64 {
        self.0.lock().unwrap().connections
    }

    /// Makes the cluster name a node that does not run.
    pub(crate) fn add_dead_member(&self, node_id: u64) -> String {
        let address = dead_address();
        self.0.lock().unwrap().addresses.insert(node_id, address.clone());
        address
    }
}

/// An address at which nobody listens.
pub(crate) fn dead_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

struct Node {
    world: World,
    node_id: u64,
    acts: Arc<Mutex<VecDeque<Act>>>,
    repeats: bool,
}

impl Node {
    fn meet(&self, mut stream: TcpStream, door: Door) {
        match door {
            Door::Kvorum => self.serve(stream),
            Door::Closes => {}
            Door::Mute => read_to_end(&mut stream),
            Door::Says(words) => {
                stream.write_all(words).unwrap();
                read_to_end(&mut stream);
            }
        }
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut magic = [0; MAGIC.len()];
        if stream.read_exact(&mut magic).is_err() || magic != MAGIC {
            return;
        }
        let (mut frames, mut input) = (Frames::new(CLIENT_FRAME_BYTES_MAX), BytesMut::new());
        let mut has_greeted = false;
        loop {
            let mut output = BytesMut::new();
            while let Some(frame) = frames.next(&mut input).unwrap() {
                if !std::mem::replace(&mut has_greeted, true) {
                    Greeting::Hello(self.hello()).encode(&mut output);
                } else if !self.on_request(&Request::decode(&frame).unwrap(), &mut output) {
                    return;
                }
            }
            if stream.write_all(&output).is_err() {
                return;
            }
            let mut room = [0; 4096];
            match stream.read(&mut room) {
                Ok(0) | Err(_) => return,
                Ok(read) => input.extend_from_slice(&room[..read]),
            }
        }
    }

    fn hello(&self) -> Hello {
        let mut state = self.world.0.lock().unwrap();
        state.clients += 1;
        Hello {
            version: 1,
            cluster_id: CLUSTER,
            node_id: self.node_id,
            client: ClientId { issued_at: 1, random: state.clients },
            leader: Some(1),
        }
    }

    /// Returns whether the connection goes on.
    fn on_request(&self, request: &Request<'_>, output: &mut BytesMut) -> bool {
        let id = request.id;
        if let Op::Status = request.op {
            let reply = Reply::Status(Box::new(self.status()));
            Response { id, reply }.encode(output).unwrap();
            return true;
        }
        let mut state = self.world.0.lock().unwrap();
        if let Op::Write { session, .. } | Op::Change { session, .. } = &request.op {
            state.writes.push(Seen { node_id: self.node_id, session: *session });
        }
        let act = {
            let mut acts = self.acts.lock().unwrap();
            let act = if self.repeats { acts.front().cloned() } else { acts.pop_front() };
            act.unwrap_or(Act::Answer)
        };
        if let (Act::AfterAnother(key), Op::Write { .. }) = (&act, &request.op) {
            state.write(&Command::Put { key: key.as_bytes(), value: b"another's" });
        }
        let body;
        let reply = match act {
            Act::Answer | Act::AfterAnother(_) => {
                body = state.carry_out(&request.op);
                match &request.op {
                    Op::ReadLocally { .. } => Reply::Local(LocalAnswer {
                        body: &body,
                        applied_index: 8,
                        contact_age_ms: (self.node_id == 1).then_some(12),
                    }),
                    _ => Reply::Answer(&body),
                }
            }
            Act::LoseAnswer => {
                state.carry_out(&request.op);
                return false;
            }
            Act::HangUp => return false,
            Act::Refuse(refusal) => Reply::Refused(refusal),
            Act::Session(refusal) => Reply::Session(refusal),
            Act::Ignore => return true,
        };
        Response { id, reply }.encode(output).unwrap();
        true
    }

    fn status(&self) -> NodeStatus {
        let state = self.world.0.lock().unwrap();
        NodeStatus {
            node_id: self.node_id,
            cluster_id: CLUSTER,
            role: if self.node_id == 1 { "leader" } else { "follower" }.to_owned(),
            term: 5,
            leader_id: Some(1),
            commit_index: 9,
            applied_index: 8,
            last_index: 9,
            revision: state.store.revision(),
            version: "0.1.0".to_owned(),
            address: state.addresses[&self.node_id].clone(),
            members: state.addresses.clone().into_iter().collect(),
            live_bytes: 700,
            live_bytes_max: 700,
            ..NodeStatus::default()
        }
    }
}

impl State {
    fn carry_out(&mut self, op: &Op<'_>) -> Vec<u8> {
        match op {
            Op::Write { session, body, .. } => {
                if !session.is_session() {
                    return self.write(&Command::decode(body).unwrap());
                }
                let write = (session.client.random, session.serial);
                if !self.answers.contains_key(&write) {
                    let answer = self.write(&Command::decode(body).unwrap());
                    self.answers.insert(write, answer);
                }
                self.answers[&write].clone()
            }
            Op::Read { body, .. } | Op::ReadLocally { body } => {
                self.read(&Query::decode(body).unwrap())
            }
            Op::Status | Op::Change { .. } | Op::Transfer { .. } => {
                unreachable!("answered without a script")
            }
            Op::Watch { .. }
            | Op::Snapshot { .. }
            | Op::SnapshotPiece(_)
            | Op::Unwatch
            | Op::Mark
            | Op::Publish { .. }
            | Op::Play(_)
            | Op::Subscribe { .. }
            | Op::Monitor(_) => {
                unreachable!("this node shows nothing")
            }
        }
    }

    fn write(&mut self, command: &Command<'_>) -> Vec<u8> {
        if let Err(error) = command.check(&Limits::default()) {
            return encoded(&Answer::Malformed { why: &error.to_string() });
        }
        let (mut payload, mut draft) = (BytesMut::new(), Draft::default());
        command.encode(&mut payload);
        draft.push(EntryKind::Command, &SessionStamp::default(), &payload);
        self.last_index = self.last_index.next();
        let (term, first) = (Term(1), self.last_index);
        // A second from one command to the next.
        let log_time = first.0 * 1_000_000;
        let entries = draft.stamp(&Stamp {
            term,
            first,
            log_time,
            feature_level: raft_core::entry::FEATURE_LEVEL,
            wall_time: 0,
            seed: 0,
        });
        let mut answer = BytesMut::new();
        entries.iter().for_each(|entry| self.store.apply(entry, &mut answer));
        answer.to_vec()
    }

    /// Two keys to a page, so that few keys make several pages.
    fn read(&self, query: &Query<'_>) -> Vec<u8> {
        if let Err(error) = query.check(&Limits::default()) {
            return encoded(&Answer::Malformed { why: &error.to_string() });
        }
        let mut query = query.clone();
        match &mut query {
            Query::Range { limit, .. } => *limit = 2,
            Query::Select(selection) if 2 < selection.limit => selection.limit = 2,
            _ => {}
        }
        let (mut body, mut answer) = (BytesMut::new(), BytesMut::new());
        query.encode(&mut body);
        self.store.query(&body, 0, &mut answer);
        answer.to_vec()
    }
}

fn encoded(answer: &Answer<'_>) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    answer.encode(&mut bytes);
    bytes.to_vec()
}

fn read_to_end(stream: &mut TcpStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}
