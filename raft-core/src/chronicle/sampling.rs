//! So much of what is frequent is told, and no more.

use std::num::Saturating;

use crate::types::{Index, Time};

/// Over which time is counted. Units: microseconds.
const WINDOW_US: u64 = 250_000;

/// In a window no more than so many times `budget` messages are told, whatever comes.
const BURST: u32 = 4;

/// Lets messages through by their number, so that both ends of a link tell of the same ones: each
/// level lets through half of what the one before did, and nothing else.
#[derive(Clone, Debug)]
pub(super) struct Sampler {
    /// Messages of a window that are fine; with more the next level begins.
    budget: u32,
    level: u32,
    window_ends_at: Time,
    told: u32,
    /// With so many in this window the next level begins.
    rises_at: u32,
    skipped: Saturating<u64>,
}

impl Sampler {
    /// Tells of about so many a second.
    pub(super) const fn new(per_second: u32) -> Self {
        let budget = per_second / 4;
        Self {
            budget,
            level: 0,
            window_ends_at: Time(0),
            told: 0,
            rises_at: budget,
            skipped: Saturating(0),
        }
    }

    /// Whether the message of this number is told; then how many were skipped since the last.
    pub(super) fn takes(&mut self, now: Time, id: u32) -> Option<u64> {
        if self.window_ends_at <= now {
            if self.told < self.budget / 2 {
                self.level = self.level.saturating_sub(1);
            }
            self.window_ends_at = now.after(WINDOW_US);
            self.told = 0;
            self.rises_at = self.budget;
        }
        if id.trailing_zeros() < self.level || BURST * self.budget <= self.told {
            self.skipped += 1;
            return None;
        }
        self.told += 1;
        if self.rises_at <= self.told {
            self.level += 1;
            self.rises_at += self.budget / 2;
        }
        Some(std::mem::take(&mut self.skipped).0)
    }
}

/// As many moves of one kind are told one by one in a window; those that follow are told as one
/// when it is over.
const MOVES_PER_WINDOW: u32 = 16;

/// How far something in the log has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Moves {
    window_ends_at: Time,
    told: u32,
    waiting: Option<Span>,
}

/// Entries that moved in one turn or in several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: Index,
    pub(super) last: Index,
    pub(super) turns: u64,
}

impl Moves {
    /// Takes what moved in this turn, if anything did, and returns what is told now.
    pub(super) fn note(&mut self, now: Time, moved: Option<(Index, Index)>) -> Option<Span> {
        if let Some((first, last)) = moved {
            let waiting = self.waiting.get_or_insert(Span { first, last, turns: 0 });
            waiting.first = waiting.first.min(first);
            waiting.last = last;
            waiting.turns += 1;
        }
        self.waiting?;
        if self.window_ends_at <= now {
            self.window_ends_at = now.after(WINDOW_US);
            self.told = 0;
        }
        if MOVES_PER_WINDOW <= self.told {
            return None;
        }
        self.told += 1;
        self.waiting.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Well mixed numbers, as those of messages are.
    fn ids(count: u32) -> impl Iterator<Item = u32> {
        (1..=count).map(|n| {
            let mixed = n.wrapping_mul(0x9e37_79b9);
            (mixed ^ (mixed >> 15)).wrapping_mul(0x85eb_ca6b) >> 3
        })
    }

    #[test]
    fn few_messages_are_all_told() {
        let mut sampler = Sampler::new(256);
        for (n, id) in (0..1_000).zip(ids(1_000)) {
            assert_eq!(sampler.takes(Time(n * 5_000), id), Some(0));
        }
    }

    #[test]
    fn of_many_so_many_are_told_and_the_rest_is_counted() {
        let mut sampler = Sampler::new(256);
        let (mut told, mut skipped) = (0, 0);
        for (n, id) in (0..1_000_000).zip(ids(1_000_000)) {
            if let Some(before) = sampler.takes(Time(n * 10), id) {
                told += 1;
                skipped += before;
            }
        }
        assert!((1_000..5_000).contains(&told), "{told} in ten seconds");
        assert!(told + skipped <= 1_000_000 && 990_000 < told + skipped, "{skipped}");
    }

    #[test]
    fn two_ends_tell_of_the_same_messages() {
        let (mut one, mut other) = (Sampler::new(256), Sampler::new(128));
        let (mut told_by_other, mut told_by_both) = (0, 0);
        for (n, id) in (0..1_000_000).zip(ids(1_000_000)) {
            let by_one = one.takes(Time(n * 10), id).is_some();
            if other.takes(Time(n * 10), id).is_some() {
                told_by_other += 1;
                told_by_both += u32::from(by_one);
            }
        }
        assert!(told_by_other * 2 / 3 < told_by_both, "{told_by_both} of {told_by_other}");
    }

    #[test]
    fn moves_that_come_too_often_are_told_as_one() {
        let mut moves = Moves::default();
        let mut seen = Index::ZERO;
        let mut told = 0;
        for n in 1..=1_000 {
            let moved = Some((Index(n), Index(n)));
            if let Some(span) = moves.note(Time(n * 100), moved) {
                assert_eq!(span.first, seen.next(), "nothing is left out");
                assert_eq!(span.turns, span.last.since(seen));
                (seen, told) = (span.last, told + 1);
            }
        }
        assert_eq!((told, seen), (MOVES_PER_WINDOW, Index(u64::from(MOVES_PER_WINDOW))));
        let rest = moves.note(Time(400_000), None);
        let first = seen.next();
        assert_eq!(rest, Some(Span { first, last: Index(1_000), turns: 1_000 - seen.0 }));
        assert_eq!(moves.note(Time(500_000), None), None);
    }
}
