//! Waiting for conditions, never for luck.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{sleep, timeout};

/// How long a test waits for what must happen. Long, because it is only ever used up by a
/// failure.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(10);

/// Tests that start processes at the same time: more would measure the machine.
static PROCESS_TESTS: Semaphore = Semaphore::const_new(2);

/// Waits until `look` finds something, and returns it.
///
/// Panics: after [`DEADLINE`], with `what`.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let search = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            pause().await;
        }
    };
    in_time(what, search).await
}

/// Waits for `future`.
///
/// Panics: after [`DEADLINE`], with `what`.
pub(crate) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("no {what} within {DEADLINE:?}"))
}

/// The time between two looks at a condition.
pub(crate) async fn pause() {
    sleep(INTERVAL).await;
}

/// A turn for a test that starts processes, held as long as the result lives.
pub(crate) async fn turn() -> SemaphorePermit<'static> {
    PROCESS_TESTS.acquire().await.expect("the semaphore is never closed")
}
