//! The sessions that a node has of its own, for commands of clients that have none, so that
//! sending a command to the leader again never makes it happen twice.

use std::collections::BTreeSet;

use crate::entry::{ClientId, SessionStamp};
use crate::replica::sessions::WINDOW;

/// As many sessions as the commands in flight need; each covers a window.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeSessions {
    lanes: Vec<Lane>,
}

#[derive(Clone, Debug)]
struct Lane {
    client: ClientId,
    newest: u64,
    open: BTreeSet<u64>,
}

impl Lane {
    fn acknowledged(&self) -> u64 {
        self.open.first().map_or(self.newest, |oldest| oldest - 1)
    }
}

impl NodeSessions {
    /// A stamp for one more command; `new_client` makes an id if all windows are full.
    pub(crate) fn next(&mut self, new_client: impl FnOnce() -> ClientId) -> SessionStamp {
        let has_room = |lane: &Lane| lane.newest - lane.acknowledged() < WINDOW;
        let place = self.lanes.iter().position(has_room).unwrap_or_else(|| {
            let client = new_client();
            self.lanes.push(Lane { client, newest: 0, open: BTreeSet::new() });
            self.lanes.len() - 1
        });
        let lane = &mut self.lanes[place];
        let acknowledged = lane.acknowledged();
        lane.newest += 1;
        lane.open.insert(lane.newest);
        SessionStamp { client: lane.client, serial: lane.newest, acknowledged }
    }

    /// Notes that nobody waits for this command any more. One of another client is ignored.
    pub(crate) fn close(&mut self, stamp: &SessionStamp) {
        if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.client == stamp.client) {
            lane.open.remove(&stamp.serial);
        }
    }

    /// Gives up the sessions that the cluster has expired; the next command opens another.
    pub(crate) fn abandon(&mut self, client: ClientId) {
        self.lanes.retain(|lane| lane.client != client);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_window_opens_another_session_and_closing_makes_room_again() {
        let mut sessions = NodeSessions::default();
        let mut random = 0;
        let mut next = |sessions: &mut NodeSessions| {
            sessions.next(|| {
                random += 1;
                ClientId { issued_at: 0, random }
            })
        };
        let stamps: Vec<_> = (0..WINDOW).map(|_| next(&mut sessions)).collect();
        assert!(stamps.iter().all(|stamp| stamp.client.random == 1 && stamp.acknowledged == 0));
        assert_eq!(next(&mut sessions).client.random, 2);
        sessions.close(&stamps[0]);
        let stamp = next(&mut sessions);
        assert_eq!((stamp.client.random, stamp.serial, stamp.acknowledged), (1, WINDOW + 1, 1));
    }
}
