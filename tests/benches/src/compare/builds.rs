//! Two builds of Kvorum beside each other: pairs of loads in turn, and the instructions that a
//! put takes.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::cluster::{Cluster, Launch, Programs, System};
use super::load::{self, Load};
use super::plan::tell;
use super::table::Spread;
use crate::error::BenchError;
use crate::measurement::{Measurement, float};

/// How long a node bears a load under valgrind; the first second fills its caches.
const COUNTED: Duration = Duration::from_secs(20);

/// So few keys that the store is as large from the beginning of a load as at its end.
const COUNTED_KEYS: u64 = 1_000;

/// What two builds did under the same loads.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Comparison {
    /// The build that was named.
    pub before: Side,
    /// The present one.
    pub after: Side,
}

/// One build.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Side {
    /// Puts on three nodes, in the order of the pairs.
    pub puts: Vec<Measurement>,
    /// Instructions of one node for one put, each time that they were counted.
    pub instructions: Vec<f64>,
}

/// Runs `pairs` pairs of `load`, and counts instructions `counts` times.
///
/// Errors: the first thing that goes wrong ends the run.
pub async fn run(
    (before, after): (&Programs, &Programs),
    folder: &Path,
    load: &Load,
    (pairs, counts): (u64, u64),
) -> Result<Comparison, BenchError> {
    let mut comparison = Comparison::default();
    for _ in 0..pairs {
        for (name, programs, side) in
            [("before", before, &mut comparison.before), ("after", after, &mut comparison.after)]
        {
            let folder = fresh(folder, name)?;
            let mut cluster = Cluster::start(System::Kvorum, programs, &folder)?;
            let measured = load::run(System::Kvorum, programs, &mut cluster, load).await?;
            cluster.end().await?;
            tell(System::Kvorum, name, &measured);
            side.puts.push(measured);
        }
    }
    for _ in 0..counts {
        for (name, programs, side) in
            [("before", before, &mut comparison.before), ("after", after, &mut comparison.after)]
        {
            let counted = count(programs, &fresh(folder, name)?, load).await?;
            eprintln!("{name}: {counted:.0} instructions for each put");
            side.instructions.push(counted);
        }
    }
    Ok(comparison)
}

fn fresh(folder: &Path, name: &str) -> Result<std::path::PathBuf, BenchError> {
    let folder = folder.join(name);
    super::plan::remove(&folder)?;
    Ok(folder)
}

/// The instructions of one node for one put: those of a run with a load, less those of a run
/// without one.
async fn count(programs: &Programs, folder: &Path, load: &Load) -> Result<f64, BenchError> {
    let idle = counted_run(programs, &folder.join("idle"), None).await?.0;
    let load = Load { measured: COUNTED, warm_up: Duration::ZERO, keys: COUNTED_KEYS, ..*load };
    let (busy, operations) = counted_run(programs, &folder.join("busy"), Some(&load)).await?;
    Ok((busy - idle) / operations.max(1.0))
}

/// Runs a node under callgrind; returns its instructions and the puts that it answered.
async fn counted_run(
    programs: &Programs,
    folder: &Path,
    load: Option<&Load>,
) -> Result<(f64, f64), BenchError> {
    let output = folder.join("instructions");
    let mut file = OsString::from("--callgrind-out-file=");
    file.push(&output);
    let under = vec!["valgrind".into(), "--tool=callgrind".into(), file];
    let launch = Launch { nodes: 1, under, ..Launch::default() };
    let mut cluster = Cluster::launch(System::Kvorum, programs, folder, &launch)?;
    cluster.leader().await?;
    let mut operations = 0.0;
    if let Some(load) = load {
        let measured = load::run(System::Kvorum, programs, &mut cluster, load).await?;
        operations = float(measured.operations);
    }
    cluster.end().await?;
    let told = std::fs::read_to_string(&output)
        .map_err(BenchError::io(format!("file {}", output.display())))?;
    let total = total_of(&told).ok_or_else(|| BenchError::NotAMeasurement {
        program: "valgrind".to_owned(),
        text: "its file has no total".to_owned(),
    })?;
    Ok((total, operations))
}

/// The number behind `totals:` in what callgrind wrote.
fn total_of(told: &str) -> Option<f64> {
    told.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}

impl Comparison {
    /// The figures with their bounds, as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let per_second = |side: &Side| -> Vec<f64> {
            side.puts.iter().map(|measured| measured.ops_per_second).collect()
        };
        let cpu = |side: &Side| -> Vec<f64> {
            side.puts.iter().filter_map(|measured| measured.server_cpu_us_per_op).collect()
        };
        let mut text = "| what | after to before, median (lowest to highest) | accepted | |\n\
             |---|---|---|---|\n"
            .to_owned();
        let (after, before) = (per_second(&self.after), per_second(&self.before));
        push(&mut text, "puts per second", (&after, &before), ("at least 0.95", |r| 0.95 <= r));
        let (after, before) = (cpu(&self.after), cpu(&self.before));
        push(&mut text, "server CPU for each put", (&after, &before), ("-", |_| true));
        let (after, before) = (&self.after.instructions, &self.before.instructions);
        let bound: (&str, fn(f64) -> bool) = ("at most 1.03", |r| r <= 1.03);
        push(&mut text, "instructions for each put", (after, before), bound);
        text
    }
}

/// Adds the ratios of one figure to a table, unless there are none.
pub(super) fn push(
    text: &mut String,
    what: &str,
    (after, before): (&[f64], &[f64]),
    (bound, is_met): (&str, fn(f64) -> bool),
) {
    let Some(Spread { median, min, max }) = Spread::of_ratios(after, before) else { return };
    let verdict = if is_met(median) { "yes" } else { "no" };
    let line = format!("| {what} | {median:.3} ({min:.3} to {max:.3}) | {bound} | {verdict} |\n");
    text.push_str(&line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_neighbours_and_have_bounds() {
        let told = "version: 1\nevents: Ir\n\nfn=(1) main\n1 5\n\ntotals: 123456\n";
        assert_eq!(total_of(told), Some(123_456.0));
        assert_eq!(total_of("version: 1\n"), None);
        let side =
            |instructions: &[f64]| Side { puts: Vec::new(), instructions: instructions.to_vec() };
        let comparison = Comparison { before: side(&[100.0, 200.0]), after: side(&[104.0, 208.0]) };
        let line = "| instructions for each put | 1.040 (1.040 to 1.040) | at most 1.03 | no |\n";
        assert!(comparison.markdown().ends_with(line), "{}", comparison.markdown());
    }
}
