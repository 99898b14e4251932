//! Batches on their way to the disk, and the messages that wait for them.
//!
//! Batches are numbered and complete in order. A message that promises durability leaves when
//! the newest batch at the time it was written is complete; so the two outboxes of a turn
//! (now, and after the sync) can never be mixed up by a driver (I13).

use std::collections::VecDeque;

use crate::consensus::log::RaftLog;
use crate::consensus::message::Envelope;
use crate::consensus::ready::Persist;
use crate::entry::Entries;
use crate::hard_state::{HardState, Standing};
use crate::teeth::is_removed;
use crate::types::{EntryId, Index, Time};

#[derive(Clone, Debug)]
pub(super) struct Outstanding {
    pub(super) number: u64,
    pub(super) epoch: u64,
    pub(super) last_index: Index,
    pub(super) standing: Standing,
    pub(super) begun_at: Time,
}

/// The state of what is being written.
#[derive(Clone, Debug)]
pub(crate) struct Persistence {
    pub(super) newest: u64,
    pub(super) outstanding: VecDeque<Outstanding>,
    pub(super) held: VecDeque<(u64, Envelope)>,
    /// The hard state of the newest batch, durable or not.
    pub(super) written: HardState,
    /// The standing in the newest batch that is on disk.
    pub(super) durable_standing: Standing,
}

impl Persistence {
    /// Nothing is being written; `durable` is what the disk holds.
    pub(crate) fn new(durable: HardState) -> Self {
        Self {
            newest: 0,
            outstanding: VecDeque::new(),
            held: VecDeque::new(),
            written: durable,
            durable_standing: durable.standing,
        }
    }

    /// Whether everything that was handed out is on disk.
    pub(crate) fn is_idle(&self) -> bool {
        self.outstanding.is_empty()
    }

    /// How long the oldest batch has been on its way. Units: microseconds.
    pub(crate) fn age_us(&self, now: Time) -> u64 {
        self.outstanding.front().map_or(0, |batch| now.since(batch.begun_at))
    }

    /// The standing that a restart would find at least.
    pub(crate) fn durable_standing(&self) -> Standing {
        self.durable_standing
    }

    /// How many messages are held back.
    pub(crate) fn held_count(&self) -> usize {
        self.held.len()
    }

    /// Whether the hard state must be written although there are no entries.
    pub(crate) fn is_due(&self, hard_state: &HardState) -> bool {
        hard_state.promises_more_than(&self.written)
    }

    /// Makes the next batch.
    ///
    /// Panics: if it would be void.
    pub(crate) fn batch(
        &mut self,
        now: Time,
        (hard_state, base): (HardState, Option<EntryId>),
        entries: Vec<Entries>,
        log: &RaftLog,
    ) -> Persist {
        let says_something = !entries.is_empty() || base.is_some() || self.is_due(&hard_state);
        assert!(says_something, "a batch says something");
        self.newest += 1;
        self.written = hard_state;
        self.outstanding.push_back(Outstanding {
            number: self.newest,
            epoch: log.epoch(),
            last_index: log.last().index,
            standing: hard_state.standing,
            begun_at: now,
        });
        Persist { number: self.newest, base, hard_state, entries }
    }

    /// Holds messages until the newest batch is on disk, or returns them if it is.
    pub(crate) fn hold(&mut self, messages: Vec<Envelope>) -> Vec<Envelope> {
        let is_idle = self.is_idle() && !is_removed("idle-disks-hold-nothing");
        if is_idle || is_removed("promises-wait-for-the-disk") {
            return messages;
        }
        self.held.extend(messages.into_iter().map(|envelope| (self.newest, envelope)));
        Vec::new()
    }

    /// Notes that every batch up to `number` is on disk; returns what may now be sent.
    ///
    /// Panics: if the batch was never handed out.
    pub(crate) fn complete(&mut self, number: u64, log: &mut RaftLog) -> Vec<Envelope> {
        assert!(number <= self.newest, "only what was handed out completes");
        while self.outstanding.front().is_some_and(|batch| batch.number <= number) {
            let batch = self.outstanding.pop_front().expect("the front was just seen");
            self.durable_standing = batch.standing;
            log.persisted(batch.epoch, batch.last_index.min(log.last().index));
        }
        let released = self.held.partition_point(|(batch, _)| *batch <= number);
        self.held.drain(..released).map(|(_, envelope)| envelope).collect()
    }
}
