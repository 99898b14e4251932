//! A disk in memory that keeps apart what is synced and what is not.
//!
//! For the simulator and for clusters within one process. It promises exactly what the trait
//! promises: [`MemoryDisk::crash`] may lose any part of what was not synced.

use std::collections::BTreeMap;

use crate::wal::disk::{Disk, DiskError};

/// What a crash keeps or loses as one. Units: bytes.
pub const SECTOR_BYTES: u64 = 512;

/// Files in memory. It has one owner; a node that restarts takes it from its log
/// (`Wal::into_disk`), and `&mut MemoryDisk` is a disk too.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    files: BTreeMap<String, File>,
    capacity_bytes: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct File {
    synced: Vec<u8>,
    /// Writes since the last sync, oldest first.
    unsynced: Vec<(usize, Vec<u8>)>,
}

impl MemoryDisk {
    /// A disk on which the lengths of all files together never exceed `capacity_bytes`; `None`
    /// for one without limit.
    #[must_use]
    pub fn with_capacity(capacity_bytes: Option<u64>) -> Self {
        Self { files: BTreeMap::new(), capacity_bytes }
    }

    /// Changes the capacity; what is there stays, even above it.
    pub fn set_capacity(&mut self, capacity_bytes: Option<u64>) {
        self.capacity_bytes = capacity_bytes;
    }

    /// Loses power: of every write that was not synced, each sector is kept if `keep` says so
    /// when given the file's name and the offset in the file, and lost otherwise.
    ///
    /// Always answering true is the end of the process alone, which loses nothing.
    pub fn crash(&mut self, mut keep: impl FnMut(&str, u64) -> bool) {
        for (name, file) in &mut self.files {
            for (start, bytes) in std::mem::take(&mut file.unsynced) {
                let mut at = start;
                while at < start + bytes.len() {
                    let sector_end = (at as u64 + 1).next_multiple_of(SECTOR_BYTES);
                    let end = place(sector_end).min(start + bytes.len());
                    if keep(name, at as u64) {
                        file.synced[at..end].copy_from_slice(&bytes[at - start..end - start]);
                    }
                    at = end;
                }
            }
        }
    }

    /// The content of a file, synced or not; for tests that damage it.
    #[must_use]
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let file = self.files.get(name)?;
        let mut bytes = file.synced.clone();
        file.overlay(0, &mut bytes);
        Some(bytes)
    }

    /// Makes `bytes` the synced content of a file, or makes the file; for tests that damage it.
    pub fn replace(&mut self, name: &str, bytes: Vec<u8>) {
        self.files.insert(name.to_owned(), File { synced: bytes, unsynced: Vec::new() });
    }

    fn file(&mut self, name: &str) -> Result<&mut File, DiskError> {
        self.files.get_mut(name).ok_or_else(|| DiskError::Failed(format!("no file {name}")))
    }
}

impl File {
    /// Puts what was written since the last sync over `bytes`, which start at `offset`.
    fn overlay(&self, offset: usize, bytes: &mut [u8]) {
        for (start, written) in &self.unsynced {
            let from = (*start).max(offset);
            let to = (start + written.len()).min(offset + bytes.len());
            if from < to {
                let part = &written[from - start..to - start];
                bytes[from - offset..to - offset].copy_from_slice(part);
            }
        }
    }
}

impl Disk for MemoryDisk {
    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        Ok(self.files.keys().cloned().collect())
    }

    fn create(&mut self, name: &str, length: u64) -> Result<(), DiskError> {
        self.files.remove(name);
        let used: u64 = self.files.values().map(|file| file.synced.len() as u64).sum();
        if self.capacity_bytes.is_some_and(|capacity| capacity < used + length) {
            return Err(DiskError::NoSpace);
        }
        self.replace(name, vec![0; place(length)]);
        Ok(())
    }

    fn len(&mut self, name: &str) -> Result<u64, DiskError> {
        Ok(self.file(name)?.synced.len() as u64)
    }

    fn read(&mut self, name: &str, offset: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        let file = self.file(name)?;
        let start = place(offset).min(file.synced.len());
        let length = into.len().min(file.synced.len() - start);
        into[..length].copy_from_slice(&file.synced[start..start + length]);
        file.overlay(start, &mut into[..length]);
        Ok(length)
    }

    /// Stricter than a real disk: what was not created cannot be written.
    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let file = self.file(name)?;
        if (file.synced.len() as u64) < offset + bytes.len() as u64 {
            return Err(DiskError::Failed(format!("a write beyond the end of {name}")));
        }
        file.unsynced.push((place(offset), bytes.to_vec()));
        Ok(())
    }

    fn sync(&mut self, name: &str) -> Result<(), DiskError> {
        let file = self.file(name)?;
        for (start, bytes) in std::mem::take(&mut file.unsynced) {
            file.synced[start..start + bytes.len()].copy_from_slice(&bytes);
        }
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        let Some(file) = self.files.remove(from) else {
            return Err(DiskError::Failed(format!("no file {from}")));
        };
        self.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        self.file(name)?;
        self.files.remove(name);
        Ok(())
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).expect("files in memory fit its address space")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_loses_what_was_not_synced_sector_by_sector() {
        let mut disk = MemoryDisk::default();
        disk.create("f", 2048).unwrap();
        disk.write("f", 0, b"old").unwrap();
        disk.sync("f").unwrap();
        disk.write("f", 1, &[7; 1100]).unwrap();
        assert_eq!(disk.content("f").unwrap()[..3], [b'o', 7, 7]);
        let mut part = [0; 2];
        disk.read("f", 1100, &mut part).unwrap();
        assert_eq!(part, [7, 0]);

        let mut offsets = Vec::new();
        disk.crash(|name, offset| {
            assert_eq!(name, "f");
            offsets.push(offset);
            offset == 512
        });
        assert_eq!(offsets, [1, 512, 1024]);
        let content = disk.content("f").unwrap();
        assert_eq!(content[..3], *b"old");
        assert_eq!(content[511..513], [0, 7]);
        assert_eq!(content[1023..1025], [7, 0]);
    }

    #[test]
    fn a_full_disk_refuses_new_files_and_leaves_nothing_behind() {
        let mut disk = MemoryDisk::with_capacity(Some(100));
        disk.create("a", 60).unwrap();
        assert_eq!(disk.create("b", 60), Err(DiskError::NoSpace));
        assert_eq!(disk.list().unwrap(), ["a"]);
        disk.remove("a").unwrap();
        disk.create("b", 60).unwrap();
        assert!(disk.write("b", 50, &[1; 20]).is_err());
    }
}
