//! The command line of `kvorum`.

mod backups;
mod config;
mod config_file;
mod dev;
mod discovery;
mod find;
mod join;
mod log;
mod logs;
mod ports;
mod recover;
mod restore;
mod serve;
mod settings;
mod stop_signal;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgMatches, Command, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use kv_store::store::{History, Store};

use self::config_file::{CONFIG, ConfigFile};
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
#[allow(clippy::large_enum_variant, reason = "there is one of it in a process")]
enum Mode {
    /// Runs a whole cluster in this process, with a prompt
    Dev(settings::DevArguments),
    /// Checks and shows settings without starting a node
    #[command(subcommand)]
    Config(config::ConfigCommand),
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

/// As the first word it makes this program the client, so that an image needs one entry point.
const CLIENT: &str = "kvctl";

/// Exit code for a command line that makes no sense.
const WRONG_USAGE: u8 = 2;

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    if words.get(1).is_some_and(|word| word == CLIENT) {
        return kvorum_client::cli::main_with(words.into_iter().skip(1));
    }
    match run(words) {
        Ok(code) => code,
        Err(Failure::Usage(error)) => {
            // Help and version go to standard output, and are no errors.
            let code = if error.use_stderr() { WRONG_USAGE } else { 0 };
            // Nobody is left to be told that standard error is closed.
            let _ = error.print();
            ExitCode::from(code)
        }
        Err(Failure::Start(error)) => {
            eprintln!("error: {error}");
            code_of(&error)
        }
    }
}

/// Why the program does not do what it was started for.
#[derive(Debug)]
enum Failure {
    Usage(clap::Error),
    Start(StartError),
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        Self::Usage(error)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::Start(error)
    }
}

fn run(mut words: Vec<OsString>) -> Result<ExitCode, Failure> {
    let root = Arguments::command();
    let given = root.clone().try_get_matches_from(&words)?;
    let (command, told) = chosen(&root, &given);
    if let Some(path) = told.try_get_one::<PathBuf>(CONFIG).ok().flatten() {
        let others: Vec<&Command> =
            [&root].into_iter().chain(root.find_subcommand("dev")).collect();
        words.extend(ConfigFile::read(path)?.words((command, &others), told)?);
    }
    let whole = root.clone().try_get_matches_from(&words)?;
    let arguments = Arguments::from_arg_matches(&whole)?;
    let code = match &arguments.mode {
        None => {
            let serve = &arguments.serve;
            let (logs, _until_the_end) = logs::begin(&serve.log, serve.log_level)?;
            serve::run(serve, &logs)?
        }
        Some(Mode::Dev(dev)) => {
            let (logs, _until_the_end) = logs::begin(&dev.log, dev.log_level)?;
            dev::run(dev, logs)?
        }
        Some(Mode::Config(config)) => {
            let whole = chosen(&root, &whole).1;
            config::run(config, &config::Sources { given: told, whole, command })?
        }
        Some(Mode::Log(log)) => log::run(log)?,
        Some(Mode::Restore(arguments)) => restore::run(arguments)?,
        Some(Mode::Recover(arguments)) => recover::run(arguments)?,
    };
    Ok(code)
}

/// The command that was asked for, with what was said to it.
fn chosen<'a>(command: &'a Command, matches: &'a ArgMatches) -> (&'a Command, &'a ArgMatches) {
    let below = matches.subcommand();
    let below = below.and_then(|(name, matches)| Some((command.find_subcommand(name)?, matches)));
    match below {
        Some((command, matches)) => chosen(command, matches),
        None => (command, matches),
    }
}

fn code_of(error: &StartError) -> ExitCode {
    match error {
        StartError::Setting(_) | StartError::Backup(_) => ExitCode::from(WRONG_USAGE),
        StartError::Directory { .. }
        | StartError::Locked { .. }
        | StartError::ForeignDirectory { .. }
        | StartError::Occupied { .. }
        | StartError::OtherNode { .. }
        | StartError::Identity { .. }
        | StartError::Log { .. }
        | StartError::LaterVersion { .. }
        | StartError::Snapshots { .. }
        | StartError::Beacons(_)
        | StartError::Join(_)
        | StartError::Listen { .. }
        | StartError::Thread(_) => ExitCode::FAILURE,
    }
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
