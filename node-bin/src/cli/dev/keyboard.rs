//! What a user types, and Ctrl-C, also while a command is shown.

use std::io::{self, IsTerminal as _};

use kvorum_client::prompt::{Entered, Prompt, Word};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The user's end of the session.
#[derive(Debug)]
pub(super) struct Keyboard {
    prompt: Prompt,
    /// One listener for all: a signal that comes together with a line must not get lost.
    interrupts: Signal,
    is_terminal: bool,
    /// What was entered while a command was shown, and is not for that.
    kept: Option<io::Result<Entered>>,
    was_interrupted: bool,
}

impl Keyboard {
    pub(super) fn new(text: &str, words: &'static [Word]) -> io::Result<Self> {
        let is_terminal = io::stdin().is_terminal();
        let prompt = if is_terminal {
            Prompt::on_terminal(text, words)
        } else {
            Prompt::on_input(Box::new(io::BufReader::new(io::stdin())))
        };
        let interrupts = signal(SignalKind::interrupt())?;
        Ok(Self { prompt, interrupts, is_terminal, kept: None, was_interrupted: false })
    }

    /// Whether a person types.
    pub(super) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// The next line, or Ctrl-C.
    pub(super) async fn next(&mut self) -> io::Result<Entered> {
        if let Some(kept) = self.kept.take() {
            return kept;
        }
        tokio::select! {
            entered = self.prompt.next() => entered,
            _ = self.interrupts.recv() => Ok(Entered::Interrupted),
        }
    }

    /// Waits until the user has had enough of a command: by Ctrl-C, or with `by_line` by Enter too.
    /// A line with words ends it as well, and is carried out then.
    pub(super) async fn enough(&mut self, by_line: bool) {
        tokio::select! {
            _ = self.interrupts.recv() => self.was_interrupted = true,
            entered = self.prompt.next(), if by_line => match entered {
                Ok(Entered::Line(line)) if line.trim().is_empty() => {}
                // At a terminal that is edited Ctrl-C is a key like any other.
                Ok(Entered::Interrupted) => {}
                other => self.kept = Some(other),
            },
        }
    }

    /// Whether it was Ctrl-C, since somebody asked.
    pub(super) fn take_interrupt(&mut self) -> bool {
        std::mem::take(&mut self.was_interrupted)
    }
}
