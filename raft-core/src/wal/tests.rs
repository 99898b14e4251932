//! The log against a model: what was appended, what a disk did to it, what came back.

mod crash;
mod damage;
mod life;
mod snapshots;

use crate::entry::{Draft, Entries, EntryKind, SessionStamp, Stamp};
use crate::hard_state::{Configuration, HardState, Standing};
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

    fn last(&self) -> EntryId {
        let index = Index(self.entries.len() as u64);
        self.entries.last().map_or(EntryId::ZERO, |(term, _)| EntryId { term: *term, index })
    }

    fn terms(&self) -> Vec<EntryId> {
        let mut starts: Vec<EntryId> = Vec::new();
        for (index, (term, _)) in (1..).zip(&self.entries) {
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

fn node(number: u64) -> NodeId {
    NodeId::new(number).unwrap()
}

fn options(segment_bytes: u64) -> WalOptions {
    let configuration = Configuration::of([node(1), node(2), node(3)]);
    WalOptions { segment_bytes, incarnation: Incarnation(0xfeed), configuration }
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
    draft.stamp(&Stamp { term, first, log_time: 1, wall_time: 2, seed: 3 })
}

/// Every entry from the first on, read a little at a time.
fn read_all<D: Disk>(wal: &mut Wal<D>, bytes_max: usize) -> Vec<(Term, Vec<u8>)> {
    let mut all = Vec::new();
    loop {
        let next = Index(all.len() as u64 + 1);
        let runs = wal.read(next, Index(u64::MAX), bytes_max).unwrap();
        if runs.is_empty() {
            return all;
        }
        for entry in runs.iter().flat_map(Entries::iter) {
            assert_eq!(entry.id().index.0, all.len() as u64 + 1);
            all.push((entry.id().term, entry.payload().to_vec()));
        }
    }
}
