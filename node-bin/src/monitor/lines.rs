//! The newest lines of the log, for those who watch it.

use std::collections::VecDeque;

/// As many lines are kept at most; the oldest go first.
const LINES_MAX: usize = 4_096;

/// The lines together take no more; the oldest go first. Units: bytes.
const BYTES_MAX: usize = 1024 * 1024;

/// The longest line that is kept whole. Units: bytes.
pub(crate) const LINE_BYTES_MAX: usize = 16 * 1024;

/// How much is shown at once. Units: bytes.
const SHOWN_BYTES_MAX: usize = 256 * 1024;

/// The newest lines, each with its number.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    lines: VecDeque<String>,
    bytes: usize,
    /// How many there ever were: the number of the newest.
    newest: u64,
}

/// Lines that follow each other.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    /// With the number of each.
    pub(crate) lines: Vec<(u64, String)>,
    /// The number of the last one, or of the newest where there is nothing to show.
    pub(crate) seen: u64,
    /// How many are gone that should have come before them.
    pub(crate) lost: u64,
}

impl Lines {
    /// Takes the next line; `dropped` came before it and were not kept by anybody.
    pub(crate) fn push(&mut self, line: String, dropped: u64) {
        if dropped != 0 {
            // There is nothing between the numbers any more, so nothing before them is shown.
            self.lines.clear();
            self.bytes = 0;
        }
        self.newest += dropped + 1;
        self.bytes += line.len();
        self.lines.push_back(line);
        while LINES_MAX < self.lines.len() || BYTES_MAX < self.bytes {
            let oldest = self.lines.pop_front();
            self.bytes -= oldest.map_or(0, |line| line.len());
        }
    }

    /// The number of the newest line.
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    /// What came after line `seen`, as far as it is there; `None` asks for nothing yet.
    pub(crate) fn after(&self, seen: Option<u64>) -> Shown {
        // A number from before the node was started again is above all of this life.
        let seen = match seen {
            None => return Shown { seen: self.newest, ..Shown::default() },
            Some(seen) if self.newest < seen => 0,
            Some(seen) => seen,
        };
        let kept = u64::try_from(self.lines.len()).unwrap_or(u64::MAX);
        let gone = self.newest - kept;
        let mut shown = Shown { lines: Vec::new(), seen, lost: gone.saturating_sub(seen) };
        let mut bytes = 0;
        for (number, line) in (gone + 1..).zip(&self.lines).filter(|(number, _)| seen < *number) {
            bytes += line.len();
            if SHOWN_BYTES_MAX < bytes && !shown.lines.is_empty() {
                break;
            }
            shown.lines.push((number, line.clone()));
            shown.seen = number;
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(shown: &Shown) -> Vec<&str> {
        shown.lines.iter().map(|(_, line)| line.as_str()).collect()
    }

    #[test]
    fn who_watches_is_shown_every_line_once() {
        let mut lines = Lines::default();
        lines.push("a".to_owned(), 0);
        assert_eq!(lines.after(None), Shown { lines: vec![], seen: 1, lost: 0 });
        lines.push("b".to_owned(), 0);
        lines.push("c".to_owned(), 0);
        let shown = lines.after(Some(1));
        assert_eq!((texts(&shown), shown.seen, shown.lost), (vec!["b", "c"], 3, 0));
        assert!(lines.after(Some(3)).lines.is_empty());
        assert_eq!(texts(&lines.after(Some(77))), ["a", "b", "c"], "the node has started again");
    }

    #[test]
    fn a_slow_reader_is_told_how_many_lines_it_lost() {
        let mut lines = Lines::default();
        for number in 1..=LINES_MAX + 10 {
            lines.push(format!("line {number}"), 0);
        }
        let shown = lines.after(Some(4));
        assert_eq!((shown.lost, texts(&shown)[0]), (6, "line 11"));
        lines.push("next".to_owned(), 5);
        let shown = lines.after(Some(shown.seen));
        assert_eq!((shown.lost, texts(&shown)), (5, vec!["next"]));
    }

    #[test]
    fn long_lines_are_few_and_shown_piece_by_piece() {
        let mut lines = Lines::default();
        for _ in 0..200 {
            lines.push("x".repeat(LINE_BYTES_MAX), 0);
        }
        assert!(lines.bytes <= BYTES_MAX);
        let shown = lines.after(Some(199));
        assert_eq!(shown.lines.len(), 1);
        let first = lines.after(Some(100));
        let rest = lines.after(Some(first.seen));
        assert_eq!((rest.lost, rest.lines[0].0), (0, first.seen + 1));
    }
}
