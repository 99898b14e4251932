//! What a node's disk holds, through crashes, wipes and rot.
//!
//! The real log runs on a disk in memory whose power can fail at any operation.

use std::cell::Cell;
use std::rc::Rc;

use raft_core::consensus::log::RaftLog;
use raft_core::consensus::ready::Persist;
use raft_core::entry::Entries;
use raft_core::hard_state::Configuration;
use raft_core::types::{EntryId, Incarnation, Index};
use raft_core::wal::disk::{Disk, DiskError};
use raft_core::wal::memory_disk::MemoryDisk;
use raft_core::wal::{OpenError, Recovered, Wal, WalOptions};

use crate::simulator::dice::Dice;

/// The file with the second copy of the hard state, and the marks.
const HARD_STATE_FILE: &str = "hard-state";

/// A disk whose power fails after a number of changes.
#[derive(Debug, Default)]
pub(crate) struct SimDisk {
    memory: MemoryDisk,
    /// How many changes go well from now on; shared with whoever pulls the plug.
    changes_left: Rc<Cell<u64>>,
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// The machine runs on and keeps what was written.
    Process,
    /// Each sector that was not synced is kept or lost at random.
    Torn,
    /// Everything that was not synced is lost.
    Clean,
}

impl SimDisk {
    /// An empty disk with power.
    pub(crate) fn new() -> Self {
        Self { memory: MemoryDisk::default(), changes_left: Rc::new(Cell::new(u64::MAX)) }
    }

    fn change(&mut self) -> Result<&mut MemoryDisk, DiskError> {
        let left = self.changes_left.get();
        if left == 0 {
            return Err(DiskError::Failed("the power is gone".to_owned()));
        }
        self.changes_left.set(left - 1);
        Ok(&mut self.memory)
    }

    fn crash(&mut self, dice: &mut Dice, crash: Crash) {
        self.memory.crash(|_, _| match crash {
            Crash::Process => true,
            Crash::Torn => dice.chance(500),
            Crash::Clean => false,
        });
        self.changes_left.set(u64::MAX);
    }

    /// Changes some bytes of one file, and says which.
    pub(crate) fn rot(&mut self, dice: &mut Dice) -> String {
        let mut names = self.segments();
        names.push(HARD_STATE_FILE.to_owned());
        self.rot_in(&names, dice)
    }

    /// Changes bytes of a segment that is not the newest, and of the other copy of the hard
    /// state: nobody can know any more what this node has promised. Changes nothing, and says
    /// so, if there is only one segment: what rots there may look as if it was never synced.
    pub(crate) fn rot_both_copies(&mut self, dice: &mut Dice) -> Option<String> {
        let mut names = self.segments();
        names.pop();
        if names.is_empty() {
            return None;
        }
        let first = self.rot_in(&names, dice);
        Some(format!("{first}, {}", self.rot_in(&[HARD_STATE_FILE.to_owned()], dice)))
    }

    /// The segments of the log, the newest one last.
    fn segments(&mut self) -> Vec<String> {
        let mut names = self.memory.list().expect("memory can be listed");
        names.retain(|name| name.starts_with("wal-0"));
        names.sort();
        names
    }

    fn rot_in(&mut self, names: &[String], dice: &mut Dice) -> String {
        let name = names[dice.place(names.len())].clone();
        let mut bytes = self.memory.content(&name).expect("it was listed");
        let used: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at] != 0).collect();
        if used.is_empty() {
            return format!("nothing in {name}");
        }
        // Within eight bytes, so that rot never takes a batch and the proof that it was synced.
        let start = used[dice.place(used.len())];
        let end = if dice.chance(500) { start + 1 } else { (start + 1).next_multiple_of(8) };
        let end = end.min(bytes.len());
        bytes[start..end].iter_mut().for_each(|byte| *byte ^= 0x55);
        self.memory.replace(&name, bytes);
        format!("bytes {start}..{end} of {name}")
    }
}

impl Disk for SimDisk {
    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        self.memory.list()
    }

    fn create(&mut self, name: &str, length: u64) -> Result<(), DiskError> {
        self.change()?.create(name, length)
    }

    fn len(&mut self, name: &str) -> Result<u64, DiskError> {
        self.memory.len(name)
    }

    fn read(&mut self, name: &str, offset: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        self.memory.read(name, offset, into)
    }

    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.change()?.write(name, offset, bytes)
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        self.change()?.append(name, bytes)
    }

    fn sync(&mut self, name: &str) -> Result<(), DiskError> {
        self.change()?.sync(name)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.change()?.rename(from, to)
    }

    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        self.change()?.remove(name)
    }
}

/// The log of a running node.
#[derive(Debug)]
pub(crate) struct Storage {
    wal: Wal<SimDisk>,
    changes_left: Rc<Cell<u64>>,
}

/// A log that was opened, with all that is in it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) storage: Storage,
    pub(crate) recovered: Recovered,
    pub(crate) entries: Vec<Entries>,
}

impl Storage {
    /// Opens the log on `disk`, perhaps only at the second attempt because the power fails in
    /// the first.
    ///
    /// Errors: as `Wal::open`.
    pub(crate) fn open(
        mut disk: SimDisk,
        (incarnation, configuration): (Incarnation, &Configuration),
        segment_bytes: u64,
        dice: &mut Dice,
    ) -> Result<Opened, OpenError> {
        let (configuration, base) = (configuration.encode(), EntryId::ZERO);
        let options = WalOptions { segment_bytes, incarnation, configuration, base };
        if dice.chance(100) {
            disk.changes_left.set(dice.below(12));
            // Whatever it answers, this attempt ends with the power.
            drop(Wal::open(&mut disk, options.clone()));
            let crash = dice.pick(&[Crash::Torn, Crash::Clean]);
            disk.crash(dice, crash);
        }
        let changes_left = Rc::clone(&disk.changes_left);
        let (mut wal, recovered) = Wal::open(disk, options)?;
        let end = recovered.last.index.next();
        let entries = wal.read(Index(1), end, usize::MAX).expect("recovery has verified it");
        Ok(Opened { storage: Self { wal, changes_left }, recovered, entries })
    }

    /// Writes and syncs a batch.
    pub(crate) fn append(&mut self, persist: &Persist) {
        let appended = self.wal.append(&persist.hard_state, &persist.entries);
        appended.expect("the disk works and has room");
    }

    /// Says on disk that everything is synced.
    pub(crate) fn mark(&mut self) {
        self.wal.mark().expect("the disk works");
    }

    /// Reads entries back.
    pub(crate) fn read(&mut self, first: Index, end: Index, bytes_max: usize) -> Vec<Entries> {
        self.wal.read(first, end, bytes_max).expect("the disk works and nothing rots unseen")
    }

    /// Ends the process, perhaps in the middle of `under_way`.
    pub(crate) fn crash(
        mut self,
        under_way: Option<&Persist>,
        crash: Crash,
        dice: &mut Dice,
    ) -> SimDisk {
        if let Some(persist) = under_way.filter(|_| dice.chance(800)) {
            let bound = dice.pick(&[3, 8]);
            self.changes_left.set(dice.below(bound));
            // Whether it came to an end is what the next start will find out.
            let _ = self.wal.append(&persist.hard_state, &persist.entries);
        }
        let mut disk = self.wal.into_disk();
        disk.crash(dice, crash);
        disk
    }
}

/// The log of Raft over what recovery found, with the entries from `tail_from` on in memory.
pub(crate) fn raft_log(opened: &Opened, tail_from: Index) -> RaftLog {
    let Recovered { terms, last, hard_state, .. } = &opened.recovered;
    let range = tail_from..last.index.next();
    let tail = opened.entries.iter().filter_map(|run| run.slice(range.clone(), usize::MAX));
    RaftLog::restore(EntryId::ZERO, terms.clone(), tail.collect(), hard_state.commit_index)
}
