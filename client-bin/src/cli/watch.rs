//! `kvctl watch`: what happens, an event to a line.

use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use serde::Serialize;
use tokio::time::Instant;

use super::CommandError;
use super::arguments::{Format, Only, WatchArguments};
use super::commands::Target;
use super::output::{self, printable};
use crate::document::{self, Pair};
use crate::{Event, Interest, Items, KeyRange, Kind, Name, RangeEnd, Update, WatchOptions};

const HEADS: &[&str] = &["REVISION", "EVENT", "KEY", "ITEM", "VALUE", "PREVIOUS"];

/// Shows events until there were as many as are wanted. Returns the exit code.
pub(super) async fn run(
    arguments: WatchArguments,
    target: &Target<'_>,
    deadline: Instant,
    format: Format,
    output: &mut dyn Write,
) -> Result<u8, CommandError> {
    let WatchArguments { key, prefix, to, from_key, field, member, .. } = &arguments;
    let key = key.clone().into_vec();
    let end = match to {
        Some(to) => RangeEnd::HalfOpen(to.as_bytes()),
        None if *from_key => RangeEnd::From,
        None if *prefix => RangeEnd::Prefix,
        None => RangeEnd::Single,
    };
    let items = match field.as_ref().or(member.as_ref()) {
        Some(name) => Items::Named(Name(name.as_bytes())),
        None => Items::All,
    };
    let interest = Interest {
        range: KeyRange { from: &key, end },
        items,
        puts: arguments.only != Some(Only::Del),
        deletes: arguments.only != Some(Only::Put),
        previous: arguments.prev,
    };
    let options = WatchOptions { since: arguments.since, progress: arguments.progress };
    let mut watch = target.client(deadline).await?.watch(&interest, options).await?;
    let mut writer = Writer { format, has_head: false, shows_previous: arguments.prev };
    let mut left = arguments.events.unwrap_or(u64::MAX);
    while 0 < left {
        match watch.next().await? {
            Update::Changes { events, .. } => {
                for event in events {
                    if 0 < left {
                        writer.event(output, &event)?;
                        left -= 1;
                    }
                }
            }
            Update::Progress { revision } => writer.progress(output, revision)?,
        }
        output.flush()?;
    }
    Ok(0)
}

struct Writer {
    format: Format,
    has_head: bool,
    shows_previous: bool,
}

impl Writer {
    fn event(&mut self, output: &mut dyn Write, event: &Event) -> io::Result<()> {
        let Event { revision, key, item, next, previous } = event;
        let what = document::what(next.is_some());
        match self.format {
            Format::Simple => writeln!(output, "{}", self.line(event, what)),
            Format::Json => {
                let states = (next.as_ref().map(Pair::from), previous.as_ref().map(Pair::from));
                let document = document::Event::new(*revision, (key, item.as_deref()), states);
                output::json(output, &document)
            }
            Format::Table => {
                let value = |kv: &Option<crate::KeyValue>| {
                    kv.as_ref().map_or_else(String::new, |kv| printable(&kv.value))
                };
                let item = item.as_ref().map_or_else(String::new, |item| printable(item));
                let (next, previous) = (value(next), value(previous));
                let (revision, key) = (revision.to_string(), printable(key));
                self.row(output, vec![revision, what.to_owned(), key, item, next, previous])
            }
        }
    }

    /// Revision, what happened, the key; of an item its name; what it is now, and what it was if
    /// that is wanted.
    fn line(&self, event: &Event, what: &str) -> String {
        let Event { revision, key, item, next, previous } = event;
        let mut line = format!("{revision} {what} {}", printable(key));
        if let Some(item) = item {
            line += &format!(" {}", printable(item));
        }
        let value = |kv: &crate::KeyValue| match kv.kind {
            Kind::String => printable(&kv.value),
            Kind::Hash | Kind::Set => format!("({})", kv.kind),
        };
        // The value of a member is empty, and would leave a blank.
        if let Some(kv) = next.as_ref().filter(|kv| item.is_none() || !kv.value.is_empty()) {
            let between = if item.is_some() { ":" } else { " " };
            line += &format!("{between}{}", value(kv));
        }
        match previous {
            Some(kv) if self.shows_previous => line + &format!(" (was {})", value(kv)),
            Some(_) | None => line,
        }
    }

    fn progress(&mut self, output: &mut dyn Write, revision: u64) -> io::Result<()> {
        match self.format {
            Format::Simple => writeln!(output, "{revision} progress"),
            Format::Json => {
                #[derive(Serialize)]
                struct Progress {
                    revision: u64,
                    event: &'static str,
                }
                output::json(output, &Progress { revision, event: "progress" })
            }
            Format::Table => self.row(output, vec![revision.to_string(), "progress".to_owned()]),
        }
    }

    fn row(&mut self, output: &mut dyn Write, row: Vec<String>) -> io::Result<()> {
        let heads: &[&str] = if self.has_head { &[] } else { HEADS };
        self.has_head = true;
        output::table(output, heads, &[row])
    }
}
