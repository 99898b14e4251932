//! Guards that can be taken away, to see that the tests notice.
//!
//! A build with `--cfg kvorum_teeth` in `RUSTFLAGS` loses the guard that the environment
//! variable `KVORUM_TEETH` names; every other build has all of them and nothing of this.
//! What each guard is for, and which test misses it, stands in `docs/teeth.md`.

/// Whether this run goes without the guard of that name.
#[cfg(not(kvorum_teeth))]
pub(crate) const fn is_removed(_guard: &str) -> bool {
    false
}

/// Whether this run goes without the guard of that name.
#[cfg(kvorum_teeth)]
pub(crate) fn is_removed(guard: &str) -> bool {
    static REMOVED: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    guard == REMOVED.get_or_init(|| std::env::var("KVORUM_TEETH").unwrap_or_default())
}
