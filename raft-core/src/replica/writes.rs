//! Commands that clients of this node wait for.
//!
//! A command stays here, with its bytes, until this node has applied it or its deadline has
//! passed. Whenever the leader changes it is sent again; sessions make that harmless.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::entry::{ClientId, Draft, EntryRef, SessionStamp};
use crate::replica::event::{Refusal, Ticket};
use crate::types::Time;

/// Commands sent again in one round, in bytes, but at least one.
const ROUND_BYTES_MAX: usize = 1024 * 1024;

#[derive(Clone, Debug)]
struct Waiting {
    /// The command as an entry, stamped or not.
    command: Bytes,
    ticket: Ticket,
    /// Others who gave the same command of the same session.
    more: Vec<Ticket>,
    deadline: Time,
    /// When it last left for a log; `None` if it never did, so that it cannot have happened.
    sent_at: Option<Time>,
}

/// All commands that somebody waits for, by session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writes {
    waiting: BTreeMap<(ClientId, u64), Waiting>,
}

impl Writes {
    /// Adds a command.
    pub(crate) fn add(
        &mut self,
        command: Bytes,
        ticket: Ticket,
        deadline: Time,
        sent_at: Option<Time>,
    ) {
        let session = EntryRef::of(&command).session();
        let waiting = Waiting { command, ticket, more: Vec::new(), deadline, sent_at };
        self.waiting
            .entry((session.client, session.serial))
            .and_modify(|same| {
                same.more.push(ticket);
                same.deadline = same.deadline.max(deadline);
                same.sent_at = same.sent_at.or(sent_at);
            })
            .or_insert(waiting);
    }

    /// Whoever waits for this command gets its answer now and waits no more.
    pub(crate) fn take(&mut self, session: &SessionStamp, mut each: impl FnMut(Ticket)) {
        if self.waiting.is_empty() || !session.is_session() {
            return;
        }
        if let Some(waiting) = self.waiting.remove(&(session.client, session.serial)) {
            each(waiting.ticket);
            waiting.more.into_iter().for_each(each);
        }
    }

    /// Removes every command whose deadline has passed, and reports each of its tickets.
    pub(crate) fn expire(
        &mut self,
        now: Time,
        mut each: impl FnMut(&SessionStamp, Ticket, Refusal),
    ) {
        self.waiting.retain(|(client, serial), waiting| {
            if now < waiting.deadline {
                return true;
            }
            let refusal = match waiting.sent_at {
                Some(_) => Refusal::Unknown,
                None => Refusal::NoLeader,
            };
            let stamp = SessionStamp { client: *client, serial: *serial, acknowledged: 0 };
            each(&stamp, waiting.ticket, refusal);
            waiting.more.iter().for_each(|&ticket| each(&stamp, ticket, refusal));
            false
        });
    }

    /// The commands that left before `before`, or never, again, in rounds of bounded size.
    /// They count as sent now.
    pub(crate) fn due(&mut self, now: Time, before: Time) -> Vec<Draft> {
        let mut rounds = Vec::new();
        let mut draft = Draft::default();
        for waiting in self.waiting.values_mut() {
            if waiting.sent_at.is_some_and(|at| before <= at) {
                continue;
            }
            waiting.sent_at = Some(now);
            if ROUND_BYTES_MAX < draft.byte_len() + waiting.command.len() && !draft.is_empty() {
                rounds.push(std::mem::take(&mut draft));
            }
            draft.push_again(&waiting.command);
        }
        if !draft.is_empty() {
            rounds.push(draft);
        }
        rounds
    }
}
