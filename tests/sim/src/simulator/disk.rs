//! A disk in memory whose power can fail at any operation, which answers with errors, runs out
//! of room, and gives back other bytes than it holds. What becomes of the bytes themselves
//! stands in `rot.rs`.

use std::cell::{RefCell, RefMut};
use std::rc::Rc;

use raft_core::wal::disk::{Disk, DiskError};
use raft_core::wal::memory_disk::MemoryDisk;

use crate::simulator::dice::Dice;
use crate::simulator::page_cache::PageCache;
use crate::simulator::rot::Journal;

/// A disk; clones are handles of the same one, for whoever uses it and whoever harms it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SimDisk(Rc<RefCell<Inside>>);

/// What is on a disk, and what is wrong with it.
#[derive(Debug)]
pub(super) struct Inside {
    pub(super) memory: MemoryDisk,
    pub(super) journal: Journal,
    cache: PageCache,
    /// How many changes go well until the power fails.
    changes_left: u64,
    failing: Option<Failing>,
    /// How many of the next reads give back a wrong bit, and which.
    flips: Option<(u64, Dice)>,
    /// What may still be added; `None` without a limit. Units: bytes.
    room_bytes: Option<u64>,
    troubles: Troubles,
}

/// How often a disk did not do what it was asked, since it was new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Troubles {
    pub(crate) read_errors: u64,
    pub(crate) write_errors: u64,
    pub(crate) sync_errors: u64,
    /// Attempts to add something for which there was no room.
    pub(crate) refusals: u64,
    /// Reads that gave back a wrong bit.
    pub(crate) flipped_reads: u64,
}

/// What can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Reading.
    Read,
    /// Writing, and adding to files.
    Write,
    /// Syncing files, and the directory.
    Sync,
}

/// An operation that fails a number of times.
#[derive(Debug)]
struct Failing {
    what: Operation,
    times: u64,
    dice: Dice,
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

impl Default for Inside {
    /// An empty disk with power.
    fn default() -> Self {
        Self {
            memory: MemoryDisk::default(),
            journal: Journal::default(),
            cache: PageCache::default(),
            changes_left: u64::MAX,
            failing: None,
            flips: None,
            room_bytes: None,
            troubles: Troubles::default(),
        }
    }
}

impl SimDisk {
    pub(super) fn inside(&self) -> RefMut<'_, Inside> {
        self.0.borrow_mut()
    }

    /// The power fails after so many changes more; whoever uses the disk finds out.
    pub(crate) fn pull_plug_after(&self, changes: u64) {
        self.inside().changes_left = changes;
    }

    /// From now on an operation fails so many times.
    pub(crate) fn fail(&self, what: Operation, times: u64, dice: &mut Dice) {
        self.inside().failing = Some(Failing { what, times, dice: Dice::new(dice.word()) });
    }

    /// So many of the next reads give back a wrong bit, until the process ends.
    pub(crate) fn flip(&self, reads: u64, dice: &mut Dice) {
        self.inside().flips = Some((reads, Dice::new(dice.word())));
    }

    /// There is room for so much more and nothing else.
    pub(crate) fn fill(&self, room_bytes: u64) {
        self.inside().room_bytes = Some(room_bytes);
    }

    /// There is room again, and nothing fails any more.
    pub(crate) fn recover(&self) {
        let mut inside = self.inside();
        inside.room_bytes = None;
        inside.failing = None;
        inside.flips = None;
    }

    /// Another, empty disk takes the place of this one.
    pub(crate) fn wipe(&self) {
        let mut inside = self.inside();
        let (room_bytes, troubles) = (inside.room_bytes, inside.troubles);
        *inside = Inside { room_bytes, troubles, ..Inside::default() };
    }

    /// How often something went wrong.
    pub(crate) fn troubles(&self) -> Troubles {
        self.inside().troubles
    }

    /// The power goes, or only the process, and comes back.
    pub(crate) fn crash(&self, dice: &mut Dice, crash: Crash) {
        let mut inside = self.inside();
        match crash {
            // What was not synced is in the page cache and may still be lost later.
            Crash::Process => inside.cache.evict(dice),
            Crash::Torn => inside.memory.crash(|_, _| dice.chance(500)),
            Crash::Clean => inside.memory.crash(|_, _| false),
        }
        if crash != Crash::Process {
            inside.journal.lose_power();
            inside.cache = PageCache::default();
        }
        inside.changes_left = u64::MAX;
        // What a start reads wrong it takes for what there is: that is rot.
        inside.flips = None;
    }
}

impl Inside {
    /// Errors: the power is gone.
    fn change(&mut self) -> Result<(), DiskError> {
        if self.changes_left == 0 {
            return Err(DiskError::Failed("the power is gone".to_owned()));
        }
        self.changes_left -= 1;
        Ok(())
    }

    /// The dice that say how an operation fails, if it does.
    fn fails(&mut self, what: Operation) -> Option<&mut Dice> {
        let failing = self.failing.as_mut();
        let failing = failing.filter(|failing| failing.what == what && 0 < failing.times)?;
        failing.times -= 1;
        match what {
            Operation::Read => self.troubles.read_errors += 1,
            Operation::Write => self.troubles.write_errors += 1,
            Operation::Sync => self.troubles.sync_errors += 1,
        }
        Some(&mut failing.dice)
    }

    /// Errors: `NoSpace` if so much does not fit.
    fn take_room(&mut self, bytes: u64) -> Result<(), DiskError> {
        let Some(room_bytes) = &mut self.room_bytes else { return Ok(()) };
        let Some(left) = room_bytes.checked_sub(bytes) else {
            self.troubles.refusals += 1;
            return Err(DiskError::NoSpace);
        };
        *room_bytes = left;
        Ok(())
    }

    /// Whether a change of the directory is not synced, and if so whether it took place.
    fn directory_fails(&mut self) -> Option<bool> {
        self.fails(Operation::Sync).map(|dice| dice.chance(500))
    }

    /// How much of `length` bytes a write that fails has written.
    fn short_write(&mut self, length: usize) -> Option<usize> {
        self.fails(Operation::Write).map(|dice| dice.place(length + 1))
    }

    /// What was written over is written again with the sectors that show what the disk has not.
    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        for (offset, shown) in self.cache.dirty(name, offset, bytes.len() as u64) {
            self.memory.write(name, offset, &shown)?;
        }
        self.memory.write(name, offset, bytes)
    }

    /// Gives back one wrong bit of what is not zero.
    fn flip_bit(&mut self, bytes: &mut [u8]) {
        let Some((left, dice)) = self.flips.as_mut().filter(|(left, _)| 0 < *left) else { return };
        let used: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at] != 0).collect();
        if used.is_empty() {
            return;
        }
        *left -= 1;
        bytes[used[dice.place(used.len())]] ^= 1 << dice.below(8);
        self.troubles.flipped_reads += 1;
    }
}

fn failed(what: &str) -> DiskError {
    DiskError::Failed(format!("input/output error: {what}"))
}

impl Disk for SimDisk {
    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        let mut inside = self.inside();
        if inside.fails(Operation::Read).is_some() {
            return Err(failed("list"));
        }
        inside.memory.list()
    }

    fn create(&mut self, name: &str, length: u64) -> Result<(), DiskError> {
        let mut inside = self.inside();
        inside.change()?;
        inside.journal.forget(name);
        inside.cache.forget(name);
        let is_failing =
            inside.fails(Operation::Write).is_some() || inside.fails(Operation::Sync).is_some();
        let made = if is_failing { Err(failed("create")) } else { inside.take_room(length) };
        if made.is_err() {
            // Nothing is left behind under that name.
            let _ = inside.memory.remove(name);
            return made;
        }
        inside.memory.create(name, length)
    }

    fn len(&mut self, name: &str) -> Result<u64, DiskError> {
        self.inside().memory.len(name)
    }

    fn read(&mut self, name: &str, offset: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        let mut inside = self.inside();
        if inside.fails(Operation::Read).is_some() {
            return Err(failed("read"));
        }
        let length = inside.memory.read(name, offset, into)?;
        inside.cache.show(name, offset, &mut into[..length]);
        inside.flip_bit(&mut into[..length]);
        Ok(length)
    }

    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut inside = self.inside();
        inside.change()?;
        if let Some(length) = inside.short_write(bytes.len()) {
            inside.write(name, offset, &bytes[..length])?;
            return Err(failed("write"));
        }
        let mut old = vec![0; bytes.len()];
        inside.memory.read(name, offset, &mut old)?;
        inside.journal.note(name, offset, old, bytes);
        inside.write(name, offset, bytes)
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        let mut inside = self.inside();
        inside.change()?;
        if let Some(length) = inside.short_write(bytes.len()) {
            inside.memory.append(name, &bytes[..length])?;
            return Err(failed("append"));
        }
        inside.take_room(bytes.len() as u64)?;
        let offset = inside.memory.len(name)?;
        inside.journal.note(name, offset, vec![0; bytes.len()], bytes);
        inside.memory.append(name, bytes)
    }

    fn sync(&mut self, name: &str) -> Result<(), DiskError> {
        let mut inside = self.inside();
        inside.change()?;
        let Some(dice) = inside.fails(Operation::Sync) else {
            inside.journal.synced(name);
            return inside.memory.sync(name);
        };
        let mut dice = Dice::new(dice.word());
        let lost = inside.memory.fail_sync(name, |_| dice.chance(400))?;
        // Some file systems go on showing what is not on the disk, and some do not.
        let shown = lost.into_iter().filter(|_| dice.chance(600)).collect();
        inside.cache.keep(name, shown);
        Err(failed("sync"))
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        let mut inside = self.inside();
        inside.change()?;
        let fails = inside.directory_fails();
        if fails != Some(false) {
            inside.journal.rename(from, to);
            inside.cache.rename(from, to);
            inside.memory.rename(from, to)?;
        }
        if fails.is_some() { Err(failed("rename")) } else { Ok(()) }
    }

    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        let mut inside = self.inside();
        inside.change()?;
        let fails = inside.directory_fails();
        if fails != Some(false) {
            let length = inside.memory.len(name)?;
            inside.journal.forget(name);
            inside.cache.forget(name);
            inside.memory.remove(name)?;
            if let Some(room_bytes) = &mut inside.room_bytes {
                *room_bytes += length;
            }
        }
        if fails.is_some() { Err(failed("remove")) } else { Ok(()) }
    }
}
