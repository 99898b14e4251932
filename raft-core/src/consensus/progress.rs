//! What a leader knows of one follower, and what it may send it next (etcd: Progress).

use std::collections::VecDeque;

use crate::consensus::round_trip::RoundTrip;
use crate::snapshot::SnapshotId;
use crate::teeth::is_removed;
use crate::types::{Incarnation, Index, Time};

/// A follower that threw away so often what it had of a snapshot got a bad one.
const SNAPSHOT_FAILURES_MAX: u32 = 3;

/// A follower may take so much longer to answer a piece of a snapshot than an append: it
/// verifies and syncs a whole file at the end.
const SNAPSHOT_PATIENCE: u64 = 8;

/// How entries go to a follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Flow {
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
    /// A snapshot, piece by piece; no appends until it is in place.
    Snapshot(Transfer),
}

/// How far a snapshot has come on its way to a follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transfer {
    /// Which snapshot.
    pub id: SnapshotId,
    /// How long a piece is. Units: bytes.
    pub piece_bytes: usize,
    /// The first byte that was not asked from disk yet.
    pub next_offset: u64,
    /// The first byte that the follower has not confirmed.
    pub acked_offset: u64,
    /// A piece is being read from disk.
    pub is_reading: bool,
    /// Whether the follower has said where it stands, so that more than one piece may go.
    pub(super) is_known: bool,
    /// The last place that was sent again because the follower asked for it again.
    pub(super) repeated_at: Option<u64>,
    /// When a piece was last sent or confirmed.
    pub(super) moved_at: Time,
    /// How often the follower threw away what it had.
    pub(super) failures: u32,
}

/// Pieces of a snapshot that a follower has not confirmed; when full, others wait.
const SNAPSHOT_WINDOW_PIECES: u64 = 4;

/// A snapshot for a follower whose log is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rebuild {
    /// The snapshot must cover this entry.
    pub(super) least: Index,
    pub(super) transfer: Option<Transfer>,
}

impl Transfer {
    fn new(now: Time, id: SnapshotId, piece_bytes: usize) -> Self {
        Self {
            id,
            piece_bytes,
            next_offset: 0,
            acked_offset: 0,
            is_reading: false,
            is_known: false,
            repeated_at: None,
            moved_at: now,
            failures: 0,
        }
    }

    fn is_stalled(&self, now: Time, patience_us: u64) -> bool {
        SNAPSHOT_PATIENCE * patience_us < now.since(self.moved_at)
    }

    /// Notes that the follower has said again what it wants, so that something came in another
    /// order or not at all: the first time it is sent again at once, later only after a while.
    fn repeated(&mut self) {
        if self.repeated_at != Some(self.acked_offset) {
            self.repeated_at = Some(self.acked_offset);
            self.next_offset = self.acked_offset;
            self.is_reading = false;
        }
    }

    /// Whether another piece may be read now.
    pub(crate) fn has_room(&self) -> bool {
        let in_flight = self.next_offset - self.acked_offset;
        let window = SNAPSHOT_WINDOW_PIECES * self.piece_bytes as u64;
        let room = if self.is_known { window } else { 1 };
        !self.is_reading && self.next_offset < self.id.bytes && in_flight < room
    }

    /// Notes that the piece at `next_offset` was sent.
    pub(crate) fn sent(&mut self, now: Time, bytes: u64) {
        if self.next_offset == self.acked_offset {
            self.moved_at = now;
        }
        self.is_reading = false;
        self.next_offset += bytes;
    }

    /// Goes back to what is known to have arrived, and asks with one piece.
    fn restart(&mut self, now: Time) {
        if self.acked_offset == self.id.bytes {
            // All of it is there, but not the answer that it is in place: the last piece asks.
            let piece = self.piece_bytes as u64;
            self.acked_offset = self.id.bytes.saturating_sub(1) / piece * piece;
        }
        self.next_offset = self.acked_offset;
        self.is_reading = false;
        self.is_known = false;
        self.moved_at = now;
    }
}

/// The replication state of one follower, under one leader.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    /// Highest index known to be on this follower's disk.
    ///
    /// Starts at zero for every new leader and only grows. Invariant: `match_index <
    /// next_index` (I12). Source: Raft Figure 2.
    pub(super) match_index: Index,
    /// The first entry that was not sent yet. Source: Raft Figure 2.
    pub(super) next_index: Index,
    pub(super) flow: Flow,
    /// The directory that all of this was learned about, once it was heard of.
    pub incarnation: Option<Incarnation>,
    /// How much of `match_index` counts: nothing of a follower that is quarantined or whose
    /// incarnation is not bound.
    pub counted_index: Index,
    /// The newest read round that the follower has answered.
    pub acked_round: u64,
    /// Whether it was heard of, and its word counts, since the last check for a quorum.
    pub active: bool,
    /// Whether it was heard of since then, whatever its word is worth.
    pub is_there: bool,
    /// When it was last heard of under this leader, and its word counted.
    pub heard_at: Option<Time>,
    /// Its control link ended after it was last heard of.
    pub is_cut: bool,
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
    /// Its disk has no room.
    pub disk_is_full: bool,
    /// Its state machine is wrong: it gets a snapshot beside the entries.
    pub(super) rebuild: Option<Rebuild>,
    /// Ask, with an empty append, whether everything that was sent has arrived.
    pub reprobe: bool,
    /// Until when, by the leader's clock, it elects nobody, as far as it has promised.
    pub promised_until: Time,
    /// How long heartbeats take.
    pub round_trip: RoundTrip,
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
            is_there: false,
            heard_at: None,
            is_cut: false,
            commit_sent: Index::ZERO,
            commit_wanted: Index::ZERO,
            bulk: false,
            awaits_disk: false,
            disk_is_full: false,
            rebuild: None,
            reprobe: false,
            promised_until: Time::default(),
            round_trip: RoundTrip::default(),
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
            Flow::Snapshot(_) => false,
        }
    }

    /// The snapshot that is on its way.
    pub(crate) fn transfer(&mut self) -> Option<&mut Transfer> {
        match &mut self.flow {
            Flow::Snapshot(transfer) => Some(transfer),
            Flow::Probe { .. } | Flow::Replicate { .. } => {
                self.rebuild.as_mut().and_then(|rebuild| rebuild.transfer.as_mut())
            }
        }
    }

    /// Notes that the follower wants a snapshot that covers `least`, beside the entries.
    pub(crate) fn ask_rebuild(&mut self, least: Index) {
        self.rebuild.get_or_insert(Rebuild { least, transfer: None });
    }

    /// What a snapshot for the follower's state must cover, while none is on its way.
    pub(crate) fn wants_rebuild(&self) -> Option<Index> {
        self.rebuild.as_ref().filter(|r| r.transfer.is_none()).map(|rebuild| rebuild.least)
    }

    /// Begins to send a snapshot beside the entries.
    pub(crate) fn begin_rebuild(&mut self, now: Time, id: SnapshotId, piece_bytes: usize) {
        if let Some(rebuild) = &mut self.rebuild {
            rebuild.transfer = Some(Transfer::new(now, id, piece_bytes));
        }
    }

    /// Notes that the follower has put a snapshot in the place of its state.
    pub(crate) fn rebuilt(&mut self) {
        self.rebuild = None;
    }

    /// Begins the snapshot beside the entries again if it has come to a halt.
    pub(crate) fn retry_rebuild(&mut self, now: Time, patience_us: u64) {
        let transfer = self.rebuild.as_mut().and_then(|rebuild| rebuild.transfer.as_mut());
        if let Some(transfer) = transfer.filter(|transfer| transfer.is_stalled(now, patience_us)) {
            transfer.restart(now);
        }
    }

    /// The snapshot that is on its way, to be looked at.
    pub(crate) fn snapshot_under_way(&self) -> Option<&SnapshotId> {
        match &self.flow {
            Flow::Snapshot(transfer) => Some(&transfer.id),
            Flow::Probe { .. } | Flow::Replicate { .. } => None,
        }
    }

    /// Begins to send a snapshot in the place of entries that nobody has any more.
    pub(crate) fn begin_snapshot(&mut self, now: Time, id: SnapshotId, piece_bytes: usize) {
        self.reprobe = false;
        self.awaits_disk = false;
        self.flow = Flow::Snapshot(Transfer::new(now, id, piece_bytes));
    }

    /// Notes where a follower stands with the snapshot that is sent to it. Returns whether it
    /// has thrown it away so often that the snapshot itself must be bad.
    pub(crate) fn snapshot_answered(
        &mut self,
        now: Time,
        id: SnapshotId,
        next_offset: u64,
    ) -> bool {
        let Some(transfer) = self.transfer().filter(|transfer| transfer.id == id) else {
            return false;
        };
        // What a follower has of a file only grows, until it is thrown away as a whole: any other
        // step back is an answer that others have overtaken.
        let is_late = transfer.is_known && 0 < next_offset && next_offset < transfer.acked_offset;
        if id.bytes < next_offset || is_late {
            return false;
        }
        // Who wants the beginning although it was sent has thrown it away.
        let is_thrown_away = next_offset == 0 && 0 < transfer.next_offset;
        transfer.failures += u32::from(is_thrown_away);
        let is_news = !transfer.is_known || is_thrown_away;
        if is_news || transfer.next_offset < next_offset {
            // It has some of the file from before, or has thrown away what it had. A piece that
            // is being read is not the next one any more.
            transfer.next_offset = next_offset;
            transfer.is_reading = false;
        } else if next_offset == transfer.acked_offset && next_offset < transfer.next_offset {
            transfer.repeated();
        }
        transfer.acked_offset = next_offset;
        transfer.is_known = true;
        transfer.moved_at = now;
        SNAPSHOT_FAILURES_MAX <= transfer.failures
    }

    /// Ends a snapshot that the follower has in place, or that cannot be sent any more.
    pub(crate) fn end_snapshot(&mut self) {
        if self.snapshot_under_way().is_some() {
            self.probe_from(self.next_index);
        } else if let Some(rebuild) = &mut self.rebuild {
            rebuild.transfer = None;
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
            Flow::Snapshot(_) => unreachable!("no append goes out while a snapshot does"),
        }
    }

    /// Notes that the follower holds everything up to `index` durably.
    pub(crate) fn accepted(&mut self, now: Time, index: Index) {
        self.match_index =
            if is_removed("matches-never-fall") { index } else { self.match_index.max(index) };
        self.next_index = self.next_index.max(index.next());
        match &mut self.flow {
            Flow::Probe { .. } => {
                self.flow = Flow::Replicate { in_flight: VecDeque::new(), bytes: 0, moved_at: now };
                self.next_index = self.match_index.next();
            }
            Flow::Replicate { in_flight, bytes, moved_at } => {
                *moved_at = now;
                let is_answered =
                    |last: Index| last <= index || is_removed("answers-free-what-they-cover");
                while in_flight.front().is_some_and(|&(last, _)| is_answered(last)) {
                    let (_, sent_bytes) = in_flight.pop_front().expect("the front was just seen");
                    *bytes -= sent_bytes;
                }
                if in_flight.is_empty() {
                    self.bulk = false;
                }
            }
            // Proof that the logs meet behind the snapshot after all, or that it is in place.
            Flow::Snapshot(transfer) => {
                if transfer.id.last.index <= index {
                    self.flow =
                        Flow::Replicate { in_flight: VecDeque::new(), bytes: 0, moved_at: now };
                    self.next_index = self.match_index.next();
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
            Flow::Snapshot(_) => true,
        };
        if is_stale && !is_removed("stale-refusals-are-void") {
            return false;
        }
        self.probe_from(candidate.next());
        true
    }

    /// A follower whose word does not count refuses what it has acknowledged: its log is damaged,
    /// and as nothing of it was ever counted, it is sent again in the same term.
    pub(crate) fn doubt(&mut self, prev_index: Index) {
        let has_lost = prev_index <= self.match_index && self.counted_index == Index::ZERO;
        let is_sent_entries = !matches!(self.flow, Flow::Snapshot(_));
        if has_lost && is_sent_entries && !is_removed("the-uncounted-may-lose-all") {
            self.match_index = Index::ZERO;
            self.probe_from(prev_index.next());
        }
    }

    /// Forgets what was in flight, because the connection that carried it is gone. Nothing was
    /// learned about where the logs agree: a probe goes on where it was.
    pub(crate) fn reset(&mut self, now: Time) {
        self.round_trip.restart();
        let next = match &mut self.flow {
            Flow::Probe { .. } => self.next_index,
            Flow::Replicate { .. } => self.match_index.next(),
            Flow::Snapshot(transfer) => return transfer.restart(now),
        };
        self.probe_from(next);
    }

    fn probe_from(&mut self, next: Index) {
        let least = self.match_index.next();
        self.next_index = if is_removed("next-lies-behind-match") { next } else { next.max(least) };
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
            Flow::Snapshot(transfer) => transfer.is_stalled(now, patience_us),
        }
    }

    /// Lets one more question go out although an answer is outstanding, after a stall.
    pub(crate) fn retry(&mut self, now: Time) {
        match &mut self.flow {
            Flow::Probe { sent_at } => *sent_at = None,
            Flow::Replicate { moved_at, .. } => *moved_at = now,
            Flow::Snapshot(transfer) => transfer.restart(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{EntryId, Term};

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

    const PIECE_BYTES: usize = 1_000;

    fn snapshot() -> SnapshotId {
        let last = EntryId { term: Term(1), index: Index(50) };
        SnapshotId { last, bytes: 9 * PIECE_BYTES as u64, checksum: 7 }
    }

    #[test]
    fn a_snapshot_begins_with_one_piece_and_goes_on_where_the_follower_stands() {
        let piece = PIECE_BYTES as u64;
        let mut progress = Progress::new(Index(60));
        progress.begin_snapshot(Time(0), snapshot(), PIECE_BYTES);
        let send = |progress: &mut Progress| {
            let transfer = progress.transfer().unwrap();
            let may = transfer.has_room();
            transfer.next_offset += if may { piece } else { 0 };
            may
        };
        assert!(send(&mut progress) && !send(&mut progress), "one piece asks where it stands");
        progress.snapshot_answered(Time(1), snapshot(), 3 * piece);
        assert_eq!(progress.transfer().unwrap().next_offset, 3 * piece, "it had three before");
        let sent = std::iter::from_fn(|| send(&mut progress).then_some(())).count();
        assert_eq!(sent, 4, "then a window of pieces goes");
        progress.snapshot_answered(Time(2), snapshot(), 4 * piece);
        assert!(send(&mut progress) && !send(&mut progress));
        progress.snapshot_answered(Time(3), snapshot(), 0);
        assert_eq!(progress.transfer().unwrap().next_offset, 0, "it lost what it had");
    }

    /// An answer ahead of what was sent moves the transfer, also while a piece is being read,
    /// which is not the next one any more; one that was overtaken by a later one moves nothing,
    /// and however many of those come, they say nothing about the snapshot.
    #[test]
    fn answers_out_of_order_neither_take_a_transfer_back_nor_make_a_snapshot_bad() {
        let piece = PIECE_BYTES as u64;
        let mut progress = Progress::new(Index(60));
        progress.begin_snapshot(Time(0), snapshot(), PIECE_BYTES);
        progress.transfer().unwrap().sent(Time(0), piece);
        for next_offset in [3 * piece, 5 * piece] {
            progress.transfer().unwrap().is_reading = true;
            assert!(!progress.snapshot_answered(Time(1), snapshot(), next_offset));
            let transfer = progress.transfer().unwrap();
            assert!(transfer.has_room(), "the piece at {next_offset} is not read");
            assert_eq!(transfer.next_offset, next_offset);
        }
        for _ in 0..2 * SNAPSHOT_FAILURES_MAX {
            for late in [4 * piece, piece] {
                assert!(!progress.snapshot_answered(Time(2), snapshot(), late));
                let transfer = progress.transfer().unwrap();
                assert_eq!((transfer.next_offset, transfer.acked_offset), (5 * piece, 5 * piece));
            }
        }
        let mut answers = (0..SNAPSHOT_FAILURES_MAX).map(|_| {
            progress.snapshot_answered(Time(3), snapshot(), 0) || {
                progress.snapshot_answered(Time(3), snapshot(), piece)
            }
        });
        assert!(answers.any(|is_bad| is_bad), "whoever throws it away again and again says so");
    }

    /// One piece is lost, the two behind it arrive: each of them is answered with the place of
    /// the lost one, which is sent again once.
    #[test]
    fn a_piece_that_is_asked_for_again_is_sent_again_once() {
        let piece = PIECE_BYTES as u64;
        let mut progress = Progress::new(Index(60));
        progress.begin_snapshot(Time(0), snapshot(), PIECE_BYTES);
        progress.transfer().unwrap().sent(Time(0), piece);
        progress.snapshot_answered(Time(1), snapshot(), piece);
        (0..3).for_each(|_| progress.transfer().unwrap().sent(Time(1), piece));
        progress.snapshot_answered(Time(2), snapshot(), piece);
        assert_eq!(progress.transfer().unwrap().next_offset, piece);
        progress.transfer().unwrap().sent(Time(2), piece);
        progress.snapshot_answered(Time(3), snapshot(), piece);
        assert_eq!(progress.transfer().unwrap().next_offset, 2 * piece);
    }

    #[test]
    fn who_has_a_whole_snapshot_and_says_nothing_more_is_asked_with_the_last_piece() {
        let mut progress = Progress::new(Index(60));
        progress.begin_snapshot(Time(0), snapshot(), PIECE_BYTES);
        progress.snapshot_answered(Time(1), snapshot(), snapshot().bytes);
        assert!(!progress.transfer().unwrap().has_room(), "the follower puts it in place");
        progress.retry(Time(1_000));
        let transfer = progress.transfer().unwrap();
        assert!(transfer.has_room(), "the answer may be lost");
        assert_eq!(transfer.next_offset, snapshot().bytes - PIECE_BYTES as u64);
    }

    #[test]
    fn a_snapshot_in_place_leads_back_to_appends() {
        let mut progress = Progress::new(Index(60));
        progress.begin_snapshot(Time(0), snapshot(), PIECE_BYTES);
        progress.reset(Time(1));
        assert!(progress.snapshot_under_way().is_some(), "a new connection goes on with it");
        progress.accepted(Time(2), Index(50));
        assert_eq!((progress.match_index(), progress.next_index()), (Index(50), Index(51)));
        assert!(!progress.is_probing() && progress.snapshot_under_way().is_none());
    }
}
