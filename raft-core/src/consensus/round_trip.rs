//! How long a heartbeat takes to a follower and back, as its leader sees it.
//!
//! Answers to heartbeats do not say to which, and come in their order, so they are counted. Most
//! heartbeats are sent where nobody knows the time; of the others one at a time is measured.

use crate::types::Time;

/// An answer that takes longer was lost, and counting begins anew; so it does if for so long
/// never all were answered, because some may have been lost of those that nobody measured.
/// Units: microseconds.
const PATIENCE_US: u64 = 5_000_000;

/// The heartbeats that a follower has not answered, and how long the last one took that was
/// measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct RoundTrip {
    unanswered: u64,
    /// Since when, about, there are such.
    unanswered_since: Option<Time>,
    measured: Option<Measured>,
    /// Units: microseconds.
    pub(super) last_us: Option<u64>,
}

#[derive(Clone, Debug)]
struct Measured {
    sent_at: Time,
    /// As many answers come before its own, which is counted too.
    answers_left: u64,
}

impl RoundTrip {
    /// Notes that a heartbeat was sent; `now` where that is known.
    pub(super) fn sent(&mut self, now: Option<Time>) {
        let is_long = |since: Time| now.is_some_and(|now| PATIENCE_US < now.since(since));
        if self.unanswered_since.is_some_and(is_long) {
            self.restart();
        }
        self.unanswered_since = self.unanswered_since.or(now);
        self.unanswered += 1;
        if let Some(sent_at) = now.filter(|_| self.measured.is_none()) {
            self.measured = Some(Measured { sent_at, answers_left: self.unanswered });
        }
    }

    /// Notes that one was answered.
    pub(super) fn answered(&mut self, now: Time) {
        self.unanswered = self.unanswered.saturating_sub(1);
        if self.unanswered == 0 {
            self.unanswered_since = None;
        }
        let Some(measured) = &mut self.measured else { return };
        measured.answers_left -= 1;
        if measured.answers_left == 0 {
            self.last_us = Some(now.since(measured.sent_at));
            self.measured = None;
        }
    }

    /// Forgets what is under way: there is another connection.
    pub(super) fn restart(&mut self) {
        (self.unanswered, self.unanswered_since, self.measured) = (0, None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_the_heartbeat_that_is_measured_counts_and_no_other() {
        let mut it = RoundTrip::default();
        it.sent(None);
        it.sent(Some(Time(100)));
        it.sent(Some(Time(200)));
        it.answered(Time(250));
        assert_eq!(it.last_us, None, "that was the one before");
        it.answered(Time(400));
        assert_eq!(it.last_us, Some(300));
        // The next one that is measured waits for the answer that is still to come.
        it.sent(Some(Time(500)));
        it.answered(Time(510));
        assert_eq!(it.last_us, Some(300));
        it.answered(Time(590));
        assert_eq!(it.last_us, Some(90));
    }

    #[test]
    fn what_was_lost_in_a_cut_does_not_make_later_ones_long() {
        let mut it = RoundTrip::default();
        for at in 0..10 {
            it.sent(Some(Time(at)));
        }
        // From here on every one is answered after 10, and the next is sent before.
        let mut now = 100;
        while now < 100 + 2 * PATIENCE_US {
            it.sent(Some(Time(now)));
            it.answered(Time(now + 10));
            now += 50_000;
        }
        assert_eq!(it.last_us, Some(10));
    }

    #[test]
    fn an_answer_that_was_lost_is_not_waited_for() {
        let mut it = RoundTrip::default();
        it.sent(Some(Time(0)));
        it.sent(Some(Time(PATIENCE_US)));
        it.answered(Time(PATIENCE_US + 1));
        assert_eq!(it.last_us, Some(PATIENCE_US + 1), "late, as far as anybody knows");
        it.sent(Some(Time(PATIENCE_US + 2)));
        it.sent(Some(Time(2 * PATIENCE_US + 3)));
        it.answered(Time(2 * PATIENCE_US + 8));
        assert_eq!(it.last_us, Some(5));
        // Of another connection nothing is awaited.
        it.sent(None);
        it.restart();
        it.sent(Some(Time(3 * PATIENCE_US)));
        it.answered(Time(3 * PATIENCE_US + 7));
        assert_eq!(it.last_us, Some(7));
    }
}
