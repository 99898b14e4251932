//! What compaction costs whoever puts meanwhile.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::cluster::{Cluster, Launch, Programs, System};
use super::load::{self, Load};
use super::plan::tell;
use super::table::Spread;
use crate::error::BenchError;
use crate::native::NativeClient;

/// How many revisions a compaction hides, at least.
const REVISIONS: u64 = 1_000_000;

/// How long each load is that is measured.
const SLICE: Duration = Duration::from_millis(500);

/// Slices on each side of a compaction. A put forgets two changes, so that those behind it are
/// within the time that forgetting a million takes at 300,000 puts per second.
const SLICES: usize = 3;

/// Compactions.
const ROUNDS: usize = 8;

/// So much log that no snapshot disturbs. Units: bytes.
const SNAPSHOT_LOG_BYTES: &str = "1000000000000";

/// Puts in slices of half a second, before and behind compactions.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Compaction {
    /// How many revisions each compaction hid.
    pub revisions: Vec<u64>,
    /// The 99th percentile of each slice behind a compaction. Units: microseconds.
    pub with_p99_us: Vec<f64>,
    /// Of each slice before one.
    pub without_p99_us: Vec<f64>,
    /// Puts for each second behind a compaction.
    pub with_per_second: Vec<f64>,
    /// Before one.
    pub without_per_second: Vec<f64>,
}

/// Measures it with data under `folder`; of `load`, which writes, neither the warm-up nor the
/// duration is used.
///
/// Errors: the first thing that goes wrong ends the run.
pub async fn run(
    programs: &Programs,
    folder: &Path,
    load: &Load,
) -> Result<Compaction, BenchError> {
    let flags = vec!["--snapshot-log-bytes".to_owned(), SNAPSHOT_LOG_BYTES.to_owned()];
    let launch = Launch { flags, ..Launch::default() };
    let mut cluster = Cluster::launch(System::Kvorum, programs, folder, &launch)?;
    let (leader, _) = cluster.leader().await?;
    let told = || BenchError::io("the leader");
    let mut client = NativeClient::connect(cluster.address(leader)).await.map_err(told())?;
    let load = Load { warm_up: Duration::ZERO, ..*load };
    let fill = Load { measured: Duration::from_secs(2), ..load };
    let slice = Load { measured: SLICE, ..load };
    let (mut found, mut compacted) = (Compaction::default(), 0);
    for _ in 0..ROUNDS {
        let mut revision = 0;
        while revision < compacted + REVISIONS {
            let measured = load::run(System::Kvorum, programs, &mut cluster, &fill).await?;
            tell(System::Kvorum, "fill", &measured);
            revision = client.status().await.map_err(told())?.revision;
        }
        for _ in 0..SLICES {
            let measured = load::run(System::Kvorum, programs, &mut cluster, &slice).await?;
            found.without_p99_us.push(measured.p99_us);
            found.without_per_second.push(measured.ops_per_second);
        }
        let revision = client.status().await.map_err(told())?.revision;
        client.compact(revision).await.map_err(told())?;
        for _ in 0..SLICES {
            let measured = load::run(System::Kvorum, programs, &mut cluster, &slice).await?;
            found.with_p99_us.push(measured.p99_us);
            found.with_per_second.push(measured.ops_per_second);
        }
        found.revisions.push(revision - compacted);
        compacted = revision;
    }
    cluster.end().await?;
    Ok(found)
}

impl Compaction {
    /// The figures with their bound, as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let median = |figures: &[f64]| Spread::of(figures).map_or(f64::NAN, |spread| spread.median);
        let (with, without) = (median(&self.with_p99_us), median(&self.without_p99_us));
        let (rate, rate_without) =
            (median(&self.with_per_second), median(&self.without_per_second));
        let (ratio, least) = (with / without, self.revisions.iter().min().unwrap_or(&0));
        let (slices, rounds) = (self.with_p99_us.len(), self.revisions.len());
        let verdict = if ratio <= 1.25 { "yes" } else { "no" };
        format!(
            "| what | measured | accepted | |\n|---|---|---|---|\n\
             | p99 of puts behind a compaction of {least} revisions or more, to p99 before it | \
             {ratio:.2} ({with:.0} and {without:.0} us, {slices} slices each of {rounds} \
             compactions; {rate:.0} and {rate_without:.0} puts per second) | at most 1.25 | \
             {verdict} |\n"
        )
    }
}
