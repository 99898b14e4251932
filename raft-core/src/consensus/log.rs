//! The log as Raft sees it: what it holds, how far it is durable, committed and handed out.
//!
//! Only a tail of the entries is in memory; of the older ones the log knows the terms, which
//! is all that elections and consistency checks need. What lies before `base` is in a snapshot
//! and nowhere else. Invariant (I2, I7): base ≤ applied ≤ commit ≤ last, base ≤ durable ≤
//! last, indexes are contiguous and terms never fall along the log.

use std::collections::VecDeque;
use std::ops::Range;

use crate::configuration::Configuration;
use crate::consensus::membership::Membership;
use crate::entry::{Entries, FEATURE_LEVEL_MIN};
use crate::teeth::is_removed;
use crate::types::{EntryId, Index, Term};

/// The log of one node.
#[derive(Clone, Debug)]
pub struct RaftLog {
    /// The last entry that only a snapshot has (Raft §7: last included index and term).
    pub(super) base: EntryId,
    /// The first entry of each term that begins behind `base`, ascending.
    pub(super) terms: Vec<EntryId>,
    pub(super) last: EntryId,
    /// Consecutive runs that end at `last`; empty if everything is on disk only.
    pub(super) tail: VecDeque<Entries>,
    pub(super) tail_bytes: usize,
    /// The first entry that no batch for the disk contains yet.
    pub(super) unwritten: Index,
    pub(super) durable_index: Index,
    /// Rises with every truncation, so that a late completion of overwritten entries is void.
    pub(super) epoch: u64,
    pub(super) commit_index: Index,
    pub(super) applied_index: Index,
    pub(super) log_time: u64,
    pub(super) feature_level: u16,
    pub(super) membership: Membership,
}

/// Where entries are.
#[derive(Debug, PartialEq, Eq)]
pub enum Slice {
    /// Here they are; possibly fewer than asked for, but at least one.
    InMemory(Vec<Entries>),
    /// They must be read from disk.
    OnDisk,
}

impl RaftLog {
    /// A log as recovery found it behind `base`, which is zero for a whole one.
    ///
    /// `terms` holds the first entry of each term; `tail` the newest entries, at least the
    /// last one unless the log is empty. Everything in it is durable, and what `base` covers
    /// is applied.
    ///
    /// Panics: if the parts contradict each other.
    #[must_use]
    pub fn restore(
        base: EntryId,
        mut terms: Vec<EntryId>,
        tail: Vec<Entries>,
        commit_index: Index,
    ) -> Self {
        let last = tail.last().map_or(base, Entries::last_id);
        terms.retain(|start| base.index < start.index);
        assert!(terms.is_sorted_by(|a, b| a.term < b.term && a.index < b.index), "terms rise");
        assert_eq!(terms.last().map_or(base.term, |start| start.term), last.term, "same log");
        assert!(commit_index <= last.index, "what is committed is in the log (I7)");
        let commit_index = if is_removed("commits-survive") { base.index } else { commit_index };
        let newest = tail.last().and_then(|run| run.get(run.last_index()));
        let log_time = newest.map_or(0, |entry| entry.log_time());
        let feature_level = newest.map_or(FEATURE_LEVEL_MIN, |entry| entry.feature_level());
        Self {
            base,
            terms,
            last,
            tail_bytes: tail.iter().map(|run| run.bytes().len()).sum(),
            tail: tail.into(),
            unwritten: last.index.next(),
            durable_index: last.index,
            epoch: 0,
            commit_index: commit_index.max(base.index),
            applied_index: base.index,
            log_time,
            feature_level,
            membership: Membership::default(),
        }
    }

    /// Notes that the state machine begins with a snapshot which ends in `last`.
    ///
    /// Panics: if the log does not hold that entry, or begins behind it.
    #[must_use]
    pub fn continue_from(mut self, last: EntryId) -> Self {
        assert!(self.holds(last), "the log goes on where the snapshot ends");
        self.applied_index = last.index;
        self.commit_index = self.commit_index.max(last.index);
        self
    }

    /// Adds the configurations that recovery found in the log, ascending, behind the one that
    /// it begins with, which was made at `index`.
    #[must_use]
    pub fn with_configurations(
        mut self,
        (index, first): (Index, Configuration),
        later: Vec<(Index, Configuration)>,
    ) -> Self {
        self.membership = Membership::default();
        self.membership.begin(index, first);
        later.into_iter().for_each(|(index, made)| self.membership.found(index, made));
        self
    }

    /// Gives a log that knows no configuration the one that its cluster begins with.
    pub(crate) fn begin_with(&mut self, configuration: &Configuration) {
        if self.membership.is_unknown() {
            self.membership.begin(Index::ZERO, configuration.clone());
        }
    }

    /// Notes that log time is not before this: a snapshot which this log continues says so, or
    /// a leader.
    pub(crate) fn raise_log_time(&mut self, log_time: u64) {
        self.log_time = self.log_time.max(log_time);
    }

    /// Notes that entries of this feature level were written: a snapshot which this log
    /// continues says so.
    pub(crate) fn raise_feature_level(&mut self, feature_level: u16) {
        self.feature_level = self.feature_level.max(feature_level);
    }

    /// The highest feature level under which an entry of this log was written, also one that
    /// was overwritten: every member knew that level then.
    #[must_use]
    pub fn feature_level(&self) -> u16 {
        self.feature_level
    }

    /// The configurations in the log.
    pub(crate) fn membership(&self) -> &Membership {
        &self.membership
    }

    /// The configuration in force: the newest one in the log, committed or not.
    #[must_use]
    pub fn configuration(&self) -> &Configuration {
        self.membership.current()
    }

    /// The last entry that only a snapshot has.
    pub fn base(&self) -> EntryId {
        self.base
    }

    /// The last entry, durable or not.
    pub fn last(&self) -> EntryId {
        self.last
    }

    /// Everything up to here is on this node's disk.
    pub fn durable_index(&self) -> Index {
        self.durable_index
    }

    /// Everything up to here is decided (Raft §5.3).
    pub fn commit_index(&self) -> Index {
        self.commit_index
    }

    /// Everything up to here was handed to the state machine.
    pub fn applied_index(&self) -> Index {
        self.applied_index
    }

    /// Counts truncations.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The highest log time in the log. Units: microseconds.
    pub fn log_time(&self) -> u64 {
        self.log_time
    }

    /// Bytes of the entries in memory.
    pub fn tail_bytes(&self) -> usize {
        self.tail_bytes
    }

    /// The first index in memory; `last + 1` if none is.
    pub fn tail_first(&self) -> Index {
        self.tail.front().map_or(self.last.index.next(), Entries::first_index)
    }

    /// The term of the entry at `index`; `None` beyond the end of the log and before `base`.
    pub fn term_at(&self, index: Index) -> Option<Term> {
        if self.last.index < index || index < self.base.index {
            return None;
        }
        let run = self.terms.partition_point(|start| start.index <= index);
        Some(if run == 0 { self.base.term } else { self.terms[run - 1].term })
    }

    /// Whether the log holds this very entry.
    pub fn holds(&self, id: EntryId) -> bool {
        self.term_at(id.index) == Some(id.term)
    }

    /// The last entry at or before `at.index` whose term is not above `at.term`: the last
    /// place where a log that ends in `at` can agree with this one (Raft §5.3). Before `base`
    /// this log cannot tell: the answer is then an index without a term.
    pub fn last_possible_match(&self, at: EntryId) -> EntryId {
        let index = at.index.min(self.last.index);
        let allowed = self.terms.partition_point(|start| start.term <= at.term);
        let index = match self.terms.get(allowed) {
            Some(too_new) => index.min(too_new.index.prev()),
            None => index,
        };
        // What stands behind `base` before the next term is of its term, and so is `base`.
        let is_before = allowed == 0 && at.term < self.base.term;
        let index = if is_before { index.min(self.base.index.prev()) } else { index };
        EntryId { term: self.term_at(index).unwrap_or(Term::ZERO), index }
    }

    /// Adds entries behind the last one.
    ///
    /// Panics: if they do not follow it (I2).
    pub fn append(&mut self, entries: Entries) {
        assert_eq!(entries.first_index(), self.last.index.next(), "indexes are contiguous (I2)");
        assert!(self.last.term <= entries.term(), "terms never fall along the log (I2)");
        if self.last.term < entries.term() {
            self.terms.push(EntryId { term: entries.term(), index: entries.first_index() });
        }
        self.last = entries.last_id();
        self.tail_bytes += entries.bytes().len();
        let newest = entries.get(entries.last_index()).expect("entries are never empty");
        self.log_time = self.log_time.max(newest.log_time());
        self.feature_level = self.feature_level.max(newest.feature_level());
        self.membership.appended(&entries);
        self.tail.push_back(entries);
    }

    /// Whether entries behind `prev` may be merged: the log holds it, or has it in a snapshot,
    /// where everything is committed and so the same for every leader.
    pub fn continues(&self, prev: EntryId) -> bool {
        prev.index < self.base.index
            || self.holds(prev)
            || (prev.index <= self.last.index && is_removed("previous-terms-agree"))
            || is_removed("appends-leave-no-gap")
    }

    /// Takes entries of a leader behind `prev`, which the log must continue: those it has
    /// already stay, a conflicting rest is removed, and only then the new ones follow. Returns
    /// the last index that is now known to agree with the leader (Raft §5.3).
    pub fn merge(&mut self, prev: EntryId, entries: Vec<Entries>) -> Index {
        assert!(self.continues(prev), "the caller has checked prev");
        let mut verified = prev.index.max(self.base.index);
        let mut expected = prev.index.next();
        for run in entries {
            assert_eq!(run.first_index(), expected, "an append has no gaps");
            expected = run.last_index().next();
            let Some(run) = run.slice(verified.next()..expected, usize::MAX) else { continue };
            verified = run.last_index();
            let known_end = verified.min(self.last.index).next();
            let conflict = (run.first_index().0..known_end.0)
                .map(Index)
                .find(|&index| {
                    self.term_at(index) != Some(run.term()) || is_removed("agreeing-entries-stay")
                })
                .unwrap_or(known_end);
            if verified < conflict {
                continue;
            }
            if conflict <= self.last.index {
                self.truncate_from(conflict);
            }
            let rest = run.slice(conflict..verified.next(), usize::MAX);
            self.append(rest.expect("the run reaches beyond the conflict"));
        }
        verified
    }

    /// Removes the entry at `first` and everything behind it.
    ///
    /// Panics: if any of it is committed, which no leader may ask for.
    fn truncate_from(&mut self, first: Index) {
        assert!(self.commit_index < first, "I6 a committed entry never changes");
        self.epoch += 1;
        while self.tail.back().is_some_and(|run| first <= run.first_index()) {
            let run = self.tail.pop_back().expect("the back was just seen");
            self.tail_bytes -= run.bytes().len();
        }
        if let Some(run) = self.tail.back_mut().filter(|run| first <= run.last_index()) {
            let kept = run.slice(run.first_index()..first, usize::MAX);
            let kept = kept.expect("the run begins before the cut");
            self.tail_bytes -= run.bytes().len() - kept.bytes().len();
            *run = kept;
        }
        self.terms.retain(|start| start.index < first);
        self.membership.truncated_from(first);
        let index = first.prev();
        let term = self.terms.last().map_or(self.base.term, |start| start.term);
        self.last = EntryId { term, index };
        self.durable_index = self.durable_index.min(index);
        self.unwritten = self.unwritten.min(first);
    }

    /// The entries that no batch contains yet, and now one does.
    pub fn take_unwritten(&mut self) -> Vec<Entries> {
        let range = self.unwritten..self.last.index.next();
        self.unwritten = range.end;
        self.in_memory(&range, usize::MAX)
    }

    /// Notes that everything up to `index`, as it was in `epoch`, is on disk.
    pub fn persisted(&mut self, epoch: u64, index: Index) {
        if epoch == self.epoch || is_removed("late-syncs-are-void") {
            assert!(index <= self.last.index, "only what was appended is durable");
            self.durable_index = self.durable_index.max(index);
        }
    }

    /// Notes that everything up to `index` is decided; never goes back.
    ///
    /// Panics: if the log does not reach so far (I7).
    pub fn commit_to(&mut self, index: Index) -> bool {
        assert!(index <= self.last.index, "only what is in the log can be committed (I7)");
        let advances = self.commit_index < index;
        self.commit_index =
            if is_removed("commits-never-fall") { index } else { self.commit_index.max(index) };
        advances
    }

    /// Entries in `range`, at most `bytes_max` but at least one.
    ///
    /// Panics: if the range is empty or reaches beyond the log.
    pub fn slice(&self, range: &Range<Index>, bytes_max: usize) -> Slice {
        assert!(range.start < range.end && range.end <= self.last.index.next(), "{range:?}");
        if range.start < self.tail_first() {
            return Slice::OnDisk;
        }
        Slice::InMemory(self.in_memory(range, bytes_max))
    }

    fn in_memory(&self, range: &Range<Index>, bytes_max: usize) -> Vec<Entries> {
        let mut found: Vec<Entries> = Vec::new();
        let mut room = bytes_max;
        let start = self.tail.partition_point(|run| run.last_index() < range.start);
        for run in self.tail.range(start..) {
            let Some(part) = run.slice(range.clone(), room) else { break };
            if room < part.bytes().len() && !found.is_empty() {
                break;
            }
            room = room.saturating_sub(part.bytes().len());
            let is_whole = part.last_index() == run.last_index();
            found.push(part);
            if !is_whole || room == 0 {
                break;
            }
        }
        found
    }

    /// The committed entries that were not handed out yet, at most `bytes_max` but at least
    /// one, or where they are; `None` if there are none.
    pub fn next_to_apply(&self, bytes_max: usize) -> Option<Slice> {
        let range = self.applied_index.next()..self.commit_index.next();
        (range.start < range.end).then(|| self.slice(&range, bytes_max))
    }

    /// Notes that everything up to `index` was handed to the state machine, and trims the tail.
    ///
    /// Panics: if that goes back or beyond what is committed.
    pub fn applied_to(&mut self, index: Index, tail_bytes_max: usize) {
        assert!(self.applied_index <= index, "I10 what is applied never goes back");
        assert!(index <= self.commit_index, "I7 only what is committed is applied");
        self.applied_index = index;
        self.trim(tail_bytes_max);
    }

    /// Forgets what `index` and everything before it were: a durable snapshot has them. What
    /// is already forgotten stays so.
    ///
    /// Panics: if that is not applied and durable.
    pub fn compact_to(&mut self, index: Index) {
        if index <= self.base.index {
            return;
        }
        assert!(index <= self.applied_index, "only what is applied is in a snapshot");
        assert!(index <= self.durable_index, "the log on disk is cut where it ends at least");
        let term = self.term_at(index).expect("what is applied is in the log");
        self.base = EntryId { term, index };
        self.terms.retain(|start| index < start.index);
        self.membership.compacted_to(index);
        while self.tail.front().is_some_and(|run| run.last_index() <= index) {
            let run = self.tail.pop_front().expect("the front was just seen");
            self.tail_bytes -= run.bytes().len();
        }
    }

    /// Puts a snapshot that ends in `base` in the place of everything up to there. If the log
    /// holds that entry, what follows it stays; otherwise all of it is replaced. Returns
    /// whether it was replaced.
    ///
    /// Panics: if the log would forget what it has committed behind `base`.
    pub(crate) fn install(
        &mut self,
        base: EntryId,
        (made_at, configuration): (Index, Configuration),
    ) -> bool {
        let is_replaced = !self.holds(base);
        if is_replaced {
            assert!(self.commit_index < base.index, "I6 a committed entry never changes");
            self.epoch += 1;
            self.tail.clear();
            self.tail_bytes = 0;
            self.terms.clear();
            self.last = base;
            self.unwritten = base.index.next();
            self.durable_index = base.index;
            self.membership.truncated_from(Index::ZERO);
        }
        self.base = base;
        self.terms.retain(|start| base.index < start.index);
        self.durable_index = self.durable_index.max(base.index);
        self.unwritten = self.unwritten.max(base.index.next());
        self.commit_index = self.commit_index.max(base.index);
        self.applied_index = base.index;
        self.membership.begin_at(base.index, made_at, configuration);
        while self.tail.front().is_some_and(|run| run.last_index() <= base.index) {
            let run = self.tail.pop_front().expect("the front was just seen");
            self.tail_bytes -= run.bytes().len();
        }
        is_replaced
    }

    /// Forgets that what follows `last` was applied: the state machine was replaced by one that
    /// ends there.
    ///
    /// Panics: if the log does not hold that entry, or it is not committed.
    pub(crate) fn rewind_to(&mut self, last: EntryId) {
        assert!(
            self.holds(last) && last.index <= self.commit_index,
            "what is applied again is here"
        );
        self.applied_index = last.index;
    }

    /// Lets go of entries that are applied and on disk while the tail is longer than
    /// `tail_bytes_max`. Called after either happens, for the disk may be the slower one.
    pub fn trim(&mut self, tail_bytes_max: usize) {
        let safe = self.durable_index.min(self.applied_index);
        while tail_bytes_max < self.tail_bytes
            && self.tail.front().is_some_and(|run| run.last_index() <= safe)
        {
            let run = self.tail.pop_front().expect("the front was just seen");
            self.tail_bytes -= run.bytes().len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Draft, EntryKind, SessionStamp, Stamp};

    fn run(term: u64, first: u64, count: u64) -> Entries {
        let mut draft = Draft::default();
        for _ in 0..count {
            draft.push(EntryKind::Noop, &SessionStamp::default(), b"");
        }
        let (term, first) = (Term(term), Index(first));
        draft.stamp(&Stamp { term, first, log_time: 0, feature_level: 1, wall_time: 0, seed: 0 })
    }

    fn log(runs: &[(u64, u64, u64)]) -> RaftLog {
        let mut log = RaftLog::restore(EntryId::ZERO, vec![], vec![], Index::ZERO);
        log.begin_with(&Configuration::default());
        runs.iter().for_each(|&(term, first, count)| log.append(run(term, first, count)));
        log
    }

    fn id(term: u64, index: u64) -> EntryId {
        EntryId { term: Term(term), index: Index(index) }
    }

    fn terms_of(log: &RaftLog) -> Vec<u64> {
        (1..=log.last().index.0).map(|i| log.term_at(Index(i)).unwrap().0).collect()
    }

    #[test]
    fn a_repeated_or_shorter_append_removes_nothing() {
        let mut log = log(&[(1, 1, 3), (2, 4, 2)]);
        assert_eq!(log.merge(id(1, 1), vec![run(1, 2, 1)]), Index(2));
        assert_eq!(log.merge(EntryId::ZERO, vec![run(1, 1, 3), run(2, 4, 1)]), Index(4));
        assert_eq!(log.merge(id(1, 3), vec![]), Index(3));
        assert_eq!((terms_of(&log), log.epoch()), (vec![1, 1, 1, 2, 2], 0));
    }

    #[test]
    fn a_conflict_removes_the_rest_and_voids_older_completions() {
        let mut log = log(&[(1, 1, 3), (2, 4, 2)]);
        log.take_unwritten();
        assert_eq!(log.merge(id(1, 2), vec![run(3, 3, 1)]), Index(3));
        assert_eq!((terms_of(&log), log.epoch()), (vec![1, 1, 3], 1));
        log.persisted(0, Index(5));
        assert_eq!(log.durable_index(), Index::ZERO, "the completion was for other entries");
        assert_eq!(log.take_unwritten(), vec![run(3, 3, 1)]);
        log.persisted(1, Index(3));
        assert_eq!(log.durable_index(), Index(3));
    }

    #[test]
    fn the_search_for_a_match_skips_whole_terms() {
        let log = log(&[(1, 1, 3), (4, 4, 2), (6, 6, 2)]);
        assert_eq!(log.last_possible_match(id(5, 7)), id(4, 5));
        assert_eq!(log.last_possible_match(id(3, 5)), id(1, 3));
        assert_eq!(log.last_possible_match(id(9, 99)), id(6, 7));
        assert_eq!(log.last_possible_match(id(0, 2)), EntryId::ZERO);
    }

    #[test]
    fn a_log_of_earlier_terms_only_meets_this_one_before_its_base() {
        let mut log = log(&[(1, 1, 3), (4, 4, 3), (6, 7, 2)]);
        log.take_unwritten();
        log.persisted(0, Index(8));
        log.commit_to(Index(8));
        log.applied_to(Index(8), 0);
        log.compact_to(Index(5));
        assert_eq!(log.last_possible_match(id(4, 9)), id(4, 6));
        assert_eq!(log.last_possible_match(id(3, 9)), id(0, 4));
        assert_eq!(log.last_possible_match(id(3, 5)), id(0, 4));
        assert_eq!(log.last_possible_match(id(3, 2)), id(0, 2));
    }

    #[test]
    fn only_durable_and_applied_entries_leave_memory() {
        let mut log = log(&[(1, 1, 2), (1, 3, 2)]);
        log.take_unwritten();
        log.commit_to(Index(4));
        log.applied_to(Index(4), 0);
        assert_eq!(log.tail_first(), Index(1), "nothing is durable yet");
        log.persisted(0, Index(2));
        log.applied_to(Index(4), 0);
        assert_eq!(log.tail_first(), Index(3));
        assert_eq!(log.slice(&(Index(2)..Index(4)), 1000), Slice::OnDisk);
        assert_eq!(log.term_at(Index(1)), Some(Term(1)), "terms of old entries stay known");
        assert_eq!(log.slice(&(Index(3)..Index(5)), 1), Slice::InMemory(vec![run(1, 3, 1)]));
    }
}
