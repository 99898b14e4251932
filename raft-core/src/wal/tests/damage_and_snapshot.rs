//! Rot in a log behind a snapshot: what the snapshot covers is a notice, all else is damage.

use super::cut::{any_call, with_snapshot};
use super::{
    Chance, Failing, Model, hard_state, options, position, read_behind, run, segment_files,
};
use crate::hard_state::{HardState, Standing};
use crate::types::{EntryId, Index, Term};
use crate::wal::disk::Disk;
use crate::wal::memory_disk::MemoryDisk;
use crate::wal::{OpenError, Recovered, Wal, WalOptions};

fn behind(base: EntryId) -> WalOptions {
    WalOptions { base, ..options(900) }
}

fn id(term: u64, index: u64) -> EntryId {
    EntryId { term: Term(term), index: Index(index) }
}

/// Ten entries, two in each of five segments, term 1 up to 5 and term 2 from there on.
fn whole() -> (MemoryDisk, Vec<(Term, Vec<u8>)>) {
    let (mut wal, _) = Wal::open(MemoryDisk::default(), options(900)).unwrap();
    for place in 0..5 {
        let (term, first) = (1 + place / 3, 2 * place + 1);
        let state = hard_state(term, 1, 2 * place);
        wal.append(&state, &[run(term, first, &[200], 1)]).unwrap();
        wal.append(&state, &[run(term, first + 1, &[200], 2)]).unwrap();
    }
    wal.mark().unwrap();
    let entries = read_behind(&mut wal, Index::ZERO, 0);
    let mut disk = wal.into_disk();
    disk.crash(|_, _| true);
    assert_eq!(segment_files(&mut disk).len(), 5);
    (disk, entries)
}

/// Opens what became of `whole`, checks what must hold, and that a second start finds the same.
fn check(
    disk: MemoryDisk,
    snapshot: EntryId,
    entries: &[(Term, Vec<u8>)],
    what: &str,
) -> Recovered {
    let (mut wal, recovered) = Wal::open(disk, behind(snapshot)).expect(what);
    let base = recovered.base.index;
    assert!(base <= snapshot.index, "{what}");
    let found = read_behind(&mut wal, base, 0);
    let last = recovered.last.index;
    assert_eq!(found.len() as u64, last.0 - base.0, "{what}");
    if last <= Index(10) {
        assert_eq!(found, entries[position(base.next())..position(last.next())], "{what}");
    }
    let state = recovered.hard_state;
    assert_eq!((state.term, state.vote), (Term(2), hard_state(2, 1, 0).vote), "{what}");
    assert!(snapshot.index <= state.commit_index, "{what}");
    if recovered.damage.is_some() {
        assert_eq!(state.standing, Standing::Quarantined, "{what}");
    } else {
        assert_eq!(state.standing, Standing::Full, "{what}");
        assert_eq!(recovered.last, id(2, 10), "{what}");
    }
    wal.append(&state, &[run(9, last.0 + 1, &[3], 3)]).unwrap();
    let (mut wal, again) = Wal::open(wal.into_disk(), behind(snapshot)).expect(what);
    assert_eq!((again.damage, again.damage_before_base), (None, None), "{what}");
    assert_eq!((again.base, again.last), (recovered.base, id(9, last.0 + 1)), "{what}");
    assert_eq!(read_behind(&mut wal, base, 0)[..found.len()], found, "{what}");
    recovered
}

fn flipped(disk: &MemoryDisk, name: &str, at: usize) -> MemoryDisk {
    let mut disk = disk.clone();
    let mut bytes = disk.content(name).unwrap();
    bytes[at] ^= 0x10;
    disk.replace(name, bytes);
    disk
}

#[test]
fn damage_in_segments_before_the_snapshot_is_a_notice() {
    let (disk, entries) = whole();
    for (snapshot, needed) in [(id(1, 2), 2), (id(1, 5), 3), (id(1, 6), 4), (id(2, 10), 5)] {
        let (mut notices, mut damages) = (0, 0);
        for (number, name) in (1..).zip(segment_files(&mut disk.clone())) {
            for at in (0..900).step_by(3) {
                let what = format!("snapshot {snapshot}, {name} flipped at {at}");
                let recovered = check(flipped(&disk, &name, at), snapshot, &entries, &what);
                if number < needed {
                    assert_eq!(recovered.damage, None, "{what}");
                }
                if let Some(damage) = &recovered.damage_before_base {
                    assert_eq!(damage.file, name, "{what}");
                    assert!(recovered.damage.is_none(), "{what}");
                    assert_eq!(recovered.base.index.0, 2 * number, "{what}");
                    notices += 1;
                }
                damages += u32::from(recovered.damage.is_some());
            }
        }
        assert!(100 < notices, "{notices} notices");
        assert!(100 < damages, "{damages} damages");
    }
}

#[test]
fn segments_with_damage_before_the_snapshot_are_kept_under_another_name() {
    let (disk, entries) = whole();
    let damaged = flipped(&disk, "wal-0000000000000002", 600);
    let (wal, recovered) = Wal::open(damaged.clone(), behind(id(1, 5))).unwrap();
    let notice = recovered.damage_before_base.unwrap();
    assert_eq!((notice.file.as_str(), notice.lost_after), ("wal-0000000000000002", id(1, 3)));
    let mut opened = wal.into_disk();
    assert_eq!(segment_files(&mut opened)[0], "wal-0000000000000003");
    for name in ["wal-0000000000000001", "wal-0000000000000002"] {
        assert_eq!(opened.content(&format!("damaged-{name}")), damaged.content(name));
    }
    // A crash in between changes nothing.
    for calls_left in 0..12 {
        let mut disk = damaged.clone();
        drop(Wal::open(Failing { disk: &mut disk, calls_left }, behind(id(1, 5))));
        disk.crash(|_, _| false);
        let recovered = check(disk, id(1, 5), &entries, "interrupted");
        assert_eq!((recovered.damage, recovered.base), (None, id(1, 4)));
    }
}

#[test]
fn a_missing_segment_is_a_notice_before_the_snapshot_and_damage_behind_it() {
    let (disk, entries) = whole();
    for (number, name) in (1..).zip(segment_files(&mut disk.clone())) {
        for snapshot in 0..=10 {
            let snapshot = id(if snapshot == 0 { 0 } else { 1 + snapshot / 7 }, snapshot);
            let mut disk = disk.clone();
            disk.remove(&name).unwrap();
            let what = format!("{name} is missing, snapshot {snapshot}");
            let recovered = check(disk, snapshot, &entries, &what);
            // The last one is known to the hard-state file, whatever the snapshot covers.
            let is_damage = snapshot.index.0 < 2 * number || number == 5;
            assert_eq!(recovered.damage.is_some(), is_damage, "{what}");
            let is_notice = !is_damage && number != 1;
            assert_eq!(recovered.damage_before_base.is_some(), is_notice, "{what}");
        }
    }
}

#[test]
fn damage_on_both_sides_of_the_snapshot_is_told_apart() {
    let (disk, entries) = whole();
    let disk = flipped(&flipped(&disk, "wal-0000000000000002", 200), "wal-0000000000000005", 200);
    let recovered = check(disk, id(1, 5), &entries, "both");
    assert_eq!(recovered.damage.unwrap().file, "wal-0000000000000005");
    assert_eq!(recovered.damage_before_base.unwrap().file, "wal-0000000000000002");
    assert_eq!((recovered.base, recovered.last), (id(1, 4), id(2, 8)));
}

#[test]
fn a_log_that_begins_behind_the_snapshot_has_lost_entries() {
    let (disk, entries) = whole();
    let (mut wal, _) = Wal::open(disk, behind(id(1, 6))).unwrap();
    wal.cut_before(Index(7)).unwrap();
    let mut disk = wal.into_disk();
    disk.crash(|_, _| true);
    for snapshot in [EntryId::ZERO, id(1, 3), id(1, 5)] {
        let recovered = check(disk.clone(), snapshot, &entries, "a gap behind the snapshot");
        let damage = recovered.damage.unwrap();
        assert_eq!(damage.lost_after, snapshot);
        assert_eq!(damage.file, "wal-0000000000000003");
        assert_eq!((recovered.base, recovered.last), (snapshot, snapshot));
        assert_eq!(recovered.terms, []);
        for calls_left in 0..16 {
            let mut disk = disk.clone();
            drop(Wal::open(Failing { disk: &mut disk, calls_left }, behind(snapshot)));
            disk.crash(|_, _| false);
            let (_, recovered) = Wal::open(&mut disk, behind(snapshot)).unwrap();
            assert_eq!(recovered.hard_state.standing, Standing::Quarantined);
            assert_eq!(recovered.hard_state.term, Term(2));
            assert_eq!((recovered.base, recovered.last), (snapshot, snapshot));
            let names = disk.list().unwrap();
            assert!(names.contains(&"damaged-wal-0000000000000004".to_owned()), "{names:?}");
        }
    }
    let recovered = check(disk, id(1, 6), &entries, "no gap");
    assert_eq!((recovered.damage, recovered.base), (None, id(1, 6)));
}

#[test]
fn damage_in_a_log_that_the_snapshot_replaces_is_still_damage_at_its_end() {
    // The last segment may have held entries beyond the snapshot.
    let (disk, entries) = whole();
    for snapshot in [id(2, 10), id(2, 12), id(3, 9)] {
        let disk = flipped(&disk, "wal-0000000000000005", 300);
        let recovered = check(disk.clone(), snapshot, &entries, "the end is damaged");
        assert!(recovered.damage.is_some());
        assert_eq!((recovered.base, recovered.last), (snapshot, snapshot));
        // What is left when some segments are set aside looks good by itself.
        for calls_left in 0..24 {
            let mut disk = disk.clone();
            drop(Wal::open(Failing { disk: &mut disk, calls_left }, behind(snapshot)));
            disk.crash(|_, _| false);
            let (_, recovered) = Wal::open(&mut disk, behind(snapshot)).unwrap();
            assert_eq!(recovered.hard_state.standing, Standing::Quarantined, "{calls_left}");
            assert_eq!(recovered.hard_state.term, Term(2));
            assert_eq!((recovered.base, recovered.last), (snapshot, snapshot));
        }
    }
}

#[test]
fn what_is_left_when_starts_are_cut_short_never_passes_for_the_whole_log() {
    // Entry 9 rots in the newest segment, the snapshot ends with it, and entry 10 is promised.
    let (disk, _) = whole();
    let (name, snapshot) = ("wal-0000000000000005", id(2, 9));
    let rotten = flipped(&disk, name, 300);
    let mut partly_count = 0;
    for (first, second) in (0..16).flat_map(|first| (0..16).map(move |second| (first, second))) {
        let mut disk = rotten.clone();
        for calls_left in [first, second] {
            drop(Wal::open(Failing { disk: &mut disk, calls_left }, behind(snapshot)));
            disk.crash(|_, _| false);
            let (oldest, is_cut) = ("wal-0000000000000001", disk.content(name).is_none());
            let is_old = disk.content(oldest) == rotten.content(oldest);
            partly_count += u32::from(is_cut && is_old);
        }
        let (_, recovered) = Wal::open(&mut disk, behind(snapshot)).unwrap();
        let what = format!("cut short after {first} and {second} calls");
        let state = recovered.hard_state;
        let promised = hard_state(2, 1, snapshot.index.0);
        assert_eq!(state, HardState { standing: Standing::Quarantined, ..promised }, "{what}");
        assert_eq!((recovered.base, recovered.last), (snapshot, snapshot), "{what}");
    }
    assert!(20 < partly_count, "an older part of the log was left {partly_count} times");
}

/// One byte, one sector or one whole file of the log goes bad.
fn rot(disk: &mut MemoryDisk, chance: &mut Chance) -> String {
    let names = segment_files(disk);
    let name = names[usize::try_from(chance.below(names.len() as u64)).unwrap()].clone();
    let mut bytes = disk.content(&name).unwrap();
    let at = usize::try_from(chance.below(bytes.len() as u64)).unwrap();
    match chance.below(8) {
        0 => disk.remove(&name).unwrap(),
        1 => {
            let end = bytes.len().min(at + 512);
            bytes[at..end].fill(0);
            disk.replace(&name, bytes);
        }
        _ => {
            bytes[at] ^= 0x10;
            disk.replace(&name, bytes);
        }
    }
    format!("{name} at {at}")
}

#[test]
fn whatever_rots_a_node_counts_only_with_all_it_had_and_never_takes_back_a_promise() {
    let (mut full, mut quarantined, mut noticed) = (0, 0, 0);
    for seed in 0..4000 {
        let mut chance = Chance(seed);
        let (mut model, mut snapshot) = (Model::default(), EntryId::ZERO);
        let options = |base| WalOptions { base, ..options(2048) };
        let (mut wal, _) = Wal::open(MemoryDisk::default(), options(snapshot)).unwrap();
        wal.append(&hard_state(1, 1, 0), &[]).unwrap();
        model.hard_state = hard_state(1, 1, 0);
        for tag in 0..u8::try_from(5 + chance.below(40)).unwrap() {
            any_call(&mut wal, &mut chance, (&mut model, &mut snapshot), tag).unwrap();
        }
        wal.mark().unwrap();
        let mut disk = wal.into_disk();
        disk.crash(|_, _| true);
        let what = format!("seed {seed}: {}", rot(&mut disk, &mut chance));
        for _ in 0..chance.below(3) {
            let failing = Failing { disk: &mut disk, calls_left: chance.below(20) };
            drop(Wal::open(failing, options(snapshot)));
            disk.crash(|_, _| chance.below(2) == 0);
        }
        let (mut wal, recovered) = Wal::open(&mut disk, options(snapshot)).expect(&what);
        let (state, base) = (recovered.hard_state, recovered.base.index);
        let model = with_snapshot(&model, snapshot);
        let promised = model.hard_state;
        assert_eq!((state.term, state.vote), (promised.term, promised.vote), "{what}");
        assert!(base <= snapshot.index && snapshot.index <= state.commit_index, "{what}");
        let found = read_behind(&mut wal, base, 0);
        if recovered.last.index == snapshot.index {
            assert_eq!(recovered.last, snapshot, "{what}");
        }
        noticed += u32::from(recovered.damage_before_base.is_some());
        if state.standing == Standing::Full {
            full += 1;
            assert_eq!(recovered.damage, None, "{what}");
            assert_eq!(found, model.entries[position(base.next())..], "{what}");
        } else {
            quarantined += 1;
        }
    }
    let counts = (full, quarantined, noticed);
    assert!(500 < full && 500 < quarantined && 20 < noticed, "{counts:?}");
}

#[test]
fn rot_after_a_call_that_was_cut_short_takes_back_no_promise_and_at_most_the_newest_batch() {
    let (mut full, mut quarantined) = (0, 0);
    for seed in 0..4000 {
        let mut chance = Chance(seed);
        let options = |base| WalOptions { base, ..options(2048) };
        let (mut after, mut snapshot) = (Model::default(), EntryId::ZERO);
        let (mut disk, mut tag) = (MemoryDisk::default(), 0);
        let (mut wal, _) = Wal::open(&mut disk, options(snapshot)).unwrap();
        wal.append(&hard_state(1, 1, 0), &[]).unwrap();
        after.hard_state = hard_state(1, 1, 0);
        let (mut older, mut before) = (after.clone(), after.clone());
        let failing = Failing { disk: &mut disk, calls_left: 20 + chance.below(150) };
        let Ok((mut wal, _)) = Wal::open(failing, options(snapshot)) else { continue };
        loop {
            tag = (tag + 1) % 200;
            let last_snapshot = snapshot;
            let called = any_call(&mut wal, &mut chance, (&mut after, &mut snapshot), tag);
            if called.is_err() {
                break;
            }
            if snapshot != last_snapshot && after.last() == snapshot {
                // A new beginning is no batch, and no rot undoes it.
                older = after.clone();
            } else if before != after {
                older = before;
            }
            before = after.clone();
        }
        let kept = chance.below(3);
        disk.crash(|_, _| chance.below(2) < kept);
        let names = segment_files(&mut disk);
        let name = &names[usize::try_from(chance.below(names.len() as u64)).unwrap()];
        let at = usize::try_from(chance.below(2048)).unwrap();
        let what = format!("seed {seed}: {name} at {at} of {}", names.len());
        disk = flipped(&disk, name, at);
        for _ in 0..chance.below(3) {
            let failing = Failing { disk: &mut disk, calls_left: chance.below(20) };
            drop(Wal::open(failing, options(snapshot)));
            disk.crash(|_, _| chance.below(2) == 0);
        }
        let (mut wal, recovered) = match Wal::open(&mut disk, options(snapshot)) {
            Ok(opened) => opened,
            Err(OpenError::BothCopiesLost(_)) => continue,
            Err(error) => panic!("{what}: {error}"),
        };
        let (state, base) = (recovered.hard_state, recovered.base.index);
        let is_promise = |model: &Model| {
            (state.term, state.vote) == (model.hard_state.term, model.hard_state.vote)
        };
        assert!(is_promise(&before) || is_promise(&after), "{what}: {state:?}");
        if state.standing == Standing::Quarantined {
            quarantined += 1;
            continue;
        }
        full += 1;
        let found = read_behind(&mut wal, base, 0);
        let is_log = |model: &Model| {
            let model = with_snapshot(model, snapshot);
            model.entries.get(position(base.next())..) == Some(&found[..])
        };
        assert!([&older, &before, &after].into_iter().any(is_log), "{what}");
    }
    assert!(500 < full && 500 < quarantined, "{full} full, {quarantined} quarantined");
}
