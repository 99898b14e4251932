//! Runs one seed of the simulator and prints all that happens in it.
//!
//! `sim --seed N` prints the trace; `sim --seeds A..B` runs a range and prints its failures,
//! or only the first one with `--first`.

use std::process::ExitCode;

use sim::simulator::{attempt_printing, run_all};

const USAGE: &str = "usage: sim --seed N | sim --seeds A..B [--first]";

/// After so many failures the rest says nothing new.
const FAILURES_MAX: usize = 50;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["--seed", seed] => match seed.parse() {
            Ok(seed) => one(seed),
            Err(_) => usage(),
        },
        ["--seeds", range] => many(range, FAILURES_MAX),
        ["--seeds", range, "--first"] => many(range, 1),
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
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

fn many(range: &str, failures_max: usize) -> ExitCode {
    let ends = range.split_once("..").map(|(start, end)| (start.parse(), end.parse()));
    let Some((Ok(start), Ok(end))) = ends else { return usage() };
    let total = run_all(start..end, failures_max);
    println!("{}", total.counts);
    for failure in &total.failures {
        println!("{failure}\n");
    }
    let (good, recovery_us) = (total.good, total.recovery_us_max);
    println!("{good} seeds went well, {} did not", total.failures.len());
    println!("the slowest recovery took {recovery_us} us of virtual time");
    if total.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
