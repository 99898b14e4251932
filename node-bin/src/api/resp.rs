//! Connections of Redis clients, beside the native ones: what they ask goes into the same
//! rounds.

use std::time::Duration;

use actix::{Addr, AsyncContext, Handler, Message, Recipient};
use actix_rt::task::JoinHandle;
use bytes::BytesMut;
use raft_core::configuration::Configuration;
use raft_core::replica::event::{Outcome, Refusal, Status, Ticket};
use raft_net::listener::DoorAccepted;
use raft_net::outbox::Outbox;
use raft_net::resp::{Batch, Parser, Protocol, ProtocolError};
use raft_net::stream::{ReadHalf, make_room};
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;
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

/// How much one read takes at most. Units: bytes.
const READ_BYTES: usize = 64 * 1024;

/// How long a command may wait. Units: microseconds.
const TIMEOUT_US: u64 = 5_000_000;

/// How long a client that said something senseless may take to read why.
const FAREWELL: Duration = Duration::from_secs(5);

/// Whether a connection is one of these.
pub(super) fn is_resp(connection: u64) -> bool {
    connection & MARK != 0
}

/// Brings what one read of one connection brought.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(super) struct FromResp {
    connection: u64,
    batch: Batch,
    failure: Option<ProtocolError>,
    /// Tells the reader when to go on.
    go_on: oneshot::Sender<Reading>,
}

/// Says that a connection can be read no further.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(super) struct RespEnded {
    connection: u64,
    why: String,
}

/// Every Redis client of the node, and what they share.
#[derive(Debug)]
pub(super) struct RespClients {
    desk: Desk,
    connections: ByNumber<Connection>,
    newest: u64,
}

#[derive(Debug)]
struct Connection {
    outbox: Outbox,
    conversation: Conversation,
    /// Ended with the connection, unless it is to see its client off.
    reader: Option<JoinHandle<()>>,
    is_touched: bool,
    /// Messages since everything was read last. Units: bytes.
    told_bytes: usize,
    /// Whether it reads too few of them.
    is_slow: bool,
}

impl Connection {
    /// How much of what is unread are messages. Units: bytes.
    fn unread_messages(&mut self) -> usize {
        self.told_bytes = self.told_bytes.min(self.outbox.queued_bytes());
        self.told_bytes
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(reader) = &self.reader {
            reader.abort();
        }
    }
}

impl RespClients {
    pub(super) fn new(options: RespOptions, node_address: String, seed: u64) -> Self {
        let desk = Desk::new(options, node_address, seed);
        Self { desk, connections: ByNumber::default(), newest: MARK }
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

    /// Goes on with what has arrived on a connection, as far as it can, and writes what there is
    /// to write. Returns how many requests more are in flight, or fewer, and an error if the
    /// connection is gone.
    fn go_on(
        &mut self,
        connection: u64,
        (round, describe): (&mut Round, &Recipient<Describe>),
        is_draining: bool,
    ) -> Went {
        let Self { desk, connections, .. } = self;
        let Some(client) = connections.get_mut(&connection) else { return Went::Nowhere };
        client.is_touched = false;
        let mut asked = 0;
        loop {
            while let Some(ask) = client.conversation.next(desk, client.outbox.output()) {
                let Ask { request, write, is_of_node } = ask;
                if is_draining {
                    let told = Told::Refused(Refusal::Stopping);
                    client.conversation.answered(request, &told, desk, client.outbox.output());
                    continue;
                }
                asked += 1;
                let ticket = Ticket { connection, request };
                match write {
                    None if is_of_node => {
                        describe.do_send(Describe { ticket, with_entries: false })
                    }
                    Some(stamp) => round.write(ticket, &stamp, TIMEOUT_US, &desk.body),
                    None => round.read(ticket, TIMEOUT_US, &desk.body),
                }
            }
            let before = client.outbox.queued_bytes();
            if let Err(error) = client.outbox.flush() {
                return Went::Gone { asked, why: error.to_string() };
            }
            let is_freed = client.outbox.queued_bytes() == 0 && 0 < before;
            if !(is_freed && client.conversation.has_more()) {
                break;
            }
        }
        if client.outbox.is_over_limit() {
            let why = "the client does not read its replies".to_owned();
            return Went::Gone { asked, why };
        }
        if 0 < client.told_bytes {
            let unread = client.unread_messages();
            client.is_slow |= desk.channels.unread.note(connection, unread);
        }
        if client.is_slow {
            return Went::Gone { asked, why: "the client does not read its messages".to_owned() };
        }
        if client.outbox.queued_bytes() == 0 {
            client.conversation.read_on();
            if client.conversation.is_over() {
                // The reader closes what it has when the client does, or soon.
                client.reader = None;
                return Went::Gone { asked, why: "it was closed here".to_owned() };
            }
        }
        Went::On { asked }
    }
}

/// How far a connection went.
enum Went {
    On { asked: usize },
    Gone { asked: usize, why: String },
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
            Went::On { asked } => self.in_flight += asked,
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
        let reader = actix_rt::spawn(read_commands(connection, reading, read, context.address()));
        let owner = context.address().recipient();
        let subscriber = Subscriber { connection, subscription: 0 };
        let client = Connection {
            outbox: Outbox::new(connection, writing, OUTPUT_BYTES_MAX, owner),
            conversation: Conversation::new(connection & !MARK, from, subscriber),
            reader: Some(reader),
            is_touched: false,
            told_bytes: 0,
            is_slow: false,
        };
        self.resp.connections.insert(connection, client);
    }
}

impl Handler<FromResp> for Api {
    type Result = ();

    fn handle(&mut self, from: FromResp, context: &mut Self::Context) {
        let FromResp { connection, batch, failure, go_on } = from;
        self.resp.desk.wall_time = Clock::wall_time();
        if let Some(client) = self.resp.connections.get_mut(&connection) {
            client.conversation.take_in(batch, failure, go_on);
            self.go_on_with(connection, context);
            self.settle(context);
        }
    }
}

impl Handler<RespEnded> for Api {
    type Result = ();

    fn handle(&mut self, ended: RespEnded, context: &mut Self::Context) {
        let RespEnded { connection, why } = ended;
        if let Some(client) = self.resp.connections.get_mut(&connection) {
            // Whoever has said all may still wait for replies.
            tracing::debug!(connection, "a Redis client says no more: {why}");
            client.conversation.end();
            self.go_on_with(connection, context);
            self.settle(context);
        }
    }
}

/// Reads commands until the connection ends; one message for each read, and the next one when
/// that is dealt with.
async fn read_commands(connection: u64, mut stream: ReadHalf, mut input: BytesMut, api: Addr<Api>) {
    let (commands, ended): (Recipient<FromResp>, Recipient<RespEnded>) =
        (api.clone().recipient(), api.recipient());
    let mut parser = Parser::default();
    let why = loop {
        let (batch, failure) = parser.cut(&mut input);
        if !batch.is_empty() || failure.is_some() {
            let (go_on, told) = oneshot::channel();
            commands.do_send(FromResp { connection, batch, failure, go_on });
            match told.await {
                Ok(Reading::On) => {}
                Ok(Reading::Off) | Err(_) => {
                    // Closing with bytes unread would make TCP take back the last reply.
                    let _ = timeout(FAREWELL, tokio::io::copy(&mut stream, &mut tokio::io::sink()))
                        .await;
                    break "nothing more was expected".to_owned();
                }
            }
        }
        make_room(&mut input, READ_BYTES);
        match stream.read_buf(&mut input).await {
            Ok(0) => break "closed by the client".to_owned(),
            Ok(_) => {}
            Err(error) => break error.to_string(),
        }
    };
    ended.do_send(RespEnded { connection, why });
}
