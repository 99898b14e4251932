//! The write-ahead log as byte logic over a disk.

pub mod disk;
