//! The log behind a snapshot: its front is cut off, or all of it replaced.
//!
//! Nothing here waits for a quiet moment: whatever is removed is covered by a snapshot that is
//! durable, so after a crash in between the log is what it was, without some of the segments
//! that nobody needs.

use crate::entry::Entries;
use crate::hard_state::HardState;
use crate::types::{EntryId, Index};
use crate::wal::disk::Disk;
use crate::wal::error::WalError;
use crate::wal::log::Wal;
use crate::wal::segment::{Segment, SegmentHeader};
use crate::wal::sparse_index::SparseIndex;

impl<D: Disk> Wal<D> {
    /// Gives up the segments whose entries all lie before `index`, but never the one that is
    /// written to; the entries in them can no longer be read.
    ///
    /// A durable snapshot must cover every entry before `index`: without it the next start
    /// finds that entries are missing, and quarantines the node.
    ///
    /// Errors: `Fault` if a segment could not be removed, then the caller must panic.
    pub fn cut_before(&mut self, index: Index) -> Result<(), WalError> {
        self.check_fault()?;
        let front = self.front_for(index);
        let kept = self.segments.partition_point(|segment| segment.number < front);
        assert!(kept < self.segments.len(), "the segment that is written to is kept");
        let cut: Vec<Segment> = self.segments.drain(..kept).collect();
        self.index.forget_before(front);
        self.remove(&cut)
    }

    /// Replaces the whole log by an empty one whose last entry is `base`, up to which a
    /// snapshot is durable; the hard state is durable too when this returns, with `base` as its
    /// commit index.
    ///
    /// The configuration that was set last goes into the new log. After a crash in between, the
    /// old log is there, and opening it with the snapshot replaces it, or the new one.
    ///
    /// Errors: `NoSpace` if no segment could be prepared: then the old log goes on, perhaps
    /// without segments that the snapshot covers, and the same call may be tried again;
    /// `Fault` if anything else failed, then the caller must panic.
    ///
    /// Panics: if the hard state takes back a term or a vote.
    pub fn reset(&mut self, base: EntryId, hard_state: &HardState) -> Result<(), WalError> {
        self.check_fault()?;
        let (old, new) = (self.hard_state, *hard_state);
        assert!(old.term <= new.term, "term {} is not followed by {}", old.term, new.term);
        let keeps_vote = old.term < new.term || old.vote.is_none() || old.vote == new.vote;
        assert!(keeps_vote, "the vote in term {} stays", new.term);
        // What the snapshot covers may be all that fills the disk.
        self.cut_before(base.index.next())?;
        if new.promises_more_than(&old) {
            // In both copies before anything else changes, as every promise.
            self.append(&HardState { commit_index: old.commit_index, ..new }, &[])?;
        }
        let new = HardState { commit_index: base.index, ..new };
        let header =
            SegmentHeader { prev: base, begins_log: true, hard_state: new, ..self.next_header() };
        let segment = self.take_into_use(header, 0)?;
        // From here on the new log counts.
        let replaced = std::mem::replace(&mut self.segments, vec![segment]);
        self.index = SparseIndex::default();
        self.last = base;
        self.hard_state = new;
        let written = self.write_mark();
        self.keep_fault(written)?;
        self.remove(&replaced)
    }

    /// Writes and syncs a batch of consensus: behind `base`, if a snapshot took the place of the
    /// log, and otherwise behind what is there.
    ///
    /// Errors: as `reset` and `append`; after `NoSpace` the same call may be tried again.
    ///
    /// Panics: as `reset` and `append`.
    pub fn persist(
        &mut self,
        base: Option<EntryId>,
        hard_state: &HardState,
        entries: &[Entries],
    ) -> Result<(), WalError> {
        let Some(base) = base else { return self.append(hard_state, entries) };
        self.reset(base, hard_state)?;
        // What replaces the log says the hard state too.
        if entries.is_empty() { Ok(()) } else { self.append(hard_state, entries) }
    }

    /// The segment with which the log may begin if nothing before `index` is needed.
    ///
    /// The start must know the term of an entry before `index`, and gets it from the header of
    /// that segment or, if what stood before it was replaced, from the first entry in it.
    fn front_for(&self, index: Index) -> u64 {
        if self.last.index < index {
            return self.current().number;
        }
        let Some(span) = self.index.span(index) else { return 0 };
        if self.segment(span.segment).prev.next() == index {
            return span.segment;
        }
        self.index.span(index.prev()).map_or(0, |span| span.segment)
    }

    /// Removes segments, the oldest first, so that a crash in between leaves no gap.
    fn remove(&mut self, segments: &[Segment]) -> Result<(), WalError> {
        for name in segments.iter().map(Segment::name) {
            let removed = self.disk.remove(&name).map_err(WalError::fault("remove", &name));
            self.keep_fault(removed)?;
        }
        Ok(())
    }
}
