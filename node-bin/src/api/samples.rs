//! How many requests there are, and how long they take.
//!
//! One command and one query are timed at a time: that costs the others a comparison each, and
//! shows how long all of them take.

use raft_core::replica::event::{Answer, Ticket};

use crate::clock::Clock;
use crate::monitor::latencies::{Latencies, Summary};

/// Requests of one kind.
#[derive(Debug, Default)]
pub(super) struct Samples {
    count: u64,
    /// The one that is timed, and when it set out. Units: microseconds.
    timed: Option<(Ticket, u64)>,
    times: Latencies,
}

impl Samples {
    /// Notes that so many set out, of which `first` is one.
    pub(super) fn begin(&mut self, clock: Clock, first: Option<Ticket>, count: usize) {
        self.count += u64::try_from(count).unwrap_or(0);
        if self.timed.is_none() {
            self.timed = first.map(|ticket| (ticket, clock.now().0));
        }
    }

    /// Notes the one that is timed, if it is among these answers.
    pub(super) fn end(&mut self, clock: Clock, answers: &[Answer]) {
        let Some((ticket, began_us)) = self.timed else { return };
        if answers.iter().any(|answer| answer.ticket == ticket) {
            let now_us = clock.now().0;
            self.times.record(now_us, now_us.saturating_sub(began_us));
            self.timed = None;
        }
    }

    /// How many there were since the start.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// How long they took.
    pub(super) fn summary(&mut self, clock: Clock) -> Summary {
        self.times.summary(clock.now().0)
    }
}
