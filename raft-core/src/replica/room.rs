//! Short memory: while the state machine takes as much as it may, nothing is taken in that would
//! add to it. Everything else goes on, above all what makes room, so that the state ends by itself.
//!
//! Decided before a command is in a log, and never when it is applied: nodes may be set
//! differently, and what is in the log is done by all. Each node decides on the commands that its
//! own clients bring, from its own state, which is the leader's a moment ago; so a refusal is
//! certain, for the command went nowhere. What other nodes let through a leader drops only above a
//! slack, so that hardly anybody waits in vain who came in that moment. Commands that are on their
//! way already, 64 MiB at most, are in the log whatever they find.

use crate::consensus::ready::Notice;
use crate::entry::{Draft, EntryKind, EntryRef};
use crate::replica::Replica;
use crate::replica::event::Refusal;
use crate::replica::joining::Shares;
use crate::replica::state_machine::StateMachine;

/// The part of what may be taken that other nodes may exceed it by.
const SLACK_PART: u64 = 16;

/// How much memory the state machine may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    live_bytes_max: u64,
    /// Whether it took as much when that was last looked at.
    was_full: bool,
}

impl Default for Room {
    fn default() -> Self {
        Self::within(u64::MAX)
    }
}

impl Room {
    pub(super) fn within(live_bytes_max: u64) -> Self {
        Self { live_bytes_max, was_full: false }
    }

    pub(super) fn live_bytes_max(&self) -> u64 {
        self.live_bytes_max
    }
}

impl<S: StateMachine> Replica<S> {
    /// Refuses those commands of this node's clients that would add to a state that is too large;
    /// returns the others.
    pub(super) fn refuse_growth(
        &mut self,
        draft: Draft,
        shares: Vec<Shares>,
    ) -> (Draft, Vec<Shares>) {
        if self.machine.live_bytes() < self.room.live_bytes_max {
            return (draft, shares);
        }
        let (mut rest, mut waiting) = (Draft::default(), Vec::new());
        for (entry, shares) in draft.iter().zip(shares) {
            if self.would_grow(entry) {
                self.node_sessions.close(&entry.session());
                shares.each(|ticket, _| self.answers.refuse(ticket, Refusal::NoSpace));
            } else {
                rest.push_again(entry.bytes());
                waiting.push(shares);
            }
        }
        (rest, waiting)
    }

    /// The commands that another node let through, without those that would add to a state that is
    /// far too large. Who waits for one of these sends it again after a while.
    pub(super) fn without_growth(&self, draft: Draft) -> Draft {
        let bytes_max = self.room.live_bytes_max;
        if self.machine.live_bytes() < bytes_max.saturating_add(bytes_max / SLACK_PART) {
            return draft;
        }
        let mut rest = Draft::default();
        for entry in draft.iter().filter(|entry| !self.would_grow(*entry)) {
            rest.push_again(entry.bytes());
        }
        rest
    }

    /// Whether a command would add to the state. One that was executed before is only answered.
    fn would_grow(&self, entry: EntryRef<'_>) -> bool {
        entry.kind() == EntryKind::Command
            && self.machine.grows(entry.payload())
            && !self.sessions.has_executed(&entry.session())
    }

    /// What an operator wants to know of it.
    pub(super) fn note_room(&mut self) -> Option<Notice> {
        let live_bytes_max = self.room.live_bytes_max;
        let is_full = live_bytes_max <= self.machine.live_bytes();
        if is_full == self.room.was_full {
            return None;
        }
        self.room.was_full = is_full;
        Some(Notice::MemoryFull { is_full, live_bytes_max })
    }
}
