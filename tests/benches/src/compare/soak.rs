//! A long time at full load, and whether the leader kept its place.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::cluster::{Cluster, Programs, System};
use super::load::{self, Load};
use super::plan::tell;
use crate::error::BenchError;
use crate::measurement::Measurement;

/// The load is run in parts of this length, so that progress shows.
const PART: Duration = Duration::from_secs(30);

/// With less space than this on the disk the soak ends early: the logs of a fast cluster grow.
const DISK_BYTES_MIN: u64 = 6 << 30;

/// What a soak found.
#[derive(Clone, Debug, Serialize)]
pub struct Soak {
    /// What each part measured.
    pub parts: Vec<Measurement>,
    /// Who led before the load.
    pub before: Leadership,
    /// Who led after it.
    pub after: Leadership,
    /// Why it ended before its time, if it did.
    pub ended_early: Option<String>,
    /// Warnings and errors in the nodes' logs, at most [`LINES_MAX`].
    pub complaints: Vec<String>,
}

/// Who leads a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Leadership {
    /// The term in which all nodes are.
    pub term: u64,
    /// The leader's id.
    pub leader: u64,
}

/// How many lines of the nodes' logs are shown.
pub const LINES_MAX: usize = 20;

impl Soak {
    /// Whether no election took place: every election that anybody could win raises the term.
    #[must_use]
    pub fn leader_kept(&self) -> bool {
        self.before == self.after
    }
}

/// Puts `load`, whose own duration is not used, on a new cluster for `duration`.
///
/// Errors: if a node ended, or there is no leader afterwards.
pub async fn run(
    programs: &Programs,
    folder: &Path,
    load: &Load,
    duration: Duration,
) -> Result<Soak, BenchError> {
    let mut cluster = Cluster::start(System::Kvorum, programs, folder)?;
    let before = leadership(&mut cluster).await?;
    let (mut parts, mut left, mut ended_early) = (Vec::new(), duration, None);
    while !left.is_zero() && ended_early.is_none() {
        let part = Load { warm_up: Duration::ZERO, measured: left.min(PART), ..*load };
        let measured = load::run(System::Kvorum, programs, &mut cluster, &part).await?;
        tell(System::Kvorum, "soak", &measured);
        parts.push(measured);
        left -= part.measured;
        let free = free_bytes(folder)?;
        if free < DISK_BYTES_MIN && !left.is_zero() {
            let text = format!("only {} MB are left on the disk", free >> 20);
            eprintln!("{text}, ending {} s early", left.as_secs());
            ended_early = Some(text);
        }
    }
    let after = leadership(&mut cluster).await?;
    cluster.end().await?;
    Ok(Soak { parts, before, after, ended_early, complaints: complaints(folder) })
}

async fn leadership(cluster: &mut Cluster) -> Result<Leadership, BenchError> {
    let (_, view) = cluster.leader().await?;
    Ok(Leadership { term: view.term, leader: view.id })
}

fn free_bytes(folder: &Path) -> Result<u64, BenchError> {
    let disk = rustix::fs::statvfs(folder)
        .map_err(|error| BenchError::io(format!("folder {}", folder.display()))(error.into()))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn complaints(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let logs =
        files.map(|file| file.path()).filter(|path| path.extension() == Some("log".as_ref()));
    let texts = logs.filter_map(|path| std::fs::read_to_string(path).ok());
    let lines = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    let complains = |line: &String| line.contains("WARN") || line.contains("ERROR");
    lines.filter(complains).take(LINES_MAX).collect()
}
