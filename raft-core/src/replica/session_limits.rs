//! How long sessions are remembered, and how much of them.

/// For how long a session is known after its last command. Units: microseconds of log time.
///
/// Longer than anybody waits for the answer to a write before asking once more: a person, a
/// restarted script, a batch that was stopped over lunch. Longer still would make nothing safer,
/// since an expired session executes nothing, and would only keep the answers of clients that
/// are gone. Outages do not count, because log time stands still without a leader.
pub const SESSION_LIFETIME_US: u64 = 3_600_000_000;

/// What all sessions together may count for; when full, sessions are evicted in the order that
/// [`SessionLimits`] states. Units: bytes.
pub const TABLE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What the window of one session may take; when full, its next commands are `WindowExceeded`
/// until its client acknowledges. Units: bytes.
pub const SESSION_BYTES_MAX: u64 = 1024 * 1024;

/// What a session counts for at least, so that 65,536 of them fill the table, and making room
/// for an answer evicts few sessions at a time. Units: bytes.
pub const SESSION_BYTES_MIN: u64 = 1024;

/// Into how many parts a lifetime is divided for what is about right only: an idle leader notes
/// its log time once in a part, so that ids which are handed out are hardly older than they
/// look, and an id may be as much ahead of the log, because a new leader has not seen all that
/// the old one had stamped.
const PARTS: u64 = 8;

/// How long sessions are remembered, and how much of them.
///
/// Part of what an entry means: they must be the same on all nodes of a cluster, so programs
/// leave the default alone. Tests draw small ones.
///
/// When the table is full, the session that was unused longest goes: among those that have
/// written once as long as they are more than a quarter of all, else among the others. So
/// clients that come for a single write, however many, never cost a lasting one its session,
/// and lasting ones never all of the room for newcomers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// For how long a session is known after its last command. Units: microseconds of log time.
    pub lifetime_us: u64,
    /// What all sessions together may count for, but at least the one that is in use.
    /// Units: bytes.
    pub table_bytes_max: u64,
    /// What the window of a session may take before its commands are refused, except the one
    /// that is next to be acknowledged. Units: bytes.
    pub session_bytes_max: u64,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            lifetime_us: SESSION_LIFETIME_US,
            table_bytes_max: TABLE_BYTES_MAX,
            session_bytes_max: SESSION_BYTES_MAX,
        }
    }
}

impl SessionLimits {
    /// How far log time may be ahead of the log, and an id ahead of log time.
    /// Units: microseconds.
    pub(crate) fn slack_us(&self) -> u64 {
        self.lifetime_us / PARTS
    }

    /// Whether what was last used at `used_at` is forgotten at `log_time`.
    pub(crate) fn is_over(&self, used_at: u64, log_time: u64) -> bool {
        used_at.saturating_add(self.lifetime_us) <= log_time
    }
}
