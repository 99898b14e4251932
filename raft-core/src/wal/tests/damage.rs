//! Rot: every byte flipped, every file cut at every length; nothing is invented, and nothing
//! that was provably synced is missed in silence.

use super::{Chance, Failing, Model, hard_state, options, read_all, run};
use crate::entry::Entries;
use crate::hard_state::{HardState, Standing};
use crate::types::{EntryId, Incarnation, Index, Term};
use crate::wal::disk::Disk;
use crate::wal::memory_disk::MemoryDisk;
use crate::wal::{OpenError, Wal, WalError};

pub(super) const SEGMENT_BYTES: u64 = 900;

/// The state after each append, and the disk at the end.
pub(super) struct History {
    pub(super) states: Vec<Model>,
    pub(super) disk: MemoryDisk,
}

/// Several batches in several segments, with marks, a replaced tail, votes, a commit index.
pub(super) fn history(ends_with_mark: bool) -> History {
    let appends: Vec<(HardState, Vec<Entries>)> = vec![
        (hard_state(1, 1, 0), vec![run(1, 1, &[0, 40], 1)]),
        (hard_state(1, 1, 1), vec![run(1, 3, &[100], 2)]),
        (hard_state(2, 2, 1), vec![]),
        (hard_state(2, 2, 1), vec![run(1, 4, &[9, 9], 3), run(2, 6, &[1], 4)]),
        (hard_state(3, 3, 2), vec![run(3, 4, &[60], 5)]),
        (hard_state(3, 3, 4), vec![run(3, 5, &[300], 6)]),
        (hard_state(3, 3, 5), vec![run(3, 6, &[2, 2], 7)]),
    ];
    let (mut wal, _) = Wal::open(MemoryDisk::default(), options(SEGMENT_BYTES)).unwrap();
    let mut states = vec![Model::default()];
    for (place, (state, runs)) in appends.iter().enumerate() {
        wal.append(state, runs).unwrap();
        let mut model = states[place].clone();
        model.append(*state, runs);
        states.push(model);
        if place % 2 == 0 && (place != 6 || ends_with_mark) {
            wal.mark().unwrap();
        }
    }
    let mut disk = wal.into_disk();
    // What a power loss could take is the business of the crash tests.
    disk.crash(|_, _| true);
    History { states, disk }
}

/// Opens a damaged copy and checks everything that must hold; answers whether damage was seen.
///
/// At most the newest `silent_max` batches may be lost without damage being reported.
fn check_recovery(history: &History, mut disk: MemoryDisk, silent_max: usize, what: &str) -> bool {
    let newest = history.states.last().unwrap();
    let (mut wal, recovered) = Wal::open(&mut disk, options(SEGMENT_BYTES)).expect(what);
    let entries = read_all(&mut wal, 200);
    let place = history.states.iter().rposition(|state| state.entries == entries);
    let place = place.unwrap_or_else(|| panic!("{what}: these entries were never appended"));
    let lost = history.states.len() - 1 - place;
    match &recovered.damage {
        Some(damage) => {
            assert_eq!(recovered.hard_state.standing, Standing::Quarantined, "{what}");
            assert_eq!(damage.lost_after, recovered.last, "{what}");
        }
        None => {
            assert!(lost <= silent_max, "{what}: {lost} batches lost in silence");
            assert_eq!(recovered.hard_state.standing, Standing::Full, "{what}");
        }
    }
    assert_eq!(recovered.hard_state.term, newest.hard_state.term, "{what}");
    assert_eq!(recovered.hard_state.vote, newest.hard_state.vote, "{what}");
    assert!(recovered.hard_state.commit_index <= recovered.last.index, "{what}");
    let model = Model { entries, hard_state: recovered.hard_state };
    assert_eq!((recovered.last, recovered.terms), (model.last(), model.terms()), "{what}");
    check_goes_on(wal, model, what);
    recovered.damage.is_some()
}

/// A recovered log can be appended to, and comes back the same.
fn check_goes_on(mut wal: Wal<&mut MemoryDisk>, mut model: Model, what: &str) {
    let runs = [run(9, model.last().index.next().0, &[7, 200], 9)];
    let state = model.hard_state;
    wal.append(&state, &runs).unwrap();
    model.append(state, &runs);
    let disk = wal.into_disk();
    let (mut wal, recovered) = Wal::open(disk, options(SEGMENT_BYTES)).expect(what);
    assert_eq!((recovered.damage, recovered.torn_bytes), (None, 0), "{what}");
    assert_eq!(recovered.hard_state, model.hard_state, "{what}");
    assert_eq!(read_all(&mut wal, 0), model.entries, "{what}");
}

/// Damages every file at every offset. Without a mark at the end the newest batch, or as many
/// as one damage can reach, look as if they had never been synced.
fn check_every(damages: impl Fn(&[u8], usize) -> Vec<u8>, how: &str, reach: usize) {
    for (is_marked, silent_max) in [(false, reach), (true, 0)] {
        let mut history = history(is_marked);
        let names = history.disk.list().unwrap();
        assert!(3 < names.len(), "the history fills several segments: {names:?}");
        let mut damage_count = 0;
        for name in &names {
            let whole = history.disk.content(name).unwrap();
            for at in 0..whole.len() {
                // Between the slots of the hard state there is nothing to damage.
                if name == "hard-state" && 88 < at % 4096 {
                    continue;
                }
                let mut disk = history.disk.clone();
                disk.replace(name, damages(&whole, at));
                let what = format!("{name} {how} at {at}, ends with mark: {is_marked}");
                damage_count += u32::from(check_recovery(&history, disk, silent_max, &what));
            }
        }
        assert!(1000 < damage_count, "most of the log is proven: {damage_count}");
    }
}

#[test]
fn every_flipped_byte_is_noticed_or_harmless() {
    let flip = |whole: &[u8], at: usize| {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 0x10;
        bytes
    };
    check_every(flip, "flipped", 1);
}

#[test]
fn every_cut_is_noticed_or_harmless() {
    check_every(|whole, at| whole[..at].to_vec(), "cut", 0);
}

#[test]
fn every_zeroed_sector_is_noticed_or_harmless() {
    let zero = |whole: &[u8], at: usize| {
        let mut bytes = whole.to_vec();
        let end = (at + 512).min(bytes.len());
        bytes[at..end].fill(0);
        bytes
    };
    check_every(zero, "zeroed", 2);
}

#[test]
fn a_missing_file_is_noticed() {
    for is_marked in [false, true] {
        let mut history = history(is_marked);
        for name in history.disk.list().unwrap() {
            let mut disk = history.disk.clone();
            disk.remove(&name).unwrap();
            let what = format!("{name} is missing, ends with mark: {is_marked}");
            let is_damaged = check_recovery(&history, disk, 0, &what);
            assert_eq!(is_damaged, name != "hard-state", "{what}");
        }
    }
}

#[test]
fn an_empty_segment_proves_what_was_before_it() {
    let mut disk = MemoryDisk::default();
    let (mut wal, _) = Wal::open(&mut disk, options(SEGMENT_BYTES)).unwrap();
    wal.append(&hard_state(1, 1, 0), &[run(1, 1, &[1], 1)]).unwrap();
    wal.append(&hard_state(1, 1, 0), &[run(1, 2, &[400], 2)]).unwrap();
    // The newest batch again and its sync, a mark; then the segment, but not its first batch.
    let failing = Failing { disk: &mut disk, calls_left: 3 + 4 };
    let (mut wal, _) = Wal::open(failing, options(SEGMENT_BYTES)).unwrap();
    wal.append(&hard_state(1, 1, 0), &[run(1, 3, &[400], 3)]).unwrap_err();
    disk.crash(|_, _| false);
    assert!(disk.content("wal-0000000000000002").is_some());
    let mut bytes = disk.content("wal-0000000000000001").unwrap();
    bytes[400] ^= 1;
    disk.replace("wal-0000000000000001", bytes);
    let (_, recovered) = Wal::open(&mut disk, options(SEGMENT_BYTES)).unwrap();
    let damage = recovered.damage.unwrap();
    assert_eq!((damage.file.as_str(), damage.offset), ("wal-0000000000000001", 128 + 184));
    assert_eq!(damage.lost_after, EntryId { term: Term(1), index: Index(1) });
}

#[test]
fn a_log_that_is_gone_leaves_the_promise_and_a_quarantine() {
    let mut history = history(true);
    for name in history.disk.list().unwrap() {
        if name.starts_with("wal-") {
            history.disk.remove(&name).unwrap();
        }
    }
    assert!(check_recovery(&history, history.disk.clone(), 0, "all segments are missing"));
}

#[test]
fn a_promise_outlives_the_log_from_the_moment_the_append_returns() {
    let mut disk = MemoryDisk::default();
    let (mut wal, _) = Wal::open(&mut disk, options(SEGMENT_BYTES)).unwrap();
    wal.append(&hard_state(1, 1, 0), &[run(1, 1, &[1], 1)]).unwrap();
    wal.append(&hard_state(5, 2, 0), &[]).unwrap();
    disk.crash(|_, _| false);
    disk.remove("wal-0000000000000001").unwrap();
    let (_, recovered) = Wal::open(&mut disk, options(SEGMENT_BYTES)).unwrap();
    let promised = HardState { standing: Standing::Quarantined, ..hard_state(5, 2, 0) };
    assert_eq!((recovered.hard_state, recovered.last), (promised, EntryId::ZERO));
}

#[test]
fn a_promise_found_in_one_copy_is_in_two_when_the_log_is_open() {
    let mut disk = MemoryDisk::default();
    drop(Wal::open(&mut disk, options(SEGMENT_BYTES)).unwrap());
    // The slot is written and synced, the batch is not.
    let failing = Failing { disk: &mut disk, calls_left: 2 };
    let (mut wal, _) = Wal::open(failing, options(SEGMENT_BYTES)).unwrap();
    let promised = hard_state(5, 2, 0);
    wal.append(&promised, &[run(5, 1, &[1], 1)]).unwrap_err();
    let (_, recovered) = Wal::open(&mut disk, options(SEGMENT_BYTES)).unwrap();
    assert_eq!((recovered.hard_state, recovered.last), (promised, EntryId::ZERO));
    disk.crash(|_, _| false);
    let mut bytes = disk.content("hard-state").unwrap();
    bytes.fill(0);
    disk.replace("hard-state", bytes);
    let (_, recovered) = Wal::open(&mut disk, options(SEGMENT_BYTES)).unwrap();
    assert_eq!(recovered.hard_state, promised);
}

#[test]
fn what_is_cut_is_kept_under_another_name() {
    let history = history(true);
    let mut disk = history.disk.clone();
    let mut bytes = disk.content("wal-0000000000000001").unwrap();
    bytes[400] ^= 1;
    disk.replace("wal-0000000000000001", bytes.clone());
    let second = disk.content("wal-0000000000000002").unwrap();
    let (_, recovered) = Wal::open(&mut disk, options(SEGMENT_BYTES)).unwrap();
    let damage = recovered.damage.unwrap();
    assert_eq!(damage.file, "wal-0000000000000001");
    let start = usize::try_from(damage.offset).unwrap();
    assert!(start <= 400);
    let cut = disk.content("damaged-wal-0000000000000001").unwrap();
    assert_eq!(cut, bytes[start..start + cut.len()]);
    assert!(bytes[start + cut.len()..].iter().all(|&byte| byte == 0));
    assert_eq!(disk.content("damaged-wal-0000000000000002"), Some(second));
    let words = damage.to_string();
    assert!(words.contains("wal-0000000000000001 at byte"), "{words}");
}

#[test]
fn with_both_copies_lost_the_node_does_not_open() {
    let history = history(true);
    for slot in [0, 4096] {
        let mut disk = history.disk.clone();
        for (name, at) in [("wal-0000000000000001", 200), ("hard-state", slot)] {
            let mut bytes = disk.content(name).unwrap();
            bytes[at] ^= 1;
            disk.replace(name, bytes);
        }
        let error = Wal::open(&mut disk, options(SEGMENT_BYTES)).unwrap_err();
        assert!(matches!(error, OpenError::BothCopiesLost(_)), "{error}");
        assert!(error.to_string().contains("new id with an empty directory"), "{error}");
    }
}

/// Cuts the repair of `damaged` short after every number of calls; it must come out the same.
fn check_interrupted_repair(damaged: &MemoryDisk) {
    let mut undisturbed = damaged.clone();
    let (mut wal, expected) = Wal::open(&mut undisturbed, options(SEGMENT_BYTES)).unwrap();
    assert_eq!(expected.hard_state.standing, Standing::Quarantined);
    let good = read_all(&mut wal, 0);
    for calls_left in 0..40 {
        for seed in 0..8 {
            let mut chance = Chance(seed);
            let mut disk = damaged.clone();
            drop(Wal::open(Failing { disk: &mut disk, calls_left }, options(SEGMENT_BYTES)));
            disk.crash(|_, _| chance.below(2) == 0);
            let (mut wal, recovered) = Wal::open(&mut disk, options(SEGMENT_BYTES)).unwrap();
            assert_eq!(recovered.hard_state, expected.hard_state, "after {calls_left} calls");
            assert_eq!(read_all(&mut wal, 0), good, "after {calls_left} calls");
        }
    }
}

#[test]
fn a_crash_while_damage_is_set_aside_never_ends_the_quarantine() {
    let mut history = history(true);
    let name = "wal-0000000000000003";
    let mut bytes = history.disk.content(name).unwrap();
    bytes[540] ^= 1;
    history.disk.replace(name, bytes);
    check_interrupted_repair(&history.disk);

    // Here nothing but the second batch proves that the first one was synced.
    let (mut wal, _) = Wal::open(MemoryDisk::default(), options(SEGMENT_BYTES)).unwrap();
    wal.append(&hard_state(1, 1, 0), &[run(1, 1, &[1], 1)]).unwrap();
    wal.append(&hard_state(1, 1, 0), &[run(1, 2, &[1], 2)]).unwrap();
    let mut disk = wal.into_disk();
    let mut bytes = disk.content("wal-0000000000000001").unwrap();
    bytes[150] ^= 1;
    disk.replace("wal-0000000000000001", bytes);
    check_interrupted_repair(&disk);
}

#[test]
fn a_node_that_was_never_admitted_stays_so_when_damaged() {
    let (mut wal, _) = Wal::open(MemoryDisk::default(), options(SEGMENT_BYTES)).unwrap();
    let unbound = HardState { standing: Standing::Unbound, ..hard_state(1, 0, 0) };
    wal.append(&unbound, &[run(1, 1, &[1], 1)]).unwrap();
    wal.mark().unwrap();
    let mut disk = wal.into_disk();
    let mut bytes = disk.content("wal-0000000000000001").unwrap();
    bytes[150] ^= 1;
    disk.replace("wal-0000000000000001", bytes);
    let (_, recovered) = Wal::open(&mut disk, options(SEGMENT_BYTES)).unwrap();
    assert!(recovered.damage.is_some());
    assert_eq!(recovered.hard_state.standing, Standing::Unbound);
}

/// The file with two copies of the promise gets both from the repair; the first promise behind it
/// must be newer than the copy that it leaves.
#[test]
fn the_first_promise_behind_a_repair_is_the_newest() {
    let rot = |disk: &mut MemoryDisk| {
        let mut bytes = disk.content("wal-0000000000000001").unwrap();
        bytes[5] ^= 1;
        disk.replace("wal-0000000000000001", bytes);
    };
    let mut damaged = MemoryDisk::default();
    drop(Wal::open(&mut damaged, options(SEGMENT_BYTES)).unwrap());
    rot(&mut damaged);
    for calls_left in 0..40 {
        let mut disk = damaged.clone();
        drop(Wal::open(Failing { disk: &mut disk, calls_left }, options(SEGMENT_BYTES)));
        let (mut wal, _) = Wal::open(&mut disk, options(SEGMENT_BYTES)).unwrap();
        let promised = HardState { standing: Standing::Unbound, ..hard_state(9, 3, 0) };
        wal.append(&promised, &[]).unwrap();
        rot(&mut disk);
        let (_, recovered) = Wal::open(&mut disk, options(SEGMENT_BYTES)).unwrap();
        assert_eq!(recovered.hard_state, promised, "after {calls_left} calls");
    }
}

#[test]
fn files_of_another_directory_or_version_are_refused_and_left_alone() {
    let history = history(true);
    let mut disk = history.disk.clone();
    let other = crate::wal::WalOptions { incarnation: Incarnation(1), ..options(SEGMENT_BYTES) };
    let error = Wal::open(&mut disk, other).unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");

    let mut bytes = disk.content("wal-0000000000000001").unwrap();
    bytes[12] = 1;
    let crc = crc32c::crc32c(&bytes[4..128]).to_le_bytes();
    bytes[..4].copy_from_slice(&crc);
    disk.replace("wal-0000000000000001", bytes);
    let error = Wal::open(&mut disk, options(SEGMENT_BYTES)).unwrap_err();
    assert!(matches!(error, OpenError::Format { found: 1, .. }), "{error}");
    assert!(!disk.list().unwrap().iter().any(|name| name.starts_with("damaged-")));
}

#[test]
fn damage_found_while_reading_names_its_place() {
    let (mut wal, _) = Wal::open(MemoryDisk::default(), options(SEGMENT_BYTES)).unwrap();
    wal.append(&hard_state(1, 1, 0), &[run(1, 1, &[1], 1)]).unwrap();
    wal.append(&hard_state(1, 1, 0), &[run(1, 2, &[1], 2)]).unwrap();
    let mut bytes = wal.disk.content("wal-0000000000000001").unwrap();
    // Behind the header (128) and the first batch (80 + 96 + 4, aligned).
    let second = 128 + 184;
    bytes[second + 100] ^= 1;
    wal.disk.replace("wal-0000000000000001", bytes);
    let file = "wal-0000000000000001".to_owned();
    let error = WalError::Damaged { file, offset: second as u64, index: Index(2) };
    assert_eq!(wal.read(Index(1), Index(3), usize::MAX), Err(error.clone()));
    assert_eq!(wal.read(Index(1), Index(2), usize::MAX).unwrap()[0].len(), 1);
    assert!(error.to_string().contains("at byte 312, entry 2"), "{error}");
    let last = EntryId { term: Term(1), index: Index(2) };
    assert_eq!(wal.last(), last);
}

#[test]
fn a_value_that_looks_like_a_batch_is_not_taken_for_one() {
    // A client that knows place and layout, but not the directory's incarnation.
    let place = crate::wal::batch::Place { incarnation: Incarnation(0), segment: 1, offset: 0 };
    let header = crate::wal::batch::BatchHeader { number: 99, hard_state: hard_state(7, 2, 0) };
    // The payload of the entry starts behind two headers, aligned as batches are.
    let offset = 128 + 80 + 96;
    let mut forged = Vec::new();
    crate::wal::batch::encode(
        &mut forged,
        crate::wal::batch::Place { offset, ..place },
        &header,
        &[],
    );
    let mut draft = crate::entry::Draft::default();
    draft.push(crate::entry::EntryKind::Command, &Default::default(), &forged);
    let (term, first) = (Term(1), Index(1));
    let entries = draft.stamp(&crate::entry::Stamp {
        term,
        first,
        log_time: 0,
        feature_level: 1,
        wall_time: 0,
        seed: 0,
    });
    let (mut wal, _) = Wal::open(MemoryDisk::default(), options(SEGMENT_BYTES)).unwrap();
    wal.append(&hard_state(1, 1, 0), &[entries]).unwrap();
    let mut disk = wal.into_disk();
    let mut bytes = disk.content("wal-0000000000000001").unwrap();
    assert_eq!(bytes[usize::try_from(offset).unwrap() + 4..][..4], *b"KVBT");
    bytes[130] ^= 1;
    disk.replace("wal-0000000000000001", bytes);
    let (_, recovered) = Wal::open(&mut disk, options(SEGMENT_BYTES)).unwrap();
    assert_eq!((recovered.damage, recovered.last), (None, EntryId::ZERO));
    assert!(0 < recovered.torn_bytes);
}
