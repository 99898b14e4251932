//! The log that is open: appends batches, marks what is synced, takes new segments into use.
//!
//! One append is one write and one sync. A batch is written, and a segment begun, only after
//! everything before it was synced: that is what recovery judges by.

use crate::entry::Entries;
use crate::hard_state::HardState;
use crate::teeth::is_removed;
use crate::types::{EntryId, Incarnation, Index};
use crate::wal::batch::{BatchHeader, Place, batch_bytes, encode};
use crate::wal::disk::Disk;
use crate::wal::error::{OpenError, WalError};
use crate::wal::hard_state_file::{HARD_STATE_BYTES, HARD_STATE_FILE, HardStateFile, Slot};
use crate::wal::reader::SegmentReader;
use crate::wal::recovery::Survey;
use crate::wal::repair::Recovered;
use crate::wal::segment::{CONFIGURATION_BYTES_MAX, Segment, SegmentHeader};
use crate::wal::sparse_index::SparseIndex;

/// The most bytes of entries in one append, far above what the limit on bytes that are not yet
/// synced lets through. A longer append panics.
pub const BATCH_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The name under which the next segment is prepared in advance.
pub(super) const SPARE_FILE: &str = "wal-spare";

/// The name under which the log prepares a segment itself.
pub(super) const NEW_SEGMENT_FILE: &str = "wal-new";

/// How much of the write buffer is kept for the next batch.
const BUFFER_BYTES_KEPT: usize = 1024 * 1024;

/// How a log is laid out, and what a new one starts with.
#[derive(Clone, Debug)]
pub struct WalOptions {
    /// The length of a segment; one that must hold a longer batch is longer. Units: bytes.
    pub segment_bytes: u64,
    /// Which data directory this is, part of every checksum: neither a file of another
    /// directory nor a client's value can pass for a batch of this log.
    pub incarnation: Incarnation,
    /// The configuration that a new log starts with, opaque to the log and at most
    /// [`CONFIGURATION_BYTES_MAX`] long; an old log has its own.
    pub configuration: Vec<u8>,
    /// The last entry that the newest valid snapshot covers, [`EntryId::ZERO`] without one. A
    /// log that does not go on from there is replaced by an empty one behind it.
    pub base: EntryId,
}

/// A segment to be prepared in advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpareOrder {
    /// The file to make with `Disk::create`.
    pub name: &'static str,
    /// Its length. Units: bytes.
    pub length: u64,
}

/// A write-ahead log on a disk.
#[derive(Debug)]
pub struct Wal<D> {
    pub(super) disk: D,
    options: WalOptions,
    configuration: Vec<u8>,
    hard_state_file: HardStateFile,
    /// Ascending, without gaps; the last one is written to.
    pub(super) segments: Vec<Segment>,
    pub(super) index: SparseIndex,
    pub(super) hard_state: HardState,
    pub(super) last: EntryId,
    /// The number of the newest batch.
    number: u64,
    /// The newest batch that a slot of the hard-state file says is synced.
    pub(super) marked_through: u64,
    has_spare: bool,
    /// The batch that is being written.
    buffer: Vec<u8>,
    fault: Option<WalError>,
}

impl<D: Disk> Wal<D> {
    pub(super) fn resume(
        disk: D,
        options: WalOptions,
        hard_state_file: HardStateFile,
        recovered: &Recovered,
        survey: &Survey,
    ) -> Self {
        Self {
            disk,
            options,
            configuration: recovered.configuration.clone(),
            hard_state_file,
            segments: survey.segments.clone(),
            index: survey.index.clone(),
            hard_state: recovered.hard_state,
            last: survey.last,
            number: survey.number,
            marked_through: 0,
            has_spare: false,
            buffer: Vec::new(),
            fault: None,
        }
    }

    /// Writes and syncs a hard state and entries; both are durable when this returns.
    ///
    /// The first run replaces everything in the log from its first index on. Without entries
    /// only the hard state is written. All of it is one batch: after a crash it is there as a
    /// whole or not at all, except that a new promise may survive without the entries.
    ///
    /// Errors: `NoSpace` if a new segment is needed and could not be prepared, then nothing has
    /// changed; `Fault` if anything else failed, then the caller must panic.
    ///
    /// Panics: if the entries are not consecutive, leave a gap, touch what is committed, or
    /// exceed [`BATCH_BYTES_MAX`], and if the commit index lies beyond them.
    pub fn append(&mut self, hard_state: &HardState, entries: &[Entries]) -> Result<(), WalError> {
        self.check_fault()?;
        let last = self.check_entries(hard_state, entries);
        let bytes: usize = entries.iter().map(|run| run.bytes().len()).sum();
        assert!(bytes <= BATCH_BYTES_MAX, "{bytes} bytes are within BATCH_BYTES_MAX");
        let needed = batch_bytes(bytes as u64);
        if self.room() < needed {
            self.begin_segment(needed)?;
        }
        let written = self.write_durably(hard_state, entries);
        self.keep_fault(written)?;
        self.last = last;
        Ok(())
    }

    /// Writes that everything appended so far is synced, unless that is written already.
    ///
    /// Without it, damage to the newest batches looks like a crash before the sync. Costs one
    /// small write and no sync; meant for moments without other work, and for now and then.
    ///
    /// Errors: `Fault` if the write failed, then the caller must panic.
    pub fn mark(&mut self) -> Result<(), WalError> {
        self.check_fault()?;
        if self.marked_through == self.number {
            return Ok(());
        }
        let written = self.write_mark();
        self.keep_fault(written)
    }

    /// Sets the configuration that the headers of later segments carry.
    ///
    /// Panics: if it is longer than [`CONFIGURATION_BYTES_MAX`].
    pub fn set_configuration(&mut self, configuration: Vec<u8>) {
        let bytes = configuration.len();
        assert!(bytes <= CONFIGURATION_BYTES_MAX, "a configuration of {bytes} bytes fits a header");
        self.configuration = configuration;
    }

    /// The segment to be prepared in advance, if none is ready.
    ///
    /// The driver makes it with a disk handle of its own, one at a time, and then calls
    /// [`Self::spare_prepared`]. A log that runs out of room before makes its own.
    #[must_use]
    pub fn spare_wanted(&self) -> Option<SpareOrder> {
        let order = SpareOrder { name: SPARE_FILE, length: self.options.segment_bytes };
        (!self.has_spare).then_some(order)
    }

    /// The segment that [`Self::spare_wanted`] named is ready.
    pub fn spare_prepared(&mut self) {
        self.has_spare = true;
    }

    /// The last entry of the log.
    #[must_use]
    pub fn last(&self) -> EntryId {
        self.last
    }

    /// The hard state of the newest batch.
    #[must_use]
    pub fn hard_state(&self) -> &HardState {
        &self.hard_state
    }

    /// Closes the log and returns its disk. Nothing needs to be written for that.
    pub fn into_disk(self) -> D {
        self.disk
    }

    /// The last entry after an append of these, which must continue or replace the log.
    fn check_entries(&self, hard_state: &HardState, entries: &[Entries]) -> EntryId {
        let Some(first) = entries.first() else {
            let commit_index = hard_state.commit_index;
            assert!(commit_index <= self.last.index, "commit index {commit_index} is in the log");
            return self.last;
        };
        let (index, committed) = (first.first_index(), self.hard_state.commit_index);
        assert!(committed < index, "entry {index} comes after all that is committed");
        assert!(index <= self.last.index.next(), "entry {index} leaves no gap");
        for pair in entries.windows(2) {
            let (prev, run) = (pair[0].last_id(), &pair[1]);
            assert!(prev.index.next() == run.first_index(), "runs follow each other at {prev}");
            assert!(prev.term <= run.term(), "terms never fall after {prev}");
        }
        let last = entries.last().map_or(self.last, Entries::last_id);
        assert!(hard_state.commit_index <= last.index, "the commit index is within the log");
        last
    }

    pub(super) fn check_fault(&self) -> Result<(), WalError> {
        self.fault.clone().map_or(Ok(()), Err)
    }

    /// After a Fault nothing is written any more: a second sync would report success.
    pub(super) fn keep_fault(&mut self, result: Result<(), WalError>) -> Result<(), WalError> {
        self.fault = result.clone().err().filter(|_| !is_removed("faults-are-final"));
        result
    }

    fn write_durably(&mut self, state: &HardState, entries: &[Entries]) -> Result<(), WalError> {
        if state.promises_more_than(&self.hard_state) {
            let slot = self.slot(self.number + 1, state);
            self.hard_state_file.promise(&mut self.disk, &slot)?;
            self.marked_through = self.number;
        }
        self.write_batch(state, entries)?;
        let name = self.current().name();
        self.disk.sync(&name).map_err(WalError::fault("sync", &name))
    }

    pub(super) fn write_mark(&mut self) -> Result<(), WalError> {
        let slot = self.slot(self.number, &self.hard_state);
        self.hard_state_file.mark(&mut self.disk, &slot)?;
        self.marked_through = self.number;
        Ok(())
    }

    /// Writes a batch behind the newest one. Errors: always a Fault.
    fn write_batch(&mut self, hard_state: &HardState, entries: &[Entries]) -> Result<(), WalError> {
        let Segment { number: segment, length, end: offset, .. } = self.current();
        let place = Place { incarnation: self.options.incarnation, segment, offset };
        let header = BatchHeader { number: self.number + 1, hard_state: *hard_state };
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES_KEPT);
        encode(&mut self.buffer, place, &header, entries);
        let end = offset + self.buffer.len() as u64;
        assert!(end <= length, "room was made for the batch");

        let name = self.current().name();
        self.disk.write(&name, offset, &self.buffer).map_err(WalError::fault("write", &name))?;
        if let Some(first) = entries.first().map(Entries::first_index) {
            self.index.add(first, self.last.index, segment, (offset, end));
        }
        self.segments.last_mut().expect("a log has a segment").end = end;
        self.number = header.number;
        self.hard_state = *hard_state;
        Ok(())
    }

    /// Goes on in a new segment that has room for a batch of `needed` bytes.
    ///
    /// The hard-state file learns of it, so that a segment that disappears is missed even if it
    /// was the last one.
    ///
    /// Errors: `NoSpace` leaves everything as it was; `Fault`.
    pub(super) fn begin_segment(&mut self, needed: u64) -> Result<(), WalError> {
        let segment = self.take_into_use(self.next_header(), needed)?;
        self.segments.push(segment);
        let written = self.write_mark();
        self.keep_fault(written)
    }

    /// What the next segment opens with if the log goes on in it; its length is not known yet.
    pub(super) fn next_header(&self) -> SegmentHeader {
        SegmentHeader {
            number: self.segments.last().map_or(1, |segment| segment.number + 1),
            incarnation: self.options.incarnation,
            length: 0,
            first_batch: self.number + 1,
            prev: self.last,
            begins_log: false,
            hard_state: self.hard_state,
            configuration: self.configuration.clone(),
        }
    }

    /// Makes a segment with this header and room for a batch of `needed` bytes.
    ///
    /// The header is synced before the segment gets its name, so a segment without a valid
    /// header was damaged, never torn.
    ///
    /// Errors: `NoSpace` leaves everything as it was; `Fault`.
    pub(super) fn take_into_use(
        &mut self,
        mut header: SegmentHeader,
        needed: u64,
    ) -> Result<Segment, WalError> {
        let (file, length) = self.prepared_file(header.end() + needed)?;
        header.length = length;
        let (number, end, prev) = (header.number, header.end(), header.prev.index);
        let segment = Segment { number, length, end, prev };
        let mut take = || {
            let write = self.disk.write(file, 0, &header.encode());
            write.map_err(WalError::fault("write", file))?;
            self.disk.sync(file).map_err(WalError::fault("sync", file))?;
            self.disk.rename(file, &segment.name()).map_err(WalError::fault("rename", file))
        };
        let taken = take();
        self.keep_fault(taken)?;
        Ok(segment)
    }

    /// A file of zeros of at least `least` bytes, and its length: the spare, or one made now.
    fn prepared_file(&mut self, least: u64) -> Result<(&'static str, u64), WalError> {
        if least <= self.options.segment_bytes && std::mem::take(&mut self.has_spare) {
            let length = self.disk.len(SPARE_FILE);
            if length == Ok(self.options.segment_bytes) {
                return Ok((SPARE_FILE, self.options.segment_bytes));
            }
        }
        let length = least.max(self.options.segment_bytes);
        self.disk.create(NEW_SEGMENT_FILE, length).map_err(WalError::NoSpace)?;
        Ok((NEW_SEGMENT_FILE, length))
    }

    /// Records in the log a hard state that stands only in the hard-state file.
    pub(super) fn write_opening_batch(&mut self) -> Result<(), OpenError> {
        let hard_state = self.hard_state;
        let needed = batch_bytes(0);
        if self.room() < needed {
            self.begin_segment(needed)?;
        }
        Ok(self.write_durably(&hard_state, &[])?)
    }

    /// Whether the file of the hard state is as long as it was made.
    pub(super) fn has_both_slots(&mut self) -> Result<bool, OpenError> {
        let length = self.disk.len(HARD_STATE_FILE);
        Ok(HARD_STATE_BYTES <= length.map_err(OpenError::disk("measure", HARD_STATE_FILE))?)
    }

    /// Makes the slot good again that cannot be read, in its place, which needs no room.
    /// Everything is synced when this is called.
    pub(super) fn rewrite_slot(&mut self) -> Result<(), OpenError> {
        let slot = self.slot(self.number, &self.hard_state);
        self.hard_state_file.promise(&mut self.disk, &slot)?;
        self.marked_through = self.number;
        Ok(())
    }

    /// Makes both slots good again. Everything is synced when this is called.
    pub(super) fn replace_hard_state_file(&mut self) -> Result<(), OpenError> {
        let slot = self.slot(self.number, &self.hard_state);
        let incarnation = self.options.incarnation;
        self.hard_state_file = HardStateFile::replace(&mut self.disk, incarnation, &slot)?;
        Ok(())
    }

    fn slot(&self, number: u64, hard_state: &HardState) -> Slot {
        let (synced_through, segment) = (self.number, self.current().number);
        Slot { number, synced_through, segment, hard_state: *hard_state }
    }

    /// The segment that is written to.
    pub(super) fn current(&self) -> Segment {
        *self.segments.last().expect("a log has a segment")
    }

    /// Bytes left in the segment that is written to.
    fn room(&self) -> u64 {
        let Segment { length, end, .. } = self.current();
        length.saturating_sub(end)
    }

    pub(super) fn reader(&mut self, segment: &Segment, window: usize) -> SegmentReader<'_, D> {
        let Segment { number, length, .. } = *segment;
        SegmentReader::new(&mut self.disk, self.options.incarnation, number, length, window)
    }

    /// The segment with this number.
    pub(super) fn segment(&self, number: u64) -> Segment {
        let first = self.segments.first().map_or(0, |segment| segment.number);
        let place = usize::try_from(number - first).expect("segments in memory fit it");
        self.segments[place]
    }

    /// The index behind the last entry.
    pub(super) fn end_index(&self) -> Index {
        self.last.index.next()
    }
}
