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
    /// With what was appended since the last sync.
    length: usize,
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
    /// when given the file's name and the offset in the file, and lost otherwise. A file that
    /// grew ends with the last sector that is kept; a lost one before it is zeros.
    ///
    /// Always answering true is the end of the process alone, which loses nothing.
    pub fn crash(&mut self, mut keep: impl FnMut(&str, u64) -> bool) {
        for (name, file) in &mut self.files {
            file.settle(|at| keep(name, at));
        }
    }

    /// Lets the sync of a file fail: of what was not synced each sector is on the disk if `keep`
    /// says so when given its offset. The others are not, and no later sync brings them there;
    /// they are returned with their offsets, because a page cache may go on showing them.
    ///
    /// Errors: if there is no such file.
    pub fn fail_sync(
        &mut self,
        name: &str,
        keep: impl FnMut(u64) -> bool,
    ) -> Result<Vec<(u64, Vec<u8>)>, DiskError> {
        Ok(self.file(name)?.settle(keep))
    }

    /// The content of a file, synced or not; for tests that damage it.
    #[must_use]
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let file = self.files.get(name)?;
        let mut bytes = vec![0; file.length];
        file.copy(0, &mut bytes);
        Some(bytes)
    }

    /// Makes `bytes` the synced content of a file, or makes the file; for tests that damage it.
    pub fn replace(&mut self, name: &str, bytes: Vec<u8>) {
        let length = bytes.len();
        self.files.insert(name.to_owned(), File { synced: bytes, unsynced: Vec::new(), length });
    }

    /// Errors: `NoSpace` if `more` bytes do not fit beside all files.
    fn check_room(&self, more: u64) -> Result<(), DiskError> {
        let used: u64 = self.files.values().map(|file| file.length as u64).sum();
        if self.capacity_bytes.is_some_and(|capacity| capacity < used + more) {
            return Err(DiskError::NoSpace);
        }
        Ok(())
    }

    fn file(&mut self, name: &str) -> Result<&mut File, DiskError> {
        self.files.get_mut(name).ok_or_else(|| DiskError::Failed(format!("no file {name}")))
    }
}

impl File {
    /// Keeps the sectors for which `keep` says so and returns the others.
    fn settle(&mut self, mut keep: impl FnMut(u64) -> bool) -> Vec<(u64, Vec<u8>)> {
        let mut lost = Vec::new();
        for (start, bytes) in std::mem::take(&mut self.unsynced) {
            let mut at = start;
            while at < start + bytes.len() {
                let sector_end = (at as u64 + 1).next_multiple_of(SECTOR_BYTES);
                let end = place(sector_end).min(start + bytes.len());
                let sector = &bytes[at - start..end - start];
                if keep(at as u64) {
                    let length = self.synced.len().max(end);
                    self.synced.resize(length, 0);
                    self.synced[at..end].copy_from_slice(sector);
                } else {
                    lost.push((at as u64, sector.to_vec()));
                }
                at = end;
            }
        }
        self.length = self.synced.len();
        lost
    }

    /// Fills `bytes`, which are zeros, from `offset` on.
    fn copy(&self, offset: usize, bytes: &mut [u8]) {
        if let Some(synced) = self.synced.get(offset..) {
            let length = synced.len().min(bytes.len());
            bytes[..length].copy_from_slice(&synced[..length]);
        }
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
        self.check_room(length)?;
        self.replace(name, vec![0; place(length)]);
        Ok(())
    }

    fn len(&mut self, name: &str) -> Result<u64, DiskError> {
        Ok(self.file(name)?.length as u64)
    }

    fn read(&mut self, name: &str, offset: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        let file = self.file(name)?;
        let start = place(offset).min(file.length);
        let length = into.len().min(file.length - start);
        into[..length].fill(0);
        file.copy(start, &mut into[..length]);
        Ok(length)
    }

    /// Stricter than a real disk: what was not created cannot be written.
    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let file = self.file(name)?;
        if (file.length as u64) < offset + bytes.len() as u64 {
            return Err(DiskError::Failed(format!("a write beyond the end of {name}")));
        }
        file.unsynced.push((place(offset), bytes.to_vec()));
        Ok(())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        self.file(name)?;
        self.check_room(bytes.len() as u64)?;
        let file = self.file(name)?;
        file.unsynced.push((file.length, bytes.to_vec()));
        file.length += bytes.len();
        Ok(())
    }

    fn sync(&mut self, name: &str) -> Result<(), DiskError> {
        let file = self.file(name)?;
        file.synced.resize(file.length, 0);
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
    fn a_crash_may_shorten_what_was_appended_and_tear_it() {
        let mut disk = MemoryDisk::default();
        disk.create("f", 0).unwrap();
        disk.append("f", &[1; 700]).unwrap();
        disk.sync("f").unwrap();
        disk.append("f", &[2; 1000]).unwrap();
        disk.append("f", &[3; 1000]).unwrap();
        let whole = [vec![1; 700], vec![2; 1000], vec![3; 1000]].concat();
        assert_eq!(disk.content("f"), Some(whole.clone()));
        let mut part = [9; 400];
        assert_eq!(disk.read("f", 2400, &mut part), Ok(300));
        assert_eq!(part[299..301], [3, 9]);

        for (kept, length) in [(vec![], 700), (vec![700], 1024), (vec![1536], 1700)] {
            let mut crashed = disk.clone();
            crashed.crash(|_, offset| kept.contains(&offset));
            assert_eq!(crashed.len("f"), Ok(length), "{kept:?}");
            let content = crashed.content("f").unwrap();
            assert_eq!(content[..700], whole[..700]);
            let kept = kept.first().map_or(700, |&at| place(at));
            assert!(content[700..kept].iter().all(|&byte| byte == 0));
            assert_eq!(content[kept..], whole[kept..place(length)]);
        }
        disk.crash(|_, _| true);
        assert_eq!(disk.content("f"), Some(whole));
        disk.set_capacity(Some(2701));
        assert_eq!(disk.append("f", &[4; 2]), Err(DiskError::NoSpace));
        assert!(disk.append("g", &[4]).is_err());
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

    #[test]
    fn a_failed_sync_keeps_what_it_says_and_no_later_one_brings_the_rest() {
        let mut disk = MemoryDisk::default();
        disk.create("f", 1024).unwrap();
        disk.write("f", 500, &[7; 100]).unwrap();
        let lost = disk.fail_sync("f", |offset| offset == 500).unwrap();
        assert_eq!(lost, [(512, vec![7; 88])]);
        disk.sync("f").unwrap();
        let content = disk.content("f").unwrap();
        assert_eq!((content[511], content[512]), (7, 0));
        assert!(disk.fail_sync("g", |_| true).is_err());
    }
}
