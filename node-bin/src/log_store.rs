//! LogStore: the only owner of the write-ahead log, alone on its thread.
//!
//! Commands: `Persist`, `Fetch`, `CutBefore`, `Configure` (Consensus), `Close` (the node),
//! `SparePrepared` (a helper thread). Facts out: `Persisted`, `Fetched`, `DiskFull` (to
//! Consensus).
//! Limits: what waits here is bounded by what Consensus may have in flight.

use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message, Recipient};
use raft_core::consensus::ready;
use raft_core::entry::Entries;
use raft_core::replica::log_files::{LogFact, LogFiles};
use raft_core::types::{Index, Time};
use raft_core::wal::Wal;
use raft_core::wal::disk::Disk as _;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::disk::{FileDisk, NodeDisk};
use crate::fault::FaultGuard;

/// When nothing was written for this long, a mark closes the last batch.
const IDLE_BEFORE_MARK: Duration = Duration::from_millis(200);

/// How long to wait before the log is written again after the disk was full.
const FULL_DISK_RETRY: Duration = Duration::from_millis(500);

/// Writes and syncs a batch.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Persist(pub ready::Persist);

/// Reads older entries.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct Fetch(pub ready::Fetch);

/// Lets go of the log before this entry: a durable snapshot covers it.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct CutBefore(pub Index);

/// Says what later segments have to open with.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub(crate) struct Configure {
    /// The encoded configuration.
    pub configuration: Vec<u8>,
}

/// Closes the log and gives the disk back.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Close {
    /// Whether what waits is still written, and a mark behind it.
    pub(crate) is_orderly: bool,
    pub(crate) reply: oneshot::Sender<NodeDisk>,
}

/// Reports that every batch up to this number is on disk.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct Persisted {
    /// The highest such number.
    pub number: u64,
    /// How long that batch took to be written and synced. Units: microseconds.
    pub took_us: u64,
}

/// Reports that there is no room for the log, or that there is again.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct DiskFull {
    /// Whether it is full.
    pub is_full: bool,
}

/// Reports entries that were read.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Fetched {
    /// Consecutive runs from the index that was asked for.
    pub entries: Vec<Entries>,
}

/// Reports that a spare segment lies ready, or that there was no room for one.
#[derive(Message, Debug)]
#[rtype(result = "()")]
struct SparePrepared {
    disk: FileDisk,
    is_ready: bool,
}

/// Ends a drain of the mailbox: everything that came in together is synced together.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
struct Flush;

/// The actor.
#[derive(Debug)]
pub(crate) struct LogStore {
    /// `None` once the log is closed.
    files: Option<LogFiles<NodeDisk>>,
    is_flush_due: bool,
    is_mark_due: bool,
    clock: Clock,
    /// Makes spare segments on another thread; there while none is being made.
    spare_disk: Option<FileDisk>,
    persisted: Recipient<Persisted>,
    fetched: Recipient<Fetched>,
    full: Recipient<DiskFull>,
    _fault: FaultGuard,
}

impl LogStore {
    pub(crate) fn new(
        (wal, spare_disk): (Wal<NodeDisk>, Option<FileDisk>),
        (persisted, fetched): (Recipient<Persisted>, Recipient<Fetched>),
        full: Recipient<DiskFull>,
        fault: FaultGuard,
    ) -> Self {
        Self {
            files: Some(LogFiles::new(wal)),
            is_flush_due: false,
            is_mark_due: false,
            clock: Clock::start(),
            spare_disk,
            persisted,
            fetched,
            full,
            _fault: fault,
        }
    }

    /// Writes what waits and reports each batch when it is on disk.
    fn flush(&mut self, context: &mut Context<Self>) {
        let Some(files) = &mut self.files else { return };
        let began = self.clock.now();
        let facts = files.flush();
        let facts = facts.unwrap_or_else(|error| panic!("the log could not be written: {error}"));
        self.report(facts, began);
        self.tend(context);
    }

    /// Reports what was done since `began`.
    fn report(&self, facts: Vec<LogFact>, began: Time) {
        let batches = u64::try_from(facts.len()).unwrap_or(u64::MAX).max(1);
        let took_us = self.clock.now().since(began) / batches;
        for fact in facts {
            match fact {
                LogFact::Persisted { number } => {
                    self.persisted.do_send(Persisted { number, took_us });
                }
                LogFact::DiskFull { is_full } => self.full.do_send(DiskFull { is_full }),
                LogFact::Fetched { entries } => self.fetched.do_send(Fetched { entries }),
            }
        }
    }

    /// Sees to what comes after writing: another attempt if there was no room, or else the next
    /// segment and a mark.
    fn tend(&mut self, context: &mut Context<Self>) {
        if self.files.as_ref().is_some_and(LogFiles::has_waiting) {
            if !self.is_flush_due {
                self.is_flush_due = true;
                context.notify_later(Flush, FULL_DISK_RETRY);
            }
            return;
        }
        self.prepare_spare(context);
        self.plan_mark(context);
    }

    fn prepare_spare(&mut self, context: &mut Context<Self>) {
        let Some(order) = self.files.as_ref().and_then(LogFiles::spare_wanted) else { return };
        let Some(mut disk) = self.spare_disk.take() else { return };
        let own = context.address();
        let prepare = move || {
            // Filling a segment with zeros is to disturb nobody; without the right to be
            // modest it only disturbs a little.
            let _ = rustix::process::nice(10);
            let is_ready = disk.create(order.name, order.length).is_ok();
            own.do_send(SparePrepared { disk, is_ready });
        };
        // Without a thread the log prepares its next segment itself, which takes longer once.
        let _ = std::thread::Builder::new().name("segment-spare".into()).spawn(prepare);
    }

    fn plan_mark(&mut self, context: &mut Context<Self>) {
        let Some(files) = self.files.as_ref().filter(|_| !self.is_mark_due) else { return };
        self.is_mark_due = true;
        let batches = files.batches();
        context.run_later(IDLE_BEFORE_MARK, move |own, context| {
            own.is_mark_due = false;
            let Some(files) = &mut own.files else { return };
            if files.batches() != batches {
                own.plan_mark(context);
            } else {
                files.mark().expect("the log's disk works");
            }
        });
    }
}

impl Actor for LogStore {
    type Context = Context<Self>;
}

impl Handler<Persist> for LogStore {
    type Result = ();

    fn handle(&mut self, Persist(batch): Persist, context: &mut Self::Context) {
        let Some(files) = &mut self.files else { return };
        files.add(batch);
        if !self.is_flush_due {
            self.is_flush_due = true;
            context.notify(Flush);
        }
    }
}

impl Handler<Flush> for LogStore {
    type Result = ();

    fn handle(&mut self, _: Flush, context: &mut Self::Context) {
        let _sync = tracing::trace_span!("sync").entered();
        self.is_flush_due = false;
        self.flush(context);
    }
}

impl Handler<Fetch> for LogStore {
    type Result = ();

    fn handle(&mut self, Fetch(fetch): Fetch, context: &mut Self::Context) {
        let Some(files) = &mut self.files else { return };
        let began = self.clock.now();
        let facts = files.fetch(fetch);
        let facts = facts.unwrap_or_else(|error| panic!("the log cannot be read: {error}"));
        self.report(facts, began);
        self.tend(context);
    }
}

impl Handler<CutBefore> for LogStore {
    type Result = ();

    fn handle(&mut self, CutBefore(index): CutBefore, context: &mut Self::Context) {
        let Some(files) = &mut self.files else { return };
        let began = self.clock.now();
        let facts = files.cut_before(index);
        let facts = facts.unwrap_or_else(|error| panic!("the log cannot be cut: {error}"));
        self.report(facts, began);
        self.tend(context);
    }
}

impl Handler<Configure> for LogStore {
    type Result = ();

    fn handle(&mut self, Configure { configuration }: Configure, _: &mut Self::Context) {
        if let Some(files) = &mut self.files {
            files.set_configuration(configuration);
        }
    }
}

impl Handler<SparePrepared> for LogStore {
    type Result = ();

    fn handle(&mut self, SparePrepared { disk, is_ready }: SparePrepared, _: &mut Self::Context) {
        self.spare_disk = Some(disk);
        if let Some(files) = self.files.as_mut().filter(|_| is_ready) {
            files.spare_prepared();
        }
    }
}

impl Handler<Close> for LogStore {
    type Result = ();

    fn handle(&mut self, Close { is_orderly, reply }: Close, context: &mut Self::Context) {
        if is_orderly {
            self.flush(context);
        }
        if let Some(mut files) = self.files.take() {
            if is_orderly {
                files.mark().expect("the log's disk works");
            }
            let _ = reply.send(files.into_disk());
        }
    }
}
