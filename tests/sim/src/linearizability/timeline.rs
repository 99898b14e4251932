//! Calls and returns in a doubly linked list, from which operations that have taken effect are
//! lifted and into which they are put back.

use crate::linearizability::history::{Operation, Outcome};
use crate::linearizability::model::Model;

/// The end of the list, in both directions.
const HEAD: usize = 0;

/// What has not taken effect yet, by time: each answered operation has a call and a return,
/// one of unknown outcome is not in the list.
#[derive(Debug)]
pub(super) struct Timeline {
    /// By place; the first is the head.
    entries: Vec<Entry>,
    /// Where each operation stands, if it was answered.
    places: Vec<Option<Place>>,
    /// The operations of unknown outcome with the place at which each was called, by place.
    pub(super) unknown: Vec<(usize, usize)>,
    /// How many operations are in the list.
    pub(super) length: usize,
    linearized: Linearized,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    call: usize,
    end: usize,
    /// Its number among the answered operations.
    rank: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    operation: usize,
    is_return: bool,
    previous: usize,
    next: usize,
}

/// The operations that may take effect next, and the first return that waits for one of them.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) candidates: Vec<usize>,
    pub(super) first_return: usize,
    /// The operation of that return.
    pub(super) waiting: usize,
}

impl Timeline {
    /// The list of all operations, which are in the order of their calls.
    pub(super) fn new<M: Model>(operations: &[Operation<M>]) -> Self {
        let mut events: Vec<(u64, bool, usize)> = Vec::with_capacity(2 * operations.len());
        for (number, operation) in operations.iter().enumerate() {
            events.push((operation.called, false, number));
            if let Outcome::Answered { returned, .. } = operation.outcome {
                events.push((returned, true, number));
            }
        }
        // At the same moment calls come first: such operations are concurrent.
        events.sort_unstable();
        let head = Entry { operation: usize::MAX, is_return: true, previous: HEAD, next: HEAD };
        let mut timeline = Self {
            entries: vec![head],
            places: vec![None; operations.len()],
            unknown: Vec::new(),
            length: 0,
            linearized: Linearized::new(operations.len()),
        };
        events.into_iter().for_each(|event| {
            let (_, is_return, number) = event;
            timeline.push(number, is_return, operations[number].answer().is_some());
        });
        timeline
    }

    fn push(&mut self, operation: usize, is_return: bool, is_answered: bool) {
        let place = self.entries.len();
        if !is_answered {
            self.unknown.push((operation, place));
            return;
        }
        let previous = self.entries[HEAD].previous;
        self.entries.push(Entry { operation, is_return, previous, next: HEAD });
        self.entries[previous].next = place;
        self.entries[HEAD].previous = place;
        let first = Place { call: place, end: place, rank: self.length };
        self.places[operation].get_or_insert(first).end = place;
        self.length += usize::from(!is_return);
    }

    /// Everything that was called before the first return that is left; `None` if all
    /// answered operations have taken effect.
    pub(super) fn front(&self) -> Option<Front> {
        if self.length == 0 {
            return None;
        }
        let mut candidates = Vec::new();
        let mut place = self.entries[HEAD].next;
        while !self.entries[place].is_return {
            candidates.push(self.entries[place].operation);
            place = self.entries[place].next;
        }
        let waiting = self.entries[place].operation;
        Some(Front { candidates, first_return: place, waiting })
    }

    /// Takes an operation out of the list.
    pub(super) fn lift(&mut self, operation: usize) {
        let Place { call, end, rank } = self.place(operation);
        for place in [call, end] {
            let Entry { previous, next, .. } = self.entries[place];
            self.entries[previous].next = next;
            self.entries[next].previous = previous;
        }
        self.length -= 1;
        self.linearized.insert(rank);
    }

    /// Puts back the operation that was lifted last.
    pub(super) fn put_back(&mut self, operation: usize) {
        let Place { call, end, rank } = self.place(operation);
        for place in [end, call] {
            let Entry { previous, next, .. } = self.entries[place];
            self.entries[previous].next = place;
            self.entries[next].previous = place;
        }
        self.length += 1;
        self.linearized.remove(rank);
    }

    /// Which operations are not in the list, and `also`.
    pub(super) fn linearized_with(&self, also: Option<usize>) -> Ranks {
        self.linearized.with(also.map(|operation| self.place(operation).rank))
    }

    fn place(&self, operation: usize) -> Place {
        self.places[operation].expect("only answered operations are in the list")
    }
}

/// A set of answered operations in as few words as tell it from other sets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ranks {
    /// How many words come before these, all of them full.
    full: usize,
    words: Box<[u64]>,
}

/// A set of answered operations, by rank: dense at its beginning, since only those that are
/// concurrent with the front can be in it or not.
#[derive(Debug)]
struct Linearized {
    words: Vec<u64>,
    /// Words before this one are full.
    full: usize,
    /// The last word that is not empty comes before this one.
    end: usize,
}

impl Linearized {
    fn new(ranks: usize) -> Self {
        Self { words: vec![0; ranks / 64 + 1], full: 0, end: 0 }
    }

    fn insert(&mut self, rank: usize) {
        let word = rank / 64;
        self.words[word] |= 1 << (rank % 64);
        self.end = self.end.max(word + 1);
        while self.words[self.full] == u64::MAX {
            self.full += 1;
        }
    }

    fn remove(&mut self, rank: usize) {
        let word = rank / 64;
        self.words[word] &= !(1 << (rank % 64));
        self.full = self.full.min(word);
        while 0 < self.end && self.words[self.end - 1] == 0 {
            self.end -= 1;
        }
    }

    fn with(&self, also: Option<usize>) -> Ranks {
        let end = self.end.max(also.map_or(0, |rank| rank / 64 + 1)).max(self.full);
        let mut words = self.words[self.full..end].to_vec();
        if let Some(rank) = also {
            words[rank / 64 - self.full] |= 1 << (rank % 64);
        }
        let full = words.iter().take_while(|word| **word == u64::MAX).count();
        Ranks { full: self.full + full, words: words[full..].into() }
    }
}
