//! The subscriptions of a client to channels, and where each stands with the node.
//!
//! Decides everything and touches no socket and no clock. A subscription belongs to the client
//! and not to a connection: on every new connection it is asked for again, under another id. What
//! was said meanwhile is lost, for nobody keeps it, and the user is told that it may be.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};
use raft_core::replica::event::Refusal;
use raft_net::client_protocol::{Op, Reply, Request, Response, WatchEnded};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::back_off::pause;
use crate::error::ClientError;
use crate::requests::Advice;
use crate::subscription::{Heard, Message};

/// The ids of subscriptions begin here, above those of requests and below those of watches.
const FIRST_ID: u64 = 1 << 61;

/// The first id that is above them.
const END_ID: u64 = FIRST_ID << 1;

/// Messages that wait for their user; beyond it they are dropped, which the user is told.
/// Units: bytes.
const UNTAKEN_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What a message costs beside its bytes, about. Units: bytes.
const MESSAGE_BYTES: usize = 256;

/// Takes the number of a subscription that has begun.
type Begun = oneshot::Sender<Result<u64, ClientError>>;

/// What the user of a subscription wants.
#[derive(Debug)]
pub(crate) enum SubscriptionOrder {
    /// A new one.
    Open(Opening),
    /// So much was taken.
    Taken { number: u64, bytes: usize },
    /// No more.
    Close { number: u64 },
}

/// A subscription that is to begin.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) channels: Vec<Bytes>,
    pub(crate) patterns: Vec<Bytes>,
    /// By when it must have begun.
    pub(crate) deadline: Instant,
    /// Takes word of the beginning.
    pub(crate) begun: Begun,
    /// Takes what is said.
    pub(crate) heard: mpsc::UnboundedSender<Queued>,
}

/// Something on its way to the user.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) heard: Result<Heard, ClientError>,
    /// What it costs while it waits. Units: bytes.
    pub(crate) bytes: usize,
}

/// Where a subscription stands with the node of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is to be asked for.
    Due,
    /// It is to be asked for at this time.
    Waiting(Instant),
    /// It is asked for, under this id, or stands.
    Asked(u64),
}

#[derive(Debug)]
struct Subscribed {
    channels: Vec<Bytes>,
    patterns: Vec<Bytes>,
    stage: Stage,
    /// Whether something may have been missed that the user has not been told of.
    has_gap: bool,
    untaken_bytes: usize,
    attempts: u32,
    /// While it has never begun.
    begun: Option<(Instant, Begun)>,
    last: Option<Refusal>,
    heard: mpsc::UnboundedSender<Queued>,
}

/// All subscriptions of a client.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    subscriptions: BTreeMap<u64, Subscribed>,
    newest_number: u64,
    newest_id: u64,
    /// Which subscription an id of this connection is.
    numbers: BTreeMap<u64, u64>,
    /// Ids that the node is to be told the end of.
    to_end: Vec<u64>,
    deadlines: BTreeSet<(Instant, u64)>,
}

impl Subscriptions {
    pub(crate) fn is_empty(&self) -> bool {
        self.subscriptions.is_empty()
    }

    /// Whether something is to come from the node.
    pub(crate) fn is_listening(&self) -> bool {
        !self.numbers.is_empty()
    }

    /// Takes what a user wants; it is sent by the next `encode_due`.
    pub(crate) fn obey(&mut self, order: SubscriptionOrder) {
        match order {
            SubscriptionOrder::Open(opening) => self.open(opening),
            SubscriptionOrder::Taken { number, bytes } => {
                if let Some(subscribed) = self.subscriptions.get_mut(&number) {
                    subscribed.untaken_bytes -= bytes;
                    // The user learns of a gap also when nothing is said behind it.
                    subscribed.tell_gap();
                }
            }
            SubscriptionOrder::Close { number } => {
                if let Some(Stage::Asked(id)) = self.remove(number).map(|it| it.stage) {
                    self.to_end.push(id);
                }
            }
        }
    }

    fn open(&mut self, opening: Opening) {
        let Opening { channels, patterns, deadline, begun, heard } = opening;
        self.newest_number += 1;
        let subscribed = Subscribed {
            channels,
            patterns,
            stage: Stage::Due,
            has_gap: false,
            untaken_bytes: 0,
            attempts: 0,
            begun: Some((deadline, begun)),
            last: None,
            heard,
        };
        self.deadlines.insert((deadline, self.newest_number));
        self.subscriptions.insert(self.newest_number, subscribed);
    }

    fn remove(&mut self, number: u64) -> Option<Subscribed> {
        let subscribed = self.subscriptions.remove(&number)?;
        if let Some((deadline, _)) = &subscribed.begun {
            self.deadlines.remove(&(*deadline, number));
        }
        if let Stage::Asked(id) = subscribed.stage {
            self.numbers.remove(&id);
        }
        Some(subscribed)
    }

    /// Appends whatever the node is to be told to `output`.
    pub(crate) fn encode_due(&mut self, now: Instant, output: &mut BytesMut) {
        for id in std::mem::take(&mut self.to_end) {
            encode(&Request { id, op: Op::Unwatch }, output);
        }
        for (number, subscribed) in &mut self.subscriptions {
            match subscribed.stage {
                Stage::Due => {}
                Stage::Waiting(until) if until <= now => {}
                Stage::Waiting(_) | Stage::Asked(_) => continue,
            }
            self.newest_id += 1;
            let id = FIRST_ID + self.newest_id;
            let channels = subscribed.channels.iter().map(|it| (&it[..]).into()).collect();
            let patterns = subscribed.patterns.iter().map(|it| (&it[..]).into()).collect();
            encode(&Request { id, op: Op::Subscribe { channels, patterns } }, output);
            subscribed.stage = Stage::Asked(id);
            self.numbers.insert(id, *number);
        }
    }

    /// Takes a response if it is about a subscription; `frame` is what it was read from.
    pub(crate) fn answered(
        &mut self,
        response: &Response<'_>,
        frame: &Bytes,
        now: Instant,
    ) -> Option<Advice> {
        if !(FIRST_ID..END_ID - 1).contains(&response.id) {
            return None;
        }
        // What is said of an id that is not there any more is of no interest.
        let Some(&number) = self.numbers.get(&response.id) else { return Some(Advice::Stay) };
        Some(match &response.reply {
            Reply::Message { pattern, channel, message } => {
                let message = Message {
                    pattern: pattern.map(|it| frame.slice_ref(it)),
                    channel: frame.slice_ref(channel),
                    message: frame.slice_ref(message),
                };
                let subscribed = self.subscriptions.get_mut(&number);
                subscribed.expect("a number belongs to a subscription").hear(message);
                Advice::Stay
            }
            Reply::Subscribed => self.begin(number),
            Reply::Refused(refusal) => {
                if let Some(subscribed) = self.subscriptions.get_mut(&number) {
                    subscribed.last = Some(*refusal);
                }
                self.wait(number, now);
                Advice::TryAnother
            }
            // It has been read by now.
            Reply::Ended(ended) if ended.why == WatchEnded::SLOW => {
                self.wait(number, now);
                Advice::Stay
            }
            Reply::Ended(_) => {
                self.wait(number, now);
                Advice::TryAnother
            }
            Reply::Malformed(text) => self.fail(number, ClientError::rejected(text)),
            _ => self.fail(number, ClientError::nonsense()),
        })
    }

    fn begin(&mut self, number: u64) -> Advice {
        let subscribed = self.subscriptions.get_mut(&number);
        let subscribed = subscribed.expect("a number belongs to a subscription");
        subscribed.attempts = 0;
        subscribed.tell_gap();
        let Some((deadline, begun)) = subscribed.begun.take() else { return Advice::Stay };
        self.deadlines.remove(&(deadline, number));
        if begun.send(Ok(number)).is_err() {
            // Nobody waits for it any more.
            self.obey(SubscriptionOrder::Close { number });
        }
        Advice::Stay
    }

    /// Asks once more, a little later.
    fn wait(&mut self, number: u64, now: Instant) {
        let subscribed = self.subscriptions.get_mut(&number);
        let subscribed = subscribed.expect("a number belongs to a subscription");
        if let Stage::Asked(id) = subscribed.stage {
            self.numbers.remove(&id);
        }
        subscribed.has_gap |= subscribed.begun.is_none();
        subscribed.attempts += 1;
        subscribed.stage = Stage::Waiting(now + pause(subscribed.attempts));
    }

    /// Ends a subscription with an error.
    fn fail(&mut self, number: u64, error: ClientError) -> Advice {
        let Some(mut subscribed) = self.remove(number) else { return Advice::Stay };
        match subscribed.begun.take() {
            // A user that went away does not mind.
            Some((_, begun)) => _ = begun.send(Err(error)),
            None => subscribed.queue(Err(error), 0),
        }
        Advice::Stay
    }

    /// Notes that the connection is gone.
    pub(crate) fn lost(&mut self) {
        self.numbers.clear();
        self.to_end.clear();
        for subscribed in self.subscriptions.values_mut() {
            subscribed.stage = Stage::Due;
            subscribed.has_gap |= subscribed.begun.is_none();
        }
    }

    /// Ends what had to begin by now. `absence` says what to tell, given what a node has said.
    pub(crate) fn expire(
        &mut self,
        now: Instant,
        absence: impl Fn(Option<Refusal>) -> ClientError,
    ) {
        while let Some((deadline, number)) = self.deadlines.first().copied()
            && deadline <= now
        {
            let subscribed = self.subscriptions.get(&number);
            let (last, stage) = subscribed.map(|it| (it.last, it.stage)).unzip();
            self.fail(number, absence(last.flatten()));
            if let Some(Stage::Asked(id)) = stage {
                self.to_end.push(id);
            }
        }
    }

    /// When something is to be looked at next.
    pub(crate) fn next_time(&self) -> Option<Instant> {
        let waiting = self.subscriptions.values().filter_map(|it| match it.stage {
            Stage::Waiting(until) => Some(until),
            Stage::Due | Stage::Asked(_) => None,
        });
        waiting.chain(self.next_deadline()).min()
    }

    /// When the first subscription must have begun.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }
}

impl Subscribed {
    fn hear(&mut self, message: Message) {
        let bytes = message.bytes() + MESSAGE_BYTES;
        self.tell_gap();
        if UNTAKEN_BYTES_MAX < self.untaken_bytes + bytes && 0 < self.untaken_bytes {
            self.has_gap = true;
        } else {
            self.queue(Ok(Heard::Message(message)), bytes);
        }
    }

    /// Tells the user of a gap, once there is room for what comes behind it.
    fn tell_gap(&mut self) {
        let is_there = matches!(self.stage, Stage::Asked(_));
        if self.has_gap && is_there && self.untaken_bytes <= UNTAKEN_BYTES_MAX / 2 {
            self.has_gap = false;
            self.queue(Ok(Heard::Gap), MESSAGE_BYTES);
        }
    }

    fn queue(&mut self, heard: Result<Heard, ClientError>, bytes: usize) {
        self.untaken_bytes += bytes;
        // A user that went away says so by an order of its own.
        let _ = self.heard.send(Queued { heard, bytes });
    }
}

fn encode(request: &Request<'_>, output: &mut BytesMut) {
    // Too long a list of names is refused before it comes here.
    request.encode(output).expect("what is said about a subscription is short");
}

#[cfg(test)]
mod tests;
