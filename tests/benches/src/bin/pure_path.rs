//! `pure-path`: puts or reads of a cluster in one thread, for callgrind to count.

use std::process::ExitCode;

use benches::replicas::{Probe, REQUESTS, Replicas, Side, Unwatched};
use clap::{Parser, ValueEnum};

/// What the parts of a node that know no socket, disk or actor do for one operation.
///
/// Under callgrind, what `leader` and `follower` take, divided by the operations that are
/// printed (two followers share the second figure).
#[derive(Debug, Parser)]
#[command(name = "pure-path", version)]
struct Arguments {
    /// What is asked for
    #[arg(long, value_enum, default_value = "put")]
    op: Kind,
    /// Rounds of a thousand requests
    #[arg(long, value_name = "N", default_value = "50")]
    rounds: u64,
    /// Rounds before that which are not counted
    #[arg(long, value_name = "N", default_value = "20")]
    warm_up: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// Puts
    Put,
    /// Linearizable reads
    Get,
}

/// Gives each side a function of its own, by whose name callgrind counts it.
#[derive(Debug)]
struct Named;

impl Probe for Named {
    fn run(&mut self, side: Side, work: &mut dyn FnMut()) {
        match side {
            Side::Leader => leader(work),
            Side::Follower => follower(work),
        }
    }
}

#[inline(never)]
fn leader(work: &mut dyn FnMut()) {
    work();
    std::hint::black_box(Side::Leader);
}

#[inline(never)]
fn follower(work: &mut dyn FnMut()) {
    work();
    std::hint::black_box(Side::Follower);
}

fn main() -> ExitCode {
    let Arguments { op, rounds, warm_up } = Arguments::parse();
    let mut replicas = Replicas::founded();
    // Reads find keys, and puts find versions.
    (0..warm_up).for_each(|_| replicas.put(&mut Unwatched));
    for _ in 0..rounds {
        match op {
            Kind::Put => replicas.put(&mut Named),
            Kind::Get => replicas.get(&mut Named),
        }
    }
    println!("{} operations", rounds * REQUESTS);
    ExitCode::SUCCESS
}
