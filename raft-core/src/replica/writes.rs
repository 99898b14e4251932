//! Commands that clients of this node wait for.
//!
//! A command stays here, with its bytes, until this node has applied it or its deadline has
//! passed. Whenever the leader changes it is sent again; sessions make that harmless.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;

use crate::entry::{ClientId, Draft, EntryRef, SessionStamp};
use crate::replica::event::{Refusal, Ticket};
use crate::replica::joining::Shares;
use crate::teeth::is_removed;
use crate::types::Time;

/// Commands sent again in one round, in bytes, but at least one.
const ROUND_BYTES_MAX: usize = 1024 * 1024;

#[derive(Clone, Debug)]
struct Waiting {
    /// The command as an entry, stamped or not.
    command: Bytes,
    shares: Shares,
    /// Others who gave the same command of the same session.
    more: Vec<Shares>,
    deadline: Time,
    /// When it last left for a log; `None` if it never did, so that it cannot have happened.
    sent_at: Option<Time>,
}

/// Bytes of commands that wait for a leader or for its log; when full, more are refused.
const WAITING_BYTES_MAX: usize = 128 * 1024 * 1024;

/// All commands that somebody waits for, by session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writes {
    waiting: BTreeMap<(ClientId, u64), Waiting>,
    bytes: usize,
}

impl Writes {
    /// Whether no more commands can be kept until there is a leader.
    pub(crate) fn is_full(&self) -> bool {
        WAITING_BYTES_MAX <= self.bytes
    }

    /// Adds a command.
    pub(crate) fn add(
        &mut self,
        command: Bytes,
        shares: Shares,
        deadline: Time,
        sent_at: Option<Time>,
    ) {
        let session = EntryRef::of(&command).session();
        let added = command.len();
        match self.waiting.entry((session.client, session.serial)) {
            Entry::Vacant(vacant) => {
                self.bytes += added;
                vacant.insert(Waiting { command, shares, more: Vec::new(), deadline, sent_at });
            }
            Entry::Occupied(same) => {
                let same = same.into_mut();
                same.more.push(shares);
                same.deadline = same.deadline.max(deadline);
                same.sent_at = same.sent_at.or(sent_at);
            }
        }
    }

    /// Whoever waits for this command gets its answer now and waits no more.
    pub(crate) fn take(&mut self, session: &SessionStamp, mut each: impl FnMut(Shares)) {
        if self.waiting.is_empty() || !session.is_session() {
            return;
        }
        if let Some(waiting) = self.waiting.remove(&(session.client, session.serial)) {
            self.bytes -= waiting.command.len();
            each(waiting.shares);
            waiting.more.into_iter().for_each(each);
        }
    }

    /// Makes this command due at once, although it has left.
    pub(crate) fn send_soon(&mut self, session: &SessionStamp) {
        if let Some(waiting) = self.waiting.get_mut(&(session.client, session.serial)) {
            waiting.sent_at = Some(Time(0));
        }
    }

    /// Removes every command whose deadline has passed, and reports each of its tickets.
    pub(crate) fn expire(
        &mut self,
        now: Time,
        mut each: impl FnMut(&SessionStamp, Ticket, Refusal),
    ) {
        self.waiting.retain(|(client, serial), waiting| {
            if now < waiting.deadline || is_removed("writes-expire") {
                return true;
            }
            let refusal = match waiting.sent_at {
                Some(_) => Refusal::Unknown,
                None => Refusal::NoLeader,
            };
            let stamp = SessionStamp { client: *client, serial: *serial, acknowledged: 0 };
            self.bytes -= waiting.command.len();
            let more = std::mem::take(&mut waiting.more);
            let shares = std::mem::replace(&mut waiting.shares, Shares::Joint(Vec::new()));
            for shares in std::iter::once(shares).chain(more) {
                shares.each(|ticket, _| each(&stamp, ticket, refusal));
            }
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
