//! The command line of `kvorum`.

mod dev;
mod join;
mod log;
mod logs;
mod ports;
mod serve;
mod settings;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use kv_store::store::{History, Store};

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
            let serve = &arguments.serve;
            logs::begin(&serve.log, serve.log_level)
                .and_then(|(logs, _until_the_end)| serve::run(serve, logs))
        }
        Some(Mode::Dev(dev)) => logs::begin(&dev.log, dev.log_level)
            .and_then(|(logs, _until_the_end)| dev::run(dev, logs)),
        Some(Mode::Log(log)) => log::run(log),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        match error {
            StartError::Setting(_) => ExitCode::from(WRONG_USAGE),
            StartError::Directory { .. }
            | StartError::Locked { .. }
            | StartError::ForeignDirectory { .. }
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
