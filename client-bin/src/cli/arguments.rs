//! The words of `kvctl`'s command line and of its shell.

use std::ffi::OsString;
use std::io::Write;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::WRONG_USAGE;

/// The longest that a command may be told to wait. Units: seconds.
const TIMEOUT_SECONDS_MAX: f64 = 86_400.0;

/// Reads and writes a Kvorum cluster
///
/// Exit codes: 0 yes, 1 decided no (a missing key), 2 wrong usage, 3 nobody reachable or no
/// quorum and nothing done, 4 unknown whether a write took effect, 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "kvctl", version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) shared: Shared,
    #[command(subcommand)]
    pub(crate) action: Action,
}

/// Flags that stand before or after the command.
#[derive(Debug, Args)]
pub(crate) struct Shared {
    /// Nodes to ask; any will do, and those that do not answer are passed over
    #[arg(
        long,
        value_name = "HOST:PORT,...",
        env = "KVCTL_ENDPOINTS",
        default_value = "127.0.0.1:2379",
        value_delimiter = ',',
        num_args = 1,
        global = true
    )]
    pub(crate) endpoints: Vec<String>,
    /// How long the whole command may take
    #[arg(long, value_name = "SECONDS", env = "KVCTL_TIMEOUT", default_value = "5",
          value_parser = parse_seconds, global = true)]
    pub(crate) timeout: f64,
    /// How answers are written
    #[arg(short = 'w', long, value_enum, default_value = "simple", global = true)]
    pub(crate) write_out: Format,
}

impl Shared {
    /// How long the whole command may take.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs_f64(self.timeout)
    }
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if 0.0 < seconds && seconds <= TIMEOUT_SECONDS_MAX => Ok(seconds),
        Ok(_) | Err(_) => Err(format!("give seconds above 0 and up to {TIMEOUT_SECONDS_MAX}")),
    }
}

/// How answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Bare values, a line each
    Simple,
    /// One JSON document
    Json,
    /// Columns for people
    Table,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    #[command(flatten)]
    Data(DataCommand),
    /// Takes commands from a prompt, or from standard input line by line
    Shell,
    /// Measures how fast a cluster serves; writes to random keys key0000000000000, ...
    Bench(BenchArguments),
}

/// The commands that the shell knows too.
#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Sets a key to a value and prints OK
    ///
    /// A value of - is read from standard input and @FILE from a file, byte by byte. After --
    /// key and value are taken as they stand: kvctl put name -- @home.
    #[command(override_usage = "put [OPTIONS] <KEY> <VALUE|-|@FILE>\n       \
                                put [OPTIONS] -- <KEY> <VALUE>")]
    Put(PutArguments),
    /// Prints the value of a key, or with --prefix keys and values on alternate lines
    ///
    /// Exit code 1 and no output if the key does not exist.
    Get(GetArguments),
    /// Removes keys and prints how many there were
    Del(DelArguments),
    /// Describes every node of the cluster
    Status,
    /// Shows and changes who is in the cluster
    #[command(subcommand)]
    Member(MemberCommand),
}

/// Who is in the cluster, and what each of them is.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum MemberCommand {
    /// Lists the members: id, role, address, and which of them leads
    List,
    /// Makes room for new nodes, as learners, and prints how to start each
    Add {
        /// Where each of them will be reached
        #[arg(value_name = "HOST:PORT", required = true)]
        addresses: Vec<String>,
        #[command(flatten)]
        wait: Wait,
    },
    /// Removes members for ever; a leader hands over first
    Remove {
        /// Their ids
        #[arg(value_name = "ID", required = true)]
        ids: Vec<u64>,
        #[command(flatten)]
        wait: Wait,
    },
    /// Makes voters of learners that have caught up
    Promote {
        /// Their ids
        #[arg(value_name = "ID", required = true)]
        ids: Vec<u64>,
        #[command(flatten)]
        wait: Wait,
    },
    /// Makes learners of voters
    Demote {
        /// Their ids
        #[arg(value_name = "ID", required = true)]
        ids: Vec<u64>,
        #[command(flatten)]
        wait: Wait,
    },
    /// Says where a member is reached from now on
    Update {
        /// Its id
        id: u64,
        /// Its new address
        #[arg(value_name = "HOST:PORT")]
        address: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// Hands leadership to a voter, or to the one that has most
    Transfer {
        /// Its id
        id: Option<u64>,
    },
}

/// Patience with a cluster that is busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Args)]
pub(crate) struct Wait {
    /// Try again, until --timeout, while another change is under way or a learner catches up
    #[arg(long)]
    pub(crate) wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PutArguments {
    /// The key and its value
    #[arg(value_names = ["KEY", "VALUE"], num_args = 0..=2, allow_negative_numbers = true)]
    pub(crate) words: Vec<OsString>,
    /// The same, taken as it stands
    #[arg(last = true, num_args = 0..=2, hide = true)]
    pub(crate) literal: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct GetArguments {
    /// The key, or what the keys begin with
    pub(crate) key: OsString,
    /// Every key that begins with KEY; every key at all if KEY is empty
    #[arg(long)]
    pub(crate) prefix: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DelArguments {
    /// The keys, or what the keys begin with
    #[arg(value_name = "KEY", required = true)]
    pub(crate) keys: Vec<OsString>,
    /// Every key that begins with one of KEY
    #[arg(long)]
    pub(crate) prefix: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// What to measure
    #[arg(long, value_enum, default_value = "put")]
    pub(crate) op: crate::bench::Kind,
    /// Connections, dealt out over the endpoints in turn
    #[arg(long, value_name = "N", default_value = "1",
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) connections: u32,
    /// Requests that are outstanding on each connection
    #[arg(long, value_name = "N", default_value = "1",
          value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub(crate) in_flight: u32,
    /// Length of the values
    #[arg(long, value_name = "BYTES", default_value = "256",
          value_parser = clap::value_parser!(u32).range(0..=1_572_864))]
    pub(crate) value_size: u32,
    /// How many keys, of 16 bytes each, are chosen from at random
    #[arg(long, value_name = "N", default_value = "100000",
          value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub(crate) keys: u64,
    /// How long it is measured
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = parse_bench_seconds)]
    pub(crate) seconds: f64,
    /// Processes whose CPU time is charged to the operations
    #[arg(long, value_name = "PID,...", value_delimiter = ',', num_args = 1)]
    pub(crate) pids: Vec<u32>,
}

fn parse_bench_seconds(text: &str) -> Result<f64, String> {
    let longest = crate::bench::DURATION_MAX.as_secs_f64();
    match text.parse::<f64>() {
        Ok(seconds) if 0.0 < seconds && seconds <= longest => Ok(seconds),
        Ok(_) | Err(_) => Err(format!("give seconds above 0 and up to {longest}")),
    }
}

/// One line of the shell.
#[derive(Debug, Parser)]
#[command(
    name = "",
    about = "Words are split and quoted as in sh; set is put, in any case",
    no_binary_name = true,
    disable_version_flag = true,
    override_usage = "COMMAND [...]"
)]
pub(crate) struct Line {
    /// How answers are written
    #[arg(short = 'w', long, value_enum, global = true)]
    pub(crate) write_out: Option<Format>,
    #[command(subcommand)]
    pub(crate) action: LineAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LineAction {
    #[command(flatten)]
    Data(DataCommand),
    /// Leaves
    #[command(alias = "quit")]
    Exit,
}

/// Prints help where it was asked for, else what is wrong in one line. Returns the exit code.
pub(crate) fn report(error: &clap::Error, output: &mut dyn Write, errors: &mut dyn Write) -> u8 {
    let text = error.render().to_string();
    // What cannot be printed has nobody to read it.
    if !error.use_stderr() {
        let _ = write!(output, "{text}").and_then(|()| output.flush());
        return 0;
    }
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = write!(errors, "{text}");
        return WRONG_USAGE;
    }
    let _ = writeln!(errors, "kvctl: {}; see kvctl help", one_line(&text));
    WRONG_USAGE
}

/// The first paragraph of clap's words, which says what is wrong, without its heading.
pub(crate) fn one_line(text: &str) -> String {
    let paragraph: Vec<&str> =
        text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let line = paragraph.join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}
