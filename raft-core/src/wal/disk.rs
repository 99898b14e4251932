//! What the log needs of a disk.

use std::fmt;

/// A directory of files, as the log uses it. Every call blocks until it is done.
///
/// Implementations must be honest about `sync`: what was written before it returns survives a
/// loss of power, and nothing else is promised.
pub trait Disk {
    /// The names of all files, in no particular order.
    ///
    /// Errors: any failure to read the directory.
    fn list(&mut self) -> Result<Vec<String>, DiskError>;

    /// Makes a file of `length` zero bytes, really written, and syncs it and the directory; a
    /// file of that name is replaced.
    ///
    /// Errors: `DiskError::NoSpace` leaves nothing behind under that name.
    fn create(&mut self, name: &str, length: u64) -> Result<(), DiskError>;

    /// The length of a file.
    ///
    /// Errors: if there is no such file.
    fn len(&mut self, name: &str) -> Result<u64, DiskError>;

    /// Fills `into` from `offset` on and returns how much was there, less only at the end.
    ///
    /// Errors: any failure to read, which is not the same as damage.
    fn read(&mut self, name: &str, offset: u64, into: &mut [u8]) -> Result<usize, DiskError>;

    /// Writes all of `bytes` at `offset`; durable only after `sync`.
    ///
    /// Errors: a Fault for its caller if the space was prepared.
    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError>;

    /// Writes all of `bytes` behind the end of a file, which grows by as much; durable only
    /// after `sync`. A crash before may leave the file of any length between and any bytes
    /// in what was added.
    ///
    /// Errors: any failure; a part of the bytes may have been added.
    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), DiskError>;

    /// Makes every write to the file durable, and its length.
    ///
    /// Errors: always a Fault; a second attempt would lie (fsyncgate).
    fn sync(&mut self, name: &str) -> Result<(), DiskError>;

    /// Renames a file, replacing any file of the new name, and syncs the directory.
    ///
    /// Errors: any failure.
    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError>;

    /// Removes a file and syncs the directory.
    ///
    /// Errors: any failure.
    fn remove(&mut self, name: &str) -> Result<(), DiskError>;
}

impl<D: Disk + ?Sized> Disk for &mut D {
    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        (**self).list()
    }

    fn create(&mut self, name: &str, length: u64) -> Result<(), DiskError> {
        (**self).create(name, length)
    }

    fn len(&mut self, name: &str) -> Result<u64, DiskError> {
        (**self).len(name)
    }

    fn read(&mut self, name: &str, offset: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        (**self).read(name, offset, into)
    }

    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        (**self).write(name, offset, bytes)
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        (**self).append(name, bytes)
    }

    fn sync(&mut self, name: &str) -> Result<(), DiskError> {
        (**self).sync(name)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        (**self).rename(from, to)
    }

    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        (**self).remove(name)
    }
}

/// Why a disk did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskError {
    /// There is no room.
    NoSpace,
    /// Anything else, in the words of the system.
    Failed(String),
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSpace => f.write_str("no space left on the disk"),
            Self::Failed(words) => f.write_str(words),
        }
    }
}

impl std::error::Error for DiskError {}
