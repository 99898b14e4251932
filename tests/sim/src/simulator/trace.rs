//! What happened, as a hash always and as text on demand.

/// The trace of a run.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    /// Where lines go, if anybody wants to read them.
    print: Option<fn(&str)>,
}

impl Trace {
    /// A trace whose lines go to `print`, if given.
    pub(crate) fn new(print: Option<fn(&str)>) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, print }
    }

    /// Takes numbers that describe what happened into the hash.
    pub(crate) fn note(&mut self, words: &[u64]) {
        for word in words {
            self.hash = (self.hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
        }
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, now: u64, line: impl FnOnce() -> String) {
        if let Some(print) = self.print {
            print(&format!("{:>10.3} {}", now as f64 / 1000.0, line()));
        }
    }

    /// Whether anybody reads the lines.
    pub(crate) fn is_read(&self) -> bool {
        self.print.is_some()
    }

    /// The hash so far.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }
}
