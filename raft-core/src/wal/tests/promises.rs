//! A write of the second copy of the hard state that was synced and is lost, or stands in the
//! other slot's place: no promise is forgotten while anything later proves the log.

use super::{hard_state, options, read_all, run, segment_files};
use crate::hard_state::{HardState, Standing};
use crate::types::NodeId;
use crate::wal::disk::Disk;
use crate::wal::memory_disk::MemoryDisk;
use crate::wal::{OpenError, Recovered, Wal};

const SEGMENT_BYTES: u64 = 900;

/// The file, and the distance of its slots.
const FILE: &str = "hard-state";
const SPACING: usize = 4096;

/// What every one of these logs has promised last, long before its newest batch.
fn promised() -> HardState {
    hard_state(3, 3, 5)
}

/// A log over several segments after a loss of power, without marks, and its file of slots as it
/// was before the newest promise.
fn history() -> (MemoryDisk, Vec<u8>) {
    let mut disk = MemoryDisk::default();
    let (mut wal, _) = Wal::open(&mut disk, options(SEGMENT_BYTES)).unwrap();
    wal.append(&hard_state(1, 1, 0), &[run(1, 1, &[0, 40], 1)]).unwrap();
    wal.append(&hard_state(2, 2, 1), &[run(2, 3, &[100], 2)]).unwrap();
    wal.append(&hard_state(2, 2, 1), &[run(2, 4, &[400], 3)]).unwrap();
    let before = synced_slots(wal.disk);
    wal.append(&hard_state(3, 3, 2), &[run(3, 5, &[60], 4)]).unwrap();
    for (index, tag) in (6..).zip(5..9) {
        wal.append(&promised(), &[run(3, index, &[200], tag)]).unwrap();
    }
    disk.crash(|_, _| false);
    (disk, before)
}

/// What a loss of power would leave of the file.
fn synced_slots(disk: &MemoryDisk) -> Vec<u8> {
    let mut disk = disk.clone();
    disk.crash(|_, _| false);
    disk.content(FILE).unwrap()
}

/// The newest promise is known, or the log does not open.
fn check_promise(opened: &Result<Recovered, OpenError>, what: &str) {
    match opened {
        Ok(Recovered { hard_state, damage, .. }) => {
            assert_eq!(
                (hard_state.term, hard_state.vote),
                (promised().term, NodeId::new(3)),
                "{what}"
            );
            let standing = if damage.is_some() { Standing::Quarantined } else { Standing::Full };
            assert_eq!(hard_state.standing, standing, "{what}");
        }
        Err(error) => assert!(matches!(error, OpenError::BothCopiesLost(_)), "{what}: {error}"),
    }
}

fn open(disk: &mut MemoryDisk) -> Result<Recovered, OpenError> {
    Wal::open(disk, options(SEGMENT_BYTES)).map(|(_, recovered)| recovered)
}

/// Flips bytes all over the log, one at a time; returns how often that was damage.
fn check_every_damage(disk: &MemoryDisk, how: &str) -> u32 {
    let mut damage_count = 0;
    for name in segment_files(&mut disk.clone()) {
        let whole = disk.content(&name).unwrap();
        for at in (0..whole.len()).step_by(3) {
            let mut damaged = disk.clone();
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            damaged.replace(&name, bytes);
            let opened = open(&mut damaged);
            check_promise(&opened, &format!("{how}, {name} flipped at {at}"));
            damage_count += u32::from(opened.is_ok_and(|recovered| recovered.damage.is_some()));
        }
    }
    damage_count
}

#[test]
fn a_lost_slot_takes_no_promise_with_it_whatever_else_rots() {
    let (mut disk, before) = history();
    assert!(disk.content(FILE).as_ref() != Some(&before), "a promise was written");
    disk.replace(FILE, before);
    assert!(700 < check_every_damage(&disk, "the slot is lost"));
}

#[test]
fn a_lost_slot_is_written_again_at_the_next_start() {
    let (mut disk, before) = history();
    disk.replace(FILE, before.clone());
    let (mut wal, recovered) = Wal::open(&mut disk, options(SEGMENT_BYTES)).unwrap();
    let entries = read_all(&mut wal, 0);
    check_promise(&Ok(recovered.clone()), "the log has it");
    assert_eq!((recovered.damage, entries.len()), (None, 9));
    // Not by a mark, which is gone with the power.
    disk.crash(|_, _| false);
    assert!(disk.content(FILE) != Some(before), "the file is as it was");
    for name in segment_files(&mut disk) {
        disk.remove(&name).unwrap();
    }
    let recovered = open(&mut disk);
    check_promise(&recovered, "the slot has it");
    assert!(recovered.is_ok_and(|recovered| recovered.damage.is_some()));
}

#[test]
fn a_slot_in_the_place_of_the_other_takes_no_promise_with_it() {
    let (disk, before) = history();
    let after = disk.content(FILE).unwrap();
    let changed = if before[..SPACING] == after[..SPACING] { SPACING } else { 0 };
    for shift in (0..80).step_by(8) {
        let mut misdirected = before.clone();
        let at = (SPACING - changed + shift).min(2 * SPACING - 80);
        misdirected[at..at + 80].copy_from_slice(&after[changed..changed + 80]);
        let mut disk = disk.clone();
        disk.replace(FILE, misdirected);
        let recovered = open(&mut disk.clone());
        check_promise(&recovered, "the log has it");
        assert!(recovered.is_ok_and(|recovered| recovered.damage.is_none()));
        check_every_damage(&disk, &format!("the slot is {shift} behind the other's place"));
    }
}
