//! The only place that asks the system what time it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use raft_core::types::Time;
use rustix::time::ClockId;

/// The clock that counts the time in which the machine sleeps: a lease must not outlast that.
#[cfg(target_os = "linux")]
const MONOTONIC: ClockId = ClockId::Boottime;
/// Elsewhere the monotonic clock is what there is.
#[cfg(not(target_os = "linux"))]
const MONOTONIC: ClockId = ClockId::Monotonic;

/// A node's clocks: monotonic since the node started, and the calendar.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// What the machine's clock showed at the start.
    origin: Duration,
}

impl Clock {
    /// A clock that starts now.
    pub(crate) fn start() -> Self {
        Self { origin: monotonic() }
    }

    /// Monotonic time since the start, sleep of the machine included.
    pub(crate) fn now(self) -> Time {
        let since = monotonic().saturating_sub(self.origin);
        Time(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }

    /// The calendar clock. Units: microseconds since 1970; 0 if the system says it is earlier.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub(crate) fn wall_time() -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
fn monotonic() -> Duration {
    Duration::try_from(rustix::time::clock_gettime(MONOTONIC))
        .expect("a monotonic clock counts upwards from zero")
}
