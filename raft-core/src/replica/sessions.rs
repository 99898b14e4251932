//! Client sessions: a command that is repeated takes effect once (Ongaro 2014 §6.3).
//!
//! Part of the replicated state: every node decides the same from the log alone. A session
//! remembers the answers above what its client has acknowledged, in a window, so that serials
//! may arrive in any order.

use std::collections::{BTreeMap, VecDeque};

use crate::entry::{ClientId, SessionStamp};
use crate::replica::event::SessionRefusal;
use crate::types::Index;

/// How far above the acknowledged serial a client may be; beyond, `WindowExceeded`.
pub const WINDOW: u64 = 1024;

/// Sessions in the table; when full, the sixteenth part that was unused longest goes, and its
/// clients are told `SessionExpired`.
pub const SESSIONS_MAX: usize = 65_536;

/// Answers up to this many bytes are kept inside the table itself.
const INLINE_BYTES: usize = 30;

/// All sessions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions {
    table: BTreeMap<ClientId, Session>,
    /// An unknown client that is not younger than this may be one that was evicted.
    youngest_evicted: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Session {
    acknowledged: u64,
    /// The answers to `acknowledged + 1` and on; `None` where the command has not arrived.
    answers: VecDeque<Option<StoredAnswer>>,
    last_used: Index,
}

#[derive(Clone, Debug)]
enum StoredAnswer {
    Inline(u8, [u8; INLINE_BYTES]),
    Boxed(Box<[u8]>),
}

impl StoredAnswer {
    fn new(answer: &[u8]) -> Self {
        let mut bytes = [0; INLINE_BYTES];
        match (u8::try_from(answer.len()), bytes.get_mut(..answer.len())) {
            (Ok(length), Some(place)) => {
                place.copy_from_slice(answer);
                Self::Inline(length, bytes)
            }
            _ => Self::Boxed(answer.into()),
        }
    }

    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Inline(length, bytes) => &bytes[..usize::from(*length)],
            Self::Boxed(bytes) => bytes,
        }
    }
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
    /// Decides on a command that stands at `index` in the log.
    pub(crate) fn admit(&mut self, stamp: &SessionStamp, index: Index) -> Verdict<'_> {
        if !self.table.contains_key(&stamp.client) {
            if self.youngest_evicted.is_some_and(|issued| stamp.client.issued_at <= issued) {
                return Verdict::Refuse(SessionRefusal::SessionExpired);
            }
            self.make_room();
        }
        let session = self.table.entry(stamp.client).or_default();
        session.last_used = index;
        session.acknowledge(stamp.acknowledged.min(stamp.serial.saturating_sub(1)));
        if stamp.serial <= session.acknowledged {
            return Verdict::Refuse(SessionRefusal::AlreadyAcknowledged);
        }
        let place = stamp.serial - session.acknowledged - 1;
        if WINDOW <= place {
            return Verdict::Refuse(SessionRefusal::WindowExceeded);
        }
        let place = usize::try_from(place).expect("the window is small");
        if session.answers.len() <= place {
            session.answers.resize(place + 1, None);
        }
        match &session.answers[place] {
            Some(answer) => Verdict::Repeat(answer.as_slice()),
            None => Verdict::Execute,
        }
    }

    /// Whether the command of this stamp was executed, or never will be.
    pub(crate) fn has_executed(&self, stamp: &SessionStamp) -> bool {
        let Some(session) = self.table.get(&stamp.client) else { return false };
        let Some(place) = stamp.serial.checked_sub(session.acknowledged + 1) else { return true };
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        session.answers.get(place).is_some_and(Option::is_some)
    }

    /// Remembers the answer to a command that `admit` let through.
    ///
    /// Panics: if it was not let through just before.
    pub(crate) fn store(&mut self, stamp: &SessionStamp, answer: &[u8]) {
        let session = self.table.get_mut(&stamp.client).expect("admit has made the session");
        let place = usize::try_from(stamp.serial - session.acknowledged - 1);
        let place = &mut session.answers[place.expect("the window is small")];
        assert!(place.is_none(), "a command is executed once");
        *place = Some(StoredAnswer::new(answer));
    }

    fn make_room(&mut self) {
        if self.table.len() < SESSIONS_MAX {
            return;
        }
        let mut uses: Vec<Index> = self.table.values().map(|session| session.last_used).collect();
        let oldest = uses.len() / 16;
        let (_, threshold, _) = uses.select_nth_unstable(oldest);
        let threshold = *threshold;
        let mut youngest = self.youngest_evicted.unwrap_or(0);
        self.table.retain(|client, session| {
            let stays = threshold < session.last_used;
            if !stays {
                youngest = youngest.max(client.issued_at);
            }
            stays
        });
        self.youngest_evicted = Some(youngest);
    }
}

impl Session {
    fn acknowledge(&mut self, up_to: u64) {
        if up_to <= self.acknowledged {
            return;
        }
        let gone = usize::try_from(up_to - self.acknowledged).unwrap_or(usize::MAX);
        self.answers.drain(..gone.min(self.answers.len()));
        self.acknowledged = up_to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(random: u64, serial: u64, acknowledged: u64) -> SessionStamp {
        let client = ClientId { issued_at: 1, random };
        SessionStamp { client, serial, acknowledged }
    }

    fn execute(sessions: &mut Sessions, stamp: &SessionStamp, answer: &[u8]) {
        assert_eq!(sessions.admit(stamp, Index(1)), Verdict::Execute);
        sessions.store(stamp, answer);
    }

    #[test]
    fn serials_in_any_order_are_executed_once_each() {
        let mut sessions = Sessions::default();
        for serial in [3, 1, 2] {
            execute(&mut sessions, &stamp(7, serial, 0), &serial.to_le_bytes());
        }
        let long = [9; 100];
        execute(&mut sessions, &stamp(7, 9, 0), &long);
        for serial in [2u64, 1, 3] {
            let expected = serial.to_le_bytes();
            assert_eq!(sessions.admit(&stamp(7, serial, 0), Index(2)), Verdict::Repeat(&expected));
        }
        assert_eq!(sessions.admit(&stamp(7, 9, 3), Index(2)), Verdict::Repeat(&long));
        assert_eq!(
            sessions.admit(&stamp(7, 3, 0), Index(2)),
            Verdict::Refuse(SessionRefusal::AlreadyAcknowledged)
        );
        assert_eq!(sessions.admit(&stamp(8, 3, 0), Index(2)), Verdict::Execute);
    }

    #[test]
    fn the_window_has_an_end_that_acknowledging_moves() {
        let mut sessions = Sessions::default();
        execute(&mut sessions, &stamp(1, WINDOW, 0), b"");
        assert_eq!(
            sessions.admit(&stamp(1, WINDOW + 1, 0), Index(1)),
            Verdict::Refuse(SessionRefusal::WindowExceeded)
        );
        execute(&mut sessions, &stamp(1, WINDOW + 1, 1), b"");
    }

    #[test]
    fn a_full_table_forgets_the_longest_unused_and_says_so() {
        let mut sessions = Sessions::default();
        for random in 0..SESSIONS_MAX as u64 {
            let new = stamp(random, 1, 0);
            assert_eq!(sessions.admit(&new, Index(random + 1)), Verdict::Execute);
            sessions.store(&new, b"x");
        }
        let mut late = stamp(1 << 40, 1, 0);
        late.client.issued_at = 2;
        assert_eq!(sessions.admit(&late, Index(1 << 20)), Verdict::Execute);
        assert_eq!(
            sessions.admit(&stamp(0, 2, 1), Index(1 << 20)),
            Verdict::Refuse(SessionRefusal::SessionExpired)
        );
        let newest = stamp(SESSIONS_MAX as u64 - 1, 1, 0);
        assert_eq!(sessions.admit(&newest, Index(1 << 20)), Verdict::Repeat(b"x"));
    }
}
