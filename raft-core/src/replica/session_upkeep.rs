//! What a replica does for sessions beside asking them: it keeps log time in the log, and its own
//! clients away from the rules of its own sessions.

use crate::entry::{ClientId, Draft, EntryKind, SessionStamp};
use crate::replica::event::{Refusal, SessionRefusal};
use crate::replica::replica::Replica;
use crate::replica::state_machine::StateMachine;
use crate::types::Time;

impl<S: StateMachine> Replica<S> {
    /// Appends an empty entry if this node leads and the newest stamp in the log is old.
    ///
    /// Client ids say the newest log time that the node knows which hands them out. Without this
    /// an id from an idle cluster could be older than a lifetime at its first command.
    pub(super) fn note_log_time(&mut self, now: Time) {
        let Some(log_time) = self.raft.leader_log_time(now) else { return };
        if log_time < self.raft.log_time().saturating_add(self.sessions.limits().slack_us()) {
            return;
        }
        let mut draft = Draft::default();
        draft.push(EntryKind::Noop, &SessionStamp::default(), b"");
        // If it cannot be appended now, the next tick comes soon.
        let _ = self.raft.propose(now, 0, draft);
    }

    /// A stamp of one of this node's own sessions, for a command without one.
    pub(super) fn node_stamp(&mut self) -> SessionStamp {
        let issued_at = self.raft.log_time();
        let times = (issued_at, self.sessions.limits().lifetime_us);
        let rng = &mut self.rng;
        self.node_sessions.next(times, || ClientId { issued_at, random: rng.next_u64() })
    }

    /// A command that a client without a session gave to this node was not executed, because of
    /// a session that the client knows nothing of.
    pub(super) fn node_session_refused(&mut self, session: &SessionStamp, refusal: SessionRefusal) {
        if refusal == SessionRefusal::WindowExceeded {
            // Its turn comes when answers before it have been given.
            self.writes.send_soon(session);
            return;
        }
        let answers = &mut self.answers;
        // Nobody can tell any more whether an earlier copy was executed.
        self.writes.take(session, |shares| {
            shares.each(|ticket, _| answers.refuse(ticket, Refusal::Unknown));
        });
        self.node_sessions.abandon(session.client);
        self.node_sessions.close(session);
    }
}
