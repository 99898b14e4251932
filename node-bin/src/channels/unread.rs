//! What subscribers have been told and have not read.

use std::collections::HashMap;

/// Messages that one connection has not read; beyond it there is no more to be told to it.
/// Units: bytes.
pub(crate) const UNREAD_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The same of all connections together.
const UNREAD_OF_ALL_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What a connection may leave unread in any case. Units: bytes.
const UNREAD_BYTES_MIN: usize = 64 * 1024;

/// What each connection has not read, of those that have something.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    connections: HashMap<u64, usize>,
    /// Units: bytes.
    total: usize,
}

impl Unread {
    /// Notes how much a connection has not read. Returns whether that is too much: for itself,
    /// or because all together have not read too much.
    pub(crate) fn note(&mut self, connection: u64, bytes: usize) -> bool {
        let before = match bytes {
            0 if self.connections.is_empty() => return false,
            0 => self.connections.remove(&connection),
            bytes => self.connections.insert(connection, bytes),
        };
        self.total = self.total + bytes - before.unwrap_or(0);
        let is_share_used = UNREAD_OF_ALL_BYTES_MAX < self.total && UNREAD_BYTES_MIN < bytes;
        UNREAD_BYTES_MAX < bytes || is_share_used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_may_leave_so_much_and_all_together_so_much() {
        let mut unread = Unread::default();
        assert!(!unread.note(1, UNREAD_BYTES_MAX));
        assert!(unread.note(1, UNREAD_BYTES_MAX + 1));
        assert!(!unread.note(1, 0));
        assert_eq!((unread.total, unread.connections.len()), (0, 0));
        let count = (UNREAD_OF_ALL_BYTES_MAX / UNREAD_BYTES_MAX) as u64;
        assert!((0..count).all(|connection| !unread.note(connection, UNREAD_BYTES_MAX)));
        assert!(!unread.note(count, UNREAD_BYTES_MIN));
        assert!(unread.note(count, UNREAD_BYTES_MIN + 1));
        // Those that read are not the ones that pay for it.
        assert!(unread.note(0, UNREAD_BYTES_MAX));
        assert!(!unread.note(0, UNREAD_BYTES_MIN));
        assert!(!unread.note(count, UNREAD_BYTES_MAX / 2));
    }
}
