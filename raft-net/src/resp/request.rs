//! Cuts commands out of what has arrived.
//!
//! A command is an array of bulk strings or a line of words. The parser remembers how far it
//! came, so that a command that arrives in pieces is looked at once.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::inline;

/// The most words of a command. A command of more ends the connection.
pub const ARGUMENTS_MAX: usize = 65_536;

/// The longest command, with everything around its words, and so the longest word. A longer one
/// ends the connection. Units: bytes.
pub const COMMAND_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The longest line of words. A longer one ends the connection. Units: bytes.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;

/// The longest line with a count or a length: more digits than any of them has. Units: bytes.
const NUMBER_LINE_BYTES_MAX: usize = 32;

/// Why a connection cannot be read on. The text is what Redis says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The number of words is none, or above the limit.
    #[error("Protocol error: invalid multibulk length")]
    Count,
    /// There is no end to the line with the number of words.
    #[error("Protocol error: too big mbulk count string")]
    CountLine,
    /// A word does not begin with a dollar.
    #[error("Protocol error: expected '$', got '{}'", .0.escape_ascii())]
    NoBulk(u8),
    /// The length of a word is none, or above the limit.
    #[error("Protocol error: invalid bulk length")]
    Length,
    /// There is no end to the line with a length.
    #[error("Protocol error: too big bulk count string")]
    LengthLine,
    /// A word is longer than it says.
    #[error("Protocol error: expected CRLF after a bulk string")]
    NoEnd,
    /// A command is too long.
    #[error("Protocol error: a command of more than {COMMAND_BYTES_MAX} bytes")]
    TooLong,
    /// A line of words is too long.
    #[error("Protocol error: too big inline request")]
    InlineTooLong,
    /// A quote is not closed, or something stands right behind it.
    #[error("Protocol error: unbalanced quotes in request")]
    Quotes,
}

/// Where a word lies. Units: bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: usize,
    end: usize,
}

/// Commands that arrived together, at least with one word each.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    bytes: Bytes,
    spans: Vec<Span>,
    /// Behind the last word of each command.
    ends: Vec<usize>,
}

impl Batch {
    /// Whether there is no command.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many commands there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// How much memory the commands keep. Units: bytes.
    #[must_use]
    pub fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    /// One of the commands, from 0.
    ///
    /// Panics: if there are not so many.
    #[must_use]
    pub fn get(&self, place: usize) -> Words<'_> {
        let start = if place == 0 { 0 } else { self.ends[place - 1] };
        Words { bytes: &self.bytes, spans: &self.spans[start..self.ends[place]] }
    }
}

/// The words of a command, which lie where they arrived.
#[derive(Clone, Copy, Debug)]
pub struct Words<'b> {
    bytes: &'b [u8],
    spans: &'b [Span],
}

impl<'b> Words<'b> {
    /// How many there are, at least one.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.spans.len()
    }

    /// Never: a command has a word.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// One of the words, from 0.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<&'b [u8]> {
        self.spans.get(place).map(|span| &self.bytes[span.start..span.end])
    }

    /// One after the other.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'b [u8]> + use<'b> {
        let bytes = self.bytes;
        self.spans.iter().map(move |span| &bytes[span.start..span.end])
    }

    /// Those from a place on, none if there are not so many.
    #[must_use]
    pub fn from(&self, place: usize) -> Self {
        let spans = self.spans.get(place..).unwrap_or_default();
        Self { bytes: self.bytes, spans }
    }
}

/// What has been understood of a command that is not all there.
#[derive(Debug, Default)]
pub struct Parser {
    /// Words of the commands that have been cut, and then of the one that is being read.
    spans: Vec<Span>,
    /// Up to where the input is understood.
    at: usize,
    /// How many words are still to come; 0 between two commands.
    missing: usize,
    /// How long the word is whose length has been read.
    length: Option<usize>,
}

/// Whether a step went on.
enum Step {
    /// A command is complete; nothing if it was an empty one.
    Command { has_words: bool },
    /// The input ends before the command does.
    MoreNeeded,
}

impl Parser {
    /// Takes all whole commands away from the front of `input`. With an error come the commands
    /// before it; nothing behind it can be understood, and the caller should say so and close.
    pub fn cut(&mut self, input: &mut BytesMut) -> (Batch, Option<ProtocolError>) {
        let (mut ends, mut done) = (Vec::new(), 0);
        let failure = loop {
            match self.step(input, done) {
                Ok(Step::Command { has_words }) => {
                    done = self.at;
                    if has_words {
                        ends.push(self.spans.len());
                    }
                }
                Ok(Step::MoreNeeded) => break None,
                Err(error) => break Some(error),
            }
        };
        let mut rest = self.spans.split_off(ends.last().copied().unwrap_or(0));
        for span in &mut rest {
            *span = Span { start: span.start - done, end: span.end - done };
        }
        self.at -= done;
        let bytes = input.split_to(done).freeze();
        let spans = std::mem::replace(&mut self.spans, rest);
        (Batch { bytes, spans, ends }, failure)
    }

    /// Reads on in a command that begins at `start`, or begins one.
    fn step(&mut self, input: &mut BytesMut, start: usize) -> Result<Step, ProtocolError> {
        if self.missing == 0 {
            match input.get(self.at) {
                None => return Ok(Step::MoreNeeded),
                Some(b'*') => match self.count(input)? {
                    Some(0) => return Ok(Step::Command { has_words: false }),
                    Some(count) => self.missing = count,
                    None => return Ok(Step::MoreNeeded),
                },
                Some(_) => return self.line(input),
            }
        }
        while 0 < self.missing {
            if !self.word(input)? {
                return Ok(Step::MoreNeeded);
            }
            self.missing -= 1;
            if COMMAND_BYTES_MAX < self.at - start {
                return Err(ProtocolError::TooLong);
            }
        }
        Ok(Step::Command { has_words: true })
    }

    /// The number of words, if its line is there. None at all is no error, as in Redis.
    fn count(&mut self, input: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let line = number_line(input, self.at + 1).map_err(|()| ProtocolError::CountLine)?;
        let Some(line) = line else { return Ok(None) };
        self.at = line.end + 2;
        match number(&input[line]) {
            Some(count) if count <= 0 => Ok(Some(0)),
            Some(count) => usize::try_from(count)
                .ok()
                .filter(|&count| count <= ARGUMENTS_MAX)
                .map(Some)
                .ok_or(ProtocolError::Count),
            None => Err(ProtocolError::Count),
        }
    }

    /// Reads one word; returns whether all of it is there.
    fn word(&mut self, input: &[u8]) -> Result<bool, ProtocolError> {
        let length = match self.length {
            Some(length) => length,
            None => match input.get(self.at) {
                None => return Ok(false),
                Some(b'$') => {
                    let line = number_line(input, self.at + 1);
                    let Some(line) = line.map_err(|()| ProtocolError::LengthLine)? else {
                        return Ok(false);
                    };
                    self.at = line.end + 2;
                    let length = number(&input[line]).and_then(|it| usize::try_from(it).ok());
                    let length = length.filter(|&length| length <= COMMAND_BYTES_MAX);
                    *self.length.insert(length.ok_or(ProtocolError::Length)?)
                }
                Some(&other) => return Err(ProtocolError::NoBulk(other)),
            },
        };
        let span = Span { start: self.at, end: self.at + length };
        let Some(end) = input.get(span.end..span.end + 2) else { return Ok(false) };
        if end != b"\r\n" {
            return Err(ProtocolError::NoEnd);
        }
        self.spans.push(span);
        self.at = span.end + 2;
        self.length = None;
        Ok(true)
    }

    /// Reads a line of words.
    fn line(&mut self, input: &mut BytesMut) -> Result<Step, ProtocolError> {
        let rest = &mut input[self.at..];
        let seen = rest.len().min(INLINE_BYTES_MAX);
        let Some(end) = rest[..seen].iter().position(|&byte| byte == b'\n') else {
            let is_long = INLINE_BYTES_MAX <= rest.len();
            return if is_long { Err(ProtocolError::InlineTooLong) } else { Ok(Step::MoreNeeded) };
        };
        let start = self.at;
        self.at += end + 1;
        let before = self.spans.len();
        let mut words = Vec::new();
        inline::split(&mut rest[..end], &mut words)
            .map_err(|inline::Unbalanced| ProtocolError::Quotes)?;
        let spans = words
            .into_iter()
            .map(|Range { start: from, end }| Span { start: start + from, end: start + end });
        self.spans.extend(spans);
        Ok(Step::Command { has_words: before < self.spans.len() })
    }
}

/// A short line without its end, which is `\r\n`; `None` if the end is not there yet.
///
/// Errors: if it is too far away.
fn number_line(input: &[u8], start: usize) -> Result<Option<Range<usize>>, ()> {
    let rest = input.get(start..).unwrap_or_default();
    let seen = &rest[..rest.len().min(NUMBER_LINE_BYTES_MAX)];
    match seen.iter().position(|&byte| byte == b'\r') {
        Some(end) => match rest.get(end + 1) {
            None => Ok(None),
            Some(b'\n') => Ok(Some(start..start + end)),
            Some(_) => Err(()),
        },
        None if seen.len() == NUMBER_LINE_BYTES_MAX => Err(()),
        None => Ok(None),
    }
}

/// A number as Redis reads it: digits with at most a minus before them.
fn number(text: &[u8]) -> Option<i64> {
    let is_plain = text.first().is_some_and(|first| *first != b'+');
    is_plain.then(|| std::str::from_utf8(text).ok()?.parse().ok())?
}
