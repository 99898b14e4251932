//! The one source of chance of a run: everything that happens in it follows from its seed.

use raft_core::consensus::rng::Rng;

/// A generator with the questions that a simulator asks.
#[derive(Debug)]
pub(crate) struct Dice(Rng);

impl Dice {
    /// Dice whose every throw follows from `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(Rng::new(seed))
    }

    /// 64 bits.
    pub(crate) fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0.in_range(0, bound)
    }

    /// A place in a list of `length` things.
    pub(crate) fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("a place in a list fits")
    }

    /// A number in `low..=high`.
    pub(crate) fn between(&mut self, (low, high): (u64, u64)) -> u64 {
        self.0.in_range(low, high + 1)
    }

    /// Whether something happens that does so `per_mille` times in a thousand.
    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// One of these.
    pub(crate) fn pick<T: Copy>(&mut self, things: &[T]) -> T {
        things[self.place(things.len())]
    }
}
