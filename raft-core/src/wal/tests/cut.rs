//! The log behind a snapshot: what is cut, what can still be read, what a crash leaves.

use super::crash::{any_append, crash};
use super::segment_files;
use super::{Chance, Failing, Model, hard_state, options, position, read_all, read_behind, run};
use crate::entry::Entries;
use crate::types::{EntryId, Index, Term};
use crate::wal::disk::Disk;
use crate::wal::memory_disk::MemoryDisk;
use crate::wal::{Wal, WalError, WalOptions};

fn behind(base: EntryId, segment_bytes: u64) -> WalOptions {
    WalOptions { base, ..options(segment_bytes) }
}

fn id(term: u64, index: u64) -> EntryId {
    EntryId { term: Term(term), index: Index(index) }
}

/// Ten entries, two in each of five segments, and the disk as it is then.
fn five_segments() -> Wal<MemoryDisk> {
    let (mut wal, _) = Wal::open(MemoryDisk::default(), options(900)).unwrap();
    for place in 0..5 {
        let entries = [run(1, 2 * place + 1, &[200, 200], u8::try_from(place).unwrap())];
        wal.append(&hard_state(1, 1, 2 * place), &entries).unwrap();
    }
    assert_eq!(segment_files(&mut wal.disk).len(), 5);
    wal
}

#[test]
fn whole_segments_before_the_index_are_removed_and_no_others() {
    for (index, removed) in
        [(0, 0), (1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (9, 4), (10, 4), (11, 4), (99, 4)]
    {
        let mut wal = five_segments();
        let all = read_all(&mut wal, 0);
        wal.cut_before(Index(index)).unwrap();
        assert_eq!(segment_files(&mut wal.disk).len(), 5 - removed, "before {index}");
        let base = 2 * removed as u64;
        assert_eq!(read_behind(&mut wal, Index(base), 300), all[2 * removed..], "before {index}");
        for below in 0..=base {
            assert_eq!(wal.read(Index(below), Index(11), 9999).unwrap(), [], "before {index}");
        }
        // It goes on, and a restart finds the same.
        wal.append(&hard_state(1, 1, 10), &[run(2, 11, &[200], 9)]).unwrap();
        let base = id(1.min(base), base);
        let (mut wal, recovered) = Wal::open(wal.into_disk(), behind(id(1, 10), 900)).unwrap();
        assert_eq!((recovered.base, recovered.last), (base, id(2, 11)), "before {index}");
        assert_eq!(recovered.terms, [id(1, base.index.0 + 1), id(2, 11)], "before {index}");
        assert_eq!((recovered.damage, recovered.damage_before_base), (None, None));
        assert_eq!(read_behind(&mut wal, base.index, 0)[..10 - 2 * removed], all[2 * removed..]);
    }
}

#[test]
fn a_segment_that_cannot_be_removed_is_a_fault() {
    let mut disk = five_segments().into_disk();
    drop(Wal::open(&mut disk, options(900)).unwrap());
    let failing = Failing { disk: &mut disk, calls_left: 1 };
    let (mut wal, _) = Wal::open(failing, options(900)).unwrap();
    let fault = wal.cut_before(Index(7)).unwrap_err();
    assert!(matches!(fault, WalError::Fault { action: "remove", .. }), "{fault}");
    assert_eq!(wal.append(&hard_state(1, 1, 10), &[]), Err(fault.clone()));
    assert_eq!(wal.cut_before(Index(7)), Err(fault));
    let (_, recovered) = Wal::open(&mut disk, behind(id(1, 6), 900)).unwrap();
    assert_eq!((recovered.base, recovered.last), (id(1, 2), id(1, 10)));
    assert_eq!((recovered.damage, recovered.damage_before_base), (None, None));
}

#[test]
fn a_cut_makes_room_on_a_full_disk() {
    let mut wal = five_segments();
    wal.disk.set_capacity(Some(0));
    let next = [run(1, 11, &[200, 200], 9)];
    assert!(matches!(wal.append(&hard_state(1, 1, 10), &next), Err(WalError::NoSpace(_))));
    wal.disk.set_capacity(Some(5 * 900 + 8192));
    wal.append(&hard_state(1, 1, 10), &next).unwrap_err();
    wal.cut_before(Index(3)).unwrap();
    wal.append(&hard_state(1, 1, 10), &next).unwrap();
    assert_eq!(wal.last(), id(1, 12));
}

/// Segment 2 is begun behind entry 3, and then replaces the log from there on.
fn front_with_a_replaced_predecessor() -> MemoryDisk {
    let (mut wal, _) = Wal::open(MemoryDisk::default(), options(900)).unwrap();
    wal.append(&hard_state(1, 1, 0), &[run(1, 1, &[100, 100, 100], 1)]).unwrap();
    wal.append(&hard_state(1, 1, 0), &[run(1, 4, &[1], 2)]).unwrap();
    wal.append(&hard_state(2, 1, 2), &[run(2, 3, &[50, 50, 1], 3)]).unwrap();
    assert_eq!(segment_files(&mut wal.disk).len(), 2);
    // Without entry 2 nobody would know what stands before entry 3.
    wal.cut_before(Index(3)).unwrap();
    assert_eq!(segment_files(&mut wal.disk).len(), 2);
    wal.cut_before(Index(4)).unwrap();
    assert_eq!(segment_files(&mut wal.disk), ["wal-0000000000000002"]);
    assert_eq!(read_behind(&mut wal, Index(2), 0).len(), 3);
    wal.into_disk()
}

#[test]
fn a_log_whose_first_batch_replaces_what_was_cut_begins_where_its_terms_are_known() {
    let disk = front_with_a_replaced_predecessor();
    for (snapshot, base, terms) in
        [(id(2, 3), id(2, 3), vec![id(2, 4)]), (id(2, 5), id(2, 3), vec![id(2, 4)])]
    {
        let (mut wal, recovered) = Wal::open(disk.clone(), behind(snapshot, 900)).unwrap();
        assert_eq!((recovered.damage, recovered.damage_before_base), (None, None));
        assert_eq!((recovered.base, recovered.terms), (base, terms), "snapshot {snapshot}");
        assert_eq!(recovered.last, id(2, 5));
        assert!(snapshot.index <= recovered.hard_state.commit_index);
        assert_eq!(read_behind(&mut wal, base.index, 0).len(), 5 - position(base.index.next()));
    }
    // A cut never leaves this: the snapshot may end with another entry 2 than stood here.
    let (_, recovered) = Wal::open(disk, behind(id(1, 2), 900)).unwrap();
    assert!(recovered.damage.is_some());
}

/// What is on disk if `model` was, and a snapshot up to `snapshot` is.
pub(super) fn with_snapshot(model: &Model, snapshot: EntryId) -> Model {
    let mut model = model.clone();
    if model.holds(snapshot) {
        let commit_index = &mut model.hard_state.commit_index;
        *commit_index = snapshot.index.max(*commit_index);
    } else {
        model.reset(snapshot, model.hard_state);
    }
    model
}

/// What is in `disk` must be `before` or `after`, as far as it is not covered by the snapshot.
fn check_is_either(
    disk: &mut MemoryDisk,
    snapshot: EntryId,
    (before, after): (&Model, &Model),
    seed: u64,
) -> Model {
    let (mut wal, recovered) = Wal::open(disk, behind(snapshot, 2048)).unwrap();
    assert_eq!((&recovered.damage, &recovered.damage_before_base), (&None, &None), "seed {seed}");
    let base = recovered.base;
    assert!(base.index <= snapshot.index, "seed {seed}");
    let entries = read_behind(&mut wal, base.index, 1000);
    let (before, after) = (with_snapshot(before, snapshot), with_snapshot(after, snapshot));
    let is_from = |model: &&&Model| {
        model.holds(base) && model.entries[position(base.index.next())..] == entries
    };
    let Some(found) = [&before, &after].iter().find(is_from).copied() else {
        panic!("seed {seed}: {base} and {} entries behind it were never there", entries.len())
    };
    let state = recovered.hard_state;
    assert!(found.hard_state.commit_index <= state.commit_index, "seed {seed}");
    let promised = |model: &Model| !state.promises_more_than(&model.hard_state);
    assert!(promised(&before) || promised(&after), "seed {seed}: {state:?}");
    let terms = found.terms_behind(base.index);
    assert_eq!((recovered.last, recovered.terms), (found.last(), terms), "seed {seed}");
    Model { entries: found.entries.clone(), hard_state: state }
}

/// One call at random, after which the log holds `after`; a snapshot that it needs is durable
/// before it.
pub(super) fn any_call<D: Disk>(
    wal: &mut Wal<D>,
    chance: &mut Chance,
    (after, snapshot): (&mut Model, &mut EntryId),
    tag: u8,
) -> Result<(), WalError> {
    let (last, committed) = (after.last(), after.hard_state.commit_index);
    match chance.below(8) {
        0 => {
            // A snapshot from a leader, often beyond the log, else over a tail or within it.
            let index = Index(committed.0 + 1 + chance.below(last.index.0 + 4 - committed.0));
            let mut state = after.hard_state;
            state.standing = crate::hard_state::Standing::Full;
            if chance.below(2) == 0 {
                state = hard_state(state.term.0 + 1, chance.below(4), 0);
            }
            let term = state.term.max(Term(1)).max(last.term);
            state.term = term;
            let is_known = index <= last.index && chance.below(2) == 0;
            *snapshot = if is_known { after.id(index) } else { EntryId { term, index } };
            after.reset(*snapshot, state);
            wal.reset(*snapshot, &state)
        }
        1 | 2 => {
            let taken = snapshot.index.0 + chance.below(committed.0 - snapshot.index.0 + 1);
            *snapshot = after.id(Index(taken));
            wal.cut_before(Index(1 + chance.below(taken + 1)))
        }
        3 => wal.mark(),
        _ => {
            let (state, runs): (_, Vec<Entries>) = any_append(chance, after, tag);
            after.append(state, &runs);
            wal.append(&state, &runs)
        }
    }
}

#[test]
fn cuts_and_resets_survive_every_loss_of_power() {
    let mut cut_count = 0;
    for seed in 0..3000 {
        let mut chance = Chance(seed);
        let mut disk = MemoryDisk::default();
        let (mut before, mut after) = (Model::default(), Model::default());
        let mut snapshot = EntryId::ZERO;
        let mut tag = 0;
        for _ in 0..6 {
            let failing = Failing { disk: &mut disk, calls_left: chance.below(60) };
            if let Ok((mut wal, recovered)) = Wal::open(failing, behind(snapshot, 2048)) {
                after.hard_state = recovered.hard_state;
                before.hard_state = recovered.hard_state;
                loop {
                    tag += 1;
                    match any_call(&mut wal, &mut chance, (&mut after, &mut snapshot), tag) {
                        Ok(()) => before = after.clone(),
                        Err(_) => break,
                    }
                }
            }
            crash(&mut disk, &mut chance);
            if chance.below(2) == 0 {
                let failing = Failing { disk: &mut disk, calls_left: chance.below(12) };
                drop(Wal::open(failing, behind(snapshot, 2048)));
                crash(&mut disk, &mut chance);
            }
            before = check_is_either(&mut disk, snapshot, (&before, &after), seed);
            after = before.clone();
            let first = segment_files(&mut disk).first().cloned();
            cut_count += u32::from(first.is_some_and(|name| name != "wal-0000000000000001"));
        }
    }
    assert!(1000 < cut_count, "most logs lost their front: {cut_count}");
}
