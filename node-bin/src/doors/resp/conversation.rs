//! What one Redis client has said and what it is still to be told, in order.
//!
//! Reads and writes of a connection take effect in the order in which it sent them: while
//! writes are under way, reads go through the log behind them, and while reads are, writes wait.

mod control;

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use kv_store::command::{Answer, Command, Limits, Operation};
use raft_core::entry::SessionStamp;
use raft_core::replica::event::{Refusal, SessionRefusal};
use raft_net::resp::{Batch, Protocol, ProtocolError, ReplyWriter, Words};
use tokio::sync::oneshot;

use super::RespOptions;
use super::cursors::Cursors;
use super::plan::{Client, Making, Plan, Refused, Replies, wrong_count};
use super::shape::{Shape, Telling};
use super::subscribing::Speaking;
use super::table::{self, Task};
use super::transaction::{Body, Multi, body};
use crate::channels::{Channels, Subscriber};

/// Commands of a connection that are not answered yet, at most, and how many there may always
/// be; what comes behind them waits in the socket.
const PENDING_MAX: usize = 1_024;
const PENDING_MIN: usize = 16;

/// How long an answer is taken to be before there was one. Units: bytes.
const FIRST_ANSWER_BYTES: usize = 64 * 1024;

/// Replies that are not read, or wait for others, beyond which nothing more is answered for the
/// time being. Units: bytes.
const UNREAD_BYTES_MAX: usize = 1024 * 1024;

/// Room for a small body, and for how many bytes of bodies memory is taken at once: queries are
/// kept until they are answered, and each costs no allocation of its own. Units: bytes.
const BODY_BYTES_MIN: usize = 512;
const BODY_CHUNK_BYTES: usize = 32 * 1024;

/// Words that a command has usually, at most.
const FEW_WORDS: usize = 8;

/// How an unknown command is shown, at most. Units: bytes.
const SHOWN_BYTES_MAX: usize = 128;

/// What the connections of a node share.
#[derive(Debug)]
pub(crate) struct Desk {
    cursors: Cursors,
    /// Of all clients of the node, whatever they speak.
    pub(crate) channels: Channels,
    options: RespOptions,
    node_address: String,
    limits: Limits,
    seed: u64,
    /// Units: microseconds since 1970.
    pub(crate) wall_time: u64,
    /// What is asked, encoded.
    pub(crate) body: BytesMut,
}

impl Desk {
    /// For the node that listens there; the seed is one that nobody knows.
    pub(crate) fn new(options: RespOptions, node_address: String, seed: u64) -> Self {
        let (cursors, limits) = (Cursors::new(seed), Limits::default());
        let (channels, body) = (Channels::default(), BytesMut::new());
        Self { cursors, channels, options, node_address, limits, seed, wall_time: 0, body }
    }

    fn next_seed(&mut self) -> u64 {
        self.seed =
            self.seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        self.seed
    }
}

/// What a connection asks; the body lies on the desk.
#[derive(Debug)]
pub(crate) struct Ask {
    /// Which of the connection's requests it is.
    pub(crate) request: u64,
    /// The stamp of a write; nothing else has one.
    pub(crate) write: Option<SessionStamp>,
    /// Whether the node itself is asked, about itself.
    pub(crate) is_of_node: bool,
}

/// What the reader of a connection is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Read on.
    On,
    /// Throw away what comes: nothing of it will be answered.
    Off,
}

/// A reply that is still to come, or that waits for those before it.
#[derive(Debug)]
enum Pending {
    Waits {
        shape: Shape,
        is_wrapped: bool,
        is_write: bool,
        is_silent: bool,
    },
    Watch {
        keys: Vec<Bytes>,
        is_write: bool,
        is_silent: bool,
    },
    /// How many nodes have what was written before.
    Copies {
        is_silent: bool,
    },
    Ready(BytesMut),
}

/// What became of a command.
enum Step {
    /// It is answered, or its answer waits.
    Done,
    /// It must wait for earlier ones.
    Blocked,
    /// It is to be asked.
    Asked(Ask),
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Conversation {
    client: Client,
    subscriber: Subscriber,
    multi: Multi,
    pending: VecDeque<Pending>,
    /// The request of the first that is pending.
    first: u64,
    reads: usize,
    writes: usize,
    /// Whether what follows must wait for the answer that comes last.
    is_held: bool,
    /// Whether it is told messages.
    is_subscribed: bool,
    /// What replies take that wait for those before them. Units: bytes.
    ready_bytes: usize,
    /// How long answers were lately; a long one counts for a while. Units: bytes.
    answer_bytes: usize,
    batch: Batch,
    /// The next command of the batch.
    place: usize,
    failure: Option<ProtocolError>,
    go_on: Option<oneshot::Sender<Reading>>,
    is_closing: bool,
}

impl Conversation {
    /// A connection that has said nothing yet, and by what name it is known to channels.
    pub(crate) fn new(id: u64, address: String, subscriber: Subscriber) -> Self {
        let client = Client {
            id,
            address,
            protocol: Protocol::default(),
            name: Vec::new(),
            library: [Vec::new(), Vec::new()],
            request_id: None,
            replies: Replies::default(),
        };
        Self {
            client,
            subscriber,
            multi: Multi::default(),
            pending: VecDeque::new(),
            first: 0,
            reads: 0,
            writes: 0,
            is_held: false,
            is_subscribed: false,
            ready_bytes: 0,
            answer_bytes: FIRST_ANSWER_BYTES,
            batch: Batch::default(),
            place: 0,
            failure: None,
            go_on: None,
            is_closing: false,
        }
    }

    /// Takes what has arrived. The next comes only when the reader was told to go on.
    pub(crate) fn take_in(
        &mut self,
        batch: Batch,
        failure: Option<ProtocolError>,
        go_on: oneshot::Sender<Reading>,
    ) {
        (self.batch, self.place, self.failure, self.go_on) = (batch, 0, failure, Some(go_on));
    }

    /// Nothing more will arrive; the replies that are still to come are told.
    pub(crate) fn end(&mut self) {
        self.is_closing = true;
    }

    /// How many requests are not answered yet.
    pub(crate) fn in_flight(&self) -> usize {
        self.reads + self.writes
    }

    /// Whether nothing more is to be said, and the connection can be closed when all of it is
    /// written.
    pub(crate) fn is_over(&self) -> bool {
        self.is_closing && self.pending.is_empty()
    }

    /// How many commands may wait for their answers: fewer when those are long, so that they do
    /// not come all at once.
    fn window(&self) -> usize {
        (UNREAD_BYTES_MAX / self.answer_bytes.max(1)).clamp(PENDING_MIN, PENDING_MAX)
    }

    /// Whether a command that has arrived could be gone on with if there were room.
    pub(crate) fn has_more(&self) -> bool {
        self.place < self.batch.len() && !self.is_closing && self.pending.is_empty()
    }

    /// Lets the reader go on if everything that it brought is dealt with and enough is answered.
    pub(crate) fn read_on(&mut self) {
        let is_done = self.place == self.batch.len() || self.is_closing;
        if !is_done || PENDING_MAX / 2 < self.pending.len() {
            return;
        }
        if let Some(go_on) = self.go_on.take() {
            (self.batch, self.place) = (Batch::default(), 0);
            let next = if self.is_closing { Reading::Off } else { Reading::On };
            // A reader that has ended says so itself.
            let _ = go_on.send(next);
        }
    }

    /// Goes through what has arrived until something is to be asked, or has to wait, or nothing
    /// is left. Replies are appended to `out`.
    pub(crate) fn next(&mut self, desk: &mut Desk, out: &mut BytesMut) -> Option<Ask> {
        let batch = std::mem::take(&mut self.batch);
        let mut asked = None;
        while self.place < batch.len() && asked.is_none() {
            let is_full = self.window() <= self.pending.len()
                || UNREAD_BYTES_MAX <= self.ready_bytes + out.len();
            if self.is_closing || self.is_held || is_full {
                break;
            }
            match self.command(batch.get(self.place), desk, out) {
                Step::Blocked => break,
                Step::Done => {}
                Step::Asked(ask) => asked = Some(ask),
            }
            self.place += 1;
        }
        if self.place == batch.len()
            && let Some(failure) = self.failure.take()
        {
            self.refuse(&format!("ERR {failure}"), out);
            self.is_closing = true;
        }
        self.batch = batch;
        asked
    }

    /// The version in which it is told things.
    pub(crate) fn protocol(&self) -> Protocol {
        self.client.protocol
    }

    /// Whether replies are not wanted.
    fn is_silent(&self) -> bool {
        self.client.replies != Replies::All
    }

    /// Replies at once, or behind the replies that are still to come.
    fn say(&mut self, out: &mut BytesMut, say: impl FnOnce(&mut ReplyWriter<'_>)) {
        if self.is_silent() {
            return;
        }
        let protocol = self.client.protocol;
        if self.pending.is_empty() {
            say(&mut ReplyWriter::new(out, protocol));
            return;
        }
        if !matches!(self.pending.back(), Some(Pending::Ready(_))) {
            self.pending.push_back(Pending::Ready(BytesMut::new()));
        }
        if let Some(Pending::Ready(reply)) = self.pending.back_mut() {
            let before = reply.len();
            say(&mut ReplyWriter::new(reply, protocol));
            self.ready_bytes += reply.len() - before;
        }
    }

    fn refuse(&mut self, text: &str, out: &mut BytesMut) {
        self.say(out, |reply| reply.error(text));
    }

    fn command(&mut self, words: Words<'_>, desk: &mut Desk, out: &mut BytesMut) -> Step {
        let mut few = [&b""[..]; FEW_WORDS];
        let many: Vec<&[u8]>;
        let words = match few.get_mut(..words.len()) {
            Some(few) => {
                few.iter_mut().zip(words.iter()).for_each(|(place, word)| *place = word);
                &*few
            }
            None => {
                many = words.iter().collect();
                &many[..]
            }
        };
        let before = self.client.replies;
        self.client.replies = before.at_next_command();
        match self.dispatch(words, desk, out) {
            Ok(Step::Blocked) => {
                self.client.replies = before;
                Step::Blocked
            }
            Ok(step) => step,
            Err(refused) => {
                self.multi.spoil();
                self.refuse(&refused, out);
                Step::Done
            }
        }
    }

    fn dispatch(
        &mut self,
        words: &[&[u8]],
        desk: &mut Desk,
        out: &mut BytesMut,
    ) -> Result<Step, Refused> {
        let entry = table::find(words[0]).ok_or_else(|| unknown(words))?;
        if !entry.takes(words.len()) {
            return Err(wrong_count(entry.name));
        }
        let is_resp2 = self.client.protocol == Protocol::Resp2;
        if self.is_subscribed && is_resp2 && !entry.is_for_subscribers() {
            let name = entry.full_name(words);
            return Err(format!(
                "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / \
                 QUIT / RESET are allowed in this context"
            )
            .into());
        }
        if self.multi.is_open() && !entry.is_for_now() {
            entry.check_of_group(words)?;
            self.check_queued(entry.name, words)?;
            self.multi.queue(words, matches!(entry.task, Task::Speak))?;
            self.say(out, |reply| reply.status("QUEUED"));
            return Ok(Step::Done);
        }
        let plan = match entry.task {
            Task::Plan(plan) => plan,
            Task::Control(control) => return Ok(self.control(control, words, desk, out)),
            Task::Speak => return self.speak(words, desk, out),
        };
        // What is still to be told is told in the version in which it was asked.
        if entry.name == "hello" && !self.pending.is_empty() {
            return Ok(Step::Blocked);
        }
        let seed = desk.next_seed();
        let Desk { cursors, options, node_address, limits, wall_time, body, .. } = desk;
        let mut making = Making {
            client: &mut self.client,
            cursors,
            options: *options,
            now_ms: *wall_time / 1_000,
            seed,
            node_address,
        };
        let plan = match plan(&mut making, words) {
            Ok(plan) => plan,
            Err(refused) => {
                self.refuse(&refused, out);
                return Ok(Step::Done);
            }
        };
        if plan.is_write && 0 < self.reads {
            return Ok(Step::Blocked);
        }
        let step = self.ask(plan, (body, limits), out);
        if entry.name != "client" {
            self.client.request_id = None;
        }
        Ok(step)
    }

    /// Asks for what a plan says, or says what it can say without asking.
    fn ask(
        &mut self,
        plan: Plan<'_>,
        (bytes, limits): (&mut BytesMut, &Limits),
        out: &mut BytesMut,
    ) -> Step {
        let Plan { operation, is_write, shape } = plan;
        let Some(operation) = operation else {
            if let Shape::Said(reply) = shape {
                self.say(out, |replies| replies.raw(&reply));
            }
            return Step::Done;
        };
        let is_wrapped = match self.encode(operation, is_write, (bytes, limits)) {
            Ok(is_wrapped) => is_wrapped,
            Err(refused) => {
                self.refuse(&refused, out);
                return Step::Done;
            }
        };
        let stamp = self.client.request_id.filter(|_| is_write);
        let (request, write) = self.begin(stamp, is_write);
        let is_write = write.is_some();
        let is_silent = self.is_silent();
        self.pending.push_back(Pending::Waits { shape, is_wrapped, is_write, is_silent });
        Step::Asked(Ask { request, write, is_of_node: false })
    }

    /// Writes what is asked to `bytes`; returns whether its answer lies in that of a transaction.
    fn encode(
        &self,
        operation: Operation<'_>,
        is_write: bool,
        (bytes, limits): (&mut BytesMut, &Limits),
    ) -> Result<bool, Refused> {
        let (asked, is_wrapped) = body(operation, is_write || 0 < self.writes);
        bytes.clear();
        if bytes.capacity() < BODY_BYTES_MIN {
            bytes.reserve(BODY_CHUNK_BYTES);
        }
        let checked = match asked {
            Body::Command(command) => command.check(limits).and_then(|()| {
                command.encode(bytes);
                Command::check_encoded(bytes)
            }),
            Body::Query(query) => {
                query.encode(bytes);
                query.check(limits)
            }
        };
        checked.map_err(|error| Refused::from(format!("ERR {error}")))?;
        Ok(is_wrapped)
    }

    /// The number of the next request, and its stamp if it goes through the log.
    fn begin(
        &mut self,
        stamp: Option<SessionStamp>,
        is_write: bool,
    ) -> (u64, Option<SessionStamp>) {
        let through_log = is_write || 0 < self.writes;
        *if through_log { &mut self.writes } else { &mut self.reads } += 1;
        let request = self.first + self.pending.len() as u64;
        (request, through_log.then(|| stamp.unwrap_or_default()))
    }

    /// Takes the answer to a request; the replies that can be told now are appended to `out`.
    pub(crate) fn answered(
        &mut self,
        request: u64,
        told: &Told<'_>,
        desk: &mut Desk,
        out: &mut BytesMut,
    ) {
        let place = request.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        let Some(place) = place.filter(|place| *place < self.pending.len()) else { return };
        if place == 0 {
            let pending = self.pending.pop_front();
            self.first += 1;
            pending.into_iter().for_each(|pending| self.tell(pending, told, desk, out));
            while let Some(Pending::Ready(reply)) = self.pending.front() {
                out.extend_from_slice(reply);
                self.ready_bytes -= reply.len();
                self.pending.pop_front();
                self.first += 1;
            }
            return;
        }
        let ready = Pending::Ready(BytesMut::new());
        let pending = std::mem::replace(&mut self.pending[place], ready);
        let mut reply = BytesMut::new();
        self.tell(pending, told, desk, &mut reply);
        self.ready_bytes += reply.len();
        self.pending[place] = Pending::Ready(reply);
    }

    fn tell(&mut self, pending: Pending, told: &Told<'_>, desk: &mut Desk, out: &mut BytesMut) {
        let (is_write, is_silent) = match &pending {
            Pending::Waits { is_write, is_silent, .. } => (*is_write, *is_silent),
            Pending::Watch { is_write, is_silent, .. } => (*is_write, *is_silent),
            Pending::Copies { is_silent } => (false, *is_silent),
            Pending::Ready(_) => return,
        };
        *if is_write { &mut self.writes } else { &mut self.reads } -= 1;
        // Who holds others is the last.
        self.is_held &= 0 < self.in_flight();
        if let Told::Answer(bytes) = told {
            self.answer_bytes = bytes.len().max(self.answer_bytes - self.answer_bytes / 8);
        }
        if is_silent {
            return self.write(pending, told, desk, &mut BytesMut::new());
        }
        self.write(pending, told, desk, out);
    }

    /// Writes the reply that an answer comes to.
    fn write(&mut self, pending: Pending, told: &Told<'_>, desk: &mut Desk, out: &mut BytesMut) {
        let mut reply = ReplyWriter::new(out, self.client.protocol);
        let answer = match told {
            Told::Answer(bytes) => match Answer::decode(bytes) {
                Ok(answer) => answer,
                Err(error) => return reply.error(&format!("ERR {error}")),
            },
            Told::Refused(refusal) => return reply.error(refused(*refusal)),
            Told::Session(refusal) => return reply.error(refused_by_session(*refusal)),
            Told::Copies(others) => return reply.count(*others as u64),
        };
        match pending {
            Pending::Waits { shape, is_wrapped, .. } => {
                let mut telling = telling(desk, self.subscriber, reply);
                match &answer {
                    Answer::Transaction(told) if is_wrapped => {
                        telling.tell(&shape, told.answers.first());
                    }
                    answer => telling.tell(&shape, Some(answer)),
                }
                self.note_subscriptions(desk);
            }
            Pending::Watch { keys, .. } => {
                if self.multi.watch(keys, &answer) {
                    reply.status("OK");
                } else {
                    reply.error("ERR the keys could not be read");
                }
            }
            Pending::Copies { .. } | Pending::Ready(_) => {}
        }
    }
}

/// What a reply of this connection is told with.
fn telling<'t>(desk: &'t mut Desk, subscriber: Subscriber, out: ReplyWriter<'t>) -> Telling<'t> {
    let Desk { cursors, channels, wall_time, .. } = desk;
    let speaking = Speaking { channels, subscriber, is_silent: false };
    Telling { out, cursors, now_ms: *wall_time / 1_000, speaking }
}

/// How a request ended.
#[derive(Debug)]
pub(crate) enum Told<'a> {
    /// The store answered.
    Answer(&'a [u8]),
    /// Nothing was decided.
    Refused(Refusal),
    /// The session rules decided.
    Session(SessionRefusal),
    /// How many other nodes have on disk whatever was answered.
    Copies(usize),
}

fn refused(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NoLeader => "CLUSTERDOWN no leader was found in time, nothing was done",
        Refusal::Overloaded => "TRYAGAIN too much is in flight, nothing was done",
        Refusal::TooLarge => "ERR the command is longer than an entry may be, nothing was done",
        Refusal::Stopping => "TRYAGAIN this node is stopping, nothing was done",
        Refusal::NoSpace => {
            "OOM there is no room, in memory or on the disks of a majority, nothing was done"
        }
        Refusal::Fenced => "TRYAGAIN the state of this node is being replaced, nothing was done",
        Refusal::NotHandedOver => "ERR nobody took over leadership in time",
        Refusal::Unknown => "UNKNOWN the command may or may not have taken effect",
    }
}

fn refused_by_session(refusal: SessionRefusal) -> &'static str {
    match refusal {
        SessionRefusal::AlreadyAcknowledged => {
            "SESSION the serial is too far below the newest one, nothing was done now"
        }
        SessionRefusal::WindowExceeded => {
            "SESSION kept answers take too much room, nothing was done; use another client id"
        }
        SessionRefusal::SessionExpired => {
            "SESSION the cluster has forgotten the client id, nothing was done now; read what the \
             command was to change and use another client id"
        }
    }
}

/// How Redis says that it does not know a command.
fn unknown(words: &[&[u8]]) -> Refused {
    let shown = |word: &[u8]| {
        String::from_utf8_lossy(&word[..word.len().min(SHOWN_BYTES_MAX)]).into_owned()
    };
    let mut arguments = String::new();
    for word in &words[1..] {
        if SHOWN_BYTES_MAX <= arguments.len() {
            break;
        }
        let left = SHOWN_BYTES_MAX - arguments.len();
        let word = &word[..word.len().min(left)];
        arguments.push_str(&format!("'{}' ", String::from_utf8_lossy(word)));
    }
    format!("ERR unknown command '{}', with args beginning with: {arguments}", shown(words[0]))
        .into()
}
