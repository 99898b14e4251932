//! Seeds, one or many, and what became of them.

use std::cell::RefCell;
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{fmt, thread};

use crate::simulator::evidence::Evidence;
use crate::simulator::report::{Counts, Report};
use crate::simulator::world::World;

/// How often somebody who watches is told how far a batch is.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// A run in which something was wrong.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed that shows it again.
    pub seed: u64,
    /// What was wrong, and where in the code it was noticed.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: {}", self.seed, self.message)
    }
}

/// What became of many seeds.
#[derive(Clone, Debug, Default)]
pub struct Total {
    /// How many runs went well.
    pub good: u64,
    /// The others, by seed.
    pub failures: Vec<Failure>,
    /// What the good ones consisted of.
    pub counts: Counts,
    /// What the good ones are worth together.
    pub evidence: Evidence,
    /// The trace hash of each good one, by seed.
    pub trace_hashes: Vec<(u64, u64)>,
    /// The longest recovery after the end of all faults. Units: microseconds, virtual.
    pub recovery_us_max: u64,
}

/// Runs one seed.
///
/// Errors: `Failure` if anything was wrong; the same seed shows it again.
pub fn attempt(seed: u64) -> Result<Report, Failure> {
    caught(seed, None)
}

/// Runs one seed and gives every line of its trace to `print`.
///
/// Errors: as [`attempt`].
pub fn attempt_printing(seed: u64, print: fn(&str)) -> Result<Report, Failure> {
    caught(seed, Some(print))
}

/// How far a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How many runs are over.
    pub done: u64,
    /// How many there are.
    pub of: u64,
    /// How many failed.
    pub failed: u64,
}

/// Runs seeds on as many threads as the machine has cores, and stops beginning new ones after
/// `failures_max` failures.
#[must_use]
pub fn run_all(seeds: Range<u64>, failures_max: usize) -> Total {
    run_all_watched(seeds, failures_max, |_| true)
}

/// As [`run_all`]; tells `watch` several times a second how far it is, and begins no new seeds
/// when that returns `false`.
#[must_use]
pub fn run_all_watched(
    seeds: Range<u64>,
    failures_max: usize,
    mut watch: impl FnMut(&Progress) -> bool,
) -> Total {
    let (next, end) = (AtomicU64::new(seeds.start), AtomicU64::new(seeds.end));
    let (done, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let work = || {
        let mut total = Total::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if end.load(Ordering::Relaxed) <= seed {
                return total;
            }
            match attempt(seed) {
                Ok(report) => total.add(&report),
                Err(failure) => {
                    total.failures.push(failure);
                    if failures_max as u64 <= 1 + failed.fetch_add(1, Ordering::Relaxed) {
                        end.store(0, Ordering::Relaxed);
                    }
                }
            }
            done.fetch_add(1, Ordering::Relaxed);
        }
    };
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut all = Total::default();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        while !workers.iter().all(thread::ScopedJoinHandle::is_finished) {
            thread::park_timeout(WATCH_INTERVAL);
            let of = seeds.end - seeds.start;
            let (done, failed) = (done.load(Ordering::Relaxed), failed.load(Ordering::Relaxed));
            if !watch(&Progress { done, of, failed }) {
                end.store(0, Ordering::Relaxed);
            }
        }
        for worker in workers {
            all.merge(worker.join().expect("every failure was caught"));
        }
    });
    all.failures.sort_by_key(|failure| failure.seed);
    all.trace_hashes.sort_unstable();
    all
}

impl Total {
    fn add(&mut self, report: &Report) {
        self.good += 1;
        self.trace_hashes.push((report.seed, report.trace_hash));
        self.counts.add(&report.counts);
        self.evidence.add(report);
        self.recovery_us_max = self.recovery_us_max.max(report.recovery_us);
    }

    fn merge(&mut self, other: Self) {
        self.good += other.good;
        self.failures.extend(other.failures);
        self.trace_hashes.extend(other.trace_hashes);
        self.counts.add(&other.counts);
        self.evidence.merge(&other.evidence);
        self.recovery_us_max = self.recovery_us_max.max(other.recovery_us_max);
    }
}

thread_local! {
    /// What the panic of a run on this thread said, while one is under way.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Lets panics of runs be reported by their run, and all others as ever.
fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let is_run = SAID.with_borrow_mut(|said| match said {
                Some(said) => {
                    *said = info.to_string();
                    true
                }
                None => false,
            });
            if !is_run {
                others(info);
            }
        }));
    });
}

fn caught(seed: u64, print: Option<fn(&str)>) -> Result<Report, Failure> {
    listen();
    SAID.set(Some(String::new()));
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| World::new(seed, print).run(seed)));
    let message = SAID.take().unwrap_or_default();
    outcome.map_err(|_| Failure { seed, message })
}
