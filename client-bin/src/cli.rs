//! The program `kvctl`: from arguments to an exit code.
//!
//! Exit codes: 0 yes, 1 decided no (a missing key, a failed line of a script), 2 wrong usage,
//! 3 nobody reachable or no quorum and nothing done, 4 unknown, 130 interrupted. Errors are one
//! line on standard error.

mod arguments;
mod bench;
mod commands;
mod completion;
mod dev;
mod doctor;
mod elect;
mod events;
mod health;
mod leave;
mod line;
mod listing;
mod lock;
mod member;
mod monitor;
mod output;
mod session;
mod shell;
mod snapshot;
mod status;
mod stop;
mod subscribe;
mod top;
mod trace;
mod transaction;
mod value;
mod verify;
mod watch;

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal as _, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use self::arguments::{Action, Arguments, Shared, SnapshotCommand};
use self::commands::Job;
pub use self::line::{Lines, Order, WORDS};
pub use self::stop::Stop;
use crate::backup::BackupError;
use crate::error::ClientError;

/// Exit code of a command that was carried out and whose answer is no.
pub(crate) const DECIDED_NO: u8 = 1;

/// Exit code of a command line that makes no sense, and of files that cannot be read.
const WRONG_USAGE: u8 = 2;

/// Exit code if nobody is there, or somebody else.
const NO_SERVER: u8 = 3;

/// Exit code after Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Where a command reads and writes.
pub struct Streams<'a> {
    /// Standard input.
    pub input: Box<dyn BufRead + Send>,
    /// Whether a person types the input.
    pub input_is_terminal: bool,
    /// Standard output.
    pub output: &'a mut dyn Write,
    /// Standard error.
    pub errors: &'a mut dyn Write,
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The cluster's side.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A backup's side.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A server that is measured is not there, or is something else.
    #[error("{0}")]
    Server(String),
    /// The user's side.
    #[error("{0}")]
    Usage(String),
    /// The answer cannot be written. A closed pipe is no error: its reader has seen enough.
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
    /// A lock is somebody else's, or nobody's.
    #[error("{0} is not held, nothing was done")]
    NotHeld(String),
    /// A lock was lost while it was to be held.
    #[error("{0} is lost: its lease has ended")]
    Lost(String),
    /// Somebody else has a lock or an election for too long.
    #[error("{0:?} was somebody else's for all of the time")]
    NotToBeHad(String),
    /// Others change a key again and again.
    #[error("{0:?} was changed by others each time, nothing was done; try again")]
    Busy(String),
    /// A node has no such value, or does not let it be set.
    #[error("{0}")]
    NoValue(String),
    /// A node that was asked about through another one gave no answer.
    #[error("{0}")]
    Silent(String),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl CommandError {
    fn name_of_no_write() -> Self {
        Self::Usage("only a write can have a --request-id".to_owned())
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Client(error) => error.exit_code(),
            Self::Backup(error) => error.exit_code(),
            Self::NotHeld(_)
            | Self::Lost(_)
            | Self::NotToBeHad(_)
            | Self::Busy(_)
            | Self::NoValue(_) => DECIDED_NO,
            Self::Server(_) | Self::Silent(_) => NO_SERVER,
            Self::Usage(_) => WRONG_USAGE,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Output(_) => WRONG_USAGE,
            Self::Interrupted => INTERRUPTED,
        }
    }

    fn is_silent(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Runs `kvctl` on the arguments and streams of this process.
#[must_use]
pub fn main() -> ExitCode {
    main_with(std::env::args_os())
}

/// Runs `kvctl` on these arguments, of which the first is the name of the program, and the
/// streams of this process.
#[must_use]
pub fn main_with(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let streams = Streams {
        input: Box::new(BufReader::new(io::stdin())),
        input_is_terminal: io::stdin().is_terminal(),
        output: &mut BufWriter::new(io::stdout()),
        errors: &mut io::stderr(),
    };
    ExitCode::from(run(arguments, streams))
}

/// Runs `kvctl`; the first argument is the name of the program. Returns the exit code.
pub fn run<I, T>(arguments: I, streams: Streams<'_>) -> u8
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let Streams { input, input_is_terminal, output, errors } = streams;
    let parsed = match Arguments::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(error) => return arguments::report(&error, output, errors),
    };
    let Arguments { shared, action } = parsed;
    let mut console = Console { input, input_is_terminal, output, errors };
    let result = console.act(&shared, action).and_then(|code| {
        console.output.flush()?;
        Ok(code)
    });
    result.unwrap_or_else(|error| {
        if !error.is_silent() {
            // Nobody is left to be told that standard error is closed.
            let _ = writeln!(console.errors, "kvctl: {error}");
        }
        error.exit_code()
    })
}

/// The streams of a command that is being carried out.
pub(crate) struct Console<'a> {
    input: Box<dyn BufRead + Send>,
    input_is_terminal: bool,
    output: &'a mut dyn Write,
    errors: &'a mut dyn Write,
}

impl Console<'_> {
    fn act(&mut self, shared: &Shared, action: Action) -> Result<u8, CommandError> {
        if shared.trace && !matches!(action, Action::Data(_)) {
            return Err(trace::not_traced());
        }
        // Standard input is read before anything is asked: Ctrl-C still ends the program then.
        let job = match action {
            Action::Data(command) => Job::new(command, Some(&mut self.input))?,
            Action::Shell(_)
            | Action::Bench(_)
            | Action::Top(_)
            | Action::Session(_)
            | Action::Snapshot(_)
            | Action::Lock(_)
            | Action::Elect(_)
            | Action::Leave(_)
            | Action::Completion { .. }
                if shared.request_id.is_some() =>
            {
                return Err(CommandError::name_of_no_write());
            }
            Action::Shell(arguments) => return block_on(shell::run(self, shared, arguments)),
            Action::Session(command) => {
                return self.until_interrupted(async |output, stop| {
                    session::run(output, shared, command, stop).await
                });
            }
            Action::Snapshot(command) => return self.snapshot(shared, command),
            Action::Top(arguments) => {
                return self.until_interrupted(async |output, stop| {
                    top::run(output, shared, &arguments, stop).await
                });
            }
            Action::Lock(arguments) => {
                return self.until_interrupted(async |output, stop| {
                    lock::run(output, shared, arguments, stop).await
                });
            }
            Action::Elect(arguments) => {
                return self.until_interrupted(async |output, stop| {
                    elect::run(output, shared, arguments, stop).await
                });
            }
            Action::Completion { shell } => return completion::run(self.output, shell),
            Action::Leave(how) => {
                return self.until_interrupted(async |output, stop| {
                    leave::run(output, shared, how, stop).await
                });
            }
            Action::Bench(arguments) => return block_on(bench::run(self, shared, &arguments)),
        };
        let format = shared.write_out;
        block_on(async {
            let mut interrupts = Interrupts::new()?;
            let (endpoints, request_id) = (shared.endpoints.as_slice(), shared.request_id);
            let target = commands::Target { endpoints, shell: None, request_id };
            let deadline = Instant::now() + shared.timeout();
            let told: commands::Told<'_> = (&mut *self.output, &mut *self.errors);
            let mut stop = Stop::when(interrupts.next());
            if shared.trace {
                return trace::run(job, (&target, deadline), format, told, &mut stop).await;
            }
            job.run_until(&mut stop, (&target, deadline), format, told).await
        })
    }

    fn snapshot(&mut self, shared: &Shared, command: SnapshotCommand) -> Result<u8, CommandError> {
        block_on(async {
            let mut interrupts = Interrupts::new()?;
            let mut stop = Stop::when(interrupts.next());
            let told: commands::Told<'_> = (&mut *self.output, &mut *self.errors);
            snapshot::run(told, shared, command, &mut stop).await
        })
    }

    /// Runs a command that Ctrl-C may end.
    fn until_interrupted(
        &mut self,
        run: impl AsyncFnOnce(&mut dyn Write, &mut Stop<'_>) -> Result<u8, CommandError>,
    ) -> Result<u8, CommandError> {
        block_on(async {
            let mut interrupts = Interrupts::new()?;
            run(self.output, &mut Stop::when(interrupts.next())).await
        })
    }
}

/// Ctrl-C, once somebody asks for it.
pub(crate) struct Interrupts(Signal);

impl Interrupts {
    pub(crate) fn new() -> Result<Self, CommandError> {
        let interrupt = signal(SignalKind::interrupt());
        let told = |error| CommandError::Usage(format!("cannot wait for Ctrl-C: {error}"));
        interrupt.map(Self).map_err(told)
    }

    pub(crate) async fn next(&mut self) {
        self.0.recv().await;
    }
}

fn block_on<F: Future<Output = Result<u8, CommandError>>>(future: F) -> Result<u8, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::Usage(format!("the system gives no event loop: {error}")))?;
    let result = runtime.block_on(future);
    // A name that is still being resolved must not hold up the end.
    runtime.shutdown_timeout(Duration::ZERO);
    result
}
