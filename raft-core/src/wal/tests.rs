//! The log against a model: what was appended, what a disk did to it, what came back.

mod crash;
mod cut;
mod damage;
mod damage_and_snapshot;
mod dump;
mod life;
mod promises;
mod reset;
mod snapshots;
mod words;

use crate::entry::{Draft, Entries, EntryKind, SessionStamp, Stamp};
use crate::hard_state::{HardState, Standing};
use crate::types::{EntryId, Incarnation, Index, NodeId, Term};
use crate::wal::disk::{Disk, DiskError};
use crate::wal::memory_disk::MemoryDisk;
use crate::wal::{Wal, WalOptions};

/// What a log should hold: each entry with its term, and the hard state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    entries: Vec<(Term, Vec<u8>)>,
    hard_state: HardState,
}

impl Model {
    fn append(&mut self, hard_state: HardState, runs: &[Entries]) {
        if let Some(first) = runs.first() {
            self.entries.truncate(position(first.first_index()));
        }
        for entry in runs.iter().flat_map(Entries::iter) {
            self.entries.push((entry.id().term, entry.payload().to_vec()));
        }
        self.hard_state = hard_state;
    }

    /// Everything up to `base` is covered by a snapshot and of no interest, all else is gone.
    fn reset(&mut self, base: EntryId, hard_state: HardState) {
        self.entries = vec![(base.term, Vec::new()); position(base.index.next())];
        self.hard_state = HardState { commit_index: base.index, ..hard_state };
    }

    fn id(&self, index: Index) -> EntryId {
        if index == Index::ZERO {
            return EntryId::ZERO;
        }
        EntryId { term: self.entries[position(index)].0, index }
    }

    fn holds(&self, id: EntryId) -> bool {
        id.index <= self.last().index && self.id(id.index) == id
    }

    fn last(&self) -> EntryId {
        self.id(Index(self.entries.len() as u64))
    }

    fn terms(&self) -> Vec<EntryId> {
        self.terms_behind(Index::ZERO)
    }

    fn terms_behind(&self, base: Index) -> Vec<EntryId> {
        let mut starts: Vec<EntryId> = Vec::new();
        for (index, (term, _)) in (1..).zip(&self.entries).skip(position(base.next())) {
            if starts.last().is_none_or(|start| start.term < *term) {
                starts.push(EntryId { term: *term, index: Index(index) });
            }
        }
        starts
    }
}

/// A small source of chance, the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// A disk that stops answering after a number of calls that change something.
struct Failing<'d> {
    disk: &'d mut MemoryDisk,
    calls_left: u64,
}

impl Failing<'_> {
    fn call(&mut self) -> Result<&mut MemoryDisk, DiskError> {
        let stopped = DiskError::Failed("stopped".to_owned());
        self.calls_left = self.calls_left.checked_sub(1).ok_or(stopped)?;
        Ok(self.disk)
    }
}

impl Disk for Failing<'_> {
    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        self.disk.list()
    }
    fn create(&mut self, name: &str, length: u64) -> Result<(), DiskError> {
        self.call()?.create(name, length)
    }
    fn len(&mut self, name: &str) -> Result<u64, DiskError> {
        self.disk.len(name)
    }
    fn read(&mut self, name: &str, offset: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        self.disk.read(name, offset, into)
    }
    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.call()?.write(name, offset, bytes)
    }
    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        self.call()?.append(name, bytes)
    }
    fn sync(&mut self, name: &str) -> Result<(), DiskError> {
        self.call()?.sync(name)
    }
    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.call()?.rename(from, to)
    }
    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        self.call()?.remove(name)
    }
}

fn position(index: Index) -> usize {
    usize::try_from(index.0).unwrap() - 1
}

fn options(segment_bytes: u64) -> WalOptions {
    let (incarnation, configuration) = (Incarnation(0xfeed), vec![7; 24]);
    WalOptions { segment_bytes, incarnation, configuration, base: EntryId::ZERO }
}

fn hard_state(term: u64, vote: u64, commit: u64) -> HardState {
    HardState {
        term: Term(term),
        vote: NodeId::new(vote),
        commit_index: Index(commit),
        standing: Standing::Full,
    }
}

/// A run of `lengths.len()` entries; the payloads differ by `tag`.
fn run(term: u64, first: u64, lengths: &[usize], tag: u8) -> Entries {
    let mut draft = Draft::default();
    for (place, &length) in lengths.iter().enumerate() {
        let mut payload = vec![tag; length];
        payload.extend_from_slice(format!("{tag}.{place}").as_bytes());
        draft.push(EntryKind::Command, &SessionStamp::default(), &payload);
    }
    let (term, first) = (Term(term), Index(first));
    draft.stamp(&Stamp { term, first, log_time: 1, feature_level: 1, wall_time: 2, seed: 3 })
}

/// Every entry from the first on, read a little at a time.
fn read_all<D: Disk>(wal: &mut Wal<D>, bytes_max: usize) -> Vec<(Term, Vec<u8>)> {
    read_behind(wal, Index::ZERO, bytes_max)
}

/// Every entry behind `base`, read a little at a time.
fn read_behind<D: Disk>(wal: &mut Wal<D>, base: Index, bytes_max: usize) -> Vec<(Term, Vec<u8>)> {
    let mut all = Vec::new();
    loop {
        let next = base.plus(all.len() as u64 + 1);
        let runs = wal.read(next, Index(u64::MAX), bytes_max).unwrap();
        if runs.is_empty() {
            return all;
        }
        for entry in runs.iter().flat_map(Entries::iter) {
            assert_eq!(entry.id().index, base.plus(all.len() as u64 + 1));
            all.push((entry.id().term, entry.payload().to_vec()));
        }
    }
}

/// The names of all segments, the oldest first.
fn segment_files(disk: &mut MemoryDisk) -> Vec<String> {
    let mut names = disk.list().unwrap();
    names.retain(|name| name.starts_with("wal-0"));
    names
}
