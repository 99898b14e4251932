//! What a leader knows of one follower, and what it may send it next (etcd: Progress).

use std::collections::VecDeque;

use crate::types::{Incarnation, Index, Time};

/// How entries go to a follower.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Flow {
    /// One append at a time, until one is accepted and shows where the logs agree.
    Probe {
        /// The one append that is under way, and since when.
        sent_at: Option<Time>,
    },
    /// One append behind the other within the window, each optimistic about the last.
    Replicate {
        /// What the follower has not answered: the last index of each append and its bytes.
        in_flight: VecDeque<(Index, usize)>,
        bytes: usize,
        /// When an append was last sent into an empty window or answered.
        moved_at: Time,
    },
}

/// The replication state of one follower, under one leader.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    /// Highest index known to be on this follower's disk.
    ///
    /// Starts at zero for every new leader and only grows. Invariant: `match_index <
    /// next_index` (I7). Source: Raft Figure 2.
    match_index: Index,
    /// The first entry that was not sent yet. Source: Raft Figure 2.
    next_index: Index,
    flow: Flow,
    /// The directory that all of this was learned about, once it was heard of.
    pub incarnation: Option<Incarnation>,
    /// How much of `match_index` counts: nothing of a follower that is quarantined or whose
    /// incarnation is not bound.
    pub counted_index: Index,
    /// The newest read round that the follower has answered.
    pub acked_round: u64,
    /// Whether it was heard of since the last check for a quorum.
    pub active: bool,
    /// When it was last heard of under this leader.
    pub heard_at: Option<Time>,
    /// The highest commit index that it was told in a form it can use.
    pub commit_sent: Index,
    /// Tell it the commit index at once when it reaches here: it forwarded this entry, or
    /// waits for it to answer a read.
    pub commit_wanted: Index,
    /// Its entries go over the bulk link until it has answered all of them, so that a long
    /// way to catch up never delays a heartbeat.
    pub bulk: bool,
    /// The entries that it needs next are being read from disk.
    pub awaits_disk: bool,
    /// Ask, with an empty append, whether everything that was sent has arrived.
    pub reprobe: bool,
}

impl Progress {
    /// What a new leader assumes: that the follower has everything up to `last_index`.
    pub(crate) fn new(last_index: Index) -> Self {
        Self {
            match_index: Index::ZERO,
            next_index: last_index.next(),
            flow: Flow::Probe { sent_at: None },
            incarnation: None,
            counted_index: Index::ZERO,
            acked_round: 0,
            active: true,
            heard_at: None,
            commit_sent: Index::ZERO,
            commit_wanted: Index::ZERO,
            bulk: false,
            awaits_disk: false,
            reprobe: false,
        }
    }

    /// Highest index known to be durable at the follower.
    pub(crate) fn match_index(&self) -> Index {
        self.match_index
    }

    /// The first entry not sent yet.
    pub(crate) fn next_index(&self) -> Index {
        self.next_index
    }

    /// Whether appends go one at a time until the logs are known to agree.
    pub(crate) fn is_probing(&self) -> bool {
        matches!(self.flow, Flow::Probe { .. })
    }

    /// Whether another append may go out now.
    pub(crate) fn has_room(&self, appends_max: usize, bytes_max: usize) -> bool {
        match &self.flow {
            Flow::Probe { sent_at } => sent_at.is_none(),
            Flow::Replicate { in_flight, bytes, .. } => {
                in_flight.len() < appends_max && *bytes < bytes_max
            }
        }
    }

    /// Notes that an append with entries up to `last` was sent.
    pub(crate) fn sent(&mut self, now: Time, last: Index, sent_bytes: usize) {
        match &mut self.flow {
            Flow::Probe { sent_at } => *sent_at = Some(now),
            Flow::Replicate { in_flight, bytes, moved_at } => {
                if in_flight.is_empty() {
                    *moved_at = now;
                }
                in_flight.push_back((last, sent_bytes));
                *bytes += sent_bytes;
                self.next_index = last.next();
            }
        }
    }

    /// Notes that the follower holds everything up to `index` durably.
    pub(crate) fn accepted(&mut self, now: Time, index: Index) {
        self.match_index = self.match_index.max(index);
        self.next_index = self.next_index.max(index.next());
        match &mut self.flow {
            Flow::Probe { .. } => {
                self.flow = Flow::Replicate { in_flight: VecDeque::new(), bytes: 0, moved_at: now };
                self.next_index = self.match_index.next();
            }
            Flow::Replicate { in_flight, bytes, moved_at } => {
                *moved_at = now;
                while in_flight.front().is_some_and(|&(last, _)| last <= index) {
                    let (_, sent_bytes) = in_flight.pop_front().expect("the front was just seen");
                    *bytes -= sent_bytes;
                }
                if in_flight.is_empty() {
                    self.bulk = false;
                }
            }
        }
    }

    /// Notes that the follower does not hold the entry at `prev_index`; returns whether that
    /// was news. `candidate` is the last place where the logs may still agree.
    pub(crate) fn rejected(&mut self, prev_index: Index, candidate: Index) -> bool {
        let is_stale = match self.flow {
            Flow::Probe { .. } => prev_index.next() != self.next_index,
            Flow::Replicate { .. } => prev_index <= self.match_index,
        };
        if is_stale {
            return false;
        }
        self.probe_from(candidate.next());
        true
    }

    /// Forgets what was in flight, because the connection that carried it is gone. Nothing was
    /// learned about where the logs agree: a probe goes on where it was.
    pub(crate) fn reset(&mut self) {
        let next = match self.flow {
            Flow::Probe { .. } => self.next_index,
            Flow::Replicate { .. } => self.match_index.next(),
        };
        self.probe_from(next);
    }

    fn probe_from(&mut self, next: Index) {
        self.next_index = next.max(self.match_index.next());
        self.flow = Flow::Probe { sent_at: None };
        self.bulk = false;
        self.awaits_disk = false;
        self.reprobe = false;
    }

    /// Whether what is in flight has not been answered for `patience_us`: an append or its
    /// answer was lost, or the follower's disk is slow.
    pub(crate) fn is_stalled(&self, now: Time, patience_us: u64) -> bool {
        match &self.flow {
            Flow::Probe { sent_at } => sent_at.is_some_and(|at| patience_us < now.since(at)),
            Flow::Replicate { in_flight, moved_at, .. } => {
                !in_flight.is_empty() && patience_us < now.since(*moved_at)
            }
        }
    }

    /// Lets one more question go out although an answer is outstanding, after a stall.
    pub(crate) fn retry(&mut self, now: Time) {
        match &mut self.flow {
            Flow::Probe { sent_at } => *sent_at = None,
            Flow::Replicate { moved_at, .. } => *moved_at = now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replicating(match_index: u64) -> Progress {
        let mut progress = Progress::new(Index(match_index));
        progress.accepted(Time(0), Index(match_index));
        progress
    }

    #[test]
    fn a_probe_waits_for_its_answer_and_then_replication_is_pipelined() {
        let mut progress = Progress::new(Index(5));
        assert!(progress.has_room(2, 100));
        progress.sent(Time(1), Index(5), 0);
        assert!(!progress.has_room(2, 100));
        progress.accepted(Time(2), Index(5));
        progress.sent(Time(3), Index(6), 10);
        assert!(progress.has_room(2, 100) && progress.next_index() == Index(7));
        progress.sent(Time(3), Index(9), 10);
        assert!(!progress.has_room(2, 100), "the window is full in appends");
        progress.accepted(Time(4), Index(9));
        assert!(progress.has_room(2, 100), "one answer covers everything before it");
    }

    #[test]
    fn the_window_is_bounded_in_bytes_too() {
        let mut progress = replicating(1);
        progress.sent(Time(0), Index(2), 100);
        assert!(!progress.has_room(9, 100));
    }

    #[test]
    fn answers_that_are_late_or_repeated_never_move_match_back() {
        let mut progress = replicating(3);
        progress.sent(Time(0), Index(8), 1);
        progress.accepted(Time(1), Index(8));
        progress.accepted(Time(1), Index(4));
        assert_eq!((progress.match_index(), progress.next_index()), (Index(8), Index(9)));
        assert!(!progress.rejected(Index(8), Index(2)), "what is matched cannot be refused");
        assert_eq!(progress.next_index(), Index(9));
    }

    #[test]
    fn a_stale_refusal_of_an_old_probe_is_ignored() {
        let mut progress = Progress::new(Index(9));
        progress.sent(Time(0), Index(9), 0);
        assert!(progress.rejected(Index(9), Index(4)));
        assert!(progress.has_room(1, 1) && progress.next_index() == Index(5));
        progress.sent(Time(1), Index(4), 0);
        assert!(!progress.rejected(Index(9), Index(7)));
        assert_eq!(progress.next_index(), Index(5));
    }

    #[test]
    fn silence_is_noticed_only_while_an_answer_is_due() {
        let mut progress = replicating(1);
        assert!(!progress.is_stalled(Time(1_000), 10));
        progress.sent(Time(2_000), Index(2), 1);
        assert!(!progress.is_stalled(Time(2_005), 10));
        assert!(progress.is_stalled(Time(2_020), 10));
        progress.retry(Time(2_020));
        assert!(!progress.is_stalled(Time(2_025), 10));
    }
}
