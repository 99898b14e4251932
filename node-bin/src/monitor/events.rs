//! What has happened on the node of late, for those who watch it (`docs/events.md`).
//!
//! What is rare is kept apart from what comes with every turn, so that an election is still there
//! when thousands of messages have passed since.

use std::collections::VecDeque;

use actix::Message;
use raft_core::chronicle::{Happening, What};
use raft_core::types::{Term, Time};
use serde::Serialize;

use crate::monitor::lines::Shown;

/// As many messages and moves of the log are kept at most; the oldest go first.
pub(crate) const FREQUENT_MAX: usize = 8_192;

/// As many of all others are; the oldest go first.
pub(crate) const RARE_MAX: usize = 2_048;

/// How much is shown at once at most. Units: bytes.
pub(crate) const SHOWN_BYTES_MAX: usize = 256 * 1024;

/// Reports what has happened.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub(crate) struct Happened(pub(crate) Vec<Dated>);

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dated {
    /// By the calendar. Units: microseconds since 1970.
    pub(crate) at_us: u64,
    pub(crate) happening: Happening,
}

impl Happened {
    /// Dates what has happened by the two clocks, which show these times now.
    pub(crate) fn of(now: Time, wall_us: u64, happenings: Vec<Happening>) -> Self {
        let date = |happening: Happening| {
            let at_us = wall_us.saturating_sub(now.since(happening.at));
            Dated { at_us, happening }
        };
        Self(happenings.into_iter().map(date).collect())
    }
}

/// An event as it is written.
#[derive(Serialize)]
struct Written<'a> {
    node: u64,
    seq: u64,
    at_us: u64,
    term: Term,
    #[serde(flatten)]
    what: &'a What,
}

impl Dated {
    /// The event of this node as a JSON document on one line.
    pub(crate) fn to_json(&self, node: u64) -> String {
        let Happening { seq, term, what, .. } = &self.happening;
        let written = Written { node, seq: *seq, at_us: self.at_us, term: *term, what };
        // Names and numbers only: there is nothing that could not be written.
        serde_json::to_string(&written).unwrap_or_default()
    }
}

/// The newest events.
#[derive(Debug, Default)]
pub(crate) struct Events {
    rare: VecDeque<Dated>,
    frequent: VecDeque<Dated>,
    /// The number of the newest.
    newest: u64,
}

impl Events {
    /// Takes what has happened.
    pub(crate) fn push(&mut self, Happened(dated): Happened) {
        for event in dated {
            self.newest = event.happening.seq;
            let (kept, max) = match event.happening.what.is_frequent() {
                true => (&mut self.frequent, FREQUENT_MAX),
                false => (&mut self.rare, RARE_MAX),
            };
            if kept.len() == max {
                kept.pop_front();
            }
            kept.push_back(event);
        }
    }

    /// The number of the newest event.
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    /// What came after event `seen`, as far as it is there, as JSON; everything that is there if
    /// nothing was seen. Of that no more than `bytes_max`, but at least one.
    pub(crate) fn after(&self, node: u64, seen: Option<u64>, bytes_max: usize) -> Shown {
        // A number from before the node was started again is above all of this life.
        let begin = seen.filter(|seen| *seen <= self.newest).unwrap_or(0);
        let mut shown = Shown { lines: Vec::new(), seen: begin, lost: 0 };
        let mut bytes = 0;
        for event in merged(later(&self.rare, begin), later(&self.frequent, begin)) {
            let text = event.to_json(node);
            bytes += text.len();
            if bytes_max < bytes && !shown.lines.is_empty() {
                break;
            }
            shown.seen = event.happening.seq;
            shown.lines.push((shown.seen, text));
        }
        let count = u64::try_from(shown.lines.len()).unwrap_or(u64::MAX);
        if seen.is_some() {
            shown.lost = (shown.seen - begin).saturating_sub(count);
        }
        shown
    }
}

fn later(kept: &VecDeque<Dated>, seen: u64) -> impl Iterator<Item = &Dated> {
    let begin = kept.partition_point(|event| event.happening.seq <= seen);
    kept.range(begin..)
}

/// Both in the order of their numbers.
fn merged<'a>(
    one: impl Iterator<Item = &'a Dated>,
    other: impl Iterator<Item = &'a Dated>,
) -> impl Iterator<Item = &'a Dated> {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    std::iter::from_fn(move || match (one.peek(), other.peek()) {
        (Some(left), Some(right)) if right.happening.seq < left.happening.seq => other.next(),
        (Some(_), _) => one.next(),
        (None, _) => other.next(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use raft_core::types::{Index, NodeId};

    fn frequent(seq: u64) -> Dated {
        let what = What::Appended { first: Index(seq), last: Index(seq), turns: 1 };
        dated(seq, what)
    }

    fn rare(seq: u64) -> Dated {
        let peer = NodeId::new(2).expect("two is a number");
        dated(seq, What::Link { peer, up: true })
    }

    fn dated(seq: u64, what: What) -> Dated {
        let happening = Happening { seq, at: Time(0), term: Term(3), what };
        Dated { at_us: 1_000 + seq, happening }
    }

    fn numbers(shown: &Shown) -> Vec<u64> {
        shown.lines.iter().map(|(number, _)| *number).collect()
    }

    #[test]
    fn an_event_is_a_json_document_with_its_node_number_and_time() {
        let expected =
            r#"{"node":1,"seq":7,"at_us":1007,"term":3,"event":"link","peer":2,"up":true}"#;
        assert_eq!(rare(7).to_json(1), expected);
        let expected =
            r#"{"node":1,"seq":8,"at_us":1008,"term":3,"event":"appended","first":8,"last":8}"#;
        assert_eq!(frequent(8).to_json(1), expected);
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        let Dated { mut happening, .. } = rare(1);
        happening.at = Time(40);
        let Happened(dated) = Happened::of(Time(100), 1_000_000, vec![happening]);
        assert_eq!(dated[0].at_us, 999_940);
    }

    #[test]
    fn who_follows_is_shown_every_event_once_and_in_order() {
        let mut events = Events::default();
        events.push(Happened(vec![rare(1), frequent(2), frequent(3), rare(4)]));
        let shown = events.after(1, None, SHOWN_BYTES_MAX);
        assert_eq!((numbers(&shown), shown.seen, shown.lost), (vec![1, 2, 3, 4], 4, 0));
        events.push(Happened(vec![frequent(5), rare(6)]));
        let shown = events.after(1, Some(4), SHOWN_BYTES_MAX);
        assert_eq!((numbers(&shown), shown.lost), (vec![5, 6], 0));
        assert!(events.after(1, Some(6), SHOWN_BYTES_MAX).lines.is_empty());
        let shown = events.after(1, Some(77), SHOWN_BYTES_MAX);
        assert_eq!(shown.lines.len(), 6, "the node has started again");
        let piece = events.after(1, Some(1), 1);
        assert_eq!((numbers(&piece), piece.seen), (vec![2], 2));
    }

    #[test]
    fn messages_do_not_push_out_what_is_rare() {
        let mut events = Events::default();
        events.push(Happened(vec![rare(1), rare(2)]));
        let count = 3 * u64::try_from(FREQUENT_MAX).expect("it is small");
        for seq in 3..3 + count {
            events.push(Happened(vec![frequent(seq)]));
        }
        assert_eq!((events.rare.len(), events.frequent.len()), (2, FREQUENT_MAX));
        let shown = events.after(1, Some(0), usize::MAX);
        assert_eq!(numbers(&shown)[..2], [1, 2]);
        assert_eq!(shown.lost, 2 * count / 3, "a reader is told how many it lost");
        for seq in 0..3 * RARE_MAX {
            let seq = 3 + count + u64::try_from(seq).expect("it is small");
            events.push(Happened(vec![rare(seq)]));
        }
        assert_eq!((events.rare.len(), events.frequent.len()), (RARE_MAX, FREQUENT_MAX));
    }
}
