//! What a comparison runs, in which order.
//!
//! The floor, pairs of puts, pairs of single clients, pairs of gets, leaders taken away, and
//! the floor again. The systems of a pair run directly after each other, never at once, so
//! that both meet the same state of the machine; every cluster begins with empty folders,
//! except for gets, which read what was written once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::cluster::{Cluster, Programs, System};
use super::fail_over::{self, Blow};
use super::load::{self, Load};
use super::machine::{CpuTicks, Machine};
use crate::error::BenchError;
use crate::etcd::load::Op;
use crate::measurement::Measurement;
use crate::probe::Gap;

/// The parts of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The floor, first and last.
    Floor,
    /// Puts of many clients.
    Put,
    /// Puts of one client.
    OneClient,
    /// Linearizable gets of many clients.
    Get,
    /// `kill -9` of the leader.
    Kill,
    /// `SIGSTOP` of the leader, Kvorum only.
    Stop,
}

/// What is to be run.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    /// Which parts.
    pub phases: BTreeSet<Phase>,
    /// How often each system runs each load.
    pub pairs: u64,
    /// How often each system loses its leader.
    pub fail_overs: u64,
    /// How long each load is measured. Units: seconds.
    pub seconds: u64,
    /// How long it runs before. Units: seconds.
    pub warm_up_seconds: u64,
    /// Connections of the large loads.
    pub connections: u64,
    /// Requests without an answer on each of them.
    pub in_flight: u64,
    /// Units: bytes.
    pub value_size: u64,
    /// How many different keys.
    pub keys: u64,
}

/// What both systems did under one load, in the order of the pairs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Pairs {
    /// Empty if etcd is not there.
    pub etcd: Vec<Measurement>,
    /// Ours.
    pub kvorum: Vec<Measurement>,
}

/// How long nobody could write, each time that a leader was taken away.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Gaps {
    /// Empty if etcd is not there.
    pub etcd: Vec<Gap>,
    /// Ours.
    pub kvorum: Vec<Gap>,
}

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Where.
    pub machine: Machine,
    /// What was asked for.
    pub settings: Settings,
    /// The floor under the large load, at the beginning and at the end.
    pub floor: Vec<Measurement>,
    /// The floor with one client.
    pub floor_one_client: Vec<Measurement>,
    /// Puts of many clients.
    pub put: Pairs,
    /// Puts of one client.
    pub one_client: Pairs,
    /// Gets of many clients.
    pub get: Pairs,
    /// `kill -9`.
    pub kill: Gaps,
    /// `SIGSTOP`.
    pub stop: Gaps,
    /// Which part of the machine's time other machines took, from 0 to 100.
    pub stolen_percent: f64,
}

/// A comparison under way.
struct Run<'a> {
    settings: &'a Settings,
    programs: &'a Programs,
    folder: &'a Path,
    systems: Vec<System>,
}

/// Runs everything, with data under `folder`, and says on standard error how far it is.
///
/// Errors: the first thing that goes wrong ends the run, and all processes with it.
pub async fn run(
    settings: &Settings,
    programs: &Programs,
    folder: &Path,
) -> Result<Comparison, BenchError> {
    let machine = Machine::describe(folder, programs).await;
    let ticks = CpuTicks::read();
    let mut result = Comparison {
        machine: machine.map_err(BenchError::io(format!("folder {}", folder.display())))?,
        settings: settings.clone(),
        floor: Vec::new(),
        floor_one_client: Vec::new(),
        put: Pairs::default(),
        one_client: Pairs::default(),
        get: Pairs::default(),
        kill: Gaps::default(),
        stop: Gaps::default(),
        stolen_percent: 0.0,
    };
    let mut systems = vec![System::Etcd, System::Kvorum];
    if programs.etcd.is_none() {
        eprintln!("etcd is not installed, only kvorum is measured (apt install etcd-server)");
        systems.remove(0);
    }
    let run = Run { settings, programs, folder, systems };
    run.floor(&mut result).await?;
    if run.has(Phase::Put) {
        result.put = run.pairs("put", &run.large(Op::Put)).await?;
    }
    if run.has(Phase::OneClient) {
        let one = Load { connections: 1, in_flight: 1, ..run.large(Op::Put) };
        result.one_client = run.pairs("put, one client", &one).await?;
    }
    if run.has(Phase::Get) {
        result.get = run.gets().await?;
    }
    if run.has(Phase::Kill) {
        result.kill = run.gaps(Blow::Kill, &run.systems).await?;
    }
    if run.has(Phase::Stop) {
        result.stop = run.gaps(Blow::Stop, &[System::Kvorum]).await?;
    }
    run.floor(&mut result).await?;
    result.stolen_percent = CpuTicks::read().stolen_percent_since(ticks);
    Ok(result)
}

impl Run<'_> {
    fn has(&self, phase: Phase) -> bool {
        self.settings.phases.contains(&phase)
    }

    fn large(&self, op: Op) -> Load {
        Load {
            op,
            connections: self.settings.connections,
            in_flight: self.settings.in_flight,
            value_size: self.settings.value_size,
            keys: self.settings.keys,
            warm_up: Duration::from_secs(self.settings.warm_up_seconds),
            measured: Duration::from_secs(self.settings.seconds),
        }
    }

    async fn floor(&self, result: &mut Comparison) -> Result<(), BenchError> {
        if !self.has(Phase::Floor) {
            return Ok(());
        }
        let large = self.large(Op::Put);
        let one = Load { connections: 1, in_flight: 1, ..large };
        result.floor.push(self.measure(System::Floor, "floor", &large).await?);
        result.floor_one_client.push(self.measure(System::Floor, "floor, one client", &one).await?);
        Ok(())
    }

    async fn pairs(&self, what: &str, load: &Load) -> Result<Pairs, BenchError> {
        let mut pairs = Pairs::default();
        for _ in 0..self.settings.pairs {
            for system in &self.systems {
                let measured = self.measure(*system, what, load).await?;
                pairs.of(*system).push(measured);
            }
        }
        Ok(pairs)
    }

    /// One load on a new cluster.
    async fn measure(
        &self,
        system: System,
        what: &str,
        load: &Load,
    ) -> Result<Measurement, BenchError> {
        let folder = self.fresh_folder(system)?;
        let mut cluster = Cluster::start(system, self.programs, &folder)?;
        let measured = load::run(system, self.programs, &mut cluster, load).await?;
        cluster.end().await?;
        remove(&folder)?;
        tell(system, what, &measured);
        Ok(measured)
    }

    /// Gets read what was written once: writing all keys takes etcd longer than reading them.
    async fn gets(&self) -> Result<Pairs, BenchError> {
        let load = self.large(Op::Get);
        let mut pairs = Pairs::default();
        for system in &self.systems {
            let folder = self.fresh_folder(*system)?;
            let mut cluster = Cluster::start(*system, self.programs, &folder)?;
            eprintln!("{system:?}: writing {} keys", load.keys);
            load::fill(*system, self.programs, &mut cluster, &load).await?;
            cluster.end().await?;
        }
        for _ in 0..self.settings.pairs {
            for system in &self.systems {
                let folder = self.folder_of(*system);
                let mut cluster = Cluster::start(*system, self.programs, &folder)?;
                let measured = load::run(*system, self.programs, &mut cluster, &load).await?;
                cluster.end().await?;
                tell(*system, "get", &measured);
                pairs.of(*system).push(measured);
            }
        }
        self.systems.iter().try_for_each(|system| remove(&self.folder_of(*system)))?;
        Ok(pairs)
    }

    async fn gaps(&self, blow: Blow, systems: &[System]) -> Result<Gaps, BenchError> {
        let mut gaps = Gaps::default();
        for system in systems {
            let folder = self.fresh_folder(*system)?;
            let rounds = self.settings.fail_overs;
            let found = fail_over::run(*system, self.programs, &folder, blow, rounds).await?;
            remove(&folder)?;
            let all: Vec<String> = found.iter().map(|gap| format!("{:.0}", gap.after_ms)).collect();
            eprintln!("{system:?}: {blow:?} of the leader, ms to a write: {}", all.join(" "));
            match system {
                System::Etcd => gaps.etcd = found,
                System::Kvorum => gaps.kvorum = found,
                System::Floor => {}
            }
        }
        Ok(gaps)
    }

    fn folder_of(&self, system: System) -> PathBuf {
        self.folder.join(format!("{system:?}").to_lowercase())
    }

    fn fresh_folder(&self, system: System) -> Result<PathBuf, BenchError> {
        let folder = self.folder_of(system);
        remove(&folder)?;
        Ok(folder)
    }
}

impl Pairs {
    fn of(&mut self, system: System) -> &mut Vec<Measurement> {
        if system == System::Etcd { &mut self.etcd } else { &mut self.kvorum }
    }
}

pub(super) fn remove(folder: &Path) -> Result<(), BenchError> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(BenchError::io(format!("folder {}", folder.display()))(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

pub(super) fn tell(system: System, what: &str, measured: &Measurement) {
    let cpu = measured.server_cpu_us_per_op.map_or("-".to_owned(), |us| format!("{us:.2}"));
    eprintln!(
        "{system:?}: {what}: {:.0} per second, p50 {:.0} us, p99 {:.0} us, server CPU {cpu} us, \
         {} errors, {} unknown",
        measured.ops_per_second,
        measured.p50_us,
        measured.p99_us,
        measured.errors,
        measured.unknown
    );
}
