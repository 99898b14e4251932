//! A prompt: lines from a person at a terminal or from a pipe, and the words in them.
//!
//! Reading blocks, so it has a thread of its own; the program goes on meanwhile. The thread
//! reads a line only when one is asked for, so that output and prompt do not mix. It ends with
//! the process or when the `Prompt` is gone and a line has ended. History lives in memory only,
//! because lines may hold secrets.

use std::borrow::Cow;
use std::io::{self, BufRead, Read as _};
use std::sync::mpsc as std_mpsc;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::{History as _, MemHistory};
use rustyline::validate::Validator;
use rustyline::{Context, Editor, Helper};
use tokio::sync::mpsc;

/// The longest line that is taken from a pipe; a longer one is an error. Units: bytes.
pub const LINE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A command that a prompt completes and hints at.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// The command, in small letters.
    pub name: &'static str,
    /// What follows it, for example `KEY VALUE`.
    pub usage: &'static str,
}

/// What came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entered {
    /// A line without its end.
    Line(String),
    /// Ctrl-C at the terminal: the line is to be forgotten.
    Interrupted,
    /// There are no more lines.
    End,
}

/// Why a line cannot be split into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a quote is not closed")]
pub struct UnclosedQuote;

/// Splits a line into words as a shell does: at blanks, with quotes and backslashes.
///
/// Errors: `UnclosedQuote`; the line should be typed again.
pub fn split(line: &str) -> Result<Vec<String>, UnclosedQuote> {
    shell_words::split(line).map_err(|_| UnclosedQuote)
}

/// Where lines come from.
#[derive(Debug)]
pub struct Prompt {
    wanted: std_mpsc::Sender<()>,
    entered: mpsc::UnboundedReceiver<io::Result<Entered>>,
    is_asked: bool,
}

impl Prompt {
    /// Reads from the terminal, with editing, history, completion and hints. `text` is shown
    /// before each line.
    pub fn on_terminal(text: &str, words: &'static [Word]) -> Self {
        let text = text.to_owned();
        Self::start(move |asked| {
            let editor = Editor::<Vocabulary, MemHistory>::with_history(
                rustyline::Config::default(),
                MemHistory::new(),
            );
            let mut editor = match editor {
                Ok(editor) => editor,
                Err(error) => return asked.answer(Err(io_error(error))),
            };
            editor.set_helper(Some(Vocabulary(words)));
            asked.serve(move || {
                let entered = match editor.readline(text.as_str()) {
                    Ok(line) => Entered::Line(line),
                    Err(ReadlineError::Interrupted) => return Ok(Entered::Interrupted),
                    Err(ReadlineError::Eof) => return Ok(Entered::End),
                    Err(error) => return Err(io_error(error)),
                };
                if let Entered::Line(line) = &entered {
                    editor.history_mut().add(line).map_err(io_error)?;
                }
                Ok(entered)
            });
        })
    }

    /// Reads from a pipe or a file, without a prompt.
    #[must_use]
    pub fn on_input(mut input: Box<dyn BufRead + Send>) -> Self {
        Self::start(move |asked| asked.serve(move || read_line(&mut input)))
    }

    fn start(reader: impl FnOnce(Asked) + Send + 'static) -> Self {
        let (wanted, wants) = std_mpsc::channel();
        let (to, entered) = mpsc::unbounded_channel();
        std::thread::spawn(move || reader(Asked { wants, to }));
        Self { wanted, entered, is_asked: false }
    }

    /// Waits for the next line. May be dropped and called again: no line is lost.
    ///
    /// Errors: if the input cannot be read or is not UTF-8; a line that is bad is skipped.
    pub async fn next(&mut self) -> io::Result<Entered> {
        if !self.is_asked {
            // A thread that has ended says so below.
            let _ = self.wanted.send(());
            self.is_asked = true;
        }
        let entered = self.entered.recv().await;
        self.is_asked = false;
        entered.unwrap_or(Ok(Entered::End))
    }
}

/// The thread's ends of the two channels, which hold one line at most.
struct Asked {
    wants: std_mpsc::Receiver<()>,
    to: mpsc::UnboundedSender<io::Result<Entered>>,
}

impl Asked {
    fn serve(&self, mut read: impl FnMut() -> io::Result<Entered>) {
        while self.wants.recv().is_ok() {
            self.answer(read());
        }
    }

    fn answer(&self, entered: io::Result<Entered>) {
        // Nobody waits if the prompt is gone; then the next `recv` ends the thread.
        let _ = self.to.send(entered);
    }
}

fn read_line(input: &mut dyn BufRead) -> io::Result<Entered> {
    let mut line = Vec::new();
    let limit = u64::try_from(LINE_BYTES_MAX).expect("a limit fits in 64 bits");
    let read = input.take(limit).read_until(b'\n', &mut line)?;
    if read == 0 {
        return Ok(Entered::End);
    }
    if read == LINE_BYTES_MAX && !line.ends_with(b"\n") {
        // Its end would be taken for a line.
        input.skip_until(b'\n')?;
        let text = format!("a line is longer than {LINE_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        line.pop();
    }
    let not_text = |_| io::Error::new(io::ErrorKind::InvalidData, "a line is not UTF-8");
    String::from_utf8(line).map(Entered::Line).map_err(not_text)
}

fn io_error(error: ReadlineError) -> io::Error {
    match error {
        ReadlineError::Io(error) => error,
        error => io::Error::other(error.to_string()),
    }
}

/// Completes and hints at the first word of a line.
struct Vocabulary(&'static [Word]);

impl Vocabulary {
    fn starting_with(&self, start: &str) -> impl Iterator<Item = &'static Word> {
        let start = start.to_lowercase();
        self.0.iter().filter(move |word| word.name.starts_with(&start))
    }
}

impl Completer for Vocabulary {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let start = &line[..position];
        if start.contains(char::is_whitespace) {
            return Ok((position, Vec::new()));
        }
        let names = self.starting_with(start).map(|word| format!("{} ", word.name));
        Ok((0, names.collect()))
    }
}

impl Hinter for Vocabulary {
    type Hint = String;

    /// What may follow a command that stands there alone.
    fn hint(&self, line: &str, position: usize, _: &Context<'_>) -> Option<String> {
        let name = line.trim_end();
        if position < line.len() || name.is_empty() || name.contains(char::is_whitespace) {
            return None;
        }
        let word = self.starting_with(name).find(|word| word.name.len() == name.len())?;
        let blank = if name.len() == line.len() { " " } else { "" };
        (!word.usage.is_empty()).then(|| format!("{blank}{}", word.usage))
    }
}

impl Highlighter for Vocabulary {
    /// Dimmed, so that a hint is not taken for what was typed.
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(format!("\x1b[2m{hint}\x1b[0m"))
    }
}

impl Validator for Vocabulary {}
impl Helper for Vocabulary {}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: &[Word] = &[
        Word { name: "get", usage: "KEY" },
        Word { name: "put", usage: "KEY VALUE" },
        Word { name: "purge", usage: "" },
    ];

    #[test]
    fn words_are_split_as_in_a_shell() {
        let table: [(&str, &[&str]); 5] = [
            ("", &[]),
            ("  put  a\tb ", &["put", "a", "b"]),
            ("put 'a b' \"c \\\" d\"", &["put", "a b", "c \" d"]),
            ("put a\\ b ''", &["put", "a b", ""]),
            ("put ключ 'x=1'", &["put", "ключ", "x=1"]),
        ];
        for (line, words) in table {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
        assert_eq!(split("put 'a"), Err(UnclosedQuote));
        assert_eq!(split("put \"a"), Err(UnclosedQuote));
    }

    #[test]
    fn the_first_word_is_completed_and_the_rest_hinted_at() {
        let (history, words) = (MemHistory::new(), Vocabulary(WORDS));
        let context = Context::new(&history);
        let complete = |line: &str| words.complete(line, line.len(), &context).unwrap().1;
        assert_eq!(complete("pu"), ["put ", "purge "]);
        assert_eq!(complete("GE"), ["get "]);
        assert!(complete("get pu").is_empty());
        let hint = |line: &str| words.hint(line, line.len(), &context);
        assert_eq!(hint("put").as_deref(), Some(" KEY VALUE"));
        assert_eq!(hint("get ").as_deref(), Some("KEY"));
        assert_eq!((hint("pu"), hint("purge"), hint("get k"), hint("")), (None, None, None, None));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn lines_of_a_pipe_come_one_by_one_and_then_the_end() {
        let input: &[u8] = b"one\r\n\n\xff\nlast";
        let mut prompt = Prompt::on_input(Box::new(input));
        assert_eq!(prompt.next().await.unwrap(), Entered::Line("one".into()));
        assert_eq!(prompt.next().await.unwrap(), Entered::Line(String::new()));
        assert_eq!(prompt.next().await.unwrap_err().to_string(), "a line is not UTF-8");
        assert_eq!(prompt.next().await.unwrap(), Entered::Line("last".into()));
        assert_eq!(prompt.next().await.unwrap(), Entered::End);
        assert_eq!(prompt.next().await.unwrap(), Entered::End);
    }
}
