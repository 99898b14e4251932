//! Client sessions: a command that is repeated takes effect once (Ongaro 2014 §6.3).
//!
//! Part of the replicated state: every node decides the same from the log alone. A session
//! remembers the answers above what its client has acknowledged, in a window, so that serials
//! may arrive in any order.

use std::collections::{BTreeMap, VecDeque};

use bytes::BytesMut;

use crate::entry::{ClientId, SessionStamp};
use crate::replica::event::SessionRefusal;
use crate::replica::pinned::{BeforeImages, Slice};
use crate::replica::session_records::{self as records, Begin, Record, SessionHead};
use crate::replica::state_machine::LoadError;
use crate::teeth::is_removed;
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
    before: BeforeImages<ClientId, Session>,
    reading: Option<Reading>,
    loading: Option<Loading>,
}

/// A pinned table of which a part may have been read.
#[derive(Clone, Debug)]
struct Reading {
    begin: Begin,
    has_begun: bool,
    /// The answers of the session at which the last part was full.
    rest: VecDeque<Option<StoredAnswer>>,
}

/// A table that is being loaded.
#[derive(Clone, Copy, Debug)]
struct Loading {
    session_count: u64,
    /// Of the last session.
    answers_left: u32,
    is_complete: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Session {
    acknowledged: u64,
    /// The answers to `acknowledged + 1` and on; `None` where the command has not arrived.
    answers: VecDeque<Option<StoredAnswer>>,
    last_used: Index,
}

#[derive(Clone, Debug, PartialEq, Eq)]
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
        // `store` changes the same session, in the same step.
        if self.before.is_pinned() {
            self.before.will_change(&stamp.client, self.table.get(&stamp.client));
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
            Some(answer) if !is_removed("commands-run-once") => Verdict::Repeat(answer.as_slice()),
            Some(_) | None => Verdict::Execute,
        }
    }

    /// Whether `admit` would let a command of this stamp through now.
    pub(crate) fn lets_through(&self, stamp: &SessionStamp) -> bool {
        let session = self.table.get(&stamp.client);
        let is_evicted = self.youngest_evicted.is_some_and(|at| stamp.client.issued_at <= at);
        if session.is_none() && is_evicted {
            return false;
        }
        let known = session.map_or(0, |session| session.acknowledged);
        let acknowledged = known.max(stamp.acknowledged.min(stamp.serial.saturating_sub(1)));
        if stamp.serial <= acknowledged || WINDOW < stamp.serial - acknowledged {
            return false;
        }
        let place = usize::try_from(stamp.serial - known - 1).unwrap_or(usize::MAX);
        session.and_then(|session| session.answers.get(place)).is_none_or(Option::is_none)
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
        let before = &mut self.before;
        self.table.retain(|client, session| {
            let stays = threshold < session.last_used;
            if !stays {
                before.will_change(client, Some(session));
                youngest = youngest.max(client.issued_at);
            }
            stays
        });
        self.youngest_evicted = Some(youngest);
    }
}

/// Part of a snapshot, by the rules of [`StateMachine`](crate::replica::StateMachine).
impl Sessions {
    /// Makes the present table the one that `read_pinned` shows.
    pub(crate) fn pin(&mut self) {
        let session_count = self.table.len() as u64;
        let begin = Begin { youngest_evicted: self.youngest_evicted, session_count };
        self.before.pin();
        self.reading = Some(Reading { begin, has_begun: false, rest: VecDeque::new() });
    }

    /// Appends the next part of the pinned table, at least one record and then about
    /// `bytes_max` bytes; answers whether more parts follow. A part may end between two
    /// answers of one session.
    ///
    /// Panics: if nothing is pinned.
    pub(crate) fn read_pinned(&mut self, bytes_max: usize, part: &mut BytesMut) -> bool {
        let reading = self.reading.as_mut().expect("sessions are pinned before they are read");
        let end = part.len() + bytes_max.max(1);
        if !reading.has_begun {
            reading.has_begun = true;
            records::put(part, &Record::Begin(reading.begin));
        }
        while part.len() < end
            && let Some(answer) = reading.rest.pop_front()
        {
            put_answer(part, answer.as_ref());
        }
        if !reading.rest.is_empty() {
            return true;
        }
        let more = self.before.next_slice(&self.table, |client, session| {
            records::put(part, &Record::Session(session.head(*client)));
            let mut answers = session.answers.iter();
            while part.len() < end
                && let Some(answer) = answers.next()
            {
                put_answer(part, answer.as_ref());
            }
            reading.rest.extend(answers.cloned());
            if part.len() < end { Slice::GoesOn } else { Slice::Ends }
        });
        if !more {
            let session_count = reading.begin.session_count;
            records::put(part, &Record::End { session_count });
        }
        more
    }

    /// Ends reading, at its end or before.
    pub(crate) fn unpin(&mut self) {
        self.before.unpin();
        self.reading = None;
    }

    /// Takes in the next part; only for a table that was empty before the first one.
    ///
    /// Errors: `LoadError` for anything that `read_pinned` cannot have made; the table is of
    /// no use then.
    pub(crate) fn load(&mut self, mut part: &[u8]) -> Result<(), LoadError> {
        while let Some(record) = records::next(&mut part)? {
            let Some(loading) = &mut self.loading else {
                let Record::Begin(begin) = record else {
                    return Err(LoadError::because("its sessions do not start with their begin"));
                };
                let Begin { youngest_evicted, session_count } = begin;
                self.youngest_evicted = youngest_evicted;
                self.loading = Some(Loading { session_count, answers_left: 0, is_complete: false });
                continue;
            };
            loading.advance(&record, self.table.len() as u64)?;
            match record {
                Record::Session(head) => {
                    if self.table.last_key_value().is_some_and(|(last, _)| head.client <= *last) {
                        return Err(LoadError::because("its sessions are not in order"));
                    }
                    let SessionHead { client, acknowledged, last_used, answer_count: _ } = head;
                    let answers = VecDeque::new();
                    self.table.insert(client, Session { acknowledged, answers, last_used });
                }
                Record::Answer(answer) => {
                    let mut last = self.table.last_entry().expect("an answer has a session");
                    last.get_mut().answers.push_back(answer.map(StoredAnswer::new));
                }
                Record::Begin(_) | Record::End { .. } => {}
            }
        }
        Ok(())
    }

    /// Checks that every part has arrived; from here on the table equals the pinned one.
    ///
    /// Errors: `LoadError` if parts are missing.
    pub(crate) fn finish_load(&mut self) -> Result<(), LoadError> {
        match self.loading.take() {
            Some(Loading { is_complete: true, .. }) => Ok(()),
            Some(_) | None => Err(LoadError::because("the end of its sessions is missing")),
        }
    }
}

impl Loading {
    /// Notes the next record, which must be one that can stand behind `loaded_count` sessions.
    fn advance(&mut self, record: &Record<'_>, loaded_count: u64) -> Result<(), LoadError> {
        let wrong = || LoadError::because("the records of its sessions do not go together");
        if self.is_complete {
            return Err(wrong());
        }
        match record {
            Record::Session(head) if self.answers_left == 0 => {
                self.answers_left = head.answer_count;
            }
            Record::Answer(_) => {
                self.answers_left = self.answers_left.checked_sub(1).ok_or_else(wrong)?;
            }
            Record::End { session_count } => {
                let counts = [*session_count, self.session_count];
                self.is_complete = self.answers_left == 0 && counts == [loaded_count; 2];
                return if self.is_complete { Ok(()) } else { Err(wrong()) };
            }
            Record::Begin(_) | Record::Session(_) => return Err(wrong()),
        }
        Ok(())
    }
}

fn put_answer(part: &mut BytesMut, answer: Option<&StoredAnswer>) {
    records::put(part, &Record::Answer(answer.map(StoredAnswer::as_slice)));
}

impl Session {
    fn head(&self, client: ClientId) -> SessionHead {
        let answer_count = u32::try_from(self.answers.len()).expect("the window is small");
        let Self { acknowledged, last_used, .. } = *self;
        SessionHead { client, acknowledged, last_used, answer_count }
    }

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
    use crate::consensus::rng::Rng;

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

    /// Executes a random command, or has it refused, the same in all tables, and as was said
    /// before.
    fn use_sessions(rng: &mut Rng, tables: &mut [&mut Sessions]) {
        let client = ClientId { issued_at: rng.next_u64() % 3, random: rng.next_u64() % 8 };
        let acknowledged = rng.next_u64() % 20;
        let serial = acknowledged + rng.next_u64() % (WINDOW + 10).min(1 << rng.in_range(0, 11));
        let stamp = SessionStamp { client, serial: serial.max(1), acknowledged };
        let answer = vec![7; usize::try_from(rng.next_u64() % 60).unwrap()];
        let index = Index(rng.next_u64() % 1000);
        let mut verdicts = Vec::new();
        for table in tables {
            let is_open = table.lets_through(&stamp);
            let verdict = format!("{:?}", table.admit(&stamp, index));
            assert_eq!(is_open, verdict == "Execute", "{stamp:?}");
            if verdict == "Execute" {
                table.store(&stamp, &answer);
            }
            verdicts.push(verdict);
        }
        assert!(verdicts.windows(2).all(|pair| pair[0] == pair[1]), "{verdicts:?}");
    }

    /// Reads a snapshot in parts; `meanwhile` runs before each.
    fn read(
        sessions: &mut Sessions,
        bytes_max: usize,
        mut meanwhile: impl FnMut(&mut Sessions),
    ) -> Vec<BytesMut> {
        let mut parts = Vec::new();
        let mut more = true;
        sessions.pin();
        while more {
            meanwhile(sessions);
            let mut part = BytesMut::new();
            more = sessions.read_pinned(bytes_max, &mut part);
            assert!(!part.is_empty());
            parts.push(part);
        }
        sessions.unpin();
        parts
    }

    fn load(parts: &[impl AsRef<[u8]>]) -> Result<Sessions, LoadError> {
        let mut sessions = Sessions::default();
        parts.iter().try_for_each(|part| sessions.load(part.as_ref()))?;
        sessions.finish_load().map(|()| sessions)
    }

    fn check_equal(one: &Sessions, other: &Sessions) {
        assert_eq!(one.table, other.table);
        assert_eq!(one.youngest_evicted, other.youngest_evicted);
    }

    #[test]
    fn a_loaded_table_is_the_pinned_one_and_lives_on_as_it_does() {
        for seed in 0..150 {
            let mut rng = Rng::new(seed);
            let mut sessions = Sessions::default();
            if seed % 2 == 0 {
                sessions.youngest_evicted = Some(rng.next_u64() % 2);
            }
            for _ in 0..rng.next_u64() % 200 {
                use_sessions(&mut rng, &mut [&mut sessions]);
            }
            let mut at_pin = sessions.clone();
            let bytes_max = [0, 100, 2_000, 100_000][usize::try_from(seed % 4).unwrap()];
            let parts = read(&mut sessions, bytes_max, |sessions| {
                if rng.next_u64().is_multiple_of(4) {
                    use_sessions(&mut rng, &mut [sessions]);
                }
            });
            assert!(parts.iter().all(|part| part.len() < bytes_max + 120), "seed {seed}");
            let mut loaded = load(&parts).unwrap();
            check_equal(&at_pin, &loaded);
            assert_eq!(parts, read(&mut loaded, bytes_max, |_| {}), "seed {seed}");
            for _ in 0..100 {
                use_sessions(&mut rng, &mut [&mut at_pin, &mut loaded]);
            }
            check_equal(&at_pin, &loaded);
        }
    }

    #[test]
    fn evicting_sessions_leaves_no_trace_in_a_snapshot_that_was_begun_before() {
        let mut sessions = Sessions::default();
        for random in 0..SESSIONS_MAX as u64 {
            assert_eq!(sessions.admit(&stamp(random, 1, 0), Index(random + 1)), Verdict::Execute);
            sessions.store(&stamp(random, 1, 0), b"x");
        }
        let at_pin = sessions.clone();
        let mut newcomer = stamp(1 << 40, 1, 0);
        newcomer.client.issued_at = 2;
        let parts = read(&mut sessions, 100_000, |sessions| {
            sessions.admit(&newcomer, Index(1 << 20));
        });
        assert!(sessions.table.len() < SESSIONS_MAX, "some were evicted");
        check_equal(&at_pin, &load(&parts).unwrap());
        let parts = read(&mut sessions, 1 << 20, |_| {});
        check_equal(&sessions, &load(&parts).unwrap());
    }

    #[test]
    fn parts_that_are_missing_repeated_or_cut_are_refused() {
        let mut sessions = Sessions::default();
        for serial in [1, 3, 4] {
            execute(&mut sessions, &stamp(1, serial, 0), &[5; 40]);
            execute(&mut sessions, &stamp(2, serial, 0), &[6; 40]);
        }
        let parts = read(&mut sessions, 0, |_| {});
        assert_eq!(parts.len(), 9, "a session, or an answer, in each: {parts:?}");
        load(&parts).unwrap();
        for at in 0..parts.len() {
            let with = |change: &dyn Fn(&mut Vec<BytesMut>)| {
                let mut changed = parts.clone();
                change(&mut changed);
                load(&changed).map(drop).expect_err("this is not what was read");
            };
            with(&|parts| drop(parts.remove(at)));
            with(&|parts| parts.insert(at, parts[at].clone()));
            (0..parts[at].len()).for_each(|cut| with(&|parts| parts[at].truncate(cut)));
            for byte in 0..parts[at].len() {
                let mut changed = parts.clone();
                changed[at][byte] ^= 0x81;
                // Any bytes are loaded or refused without a panic.
                drop(load(&changed));
            }
        }
    }
}
