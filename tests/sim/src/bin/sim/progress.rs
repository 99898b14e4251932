//! How far a batch is: a bar on a terminal, and now and then a line elsewhere.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use sim::simulator::Progress;

use crate::clock;

/// How long the bar is, in characters.
const BAR_WIDTH: u32 = 40;

/// How often a line is written where there is no bar.
const LINE_INTERVAL: Duration = Duration::from_secs(30);

/// Shows how far a batch is, on the standard error output.
pub(crate) struct Display {
    is_bar: bool,
    began: Instant,
    /// When all seeds must be over, if not before.
    ends: Option<Instant>,
    newest_line: Instant,
}

impl Display {
    /// Begins with nothing to show.
    pub(crate) fn new(ends: Option<Instant>) -> Self {
        let now = clock::now();
        Self { is_bar: stderr().is_terminal(), began: now, ends, newest_line: now }
    }

    /// Shows how far it is. Returns whether there is time for more.
    pub(crate) fn show(&mut self, progress: &Progress) -> bool {
        let now = clock::now();
        let text = self.text(progress, now);
        // What cannot be shown changes no result.
        if self.is_bar {
            let _ = write!(stderr(), "\r{text}\x1b[K");
            let _ = stderr().flush();
        } else if LINE_INTERVAL <= now.duration_since(self.newest_line) {
            self.newest_line = now;
            let _ = writeln!(stderr(), "{text}");
        }
        self.ends.is_none_or(|ends| now < ends)
    }

    /// Makes room for the report.
    pub(crate) fn clear(&self) {
        if self.is_bar {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }

    fn text(&self, progress: &Progress, now: Instant) -> String {
        let &Progress { done, of, failed } = progress;
        let spent = now.duration_since(self.began).as_secs_f64();
        let by_time = self.ends.map(|ends| ends.duration_since(self.began).as_secs_f64());
        let by_seeds = done as f64 / of.max(1) as f64;
        let part = by_time.map_or(by_seeds, |whole| by_seeds.max(spent / whole)).min(1.0);
        let mark = |at: u32| if f64::from(at) < part * f64::from(BAR_WIDTH) { '#' } else { '.' };
        let bar: String = (0..BAR_WIDTH).map(mark).collect();
        let left = if 0.0 < part { spent / part - spent } else { 0.0 };
        format!("[{bar}] {done} seeds, {failed} failed, {spent:.0} s, about {left:.0} s left")
    }
}
