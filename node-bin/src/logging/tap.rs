//! Hands lines of the log to the node that keeps the newest.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use actix::{Message, Recipient};
use tracing_subscriber::fmt::MakeWriter;

use crate::monitor::lines::LINE_BYTES_MAX;

/// As many lines are on their way to the node at most; what comes then it does not get.
const WAITING_LINES_MAX: usize = 1_024;

/// A line of the log.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct LogLine {
    /// Without its end.
    pub(crate) line: String,
    /// How many lines before it were too many.
    pub(crate) dropped: u64,
    /// Falls by one when the line has been taken.
    waiting: Arc<AtomicUsize>,
}

impl Drop for LogLine {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Makes a message of each line.
#[derive(Clone, Debug)]
pub(super) struct Tap {
    to: Recipient<LogLine>,
    waiting: Arc<AtomicUsize>,
    dropped: Arc<AtomicU64>,
}

impl Tap {
    pub(super) fn new(to: Recipient<LogLine>) -> Self {
        Self { to, waiting: Arc::default(), dropped: Arc::default() }
    }
}

impl<'a> MakeWriter<'a> for Tap {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl io::Write for Tap {
    /// Takes a whole line, as the layer that formats them writes it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if WAITING_LINES_MAX <= self.waiting.fetch_add(1, Ordering::Relaxed) {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return Ok(line.len());
        }
        let kept = &line[..line.len().min(LINE_BYTES_MAX)];
        let text = String::from_utf8_lossy(kept).trim_end().to_owned();
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        self.to.do_send(LogLine { line: text, dropped, waiting: self.waiting.clone() });
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
