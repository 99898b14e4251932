//! The command line of `kvorum`.

mod backups;
mod dev;
mod join;
mod log;
mod ports;
mod recover;
mod restore;
mod serve;
mod settings;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use kv_store::store::{History, Store};
use tracing_subscriber::filter::LevelFilter;

use crate::api::BodyChecks;
use crate::directory::new_incarnation;
use crate::error::StartError;

/// A replicated key-value store: one node per machine, or a whole cluster to play with.
#[derive(Debug, Parser)]
#[command(name = "kvorum", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    mode: Option<Mode>,
    #[command(flatten)]
    serve: settings::ServeArguments,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Runs a whole cluster in this process, with a prompt
    Dev(settings::DevArguments),
    /// Looks into the log of a node
    Log(log::LogArguments),
    /// Makes a new cluster of a backup: the data folder of its first node
    ///
    /// The node starts with all data, users and roles and with a new cluster id; others join it.
    /// The revision is raised by a billion, and nothing before that can be read, so that no
    /// revision means something else than in the old cluster.
    Restore(restore::RestoreArguments),
    /// Makes a new cluster of what is left, when a majority of the nodes is lost for ever
    ///
    /// Shows the newest entry of each folder and what may be missing; with --yes the folder with
    /// the newest log becomes the only node of a new cluster. Its entries are kept to the last
    /// one. The revision is raised by a billion. Refused while a node uses one of the folders.
    Recover(recover::RecoverArguments),
}

/// How much is written to standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// Exit code for a command line that makes no sense.
const WRONG_USAGE: u8 = 2;

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to standard output, and are no errors.
            let code = if error.use_stderr() { WRONG_USAGE } else { 0 };
            // Nobody is left to be told that standard error is closed.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let result = match &arguments.mode {
        None => {
            log_at(arguments.serve.log_level);
            serve::run(&arguments.serve)
        }
        Some(Mode::Dev(dev)) => {
            log_at(dev.log_level);
            dev::run(dev)
        }
        Some(Mode::Log(log)) => log::run(log),
        Some(Mode::Restore(arguments)) => restore::run(arguments),
        Some(Mode::Recover(arguments)) => recover::run(arguments),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        match error {
            StartError::Setting(_) | StartError::Backup(_) => ExitCode::from(WRONG_USAGE),
            StartError::Directory { .. }
            | StartError::Locked { .. }
            | StartError::ForeignDirectory { .. }
            | StartError::Occupied { .. }
            | StartError::OtherNode { .. }
            | StartError::Identity { .. }
            | StartError::Log { .. }
            | StartError::Snapshots { .. }
            | StartError::Join(_)
            | StartError::Listen { .. }
            | StartError::Thread(_) => ExitCode::FAILURE,
        }
    })
}

fn log_at(level: LogLevel) {
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::from(level))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}

/// A store without keys for a node whose live data may take so much.
fn new_store(memory_max: u64) -> Store {
    Store::with_hash_seed(new_incarnation().0).keeping(History::beside(memory_max))
}

/// What the key-value store refuses before it is replicated.
fn store_checks() -> BodyChecks {
    use kv_store::command::{Command, Limits, Query};
    BodyChecks {
        command: |body| {
            let command = Command::decode(body).map_err(|error| error.to_string())?;
            // What is too long in it has the better words.
            let checked = command.check(&Limits::default());
            checked.and_then(|()| Command::check_encoded(body)).map_err(|error| error.to_string())
        },
        query: |body| {
            let query = Query::decode(body).map_err(|error| error.to_string())?;
            query.check(&Limits::default()).map_err(|error| error.to_string())
        },
    }
}
