//! Seeds of the simulator as tests.
//!
//! `KVORUM_SEEDS=5000` runs the seeds from 0 to 5,000, `KVORUM_SEEDS=7000..9000` a range.

use std::fs;
use std::ops::Range;
use std::path::Path;

use sim::simulator::{Total, attempt, run_all};

/// So many that they can be judged together.
const SEEDS: Range<u64> = 0..200;

/// So many that every kind of event is among them.
const EVERY_KIND: u64 = 1_000;

/// Seeds that are run twice.
const TWICE: Range<u64> = 0..20;

/// After so many failures the rest says nothing new.
const FAILURES_MAX: usize = 10;

fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("KVORUM_SEEDS") else { return SEEDS };
    let number = |text: &str| text.trim().parse().expect("KVORUM_SEEDS is n or a..b");
    match text.split_once("..") {
        Some((start, end)) => number(start)..number(end),
        None => 0..number(&text),
    }
}

fn assert_good(total: &Total) {
    let failures: Vec<String> = total.failures.iter().map(ToString::to_string).collect();
    assert!(
        failures.is_empty(),
        "{} of {} seeds failed; `cargo run -p sim --bin sim -- --seed N` shows what happened\n\n{}",
        failures.len(),
        total.good + failures.len() as u64,
        failures.join("\n\n")
    );
}

/// A simulator in which nothing happens is green, too.
fn assert_not_vacuous(total: &Total) {
    let complaints = total.evidence.complaints();
    assert!(complaints.is_empty(), "{}\n{}", complaints.join("\n"), total.evidence);
    if total.good < EVERY_KIND {
        return;
    }
    for (name, count) in total.counts.list() {
        assert!(0 < count, "in {} seeds there were no {name}\n{}", total.good, total.counts);
    }
}

#[test]
fn a_cluster_survives_everything_it_promises_to_survive() {
    let total = run_all(seeds(), FAILURES_MAX);
    assert_good(&total);
    assert_not_vacuous(&total);
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in TWICE {
        let first = attempt(seed).expect("the other test has the details");
        let second = attempt(seed).expect("the other test has the details");
        assert_eq!(first.trace_hash, second.trace_hash, "seed {seed} depends on something else");
        assert_eq!(first.counts, second.counts, "seed {seed} depends on something else");
    }
}

#[test]
fn different_seeds_are_different_runs() {
    let first = attempt(TWICE.start).expect("the other test has the details");
    let second = attempt(TWICE.start + 1).expect("the other test has the details");
    assert_ne!(first.trace_hash, second.trace_hash);
}

/// Each line: a seed, the date when it failed, and the story in a few words.
#[test]
fn seeds_that_have_failed_before_are_good() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../seeds/regressions.txt");
    let text = fs::read_to_string(path).expect("the file of regressions is there");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut total = Total::default();
    for line in lines {
        let seed = line.split_whitespace().next().and_then(|word| word.parse().ok());
        let seed: u64 = seed.expect("a line begins with a seed");
        let one = run_all(seed..seed + 1, FAILURES_MAX);
        total.good += one.good;
        total.failures.extend(one.failures);
    }
    assert!(0 < total.good + total.failures.len() as u64, "there are regressions");
    assert_good(&total);
}
