//! What of a log still counts: reads all segments, writes nothing.
//!
//! The one question is whether bytes that do not verify were ever synced. A batch is written
//! when all before it are synced, a segment is begun when all batches before it are, a mark
//! says through which batch the log is synced: a missing batch that any of these proves is
//! damage, all else is what a crash may leave behind.

use crate::hard_state::{Configuration, HardState};
use crate::types::{EntryId, Incarnation};
use crate::wal::batch::Batch;
use crate::wal::disk::Disk;
use crate::wal::error::{Damage, OpenError};
use crate::wal::hard_state_file::Slots;
use crate::wal::reader::{SegmentReader, WINDOW_BYTES};
use crate::wal::segment::{HeaderError, Segment, SegmentHeader, segment_name};
use crate::wal::sparse_index::SparseIndex;

/// The good part of a log, and where it ends.
#[derive(Debug)]
pub(super) struct Survey {
    /// The segments that are good at least in part, ascending; the last one is written next.
    pub(super) segments: Vec<Segment>,
    /// The configuration in the newest good header.
    pub(super) configuration: Option<Configuration>,
    /// The hard state of the newest good batch.
    pub(super) hard_state: HardState,
    /// The number of the newest good batch.
    pub(super) number: u64,
    /// The newest good batch, where it stands.
    pub(super) newest: Option<Newest>,
    pub(super) last: EntryId,
    /// The first entry of each term.
    pub(super) terms: Vec<EntryId>,
    pub(super) index: SparseIndex,
    pub(super) damage: Option<Damage>,
}

/// A batch and its place.
#[derive(Debug)]
pub(super) struct Newest {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) batch: Batch,
}

impl Survey {
    /// Reads the segments with these numbers, ascending, up to their end or the first damage.
    ///
    /// Errors: the disk does not answer, or a file is not ours or of another version.
    pub(super) fn of<D: Disk>(
        disk: &mut D,
        incarnation: Incarnation,
        numbers: &[u64],
    ) -> Result<Self, OpenError> {
        let mut survey = Self {
            segments: Vec::new(),
            configuration: None,
            hard_state: HardState::default(),
            number: 0,
            newest: None,
            last: EntryId::ZERO,
            terms: Vec::new(),
            index: SparseIndex::default(),
            damage: None,
        };
        for (expected, &number) in (1..).zip(numbers) {
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
        Ok(survey)
    }

    /// Weighs what the slots know: the segments and batches that they saw must be there.
    pub(super) fn compare(&mut self, slots: &Slots) {
        if self.damage.is_some() {
            return;
        }
        let newest_segment = self.segments.last().map_or(0, |segment| segment.number);
        let is_gone = *slots != Slots::Absent && slots.newest().is_none() && newest_segment == 0;
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
        if self.number + 1 != header.first_batch || self.last != header.prev {
            self.damage = Some(self.damaged_at_end());
            return Ok(());
        }
        let mut at = header.end();
        self.begin(header);
        while let Some((offset, batch)) =
            reader.next_batch(at, self.number).map_err(OpenError::disk("read", &file))?
        {
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
        if self.segments.is_empty() {
            self.hard_state = header.hard_state;
        }
        let SegmentHeader { number, length, .. } = header;
        self.segments.push(Segment { number, length, end: header.end() });
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
            self.terms.truncate(kept);
        }
        for run in &batch.runs {
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

    fn damaged_at_end(&self) -> Damage {
        match self.segments.last() {
            Some(segment) => self.damaged(segment.name(), segment.end),
            None => self.damaged(segment_name(1), 0),
        }
    }

    fn damaged(&self, file: String, offset: u64) -> Damage {
        Damage { file, offset, lost_after: self.last }
    }
}
