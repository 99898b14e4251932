//! A disk in memory whose power can fail at any operation, and whose bytes can rot.

use std::cell::Cell;
use std::rc::Rc;

use raft_core::wal::disk::{Disk, DiskError};
use raft_core::wal::memory_disk::MemoryDisk;

use crate::simulator::dice::Dice;

/// The file with the second copy of the hard state, and the marks.
const HARD_STATE_FILE: &str = "hard-state";

/// A disk whose power fails after a number of changes.
#[derive(Debug)]
pub(crate) struct SimDisk {
    memory: MemoryDisk,
    /// How many changes go well from now on; shared with whoever pulls the plug.
    changes_left: Rc<Cell<u64>>,
}

/// Lets the power of a disk fail.
#[derive(Debug)]
pub(crate) struct Plug(Rc<Cell<u64>>);

impl Plug {
    /// The power fails after so many changes more.
    pub(crate) fn pull_after(&self, changes: u64) {
        self.0.set(changes);
    }
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

impl Default for SimDisk {
    /// An empty disk with power.
    fn default() -> Self {
        Self { memory: MemoryDisk::default(), changes_left: Rc::new(Cell::new(u64::MAX)) }
    }
}

impl SimDisk {
    fn change(&mut self) -> Result<&mut MemoryDisk, DiskError> {
        let left = self.changes_left.get();
        if left == 0 {
            return Err(DiskError::Failed("the power is gone".to_owned()));
        }
        self.changes_left.set(left - 1);
        Ok(&mut self.memory)
    }

    /// Pulls the plug after so many changes; whoever holds the disk finds out.
    pub(crate) fn plug(&self) -> Plug {
        Plug(Rc::clone(&self.changes_left))
    }

    /// The power goes, or only the process, and comes back.
    pub(crate) fn crash(&mut self, dice: &mut Dice, crash: Crash) {
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

    /// Changes some bytes of a snapshot, and says which; of the newest more often than not.
    /// Changes nothing if there is none.
    pub(crate) fn rot_snapshot(&mut self, dice: &mut Dice) -> Option<String> {
        let mut names = self.names("snapshot-0");
        let newest = names.pop()?;
        let is_older = !names.is_empty() && dice.chance(200);
        Some(self.rot_in(if is_older { &names } else { std::slice::from_ref(&newest) }, dice))
    }

    /// The segments of the log, the newest one last.
    fn segments(&mut self) -> Vec<String> {
        self.names("wal-0")
    }

    fn names(&mut self, beginning: &str) -> Vec<String> {
        let mut names = self.memory.list().expect("memory can be listed");
        names.retain(|name| name.starts_with(beginning));
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
