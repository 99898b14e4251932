//! Client sessions: a command that is repeated takes effect once (Ongaro 2014 §6.3).
//!
//! Part of the replicated state: every node decides the same from the log alone, time included,
//! which is the log time of the entries. A session remembers the answers above what its client
//! has acknowledged, in a window, so that serials may arrive in any order. It is forgotten when
//! it was not used for a lifetime, or when the table is full; a client id says when it was handed
//! out, so that a forgotten client is told from a new one without being remembered.

use std::collections::BTreeMap;

use crate::entry::{ClientId, SessionStamp};
use crate::replica::event::SessionRefusal;
use crate::replica::pinned::BeforeImages;
use crate::replica::recency::{Kind, Recency};
use crate::replica::session::{Session, Use};
use crate::replica::session_limits::{SESSION_BYTES_MIN, SessionLimits};
use crate::replica::session_slices::{Loading, Reading};
use crate::teeth::is_removed;

/// How far above the acknowledged serial a client may be; beyond, `WindowExceeded`.
pub const WINDOW: u64 = 1024;

/// How many sessions whose lifetime is over one command removes. It adds one at most, so the
/// table gets rid of them, and no command pays for many.
const EXPIRED_PER_COMMAND: usize = 2;

/// All sessions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions {
    pub(super) limits: SessionLimits,
    pub(super) table: BTreeMap<ClientId, Session>,
    /// An unknown client that is not younger than this may be one that was evicted.
    pub(super) youngest_evicted: Option<u64>,
    pub(super) recency: Recency,
    /// What all sessions count for. Units: bytes.
    pub(super) counted_bytes: u64,
    /// No lifetime is over before this. Units: microseconds of log time.
    quiet_until: u64,
    pub(super) before: BeforeImages<ClientId, Session>,
    pub(super) reading: Option<Reading>,
    pub(super) loading: Option<Loading>,
}

/// What the session rules say about a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict<'a> {
    /// Execute it, and store its answer.
    Execute,
    /// It was executed before; this was the answer.
    Repeat(&'a [u8]),
    /// Do not execute it.
    Refuse(SessionRefusal),
}

impl Sessions {
    /// The same sessions under these limits, which hold from the next command on.
    pub(crate) fn with_limits(self, limits: SessionLimits) -> Self {
        Self { limits, quiet_until: 0, ..self }
    }

    pub(crate) fn limits(&self) -> &SessionLimits {
        &self.limits
    }

    /// Decides on a command that stands at `now` in the log.
    pub(crate) fn admit(&mut self, stamp: &SessionStamp, now: Use) -> Verdict<'_> {
        if self.quiet_until <= now.log_time {
            self.expire(now.log_time);
        }
        let (client, limits) = (stamp.client, &self.limits);
        // One search for a session that is there, as nearly all are.
        let session = match self.table.get_mut(&client) {
            Some(session) if !is_over(limits, client, session, now.log_time) => {
                // This and `store` change it.
                self.before.will_change(&client, Some(session));
                session
            }
            known => {
                let is_known = known.is_some();
                if is_known {
                    self.remove(client);
                }
                if !self.open(client, now) {
                    return Verdict::Refuse(SessionRefusal::SessionExpired);
                }
                self.table.get_mut(&client).expect("it was just opened")
            }
        };
        let bytes_before = session.counted_bytes();
        session.last_use = now;
        session.acknowledge(stamp.acknowledged.min(stamp.serial.saturating_sub(1)));
        let ruling = ruling(session, stamp, &self.limits);
        if let Ruling::Execute(place) = ruling {
            session.reach(place);
        }
        self.recency.touch(session.place, session.kind());
        self.counted_bytes = self.counted_bytes - bytes_before + session.counted_bytes();
        match ruling {
            Ruling::Execute(_) => Verdict::Execute,
            Ruling::Repeat(place) => {
                // Searched for again, since hardly anybody asks twice.
                Verdict::Repeat(self.table[&client].answer(place).expect("it was just seen"))
            }
            Ruling::Refuse(refusal) => Verdict::Refuse(refusal),
        }
    }

    /// Whether `admit` would let a command of this stamp through at this log time.
    pub(crate) fn lets_through(&self, stamp: &SessionStamp, log_time: u64) -> bool {
        let acknowledged = stamp.acknowledged.min(stamp.serial.saturating_sub(1));
        let known = self.table.get(&stamp.client);
        let Some(session) =
            known.filter(|session| !is_over(&self.limits, stamp.client, session, log_time))
        else {
            return !self.is_forgotten(stamp.client, log_time)
                && stamp.serial - acknowledged <= WINDOW;
        };
        // Only changes of the members are asked for, so a copy costs nothing that counts.
        let mut session = session.clone();
        session.acknowledge(acknowledged);
        matches!(ruling(&session, stamp, &self.limits), Ruling::Execute(_))
    }

    /// Whether a command is answered from what is remembered, as far as that is known here.
    pub(crate) fn has_executed(&self, stamp: &SessionStamp) -> bool {
        let session = self.table.get(&stamp.client);
        session.is_some_and(|session| session.has_executed(stamp.serial))
    }

    /// Remembers the answer to a command that `admit` let through.
    ///
    /// Panics: if it was not let through just before.
    pub(crate) fn store(&mut self, stamp: &SessionStamp, answer: &[u8]) {
        let session = self.table.get_mut(&stamp.client).expect("admit has made the session");
        let bytes_before = session.counted_bytes();
        session.store(stamp.serial, answer);
        self.counted_bytes = self.counted_bytes - bytes_before + session.counted_bytes();
        while self.limits.table_bytes_max < self.counted_bytes && self.evict(Some(stamp.client)) {}
    }

    /// Opens a session for a command that stands at `now` in the log. Answers no if there may have
    /// been one that is forgotten.
    fn open(&mut self, client: ClientId, now: Use) -> bool {
        if self.is_forgotten(client, now.log_time) {
            return false;
        }
        let room = self.limits.table_bytes_max.saturating_sub(SESSION_BYTES_MIN);
        while room < self.counted_bytes && self.evict(None) {}
        self.before.will_change(&client, None);
        let session = Session::new(0, now, self.recency.add(client, Kind::Single));
        self.counted_bytes += session.counted_bytes();
        self.table.insert(client, session);
        true
    }

    /// Whether an unknown client may be one that was known, or has an id that nobody gave out.
    fn is_forgotten(&self, client: ClientId, log_time: u64) -> bool {
        let issued_at = client.issued_at;
        let is_evicted = self.youngest_evicted.is_some_and(|youngest| issued_at <= youngest)
            && !is_removed("evicted-clients-are-refused");
        let is_old =
            self.limits.is_over(issued_at, log_time) && !is_removed("old-clients-are-refused");
        let is_of_the_future = log_time.saturating_add(self.limits.slack_us()) < issued_at;
        is_evicted || is_old || is_of_the_future
    }

    /// Removes sessions whose lifetime is over, a few at a time.
    fn expire(&mut self, log_time: u64) {
        for _ in 0..EXPIRED_PER_COMMAND {
            let oldest = [Kind::Single, Kind::Lasting].map(|kind| self.recency.oldest(kind));
            let is_over =
                |client: &ClientId| is_over(&self.limits, *client, &self.table[client], log_time);
            let Some(client) = oldest.into_iter().flatten().find(is_over) else { break };
            self.remove(client);
        }
        // Whoever is in the table then was last used no earlier than the oldest.
        let oldest = [Kind::Single, Kind::Lasting].map(|kind| self.recency.oldest(kind));
        let used_at = oldest.iter().flatten().map(|client| self.table[client].last_use.log_time);
        self.quiet_until = used_at.min().unwrap_or(log_time) + self.limits.lifetime_us;
    }

    /// Removes the session that can be spared best, but not the one that is in use. Answers no if
    /// there is no other.
    fn evict(&mut self, in_use: Option<ClientId>) -> bool {
        let are_many = self.table.len() < 4 * self.recency.count(Kind::Single);
        let first = if are_many { Kind::Single } else { Kind::Lasting };
        let other = if are_many { Kind::Lasting } else { Kind::Single };
        let mut candidates =
            [first, other].into_iter().filter_map(|kind| self.recency.oldest(kind));
        // What is in use is the newest of its list.
        let Some(client) = candidates.find(|client| Some(*client) != in_use) else { return false };
        self.remove(client);
        let youngest = self.youngest_evicted.unwrap_or(0).max(client.issued_at);
        self.youngest_evicted = Some(youngest);
        true
    }

    fn remove(&mut self, client: ClientId) {
        let session = self.table.remove(&client).expect("only what is known is removed");
        self.before.will_change(&client, Some(&session));
        self.recency.remove(session.place);
        self.counted_bytes -= session.counted_bytes();
    }
}

/// Whether the lifetime of a session is over. So is then that of its id, by which it will be
/// refused when it is no longer known.
fn is_over(limits: &SessionLimits, client: ClientId, session: &Session, log_time: u64) -> bool {
    limits.is_over(session.last_use.log_time.max(client.issued_at), log_time)
        && !is_removed("sessions-expire")
}

/// What a session says about a command of its client.
enum Ruling {
    /// Its answer goes there.
    Execute(usize),
    /// Its answer is there.
    Repeat(usize),
    Refuse(SessionRefusal),
}

/// What a session says that has acknowledged what the command's stamp does.
fn ruling(session: &Session, stamp: &SessionStamp, limits: &SessionLimits) -> Ruling {
    if stamp.serial <= session.acknowledged {
        return Ruling::Refuse(SessionRefusal::AlreadyAcknowledged);
    }
    let place = stamp.serial - session.acknowledged - 1;
    if WINDOW <= place {
        return Ruling::Refuse(SessionRefusal::WindowExceeded);
    }
    let place = usize::try_from(place).expect("the window is small");
    if session.answer(place).is_some() && !is_removed("commands-run-once") {
        return Ruling::Repeat(place);
    }
    // The next one to be acknowledged always has room, or nothing could be acknowledged.
    if 0 < place && limits.session_bytes_max <= session.window_bytes() {
        return Ruling::Refuse(SessionRefusal::WindowExceeded);
    }
    Ruling::Execute(place)
}

#[cfg(test)]
mod tests;
