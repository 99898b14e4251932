//! The words of the command about what has happened.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};

use crate::events::KINDS;

/// Of what is told.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct EventsArguments {
    #[command(subcommand)]
    pub(crate) export: Option<EventsCommand>,
    #[command(flatten)]
    pub(crate) filter: EventFilter,
    /// Go on with what happens from now on, until Ctrl-C
    #[arg(long)]
    pub(crate) follow: bool,
    /// Show also the messages by which leaders keep their place
    #[arg(long)]
    pub(crate) heartbeats: bool,
    /// End after so many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
}

/// Which events are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub(crate) struct EventFilter {
    /// Of this node only
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) node: Option<u64>,
    /// Of these kinds only, with commas between them
    #[arg(long, value_name = "KIND", value_delimiter = ',', hide_possible_values = true,
          value_parser = PossibleValuesParser::new(KINDS))]
    pub(crate) kind: Vec<String>,
}

/// What else there is to do with events.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum EventsCommand {
    /// Writes what the nodes still know into a file
    Export {
        #[command(flatten)]
        to: ExportTo,
        #[command(flatten)]
        filter: EventFilter,
    },
}

/// Where it goes.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ExportTo {
    /// A page that a browser shows by itself
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// A JSON document on each line
    #[arg(long, value_name = "FILE")]
    pub(crate) jsonl: Option<PathBuf>,
}

impl EventsArguments {
    /// Whether Ctrl-C is the way to end it.
    pub(crate) fn is_endless(&self) -> bool {
        self.follow && self.count.is_none()
    }
}
