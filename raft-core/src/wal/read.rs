//! Reads entries back from the segments of an open log.

use bytes::BytesMut;

use crate::entry::Entries;
use crate::types::Index;
use crate::wal::disk::Disk;
use crate::wal::error::WalError;
use crate::wal::log::Wal;
use crate::wal::reader::WINDOW_BYTES;
use crate::wal::segment::segment_name;
use crate::wal::sparse_index::{POINT_SPACING_BYTES, Span};

/// What has been read so far, and what is still wanted.
struct Collected {
    next: Index,
    end: Index,
    bytes: BytesMut,
    bytes_max: usize,
    is_full: bool,
}

impl<D: Disk> Wal<D> {
    /// The entries with indexes from `first` up to but not with `end`, at most `bytes_max`
    /// bytes of them but at least one; none if `first` is not in the log.
    ///
    /// Only entries that count are returned, not those that a later append replaced, and every
    /// checksum has been verified.
    ///
    /// Errors: `Damaged` names the file and the offset of a batch that is no longer what was
    /// written; `Unreadable` if the disk does not answer.
    pub fn read(
        &mut self,
        first: Index,
        end: Index,
        bytes_max: usize,
    ) -> Result<Vec<Entries>, WalError> {
        let end = end.min(self.end_index());
        let bytes = BytesMut::new();
        let mut collected = Collected { next: first, end, bytes, bytes_max, is_full: false };
        while !collected.is_full && collected.next < end {
            let Some(span) = self.index.span(collected.next) else { break };
            self.read_span(&span, &mut collected)?;
        }
        let runs = Entries::decode(&collected.bytes.freeze());
        Ok(runs.expect("entries that verified one by one follow each other"))
    }

    /// Reads from the point at the start of `span` on, up to its end or what is wanted.
    fn read_span(&mut self, span: &Span, collected: &mut Collected) -> Result<(), WalError> {
        let segment = self.segment(span.segment);
        let name = segment_name(span.segment);
        let unreadable = |cause| WalError::Unreadable { file: name.clone(), cause };
        let damaged = |offset, index| WalError::Damaged { file: name.clone(), offset, index };
        let until = span.until.min(collected.end);
        let least = usize::try_from(POINT_SPACING_BYTES).unwrap_or(WINDOW_BYTES);
        let mut reader = self.reader(&segment, collected.bytes_max.clamp(least, WINDOW_BYTES));
        let mut at = span.offset;
        while !collected.is_full && collected.next < until {
            if segment.end <= at {
                return Err(damaged(at, collected.next));
            }
            let batch = reader.batch_at(at).map_err(unreadable)?;
            let batch = batch.ok_or_else(|| damaged(at, collected.next))?;
            for run in &batch.runs {
                if collected.next < run.first_index() && run.first_index() < until {
                    return Err(damaged(at, collected.next));
                }
                collected.take(run, until);
                if collected.is_full {
                    break;
                }
            }
            at = batch.end;
        }
        Ok(())
    }
}

impl Collected {
    /// Takes what is wanted of `run`, as far as there is room.
    fn take(&mut self, run: &Entries, until: Index) {
        let room = self.bytes_max.saturating_sub(self.bytes.len());
        let Some(part) = run.slice(self.next..until, room) else { return };
        if !self.bytes.is_empty() && room < part.bytes().len() {
            self.is_full = true;
            return;
        }
        self.bytes.extend_from_slice(part.bytes());
        self.next = part.last_index().next();
        self.is_full = part.last_index() < run.last_index() && self.next < until;
    }
}
