//! Api: the only owner of this node's client connections.
//!
//! Commands: `Call` (the embedding program), `CallBatch`, `CallerEnded` (doors), `Stop`. Facts in:
//! `ClientAccepted` (Listener),
//! `DoorAccepted` (Listener, of Redis clients), `FromClient`, `ClientEnded`, `FromResp`,
//! `RespEnded` (its reader tasks), `Writable` (its outboxes), `Answered`, `Greeted`,
//! `Described` (Consensus), `Pushed` (Watch), `Heard` (Network), `SnapshotTold` (SnapshotStore),
//! `PlayEnded` (Playground), `OpenStream`, `StreamOrders`, `CloseStream` (doors). Commands out:
//! `Submit`, `Read`, `Greet`, `Describe`, `Transfer`, `WantSnapshot`; `AskSnapshot` (to
//! SnapshotStore); `Orders` (to Watch); `Spread` (to Network); `AskedToPlay` (to Playground, if
//! there is one).
//! Limits: `CONNECTIONS_MAX` connections, beyond which new ones are closed;
//! `IN_FLIGHT_PER_CONNECTION_MAX` requests each, refused with `Overloaded` beyond;
//! `OUTPUT_BYTES_MAX` unread answers each, beyond which the connection is closed.

mod by_number;
mod call;
mod call_batch;
mod channels;
mod connection;
mod description;
mod monitor;
mod playing;
mod resp;
mod round;
mod samples;
mod snapshots;
mod streams;
mod traces;
mod unlike;
mod watches;

use actix::{Actor, AsyncContext, Context, Handler, Message, Recipient};
use kv_store::watching::Order;
use raft_core::replica::event::{Outcome, Refusal, Ticket};
use raft_core::types::{NodeId, Term};
use raft_net::Stop;
use raft_net::client_protocol::{Hello, LocalAnswer, Op, Reply, Request, Response};
use raft_net::inquiry::Inquire;
use raft_net::listener::ClientAccepted;
use raft_net::outbox::Writable;
use raft_net::publication::Spread;
use tokio::sync::oneshot;

use by_number::ByNumber;
pub use call::{Call, CallOutcome, Called, Operation};
use call_batch::Callers;
pub(crate) use call_batch::{AnswerBatch, Asked, BatchedCall, CallBatch, Caller, CallerEnded};
use connection::{ClientEnded, Connection, FromClient};
pub(crate) use monitor::{AskValues, MonitorOptions};
use monitor::{Monitor, QUESTIONS};
use resp::RespClients;
use round::Round;
use samples::Samples;
use streams::Stream;
pub(crate) use streams::{CloseStream, OpenStream, StreamOrder, StreamOrders, StreamWord};
use unlike::{About, Unlike};

use crate::clock::Clock;
use crate::consensus::{
    Answered, Describe, Described, Greet, Greeted, Read, ReadLocally, Submit, Trace, Transfer,
    Tune, WantSnapshot,
};
use crate::directory::new_incarnation;
use crate::doors::resp::RespOptions;
use crate::fault::FaultGuard;
use crate::playground::AskedToPlay;
use crate::snapshot_store::AskSnapshot;
use crate::watch::{CountWatches, MonitorOrders, Orders};

/// Client connections at a time.
const CONNECTIONS_MAX: usize = 10_000;

/// Requests of one connection that are not answered yet.
const IN_FLIGHT_PER_CONNECTION_MAX: usize = 16_384;

/// The longest that a request may wait. Units: milliseconds.
const TIMEOUT_MS_MAX: u64 = 60_000;

/// The connection number under which the embedding program's calls travel.
const CALLS: u64 = 0;

/// What every connection is told of the node.
#[derive(Clone, Debug)]
pub(crate) struct NodeInfo {
    pub(crate) cluster_id: u64,
    pub(crate) node_id: u64,
    pub(crate) address: String,
    /// Where its page is, if it has one.
    pub(crate) page: Option<String>,
}

/// Says whether a body makes sense before it is replicated or asked; the text of an error is
/// for the client.
#[derive(Clone, Copy, Debug)]
pub struct BodyChecks {
    /// For commands.
    pub command: fn(&[u8]) -> Result<(), String>,
    /// For queries.
    pub query: fn(&[u8]) -> Result<(), String>,
}

/// Where requests go.
#[derive(Clone, Debug)]
pub(crate) struct Outlets {
    pub(crate) submit: Recipient<Submit>,
    pub(crate) read: Recipient<Read>,
    pub(crate) read_locally: Recipient<ReadLocally>,
    pub(crate) greet: Recipient<Greet>,
    pub(crate) describe: Recipient<Describe>,
    pub(crate) transfer: Recipient<Transfer>,
    pub(crate) want_snapshot: Recipient<WantSnapshot>,
    pub(crate) snapshots: Recipient<AskSnapshot>,
    pub(crate) watch: Recipient<Orders>,
    pub(crate) monitor_orders: Recipient<MonitorOrders>,
    pub(crate) count_watches: Recipient<CountWatches>,
    pub(crate) tune: Recipient<Tune>,
    pub(crate) trace: Recipient<Trace>,
    pub(crate) spread: Recipient<Spread>,
    /// If somebody may play with this node.
    pub(crate) play: Option<Recipient<AskedToPlay>>,
    pub(crate) inquire: Recipient<Inquire>,
}

/// Takes no more requests, and answers when none is under way.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Drain {
    pub(crate) reply: oneshot::Sender<()>,
}

/// Ends a drain of the mailbox: the requests that came in together go on together.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
struct Flush;

/// The actor.
#[derive(Debug)]
pub(crate) struct Api {
    info: NodeInfo,
    checks: BodyChecks,
    outlets: Outlets,
    connections: ByNumber<Connection>,
    newest_connection: u64,
    /// Streams of watches that doors have, numbered as connections are.
    streams: ByNumber<Stream>,
    /// The newest term that answers have shown.
    term: Term,
    calls: call::Calls,
    callers: Callers,
    round: Round,
    is_flush_due: bool,
    /// Requests of all connections that are not answered yet.
    in_flight: usize,
    /// Set while the node stops; answered when nothing is in flight.
    draining: Option<Drain>,
    /// Connections with fresh output, each once.
    touched: Vec<u64>,
    /// What Watch is to be told.
    orders: Orders,
    resp: RespClients,
    /// The same as `touched` for Redis clients.
    touched_resp: Vec<u64>,
    monitor: Monitor,
    writes: Samples,
    reads: Samples,
    _fault: FaultGuard,
}

impl Api {
    pub(crate) fn new(
        info: NodeInfo,
        checks: BodyChecks,
        outlets: Outlets,
        (resp, monitor): (RespOptions, MonitorOptions),
        fault: FaultGuard,
    ) -> Self {
        let resp = RespClients::new(resp, info.address.clone(), new_incarnation().0);
        Self {
            info,
            checks,
            outlets,
            connections: ByNumber::default(),
            newest_connection: CALLS,
            streams: ByNumber::default(),
            term: Term::default(),
            calls: call::Calls::default(),
            callers: Callers::default(),
            round: Round::default(),
            is_flush_due: false,
            in_flight: 0,
            draining: None,
            touched: Vec::new(),
            orders: Orders::default(),
            resp,
            touched_resp: Vec::new(),
            monitor: Monitor::new(monitor),
            writes: Samples::default(),
            reads: Samples::default(),
            _fault: fault,
        }
    }

    fn plan_flush(&mut self, context: &mut Context<Self>) {
        if !self.is_flush_due {
            self.is_flush_due = true;
            context.notify(Flush);
        }
    }

    /// Takes one request; the answer comes later, unless it makes no sense.
    fn on_request(&mut self, connection: u64, request: &Request<'_>) {
        let ticket = Ticket { connection, request: request.id };
        if self.on_channels(ticket, &request.op)
            || self.on_monitor_watch(ticket, &request.op)
            || self.on_watch(ticket, &request.op)
        {
            return;
        }
        self.trace_request(ticket, &request.op);
        let Some(client) = self.connections.get_mut(&connection) else { return };
        client.in_flight += 1;
        self.in_flight += 1;
        if IN_FLIGHT_PER_CONNECTION_MAX < client.in_flight {
            self.end(ticket, |_| Reply::Refused(Refusal::Overloaded));
            return;
        }
        if self.draining.is_some() {
            self.end(ticket, |_| Reply::Refused(Refusal::Stopping));
            return;
        }
        let taken = match &request.op {
            Op::Write { session, timeout_ms, body } => (self.checks.command)(body)
                .map(|()| self.round.write(ticket, session, timeout_us(*timeout_ms), body)),
            Op::Read { timeout_ms, body } => (self.checks.query)(body)
                .map(|()| self.round.read(ticket, timeout_us(*timeout_ms), body)),
            Op::ReadLocally { body } => {
                (self.checks.query)(body).map(|()| self.round.read_locally(ticket, body))
            }
            Op::Status => {
                self.outlets.describe.do_send(Describe { ticket, with_entries: false });
                Ok(())
            }
            Op::Monitor(question) => {
                self.ask_values(ticket, question);
                Ok(())
            }
            Op::Change { session, timeout_ms, change } => change.to_change().map(|change| {
                client.unlike.begin(request.id, About::Members);
                self.round.change(ticket, session, timeout_us(*timeout_ms), &change);
            }),
            Op::Snapshot { .. } | Op::SnapshotPiece(_) => {
                return self.on_snapshots(ticket, &request.op);
            }
            Op::Watch { .. }
            | Op::Unwatch
            | Op::Mark
            | Op::Publish { .. }
            | Op::Subscribe { .. } => return,
            Op::Play(order) => self.play(ticket, order),
            Op::Transfer { timeout_ms, to } => target(*to).map(|to| {
                client.unlike.begin(request.id, About::Leadership);
                let timeout_us = timeout_us(*timeout_ms);
                self.outlets.transfer.do_send(Transfer { ticket, to, timeout_us });
            }),
        };
        if let Err(why) = taken {
            self.end(ticket, |_| Reply::Malformed(why.into()));
        }
    }

    /// Ends a request with a reply, appended to its connection's output, which is flushed at the
    /// end of the message.
    fn end<'a>(&mut self, ticket: Ticket, reply: impl FnOnce(&mut Unlike) -> Reply<'a>) {
        let Some(client) = self.connections.get_mut(&ticket.connection) else { return };
        client.in_flight -= 1;
        self.in_flight -= 1;
        let reply = reply(&mut client.unlike);
        if client.respond(&Response { id: ticket.request, reply }) {
            self.touched.push(ticket.connection);
        }
    }

    fn flush_touched(&mut self) {
        for connection in std::mem::take(&mut self.touched) {
            let Some(client) = self.connections.get_mut(&connection) else { continue };
            let flushed = client.flush();
            if let Some(unread) = client.unread_messages_left() {
                self.resp.channels().unread.note(connection, unread);
            }
            match flushed {
                Ok(unread) => self.orders.unread.extend(unread.map(|bytes| (connection, bytes))),
                Err(why) => {
                    tracing::debug!(connection, "closed a client connection: {why}");
                    self.forget(connection);
                }
            }
        }
        self.tell_watch();
        if self.in_flight == 0
            && let Some(Drain { reply }) = self.draining.take()
        {
            // The node may have lost its patience already.
            let _ = reply.send(());
        }
    }

    /// Drops a connection; nobody waits for its answers any more.
    fn forget(&mut self, connection: u64) -> bool {
        let Some(client) = self.connections.remove(&connection) else { return false };
        self.in_flight -= client.in_flight;
        self.channels().forget(connection);
        self.forget_values(connection);
        if client.has_watches {
            self.orders.orders.push(Order::Leave { connection });
        }
        true
    }
}

/// The node that a client names, if it names one.
fn target(to: Option<u64>) -> Result<Option<NodeId>, String> {
    match to.map(NodeId::new) {
        Some(None) => Err("0 is not the number of a node".to_owned()),
        Some(named) => Ok(named),
        None => Ok(None),
    }
}

fn timeout_us(timeout_ms: u64) -> u64 {
    timeout_ms.clamp(1, TIMEOUT_MS_MAX) * 1_000
}

impl Actor for Api {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        if let Some(logs) = self.monitor.logs() {
            logs.tell(context.address().recipient());
        }
    }
}

impl Handler<ClientAccepted> for Api {
    type Result = ();

    fn handle(&mut self, accepted: ClientAccepted, context: &mut Self::Context) {
        if CONNECTIONS_MAX <= self.connections.len() + self.resp.len() {
            tracing::warn!("closed a client connection: {CONNECTIONS_MAX} are open already");
            return;
        }
        self.newest_connection += 1;
        let connection = self.newest_connection;
        let client = Connection::start(connection, accepted, &context.address());
        self.connections.insert(connection, client);
        self.outlets.greet.do_send(Greet { connection });
    }
}

impl Handler<FromClient> for Api {
    type Result = ();

    fn handle(&mut self, from: FromClient, context: &mut Self::Context) {
        let FromClient { connection, frames } = from;
        let _requests = tracing::trace_span!("requests", connection).entered();
        for content in frames.contents() {
            match Request::decode(content) {
                Ok(request) => self.on_request(connection, &request),
                Err(error) => {
                    tracing::info!(connection, "closed a client connection: {error}");
                    self.forget(connection);
                    break;
                }
            }
        }
        self.settle(context);
        if !self.round.is_empty() {
            self.plan_flush(context);
        }
    }
}

impl Handler<Flush> for Api {
    type Result = ();

    fn handle(&mut self, _: Flush, _: &mut Self::Context) {
        self.is_flush_due = false;
        let clock = self.monitor.clock();
        for submission in self.round.take_submissions(Clock::wall_time()) {
            let tickets = &submission.tickets;
            self.writes.begin(clock, tickets.first().copied(), tickets.len());
            self.outlets.submit.do_send(Submit(submission));
        }
        let queries = self.round.take_queries();
        if !queries.is_empty() {
            self.reads.begin(clock, queries.first().map(|query| query.ticket), queries.len());
            self.outlets.read.do_send(Read(queries));
        }
        let queries = self.round.take_local_queries();
        if !queries.is_empty() {
            self.outlets.read_locally.do_send(ReadLocally(queries));
        }
        self.spread();
    }
}

impl Handler<Answered> for Api {
    type Result = ();

    fn handle(&mut self, Answered(answers): Answered, context: &mut Self::Context) {
        let _answers = tracing::trace_span!("answers").entered();
        self.term = answers.term;
        self.writes.end(self.monitor.clock(), &answers.list);
        self.reads.end(self.monitor.clock(), &answers.list);
        self.trace_answers(&answers.list);
        for answer in &answers.list {
            if resp::is_resp(answer.ticket.connection) {
                self.answer_resp(answer.ticket, &answer.outcome, &answers.bytes);
                continue;
            }
            if answer.ticket.connection == QUESTIONS {
                self.answered_task(answer.ticket.request, &answer.outcome);
                continue;
            }
            if call_batch::is_caller(answer.ticket.connection) {
                self.callers.note(answer.ticket, answer.outcome.clone());
                continue;
            }
            if answer.ticket.connection == CALLS {
                let bytes = |range: &std::ops::Range<usize>| answers.bytes.slice(range.clone());
                self.calls.end(
                    answer.ticket.request,
                    match &answer.outcome {
                        Outcome::Answered(range) => CallOutcome::Answered(bytes(range)),
                        Outcome::AnsweredLocally(range, staleness) => {
                            CallOutcome::AnsweredLocally(bytes(range), **staleness)
                        }
                        Outcome::Session(refusal) => CallOutcome::Session(*refusal),
                        Outcome::Refused(refusal) => CallOutcome::Refused(*refusal),
                    },
                    answers.term,
                );
                continue;
            }
            let request = answer.ticket.request;
            self.end(answer.ticket, |unlike| match &answer.outcome {
                Outcome::Answered(range) => unlike.reply(request, &answers.bytes[range.clone()]),
                Outcome::AnsweredLocally(range, staleness) => Reply::Local(LocalAnswer {
                    body: &answers.bytes[range.clone()],
                    applied_index: staleness.applied_index.0,
                    contact_age_ms: staleness.contact_age_us.map(|us| us / 1_000),
                }),
                Outcome::Session(refusal) => {
                    unlike.end(request);
                    Reply::Session(*refusal)
                }
                Outcome::Refused(refusal) => {
                    unlike.end(request);
                    Reply::Refused(*refusal)
                }
            });
        }
        self.callers.tell(&answers.bytes, answers.term);
        self.settle(context);
    }
}

impl Handler<Greeted> for Api {
    type Result = ();

    fn handle(&mut self, greeted: Greeted, _: &mut Self::Context) {
        let Some(client) = self.connections.get_mut(&greeted.connection) else { return };
        let hello = Hello {
            version: client.version(),
            cluster_id: self.info.cluster_id,
            node_id: self.info.node_id,
            client: greeted.client,
            leader: greeted.leader,
        };
        client.greet(hello);
        self.touched.push(greeted.connection);
        self.flush_touched();
    }
}

impl Handler<Described> for Api {
    type Result = ();

    fn handle(&mut self, described: Described, context: &mut Self::Context) {
        if described.ticket.connection == QUESTIONS {
            self.described_task(described);
            self.settle(context);
            return;
        }
        let Described { ticket, status, .. } = described;
        if resp::is_resp(ticket.connection) {
            self.answer_copies(ticket, &status);
            self.settle(context);
            return;
        }
        if ticket.connection == CALLS {
            let term = status.term;
            self.calls.end(ticket.request, CallOutcome::Described(Box::new(status)), term);
            return;
        }
        let status = description::of(&self.info, &status);
        self.end(ticket, |_| Reply::Status(Box::new(status)));
        self.flush_touched();
    }
}

impl Handler<Call> for Api {
    type Result = ();

    fn handle(&mut self, Call { operation, timeout_ms, reply }: Call, context: &mut Self::Context) {
        let ticket = Ticket { connection: CALLS, request: self.calls.begin(reply) };
        match operation {
            Operation::Write { command, session } => {
                self.round.write(ticket, &session, timeout_us(timeout_ms), &command);
                self.plan_flush(context);
            }
            Operation::Read { query } => {
                self.round.read(ticket, timeout_us(timeout_ms), &query);
                self.plan_flush(context);
            }
            Operation::ReadLocally { query } => {
                self.round.read_locally(ticket, &query);
                self.plan_flush(context);
            }
            Operation::Describe => {
                self.outlets.describe.do_send(Describe { ticket, with_entries: false })
            }
            Operation::Change { change, session } => {
                self.round.change(ticket, &session, timeout_us(timeout_ms), &change);
                self.plan_flush(context);
            }
            Operation::Transfer { to } => {
                let timeout_us = timeout_us(timeout_ms);
                self.outlets.transfer.do_send(Transfer { ticket, to, timeout_us });
            }
        }
    }
}

impl Handler<ClientEnded> for Api {
    type Result = ();

    fn handle(&mut self, ended: ClientEnded, _: &mut Self::Context) {
        let ClientEnded { connection, why } = ended;
        if self.forget(connection) {
            tracing::debug!(connection, "a client connection ended: {why}");
        }
        self.tell_watch();
    }
}

impl Handler<Writable> for Api {
    type Result = ();

    fn handle(&mut self, Writable { connection }: Writable, context: &mut Self::Context) {
        if resp::is_resp(connection) {
            self.go_on_with(connection, context);
            self.settle(context);
            return;
        }
        self.touched.push(connection);
        self.flush_touched();
    }
}

impl Handler<Drain> for Api {
    type Result = ();

    fn handle(&mut self, drain: Drain, _: &mut Self::Context) {
        self.draining = Some(drain);
        self.flush_touched();
    }
}

impl Handler<Stop> for Api {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Self::Context) {
        self.connections.clear();
        self.resp.clear();
        actix::ActorContext::stop(context);
    }
}
