//! The words of `kvctl`'s command line and of its shell.

mod bench;
mod data;
mod dev;
mod events;
mod member;
mod monitor;
mod snapshot;

use std::ffi::OsString;
use std::io::Write;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::bench::BenchArguments;
use self::data::parse_ttl;
pub(crate) use self::data::{
    By, DelArguments, EndArguments, GetArguments, GetDetail, HistoryArguments, Only,
    PublishArguments, PutArguments, SubscribeArguments, TransactionArguments, TypedArguments,
    WatchArguments,
};
pub(crate) use self::dev::DevCommand;
pub(crate) use self::events::{EventFilter, EventsArguments, EventsCommand, ExportTo};
pub(crate) use self::member::{How, MemberCommand};
pub(crate) use self::monitor::{MonCommand, TopArguments, interval};
pub(crate) use self::snapshot::SnapshotCommand;
use super::WRONG_USAGE;
use crate::client_name::{ClientName, RequestName};
use crate::seconds;

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
#[derive(Clone, Debug, Args)]
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
    /// The name of a write: the first time it is carried out, each further time its answer is
    /// given again, from any process and through any node. CLIENT is a number of your own, or what
    /// session open prints; SERIAL counts its writes from 1; the newest 1,024 can be repeated
    #[arg(long, value_name = "CLIENT:SERIAL", global = true)]
    pub(crate) request_id: Option<RequestName>,
    /// Prints on standard error which way the request of a command on keys took through the nodes,
    /// step by step with times
    #[arg(long, global = true)]
    pub(crate) trace: bool,
}

impl Shared {
    /// How long the whole command may take.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs_f64(self.timeout)
    }
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    match seconds::parse(text).map(|time| time.as_secs_f64()) {
        Some(seconds) if 0.0 < seconds && seconds <= TIMEOUT_SECONDS_MAX => Ok(seconds),
        Some(_) | None => Err(format!("give seconds above 0 and up to {TIMEOUT_SECONDS_MAX}")),
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
    Shell(ShellArguments),
    /// Opens sessions, for writes that are repeated by hand or by scripts
    #[command(subcommand)]
    Session(SessionCommand),
    /// Takes backups, looks at them, and puts them back into the running cluster
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Takes a lock, and holds it while a command runs, or until Ctrl-C
    ///
    /// Who asks first has it first. Prints KEY@REVISION when it is held, and a command finds the
    /// same in KVORUM_LOCK: put --if-held writes only while it still is. The revision rises from
    /// holder to holder. Exit code: that of the command; 1 if the lock was lost, after which the
    /// command is ended, or was not to be had within --wait. --timeout is for each request.
    #[command(override_usage = "kvctl lock [OPTIONS] <NAME> [-- COMMAND [ARGUMENT]...]")]
    Lock(LockArguments),
    /// Stands for election, and shows a value while elected, until Ctrl-C
    ///
    /// Prints KEY@REVISION when it has won; with --listen only who wins.
    Elect(ElectArguments),
    /// Takes the node that is asked out of the cluster for ever
    ///
    /// It hands leadership over first, and is not let go while the others would be no majority.
    /// When it has left, it serves nobody any more and can be stopped. Ask it alone:
    /// kvctl --endpoints HOST:PORT leave.
    Leave(How),
    /// Prints what a shell needs to complete commands and flags
    ///
    /// bash: source <(kvctl completion bash)
    /// zsh: kvctl completion zsh > "${fpath[1]}/_kvctl"
    /// fish: kvctl completion fish | source
    #[command(verbatim_doc_comment)]
    Completion {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Shows all nodes, how fast they serve and what they need, again and again until Ctrl-C
    ///
    /// On a terminal the table is drawn over itself, elsewhere one follows the other. Rates are
    /// those since the last look; times are of the last half minute to a minute.
    Top(TopArguments),
    /// Measures how fast a cluster serves; writes to random keys key0000000000000, ...
    Bench(BenchArguments),
}

/// What there is to do with sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum SessionCommand {
    /// Prints a client id for --request-id and shell --client-id
    ///
    /// It is known for an hour after its last write, and unused for about an hour.
    Open,
}

#[derive(Debug, Args)]
pub(crate) struct LockArguments {
    /// The name of the lock
    pub(crate) name: OsString,
    #[command(flatten)]
    pub(crate) claim: ClaimArguments,
    /// What runs while it is held
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct ElectArguments {
    /// The name of the election
    pub(crate) name: OsString,
    /// What is shown of the winner
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) value: OsString,
    #[command(flatten)]
    pub(crate) claim: ClaimArguments,
    /// Print the value of each winner, now and in the future
    #[arg(long, conflicts_with_all = ["value", "ttl", "wait"])]
    pub(crate) listen: bool,
}

/// How a name is claimed.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ClaimArguments {
    /// For how long the cluster waits for a holder that it does not hear of any more
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = parse_ttl)]
    pub(crate) ttl: Duration,
    /// Give up after so many seconds without it
    #[arg(long, value_name = "SECONDS", value_parser = parse_ttl)]
    pub(crate) wait: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Args)]
pub(crate) struct ShellArguments {
    /// Numbers the writes 1, 2, ... of this client, so that the same lines again under the same
    /// id change nothing and are answered as before; a number of your own, or what session open
    /// prints
    #[arg(long, value_name = "CLIENT")]
    pub(crate) client_id: Option<ClientName>,
}

/// The commands that the shell knows too.
#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Sets a key to a value and prints OK
    ///
    /// A value of - is read from standard input and @FILE from a file, byte by byte. After --
    /// key and value are taken as they stand: kvctl put name -- @home.
    #[command(
        alias = "set",
        override_usage = "put [OPTIONS] <KEY> <VALUE|-|@FILE>\n       \
                          put [OPTIONS] -- <KEY> <VALUE>"
    )]
    Put(PutArguments),
    /// Prints the value of a key, or null; with --prefix keys and values on alternate lines
    ///
    /// Exit code 1 if the key does not exist, so that it can be told from one that says null.
    Get(GetArguments),
    /// Removes keys and prints how many there were
    Del(DelArguments),
    /// Prints every version of a key that is still there, the oldest one first
    ///
    /// A line is the revision, then put and the value, or del.
    History(HistoryArguments),
    /// Prints what happens to keys, an event to a line, until Ctrl-C
    ///
    /// A line is the revision, then put or del, the key, and what it is now; for a field or
    /// member of a hash or set, its name. It goes on through another node when one is lost,
    /// without gap or double. --timeout is for the beginning only.
    Watch(WatchArguments),
    /// Tells a message to whoever is subscribed to a channel now
    ///
    /// Prints how many of them are at the node that is asked; those at other nodes are told too.
    /// The message is told at most once and written nowhere.
    Publish(PublishArguments),
    /// Prints what is published on channels from now on, until Ctrl-C
    ///
    /// Nobody keeps messages: what is published while a connection is lost is missed, and that
    /// it may be is said on standard error, or with -w json by a document whose event is gap.
    Subscribe(SubscribeArguments),
    /// Gives a key back the value that it had at a revision, or removes it if it had none then
    Revert {
        /// The key
        key: OsString,
        /// The revision
        revision: u64,
    },
    /// Lists what stands directly below a prefix, keys being paths with slashes
    ///
    /// Exit code 1 and no output if there is nothing.
    Ls {
        /// What the keys begin with
        #[arg(default_value = "", hide_default_value = true)]
        prefix: OsString,
    },
    /// Prints the keys below a prefix as a tree, keys being paths with slashes
    Tree {
        /// What the keys begin with
        #[arg(default_value = "", hide_default_value = true)]
        prefix: OsString,
    },
    /// Makes everything before a revision unreadable, for ever
    Compact {
        /// The first revision that can still be read
        revision: u64,
    },
    /// Sets fields of a hash; `\:` is a colon in a field
    #[command(override_usage = "hset KEY FIELD:VALUE...")]
    Hset(TypedArguments),
    /// Prints the values of fields, or null
    #[command(override_usage = "hget KEY FIELD...")]
    Hget(TypedArguments),
    /// Removes fields and prints how many there were
    #[command(override_usage = "hdel KEY FIELD...")]
    Hdel(TypedArguments),
    /// Prints every field as FIELD:VALUE
    #[command(override_usage = "hgetall KEY")]
    Hgetall(TypedArguments),
    /// Prints how many fields there are
    #[command(override_usage = "hlen KEY")]
    Hlen(TypedArguments),
    /// Prints true for fields that exist, else false
    #[command(override_usage = "hexists KEY FIELD...")]
    Hexists(TypedArguments),
    /// Adds members to a set
    #[command(override_usage = "sset KEY MEMBER...")]
    Sset(TypedArguments),
    /// Removes members and prints how many there were
    #[command(override_usage = "sdel KEY MEMBER...")]
    Sdel(TypedArguments),
    /// Prints true for members that exist, else false
    #[command(override_usage = "shas KEY MEMBER...")]
    Shas(TypedArguments),
    /// Prints every member
    #[command(override_usage = "smembers KEY")]
    Smembers(TypedArguments),
    /// Prints how many members there are
    #[command(override_usage = "scard KEY")]
    Scard(TypedArguments),
    /// Adds to a number, 1 if not told, and prints the sum
    #[command(override_usage = "incr KEY [[FIELD] BY]")]
    Incr(TypedArguments),
    /// Lets a key or a field of a hash go after a time, and prints true; false if there is none
    #[command(override_usage = "expire KEY [FIELD] SECONDS")]
    Expire(TypedArguments),
    /// Lets a key or a field of a hash stay for ever, and prints true; false if there is none
    #[command(override_usage = "persist KEY [FIELD]")]
    Persist(TypedArguments),
    /// Prints for how many seconds a key or a field of a hash stays yet, or forever
    #[command(override_usage = "ttl KEY [FIELD]")]
    Ttl(TypedArguments),
    /// Grants leases and ends them; a key that was put with --lease goes with its lease
    ///
    /// grant SECONDS [ID] prints the id; revoke ID prints how many keys went; renew ID... makes
    /// leases last as long again; show ID prints what a lease is; list prints all ids;
    /// keep-alive ID renews a lease again and again, until it is gone or you press Ctrl-C.
    #[command(
        override_usage = "lease grant SECONDS [ID]\n       lease revoke|show|keep-alive ID\n       \
                                lease renew ID...\n       lease list"
    )]
    Lease(TypedArguments),
    /// Does one thing or another, all of it at once and in one revision
    ///
    /// Without words the transaction is read from standard input, as by etcdctl: a line for each
    /// compare, an empty line, a line for each operation if all of them hold, an empty line, and
    /// a line for each operation otherwise. In words, ; stands between operations.
    ///
    /// A compare is version, create, mod, lease or value KEY, then =, !=, < or > and what it is
    /// compared with; or exists KEY; or hget KEY FIELD = VALUE, hexists KEY FIELD, shas KEY
    /// MEMBER; not stands before exists, hexists and shas, and --prefix behind KEY is every key
    /// that begins with it. version(KEY) is the same as version KEY. Operations are put [--lease
    /// ID] [--ttl SECONDS], get [--prefix], del [--prefix], the commands on hashes, sets and
    /// numbers, and expire, persist and ttl. Flags of txn itself stand before its words.
    ///
    /// Prints SUCCESS or FAILURE, and each answer behind an empty line. Exit code 1 if a compare
    /// does not hold, or if an operation cannot be carried out, after which nothing has changed.
    #[command(override_usage = "txn [OPTIONS] [if COMPARE [and COMPARE]...] \
                                [then OPERATION [; OPERATION]...] \
                                [else OPERATION [; OPERATION]...]")]
    Txn(TransactionArguments),
    /// Describes every node of the cluster
    Status,
    /// Says of every member whether it can be reached and is ready to serve, or why not
    ///
    /// Exit code 0 if all are, 1 if one is not, 3 if nobody can be reached.
    Health,
    /// Says what is wrong with the cluster or soon will be, and what to do about each of it
    ///
    /// Looks at disks, clocks, round trips, versions, space, watches and members, and at some keys
    /// for the largest prefixes. Exit code 0 if nothing is wrong, 1 if something is.
    Doctor,
    /// Shows, follows and sets the values by which nodes describe themselves while they run
    ///
    /// A path is /node/<ID>/... for one node or /cluster/... for every member. mon get / lists
    /// what there is, and docs/monitor.md says what it means. Any node can be asked.
    #[command(subcommand)]
    Mon(MonCommand),
    /// Tells what has happened on the nodes: elections, votes, messages, entries, links, each with
    /// its reason
    ///
    /// Prints what the nodes still know and goes on with --follow. events export writes a file: a
    /// page that a browser shows, with pictures of roles and messages over time, or a JSON
    /// document on each line. docs/events.md has the names.
    Events(EventsArguments),
    /// Compares what all nodes have made of the same commands
    ///
    /// Says up to which index they are equal, or the first one at which they differ, exit code 1;
    /// exit code 3 if a node could not be compared.
    Verify,
    /// Shows and changes who is in the cluster
    #[command(subcommand)]
    Member(MemberCommand),
    /// Does something to the nodes or links of kvorum dev, or of a node that was started with
    /// --playground, to see what happens
    #[command(subcommand)]
    Dev(DevCommand),
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
    /// The name of a write, as for kvctl itself
    #[arg(long, value_name = "CLIENT:SERIAL", global = true)]
    pub(crate) request_id: Option<RequestName>,
    #[command(subcommand)]
    pub(crate) action: LineAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LineAction {
    #[command(flatten)]
    Data(DataCommand),
    /// Opens sessions, for writes that are repeated by hand
    #[command(subcommand)]
    Session(SessionCommand),
    /// Takes a lock, and holds it while a command runs, or until you have had enough
    #[command(override_usage = "lock [OPTIONS] <NAME> [-- COMMAND [ARGUMENT]...]")]
    Lock(LockArguments),
    /// Stands for election, and shows a value while elected, until you have had enough
    Elect(ElectArguments),
    /// Leaves
    #[command(alias = "quit")]
    Exit,
}

impl LineAction {
    /// Whether the command goes on until somebody ends it.
    pub(crate) fn is_endless(&self) -> bool {
        match self {
            Self::Data(command) => match command {
                DataCommand::Watch(WatchArguments { events, .. })
                | DataCommand::Subscribe(SubscribeArguments { events, .. }) => events.is_none(),
                DataCommand::Mon(command) => command.is_endless(),
                DataCommand::Events(arguments) => arguments.is_endless(),
                DataCommand::Lease(arguments) => arguments.is_keep_alive(),
                _ => false,
            },
            Self::Lock(arguments) => arguments.command.is_empty(),
            Self::Elect(_) => true,
            Self::Session(_) | Self::Exit => false,
        }
    }

    /// Whether the command shows or holds something for a while.
    pub(crate) fn takes_a_while(&self) -> bool {
        match self {
            Self::Data(DataCommand::Watch(_) | DataCommand::Subscribe(_)) => true,
            Self::Data(DataCommand::Mon(MonCommand::Watch { .. })) => true,
            Self::Data(DataCommand::Events(arguments)) => arguments.follow,
            Self::Data(_) => self.is_endless(),
            Self::Lock(_) | Self::Elect(_) => true,
            Self::Session(_) | Self::Exit => false,
        }
    }
}

impl TypedArguments {
    fn is_keep_alive(&self) -> bool {
        self.words.first().is_some_and(|word| word == "keep-alive")
    }
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
