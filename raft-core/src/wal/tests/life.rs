//! The log without accidents: what is appended is read back, also after a clean restart.

use super::{Chance, Failing, Model, hard_state, options, read_all, run};
use crate::entry::Entries;
use crate::hard_state::HardState;
use crate::types::{EntryId, Index, Term};
use crate::wal::disk::{Disk, DiskError};
use crate::wal::memory_disk::MemoryDisk;
use crate::wal::{SpareOrder, Wal, WalError};

#[test]
fn a_fresh_log_is_empty_and_stays_what_it_was_at_the_second_start() {
    let mut disk = MemoryDisk::default();
    let (wal, recovered) = Wal::open(&mut disk, options(1024)).unwrap();
    assert_eq!(wal.last(), EntryId::ZERO);
    drop(wal);
    assert!(recovered.is_fresh);
    assert_eq!(recovered.hard_state, HardState::default());
    assert_eq!(recovered.configuration, vec![7; 24]);

    let mut other = options(1024);
    other.configuration = vec![9; 3];
    let (_, again) = Wal::open(&mut disk, other).unwrap();
    assert!(!again.is_fresh);
    assert_eq!(again.configuration, recovered.configuration);
    assert_eq!((again.damage, again.torn_bytes), (None, 0));
}

#[test]
fn entries_read_back_across_segments_and_replaced_tails_like_from_a_model() {
    for seed in 0..40 {
        let mut chance = Chance(seed);
        let mut disk = MemoryDisk::default();
        // Some with several points of the sparse index in one segment.
        let (segment_bytes, length_max) = if seed % 2 == 0 { (2000, 150) } else { (300_000, 9000) };
        let (mut wal, _) = Wal::open(&mut disk, options(segment_bytes)).unwrap();
        let mut model = Model::default();
        for step in 0..120u8 {
            let term = 1 + u64::from(step / 10);
            let last = model.last().index.0;
            let state = hard_state(term, 1 + u64::from(step) / 40, model.hard_state.commit_index.0);
            if chance.below(8) == 0 {
                let mut state = state;
                state.commit_index = Index(state.commit_index.0.max(last.saturating_sub(20)));
                wal.append(&state, &[]).unwrap();
                model.append(state, &[]);
                wal.mark().unwrap();
                continue;
            }
            let mut first = last + 1;
            let starts_term = step % 10 == 0;
            if starts_term && chance.below(2) == 0 {
                let committed = model.hard_state.commit_index.0;
                first = committed + 1 + chance.below(last - committed + 1);
            }
            let lengths: Vec<usize> = (0..=chance.below(4))
                .map(|_| usize::try_from(chance.below(length_max)).unwrap())
                .collect();
            let entries = [run(term, first, &lengths, step)];
            wal.append(&state, &entries).unwrap();
            model.append(state, &entries);
        }
        for bytes_max in [0, 700, 5000, 1 << 20] {
            assert_eq!(read_all(&mut wal, bytes_max), model.entries, "seed {seed}");
        }
        drop(wal);
        let (mut wal, recovered) = Wal::open(&mut disk, options(segment_bytes)).unwrap();
        assert_eq!(recovered.hard_state, model.hard_state);
        assert_eq!((recovered.last, recovered.terms), (model.last(), model.terms()));
        assert_eq!((recovered.damage, recovered.torn_bytes), (None, 0));
        assert_eq!(read_all(&mut wal, 3000), model.entries, "seed {seed}");
    }
}

#[test]
fn reads_respect_their_range_and_their_limit() {
    let mut disk = MemoryDisk::default();
    let (mut wal, _) = Wal::open(&mut disk, options(4096)).unwrap();
    wal.append(&hard_state(1, 1, 0), &[run(1, 1, &[10, 10, 10], 1)]).unwrap();
    wal.append(&hard_state(2, 1, 0), &[run(2, 4, &[10, 10], 2)]).unwrap();
    let ids = |runs: Vec<Entries>| -> Vec<(u64, u64, usize)> {
        runs.iter().map(|run| (run.term().0, run.first_index().0, run.len())).collect()
    };
    let all = usize::MAX;
    assert_eq!(ids(wal.read(Index(2), Index(5), all).unwrap()), [(1, 2, 2), (2, 4, 1)]);
    assert_eq!(ids(wal.read(Index(2), Index(5), 0).unwrap()), [(1, 2, 1)]);
    assert_eq!(ids(wal.read(Index(3), Index(9), 109 * 2).unwrap()), [(1, 3, 1), (2, 4, 1)]);
    for (first, end) in [(0, 3), (6, 9), (4, 4), (5, 2)] {
        assert_eq!(wal.read(Index(first), Index(end), all).unwrap(), [], "{first}..{end}");
    }
}

#[test]
fn an_entry_longer_than_a_segment_gets_a_segment_that_is_long_enough() {
    let mut disk = MemoryDisk::default();
    let (mut wal, _) = Wal::open(&mut disk, options(1024)).unwrap();
    let runs = [run(1, 1, &[3, 50_000], 1), run(2, 3, &[3], 2)];
    wal.append(&hard_state(2, 1, 0), &runs).unwrap();
    wal.append(&hard_state(2, 1, 3), &[run(2, 4, &[3], 3)]).unwrap();
    drop(wal);
    let (mut wal, recovered) = Wal::open(&mut disk, options(1024)).unwrap();
    assert_eq!(recovered.last, EntryId { term: Term(2), index: Index(4) });
    assert_eq!(wal.read(Index(1), Index(4), usize::MAX).unwrap(), runs);
}

#[test]
fn a_prepared_spare_is_used_and_another_one_wanted() {
    let mut disk = MemoryDisk::default();
    Wal::open(&mut disk, options(1024)).unwrap();
    let (mut wal, _) = Wal::open(disk, options(1024)).unwrap();
    let order = SpareOrder { name: "wal-spare", length: 1024 };
    assert_eq!(wal.spare_wanted(), Some(order));
    wal.disk.create(order.name, order.length).unwrap();
    wal.spare_prepared();
    assert_eq!(wal.spare_wanted(), None);
    // From here on only the spare can be the next segment.
    wal.disk.set_capacity(Some(0));
    wal.append(&hard_state(1, 1, 0), &[run(1, 1, &[600], 1)]).unwrap();
    wal.append(&hard_state(1, 1, 0), &[run(1, 2, &[600], 2)]).unwrap();
    assert_eq!(wal.spare_wanted(), Some(order));
    assert_eq!(wal.read(Index(1), Index(3), usize::MAX).unwrap()[0].len(), 2);

    let mut disk = wal.into_disk();
    disk.replace("wal-spare", vec![1, 2, 3]);
    Wal::open(&mut disk, options(1024)).unwrap();
    assert_eq!(disk.content("wal-spare"), None, "nobody knows whether it was finished");
}

#[test]
fn without_space_for_a_segment_nothing_is_written_and_the_append_works_later() {
    let mut disk = MemoryDisk::default();
    let (mut wal, _) = Wal::open(disk, options(1024)).unwrap();
    wal.append(&hard_state(1, 1, 0), &[run(1, 1, &[500], 1)]).unwrap();
    wal.disk.set_capacity(Some(0));
    let before = wal.disk.clone();
    let late = (hard_state(2, 2, 1), [run(2, 2, &[500], 2)]);
    for _ in 0..3 {
        assert_eq!(wal.append(&late.0, &late.1), Err(WalError::NoSpace(DiskError::NoSpace)));
    }
    for name in wal.disk.list().unwrap() {
        assert_eq!(wal.disk.content(&name), before.content(&name));
    }
    assert_eq!(wal.last().index, Index(1));
    wal.mark().unwrap();
    // A full disk does not keep a node from starting.
    disk = wal.into_disk();
    let (mut wal, recovered) = Wal::open(disk, options(1024)).unwrap();
    assert_eq!(recovered.last.index, Index(1));
    wal.append(&late.0, &late.1).unwrap_err();

    wal.disk.set_capacity(None);
    wal.append(&late.0, &late.1).unwrap();
    let (_, recovered) = Wal::open(wal.into_disk(), options(1024)).unwrap();
    assert_eq!((recovered.hard_state, recovered.last), (late.0, late.1[0].last_id()));
}

#[test]
fn after_a_fault_nothing_more_is_written() {
    let mut disk = MemoryDisk::default();
    drop(Wal::open(&mut disk, options(1024)).unwrap());
    // Slot write, slot sync, batch write; the sync of the batch fails.
    let failing = Failing { disk: &mut disk, calls_left: 3 };
    let (mut wal, _) = Wal::open(failing, options(1024)).unwrap();
    let fault = wal.append(&hard_state(1, 1, 0), &[run(1, 1, &[5], 1)]).unwrap_err();
    assert!(matches!(fault, WalError::Fault { action: "sync", .. }), "{fault}");
    wal.disk.calls_left = 100;
    assert_eq!(wal.append(&hard_state(1, 1, 0), &[]), Err(fault.clone()));
    assert_eq!(wal.mark(), Err(fault));
    assert_eq!(wal.disk.calls_left, 100);
}

#[test]
fn the_bytes_on_disk_never_change() {
    let (mut wal, _) = Wal::open(MemoryDisk::default(), options(1024)).unwrap();
    wal.append(&hard_state(3, 2, 0), &[run(1, 1, &[1, 2], 1), run(3, 3, &[4], 2)]).unwrap();
    wal.append(&hard_state(3, 2, 2), &[run(3, 4, &[400], 3)]).unwrap();
    wal.mark().unwrap();
    let mut disk = wal.into_disk();
    let sums: Vec<(String, u32)> = disk
        .list()
        .unwrap()
        .into_iter()
        .map(|name| (name.clone(), crc32c::crc32c(&disk.content(&name).unwrap())))
        .collect();
    let expected = [
        ("hard-state".to_owned(), 0xef31_c7c6),
        ("wal-0000000000000001".to_owned(), 0x9497_9b80),
        ("wal-0000000000000002".to_owned(), 0x090b_bfa6),
    ];
    assert_eq!(sums, expected);
}
