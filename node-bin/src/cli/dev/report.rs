//! Writes what happens on the cluster into a file while it runs (`docs/events.md`).

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use kvorum_client::events::{Event, FileFormat, Report};

use crate::error::StartError;
use crate::story::Story;

/// What was written is on its way to the disk after so long, whatever happens then.
const FLUSH_INTERVAL: Duration = Duration::from_millis(200);

/// A report that is being written by a thread of its own.
#[derive(Debug)]
pub(super) struct ReportWriter(JoinHandle<io::Result<()>>);

impl ReportWriter {
    /// Begins the report in this file, in place of what stands there, and returns what nodes tell
    /// their story to.
    ///
    /// Errors: `StartError` if the file cannot be made.
    pub(super) fn begin(path: &Path) -> Result<(Self, Story), StartError> {
        let cannot = |error: io::Error| {
            StartError::Setting(format!("cannot write the report {}: {error}", path.display()))
        };
        let format = FileFormat::of(path).ok_or_else(|| {
            let text = format!("the report {} must end in .html or .jsonl", path.display());
            StartError::Setting(text)
        })?;
        let file = File::create(path).map_err(cannot)?;
        let report = Report::begin(BufWriter::new(file), format).map_err(cannot)?;
        let (story, reader) = Story::begin();
        let writer = std::thread::Builder::new()
            .name("report".to_owned())
            .spawn(move || write(report, &reader))
            .map_err(StartError::Thread)?;
        Ok((Self(writer), story))
    }

    /// Waits until everything is written. Everybody who tells must be gone by then.
    pub(super) fn finish(self) {
        match self.0.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => eprintln!("kvorum: the report could not be written: {error}"),
            Err(_) => eprintln!("kvorum: the report could not be written"),
        }
    }
}

fn write<W: Write>(mut report: Report<W>, reader: &Receiver<String>) -> io::Result<()> {
    loop {
        match reader.recv_timeout(FLUSH_INTERVAL) {
            Ok(text) => {
                for text in std::iter::once(text).chain(reader.try_iter()) {
                    if let Some(event) = Event::read(&text) {
                        report.push(&event)?;
                    }
                }
                report.flush()?;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return report.finish().map(drop),
        }
    }
}
