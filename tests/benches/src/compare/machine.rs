//! Where a run took place: figures mean nothing without it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::cluster::Programs;
use super::process::bare;
use crate::clock;
use crate::latencies::Latencies;

/// How many syncs are timed, and how many bytes each writes before: a small log record.
const SYNCS: u64 = 200;
const SYNC_BYTES: usize = 512;

/// The machine and the programs.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// How many threads can run at once.
    pub processors: usize,
    /// Units: megabytes.
    pub memory_mb: u64,
    /// The kernel's version.
    pub kernel: String,
    /// What a lone write and sync of 512 bytes into a zero-filled file takes, half of the time.
    /// Units: microseconds.
    pub sync_p50_us: u64,
    /// The first line of `etcd --version`.
    pub etcd: Option<String>,
    /// The first line of `kvorum --version`.
    pub kvorum: String,
}

/// CPU time that the machine gave away so far, in ticks: to be compared later.
#[derive(Clone, Copy, Debug)]
pub struct CpuTicks {
    total: u64,
    stolen: u64,
}

impl Machine {
    /// Looks at the machine; the disk is that of `folder`.
    ///
    /// Errors: if nothing can be written there.
    pub async fn describe(folder: &Path, programs: &Programs) -> io::Result<Self> {
        let etcd = match &programs.etcd {
            Some(path) => Some(version(path).await),
            None => None,
        };
        Ok(Self {
            processor: field("/proc/cpuinfo", "model name"),
            processors: std::thread::available_parallelism().map_or(1, Into::into),
            memory_mb: field("/proc/meminfo", "MemTotal")
                .split(' ')
                .next()
                .and_then(|kilobytes| kilobytes.parse::<u64>().ok())
                .map_or(0, |kilobytes| kilobytes / 1024),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .map(|text| text.trim().to_owned())
                .unwrap_or_default(),
            sync_p50_us: sync_p50_us(folder)?,
            etcd,
            kvorum: version(&programs.kvorum).await,
        })
    }
}

impl CpuTicks {
    /// Reads them.
    #[must_use]
    pub fn read() -> Self {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        let line = text.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = line.split_whitespace().flat_map(str::parse).collect();
        // user nice system idle iowait irq softirq steal; guest time is part of user.
        let total = ticks.iter().take(8).sum();
        Self { total, stolen: ticks.get(7).copied().unwrap_or(0) }
    }

    /// Which part of the machine's time other machines took since, from 0 to 100.
    #[must_use]
    pub fn stolen_percent_since(self, before: Self) -> f64 {
        use crate::measurement::float;
        let total = float(self.total.saturating_sub(before.total)).max(1.0);
        100.0 * float(self.stolen.saturating_sub(before.stolen)) / total
    }
}

async fn version(path: &std::path::PathBuf) -> String {
    let output = bare(path).arg("--version").output();
    let output = tokio::time::timeout(Duration::from_secs(10), output).await;
    let text = output.ok().and_then(Result::ok).map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next().unwrap_or("unknown").to_owned()
}

/// The value behind `name :` in a file of the system.
fn field(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let found = lines.filter(|(left, _)| left.trim() == name).map(|(_, right)| right.trim());
    found.map(str::to_owned).next().unwrap_or_else(|| "unknown".to_owned())
}

fn sync_p50_us(folder: &Path) -> io::Result<u64> {
    let path = folder.join("sync-probe");
    let file = File::create(&path)?;
    let end = SYNCS * u64::try_from(SYNC_BYTES).expect("a length fits 64 bits");
    file.write_all_at(&vec![0; usize::try_from(end).map_err(io::Error::other)?], 0)?;
    file.sync_all()?;
    let mut latencies = Latencies::default();
    for position in (0..end).step_by(SYNC_BYTES) {
        let began = clock::now();
        file.write_all_at(&[b'x'; SYNC_BYTES], position)?;
        file.sync_data()?;
        latencies.record(clock::micros(clock::now() - began));
    }
    fs::remove_file(path)?;
    Ok(latencies.quantile_us(500))
}
