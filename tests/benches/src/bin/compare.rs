//! `compare`: Kvorum beside etcd and beside the floor, in one run on one machine.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use benches::compare::cluster::Programs;
use benches::compare::doors::{self, Others};
use benches::compare::load::Load;
use benches::compare::plan::{self, Phase, Settings};
use benches::compare::{builds, compaction, dashboards, leases, snapshots, soak, table};
use benches::error::BenchError;
use benches::etcd::load::Op;
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

/// Exit code after Ctrl-C or a request to end.
const INTERRUPTED: u8 = 130;

/// A run that takes longer than this hangs somewhere.
const RUN_PATIENCE: Duration = Duration::from_secs(2 * 60 * 60);

/// Compares Kvorum with etcd and with what the machine can do at most.
///
/// Starts three nodes of each in turn, on free ports and with empty folders, and ends all that
/// it started, whatever happens. Prints a table, and writes it and all figures into --dir.
#[derive(Debug, Parser)]
#[command(name = "compare", version)]
struct Arguments {
    #[command(subcommand)]
    mode: Option<Mode>,
    #[command(flatten)]
    shared: Shared,
    /// Only these parts
    #[arg(long, value_enum, value_name = "PART,...", value_delimiter = ',')]
    only: Vec<Phase>,
    /// How often each system runs each load
    #[arg(long, value_name = "N", default_value = "5")]
    pairs: u64,
    /// How often each system loses its leader
    #[arg(long, value_name = "N", default_value = "10")]
    fail_overs: u64,
    /// How long each load is measured
    #[arg(long, value_name = "SECONDS", default_value = "5")]
    seconds: u64,
    /// How long it runs before it is measured
    #[arg(long, value_name = "SECONDS", default_value = "1")]
    warm_up_seconds: u64,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Puts full load on Kvorum for a long time; fails if an election took place
    Soak {
        /// For how long
        #[arg(long, value_name = "MINUTES", default_value = "10")]
        minutes: u64,
    },
    /// Measures what compaction costs whoever puts meanwhile
    Compaction,
    /// Measures what many leases cost while nobody renews them, and their renewals
    Leases {
        /// How many
        #[arg(long, value_name = "N", default_value = "100000")]
        leases: u64,
    },
    /// Measures what open dashboards cost a busy cluster
    Dashboards {
        /// How many are open
        #[arg(long, value_name = "N", default_value = "10")]
        pages: u64,
        /// How often the load runs without and then with them
        #[arg(long, value_name = "N", default_value = "10")]
        pairs: u64,
    },
    /// Measures the doors for clients of etcd and Redis beside those, and beside no store
    Doors {
        /// How often each server runs each load
        #[arg(long, value_name = "N", default_value = "3")]
        rounds: u64,
        /// [default: found on PATH]
        #[arg(long, value_name = "FILE")]
        redis: Option<PathBuf>,
    },
    /// Measures what snapshots cost and how quick they are
    Snapshots,
    /// Compares with another build: puts in pairs, instructions of a put under valgrind
    Builds {
        /// The other `kvorum`
        #[arg(long, value_name = "FILE")]
        before: PathBuf,
        /// How often each build runs the load
        #[arg(long, value_name = "N", default_value = "10")]
        pairs: u64,
        /// How often the instructions of each are counted
        #[arg(long, value_name = "N", default_value = "3")]
        counts: u64,
    },
}

#[derive(Debug, Args)]
struct Shared {
    /// Where data and results go; the disk that is measured [default: bench beside the folder
    /// of this program]
    #[arg(long, value_name = "FOLDER", global = true)]
    dir: Option<PathBuf>,
    /// [default: beside this program]
    #[arg(long, value_name = "FILE", global = true)]
    kvorum: Option<PathBuf>,
    /// [default: beside this program]
    #[arg(long, value_name = "FILE", global = true)]
    kvctl: Option<PathBuf>,
    /// [default: found on PATH]
    #[arg(long, value_name = "FILE", global = true)]
    etcd: Option<PathBuf>,
    /// Connections of the large loads
    #[arg(long, value_name = "N", default_value = "100", global = true)]
    connections: u64,
    /// Requests without an answer on each of them
    #[arg(long, value_name = "N", default_value = "10", global = true)]
    in_flight: u64,
    /// The length of a value
    #[arg(long, value_name = "BYTES", default_value = "256", global = true)]
    value_size: u64,
    /// How many different keys
    #[arg(long, value_name = "N", default_value = "100000", global = true)]
    keys: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime
        .map_err(BenchError::io("the program's thread"))
        .and_then(|runtime| runtime.block_on(until_interrupted(&arguments)));
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

/// Runs until it is done or somebody asks for the end; either way the processes go with it.
async fn until_interrupted(arguments: &Arguments) -> Result<ExitCode, BenchError> {
    let told = || BenchError::io("waiting for signals");
    let mut interrupt = signal(SignalKind::interrupt()).map_err(told())?;
    let mut terminate = signal(SignalKind::terminate()).map_err(told())?;
    tokio::select! {
        result = tokio::time::timeout(RUN_PATIENCE, run(arguments)) => result.map_err(|_| {
            BenchError::Deadline { what: "the end of the run".to_owned(), waited: RUN_PATIENCE }
        })?,
        _ = interrupt.recv() => Ok(ExitCode::from(INTERRUPTED)),
        _ = terminate.recv() => Ok(ExitCode::from(INTERRUPTED)),
    }
}

async fn run(arguments: &Arguments) -> Result<ExitCode, BenchError> {
    let home = home()?;
    let programs = programs(&arguments.shared, &home)?;
    let beside = home.parent().unwrap_or(&home).join("bench");
    let results = arguments.shared.dir.clone().unwrap_or(beside);
    let data = Data(results.join(format!("data-{}", std::process::id())));
    std::fs::create_dir_all(&data.0)
        .map_err(BenchError::io(format!("folder {}", data.0.display())))?;
    let result = match &arguments.mode {
        None => compare(arguments, &programs, &data.0, &results).await,
        Some(Mode::Soak { minutes }) => {
            let duration = Duration::from_secs(60 * minutes);
            soak(&arguments.shared, &programs, &data.0, duration).await
        }
        Some(Mode::Compaction) => {
            let found = compaction::run(&programs, &data.0, &puts(&arguments.shared)).await;
            found.and_then(|found| tell(&results, "compaction", (&found.markdown(), &found)))
        }
        Some(Mode::Leases { leases }) => {
            let found = leases::run(&programs, &data.0, *leases).await;
            found.and_then(|found| tell(&results, "leases", (&found.markdown(), &found)))
        }
        Some(Mode::Dashboards { pages, pairs }) => {
            let load = Load { measured: Duration::from_secs(5), ..puts(&arguments.shared) };
            let found = dashboards::run(&programs, &data.0, &load, (*pages, *pairs)).await;
            found.and_then(|found| tell(&results, "dashboards", (&found.markdown(), &found)))
        }
        Some(Mode::Doors { rounds, redis }) => {
            let others = Others {
                redis: redis.clone().or_else(|| found_on_path("redis-server")),
                no_op: beside_this(&None, &home, "no-op")?,
            };
            let load = Load { measured: Duration::from_secs(5), ..puts(&arguments.shared) };
            let found = doors::run((&programs, &others), &data.0, &load, *rounds).await;
            found.and_then(|found| tell(&results, "doors", (&found.markdown(), &found)))
        }
        Some(Mode::Snapshots) => snapshots(&arguments.shared, &programs, &data.0, &results).await,
        Some(Mode::Builds { before, pairs, counts }) => {
            let before = Programs { kvorum: before.clone(), ..programs.clone() };
            let load = Load { measured: Duration::from_secs(5), ..puts(&arguments.shared) };
            let both = (&before, &programs);
            let found = builds::run(both, &data.0, &load, (*pairs, *counts)).await;
            found.and_then(|found| tell(&results, "builds", (&found.markdown(), &found)))
        }
    };
    if result.is_err() {
        eprintln!("the nodes' logs and data are kept in {}", data.0.display());
        data.keep();
    }
    result
}

async fn compare(
    arguments: &Arguments,
    programs: &Programs,
    data: &Path,
    results: &Path,
) -> Result<ExitCode, BenchError> {
    use clap::ValueEnum as _;
    let all = Phase::value_variants().iter().copied();
    let only = &arguments.only;
    let settings = Settings {
        phases: all.filter(|phase| only.is_empty() || only.contains(phase)).collect(),
        pairs: arguments.pairs,
        fail_overs: arguments.fail_overs,
        seconds: arguments.seconds.max(1),
        warm_up_seconds: arguments.warm_up_seconds,
        connections: arguments.shared.connections,
        in_flight: arguments.shared.in_flight,
        value_size: arguments.shared.value_size,
        keys: arguments.shared.keys,
    };
    let comparison = plan::run(&settings, programs, data).await?;
    tell(results, "comparison", (&table::markdown(&comparison), &comparison))
}

async fn snapshots(
    shared: &Shared,
    programs: &Programs,
    data: &Path,
    results: &Path,
) -> Result<ExitCode, BenchError> {
    let found = snapshots::run(programs, data, &puts(shared)).await?;
    tell(results, "snapshots", (&found.markdown(), &found))
}

/// Prints a table, and writes it and all figures into the folder of results.
fn tell<T: serde::Serialize>(
    results: &Path,
    name: &str,
    (markdown, figures): (&str, &T),
) -> Result<ExitCode, BenchError> {
    println!("{markdown}");
    write(&results.join(format!("{name}.md")), markdown)?;
    write(&results.join(format!("{name}.json")), &json(figures))?;
    Ok(ExitCode::SUCCESS)
}

fn puts(shared: &Shared) -> Load {
    Load {
        op: Op::Put,
        connections: shared.connections,
        in_flight: shared.in_flight,
        value_size: shared.value_size,
        keys: shared.keys,
        warm_up: Duration::from_secs(1),
        measured: Duration::ZERO,
    }
}

async fn soak(
    shared: &Shared,
    programs: &Programs,
    data: &Path,
    duration: Duration,
) -> Result<ExitCode, BenchError> {
    let load = Load { warm_up: Duration::ZERO, ..puts(shared) };
    let soak = soak::run(programs, data, &load, duration).await?;
    println!("{}", json(&soak));
    let word = if soak.leader_kept() { "kept" } else { "LOST" };
    let (before, after) = (soak.before.term, soak.after.term);
    eprintln!("the leader {word} its place: term {before} before, {after} after");
    let is_good = soak.leader_kept() && soak.ended_early.is_none();
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A folder that is removed when it is dropped, unless somebody wants to look at it.
struct Data(PathBuf);

impl Data {
    fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        // What a dying process still writes may be left; it is only data.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The folder of this program.
fn home() -> Result<PathBuf, BenchError> {
    let this = std::env::current_exe().map_err(BenchError::io("the folder of this program"))?;
    Ok(this.parent().map(Path::to_path_buf).unwrap_or_default())
}

fn programs(shared: &Shared, home: &Path) -> Result<Programs, BenchError> {
    let beside = |given: &Option<PathBuf>, name: &str| beside_this(given, home, name);
    Ok(Programs {
        kvorum: beside(&shared.kvorum, "kvorum")?,
        kvctl: beside(&shared.kvctl, "kvctl")?,
        etcd: shared.etcd.clone().or_else(|| found_on_path("etcd")),
        etcd_load: beside(&None, "etcd-load")?,
        floor: beside(&None, "floor")?,
    })
}

fn beside_this(given: &Option<PathBuf>, home: &Path, name: &str) -> Result<PathBuf, BenchError> {
    let path = given.clone().unwrap_or_else(|| home.join(name));
    if path.is_file() {
        return Ok(path);
    }
    let path = path.display();
    let build = "cargo build --release -p node-bin -p client-bin -p benches";
    Err(BenchError::Setting(format!("{path} is missing; build it with {build}")))
}

fn found_on_path(name: &str) -> Option<PathBuf> {
    let search = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&search).map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn write(path: &Path, text: &str) -> Result<(), BenchError> {
    std::fs::write(path, text).map_err(BenchError::io(format!("file {}", path.display())))
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string_pretty(value).expect("plain data has a JSON form")
}
