//! The loop that gives a target its inputs, and keeps what fails.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::mutate::{Numbers, mutated};

/// Inputs that reached something new, at most; the first ones stay.
const POOL_MAX: usize = 4_096;

/// The longest that one input may take: far above what any needs, and far below what an input
/// that asks for too much takes.
const INPUT_DEADLINE: Duration = Duration::from_secs(5);

/// How much of a failing input is shown. Units: bytes.
const SHOWN_BYTES_MAX: usize = 400;

/// What became of an input, in as many words as there are kinds of it: an input of a new kind
/// is one to go on from.
pub(super) type Reached = String;

/// A function over bytes with the inputs to begin with.
pub(super) struct Target {
    /// Also the folder of its inputs.
    pub(super) name: &'static str,
    /// Inputs to begin with beside those.
    pub(super) seeds: fn() -> Vec<Vec<u8>>,
    /// Panics if a property does not hold.
    pub(super) check: fn(&[u8], &mut Numbers) -> Reached,
    /// What inputs are made of.
    pub(super) words: &'static [&'static [u8]],
}

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}"))
    })
}

fn folder(target: &Target) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "corpus", target.name].iter().collect()
}

/// The kept inputs, in the order of their names.
fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = folder(target);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// Gives a target the kept inputs, and then others until its time is over.
pub(super) fn drive(target: &Target) {
    let seconds: f64 = setting("KVORUM_FUZZ_SECONDS", 1.0);
    let seed: u64 = setting("KVORUM_FUZZ_SEED", 1);
    let (mut pool, mut reached) = (Vec::new(), BTreeSet::new());
    for (path, input) in corpus(target) {
        let numbers = Numbers::new(seed);
        match check(target, &input, &numbers) {
            Ok(kind) => drop(reached.insert(kind)),
            Err(cause) => {
                eprintln!("the kept input {} fails", path.display());
                resume_unwind(cause);
            }
        }
        pool.push(input);
    }
    pool.extend((target.seeds)());
    assert!(!pool.is_empty(), "{} has no inputs to begin with", folder(target).display());
    let (begun, mut count) = (Instant::now(), 0_u64);
    let mut numbers = Numbers::new(seed);
    while begun.elapsed().as_secs_f64() < seconds {
        let input = mutated(&pool, target.words, &mut numbers);
        match check(target, &input, &numbers) {
            Ok(kind) => {
                if reached.insert(kind) && pool.len() < POOL_MAX {
                    pool.push(input);
                }
            }
            Err(cause) => {
                keep(target, &input);
                resume_unwind(cause);
            }
        }
        count += 1;
    }
    println!("{}: {count} inputs, {} kinds of outcome, seed {seed}", target.name, reached.len());
}

/// Whether the properties hold of an input.
fn check(
    target: &Target,
    input: &[u8],
    numbers: &Numbers,
) -> Result<Reached, Box<dyn std::any::Any + Send>> {
    let mut numbers = numbers.clone();
    let begun = Instant::now();
    let kind = catch_unwind(AssertUnwindSafe(|| (target.check)(input, &mut numbers)))?;
    let took = begun.elapsed();
    catch_unwind(|| assert!(took < INPUT_DEADLINE, "an input took {took:?}"))?;
    Ok(kind)
}

/// Writes a failing input where it is replayed.
fn keep(target: &Target, input: &[u8]) {
    let name = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    let path = folder(target).join(format!("failed-{name:016x}"));
    let kept = std::fs::write(&path, input)
        .map_or_else(|error| error.to_string(), |()| format!("kept in {}", path.display()));
    let name = target.name;
    eprintln!(
        "an input of {} bytes fails, {kept}; `cargo test -p raft-net --test fuzz {name}` replays \
         it: {}",
        input.len(),
        input[..input.len().min(SHOWN_BYTES_MAX)].escape_ascii()
    );
}
