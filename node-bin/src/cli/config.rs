//! `kvorum config`: what a node would be started with, and where each value comes from.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Subcommand};

use super::config_file::CONFIG;
use super::serve;
use super::settings::ServeArguments;
use crate::error::StartError;

/// What is done about settings.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Says whether a node could be started with these settings
    Check(Settings),
    /// Prints every setting with where its value comes from, as a file that --config takes
    Show(Settings),
}

/// The flags of a node, for it to be started another time.
#[derive(Debug, Args)]
pub(super) struct Settings {
    #[command(flatten)]
    pub(super) serve: ServeArguments,
}

/// Where the values of a command line come from.
pub(super) struct Sources<'a> {
    /// The words that people and the environment gave.
    pub(super) given: &'a ArgMatches,
    /// Those with what a file added.
    pub(super) whole: &'a ArgMatches,
    /// What there is to be set.
    pub(super) command: &'a Command,
}

/// Carries the command out.
///
/// Errors: what is wrong with the settings, or that nobody reads.
pub(super) fn run(config: &ConfigCommand, sources: &Sources<'_>) -> Result<ExitCode, StartError> {
    let text = match config {
        ConfigCommand::Check(settings) => {
            serve::check(&settings.serve)?;
            "OK: a node can be started with these settings\n".to_owned()
        }
        ConfigCommand::Show(_) => shown(sources),
    };
    let mut output = io::stdout().lock();
    let said = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    Ok(if said.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A file with every setting; those that nobody gave stand there as comments.
fn shown(sources: &Sources<'_>) -> String {
    let mut text = String::new();
    for arg in sources.command.get_arguments() {
        let Some(name) = arg.get_long().filter(|name| ![CONFIG, "help", "version"].contains(name))
        else {
            continue;
        };
        let (value, source) = value_of(arg, sources);
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!("# {help}\n"));
        match value {
            Some(value) if source == "default" => {
                text.push_str(&format!("# {name} = {value}  # default\n\n"));
            }
            Some(value) => text.push_str(&format!("{name} = {value}  # from {source}\n\n")),
            // What nobody may read is not shown, and what is not shown is no setting.
            None if source != "default" => {
                text.push_str(&format!("# {name} is set, from {source}\n\n"));
            }
            None => text.push_str(&format!("# {name} is not set\n\n")),
        }
    }
    text
}

fn value_of(arg: &Arg, sources: &Sources<'_>) -> (Option<String>, String) {
    let id = arg.get_id().as_str();
    let source = match sources.given.value_source(id) {
        Some(ValueSource::CommandLine) => "the command line".to_owned(),
        Some(ValueSource::EnvVariable) => {
            let name = arg.get_env().map(|name| name.to_string_lossy().into_owned());
            name.unwrap_or_default()
        }
        _ => match sources.whole.value_source(id) {
            Some(ValueSource::CommandLine) => "the file".to_owned(),
            _ => "default".to_owned(),
        },
    };
    if arg.is_hide_env_values_set() {
        return (None, source);
    }
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return (Some(sources.whole.get_flag(id).to_string()), source);
    }
    let raw = sources.whole.get_raw(id);
    let words: Vec<String> =
        raw.into_iter().flatten().map(|word| quoted(&word.to_string_lossy())).collect();
    let value = match words.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(format!("[{}]", many.join(", "))),
    };
    (value, source)
}

/// A value as a TOML file has it: numbers as they are, everything else as a text.
fn quoted(word: &str) -> String {
    match word.parse::<i64>() {
        Ok(_) => word.to_owned(),
        Err(_) => serde_json::Value::from(word).to_string(),
    }
}
