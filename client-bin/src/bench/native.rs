//! One connection of a load: moves bytes between the socket and [`Slots`], which decides.

use std::pin::pin;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use raft_net::client_protocol::Response;
use raft_net::frame::CLIENT_FRAME_BYTES_MAX;
use tokio::io::Interest;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::slots::Slots;
use super::tally::Batch;
use super::{Load, turned};
use crate::back_off::pause;
use crate::dial::{CONNECT_TIMEOUT, Endpoints, Link, dial};
use crate::driver::{read_some, write_some};
use crate::error::ClientError;
use crate::requests::SILENCE_MAX;

/// How often a lane looks after what has taken too long, and tells what it measured.
const TICK: Duration = Duration::from_millis(100);

/// One connection, and those that follow it when it is lost.
#[derive(Debug)]
pub(super) struct Lane {
    slots: Slots,
    endpoints: Endpoints,
    /// A session means something only in the cluster that gave it out.
    cluster_id: u64,
    batches: mpsc::Sender<Batch>,
    stop_at: Instant,
    /// When the last requests are given up.
    end_at: Instant,
}

/// Why a connection is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It is gone, silent, or of no use.
    Link,
    /// It is all measured, and nothing is outstanding.
    Finished,
}

impl Lane {
    /// Errors: if an endpoint is no address.
    pub(super) fn new(
        load: &Load,
        place: usize,
        link: &Link,
        start: Instant,
        batches: mpsc::Sender<Batch>,
    ) -> Result<Self, ClientError> {
        let stop_at = start + load.duration;
        Ok(Self {
            slots: Slots::new(load, link.hello.client, start),
            endpoints: Endpoints::new(turned(&load.endpoints, place))?,
            cluster_id: link.hello.cluster_id,
            batches,
            stop_at,
            end_at: stop_at + load.timeout,
        })
    }

    /// Measures until the time is over and everything is answered or given up.
    ///
    /// Errors: if a node rejects what is sent.
    pub(super) async fn run(mut self, first: Link) -> Result<(), ClientError> {
        let mut link = first;
        while self.converse(link).await? == End::Link {
            match self.reconnect().await {
                Some(next) => link = next,
                None => break,
            }
        }
        self.slots.give_up();
        let batch = self.slots.take_batch();
        // Nobody listens if another lane has failed.
        let _ = self.batches.send(batch).await;
        Ok(())
    }

    async fn converse(&mut self, link: Link) -> Result<End, ClientError> {
        let Link { stream, mut input, hello, address } = link;
        let mut output = BytesMut::new();
        let mut heard_at = Instant::now();
        let mut timer = pin!(sleep_until(heard_at));
        self.slots.connected(hello.client);
        let end = loop {
            let now = Instant::now();
            if !self.take_responses(&mut input, now)? || self.slots.needs_session() {
                break End::Link;
            }
            self.slots.fill(now, &mut output)?;
            if self.stop_at <= now && self.slots.is_idle() {
                return Ok(End::Finished);
            }
            if write_some(&stream, &mut output).is_err() {
                break End::Link;
            }
            if let Some(batch) = self.slots.take_full_batch() {
                self.hand_on(batch);
            }
            let wake = (now + TICK).min(self.slots.next_due().unwrap_or(now + TICK));
            if timer.deadline() <= now || wake < timer.deadline() {
                timer.as_mut().reset(wake);
            }
            let interest = if output.is_empty() {
                Interest::READABLE
            } else {
                Interest::READABLE | Interest::WRITABLE
            };
            tokio::select! {
                biased;
                ready = stream.ready(interest) => {
                    match ready.and_then(|_| read_some(&stream, &mut input)) {
                        Ok(()) => heard_at = now,
                        Err(_) => break End::Link,
                    }
                }
                () = &mut timer => {
                    let now = Instant::now();
                    self.slots.expire(now);
                    let batch = self.slots.take_batch();
                    self.hand_on(batch);
                    if heard_at + SILENCE_MAX <= now {
                        break End::Link;
                    }
                }
            }
        };
        self.slots.lost();
        self.endpoints.failed(&address, None, Instant::now());
        Ok(end)
    }

    /// Connects again; nothing if there is no more reason to.
    async fn reconnect(&mut self) -> Option<Link> {
        for attempt in 1.. {
            let now = Instant::now();
            self.slots.expire(now);
            if self.end_at <= now || (self.stop_at <= now && self.slots.is_idle()) {
                break;
            }
            let address = self.endpoints.next().to_owned();
            match dial(&address, self.cluster_id, CONNECT_TIMEOUT).await {
                Ok(link) => {
                    self.endpoints.served(&address);
                    return Some(link);
                }
                Err(error) => self.endpoints.failed(&address, Some(error), Instant::now()),
            }
            if attempt % self.endpoints.len() == 0 {
                let pass = attempt / self.endpoints.len();
                sleep(pause(u32::try_from(pass).unwrap_or(u32::MAX))).await;
            }
        }
        None
    }

    /// Takes every whole response where it lies. Returns whether the connection makes sense.
    ///
    /// Errors: if the node rejects a request for good.
    fn take_responses(&mut self, input: &mut BytesMut, now: Instant) -> Result<bool, ClientError> {
        let mut taken = 0;
        let makes_sense = loop {
            match first_frame(&input[taken..]) {
                First::Frame(content) => {
                    let Ok(response) = Response::decode(content) else { break false };
                    self.slots.answered(&response, now)?;
                    taken += PREFIX_BYTES + content.len();
                }
                First::Incomplete => break true,
                First::TooLong => break false,
            }
        };
        input.advance(taken);
        Ok(makes_sense)
    }

    fn hand_on(&mut self, batch: Batch) {
        if batch.is_empty() {
            return self.slots.put_back(batch);
        }
        if let Err(mpsc::error::TrySendError::Full(batch)) = self.batches.try_send(batch) {
            self.slots.put_back(batch);
        }
    }
}

const PREFIX_BYTES: usize = 4;

/// What stands at the front of some bytes.
enum First<'a> {
    Frame(&'a [u8]),
    Incomplete,
    TooLong,
}

/// As `raft_net::frame::Frames` does, without taking the frame out of the buffer.
fn first_frame(bytes: &[u8]) -> First<'_> {
    let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX_BYTES>() else {
        return First::Incomplete;
    };
    let length = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
    if CLIENT_FRAME_BYTES_MAX < length {
        return First::TooLong;
    }
    rest.get(..length).map_or(First::Incomplete, First::Frame)
}
