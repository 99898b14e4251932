//! What of a log still counts: reads all segments, writes nothing.
//!
//! The one question is whether bytes that do not verify were ever synced. A batch is written
//! when all before it are synced, a segment is begun when all batches before it are, a mark
//! says through which batch the log is synced: a missing batch that any of these proves is
//! damage, all else is what a crash may leave behind.
//!
//! A log that was cut begins with any segment. What is judged with the snapshot, which may
//! cover what is damaged, stands in `judgement.rs`.

use bytes::Bytes;

use crate::hard_state::HardState;
use crate::teeth::is_removed;
use crate::types::{EntryId, Incarnation, Index, Term};
use crate::wal::batch::Batch;
use crate::wal::disk::Disk;
use crate::wal::error::{Damage, OpenError};
use crate::wal::hard_state_file::Slots;
use crate::wal::reader::{SegmentReader, WINDOW_BYTES};
use crate::wal::segment::{HeaderError, Segment, SegmentHeader, segment_name};
use crate::wal::sparse_index::SparseIndex;

/// The good part of a log, and where it ends.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The last entry that the newest snapshot covers.
    snapshot: EntryId,
    /// Good segments before the one in which the log began anew, ascending.
    pub(super) replaced: Vec<u64>,
    /// The segments that are good at least in part, ascending; the last one is written next.
    pub(super) segments: Vec<Segment>,
    /// The configuration in the newest good header.
    pub(super) configuration: Option<Vec<u8>>,
    /// The entry before those that are here, or else the first one of them.
    pub(super) base: EntryId,
    /// The hard state of the newest good batch.
    pub(super) hard_state: HardState,
    /// The number of the newest good batch.
    pub(super) number: u64,
    /// The newest good batch, where it stands.
    pub(super) newest: Option<Newest>,
    pub(super) last: EntryId,
    /// The first entry of each term.
    terms: Vec<EntryId>,
    /// The payload of every entry that changes the membership.
    configurations: Vec<(Index, Bytes)>,
    pub(super) index: SparseIndex,
    pub(super) damage: Option<Damage>,
    /// The newest hard state that anything behind the damage carries, with the number of its
    /// batch. What proves the damage was written later than what is lost, so it says the same.
    pub(super) beyond: Option<(u64, HardState)>,
}

/// A batch and its place.
#[derive(Debug)]
pub(super) struct Newest {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) batch: Batch,
}

impl Survey {
    /// A log without entries behind a snapshot.
    pub(super) fn empty(snapshot: EntryId) -> Self {
        Self { snapshot, base: snapshot, last: snapshot, ..Self::default() }
    }

    /// Reads the segments with these numbers, ascending and at least one, up to their end or
    /// the first damage.
    ///
    /// Errors: the disk does not answer, or a file is not ours or of another version.
    pub(super) fn of<D: Disk>(
        disk: &mut D,
        (incarnation, snapshot): (Incarnation, EntryId),
        numbers: &[u64],
    ) -> Result<Self, OpenError> {
        let mut survey = Self { snapshot, ..Self::default() };
        let front = numbers.first().copied().unwrap_or(1);
        for (expected, &number) in (front..).zip(numbers) {
            if number != expected {
                survey.damage = Some(survey.damaged(segment_name(expected), 0));
                break;
            }
            let name = segment_name(number);
            let length = disk.len(&name).map_err(OpenError::disk("measure", &name))?;
            let mut reader = SegmentReader::new(disk, incarnation, number, length, WINDOW_BYTES);
            survey.read_segment(&mut reader, incarnation, number)?;
            if survey.damage.is_some() {
                break;
            }
            // No crash shortens a file. Before other segments the loss would show by itself.
            let is_short = survey.segments.last().is_some_and(|segment| length < segment.length);
            if is_short && Some(&number) == numbers.last() {
                survey.damage = Some(survey.damaged_at_end());
            }
        }
        if survey.damage.is_some() {
            survey.look_beyond(disk, incarnation, numbers)?;
        }
        Ok(survey)
    }

    /// Reads whatever verifies behind the good part, wherever it stands, for its hard state.
    fn look_beyond<D: Disk>(
        &mut self,
        disk: &mut D,
        incarnation: Incarnation,
        numbers: &[u64],
    ) -> Result<(), OpenError> {
        let (good, good_end) =
            self.segments.last().map_or((0, 0), |segment| (segment.number, segment.end));
        for &number in numbers.iter().filter(|&&number| good <= number) {
            let name = segment_name(number);
            let failed = |error| OpenError::disk("read", &name)(error);
            let length = disk.len(&name).map_err(failed)?;
            let mut reader = SegmentReader::new(disk, incarnation, number, length, WINDOW_BYTES);
            let mut at = if number == good { good_end } else { 0 };
            if let Ok(header) = reader.header().map_err(failed)?
                && header.incarnation == incarnation
            {
                self.found_beyond(header.first_batch - 1, header.hard_state);
            }
            while let Some((_, batch)) = reader.next_batch(at, self.number).map_err(failed)? {
                self.found_beyond(batch.header.number, batch.header.hard_state);
                at = batch.end;
            }
        }
        Ok(())
    }

    fn found_beyond(&mut self, number: u64, hard_state: HardState) {
        let newest = self.beyond.map_or(self.number, |(newest, _)| newest);
        if newest < number {
            self.beyond = Some((number, hard_state));
        }
    }

    /// Weighs what the slots know: the segments and batches that they saw must be there.
    pub(super) fn compare(&mut self, slots: &Slots) {
        if self.damage.is_some() {
            return;
        }
        let newest_segment = self.segments.last().map_or(0, |segment| segment.number);
        let is_fresh = *slots == Slots::Absent && self.snapshot == EntryId::ZERO;
        let is_gone = newest_segment == 0 && slots.newest().is_none() && !is_fresh;
        if is_gone || slots.readable().any(|slot| newest_segment < slot.segment) {
            self.damage = Some(self.damaged(segment_name(newest_segment + 1), 0));
        } else if slots.readable().any(|slot| self.number < slot.synced_through) {
            self.damage = Some(self.damaged_at_end());
        }
    }

    fn read_segment<D: Disk>(
        &mut self,
        reader: &mut SegmentReader<'_, D>,
        incarnation: Incarnation,
        number: u64,
    ) -> Result<(), OpenError> {
        let file = segment_name(number);
        let header = match reader.header().map_err(OpenError::disk("read", &file))? {
            Ok(header) => header,
            Err(HeaderError::Damaged) => {
                self.damage = Some(self.damaged(file, 0));
                return Ok(());
            }
            Err(HeaderError::Format(found)) => return Err(OpenError::Format { file, found }),
        };
        if header.incarnation != incarnation {
            return Err(OpenError::Foreign { file, found: header.incarnation });
        }
        let is_front = self.segments.is_empty();
        let is_next = self.number + 1 == header.first_batch;
        if !is_front && !(is_next && (header.begins_log || self.last == header.prev)) {
            self.damage = Some(self.damaged_at_end());
            return Ok(());
        }
        let mut at = header.end();
        self.begin(header);
        while let Some((offset, batch)) =
            reader.next_batch(at, self.number).map_err(OpenError::disk("read", &file))?
        {
            if offset != at && is_removed("later-batches-prove-damage") {
                break;
            }
            if offset != at || !self.is_next(&batch) {
                self.damage = Some(self.damaged_at_end());
                return Ok(());
            }
            at = batch.end;
            self.accept(number, offset, batch);
        }
        Ok(())
    }

    fn begin(&mut self, header: SegmentHeader) {
        if self.segments.is_empty() || header.begins_log {
            self.replaced.extend(self.segments.drain(..).map(|segment| segment.number));
            self.base = header.prev;
            self.last = header.prev;
            self.number = header.first_batch - 1;
            self.hard_state = header.hard_state;
            // Whatever came before is proven by this header.
            self.newest = None;
            self.terms.clear();
            self.configurations.clear();
            self.index = SparseIndex::default();
        }
        let SegmentHeader { number, length, prev, .. } = header;
        self.segments.push(Segment { number, length, end: header.end(), prev: prev.index });
        self.configuration = Some(header.configuration);
    }

    fn is_next(&self, batch: &Batch) -> bool {
        let is_gapless =
            batch.runs.first().is_none_or(|run| run.first_index() <= self.last.index.next());
        batch.header.number == self.number + 1 && is_gapless
    }

    fn accept(&mut self, segment: u64, offset: u64, batch: Batch) {
        if let Some(first) = batch.runs.first().map(|run| run.first_index()) {
            self.index.add(first, self.last.index, segment, (offset, batch.end));
            let kept = self.terms.partition_point(|start| start.index < first);
            if !is_removed("replaced-terms-are-forgotten") {
                self.terms.truncate(kept);
            }
            let kept = self.configurations.partition_point(|(index, _)| *index < first);
            self.configurations.truncate(kept);
        }
        if let Some(run) = batch.runs.first().filter(|run| run.first_index() <= self.base.index) {
            // The entry that the front's header names was replaced. Nothing tells the term of
            // the one before the new ones: the snapshot's may be that of another log.
            self.base = EntryId { term: run.term(), index: run.first_index() };
        }
        for run in &batch.runs {
            // Copies, for a slice would keep the whole window.
            self.configurations.extend(
                run.configure_entries()
                    .map(|entry| (entry.id().index, Bytes::copy_from_slice(entry.payload()))),
            );
            if self.terms.last().is_none_or(|start| start.term < run.term()) {
                self.terms.push(EntryId { term: run.term(), index: run.first_index() });
            }
            self.last = run.last_id();
        }
        self.number = batch.header.number;
        self.hard_state = batch.header.hard_state;
        let current = self.segments.last_mut().expect("a batch stands in a segment");
        assert!(current.number == segment, "batches are read in order");
        current.end = batch.end;
        self.newest = Some(Newest { segment, offset, batch });
    }

    /// Whether this entry is the one before the log, or in it.
    pub(super) fn holds(&self, id: EntryId) -> bool {
        self.base == id || (self.base.index < id.index && self.term(id.index) == Some(id.term))
    }

    /// The term of an entry behind the base.
    fn term(&self, index: Index) -> Option<Term> {
        let after = self.terms.partition_point(|start| start.index <= index);
        let start = self.terms.get(after.checked_sub(1)?)?;
        (index <= self.last.index).then_some(start.term)
    }

    /// The first entry of each term among those behind the base.
    pub(super) fn terms(&self) -> Vec<EntryId> {
        let mut terms = self.terms.clone();
        let first = self.base.index.next();
        terms.retain(|start| first < start.index);
        let known = self.term(first).map(|term| EntryId { term, index: first });
        terms.splice(..0, known);
        terms
    }

    /// The payload of every entry behind the base that changes the membership.
    pub(super) fn configurations(&self) -> Vec<(Index, Bytes)> {
        let behind = |(index, _): &&(Index, Bytes)| self.base.index < *index;
        self.configurations.iter().filter(behind).cloned().collect()
    }

    fn damaged_at_end(&self) -> Damage {
        match self.segments.last() {
            Some(segment) => self.damaged(segment.name(), segment.end),
            None => self.damaged(segment_name(1), 0),
        }
    }

    pub(super) fn damaged(&self, file: String, offset: u64) -> Damage {
        Damage { file, offset, lost_after: self.last }
    }
}
