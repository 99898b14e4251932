//! Settings from a file: whatever is a flag can stand there, under the flag's name.
//!
//! The file only adds words to the command line, for flags that were given neither there nor by
//! their environment variable; what a setting may say is checked in one place.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::StartError;

/// The flag that names the file, which cannot stand in one.
pub(super) const CONFIG: &str = "config";

/// The longest file that is read; a longer one is refused. Units: bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What a table of addresses is called beside the flag that takes the same as one text.
const CLUSTER: &str = "cluster";
/// That flag.
const PEERS: &str = "peers";
/// How many nodes a cluster in one process has, if the file does not say but names them.
const NODES: &str = "nodes";

/// A file of settings.
#[derive(Debug)]
pub(super) struct ConfigFile {
    path: PathBuf,
    settings: Vec<Setting>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    /// The flag's name without dashes.
    name: String,
    value: Value,
    line: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    /// As the flag takes it.
    Text(String),
    /// For a flag that is given or not, or one that takes `on` and `off`.
    Switch(bool),
}

impl ConfigFile {
    /// Reads a file.
    ///
    /// Errors: `StartError::Setting` says what is wrong with it and in which line.
    pub(super) fn read(path: &Path) -> Result<Self, StartError> {
        let told = |text: String| StartError::Setting(format!("{}: {text}", path.display()));
        let length = fs::metadata(path).map_err(|error| told(error.to_string()))?.len();
        if FILE_BYTES_MAX < length {
            return Err(told(format!("{length} bytes are no settings, {FILE_BYTES_MAX} are most")));
        }
        let text = fs::read_to_string(path).map_err(|error| told(error.to_string()))?;
        let settings = settings(&text).map_err(told)?;
        Ok(Self { path: path.to_owned(), settings })
    }

    /// The words that the file adds to a command line that was understood as `matches`.
    ///
    /// Errors: names the line that speaks of no setting of any `commands`, or of one that takes
    /// something else. What the others know and `command` does not is passed over, so that one
    /// file is good for both ways to run.
    pub(super) fn words(
        &self,
        (command, others): (&Command, &[&Command]),
        matches: &ArgMatches,
    ) -> Result<Vec<OsString>, StartError> {
        let mut words = Vec::new();
        for setting in &self.settings {
            let Some(arg) = flag(command, &setting.name) else {
                let other = others.iter().find(|other| flag(other, &setting.name).is_some());
                let Some(other) = other else {
                    let name = &setting.name;
                    let text = format!("no setting is called {name}; see: kvorum config show");
                    return Err(self.wrong(setting, &text));
                };
                self.check(other, setting)?;
                continue;
            };
            self.check(command, setting)?;
            words.extend(setting.word(arg).filter(|_| !is_given(matches, arg)));
        }
        words.extend(self.nodes(command, matches));
        Ok(words)
    }

    /// A cluster in one process has as many nodes as the file names.
    fn nodes(&self, command: &Command, matches: &ArgMatches) -> Option<OsString> {
        let arg = flag(command, NODES).filter(|arg| !is_given(matches, arg))?;
        let says = |name: &str| self.settings.iter().find(|setting| setting.name == name);
        let peers = says(PEERS).filter(|_| says(arg.get_id().as_str()).is_none())?;
        let Value::Text(peers) = &peers.value else { return None };
        Some(OsString::from(format!("--{NODES}={}", peers.split(',').count())))
    }

    /// Whether the flag takes what the file says.
    fn check(&self, command: &Command, setting: &Setting) -> Result<(), StartError> {
        let word = flag(command, &setting.name).and_then(|arg| setting.word(arg));
        let words = [OsString::from("kvorum")].into_iter().chain(word);
        match command.clone().try_get_matches_from(words) {
            Ok(_) => Ok(()),
            Err(error) => {
                let text = error.render().to_string();
                let line = text.lines().next().unwrap_or_default();
                Err(self.wrong(setting, line.strip_prefix("error: ").unwrap_or(line)))
            }
        }
    }

    fn wrong(&self, setting: &Setting, text: &str) -> StartError {
        StartError::Setting(format!("{}: line {}: {text}", self.path.display(), setting.line))
    }
}

impl Setting {
    /// The setting as a word of the command line; `None` if that is to say nothing.
    fn word(&self, arg: &Arg) -> Option<OsString> {
        let name = &self.name;
        let takes_nothing = matches!(arg.get_action(), ArgAction::SetTrue);
        let word = match &self.value {
            Value::Text(text) => format!("--{name}={text}"),
            Value::Switch(true) if takes_nothing => format!("--{name}"),
            Value::Switch(false) if takes_nothing => return None,
            Value::Switch(is_on) => format!("--{name}={}", if *is_on { "on" } else { "off" }),
        };
        Some(OsString::from(word))
    }
}

/// The flag of this name; the file cannot name a file.
fn flag<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| arg.get_long() == Some(name) && name != CONFIG)
}

/// Whether somebody said what the flag is, on the command line or in the environment.
pub(super) fn is_given(matches: &ArgMatches, arg: &Arg) -> bool {
    let source = matches.value_source(arg.get_id().as_str());
    matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
}

/// The settings of a document, in the order of its lines.
fn settings(text: &str) -> Result<Vec<Setting>, String> {
    let line_of = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(span.start));
        format!("line {line}: {}", error.message())
    })?;
    let mut settings = Vec::new();
    for (key, value) in table.into_inner() {
        let line = line_of(key.span().start);
        let name = key.get_ref().replace('_', "-");
        let name = if name == CLUSTER { PEERS.to_owned() } else { name };
        let value = read(&value).ok_or_else(|| {
            format!("line {line}: {name} must be a text, a number, true, false or a list of these")
        })?;
        settings.push(Setting { name, value, line });
    }
    settings.sort_by_key(|setting| setting.line);
    let twice = settings
        .iter()
        .enumerate()
        .find(|(at, setting)| settings[..*at].iter().any(|before| before.name == setting.name));
    match twice {
        Some((_, Setting { name, line, .. })) => {
            Err(format!("line {line}: {name} stands there twice"))
        }
        None => Ok(settings),
    }
}

/// A value as flags take it; `None` if none does.
fn read(value: &Spanned<DeValue<'_>>) -> Option<Value> {
    let texts = match value.get_ref() {
        DeValue::Boolean(is_on) => return Some(Value::Switch(*is_on)),
        DeValue::Array(values) => values.iter().map(one).collect::<Option<Vec<String>>>()?,
        // Nodes by their numbers.
        DeValue::Table(places) => {
            let place = |(id, at): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
                Some(format!("{}={}", id.get_ref(), one(at)?))
            };
            places.iter().map(place).collect::<Option<Vec<String>>>()?
        }
        _ => vec![one(value)?],
    };
    Some(Value::Text(texts.join(",")))
}

fn one(value: &Spanned<DeValue<'_>>) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Result<Vec<(String, Value)>, String> {
        let pair = |Setting { name, value, .. }: Setting| (name, value);
        settings(text).map(|settings| settings.into_iter().map(pair).collect())
    }

    fn text(name: &str, value: &str) -> (String, Value) {
        (name.to_owned(), Value::Text(value.to_owned()))
    }

    #[test]
    fn settings_are_flags_by_another_name() {
        let said_so = said("memory_max = 1000\nlisten = \"a:1\"\njoin = ['a:1', 'b:2']\n").unwrap();
        let listed = text("join", "a:1,b:2");
        assert_eq!(said_so, [text("memory-max", "1000"), text("listen", "a:1"), listed]);
        let switch = ("lease-reads".to_owned(), Value::Switch(true));
        assert_eq!(said("lease-reads = true").unwrap(), [switch]);
        let cluster = said("[cluster]\n1 = 'a:1'\n2 = 'b:2'\n").unwrap();
        assert_eq!(cluster, [text("peers", "1=a:1,2=b:2")]);
    }

    #[test]
    fn what_makes_no_sense_is_said_with_its_line() {
        for (text, words) in [
            ("a = 1\nb =\n", "line 2: "),
            ("\n\nwhen = 2020-01-01\n", "line 3: when must be a text"),
            ("x = [[1]]\n", "line 1: x must be"),
            ("a_b = 1\na-b = 2\n", "line 2: a-b stands there twice"),
            ("peers = '1=a:1'\n[cluster]\n1 = 'a:1'\n", "peers stands there twice"),
        ] {
            let error = said(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
