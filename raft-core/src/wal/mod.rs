//! The write-ahead log as byte logic over a disk.

pub mod disk;
pub mod identity;
pub mod memory_disk;
