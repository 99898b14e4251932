//! The watches of a client, and how far each is.
//!
//! Decides everything and touches no socket and no clock. A watch belongs to the client and not
//! to a connection: on every new connection it is asked for again, under another id, from the
//! first revision on that its user has not been shown. So nothing is lost or doubled, whichever
//! node serves it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kv_store::command::{Change, No};
use raft_core::replica::event::Refusal;
use raft_net::client_protocol::{Op, Reply, Request, Response, WatchEnded};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::back_off::pause;
use crate::error::ClientError;
use crate::requests::Advice;
use crate::watch::{Event, Update};

/// The ids of watches begin here, above those of requests.
const FIRST_ID: u64 = 1 << 62;

/// The id under which a silent node is asked whether it is there.
const PING_ID: u64 = FIRST_ID - 1;

/// Changes that wait for their user. Above it the node is told to stop, and asked again when the
/// user has taken half of them. Units: bytes.
pub(crate) const UNTAKEN_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What an event costs beside its bytes, about. Units: bytes.
const EVENT_BYTES: usize = 256;

/// A connection with nothing but watches and subscriptions on which nothing has arrived for so
/// long is asked for a sign of life.
const PING_AFTER: Duration = Duration::from_secs(1);

/// A connection that does not answer it is given up after so long without a sign.
const SILENCE_MAX: Duration = Duration::from_millis(2_500);

/// How often in a row a node may say that it knows no leader before another one is tried.
const LEADERLESS_MAX: u32 = 2;

/// Takes the number of a watch that has begun, and the revision that it shows everything after.
type Begun = oneshot::Sender<Result<(u64, u64), ClientError>>;

/// What the user of a watch wants.
#[derive(Debug)]
pub(crate) enum WatchOrder {
    /// A new one.
    Open(Opening),
    /// More, because so much was taken.
    Taken { number: u64, bytes: usize },
    /// To know how far it is.
    Mark { number: u64 },
    /// No more.
    Close { number: u64 },
}

/// A watch that is to begin.
#[derive(Debug)]
pub(crate) struct Opening {
    /// What it is about.
    pub(crate) interest: Bytes,
    /// The first revision; 0 is the next one.
    pub(crate) start: u64,
    /// Whether it is to be told how far it is while it is idle.
    pub(crate) marks: bool,
    /// By when it must have begun.
    pub(crate) deadline: Instant,
    /// Takes word of the beginning.
    pub(crate) begun: Begun,
    /// Takes what it shows.
    pub(crate) updates: mpsc::UnboundedSender<Queued>,
}

/// An update on its way to the user.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) update: Result<Update, ClientError>,
    /// What it costs while it waits. Units: bytes.
    pub(crate) bytes: usize,
}

/// Where a watch stands with the node of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is to be asked for.
    Due,
    /// It is to be asked for at this time.
    Waiting(Instant),
    /// It is asked for, under this id.
    Asked(u64),
    /// It has begun there.
    Open(u64),
    /// Its user has enough to take.
    Full,
}

#[derive(Debug)]
struct Watched {
    interest: Bytes,
    /// The first revision that has not been shown; 0 while the node is to choose it.
    next: u64,
    marks: bool,
    stage: Stage,
    /// Of the revision of which more is to follow.
    partial: Vec<Event>,
    untaken_bytes: usize,
    wants_mark: bool,
    attempts: u32,
    /// While it has never begun.
    begun: Option<(Instant, Begun)>,
    last: Option<Refusal>,
    updates: mpsc::UnboundedSender<Queued>,
}

/// All watches of a client.
#[derive(Debug)]
pub(crate) struct Watches {
    watches: BTreeMap<u64, Watched>,
    newest_number: u64,
    newest_id: u64,
    /// Which watch an id of this connection is.
    numbers: BTreeMap<u64, u64>,
    /// Ids that the node is to be told something about.
    to_unwatch: Vec<u64>,
    to_mark: Vec<u64>,
    deadlines: BTreeSet<(Instant, u64)>,
    heard_at: Instant,
    is_pinged: bool,
    leaderless: u32,
}

impl Watches {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            watches: BTreeMap::new(),
            newest_number: 0,
            newest_id: FIRST_ID,
            numbers: BTreeMap::new(),
            to_unwatch: Vec::new(),
            to_mark: Vec::new(),
            deadlines: BTreeSet::new(),
            heard_at: now,
            is_pinged: false,
            leaderless: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.watches.is_empty()
    }

    /// Takes what a user wants; it is sent by the next `encode_due`.
    pub(crate) fn obey(&mut self, order: WatchOrder) {
        match order {
            WatchOrder::Open(opening) => self.open(opening),
            WatchOrder::Taken { number, bytes } => {
                let Some(watch) = self.watches.get_mut(&number) else { return };
                watch.untaken_bytes -= bytes;
                if watch.stage == Stage::Full && watch.untaken_bytes <= UNTAKEN_BYTES_MAX / 2 {
                    watch.stage = Stage::Due;
                }
            }
            WatchOrder::Mark { number } => {
                let Some(watch) = self.watches.get_mut(&number) else { return };
                match watch.stage {
                    Stage::Open(id) => self.to_mark.push(id),
                    _ => watch.wants_mark = true,
                }
            }
            WatchOrder::Close { number } => self.close(number),
        }
    }

    fn open(&mut self, opening: Opening) {
        let Opening { interest, start, marks, deadline, begun, updates } = opening;
        self.newest_number += 1;
        let watch = Watched {
            interest,
            next: start,
            marks,
            stage: Stage::Due,
            partial: Vec::new(),
            untaken_bytes: 0,
            wants_mark: false,
            attempts: 0,
            begun: Some((deadline, begun)),
            last: None,
            updates,
        };
        self.deadlines.insert((deadline, self.newest_number));
        self.watches.insert(self.newest_number, watch);
    }

    /// Forgets a watch; the node is told if it has it.
    fn close(&mut self, number: u64) {
        if let Some(Stage::Asked(id) | Stage::Open(id)) = self.remove(number).map(|it| it.stage) {
            self.to_unwatch.push(id);
        }
    }

    fn remove(&mut self, number: u64) -> Option<Watched> {
        let watch = self.watches.remove(&number)?;
        if let Some((deadline, _)) = &watch.begun {
            self.deadlines.remove(&(*deadline, number));
        }
        if let Stage::Asked(id) | Stage::Open(id) = watch.stage {
            self.numbers.remove(&id);
        }
        Some(watch)
    }

    /// Notes a fresh connection.
    pub(crate) fn connected(&mut self, now: Instant) {
        self.heard(now);
        self.leaderless = 0;
    }

    /// Notes that something has arrived.
    pub(crate) fn heard(&mut self, now: Instant) {
        (self.heard_at, self.is_pinged) = (now, false);
    }

    /// Appends whatever the node is to be told to `output`. A sign of life is asked for also if
    /// something else is listened for than watches.
    pub(crate) fn encode_due(&mut self, now: Instant, is_listening: bool, output: &mut BytesMut) {
        for id in std::mem::take(&mut self.to_unwatch) {
            encode(&Request { id, op: Op::Unwatch }, output);
        }
        for (number, watch) in &mut self.watches {
            match watch.stage {
                Stage::Due => {}
                Stage::Waiting(until) if until <= now => {}
                Stage::Waiting(_) | Stage::Asked(_) | Stage::Open(_) | Stage::Full => continue,
            }
            self.newest_id += 1;
            let (id, start, marks) = (self.newest_id, watch.next, watch.marks);
            encode(&Request { id, op: Op::Watch { start, marks, body: &watch.interest } }, output);
            watch.stage = Stage::Asked(id);
            self.numbers.insert(id, *number);
        }
        for id in std::mem::take(&mut self.to_mark) {
            encode(&Request { id, op: Op::Mark }, output);
        }
        let is_listening = is_listening || !self.numbers.is_empty();
        if !self.is_pinged && is_listening && self.heard_at + PING_AFTER <= now {
            self.is_pinged = true;
            encode(&Request { id: PING_ID, op: Op::Status }, output);
        }
    }

    /// Takes a response if it is about a watch; `frame` is what it was read from.
    pub(crate) fn answered(
        &mut self,
        response: &Response<'_>,
        frame: &Bytes,
        now: Instant,
    ) -> Option<Advice> {
        if response.id < PING_ID {
            return None;
        }
        if let Reply::Status(status) = &response.reply {
            self.leaderless = if status.leader_id.is_none() { self.leaderless + 1 } else { 0 };
            // Other things than watches need no leader.
            let is_cut_off = LEADERLESS_MAX <= self.leaderless && !self.numbers.is_empty();
            return Some(if is_cut_off { Advice::TryAnother } else { Advice::Stay });
        }
        // What is said of an id that is not there any more is of no interest.
        let Some(&number) = self.numbers.get(&response.id) else { return Some(Advice::Stay) };
        Some(match &response.reply {
            Reply::Watching(revision) => self.begin(number, response.id, *revision),
            Reply::Events { is_cut, body } => self.show(number, *is_cut, &frame.slice_ref(body)),
            Reply::Mark(revision) => self.mark(number, *revision),
            Reply::Ended(ended) => self.ended(number, ended, now),
            Reply::Refused(refusal) => {
                if let Some(watch) = self.watches.get_mut(&number) {
                    watch.last = Some(*refusal);
                }
                self.wait(number, now);
                Advice::TryAnother
            }
            Reply::Malformed(text) => self.fail(number, ClientError::rejected(text)),
            _ => self.fail(number, ClientError::nonsense()),
        })
    }

    /// Notes that the connection is gone.
    pub(crate) fn lost(&mut self) {
        self.numbers.clear();
        self.to_unwatch.clear();
        self.to_mark.clear();
        for watch in self.watches.values_mut() {
            watch.partial.clear();
            if watch.stage != Stage::Full {
                watch.stage = Stage::Due;
            }
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
            let last = self.watches.get(&number).and_then(|watch| watch.last);
            let id = self.watches.get(&number).map(|watch| watch.stage);
            self.fail(number, absence(last));
            if let Some(Stage::Asked(id)) = id {
                self.to_unwatch.push(id);
            }
        }
    }

    /// Whether the connection gives no sign of life although it should.
    pub(crate) fn is_silent(&self, now: Instant) -> bool {
        self.is_pinged && self.heard_at + SILENCE_MAX <= now
    }

    /// When something is to be looked at next.
    pub(crate) fn next_time(&self, is_listening: bool) -> Option<Instant> {
        let waiting = self.watches.values().filter_map(|watch| match watch.stage {
            Stage::Waiting(until) => Some(until),
            Stage::Due | Stage::Asked(_) | Stage::Open(_) | Stage::Full => None,
        });
        let patience = if self.is_pinged { SILENCE_MAX } else { PING_AFTER };
        let is_listening = is_listening || !self.numbers.is_empty();
        let sign = is_listening.then_some(self.heard_at + patience);
        waiting.chain(sign).chain(self.next_deadline()).min()
    }

    /// When the first watch must have begun.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    fn begin(&mut self, number: u64, id: u64, revision: u64) -> Advice {
        let watch = self.watches.get_mut(&number).expect("a number belongs to a watch");
        watch.stage = Stage::Open(id);
        watch.attempts = 0;
        if watch.next == 0 {
            watch.next = revision + 1;
        }
        if std::mem::take(&mut watch.wants_mark) {
            self.to_mark.push(id);
        }
        let Some((deadline, begun)) = watch.begun.take() else { return Advice::Stay };
        self.deadlines.remove(&(deadline, number));
        if begun.send(Ok((number, watch.next - 1))).is_err() {
            // Nobody waits for it any more.
            self.close(number);
        }
        Advice::Stay
    }

    fn show(&mut self, number: u64, is_cut: bool, body: &Bytes) -> Advice {
        let Ok(changes) = Change::decode_all(body) else {
            return self.fail(number, ClientError::nonsense());
        };
        let watch = self.watches.get_mut(&number).expect("a number belongs to a watch");
        for change in &changes {
            // A node that shows more than it was asked for is not believed.
            if change.revision < watch.next {
                continue;
            }
            let partial = watch.partial.first().map(|event| event.revision);
            if partial.is_some_and(|partial| partial != change.revision) {
                watch.emit();
            }
            watch.partial.push(Event::owned(body, change));
        }
        if !is_cut {
            watch.emit();
        }
        if UNTAKEN_BYTES_MAX < watch.untaken_bytes {
            watch.partial.clear();
            if let Stage::Open(id) = std::mem::replace(&mut watch.stage, Stage::Full) {
                self.numbers.remove(&id);
                self.to_unwatch.push(id);
            }
        }
        Advice::Stay
    }

    fn mark(&mut self, number: u64, revision: u64) -> Advice {
        let watch = self.watches.get_mut(&number).expect("a number belongs to a watch");
        watch.next = watch.next.max(revision + 1);
        watch.queue(Ok(Update::Progress { revision }), EVENT_BYTES);
        Advice::Stay
    }

    fn ended(&mut self, number: u64, ended: &WatchEnded, now: Instant) -> Advice {
        match ended.why {
            WatchEnded::COMPACTED => {
                let why = No::Compacted { oldest: ended.revision };
                self.fail(number, ClientError::DecidedNo(why))
            }
            // It has been read by now.
            WatchEnded::SLOW => {
                self.wait(number, now);
                Advice::Stay
            }
            WatchEnded::NOT_HERE | WatchEnded::UNWATCHED => {
                self.wait(number, now);
                Advice::TryAnother
            }
            _ => self.fail(number, ClientError::rejected(&ended.text)),
        }
    }

    /// Asks once more, a little later.
    fn wait(&mut self, number: u64, now: Instant) {
        let watch = self.watches.get_mut(&number).expect("a number belongs to a watch");
        if let Stage::Asked(id) | Stage::Open(id) = watch.stage {
            self.numbers.remove(&id);
        }
        watch.attempts += 1;
        watch.partial.clear();
        watch.stage = Stage::Waiting(now + pause(watch.attempts));
    }

    /// Ends a watch with an error.
    fn fail(&mut self, number: u64, error: ClientError) -> Advice {
        let Some(mut watch) = self.remove(number) else { return Advice::Stay };
        match watch.begun.take() {
            // A user that went away does not mind.
            Some((_, begun)) => _ = begun.send(Err(error)),
            None => watch.queue(Err(error), 0),
        }
        Advice::Stay
    }
}

impl Watched {
    /// Hands a revision on, which is whole.
    fn emit(&mut self) {
        let events = std::mem::take(&mut self.partial);
        let Some(revision) = events.first().map(|event| event.revision) else { return };
        self.next = revision + 1;
        let bytes = events.iter().map(Event::bytes).sum::<usize>() + EVENT_BYTES * events.len();
        self.queue(Ok(Update::Changes { revision, events }), bytes);
    }

    fn queue(&mut self, update: Result<Update, ClientError>, bytes: usize) {
        self.untaken_bytes += bytes;
        // A user that went away says so by an order of its own.
        let _ = self.updates.send(Queued { update, bytes });
    }
}

fn encode(request: &Request<'_>, output: &mut BytesMut) {
    // Too long an interest is refused before it comes here.
    request.encode(output).expect("what is said about a watch is short");
}

#[cfg(test)]
mod tests;
