//! A table that is read in parts, and loaded, is the one that was pinned.

use super::*;
use crate::consensus::rng::Rng;
use crate::entry::SessionStamp;
use crate::replica::session_limits::{SESSION_BYTES_MIN, SessionLimits};
use crate::replica::sessions::{Verdict, WINDOW};
use crate::types::Index;

/// Small enough that sessions expire and are evicted.
const LIMITS: SessionLimits = SessionLimits {
    lifetime_us: 500,
    table_bytes_max: 12 * SESSION_BYTES_MIN,
    session_bytes_max: 2 * SESSION_BYTES_MIN,
};

fn at(index: u64) -> Use {
    Use { index: Index(index), log_time: index }
}

fn execute(sessions: &mut Sessions, stamp: &SessionStamp, now: Use, answer: &[u8]) {
    assert_eq!(sessions.admit(stamp, now), Verdict::Execute);
    sessions.store(stamp, answer);
}

/// Executes a random command, or has it refused, the same in all tables, and as was said
/// before.
fn use_sessions(rng: &mut Rng, index: &mut u64, tables: &mut [&mut Sessions]) {
    *index += 1 + rng.next_u64() % 3;
    let issued_at = (*index / 200) * 200;
    let client = ClientId { issued_at, random: rng.next_u64() % 16 };
    let acknowledged = rng.next_u64() % 20;
    let serial = acknowledged + rng.next_u64() % (WINDOW + 10).min(1 << rng.in_range(0, 11));
    let stamp = SessionStamp { client, serial: serial.max(1), acknowledged };
    let answer = vec![7; usize::try_from(rng.next_u64() % 60).unwrap()];
    let mut verdicts = Vec::new();
    for table in tables {
        let is_open = table.lets_through(&stamp, *index);
        let verdict = format!("{:?}", table.admit(&stamp, at(*index)));
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
    sessions.finish_load().map(|()| sessions.with_limits(LIMITS))
}

fn check_equal(one: &Sessions, other: &Sessions) {
    assert_eq!(one.table, other.table);
    assert_eq!(one.youngest_evicted, other.youngest_evicted);
    assert_eq!(one.counted_bytes, other.counted_bytes);
}

#[test]
fn a_loaded_table_is_the_pinned_one_and_lives_on_as_it_does() {
    let (mut evictions, mut longest) = (0, 0);
    for seed in 0..150 {
        let mut rng = Rng::new(seed);
        let mut index = 0;
        let mut sessions = Sessions::default().with_limits(LIMITS);
        for _ in 0..rng.next_u64() % 200 {
            use_sessions(&mut rng, &mut index, &mut [&mut sessions]);
        }
        let mut at_pin = sessions.clone();
        let bytes_max = [0, 100, 2_000, 100_000][usize::try_from(seed % 4).unwrap()];
        let parts = read(&mut sessions, bytes_max, |sessions| {
            if rng.next_u64().is_multiple_of(4) {
                use_sessions(&mut rng, &mut index, &mut [sessions]);
            }
        });
        assert!(parts.iter().all(|part| part.len() < bytes_max + 120), "seed {seed}");
        let mut loaded = load(&parts).unwrap();
        check_equal(&at_pin, &loaded);
        assert_eq!(parts, read(&mut loaded, bytes_max, |_| {}), "seed {seed}");
        for _ in 0..100 {
            use_sessions(&mut rng, &mut index, &mut [&mut at_pin, &mut loaded]);
        }
        check_equal(&at_pin, &loaded);
        evictions += u64::from(at_pin.youngest_evicted.is_some());
        longest = longest.max(index);
    }
    assert!(50 < evictions && LIMITS.lifetime_us < longest, "{evictions} {longest}");
}

#[test]
fn sessions_that_go_leave_no_trace_in_a_snapshot_that_was_begun_before() {
    for log_time in [20, LIMITS.lifetime_us + 12] {
        let mut sessions = Sessions::default().with_limits(LIMITS);
        for random in 0..12 {
            execute(&mut sessions, &stamp(random, 1 + random % 2), at(random), b"x");
        }
        let at_pin = sessions.clone();
        let now = Use { index: Index(20), log_time };
        let parts = read(&mut sessions, 100_000, |sessions| {
            let client = ClientId { issued_at: log_time, random: 0 };
            sessions.admit(&SessionStamp { client, serial: 1, acknowledged: 0 }, now);
        });
        assert!(sessions.table.len() <= 12 && sessions.table != at_pin.table, "some went");
        check_equal(&at_pin, &load(&parts).unwrap());
        let parts = read(&mut sessions, 1 << 20, |_| {});
        check_equal(&sessions, &load(&parts).unwrap());
    }
}

fn stamp(random: u64, serial: u64) -> SessionStamp {
    let client = ClientId { issued_at: 1, random };
    SessionStamp { client, serial, acknowledged: 0 }
}

#[test]
fn parts_that_are_missing_repeated_or_cut_are_refused() {
    let mut sessions = Sessions::default();
    for serial in [1, 3, 4] {
        execute(&mut sessions, &stamp(1, serial), at(serial), &[5; 40]);
        execute(&mut sessions, &stamp(2, serial), at(serial), &[6; 40]);
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
