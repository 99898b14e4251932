//! Clients: they ask, wait, ask another node, and never give up.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};
use kv_store::command::{Command, KeyRange, List, Query};
use raft_core::entry::{ClientId, SessionStamp};

use crate::simulator::dice::Dice;
use crate::simulator::judge::Asked;
use crate::simulator::plan::Traffic;
use crate::simulator::typed;

/// What the simulator asks for itself: a write, then a read.
const PROBES: u64 = 2;

/// One client with its session.
#[derive(Debug)]
pub(crate) struct Client {
    /// Given by the first node that it reaches.
    pub(crate) id: Option<ClientId>,
    newest_serial: u64,
    /// Writes that have no answer.
    open: BTreeSet<u64>,
    /// Operations that are not over.
    pub(crate) in_flight: usize,
    /// Whether it begins nothing new.
    pub(crate) is_closing: bool,
    /// What it still wants to do when all faults are over.
    pub(crate) last_wishes: u64,
}

/// An operation of a client.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) client: usize,
    pub(crate) asked: Asked,
    pub(crate) body: Bytes,
    /// What it must not fall behind, as of its beginning.
    pub(crate) floor: u64,
    /// How often it was asked for.
    pub(crate) attempts: u32,
    pub(crate) is_over: bool,
}

/// One request of an operation to one node.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) operation: u64,
    /// As of its arrival at the node.
    pub(crate) floor: u64,
    /// Whether another attempt has been made in its place.
    pub(crate) is_spent: bool,
}

/// All clients and what they have asked.
#[derive(Debug)]
pub(crate) struct Clients {
    pub(crate) all: Vec<Client>,
    pub(crate) operations: BTreeMap<u64, Operation>,
    pub(crate) attempts: BTreeMap<u64, Attempt>,
    newest: u64,
}

impl Clients {
    /// So many clients that have not spoken yet; the last one is the simulator itself.
    pub(crate) fn new(count: usize) -> Self {
        let client = || Client {
            id: None,
            newest_serial: 0,
            open: BTreeSet::new(),
            in_flight: 0,
            is_closing: false,
            last_wishes: 0,
        };
        let mut all: Vec<Client> = (0..count).map(|_| client()).collect();
        if let Some(prober) = all.last_mut() {
            prober.last_wishes = PROBES;
        }
        Self { all, operations: BTreeMap::new(), attempts: BTreeMap::new(), newest: 0 }
    }

    /// A number that nothing else has.
    fn number(&mut self) -> u64 {
        self.newest += 1;
        self.newest
    }

    /// Begins an operation of a client that has an id, and returns its number.
    pub(crate) fn begin(
        &mut self,
        client: usize,
        traffic: &Traffic,
        floor: u64,
        dice: &mut Dice,
    ) -> u64 {
        let number = self.number();
        let key = format!("key-{}", dice.below(traffic.keys)).into_bytes();
        let is_read = dice.chance(traffic.reads_per_mille);
        if 0 < traffic.typed_per_mille && dice.chance(traffic.typed_per_mille) {
            let (asked, body) = if is_read {
                let query = typed::query(floor, dice);
                (Asked::Read { query: query.clone() }, query)
            } else {
                let session = self.all[client].next_session();
                (Asked::Write { session, is_done: false }, typed::command((number, floor), dice))
            };
            return self.begin_with(client, (asked, body), (number, floor));
        }
        let (asked, body) = if is_read {
            read(key, dice.chance(150))
        } else {
            let length = dice.between(traffic.value_bytes);
            let is_delete = dice.chance(150);
            let payload = write(number, &key, length, is_delete);
            let asked = if !is_delete && dice.chance(100) {
                Asked::Once { payload: payload.clone() }
            } else {
                let session = self.all[client].next_session();
                Asked::Write { session, is_done: false }
            };
            (asked, payload)
        };
        self.begin_with(client, (asked, body), (number, floor))
    }

    fn begin_with(
        &mut self,
        client: usize,
        (asked, body): (Asked, Bytes),
        (number, floor): (u64, u64),
    ) -> u64 {
        self.all[client].in_flight += 1;
        let operation = Operation { client, asked, body, floor, attempts: 0, is_over: false };
        self.operations.insert(number, operation);
        number
    }

    /// Begins an operation of the simulator itself, to see whether it is answered.
    pub(crate) fn begin_probe(&mut self, client: usize, is_read: bool, floor: u64) -> u64 {
        let (number, key) = (self.number(), b"key-0".to_vec());
        let (asked, body) = if is_read {
            read(key, false)
        } else {
            let session = self.all[client].next_session();
            (Asked::Write { session, is_done: false }, write(number, &key, 0, false))
        };
        self.begin_with(client, (asked, body), (number, floor))
    }

    /// Makes another attempt at an operation.
    pub(crate) fn attempt(&mut self, operation: u64) -> u64 {
        let number = self.number();
        self.attempts.insert(number, Attempt { operation, floor: 0, is_spent: false });
        number
    }

    /// A client has the answer to an operation.
    pub(crate) fn end(&mut self, operation: u64) {
        let operation = self.operations.get_mut(&operation).expect("it was begun");
        if operation.is_over {
            return;
        }
        operation.is_over = true;
        let client = &mut self.all[operation.client];
        client.in_flight -= 1;
        if let Asked::Write { session, is_done, .. } = &mut operation.asked {
            *is_done = true;
            if client.id == Some(session.client) {
                client.open.remove(&session.serial);
            }
        }
    }

    /// The cluster has forgotten the session of an operation, which is over then; its client
    /// begins another one.
    pub(crate) fn forget(&mut self, operation: u64) {
        self.end(operation);
        let Operation { client, asked, .. } = &self.operations[&operation];
        let client = &mut self.all[*client];
        if let Asked::Write { session, .. } = asked
            && client.id == Some(session.client)
        {
            (client.id, client.newest_serial) = (None, 0);
            client.open.clear();
        }
    }

    /// What an operation carries when it is asked for once more.
    pub(crate) fn acknowledge_anew(&mut self, operation: u64) {
        let operation = self.operations.get_mut(&operation).expect("it was begun");
        let client = &self.all[operation.client];
        if let Asked::Write { session, .. } = &mut operation.asked
            && client.id == Some(session.client)
        {
            session.acknowledged = client.acknowledged();
        }
    }

    /// Whether nobody waits for anything, or wants anything.
    pub(crate) fn are_content(&self) -> bool {
        self.all.iter().all(|client| client.in_flight == 0)
            && self.all.split_last().is_some_and(|(_, all)| all.iter().all(|c| c.last_wishes == 0))
    }
}

impl Client {
    /// Up to which serial it has every answer.
    fn acknowledged(&self) -> u64 {
        self.open.first().map_or(self.newest_serial, |oldest| *oldest - 1)
    }

    fn next_session(&mut self) -> SessionStamp {
        let acknowledged = self.acknowledged();
        self.newest_serial += 1;
        self.open.insert(self.newest_serial);
        let client = self.id.expect("a client that asks has an id");
        SessionStamp { client, serial: self.newest_serial, acknowledged }
    }
}

fn read(key: Vec<u8>, is_prefix: bool) -> (Asked, Bytes) {
    let range = if is_prefix { KeyRange::prefix(b"key") } else { KeyRange::single(&key) };
    let mut body = BytesMut::new();
    Query::Range { range, limit: 0 }.encode(&mut body);
    let body = body.freeze();
    (Asked::Read { query: body.clone() }, body)
}

/// A command; the value of a put begins with the number of the operation, so that no two are
/// the same.
fn write(number: u64, key: &[u8], length: u64, is_delete: bool) -> Bytes {
    let mut body = BytesMut::new();
    if is_delete {
        let ranges: List<KeyRange<'_>> = [KeyRange::single(key)].into_iter().collect();
        Command::Delete { ranges }.encode(&mut body);
    } else {
        let mut value = number.to_le_bytes().to_vec();
        value.resize(8 + usize::try_from(length).expect("values are short"), b'.');
        Command::Put { key, value: &value }.encode(&mut body);
    }
    body.freeze()
}
