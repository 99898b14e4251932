//! The only place of this program that asks the system what time it is.

use std::time::Instant;

/// The monotonic clock.
#[allow(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
#[must_use]
pub(crate) fn now() -> Instant {
    Instant::now()
}
