//! What leases cost while nobody renews them, and what renewals cost that come together.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::cluster::{Cluster, Programs, System};
use super::table::Spread;
use crate::error::BenchError;
use crate::native::NativeClient;
use crate::server_cpu;

/// How long an idle cluster is looked at.
const WINDOW: Duration = Duration::from_secs(20);

/// How long a cluster is left alone before that.
const REST: Duration = Duration::from_secs(3);

/// Clusters, each looked at before and after it was given leases.
const ROUNDS: usize = 3;

/// So long that none of them ends meanwhile. Units: milliseconds.
const TTL_MS: u64 = 3_600_000;

/// CPU of all nodes of idle clusters, and entries of the log for renewals.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Leases {
    /// How many leases there were.
    pub leases: u64,
    /// Without leases. Units: milliseconds of CPU for each second.
    pub without_ms_per_second: Vec<f64>,
    /// With leases. Units: milliseconds of CPU for each second.
    pub with_ms_per_second: Vec<f64>,
    /// Leases that were renewed for each entry of the log, all of them asked for one by one.
    pub renewals_per_entry: Vec<f64>,
    /// Renewals for each second.
    pub renewals_per_second: Vec<f64>,
}

/// Measures it on new clusters of three nodes with data under `folder`.
///
/// Errors: the first thing that goes wrong ends the run.
pub async fn run(programs: &Programs, folder: &Path, leases: u64) -> Result<Leases, BenchError> {
    let mut found = Leases { leases, ..Leases::default() };
    let told = || BenchError::io("the leader");
    for round in 0..ROUNDS {
        let folder = folder.join(format!("leases-{round}"));
        std::fs::create_dir_all(&folder)
            .map_err(BenchError::io(format!("folder {}", folder.display())))?;
        let mut cluster = Cluster::start(System::Kvorum, programs, &folder)?;
        let (leader, _) = cluster.leader().await?;
        let mut client = NativeClient::connect(cluster.address(leader)).await.map_err(told())?;
        found.without_ms_per_second.push(idle(&cluster).await?);
        let ids: Vec<u64> = (1..=leases).collect();
        client.grant_leases(&ids, TTL_MS).await.map_err(told())?;
        found.with_ms_per_second.push(idle(&cluster).await?);
        let before = client.status().await.map_err(told())?.last_index;
        let begun = crate::clock::now();
        client.renew_leases(&ids).await.map_err(told())?;
        let seconds = begun.elapsed().as_secs_f64();
        let entries = client.status().await.map_err(told())?.last_index - before;
        let (renewals, entries) = (count(leases), count(entries));
        found.renewals_per_entry.push(renewals / entries);
        found.renewals_per_second.push(renewals / seconds);
        cluster.end().await?;
        eprintln!("round {}: {found:?}", round + 1);
    }
    Ok(found)
}

/// The CPU of all nodes while nobody asks for anything. Units: milliseconds for each second.
async fn idle(cluster: &Cluster) -> Result<f64, BenchError> {
    tokio::time::sleep(REST).await;
    let told = || BenchError::io("the CPU time of the nodes");
    let before = server_cpu::used_ns(&cluster.pids()).map_err(told())?;
    let begun = crate::clock::now();
    tokio::time::sleep(WINDOW).await;
    let used_ns = server_cpu::used_ns(&cluster.pids()).map_err(told())? - before;
    Ok(count(used_ns) / 1e6 / begun.elapsed().as_secs_f64())
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn count(number: u64) -> f64 {
    number as f64
}

impl Leases {
    /// The figures with their bound, as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let spread = |figures: &[f64]| {
            Spread::of(figures).unwrap_or(Spread { median: f64::NAN, min: f64::NAN, max: f64::NAN })
        };
        let (with, without) =
            (spread(&self.with_ms_per_second), spread(&self.without_ms_per_second));
        let verdict = if with.median <= without.max { "yes" } else { "no" };
        let figures = |it: &Spread| format!("{:.2} ({:.2} to {:.2})", it.median, it.min, it.max);
        format!(
            "| what | measured | accepted | |\n|---|---|---|---|\n\
             | CPU of three idle nodes without leases, ms for each second | {} | - | |\n\
             | the same with {} leases | {} | median within the figures without | {verdict} |\n\
             | leases renewed for each entry of the log | {:.0} | - | |\n\
             | renewals for each second, each a request | {:.0} | - | |\n",
            figures(&without),
            self.leases,
            figures(&with),
            spread(&self.renewals_per_entry).median,
            spread(&self.renewals_per_second).median,
        )
    }
}
