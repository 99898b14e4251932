//! Commands that can share an entry: those of one round become one command, and each of their
//! clients is answered with its part of the answer.
//!
//! For many small commands that come again and again, such as renewals of leases, an entry for each
//! costs far more than what it does. Only commands without a session of their client are joined: a
//! session remembers one answer for each of its serials.

use std::ops::Range;

use bytes::BytesMut;

use crate::entry::{Draft, EntryKind, EntryRef, SessionStamp};
use crate::replica::Replica;
use crate::replica::event::Ticket;
use crate::replica::state_machine::StateMachine;

/// Parts of one joined command, at most, so that nobody waits long for it to be applied.
const JOINED_PARTS_MAX: u32 = 1_000;

/// Whose answer a command has.
#[derive(Clone, Debug)]
pub(crate) enum Shares {
    /// That of one client.
    One(Ticket),
    /// Of several, each of whom has these parts of it.
    Joint(Vec<(Ticket, Range<u32>)>),
}

impl Shares {
    /// Everybody, with the parts of the answer unless all of it is theirs.
    pub(crate) fn each(self, mut each: impl FnMut(Ticket, Option<Range<u32>>)) {
        match self {
            Self::One(ticket) => each(ticket, None),
            Self::Joint(all) => {
                all.into_iter().for_each(|(ticket, parts)| each(ticket, Some(parts)))
            }
        }
    }
}

/// Those who share a command that is being put together.
#[derive(Default)]
struct Joint<'d> {
    commands: Vec<&'d [u8]>,
    shares: Vec<(Ticket, Range<u32>)>,
    parts: u32,
}

impl<S: StateMachine> Replica<S> {
    /// Joins what can be joined of a round; the order of everything else stays.
    pub(super) fn join(&self, draft: Draft, tickets: Vec<Ticket>) -> (Draft, Vec<Shares>) {
        let can_share = |entry: &EntryRef<'_>| self.parts_of(*entry) != 0;
        if draft.iter().filter(can_share).take(2).count() < 2 {
            return (draft, tickets.into_iter().map(Shares::One).collect());
        }
        let (mut joined, mut shares) = (Draft::default(), Vec::new());
        let mut joint = Joint::default();
        for (entry, ticket) in draft.iter().zip(tickets) {
            let parts = self.parts_of(entry);
            if parts == 0 {
                joined.push_again(entry.bytes());
                shares.push(Shares::One(ticket));
                continue;
            }
            if JOINED_PARTS_MAX < joint.parts + parts {
                self.close(std::mem::take(&mut joint), &mut joined, &mut shares);
            }
            let first = joint.parts;
            joint.parts += parts;
            joint.commands.push(entry.payload());
            joint.shares.push((ticket, first..joint.parts));
        }
        self.close(joint, &mut joined, &mut shares);
        (joined, shares)
    }

    /// In how many parts of an answer a command shows, if it can be joined with others.
    fn parts_of(&self, entry: EntryRef<'_>) -> u32 {
        let is_plain = entry.kind() == EntryKind::Command && !entry.session().is_session();
        let parts = if is_plain { self.machine.joinable_parts(entry.payload()) } else { 0 };
        if parts <= JOINED_PARTS_MAX { parts } else { 0 }
    }

    fn close(&self, joint: Joint<'_>, joined: &mut Draft, shares: &mut Vec<Shares>) {
        let Joint { commands, shares: joint_shares, parts: _ } = joint;
        if commands.is_empty() {
            return;
        }
        let mut command = BytesMut::new();
        self.machine.join(&commands, &mut command);
        joined.push(EntryKind::Command, &SessionStamp::default(), &command);
        shares.push(Shares::Joint(joint_shares));
    }
}
