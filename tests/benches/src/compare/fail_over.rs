//! Taking leaders away, and how long nobody could write.

use std::time::Duration;

use rustix::process::Signal;

use super::cluster::{Cluster, PATIENCE, Programs, System};
use crate::clock;
use crate::error::BenchError;
use crate::keys::Random;
use crate::probe::{Gap, Probe};

/// How many writes a probe does before the leader is taken away, over all endpoints.
const SETTLED_WRITES: u64 = 50;

/// The leader is taken away at a random moment of this many milliseconds, so that heartbeats
/// are met in every phase.
const JITTER_MS: u64 = 200;

/// How a leader is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// `kill -9`: the process dies and its connections end.
    Kill,
    /// `SIGSTOP`: it is silent and its connections stay, as when a machine hangs or a network
    /// is cut.
    Stop,
}

/// Takes the leader away `rounds` times, each time until another leads and the old one is back
/// and has caught up. The cluster bears no load but the probe's.
///
/// Errors: if nobody leads again, or the old leader does not come back.
pub async fn run(
    system: System,
    programs: &Programs,
    folder: &std::path::Path,
    blow: Blow,
    rounds: u64,
) -> Result<Vec<Gap>, BenchError> {
    let mut cluster = Cluster::start(system, programs, folder)?;
    let mut random = Random::new(rounds);
    let mut gaps = Vec::new();
    for _ in 0..rounds {
        gaps.push(strike(&mut cluster, blow, random.below(JITTER_MS)).await?);
    }
    cluster.end().await?;
    Ok(gaps)
}

async fn strike(cluster: &mut Cluster, blow: Blow, jitter_ms: u64) -> Result<Gap, BenchError> {
    let (place, _) = cluster.leader().await?;
    let mut probe = Probe::start(cluster.protocol(), &cluster.addresses())?;
    probe.settle(SETTLED_WRITES, PATIENCE).await?;
    tokio::time::sleep(Duration::from_millis(jitter_ms)).await;
    let signal = match blow {
        Blow::Kill => Signal::KILL,
        Blow::Stop => Signal::STOP,
    };
    cluster.signal(place, signal)?;
    // Taken after the signal: an attempt that begins later cannot have met the old leader.
    let gap = probe.after(clock::now(), PATIENCE).await?;
    drop(probe);
    match blow {
        Blow::Kill => cluster.restart(place).await?,
        Blow::Stop => cluster.signal(place, Signal::CONT)?,
    }
    cluster.caught_up(place).await?;
    Ok(gap)
}
