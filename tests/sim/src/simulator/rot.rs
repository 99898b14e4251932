//! Bytes on a disk that become others: they rot, or what was written there, and synced, never
//! arrived, or somewhere else.

use std::collections::VecDeque;

use raft_core::wal::disk::Disk as _;

use crate::simulator::dice::Dice;
use crate::simulator::disk::{Inside, SimDisk};

/// The file with the second copy of the hard state, and the marks.
const HARD_STATE_FILE: &str = "hard-state";

/// How the files of the log and the snapshots are called.
const SEGMENT: &str = "wal-0";
const SNAPSHOT: &str = "snapshot-0";

/// The distance of the two slots in it, and the length of one. Units: bytes.
const SLOT_SPACING: u64 = 4096;
const SLOT_BYTES: u64 = 80;

/// How many of the newest writes may still turn out to be lost.
const WRITES_KEPT: usize = 64;

/// A write in the middle of a file lands at a multiple of this, where a batch might stand.
const ALIGNMENT: u64 = 8;

/// The newest writes.
#[derive(Debug, Default)]
pub(super) struct Journal(VecDeque<Write>);

#[derive(Clone, Debug)]
struct Write {
    file: String,
    offset: u64,
    old: Vec<u8>,
    new: Vec<u8>,
    is_synced: bool,
}

impl Journal {
    /// Something is written.
    pub(super) fn note(&mut self, file: &str, offset: u64, old: Vec<u8>, new: &[u8]) {
        if new.is_empty() {
            return;
        }
        if self.0.len() == WRITES_KEPT {
            self.0.pop_front();
        }
        let (file, new) = (file.to_owned(), new.to_vec());
        self.0.push_back(Write { file, offset, old, new, is_synced: false });
    }

    /// A file is synced.
    pub(super) fn synced(&mut self, file: &str) {
        let writes = self.0.iter_mut().filter(|write| write.file == file);
        writes.for_each(|write| write.is_synced = true);
    }

    /// The power goes: what was not synced counts no more.
    pub(super) fn lose_power(&mut self) {
        self.0.retain(|write| write.is_synced);
    }

    /// A file is gone, or made anew.
    pub(super) fn forget(&mut self, file: &str) {
        self.0.retain(|write| write.file != file);
    }

    /// A file has another name, and what had that name is gone.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        if from != to {
            self.forget(to);
        }
        for write in self.0.iter_mut().filter(|write| write.file == from) {
            to.clone_into(&mut write.file);
        }
    }

    /// The place of a write that was synced and that something proves: of the log a later write
    /// that was synced, of a snapshot its name.
    fn some_proven(&self, dice: &mut Dice) -> Option<usize> {
        let is_of =
            |write: &Write, beginning: &str| write.is_synced && write.file.starts_with(beginning);
        let proof = self.0.iter().rfind(|write| is_of(write, SEGMENT));
        let proof = proof.map(|proof| (&proof.file, proof.offset));
        let is_proven = |write: &Write| {
            let is_before = proof.is_some_and(|proof| (&write.file, write.offset) < proof);
            (is_of(write, SEGMENT) && is_before) || is_of(write, SNAPSHOT)
        };
        self.some(is_proven, dice)
    }

    /// The place of a write of a promise that was synced, and that the log has too.
    fn some_promise(&self, dice: &mut Dice) -> Option<usize> {
        self.some(|write| write.is_synced && write.file == HARD_STATE_FILE, dice)
    }

    fn some(&self, is_meant: impl Fn(&Write) -> bool, dice: &mut Dice) -> Option<usize> {
        let mut places: Vec<usize> = (0..self.0.len()).collect();
        places.retain(|&at| is_meant(&self.0[at]) && self.0[at].old != self.0[at].new);
        (!places.is_empty()).then(|| places[dice.place(places.len())])
    }
}

/// Where a write turns out to be that was synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Nowhere.
    Entirely,
    /// At another place of the same file.
    InTheFile,
    /// Over the copies of the hard state.
    OverTheSlots,
}

impl SimDisk {
    /// Changes some bytes of one file, and says which.
    pub(crate) fn rot(&self, dice: &mut Dice) -> String {
        let mut inside = self.inside();
        // Without the mark a loss of power would make this look as if it was never synced.
        let _ = inside.memory.sync(HARD_STATE_FILE);
        let mut names = inside.names(SEGMENT);
        names.push(HARD_STATE_FILE.to_owned());
        inside.rot_in(&names, dice)
    }

    /// Changes bytes of a segment that is not the newest, and of the other copy of the hard
    /// state: nobody can know any more what this node has promised. Changes nothing, and says
    /// so, if there is only one segment: what rots there may look as if it was never synced.
    pub(crate) fn rot_both_copies(&self, dice: &mut Dice) -> Option<String> {
        let mut inside = self.inside();
        let mut names = inside.names(SEGMENT);
        names.pop();
        if names.is_empty() {
            return None;
        }
        let first = inside.rot_in(&names, dice);
        Some(format!("{first}, {}", inside.rot_in(&[HARD_STATE_FILE.to_owned()], dice)))
    }

    /// Changes some bytes of a snapshot, and says which; of the newest more often than not.
    /// Changes nothing if there is none.
    pub(crate) fn rot_snapshot(&self, dice: &mut Dice) -> Option<String> {
        let mut inside = self.inside();
        let mut names = inside.names(SNAPSHOT);
        let newest = names.pop()?;
        let is_older = !names.is_empty() && dice.chance(200);
        Some(inside.rot_in(if is_older { &names } else { std::slice::from_ref(&newest) }, dice))
    }

    /// Lets a write of a log or a snapshot that was synced turn out to be lost: what stood there
    /// before stands there again. Says which; `None` if there is none that something later proves.
    pub(crate) fn lose_write(&self, lost: Lost, dice: &mut Dice) -> Option<String> {
        let place = self.inside().journal.some_proven(dice)?;
        self.lose(place, lost, dice)
    }

    /// The same for one copy of a promise, of which the log has the other one.
    pub(crate) fn lose_promise(&self, lost: Lost, dice: &mut Dice) -> Option<String> {
        let place = self.inside().journal.some_promise(dice)?;
        self.lose(place, lost, dice)
    }

    fn lose(&self, place: usize, lost: Lost, dice: &mut Dice) -> Option<String> {
        let mut inside = self.inside();
        let Write { file, offset, old, new, .. } = inside.journal.0[place].clone();
        let before = inside.memory.content(&file)?;
        let mut bytes = before.clone();
        put(&mut bytes, offset, &old);
        let is_of_slots = file == HARD_STATE_FILE;
        let target = match lost {
            Lost::Entirely => None,
            Lost::InTheFile | Lost::OverTheSlots if is_of_slots => Some(near_slot(offset, dice)),
            Lost::InTheFile => {
                let last = (bytes.len() as u64).saturating_sub(new.len() as u64);
                Some(dice.below(last / ALIGNMENT + 1) * ALIGNMENT)
            }
            Lost::OverTheSlots => {
                let slot = dice.below(2) * SLOT_SPACING;
                let target = near_slot(slot, dice);
                let mut slots = inside.memory.content(HARD_STATE_FILE)?;
                put(&mut slots, target, &new);
                inside.memory.replace(HARD_STATE_FILE, slots);
                None
            }
        };
        if let Some(target) = target {
            put(&mut bytes, target, &new);
        }
        // What was written since has arrived.
        let later = inside.journal.0.iter().skip(place + 1).filter(|write| write.file == file);
        later.for_each(|write| put(&mut bytes, write.offset, &write.new));
        if bytes == before {
            return None;
        }
        inside.memory.replace(&file, bytes);
        inside.journal.forget(&file);
        if lost == Lost::OverTheSlots {
            inside.journal.forget(HARD_STATE_FILE);
        }
        let target = target.map_or(String::new(), |target| format!(" at {target}"));
        Some(format!("{} bytes for {offset} of {file}: {lost:?}{target}", new.len()))
    }
}

/// A place at the slot that is not at `offset`, or a little behind it.
fn near_slot(offset: u64, dice: &mut Dice) -> u64 {
    let other = if offset == 0 { SLOT_SPACING } else { 0 };
    (other + dice.below(SLOT_BYTES / ALIGNMENT) * ALIGNMENT).min(2 * SLOT_SPACING - SLOT_BYTES)
}

/// Writes over what is there, as far as the file goes.
fn put(bytes: &mut [u8], offset: u64, new: &[u8]) {
    let start = usize_of(offset).min(bytes.len());
    let length = new.len().min(bytes.len() - start);
    bytes[start..start + length].copy_from_slice(&new[..length]);
}

impl Inside {
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

fn usize_of(bytes: u64) -> usize {
    usize::try_from(bytes).expect("files in memory fit its address space")
}
