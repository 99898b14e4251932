//! `kvctl mon`: live values of nodes.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::arguments::{Format, MonCommand, interval};
use super::commands::Told;
use super::{CommandError, DECIDED_NO, output};
use crate::monitor::{
    MonitorAnswer, MonitorEntry, MonitorError, MonitorPart, MonitorRequest, MonitorValue,
    MonitorWatch, monitor,
};

/// The time between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// The same for the lines of a log.
const LOG_INTERVAL: Duration = Duration::from_millis(100);

/// Carries the command out. Returns the exit code.
pub(super) async fn run(
    command: MonCommand,
    endpoints: &[String],
    deadline: Instant,
    format: Format,
    told: Told<'_>,
) -> Result<u8, CommandError> {
    let within = deadline.saturating_duration_since(Instant::now());
    let (path, value) = match command {
        MonCommand::Watch { path, interval: given, count } => {
            let otherwise = if is_log(&path) { LOG_INTERVAL } else { INTERVAL };
            let interval_ms = interval(given, otherwise).as_millis();
            let interval_ms = u64::try_from(interval_ms).unwrap_or(u64::MAX).max(1);
            let request = MonitorRequest { path, interval_ms, ..MonitorRequest::default() };
            return watch((endpoints, within), request, count, format, told).await;
        }
        MonCommand::Get { path } => (path, None),
        MonCommand::Set { path, value } => (path, Some(value)),
    };
    let request = MonitorRequest { path, value, ..MonitorRequest::default() };
    let (path, is_set) = (request.path.clone(), request.value.is_some());
    let answer = monitor(endpoints, request, within).await?;
    let shown = Shown::of(&path, answer)?;
    shown.write(format, told.0)?;
    // What was set in part only is not what was asked for.
    let is_part = shown.parts.iter().any(|part| part.error.is_some());
    Ok(if is_set && is_part { DECIDED_NO } else { 0 })
}

fn is_log(path: &str) -> bool {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    match parts.next() {
        Some("node") => parts.nth(1) == Some("log") && parts.next().is_none(),
        Some("cluster") => parts.next() == Some("log") && parts.next().is_none(),
        Some(_) | None => false,
    }
}

async fn watch(
    (endpoints, patience): (&[String], Duration),
    request: MonitorRequest,
    count: Option<u64>,
    format: Format,
    (output, errors): Told<'_>,
) -> Result<u8, CommandError> {
    let path = request.path.clone();
    let mut left = count.unwrap_or(u64::MAX);
    let mut watch = MonitorWatch::new(endpoints, request, patience)?;
    let mut complaints = BTreeMap::new();
    while 0 < left {
        let answer = watch.next().await?;
        if is_log(&path) {
            left = lines(answer, left, format, (&mut *output, &mut *errors), &mut complaints)?;
        } else {
            Shown::of(&path, answer)?.write(format, output)?;
            left -= 1;
        }
        output.flush()?;
    }
    Ok(0)
}

/// Writes lines of logs; returns how many are still wanted.
fn lines(
    answer: MonitorAnswer,
    mut left: u64,
    format: Format,
    (output, errors): Told<'_>,
    complaints: &mut BTreeMap<u64, String>,
) -> Result<u64, CommandError> {
    #[derive(Serialize)]
    struct Line<'a> {
        node_id: u64,
        line: &'a MonitorValue,
    }
    let is_one = answer.parts.len() == 1;
    for part in answer.parts {
        let id = part.node_id;
        if let Some(error) = part.error {
            if is_one {
                return Err(of_error(&error));
            }
            // Each once, however often it is said.
            if complaints.get(&id) != Some(&error.text) {
                let _ = writeln!(errors, "kvctl: node {id}: {}", error.text);
                complaints.insert(id, error.text);
            }
            continue;
        }
        complaints.remove(&id);
        if part.lines_lost != 0 {
            let lost = part.lines_lost;
            // Nobody is left to be told that standard error is closed.
            let _ = writeln!(errors, "kvctl: node {id}: {lost} lines were lost, read faster");
        }
        for entry in part.entries {
            if left == 0 {
                return Ok(0);
            }
            left -= 1;
            match format {
                Format::Json => output::json(output, &Line { node_id: id, line: &entry.value })?,
                Format::Simple | Format::Table => {
                    let line = output::printable(entry.value.to_string().as_bytes());
                    let of_node = if is_one { String::new() } else { format!("{id}| ") };
                    writeln!(output, "{of_node}{line}")?;
                }
            }
        }
    }
    Ok(left)
}

/// What a node says against a question, as an error of the command.
fn of_error(error: &MonitorError) -> CommandError {
    let text = output::printable(error.text.as_bytes());
    if error.code == MonitorError::SILENT {
        CommandError::Silent(text)
    } else {
        CommandError::NoValue(text)
    }
}

/// An answer as it is shown.
struct Shown {
    parts: Vec<MonitorPart>,
    /// Whether every node was asked.
    is_of_all: bool,
    /// Whether there is one value of each node.
    is_leaf: bool,
}

impl Shown {
    /// Errors: if no node gave a value, with what the first of them says.
    fn of(path: &str, answer: MonitorAnswer) -> Result<Self, CommandError> {
        let parts = answer.parts;
        let refusal = parts.iter().find_map(|part| part.error.as_ref());
        if let (Some(error), true) = (refusal, parts.iter().all(|part| part.error.is_some())) {
            return Err(of_error(error));
        }
        let mut rest = path.trim_matches('/').split('/');
        let is_of_all = rest.next() == Some("cluster");
        let rest: Vec<&str> = if is_of_all { rest.collect() } else { rest.skip(1).collect() };
        let rest = rest.join("/");
        let is_leaf = parts
            .iter()
            .filter(|part| part.error.is_none())
            .all(|part| part.entries.len() == 1 && part.entries[0].path == rest);
        Ok(Self { parts, is_of_all, is_leaf })
    }

    fn write(&self, format: Format, output: &mut dyn Write) -> io::Result<()> {
        match format {
            Format::Simple => self.lines(output),
            Format::Json => self.json(output),
            Format::Table => self.table(output),
        }
    }

    fn lines(&self, output: &mut dyn Write) -> io::Result<()> {
        for part in &self.parts {
            if let Some(error) = &part.error {
                let text = output::printable(error.text.as_bytes());
                writeln!(output, "{} error: {text}", part.node_id)?;
            }
            for entry in &part.entries {
                let value = output::printable(entry.value.to_string().as_bytes());
                if !self.is_leaf {
                    let mark = if entry.settable { " (can be set)" } else { "" };
                    writeln!(output, "{} = {value}{mark}", whole_path(part, entry))?;
                } else if self.is_of_all {
                    writeln!(output, "{} {value}", part.node_id)?;
                } else {
                    writeln!(output, "{value}")?;
                }
            }
        }
        Ok(())
    }

    fn json(&self, output: &mut dyn Write) -> io::Result<()> {
        let of_part = |part: &MonitorPart| match (&part.error, part.entries.as_slice()) {
            (Some(error), _) => serde_json::json!({ "error": error.text }),
            (None, [entry]) if self.is_leaf => serde_json::json!(entry.value),
            (None, entries) => {
                let values: BTreeMap<&str, &MonitorValue> =
                    entries.iter().map(|entry| (entry.path.as_str(), &entry.value)).collect();
                serde_json::json!(values)
            }
        };
        if self.is_of_all {
            let nodes: BTreeMap<u64, serde_json::Value> =
                self.parts.iter().map(|part| (part.node_id, of_part(part))).collect();
            return output::json(output, &nodes);
        }
        self.parts.iter().try_for_each(|part| output::json(output, &of_part(part)))
    }

    fn table(&self, output: &mut dyn Write) -> io::Result<()> {
        let mut rows = Vec::new();
        for part in &self.parts {
            if let Some(error) = &part.error {
                let text = output::printable(error.text.as_bytes());
                rows.push(vec![format!("/node/{}", part.node_id), text, String::new()]);
            }
            for entry in &part.entries {
                let value = output::printable(entry.value.to_string().as_bytes());
                let mark = if entry.settable { "yes" } else { "" };
                rows.push(vec![whole_path(part, entry), value, mark.to_owned()]);
            }
        }
        output::table(output, &["PATH", "VALUE", "CAN BE SET"], &rows)
    }
}

fn whole_path(part: &MonitorPart, entry: &MonitorEntry) -> String {
    match part.node_id {
        0 => format!("/{}", entry.path),
        id => format!("/node/{id}/{}", entry.path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(node_id: u64, entries: &[(&str, u64)]) -> MonitorPart {
        let entry = |(path, value): &(&str, u64)| MonitorEntry {
            path: (*path).to_owned(),
            value: (*value).into(),
            settable: path.ends_with("_ms"),
        };
        let entries = entries.iter().map(entry).collect();
        MonitorPart { node_id, entries, ..MonitorPart::default() }
    }

    fn silent(node_id: u64) -> MonitorPart {
        let error = MonitorError { code: MonitorError::SILENT, text: "no answer".to_owned() };
        MonitorPart { node_id, error: Some(error), ..MonitorPart::default() }
    }

    fn written(path: &str, parts: Vec<MonitorPart>, format: Format) -> String {
        let mut output = Vec::new();
        let shown = Shown::of(path, MonitorAnswer { parts }).unwrap();
        shown.write(format, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn one_value_stands_alone_and_several_with_their_paths() {
        let term = || vec![part(2, &[("raft/term", 7)])];
        assert_eq!(written("/node/2/raft/term", term(), Format::Simple), "7\n");
        assert_eq!(written("node/2/raft/term/", term(), Format::Json), "7\n");
        let some = || vec![part(2, &[("raft/term", 7), ("raft/x_ms", 9)])];
        assert_eq!(
            written("/node/2/raft", some(), Format::Simple),
            "/node/2/raft/term = 7\n/node/2/raft/x_ms = 9 (can be set)\n"
        );
        assert_eq!(
            written("/node/2/raft", some(), Format::Json),
            "{\"raft/term\":7,\"raft/x_ms\":9}\n"
        );
    }

    #[test]
    fn of_the_cluster_each_node_has_its_value_or_its_error() {
        let parts = || vec![part(1, &[("raft/term", 7)]), silent(3)];
        assert_eq!(
            written("/cluster/raft/term", parts(), Format::Simple),
            "1 7\n3 error: no answer\n"
        );
        assert_eq!(
            written("/cluster/raft/term", parts(), Format::Json),
            "{\"1\":7,\"3\":{\"error\":\"no answer\"}}\n"
        );
    }

    #[test]
    fn without_any_value_the_command_fails() {
        let answer = MonitorAnswer { parts: vec![silent(3)] };
        let error = Shown::of("/node/3/raft", answer).err().unwrap();
        assert_eq!((error.exit_code(), error.to_string()), (3, "no answer".to_owned()));
    }

    #[test]
    fn a_log_is_told_from_a_value() {
        assert!(is_log("/node/1/log") && is_log("cluster/log/"));
        assert!(!is_log("/node/1/log/level") && !is_log("/node/1/raft") && !is_log("/"));
    }
}
