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

/// The nodes that are told. A line that is written copies no more than a reference to them.
#[derive(Clone, Debug, Default)]
pub(super) struct Taps(Arc<[Tap]>);

/// Makes a message of each line for one node.
#[derive(Clone, Debug)]
struct Tap {
    to: Recipient<LogLine>,
    waiting: Arc<AtomicUsize>,
    dropped: Arc<AtomicU64>,
}

impl Taps {
    /// Tells one more, and forgets those that have ended: a cluster in one process kills and
    /// revives nodes as long as it is played with.
    pub(super) fn add(&mut self, to: Recipient<LogLine>) {
        let new = Tap { to, waiting: Arc::default(), dropped: Arc::default() };
        let living = self.0.iter().filter(|tap| tap.to.connected()).cloned();
        self.0 = living.chain([new]).collect();
    }
}

impl<'a> MakeWriter<'a> for Taps {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl io::Write for Taps {
    /// Takes a whole line, as the layer that formats them writes it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let kept = &line[..line.len().min(LINE_BYTES_MAX)];
        let text = String::from_utf8_lossy(kept);
        for tap in &*self.0 {
            tap.tell(text.trim_end());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Tap {
    fn tell(&self, line: &str) {
        if WAITING_LINES_MAX <= self.waiting.fetch_add(1, Ordering::Relaxed) {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        self.to.do_send(LogLine { line: line.to_owned(), dropped, waiting: self.waiting.clone() });
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use actix::{Actor, ActorContext as _, Context, Handler};
    use tokio::sync::mpsc;

    use super::*;

    /// Hands lines on, and ends when it is told to.
    struct Reader(mpsc::UnboundedSender<String>);

    impl Actor for Reader {
        type Context = Context<Self>;
    }

    impl Handler<LogLine> for Reader {
        type Result = ();

        fn handle(&mut self, told: LogLine, context: &mut Self::Context) {
            if told.line == "end" {
                context.stop();
            }
            let _ = self.0.send(told.line.clone());
        }
    }

    #[actix_rt::test]
    async fn a_node_that_has_ended_leaves_no_tap_behind() {
        let mut taps = Taps::default();
        for round in 0..3 {
            let (lines, mut told) = mpsc::unbounded_channel();
            taps.add(Reader(lines).start().recipient());
            assert_eq!(taps.0.len(), 1, "round {round}");
            taps.write_all(b"one\n").unwrap();
            taps.write_all(b"end\n").unwrap();
            let mut read = Vec::new();
            while let Some(line) = told.recv().await {
                read.push(line);
            }
            assert_eq!(read, ["one", "end"]);
        }
    }
}
