//! Queries that clients of this node wait for.
//!
//! The queries of one turn share one read index. A follower's question to the leader, or the
//! answer, may be lost; it is then asked again under another context. It may also be on a longer
//! way than anybody waits: an answer to an earlier question is as good.

use crate::replica::event::{Query, Refusal, Ticket};
use crate::teeth::is_removed;
use crate::types::{Index, Time};

/// How many questions of a batch an answer may still be to; older ones are forgotten.
const QUESTIONS_MAX: usize = 64;

#[derive(Debug)]
struct Batch {
    /// The context of each question that this leader was asked, the newest one last; empty while
    /// there is nobody to ask.
    contexts: Vec<u64>,
    asked_at: Time,
    /// Known once the read is confirmed.
    index: Option<Index>,
    queries: Vec<(Query, Time)>,
}

/// All queries that somebody waits for.
#[derive(Debug, Default)]
pub(crate) struct QueuedReads {
    fresh: Vec<(Query, Time)>,
    batches: Vec<Batch>,
}

impl QueuedReads {
    /// Adds a query.
    pub(crate) fn add(&mut self, now: Time, query: Query) {
        let deadline = now.after(query.timeout_us);
        self.fresh.push((query, deadline));
    }

    /// Asks for an index for what came in this turn, and again for what was asked before
    /// `before` without an answer. `ask` makes a context, or `None` if there is no leader.
    pub(crate) fn ask(&mut self, now: Time, before: Time, mut ask: impl FnMut() -> Option<u64>) {
        if !self.fresh.is_empty() {
            let queries = std::mem::take(&mut self.fresh);
            self.batches.push(Batch { contexts: Vec::new(), asked_at: now, index: None, queries });
        }
        for batch in &mut self.batches {
            let is_lost = batch.asked_at < before;
            if batch.index.is_none() && (batch.contexts.is_empty() || is_lost) {
                if batch.contexts.len() == QUESTIONS_MAX {
                    batch.contexts.remove(0);
                }
                batch.contexts.extend(ask());
                batch.asked_at = now;
            }
        }
    }

    /// Forgets every unanswered question: it went to a leader that is none any more.
    pub(crate) fn leader_changed(&mut self) {
        for batch in self.batches.iter_mut().filter(|batch| batch.index.is_none()) {
            batch.contexts.clear();
        }
    }

    /// Notes that the reads under `context` may be answered at `index`.
    pub(crate) fn confirm(&mut self, context: u64, index: Index) {
        for batch in &mut self.batches {
            if batch.contexts.contains(&context) || is_removed("reads-know-their-question") {
                batch.index = Some(index);
            }
        }
    }

    /// Answers what has its index and is applied.
    pub(crate) fn answer(&mut self, applied_index: Index, mut each: impl FnMut(&Query)) {
        self.batches.retain(|batch| {
            let is_due = batch.index.is_some_and(|index| {
                index <= applied_index || is_removed("reads-wait-for-their-index")
            });
            if is_due {
                batch.queries.iter().for_each(|(query, _)| each(query));
            }
            !is_due || is_removed("reads-are-answered-once")
        });
    }

    /// Refuses what has waited too long; a read that was not answered did nothing.
    pub(crate) fn expire(&mut self, now: Time, mut each: impl FnMut(Ticket, Refusal)) {
        for batch in &mut self.batches {
            batch.queries.retain(|(query, deadline)| {
                if now < *deadline || is_removed("reads-expire") {
                    return true;
                }
                each(query.ticket, Refusal::NoLeader);
                false
            });
        }
        self.batches.retain(|batch| !batch.queries.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const SECOND: u64 = 1_000_000;

    fn asked(reads: &mut QueuedReads, now: u64, context: u64) -> bool {
        let (mut was_asked, now) = (false, Time(now));
        let before = Time(now.0.saturating_sub(SECOND));
        reads.ask(now, before, || {
            was_asked = true;
            Some(context)
        });
        was_asked
    }

    fn answers(reads: &mut QueuedReads) -> usize {
        let mut count = 0;
        reads.answer(Index(9), |_| count += 1);
        count
    }

    fn one_query() -> QueuedReads {
        let mut reads = QueuedReads::default();
        let ticket = Ticket { connection: 1, request: 1 };
        reads.add(Time(0), Query { ticket, body: Bytes::new(), timeout_us: 500 * SECOND });
        reads
    }

    #[test]
    fn an_answer_that_is_long_on_its_way_is_an_answer() {
        let mut reads = one_query();
        assert!(asked(&mut reads, 0, 1));
        assert!(!asked(&mut reads, SECOND / 2, 2), "the first question may still be answered");
        assert!(asked(&mut reads, 2 * SECOND, 3));
        reads.confirm(2, Index(9));
        assert_eq!(answers(&mut reads), 0, "nobody asked that");
        reads.confirm(1, Index(9));
        assert_eq!(answers(&mut reads), 1);
    }

    #[test]
    fn what_an_earlier_leader_was_asked_is_forgotten_and_so_is_the_oldest_of_too_many() {
        let mut reads = one_query();
        assert!(asked(&mut reads, 0, 1));
        reads.leader_changed();
        reads.confirm(1, Index(9));
        assert_eq!(answers(&mut reads), 0);
        for question in 0..=QUESTIONS_MAX as u64 {
            assert!(asked(&mut reads, (question + 1) * 2 * SECOND, 100 + question));
        }
        reads.confirm(100, Index(9));
        assert_eq!(answers(&mut reads), 0, "too old");
        reads.confirm(101, Index(9));
        assert_eq!(answers(&mut reads), 1);
    }
}
