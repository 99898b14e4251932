//! How long to wait before the next attempt to reach a peer.

use std::time::Duration;

/// The first pause is at most this long.
pub(crate) const BACK_OFF_MIN: Duration = Duration::from_millis(50);

/// No pause is longer.
pub(crate) const BACK_OFF_MAX: Duration = Duration::from_secs(1);

/// Pauses that double, each shortened by chance to no less than half, so that nodes that lost
/// each other at one moment do not come back at one moment.
#[derive(Clone, Debug)]
pub(crate) struct BackOff {
    next: Duration,
    /// The state of a SplitMix64.
    chance: u64,
}

impl BackOff {
    /// With a seed from the system.
    ///
    /// Panics: if the system has no random numbers, without which no node may start.
    pub(crate) fn random() -> Self {
        Self::seeded(getrandom::u64().expect("the system gives random numbers"))
    }

    pub(crate) fn seeded(seed: u64) -> Self {
        Self { next: BACK_OFF_MIN, chance: seed }
    }

    /// The pause before the next attempt.
    pub(crate) fn next_delay(&mut self) -> Duration {
        let longest = self.next;
        self.next = (longest * 2).min(BACK_OFF_MAX);
        longest / 2 + longest * self.percent() / 200
    }

    /// It worked: begin again with short pauses.
    pub(crate) fn reset(&mut self) {
        self.next = BACK_OFF_MIN;
    }

    /// Trying soon is of no use: go on with the longest pause.
    pub(crate) fn exhaust(&mut self) {
        self.next = BACK_OFF_MAX;
    }

    /// 0..=100.
    fn percent(&mut self) -> u32 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.chance;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((mixed ^ (mixed >> 31)) % 101).expect("a percentage is small")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_within_their_bounds_until_it_worked() {
        let mut back_off = BackOff::seeded(1);
        for longest_ms in [50, 100, 200, 400, 800, 1000, 1000] {
            let longest = Duration::from_millis(longest_ms);
            let delay = back_off.next_delay();
            assert!((longest / 2..=longest).contains(&delay), "{delay:?} of {longest:?}");
        }
        back_off.reset();
        assert!(back_off.next_delay() <= BACK_OFF_MIN);
        back_off.exhaust();
        assert!(BACK_OFF_MAX / 2 <= back_off.next_delay());
    }

    #[test]
    fn pauses_differ_between_nodes() {
        let first = |seed| BackOff::seeded(seed).next_delay();
        assert!((1..20).any(|seed| first(seed) != first(0)));
    }
}
