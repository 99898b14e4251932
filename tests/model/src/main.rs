//! Checks a world to its end, or for so long.
//!
//! `model --world election` takes the bounds of a world that is known by name; every bound can
//! be given another value. `--seconds` cuts a check short and never calls it exhausted.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use model::bounds::{Bounds, WORLDS};
use model::check;

/// Looks at every state of a small cluster.
#[derive(Debug, Parser)]
struct Arguments {
    /// Which bounds to begin with; several worlds are checked one after the other.
    #[arg(long, default_value = "small")]
    world: Vec<String>,
    /// Ends the checks after so many seconds in all, exhausted or not.
    #[arg(long)]
    seconds: Option<u64>,
    #[command(flatten)]
    changes: Changes,
}

/// Bounds that differ from those of the world.
#[derive(Debug, clap::Args)]
struct Changes {
    #[arg(long)]
    nodes: Option<u64>,
    #[arg(long)]
    terms: Option<u64>,
    #[arg(long)]
    proposals: Option<u8>,
    #[arg(long)]
    looks: Option<u8>,
    #[arg(long)]
    crashes: Option<u8>,
    #[arg(long)]
    slow_writes: Option<u8>,
    #[arg(long)]
    timeouts: Option<u8>,
    #[arg(long)]
    doubts: Option<u8>,
    #[arg(long)]
    heartbeats: Option<u8>,
    #[arg(long)]
    quorum_checks: Option<u8>,
    #[arg(long)]
    duplicates: Option<u8>,
    #[arg(long)]
    in_flight: Option<usize>,
}

impl Changes {
    fn applied_to(&self, bounds: &Bounds) -> Bounds {
        Bounds {
            nodes: self.nodes.unwrap_or(bounds.nodes),
            learners: bounds.learners,
            start: bounds.start,
            changes: bounds.changes,
            appends_are_single: bounds.appends_are_single,
            looks: self.looks.unwrap_or(bounds.looks),
            terms: self.terms.unwrap_or(bounds.terms),
            proposals: self.proposals.unwrap_or(bounds.proposals),
            crashes: self.crashes.unwrap_or(bounds.crashes),
            slow_writes: self.slow_writes.unwrap_or(bounds.slow_writes),
            timeouts: self.timeouts.unwrap_or(bounds.timeouts),
            doubts: self.doubts.unwrap_or(bounds.doubts),
            heartbeats: self.heartbeats.unwrap_or(bounds.heartbeats),
            quorum_checks: self.quorum_checks.unwrap_or(bounds.quorum_checks),
            duplicates: self.duplicates.unwrap_or(bounds.duplicates),
            in_flight: self.in_flight.unwrap_or(bounds.in_flight),
        }
    }
}

fn main() -> ExitCode {
    let Arguments { world, seconds, changes } = Arguments::parse();
    let mut worlds = Vec::new();
    for wanted in &world {
        let Some((name, bounds)) = WORLDS.iter().find(|(name, _)| name == wanted) else {
            let names = WORLDS.map(|(name, _)| name).join(", ");
            eprintln!("there is no world {wanted:?}; there are {names}");
            return ExitCode::from(2);
        };
        worlds.push((name, changes.applied_to(bounds)));
    }
    let mut left = seconds.map(Duration::from_secs);
    let mut are_good = true;
    for (name, bounds) in worlds {
        println!("{name}: {bounds:?}");
        let found = check::run(&bounds, left, |states, unique, depth| {
            println!("{unique} states, {states} steps, depth {depth}");
        });
        println!("{found}");
        are_good &= found.is_good();
        left = left.map(|left| left.saturating_sub(found.took));
    }
    if are_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
