//! Does with the log what a replica orders; blocking, in the order of the orders.

use crate::consensus::ready::{Fetch, Persist};
use crate::entry::Entries;
use crate::hard_state::HardState;
use crate::types::{EntryId, Index};
use crate::wal::disk::Disk;
use crate::wal::{SpareOrder, Wal, WalError};

/// The log of a replica, and what is to be written to it.
#[derive(Debug)]
pub struct LogFiles<D> {
    wal: Wal<D>,
    waiting: Vec<Persist>,
    /// What was last said.
    is_full: bool,
    /// Batches written so far.
    batches: u64,
}

/// What became of orders.
#[derive(Clone, Debug)]
pub enum LogFact {
    /// Every batch up to this number is on disk.
    Persisted {
        /// The highest such number.
        number: u64,
    },
    /// There is no room for the log, or there is again.
    DiskFull {
        /// Whether it is full.
        is_full: bool,
    },
    /// Entries that were read: consecutive runs from the index that was asked for.
    Fetched {
        /// The runs.
        entries: Vec<Entries>,
    },
}

/// Batches that can be written as one.
struct Group {
    count: usize,
    number: u64,
    /// Where the log begins anew, if it does.
    base: Option<EntryId>,
    hard_state: HardState,
    entries: Vec<Entries>,
}

impl<D: Disk> LogFiles<D> {
    /// Executes orders on this log.
    #[must_use]
    pub fn new(wal: Wal<D>) -> Self {
        Self { wal, waiting: Vec::new(), is_full: false, batches: 0 }
    }

    /// Takes in a batch; the next `flush` writes it.
    pub fn add(&mut self, batch: Persist) {
        self.waiting.push(batch);
    }

    /// Writes what waits, in as few batches as the order of the entries allows, each of which
    /// is on disk when it is reported.
    ///
    /// What finds no room goes on waiting (`has_waiting`), with everything behind it, and the
    /// call is to be repeated after a while.
    ///
    /// Errors: never `NoSpace`; the node must end, and nothing may be reported of this call.
    pub fn flush(&mut self) -> Result<Vec<LogFact>, WalError> {
        let mut facts = Vec::new();
        while let Some(Group { count, number, base, hard_state, entries }) = self.next_group() {
            match self.wal.persist(base, &hard_state, &entries) {
                Ok(()) => {}
                Err(WalError::NoSpace(_)) => {
                    self.note_full(true, &mut facts);
                    break;
                }
                Err(error) => return Err(error),
            }
            self.batches += 1;
            self.waiting.drain(..count);
            facts.push(LogFact::Persisted { number });
            self.note_full(false, &mut facts);
        }
        Ok(facts)
    }

    /// Reads entries. What was handed over before belongs to the log that is read, so it is
    /// written first.
    ///
    /// Errors: as `flush`.
    pub fn fetch(&mut self, fetch: Fetch) -> Result<Vec<LogFact>, WalError> {
        let mut facts = self.flush()?;
        let entries = self.wal.read(fetch.first, fetch.end, fetch.bytes_max)?;
        facts.push(LogFact::Fetched { entries });
        Ok(facts)
    }

    /// Lets go of the log before `index`, which a durable snapshot covers. What was handed over
    /// before belongs to the log that is cut, so it is written first.
    ///
    /// Errors: as `flush`.
    pub fn cut_before(&mut self, index: Index) -> Result<Vec<LogFact>, WalError> {
        let facts = self.flush()?;
        self.wal.cut_before(index)?;
        Ok(facts)
    }

    /// Says on disk that everything that was written is synced; for moments without work.
    ///
    /// Errors: the node must end.
    pub fn mark(&mut self) -> Result<(), WalError> {
        self.wal.mark()
    }

    /// Sets what the headers of later segments carry.
    ///
    /// Panics: as `Wal::set_configuration`.
    pub fn set_configuration(&mut self, configuration: Vec<u8>) {
        self.wal.set_configuration(configuration);
    }

    /// Whether batches wait for room.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How many batches were written, by which a driver sees that the log was idle.
    #[must_use]
    pub fn batches(&self) -> u64 {
        self.batches
    }

    /// The segment to be prepared in advance, if none is ready; see `Wal::spare_wanted`.
    #[must_use]
    pub fn spare_wanted(&self) -> Option<SpareOrder> {
        self.wal.spare_wanted()
    }

    /// The segment that `spare_wanted` named is ready.
    pub fn spare_prepared(&mut self) {
        self.wal.spare_prepared();
    }

    /// The disk, when no more orders will come. What waits for room is lost.
    #[must_use]
    pub fn into_disk(self) -> D {
        self.wal.into_disk()
    }

    fn note_full(&mut self, is_full: bool, facts: &mut Vec<LogFact>) {
        if self.is_full != is_full {
            self.is_full = is_full;
            facts.push(LogFact::DiskFull { is_full });
        }
    }

    /// The batches at the front that can be written as one: each goes on where the last one
    /// ended.
    fn next_group(&self) -> Option<Group> {
        let mut batches = self.waiting.iter();
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
}
