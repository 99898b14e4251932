//! What one connection of a load has outstanding, and what becomes of it.
//!
//! Decides everything and touches no socket and no clock. A slot holds one operation at a time;
//! its body can be made again from its key's number, so nothing else is kept of it.

use std::time::Duration;

use bytes::BytesMut;
use kv_store::command::{Answer, Command, KeyRange, Query};
use raft_core::entry::{ClientId, SessionStamp};
use raft_core::replica::event::{Refusal, SessionRefusal};
use raft_core::replica::sessions::WINDOW;
use raft_net::client_protocol::{Op, Reply, Request, Response};
use tokio::time::Instant;

use super::keys::{key, value};
use super::tally::{Batch, SAMPLES_PER_BATCH, Sample};
use super::{Kind, Load};
use crate::back_off::pause;
use crate::error::ClientError;
use crate::requests::ATTEMPT_TIMEOUT;

/// A request's id is its slot and, above these bits, how often the slot was used: an answer to
/// an operation that was given up belongs to nobody.
const SLOT_BITS: u32 = 16;

/// All slots of a connection.
#[derive(Debug)]
pub(super) struct Slots {
    kind: Kind,
    keys: u64,
    value: Vec<u8>,
    timeout: Duration,
    start: Instant,
    stop_at: Instant,
    slots: Vec<Slot>,
    idle: Vec<usize>,
    /// How many slots are `Due` or `Paused`.
    waiting: usize,
    client: ClientId,
    newest_serial: u64,
    needs_session: bool,
    chance: fastrand::Rng,
    /// Room for one command or query.
    body: BytesMut,
    batch: Batch,
}

#[derive(Clone, Debug)]
struct Slot {
    stage: Stage,
    id: u64,
    started: Instant,
    key: u64,
    /// Of a write.
    serial: u64,
    attempts: u32,
    /// Whether an attempt ended without saying that nothing was done.
    in_doubt: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Idle,
    Sent,
    /// To be sent again at once.
    Due,
    /// To be sent again then.
    Paused(Instant),
}

impl Slots {
    pub(super) fn new(load: &Load, client: ClientId, start: Instant) -> Self {
        let slot = |place: usize| Slot {
            stage: Stage::Idle,
            id: u64::try_from(place).expect("a place fits in 64 bits"),
            started: start,
            key: 0,
            serial: 0,
            attempts: 0,
            in_doubt: false,
        };
        let mut chance = fastrand::Rng::new();
        Self {
            kind: load.kind,
            keys: load.keys.max(1),
            value: value(load.value_bytes, &mut chance),
            timeout: load.timeout,
            start,
            stop_at: start + load.duration,
            slots: (0..load.in_flight).map(slot).collect(),
            idle: (0..load.in_flight).rev().collect(),
            waiting: 0,
            client,
            newest_serial: 0,
            needs_session: false,
            chance,
            body: BytesMut::new(),
            batch: Batch::default(),
        }
    }

    /// Whether nothing is outstanding.
    pub(super) fn is_idle(&self) -> bool {
        self.idle.len() == self.slots.len()
    }

    /// When a request that waits is to be sent again.
    pub(super) fn next_due(&self) -> Option<Instant> {
        if self.waiting == 0 {
            return None;
        }
        let due = |slot: &Slot| match slot.stage {
            Stage::Paused(at) => Some(at),
            Stage::Due => Some(slot.started),
            Stage::Idle | Stage::Sent => None,
        };
        self.slots.iter().filter_map(due).min()
    }

    /// Takes what was measured, if it fills a batch.
    pub(super) fn take_full_batch(&mut self) -> Option<Batch> {
        (SAMPLES_PER_BATCH <= self.batch.samples.len()).then(|| self.take_batch())
    }

    /// Takes what was measured.
    pub(super) fn take_batch(&mut self) -> Batch {
        let empty = Batch { samples: Vec::with_capacity(SAMPLES_PER_BATCH), ..Batch::default() };
        std::mem::replace(&mut self.batch, empty)
    }

    /// Puts back what could not be handed on.
    pub(super) fn put_back(&mut self, batch: Batch) {
        self.batch = batch;
    }

    /// Notes a connection with the client id that its hello brought.
    pub(super) fn connected(&mut self, client: ClientId) {
        if std::mem::take(&mut self.needs_session) {
            self.give_up();
            self.client = client;
            self.newest_serial = 0;
        }
    }

    /// Appends what is to be sent again, and new requests while it is measured.
    ///
    /// Errors: if a request does not fit into a frame.
    pub(super) fn fill(&mut self, now: Instant, output: &mut BytesMut) -> Result<(), ClientError> {
        let acknowledged = self.acknowledged();
        if 0 < self.waiting {
            for place in 0..self.slots.len() {
                let is_due = match self.slots[place].stage {
                    Stage::Due => true,
                    Stage::Paused(at) => at <= now,
                    Stage::Idle | Stage::Sent => false,
                };
                if is_due {
                    self.waiting -= 1;
                    self.send(place, acknowledged, output)?;
                }
            }
        }
        if self.stop_at <= now {
            return Ok(());
        }
        while self.newest_serial < acknowledged + WINDOW
            && let Some(place) = self.idle.pop()
        {
            if self.kind == Kind::Put {
                self.newest_serial += 1;
            }
            let key = self.chance.u64(0..self.keys);
            let slot = &mut self.slots[place];
            slot.id += 1 << SLOT_BITS;
            slot.started = now;
            slot.key = key;
            slot.serial = self.newest_serial;
            slot.attempts = 0;
            slot.in_doubt = false;
            self.send(place, acknowledged, output)?;
        }
        Ok(())
    }

    /// Takes a response.
    ///
    /// Errors: if the node rejects the request for good.
    pub(super) fn answered(
        &mut self,
        response: &Response<'_>,
        now: Instant,
    ) -> Result<(), ClientError> {
        let place = usize::try_from(response.id & ((1 << SLOT_BITS) - 1)).expect("16 bits fit");
        let slot = match self.slots.get_mut(place) {
            Some(slot) if slot.id == response.id && slot.stage == Stage::Sent => slot,
            // Of an operation that was given up.
            Some(_) | None => return Ok(()),
        };
        match &response.reply {
            Reply::Answer(body) => {
                match Answer::decode(body) {
                    Ok(Answer::Malformed { why }) => return Err(ClientError::rejected(why)),
                    Ok(_) => {}
                    Err(error) => return Err(ClientError::rejected(&error.to_string())),
                }
                let started = slot.started;
                self.release(place);
                self.measure(started, now);
            }
            Reply::Malformed(text) => return Err(ClientError::rejected(text)),
            Reply::Refused(Refusal::TooLarge) => {
                return Err(ClientError::rejected("the command is longer than an entry may be"));
            }
            Reply::Refused(refusal) => {
                // That an attempt took too long refuses nothing: it counts if it is given up.
                let is_open = *refusal == Refusal::Unknown;
                slot.in_doubt |= is_open;
                slot.attempts += 1;
                slot.stage = Stage::Paused(now + pause(slot.attempts));
                self.waiting += 1;
                self.batch.errors += u64::from(!is_open);
            }
            Reply::Session(refusal) => {
                self.needs_session |= *refusal == SessionRefusal::SessionExpired;
                self.give_up_one(place);
            }
            _ => {
                return Err(ClientError::rejected("the answer makes no sense"));
            }
        }
        Ok(())
    }

    /// Whether the connection is of no more use, because its session is forgotten.
    pub(super) fn needs_session(&self) -> bool {
        self.needs_session
    }

    /// Notes that the connection is gone: what was out goes out again.
    pub(super) fn lost(&mut self) {
        for slot in self.slots.iter_mut().filter(|slot| slot.stage == Stage::Sent) {
            slot.stage = Stage::Due;
            slot.in_doubt = true;
            self.waiting += 1;
        }
    }

    /// Gives up what has taken too long.
    pub(super) fn expire(&mut self, now: Instant) {
        for place in 0..self.slots.len() {
            let Slot { stage, started, .. } = &self.slots[place];
            if *stage != Stage::Idle && *started + self.timeout <= now {
                self.give_up_one(place);
            }
        }
    }

    /// Gives up everything that is outstanding.
    pub(super) fn give_up(&mut self) {
        for place in 0..self.slots.len() {
            if self.slots[place].stage != Stage::Idle {
                self.give_up_one(place);
            }
        }
    }

    fn give_up_one(&mut self, place: usize) {
        let slot = &self.slots[place];
        let is_in_doubt = slot.in_doubt || slot.stage == Stage::Sent;
        if is_in_doubt && self.kind == Kind::Put {
            self.batch.unknown += 1;
        } else {
            self.batch.errors += 1;
        }
        self.release(place);
    }

    fn release(&mut self, place: usize) {
        let slot = &mut self.slots[place];
        if matches!(slot.stage, Stage::Due | Stage::Paused(_)) {
            self.waiting -= 1;
        }
        slot.stage = Stage::Idle;
        self.idle.push(place);
    }

    fn measure(&mut self, started: Instant, now: Instant) {
        if now < self.stop_at {
            self.batch.samples.push(Sample::new(now - self.start, now - started));
        }
    }

    /// The floor below every serial that is still wanted. A slot or ten are looked through
    /// faster than kept in order.
    fn acknowledged(&self) -> u64 {
        let open = self.slots.iter().filter(|slot| slot.stage != Stage::Idle);
        let oldest = open.map(|slot| slot.serial).min();
        oldest.map_or(self.newest_serial, |serial| serial.saturating_sub(1))
    }

    fn send(
        &mut self,
        place: usize,
        acknowledged: u64,
        output: &mut BytesMut,
    ) -> Result<(), ClientError> {
        let slot = &mut self.slots[place];
        slot.stage = Stage::Sent;
        let key = key(slot.key);
        self.body.clear();
        let timeout = self.timeout.min(ATTEMPT_TIMEOUT).as_millis();
        let timeout_ms = u64::try_from(timeout).expect("an attempt is short").max(1);
        let op = match self.kind {
            Kind::Put => {
                Command::Put { key: &key, value: &self.value }.encode(&mut self.body);
                let (client, serial) = (self.client, slot.serial);
                let session = SessionStamp { client, serial, acknowledged };
                Op::Write { session, timeout_ms, body: &self.body }
            }
            Kind::Get => {
                let range = KeyRange::single(&key);
                Query::Range { range, limit: 1 }.encode(&mut self.body);
                Op::Read { timeout_ms, body: &self.body }
            }
        };
        Request { id: slot.id, op }
            .encode(output)
            .map_err(|error| ClientError::rejected(&error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Protocol;
    use super::*;

    const CLIENT: ClientId = ClientId { issued_at: 1, random: 2 };

    fn slots(in_flight: usize, start: Instant) -> Slots {
        let load = Load {
            endpoints: Vec::new(),
            protocol: Protocol::Native,
            kind: Kind::Put,
            connections: 1,
            in_flight,
            value_bytes: 8,
            keys: 10,
            duration: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            server_pids: Vec::new(),
        };
        Slots::new(&load, CLIENT, start)
    }

    /// The id, serial and acknowledged floor of every request that is sent now.
    fn sent(slots: &mut Slots, now: Instant) -> Vec<(u64, u64, u64)> {
        let mut output = BytesMut::new();
        slots.fill(now, &mut output).unwrap();
        let (mut frames, mut requests) = (raft_net::frame::Frames::new(1 << 20), Vec::new());
        while let Some(frame) = frames.next(&mut output).unwrap() {
            let request = Request::decode(&frame).unwrap();
            let Op::Write { session, .. } = &request.op else { panic!("a put is a write") };
            requests.push((request.id, session.serial, session.acknowledged));
        }
        requests
    }

    fn answer(slots: &mut Slots, id: u64, now: Instant) {
        let mut body = BytesMut::new();
        Answer::Put { revision: 9 }.encode(&mut body);
        let response = Response { id, reply: Reply::Answer(&body) };
        slots.answered(&response, now).unwrap();
    }

    #[test]
    fn an_answer_makes_room_for_the_next_serial_and_moves_the_floor() {
        let now = Instant::now();
        let mut slots = slots(2, now);
        let first = sent(&mut slots, now);
        assert_eq!(first.iter().map(|sent| (sent.1, sent.2)).collect::<Vec<_>>(), [(1, 0), (2, 0)]);
        answer(&mut slots, first[1].0, now);
        let second = sent(&mut slots, now);
        assert_eq!((second.len(), second[0].1, second[0].2), (1, 3, 0));
        answer(&mut slots, first[0].0, now);
        let third = sent(&mut slots, now);
        assert_eq!((third.len(), third[0].1, third[0].2), (1, 4, 2));
        assert_eq!(slots.take_batch().samples.len(), 2);
    }

    #[test]
    fn what_was_out_on_a_lost_connection_goes_out_again_under_its_serial() {
        let now = Instant::now();
        let mut slots = slots(2, now);
        let first = sent(&mut slots, now);
        slots.lost();
        assert_eq!(sent(&mut slots, now), first);
        slots.lost();
        slots.expire(now + Duration::from_secs(2));
        let batch = slots.take_batch();
        assert_eq!((batch.unknown, batch.errors), (2, 0));
        // A late answer belongs to nobody.
        answer(&mut slots, first[0].0, now);
        assert!(slots.is_idle() && slots.take_batch().is_empty());
    }

    #[test]
    fn a_refused_request_waits_and_is_an_error() {
        let now = Instant::now();
        let mut slots = slots(1, now);
        let first = sent(&mut slots, now);
        let reply = Reply::Refused(Refusal::NoLeader);
        slots.answered(&Response { id: first[0].0, reply }, now).unwrap();
        let due = slots.next_due().unwrap();
        assert!(now < due && sent(&mut slots, now).is_empty());
        assert_eq!(sent(&mut slots, due), first);
        let reply = Reply::Refused(Refusal::NoLeader);
        slots.answered(&Response { id: first[0].0, reply }, due).unwrap();
        slots.expire(now + Duration::from_secs(2));
        let batch = slots.take_batch();
        assert_eq!((batch.errors, batch.unknown), (3, 0));
    }

    #[test]
    fn attempts_that_took_too_long_are_no_errors() {
        let now = Instant::now();
        let mut slots = slots(1, now);
        let first = sent(&mut slots, now);
        for _ in 0..3 {
            let reply = Reply::Refused(Refusal::Unknown);
            slots.answered(&Response { id: first[0].0, reply }, now).unwrap();
            let due = slots.next_due().unwrap();
            assert_eq!(sent(&mut slots, due), first);
        }
        answer(&mut slots, first[0].0, now);
        let batch = slots.take_batch();
        assert_eq!((batch.samples.len(), batch.errors, batch.unknown), (1, 0, 0));
        let second = sent(&mut slots, now);
        let reply = Reply::Refused(Refusal::Unknown);
        slots.answered(&Response { id: second[0].0, reply }, now).unwrap();
        slots.expire(now + Duration::from_secs(2));
        let batch = slots.take_batch();
        assert_eq!((batch.errors, batch.unknown), (0, 1));
    }

    #[test]
    fn a_forgotten_session_is_replaced_by_that_of_the_next_hello() {
        let now = Instant::now();
        let mut slots = slots(2, now);
        let first = sent(&mut slots, now);
        let reply = Reply::Session(SessionRefusal::SessionExpired);
        slots.answered(&Response { id: first[0].0, reply }, now).unwrap();
        assert!(slots.needs_session());
        slots.lost();
        slots.connected(ClientId { issued_at: 3, random: 4 });
        let batch = slots.take_batch();
        assert_eq!((batch.unknown, batch.errors), (2, 0));
        assert_eq!(sent(&mut slots, now)[0].1, 1);
    }

    #[test]
    fn no_request_begins_after_the_end_or_above_the_window() {
        let now = Instant::now();
        let mut slots = slots(1_024, now);
        let first = sent(&mut slots, now);
        assert_eq!(first.len(), 1_024);
        answer(&mut slots, first[9].0, now);
        assert!(sent(&mut slots, now).is_empty(), "serial 1 is still open");
        answer(&mut slots, first[0].0, now);
        assert_eq!(sent(&mut slots, now).len(), 1);
        answer(&mut slots, first[1].0, now + Duration::from_secs(5));
        assert!(sent(&mut slots, now + Duration::from_secs(5)).is_empty());
        assert_eq!(slots.take_batch().samples.len(), 2, "the third answer came too late");
    }
}
