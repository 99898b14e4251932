//! What the state machine itself asks for: the leader proposes it, one command at a time.

use bytes::BytesMut;

use crate::entry::{Draft, EntryKind, SessionStamp};
use crate::replica::Replica;
use crate::replica::state_machine::StateMachine;
use crate::types::{Index, Term, Time};

/// The command of the machine that was proposed last and may still be on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    session: SessionStamp,
    term: Term,
    index: Index,
}

impl<S: StateMachine> Replica<S> {
    /// Proposes the next command that the machine asks for, if this node leads and the one
    /// before was applied. A leader that has not applied what earlier leaders left would
    /// propose what they have proposed.
    pub(super) fn propose_due(&mut self, now: Time) {
        let (term, applied_index) = (self.raft.term(), self.raft.log().applied_index());
        if let Some(due) = self.due {
            if due.term == term && applied_index < due.index {
                return;
            }
            // Of an earlier term: it was applied, or it may yet be; nobody waits for it.
            self.node_sessions.close(&due.session);
            self.due = None;
        }
        if !self.raft.can_decide(now) || self.raft.is_handing_over() || self.raft.lacks_space() {
            return;
        }
        let Some(log_time) = self.raft.leader_log_time(now) else { return };
        let mut command = BytesMut::new();
        self.machine.due(log_time, &mut command);
        if command.is_empty() || !Draft::fits(command.len()) {
            return;
        }
        let session = self.node_stamp();
        let mut draft = Draft::default();
        draft.push(EntryKind::Command, &session, &command);
        match self.propose(now, None, draft) {
            Ok(entries) => self.due = Some(Due { session, term, index: entries.last_index() }),
            Err(_) => self.node_sessions.close(&session),
        }
    }
}
