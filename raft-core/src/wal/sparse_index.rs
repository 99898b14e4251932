//! Where in the log an entry may be found: one point per 64 KiB or so.
//!
//! A point says in which batch the entry of its index stands. Invariant: between the indexes
//! of a point and of the next one, the valid entries follow in the batches from the point on,
//! in the same segment; where the next point begins, whatever the file says there was replaced.

use crate::types::Index;

/// How far apart points are at least, unless a segment or a replaced tail begins.
/// Units: bytes of batches.
pub(super) const POINT_SPACING_BYTES: u64 = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Point {
    index: Index,
    segment: u64,
    offset: u64,
}

/// Where to start reading, and up to which index that is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) segment: u64,
    /// Where the first batch of the span starts.
    pub(super) offset: u64,
    /// The first index that must be looked up anew.
    pub(super) until: Index,
}

/// The points, ascending by index and by place.
#[derive(Clone, Debug, Default)]
pub(super) struct SparseIndex {
    points: Vec<Point>,
    bytes_since_point: u64,
}

impl SparseIndex {
    /// Takes note of a batch whose entries start at `first` and replace all from there on.
    pub(super) fn add(&mut self, first: Index, last: Index, segment: u64, span: (u64, u64)) {
        let (offset, end) = span;
        let replaces = first <= last;
        if replaces {
            let kept = self.points.partition_point(|point| point.index < first);
            self.points.truncate(kept);
        }
        let is_due = replaces
            || POINT_SPACING_BYTES <= self.bytes_since_point
            || self.points.last().is_none_or(|point| point.segment != segment);
        if is_due {
            self.points.push(Point { index: first, segment, offset });
            self.bytes_since_point = 0;
        }
        self.bytes_since_point += end - offset;
    }

    /// Forgets every point in a segment before `segment`, which is the first one from here on.
    pub(super) fn forget_before(&mut self, segment: u64) {
        let gone = self.points.partition_point(|point| point.segment < segment);
        self.points.drain(..gone);
    }

    /// Where the entry at `index` is to be looked for, if it is not before the first one.
    pub(super) fn span(&self, index: Index) -> Option<Span> {
        let after = self.points.partition_point(|point| point.index <= index);
        let point = self.points.get(after.checked_sub(1)?)?;
        let until = self.points.get(after).map_or(Index(u64::MAX), |next| next.index);
        Some(Span { segment: point.segment, offset: point.offset, until })
    }
}
