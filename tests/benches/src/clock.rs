//! The only place of this package that asks the system what time it is.

use std::time::{Duration, Instant};

/// The monotonic clock.
#[allow(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}

/// A duration as whole microseconds, at most `u64::MAX`.
#[must_use]
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A duration as milliseconds with their fraction.
#[must_use]
pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
