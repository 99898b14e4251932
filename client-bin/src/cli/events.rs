//! `kvctl events`: what has happened on the nodes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::arguments::{EventFilter, EventsArguments, EventsCommand, ExportTo, Format};
use super::commands::Told;
use super::{CommandError, DECIDED_NO, output};
use crate::events::{Event, FileFormat, Report, clock, gather, merge, path};
use crate::monitor::{MonitorRequest, MonitorWatch};

/// How often what is new is asked for.
const INTERVAL_MS: u64 = 100;

/// Carries the command out. Returns the exit code.
pub(super) async fn run(
    arguments: EventsArguments,
    endpoints: &[String],
    deadline: Instant,
    format: Format,
    told: Told<'_>,
) -> Result<u8, CommandError> {
    let within = deadline.saturating_duration_since(Instant::now());
    match arguments.export {
        Some(EventsCommand::Export { to, filter }) => {
            export((endpoints, within), &to, &filter, told).await
        }
        None => show((endpoints, within), arguments, format, told).await,
    }
}

async fn export(
    (endpoints, within): (&[String], Duration),
    to: &ExportTo,
    filter: &EventFilter,
    (output, errors): Told<'_>,
) -> Result<u8, CommandError> {
    let gathered = gather(endpoints, filter.node, within).await?;
    let (file, format) = match (&to.html, &to.jsonl) {
        (Some(file), _) => (file, FileFormat::Html),
        (None, Some(file)) => (file, FileFormat::JsonLines),
        (None, None) => return Err(CommandError::Usage("say --html or --jsonl".to_owned())),
    };
    let events: Vec<&Event> = gathered.events.iter().filter(|it| filter.wants(it)).collect();
    let cannot =
        |error: io::Error| CommandError::Usage(format!("cannot write {}: {error}", file.display()));
    write_report(file, format, &events).map_err(cannot)?;
    writeln!(output, "{} events in {}", events.len(), file.display())?;
    Ok(if complain(&gathered.silent, errors) { DECIDED_NO } else { 0 })
}

fn write_report(file: &Path, format: FileFormat, events: &[&Event]) -> io::Result<()> {
    let mut report = Report::begin(BufWriter::new(File::create(file)?), format)?;
    events.iter().try_for_each(|event| report.push(event))?;
    report.finish().map(drop)
}

/// Says which nodes said nothing; returns whether there are any.
fn complain(silent: &BTreeMap<u64, String>, errors: &mut dyn Write) -> bool {
    for (id, text) in silent {
        // Nobody is left to be told that standard error is closed.
        let text = output::printable(text.as_bytes());
        let _ = writeln!(errors, "kvctl: node {id} is missing: {text}");
    }
    !silent.is_empty()
}

async fn show(
    (endpoints, within): (&[String], Duration),
    arguments: EventsArguments,
    format: Format,
    (output, errors): Told<'_>,
) -> Result<u8, CommandError> {
    let gathered = gather(endpoints, arguments.filter.node, within).await?;
    let mut left = arguments.count.unwrap_or(u64::MAX);
    write(&gathered.events, &arguments, &mut left, (&mut *output, format))?;
    let is_part = complain(&gathered.silent, errors);
    if !arguments.follow {
        return Ok(if is_part { DECIDED_NO } else { 0 });
    }
    output.flush()?;
    let request = MonitorRequest {
        path: path(arguments.filter.node),
        interval_ms: INTERVAL_MS,
        lines_seen: gathered.seen,
        ..MonitorRequest::default()
    };
    let mut watch = MonitorWatch::new(endpoints, request, within)?;
    let mut silent = gathered.silent;
    while 0 < left {
        let mut events = Vec::new();
        for part in watch.next().await?.parts {
            let id = part.node_id;
            match part.error {
                // Each once, however often it is said.
                Some(error) if silent.get(&id) == Some(&error.text) => {}
                Some(error) => {
                    complain(&BTreeMap::from([(id, error.text.clone())]), errors);
                    silent.insert(id, error.text);
                }
                None => drop(silent.remove(&id)),
            }
            if part.lines_lost != 0 {
                let lost = part.lines_lost;
                let _ = writeln!(errors, "kvctl: node {id}: {lost} events were lost, read faster");
            }
            let read = part.entries.iter().filter_map(|it| Event::read(&it.value.to_string()));
            events.extend(read);
        }
        merge(&mut events);
        write(&events, &arguments, &mut left, (&mut *output, format))?;
        output.flush()?;
    }
    Ok(0)
}

fn write(
    events: &[Event],
    arguments: &EventsArguments,
    left: &mut u64,
    (output, format): (&mut dyn Write, Format),
) -> io::Result<()> {
    for event in events {
        let is_wanted = arguments.filter.wants(event);
        if !is_wanted || (event.is_heartbeat() && !arguments.heartbeats) {
            continue;
        }
        if *left == 0 {
            return Ok(());
        }
        *left -= 1;
        match format {
            Format::Json => writeln!(output, "{}", event.json)?,
            Format::Simple | Format::Table => {
                let words = output::printable(event.in_words().as_bytes());
                writeln!(output, "{} node {} {words}", clock(event.at_us), event.node)?;
            }
        }
    }
    Ok(())
}

impl EventFilter {
    fn wants(&self, event: &Event) -> bool {
        self.kind.is_empty() || self.kind.contains(&event.kind)
    }
}
