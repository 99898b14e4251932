//! What clients are told: true, in real-time order, and once for each request.
//!
//! Every answer carries a revision, so the order in which operations took effect is known, and
//! linearizability is two checks: each answer is right at its revision, and whatever began
//! after an answer was given has a revision that is not lower.

use bytes::Bytes;
use kv_store::command::Answer;
use raft_core::entry::SessionStamp;
use raft_core::replica::event::{Outcome, Refusal, SessionRefusal};
use raft_core::replica::session_limits::SessionLimits;

use super::executions::Executions;
use crate::simulator::report::Counts;

/// What was asked, as far as the answer depends on it.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// A command of a client's session; `is_done` if the client has its answer.
    Write { session: SessionStamp, is_done: bool },
    /// A put without a session.
    Once { payload: Bytes },
    /// A query.
    Read { query: Bytes },
}

/// How far operations that are over have come.
#[derive(Debug)]
pub(crate) struct History {
    /// The highest revision in any answer so far.
    newest: u64,
    /// When sessions may be forgotten.
    sessions: SessionLimits,
}

impl History {
    /// Nothing was answered yet.
    pub(super) fn new(sessions: SessionLimits) -> Self {
        Self { newest: 0, sessions }
    }

    /// The revision that an operation which begins now must not fall behind.
    pub(crate) fn floor(&self) -> u64 {
        self.newest
    }

    /// A node gives an answer to something that began when `floor` was.
    /// Returns whether the operation is over.
    pub(crate) fn answered(
        &mut self,
        executions: &mut Executions,
        (asked, floor): (&Asked, u64),
        (outcome, bytes): (&Outcome, &[u8]),
        counts: &mut Counts,
    ) -> bool {
        match (asked, outcome) {
            (_, Outcome::Refused(refusal)) => {
                check_refusal(asked, *refusal, counts);
                false
            }
            (Asked::Write { is_done, .. }, Outcome::Session(refusal)) => {
                self.note_session(asked, *is_done, *refusal, counts)
            }
            (Asked::Once { .. } | Asked::Read { .. }, Outcome::Session(refusal)) => {
                panic!("{asked:?} has no session of a client, but: {refusal:?}")
            }
            (_, Outcome::AnsweredLocally(..)) => panic!("{asked:?} was for the whole cluster"),
            (Asked::Write { session, .. }, Outcome::Answered(_)) => {
                let known = executions.answer_of(session.client, session.serial);
                let known = known.expect("only what was executed is acknowledged");
                assert_eq!(known, bytes, "I19 every answer to {asked:?} is the same");
                self.note_write(floor, bytes, counts);
                true
            }
            (Asked::Once { payload }, Outcome::Answered(_)) => {
                let known = executions.answer_to(payload);
                let known = known.expect("only what was executed is acknowledged");
                assert_eq!(known, bytes, "I19 every answer to {asked:?} is the same");
                self.note_write(floor, bytes, counts);
                true
            }
            (Asked::Read { query }, Outcome::Answered(_)) => {
                let revision = executions.read(query, bytes);
                let is_late = revision < floor;
                assert!(!is_late, "I16 a read at {revision} began after the answer at {floor}");
                self.newest = self.newest.max(revision);
                counts.reads_answered += 1;
                true
            }
        }
    }

    /// Returns whether the operation is over, although nobody knows what became of it.
    fn note_session(
        &self,
        asked: &Asked,
        is_done: bool,
        refusal: SessionRefusal,
        counts: &mut Counts,
    ) -> bool {
        let known = SessionLimits::default();
        match refusal {
            // A late repetition of something whose answer the client has acknowledged.
            SessionRefusal::AlreadyAcknowledged => {
                assert!(is_done, "{asked:?} is refused by its session: {refusal:?}");
                counts.late_repeats += 1;
                false
            }
            SessionRefusal::WindowExceeded => {
                let has_room = self.sessions.session_bytes_max == known.session_bytes_max;
                assert!(!has_room, "{asked:?} is refused by its session: {refusal:?}");
                counts.full_sessions += 1;
                false
            }
            SessionRefusal::SessionExpired => {
                let is_kept = self.sessions.lifetime_us == known.lifetime_us
                    && self.sessions.table_bytes_max == known.table_bytes_max;
                assert!(!is_kept, "{asked:?} is refused by its session: {refusal:?}");
                counts.expired_sessions += 1;
                !is_done
            }
        }
    }

    fn note_write(&mut self, floor: u64, bytes: &[u8], counts: &mut Counts) {
        let (revision, least) = match Answer::decode(bytes).expect("stores write answers") {
            Answer::Put { revision } => (revision, floor + 1),
            Answer::Deleted { count: 0, revision } => (revision, floor),
            Answer::Deleted { revision, .. } => (revision, floor + 1),
            Answer::Changed { revision, .. }
            | Answer::Number { revision, .. }
            | Answer::PutOver { revision, .. }
            | Answer::Granted { revision, .. }
            | Answer::Renewed { revision, .. }
            | Answer::Undone { revision, .. }
            | Answer::No { revision, .. } => (revision, floor),
            Answer::Transaction(transacted) => (transacted.revision, floor),
            other => panic!("a command is answered by {other:?}"),
        };
        assert!(least <= revision, "I16 a write at {revision} began after the answer at {floor}");
        self.newest = self.newest.max(revision);
        counts.writes_answered += 1;
    }
}

fn check_refusal(asked: &Asked, refusal: Refusal, counts: &mut Counts) {
    match (asked, refusal) {
        (_, Refusal::NoLeader) => counts.refused_no_leader += 1,
        (_, Refusal::Overloaded) => counts.refused_overloaded += 1,
        (Asked::Write { .. } | Asked::Once { .. }, Refusal::NoSpace) => {
            counts.refused_no_space += 1;
        }
        (Asked::Write { .. } | Asked::Once { .. }, Refusal::Unknown) => counts.unknown += 1,
        (Asked::Read { .. }, Refusal::Unknown)
        | (_, Refusal::TooLarge | Refusal::Stopping | Refusal::NotHandedOver)
        | (Asked::Read { .. }, Refusal::NoSpace)
        | (_, Refusal::Fenced) => {
            panic!("{asked:?} is refused for a reason that it does not have: {refusal:?}")
        }
    }
}
