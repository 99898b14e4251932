//! Consensus: the only owner of this node's `Replica`.
//!
//! Commands: `Submit`, `Read`, `ReadLocally`, `Greet`, `Describe`, `Tune`, `Trace`, `Transfer`,
//! `HandOver` (Api and the node), `Urge`, `SetPace` (the node's owner), `ReadChanges` (Watch),
//! `WantSnapshot` (doors, Api), `Tick`.
//! Facts: `Received`, `PeerConnected`, `PeerLost` (Network), `Persisted`, `Fetched`, `DiskFull`
//! (LogStore), `SnapshotsMoved` (SnapshotStore).
//! Facts out: `Answered`, `Greeted`, `Described`, `Tuned`, `Traced`, `Happened` (to Api),
//! `Applied`, `ChangesRead` (to Watch).
//! Limits: what is in flight is bounded by Api and by the replica; the mailbox itself is not.

use actix::{Actor, AsyncContext, Context, Handler, Message, Recipient};
use raft_core::chronicle::Chronicle;
use raft_core::consensus::ready::Notice;
use raft_core::consensus::timeouts::TimeoutsRefused;
use raft_core::entry::ClientId;
use raft_core::replica::event::{
    Answers, Effects, Event, LocalQuery, Query, Status, Submission, Ticket,
};
use raft_core::replica::{Replica, StateMachine};
use raft_core::types::{Index, NodeId};
use raft_net::network::{PeerConnected, PeerLost, Received, SetPeers, Transmit};

use crate::clock::Clock;
use crate::console::RoleTold;
use crate::fault::FaultGuard;
use crate::log_store::{Configure, CutBefore, DiskFull, Fetch, Fetched, Persist, Persisted};
use crate::monitor::events::Happened;
use crate::monitor::latencies::Latencies;
use crate::monitor::newest::newest;
use crate::monitor::trace::{Note, TraceId, Traces};
use crate::monitor::values::Pulse;
use crate::pace::{Passing, SetPace};
use crate::snapshot_store::{Orders, SnapshotsMoved};
use crate::watch::{Applied, ChangesRead, ReadChanges};

/// Lets time pass.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct Tick;

/// Replicates the commands of one turn of Api.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Submit(pub Submission);

/// Answers the queries of one turn of Api.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Read(pub Vec<Query>);

/// Answers the queries of one turn of Api from the state of this node.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct ReadLocally(pub Vec<LocalQuery>);

/// Makes a client id for a connection that has just come in.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct Greet {
    /// The connection.
    pub connection: u64,
}

/// Describes the node to whoever asked.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct Describe {
    /// Who asked.
    pub ticket: Ticket,
    /// Whether the newest entries of the log are wanted, too.
    pub with_entries: bool,
}

/// Hands leadership over, because the node is about to stop.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct HandOver;

/// Does what somebody wants of the node's role who plays with it.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) enum Urge {
    /// Stand for election now.
    Campaign,
    /// Lead no more.
    StepDown,
}

/// Makes a snapshot that covers an entry, unless there is one.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct WantSnapshot {
    pub(crate) covers: Index,
}

/// Hands leadership over, because somebody wants it elsewhere; answered as commands are.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct Transfer {
    /// Who waits for it.
    pub ticket: Ticket,
    /// To whom; to whoever has most if it is not said.
    pub to: Option<NodeId>,
    /// How long it may take. Units: microseconds.
    pub timeout_us: u64,
}

/// Reports the answers of one turn.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub(crate) struct Answered(pub Answers);

/// Reports a fresh client id.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct Greeted {
    /// The connection.
    pub connection: u64,
    /// The id, never handed out before.
    pub client: ClientId,
    /// Who leads, as far as known.
    pub leader: Option<u64>,
}

/// Reports what the node says of itself.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub(crate) struct Described {
    /// Who asked.
    pub ticket: Ticket,
    /// What it says.
    pub status: Status,
    /// What this actor says beside that.
    pub pulse: Pulse,
}

/// Changes timeouts; one that is not named stays as it is.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct Tune {
    /// Who wants it.
    pub ticket: Ticket,
    /// Units: microseconds.
    pub election_timeout_us: Option<u64>,
    /// Units: microseconds.
    pub heartbeat_interval_us: Option<u64>,
}

/// Reports what came of it.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct Tuned {
    /// Who wanted it.
    pub ticket: Ticket,
    /// Why everything stays as it was, if it does.
    pub result: Result<(), TimeoutsRefused>,
}

/// Looks out for a request, or says what was seen of it.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) enum Trace {
    /// Tell what was seen.
    Tell {
        /// Who wants it.
        ticket: Ticket,
        /// The request.
        id: TraceId,
        /// Whether it is to be looked out for from now on.
        begins: bool,
    },
    /// This is the request; it comes next.
    Asked {
        /// The name.
        id: TraceId,
        /// Who waits for it.
        ticket: Ticket,
    },
}

/// Reports what was seen of a request.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub(crate) struct Traced {
    /// Who wanted it.
    pub ticket: Ticket,
    /// What was seen; `None` if nobody looks out for it.
    pub notes: Option<Vec<Note>>,
}

/// Where the effects of a turn go.
#[derive(Clone, Debug)]
pub(crate) struct Outlets {
    /// To LogStore.
    pub persist: Recipient<Persist>,
    /// To LogStore.
    pub fetch: Recipient<Fetch>,
    /// To LogStore.
    pub cut_before: Recipient<CutBefore>,
    /// To LogStore.
    pub configure: Recipient<Configure>,
    /// To SnapshotStore.
    pub snapshots: Recipient<Orders>,
    /// To Network.
    pub transmit: Recipient<Transmit>,
    /// To Network.
    pub set_peers: Recipient<SetPeers>,
    /// To Watch.
    pub applied: Recipient<Applied>,
    /// To Watch.
    pub changes_read: Recipient<ChangesRead>,
    /// To Api.
    pub answered: Recipient<Answered>,
    /// To Api.
    pub greeted: Recipient<Greeted>,
    /// To Api.
    pub described: Recipient<Described>,
    /// To Console, if messages are shown.
    pub role: Option<Recipient<RoleTold>>,
    /// To Api.
    pub tuned: Recipient<Tuned>,
    /// To Api.
    pub traced: Recipient<Traced>,
    /// To Api.
    pub happened: Recipient<Happened>,
    /// To Teller, if somebody writes down the story of the node.
    pub story: Option<Recipient<Happened>>,
}

/// Ends a drain of the mailbox: everything that came in together goes out together.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
struct TakeTurn;

/// The actor.
#[derive(Debug)]
pub(crate) struct Consensus<S> {
    replica: Replica<S>,
    clock: Clock,
    /// Time as the replica lives through it.
    passing: Passing,
    outlets: Outlets,
    is_turn_due: bool,
    /// What was written to the log last.
    told: Option<Notice>,
    /// How long the log takes.
    syncs: Latencies,
    traces: Traces,
    chronicle: Chronicle,
    _fault: FaultGuard,
}

impl<S: StateMachine + Unpin + 'static> Consensus<S> {
    pub(crate) fn new(
        replica: Replica<S>,
        clock: Clock,
        outlets: Outlets,
        fault: FaultGuard,
    ) -> Self {
        Self {
            chronicle: Chronicle::begin(clock.now(), replica.raft()),
            replica,
            clock,
            passing: Passing::default(),
            outlets,
            is_turn_due: false,
            told: None,
            syncs: Latencies::default(),
            traces: Traces::default(),
            _fault: fault,
        }
    }

    /// One event in; the turn that follows is taken when the mailbox is empty.
    fn take(&mut self, event: Event, context: &mut Context<Self>) {
        self.take_timed(event, 0, context);
    }

    /// The same, of a batch that took so long. Units: microseconds.
    fn take_timed(&mut self, event: Event, took_us: u64, context: &mut Context<Self>) {
        let now = self.clock.now();
        if !self.traces.is_empty() {
            self.traces.event(now.0, &event, took_us);
        }
        let inside = self.passing.inside(now);
        self.chronicle.event(now, self.replica.raft(), &event);
        self.replica.handle(inside, event);
        if !self.is_turn_due {
            self.is_turn_due = true;
            context.notify(TakeTurn);
        }
    }

    /// The effects of a turn, handed on as they are.
    fn hand_on(&mut self, effects: Effects, context: &mut Context<Self>) {
        let Effects {
            snapshots,
            cut_before,
            envelopes,
            bulk,
            persist,
            fetch,
            answers,
            applied,
            configuration,
            notices,
            more,
        } = effects;
        if let Some(configuration) = configuration {
            let peers = self.replica.raft().peers_to_reach();
            self.outlets.set_peers.do_send(SetPeers { peers });
            let configuration = configuration.encode();
            self.outlets.configure.do_send(Configure { configuration });
        }
        if !envelopes.is_empty() || !bulk.is_empty() {
            self.outlets.transmit.do_send(Transmit { envelopes, bulk });
        }
        if let Some(persist) = persist {
            self.outlets.persist.do_send(Persist(persist));
        }
        if let Some(index) = cut_before {
            self.outlets.cut_before.do_send(CutBefore(index));
        }
        if !snapshots.is_empty() {
            self.outlets.snapshots.do_send(Orders(snapshots));
        }
        if let Some(fetch) = fetch {
            self.outlets.fetch.do_send(Fetch(fetch));
        }
        if !answers.list.is_empty() {
            self.outlets.answered.do_send(Answered(answers));
        }
        if let Some(progress) = applied {
            self.outlets.applied.do_send(Applied(progress));
        }
        for notice in notices {
            if matches!(notice, Notice::Detail(_)) {
                continue;
            }
            if let (Some(to), Notice::Role { role, .. }) = (&self.outlets.role, &notice) {
                to.do_send(RoleTold(*role));
            }
            // A second node with a peer's id would otherwise be told of with each of its words.
            if self.told.as_ref() != Some(&notice) {
                tell(self.replica.status().node.number(), &notice);
                self.told = Some(notice);
            }
        }
        if more {
            self.is_turn_due = true;
            let own = context.address();
            // Through a task of its own, so that sockets are served between two slices.
            actix_rt::spawn(async move {
                tokio::task::yield_now().await;
                own.do_send(TakeTurn);
            });
        }
    }
}

fn tell(node: u64, notice: &Notice) {
    match notice {
        Notice::Role { role, term, leader, reason, because_of } => {
            let (leader, because_of) =
                (leader.map(|id| id.number()), because_of.map(|id| id.number()));
            tracing::info!(node, role = role.as_str(), %term, leader, because_of, "{reason}");
        }
        Notice::Admitted { reason } => tracing::info!(node, "this node counts now: {reason}"),
        Notice::WaitingFor(peers) => {
            let peers: Vec<u64> = peers.iter().map(|peer| peer.number()).collect();
            tracing::info!(
                node,
                "the data directory is empty: waiting for word of nodes {peers:?}"
            );
        }
        Notice::Members { configuration } => {
            let numbers = |ids: &std::collections::BTreeSet<NodeId>| {
                ids.iter().map(|id| id.number()).collect::<Vec<u64>>()
            };
            let voters = numbers(&configuration.voters);
            let outgoing = numbers(&configuration.outgoing);
            let learners = numbers(&configuration.learners);
            tracing::info!(node, ?voters, ?outgoing, ?learners, "the members changed");
        }
        Notice::Removed => tracing::warn!(
            node,
            "the cluster has removed this node for ever; it can be stopped and its directory \
             deleted"
        ),
        Notice::Installed { last } => {
            tracing::info!(node, index = last.index.0, "a snapshot took the place of the state");
        }
        Notice::Fenced { index } => tracing::error!(
            node,
            index = index.0,
            "the state of this node differs from the majority's: it answers no reads and leads \
             nobody until a snapshot has replaced it"
        ),
        Notice::NoMajorityOfStates { index } => tracing::error!(
            node,
            index = index.0,
            "no majority of the nodes has the same state: compare kvctl status of all and keep \
             their directories"
        ),
        Notice::DiskFull { is_full: true } => tracing::warn!(
            node,
            "the disk has no room for the log: nothing is acknowledged here until there is"
        ),
        Notice::DiskFull { is_full: false } => tracing::info!(node, "the disk has room again"),
        Notice::MemoryFull { is_full: true, live_bytes_max } => tracing::warn!(
            node,
            live_bytes_max,
            "live data takes as much memory as it may: what would add to it is refused"
        ),
        Notice::MemoryFull { is_full: false, .. } => {
            tracing::info!(node, "there is memory for more live data again");
        }
        Notice::SlowDisk => {
            tracing::warn!(node, "the disk is slow, so this node gives leadership away");
        }
        Notice::ForeignIncarnation { peer } => tracing::warn!(
            node,
            peer = peer.number(),
            "a node with this id runs on another data directory than the cluster knows: \
             it is ignored; start it on its own directory"
        ),
        Notice::Detail(_) => {}
    }
}

impl<S: StateMachine + Unpin + 'static> Actor for Consensus<S> {
    type Context = Context<Self>;
}

impl<S: StateMachine + Unpin + 'static> Handler<TakeTurn> for Consensus<S> {
    type Result = ();

    fn handle(&mut self, _: TakeTurn, context: &mut Self::Context) {
        let raft = self.replica.raft();
        let _turn = tracing::trace_span!(
            "turn",
            node = raft.config().id.number(),
            term = raft.term().0,
            commit = raft.log().commit_index().0
        )
        .entered();
        self.is_turn_due = false;
        let now = self.clock.now();
        let effects = self.replica.turn(self.passing.inside(now));
        self.chronicle.turn(now, self.replica.raft(), &effects);
        if self.chronicle.has_news() {
            let told = Happened::of(now, Clock::wall_time(), self.chronicle.take());
            if let Some(to) = &self.outlets.story {
                to.do_send(told.clone());
            }
            self.outlets.happened.do_send(told);
        }
        if !self.traces.is_empty() {
            let commit_index = self.replica.raft().log().commit_index();
            self.traces.effects(self.clock.now().0, &effects, commit_index);
        }
        self.hand_on(effects, context);
    }
}

impl<S: StateMachine + Unpin + 'static> Handler<Greet> for Consensus<S> {
    type Result = ();

    fn handle(&mut self, Greet { connection }: Greet, _: &mut Self::Context) {
        let client = self.replica.new_client();
        let leader = self.replica.status().leader.map(|id| id.number());
        self.outlets.greeted.do_send(Greeted { connection, client, leader });
    }
}

impl<S: StateMachine + Unpin + 'static> Handler<Describe> for Consensus<S> {
    type Result = ();

    fn handle(&mut self, describe: Describe, _: &mut Self::Context) {
        let Describe { ticket, with_entries } = describe;
        let status = self.replica.status();
        let clock_us = self.clock.now().0;
        let raft = self.replica.raft();
        let config = raft.config();
        let inside = self.passing.inside(self.clock.now());
        let pulse = Pulse {
            clock_us,
            inside_us: inside.0,
            syncs: self.syncs.summary(clock_us),
            election_timeout_us: config.election_timeout_us,
            heartbeat_interval_us: config.heartbeat_interval_us,
            vote: raft.hard_state().vote.map(|id| id.number()),
            timer: raft.election_timer(inside),
            newest: with_entries.then(|| newest(raft.log())),
        };
        self.outlets.described.do_send(Described { ticket, status, pulse });
    }
}

impl<S: StateMachine + Unpin + 'static> Handler<SetPace> for Consensus<S> {
    type Result = ();

    fn handle(&mut self, SetPace(pace): SetPace, _: &mut Self::Context) {
        self.passing.set(self.clock.now(), pace);
    }
}

impl<S: StateMachine + Unpin + 'static> Handler<Tune> for Consensus<S> {
    type Result = ();

    fn handle(&mut self, tune: Tune, _: &mut Self::Context) {
        let Tune { ticket, election_timeout_us, heartbeat_interval_us } = tune;
        let config = self.replica.raft().config();
        let election_timeout_us = election_timeout_us.unwrap_or(config.election_timeout_us);
        let heartbeat_interval_us = heartbeat_interval_us.unwrap_or(config.heartbeat_interval_us);
        let result = self.replica.set_timeouts(election_timeout_us, heartbeat_interval_us);
        self.outlets.tuned.do_send(Tuned { ticket, result });
    }
}

impl<S: StateMachine + Unpin + 'static> Handler<Trace> for Consensus<S> {
    type Result = ();

    fn handle(&mut self, trace: Trace, _: &mut Self::Context) {
        match trace {
            Trace::Tell { ticket, id, begins } => {
                if begins {
                    self.traces.begin(self.clock.now().0, id);
                }
                let notes = self.traces.notes(id).map(<[Note]>::to_vec);
                self.outlets.traced.do_send(Traced { ticket, notes });
            }
            Trace::Asked { id, ticket } => self.traces.is_asked(id, ticket),
        }
    }
}

impl<S: StateMachine + Unpin + 'static> Handler<Persisted> for Consensus<S> {
    type Result = ();

    fn handle(&mut self, persisted: Persisted, context: &mut Self::Context) {
        let Persisted { number, took_us } = persisted;
        self.syncs.record(self.clock.now().0, took_us);
        self.take_timed(Event::Persisted { number }, took_us, context);
    }
}

impl<S: StateMachine + Unpin + 'static> Handler<ReadChanges> for Consensus<S> {
    type Result = ();

    fn handle(&mut self, read: ReadChanges, _: &mut Self::Context) {
        let changes = self.replica.changes(read.from, read.bytes_max);
        self.outlets.changes_read.do_send(ChangesRead(changes));
    }
}

impl<S: StateMachine + Unpin + 'static> Handler<SnapshotsMoved> for Consensus<S> {
    type Result = ();

    fn handle(&mut self, SnapshotsMoved(facts): SnapshotsMoved, context: &mut Self::Context) {
        facts.into_iter().for_each(|fact| self.take(Event::Snapshot(fact), context));
    }
}

/// The messages that are events as they are.
macro_rules! is_event {
    ($($message:pat => $type:ty => $event:expr),* $(,)?) => {$(
        impl<S: StateMachine + Unpin + 'static> Handler<$type> for Consensus<S> {
            type Result = ();

            fn handle(&mut self, message: $type, context: &mut Self::Context) {
                let $message = message;
                self.take($event, context);
            }
        }
    )*};
}

is_event! {
    Tick => Tick => Event::Tick,
    Submit(submission) => Submit => Event::Submit(submission),
    Read(queries) => Read => Event::Read(queries),
    ReadLocally(queries) => ReadLocally => Event::ReadLocally(queries),
    HandOver => HandOver => Event::HandOver,
    urge => Urge => match urge {
        Urge::Campaign => Event::Campaign,
        Urge::StepDown => Event::StepDown,
    },
    WantSnapshot { covers } => WantSnapshot => Event::SnapshotWanted { covers },
    Transfer { ticket, to, timeout_us } => Transfer =>
        Event::Transfer { ticket, to, timeout_us },
    Received { envelopes } => Received => Event::Received(envelopes),
    PeerConnected { peer, connection, feature_level } => PeerConnected =>
        Event::PeerConnected { peer, connection, feature_level },
    PeerLost { peer, connection } => PeerLost => Event::PeerLost { peer, connection },
    DiskFull { is_full } => DiskFull => Event::DiskFull { is_full },
    Fetched { entries } => Fetched => Event::Fetched { entries },
}
