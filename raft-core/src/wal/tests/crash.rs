//! Loss of power at every moment: what an append returned for is there afterwards.

use super::{Chance, Failing, Model, hard_state, options, read_all, run};
use crate::entry::Entries;
use crate::hard_state::HardState;
use crate::types::{Index, NodeId, Term};
use crate::wal::disk::{Disk, DiskError};
use crate::wal::memory_disk::MemoryDisk;
use crate::wal::{Wal, WalError};

/// An append at random that goes with `model`.
pub(super) fn any_append(chance: &mut Chance, model: &Model, tag: u8) -> (HardState, Vec<Entries>) {
    let last = model.last().index.0;
    let committed = model.hard_state.commit_index.0;
    let mut state = model.hard_state;
    state.standing = crate::hard_state::Standing::Full;
    let mut first = last + 1;
    if chance.below(4) == 0 {
        state = hard_state(state.term.0 + 1, chance.below(4), committed);
        first = committed + 1 + chance.below(last - committed + 1);
    }
    state.term = state.term.max(Term(1));
    let mut runs = Vec::new();
    if chance.below(5) != 0 {
        let lengths: Vec<usize> =
            (0..=chance.below(3)).map(|_| usize::try_from(chance.below(700)).unwrap()).collect();
        runs.push(run(state.term.0, first, &lengths, tag));
    }
    if runs.is_empty() {
        first = last + 1;
    }
    let reach = (first - 1).max(committed);
    state.commit_index = Index(committed + chance.below(reach - committed + 1));
    (state, runs)
}

/// Loses power; which part of what was not synced survives is up to chance.
pub(super) fn crash(disk: &mut MemoryDisk, chance: &mut Chance) {
    let kept_percent = [0, 30, 50, 90, 100][usize::try_from(chance.below(5)).unwrap()];
    disk.crash(|_, _| chance.below(100) < kept_percent);
}

/// What is in `disk` must be `before` or `after`, except that the promise of `after` may
/// already stand while its entries do not.
fn check_is_either(disk: &mut MemoryDisk, before: &Model, after: &Model, seed: u64) -> Model {
    let (mut wal, recovered) = Wal::open(disk, options(2048)).unwrap();
    assert_eq!(recovered.damage, None, "seed {seed}");
    let entries = read_all(&mut wal, 1000);
    assert!(entries == before.entries || entries == after.entries, "seed {seed}");
    let mut state = recovered.hard_state;
    let commit_index = state.commit_index.0;
    assert!(before.hard_state.commit_index.0 <= commit_index, "seed {seed}");
    assert!(commit_index <= after.hard_state.commit_index.0, "seed {seed}");
    if entries == after.entries && entries != before.entries {
        assert_eq!(state, after.hard_state, "seed {seed}");
    }
    state.commit_index = before.hard_state.commit_index;
    let mut promised = after.hard_state;
    promised.commit_index = before.hard_state.commit_index;
    assert!(state == before.hard_state || state == promised, "seed {seed}: {state:?}");
    let model = Model { entries, hard_state: recovered.hard_state };
    assert_eq!((recovered.last, recovered.terms), (model.last(), model.terms()));
    model
}

#[test]
fn whatever_an_append_returned_for_survives_every_loss_of_power() {
    for seed in 0..1500 {
        let mut chance = Chance(seed);
        let mut disk = MemoryDisk::default();
        let mut before = Model::default();
        let mut after = Model::default();
        let mut tag = 0;
        for _ in 0..6 {
            // Dies after some calls, in the middle of opening or of an append.
            let failing = Failing { disk: &mut disk, calls_left: chance.below(40) };
            if let Ok((mut wal, _)) = Wal::open(failing, options(2048)) {
                loop {
                    tag += 1;
                    let (state, runs) = any_append(&mut chance, &before, tag);
                    after = before.clone();
                    after.append(state, &runs);
                    match wal.append(&state, &runs) {
                        Ok(()) => before = after.clone(),
                        Err(WalError::Fault { .. } | WalError::NoSpace(_)) => break,
                        Err(error) => panic!("seed {seed}: {error}"),
                    }
                    if chance.below(2) == 0 && wal.mark().is_err() {
                        break;
                    }
                }
            }
            crash(&mut disk, &mut chance);
            if chance.below(2) == 0 {
                // Opening may be cut short as often as it likes.
                let failing = Failing { disk: &mut disk, calls_left: chance.below(6) };
                drop(Wal::open(failing, options(2048)));
                crash(&mut disk, &mut chance);
            }
            before = check_is_either(&mut disk, &before, &after, seed);
            after = before.clone();
        }
    }
}

#[test]
fn stale_bytes_behind_a_torn_batch_are_never_evidence() {
    // A long batch is torn so that its middle and end stay, then shorter ones are written.
    for kept_from in [400, 1000, 2000, 3000] {
        let mut disk = MemoryDisk::default();
        let (mut wal, _) = Wal::open(&mut disk, options(8192)).unwrap();
        wal.append(&hard_state(1, 1, 0), &[run(1, 1, &[10], 1)]).unwrap();
        drop(wal);
        let failing = Failing { disk: &mut disk, calls_left: 4 };
        let (mut wal, _) = Wal::open(failing, options(8192)).unwrap();
        wal.append(&hard_state(1, 1, 0), &[run(1, 2, &[900; 3], 2)]).unwrap_err();
        drop(wal);
        disk.crash(|_, offset| kept_from < offset);
        for round in 0..3 {
            let (mut wal, recovered) = Wal::open(&mut disk, options(8192)).unwrap();
            assert_eq!(recovered.damage, None, "round {round}");
            assert_eq!(recovered.torn_bytes == 0, round != 0, "round {round}");
            let next = recovered.last.index.next().0;
            assert_eq!(next, round + 2);
            wal.append(&hard_state(1, 1, 0), &[run(1, next, &[5], 3)]).unwrap();
        }
    }
}

#[test]
fn a_mark_that_was_lost_is_no_damage() {
    let mut disk = MemoryDisk::default();
    let (mut wal, _) = Wal::open(&mut disk, options(4096)).unwrap();
    wal.append(&hard_state(1, 1, 0), &[run(1, 1, &[400], 1)]).unwrap();
    wal.mark().unwrap();
    wal.append(&hard_state(1, 1, 0), &[run(1, 2, &[400], 2)]).unwrap();
    disk.crash(|_, _| false);
    let (mut wal, recovered) = Wal::open(&mut disk, options(4096)).unwrap();
    assert_eq!((recovered.damage, recovered.torn_bytes), (None, 0));
    assert_eq!(read_all(&mut wal, 0).len(), 2);
}

/// A disk whose next sync fails and leaves what was written in the page cache only: it is shown,
/// it counts as clean, and only what is written again reaches the disk.
struct Cached<'d> {
    disk: &'d mut MemoryDisk,
    fails: bool,
    shown: &'d mut Vec<(u64, Vec<u8>)>,
}

impl Disk for Cached<'_> {
    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        self.disk.list()
    }
    fn create(&mut self, name: &str, length: u64) -> Result<(), DiskError> {
        self.disk.create(name, length)
    }
    fn len(&mut self, name: &str) -> Result<u64, DiskError> {
        self.disk.len(name)
    }
    fn read(&mut self, name: &str, offset: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        let read = self.disk.read(name, offset, into)?;
        for (at, bytes) in self.shown.iter().filter(|_| name.starts_with("wal-0")) {
            for (at, byte) in (*at..).zip(bytes).filter(|(at, _)| offset <= *at) {
                if let Some(place) = into.get_mut(usize::try_from(at - offset).unwrap()) {
                    *place = *byte;
                }
            }
        }
        Ok(read)
    }
    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.disk.write(name, offset, bytes)
    }
    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        self.disk.append(name, bytes)
    }
    fn sync(&mut self, name: &str) -> Result<(), DiskError> {
        if !std::mem::take(&mut self.fails) {
            return self.disk.sync(name);
        }
        *self.shown = self.disk.fail_sync(name, |_| false)?;
        Err(DiskError::Failed("the sync failed".to_owned()))
    }
    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.disk.rename(from, to)
    }
    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        self.disk.remove(name)
    }
}

#[test]
fn what_a_failed_sync_left_in_the_page_cache_counts_only_when_it_is_written_again() {
    let (mut disk, mut shown) = (MemoryDisk::default(), Vec::new());
    let (mut wal, _) = Wal::open(&mut disk, options(1024)).unwrap();
    wal.append(&hard_state(1, 1, 0), &[run(1, 1, &[9], 1)]).unwrap();
    let cached = Cached { disk: &mut disk, fails: false, shown: &mut shown };
    let (mut wal, _) = Wal::open(cached, options(1024)).unwrap();
    wal.disk.fails = true;
    wal.append(&hard_state(1, 1, 0), &[run(1, 2, &[9], 2)]).unwrap_err();
    drop(wal);
    let cached = Cached { disk: &mut disk, fails: false, shown: &mut shown };
    let (_, recovered) = Wal::open(cached, options(1024)).unwrap();
    assert_eq!(recovered.last.index, Index(2), "it is shown, so the node may count with it");
    disk.crash(|_, _| false);
    let (_, recovered) = Wal::open(&mut disk, options(1024)).unwrap();
    assert_eq!(recovered.last.index, Index(2), "what was counted with is on the disk");
}

#[test]
fn a_start_after_a_torn_promise_needs_no_room() {
    let mut disk = MemoryDisk::default();
    let (mut wal, _) = Wal::open(&mut disk, options(1024)).unwrap();
    wal.append(&hard_state(1, 1, 0), &[run(1, 1, &[9], 1)]).unwrap();
    wal.append(&hard_state(2, 2, 0), &[]).unwrap();
    for slot in [0, 4096] {
        let mut disk = disk.clone();
        let mut bytes = disk.content("hard-state").unwrap();
        bytes[slot] ^= 1;
        disk.replace("hard-state", bytes);
        disk.set_capacity(Some(0));
        let (_, recovered) = Wal::open(&mut disk, options(1024)).unwrap();
        assert_eq!(recovered.hard_state, hard_state(2, 2, 0));
        // Both copies are whole again, so damage of the log is no reason to stop.
        disk.crash(|_, _| false);
        disk.set_capacity(None);
        let mut bytes = disk.content("wal-0000000000000001").unwrap();
        bytes[200] ^= 1;
        disk.replace("wal-0000000000000001", bytes);
        let (_, recovered) = Wal::open(&mut disk, options(1024)).unwrap();
        assert!(recovered.damage.is_some());
        assert_eq!(
            (recovered.hard_state.term, recovered.hard_state.vote),
            (Term(2), NodeId::new(2))
        );
    }
}
