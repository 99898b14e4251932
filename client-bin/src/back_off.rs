//! How long to wait before something is tried again.

use std::time::Duration;

/// The first pause is at most this long.
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// No pause is longer.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// The pause before attempt number `attempt`, where the first repetition is 1: doubled each
/// time, and shortened by chance to no less than half, so that clients that were refused
/// together do not come back together.
pub(crate) fn pause(attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(10);
    let longest = (PAUSE_MIN * (1 << doublings)).min(PAUSE_MAX);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_vary_by_half() {
        for (attempt, longest_ms) in [(0, 10), (1, 10), (2, 20), (5, 160), (6, 250), (99, 250)] {
            let longest = Duration::from_millis(longest_ms);
            let pauses: Vec<Duration> = (0..100).map(|_| pause(attempt)).collect();
            assert!(pauses.iter().all(|pause| longest / 2 <= *pause && *pause <= longest));
            assert!(pauses.iter().any(|pause| *pause != pauses[0]), "attempt {attempt}");
        }
    }
}
