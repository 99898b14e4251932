//! How long things took lately, and since the node started.

use hdrhistogram::Histogram;

/// How far the numbers of "lately" go back at least; at most twice as far. Units: microseconds.
const WINDOW_US: u64 = 30_000_000;

/// The longest time that is told apart. Units: microseconds.
const LONGEST_US: u64 = 60_000_000;

/// Times of one kind. One recorded costs a few nanoseconds; there is no clock in here.
#[derive(Clone, Debug)]
pub(crate) struct Latencies {
    newer: Histogram<u32>,
    older: Histogram<u32>,
    turned_at_us: u64,
    count: u64,
    sum_us: u64,
}

/// What the times come to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    /// How many there were since the start.
    pub(crate) count: u64,
    /// Their sum. Units: microseconds.
    pub(crate) sum_us: u64,
    /// Half of those of the last half minute or so were no longer.
    pub(crate) p50_us: u64,
    /// 99 of 100 of them.
    pub(crate) p99_us: u64,
    /// All of them.
    pub(crate) max_us: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        let new =
            || Histogram::new_with_bounds(1, LONGEST_US, 2).expect("the bounds suit a histogram");
        Self { newer: new(), older: new(), turned_at_us: 0, count: 0, sum_us: 0 }
    }
}

impl Latencies {
    /// Notes that something took so long.
    pub(crate) fn record(&mut self, now_us: u64, took_us: u64) {
        self.turn(now_us);
        self.newer.saturating_record(took_us.max(1));
        self.count += 1;
        self.sum_us += took_us;
    }

    /// What they come to now.
    pub(crate) fn summary(&mut self, now_us: u64) -> Summary {
        self.turn(now_us);
        let mut lately = self.newer.clone();
        // They have the same bounds.
        let _ = lately.add(&self.older);
        let quantile = |q: f64| if lately.is_empty() { 0 } else { lately.value_at_quantile(q) };
        Summary {
            count: self.count,
            sum_us: self.sum_us,
            p50_us: quantile(0.5),
            p99_us: quantile(0.99),
            max_us: lately.max(),
        }
    }

    fn turn(&mut self, now_us: u64) {
        let since_us = now_us.saturating_sub(self.turned_at_us);
        if since_us < WINDOW_US {
            return;
        }
        std::mem::swap(&mut self.newer, &mut self.older);
        self.newer.reset();
        if 2 * WINDOW_US <= since_us {
            self.older.reset();
        }
        self.turned_at_us = now_us;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_times_are_counted_and_no_longer_shown() {
        let mut latencies = Latencies::default();
        for took_us in 1..=100 {
            latencies.record(0, took_us * 10);
        }
        let summary = latencies.summary(0);
        assert!((490..=510).contains(&summary.p50_us), "{summary:?}");
        assert!((980..=1_010).contains(&summary.p99_us), "{summary:?}");
        assert_eq!((summary.count, summary.sum_us), (100, 50_500));
        latencies.record(WINDOW_US, 7);
        assert!(summary.p50_us <= latencies.summary(WINDOW_US).p50_us, "the older half is there");
        latencies.record(2 * WINDOW_US, 7);
        let later = latencies.summary(2 * WINDOW_US);
        assert_eq!((later.p50_us, later.max_us, later.count), (7, 7, 102));
        assert_eq!(latencies.summary(9 * WINDOW_US).max_us, 0, "nothing was done lately");
    }

    #[test]
    fn what_takes_for_ever_is_counted_too() {
        let mut latencies = Latencies::default();
        latencies.record(0, u64::MAX / 2);
        latencies.record(0, 0);
        let summary = latencies.summary(0);
        assert_eq!(summary.count, 2);
        assert!(LONGEST_US <= summary.max_us);
    }
}
