//! SnapshotStore: the only owner of the snapshot files, alone on a thread of low priority, so
//! that nothing there ever holds up the log.
//!
//! Commands: `Orders` (Consensus), `FindSnapshot`, `ReadSnapshot` (doors), `AskSnapshot` (Api),
//! `CloseSnapshots` (the node). Facts out: `SnapshotsMoved` (to Consensus), `SnapshotTold` (to
//! Api).
//! Limits: what waits here is bounded by Consensus, which has one part of a build, one of a
//! load and a window of pieces per follower under way.

use actix::{Actor, Context, Handler, Message, Recipient};
use bytes::Bytes;
use raft_core::replica::event::Ticket;
use raft_core::replica::snapshot_files::SnapshotFiles;
use raft_core::replica::snapshots::{SnapshotFact, SnapshotOrder};
use raft_core::snapshot::SnapshotId;
use tokio::sync::oneshot;

use crate::disk::NodeDisk;
use crate::fault::FaultGuard;

/// How modest the thread is (nice).
const NICE: i32 = 10;

/// What is to be done with snapshot files, in this order.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Orders(pub Vec<SnapshotOrder>);

/// Reports what became of orders, in order.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct SnapshotsMoved(pub Vec<SnapshotFact>);

/// Asks which snapshot is the newest one.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct FindSnapshot {
    pub(crate) reply: oneshot::Sender<Option<SnapshotId>>,
}

/// Asks for a piece of a snapshot's file.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct ReadSnapshot {
    pub(crate) id: SnapshotId,
    pub(crate) offset: u64,
    /// How long it is at most.
    pub(crate) bytes_max: usize,
    /// Takes the piece; `None` if the snapshot is gone or cannot be read.
    pub(crate) reply: oneshot::Sender<Option<Bytes>>,
}

/// Asks for the newest snapshot, or for a piece of one, for a client of Api; answered by
/// `SnapshotTold`.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct AskSnapshot {
    /// Who asked.
    pub(crate) ticket: Ticket,
    /// Which piece, where it begins and how long it is at most.
    pub(crate) piece: Option<(SnapshotId, u64, usize)>,
}

/// Tells a client of Api about snapshots.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct SnapshotTold {
    /// Who asked.
    pub(crate) ticket: Ticket,
    /// What it asked for.
    pub(crate) word: SnapshotWord,
}

/// What is told.
#[derive(Debug)]
pub(crate) enum SnapshotWord {
    /// The newest snapshot, if there is one.
    Newest(Option<SnapshotId>),
    /// The piece, unless it is gone or cannot be read.
    Piece(Option<Bytes>),
}

/// Ends the work and gives the disk back.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct CloseSnapshots {
    pub(crate) reply: oneshot::Sender<NodeDisk>,
}

/// The actor.
#[derive(Debug)]
pub(crate) struct SnapshotStore {
    /// `None` once it is closed.
    files: Option<SnapshotFiles<NodeDisk>>,
    moved: Recipient<SnapshotsMoved>,
    told: Recipient<SnapshotTold>,
    _fault: FaultGuard,
}

impl SnapshotStore {
    pub(crate) fn new(
        files: SnapshotFiles<NodeDisk>,
        moved: Recipient<SnapshotsMoved>,
        told: Recipient<SnapshotTold>,
        fault: FaultGuard,
    ) -> Self {
        Self { files: Some(files), moved, told, _fault: fault }
    }
}

/// A snapshot that fails costs nobody anything but time; somebody should know why.
fn tell(fact: &SnapshotFact) {
    match fact {
        SnapshotFact::Failed { why } => {
            tracing::warn!("no snapshot was made, the log stays as long as it is: {why}");
        }
        SnapshotFact::Unreadable { why } => {
            tracing::error!("a snapshot cannot be loaded and is fetched again: {why}");
        }
        SnapshotFact::Finished { id } => {
            tracing::info!(index = id.last.index.0, bytes = id.bytes, "a snapshot was made");
        }
        SnapshotFact::Written
        | SnapshotFact::Piece { .. }
        | SnapshotFact::Received { .. }
        | SnapshotFact::Part { .. } => {}
    }
}

impl Actor for SnapshotStore {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        // Without the right to be modest it disturbs a little more.
        let _ = rustix::process::nice(NICE);
    }
}

impl Handler<Orders> for SnapshotStore {
    type Result = ();

    fn handle(&mut self, Orders(orders): Orders, _: &mut Self::Context) {
        let _orders = tracing::trace_span!("snapshot", orders = orders.len()).entered();
        let Some(files) = &mut self.files else { return };
        let facts: Vec<SnapshotFact> =
            orders.into_iter().filter_map(|order| files.execute(order)).collect();
        facts.iter().for_each(tell);
        if !facts.is_empty() {
            self.moved.do_send(SnapshotsMoved(facts));
        }
    }
}

impl Handler<FindSnapshot> for SnapshotStore {
    type Result = ();

    fn handle(&mut self, FindSnapshot { reply }: FindSnapshot, _: &mut Self::Context) {
        // Whoever asked may be gone.
        let _ = reply.send(self.files.as_ref().and_then(SnapshotFiles::newest));
    }
}

impl Handler<ReadSnapshot> for SnapshotStore {
    type Result = ();

    fn handle(&mut self, asked: ReadSnapshot, _: &mut Self::Context) {
        let ReadSnapshot { id, offset, bytes_max, reply } = asked;
        let files = self.files.as_mut();
        // Whoever asked may be gone.
        let _ = reply.send(files.and_then(|files| files.read(id, offset, bytes_max)));
    }
}

impl Handler<AskSnapshot> for SnapshotStore {
    type Result = ();

    fn handle(&mut self, AskSnapshot { ticket, piece }: AskSnapshot, _: &mut Self::Context) {
        let files = self.files.as_mut();
        let word = match piece {
            None => SnapshotWord::Newest(files.and_then(|files| files.newest())),
            Some((id, offset, bytes_max)) => {
                SnapshotWord::Piece(files.and_then(|files| files.read(id, offset, bytes_max)))
            }
        };
        self.told.do_send(SnapshotTold { ticket, word });
    }
}

impl Handler<CloseSnapshots> for SnapshotStore {
    type Result = ();

    fn handle(&mut self, CloseSnapshots { reply }: CloseSnapshots, _: &mut Self::Context) {
        if let Some(files) = self.files.take() {
            let _ = reply.send(files.into_disk());
        }
    }
}
