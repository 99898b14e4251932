//! One put on its way through the actors of three nodes, message by message.
//!
//! The actors are the real ones, all on one thread; between any two of them stands a tap that
//! notes what passes. Only the network is played, by handing envelopes on, and time stands
//! still while the put travels, so that nothing else does.

use std::collections::{BTreeMap, BTreeSet};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, Recipient};
use bytes::BytesMut;
use kv_store::command::{Answer, Command};
use kv_store::store::Store;
use raft_core::consensus::RaftConfig;
use raft_core::consensus::message::Envelope;
use raft_core::entry::SessionStamp;
use raft_core::hard_state::Configuration;
use raft_core::replica::Replica;
use raft_core::replica::event::Status;
use raft_core::replica::snapshot_files::SnapshotFiles;
use raft_core::types::NodeId;
use raft_core::wal::Wal;
use raft_net::inquiry::Inquire;
use raft_net::network::{Received, SetPeers, Transmit};
use raft_net::publication::Spread;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use crate::api::{self, Api, BodyChecks, Call, CallOutcome, MonitorOptions, NodeInfo, Operation};
use crate::clock::Clock;
use crate::consensus::{self, Answered, Consensus, Submit, Tick};
use crate::directory::{self, Claim, Data, MemoryData};
use crate::disk::NodeDisk;
use crate::doors::resp::RespOptions;
use crate::fault::FaultGuard;
use crate::log_store::{LogStore, Persist, Persisted};
use crate::node::Control;
use crate::snapshot_store::SnapshotStore;
use crate::watch::{self, Applied, ReadChanges, Watch};

/// Notes a message and passes it on.
struct Tap<M: Message<Result = ()> + Send> {
    to: Recipient<M>,
    note: Box<dyn Fn(&M) -> String>,
    seen: UnboundedSender<String>,
}

impl<M: Message<Result = ()> + Send + 'static> Actor for Tap<M> {
    type Context = Context<Self>;
}

impl<M: Message<Result = ()> + Send + 'static> Handler<M> for Tap<M> {
    type Result = ();

    fn handle(&mut self, message: M, _: &mut Self::Context) {
        let note = (self.note)(&message);
        if !note.is_empty() {
            self.seen.send(note).unwrap();
        }
        self.to.do_send(message);
    }
}

/// Carries envelopes to the node that they are for, one message each, as connections would.
struct Wire(BTreeMap<NodeId, Recipient<Received>>);

impl Actor for Wire {
    type Context = Context<Self>;
}

impl Handler<Transmit> for Wire {
    type Result = ();

    fn handle(&mut self, Transmit { envelopes, bulk }: Transmit, _: &mut Self::Context) {
        for envelope in envelopes.into_iter().chain(bulk) {
            self.0[&envelope.to].do_send(Received { envelopes: vec![envelope] });
        }
    }
}

impl Handler<SetPeers> for Wire {
    type Result = ();

    /// The three are connected from the start.
    fn handle(&mut self, _: SetPeers, _: &mut Self::Context) {}
}

impl Handler<Spread> for Wire {
    type Result = ();

    /// A put says nothing on channels.
    fn handle(&mut self, _: Spread, _: &mut Self::Context) {}
}

impl Handler<Inquire> for Wire {
    type Result = ();

    /// Nobody asks about a put.
    fn handle(&mut self, _: Inquire, _: &mut Self::Context) {}
}

/// The taps of one node.
struct Taps {
    node: NodeId,
    seen: UnboundedSender<String>,
}

impl Taps {
    fn tap<M: Message<Result = ()> + Send + 'static>(
        &self,
        to: Recipient<M>,
        note: impl Fn(&M) -> String + 'static,
    ) -> Recipient<M> {
        let node = self.node;
        let note = move |message: &M| {
            let note = note(message);
            if note.is_empty() { note } else { format!("n{node} {note}") }
        };
        Tap { to, note: Box::new(note), seen: self.seen.clone() }.start().recipient()
    }
}

fn number(number: u64) -> NodeId {
    NodeId::new(number).unwrap()
}

/// The messages by their names, each with one of its ends.
fn names(envelopes: &[Envelope], prefix: &str, node: fn(&Envelope) -> NodeId) -> String {
    let names: Vec<String> = envelopes
        .iter()
        .map(|it| format!("{} {prefix} n{}", it.message.name(), node(it)))
        .collect();
    names.join(", ")
}

/// What a node begins with.
struct Recovered {
    address: String,
    replica: Replica<Store>,
    wal: Wal<NodeDisk>,
    snapshot_files: SnapshotFiles<NodeDisk>,
}

/// An empty directory in memory, opened.
fn recover(id: NodeId, clock: &Clock) -> Recovered {
    let claim = Claim {
        node_id: id,
        members: (1..=3).map(|id| (number(id), format!("n{id}"))).collect(),
        learners: BTreeSet::new(),
        address: format!("n{id}"),
        cluster_id: Some(1),
        renews_addresses: false,
        promise_us: 0,
        segment_bytes: 64 * 1024,
    };
    let opened = directory::open(Data::Memory(MemoryData::default()), &claim, &Store::default());
    let opened = opened.unwrap();
    let configuration = Configuration::of((1..=3).map(number));
    let mut config = RaftConfig::new(id, opened.identity.incarnation, configuration);
    // Node 1 stands for election at once, and nobody else ever does.
    config.election_timeout_us = if id == number(1) { 50_000 } else { 60_000_000 };
    config.heartbeat_interval_us = config.election_timeout_us / 3;
    let replica =
        Replica::new(config, opened.hard_state, opened.log, Store::default(), clock.now());
    let (address, wal, snapshot_files) = (claim.address, opened.wal, opened.snapshot_files);
    Recovered { address, replica, wal, snapshot_files }
}

/// A node without a thread, a port or a clock that ticks.
struct Node {
    consensus: Addr<Consensus<Store>>,
    api: Addr<Api>,
}

/// Where Api's requests go, of which `submit` is tapped.
fn requests(
    submit: Recipient<Submit>,
    (consensus, snapshot_store): (&Addr<Consensus<Store>>, &Addr<SnapshotStore>),
    (watch, wire): (&Addr<Watch>, &Addr<Wire>),
) -> api::Outlets {
    api::Outlets {
        submit,
        read: consensus.clone().recipient(),
        read_locally: consensus.clone().recipient(),
        greet: consensus.clone().recipient(),
        describe: consensus.clone().recipient(),
        transfer: consensus.clone().recipient(),
        want_snapshot: consensus.clone().recipient(),
        snapshots: snapshot_store.clone().recipient(),
        play: None,
        watch: watch.clone().recipient(),
        monitor_orders: watch.clone().recipient(),
        count_watches: watch.clone().recipient(),
        tune: consensus.clone().recipient(),
        trace: consensus.clone().recipient(),
        spread: wire.clone().recipient(),
        inquire: wire.clone().recipient(),
    }
}

impl Node {
    /// Runs the actors of node `id` on the contexts that its peers know already.
    fn start(
        id: NodeId,
        contexts: (Context<Consensus<Store>>, Context<Api>),
        wire: &Addr<Wire>,
        seen: &UnboundedSender<String>,
        faults: &UnboundedSender<Control>,
    ) -> Self {
        let (consensus, api) = contexts;
        let (to_consensus, to_api) = (consensus.address(), api.address());
        let taps = Taps { node: id, seen: seen.clone() };
        let clock = Clock::start();
        let Recovered { address, replica, wal, snapshot_files } = recover(id, &clock);
        let (inbox, fetched) = (to_consensus.clone().recipient(), to_consensus.clone().recipient());
        let full = to_consensus.clone().recipient();
        let persisted =
            taps.tap(inbox, |_: &Persisted| "LogStore -> Consensus: Persisted".to_owned());
        let guard = |actor| FaultGuard::new(actor, faults);
        let log_store =
            LogStore::new((wal, None), (persisted, fetched), full, guard("LogStore")).start();
        let (moved, told) = (to_consensus.clone().recipient(), to_api.clone().recipient());
        let snapshot_store =
            SnapshotStore::new(snapshot_files, moved, told, guard("SnapshotStore")).start();
        let read_changes = taps.tap(to_consensus.clone().recipient(), |_: &ReadChanges| {
            "Watch -> Consensus: ReadChanges".to_owned()
        });
        let watch = Watch::new(told_by_watch(read_changes, &to_api), guard("Watch")).start();
        let outlets = consensus::Outlets {
            persist: taps.tap(log_store.clone().recipient(), persist_note),
            fetch: log_store.clone().recipient(),
            cut_before: log_store.clone().recipient(),
            configure: log_store.recipient(),
            snapshots: snapshot_store.clone().recipient(),
            transmit: taps.tap(wire.clone().recipient(), |it: &Transmit| {
                format!("Consensus -> Network: Transmit {}", names(&it.envelopes, "to", |e| e.to))
            }),
            set_peers: wire.clone().recipient(),
            applied: taps.tap(watch.clone().recipient(), |_: &Applied| {
                "Consensus -> Watch: Applied".to_owned()
            }),
            changes_read: watch.clone().recipient(),
            answered: taps.tap(to_api.clone().recipient(), |Answered(answers): &Answered| {
                format!("Consensus -> Api: Answered {}", answers.list.len())
            }),
            greeted: to_api.clone().recipient(),
            described: to_api.clone().recipient(),
            role: None,
            tuned: to_api.clone().recipient(),
            traced: to_api.clone().recipient(),
            happened: to_api.clone().recipient(),
            story: None,
        };
        consensus.run(Consensus::new(replica, clock, outlets, guard("Consensus")));
        let submit = taps.tap(to_consensus.clone().recipient(), |Submit(submission): &Submit| {
            format!("Api -> Consensus: Submit {}", submission.tickets.len())
        });
        let requests = requests(submit, (&to_consensus, &snapshot_store), (&watch, wire));
        let info = NodeInfo { cluster_id: 1, node_id: id.number(), address, page: None };
        api.run(Api::new(info, no_checks(), requests, options(clock), guard("Api")));
        Self { consensus: to_consensus, api: to_api }
    }

    async fn call(&self, operation: Operation) -> CallOutcome {
        let (reply, outcome) = oneshot::channel();
        self.api.do_send(Call { operation, timeout_ms: 60_000, reply });
        outcome.await.unwrap().outcome
    }

    async fn status(&self) -> Status {
        match self.call(Operation::Describe).await {
            CallOutcome::Described(status) => *status,
            other => panic!("a description is answered by {other:?}"),
        }
    }
}

fn persist_note(Persist(batch): &Persist) -> String {
    let entries: usize = batch.entries.iter().map(|run| run.iter().count()).sum();
    format!("Consensus -> LogStore: Persist {entries}")
}

fn told_by_watch(read_changes: Recipient<ReadChanges>, api: &Addr<Api>) -> watch::Outlets {
    watch::Outlets {
        read_changes,
        pushed: api.clone().recipient(),
        due: api.clone().recipient(),
        counted: api.clone().recipient(),
    }
}

fn no_checks() -> BodyChecks {
    BodyChecks { command: |_| Ok(()), query: |_| Ok(()) }
}

fn options(clock: Clock) -> (RespOptions, MonitorOptions) {
    let monitor = MonitorOptions { clock, directory: None, logs: None, probe: None };
    (RespOptions::default(), monitor)
}

/// Three nodes, of which node 1 leads and everybody has applied everything.
async fn three_nodes(seen: &UnboundedSender<String>) -> Vec<Node> {
    // Nobody fails here; if one does, its panic is seen by itself.
    let (faults, _) = unbounded_channel();
    let contexts: Vec<_> =
        (0..3).map(|_| (Context::<Consensus<Store>>::new(), Context::<Api>::new())).collect();
    let inboxes = (1..).zip(&contexts).map(|(id, (consensus, _))| {
        let taps = Taps { node: number(id), seen: seen.clone() };
        let inbox = taps.tap(consensus.address().recipient(), |it: &Received| {
            format!("Network -> Consensus: Received {}", names(&it.envelopes, "from", |e| e.from))
        });
        (number(id), inbox)
    });
    let wire = Wire(inboxes.collect()).start();
    let nodes: Vec<Node> = (1..)
        .zip(contexts)
        .map(|(id, contexts)| Node::start(number(id), contexts, &wire, seen, &faults))
        .collect();
    loop {
        nodes.iter().for_each(|node| node.consensus.do_send(Tick));
        settle().await;
        let mut are_ready = nodes[0].status().await.leader == Some(number(1));
        for node in &nodes {
            let status = node.status().await;
            are_ready &= status.last_index == status.applied_index && 0 < status.last_index.0;
        }
        if are_ready {
            return nodes;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

/// Lets every message that is on its way arrive, and what follows from it: all of it happens on
/// this thread, one hop for each turn of its scheduler.
async fn settle() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

fn drain(seen: &mut UnboundedReceiver<String>) -> Vec<String> {
    std::iter::from_fn(|| seen.try_recv().ok()).collect()
}

/// What travels for one put on the leader. The embedding program's `Call` (or a client's frame)
/// reaches Api; at the end of Api's turn the command goes to Consensus as one `Submit`. The turn
/// of Consensus sends the entry to both followers and, at the same time, to the own log. Each
/// follower answers only when its LogStore has synced. An answer makes a majority with the
/// leader's own sync: the entry is applied, the store's answer goes to Api and the news to
/// Watch, which reads nothing because nobody watches. The followers hear of it with the next
/// tick.
#[actix_rt::test]
async fn a_put_travels_through_the_actors_as_it_is_drawn() {
    let (note, mut seen) = unbounded_channel();
    let nodes = three_nodes(&note).await;
    drain(&mut seen);
    let mut body = BytesMut::new();
    Command::Put { key: b"k", value: b"v" }.encode(&mut body);
    let (command, session) = (body.freeze(), SessionStamp::default());
    let outcome = nodes[0].call(Operation::Write { command, session }).await;
    let CallOutcome::Answered(answer) = outcome else { panic!("{outcome:?}") };
    assert_eq!(Answer::decode(&answer), Ok(Answer::Put { revision: 2 }));
    settle().await;
    let travelled = drain(&mut seen);
    assert_eq!(
        travelled,
        [
            "n1 Api -> Consensus: Submit 1",
            "n1 Consensus -> Network: Transmit AppendEntries to n2, AppendEntries to n3",
            "n1 Consensus -> LogStore: Persist 1",
            "n2 Network -> Consensus: Received AppendEntries from n1",
            "n3 Network -> Consensus: Received AppendEntries from n1",
            "n1 LogStore -> Consensus: Persisted",
            "n2 Consensus -> LogStore: Persist 1",
            "n3 Consensus -> LogStore: Persist 1",
            "n2 LogStore -> Consensus: Persisted",
            "n3 LogStore -> Consensus: Persisted",
            "n2 Consensus -> Network: Transmit AppendEntriesResponse to n1",
            "n3 Consensus -> Network: Transmit AppendEntriesResponse to n1",
            "n1 Network -> Consensus: Received AppendEntriesResponse from n2",
            "n1 Network -> Consensus: Received AppendEntriesResponse from n3",
            "n1 Consensus -> Api: Answered 1",
            "n1 Consensus -> Watch: Applied",
        ],
        "{travelled:#?}"
    );

    nodes[0].consensus.do_send(Tick);
    settle().await;
    let travelled = drain(&mut seen);
    for line in [
        "n1 Consensus -> Network: Transmit Heartbeat to n2, Heartbeat to n3",
        "n2 Consensus -> Watch: Applied",
        "n3 Consensus -> Watch: Applied",
    ] {
        assert!(travelled.iter().any(|it| it == line), "no {line:?} in {travelled:#?}");
    }
}
