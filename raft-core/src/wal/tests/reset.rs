//! A log that is replaced by an empty one behind a snapshot, and what headers and recovery say
//! of the members.

use super::{Chance, Failing, hard_state, options, read_behind, run, segment_files};
use crate::entry::{Draft, Entries, EntryKind, SessionStamp, Stamp};
use crate::hard_state::{HardState, Standing};
use crate::types::{EntryId, Index, Term};
use crate::wal::memory_disk::MemoryDisk;
use crate::wal::{CONFIGURATION_BYTES_MAX, OpenError, Recovered, Wal, WalError, WalOptions};

fn behind(base: EntryId) -> WalOptions {
    WalOptions { base, ..options(900) }
}

fn id(term: u64, index: u64) -> EntryId {
    EntryId { term: Term(term), index: Index(index) }
}

/// Six entries of term 1 in three segments, the second of them committed.
fn old_log() -> MemoryDisk {
    let (mut wal, _) = Wal::open(MemoryDisk::default(), options(900)).unwrap();
    for place in 0..3 {
        let entries = [run(1, 2 * place + 1, &[200, 200], 1)];
        wal.append(&hard_state(1, 1, place.min(1) * 2), &entries).unwrap();
    }
    assert_eq!(segment_files(&mut wal.disk).len(), 3);
    wal.into_disk()
}

fn check_new(recovered: &Recovered, base: EntryId) {
    assert_eq!((recovered.base, recovered.last), (base, base));
    assert_eq!((&recovered.terms, &recovered.configurations), (&vec![], &vec![]));
    assert_eq!(recovered.hard_state.commit_index, base.index);
    assert_eq!((&recovered.damage, &recovered.damage_before_base), (&None, &None));
}

#[test]
fn a_log_that_was_reset_goes_on_behind_its_base() {
    for base in [id(2, 20), id(2, 4), id(1, 4)] {
        let (mut wal, _) = Wal::open(old_log(), options(900)).unwrap();
        wal.set_configuration(vec![3, 1, 4]);
        wal.reset(base, &hard_state(3, 2, 0)).unwrap();
        assert_eq!((wal.last(), *wal.hard_state()), (base, hard_state(3, 2, base.index.0)));
        assert_eq!(segment_files(&mut wal.disk).len(), 1);
        assert_eq!(wal.read(Index(1), Index(99), 99_999).unwrap(), []);
        let (mut wal, recovered) = Wal::open(wal.into_disk(), behind(base)).unwrap();
        check_new(&recovered, base);
        assert_eq!(recovered.configuration, [3, 1, 4]);
        assert_eq!(recovered.hard_state, hard_state(3, 2, base.index.0));

        let next = run(3, base.index.0 + 1, &[200], 7);
        wal.append(&hard_state(3, 2, base.index.0 + 1), std::slice::from_ref(&next)).unwrap();
        let (mut wal, recovered) = Wal::open(wal.into_disk(), behind(base)).unwrap();
        assert_eq!((recovered.base, recovered.last), (base, id(3, base.index.0 + 1)));
        assert_eq!(recovered.terms, [id(3, base.index.0 + 1)]);
        let entry = next.iter().next().unwrap().payload().to_vec();
        assert_eq!(read_behind(&mut wal, base.index, 0), [(Term(3), entry)]);
    }
}

/// Every way in which the disk may lose what was not synced: all, nothing, or some of it.
fn crashes() -> impl Iterator<Item = (u64, u64)> {
    [(0, 0), (100, 0)].into_iter().chain((0..6).map(|seed| (50, seed)))
}

fn crash(disk: &mut MemoryDisk, (kept_percent, seed): (u64, u64)) {
    let mut chance = Chance(seed);
    disk.crash(|_, _| chance.below(100) < kept_percent);
}

#[test]
fn after_a_crash_at_any_step_of_a_reset_no_old_tail_survives_with_the_snapshot() {
    let promised = HardState { standing: Standing::Quarantined, ..hard_state(3, 2, 0) };
    for base in [id(2, 20), id(2, 4), id(2, 6)] {
        let (mut new_count, mut old_count) = (0, 0);
        for calls_left in 0..30 {
            for how in crashes() {
                let mut disk = old_log();
                drop(Wal::open(&mut disk, options(900)).unwrap());
                disk.crash(|_, _| true);
                let failing = Failing { disk: &mut disk, calls_left };
                let Ok((mut wal, _)) = Wal::open(failing, options(900)) else { continue };
                let is_done = wal.reset(base, &promised).is_ok();
                crash(&mut disk, how);
                // The start that repairs it may be cut short too.
                let failing = Failing { disk: &mut disk, calls_left: calls_left % 7 };
                drop(Wal::open(failing, behind(base)));
                crash(&mut disk, how);

                let (wal, recovered) = Wal::open(&mut disk, behind(base)).unwrap();
                check_new(&recovered, base);
                let state = recovered.hard_state;
                let is_new = !state.promises_more_than(&promised);
                let is_old = !state.promises_more_than(&hard_state(1, 1, 0));
                assert!(is_new || (is_old && !is_done), "after {calls_left} calls: {state:?}");
                new_count += u32::from(is_new);
                old_count += u32::from(is_old);
                drop(wal);
                assert_eq!(segment_files(&mut disk).len(), 1);
                // Both copies hold the promise.
                disk.crash(|_, _| true);
                let slots = disk.content("hard-state").unwrap();
                disk.replace("hard-state", vec![0; 8192]);
                let (_, from_log) = Wal::open(&mut disk.clone(), behind(base)).unwrap();
                assert_eq!(from_log.hard_state, state);
                disk.replace("hard-state", slots);
                for name in segment_files(&mut disk) {
                    disk.replace(&name, vec![0; 900]);
                }
                let (_, from_slots) = Wal::open(&mut disk, behind(base)).unwrap();
                assert_eq!(from_slots.hard_state.term, state.term);
                assert_eq!(from_slots.hard_state.vote, state.vote);
            }
        }
        assert!(10 < new_count && 10 < old_count, "both happen: {new_count}, {old_count}");
    }
}

#[test]
fn a_log_that_does_not_reach_the_snapshot_or_contradicts_it_is_replaced_at_the_start() {
    for base in [id(1, 7), id(2, 6), id(2, 3), id(9, 99)] {
        let (mut wal, recovered) = Wal::open(old_log(), behind(base)).unwrap();
        check_new(&recovered, base);
        assert_eq!(recovered.hard_state, hard_state(1, 1, base.index.0));
        assert_eq!(segment_files(&mut wal.disk).len(), 1);
    }
    // A log that goes on behind it stays.
    for base in [id(1, 6), id(1, 3)] {
        let (mut wal, recovered) = Wal::open(old_log(), behind(base)).unwrap();
        assert_eq!((recovered.base, recovered.last), (EntryId::ZERO, id(1, 6)));
        assert_eq!(recovered.hard_state, hard_state(1, 1, base.index.0));
        assert_eq!(segment_files(&mut wal.disk).len(), 3);
        let committed = std::panic::AssertUnwindSafe(|| {
            wal.append(&hard_state(2, 1, 0), &[run(2, base.index.0, &[1], 1)])
        });
        assert!(std::panic::catch_unwind(committed).is_err(), "{base} is never replaced");
    }
}

#[test]
fn a_reset_without_room_leaves_the_old_log_and_works_later() {
    let (mut wal, _) = Wal::open(old_log(), options(900)).unwrap();
    wal.disk.set_capacity(Some(0));
    // Nothing before the base can be given up, so there is no room to be had.
    let base = id(2, 2);
    assert!(matches!(wal.reset(base, &hard_state(3, 2, 0)), Err(WalError::NoSpace(_))));
    assert_eq!(wal.last(), id(1, 6));
    let mut disk = wal.disk.clone();
    disk.set_capacity(None);
    let (_, recovered) = Wal::open(disk, behind(id(1, 2))).unwrap();
    assert_eq!((recovered.damage, recovered.last), (None, id(1, 6)));
    wal.disk.set_capacity(None);
    wal.reset(base, &hard_state(3, 2, 0)).unwrap();
    assert_eq!((wal.last(), wal.hard_state().term), (base, Term(3)));

    // What the snapshot covers makes room by itself.
    let (mut wal, _) = Wal::open(old_log(), options(900)).unwrap();
    wal.disk.set_capacity(Some(3 * 900 + 8192));
    wal.reset(id(2, 20), &hard_state(3, 2, 0)).unwrap();
    let (_, recovered) = Wal::open(wal.into_disk(), behind(id(2, 20))).unwrap();
    check_new(&recovered, id(2, 20));
}

#[test]
fn a_promise_is_never_taken_back_by_a_reset() {
    for older in [hard_state(1, 1, 0), hard_state(2, 3, 0), hard_state(2, 0, 0)] {
        let (mut wal, _) = Wal::open(MemoryDisk::default(), options(900)).unwrap();
        wal.append(&hard_state(2, 2, 0), &[]).unwrap();
        let reset = std::panic::AssertUnwindSafe(|| wal.reset(id(1, 9), &older));
        assert!(std::panic::catch_unwind(reset).is_err(), "{older:?}");
    }
}

#[test]
fn a_snapshot_without_a_log_and_without_a_promise_does_not_open() {
    let error = Wal::open(MemoryDisk::default(), behind(id(1, 9))).unwrap_err();
    assert!(matches!(error, OpenError::BothCopiesLost(_)), "{error}");
}

fn configure(term: u64, first: u64, payloads: &[&[u8]]) -> Entries {
    let mut draft = Draft::default();
    for payload in payloads {
        let kind = if payload.is_empty() { EntryKind::Noop } else { EntryKind::Configure };
        draft.push(kind, &SessionStamp::default(), payload);
    }
    let (term, first) = (Term(term), Index(first));
    draft.stamp(&Stamp { term, first, log_time: 0, feature_level: 1, wall_time: 0, seed: 0 })
}

#[test]
fn every_configuration_in_the_log_is_found_and_none_that_was_replaced() {
    let (mut wal, _) = Wal::open(MemoryDisk::default(), options(900)).unwrap();
    wal.append(&hard_state(1, 1, 0), &[configure(1, 1, &[b"one", b"", b"three", b"four"])])
        .unwrap();
    wal.append(&hard_state(2, 1, 0), &[configure(2, 4, &[b"", b"five"])]).unwrap();
    wal.append(&hard_state(2, 1, 0), &[configure(2, 6, &[b"six", b"seven"])]).unwrap();
    wal.append(&hard_state(3, 1, 0), &[configure(3, 7, &[b""])]).unwrap();
    let found = |wal: Wal<MemoryDisk>, base: EntryId| {
        let (wal, recovered) = Wal::open(wal.into_disk(), behind(base)).unwrap();
        let texts: Vec<(u64, String)> = recovered
            .configurations
            .iter()
            .map(|(index, bytes)| (index.0, String::from_utf8_lossy(bytes).into_owned()))
            .collect();
        (wal, texts)
    };
    let text = |index: u64, text: &str| (index, text.to_owned());
    let (mut wal, all) = found(wal, EntryId::ZERO);
    assert_eq!(all, [text(1, "one"), text(3, "three"), text(5, "five"), text(6, "six")]);
    wal.cut_before(Index(6)).unwrap();
    let (wal, rest) = found(wal, id(2, 5));
    assert_eq!(rest, [text(6, "six")]);
    let (_, none) = found(wal, id(4, 9));
    assert_eq!(none, []);
}

#[test]
fn later_segments_carry_the_configuration_that_was_set_last() {
    let (mut wal, _) = Wal::open(MemoryDisk::default(), options(900)).unwrap();
    let longest = vec![5; CONFIGURATION_BYTES_MAX];
    for configuration in [vec![], vec![1], vec![2; 9], longest.clone()] {
        wal.set_configuration(configuration.clone());
        let last = wal.last().index;
        wal.append(&hard_state(1, 1, last.0), &[run(1, last.0 + 1, &[700], 1)]).unwrap();
        let (_, recovered) = Wal::open(wal.disk.clone(), options(900)).unwrap();
        assert_eq!(recovered.configuration, configuration);
        assert_eq!(recovered.last.index, last.next());
    }
    let too_long =
        std::panic::AssertUnwindSafe(|| wal.set_configuration([longest, vec![0]].concat()));
    assert!(std::panic::catch_unwind(too_long).is_err());
}
