//! Adds up what the connections measured.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::{Report, ratio};

/// Batches on their way to the tally; when it is full, connections keep theirs a little longer.
pub(super) const BATCHES_MAX: usize = 4_096;

/// Operations in a batch, after which it is sent.
pub(super) const SAMPLES_PER_BATCH: usize = 512;

/// The longest latency that is told apart from longer ones. Units: microseconds.
const LATENCY_US_MAX: u64 = 3_600_000_000;

/// Latencies are kept to this many digits.
const DIGITS: u8 = 3;

/// One operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// When it was answered, since the start. Units: milliseconds.
    pub(super) at_ms: u32,
    /// How long it took. Units: microseconds.
    pub(super) latency_us: u32,
}

impl Sample {
    /// Of an operation that took `latency`, answered `at` so long after the start.
    pub(super) fn new(at: Duration, latency: Duration) -> Self {
        Self {
            at_ms: u32::try_from(at.as_millis()).unwrap_or(u32::MAX),
            latency_us: u32::try_from(latency.as_micros()).unwrap_or(u32::MAX),
        }
    }
}

/// What one connection measured since it last told.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) samples: Vec<Sample>,
    pub(super) errors: u64,
    pub(super) unknown: u64,
}

impl Batch {
    /// Whether there is nothing to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.errors == 0 && self.unknown == 0
    }
}

/// The sum.
#[derive(Debug)]
pub(super) struct Tally {
    latencies: Histogram<u64>,
    /// In which milliseconds an operation was answered.
    answered: Vec<bool>,
    errors: u64,
    unknown: u64,
}

impl Tally {
    pub(super) fn new(duration: Duration) -> Self {
        let milliseconds = usize::try_from(duration.as_millis()).expect("an hour at most");
        Self {
            latencies: Histogram::new_with_bounds(1, LATENCY_US_MAX, DIGITS)
                .expect("the bounds are in order"),
            answered: vec![false; milliseconds + 1],
            errors: 0,
            unknown: 0,
        }
    }

    pub(super) fn add(&mut self, batch: &Batch) {
        for sample in &batch.samples {
            self.latencies.saturating_record(u64::from(sample.latency_us).max(1));
            let at = usize::try_from(sample.at_ms).expect("an hour of milliseconds fits");
            if let Some(place) = self.answered.get_mut(at) {
                *place = true;
            }
        }
        self.errors += batch.errors;
        self.unknown += batch.unknown;
    }

    pub(super) fn operations(&self) -> u64 {
        self.latencies.len()
    }

    pub(super) fn errors(&self) -> u64 {
        self.errors
    }

    pub(super) fn report(&self, duration: Duration, server_cpu_us: Option<u64>) -> Report {
        let operations = self.operations();
        Report {
            seconds: duration.as_secs_f64(),
            operations,
            errors: self.errors,
            unknown: self.unknown,
            p50_us: self.latencies.value_at_quantile(0.5),
            p99_us: self.latencies.value_at_quantile(0.99),
            p99_9_us: self.latencies.value_at_quantile(0.999),
            max_us: self.latencies.max(),
            longest_gap: self.longest_gap(),
            server_cpu_us_per_op: server_cpu_us
                .filter(|_| 0 < operations)
                .map(|micros| ratio(micros, ratio(operations, 1.0))),
        }
    }

    fn longest_gap(&self) -> Duration {
        let gaps = self.answered.split(|answered| *answered);
        let longest = gaps.map(<[bool]>::len).max().unwrap_or(0);
        Duration::from_millis(u64::try_from(longest).expect("an hour at most"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_adds_up() {
        let mut tally = Tally::new(Duration::from_secs(2));
        let sample = |at_ms, latency_us| Sample { at_ms, latency_us };
        let samples = (0..1_000).map(|at| sample(at, at + 1)).collect();
        tally.add(&Batch { samples, errors: 2, unknown: 0 });
        tally.add(&Batch { samples: vec![sample(1_900, 0)], errors: 0, unknown: 1 });
        let report = tally.report(Duration::from_secs(2), Some(5_005));
        assert_eq!((report.operations, report.errors, report.unknown), (1_001, 2, 1));
        assert_eq!((report.p50_us, report.p99_us, report.max_us), (500, 990, 1_000));
        assert!((report.ops_per_second() - 500.5).abs() < 1e-9);
        assert_eq!(report.server_cpu_us_per_op, Some(5.0));
        assert_eq!(report.longest_gap, Duration::from_millis(900));
    }

    #[test]
    fn nothing_measured_is_reported_too() {
        let report = Tally::new(Duration::from_millis(10)).report(Duration::from_millis(10), None);
        assert_eq!((report.operations, report.max_us), (0, 0));
        assert_eq!(report.server_cpu_us_per_op, None);
        assert_eq!(report.longest_gap, Duration::from_millis(11));
    }
}
