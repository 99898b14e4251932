//! What a watch was shown, held against all that ever changed (I20): everything that it is about,
//! in order, each change once, revisions whole, from where it began to where it is.

use bytes::{Bytes, BytesMut};
use kv_store::command::{Change, Interest, Items, KeyRange, Name, RangeEnd};
use kv_store::watching::{End, Word};

use super::past::{Past, Seen};

#[cfg(test)]
mod tests;

/// What a watch is about, without what it borrows.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) from: Vec<u8>,
    pub(crate) is_prefix: bool,
    pub(crate) items: AboutItems,
    pub(crate) puts: bool,
    pub(crate) deletes: bool,
    pub(crate) previous: bool,
}

/// The same of fields and members.
#[derive(Clone, Debug)]
pub(crate) enum AboutItems {
    None,
    All,
    Named(Vec<u8>),
}

/// A watch of a client, wherever it is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    about: About,
    /// The first revision that it was not shown; 0 while the node is to choose it.
    next: u64,
    /// Changes of a revision of which more is to follow.
    partial: Vec<Seen>,
}

/// What a word to a watch means for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It has begun.
    Begun,
    /// It was shown so many changes.
    Shown(usize),
    /// It was told how far it is.
    Marked,
    /// It is over there and is to be asked for again.
    Over(End),
}

impl About {
    /// What a client sends.
    pub(crate) fn encoded(&self) -> Bytes {
        let mut body = BytesMut::new();
        self.interest().encode(&mut body);
        body.freeze()
    }

    fn interest(&self) -> Interest<'_> {
        let items = match &self.items {
            AboutItems::None => Items::Keys,
            AboutItems::All => Items::All,
            AboutItems::Named(name) => Items::Named(Name(name)),
        };
        let end = if self.is_prefix { RangeEnd::Prefix } else { RangeEnd::Single };
        let Self { puts, deletes, previous, .. } = *self;
        Interest { range: KeyRange { from: &self.from, end }, items, puts, deletes, previous }
    }

    /// What is shown of a change, if anything is.
    fn shows(&self, seen: &Seen) -> Option<Seen> {
        let begins = seen.key.starts_with(&self.from);
        let is_there = if self.is_prefix { begins } else { seen.key == self.from };
        let is_named = match (&self.items, &seen.item) {
            (AboutItems::None | AboutItems::All, None) | (AboutItems::All, Some(_)) => true,
            (AboutItems::None, Some(_)) | (AboutItems::Named(_), None) => false,
            (AboutItems::Named(name), Some(item)) => name == item,
        };
        let is_wanted = if seen.next.is_some() { self.puts } else { self.deletes };
        let mut shown = seen.clone();
        shown.previous.take_if(|_| !self.previous);
        (is_there && is_named && is_wanted).then_some(shown)
    }
}

impl Watched {
    /// A watch that is to begin at a revision; 0 is whatever comes next.
    pub(crate) fn new(about: About, start: u64) -> Self {
        Self { about, next: start, partial: Vec::new() }
    }

    /// What a client sends to have it, and from which revision on.
    pub(crate) fn asked(&self) -> (Bytes, u64) {
        (self.about.encoded(), self.next)
    }

    /// Whether it was shown all that there is, and has begun.
    pub(crate) fn has_passed(&self, revision: u64) -> bool {
        revision < self.next
    }

    /// Its connection is gone: half a revision is nothing.
    pub(crate) fn cut_off(&mut self) {
        self.partial.clear();
    }

    /// A node tells it something.
    ///
    /// Panics: if that is not what the past says.
    pub(crate) fn hear(&mut self, word: &Word, past: &Past) -> Heard {
        match word {
            Word::Begun { revision, newest } => {
                let begins_right = self.next == 0 || *revision + 1 == self.next;
                let is_present = self.next != 0 || revision == newest;
                assert!(is_present, "I20 begins behind {revision} and not {newest}: {self:?}");
                assert!(begins_right, "I20 begins behind {revision}, but: {self:?}");
                self.next = revision + 1;
                Heard::Begun
            }
            Word::Changed { changes, is_cut } => {
                let changes = Change::decode_all(changes).expect("nodes show changes");
                assert!(!changes.is_empty(), "I20 an empty word");
                self.partial.extend(changes.iter().map(Seen::of));
                self.show(*is_cut, past);
                Heard::Shown(changes.len())
            }
            Word::Mark { revision } => {
                assert!(self.next <= revision + 1, "I20 marked at {revision}, but: {self:?}");
                self.pass(revision + 1, past);
                Heard::Marked
            }
            Word::Ended(end) => {
                self.end(*end, past);
                Heard::Over(*end)
            }
            Word::Malformed { .. } | Word::Overloaded => panic!("{word:?} is said of {self:?}"),
        }
    }

    /// Compares what was shown, as far as its revisions are whole, with what should be.
    fn show(&mut self, is_cut: bool, past: &Past) {
        let last = self.partial.last().map_or(0, |seen| seen.revision);
        let count = if is_cut {
            self.partial.partition_point(|seen| seen.revision < last)
        } else {
            self.partial.len()
        };
        let shown: Vec<Seen> = self.partial.drain(..count).collect();
        let Some(through) = shown.last().map(|seen| seen.revision) else { return };
        let expected = self.expected(through + 1, past);
        let is_as = |(shown, expected): (&Seen, &Seen)| {
            // What was before a compaction revision may be known or not.
            let is_lost = shown.previous.is_none() && past.was_compacted_at(shown.revision);
            let previous = if is_lost { &None } else { &expected.previous };
            let expected = Seen { previous: previous.clone(), ..expected.clone() };
            *shown == expected
        };
        let is_right = shown.len() == expected.len() && shown.iter().zip(&expected).all(is_as);
        assert!(is_right, "I20 {shown:?} is shown, and not {expected:?}, to {self:?}");
        self.next = through + 1;
    }

    /// Everything before a revision was shown, it is said.
    fn pass(&mut self, next: u64, past: &Past) {
        assert!(self.partial.is_empty(), "I20 half a revision is left: {self:?}");
        assert!(next <= past.newest() + 1 || next <= self.next, "I20 {next} has not come yet");
        let missing = self.expected(next, past);
        assert!(missing.is_empty(), "I20 {missing:?} is not shown to {self:?}");
        self.next = self.next.max(next);
    }

    fn expected(&self, next: u64, past: &Past) -> Vec<Seen> {
        let changes = past.between(self.next, next - 1).iter();
        changes.filter_map(|seen| self.about.shows(seen)).collect()
    }

    fn end(&mut self, end: End, past: &Past) {
        match end {
            // What was lost is said, with where the rest begins.
            End::Compacted { oldest } => {
                let is_lost = self.next < oldest && past.was_compacted_at(oldest);
                assert!(is_lost, "I20 compacted up to {oldest}, it is said to {self:?}");
                self.next = oldest;
            }
            End::Slow { resume_at } | End::NotHere { resume_at } => self.pass(resume_at, past),
            End::Unwatched => {}
            End::TooLarge { .. } => panic!("no revision here is large: {self:?}"),
        }
        self.partial.clear();
    }
}
