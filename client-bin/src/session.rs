//! The client's side of a session: which serials are out, and which are done with.

use std::collections::BTreeSet;

use raft_core::entry::{ClientId, SessionStamp};
use raft_core::replica::sessions::WINDOW;

/// The serials of one client id.
#[derive(Debug)]
pub(crate) struct Session {
    client: ClientId,
    /// The highest serial given out; the first is 1.
    newest: u64,
    /// Every serial up to this one is done with: it will not be asked for again.
    acknowledged: u64,
    /// The serials above `acknowledged` that are done with.
    done: BTreeSet<u64>,
}

impl Session {
    pub(crate) fn new(client: ClientId) -> Self {
        Self { client, newest: 0, acknowledged: 0, done: BTreeSet::new() }
    }

    /// The client id.
    pub(crate) fn client(&self) -> ClientId {
        self.client
    }

    /// Gives out the next serial, or nothing while the cluster's window is full: a serial above
    /// it would be refused.
    pub(crate) fn open(&mut self) -> Option<u64> {
        if self.acknowledged + WINDOW <= self.newest {
            return None;
        }
        self.newest += 1;
        Some(self.newest)
    }

    /// What a write with this serial carries, now.
    pub(crate) fn stamp(&self, serial: u64) -> SessionStamp {
        SessionStamp { client: self.client, serial, acknowledged: self.acknowledged }
    }

    /// Notes that this serial is answered or given up: from here on the cluster may forget its
    /// answer, and must not execute it any more.
    pub(crate) fn close(&mut self, serial: u64) {
        self.done.insert(serial);
        while self.done.remove(&(self.acknowledged + 1)) {
            self.acknowledged += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session::new(ClientId { issued_at: 7, random: 8 })
    }

    #[test]
    fn acknowledged_is_the_floor_below_the_oldest_open_serial() {
        let mut session = session();
        assert_eq!((1..=5).map(|_| session.open().unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        for (close, acknowledged) in [(2, 0), (4, 0), (1, 2), (5, 2), (3, 5)] {
            session.close(close);
            assert_eq!(session.stamp(9).acknowledged, acknowledged, "after {close}");
        }
        assert!(session.done.is_empty());
    }

    #[test]
    fn no_serial_is_given_out_above_the_window() {
        let mut session = session();
        assert_eq!((0..2 * WINDOW).map_while(|_| session.open()).last(), Some(WINDOW));
        session.close(2);
        assert_eq!(session.open(), None);
        session.close(1);
        assert_eq!(session.open(), Some(WINDOW + 1));
        assert_eq!(session.open(), Some(WINDOW + 2));
        assert_eq!(session.open(), None);
    }
}
