//! What a system goes on showing after a sync has failed although the disk does not have it,
//! and no later sync brings it there (ATC 2020, "Can applications recover from fsync failures?").

use std::ops::Range;

use raft_core::wal::memory_disk::SECTOR_BYTES;

use crate::simulator::dice::Dice;

/// Sectors, or parts of them, that are only in memory and taken for clean.
#[derive(Debug, Default)]
pub(super) struct PageCache(Vec<Shown>);

#[derive(Debug)]
struct Shown {
    file: String,
    offset: u64,
    bytes: Vec<u8>,
}

impl Shown {
    fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.bytes.len() as u64
    }
}

impl PageCache {
    /// Goes on showing these bytes of a file.
    pub(super) fn keep(&mut self, file: &str, lost: Vec<(u64, Vec<u8>)>) {
        let shown =
            lost.into_iter().map(|(offset, bytes)| Shown { file: file.to_owned(), offset, bytes });
        self.0.extend(shown);
    }

    /// Shows what it has over bytes that were read from `offset` on.
    pub(super) fn show(&self, file: &str, offset: u64, bytes: &mut [u8]) {
        let end = offset + bytes.len() as u64;
        for shown in self.0.iter().filter(|shown| shown.file == file) {
            let (from, to) = (shown.offset.max(offset), shown.range().end.min(end));
            if from < to {
                let part = &shown.bytes[usize_of(from - shown.offset)..usize_of(to - shown.offset)];
                bytes[usize_of(from - offset)..usize_of(to - offset)].copy_from_slice(part);
            }
        }
    }

    /// What is shown of the sectors that are written to: it goes to the disk with them.
    pub(super) fn dirty(&mut self, file: &str, offset: u64, length: u64) -> Vec<(u64, Vec<u8>)> {
        let first = offset / SECTOR_BYTES * SECTOR_BYTES;
        let end = (offset + length).next_multiple_of(SECTOR_BYTES);
        let is_touched = |shown: &mut Shown| {
            shown.file == file && shown.offset < end && first < shown.range().end
        };
        self.0.extract_if(.., is_touched).map(|shown| (shown.offset, shown.bytes)).collect()
    }

    /// Lets go of some of it, as a system does when it needs the memory.
    pub(super) fn evict(&mut self, dice: &mut Dice) {
        self.0.retain(|_| dice.chance(700));
    }

    /// A file is gone.
    pub(super) fn forget(&mut self, file: &str) {
        self.0.retain(|shown| shown.file != file);
    }

    /// A file has another name, and what had that name is gone.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        if from != to {
            self.forget(to);
        }
        for shown in self.0.iter_mut().filter(|shown| shown.file == from) {
            to.clone_into(&mut shown.file);
        }
    }
}

fn usize_of(bytes: u64) -> usize {
    usize::try_from(bytes).expect("files in memory fit its address space")
}
