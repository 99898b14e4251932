//! How much history stays, and since when each part of it is there.

use std::collections::VecDeque;

/// How far marks lie apart, at least. Units: microseconds of log time.
const MARK_INTERVAL_US: u64 = 5_000_000;

/// The most marks. Beyond them the oldest is dropped; what is older than it counts as younger.
const MARKS_MAX: usize = 1024;

/// How much history a leader keeps before it proposes a compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// Everything younger stays. At most 85 minutes. Units: microseconds of log time.
    pub age_us: u64,
    /// So many revisions stay, however old they are.
    pub revisions: u64,
    /// No more than this stays, however young it is. Units: bytes.
    pub bytes_max: u64,
}

impl History {
    /// An hour or 100,000 revisions, whichever is longer, within a quarter of what live data may
    /// take, which is in bytes.
    #[must_use]
    pub fn beside(live_bytes_max: u64) -> Self {
        Self { age_us: 3_600_000_000, revisions: 100_000, bytes_max: live_bytes_max / 4 }
    }
}

impl Default for History {
    /// Beside 2 GiB of live data.
    fn default() -> Self {
        Self::beside(2 * 1024 * 1024 * 1024)
    }
}

/// `revision` was the newest one at `log_time`, which is in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) log_time: u64,
    pub(crate) revision: u64,
}

/// Which revision was the newest one at which time, about every five seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks(VecDeque<Mark>);

impl Marks {
    /// Notes that `revision` is still the newest one at `log_time`.
    pub(crate) fn note(&mut self, log_time: u64, revision: u64) {
        let is_due = self.0.back().is_none_or(|last| {
            last.revision < revision && last.log_time.saturating_add(MARK_INTERVAL_US) <= log_time
        });
        if is_due {
            self.push(Mark { log_time, revision });
        }
    }

    /// Adds a mark behind all others. Returns whether it can stand there.
    pub(crate) fn push(&mut self, mark: Mark) -> bool {
        let last = self.0.back();
        if last.is_some_and(|last| mark.revision <= last.revision || mark.log_time < last.log_time)
        {
            return false;
        }
        if self.0.len() == MARKS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(mark);
        true
    }

    /// Every mark, the oldest one first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Mark> {
        self.0.iter().copied()
    }

    /// The newest revision that was there at `log_time` already, as far as it is known.
    pub(crate) fn revision_at(&self, log_time: u64) -> u64 {
        let count = self.0.partition_point(|mark| mark.log_time <= log_time);
        count.checked_sub(1).map_or(0, |at| self.0[at].revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_know_the_revision_of_a_time_to_a_few_seconds() {
        let mut marks = Marks::default();
        for second in 0..60 {
            marks.note(second * 1_000_000, 1 + second);
        }
        assert_eq!(marks.iter().count(), 12);
        for (second, revision) in [(0, 1), (4, 1), (5, 6), (59, 56), (9_999, 56)] {
            assert_eq!(marks.revision_at(second * 1_000_000), revision);
        }
        assert_eq!(Marks::default().revision_at(7), 0);
    }

    #[test]
    fn marks_are_few_and_ascend() {
        let mut marks = Marks::default();
        for number in 0..5_000 {
            marks.note(number * MARK_INTERVAL_US, 1 + number);
            marks.note(number * MARK_INTERVAL_US + 1, 1 + number);
        }
        assert_eq!(marks.iter().count(), MARKS_MAX);
        assert!(!marks.push(Mark { log_time: u64::MAX, revision: 5_000 }));
        assert!(!marks.push(Mark { log_time: 0, revision: 9_000 }));
    }
}
