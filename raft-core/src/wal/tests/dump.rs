//! The dump shows what is there, judges as a start does, and changes nothing.

use std::ops::ControlFlow;

use super::damage::{SEGMENT_BYTES, history};
use super::{Failing, hard_state, options, run, segment_files};
use crate::entry::{EntryKind, SessionStamp};
use crate::hard_state::Standing;
use crate::types::{EntryId, Incarnation, Index, Term};
use crate::wal::disk::Disk as _;
use crate::wal::dump::{BatchItem, EntryItem, Item, Verdict, dump};
use crate::wal::memory_disk::MemoryDisk;
use crate::wal::{OpenError, Wal, WalOptions};

fn id(term: u64, index: u64) -> EntryId {
    EntryId { term: Term(term), index: Index(index) }
}

/// Every item, from a disk on which every change fails.
fn items(disk: &MemoryDisk) -> Vec<Item> {
    let mut items = Vec::new();
    let mut disk = disk.clone();
    let mut disk = Failing { disk: &mut disk, calls_left: 0 };
    dump(&mut disk, |item| {
        items.push(item);
        ControlFlow::Continue(())
    })
    .unwrap();
    items
}

fn verdict(items: &[Item]) -> &Verdict {
    match items.last() {
        Some(Item::Verdict(verdict)) => verdict,
        other => panic!("the verdict comes last: {other:?}"),
    }
}

fn entries(items: &[Item]) -> Vec<EntryItem> {
    let entry = |item: &Item| match item {
        Item::Entry(entry) => Some(*entry),
        _ => None,
    };
    items.iter().filter_map(entry).collect()
}

#[test]
fn everything_that_was_appended_is_shown_and_what_was_replaced_is_marked() {
    let history = history(true);
    let newest = history.states.last().unwrap();
    let items = items(&history.disk);
    assert_eq!(*verdict(&items), Verdict::Whole { base: EntryId::ZERO, last: newest.last() });
    let entries = entries(&items);
    assert_eq!(entries.len(), 3 + 3 + 1 + 1 + 2);
    let valid: Vec<EntryItem> = entries.iter().filter(|it| !it.is_replaced).copied().collect();
    assert_eq!(valid.len(), newest.entries.len());
    for (index, (found, (term, payload))) in (1..).zip(valid.iter().zip(&newest.entries)) {
        assert_eq!(found.id, EntryId { term: *term, index: Index(index) });
        assert_eq!((found.payload_bytes, found.log_time), (payload.len() as u64, 1));
        assert_eq!((found.kind, found.session), (EntryKind::Command, SessionStamp::default()));
    }
    let replaced: Vec<EntryId> =
        entries.iter().filter(|it| it.is_replaced).map(|it| it.id).collect();
    assert_eq!(replaced, [id(1, 4), id(1, 5), id(2, 6)]);
    let batches: Vec<BatchItem> = items
        .iter()
        .filter_map(|item| if let Item::Batch(batch) = item { Some(*batch) } else { None })
        .collect();
    assert_eq!(batches.len(), history.states.len() - 1);
    for (number, (batch, state)) in (1..).zip(batches.iter().zip(&history.states[1..])) {
        assert_eq!((batch.number, batch.hard_state), (number, state.hard_state));
    }
}

#[test]
fn slots_and_headers_are_shown_as_they_are() {
    let mut history = history(true);
    let mut bytes = history.disk.content("hard-state").unwrap();
    bytes[20] ^= 1;
    history.disk.replace("hard-state", bytes);
    let mut bytes = history.disk.content("wal-0000000000000002").unwrap();
    bytes[20] ^= 1;
    history.disk.replace("wal-0000000000000002", bytes);
    let items = items(&history.disk);
    assert_eq!(items[0], Item::Slot { place: 0, content: None });
    let Item::Slot { place: 1, content: Some(slot) } = items[1] else { panic!("{:?}", items[1]) };
    assert_eq!(slot.hard_state.standing, Standing::Full);
    let headers: Vec<bool> = items
        .iter()
        .filter_map(|item| match item {
            Item::Segment { header, .. } => Some(header.as_ref().is_some_and(|header| {
                assert_eq!(header.incarnation, Incarnation(0xfeed));
                assert_eq!((header.configuration.len(), header.length), (24, SEGMENT_BYTES));
                true
            })),
            _ => None,
        })
        .collect();
    assert!(headers.len() >= 3, "{headers:?}");
    assert_eq!(headers.iter().filter(|&&is_good| !is_good).count(), 1, "{headers:?}");
    assert!(!headers[1]);
    // What stands behind the damage is shown too.
    assert_eq!(entries(&items).len(), 10);
}

#[test]
fn the_verdict_on_every_flipped_byte_is_that_of_a_start() {
    let (mut damages, mut torn) = (0, 0);
    for is_marked in [false, true] {
        let history = history(is_marked);
        let names =
            [segment_files(&mut history.disk.clone()), vec!["hard-state".to_owned()]].concat();
        for name in names {
            let whole = history.disk.content(&name).unwrap();
            for at in (0..whole.len().min(SEGMENT_BYTES.try_into().unwrap())).step_by(3) {
                let mut bytes = whole.clone();
                bytes[at] ^= 0x10;
                let mut disk = history.disk.clone();
                disk.replace(&name, bytes);
                let items = items(&disk);
                let (wal, recovered) = Wal::open(disk, options(SEGMENT_BYTES)).unwrap();
                let what = format!("{name} flipped at {at}");
                match verdict(&items) {
                    Verdict::Absent => panic!("{what}: there is a log"),
                    Verdict::Whole { base, last } => {
                        assert_eq!((recovered.damage, recovered.torn_bytes), (None, 0), "{what}");
                        assert_eq!((*base, *last), (recovered.base, wal.last()), "{what}");
                    }
                    Verdict::Torn { length, last, .. } => {
                        torn += 1;
                        assert_eq!((recovered.damage, recovered.torn_bytes), (None, *length));
                        assert_eq!(*last, wal.last(), "{what}");
                    }
                    Verdict::Damaged(damage) => {
                        damages += 1;
                        assert_eq!(Some(damage), recovered.damage.as_ref(), "{what}");
                    }
                }
            }
        }
    }
    assert!(100 < damages && 10 < torn, "{damages} damages, {torn} torn ends");
}

#[test]
fn a_log_that_was_replaced_is_shown_as_such_until_it_is_gone() {
    let base = id(9, 50);
    let is_new = |item: &Item| {
        let Item::Segment { header: Some(header), .. } = item else { return false };
        header.begins_log
    };
    // Cut short when the new segment is there and the last old one is not yet removed.
    let cut_short = (0..40).find_map(|calls_left| {
        let mut disk = history(true).disk;
        let failing = Failing { disk: &mut disk, calls_left };
        let (mut wal, _) = Wal::open(failing, options(SEGMENT_BYTES)).ok()?;
        wal.reset(base, &hard_state(9, 1, 0)).err()?;
        let found = items(&disk);
        found.iter().any(is_new).then_some((disk, found))
    });
    let (mut disk, before) = cut_short.expect("it begins anew before it removes what was");
    assert!(!entries(&before).is_empty());
    assert!(entries(&before).iter().all(|entry| entry.is_replaced));
    assert_eq!(*verdict(&before), Verdict::Whole { base, last: base });
    let behind = WalOptions { base, ..options(SEGMENT_BYTES) };
    let (mut wal, _) = Wal::open(&mut disk, behind).unwrap();
    wal.append(&hard_state(9, 1, 50), &[run(9, 51, &[1], 1)]).unwrap();
    let after = items(&disk);
    assert_eq!(entries(&after).len(), 1);
    assert!(!entries(&after)[0].is_replaced);
    assert_eq!(*verdict(&after), Verdict::Whole { base, last: id(9, 51) });
}

#[test]
fn a_front_that_was_cut_is_no_damage() {
    let (mut wal, _) = Wal::open(MemoryDisk::default(), options(900)).unwrap();
    for index in 1..=4 {
        wal.append(&hard_state(1, 1, index - 1), &[run(1, index, &[400], 1)]).unwrap();
    }
    wal.cut_before(Index(4)).unwrap();
    let mut disk = wal.into_disk();
    let found = items(&disk);
    assert_eq!(*verdict(&found), Verdict::Whole { base: id(1, 3), last: id(1, 4) });
    for name in segment_files(&mut disk) {
        disk.remove(&name).unwrap();
    }
    assert!(matches!(verdict(&items(&disk)), Verdict::Damaged(_)));
    disk.remove("hard-state").unwrap();
    assert_eq!(items(&disk), [Item::Verdict(Verdict::Absent)]);
}

#[test]
fn a_reader_that_has_seen_enough_gets_no_more() {
    let mut disk = history(true).disk;
    let count = items(&disk).len();
    for wanted in 1..=count {
        let mut seen = 0;
        dump(&mut disk, |_| {
            seen += 1;
            if seen == wanted { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
        assert_eq!(seen, wanted);
    }
}

#[test]
fn files_that_cannot_be_judged_are_named() {
    let mut disk = history(true).disk;
    let mut other = options(SEGMENT_BYTES);
    other.incarnation = Incarnation(7);
    let (wal, _) = Wal::open(MemoryDisk::default(), other).unwrap();
    let foreign = wal.into_disk().content("wal-0000000000000001").unwrap();
    disk.replace("wal-0000000000000001", foreign);
    let error = dump(&mut disk, |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
}
