//! Disks under the log: a real directory, or memory.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use raft_core::wal::disk::{Disk, DiskError};
use raft_core::wal::memory_disk::MemoryDisk;

/// A file is filled in parts of this size, each synced, so that a sync of the log never waits
/// behind a whole segment of zeros. Units: bytes.
const FILL_SYNC_BYTES: usize = 1024 * 1024;

/// The pause between two parts when nobody waits for the file.
const FILL_PAUSE: Duration = Duration::from_millis(5);

/// How many zeros are written at once into a new file.
static ZEROS: [u8; 256 * 1024] = [0; 256 * 1024];

/// A directory of the file system.
#[derive(Debug)]
pub(crate) struct FileDisk {
    directory: PathBuf,
    /// Files that are open for reading and writing.
    open: BTreeMap<String, File>,
    /// The pause after each part of a file that is being filled.
    fill_pause: Duration,
    /// Whether files are opened for reading alone.
    is_read_only: bool,
    /// Closes the last handles of files that were removed; there once one was.
    releaser: Option<Sender<File>>,
}

impl FileDisk {
    /// The directory, which must exist.
    #[must_use]
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            open: BTreeMap::new(),
            fill_pause: Duration::ZERO,
            is_read_only: false,
            releaser: None,
        }
    }

    /// The directory of somebody else, perhaps of a running node: no file is opened for writing.
    pub(crate) fn for_reading(directory: &Path) -> Self {
        Self { is_read_only: true, ..Self::new(directory) }
    }

    /// The same directory for a helper that prepares files in advance: it leaves the disk to
    /// others most of the time.
    pub(crate) fn in_background(directory: &Path) -> Self {
        Self { fill_pause: FILL_PAUSE, ..Self::new(directory) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn file(&mut self, name: &str) -> io::Result<&File> {
        if !self.open.contains_key(name) {
            let mut options = OpenOptions::new();
            let options = options.read(true).write(!self.is_read_only);
            let file = options.open(self.path(name))?;
            self.open.insert(name.to_owned(), file);
        }
        Ok(&self.open[name])
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    /// Closes a file that was removed on another thread: that is when the file system frees its
    /// room, and for a whole segment it takes so long that the log would feel it.
    fn release(&mut self, file: File) {
        let releaser = self.releaser.get_or_insert_with(|| {
            let (sender, files) = mpsc::channel::<File>();
            // Without a thread the channel is closed, and each file is closed here and now.
            let _ = thread::Builder::new().name("file-release".into()).spawn(move || {
                let _ = rustix::process::nice(10);
                files.into_iter().for_each(drop);
            });
            sender
        });
        let _ = releaser.send(file);
    }

    fn fill(&self, name: &str, length: u64) -> io::Result<()> {
        let mut file = File::create(self.path(name))?;
        let (mut left, mut unsynced) = (length, 0);
        while 0 < left {
            let part = usize::try_from(left).unwrap_or(usize::MAX).min(ZEROS.len());
            file.write_all(&ZEROS[..part])?;
            left -= part as u64;
            unsynced += part;
            if FILL_SYNC_BYTES <= unsynced {
                file.sync_data()?;
                unsynced = 0;
                thread::sleep(self.fill_pause);
            }
        }
        file.sync_all()?;
        self.sync_directory()
    }

    fn read_up_to(&mut self, name: &str, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let file = self.file(name)?;
        let mut filled = 0;
        while filled < into.len() {
            match file.read_at(&mut into[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

fn disk_error(error: &io::Error) -> DiskError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskError::NoSpace,
        _ => DiskError::Failed(error.to_string()),
    }
}

impl Disk for FileDisk {
    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        let names = || -> io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in fs::read_dir(&self.directory)? {
                names.extend(entry?.file_name().into_string().ok());
            }
            Ok(names)
        };
        names().map_err(|error| disk_error(&error))
    }

    fn create(&mut self, name: &str, length: u64) -> Result<(), DiskError> {
        self.open.remove(name);
        self.fill(name, length).map_err(|error| {
            // What is half made is of no use to anybody; the error that counts is the first.
            let _ = fs::remove_file(self.path(name));
            disk_error(&error)
        })
    }

    fn len(&mut self, name: &str) -> Result<u64, DiskError> {
        let length = fs::metadata(self.path(name)).map(|metadata| metadata.len());
        length.map_err(|error| disk_error(&error))
    }

    fn read(&mut self, name: &str, offset: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        self.read_up_to(name, offset, into).map_err(|error| disk_error(&error))
    }

    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let written = self.file(name).and_then(|file| file.write_all_at(bytes, offset));
        written.map_err(|error| disk_error(&error))
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        let appended = self.file(name).and_then(|file| {
            let end = file.metadata()?.len();
            file.write_all_at(bytes, end)
        });
        appended.map_err(|error| disk_error(&error))
    }

    fn sync(&mut self, name: &str) -> Result<(), DiskError> {
        let synced = self.file(name).and_then(File::sync_data);
        synced.map_err(|error| disk_error(&error))
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.open.remove(from);
        self.open.remove(to);
        let renamed =
            fs::rename(self.path(from), self.path(to)).and_then(|()| self.sync_directory());
        renamed.map_err(|error| disk_error(&error))
    }

    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        let file = self.file(name).is_ok().then(|| self.open.remove(name)).flatten();
        let removed = fs::remove_file(self.path(name)).and_then(|()| self.sync_directory());
        removed.map_err(|error| disk_error(&error))?;
        if let Some(file) = file {
            self.release(file);
        }
        Ok(())
    }
}

/// The disk of a node.
#[derive(Debug)]
pub(crate) enum NodeDisk {
    /// A directory.
    File(FileDisk),
    /// Memory, which outlives the node that used it but not the process.
    Memory(MemoryDisk),
}

/// The same call on whichever disk it is.
macro_rules! on_either {
    ($self:ident, $disk:ident => $call:expr) => {
        match $self {
            Self::File($disk) => $call,
            Self::Memory($disk) => $call,
        }
    };
}

impl Disk for NodeDisk {
    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        on_either!(self, disk => disk.list())
    }

    fn create(&mut self, name: &str, length: u64) -> Result<(), DiskError> {
        on_either!(self, disk => disk.create(name, length))
    }

    fn len(&mut self, name: &str) -> Result<u64, DiskError> {
        on_either!(self, disk => disk.len(name))
    }

    fn read(&mut self, name: &str, offset: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        on_either!(self, disk => disk.read(name, offset, into))
    }

    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        on_either!(self, disk => disk.write(name, offset, bytes))
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        on_either!(self, disk => disk.append(name, bytes))
    }

    fn sync(&mut self, name: &str) -> Result<(), DiskError> {
        on_either!(self, disk => disk.sync(name))
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        on_either!(self, disk => disk.rename(from, to))
    }

    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        on_either!(self, disk => disk.remove(name))
    }
}

#[cfg(test)]
mod tests {
    use raft_core::types::{EntryId, Index, Term};
    use raft_core::wal::snapshots::Snapshots;

    use super::*;
    use crate::clock::Clock;

    /// How many files of a directory this process has open that have no name any more.
    fn nameless(directory: &Path) -> usize {
        let links = fs::read_dir("/proc/self/fd").unwrap();
        let targets = links.filter_map(|link| fs::read_link(link.ok()?.path()).ok());
        targets
            .filter(|target| {
                let text = target.to_string_lossy();
                target.starts_with(directory) && text.ends_with("(deleted)")
            })
            .count()
    }

    #[test]
    fn a_file_that_is_removed_loses_its_name_at_once_and_its_room_soon() {
        let name = format!("kvorum-disk-removed-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let mut disk = FileDisk::new(&directory);
        for round in 0..3 {
            disk.create("f", 1024 * 1024).unwrap();
            disk.write("f", 0, &[round]).unwrap();
            disk.remove("f").unwrap();
            assert_eq!(disk.list(), Ok(vec![]));
            assert!(disk.remove("f").is_err(), "it is gone");
        }
        let clock = Clock::start();
        let give_up = clock.now().after(30_000_000);
        while nameless(&directory) != 0 {
            assert!(clock.now() < give_up, "removed files are still open");
            thread::yield_now();
        }
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_file_grows_by_what_is_appended() {
        let directory = std::env::temp_dir().join(format!("kvorum-disk-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let mut disk = FileDisk::new(&directory);
        assert!(disk.append("f", b"x").is_err(), "it was not created");
        disk.create("f", 2).unwrap();
        disk.append("f", b"ab").unwrap();
        disk.append("f", b"c").unwrap();
        disk.sync("f").unwrap();
        let mut bytes = [9; 8];
        assert_eq!((disk.len("f"), disk.read("f", 1, &mut bytes)), (Ok(5), Ok(4)));
        assert_eq!(bytes, *b"\0abc\x09\x09\x09\x09");

        let (mut sender, _) = Snapshots::open(disk).unwrap();
        sender.begin(EntryId { term: Term(1), index: Index(2) }).unwrap();
        sender.append(b"part").unwrap();
        let id = sender.finish().unwrap();
        let (mut receiver, _) = Snapshots::open(MemoryDisk::default()).unwrap();
        let piece = sender.read(id, 0, usize::MAX).unwrap();
        assert!(receiver.receive(id, 0, &piece).unwrap().is_complete);
        let (mut opened, found) = Snapshots::open(FileDisk::new(&directory)).unwrap();
        assert_eq!(found.newest, Some(id));
        let mut parts = opened.open_parts(id).unwrap();
        assert_eq!(opened.next_part(&mut parts).unwrap().unwrap(), b"part"[..]);
        assert_eq!(opened.next_part(&mut parts), Ok(None));
        fs::remove_dir_all(&directory).unwrap();
    }
}
