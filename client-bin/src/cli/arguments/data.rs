//! The words of the commands about keys.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::seconds;

#[derive(Debug, Args)]
pub(crate) struct PutArguments {
    /// The key and its value
    #[arg(value_names = ["KEY", "VALUE"], num_args = 0..=2, allow_negative_numbers = true)]
    pub(crate) words: Vec<OsString>,
    /// The same, taken as it stands
    #[arg(last = true, num_args = 0..=2, hide = true)]
    pub(crate) literal: Vec<OsString>,
    /// Print also what the key was before
    #[arg(long)]
    pub(crate) prev: bool,
    #[command(flatten)]
    pub(crate) end: EndArguments,
    /// Only while this lock is held, as kvctl lock prints it; else nothing is done, exit code 1
    #[arg(long, value_name = "KEY@REVISION", conflicts_with = "prev")]
    pub(crate) if_held: Option<OsString>,
}

/// How long a key stays that is put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct EndArguments {
    /// The key goes with this lease
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) lease: Option<u64>,
    /// The key goes after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = parse_ttl)]
    pub(crate) ttl: Option<Duration>,
    /// A key that exists keeps the lease and the end that it has
    #[arg(long, conflicts_with_all = ["lease", "ttl"])]
    pub(crate) keep_ttl: bool,
}

pub(super) fn parse_ttl(text: &str) -> Result<Duration, String> {
    let ttl = seconds::parse(text).filter(|ttl| Duration::from_millis(1) <= *ttl);
    ttl.ok_or_else(|| "give seconds above 0, or 500ms, 10s, 5m, 2h".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct GetArguments {
    /// The key, or what the keys begin with
    pub(crate) key: OsString,
    /// Every key that begins with KEY; every key at all if KEY is empty
    #[arg(long)]
    pub(crate) prefix: bool,
    /// From the state of the node that answers, however old; how old it may be is said on
    /// standard error, or in the JSON document
    #[arg(long)]
    pub(crate) local: bool,
    #[command(flatten)]
    pub(crate) detail: GetDetail,
}

/// What makes a get more than a walk over the newest keys. With one of these the answer is one
/// page at one revision, and what has no room in it is said on standard error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct GetDetail {
    /// The keys as they were at this revision
    #[arg(long, value_name = "REVISION", conflicts_with = "local")]
    pub(crate) rev: Option<u64>,
    /// Up to this key, without it
    #[arg(long, value_name = "KEY", conflicts_with_all = ["local", "prefix", "from_key"])]
    pub(crate) to: Option<OsString>,
    /// KEY and every key after it
    #[arg(long, conflicts_with_all = ["local", "prefix"])]
    pub(crate) from_key: bool,
    /// At most so many keys
    #[arg(long, value_name = "N", conflicts_with = "local")]
    pub(crate) limit: Option<u64>,
    /// In which order
    #[arg(long, value_enum, conflicts_with = "local")]
    pub(crate) order: Option<By>,
    /// The greatest first
    #[arg(long, conflicts_with = "local")]
    pub(crate) descending: bool,
    /// Without values
    #[arg(long, conflicts_with = "local")]
    pub(crate) keys_only: bool,
    /// Only how many there are
    #[arg(long, conflicts_with_all = ["local", "keys_only"])]
    pub(crate) count_only: bool,
    /// Changed last at this revision or later
    #[arg(long, value_name = "REVISION", default_value = "0", conflicts_with = "local")]
    pub(crate) min_mod_rev: u64,
    /// Changed last at this revision or earlier
    #[arg(long, value_name = "REVISION", default_value = "0", conflicts_with = "local")]
    pub(crate) max_mod_rev: u64,
    /// Made at this revision or later
    #[arg(long, value_name = "REVISION", default_value = "0", conflicts_with = "local")]
    pub(crate) min_create_rev: u64,
    /// Made at this revision or earlier
    #[arg(long, value_name = "REVISION", default_value = "0", conflicts_with = "local")]
    pub(crate) max_create_rev: u64,
}

/// What an order compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// The key
    Key,
    /// How many puts the key has seen
    Version,
    /// When the key came into being
    Create,
    /// When the key was changed last
    Mod,
    /// The value
    Value,
}

#[derive(Debug, Args)]
pub(crate) struct DelArguments {
    /// The keys, or what the keys begin with
    #[arg(value_name = "KEY", required = true)]
    pub(crate) keys: Vec<OsString>,
    /// Every key that begins with one of KEY
    #[arg(long)]
    pub(crate) prefix: bool,
    /// Print also what was removed: keys and values on alternate lines
    #[arg(long)]
    pub(crate) prev: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TypedArguments {
    /// The key, and what belongs to the command
    #[arg(value_name = "WORD", allow_negative_numbers = true)]
    pub(crate) words: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct TransactionArguments {
    /// The transaction; standard input if there is none
    #[arg(value_name = "WORD", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) words: Vec<OsString>,
    /// Carry the other operations out if one is answered with no, as for a wrong type
    #[arg(long)]
    pub(crate) each_alone: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArguments {
    /// The key
    pub(crate) key: OsString,
    /// Only what happened at this revision or later
    #[arg(long, value_name = "REVISION", default_value = "0")]
    pub(crate) since: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub(crate) struct WatchArguments {
    /// The key, or what the keys begin with
    pub(crate) key: OsString,
    /// Every key that begins with KEY; every key at all if KEY is empty
    #[arg(long, conflicts_with_all = ["to", "from_key"])]
    pub(crate) prefix: bool,
    /// Up to this key, without it
    #[arg(long, value_name = "KEY", conflicts_with = "from_key")]
    pub(crate) to: Option<OsString>,
    /// KEY and every key after it
    #[arg(long)]
    pub(crate) from_key: bool,
    /// Only this field
    #[arg(long, value_name = "FIELD", conflicts_with = "member")]
    pub(crate) field: Option<OsString>,
    /// Only this member
    #[arg(long, value_name = "MEMBER")]
    pub(crate) member: Option<OsString>,
    /// From this revision on, which may have passed or be yet to come
    #[arg(long, value_name = "REVISION", default_value = "0", hide_default_value = true)]
    pub(crate) since: u64,
    /// Print also what was there before
    #[arg(long)]
    pub(crate) prev: bool,
    /// Only what is set, or only what is removed
    #[arg(long, value_enum)]
    pub(crate) only: Option<Only>,
    /// End after so many events, with exit code 0
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) events: Option<u64>,
    /// Print also, every few seconds without an event, up to which revision all were shown
    #[arg(long)]
    pub(crate) progress: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub(crate) struct PublishArguments {
    /// The channel
    pub(crate) channel: OsString,
    /// The message
    pub(crate) message: OsString,
}

#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub(crate) struct SubscribeArguments {
    /// The channels
    #[arg(value_name = "CHANNEL", required_unless_present = "patterns")]
    pub(crate) channels: Vec<OsString>,
    /// Every channel whose name matches, with *, ?, [a-c] and [^a]; may be given again
    #[arg(long = "pattern", value_name = "PATTERN")]
    pub(crate) patterns: Vec<OsString>,
    /// End after so many messages, with exit code 0
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) events: Option<u64>,
}

/// What a watch shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Only {
    /// What is set or added
    Put,
    /// What is removed
    Del,
}
