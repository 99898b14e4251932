//! Everything that a log holds, for people: also what was replaced, and what stands behind
//! damage.
//!
//! Reads the disk and writes nothing. The whole log is read three times, so that it may be far
//! longer than memory: to judge it, to learn what was replaced, and to show it.

use std::ops::ControlFlow;

use crate::entry::{EntryKind, EntryRef, SessionStamp};
use crate::hard_state::HardState;
use crate::types::{EntryId, Incarnation, Index};
use crate::wal::batch::Batch;
use crate::wal::disk::Disk;
use crate::wal::error::{Damage, OpenError};
use crate::wal::hard_state_file::{HARD_STATE_FILE, Slot, Slots};
use crate::wal::reader::{SegmentReader, WINDOW_BYTES};
use crate::wal::recovery::Survey;
use crate::wal::segment::{HeaderError, SegmentHeader, segment_name, segment_number};

/// One thing that the log holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A slot of the file `hard-state`.
    Slot {
        /// 0 or 1.
        place: usize,
        /// `None` if it does not verify.
        content: Option<SlotItem>,
    },
    /// The header of a segment; its batches follow.
    Segment {
        /// The file.
        file: String,
        /// `None` if it does not verify.
        header: Option<SegmentItem>,
    },
    /// The header of a batch that verifies; its entries follow.
    Batch(BatchItem),
    /// An entry.
    Entry(EntryItem),
    /// What a start would make of the log, if the newest snapshot reaches its front. Always the
    /// last item.
    Verdict(Verdict),
}

/// A second copy of the hard state, and a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotItem {
    /// The batch that carries the same hard state, and may not be written.
    pub batch: u64,
    /// The newest batch that was synced when the slot was written.
    pub synced_through: u64,
    /// The newest segment at that time.
    pub segment: u64,
    /// The hard state.
    pub hard_state: HardState,
}

/// The header of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentItem {
    /// The data directory that it was written in.
    pub incarnation: Incarnation,
    /// The length of the file as the header has it. Units: bytes.
    pub length: u64,
    /// The number of the first batch in it.
    pub first_batch: u64,
    /// The last entry of the log before it.
    pub prev: EntryId,
    /// Whether the log begins anew here, and nothing before counts.
    pub begins_log: bool,
    /// The hard state when it was begun.
    pub hard_state: HardState,
    /// The configuration when it was begun, opaque to the log.
    pub configuration: Vec<u8>,
}

/// The header of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchItem {
    /// Its number.
    pub number: u64,
    /// Where in the segment it starts. Units: bytes.
    pub offset: u64,
    /// Its length without padding. Units: bytes.
    pub length: u64,
    /// How many entries it has.
    pub entries: u64,
    /// The hard state.
    pub hard_state: HardState,
}

/// An entry of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryItem {
    /// Term and index.
    pub id: EntryId,
    /// What it is for.
    pub kind: EntryKind,
    /// The length of its payload. Units: bytes.
    pub payload_bytes: u64,
    /// Which write of which client it is.
    pub session: SessionStamp,
    /// Elapsed leader time. Units: microseconds.
    pub log_time: u64,
    /// Whether a later batch, or a log that began anew, replaced it.
    pub is_replaced: bool,
}

/// What a start would make of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is no log in the directory.
    Absent,
    /// Nothing is amiss.
    Whole {
        /// The entry before the first one.
        base: EntryId,
        /// The last one.
        last: EntryId,
    },
    /// Behind the last batch lie bytes of one that was not written to its end; they would be
    /// dropped, for nobody was told that they were there.
    Torn {
        /// The file.
        file: String,
        /// Where they start. Units: bytes.
        offset: u64,
        /// How many there are. Units: bytes.
        length: u64,
        /// The last entry before them.
        last: EntryId,
    },
    /// Something that was synced is lost. Without a snapshot that covers it the node would be
    /// quarantined.
    Damaged(Damage),
}

/// Shows everything in the log to `visit`, in the order of the disk, until it breaks off.
///
/// Takes no lock: while a node runs on the directory, the end may look torn, and a segment may
/// go while it is read, which is an error.
///
/// Errors: the disk does not answer, or a file is of another version or directory.
pub fn dump<D: Disk>(
    disk: &mut D,
    mut visit: impl FnMut(Item) -> ControlFlow<()>,
) -> Result<(), OpenError> {
    // The slots before the segments, so that they know of none that is not listed.
    let has_slots = list(disk)?.iter().any(|name| name == HARD_STATE_FILE);
    let of_slots = if has_slots { Slots::incarnation(disk)? } else { None };
    let slots = match of_slots {
        Some(incarnation) => Slots::load(disk, incarnation)?,
        None if has_slots => Slots::Found([None, None]),
        None => Slots::Absent,
    };
    let mut numbers: Vec<u64> =
        list(disk)?.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    let incarnation = match of_slots {
        Some(incarnation) => incarnation,
        None => incarnation_of_segments(disk, &numbers)?,
    };
    let verdict = judge(disk, incarnation, &numbers, &slots)?;

    let mut replacements = Replacements::default();
    let learned = walk(disk, incarnation, &numbers, &mut |step| {
        replacements.learn(&step);
        ControlFlow::Continue(())
    })?;
    assert!(learned.is_continue(), "nothing breaks off what is only learned");
    if show_slots(&slots, &mut visit).is_continue() {
        let shown =
            walk(disk, incarnation, &numbers, &mut |step| show(&step, &replacements, &mut visit))?;
        if shown.is_continue() {
            // Whether the visitor wants to see more does not matter behind the last item.
            let _ = visit(Item::Verdict(verdict));
        }
    }
    Ok(())
}

/// What stands in the segments, one after the other.
enum Step<'s> {
    Header { file: &'s str, header: Option<&'s SegmentHeader> },
    Batch { offset: u64, batch: &'s Batch },
}

fn list<D: Disk>(disk: &mut D) -> Result<Vec<String>, OpenError> {
    disk.list().map_err(OpenError::disk("list", "the data directory"))
}

/// The directory that the first readable header names.
fn incarnation_of_segments<D: Disk>(
    disk: &mut D,
    numbers: &[u64],
) -> Result<Incarnation, OpenError> {
    for &number in numbers {
        let (file, mut reader) = open_segment(disk, Incarnation(0), number)?;
        if let Some(header) = header_of(&mut reader, &file)? {
            return Ok(header.incarnation);
        }
    }
    Ok(Incarnation(0))
}

fn open_segment<D: Disk>(
    disk: &mut D,
    incarnation: Incarnation,
    number: u64,
) -> Result<(String, SegmentReader<'_, D>), OpenError> {
    let file = segment_name(number);
    let length = disk.len(&file).map_err(OpenError::disk("measure", &file))?;
    Ok((file, SegmentReader::new(disk, incarnation, number, length, WINDOW_BYTES)))
}

fn header_of<D: Disk>(
    reader: &mut SegmentReader<'_, D>,
    file: &str,
) -> Result<Option<SegmentHeader>, OpenError> {
    match reader.header().map_err(OpenError::disk("read", file))? {
        Ok(header) => Ok(Some(header)),
        Err(HeaderError::Damaged) => Ok(None),
        Err(HeaderError::Format(found)) => Err(OpenError::Format { file: file.to_owned(), found }),
    }
}

fn judge<D: Disk>(
    disk: &mut D,
    incarnation: Incarnation,
    numbers: &[u64],
    slots: &Slots,
) -> Result<Verdict, OpenError> {
    if numbers.is_empty() && *slots == Slots::Absent {
        return Ok(Verdict::Absent);
    }
    let mut survey = Survey::of(disk, (incarnation, EntryId::ZERO), numbers)?;
    survey.compare(slots);
    if let Some(damage) = survey.damage {
        return Ok(Verdict::Damaged(damage));
    }
    let (base, last) = (survey.base, survey.last);
    let Some(segment) = survey.segments.last() else { return Ok(Verdict::Whole { base, last }) };
    let (file, mut reader) = open_segment(disk, incarnation, segment.number)?;
    let used = reader.used_end(segment.end).map_err(OpenError::disk("read", &file))?;
    if used == segment.end {
        return Ok(Verdict::Whole { base, last });
    }
    Ok(Verdict::Torn { file, offset: segment.end, length: used - segment.end, last })
}

/// Goes through all segments and every batch in them that verifies, wherever it stands.
fn walk<D: Disk>(
    disk: &mut D,
    incarnation: Incarnation,
    numbers: &[u64],
    take: &mut dyn FnMut(Step<'_>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, OpenError> {
    for &number in numbers {
        let (file, mut reader) = open_segment(disk, incarnation, number)?;
        let header = header_of(&mut reader, &file)?;
        let mut at = header.as_ref().map_or(0, SegmentHeader::end);
        if take(Step::Header { file: &file, header: header.as_ref() }).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        while let Some((offset, batch)) =
            reader.next_batch(at, 0).map_err(OpenError::disk("read", &file))?
        {
            if take(Step::Batch { offset, batch: &batch }).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            at = batch.end;
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn show_slots(slots: &Slots, visit: &mut impl FnMut(Item) -> ControlFlow<()>) -> ControlFlow<()> {
    let Slots::Found(slots) = slots else { return ControlFlow::Continue(()) };
    for (place, slot) in slots.iter().enumerate() {
        let content = slot.map(|Slot { number, synced_through, segment, hard_state }| SlotItem {
            batch: number,
            synced_through,
            segment,
            hard_state,
        });
        visit(Item::Slot { place, content })?;
    }
    ControlFlow::Continue(())
}

fn show(
    step: &Step<'_>,
    replacements: &Replacements,
    visit: &mut impl FnMut(Item) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let (offset, batch) = match *step {
        Step::Header { file, header } => {
            let (file, header) = (file.to_owned(), header.map(segment_item));
            return visit(Item::Segment { file, header });
        }
        Step::Batch { offset, batch } => (offset, batch),
    };
    let entries: u64 = batch.runs.iter().map(|run| run.len() as u64).sum();
    let (number, hard_state) = (batch.header.number, batch.header.hard_state);
    let length = batch.bytes.len() as u64;
    visit(Item::Batch(BatchItem { number, offset, length, entries, hard_state }))?;
    for entry in batch.runs.iter().flat_map(|run| run.iter()) {
        let is_replaced = replacements.has_replaced(number, entry.id().index);
        visit(Item::Entry(entry_item(&entry, is_replaced)))?;
    }
    ControlFlow::Continue(())
}

fn segment_item(header: &SegmentHeader) -> SegmentItem {
    let SegmentHeader { incarnation, length, first_batch, prev, begins_log, hard_state, .. } =
        *header;
    let configuration = header.configuration.clone();
    SegmentItem { incarnation, length, first_batch, prev, begins_log, hard_state, configuration }
}

fn entry_item(entry: &EntryRef<'_>, is_replaced: bool) -> EntryItem {
    EntryItem {
        id: entry.id(),
        kind: entry.kind(),
        payload_bytes: entry.payload().len() as u64,
        session: entry.session(),
        log_time: entry.log_time(),
        is_replaced,
    }
}

/// Which batches replaced what, only as far as no later one replaced more.
#[derive(Debug, Default)]
struct Replacements {
    /// The number of a batch, and from which index on it replaced what older batches wrote; both
    /// ascending.
    from: Vec<(u64, Index)>,
    last: Index,
}

impl Replacements {
    fn learn(&mut self, step: &Step<'_>) {
        match *step {
            Step::Header { header: Some(header), .. } => {
                if header.begins_log {
                    self.replace(header.first_batch, Index::ZERO);
                }
                self.last = header.prev.index;
            }
            Step::Header { header: None, .. } => {}
            Step::Batch { batch, .. } => {
                let (Some(first), Some(last)) = (batch.runs.first(), batch.runs.last()) else {
                    return;
                };
                if first.first_index() <= self.last {
                    self.replace(batch.header.number, first.first_index());
                }
                self.last = last.last_index();
            }
        }
    }

    fn replace(&mut self, number: u64, first: Index) {
        let kept = self.from.partition_point(|&(_, index)| index < first);
        self.from.truncate(kept);
        self.from.push((number, first));
    }

    /// Whether a batch behind this one replaced its entry at `index`.
    fn has_replaced(&self, number: u64, index: Index) -> bool {
        let later = self.from.partition_point(|&(replacing, _)| replacing <= number);
        self.from.get(later).is_some_and(|&(_, first)| first <= index)
    }
}
