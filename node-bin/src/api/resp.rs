//! Connections of Redis clients, beside the native ones: what they ask goes into the same
//! rounds.

use std::time::Duration;

use actix::{AsyncContext, Handler, Recipient};
use bytes::BytesMut;
use raft_core::configuration::Configuration;
use raft_core::replica::event::{Outcome, Refusal, Status, Ticket};
use raft_net::inbox::{Arrived, Inbox, Readable};
use raft_net::listener::DoorAccepted;
use raft_net::outbox::Outbox;
use raft_net::resp::{Parser, Protocol};
use raft_net::stream::make_room;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::by_number::ByNumber;
use super::round::Round;
use super::{Api, CONNECTIONS_MAX};
use crate::channels::{Channels, Subscriber};
use crate::clock::Clock;
use crate::consensus::Describe;
use crate::doors::resp::{Ask, Conversation, Desk, Reading, RespOptions, Told};

/// Marks the numbers of these connections, so that one look tells whose an answer is.
const MARK: u64 = 1 << 63;

/// Replies that a client has not read; beyond it the connection is closed. Units: bytes.
const OUTPUT_BYTES_MAX: usize = 80 * 1024 * 1024;

/// With so much waiting a message makes the socket be tried at once. Units: bytes.
const MESSAGES_BYTES: usize = 16 * 1024;

/// How much is read of a connection before others have their turn. Units: bytes.
const READ_BYTES: usize = 64 * 1024;

/// How long a command may wait. Units: microseconds.
const TIMEOUT_US: u64 = 5_000_000;

/// How long a client that said something senseless may take to read why.
const FAREWELL: Duration = Duration::from_secs(5);

/// Whether a connection is one of these.
pub(super) fn is_resp(connection: u64) -> bool {
    connection & MARK != 0
}

/// Every Redis client of the node, and what they share.
#[derive(Debug)]
pub(super) struct RespClients {
    desk: Desk,
    connections: ByNumber<Connection>,
    newest: u64,
    /// Where what arrives is read into. It is shared, because most of what arrives is whole
    /// commands, which are dealt with before the next connection is read.
    input: BytesMut,
}

#[derive(Debug)]
struct Connection {
    connection: u64,
    outbox: Outbox,
    conversation: Conversation,
    /// `None` when nothing more is to be read.
    inbox: Option<Inbox>,
    parser: Parser,
    /// The beginning of a command of which the rest has not arrived.
    rest: BytesMut,
    is_touched: bool,
    /// Messages since everything was read last. Units: bytes.
    told_bytes: usize,
    /// Whether it reads too few of them.
    is_slow: bool,
}

/// What came of reading on.
enum Came {
    /// A command, or the end.
    Something,
    /// Nothing that could be gone on with.
    Nothing,
    /// More than is read at once.
    TooMuch,
}

impl Connection {
    /// How much of what is unread are messages. Units: bytes.
    fn unread_messages(&mut self) -> usize {
        self.told_bytes = self.told_bytes.min(self.outbox.queued_bytes());
        self.told_bytes
    }

    /// Whether the client reads too few of the messages that it is told.
    fn reads_too_few(&mut self, channels: &mut Channels) -> bool {
        if 0 < self.told_bytes {
            let unread = self.unread_messages();
            self.is_slow |= channels.unread.note(self.connection, unread);
        }
        self.is_slow
    }

    /// Asks what can be asked now; returns how many requests that were.
    fn ask(
        &mut self,
        desk: &mut Desk,
        (round, describe): (&mut Round, &Recipient<Describe>),
        is_draining: bool,
    ) -> usize {
        let mut asked = 0;
        while let Some(ask) = self.conversation.next(desk, self.outbox.output()) {
            let Ask { request, write, is_of_node } = ask;
            if is_draining {
                let told = Told::Refused(Refusal::Stopping);
                self.conversation.answered(request, &told, desk, self.outbox.output());
                continue;
            }
            asked += 1;
            let ticket = Ticket { connection: self.connection, request };
            match write {
                None if is_of_node => describe.do_send(Describe { ticket, with_entries: false }),
                Some(stamp) => round.write(ticket, &stamp, TIMEOUT_US, &desk.body),
                None => round.read(ticket, TIMEOUT_US, &desk.body),
            }
        }
        asked
    }

    /// Reads on if what arrived before is dealt with. `may_read` is how much is still read at
    /// once. Units: bytes.
    fn read(&mut self, shared: &mut BytesMut, may_read: &mut usize) -> Came {
        match self.conversation.reading() {
            Reading::Wait => return Came::Nothing,
            Reading::On => {}
            Reading::Off => {
                self.see_off();
                return Came::Nothing;
            }
        }
        loop {
            let Some(inbox) = self.inbox.as_mut().filter(|inbox| !inbox.is_awaited()) else {
                return Came::Nothing;
            };
            if *may_read == 0 {
                return Came::TooMuch;
            }
            let is_fresh = self.rest.is_empty();
            let input = if is_fresh { &mut *shared } else { &mut self.rest };
            make_room(input, READ_BYTES);
            match inbox.read(input) {
                Ok(Arrived::Bytes(read)) => *may_read = may_read.saturating_sub(read),
                Ok(Arrived::Nothing) => return Came::Nothing,
                Ok(Arrived::End) => return self.read_no_more("closed by the client"),
                Err(error) => return self.read_no_more(&error.to_string()),
            }
            let has_come = self.cut(is_fresh.then_some(&mut *shared));
            if has_come {
                return Came::Something;
            }
        }
    }

    /// Takes in the whole commands of what has arrived, and keeps the rest; returns whether
    /// there was anything.
    fn cut(&mut self, shared: Option<&mut BytesMut>) -> bool {
        let (batch, failure) = match shared {
            Some(shared) => {
                let cut = self.parser.cut(shared);
                // The next connection begins with an empty buffer.
                self.rest.extend_from_slice(shared);
                shared.clear();
                cut
            }
            None => self.parser.cut(&mut self.rest),
        };
        if self.rest.is_empty() {
            self.rest = BytesMut::new();
        }
        let has_come = !batch.is_empty() || failure.is_some();
        if has_come {
            self.conversation.take_in(batch, failure);
        }
        has_come
    }

    /// Nothing more will arrive; whoever has said all may still wait for replies.
    fn read_no_more(&mut self, why: &str) -> Came {
        tracing::debug!(connection = self.connection, "a Redis client says no more: {why}");
        self.inbox = None;
        self.conversation.end();
        Came::Something
    }

    /// Throws away what arrives from now on, until the client closes, or soon: closing with bytes
    /// unread would make TCP take back the last reply.
    fn see_off(&mut self) {
        let Some(inbox) = self.inbox.take() else { return };
        actix_rt::spawn(async move {
            let mut stream = inbox.into_stream();
            let _ = timeout(FAREWELL, tokio::io::copy(&mut stream, &mut tokio::io::sink())).await;
        });
    }
}

impl RespClients {
    pub(super) fn new(options: RespOptions, node_address: String, seed: u64) -> Self {
        let desk = Desk::new(options, node_address, seed);
        let input = BytesMut::new();
        Self { desk, connections: ByNumber::default(), newest: MARK, input }
    }

    pub(super) fn len(&self) -> usize {
        self.connections.len()
    }

    pub(super) fn channels(&mut self) -> &mut Channels {
        &mut self.desk.channels
    }

    pub(super) fn clear(&mut self) {
        self.connections.clear();
    }

    /// Goes on with a connection as far as it can: with what has arrived and, when that is dealt
    /// with, with what arrives, and writes what there is to write.
    fn go_on(
        &mut self,
        connection: u64,
        (round, describe): (&mut Round, &Recipient<Describe>),
        is_draining: bool,
    ) -> Went {
        let Self { desk, connections, input, .. } = self;
        let Some(client) = connections.get_mut(&connection) else { return Went::Nowhere };
        client.is_touched = false;
        let (mut asked, mut may_read) = (0, READ_BYTES);
        let is_more = loop {
            asked += client.ask(desk, (&mut *round, describe), is_draining);
            let before = client.outbox.queued_bytes();
            if let Err(error) = client.outbox.flush() {
                return Went::Gone { asked, why: error.to_string() };
            }
            let is_written = client.outbox.queued_bytes() == 0;
            if is_written && 0 < before && client.conversation.has_more() {
                continue;
            }
            if !is_written {
                break false;
            }
            match client.read(input, &mut may_read) {
                Came::Something => {}
                Came::Nothing => break false,
                Came::TooMuch => break true,
            }
        };
        let why = if client.outbox.is_over_limit() {
            "the client does not read its replies"
        } else if client.reads_too_few(&mut desk.channels) {
            "the client does not read its messages"
        } else if client.outbox.queued_bytes() == 0 && client.conversation.is_over() {
            "it was closed here"
        } else {
            return Went::On { asked, is_more };
        };
        Went::Gone { asked, why: why.to_owned() }
    }
}

/// How far a connection went.
enum Went {
    On {
        /// How many requests were asked.
        asked: usize,
        /// Whether it is to be gone on with when others had their turn.
        is_more: bool,
    },
    Gone {
        asked: usize,
        why: String,
    },
    Nowhere,
}

impl Api {
    /// Goes on with a connection.
    pub(super) fn go_on_with(
        &mut self,
        connection: u64,
        context: &mut <Self as actix::Actor>::Context,
    ) {
        let is_draining = self.draining.is_some();
        let asked_of = (&mut self.round, &self.outlets.describe);
        match self.resp.go_on(connection, asked_of, is_draining) {
            Went::On { asked, is_more } => {
                self.in_flight += asked;
                if is_more {
                    let own = context.address();
                    // Through a task of its own, so that others are read and written meanwhile.
                    actix_rt::spawn(async move {
                        yield_now().await;
                        own.do_send(Readable { connection });
                    });
                }
            }
            Went::Gone { asked, why } => {
                self.in_flight += asked;
                self.forget_resp(connection, &why);
            }
            Went::Nowhere => {}
        }
        // Before anybody else says, subscribes or unsubscribes.
        self.deliver();
        if !self.round.is_empty() {
            self.plan_flush(context);
        }
    }

    /// Goes on with a connection on which something has arrived.
    fn read_on(&mut self, connection: u64, context: &mut <Self as actix::Actor>::Context) {
        self.resp.desk.wall_time = Clock::wall_time();
        self.go_on_with(connection, context);
        self.settle(context);
    }

    fn forget_resp(&mut self, connection: u64, why: &str) {
        if let Some(client) = self.resp.connections.remove(&connection) {
            self.in_flight -= client.conversation.in_flight();
            self.channels().forget(connection);
            tracing::debug!(connection, "a Redis client's connection ended: {why}");
        }
    }

    /// Hands an answer to the connection that asked; it is flushed with the others of the turn.
    pub(super) fn answer_resp(&mut self, ticket: Ticket, outcome: &Outcome, bytes: &[u8]) {
        let told = match outcome {
            Outcome::Answered(range) | Outcome::AnsweredLocally(range, _) => {
                Told::Answer(&bytes[range.clone()])
            }
            Outcome::Session(refusal) => Told::Session(*refusal),
            Outcome::Refused(refusal) => Told::Refused(*refusal),
        };
        self.tell_answer(ticket, &told);
    }

    /// Tells a connection how many other nodes have on disk whatever this one has answered.
    pub(super) fn answer_copies(&mut self, ticket: Ticket, status: &Status) {
        let Configuration { voters, outgoing, .. } = &status.configuration;
        let halves = [voters, outgoing].into_iter().filter(|half| !half.is_empty());
        // A majority without the node that answers.
        let others = halves.map(|half| half.len() / 2).min().unwrap_or(0);
        self.tell_answer(ticket, &Told::Copies(others));
    }

    fn tell_answer(&mut self, ticket: Ticket, told: &Told<'_>) {
        let RespClients { desk, connections, .. } = &mut self.resp;
        let Some(client) = connections.get_mut(&ticket.connection) else { return };
        self.in_flight -= 1;
        let output = client.outbox.output();
        client.conversation.answered(ticket.request, told, desk, output);
        if !std::mem::replace(&mut client.is_touched, true) {
            self.touched_resp.push(ticket.connection);
        }
    }

    /// Tells a connection a message; it is flushed with the others of the turn. `write` gives
    /// the message in a version of the protocol.
    pub(super) fn tell_resp(
        &mut self,
        connection: u64,
        write: impl FnOnce(Protocol, &mut dyn FnMut(&[u8])),
    ) {
        let RespClients { desk, connections, .. } = &mut self.resp;
        let Some(client) = connections.get_mut(&connection) else { return };
        if client.is_slow {
            return;
        }
        let Connection { outbox, conversation, told_bytes, .. } = client;
        write(conversation.protocol(), &mut |message| {
            outbox.push(message);
            *told_bytes += message.len();
        });
        if MESSAGES_BYTES < client.outbox.queued_bytes() {
            // If the connection is gone, the flush at the end of the turn says so.
            let _ = client.outbox.flush();
            let unread = client.unread_messages();
            client.is_slow = desk.channels.unread.note(connection, unread);
        }
        if !std::mem::replace(&mut client.is_touched, true) {
            self.touched_resp.push(connection);
        }
    }

    /// Goes on with every connection that was answered.
    pub(super) fn go_on_touched(&mut self, context: &mut <Self as actix::Actor>::Context) {
        if !self.touched_resp.is_empty() {
            self.resp.desk.wall_time = Clock::wall_time();
        }
        for connection in std::mem::take(&mut self.touched_resp) {
            self.go_on_with(connection, context);
        }
    }
}

impl Handler<DoorAccepted> for Api {
    type Result = ();

    fn handle(&mut self, accepted: DoorAccepted, context: &mut Self::Context) {
        if CONNECTIONS_MAX <= self.connections.len() + self.resp.len() {
            tracing::warn!("closed a client connection: {CONNECTIONS_MAX} are open already");
            return;
        }
        let DoorAccepted { stream, read, from, .. } = accepted;
        self.resp.newest += 1;
        let connection = self.resp.newest;
        let (reading, writing) = stream.split();
        let api = context.address();
        let subscriber = Subscriber { connection, subscription: 0 };
        let mut client = Connection {
            connection,
            outbox: Outbox::new(connection, writing, OUTPUT_BYTES_MAX, api.clone().recipient()),
            conversation: Conversation::new(connection & !MARK, from, subscriber),
            inbox: Some(Inbox::new(connection, reading, api.recipient())),
            parser: Parser::default(),
            rest: read,
            is_touched: false,
            told_bytes: 0,
            is_slow: false,
        };
        client.cut(None);
        self.resp.connections.insert(connection, client);
        self.read_on(connection, context);
    }
}

impl Handler<Readable> for Api {
    type Result = ();

    fn handle(&mut self, Readable { connection }: Readable, context: &mut Self::Context) {
        if let Some(client) = self.resp.connections.get_mut(&connection) {
            client.inbox.iter_mut().for_each(Inbox::rung);
            self.read_on(connection, context);
        }
    }
}
