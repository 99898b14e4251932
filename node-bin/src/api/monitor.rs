//! Questions about this node and others while they run (`docs/monitor.md`).
//!
//! Whoever is asked answers for itself and asks the others, once each; nobody is asked on behalf
//! of somebody who was asked. Who does not answer in time is an error in its place.
//! Limits: `TASKS_MAX` questions under way, `WATCHES_MAX` watches of the node, beyond which one
//! is refused; a watch of a connection that leaves `UNREAD_BYTES_MAX` unread misses a turn.

mod own;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use actix::{AsyncContext, Handler, Message, SpawnHandle};
use bytes::Bytes;
use kv_store::watching::{Owner, Tally};
use raft_core::configuration::MEMBERS_MAX;
use raft_core::replica::event::{Refusal, Ticket};
use raft_core::types::NodeId;
use raft_net::client_protocol::{
    MonitorAnswer, MonitorError, MonitorPart, MonitorRequest, Op, Reply, Response, WatchEnded,
};
use raft_net::inquiry::{Inquire, Inquired, Inquiry};
use tokio::sync::oneshot;

use super::Api;
use crate::clock::Clock;
use crate::consensus::{Describe, Described};
use crate::logging::{LogControl, LogLine};
use crate::monitor::events::{Events, Happened};
use crate::monitor::lines::Lines;
use crate::monitor::path::{self, Aim, VIEW};
use crate::monitor::trace::{TraceId, Traces};
use crate::monitor::values::root;
use crate::watch::{CountWatches, MonitorDue, MonitorOrders, WatchesCounted};

/// The connection number under which questions travel to Consensus.
pub(super) const QUESTIONS: u64 = (1 << 63) - 1;

/// The longest path and value of a question together. Units: bytes.
const TEXT_BYTES_MAX: usize = 4_096;

/// What is said against a longer one.
const TOO_LONG: &str = "the question is too long";

/// Questions under way at a time.
const TASKS_MAX: usize = 1_024;

/// Watches of the monitor at a time.
const WATCHES_MAX: usize = 256;

/// With so much unread a watch of the monitor misses its turn. Units: bytes.
const UNREAD_BYTES_MAX: usize = 1024 * 1024;

/// How often a watch may be told something. Units: milliseconds.
const INTERVAL_MS_MIN: u64 = 50;

/// How long others are waited for, unless it is said. Units: milliseconds.
const PATIENCE_MS: u64 = 1_000;

/// The longest that they are. Units: milliseconds.
const PATIENCE_MS_MAX: u64 = 10_000;

/// What stands below this is looked at only when it is asked for: it takes a linearizable read.
const HEALTH: &str = "health";

/// The way of a write stands below this.
pub(super) const TRACE: &str = "trace/";

/// What Api needs to answer.
#[derive(Debug)]
pub(crate) struct MonitorOptions {
    /// The clock of the node.
    pub(crate) clock: Clock,
    /// The data folder, if the node has one.
    pub(crate) directory: Option<PathBuf>,
    /// The log of the program, if it keeps one.
    pub(crate) logs: Option<LogControl>,
    /// A query without meaning, by which it is seen that the node can answer queries.
    pub(crate) probe: Option<Bytes>,
}

/// Everything about the monitor that Api keeps.
#[derive(Debug)]
pub(super) struct Monitor {
    options: MonitorOptions,
    lines: Lines,
    events: Events,
    newest: u64,
    tasks: BTreeMap<u64, Task>,
    /// Tasks that have no deadline yet.
    begun: Vec<(u64, Duration)>,
    /// What ends tasks at their deadlines.
    timers: BTreeMap<u64, SpawnHandle>,
    /// The timers of tasks that were answered before.
    needless: Vec<SpawnHandle>,
    watches: BTreeMap<Owner, MonitorRequest>,
    pub(super) traces: Traces,
}

/// Asks a question from inside the program.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct AskValues {
    /// What is asked.
    pub(crate) request: MonitorRequest,
    /// Takes the answer.
    pub(crate) reply: oneshot::Sender<Vec<MonitorPart>>,
}

/// Who wants to know.
#[derive(Debug)]
enum Asker {
    Door(oneshot::Sender<Vec<MonitorPart>>),
    Client(Ticket),
    Watch(Owner),
    Peer(NodeId, u64),
}

/// A question that is being answered.
#[derive(Debug)]
struct Task {
    asker: Asker,
    request: MonitorRequest,
    aim: Aim,
    described: Option<Box<Described>>,
    tally: Option<Tally>,
    own: Own,
    is_planned: bool,
    parts: Vec<MonitorPart>,
    /// The nodes that are yet to answer, and when they were asked.
    asked: BTreeMap<u64, u64>,
}

/// What this node itself is to say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Own {
    Nothing,
    /// This, when a query has been answered.
    Health(String),
    /// That a timeout has been set at this path.
    Tuning(String),
    /// What Consensus has seen of a write.
    Tracing(TraceId),
}

impl Monitor {
    pub(super) fn new(options: MonitorOptions) -> Self {
        Self {
            options,
            lines: Lines::default(),
            events: Events::default(),
            newest: 0,
            tasks: BTreeMap::new(),
            begun: Vec::new(),
            timers: BTreeMap::new(),
            needless: Vec::new(),
            watches: BTreeMap::new(),
            traces: Traces::default(),
        }
    }

    pub(super) fn clock(&self) -> Clock {
        self.options.clock
    }

    /// The write for whose way a task waits, which it waits for no longer.
    pub(super) fn take_trace(&mut self, number: u64) -> Option<TraceId> {
        let task = self.tasks.get_mut(&number)?;
        match std::mem::replace(&mut task.own, Own::Nothing) {
            Own::Tracing(id) => Some(id),
            own => {
                task.own = own;
                None
            }
        }
    }

    /// The log of the program, if it keeps one.
    pub(super) fn logs(&self) -> Option<&LogControl> {
        self.options.logs.as_ref()
    }
}

/// Whether a question is no longer than questions are: it is kept while it is under way.
fn is_short(request: &MonitorRequest) -> bool {
    let texts = request.path.len() + request.value.as_ref().map_or(0, String::len);
    texts <= TEXT_BYTES_MAX && request.lines_seen.len() <= MEMBERS_MAX
}

impl Api {
    /// Takes a request if it is about watches of the monitor; returns whether it was.
    pub(super) fn on_monitor_watch(&mut self, ticket: Ticket, op: &Op<'_>) -> bool {
        let owner = Owner { connection: ticket.connection, watch: ticket.request };
        match op {
            Op::Monitor(request) if request.interval_ms != 0 => self.watch_values(owner, request),
            Op::Unwatch if self.monitor.watches.remove(&owner).is_some() => {
                self.order_values(Vec::new(), vec![owner]);
                let text = "the client ended it".to_owned();
                let ended = WatchEnded { why: WatchEnded::UNWATCHED, revision: 0, text };
                self.tell_values(owner, Reply::Ended(Box::new(ended)));
            }
            _ => return false,
        }
        true
    }

    fn watch_values(&mut self, owner: Owner, request: &MonitorRequest) {
        if self.draining.is_some() {
            self.tell_values(owner, Reply::Refused(Refusal::Stopping));
        } else if WATCHES_MAX <= self.monitor.watches.len() {
            self.tell_values(owner, Reply::Refused(Refusal::Overloaded));
        } else if request.value.is_some() {
            self.tell_values(owner, Reply::Malformed("what is watched is not set".into()));
        } else if !is_short(request) {
            self.tell_values(owner, Reply::Malformed(TOO_LONG.into()));
        } else {
            self.monitor.watches.insert(owner, request.clone());
            let interval_ms = request.interval_ms.max(INTERVAL_MS_MIN);
            self.order_values(vec![(owner, interval_ms)], Vec::new());
        }
    }

    fn order_values(&self, begin: Vec<(Owner, u64)>, end: Vec<Owner>) {
        self.outlets.monitor_orders.do_send(MonitorOrders { begin, end });
    }

    /// Appends a word to its connection's output, which is flushed at the end of the message.
    fn tell_values(&mut self, owner: Owner, reply: Reply<'_>) {
        let Some(client) = self.connections.get_mut(&owner.connection) else { return };
        if client.respond(&Response { id: owner.watch, reply }) {
            self.touched.push(owner.connection);
        }
    }

    /// Ends the watches of a connection.
    pub(super) fn forget_values(&mut self, connection: u64) {
        let owner = |watch| Owner { connection, watch };
        let range = self.monitor.watches.range(owner(0)..=owner(u64::MAX));
        let gone: Vec<Owner> = range.map(|(owner, _)| *owner).collect();
        if !gone.is_empty() {
            gone.iter().for_each(|owner| drop(self.monitor.watches.remove(owner)));
            self.order_values(Vec::new(), gone);
        }
    }

    /// Begins to answer a client.
    pub(super) fn ask_values(&mut self, ticket: Ticket, request: &MonitorRequest) {
        self.begin_task(Asker::Client(ticket), request.clone());
    }

    fn begin_task(&mut self, asker: Asker, request: MonitorRequest) {
        let aim = match path::parse(&request.path) {
            Ok(aim) => aim,
            Err(text) => {
                let part = failed(0, MonitorError::UNKNOWN_PATH, text);
                return self.answer_values(asker, vec![part]);
            }
        };
        if !is_short(&request) {
            let part = failed(self.info.node_id, MonitorError::UNKNOWN_PATH, TOO_LONG.to_owned());
            return self.answer_values(asker, vec![part]);
        }
        if TASKS_MAX <= self.monitor.tasks.len() {
            let text = "too many questions are under way; ask again".to_owned();
            let part = failed(self.info.node_id, MonitorError::NOT_HERE, text);
            return self.answer_values(asker, vec![part]);
        }
        let with_entries = matches!(&aim, Aim::Node(_, rest) | Aim::Cluster(rest) if rest == VIEW);
        self.monitor.newest += 1;
        let number = self.monitor.newest;
        let patience_ms = match request.timeout_ms {
            0 => PATIENCE_MS,
            timeout_ms => timeout_ms.min(PATIENCE_MS_MAX),
        };
        self.monitor.begun.push((number, Duration::from_millis(patience_ms)));
        let task = Task {
            asker,
            request: MonitorRequest { timeout_ms: patience_ms, ..request },
            aim,
            described: None,
            tally: None,
            own: Own::Nothing,
            is_planned: false,
            parts: Vec::new(),
            asked: BTreeMap::new(),
        };
        self.monitor.tasks.insert(number, task);
        let ticket = Ticket { connection: QUESTIONS, request: number };
        self.outlets.describe.do_send(Describe { ticket, with_entries });
        self.outlets.count_watches.do_send(CountWatches { task: number });
    }

    /// Gives the tasks that were begun in this message their deadlines, and ends the timers of
    /// those that are answered.
    pub(super) fn time_tasks(&mut self, context: &mut <Self as actix::Actor>::Context) {
        for (number, patience) in std::mem::take(&mut self.monitor.begun) {
            if self.monitor.tasks.contains_key(&number) {
                let timer = context.run_later(patience, move |own, context| {
                    own.expire_task(number);
                    own.settle(context);
                });
                self.monitor.timers.insert(number, timer);
            }
        }
        for timer in std::mem::take(&mut self.monitor.needless) {
            context.cancel_future(timer);
        }
    }

    /// Takes what Consensus says of the node for a task.
    pub(super) fn described_task(&mut self, described: Described) {
        let number = described.ticket.request;
        let Some(task) = self.monitor.tasks.get_mut(&number) else { return };
        task.described = Some(Box::new(described));
        self.plan_task(number);
    }

    /// Asks whom it concerns, once it is known who there is.
    fn plan_task(&mut self, number: u64) {
        let Some(task) = self.monitor.tasks.get_mut(&number) else { return };
        let (Some(described), Some(_), false) = (&task.described, task.tally, task.is_planned)
        else {
            return;
        };
        task.is_planned = true;
        let (status, own) = (&described.status, self.info.node_id);
        let members: Vec<u64> = status.configuration.members.keys().map(|id| id.number()).collect();
        let is_peers = matches!(task.asker, Asker::Peer(..));
        match task.aim.clone() {
            Aim::Node(id, rest) if id == own => self.answer_for_self(number, &rest),
            _ if is_peers => {
                let text = "a node answers others for itself only".to_owned();
                task.parts.push(failed(own, MonitorError::NOT_HERE, text));
            }
            Aim::Root => {
                let entries = root(&status.configuration);
                task.parts.push(MonitorPart { entries, ..MonitorPart::default() });
            }
            Aim::Node(id, _) if !members.contains(&id) => {
                let ids: Vec<String> = members.iter().map(u64::to_string).collect();
                let text = format!("there is no node {id}; the members are {}", ids.join(", "));
                task.parts.push(failed(id, MonitorError::UNKNOWN_NODE, text));
            }
            Aim::Node(id, rest) => self.ask_peer(number, id, &rest),
            Aim::Cluster(rest) => {
                for id in members.into_iter().filter(|id| *id != own) {
                    self.ask_peer(number, id, &rest);
                }
                self.answer_for_self(number, &rest);
            }
        }
        self.end_task_if_whole(number);
    }

    fn ask_peer(&mut self, number: u64, id: u64, rest: &str) {
        let Some(task) = self.monitor.tasks.get_mut(&number) else { return };
        let Some(to) = NodeId::new(id) else { return };
        task.asked.insert(id, self.monitor.options.clock.now().0);
        let question = MonitorRequest {
            path: format!("/node/{id}/{rest}"),
            // Its own word comes before it is given up here.
            timeout_ms: task.request.timeout_ms * 3 / 4,
            ..task.request.clone()
        };
        let inquiry = Inquiry::Question(number, Box::new(question));
        self.outlets.inquire.do_send(Inquire { to, inquiry });
    }

    pub(super) fn add_own(&mut self, number: u64, found: Result<MonitorPart, MonitorError>) {
        let (node_id, clock_us) = (self.info.node_id, self.monitor.clock().now().0);
        let Some(task) = self.monitor.tasks.get_mut(&number) else { return };
        let part = found
            .unwrap_or_else(|error| MonitorPart { error: Some(error), ..MonitorPart::default() });
        task.parts.push(MonitorPart { node_id, clock_us, wall_us: Clock::wall_time(), ..part });
    }

    fn heard_part(&mut self, from: NodeId, number: u64, part: MonitorPart) {
        let heard_us = self.monitor.clock().now().0;
        let Some(task) = self.monitor.tasks.get_mut(&number) else { return };
        // Late, or never asked for.
        let Some(asked_us) = task.asked.remove(&from.number()) else { return };
        let node_id = from.number();
        task.parts.push(MonitorPart { node_id, asked_us, heard_us, ..part });
        self.end_task_if_whole(number);
    }

    pub(super) fn end_task_if_whole(&mut self, number: u64) {
        let is_whole =
            |task: &Task| task.is_planned && task.asked.is_empty() && task.own == Own::Nothing;
        if self.monitor.tasks.get(&number).is_some_and(is_whole) {
            self.end_task(number);
        }
    }

    /// Ends a task with what there is, and with errors for the rest.
    fn expire_task(&mut self, number: u64) {
        let Some(task) = self.monitor.tasks.get_mut(&number) else { return };
        let patience_ms = task.request.timeout_ms;
        let text = format!("no answer within {patience_ms} ms");
        for id in std::mem::take(&mut task.asked).into_keys() {
            task.parts.push(failed(id, MonitorError::SILENT, text.clone()));
        }
        if matches!(task.own, Own::Health(_)) {
            return self.end_health(number, Err(text));
        }
        if task.own != Own::Nothing || !task.is_planned {
            task.parts.push(failed(self.info.node_id, MonitorError::SILENT, text));
        }
        self.end_task(number);
    }

    fn end_task(&mut self, number: u64) {
        let Some(task) = self.monitor.tasks.remove(&number) else { return };
        self.monitor.needless.extend(self.monitor.timers.remove(&number));
        let mut parts = task.parts;
        parts.sort_by_key(|part| part.node_id);
        self.answer_values(task.asker, parts);
    }

    fn answer_values(&mut self, asker: Asker, parts: Vec<MonitorPart>) {
        match asker {
            Asker::Client(ticket) => {
                self.end(ticket, |_| Reply::Monitored(Box::new(MonitorAnswer { parts })));
            }
            Asker::Door(reply) => {
                // It may have stopped waiting.
                let _ = reply.send(parts);
            }
            Asker::Watch(owner) => self.tell_watch_of_values(owner, parts),
            Asker::Peer(to, number) => {
                let Some(part) = parts.into_iter().next() else { return };
                let inquiry = Inquiry::Answer(number, Box::new(part));
                self.outlets.inquire.do_send(Inquire { to, inquiry });
            }
        }
    }

    /// Tells a watch what was found, unless it is a log without news.
    fn tell_watch_of_values(&mut self, owner: Owner, parts: Vec<MonitorPart>) {
        let Some(request) = self.monitor.watches.get_mut(&owner) else { return };
        let is_log = parts.iter().any(|part| part.lines_seen != 0);
        for part in parts.iter().filter(|part| part.error.is_none() && part.lines_seen != 0) {
            request.lines_seen.retain(|(id, _)| *id != part.node_id);
            request.lines_seen.push((part.node_id, part.lines_seen));
        }
        let has_news = |part: &MonitorPart| {
            !part.entries.is_empty() || part.error.is_some() || part.lines_lost != 0
        };
        if !is_log || parts.iter().any(has_news) {
            self.tell_values(owner, Reply::Monitored(Box::new(MonitorAnswer { parts })));
        }
    }
}

fn failed(node_id: u64, code: u8, text: String) -> MonitorPart {
    MonitorPart { node_id, error: Some(MonitorError { code, text }), ..MonitorPart::default() }
}

impl Handler<WatchesCounted> for Api {
    type Result = ();

    fn handle(&mut self, counted: WatchesCounted, context: &mut Self::Context) {
        if let Some(task) = self.monitor.tasks.get_mut(&counted.task) {
            task.tally = Some(counted.tally);
            self.plan_task(counted.task);
        }
        self.settle(context);
    }
}

impl Handler<MonitorDue> for Api {
    type Result = ();

    fn handle(&mut self, MonitorDue(owner): MonitorDue, context: &mut Self::Context) {
        let is_of = |task: &Task| matches!(task.asker, Asker::Watch(of) if of == owner);
        let is_under_way = self.monitor.tasks.values().any(is_of);
        let unread_bytes =
            self.connections.get(&owner.connection).map_or(0, super::Connection::unread_bytes);
        if let Some(request) = self.monitor.watches.get(&owner)
            && !is_under_way
            && unread_bytes < UNREAD_BYTES_MAX
        {
            let request = request.clone();
            self.begin_task(Asker::Watch(owner), request);
        }
        self.settle(context);
    }
}

impl Handler<AskValues> for Api {
    type Result = ();

    fn handle(&mut self, AskValues { request, reply }: AskValues, context: &mut Self::Context) {
        self.begin_task(Asker::Door(reply), request);
        self.settle(context);
    }
}

impl Handler<Inquired> for Api {
    type Result = ();

    fn handle(&mut self, Inquired { from, inquiry }: Inquired, context: &mut Self::Context) {
        match inquiry {
            Inquiry::Question(number, request) => {
                self.begin_task(Asker::Peer(from, number), *request);
            }
            Inquiry::Answer(number, part) => self.heard_part(from, number, *part),
        }
        self.settle(context);
    }
}

impl Handler<LogLine> for Api {
    type Result = ();

    fn handle(&mut self, mut line: LogLine, _: &mut Self::Context) {
        let text = std::mem::take(&mut line.line);
        self.monitor.lines.push(text, line.dropped);
    }
}

impl Handler<Happened> for Api {
    type Result = ();

    fn handle(&mut self, happened: Happened, _: &mut Self::Context) {
        self.monitor.events.push(happened);
    }
}

/// A connection number that no client has.
const _: () = assert!(QUESTIONS & (1 << 63) == 0);
