//! Runs seeds of the simulator: one with all that happens in it, or many with a report.
//!
//! `sim --seed N` prints the trace of a seed. `sim --seeds A..B` runs a range on all cores and
//! reports what it was worth and what failed; with `--first` it ends at the first failure, with
//! `--minutes M` when the time is over, and `A..` goes on for ever. `--hashes` prints nothing but
//! the trace hash of each seed, to be compared with those of another build.

mod clock;
mod progress;

use std::ops::Range;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use sim::simulator::{Total, attempt_printing, run_all_watched};

use crate::progress::Display;

const USAGE: &str = "\
usage: sim --seed N
       sim --seeds A..[B] [--first] [--minutes M]
       sim --seeds A..B --hashes";

/// After so many failures the rest says nothing new.
const FAILURES_MAX: usize = 50;

/// What the program is to do.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wishes {
    seed: Option<u64>,
    seeds: Option<Range<u64>>,
    stops_at_first: bool,
    minutes: Option<u64>,
    wants_hashes: bool,
}

fn main() -> ExitCode {
    let wishes = wishes(std::env::args().skip(1));
    match wishes {
        Some(Wishes { seed: Some(seed), seeds: None, .. }) => one(seed),
        Some(Wishes { seed: None, seeds: Some(seeds), wants_hashes: true, .. }) => hashes(seeds),
        Some(Wishes { seed: None, seeds: Some(seeds), stops_at_first, minutes, .. }) => {
            let ends = minutes.map(|minutes| clock::now() + Duration::from_secs(60 * minutes));
            let failures_max = if stops_at_first { 1 } else { FAILURES_MAX };
            report(&run(seeds, failures_max, ends), stops_at_first)
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Reads the arguments; `None` if they make no sense.
fn wishes(mut arguments: impl Iterator<Item = String>) -> Option<Wishes> {
    let mut wishes = Wishes::default();
    while let Some(name) = arguments.next() {
        match name.as_str() {
            "--seed" => wishes.seed = Some(arguments.next()?.parse().ok()?),
            "--seeds" => wishes.seeds = Some(range(&arguments.next()?)?),
            "--first" => wishes.stops_at_first = true,
            "--minutes" => wishes.minutes = Some(arguments.next()?.parse().ok()?),
            "--hashes" => wishes.wants_hashes = true,
            _ => return None,
        }
    }
    Some(wishes)
}

fn range(text: &str) -> Option<Range<u64>> {
    let (start, end) = text.split_once("..")?;
    let end = if end.is_empty() { u64::MAX } else { end.parse().ok()? };
    Some(start.parse().ok()?..end)
}

fn one(seed: u64) -> ExitCode {
    match attempt_printing(seed, |line| println!("{line}")) {
        Ok(report) => {
            println!("{}", report.counts);
            println!("seed {seed} went well, trace hash {:016x}", report.trace_hash);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(seeds: Range<u64>, failures_max: usize, ends: Option<Instant>) -> Total {
    let mut display = Display::new(ends);
    let total = run_all_watched(seeds, failures_max, |progress| display.show(progress));
    display.clear();
    total
}

fn hashes(seeds: Range<u64>) -> ExitCode {
    let total = run(seeds, FAILURES_MAX, None);
    total.trace_hashes.iter().for_each(|(seed, hash)| println!("{seed} {hash:016x}"));
    total.failures.iter().for_each(|failure| eprintln!("{failure}"));
    if total.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Who looks for the first failure does not ask what the others are worth.
fn report(total: &Total, stops_at_first: bool) -> ExitCode {
    println!("{}\n\n{}", total.counts, total.evidence);
    let complaints = total.evidence.complaints();
    complaints.iter().for_each(|complaint| println!("{complaint}"));
    total.failures.iter().for_each(|failure| println!("{failure}\n"));
    let (good, recovery_us) = (total.good, total.recovery_us_max);
    println!("{good} seeds went well, {} did not", total.failures.len());
    println!("the slowest recovery took {recovery_us} us of virtual time");
    let is_good = total.failures.is_empty() && (stops_at_first || complaints.is_empty());
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
