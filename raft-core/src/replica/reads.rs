//! Queries that clients of this node wait for.
//!
//! The queries of one turn share one read index. A follower's question to the leader, or the
//! answer, may be lost; it is then asked again under another context.

use crate::replica::event::{Query, Refusal, Ticket};
use crate::teeth::is_removed;
use crate::types::{Index, Time};

#[derive(Debug)]
struct Batch {
    /// `None` while there is nobody to ask.
    context: Option<u64>,
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
            self.batches.push(Batch { context: None, asked_at: now, index: None, queries });
        }
        for batch in &mut self.batches {
            let is_lost = batch.context.is_some() && batch.asked_at < before;
            if batch.index.is_none() && (batch.context.is_none() || is_lost) {
                batch.context = ask();
                batch.asked_at = now;
            }
        }
    }

    /// Forgets every unanswered question: it went to a leader that is none any more.
    pub(crate) fn leader_changed(&mut self) {
        for batch in self.batches.iter_mut().filter(|batch| batch.index.is_none()) {
            batch.context = None;
        }
    }

    /// Notes that the reads under `context` may be answered at `index`.
    pub(crate) fn confirm(&mut self, context: u64, index: Index) {
        for batch in &mut self.batches {
            if batch.context == Some(context) || is_removed("reads-know-their-question") {
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
