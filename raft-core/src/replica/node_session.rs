//! The sessions that a node has of its own, for commands of clients that have none, so that
//! sending a command to the leader again never makes it happen twice.

use std::collections::VecDeque;

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
    /// For nothing up to here somebody waits.
    acknowledged: u64,
    /// Whether somebody waits for each command after that; for the first one somebody does.
    open: VecDeque<bool>,
    /// Units: microseconds of log time.
    used_at: u64,
    /// Whether the cluster has forgotten it, although somebody still waits for its commands.
    is_given_up: bool,
}

impl Lane {
    fn close(&mut self, serial: u64) {
        let place = serial.checked_sub(self.acknowledged + 1).map(usize::try_from);
        if let Some(Ok(place)) = place
            && let Some(open) = self.open.get_mut(place)
        {
            *open = false;
        }
        while self.open.front() == Some(&false) {
            self.open.pop_front();
            self.acknowledged += 1;
        }
    }
}

impl NodeSessions {
    /// A stamp for one more command; `new_client` makes an id if all windows are full, or too
    /// little was asked for lately: within half a lifetime no session is over.
    pub(crate) fn next(
        &mut self,
        (log_time, lifetime_us): (u64, u64),
        new_client: impl FnOnce() -> ClientId,
    ) -> SessionStamp {
        self.lanes.retain(|lane| {
            let is_fresh = log_time < lane.used_at + lifetime_us / 2 && !lane.is_given_up;
            is_fresh || !lane.open.is_empty()
        });
        let has_room = |lane: &Lane| !lane.is_given_up && (lane.open.len() as u64) < WINDOW;
        let place = self.lanes.iter().position(has_room).unwrap_or_else(|| {
            let client = new_client();
            let (acknowledged, open, used_at) = (0, VecDeque::new(), log_time);
            self.lanes.push(Lane { client, acknowledged, open, used_at, is_given_up: false });
            self.lanes.len() - 1
        });
        let lane = &mut self.lanes[place];
        lane.used_at = log_time;
        lane.open.push_back(true);
        let (client, acknowledged) = (lane.client, lane.acknowledged);
        SessionStamp { client, serial: acknowledged + lane.open.len() as u64, acknowledged }
    }

    /// Notes that nobody waits for this command any more. One of another client is ignored.
    pub(crate) fn close(&mut self, stamp: &SessionStamp) {
        if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.client == stamp.client) {
            lane.close(stamp.serial);
        }
    }

    /// Whether a session is one of this node.
    pub(crate) fn has(&self, client: ClientId) -> bool {
        self.lanes.iter().any(|lane| lane.client == client)
    }

    /// Gives up a session that the cluster has forgotten: the next command opens another, and
    /// those for which somebody waits are known to be of this one.
    pub(crate) fn abandon(&mut self, client: ClientId) {
        if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.client == client) {
            lane.is_given_up = true;
        }
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
            sessions.next((0, 100), || {
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

    #[test]
    fn a_session_that_was_long_not_used_is_given_up_before_the_cluster_does() {
        let mut sessions = NodeSessions::default();
        let mut random = 0;
        let mut next = |sessions: &mut NodeSessions, log_time| {
            let stamp = sessions.next((log_time, 100), || {
                random += 1;
                ClientId { issued_at: log_time, random }
            });
            (stamp.client.random, stamp.serial)
        };
        for (log_time, expected) in [(7, (1, 1)), (56, (1, 2)), (105, (1, 3))] {
            assert_eq!(next(&mut sessions, log_time), expected);
        }
        // Somebody waits for all of them.
        assert_eq!(next(&mut sessions, 500), (1, 4));
        let client = ClientId { issued_at: 7, random: 1 };
        for serial in 1..=4 {
            sessions.close(&SessionStamp { client, serial, acknowledged: 0 });
        }
        assert!(sessions.has(client));
        assert_eq!(next(&mut sessions, 550), (2, 1));
        assert!(!sessions.has(client));
        // One that the cluster has forgotten is this node's as long as somebody waits for it.
        let client = ClientId { issued_at: 550, random: 2 };
        sessions.abandon(client);
        assert_eq!(next(&mut sessions, 550), (3, 1));
        assert!(sessions.has(client));
        sessions.close(&SessionStamp { client, serial: 1, acknowledged: 0 });
        assert_eq!(next(&mut sessions, 550), (3, 2));
        assert!(!sessions.has(client));
    }
}
