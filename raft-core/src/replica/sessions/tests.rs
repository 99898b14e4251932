//! The rules, one by one, and beside a naive model of them.

use std::collections::BTreeSet;

use super::*;
use crate::consensus::rng::Rng;
use crate::replica::session_limits::{SESSION_LIFETIME_US, TABLE_BYTES_MAX};
use crate::types::Index;

fn stamp(random: u64, serial: u64, acknowledged: u64) -> SessionStamp {
    let client = ClientId { issued_at: 1, random };
    SessionStamp { client, serial, acknowledged }
}

fn at(index: u64) -> Use {
    Use { index: Index(index), log_time: 1 }
}

fn execute(sessions: &mut Sessions, stamp: &SessionStamp, now: Use, answer: &[u8]) {
    assert_eq!(sessions.admit(stamp, now), Verdict::Execute);
    sessions.store(stamp, answer);
}

const EXPIRED: Verdict<'_> = Verdict::Refuse(SessionRefusal::SessionExpired);
const TOO_FAR: Verdict<'_> = Verdict::Refuse(SessionRefusal::WindowExceeded);

#[test]
fn serials_in_any_order_are_executed_once_each() {
    let mut sessions = Sessions::default();
    for serial in [3, 1, 2] {
        execute(&mut sessions, &stamp(7, serial, 0), at(1), &serial.to_le_bytes());
    }
    let long = [9; 100];
    execute(&mut sessions, &stamp(7, 9, 0), at(2), &long);
    for serial in [2u64, 1, 3] {
        let expected = serial.to_le_bytes();
        assert_eq!(sessions.admit(&stamp(7, serial, 0), at(3)), Verdict::Repeat(&expected));
    }
    assert_eq!(sessions.admit(&stamp(7, 9, 3), at(4)), Verdict::Repeat(&long));
    assert_eq!(
        sessions.admit(&stamp(7, 3, 0), at(5)),
        Verdict::Refuse(SessionRefusal::AlreadyAcknowledged)
    );
    assert_eq!(sessions.admit(&stamp(8, 3, 0), at(6)), Verdict::Execute);
}

#[test]
fn the_window_has_an_end_that_acknowledging_moves() {
    let mut sessions = Sessions::default();
    execute(&mut sessions, &stamp(1, WINDOW, 0), at(1), b"");
    assert_eq!(sessions.admit(&stamp(1, WINDOW + 1, 0), at(2)), TOO_FAR);
    execute(&mut sessions, &stamp(1, WINDOW + 1, 1), at(3), b"");
}

#[test]
fn a_session_lasts_for_a_lifetime_after_its_last_use() {
    let mut sessions = Sessions::default();
    let used = |index, log_time| Use { index: Index(index), log_time };
    execute(&mut sessions, &stamp(1, 1, 0), used(1, 10), b"x");
    let last_moment = 10 + SESSION_LIFETIME_US - 1;
    assert_eq!(sessions.admit(&stamp(1, 1, 0), used(2, last_moment)), Verdict::Repeat(b"x"));
    let end = last_moment + SESSION_LIFETIME_US;
    assert!(sessions.lets_through(&stamp(1, 2, 0), end - 1));
    assert!(!sessions.lets_through(&stamp(1, 2, 0), end));
    assert_eq!(sessions.admit(&stamp(1, 1, 0), used(3, end)), EXPIRED);
    assert_eq!(sessions.admit(&stamp(1, 2, 1), used(4, end)), EXPIRED);
    assert!(sessions.table.is_empty() && sessions.counted_bytes == 0);
    assert_eq!(sessions.youngest_evicted, None, "what is old needs no mark");
}

#[test]
fn an_unknown_client_is_new_only_if_its_id_is() {
    let mut sessions = Sessions::default();
    let log_time = 5 * SESSION_LIFETIME_US;
    let slack_us = sessions.limits.slack_us();
    for (issued_at, is_new) in [
        (log_time, true),
        (log_time - SESSION_LIFETIME_US + 1, true),
        (log_time - SESSION_LIFETIME_US, false),
        (0, false),
        (log_time + slack_us, true),
        (log_time + slack_us + 1, false),
        (u64::MAX, false),
    ] {
        let client = ClientId { issued_at, random: 1 };
        let stamp = SessionStamp { client, serial: 1, acknowledged: 0 };
        assert_eq!(sessions.lets_through(&stamp, log_time), is_new, "{issued_at}");
        let verdict = sessions.admit(&stamp, Use { index: Index(1), log_time });
        assert_eq!(verdict == Verdict::Execute, is_new, "{issued_at}");
        assert!(is_new || verdict == EXPIRED);
    }
}

#[test]
fn sessions_that_nobody_uses_go_a_few_with_each_command() {
    let mut sessions = Sessions::default();
    for random in 0..100 {
        execute(&mut sessions, &stamp(random, 1 + random % 2, 0), at(random), b"x");
    }
    let client = ClientId { issued_at: SESSION_LIFETIME_US, random: 0 };
    for serial in 1..=60 {
        let before = sessions.table.len();
        let now = Use { index: Index(100 + serial), log_time: 1 + SESSION_LIFETIME_US };
        let stamp = SessionStamp { client, serial, acknowledged: 0 };
        execute(&mut sessions, &stamp, now, b"x");
        assert!(before <= sessions.table.len() + EXPIRED_PER_COMMAND);
    }
    assert_eq!(sessions.table.len(), 1);
}

#[test]
fn a_million_single_writes_stay_within_the_limit_and_evict_nobody_who_writes_on() {
    let mut sessions = Sessions::default();
    execute(&mut sessions, &stamp(u64::MAX, 1, 0), at(1), b"first");
    execute(&mut sessions, &stamp(u64::MAX, 2, 1), at(2), b"second");
    for random in 0..1_000_000 {
        let client = ClientId { issued_at: 2 + random, random };
        let stamp = SessionStamp { client, serial: 1, acknowledged: 0 };
        let now = Use { index: Index(3 + random), log_time: 2 + random };
        execute(&mut sessions, &stamp, now, &random.to_le_bytes());
        assert!(sessions.counted_bytes <= TABLE_BYTES_MAX);
    }
    assert_eq!(sessions.table.len(), 65_536);
    assert!(sessions.recency.count(Kind::Single) == 65_535);
    let verdict = sessions.admit(&stamp(u64::MAX, 2, 1), at(2_000_000));
    assert_eq!(verdict, Verdict::Repeat(b"second"));
    assert_eq!(sessions.admit(&stamp(0, 1, 0), at(2_000_001)), EXPIRED);
}

fn small(table_bytes_max: u64, session_bytes_max: u64) -> Sessions {
    let lifetime_us = SESSION_LIFETIME_US;
    let limits = SessionLimits { lifetime_us, table_bytes_max, session_bytes_max };
    Sessions::default().with_limits(limits)
}

#[test]
fn newcomers_have_a_quarter_of_a_table_full_of_lasting_sessions() {
    let mut sessions = small(16 * SESSION_BYTES_MIN, SESSION_BYTES_MIN);
    for random in 0..16 {
        execute(&mut sessions, &stamp(random, 2, 1), at(random), b"x");
    }
    for random in 100..200 {
        let client = ClientId { issued_at: random, random };
        let stamp = SessionStamp { client, serial: 1, acknowledged: 0 };
        execute(&mut sessions, &stamp, at(random), b"x");
    }
    let known = |random| ClientId { issued_at: if random < 100 { 1 } else { random }, random };
    let left: BTreeSet<ClientId> = sessions.table.keys().copied().collect();
    let expected: BTreeSet<ClientId> = (5..16).chain(195..200).map(known).collect();
    assert_eq!(left, expected);
}

#[test]
fn a_session_full_of_answers_goes_on_when_its_client_acknowledges() {
    let mut sessions = small(TABLE_BYTES_MAX, 10_000);
    for serial in 2..=4 {
        execute(&mut sessions, &stamp(1, serial, 0), at(serial), &[7; 5_000]);
        assert!(sessions.lets_through(&stamp(1, 5, 0), 1) == (serial < 3));
        if 3 <= serial {
            break;
        }
    }
    assert_eq!(sessions.admit(&stamp(1, 5, 0), at(5)), TOO_FAR);
    assert_eq!(sessions.admit(&stamp(1, 2, 0), at(6)), Verdict::Repeat(&[7; 5_000]));
    // The first one has room, or nothing could be acknowledged any more.
    assert!(sessions.lets_through(&stamp(1, 1, 0), 1));
    execute(&mut sessions, &stamp(1, 1, 0), at(7), &[7; 5_000]);
    assert_eq!(sessions.admit(&stamp(1, 5, 1), at(8)), TOO_FAR);
    assert!(sessions.lets_through(&stamp(1, 5, 3), 1));
    execute(&mut sessions, &stamp(1, 5, 3), at(9), b"");
    assert_eq!(sessions.counted_bytes, SESSION_BYTES_MIN);
}

#[test]
fn a_long_answer_makes_room_by_evicting_others_and_never_its_own_session() {
    let mut sessions = small(20_000, 10_000);
    for random in 0..19 {
        execute(&mut sessions, &stamp(random, 1, 0), at(random), b"x");
    }
    execute(&mut sessions, &stamp(5, 2, 0), at(20), &[7; 9_000]);
    assert!(sessions.counted_bytes <= 20_000);
    assert_eq!(sessions.table.len(), 11, "no more went than was necessary");
    assert_eq!(sessions.admit(&stamp(4, 1, 0), at(21)), EXPIRED);
    assert_eq!(sessions.admit(&stamp(5, 1, 0), at(22)), Verdict::Repeat(b"x"));
    execute(&mut sessions, &stamp(5, 3, 1), at(23), &[7; 50_000]);
    assert_eq!(sessions.table.len(), 1, "what is in use stays, whatever it counts for");
    let next = SessionStamp { client: ClientId { issued_at: 2, random: 0 }, ..stamp(0, 1, 0) };
    execute(&mut sessions, &next, at(24), b"x");
    assert_eq!(sessions.table.len(), 1);
    assert_eq!(sessions.counted_bytes, SESSION_BYTES_MIN);
}

/// The rules without any regard to how long they take.
#[derive(Default)]
struct Naive {
    limits: SessionLimits,
    all: Vec<NaiveSession>,
    youngest_evicted: Option<u64>,
}

struct NaiveSession {
    client: ClientId,
    acknowledged: u64,
    answers: BTreeMap<u64, Vec<u8>>,
    last_use: Use,
    /// How far serials have been executed.
    reached: u64,
}

impl NaiveSession {
    fn window_bytes(&self) -> u64 {
        let long = self.answers.values().map(Vec::len).filter(|length| 30 < *length);
        32 * (self.reached - self.acknowledged) + long.sum::<usize>() as u64
    }

    fn is_single(&self) -> bool {
        self.acknowledged == 0 && self.reached <= 1
    }
}

impl Naive {
    fn counted_bytes(&self) -> u64 {
        self.all.iter().map(|session| session.window_bytes().max(1024)).sum()
    }

    fn evict(&mut self, in_use: Option<ClientId>) -> bool {
        let singles = self.all.iter().filter(|session| session.is_single()).count();
        let are_many = self.all.len() < 4 * singles;
        let spare = self.all.iter().enumerate().filter(|(_, s)| Some(s.client) != in_use);
        let worst = spare.min_by_key(|(_, s)| (s.is_single() != are_many, s.last_use.index));
        let Some((at, _)) = worst else { return false };
        let client = self.all.remove(at).client;
        self.youngest_evicted = self.youngest_evicted.max(Some(client.issued_at));
        true
    }

    fn admit(&mut self, stamp: &SessionStamp, now: Use) -> String {
        let SessionLimits { lifetime_us, table_bytes_max, session_bytes_max } = self.limits;
        let is_over = |at: u64| at + lifetime_us <= now.log_time;
        for _ in 0..EXPIRED_PER_COMMAND {
            let oldest = |is_single| {
                let list =
                    self.all.iter().enumerate().filter(move |(_, s)| s.is_single() == is_single);
                list.min_by_key(|(_, session)| session.last_use.index)
            };
            let over = [true, false].into_iter().filter_map(oldest);
            let mut over =
                over.filter(|(_, s)| is_over(s.last_use.log_time.max(s.client.issued_at)));
            let Some((at, _)) = over.next() else { break };
            self.all.remove(at);
        }
        let is_current = |s: &NaiveSession| {
            s.client != stamp.client || !is_over(s.last_use.log_time.max(s.client.issued_at))
        };
        self.all.retain(is_current);
        if !self.all.iter().any(|session| session.client == stamp.client) {
            let issued_at = stamp.client.issued_at;
            let is_evicted = self.youngest_evicted.is_some_and(|youngest| issued_at <= youngest);
            if is_evicted || is_over(issued_at) || now.log_time + lifetime_us / 8 < issued_at {
                return format!("{EXPIRED:?}");
            }
            while table_bytes_max < self.counted_bytes() + 1024 && self.evict(None) {}
            let client = stamp.client;
            let answers = BTreeMap::new();
            self.all.push(NaiveSession {
                client,
                acknowledged: 0,
                answers,
                last_use: now,
                reached: 0,
            });
        }
        let mut all = self.all.iter_mut();
        let session = all.find(|session| session.client == stamp.client).unwrap();
        session.last_use = now;
        let acknowledged = stamp.acknowledged.min(stamp.serial - 1).max(session.acknowledged);
        session.acknowledged = acknowledged;
        session.reached = session.reached.max(acknowledged);
        session.answers.retain(|serial, _| acknowledged < *serial);
        let window_bytes = session.window_bytes();
        if stamp.serial <= acknowledged {
            return format!("{:?}", Verdict::Refuse(SessionRefusal::AlreadyAcknowledged));
        }
        let is_next = stamp.serial == acknowledged + 1;
        match session.answers.get(&stamp.serial) {
            _ if acknowledged + WINDOW < stamp.serial => format!("{TOO_FAR:?}"),
            Some(answer) => format!("{:?}", Verdict::Repeat(answer)),
            None if !is_next && session_bytes_max <= window_bytes => format!("{TOO_FAR:?}"),
            None => {
                session.reached = session.reached.max(stamp.serial);
                format!("{:?}", Verdict::Execute)
            }
        }
    }

    fn store(&mut self, stamp: &SessionStamp, answer: &[u8]) {
        let mut all = self.all.iter_mut();
        let session = all.find(|session| session.client == stamp.client).unwrap();
        session.answers.insert(stamp.serial, answer.to_vec());
        let most = self.limits.table_bytes_max;
        while most < self.counted_bytes() && self.evict(Some(stamp.client)) {}
    }
}

#[test]
fn random_commands_are_decided_as_by_the_rules_alone() {
    let mut seen = BTreeMap::<String, u64>::new();
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let limits = SessionLimits {
            lifetime_us: 1 << rng.in_range(9, 14),
            table_bytes_max: 1024 << rng.in_range(1, 8),
            session_bytes_max: 1024 << rng.in_range(0, 4),
        };
        let mut sessions = Sessions::default().with_limits(limits);
        let mut naive = Naive { limits, ..Naive::default() };
        let mut log_time = 0;
        let most_clients = 1 << rng.in_range(0, 6);
        for index in 1..2_000 {
            log_time += rng.next_u64() % 12;
            let random = rng.next_u64() % most_clients;
            let off = rng.next_u64() % (1 << rng.in_range(0, 11));
            let issued_at = match rng.next_u64() % 32 {
                0 => log_time + off,
                1..6 => log_time.saturating_sub(off),
                _ => (log_time / 250) * 250,
            };
            let acknowledged = rng.next_u64() % (1 << rng.in_range(0, 4));
            let reach = if rng.next_u64().is_multiple_of(8) { 11 } else { 4 };
            let beyond = 1 + rng.next_u64() % (1 << rng.in_range(0, reach));
            let client = ClientId { issued_at, random };
            let serial = acknowledged + beyond;
            let stamp = SessionStamp { client, serial, acknowledged };
            let now = Use { index: Index(index), log_time };
            let is_open = sessions.lets_through(&stamp, log_time);
            let verdict = format!("{:?}", sessions.admit(&stamp, now));
            assert_eq!(verdict, naive.admit(&stamp, now), "seed {seed} index {index}");
            let is_executed = verdict == "Execute";
            assert_eq!(is_open, is_executed, "seed {seed} index {index}");
            if is_executed {
                let length = rng.next_u64() % (1 << rng.in_range(0, 13));
                let answer = vec![7; usize::try_from(length).unwrap()];
                sessions.store(&stamp, &answer);
                naive.store(&stamp, &answer);
            }
            assert_eq!(sessions.counted_bytes, naive.counted_bytes(), "seed {seed} index {index}");
            assert_eq!(sessions.youngest_evicted, naive.youngest_evicted);
            let is_within = sessions.counted_bytes <= limits.table_bytes_max;
            assert!(is_within || sessions.table.len() == 1, "seed {seed} index {index}");
            let word = verdict.split('[').next().expect("a split has a beginning").to_owned();
            *seen.entry(word).or_default() += 1;
        }
    }
    assert!(seen.len() == 5 && seen.values().all(|count| 1_000 < *count), "{seen:?}");
}
