//! The words of the commands about the values of the monitor.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::parse_seconds;

/// What there is to do with values.
#[derive(Clone, Debug, PartialEq, Subcommand)]
pub(crate) enum MonCommand {
    /// Prints a value, or all that stand below a path
    Get {
        /// Which, from / on
        #[arg(default_value = "/")]
        path: String,
    },
    /// Prints values again and again, or the log of a node line by line, until Ctrl-C
    Watch {
        /// Which
        path: String,
        /// The time between two looks [default: 1, of a log 0.1]
        #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
        interval: Option<f64>,
        /// End after so many looks, or so many lines of a log
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        count: Option<u64>,
    },
    /// Sets a value that mon get marks as one that can be set
    Set {
        /// Which
        path: String,
        /// To what
        value: String,
    },
}

/// How a table of all nodes is drawn again and again.
#[derive(Clone, Debug, Args)]
pub(crate) struct TopArguments {
    /// The time between two looks [default: 1]
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    interval: Option<f64>,
    /// End after so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
}

impl TopArguments {
    /// The time between two looks.
    pub(crate) fn interval(&self) -> Duration {
        interval(self.interval, Duration::from_secs(1))
    }
}

impl Eq for MonCommand {}

impl MonCommand {
    /// Whether Ctrl-C is the way to end it.
    pub(crate) fn is_endless(&self) -> bool {
        matches!(self, Self::Watch { count: None, .. })
    }
}

/// The time between two looks.
pub(crate) fn interval(given: Option<f64>, otherwise: Duration) -> Duration {
    given.map_or(otherwise, Duration::from_secs_f64)
}
