//! LogStore: the only owner of the write-ahead log, alone on its thread.
//!
//! Commands: `Persist`, `Fetch`, `CutBefore`, `Configure` (Consensus), `Close` (the node),
//! `SparePrepared` (a helper thread). Facts out: `Persisted`, `Fetched` (to Consensus).
//! Limits: what waits here is bounded by what Consensus may have in flight.

use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message, Recipient};
use raft_core::consensus::ready;
use raft_core::entry::Entries;
use raft_core::types::{EntryId, Index};
use raft_core::wal::disk::Disk as _;
use raft_core::wal::{Wal, WalError};
use tokio::sync::oneshot;

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
    wal: Option<Wal<NodeDisk>>,
    waiting: Vec<ready::Persist>,
    is_flush_due: bool,
    is_mark_due: bool,
    /// Makes spare segments on another thread; there while none is being made.
    spare_disk: Option<FileDisk>,
    /// Batches written so far, by which the mark knows that nothing came after it was planned.
    batches: u64,
    persisted: Recipient<Persisted>,
    fetched: Recipient<Fetched>,
    full: Recipient<DiskFull>,
    /// What was last reported.
    is_full: bool,
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
            wal: Some(wal),
            waiting: Vec::new(),
            is_flush_due: false,
            is_mark_due: false,
            spare_disk,
            batches: 0,
            persisted,
            fetched,
            full,
            is_full: false,
            _fault: fault,
        }
    }

    /// Writes what waits, in as few batches as the order of the entries allows, and reports
    /// each batch when it is on disk.
    fn flush(&mut self, context: &mut Context<Self>) {
        while let Some(group) = next_group(&self.waiting) {
            let Some(wal) = &mut self.wal else { return };
            let Group { count, number, base, hard_state, entries } = group;
            let written = match base {
                Some(base) => wal.reset(base, &hard_state),
                None => Ok(()),
            };
            // What replaces the log says the hard state too.
            let written = match written {
                Ok(()) if base.is_some() && entries.is_empty() => Ok(()),
                Ok(()) => wal.append(&hard_state, &entries),
                Err(error) => Err(error),
            };
            match written {
                Ok(()) => {}
                Err(WalError::NoSpace(_)) => {
                    self.tell_full(true);
                    self.is_flush_due = true;
                    context.notify_later(Flush, FULL_DISK_RETRY);
                    return;
                }
                Err(error) => panic!("the log could not be written: {error}"),
            }
            self.batches += 1;
            self.waiting.drain(..count);
            self.persisted.do_send(Persisted { number });
            self.tell_full(false);
        }
        self.prepare_spare(context);
        self.plan_mark(context);
    }

    fn tell_full(&mut self, is_full: bool) {
        if self.is_full != is_full {
            self.is_full = is_full;
            self.full.do_send(DiskFull { is_full });
        }
    }

    fn prepare_spare(&mut self, context: &mut Context<Self>) {
        let Some(order) = self.wal.as_ref().and_then(Wal::spare_wanted) else { return };
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
        if self.is_mark_due {
            return;
        }
        self.is_mark_due = true;
        let batches = self.batches;
        context.run_later(IDLE_BEFORE_MARK, move |own, context| {
            own.is_mark_due = false;
            if own.batches != batches {
                own.plan_mark(context);
            } else if let Some(wal) = &mut own.wal {
                wal.mark().expect("the log's disk works");
            }
        });
    }
}

struct Group {
    count: usize,
    number: u64,
    /// Where the log begins anew, if it does.
    base: Option<EntryId>,
    hard_state: raft_core::hard_state::HardState,
    entries: Vec<Entries>,
}

/// The batches at the front that can be written as one: each goes on where the last one
/// ended.
fn next_group(waiting: &[ready::Persist]) -> Option<Group> {
    let mut batches = waiting.iter();
    let first = batches.next()?;
    let mut group = Group {
        count: 1,
        number: first.number,
        base: first.base,
        hard_state: first.hard_state,
        entries: first.entries.clone(),
    };
    for batch in batches {
        let end = group.entries.last().map(Entries::last_index);
        let start = batch.entries.first().map(Entries::first_index);
        let goes_on = match (end, start) {
            (Some(end), Some(start)) => end.next() == start,
            (None, _) | (_, None) => true,
        };
        if !goes_on || batch.base.is_some() {
            break;
        }
        group.count += 1;
        group.number = batch.number;
        group.hard_state = batch.hard_state;
        group.entries.extend(batch.entries.iter().cloned());
    }
    Some(group)
}

impl Actor for LogStore {
    type Context = Context<Self>;
}

impl Handler<Persist> for LogStore {
    type Result = ();

    fn handle(&mut self, Persist(batch): Persist, context: &mut Self::Context) {
        self.waiting.push(batch);
        if !self.is_flush_due {
            self.is_flush_due = true;
            context.notify(Flush);
        }
    }
}

impl Handler<Flush> for LogStore {
    type Result = ();

    fn handle(&mut self, _: Flush, context: &mut Self::Context) {
        self.is_flush_due = false;
        self.flush(context);
    }
}

impl Handler<Fetch> for LogStore {
    type Result = ();

    fn handle(&mut self, Fetch(fetch): Fetch, context: &mut Self::Context) {
        // What was handed over before the question belongs to the log that is read.
        self.flush(context);
        let Some(wal) = &mut self.wal else { return };
        let entries = wal.read(fetch.first, fetch.end, fetch.bytes_max);
        let entries = entries.unwrap_or_else(|error| panic!("the log cannot be read: {error}"));
        self.fetched.do_send(Fetched { entries });
    }
}

impl Handler<CutBefore> for LogStore {
    type Result = ();

    fn handle(&mut self, CutBefore(index): CutBefore, context: &mut Self::Context) {
        // What was handed over before belongs to the log that is cut.
        self.flush(context);
        let Some(wal) = &mut self.wal else { return };
        let cut = wal.cut_before(index);
        cut.unwrap_or_else(|error| panic!("the log cannot be cut: {error}"));
    }
}

impl Handler<Configure> for LogStore {
    type Result = ();

    fn handle(&mut self, Configure { configuration }: Configure, _: &mut Self::Context) {
        if let Some(wal) = &mut self.wal {
            wal.set_configuration(configuration);
        }
    }
}

impl Handler<SparePrepared> for LogStore {
    type Result = ();

    fn handle(&mut self, SparePrepared { disk, is_ready }: SparePrepared, _: &mut Self::Context) {
        self.spare_disk = Some(disk);
        if let Some(wal) = self.wal.as_mut().filter(|_| is_ready) {
            wal.spare_prepared();
        }
    }
}

impl Handler<Close> for LogStore {
    type Result = ();

    fn handle(&mut self, Close { is_orderly, reply }: Close, context: &mut Self::Context) {
        if is_orderly {
            self.flush(context);
        }
        if let Some(mut wal) = self.wal.take() {
            if is_orderly {
                wal.mark().expect("the log's disk works");
            }
            let _ = reply.send(wal.into_disk());
        }
    }
}
